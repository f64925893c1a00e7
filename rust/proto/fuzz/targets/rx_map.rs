// SPDX-License-Identifier: GPL-2.0

//! Mappings as a peer may announce them, in any order and contradiction.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/model/mod.rs"]
mod model;

fuzz_target!(|input: &[u8]| {
    let Some((&[slots, ref start @ ..], rest)) = input.split_first_chunk::<5>() else {
        return;
    };
    let start = u32::from_be_bytes(*start);
    let ops = rest
        .chunks_exact(4)
        .map(|op| model::rx_map::Op::from_bytes([op[0], op[1], op[2], op[3]]));
    model::rx_map::check(start, usize::from(slots % 32) + 1, ops);
});

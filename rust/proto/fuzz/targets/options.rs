// SPDX-License-Identifier: GPL-2.0

//! Any bytes as the option area of a segment: decoded, encoded, joined with others.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/model/mod.rs"]
mod model;

fuzz_target!(|area: &[u8]| model::options::check_area(area));

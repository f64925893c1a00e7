// SPDX-License-Identifier: GPL-2.0

//! Slots that move from their place in an object to the heap.

use crate::framework::Test;
use crate::proto::storage::Storage;
use crate::sys::storage::GrowArray;
use crate::{expect, expect_eq, suite};

fn inline_slots_need_no_memory(test: &Test) {
    let mut array = GrowArray::<u32, 4>::new();
    expect_eq!(test, array.slots(), &[0; 4]);
    expect!(test, array.try_grow(4));
    expect_eq!(test, array.slots().len(), 4);
}

fn growth_keeps_what_is_there(test: &Test) {
    let mut array = GrowArray::<u32, 4>::new();
    for want in 5..2000 {
        for (value, slot) in (1..).zip(array.slots_mut()) {
            *slot = value;
        }
        let before = array.slots().len();
        expect!(test, array.try_grow(want));
        expect!(test, array.slots().len() >= want);
        for (i, &slot) in array.slots().iter().enumerate() {
            let expected = if i < before { i as u32 + 1 } else { 0 };
            if slot != expected {
                expect_eq!(test, (i, slot), (i, expected));
                return;
            }
        }
    }
}

fn too_much_is_refused(test: &Test) {
    let mut array = GrowArray::<u64, 2>::new();
    array.slots_mut()[1] = 7;
    expect!(test, !array.try_grow(usize::MAX / 16));
    expect_eq!(test, array.slots(), &[0, 7]);
}

fn shrinking_goes_back_inline(test: &Test) {
    let mut array = GrowArray::<u32, 2>::new();
    expect!(test, array.try_grow(100));
    array.shrink();
    expect_eq!(test, array.slots(), &[0, 0]);
}

suite!("mptcp_storage":
    inline_slots_need_no_memory,
    growth_keeps_what_is_there,
    too_much_is_refused,
    shrinking_goes_back_inline,
);

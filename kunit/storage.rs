// SPDX-License-Identifier: GPL-2.0

//! Slots that move from their place in an object to the heap.

use crate::framework::Test;
use crate::proto::storage::{Ring, Storage};
use crate::sys::storage::GrowArray;
use crate::{expect, expect_eq, suite};
use kernel::prelude::*;
use kernel::sync::Arc;

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

fn a_ring_without_inline_slots(test: &Test) {
    let mut ring = Ring::new(GrowArray::<u64, 0>::new());
    expect!(test, ring.front().is_none() && ring.pop_back().is_none());
    for value in 0..100 {
        expect!(test, ring.push_back(value).is_ok());
    }
    expect!(test, ring.iter().copied().eq(0..100));
    ring.clear();
    expect!(test, ring.push_back(7).is_ok());
    expect_eq!(test, ring.front(), Some(&7));
}

fn what_slots_hold_is_dropped(test: &Test) {
    let Ok(held) = Arc::new(0u32, GFP_KERNEL) else {
        expect!(test, false);
        return;
    };
    let mut array = GrowArray::<Option<Arc<u32>>, 1>::new();
    expect!(test, array.try_grow(9));
    for slot in array.slots_mut() {
        *slot = Some(held.clone());
    }
    expect!(test, array.try_grow(100));
    array.slots_mut()[99] = Some(held.clone());
    drop(array);
    expect!(test, held.into_unique_or_drop().is_some());
}

suite!("mptcp_storage":
    inline_slots_need_no_memory,
    growth_keeps_what_is_there,
    too_much_is_refused,
    a_ring_without_inline_slots,
    what_slots_hold_is_dropped,
);

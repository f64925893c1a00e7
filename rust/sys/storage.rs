// SPDX-License-Identifier: GPL-2.0

//! Slots for the stores of [`crate::proto`]: a few in place, more from the allocator when needed.

use crate::proto::storage::Storage;
use kernel::alloc::flags::{GFP_ATOMIC, __GFP_NOWARN};
use kernel::prelude::*;

/// An array of slots that starts with `INLINE` of them, in place, and grows on the heap.
///
/// It grows under spinlocks and in softirqs, hence without sleeping: growth may fail, and the store that
/// asked decides what gives way. It never shrinks, except that [`GrowArray::shrink`] returns to the inline slots.
pub struct GrowArray<T, const INLINE: usize> {
    inline: [T; INLINE],
    /// Empty while the inline slots do. Otherwise as long as its capacity.
    heap: KVec<T>,
}

impl<T: Default, const INLINE: usize> GrowArray<T, INLINE> {
    /// Slots with default values.
    pub fn new() -> Self {
        Self {
            inline: core::array::from_fn(|_| T::default()),
            heap: KVec::new(),
        }
    }

    /// Gives the heap memory back, and with it what its slots hold.
    pub fn shrink(&mut self) {
        self.heap = KVec::new();
    }
}

impl<T: Default, const INLINE: usize> Default for GrowArray<T, INLINE> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Default, const INLINE: usize> Storage<T> for GrowArray<T, INLINE> {
    #[inline]
    fn slots(&self) -> &[T] {
        if self.heap.is_empty() {
            &self.inline
        } else {
            &self.heap
        }
    }

    #[inline]
    fn slots_mut(&mut self) -> &mut [T] {
        if self.heap.is_empty() {
            &mut self.inline
        } else {
            &mut self.heap
        }
    }

    fn try_grow(&mut self, want: usize) -> bool {
        let have = self.slots().len();
        if want <= have {
            return true;
        }
        // Double, so that growing to n costs no more than n moves altogether.
        let want = want.max(have.saturating_mul(2));
        let Ok(mut heap) = KVec::with_capacity(want, GFP_ATOMIC | __GFP_NOWARN) else {
            return false;
        };
        for slot in self.slots_mut() {
            // The capacity suffices for all: pushing allocates nothing.
            if heap.push(core::mem::take(slot), GFP_ATOMIC).is_err() {
                return false;
            }
        }
        while heap.len() < want {
            if heap.push(T::default(), GFP_ATOMIC).is_err() {
                break;
            }
        }
        self.heap = heap;
        true
    }
}

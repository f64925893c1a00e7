// SPDX-License-Identifier: GPL-2.0

//! Slots for the stores of [`crate::proto`]: a few in place, more from the allocator when needed.

use crate::proto::storage::Storage;
use core::ptr::NonNull;
use kernel::alloc::flags::{GFP_ATOMIC, __GFP_NOWARN};
use kernel::prelude::*;

/// An array of slots that starts with `INLINE` of them, in place, and grows on the heap.
///
/// It grows under spinlocks and in softirqs, hence without sleeping: growth may fail, and the store that
/// asked decides what gives way. It never shrinks.
pub struct GrowArray<T, const INLINE: usize> {
    inline: [T; INLINE],
    /// Empty while the inline slots do.
    heap: Heap<T>,
}

impl<T: Default, const INLINE: usize> GrowArray<T, INLINE> {
    /// Slots with default values.
    pub fn new() -> Self {
        Self {
            inline: core::array::from_fn(|_| T::default()),
            heap: Heap::new(),
        }
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
        if self.heap.len == 0 {
            &self.inline
        } else {
            self.heap.slots()
        }
    }

    #[inline]
    fn slots_mut(&mut self) -> &mut [T] {
        if self.heap.len == 0 {
            &mut self.inline
        } else {
            self.heap.slots_mut()
        }
    }

    fn try_grow(&mut self, want: usize) -> bool {
        let have = self.slots().len();
        if want <= have {
            return true;
        }
        // Double, so that growing to n costs no more than n moves altogether.
        let want = want.max(have.saturating_mul(2));
        if u32::try_from(want).is_err() {
            return false;
        }
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
        self.heap = Heap::of(heap);
        true
    }
}

/// A vector that grows no more, in two words instead of three: of these arrays there are many.
///
/// # Invariants
///
/// The parts are those of a `KVec<T>`, all of whose slots are in use.
struct Heap<T> {
    first: NonNull<T>,
    len: u32,
}

// SAFETY: it owns its elements, as a `KVec` does.
unsafe impl<T: Send> Send for Heap<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Heap<T> {}

impl<T> Heap<T> {
    const fn new() -> Self {
        // INVARIANT: so does an empty `KVec` look.
        Self {
            first: NonNull::dangling(),
            len: 0,
        }
    }

    /// Takes `vec` apart, which is full, and shorter than 2^32.
    fn of(mut vec: KVec<T>) -> Self {
        debug_assert_eq!(vec.len(), vec.capacity());
        let len = vec.len() as u32;
        let Some(first) = NonNull::new(vec.as_mut_ptr()) else {
            return Self::new();
        };
        core::mem::forget(vec);
        // INVARIANT: the vector is not used any more, and its parts are these.
        Self { first, len }
    }

    #[inline]
    fn slots(&self) -> &[T] {
        // SAFETY: the type's invariant: so many elements, ours.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.len as usize) }
    }

    #[inline]
    fn slots_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts_mut(self.first.as_ptr(), self.len as usize) }
    }
}

impl<T> Drop for Heap<T> {
    fn drop(&mut self) {
        if self.len > 0 {
            let len = self.len as usize;
            // SAFETY: the type's invariant; the parts are used no more.
            drop(unsafe { KVec::from_raw_parts(self.first.as_ptr(), len, len) });
        }
    }
}

// SPDX-License-Identifier: GPL-2.0

//! What the `kernel` crate's vectors cannot do yet.

use kernel::alloc::KVec;

/// Taking elements out.
pub trait Take<T> {
    /// The last element, taken out.
    fn take_last(&mut self) -> Option<T>;
    /// The element at `index`, taken out; those behind it move up.
    fn take_at(&mut self, index: usize) -> Option<T>;
}

impl<T> Take<T> for KVec<T> {
    fn take_last(&mut self) -> Option<T> {
        let len = self.len().checked_sub(1)?;
        // SAFETY: the last element is read out once, and the length no longer counts it.
        unsafe {
            let last = core::ptr::read(self.as_ptr().add(len));
            self.set_len(len);
            Some(last)
        }
    }

    fn take_at(&mut self, index: usize) -> Option<T> {
        self.as_mut_slice().get_mut(index..)?.rotate_left(1);
        self.take_last()
    }
}

// SPDX-License-Identifier: GPL-2.0

//! A value that is set once and then only read.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

const EMPTY: u8 = 0;
const BUSY: u8 = 1;
const SET: u8 = 2;

/// See the module.
///
/// # Invariants
///
/// The value is initialised, and not written any more, when `state` is [`SET`].
pub struct SetOnce<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: shared readers see the value only after it was published.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}
// SAFETY: the value is owned.
unsafe impl<T: Send> Send for SetOnce<T> {}

impl<T> SetOnce<T> {
    /// Not set.
    pub const fn new() -> Self {
        Self {
            state: AtomicU8::new(EMPTY),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The value, once there is one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: the type's invariant.
        Some(unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Sets the value. False, and `value` is dropped, if there was one.
    pub fn set(&self, value: T) -> bool {
        if self
            .state
            .compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return false;
        }
        // SAFETY: the exchange admits one writer, and readers wait for `SET`.
        unsafe { (*self.value.get()).write(value) };
        self.state.store(SET, Ordering::Release);
        true
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for SetOnce<T> {
    fn drop(&mut self) {
        if *self.state.get_mut() == SET {
            // SAFETY: initialised, and dropped only here.
            unsafe { self.value.get_mut().assume_init_drop() }
        }
    }
}

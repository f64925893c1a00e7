// SPDX-License-Identifier: GPL-2.0

//! Read-copy-update: reading sections, and dropping what readers may still look at.

use crate::bindings;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::marker::PhantomData;
use kernel::sync::Arc;

/// A read section; ends when dropped.
pub struct ReadGuard(PhantomData<*mut ()>);

/// Starts a read section. Nothing may sleep in it.
#[inline]
pub fn read_lock() -> ReadGuard {
    // SAFETY: paired with the unlock in `drop`.
    unsafe { bindings::mrs_rcu_read_lock() };
    ReadGuard(PhantomData)
}

impl Drop for ReadGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `read_lock` has started it.
        unsafe { bindings::mrs_rcu_read_unlock() }
    }
}

#[repr(C)]
struct Deferred {
    head: bindings::callback_head,
    what: *const c_void,
}

/// Room within an object for deferring one drop of a reference to it. Used at most once.
pub struct RcuHead(UnsafeCell<Deferred>);

// SAFETY: written by `defer_drop` alone, once.
unsafe impl Send for RcuHead {}
// SAFETY: as above.
unsafe impl Sync for RcuHead {}

impl RcuHead {
    /// Unused room.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Deferred {
            // SAFETY: a callback head is two pointers; `call_rcu` fills them.
            head: unsafe { core::mem::zeroed() },
            what: core::ptr::null(),
        }))
    }
}

impl Default for RcuHead {
    fn default() -> Self {
        Self::new()
    }
}

unsafe extern "C" fn run<T>(head: *mut bindings::callback_head) {
    let deferred: *mut Deferred = head.cast();
    // SAFETY: the head is the first member of a `Deferred` within an object that the dropped reference
    // keeps until this very call. `defer_drop` has put the pointer of an `Arc<T>` there.
    unsafe { drop(Arc::from_raw((*deferred).what.cast::<T>())) }
}

/// Drops `object` after every reader that runs now has ended. `head` lies in it.
///
/// # Safety
///
/// `head` is part of `object` and is used for the first time.
pub(super) unsafe fn defer_drop<T>(head: &RcuHead, object: Arc<T>) {
    let deferred = head.0.get();
    // SAFETY: the caller's promise: nobody else uses this head. The object outlives the callback, because
    // its reference is what the callback drops.
    unsafe {
        (*deferred).what = Arc::into_raw(object).cast();
        bindings::call_rcu(core::ptr::addr_of_mut!((*deferred).head), Some(run::<T>));
    }
}

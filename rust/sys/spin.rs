// SPDX-License-Identifier: GPL-2.0

//! A spin lock that softirqs share with process context.

use crate::bindings;
use core::cell::UnsafeCell;
use core::mem::size_of;
use core::ops::{Deref, DerefMut};

/// What a lock protects: its class for lockdep. The order in which locks nest is that of this list.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Class {
    /// A connection's receive side.
    Rx = 0,
    /// A subflow's mappings.
    Maps = 1,
    /// A bucket of the token table.
    Token = 2,
    /// A bucket of the request table.
    Request = 3,
    /// Path management.
    Pm = 4,
    /// What a handshake led to.
    Agreed = 5,
    /// Endpoints and limits of a namespace.
    Endpoints = 6,
    /// Subflows that have joined and wait for the connection's lock.
    Joined = 7,
}

/// Locks are no larger than they have to be: the kernel does not look for mistakes in their use.
// Some compilers do not count a use in an assertion at build time.
#[allow(dead_code)]
pub const BARE: bool = size_of::<bindings::spinlock_t>() <= 4;

/// Data behind a spin lock; softirqs are off while it is held.
pub struct Spin<T> {
    lock: UnsafeCell<bindings::spinlock_t>,
    data: UnsafeCell<T>,
}

// SAFETY: the lock admits one context at a time.
unsafe impl<T: Send> Send for Spin<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Spin<T> {}

impl<T> Spin<T> {
    /// An unlocked lock. It may be moved until it is locked for the first time: an unlocked `spinlock_t`
    /// has no pointer to itself.
    #[inline]
    pub fn new(data: T, class: Class) -> Self {
        // SAFETY: the lock is initialised before anybody sees it.
        unsafe {
            let mut lock: bindings::spinlock_t = core::mem::zeroed();
            bindings::mrs_spin_init(&mut lock, class as u32);
            Self {
                lock: UnsafeCell::new(lock),
                data: UnsafeCell::new(data),
            }
        }
    }

    /// Takes the lock.
    #[inline]
    pub fn lock(&self) -> SpinGuard<'_, T> {
        // SAFETY: the lock is initialised.
        unsafe { bindings::mrs_spin_lock_bh(self.lock.get()) };
        SpinGuard(self)
    }
}

/// Proof that the lock is held; releases it when dropped.
pub struct SpinGuard<'a, T>(&'a Spin<T>);

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.0.data.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held.
        unsafe { &mut *self.0.data.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard stands for the held lock.
        unsafe { bindings::mrs_spin_unlock_bh(self.0.lock.get()) }
    }
}

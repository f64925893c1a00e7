// SPDX-License-Identifier: GPL-2.0

//! Random numbers that nobody can guess.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use crate::bindings;

/// Fills `bytes`. From any context.
pub fn fill(bytes: &mut [u8]) {
    // SAFETY: the pointer and the length are those of one slice that may be written.
    unsafe { bindings::get_random_bytes(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// A random number. From any context.
#[inline]
pub fn u64() -> u64 {
    // SAFETY: callable from any context.
    unsafe { bindings::get_random_u64() }
}

// SPDX-License-Identifier: GPL-2.0

//! The kernel's log.

use crate::bindings;
use kernel::str::CStr;

/// Whether another line about packets may be logged now: what strangers send must not fill the log. Lines that
/// are not allowed are counted by the kernel, and it says how many. From any context.
pub fn allowed() -> bool {
    // SAFETY: callable from any context.
    unsafe { bindings::mrs_net_ratelimit() }
}

/// The release of the kernel that runs.
pub fn kernel_release() -> &'static CStr {
    // SAFETY: a string in memory that lives as long as the kernel.
    unsafe { CStr::from_char_ptr(bindings::mrs_kernel_release()) }
}

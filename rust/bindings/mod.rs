// SPDX-License-Identifier: GPL-2.0

//! The kernel's C API as bindgen gives it, and the helpers for what is inline or a macro.
//!
//! Only [`crate::sys`] uses this. Types here are distinct from those of `kernel::bindings`, although they
//! describe the same memory: pointers may be cast from one to the other.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

use kernel::ffi;

// Manual definition of types that the kernel's parameters blocklist.
type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

include!(concat!(
    env!("MPTCP_RS_OBJ"),
    "/rust/bindings/bindings_generated.rs"
));

// SPDX-License-Identifier: GPL-2.0

//! Multipath TCP v1 as a host crate: the files that the kernel module builds, built for tests.
//!
//! The module's root says `pub mod proto;`, this one says the same of the same `mod.rs`. Nothing but
//! tests, fuzz targets and tools uses this crate.

#![cfg_attr(not(test), no_std)]

#[path = "mod.rs"]
pub mod proto;

pub use proto::*;

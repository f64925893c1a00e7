// SPDX-License-Identifier: GPL-2.0

//! What can be seen from outside: counters, tracepoints, the log.

pub mod log;
pub mod mib;
pub mod trace;

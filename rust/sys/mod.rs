// SPDX-License-Identifier: GPL-2.0

//! Safe abstractions over the kernel's networking API: the only place with `unsafe`.
//!
//! A type per kernel object, ownership and lock state in types, callbacks as traits with one trampoline
//! each. Nothing in here knows MPTCP.

pub mod diag;
pub mod errno;
pub mod fastopen;
pub mod genl;
pub mod glance;
pub mod kprobe;
pub mod listener;
pub mod log;
pub mod msock;
pub mod net;
pub mod netfilter;
pub mod netlink;
pub mod once;
pub mod page;
pub mod percpu;
pub mod pernet;
pub mod procfs;
pub mod proto;
pub mod random;
pub mod rcu;
pub mod registry;
pub mod request;
pub mod rxdata;
pub mod seq_file;
pub mod sha256;
pub mod skb;
pub mod sock;
pub mod spin;
pub mod storage;
pub mod sysctl;
pub mod tcp;
pub mod time;
pub mod trace;
pub mod uio;
pub mod ulp;
pub mod vec;

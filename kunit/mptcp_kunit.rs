// SPDX-License-Identifier: GPL-2.0

//! KUnit suites for what needs a kernel around it: `mptcp_kunit.ko`.
//!
//! The suites are a crate of their own that builds the module's files once more, so that mptcp.ko carries no
//! trace of them. What is in `proto` alone is tested on the host.

#![allow(dead_code, unused_imports, unreachable_pub)]

use kernel::prelude::*;

#[path = "../rust/bindings/mod.rs"]
mod bindings;
#[path = "../rust/msk/mod.rs"]
mod msk;
#[path = "../rust/netstate.rs"]
mod netstate;
#[path = "../rust/observe/mod.rs"]
mod observe;
#[path = "../rust/pm/mod.rs"]
mod pm;
#[path = "../rust/proto/mod.rs"]
mod proto;
#[path = "../rust/subflow/mod.rs"]
mod subflow;
#[path = "../rust/sys/mod.rs"]
mod sys;
#[path = "../rust/sysctl.rs"]
mod sysctl;

mod crypto;
mod fixture;
mod framework;
mod percpu;
mod pernet;
mod rx_map;
mod segments;
mod storage;
mod time;
mod token;
mod window;

module! {
    type: Suites,
    name: "mptcp_kunit",
    description: "KUnit suites of mptcp",
    license: "GPL",
}

/// Nothing: KUnit finds the suites in their section when the module is loaded.
struct Suites;

impl kernel::Module for Suites {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Suites)
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Multipath TCP v1 (RFC 8684) as one loadable module.
//!
//! This is the order of init and exit, nothing else.

// `pub` says what a file offers to others, as in `proto`, which is a crate of its own on the host. Nothing of it
// leaves the module anyway.
#![allow(unreachable_pub)]

use kernel::prelude::*;

mod bindings;
mod msk;
mod netstate;
mod observe;
mod pm;
mod proto;
mod subflow;
mod sys;
mod sysctl;

use observe::mib;
use sys::{pernet::PerNet, procfs::NetstatLines};

module! {
    type: Mptcp,
    name: "mptcp",
    description: "Multipath TCP v1 (RFC 8684)",
    license: "GPL",
    // socket(AF_INET | AF_INET6, SOCK_STREAM, IPPROTO_MPTCP), `ss -M`, `ip mptcp`. Not the ULP: nobody but
    // the module itself may ask for that.
    alias: [
        "net-pf-2-proto-262-type-1",
        "net-pf-10-proto-262-type-1",
        "net-pf-16-proto-4-type-2-262",
        "net-pf-16-proto-16-family-mptcp_pm",
    ],
}

/// The version of this module.
const VERSION: &str = "0.1";

/// What is registered while the module is loaded. Fields are dropped from first to last: users come before
/// what they use.
struct Mptcp {
    _netlink: sys::genl::Registration<pm::netlink::MptcpPm<msk::pm::All>>,
    _diag: sys::diag::Registration<msk::diag::MptcpDiag>,
    _protocol: sys::proto::Registration,
    _ulp: sys::ulp::Registration,
    _tables: msk::Tables,
    _netstat: Option<NetstatLines<mib::Lines>>,
    _namespaces: PerNet<netstate::Netns>,
}

impl kernel::Module for Mptcp {
    fn init(module: &'static ThisModule) -> Result<Self> {
        pm::netlink::check::<msk::pm::All>(module)?;
        let netstat = mib::add_to_netstat();
        if netstat.is_none() {
            netstate::use_own_netstat();
        }
        let namespaces = PerNet::register()?;
        sys::tcp::learn()?;
        let tables = msk::Tables::new()?;
        let ulp = sys::ulp::register::<subflow::Subflow<msk::ConnRef>>(module)?;
        let protocol = sys::proto::register::<msk::Msk>(module, msk::IPPROTO_MPTCP)?;
        let diag = sys::diag::Registration::register(module)?;
        let netlink = pm::netlink::register(module)?;
        let counters = match netstat {
            Some(_) => kernel::c_str!("netstat"),
            None => mib::OWN_FILE,
        };
        pr_info!(
            "Multipath TCP v1, mptcp-rs {} on Linux {}, counters in /proc/net/{}\n",
            VERSION,
            sys::log::kernel_release(),
            counters
        );
        Ok(Mptcp {
            _netlink: netlink,
            _diag: diag,
            _protocol: protocol,
            _ulp: ulp,
            _tables: tables,
            _netstat: netstat,
            _namespaces: namespaces,
        })
    }
}

// SPDX-License-Identifier: GPL-2.0

//! What MPTCP keeps in every network namespace.

use crate::impl_state_slot;
use crate::msk::{ConnRef, Joins};
use crate::observe::mib;
use crate::pm::namespace::Namespace;
use crate::subflow;
use crate::sys::net::Net;
use crate::sys::netfilter::{Hook, Verdict};
use crate::sys::pernet::NetState;
use crate::sys::procfs::NetFile;
use crate::sys::skb::Skb;
use crate::sys::sysctl::Table;
use crate::sysctl::Sysctls;
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::prelude::*;

/// Whether `MPTcpExt` has to have a file of its own; see [`mib::add_to_netstat`].
static OWN_NETSTAT: AtomicBool = AtomicBool::new(false);

/// Gives the namespaces that are made from now on a file for their counters.
pub fn use_own_netstat() {
    OWN_NETSTAT.store(true, Ordering::Relaxed);
}

/// MPTCP's state in one network namespace: `net.state::<Netns>()`. The packet hooks, of which every MPTCP
/// socket is a user, are `net.hooks::<Netns>()`.
#[pin_data]
pub struct Netns {
    /// The variables in `net.mptcp`.
    pub sysctls: Table<Sysctls>,
    /// The counters of `MPTcpExt`.
    pub mib: mib::Table,
    /// Endpoints and limits.
    pub pm: Namespace,
    /// What is remembered of SYNs to join that were answered with cookies.
    pub joins: Joins,
    netstat: Option<NetFile<mib::Lines>>,
}

impl_state_slot!(Netns);

impl NetState for Netns {
    type Hook = Packets;

    fn init(net: &Net) -> impl PinInit<Self, Error> {
        try_pin_init!(Netns {
            sysctls: Table::register(net, Sysctls::default())?,
            mib: mib::Table::new()?,
            pm: Namespace::new(),
            joins: Joins::new(),
            netstat: if OWN_NETSTAT.load(Ordering::Relaxed) {
                Some(NetFile::new(net, mib::OWN_FILE)?)
            } else {
                None
            },
        }? Error)
    }

    fn pre_exit(self: Pin<&Self>, _net: &Net) {
        // Sockets of ours would outlive their namespace.
        drop(self.pm.flush());
    }
}

/// What is done with packets.
pub struct Packets;

impl Hook for Packets {
    #[inline]
    fn local_in(packet: &mut Skb, _net: &Net, family: u16) -> Verdict {
        if subflow::local_in::<ConnRef>(packet, family) {
            Verdict::Accept
        } else {
            Verdict::Drop
        }
    }

    #[inline]
    fn local_out(packet: &mut Skb, _net: &Net, family: u16) -> Verdict {
        if subflow::local_out::<ConnRef>(packet, family) {
            Verdict::Accept
        } else {
            Verdict::Drop
        }
    }
}

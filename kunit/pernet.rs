// SPDX-License-Identifier: GPL-2.0

//! State in network namespaces, and the hooks that belong to it.

use crate::fixture::{cookie, initial_net, send_over_loopback, wait};
use crate::framework::Test;
use crate::sys::net::Net;
use crate::sys::netfilter::{Hook, Verdict};
use crate::sys::pernet::{NetState, PerNet};
use crate::sys::skb::Skb;
use crate::{expect, expect_eq, impl_state_slot, require, suite};
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};
use kernel::prelude::*;

/// How many states there are.
static ALIVE: AtomicI32 = AtomicI32::new(0);
/// How many namespaces have been on their way out.
static EXITS: AtomicI32 = AtomicI32::new(0);

struct State {
    value: AtomicU32,
    cookie: u64,
    incoming: [AtomicU32; 2],
    outgoing: [AtomicU32; 2],
}

impl_state_slot!(State);

impl NetState for State {
    type Hook = Counting;

    fn init(net: &Net) -> impl PinInit<Self, Error> {
        let cookie = cookie(net);
        ALIVE.fetch_add(1, Relaxed);
        try_init!(State {
            value: AtomicU32::new(7),
            cookie,
            incoming: [AtomicU32::new(0), AtomicU32::new(0)],
            outgoing: [AtomicU32::new(0), AtomicU32::new(0)],
        }? Error)
    }

    fn pre_exit(self: Pin<&Self>, _net: &Net) {
        EXITS.fetch_add(1, Relaxed);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Relaxed);
    }
}

/// Counts packets.
struct Counting;

impl Hook for Counting {
    fn local_in(_: &mut Skb, net: &Net, family: u16) -> Verdict {
        net.state::<State>().incoming[is_v6(family)].fetch_add(1, Relaxed);
        Verdict::Accept
    }

    fn local_out(_: &mut Skb, net: &Net, family: u16) -> Verdict {
        net.state::<State>().outgoing[is_v6(family)].fetch_add(1, Relaxed);
        Verdict::Accept
    }
}

fn is_v6(family: u16) -> usize {
    usize::from(u32::from(family) == crate::bindings::AF_INET6)
}

fn every_namespace_has_one(test: &Test) {
    let net = initial_net();
    expect!(test, net.try_state::<State>().is_none());
    let registration = require!(test, PerNet::<State>::register());
    expect!(test, ALIVE.load(Relaxed) >= 1);
    let state = net.state::<State>();
    expect_eq!(test, state.cookie, cookie(net));
    state.value.store(8, Relaxed);
    expect_eq!(test, net.state::<State>().value.load(Relaxed), 8);
    expect_eq!(test, PerNet::<State>::register().err(), Some(EBUSY));

    let states = ALIVE.load(Relaxed);
    let exits = EXITS.load(Relaxed);
    drop(registration);
    expect_eq!(test, ALIVE.load(Relaxed), 0);
    expect_eq!(test, EXITS.load(Relaxed) - exits, states);
    expect!(test, net.try_state::<State>().is_none());
}

fn it_can_be_registered_again(test: &Test) {
    for _ in 0..3 {
        let _registration = require!(test, PerNet::<State>::register());
        expect_eq!(test, initial_net().state::<State>().value.load(Relaxed), 7);
    }
}

fn hooks_see_packets_while_they_are_used(test: &Test) {
    let _registration = require!(test, PerNet::<State>::register());
    let net = initial_net();
    let state = net.state::<State>();
    let seen = |v6: usize| {
        (
            state.outgoing[v6].load(Relaxed),
            state.incoming[v6].load(Relaxed),
        )
    };

    require!(test, send_over_loopback(false));
    expect_eq!(test, (seen(0), seen(1)), ((0, 0), (0, 0)));

    require!(test, net.hooks::<State>().get());
    net.hooks::<State>().get_more();
    for v6 in [false, true] {
        require!(test, send_over_loopback(v6));
        // An error comes back as well: nobody listens.
        expect!(
            test,
            wait(|| seen(v6.into()).0 >= 1 && seen(v6.into()).1 >= 1)
        );
    }
    net.hooks::<State>().put();
    require!(test, send_over_loopback(false));
    expect!(test, wait(|| seen(0).0 >= 2 && seen(0).1 >= 2));

    // The last one has gone: they stay for a while, and come back to life.
    net.hooks::<State>().put();
    expect_eq!(test, net.hooks::<State>().users(), 0);
    require!(test, net.hooks::<State>().get());
    let before = seen(0).0;
    require!(test, send_over_loopback(false));
    expect!(test, wait(|| seen(0).0 > before));
    // The registration ends while there is a user.
}

suite!("mptcp_pernet":
    every_namespace_has_one,
    it_can_be_registered_again,
    hooks_see_packets_while_they_are_used,
);

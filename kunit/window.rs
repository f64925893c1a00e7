// SPDX-License-Identifier: GPL-2.0

//! The window that several subflows announce at once.

use crate::framework::Test;
use crate::proto::crypto::{derive, Key};
use crate::proto::seq::Dsn;
use crate::subflow::shared::{Conflict, Shared};
use crate::sys::sha256::KernelSha256;
use crate::{expect, expect_eq, suite};

/// A connection of which everything before `edge` may be sent by the peer.
fn announced(edge: u64) -> Shared {
    let key = Key(7);
    let shared = Shared::new(key, derive::<KernelSha256>(key));
    shared.rcv_edge.set(Dsn(edge));
    shared
}

fn a_promise_is_kept(test: &Test) {
    let shared = announced(1000);
    let said = shared.announce(Dsn(100), 400, 0);
    expect_eq!(test, (said.field, said.bytes), (900, 900));
    expect!(test, said.raised && said.conflict.is_none());
    let said = shared.announce(Dsn(100), 2000, 0);
    expect_eq!(test, said.field, 2000);
    expect!(test, !said.raised && said.conflict.is_none());
    expect_eq!(test, shared.rcv_edge.get(), Dsn(2100));
}

fn who_comes_late_gives_way(test: &Test) {
    // When this subflow has looked, 1000 was the edge; meanwhile another one has announced 5000.
    let shared = announced(5000);
    let said = shared.announce_over(Dsn(1000), Dsn(100), 2000, 0);
    expect_eq!(test, said.conflict, Some(Conflict::GaveWay));
    expect_eq!(test, said.field, 4900);
    expect!(test, said.raised);
    expect_eq!(test, shared.rcv_edge.get(), Dsn(5000));
}

fn or_goes_further(test: &Test) {
    let shared = announced(1500);
    let said = shared.announce_over(Dsn(1000), Dsn(100), 2000, 0);
    expect_eq!(test, said.conflict, Some(Conflict::Won));
    expect_eq!(test, said.field, 2000);
    expect!(test, !said.raised);
    expect_eq!(test, shared.rcv_edge.get(), Dsn(2100));
}

suite!("mptcp_window":
    a_promise_is_kept,
    who_comes_late_gives_way,
    or_goes_further,
);

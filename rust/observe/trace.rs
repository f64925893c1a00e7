// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of the system `mptcp`: what their numbers mean, and how what the module knows becomes what they carry.
//!
//! Events and their fields are in mptcp_trace.h; `Documentation/tracing.md` explains them. This knows `sys` and
//! `proto` only, so that every part of the module can tell of itself.

use crate::proto::fallback::FallbackCause;
use crate::proto::option::{Dss, DssMap, WireDsn};
use crate::sys::skb::Skb;
use crate::sys::sock::Sock;
use core::net::{IpAddr, SocketAddr};

pub use crate::sys::trace::*;

/// What [`Mapping`] tells of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum How {
    /// A mapping was begun.
    New,
    /// One of which nothing was sent yet has become longer.
    Grow,
    /// A part of one that was announced, and that TCP could not take then.
    Fill,
    /// The peer has sent one.
    Received,
}

/// Why bytes are sent again on another subflow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Reinject {
    /// The subflow is closed, or was reset.
    Closed,
    /// Nothing has come back on it for long.
    Stale,
    /// TCP's retransmission timeout has passed.
    Timeout,
    /// TCP has got them acknowledged, the connection has not.
    Dropped,
}

/// What a path manager does, or is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum PmAction {
    /// A connection speaks MPTCP: its first subflow.
    Created,
    /// A subflow is opened.
    Connect,
    /// The peer's subflow is taken.
    Accept,
    /// It is not.
    Refuse,
    /// A further subflow is established.
    Established,
    /// Subflows with an address ID are closed.
    Close,
    /// A subflow is closed.
    Closed,
    /// An address is announced.
    AddAddr,
    /// An announcement of the peer is confirmed.
    AddAddrEcho,
    /// An announcement is withdrawn.
    RmAddr,
    /// The peer is asked for another priority of a subflow.
    Prio,
}

/// Which subflow it is: the connection's `token`, the subflow's `number` and address IDs, local first.
#[inline]
pub fn flow(token: u32, number: u32, ids: (u8, u8), sk: &Sock) -> Flow {
    let ends = sk.address();
    Flow {
        token,
        subflow: number,
        sport: ends.local_port,
        dport: ends.remote_port,
        loc_id: ids.0,
        rem_id: ids.1,
    }
}

/// What a DSS says. `map` may be that of an MP_CAPABLE, `capable`, of which `dss` knows nothing.
pub fn dss(dss: &Dss, map: Option<&DssMap>, capable: bool) -> DssEvent {
    let number = |wire: WireDsn| match wire {
        WireDsn::Low32(low) => (u64::from(low), false),
        WireDsn::Full(dsn) => (dsn, true),
    };
    let mut event = DssEvent {
        data_fin: dss.data_fin,
        use_ack: dss.ack.is_some(),
        mpc_map: capable,
        ..DssEvent::default()
    };
    if let Some(ack) = dss.ack {
        (event.data_ack, event.ack64) = number(ack);
    }
    if let Some(map) = map {
        (event.data_seq, event.dsn64) = number(map.dsn);
        event.use_map = true;
        event.subflow_seq = map.ssn;
        event.data_len = map.len;
        event.csum = map.csum.unwrap_or(0);
        event.csum_reqd = map.csum.is_some();
    }
    event
}

/// The connection of `flow` is plain TCP because of `cause`.
pub fn fallback(flow: Flow, cause: FallbackCause) -> FallbackEvent {
    FallbackEvent {
        flow,
        cause: cause as u8,
    }
}

/// The SYN `skb` leads to plain TCP because of `cause`: there is no connection to be named.
#[inline(always)]
pub fn declined(skb: &Skb, cause: FallbackCause) {
    Fallback::trace(move || {
        let ends = skb.ends();
        let flow = Flow {
            sport: ends.local.port(),
            dport: ends.remote.port(),
            ..Flow::default()
        };
        fallback(flow, cause)
    });
}

/// An address as [`Pm`] has it.
pub fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// `action`, of a subflow with these IDs and ends, local first.
pub fn pm(token: u32, action: PmAction, ids: (u8, u8), ends: (SocketAddr, SocketAddr)) -> PmEvent {
    PmEvent {
        token,
        action: action as u8,
        loc_id: ids.0,
        rem_id: ids.1,
        saddr: address(ends.0.ip()),
        daddr: address(ends.1.ip()),
        sport: ends.0.port(),
        dport: ends.1.port(),
        ..PmEvent::default()
    }
}

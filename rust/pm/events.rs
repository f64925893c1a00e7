// SPDX-License-Identifier: GPL-2.0

//! What user space is told: `ip mptcp monitor`, mptcpd.
//!
//! Attributes and their order are those of the in-tree implementation. From any context; nothing is done if
//! nobody listens in the namespace.

use super::netlink::{CELL, EVENTS};
use super::{Side, SubflowInfo, Whose};
use crate::bindings::{self, AF_INET, AF_INET6};
use crate::sys::genl;
use crate::sys::net::Net;
use crate::sys::netlink::Message;
use core::net::{IpAddr, SocketAddr};
use kernel::error::Result;

/// An event's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event(u8);

const fn event(kind: u32) -> Event {
    Event(kind as u8)
}

/// A new connection speaks MPTCP.
pub const CREATED: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_CREATED);
/// A connection may have further subflows.
pub const ESTABLISHED: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_ESTABLISHED);
/// A further subflow is established.
pub const SUB_ESTABLISHED: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_SUB_ESTABLISHED);
/// A subflow is closed.
pub const SUB_CLOSED: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_SUB_CLOSED);
/// The peer has changed the priority of a subflow.
pub const SUB_PRIORITY: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_SUB_PRIORITY);
/// An MPTCP socket listens.
pub const LISTENER_CREATED: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_LISTENER_CREATED);
/// It listens no more.
pub const LISTENER_CLOSED: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_LISTENER_CLOSED);
const CLOSED: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_CLOSED);
const ANNOUNCED: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_ANNOUNCED);
const REMOVED: Event = event(bindings::mptcp_event_type_MPTCP_EVENT_REMOVED);

const TOKEN: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_TOKEN;
const FAMILY: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_FAMILY;
const LOC_ID: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_LOC_ID;
const REM_ID: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_REM_ID;
const SADDR4: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_SADDR4;
const SADDR6: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_SADDR6;
const DADDR4: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_DADDR4;
const DADDR6: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_DADDR6;
const SPORT: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_SPORT;
const DPORT: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_DPORT;
const BACKUP: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_BACKUP;
const ERROR: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_ERROR;
const FLAGS: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_FLAGS;
const IF_IDX: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_IF_IDX;
const RESET_REASON: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_RESET_REASON;
const RESET_FLAGS: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_RESET_FLAGS;
const SERVER_SIDE: u32 = bindings::mptcp_event_attr_MPTCP_ATTR_SERVER_SIDE;

/// Whether anybody in the namespace listens: a path manager in user space is at work.
pub fn has_listeners(net: &Net) -> bool {
    genl::has_listeners(&CELL, net, EVENTS)
}

fn send(net: &Net, event: Event, fill: impl FnOnce(&mut Message<'_>) -> Result) {
    genl::multicast(&CELL, net, EVENTS, event.0, fill);
}

/// [`CREATED`], [`ESTABLISHED`].
pub fn connection(
    event: Event,
    whose: Whose<'_>,
    first: &SubflowInfo,
    side: Side,
    deny_join_id0: bool,
) {
    send(whose.net, event, |to| {
        to.put_u32(TOKEN, whose.token)?;
        to.put_u8(SERVER_SIDE, (side == Side::Server).into())?;
        if deny_join_id0 {
            to.put_u16(FLAGS, bindings::MPTCP_PM_EV_FLAG_DENY_JOIN_ID0 as u16)?;
        }
        put_subflow(to, first)
    });
}

/// A connection is over.
pub fn closed(whose: Whose<'_>) {
    send(whose.net, CLOSED, |to| to.put_u32(TOKEN, whose.token));
}

/// [`SUB_ESTABLISHED`], [`SUB_CLOSED`], [`SUB_PRIORITY`].
pub fn subflow(event: Event, whose: Whose<'_>, subflow: &SubflowInfo) {
    send(whose.net, event, |to| {
        to.put_u32(TOKEN, whose.token)?;
        put_subflow(to, subflow)?;
        to.put_u8(BACKUP, subflow.backup.into())?;
        if subflow.ifindex != 0 {
            to.put_i32(IF_IDX, subflow.ifindex)?;
        }
        if subflow.err != 0 {
            to.put_u8(ERROR, subflow.err as u8)?;
        }
        match subflow.reset {
            Some(reset) if event == SUB_CLOSED => {
                to.put_u32(RESET_REASON, reset.reason.into())?;
                to.put_u32(RESET_FLAGS, reset.transient.into())
            }
            _ => Ok(()),
        }
    });
}

/// The peer has announced an address, to connect to at `port`.
pub fn announced(whose: Whose<'_>, id: u8, addr: IpAddr, port: u16) {
    send(whose.net, ANNOUNCED, |to| {
        to.put_u32(TOKEN, whose.token)?;
        to.put_u8(REM_ID, id)?;
        to.put(DPORT, &port.to_be_bytes())?;
        put_addr(to, addr, DADDR4, DADDR6)
    });
}

/// The peer has withdrawn an address.
pub fn removed(whose: Whose<'_>, id: u8) {
    send(whose.net, REMOVED, |to| {
        to.put_u32(TOKEN, whose.token)?;
        to.put_u8(REM_ID, id)
    });
}

/// [`LISTENER_CREATED`], [`LISTENER_CLOSED`]: for every MPTCP socket that listens. `addr` is its own.
pub fn listener(event: Event, net: &Net, addr: SocketAddr) {
    send(net, event, |to| {
        put_family(to, addr.ip())?;
        to.put(SPORT, &addr.port().to_be_bytes())?;
        put_addr(to, addr.ip(), SADDR4, SADDR6)
    });
}

fn put_family(to: &mut Message<'_>, addr: IpAddr) -> Result {
    let family = match addr {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    };
    to.put_u16(FAMILY, family as u16)
}

fn put_addr(to: &mut Message<'_>, addr: IpAddr, v4: u32, v6: u32) -> Result {
    match addr {
        IpAddr::V4(addr) => to.put(v4, &addr.octets()),
        IpAddr::V6(addr) => to.put(v6, &addr.octets()),
    }
}

fn put_subflow(to: &mut Message<'_>, subflow: &SubflowInfo) -> Result {
    put_family(to, subflow.local.ip())?;
    put_addr(to, subflow.local.ip(), SADDR4, SADDR6)?;
    put_addr(to, subflow.remote.ip(), DADDR4, DADDR6)?;
    to.put(SPORT, &subflow.local.port().to_be_bytes())?;
    to.put(DPORT, &subflow.remote.port().to_be_bytes())?;
    to.put_u8(LOC_ID, subflow.local_id)?;
    to.put_u8(REM_ID, subflow.remote_id)
}

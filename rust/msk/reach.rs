// SPDX-License-Identifier: GPL-2.0

//! Which options of IP and TCP an application may set on a connection, and which subflows they reach.
//!
//! What is not named here would go wrong on a subflow: it takes data or numbers from under the connection
//! (`TCP_REPAIR`, `TCP_ZEROCOPY_RECEIVE`), makes another socket of it (`IPV6_ADDRFORM`, `TCP_ULP`), or signs
//! headers that we change (`TCP_MD5SIG`, `TCP_AO_ADD_KEY`).

use crate::bindings::*;

/// Which subflows an option is set on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// All, those to come too.
    Every,
    /// The first one: it is about listening, or about the connection's start.
    First,
    /// It can only be read, of the first one.
    Told,
}

const TCP: &[(u32, Reach)] = &[
    (TCP_CONGESTION, Reach::Every),
    (TCP_CORK, Reach::Every),
    (TCP_KEEPCNT, Reach::Every),
    (TCP_KEEPIDLE, Reach::Every),
    (TCP_KEEPINTVL, Reach::Every),
    (TCP_LINGER2, Reach::Every),
    (TCP_MAXSEG, Reach::Every),
    (TCP_NODELAY, Reach::Every),
    (TCP_NOTSENT_LOWAT, Reach::Every),
    (TCP_QUICKACK, Reach::Every),
    (TCP_SYNCNT, Reach::Every),
    (TCP_THIN_DUPACK, Reach::Every),
    (TCP_THIN_LINEAR_TIMEOUTS, Reach::Every),
    (TCP_TX_DELAY, Reach::Every),
    (TCP_USER_TIMEOUT, Reach::Every),
    (TCP_WINDOW_CLAMP, Reach::Every),
    (TCP_DEFER_ACCEPT, Reach::First),
    (TCP_FASTOPEN, Reach::First),
    (TCP_FASTOPEN_CONNECT, Reach::First),
    (TCP_FASTOPEN_KEY, Reach::First),
    (TCP_FASTOPEN_NO_COOKIE, Reach::First),
    (TCP_SAVE_SYN, Reach::First),
    (TCP_CC_INFO, Reach::Told),
    (TCP_INFO, Reach::Told),
    (TCP_SAVED_SYN, Reach::Told),
    (TCP_ULP, Reach::Told),
];

const IP: &[(u32, Reach)] = &[
    (IP_MINTTL, Reach::Every),
    (IP_MTU_DISCOVER, Reach::Every),
    (IP_TOS, Reach::Every),
    (IP_TRANSPARENT, Reach::Every),
    (IP_TTL, Reach::Every),
    (IP_BIND_ADDRESS_NO_PORT, Reach::First),
    (IP_FREEBIND, Reach::First),
    (IP_LOCAL_PORT_RANGE, Reach::First),
    (IP_UNICAST_IF, Reach::First),
    (IP_MTU, Reach::Told),
];

const IPV6: &[(u32, Reach)] = &[
    (IPV6_AUTOFLOWLABEL, Reach::Every),
    (IPV6_DONTFRAG, Reach::Every),
    (IPV6_MINHOPCOUNT, Reach::Every),
    (IPV6_MTU, Reach::Every),
    (IPV6_MTU_DISCOVER, Reach::Every),
    (IPV6_TCLASS, Reach::Every),
    (IPV6_TRANSPARENT, Reach::Every),
    (IPV6_UNICAST_HOPS, Reach::Every),
    (IPV6_V6ONLY, Reach::Every),
    (IPV6_ADDR_PREFERENCES, Reach::First),
    (IPV6_FREEBIND, Reach::First),
    (IPV6_UNICAST_IF, Reach::First),
];

/// The subflows that an option reaches, if it is one of a connection.
pub(super) fn of(level: i32, name: i32) -> Option<Reach> {
    let table = match level as u32 {
        SOL_TCP => TCP,
        SOL_IP => IP,
        SOL_IPV6 => IPV6,
        _ => return None,
    };
    let known = table.iter().find(|(known, _)| *known as i32 == name)?;
    Some(known.1)
}

// SPDX-License-Identifier: GPL-2.0

//! Path management: which addresses are announced, which subflows are opened and closed.
//!
//! What the administrator configured is a table of [`Endpoint`]s and the [`Limits`], one of each per
//! network namespace ([`Endpoints`]). What a connection makes of them is decided by its
//! [`PathManager`]: events go in, [`Action`]s come out. Neither opens a socket or knows a clock.
//!
//! The rules are those that `ip-mptcp(8)` and the kernel's own documentation and selftests describe.

mod announce;
mod endpoints;
mod ids;
mod manager;
mod stale;
#[cfg(test)]
mod tests;
mod user;

pub use announce::Signal;
pub use endpoints::{EndpointError, Endpoints, ADDR_MAX};
pub use ids::IdSet;
pub use manager::{PathManager, View};
pub use stale::{Progress, Stale};
pub use user::LocalAddrs;

use core::net::{IpAddr, Ipv4Addr};

/// An IP address and, if it matters, a port.
///
/// An IPv4 address mapped into IPv6 is the IPv4 address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Address {
    ip: IpAddr,
    port: u16,
}

impl Default for Address {
    /// No address in particular.
    fn default() -> Self {
        Self::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
    }
}

impl Address {
    /// `port` is 0 where any will do.
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        Self {
            ip: ip.to_canonical(),
            port,
        }
    }

    /// The IP address, never an IPv4-mapped one.
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The port, 0 if any will do.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port, if it matters.
    pub const fn some_port(&self) -> Option<u16> {
        match self.port {
            0 => None,
            port => Some(port),
        }
    }

    /// The same address with another port.
    pub const fn with_port(self, port: u16) -> Self {
        Self { ip: self.ip, port }
    }

    /// Whether `other` is this address: on the same port too, if this one has one.
    pub fn matches(&self, other: &Address) -> bool {
        self.ip == other.ip && (self.port == 0 || self.port == other.port)
    }
}

/// What an endpoint is for. The bits are those of `enum mptcp_pm_addr_flags` in the kernel's UAPI.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EndpointFlags(pub u8);

impl EndpointFlags {
    /// Announce it to the peer with ADD_ADDR.
    pub const SIGNAL: Self = Self(1 << 0);
    /// Open a subflow from it.
    pub const SUBFLOW: Self = Self(1 << 1);
    /// Subflows from it are backups.
    pub const BACKUP: Self = Self(1 << 2);
    /// Open a subflow from it to every address of the peer that is known.
    pub const FULLMESH: Self = Self(1 << 3);
    /// Made by the path manager for an address that a subflow happened to use.
    pub const IMPLICIT: Self = Self(1 << 4);

    /// All flags that there are.
    pub const ALL: Self = Self(0x1f);

    /// Whether every flag of `other` is set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A local address that the administrator gave to MPTCP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Endpoint {
    /// The address ID, 1 to 255; 0 where one is to be chosen.
    pub id: u8,
    /// The address. A port only if the endpoint is announced and not a source of subflows.
    pub addr: Address,
    /// What for.
    pub flags: EndpointFlags,
    /// The interface that subflows from it are bound to, 0 for none.
    pub ifindex: i32,
}

/// How much path management a connection may do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Subflows beside the first one, 0 to 8.
    pub subflows: u8,
    /// ADD_ADDRs that lead to subflows, 0 to 8.
    pub add_addr_accepted: u8,
}

impl Limits {
    /// Whether there may be another subflow beside the first one and `subflows` more.
    #[inline]
    pub const fn admit(self, subflows: u8) -> bool {
        subflows < self.subflows
    }
}

/// Which address families a socket's subflows may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Families {
    /// An IPv4 socket's.
    V4,
    /// An IPv6 socket's that is IPv6 only.
    V6,
    /// Any other IPv6 socket's.
    Both,
}

impl Families {
    /// Whether a subflow from `local` to `remote` is possible.
    pub const fn allow(self, local: IpAddr, remote: IpAddr) -> bool {
        match (local, remote) {
            (IpAddr::V4(_), IpAddr::V4(_)) => !matches!(self, Families::V6),
            (IpAddr::V6(_), IpAddr::V6(_)) => !matches!(self, Families::V4),
            _ => false,
        }
    }
}

/// A subflow as the path manager sees it: one that is connected, or about to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subflow {
    /// The ID of the local address.
    pub local_id: u8,
    /// The ID of the remote address.
    pub remote_id: u8,
    /// The local address and port.
    pub local: Address,
    /// The remote address and port.
    pub remote: Address,
}

/// The local side of a subflow to be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Local {
    /// The address ID.
    pub id: u8,
    /// The address.
    pub addr: Address,
    /// The interface to bind to, 0 for none.
    pub ifindex: i32,
    /// Ask the peer to use the subflow as a backup.
    pub backup: bool,
}

/// A subflow to be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connect {
    /// From where; [`None`] leaves it to routing, and the ID to [`Endpoints::local_id`].
    pub local: Option<Local>,
    /// The ID of the address to connect to.
    pub remote_id: u8,
    /// The address to connect to; it has a port.
    pub remote: Address,
}

/// Whose address ID is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// This host's: the endpoint is gone (MIB `RmSubflow`).
    Local,
    /// The peer's: it said REMOVE_ADDR (MIB `RmAddr`).
    Remote,
}

/// What the path manager wants to be done. Those of one event are to be carried out in order; a
/// [`Connect`] that fails at once is reported after the last of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Open a subflow. It counts from now on; it ends with [`PathManager::on_connect_failed`] or
    /// [`PathManager::discount`].
    Connect(Connect),
    /// Close every subflow whose address on that side has this ID.
    Close(Side, u8),
    /// There are [signals](PathManager::signals) to send: send an ACK on a subflow, if possible on one whose local
    /// address is not being removed.
    SendAck,
    /// Send MP_PRIO on the first subflow from this address.
    Prio {
        /// The local address.
        local: Address,
        /// The new priority.
        backup: bool,
    },
    /// An announcement was dropped, for want of room: count it.
    Dropped(Signal),
}

// SPDX-License-Identifier: GPL-2.0

//! Path managers: the one in the kernel, the one in user space, and the netlink family for both.
//!
//! What is decided is decided in [`crate::proto::pm`]. Here is what that needs to live in a kernel:
//!
//! - this file: what path managers and connections want of each other
//! - [`manager`]: the state of one connection, and what it hears in softirq
//! - `work`: what follows from it, in process context
//! - [`namespace`]: endpoints and limits, one of each per network namespace
//! - [`events`]: what user space is told
//! - [`netlink`]: what user space asks for
//!
//! # Between connection and path manager
//!
//! A connection has a [`Manager`] as a field and calls its functions when something happens: those take no
//! lock but their own ([`Class::Pm`] and inside of it [`Class::Endpoints`]), so that they may be called with
//! the socket lock, with a subflow's lock, or in softirq with none. Most of them return whether there is now
//! something to be done in process context; then the connection is to have [`work`] called soon, from its
//! work item, with the socket lock held.
//!
//! What a manager asks of a connection is the trait [`Connection`], which the connection implements for
//! itself with the socket lock held in process context. No subflow's lock is held, nor is any spin lock.
//!
//! Commands of user space name connections by token, or mean all of a namespace: [`Connections`].
//!
//! [`Class::Pm`]: crate::sys::spin::Class::Pm
//! [`Class::Endpoints`]: crate::sys::spin::Class::Endpoints

pub mod events;
pub mod manager;
pub mod namespace;
pub mod netlink;
mod work;

pub use manager::{Created, Manager};
pub use work::work;

use crate::proto::pm::{Address, Connect};
use crate::sys::listener::Listener;
use crate::sys::net::Net;
use crate::sys::time::Jiffies;
use core::net::SocketAddr;
use kernel::error::Result;

/// Which side of a connection a host is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// It connected.
    Client,
    /// It accepted.
    Server,
}

/// The connection that something happened to.
#[derive(Clone, Copy)]
pub struct Whose<'a> {
    /// Its namespace.
    pub net: &'a Net,
    /// Its token.
    pub token: u32,
}

/// What a reset of the peer said (RFC 8684 section 3.6, MP_TCPRST).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResetSeen {
    /// The reason, `MPTCP_RST_*`.
    pub reason: u8,
    /// It may be worth trying again.
    pub transient: bool,
}

/// A subflow, as managers, commands and events see it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubflowInfo {
    /// The ID of the local address.
    pub local_id: u8,
    /// The ID of the remote address.
    pub remote_id: u8,
    /// Local address and port, as the TCP socket has them: an IPv4 address mapped into IPv6 stays one.
    pub local: SocketAddr,
    /// Remote address and port, likewise.
    pub remote: SocketAddr,
    /// The peer asks for it to be a backup.
    pub backup: bool,
    /// The interface that it is bound to, 0 for none.
    pub ifindex: i32,
    /// It connects or is connected; neither side has closed it.
    pub active: bool,
    /// `sk_err`, positive; 0 for none. To be told only while the connection is established.
    pub err: i32,
    /// How the peer reset it.
    pub reset: Option<ResetSeen>,
}

impl SubflowInfo {
    /// The local address and port, an IPv4-mapped one as IPv4.
    pub fn local(&self) -> Address {
        Address::new(self.local.ip(), self.local.port())
    }

    /// The remote address and port, likewise.
    pub fn remote(&self) -> Address {
        Address::new(self.remote.ip(), self.remote.port())
    }
}

/// Which of a connection's subflows are meant.
pub type Which<'a> = &'a dyn Fn(&SubflowInfo) -> bool;

/// What a path manager may ask of a connection. The socket lock is held, in process context; the
/// implementation takes the subflows' locks.
pub trait Connection {
    /// The namespace.
    fn net(&self) -> &Net;

    /// The connection's manager.
    fn manager(&self) -> &Manager;

    /// Whether subflows may be opened: it is fully established, has not fallen back to TCP, and the last
    /// close has not begun.
    fn may_open(&self) -> bool;

    /// Gives every subflow to `f`, the first one first; those that TCP has closed are left out.
    fn for_each(&mut self, f: &mut dyn FnMut(&SubflowInfo));

    /// Opens a subflow: socket, bind, non-blocking connect with MP_JOIN. Without `local`, routing chooses
    /// the address, and the ID is that of [`Manager::local_id`]. A v4 remote address makes a v4 socket, of a v6
    /// connection as well. When it fails later on, [`Manager::subflow_closed`] is called as for any other.
    ///
    /// # Errors
    ///
    /// What socket, bind or connect said, other than `EINPROGRESS`. No subflow is left.
    fn open(&mut self, connect: &Connect) -> Result;

    /// Ends subflows in order: as `close(2)` ends a TCP connection, with a FIN, or a reset where data is
    /// unread. What they had outstanding is sent again elsewhere. [`Manager::subflow_closed`] is called for each,
    /// before or after this returns. Returns how many there were.
    fn close(&mut self, which: Which<'_>) -> usize;

    /// Sends an ACK, with room for [`Manager::signal`], on the first active subflow that is meant. False if
    /// there is none.
    fn send_ack(&mut self, which: Which<'_>) -> bool;

    /// Sends MP_PRIO on the first active subflow that is meant, and takes note for the scheduler. False if
    /// there is none.
    fn send_prio(&mut self, which: Which<'_>, backup: bool) -> bool;

    /// Has [`work`] called after `delay`, at the latest. There is one such timer, set anew by each call.
    fn set_timer(&mut self, delay: Jiffies);
}

/// All connections: what the netlink family needs to find the one that a command means. Process context.
pub trait Connections: 'static {
    /// Calls `f` with the connection of this token in this namespace, its socket lock held. None if there
    /// is none.
    fn with_token<R>(net: &Net, token: u32, f: impl FnOnce(&mut dyn Connection) -> R) -> Option<R>;

    /// Calls `f` with every connection in this namespace, one after the other, its socket lock held.
    fn for_each(net: &Net, f: &mut dyn FnMut(&mut dyn Connection));

    /// Listens at `addr` on behalf of an endpoint with a port: only for joins. MP_CAPABLE and plain SYNs are
    /// answered with a reset (MIB `MPCapableEndpAttempt`). Closed when dropped. `backlog` as in `listen(2)`.
    ///
    /// # Errors
    ///
    /// What socket, bind or listen said.
    fn listen(net: &Net, addr: SocketAddr, backlog: i32) -> Result<Listener>;
}

// SPDX-License-Identifier: GPL-2.0

//! The MPTCP connection: what `socket(..., IPPROTO_MPTCP)` gives.
//!
//! - `token`: connections by token
//! - `open`: bind, connect, listen, accept
//! - `fastopen`: data in the SYN
//! - `cookie`: listeners that keep nothing of a SYN
//! - `upcalls`: what subflows tell the connection
//! - `rx`: received data, in order and out of order
//! - `recv`: reading
//! - `tx`: the send queue
//! - `send`: writing, and giving data to subflows
//! - `place`: which subflow gets which bytes
//! - `rescue`: what subflows do not deliver is sent again
//! - `join`: further subflows
//! - `close`: the end, in all its forms
//! - `info`: what `SOL_MPTCP` tells of the connection
//! - `diag`: what `ss -M` does
//! - `pm`: what path managers ask of connections, and are told
//! - `poll`, `sockopt`: the rest of the system calls
//! - `trace`: what it tells tracepoints
//!
//! Two locks: the socket's own, for everything that process context changes, and a spin lock for the
//! receive side, so that data is in order and acknowledged even while a reader owns the socket. The order
//! is socket lock, subflow's lock, receive lock; a subflow that wants the socket lock may only try.

mod close;
mod cookie;
pub mod diag;
mod fastopen;
mod info;
mod join;
mod open;
mod place;
pub mod pm;
mod poll;
mod reach;
mod recv;
mod rescue;
mod rx;
mod send;
mod sockopt;
pub mod token;
mod trace;
mod tx;
pub mod upcalls;

pub use cookie::Joins;

use crate::netstate::Netns;
use crate::observe::mib::Mib;
use crate::pm::Manager;
use crate::proto::conn::Conn;
use crate::proto::crypto::{Derived, Key};
use crate::proto::fallback::Fallback;
use crate::proto::ranges::{Range, Ranges};
use crate::proto::sched;
use crate::proto::seq::Dsn;
use crate::subflow::shared::Shared;
use crate::subflow::Subflow;
use crate::sys::errno::enoprotoopt;
use crate::sys::msock::{Accepted, Guard, SockOf, StreamProto, Timer};
use crate::sys::net::Net;
use crate::sys::rxdata::SkbList;
use crate::sys::sock::{LockedCell, Sock};
use crate::sys::spin::{self, Class, Spin};
use crate::sys::storage::GrowArray;
use crate::sys::uio::{Msg, OptIn, OptOut, SockAddr};
use crate::sys::vec::Take;
use core::mem::size_of;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use kernel::error::Result;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::types::ARef;
use rx::Rx;
use tx::TxQueue;

/// The protocol number.
pub const IPPROTO_MPTCP: u16 = 262;

/// An MPTCP socket.
pub type MskSock = SockOf<Msk>;

/// A connection, as its subflows hold it.
#[derive(Clone)]
pub struct ConnRef(ARef<MskSock>);

impl ConnRef {
    fn sk(&self) -> &MskSock {
        &self.0
    }

    fn msk(&self) -> &Msk {
        self.0.state_of()
    }
}

/// Notes that softirqs leave for the owner of the lock.
mod note {
    /// Something in [`super::Shared::flags`] asks for a look.
    pub(super) const LOOK: u32 = 1 << 0;
    /// The first subflow connected or failed.
    pub(super) const CONNECTED: u32 = 1 << 1;
    /// A subflow is closed or has failed.
    pub(super) const SUBFLOW: u32 = 1 << 2;
    /// The connection is reset by MP_FASTCLOSE.
    pub(super) const FASTCLOSED: u32 = 1 << 3;
    /// The connection fell back to TCP.
    pub(super) const FALLBACK: u32 = 1 << 4;
    /// The listener was closed before the connection was accepted.
    pub(super) const ABANDONED: u32 = 1 << 5;
    /// Data has come that nobody will read.
    pub(super) const UNWANTED: u32 = 1 << 6;
    /// A subflow has joined.
    pub(super) const JOINED: u32 = 1 << 7;
    /// Data stays in a subflow's queue for want of memory.
    pub(super) const SHORT: u32 = 1 << 8;
    /// MP_FAIL was said, and waits for its answer.
    pub(super) const FAIL_SAID: u32 = 1 << 9;
    /// A subflow that joins can carry data.
    pub(super) const PATH: u32 = 1 << 10;
}

/// A subflow, as the connection holds it.
struct Sub {
    ssk: ARef<Sock>,
    ctx: Arc<Subflow<ConnRef>>,
}

// Each subflow has one, with its count in front. What does not fit into 256 bytes takes 512.
const _: () = assert!(!spin::BARE || size_of::<Subflow<ConnRef>>() + size_of::<usize>() <= 256);

impl Clone for Sub {
    fn clone(&self) -> Self {
        Self {
            ssk: self.ssk.clone(),
            ctx: self.ctx.clone(),
        }
    }
}

/// What the socket lock protects.
pub struct Locked {
    conn: Conn,
    tx: TxQueue,
    /// How many bytes of the send queue are in the SYN, while one is made or waits for its answer.
    in_syn: Option<u32>,
    /// Options that every subflow has.
    options: KVec<sockopt::Chosen>,
    /// All subflows; the first one is the initial one for as long as it lives, or the listener.
    subs: KVec<Sub>,
    /// In-order data that a reader has taken over from [`Rx`].
    unread: SkbList,
    space: recv::RcvSpace,
    /// Says which subflow carries what.
    scheduler: sched::Chosen,
    /// What was given to subflows and has to be sent again.
    again: Ranges<GrowArray<Range, 1>>,
    /// How much was sent again, bytes.
    sent_again: u64,
    /// What has to be acknowledged in time.
    watch: rescue::Watch,
    /// It counts among the users of the namespace's packet hooks.
    hooked: bool,
    /// What has to be done in process context, see `close::todo`.
    todo: u32,
    /// Nothing is left to be taken down.
    destroyed: bool,
}

impl Locked {
    /// Where `sub` is in the list.
    fn position(&self, sub: &Sub) -> Option<usize> {
        let same = |other: &Sub| core::ptr::eq(&*other.ctx, &*sub.ctx);
        self.subs.iter().position(same)
    }

    /// Takes a subflow out of the list.
    fn take_sub(&mut self, index: usize) -> Option<Sub> {
        self.subs.take_at(index)
    }
}

/// The state of an MPTCP socket.
pub struct Msk {
    shared: Shared,
    rx: Spin<Rx>,
    locked: LockedCell<Locked>,
    /// Bytes that a reader could get, in both queues.
    readable: AtomicUsize,
    /// Of these, what a sleeping reader has seen: it peeks.
    peeked: AtomicUsize,
    /// How many bytes a sleeping reader needs, in addition to what it has got; otherwise `usize::MAX`.
    needed: AtomicUsize,
    /// `TCP_INQ`: `recv` tells how much is left.
    tell_inq: AtomicBool,
    sysctl: Snapshot,
    /// The path manager's state.
    pm: Manager,
    /// Whether it may still become plain TCP after data was exchanged.
    fallback: Spin<Fallback>,
    /// Subflows that have joined and are not in [`Locked::subs`] yet.
    joined: Spin<KVec<Sub>>,
}

/// The variables that a connection keeps as they were when it was made.
#[derive(Clone, Copy)]
struct Snapshot {
    enabled: bool,
    checksum: bool,
    deny_join_id0: bool,
    /// See [`sched::Chosen::new`].
    scheduler: u8,
}

impl Msk {
    /// Written where it will be: it is too large to be moved about.
    fn with_key(
        net: &Net,
        key: Key,
        local: Derived,
        conn: Conn,
        sysctl: Snapshot,
    ) -> impl Init<Self> + '_ {
        let first = local.idsn.add(1);
        init!(Self {
            shared: Shared::new(key, local),
            rx: Spin::new(Rx::new(), Class::Rx),
            locked: LockedCell::new(Locked {
                conn,
                tx: TxQueue::new(first),
                in_syn: None,
                options: KVec::new(),
                subs: KVec::new(),
                unread: SkbList::new(),
                space: recv::RcvSpace::default(),
                scheduler: sched::Chosen::new(sysctl.scheduler),
                again: Ranges::new(GrowArray::new()),
                sent_again: 0,
                watch: rescue::Watch::default(),
                hooked: false,
                todo: 0,
                destroyed: false,
            }),
            readable: AtomicUsize::new(0),
            peeked: AtomicUsize::new(0),
            needed: AtomicUsize::new(usize::MAX),
            tell_inq: AtomicBool::new(false),
            sysctl,
            pm: Manager::new(net),
            fallback: Spin::new(Fallback::new(), Class::Agreed),
            joined: Spin::new(KVec::new(), Class::Joined),
        })
    }

    /// The numbers that segments carry.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    fn forget_readable(&self) {
        self.readable.store(0, Ordering::Relaxed);
    }

    fn readable(&self) -> usize {
        self.readable.load(Ordering::Relaxed)
    }
}

impl Drop for Msk {
    fn drop(&mut self) {
        token::TOKENS.remove(self.shared.local.token);
    }
}

/// Counts an event in the socket's namespace.
fn count(sk: &Sock, counter: Mib) {
    crate::observe::mib::inc(Net::of(sk), counter);
}

fn snapshot(sk: &Sock) -> Snapshot {
    let sysctls = &Net::of(sk).state::<Netns>().sysctls;
    Snapshot {
        enabled: sysctls.enabled(),
        checksum: sysctls.checksum_enabled(),
        deny_join_id0: !sysctls.allow_join_initial_addr_port(),
        scheduler: sysctls.scheduler(),
    }
}

impl StreamProto for Msk {
    type Locked = Locked;

    fn new(sk: &Sock) -> Result<impl Init<Self>> {
        let sysctl = snapshot(sk);
        if !sysctl.enabled {
            return Err(enoprotoopt());
        }
        let (key, local) = token::new_key()?;
        Ok(Self::with_key(
            Net::of(sk),
            key,
            local,
            Conn::default(),
            sysctl,
        ))
    }

    fn created(sk: &MskSock) {
        open::created(sk);
    }

    fn locked(&self) -> &LockedCell<Locked> {
        &self.locked
    }

    fn bind(sk: &MskSock, addr: SockAddr) -> Result {
        open::bind(sk, addr)
    }

    fn listen(sk: &MskSock, backlog: i32) -> Result {
        open::listen(sk, backlog)
    }

    fn accept(sk: &MskSock, nonblock: bool, kern: bool) -> Result<Accepted<Self>> {
        open::accept(sk, nonblock, kern)
    }

    fn accepted(sk: &MskSock) {
        open::accepted(sk);
    }

    fn connect(guard: &mut Guard<'_, Self>, addr: SockAddr) -> Result {
        open::connect(guard, addr)
    }

    fn disconnect(guard: &mut Guard<'_, Self>) -> Result {
        close::disconnect(guard)
    }

    fn shutdown(guard: &mut Guard<'_, Self>, how: u8) {
        close::shutdown(guard, how);
    }

    fn sendmsg(sk: &MskSock, msg: &mut Msg<'_>, _len: usize) -> Result<usize> {
        send::sendmsg(sk, msg)
    }

    fn recvmsg(sk: &MskSock, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize> {
        recv::recvmsg(sk, msg, len, flags)
    }

    fn poll(sk: &MskSock) -> u32 {
        poll::poll(sk)
    }

    fn ioctl(sk: &MskSock, cmd: u32) -> Result<i32> {
        poll::ioctl(sk, cmd)
    }

    fn setsockopt(sk: &MskSock, level: i32, name: i32, value: OptIn) -> Result {
        sockopt::set(sk, level, name, value)
    }

    fn getsockopt(sk: &MskSock, level: i32, name: i32, value: OptOut) -> Result {
        sockopt::get(sk, level, name, value)
    }

    fn close(sk: &MskSock, timeout: isize) {
        close::close(sk, timeout);
    }

    fn kill(sk: &MskSock, errno: i32) -> Result {
        close::kill(sk, errno)
    }

    fn deferred(guard: &mut Guard<'_, Self>, notes: u32) {
        upcalls::deferred(guard, notes);
    }

    fn timeout(guard: &mut Guard<'_, Self>, timer: Timer) {
        match timer {
            Timer::Retransmit => rescue::on_timeout(guard),
            Timer::Close => close::on_timeout(guard),
            Timer::Announce => guard.sk().schedule(),
        }
    }

    fn work(sk: &MskSock) {
        close::work(sk);
    }
}

/// The next byte that the application will write.
fn write_seq(guard: &mut Guard<'_, Msk>) -> Dsn {
    guard.inner().tx.write_seq()
}

/// The tables of all connections and requests; freed when dropped, after the last socket.
pub struct Tables(());

impl Tables {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        token::TOKENS.init()?;
        let this = Self(());
        cookie::init();
        upcalls::REQUESTS.init(|req| upcalls::REQUESTS.forget(req))?;
        Ok(this)
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        upcalls::REQUESTS.exit();
        token::TOKENS.exit();
    }
}

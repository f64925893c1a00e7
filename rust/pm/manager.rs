// SPDX-License-Identifier: GPL-2.0

//! The path manager's state of one connection, and what the connection tells it.
//!
//! Most connections have one subflow and never more than that, so what only the others need is [`Paths`], which
//! are made when something is to be kept there.
//!
//! What cannot be done at once is noted, and done by [`super::work`]. A note that is there already and is not
//! taken yet makes the manager drop the same thing once more, as far as the peer repeats it anyway.

use super::events;
use super::namespace::{Namespace, Snapshot};
use super::{Side, SubflowInfo, Whose};
use crate::netstate::Netns;
use crate::observe::mib::{self, Mib};
use crate::proto::option::{AddAddr, RmAddr};
use crate::proto::pm::{
    Address, Endpoint, EndpointFlags, Families, LocalAddrs, PathManager, Signal, ADDR_MAX,
};
use crate::proto::storage::Ring;
use crate::sys::net::Net;
use crate::sys::spin::{Class, Spin};
use crate::sys::storage::GrowArray;
use crate::sysctl::PM_TYPE_USERSPACE;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use kernel::alloc::flags::__GFP_NOWARN;
use kernel::error::Result;
use kernel::prelude::*;

/// Notes for [`super::work`].
pub(super) mod note {
    /// See what can be announced or opened next.
    pub const ADVANCE: u32 = 1 << 0;
    /// [`super::Paths::add`].
    pub const ADD_ADDR: u32 = 1 << 2;
    /// [`super::Paths::rm`].
    pub const RM_ADDR: u32 = 1 << 3;
}

/// The local addresses of a connection whose manager is in user space.
pub(super) type UserAddrs = LocalAddrs<GrowArray<Endpoint, 1>>;

/// What a connection has that does more than use its first subflow.
pub(super) struct Paths {
    pub path: PathManager,
    /// The ADD_ADDRs that have arrived. A peer announces one after the other, but the next may come before the
    /// last was looked at.
    pub add: Ring<(u8, Address), [(u8, Address); ADDR_MAX]>,
    /// The REMOVE_ADDRs that have arrived.
    pub rm: Option<RmAddr>,
    pub user: UserAddrs,
}

impl Paths {
    /// Takes note of an ID that the peer has removed. False if there is no room.
    fn remove(&mut self, id: u8) -> bool {
        match &mut self.rm {
            None => {
                self.rm = Some(RmAddr::new(id));
                true
            }
            Some(list) => list.ids().contains(&id) || list.push(id),
        }
    }
}

/// How many IDs of REMOVE_ADDRs, which come once, are kept where there is no memory for [`Paths`].
const REMOVED: usize = 4;

/// What the lock protects.
struct Inner {
    /// The addresses of the first subflow.
    local: Address,
    remote: Address,
    families: Families,
    /// The connection is known: [`Manager::created`] was called.
    created: bool,
    established: bool,
    side: Side,
    deny_join_id0: bool,
    removed: [Option<u8>; REMOVED],
    paths: Option<KBox<Paths>>,
}

impl Inner {
    fn new() -> Self {
        Self {
            local: Address::default(),
            remote: Address::default(),
            families: Families::Both,
            created: false,
            established: false,
            side: Side::Client,
            deny_join_id0: false,
            removed: [None; REMOVED],
            paths: None,
        }
    }

    /// A path manager that has not done anything.
    fn fresh(&self) -> PathManager {
        let mut path = PathManager::new(self.local, self.remote, self.families);
        if self.deny_join_id0 {
            path.deny_join_id0();
        }
        path
    }

    /// The paths, which are made now if there are none. None without memory.
    fn need(&mut self) -> Option<&mut Paths> {
        if self.paths.is_none() {
            let room = KBox::new_uninit(GFP_ATOMIC | __GFP_NOWARN).ok()?;
            self.make(room);
        }
        self.paths.as_deref_mut()
    }

    #[cold]
    #[inline(never)]
    fn make(&mut self, room: KBox<MaybeUninit<Paths>>) {
        let mut paths = Paths {
            path: self.fresh(),
            add: Ring::new(Default::default()),
            rm: None,
            user: LocalAddrs::new(GrowArray::new()),
        };
        for id in core::mem::take(&mut self.removed).into_iter().flatten() {
            paths.remove(id);
        }
        self.paths = Some(room.write(paths));
    }

    /// As [`Paths::remove`]; a few find room without memory, too.
    fn remove(&mut self, id: u8) -> bool {
        if let Some(paths) = self.need() {
            return paths.remove(id);
        }
        if self.removed.contains(&Some(id)) {
            return true;
        }
        let free = self.removed.iter_mut().find(|slot| slot.is_none());
        free.map(|slot| *slot = Some(id)).is_some()
    }
}

/// The numbers that `MPTCP_INFO` and `ss -M` tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// `mptcpi_subflows`: subflows beside the first, those that connect included.
    pub subflows: u8,
    /// `mptcpi_add_addr_signal`: addresses that are announced.
    pub add_addr_signal: u8,
    /// `mptcpi_add_addr_accepted`: announced addresses of the peer that are in use.
    pub add_addr_accepted: u8,
    /// `mptcpi_local_addr_used`: local addresses that were tried.
    pub local_addr_used: u8,
}

/// What [`Manager::signal`] gives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Taken {
    /// What to put onto the segment.
    pub signal: Option<Signal>,
    /// Whether [`super::work`] is to be called soon.
    pub work: bool,
}

/// The path manager of one connection: a field of it. See [`super`] for locks and contexts.
pub struct Manager {
    /// It is in user space.
    user: AtomicBool,
    /// There are signals to be sent.
    signals: AtomicBool,
    notes: AtomicU32,
    inner: Spin<Inner>,
}

impl Manager {
    /// The manager of a new connection in `net`: the one that `net.mptcp.pm_type` names now.
    pub fn new(net: &Net) -> Self {
        Self {
            user: AtomicBool::new(wants_user(net)),
            signals: AtomicBool::new(false),
            notes: AtomicU32::new(0),
            inner: Spin::new(Inner::new(), Class::Pm),
        }
    }

    /// The connection was disconnected, and its socket is to be used for another one.
    pub fn reset(&self, net: &Net) {
        let mut inner = self.inner.lock();
        *inner = Inner::new();
        self.user.store(wants_user(net), Ordering::Relaxed);
        self.signals.store(false, Ordering::Relaxed);
        self.notes.store(0, Ordering::Relaxed);
    }

    /// Whether the manager is in user space.
    pub fn is_user(&self) -> bool {
        self.user.load(Ordering::Relaxed)
    }

    /// A new connection speaks MPTCP: on the client the SYN-ACK said so, on the server the third ACK. Once.
    pub fn created(&self, whose: Whose<'_>, first: &SubflowInfo, how: Created) {
        {
            let mut inner = self.inner.lock();
            inner.local = first.local();
            inner.remote = first.remote();
            inner.families = how.families;
            inner.created = true;
            inner.side = how.side;
            inner.deny_join_id0 = how.deny_join_id0;
            let path = inner.fresh();
            if let Some(paths) = &mut inner.paths {
                paths.path = path;
            }
        }
        events::connection(events::CREATED, whose, first, how.side, how.deny_join_id0);
    }

    /// The connection is fully established (RFC 8684 section 3.1): subflows may be opened. Calls after the
    /// first do nothing. True if [`super::work`] is to be called soon.
    #[must_use]
    pub fn fully_established(&self, whose: Whose<'_>, first: &SubflowInfo) -> bool {
        let (side, deny) = {
            let mut inner = self.inner.lock();
            if inner.established || !inner.created {
                return false;
            }
            inner.established = true;
            (inner.side, inner.deny_join_id0)
        };
        events::connection(events::ESTABLISHED, whose, first, side, deny);
        self.advance(whose.net)
    }

    /// A further subflow is established, opened by either side. True: as above.
    #[must_use]
    pub fn subflow_established(&self, whose: Whose<'_>, subflow: &SubflowInfo) -> bool {
        events::subflow(events::SUB_ESTABLISHED, whose, subflow);
        self.advance(whose.net)
    }

    /// A subflow is closed, or could not connect. `further`: it was not the first one, that of MP_CAPABLE.
    /// To be called once for each that [`Manager::accept_join`] has let in or [`super::Connection::open`] has
    /// opened. `told`: user space is to hear of it, as the connection goes on. True: as above.
    #[must_use]
    pub fn subflow_closed(
        &self,
        whose: Whose<'_>,
        subflow: &SubflowInfo,
        further: bool,
        told: bool,
    ) -> bool {
        if told {
            events::subflow(events::SUB_CLOSED, whose, subflow);
        }
        if further {
            self.subflow_ended();
        }
        self.advance(whose.net)
    }

    /// A further subflow has ended: it counts no more. [`Manager::subflow_closed`] tells the rest, of one that is
    /// not `further` then. Softirq.
    pub fn subflow_ended(&self) {
        self.with_paths(|paths| paths.path.discount());
    }

    /// The connection is over. Calls after the first do nothing, nor does one without [`Manager::created`].
    pub fn closed(&self, whose: Whose<'_>) {
        if core::mem::take(&mut self.inner.lock().created) {
            events::closed(whose);
        }
    }

    /// The peer has sent MP_PRIO on a subflow: `subflow.backup` is what it asks for now.
    pub fn prio_received(&self, whose: Whose<'_>, subflow: &SubflowInfo) {
        mib::inc(whose.net, Mib::MpPrioRx);
        events::subflow(events::SUB_PRIORITY, whose, subflow);
    }

    /// ADD_ADDR or its echo has arrived; the HMAC of the former was right. `port` is the remote port of the
    /// subflow. True: as above.
    #[must_use]
    pub fn add_addr(&self, whose: Whose<'_>, port: u16, option: &AddAddr) -> bool {
        let addr = Address::new(option.addr, option.port.unwrap_or(0));
        if option.port.is_some() {
            mib::inc(whose.net, Mib::PortAdd);
        }
        if option.is_echo() {
            mib::inc(whose.net, Mib::EchoAdd);
            let known = self.with_paths(|paths| paths.path.settle(option.id, &addr));
            return known == Some(true) && self.advance(whose.net);
        }
        mib::inc(whose.net, Mib::AddAddr);
        events::announced(whose, option.id, option.addr, option.port.unwrap_or(port));
        let mut inner = self.inner.lock();
        let heard = !self.is_user() || events::has_listeners(whose.net);
        let new = (option.id, addr);
        // Without memory it is dropped, and the peer, which sees no echo, sends it again.
        let kept = heard
            && inner.need().is_some_and(|paths| {
                paths.add.iter().any(|old| *old == new) || paths.add.push_back(new).is_ok()
            });
        if !kept {
            mib::inc(whose.net, Mib::AddAddrDrop);
            return false;
        }
        self.note(note::ADD_ADDR)
    }

    /// REMOVE_ADDR has arrived. True: as above.
    #[must_use]
    pub fn rm_addr(&self, whose: Whose<'_>, option: &RmAddr) -> bool {
        for &id in option.ids() {
            events::removed(whose, id);
        }
        let mut inner = self.inner.lock();
        for &id in option.ids() {
            if !inner.remove(id) {
                mib::inc(whose.net, Mib::RmAddrDrop);
            }
        }
        self.note(note::RM_ADDR)
    }

    /// Whether the peer may open another subflow: the SYN is answered.
    pub fn may_join(&self, net: &Net) -> bool {
        if self.is_user() {
            return events::has_listeners(net);
        }
        let limits = Namespace::of(net).limits();
        match &self.inner.lock().paths {
            Some(paths) => paths.path.may_join(limits),
            None => limits.admit(0),
        }
    }

    /// The peer has opened another subflow: the third ACK is here. Whether it may; then it counts, until
    /// [`Manager::subflow_closed`]. None may without memory.
    #[must_use]
    pub fn accept_join(&self, net: &Net) -> bool {
        let user = self.is_user();
        if user && !events::has_listeners(net) {
            return false;
        }
        let limits = Namespace::of(net).limits();
        let mut inner = self.inner.lock();
        let Some(paths) = inner.need() else {
            return false;
        };
        if user {
            paths.path.count();
            return true;
        }
        paths.path.on_join(limits)
    }

    /// The ID by which the peer is to know a local address. None: there is no room for another one.
    pub fn local_id(&self, net: &Net, addr: &Address, ifindex: i32) -> Option<u8> {
        let mut inner = self.inner.lock();
        // The first subflow's, with paths or without.
        if addr.ip() == inner.local.ip() {
            return Some(0);
        }
        let id = if self.is_user() {
            let paths = inner.need()?;
            let addr = paths.path.without_own_port(addr);
            paths.user.local_id(&addr, ifindex)
        } else {
            Namespace::of(net).local_id(addr, ifindex)
        };
        id.ok()
    }

    /// Whether subflows from a local address are to be backups.
    pub fn is_backup(&self, net: &Net, addr: &Address) -> bool {
        if self.is_user() {
            let inner = self.inner.lock();
            let paths = inner.paths.as_ref();
            let entry = paths.and_then(|paths| paths.user.by_addr(addr));
            return entry.is_some_and(|entry| entry.flags.contains(EndpointFlags::BACKUP));
        }
        Namespace::of(net).is_backup(addr)
    }

    /// Whether joins to this local address and port are expected, although the connection itself has another
    /// port: it was announced.
    pub fn is_announced(&self, addr: &Address) -> bool {
        let inner = self.inner.lock();
        let paths = inner.paths.as_ref();
        paths.is_some_and(|paths| paths.path.announced().contains(addr))
    }

    /// Whether [`Manager::signal`] has something to give. Cheap.
    #[inline]
    pub fn has_signal(&self) -> bool {
        self.signals.load(Ordering::Relaxed)
    }

    /// Takes the announcement that is to go onto a segment with `room` bytes left for options. `alone`: there
    /// is no other option of ours on it, so that what does not fit never will, and is given up. The HMAC of an
    /// ADD_ADDR is up to the caller. Only for segments without data. Counts what is sent.
    pub fn signal(&self, net: &Net, room: usize, alone: bool) -> Taken {
        let mut inner = self.inner.lock();
        let Some(paths) = inner.paths.as_deref_mut() else {
            return Taken::default();
        };
        let taken = paths.path.signals().take(room, alone);
        self.update(paths);
        match taken {
            Ok(Some(signal)) => {
                sent(net, &signal);
                Taken {
                    signal: Some(signal),
                    work: false,
                }
            }
            Err(signal) if alone => {
                dropped(net, &signal);
                let settled = match signal {
                    Signal::AddAddr { id, addr } => paths.path.settle(id, &addr),
                    _ => false,
                };
                Taken {
                    signal: None,
                    work: settled && self.advance(net),
                }
            }
            _ => Taken::default(),
        }
    }

    /// The numbers for `MPTCP_INFO`.
    pub fn counts(&self) -> Counts {
        let inner = self.inner.lock();
        let Some(paths) = &inner.paths else {
            return Counts::default();
        };
        let path = &paths.path;
        Counts {
            subflows: path.subflows(),
            add_addr_signal: path.add_addr_signaled(),
            add_addr_accepted: path.add_addr_accepted(),
            local_addr_used: if self.is_user() {
                paths.user.count()
            } else {
                path.local_addr_used()
            },
        }
    }

    /// The most that [`Manager::counts`] can be; none if user space decides.
    pub fn most(&self, net: &Net) -> Option<Counts> {
        if self.is_user() {
            return None;
        }
        let Snapshot { endpoints, limits } = Namespace::of(net).snapshot();
        let count = |flag| u8::try_from(endpoints.count(flag)).unwrap_or(u8::MAX);
        Some(Counts {
            subflows: limits.subflows,
            add_addr_signal: count(EndpointFlags::SIGNAL),
            add_addr_accepted: limits.add_addr_accepted,
            local_addr_used: count(EndpointFlags::SUBFLOW),
        })
    }

    /// Makes the paths, unless they are there: then [`Manager::with_paths`] finds them. Process context.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn need_paths(&self) -> Result {
        if self.inner.lock().paths.is_some() {
            return Ok(());
        }
        let room = KBox::new_uninit(GFP_KERNEL)?;
        let mut inner = self.inner.lock();
        if inner.paths.is_none() {
            inner.make(room);
        }
        Ok(())
    }

    /// The paths, for as long as `f` takes. None if there are none.
    pub(super) fn with_paths<R>(&self, f: impl FnOnce(&mut Paths) -> R) -> Option<R> {
        let mut inner = self.inner.lock();
        let paths = inner.paths.as_deref_mut()?;
        let result = f(paths);
        self.update(paths);
        Some(result)
    }

    /// What the socket's subflows may be.
    pub(super) fn families(&self) -> Families {
        self.inner.lock().families
    }

    /// Whether something is noted.
    pub(super) fn has_notes(&self) -> bool {
        self.notes.load(Ordering::Relaxed) != 0
    }

    /// Takes all notes.
    pub(super) fn take_notes(&self) -> u32 {
        self.notes.swap(0, Ordering::Acquire)
    }

    fn note(&self, bits: u32) -> bool {
        self.notes.fetch_or(bits, Ordering::Release) & bits != bits
    }

    /// Has [`super::work`] look for what comes next. User space looks for itself.
    fn advance(&self, net: &Net) -> bool {
        !self.is_user() && Namespace::of(net).is_busy() && self.note(note::ADVANCE)
    }

    fn update(&self, paths: &mut Paths) {
        let any = !paths.path.signals().is_empty();
        self.signals.store(any, Ordering::Relaxed);
    }
}

/// How a connection came to be.
#[derive(Clone, Copy, Debug)]
pub struct Created {
    /// Which side this host is.
    pub side: Side,
    /// The peer's "C" flag: its first address is not for further subflows.
    pub deny_join_id0: bool,
    /// What the socket's subflows may be.
    pub families: Families,
}

fn wants_user(net: &Net) -> bool {
    net.state::<Netns>().sysctls.pm_type() == PM_TYPE_USERSPACE
}

/// Counts a signal that is sent.
fn sent(net: &Net, signal: &Signal) {
    match signal {
        Signal::Echo { .. } => mib::inc(net, Mib::EchoAddTx),
        Signal::AddAddr { .. } => mib::inc(net, Mib::AddAddrTx),
        Signal::RmAddr(list) => mib::add(net, Mib::RmAddrTx, list.ids().len()),
    }
}

/// Counts a signal that cannot be sent.
pub(super) fn dropped(net: &Net, signal: &Signal) {
    match signal {
        Signal::Echo { .. } => mib::inc(net, Mib::EchoAddTxDrop),
        Signal::AddAddr { .. } => mib::inc(net, Mib::AddAddrTxDrop),
        Signal::RmAddr(list) => mib::add(net, Mib::RmAddrTxDrop, list.ids().len()),
    }
}

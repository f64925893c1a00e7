// SPDX-License-Identifier: GPL-2.0

//! What path managers ask of connections, and connections tell them.

use super::{
    close, count, join, open, rescue, token, trace, ConnRef, Msk, MskSock, Sub, IPPROTO_MPTCP,
};
use crate::observe::mib::Mib;
use crate::observe::trace::PmAction;
use crate::pm::events::{LISTENER_CLOSED, LISTENER_CREATED};
use crate::pm::{self, Connection, Connections, Created, Manager, ResetSeen, Side};
use crate::pm::{SubflowInfo, Which, Whose};
use crate::proto::crypto::{add_addr_hmac, constant_time_eq};
use crate::proto::handshake::Agreed;
use crate::proto::option::Options;
use crate::proto::pm::{Connect, Families, Signal};
use crate::subflow::shared::flag;
use crate::subflow::{flag as sub_flag, Subflow};
use crate::sys::listener::Listener;
use crate::sys::msock::{Guard, Timer};
use crate::sys::net::Net;
use crate::sys::sha256::KernelSha256;
use crate::sys::sock::{state, Sock};
use crate::sys::tcp::Ssk;
use crate::sys::time::Jiffies;
use crate::sys::uio::SockAddr;
use core::net::SocketAddr;
use kernel::alloc::KVec;
use kernel::error::Result;
use kernel::prelude::*;

/// Who a connection is to path managers.
pub(super) fn whose(sk: &MskSock) -> Whose<'_> {
    Whose {
        net: Net::of(sk),
        token: sk.state_of().shared().local.token,
    }
}

/// What path managers see of a subflow. `subflow` is none while its connection is being made.
pub(super) fn info(sk: &MskSock, ssk: &Sock, subflow: Option<&Subflow<ConnRef>>) -> SubflowInfo {
    let (local, remote) = ssk.ends();
    let (local_id, remote_id) = subflow.map_or((0, 0), |subflow| subflow.ids());
    let is = |bit| subflow.is_some_and(|subflow| subflow.is(bit));
    let established = sk.state() == state::ESTABLISHED;
    SubflowInfo {
        local_id,
        remote_id,
        local,
        remote,
        backup: is(sub_flag::PEER_BACKUP),
        ifindex: ssk.bound_interface(),
        active: !is(sub_flag::CLOSING)
            && matches!(
                ssk.state(),
                state::SYN_SENT | state::ESTABLISHED | state::CLOSE_WAIT
            ),
        err: if established { ssk.err() } else { 0 },
        reset: subflow.and_then(Subflow::reset_seen).map(|rst| ResetSeen {
            reason: rst.reason.code(),
            transient: rst.is_transient(),
        }),
    }
}

/// A connection speaks MPTCP; `ssk` is its first subflow. On the server, it is fully established.
pub(super) fn created(sk: &MskSock, ssk: &Sock, side: Side, agreed: &Agreed) {
    let manager = &sk.state_of().pm;
    let first = info(sk, ssk, None);
    let how = Created {
        side,
        deny_join_id0: agreed.deny_join_id0,
        families: match (sk.is_ipv6(), sk.is_ipv6_only()) {
            (false, _) => Families::V4,
            (true, true) => Families::V6,
            (true, false) => Families::Both,
        },
    };
    trace::pm(sk, PmAction::Created, &first);
    manager.created(whose(sk), &first, how);
    if side == Side::Server {
        sk.state_of().shared().set(flag::CONFIRMED);
    }
    if side == Side::Server && manager.fully_established(whose(sk), &first) {
        sk.schedule();
    }
}

/// A connection is over, as far as user space is concerned. Again for nothing.
pub(super) fn closed(sk: &MskSock) {
    sk.state_of().pm.closed(whose(sk));
}

/// A further subflow is established.
pub(super) fn subflow_established(sk: &MskSock, ssk: &Sock, subflow: &Subflow<ConnRef>) {
    let told = info(sk, ssk, Some(subflow));
    trace::pm(sk, PmAction::Established, &told);
    if sk.state_of().pm.subflow_established(whose(sk), &told) {
        sk.schedule();
    }
}

/// A subflow is closed.
pub(super) fn subflow_closed(sk: &MskSock, sub: &Sub) {
    let told = info(sk, &sub.ssk, Some(&sub.ctx));
    trace::pm(sk, PmAction::Closed, &told);
    // At the end of the connection that alone is told.
    let established = sk.state() == state::ESTABLISHED;
    let further = sub.ctx.clear(sub_flag::COUNTED);
    let manager = &sk.state_of().pm;
    if manager.subflow_closed(whose(sk), &told, further, established) {
        sk.schedule();
    }
}

/// A subflow that was let in comes to nothing, before anybody was told of it. Any context.
pub(super) fn forget(sk: &MskSock, sub: &Sub) {
    let told = info(sk, &sub.ssk, Some(&sub.ctx));
    let further = sub.ctx.clear(sub_flag::COUNTED);
    let manager = &sk.state_of().pm;
    if manager.subflow_closed(whose(sk), &told, further, false) {
        sk.schedule();
    }
}

/// A socket listens, with `ssk`.
pub(super) fn listening(sk: &MskSock, ssk: &Sock) {
    pm::events::listener(LISTENER_CREATED, Net::of(sk), ssk.ends().0);
}

/// A socket listens no more, if it did.
pub(super) fn not_listening(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    if let (state::LISTEN, Some(sub)) = (sk.state(), guard.inner().subs.first()) {
        pm::events::listener(LISTENER_CLOSED, Net::of(sk), sub.ssk.ends().0);
    }
}

/// Does what path management has to do. Process context, no subflow's lock is held.
pub(super) fn work(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    // TCP expects that nobody owns a socket that nobody has accepted.
    if sk.state() != state::CLOSE && !sk.state_of().shared().is(flag::QUEUED) {
        pm::work(guard);
    }
}

impl ConnRef {
    /// See [`crate::subflow::Connection::fully_established`].
    pub(super) fn on_fully_established(&self, subflow: &Subflow<Self>, ssk: &Sock) {
        let sk = self.sk();
        let told = info(sk, ssk, Some(subflow));
        self.msk().shared.set(flag::CONFIRMED);
        if self.msk().pm.fully_established(whose(sk), &told) {
            sk.schedule();
        }
    }

    /// See [`crate::subflow::Connection::announced`].
    pub(super) fn on_announced(&self, subflow: &Subflow<Self>, ssk: &Sock, options: &Options) {
        let (sk, manager) = (self.sk(), &self.msk().pm);
        let mut work = false;
        if let Some(option) = &options.add_addr {
            if option
                .hmac
                .is_none_or(|hmac| self.is_authentic(option, &hmac))
            {
                let port = ssk.ends().1.port();
                work |= manager.add_addr(whose(sk), port, option);
            }
        }
        if let Some(option) = &options.rm_addr {
            work |= manager.rm_addr(whose(sk), option);
        }
        if let Some(prio) = options.prio {
            if prio.backup {
                subflow.set(sub_flag::PEER_BACKUP);
            } else {
                subflow.clear(sub_flag::PEER_BACKUP);
            }
            manager.prio_received(whose(sk), &info(sk, ssk, Some(subflow)));
        }
        if work {
            sk.schedule();
        }
    }

    /// Whether an ADD_ADDR comes from who knows both keys.
    fn is_authentic(&self, option: &crate::proto::option::AddAddr, hmac: &[u8; 8]) -> bool {
        let shared = &self.msk().shared;
        shared.agreed().is_some_and(|agreed| {
            let right = add_addr_hmac::<KernelSha256>(
                agreed.peer_key,
                shared.key,
                option.id,
                option.addr,
                option.port,
            );
            constant_time_eq(&right, hmac)
        })
    }

    /// See [`crate::subflow::Connection::announcement`].
    pub(super) fn take_announcement(&self, room: usize) -> Option<Signal> {
        let taken = self.msk().pm.signal(Net::of(self.sk()), room, true);
        if let Some(signal) = &taken.signal {
            trace::pm_signal(self.sk(), signal);
        }
        if taken.work {
            self.sk().schedule();
        }
        taken.signal
    }
}

impl Connection for Guard<'_, Msk> {
    fn net(&self) -> &Net {
        Net::of(self.sk())
    }

    fn manager(&self) -> &Manager {
        &self.sk().state_of().pm
    }

    fn may_open(&self) -> bool {
        let sk = self.sk();
        let shared = sk.state_of().shared();
        sk.state() == state::ESTABLISHED
            && shared.is(flag::AGREED)
            && !shared.is(flag::FALLBACK | flag::FAIL_WAIT | flag::QUEUED)
    }

    fn for_each(&mut self, f: &mut dyn FnMut(&SubflowInfo)) {
        let sk = Guard::sk(self);
        for sub in self.inner().subs.iter() {
            if sub.ssk.state() != state::CLOSE {
                f(&info(sk, &sub.ssk, Some(&sub.ctx)));
            }
        }
    }

    fn open(&mut self, connect: &Connect) -> Result {
        join::open(self, connect)
    }

    fn close(&mut self, which: Which<'_>) -> usize {
        let sk = Guard::sk(self);
        let (mut closed, mut index) = (0, 0);
        while let Some(sub) = self.inner().subs.get(index) {
            let info = info(sk, &sub.ssk, Some(&sub.ctx));
            if info.active && which(&info) {
                trace::pm(sk, PmAction::Close, &info);
                rescue::remove(self, index);
                closed += 1;
            } else {
                index += 1;
            }
        }
        if closed > 0 {
            sk.state_of().shared().set(flag::MULTI);
            close::on_subflow(self, None);
            close::later(self, close::todo::PUSH);
        }
        closed
    }

    fn send_ack(&mut self, which: Which<'_>) -> bool {
        let Some(sub) = first(self, which) else {
            return false;
        };
        Ssk::lock(&sub.ssk).send_ack();
        true
    }

    fn send_prio(&mut self, which: Which<'_>, backup: bool) -> bool {
        let Some(sub) = first(self, which) else {
            return false;
        };
        if backup {
            sub.ctx.set(sub_flag::BACKUP);
        } else {
            sub.ctx.clear(sub_flag::BACKUP);
        }
        sub.ctx.set(sub_flag::PRIO);
        trace::pm_prio(Guard::sk(self), &sub, backup);
        Ssk::lock(&sub.ssk).send_ack();
        true
    }

    fn set_timer(&mut self, delay: Jiffies) {
        let when = Jiffies::now().after(delay);
        self.sk().set_timer(Timer::Announce, when.0);
    }
}

/// The first active subflow that is meant, and can send.
fn first(guard: &mut Guard<'_, Msk>, which: Which<'_>) -> Option<Sub> {
    let sk = guard.sk();
    let mut subs = guard.inner().subs.iter();
    let found = subs.find(|sub| {
        let info = info(sk, &sub.ssk, Some(&sub.ctx));
        info.active && sub.ssk.state() != state::SYN_SENT && which(&info)
    });
    found.cloned()
}

/// All connections.
pub struct All;

impl Connections for All {
    fn with_token<R>(net: &Net, token: u32, f: impl FnOnce(&mut dyn Connection) -> R) -> Option<R> {
        let sk = token::find(token).filter(|sk| Net::of(sk).is_same(net))?;
        let mut guard = sk.lock();
        // A token is told to user space with the first event; before that nobody knows it.
        if !sk.state_of().shared().is(flag::AGREED) || sk.state() == state::CLOSE {
            return None;
        }
        let result = f(&mut guard);
        close::settle(&mut guard);
        Some(result)
    }

    fn for_each(net: &Net, f: &mut dyn FnMut(&mut dyn Connection)) {
        let mut place = Some(0);
        while let Some(at) = place {
            let mut found = KVec::new();
            place = token::TOKENS.walk(at, &mut |sk| {
                if Net::of(sk).is_same(net) && sk.state_of().shared().is(flag::AGREED) {
                    let _ = found.push(sk.hold_ours(), GFP_KERNEL);
                }
            });
            for sk in found.iter() {
                let mut guard = sk.lock();
                if !sk.state_of().shared().is(flag::QUEUED) && sk.state() != state::CLOSE {
                    f(&mut guard);
                    close::settle(&mut guard);
                }
            }
        }
    }

    fn listen(net: &Net, addr: SocketAddr, backlog: i32) -> Result<Listener> {
        let addr = SockAddr::of(addr);
        Listener::open::<Msk>(net, IPPROTO_MPTCP, addr, backlog, |sk| {
            let first = open::first(&mut sk.lock())?;
            first.ctx.set(sub_flag::ENDPOINT);
            Ok(())
        })
    }
}

/// MP_PRIO has left.
pub(super) fn prio_sent(sk: &MskSock) {
    count(sk, Mib::MpPrioTx);
}

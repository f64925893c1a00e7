// SPDX-License-Identifier: GPL-2.0

//! What a connection tells tracepoints.

use super::{ConnRef, Locked, Msk, MskSock, Sub};
use crate::observe::trace::{
    self, Candidate as CandidateEvent, Decision as DecisionEvent, Event, Fallback, Flow, GetSend,
    Pm, PmAction, SchedCandidate, SchedDecision, SubflowGetSend,
};
use crate::pm::SubflowInfo;
use crate::proto::fallback::FallbackCause;
use crate::proto::pm::{Connect, Signal};
use crate::proto::sched::{Candidate, Demand, Pick};
use crate::proto::seq::Dsn;
use crate::subflow::{flag as sub_flag, Subflow};
use crate::sys::glance::Glance;
use crate::sys::skb::Ends;
use crate::sys::sock::Sock;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use kernel::error::Result;

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

/// The connection's token.
fn token(sk: &MskSock) -> u32 {
    sk.state_of().shared().local.token
}

/// Every subflow is looked at as one that could send.
#[inline(always)]
pub(super) fn asked(inner: &Locked) {
    if SubflowGetSend::is_on() {
        tell_asked(inner);
    }
}

#[cold]
#[inline(never)]
fn tell_asked(inner: &Locked) {
    for sub in inner.subs.iter() {
        let glance = Glance::at(&sub.ssk);
        let rate = glance.path().pacing_rate;
        let queued = u64::try_from(sub.ssk.wmem_queued()).unwrap_or(0);
        SubflowGetSend::trace(|| GetSend {
            active: super::place::usable(sub),
            free: glance.memory_free(),
            snd_wnd: glance.snd_wnd(),
            pace: rate as u32,
            backup: sub.ctx.is_backup().into(),
            ratio: (queued << 32).checked_div(rate & 0xffff_ffff).unwrap_or(0),
        });
    }
}

/// What the scheduler was asked.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) dsn: Dsn,
    pub(super) demand: Demand,
    pub(super) again: bool,
}

/// The scheduler has been asked about `candidates`, and has said `pick`.
#[inline(always)]
pub(super) fn decided(
    msk: &Msk,
    inner: &Locked,
    candidates: &[Candidate],
    asked: Asked,
    pick: Option<Pick>,
) {
    if CandidateEvent::is_on() || DecisionEvent::is_on() {
        tell_decided(msk, inner, candidates, asked, pick);
    }
}

#[cold]
#[inline(never)]
fn tell_decided(
    msk: &Msk,
    inner: &Locked,
    candidates: &[Candidate],
    asked: Asked,
    pick: Option<Pick>,
) {
    let flow = |id: u32| {
        let sub = inner.subs.get(id as usize);
        sub.map_or(Flow::default(), |sub| sub.ctx.flow(&sub.ssk))
    };
    for candidate in candidates {
        CandidateEvent::trace(|| SchedCandidate {
            flow: flow(candidate.id),
            srtt_us: candidate.srtt_us,
            cwnd: candidate.cwnd,
            in_flight: candidate.in_flight,
            queued: candidate.queued,
            send_room: candidate.send_room,
            delivery_rate: candidate.delivery_rate,
            backup: candidate.backup.into(),
            stale: candidate.stale.into(),
            picked: pick.is_some_and(|pick| pick.id == candidate.id).into(),
        });
    }
    DecisionEvent::trace(|| SchedDecision {
        flow: pick.map_or_else(
            || Flow {
                token: msk.shared().local.token,
                ..Flow::default()
            },
            |pick| flow(pick.id),
        ),
        dsn: asked.dsn.0,
        pending: asked.demand.pending,
        window: asked.demand.window,
        burst: pick.map_or(0, |pick| pick.burst),
        candidates: u8::try_from(candidates.len()).unwrap_or(u8::MAX),
        again: asked.again.into(),
    });
}

/// The connection begins as plain TCP.
pub(super) fn unavailable(sub: &Sub) {
    Fallback::trace(move || trace::fallback(sub.ctx.flow(&sub.ssk), FallbackCause::Unavailable));
}

/// Path management has to do with a subflow.
pub(super) fn pm(sk: &MskSock, action: PmAction, subflow: &SubflowInfo) {
    Pm::trace(move || {
        let ids = (subflow.local_id, subflow.remote_id);
        let mut event = trace::pm(token(sk), action, ids, (subflow.local, subflow.remote));
        event.backup = subflow.backup.into();
        event.result = -subflow.err;
        event
    });
}

/// A subflow is opened, with this result.
pub(super) fn pm_connect(sk: &MskSock, connect: &Connect, result: &Result) {
    Pm::trace(move || {
        let local = connect.local.map_or(NOWHERE, |local| {
            SocketAddr::new(local.addr.ip(), local.addr.port())
        });
        let remote = SocketAddr::new(connect.remote.ip(), connect.remote.port());
        let ids = (connect.local.map_or(0, |local| local.id), connect.remote_id);
        let mut event = trace::pm(token(sk), PmAction::Connect, ids, (local, remote));
        event.backup = connect.local.is_some_and(|local| local.backup).into();
        event.result = result.map_or_else(|err| err.to_errno(), |()| 0);
        event
    });
}

/// The peer's subflow is one too many.
pub(super) fn pm_refuse(sk: &MskSock, ends: &Ends, ids: (u8, u8)) {
    Pm::trace(move || trace::pm(token(sk), PmAction::Refuse, ids, (ends.local, ends.remote)));
}

/// The peer's subflow is taken, or not.
pub(super) fn pm_join(sk: &MskSock, ssk: &Sock, subflow: &Subflow<ConnRef>, taken: bool) {
    Pm::trace(move || {
        let action = if taken {
            PmAction::Accept
        } else {
            PmAction::Refuse
        };
        let mut event = trace::pm(token(sk), action, subflow.ids(), ssk.ends());
        event.backup = subflow.is(sub_flag::PEER_BACKUP).into();
        event
    });
}

/// The peer is asked to treat `sub` as a backup, or no longer.
pub(super) fn pm_prio(sk: &MskSock, sub: &Sub, backup: bool) {
    Pm::trace(move || {
        let mut event = trace::pm(token(sk), PmAction::Prio, sub.ctx.ids(), sub.ssk.ends());
        event.backup = backup.into();
        event
    });
}

/// An announcement leaves.
pub(super) fn pm_signal(sk: &MskSock, signal: &Signal) {
    if !Pm::is_on() {
        return;
    }
    let token = token(sk);
    let tell = |action, ids, local: SocketAddr, remote: SocketAddr| {
        Pm::trace(|| trace::pm(token, action, ids, (local, remote)));
    };
    match *signal {
        Signal::AddAddr { id, addr } => {
            let local = SocketAddr::new(addr.ip(), addr.port());
            tell(PmAction::AddAddr, (id, 0), local, NOWHERE);
        }
        Signal::Echo { id, addr } => {
            let remote = SocketAddr::new(addr.ip(), addr.port());
            tell(PmAction::AddAddrEcho, (0, id), NOWHERE, remote);
        }
        Signal::RmAddr(list) => {
            for &id in list.ids() {
                tell(PmAction::RmAddr, (id, 0), NOWHERE, NOWHERE);
            }
        }
    }
}

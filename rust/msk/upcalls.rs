// SPDX-License-Identifier: GPL-2.0

//! What subflows tell the connection.

use super::{close, count, fastopen, note, place, rescue, rx, send, ConnRef, Msk, MskSock};
use crate::netstate::Netns;
use crate::observe::log;
use crate::observe::mib::Mib;
use crate::observe::trace::{self, Event, Flow};
use crate::proto::fallback::{Fallback, FallbackCause, Verdict};
use crate::proto::handshake::{Agreed, CapableServer, Config, Exchange, Request};
use crate::proto::handshake::{JoinError, JoinRequest};
use crate::proto::option::{Options, TcpRst};
use crate::proto::pm::{Address, Signal};
use crate::proto::seq::Dsn;
use crate::subflow::join::{PendingJoin, Terms};
use crate::subflow::shared::{flag, Shared};
use crate::subflow::{flag as sub_flag, Connection, Pending, PendingCapable, Subflow, Syn, Tally};
use crate::sys::msock::Guard;
use crate::sys::net::Net;
use crate::sys::request::Requests;
use crate::sys::rxdata::RxSkb;
use crate::sys::skb::Ends;
use crate::sys::sock::{state, Sock};
use crate::sys::spin::SpinGuard;
use crate::sys::tcp::Ssk;
use kernel::error::Result;
use kernel::sync::Arc;

/// The requests of all listeners.
pub static REQUESTS: Requests<Syn, Pending<ConnRef>, TcpRst> = Requests::new();

impl Connection for ConnRef {
    #[inline]
    fn shared(&self) -> &Shared {
        &self.msk().shared
    }

    #[inline]
    fn rcv_space(&self) -> i32 {
        let sk = self.sk();
        sk.rcvbuf() - sk.rmem_alloc()
    }

    #[inline]
    fn is_full(&self) -> bool {
        // As long as there is nothing to read, memory is taken up by what waits for data that is missing:
        // which may be the very next. What the window has promised is taken, as it must be acknowledged, unless
        // small packets make much more of it than its bytes; a connection without numbers has TCP's window.
        let shared = self.msk().shared();
        let promised = shared.is(flag::AGREED) && !shared.is(flag::FALLBACK);
        let times = if promised { rx::OVERDRAFT } else { 1 };
        let sk = self.sk();
        sk.rmem_alloc() / times >= sk.rcvbuf() && self.msk().readable() > 0
    }

    #[inline]
    fn receive(&self, dsn: Dsn, skb: RxSkb) {
        let msk = self.msk();
        msk.shared.times.received.touch();
        msk.rx.lock().insert(self.sk(), dsn, skb);
    }

    fn receive_early(&self, skb: RxSkb) {
        let msk = self.msk();
        msk.shared.times.received.touch();
        msk.rx.lock().insert_early(self.sk(), skb);
    }

    #[inline]
    fn received(&self) -> bool {
        let sk = self.sk();
        if self.msk().shared.is(flag::EOF | flag::NO_READER) {
            return self.on_last_data();
        }
        rx::wake(sk);
        false
    }

    #[inline]
    fn awaits_reader(&self) -> bool {
        rx::is_enough(self.sk()) && self.sk().has_sleeper()
    }

    #[cold]
    fn short_of_memory(&self) {
        if let Some(mut guard) = self.sk().lock_softirq(note::SHORT) {
            close::later(&mut guard, close::todo::RESUME);
        }
    }

    fn subflow_ended(&self) {
        let shared = &self.msk().shared;
        if shared.is(flag::FALLBACK) && shared.set(flag::EOF) {
            self.on_eof();
        }
    }

    fn data_fin(&self, dsn: Dsn) -> bool {
        let reached = self.msk().rx.lock().data_fin(self.sk(), dsn);
        !reached || self.on_eof()
    }

    #[inline]
    fn after_ack(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>) {
        let shared = &self.msk().shared;
        if subflow.is(sub_flag::STALE | sub_flag::RESCUED) && subflow.revive(ssk) {
            count(self.sk(), Mib::SubflowRecover);
        }
        if shared.is(flag::FALLBACK) {
            // TCP's acknowledgements are the connection's.
            let acked = self.fallback_acked(ssk, subflow);
            if acked {
                shared.set(flag::ACKED);
            }
        }
        if !shared.is(flag::PENDING | flag::ACKED) {
            return;
        }
        let sk = self.sk();
        if let Some(mut guard) = sk.lock_softirq(note::LOOK) {
            send::clean(&mut guard);
            if shared.is(flag::PENDING) {
                let held = place::Held { ssk, ctx: subflow };
                place::distribute(&mut guard, Some(held), false);
                send::remember_pending(&mut guard);
                if guard.inner().tx.unsent() == 0 {
                    if shared.fin_due().is_some() {
                        subflow.set(sub_flag::ACK_DUE);
                    }
                    if shared.is(flag::FIN) && shared.is(flag::FALLBACK) {
                        close::later(&mut guard, close::todo::SHUTDOWN);
                    }
                }
            }
            send::grow_sndbuf(&mut guard);
        }
    }

    fn vanished(&self) {
        let sk = self.sk();
        if Net::of(sk).state::<Netns>().sysctls.blackhole_detected() {
            count(sk, Mib::Blackhole);
        }
    }

    fn connected(&self, ssk: &mut Ssk<'_>, outcome: Result<Agreed, FallbackCause>) {
        let known = self.msk().shared.is(flag::FALLBACK);
        if let (Err(cause), false) = (outcome, known) {
            trace_fallback(self.first_flow(ssk), cause);
        }
        self.handshake_done(ssk, outcome.ok());
        if let Some(mut guard) = self.sk().lock_softirq(note::CONNECTED) {
            on_connected(&mut guard);
        }
    }

    fn fall_back(&self, ssk: &mut Ssk<'_>, cause: FallbackCause) {
        if self.msk().shared.set(flag::FALLBACK) {
            trace_fallback(self.first_flow(ssk), cause);
            log::fallback(self.msk().shared.local.token, cause);
            self.msk().fallback.lock().on_fallback();
            let counter = match cause {
                FallbackCause::NoDss => Mib::MpCapableDataFallback,
                FallbackCause::InfiniteMapRx => Mib::InfiniteMapRx,
                FallbackCause::AckWithoutCapable => Mib::MpCapableFallbackAck,
                FallbackCause::SimultaneousConnect => Mib::SimultConnectFallback,
                FallbackCause::InfiniteMapTx => Mib::InfiniteMapTx,
                FallbackCause::Vanished => Mib::MpCapableSynTxDrop,
                FallbackCause::BadMapping => Mib::DssCorruptionFallback,
                _ => Mib::DssFallback,
            };
            count(self.sk(), counter);
            if !matches!(
                cause,
                FallbackCause::AckWithoutCapable
                    | FallbackCause::InfiniteMapTx
                    | FallbackCause::Vanished
                    | FallbackCause::SimultaneousConnect
            ) {
                count(self.sk(), Mib::InfiniteMapTx);
            }
            if let Some(mut guard) = self.sk().lock_softirq(note::FALLBACK) {
                on_fallback(&mut guard);
            }
        }
    }

    fn subflow_changed(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>) {
        let sk = self.sk();
        match ssk.state() {
            state::ESTABLISHED => {
                if let Some(mut guard) = sk.lock_softirq(note::CONNECTED) {
                    on_connected(&mut guard);
                }
            }
            state::CLOSE
            | state::CLOSE_WAIT
            | state::LAST_ACK
            | state::CLOSING
            | state::TIME_WAIT
            | state::FIN_WAIT2 => {
                // The end is behind the data: what is left of that first.
                subflow.drain(ssk);
                if ssk.state() == state::CLOSE {
                    subflow.set(sub_flag::ENDED);
                    if subflow.clear(sub_flag::COUNTED) {
                        // It makes room for another one now, whenever it is put away.
                        self.msk().pm.subflow_ended();
                    }
                }
                if let Some(mut guard) = sk.lock_softirq(note::SUBFLOW) {
                    close::on_subflow(&mut guard, Some(ssk));
                }
            }
            _ => {}
        }
    }

    fn subflow_failed(&self, ssk: &mut Ssk<'_>, _subflow: &Subflow<Self>) {
        if let Some(mut guard) = self.sk().lock_softirq(note::SUBFLOW) {
            close::on_subflow(&mut guard, Some(ssk));
        }
    }

    fn subflow_released(&self, subflow: &Subflow<Self>) {
        let shared = &self.msk().shared;
        if !subflow.is(sub_flag::JOIN) && shared.is(flag::QUEUED) && shared.set(flag::ABANDONED) {
            if let Some(mut guard) = self.sk().lock_softirq(note::ABANDONED) {
                close::on_abandoned(&mut guard);
            }
        }
    }

    fn reset_subflow(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>) {
        if subflow.set(sub_flag::CLOSING) {
            let (token, ends) = (self.msk().shared.local.token, ssk.address());
            log::violation(token, subflow.number(), ends.local_port, ends.remote_port);
            if let Some(mut guard) = self.sk().lock_softirq(note::SUBFLOW) {
                close::later(&mut guard, close::todo::RESET_MARKED);
            }
        }
    }

    fn fastclosed(&self) {
        if let Some(mut guard) = self.sk().lock_softirq(note::FASTCLOSED) {
            close::on_fastclose(&mut guard);
        }
    }

    fn fully_established(&self, subflow: &Subflow<Self>, sk: &Sock) {
        if subflow.is(sub_flag::JOIN) {
            if let Some(mut guard) = self.sk().lock_softirq(note::PATH) {
                rescue::hurry(&mut guard);
            }
        }
        self.on_fully_established(subflow, sk);
    }

    fn announced(&self, subflow: &Subflow<Self>, sk: &Sock, options: &Options) {
        self.on_announced(subflow, sk, options);
    }

    #[inline]
    fn has_announcement(&self) -> bool {
        self.msk().pm.has_signal()
    }

    fn announcement(&self, room: usize) -> Option<Signal> {
        self.take_announcement(room)
    }

    fn prio_sent(&self) {
        super::pm::prio_sent(self.sk());
    }

    fn bad_checksum(&self, subflow: &Subflow<Self>) -> Verdict {
        count(self.sk(), Mib::DataCsumErr);
        log::checksum(self.msk().shared.local.token);
        let joined = subflow.is(sub_flag::JOIN);
        let seen = subflow.is(sub_flag::GOOD_CSUM);
        let verdict = self.way_back().on_bad_checksum(joined, seen);
        if verdict == Verdict::SendFail {
            self.msk().shared.set(flag::FAIL_WAIT);
            if let Some(mut guard) = self.sk().lock_softirq(note::FAIL_SAID) {
                rescue::await_answer(&mut guard);
            }
        }
        verdict
    }

    fn mp_fail(&self) -> Verdict {
        let verdict = self.way_back().on_mp_fail();
        if verdict == Verdict::StopFailTimer {
            self.msk().shared.clear(flag::FAIL_WAIT);
        }
        verdict
    }

    fn tally(&self, what: Tally) {
        let counter = match what {
            Tally::ResetSent => Mib::MpRstTx,
            Tally::ResetSeen => Mib::MpRstRx,
            Tally::FailSent => Mib::MpFailTx,
            Tally::FailSeen => Mib::MpFailRx,
            Tally::MapConflict => Mib::DssNotMatching,
            Tally::MapElsewhere => Mib::DssNoMatchTcp,
            Tally::MapReset => Mib::DssCorruptionReset,
            Tally::FallbackLate => Mib::FallbackFailed,
            Tally::WindowShared => Mib::RcvWndShared,
            Tally::WindowGaveWay => Mib::RcvWndConflictUpdate,
            Tally::WindowWon => Mib::RcvWndConflict,
            Tally::Unwelcome(capable) => {
                if capable {
                    count(self.sk(), Mib::MpCapableSynRx);
                }
                Mib::MpCapableEndpAttempt
            }
        };
        count(self.sk(), counter);
    }

    fn local_terms(&self, sk: &Sock) -> Option<Terms> {
        let (local, _) = sk.ends();
        let addr = Address::new(local.ip(), local.port());
        let (net, manager) = (Net::of(sk), &self.msk().pm);
        Some(Terms {
            addr_id: manager.local_id(net, &addr, sk.bound_interface())?,
            backup: manager.is_backup(net, &addr),
        })
    }

    fn join_terms(&self, join: &JoinRequest, ends: &Ends) -> Result<Terms, TcpRst> {
        self.terms(join, ends)
    }

    fn join_answer(&self, join: &JoinRequest, terms: Terms) -> Option<PendingJoin<Self>> {
        self.answer_join(join, terms)
    }

    fn may_join(&self, ends: &Ends, ids: (u8, u8)) -> bool {
        let admitted = self.admits(ends);
        if !admitted {
            super::trace::pm_refuse(self.sk(), ends, ids);
        }
        admitted
    }

    fn joined(&self, ssk: &mut Ssk<'_>, subflow: Arc<Subflow<Self>>) -> bool {
        self.take_joined(ssk, subflow)
    }

    fn join_answered(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>) {
        self.on_join_answer(ssk, subflow);
    }

    fn join_failed(&self, error: JoinError, ack: bool) {
        self.count_failure(error, ack);
    }

    fn config(&self) -> Config {
        self.handshake()
    }

    fn answer(&self, request: Request) -> Option<PendingCapable> {
        self.answer_syn(request)
    }

    fn answer_stateless(&self, request: Request, exchange: &Exchange) -> Option<CapableServer> {
        super::cookie::answer(self, request, exchange)
    }

    fn recall(&self, options: &Options, exchange: &Exchange) -> Option<PendingCapable> {
        super::cookie::recall(self, options, exchange)
    }

    fn join_stateless(
        &self,
        join: &JoinRequest,
        terms: Terms,
        exchange: &Exchange,
    ) -> Option<PendingJoin<Self>> {
        super::cookie::answer_join(self, join, terms, exchange)
    }

    fn recall_join(&self, exchange: &Exchange) -> Option<PendingJoin<Self>> {
        super::cookie::recall_join(self, exchange)
    }

    fn accept(
        &self,
        ssk: &mut Ssk<'_>,
        subflow: Arc<Subflow<Self>>,
        pending: &PendingCapable,
        agreed: Option<Agreed>,
    ) -> Option<Self> {
        self.make_child(ssk, subflow, pending, agreed)
    }

    fn confirmed(&self, ssk: &Sock, agreed: Agreed) {
        self.msk().shared.agree(agreed);
        self.confirmed_by_peer(ssk, &agreed);
    }

    fn not_accepted(&self, flow: Flow, cause: FallbackCause) {
        trace_fallback(flow, cause);
        count(self.sk(), Mib::MpCapableFallbackAck);
    }

    fn requests() -> &'static Requests<Syn, Pending<Self>, TcpRst> {
        &REQUESTS
    }
}

impl ConnRef {
    /// How events name `ssk`, which is the first subflow: no other falls back.
    fn first_flow(&self, ssk: &Ssk<'_>) -> Flow {
        trace::flow(self.msk().shared.local.token, 1, (0, 0), ssk.sock())
    }

    /// Whether and how the connection may still become plain TCP.
    fn way_back(&self) -> SpinGuard<'_, Fallback> {
        let mut fallback = self.msk().fallback.lock();
        if self.msk().shared.is(flag::MULTI | flag::REINJECTED) {
            fallback.forbid();
        }
        fallback
    }

    /// Data was received, and it was the last, or nobody wants it, or there must not be any.
    #[cold]
    fn on_last_data(&self) -> bool {
        let (sk, msk) = (self.sk(), self.msk());
        let unwanted = msk.shared.is(flag::NO_READER) && msk.readable() > 0;
        if unwanted || msk.shared.is(flag::BEYOND_FIN) {
            if let Some(mut guard) = sk.lock_softirq(note::UNWANTED) {
                close::on_unwanted(&mut guard);
            }
            return false;
        }
        msk.shared.is(flag::EOF) && self.on_eof()
    }

    /// The end of the peer's stream was read. True if an ACK has to say so: no subflow's FIN will.
    fn on_eof(&self) -> bool {
        let sk = self.sk();
        if let Some(mut guard) = sk.lock_softirq(note::LOOK) {
            close::look(&mut guard);
        }
        rx::wake(sk);
        sk.state() != state::CLOSE
    }

    /// After a fallback: bytes that TCP has got acknowledged are acknowledged.
    fn fallback_acked(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>) -> bool {
        let shared = &self.msk().shared;
        let outstanding = ssk.write_seq().wrapping_sub(ssk.snd_una());
        let fin = u32::from(subflow.is(sub_flag::FIN_QUEUED));
        let una = shared
            .snd_nxt
            .get()
            .sub(outstanding.saturating_sub(fin).into());
        let acked = shared.snd_una.advance(una);
        if acked {
            subflow.trace_acked(self, ssk.sock(), una);
        }
        acked
    }
}

/// The connection of `flow` is plain TCP.
fn trace_fallback(flow: Flow, cause: FallbackCause) {
    trace::Fallback::trace(move || trace::fallback(flow, cause));
}

/// Notes for the owner of the lock.
pub(super) fn deferred(guard: &mut Guard<'_, Msk>, notes: u32) {
    if notes & note::FALLBACK != 0 {
        on_fallback(guard);
    }
    if notes & note::FAIL_SAID != 0 {
        rescue::await_answer(guard);
    }
    if notes & note::JOINED != 0 {
        super::join::take_in(guard);
    }
    if notes & note::CONNECTED != 0 {
        on_connected(guard);
    }
    if notes & note::PATH != 0 {
        rescue::hurry(guard);
    }
    if notes & note::FASTCLOSED != 0 {
        close::on_fastclose(guard);
    }
    if notes & note::ABANDONED != 0 {
        close::on_abandoned(guard);
    }
    if notes & note::UNWANTED != 0 {
        close::on_unwanted(guard);
    }
    if notes & note::SHORT != 0 {
        close::later(guard, close::todo::RESUME);
    }
    if notes & note::SUBFLOW != 0 {
        close::later(guard, close::todo::RESET_MARKED);
        close::on_subflow(guard, None);
    }
    if notes & note::LOOK != 0 {
        close::look(guard);
        send::push(guard, false);
    }
}

/// The first subflow has left SYN_SENT.
fn on_connected(guard: &mut Guard<'_, Msk>) {
    let sk: &MskSock = guard.sk();
    let Some(first) = guard.inner().subs.first().cloned() else {
        return;
    };
    if sk.state() != state::SYN_SENT {
        return on_confirmed(guard);
    }
    if sk.state_of().shared.is(flag::FALLBACK) {
        let _ = guard.inner().conn.on_fallback();
    }
    fastopen::settle(guard);
    let actions = guard.inner().conn.on_established();
    sk.copy_addresses(&first.ssk);
    send::grow_sndbuf(guard);
    close::act(guard, actions);
}

/// The third ACK of a connection that its SYN has opened has come: what waits for that may go.
fn on_confirmed(guard: &mut Guard<'_, Msk>) {
    let shared = guard.sk().state_of().shared();
    let fallback = shared.is(flag::FALLBACK);
    if guard.inner().tx.unsent() > 0 || shared.fin_due().is_some() {
        close::later(guard, close::todo::ACK);
    }
    if fallback && shared.is(flag::FIN) {
        close::later(guard, close::todo::SHUTDOWN);
    }
}

fn on_fallback(guard: &mut Guard<'_, Msk>) {
    let actions = guard.inner().conn.on_fallback();
    close::act(guard, actions);
}

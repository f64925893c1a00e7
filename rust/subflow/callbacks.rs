// SPDX-License-Identifier: GPL-2.0

//! What TCP tells a subflow, and its part in the handshake of a connection.

use super::{flag, info, join, shared};
use super::{speak, Connection, Locked, Pending, PendingCapable, Subflow, Syn, Tally};
use crate::bindings;
use crate::observe::trace;
use crate::proto::checksum::Checksum;
use crate::proto::fallback::{FallbackCause, Verdict};
use crate::proto::handshake::{CapableClient, Exchange, Request};
use crate::proto::option::{CapableBody, Dss, OptionBuf, Options, RstReason, TcpRst};
use crate::proto::rx_map::MapKind;
use crate::proto::seq::Ssn;
use crate::proto::tx_map::TxRecord;
use crate::sys::netlink::Message;
use crate::sys::rcu::RcuHead;
use crate::sys::request::Requests;
use crate::sys::sha256::KernelSha256;
use crate::sys::skb::{flag as tcp, Skb, TxSegment};
use crate::sys::sock::{state, LockedCell, Sock};
use crate::sys::tcp::Ssk;
use crate::sys::ulp::{self, Admit, Asked, Fate, SubflowOps};
use core::sync::atomic::Ordering;
use kernel::error::Result;
use kernel::sync::Arc;

impl<C: Connection> SubflowOps for Subflow<C> {
    type Syn = Syn;
    type Request = Pending<C>;
    type Reset = TcpRst;
    type Locked = Locked;

    fn rcu(&self) -> &RcuHead {
        &self.rcu
    }

    fn locked(&self) -> &LockedCell<Locked> {
        &self.locked
    }

    #[inline]
    fn transmit(&self, ssk: &mut Ssk<'_>, seg: &mut TxSegment<'_>) {
        self.on_transmit(ssk, seg);
    }

    fn connected(&self, ssk: &mut Ssk<'_>, skb: &Skb) {
        let Some(conn) = self.conn() else {
            return;
        };
        // TCP also calls for the first segment after its cached route was lost.
        if skb.tcp().flags() & tcp::SYN == 0 {
            return;
        }
        self.set_irs(skb.tcp().seq());
        if self.is(flag::JOIN) {
            return self.join_answered(ssk, conn, skb);
        }
        let outcome = if self.is(flag::ASK) {
            let options = Options::parse(skb.tcp().options());
            let client = CapableClient {
                config: conn.config(),
                key: conn.shared().key,
            };
            match client.on_synack::<KernelSha256>(&options) {
                // Nobody knows the sum of what TCP has kept of a SYN's data.
                Ok(agreed) if agreed.checksum && ssk.write_seq() != ssk.snd_una() => {
                    Err(FallbackCause::Incompatible)
                }
                Ok(agreed) => {
                    self.use_checksums(agreed.checksum);
                    Ok(agreed)
                }
                other => other,
            }
        } else {
            if self.clear(flag::UNHEARD) {
                conn.vanished();
            }
            Err(FallbackCause::Unavailable)
        };
        if outcome.is_ok() {
            self.number_rejected(ssk, conn);
            self.set(flag::MPTCP);
            speak(ssk);
        }
        conn.connected(ssk, outcome);
    }

    #[inline]
    fn data_ready(&self, ssk: &mut Ssk<'_>) {
        self.on_data_ready(ssk);
    }

    #[inline]
    fn after_ack(&self, ssk: &mut Ssk<'_>) {
        if self.is(flag::PUSHING) {
            return;
        }
        let Some(conn) = self.conn() else {
            return;
        };
        self.forget_acked(ssk, conn.shared().snd_una.get());
        if self.is(flag::PEER_PLAIN | flag::INFINITE_RX | flag::BAD_MAP | flag::FAIL_SEEN) {
            self.on_oddity(ssk, conn);
        }
        conn.after_ack(ssk, self);
        self.let_tail_go(ssk, conn.shared());
        self.acknowledge(ssk);
    }

    fn state_changed(&self, ssk: &mut Ssk<'_>) {
        if let Some(conn) = self.conn() {
            if self.is(flag::EARLY) && ssk.state() == state::ESTABLISHED {
                self.confirmed_early(ssk, conn);
            }
            conn.subflow_changed(ssk, self);
        }
    }

    fn failed(&self, ssk: &mut Ssk<'_>) {
        if let Some(conn) = self.conn() {
            conn.subflow_failed(ssk, self);
        }
    }

    fn released(&self, _sk: &Sock) {
        self.set(flag::RELEASED);
        if let Some(conn) = self.conn() {
            conn.subflow_released(self);
        }
    }

    fn syn(&self, _listener: &Sock, skb: &Skb) -> Asked<Syn, TcpRst> {
        let options = Options::parse(skb.tcp().options());
        let request = Request::of(&options);
        if let (true, Some(conn)) = (self.is(flag::ENDPOINT), self.conn()) {
            if !matches!(request, Request::Join(_)) {
                conn.tally(Tally::Unwelcome(options.capable.is_some()));
                return Asked::Refuse(join::refusal(RstReason::AdminProhibited, false));
            }
        }
        match (request, self.conn()) {
            (Request::Plain(cause), _) => {
                trace::declined(skb, cause);
                Asked::Plain
            }
            (_, None) => Asked::Plain,
            (Request::Join(join), Some(conn)) => match conn.join_terms(&join, &skb.ends()) {
                Ok(terms) => Asked::Ask(Syn::Join(join, terms)),
                Err(reset) => Asked::Refuse(reset),
            },
            (request, Some(_)) => Asked::Ask(Syn::Capable(request)),
        }
    }

    fn request(&self, _listener: &Sock, syn: Syn, _isn: u32) -> Option<Pending<C>> {
        let conn = self.conn()?;
        match syn {
            Syn::Capable(request) => conn.answer(request).map(Pending::Capable),
            Syn::Join(join, terms) => conn.join_answer(&join, terms).map(Pending::Join),
        }
    }

    fn synack(request: &Pending<C>, seg: &mut TxSegment<'_>) -> bool {
        let mut buf = OptionBuf::new();
        let written = match request {
            Pending::Capable(pending) => pending.server.synack().emit(&mut buf),
            Pending::Join(pending) => pending.server.synack::<KernelSha256>().emit(&mut buf),
        };
        written.is_err() || super::transmit::append_synack(seg, &buf)
    }

    fn request_early(&self, listener: &Sock, syn: Syn, isn: u32) -> Option<Pending<C>> {
        // A further subflow has a handshake of its own.
        let capable = matches!(syn, Syn::Capable(_));
        capable.then(|| self.request(listener, syn, isn)).flatten()
    }

    fn opened(&self, ssk: &mut Ssk<'_>) {
        self.on_data_ready(ssk);
    }

    fn synack_stateless(&self, syn: Syn, seg: &mut TxSegment<'_>) -> bool {
        let header = seg.header();
        let exchange = Exchange {
            isn: header.seq(),
            peer_isn: header.ack().wrapping_sub(1),
            port: header.source(),
            peer_port: header.dest(),
        };
        let Some(conn) = self.conn() else {
            return false;
        };
        let mut buf = OptionBuf::new();
        let written = match syn {
            Syn::Capable(request) => conn
                .answer_stateless(request, &exchange)
                .is_some_and(|server| server.synack().emit(&mut buf).is_ok()),
            Syn::Join(join, terms) => conn
                .join_stateless(&join, terms, &exchange)
                .is_some_and(|it| it.server.synack::<KernelSha256>().emit(&mut buf).is_ok()),
        };
        if written {
            super::transmit::append(seg, &buf);
        }
        written
    }

    fn recall(&self, skb: &Skb) -> Result<Option<Pending<C>>, TcpRst> {
        let header = skb.tcp();
        let exchange = Exchange {
            isn: header.ack().wrapping_sub(1),
            peer_isn: header.seq().wrapping_sub(1),
            port: header.dest(),
            peer_port: header.source(),
        };
        let options = Options::parse(header.options());
        let Some(conn) = self.conn() else {
            return Ok(None);
        };
        if let Some(pending) = conn.recall_join(&exchange) {
            return Ok(Some(Pending::Join(pending)));
        }
        if options.join.is_some() {
            return Err(join::refusal(RstReason::MptcpSpecific, true));
        }
        Ok(conn.recall(&options, &exchange).map(Pending::Capable))
    }

    fn child(request: &Pending<C>) -> Option<Arc<Self>> {
        match request {
            Pending::Capable(_) => Self::for_child(),
            Pending::Join(pending) => Self::for_join(pending),
        }
    }

    fn joins(request: &Pending<C>) -> bool {
        matches!(request, Pending::Join(_))
    }

    fn admit(request: &Pending<C>, skb: &Skb, rcv_isn: u32) -> Admit<TcpRst> {
        if let Pending::Join(pending) = request {
            return pending.admit(skb);
        }
        // Data that has overtaken the third ACK carries a DSS but not the keys: its sender speaks MPTCP.
        // Waiting for the keys, which are sent again, keeps the connection from falling back.
        if skb.tcp().seq() == rcv_isn.wrapping_add(1) {
            return Admit::Take;
        }
        let options = Options::parse(skb.tcp().options());
        if options.dss.is_none() || options.capable.is_some() {
            Admit::Take
        } else {
            Admit::Wait
        }
    }

    fn refuse(reset: &TcpRst, seg: &mut TxSegment<'_>) {
        join::refuse(reset, seg);
    }

    fn established(
        &self,
        ssk: &mut Ssk<'_>,
        listener: &Self,
        request: &Pending<C>,
        skb: &Skb,
    ) -> Fate {
        match request {
            Pending::Capable(pending) => self.accepted(ssk, listener, pending, skb),
            Pending::Join(pending) => self.joined(ssk, &pending.conn, skb),
        }
    }

    fn requests() -> &'static Requests<Syn, Pending<C>, TcpRst> {
        C::requests()
    }

    const INFO: u32 = info::KIND;

    fn info(&self, ssk: &mut Ssk<'_>, to: &mut Message<'_>) -> Result {
        self.tell(ssk, to)
    }

    fn info_size() -> usize {
        info::SIZE
    }
}

impl<C: Connection> Subflow<C> {
    /// The third ACK of an MP_CAPABLE handshake, `skb`, has made this the socket `ssk`.
    fn accepted(
        &self,
        ssk: &mut Ssk<'_>,
        listener: &Self,
        request: &PendingCapable,
        skb: &Skb,
    ) -> Fate {
        let header = skb.tcp();
        let options = Options::parse(header.options());
        let (Some(listening), Some(this)) = (listener.conn(), ulp::of_sock::<Self>(ssk)) else {
            return Fate::Plain;
        };
        if header.flags() & tcp::SYN != 0 {
            return self.open_early(ssk, listening, this, request, header.seq());
        }
        let confirmed = match request.server.on_ack::<KernelSha256>(&options) {
            Ok(confirmed) => confirmed,
            Err(cause) => {
                let token = request.local.token;
                listening.not_accepted(trace::flow(token, 1, (0, 0), ssk.sock()), cause);
                return Fate::Plain;
            }
        };
        let data = matches!(
            options.capable.map(|c| c.body),
            Some(CapableBody::Data { .. })
        );
        self.iss
            .store(header.ack().wrapping_sub(1), Ordering::Relaxed);
        let payload = skb.tcp_payload();
        // The third ACK stands right behind the peer's SYN, with data or without.
        let seq = header.seq();
        self.set_irs(seq.wrapping_sub(1));
        self.use_checksums(confirmed.agreed.checksum);
        let Some(conn) = listening.accept(ssk, this, request, Some(confirmed.agreed)) else {
            return Fate::Plain;
        };
        self.set(flag::MPTCP | flag::FULLY);
        if data {
            self.set(flag::SEEN_DSS);
        }
        if let (Some(map), true) = (confirmed.map, payload > 0) {
            let nxt = confirmed.agreed.first_dsn();
            if let MapKind::Data(map) = MapKind::of(&Dss::default(), &map, self.irs(), nxt) {
                let _ = self.maps.lock().insert(map);
            }
        }
        speak(ssk);
        self.belong_to(conn);
        Fate::Accept
    }

    /// The SYN-ACK has come, of MPTCP. What it acknowledges of the SYN's data comes before all numbers; the
    /// rest, which TCP sends again, has the first ones (RFC 8684 appendix B.3).
    fn number_rejected(&self, ssk: &mut Ssk<'_>, conn: &C) {
        let una = Ssn(ssk.snd_una());
        let left = Ssn(ssk.write_seq()).since(una).max(0) as u32;
        self.iss.store(una.sub(1).0, Ordering::Relaxed);
        if left > 0 {
            let shared = conn.shared();
            let dsn = shared.local.idsn.add(1);
            ulp::locked::<Self, _>(ssk, |locked| {
                let _ = locked.tx.push(TxRecord {
                    ssn: una,
                    len: left,
                    dsn,
                    sum: Checksum::new(),
                });
            });
            shared.snd_nxt.set(dsn.add(left.into()));
        }
    }

    /// A listener's first SYN-ACK for `syn` leaves. The listener is valid for the time of the call.
    pub(super) fn on_request(
        listener: *mut bindings::sock,
        syn: Syn,
        isn: u32,
    ) -> Option<Pending<C>> {
        ulp::with_listener::<Self, _>(listener, |sk, context| context.request(sk, syn, isn))?
    }

    /// Something in the options made no sense, or they were missing.
    #[cold]
    fn on_oddity(&self, ssk: &mut Ssk<'_>, conn: &C) {
        if self.clear(flag::BAD_MAP) {
            let seq = Ssn(ssk.copied_seq());
            if !conn.shared().confirmed() && self.excuse(conn.shared(), seq).is_some() {
                self.fall_back(ssk, conn, FallbackCause::BadMapping);
                self.set(flag::INFINITE);
                self.on_data_ready(ssk);
            } else {
                conn.tally(Tally::MapReset);
                self.reset_with(join::refusal(RstReason::MptcpSpecific, false));
                conn.reset_subflow(ssk, self);
            }
        }
        if self.clear(flag::FAIL_SEEN) && conn.mp_fail() == Verdict::AnswerFail {
            self.fail_dsn
                .store(conn.shared().snd_una.get().0, Ordering::Relaxed);
            self.set(flag::FAIL_DUE);
            self.fall_back(ssk, conn, FallbackCause::InfiniteMapTx);
            // Before any data: who sees the infinite mapping first has no use for the answer any more.
            self.acknowledge(ssk);
        }
        if self.clear(flag::INFINITE_RX) {
            self.fall_back(ssk, conn, FallbackCause::InfiniteMapRx);
        }
        if self.clear(flag::PEER_PLAIN) {
            if self.is(flag::JOIN) || conn.shared().is(shared::flag::MULTI) {
                if !self.is(flag::JOIN) {
                    conn.tally(Tally::FallbackLate);
                }
                self.reset_with(join::refusal(RstReason::MiddleboxInterference, false));
                conn.reset_subflow(ssk, self);
            } else {
                self.fall_back(ssk, conn, FallbackCause::NoDss);
            }
        }
    }

    /// Data has checksums, or not, as the handshake has said.
    pub(super) fn use_checksums(&self, used: bool) {
        if used {
            self.set(flag::CSUM);
        }
    }

    /// The connection goes on as plain TCP, which the peer has to know.
    pub(super) fn fall_back(&self, ssk: &mut Ssk<'_>, conn: &C, cause: FallbackCause) {
        if conn.shared().is(shared::flag::FALLBACK) {
            return;
        }
        conn.fall_back(ssk, cause);
        // Said back even to who has said it: it may have been somebody else, and both have to agree.
        self.announce_infinite();
        self.set(flag::ACK_DUE);
    }
}

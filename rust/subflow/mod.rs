// SPDX-License-Identifier: GPL-2.0

//! A TCP subflow: one of the TCP connections that carry an MPTCP connection.
//!
//! - [`shared`]: the numbers that a connection and its subflows share
//! - `callbacks`: what TCP tells a subflow, and its part in the handshake of a connection
//! - [`join`]: its part in the handshake of a further subflow
//! - `early`: connections that their SYN has opened
//! - `transmit`: options and window of outgoing segments
//! - `incoming`: options of incoming segments, before TCP sees them
//! - `receive`: data, taken out of TCP and given to the connection
//! - `send`: data of the connection, given to TCP
//! - `info`: what `ss -ti` shows
//! - [`trace`]: what it tells tracepoints

mod callbacks;
mod early;
mod incoming;
mod info;
pub mod join;
mod receive;
mod send;
pub mod shared;
pub mod trace;
mod transmit;

pub use incoming::{local_in, local_out};

use crate::observe::trace::Flow;
use crate::proto::crypto::Derived;
use crate::proto::fallback::{FallbackCause, Verdict};
use crate::proto::handshake::{
    Agreed, CapableServer, Config, Exchange, JoinError, JoinRequest, Request,
};
use crate::proto::option::{Options, RstReason, TcpRst};
use crate::proto::pm::{Progress, Signal, Stale};
use crate::proto::rx_map::{RxMapping, RxMappings};
use crate::proto::seq::{Dsn, Ssn};
use crate::proto::tx_map::{TxRecord, TxRecords};
use crate::sys::glance::Glance;
use crate::sys::once::SetOnce;
use crate::sys::rcu::RcuHead;
use crate::sys::request::Requests;
use crate::sys::rxdata::RxSkb;
use crate::sys::skb::Ends;
use crate::sys::sock::{LockedCell, Sock};
use crate::sys::spin::{Class, Spin};
use crate::sys::storage::GrowArray;
use crate::sys::tcp::Ssk;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicU8, Ordering};
use join::{Join, PendingJoin, Terms};
use kernel::error::Result;
use kernel::sync::Arc;
use shared::Shared;

/// Bytes of every segment that are kept free for options: a DSS with 8-byte numbers, padded.
const OPTION_ROOM: u16 = 28;

/// The subflow speaks MPTCP from now on: its segments have room for options, and reading the connection decides
/// when it acknowledges.
fn speak(ssk: &mut Ssk<'_>) {
    ssk.reserve_options(OPTION_ROOM);
    ssk.take_over_acks();
}

/// How many segments say the infinite mapping after a fallback.
const INFINITE_TIMES: u8 = 8;

/// The connection that a subflow belongs to, as the subflow sees it.
///
/// Where an [`Ssk`] is given, the subflow's lock is held, in process context or softirq: the connection
/// may take its own lock only by trying.
pub trait Connection: Clone + Send + Sync + 'static {
    /// The numbers for headers.
    fn shared(&self) -> &Shared;
    /// Bytes of memory that the receive buffer has left.
    fn rcv_space(&self) -> i32;
    /// Whether no more data can be taken until the reader has read some.
    fn is_full(&self) -> bool;
    /// Data has arrived.
    fn receive(&self, dsn: Dsn, skb: RxSkb);
    /// Data of the SYN has arrived.
    fn receive_early(&self, skb: RxSkb);
    /// Readers may be woken: [`Self::receive`] was called, perhaps several times. True if the end of the
    /// stream was reached: an ACK is due.
    fn received(&self) -> bool;
    /// Whether there is what readers wait for, and one of them sleeps on the connection, or was woken and has not run.
    fn awaits_reader(&self) -> bool;
    /// Memory was short, and data stays in a subflow's queue, which is [`flag::STALLED`]: it is to be resumed soon.
    fn short_of_memory(&self);
    /// A subflow's FIN was read, all its data before.
    fn subflow_ended(&self);
    /// The peer's DATA_FIN is number `dsn`. True if an ACK has to tell that it has come, false if FINs will at once.
    /// Softirq, no lock.
    fn data_fin(&self, dsn: Dsn) -> bool;
    /// TCP has processed an ACK: memory may be free, data may be sent.
    fn after_ack(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>);
    /// SYNs with MP_CAPABLE were not answered, and the first one without it was: something drops MP_CAPABLE.
    /// Softirq.
    fn vanished(&self);
    /// The SYN-ACK of the first subflow said this.
    fn connected(&self, ssk: &mut Ssk<'_>, outcome: Result<Agreed, FallbackCause>);
    /// The connection goes on as plain TCP.
    fn fall_back(&self, ssk: &mut Ssk<'_>, cause: FallbackCause);
    /// The TCP state of a subflow has changed.
    fn subflow_changed(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>);
    /// A subflow has met an error.
    fn subflow_failed(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>);
    /// TCP has destroyed a subflow. The last call for it.
    fn subflow_released(&self, subflow: &Subflow<Self>);
    /// A checksum was wrong: what to do. The subflow's lock is held.
    fn bad_checksum(&self, subflow: &Subflow<Self>) -> Verdict;
    /// MP_FAIL has come: what to do. The subflow's lock is held.
    fn mp_fail(&self) -> Verdict;
    /// A subflow violates the protocol: reset it.
    fn reset_subflow(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>);
    /// MP_FASTCLOSE with our key has arrived. Softirq, no lock.
    fn fastclosed(&self);
    /// The peer has shown that it knows about `subflow`, for the first time: [`flag::FULLY`]. Softirq, no lock.
    fn fully_established(&self, subflow: &Subflow<Self>, sk: &Sock);
    /// `options` have announcements of the peer, or a priority. Softirq, no lock.
    fn announced(&self, subflow: &Subflow<Self>, sk: &Sock, options: &Options);
    /// Whether [`Self::announcement`] has something. Cheap.
    fn has_announcement(&self) -> bool;
    /// Takes an announcement to be sent on a segment that has room for `room` bytes of options, and no other.
    fn announcement(&self, room: usize) -> Option<Signal>;
    /// MP_PRIO has left.
    fn prio_sent(&self);

    /// What a handshake shall ask for.
    fn config(&self) -> Config;
    /// A listener's answer to a SYN. Softirq.
    fn answer(&self, request: Request) -> Option<PendingCapable>;
    /// A listener's answer to a SYN of which nothing can be kept (SYN cookies). Softirq.
    fn answer_stateless(&self, request: Request, exchange: &Exchange) -> Option<CapableServer>;
    /// What would have been kept, by the third ACK. Softirq.
    fn recall(&self, options: &Options, exchange: &Exchange) -> Option<PendingCapable>;
    /// As [`Self::join_answer`], where nothing can be kept with the request (SYN cookies). Softirq.
    fn join_stateless(
        &self,
        join: &JoinRequest,
        terms: Terms,
        exchange: &Exchange,
    ) -> Option<PendingJoin<Self>>;
    /// What [`Self::join_stateless`] has answered, by the third ACK. None: it is forgotten. Softirq.
    fn recall_join(&self, exchange: &Exchange) -> Option<PendingJoin<Self>>;
    /// A listener's connection is complete, or (none was agreed) its SYN has opened it: `self` is the
    /// listener. Softirq.
    fn accept(
        &self,
        ssk: &mut Ssk<'_>,
        subflow: Arc<Subflow<Self>>,
        pending: &PendingCapable,
        agreed: Option<Agreed>,
    ) -> Option<Self>;
    /// The third ACK of a connection that its SYN has opened has come. Softirq, no lock.
    fn confirmed(&self, ssk: &Sock, agreed: Agreed);

    /// The third ACK of a listener's connection made it plain TCP: `self` is the listener, `flow` what would have
    /// been the first subflow. Softirq.
    fn not_accepted(&self, flow: Flow, cause: FallbackCause);

    /// A listener has received a SYN that asks to join, between `ends`: this host's part of the answer.
    /// `self` is the listener. Softirq.
    ///
    /// # Errors
    ///
    /// What the reset shall say that is the answer.
    fn join_terms(&self, join: &JoinRequest, ends: &Ends) -> Result<Terms, TcpRst>;
    /// The SYN-ACK for it leaves. `self` is the listener. Softirq.
    fn join_answer(&self, join: &JoinRequest, terms: Terms) -> Option<PendingJoin<Self>>;
    /// Whether another subflow may join, with these ends and address IDs. Softirq, no lock of a subflow.
    fn may_join(&self, ends: &Ends, ids: (u8, u8)) -> bool;
    /// A subflow has joined, as the peer wanted; it has not left the handshake. False: there is no memory for it.
    fn joined(&self, ssk: &mut Ssk<'_>, subflow: Arc<Subflow<Self>>) -> bool;
    /// A subflow that this host has opened was answered.
    fn join_answered(&self, ssk: &mut Ssk<'_>, subflow: &Subflow<Self>);
    /// The peer's part of a join was wrong: its third ACK, or its SYN-ACK.
    fn join_failed(&self, error: JoinError, ack: bool);

    /// Something happened that is only counted. Any context.
    fn tally(&self, what: Tally);
    /// What to say of the local address of a subflow that this host opens. The subflow's lock is held.
    fn local_terms(&self, sk: &Sock) -> Option<Terms>;

    /// The listeners' requests; one table for all.
    fn requests() -> &'static Requests<Syn, Pending<Self>, TcpRst>;
}

/// What [`Connection::tally`] counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tally {
    /// A reset with MP_TCPRST left.
    ResetSent,
    /// One has come.
    ResetSeen,
    /// MP_FAIL has left.
    FailSent,
    /// One has come.
    FailSeen,
    /// A mapping contradicts an earlier one.
    MapConflict,
    /// A mapping is for other bytes than those that come.
    MapElsewhere,
    /// The subflow is reset because of its mappings.
    MapReset,
    /// The connection cannot become plain TCP any more, which would have helped.
    FallbackLate,
    /// The window announced is another subflow's.
    WindowShared,
    /// Another subflow has announced a window in the same moment, further than this one's.
    WindowGaveWay,
    /// Another subflow has announced a window in the same moment, less far than this one's.
    WindowWon,
    /// A SYN that joins nothing has come where only joins are welcome, with MP_CAPABLE or without.
    Unwelcome(bool),
}

/// A SYN that a listener answers.
#[derive(Clone, Copy)]
pub enum Syn {
    /// It starts a connection.
    Capable(Request),
    /// It joins one.
    Join(JoinRequest, Terms),
}

/// What a listener keeps of a request.
pub enum Pending<C> {
    /// One for a connection.
    Capable(PendingCapable),
    /// One to join a connection.
    Join(PendingJoin<C>),
}

/// What a listener keeps of a request for a connection.
pub struct PendingCapable {
    /// Its part of the handshake.
    pub server: CapableServer,
    /// What follows from its key.
    pub local: Derived,
    /// How to give the token back, unless a connection has it by now.
    pub forget: fn(token: u32),
}

impl Drop for PendingCapable {
    fn drop(&mut self) {
        (self.forget)(self.local.token);
    }
}

/// Bits of a subflow's flags.
pub mod flag {
    macro_rules! flags {
        ($($(#[$doc:meta])* $name:ident,)*) => {
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            enum Place {
                $($name,)*
            }
            $($(#[$doc])* pub const $name: u64 = 1 << Place::$name as u32;)*
        };
    }

    flags! {
        /// The SYN asks for MPTCP.
        ASK,
        /// The handshake has led to MPTCP.
        MPTCP,
        /// The peer has shown that it knows (RFC 8684 section 3.1, last paragraphs).
        FULLY,
        /// It connects, rather than accepts.
        CLIENT,
        /// A DSS was received.
        SEEN_DSS,
        /// An ACK has to leave even if TCP sees no reason.
        ACK_DUE,
        /// The peer answers data without any option: it does not speak MPTCP after all.
        PEER_PLAIN,
        /// A mapping could not be kept or contradicts another.
        BAD_MAP,
        /// Bytes are given to TCP right now: its callbacks have nothing to do.
        PUSHING,
        /// It is being closed.
        CLOSING,
        /// Options for the peer wait for the next segment.
        FASTCLOSE,
        /// What arrives continues the stream without mappings (fallback); see `infinite_from`.
        INFINITE,
        /// The peer sent the infinite mapping: plain TCP from here on.
        INFINITE_RX,
        /// It was accepted by a listener.
        SERVER,
        /// Our FIN follows the last byte.
        FIN_QUEUED,
        /// TCP has closed the socket, and what it had received is taken out.
        ENDED,
        /// TCP has destroyed the socket.
        RELEASED,
        /// MP_PRIO is due: [`self::BACKUP`] is what it says.
        PRIO,
        /// We ask for the subflow to be a backup.
        BACKUP,
        /// The peer asks for the subflow to be a backup.
        PEER_BACKUP,
        /// Its SYN has opened it (TCP Fast Open): the SYN's data comes before all numbers.
        EARLY,
        /// ... and the third ACK with the peer's key has not come.
        KEYLESS,
        /// Data stays in TCP's receive queue: the connection's buffer is full.
        STALLED,
        /// It joins a connection that exists.
        JOIN,
        /// Nothing has come back for long: other subflows are to be preferred.
        STALE,
        /// What it has outstanding was given to others.
        RESCUED,
        /// It counts in the path manager's limits.
        COUNTED,
        /// It has the options that were set on the connection.
        CONFIGURED,
        /// It listens on behalf of an endpoint: only joins are welcome.
        ENDPOINT,
        /// The address ID is to be found out when the SYN leaves.
        ID_DUE,
        /// Data has checksums (RFC 8684 section 3.3.1).
        CSUM,
        /// MP_FAIL is to be said, see `fail_dsn`.
        FAIL_DUE,
        /// MP_FAIL has come.
        FAIL_SEEN,
        /// A right checksum has come.
        GOOD_CSUM,
        /// An MP_TCPRST has come, see [`super::Subflow::reset_seen`].
        RESET_SEEN,
        /// The last SYN was the first one without MP_CAPABLE, because nobody has answered those with it.
        UNHEARD,
    }
}

/// What a subflow's lock protects.
pub struct Locked {
    /// What every transmission of a byte has to say.
    tx: TxRecords<GrowArray<TxRecord, 1>>,
    /// Signs of life.
    stale: Stale,
}

/// A subflow of a connection `C`.
pub struct Subflow<C> {
    rcu: RcuHead,
    conn: SetOnce<C>,
    flags: AtomicU64,
    /// Our initial sequence number.
    iss: AtomicU32,
    /// The peer's.
    irs: AtomicU32,
    /// How many segments have to say the infinite mapping yet.
    infinite_due: AtomicU8,
    /// Address IDs (RFC 8684 section 3.2).
    local_id: AtomicU8,
    remote_id: AtomicU8,
    join: Join,
    /// The first byte of the mapping whose checksum was wrong.
    fail_dsn: AtomicU64,
    /// Up to which byte checksums were verified, see [`flag::GOOD_CSUM`].
    verified: AtomicU32,
    /// Why we reset it, and why the peer has: flags and reason of an MP_TCPRST.
    reset: AtomicU16,
    reset_seen: AtomicU16,
    /// Which subflow of the connection it is, see [`Shared::number_subflow`].
    number: AtomicU32,
    /// Of what was given to others, see [`flag::RESCUED`]: the byte behind it, and when the subflow was last
    /// heard of then.
    rescued_to: AtomicU64,
    rescued_at: AtomicU32,
    maps: Spin<RxMappings<GrowArray<RxMapping, 1>>>,
    locked: LockedCell<Locked>,
}

impl<C: Connection> Subflow<C> {
    fn with_flags(flags: u64) -> Self {
        Self {
            rcu: RcuHead::new(),
            conn: SetOnce::new(),
            flags: AtomicU64::new(flags),
            iss: AtomicU32::new(0),
            irs: AtomicU32::new(0),
            infinite_due: AtomicU8::new(0),
            local_id: AtomicU8::new(0),
            remote_id: AtomicU8::new(0),
            join: Join::new(),
            fail_dsn: AtomicU64::new(0),
            verified: AtomicU32::new(0),
            reset: AtomicU16::new(0),
            reset_seen: AtomicU16::new(0),
            number: AtomicU32::new(0),
            rescued_to: AtomicU64::new(0),
            rescued_at: AtomicU32::new(0),
            maps: Spin::new(RxMappings::new(GrowArray::new(), Ssn(0)), Class::Maps),
            locked: LockedCell::new(Locked {
                tx: TxRecords::new(GrowArray::new()),
                stale: Stale::new(),
            }),
        }
    }

    /// A subflow of `conn` that will connect or listen.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(conn: C, ask: bool) -> Result<Arc<Self>> {
        let flags = flag::CLIENT | if ask { flag::ASK } else { 0 };
        let this = Self::with_flags(flags);
        this.belong_to(conn);
        Ok(Arc::new(this, kernel::alloc::flags::GFP_KERNEL)?)
    }

    /// A further subflow of `conn`, which will connect from the address `local_id` to `remote_id`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new_join(conn: C, local_id: u8, remote_id: u8, backup: bool) -> Result<Arc<Self>> {
        let backup = if backup { flag::BACKUP } else { 0 };
        let this = Self::with_flags(flag::CLIENT | flag::JOIN | backup);
        this.set_ids(local_id, remote_id);
        this.join
            .nonce
            .store(crate::sys::random::u64() as u32, Ordering::Relaxed);
        this.belong_to(conn);
        Ok(Arc::new(this, kernel::alloc::flags::GFP_KERNEL)?)
    }

    /// A subflow that a listener's request becomes. Softirq.
    fn for_child() -> Option<Arc<Self>> {
        Arc::new(
            Self::with_flags(flag::SERVER),
            kernel::alloc::flags::GFP_ATOMIC,
        )
        .ok()
    }

    /// Whether any of `bits` is set, see [`flag`].
    #[inline]
    pub fn is(&self, bits: u64) -> bool {
        self.flags.load(Ordering::Acquire) & bits != 0
    }

    /// Sets bits. True if one of them was not.
    #[inline]
    pub fn set(&self, bits: u64) -> bool {
        self.flags.fetch_or(bits, Ordering::AcqRel) & bits != bits
    }

    /// Clears bits. True if one of them was set.
    #[inline]
    pub fn clear(&self, bits: u64) -> bool {
        self.is(bits) && self.flags.fetch_and(!bits, Ordering::AcqRel) & bits != 0
    }

    /// It is a subflow of `conn` from now on.
    fn belong_to(&self, conn: C) {
        let number = conn.shared().number_subflow();
        self.number.store(number, Ordering::Relaxed);
        self.conn.set(conn);
    }

    /// Which subflow of the connection it is: the first one is 1. No other gets the number later.
    pub fn number(&self) -> u32 {
        self.number.load(Ordering::Relaxed)
    }

    /// The connection; none for a listener's child that is not complete.
    #[inline]
    pub fn conn(&self) -> Option<&C> {
        self.conn.get()
    }

    /// Our initial sequence number.
    #[inline]
    pub fn iss(&self) -> Ssn {
        Ssn(self.iss.load(Ordering::Relaxed))
    }

    /// The peer's initial sequence number.
    #[inline]
    pub fn irs(&self) -> Ssn {
        Ssn(self.irs.load(Ordering::Relaxed))
    }

    /// The peer's initial sequence number is `isn`: mappings start behind it.
    fn set_irs(&self, isn: u32) {
        self.irs.store(isn, Ordering::Relaxed);
        *self.maps.lock() = RxMappings::new(GrowArray::new(), Ssn(isn).add(1));
    }

    /// The connection fell back: the peer is told, in case options are lost in one direction only (RFC 8684
    /// section 3.7). More than once, because nothing tells that it has heard.
    pub(super) fn announce_infinite(&self) {
        self.infinite_due.store(INFINITE_TIMES, Ordering::Relaxed);
    }

    fn set_ids(&self, local: u8, remote: u8) {
        self.local_id.store(local, Ordering::Relaxed);
        self.remote_id.store(remote, Ordering::Relaxed);
    }

    /// Whether data may be put on it: a subflow that joins has to wait for the fourth ACK.
    #[inline]
    pub fn may_carry(&self) -> bool {
        !self.is(flag::CLOSING) && (self.is(flag::FULLY) || !self.is(flag::JOIN))
    }

    /// Whether either side wants it to be a backup.
    #[inline]
    pub fn is_backup(&self) -> bool {
        self.is(flag::BACKUP | flag::PEER_BACKUP)
    }

    /// A retransmission interval of the connection is over, `idle` if nothing was to be acknowledged: whether
    /// the subflow lives. See [`Stale::on_interval`].
    pub fn on_interval(&self, ssk: &mut Ssk<'_>, idle: bool, loss_cnt: u32) -> Progress {
        let heard = ssk.rcv_tstamp();
        crate::sys::ulp::locked::<Self, _>(ssk, |locked| {
            if idle {
                locked.stale = Stale::new();
                return Progress::Alive;
            }
            locked.stale.on_interval(heard, loss_cnt)
        })
        .unwrap_or(Progress::Same)
    }

    /// Others are to be preferred to it. True if that is news.
    pub fn mark_stale(&self, ssk: &mut Ssk<'_>) -> bool {
        crate::sys::ulp::locked::<Self, _>(ssk, |locked| locked.stale.mark());
        self.set(flag::STALE)
    }

    /// What it has outstanding, up to but without `to`, is given to others.
    pub fn rescue(&self, ssk: &Ssk<'_>, to: Dsn) {
        self.rescued_to.store(to.0, Ordering::Relaxed);
        self.rescued_at.store(ssk.rcv_tstamp(), Ordering::Relaxed);
        self.set(flag::RESCUED);
    }

    /// Up to where others were given what it has outstanding. `None`: they were not.
    pub fn rescued_to(&self) -> Option<Dsn> {
        self.is(flag::RESCUED)
            .then(|| Dsn(self.rescued_to.load(Ordering::Relaxed)))
    }

    /// An ACK has come: if TCP got something acknowledged, a subflow to which others were preferred is as good as they
    /// are. True if it was stale.
    #[cold]
    pub fn revive(&self, ssk: &mut Ssk<'_>) -> bool {
        if ssk.retransmits() != 0 {
            return false;
        }
        crate::sys::ulp::locked::<Self, _>(ssk, |locked| locked.stale = Stale::new());
        self.clear(flag::RESCUED);
        self.clear(flag::STALE)
    }

    /// Whether others have delivered all that was given to them of this subflow's, up to `una`, while nothing
    /// has come back on it. Any context.
    pub fn is_outdone(&self, ssk: &Sock, una: Dsn) -> bool {
        self.is(flag::RESCUED)
            && !una.before(Dsn(self.rescued_to.load(Ordering::Relaxed)))
            && Glance::at(ssk).rcv_tstamp() == self.rescued_at.load(Ordering::Relaxed)
    }

    /// The reset of this subflow will tell `why`, from now on.
    pub fn reset_with(&self, why: TcpRst) {
        self.reset.store(pack(why), Ordering::Relaxed);
    }

    /// Why the peer has reset it, if it has told.
    pub fn reset_seen(&self) -> Option<TcpRst> {
        self.is(flag::RESET_SEEN)
            .then(|| unpack(self.reset_seen.load(Ordering::Relaxed)))
    }

    /// Address IDs, ours and the peer's.
    pub fn ids(&self) -> (u8, u8) {
        (
            self.local_id.load(Ordering::Relaxed),
            self.remote_id.load(Ordering::Relaxed),
        )
    }
}

fn pack(rst: TcpRst) -> u16 {
    u16::from_be_bytes([rst.flags, rst.reason.code()])
}

fn unpack(packed: u16) -> TcpRst {
    let [flags, code] = packed.to_be_bytes();
    TcpRst {
        flags,
        reason: RstReason::from_code(code),
    }
}

/// The subflow context of a TCP socket, counted.
pub fn of_sock<C: Connection>(sk: &Sock) -> Option<Arc<Subflow<C>>> {
    crate::sys::ulp::of_sock::<Subflow<C>>(sk)
}

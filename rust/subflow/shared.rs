// SPDX-License-Identifier: GPL-2.0

//! What a connection and its subflows both look at for every segment.
//!
//! A subflow writes a header, or reads one, under its own lock or none; the connection has another. The
//! few numbers that a header needs are therefore atomics, in one place.

use crate::proto::crypto::{Derived, Key};
use crate::proto::handshake::{first_mapping, Agreed};
use crate::proto::option::{CapableBody, DssMap, MpCapable};
use crate::proto::seq::Dsn;
use crate::proto::window::RcvWindow;
use crate::sys::spin::{Class, Spin};
use crate::sys::time::{tcp_jiffies32, Jiffies};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A data sequence number that others read.
#[derive(Default)]
pub struct AtomicDsn(AtomicU64);

impl AtomicDsn {
    /// The number.
    #[inline]
    pub fn get(&self) -> Dsn {
        Dsn(self.0.load(Ordering::Relaxed))
    }

    /// Sets it. The caller is the only writer.
    #[inline]
    pub fn set(&self, to: Dsn) {
        self.0.store(to.0, Ordering::Release);
    }

    /// Makes it `to` if it is `from`.
    ///
    /// # Errors
    ///
    /// What it is instead.
    #[inline]
    pub fn replace(&self, from: Dsn, to: Dsn) -> Result<(), Dsn> {
        self.0
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
            .map(|_| ())
            .map_err(Dsn)
    }

    /// Moves it forward to `to`; never back. True if it moved.
    #[inline]
    pub fn advance(&self, to: Dsn) -> bool {
        let mut now = self.0.load(Ordering::Relaxed);
        while to.after(Dsn(now)) {
            match self
                .0
                .compare_exchange_weak(now, to.0, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }
}

/// A window that a segment announces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Announced {
    /// The window field.
    pub field: u16,
    /// The same in bytes.
    pub bytes: u32,
    /// It is more than what is free: so much was announced before.
    pub raised: bool,
    /// Another subflow announced a window in the same moment.
    pub conflict: Option<Conflict>,
}

/// What became of a window, another subflow having announced one in the same moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Conflict {
    /// The other one's edge lay further, and is announced.
    GaveWay,
    /// Its own edge lay further.
    Won,
}

/// A moment that others ask for: jiffies, of which the lower half says enough.
pub struct Moment(AtomicU32);

impl Default for Moment {
    fn default() -> Self {
        Self(AtomicU32::new(tcp_jiffies32()))
    }
}

impl Moment {
    /// It is now.
    #[inline]
    pub fn touch(&self) {
        self.0.store(tcp_jiffies32(), Ordering::Release);
    }

    /// How long ago it was, milliseconds.
    pub fn age_ms(&self) -> u32 {
        // In this order: now is not before then, whoever has touched it.
        let then = self.0.load(Ordering::Acquire);
        let age = Jiffies(tcp_jiffies32().wrapping_sub(then) as usize);
        age.as_millis().try_into().unwrap_or(u32::MAX)
    }
}

/// When the connection last sent data, received data, heard a DATA_ACK; at first: when it was made.
#[derive(Default)]
pub struct Times {
    /// Data was given to a subflow.
    pub sent: Moment,
    /// Data arrived on a subflow.
    pub received: Moment,
    /// A valid DATA_ACK arrived.
    pub acked: Moment,
}

/// Bits of [`Shared::flags`].
pub mod flag {
    /// The connection is plain TCP (RFC 8684 section 3.7).
    pub const FALLBACK: u32 = 1 << 0;
    /// Our DATA_FIN is decided: [`super::Shared::fin`] is valid.
    pub const FIN: u32 = 1 << 1;
    /// The keys are exchanged: the connection speaks MPTCP.
    pub const AGREED: u32 = 1 << 2;
    /// The send queue has bytes that no subflow has.
    pub const PENDING: u32 = 1 << 3;
    /// A DATA_ACK freed something in the send queue.
    pub const ACKED: u32 = 1 << 4;
    /// A peer's DATA_FIN was read.
    pub const EOF: u32 = 1 << 5;
    /// The connection is in a listener's queue: `accept(2)` has not taken it.
    pub const QUEUED: u32 = 1 << 6;
    /// The listener was closed before that.
    pub const ABANDONED: u32 = 1 << 7;
    /// The file is closed: data that arrives is for nobody.
    pub const NO_READER: u32 = 1 << 8;
    /// There is, or was, more than one subflow: the connection cannot become plain TCP any more.
    pub const MULTI: u32 = 1 << 9;
    /// Data was sent again: the subflow's bytes are not the stream any more.
    pub const REINJECTED: u32 = 1 << 11;
    /// The connection is fully established (RFC 8684 section 3.1): others may join.
    pub const CONFIRMED: u32 = 1 << 10;
    /// Data has come from behind the peer's DATA_FIN.
    pub const BEYOND_FIN: u32 = 1 << 12;
    /// MP_FAIL was said, and the peer's answer has to come.
    pub const FAIL_WAIT: u32 = 1 << 13;
    /// Somebody found the send buffer full, and is told when there is room.
    pub const NO_SPACE: u32 = 1 << 14;
}

/// See the module.
pub struct Shared {
    /// Next byte expected: the DATA_ACK.
    pub rcv_nxt: AtomicDsn,
    /// The last DATA_ACK that left on any subflow.
    pub rcv_acked: AtomicDsn,
    /// First byte that the peer may not send yet.
    pub rcv_edge: AtomicDsn,
    /// First byte of ours that was not acknowledged.
    pub snd_una: AtomicDsn,
    /// First byte that we may not send yet.
    pub wnd_end: AtomicDsn,
    /// Next byte to be sent for the first time.
    pub snd_nxt: AtomicDsn,
    /// The number of our DATA_FIN, see [`flag::FIN`].
    pub fin: AtomicDsn,
    flags: AtomicU32,
    /// Bytes received with the SYN, before all numbers.
    pub early: AtomicU32,
    /// How many subflows there have been.
    subflows: AtomicU32,
    /// When something last happened.
    pub times: Times,
    /// Our key.
    pub key: Key,
    /// Our token and first number.
    pub local: Derived,
    /// What the handshake led to.
    agreed: Spin<Option<Agreed>>,
}

impl Shared {
    /// A connection with the key `key`.
    pub fn new(key: Key, local: Derived) -> Self {
        let first = local.idsn.add(1);
        let this = Self {
            rcv_nxt: AtomicDsn::default(),
            rcv_acked: AtomicDsn::default(),
            rcv_edge: AtomicDsn::default(),
            snd_una: AtomicDsn::default(),
            wnd_end: AtomicDsn::default(),
            snd_nxt: AtomicDsn::default(),
            fin: AtomicDsn::default(),
            flags: AtomicU32::new(0),
            early: AtomicU32::new(0),
            subflows: AtomicU32::new(0),
            times: Times::default(),
            key,
            local,
            agreed: Spin::new(None, Class::Agreed),
        };
        this.snd_una.set(first);
        this.snd_nxt.set(first);
        this.wnd_end.set(first);
        this
    }

    /// Starts anew, for another connection with the same key. No subflow is left.
    pub fn reset(&self) {
        let first = self.local.idsn.add(1);
        self.flags.store(0, Ordering::Release);
        self.subflows.store(0, Ordering::Relaxed);
        self.early.store(0, Ordering::Relaxed);
        *self.agreed.lock() = None;
        self.snd_una.set(first);
        self.snd_nxt.set(first);
        self.wnd_end.set(first);
        self.rcv_nxt.set(Dsn(0));
        self.rcv_acked.set(Dsn(0));
        self.rcv_edge.set(Dsn(0));
    }

    /// A number for a new subflow, by which the application knows it; 1 for the first one.
    pub fn number_subflow(&self) -> u32 {
        self.subflows.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What the handshake led to, once it has.
    pub fn agreed(&self) -> Option<Agreed> {
        *self.agreed.lock()
    }

    /// Whether any of `bits` is set.
    #[inline]
    pub fn is(&self, bits: u32) -> bool {
        self.flags.load(Ordering::Acquire) & bits != 0
    }

    /// Sets bits. True if one of them was not.
    #[inline]
    pub fn set(&self, bits: u32) -> bool {
        self.flags.fetch_or(bits, Ordering::AcqRel) & bits != bits
    }

    /// Clears bits. True if one of them was set.
    #[inline]
    pub fn clear(&self, bits: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & bits != 0
            && self.flags.fetch_and(!bits, Ordering::AcqRel) & bits != 0
    }

    /// Whether a DATA_ACK has come for data of ours: options pass in both directions.
    #[inline]
    pub fn confirmed(&self) -> bool {
        self.snd_una.get().after(self.local.idsn.add(1))
    }

    /// Whether the byte `dsn` of the peer is also byte `offset` of the subflow: then the subflow's bytes are
    /// the stream.
    pub fn is_stream(&self, dsn: Dsn, offset: u32) -> bool {
        self.agreed()
            .is_some_and(|agreed| dsn.since(agreed.first_dsn()) as u32 == offset)
    }

    /// Whether the first byte of a subflow may be `dsn`: of the only one, it is the stream's first.
    pub fn begins(&self, dsn: Dsn) -> bool {
        self.subflows.load(Ordering::Relaxed) > 1
            || self.agreed().is_none_or(|agreed| dsn == agreed.first_dsn())
    }

    /// The mapping of the connection's first data, if `capable` is the peer's: it repeats both keys.
    pub fn first_mapping(&self, capable: &MpCapable) -> Option<DssMap> {
        let agreed = self.agreed()?;
        match capable.body {
            CapableBody::Data {
                sender, receiver, ..
            } if sender == agreed.peer_key && receiver == self.key => {
                first_mapping(capable, agreed.peer.idsn)
            }
            _ => None,
        }
    }

    /// The peer's key is known: numbers start.
    pub fn agree(&self, agreed: Agreed) {
        let first = agreed.first_dsn();
        let mut slot = self.agreed.lock();
        if slot.is_none() {
            *slot = Some(agreed);
            self.rcv_nxt.set(first);
            self.rcv_acked.set(first);
            self.rcv_edge.set(first);
            self.set(flag::AGREED);
        }
    }

    /// Whether no window was announced but the handshake's, which [`Self::rcv_edge`] does not count.
    pub fn is_window_untold(&self) -> bool {
        self.agreed()
            .is_some_and(|agreed| agreed.first_dsn() == self.rcv_edge.get())
    }

    /// Whether data was received that no DATA_ACK has told of.
    #[inline]
    pub fn owes_data_ack(&self) -> bool {
        self.rcv_nxt.get() != self.rcv_acked.get() && !self.is(flag::FALLBACK)
    }

    /// The window of a segment that leaves with the DATA_ACK `rcv_nxt`, `free` bytes being free.
    #[inline]
    pub fn announce(&self, rcv_nxt: Dsn, free: u32, wscale: u8) -> Announced {
        self.announce_over(self.rcv_edge.get(), rcv_nxt, free, wscale)
    }

    /// As [`Self::announce`], `edge` being what was announced before.
    #[inline]
    pub fn announce_over(&self, mut edge: Dsn, rcv_nxt: Dsn, free: u32, wscale: u8) -> Announced {
        let mut conflict = None;
        loop {
            let mut window = RcvWindow { right_edge: edge };
            let field = window.announce(rcv_nxt, free, wscale);
            let to = window.right_edge;
            if to != edge {
                if let Err(other) = self.rcv_edge.replace(edge, to) {
                    conflict = Some(if other.after(to) {
                        Conflict::GaveWay
                    } else {
                        Conflict::Won
                    });
                    edge = other;
                    continue;
                }
            }
            return Announced {
                field,
                bytes: u32::from(field) << wscale,
                raised: u32::from(field) > free >> wscale,
                conflict,
            };
        }
    }

    /// A DATA_ACK `ack` with a window of `window` bytes. Acknowledgements of what was not sent are
    /// ignored. True if it said anything new.
    #[inline]
    pub fn on_data_ack(&self, ack: Dsn, window: u32) -> bool {
        let nxt = self.snd_nxt.get();
        // The DATA_FIN is said only when all data before it was sent.
        let fin = self.is(flag::FIN) && self.fin.get() == nxt;
        let limit = nxt.add(fin.into());
        if ack.after(limit) {
            return false;
        }
        self.times.acked.touch();
        let acked = self.snd_una.advance(ack);
        if acked {
            self.set(flag::ACKED);
        }
        self.wnd_end.advance(ack.add(window.into())) || acked
    }

    /// Whether our DATA_FIN is to be said: decided, not acknowledged, and all data before it was sent.
    #[inline]
    pub fn fin_due(&self) -> Option<Dsn> {
        if !self.is(flag::FIN) || self.is(flag::FALLBACK) {
            return None;
        }
        let fin = self.fin.get();
        (self.snd_nxt.get() == fin && self.snd_una.get().at_or_before(fin)).then_some(fin)
    }
}

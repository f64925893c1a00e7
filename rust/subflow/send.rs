// SPDX-License-Identifier: GPL-2.0

//! Data of the connection, given to TCP.
//!
//! A mapping must be announced the same way every time, so it is a record that is fixed when its bytes
//! are queued. No packet of TCP's queue may hold bytes of two records: before a new one begins, the tail
//! of the queue is sealed. While a record's first byte was not sent, it may still grow.

use super::shared::{self, Shared};
use super::{flag, Connection, Subflow};
use crate::observe::trace::How;
use crate::proto::checksum::Checksum;
use crate::proto::ranges::{Range, Ranges};
use crate::proto::seq::{Dsn, Ssn};
use crate::proto::storage::Storage;
use crate::proto::tx_map::TxRecord;
use crate::sys::page::Slices;
use crate::sys::tcp::Ssk;
use crate::sys::ulp;
use kernel::error::Result;

/// The longest record: a mapping's length has 16 bits, one of which a DATA_FIN may take.
const RECORD_MAX: u32 = 65534;

/// Where the next bytes of the connection go on a subflow.
#[derive(Clone, Copy)]
pub struct Room {
    /// How many bytes, at least 1.
    pub bytes: u32,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A record of its own.
    New,
    /// Behind the end of the last record, of which nothing was sent yet.
    Grow,
    /// Within the last record, which was announced longer than TCP could take then.
    Fill,
}

impl Place {
    fn how(self) -> How {
        match self {
            Place::New => How::New,
            Place::Grow => How::Grow,
            Place::Fill => How::Fill,
        }
    }
}

impl<C: Connection> Subflow<C> {
    /// How many bytes from `dsn` on can be queued in one go. Zero: none now.
    #[inline]
    pub fn room(&self, ssk: &mut Ssk<'_>, dsn: Dsn) -> Option<Room> {
        if !ssk.can_send() || !ssk.memory_free() {
            return None;
        }
        let cap = if ssk.gso_segs() > 1 {
            ssk.burst().min(RECORD_MAX)
        } else {
            // Whole segments: what is left of the stream may go elsewhere, and a short one be held back.
            match RECORD_MAX % ssk.mss_cache().max(1) {
                RECORD_MAX => RECORD_MAX,
                rest => RECORD_MAX - rest,
            }
        };
        let end = Ssn(ssk.write_seq());
        let sent = Ssn(ssk.snd_nxt());
        let last = ulp::locked::<Self, _>(ssk, |locked| locked.tx.last().copied()).flatten();
        if let Some(last) = last {
            let unfilled = last.ssn.add(last.len).since(end);
            if unfilled > 0 {
                let due = last.dsn.add(end.since(last.ssn) as u64);
                // What was announced there has to come there before anything else.
                return (due == dsn).then_some(Room {
                    bytes: unfilled as u32,
                    place: Place::Fill,
                });
            }
            let follows = last.ssn.add(last.len) == end && last.dsn.add(last.len.into()) == dsn;
            if follows && last.ssn.at_or_after(sent) && last.len < cap {
                return Some(Room {
                    bytes: cap - last.len,
                    place: Place::Grow,
                });
            }
        }
        Some(Room {
            bytes: cap,
            place: Place::New,
        })
    }

    /// How many of `bytes` are to be queued next: no more than TCP takes in one go, for a record that was announced
    /// binds the subflow to all of it.
    #[inline]
    pub fn afford(&self, ssk: &mut Ssk<'_>, room: Room, bytes: u64) -> u64 {
        let bytes = bytes.min(room.bytes.into());
        match room.place {
            Place::New | Place::Grow => ssk.affords(bytes as u32).into(),
            Place::Fill => bytes,
        }
    }

    /// Queues `slices`, which start at `dsn` and are not longer than `room` says. Returns the bytes taken;
    /// the rest was not announced to anybody, or will be with what is queued next. `again`: another subflow had them.
    ///
    /// # Errors
    ///
    /// `EAGAIN`, or what ended the subflow.
    #[inline]
    pub fn queue(
        &self,
        ssk: &mut Ssk<'_>,
        dsn: Dsn,
        room: Room,
        slices: &mut Slices<'_>,
        (more, again): (bool, bool),
    ) -> Result<usize> {
        let bytes = slices.bytes() as u32;
        let sum = self.sum(slices, bytes);
        let ssn = Ssn(ssk.write_seq());
        if room.place == Place::New {
            ssk.seal_tail();
        }
        let mut before = Checksum::new();
        let kept = ulp::locked::<Self, _>(ssk, |locked| match room.place {
            Place::New => locked
                .tx
                .push(TxRecord {
                    ssn,
                    len: bytes,
                    dsn,
                    sum,
                })
                .is_ok(),
            Place::Grow => {
                before = locked.tx.last().map_or(before, |last| last.sum);
                locked.tx.extend_last(bytes, sum)
            }
            Place::Fill => true,
        });
        if kept != Some(true) {
            return Err(kernel::error::code::ENOMEM);
        }
        self.set(flag::PUSHING);
        let taken = ssk.send_pages(slices, more);
        self.clear(flag::PUSHING);
        let n = *taken.as_ref().unwrap_or(&0) as u32;
        if n < bytes && room.place != Place::Fill {
            let sent = Ssn(ssk.snd_nxt());
            before.append(self.sum(slices, n));
            ulp::locked::<Self, _>(ssk, |locked| {
                // Once a byte of it is on the wire, the record is announced as it is: see `Place::Fill`.
                if locked
                    .tx
                    .last()
                    .is_some_and(|last| last.ssn.at_or_after(sent))
                {
                    locked.tx.shrink_last(bytes - n, before);
                }
            });
        }
        self.trace_queued(ssk, (dsn, ssn, n), room.place.how(), again);
        taken
    }

    /// The sum of the first `len` bytes, if it is needed.
    #[inline]
    fn sum(&self, slices: &Slices<'_>, len: u32) -> Checksum {
        let mut sum = Checksum::new();
        if self.is(flag::CSUM) {
            slices.sums(len as usize, |part, len| sum.add_sum(part, len));
        }
        sum
    }

    /// Forgets records of bytes that TCP has got acknowledged, and the connection.
    #[inline]
    pub(super) fn forget_acked(&self, ssk: &mut Ssk<'_>, data_una: Dsn) {
        let una = Ssn(ssk.snd_una());
        ulp::locked::<Self, _>(ssk, |locked| locked.tx.retire(una, data_una));
    }

    /// TCP may hold back the end of what is queued, hoping for more (Nagle's algorithm). If the stream goes on elsewhere
    /// none will come, and all the rest waits for these bytes at the peer: they are not the end of anything.
    #[inline]
    pub(super) fn let_tail_go(&self, ssk: &mut Ssk<'_>, shared: &Shared) {
        if !shared.is(shared::flag::MULTI) || !ssk.holds_back() {
            return;
        }
        let last = ulp::locked::<Self, _>(ssk, |locked| locked.tx.last().copied()).flatten();
        if last.is_some_and(|last| last.end_dsn().before(shared.snd_nxt.get())) {
            ssk.let_go();
        }
    }

    /// Adds to `to` what this subflow was given of `sent`, which is what the connection has sent and the peer's has not
    /// acknowledged: all of it if the subflow is `gone`; otherwise what TCP has not got acknowledged either, which is
    /// still on its way. A record may be announced longer than that: see [`Place::Fill`].
    pub fn outstanding(
        &self,
        ssk: &mut Ssk<'_>,
        sent: Range,
        gone: bool,
        to: &mut Ranges<impl Storage<Range>>,
    ) {
        self.each_outstanding(ssk, sent, gone, |range| to.add(range));
    }

    /// Calls `f` with what each record has to [`Self::outstanding`], which may be nothing.
    pub(super) fn each_outstanding(
        &self,
        ssk: &mut Ssk<'_>,
        sent: Range,
        gone: bool,
        mut f: impl FnMut(Range),
    ) {
        let una = Ssn(ssk.snd_una());
        ulp::locked::<Self, _>(ssk, |locked| {
            for record in locked.tx.iter() {
                let mut from = record.dsn.max(sent.from);
                if !gone && una.after(record.ssn) {
                    from = from.max(record.dsn.add(una.since(record.ssn) as u64));
                }
                f(Range {
                    from,
                    to: record.end_dsn().min(sent.to),
                });
            }
        });
    }

    /// The announced part of the last record that TCP could not take: where it starts, and how much it is.
    /// It has to be filled before anything else goes onto the subflow.
    pub fn unfilled(&self, ssk: &mut Ssk<'_>) -> Option<(Dsn, u32)> {
        let end = Ssn(ssk.write_seq());
        let last = ulp::locked::<Self, _>(ssk, |locked| locked.tx.last().copied())??;
        let missing = last.end_ssn().since(end);
        (missing > 0).then(|| (last.dsn.add(end.since(last.ssn) as u64), missing as u32))
    }
}

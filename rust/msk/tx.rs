// SPDX-License-Identifier: GPL-2.0

//! The send queue: what the application wrote, until the peer's DATA_ACK.
//!
//! The bytes lie in page fragments, copied there once; subflows refer to the same pages. The queue has
//! three marks: `una`, the first byte not acknowledged; `nxt`, the next to be sent for the first time;
//! `write_seq`, the next that the application will write.

use crate::proto::ranges::Range;
use crate::proto::seq::Dsn;
use crate::proto::storage::Ring;
use crate::sys::page::{PageSlice, Slices};
use crate::sys::storage::GrowArray;

/// Bytes that lie together in a page.
struct Chunk {
    dsn: Dsn,
    slice: PageSlice,
}

impl Chunk {
    fn end(&self) -> Dsn {
        self.dsn.add(self.slice.len().into())
    }
}

/// See the module.
pub(super) struct TxQueue {
    chunks: Ring<Option<Chunk>, GrowArray<Option<Chunk>, 1>>,
    una: Dsn,
    nxt: Dsn,
    write_seq: Dsn,
}

impl TxQueue {
    /// An empty queue, whose first byte will be `first`.
    pub(super) fn new(first: Dsn) -> Self {
        Self {
            chunks: Ring::new(GrowArray::new()),
            una: first,
            nxt: first,
            write_seq: first,
        }
    }

    pub(super) fn write_seq(&self) -> Dsn {
        self.write_seq
    }

    pub(super) fn nxt(&self) -> Dsn {
        self.nxt
    }

    pub(super) fn una(&self) -> Dsn {
        self.una
    }

    /// What was sent and not acknowledged.
    pub(super) fn in_flight(&self) -> Range {
        Range {
            from: self.una,
            to: self.nxt,
        }
    }

    /// Bytes that were not sent yet.
    #[inline]
    pub(super) fn unsent(&self) -> u64 {
        self.write_seq.since(self.nxt) as u64
    }

    /// Bytes that were not acknowledged.
    pub(super) fn unacked(&self) -> u64 {
        self.write_seq.since(self.una) as u64
    }

    /// Makes sure that there is room for more bytes: false if there is no memory for it.
    #[inline]
    pub(super) fn reserve(&mut self) -> bool {
        self.chunks.reserve()
    }

    /// Appends bytes. False, and they are dropped, if there is no memory for it.
    #[inline]
    pub(super) fn push(&mut self, slice: PageSlice) -> bool {
        let len = slice.len();
        let slice = match self.chunks.back_mut() {
            Some(Some(last)) => match last.slice.merge(slice) {
                None => {
                    self.write_seq = self.write_seq.add(len.into());
                    return true;
                }
                Some(slice) => slice,
            },
            _ => slice,
        };
        let chunk = Chunk {
            dsn: self.write_seq,
            slice,
        };
        if self.chunks.push_back(Some(chunk)).is_err() {
            return false;
        }
        self.write_seq = self.write_seq.add(len.into());
        true
    }

    /// Moves all numbers by `by`, forward or back.
    pub(super) fn renumber(&mut self, by: i64) {
        let moved = |dsn: Dsn| dsn.add(by as u64);
        for index in 0..self.chunks.len() {
            if let Some(Some(chunk)) = self.chunks.get_mut(index) {
                chunk.dsn = moved(chunk.dsn);
            }
        }
        self.una = moved(self.una);
        self.nxt = moved(self.nxt);
        self.write_seq = moved(self.write_seq);
    }

    /// The peer has everything before `ack`. Returns the bytes that were freed.
    #[inline]
    pub(super) fn ack(&mut self, ack: Dsn) -> usize {
        let ack = ack.min(self.write_seq);
        if ack.at_or_before(self.una) {
            return 0;
        }
        self.una = ack;
        self.nxt = self.nxt.max(ack);
        let mut freed = 0;
        while let Some(Some(front)) = self.chunks.front() {
            if front.end().after(ack) {
                break;
            }
            freed += front.slice.len() as usize;
            self.chunks.pop_front();
        }
        freed
    }

    /// Gathers up to `max` bytes from `from` on in `slices`, which is empty.
    #[inline]
    pub(super) fn gather<'a>(&'a self, from: Dsn, max: u64, slices: &mut Slices<'a>) {
        let mut left = max.min(self.write_seq.since(from).max(0) as u64);
        let mut at = from;
        let first =
            |chunk: &Option<Chunk>| chunk.as_ref().is_some_and(|c| c.end().at_or_before(from));
        let mut index = self.chunks.partition_point(first);
        while left > 0 {
            let Some(Some(chunk)) = self.chunks.get(index) else {
                break;
            };
            let skip = at.since(chunk.dsn) as u32;
            let n = u64::from(chunk.slice.len() - skip).min(left);
            if !slices.push(&chunk.slice, skip, n as u32) {
                break;
            }
            at = at.add(n);
            left -= n;
            index += 1;
        }
    }

    /// `n` bytes were sent for the first time.
    #[inline]
    pub(super) fn sent(&mut self, n: u64) {
        self.nxt = self.nxt.add(n);
    }

    /// Drops everything. Returns the bytes that were freed.
    pub(super) fn clear(&mut self) -> usize {
        let mut freed = 0;
        while let Some(chunk) = self.chunks.pop_front() {
            freed += chunk.map_or(0, |chunk| chunk.slice.len() as usize);
        }
        self.una = self.write_seq;
        self.nxt = self.write_seq;
        freed
    }
}

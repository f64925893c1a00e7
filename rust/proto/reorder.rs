// SPDX-License-Identifier: GPL-2.0

//! The out-of-order queue: data of all subflows, put back into the order of the connection.
//!
//! Subflows overtake each other, so data often arrives ahead of its turn, and in long stretches. The
//! queue keeps *runs*: data that is contiguous is one run, however many pieces it came in, so it has one
//! entry more than there are holes, and the usual arrival, behind the end of a run, is an append.
//!
//! Nothing is kept twice. Where arriving data overlaps a run, the run stays and the data is trimmed; a
//! run that the data covers wholly gives way to it.

use super::seq::Dsn;
use super::storage::{Full, Ring, Storage};

/// A piece of the data stream: bytes the queue never looks at.
pub trait Payload {
    /// Bytes.
    fn len(&self) -> usize;

    /// Whether there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts `n` bytes off the front, at most all.
    fn trim_front(&mut self, n: usize);

    /// Cuts `n` bytes off the back, at most all.
    fn trim_back(&mut self, n: usize);

    /// Puts `other` behind the last byte.
    fn append(&mut self, other: Self);
}

/// Contiguous data that waits for what comes before it.
#[derive(Debug)]
pub struct Run<P> {
    dsn: Dsn,
    payload: Option<P>,
}

/// An empty slot.
impl<P> Default for Run<P> {
    fn default() -> Self {
        Self {
            dsn: Dsn(0),
            payload: None,
        }
    }
}

impl<P: Payload> Run<P> {
    /// Its first byte, for tests on the host.
    #[cfg(not(CONFIG_RUST))]
    pub fn dsn(&self) -> Dsn {
        self.dsn
    }

    /// Its bytes.
    #[allow(clippy::len_without_is_empty)] // A run in the queue is never empty.
    pub fn len(&self) -> usize {
        self.payload.as_ref().map_or(0, P::len)
    }

    /// The data sequence number behind its last byte.
    pub fn end(&self) -> Dsn {
        self.dsn.add(self.len() as u64)
    }
}

/// What became of arriving data.
#[derive(Debug, Eq, PartialEq)]
pub enum Insert<P> {
    /// It is next, as far as it is still here: parts that were delivered or are queued were cut off.
    /// Hand it on, count its length into `rcv_nxt`, and call [`Reorder::pop_ready`].
    InOrder(P),
    /// It waits in the queue, in whole or in part.
    Queued {
        /// Behind all that was there.
        tail: bool,
        /// It continues a run that was there, or reaches up to one.
        merged: bool,
    },
    /// All of it was delivered or queued before.
    Duplicate,
    /// It needs a run of its own, and there is no slot left for one. See [`Reorder::prune`].
    NoSpace(P),
}

/// The out-of-order queue of a connection.
#[derive(Debug, Default)]
pub struct Reorder<P, S> {
    /// In the order of their numbers, with a hole between each two.
    runs: Ring<Run<P>, S>,
}

impl<P: Payload, S: Storage<Run<P>>> Reorder<P, S> {
    /// An empty queue. `slots` bounds the number of runs.
    pub const fn new(slots: S) -> Self {
        Self {
            runs: Ring::new(slots),
        }
    }

    /// Takes data whose first byte is `dsn`, `rcv_nxt` being the next one to deliver.
    ///
    /// The caller has checked that the data lies in the window it announced.
    pub fn insert(&mut self, mut dsn: Dsn, mut payload: P, rcv_nxt: Dsn) -> Insert<P> {
        let old = rcv_nxt.since(dsn);
        if old > 0 {
            let old = usize::try_from(old).unwrap_or(usize::MAX);
            if old >= payload.len() {
                return Insert::Duplicate;
            }
            payload.trim_front(old);
            dsn = rcv_nxt;
        }
        if payload.is_empty() {
            return Insert::Duplicate;
        }
        if dsn == rcv_nxt {
            self.cut_in_order(dsn, payload)
        } else {
            self.queue(dsn, payload)
        }
    }

    /// Removes from in-order data what is queued already, and runs that it covers.
    fn cut_in_order(&mut self, dsn: Dsn, mut payload: P) -> Insert<P> {
        let end = dsn.add(payload.len() as u64);
        while let Some(first) = self.runs.front() {
            if first.end().after(end) {
                payload.trim_back(distance(first.dsn, end));
                break;
            }
            self.remove(0);
        }
        if payload.is_empty() {
            // Only if a run starts at `rcv_nxt`, which the caller should have popped.
            return Insert::Duplicate;
        }
        Insert::InOrder(payload)
    }

    fn queue(&mut self, mut dsn: Dsn, mut payload: P) -> Insert<P> {
        let end = dsn.add(payload.len() as u64);
        let mut at = match self.runs.back() {
            None => 0,
            Some(last) if last.end().before(dsn) => self.runs.len(),
            Some(last) if last.end() == dsn => self.runs.len().saturating_sub(1),
            Some(_) => self.runs.partition_point(|run| run.end().before(dsn)),
        };
        let tail = self
            .runs
            .back()
            .is_some_and(|last| last.end().at_or_before(dsn));
        // The run that the data continues, if any: it reaches up to `dsn` or beyond.
        let mut left = false;
        let mut merged = false;
        if let Some(run) = self.runs.get(at).filter(|run| !run.dsn.after(dsn)) {
            if run.end().at_or_after(end) {
                return Insert::Duplicate;
            }
            payload.trim_front(distance(dsn, run.end()));
            dsn = run.end();
            left = true;
            at = at.saturating_add(1);
        }
        // Runs from there on that the data covers or reaches.
        while let Some(run) = self.runs.get(at).filter(|run| !run.dsn.after(end)) {
            if run.end().after(end) {
                payload.trim_back(distance(run.dsn, end));
                // `payload` now ends where this run begins: join them.
                if let Some(next) = self.remove(at) {
                    payload.append(next);
                    merged = true;
                }
                break;
            }
            self.remove(at);
        }
        if left {
            let run = self.runs.get_mut(at.saturating_sub(1));
            if let Some(head) = run.and_then(|run| run.payload.as_mut()) {
                head.append(payload);
            }
        } else {
            let run = Run {
                dsn,
                payload: Some(payload),
            };
            if let Err(Full(run)) = self.runs.insert(at, run) {
                return run.payload.map_or(Insert::Duplicate, Insert::NoSpace);
            }
        }
        Insert::Queued {
            tail,
            merged: merged || left,
        }
    }

    /// Takes the first run if it is due, and moves `rcv_nxt` behind it. Call until [`None`].
    #[inline]
    pub fn pop_ready(&mut self, rcv_nxt: &mut Dsn) -> Option<P> {
        loop {
            let first = self.runs.front()?;
            if first.dsn.after(*rcv_nxt) {
                return None;
            }
            let old = distance(first.dsn, *rcv_nxt);
            let mut payload = self.remove(0)?;
            if old >= payload.len() {
                continue;
            }
            payload.trim_front(old);
            *rcv_nxt = rcv_nxt.add(payload.len() as u64);
            return Some(payload);
        }
    }

    /// Gives up the last run to save memory: of all data it is needed last. The peer sends it again.
    pub fn prune(&mut self) -> Option<P> {
        let last = self.runs.len().checked_sub(1)?;
        self.remove(last)
    }

    /// Gives up the last run, if it lies behind `dsn`, to make room for data that is needed sooner.
    pub fn prune_behind(&mut self, dsn: Dsn) -> Option<P> {
        if self.runs.back()?.dsn.after(dsn) {
            self.prune()
        } else {
            None
        }
    }

    fn remove(&mut self, index: usize) -> Option<P> {
        self.runs.remove(index)?.payload
    }

    /// Whether nothing is held.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, in order, for tests on the host: one for each hole in front of received data.
    #[cfg(not(CONFIG_RUST))]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Run<P>> {
        self.runs.iter()
    }
}

/// Bytes from `from` to `to`, which is not before it.
#[inline]
fn distance(from: Dsn, to: Dsn) -> usize {
    usize::try_from(to.since(from)).unwrap_or(0)
}

#[cfg(test)]
mod tests;

// SPDX-License-Identifier: GPL-2.0

//! Received data: put in order across subflows, kept until somebody reads it.
//!
//! Memory is accounted to the connection: `sk_rmem_alloc` for its own limit, and TCP's global count of
//! pages. The latter is kept under the receive lock, because the socket's own forward allocation belongs
//! to the socket lock.

use super::{count, Msk, MskSock};
use crate::observe::mib::Mib;
use crate::proto::reorder::{Insert, Payload, Reorder, Run};
use crate::proto::seq::Dsn;
use crate::subflow::shared::flag;
use crate::sys::rxdata::{RxSkb, SkbList};
use crate::sys::storage::GrowArray;
use core::sync::atomic::Ordering;

const PAGE: i64 = 4096;
/// Data within the window that was announced may take this many times the receive buffer's limit: small
/// packets take more memory than a window reckons with.
pub(super) const OVERDRAFT: i32 = 2;
/// Accounted memory that is kept for the next packets, bytes.
pub(super) const KEEP: i64 = 64 * 1024;

impl Payload for SkbList {
    fn len(&self) -> usize {
        self.bytes()
    }

    fn trim_front(&mut self, n: usize) {
        self.consume(n);
    }

    fn trim_back(&mut self, n: usize) {
        self.consume_back(n);
    }

    fn append(&mut self, other: Self) {
        SkbList::append(self, other);
    }
}

/// What the receive lock protects.
pub(super) struct Rx {
    ahead: Reorder<SkbList, GrowArray<Run<SkbList>, 0>>,
    /// In order, not yet taken over by a reader.
    ready: SkbList,
    /// The number of the peer's DATA_FIN.
    fin: Option<Dsn>,
    /// Pages of TCP's global count that are ours.
    pages: i64,
}

impl Rx {
    pub(super) fn new() -> Self {
        Self {
            ahead: Reorder::new(GrowArray::new()),
            ready: SkbList::new(),
            fin: None,
            pages: 0,
        }
    }

    /// Everything that is in order.
    pub(super) fn take(&mut self) -> SkbList {
        self.ready.take()
    }

    /// Counts the memory that was added in TCP's global count.
    #[inline]
    fn account(&mut self, sk: &MskSock) {
        let missing = i64::from(sk.rmem_alloc()) - self.pages * PAGE;
        if missing > 0 {
            let pages = (missing + PAGE - 1) / PAGE;
            sk.memory_add(pages as i32);
            self.pages += pages;
        }
    }

    /// Memory was freed: gives back what TCP's count has too much, but for a reserve of `keep` bytes.
    pub(super) fn reclaim(&mut self, sk: &MskSock, keep: i64) {
        let over = self.pages * PAGE - i64::from(sk.rmem_alloc()) - keep;
        if over >= PAGE {
            let pages = over / PAGE;
            sk.memory_add(-(pages as i32));
            self.pages -= pages;
        }
    }

    /// Drops everything: the socket is no longer read.
    pub(super) fn purge(&mut self, sk: &MskSock) {
        self.ready = SkbList::new();
        while self.ahead.prune().is_some() {}
        self.reclaim(sk, 0);
    }

    /// As new, for another connection.
    pub(super) fn restart(&mut self, sk: &MskSock) {
        self.purge(sk);
        self.fin = None;
    }

    /// Takes in-order data in, and what follows it from the queue. True if the DATA_FIN was reached.
    fn deliver(&mut self, sk: &MskSock, data: SkbList) -> bool {
        let shared = sk.state_of().shared();
        let mut nxt = shared.rcv_nxt.get().add(data.bytes() as u64);
        let mut bytes = data.bytes();
        self.ready.append(data);
        if !self.ahead.is_empty() {
            while let Some(run) = self.ahead.pop_ready(&mut nxt) {
                bytes += run.bytes();
                self.ready.append(run);
            }
        }
        sk.state_of().readable.fetch_add(bytes, Ordering::Release);
        shared.rcv_nxt.set(nxt);
        self.check_fin(sk)
    }

    /// Whether the DATA_FIN is next: then it is taken, and counts one.
    fn check_fin(&mut self, sk: &MskSock) -> bool {
        let shared = sk.state_of().shared();
        let nxt = shared.rcv_nxt.get();
        if self.fin != Some(nxt) || shared.is(flag::EOF) {
            return false;
        }
        shared.rcv_nxt.set(nxt.add(1));
        shared.set(flag::EOF);
        true
    }

    /// Data of the SYN has arrived: it comes first, and has no numbers.
    pub(super) fn insert_early(&mut self, sk: &MskSock, skb: RxSkb) {
        skb.charge(sk);
        self.account(sk);
        let bytes = skb.len() as usize;
        self.ready.push(skb);
        let msk = sk.state_of();
        msk.readable.fetch_add(bytes, Ordering::Release);
        msk.shared()
            .early
            .fetch_add(bytes as u32, Ordering::Relaxed);
    }

    /// Data has arrived. True if the DATA_FIN was reached.
    pub(super) fn insert(&mut self, sk: &MskSock, dsn: Dsn, skb: RxSkb) -> bool {
        let shared = sk.state_of().shared();
        let nxt = shared.rcv_nxt.get();
        let end = dsn.add(skb.len().into());
        if shared.is(flag::EOF) {
            // The number before `nxt` is the DATA_FIN's.
            if end.at_or_after(nxt) && !shared.is(flag::FALLBACK) {
                shared.set(flag::BEYOND_FIN);
            }
            return false;
        }
        if self.fin.is_some_and(|fin| end.after(fin)) {
            // One of the two is a lie, more likely what stands in an option. The DATA_FIN comes again if not.
            self.fin = None;
        }
        skb.charge(sk);
        self.account(sk);
        let data = SkbList::one(skb);
        if dsn == nxt && self.ahead.is_empty() {
            return self.deliver(sk, data);
        }
        if dsn.after(nxt) {
            if end.after(shared.rcv_edge.get()) {
                count(sk, Mib::NoDssInWindow);
                return false;
            }
            if sk.rmem_alloc() / OVERDRAFT > sk.rcvbuf() && !self.make_room(sk, dsn) {
                return false;
            }
            count(sk, Mib::OfoQueue);
        }
        match self.ahead.insert(dsn, data, nxt) {
            Insert::InOrder(data) => self.deliver(sk, data),
            Insert::Queued { tail, merged } => {
                if tail {
                    count(sk, Mib::OfoQueueTail);
                }
                if merged {
                    count(sk, Mib::OfoMerge);
                }
                false
            }
            Insert::Duplicate => {
                count(sk, Mib::DuplicateData);
                false
            }
            Insert::NoSpace(_) => {
                count(sk, Mib::RcvPruned);
                false
            }
        }
    }

    /// Memory is short for data that has to wait, from `dsn` on: what is needed later has to go, which is sent
    /// again. False if nothing is.
    #[cold]
    fn make_room(&mut self, sk: &MskSock, dsn: Dsn) -> bool {
        count(sk, Mib::RcvPruned);
        self.ahead.prune_behind(dsn).is_some()
    }

    /// The peer's DATA_FIN is number `dsn`. True if it was reached by that.
    ///
    /// It is said again and again until it is acknowledged, so the last word counts. One that lies outside
    /// the window is nobody's.
    pub(super) fn data_fin(&mut self, sk: &MskSock, dsn: Dsn) -> bool {
        let shared = sk.state_of().shared();
        let nxt = shared.rcv_nxt.get();
        // What the SYN-ACK announced is not in `rcv_edge`.
        let edge = shared.rcv_edge.get().max(nxt.add(u16::MAX.into()));
        if dsn.at_or_after(nxt) && dsn.at_or_before(edge) {
            self.fin = Some(dsn);
        }
        self.check_fin(sk)
    }
}

/// Whether readers have what they sleep for.
pub(super) fn is_enough(sk: &MskSock) -> bool {
    let msk: &Msk = sk.state_of();
    let enough = (sk.rcvlowat().max(1) as usize).min(msk.needed.load(Ordering::Relaxed));
    msk.readable() >= enough
}

/// Wakes readers if there is enough to read.
pub(super) fn wake(sk: &MskSock) {
    if is_enough(sk) || sk.state_of().shared().is(flag::EOF) {
        sk.wake_readers();
    }
}

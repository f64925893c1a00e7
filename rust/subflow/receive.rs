// SPDX-License-Identifier: GPL-2.0

//! Data, taken out of TCP and given to the connection. Nothing is copied: packets change their queue.

use super::join::refusal;
use super::shared::{self, Shared};
use super::trace::Front;
use super::{flag, Connection, Subflow, Tally};
use crate::proto::checksum::Checksum;
use crate::proto::fallback::{FallbackCause, Verdict};
use crate::proto::option::RstReason;
use crate::proto::seq::{Dsn, Ssn};
use crate::sys::sock::{state, RCV_SHUTDOWN};
use crate::sys::tcp::Ssk;
use core::sync::atomic::Ordering;

impl<C: Connection> Subflow<C> {
    /// TCP has in-order data, or a FIN.
    pub(super) fn on_data_ready(&self, ssk: &mut Ssk<'_>) {
        let Some(conn) = self.conn() else {
            // A listener's child whose connection is not made yet: its creation comes back here.
            return;
        };
        let mut any = false;
        while let Some(front) = ssk.front() {
            if self.is(flag::BAD_MAP | flag::CLOSING) {
                // One of two mappings is a lie, or what it maps: the subflow is reset when TCP is done with
                // the segment.
                break;
            }
            if front.len == 0 {
                ssk.skip(0);
                continue;
            }
            if conn.is_full() && ssk.state() != state::CLOSE {
                // TCP's own queue holds it until the reader makes room; without MPTCP its window closes with that.
                // A subflow that is gone has nothing more to come, and nobody who would look at it again.
                self.set(flag::STALLED);
                // The reader may have made room before it could see that.
                if conn.is_full() {
                    break;
                }
                self.clear(flag::STALLED);
            }
            let early = self.early_bytes(front);
            if early > 0 {
                let Some(skb) = ssk.take(early) else {
                    self.out_of_memory(conn);
                    break;
                };
                conn.receive_early(skb);
                any = true;
                continue;
            }
            let seq = Ssn(front.seq);
            let Some((dsn, len)) = self.mapping(ssk, conn, seq, front.len) else {
                self.trace_front(ssk, Front::Invalid);
                break;
            };
            self.trace_front(ssk, Front::of(self));
            if self.is(flag::CSUM) && !self.verify(ssk, conn, seq) {
                break;
            }
            let Some(skb) = ssk.take(len.min(front.len)) else {
                self.out_of_memory(conn);
                break;
            };
            conn.receive(dsn, skb);
            any = true;
        }
        self.trace_empty(ssk);
        if any {
            if !self.is(flag::INFINITE) {
                self.maps.lock().consume(Ssn(ssk.copied_seq()));
            }
            if conn.received() || ssk.ack_overdue() && !self.acks_with_reading(ssk, conn) {
                self.set(flag::ACK_DUE);
            } else if conn.shared().owes_data_ack() && ssk.state() != state::CLOSE {
                // TCP may have acknowledged the segment before it told of its data.
                ssk.delay_ack();
            }
        }
        if ssk.shutdown_flags() & RCV_SHUTDOWN != 0 && ssk.front().is_none() && ssk.err() == 0 {
            // The FIN was reached. For a connection that fell back, that is the end of the stream.
            conn.subflow_ended();
        }
        self.acknowledge(ssk);
    }

    /// Whether byte `seq` may be given to the connection, as far as its mapping's checksum goes. It is verified
    /// when all of the mapping is there.
    fn verify(&self, ssk: &mut Ssk<'_>, conn: &C, seq: Ssn) -> bool {
        if self.is(flag::INFINITE) || conn.shared().is(shared::flag::FALLBACK) {
            return true;
        }
        let verified = Ssn(self.verified.load(Ordering::Relaxed));
        if self.is(flag::GOOD_CSUM) && seq.before(verified) {
            return true;
        }
        let Some(map) = self.maps.lock().lookup(seq) else {
            return true;
        };
        let Some(sum) = ssk.queue_sum(map.ssn.0, map.len) else {
            return false;
        };
        let ssn = map.ssn.relative(self.irs());
        let mut all = Checksum::of_mapping(map.dsn, ssn, map.data_level_len());
        all.add_sum(sum, map.len as usize);
        if map.csum.is_some_and(|csum| all.verify(csum)) {
            self.verified.store(map.end_ssn().0, Ordering::Relaxed);
            self.set(flag::GOOD_CSUM);
            return true;
        }
        self.fail_dsn.store(map.dsn.0, Ordering::Relaxed);
        match conn.bad_checksum(self) {
            Verdict::Fallback => {
                self.fall_back(ssk, conn, FallbackCause::Checksum);
                self.set(flag::INFINITE);
                true
            }
            Verdict::SendFail => {
                // The data is taken as it is, and the peer asked for an infinite mapping.
                self.set(flag::FAIL_DUE | flag::ACK_DUE);
                self.verified.store(map.end_ssn().0, Ordering::Relaxed);
                true
            }
            Verdict::Reset { fail, rst } => {
                if fail {
                    self.set(flag::FAIL_DUE);
                }
                self.reset_with(rst);
                conn.reset_subflow(ssk, self);
                false
            }
            _ => {
                self.verified.store(map.end_ssn().0, Ordering::Relaxed);
                true
            }
        }
    }

    /// Data stays in TCP's queue. The next segment leads to another look at it, but there may be none.
    #[cold]
    fn out_of_memory(&self, conn: &C) {
        self.set(flag::STALLED);
        conn.short_of_memory();
    }

    /// Gives the connection what TCP has, before the end of the subflow is noticed.
    pub fn drain(&self, ssk: &mut Ssk<'_>) {
        self.on_data_ready(ssk);
    }

    /// The connection's buffer has room again, or there may be memory.
    pub fn resume(&self, ssk: &mut Ssk<'_>) {
        if self.clear(flag::STALLED) {
            self.on_data_ready(ssk);
        }
    }

    /// The number of the byte `seq`, and for how many bytes, at most `len`, that goes on.
    #[inline]
    fn mapping(&self, ssk: &mut Ssk<'_>, conn: &C, seq: Ssn, len: u32) -> Option<(Dsn, u32)> {
        let shared = conn.shared();
        if self.is(flag::INFINITE) {
            return Some((shared.rcv_nxt.get(), len));
        }
        let found = self.maps.lock().lookup(seq);
        if let Some(map) = found {
            return Some((map.dsn_of(seq), map.end_ssn().since(seq) as u32));
        }
        if shared.is(shared::flag::FALLBACK) {
            self.set(flag::INFINITE);
            return Some((shared.rcv_nxt.get(), len));
        }
        let Some(cause) = self.excuse(shared, seq) else {
            if !self.maps.lock().is_empty() {
                conn.tally(Tally::MapElsewhere);
            }
            if !self.is(flag::JOIN) {
                conn.tally(Tally::FallbackLate);
            }
            self.reset_with(refusal(RstReason::MiddleboxInterference, false));
            conn.reset_subflow(ssk, self);
            return None;
        };
        self.fall_back(ssk, conn, cause);
        self.set(flag::INFINITE);
        Some((shared.rcv_nxt.get(), len))
    }

    /// Why the byte `seq` has no mapping; none if that breaks the protocol.
    ///
    /// Options are stripped on some paths, from the first data on or somewhat later. As long as this
    /// subflow's bytes have been the stream, the connection may become plain TCP: but not when options have
    /// been seen to pass in both directions, because the peer would wait for DATA_ACKs.
    #[cold]
    pub(super) fn excuse(&self, shared: &Shared, seq: Ssn) -> Option<FallbackCause> {
        let first = seq == self.irs().add(1);
        if self.is(flag::JOIN) || shared.is(shared::flag::MULTI) {
            return None;
        }
        if !shared.is_stream(shared.rcv_nxt.get(), seq.relative(self.irs().add(1))) {
            None
        } else if self.is(flag::INFINITE_RX) {
            Some(FallbackCause::InfiniteMapRx)
        } else if first || !self.is(flag::SEEN_DSS) {
            Some(FallbackCause::NoDss)
        } else if !shared.confirmed() {
            Some(FallbackCause::Unmapped)
        } else {
            None
        }
    }

    /// Whether the ACK of what has arrived can wait until it is read: a reader was woken for that, and the window
    /// would not move on by as much as has arrived. So it is with plain TCP: one ACK, with the window that reading
    /// opens, tells of many segments. Otherwise who does something else would hold up the peer.
    fn acks_with_reading(&self, ssk: &Ssk<'_>, conn: &C) -> bool {
        let free = ssk.window_from_space(conn.rcv_space()).max(0) as u32;
        free < ssk.rcv_wnd() && conn.awaits_reader()
    }

    /// Sends an ACK if something asked for one that TCP does not send by itself.
    pub(super) fn acknowledge(&self, ssk: &mut Ssk<'_>) {
        if self.clear(flag::ACK_DUE) {
            ssk.send_ack();
        }
    }
}

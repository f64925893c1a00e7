// SPDX-License-Identifier: GPL-2.0

//! Just enough TCP: what MPTCP's subflows rely on, and not more.

use std::collections::{BTreeMap, VecDeque};

use super::net::Time;
use mptcp_proto::seq::Ssn;

/// The largest payload of a segment, in bytes.
pub const MSS: u64 = 1400;

/// A segment that was sent.
#[derive(Debug)]
struct Sent {
    to: u64,
    at: Time,
    /// What was acknowledged then.
    una: u64,
    /// There was less to send than might have been sent.
    idle: bool,
}

/// The sending half of a subflow. Positions count from the first byte behind the SYN.
#[derive(Debug)]
pub struct TcpTx {
    pub isn: Ssn,
    pub una: u64,
    pub nxt: u64,
    /// The end of what was queued.
    pub end: u64,
    pub cwnd: u64,
    ssthresh: u64,
    pub srtt: Time,
    pub min_rtt: Time,
    /// In bytes per second; 0 if unknown.
    pub delivery_rate: u64,
    duplicates: u32,
    /// What was sent, for the first time only.
    sent: VecDeque<Sent>,
    /// Where a loss was seen: no further one counts before that was acknowledged.
    recover: u64,
    /// What was sent again since.
    resent: u64,
    timer: Time,
    pub backoff: u32,
}

impl TcpTx {
    pub fn new(isn: Ssn, rtt: Time) -> Self {
        Self {
            isn,
            una: 0,
            nxt: 0,
            end: 0,
            cwnd: 10 * MSS,
            ssthresh: u64::MAX,
            srtt: rtt,
            min_rtt: rtt,
            delivery_rate: 0,
            duplicates: 0,
            sent: VecDeque::new(),
            recover: 0,
            resent: 0,
            timer: 0,
            backoff: 0,
        }
    }

    pub fn ssn(&self, position: u64) -> Ssn {
        self.isn.add(1).add(position as u32)
    }

    pub fn slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    pub fn in_flight(&self) -> u64 {
        self.nxt - self.una
    }

    /// The next new bytes to send, if the window has room.
    pub fn next(&self) -> Option<u64> {
        (self.nxt < self.end && self.in_flight() + MSS <= self.cwnd.max(MSS)).then_some(self.nxt)
    }

    /// Bytes up to `to` are on their way.
    pub fn sent(&mut self, to: u64, now: Time) {
        if self.in_flight() == 0 {
            self.timer = now + self.rto();
        }
        if to > self.nxt {
            self.nxt = to;
            self.sent.push_back(Sent {
                to,
                at: now,
                una: self.una,
                idle: self.nxt == self.end && self.in_flight() < self.cwnd,
            });
        }
    }

    fn rto(&self) -> Time {
        (self.srtt * 3).max(200_000) << self.backoff.min(6)
    }

    /// An acknowledgement. Gives back what is to be sent again.
    pub fn on_ack(&mut self, ack: Ssn, hole_end: Option<Ssn>, now: Time) -> Option<(u64, u64)> {
        let lost = self.on_new_ack(ack, hole_end.is_some(), now);
        let recovering = self.una < self.recover;
        let hole = hole_end.map(|end| self.una + u64::from(end.relative(self.ssn(self.una))));
        if !(lost || recovering && hole.is_some()) {
            return None;
        }
        let from = self.una.max(self.resent);
        let to = hole.unwrap_or(self.una + 1).min(self.nxt).min(self.recover);
        self.resent = self.resent.max(to);
        (from < to).then_some((from, to))
    }

    /// True if a loss shows.
    fn on_new_ack(&mut self, ack: Ssn, hole: bool, now: Time) -> bool {
        let acked = ack.relative(self.ssn(self.una));
        if acked == 0 || u64::from(acked) > self.in_flight() {
            self.duplicates += u32::from(acked == 0 && hole);
            if self.duplicates == 3 && self.una >= self.recover {
                return self.lost(self.cwnd / 2);
            }
            return false;
        }
        self.una += u64::from(acked);
        self.duplicates = 0;
        self.backoff = 0;
        self.timer = now + self.rto();
        while self.sent.front().is_some_and(|sent| sent.to <= self.una) {
            let Some(sent) = self.sent.pop_front() else {
                break;
            };
            let rtt = now - sent.at;
            self.srtt = (self.srtt * 7 + rtt) / 8;
            self.min_rtt = self.min_rtt.min(rtt);
            let rate = (self.una - sent.una) * 1_000_000 / rtt.max(1);
            if !sent.idle || rate > self.delivery_rate {
                self.delivery_rate = rate;
            }
        }
        self.cwnd += if self.cwnd < self.ssthresh {
            u64::from(acked)
        } else {
            MSS * MSS / self.cwnd
        };
        false
    }

    fn lost(&mut self, cwnd: u64) -> bool {
        self.resent = self.una;
        self.ssthresh = (self.cwnd / 2).max(2 * MSS);
        self.cwnd = cwnd.max(2 * MSS);
        self.recover = self.nxt;
        // What is sent again does not measure anything.
        self.sent.clear();
        true
    }

    /// True if the retransmission timer fired: the first segment is to be sent again.
    pub fn on_tick(&mut self, now: Time) -> bool {
        if self.in_flight() == 0 || now < self.timer {
            return false;
        }
        self.backoff += 1;
        self.timer = now + self.rto();
        self.duplicates = 0;
        self.lost(2 * MSS)
    }
}

/// The receiving half of a subflow.
#[derive(Debug)]
pub struct TcpRx {
    pub isn: Ssn,
    pub nxt: u64,
    ahead: BTreeMap<u64, Vec<u8>>,
}

impl TcpRx {
    pub fn new(isn: Ssn) -> Self {
        Self {
            isn,
            nxt: 0,
            ahead: BTreeMap::new(),
        }
    }

    pub fn ack(&self) -> Ssn {
        self.isn.add(1).add(self.nxt as u32)
    }

    /// Where the first hole ends.
    pub fn hole_end(&self) -> Option<Ssn> {
        let (&at, _) = self.ahead.first_key_value()?;
        Some(self.isn.add(1).add(at as u32))
    }

    /// Takes a segment; gives back what is in order now, and at which position.
    pub fn on_segment(&mut self, seq: Ssn, payload: Vec<u8>) -> Option<(u64, Vec<u8>)> {
        let ahead = seq.since(self.ack());
        let start = self.nxt as i64 + i64::from(ahead);
        if start < 0 || payload.is_empty() {
            return None;
        }
        let old = self.ahead.entry(start as u64).or_default();
        if payload.len() > old.len() {
            *old = payload;
        }
        let first = self.nxt;
        let mut ready = Vec::new();
        while let Some(entry) = self.ahead.first_entry() {
            let at = *entry.key();
            if at > self.nxt {
                break;
            }
            let bytes = entry.remove();
            let skip = (self.nxt - at) as usize;
            if skip < bytes.len() {
                ready.extend(&bytes[skip..]);
                self.nxt += (bytes.len() - skip) as u64;
            }
        }
        (!ready.is_empty()).then_some((first, ready))
    }
}

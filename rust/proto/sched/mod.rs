// SPDX-License-Identifier: GPL-2.0

//! Packet schedulers: which subflow carries the next data.
//!
//! A scheduler is asked with figures about every subflow that could send ([`Candidate`]) and about the
//! data ([`Demand`]), and answers with a subflow and a number of bytes ([`Pick`]). It is asked again when
//! those are placed. It may also answer that the data had better wait: whenever a subflow gets
//! room, it is asked again.

mod chosen;
mod default;
mod round_robin;

pub use chosen::{Chosen, NAMES};
pub use default::DefaultScheduler;
pub use round_robin::RoundRobin;

/// A subflow that data could be put on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Candidate {
    /// Names the subflow towards the caller.
    pub id: u32,
    /// Smoothed round-trip time, in microseconds; 0 if unknown.
    pub srtt_us: u32,
    /// The shortest round-trip time of late, in microseconds: without queues; 0 if unknown.
    pub min_rtt_us: u32,
    /// Congestion window, in bytes.
    pub cwnd: u32,
    /// Sent and not acknowledged, in bytes.
    pub in_flight: u32,
    /// The most that was in flight at once during a late round trip, in bytes.
    pub flown: u32,
    /// Queued on the subflow and not sent yet, in bytes.
    pub queued: u32,
    /// At what rate data has been arriving, in bytes per second; 0 if unknown.
    pub delivery_rate: u64,
    /// `delivery_rate` says only what the path does at least: the congestion window doubles in a round trip, or there
    /// was not enough to send when it was measured.
    pub untried: bool,
    /// Bytes that its send buffer still takes.
    pub send_room: u32,
    /// To be used only when no other subflow can be.
    pub backup: bool,
    /// It has stopped making progress: its retransmissions are not acknowledged.
    pub stale: bool,
}

/// The data to be placed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Demand {
    /// Bytes not placed on any subflow yet.
    pub pending: u64,
    /// Bytes that the peer's window still allows.
    pub window: u64,
}

/// A scheduler's decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pick {
    /// [`Candidate::id`] of the subflow.
    pub id: u32,
    /// How many bytes to put there before asking again, at least 1.
    pub burst: u32,
}

/// The most that one decision places, in bytes: what one GSO segment holds.
pub const BURST_MAX: u32 = 65_428;

/// A packet scheduler. Each connection has one of its own, which may remember what it wants to.
pub trait Scheduler {
    /// Its name, as in `net.mptcp.scheduler`.
    const NAME: &'static str;

    /// Where to put new data. [`None`]: it has to wait, because there is no room, no window or nothing
    /// to send, or because waiting is faster.
    fn select(&mut self, candidates: &[Candidate], demand: &Demand) -> Option<Pick>;

    /// Where to put data again that subflow `holder` had, and that was not acknowledged; `bytes` of it.
    /// Never on `holder`, never more than its cwnd would send soon. [`None`]: not now.
    fn reinject(
        &mut self,
        candidates: &[Candidate],
        holder: Option<u32>,
        bytes: u64,
    ) -> Option<Pick>;
}

/// How willingly a subflow is used; lower is better. Subflows of different ranks are never mixed.
fn rank(candidate: &Candidate) -> u8 {
    u8::from(candidate.backup) | (u8::from(candidate.stale) << 1)
}

/// The best rank among `candidates`, with room or without.
fn best_rank<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Option<u8> {
    candidates.map(rank).min()
}

/// Whether data put on the subflow now would be sent soon.
fn has_room(candidate: &Candidate) -> bool {
    let outstanding = candidate.in_flight.saturating_add(candidate.queued);
    candidate.send_room > 0 && outstanding < candidate.cwnd
}

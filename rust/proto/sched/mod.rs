// SPDX-License-Identifier: GPL-2.0

//! Packet schedulers: which subflow carries the next data.
//!
//! A scheduler is asked with figures about every subflow that could send ([`Candidate`]) and about the
//! data ([`Demand`]), and answers with a subflow and a number of bytes ([`Pick`]). It is asked again when
//! those are placed. It may also answer that the data had better wait: whenever a subflow gets
//! room, it is asked again.

mod default;

pub use default::DefaultScheduler;

/// A subflow that data could be put on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Candidate {
    /// Names the subflow towards the caller.
    pub id: u32,
    /// Smoothed round-trip time, in microseconds; 0 if unknown.
    pub srtt_us: u32,
    /// Congestion window, in bytes.
    pub cwnd: u32,
    /// Sent and not acknowledged, in bytes.
    pub in_flight: u32,
    /// Queued on the subflow and not sent yet, in bytes.
    pub queued: u32,
    /// What TCP paces the subflow at, in bytes per second; 0 if unknown.
    pub pacing_rate: u64,
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

/// A packet scheduler.
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

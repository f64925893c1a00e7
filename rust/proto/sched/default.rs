// SPDX-License-Identifier: GPL-2.0

//! The default scheduler: the subflow that is expected to deliver first.
//!
//! Data that is put on a slow subflow arrives late, and everything behind it waits in the peer's reorder
//! queue. The aim is therefore not to fill every congestion window, but to have the last byte arrive
//! early. Known ideas combined (lowest completion time; BLEST, "Blocking Estimation-based MPTCP
//! Scheduler"; ECF, "Earliest Completion First"):
//!
//! - of all subflows, take the one where a burst completes first: behind all that is under way there. The one
//!   that had the burst before may be a little later, for what goes one way makes large packets and few
//!   acknowledgements, and comes in order;
//! - if a better one has no room at the moment, the slower one is used only if it delivers the burst no
//!   later than the better one would have delivered all that is pending, or all that the window
//!   allows. Otherwise waiting is faster: the better one would stand still until the slower one's data
//!   is there. One that is idle is given as much as it delivers in that time.

use super::{best_rank, has_room, rank, Candidate, Demand, Pick, Scheduler, BURST_MAX};

/// The default scheduler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DefaultScheduler {
    /// The subflow that the last new data was put on; it need not be there any more.
    last: u32,
}

impl DefaultScheduler {
    /// One that has not been asked yet.
    pub const fn new() -> Self {
        Self { last: u32::MAX }
    }

    fn choose(&self, candidates: &[Candidate], demand: &Demand) -> Option<Pick> {
        let bytes = demand.pending.min(demand.window);
        if let [only] = candidates {
            // Nothing to choose: fill its buffer, TCP does the rest.
            return pick(only, bytes, BURST_MAX);
        }
        let best = best_rank(candidates.iter())?;
        let next = bytes.min(BURST_MAX.into());
        let fast = fastest(candidates, best, next, |_| true)?;
        let soon = completion(fast, next).saturating_add(STAY_US);
        // What has nothing under way cannot be overtaken: there the faster one is as good a start.
        let stay = |candidate: &&Candidate| {
            candidate.id == self.last
                && rank(candidate) == best
                && has_room(candidate)
                && candidate.in_flight.max(candidate.queued) > 0
                && completion(candidate, next) <= soon
        };
        if let Some(last) = candidates.iter().find(stay) {
            return pick(last, bytes, burst(last));
        }
        if has_room(fast) {
            return pick(fast, bytes, burst(fast));
        }
        let free = fastest(candidates, best, next, has_room)?;
        let few = bytes.min(burst(free).into());
        let limit = completion(fast, bytes);
        if completion(free, few) <= limit {
            return pick(free, few, burst(free));
        }
        let few = few.min(in_time(free, limit));
        let idle = free.in_flight == 0 && free.queued == 0;
        if idle && few >= bytes.min(LEAST) {
            pick(free, few, burst(free))
        } else {
            None
        }
    }
}

impl Default for DefaultScheduler {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes in `us` microseconds, per second.
fn per_second(bytes: u32, us: u32) -> u64 {
    let scaled = u64::from(bytes).saturating_mul(1_000_000);
    scaled.checked_div(us.max(1).into()).unwrap_or(0)
}

/// The shortest round trip time, in microseconds.
fn min_rtt(candidate: &Candidate) -> u32 {
    match candidate.min_rtt_us {
        0 => candidate.srtt_us,
        min => min,
    }
}

/// What a path may always be tried with, bytes: the initial congestion window (RFC 6928).
const INITIAL: u32 = 14_600;

/// How much later than on the best subflow a burst may arrive on the one that had the burst before, microseconds.
const STAY_US: u64 = 1000;

/// Less than this is not put on a slower path while the better one is busy, bytes: about a segment.
const LEAST: u64 = 1400;

/// Bytes per second, at least one.
///
/// How fast a path is that has not carried much yet is not known, and nobody would find out if it had to carry
/// much first: then it is tried with up to twice of what it had to carry of late. But where a queue has built up,
/// as the round trip time tells, that was all it can do: what it delivers, for the smoothed round trip time is behind a
/// queue that grows, and in slow start a multiple of the rate would be queued there by then. Not known means:
/// in slow start, or when there was not enough to send, perhaps because of what was decided here. After losses the
/// congestion window allows less than what was measured before.
fn rate(candidate: &Candidate) -> u64 {
    let delivered = candidate.delivery_rate;
    let queue = candidate.srtt_us / 2 >= min_rtt(candidate);
    let rate = if delivered > 0 && (queue || !candidate.untried) {
        delivered
    } else {
        let flown = candidate.flown.max(candidate.in_flight);
        let tried = if queue {
            flown
        } else {
            flown.saturating_mul(2)
        };
        let tried = tried.max(INITIAL).min(candidate.cwnd);
        per_second(tried, candidate.srtt_us).max(delivered)
    };
    let most = per_second(candidate.cwnd, min_rtt(candidate));
    rate.min(most).max(1)
}

/// In how many microseconds `bytes` more would have arrived, put on the subflow now.
///
/// All that is under way comes before it, at the rate of the path's narrowest link: what the path itself does not
/// hold waits in front of that, or in TCP. The congestion window says nothing of this, for it may be much larger
/// than the path.
fn completion(candidate: &Candidate, bytes: u64) -> u64 {
    let ahead = u64::from(candidate.in_flight).saturating_add(candidate.queued.into());
    let way = u64::from(min_rtt(candidate)) / 2;
    // The acknowledgement of the last byte comes when all was sent, and not before a round trip is over; the byte
    // arrives half a round trip before that.
    ahead
        .saturating_add(bytes)
        .saturating_mul(1_000_000)
        .checked_div(rate(candidate))
        .unwrap_or(u64::MAX)
        .saturating_sub(way)
        .max(way)
}

/// How many bytes more would have arrived in `us` microseconds, put on the subflow now: what [`completion`] says,
/// the other way round.
fn in_time(candidate: &Candidate, us: u64) -> u64 {
    let way = u64::from(min_rtt(candidate)) / 2;
    if us < way {
        return 0;
    }
    let ahead = u64::from(candidate.in_flight).saturating_add(candidate.queued.into());
    us.saturating_add(way)
        .saturating_mul(rate(candidate))
        .checked_div(1_000_000)
        .unwrap_or(0)
        .saturating_sub(ahead)
}

/// The candidate of rank `best` with the lowest completion time of `bytes`, among those that `pred`
/// takes. Of equals the first.
fn fastest(
    candidates: &[Candidate],
    best: u8,
    bytes: u64,
    pred: impl Fn(&Candidate) -> bool,
) -> Option<&Candidate> {
    candidates
        .iter()
        .filter(|candidate| rank(candidate) == best && pred(candidate))
        .min_by_key(|candidate| completion(candidate, bytes))
}

/// How much to put onto a subflow at once: what the congestion window has room for, or a millisecond's worth if
/// that is more; but not more than arrives within 50 ms, so that each subflow gets its part of a small window. A
/// slow path is found out by what it does with the first window; whatever else was queued there by then would be
/// late. Never more than one decision can place: it is this amount whose arrival is compared with others'.
fn burst(candidate: &Candidate) -> u32 {
    let outstanding = candidate.in_flight.saturating_add(candidate.queued);
    let room = u64::from(candidate.cwnd.saturating_sub(outstanding));
    let rate = rate(candidate);
    let burst = room.max(rate / 1000).min((rate / 20).max(1));
    let burst = u32::try_from(burst).unwrap_or(u32::MAX);
    burst.min(candidate.send_room).min(BURST_MAX)
}

fn pick(candidate: &Candidate, bytes: u64, burst: u32) -> Option<Pick> {
    let burst = burst.min(candidate.send_room).min(BURST_MAX);
    let burst = u32::try_from(bytes).unwrap_or(u32::MAX).min(burst);
    (burst > 0).then_some(Pick {
        id: candidate.id,
        burst,
    })
}

impl Scheduler for DefaultScheduler {
    const NAME: &'static str = "default";

    fn select(&mut self, candidates: &[Candidate], demand: &Demand) -> Option<Pick> {
        let pick = self.choose(candidates, demand)?;
        self.last = pick.id;
        Some(pick)
    }

    fn reinject(
        &mut self,
        candidates: &[Candidate],
        holder: Option<u32>,
        bytes: u64,
    ) -> Option<Pick> {
        let other = |candidate: &&Candidate| Some(candidate.id) != holder;
        let best = best_rank(candidates.iter().filter(other))?;
        let next = bytes.min(BURST_MAX.into());
        let free = fastest(candidates, best, next, |candidate| {
            other(&candidate) && has_room(candidate)
        })?;
        pick(free, bytes, burst(free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 Mbyte/s, 10 ms, half a window of room.
    const PATH: Candidate = Candidate {
        id: 1,
        srtt_us: 10_000,
        min_rtt_us: 10_000,
        cwnd: 100_000,
        in_flight: 50_000,
        queued: 0,
        delivery_rate: 10_000_000,
        flown: 0,
        untried: false,
        send_room: 1_000_000,
        backup: false,
        stale: false,
    };

    const LOTS: Demand = Demand {
        pending: 10_000_000,
        window: 10_000_000,
    };

    fn select(candidates: &[Candidate], demand: &Demand) -> Option<u32> {
        DefaultScheduler::new()
            .select(candidates, demand)
            .map(|pick| pick.id)
    }

    fn full(candidate: Candidate) -> Candidate {
        Candidate {
            in_flight: candidate.cwnd,
            ..candidate
        }
    }

    #[test]
    fn nothing_to_do_is_no_pick() {
        assert_eq!(select(&[], &LOTS), None);
        for (pending, window) in [(0, 100), (100, 0)] {
            let demand = Demand { pending, window };
            assert_eq!(select(&[PATH], &demand), None);
            assert_eq!(select(&[PATH, Candidate { id: 2, ..PATH }], &demand), None);
        }
        let closed = Candidate {
            send_room: 0,
            ..PATH
        };
        assert_eq!(select(&[closed], &LOTS), None);
    }

    #[test]
    fn a_lone_subflow_takes_what_its_buffer_takes() {
        let path = full(PATH);
        let pick = DefaultScheduler::new().select(&[path], &LOTS).unwrap();
        assert_eq!(pick.burst, BURST_MAX);
        let small = Candidate {
            send_room: 5000,
            ..path
        };
        assert_eq!(
            DefaultScheduler::new()
                .select(&[small], &LOTS)
                .unwrap()
                .burst,
            5000
        );
    }

    #[test]
    fn a_burst_exceeds_neither_data_nor_window() {
        let two = [PATH, Candidate { id: 2, ..PATH }];
        let burst = |pending, window| {
            let demand = Demand { pending, window };
            DefaultScheduler::new().select(&two, &demand).unwrap().burst
        };
        assert_eq!(burst(1, 1000), 1);
        assert_eq!(burst(1000, 7), 7);
        assert_eq!(burst(u64::MAX, u64::MAX), 50_000);
    }

    #[test]
    fn a_burst_is_what_the_congestion_window_takes_or_a_millisecond_s_worth() {
        let burst = |candidate| {
            let two = [candidate, full(Candidate { id: 2, ..PATH })];
            DefaultScheduler::new().select(&two, &LOTS).unwrap().burst
        };
        let nearly_full = Candidate {
            in_flight: 99_000,
            ..PATH
        };
        assert_eq!(burst(nearly_full), 10_000);
        let fast = Candidate {
            cwnd: 10_000_000,
            in_flight: 9_999_000,
            delivery_rate: 1_000_000_000,
            ..PATH
        };
        assert_eq!(burst(fast), BURST_MAX);
    }

    #[test]
    fn a_full_window_is_left_to_the_fast_path() {
        let slow = Candidate {
            id: 2,
            srtt_us: 100_000,
            min_rtt_us: 100_000,
            ..PATH
        };
        let demand = |window| Demand {
            pending: 10_000_000,
            window,
        };
        // 100 kB are 10 ms of the fast path: it would wait for the slow one's data most of the time.
        assert_eq!(select(&[full(PATH), slow], &demand(100_000)), None);
        assert_eq!(select(&[full(PATH), slow], &demand(1_000_000)), Some(2));
    }

    #[test]
    fn the_next_burst_follows_the_last_unless_that_is_later() {
        // A millisecond of 10 Mbyte/s is 10 kB.
        let mut sched = DefaultScheduler::new();
        let mut pick = |first: u32, second: u32| {
            let one = Candidate {
                in_flight: first,
                ..PATH
            };
            let two = Candidate {
                id: 2,
                in_flight: second,
                ..PATH
            };
            sched.select(&[one, two], &LOTS).map(|pick| pick.id)
        };
        assert_eq!(pick(40_000, 40_000), Some(1));
        assert_eq!(pick(49_000, 40_000), Some(1));
        assert_eq!(pick(51_000, 40_000), Some(2));
        assert_eq!(pick(41_000, 50_000), Some(2));
        // It has no room.
        assert_eq!(pick(99_000, 100_000), Some(1));
        // Nothing is under way there: the first of equals.
        assert_eq!(pick(100_000, 0), Some(2));
        assert_eq!(pick(0, 0), Some(1));
    }

    #[test]
    fn the_last_one_is_left_for_one_of_a_better_rank() {
        let mut sched = DefaultScheduler::new();
        let two = Candidate { id: 2, ..PATH };
        assert_eq!(sched.select(&[two], &LOTS).map(|pick| pick.id), Some(2));
        let stale = Candidate { stale: true, ..two };
        assert_eq!(
            sched.select(&[stale, PATH], &LOTS).map(|pick| pick.id),
            Some(1)
        );
        assert_eq!(
            sched.select(&[two, PATH], &LOTS).map(|pick| pick.id),
            Some(1)
        );
    }

    #[test]
    fn an_idle_path_is_given_what_it_delivers_in_time() {
        // 100 kB under way at 10 Mbyte/s, and 50 kB to come: after 10 ms all has arrived.
        let slow = Candidate {
            id: 2,
            delivery_rate: 1_000_000,
            in_flight: 0,
            ..PATH
        };
        let demand = Demand {
            pending: 50_000,
            window: 10_000_000,
        };
        let pick = DefaultScheduler::new()
            .select(&[full(PATH), slow], &demand)
            .unwrap();
        assert_eq!((pick.id, pick.burst), (2, 15_000));
        let busy = Candidate {
            in_flight: 1000,
            ..slow
        };
        assert_eq!(select(&[full(PATH), busy], &demand), None);
        // What it delivers in time must be worth a segment.
        let slower = Candidate {
            delivery_rate: 80_000,
            ..slow
        };
        assert_eq!(select(&[full(PATH), slower], &demand), None);
    }

    #[test]
    fn a_queue_is_not_taken_for_a_path() {
        // In slow start 450 kB are on their way over a link of 375 kB/s, and the smoothed time is behind.
        let slow = Candidate {
            id: 2,
            srtt_us: 346_000,
            min_rtt_us: 4_000,
            cwnd: 490_000,
            in_flight: 450_000,
            flown: 450_000,
            delivery_rate: 375_000,
            untried: true,
            ..PATH
        };
        let fast = full(Candidate {
            srtt_us: 115_000,
            min_rtt_us: 4_000,
            cwnd: 150_000,
            delivery_rate: 1_250_000,
            ..PATH
        });
        // The fast one is through with all of it in 0.4 s, what is on the slow one in 1.2 s.
        let demand = Demand {
            pending: 350_000,
            window: 10_000_000,
        };
        assert_eq!(select(&[fast, slow], &demand), None);
    }

    #[test]
    fn the_shorter_path_comes_first() {
        let long = Candidate {
            id: 2,
            srtt_us: 40_000,
            min_rtt_us: 40_000,
            ..PATH
        };
        assert_eq!(select(&[long, PATH], &LOTS), Some(1));
        // Until so much is queued on it that the long way is shorter.
        let busy = Candidate {
            queued: 200_000,
            cwnd: 1_000_000,
            ..PATH
        };
        assert_eq!(select(&[long, busy], &LOTS), Some(2));
    }

    #[test]
    fn what_is_compared_is_what_would_be_placed() {
        // 700 kB at 20 Mbyte/s: all would have arrived after 30 ms.
        let fast = full(Candidate {
            cwnd: 200_000,
            delivery_rate: 20_000_000,
            ..PATH
        });
        // 50 ms of it are 200 kB, and would arrive after 45 ms; but its send buffer takes 10 kB.
        let other = Candidate {
            id: 2,
            cwnd: 10_000_000,
            in_flight: 0,
            delivery_rate: 4_000_000,
            send_room: 10_000,
            ..PATH
        };
        let demand = Demand {
            pending: 500_000,
            window: 500_000,
        };
        let pick = DefaultScheduler::new().select(&[fast, other], &demand);
        assert_eq!(pick.map(|pick| (pick.id, pick.burst)), Some((2, 10_000)));
    }

    #[test]
    fn the_last_bytes_wait_for_the_fast_path() {
        let slow = Candidate {
            id: 2,
            srtt_us: 200_000,
            min_rtt_us: 200_000,
            delivery_rate: 1_000_000,
            ..PATH
        };
        let few = Demand {
            pending: 10_000,
            window: 10_000_000,
        };
        assert_eq!(select(&[full(PATH), slow], &few), None);
        // With much to send, both are needed.
        assert_eq!(select(&[full(PATH), slow], &LOTS), Some(2));
    }

    #[test]
    fn a_path_is_tried_before_its_rate_is_known() {
        let fresh = Candidate {
            id: 2,
            srtt_us: 100_000,
            min_rtt_us: 100_000,
            cwnd: 14_000,
            in_flight: 0,
            delivery_rate: 0,
            untried: true,
            ..PATH
        };
        let demand = Demand {
            pending: 1_000_000,
            window: 1_000_000,
        };
        // A window of it arrives while the other one is still busy with the rest.
        assert_eq!(select(&[full(PATH), fresh], &demand), Some(2));
        let busy = Candidate {
            in_flight: 14_000,
            ..fresh
        };
        assert_eq!(select(&[full(PATH), busy], &demand), None);
    }

    #[test]
    fn a_starved_path_is_tried_with_twice_what_it_carried() {
        // 500 kB/s were measured with little to send; its window would take 400 kB.
        let starved = Candidate {
            srtt_us: 100_000,
            min_rtt_us: 100_000,
            cwnd: 400_000,
            in_flight: 0,
            flown: 50_000,
            delivery_rate: 500_000,
            untried: true,
            ..PATH
        };
        assert_eq!(rate(&starved), 1_000_000);
        // A queue: more than it delivers is not to be had, whatever the window, and whatever is in the queue.
        let queued = Candidate {
            srtt_us: 200_000,
            flown: 150_000,
            ..starved
        };
        assert_eq!(rate(&queued), 500_000);
        let nothing_delivered = Candidate {
            delivery_rate: 0,
            ..queued
        };
        assert_eq!(rate(&nothing_delivered), 750_000);
        // TCP had enough to send.
        let measured = Candidate {
            untried: false,
            ..starved
        };
        assert_eq!(rate(&measured), 500_000);
    }

    #[test]
    fn backups_and_stale_subflows_are_for_when_nothing_else_is() {
        let backup = Candidate {
            id: 2,
            backup: true,
            srtt_us: 1,
            min_rtt_us: 1,
            ..PATH
        };
        let stale = Candidate {
            id: 3,
            stale: true,
            ..PATH
        };
        assert_eq!(select(&[backup, PATH, stale], &LOTS), Some(1));
        // Full is not gone.
        assert_eq!(select(&[backup, full(PATH), stale], &LOTS), None);
        assert_eq!(select(&[backup, stale], &LOTS), Some(2));
        let both = Candidate {
            id: 4,
            backup: true,
            stale: true,
            ..PATH
        };
        assert_eq!(select(&[both, stale], &LOTS), Some(3));
    }

    #[test]
    fn unknown_figures_do_not_divide_by_zero() {
        let unknown = Candidate {
            srtt_us: 0,
            min_rtt_us: 0,
            cwnd: 0,
            delivery_rate: 0,
            queued: u32::MAX,
            in_flight: u32::MAX,
            ..PATH
        };
        let huge = Demand {
            pending: u64::MAX,
            window: u64::MAX,
        };
        assert_eq!(select(&[unknown, PATH], &huge), Some(1));
        assert_eq!(select(&[unknown, full(PATH)], &huge), None);
    }

    #[test]
    fn data_is_reinjected_elsewhere() {
        let other = Candidate { id: 2, ..PATH };
        let backup = Candidate {
            id: 3,
            backup: true,
            ..PATH
        };
        let reinject = |candidates: &[Candidate], holder| {
            DefaultScheduler::new()
                .reinject(candidates, holder, 3000)
                .map(|p| p.id)
        };
        assert_eq!(reinject(&[PATH, other], Some(1)), Some(2));
        assert_eq!(reinject(&[PATH], Some(1)), None);
        assert_eq!(reinject(&[PATH, backup], Some(1)), Some(3));
        assert_eq!(reinject(&[PATH, full(other)], Some(1)), None);
        assert_eq!(reinject(&[PATH, other], None), Some(1));
        assert_eq!(DefaultScheduler::new().reinject(&[PATH], None, 0), None);
    }
}

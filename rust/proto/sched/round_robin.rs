// SPDX-License-Identifier: GPL-2.0

//! Each subflow in turn, as long as its congestion window has room: for paths that are alike, and to see what the
//! default scheduler is worth.

use super::{best_rank, has_room, rank, Candidate, Demand, Pick, Scheduler, BURST_MAX};

/// See the module. It remembers whose turn it was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RoundRobin {
    /// The next turn is the first one of this id or a higher one.
    next: u32,
}

/// How much goes onto a subflow in one turn, in bytes: some full segments.
const TURN: u32 = 14_000;

impl RoundRobin {
    /// Everybody has the first turn.
    pub const fn new() -> Self {
        Self { next: 0 }
    }

    /// Takes the turn of the first among the best candidates that has room and is not `holder`.
    fn turn(&mut self, candidates: &[Candidate], holder: Option<u32>, bytes: u64) -> Option<Pick> {
        let other = |candidate: &&Candidate| Some(candidate.id) != holder;
        let best = best_rank(candidates.iter().filter(other))?;
        let start = self.next;
        let found = candidates
            .iter()
            .filter(other)
            .filter(|candidate| rank(candidate) == best && has_room(candidate))
            .min_by_key(|candidate| candidate.id.wrapping_sub(start))?;
        let most = TURN.min(BURST_MAX).min(found.send_room);
        let burst = u32::try_from(bytes).unwrap_or(u32::MAX).min(most);
        if burst == 0 {
            return None;
        }
        self.next = found.id.wrapping_add(1);
        Some(Pick {
            id: found.id,
            burst,
        })
    }
}

impl Scheduler for RoundRobin {
    const NAME: &'static str = "roundrobin";

    fn select(&mut self, candidates: &[Candidate], demand: &Demand) -> Option<Pick> {
        self.turn(candidates, None, demand.pending.min(demand.window))
    }

    fn reinject(
        &mut self,
        candidates: &[Candidate],
        holder: Option<u32>,
        bytes: u64,
    ) -> Option<Pick> {
        self.turn(candidates, holder, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: Candidate = Candidate {
        id: 0,
        srtt_us: 10_000,
        min_rtt_us: 10_000,
        cwnd: 100_000,
        in_flight: 0,
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

    fn paths() -> [Candidate; 3] {
        [
            PATH,
            Candidate { id: 2, ..PATH },
            Candidate { id: 5, ..PATH },
        ]
    }

    #[test]
    fn everybody_has_a_turn() {
        let mut it = RoundRobin::new();
        let turns: [_; 5] = core::array::from_fn(|_| it.select(&paths(), &LOTS).unwrap().id);
        assert_eq!(turns, [0, 2, 5, 0, 2]);
    }

    #[test]
    fn who_has_no_room_is_passed_over() {
        let mut paths = paths();
        paths[1].in_flight = paths[1].cwnd;
        let mut it = RoundRobin::new();
        let turns: [_; 3] = core::array::from_fn(|_| it.select(&paths, &LOTS).unwrap().id);
        assert_eq!(turns, [0, 5, 0]);
        for path in &mut paths {
            path.queued = path.cwnd;
        }
        assert_eq!(it.select(&paths, &LOTS), None);
    }

    #[test]
    fn backups_wait_until_nothing_else_is_there() {
        let mut paths = paths();
        paths[0].backup = true;
        let mut it = RoundRobin::new();
        assert_eq!(it.select(&paths, &LOTS).unwrap().id, 2);
        assert_eq!(it.select(&paths[..1], &LOTS).unwrap().id, 0);
    }

    #[test]
    fn nothing_to_do_takes_no_turn() {
        let mut it = RoundRobin::new();
        for (pending, window) in [(0, 10), (10, 0)] {
            assert_eq!(it.select(&paths(), &Demand { pending, window }), None);
        }
        assert_eq!(it, RoundRobin::new());
        let few = Demand {
            pending: 3,
            window: 10,
        };
        assert_eq!(it.select(&paths(), &few), Some(Pick { id: 0, burst: 3 }));
    }

    #[test]
    fn data_is_reinjected_elsewhere() {
        let mut it = RoundRobin::new();
        assert_eq!(it.reinject(&paths(), Some(0), 1000).unwrap().id, 2);
        assert_eq!(it.reinject(&paths()[..1], Some(0), 1000), None);
    }
}

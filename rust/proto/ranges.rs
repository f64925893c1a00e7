// SPDX-License-Identifier: GPL-2.0

//! What has to be sent again: ranges of data sequence numbers that a subflow had and may not deliver.
//!
//! There are few of them, because a subflow's records mostly follow each other: a fixed number is kept, or
//! less where memory is short. When one more does not fit, the two that lie closest become one: the bytes
//! between them are sent again too, which costs bandwidth and nothing else.

use super::seq::Dsn;
use super::storage::{Ring, Storage};

/// How many ranges are kept apart, at most.
pub const RANGES: usize = 16;

/// Bytes from `from` on, up to but without `to`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Range {
    /// The first byte.
    pub from: Dsn,
    /// The byte behind the last one.
    pub to: Dsn,
}

impl Range {
    /// Bytes in it; zero if it is empty.
    #[inline]
    pub const fn len(&self) -> u64 {
        let len = self.to.since(self.from);
        if len > 0 {
            len as u64
        } else {
            0
        }
    }

    /// Whether there is no byte in it.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Ranges in order, none touching another.
#[derive(Debug, Default)]
pub struct Ranges<S> {
    ring: Ring<Range, S>,
}

impl<S: Storage<Range>> Ranges<S> {
    /// None, on `slots`, of which there is at least one.
    pub const fn new(slots: S) -> Self {
        Self {
            ring: Ring::new(slots),
        }
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// The first one.
    #[inline]
    pub fn first(&self) -> Option<Range> {
        self.ring.front().copied()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Range> {
        self.ring.iter()
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.ring.clear();
    }

    /// Adds a range, which may overlap others.
    pub fn add(&mut self, mut new: Range) {
        if new.is_empty() {
            return;
        }
        let at = self.ring.partition_point(|old| old.to.before(new.from));
        // What it touches becomes part of it.
        while let Some(old) = self.ring.get(at).filter(|old| !new.to.before(old.from)) {
            new = Range {
                from: new.from.min(old.from),
                to: new.to.max(old.to),
            };
            self.ring.remove(at);
        }
        if self.ring.len() < RANGES && self.ring.insert(at, new).is_ok() {
            return;
        }
        self.squeeze(at, new);
    }

    /// Adds `new`, which would become range `at` and touches none, where there is no place for one more.
    #[cold]
    fn squeeze(&mut self, at: usize, new: Range) {
        let gap = |left: Option<&Range>, right: Option<&Range>| match (left, right) {
            (Some(left), Some(right)) => right.from.since(left.to),
            _ => i64::MAX,
        };
        let before = at.checked_sub(1);
        let left = gap(before.and_then(|before| self.ring.get(before)), Some(&new));
        let right = gap(Some(&new), self.ring.get(at));
        let others = (1..self.ring.len())
            .filter(|&index| index != at)
            .map(|index| {
                (
                    gap(self.ring.get(index.wrapping_sub(1)), self.ring.get(index)),
                    index,
                )
            })
            .min();
        match others {
            Some((least, index)) if least < left && least < right => {
                let last = self.ring.remove(index).map_or(Dsn(0), |range| range.to);
                if let Some(one) = self.ring.get_mut(index.wrapping_sub(1)) {
                    one.to = last;
                }
                let at = if index < at { at.wrapping_sub(1) } else { at };
                // There is a place now.
                let _ = self.ring.insert(at, new);
            }
            _ if left <= right => {
                if let Some(one) = before.and_then(|before| self.ring.get_mut(before)) {
                    one.to = new.to;
                }
            }
            _ => {
                if let Some(one) = self.ring.get_mut(at) {
                    one.from = new.from;
                }
            }
        }
    }

    /// Everything before `dsn` needs not be sent again: it was acknowledged, or was sent.
    pub fn forget_before(&mut self, dsn: Dsn) {
        while let Some(first) = self.ring.front_mut() {
            if first.from.at_or_after(dsn) {
                return;
            }
            if first.to.after(dsn) {
                first.from = dsn;
                return;
            }
            self.ring.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::storage::host::VecSlots;
    use super::*;
    use std::vec::Vec;

    type Held = Ranges<[Range; RANGES]>;

    fn range(from: u64, to: u64) -> Range {
        Range {
            from: Dsn(from),
            to: Dsn(to),
        }
    }

    fn of(ranges: &[(u64, u64)]) -> Held {
        let mut all = Held::default();
        for &(from, to) in ranges {
            all.add(range(from, to));
        }
        all
    }

    fn listed<S: Storage<Range>>(ranges: &Ranges<S>) -> Vec<(u64, u64)> {
        ranges.iter().map(|r| (r.from.0, r.to.0)).collect()
    }

    fn bytes(ranges: &Held) -> u64 {
        ranges.iter().map(Range::len).sum()
    }

    #[test]
    fn what_touches_becomes_one() {
        assert_eq!(listed(&of(&[(10, 20), (20, 30)])), [(10, 30)]);
        assert_eq!(listed(&of(&[(20, 30), (10, 20)])), [(10, 30)]);
        assert_eq!(listed(&of(&[(10, 20), (30, 40)])), [(10, 20), (30, 40)]);
        assert_eq!(listed(&of(&[(30, 40), (10, 20), (15, 35)])), [(10, 40)]);
        assert_eq!(listed(&of(&[(10, 40), (20, 30), (7, 7)])), [(10, 40)]);
    }

    #[test]
    fn what_was_sent_is_forgotten() {
        let mut ranges = of(&[(10, 20), (30, 40)]);
        ranges.forget_before(Dsn(5));
        assert_eq!(bytes(&ranges), 20);
        ranges.forget_before(Dsn(15));
        assert_eq!(listed(&ranges), [(15, 20), (30, 40)]);
        ranges.forget_before(Dsn(30));
        assert_eq!(ranges.first(), Some(range(30, 40)));
        ranges.forget_before(Dsn(100));
        assert!(ranges.is_empty() && ranges.first().is_none());
    }

    #[test]
    fn numbers_wrap() {
        let mut ranges = of(&[(u64::MAX - 4, 5), (7, 9)]);
        assert_eq!(bytes(&ranges), 12);
        ranges.forget_before(Dsn(2));
        assert_eq!(listed(&ranges), [(2, 5), (7, 9)]);
    }

    #[test]
    fn none_is_lost_when_there_are_too_many() {
        let mut ranges = Held::default();
        for n in 0..100u64 {
            ranges.add(range(n * n * 10, n * n * 10 + 5));
            for m in 0..=n {
                let held = ranges
                    .iter()
                    .any(|r| r.from.0 <= m * m * 10 && r.to.0 >= m * m * 10 + 5);
                assert!(held, "{m} of {n}");
            }
        }
        assert_eq!(ranges.iter().count(), RANGES);
        // In front, too.
        let mut ranges = Held::default();
        for n in (0..100u64).rev() {
            ranges.add(range(n * 10, n * 10 + 5));
        }
        assert_eq!(ranges.first().map(|r| r.from), Some(Dsn(0)));
        assert!(bytes(&ranges) >= 500);
    }

    #[test]
    fn the_closest_become_one() {
        let few = || Ranges::new([Range::default(); 3]);
        let with = |new: (u64, u64)| {
            let mut ranges = few();
            for (from, to) in [(100, 110), (130, 140), (200, 210), new] {
                ranges.add(range(from, to));
            }
            listed(&ranges)
        };
        assert_eq!(with((10, 20)), [(10, 20), (100, 140), (200, 210)]);
        assert_eq!(with((85, 90)), [(85, 110), (130, 140), (200, 210)]);
        assert_eq!(with((112, 115)), [(100, 115), (130, 140), (200, 210)]);
        assert_eq!(with((125, 128)), [(100, 110), (125, 140), (200, 210)]);
        assert_eq!(with((165, 175)), [(100, 140), (165, 175), (200, 210)]);
        assert_eq!(with((190, 195)), [(100, 110), (130, 140), (190, 210)]);
        assert_eq!(with((215, 220)), [(100, 110), (130, 140), (200, 220)]);
        assert_eq!(with((300, 310)), [(100, 140), (200, 210), (300, 310)]);
    }

    #[test]
    fn none_is_lost_without_memory() {
        let mut ranges = Ranges::new([Range::default(); 1]);
        for (from, to) in [(50, 60), (80, 90), (10, 20), (55, 70)] {
            ranges.add(range(from, to));
        }
        assert_eq!(listed(&ranges), [(10, 90)]);
    }

    #[test]
    fn there_is_a_limit_where_there_is_memory() {
        let mut ranges = Ranges::new(VecSlots::new(1000));
        for n in 0..100 {
            ranges.add(range(n * 10, n * 10 + 5));
        }
        assert_eq!(ranges.iter().count(), RANGES);
    }
}

// SPDX-License-Identifier: GPL-2.0

//! What has to be sent again: ranges of data sequence numbers that a subflow had and may not deliver.
//!
//! There are few of them, because a subflow's records mostly follow each other: a fixed number is kept.
//! When one more does not fit, the two that lie closest become one: the bytes between them are sent
//! again too, which costs bandwidth and nothing else.

use super::seq::Dsn;

/// How many ranges are kept apart.
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
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ranges {
    slots: [Range; RANGES],
    len: usize,
}

impl Ranges {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first one.
    #[inline]
    pub fn first(&self) -> Option<Range> {
        self.iter().next().copied()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Range> {
        self.slots.iter().take(self.len)
    }

    /// Bytes in all of them.
    pub fn bytes(&self) -> u64 {
        self.iter()
            .fold(0, |sum, range| sum.saturating_add(range.len()))
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a range, which may overlap others.
    pub fn add(&mut self, mut new: Range) {
        if new.is_empty() {
            return;
        }
        let mut kept = Self::new();
        let mut placed = false;
        for &old in self.iter() {
            if old.to.before(new.from) {
                kept.push(old);
            } else if new.to.before(old.from) {
                if !placed {
                    kept.push(new);
                    placed = true;
                }
                kept.push(old);
            } else {
                new = Range {
                    from: new.from.min(old.from),
                    to: new.to.max(old.to),
                };
            }
        }
        if !placed {
            kept.push(new);
        }
        *self = kept;
    }

    /// Adds one behind all others.
    fn push(&mut self, range: Range) {
        if self.len >= RANGES {
            self.join_closest();
            // The last two may have become one, which the new one does not touch.
        }
        if let Some(slot) = self.slots.get_mut(self.len) {
            *slot = range;
            self.len = self.len.saturating_add(1);
        }
    }

    /// Makes one of the two that have the least between them.
    fn join_closest(&mut self) {
        let used = self.slots.get(..self.len).unwrap_or(&[]);
        let gaps = used.windows(2).map(|pair| match pair {
            [left, right] => right.from.since(left.to),
            _ => i64::MAX,
        });
        let Some((at, _)) = gaps.enumerate().min_by_key(|&(_, gap)| gap) else {
            return;
        };
        let Some(right) = self.slots.get(at.saturating_add(1)).copied() else {
            return;
        };
        if let Some(left) = self.slots.get_mut(at) {
            left.to = right.to;
        }
        self.remove(at.saturating_add(1));
    }

    fn remove(&mut self, at: usize) {
        let mut index = at;
        while let Some(next) = self.slots.get(index.saturating_add(1)).copied() {
            if let Some(slot) = self.slots.get_mut(index) {
                *slot = next;
            }
            index = index.saturating_add(1);
        }
        self.len = self.len.saturating_sub(1);
    }

    /// Everything before `dsn` needs not be sent again: it was acknowledged, or was sent.
    pub fn forget_before(&mut self, dsn: Dsn) {
        while let Some(first) = self.slots.first_mut().filter(|_| self.len > 0) {
            if first.from.at_or_after(dsn) {
                return;
            }
            if first.to.after(dsn) {
                first.from = dsn;
                return;
            }
            self.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn range(from: u64, to: u64) -> Range {
        Range {
            from: Dsn(from),
            to: Dsn(to),
        }
    }

    fn of(ranges: &[(u64, u64)]) -> Ranges {
        let mut all = Ranges::new();
        for &(from, to) in ranges {
            all.add(range(from, to));
        }
        all
    }

    fn listed(ranges: &Ranges) -> Vec<(u64, u64)> {
        ranges.iter().map(|r| (r.from.0, r.to.0)).collect()
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
        assert_eq!(ranges.bytes(), 20);
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
        assert_eq!(ranges.bytes(), 12);
        ranges.forget_before(Dsn(2));
        assert_eq!(listed(&ranges), [(2, 5), (7, 9)]);
    }

    #[test]
    fn none_is_lost_when_there_are_too_many() {
        let mut ranges = Ranges::new();
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
        let mut ranges = Ranges::new();
        for n in (0..100u64).rev() {
            ranges.add(range(n * 10, n * 10 + 5));
        }
        assert_eq!(ranges.first().map(|r| r.from), Some(Dsn(0)));
        assert!(ranges.bytes() >= 500);
    }
}

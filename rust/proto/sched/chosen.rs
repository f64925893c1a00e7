// SPDX-License-Identifier: GPL-2.0

//! The schedulers by name, and the one that a connection has.

use super::{Candidate, DefaultScheduler, Demand, Pick, RoundRobin, Scheduler};

/// The schedulers that there are, as in `net.mptcp.available_schedulers`. The first is the default.
pub const NAMES: &[&str] = &[DefaultScheduler::NAME, RoundRobin::NAME];

/// A connection's scheduler, with all that it remembers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chosen {
    /// See [`DefaultScheduler`].
    Default(DefaultScheduler),
    /// See [`RoundRobin`].
    RoundRobin(RoundRobin),
}

impl Chosen {
    /// A fresh one of the kind `index`, a place in [`NAMES`]; of the default kind if there is no such place.
    pub const fn new(index: u8) -> Self {
        match index {
            1 => Self::RoundRobin(RoundRobin::new()),
            _ => Self::Default(DefaultScheduler::new()),
        }
    }

    /// As [`Scheduler::select`].
    #[inline]
    pub fn select(&mut self, candidates: &[Candidate], demand: &Demand) -> Option<Pick> {
        match self {
            Self::Default(it) => it.select(candidates, demand),
            Self::RoundRobin(it) => it.select(candidates, demand),
        }
    }

    /// As [`Scheduler::reinject`].
    #[inline]
    pub fn reinject(
        &mut self,
        candidates: &[Candidate],
        holder: Option<u32>,
        bytes: u64,
    ) -> Option<Pick> {
        match self {
            Self::Default(it) => it.reinject(candidates, holder, bytes),
            Self::RoundRobin(it) => it.reinject(candidates, holder, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(chosen: &Chosen) -> &'static str {
        match chosen {
            Chosen::Default(_) => DefaultScheduler::NAME,
            Chosen::RoundRobin(_) => RoundRobin::NAME,
        }
    }

    #[test]
    fn the_index_is_the_place_of_the_name() {
        for (index, wanted) in NAMES.iter().enumerate() {
            assert_eq!(name(&Chosen::new(index as u8)), *wanted);
        }
        assert_eq!(name(&Chosen::new(u8::MAX)), "default");
    }
}

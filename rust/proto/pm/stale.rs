// SPDX-License-Identifier: GPL-2.0

//! When a subflow counts as stale: data is outstanding on it, and nothing comes back.
//!
//! Looked at once per retransmission interval of the connection. After `net.mptcp.stale_loss_cnt` of
//! them without a sign of life, and if another subflow does better, the subflow is passed over and its
//! data sent again elsewhere.

/// What one look at a subflow led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Nothing new.
    Same,
    /// It stands still long enough to be stale, if another subflow does better; see [`Stale::mark`].
    Lost,
    /// It lives: it is not stale any more.
    Alive,
}

/// A subflow's signs of life.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stale {
    stale: bool,
    intervals: u8,
    last_rx: u32,
}

impl Stale {
    /// A subflow that lives.
    pub const fn new() -> Self {
        Self {
            stale: false,
            intervals: 0,
            last_rx: 0,
        }
    }

    /// A retransmission interval is over. `last_rx` changes when anything arrives on the subflow; after
    /// `loss_cnt` intervals in which it did not, the subflow is lost. 0 means never.
    pub fn on_interval(&mut self, last_rx: u32, loss_cnt: u32) -> Progress {
        if self.intervals == 0 {
            self.last_rx = last_rx;
            self.intervals = 1;
            return Progress::Same;
        }
        if self.last_rx != last_rx {
            *self = Self::new();
            return Progress::Alive;
        }
        self.intervals = self.intervals.saturating_add(1);
        if !self.stale && loss_cnt > 0 && u32::from(self.intervals) > loss_cnt {
            Progress::Lost
        } else {
            Progress::Same
        }
    }

    /// Marks it as stale.
    pub fn mark(&mut self) {
        self.stale = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_still_makes_lost_and_a_sign_of_life_undoes_it() {
        let mut stale = Stale::new();
        for _ in 0..4 {
            assert_eq!(stale.on_interval(7, 4), Progress::Same);
        }
        assert_eq!(stale.on_interval(7, 4), Progress::Lost);
        stale.mark();
        assert_eq!(stale.on_interval(7, 4), Progress::Same);
        assert_eq!(stale.on_interval(8, 4), Progress::Alive);
        assert_eq!(stale, Stale::new());
    }

    #[test]
    fn progress_starts_the_count_anew() {
        let mut stale = Stale::new();
        for rx in 0..100 {
            assert_ne!(stale.on_interval(rx, 1), Progress::Lost);
        }
        for _ in 0..1000 {
            assert_ne!(stale.on_interval(100, 0), Progress::Lost);
        }
    }
}

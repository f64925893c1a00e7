// SPDX-License-Identifier: GPL-2.0

//! Flow control: one receive window for the whole connection (RFC 8684 section 3.3.5).
//!
//! Every subflow's window field says how much may be sent *to the connection*, counted from the DATA_ACK
//! beside it. Segments of different subflows overtake each other, so what counts on either side is the
//! right edge, the highest one that was said: it never moves left.

use super::seq::Dsn;

/// The largest shift of a window field (RFC 7323 section 2.3).
pub const WSCALE_MAX: u8 = 14;

/// The window that this host announces.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RcvWindow {
    /// The first data sequence number that the peer was not allowed to send.
    pub right_edge: Dsn,
}

impl RcvWindow {
    /// The window field of a segment that says `rcv_nxt` as its DATA_ACK, `free` bytes of the receive
    /// buffer being free, on a subflow that shifts by `wscale`.
    ///
    /// New space is announced rounded down, so never more than there is. What was announced before
    /// is kept, rounded up: the field may then say up to one unit more, which the right edge records.
    #[inline]
    pub fn announce(&mut self, rcv_nxt: Dsn, free: u32, wscale: u8) -> u16 {
        let wscale = wscale.min(WSCALE_MAX);
        let promised = self.available(rcv_nxt);
        let unit = 1u64 << wscale;
        let fresh = u64::from(free) >> wscale;
        let kept = promised.div_ceil(unit);
        let field = u16::try_from(fresh.max(kept)).unwrap_or(u16::MAX);
        let edge = rcv_nxt.add(u64::from(field) << wscale);
        self.right_edge = self.right_edge.max(edge);
        field
    }

    /// Bytes from `rcv_nxt` on that the peer was allowed to send.
    #[inline]
    pub const fn available(&self, rcv_nxt: Dsn) -> u64 {
        let available = self.right_edge.since(rcv_nxt);
        if available > 0 {
            available as u64
        } else {
            0
        }
    }
}

/// Of the `left` bytes of the peer's window, how many are worth filling: whole segments of `mss` bytes, or halves of
/// `all` of the window where it is smaller than two (RFC 1122 section 4.2.3.4). The rest waits until it opens.
#[inline]
pub fn worth_filling(left: u64, all: u64, mss: u32) -> u64 {
    let unit = u64::from(mss).min(all / 2).max(1);
    // The unit is 1 at least.
    left.saturating_sub(left.checked_rem(unit).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_filled_with_whole_segments() {
        assert_eq!(worth_filling(10_000, 100_000, 1420), 9940);
        assert_eq!(worth_filling(1420, 100_000, 1420), 1420);
        assert_eq!(worth_filling(1419, 100_000, 1420), 0);
        // Smaller than two segments: halves, and never nothing of all of it.
        assert_eq!(worth_filling(2000, 2000, 1420), 2000);
        assert_eq!(worth_filling(1500, 2000, 1420), 1000);
        assert_eq!(worth_filling(999, 2000, 1420), 0);
        for all in 0..4 {
            assert_eq!(worth_filling(all, all, 1420), all);
        }
        assert_eq!(worth_filling(7, u64::MAX, 0), 7);
    }

    fn window(right_edge: u64) -> RcvWindow {
        RcvWindow {
            right_edge: Dsn(right_edge),
        }
    }

    #[test]
    fn the_edge_never_moves_left() {
        let mut window = window(1000);
        assert_eq!(window.announce(Dsn(1000), 65535, 0), 65535);
        // 100 bytes arrived, and the memory went with them and 1000 more.
        assert_eq!(window.announce(Dsn(1100), 64000, 0), 65435);
        assert_eq!(window.right_edge, Dsn(66535));
        assert_eq!(window.announce(Dsn(66535), 0, 0), 0);
        assert_eq!(window.announce(Dsn(66535), 10, 0), 10);
    }

    #[test]
    fn fresh_space_is_rounded_down_and_promises_up() {
        let mut window = window(0);
        assert_eq!(window.announce(Dsn(0), 1023, 7), 7);
        assert_eq!(window.right_edge, Dsn(896));
        // 895 bytes are promised: 7 units hold them, 6 would take some back.
        assert_eq!(window.announce(Dsn(1), 0, 7), 7);
        assert_eq!(window.right_edge, Dsn(897));
        assert_eq!(window.announce(Dsn(897), 127, 7), 0);
    }

    #[test]
    fn the_field_saturates() {
        let mut window = window(u64::MAX);
        assert_eq!(window.announce(Dsn(u64::MAX), u32::MAX, 0), u16::MAX);
        assert_eq!(window.right_edge, Dsn(65534));
        assert_eq!(window.announce(Dsn(0), u32::MAX, 200), u16::MAX);
        assert_eq!(window.right_edge, Dsn(65535 << 14));
        // A subflow without scaling can't say it all, and takes nothing back.
        assert_eq!(window.announce(Dsn(0), 1 << 20, 0), u16::MAX);
        assert_eq!(window.right_edge, Dsn(65535 << 14));
    }
}

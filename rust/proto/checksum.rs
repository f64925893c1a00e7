// SPDX-License-Identifier: GPL-2.0

//! The DSS checksum (RFC 8684 section 3.3.1): TCP's, over the mapped bytes and a pseudo-header.

use super::seq::Dsn;

/// A one's complement sum of 16-bit words that grows part by part.
///
/// A part may have any length; the next one continues in the middle of a word if it must.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Checksum {
    sum: u16,
    odd: bool,
}

/// One's complement addition.
#[inline]
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    // With a carry the sum is at most 0xfffe.
    sum.wrapping_add(carry as u16)
}

/// Folds a sum of words to 16 bits, carries going round.
#[inline]
const fn fold(sum: u64) -> u16 {
    let a = add((sum >> 48) as u16, (sum >> 32) as u16);
    add(a, add((sum >> 16) as u16, sum as u16))
}

impl Checksum {
    /// The sum of nothing.
    #[inline]
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// The sum of a mapping's pseudo-header. `ssn` and `data_level_len` are those of the option: relative
    /// to the subflow, and with the DATA_FIN counted. The data sequence number is always the 64-bit one.
    #[inline]
    pub const fn of_mapping(dsn: Dsn, ssn: u32, data_level_len: u16) -> Self {
        let ssn = add((ssn >> 16) as u16, ssn as u16);
        Self {
            sum: add(add(fold(dsn.0), ssn), data_level_len),
            odd: false,
        }
    }

    /// Adds the next bytes, in tests on the host. In the module the kernel sums them, for
    /// [`Checksum::add_sum`].
    #[cfg(not(CONFIG_RUST))]
    pub fn add(&mut self, bytes: &[u8]) {
        let sum = bytes.chunks(2).fold(0, |sum, word| match *word {
            [high, low] => add(sum, u16::from_be_bytes([high, low])),
            [last] => add(sum, u16::from_be_bytes([last, 0])),
            _ => sum,
        });
        self.add_sum(sum, bytes.len());
    }

    /// Adds the next `len` bytes, whose own sum, begun on a word and not inverted, is `sum` (as a
    /// number, not in network order).
    #[inline]
    pub const fn add_sum(&mut self, sum: u16, len: usize) {
        let sum = if self.odd { sum.swap_bytes() } else { sum };
        self.sum = add(self.sum, sum);
        self.odd ^= len % 2 != 0;
    }

    /// Adds bytes whose sum is `next`.
    #[inline]
    pub const fn append(&mut self, next: Self) {
        self.add_sum(next.sum, next.odd as usize);
    }

    /// The checksum to send.
    #[inline]
    pub const fn finish(&self) -> u16 {
        !self.sum
    }

    /// Whether `csum`, received, is that of the bytes added. Zero has two forms in one's complement, and
    /// both are right.
    #[inline]
    #[must_use]
    pub const fn verify(&self, csum: u16) -> bool {
        add(self.sum, csum) == 0xffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 section 3's numerical example.
    #[test]
    fn rfc_1071_example() {
        let mut sum = Checksum::new();
        sum.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn parts_of_odd_length_sum_like_the_whole() {
        let bytes: Vec<u8> = (0..1000u32).map(|n| (n * n % 251) as u8).collect();
        let mut whole = Checksum::new();
        whole.add(&bytes);
        for step in [1, 2, 3, 7, 100, 333] {
            let mut parts = Checksum::new();
            for part in bytes.chunks(step) {
                parts.add(part);
            }
            assert_eq!(parts.finish(), whole.finish(), "{step}");
        }
    }

    #[test]
    fn sums_are_appended_like_their_bytes() {
        let bytes: Vec<u8> = (0..999u32).map(|n| (n * n % 241) as u8).collect();
        let sum = |bytes: &[u8]| {
            let mut sum = Checksum::new();
            sum.add(bytes);
            sum
        };
        for at in [0, 1, 2, 17, 500, 999] {
            let (head, tail) = bytes.split_at(at);
            let mut joined = sum(head);
            joined.append(sum(tail));
            assert_eq!(joined.finish(), sum(&bytes).finish(), "{at}");
        }
    }

    #[test]
    fn the_pseudo_header_is_sixteen_bytes() {
        let mut by_hand = Checksum::new();
        by_hand.add(&0xfedc_ba98_7654_3210u64.to_be_bytes());
        by_hand.add(&0xdead_beefu32.to_be_bytes());
        by_hand.add(&0xfff1u16.to_be_bytes());
        by_hand.add(&[0, 0]);
        let dsn = Dsn(0xfedc_ba98_7654_3210);
        let header = Checksum::of_mapping(dsn, 0xdead_beef, 0xfff1);
        assert_eq!(header.finish(), by_hand.finish());
    }

    #[test]
    fn what_is_sent_verifies() {
        let mut sum = Checksum::of_mapping(Dsn(7), 1, 5);
        sum.add(b"hello");
        let csum = sum.finish();
        assert!(sum.verify(csum));
        assert!(!sum.verify(csum ^ 1));
        // A sum of all ones: 0 and 0xffff are the same number.
        let mut ones = Checksum::new();
        ones.add(&[0xff, 0xff]);
        assert!(ones.verify(0) && ones.verify(0xffff));
    }

    #[test]
    fn a_long_run_of_ones_does_not_overflow() {
        let mut sum = Checksum::new();
        for _ in 0..100 {
            sum.add(&[0xff; 65535]);
        }
        assert_eq!(sum.finish(), 0);
    }
}

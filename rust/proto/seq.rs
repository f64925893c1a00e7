// SPDX-License-Identifier: GPL-2.0

//! Sequence numbers: the connection's 64-bit [`Dsn`] and a subflow's 32-bit [`Ssn`].
//!
//! Both live on a circle. "Before" is serial-number order (RFC 1982, RFC 793 section 3.3): `a` is before
//! `b` when the shorter way from `a` to `b` goes forward. That is an order only among numbers less than
//! half the circle apart, so neither type implements [`Ord`]: sorting needs a reference point, and the
//! stores of this crate use the front of their queue.

macro_rules! serial {
    ($(#[$doc:meta])* $name:ident, $unsigned:ty, $signed:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
        #[repr(transparent)]
        pub struct $name(pub $unsigned);

        impl $name {
            /// The number `n` further on the circle.
            #[inline]
            pub const fn add(self, n: $unsigned) -> Self {
                Self(self.0.wrapping_add(n))
            }

            /// The number `n` back on the circle.
            #[inline]
            pub const fn sub(self, n: $unsigned) -> Self {
                Self(self.0.wrapping_sub(n))
            }

            /// The signed distance from `other` to `self`: positive when `self` is after `other`.
            #[inline]
            pub const fn since(self, other: Self) -> $signed {
                self.0.wrapping_sub(other.0) as $signed
            }

            /// Whether `self` is strictly before `other`.
            #[inline]
            pub const fn before(self, other: Self) -> bool {
                self.since(other) < 0
            }

            /// Whether `self` is strictly after `other`.
            #[inline]
            pub const fn after(self, other: Self) -> bool {
                other.since(self) < 0
            }

            /// Whether `self` is before `other` or equal to it.
            #[inline]
            pub const fn at_or_before(self, other: Self) -> bool {
                !self.after(other)
            }

            /// Whether `self` is after `other` or equal to it.
            #[inline]
            pub const fn at_or_after(self, other: Self) -> bool {
                !self.before(other)
            }
        }
    };
}

serial! {
    /// A data sequence number: a byte of the connection's stream (RFC 8684 section 3.3.1).
    Dsn, u64, i64
}

serial! {
    /// A subflow sequence number: a byte of one TCP connection (RFC 9293 section 3.4).
    ///
    /// Absolute, as in the TCP header. On the wire a mapping's is relative to the subflow's initial
    /// sequence number; see [`Ssn::relative`] and [`Ssn::absolute`].
    Ssn, u32, i32
}

impl Dsn {
    /// The number nearest to `reference` whose low 32 bits are `low32` (RFC 8684 section 3.3.1).
    ///
    /// A 4-byte DSN or DATA_ACK on the wire means this, with what the receiver of it expects as the
    /// reference. A tie (exactly 2^31 away) is resolved backwards, to old data.
    #[inline]
    pub const fn expand(reference: Dsn, low32: u32) -> Dsn {
        let distance = low32.wrapping_sub(reference.0 as u32) as i32;
        Dsn(reference.0.wrapping_add(distance as i64 as u64))
    }

    /// The later of the two.
    #[inline]
    pub const fn max(self, other: Dsn) -> Dsn {
        if self.before(other) {
            other
        } else {
            self
        }
    }

    /// The earlier of the two.
    #[inline]
    pub const fn min(self, other: Dsn) -> Dsn {
        if self.after(other) {
            other
        } else {
            self
        }
    }
}

impl Ssn {
    /// This number relative to the initial sequence number `isn`, as a mapping carries it. The SYN has
    /// number 0, so the first byte of data has 1.
    #[inline]
    pub const fn relative(self, isn: Ssn) -> u32 {
        self.0.wrapping_sub(isn.0)
    }

    /// The absolute number of `relative` on a subflow that started at `isn`.
    #[inline]
    pub const fn absolute(isn: Ssn, relative: u32) -> Ssn {
        isn.add(relative)
    }

    /// Whether this is one of the `len` numbers that start at `start`.
    #[inline]
    pub const fn within(self, start: Ssn, len: u32) -> bool {
        self.relative(start) < len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_crosses_the_wrap() {
        let last = Dsn(u64::MAX);
        assert_eq!(last.add(1), Dsn(0));
        assert!(last.before(Dsn(0)));
        assert!(Dsn(0).after(last));
        assert_eq!(Dsn(5).since(last), 6);
        assert_eq!(last.since(Dsn(5)), -6);
        assert_eq!(last.max(Dsn(3)), Dsn(3));
        assert_eq!(last.min(Dsn(3)), last);
        assert_eq!(Ssn(2).sub(4), Ssn(u32::MAX - 1));
        assert!(Ssn(u32::MAX).at_or_before(Ssn(0)));
    }

    #[test]
    fn equal_numbers_are_neither_before_nor_after() {
        let a = Ssn(7);
        assert!(!a.before(a) && !a.after(a));
        assert!(a.at_or_before(a) && a.at_or_after(a));
    }

    #[test]
    fn within_is_half_open_and_wraps() {
        let start = Ssn(u32::MAX - 1);
        assert!(start.within(start, 4));
        assert!(Ssn(1).within(start, 4));
        assert!(!Ssn(2).within(start, 4));
        assert!(!start.sub(1).within(start, 4));
        assert!(!start.within(start, 0));
    }

    #[test]
    fn expand_takes_the_nearest() {
        let reference = Dsn(0x0000_0001_0000_0010);
        assert_eq!(Dsn::expand(reference, 0x20), Dsn(0x0000_0001_0000_0020));
        assert_eq!(Dsn::expand(reference, 0xffff_fff0), Dsn(0xffff_fff0));
        let high = Dsn(0x0000_0001_ffff_fff0);
        assert_eq!(Dsn::expand(high, 0x10), Dsn(0x0000_0002_0000_0010));
        assert_eq!(Dsn::expand(Dsn(0), 0xffff_ffff), Dsn(u64::MAX));
        assert_eq!(Dsn::expand(Dsn(u64::MAX), 0), Dsn(0));
    }

    #[test]
    fn expand_inverts_a_cut_within_half_the_circle() {
        for base in [0u64, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX] {
            for distance in [0i64, 1, -1, 0x7fff_ffff, -0x8000_0000] {
                let dsn = Dsn(base.wrapping_add(distance as u64));
                assert_eq!(Dsn::expand(Dsn(base), dsn.0 as u32), dsn);
            }
        }
    }

    #[test]
    fn relative_and_absolute_are_inverse() {
        let isn = Ssn(0xffff_fffe);
        assert_eq!(isn.add(1).relative(isn), 1);
        assert_eq!(Ssn::absolute(isn, 5), Ssn(3));
        assert_eq!(Ssn::absolute(isn, Ssn(3).relative(isn)), Ssn(3));
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Time: jiffies for timers, nanoseconds for measurements.
//!
//! C headers: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h),
//! [`include/linux/ktime.h`](srctree/include/linux/ktime.h)

use crate::bindings;
use core::ptr::{addr_of, read_volatile};

/// Jiffies in a second.
pub const HZ: usize = bindings::HZ;

/// A point in time or a span, in jiffies.
///
/// The counter wraps, minutes after boot on a 32-bit machine, so that points have no order of their own;
/// compare them with [`Jiffies::is_past`] and [`Jiffies::until`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(transparent)]
pub struct Jiffies(pub usize);

impl Jiffies {
    /// No time at all, as a span.
    pub const ZERO: Jiffies = Jiffies(0);

    /// The present.
    #[inline]
    pub fn now() -> Jiffies {
        // SAFETY: the counter exists as long as the kernel does. It changes under us: hence volatile.
        Jiffies(unsafe { read_volatile(addr_of!(bindings::jiffies)) })
    }

    /// A span of whole seconds.
    #[inline]
    pub const fn from_secs(secs: u32) -> Jiffies {
        Jiffies((secs as usize).saturating_mul(HZ))
    }

    /// A span of milliseconds, rounded up to the next jiffy.
    #[inline]
    pub const fn from_millis(ms: u32) -> Jiffies {
        let (s, rest) = (ms as usize / 1000, ms as usize % 1000);
        Jiffies(
            s.saturating_mul(HZ)
                .saturating_add((rest * HZ).div_ceil(1000)),
        )
    }

    /// This span in milliseconds.
    #[inline]
    pub const fn as_millis(self) -> u64 {
        self.0 as u64 * 1000 / HZ as u64
    }

    /// The point `span` after this one.
    #[inline]
    pub const fn after(self, span: Jiffies) -> Jiffies {
        Jiffies(self.0.wrapping_add(span.0))
    }

    /// The span from `earlier` to this point; nothing if `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Jiffies) -> Jiffies {
        let span = self.0.wrapping_sub(earlier.0);
        if span as isize > 0 {
            Jiffies(span)
        } else {
            Jiffies(0)
        }
    }

    /// Whether this point has been reached.
    #[inline]
    pub fn is_past(self) -> bool {
        Self::now().0.wrapping_sub(self.0) as isize >= 0
    }

    /// How long it is until this point; nothing if it is past.
    #[inline]
    pub fn until(self) -> Jiffies {
        self.since(Self::now())
    }
}

/// The low 32 bits of the counter, as TCP keeps them in its sockets.
#[inline]
pub fn tcp_jiffies32() -> u32 {
    Jiffies::now().0 as u32
}

/// Nanoseconds since boot, without time asleep. Never goes back.
#[inline]
pub fn monotonic_ns() -> u64 {
    // SAFETY: callable from any context.
    unsafe { bindings::ktime_get() as u64 }
}

/// Microseconds since boot; see [`monotonic_ns`].
#[inline]
pub fn monotonic_us() -> u64 {
    monotonic_ns() / 1000
}

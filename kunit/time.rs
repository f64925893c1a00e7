// SPDX-License-Identifier: GPL-2.0

//! Jiffies across the point where they wrap.

use crate::framework::Test;
use crate::sys::time::{monotonic_ns, Jiffies, HZ};
use crate::{expect, expect_eq, suite};

fn spans_convert(test: &Test) {
    expect_eq!(test, Jiffies::from_secs(3), Jiffies(3 * HZ));
    expect_eq!(test, Jiffies::from_millis(0), Jiffies(0));
    expect_eq!(
        test,
        Jiffies::from_millis(1500),
        Jiffies((3 * HZ).div_ceil(2))
    );
    expect!(test, Jiffies::from_millis(1).0 >= 1);
    expect_eq!(test, Jiffies(2 * HZ).as_millis(), 2000);
}

fn points_wrap(test: &Test) {
    let late = Jiffies(usize::MAX - 1);
    let later = late.after(Jiffies(5));
    expect_eq!(test, later, Jiffies(3));
    expect_eq!(test, later.since(late), Jiffies(5));
    expect_eq!(test, late.since(later), Jiffies::ZERO);
}

fn the_present_is_past(test: &Test) {
    let now = Jiffies::now();
    expect!(test, now.is_past());
    expect!(test, !now.after(Jiffies::from_secs(3600)).is_past());
    expect!(
        test,
        now.after(Jiffies::from_secs(3600)).until().as_millis() >= 3_590_000
    );
    let ns = monotonic_ns();
    expect!(test, monotonic_ns() >= ns);
}

suite!("mptcp_time": spans_convert, points_wrap, the_present_is_past);

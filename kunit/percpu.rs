// SPDX-License-Identifier: GPL-2.0

//! Counters of which every CPU has its own.

use crate::framework::Test;
use crate::sys::percpu::Counters;
use crate::{expect_eq, require, suite};

fn counters_add_up(test: &Test) {
    let counters = require!(test, Counters::<3>::new());
    for n in 1..=100 {
        counters.add(1, n);
    }
    counters.add(2, usize::MAX);
    expect_eq!(test, counters.sum(0), 0);
    expect_eq!(test, counters.sum(1), 5050);
    expect_eq!(test, counters.sum(2), usize::MAX);
    counters.add(2, 2);
    expect_eq!(test, counters.sum(2), 1);
}

fn one_that_does_not_exist_is_nothing(test: &Test) {
    let counters = require!(test, Counters::<1>::new());
    counters.add(1, 5);
    expect_eq!(test, counters.sum(0), 0);
    expect_eq!(test, counters.sum(1), 0);
}

suite!("mptcp_percpu": counters_add_up, one_that_does_not_exist_is_nothing);

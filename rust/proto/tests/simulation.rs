// SPDX-License-Identifier: GPL-2.0

//! Ten thousand connections, each over its own random paths. A failure names its seed;
//! `MPTCP_SEED=N cargo test --test simulation` runs that one alone.

use std::panic::{catch_unwind, AssertUnwindSafe};

mod model;
mod sim;

use sim::{run, Link, Outcome, Setup};

/// Seeds to run; `MPTCP_SEEDS` in the environment says another number.
const SEEDS: u64 = 10_000;

fn environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn ten_thousand_connections_deliver_everything_once_and_in_order() {
    let seeds = match environment("MPTCP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..environment("MPTCP_SEEDS").unwrap_or(SEEDS),
    };
    let alone = seeds.end - seeds.start == 1;
    let mut sum = Outcome::default();
    let mut several = 0u64;
    for seed in seeds.clone() {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&Setup::random(seed), seed)));
        let Ok(outcome) = outcome else {
            panic!("seed {seed} failed; MPTCP_SEED={seed} runs it alone");
        };
        sum.time = sum.time.max(outcome.time);
        sum.reinjected += outcome.reinjected;
        sum.pruned += outcome.pruned;
        several += u64::from(outcome.used > 1);
        if alone {
            println!("seed {seed}: {outcome:?}");
        }
    }
    println!("{several} on several paths, {sum:?}");
    // The mix is worth something only if all of this happens in it.
    assert!(alone || sum.reinjected > 0 && sum.pruned > 0 && several > seeds.end / 10);
}

/// Against the best path alone, which nobody knows beforehand.
#[test]
fn more_paths_are_faster_than_the_best_alone() {
    let (mut alone, mut together) = (0, 0);
    for seed in 0..60 {
        let paths = Setup::random(seed).paths.len();
        if paths == 1 {
            continue;
        }
        let time = |only| run(&Setup::random(seed).bulk(only), seed).time;
        let best = (0..paths).map(|only| time(Some(only))).min().unwrap();
        let all = time(None);
        // A path may be a thousand times slower than it looks before the first byte is on it.
        assert!(all < best * 4, "seed {seed}: {all} us, {best} us alone");
        alone += best;
        together += all;
    }
    println!("{together} us together, {alone} us alone");
    assert!(together < alone);
}

/// With the congestion windows far larger than the links and what TCP buffers.
#[test]
fn two_equal_links_are_filled() {
    let link = Link::new(10, 100);
    let total = 100_000_000;
    let time = |links: &[Link]| run(&Setup::over(links, total), 0).time;
    let alone = time(&[link.clone()]);
    let together = time(&[link.clone(), link]);
    println!("{together} us together, {alone} us alone");
    assert!(
        together * 190 < alone * 100,
        "{together} us, {alone} us alone"
    );
}

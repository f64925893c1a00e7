// SPDX-License-Identifier: GPL-2.0

//! A connection over random paths: two hosts made of this crate's parts, over a network that delays,
//! loses and breaks.

#![allow(unreachable_pub)]

mod net;
mod receiver;
mod sender;
mod tcp;

use super::model::Rng;
use mptcp_proto::sched::NAMES;
use mptcp_proto::seq::{Dsn, Ssn};
pub use net::Link;
use net::{Event, Net, Time, Towards};
use receiver::Receiver;
use sender::Sender;

/// How often timers are looked at.
const TICK: Time = 20_000;

/// A connection that takes longer than this is stuck.
const FOREVER: Time = 3_600_000_000;

/// Byte `position` of the stream: any that tells its place.
pub fn byte(position: u64) -> u8 {
    let mixed = (position ^ (position >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

/// Where the peer's stream ends. The module's `Rx` keeps that, beside the data.
#[derive(Default)]
pub struct PeerFin {
    at: Option<Dsn>,
    reached: bool,
}

impl PeerFin {
    /// A DATA_FIN said so, data being received up to `rcv_nxt`.
    pub fn announce(&mut self, dsn: Dsn, rcv_nxt: Dsn) {
        if dsn.at_or_after(rcv_nxt) {
            assert!(self.at.is_none_or(|at| at == dsn), "another DATA_FIN");
            self.at = Some(dsn);
        }
    }

    /// Whether it is next: then it is taken, and counts one.
    pub fn take(&mut self, rcv_nxt: &mut Dsn) -> bool {
        if self.reached || self.at != Some(*rcv_nxt) {
            return false;
        }
        self.reached = true;
        *rcv_nxt = rcv_nxt.add(1);
        true
    }
}

/// A path and its subflow.
pub struct Path {
    pub link: Link,
    pub sender_isn: Ssn,
    pub receiver_isn: Ssn,
    pub wscale: u8,
    pub backup: bool,
    /// When it breaks, and for how long.
    broken: Option<(Time, Time)>,
}

/// All that is random about a connection.
pub struct Setup {
    pub paths: Vec<Path>,
    /// The data sequence number of the first byte, and the other direction's.
    pub first: Dsn,
    pub peer_first: Dsn,
    pub total: u64,
    /// The receive buffer, in bytes.
    pub buffer: u64,
    /// How many runs the reorder queue has room for.
    pub runs: usize,
    pub checksum: bool,
    /// 4-byte numbers on the wire.
    pub short: bool,
    /// A place in the list of schedulers.
    pub scheduler: u8,
    /// The user reads this often, and at most so much.
    read_every: Time,
    read_most: u64,
}

impl Setup {
    /// The same for the same seed.
    pub fn random(seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        // Near the wrap more often than chance has it.
        let near = |rng: &mut Rng| match rng.below(3) {
            0 => rng.next(),
            _ => 0u64.wrapping_sub(rng.below(200_000)),
        };
        let paths = (0..1 + rng.below(4))
            .map(|n| Path {
                link: Link::random(rng),
                sender_isn: Ssn(near(rng) as u32),
                receiver_isn: Ssn(rng.next() as u32),
                wscale: rng.below(10) as u8,
                backup: n > 0 && rng.below(5) == 0,
                // Never all of them.
                broken: (n > 0 && rng.below(3) == 0)
                    .then(|| (rng.below(1_000_000), rng.below(20_000_000))),
            })
            .collect();
        Self {
            paths,
            first: Dsn(near(rng)),
            peer_first: Dsn(near(rng)),
            total: 1 + rng.magnitude(10, 11),
            buffer: 20_000 + rng.magnitude(12, 8),
            runs: 1 + rng.below(40) as usize,
            checksum: rng.below(4) == 0,
            short: rng.below(4) == 0,
            read_every: 1_000 + rng.below(60_000),
            read_most: 2_000 + rng.below(200_000),
            // The default one more often than the others.
            scheduler: rng
                .below(2 * NAMES.len() as u64)
                .saturating_sub(NAMES.len() as u64) as u8,
        }
    }
}

impl Setup {
    /// A long transfer over the same paths, without random loss and failures, on `only` one or on all.
    pub fn bulk(mut self, only: Option<usize>) -> Self {
        for path in &mut self.paths {
            path.link.loss = 0;
            path.broken = None;
            path.backup = false;
        }
        if let Some(only) = only {
            self.paths = self.paths.drain(only..=only).collect();
        }
        self.read_every = 1_000;
        self.read_most = u64::MAX;
        self.buffer = 1 << 24;
        self.runs = 1000;
        self.total = 3_000_000;
        self.scheduler = 0;
        self
    }

    /// A transfer of `total` bytes over these links.
    pub fn over(links: &[Link], total: u64) -> Self {
        let paths = (1u32..).zip(links).map(|(n, link)| Path {
            link: link.clone(),
            sender_isn: Ssn(n),
            receiver_isn: Ssn(n),
            wscale: 10,
            backup: false,
            broken: None,
        });
        let paths = paths.collect();
        let random = Self::random(0);
        let mut setup = Self { paths, ..random }.bulk(None);
        setup.total = total;
        setup
    }
}

/// What a run was like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub time: Time,
    pub reinjected: u64,
    pub pruned: u64,
    /// Paths that carried data.
    pub used: usize,
}

/// Transfers everything, closes both directions, and checks everything on the way.
pub fn run(setup: &Setup, seed: u64) -> Outcome {
    let links = setup.paths.iter().map(|path| path.link.clone()).collect();
    let mut net = Net::new(links, Rng::new(seed ^ 0x5eed));
    let mut sender = Sender::new(setup);
    let mut receiver = Receiver::new(setup);
    for (n, path) in setup.paths.iter().enumerate() {
        if let Some((from, time)) = path.broken {
            net.at(from, Event::Link(n, false));
            net.at(from + time, Event::Link(n, true));
        }
    }
    net.at(TICK, Event::Tick);
    net.at(setup.read_every, Event::Read);
    sender.close();
    sender.push(&mut net);
    while !(sender.is_done() && receiver.is_done()) {
        match net.next().expect("there is always a tick to come") {
            Event::Arrive(path, Towards::Receiver, segment) => {
                receiver.on_segment(&mut net, path, segment);
            }
            Event::Arrive(path, Towards::Sender, segment) => {
                sender.on_segment(&mut net, path, &segment);
            }
            Event::Tick => {
                sender.on_tick(&mut net);
                net.at(net.now + TICK, Event::Tick);
            }
            Event::Read => {
                receiver.read(&mut net, setup.read_most);
                net.at(net.now + setup.read_every, Event::Read);
            }
            Event::Link(path, up) => net.links[path].up = up,
        }
        assert!(
            net.now < FOREVER,
            "stuck: {} and {}",
            sender.describe(),
            receiver.describe()
        );
    }
    assert_eq!(receiver.delivered(), setup.total);
    Outcome {
        time: net.now,
        reinjected: sender.reinjected,
        pruned: receiver.pruned,
        used: sender.placed.iter().filter(|&&bytes| bytes > 0).count(),
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Links between two hosts, and the order of events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::model::Rng;
use mptcp_proto::option::OPTIONS_MAX;
use mptcp_proto::seq::Ssn;

/// Time, in microseconds.
pub type Time = u64;

/// A segment of one subflow.
#[derive(Clone, Debug)]
pub struct Segment {
    pub seq: Ssn,
    pub ack: Ssn,
    pub window: u16,
    /// In the place of SACK: where the first hole of the subflow's data ends.
    pub hole_end: Option<Ssn>,
    pub options: [u8; OPTIONS_MAX],
    pub options_len: usize,
    pub payload: Vec<u8>,
}

/// Which way a segment goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Towards {
    Receiver,
    Sender,
}

/// What happens next.
#[derive(Debug)]
pub enum Event {
    Arrive(usize, Towards, Segment),
    /// Time goes by: timers are looked at.
    Tick,
    /// The user reads.
    Read,
    /// A link breaks, or works again.
    Link(usize, bool),
}

/// Both directions of a path.
#[derive(Clone, Debug)]
pub struct Link {
    /// Bytes per second.
    pub rate: u64,
    pub delay: Time,
    /// Segments lost, of a thousand.
    pub loss: u64,
    /// How long the queue may be.
    pub queue: Time,
    pub up: bool,
    busy: [Time; 2],
}

impl Link {
    /// So many milliseconds one way, so many Mbit/s, and a queue of 100 ms.
    pub fn new(ms: Time, mbit: u64) -> Self {
        Self {
            rate: mbit * 125_000,
            delay: ms * 1000,
            loss: 0,
            queue: 100_000,
            up: true,
            busy: [0; 2],
        }
    }

    pub fn random(rng: &mut Rng) -> Self {
        Self {
            rate: 20_000 << rng.below(9),
            delay: 500 + rng.magnitude(8, 9),
            loss: if rng.below(2) == 0 { 0 } else { rng.below(60) },
            queue: 20_000 + rng.below(200_000),
            up: true,
            busy: [0; 2],
        }
    }
}

/// All links, and what is on its way.
pub struct Net {
    pub now: Time,
    pub links: Vec<Link>,
    pub rng: Rng,
    order: u64,
    queue: BinaryHeap<Reverse<(Time, u64, usize)>>,
    events: Vec<Option<Event>>,
}

impl Net {
    pub fn new(links: Vec<Link>, rng: Rng) -> Self {
        Self {
            now: 0,
            links,
            rng,
            order: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
        }
    }

    pub fn at(&mut self, time: Time, event: Event) {
        self.order += 1;
        self.queue
            .push(Reverse((time, self.order, self.events.len())));
        self.events.push(Some(event));
    }

    pub fn next(&mut self) -> Option<Event> {
        let Reverse((time, _, index)) = self.queue.pop()?;
        self.now = time;
        self.events[index].take()
    }

    /// Puts a segment onto a link: it waits its turn, and may be lost.
    pub fn send(&mut self, path: usize, towards: Towards, segment: Segment) {
        let lost = self.rng.below(1000) < self.links[path].loss;
        let link = &mut self.links[path];
        let busy = &mut link.busy[towards as usize];
        let start = (*busy).max(self.now);
        if lost || !link.up || start - self.now > link.queue {
            return;
        }
        let bytes = 40 + segment.options_len + segment.payload.len();
        *busy = start + bytes as u64 * 1_000_000 / link.rate;
        let arrival = *busy + link.delay;
        self.at(arrival, Event::Arrive(path, towards, segment));
    }
}

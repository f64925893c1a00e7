// SPDX-License-Identifier: GPL-2.0

//! The reorder queue against a map from number to byte.

use std::collections::BTreeMap;

use super::VecSlots;
use mptcp_proto::reorder::{Insert, Payload, Reorder, Run};
use mptcp_proto::seq::Dsn;

/// Bytes. Each remembers which number and which arrival it has.
#[derive(Debug, Default)]
pub struct Bytes(pub Vec<(u64, u32)>);

impl Payload for Bytes {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn trim_front(&mut self, n: usize) {
        self.0.drain(..n);
    }

    fn trim_back(&mut self, n: usize) {
        self.0.truncate(self.0.len().checked_sub(n).unwrap());
    }

    fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// Something happens.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// `len` bytes arrive, `offset` behind `rcv_nxt`, or before it.
    Arrive { offset: i16, len: u8 },
    /// Memory is short.
    Prune,
}

impl Op {
    pub fn from_bytes([kind, a, b, len]: [u8; 4]) -> Self {
        if kind % 16 == 15 {
            return Op::Prune;
        }
        // Mostly near, so that pieces touch and overlap.
        let offset = match kind % 4 {
            0 => i16::from_be_bytes([a, b]),
            _ => i16::from(a as i8) * 2,
        };
        Op::Arrive { offset, len }
    }
}

/// Runs `ops` from `start` on, on a queue of at most `slots` runs.
pub fn check(start: u64, slots: usize, ops: impl IntoIterator<Item = Op>) {
    let start = Dsn(start);
    let mut queue: Reorder<Bytes, VecSlots<Run<Bytes>>> = Reorder::new(VecSlots::new(slots));
    let mut model = BTreeMap::new();
    let mut rcv_nxt = start;
    for (arrival, op) in (0u32..).zip(ops) {
        match op {
            Op::Prune => {
                let before = held(&queue);
                if let Some(Bytes(bytes)) = queue.prune() {
                    assert_eq!(before - held(&queue), bytes.len());
                    for (number, _) in bytes {
                        assert!(model.remove(&number).is_some());
                    }
                }
            }
            Op::Arrive { offset, len } => {
                let dsn = rcv_nxt.add(i64::from(offset) as u64);
                let bytes = Bytes(
                    (0..u64::from(len))
                        .map(|n| (dsn.add(n).since(start) as u64, arrival))
                        .collect(),
                );
                let numbers: Vec<_> = bytes.0.iter().map(|byte| byte.0).collect();
                let next = rcv_nxt.since(start) as u64;
                match queue.insert(dsn, bytes, rcv_nxt) {
                    Insert::InOrder(payload) => deliver(&mut rcv_nxt, start, payload, &mut model),
                    Insert::Queued { .. } => {
                        let due = numbers
                            .iter()
                            .filter(|&&n| (n.wrapping_sub(next) as i64) >= 0);
                        let mut new = 0;
                        for &number in due {
                            model.entry(number).or_insert_with(|| {
                                new += 1;
                                arrival
                            });
                        }
                        assert!(new > 0, "queued, and nothing was new");
                    }
                    Insert::Duplicate => {
                        for number in numbers {
                            let old = (number.wrapping_sub(next) as i64) < 0;
                            assert!(old || model.contains_key(&number), "lost {number}");
                        }
                    }
                    Insert::NoSpace(_) => assert_eq!(queue.iter().count(), slots),
                }
                while let Some(payload) = queue.pop_ready(&mut rcv_nxt) {
                    rcv_nxt = rcv_nxt.sub(payload.len() as u64);
                    deliver(&mut rcv_nxt, start, payload, &mut model);
                }
            }
        }
        check_queue(&queue, &model, start);
    }
}

/// Data goes to the user: exactly the next bytes, and none that is queued as well.
fn deliver(rcv_nxt: &mut Dsn, start: Dsn, payload: Bytes, model: &mut BTreeMap<u64, u32>) {
    assert!(!payload.is_empty());
    for (number, _) in payload.0 {
        assert_eq!(number, rcv_nxt.since(start) as u64);
        model.remove(&number);
        *rcv_nxt = rcv_nxt.add(1);
    }
}

/// Bytes that wait.
fn held(queue: &Reorder<Bytes, VecSlots<Run<Bytes>>>) -> usize {
    queue.iter().map(Run::len).sum()
}

/// The queue holds what the model holds, in runs with holes between them.
fn check_queue(
    queue: &Reorder<Bytes, VecSlots<Run<Bytes>>>,
    model: &BTreeMap<u64, u32>,
    start: Dsn,
) {
    assert_eq!(held(queue), model.len());
    let mut numbers = model.keys().copied().peekable();
    for run in queue.iter() {
        let first = run.dsn().since(start) as u64;
        for number in first..first + run.len() as u64 {
            assert_eq!(numbers.next(), Some(number));
        }
        assert_ne!(numbers.peek(), Some(&(first + run.len() as u64)), "no hole");
    }
    assert_eq!(numbers.next(), None);
}

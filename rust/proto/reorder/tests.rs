// SPDX-License-Identifier: GPL-2.0

//! Arrivals in every relation to what is queued. The random ones are in `tests/properties.rs`.

use super::super::storage::host::VecSlots;
use super::*;

impl Payload for Vec<u8> {
    fn len(&self) -> usize {
        Vec::len(self)
    }

    fn trim_front(&mut self, n: usize) {
        self.drain(..n);
    }

    fn trim_back(&mut self, n: usize) {
        self.truncate(Vec::len(self) - n);
    }

    fn append(&mut self, other: Self) {
        self.extend(other);
    }
}

/// What became of data that waits.
fn queued(tail: bool, merged: bool) -> Insert<Vec<u8>> {
    Insert::Queued { tail, merged }
}

type Queue = Reorder<Vec<u8>, VecSlots<Run<Vec<u8>>>>;

fn queue() -> Queue {
    Reorder::new(VecSlots::new(64))
}

/// Bytes that know their number.
fn data(from: u8, to: u8) -> Vec<u8> {
    (from..to).collect()
}

fn put(queue: &mut Queue, from: u8, to: u8) -> Insert<Vec<u8>> {
    queue.insert(Dsn(from.into()), data(from, to), Dsn(0))
}

fn runs(queue: &Queue) -> Vec<(u64, u64)> {
    for run in queue.iter() {
        let payload = run.payload.as_ref().unwrap();
        let expected: Vec<u8> = (run.dsn.0..run.end().0).map(|n| n as u8).collect();
        assert_eq!(*payload, expected);
    }
    queue.iter().map(|run| (run.dsn().0, run.end().0)).collect()
}

#[test]
fn in_order_data_passes_through() {
    let mut q = queue();
    assert_eq!(put(&mut q, 0, 10), Insert::InOrder(data(0, 10)));
    assert!(q.is_empty());
    let late = q.insert(Dsn(5), data(5, 15), Dsn(10));
    assert_eq!(late, Insert::InOrder(data(10, 15)));
    assert_eq!(q.insert(Dsn(5), data(5, 10), Dsn(10)), Insert::Duplicate);
    assert_eq!(q.insert(Dsn(10), vec![], Dsn(10)), Insert::Duplicate);
}

#[test]
fn contiguous_data_is_one_run() {
    let mut q = queue();
    for (from, to, tail, merged) in [
        (10, 20, false, false),
        (20, 30, true, true),
        (40, 50, true, false),
        (5, 10, false, true),
        (30, 40, false, true),
    ] {
        assert_eq!(put(&mut q, from, to), queued(tail, merged));
    }
    assert_eq!(runs(&q), [(5, 50)]);
}

#[test]
fn existing_data_is_preferred() {
    let mut q = queue();
    put(&mut q, 10, 20);
    assert_eq!(put(&mut q, 10, 20), Insert::Duplicate);
    assert_eq!(put(&mut q, 12, 18), Insert::Duplicate);
    assert!(matches!(put(&mut q, 5, 15), Insert::Queued { .. }));
    assert!(matches!(put(&mut q, 15, 25), Insert::Queued { .. }));
    assert_eq!(runs(&q), [(5, 25)]);
    put(&mut q, 30, 40);
    assert!(matches!(put(&mut q, 20, 35), Insert::Queued { .. }));
    assert_eq!(runs(&q), [(5, 40)]);
}

#[test]
fn covered_runs_give_way() {
    let mut q = queue();
    for from in [10, 30, 50, 70] {
        put(&mut q, from, from + 10);
    }
    assert!(matches!(put(&mut q, 25, 65), Insert::Queued { .. }));
    assert_eq!(runs(&q), [(10, 20), (25, 65), (70, 80)]);
    assert!(matches!(put(&mut q, 15, 75), Insert::Queued { .. }));
    assert_eq!(runs(&q), [(10, 80)]);
}

#[test]
fn in_order_data_is_cut_where_a_run_has_it() {
    let mut q = queue();
    put(&mut q, 5, 8);
    put(&mut q, 10, 20);
    let Insert::InOrder(payload) = put(&mut q, 0, 15) else {
        panic!("not in order");
    };
    assert_eq!(payload, data(0, 10));
    let mut rcv_nxt = Dsn(10);
    assert_eq!(q.pop_ready(&mut rcv_nxt), Some(data(10, 20)));
    assert_eq!(rcv_nxt, Dsn(20));
    assert_eq!(q.pop_ready(&mut rcv_nxt), None);
    assert!(q.is_empty());
}

#[test]
fn runs_are_popped_when_due() {
    let mut q = queue();
    put(&mut q, 10, 20);
    put(&mut q, 30, 40);
    let mut rcv_nxt = Dsn(9);
    assert_eq!(q.pop_ready(&mut rcv_nxt), None);
    // Some of it was delivered in another way, in plain TCP after a fallback for instance.
    rcv_nxt = Dsn(15);
    assert_eq!(q.pop_ready(&mut rcv_nxt), Some(data(15, 20)));
    rcv_nxt = Dsn(40);
    assert_eq!(q.pop_ready(&mut rcv_nxt), None);
    assert!(q.is_empty());
}

#[test]
fn a_full_queue_hands_data_back() {
    let mut q: Reorder<Vec<u8>, [Run<Vec<u8>>; 2]> = Reorder::new(Default::default());
    let mut put = |from, to| q.insert(Dsn(u64::from(from)), data(from, to), Dsn(0));
    put(10, 20);
    put(30, 40);
    assert_eq!(put(50, 60), Insert::NoSpace(data(50, 60)));
    // What needs no run of its own still goes in.
    assert!(matches!(put(20, 25), Insert::Queued { .. }));
    assert_eq!(put(45, 50), Insert::NoSpace(data(45, 50)));
    assert!(matches!(put(28, 41), Insert::Queued { .. }));
    assert_eq!(q.prune_behind(Dsn(30)), None);
    assert_eq!(q.prune_behind(Dsn(5)), Some(data(28, 41)));
    assert_eq!(q.prune(), Some(data(10, 25)));
    assert_eq!(q.prune(), None);
    assert!(q.is_empty());
}

#[test]
fn numbers_wrap() {
    let mut q = queue();
    let start = Dsn(u64::MAX - 4);
    assert!(matches!(
        q.insert(start.add(2), data(2, 8), start),
        Insert::Queued { .. }
    ));
    assert_eq!(
        q.insert(start, data(0, 4), start),
        Insert::InOrder(data(0, 2))
    );
    let mut rcv_nxt = start.add(2);
    assert_eq!(q.pop_ready(&mut rcv_nxt), Some(data(2, 8)));
    assert_eq!(rcv_nxt, Dsn(3));
}

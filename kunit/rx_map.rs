// SPDX-License-Identifier: GPL-2.0

//! A subflow's receive mappings on the storage that the module gives them.

use crate::framework::Test;
use crate::proto::rx_map::{Inserted, MapError, RxMapping, RxMappings};
use crate::proto::seq::{Dsn, Ssn};
use crate::sys::storage::GrowArray;
use crate::{expect_eq, suite};

/// As a subflow has them: a few in place.
type Mappings = RxMappings<GrowArray<RxMapping, 4>>;

const LEN: u32 = 1000;
/// Near the end of the circle, so that the numbers wrap.
const START: Ssn = Ssn(u32::MAX - 5 * LEN);
const DATA_START: Dsn = Dsn(u64::MAX - 7 * LEN as u64);

fn mapping(n: u32) -> RxMapping {
    RxMapping {
        ssn: START.add(n * LEN),
        dsn: DATA_START.add(u64::from(n * LEN)),
        len: LEN,
        ..RxMapping::default()
    }
}

fn mappings() -> Mappings {
    RxMappings::new(GrowArray::new(), START)
}

fn many_are_found_again(test: &Test) {
    let mut held = mappings();
    for n in 0..500 {
        expect_eq!(test, held.insert(mapping(n)), Ok(Inserted::New));
        expect_eq!(test, held.insert(mapping(n)), Ok(Inserted::Same));
    }
    for n in 0..500 {
        let byte = START.add(n * LEN + n);
        let found = held.lookup(byte).map(|m| m.dsn_of(byte));
        expect_eq!(test, found, Some(DATA_START.add(u64::from(n * LEN + n))));
    }
    expect_eq!(test, held.lookup(START.add(500 * LEN)), None);
    expect_eq!(test, held.lookup(START.sub(1)), None);
}

fn any_order_will_do(test: &Test) {
    let mut held = mappings();
    // 7 and 100 have no common divisor: every number comes once.
    for n in (0..100).map(|i| i * 7 % 100) {
        expect_eq!(test, held.insert(mapping(n)), Ok(Inserted::New));
    }
    for n in 0..100 {
        expect_eq!(test, held.lookup(mapping(n).ssn), Some(mapping(n)));
    }
}

fn reading_makes_room(test: &Test) {
    let mut held = mappings();
    for n in 0..1000 {
        expect_eq!(test, held.insert(mapping(n)), Ok(Inserted::New));
        held.consume(START.add(n * LEN + LEN / 2));
        expect_eq!(test, held.last().copied(), Some(mapping(n)));
        expect_eq!(test, held.lookup(mapping(n).ssn.sub(1)), None);
    }
    expect_eq!(test, held.insert(mapping(10)), Ok(Inserted::Old));
}

fn a_mapping_does_not_change(test: &Test) {
    let mut held = mappings();
    expect_eq!(test, held.insert(mapping(3)), Ok(Inserted::New));
    let mut other = mapping(3);
    other.dsn = other.dsn.add(1);
    expect_eq!(test, held.insert(other), Err(MapError::Conflict));
    expect_eq!(test, held.lookup(other.ssn), Some(mapping(3)));
}

suite!("mptcp_rx_map":
    many_are_found_again,
    any_order_will_do,
    reading_makes_room,
    a_mapping_does_not_change,
);

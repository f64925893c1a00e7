// SPDX-License-Identifier: GPL-2.0

//! Received mappings against a map from byte to byte.

use std::collections::BTreeMap;

use super::VecSlots;
use mptcp_proto::rx_map::{Inserted, MapError, RxMapping, RxMappings};
use mptcp_proto::seq::{Dsn, Ssn};

/// Something happens.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// A mapping arrives, its start `offset` behind the bytes consumed, its data numbers `shift` away from
    /// where everybody else's are.
    Map {
        offset: i16,
        len: u16,
        shift: u8,
        csum: Option<u16>,
    },
    /// Bytes are read.
    Consume { bytes: u8 },
}

impl Op {
    pub fn from_bytes([kind, a, b, len]: [u8; 4]) -> Self {
        match kind % 8 {
            0 => Op::Consume { bytes: a },
            n => Op::Map {
                // On a grid, so that the same ones come again.
                offset: i16::from(a) * 16 - 256,
                len: u16::from(len % 8) * 16 + u16::from(b % 16 == 0),
                shift: u8::from(b % 16 == 1),
                csum: (n == 1).then_some(u16::from(b % 2)),
            },
        }
    }
}

/// What is known of a byte: its data number, and the checksummed mapping it belongs to.
type Known = (u64, Option<(u64, u32, u16)>);

/// Runs `ops` on a store of at most `slots` mappings; the subflow's first byte is `start`.
pub fn check(start: u32, slots: usize, ops: impl IntoIterator<Item = Op>) {
    let mut store = RxMappings::new(VecSlots::new(slots), Ssn(start));
    // Subflow bytes counted from `start`, without wrap.
    let mut consumed = 0i64;
    let mut model: BTreeMap<i64, Known> = BTreeMap::new();
    for op in ops {
        match op {
            Op::Consume { bytes } => {
                consumed += i64::from(bytes);
                store.consume(Ssn(start.wrapping_add(consumed as u32)));
                // A mapping goes when all of it was consumed; check below only what is not.
                model = model.split_off(&consumed);
            }
            Op::Map {
                offset,
                len,
                shift,
                csum,
            } => {
                let first = consumed + i64::from(offset);
                let dsn = 1_000_000i64 + first + i64::from(shift);
                let mapping = RxMapping {
                    ssn: Ssn(start.wrapping_add(first as u32)),
                    dsn: Dsn(dsn as u64),
                    len: len.into(),
                    data_fin: false,
                    csum,
                };
                let result = store.insert(mapping);
                if result == Err(MapError::NoSpace) {
                    // A part may have been taken.
                    assert_eq!(store.iter().count(), slots);
                    for byte in first.max(consumed)..first + i64::from(len) {
                        let ssn = Ssn(start.wrapping_add(byte as u32));
                        if store.lookup(ssn).is_some() {
                            let number = mapping.dsn_of(ssn).0;
                            model.entry(byte).or_insert((number, None));
                        }
                    }
                } else {
                    apply(&mut model, result, first, mapping, consumed);
                }
            }
        }
        for (&byte, known) in &model {
            let ssn = Ssn(start.wrapping_add(byte as u32));
            let found = store.lookup(ssn).expect("a known byte");
            assert_eq!(found.dsn_of(ssn).0, known.0);
        }
        let mut end: Option<Ssn> = None;
        for mapping in store.iter() {
            assert!(mapping.len > 0);
            assert!(end.is_none_or(|end| end.at_or_before(mapping.ssn)));
            end = Some(mapping.end_ssn());
        }
    }
}

fn apply(
    model: &mut BTreeMap<i64, Known>,
    result: Result<Inserted, MapError>,
    first: i64,
    mapping: RxMapping,
    consumed: i64,
) {
    let range = first.max(consumed)..first + i64::from(mapping.len);
    let whole = mapping.csum.map(|csum| (mapping.dsn.0, mapping.len, csum));
    let known = |byte: i64| (mapping.dsn.0.wrapping_add((byte - first) as u64), whole);
    match result {
        Ok(Inserted::New) => {
            for byte in range {
                let old = model.entry(byte).or_insert_with(|| known(byte));
                assert_eq!(old.0, known(byte).0, "a byte got another number");
            }
        }
        Ok(Inserted::Same) => {
            for byte in range {
                assert_eq!(model.get(&byte).map(|known| known.0), Some(known(byte).0));
            }
        }
        Ok(Inserted::Old) => assert!(range.is_empty() && mapping.len > 0),
        Err(MapError::Empty) => assert_eq!(mapping.len, 0),
        Err(MapError::OutOfRange) => panic!("all of them are in range"),
        Err(MapError::NoSpace) => unreachable!(),
        // Conflicts with bytes that were consumed, of a mapping that was not wholly, are invisible here.
        Err(MapError::Conflict) => {
            let disagrees = range.clone().any(|byte| {
                model
                    .get(&byte)
                    .is_some_and(|old| *old != known(byte) || whole.is_some() || old.1.is_some())
            });
            assert!(disagrees || first < consumed, "nothing disagrees");
        }
    }
}

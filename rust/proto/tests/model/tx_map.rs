// SPDX-License-Identifier: GPL-2.0

//! Sent mappings against a list.

use super::VecSlots;
use mptcp_proto::checksum::Checksum;
use mptcp_proto::seq::{Dsn, Ssn};
use mptcp_proto::tx_map::{TxError, TxRecord, TxRecords, MAP_LEN_MAX};

/// Something happens.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// A record is queued, `gap` behind the last one.
    Push { gap: u8, len: u32 },
    /// The last one grows.
    Extend(u32),
    /// Some of the last one was not queued after all.
    Shrink(u32),
    /// TCP acknowledges this much of what is outstanding, and the connection this much, in 255ths.
    Ack(u8, u8),
}

impl Op {
    pub fn from_bytes([kind, a, b, c]: [u8; 4]) -> Self {
        let n = u32::from_be_bytes([0, 0, b, c]);
        match kind % 4 {
            0 => Op::Ack(a, b),
            1 if a % 4 == 0 => Op::Shrink(n % 5000),
            1 => Op::Extend(n % 5000),
            2 => Op::Push { gap: 0, len: n },
            _ => Op::Push {
                gap: a % 3,
                len: n % 3000,
            },
        }
    }
}

/// Runs `ops` on a store of at most `slots` records; the subflow's first byte is `start`.
pub fn check(start: u32, slots: usize, ops: impl IntoIterator<Item = Op>) {
    let mut store = TxRecords::new(VecSlots::new(slots));
    let mut model: Vec<(u64, u32, u64)> = Vec::new();
    let mut next = 0u64;
    let mut una = 0u64;
    let mut data_una = 0u64;
    let ssn = |byte: u64| Ssn(start.wrapping_add(byte as u32));
    for op in ops {
        match op {
            Op::Push { gap, len } => {
                let at = next + u64::from(gap);
                let dsn = at.wrapping_mul(3);
                let record = TxRecord {
                    ssn: ssn(at),
                    len,
                    dsn: Dsn(dsn),
                    ..TxRecord::default()
                };
                match store.push(record) {
                    Ok(()) => {
                        model.push((at, len, dsn));
                        next = at + u64::from(len);
                    }
                    Err(TxError::NoSpace) => assert_eq!(model.len(), slots),
                    Err(TxError::Invalid) => assert!(len == 0 || len > MAP_LEN_MAX),
                }
            }
            Op::Extend(n) => {
                let fits = model.last().is_some_and(|last| last.1 + n <= MAP_LEN_MAX);
                assert_eq!(store.extend_last(n, Checksum::new()), fits);
                if let (true, Some(last)) = (fits, model.last_mut()) {
                    last.1 += n;
                    next += u64::from(n);
                }
            }
            Op::Shrink(n) => {
                // Nobody takes back what was acknowledged.
                let n = n.min((next - una) as u32);
                store.shrink_last(n, Checksum::new());
                if let Some(last) = model.last_mut() {
                    let taken = n.min(last.1);
                    last.1 -= taken;
                    next -= u64::from(taken);
                    model.retain(|record| record.1 > 0);
                }
            }
            Op::Ack(part, data) => {
                una += (next - una) * u64::from(part) / 255;
                data_una += (next * 3).saturating_sub(data_una) * u64::from(data) / 255;
                // The oldest go, as long as every byte was acknowledged by both.
                let stays = |&(at, len, dsn): &(u64, u32, u64)| {
                    at + u64::from(len) > una || dsn + u64::from(len) > data_una
                };
                let gone = model.iter().position(stays).unwrap_or(model.len());
                model.drain(..gone);
                store.retire(ssn(una), Dsn(data_una));
            }
        }
        assert_eq!(store.iter().count(), model.len());
        for (held, &(at, len, dsn)) in store.iter().zip(&model) {
            assert_eq!((held.ssn, held.len, held.dsn.0), (ssn(at), len, dsn));
            for byte in [at, at + u64::from(len) / 2, at + u64::from(len) - 1] {
                assert_eq!(store.lookup(ssn(byte)).map(|r| r.dsn.0), Some(dsn));
            }
        }
        assert_eq!(store.lookup(ssn(next)), None);
    }
}

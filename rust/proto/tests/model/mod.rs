// SPDX-License-Identifier: GPL-2.0

//! Slow and obvious versions of the stores, and checks of the real ones against them.
//!
//! Property tests and fuzz targets share these: both turn bytes into operations.

#![allow(dead_code, unreachable_pub)] // Each test, and each fuzz target, uses a part.

pub mod options;
pub mod reorder;
pub mod rx_map;
pub mod tx_map;

use mptcp_proto::storage::Storage;

/// Slots that grow up to a limit.
#[derive(Debug)]
pub struct VecSlots<T> {
    slots: Vec<T>,
    limit: usize,
}

impl<T> VecSlots<T> {
    /// No slots yet, never more than `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            limit,
        }
    }
}

impl<T: Default> Storage<T> for VecSlots<T> {
    fn slots(&self) -> &[T] {
        &self.slots
    }

    fn slots_mut(&mut self) -> &mut [T] {
        &mut self.slots
    }

    fn try_grow(&mut self, want: usize) -> bool {
        if want > self.limit {
            return false;
        }
        if want > self.slots.len() {
            self.slots.resize_with(want, T::default);
        }
        true
    }
}

/// A small fast generator (xorshift64*): the same numbers everywhere, for runs too long for proptest.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a power of two, the exponent being at least `least`, and `spread` values wide: small
    /// numbers as often as large ones.
    pub fn magnitude(&mut self, least: u64, spread: u64) -> u64 {
        let bits = least + self.below(spread);
        self.below(1 << bits)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

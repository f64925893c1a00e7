// SPDX-License-Identifier: GPL-2.0

//! What a subflow has sent and not had acknowledged: which data sequence numbers its bytes carry.
//!
//! A receiver that holds a mapping refuses a different one that overlaps it, so every transmission of a
//! byte has to announce the mapping that the first one announced (RFC 8684 section 3.3.1). A mapping is
//! therefore a record, fixed when its bytes are queued on the subflow, and kept until TCP has
//! acknowledged all of them. While none of its bytes was sent, the last record may still grow.

use super::checksum::Checksum;
use super::seq::{Dsn, Ssn};
use super::storage::{Ring, Storage};

/// The longest mapping that a DSS can carry, in bytes; a DATA_FIN behind it needs one of them.
pub const MAP_LEN_MAX: u32 = 0xffff;

/// A mapping of bytes that a subflow sends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TxRecord {
    /// The first byte, as an absolute TCP sequence number.
    pub ssn: Ssn,
    /// Bytes, 1 to [`MAP_LEN_MAX`].
    pub len: u32,
    /// The first byte, as a data sequence number.
    pub dsn: Dsn,
    /// The bytes' own sum, if the connection uses checksums (RFC 8684 section 3.3.1).
    pub sum: Checksum,
}

impl TxRecord {
    /// The subflow sequence number behind the last byte.
    #[inline]
    pub const fn end_ssn(&self) -> Ssn {
        self.ssn.add(self.len)
    }

    /// The data sequence number behind the last byte.
    #[inline]
    pub const fn end_dsn(&self) -> Dsn {
        self.dsn.add(self.len as u64)
    }

    /// Whether this record says what byte `ssn` carries.
    #[inline]
    pub const fn covers(&self, ssn: Ssn) -> bool {
        ssn.within(self.ssn, self.len)
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TxError {
    /// The storage is full and does not grow.
    NoSpace,
    /// The record is empty, too long, or does not lie behind the last one.
    Invalid,
}

/// The records of one subflow, in the order of their subflow sequence numbers.
#[derive(Debug, Default)]
pub struct TxRecords<S> {
    ring: Ring<TxRecord, S>,
}

impl<S: Storage<TxRecord>> TxRecords<S> {
    /// No records, on `slots`.
    pub const fn new(slots: S) -> Self {
        Self {
            ring: Ring::new(slots),
        }
    }

    /// Adds a record behind the last one; a gap between the two is fine.
    ///
    /// # Errors
    ///
    /// [`TxError`]; nothing was changed.
    pub fn push(&mut self, record: TxRecord) -> Result<(), TxError> {
        if record.len == 0 || record.len > MAP_LEN_MAX {
            return Err(TxError::Invalid);
        }
        if self
            .last()
            .is_some_and(|last| record.ssn.before(last.end_ssn()))
        {
            return Err(TxError::Invalid);
        }
        self.ring.push_back(record).map_err(|_| TxError::NoSpace)
    }

    /// Makes the last record `n` bytes longer, whose sum is `sum`. False, and nothing changed, if there is none or it would
    /// exceed [`MAP_LEN_MAX`].
    ///
    /// Only for a record of which nothing was sent yet: see the module's documentation.
    #[inline]
    pub fn extend_last(&mut self, n: u32, sum: Checksum) -> bool {
        let Some(last) = self.ring.back_mut() else {
            return false;
        };
        match last.len.checked_add(n) {
            Some(len) if len <= MAP_LEN_MAX => {
                last.len = len;
                last.sum.append(sum);
                true
            }
            _ => false,
        }
    }

    /// Takes `n` bytes off the end of the last record, `sum` being that of the rest: they were not queued after all, and nobody was told
    /// of them. A record of which nothing is left goes.
    pub fn shrink_last(&mut self, n: u32, sum: Checksum) {
        if let Some(last) = self.ring.back_mut() {
            last.len = last.len.saturating_sub(n);
            last.sum = sum;
            if last.len == 0 {
                self.ring.pop_back();
            }
        }
    }

    /// The last record.
    #[inline]
    pub fn last(&self) -> Option<&TxRecord> {
        self.ring.back()
    }

    /// The record that covers byte `ssn`.
    ///
    /// Constant time for the last record, which new data is sent from, and for the first, which
    /// retransmissions are; logarithmic in between.
    #[inline]
    pub fn lookup(&self, ssn: Ssn) -> Option<&TxRecord> {
        let last = self.ring.back()?;
        if last.covers(ssn) {
            return Some(last);
        }
        let first = self.ring.front()?;
        if first.covers(ssn) {
            return Some(first);
        }
        self.search(first.ssn, ssn)
    }

    fn search(&self, base: Ssn, ssn: Ssn) -> Option<&TxRecord> {
        // Relative to the oldest record, the numbers are in order as they are.
        let offset = ssn.relative(base);
        let behind = self
            .ring
            .partition_point(|record| record.ssn.relative(base) <= offset);
        self.ring
            .get(behind.checked_sub(1)?)
            .filter(|record| record.covers(ssn))
    }

    /// Drops the oldest records, as long as TCP has got all of their bytes acknowledged (`snd_una`) and the
    /// connection too (`data_una`).
    ///
    /// TCP's acknowledgement alone says that the peer's TCP has the bytes, not that its connection has taken
    /// them: they are lost with the subflow if it ends before.
    #[inline]
    pub fn retire(&mut self, snd_una: Ssn, data_una: Dsn) {
        while let Some(first) = self.ring.front() {
            if first.end_ssn().after(snd_una) || first.end_dsn().after(data_una) {
                break;
            }
            self.ring.pop_front();
        }
    }

    /// The records, oldest first: what a dead subflow leaves to be sent on others.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &TxRecord> {
        self.ring.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::storage::host::VecSlots;
    use super::*;

    fn record(ssn: u32, len: u32, dsn: u64) -> TxRecord {
        TxRecord {
            ssn: Ssn(ssn),
            len,
            dsn: Dsn(dsn),
            sum: Checksum::new(),
        }
    }

    #[test]
    fn every_byte_finds_its_record() {
        let mut map = TxRecords::new(VecSlots::new(64));
        let start = u32::MAX - 500;
        for n in 0..50 {
            let r = record(start.wrapping_add(n * 100), 100, 7000 + u64::from(n) * 100);
            map.push(r).unwrap();
        }
        for byte in 0..5000 {
            let found = map.lookup(Ssn(start.wrapping_add(byte))).unwrap();
            assert_eq!(found.dsn, Dsn(7000 + u64::from(byte / 100) * 100));
        }
        assert_eq!(map.lookup(Ssn(start.wrapping_add(5000))), None);
        assert_eq!(map.lookup(Ssn(start.wrapping_sub(1))), None);
    }

    #[test]
    fn gaps_belong_to_nobody() {
        let mut map = TxRecords::new([TxRecord::default(); 4]);
        map.push(record(10, 10, 0)).unwrap();
        map.push(record(30, 10, 50)).unwrap();
        map.push(record(50, 10, 10)).unwrap();
        assert_eq!(map.lookup(Ssn(25)), None);
        assert_eq!(map.lookup(Ssn(45)), None);
        assert_eq!(map.lookup(Ssn(39)).unwrap().dsn, Dsn(50));
    }

    #[test]
    fn only_whole_records_are_dropped() {
        let mut map = TxRecords::new([TxRecord::default(); 4]);
        let (first, second) = (record(u32::MAX, 10, 0), record(9, 10, 10));
        map.push(first).unwrap();
        map.push(second).unwrap();
        for (una, left) in [
            (8, &[first, second][..]),
            (9, &[second]),
            (18, &[second]),
            (19, &[]),
        ] {
            map.retire(Ssn(una), Dsn(20));
            assert!(map.iter().eq(left), "{una}");
        }
        assert!(!map.extend_last(1, Checksum::new()));
    }

    #[test]
    fn records_stay_until_the_connection_has_the_bytes() {
        let mut map = TxRecords::new([TxRecord::default(); 4]);
        map.push(record(0, 10, 100)).unwrap();
        map.push(record(10, 10, 50)).unwrap();
        for (una, data_una, left) in [(20, 109, 2), (9, 110, 2), (19, 110, 1), (20, 110, 0)] {
            map.retire(Ssn(una), Dsn(data_una));
            assert_eq!(map.iter().count(), left);
        }
    }

    #[test]
    fn the_last_record_grows_to_the_limit() {
        let mut map = TxRecords::new([TxRecord::default(); 1]);
        map.push(record(0, 1, 0)).unwrap();
        assert!(map.extend_last(MAP_LEN_MAX - 1, Checksum::new()));
        assert!(!map.extend_last(1, Checksum::new()));
        assert!(!map.extend_last(u32::MAX, Checksum::new()));
        assert_eq!(map.last().unwrap().len, MAP_LEN_MAX);
    }

    #[test]
    fn what_was_not_queued_is_taken_back() {
        let mut map = TxRecords::new([TxRecord::default(); 2]);
        map.shrink_last(1, Checksum::new());
        map.push(record(0, 10, 0)).unwrap();
        map.push(record(10, 10, 50)).unwrap();
        map.shrink_last(4, Checksum::new());
        assert_eq!(map.last(), Some(&record(10, 6, 50)));
        map.shrink_last(6, Checksum::new());
        assert_eq!(map.last(), Some(&record(0, 10, 0)));
        map.shrink_last(u32::MAX, Checksum::new());
        assert_eq!(map.last(), None);
    }

    #[test]
    fn bad_records_are_refused() {
        let mut map = TxRecords::new([TxRecord::default(); 2]);
        assert_eq!(map.push(record(0, 0, 0)), Err(TxError::Invalid));
        assert_eq!(map.push(record(0, 0x1_0000, 0)), Err(TxError::Invalid));
        map.push(record(0, 10, 0)).unwrap();
        assert_eq!(map.push(record(9, 10, 10)), Err(TxError::Invalid));
        map.push(record(10, 10, 10)).unwrap();
        assert_eq!(map.push(record(20, 10, 20)), Err(TxError::NoSpace));
    }
}

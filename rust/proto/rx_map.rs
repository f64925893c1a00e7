// SPDX-License-Identifier: GPL-2.0

//! What a subflow's peer has announced: which data sequence numbers the arriving bytes carry.
//!
//! TCP merges segments as it likes, so mappings are kept beside its receive queue, by subflow sequence
//! number, and looked up when data is read. Every segment of a mapping repeats it; segments arrive in
//! any order, and again. A mapping can't be changed once it was declared (RFC 8684 section 3.3.1): one
//! that disagrees with another about a byte is refused.

use super::option::{Dss, DssMap};
use super::seq::{Dsn, Ssn};
use super::storage::{Ring, Storage};

/// A mapping of bytes that a subflow receives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RxMapping {
    /// The first byte, as an absolute TCP sequence number.
    pub ssn: Ssn,
    /// The first byte, as a data sequence number.
    pub dsn: Dsn,
    /// Bytes, 1 to 65535, a DATA_FIN not counted.
    pub len: u32,
    /// The number behind the last byte is the DATA_FIN.
    pub data_fin: bool,
    /// The DSS checksum, over all of the mapping.
    pub csum: Option<u16>,
}

impl RxMapping {
    /// The subflow sequence number behind the last byte.
    #[inline]
    pub const fn end_ssn(&self) -> Ssn {
        self.ssn.add(self.len)
    }

    /// The data sequence number behind the last byte; the DATA_FIN's, if there is one.
    #[inline]
    pub const fn end_dsn(&self) -> Dsn {
        self.dsn.add(self.len as u64)
    }

    /// Whether this mapping says what byte `ssn` carries.
    #[inline]
    pub const fn covers(&self, ssn: Ssn) -> bool {
        ssn.within(self.ssn, self.len)
    }

    /// The data sequence number of byte `ssn`, which must be covered.
    #[inline]
    pub const fn dsn_of(&self, ssn: Ssn) -> Dsn {
        self.dsn.add(ssn.relative(self.ssn) as u64)
    }

    /// The data-level length as the option said it, DATA_FIN included: what the checksum covers.
    #[inline]
    pub const fn data_level_len(&self) -> u16 {
        (self.len as u16).wrapping_add(self.data_fin as u16)
    }

    /// Whether both announce the same bytes in the same way. A DATA_FIN may be known to the later
    /// transmission only; it changes length and checksum of the option, not the bytes' numbers.
    #[inline]
    fn same(&self, other: &Self) -> bool {
        self.ssn.0 == other.ssn.0
            && self.len == other.len
            && self.dsn.0 == other.dsn.0
            && (self.csum == other.csum || self.data_fin != other.data_fin)
    }

    /// Takes the DATA_FIN over from a later transmission, which has a checksum of its own.
    #[inline]
    fn learn(&mut self, later: &Self) {
        if later.data_fin && !self.data_fin {
            self.data_fin = true;
            self.csum = later.csum;
        }
    }

    /// Whether both give every byte the same number, and neither is bound to its exact extent by a
    /// checksum.
    fn agrees(&self, other: &Self) -> bool {
        self.csum.is_none()
            && other.csum.is_none()
            && i64::from(self.ssn.since(other.ssn)) == self.dsn.since(other.dsn)
    }

    /// Whether some byte is in both, with another number in each.
    fn contradicts(&self, other: &Self) -> bool {
        self.overlaps(other) && i64::from(self.ssn.since(other.ssn)) != self.dsn.since(other.dsn)
    }

    /// Whether a byte is in both.
    fn overlaps(&self, other: &Self) -> bool {
        self.ssn.before(other.end_ssn()) && other.ssn.before(self.end_ssn())
    }

    /// Cuts off what lies before `ssn`, a byte of the mapping.
    fn trim_front(&mut self, ssn: Ssn) {
        let n = ssn.relative(self.ssn);
        self.ssn = ssn;
        self.dsn = self.dsn.add(u64::from(n));
        self.len = self.len.wrapping_sub(n);
    }
}

/// What the mapping of a DSS means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MapKind {
    /// Bytes, perhaps with a DATA_FIN behind them: for [`RxMappings::insert`].
    Data(RxMapping),
    /// A DATA_FIN alone. It has no place in the subflow.
    DataFin {
        /// The DATA_FIN's data sequence number.
        dsn: Dsn,
    },
    /// The infinite mapping: from here on the connection is plain TCP (RFC 8684 section 3.7).
    Infinite {
        /// From which byte on, as an absolute TCP sequence number.
        ssn: Ssn,
        /// The same byte, as a data sequence number.
        dsn: Dsn,
    },
}

impl MapKind {
    /// Reads the mapping `map` of `dss`. `isn` is the peer's initial sequence number on the subflow,
    /// `rcv_nxt` the next data sequence number expected: short ones are near it.
    #[inline]
    pub fn of(dss: &Dss, map: &DssMap, isn: Ssn, rcv_nxt: Dsn) -> Self {
        let dsn = map.dsn.expand(rcv_nxt);
        let ssn = Ssn::absolute(isn, map.ssn);
        match (map.len, dss.data_fin) {
            (0, _) => MapKind::Infinite { ssn, dsn },
            (1, true) => MapKind::DataFin { dsn },
            (len, data_fin) => MapKind::Data(RxMapping {
                ssn,
                dsn,
                len: u32::from(len).wrapping_sub(u32::from(data_fin)),
                data_fin,
                csum: map.csum,
            }),
        }
    }
}

/// What became of a mapping.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inserted {
    /// It was new, or part of it was.
    New,
    /// All of it was known.
    Same,
    /// All of its bytes have been consumed already.
    Old,
}

/// Why a mapping was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MapError {
    /// It disagrees with one that is held.
    Conflict,
    /// It lies too far from the bytes expected to be meant for them.
    OutOfRange,
    /// It has no bytes.
    Empty,
    /// The storage is full and does not grow.
    NoSpace,
}

/// How far ahead of the consumed bytes a mapping may start: the largest window of TCP (RFC 7323).
const AHEAD_MAX: i32 = 1 << 30;

/// How far behind, at most: a mapping's length.
const BEHIND_MAX: i32 = -0xffff;

/// The mappings of one subflow, in the order of their subflow sequence numbers, none overlapping.
#[derive(Debug)]
pub struct RxMappings<S> {
    ring: Ring<RxMapping, S>,
    /// Everything before this was consumed.
    consumed: Ssn,
    /// The last mapping that was read to its end: its data, or another's, may come again.
    done: Option<RxMapping>,
}

impl<S: Storage<RxMapping>> RxMappings<S> {
    /// No mappings, on `slots`. `start` is the subflow sequence number of the first byte to come.
    pub const fn new(slots: S, start: Ssn) -> Self {
        Self {
            ring: Ring::new(slots),
            consumed: start,
            done: None,
        }
    }

    /// Takes a mapping from an option.
    ///
    /// Constant time where it is the last one again, or follows it.
    ///
    /// # Errors
    ///
    /// [`MapError`]. After [`MapError::NoSpace`] a part of the mapping may have been taken; otherwise
    /// nothing was changed.
    #[inline]
    pub fn insert(&mut self, new: RxMapping) -> Result<Inserted, MapError> {
        if let Some(last) = self.ring.back_mut() {
            if last.same(&new) {
                last.learn(&new);
                return Ok(Inserted::Same);
            }
        }
        self.insert_new(new)
    }

    fn insert_new(&mut self, new: RxMapping) -> Result<Inserted, MapError> {
        if new.len == 0 {
            return Err(MapError::Empty);
        }
        let ahead = new.ssn.since(self.consumed);
        if new.len > 0xffff || ahead > AHEAD_MAX {
            return Err(MapError::OutOfRange);
        }
        if self.done.is_some_and(|done| done.contradicts(&new)) {
            return Err(MapError::Conflict);
        }
        if new.end_ssn().at_or_before(self.consumed) {
            return Ok(Inserted::Old);
        }
        if ahead < BEHIND_MAX {
            return Err(MapError::OutOfRange);
        }
        if self
            .last()
            .is_none_or(|last| last.end_ssn().at_or_before(new.ssn))
        {
            self.ring.push_back(new).map_err(|_| MapError::NoSpace)?;
            return Ok(Inserted::New);
        }
        self.insert_middle(new)
    }

    /// Inserts before the end of the last mapping.
    fn insert_middle(&mut self, mut new: RxMapping) -> Result<Inserted, MapError> {
        let first = self.behind(new.ssn);
        let mut index = first;
        while let Some(old) = self.ring.get_mut(index).filter(|old| old.overlaps(&new)) {
            if old.same(&new) {
                old.learn(&new);
                return Ok(Inserted::Same);
            }
            if !old.agrees(&new) {
                return Err(MapError::Conflict);
            }
            index = index.wrapping_add(1);
        }
        // Everything held agrees: fill the holes.
        let mut inserted = Inserted::Same;
        index = first;
        while new.len > 0 {
            let next = self.ring.get(index).copied();
            let mut piece = new;
            match next.filter(|next| next.overlaps(&new)) {
                Some(old) if old.covers(new.ssn) => {
                    if old.end_ssn().at_or_after(new.end_ssn()) {
                        break;
                    }
                    new.trim_front(old.end_ssn());
                    index = index.wrapping_add(1);
                    continue;
                }
                Some(old) => {
                    piece.len = old.ssn.relative(new.ssn);
                    piece.data_fin = false;
                    new.trim_front(old.ssn);
                }
                None => new.len = 0,
            }
            self.ring
                .insert(index, piece)
                .map_err(|_| MapError::NoSpace)?;
            inserted = Inserted::New;
            index = index.wrapping_add(1);
        }
        Ok(inserted)
    }

    /// The index of the first mapping that ends after `ssn`.
    fn behind(&self, ssn: Ssn) -> usize {
        self.ring
            .partition_point(|mapping| mapping.end_ssn().at_or_before(ssn))
    }

    /// The mapping that covers byte `ssn`. Constant time for the first one.
    #[inline]
    pub fn lookup(&self, ssn: Ssn) -> Option<RxMapping> {
        let first = self.ring.front()?;
        if first.covers(ssn) {
            return Some(*first);
        }
        let found = self.ring.get(self.behind(ssn))?;
        found.covers(ssn).then_some(*found)
    }

    /// Tells that every byte before `upto` was read: drops the mappings that end there, and ignores them
    /// when they come again.
    #[inline]
    pub fn consume(&mut self, upto: Ssn) {
        if upto.at_or_before(self.consumed) {
            return;
        }
        self.consumed = upto;
        while let Some(first) = self.ring.front() {
            if first.end_ssn().after(upto) {
                break;
            }
            self.done = self.ring.pop_front();
        }
    }

    /// The mapping that is being read, or else the one that was read last; and whether it is being read.
    pub fn current(&self) -> Option<(RxMapping, bool)> {
        match self.ring.front() {
            Some(first) if first.covers(self.consumed) => Some((*first, true)),
            _ => self.done.map(|done| (done, false)),
        }
    }

    /// The last mapping.
    #[inline]
    pub fn last(&self) -> Option<&RxMapping> {
        self.ring.back()
    }

    /// The mappings in order, for tests on the host.
    #[cfg(not(CONFIG_RUST))]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RxMapping> {
        self.ring.iter()
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::option::WireDsn;
    use super::super::storage::host::VecSlots;
    use super::*;

    fn map(ssn: u32, len: u32, dsn: u64) -> RxMapping {
        RxMapping {
            ssn: Ssn(ssn),
            dsn: Dsn(dsn),
            len,
            ..RxMapping::default()
        }
    }

    fn store() -> RxMappings<VecSlots<RxMapping>> {
        RxMappings::new(VecSlots::new(64), Ssn(0))
    }

    #[test]
    fn repeated_mappings_are_the_same() {
        let mut maps = store();
        assert_eq!(maps.insert(map(0, 100, 1000)), Ok(Inserted::New));
        assert_eq!(maps.insert(map(0, 100, 1000)), Ok(Inserted::Same));
        assert_eq!(maps.insert(map(100, 50, 1100)), Ok(Inserted::New));
        assert_eq!(maps.insert(map(0, 100, 1000)), Ok(Inserted::Same));
        assert_eq!(maps.iter().count(), 2);
        assert_eq!(maps.lookup(Ssn(149)).unwrap().dsn_of(Ssn(149)), Dsn(1149));
        assert_eq!(maps.lookup(Ssn(150)), None);
    }

    #[test]
    fn out_of_order_mappings_are_sorted() {
        let mut maps = store();
        for start in [300, 100, 400, 0, 200] {
            let m = map(start, 100, 5000 - u64::from(start));
            assert_eq!(maps.insert(m), Ok(Inserted::New));
        }
        let starts: Vec<_> = maps.iter().map(|m| m.ssn.0).collect();
        assert_eq!(starts, [0, 100, 200, 300, 400]);
        for byte in 0..500 {
            assert_eq!(maps.lookup(Ssn(byte)).unwrap().ssn.0, byte / 100 * 100);
        }
    }

    #[test]
    fn a_different_overlapping_mapping_conflicts() {
        let mut maps = store();
        maps.insert(map(100, 100, 1000)).unwrap();
        maps.insert(map(300, 100, 3000)).unwrap();
        for other in [
            map(100, 100, 1001),
            map(50, 51, 0),
            map(199, 10, 0),
            map(120, 10, 0),
            map(0, 500, 900),
            map(150, 200, 1050),
        ] {
            assert_eq!(maps.insert(other), Err(MapError::Conflict), "{other:?}");
        }
        assert_eq!(maps.iter().count(), 2);
        assert_eq!(maps.insert(map(200, 100, 7)), Ok(Inserted::New));
    }

    #[test]
    fn an_agreeing_mapping_fills_the_holes() {
        let mut maps = store();
        maps.insert(map(100, 100, 1100)).unwrap();
        maps.insert(map(300, 100, 1300)).unwrap();
        assert_eq!(maps.insert(map(120, 30, 1120)), Ok(Inserted::Same));
        let mut wide = map(50, 450, 1050);
        wide.data_fin = true;
        assert_eq!(maps.insert(wide), Ok(Inserted::New));
        let all: Vec<_> = maps.iter().map(|m| (m.ssn.0, m.len, m.data_fin)).collect();
        assert_eq!(
            all,
            [
                (50, 50, false),
                (100, 100, false),
                (200, 100, false),
                (300, 100, false),
                (400, 100, true)
            ]
        );
        for byte in 50..500 {
            let found = maps.lookup(Ssn(byte)).unwrap();
            assert_eq!(found.dsn_of(Ssn(byte)), Dsn(1000 + u64::from(byte)));
        }
    }

    #[test]
    fn a_checksummed_mapping_is_all_or_nothing() {
        let mut maps = store();
        let mut m = map(0, 100, 1000);
        m.csum = Some(7);
        maps.insert(m).unwrap();
        assert_eq!(maps.insert(m), Ok(Inserted::Same));
        m.csum = Some(8);
        assert_eq!(maps.insert(m), Err(MapError::Conflict));
        assert_eq!(maps.insert(map(50, 100, 1050)), Err(MapError::Conflict));
        // The same bytes, sent again when the DATA_FIN is known.
        m.data_fin = true;
        assert_eq!(maps.insert(m), Ok(Inserted::Same));
        assert!(maps.lookup(Ssn(0)).unwrap().data_fin);
    }

    #[test]
    fn what_was_read_last_cannot_be_changed_either() {
        let mut maps = store();
        maps.insert(map(0, 100, 1000)).unwrap();
        maps.consume(Ssn(100));
        assert_eq!(maps.insert(map(0, 100, 1001)), Err(MapError::Conflict));
        assert_eq!(maps.insert(map(50, 100, 1000)), Err(MapError::Conflict));
        assert_eq!(maps.insert(map(0, 100, 1000)), Ok(Inserted::Old));
        assert_eq!(maps.insert(map(50, 100, 1050)), Ok(Inserted::New));
        assert_eq!(maps.insert(map(150, 100, 7)), Ok(Inserted::New));
    }

    #[test]
    fn the_current_mapping_stays_known_when_it_was_read() {
        let mut maps = store();
        assert_eq!(maps.current(), None);
        maps.insert(map(0, 100, 1000)).unwrap();
        maps.insert(map(100, 100, 1100)).unwrap();
        assert_eq!(maps.current(), Some((map(0, 100, 1000), true)));
        maps.consume(Ssn(150));
        assert_eq!(maps.current(), Some((map(100, 100, 1100), true)));
        maps.consume(Ssn(200));
        maps.insert(map(300, 100, 1300)).unwrap();
        assert_eq!(maps.current(), Some((map(100, 100, 1100), false)));
    }

    #[test]
    fn consumed_mappings_do_not_come_back() {
        let mut maps = store();
        maps.insert(map(0, 100, 1000)).unwrap();
        maps.consume(Ssn(99));
        assert_eq!(maps.iter().count(), 1);
        maps.consume(Ssn(100));
        assert!(maps.is_empty());
        assert_eq!(maps.insert(map(0, 100, 1000)), Ok(Inserted::Old));
        maps.consume(Ssn(50));
        assert_eq!(maps.insert(map(60, 41, 1060)), Ok(Inserted::New));
    }

    #[test]
    fn far_away_and_empty_mappings_are_refused() {
        let mut maps = store();
        assert_eq!(maps.insert(map(0, 0, 0)), Err(MapError::Empty));
        assert_eq!(maps.insert(map(0, 0x1_0000, 0)), Err(MapError::OutOfRange));
        assert_eq!(
            maps.insert(map(0x4000_0001, 1, 0)),
            Err(MapError::OutOfRange)
        );
        assert_eq!(maps.insert(map(0x9000_0000, 1, 0)), Ok(Inserted::Old));
        let mut full = RxMappings::new([RxMapping::default(); 1], Ssn(0));
        full.insert(map(0, 1, 0)).unwrap();
        assert_eq!(full.insert(map(1, 1, 5)), Err(MapError::NoSpace));
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut maps = RxMappings::new(VecSlots::new(8), Ssn(u32::MAX - 49));
        let start = u32::MAX - 49;
        maps.insert(map(start.wrapping_add(100), 100, 99)).unwrap();
        maps.insert(map(start, 100, u64::MAX)).unwrap();
        let m = maps.lookup(Ssn(20)).unwrap();
        assert_eq!(m.dsn_of(Ssn(20)), Dsn(69));
        maps.consume(Ssn(50));
        assert_eq!(maps.iter().count(), 1);
    }

    #[test]
    fn kinds_are_told_apart() {
        let dss = |len, data_fin| {
            let map = DssMap {
                dsn: WireDsn::Low32(10),
                ssn: 1,
                len,
                csum: None,
            };
            let dss = Dss {
                data_fin,
                ack: None,
                map: Some(map),
            };
            MapKind::of(&dss, &map, Ssn(u32::MAX), Dsn(1 << 32))
        };
        let dsn = Dsn((1 << 32) + 10);
        assert_eq!(dss(0, false), MapKind::Infinite { ssn: Ssn(0), dsn });
        assert_eq!(dss(1, true), MapKind::DataFin { dsn });
        let MapKind::Data(m) = dss(101, true) else {
            panic!("not data");
        };
        assert_eq!((m.len, m.data_level_len(), m.data_fin), (100, 101, true));
    }
}

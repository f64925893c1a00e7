// SPDX-License-Identifier: GPL-2.0

//! Sets of address IDs.

/// A set of address IDs, 0 to 255.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct IdSet {
    words: [u64; 4],
}

const fn place(id: u8) -> (usize, u64) {
    ((id >> 6) as usize, 1 << (id & 63))
}

impl IdSet {
    /// No ID.
    pub const fn new() -> Self {
        Self { words: [0; 4] }
    }

    /// Whether `id` is in the set.
    pub fn contains(&self, id: u8) -> bool {
        let (word, bit) = place(id);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Adds `id`. Whether it was not there.
    pub fn insert(&mut self, id: u8) -> bool {
        let new = !self.contains(id);
        let (word, bit) = place(id);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
        new
    }

    /// Takes `id` out. Whether it was there.
    pub fn remove(&mut self, id: u8) -> bool {
        let old = self.contains(id);
        let (word, bit) = place(id);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
        old
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.words
            .iter()
            .fold(0, |sum, word| word.count_ones().saturating_add(sum))
    }

    /// The first ID from `start` on that is not in the set.
    pub fn first_free(&self, start: u8) -> Option<u8> {
        (start..=u8::MAX).find(|&id| !self.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_its_place() {
        let mut set = IdSet::new();
        for id in 0..=255 {
            assert!(!set.contains(id));
            assert!(set.insert(id) && !set.insert(id));
            assert_eq!(set.count(), u32::from(id) + 1);
        }
        assert_eq!(set.first_free(0), None);
        assert!(set.remove(64) && !set.remove(64));
        assert_eq!(set.first_free(3), Some(64));
        assert_eq!(set.first_free(65), None);
        set.clear();
        assert_eq!(set, IdSet::new());
        assert_eq!(set.first_free(255), Some(255));
    }
}

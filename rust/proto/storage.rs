// SPDX-License-Identifier: GPL-2.0

//! Memory that the caller lends, and the one container built on it.
//!
//! A store of this crate never allocates. It works on slots, asks for more through [`Storage::try_grow`],
//! and passes on a refusal. In the module a slot array is a kernel allocation that grows with whatever
//! context allows; on the host it is an array or a `Vec`.

/// An array of slots that may be able to grow, to fewer than 2^32.
pub trait Storage<T> {
    /// All slots. Those not in use hold [`Default`] values.
    fn slots(&self) -> &[T];

    /// All slots, to be changed.
    fn slots_mut(&mut self) -> &mut [T];

    /// Tries to have at least `want` slots. Those that there are keep their index and content, new ones
    /// hold [`Default`] values. False if there are still fewer than `want`.
    fn try_grow(&mut self, want: usize) -> bool;
}

/// A fixed number of slots.
impl<T, const N: usize> Storage<T> for [T; N] {
    #[inline]
    fn slots(&self) -> &[T] {
        self
    }

    #[inline]
    fn slots_mut(&mut self) -> &mut [T] {
        self
    }

    #[inline]
    fn try_grow(&mut self, want: usize) -> bool {
        want <= N
    }
}

/// There is no slot left, and no more memory for one. The element comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full<T>(pub T);

/// The smallest number of slots worth asking for.
const FIRST_GROWTH: usize = 8;

/// A double-ended queue over lent slots: a ring that can also be inserted into and removed from in the
/// middle, at the cost of moving everything behind.
#[derive(Debug, Default)]
pub struct Ring<T, S> {
    slots: S,
    // Short: every connection has a few rings.
    head: u32,
    len: u32,
    _element: core::marker::PhantomData<T>,
}

impl<T: Default, S: Storage<T>> Ring<T, S> {
    /// An empty ring on `slots`.
    pub const fn new(slots: S) -> Self {
        Self {
            slots,
            head: 0,
            len: 0,
            _element: core::marker::PhantomData,
        }
    }

    /// Elements held.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no element.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where element `index` (which need not exist) is kept.
    #[inline]
    fn slot_of(&self, index: usize) -> usize {
        let slot = (self.head as usize).wrapping_add(index);
        let capacity = self.slots.slots().len();
        if slot >= capacity {
            slot.wrapping_sub(capacity)
        } else {
            slot
        }
    }

    /// Element `index`, 0 being the front.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len() {
            return None;
        }
        self.slots.slots().get(self.slot_of(index))
    }

    /// Element `index`, to be changed.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len() {
            return None;
        }
        let slot = self.slot_of(index);
        self.slots.slots_mut().get_mut(slot)
    }

    /// The front element.
    #[inline]
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// The front element, to be changed.
    #[inline]
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.get_mut(0)
    }

    /// The last element.
    #[inline]
    pub fn back(&self) -> Option<&T> {
        self.get(self.len().wrapping_sub(1))
    }

    /// The last element, to be changed.
    #[inline]
    pub fn back_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.len().wrapping_sub(1))
    }

    /// Whether another element can be added: [`Ring::push_back`] will not fail then.
    #[inline]
    pub fn reserve(&mut self) -> bool {
        self.len() < self.slots.slots().len() || self.grow()
    }

    /// Adds an element behind the last.
    ///
    /// # Errors
    ///
    /// [`Full`] if no slot is free and the storage does not grow.
    #[inline]
    pub fn push_back(&mut self, element: T) -> Result<(), Full<T>> {
        if !self.reserve() {
            return Err(Full(element));
        }
        let slot = self.slot_of(self.len());
        match self.slots.slots_mut().get_mut(slot) {
            Some(free) => {
                *free = element;
                self.len = self.len.saturating_add(1);
                Ok(())
            }
            None => Err(Full(element)),
        }
    }

    /// Takes the front element.
    #[inline]
    pub fn pop_front(&mut self) -> Option<T> {
        let element = core::mem::take(self.front_mut()?);
        self.head = self.slot_of(1) as u32;
        self.len = self.len.saturating_sub(1);
        Some(element)
    }

    /// Takes the last element.
    #[inline]
    pub fn pop_back(&mut self) -> Option<T> {
        let element = core::mem::take(self.back_mut()?);
        self.len = self.len.saturating_sub(1);
        Some(element)
    }

    /// Inserts an element so that it becomes element `index`; those from there on move back. An index
    /// beyond the end means the end.
    ///
    /// # Errors
    ///
    /// [`Full`] if no slot is free and the storage does not grow.
    pub fn insert(&mut self, index: usize, element: T) -> Result<(), Full<T>> {
        self.push_back(element)?;
        let mut at = self.len().saturating_sub(1);
        while at > index {
            let before = at.saturating_sub(1);
            self.swap(before, at);
            at = before;
        }
        Ok(())
    }

    /// Takes element `index` out; those behind it move forward.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        if index >= self.len() {
            return None;
        }
        if index == 0 {
            return self.pop_front();
        }
        let last = self.len().saturating_sub(1);
        for at in index..last {
            self.swap(at, at.saturating_add(1));
        }
        self.pop_back()
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        while self.pop_back().is_some() {}
        self.head = 0;
    }

    /// The elements from front to back.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }

    /// How many elements at the front `pred` holds for. It must hold for none behind the first that it
    /// does not hold for.
    #[inline]
    pub fn partition_point(&self, mut pred: impl FnMut(&T) -> bool) -> usize {
        let mut low = 0usize;
        let mut high = self.len();
        while low < high {
            let middle = low.wrapping_add(high.wrapping_sub(low) / 2);
            if self.get(middle).is_some_and(&mut pred) {
                low = middle.wrapping_add(1);
            } else {
                high = middle;
            }
        }
        low
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (a, b) = (self.slot_of(a), self.slot_of(b));
        let slots = self.slots.slots_mut();
        if a < slots.len() && b < slots.len() {
            slots.swap(a, b);
        }
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let capacity = self.slots.slots().len();
        // New slots appear at the end, so the ring must not go round it.
        let head = self.head as usize;
        if let Some(used) = self.slots.slots_mut().get_mut(..capacity) {
            if head < used.len() {
                used.rotate_left(head);
            }
        }
        self.head = 0;
        let double = capacity.saturating_mul(2).max(FIRST_GROWTH);
        self.slots.try_grow(double) || self.slots.try_grow(capacity.saturating_add(1))
    }
}

/// Slots that grow up to a limit: a `Vec` for tests and tools.
#[cfg(test)]
pub(crate) mod host {
    use super::Storage;

    /// Grows on demand, but not beyond `limit` slots.
    #[derive(Debug)]
    pub(crate) struct VecSlots<T> {
        slots: Vec<T>,
        limit: usize,
    }

    impl<T> VecSlots<T> {
        pub(crate) fn new(limit: usize) -> Self {
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
}

#[cfg(test)]
mod tests {
    use super::host::VecSlots;
    use super::*;

    fn contents<S: Storage<u32>>(ring: &Ring<u32, S>) -> Vec<u32> {
        ring.iter().copied().collect()
    }

    #[test]
    fn ring_goes_round() {
        let mut ring = Ring::new([0u32; 3]);
        for n in 1..=3 {
            ring.push_back(n).unwrap();
        }
        assert_eq!(ring.push_back(4), Err(Full(4)));
        assert_eq!(ring.pop_front(), Some(1));
        ring.push_back(4).unwrap();
        assert_eq!(contents(&ring), [2, 3, 4]);
        assert_eq!(ring.back(), Some(&4));
        assert_eq!(ring.pop_back(), Some(4));
        assert_eq!(contents(&ring), [2, 3]);
    }

    #[test]
    fn ring_grows_while_it_goes_round() {
        let mut ring = Ring::new(VecSlots::new(20));
        for n in 0..8 {
            ring.push_back(n).unwrap();
        }
        for n in 8..12 {
            ring.pop_front();
            ring.push_back(n).unwrap();
        }
        for n in 12..20 {
            ring.push_back(n).unwrap();
        }
        assert_eq!(contents(&ring), (4..20).collect::<Vec<_>>());
        for n in 20..24 {
            ring.push_back(n).unwrap();
        }
        assert_eq!(ring.push_back(24), Err(Full(24)));
        assert_eq!(contents(&ring), (4..24).collect::<Vec<_>>());
    }

    #[test]
    fn middle_insert_and_remove_keep_order() {
        let mut ring = Ring::new([0u32; 6]);
        for n in [9, 9, 1, 3, 5] {
            ring.push_back(n).unwrap();
        }
        ring.pop_front();
        ring.pop_front();
        ring.insert(1, 2).unwrap();
        ring.insert(0, 0).unwrap();
        ring.insert(99, 7).unwrap();
        assert_eq!(contents(&ring), [0, 1, 2, 3, 5, 7]);
        assert_eq!(ring.insert(2, 8), Err(Full(8)));
        assert_eq!(ring.remove(4), Some(5));
        assert_eq!(ring.remove(0), Some(0));
        assert_eq!(ring.remove(4), None);
        assert_eq!(contents(&ring), [1, 2, 3, 7]);
        assert_eq!(ring.partition_point(|&n| n < 3), 2);
        ring.clear();
        assert!(ring.is_empty());
    }

    #[test]
    fn no_slots_at_all_is_fine() {
        let mut ring = Ring::new([0u32; 0]);
        assert_eq!(ring.push_back(1), Err(Full(1)));
        assert_eq!(ring.pop_front(), None);
        assert_eq!(ring.back(), None);
        assert_eq!(ring.partition_point(|_| true), 0);
    }

    #[test]
    fn freed_slots_drop_their_element() {
        use std::rc::Rc;
        let seen = Rc::new(());
        let mut ring: Ring<Option<Rc<()>>, [Option<Rc<()>>; 4]> = Ring::new([const { None }; 4]);
        for _ in 0..3 {
            ring.push_back(Some(seen.clone())).unwrap();
        }
        ring.remove(1);
        ring.pop_front();
        ring.clear();
        assert_eq!(Rc::strong_count(&seen), 1);
    }
}

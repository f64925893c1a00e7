// SPDX-License-Identifier: GPL-2.0

//! Bytes in pages: what the send queue holds and shares with the subflows.

use crate::bindings;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// Bytes of a page (of any order), with a reference on it.
pub struct PageSlice {
    page: NonNull<bindings::page>,
    offset: u32,
    len: u32,
}

// SAFETY: pages are shared freely; the bytes do not change once they are in a slice.
unsafe impl Send for PageSlice {}
// SAFETY: as above.
unsafe impl Sync for PageSlice {}

impl PageSlice {
    /// # Safety
    ///
    /// `page` is valid, the caller gives a reference on it away, and nobody writes to these bytes any more.
    pub(super) unsafe fn new(page: *mut bindings::page, offset: u32, len: u32) -> Option<Self> {
        Some(Self {
            page: NonNull::new(page)?,
            offset,
            len,
        })
    }

    /// Bytes.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Takes `next` in if it follows directly in the same page. It comes back otherwise.
    #[inline]
    pub fn merge(&mut self, next: PageSlice) -> Option<PageSlice> {
        if self.page == next.page && self.offset + self.len == next.offset {
            self.len += next.len;
            return None;
        }
        Some(next)
    }
}

impl Drop for PageSlice {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { bindings::mrs_put_page(self.page.as_ptr()) }
    }
}

/// How many pieces one call to TCP may have.
///
/// Each may begin a packet. Behind the 16th, TCP would look at its backlog within the call, and a call may come from
/// within TCP's own loop over the packets to send, by way of `sk_write_space`.
const PIECES: usize = 16;

/// Pieces of [`PageSlice`]s, to be given to TCP in one call.
pub struct Slices<'a> {
    /// The first `count` are there.
    vec: [MaybeUninit<bindings::bio_vec>; PIECES],
    count: usize,
    bytes: usize,
    pages: PhantomData<&'a PageSlice>,
}

impl<'a> Slices<'a> {
    /// Nothing yet.
    #[inline]
    pub fn new() -> Self {
        Self {
            vec: [const { MaybeUninit::uninit() }; PIECES],
            count: 0,
            bytes: 0,
            pages: PhantomData,
        }
    }

    /// Adds `len` bytes of `slice` from `skip` on. False if there is no room for one more piece.
    #[inline]
    pub fn push(&mut self, slice: &'a PageSlice, skip: u32, len: u32) -> bool {
        let Some(vec) = self.vec.get_mut(self.count) else {
            return false;
        };
        let len = len.min(slice.len.saturating_sub(skip));
        vec.write(bindings::bio_vec {
            bv_page: slice.page.as_ptr(),
            bv_len: len,
            bv_offset: slice.offset + skip,
        });
        self.bytes += len as usize;
        self.count += 1;
        true
    }

    /// Bytes in all.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The one's complement sum of the first `len` bytes, as 16-bit words in network order from the first
    /// byte on, for each piece: `add` gets its sum, as a number, and its length.
    pub fn sums(&self, len: usize, mut add: impl FnMut(u16, usize)) {
        let mut left = len;
        for vec in self.vec.iter().take(self.count) {
            // SAFETY: it was pushed.
            let vec = unsafe { vec.assume_init_ref() };
            let n = left.min(vec.bv_len as usize);
            // SAFETY: the piece lies within a page fragment that is mapped and that `PageSlice` holds.
            let sum = unsafe {
                let data = bindings::mrs_page_address(vec.bv_page).cast::<u8>();
                bindings::mrs_sum(data.add(vec.bv_offset as usize).cast(), n as i32)
            };
            add(sum, n);
            left -= n;
            if left == 0 {
                break;
            }
        }
    }

    /// Pieces.
    #[inline]
    pub fn count(&self) -> usize {
        self.count
    }

    #[inline]
    pub(super) fn as_mut_ptr(&mut self) -> *mut bindings::bio_vec {
        self.vec.as_mut_ptr().cast()
    }
}

impl Default for Slices<'_> {
    fn default() -> Self {
        Self::new()
    }
}

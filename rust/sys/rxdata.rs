// SPDX-License-Identifier: GPL-2.0

//! Received data: [`RxSkb`] is a packet that was taken out of a subflow, [`SkbList`] a run of them that waits to be
//! read.

use crate::bindings;
use core::ptr;
use kernel::error::{code::*, Result};

/// What [`RxSkb`] keeps in the packet's control block.
#[repr(C)]
#[derive(Clone, Copy)]
struct RxCb {
    dsn: u64,
    offset: u32,
    len: u32,
}

/// Received data, taken out of a subflow: a packet that is ours, and which bytes of it are meant.
pub struct RxSkb(ptr::NonNull<bindings::sk_buff>);

// SAFETY: the packet is exclusively ours.
unsafe impl Send for RxSkb {}

impl RxSkb {
    /// # Safety
    ///
    /// `skb` is in no queue, belongs to no socket, and the caller gives its reference away. `offset + len`
    /// lies within it.
    pub(super) unsafe fn new(skb: *mut bindings::sk_buff, offset: u32, len: u32) -> Option<Self> {
        let this = Self(ptr::NonNull::new(skb)?);
        // SAFETY: the packet is ours.
        unsafe { (*skb).__bindgen_anon_1.__bindgen_anon_1.next = ptr::null_mut() };
        this.set_cb(RxCb {
            dsn: 0,
            offset,
            len,
        });
        Some(this)
    }

    #[inline]
    fn cb(&self) -> RxCb {
        // SAFETY: the control block is 48 bytes, aligned to 8, and ours while the packet is.
        unsafe { *ptr::addr_of!((*self.0.as_ptr()).cb).cast() }
    }

    #[inline]
    fn set_cb(&self, cb: RxCb) {
        // SAFETY: as in `cb`.
        unsafe { *ptr::addr_of_mut!((*self.0.as_ptr()).cb).cast() = cb }
    }

    /// Memory that the packet takes, bytes.
    #[cfg(MPTCP_KUNIT)]
    pub fn truesize(&self) -> u32 {
        // SAFETY: the packet is ours.
        unsafe { (*self.0.as_ptr()).truesize }
    }

    /// Counts the packet's memory in `sk` until it is freed. `sk` outlives the packet: it holds it.
    #[inline]
    pub fn charge(&self, sk: &super::sock::Sock) {
        // SAFETY: the packet is ours and belongs to no socket.
        unsafe { bindings::mrs_skb_charge_rx(self.0.as_ptr(), sk.as_ptr()) }
    }

    /// Meant bytes.
    #[inline]
    pub fn len(&self) -> u32 {
        self.cb().len
    }

    fn into_raw(self) -> *mut bindings::sk_buff {
        let raw = self.0.as_ptr();
        core::mem::forget(self);
        raw
    }
}

impl Drop for RxSkb {
    fn drop(&mut self) {
        // SAFETY: the packet is ours to free.
        unsafe { bindings::consume_skb(self.0.as_ptr()) }
    }
}

/// A run of received data: packets in stream order, linked through their `next`.
///
/// # Invariants
///
/// `head` to `tail` is a list of packets that are exclusively ours, each made by [`RxSkb`]; `bytes`
/// is the sum over it.
pub struct SkbList {
    head: *mut bindings::sk_buff,
    tail: *mut bindings::sk_buff,
    bytes: usize,
}

// SAFETY: the packets are exclusively ours.
unsafe impl Send for SkbList {}

impl SkbList {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            bytes: 0,
        }
    }

    /// One packet.
    #[inline]
    pub fn one(skb: RxSkb) -> Self {
        let mut list = Self::new();
        list.push(skb);
        list
    }

    /// Bytes of data.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a packet.
    #[inline]
    pub fn push(&mut self, skb: RxSkb) {
        self.bytes += skb.len() as usize;
        let raw = skb.into_raw();
        if self.head.is_null() {
            self.head = raw;
        } else {
            // SAFETY: the tail is ours.
            unsafe { (*self.tail).__bindgen_anon_1.__bindgen_anon_1.next = raw };
        }
        self.tail = raw;
    }

    /// Appends all of `other`.
    #[inline]
    pub fn append(&mut self, mut other: SkbList) {
        if other.head.is_null() {
            return;
        }
        if self.head.is_null() {
            core::mem::swap(self, &mut other);
            return;
        }
        // SAFETY: the tail is ours.
        unsafe { (*self.tail).__bindgen_anon_1.__bindgen_anon_1.next = other.head };
        self.tail = other.tail;
        self.bytes += other.bytes;
        other.head = ptr::null_mut();
    }

    /// Takes everything out.
    #[inline]
    pub fn take(&mut self) -> SkbList {
        core::mem::replace(self, Self::new())
    }

    /// Takes the first packet out.
    pub fn pop(&mut self) -> Option<RxSkb> {
        let raw = ptr::NonNull::new(self.head)?;
        // SAFETY: the head is ours.
        self.head = unsafe { (*raw.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.next };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        let skb = RxSkb(raw);
        // SAFETY: it is out of the list.
        unsafe { (*raw.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.next = ptr::null_mut() };
        self.bytes -= skb.len() as usize;
        Some(skb)
    }

    fn first(&self) -> Option<core::mem::ManuallyDrop<RxSkb>> {
        Some(core::mem::ManuallyDrop::new(RxSkb(ptr::NonNull::new(
            self.head,
        )?)))
    }

    /// Drops `n` bytes from the front.
    pub fn consume(&mut self, mut n: usize) {
        while n > 0 {
            let Some(first) = self.first() else { break };
            let cb = first.cb();
            let len = cb.len as usize;
            if n >= len {
                n -= len;
                drop(self.pop());
            } else {
                first.set_cb(RxCb {
                    dsn: cb.dsn,
                    offset: cb.offset + n as u32,
                    len: cb.len - n as u32,
                });
                self.bytes -= n;
                n = 0;
            }
        }
    }

    /// Drops `n` bytes from the end.
    pub fn consume_back(&mut self, n: usize) {
        let keep = self.bytes.saturating_sub(n);
        let mut kept = SkbList::new();
        while kept.bytes < keep {
            let Some(skb) = self.pop() else { break };
            let room = keep - kept.bytes;
            let cb = skb.cb();
            if cb.len as usize > room {
                skb.set_cb(RxCb {
                    len: room as u32,
                    ..cb
                });
            }
            kept.push(skb);
        }
        *self = kept;
    }

    /// Copies up to `len` bytes, from `skip` on, to the user. Nothing is taken out.
    ///
    /// # Errors
    ///
    /// `EFAULT` if nothing could be copied.
    pub fn copy_to(
        &self,
        msg: &mut super::uio::Msg<'_>,
        mut skip: usize,
        len: usize,
    ) -> Result<usize> {
        let mut copied = 0;
        let mut at = self.head;
        while copied < len && !at.is_null() {
            let skb = core::mem::ManuallyDrop::new(RxSkb(match ptr::NonNull::new(at) {
                Some(raw) => raw,
                None => break,
            }));
            let cb = skb.cb();
            // SAFETY: the packet is in our list.
            at = unsafe { (*at).__bindgen_anon_1.__bindgen_anon_1.next };
            if skip >= cb.len as usize {
                skip -= cb.len as usize;
                continue;
            }
            let n = (cb.len as usize - skip).min(len - copied);
            // SAFETY: the range lies within the packet, as `RxSkb::new` was promised.
            let err = unsafe {
                bindings::mrs_skb_copy_to_msg(
                    skb.0.as_ptr(),
                    (cb.offset as usize + skip) as i32,
                    msg.as_ptr(),
                    n as i32,
                )
            };
            if err != 0 {
                return if copied > 0 { Ok(copied) } else { Err(EFAULT) };
            }
            skip = 0;
            copied += n;
        }
        Ok(copied)
    }

    /// The first packet, for its timestamps.
    pub(super) fn head_ptr(&self) -> *mut bindings::sk_buff {
        self.head
    }
}

impl Default for SkbList {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SkbList {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

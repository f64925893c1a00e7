// SPDX-License-Identifier: GPL-2.0

//! Packets: TCP segments on their way in and out.
//!
//! - [`Skb`] is a packet that somebody else owns.
//! - [`RxSegment`] is one that stands before TCP (netfilter `LOCAL_IN`), its header in linear memory.
//! - [`TxSegment`] is one that TCP has finished (`queue_xmit`) or that stands behind TCP (`LOCAL_OUT`).

use super::rxdata::RxSkb;
use crate::bindings;
use core::cell::UnsafeCell;
use core::net::{IpAddr, SocketAddr};
use core::ptr;
use kernel::error::{code::*, Result};

/// A packet that the kernel owns and has handed us for the time of a call.
#[repr(transparent)]
pub struct Skb(UnsafeCell<bindings::sk_buff>);

/// TCP header flags, as in its 14th byte.
pub mod flag {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Synchronise.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field counts.
    pub const ACK: u8 = 0x10;
}

/// Length of a TCP header without options.
pub const TCP_HEADER: usize = 20;

fn be32(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(&[a, b]) => u16::from_be_bytes([a, b]),
        _ => 0,
    }
}

/// The fixed part of a TCP header and its options, read only.
#[derive(Clone, Copy)]
pub struct TcpHeader<'a>(&'a [u8]);

impl<'a> TcpHeader<'a> {
    /// Source port.
    pub fn source(&self) -> u16 {
        be16(self.0, 0)
    }
    /// Destination port.
    pub fn dest(&self) -> u16 {
        be16(self.0, 2)
    }
    /// Sequence number.
    pub fn seq(&self) -> u32 {
        be32(self.0, 4)
    }
    /// Acknowledgement number.
    pub fn ack(&self) -> u32 {
        be32(self.0, 8)
    }
    /// Flags, see [`flag`].
    pub fn flags(&self) -> u8 {
        self.0.get(13).copied().unwrap_or(0)
    }
    /// The raw window field.
    pub fn window(&self) -> u16 {
        be16(self.0, 14)
    }
    /// The options.
    pub fn options(&self) -> &'a [u8] {
        self.0.get(TCP_HEADER..).unwrap_or(&[])
    }
}

/// Both ends of a packet, as this host sees them.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// This host's address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
}

impl Skb {
    /// # Safety
    ///
    /// `skb` is valid and the caller's alone for the chosen lifetime.
    #[inline]
    pub unsafe fn from_raw_mut<'a>(skb: *mut bindings::sk_buff) -> &'a mut Self {
        // SAFETY: transparent over it; the caller vouches for the rest.
        unsafe { &mut *skb.cast() }
    }

    /// `len` bytes from `offset` on as a packet of their own, which counts no more memory than they take. `None`
    /// without memory, and without these bytes.
    #[cold]
    pub fn part(&mut self, offset: u32, len: u32) -> Option<RxSkb> {
        let skb = self.as_ptr();
        let mut shared = false;
        // SAFETY: the packet is ours for this time; what comes back is nobody else's, and has the bytes.
        unsafe {
            if offset.checked_add(len)? > (*skb).len {
                return None;
            }
            let part = bindings::mrs_skb_part(skb, offset, len, &mut shared);
            RxSkb::new(part, if shared { offset } else { 0 }, len)
        }
    }

    /// The raw packet.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.0.get()
    }

    /// The socket that the packet belongs to, raw: a full socket, a request or none.
    #[inline]
    pub fn sk_ptr(&self) -> *mut bindings::sock {
        // SAFETY: the packet is valid.
        unsafe { bindings::mrs_skb_sk(self.as_ptr()) }
    }

    /// Finds the socket of a packet in `LOCAL_IN`, if the kernel has not yet.
    #[inline]
    pub fn demux(&mut self, family: u16) {
        if self.sk_ptr().is_null() {
            // SAFETY: the packet is valid and stands at its network header; softirqs are off.
            unsafe { bindings::mrs_skb_demux(self.as_ptr(), family as u8) }
        }
    }

    /// Where an incoming packet comes from and goes to. It has its IP and TCP headers in place.
    pub fn ends(&self) -> Ends {
        let (mut local, mut remote) = ([0u8; 16], [0u8; 16]);
        // SAFETY: the packet is valid, the places have 16 bytes.
        let family = unsafe {
            bindings::mrs_skb_addresses(self.as_ptr(), local.as_mut_ptr(), remote.as_mut_ptr())
        };
        let ip = |bytes: [u8; 16]| {
            if family == bindings::AF_INET as i32 {
                let [a, b, c, d, ..] = bytes;
                IpAddr::from([a, b, c, d])
            } else {
                IpAddr::from(bytes)
            }
        };
        let header = self.tcp();
        Ends {
            local: SocketAddr::new(ip(local), header.dest()),
            remote: SocketAddr::new(ip(remote), header.source()),
        }
    }

    fn len(&self) -> usize {
        // SAFETY: the packet is valid.
        unsafe { (*self.as_ptr()).len as usize }
    }

    fn transport_offset(&self) -> Option<usize> {
        // SAFETY: the packet is valid; the result is checked by the caller against its length.
        let offset = unsafe {
            let th: *mut u8 = bindings::mrs_skb_tcp_header(self.as_ptr()).cast();
            th.offset_from((*self.as_ptr()).data)
        };
        usize::try_from(offset).ok()
    }

    /// The TCP header of a packet that stands at its transport header already (`conn_request`,
    /// `syn_recv_sock`, `sk_rx_dst_set`: TCP has looked at it, so it is linear).
    pub fn tcp(&self) -> TcpHeader<'_> {
        // SAFETY: TCP has checked and pulled the whole header before it calls those functions.
        unsafe {
            let th: *const u8 = bindings::mrs_skb_tcp_header(self.as_ptr()).cast();
            let len = usize::from(*th.add(12) >> 4) * 4;
            TcpHeader(core::slice::from_raw_parts(th, len.max(TCP_HEADER)))
        }
    }

    /// Payload bytes of a packet that TCP has taken over (its control block is filled).
    pub fn tcp_payload(&self) -> u32 {
        // SAFETY: TCP has filled the control block.
        let (seq, end, flags) = unsafe {
            (
                bindings::mrs_skb_seq(self.as_ptr()),
                bindings::mrs_skb_end_seq(self.as_ptr()),
                bindings::mrs_skb_tcp_flags(self.as_ptr()),
            )
        };
        let control = u32::from(flags & flag::SYN != 0) + u32::from(flags & flag::FIN != 0);
        end.wrapping_sub(seq).wrapping_sub(control)
    }

    /// The TCP segment in a packet that stands at its network header (`LOCAL_IN`): `None` if it is not
    /// whole. `family` is the packet's.
    #[inline]
    pub fn local_in(&mut self, family: u16) -> Option<RxSegment<'_>> {
        let thoff = self.transport_offset()?;
        let total = self.len();
        if total < thoff + TCP_HEADER {
            return None;
        }
        // SAFETY: the packet is valid and ours; pulling may move its data, no pointer is held over it.
        if !unsafe { bindings::mrs_skb_pull_ok(self.as_ptr(), (thoff + TCP_HEADER) as u32) } {
            return None;
        }
        // SAFETY: `thoff + TCP_HEADER` bytes are linear now.
        let doff = unsafe { usize::from(*(*self.as_ptr()).data.add(thoff + 12) >> 4) * 4 };
        if doff < TCP_HEADER || total < thoff + doff {
            return None;
        }
        // SAFETY: as above.
        if !unsafe { bindings::mrs_skb_pull_ok(self.as_ptr(), (thoff + doff) as u32) } {
            return None;
        }
        Some(RxSegment {
            skb: self,
            thoff,
            doff,
            family,
        })
    }
}

/// A TCP segment that arrives, not yet seen by TCP.
///
/// # Invariants
///
/// `thoff + doff` bytes from the packet's data on are linear.
pub struct RxSegment<'a> {
    skb: &'a mut Skb,
    thoff: usize,
    doff: usize,
    family: u16,
}

impl RxSegment<'_> {
    /// The header.
    #[inline]
    pub fn header(&self) -> TcpHeader<'_> {
        // SAFETY: the type's invariant.
        unsafe {
            let th = (*self.skb.as_ptr()).data.add(self.thoff);
            TcpHeader(core::slice::from_raw_parts(th, self.doff))
        }
    }

    /// Payload bytes.
    #[inline]
    pub fn payload_len(&self) -> u32 {
        (self.skb.len() - self.thoff - self.doff) as u32
    }

    /// Whether the TCP checksum is right. The answer is kept in the packet, TCP does not compute it again.
    #[inline]
    pub fn checksum_ok(&mut self) -> bool {
        // SAFETY: the packet stands at its network header, the TCP header is where `thoff` says.
        unsafe {
            bindings::mrs_skb_tcp_csum_ok(self.skb.as_ptr(), self.thoff as u32, self.family as u8)
        }
    }

    /// Takes away every option after the first `keep` bytes of them, so that TCP's header prediction
    /// works on the segment. The checksum must have been found right before. Leaves the segment as it is
    /// if its header is shared with somebody.
    #[inline]
    pub fn truncate_options(&mut self, keep: usize) {
        let cut = match (self.doff - TCP_HEADER).checked_sub(keep) {
            Some(cut) if cut > 0 && cut % 4 == 0 => cut,
            _ => return,
        };
        let skb = self.skb.as_ptr();
        // SAFETY: the header is linear (the type's invariant) and, after the first check, ours to write.
        // Moving `TCP_HEADER + keep` bytes up by `cut` stays within its `doff` bytes. The transport
        // header moves along, which is what IP pulls up to; a partial checksum counted from the old
        // place, so the packet is marked as verified instead.
        unsafe {
            if !bindings::mrs_skb_header_writable(skb, (self.thoff + self.doff) as u32) {
                return;
            }
            let th = (*skb).data.add(self.thoff);
            move_short(th, th.add(cut), TCP_HEADER + keep);
            let th = th.add(cut);
            let words = ((TCP_HEADER + keep) / 4) as u8;
            *th.add(12) = (words << 4) | (*th.add(12) & 0x0f);
            bindings::mrs_skb_move_transport(skb, cut as i32);
        }
        self.thoff += cut;
        self.doff -= cut;
    }
}

/// Moves `len` bytes. A call of the kernel's `memmove` costs more than the usual headers and options: these
/// go through registers.
///
/// # Safety
///
/// As `ptr::copy`.
#[inline(always)]
unsafe fn move_short(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match len {
            12 => ptr::copy(from, to, 12),
            20 => ptr::copy(from, to, 20),
            24 => ptr::copy(from, to, 24),
            28 => ptr::copy(from, to, 28),
            32 => ptr::copy(from, to, 32),
            _ => ptr::copy(from, to, len),
        }
    }
}

/// A TCP segment that leaves.
///
/// # Invariants
///
/// The TCP header, `doff` bytes, is linear, exclusively ours, and starts `thoff` after the packet's data.
pub struct TxSegment<'a> {
    skb: &'a mut Skb,
    thoff: usize,
    doff: usize,
}

impl<'a> TxSegment<'a> {
    /// The segment that TCP gives to `queue_xmit`.
    #[inline]
    pub fn from_transmit(skb: &'a mut Skb) -> Self {
        // SAFETY: TCP has just written this header at the packet's data.
        let doff = unsafe { usize::from(*(*skb.as_ptr()).data.add(12) >> 4) * 4 };
        Self {
            skb,
            thoff: 0,
            doff,
        }
    }

    /// The segment in a packet that stands at its network header (`LOCAL_OUT`).
    pub fn from_local_out(skb: &'a mut Skb) -> Option<Self> {
        let thoff = skb.transport_offset()?;
        // SAFETY: the kernel's own TCP made this packet: headers are linear.
        let doff = unsafe {
            let linear = (*skb.as_ptr()).len - (*skb.as_ptr()).data_len;
            if (linear as usize) < thoff + TCP_HEADER {
                return None;
            }
            usize::from(*(*skb.as_ptr()).data.add(thoff + 12) >> 4) * 4
        };
        Some(Self { skb, thoff, doff })
    }

    /// The header.
    #[inline]
    pub fn header(&self) -> TcpHeader<'_> {
        // SAFETY: the type's invariant.
        unsafe {
            let th = (*self.skb.as_ptr()).data.add(self.thoff);
            TcpHeader(core::slice::from_raw_parts(th, self.doff))
        }
    }

    #[inline]
    fn header_mut(&mut self) -> &mut [u8] {
        // SAFETY: the type's invariant.
        unsafe {
            let th = (*self.skb.as_ptr()).data.add(self.thoff);
            core::slice::from_raw_parts_mut(th, self.doff)
        }
    }

    /// Payload bytes.
    #[inline]
    pub fn payload_len(&self) -> u32 {
        (self.skb.len() - self.thoff - self.doff) as u32
    }

    /// Sets the raw window field.
    #[inline]
    pub fn set_window(&mut self, window: u16) {
        if let Some(field) = self.header_mut().get_mut(14..16) {
            field.copy_from_slice(&window.to_be_bytes());
        }
    }

    /// Puts `more` behind the options. Its length is a multiple of 4, and all of them are at most 40 bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::set_options`].
    #[inline]
    pub fn append_options(&mut self, more: &[u8]) -> Result {
        let grow = more.len();
        if grow % 4 != 0 || self.doff + grow > TCP_HEADER + 40 {
            return Err(EINVAL);
        }
        let skb = self.skb.as_ptr();
        // SAFETY: after the check there are `grow` bytes of headroom, and what lies before the payload (network
        // header if any, TCP header) is ours; it moves down by `grow`, and `more` comes behind it.
        unsafe {
            let headroom = (*skb).data.offset_from((*skb).head) as usize;
            if headroom < grow + 80 && bindings::mrs_skb_cow_head(skb, grow as u32 + 80) != 0 {
                return Err(ENOMEM);
            }
            let data = bindings::skb_push(skb, grow as u32).cast::<u8>();
            let old = self.thoff + self.doff;
            move_short(data.add(grow), data, old);
            bindings::mrs_skb_move_headers(skb, -(grow as i32));
            move_short(more.as_ptr(), data.add(old), grow);
        }
        self.doff += grow;
        let words = (self.doff / 4) as u8;
        if let Some(offset) = self.header_mut().get_mut(12) {
            *offset = (words << 4) | (*offset & 0x0f);
        }
        Ok(())
    }

    /// Replaces the options by `options`, whose length is a multiple of 4 and at most 40.
    ///
    /// # Errors
    ///
    /// `EINVAL` for another length, `ENOMEM` if room could not be made; the segment is as it was.
    #[inline]
    pub fn set_options(&mut self, options: &[u8]) -> Result {
        let old = self.doff - TCP_HEADER;
        if options.len() > 40 || options.len() % 4 != 0 {
            return Err(EINVAL);
        }
        let skb = self.skb.as_ptr();
        let grow = options.len() as isize - old as isize;
        if grow > 0 {
            let grow = grow as usize;
            // SAFETY: after the check there are `grow` bytes of headroom, and what lies before the
            // payload (network header if any, TCP header) is ours; it moves down by `grow`.
            unsafe {
                let headroom = (*skb).data.offset_from((*skb).head) as usize;
                if headroom < grow + 80 && bindings::mrs_skb_cow_head(skb, grow as u32 + 80) != 0 {
                    return Err(ENOMEM);
                }
                let data = bindings::skb_push(skb, grow as u32).cast::<u8>();
                ptr::copy(data.add(grow), data, self.thoff + TCP_HEADER);
                bindings::mrs_skb_move_headers(skb, -(grow as i32));
            }
        } else if grow < 0 {
            let shrink = -grow as usize;
            // SAFETY: the header has `shrink` bytes of options more than wanted; what lies before them
            // moves up over the part that goes.
            unsafe {
                let data = (*skb).data;
                ptr::copy(data, data.add(shrink), self.thoff + TCP_HEADER);
                bindings::skb_pull(skb, shrink as u32);
                bindings::mrs_skb_move_headers(skb, shrink as i32);
            }
        }
        self.doff = TCP_HEADER + options.len();
        let words = (self.doff / 4) as u8;
        let header = self.header_mut();
        if let Some(offset) = header.get_mut(12) {
            *offset = (words << 4) | (*offset & 0x0f);
        }
        if let Some(room) = header.get_mut(TCP_HEADER..) {
            room.copy_from_slice(options);
        }
        Ok(())
    }

    /// After [`Self::set_options`] in `LOCAL_OUT`: mends the lengths and checksums of IP and TCP.
    pub fn fix_local_out(&mut self, family: u16) {
        // SAFETY: the packet stands at its network header, and both headers are in place.
        unsafe { bindings::mrs_skb_fix_local_out(self.skb.as_ptr(), family as u8) }
    }
}

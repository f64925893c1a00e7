// SPDX-License-Identifier: GPL-2.0

//! What suites need of the kernel beyond the module's own abstractions.

use crate::bindings;
use crate::sys::net::Net;
use crate::sys::skb::Skb;
use crate::sys::time::monotonic_us;
use core::ptr::{addr_of, addr_of_mut, null_mut};
use kernel::ffi::c_void;
use kernel::prelude::*;

// Only pointers to them cross.
#[allow(improper_ctypes)]
extern "C" {
    fn mptcp_kunit_packet(
        bytes: *const c_void,
        len: usize,
        linear: usize,
        transport: usize,
        headroom: usize,
    ) -> *mut bindings::sk_buff;
    fn mptcp_kunit_transport_offset(skb: *const bindings::sk_buff) -> i32;
}

/// The namespace that the machine boots with.
pub fn initial_net() -> &'static Net {
    // SAFETY: it exists as long as the kernel does.
    unsafe { Net::from_raw(addr_of!(bindings::init_net)) }
}

/// A number for a namespace that no other has or will have.
pub fn cookie(net: &Net) -> u64 {
    // SAFETY: the namespace is valid; the field is set before anybody sees it.
    unsafe { (*net.as_ptr()).net_cookie }
}

/// A socket of the kernel's.
struct KernelSocket(*mut bindings::socket);

impl KernelSocket {
    /// Opens a socket in the initial namespace.
    fn open(family: u32, kind: u32, protocol: u32) -> Result<Self> {
        let mut socket = null_mut();
        // SAFETY: the initial namespace always exists, and the result goes to a pointer of ours.
        kernel::error::to_result(unsafe {
            bindings::sock_create_kern(
                addr_of_mut!(bindings::init_net),
                family as i32,
                kind as i32,
                protocol as i32,
                &mut socket,
            )
        })?;
        Ok(KernelSocket(socket))
    }
}

impl Drop for KernelSocket {
    fn drop(&mut self) {
        // SAFETY: opened in `open`.
        unsafe { bindings::sock_release(self.0) }
    }
}

/// Waits for a condition, two seconds at most.
pub fn wait(condition: impl Fn() -> bool) -> bool {
    let start = monotonic_us();
    while !condition() {
        if monotonic_us() - start > 2_000_000 {
            return false;
        }
        // SAFETY: tests run in process context.
        unsafe { bindings::msleep(1) };
    }
    true
}

/// Sends a datagram from this host to itself, by IPv4 or IPv6, in the initial namespace.
///
/// # Errors
///
/// What the kernel says, such as `ENETUNREACH` if the loopback device is down.
pub fn send_over_loopback(ipv6: bool) -> Result {
    let mut v4 = bindings::sockaddr_in {
        sin_family: bindings::AF_INET as u16,
        sin_port: 9u16.to_be(),
        ..Default::default()
    };
    v4.sin_addr.s_addr = u32::from_be_bytes([127, 0, 0, 1]).to_be();
    let mut v6 = bindings::sockaddr_in6 {
        sin6_family: bindings::AF_INET6 as u16,
        sin6_port: 9u16.to_be(),
        ..Default::default()
    };
    v6.sin6_addr.in6_u.u6_addr8 = core::net::Ipv6Addr::LOCALHOST.octets();
    let mut message = bindings::msghdr::default();
    let family = if ipv6 {
        message.msg_name = addr_of_mut!(v6).cast();
        message.msg_namelen = core::mem::size_of_val(&v6) as i32;
        bindings::AF_INET6
    } else {
        message.msg_name = addr_of_mut!(v4).cast();
        message.msg_namelen = core::mem::size_of_val(&v4) as i32;
        bindings::AF_INET
    };
    let mut byte = 0u8;
    let mut part = bindings::kvec {
        iov_base: addr_of_mut!(byte).cast(),
        iov_len: 1,
    };
    let socket = KernelSocket::open(
        family,
        bindings::sock_type_SOCK_DGRAM,
        bindings::IPPROTO_UDP,
    )?;
    // SAFETY: the socket is open, and the message refers to variables that live until the call returns.
    let sent = unsafe { bindings::kernel_sendmsg(socket.0, &mut message, &mut part, 1, 1) };
    kernel::error::to_result(sent.min(0))
}

/// A packet of our own.
pub struct Packet(*mut bindings::sk_buff);

impl Packet {
    /// Makes a packet of `bytes`, the first `linear` of them in its linear part and the rest, at most a page, in a
    /// fragment. The TCP header begins after `transport` bytes, the network header with the first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(bytes: &[u8], linear: usize, transport: usize, headroom: usize) -> Result<Self> {
        let (len, rest) = (bytes.len(), bytes.len().checked_sub(linear).ok_or(EINVAL)?);
        if rest > bindings::PAGE_SIZE || transport > linear {
            return Err(EINVAL);
        }
        // SAFETY: the lengths are those of `bytes`, as checked.
        let skb =
            unsafe { mptcp_kunit_packet(bytes.as_ptr().cast(), len, linear, transport, headroom) };
        if skb.is_null() {
            Err(ENOMEM)
        } else {
            Ok(Packet(skb))
        }
    }

    /// The packet, as the module sees it.
    pub fn skb(&mut self) -> &mut Skb {
        // SAFETY: the packet is ours.
        unsafe { Skb::from_raw_mut(self.0) }
    }

    /// Moves its beginning behind the network header, where TCP works.
    pub fn at_transport(self) -> Self {
        // SAFETY: the packet is ours, and all before the TCP header is linear.
        unsafe { bindings::skb_pull(self.0, mptcp_kunit_transport_offset(self.0) as u32) };
        self
    }

    /// The memory that it counts.
    pub fn truesize(&self) -> u32 {
        // SAFETY: the packet is ours.
        unsafe { (*self.0).truesize }
    }

    /// Where its TCP header is, counted from its beginning.
    pub fn transport_offset(&self) -> i32 {
        // SAFETY: the packet is ours.
        unsafe { mptcp_kunit_transport_offset(self.0) }
    }

    /// Makes a second owner of its contents for as long as the result lives.
    pub fn share(&self) -> Packet {
        // SAFETY: the packet is ours. A clone that there is no memory for is null, which freeing ignores.
        Packet(unsafe { bindings::skb_clone(self.0, bindings::GFP_KERNEL) })
    }

    /// Computes the checksum that was left to a device.
    pub fn complete_checksum(&mut self) -> Result {
        // SAFETY: the packet is ours.
        kernel::error::to_result(unsafe { bindings::skb_checksum_help(self.0) })
    }

    /// All of its bytes.
    pub fn bytes(&self) -> Result<KVec<u8>> {
        // SAFETY: the packet is ours.
        let len = unsafe { (*self.0).len } as usize;
        let mut bytes = KVec::new();
        for _ in 0..len {
            bytes.push(0, GFP_KERNEL)?;
        }
        // SAFETY: the packet has `len` bytes, and so has their destination.
        kernel::error::to_result(unsafe {
            bindings::skb_copy_bits(self.0, 0, bytes.as_mut_ptr().cast(), len as i32)
        })?;
        Ok(bytes)
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` or cloned in `share`.
        unsafe { bindings::mrs_kfree_skb(self.0) }
    }
}

// SPDX-License-Identifier: GPL-2.0

//! What system calls bring: messages, addresses, option values.

use super::page::PageSlice;
use super::sock::Sock;
use crate::bindings;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::net::SocketAddr;
use kernel::error::{code::*, to_result, Error, Result};

/// The message of a `sendmsg` or `recvmsg` call.
pub struct Msg<'a>(&'a mut bindings::msghdr);

impl<'a> Msg<'a> {
    /// # Safety
    ///
    /// `msg` is the valid message of a call that lasts longer than the result.
    pub(super) unsafe fn from_ptr(msg: *mut bindings::msghdr) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { &mut *msg })
    }

    pub(super) fn as_ptr(&mut self) -> *mut bindings::msghdr {
        self.0
    }

    /// `MSG_*`.
    pub fn flags(&self) -> u32 {
        self.0.msg_flags as u32
    }

    /// Bytes of the user's buffers that are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        // SAFETY: the message is valid.
        unsafe { bindings::mrs_msg_left(core::ptr::from_ref(&*self.0).cast_mut()) }
    }

    /// Whether an address came along.
    pub fn has_address(&self) -> bool {
        !self.0.msg_name.is_null() && self.0.msg_namelen > 0
    }

    /// The address that came along.
    pub fn address(&self) -> Option<SockAddr> {
        if !self.has_address() {
            return None;
        }
        // SAFETY: the kernel has copied `msg_namelen` bytes of address there.
        unsafe { SockAddr::from_ptr(self.0.msg_name.cast(), self.0.msg_namelen) }.ok()
    }

    /// Copies up to `len` bytes from the user into page memory, accounted to `sk`, which is locked.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory now, wait for some. `EFAULT`: the user's memory is not there.
    #[inline]
    pub fn copy_to_frag(&mut self, sk: &Sock, len: usize) -> Result<PageSlice> {
        let mut page = core::ptr::null_mut();
        let mut offset = 0;
        let len = len.min(self.remaining()).min(1 << 20);
        // SAFETY: the socket and the message are valid; on success the page comes with a reference.
        let n = unsafe {
            bindings::mrs_copy_to_frag(sk.as_ptr(), self.0, len as i32, &mut page, &mut offset)
        };
        if n < 0 {
            return Err(Error::from_errno(n));
        }
        // SAFETY: the fragment's bytes are handed out once only.
        unsafe { PageSlice::new(page, offset, n as u32) }.ok_or(ENOMEM)
    }

    /// Gives the user the time stamps of the first packet of `data`, if they were asked for.
    pub fn timestamps(&mut self, sk: &Sock, data: &super::rxdata::SkbList) {
        let skb = data.head_ptr();
        if !skb.is_null() {
            // SAFETY: message, socket and packet are valid.
            unsafe { bindings::mrs_skb_rx_tstamp(self.0, sk.as_ptr(), skb) }
        }
    }

    /// Gives the user a control message.
    pub fn put_control(&mut self, level: c_int, kind: c_int, value: i32) {
        let mut value = value;
        // SAFETY: the message is valid, the value is one `int`.
        unsafe {
            bindings::put_cmsg(
                self.0,
                level,
                kind,
                4,
                core::ptr::addr_of_mut!(value).cast(),
            );
        }
    }
}

/// A socket address, copied.
#[derive(Clone, Copy)]
pub struct SockAddr {
    storage: bindings::__kernel_sockaddr_storage,
    len: i32,
}

impl SockAddr {
    /// # Safety
    ///
    /// `len` bytes can be read at `addr`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a length that no address has.
    pub(super) unsafe fn from_ptr(addr: *const bindings::sockaddr, len: i32) -> Result<Self> {
        let max = core::mem::size_of::<bindings::__kernel_sockaddr_storage>();
        if len < 2 || len as usize > max {
            return Err(EINVAL);
        }
        // SAFETY: zeroes are a valid address; the copy is bounded by both sides.
        unsafe {
            let mut this = Self {
                storage: core::mem::zeroed(),
                len,
            };
            core::ptr::copy_nonoverlapping(
                addr.cast::<u8>(),
                core::ptr::addr_of_mut!(this.storage).cast::<u8>(),
                len as usize,
            );
            Ok(this)
        }
    }

    /// An address of `family` (`AF_INET`, `AF_INET6`) made of its parts; IPv4 in the first four bytes of
    /// `addr`, `port` in host order, `scope` an interface index for link-local IPv6.
    pub fn new(family: u16, addr: &[u8; 16], port: u16, scope: u32) -> Self {
        // SAFETY: zeroes are a valid address, and both structures fit into the storage.
        unsafe {
            let mut this = Self {
                storage: core::mem::zeroed(),
                len: 0,
            };
            let place = core::ptr::addr_of_mut!(this.storage);
            if u32::from(family) == bindings::AF_INET {
                let sin: *mut bindings::sockaddr_in = place.cast();
                (*sin).sin_family = family;
                (*sin).sin_port = port.to_be();
                (*sin).sin_addr.s_addr = u32::from_ne_bytes([addr[0], addr[1], addr[2], addr[3]]);
                this.len = core::mem::size_of::<bindings::sockaddr_in>() as i32;
            } else {
                let sin6: *mut bindings::sockaddr_in6 = place.cast();
                (*sin6).sin6_family = family;
                (*sin6).sin6_port = port.to_be();
                (*sin6).sin6_addr.in6_u.u6_addr8 = *addr;
                (*sin6).sin6_scope_id = scope;
                this.len = core::mem::size_of::<bindings::sockaddr_in6>() as i32;
            }
            this
        }
    }

    /// An address of the standard library's. Its scope is an interface index.
    pub fn of(addr: SocketAddr) -> Self {
        let mut bytes = [0; 16];
        match addr {
            SocketAddr::V4(v4) => {
                bytes[..4].copy_from_slice(&v4.ip().octets());
                Self::new(bindings::AF_INET as u16, &bytes, v4.port(), 0)
            }
            SocketAddr::V6(v6) => {
                let octets = v6.ip().octets();
                Self::new(bindings::AF_INET6 as u16, &octets, v6.port(), v6.scope_id())
            }
        }
    }

    /// `AF_*`.
    pub fn family(&self) -> u16 {
        // SAFETY: the family is the first member of every address.
        unsafe { *core::ptr::addr_of!(self.storage).cast::<u16>() }
    }

    /// Bytes.
    pub fn len(&self) -> i32 {
        self.len
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut bindings::sockaddr {
        core::ptr::addr_of_mut!(self.storage).cast()
    }
}

/// The value of a `setsockopt` call, in user or kernel memory.
#[derive(Clone, Copy)]
pub struct OptIn {
    pub(super) ptr: bindings::sockptr_t,
    pub(super) len: u32,
}

impl OptIn {
    /// Bytes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// A value of the kernel's own. It is read while `bytes` is there: by the call that gets it.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            // SAFETY: makes a tagged pointer, which is not followed.
            ptr: unsafe { bindings::mrs_kernel_sockptr(bytes.as_ptr().cast_mut().cast()) },
            len: bytes.len() as u32,
        }
    }

    /// Copies the first bytes of the value into `to`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the value is shorter, `EFAULT`.
    pub fn read(&self, to: &mut [u8]) -> Result {
        if self.len() < to.len() {
            return Err(EINVAL);
        }
        // SAFETY: `to` is valid for its length; the source is checked by the copy.
        let left = unsafe {
            bindings::mrs_copy_from_sockptr(to.as_mut_ptr().cast(), self.ptr, to.len() as _)
        };
        if left == 0 {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// The value as an `int`.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn int(&self) -> Result<i32> {
        let mut bytes = [0; 4];
        self.read(&mut bytes)?;
        Ok(i32::from_ne_bytes(bytes))
    }
}

/// Where a `getsockopt` call wants the value: user memory and a length in user memory.
#[derive(Clone, Copy)]
pub struct OptOut {
    pub(super) val: *mut u8,
    pub(super) len: *mut c_int,
}

impl OptOut {
    /// The room that the user offers, bytes.
    ///
    /// # Errors
    ///
    /// `EFAULT`, `EINVAL` if negative.
    pub fn room(&self) -> Result<usize> {
        let mut len = 0;
        // SAFETY: the copy checks the user's pointer.
        to_result(unsafe { bindings::mrs_get_user_int(self.len, &mut len) })?;
        usize::try_from(len).map_err(|_| EINVAL)
    }

    /// Tells the user how long the value is.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn set_len(&self, len: usize) -> Result {
        // SAFETY: the copy checks the user's pointer.
        to_result(unsafe { bindings::mrs_put_user_int(len as i32, self.len) })
    }

    /// Copies bytes to the user, `at` bytes into the value.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn write_at(&self, at: usize, from: &[u8]) -> Result {
        // SAFETY: the copy checks the user's pointer; `from` is valid for its length.
        let left = unsafe {
            bindings::mrs_copy_to_user(
                self.val.wrapping_add(at).cast::<c_void>(),
                from.as_ptr().cast(),
                from.len() as _,
            )
        };
        if left == 0 {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// Copies bytes from the user, `at` bytes into the value.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn read_at(&self, at: usize, to: &mut [u8]) -> Result {
        // SAFETY: the copy checks the user's pointer; `to` is valid for its length.
        let left = unsafe {
            bindings::mrs_copy_from_user(
                to.as_mut_ptr().cast(),
                self.val.wrapping_add(at).cast::<c_void>(),
                to.len() as _,
            )
        };
        if left == 0 {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// Copies bytes to another place in the user's memory, `at` bytes behind the address `base`.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub fn elsewhere(base: u64, at: usize, from: &[u8]) -> Result {
        let place = OptOut {
            val: (base as usize).wrapping_add(at) as *mut u8,
            len: core::ptr::null_mut(),
        };
        place.write_at(0, from)
    }

    /// Gives the user an `int`.
    ///
    /// # Errors
    ///
    /// `EFAULT`, `EINVAL`.
    pub fn put_int(&self, value: i32) -> Result {
        let n = self.room()?.min(4);
        let bytes = value.to_ne_bytes();
        self.set_len(n)?;
        self.write_at(0, bytes.get(..n).unwrap_or(&bytes))
    }
}

/// A structure of the kernel's interface to user space: plain numbers.
///
/// # Safety
///
/// Every pattern of bits is a valid value.
pub unsafe trait Uapi: Sized {}

// SAFETY: all are made of integers, and of unions of such.
unsafe impl Uapi for bindings::mptcp_info {}
// SAFETY: as above.
unsafe impl Uapi for bindings::mptcp_subflow_data {}
// SAFETY: as above.
unsafe impl Uapi for bindings::mptcp_subflow_addrs {}
// SAFETY: as above.
unsafe impl Uapi for bindings::mptcp_subflow_info {}
// SAFETY: as above.
unsafe impl Uapi for bindings::mptcp_full_info {}
// SAFETY: as above.
unsafe impl Uapi for bindings::tcp_info {}

/// Such a structure on its way to or from the user. Its padding is zero: nothing of the stack leaks.
pub struct Record<T: Uapi>(MaybeUninit<T>);

impl<T: Uapi> Record<T> {
    /// All zero.
    pub fn new() -> Self {
        Self(MaybeUninit::zeroed())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: all bytes were written, if only with zeroes.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast(), core::mem::size_of::<T>()) }
    }

    /// Its bytes, to be read from the user.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and any bytes make a valid value.
        unsafe {
            core::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), core::mem::size_of::<T>())
        }
    }
}

impl<T: Uapi> core::ops::Deref for Record<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the bytes are initialised, and any make a valid value.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<T: Uapi> core::ops::DerefMut for Record<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { self.0.assume_init_mut() }
    }
}

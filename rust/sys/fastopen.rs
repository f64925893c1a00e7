// SPDX-License-Identifier: GPL-2.0

//! TCP Fast Open: connections whose SYN carries data (RFC 7413).

use super::errno::eopnotsupp;
use super::msock::{Guard, SockOf, StreamProto};
use super::page::Slices;
use super::sock::Sock;
use super::tcp::Ssk;
use super::uio::SockAddr;
use crate::bindings;
use kernel::error::{to_result, Result};

/// Whether connections of the socket's namespace may send data in their SYN (`net.ipv4.tcp_fastopen`).
pub fn client_enabled(sk: &Sock) -> bool {
    // SAFETY: the socket is valid.
    unsafe { bindings::mrs_fastopen_client(sk.as_ptr()) }
}

impl Sock {
    /// Whether `connect(2)` has left the SYN for the first data (`TCP_FASTOPEN_CONNECT`).
    #[inline]
    pub fn connect_deferred(&self) -> bool {
        // SAFETY: the socket is valid and has an `inet_sock`.
        unsafe { bindings::mrs_connect_deferred(self.as_ptr()) }
    }

    /// See [`Self::connect_deferred`].
    pub fn defer_connect(&self, defer: bool) {
        // SAFETY: as above; the bit is set atomically.
        unsafe { bindings::mrs_connect_defer(self.as_ptr(), defer) }
    }
}

impl Ssk<'_> {
    /// Starts to connect, with data in the SYN if TCP has a cookie of the peer, and asks for one
    /// otherwise. A SYN that was left for later leaves now, wherever `addr` is. Says how many bytes of `data` TCP has taken, from the front.
    ///
    /// # Errors
    ///
    /// As `connect(2)`, without waiting.
    pub fn connect_with(&mut self, addr: &mut SockAddr, data: &mut Slices<'_>) -> Result<u32> {
        let mut queued = 0;
        // SAFETY: the socket is locked; the address is one of `addr.len` bytes; TCP copies the data, which
        // lives until then.
        let err = unsafe {
            bindings::mrs_fastopen_connect(
                self.sock().as_ptr(),
                addr.as_mut_ptr(),
                addr.len(),
                data.as_mut_ptr(),
                data.count() as u32,
                data.bytes(),
                &mut queued,
            )
        };
        to_result(err)?;
        Ok(queued)
    }
}

impl<P: StreamProto> SockOf<P> {
    /// `connect(2)` in the course of another call, by way of [`StreamProto::connect`] unless that has begun
    /// already (no `addr`); waits for the end of it, with the lock given up, unless `nonblock`.
    ///
    /// # Errors
    ///
    /// As `connect(2)`; `EOPNOTSUPP` to disconnect.
    pub fn connect_now(
        guard: &mut Guard<'_, P>,
        addr: Option<&mut SockAddr>,
        nonblock: bool,
    ) -> Result {
        let (addr, len) = match addr {
            Some(addr) if u32::from(addr.family()) == bindings::AF_UNSPEC => {
                return Err(eopnotsupp());
            }
            Some(addr) => (addr.as_mut_ptr(), addr.len()),
            None => (core::ptr::null_mut(), 0),
        };
        // SAFETY: the socket is locked by us as its owner, and the call comes through its file. The address
        // is none, or one of `len` bytes.
        to_result(unsafe { bindings::mrs_stream_connect(guard.as_ptr(), addr, len, nonblock) })
    }
}

/// The request behind a socket that its SYN has opened, until the third ACK has come. Null: there is none.
///
/// # Safety
///
/// `sk` is a valid TCP socket that is locked.
pub(super) unsafe fn request_of(sk: *const bindings::sock) -> *mut bindings::request_sock {
    // SAFETY: the caller's promise.
    unsafe { bindings::mrs_fastopen_request(sk) }
}

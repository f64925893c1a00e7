// SPDX-License-Identifier: GPL-2.0

//! Sockets that the kernel itself listens with.
//!
//! C header: [`include/linux/net.h`](srctree/include/linux/net.h)

use super::msock::{SockOf, StreamProto};
use super::net::Net;
use super::sock::Sock;
use super::uio::SockAddr;
use crate::bindings;
use core::ptr::{null_mut, NonNull};
use kernel::error::{code::*, to_result, Result};

/// A listening socket, closed when dropped, which is to happen in process context. It does not keep its
/// namespace: it has to be dropped before that is gone.
///
/// # Invariants
///
/// The socket is ours alone.
pub struct Listener(NonNull<bindings::socket>);

// SAFETY: a socket may be released by any thread.
unsafe impl Send for Listener {}
// SAFETY: nothing can be done with a shared reference.
unsafe impl Sync for Listener {}

impl Listener {
    /// Makes a socket of the protocol `protocol`, which has sockets of type `P`, lets `prepare` set it up, and
    /// listens at `addr`. Process context.
    ///
    /// # Errors
    ///
    /// What socket, `prepare`, bind or listen said.
    pub fn open<P: StreamProto>(
        net: &Net,
        protocol: u16,
        mut addr: SockAddr,
        backlog: i32,
        prepare: impl FnOnce(&SockOf<P>) -> Result,
    ) -> Result<Self> {
        let mut socket = null_mut();
        // SAFETY: the namespace is valid, `socket` is ours. A kernel socket holds no reference to its namespace.
        to_result(unsafe {
            bindings::sock_create_kern(
                net.as_ptr(),
                addr.family().into(),
                bindings::sock_type_SOCK_STREAM as i32,
                protocol.into(),
                &mut socket,
            )
        })?;
        // INVARIANT: the socket was made for us.
        let this = Self(NonNull::new(socket).ok_or(EINVAL)?);
        // SAFETY: a socket that was made has a `struct sock` until it is released.
        let sk = unsafe { Sock::from_ptr((*socket).sk) };
        prepare(SockOf::<P>::of_sock(sk).ok_or(EINVAL)?)?;
        // SAFETY: valid, and nobody else uses it. The address is one of its family, with its length.
        unsafe {
            to_result(bindings::kernel_bind(socket, addr.as_mut_ptr(), addr.len()))?;
            to_result(bindings::kernel_listen(socket, backlog))?;
        }
        Ok(this)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { bindings::sock_release(self.0.as_ptr()) }
    }
}

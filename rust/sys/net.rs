// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use super::sock::Sock;
use crate::bindings;
use core::ptr::addr_of_mut;
use kernel::types::Opaque;

/// A network namespace.
///
/// # Invariants
///
/// A reference to it stands for a `struct net` whose memory and whose subsystems' data are valid for as
/// long as the reference lives. The namespace may be on its way out.
#[repr(transparent)]
pub struct Net(Opaque<bindings::net>);

// SAFETY: what is reachable through `&Net` is constant for its life or atomic.
unsafe impl Send for Net {}
// SAFETY: as above.
unsafe impl Sync for Net {}

impl Net {
    /// The namespace that `ptr` points to.
    ///
    /// # Safety
    ///
    /// `ptr` points to a namespace that exists throughout `'a`: the caller, or the kernel on the caller's
    /// behalf, holds a reference, is in its init or exit callback, or is an RCU reader that found it alive.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::net) -> &'a Net {
        // SAFETY: `Net` has the layout of `struct net`; the rest is the caller's promise.
        unsafe { &*ptr.cast() }
    }

    /// The namespace of a socket.
    #[inline]
    pub fn of(sk: &Sock) -> &Net {
        // SAFETY: a socket's namespace outlives it: either the socket holds a reference, or the namespace's
        // exit destroys the socket.
        unsafe { Self::from_raw(sk.net_ptr()) }
    }

    /// The kernel's pointer to it.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::net {
        self.0.get()
    }

    /// Whether both are one.
    #[inline]
    pub fn is_same(&self, other: &Net) -> bool {
        core::ptr::eq(self, other)
    }

    /// Where `/proc/net` files are created.
    pub(super) fn proc_net(&self) -> *mut bindings::proc_dir_entry {
        // SAFETY: valid by the type's invariant; the field is set when the namespace is and stays.
        unsafe { *addr_of_mut!((*self.as_ptr()).proc_net) }
    }
}

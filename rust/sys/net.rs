// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use super::sock::Sock;
use crate::bindings;
use core::ops::Deref;
use core::ptr::{addr_of, addr_of_mut, NonNull};
use kernel::types::Opaque;

/// A network namespace.
///
/// # Invariants
///
/// A reference to it stands for a `struct net` whose memory and whose subsystems' data are valid for as
/// long as the reference lives. The namespace may be on its way out: see [`Net::try_get`].
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

    /// The namespace that the machine boots with.
    pub fn initial() -> &'static Net {
        // SAFETY: it exists as long as the kernel does.
        unsafe { Self::from_raw(addr_of!(bindings::init_net)) }
    }

    /// Whether this is [`Net::initial`].
    pub fn is_initial(&self) -> bool {
        self.is_same(Self::initial())
    }

    /// Whether both are one.
    #[inline]
    pub fn is_same(&self, other: &Net) -> bool {
        core::ptr::eq(self, other)
    }

    /// A reference that keeps it from going away; none if it is going already.
    pub fn try_get(&self) -> Option<NetRef> {
        // SAFETY: the memory is valid by the type's invariant, which is all that this needs.
        let ptr = unsafe { bindings::mrs_maybe_get_net(self.as_ptr()) };
        NonNull::new(ptr.cast()).map(NetRef)
    }

    /// The namespace of the running process. From process context only.
    pub fn of_current() -> NetRef {
        // SAFETY: the current process has namespaces until it exits, and it does not exit meanwhile.
        let net = unsafe { bindings::mrs_get_net(bindings::mrs_current_net()) };
        // SAFETY: `get_net` returns its argument, which is not null.
        NetRef(unsafe { NonNull::new_unchecked(net.cast()) })
    }

    /// A number for it that no other has or will have.
    pub fn cookie(&self) -> u64 {
        // SAFETY: valid by the type's invariant; the field is set before anybody sees the namespace.
        unsafe { (*self.as_ptr()).net_cookie }
    }

    /// Whether the running process has `capability` (`CAP_NET_ADMIN` ...) over this namespace.
    pub fn capable(&self, capability: u32) -> bool {
        // SAFETY: a namespace has a user namespace for its whole life.
        unsafe { bindings::ns_capable((*self.as_ptr()).user_ns, capability as i32) }
    }

    /// Where `/proc/net` files are created.
    pub(super) fn proc_net(&self) -> *mut bindings::proc_dir_entry {
        // SAFETY: valid by the type's invariant; the field is set when the namespace is and stays.
        unsafe { *addr_of_mut!((*self.as_ptr()).proc_net) }
    }
}

/// A counted reference to a [`Net`].
///
/// # Invariants
///
/// Owns one reference of the namespace's count.
pub struct NetRef(NonNull<Net>);

// SAFETY: `Net` is `Send` and `Sync`, and its count is atomic.
unsafe impl Send for NetRef {}
// SAFETY: as above.
unsafe impl Sync for NetRef {}

impl Deref for NetRef {
    type Target = Net;

    #[inline]
    fn deref(&self) -> &Net {
        // SAFETY: valid because we hold a reference, by the type's invariant.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for NetRef {
    fn clone(&self) -> Self {
        // SAFETY: the count is not zero, as it includes ours.
        unsafe { bindings::mrs_get_net(self.as_ptr()) };
        NetRef(self.0)
    }
}

impl Drop for NetRef {
    fn drop(&mut self) {
        // SAFETY: gives away the reference that the type's invariant says we own.
        unsafe { bindings::mrs_put_net(self.as_ptr()) }
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Timers of sockets.
//!
//! A [`SockTimer`] is a field of an object that lives as long as a socket does, as TCP's own timers are.
//! While it is armed it holds a reference to the socket, and so keeps the object.
//!
//! C headers: [`include/linux/timer.h`](srctree/include/linux/timer.h),
//! [`include/net/sock.h`](srctree/include/net/sock.h)

use super::sock::Sock;
use super::time::Jiffies;
use crate::bindings;
use core::marker::PhantomData;
use kernel::prelude::*;
use kernel::types::Opaque;

/// An object that lives as long as a socket.
///
/// # Safety
///
/// [`SockOwned::sock`] always returns the same socket, and whoever holds a reference to that socket may use
/// the object: it is neither moved nor dropped before the last reference is gone.
pub unsafe trait SockOwned {
    /// The socket.
    fn sock(&self) -> &Sock;
}

/// What happens when timer `ID` of an object expires.
pub trait TimerCallback<const ID: u64 = 0> {
    /// The timer has expired. Softirq context, no lock held. It may be armed again.
    fn expired(&self);
}

/// A timer that calls [`TimerCallback::expired`] of the `T` that it is a field of.
///
/// Bind it to its field with [`impl_has_timer!`](crate::impl_has_timer).
#[repr(transparent)]
pub struct SockTimer<T, const ID: u64 = 0> {
    timer: Opaque<bindings::timer_list>,
    _owner: PhantomData<fn(&T)>,
}

// SAFETY: the kernel's timer functions may be called from any thread.
unsafe impl<T, const ID: u64> Send for SockTimer<T, ID> {}
// SAFETY: as above; they take a lock of their own.
unsafe impl<T, const ID: u64> Sync for SockTimer<T, ID> {}

impl<T: HasTimer<ID>, const ID: u64> SockTimer<T, ID> {
    /// A timer that is not armed.
    pub fn new() -> impl PinInit<Self> {
        // SAFETY: the closure initializes the timer, which is all there is.
        unsafe {
            kernel::init::pin_init_from_closure(|slot: *mut Self| {
                bindings::mrs_timer_init(
                    core::ptr::addr_of_mut!((*slot).timer).cast(),
                    Some(Self::trampoline),
                );
                Ok(())
            })
        }
    }

    /// # Safety
    ///
    /// Called by the kernel with a timer that [`HasTimer::arm_at`] has armed.
    unsafe extern "C" fn trampoline(timer: *mut bindings::timer_list) {
        // SAFETY: only `HasTimer::arm` arms it, when it is the field of a `T` that `OFFSET` says, and the
        // reference that the armed timer holds keeps that `T`.
        let owner = unsafe { &*timer.cast::<u8>().sub(T::OFFSET).cast::<T>() };
        let sk = owner.sock().as_ptr();
        owner.expired();
        // SAFETY: gives back the reference of the timer that expired; arming it again took another one.
        unsafe { bindings::mrs_sock_put(sk) };
    }
}

/// Says where in a type its timer `ID` is. Implemented by [`impl_has_timer!`](crate::impl_has_timer).
///
/// # Safety
///
/// At `OFFSET` of the type is a [`SockTimer<Self, ID>`], initialized before [`HasTimer::arm`] is called.
pub unsafe trait HasTimer<const ID: u64 = 0>: SockOwned + TimerCallback<ID> + Sized {
    /// Where the timer is, in bytes.
    const OFFSET: usize;

    /// The kernel's timer.
    #[doc(hidden)]
    #[inline]
    fn raw_timer(&self) -> *mut bindings::timer_list {
        core::ptr::from_ref(self)
            .cast::<u8>()
            .cast_mut()
            .wrapping_add(<Self as HasTimer<ID>>::OFFSET)
            .cast()
    }

    /// Arms the timer to expire `delay` from now, also if it is armed already. From any context.
    #[inline]
    fn arm(&self, delay: Jiffies) {
        <Self as HasTimer<ID>>::arm_at(self, Jiffies::now().after(delay));
    }

    /// Arms the timer to expire at `when`, also if it is armed already. From any context.
    #[inline]
    fn arm_at(&self, when: Jiffies) {
        // SAFETY: the timer is initialized by the trait's rule. The socket is alive, as we were reached through
        // it, and is kept by the reference that this takes until the timer has expired or is stopped.
        unsafe {
            bindings::sk_reset_timer(
                self.sock().as_ptr(),
                <Self as HasTimer<ID>>::raw_timer(self),
                when.0,
            )
        }
    }

    /// Disarms the timer. From any context. The callback may be running still.
    #[inline]
    fn stop(&self) {
        // SAFETY: as in `arm_at`. The caller's way to the socket implies a reference other than the timer's.
        unsafe {
            bindings::sk_stop_timer(
                self.sock().as_ptr(),
                <Self as HasTimer<ID>>::raw_timer(self),
            )
        }
    }

    /// Disarms the timer and waits for the callback if it is running. From process context, without a lock
    /// that the callback takes.
    fn stop_sync(&self) {
        // SAFETY: as in `stop`.
        unsafe {
            bindings::sk_stop_timer_sync(
                self.sock().as_ptr(),
                <Self as HasTimer<ID>>::raw_timer(self),
            )
        }
    }

    /// Whether the timer is armed.
    #[inline]
    fn is_armed(&self) -> bool {
        // SAFETY: the timer is initialized by the trait's rule.
        unsafe { bindings::mrs_timer_pending(<Self as HasTimer<ID>>::raw_timer(self)) }
    }

    /// When the timer expires, if it is armed.
    fn expires(&self) -> Option<Jiffies> {
        if !<Self as HasTimer<ID>>::is_armed(self) {
            return None;
        }
        let timer = <Self as HasTimer<ID>>::raw_timer(self);
        // SAFETY: the timer is initialized by the trait's rule; read once, as it may be changed meanwhile.
        Some(Jiffies(unsafe {
            core::ptr::addr_of!((*timer).expires).read_volatile()
        }))
    }
}

/// Binds a [`SockTimer`] to the field of a type that it is kept in.
///
/// ```ignore
/// impl_has_timer! {
///     impl HasTimer<RETRANSMIT> for Connection { self.retransmit }
/// }
/// ```
#[macro_export]
macro_rules! impl_has_timer {
    ($(impl HasTimer<$id:tt> for $self:ty { self.$field:ident })*) => {$(
        // SAFETY: `raw_timer` compiles only if the field has the right type. A `SockTimer` comes from its
        // initializer only.
        unsafe impl $crate::sys::timer::HasTimer<$id> for $self {
            const OFFSET: usize = ::core::mem::offset_of!($self, $field);

            #[inline]
            fn raw_timer(&self) -> *mut $crate::bindings::timer_list {
                let timer: &$crate::sys::timer::SockTimer<$self, $id> = &self.$field;
                ::core::ptr::from_ref(timer).cast_mut().cast()
            }
        }
    )*};
}

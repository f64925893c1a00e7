// SPDX-License-Identifier: GPL-2.0

//! State that exists once in every network namespace.
//!
//! A type becomes such a state by implementing [`NetState`]. [`PerNet::register`] creates one in every
//! namespace there is, and from then on in every new one; dropping the registration takes them all down.
//!
//! C headers: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h),
//! [`include/net/netns/generic.h`](srctree/include/net/netns/generic.h)

use super::net::Net;
use super::netfilter::{Hook, HookSet};
use crate::bindings;
use core::marker::PhantomData;
use core::mem::{align_of, size_of};
use core::ptr::drop_in_place;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::prelude::*;
use kernel::types::Opaque;

/// Where the kernel keeps a state: the same number in every namespace.
///
/// Zero, which the kernel never gives out, while there is no registration.
pub struct Slot(AtomicU32);

impl Slot {
    /// A slot for one state type.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Slot(AtomicU32::new(0))
    }
}

/// A type with a slot of its own. Implemented by [`impl_state_slot!`](crate::impl_state_slot).
///
/// # Safety
///
/// [`StateSlot::slot`] always returns the same slot, and no other type returns it.
pub unsafe trait StateSlot {
    /// The slot of this type.
    fn slot() -> &'static Slot;
}

/// Gives a type the slot that [`NetState`] wants.
#[macro_export]
macro_rules! impl_state_slot {
    ($type:ty) => {
        // SAFETY: the slot is this function's own.
        unsafe impl $crate::sys::pernet::StateSlot for $type {
            #[inline]
            fn slot() -> &'static $crate::sys::pernet::Slot {
                static SLOT: $crate::sys::pernet::Slot = $crate::sys::pernet::Slot::new();
                &SLOT
            }
        }
    };
}

/// A state of which every network namespace has one.
pub trait NetState: StateSlot + Send + Sync + Sized + 'static {
    /// What looks at the namespace's packets while [`Net::hooks`] has users.
    type Hook: Hook;

    /// Makes the state of a new namespace. Process context; may sleep.
    fn init(net: &Net) -> impl PinInit<Self, Error>;

    /// The namespace goes away: nobody finds it any more and its hooks are out, but readers under RCU may still
    /// be at work on what they found. End here what calls back. A grace period follows, then the state is dropped.
    fn pre_exit(self: Pin<&Self>, _net: &Net) {}
}

/// What the kernel's memory for a state holds.
#[pin_data]
struct Held<T: NetState> {
    #[pin]
    state: T,
    #[pin]
    hooks: HookSet<T::Hook>,
}

impl Net {
    #[inline]
    fn held<T: NetState>(&self) -> Option<&Held<T>> {
        let id = T::slot().0.load(Ordering::Relaxed);
        if id == 0 {
            return None;
        }
        // SAFETY: the kernel gave out `id`, so the namespace's array has such an element.
        let held = unsafe { bindings::mrs_net_generic(self.as_ptr(), id) };
        // SAFETY: only `PerNet<T>` fills the element, with what lives as long as the namespace or until the
        // registration ends, which every user of this module's functions precedes.
        unsafe { held.cast::<Held<T>>().as_ref() }
    }

    /// This namespace's `T`; none if `T` is not registered.
    #[inline]
    pub fn try_state<T: NetState>(&self) -> Option<&T> {
        Some(&self.held::<T>()?.state)
    }

    /// This namespace's `T`.
    ///
    /// # Panics
    ///
    /// If `T` is not registered, which is so only before the module's init is through and after its exit.
    #[inline]
    pub fn state<T: NetState>(&self) -> &T {
        match self.try_state() {
            Some(state) => state,
            None => unregistered(),
        }
    }

    /// The packet hooks that belong to this namespace's `T`.
    ///
    /// # Panics
    ///
    /// As [`Net::state`].
    #[inline]
    pub fn hooks<T: NetState>(&self) -> &HookSet<T::Hook> {
        match self.held::<T>() {
            Some(held) => &held.hooks,
            None => unregistered(),
        }
    }
}

#[cold]
fn unregistered() -> ! {
    panic!("per-namespace state used outside its registration")
}

/// The registration of a [`NetState`]. Ends when dropped.
pub struct PerNet<T: NetState> {
    ops: Pin<KBox<Opaque<bindings::pernet_operations>>>,
    _state: PhantomData<T>,
}

// SAFETY: the kernel's list, which the registration is on, has its own lock.
unsafe impl<T: NetState> Send for PerNet<T> {}
// SAFETY: nothing can be done with a shared reference.
unsafe impl<T: NetState> Sync for PerNet<T> {}

impl<T: NetState> PerNet<T> {
    /// Creates the state in all namespaces.
    ///
    /// # Errors
    ///
    /// What [`NetState::init`] returned in one of them, `ENOMEM`, or `EBUSY` if `T` is registered already.
    pub fn register() -> Result<Self> {
        // The kernel allocates with kmalloc(), which aligns to 8 at least.
        const { assert!(align_of::<Held<T>>() <= 8) };

        if T::slot().0.load(Ordering::Relaxed) != 0 {
            return Err(EBUSY);
        }
        let ops = KBox::pin(
            Opaque::new(bindings::pernet_operations {
                init: Some(Self::init),
                pre_exit: Some(Self::pre_exit),
                exit: Some(Self::exit),
                id: T::slot().0.as_ptr(),
                size: size_of::<Held<T>>(),
                ..Default::default()
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: the operations are pinned on the heap until `drop` has unregistered them.
        let ret = unsafe { bindings::register_pernet_subsys(ops.get()) };
        if ret != 0 {
            T::slot().0.store(0, Ordering::Relaxed);
        }
        kernel::error::to_result(ret)?;
        Ok(PerNet {
            ops,
            _state: PhantomData,
        })
    }

    /// The memory for the namespace's `T`.
    ///
    /// # Safety
    ///
    /// Called from the operations' callbacks, with their argument.
    unsafe fn memory(net: *mut bindings::net) -> *mut Held<T> {
        // SAFETY: in the callbacks the namespace is valid and the kernel has allocated the element.
        unsafe { bindings::mrs_net_generic(net, T::slot().0.load(Ordering::Relaxed)).cast() }
    }

    /// # Safety
    ///
    /// Called by the kernel with a namespace that comes into being.
    unsafe extern "C" fn init(net: *mut bindings::net) -> kernel::ffi::c_int {
        // SAFETY: as this is the callback.
        let memory = unsafe { Self::memory(net) };
        // SAFETY: the namespace is valid in the callback.
        let net = unsafe { Net::from_raw(net) };
        let held = try_pin_init!(Held {
            state <- T::init(net),
            // SAFETY: `pre_exit` closes it; a grace period and `exit` follow before the namespace goes.
            hooks <- unsafe { HookSet::new(net) },
        }? Error);
        // SAFETY: the memory has the right size (the operations say so), is aligned (see `register`), ours alone at
        // this time, and stays where it is. If this fails, the kernel frees it without calling `exit`.
        match unsafe { held.__pinned_init(memory) } {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// Called by the kernel with a namespace that `init` was called with.
    unsafe extern "C" fn pre_exit(net: *mut bindings::net) {
        // SAFETY: `init` has filled it, and nobody drops it before `exit`.
        let held = unsafe { &*Self::memory(net) };
        held.hooks.close();
        // SAFETY: nobody moves what the kernel has allocated. The namespace is valid in the callback.
        unsafe { Pin::new_unchecked(&held.state).pre_exit(Net::from_raw(net)) };
    }

    /// # Safety
    ///
    /// As `pre_exit`, and after it.
    unsafe extern "C" fn exit(net: *mut bindings::net) {
        // SAFETY: `init` has filled it. A grace period has passed since nobody could find the namespace, so that
        // nobody uses it. The kernel frees the memory.
        unsafe { drop_in_place(Self::memory(net)) };
    }
}

impl<T: NetState> Drop for PerNet<T> {
    fn drop(&mut self) {
        // SAFETY: `register` has registered them.
        unsafe { bindings::unregister_pernet_subsys(self.ops.get()) };
        T::slot().0.store(0, Ordering::Relaxed);
    }
}

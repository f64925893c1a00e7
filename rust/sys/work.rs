// SPDX-License-Identifier: GPL-2.0

//! Work of sockets that needs process context, on a workqueue of the module's own.
//!
//! A [`SockWork`] is a field of an object that lives as long as a socket does. While it is queued or runs it
//! holds a reference to the socket, and so keeps the object.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::timer::SockOwned;
use crate::bindings;
use core::marker::PhantomData;
use core::ptr::{null_mut, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::prelude::*;
use kernel::types::Opaque;

/// The module's queue; null while there is none.
static QUEUE: AtomicPtr<bindings::workqueue_struct> = AtomicPtr::new(null_mut());

/// The module's workqueue. All that is queued has run when it is dropped.
pub struct Queue(NonNull<bindings::workqueue_struct>);

// SAFETY: the workqueue functions may be called from any thread.
unsafe impl Send for Queue {}
// SAFETY: nothing can be done with a shared reference.
unsafe impl Sync for Queue {}

impl Queue {
    /// Makes the queue that [`HasWork::queue`] uses. Once at a time.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EBUSY` if there is one.
    pub fn new(name: &CStr) -> Result<Self> {
        if !QUEUE.load(Ordering::Relaxed).is_null() {
            return Err(EBUSY);
        }
        // SAFETY: the name is a string, and is copied.
        let queue = unsafe { bindings::mrs_workqueue(name.as_char_ptr()) };
        let queue = NonNull::new(queue).ok_or(ENOMEM)?;
        QUEUE.store(queue.as_ptr(), Ordering::Relaxed);
        Ok(Queue(queue))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        QUEUE.store(null_mut(), Ordering::Relaxed);
        // SAFETY: allocated in `new`. There are no sockets any more that could queue.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) }
    }
}

/// What work `ID` of an object is.
pub trait WorkCallback<const ID: u64 = 0> {
    /// Does the work. Process context, no lock held. May sleep, and may be queued again meanwhile.
    fn work(&self);
}

/// A work item that calls [`WorkCallback::work`] of the `T` that it is a field of.
///
/// Bind it to its field with [`impl_has_sock_work!`](crate::impl_has_sock_work).
#[repr(transparent)]
pub struct SockWork<T, const ID: u64 = 0> {
    work: Opaque<bindings::work_struct>,
    _owner: PhantomData<fn(&T)>,
}

// SAFETY: the workqueue functions may be called from any thread.
unsafe impl<T, const ID: u64> Send for SockWork<T, ID> {}
// SAFETY: as above; the item is only changed by atomic operations and under the queue's lock.
unsafe impl<T, const ID: u64> Sync for SockWork<T, ID> {}

impl<T: HasWork<ID>, const ID: u64> SockWork<T, ID> {
    /// An item that is not queued.
    pub fn new() -> impl PinInit<Self> {
        // SAFETY: the closure initializes the item, which is all there is.
        unsafe {
            kernel::init::pin_init_from_closure(|slot: *mut Self| {
                bindings::mrs_work_init(
                    core::ptr::addr_of_mut!((*slot).work).cast(),
                    Some(Self::trampoline),
                );
                Ok(())
            })
        }
    }

    /// # Safety
    ///
    /// Called by the workqueue with an item that [`HasWork::queue`] has queued.
    unsafe extern "C" fn trampoline(work: *mut bindings::work_struct) {
        // SAFETY: only `HasWork::queue` queues it, when it is the field of a `T` that `OFFSET` says, and the
        // reference that the queued item holds keeps that `T`.
        let owner = unsafe { &*work.cast::<u8>().sub(T::OFFSET).cast::<T>() };
        let sk = owner.sock().as_ptr();
        owner.work();
        // SAFETY: gives back the reference that this run was queued with; queueing it again took another one.
        unsafe { bindings::mrs_sock_put(sk) };
    }
}

/// Says where in a type its work item `ID` is. Implemented by
/// [`impl_has_sock_work!`](crate::impl_has_sock_work).
///
/// # Safety
///
/// At `OFFSET` of the type is a [`SockWork<Self, ID>`], initialized before [`HasWork::queue`] is called.
pub unsafe trait HasWork<const ID: u64 = 0>: SockOwned + WorkCallback<ID> + Sized {
    /// Where the item is, in bytes.
    const OFFSET: usize;

    /// The kernel's item.
    #[doc(hidden)]
    fn raw_work(&self) -> *mut bindings::work_struct;

    /// Queues the work, unless it is queued already. False if it was. From any context.
    fn queue(&self) -> bool {
        let queue = QUEUE.load(Ordering::Relaxed);
        if queue.is_null() {
            return false;
        }
        let sk = self.sock().as_ptr();
        // SAFETY: the socket is alive, as we were reached through it. The reference is taken first, as the work
        // may run and give it back at once; if the item was queued already, the caller's way to the socket
        // implies another reference. The item is initialized by the trait's rule, and the queue exists as long
        // as there are sockets.
        unsafe {
            bindings::mrs_sock_hold(sk);
            let queued = bindings::queue_work_on(
                bindings::mrs_cpu_unbound(),
                queue,
                <Self as HasWork<ID>>::raw_work(self),
            );
            if !queued {
                bindings::mrs___sock_put(sk);
            }
            queued
        }
    }

    /// Takes the work from the queue and waits for it if it is running. Process context, without a lock that
    /// the work takes. True if it was still to be run.
    fn cancel_sync(&self) -> bool {
        // SAFETY: the item is initialized by the trait's rule. If it had not begun, its reference is given back
        // here; it is not the last one, as the caller's way to the socket implies another.
        unsafe {
            let pending = bindings::cancel_work_sync(<Self as HasWork<ID>>::raw_work(self));
            if pending {
                bindings::mrs___sock_put(self.sock().as_ptr());
            }
            pending
        }
    }
}

/// Binds a [`SockWork`] to the field of a type that it is kept in.
///
/// ```ignore
/// impl_has_sock_work! {
///     impl HasWork<0> for Connection { self.work }
/// }
/// ```
#[macro_export]
macro_rules! impl_has_sock_work {
    ($(impl HasWork<$id:tt> for $self:ty { self.$field:ident })*) => {$(
        // SAFETY: `raw_work` compiles only if the field has the right type. A `SockWork` comes from its
        // initializer only.
        unsafe impl $crate::sys::work::HasWork<$id> for $self {
            const OFFSET: usize = ::core::mem::offset_of!($self, $field);

            #[inline]
            fn raw_work(&self) -> *mut $crate::bindings::work_struct {
                let work: &$crate::sys::work::SockWork<$self, $id> = &self.$field;
                ::core::ptr::from_ref(work).cast_mut().cast()
            }
        }
    )*};
}

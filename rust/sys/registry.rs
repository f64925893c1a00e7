// SPDX-License-Identifier: GPL-2.0

//! Sockets by number: a hash table that does not keep its sockets alive.
//!
//! An entry is made before there is a socket (a number is reserved), then given one. A socket takes its
//! entry out before its memory goes, in the drop of its state; a look-up that comes before that sees a
//! reference count of zero and finds nothing.

use super::msock::{SockOf, StreamProto};
use super::spin::{Class, Spin};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::KVec;
use kernel::error::{code::*, Result};
use kernel::prelude::*;
use kernel::types::ARef;

const BUCKETS: usize = 1024;

struct Entry<P: StreamProto> {
    number: u32,
    socket: *const SockOf<P>,
}

// SAFETY: the pointer is only followed under the bucket's lock, see the module.
unsafe impl<P: StreamProto> Send for Entry<P> {}

type Bucket<P> = Spin<KVec<Entry<P>>>;

/// See the module. One exists for as long as the module is loaded.
pub struct Registry<P: StreamProto> {
    buckets: AtomicPtr<KVec<Bucket<P>>>,
}

impl<P: StreamProto> Registry<P> {
    /// Without memory yet.
    pub const fn new() -> Self {
        Self {
            buckets: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Makes the table, at load.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn init(&self) -> Result {
        let mut buckets = KVec::with_capacity(BUCKETS, GFP_KERNEL)?;
        for _ in 0..BUCKETS {
            buckets.push(Spin::new(KVec::new(), Class::Token), GFP_KERNEL)?;
        }
        let buckets = KBox::into_raw(KBox::new(buckets, GFP_KERNEL)?);
        self.buckets.store(buckets, Ordering::Release);
        Ok(())
    }

    /// Frees the table, at unload: no socket is left.
    pub fn exit(&self) {
        let buckets = self.buckets.swap(core::ptr::null_mut(), Ordering::AcqRel);
        if !buckets.is_null() {
            // SAFETY: made by `init`; nobody uses it any more.
            drop(unsafe { KBox::from_raw(buckets) });
        }
    }

    fn bucket(&self, number: u32) -> Option<&Bucket<P>> {
        // SAFETY: set by `init` for as long as the module lives.
        let buckets = unsafe { self.buckets.load(Ordering::Acquire).as_ref() }?;
        buckets.get(number as usize % BUCKETS)
    }

    /// Reserves `number`.
    ///
    /// # Errors
    ///
    /// `EEXIST` if it is taken, `ENOMEM`.
    pub fn reserve(&self, number: u32) -> Result {
        let mut bucket = self.bucket(number).ok_or(ENODEV)?.lock();
        if bucket.iter().any(|entry| entry.number == number) {
            return Err(EEXIST);
        }
        bucket.push(
            Entry {
                number,
                socket: core::ptr::null(),
            },
            GFP_ATOMIC,
        )?;
        Ok(())
    }

    /// Gives the reserved `number` its socket.
    pub fn assign(&self, number: u32, sk: &SockOf<P>) {
        if let Some(bucket) = self.bucket(number) {
            let mut bucket = bucket.lock();
            if let Some(entry) = bucket.iter_mut().find(|entry| entry.number == number) {
                entry.socket = sk;
            }
        }
    }

    /// Takes `number` out.
    pub fn remove(&self, number: u32) {
        self.remove_if(number, |_| true);
    }

    /// Takes `number` out if it has no socket.
    pub fn remove_unassigned(&self, number: u32) {
        self.remove_if(number, |entry| entry.socket.is_null());
    }

    fn remove_if(&self, number: u32, wanted: impl Fn(&Entry<P>) -> bool) {
        if let Some(bucket) = self.bucket(number) {
            let mut bucket = bucket.lock();
            let found = bucket
                .iter()
                .position(|entry| entry.number == number && wanted(entry));
            if let Some(at) = found {
                let last = bucket.len() - 1;
                bucket.swap(at, last);
                // SAFETY: there is an element, and an entry needs no drop.
                unsafe { bucket.set_len(last) };
            }
        }
    }

    /// The socket of `number`.
    pub fn find(&self, number: u32) -> Option<ARef<SockOf<P>>> {
        let bucket = self.bucket(number)?.lock();
        let entry = bucket.iter().find(|entry| entry.number == number)?;
        // SAFETY: a socket with an entry has memory: it takes the entry out first, under this lock.
        unsafe { entry.socket.as_ref() }?.hold_not_zero()
    }

    /// The sockets of one bucket after another, from `start` on: up to `max` of them are given to `f`,
    /// and where to go on is returned, or `None` at the end.
    pub fn walk(&self, start: usize, f: &mut dyn FnMut(&SockOf<P>)) -> Option<usize> {
        // SAFETY: as in `bucket`.
        let buckets = unsafe { self.buckets.load(Ordering::Acquire).as_ref() }?;
        let mut held = KVec::new();
        {
            let bucket = buckets.get(start)?.lock();
            // Room for all first: a reference that had to be given up here might be the last, whose end
            // wants the bucket's lock.
            let room = held.reserve(bucket.len(), GFP_ATOMIC).is_ok();
            for entry in bucket.iter().take_while(|_| room) {
                // SAFETY: as in `find`.
                let sk = unsafe { entry.socket.as_ref() }.and_then(SockOf::hold_not_zero);
                if let Some(sk) = sk {
                    let _ = held.push(sk, GFP_ATOMIC);
                }
            }
        }
        for sk in held.iter() {
            f(sk);
        }
        (start + 1 < BUCKETS).then_some(start + 1)
    }
}

// SAFETY: the table is reached through its locks.
unsafe impl<P: StreamProto> Sync for Registry<P> {}

// SPDX-License-Identifier: GPL-2.0

//! Request sockets: connections that a listener has answered and that are not sockets yet.
//!
//! TCP makes the request and sends its SYN-ACK in one go, inside `conn_request`. What the SYN said is
//! therefore left for the SYN-ACK in a place of this CPU ([`Requests::expect`]); when the SYN-ACK passes
//! netfilter's `LOCAL_OUT`, it names the request, and a record of ours is kept under the request's
//! address ([`Requests::outgoing`]) until the request is freed: its `rsk_ops` are then our copy of TCP's,
//! with a destructor of ours.
//!
//! A request that the kernel copies (`net.ipv4.tcp_migrate_req`) has an address without a record: it
//! becomes plain TCP.

use super::skb::{flag, Skb, TxSegment};
use super::spin::{Class, Spin};
use super::vec::Take;
use crate::bindings;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::alloc::KVec;
use kernel::error::{code::*, Result};
use kernel::prelude::*;
use kernel::sync::Arc;

/// A power of two: more than the SYN backlog of a busy listener takes is not searched, only slower.
const BUCKETS: usize = 256;

struct Node<R> {
    req: *const bindings::request_sock,
    /// Counted, so that no lock is held while it is used: what a request becomes takes locks of sockets, which
    /// TCP holds while it waits for the timer of a request, which sends a SYN-ACK, which looks for its record.
    record: Arc<R>,
}

// SAFETY: the request's address is a key, nothing is read through it.
unsafe impl<R: Send + Sync> Send for Node<R> {}

type Bucket<R> = Spin<KVec<Node<R>>>;

struct Expected<Y, E> {
    listener: *const bindings::sock,
    syn: UnsafeCell<Option<Y>>,
    /// What the reset shall carry that is sent right now.
    reset: UnsafeCell<Option<E>>,
}

/// The records of all listeners' requests.
pub struct Requests<Y, R: 'static, E> {
    buckets: AtomicPtr<KVec<Bucket<R>>>,
    expected: AtomicPtr<KVec<UnsafeCell<Expected<Y, E>>>>,
}

/// TCP's `rsk_ops` with our destructor, for IPv4 and IPv6.
struct Ops {
    ours: UnsafeCell<[bindings::request_sock_ops; 2]>,
    theirs: [AtomicPtr<bindings::request_sock_ops>; 2],
    forget: AtomicPtr<core::ffi::c_void>,
}

// SAFETY: written in `learn`, before any listener exists.
unsafe impl Sync for Ops {}

// SAFETY: tables of pointers, for which zeroes are "none".
static OPS: Ops = unsafe {
    Ops {
        ours: UnsafeCell::new(core::mem::zeroed()),
        theirs: [
            AtomicPtr::new(ptr::null_mut()),
            AtomicPtr::new(ptr::null_mut()),
        ],
        forget: AtomicPtr::new(ptr::null_mut()),
    }
};

type Forget = unsafe fn(*mut bindings::request_sock);

unsafe extern "C" fn on_destroy(req: *mut bindings::request_sock) {
    // SAFETY: TCP frees the request; its operations are ours, and TCP's come back for the rest.
    unsafe {
        let base = OPS
            .ours
            .get()
            .cast::<bindings::request_sock_ops>()
            .cast_const();
        let index = usize::from((*req).rsk_ops == base.add(1));
        let theirs = OPS.theirs[index].load(Ordering::Relaxed);
        (*req).rsk_ops = theirs;
        let forget = OPS.forget.load(Ordering::Relaxed);
        if !forget.is_null() {
            core::mem::transmute::<*mut core::ffi::c_void, Forget>(forget)(req);
        }
        if let Some(destructor) = (*theirs).destructor {
            destructor(req);
        }
    }
}

/// Copies TCP's request operations.
///
/// # Safety
///
/// Called once, before any listener is ours.
pub(super) unsafe fn learn() {
    // SAFETY: `tcp_prot` and `tcpv6_prot` are static parts of the kernel; the tables are not in use.
    unsafe {
        let ours = OPS.ours.get().cast::<bindings::request_sock_ops>();
        let theirs = [
            (*ptr::addr_of!(bindings::tcp_prot)).rsk_prot,
            (*ptr::addr_of!(bindings::tcpv6_prot)).rsk_prot,
        ];
        for (index, &theirs) in theirs.iter().enumerate() {
            if theirs.is_null() {
                continue;
            }
            OPS.theirs[index].store(theirs, Ordering::Relaxed);
            ptr::copy_nonoverlapping(theirs, ours.add(index), 1);
            (*ours.add(index)).destructor = Some(on_destroy);
        }
    }
}

impl<Y: Copy + Send, R: Send + Sync + 'static, E: Copy + Send> Requests<Y, R, E> {
    /// No table yet, see [`Self::init`].
    pub const fn new() -> Self {
        Self {
            buckets: AtomicPtr::new(ptr::null_mut()),
            expected: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Makes the table, at load. `forget` is a function that calls [`Self::forget`] of this very table.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn init(&self, forget: fn(*mut bindings::request_sock)) -> Result {
        let mut buckets = KVec::with_capacity(BUCKETS, GFP_KERNEL)?;
        for _ in 0..BUCKETS {
            buckets.push(Spin::new(KVec::new(), Class::Request), GFP_KERNEL)?;
        }
        // SAFETY: asks for a number.
        let cpus = unsafe { bindings::mrs_nr_cpus() } as usize;
        let mut expected = KVec::with_capacity(cpus, GFP_KERNEL)?;
        for _ in 0..cpus {
            let empty = Expected {
                listener: ptr::null(),
                syn: UnsafeCell::new(None),
                reset: UnsafeCell::new(None),
            };
            expected.push(UnsafeCell::new(empty), GFP_KERNEL)?;
        }
        let buckets = KBox::into_raw(KBox::new(buckets, GFP_KERNEL)?);
        self.buckets.store(buckets, Ordering::Release);
        let expected = KBox::into_raw(KBox::new(expected, GFP_KERNEL)?);
        self.expected.store(expected, Ordering::Release);
        OPS.forget
            .store(forget as *mut core::ffi::c_void, Ordering::Release);
        Ok(())
    }

    /// Frees the table, at unload: no request is left.
    pub fn exit(&self) {
        for_each_box(self.buckets.swap(ptr::null_mut(), Ordering::AcqRel));
        for_each_box(self.expected.swap(ptr::null_mut(), Ordering::AcqRel));
    }

    fn bucket(&self, req: *const bindings::request_sock) -> Option<&Bucket<R>> {
        // SAFETY: set by `init` for as long as the module lives.
        let buckets = unsafe { self.buckets.load(Ordering::Acquire).as_ref() }?;
        let hash = (req as usize >> 6) ^ (req as usize >> 14);
        buckets.get(hash % BUCKETS)
    }

    /// This CPU's place for a SYN.
    ///
    /// # Safety
    ///
    /// Softirqs are off, and the result is not kept beyond the current function.
    #[allow(clippy::mut_from_ref)]
    unsafe fn place(&self) -> Option<&mut Expected<Y, E>> {
        // SAFETY: nobody else uses this CPU's place while softirqs are off.
        unsafe {
            let places = self.expected.load(Ordering::Acquire).as_ref()?;
            Some(&mut *places.get(bindings::mrs_cpu() as usize)?.get())
        }
    }

    /// The SYN-ACK that this CPU makes next for `listener` answers `syn`. Softirq.
    pub(super) fn expect(&self, listener: *const bindings::sock, syn: Y) {
        // SAFETY: softirqs are off in TCP's receive path.
        if let Some(place) = unsafe { self.place() } {
            place.listener = listener;
            *place.syn.get_mut() = Some(syn);
        }
    }

    /// No SYN-ACK came, or it has been seen. Softirq.
    pub(super) fn expect_nothing(&self) {
        // SAFETY: as in `expect`.
        if let Some(place) = unsafe { self.place() } {
            *place.syn.get_mut() = None;
        }
    }

    /// Answers `skb`, which came for `listener`, with a reset that carries `reset`. Softirq.
    ///
    /// # Safety
    ///
    /// Both are valid, and TCP is about to process `skb` for this listener.
    pub(super) unsafe fn refuse(
        &self,
        listener: *const bindings::sock,
        skb: *mut bindings::sk_buff,
        reset: E,
    ) {
        // SAFETY: softirqs are off in TCP's receive path; the rest is the caller's promise. The place is
        // not borrowed while the packet is sent, which comes back to `outgoing_reset`.
        unsafe {
            if let Some(place) = self.place() {
                *place.reset.get_mut() = Some(reset);
            }
            bindings::mrs_send_reset(listener, skb);
            if let Some(place) = self.place() {
                *place.reset.get_mut() = None;
            }
        }
    }

    /// A packet in `LOCAL_OUT` that belongs to no connection: if it is the reset of [`Self::refuse`], it is
    /// given to `write` with what it shall carry.
    pub fn outgoing_reset(
        &self,
        skb: &mut Skb,
        family: u16,
        write: impl FnOnce(&E, &mut TxSegment<'_>),
    ) {
        // SAFETY: asks what context this is. Outside of a softirq this CPU's place may be another's.
        if !unsafe { bindings::mrs_in_softirq() } {
            return;
        }
        // SAFETY: softirqs are off.
        let reset = unsafe { self.place() }.and_then(|place| *place.reset.get_mut());
        let (Some(reset), Some(mut seg)) = (reset, TxSegment::from_local_out(skb)) else {
            return;
        };
        if seg.header().flags() & flag::RST != 0 {
            write(&reset, &mut seg);
            seg.fix_local_out(family);
        }
    }

    /// A packet in `LOCAL_OUT`, whose socket is a request: the record for it is found or made, and
    /// `synack` may change the segment, and tells whether the connection may have timestamps. `make` makes a
    /// record of a SYN, with the SYN-ACK's sequence number.
    ///
    /// False: there is no record, and the SYN is one that `needs` it. The request was forgotten, and the packet
    /// must not leave: the SYN comes again.
    pub fn outgoing(
        &self,
        skb: &mut Skb,
        family: u16,
        needs: impl FnOnce(&Y) -> bool,
        make: impl FnOnce(*mut bindings::sock, Y, u32) -> Option<R>,
        synack: impl FnOnce(&R, &mut TxSegment<'_>) -> bool,
    ) -> bool {
        let req: *mut bindings::request_sock = skb.sk_ptr().cast();
        let Some(mut seg) = TxSegment::from_local_out(skb) else {
            return true;
        };
        if seg.header().flags() & (flag::SYN | flag::ACK) != flag::SYN | flag::ACK {
            return true;
        }
        // SAFETY: the caller has seen that the packet's socket is a request, which the packet holds.
        let (ours, listener) = unsafe {
            let base = OPS
                .ours
                .get()
                .cast::<bindings::request_sock_ops>()
                .cast_const();
            let ops = (*req).rsk_ops;
            (
                ops == base || ops == base.add(1),
                bindings::mrs_req_listener(req),
            )
        };
        if !ours {
            // SAFETY: a SYN-ACK that answers a SYN is sent in softirq.
            let syn = match unsafe { self.place() } {
                Some(place) if place.listener == listener.cast_const() => {
                    place.syn.get_mut().take()
                }
                _ => None,
            };
            let Some(syn) = syn else {
                return true;
            };
            let isn = seg.header().seq();
            let kept =
                make(listener, syn, isn).is_some_and(|record| self.remember(req, record).is_ok());
            if !kept {
                let needed = needs(&syn);
                if needed {
                    // SAFETY: the packet holds the request, and TCP does while it makes it.
                    unsafe { bindings::mrs_req_drop(req) }
                }
                return !needed;
            }
        }
        let with_timestamps = self.with(req, |record| synack(record, &mut seg));
        if with_timestamps.is_some() {
            seg.fix_local_out(family);
        }
        if with_timestamps == Some(false) {
            // SAFETY: the packet holds the request, which is not a socket yet.
            unsafe { bindings::mrs_req_no_timestamps(req) }
        }
        true
    }

    /// A SYN is to become a socket at once (TCP Fast Open): its request gets the record that it would have
    /// got with its SYN-ACK, or (false) none. `None`: the SYN asks for nothing.
    ///
    /// # Safety
    ///
    /// `req` is a valid request that only the caller knows. Softirqs are off.
    pub(super) unsafe fn early(
        &self,
        req: *mut bindings::request_sock,
        listener: *const bindings::sock,
        make: impl FnOnce(Y) -> Option<R>,
    ) -> Option<bool> {
        // SAFETY: the caller's promise.
        let syn = unsafe { self.place() }
            .filter(|place| place.listener == listener)
            .and_then(|place| *place.syn.get_mut())?;
        let kept = make(syn).is_some_and(|record| self.remember(req, record).is_ok());
        if kept {
            self.expect_nothing();
        }
        Some(kept)
    }

    /// A packet in `LOCAL_OUT` without a socket: if it is the SYN-ACK that this CPU expects, `synack` may
    /// change it, which it tells. No record can be kept for it: it is a SYN cookie.
    pub fn stateless(
        &self,
        skb: &mut Skb,
        family: u16,
        synack: impl FnOnce(*mut bindings::sock, Y, &mut TxSegment<'_>) -> bool,
    ) {
        let Some(mut seg) = TxSegment::from_local_out(skb) else {
            return;
        };
        if seg.header().flags() & (flag::SYN | flag::ACK) != flag::SYN | flag::ACK {
            return;
        }
        // SAFETY: TCP sends SYN-ACKs in softirq. The listener is in the middle of its `conn_request`.
        let expected = unsafe { self.place() }.and_then(|place| {
            let syn = place.syn.get_mut().take()?;
            Some((place.listener.cast_mut(), syn))
        });
        if let Some((listener, syn)) = expected {
            if synack(listener, syn, &mut seg) {
                seg.fix_local_out(family);
            }
        }
    }

    /// A request that TCP has made of a valid SYN cookie gets the record that its SYN could not leave.
    ///
    /// # Safety
    ///
    /// `req` is a valid request that only the caller knows.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) unsafe fn recall(&self, req: *mut bindings::request_sock, record: R) -> Result {
        self.remember(req, record)
    }

    fn remember(&self, req: *mut bindings::request_sock, record: R) -> Result {
        let record = Arc::new(record, GFP_ATOMIC)?;
        self.bucket(req)
            .ok_or(ENOMEM)?
            .lock()
            .push(Node { req, record }, GFP_ATOMIC)?;
        // SAFETY: the request is valid; TCP frees it through these operations, and only then the record
        // goes. Both tables live as long as the module, which the listener holds.
        unsafe {
            let base = OPS
                .ours
                .get()
                .cast::<bindings::request_sock_ops>()
                .cast_const();
            let v6 = (*req).rsk_ops == OPS.theirs[1].load(Ordering::Relaxed).cast_const();
            (*req).rsk_ops = base.add(usize::from(v6));
        }
        Ok(())
    }

    /// Calls `f` with the record of `req`, if there is one.
    pub(super) fn with<T>(
        &self,
        req: *const bindings::request_sock,
        f: impl FnOnce(&R) -> T,
    ) -> Option<T> {
        let record = {
            let bucket = self.bucket(req)?.lock();
            let node = bucket.iter().find(|node| node.req == req)?;
            node.record.clone()
        };
        Some(f(&record))
    }

    /// Drops the record of `req`. For the function given to [`Self::init`].
    pub fn forget(&self, req: *mut bindings::request_sock) {
        let Some(bucket) = self.bucket(req) else {
            return;
        };
        let mut bucket = bucket.lock();
        if let Some(at) = bucket.iter().position(|node| node.req == req.cast_const()) {
            let last = bucket.len() - 1;
            bucket.swap(at, last);
            let record = bucket.take_last();
            drop(bucket);
            drop(record);
        }
    }
}

// SAFETY: the tables are reached through locks, or by one CPU alone.
unsafe impl<Y: Send, R: Send + Sync, E: Send> Sync for Requests<Y, R, E> {}

fn for_each_box<T>(table: *mut T) {
    if !table.is_null() {
        // SAFETY: made by `KBox::into_raw` in `init`, and nobody uses it any more.
        drop(unsafe { KBox::from_raw(table) });
    }
}

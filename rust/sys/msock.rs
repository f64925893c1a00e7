// SPDX-License-Identifier: GPL-2.0

//! A socket type of ours: `struct sock` and Rust state in one object, and the calls that the kernel makes
//! on it.
//!
//! A module has one such type, which implements [`StreamProto`]. The object is an `inet_connection_sock`,
//! then [`Header`], then the type's own state; an IPv6 socket has its `ipv6_pinfo` behind that.
//!
//! The lock is the kernel's socket lock: process context owns it and may sleep with it; a softirq that
//! finds it owned leaves a note ([`SockOf::lock_softirq`]), which the owner reads when it lets go
//! ([`StreamProto::deferred`]).

use super::proto;
use super::sock::{LockedCell, Sock};
use super::time::Jiffies;
use super::uio::{Msg, OptIn, OptOut, SockAddr};
use crate::bindings;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::error::{code::*, Error, Result};
use kernel::init::Init;
use kernel::types::{ARef, AlwaysRefCounted};

/// What [`StreamProto::accept`] found.
pub enum Accepted<P: StreamProto> {
    /// A connection of our own.
    Ours(ARef<SockOf<P>>),
    /// A plain TCP socket, which the application gets as such.
    Plain(ARef<Sock>),
}

/// The timers of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// Retransmission at the connection's level.
    Retransmit,
    /// End of a connection that lingers.
    Close,
    /// Announcements that nobody has answered.
    Announce,
}

/// A stream socket protocol, as the kernel calls it. Unless said otherwise, calls come from process
/// context with the socket unlocked.
pub trait StreamProto: Sized + Send + Sync + 'static {
    /// What the socket's lock protects.
    type Locked: Send;

    /// The state of a new socket (`socket(2)`).
    ///
    /// # Errors
    ///
    /// Those that `socket(2)` shall give.
    fn new(sk: &Sock) -> Result<impl Init<Self>>;
    /// Called once after [`Self::new`], when the state is in place.
    fn created(sk: &SockOf<Self>);
    /// What the lock protects.
    fn locked(&self) -> &LockedCell<Self::Locked>;

    /// `bind(2)`.
    fn bind(sk: &SockOf<Self>, addr: SockAddr) -> Result;
    /// `listen(2)`.
    fn listen(sk: &SockOf<Self>, backlog: i32) -> Result;
    /// `accept(2)`. The socket is not known to any file yet.
    fn accept(sk: &SockOf<Self>, nonblock: bool, kern: bool) -> Result<Accepted<Self>>;
    /// The connection was given to a file by `accept(2)`.
    fn accepted(sk: &SockOf<Self>);
    /// `connect(2)`, without waiting. The lock is held.
    fn connect(guard: &mut Guard<'_, Self>, addr: SockAddr) -> Result;
    /// Forgets the connection. The lock is held.
    fn disconnect(guard: &mut Guard<'_, Self>) -> Result;
    /// `shutdown(2)`; [`Sock::shutdown_flags`] has the directions already. The lock is held.
    fn shutdown(guard: &mut Guard<'_, Self>, how: u8);
    /// `send(2)` and its kind.
    fn sendmsg(sk: &SockOf<Self>, msg: &mut Msg<'_>, len: usize) -> Result<usize>;
    /// `recv(2)` and its kind; `flags` are `MSG_*`.
    fn recvmsg(sk: &SockOf<Self>, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize>;
    /// `poll(2)`: `EPOLL*`.
    fn poll(sk: &SockOf<Self>) -> u32;
    /// `ioctl(2)` with an `int`.
    fn ioctl(sk: &SockOf<Self>, cmd: u32) -> Result<i32>;
    /// `setsockopt(2)`, `SOL_SOCKET` included.
    fn setsockopt(sk: &SockOf<Self>, level: i32, name: i32, value: OptIn) -> Result;
    /// `getsockopt(2)`, `SOL_SOCKET` excluded.
    fn getsockopt(sk: &SockOf<Self>, level: i32, name: i32, value: OptOut) -> Result;
    /// The last `close(2)`: the file is gone; `timeout` is for how long to linger, jiffies.
    fn close(sk: &SockOf<Self>, timeout: isize);
    /// Somebody (`ss -K`) kills the connection.
    fn kill(sk: &SockOf<Self>, errno: i32) -> Result;

    /// Notes that softirqs left while the lock was owned. Process context, the lock is owned.
    fn deferred(guard: &mut Guard<'_, Self>, notes: u32);
    /// A timer went off. Softirq; the lock is held.
    fn timeout(guard: &mut Guard<'_, Self>, timer: Timer);
    /// What [`SockOf::schedule`] asked for.
    fn work(sk: &SockOf<Self>);
}

/// Notes of [`SockOf::lock_softirq`] that this module needs itself.
const NOTE_ANNOUNCE: u32 = 1 << 29;
const NOTE_RETRANSMIT: u32 = 1 << 30;
const NOTE_CLOSE: u32 = 1 << 31;

/// What every socket of our type has besides its own state.
#[repr(C)]
struct Header {
    notes: AtomicU32,
    work: UnsafeCell<bindings::work_struct>,
}

/// A socket of the protocol `P`.
///
/// # Invariants
///
/// A reference stands for a valid object, as with [`Sock`]; the state is initialised.
#[repr(C)]
pub struct SockOf<P: StreamProto> {
    icsk: UnsafeCell<bindings::inet_connection_sock>,
    header: Header,
    state: P,
}

/// The same with what IPv6 needs, which the kernel finds by `proto.ipv6_pinfo_offset`.
#[repr(C)]
pub(super) struct SockOf6<P: StreamProto> {
    base: SockOf<P>,
    pub(super) np: UnsafeCell<bindings::ipv6_pinfo>,
}

// SAFETY: as for `Sock`; `P` is both itself.
unsafe impl<P: StreamProto> Send for SockOf<P> {}
// SAFETY: as above.
unsafe impl<P: StreamProto> Sync for SockOf<P> {}

// SAFETY: the reference count is the socket's.
unsafe impl<P: StreamProto> AlwaysRefCounted for SockOf<P> {
    fn inc_ref(&self) {
        // SAFETY: the socket is valid and somebody holds a reference.
        unsafe { bindings::mrs_sock_hold(self.as_ptr()) }
    }

    /// # Safety
    ///
    /// The caller owns a reference, and uses it no more.
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: the caller gives away a reference that it owns.
        unsafe { bindings::mrs_sock_put(obj.as_ptr().cast()) }
    }
}

impl<P: StreamProto> Deref for SockOf<P> {
    type Target = Sock;

    #[inline]
    fn deref(&self) -> &Sock {
        // SAFETY: the object begins with its `struct sock`.
        unsafe { Sock::from_ptr(self.icsk.get().cast()) }
    }
}

impl<P: StreamProto> SockOf<P> {
    /// # Safety
    ///
    /// `sk` is a valid socket of this type for the chosen lifetime.
    #[inline]
    pub(super) unsafe fn from_ptr<'a>(sk: *mut bindings::sock) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { &*sk.cast() }
    }

    /// The protocol's state.
    #[inline]
    pub fn state_of(&self) -> &P {
        &self.state
    }

    /// This socket, if the kernel's socket `sk` is one of our type.
    pub fn of_sock(sk: &Sock) -> Option<&Self> {
        // SAFETY: a socket with our `struct proto` was made by us.
        unsafe {
            let prot = (*sk.as_ptr()).__sk_common.skc_prot;
            proto::is_ours(prot).then(|| Self::from_ptr(sk.as_ptr()))
        }
    }

    /// A counted reference, unless the last one is gone already (table look-up).
    pub fn hold_not_zero(&self) -> Option<ARef<Self>> {
        // SAFETY: the memory is valid; the count says whether the socket is.
        unsafe {
            if !bindings::mrs_sock_hold_not_zero(self.as_ptr()) {
                return None;
            }
            Some(ARef::from_raw(NonNull::from(self)))
        }
    }

    /// A counted reference.
    pub fn hold_ours(&self) -> ARef<Self> {
        self.into()
    }

    /// Takes the lock. May sleep.
    #[inline]
    pub fn lock(&self) -> Guard<'_, P> {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_lock_sock(self.as_ptr()) };
        Guard {
            sk: self,
            release: Release::Owner,
            not_send: PhantomData,
        }
    }

    /// Takes the lock in a softirq. `None` if process context owns it: it will see `note` in
    /// [`StreamProto::deferred`].
    #[inline]
    pub fn lock_softirq(&self, note: u32) -> Option<Guard<'_, P>> {
        // SAFETY: the socket is valid; the spin lock is released by the guard or here.
        unsafe {
            if bindings::mrs_slock_bh_unowned(self.as_ptr()) {
                return Some(Guard {
                    sk: self,
                    release: Release::Softirq,
                    not_send: PhantomData,
                });
            }
            self.header.notes.fetch_or(note, Ordering::Relaxed);
            bindings::mrs_sunlock_bh(self.as_ptr());
        }
        None
    }

    fn timer(&self, which: Timer) -> *mut bindings::timer_list {
        let icsk = self.icsk.get();
        // SAFETY: in bounds of the object.
        unsafe {
            match which {
                Timer::Retransmit => core::ptr::addr_of_mut!((*icsk).icsk_retransmit_timer),
                Timer::Close => core::ptr::addr_of_mut!((*icsk).icsk_delack_timer),
                Timer::Announce => bindings::mrs_sk_timer(self.as_ptr()),
            }
        }
    }

    /// Sets a timer to `expires` (jiffies). An armed timer holds a reference.
    pub fn set_timer(&self, which: Timer, expires: usize) {
        // SAFETY: the timer was initialised with the socket.
        unsafe { bindings::sk_reset_timer(self.as_ptr(), self.timer(which), expires) }
    }

    /// Stops a timer that has not gone off.
    pub fn stop_timer(&self, which: Timer) {
        // SAFETY: as above.
        unsafe { bindings::sk_stop_timer(self.as_ptr(), self.timer(which)) }
    }

    /// Whether a timer is armed.
    #[inline]
    pub fn timer_pending(&self, which: Timer) -> bool {
        // SAFETY: as above.
        unsafe { bindings::mrs_timer_pending(self.timer(which)) }
    }

    /// How long it is until an armed timer goes off; zero if that is now.
    pub fn timer_left(&self, which: Timer) -> Jiffies {
        // SAFETY: as above; a plain load of a number that others may change.
        let expires = unsafe { core::ptr::addr_of!((*self.timer(which)).expires).read_volatile() };
        Jiffies(expires as usize).until()
    }

    /// Has [`StreamProto::work`] called soon, in process context.
    pub fn schedule(&self) {
        // SAFETY: the work was initialised with the socket and holds a reference while it is queued.
        unsafe {
            bindings::mrs_sock_hold(self.as_ptr());
            if !bindings::queue_work_on(
                bindings::mrs_cpu_unbound(),
                proto::workqueue(),
                self.header.work.get(),
            ) {
                bindings::mrs_sock_put(self.as_ptr());
            }
        }
    }

    /// Has [`StreamProto::setsockopt`] called for `SOL_SOCKET` too. The socket has a file.
    pub fn take_all_options(&self) {
        // SAFETY: the socket is valid and was given to a file, which is being made and not closed yet.
        unsafe { bindings::mrs_custom_sockopt(self.as_ptr()) }
    }

    /// Takes addresses and ports over from `from`.
    pub fn copy_addresses(&self, from: &Sock) {
        // SAFETY: both are valid inet sockets.
        unsafe { bindings::mrs_copy_addresses(self.as_ptr(), from.as_ptr()) }
    }

    /// Gives `ssk` the file of this socket, if there is one, or none.
    pub fn lend_file(&self, ssk: &Sock) {
        // SAFETY: both are valid; the file's socket outlives its use by `ssk`, which is taken from it in
        // `take_file` before it goes.
        unsafe { bindings::mrs_sock_attach(ssk.as_ptr(), (*self.as_ptr()).sk_socket) }
    }

    /// The file is gone: the kernel forgets it and this socket is on its own.
    pub fn orphan(&self) {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_sock_orphan(self.as_ptr()) }
    }

    /// Gives up the reference that came with the socket's creation. Called once, when the connection is
    /// over and no file refers to it.
    pub fn destroy(&self) {
        // SAFETY: the caller holds a reference of its own, so the object outlives this call.
        unsafe { bindings::sk_common_release(self.as_ptr()) }
    }

    /// A copy of this listening socket for a connection that it has accepted, with the state `state`. The
    /// one reference besides the returned one is that of [`Self::destroy`]. Softirq.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn clone_for(&self, state: impl Init<P>) -> Result<ARef<Self>> {
        // SAFETY: the copy comes back locked, with two references; its Rust part is a copy of bytes that
        // is overwritten, not dropped, before anybody sees it.
        unsafe {
            let sk = bindings::sk_clone_lock(self.as_ptr(), bindings::GFP_ATOMIC);
            let this = NonNull::new(sk.cast::<Self>()).ok_or(ENOMEM)?;
            let Ok(()) = state.__init(core::ptr::addr_of_mut!((*this.as_ptr()).state));
            bindings::mrs_fix_clone(sk, self.as_ptr());
            // Nobody knows the copy: it needs no lock, and gets another one.
            bindings::mrs_bh_unlock(sk);
            bindings::mrs_prot_inuse(sk, 1);
            Self::prepare(sk);
            Ok(ARef::from_raw(this))
        }
    }

    /// Sets up what every socket of our type has, new or copied.
    ///
    /// # Safety
    ///
    /// `sk` is a new socket of this type that nobody else knows.
    pub(super) unsafe fn prepare(sk: *mut bindings::sock) {
        // SAFETY: the caller's promise.
        unsafe {
            let this: *mut Self = sk.cast();
            (*this).header.notes = AtomicU32::new(0);
            bindings::mrs_work_init((*this).header.work.get(), Some(on_work::<P>));
            let this = &*this;
            bindings::mrs_timer_init(this.timer(Timer::Retransmit), Some(on_retransmit::<P>));
            bindings::mrs_timer_init(this.timer(Timer::Close), Some(on_close_timer::<P>));
            bindings::mrs_timer_init(this.timer(Timer::Announce), Some(on_announce_timer::<P>));
            bindings::mrs_msk_lock_class(sk);
            (*sk).sk_destruct = Some(on_destruct::<P>);
        }
    }

    /// Puts the state of a new socket in place.
    ///
    /// # Safety
    ///
    /// As [`Self::prepare`]; the state is not initialised yet.
    pub(super) unsafe fn init(sk: *mut bindings::sock) -> Result {
        // SAFETY: the caller's promise.
        unsafe {
            bindings::mrs_prot_inuse(sk, 1);
            let state = P::new(Sock::from_ptr(sk))?;
            let this: *mut Self = sk.cast();
            let Ok(()) = state.__init(core::ptr::addr_of_mut!((*this).state));
            Self::prepare(sk);
            bindings::mrs_sockets_allocated(sk, true);
            P::created(&*this);
        }
        Ok(())
    }

    /// Sleeps until `ready` says so, a signal comes or the time (`timeo`, jiffies, updated) is over. The
    /// lock is dropped meanwhile.
    ///
    /// `ready` looks at the socket without the lock.
    pub fn wait(guard: &mut Guard<'_, P>, timeo: &mut isize, ready: Ready) {
        // SAFETY: the socket is locked by us as its owner; `ready` is called with it.
        unsafe { bindings::mrs_wait(guard.as_ptr(), timeo, Some(ready)) }
    }

    /// Sleeps until `listener`, the TCP socket below this one, has a connection to take, this one is no
    /// longer in the state LISTEN, a signal comes or the time is over. No lock is held. Of many sleepers,
    /// a connection wakes one.
    pub fn wait_accept(&self, listener: &Sock, timeo: &mut isize) {
        // SAFETY: both sockets are valid, and this one has a file, whose system call we are in.
        unsafe { bindings::mrs_wait_accept(self.as_ptr(), listener.as_ptr(), timeo) }
    }

    /// Waits until a writer may go on or the time is over.
    ///
    /// # Errors
    ///
    /// `EAGAIN`, `EPIPE`, `EINTR` and so on.
    pub fn wait_memory(guard: &mut Guard<'_, P>, timeo: &mut isize) -> Result {
        // SAFETY: the socket is locked by us as its owner.
        let err = unsafe { bindings::sk_stream_wait_memory(guard.as_ptr(), timeo) };
        kernel::error::to_result(err)
    }

    /// Waits until the connection is established or has failed.
    ///
    /// # Errors
    ///
    /// `EPIPE`, `EAGAIN`, `EINTR` and so on.
    pub fn wait_connect(guard: &mut Guard<'_, P>, timeo: &mut isize) -> Result {
        // SAFETY: the socket is locked by us as its owner.
        let err = unsafe { bindings::sk_stream_wait_connect(guard.as_ptr(), timeo) };
        kernel::error::to_result(err)
    }

    /// Waits until the connection has no more to send, or the time is over.
    pub fn wait_close(guard: &mut Guard<'_, P>, timeo: isize) {
        // SAFETY: the socket is locked by us as its owner.
        unsafe { bindings::sk_stream_wait_close(guard.as_ptr(), timeo) }
    }

    /// The error that a sender gets, and its signal.
    pub fn stream_error(&self, flags: u32, err: Error) -> Error {
        // SAFETY: the socket is valid and locked.
        let err = unsafe { bindings::sk_stream_error(self.as_ptr(), flags as i32, err.to_errno()) };
        Error::from_errno(err)
    }
}

/// A condition of [`SockOf::wait`], made by [`super::ready_fn`].
pub type Ready = unsafe extern "C" fn(*mut bindings::sock) -> bool;

/// A condition for [`SockOf::wait`], from a type that says what it is.
pub trait Condition<P: StreamProto> {
    /// Whether the sleeper may go on. Called without the lock.
    fn met(sk: &SockOf<P>) -> bool;
}

/// The function for [`SockOf::wait`] that asks `C`.
pub fn ready_fn<P: StreamProto, C: Condition<P>>() -> Ready {
    unsafe extern "C" fn ask<P: StreamProto, C: Condition<P>>(sk: *mut bindings::sock) -> bool {
        // SAFETY: the waiter's socket, of this type.
        C::met(unsafe { SockOf::<P>::from_ptr(sk) })
    }
    ask::<P, C>
}

#[derive(Clone, Copy)]
enum Release {
    Owner,
    Softirq,
    Caller,
}

/// Proof that a socket's lock is held.
pub struct Guard<'a, P: StreamProto> {
    sk: &'a SockOf<P>,
    release: Release,
    not_send: PhantomData<*mut ()>,
}

impl<P: StreamProto> Deref for Guard<'_, P> {
    type Target = SockOf<P>;

    #[inline]
    fn deref(&self) -> &SockOf<P> {
        self.sk
    }
}

impl<'a, P: StreamProto> Guard<'a, P> {
    /// # Safety
    ///
    /// The caller (the kernel) holds the lock of `sk`, a socket of this type, for the chosen lifetime.
    #[inline]
    pub(super) unsafe fn held(sk: *mut bindings::sock) -> Self {
        // SAFETY: the caller's promise.
        let sk = unsafe { SockOf::from_ptr(sk) };
        Self {
            sk,
            release: Release::Caller,
            not_send: PhantomData,
        }
    }

    /// The socket, for as long as the lock was lent.
    #[inline]
    pub fn sk(&self) -> &'a SockOf<P> {
        self.sk
    }

    /// What the lock protects.
    #[inline]
    pub fn inner(&mut self) -> &mut P::Locked {
        // SAFETY: the guard is the proof, and is borrowed for as long as the result.
        unsafe { self.sk.state.locked().get() }
    }

    /// Accounts `bytes` more (or fewer) to the send queue. They were scheduled when they were copied.
    #[inline]
    pub fn wmem_add(&mut self, bytes: i32) {
        // SAFETY: the socket is locked.
        unsafe { bindings::mrs_wmem_add(self.sk.as_ptr(), bytes) }
    }
}

impl<P: StreamProto> Drop for Guard<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard was made with the lock taken in this way.
        unsafe {
            match self.release {
                Release::Owner => bindings::release_sock(self.sk.as_ptr()),
                Release::Softirq => bindings::mrs_sunlock_bh(self.sk.as_ptr()),
                Release::Caller => {}
            }
        }
    }
}

/// `release_cb`: the owner lets go, the spin lock is held.
pub(super) unsafe extern "C" fn on_release_cb<P: StreamProto>(sk: *mut bindings::sock) {
    // SAFETY: `release_sock` calls with the spin lock held and the ownership ours still; the spin lock is
    // dropped while notes are worked on and taken again.
    unsafe {
        let this = SockOf::<P>::from_ptr(sk);
        loop {
            if this.header.notes.load(Ordering::Relaxed) == 0 {
                return;
            }
            let notes = this.header.notes.swap(0, Ordering::Relaxed);
            bindings::mrs_sunlock_bh(sk);
            let mut guard = Guard::<P>::held(sk);
            if notes & NOTE_RETRANSMIT != 0 {
                P::timeout(&mut guard, Timer::Retransmit);
            }
            if notes & NOTE_CLOSE != 0 {
                P::timeout(&mut guard, Timer::Close);
            }
            if notes & NOTE_ANNOUNCE != 0 {
                P::timeout(&mut guard, Timer::Announce);
            }
            let notes = notes & !(NOTE_RETRANSMIT | NOTE_CLOSE | NOTE_ANNOUNCE);
            if notes != 0 {
                P::deferred(&mut guard, notes);
            }
            bindings::mrs_slock_bh(sk);
        }
    }
}

unsafe extern "C" fn on_work<P: StreamProto>(work: *mut bindings::work_struct) {
    let offset = core::mem::offset_of!(SockOf<P>, header) + core::mem::offset_of!(Header, work);
    // SAFETY: the work is part of a socket that `schedule` took a reference on.
    unsafe {
        let this = work.cast::<u8>().sub(offset).cast::<SockOf<P>>();
        P::work(&*this);
        bindings::mrs_sock_put(this.cast());
    }
}

/// What all timers do when they fire.
///
/// # Safety
///
/// `sk` is a socket of the protocol `P`, and the caller has the reference that the armed timer held.
unsafe fn on_timer<P: StreamProto>(sk: *mut bindings::sock, which: Timer, note: u32) {
    // SAFETY: an armed timer holds a reference on its socket, given up here.
    unsafe {
        let this = SockOf::<P>::from_ptr(sk);
        if let Some(mut guard) = this.lock_softirq(note) {
            P::timeout(&mut guard, which);
        }
        bindings::mrs_sock_put(sk);
    }
}

unsafe extern "C" fn on_retransmit<P: StreamProto>(timer: *mut bindings::timer_list) {
    let offset = core::mem::offset_of!(bindings::inet_connection_sock, icsk_retransmit_timer);
    // SAFETY: the timer is this member of a socket of ours.
    unsafe {
        on_timer::<P>(
            timer.cast::<u8>().sub(offset).cast(),
            Timer::Retransmit,
            NOTE_RETRANSMIT,
        )
    }
}

unsafe extern "C" fn on_close_timer<P: StreamProto>(timer: *mut bindings::timer_list) {
    let offset = core::mem::offset_of!(bindings::inet_connection_sock, icsk_delack_timer);
    // SAFETY: the timer is this member of a socket of ours.
    unsafe {
        on_timer::<P>(
            timer.cast::<u8>().sub(offset).cast(),
            Timer::Close,
            NOTE_CLOSE,
        )
    }
}

unsafe extern "C" fn on_announce_timer<P: StreamProto>(timer: *mut bindings::timer_list) {
    // SAFETY: the timer is this member of a socket of ours.
    unsafe {
        on_timer::<P>(
            bindings::mrs_sk_of_timer(timer),
            Timer::Announce,
            NOTE_ANNOUNCE,
        )
    }
}

/// The last reference is gone.
unsafe extern "C" fn on_destruct<P: StreamProto>(sk: *mut bindings::sock) {
    // SAFETY: nobody else has the socket; its state is dropped once, here.
    unsafe {
        let this: *mut SockOf<P> = sk.cast();
        core::ptr::drop_in_place(core::ptr::addr_of_mut!((*this).state));
        bindings::mrs_sockets_allocated(sk, false);
        bindings::mrs_mem_reclaim(sk);
        bindings::mrs_sk_destruct(sk);
    }
}

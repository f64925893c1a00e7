// SPDX-License-Identifier: GPL-2.0

//! `struct sock`: what every socket has, whatever its protocol.
//!
//! [`Sock`] is the object, shared and reference counted. Fields that the kernel reads without the socket
//! lock have accessors here; what needs the lock is on the guards: [`super::msock::Guard`] for a
//! connection, [`super::tcp::Ssk`] for a subflow.

use crate::bindings;
use core::cell::UnsafeCell;
use core::net::{IpAddr, SocketAddr};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use kernel::error::{code::*, to_result, Error, Result};
use kernel::types::{ARef, AlwaysRefCounted, Opaque};

/// TCP states, which an MPTCP connection has as well.
pub mod state {
    use crate::bindings;

    /// Data flows both ways.
    pub const ESTABLISHED: u8 = bindings::TCP_ESTABLISHED as u8;
    /// connect() has begun.
    pub const SYN_SENT: u8 = bindings::TCP_SYN_SENT as u8;
    /// A SYN was answered.
    pub const SYN_RECV: u8 = bindings::TCP_SYN_RECV as u8;
    /// Our end of stream is sent, not acknowledged.
    pub const FIN_WAIT1: u8 = bindings::TCP_FIN_WAIT1 as u8;
    /// Our end of stream is acknowledged.
    pub const FIN_WAIT2: u8 = bindings::TCP_FIN_WAIT2 as u8;
    /// Both ends of stream are there, the connection lingers.
    pub const TIME_WAIT: u8 = bindings::TCP_TIME_WAIT as u8;
    /// Nothing.
    pub const CLOSE: u8 = bindings::TCP_CLOSE as u8;
    /// The peer's end of stream was received, ours was not sent.
    pub const CLOSE_WAIT: u8 = bindings::TCP_CLOSE_WAIT as u8;
    /// The peer's was received, ours is sent and not acknowledged.
    pub const LAST_ACK: u8 = bindings::TCP_LAST_ACK as u8;
    /// Waiting for connections.
    pub const LISTEN: u8 = bindings::TCP_LISTEN as u8;
    /// Both ends of stream crossed; ours is not acknowledged.
    pub const CLOSING: u8 = bindings::TCP_CLOSING as u8;
}

/// `sk_shutdown`: the application reads no more.
pub const RCV_SHUTDOWN: u8 = 1;
/// `sk_shutdown`: the application writes no more.
pub const SEND_SHUTDOWN: u8 = 2;
/// Both directions.
pub const SHUTDOWN_MASK: u8 = 3;

/// Any socket of the kernel.
///
/// # Invariants
///
/// A reference to it stands for a `struct sock` whose memory is valid for as long as the reference lives.
#[repr(transparent)]
pub struct Sock(Opaque<bindings::sock>);

// SAFETY: what `Sock` offers without a lock is safe from any thread; the rest asks for a guard.
unsafe impl Send for Sock {}
// SAFETY: as above.
unsafe impl Sync for Sock {}

// SAFETY: `sock_hold` and `sock_put` are the socket's reference count.
unsafe impl AlwaysRefCounted for Sock {
    fn inc_ref(&self) {
        // SAFETY: the socket is valid by the type's invariant, and somebody holds a reference.
        unsafe { bindings::mrs_sock_hold(self.as_ptr()) }
    }

    /// # Safety
    ///
    /// The caller owns a reference, and uses it no more.
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: the caller gives away the reference that it owns.
        unsafe { bindings::mrs_sock_put(obj.as_ptr().cast()) }
    }
}

macro_rules! plain_field {
    ($(#[$doc:meta])* $get:ident, $field:ident, $t:ty) => {
        $(#[$doc])*
        #[inline]
        pub fn $get(&self) -> $t {
            // SAFETY: the socket is valid; the kernel itself reads this field without the lock.
            unsafe { core::ptr::addr_of!((*self.as_ptr()).$field).read_volatile() as $t }
        }
    };

    ($(#[$doc:meta])* $get:ident, $set:ident, $field:ident, $t:ty) => {
        plain_field!($(#[$doc])* $get, $field, $t);

        /// Sets the field; see the getter of the same name.
        #[inline]
        pub fn $set(&self, value: $t) {
            // SAFETY: as the getter; a single aligned store.
            unsafe { core::ptr::addr_of_mut!((*self.as_ptr()).$field).write_volatile(value as _) }
        }
    };
}

impl Sock {
    /// # Safety
    ///
    /// `sk` is a valid full socket for the lifetime that the caller chooses.
    #[inline]
    pub unsafe fn from_ptr<'a>(sk: *mut bindings::sock) -> &'a Self {
        // SAFETY: `Sock` is transparent over it, and the caller vouches for the lifetime.
        unsafe { &*sk.cast() }
    }

    /// The raw object.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::sock {
        self.0.get()
    }

    /// The socket's two addresses, as `getsockname(2)` and `getpeername(2)` tell them, with room for either
    /// family.
    pub fn addresses(&self, out: &mut bindings::mptcp_subflow_addrs) {
        // SAFETY: a valid inet socket; each half of `out` has room for any address.
        unsafe {
            bindings::mrs_sock_addresses(
                self.as_ptr(),
                core::ptr::addr_of_mut!(out.__bindgen_anon_1).cast(),
                core::ptr::addr_of_mut!(out.__bindgen_anon_2).cast(),
            );
        }
    }

    /// A counted reference.
    pub fn hold(&self) -> ARef<Self> {
        self.into()
    }

    #[inline]
    fn common(&self) -> *mut bindings::sock_common {
        // SAFETY: in bounds of a valid socket.
        unsafe { core::ptr::addr_of_mut!((*self.as_ptr()).__sk_common) }
    }

    /// The state, one of [`state`].
    #[inline]
    pub fn state(&self) -> u8 {
        // SAFETY: the socket is valid; the kernel reads the state without the lock.
        unsafe { core::ptr::addr_of!((*self.common()).skc_state).read_volatile() }
    }

    /// Whether the state is one of `states`.
    #[inline]
    pub fn state_in(&self, states: &[u8]) -> bool {
        states.contains(&self.state())
    }

    /// Sets the state and tells the kernel's tracepoint. Call with the socket locked.
    pub fn set_state(&self, to: u8) {
        // SAFETY: the socket is a valid inet socket.
        unsafe { bindings::inet_sk_set_state(self.as_ptr(), to.into()) }
    }

    /// `AF_INET` or `AF_INET6`.
    #[inline]
    pub fn family(&self) -> u16 {
        // SAFETY: the socket is valid; the family never changes while it is looked at.
        unsafe { (*self.common()).skc_family }
    }

    /// Whether this is an IPv6 socket.
    #[inline]
    pub fn is_ipv6(&self) -> bool {
        u32::from(self.family()) == bindings::AF_INET6
    }

    /// The network namespace, raw. It outlives the socket's users.
    #[inline]
    pub fn net_ptr(&self) -> *mut bindings::net {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_sock_net(self.as_ptr()) }
    }

    #[inline]
    fn shutdown_cell(&self) -> &AtomicU8 {
        // SAFETY: `sk_shutdown` is one byte of a valid socket, and every access to it that matters here
        // goes through this cell or is a single store of the kernel's.
        unsafe { &*core::ptr::addr_of!((*self.as_ptr()).sk_shutdown).cast() }
    }

    /// Which directions are shut down: [`RCV_SHUTDOWN`], [`SEND_SHUTDOWN`].
    #[inline]
    pub fn shutdown_flags(&self) -> u8 {
        self.shutdown_cell().load(Ordering::Relaxed)
    }

    /// Shuts down more directions. Call with the socket locked.
    pub fn add_shutdown(&self, how: u8) {
        self.shutdown_cell().fetch_or(how, Ordering::Release);
    }

    /// Opens both directions again (disconnect). Call with the socket locked.
    pub fn clear_shutdown(&self) {
        self.shutdown_cell().store(0, Ordering::Release);
    }

    #[inline]
    fn rmem_cell(&self) -> &AtomicI32 {
        // SAFETY: `sk_rmem_alloc` is an `atomic_t` of a valid socket: an aligned i32, only changed by
        // atomic operations.
        unsafe { &*core::ptr::addr_of!((*self.as_ptr()).sk_backlog.rmem_alloc).cast() }
    }

    /// Bytes of memory (truesize) in the receive queue.
    #[inline]
    pub fn rmem_alloc(&self) -> i32 {
        self.rmem_cell().load(Ordering::Relaxed)
    }

    /// Bytes of memory of packets that were sent and are not freed.
    pub fn wmem_alloc(&self) -> i32 {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_wmem_alloc(self.as_ptr()) }
    }

    /// Of a listener: how many connections wait to be accepted, and how many may.
    pub fn accept_queue(&self) -> (u32, u32) {
        let sk = self.as_ptr();
        // SAFETY: the socket is valid; diag reads these without the lock as well.
        unsafe {
            (
                core::ptr::addr_of!((*sk).sk_ack_backlog).read_volatile(),
                core::ptr::addr_of!((*sk).sk_max_ack_backlog).read_volatile(),
            )
        }
    }

    /// Whether TCP's memory is short, in all sockets or in the memory group of this one.
    pub fn under_pressure(&self) -> bool {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_tcp_under_pressure(self.as_ptr()) }
    }

    /// Counts `pages` more (or fewer) of TCP's memory, in all sockets.
    pub fn memory_add(&self, pages: i32) {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_memory_allocated_add(self.as_ptr(), pages) }
    }

    /// The largest receive buffer that the namespace allows, bytes.
    pub fn rmem_max(&self) -> i32 {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_rmem_max(self.as_ptr()) }
    }

    /// The receive buffer that a socket of the namespace starts with, bytes.
    pub fn rmem_default(&self) -> i32 {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_rmem_default(self.as_ptr()) }
    }

    /// The send buffer that a socket of the namespace starts with, bytes.
    pub fn wmem_default(&self) -> i32 {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_wmem_default(self.as_ptr()) }
    }

    /// What a send buffer may grow to by itself in the namespace, bytes.
    pub fn wmem_max(&self) -> i32 {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_wmem_max(self.as_ptr()) }
    }

    /// Whether the namespace lets receive buffers grow (`net.ipv4.tcp_moderate_rcvbuf`).
    pub fn moderate_rcvbuf(&self) -> bool {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_moderate_rcvbuf(self.as_ptr()) }
    }

    /// Makes this TCP socket one that no file has; see [`super::msock::SockOf::lend_file`].
    pub fn lend_nobody(&self) {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_sock_attach_nobody(self.as_ptr()) }
    }

    plain_field!(
        /// The limit of the receive queue's memory, bytes.
        rcvbuf, set_rcvbuf, sk_rcvbuf, i32
    );
    /// How many writers sleep until there is room in the send buffer. Changes only while the socket is locked.
    #[inline]
    pub fn writers_asleep(&self) -> u32 {
        // SAFETY: the socket is valid.
        unsafe { core::ptr::addr_of!((*self.as_ptr()).sk_write_pending).read_volatile() as u32 }
    }

    plain_field!(
        /// The limit of the send queue's memory, bytes.
        sndbuf, set_sndbuf, sk_sndbuf, i32
    );
    plain_field!(
        /// Which buffer sizes the user has fixed (`SOCK_SNDBUF_LOCK`, `SOCK_RCVBUF_LOCK`).
        userlocks, set_userlocks, sk_userlocks, u8
    );
    plain_field!(
        /// Bytes of memory in the send queue.
        wmem_queued, sk_wmem_queued, i32
    );
    plain_field!(
        /// The pending error, a positive errno or 0.
        err, set_err, sk_err, i32
    );
    plain_field!(
        /// How many bytes make the socket readable.
        rcvlowat, sk_rcvlowat, i32
    );
    plain_field!(
        /// `SO_RCVTIMEO` in jiffies.
        rcvtimeo, sk_rcvtimeo, isize
    );
    plain_field!(
        /// `SO_SNDTIMEO` in jiffies.
        sndtimeo, sk_sndtimeo, isize
    );
    plain_field!(
        /// `SO_MARK`.
        mark, set_mark, sk_mark, u32
    );
    plain_field!(
        /// `SO_PRIORITY`.
        priority, set_priority, sk_priority, u32
    );

    /// Whether the sending side may use at most `flags`' idea of patience: 0 for `MSG_DONTWAIT`.
    pub fn send_timeout(&self, nonblock: bool) -> isize {
        if nonblock {
            0
        } else {
            self.sndtimeo()
        }
    }

    /// As [`Self::send_timeout`], for receiving.
    pub fn recv_timeout(&self, nonblock: bool) -> isize {
        if nonblock {
            0
        } else {
            self.rcvtimeo()
        }
    }

    /// Bytes that must be there before a blocking read of `len` returns (`SO_RCVLOWAT`, `MSG_WAITALL`).
    pub fn recv_target(&self, waitall: bool, len: usize) -> usize {
        if waitall {
            return len;
        }
        (self.rcvlowat().max(1) as usize).min(len.max(1))
    }

    /// A `SOCK_*` flag.
    #[inline]
    pub fn flag(&self, flag: bindings::sock_flags) -> bool {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_sock_flag(self.as_ptr(), flag) }
    }

    /// Sets a `SOCK_*` flag. Call with the socket locked.
    pub fn set_flag(&self, flag: bindings::sock_flags) {
        // SAFETY: the socket is valid and locked by the caller.
        unsafe { bindings::mrs_sock_set_flag(self.as_ptr(), flag) }
    }

    /// Clears a `SOCK_*` flag. Call with the socket locked.
    pub fn clear_flag(&self, flag: bindings::sock_flags) {
        // SAFETY: the socket is valid and locked by the caller.
        unsafe { bindings::mrs_sock_unset_flag(self.as_ptr(), flag) }
    }

    /// Whether no file refers to it any more.
    pub fn is_dead(&self) -> bool {
        self.flag(bindings::sock_flags_SOCK_DEAD)
    }

    /// Whether a signal interrupts what the current task waits for.
    pub fn signal_pending() -> bool {
        // SAFETY: asks about the current task only.
        unsafe { bindings::mrs_signal_pending() }
    }

    /// What a call gives that a signal has ended while it waited for `timeo` more jiffies: without a
    /// limit, it is taken up again after the handler.
    pub fn interrupted(timeo: isize) -> Error {
        if timeo == isize::MAX {
            ERESTARTSYS
        } else {
            EINTR
        }
    }

    /// Takes the pending error: `Err` with it, and it is cleared.
    pub fn take_error(&self) -> Result {
        // SAFETY: the socket is valid.
        to_result(unsafe { bindings::mrs_sock_error(self.as_ptr()) })
    }

    /// Sets the pending error (a positive errno) and tells who waits.
    pub fn report_error(&self, errno: i32) {
        self.set_err(errno);
        // SAFETY: the socket is valid; the default error report only wakes.
        unsafe { bindings::sk_error_report(self.as_ptr()) }
    }

    /// Wakes readers.
    pub fn wake_readers(&self) {
        // SAFETY: the socket is valid and has the callbacks of `sock_init_data`.
        unsafe { bindings::mrs_data_ready(self.as_ptr()) }
    }

    /// Whether somebody sleeps on the socket, or was woken and has not run yet; or polls it, by epoll at all times.
    #[inline]
    pub fn has_sleeper(&self) -> bool {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_has_sleeper(self.as_ptr()) }
    }

    /// Wakes writers.
    pub fn wake_writers(&self) {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_wake_writers(self.as_ptr()) }
    }

    /// Wakes whoever waits for a state.
    pub fn wake_all(&self) {
        // SAFETY: the socket is valid and has the callbacks of `sock_init_data`.
        unsafe { bindings::mrs_state_change(self.as_ptr()) }
    }

    /// A poller waits for room to write: `SIGIO` users are told when there is.
    pub fn want_async_space(&self) {
        // SAFETY: the socket is valid; the bit operation is atomic.
        unsafe { bindings::mrs_set_async_nospace(self.as_ptr()) }
    }

    /// Sets the kernel's "a writer waits" mark on the file's socket, if there is one: TCP then calls
    /// `sk_write_space` after each ACK.
    #[inline]
    pub fn want_write_space(&self) {
        // SAFETY: the socket is valid; the bit operation is atomic.
        unsafe { bindings::mrs_set_nospace(self.as_ptr()) }
    }

    /// Addresses and ports.
    pub fn address(&self) -> Endpoints {
        Endpoints::of(self)
    }

    /// Local and remote address and port, of the socket's family: an IPv6 socket's IPv4 addresses are mapped.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        let common = self.common();
        let ends = self.address();
        // SAFETY: as for `Endpoints`.
        let (local, remote): (IpAddr, IpAddr) = unsafe {
            if self.is_ipv6() {
                let local = (*common).skc_v6_rcv_saddr.in6_u.u6_addr8;
                let remote = (*common).skc_v6_daddr.in6_u.u6_addr8;
                (local.into(), remote.into())
            } else {
                let inet: *const bindings::inet_sock = self.as_ptr().cast();
                let local = (*inet).inet_saddr.to_ne_bytes();
                let remote = (*common).__bindgen_anon_1.__bindgen_anon_1.skc_daddr;
                (local.into(), remote.to_ne_bytes().into())
            }
        };
        // This one stays when TCP has given the port back: of a subflow that has ended one may still be told.
        // SAFETY: an inet socket.
        let port = unsafe { (*self.as_ptr().cast::<bindings::inet_sock>()).inet_sport };
        (
            SocketAddr::new(local, u16::from_be(port)),
            SocketAddr::new(remote, ends.remote_port),
        )
    }

    /// Binds a socket that is not connected to an interface.
    pub fn bind_to_device(&self, ifindex: i32) {
        // SAFETY: the socket is valid, and nobody else knows it yet.
        unsafe { bindings::mrs_sock_bind_if(self.as_ptr(), ifindex) }
    }

    /// The interface that it is bound to, 0 for none.
    pub fn bound_interface(&self) -> i32 {
        // SAFETY: the socket is valid; the kernel reads this without the lock.
        unsafe { core::ptr::addr_of!((*self.common()).skc_bound_dev_if).read_volatile() }
    }

    /// Lets it keep its namespace, if it does not: one that comes from a listening socket of the kernel's own.
    /// Process context.
    pub fn keep_net(&self) {
        // SAFETY: the socket is valid, and so is its namespace as long as the caller uses the socket.
        unsafe { bindings::mrs_sock_own_net(self.as_ptr()) }
    }

    /// Whether it is for IPv6 only.
    pub fn is_ipv6_only(&self) -> bool {
        // SAFETY: the socket is valid; the kernel reads this without the lock.
        unsafe { (*self.common()).skc_ipv6only() != 0 }
    }
}

/// The addresses and ports of a socket, as the kernel keeps them.
#[derive(Clone, Copy)]
pub struct Endpoints {
    /// `AF_INET` or `AF_INET6`, by what is on the wire: a v4-mapped pair is `AF_INET`.
    pub family: u16,
    /// Local address; IPv4 in the first four bytes.
    pub local: [u8; 16],
    /// Peer's address; IPv4 in the first four bytes.
    pub remote: [u8; 16],
    /// Local port, host order.
    pub local_port: u16,
    /// Peer's port, host order.
    pub remote_port: u16,
}

impl Endpoints {
    fn of(sk: &Sock) -> Self {
        let common = sk.common();
        let inet: *const bindings::inet_sock = sk.as_ptr().cast();
        // SAFETY: the socket is a valid inet socket; addresses are plain data that the kernel reads
        // without the lock as well.
        unsafe {
            let mut ends = Self {
                family: sk.family(),
                local: [0; 16],
                remote: [0; 16],
                local_port: (*common).__bindgen_anon_3.__bindgen_anon_1.skc_num,
                remote_port: u16::from_be((*common).__bindgen_anon_3.__bindgen_anon_1.skc_dport),
            };
            let v6_local = (*common).skc_v6_rcv_saddr.in6_u.u6_addr8;
            let v6_remote = (*common).skc_v6_daddr.in6_u.u6_addr8;
            let mapped = |a: &[u8; 16]| a[..10] == [0; 10] && a[10..12] == [0xff; 2];
            if sk.is_ipv6() && !mapped(&v6_remote) && !mapped(&v6_local) {
                ends.local = v6_local;
                ends.remote = v6_remote;
            } else {
                ends.family = bindings::AF_INET as u16;
                ends.local[..4].copy_from_slice(&(*inet).inet_saddr.to_ne_bytes());
                let daddr = (*common).__bindgen_anon_1.__bindgen_anon_1.skc_daddr;
                ends.remote[..4].copy_from_slice(&daddr.to_ne_bytes());
            }
            if ends.local_port == 0 {
                // TCP has closed it, and given the port back.
                ends.local_port = u16::from_be((*inet).inet_sport);
            }
            ends
        }
    }
}

/// Data that a socket's lock protects.
///
/// It is reached through a guard of that socket, which is proof of the lock and is borrowed mutably
/// meanwhile, so that two `&mut` never exist at once.
pub struct LockedCell<T>(UnsafeCell<T>);

// SAFETY: access needs the lock's guard, so one context at a time reaches the data.
unsafe impl<T: Send> Sync for LockedCell<T> {}

impl<T> LockedCell<T> {
    /// Data that nobody shares yet.
    pub const fn new(data: T) -> Self {
        Self(UnsafeCell::new(data))
    }

    /// # Safety
    ///
    /// The caller holds the lock that protects this cell and gives out no second reference for as long as
    /// this one lives.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub(super) unsafe fn get(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }
}

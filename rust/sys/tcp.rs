// SPDX-License-Identifier: GPL-2.0

//! The kernel's TCP, used as subflows: what may be asked of a TCP socket whose lock is held.
//!
//! TCP's own functions are mostly not exported; they are reached through the function pointers that a TCP
//! socket carries (`sk_prot`, `icsk_af_ops`, its callbacks), read once at load, see [`Kernel`].

use super::errno::eopnotsupp;
use super::glance::Glance;
use super::page::Slices;
use super::rxdata::RxSkb;
use super::sock::{Sock, SEND_SHUTDOWN};
use super::time::Jiffies;
use super::uio::{Record, SockAddr};
use crate::bindings;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::error::{from_err_ptr, to_result, Error, Result};
use kernel::types::ARef;

/// What was read from the kernel's own TCP sockets when the module was loaded.
pub(super) struct Kernel {
    /// `ipv4_specific`.
    pub(super) v4: AtomicPtr<bindings::inet_connection_sock_af_ops>,
    /// `ipv6_specific`; null without IPv6.
    pub(super) v6: AtomicPtr<bindings::inet_connection_sock_af_ops>,
    /// `inet6_stream_ops`; null without IPv6.
    pub(super) v6_stream: AtomicPtr<bindings::proto_ops>,
    /// The callbacks of a socket that nobody has touched.
    data_ready: AtomicPtr<core::ffi::c_void>,
    write_space: AtomicPtr<core::ffi::c_void>,
    state_change: AtomicPtr<core::ffi::c_void>,
    error_report: AtomicPtr<core::ffi::c_void>,
}

/// See [`Kernel`].
pub(super) static KERNEL: Kernel = Kernel {
    v4: AtomicPtr::new(core::ptr::null_mut()),
    v6: AtomicPtr::new(core::ptr::null_mut()),
    v6_stream: AtomicPtr::new(core::ptr::null_mut()),
    data_ready: AtomicPtr::new(core::ptr::null_mut()),
    write_space: AtomicPtr::new(core::ptr::null_mut()),
    state_change: AtomicPtr::new(core::ptr::null_mut()),
    error_report: AtomicPtr::new(core::ptr::null_mut()),
};

type Callback = Option<unsafe extern "C" fn(*mut bindings::sock)>;

fn callback(slot: &AtomicPtr<core::ffi::c_void>) -> Callback {
    // SAFETY: the slot holds a function pointer of this very type, or null; so does `Option<fn>`.
    unsafe { core::mem::transmute(slot.load(Ordering::Relaxed)) }
}

fn store(slot: &AtomicPtr<core::ffi::c_void>, f: Callback) {
    // SAFETY: a function pointer and a data pointer have one size here; see `callback`.
    slot.store(
        unsafe { core::mem::transmute::<Callback, *mut core::ffi::c_void>(f) },
        Ordering::Relaxed,
    );
}

/// The callbacks that a fresh socket has: data_ready, write_space, state_change, error_report.
pub(super) fn default_callbacks() -> [Callback; 4] {
    [
        callback(&KERNEL.data_ready),
        callback(&KERNEL.write_space),
        callback(&KERNEL.state_change),
        callback(&KERNEL.error_report),
    ]
}

/// Reads TCP's function pointers from a socket of each family. Call once, at load.
///
/// # Errors
///
/// Those of making a socket. Without IPv6 in the kernel the v6 part stays empty.
pub fn learn() -> Result {
    // SAFETY: called once, at load, in process context.
    to_result(unsafe { bindings::mrs_tcp_learn_packet() })?;
    for family in [bindings::AF_INET, bindings::AF_INET6] {
        let mut sock = core::ptr::null_mut();
        // SAFETY: init_net lives forever; `sock` is a valid place for the result.
        let err = unsafe {
            bindings::sock_create_kern(
                core::ptr::addr_of_mut!(bindings::init_net),
                family as i32,
                bindings::sock_type_SOCK_STREAM as i32,
                bindings::IPPROTO_TCP as i32,
                &mut sock,
            )
        };
        if err != 0 {
            if family == bindings::AF_INET6 {
                break;
            }
            return to_result(err);
        }
        // SAFETY: the socket was just made; its tables are static parts of the kernel.
        unsafe {
            let sk = (*sock).sk;
            let icsk: *mut bindings::inet_connection_sock = sk.cast();
            let af_ops = (*icsk).icsk_af_ops.cast_mut();
            if family == bindings::AF_INET {
                KERNEL.v4.store(af_ops, Ordering::Relaxed);
                store(&KERNEL.data_ready, (*sk).sk_data_ready);
                store(&KERNEL.write_space, (*sk).sk_write_space);
                store(&KERNEL.state_change, (*sk).sk_state_change);
                store(&KERNEL.error_report, (*sk).sk_error_report);
            } else {
                KERNEL.v6.store(af_ops, Ordering::Relaxed);
                KERNEL
                    .v6_stream
                    .store((*sock).ops.cast_mut(), Ordering::Relaxed);
            }
            bindings::sock_release(sock);
        }
    }
    Ok(())
}

/// What is at the front of a subflow's receive queue.
#[derive(Clone, Copy)]
pub struct Front {
    /// Sequence number of the first unread byte.
    pub seq: u32,
    /// Unread bytes of the first packet. 0: only a FIN is left of it.
    pub len: u32,
}

/// How a lock is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unlock {
    /// Not by us.
    Never,
    /// We are its owner.
    Owner,
    /// We hold the spin lock.
    Spin,
}

/// A TCP socket whose lock is held: by this context as its owner, or as a softirq.
///
/// Every call that makes TCP do something takes `&mut self`: TCP may call back into the subflow, and then
/// nothing of what the lock protects may be borrowed.
pub struct Ssk<'a> {
    sk: &'a Sock,
    unlock: Unlock,
    not_send: PhantomData<*mut ()>,
}

impl core::ops::Deref for Ssk<'_> {
    type Target = Sock;

    #[inline]
    fn deref(&self) -> &Sock {
        self.sk
    }
}

impl Drop for Ssk<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `lock` or `try_lock` has taken it in this way.
        unsafe {
            match self.unlock {
                Unlock::Never => {}
                Unlock::Owner => bindings::release_sock(self.sk.as_ptr()),
                Unlock::Spin => bindings::mrs_tryunlock(self.sk.as_ptr()),
            }
        }
    }
}

macro_rules! tp {
    ($($(#[$doc:meta])* $name:ident: $t:ty,)*) => {
        $(
            $(#[$doc])*
            #[inline]
            pub fn $name(&self) -> $t {
                // SAFETY: a valid TCP socket, whose lock this guard stands for.
                unsafe { core::ptr::addr_of!((*self.tp()).$name).read_volatile() as $t }
            }
        )*
    };
}

/// Creates a TCP socket in the namespace of `like`. Nobody refers to it by a file. It keeps the namespace if
/// `like` does; a socket of the kernel's own does not.
///
/// # Errors
///
/// As `socket(2)`.
pub fn create(like: &Sock, family: u16) -> Result<ARef<Sock>> {
    // SAFETY: the namespace lives while `like` does.
    let sk = from_err_ptr(unsafe { bindings::mrs_tcp_create(like.as_ptr(), family.into()) })?;
    // SAFETY: the socket is new and valid. The reference made here is in addition to the one that
    // `close` gives up.
    Ok(unsafe { Sock::from_ptr(sk) }.hold())
}

/// Closes a TCP socket, as the last `close(2)` does, and gives up the reference that came with its
/// creation. `sk` is unlocked and no file refers to it. May sleep.
///
/// Where TCP has no memory for a FIN it sends none, ever: such a socket would stay, and the module with it, for
/// ever as well. It is reset.
pub fn close(sk: ARef<Sock>) {
    // SAFETY: the socket is valid, `sk` keeps it until after the call.
    unsafe { bindings::tcp_close(sk.as_ptr(), 0) }
    if Glance::at(&sk).lacks_fin() && Ssk::lock(&sk).lacks_fin() {
        abort(&sk, bindings::ECONNRESET as i32);
    }
}

/// Resets a TCP connection with `errno` for whoever waits on it. `sk` is unlocked. May sleep.
pub fn abort(sk: &Sock, errno: i32) {
    // SAFETY: the socket is valid and not locked by us.
    unsafe { bindings::tcp_abort(sk.as_ptr(), errno) };
}

impl<'a> Ssk<'a> {
    /// Locks `sk`. May sleep.
    #[inline]
    pub fn lock(sk: &'a Sock) -> Self {
        // SAFETY: the socket is valid.
        unsafe { bindings::mrs_lock_sock(sk.as_ptr()) };
        Self {
            sk,
            unlock: Unlock::Owner,
            not_send: PhantomData,
        }
    }

    /// Locks `sk` if nobody else has it. `held` is another subflow, locked in a softirq: so softirqs are off,
    /// and two contexts that each hold a subflow and want the other's do not wait for each other.
    #[inline]
    pub fn try_lock(sk: &'a Sock, _held: &Ssk<'_>) -> Option<Self> {
        // SAFETY: the socket is valid.
        if !unsafe { bindings::mrs_trylock(sk.as_ptr()) } {
            return None;
        }
        Some(Self {
            sk,
            unlock: Unlock::Spin,
            not_send: PhantomData,
        })
    }

    /// # Safety
    ///
    /// `sk` is a valid TCP socket whose lock the context holds for the chosen lifetime: TCP calls us.
    #[inline]
    pub(super) unsafe fn held(sk: *mut bindings::sock) -> Self {
        Self {
            // SAFETY: the caller's promise.
            sk: unsafe { Sock::from_ptr(sk) },
            unlock: Unlock::Never,
            not_send: PhantomData,
        }
    }

    #[inline]
    fn tp(&self) -> *mut bindings::tcp_sock {
        self.sk.as_ptr().cast()
    }

    #[inline]
    fn icsk(&self) -> *mut bindings::inet_connection_sock {
        self.sk.as_ptr().cast()
    }

    /// The socket itself, for as long as it was lent.
    pub fn sock(&self) -> &'a Sock {
        self.sk
    }

    tp! {
        /// First byte that we sent and that was not acknowledged.
        snd_una: u32,
        /// Next byte to be sent.
        snd_nxt: u32,
        /// Next byte to be queued.
        write_seq: u32,
        /// Next byte expected.
        rcv_nxt: u32,
        /// Next byte to be taken out of the receive queue.
        copied_seq: u32,
        /// The peer's window, bytes.
        snd_wnd: u32,
        /// Our window as last computed by TCP, bytes.
        rcv_wnd: u32,
        /// `rcv_nxt` when the last window was sent.
        rcv_wup: u32,
        /// Smoothed round trip time, 1/8 us.
        srtt_us: u32,
        /// Payload of a full segment, bytes.
        mss_cache: u32,
        /// Segments that one GSO packet carries.
        gso_segs: u16,
        /// When something last arrived, jiffies.
        rcv_tstamp: u32,
    }

    /// Window scale of what we announce.
    #[inline]
    pub fn rcv_wscale(&self) -> u8 {
        // SAFETY: a valid TCP socket.
        unsafe { (*self.tp()).rx_opt.rcv_wscale() as u8 }
    }

    /// Whether the send queue may take another packet (`SO_SNDBUF`, `TCP_NOTSENT_LOWAT`).
    #[inline]
    pub fn memory_free(&self) -> bool {
        // SAFETY: a valid TCP socket.
        unsafe { bindings::mrs_tcp_memory_free(self.sk.as_ptr()) }
    }

    /// How many of `bytes` TCP takes in one go: fewer than all, or none, if memory is short.
    #[inline]
    pub fn affords(&mut self, bytes: u32) -> u32 {
        let packets = if self.gso_segs() > 1 {
            1
        } else {
            bytes.div_ceil(self.mss_cache().max(1))
        };
        // SAFETY: the socket is locked.
        unsafe { bindings::mrs_tcp_affords(self.sk.as_ptr(), bytes, packets) }
    }

    /// Whether nothing is queued and nothing is in flight.
    pub fn queues_empty(&self) -> bool {
        // SAFETY: a valid, locked TCP socket.
        unsafe { bindings::mrs_tcp_queues_empty(self.sk.as_ptr()) }
    }

    /// Bytes that one skb of the send queue takes at most.
    pub fn burst(&self) -> u32 {
        self.mss_cache().max(1) * u32::from(self.gso_segs()).max(1)
    }

    /// Whether data can be sent.
    #[inline]
    pub fn can_send(&self) -> bool {
        use super::sock::state::{CLOSE_WAIT, ESTABLISHED};
        matches!(self.state(), ESTABLISHED | CLOSE_WAIT)
            && self.shutdown_flags() & SEND_SHUTDOWN == 0
    }

    /// Queues pages and sends what may be sent. Never sleeps. Returns the bytes taken, which may be fewer
    /// than `slices` has.
    ///
    /// # Errors
    ///
    /// `EAGAIN` without room, `EPIPE` and others when the subflow is gone.
    #[inline]
    pub fn send_pages(&mut self, slices: &mut Slices<'_>, more: bool) -> Result<usize> {
        let flags = if more { bindings::MSG_MORE } else { 0 };
        // SAFETY: the socket is locked; the vector describes pages that the caller holds references on,
        // TCP takes its own.
        let ret = unsafe {
            bindings::mrs_tcp_send_pages(
                self.sk.as_ptr(),
                slices.as_mut_ptr(),
                slices.count() as u32,
                slices.bytes(),
                flags as i32,
            )
        };
        if ret < 0 {
            return Err(Error::from_errno(ret));
        }
        Ok(ret as usize)
    }

    /// No later data may share a packet with what is queued now.
    #[inline]
    pub fn seal_tail(&mut self) {
        // SAFETY: the socket is locked.
        unsafe { bindings::mrs_tcp_seal_tail(self.sk.as_ptr()) }
    }

    /// Whether TCP may wait, with a short segment at the end of its queue, for more to send or for an ACK (RFC 1122
    /// section 4.2.3.4, or `TCP_CORK`).
    #[inline]
    pub fn holds_back(&self) -> bool {
        self.write_seq() != self.snd_nxt()
            // SAFETY: the socket is locked.
            && unsafe { bindings::mrs_tcp_holds_back(self.sk.as_ptr()) }
    }

    /// What is queued now does not wait for more: it leaves with the next ACK that comes.
    pub fn let_go(&mut self) {
        // SAFETY: the socket is locked.
        unsafe { bindings::mrs_tcp_let_go(self.sk.as_ptr()) }
    }

    /// From now on, data that arrives does not have TCP send an ACK at once, but after its delay: whoever takes
    /// the data out of TCP's queue as it comes sends one when that is due, see [`Self::ack_overdue`]. What TCP
    /// acknowledges at once for other reasons (data out of order, the first segments, a FIN) it still does.
    pub fn take_over_acks(&mut self) {
        // SAFETY: the socket is locked. TCP compares its own idea of the window with what was announced last; that
        // one stays below a segment, and only what `announced_window` says is announced. No byte in the queue is
        // enough to count as read.
        unsafe {
            let tp = self.tp();
            let least = u32::from((*tp).advmss);
            (*tp).window_clamp = least;
            (*tp).rcv_ssthresh = least;
            (*self.sk.as_ptr()).sk_rcvlowat = 0;
        }
    }

    /// Whether more than a segment has arrived since the last ACK: TCP's rule for when one is due.
    #[inline]
    pub fn ack_overdue(&self) -> bool {
        self.rcv_nxt().wrapping_sub(self.rcv_wup()) > self.rcv_mss()
    }

    /// Sends an ACK now.
    pub fn send_ack(&mut self) {
        let rcv_nxt = self.rcv_nxt();
        // SAFETY: the socket is locked and not in a state without a connection, which the function checks.
        unsafe { bindings::__tcp_send_ack(self.sk.as_ptr(), rcv_nxt, 0) }
    }

    /// Has TCP send an ACK after `delay`, unless it sends one before.
    pub fn schedule_ack(&mut self, delay: Jiffies) {
        // SAFETY: the socket is locked and connected.
        unsafe { bindings::mrs_tcp_schedule_ack(self.sk.as_ptr(), delay.0) }
    }

    /// Has an ACK sent soon, if TCP does not owe one anyway: with the next segment or after TCP's shortest
    /// delay.
    #[inline]
    pub fn delay_ack(&mut self) {
        const SCHED: u32 = 1;
        if self.ack_pending() & SCHED == 0 {
            self.schedule_ack(Jiffies::from_millis(40));
        }
    }

    /// How often the oldest segment was sent again without an answer.
    pub fn retransmits(&self) -> u8 {
        Glance::at(self.sk).retransmits()
    }

    /// Whether its packets leave by the loopback device.
    pub fn over_loopback(&self) -> bool {
        // SAFETY: a valid, locked TCP socket.
        unsafe { bindings::mrs_over_loopback(self.sk.as_ptr()) }
    }

    /// Which acknowledgement TCP owes: see `icsk_ack.pending` (`ICSK_ACK_SCHED`, `ICSK_ACK_PUSHED` ...).
    #[inline]
    pub fn ack_pending(&self) -> u32 {
        // SAFETY: a valid TCP socket.
        unsafe { (*self.icsk()).icsk_ack.pending as u32 }
    }

    /// TCP's estimate of the peer's segment size.
    #[inline]
    pub fn rcv_mss(&self) -> u32 {
        // SAFETY: a valid TCP socket.
        unsafe { (*self.icsk()).icsk_ack.rcv_mss as u32 }
    }

    /// Bytes of window that `space` bytes of buffer are worth, by TCP's measure of this connection.
    #[inline]
    pub fn window_from_space(&self, space: i32) -> i32 {
        // SAFETY: a valid TCP socket.
        unsafe { bindings::mrs_tcp_win_from_space(self.sk.as_ptr(), space) }
    }

    /// Tells TCP which window the segment that leaves announces, so that it accepts what may come.
    #[inline]
    pub fn announced_window(&mut self, window: u32) {
        // SAFETY: the socket is locked.
        unsafe {
            let tp = self.tp();
            if window > (*tp).rcv_wnd {
                (*tp).rcv_wnd = window;
            }
        }
    }

    /// What is at the front of the receive queue.
    #[inline]
    pub fn front(&self) -> Option<Front> {
        let copied = self.copied_seq();
        // SAFETY: the socket is locked, so the queue and the packet's control block are stable.
        unsafe {
            let queue = core::ptr::addr_of_mut!((*self.sk.as_ptr()).sk_receive_queue);
            let skb = bindings::mrs_skb_peek(queue);
            if skb.is_null() {
                return None;
            }
            let seq = bindings::mrs_skb_seq(skb);
            let syn = bindings::mrs_skb_tcp_flags(skb) & super::skb::flag::SYN != 0;
            let offset = copied.wrapping_sub(seq.wrapping_add(syn.into()));
            Some(Front {
                seq: copied,
                len: (*skb).len.saturating_sub(offset),
            })
        }
    }

    /// Where the packet at the front of the receive queue is, 0 if there is none: to be shown, not to be used.
    pub fn front_address(&self) -> usize {
        // SAFETY: the socket is locked, so the queue is stable.
        unsafe {
            let queue = core::ptr::addr_of_mut!((*self.sk.as_ptr()).sk_receive_queue);
            bindings::mrs_skb_peek(queue) as usize
        }
    }

    /// The one's complement sum of `len` bytes in the receive queue from `seq` on, as a number. `None` if they
    /// are not all there.
    pub fn queue_sum(&self, seq: u32, len: u32) -> Option<u16> {
        let mut sum = 0;
        // SAFETY: the socket is locked, `sum` is a place for the result.
        let whole = unsafe { bindings::mrs_tcp_queue_sum(self.sk.as_ptr(), seq, len, &mut sum) };
        whole.then_some(sum)
    }

    /// Takes `len` bytes from the front. `None` if there is no memory: nothing was taken.
    ///
    /// `len` is at least 1 and at most what [`Self::front`] said.
    #[inline]
    pub fn take(&mut self, len: u32) -> Option<RxSkb> {
        let copied = self.copied_seq();
        // SAFETY: the socket is locked. The packet leaves the queue and its socket, so it is ours; or, if
        // only a part of it is meant, it stays.
        unsafe {
            let sk = self.sk.as_ptr();
            let queue = core::ptr::addr_of_mut!((*sk).sk_receive_queue);
            let skb = bindings::mrs_skb_peek(queue);
            if skb.is_null() {
                return None;
            }
            let seq = bindings::mrs_skb_seq(skb);
            let flags = bindings::mrs_skb_tcp_flags(skb);
            let start = seq.wrapping_add((flags & super::skb::flag::SYN != 0).into());
            let offset = copied.wrapping_sub(start);
            let avail = (*skb).len.saturating_sub(offset);
            let whole = len >= avail;
            let fin = flags & super::skb::flag::FIN != 0;
            let taken = if whole && !fin {
                bindings::mrs_skb_unlink(skb, queue);
                bindings::mrs_skb_orphan(skb);
                RxSkb::new(skb, offset, avail)
            } else {
                super::skb::Skb::from_raw_mut(skb).part(offset, len.min(avail))
            }?;
            let tp = self.tp();
            core::ptr::addr_of_mut!((*tp).copied_seq)
                .write_volatile(copied.wrapping_add(taken.len()));
            Some(taken)
        }
    }

    /// Drops `len` bytes, or a FIN (`len` 0), from the front: they are not wanted.
    pub fn skip(&mut self, len: u32) {
        // SAFETY: the socket is locked; the packet leaves the queue before it is freed.
        unsafe {
            let sk = self.sk.as_ptr();
            let queue = core::ptr::addr_of_mut!((*sk).sk_receive_queue);
            let skb = bindings::mrs_skb_peek(queue);
            if skb.is_null() {
                return;
            }
            let tp = self.tp();
            let end = bindings::mrs_skb_end_seq(skb);
            let to = if len == 0 {
                end
            } else {
                (*tp).copied_seq.wrapping_add(len)
            };
            core::ptr::addr_of_mut!((*tp).copied_seq).write_volatile(to);
            if to == end {
                bindings::mrs_skb_unlink(skb, queue);
                bindings::mrs_skb_orphan(skb);
                bindings::mrs_kfree_skb(skb);
            }
        }
    }

    /// Reserves `bytes` of every segment for options and lets TCP compute its segment size anew.
    pub fn reserve_options(&mut self, bytes: u16) {
        // SAFETY: the socket is locked; `icsk_sync_mss` is `tcp_sync_mss`.
        unsafe {
            let icsk = self.icsk();
            (*icsk).icsk_ext_hdr_len += bytes;
            if let Some(sync) = (*icsk).icsk_sync_mss {
                sync(self.sk.as_ptr(), (*icsk).icsk_pmtu_cookie);
            }
        }
    }

    /// Starts to connect.
    ///
    /// # Errors
    ///
    /// As `connect(2)`, without waiting.
    pub fn connect(&mut self, addr: &mut SockAddr) -> Result {
        // SAFETY: the socket is locked, the address is one of `addr.len` bytes; `connect` is
        // `tcp_v4_connect` or `tcp_v6_connect`.
        unsafe {
            let prot = (*self.sk.as_ptr()).__sk_common.skc_prot;
            let connect = (*prot).connect.ok_or(eopnotsupp())?;
            to_result(connect(self.sk.as_ptr(), addr.as_mut_ptr(), addr.len()))
        }
    }

    /// As [`Glance::lacks_fin`], for certain.
    pub fn lacks_fin(&self) -> bool {
        Glance::at(self.sk).lacks_fin()
    }

    /// Sends a FIN after what is queued. False if there was no memory for it: TCP will not try again.
    pub fn shutdown_send(&mut self) -> bool {
        self.sk.add_shutdown(SEND_SHUTDOWN);
        // SAFETY: the socket is locked; `shutdown` is `tcp_shutdown`.
        unsafe {
            let prot = (*self.sk.as_ptr()).__sk_common.skc_prot;
            if let Some(shutdown) = (*prot).shutdown {
                shutdown(self.sk.as_ptr(), SEND_SHUTDOWN.into());
            }
        }
        !self.lacks_fin()
    }
}

/// What `TCP_INFO` tells of a TCP socket. `sk` is unlocked.
pub fn info(sk: &Sock) -> Record<bindings::tcp_info> {
    let mut info = Record::new();
    // SAFETY: the socket is valid, the function takes its lock.
    unsafe { bindings::tcp_get_info(sk.as_ptr(), &mut *info) };
    info
}

/// Binds a TCP socket. `sk` is unlocked.
///
/// # Errors
///
/// As `bind(2)`.
pub fn bind(sk: &Sock, addr: &mut SockAddr) -> Result {
    // SAFETY: the socket is valid, the address is one of `addr.len` bytes.
    to_result(unsafe { bindings::mrs_tcp_bind(sk.as_ptr(), addr.as_mut_ptr(), addr.len()) })
}

/// Lets a TCP socket listen. `sk` is unlocked.
///
/// # Errors
///
/// As `listen(2)`.
pub fn listen(sk: &Sock, backlog: i32) -> Result {
    // SAFETY: the socket is valid.
    to_result(unsafe { bindings::mrs_tcp_listen(sk.as_ptr(), backlog) })
}

/// Whether a listener has a connection to take.
pub fn accept_ready(sk: &Sock) -> bool {
    // SAFETY: the socket is a valid TCP socket; the queue's head is only looked at.
    unsafe { bindings::mrs_tcp_accept_ready(sk.as_ptr()) }
}

/// Takes a connection out of a listener's queue. The reference is the one that [`close`] gives up, and
/// one more.
///
/// # Errors
///
/// As a nonblocking `accept(2)`.
pub fn accept(sk: &Sock, kern: bool) -> Result<ARef<Sock>> {
    let mut arg = bindings::proto_accept_arg {
        flags: bindings::O_NONBLOCK as i32,
        kern,
        ..Default::default()
    };
    // SAFETY: the socket is valid and unlocked.
    let child = unsafe { bindings::inet_csk_accept(sk.as_ptr(), &mut arg) };
    if child.is_null() {
        return Err(Error::from_errno(arg.err));
    }
    // SAFETY: the child is valid; its own reference stays with it until `close`.
    Ok(unsafe { Sock::from_ptr(child) }.hold())
}

// SPDX-License-Identifier: GPL-2.0

//! How TCP is told about us: the ULP that hangs a context on a TCP socket, the socket's callbacks, and our
//! copies of its address family operations.
//!
//! A module has one kind of subflow, a type that implements [`SubflowOps`]; [`register`] makes the tables
//! for it. Everything that TCP calls comes in here, through one trampoline each.

use super::netlink::{attr_size, Message};
use super::rcu::{self, RcuHead};
use super::request::{self, Requests};
use super::skb::{flag, Skb, TxSegment};
use super::sock::{state, LockedCell, Sock};
use super::tcp::{default_callbacks, Ssk, KERNEL};
use crate::bindings;
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use kernel::error::{code::*, to_result, Error, Result};
use kernel::sync::Arc;

/// What becomes of a connection that a listener has just completed.
pub enum Fate {
    /// It is a subflow and goes to the accept queue.
    Accept,
    /// It is plain TCP and goes to the accept queue.
    Plain,
    /// It belongs to a connection that exists: it must not reach the accept queue. The subflow has taken
    /// its reference.
    Join,
    /// It would belong to a connection that exists, but there is no memory for it: it ends at once.
    Drop,
}

/// What a listener makes of a SYN.
pub enum Asked<Y, E> {
    /// Nothing: plain TCP.
    Plain,
    /// Its SYN-ACK has to carry something.
    Ask(Y),
    /// The answer is a reset.
    Refuse(E),
}

/// What a listener makes of the packet that would turn a request into a socket.
pub enum Admit<E> {
    /// It may.
    Take,
    /// The packet is dropped as if the network had lost it.
    Wait,
    /// The answer is a reset, and the request is forgotten.
    Refuse(E),
}

/// A TCP subflow, as its user sees it. TCP calls these functions; where an [`Ssk`] is given, with the
/// subflow's lock held, in process context or softirq.
pub trait SubflowOps: Sized + Send + Sync + 'static {
    /// What a listener keeps of a SYN until its SYN-ACK leaves.
    type Syn: Copy + Send;
    /// What a listener keeps of a request until it is a connection.
    type Request: Send + Sync;
    /// What the reset of a refused request carries.
    type Reset: Copy + Send;

    /// Where the context's own memory is deferred with, when TCP lets go of it.
    fn rcu(&self) -> &RcuHead;

    /// A segment leaves: write options, change the window.
    fn transmit(&self, ssk: &mut Ssk<'_>, seg: &mut TxSegment<'_>);
    /// Our SYN was answered by `skb`; the third ACK has not left.
    fn connected(&self, ssk: &mut Ssk<'_>, skb: &Skb);
    /// In-order data, or a FIN, is in the receive queue.
    fn data_ready(&self, ssk: &mut Ssk<'_>);
    /// TCP has processed an ACK; there may be room to send.
    fn after_ack(&self, ssk: &mut Ssk<'_>);
    /// The TCP state changed: connected, FIN received, closed.
    fn state_changed(&self, ssk: &mut Ssk<'_>);
    /// TCP has met an error, which is in [`Sock::err`].
    fn failed(&self, ssk: &mut Ssk<'_>);
    /// TCP is done with the socket and forgets the context.
    fn released(&self, sk: &Sock);

    /// A listener has received a SYN. Softirq.
    fn syn(&self, listener: &Sock, skb: &Skb) -> Asked<Self::Syn, Self::Reset>;
    /// The first SYN-ACK for it leaves. Softirq.
    fn request(&self, listener: &Sock, syn: Self::Syn, isn: u32) -> Option<Self::Request>;
    /// The SYN is to become a socket at once (TCP Fast Open). None: it may not. Softirq.
    fn request_early(&self, listener: &Sock, syn: Self::Syn, isn: u32) -> Option<Self::Request>;
    /// A SYN-ACK leaves, the first or a repeated one. False if it has no timestamps now. Softirq, no lock of
    /// the subflow.
    fn synack(request: &Self::Request, seg: &mut TxSegment<'_>) -> bool;
    /// The SYN-ACK of a socket that its SYN has opened (TCP Fast Open) leaves; the SYN's data is in the
    /// receive queue. Softirq.
    fn opened(&self, ssk: &mut Ssk<'_>);
    /// A SYN-ACK for `syn` leaves of which nothing is kept (SYN cookie). True if it was changed. Softirq.
    fn synack_stateless(&self, syn: Self::Syn, seg: &mut TxSegment<'_>) -> bool;
    /// The third ACK of such a connection has come: what would have been kept, or nothing for plain TCP.
    /// `self` is the listener. Softirq.
    ///
    /// # Errors
    ///
    /// What the reset shall say that is the answer.
    fn recall(&self, skb: &Skb) -> Result<Option<Self::Request>, Self::Reset>;
    /// A request is about to become a socket: the context that it shall have. Softirq.
    fn child(request: &Self::Request) -> Option<Arc<Self>>;
    /// Whether the socket that a request becomes belongs to a connection that exists: it is of no use without its
    /// context, and never for the accept queue.
    fn joins(request: &Self::Request) -> bool;
    /// It has become one, by `skb`, which carries the third ACK. `self` is the child's context. Softirq.
    fn established(
        &self,
        ssk: &mut Ssk<'_>,
        listener: &Self,
        request: &Self::Request,
        skb: &Skb,
    ) -> Fate;
    /// Whether a listener's request may become a socket by `skb`. Softirq, the request's lock is held.
    fn admit(request: &Self::Request, skb: &Skb, rcv_isn: u32) -> Admit<Self::Reset>;
    /// A request was refused, and this is the reset that tells.
    fn refuse(reset: &Self::Reset, seg: &mut TxSegment<'_>);

    /// What the subflow's lock protects.
    type Locked: Send;
    /// Where that is.
    fn locked(&self) -> &LockedCell<Self::Locked>;

    /// The listeners' requests.
    fn requests() -> &'static Requests<Self::Syn, Self::Request, Self::Reset>;
    /// The type of the attribute that [`Self::info`] fills.
    const INFO: u32;
    /// Adds what `ss -i` shows of the subflow. Process context.
    fn info(&self, ssk: &mut Ssk<'_>, to: &mut Message<'_>) -> Result;
    /// Room that [`Self::info`] needs, bytes.
    fn info_size() -> usize;
}

struct Tables {
    ulp: UnsafeCell<bindings::tcp_ulp_ops>,
    v4: UnsafeCell<bindings::inet_connection_sock_af_ops>,
    v6: UnsafeCell<bindings::inet_connection_sock_af_ops>,
    mapped: UnsafeCell<bindings::inet_connection_sock_af_ops>,
    /// The kernel's `ipv6_mapped`, once a socket was seen that has it.
    kernel_mapped: AtomicPtr<bindings::inet_connection_sock_af_ops>,
    registered: AtomicBool,
}

// SAFETY: written in `register`, before anybody can see them, and (`mapped`) in `learn_mapped`, before the
// pointer that makes it known is stored.
unsafe impl Sync for Tables {}

// SAFETY: all three structures are plain tables of pointers, for which zeroes are "none".
static TABLES: Tables = unsafe {
    Tables {
        ulp: UnsafeCell::new(core::mem::zeroed()),
        v4: UnsafeCell::new(core::mem::zeroed()),
        v6: UnsafeCell::new(core::mem::zeroed()),
        mapped: UnsafeCell::new(core::mem::zeroed()),
        kernel_mapped: AtomicPtr::new(core::ptr::null_mut()),
        registered: AtomicBool::new(false),
    }
};

#[inline]
fn icsk(sk: *const bindings::sock) -> *mut bindings::inet_connection_sock {
    sk.cast_mut().cast()
}

/// Whether `sk` is a TCP socket with our ULP.
///
/// # Safety
///
/// `sk` is a valid full TCP socket.
#[inline]
unsafe fn is_subflow(sk: *const bindings::sock) -> bool {
    // SAFETY: a full TCP socket is an `inet_connection_sock`; the ULP's pointer is read once.
    unsafe {
        core::ptr::addr_of!((*icsk(sk)).icsk_ulp_ops).read_volatile()
            == TABLES.ulp.get().cast_const()
    }
}

/// The context of a TCP socket.
///
/// # Safety
///
/// `sk` is a valid full TCP socket; the caller holds its lock, or is in an RCU read section, for as long
/// as the result lives; `S` is the registered type.
#[inline]
unsafe fn context<'a, S: SubflowOps>(sk: *const bindings::sock) -> Option<&'a S> {
    // SAFETY: the caller's promise. The context is freed a grace period after the socket forgot it.
    unsafe {
        if !is_subflow(sk) {
            return None;
        }
        core::ptr::addr_of!((*icsk(sk)).icsk_ulp_data)
            .read_volatile()
            .cast::<S>()
            .as_ref()
    }
}

/// The subflow that a packet belongs to, with its context, if it does. Call in netfilter's RCU section, and
/// do not keep the result beyond it.
#[inline]
pub fn of_packet<'a, S: SubflowOps>(skb: &Skb) -> Option<(&'a Sock, &'a S)> {
    let sk = skb.sk_ptr();
    if sk.is_null() {
        return None;
    }
    // SAFETY: the packet holds its socket for at least the time of the hook; requests and time-wait
    // sockets, which are smaller, are told by their state first.
    unsafe {
        let common = core::ptr::addr_of!((*sk).__sk_common);
        let full = !matches!(
            (*common).skc_state as u32,
            bindings::TCP_NEW_SYN_RECV | bindings::TCP_TIME_WAIT
        );
        if !full || u32::from((*sk).sk_protocol) != bindings::IPPROTO_TCP {
            return None;
        }
        Some((Sock::from_ptr(sk), context::<S>(sk)?))
    }
}

/// Whether a packet's socket is a request.
#[inline]
pub fn is_request(skb: &Skb) -> bool {
    let sk = skb.sk_ptr();
    // SAFETY: the packet holds its socket, and the state is part of what every kind of socket has.
    !sk.is_null() && unsafe { u32::from((*sk).__sk_common.skc_state) == bindings::TCP_NEW_SYN_RECV }
}

/// Calls `f` with the context of a request's listener.
pub fn with_listener<S: SubflowOps, R>(
    listener: *mut bindings::sock,
    f: impl FnOnce(&Sock, &S) -> R,
) -> Option<R> {
    if listener.is_null() {
        return None;
    }
    let _rcu = rcu::read_lock();
    // SAFETY: the request holds its listener; RCU protects the context.
    unsafe { context::<S>(listener).map(|context| f(Sock::from_ptr(listener), context)) }
}

/// A packet in `LOCAL_OUT` that belongs to a subflow: if TCP has put its own operations in the place of
/// ours (a v6 socket that connects to an IPv4 address), ours come back, and what they would have done to
/// this SYN is done now.
pub fn bypassed<S: SubflowOps>(skb: &mut Skb, family: u16) {
    let ptr = skb.as_ptr();
    let Some((sk, subflow)) = of_packet::<S>(skb) else {
        return;
    };
    if sk.state() == state::SYN_RECV && synack_early::<S>(ptr, sk, subflow, family) {
        return;
    }
    if !retake_af_ops::<S>(sk) {
        return;
    }
    // SAFETY: TCP sends this packet with the socket's lock held. `sk` and `subflow` stay valid while the
    // packet, which holds the socket, does.
    unsafe {
        if let Some(mut seg) = TxSegment::from_local_out(Skb::from_raw_mut(ptr)) {
            subflow.transmit(&mut Ssk::held(sk.as_ptr()), &mut seg);
            seg.fix_local_out(family);
        }
    }
}

/// A packet of a subflow that its SYN has opened, which waits for the third ACK: if it is the SYN-ACK,
/// what a request's would have said is put in. False: it is none of these.
#[cold]
fn synack_early<S: SubflowOps>(
    skb: *mut bindings::sk_buff,
    sk: &Sock,
    subflow: &S,
    family: u16,
) -> bool {
    // SAFETY: TCP sends this packet with the socket's lock held, so its request stays; the packet is valid.
    unsafe {
        let req = super::fastopen::request_of(sk.as_ptr());
        let seg = TxSegment::from_local_out(Skb::from_raw_mut(skb));
        let (Some(mut seg), false) = (seg, req.is_null()) else {
            return false;
        };
        if seg.header().flags() & (flag::SYN | flag::ACK) != flag::SYN | flag::ACK {
            return false;
        }
        let known = S::requests().with(req, |request| S::synack(request, &mut seg));
        if known.is_some() {
            seg.fix_local_out(family);
            subflow.opened(&mut Ssk::held(sk.as_ptr()));
        }
        true
    }
}

/// As [`of_packet`], for a socket that the caller keeps alive. The context is a counted reference.
pub fn of_sock<S: SubflowOps>(sk: &Sock) -> Option<Arc<S>> {
    let _rcu = rcu::read_lock();
    // SAFETY: within the RCU section the context is valid. Its count is not zero: TCP's own reference is
    // given up a grace period after the pointer was cleared.
    unsafe {
        let context = context::<S>(sk.as_ptr())?;
        let borrowed = core::mem::ManuallyDrop::new(Arc::from_raw(context as *const S));
        Some((*borrowed).clone())
    }
}

/// Calls `f` with what the lock of `ssk` protects in its context, if it is a subflow.
#[inline]
pub fn locked<S: SubflowOps, R>(
    ssk: &mut Ssk<'_>,
    f: impl FnOnce(&mut S::Locked) -> R,
) -> Option<R> {
    // SAFETY: the guard is the lock's proof, and is borrowed while `f` runs: nobody can make TCP call back
    // into the subflow meanwhile, so this is the only reference.
    unsafe { context::<S>(ssk.as_ptr()).map(|context| f(context.locked().get())) }
}

/// Makes `ssk` a subflow with the context `context`.
///
/// # Errors
///
/// `EEXIST` if it has a ULP.
pub fn attach<S: SubflowOps>(ssk: &mut Ssk<'_>, context: Arc<S>) -> Result {
    let sk = ssk.as_ptr();
    let data = Arc::into_raw(context);
    // SAFETY: the socket is locked. The context's reference is TCP's from here on, see `release`.
    unsafe {
        let err = bindings::mrs_tcp_ulp_setup(sk, TABLES.ulp.get(), data.cast_mut().cast());
        if err != 0 {
            drop(Arc::from_raw(data));
            return to_result(err);
        }
        bindings::mrs_module_get((*TABLES.ulp.get()).owner);
        (*sk).sk_data_ready = Some(on_data_ready::<S>);
        (*sk).sk_write_space = Some(on_write_space::<S>);
        (*sk).sk_state_change = Some(on_state_change::<S>);
        (*sk).sk_error_report = Some(on_error_report::<S>);
        take_over_af_ops::<S>(sk);
    }
    Ok(())
}

/// Puts our operations in the place of the kernel's.
///
/// # Safety
///
/// `sk` is a valid TCP socket, locked or not yet known to anybody.
unsafe fn take_over_af_ops<S: SubflowOps>(sk: *mut bindings::sock) {
    // SAFETY: the caller's promise; our tables live as long as the module, whose reference the ULP holds.
    unsafe {
        let slot = core::ptr::addr_of_mut!((*icsk(sk)).icsk_af_ops);
        let now = (*slot).cast_mut();
        let ours = if now == KERNEL.v4.load(Ordering::Relaxed) {
            TABLES.v4.get()
        } else if now == KERNEL.v6.load(Ordering::Relaxed) {
            TABLES.v6.get()
        } else if now == TABLES.v4.get() || now == TABLES.v6.get() || now == TABLES.mapped.get() {
            return;
        } else {
            learn_mapped::<S>(now);
            TABLES.mapped.get()
        };
        slot.write_volatile(ours);
    }
}

/// Remembers the kernel's operations of v6 sockets that speak IPv4 and makes our copy of them.
///
/// # Safety
///
/// `theirs` is that table.
unsafe fn learn_mapped<S: SubflowOps>(theirs: *mut bindings::inet_connection_sock_af_ops) {
    if TABLES.kernel_mapped.load(Ordering::Acquire).is_null() {
        // SAFETY: two contexts that get here at once write the same bytes, before any socket uses them.
        unsafe {
            *TABLES.mapped.get() = af_ops_for::<S>(theirs, request_mapped::<S>);
        }
        TABLES.kernel_mapped.store(theirs, Ordering::Release);
    }
}

/// Whether TCP has put operations of its own in the place of ours: a v6 socket that connects to an IPv4
/// address. Ours are put back.
pub fn retake_af_ops<S: SubflowOps>(sk: &Sock) -> bool {
    // SAFETY: only looked at; the socket is valid.
    let now = unsafe { (*icsk(sk.as_ptr())).icsk_af_ops.cast_mut() };
    if now == TABLES.v4.get() || now == TABLES.v6.get() || now == TABLES.mapped.get() {
        return false;
    }
    // SAFETY: called while TCP sends on this socket, so its lock is held by this context.
    unsafe { take_over_af_ops::<S>(sk.as_ptr()) };
    true
}

/// The kernel's operations behind ours.
///
/// # Safety
///
/// `sk` is a valid TCP socket.
#[inline]
unsafe fn original(sk: *const bindings::sock) -> *const bindings::inet_connection_sock_af_ops {
    // SAFETY: the caller's promise.
    let now = unsafe { (*icsk(sk)).icsk_af_ops.cast_mut() };
    if now == TABLES.v6.get() {
        KERNEL.v6.load(Ordering::Relaxed)
    } else if now == TABLES.mapped.get() {
        TABLES.kernel_mapped.load(Ordering::Relaxed)
    } else {
        KERNEL.v4.load(Ordering::Relaxed)
    }
}

/// Makes a socket plain TCP again: no context, TCP's own callbacks and operations. Its ULP, if any, must
/// not have been counted yet.
///
/// # Safety
///
/// `sk` is a TCP socket that is locked.
unsafe fn make_plain(sk: *mut bindings::sock) {
    let [data_ready, write_space, state_change, error_report] = default_callbacks();
    // SAFETY: the caller's promise.
    unsafe {
        let kernel = original(sk);
        (*icsk(sk)).icsk_ulp_ops = core::ptr::null();
        (*icsk(sk)).icsk_ulp_data = core::ptr::null_mut();
        (*icsk(sk)).icsk_af_ops = kernel;
        (*sk).sk_data_ready = data_ready;
        (*sk).sk_write_space = write_space;
        (*sk).sk_state_change = state_change;
        (*sk).sk_error_report = error_report;
    }
}

/// Takes the context away from a subflow: from now on it is plain TCP.
pub fn detach<S: SubflowOps>(ssk: &mut Ssk<'_>) {
    let sk = ssk.as_ptr();
    // SAFETY: the socket is locked. The reference that `attach` or `on_clone` gave to TCP ends after a
    // grace period, and so does the module's.
    unsafe {
        if !is_subflow(sk) {
            return;
        }
        let data: *const S = (*icsk(sk)).icsk_ulp_data.cast_const().cast();
        make_plain(sk);
        if let Some(context) = data.as_ref() {
            rcu::defer_drop(context.rcu(), Arc::from_raw(data));
        }
        bindings::mrs_module_put((*TABLES.ulp.get()).owner);
    }
}

unsafe extern "C" fn on_data_ready<S: SubflowOps>(sk: *mut bindings::sock) {
    // SAFETY: TCP calls with the socket locked, or (listener) with a valid socket.
    unsafe {
        if (*sk).__sk_common.skc_state != state::LISTEN {
            if let Some(context) = context::<S>(sk) {
                return context.data_ready(&mut Ssk::held(sk));
            }
        }
        if let Some(f) = default_callbacks()[0] {
            f(sk);
        }
    }
}

unsafe extern "C" fn on_write_space<S: SubflowOps>(sk: *mut bindings::sock) {
    // SAFETY: TCP calls with the socket locked.
    unsafe {
        if let Some(context) = context::<S>(sk) {
            context.after_ack(&mut Ssk::held(sk));
        }
    }
}

unsafe extern "C" fn on_state_change<S: SubflowOps>(sk: *mut bindings::sock) {
    // SAFETY: TCP calls with the socket locked.
    unsafe {
        if let Some(f) = default_callbacks()[2] {
            f(sk);
        }
        if let Some(context) = context::<S>(sk) {
            context.state_changed(&mut Ssk::held(sk));
        }
    }
}

unsafe extern "C" fn on_error_report<S: SubflowOps>(sk: *mut bindings::sock) {
    // SAFETY: TCP calls with the socket locked.
    unsafe {
        if let Some(context) = context::<S>(sk) {
            context.failed(&mut Ssk::held(sk));
        }
    }
}

unsafe extern "C" fn on_queue_xmit<S: SubflowOps>(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
    fl: *mut bindings::flowi,
) -> c_int {
    // SAFETY: TCP calls with the socket locked and a packet that is its own, its header just written. The
    // checksum is left to us, see `no_send_check`.
    unsafe {
        let kernel = original(sk);
        if let Some(context) = context::<S>(sk) {
            let mut seg = TxSegment::from_transmit(Skb::from_raw_mut(skb));
            context.transmit(&mut Ssk::held(sk), &mut seg);
        }
        if let Some(send_check) = (*kernel).send_check {
            send_check(sk, skb);
        }
        match (*kernel).queue_xmit {
            Some(xmit) => xmit(sk, skb, fl),
            None => -(bindings::EINVAL as i32),
        }
    }
}

/// The checksum is computed once the options are in place, in [`on_queue_xmit`].
unsafe extern "C" fn no_send_check(_sk: *mut bindings::sock, _skb: *mut bindings::sk_buff) {}

unsafe extern "C" fn on_rx_dst_set<S: SubflowOps>(
    sk: *mut bindings::sock,
    skb: *const bindings::sk_buff,
) {
    // SAFETY: TCP calls with the socket locked and the SYN-ACK.
    unsafe {
        if let Some(set) = (*original(sk)).sk_rx_dst_set {
            set(sk, skb);
        }
        if let Some(context) = context::<S>(sk) {
            context.connected(&mut Ssk::held(sk), Skb::from_raw_mut(skb.cast_mut()));
        }
    }
}

/// A listener's SYN, after which `kernel` goes on.
///
/// # Safety
///
/// As TCP calls `conn_request`: a valid listener and a packet, in softirq.
unsafe fn request<S: SubflowOps>(
    kernel: *const bindings::inet_connection_sock_af_ops,
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    // SAFETY: the caller's promise; RCU protects the context.
    unsafe {
        let requests = S::requests();
        let asked =
            context::<S>(sk).map(|context| context.syn(Sock::from_ptr(sk), Skb::from_raw_mut(skb)));
        let syn = match asked {
            Some(Asked::Ask(syn)) => Some(syn),
            Some(Asked::Refuse(reset)) => {
                requests.refuse(sk, skb, reset);
                return 0;
            }
            Some(Asked::Plain) | None => None,
        };
        if let Some(syn) = syn {
            requests.expect(sk, syn);
        }
        let ret = match (*kernel).conn_request {
            Some(f) => f(sk, skb),
            None => 0,
        };
        if syn.is_some() {
            requests.expect_nothing();
        }
        ret
    }
}

unsafe extern "C" fn request_v4<S: SubflowOps>(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    // SAFETY: TCP's call, handed on.
    unsafe { request::<S>(KERNEL.v4.load(Ordering::Relaxed), sk, skb) }
}

unsafe extern "C" fn request_v6<S: SubflowOps>(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    // SAFETY: TCP's call, handed on.
    unsafe { request::<S>(KERNEL.v6.load(Ordering::Relaxed), sk, skb) }
}

unsafe extern "C" fn request_mapped<S: SubflowOps>(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    // SAFETY: TCP's call, handed on.
    unsafe { request::<S>(TABLES.kernel_mapped.load(Ordering::Relaxed), sk, skb) }
}

/// A request becomes a socket: one of our `syn_recv_sock`, see `mrs_syn_recv_hook`.
unsafe extern "C" fn syn_recv<S: SubflowOps>(
    call: *const bindings::mrs_syn_recv_call,
) -> *mut bindings::sock {
    // SAFETY: TCP calls in softirq, with a valid listener, packet and request. The child comes back locked
    // and hashed; what a packet on another CPU would see of it is complete, because its context was hung
    // on in `on_clone`.
    unsafe {
        let (sk, skb, req) = ((*call).sk, (*call).skb, (*call).req);
        let requests = S::requests();
        // Nobody but TCP knows it yet, and TCP frees it when there is no child.
        let of_cookie = bindings::mrs_req_listener(req).is_null();
        if Skb::from_raw_mut(skb).tcp().flags() & flag::SYN != 0 {
            let isn = bindings::mrs_req_snt_isn(req);
            let listener = Sock::from_ptr(sk.cast_mut());
            let early = |syn| context::<S>(sk)?.request_early(listener, syn, isn);
            if requests.early(req, sk, early) == Some(false) {
                return refused(call);
            }
        } else if of_cookie {
            let known = context::<S>(sk).map(|context| context.recall(Skb::from_raw_mut(skb)));
            match known {
                Some(Ok(Some(request))) => {
                    if requests.recall(req, request).is_err() {
                        return refused(call);
                    }
                }
                Some(Ok(None)) | None => {}
                Some(Err(reset)) => {
                    requests.refuse(sk, skb, reset);
                    return refused(call);
                }
            }
        }
        let rcv_isn = bindings::mrs_req_rcv_isn(req);
        let admit = requests.with(req, |request| {
            S::admit(request, Skb::from_raw_mut(skb), rcv_isn)
        });
        let known = admit.is_some();
        match admit {
            Some(Admit::Wait) => return refused(call),
            Some(Admit::Refuse(reset)) => {
                requests.refuse(sk, skb, reset);
                if !of_cookie {
                    bindings::mrs_req_drop(req);
                }
                return refused(call);
            }
            Some(Admit::Take) | None => {}
        }
        let child = bindings::mrs_syn_recv(original(sk), call);
        if child.is_null() {
            return child;
        }
        let Some(subflow) = context::<S>(child) else {
            if *(*call).own_req && requests.with(req, S::joins) == Some(true) {
                bindings::mrs_req_forget_child(req, child);
                return core::ptr::null_mut();
            }
            return child;
        };
        // The kernel may have chosen other operations for the child: a v4 peer of a v6 listener.
        take_over_af_ops::<S>(child);
        let fate = if *(*call).own_req {
            match (context::<S>(sk), known) {
                (Some(listener), true) => requests.with(req, |request| {
                    let skb = Skb::from_raw_mut(skb);
                    subflow.established(&mut Ssk::held(child), listener, request, skb)
                }),
                _ => None,
            }
            .unwrap_or(Fate::Plain)
        } else {
            Fate::Plain
        };
        match fate {
            Fate::Accept => {}
            Fate::Plain => {
                detach::<S>(&mut Ssk::held(child));
                // A SYN-ACK may yet leave for it.
                requests.forget(req);
            }
            Fate::Join if of_cookie => {
                // TCP would queue whatever comes back.
                bindings::mrs_child_process(child, skb);
                return core::ptr::null_mut();
            }
            Fate::Join => {
                // TCP believes that another child was faster, and gives up the reference that it would give up
                // after handing the packet to this one. The one that its end gives up stays.
                bindings::mrs_req_forget(req);
                *(*call).own_req = false;
            }
            Fate::Drop => {
                bindings::mrs_req_forget_child(req, child);
                return core::ptr::null_mut();
            }
        }
        child
    }
}

/// No child, though TCP was not asked for one, which keeps the route that comes with a SYN cookie in any case.
///
/// # Safety
///
/// `call` is TCP's, and is answered with what comes back.
unsafe fn refused(call: *const bindings::mrs_syn_recv_call) -> *mut bindings::sock {
    // SAFETY: TCP has given its reference on the route away, or there is none.
    unsafe { bindings::mrs_dst_release((*call).dst) };
    core::ptr::null_mut()
}

unsafe extern "C" fn on_init(_sk: *mut bindings::sock) -> c_int {
    // The user's setsockopt(TCP_ULP): a subflow is made by the module alone.
    -(bindings::EOPNOTSUPP as i32)
}

unsafe extern "C" fn on_release<S: SubflowOps>(sk: *mut bindings::sock) {
    // SAFETY: TCP calls once, when it is done with the socket. Its reference on the context is given up a
    // grace period later: a packet on another CPU may still look at it.
    unsafe {
        let data: *const S = (*icsk(sk)).icsk_ulp_data.cast_const().cast();
        if let Some(context) = data.as_ref() {
            context.released(Sock::from_ptr(sk));
            core::ptr::addr_of_mut!((*icsk(sk)).icsk_ulp_data)
                .write_volatile(core::ptr::null_mut());
            rcu::defer_drop(context.rcu(), Arc::from_raw(data));
        }
    }
}

unsafe extern "C" fn on_clone<S: SubflowOps>(
    req: *const bindings::request_sock,
    child: *mut bindings::sock,
    _priority: bindings::gfp_t,
) {
    // SAFETY: TCP calls with the new socket, a copy of the listener that nobody else knows. The copied
    // pointers are not counted: they are dropped without a count, and ours is counted afresh.
    unsafe {
        let context = S::requests().with(req, S::child).flatten();
        match context {
            Some(context) => {
                (*icsk(child)).icsk_ulp_data = Arc::into_raw(context).cast_mut().cast();
                bindings::mrs_module_get((*TABLES.ulp.get()).owner);
            }
            None => make_plain(child),
        }
    }
}

unsafe extern "C" fn on_get_info<S: SubflowOps>(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    // SAFETY: diag calls with a valid socket, in process context, and its own buffer.
    let (sk, buffer) = unsafe { (Sock::from_ptr(sk), NonNull::new(skb)) };
    // Listeners have nothing to tell, and are shown with their hash bucket locked.
    if sk.state() == state::LISTEN {
        return 0;
    }
    let (Some(context), Some(buffer)) = (of_sock::<S>(sk), buffer) else {
        return 0;
    };
    // SAFETY: as above.
    let mut message = unsafe { Message::from_ptr(buffer) };
    let told = message.nest_unflagged(S::INFO, |to| context.info(&mut Ssk::lock(sk), to));
    told.map_or_else(|err| err.to_errno(), |()| 0)
}

unsafe extern "C" fn on_get_info_size<S: SubflowOps>(_sk: *const bindings::sock) -> usize {
    attr_size(0) + S::info_size()
}

type ConnRequest = unsafe extern "C" fn(*mut bindings::sock, *mut bindings::sk_buff) -> c_int;
/// Our copy of one of the kernel's tables.
///
/// # Safety
///
/// `theirs` is valid.
unsafe fn af_ops_for<S: SubflowOps>(
    theirs: *const bindings::inet_connection_sock_af_ops,
    request: ConnRequest,
) -> bindings::inet_connection_sock_af_ops {
    // SAFETY: the caller's promise.
    let mut ops = unsafe { core::ptr::read(theirs) };
    ops.queue_xmit = Some(on_queue_xmit::<S>);
    ops.send_check = Some(no_send_check);
    ops.sk_rx_dst_set = Some(on_rx_dst_set::<S>);
    ops.conn_request = Some(request);
    // SAFETY: the table is ours alone.
    unsafe { bindings::mrs_syn_recv_take_over(&mut ops) };
    ops
}

/// Our registration with TCP; dropping it ends it. No subflow exists then: each holds the module.
pub struct Registration(());

/// Registers the ULP "mptcp" and makes the tables for `S`. Once, after [`super::tcp::learn`].
///
/// # Errors
///
/// `EEXIST` if the kernel has a ULP of that name: MPTCP is built in.
pub fn register<S: SubflowOps>(module: &'static kernel::ThisModule) -> Result<Registration> {
    if TABLES.registered.swap(true, Ordering::AcqRel) {
        return Err(EBUSY);
    }
    // SAFETY: nobody uses the tables yet: the flag above admits one caller.
    unsafe {
        let v4 = KERNEL.v4.load(Ordering::Relaxed);
        *TABLES.v4.get() = af_ops_for::<S>(v4, request_v4::<S>);
        let v6 = KERNEL.v6.load(Ordering::Relaxed);
        if !v6.is_null() {
            *TABLES.v6.get() = af_ops_for::<S>(v6, request_v6::<S>);
        }
        request::learn();
        bindings::mrs_syn_recv_hook = Some(syn_recv::<S>);
        to_result(bindings::mrs_nobody_init())?;
        let ulp = &mut *TABLES.ulp.get();
        ulp.init = Some(on_init);
        ulp.release = Some(on_release::<S>);
        ulp.clone = Some(on_clone::<S>);
        ulp.get_info = Some(on_get_info::<S>);
        ulp.get_info_size = Some(on_get_info_size::<S>);
        ulp.owner = module.as_ptr().cast();
        for (to, from) in ulp.name.iter_mut().zip(b"mptcp\0") {
            *to = *from as _;
        }
        let err = bindings::tcp_register_ulp(ulp);
        if err != 0 {
            bindings::mrs_nobody_exit();
            TABLES.registered.store(false, Ordering::Release);
            return Err(Error::from_errno(err));
        }
    }
    Ok(Registration(()))
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: registered by `register`; no socket has the ULP any more.
        unsafe {
            bindings::tcp_unregister_ulp(TABLES.ulp.get());
            bindings::mrs_nobody_exit();
            bindings::rcu_barrier();
        }
        TABLES.registered.store(false, Ordering::Release);
    }
}

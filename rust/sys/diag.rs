// SPDX-License-Identifier: GPL-2.0

//! Socket diagnostics: what `ss` asks about sockets of our type, and how it ends them.
//!
//! Every call is made for a request of a user, in process context, with no lock held.
//!
//! C header: [`include/linux/inet_diag.h`](srctree/include/linux/inet_diag.h)

use super::msock::{SockOf, StreamProto};
use super::net::Net;
use super::registry::Registry;
use super::uio::{Record, Uapi};
use crate::bindings;
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::marker::PhantomData;
use core::mem::size_of;
use kernel::error::{code::*, to_result, Result};
use kernel::types::ARef;

/// What `ss` shows in its first two columns.
#[derive(Clone, Copy, Default)]
pub struct Queues {
    /// Recv-Q.
    pub receive: u32,
    /// Send-Q.
    pub send: u32,
}

/// Tells about sockets of a protocol.
pub trait Diag: Sized + 'static {
    /// The protocol.
    type Proto: StreamProto;
    /// What `INET_DIAG_INFO` has.
    type Info: Uapi;
    /// The protocol's number.
    const PROTOCOL: u16;

    /// All its sockets, by the number that a request may name one with.
    fn sockets() -> &'static Registry<Self::Proto>;
    /// Whether it is to be shown at all.
    fn shown(sk: &SockOf<Self::Proto>) -> bool;
    /// How full its queues are.
    fn queues(sk: &SockOf<Self::Proto>) -> Queues;
    /// Fills `info`, which is zero.
    fn info(sk: &SockOf<Self::Proto>, info: &mut Self::Info);
}

struct Handler(UnsafeCell<bindings::inet_diag_handler>);

// SAFETY: written in `register`, before the kernel is told of it.
unsafe impl Sync for Handler {}

// SAFETY: a table of pointers and numbers, for which zeroes are "none".
static HANDLER: Handler = unsafe { Handler(UnsafeCell::new(core::mem::zeroed())) };

/// Being registered; dropping it ends that, and waits for those who ask right now.
pub struct Registration<D>(PhantomData<D>);

impl<D: Diag> Registration<D> {
    /// Lets `D` answer. Once.
    ///
    /// # Errors
    ///
    /// `EEXIST` if somebody else answers for this protocol.
    pub fn register(module: &'static kernel::ThisModule) -> Result<Self> {
        // SAFETY: nobody uses the table before it is registered, nor changes it afterwards.
        unsafe {
            let handler = HANDLER.0.get();
            (*handler).owner = module.as_ptr().cast();
            (*handler).dump = Some(dump::<D>);
            (*handler).dump_one = Some(dump_one::<D>);
            (*handler).idiag_get_info = Some(get_info::<D>);
            (*handler).destroy = Some(destroy::<D>);
            (*handler).idiag_type = D::PROTOCOL;
            (*handler).idiag_info_size = size_of::<D::Info>() as u16;
            to_result(bindings::mrs_inet_diag_register(handler))?;
        }
        Ok(Self(PhantomData))
    }
}

impl<D> Drop for Registration<D> {
    fn drop(&mut self) {
        // SAFETY: registered by `register`.
        unsafe { bindings::mrs_inet_diag_unregister(HANDLER.0.get()) }
    }
}

/// Where an answer that takes several messages goes on.
#[repr(C)]
struct Place {
    bucket: usize,
    /// Sockets of that bucket that were looked at.
    done: usize,
}

const _: () = assert!(size_of::<Place>() <= 48);

type Request = bindings::inet_diag_req_v2;

/// The socket's family, addresses and ports as an answer has them.
fn identity<P: StreamProto>(sk: &SockOf<P>) -> bindings::inet_diag_msg {
    let mut msg = bindings::inet_diag_msg::default();
    // SAFETY: a valid inet socket; `msg` is ours.
    unsafe { bindings::mrs_inet_diag_msg_common_fill(&mut msg, sk.as_ptr()) };
    msg
}

/// Whether a request for many wants this one, its filter aside.
fn wanted<P: StreamProto>(sk: &SockOf<P>, req: &Request) -> bool {
    let any_or = |asked: u16, is: u16| asked == 0 || asked == is;
    let is = identity(sk);
    req.idiag_states & (1 << sk.state()) != 0
        && any_or(req.sdiag_family.into(), is.idiag_family.into())
        && any_or(req.id.idiag_sport, is.id.idiag_sport)
        && any_or(req.id.idiag_dport, is.id.idiag_dport)
}

/// Whether a request for one means this one.
fn meant<P: StreamProto>(sk: &SockOf<P>, req: &Request) -> bool {
    let is = identity(sk);
    let words = if sk.is_ipv6() { 4 } else { 1 };
    let same = |a: &[u32; 4], b: &[u32; 4]| a.iter().zip(b).take(words).all(|(a, b)| a == b);
    req.sdiag_family == is.idiag_family
        && req.id.idiag_sport == is.id.idiag_sport
        && req.id.idiag_dport == is.id.idiag_dport
        && same(&req.id.idiag_src, &is.id.idiag_src)
        && same(&req.id.idiag_dst, &is.id.idiag_dst)
        // SAFETY: the socket is valid, the cookie two words.
        && unsafe { bindings::sock_diag_check_cookie(sk.as_ptr(), req.id.idiag_cookie.as_ptr()) } == 0
}

/// The one that a request names: by its addresses, ports and cookie, or, without ports, by its number.
fn find<D: Diag>(net: &Net, req: &Request) -> Result<ARef<SockOf<D::Proto>>> {
    let mut found = None;
    if req.id.idiag_sport == 0 && req.id.idiag_dport == 0 {
        let [number, _] = req.id.idiag_cookie;
        found = D::sockets()
            .find(number)
            .filter(|sk| Net::of(sk).is_same(net));
    } else {
        let mut place = Some(0);
        while let (Some(at), None) = (place, &found) {
            place = D::sockets().walk(at, &mut |sk| {
                if Net::of(sk).is_same(net) && D::shown(sk) && meant(sk, req) {
                    found = Some(sk.hold_ours());
                }
            });
        }
    }
    found.ok_or(ENOENT)
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|err| err.to_errno(), |()| 0)
}

/// Adds messages about all sockets that are wanted, from where the last call has stopped, until there is
/// no room.
unsafe extern "C" fn dump<D: Diag>(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
    req: *const Request,
) {
    // SAFETY: netlink calls with a request, its callback and a buffer for the answer. The callback has
    // room for our place, zero at first.
    let (net, place, req) = unsafe {
        let place = core::ptr::addr_of_mut!((*cb).__bindgen_anon_1.ctx).cast::<Place>();
        (
            Net::from_raw(bindings::mrs_skb_net((*cb).skb)),
            &mut *place,
            &*req,
        )
    };
    let add = |sk: &SockOf<D::Proto>| {
        if !Net::of(sk).is_same(net) || !D::shown(sk) || !wanted(sk, req) {
            return true;
        }
        // SAFETY: as above; the socket is held.
        unsafe {
            !bindings::mrs_inet_diag_bc_sk(cb, sk.as_ptr())
                || bindings::mrs_inet_sk_diag_fill(
                    sk.as_ptr(),
                    skb,
                    cb,
                    req,
                    bindings::NLM_F_MULTI as u16,
                ) == 0
        }
    };
    loop {
        let (mut index, mut full) = (0, false);
        let next = D::sockets().walk(place.bucket, &mut |sk| {
            full = full || index >= place.done && !add(sk);
            index += 1;
            if !full {
                place.done = place.done.max(index);
            }
        });
        if full {
            return;
        }
        let Some(next) = next else {
            place.bucket = usize::MAX;
            return;
        };
        *place = Place {
            bucket: next,
            done: 0,
        };
    }
}

/// Answers a request for one socket.
unsafe extern "C" fn dump_one<D: Diag>(
    cb: *mut bindings::netlink_callback,
    req: *const Request,
) -> c_int {
    // SAFETY: as for `dump`; the answer is ours until it is sent.
    unsafe {
        let net = Net::from_raw(bindings::mrs_skb_net((*cb).skb));
        let sk = match find::<D>(net, &*req) {
            Ok(sk) => sk,
            Err(err) => return err.to_errno(),
        };
        let reply = bindings::mrs_inet_diag_reply_new(size_of::<D::Info>());
        if reply.is_null() {
            return ENOMEM.to_errno();
        }
        let err = bindings::mrs_inet_sk_diag_fill(sk.as_ptr(), reply, cb, req, 0);
        if err < 0 {
            bindings::mrs_nlmsg_free(reply);
            return err;
        }
        bindings::mrs_inet_diag_reply(cb, reply)
    }
}

/// Fills what depends on the protocol.
unsafe extern "C" fn get_info<D: Diag>(
    sk: *mut bindings::sock,
    msg: *mut bindings::inet_diag_msg,
    info: *mut core::ffi::c_void,
) {
    // SAFETY: our own `dump` and `dump_one` have diag call this, with a socket of this type, a message and
    // room for the information, or null.
    unsafe {
        let sk = SockOf::<D::Proto>::from_ptr(sk);
        let queues = D::queues(sk);
        (*msg).idiag_rqueue = queues.receive;
        (*msg).idiag_wqueue = queues.send;
        if !info.is_null() {
            let mut record = Record::<D::Info>::new();
            D::info(sk, &mut record);
            let bytes = record.bytes();
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), info.cast(), bytes.len());
        }
    }
}

/// Ends a connection. Diag leaves it to us to ask whether the user may.
unsafe extern "C" fn destroy<D: Diag>(skb: *mut bindings::sk_buff, req: *const Request) -> c_int {
    // SAFETY: as for `dump`. `sock_diag_destroy` checks the user's rights and calls `StreamProto::kill`.
    unsafe {
        let net = Net::from_raw(bindings::mrs_skb_net(skb));
        errno(find::<D>(net, &*req).and_then(|sk| {
            to_result(bindings::mrs_sock_diag_destroy(
                sk.as_ptr(),
                bindings::ECONNABORTED as c_int,
            ))
        }))
    }
}

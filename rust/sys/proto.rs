// SPDX-License-Identifier: GPL-2.0

//! Registration of a stream socket protocol: `struct proto`, `struct proto_ops`, `inet_protosw`, for IPv4
//! and IPv6, and a trampoline for each call.

use super::errno::eopnotsupp;
use super::msock::{on_release_cb, Accepted, Guard, SockOf, SockOf6, StreamProto};
use super::sock::Sock;
use super::tcp::KERNEL;
use super::uio::{Msg, OptIn, OptOut, SockAddr};
use crate::bindings;
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::error::{to_result, Error, Result};

/// The tables of one address family.
struct Family {
    proto: UnsafeCell<bindings::proto>,
    ops: UnsafeCell<bindings::proto_ops>,
    switch: UnsafeCell<bindings::inet_protosw>,
}

struct Tables([Family; 2]);

// SAFETY: filled by `register` before the kernel is told of them.
unsafe impl Sync for Tables {}

// SAFETY: tables of pointers and numbers, for which zeroes are "none".
static TABLES: Tables = unsafe { core::mem::zeroed() };
static WORKQUEUE: AtomicPtr<bindings::workqueue_struct> = AtomicPtr::new(core::ptr::null_mut());

/// Whether `prot` is one of ours.
#[inline]
pub(super) fn is_ours(prot: *const bindings::proto) -> bool {
    TABLES
        .0
        .iter()
        .any(|family| family.proto.get().cast_const() == prot)
}

/// The queue of the connections' work.
#[inline]
pub(super) fn workqueue() -> *mut bindings::workqueue_struct {
    WORKQUEUE.load(Ordering::Relaxed)
}

fn errno(result: Result) -> c_int {
    match result {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

fn count(result: Result<usize>) -> c_int {
    match result {
        Ok(n) => n as c_int,
        Err(err) => err.to_errno(),
    }
}

// The kernel calls all of these with a valid socket of ours, and with or without its lock as
// `StreamProto` says.

unsafe extern "C" fn init<P: StreamProto>(sk: *mut bindings::sock) -> c_int {
    // SAFETY: a new socket that nobody else knows.
    errno(unsafe { SockOf::<P>::init(sk) })
}

unsafe extern "C" fn close<P: StreamProto>(sk: *mut bindings::sock, timeout: isize) {
    // SAFETY: see above.
    P::close(unsafe { SockOf::from_ptr(sk) }, timeout);
}

unsafe extern "C" fn destroy(sk: *mut bindings::sock) {
    // SAFETY: `sk_common_release` calls once, for every socket that `init` has seen or `clone_for` has made. The
    // namespace still has its counters; it may not when the last reference goes.
    unsafe { bindings::mrs_prot_inuse(sk, -1) }
}

unsafe extern "C" fn connect<P: StreamProto>(
    sk: *mut bindings::sock,
    addr: *mut bindings::sockaddr,
    len: c_int,
) -> c_int {
    // SAFETY: see above; the address has `len` bytes; the lock is held.
    unsafe {
        errno(SockAddr::from_ptr(addr, len).and_then(|addr| P::connect(&mut Guard::held(sk), addr)))
    }
}

unsafe extern "C" fn disconnect<P: StreamProto>(sk: *mut bindings::sock, _flags: c_int) -> c_int {
    // SAFETY: see above; the lock is held.
    errno(P::disconnect(&mut unsafe { Guard::held(sk) }))
}

unsafe extern "C" fn shutdown<P: StreamProto>(sk: *mut bindings::sock, how: c_int) {
    // SAFETY: see above; the lock is held.
    P::shutdown(&mut unsafe { Guard::held(sk) }, how as u8);
}

unsafe extern "C" fn setsockopt<P: StreamProto>(
    sk: *mut bindings::sock,
    level: c_int,
    name: c_int,
    ptr: bindings::sockptr_t,
    len: core::ffi::c_uint,
) -> c_int {
    // SAFETY: see above.
    errno(P::setsockopt(
        unsafe { SockOf::from_ptr(sk) },
        level,
        name,
        OptIn { ptr, len },
    ))
}

unsafe extern "C" fn getsockopt<P: StreamProto>(
    sk: *mut bindings::sock,
    level: c_int,
    name: c_int,
    val: *mut u8,
    len: *mut c_int,
) -> c_int {
    let out = OptOut { val, len };
    // SAFETY: see above.
    errno(P::getsockopt(
        unsafe { SockOf::from_ptr(sk) },
        level,
        name,
        out,
    ))
}

unsafe extern "C" fn ioctl<P: StreamProto>(
    sk: *mut bindings::sock,
    cmd: c_int,
    arg: *mut c_int,
) -> c_int {
    // SAFETY: see above; the kernel's `sk_ioctl` gives an `int` in kernel memory.
    unsafe {
        match P::ioctl(SockOf::from_ptr(sk), cmd as u32) {
            Ok(value) => {
                *arg = value;
                0
            }
            Err(err) => err.to_errno(),
        }
    }
}

unsafe extern "C" fn sendmsg<P: StreamProto>(
    sk: *mut bindings::sock,
    msg: *mut bindings::msghdr,
    len: usize,
) -> c_int {
    // SAFETY: see above.
    unsafe {
        count(P::sendmsg(
            SockOf::from_ptr(sk),
            &mut Msg::from_ptr(msg),
            len,
        ))
    }
}

unsafe extern "C" fn recvmsg<P: StreamProto>(
    sk: *mut bindings::sock,
    msg: *mut bindings::msghdr,
    len: usize,
    flags: c_int,
    addr_len: *mut c_int,
) -> c_int {
    // SAFETY: see above.
    unsafe {
        if !addr_len.is_null() {
            *addr_len = 0;
        }
        count(P::recvmsg(
            SockOf::from_ptr(sk),
            &mut Msg::from_ptr(msg),
            len,
            flags as u32,
        ))
    }
}

unsafe extern "C" fn hash(_sk: *mut bindings::sock) -> c_int {
    0
}

unsafe extern "C" fn unhash(_sk: *mut bindings::sock) {}

unsafe extern "C" fn get_port(_sk: *mut bindings::sock, _port: core::ffi::c_ushort) -> c_int {
    -(bindings::EINVAL as c_int)
}

unsafe extern "C" fn kill<P: StreamProto>(sk: *mut bindings::sock, err: c_int) -> c_int {
    // SAFETY: see above.
    errno(P::kill(unsafe { SockOf::from_ptr(sk) }, err))
}

unsafe extern "C" fn op_bind<P: StreamProto>(
    sock: *mut bindings::socket,
    addr: *mut bindings::sockaddr,
    len: c_int,
) -> c_int {
    // SAFETY: see above; the address has `len` bytes.
    unsafe {
        let sk = SockOf::from_ptr((*sock).sk);
        errno(SockAddr::from_ptr(addr, len).and_then(|addr| P::bind(sk, addr)))
    }
}

unsafe extern "C" fn op_listen<P: StreamProto>(
    sock: *mut bindings::socket,
    backlog: c_int,
) -> c_int {
    // SAFETY: see above.
    unsafe {
        if (*sock).state != bindings::socket_state_SS_UNCONNECTED {
            return -(bindings::EINVAL as c_int);
        }
        errno(P::listen(SockOf::from_ptr((*sock).sk), backlog))
    }
}

unsafe extern "C" fn op_accept<P: StreamProto>(
    sock: *mut bindings::socket,
    newsock: *mut bindings::socket,
    arg: *mut bindings::proto_accept_arg,
) -> c_int {
    // SAFETY: see above; `newsock` is new. The accepted socket's own reference is the file's from here on.
    unsafe {
        let sk = SockOf::<P>::from_ptr((*sock).sk);
        let nonblock = (*arg).flags as u32 & bindings::O_NONBLOCK != 0;
        match P::accept(sk, nonblock, (*arg).kern) {
            Ok(Accepted::Ours(new)) => {
                let guard = new.lock();
                bindings::mrs_sock_graft(new.as_ptr(), newsock);
                (*newsock).state = bindings::socket_state_SS_CONNECTED;
                drop(guard);
                P::accepted(&new);
                0
            }
            Ok(Accepted::Plain(new)) => {
                let v6 = new.is_ipv6();
                let ops = if v6 {
                    KERNEL.v6_stream.load(Ordering::Relaxed)
                } else {
                    core::ptr::addr_of!(bindings::inet_stream_ops)
                };
                // `accept(2)` has taken a reference on the owner of the operations, and the socket's end will
                // give one up: each time, of those that it has then. The listener still holds our module.
                bindings::mrs_module_get((*ops).owner);
                bindings::mrs_module_put((*(*newsock).ops).owner);
                bindings::mrs_lock_sock(new.as_ptr());
                (*newsock).ops = ops;
                bindings::mrs_sock_graft(new.as_ptr(), newsock);
                (*newsock).state = bindings::socket_state_SS_CONNECTED;
                bindings::release_sock(new.as_ptr());
                0
            }
            Err(err) => err.to_errno(),
        }
    }
}

unsafe extern "C" fn op_poll<P: StreamProto>(
    file: *mut bindings::file,
    sock: *mut bindings::socket,
    table: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: see above.
    unsafe {
        bindings::mrs_poll_wait(file, sock, table);
        P::poll(SockOf::from_ptr((*sock).sk)) as _
    }
}

unsafe extern "C" fn op_sendmsg<P: StreamProto>(
    sock: *mut bindings::socket,
    msg: *mut bindings::msghdr,
    len: usize,
) -> c_int {
    // SAFETY: see above.
    unsafe { sendmsg::<P>((*sock).sk, msg, len) }
}

unsafe extern "C" fn op_recvmsg<P: StreamProto>(
    sock: *mut bindings::socket,
    msg: *mut bindings::msghdr,
    len: usize,
    flags: c_int,
) -> c_int {
    // SAFETY: see above.
    unsafe {
        (*msg).msg_namelen = 0;
        recvmsg::<P>((*sock).sk, msg, len, flags, core::ptr::null_mut())
    }
}

/// Fills a family's `struct proto` from TCP's.
///
/// # Safety
///
/// `tcp` is TCP's protocol of that family, `to` is not in use.
unsafe fn fill_proto<P: StreamProto>(
    to: *mut bindings::proto,
    tcp: *const bindings::proto,
    v6: bool,
    owner: *mut bindings::module,
) {
    // SAFETY: the caller's promise. What memory limits and sysctls a socket has are TCP's own; what
    // belongs to TCP's hash tables, requests and slabs is not taken over.
    unsafe {
        let p = &mut *to;
        *p = core::mem::zeroed();
        p.close = Some(close::<P>);
        p.connect = Some(connect::<P>);
        p.disconnect = Some(disconnect::<P>);
        p.init = Some(init::<P>);
        p.destroy = Some(destroy);
        p.shutdown = Some(shutdown::<P>);
        p.setsockopt = Some(setsockopt::<P>);
        p.getsockopt = Some(getsockopt::<P>);
        p.ioctl = Some(ioctl::<P>);
        p.sendmsg = Some(sendmsg::<P>);
        p.recvmsg = Some(recvmsg::<P>);
        p.release_cb = Some(on_release_cb::<P>);
        p.hash = Some(hash);
        p.unhash = Some(unhash);
        p.get_port = Some(get_port);
        p.diag_destroy = Some(kill::<P>);
        let t = &*tcp;
        p.enter_memory_pressure = t.enter_memory_pressure;
        p.leave_memory_pressure = t.leave_memory_pressure;
        p.memory_allocated = t.memory_allocated;
        p.per_cpu_fw_alloc = t.per_cpu_fw_alloc;
        p.sockets_allocated = t.sockets_allocated;
        p.memory_pressure = t.memory_pressure;
        p.sysctl_mem = t.sysctl_mem;
        p.sysctl_wmem = t.sysctl_wmem;
        p.sysctl_rmem = t.sysctl_rmem;
        p.sysctl_wmem_offset = t.sysctl_wmem_offset;
        p.sysctl_rmem_offset = t.sysctl_rmem_offset;
        p.orphan_count = t.orphan_count;
        p.h = t.h;
        p.max_header = t.max_header;
        p.no_autobind = true;
        p.slab_flags = 0;
        p.owner = owner;
        if v6 {
            p.obj_size = core::mem::size_of::<SockOf6<P>>() as u32;
            p.ipv6_pinfo_offset = core::mem::offset_of!(SockOf6<P>, np) as u32;
        } else {
            p.obj_size = core::mem::size_of::<SockOf<P>>() as u32;
        }
        let name: &[u8] = if v6 { b"MPTCPv6\0" } else { b"MPTCP\0" };
        for (to, from) in p.name.iter_mut().zip(name) {
            *to = *from as _;
        }
    }
}

/// Fills a family's `struct proto_ops` from TCP's.
///
/// # Safety
///
/// As [`fill_proto`].
unsafe fn fill_ops<P: StreamProto>(
    to: *mut bindings::proto_ops,
    tcp: *const bindings::proto_ops,
    owner: *mut bindings::module,
) {
    // SAFETY: the caller's promise. Everything that looks into a `tcp_sock` is replaced or taken out.
    unsafe {
        core::ptr::copy_nonoverlapping(tcp, to, 1);
        let o = &mut *to;
        o.owner = owner;
        o.bind = Some(op_bind::<P>);
        o.listen = Some(op_listen::<P>);
        o.accept = Some(op_accept::<P>);
        o.poll = Some(op_poll::<P>);
        o.sendmsg = Some(op_sendmsg::<P>);
        o.recvmsg = Some(op_recvmsg::<P>);
        o.mmap = Some(bindings::sock_no_mmap);
        o.splice_read = None;
        o.splice_eof = None;
        o.set_peek_off = None;
        o.peek_len = None;
        o.read_sock = None;
        o.read_skb = None;
        o.sendmsg_locked = None;
        o.set_rcvlowat = None;
    }
}

/// Our registration; dropping it ends it.
pub struct Registration {
    v6: bool,
}

/// Registers `P` as IP protocol `protocol`, for `SOCK_STREAM`.
///
/// # Errors
///
/// `ENOMEM`, or what the kernel says when the protocol is there already.
pub fn register<P: StreamProto>(
    module: &'static kernel::ThisModule,
    protocol: u16,
) -> Result<Registration> {
    let owner: *mut bindings::module = module.as_ptr().cast();
    let v6_ops = KERNEL.v6_stream.load(Ordering::Relaxed);
    // SAFETY: called once at load; the tables are not in use before they are registered, and what was
    // registered is taken back on failure.
    unsafe {
        let queue = bindings::mrs_workqueue(kernel::c_str!("mptcp").as_char_ptr());
        if queue.is_null() {
            return Err(kernel::error::code::ENOMEM);
        }
        WORKQUEUE.store(queue, Ordering::Release);
        let mut registration = Registration { v6: false };
        let families: [(_, *const bindings::proto, *const bindings::proto_ops); 2] = [
            (
                &TABLES.0[0],
                core::ptr::addr_of!(bindings::tcp_prot),
                core::ptr::addr_of!(bindings::inet_stream_ops),
            ),
            (
                &TABLES.0[1],
                core::ptr::addr_of!(bindings::tcpv6_prot),
                v6_ops,
            ),
        ];
        for (index, (family, tcp, ops)) in families.into_iter().enumerate() {
            if ops.is_null() {
                break;
            }
            fill_proto::<P>(family.proto.get(), tcp, index == 1, owner);
            fill_ops::<P>(family.ops.get(), ops, owner);
            let err = bindings::proto_register(family.proto.get(), 1);
            if err != 0 {
                if index == 1 {
                    drop(registration);
                } else {
                    bindings::destroy_workqueue(queue);
                    core::mem::forget(registration);
                }
                return Err(Error::from_errno(err));
            }
            let switch = &mut *family.switch.get();
            switch.type_ = bindings::sock_type_SOCK_STREAM as _;
            switch.protocol = protocol;
            switch.prot = family.proto.get();
            switch.ops = family.ops.get();
            switch.flags = bindings::INET_PROTOSW_ICSK as _;
            if index == 0 {
                bindings::inet_register_protosw(switch);
            } else {
                let err = bindings::inet6_register_protosw(switch);
                if err != 0 {
                    bindings::proto_unregister(family.proto.get());
                    drop(registration);
                    return to_result(err).map(|()| Registration { v6: false });
                }
                registration.v6 = true;
            }
        }
        Ok(registration)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: registered by `register`. No socket is left: each holds the module.
        unsafe {
            if self.v6 {
                bindings::inet6_unregister_protosw(TABLES.0[1].switch.get());
                bindings::proto_unregister(TABLES.0[1].proto.get());
            }
            bindings::inet_unregister_protosw(TABLES.0[0].switch.get());
            bindings::destroy_workqueue(workqueue());
            bindings::rcu_barrier();
            bindings::proto_unregister(TABLES.0[0].proto.get());
        }
    }
}

/// Sets a `SOL_SOCKET` option of `sk`, as `setsockopt(2)` does.
///
/// # Errors
///
/// As `setsockopt(2)`.
pub fn sock_setsockopt(sk: &Sock, level: i32, name: i32, value: OptIn) -> Result {
    // SAFETY: the socket is valid and unlocked.
    to_result(unsafe {
        bindings::mrs_sock_setsockopt(sk.as_ptr(), level, name, value.ptr, value.len)
    })
}

/// Sets an option of a TCP socket at the levels `SOL_TCP`, `SOL_IP`, `SOL_IPV6`.
///
/// # Errors
///
/// As `setsockopt(2)`.
pub fn tcp_setsockopt(sk: &Sock, level: i32, name: i32, value: OptIn) -> Result {
    // SAFETY: the socket is a valid, unlocked TCP socket.
    unsafe {
        let prot = (*sk.as_ptr()).__sk_common.skc_prot;
        match (*prot).setsockopt {
            Some(f) => to_result(f(sk.as_ptr(), level, name, value.ptr, value.len)),
            None => Err(eopnotsupp()),
        }
    }
}

/// Reads an option of a TCP socket; see [`tcp_setsockopt`].
///
/// # Errors
///
/// As `getsockopt(2)`.
pub fn tcp_getsockopt(sk: &Sock, level: i32, name: i32, value: OptOut) -> Result {
    // SAFETY: as above.
    unsafe {
        let prot = (*sk.as_ptr()).__sk_common.skc_prot;
        match (*prot).getsockopt {
            Some(f) => to_result(f(sk.as_ptr(), level, name, value.val, value.len)),
            None => Err(eopnotsupp()),
        }
    }
}

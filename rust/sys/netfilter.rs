// SPDX-License-Identifier: GPL-2.0

//! Seeing packets on their way to and from the host's own sockets.
//!
//! Every namespace with a [`super::pernet::NetState`] has a [`HookSet`]. Its hooks are in place while there are
//! users: the first one registers them, and a while after the last one has gone they are taken out again, so
//! that a namespace pays for them only when it needs them.
//!
//! C header: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h)

use super::net::Net;
use super::skb::Skb;
use super::time::Jiffies;
use crate::bindings;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};
use kernel::ffi::{c_uint, c_void};
use kernel::prelude::*;
use kernel::sync::{new_mutex, Mutex};
use kernel::types::Opaque;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Verdict {
    /// It goes on.
    Accept = bindings::NF_ACCEPT,
    /// The kernel frees it.
    Drop = bindings::NF_DROP,
}

/// What looks at packets.
pub trait Hook: Send + Sync + 'static {
    /// A packet for this host, before any protocol has seen it, after every other hook. It is complete (not a
    /// fragment) and starts at its IP header; `family` is `AF_INET` or `AF_INET6`. Softirq context, under RCU.
    fn local_in(packet: &mut Skb, net: &Net, family: u16) -> Verdict;

    /// A packet of this host, before any other hook. It starts at its IP header. Softirq or process context,
    /// under RCU; what sent it may hold its socket's lock.
    fn local_out(packet: &mut Skb, net: &Net, family: u16) -> Verdict;
}

/// Looks at nothing: for a state that needs no hooks.
pub struct NoHook;

impl Hook for NoHook {
    fn local_in(_: &mut Skb, _: &Net, _: u16) -> Verdict {
        Verdict::Accept
    }

    fn local_out(_: &mut Skb, _: &Net, _: u16) -> Verdict {
        Verdict::Accept
    }
}

/// How long the hooks stay when the last user has gone.
const LINGER: Jiffies = Jiffies::from_secs(5);

const HOOKS: usize = 4;

const AF_INET: u16 = bindings::AF_INET as u16;
const AF_INET6: u16 = bindings::AF_INET6 as u16;
const LOCAL_IN: u32 = bindings::nf_inet_hooks_NF_INET_LOCAL_IN;
const LOCAL_OUT: u32 = bindings::nf_inet_hooks_NF_INET_LOCAL_OUT;

type HookFn = unsafe extern "C" fn(
    *mut c_void,
    *mut bindings::sk_buff,
    *const bindings::nf_hook_state,
) -> c_uint;

fn op(family: u32, hooknum: u32, hook: HookFn) -> bindings::nf_hook_ops {
    bindings::nf_hook_ops {
        hook: Some(hook),
        pf: family as u8,
        hooknum,
        // Closest to the sockets on both ways: filters have seen what comes in, and see what goes out.
        priority: if hooknum == LOCAL_IN {
            i32::MAX
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}

/// The hooks of one namespace, counted by those who need them.
#[pin_data(PinnedDrop)]
pub struct HookSet<H: Hook> {
    users: AtomicUsize,
    #[pin]
    registered: Mutex<bool>,
    #[pin]
    ops: Opaque<[bindings::nf_hook_ops; HOOKS]>,
    #[pin]
    idle: Opaque<bindings::delayed_work>,
    net: *const Net,
    _hook: PhantomData<H>,
}

// SAFETY: the operations are only changed by netfilter under its lock, the work item by the workqueue under
// its; the namespace is `Sync`.
unsafe impl<H: Hook> Send for HookSet<H> {}
// SAFETY: as above.
unsafe impl<H: Hook> Sync for HookSet<H> {}

impl<H: Hook> HookSet<H> {
    /// A set for `net`, not in place yet.
    ///
    /// # Safety
    ///
    /// [`HookSet::close`] is called, and a grace period passes, before `net` goes away.
    pub(super) unsafe fn new(net: &Net) -> impl PinInit<Self> {
        let net: *const Net = net;
        pin_init!(HookSet {
            users: AtomicUsize::new(0),
            registered <- new_mutex!(false, "mptcp_hooks"),
            ops: Opaque::new([
                op(bindings::NFPROTO_IPV4, LOCAL_IN, Self::local_in::<AF_INET>),
                op(bindings::NFPROTO_IPV4, LOCAL_OUT, Self::local_out::<AF_INET>),
                op(bindings::NFPROTO_IPV6, LOCAL_IN, Self::local_in::<AF_INET6>),
                op(bindings::NFPROTO_IPV6, LOCAL_OUT, Self::local_out::<AF_INET6>),
            ]),
            // SAFETY: the slot is a work item's, and is pinned.
            idle <- Opaque::ffi_init(|slot| unsafe {
                bindings::mrs_init_delayed_work(slot, Some(Self::idle))
            }),
            net,
            _hook: PhantomData,
        })
    }

    /// Adds a user, and puts the hooks in place for the first one. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `E2BIG` when there are too many hooks of others.
    pub fn get(&self) -> Result {
        let mut registered = self.registered.lock();
        if !*registered {
            // SAFETY: the namespace is alive: its state, which we are part of, is. The operations are pinned,
            // and stay until they are unregistered.
            kernel::error::to_result(unsafe {
                bindings::nf_register_net_hooks(
                    self.net().as_ptr(),
                    self.ops.get().cast(),
                    HOOKS as c_uint,
                )
            })?;
            *registered = true;
        }
        // Under the lock: `idle` must not see none after we have seen the hooks in place.
        self.users.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Adds a user while there is another one, whose hooks are in place. From any context.
    pub fn get_more(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
    }

    /// A user goes. From any context.
    pub fn put(&self) {
        if self.users.fetch_sub(1, Ordering::Release) == 1 {
            // SAFETY: initialized in `new`. `close`, or `drop` at the latest, cancels it.
            unsafe { bindings::mrs_schedule_delayed_work(self.idle.get(), LINGER.0) };
        }
    }

    /// How many users there are.
    #[cfg(MPTCP_KUNIT)]
    pub fn users(&self) -> usize {
        self.users.load(Ordering::Relaxed)
    }

    /// Takes the hooks out, whoever uses them. May sleep. A packet may be in a hook until a grace period has passed.
    pub(super) fn close(&self) {
        // SAFETY: initialized in `new`.
        unsafe { bindings::cancel_delayed_work_sync(self.idle.get()) };
        self.unregister(&mut self.registered.lock());
    }

    fn net(&self) -> &Net {
        // SAFETY: it outlives us, by the promise to `new`.
        unsafe { &*self.net }
    }

    fn unregister(&self, registered: &mut bool) {
        if core::mem::take(registered) {
            // SAFETY: registered in `get`.
            unsafe {
                bindings::nf_unregister_net_hooks(
                    self.net().as_ptr(),
                    self.ops.get().cast(),
                    HOOKS as c_uint,
                )
            }
        }
    }

    /// # Safety
    ///
    /// Called by the workqueue with the item of a set.
    unsafe extern "C" fn idle(work: *mut bindings::work_struct) {
        // SAFETY: it is the `work` of the `idle` of a set, which is pinned and cancels it before it is dropped.
        let this = unsafe {
            let idle = kernel::container_of!(work, bindings::delayed_work, work);
            &*kernel::container_of!(idle, Self, idle)
        };
        let mut registered = this.registered.lock();
        if this.users.load(Ordering::Acquire) == 0 {
            this.unregister(&mut registered);
        }
    }

    /// # Safety
    ///
    /// Called by netfilter.
    unsafe extern "C" fn local_in<const FAMILY: u16>(
        _: *mut c_void,
        skb: *mut bindings::sk_buff,
        state: *const bindings::nf_hook_state,
    ) -> c_uint {
        // SAFETY: netfilter gives the packet to the hook alone, and a namespace that is alive.
        let (packet, net) = unsafe { (Skb::from_raw_mut(skb), Net::from_raw((*state).net)) };
        H::local_in(packet, net, FAMILY) as c_uint
    }

    /// # Safety
    ///
    /// Called by netfilter.
    unsafe extern "C" fn local_out<const FAMILY: u16>(
        _: *mut c_void,
        skb: *mut bindings::sk_buff,
        state: *const bindings::nf_hook_state,
    ) -> c_uint {
        // SAFETY: as in `local_in`.
        let (packet, net) = unsafe { (Skb::from_raw_mut(skb), Net::from_raw((*state).net)) };
        H::local_out(packet, net, FAMILY) as c_uint
    }
}

#[pinned_drop]
impl<H: Hook> PinnedDrop for HookSet<H> {
    fn drop(self: Pin<&mut Self>) {
        self.close();
    }
}

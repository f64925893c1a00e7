// SPDX-License-Identifier: GPL-2.0

//! Generic netlink families.
//!
//! A family is a type that implements [`Family`]; [`Registration::register`] offers it to user space. Its
//! commands run one at a time, in process context, with the family's lock held.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

use super::errno::{emsgsize, eopnotsupp};
use super::net::Net;
use super::netlink::{Attr, AttrPolicy, Message};
use crate::bindings;
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::marker::PhantomData;
use core::ptr::{addr_of_mut, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::error::to_result;
use kernel::prelude::*;

/// A command of a family.
pub struct Command {
    /// Its number.
    pub cmd: u8,
    /// Its attributes: that of number `n` is element `n`. Checked before the command runs, as liberally as
    /// families do that are older than strict checking; what is longer than the policy is let pass, as are
    /// numbers that it does not have.
    pub policy: &'static [AttrPolicy],
    /// Only for those who have `CAP_NET_ADMIN` in the namespace.
    pub admin: bool,
    /// Does it.
    pub run: fn(&mut Request<'_>) -> Result,
    /// Answers with a list: `NLM_F_DUMP`.
    pub dump: Option<fn(&mut Dump<'_>) -> Result>,
}

/// A multicast group of a family.
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// Only for those who have `CAP_NET_ADMIN` in the namespace.
    pub admin: bool,
}

/// Where the kernel's view of a family is.
pub struct Cell {
    family: UnsafeCell<bindings::genl_family>,
    registered: AtomicBool,
}

// SAFETY: written in `register` and `drop`, of which the flag admits one, and otherwise by the kernel.
unsafe impl Sync for Cell {}

impl Cell {
    /// That of a family that is not registered.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            // SAFETY: numbers and pointers, for which zeroes are "none".
            family: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            registered: AtomicBool::new(false),
        }
    }
}

/// A generic netlink family, one of which exists in every network namespace.
pub trait Family: Sized + 'static {
    /// Its name, at most 15 bytes.
    const NAME: &'static str;
    /// Its version.
    const VERSION: u8;
    /// Its commands.
    const COMMANDS: &'static [Command];
    /// Its multicast groups.
    const GROUPS: &'static [Group];

    /// Where the kernel's view of it is: a static of its own.
    fn cell() -> &'static Cell;
}

/// The registration of a family. Ends when dropped: then no command runs any more.
pub struct Registration<F: Family> {
    _ops: KVec<bindings::genl_ops>,
    _groups: KVec<bindings::genl_multicast_group>,
    _family: PhantomData<F>,
}

// SAFETY: the kernel's functions have locks of their own; the vectors are only kept.
unsafe impl<F: Family> Send for Registration<F> {}
// SAFETY: nothing can be done with a shared reference.
unsafe impl<F: Family> Sync for Registration<F> {}

fn copy_name(to: &mut [kernel::ffi::c_char], name: &str) {
    let room = to.len().saturating_sub(1);
    for (to, from) in to.iter_mut().take(room).zip(name.bytes()) {
        *to = from as kernel::ffi::c_char;
    }
}

impl<F: Family> Registration<F> {
    /// Offers the family to user space.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is a family of that name, `ENOMEM`.
    pub fn register(module: &'static kernel::ThisModule) -> Result<Self> {
        let mut ops = KVec::with_capacity(F::COMMANDS.len(), GFP_KERNEL)?;
        for command in F::COMMANDS {
            let op = bindings::genl_ops {
                doit: Some(doit::<F>),
                dumpit: command.dump.map(|_| dumpit::<F> as _),
                policy: command.policy.as_ptr().cast(),
                maxattr: command.policy.len().saturating_sub(1) as u32,
                cmd: command.cmd,
                flags: if command.admin {
                    bindings::GENL_UNS_ADMIN_PERM as u8
                } else {
                    0
                },
                validate: bindings::genl_validate_flags_GENL_DONT_VALIDATE_STRICT as u8,
                ..Default::default()
            };
            ops.push(op, GFP_KERNEL)?;
        }
        let mut groups = KVec::with_capacity(F::GROUPS.len(), GFP_KERNEL)?;
        for group in F::GROUPS {
            let mut entry = bindings::genl_multicast_group::default();
            copy_name(&mut entry.name, group.name);
            if group.admin {
                entry.flags = bindings::GENL_MCAST_CAP_NET_ADMIN;
            }
            groups.push(entry, GFP_KERNEL)?;
        }
        let cell = F::cell();
        if cell.registered.swap(true, Ordering::AcqRel) {
            return Err(EEXIST);
        }
        let last = F::COMMANDS.iter().map(|command| command.cmd).max();
        // SAFETY: the flag says that the cell is ours. What the family points to lives until `drop` has
        // unregistered it, or longer.
        let result = unsafe {
            let family = cell.family.get();
            *family = core::mem::zeroed();
            copy_name(&mut (*family).name, F::NAME);
            (*family).version = F::VERSION.into();
            (*family).set_netnsok(1);
            (*family).module = module.as_ptr().cast();
            (*family).ops = ops.as_ptr();
            (*family).n_ops = ops.len() as u8;
            (*family).resv_start_op = last.unwrap_or(0).saturating_add(1);
            (*family).mcgrps = groups.as_ptr();
            (*family).n_mcgrps = groups.len() as u8;
            to_result(bindings::genl_register_family(family))
        };
        if let Err(err) = result {
            cell.registered.store(false, Ordering::Release);
            return Err(err);
        }
        Ok(Self {
            _ops: ops,
            _groups: groups,
            _family: PhantomData,
        })
    }
}

impl<F: Family> Drop for Registration<F> {
    fn drop(&mut self) {
        let cell = F::cell();
        cell.registered.store(false, Ordering::Release);
        // SAFETY: registered by `register`. This waits for commands that run.
        unsafe { bindings::genl_unregister_family(cell.family.get()) };
    }
}

impl Cell {
    fn registered(&self) -> Option<*mut bindings::genl_family> {
        let is = self.registered.load(Ordering::Acquire);
        is.then_some(self.family.get())
    }
}

/// Whether anybody in the namespace listens to the group of the family in `cell`, by its place in
/// [`Family::GROUPS`]. From any context.
pub fn has_listeners(cell: &Cell, net: &Net, group: u32) -> bool {
    cell.registered().is_some_and(|family| {
        // SAFETY: the family is registered, and the namespace is valid.
        unsafe { bindings::mrs_genl_has_listeners(family, net.as_ptr(), group) }
    })
}

/// Sends a message to those in the namespace who listen to the group; nothing if there is nobody, or no
/// memory. From any context.
pub fn multicast(
    cell: &Cell,
    net: &Net,
    group: u32,
    cmd: u8,
    fill: impl FnOnce(&mut Message<'_>) -> Result,
) {
    if !has_listeners(cell, net, group) {
        return;
    }
    let (Some(family), Some(buffer)) = (cell.registered(), Buffer::new(bindings::GFP_ATOMIC))
    else {
        return;
    };
    // SAFETY: the family is registered, the buffer ours until it is sent.
    unsafe {
        let head = bindings::genlmsg_put(buffer.0.as_ptr(), 0, 0, family, 0, cmd);
        if head.is_null() || fill(&mut Message::from_ptr(buffer.0)).is_err() {
            return;
        }
        bindings::mrs_genlmsg_end(buffer.0.as_ptr(), head);
        let net = net.as_ptr();
        let skb = buffer.into_raw();
        let gfp = bindings::GFP_ATOMIC;
        bindings::mrs_genlmsg_multicast_netns(family, net, skb, 0, group, gfp);
    }
}

/// The buffer of a message, freed when dropped.
struct Buffer(NonNull<bindings::sk_buff>);

impl Buffer {
    fn new(gfp: bindings::gfp_t) -> Option<Self> {
        // SAFETY: callable in any context that `gfp` fits.
        NonNull::new(unsafe { bindings::mrs_genlmsg_new(gfp) }).map(Self)
    }

    fn into_raw(self) -> *mut bindings::sk_buff {
        core::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { bindings::mrs_nlmsg_free(self.0.as_ptr()) }
    }
}

/// A request of user space.
///
/// # Invariants
///
/// The pointer is valid, and nobody else uses what it points to, for as long as this lives. `command` is what it
/// asks for, so that there is an attribute, or null, for each element of its policy.
pub struct Request<'a> {
    info: NonNull<bindings::genl_info>,
    command: &'static Command,
    _life: PhantomData<&'a mut bindings::genl_info>,
}

impl<'a> Request<'a> {
    fn info(&self) -> *mut bindings::genl_info {
        self.info.as_ptr()
    }

    /// The namespace that it is about.
    pub fn net(&self) -> &'a Net {
        // SAFETY: a request's namespace is held by the socket that it came from.
        unsafe { Net::from_raw(bindings::mrs_genl_info_net(self.info())) }
    }

    /// The attribute `kind`, if the command has such a one.
    pub fn attr(&self, kind: u32) -> Option<Attr<'a>> {
        let kind = kind as usize;
        if kind >= self.command.policy.len() {
            return None;
        }
        // SAFETY: by the type's invariant. Attributes were checked, and live as long as the request.
        unsafe { Attr::from_ptr(*(*self.info()).attrs.add(kind)) }
    }

    /// Says in the answer what is wrong, and with which attribute.
    pub fn complain(&mut self, attr: Option<Attr<'_>>, message: &'static CStr) {
        let attr = attr.map_or(core::ptr::null(), |attr| attr.as_ptr());
        // SAFETY: by the type's invariant; the message lives forever.
        unsafe { bindings::mrs_genl_info_err_attr(self.info(), attr, message.as_char_ptr()) }
    }

    /// Says in the answer that the attribute `kind` is missing, in `nest` if that is given.
    pub fn missing(&mut self, nest: Option<Attr<'_>>, kind: u32, message: &'static CStr) {
        self.complain(None, message);
        let nest = nest.map_or(core::ptr::null(), |attr| attr.as_ptr());
        // SAFETY: by the type's invariant.
        unsafe { bindings::mrs_genl_info_missing_attr(self.info(), nest, kind) }
    }

    /// The attributes in `nest`, checked by `policy`, which has `N` elements.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `ERANGE`: they are not as the policy wants them. The answer says where.
    pub fn nested<const N: usize>(
        &mut self,
        nest: Attr<'a>,
        policy: &'static [AttrPolicy; N],
    ) -> Result<[Option<Attr<'a>>; N]> {
        // SAFETY: by the type's invariant.
        let extack = unsafe { (*self.info()).extack };
        nest.parse(policy, extack)
    }

    /// Answers with one message, of the command that was asked.
    ///
    /// # Errors
    ///
    /// What `fill` says, `ENOMEM`, `EMSGSIZE`, or what sending says.
    pub fn reply(&mut self, fill: impl FnOnce(&mut Message<'_>) -> Result) -> Result {
        let buffer = Buffer::new(bindings::GFP_KERNEL).ok_or(ENOMEM)?;
        // SAFETY: by the type's invariant; the buffer is ours until it is sent.
        unsafe {
            let cmd = (*(*self.info()).genlhdr).cmd;
            let head = bindings::mrs_genlmsg_put_reply(buffer.0.as_ptr(), self.info(), cmd);
            if head.is_null() {
                return Err(emsgsize());
            }
            fill(&mut Message::from_ptr(buffer.0))?;
            bindings::mrs_genlmsg_end(buffer.0.as_ptr(), head);
            to_result(bindings::mrs_genlmsg_reply(buffer.into_raw(), self.info()))
        }
    }
}

/// A request for a list, answered with several messages.
///
/// # Invariants
///
/// The pointers are valid, and nobody else uses what they point to, for as long as this lives.
pub struct Dump<'a> {
    skb: NonNull<bindings::sk_buff>,
    cb: NonNull<bindings::netlink_callback>,
    request: Request<'a>,
}

impl<'a> Dump<'a> {
    /// The request.
    pub fn request(&mut self) -> &mut Request<'a> {
        &mut self.request
    }

    /// Where to go on, with the next buffer: zero at first.
    pub fn place(&mut self) -> &mut usize {
        // SAFETY: by the type's invariant; the place is the caller's to use, and zero at first.
        unsafe { &mut *addr_of_mut!((*self.cb.as_ptr()).__bindgen_anon_1.ctx).cast::<usize>() }
    }

    /// Adds a message of the command that was asked.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`: there is no room for it in this buffer.
    pub fn add(&mut self, fill: impl FnOnce(&mut Message<'_>) -> Result) -> Result {
        let info = self.request.info();
        // SAFETY: by the type's invariant.
        unsafe {
            let head = bindings::genlmsg_put(
                self.skb.as_ptr(),
                (*info).snd_portid,
                (*info).snd_seq,
                (*info).family,
                bindings::NLM_F_MULTI as c_int,
                (*(*info).genlhdr).cmd,
            );
            if head.is_null() {
                return Err(emsgsize());
            }
            match fill(&mut Message::from_ptr(self.skb)) {
                Ok(()) => {
                    bindings::mrs_genlmsg_end(self.skb.as_ptr(), head);
                    Ok(())
                }
                Err(err) => {
                    bindings::mrs_genlmsg_cancel(self.skb.as_ptr(), head);
                    Err(err)
                }
            }
        }
    }
}

/// A request, as the kernel passes it.
///
/// # Safety
///
/// `info` is valid, and the caller's alone, for the chosen lifetime.
unsafe fn request<'a, F: Family>(info: *mut bindings::genl_info) -> Option<Request<'a>> {
    let info = NonNull::new(info)?;
    // SAFETY: by this function's rule.
    let cmd = unsafe { (*(*info.as_ptr()).genlhdr).cmd };
    let command = F::COMMANDS.iter().find(|command| command.cmd == cmd)?;
    // INVARIANT: the caller's promise, and the kernel has sized the array by the command's policy.
    Some(Request {
        info,
        command,
        _life: PhantomData,
    })
}

/// # Safety
///
/// Called by generic netlink.
unsafe extern "C" fn doit<F: Family>(
    _skb: *mut bindings::sk_buff,
    info: *mut bindings::genl_info,
) -> c_int {
    // SAFETY: valid for the time of the call, and ours.
    let Some(mut request) = (unsafe { request::<F>(info) }) else {
        return eopnotsupp().to_errno();
    };
    let run = request.command.run;
    run(&mut request).map_or_else(|err| err.to_errno(), |()| 0)
}

/// # Safety
///
/// Called by generic netlink.
unsafe extern "C" fn dumpit<F: Family>(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
) -> c_int {
    // SAFETY: valid for the time of the call, and ours.
    let request = unsafe { request::<F>(bindings::mrs_genl_info_dump(cb).cast_mut()) };
    let (Some(request), Some(skb), Some(cb)) = (request, NonNull::new(skb), NonNull::new(cb))
    else {
        return eopnotsupp().to_errno();
    };
    let Some(list) = request.command.dump else {
        return eopnotsupp().to_errno();
    };
    // INVARIANT: as above.
    match list(&mut Dump { skb, cb, request }) {
        // SAFETY: valid, as above. Nothing written means the end.
        Ok(()) => unsafe { (*skb.as_ptr()).len as c_int },
        Err(err) => err.to_errno(),
    }
}

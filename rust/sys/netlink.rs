// SPDX-License-Identifier: GPL-2.0

//! Netlink attributes: writing and reading them.
//!
//! C header: [`include/net/netlink.h`](srctree/include/net/netlink.h)

use super::errno::emsgsize;
use crate::bindings;
use core::marker::PhantomData;
use core::mem::size_of;
use core::ptr::NonNull;
use kernel::error::{to_result, Result};

/// A message that is being written.
///
/// # Invariants
///
/// The buffer is valid and nobody else's for as long as this lives.
pub struct Message<'a>(
    NonNull<bindings::sk_buff>,
    PhantomData<&'a mut bindings::sk_buff>,
);

impl Message<'_> {
    /// # Safety
    ///
    /// `skb` is a netlink message's buffer, the caller's alone for the chosen lifetime.
    pub(super) unsafe fn from_ptr(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: the caller's promise.
        Self(skb, PhantomData)
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// Adds an attribute.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` if there is no room; so for all functions here.
    pub fn put(&mut self, kind: u32, payload: &[u8]) -> Result {
        // SAFETY: the buffer is ours; the length is the payload's.
        to_result(unsafe {
            bindings::nla_put(
                self.as_ptr(),
                kind as i32,
                payload.len() as i32,
                payload.as_ptr().cast(),
            )
        })
    }

    /// Adds a number.
    pub fn put_u8(&mut self, kind: u32, value: u8) -> Result {
        self.put(kind, &[value])
    }

    /// Adds a number.
    pub fn put_u16(&mut self, kind: u32, value: u16) -> Result {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds a number.
    pub fn put_u32(&mut self, kind: u32, value: u32) -> Result {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds a number.
    pub fn put_i32(&mut self, kind: u32, value: i32) -> Result {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds a number, aligned by an attribute of the type `pad` before it.
    pub fn put_u64(&mut self, kind: u32, value: u64, pad: u32) -> Result {
        // SAFETY: the buffer is ours; the length is the number's.
        to_result(unsafe {
            bindings::nla_put_64bit(
                self.as_ptr(),
                kind as i32,
                size_of::<u64>() as i32,
                core::ptr::addr_of!(value).cast(),
                pad as i32,
            )
        })
    }

    /// Adds an attribute that contains what `fill` adds; nothing if that fails. It is not flagged as nested,
    /// which is what readers of the older interfaces expect.
    pub fn nest_unflagged(&mut self, kind: u32, fill: impl FnOnce(&mut Self) -> Result) -> Result {
        // SAFETY: the buffer is ours.
        let start = unsafe { bindings::mrs_nla_nest_start_noflag(self.as_ptr(), kind as i32) };
        self.fill_nest(start, fill)
    }

    /// Adds an attribute that contains what `fill` adds, flagged as nested; nothing if that fails.
    pub fn nest(&mut self, kind: u32, fill: impl FnOnce(&mut Self) -> Result) -> Result {
        // SAFETY: the buffer is ours.
        let start = unsafe { bindings::mrs_nla_nest_start(self.as_ptr(), kind as i32) };
        self.fill_nest(start, fill)
    }

    fn fill_nest(
        &mut self,
        start: *mut bindings::nlattr,
        fill: impl FnOnce(&mut Self) -> Result,
    ) -> Result {
        if start.is_null() {
            return Err(emsgsize());
        }
        let filled = fill(self);
        // SAFETY: `start` is what the caller has begun.
        unsafe {
            match filled {
                Ok(()) => {
                    bindings::mrs_nla_nest_end(self.as_ptr(), start);
                }
                Err(_) => bindings::mrs_nla_nest_cancel(self.as_ptr(), start),
            }
        }
        filled
    }
}

/// The size of an attribute with `len` bytes, padding included.
pub const fn attr_size(len: usize) -> usize {
    (size_of::<bindings::nlattr>() + len).next_multiple_of(bindings::NLA_ALIGNTO as usize)
}

/// What an attribute of some number has to be.
#[repr(transparent)]
pub struct AttrPolicy(bindings::nla_policy);

// SAFETY: constant; it points to nothing but other policies.
unsafe impl Sync for AttrPolicy {}

impl AttrPolicy {
    const fn new(kind: u32, validation: u32, len: usize) -> Self {
        // SAFETY: numbers and a union of numbers and pointers, for which zeroes are "none".
        let mut policy: bindings::nla_policy = unsafe { core::mem::zeroed() };
        policy.type_ = kind as u8;
        policy.validation_type = validation as u8;
        policy.len = len as u16;
        Self(policy)
    }

    /// Nothing in particular: the policy does not know it.
    pub const UNKNOWN: Self = Self::new(bindings::NLA_UNSPEC, 0, 0);
    /// A number.
    pub const U8: Self = Self::new(bindings::NLA_U8, 0, 0);
    /// A number.
    pub const U16: Self = Self::new(bindings::NLA_U16, 0, 0);
    /// A number.
    pub const U32: Self = Self::new(bindings::NLA_U32, 0, 0);
    /// A number.
    pub const S32: Self = Self::new(bindings::NLA_S32, 0, 0);

    /// So many bytes.
    pub const fn bytes(len: u16) -> Self {
        let validation = bindings::nla_policy_validation_NLA_VALIDATE_RANGE;
        let mut policy = Self::new(bindings::NLA_BINARY, validation, 0);
        policy.0.__bindgen_anon_1.__bindgen_anon_1 =
            bindings::nla_policy__bindgen_ty_1__bindgen_ty_1 {
                min: len as i16,
                max: len as i16,
            };
        policy
    }

    /// Attributes that keep to `policy`.
    pub const fn nested(policy: &'static [AttrPolicy]) -> Self {
        let mut nest = Self::new(bindings::NLA_NESTED, 0, policy.len() - 1);
        nest.0.__bindgen_anon_1.nested_policy = policy.as_ptr().cast();
        nest
    }
}

/// An attribute of a message.
///
/// # Invariants
///
/// It is valid for the lifetime: its length is at least that of a header, and so many bytes are there.
#[derive(Clone, Copy)]
pub struct Attr<'a>(NonNull<bindings::nlattr>, PhantomData<&'a bindings::nlattr>);

impl<'a> Attr<'a> {
    /// None if the pointer is null.
    ///
    /// # Safety
    ///
    /// It points to an attribute that was checked, and stays for the lifetime.
    pub(super) unsafe fn from_ptr(ptr: *const bindings::nlattr) -> Option<Self> {
        // INVARIANT: the caller's promise.
        Some(Self(NonNull::new(ptr.cast_mut())?, PhantomData))
    }

    pub(super) fn as_ptr(&self) -> *const bindings::nlattr {
        self.0.as_ptr()
    }

    /// What is in it.
    pub fn payload(&self) -> &'a [u8] {
        // SAFETY: by the type's invariant.
        unsafe {
            let data = bindings::mrs_nla_data(self.as_ptr()).cast::<u8>();
            core::slice::from_raw_parts(data, bindings::mrs_nla_len(self.as_ptr()) as usize)
        }
    }

    /// The first `N` bytes in it; zeroes if it is shorter, which no policy lets pass.
    pub fn array<const N: usize>(&self) -> [u8; N] {
        let bytes = self.payload().get(..N);
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or([0; N])
    }

    /// The number in it.
    pub fn u8(&self) -> u8 {
        u8::from_ne_bytes(self.array())
    }

    /// The number in it.
    pub fn u16(&self) -> u16 {
        u16::from_ne_bytes(self.array())
    }

    /// The number in it.
    pub fn u32(&self) -> u32 {
        u32::from_ne_bytes(self.array())
    }

    /// The number in it.
    pub fn i32(&self) -> i32 {
        i32::from_ne_bytes(self.array())
    }

    /// The attributes in it, each at the place of its number. Of several with the same number the last one
    /// counts; those that the policy has no element for are left out.
    pub(super) fn parse<const N: usize>(
        &self,
        policy: &'static [AttrPolicy; N],
        extack: *mut bindings::netlink_ext_ack,
    ) -> Result<[Option<Attr<'a>>; N]> {
        let mut table = [core::ptr::null_mut(); N];
        // SAFETY: the table and the policy have an element for each number up to `N - 1`; `extack` is that of
        // the request, or null.
        to_result(unsafe {
            bindings::mrs_nla_parse_nested_deprecated(
                table.as_mut_ptr(),
                N as i32 - 1,
                self.as_ptr(),
                policy.as_ptr().cast(),
                extack,
            )
        })?;
        // SAFETY: null or attributes within this one, which were checked.
        Ok(table.map(|attr| unsafe { Attr::from_ptr(attr) }))
    }
}

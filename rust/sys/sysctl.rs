// SPDX-License-Identifier: GPL-2.0

//! Variables below `/proc/sys` that every network namespace has of its own.
//!
//! A type that holds the variables, as atomics, describes them with a table of [`Entry`]s; a [`Table`] is such
//! an object that can be seen and changed from user space.
//!
//! C header: [`include/linux/sysctl.h`](srctree/include/linux/sysctl.h)

use super::net::Net;
use crate::bindings;
use core::ops::{Deref, RangeInclusive};
use core::ptr::{addr_of, null_mut, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU8};
use kernel::ffi::{c_int, c_void};
use kernel::prelude::*;

/// The longest text of a variable, in bytes.
pub const TEXT_MAX: usize = 2048;

/// What a variable is.
pub enum Kind<V> {
    /// A number in a range.
    U8(fn(&V) -> &AtomicU8, RangeInclusive<u8>),
    /// A number.
    U32(fn(&V) -> &AtomicU32),
    /// A number that is not negative as an `i32`.
    Positive(fn(&V) -> &AtomicU32),
    /// A span of time: seconds to the user, jiffies in memory.
    Seconds(fn(&V) -> &AtomicU32),
    /// A text of up to so many bytes, the final zero included, [`TEXT_MAX`] at most.
    Text(usize, fn(&V, &mut TextBuffer)),
}

/// One variable.
pub struct Entry<V> {
    /// Its name.
    pub name: &'static CStr,
    /// What it is.
    pub kind: Kind<V>,
    /// Called after a number was written; called with a text that is to be written, and may refuse it.
    /// `None` for a number needs no notice; for a text it means read-only.
    pub written: Option<fn(&V, &str) -> Result>,
}

/// Variables that can be put into a [`Table`].
pub trait Variables: Send + Sync + Sized + 'static {
    /// The folder below `/proc/sys`.
    const PATH: &'static CStr;

    /// The variables.
    fn entries() -> &'static [Entry<Self>];
}

/// A text on its way to the user.
pub struct TextBuffer {
    bytes: KVec<u8>,
    max: usize,
}

impl core::fmt::Write for TextBuffer {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        // One byte is kept for the final zero.
        if self.bytes.len() + s.len() >= self.max {
            return Err(core::fmt::Error);
        }
        self.bytes
            .extend_from_slice(s.as_bytes(), GFP_KERNEL)
            .map_err(|_| core::fmt::Error)
    }
}

/// Variables that user space sees. Gone when dropped.
///
/// # Invariants
///
/// `entries` are registered, and point to `values`, which is on the heap.
pub struct Table<V: Variables> {
    header: NonNull<bindings::ctl_table_header>,
    // The kernel uses both until `drop` has unregistered them.
    _entries: KVec<bindings::ctl_table>,
    values: KBox<V>,
}

// SAFETY: the registration may be ended by any thread, and the variables are `Send` and `Sync`.
unsafe impl<V: Variables> Send for Table<V> {}
// SAFETY: as above.
unsafe impl<V: Variables> Sync for Table<V> {}

impl<V: Variables> Table<V> {
    /// Shows `values` in `net`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also when the kernel refuses the table; it says why in its log.
    pub fn register(net: &Net, values: V) -> Result<Self> {
        let values = KBox::new(values, GFP_KERNEL)?;
        let mut entries = KVec::new();
        for entry in V::entries() {
            entries.push(Self::raw(entry, &values), GFP_KERNEL)?;
        }
        // SAFETY: the path is a string. Table and values are on the heap, where they stay when their owners are
        // moved, until `drop` has unregistered them.
        let header = unsafe {
            bindings::register_net_sysctl_sz(
                net.as_ptr(),
                V::PATH.as_char_ptr(),
                entries.as_mut_ptr(),
                entries.len(),
            )
        };
        // INVARIANT: registered just now, and made by `raw`.
        Ok(Table {
            header: NonNull::new(header).ok_or(ENOMEM)?,
            _entries: entries,
            values,
        })
    }

    /// The kernel's entry: the handler, and for it the values in `extra1` and the description in `extra2`.
    fn raw(entry: &'static Entry<V>, values: &V) -> bindings::ctl_table {
        let (maxlen, writable) = match &entry.kind {
            Kind::U8(..) => (1, true),
            Kind::U32(_) | Kind::Positive(_) | Kind::Seconds(_) => (4, true),
            Kind::Text(max, _) => (*max as c_int, entry.written.is_some()),
        };
        bindings::ctl_table {
            procname: entry.name.as_char_ptr(),
            maxlen,
            mode: if writable { 0o644 } else { 0o444 },
            proc_handler: Some(Self::handler),
            extra1: core::ptr::from_ref(values).cast_mut().cast(),
            extra2: core::ptr::from_ref(entry).cast_mut().cast(),
            ..Default::default()
        }
    }

    /// # Safety
    ///
    /// Called by the kernel for an entry that `raw` has made.
    unsafe extern "C" fn handler(
        table: *const bindings::ctl_table,
        write: c_int,
        buffer: *mut c_void,
        len: *mut usize,
        pos: *mut bindings::loff_t,
    ) -> c_int {
        // SAFETY: `raw` has put them there; the kernel lets no handler run once the table is unregistered.
        let (values, entry) = unsafe {
            (
                &*(*table).extra1.cast::<V>(),
                &*(*table).extra2.cast::<Entry<V>>(),
            )
        };
        // SAFETY: the table is valid.
        let mut table = unsafe { *table };
        // SAFETY: the arguments are the kernel's own.
        let call = |handler: ProcHandler, table: &bindings::ctl_table| unsafe {
            handler(table, write, buffer, len, pos)
        };
        table.extra1 = null_mut();
        table.extra2 = null_mut();

        let ret = match &entry.kind {
            Kind::U8(at, range) => {
                let (min, max) = (c_int::from(*range.start()), c_int::from(*range.end()));
                table.data = at(values).as_ptr().cast();
                table.extra1 = addr_of!(min).cast_mut().cast();
                table.extra2 = addr_of!(max).cast_mut().cast();
                call(bindings::proc_dou8vec_minmax, &table)
            }
            Kind::U32(at) => {
                table.data = at(values).as_ptr().cast();
                call(bindings::proc_douintvec_minmax, &table)
            }
            Kind::Positive(at) => {
                let min: c_int = 0;
                table.data = at(values).as_ptr().cast();
                table.extra1 = addr_of!(min).cast_mut().cast();
                call(bindings::proc_dointvec_minmax, &table)
            }
            Kind::Seconds(at) => {
                table.data = at(values).as_ptr().cast();
                call(bindings::proc_dointvec_jiffies, &table)
            }
            Kind::Text(max, show) => {
                let max = (*max).min(TEXT_MAX);
                return match Self::text(values, entry, &mut table, max, *show, write != 0, call) {
                    Ok(()) => 0,
                    Err(err) => err.to_errno(),
                };
            }
        };
        if let (true, 0, Some(written)) = (write != 0, ret, entry.written) {
            return match written(values, "") {
                Ok(()) => 0,
                Err(err) => err.to_errno(),
            };
        }
        ret
    }

    fn text(
        values: &V,
        entry: &Entry<V>,
        table: &mut bindings::ctl_table,
        max: usize,
        show: fn(&V, &mut TextBuffer),
        write: bool,
        call: impl Fn(ProcHandler, &bindings::ctl_table) -> c_int,
    ) -> Result {
        let mut text = TextBuffer {
            bytes: KVec::with_capacity(max, GFP_KERNEL)?,
            max,
        };
        show(values, &mut text);
        let mut bytes = text.bytes;
        while bytes.len() < max {
            bytes.push(0, GFP_KERNEL)?;
        }
        table.data = bytes.as_mut_ptr().cast();
        table.maxlen = max as c_int;
        kernel::error::to_result(call(bindings::proc_dostring, table))?;
        if write {
            let new = CStr::from_bytes_with_nul(&bytes[..=end_of(&bytes)]).map_err(|_| EINVAL)?;
            let new = new.to_str().map_err(|_| EINVAL)?;
            entry.written.ok_or(EPERM)?(values, new)?;
        }
        Ok(())
    }
}

/// Where the text in `bytes` ends: at its first zero, or the last byte.
fn end_of(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|&b| b == 0)
        .unwrap_or(bytes.len().saturating_sub(1))
}

type ProcHandler = unsafe extern "C" fn(
    *const bindings::ctl_table,
    c_int,
    *mut c_void,
    *mut usize,
    *mut bindings::loff_t,
) -> c_int;

impl<V: Variables> Deref for Table<V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        &self.values
    }
}

impl<V: Variables> Drop for Table<V> {
    fn drop(&mut self) {
        // SAFETY: registered, by the type's invariant. Waits for handlers that are running.
        unsafe { bindings::unregister_net_sysctl_table(self.header.as_ptr()) }
    }
}

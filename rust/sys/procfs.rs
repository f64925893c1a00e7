// SPDX-License-Identifier: GPL-2.0

//! Files in `/proc/net`.
//!
//! C header: [`include/linux/proc_fs.h`](srctree/include/linux/proc_fs.h)

use super::kprobe::{Kretprobe, ReturnProbe};
use super::net::Net;
use super::seq_file::SeqFile;
use crate::bindings;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::prelude::*;

/// What a file of `/proc/net` shows, or some lines of one.
pub trait Show: 'static {
    /// Writes all of it. May not sleep.
    fn show(net: &Net, file: &mut SeqFile);
}

/// A file in a namespace's `/proc/net`, readable by all. Gone when dropped.
pub struct NetFile<S: Show> {
    entry: NonNull<bindings::proc_dir_entry>,
    _show: PhantomData<S>,
}

// SAFETY: the entry is only removed, which may be done from any thread.
unsafe impl<S: Show> Send for NetFile<S> {}
// SAFETY: nothing can be done with a shared reference.
unsafe impl<S: Show> Sync for NetFile<S> {}

impl<S: Show> NetFile<S> {
    /// Creates the file.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also when the name is taken.
    pub fn new(net: &Net, name: &CStr) -> Result<Self> {
        // SAFETY: the name is a string, the parent a folder of `/proc`, and the callback lives in this module,
        // which cannot go before `drop` has removed the file.
        let entry = unsafe {
            bindings::proc_create_net_single(
                name.as_char_ptr(),
                0o444,
                net.proc_net(),
                Some(Self::show),
                core::ptr::null_mut(),
            )
        };
        Ok(NetFile {
            entry: NonNull::new(entry).ok_or(ENOMEM)?,
            _show: PhantomData,
        })
    }

    /// # Safety
    ///
    /// Called by the kernel for a file that [`NetFile::new`] has made.
    unsafe extern "C" fn show(
        seq: *mut bindings::seq_file,
        _v: *mut kernel::ffi::c_void,
    ) -> kernel::ffi::c_int {
        // SAFETY: the kernel gives the file to this callback alone for the time of the call, and `new` has made
        // it with `proc_create_net_single()`.
        let (net, file) = unsafe { SeqFile::of_net(seq) };
        S::show(net, file);
        0
    }
}

impl<S: Show> Drop for NetFile<S> {
    fn drop(&mut self) {
        // SAFETY: created in `new` and not removed yet. Waits until nobody is in `show`.
        unsafe { bindings::proc_remove(self.entry.as_ptr()) }
    }
}

/// Lines of ours at the end of `/proc/net/netstat`, in every namespace. Gone when dropped.
///
/// The kernel has no hook for that, so its function that shows the file is probed.
pub struct NetstatLines<S: Show> {
    _probe: Kretprobe<ShowNetstat<S>>,
}

impl<S: Show> NetstatLines<S> {
    /// Adds the lines.
    ///
    /// # Errors
    ///
    /// What [`Kretprobe::new`] fails with.
    pub fn new() -> Result<Self> {
        Ok(NetstatLines {
            _probe: Kretprobe::new()?,
        })
    }
}

struct ShowNetstat<S>(PhantomData<S>);

impl<S: Show> ReturnProbe for ShowNetstat<S> {
    const SYMBOL: &'static CStr = kernel::c_str!("netstat_seq_show");

    /// # Safety
    ///
    /// As the trait says.
    unsafe fn returned(argument: usize) {
        // SAFETY: the first argument of that function is a file made with `proc_create_net_single()`, which its
        // caller keeps for itself during the call. A buffer that is too small is noticed there.
        let (net, file) = unsafe { SeqFile::of_net(argument as *mut bindings::seq_file) };
        S::show(net, file);
    }
}

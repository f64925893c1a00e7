// SPDX-License-Identifier: GPL-2.0

//! Files in `/proc` that are written from front to end.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use super::net::Net;
use crate::bindings;
use core::fmt;
use kernel::types::Opaque;

/// A file of `/proc` that is being read. Write to it with [`write!`](core::write).
///
/// What does not fit is not an error: the kernel notices, and asks again with a larger buffer.
#[repr(transparent)]
pub struct SeqFile(Opaque<bindings::seq_file>);

impl SeqFile {
    /// The file that `ptr` points to, and the namespace that it shows.
    ///
    /// # Safety
    ///
    /// `ptr` is valid, and nobody else uses the file, throughout `'a`; the file was made with
    /// `proc_create_net_single()`.
    pub unsafe fn of_net<'a>(ptr: *mut bindings::seq_file) -> (&'a Net, &'a mut SeqFile) {
        // SAFETY: such a file's private data is the namespace, of which it holds a reference while it is open.
        // `SeqFile` has the layout of `struct seq_file`; the rest is the caller's promise.
        unsafe { (Net::from_raw((*ptr).private.cast()), &mut *ptr.cast()) }
    }
}

impl fmt::Write for SeqFile {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // SAFETY: the file is valid and ours by the promise to `of_net`; the pointer and length are a string's.
        unsafe { bindings::seq_write(self.0.get(), s.as_ptr().cast(), s.len()) };
        Ok(())
    }
}

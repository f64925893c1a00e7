// SPDX-License-Identifier: GPL-2.0

//! Being told when a function of the kernel returns.
//!
//! For the few places where the kernel has no hook. A kernel without kprobes says `ENOSYS`, one whose
//! function has another name or was inlined says `ENOENT`: whoever probes needs another way as well.
//!
//! C header: [`include/linux/kprobes.h`](srctree/include/linux/kprobes.h)

use kernel::prelude::*;

/// A function that is watched, and what happens when it returns.
pub trait ReturnProbe: 'static {
    /// The function's name, as in `/proc/kallsyms`.
    const SYMBOL: &'static CStr;

    /// The function was called with `argument` as its first and is about to return to its caller.
    ///
    /// Preemption is off: this may not sleep.
    ///
    /// # Safety
    ///
    /// `argument` is what the watched function was called with. If that was a pointer that was valid for the
    /// time of the call, it still is.
    unsafe fn returned(argument: usize);
}

#[cfg(CONFIG_KRETPROBES)]
mod imp {
    use super::ReturnProbe;
    use crate::bindings;
    use core::marker::PhantomData;
    use core::mem::size_of;
    use kernel::prelude::*;
    use kernel::types::Opaque;

    /// Calls of the function that may be under way at once. More are not seen, rather than crash.
    const MAX_ACTIVE: i32 = 128;

    /// An armed probe. Gone when dropped.
    pub struct Kretprobe<P: ReturnProbe> {
        probe: Pin<KBox<Opaque<bindings::kretprobe>>>,
        _probe: PhantomData<P>,
    }

    // SAFETY: the kernel's own locks protect what it is linked to.
    unsafe impl<P: ReturnProbe> Send for Kretprobe<P> {}
    // SAFETY: nothing can be done with a shared reference.
    unsafe impl<P: ReturnProbe> Sync for Kretprobe<P> {}

    impl<P: ReturnProbe> Kretprobe<P> {
        /// Arms the probe. May sleep.
        ///
        /// # Errors
        ///
        /// `ENOENT` if there is no such function, `EINVAL` if it cannot be probed, `ENOMEM`.
        pub fn new() -> Result<Self> {
            let probe = KBox::pin(
                Opaque::new(bindings::kretprobe {
                    kp: bindings::kprobe {
                        symbol_name: P::SYMBOL.as_char_ptr(),
                        ..Default::default()
                    },
                    handler: Some(Self::on_return),
                    entry_handler: Some(Self::on_entry),
                    maxactive: MAX_ACTIVE,
                    data_size: size_of::<usize>(),
                    ..Default::default()
                }),
                GFP_KERNEL,
            )?;
            // SAFETY: pinned on the heap until `drop` has unregistered it; the handlers are in this module.
            kernel::error::to_result(unsafe { bindings::register_kretprobe(probe.get()) })?;
            Ok(Kretprobe {
                probe,
                _probe: PhantomData,
            })
        }

        /// # Safety
        ///
        /// Called by the kernel for a probe that [`Kretprobe::new`] has armed.
        unsafe extern "C" fn on_entry(
            instance: *mut bindings::kretprobe_instance,
            regs: *mut bindings::pt_regs,
        ) -> kernel::ffi::c_int {
            // SAFETY: the kernel calls with the registers at the function's entry, and with an instance that has
            // `data_size` bytes, aligned for a pointer, behind it.
            unsafe {
                let argument = bindings::mrs_regs_first_argument(regs);
                (*instance)
                    .data
                    .as_mut_ptr()
                    .cast::<usize>()
                    .write(argument);
            }
            0
        }

        /// # Safety
        ///
        /// As for `on_entry`, which was called before.
        unsafe extern "C" fn on_return(
            instance: *mut bindings::kretprobe_instance,
            _regs: *mut bindings::pt_regs,
        ) -> kernel::ffi::c_int {
            // SAFETY: `on_entry` has written it.
            let argument = unsafe { (*instance).data.as_ptr().cast::<usize>().read() };
            // SAFETY: it is the first argument, and its caller has not been returned to yet.
            unsafe { P::returned(argument) };
            0
        }
    }

    impl<P: ReturnProbe> Drop for Kretprobe<P> {
        fn drop(&mut self) {
            // SAFETY: registered in `new`. Waits for handlers that are running.
            unsafe { bindings::unregister_kretprobe(self.probe.get()) }
        }
    }
}

#[cfg(not(CONFIG_KRETPROBES))]
mod imp {
    use super::ReturnProbe;
    use crate::bindings;
    use core::marker::PhantomData;
    use kernel::prelude::*;

    /// What there is instead of a probe in a kernel without them: nothing.
    pub struct Kretprobe<P: ReturnProbe>(PhantomData<fn() -> P>);

    impl<P: ReturnProbe> Kretprobe<P> {
        /// Always fails.
        ///
        /// # Errors
        ///
        /// `ENOSYS`.
        pub fn new() -> Result<Self> {
            Err(Error::from_errno(-(bindings::ENOSYS as i32)))
        }
    }
}

pub use imp::Kretprobe;

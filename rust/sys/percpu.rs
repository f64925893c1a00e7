// SPDX-License-Identifier: GPL-2.0

//! Counters of which every CPU has its own, so that counting touches no memory of another CPU.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use crate::bindings;
use core::mem::{align_of, size_of};
use core::ptr::{addr_of, NonNull};
use kernel::ffi::c_ulong;
use kernel::prelude::*;

/// `N` counters on every CPU, which start at zero and wrap.
pub struct Counters<const N: usize> {
    /// # Invariants
    ///
    /// A per-CPU pointer to `[c_ulong; N]`, from `__alloc_percpu_gfp()`.
    base: NonNull<c_ulong>,
}

// SAFETY: every CPU changes its own counters only, with instructions that no interrupt can split.
unsafe impl<const N: usize> Send for Counters<N> {}
// SAFETY: as above; a reader may see a sum that never was, and nothing worse.
unsafe impl<const N: usize> Sync for Counters<N> {}

impl<const N: usize> Counters<N> {
    /// All zero. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        // SAFETY: an allocation has no conditions; the memory comes zeroed.
        let base = unsafe {
            bindings::mrs_alloc_percpu(
                size_of::<[c_ulong; N]>(),
                align_of::<c_ulong>(),
                bindings::GFP_KERNEL,
            )
        };
        let base = NonNull::new(base.cast()).ok_or(ENOMEM)?;
        // INVARIANT: just allocated so.
        Ok(Counters { base })
    }

    /// Adds `n` to counter `index`. One that does not exist is left alone. From any context.
    #[inline]
    pub fn add(&self, index: usize, n: c_ulong) {
        if index < N {
            // SAFETY: within the allocation, by the invariant and the check.
            unsafe { bindings::mrs_this_cpu_add_long(self.base.as_ptr().wrapping_add(index), n) }
        }
    }

    /// The sum of counter `index` over all CPUs. From any context.
    pub fn sum(&self, index: usize) -> c_ulong {
        if index >= N {
            return 0;
        }
        let base = self.base.as_ptr().wrapping_add(index);
        let mut sum: c_ulong = 0;
        // SAFETY: the number of possible CPUs is fixed at boot.
        let cpus = unsafe { *addr_of!(bindings::nr_cpu_ids) };
        let mut cpu = -1;
        loop {
            // SAFETY: takes any number from -1 on.
            cpu = unsafe { bindings::mrs_next_possible_cpu(cpu) };
            if cpu as u32 >= cpus {
                return sum;
            }
            // SAFETY: a possible CPU, hence with memory of its own; read once, as others write to it.
            let value = unsafe {
                bindings::mrs_per_cpu_ptr(base.cast(), cpu)
                    .cast::<c_ulong>()
                    .read_volatile()
            };
            sum = sum.wrapping_add(value);
        }
    }
}

impl<const N: usize> Drop for Counters<N> {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, and nobody has a reference to `self` any more.
        unsafe { bindings::free_percpu(self.base.as_ptr().cast()) }
    }
}

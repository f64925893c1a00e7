// SPDX-License-Identifier: GPL-2.0

//! The kernel's SHA-256.
//!
//! C header: [`include/crypto/sha2.h`](srctree/include/crypto/sha2.h)

use crate::bindings;
use crate::proto::crypto::Sha256;

/// The hash of `lib/crypto`: no allocation, any context.
pub struct KernelSha256;

impl Sha256 for KernelSha256 {
    fn sha256(data: &[u8]) -> [u8; 32] {
        let mut digest = [0; bindings::SHA256_DIGEST_SIZE as usize];
        // SAFETY: the input is a valid slice, whose length fits since keys and addresses are hashed here,
        // and the output has the size of a digest.
        unsafe { bindings::sha256(data.as_ptr(), data.len() as u32, digest.as_mut_ptr()) };
        digest
    }
}

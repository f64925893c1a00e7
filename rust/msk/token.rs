// SPDX-License-Identifier: GPL-2.0

//! Connections by token (RFC 8684 section 3.2): what an MP_JOIN or a command names one with.
//!
//! A token is reserved when its key is made, for a socket or for a listener's request, and freed with
//! either.

use super::{Msk, MskSock};
use crate::proto::crypto::{derive, Derived, Key};
use crate::sys::errno::eaddrinuse;
use crate::sys::random;
use crate::sys::registry::Registry;
use crate::sys::sha256::KernelSha256;
use kernel::error::{code::*, Result};
use kernel::types::ARef;

/// All of them.
pub static TOKENS: Registry<Msk> = Registry::new();

/// How often another key is tried when a token is taken.
const TRIES: usize = 4;

/// A new key whose token nobody has, and the token is reserved.
///
/// # Errors
///
/// `ENOMEM`, or `EADDRINUSE` if no free token was found.
pub fn new_key() -> Result<(Key, Derived)> {
    for _ in 0..TRIES {
        let key = Key(random::u64());
        let derived = derive::<KernelSha256>(key);
        // Zero stands for "no token" in the interfaces to user space.
        if derived.token == 0 {
            continue;
        }
        match TOKENS.reserve(derived.token) {
            Ok(()) => return Ok((key, derived)),
            Err(err) if err == EEXIST => continue,
            Err(err) => return Err(err),
        }
    }
    Err(eaddrinuse())
}

/// Reserves the token of `key`, which is a listener's own. None if somebody has it.
pub fn reserve(key: Key) -> Option<Derived> {
    let derived = derive::<KernelSha256>(key);
    let free = derived.token != 0 && TOKENS.reserve(derived.token).is_ok();
    free.then_some(derived)
}

/// The connection with the token `token`.
pub fn find(token: u32) -> Option<ARef<MskSock>> {
    TOKENS.find(token)
}

/// A request is gone: its token is free, unless a connection has it.
pub fn forget(token: u32) {
    TOKENS.remove_unassigned(token);
}

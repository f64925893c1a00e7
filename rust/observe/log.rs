// SPDX-License-Identifier: GPL-2.0

//! What goes wrong with a connection, in the kernel's log.
//!
//! Peers and middleboxes can cause it as often as they like, so it is limited.

use crate::proto::fallback::FallbackCause;
use crate::proto::handshake::JoinError;
use crate::sys::log::allowed;
use kernel::prelude::*;

/// The connection was to be MPTCP and is plain TCP from now on.
#[cold]
pub fn fallback(token: u32, cause: FallbackCause) {
    if allowed() {
        pr_warn!("connection {token:x}: plain TCP from now on ({cause:?})\n");
    }
}

/// A subflow, of this number and with these ports, is reset because of what has come on it.
#[cold]
pub fn violation(token: u32, subflow: u32, local: u16, remote: u16) {
    if allowed() {
        pr_warn!("connection {token:x}: subflow {subflow}, port {local} to {remote}, breaks the protocol: reset\n");
    }
}

/// A DSS checksum was wrong.
#[cold]
pub fn checksum(token: u32) {
    if allowed() {
        pr_warn!("connection {token:x}: data was changed on its way\n");
    }
}

/// A subflow could not join, as what the peer says of itself is wrong.
#[cold]
pub fn join(token: u32, error: JoinError) {
    if allowed() {
        pr_warn!("connection {token:x}: a subflow was refused ({error:?})\n");
    }
}

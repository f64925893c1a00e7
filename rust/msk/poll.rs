// SPDX-License-Identifier: GPL-2.0

//! poll and ioctl.

use super::{Msk, MskSock};
use crate::bindings::{
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLRDNORM, EPOLLWRNORM,
};
use crate::subflow::shared::flag;
use crate::sys::msock::Guard;
use crate::sys::sock::{state, RCV_SHUTDOWN, SEND_SHUTDOWN, SHUTDOWN_MASK};
use crate::sys::tcp;
use core::sync::atomic::{fence, Ordering};
use kernel::error::{code::*, Result};

/// `SIOCINQ`, also known as `FIONREAD`.
const SIOCINQ: u32 = 0x541b;
/// `SIOCOUTQ`, also known as `TIOCOUTQ`.
const SIOCOUTQ: u32 = 0x5411;
/// `SIOCOUTQNSD`.
const SIOCOUTQNSD: u32 = 0x894b;

fn writable(sk: &MskSock) -> bool {
    let queued = sk.wmem_queued();
    sk.sndbuf() - queued >= queued / 2
}

/// There may be room in the send buffer: who waits for it is woken if there is enough. Others, such as a reader that
/// an answer is on its way to, would be woken for nothing by each acknowledgement.
pub(super) fn room_made(guard: &Guard<'_, Msk>) {
    let sk = guard.sk();
    // Either this sees that somebody waits, or who waits sees the room: see `poll`.
    fence(Ordering::SeqCst);
    let shared = sk.state_of().shared();
    if !shared.is(flag::NO_SPACE) || !writable(sk) {
        return;
    }
    // Another writer may take the room before one that sleeps can: that one goes on sleeping, and says nothing again.
    if sk.writers_asleep() == 0 {
        shared.clear(flag::NO_SPACE);
    }
    sk.wake_writers();
}

/// `poll(2)`.
pub(super) fn poll(sk: &MskSock) -> u32 {
    let now = sk.state();
    if now == state::LISTEN {
        let mut guard = sk.lock();
        let ready = guard
            .inner()
            .subs
            .first()
            .is_some_and(|sub| tcp::accept_ready(&sub.ssk));
        return if ready { EPOLLIN | EPOLLRDNORM } else { 0 };
    }
    let mut mask = 0;
    let down = sk.shutdown_flags();
    if down == SHUTDOWN_MASK || now == state::CLOSE {
        mask |= EPOLLHUP;
    }
    if down & RCV_SHUTDOWN != 0 {
        mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
    }
    if now != state::SYN_SENT {
        let msk = sk.state_of();
        if msk.readable() >= sk.rcvlowat().max(1) as usize || msk.shared().is(flag::EOF) {
            mask |= EPOLLIN | EPOLLRDNORM;
        }
        if down & SEND_SHUTDOWN != 0 || writable(sk) {
            mask |= EPOLLOUT | EPOLLWRNORM;
        } else {
            sk.want_async_space();
            msk.shared().set(flag::NO_SPACE);
            fence(Ordering::SeqCst);
            if writable(sk) {
                mask |= EPOLLOUT | EPOLLWRNORM;
            }
        }
    }
    if now == state::SYN_SENT && sk.connect_deferred() {
        // The SYN waits for the first data.
        mask |= EPOLLOUT | EPOLLWRNORM;
    }
    if sk.err() != 0 {
        mask |= EPOLLERR;
    }
    mask
}

/// `ioctl(2)`.
pub(super) fn ioctl(sk: &MskSock, cmd: u32) -> Result<i32> {
    if sk.state() == state::LISTEN {
        return Err(EINVAL);
    }
    let mut guard = sk.lock();
    match cmd {
        SIOCINQ => Ok(sk.state_of().readable() as i32),
        SIOCOUTQ => {
            super::send::clean(&mut guard);
            Ok(guard.inner().tx.unacked() as i32)
        }
        SIOCOUTQNSD => Ok(guard.inner().tx.unsent() as i32),
        _ => Err(ENOIOCTLCMD),
    }
}

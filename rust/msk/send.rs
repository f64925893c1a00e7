// SPDX-License-Identifier: GPL-2.0

//! Writing, and giving data to subflows.

use super::fastopen::{self, Opened};
use super::{close, place, poll, rescue, Msk, MskSock, Sub};
use crate::bindings;
use crate::subflow::flag as sub_flag;
use crate::subflow::shared::flag;
use crate::sys::errno::{enobufs, eopnotsupp};
use crate::sys::glance::Glance;
use crate::sys::msock::{Guard, SockOf};
use crate::sys::sock::{state, SEND_SHUTDOWN};
use crate::sys::uio::Msg;
use kernel::error::{code::*, Result};

/// `send(2)`.
pub(super) fn sendmsg(sk: &MskSock, msg: &mut Msg<'_>) -> Result<usize> {
    let flags = msg.flags();
    if flags & bindings::MSG_OOB != 0 {
        return Err(eopnotsupp());
    }
    let mut guard = sk.lock();
    let mut timeo = sk.send_timeout(flags & bindings::MSG_DONTWAIT != 0);
    let mut copied = 0;
    if flags & bindings::MSG_FASTOPEN != 0 || sk.connect_deferred() {
        let nonblock = flags & bindings::MSG_DONTWAIT != 0;
        match fastopen::connect(&mut guard, msg, nonblock) {
            Ok(Opened::Connected(n)) => copied = n,
            Ok(Opened::InProgress(n)) => return Ok(n),
            Err(err) => return Err(sk.stream_error(flags, err)),
        }
    }
    let result = send_loop(&mut guard, msg, &mut timeo, &mut copied);
    if copied > 0 {
        push(&mut guard, flags & bindings::MSG_MORE != 0);
        return Ok(copied);
    }
    match result {
        Ok(()) => Ok(0),
        Err(err) => Err(sk.stream_error(flags, err)),
    }
}

fn send_loop(
    guard: &mut Guard<'_, Msk>,
    msg: &mut Msg<'_>,
    timeo: &mut isize,
    copied: &mut usize,
) -> Result {
    let sk = guard.sk();
    if !matches!(sk.state(), state::ESTABLISHED | state::CLOSE_WAIT) {
        SockOf::wait_connect(guard, timeo)?;
    }
    while msg.remaining() > 0 {
        if sk.err() != 0 || sk.shutdown_flags() & SEND_SHUTDOWN != 0 {
            return Err(EPIPE);
        }
        let room = sk.sndbuf() - sk.wmem_queued();
        // What was copied cannot be given back: a place for it comes first.
        let taken = if room > 0 && guard.inner().tx.reserve() {
            msg.copy_to_frag(sk, room.max(4096) as usize)
        } else {
            Err(ENOMEM)
        };
        match taken {
            Ok(slice) => {
                let n = slice.len();
                if !guard.inner().tx.push(slice) {
                    return Err(enobufs());
                }
                guard.wmem_add(n as i32);
                *copied += n as usize;
            }
            Err(err) if err == ENOMEM => {
                push(guard, false);
                if sk.sndbuf() > sk.wmem_queued() {
                    // Acknowledgements have come meanwhile, or memory is short: in that case the wait
                    // below is a short one.
                    if room <= 0 {
                        continue;
                    }
                }
                sk.state_of().shared().set(flag::NO_SPACE);
                SockOf::wait_memory(guard, timeo)?;
            }
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

/// Gives what is not sent to subflows. Process context.
pub(super) fn push(guard: &mut Guard<'_, Msk>, more: bool) {
    clean(guard);
    place(guard, more);
}

/// As [`push`], without a look at what was acknowledged.
pub(super) fn place(guard: &mut Guard<'_, Msk>, more: bool) {
    place::distribute(guard, None, more);
    if remember_pending(guard) {
        // An acknowledgement that came before this was known has made room for nobody.
        place::distribute(guard, None, more);
        remember_pending(guard);
    }
}

/// After a change of the send queue: what other contexts have to know of it. True if it is news that something
/// waits for room.
pub(super) fn remember_pending(guard: &mut Guard<'_, Msk>) -> bool {
    let shared = guard.sk().state_of().shared();
    let inner = guard.inner();
    let mut news = false;
    if inner.tx.unsent() > 0 || !inner.again.is_empty() {
        news = shared.set(flag::PENDING);
    } else {
        shared.clear(flag::PENDING);
        if shared.is(flag::FALLBACK) && shared.is(flag::FIN) {
            finish(guard);
        }
    }
    rescue::arm(guard);
    news
}

/// After a fallback, all data being sent: the FIN that had to wait for it can follow.
#[cold]
fn finish(guard: &mut Guard<'_, Msk>) {
    let waits = |sub: &Sub| {
        matches!(sub.ssk.state(), state::ESTABLISHED | state::CLOSE_WAIT)
            && !sub.ctx.is(sub_flag::FIN_QUEUED)
    };
    if guard.inner().subs.iter().any(waits) {
        close::later(guard, close::todo::SHUTDOWN);
    }
}

/// Frees what the peer has acknowledged.
pub(super) fn clean(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    let shared = sk.state_of().shared();
    if !shared.clear(flag::ACKED) {
        return;
    }
    let una = shared.snd_una.get();
    let freed = guard.inner().tx.ack(una);
    rescue::outdone(guard, una);
    if freed > 0 {
        guard.wmem_add(-(freed as i32));
        poll::room_made(guard);
    }
    if shared.is(flag::FIN) && una.after(shared.fin.get()) {
        let actions = guard.inner().conn.on_data_ack(una);
        close::act(guard, actions);
    }
    if guard.inner().tx.unacked() == 0 && shared.fin_due().is_none() {
        rescue::disarm(guard);
    }
}

/// Lets the send buffer grow with the subflows', which TCP tunes: it holds what all of them have under way. If
/// somebody waits for room although all that there is was sent, it holds what the slowest one keeps the others from.
pub(super) fn grow_sndbuf(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    if sk.userlocks() & bindings::SOCK_SNDBUF_LOCK as u8 != 0 {
        return;
    }
    let subs = guard.inner().subs.iter();
    let mut want = subs.fold(0i32, |sum, sub| sum.saturating_add(sub.ssk.sndbuf()));
    let waits = guard.inner().tx.unsent() == 0 && sk.state_of().shared().is(flag::NO_SPACE);
    if waits && !sk.under_pressure() {
        want = want.max(span(guard));
    }
    if want > sk.sndbuf() {
        sk.set_sndbuf(want);
        poll::room_made(guard);
    }
}

/// Twice what all subflows send in the longest of their round trips, bytes: the others go on while what they have sent
/// waits for that one at the peer (RFC 6182 section 5.3). As much as TCP would let all of them have, at most.
fn span(guard: &mut Guard<'_, Msk>) -> i32 {
    let most = guard.sk().wmem_max();
    let subs = guard.inner().subs.as_slice();
    if subs.len() < 2 {
        return 0;
    }
    let (mut rate, mut longest) = (0u64, 0u32);
    for sub in subs.iter().filter(|sub| place::usable(sub)) {
        let path = Glance::at(&sub.ssk).path();
        let window = u64::from(path.cwnd).saturating_mul(1_000_000);
        let each = window.checked_div(path.srtt_us.into()).unwrap_or(0);
        rate = rate.saturating_add(each);
        longest = longest.max(path.srtt_us);
    }
    let span = rate.saturating_mul(u64::from(longest) * 2) / 1_000_000;
    let most = most.saturating_mul(subs.len() as i32);
    i32::try_from(span).unwrap_or(i32::MAX).min(most)
}

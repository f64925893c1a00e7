// SPDX-License-Identifier: GPL-2.0

//! Reading.

use super::{rx, Locked, Msk, MskSock, Sub};
use crate::bindings;
use crate::subflow::shared::flag;
use crate::sys::errno::enotconn;
use crate::sys::glance::Glance;
use crate::sys::msock::{ready_fn, Condition, Guard, SockOf};
use crate::sys::sock::{state, Sock, RCV_SHUTDOWN};
use crate::sys::tcp::Ssk;
use crate::sys::time;
use crate::sys::uio::Msg;
use core::sync::atomic::Ordering;
use kernel::error::{code::*, Result};

/// How the receive buffer's limit is tuned: to twice what the application reads in a round trip.
#[derive(Default)]
pub(super) struct RcvSpace {
    /// Bytes read since `since`.
    copied: u64,
    /// Microseconds.
    since: u64,
    /// Bytes per round trip that the limit allows for.
    space: u64,
}

/// Something to read, or never more.
struct Readable;

impl Condition<Msk> for Readable {
    fn met(sk: &MskSock) -> bool {
        let msk = sk.state_of();
        msk.readable() > msk.locked_unread_hint() || ended(sk)
    }
}

impl Msk {
    /// Bytes that the sleeping reader has looked at and left (peek); zero otherwise.
    fn locked_unread_hint(&self) -> usize {
        self.peeked.load(Ordering::Relaxed)
    }
}

fn ended(sk: &MskSock) -> bool {
    sk.err() != 0
        || sk.shutdown_flags() & RCV_SHUTDOWN != 0
        || sk.state_of().shared().is(flag::EOF)
        || matches!(sk.state(), state::CLOSE)
}

/// `recv(2)`.
pub(super) fn recvmsg(sk: &MskSock, msg: &mut Msg<'_>, len: usize, flags: u32) -> Result<usize> {
    if flags & bindings::MSG_ERRQUEUE != 0 {
        return Err(EAGAIN);
    }
    if flags & bindings::MSG_OOB != 0 {
        return Err(EINVAL);
    }
    let mut guard = sk.lock();
    if sk.state() == state::LISTEN {
        return Err(enotconn());
    }
    let mut timeo = sk.recv_timeout(flags & bindings::MSG_DONTWAIT != 0);
    let target = sk.recv_target(flags & bindings::MSG_WAITALL != 0, len);
    let peek = flags & bindings::MSG_PEEK != 0;
    let discard = flags & bindings::MSG_TRUNC != 0;
    let msk = sk.state_of();
    let mut copied = 0;
    let mut result = Ok(());
    // Who asks for nothing is told of data, or of the end, all the same.
    let mut found = false;
    while copied < len || !found {
        // A peeker's position within what is unread; a reader takes from the front.
        let skip = if peek { copied } else { 0 };
        if guard.inner().unread.bytes() <= skip {
            let more = msk.rx.lock().take();
            guard.inner().unread.append(more);
        }
        let avail = guard.inner().unread.bytes() - skip.min(guard.inner().unread.bytes());
        if avail > 0 {
            found = true;
            let want = (len - copied).min(avail);
            if copied == 0 {
                msg.timestamps(sk, &guard.inner().unread);
            }
            let n = if discard {
                want
            } else {
                match guard.inner().unread.copy_to(msg, skip, want) {
                    Ok(n) => n,
                    Err(err) => {
                        result = Err(err);
                        break;
                    }
                }
            };
            if !peek {
                guard.inner().unread.consume(n);
                msk.readable.fetch_sub(n, Ordering::Relaxed);
            }
            copied += n;
            if n < want {
                break;
            }
            continue;
        }
        if copied >= target {
            break;
        }
        if copied > 0 {
            if ended(sk) || timeo == 0 || Sock::signal_pending() {
                break;
            }
        } else {
            if let Some(end) = end_of(sk, timeo) {
                // Data may have come between the look at the queues and the one at the end: it comes first.
                if msk.readable() > skip {
                    continue;
                }
                result = end;
                break;
            }
        }
        if !peek {
            after_read(&mut guard, 0);
        }
        msk.peeked.store(skip, Ordering::Relaxed);
        msk.needed.store(
            if peek { target } else { target - copied },
            Ordering::Relaxed,
        );
        SockOf::wait(&mut guard, &mut timeo, ready_fn::<Msk, Readable>());
        msk.peeked.store(0, Ordering::Relaxed);
        msk.needed.store(usize::MAX, Ordering::Relaxed);
    }
    if copied > 0 && !peek {
        after_read(&mut guard, copied);
    }
    if copied == 0 {
        result?;
    }
    if msk.tell_inq.load(Ordering::Relaxed) {
        msg.put_control(
            bindings::SOL_TCP as i32,
            bindings::TCP_CM_INQ as i32,
            inq(sk),
        );
    }
    Ok(copied)
}

/// What `TCP_INQ` tells: the bytes that are left, or 1 for an end that is not read.
fn inq(sk: &MskSock) -> i32 {
    let left = sk.state_of().readable().min(i32::MAX as usize) as i32;
    if left == 0 && ended(sk) {
        1
    } else {
        left
    }
}

/// What a reader that finds nothing gets; `None`: it may wait.
fn end_of(sk: &MskSock, timeo: isize) -> Option<Result> {
    if sk.err() != 0 {
        return Some(sk.take_error());
    }
    if sk.shutdown_flags() & RCV_SHUTDOWN != 0 || sk.state_of().shared().is(flag::EOF) {
        return Some(Ok(()));
    }
    match sk.state() {
        state::CLOSE | state::SYN_SENT if sk.state() == state::CLOSE => {
            return Some(if sk.flag(bindings::sock_flags_SOCK_DONE) {
                Ok(())
            } else {
                Err(enotconn())
            });
        }
        _ => {}
    }
    if timeo == 0 {
        return Some(Err(EAGAIN));
    }
    if Sock::signal_pending() {
        return Some(Err(Sock::interrupted(timeo)));
    }
    None
}

/// Room was made in the receive buffer: TCP's count of memory, the buffer's limit, and the peers hear of
/// it where it matters.
fn after_read(guard: &mut Guard<'_, Msk>, copied: usize) {
    let sk = guard.sk();
    let msk = sk.state_of();
    if copied > 0 {
        msk.rx.lock().reclaim(sk, rx::KEEP);
        tune(guard, copied);
    }
    let empty = msk.readable() == 0;
    // The list stays as it is: whoever changes it needs the lock that is ours.
    for sub in guard.inner().subs.iter() {
        acknowledge(sk, sub, empty);
    }
}

/// Has an ACK sent on a subflow if one is due: TCP owes one, or the window has opened by much.
fn acknowledge(sk: &MskSock, sub: &Sub, empty: bool) {
    let stalled = sub.ctx.is(crate::subflow::flag::STALLED);
    // What waits in TCP's queue comes first, even if nothing follows it.
    let open = matches!(
        sub.ssk.state(),
        state::ESTABLISHED | state::FIN_WAIT1 | state::FIN_WAIT2
    );
    if !open && !stalled {
        return;
    }
    let glance = Glance::at(&sub.ssk);
    let shared = sk.state_of().shared();
    let space = glance
        .window_from_space(sk.rcvbuf() - sk.rmem_alloc())
        .max(0);
    let told = shared.rcv_edge.get().since(shared.rcv_nxt.get()).max(0);
    // A connection that never spoke MPTCP has TCP's window, which closes only with a stalled queue.
    let opened = shared.is(flag::AGREED)
        && i64::from(space) >= 2 * told
        && space >= 2 * glance.rcv_mss() as i32
        && (told > 0 || !shared.is_window_untold());
    if !opened && !stalled && !glance.ack_due(empty) {
        return;
    }
    let mut ssk = Ssk::lock(&sub.ssk);
    if stalled {
        sub.ctx.resume(&mut ssk);
    }
    if ssk.state() != state::CLOSE {
        ssk.send_ack();
    }
}

/// The receive buffer's limit follows what the application reads in a round trip.
fn tune(guard: &mut Guard<'_, Msk>, copied: usize) {
    let sk = guard.sk();
    let now = time::monotonic_us();
    let Locked { subs, space, .. } = guard.inner();
    let Some(first) = subs.first() else {
        return;
    };
    // While the longest path takes its time, what the others bring has to wait: the window has to hold it all.
    let rtts = subs.iter().map(|sub| Glance::at(&sub.ssk).rcv_rtt_us());
    let rtt = u64::from(rtts.max().unwrap_or(0)).max(1000);
    space.copied += copied as u64;
    if space.since == 0 {
        space.since = now;
        space.space = sk.rcvbuf() as u64 / 4;
        return;
    }
    if now.wrapping_sub(space.since) < rtt {
        return;
    }
    let read = core::mem::take(&mut space.copied);
    space.since = now;
    if read <= space.space {
        return;
    }
    // While a sender's windows double, two round trips go by until a larger buffer is of use: what has been added
    // since the last one is reckoned with twice more.
    let window = 2 * read + 16 * 1460;
    let ahead = window.saturating_mul(read - space.space) / space.space.max(1);
    let window = window.saturating_add(2 * ahead.min(window));
    space.space = read;
    if sk.moderate_rcvbuf() && sk.userlocks() & bindings::SOCK_RCVBUF_LOCK as u8 == 0 {
        // With the overhead that TCP reckons with.
        let want = Glance::at(&first.ssk).space_from_window(window.min(1 << 30) as i32);
        let want = want.min(sk.rmem_max());
        if want > sk.rcvbuf() {
            sk.set_rcvbuf(want);
            for sub in subs.iter() {
                sub.ssk.set_rcvbuf(want);
            }
        }
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Which subflow gets which bytes: new ones, and those that have to be sent again.
//!
//! The scheduler is asked with figures of every subflow, and its answer carried out, until it says that the
//! rest has to wait. In process context any subflow can be locked. A softirq holds one already and may
//! only try others; where that fails, process context goes on.

use super::{close, count, trace, ConnRef, Msk, Sub};
use crate::observe::mib::Mib;
use crate::proto::ranges::Range;
use crate::proto::sched::{Candidate, Demand};
use crate::proto::seq::Dsn;
use crate::proto::window::worth_filling;
use crate::subflow::shared::flag;
use crate::subflow::{flag as sub_flag, Subflow};
use crate::sys::glance::Glance;
use crate::sys::msock::Guard;
use crate::sys::page::Slices;
use crate::sys::sock::{state, Sock};
use crate::sys::tcp::Ssk;

/// How many subflows are looked at. A path manager opens fewer.
const CANDIDATES: usize = 16;

/// The subflow that this context, a softirq, has locked already.
pub(super) struct Held<'h, 's> {
    pub(super) ssk: &'h mut Ssk<'s>,
    pub(super) ctx: &'h Subflow<ConnRef>,
}

/// Bytes for one subflow.
#[derive(Clone, Copy)]
struct Job {
    /// Index of the subflow.
    index: usize,
    from: Dsn,
    /// At most so many.
    bytes: u64,
    again: bool,
}

/// Gives subflows what is to be sent, as far as they can take it. `more`: more will be written soon.
pub(super) fn distribute(guard: &mut Guard<'_, Msk>, mut held: Option<Held<'_, '_>>, more: bool) {
    let una = guard.inner().tx.una();
    guard.inner().again.forget_before(una);
    if guard.sk().state_of().shared().is(flag::FALLBACK) {
        // The bytes of the subflow are the stream: none goes there twice, though there was room for it only now.
        guard.inner().again.clear();
    }
    // Subflows that have turned out to take nothing.
    let mut refused = 0u32;
    while let Some(job) = next(guard, refused) {
        let Some(sub) = guard.inner().subs.get(job.index).cloned() else {
            break;
        };
        let given = with_lock(guard, &mut held, &sub, |guard, ssk, ctx| {
            give(guard, ssk, ctx, job, more)
        });
        match given {
            Some(true) => {}
            Some(false) => refused |= 1 << job.index,
            // It is the best one, and will have room when it can be locked: the next best is no substitute.
            None => {
                close::later(guard, close::todo::PUSH);
                break;
            }
        }
    }
}

/// Calls `f` with `sub` locked. `None` if a softirq could not lock it.
fn with_lock<R>(
    guard: &mut Guard<'_, Msk>,
    held: &mut Option<Held<'_, '_>>,
    sub: &Sub,
    f: impl FnOnce(&mut Guard<'_, Msk>, &mut Ssk<'_>, &Subflow<ConnRef>) -> R,
) -> Option<R> {
    match held {
        None => Some(f(guard, &mut Ssk::lock(&sub.ssk), &sub.ctx)),
        Some(held) if core::ptr::eq(held.ctx, &*sub.ctx) => Some(f(guard, held.ssk, held.ctx)),
        Some(held) => {
            let mut ssk = Ssk::try_lock(&sub.ssk, held.ssk)?;
            Some(f(guard, &mut ssk, &sub.ctx))
        }
    }
}

/// Whether data can be put on a subflow.
pub(super) fn usable(sub: &Sub) -> bool {
    can_send(&sub.ssk) && sub.ctx.may_carry()
}

fn can_send(ssk: &Sock) -> bool {
    matches!(ssk.state(), state::ESTABLISHED | state::CLOSE_WAIT)
}

/// What to do next. Subflows that are `refused` (a bit for each index) have no room, but are still there to be waited
/// for: a backup or a slow path is not filled because a better one has enough for now.
fn next(guard: &mut Guard<'_, Msk>, refused: u32) -> Option<Job> {
    let sk = guard.sk();
    let shared = sk.state_of().shared();
    let inner = guard.inner();
    let again = inner.again.first();
    let (nxt, unsent) = (inner.tx.nxt(), inner.tx.unsent());
    if again.is_none() && unsent == 0 {
        return None;
    }
    trace::asked(inner);
    if let ([only], None) = (inner.subs.as_slice(), again) {
        // Nothing to choose: TCP's own limits are all there are.
        let free = refused == 0 && usable(only);
        return free.then_some(Job {
            index: 0,
            from: nxt,
            bytes: unsent,
            again: false,
        });
    }
    let mut candidates = [Candidate::default(); CANDIDATES];
    let mut n = 0;
    let mut mss = [1u32; CANDIDATES];
    for (index, sub) in inner.subs.iter().enumerate().take(CANDIDATES) {
        if !usable(sub) {
            continue;
        }
        let full = refused & (1 << index) != 0;
        let path = Glance::at(&sub.ssk).path();
        candidates[n] = Candidate {
            id: index as u32,
            srtt_us: path.srtt_us,
            min_rtt_us: path.min_rtt_us,
            cwnd: path.cwnd,
            in_flight: path.in_flight,
            queued: path.queued,
            delivery_rate: path.delivery_rate,
            flown: path.flown,
            untried: path.untried,
            send_room: if full { 0 } else { path.send_room },
            backup: sub.ctx.is_backup(),
            stale: sub.ctx.is(sub_flag::STALE | sub_flag::RESCUED),
        };
        mss[index] = path.mss;
        n += 1;
    }
    let candidates = &candidates[..n];
    if let Some(range) = again {
        let pick = inner.scheduler.reinject(candidates, None, range.len());
        let asked = trace::Asked {
            dsn: range.from,
            demand: Demand {
                pending: range.len(),
                window: shared.wnd_end.get().since(range.from).max(0) as u64,
            },
            again: true,
        };
        trace::decided(sk.state_of(), inner, candidates, asked, pick);
        if let Some(pick) = pick {
            return Some(Job {
                index: pick.id as usize,
                from: range.from,
                bytes: range.len().min(full(pick.burst, mss[pick.id as usize])),
                again: true,
            });
        }
    }
    if unsent == 0 {
        return None;
    }
    let window = shared.wnd_end.get().since(nxt).max(0) as u64;
    if window == 0 && inner.tx.una() == nxt {
        // A closed window, and nothing on its way that would tell of its opening: a byte is sent to ask.
        let first = candidates
            .iter()
            .find(|candidate| candidate.send_room > 0)?;
        return Some(Job {
            index: first.id as usize,
            from: nxt,
            bytes: 1,
            again: false,
        });
    }
    let demand = Demand {
        pending: unsent,
        window,
    };
    let pick = inner.scheduler.select(candidates, &demand);
    let asked = trace::Asked {
        dsn: nxt,
        demand,
        again: false,
    };
    trace::decided(sk.state_of(), inner, candidates, asked, pick);
    let pick = pick?;
    let index = pick.id as usize;
    let mut bytes = full(pick.burst, mss[index]).min(unsent);
    if window < bytes {
        let una = inner.tx.una();
        bytes = worth_filling(window, shared.wnd_end.get().since(una) as u64, mss[index]);
        if bytes == 0 {
            if una != nxt {
                // What is on its way will open the window.
                return None;
            }
            bytes = window;
        }
    }
    Some(Job {
        index,
        from: nxt,
        bytes,
        again: false,
    })
}

/// `burst`, as whole segments.
fn full(burst: u32, mss: u32) -> u64 {
    u64::from(burst.div_ceil(mss.max(1))) * u64::from(mss.max(1))
}

/// Does a job on a subflow that is locked. False: it took nothing.
fn give(
    guard: &mut Guard<'_, Msk>,
    ssk: &mut Ssk<'_>,
    ctx: &Subflow<ConnRef>,
    job: Job,
    more: bool,
) -> bool {
    if let Some((due, missing)) = ctx.unfilled(ssk) {
        // What was announced on it comes first, whatever it is.
        if due.before(guard.inner().tx.una()) {
            // The bytes were acknowledged by way of another subflow and are gone: it can never go on.
            if ctx.set(sub_flag::CLOSING) {
                close::later(guard, close::todo::RESET_MARKED);
            }
            return false;
        }
        if due != job.from {
            let nxt = guard.inner().tx.nxt();
            if due == nxt {
                // Announced here, but nobody has it yet.
                return send_new(guard, ssk, ctx, missing.into(), more) > 0;
            }
            let range = Range {
                from: due,
                to: due.add(missing.into()).min(nxt),
            };
            return resend(guard, ssk, ctx, range) > 0;
        }
    }
    if job.again {
        let range = Range {
            from: job.from,
            to: job.from.add(job.bytes),
        };
        let n = resend(guard, ssk, ctx, range);
        guard.sk().state_of().shared().set(flag::REINJECTED);
        guard.inner().again.forget_before(job.from.add(n));
        if n > 0 {
            count(guard.sk(), Mib::MptcpRetrans);
            guard.inner().sent_again += n;
        }
        n > 0
    } else {
        send_new(guard, ssk, ctx, job.bytes, more) > 0
    }
}

/// Gives a subflow bytes that another one has, or had. Returns how many.
fn resend(
    guard: &mut Guard<'_, Msk>,
    ssk: &mut Ssk<'_>,
    ctx: &Subflow<ConnRef>,
    range: Range,
) -> u64 {
    let mut at = range.from;
    while at.before(range.to) {
        let Some(room) = ctx.room(ssk, at) else {
            break;
        };
        let wanted = ctx.afford(ssk, room, range.to.since(at) as u64);
        let mut slices = Slices::new();
        guard.inner().tx.gather(at, wanted, &mut slices);
        let bytes = slices.bytes();
        if bytes == 0 {
            break;
        }
        let n = ctx
            .queue(ssk, at, room, &mut slices, (false, true))
            .unwrap_or(0);
        at = at.add(n as u64);
        if n < bytes {
            break;
        }
    }
    at.since(range.from).max(0) as u64
}

/// Gives a subflow up to `max` bytes that nobody has yet. Returns how many.
fn send_new(
    guard: &mut Guard<'_, Msk>,
    ssk: &mut Ssk<'_>,
    ctx: &Subflow<ConnRef>,
    max: u64,
    more: bool,
) -> u64 {
    let shared = guard.sk().state_of().shared();
    let mut total = 0;
    while total < max {
        let inner = guard.inner();
        let nxt = inner.tx.nxt();
        let unsent = inner.tx.unsent();
        if unsent == 0 {
            break;
        }
        let Some(room) = ctx.room(ssk, nxt) else {
            break;
        };
        let mut allowed = u64::from(room.bytes).min(unsent).min(max - total);
        if !shared.is(flag::FALLBACK) {
            let window = shared.wnd_end.get().since(nxt);
            if window <= 0 {
                // A closed window: TCP's own probes find out when it opens, for which it needs a byte.
                if !ssk.queues_empty() || total > 0 {
                    break;
                }
                allowed = 1;
            } else {
                allowed = allowed.min(window as u64);
            }
        }
        let allowed = ctx.afford(ssk, room, allowed);
        let mut slices = Slices::new();
        inner.tx.gather(nxt, allowed, &mut slices);
        let bytes = slices.bytes() as u64;
        if bytes == 0 {
            break;
        }
        // The number is public before the bytes are: their acknowledgement may come at once.
        shared.snd_nxt.set(nxt.add(bytes));
        let more = (more || unsent > bytes, false);
        let taken = ctx.queue(ssk, nxt, room, &mut slices, more);
        let n = *taken.as_ref().unwrap_or(&0) as u64;
        if n < bytes {
            shared.snd_nxt.set(nxt.add(n));
        }
        inner.tx.sent(n);
        shared.times.sent.touch();
        total += n;
        if n < bytes {
            break;
        }
    }
    total
}

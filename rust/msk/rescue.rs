// SPDX-License-Identifier: GPL-2.0

//! Nothing is lost with a subflow: what it had, and what it does not deliver in time, goes to the others.
//!
//! TCP sends again what a path loses, so there is little to do while it makes progress. When a subflow has
//! ended, all that it was given and that the connection has not got acknowledged is sent again at once. When
//! TCP waits for an answer in vain (its retransmission timeout has passed), the others get a copy as
//! well. And when TCP has got everything acknowledged but the connection has not, the peer has dropped it
//! behind TCP's back.

use super::{close, count, place, send, Locked, Msk, MskSock, Sub};
use crate::netstate::Netns;
use crate::observe::mib::Mib;
use crate::observe::trace::{Flow, Reinject};
use crate::proto::fallback::Verdict;
use crate::proto::pm::Progress;
use crate::proto::ranges::{Range, Ranges, RANGES};
use crate::proto::seq::Dsn;
use crate::subflow::flag as sub_flag;
use crate::subflow::shared::flag;
use crate::subflow::trace::reinject;
use crate::sys::glance::Glance;
use crate::sys::msock::{Guard, Timer};
use crate::sys::net::Net;
use crate::sys::sock::state;
use crate::sys::tcp::Ssk;
use crate::sys::time::Jiffies;

/// The interval between two looks, at least and at most.
const INTERVAL_MIN: Jiffies = Jiffies::from_millis(200);
const INTERVAL_MAX: Jiffies = Jiffies::from_millis(10_000);

/// How much is sent again at a time of what the peer's connection has dropped, bytes.
const PROBE: u64 = 65_536;

/// What has to be acknowledged in time, and MP_FAIL answered.
#[derive(Default)]
pub(super) struct Watch {
    /// Something has to be acknowledged.
    on: bool,
    /// How often the interval was doubled.
    pub(super) backoff: u8,
    /// How long the peer had to answer MP_FAIL, jiffies.
    span: u32,
    /// When the interval began.
    since: Jiffies,
    /// What was acknowledged then.
    una: Dsn,
    /// When MP_FAIL, if it was said, has not been answered in time.
    due: Option<Jiffies>,
}

impl Watch {
    /// MP_FAIL is said, and to be answered within `span`.
    fn ask(&mut self, span: u32) {
        self.span = span;
        self.due = Some(Jiffies::now().after(Jiffies(span as usize)));
    }
}

/// What is looked at for a moment.
type Passing = Ranges<[Range; RANGES]>;

/// Whether there is something whose acknowledgement has to come.
fn waiting(guard: &mut Guard<'_, Msk>) -> bool {
    let shared = guard.sk().state_of().shared();
    guard.inner().tx.una() != shared.snd_nxt.get()
        || shared.fin_due().is_some()
        || shared.is(flag::PENDING)
        || shared.is(flag::FAIL_WAIT)
}

/// Sees to it that the retransmission timer is set if there is something to wait for.
pub(super) fn arm(guard: &mut Guard<'_, Msk>) {
    let set = guard.sk().timer_pending(Timer::Retransmit);
    if guard.inner().watch.on && set || !waiting(guard) {
        return;
    }
    let Locked { watch, tx, .. } = guard.inner();
    if !watch.on {
        watch.on = true;
        watch.una = tx.una();
        watch.since = Jiffies::now();
    }
    // A timer that is set from before goes off too early, and is set again then; or too late, for a path whose round
    // trips take longer.
    let remains = guard.sk().timer_left(Timer::Retransmit).0;
    if !set || remains > INTERVAL_MIN.0 && remains > left(guard).0 {
        start(guard);
    }
}

/// Everything is acknowledged. The timer is left as it is: to set it for each request and stop it with each answer costs
/// more than one call in vain. But one for a doubled interval would be late for what comes next.
pub(super) fn disarm(guard: &mut Guard<'_, Msk>) {
    let watch = &mut guard.inner().watch;
    watch.on = false;
    let doubled = core::mem::take(&mut watch.backoff) != 0;
    // The answer to MP_FAIL has its own time, and nothing else would set the timer for it.
    if doubled && !guard.sk().state_of().shared().is(flag::FAIL_WAIT) {
        guard.sk().stop_timer(Timer::Retransmit);
    }
}

/// There is another path: what one waits for in vain need not wait for the end of a doubled interval. Any context.
pub(super) fn hurry(guard: &mut Guard<'_, Msk>) {
    if core::mem::take(&mut guard.inner().watch.backoff) != 0 {
        restart(guard);
    }
}

/// How long it is until the interval is over, or the answer to MP_FAIL is due.
fn left(guard: &mut Guard<'_, Msk>) -> Jiffies {
    let unanswered = guard.sk().state_of().shared().is(flag::FAIL_WAIT);
    let Locked { subs, watch, .. } = guard.inner();
    let rto = subs
        .iter()
        .filter(|sub| place::usable(sub))
        .map(|sub| Glance::at(&sub.ssk).rto().0)
        .min()
        .unwrap_or(INTERVAL_MIN.0);
    let interval = (rto.max(INTERVAL_MIN.0) << watch.backoff).min(INTERVAL_MAX.0);
    if !watch.on {
        watch.on = true;
        watch.since = Jiffies::now();
    }
    let left = watch.since.after(Jiffies(interval)).until();
    match watch.due.filter(|_| unanswered) {
        Some(due) => Jiffies(left.0.min(due.until().0)),
        None => left,
    }
}

/// Sets the timer for what is left of the interval.
fn start(guard: &mut Guard<'_, Msk>) {
    let left = left(guard);
    let when = Jiffies::now().after(Jiffies(left.0.max(1)));
    guard.sk().set_timer(Timer::Retransmit, when.0);
}

/// Begins another interval, if there is something to wait for.
fn restart(guard: &mut Guard<'_, Msk>) {
    guard.inner().watch.on = false;
    if guard.sk().state() != state::CLOSE && waiting(guard) {
        start(guard);
    }
}

/// MP_FAIL was said: the peer has TCP's retransmission timeout to answer it. Softirq, or process context.
pub(super) fn await_answer(guard: &mut Guard<'_, Msk>) {
    let Some(sub) = guard.inner().subs.first() else {
        return;
    };
    let span = Glance::at(&sub.ssk).rto().0.max(INTERVAL_MIN.0);
    guard.inner().watch.ask(span as u32);
    start(guard);
}

/// Whether the answer to MP_FAIL should have come: MP_FAIL is said again, with twice the time to answer it, or
/// the subflow is reset (RFC 8684 section 3.7). Process context.
fn look_for_answer(guard: &mut Guard<'_, Msk>) {
    let msk = guard.sk().state_of();
    if !msk.shared.is(flag::FAIL_WAIT) || msk.shared.is(flag::FALLBACK) {
        msk.shared.clear(flag::FAIL_WAIT);
        guard.inner().watch.due = None;
        return;
    }
    if !guard.inner().watch.due.is_some_and(|due| due.is_past()) {
        return;
    }
    let Some(sub) = guard.inner().subs.first().cloned() else {
        msk.fallback.lock().on_subflow_gone();
        msk.shared.clear(flag::FAIL_WAIT);
        guard.inner().watch.due = None;
        return;
    };
    let verdict = msk.fallback.lock().on_fail_timeout();
    match verdict {
        Verdict::SendFail => {
            let watch = &mut guard.inner().watch;
            watch.ask(watch.span.saturating_mul(2));
            sub.ctx.set(sub_flag::FAIL_DUE);
            Ssk::lock(&sub.ssk).send_ack();
        }
        Verdict::Reset { rst, .. } => {
            msk.shared.clear(flag::FAIL_WAIT);
            guard.inner().watch.due = None;
            sub.ctx.reset_with(rst);
            sub.ctx.set(sub_flag::FAIL_DUE | sub_flag::CLOSING);
            close::later(guard, close::todo::RESET_MARKED);
        }
        _ => {}
    }
}

/// The retransmission timer went off. Softirq, or process context in its place.
pub(super) fn on_timeout(guard: &mut Guard<'_, Msk>) {
    send::clean(guard);
    let sk = guard.sk();
    if sk.state() == state::CLOSE || !waiting(guard) {
        return disarm(guard);
    }
    if left(guard) != Jiffies::ZERO {
        return start(guard);
    }
    if sk.state_of().shared().fin_due().is_some() {
        close::later(guard, close::todo::ACK);
    }
    close::later(guard, close::todo::TICK);
}

/// An interval is over. Process context.
pub(super) fn tick(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    look_for_answer(guard);
    if sk.state() == state::CLOSE {
        return restart(guard);
    }
    send::clean(guard);
    if sk.state_of().shared().is(flag::FALLBACK) {
        // All is TCP's business then, but for what it could not take, for want of memory.
        send::place(guard, false);
        return restart(guard);
    }
    let una = guard.inner().tx.una();
    let moved = una != core::mem::replace(&mut guard.inner().watch.una, una);
    let found = look(guard);
    let backoff = &mut guard.inner().watch.backoff;
    if moved {
        *backoff = 0;
    } else {
        *backoff = (*backoff + 1).min(8);
        if let Some(hole) = hole(guard, una, &found) {
            let flow = Flow {
                token: sk.state_of().shared().local.token,
                ..Flow::default()
            };
            reinject(flow, hole, Reinject::Dropped);
            guard.inner().again.add(hole);
        }
    }
    send::place(guard, false);
    restart(guard);
}

/// Looks at every subflow: which have lost what they were given. Returns what is on its way.
fn look(guard: &mut Guard<'_, Msk>) -> Passing {
    let sk = guard.sk();
    let sent = guard.inner().tx.in_flight();
    let loss_cnt = Net::of(sk).state::<Netns>().sysctls.stale_loss_cnt();
    let mut flying = Passing::default();
    let mut index = 0;
    while let Some(sub) = guard.inner().subs.get(index).cloned() {
        index += 1;
        let ctx = &sub.ctx;
        if !place::usable(&sub) {
            continue;
        }
        let others = alternatives(guard, &sub);
        let mut ssk = Ssk::lock(&sub.ssk);
        let idle = ssk.queues_empty();
        match ctx.on_interval(&mut ssk, idle, loss_cnt) {
            Progress::Alive => {
                if ctx.clear(sub_flag::STALE) {
                    count(sk, Mib::SubflowRecover);
                }
            }
            Progress::Lost if others => {
                if ctx.mark_stale(&mut ssk) {
                    count(sk, Mib::SubflowStale);
                    ctx.trace_reinject(&mut ssk, sent, false, Reinject::Stale);
                    ctx.outstanding(&mut ssk, sent, false, &mut guard.inner().again);
                }
            }
            _ => {}
        }
        if ssk.retransmits() == 0 {
            ctx.clear(sub_flag::RESCUED);
        } else if !idle && others {
            // What it was given since, when there was no other one, has no copy yet.
            let from = ctx.rescued_to().map_or(sent.from, |to| to.max(sent.from));
            let since = Range { from, ..sent };
            let mut lost = Passing::default();
            ctx.outstanding(&mut ssk, since, false, &mut lost);
            let last = lost.iter().last().map(|range| range.to);
            if last.is_some() || !ctx.is(sub_flag::RESCUED) {
                ctx.trace_reinject(&mut ssk, since, false, Reinject::Timeout);
                for &range in lost.iter() {
                    guard.inner().again.add(range);
                }
                ctx.rescue(&ssk, last.unwrap_or(sent.from));
            }
        }
        // What others have a copy of is not on its way here, where it is waited for in vain.
        if !(others && ctx.is(sub_flag::RESCUED)) {
            ctx.outstanding(&mut ssk, sent, false, &mut flying);
        }
    }
    flying
}

/// Everything up to `una` is acknowledged: a subflow of which nothing was heard while others delivered what
/// it had is stale. They are passed over already; this tells. Any context.
pub(super) fn outdone(guard: &mut Guard<'_, Msk>, una: Dsn) {
    if guard.inner().subs.len() < 2 {
        return;
    }
    let sk = guard.sk();
    for sub in guard.inner().subs.iter() {
        if sub.ctx.is(sub_flag::STALE) || !sub.ctx.is_outdone(&sub.ssk, una) {
            continue;
        }
        let loss_cnt = Net::of(sk).state::<Netns>().sysctls.stale_loss_cnt();
        if loss_cnt > 0 && sub.ctx.set(sub_flag::STALE) {
            count(sk, Mib::SubflowStale);
        }
    }
}

/// Whether another subflow could take over from `sub`.
fn alternatives(guard: &mut Guard<'_, Msk>, sub: &Sub) -> bool {
    guard.inner().subs.iter().any(|other| {
        !core::ptr::eq(&*other.ctx, &*sub.ctx)
            && place::usable(other)
            && !other.ctx.is(sub_flag::STALE | sub_flag::RESCUED)
    })
}

/// What the peer's connection lacks although no subflow is about to bring it: from `una` on, up to what is on
/// its way. Nothing if the peer has no room for it anyway.
fn hole(guard: &mut Guard<'_, Msk>, una: Dsn, flying: &Passing) -> Option<Range> {
    let shared = guard.sk().state_of().shared();
    if !shared.confirmed() && !shared.is(flag::MULTI) {
        // It may yet turn out to be plain TCP, for which the subflow's bytes have to be the stream.
        return None;
    }
    if guard
        .inner()
        .again
        .first()
        .is_some_and(|range| range.from.at_or_before(una))
    {
        return None;
    }
    let end = flying
        .first()
        .map_or(guard.inner().tx.nxt(), |range| range.from);
    let to = end.min(una.add(PROBE)).min(shared.wnd_end.get());
    let hole = Range { from: una, to };
    (!hole.is_empty()).then_some(hole)
}

/// Takes subflows out that have ended, or that the peer has ended. Process context.
pub(super) fn reap(guard: &mut Guard<'_, Msk>) {
    let mut index = 0;
    let mut any = false;
    while let Some(sub) = guard.inner().subs.get(index).cloned() {
        if over(guard, &sub) {
            remove(guard, index);
            any = true;
        } else {
            index += 1;
        }
    }
    if any {
        close::on_subflow(guard, None);
        send::place(guard, false);
    }
}

/// Whether a subflow is of no use any more.
fn over(guard: &mut Guard<'_, Msk>, sub: &Sub) -> bool {
    let sk: &MskSock = guard.sk();
    let shared = sk.state_of().shared();
    if sk.state_in(&[state::CLOSE, state::SYN_SENT, state::LISTEN])
        || shared.is(flag::FALLBACK) && !sub.ctx.is(sub_flag::JOIN)
    {
        return false;
    }
    match sub.ssk.state() {
        // Of the first one something may still be asked, if there was never another.
        state::CLOSE => shared.is(flag::MULTI) || sub.ctx.is(sub_flag::JOIN),
        state::CLOSE_WAIT => !shared.is(flag::EOF) && shared.is(flag::MULTI),
        _ => false,
    }
}

/// Takes the subflow `index` out and closes it. What it has not delivered is to be sent again.
pub(super) fn remove(guard: &mut Guard<'_, Msk>, index: usize) {
    let sk = guard.sk();
    let sent = guard.inner().tx.in_flight();
    let Some(sub) = guard.inner().take_sub(index) else {
        return;
    };
    {
        let mut ssk = Ssk::lock(&sub.ssk);
        sub.ctx.drain(&mut ssk);
        let inner = guard.inner();
        sub.ctx
            .trace_reinject(&mut ssk, sent, true, Reinject::Closed);
        sub.ctx.outstanding(&mut ssk, sent, true, &mut inner.again);
    }
    super::pm::subflow_closed(sk, &sub);
    close::release(sub);
}

// SPDX-License-Identifier: GPL-2.0

//! The end of a connection, in all its forms.
//!
//! The state machine says what is to be done ([`Actions`]); what needs a subflow's lock is noted and done
//! in process context: at once if that is where we are, or by the connection's work item.

use super::{rescue, send, write_seq, Locked, Msk, MskSock, Sub};
use crate::bindings;
use crate::netstate::Netns;
use crate::observe::mib::Mib;
use crate::proto::conn::{Actions, ConnError, State};
use crate::proto::sched;
use crate::subflow::flag as sub_flag;
use crate::subflow::shared::flag;
use crate::sys::errno::eopnotsupp;
use crate::sys::msock::{Guard, SockOf, Timer};
use crate::sys::net::Net;
use crate::sys::sock::{state, RCV_SHUTDOWN, SEND_SHUTDOWN, SHUTDOWN_MASK};
use crate::sys::tcp::{self, Ssk};
use crate::sys::time::Jiffies;
use crate::sys::vec::Take;
use kernel::alloc::KVec;
use kernel::error::{code::*, Result};

/// What is to be done in process context.
pub(super) mod todo {
    /// Send an ACK: a DATA_FIN, or its DATA_ACK.
    pub(in crate::msk) const ACK: u32 = 1 << 0;
    /// Close the sending side of all subflows.
    pub(in crate::msk) const SHUTDOWN: u32 = 1 << 1;
    /// Reset all subflows.
    pub(in crate::msk) const RESET: u32 = 1 << 2;
    /// ... with MP_FASTCLOSE.
    pub(in crate::msk) const FASTCLOSE: u32 = 1 << 3;
    /// Reset the subflows that are marked.
    pub(in crate::msk) const RESET_MARKED: u32 = 1 << 4;
    /// Everything is over and no file is left.
    pub(in crate::msk) const DESTROY: u32 = 1 << 5;
    /// Give subflows what they can take.
    pub(in crate::msk) const PUSH: u32 = 1 << 6;
    /// The retransmission timer went off.
    pub(in crate::msk) const TICK: u32 = 1 << 7;
    /// Take out subflows that have ended.
    pub(in crate::msk) const REAP: u32 = 1 << 8;
    /// Subflows have joined.
    pub(in crate::msk) const JOINED: u32 = 1 << 9;
    /// Look for data that stays in subflows' queues.
    pub(in crate::msk) const RESUME: u32 = 1 << 10;
    /// Nothing by itself: this context is about to [`super::settle`] all that is noted.
    pub(super) const HERE: u32 = 1 << 31;
}

/// Does what the state machine asks for.
pub(super) fn act(guard: &mut Guard<'_, Msk>, actions: Actions) {
    if actions.is_none() {
        return;
    }
    let sk = guard.sk();
    let shared = sk.state_of().shared();
    let has = |action| actions.contains(action);
    if has(Actions::SEND_DATA_FIN) {
        shared.fin.set(write_seq(guard));
        shared.set(flag::FIN);
        later(guard, todo::ACK);
    }
    if let Some(error) = actions.error {
        let errno = match error {
            ConnError::Refused => bindings::ECONNREFUSED,
            ConnError::Reset => bindings::ECONNRESET,
            ConnError::BrokenPipe => bindings::EPIPE,
            ConnError::TimedOut => bindings::ETIMEDOUT,
        };
        sk.report_error(errno as i32);
    }
    if has(Actions::EOF) {
        sk.add_shutdown(RCV_SHUTDOWN);
        sk.set_flag(bindings::sock_flags_SOCK_DONE);
    }
    if has(Actions::STATE_CHANGE) {
        follow(guard);
    }
    if has(Actions::EOF) {
        sk.wake_readers();
    }
    if has(Actions::SEND_ACK) {
        later(guard, todo::ACK);
    }
    if has(Actions::SHUTDOWN_SUBFLOWS) {
        later(guard, todo::SHUTDOWN);
    }
    if has(Actions::SEND_FASTCLOSE) {
        later(guard, todo::FASTCLOSE | todo::RESET);
    }
    if has(Actions::RESET_SUBFLOWS) {
        later(guard, todo::RESET);
    }
    if has(Actions::START_CLOSE_TIMER) {
        start_close_timer(sk);
    }
}

/// The socket's state follows the connection's.
fn follow(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    let to = match guard.inner().conn.state() {
        State::Close => state::CLOSE,
        State::SynSent => state::SYN_SENT,
        State::Established => state::ESTABLISHED,
        State::FinWait1 => state::FIN_WAIT1,
        State::FinWait2 => state::FIN_WAIT2,
        State::Closing => state::CLOSING,
        State::CloseWait => state::CLOSE_WAIT,
        State::LastAck => state::LAST_ACK,
    };
    let from = sk.state();
    if from == to {
        return;
    }
    sk.set_state(to);
    // As TCP counts: both directions are open, or the peer's is closed.
    let counted = |state| matches!(state, state::ESTABLISHED | state::CLOSE_WAIT);
    match (counted(from), counted(to)) {
        (false, true) => super::count(sk, Mib::MpCurrEstab),
        (true, false) => crate::observe::mib::dec(Net::of(sk), Mib::MpCurrEstab),
        _ => {}
    }
    if to == state::CLOSE {
        sk.add_shutdown(SHUTDOWN_MASK);
        sk.stop_timer(Timer::Retransmit);
        let freed = guard.inner().tx.clear();
        guard.wmem_add(-(freed as i32));
        if gone(sk) {
            later(guard, todo::DESTROY);
        }
    }
    sk.wake_all();
    sk.wake_writers();
}

/// Notes what to do, and asks for process context unless this is one that does it, see [`here`].
pub(super) fn later(guard: &mut Guard<'_, Msk>, what: u32) {
    guard.inner().todo |= what;
    if guard.inner().todo & todo::HERE == 0 {
        guard.sk().schedule();
    }
}

/// What is noted from now on is done by [`settle`], which follows: the work item is not needed.
fn here(guard: &mut Guard<'_, Msk>) {
    guard.inner().todo |= todo::HERE;
}

/// Does now what was noted. Process context, no subflow's lock is held.
pub(super) fn settle(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    let shared = sk.state_of().shared();
    if shared.is(flag::QUEUED) && !shared.is(flag::ABANDONED) {
        // TCP expects that nobody owns a socket that nobody has accepted: `accepted` takes this up again.
        guard.inner().todo &= !todo::HERE;
        return;
    }
    loop {
        let what = core::mem::replace(&mut guard.inner().todo, todo::HERE) & !todo::HERE;
        if what == 0 {
            guard.inner().todo = 0;
            return;
        }
        if what & (todo::FASTCLOSE | todo::RESET) != 0 {
            reset_all(guard, what & todo::FASTCLOSE != 0);
        }
        if what & todo::JOINED != 0 {
            super::join::settle(guard);
        }
        if what & todo::RESUME != 0 {
            for_each(guard, |sub| {
                if sub.ctx.is(sub_flag::STALLED) {
                    sub.ctx.resume(&mut Ssk::lock(&sub.ssk));
                }
            });
        }
        if what & todo::RESET_MARKED != 0 {
            reset_marked(guard);
        }
        if what & todo::REAP != 0 {
            rescue::reap(guard);
        }
        if what & todo::TICK != 0 {
            rescue::tick(guard);
        }
        if what & todo::PUSH != 0 && sk.state() != state::LISTEN {
            send::push(guard, false);
        }
        if what & (todo::ACK | todo::SHUTDOWN) != 0 && sk.state() != state::LISTEN {
            send::push(guard, false);
            // A FIN ends what TCP has queued: it has to wait for what it has not, and for the DATA_FIN.
            let early = guard.inner().tx.unsent() > 0 || sk.state_of().shared().fin_due().is_some();
            let mut lost = false;
            for_each(guard, |sub| {
                let mut ssk = Ssk::lock(&sub.ssk);
                if !connected(&ssk) {
                    return;
                }
                if what & todo::SHUTDOWN != 0 && !early {
                    sub.ctx.set(sub_flag::FIN_QUEUED);
                    // The stream has ended otherwise. After a fallback it has not: that is as with TCP.
                    if !ssk.shutdown_send() && !shared.is(flag::FALLBACK) {
                        lost |= sub.ctx.set(sub_flag::CLOSING);
                    }
                }
                // The FIN may have said the DATA_ACK, or the subflow that the DATA_FIN came on.
                if what & todo::ACK != 0 && (shared.fin_due().is_some() || shared.owes_data_ack()) {
                    ssk.send_ack();
                }
            });
            if lost {
                later(guard, todo::RESET_MARKED);
            }
        }
        if what & todo::DESTROY != 0 {
            destroy(guard);
        }
    }
}

/// Whether nobody will ever use the connection again: its file was closed, or nobody accepted it.
fn gone(sk: &MskSock) -> bool {
    sk.is_dead() || sk.state_of().shared().is(flag::ABANDONED)
}

/// The listener was closed, and TCP has destroyed the subflow of a connection that it had in its queue.
pub(super) fn on_abandoned(guard: &mut Guard<'_, Msk>) {
    super::pm::closed(guard.sk());
    let mut actions = guard.inner().conn.on_reset();
    actions.error = None;
    act(guard, actions);
    later(guard, todo::DESTROY);
}

fn connected(ssk: &Ssk<'_>) -> bool {
    !matches!(
        ssk.state(),
        state::CLOSE | state::SYN_SENT | state::SYN_RECV | state::LISTEN
    )
}

fn for_each(guard: &mut Guard<'_, Msk>, mut f: impl FnMut(&Sub)) {
    let mut index = 0;
    while let Some(sub) = guard.inner().subs.get(index).cloned() {
        f(&sub);
        index += 1;
    }
}

/// Resets every subflow.
fn reset_all(guard: &mut Guard<'_, Msk>, fastclose: bool) {
    let sk = guard.sk();
    if fastclose {
        super::count(sk, Mib::MpFastcloseTx);
    }
    for_each(guard, |sub| {
        if sub.ssk.state() == state::CLOSE {
            return;
        }
        sub.ctx.set(sub_flag::CLOSING);
        if fastclose {
            sub.ctx.set(sub_flag::FASTCLOSE);
        }
        tcp::abort(&sub.ssk, bindings::ECONNRESET as i32);
    });
}

/// Resets the subflows that violated the protocol.
fn reset_marked(guard: &mut Guard<'_, Msk>) {
    for_each(guard, |sub| {
        if sub.ctx.is(sub_flag::CLOSING) && sub.ssk.state() != state::CLOSE {
            tcp::abort(&sub.ssk, bindings::EPROTO as i32);
        }
    });
    on_subflow(guard, None);
}

/// Takes a look at flags that softirqs have set.
pub(super) fn look(guard: &mut Guard<'_, Msk>) {
    send::clean(guard);
    let shared = guard.sk().state_of().shared();
    if shared.is(flag::EOF) && guard.inner().conn.may_receive() {
        let actions = if shared.is(flag::FALLBACK) {
            guard.inner().conn.on_subflow_fin()
        } else {
            guard.inner().conn.on_data_fin()
        };
        act(guard, actions);
    }
}

/// A subflow's state has changed, or it failed. `ssk` if it is locked by the caller.
pub(super) fn on_subflow(guard: &mut Guard<'_, Msk>, ssk: Option<&mut Ssk<'_>>) {
    let sk = guard.sk();
    let shared = sk.state_of().shared();
    let _ = ssk;
    let Some(first) = guard.inner().subs.first().cloned() else {
        // The last one is gone.
        if shared.is(flag::MULTI) {
            on_last_subflow(guard, gone(sk));
        }
        return;
    };
    // TCP, on another CPU perhaps, notes the error first and then changes the state, and after that it tells: only then
    // the end that its peer has sent is known here. It tells nothing of a socket that nobody owns.
    let closed = |sub: &Sub| {
        sub.ssk.state() == state::CLOSE && (sub.ctx.is(sub_flag::ENDED) || sub.ssk.is_dead())
    };
    let all = guard.inner().subs.iter().all(closed);
    let now = first.ssk.state();
    core::sync::atomic::fence(core::sync::atomic::Ordering::Acquire);
    let err = first.ssk.err();
    // A second one may have failed before there were two.
    if shared.is(flag::MULTI) || guard.inner().subs.len() > 1 {
        later(guard, todo::REAP);
    }
    if shared.is(flag::FALLBACK) {
        if matches!(now, state::FIN_WAIT2 | state::TIME_WAIT) || now == state::CLOSE && err == 0 {
            shared.snd_una.advance(shared.fin.get().add(1));
            let una = shared.fin.get().add(1);
            if shared.is(flag::FIN) {
                let actions = guard.inner().conn.on_data_ack(una);
                act(guard, actions);
            }
        }
    }
    if sk.state() == state::SYN_SENT && now == state::CLOSE {
        sk.report_error(if err != 0 {
            err
        } else {
            bindings::ECONNREFUSED as i32
        });
        let actions = guard.inner().conn.on_subflow_close(true, true);
        act(guard, actions);
        return;
    }
    if all && sk.state() != state::CLOSE && sk.state() != state::LISTEN {
        if err != 0 && !shared.is(flag::MULTI) {
            sk.report_error(err);
            let mut actions = guard.inner().conn.on_reset();
            actions.error = None;
            act(guard, actions);
        } else {
            on_last_subflow(guard, sk.is_dead());
        }
    }
}

/// No subflow is left. What it has brought, perhaps the end, comes before that.
fn on_last_subflow(guard: &mut Guard<'_, Msk>, orphan: bool) {
    look(guard);
    let actions = guard.inner().conn.on_subflow_close(true, orphan);
    act(guard, actions);
}

/// Data has come that nobody will read: the peer has to know, as TCP tells with a reset.
pub(super) fn on_unwanted(guard: &mut Guard<'_, Msk>) {
    let actions = guard.inner().conn.on_local_abort();
    act(guard, actions);
}

/// MP_FASTCLOSE has come.
pub(super) fn on_fastclose(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    super::count(sk, Mib::MpFastcloseRx);
    let actions = guard.inner().conn.on_reset();
    act(guard, actions);
}

/// `shutdown(2)`.
pub(super) fn shutdown(guard: &mut Guard<'_, Msk>, how: u8) {
    if how & SEND_SHUTDOWN != 0 {
        here(guard);
        let seq = write_seq(guard);
        let actions = guard.inner().conn.on_local_shutdown(seq);
        mark_fin(guard, actions);
        act(guard, actions);
        settle(guard);
    }
}

/// After a fallback our end of stream has a number too, so that its acknowledgement is known.
fn mark_fin(guard: &mut Guard<'_, Msk>, actions: Actions) {
    let shared = guard.sk().state_of().shared();
    if actions.contains(Actions::SHUTDOWN_SUBFLOWS) && shared.is(flag::FALLBACK) {
        shared.fin.set(write_seq(guard));
        shared.set(flag::FIN);
    }
}

/// The last `close(2)`.
pub(super) fn close(sk: &MskSock, timeout: isize) {
    let keep = sk.hold_ours();
    let mut guard = sk.lock();
    sk.add_shutdown(SHUTDOWN_MASK);
    if matches!(sk.state(), state::LISTEN | state::CLOSE | state::SYN_SENT) {
        super::pm::not_listening(&mut guard);
        guard.inner().conn = Default::default();
        if sk.state() != state::CLOSE {
            sk.set_state(state::CLOSE);
        }
    } else {
        here(&mut guard);
        let unread = sk.state_of().readable() > 0;
        let linger = sk.flag(bindings::sock_flags_SOCK_LINGER) && timeout == 0;
        let actions = if unread || linger {
            guard.inner().conn.on_local_abort()
        } else {
            let seq = write_seq(&mut guard);
            guard.inner().conn.on_local_shutdown(seq)
        };
        mark_fin(&mut guard, actions);
        act(&mut guard, actions);
        settle(&mut guard);
        if timeout > 0 {
            SockOf::wait_close(&mut guard, timeout);
        }
    }
    for_each(&mut guard, |sub| sub.ssk.lend_nobody());
    sk.orphan();
    sk.state_of().shared().set(flag::NO_READER);
    super::pm::closed(sk);
    if sk.state() == state::CLOSE {
        here(&mut guard);
        later(&mut guard, todo::DESTROY);
        settle(&mut guard);
    } else {
        start_close_timer(sk);
    }
    drop(guard);
    drop(keep);
}

fn start_close_timer(sk: &MskSock) {
    let timeout = Net::of(sk).state::<Netns>().sysctls.close_timeout();
    sk.set_timer(Timer::Close, Jiffies::now().0 + timeout.0);
}

/// The close timer went off.
pub(super) fn on_timeout(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    if sk.state() == state::CLOSE {
        return;
    }
    let alive = |sub: &Sub| sub.ssk.state() != state::CLOSE;
    if !sk.is_dead() && guard.inner().subs.iter().any(alive) {
        // It has got another subflow in time.
        return;
    }
    let mut actions = guard.inner().conn.on_close_timeout();
    if guard.sk().is_dead() {
        actions.error = None;
    }
    act(guard, actions);
    later(guard, todo::RESET);
}

/// The connection's work item.
pub(super) fn work(sk: &MskSock) {
    let mut guard = sk.lock();
    here(&mut guard);
    super::pm::work(&mut guard);
    settle(&mut guard);
}

/// Takes everything down: the connection is over, and no file is left.
fn destroy(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    if !gone(sk) || sk.state() != state::CLOSE {
        return;
    }
    let inner: &mut Locked = guard.inner();
    // A subflow may have joined at the last moment: it has to go as well.
    let again = core::mem::replace(&mut inner.destroyed, true);
    let subs = core::mem::replace(&mut inner.subs, KVec::new());
    inner.unread = Default::default();
    let had = core::mem::take(&mut inner.hooked);
    for sub in subs {
        release(sub);
    }
    loop {
        let late = sk.state_of().joined.lock().take_last();
        let Some(late) = late else {
            break;
        };
        release(late);
    }
    if again {
        return;
    }
    // A connection that was closed while it still connected has what its SYN took along.
    let freed = guard.inner().tx.clear();
    guard.wmem_add(-(freed as i32));
    sk.state_of().rx.lock().purge(sk);
    sk.stop_timer(Timer::Retransmit);
    sk.stop_timer(Timer::Close);
    sk.stop_timer(Timer::Announce);
    if had {
        Net::of(sk).hooks::<Netns>().put();
    }
    sk.destroy();
}

/// Closes a subflow, unless TCP has done that.
pub(super) fn release(sub: Sub) {
    if !sub.ctx.is(sub_flag::RELEASED) {
        sub.ssk.lend_nobody();
        tcp::close(sub.ssk);
    }
}

/// `connect(2)` to `AF_UNSPEC`, or after a failed connect: the socket is as new.
pub(super) fn disconnect(guard: &mut Guard<'_, Msk>) -> Result {
    let sk = guard.sk();
    let was = sk.state();
    super::pm::not_listening(guard);
    if !matches!(was, state::LISTEN | state::CLOSE | state::SYN_SENT) {
        let actions = guard.inner().conn.on_local_abort();
        act(guard, actions);
        settle(guard);
    }
    let subs = core::mem::replace(&mut guard.inner().subs, KVec::new());
    if core::mem::take(&mut guard.inner().hooked) {
        Net::of(sk).hooks::<Netns>().put();
    }
    for sub in subs {
        release(sub);
    }
    let inner = guard.inner();
    inner.conn = Default::default();
    inner.todo = 0;
    inner.in_syn = None;
    sk.defer_connect(false);
    *sk.state_of().fallback.lock() = Default::default();
    inner.again.clear();
    inner.sent_again = 0;
    inner.watch = Default::default();
    inner.unread = Default::default();
    inner.space = Default::default();
    inner.scheduler = sched::Chosen::new(sk.state_of().sysctl.scheduler);
    let freed = inner.tx.clear();
    inner.tx = super::tx::TxQueue::new(sk.state_of().shared().local.idsn.add(1));
    guard.wmem_add(-(freed as i32));
    let msk = sk.state_of();
    msk.rx.lock().restart(sk);
    msk.forget_readable();
    msk.shared().reset();
    super::pm::closed(sk);
    msk.pm.reset(Net::of(sk));
    sk.stop_timer(Timer::Announce);
    if sk.state() != state::CLOSE {
        sk.set_state(state::CLOSE);
    }
    sk.stop_timer(Timer::Retransmit);
    sk.stop_timer(Timer::Close);
    sk.clear_shutdown();
    sk.clear_flag(bindings::sock_flags_SOCK_DONE);
    // Whoever waits for the connection learns that it is gone.
    let lost = !matches!(was, state::LISTEN | state::CLOSE);
    sk.set_err(if lost { bindings::ECONNRESET as i32 } else { 0 });
    sk.wake_all();
    Ok(())
}

/// `ss -K`.
pub(super) fn kill(sk: &MskSock, errno: i32) -> Result {
    let mut guard = sk.lock();
    if sk.state() == state::CLOSE {
        return Err(ENOENT);
    }
    if sk.state() == state::LISTEN {
        return Err(eopnotsupp());
    }
    sk.report_error(errno);
    let actions = guard.inner().conn.on_local_abort();
    act(&mut guard, actions);
    settle(&mut guard);
    Ok(())
}

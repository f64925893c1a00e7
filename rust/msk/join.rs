// SPDX-License-Identifier: GPL-2.0

//! Further subflows (RFC 8684 section 3.2): those that the peer opens, and those that we do.

use super::{close, count, note, pm, rescue, token, trace, ConnRef, Msk, MskSock, Sub};
use crate::bindings;
use crate::observe::log;
use crate::observe::mib::Mib;
use crate::proto::handshake::{JoinError, JoinRequest};
use crate::proto::option::{RstReason, TcpRst};
use crate::proto::pm::{Address, Connect};
use crate::subflow::join::{refusal, PendingJoin, Terms};
use crate::subflow::shared::flag;
use crate::subflow::{flag as sub_flag, Subflow};
use crate::sys::msock::Guard;
use crate::sys::net::Net;
use crate::sys::random;
use crate::sys::skb::Ends;
use crate::sys::sock::state;
use crate::sys::tcp::{self, Ssk};
use crate::sys::uio::SockAddr;
use crate::sys::ulp;
use crate::sys::vec::Take;
use core::net::{IpAddr, SocketAddr};
use kernel::alloc::flags::{GFP_ATOMIC, GFP_KERNEL};
use kernel::error::Result;
use kernel::sync::Arc;

/// Whether the connection can have another subflow.
fn open_to_joins(sk: &MskSock) -> bool {
    let shared = sk.state_of().shared();
    shared.is(flag::AGREED)
        && !shared.is(flag::FALLBACK | flag::FAIL_WAIT)
        && shared.is(flag::CONFIRMED)
        && !sk.state_in(&[state::CLOSE, state::LISTEN, state::SYN_SENT])
}

impl ConnRef {
    /// See [`crate::subflow::Connection::join_terms`].
    pub(super) fn terms(&self, join: &JoinRequest, ends: &Ends) -> Result<Terms, TcpRst> {
        let listener = self.sk();
        let net = Net::of(listener);
        count(listener, Mib::MpJoinSynRx);
        if join.backup {
            count(listener, Mib::MpJoinSynBackupRx);
        }
        let sk = token::find(join.token).filter(|sk| Net::of(sk).is_same(net));
        let Some(sk) = sk else {
            count(listener, Mib::MpJoinNoTokenFound);
            return Err(refusal(RstReason::MptcpSpecific, false));
        };
        let local = Address::new(ends.local.ip(), ends.local.port());
        let manager = &sk.state_of().pm;
        if sk.address().local_port != ends.local.port() {
            count(listener, Mib::MpJoinPortSynRx);
            if !manager.is_announced(&local) {
                count(listener, Mib::MismatchPortSynRx);
                return Err(refusal(RstReason::AdminProhibited, false));
            }
        }
        if !open_to_joins(&sk) {
            return Err(refusal(RstReason::MptcpSpecific, false));
        }
        // Whether there may be another one is asked when the third ACK is here: others may end meanwhile.
        let addr_id = manager
            .local_id(net, &local, 0)
            .ok_or(refusal(RstReason::LackOfResources, true))?;
        let denied = sk.state_of().sysctl.deny_join_id0;
        if denied && addr_id == 0 && sk.address().local_port == local.port() {
            // The handshake has said so (RFC 8684 section 3.1, flag C).
            return Err(refusal(RstReason::AdminProhibited, false));
        }
        Ok(Terms {
            addr_id,
            backup: manager.is_backup(net, &local),
        })
    }

    /// See [`crate::subflow::Connection::join_answer`].
    pub(super) fn answer_join(
        &self,
        join: &JoinRequest,
        terms: Terms,
    ) -> Option<PendingJoin<Self>> {
        self.pending_join(join, terms, random::u64() as u32)
    }

    /// The answer to `join`, with the random number `nonce`. None if the connection is gone.
    pub(super) fn pending_join(
        &self,
        join: &JoinRequest,
        terms: Terms,
        nonce: u32,
    ) -> Option<PendingJoin<Self>> {
        let net = Net::of(self.sk());
        let conn = ConnRef(token::find(join.token).filter(|sk| Net::of(sk).is_same(net))?);
        let shared = conn.msk().shared();
        let keys = (shared.key, shared.agreed()?.peer_key);
        Some(PendingJoin::new(conn, keys, nonce, join, terms))
    }

    /// See [`crate::subflow::Connection::may_join`].
    pub(super) fn admits(&self, ends: &Ends) -> bool {
        let (sk, manager) = (self.sk(), &self.msk().pm);
        let local = Address::new(ends.local.ip(), ends.local.port());
        if sk.address().local_port != local.port() && !manager.is_announced(&local) {
            // It was, when the SYN came.
            count(sk, Mib::MismatchPortAckRx);
            return false;
        }
        open_to_joins(sk) && manager.may_join(Net::of(sk))
    }

    /// See [`crate::subflow::Connection::joined`].
    pub(super) fn take_joined(&self, ssk: &mut Ssk<'_>, ctx: Arc<Subflow<Self>>) -> bool {
        let (sk, msk) = (self.sk(), self.msk());
        count(sk, Mib::MpJoinAckRx);
        if ssk.address().local_port != sk.address().local_port {
            count(sk, Mib::MpJoinPortAckRx);
        }
        ssk.lend_nobody();
        let accepted = msk.pm.accept_join(Net::of(sk));
        trace::pm_join(sk, ssk.sock(), &ctx, accepted);
        if accepted {
            ctx.set(sub_flag::COUNTED);
        } else {
            // Another one was faster.
            ctx.reset_with(refusal(RstReason::AdminProhibited, false));
            ctx.set(sub_flag::CLOSING);
        }
        let sub = Sub {
            ssk: ssk.sock().hold(),
            ctx,
        };
        if msk.joined.lock().push(sub.clone(), GFP_ATOMIC).is_err() {
            pm::forget(sk, &sub);
            return false;
        }
        if let Some(mut guard) = sk.lock_softirq(note::JOINED) {
            take_in(&mut guard);
        }
        true
    }

    /// See [`crate::subflow::Connection::join_failed`].
    pub(super) fn count_failure(&self, error: JoinError, ack: bool) {
        log::join(self.msk().shared.local.token, error);
        let counter = if ack {
            Mib::MpJoinAckHmacFailure
        } else {
            Mib::MpJoinSynAckHmacFailure
        };
        count(self.sk(), counter);
    }

    /// See [`crate::subflow::Connection::join_answered`].
    pub(super) fn on_join_answer(&self, ssk: &mut Ssk<'_>, ctx: &Subflow<Self>) {
        let sk = self.sk();
        count(sk, Mib::MpJoinSynAckRx);
        if ctx.is(sub_flag::PEER_BACKUP) {
            count(sk, Mib::MpJoinSynAckBackupRx);
        }
        if ssk.address().remote_port != sk.address().remote_port {
            count(sk, Mib::MpJoinPortSynAckRx);
        }
        self.msk().shared.set(flag::MULTI);
        pm::subflow_established(sk, ssk.sock(), ctx);
    }
}

/// Makes subflows that have joined part of the connection. The lock is held, in any context.
pub(super) fn take_in(guard: &mut Guard<'_, Msk>) {
    let sk = guard.sk();
    let msk = sk.state_of();
    while !msk.joined.lock().is_empty() {
        if guard.inner().subs.reserve(1, GFP_ATOMIC).is_err() {
            close::later(guard, close::todo::JOINED);
            break;
        }
        let sub = msk.joined.lock().take_last();
        let Some(sub) = sub else {
            break;
        };
        let welcome = open_to_joins(sk);
        if !welcome {
            sub.ctx.set(sub_flag::CLOSING);
        }
        if sub.ctx.is(sub_flag::CLOSING) {
            close::later(guard, close::todo::RESET_MARKED | close::todo::DESTROY);
        } else {
            msk.shared.set(flag::MULTI);
            pm::subflow_established(sk, &sub.ssk, &sub.ctx);
            rescue::hurry(guard);
        }
        if !msk.shared.is(flag::QUEUED) && !sk.is_dead() {
            sk.lend_file(&sub.ssk);
            sk.want_write_space();
        }
        // There is room for it.
        let _ = guard.inner().subs.push(sub, GFP_ATOMIC);
        close::later(guard, close::todo::JOINED | close::todo::PUSH);
    }
}

/// In process context, after [`take_in`]: subflows get what was set on the connection.
pub(super) fn settle(guard: &mut Guard<'_, Msk>) {
    // Where memory is short, this waits for it.
    let _ = guard.inner().subs.reserve(1, GFP_KERNEL);
    take_in(guard);
    for index in 0..guard.inner().subs.len() {
        let Some(sub) = guard.inner().subs.get(index).cloned() else {
            break;
        };
        if sub.ctx.is(sub_flag::JOIN) && sub.ctx.is(sub_flag::SERVER) {
            // The socket of an endpoint does not keep its namespace, this one has to.
            sub.ssk.keep_net();
            super::sockopt::inherit(guard, &sub);
        }
    }
    super::send::grow_sndbuf(guard);
}

/// Opens a subflow. See [`crate::pm::Connection::open`].
pub(super) fn open(guard: &mut Guard<'_, Msk>, connect: &Connect) -> Result {
    let sk = guard.sk();
    let result = try_open(guard, connect);
    trace::pm_connect(
        sk,
        connect,
        &result.as_ref().map_or_else(|e| Err(e.1), |()| Ok(())),
    );
    if let Err((counter, err)) = result {
        count(sk, counter);
        return Err(err);
    }
    count(sk, Mib::MpJoinSynTx);
    Ok(())
}

fn try_open(
    guard: &mut Guard<'_, Msk>,
    connect: &Connect,
) -> Result<(), (Mib, kernel::error::Error)> {
    let sk = guard.sk();
    let family = match connect.remote.ip() {
        IpAddr::V4(_) => bindings::AF_INET,
        IpAddr::V6(_) => bindings::AF_INET6,
    };
    let created = |err| (Mib::MpJoinSynTxCreatSkErr, err);
    let (id, backup) = connect
        .local
        .map_or((0, false), |local| (local.id, local.backup));
    let ctx = Subflow::new_join(ConnRef(sk.hold_ours()), id, connect.remote_id, backup)
        .map_err(created)?;
    if connect.local.is_none() {
        ctx.set(sub_flag::ID_DUE);
    }
    let sub = attach(guard, family as u16, ctx).map_err(created)?;
    let fail = |guard: &mut Guard<'_, Msk>, counter, err| {
        let at = guard.inner().position(&sub);
        if let Some(at) = at {
            let _ = guard.inner().take_sub(at);
        }
        close::release(sub.clone());
        Err((counter, err))
    };
    if let Some(local) = &connect.local {
        if local.ifindex != 0 {
            sub.ssk.bind_to_device(local.ifindex);
        }
        let mut addr = SockAddr::of(SocketAddr::new(local.addr.ip(), local.addr.port()));
        if let Err(err) = tcp::bind(&sub.ssk, &mut addr) {
            return fail(guard, Mib::MpJoinSynTxBindErr, err);
        }
    }
    let mut remote = SockAddr::of(SocketAddr::new(connect.remote.ip(), connect.remote.port()));
    // The answer may be here as soon as the lock is not.
    sub.ctx.set(sub_flag::COUNTED);
    let connected = Ssk::lock(&sub.ssk).connect(&mut remote);
    if let Err(err) = connected {
        sub.ctx.clear(sub_flag::COUNTED);
        return fail(guard, Mib::MpJoinSynTxConnectErr, err);
    }
    Ok(())
}

/// Makes `ctx`, on a new TCP socket of `family`, part of the connection.
///
/// # Errors
///
/// As `socket(2)`.
pub(super) fn attach(
    guard: &mut Guard<'_, Msk>,
    family: u16,
    ctx: Arc<Subflow<ConnRef>>,
) -> Result<Sub> {
    let sk = guard.sk();
    let ssk = tcp::create(sk, family)?;
    let sub = Sub { ssk, ctx };
    let attached = ulp::attach(&mut Ssk::lock(&sub.ssk), sub.ctx.clone());
    let pushed = attached.and_then(|()| Ok(guard.inner().subs.push(sub.clone(), GFP_KERNEL)?));
    if let Err(err) = pushed {
        tcp::close(sub.ssk);
        return Err(err);
    }
    if sk.is_dead() {
        sub.ssk.lend_nobody();
    } else {
        sk.lend_file(&sub.ssk);
    }
    sub.ssk.want_write_space();
    super::sockopt::inherit(guard, &sub);
    Ok(sub)
}

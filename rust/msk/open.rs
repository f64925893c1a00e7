// SPDX-License-Identifier: GPL-2.0

//! bind, connect, listen, accept.

use super::{close, count, fastopen, token, ConnRef, Msk, MskSock, Sub};
use crate::netstate::Netns;
use crate::observe::mib::Mib;
use crate::pm::Side;
use crate::proto::conn::Conn;
use crate::proto::handshake::{Agreed, CapableServer, Config, Request};
use crate::subflow::shared::flag;
use crate::subflow::{self, flag as sub_flag, PendingCapable, Subflow};
use crate::sys::errno::enotconn;
use crate::sys::msock::{Accepted, Guard};
use crate::sys::net::Net;
use crate::sys::sock::{state, Sock};
use crate::sys::tcp::{self, Ssk};
use crate::sys::uio::SockAddr;
use core::sync::atomic::Ordering;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::error::{code::*, Result};
use kernel::sync::Arc;
use kernel::types::ARef;

/// A new socket is complete.
pub(super) fn created(sk: &MskSock) {
    token::TOKENS.assign(sk.state_of().shared.local.token, sk);
    sk.take_all_options();
    sk.set_sndbuf(sk.wmem_default());
    sk.set_rcvbuf(sk.rmem_default());
}

/// The first subflow's TCP socket, made if there is none.
pub(super) fn first(guard: &mut Guard<'_, Msk>) -> Result<Sub> {
    if let Some(sub) = guard.inner().subs.first() {
        return Ok(sub.clone());
    }
    let sk = guard.sk();
    if sk.state() != state::CLOSE {
        // The connection has lost all that it had.
        return Err(enotconn());
    }
    let hooks = Net::of(sk).hooks::<Netns>();
    hooks.get()?;
    let made = Subflow::new(ConnRef(sk.hold_ours()), true)
        .and_then(|ctx| super::join::attach(guard, sk.family(), ctx));
    if made.is_ok() {
        guard.inner().hooked = true;
    } else {
        hooks.put();
    }
    made
}

/// The first subflow, for options that are set before there is a connection.
pub(super) fn first_ssk(guard: &mut Guard<'_, Msk>) -> Result<ARef<Sock>> {
    Ok(first(guard)?.ssk)
}

/// `bind(2)`.
pub(super) fn bind(sk: &MskSock, mut addr: SockAddr) -> Result {
    let mut guard = sk.lock();
    if sk.state() != state::CLOSE {
        return Err(EINVAL);
    }
    let sub = first(&mut guard)?;
    tcp::bind(&sub.ssk, &mut addr)?;
    sk.copy_addresses(&sub.ssk);
    Ok(())
}

/// `listen(2)`.
pub(super) fn listen(sk: &MskSock, backlog: i32) -> Result {
    let mut guard = sk.lock();
    if !matches!(sk.state(), state::CLOSE | state::LISTEN) {
        return Err(EINVAL);
    }
    let sub = first(&mut guard)?;
    tcp::listen(&sub.ssk, backlog)?;
    sk.copy_addresses(&sub.ssk);
    sk.set_state(state::LISTEN);
    super::pm::listening(sk, &sub.ssk);
    Ok(())
}

/// `connect(2)`, without waiting.
pub(super) fn connect(guard: &mut Guard<'_, Msk>, mut addr: SockAddr) -> Result {
    let sk = guard.sk();
    let sub = first(guard)?;
    let mut ssk = Ssk::lock(&sub.ssk);
    sub.ctx.set(sub_flag::CLIENT);
    guard.inner().conn = Conn::connecting();
    let plain = begin_plain(guard, &sub);
    sk.set_err(0);
    sk.set_state(state::SYN_SENT);
    let result = fastopen::start(guard, &mut ssk, &mut addr);
    sk.copy_addresses(&sub.ssk);
    drop(ssk);
    if let Err(err) = result {
        guard.inner().conn = Conn::default();
        sk.set_state(state::CLOSE);
        sub.ctx.set(sub_flag::ASK);
        sk.state_of().shared.clear(flag::FALLBACK);
        return Err(err);
    }
    count(sk, plain.unwrap_or(Mib::MpCapableSynTx));
    Ok(())
}

/// A connection begins: as plain TCP, and why, if there is no point in asking for MPTCP.
fn begin_plain(guard: &mut Guard<'_, Msk>, sub: &Sub) -> Option<Mib> {
    let sk = guard.sk();
    if !Net::of(sk).state::<Netns>().sysctls.blackhole_active() {
        return None;
    }
    sub.ctx.clear(sub_flag::ASK);
    sk.state_of().shared.set(flag::FALLBACK);
    super::trace::unavailable(sub);
    let _ = guard.inner().conn.on_fallback();
    Some(Mib::MpCapableSynTxDisabled)
}

/// `accept(2)`.
pub(super) fn accept(sk: &MskSock, nonblock: bool, kern: bool) -> Result<Accepted<Msk>> {
    let mut timeo = sk.recv_timeout(nonblock);
    let ssk = loop {
        let listener = {
            let mut guard = sk.lock();
            if sk.state() != state::LISTEN {
                return Err(EINVAL);
            }
            guard.inner().subs.first().ok_or(EINVAL)?.ssk.clone()
        };
        match tcp::accept(&listener, kern) {
            Err(err) if err == EAGAIN => {}
            taken => break taken?,
        }
        if timeo == 0 {
            return Err(EAGAIN);
        }
        if Sock::signal_pending() {
            return Err(Sock::interrupted(timeo));
        }
        sk.wait_accept(&listener, &mut timeo);
    };
    let ctx = subflow::of_sock::<ConnRef>(&ssk);
    match ctx.as_ref().and_then(|ctx| ctx.conn()) {
        Some(conn) => Ok(Accepted::Ours(conn.0.clone())),
        None => Ok(Accepted::Plain(ssk)),
    }
}

/// A connection has got its file.
pub(super) fn accepted(sk: &MskSock) {
    sk.take_all_options();
    let mut guard = sk.lock();
    sk.state_of().shared.clear(flag::QUEUED);
    super::join::take_in(&mut guard);
    for index in 0..guard.inner().subs.len() {
        let Some(sub) = guard.inner().subs.get(index).cloned() else {
            break;
        };
        sk.lend_file(&sub.ssk);
        sk.want_write_space();
    }
    super::send::grow_sndbuf(&mut guard);
    close::look(&mut guard);
    super::pm::work(&mut guard);
    close::settle(&mut guard);
}

impl ConnRef {
    /// See [`crate::subflow::Connection::config`].
    pub(super) fn handshake(&self) -> Config {
        Config {
            checksum: self.msk().sysctl.checksum,
            deny_join_id0: self.msk().sysctl.deny_join_id0,
        }
    }

    /// See [`crate::subflow::Connection::answer`].
    pub(super) fn answer_syn(&self, request: Request) -> Option<PendingCapable> {
        match request {
            Request::Capable(offer) => {
                count(self.sk(), Mib::MpCapableSynRx);
                match token::new_key() {
                    Ok((key, local)) => Some(PendingCapable {
                        server: CapableServer {
                            config: self.handshake(),
                            key,
                            offer,
                        },
                        local,
                        forget: token::forget,
                    }),
                    Err(_) => {
                        count(self.sk(), Mib::MpFallbackTokenInit);
                        None
                    }
                }
            }
            _ => None,
        }
    }

    /// See [`crate::subflow::Connection::accept`].
    pub(super) fn make_child(
        &self,
        ssk: &mut Ssk<'_>,
        subflow: Arc<Subflow<Self>>,
        pending: &PendingCapable,
        agreed: Option<Agreed>,
    ) -> Option<Self> {
        let local = pending.local;
        let msk = Msk::with_key(
            Net::of(self.sk()),
            pending.server.key,
            local,
            Conn::accepted(),
            self.msk().sysctl,
        );
        let child = self.sk().clone_for(msk).ok()?;
        // The request had the token, now the connection has: see `token::forget`.
        token::TOKENS.assign(local.token, &child);
        child.copy_addresses(ssk.sock());
        child.set_state(state::ESTABLISHED);
        let msk = child.state_of();
        if let Some(agreed) = agreed {
            msk.shared.agree(agreed);
        }
        msk.shared.set(flag::QUEUED);
        let tell_inq = self.msk().tell_inq.load(Ordering::Relaxed);
        msk.tell_inq.store(tell_inq, Ordering::Relaxed);
        msk.shared
            .wnd_end
            .advance(local.idsn.add(1).add(ssk.snd_wnd().into()));
        let sub = Sub {
            ssk: ssk.sock().hold(),
            ctx: subflow,
        };
        let pushed = match child.lock_softirq(0) {
            Some(mut guard) => {
                guard.inner().hooked = true;
                guard.inner().subs.push(sub, GFP_ATOMIC).is_ok()
            }
            None => false,
        };
        if !pushed {
            child.set_state(state::CLOSE);
            child.destroy();
            return None;
        }
        ssk.lend_nobody();
        Net::of(&child).hooks::<Netns>().get_more();
        count(self.sk(), Mib::MpCurrEstab);
        let child = ConnRef(child);
        if let Some(agreed) = agreed {
            child.confirmed_by_peer(ssk.sock(), &agreed);
        }
        Some(child)
    }

    /// The third ACK has told the peer's key.
    pub(super) fn confirmed_by_peer(&self, ssk: &Sock, agreed: &Agreed) {
        count(self.sk(), Mib::MpCapableAckRx);
        super::pm::created(self.sk(), ssk, Side::Server, agreed);
    }

    /// See [`crate::subflow::Connection::connected`].
    pub(super) fn handshake_done(&self, ssk: &mut Ssk<'_>, agreed: Option<Agreed>) {
        let shared = &self.msk().shared;
        match agreed {
            Some(agreed) => {
                count(self.sk(), Mib::MpCapableSynAckRx);
                shared.agree(agreed);
                let window = ssk.snd_wnd();
                shared
                    .wnd_end
                    .advance(shared.snd_una.get().add(window.into()));
                let sysctls = &Net::of(self.sk()).state::<Netns>().sysctls;
                // What works within the host says nothing of paths.
                if sysctls.blackhole_seen() && !ssk.over_loopback() {
                    sysctls.blackhole_gone();
                }
                super::pm::created(self.sk(), ssk.sock(), Side::Client, &agreed);
            }
            None => {
                if shared.set(flag::FALLBACK) {
                    count(self.sk(), Mib::MpCapableFallbackSynAck);
                }
            }
        }
    }
}

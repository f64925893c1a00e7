// SPDX-License-Identifier: GPL-2.0

//! SYN cookies: a listener that is flooded keeps nothing of a SYN, and makes the connection of the third
//! ACK alone.
//!
//! The ACK of an MP_JOIN handshake repeats nothing (RFC 8684 section 3.2): neither whom it wants to join nor the
//! random numbers. What has to be known of those is kept in a table of fixed size, in which a newer one may
//! take the place of an older one ([`Joins`]). Whoever was forgotten is refused.
//!
//! The ACK of an MP_CAPABLE handshake repeats the listener's key (RFC 8684 section 3.1). The key is made of
//! the sequence numbers and ports and a secret of ours, so that only keys that we have given away come back.

use super::{count, token, ConnRef};
use crate::netstate::Netns;
use crate::observe::mib::Mib;
use crate::observe::trace::Flow;
use crate::proto::crypto::Key;
use crate::proto::handshake::{recalled_offer, CapableServer, Exchange, JoinRequest, Request};
use crate::proto::option::Options;
use crate::subflow::join::{PendingJoin, Terms};
use crate::subflow::PendingCapable;
use crate::sys::net::Net;
use crate::sys::once::SetOnce;
use crate::sys::random;
use crate::sys::sha256::KernelSha256;
use crate::sys::spin::{Class, Spin};
use kernel::alloc::KVec;
use kernel::prelude::*;

static SECRET: SetOnce<[u8; 32]> = SetOnce::new();

/// How many SYNs to join are remembered in a namespace.
const JOINS: usize = 256;

/// A SYN to join that was answered with a cookie.
#[derive(Clone, Copy)]
struct Join {
    /// The exchange that it is part of, see [`Exchange::key`].
    exchange: Key,
    request: JoinRequest,
    terms: Terms,
    /// Our random number.
    nonce: u32,
}

/// The SYNs to join of a namespace that were answered with cookies, and whose third ACK may come.
pub struct Joins(Spin<KVec<Option<Join>>>);

impl Joins {
    /// None. Memory is taken for the first.
    pub fn new() -> Self {
        Self(Spin::new(KVec::new(), Class::Request))
    }

    fn keep(&self, join: Join) -> Result {
        let mut table = self.0.lock();
        if table.is_empty() {
            table.extend_with(JOINS, None, GFP_ATOMIC)?;
        }
        if let Some(slot) = table.get_mut(join.exchange.0 as usize % JOINS) {
            *slot = Some(join);
        }
        Ok(())
    }

    /// The one of this exchange. It is forgotten.
    fn take(&self, exchange: Key) -> Option<Join> {
        let mut table = self.0.lock();
        let slot = table.get_mut(exchange.0 as usize % JOINS)?;
        slot.take_if(|join| join.exchange == exchange)
    }
}

/// Makes the secret, at load.
pub(super) fn init() {
    let mut secret = [0; 32];
    random::fill(&mut secret);
    SECRET.set(secret);
}

/// See [`crate::subflow::Connection::answer_stateless`].
pub(super) fn answer(
    listener: &ConnRef,
    request: Request,
    exchange: &Exchange,
) -> Option<CapableServer> {
    let Request::Capable(offer) = request else {
        return None;
    };
    count(listener.sk(), Mib::MpCapableSynRx);
    let key = exchange.key::<KernelSha256>(SECRET.get()?);
    Some(CapableServer {
        config: listener.handshake(),
        key,
        offer,
    })
}

/// See [`crate::subflow::Connection::recall`].
pub(super) fn recall(
    listener: &ConnRef,
    options: &Options,
    exchange: &Exchange,
) -> Option<PendingCapable> {
    let server = CapableServer {
        config: listener.handshake(),
        key: exchange.key::<KernelSha256>(SECRET.get()?),
        offer: recalled_offer(options)?,
    };
    if let Err(cause) = server.on_ack::<KernelSha256>(options) {
        let flow = Flow {
            sport: exchange.port,
            dport: exchange.peer_port,
            ..Flow::default()
        };
        crate::subflow::Connection::not_accepted(listener, flow, cause);
        return None;
    }
    let Some(local) = token::reserve(server.key) else {
        count(listener.sk(), Mib::MpFallbackTokenInit);
        return None;
    };
    Some(PendingCapable {
        server,
        local,
        forget: token::forget,
    })
}

/// See [`crate::subflow::Connection::join_stateless`].
pub(super) fn answer_join(
    listener: &ConnRef,
    request: &JoinRequest,
    terms: Terms,
    exchange: &Exchange,
) -> Option<PendingJoin<ConnRef>> {
    let nonce = random::u64() as u32;
    let pending = listener.pending_join(request, terms, nonce)?;
    let join = Join {
        exchange: exchange.key::<KernelSha256>(SECRET.get()?),
        request: *request,
        terms,
        nonce,
    };
    let joins = &Net::of(listener.sk()).state::<Netns>().joins;
    joins.keep(join).ok().map(|()| pending)
}

/// See [`crate::subflow::Connection::recall_join`].
pub(super) fn recall_join(listener: &ConnRef, exchange: &Exchange) -> Option<PendingJoin<ConnRef>> {
    let exchange = exchange.key::<KernelSha256>(SECRET.get()?);
    let joins = &Net::of(listener.sk()).state::<Netns>().joins;
    let join = joins.take(exchange)?;
    listener.pending_join(&join.request, join.terms, join.nonce)
}

// SPDX-License-Identifier: GPL-2.0

//! SYN cookies: a listener that is flooded keeps nothing of a SYN, and makes the connection of the third
//! ACK alone.
//!
//! The ACK of an MP_CAPABLE handshake repeats the listener's key (RFC 8684 section 3.1). The key is made of
//! the sequence numbers and ports and a secret of ours, so that only keys that we have given away come back.

use super::{count, token, ConnRef};
use crate::observe::mib::Mib;
use crate::observe::trace::Flow;
use crate::proto::handshake::{recalled_offer, CapableServer, Exchange, Request};
use crate::proto::option::Options;
use crate::subflow::PendingCapable;
use crate::sys::once::SetOnce;
use crate::sys::random;
use crate::sys::sha256::KernelSha256;

static SECRET: SetOnce<[u8; 32]> = SetOnce::new();

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

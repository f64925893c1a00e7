// SPDX-License-Identifier: GPL-2.0

//! What `ss -M` shows.

use super::{info, token, Msk, MskSock, IPPROTO_MPTCP};
use crate::bindings::mptcp_info;
use crate::subflow::shared::flag;
use crate::sys::diag::{Diag, Queues};
use crate::sys::registry::Registry;
use crate::sys::sock::state;

/// Our answers.
pub struct MptcpDiag;

impl Diag for MptcpDiag {
    type Proto = Msk;
    type Info = mptcp_info;
    const PROTOCOL: u16 = IPPROTO_MPTCP;

    fn sockets() -> &'static Registry<Msk> {
        &token::TOKENS
    }

    fn shown(sk: &MskSock) -> bool {
        // Not before there is anything to be seen, nor when everything is over.
        let connected = || sk.state_of().shared().is(flag::AGREED | flag::FALLBACK);
        sk.state() != state::CLOSE || connected() && !sk.is_dead()
    }

    fn queues(sk: &MskSock) -> Queues {
        let (receive, send) = if sk.state() == state::LISTEN {
            // Of a listener: who waits to be accepted, and how many may.
            let first = sk.lock().inner().subs.first().map(|sub| sub.ssk.clone());
            first.map_or((0, 0), |ssk| ssk.accept_queue())
        } else {
            (sk.rmem_alloc().max(0) as u32, sk.wmem_alloc().max(0) as u32)
        };
        Queues { receive, send }
    }

    fn info(sk: &MskSock, info: &mut mptcp_info) {
        info::fill(&mut sk.lock(), info);
    }
}

// SPDX-License-Identifier: GPL-2.0

//! TCP Fast Open: data in the SYN (RFC 8684 appendix B).
//!
//! That data is the beginning of the stream, but no part of the connection's numbers: the first byte after
//! it is the first one that a mapping names. On the sending side it lies in the send queue, numbered
//! backwards from there. What the SYN-ACK does not acknowledge of it is sent again, and then has a mapping.

use super::tx::TxQueue;
use super::{send, Msk};
use crate::proto::seq::Dsn;
use crate::subflow::shared::flag;
use crate::sys::errno::{eisconn, enobufs, eopnotsupp};
use crate::sys::fastopen::client_enabled;
use crate::sys::msock::{Guard, SockOf};
use crate::sys::page::Slices;
use crate::sys::sock::state;
use crate::sys::tcp::Ssk;
use crate::sys::uio::{Msg, SockAddr};
use kernel::error::{code::EINVAL, Result};

/// More than that TCP does not put into a SYN.
const MOST: usize = 32 * 1024;

/// How far [`connect`] came.
pub(super) enum Opened {
    /// The connection is there; so many bytes of the message are in the send queue.
    Connected(usize),
    /// The SYN has left; so many bytes of the message are in it or in the send queue.
    InProgress(usize),
}

fn first(guard: &Guard<'_, Msk>) -> Dsn {
    guard.sk().state_of().shared().local.idsn.add(1)
}

/// `sendto(2)` with `MSG_FASTOPEN`, or the first after a `connect(2)` that has left the SYN for it: connects,
/// with the first bytes of the message in the SYN if TCP has a
/// cookie of the peer. Waits for the connection unless `nonblock`.
pub(super) fn connect(
    guard: &mut Guard<'_, Msk>,
    msg: &mut Msg<'_>,
    nonblock: bool,
) -> Result<Opened> {
    let sk = guard.sk();
    if !client_enabled(sk) {
        return Err(eopnotsupp());
    }
    let deferred = sk.connect_deferred();
    let fresh = deferred || sk.state() == state::CLOSE;
    let mut addr = match msg.address() {
        _ if deferred => None,
        None if fresh => return Err(EINVAL),
        None => return Err(eisconn()),
        addr => addr,
    };
    let mut bytes = 0;
    if fresh && msg.remaining() > 0 {
        if !guard.inner().tx.reserve() {
            return Err(enobufs());
        }
        let slice = msg.copy_to_frag(sk, MOST).map_err(|_| enobufs())?;
        bytes = slice.len() as usize;
        if !guard.inner().tx.push(slice) {
            return Err(enobufs());
        }
        guard.wmem_add(bytes as i32);
    }
    if fresh {
        guard.inner().in_syn = Some(0);
    }
    let begun = if deferred {
        start_deferred(guard)
    } else {
        Ok(())
    };
    let result = begun.and_then(|()| SockOf::connect_now(guard, addr.as_mut(), nonblock));
    if deferred {
        sk.defer_connect(false);
    }
    match result {
        Ok(()) => Ok(Opened::Connected(bytes)),
        Err(err) if !fresh => Err(err),
        // What has left with the SYN can't be taken back.
        Err(_) if sk.state() == state::SYN_SENT && guard.inner().in_syn.unwrap_or(0) > 0 => {
            Ok(Opened::InProgress(bytes))
        }
        Err(err) => {
            let anew = TxQueue::new(first(guard));
            let inner = guard.inner();
            inner.in_syn = None;
            let freed = inner.tx.clear();
            inner.tx = anew;
            guard.wmem_add(-(freed as i32));
            Err(err)
        }
    }
}

/// Starts to connect the first subflow, `ssk`.
pub(super) fn start(guard: &mut Guard<'_, Msk>, ssk: &mut Ssk<'_>, addr: &mut SockAddr) -> Result {
    let inner = guard.inner();
    if inner.in_syn.is_none() {
        ssk.connect(addr)?;
        guard.sk().defer_connect(ssk.connect_deferred());
        return Ok(());
    }
    let mut data = Slices::new();
    inner.tx.gather(inner.tx.nxt(), MOST as u64, &mut data);
    let queued = ssk.connect_with(addr, &mut data)?;
    inner.tx.renumber(-i64::from(queued));
    inner.tx.sent(queued.into());
    inner.in_syn = Some(queued);
    Ok(())
}

/// Sends the SYN that `connect(2)` has left for the first data.
fn start_deferred(guard: &mut Guard<'_, Msk>) -> Result {
    let sk = guard.sk();
    let sub = guard.inner().subs.first().ok_or(EINVAL)?.clone();
    let mut nowhere = SockAddr::new(sk.family(), &[0; 16], 0, 0);
    let result = start(guard, &mut Ssk::lock(&sub.ssk), &mut nowhere);
    if result.is_err() {
        guard.inner().conn = Default::default();
        sk.set_state(state::CLOSE);
    }
    result
}

/// The SYN-ACK has come, and the subflow has numbered what it did not acknowledge.
pub(super) fn settle(guard: &mut Guard<'_, Msk>) {
    if guard.inner().in_syn.take().unwrap_or(0) == 0 {
        return;
    }
    let shared = guard.sk().state_of().shared();
    let again = shared.snd_nxt.get().since(first(guard));
    if again > 0 {
        guard.inner().tx.renumber(again);
    }
    shared.set(flag::ACKED);
    send::clean(guard);
}

// SPDX-License-Identifier: GPL-2.0

//! A subflow that joins a connection (RFC 8684 section 3.2): the handshake on either side.
//!
//! A listener's request is refused with a reset as soon as it is known to lead nowhere: by the SYN, if
//! nobody has the token, or by the third ACK, before there is a socket. The initiator repeats the third
//! ACK until the fourth shows that it has arrived, and sends nothing before.

use super::{flag, speak, Connection, Subflow};
use crate::proto::crypto::Key;
use crate::proto::handshake::{JoinClient, JoinError, JoinRequest, JoinServer};
use crate::proto::option::{MpJoin, OptionBuf, Options, RstReason, TcpRst};
use crate::sys::sha256::KernelSha256;
use crate::sys::skb::{Skb, TxSegment};
use crate::sys::tcp::Ssk;
use crate::sys::time::Jiffies;
use crate::sys::ulp::{self, Admit, Fate};
use core::sync::atomic::{AtomicU32, AtomicU8, Ordering};
use kernel::sync::Arc;

/// How long to wait for the fourth ACK at first, at least.
const ACK_WAIT_MIN: Jiffies = Jiffies::from_millis(20);

/// How often the wait is doubled.
const ACK_DOUBLINGS: u8 = 8;

/// What this host says of itself in the SYN or the SYN-ACK of a join.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The ID of the local address.
    pub addr_id: u8,
    /// The subflow is to be a backup.
    pub backup: bool,
}

/// What a listener keeps of a request to join.
pub struct PendingJoin<C> {
    /// The connection that is meant.
    pub conn: C,
    /// This host's part of the handshake.
    pub server: JoinServer,
    /// The ID of the peer's address.
    pub peer_id: u8,
    /// The peer asks for a backup.
    pub peer_backup: bool,
}

/// What an initiator has to remember.
pub(super) struct Join {
    /// Our random number.
    pub(super) nonce: AtomicU32,
    /// The peer's, once it has answered.
    peer_nonce: AtomicU32,
    /// How often the third ACK was sent.
    acks: AtomicU8,
}

impl Join {
    pub(super) const fn new() -> Self {
        Self {
            nonce: AtomicU32::new(0),
            peer_nonce: AtomicU32::new(0),
            acks: AtomicU8::new(0),
        }
    }
}

/// What to tell a peer whose join is refused for `reason`. It may try again if that may help.
pub const fn refusal(reason: RstReason, transient: bool) -> TcpRst {
    TcpRst {
        flags: if transient { TcpRst::TRANSIENT } else { 0 },
        reason,
    }
}

impl<C: Connection> PendingJoin<C> {
    /// The answer to `join`, which names `conn`.
    pub fn new(conn: C, keys: (Key, Key), nonce: u32, join: &JoinRequest, terms: Terms) -> Self {
        let server = JoinServer {
            local_key: keys.0,
            peer_key: keys.1,
            nonce,
            addr_id: terms.addr_id,
            backup: terms.backup,
            peer_nonce: join.nonce,
        };
        Self {
            conn,
            server,
            peer_id: join.addr_id,
            peer_backup: join.backup,
        }
    }

    /// Whether the third ACK `skb` proves that the peer knows the keys, and it may join.
    pub(super) fn admit(&self, skb: &Skb) -> Admit<TcpRst> {
        let options = Options::parse(skb.tcp().options());
        if let Err(error) = self.server.on_ack::<KernelSha256>(&options) {
            self.conn.join_failed(error, true);
            return Admit::Refuse(error.rst());
        }
        let ids = (self.server.addr_id, self.peer_id);
        if self.conn.may_join(&skb.ends(), ids) {
            Admit::Take
        } else {
            Admit::Refuse(refusal(RstReason::AdminProhibited, false))
        }
    }
}

/// Puts the MP_TCPRST into the reset of a refused request.
pub(super) fn refuse(reset: &TcpRst, seg: &mut TxSegment<'_>) {
    let mut buf = OptionBuf::new();
    if reset.emit(&mut buf).is_ok() {
        super::transmit::append(seg, &buf);
    }
}

impl<C: Connection> Subflow<C> {
    /// The subflow that a request to join becomes. Softirq.
    pub(super) fn for_join(pending: &PendingJoin<C>) -> Option<Arc<Self>> {
        let mut flags = flag::SERVER | flag::JOIN;
        if pending.server.backup {
            flags |= flag::BACKUP;
        }
        if pending.peer_backup {
            flags |= flag::PEER_BACKUP;
        }
        let this = Self::with_flags(flags);
        this.set_ids(pending.server.addr_id, pending.peer_id);
        this.belong_to(pending.conn.clone());
        Arc::new(this, kernel::alloc::flags::GFP_ATOMIC).ok()
    }

    /// The third ACK `skb`, which was admitted, has made this the socket `ssk`.
    pub(super) fn joined(&self, ssk: &mut Ssk<'_>, conn: &C, skb: &Skb) -> Fate {
        let Some(this) = ulp::of_sock::<Self>(ssk) else {
            return Fate::Drop;
        };
        let header = skb.tcp();
        self.iss
            .store(header.ack().wrapping_sub(1), Ordering::Relaxed);
        self.set_irs(header.seq().wrapping_sub(1));
        self.set(flag::MPTCP | flag::FULLY | flag::ACK_DUE);
        self.use_checksums(conn.shared().agreed().is_some_and(|agreed| agreed.checksum));
        speak(ssk);
        if conn.joined(ssk, this) {
            Fate::Join
        } else {
            Fate::Drop
        }
    }

    /// This host's part, as the initiator.
    pub(super) fn join_client(&self, conn: &C) -> Option<JoinClient> {
        let shared = conn.shared();
        let agreed = shared.agreed()?;
        Some(JoinClient {
            local_key: shared.key,
            peer_key: agreed.peer_key,
            peer_token: agreed.peer.token,
            nonce: self.join.nonce.load(Ordering::Relaxed),
            addr_id: self.ids().0,
            backup: self.is(flag::BACKUP),
        })
    }

    /// The option of our SYN.
    pub(super) fn join_syn(&self, ssk: &Ssk<'_>, conn: &C, buf: &mut OptionBuf) {
        if self.clear(flag::ID_DUE) {
            if let Some(terms) = conn.local_terms(ssk.sock()) {
                self.local_id.store(terms.addr_id, Ordering::Relaxed);
                if terms.backup {
                    self.set(flag::BACKUP);
                }
            }
        }
        if let Some(client) = self.join_client(conn) {
            let _ = client.syn().emit(buf);
        }
    }

    /// Our SYN to join was answered by `skb`.
    pub(super) fn join_answered(&self, ssk: &mut Ssk<'_>, conn: &C, skb: &Skb) {
        let options = Options::parse(skb.tcp().options());
        let answer = self
            .join_client(conn)
            .ok_or(JoinError::Missing)
            .and_then(|client| client.on_synack::<KernelSha256>(&options));
        match answer {
            Ok(joined) => {
                self.remote_id.store(joined.peer_addr_id, Ordering::Relaxed);
                if joined.peer_backup {
                    self.set(flag::PEER_BACKUP);
                }
                self.join
                    .peer_nonce
                    .store(joined.peer_nonce, Ordering::Relaxed);
                self.set(flag::MPTCP);
                self.use_checksums(conn.shared().agreed().is_some_and(|agreed| agreed.checksum));
                speak(ssk);
                conn.join_answered(ssk, self);
            }
            Err(error) => {
                conn.join_failed(error, false);
                self.reset_with(error.rst());
                conn.reset_subflow(ssk, self);
            }
        }
    }

    /// The third ACK's option, while the fourth has not come. It will be sent again: seldom, so that it is made
    /// anew rather than kept by every subflow.
    pub(super) fn join_ack(&self, ssk: &mut Ssk<'_>, conn: &C) -> Option<MpJoin> {
        if !self.is(flag::MPTCP) {
            return None;
        }
        let peer_nonce = self.join.peer_nonce.load(Ordering::Relaxed);
        let ack = self.join_client(conn)?.ack::<KernelSha256>(peer_nonce);
        let times = self.join.acks.load(Ordering::Relaxed);
        let rtt = Jiffies::from_millis((ssk.srtt_us() >> 3) / 500);
        let wait = Jiffies(rtt.0.max(ACK_WAIT_MIN.0) << times.min(ACK_DOUBLINGS));
        self.join
            .acks
            .store(times.saturating_add(1), Ordering::Relaxed);
        ssk.schedule_ack(wait);
        Some(ack)
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Subflows of a listener that their SYN has opened (TCP Fast Open, RFC 8684 appendix B).
//!
//! There is a socket, and a connection with data to read, before the peer's key is known: it comes with
//! the third ACK. Mappings count from the first byte behind the SYN's data.

use super::{flag, shared, Connection, PendingCapable, Subflow};
use crate::proto::fallback::FallbackCause;
use crate::proto::handshake::{recalled_offer, CapableServer};
use crate::proto::option::Options;
use crate::proto::seq::Ssn;
use crate::sys::glance::Glance;
use crate::sys::sha256::KernelSha256;
use crate::sys::sock::Sock;
use crate::sys::tcp::{Front, Ssk};
use crate::sys::ulp::Fate;
use core::sync::atomic::Ordering;
use kernel::sync::Arc;

impl<C: Connection> Subflow<C> {
    /// The SYN, of sequence number `irs`, makes a connection.
    pub(super) fn open_early(
        &self,
        ssk: &mut Ssk<'_>,
        listener: &C,
        this: Arc<Self>,
        request: &PendingCapable,
        irs: u32,
    ) -> Fate {
        self.set(flag::EARLY | flag::KEYLESS);
        self.iss
            .store(ssk.write_seq().wrapping_sub(1), Ordering::Relaxed);
        self.set_irs(irs);
        match listener.accept(ssk, this, request, None) {
            Some(conn) => {
                self.belong_to(conn);
                Fate::Accept
            }
            None => Fate::Plain,
        }
    }

    /// How many bytes at the front of the receive queue are the SYN's.
    pub(super) fn early_bytes(&self, front: Front) -> u32 {
        if !self.is(flag::EARLY)
            || self
                .conn()
                .is_some_and(|c| c.shared().is(shared::flag::FALLBACK))
        {
            0
        } else if self.is(flag::KEYLESS) {
            front.len
        } else {
            let ahead = self.irs().add(1).since(Ssn(front.seq)).max(0);
            front.len.min(ahead as u32)
        }
    }

    /// A segment of a peer whose key is not known. False: it must not reach TCP, because it has a mapping
    /// that only the key gives a meaning.
    #[cold]
    pub(super) fn on_keyless(&self, conn: &C, options: &Options, sk: &Sock) -> bool {
        let Some(offer) = recalled_offer(options) else {
            return options.dss.is_none();
        };
        let server = CapableServer {
            config: conn.config(),
            key: conn.shared().key,
            offer,
        };
        if let Ok(confirmed) = server.on_ack::<KernelSha256>(options) {
            // One of several segments that come at once is the first.
            if self.clear(flag::KEYLESS) {
                self.set_irs(Glance::at(sk).rcv_nxt().wrapping_sub(1));
                self.use_checksums(confirmed.agreed.checksum);
                conn.confirmed(sk, confirmed.agreed);
                self.set(flag::MPTCP | flag::FULLY);
            }
        }
        true
    }

    /// TCP has accepted the third ACK.
    pub(super) fn confirmed_early(&self, ssk: &mut Ssk<'_>, conn: &C) {
        let shared = conn.shared();
        if self.is(flag::MPTCP) {
            super::speak(ssk);
            let window = ssk.snd_wnd();
            shared
                .wnd_end
                .advance(shared.snd_una.get().add(window.into()));
        } else {
            self.clear(flag::KEYLESS);
            conn.fall_back(ssk, FallbackCause::AckWithoutCapable);
        }
    }
}

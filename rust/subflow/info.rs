// SPDX-License-Identifier: GPL-2.0

//! What `ss -ti` shows of a subflow.

use super::{flag, shared, Connection, Subflow};
use crate::bindings;
use crate::proto::rx_map::RxMapping;
use crate::proto::seq::Dsn;
use crate::sys::netlink::{attr_size, Message};
use crate::sys::sock::state;
use crate::sys::tcp::Ssk;
use core::mem::size_of;
use kernel::error::Result;

/// The attribute that has all this, in TCP's `INET_DIAG_ULP_INFO`.
pub(super) const KIND: u32 = bindings::INET_ULP_INFO_MPTCP;

/// Room for all attributes, bytes.
pub(super) const SIZE: usize = 6 * attr_size(size_of::<u32>())
    + attr_size(0)
    + attr_size(size_of::<u64>())
    + attr_size(size_of::<u16>())
    + 2 * attr_size(size_of::<u8>());

impl<C: Connection> Subflow<C> {
    /// Adds the attributes. Sequence numbers of the subflow count from its initial ones.
    pub(super) fn tell(&self, ssk: &mut Ssk<'_>, to: &mut Message<'_>) -> Result {
        let Some(conn) = self.conn() else {
            return Ok(());
        };
        let mapped = self.maps.lock().current();
        let (map, valid) = mapped.unwrap_or_else(|| (self.first_mapping(conn), false));
        let (local_id, remote_id) = self.ids();
        to.put_u32(
            bindings::MPTCP_SUBFLOW_ATTR_TOKEN_REM,
            self.joined_token(conn),
        )?;
        to.put_u32(
            bindings::MPTCP_SUBFLOW_ATTR_TOKEN_LOC,
            conn.shared().local.token,
        )?;
        let written = ssk.write_seq().wrapping_sub(self.iss().0);
        to.put_u32(bindings::MPTCP_SUBFLOW_ATTR_RELWRITE_SEQ, written)?;
        to.put_u64(
            bindings::MPTCP_SUBFLOW_ATTR_MAP_SEQ,
            map.dsn.0,
            bindings::MPTCP_SUBFLOW_ATTR_PAD,
        )?;
        to.put_u32(
            bindings::MPTCP_SUBFLOW_ATTR_MAP_SFSEQ,
            map.ssn.relative(self.irs()),
        )?;
        to.put_u32(bindings::MPTCP_SUBFLOW_ATTR_SSN_OFFSET, self.irs().0)?;
        to.put_u16(
            bindings::MPTCP_SUBFLOW_ATTR_MAP_DATALEN,
            map.data_level_len(),
        )?;
        to.put_u32(
            bindings::MPTCP_SUBFLOW_ATTR_FLAGS,
            self.told_flags(ssk, conn, valid),
        )?;
        to.put_u8(bindings::MPTCP_SUBFLOW_ATTR_ID_REM, remote_id)?;
        to.put_u8(bindings::MPTCP_SUBFLOW_ATTR_ID_LOC, local_id)
    }

    /// What stands for the mapping before there is one: where the connection's data starts.
    fn first_mapping(&self, conn: &C) -> RxMapping {
        let agreed = conn.shared().agreed();
        RxMapping {
            ssn: self.irs(),
            dsn: agreed.map_or(Dsn(0), |agreed| agreed.first_dsn()),
            ..RxMapping::default()
        }
    }

    /// `MPTCP_SUBFLOW_FLAG_*`: "LOC" is what we have asked for, "REM" what the peer has.
    fn told_flags(&self, ssk: &Ssk<'_>, conn: &C, map_valid: bool) -> u32 {
        let agreed = self.is(flag::MPTCP) && !conn.shared().is(shared::flag::FALLBACK);
        let joined = self.is(flag::JOIN);
        let connected = !matches!(ssk.state(), state::SYN_SENT | state::CLOSE);
        [
            (
                self.is(flag::ASK) && !self.is(flag::SERVER),
                bindings::MPTCP_SUBFLOW_FLAG_MCAP_LOC,
            ),
            (agreed && !joined, bindings::MPTCP_SUBFLOW_FLAG_MCAP_REM),
            (
                joined && !self.is(flag::SERVER),
                bindings::MPTCP_SUBFLOW_FLAG_JOIN_LOC,
            ),
            (agreed && joined, bindings::MPTCP_SUBFLOW_FLAG_JOIN_REM),
            (self.is(flag::BACKUP), bindings::MPTCP_SUBFLOW_FLAG_BKUP_LOC),
            (
                self.is(flag::PEER_BACKUP),
                bindings::MPTCP_SUBFLOW_FLAG_BKUP_REM,
            ),
            (
                self.is(flag::FULLY),
                bindings::MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED,
            ),
            (connected, bindings::MPTCP_SUBFLOW_FLAG_CONNECTED),
            (map_valid, bindings::MPTCP_SUBFLOW_FLAG_MAPVALID),
        ]
        .into_iter()
        .filter_map(|(is, bit)| is.then_some(bit))
        .fold(0, |all, bit| all | bit)
    }

    /// The token that our MP_JOIN named the peer's connection with; 0 for a subflow without one.
    fn joined_token(&self, conn: &C) -> u32 {
        if !self.is(flag::JOIN) || self.is(flag::SERVER) {
            return 0;
        }
        let agreed = conn.shared().agreed();
        agreed.map_or(0, |agreed| agreed.peer.token)
    }
}

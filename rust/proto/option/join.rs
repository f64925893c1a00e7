// SPDX-License-Identifier: GPL-2.0

//! MP_JOIN: a subflow's handshake (RFC 8684 section 3.2).

use super::buf::{NoSpace, OptionBuf, Reader};
use super::subtype;

/// The "B" flag: the sender asks for this subflow to be a backup.
const BACKUP: u8 = 0x01;

/// MP_JOIN. The three forms differ in length, and belong to different segments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MpJoin {
    /// SYN: which connection, 12 bytes.
    Syn {
        /// The subflow is to be used only when no other is left.
        backup: bool,
        /// The initiator's address ID of the source address.
        addr_id: u8,
        /// The listener's token: the connection to join.
        token: u32,
        /// The initiator's random number.
        nonce: u32,
    },
    /// SYN-ACK: the listener proves that it knows the keys, 16 bytes.
    SynAck {
        /// The subflow is to be used only when no other is left.
        backup: bool,
        /// The listener's address ID of its address.
        addr_id: u8,
        /// The leftmost 64 bits of the listener's HMAC.
        hmac: [u8; 8],
        /// The listener's random number.
        nonce: u32,
    },
    /// Third ACK: so does the initiator, 24 bytes.
    Ack {
        /// The leftmost 160 bits of the initiator's HMAC.
        hmac: [u8; 20],
    },
}

impl MpJoin {
    /// Decodes one whole option.
    pub fn parse(option: &[u8]) -> Option<Self> {
        let mut r = Reader(option);
        let [_, _, head, addr_id] = r.take()?;
        let backup = head & BACKUP != 0;
        Some(match option.len() {
            12 => MpJoin::Syn {
                backup,
                addr_id,
                token: r.u32()?,
                nonce: r.u32()?,
            },
            16 => MpJoin::SynAck {
                backup,
                addr_id,
                hmac: r.take()?,
                nonce: r.u32()?,
            },
            24 => MpJoin::Ack { hmac: r.take()? },
            _ => return None,
        })
    }

    /// Bytes on the wire.
    pub const fn wire_len(&self) -> u8 {
        match self {
            MpJoin::Syn { .. } => 12,
            MpJoin::SynAck { .. } => 16,
            MpJoin::Ack { .. } => 24,
        }
    }

    /// Appends the option.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit; `buf` is unchanged.
    pub fn emit(&self, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        const HEAD: u8 = subtype::JOIN << 4;
        let mut w = buf.option(self.wire_len())?;
        match *self {
            MpJoin::Syn {
                backup,
                addr_id,
                token,
                nonce,
            } => {
                w.put([HEAD | u8::from(backup), addr_id]);
                w.u32(token);
                w.u32(nonce);
            }
            MpJoin::SynAck {
                backup,
                addr_id,
                hmac,
                nonce,
            } => {
                w.put([HEAD | u8::from(backup), addr_id]);
                w.put(hmac);
                w.u32(nonce);
            }
            MpJoin::Ack { hmac } => {
                w.put([HEAD, 0]);
                w.put(hmac);
            }
        }
        Ok(())
    }
}

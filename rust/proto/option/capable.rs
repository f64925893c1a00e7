// SPDX-License-Identifier: GPL-2.0

//! MP_CAPABLE: a connection's handshake (RFC 8684 section 3.1).

use super::super::crypto::Key;
use super::buf::{NoSpace, OptionBuf, Reader};
use super::{subtype, VERSION};

/// The flags "A" to "H" of MP_CAPABLE, as they stand in its fourth byte.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CapableFlags(pub u8);

impl CapableFlags {
    /// "A": DSS checksums are required.
    pub const CHECKSUM: Self = Self(0x80);
    /// "B": must be zero; one who sees it set does not speak what the sender speaks.
    pub const EXTENSIBILITY: Self = Self(0x40);
    /// "C": the peer must not open further subflows to the source address and port of this one.
    pub const DENY_JOIN_ID0: Self = Self(0x20);
    /// "H": HMAC-SHA256 authenticates further subflows. The only algorithm there is.
    pub const HMAC_SHA256: Self = Self(0x01);

    /// Whether every flag of `other` is set here.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What follows the flags. The four forms differ in length, and belong to different segments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CapableBody {
    /// SYN: nothing, 4 bytes.
    Syn,
    /// SYN-ACK: the listener's key, 12 bytes.
    SynAck {
        /// The key of who sends the SYN-ACK.
        sender: Key,
    },
    /// Third ACK without data: both keys, 20 bytes.
    Ack {
        /// The initiator's key.
        sender: Key,
        /// The listener's key, echoed.
        receiver: Key,
    },
    /// First data: both keys and the mapping of the payload, 22 bytes or 24.
    ///
    /// The mapping starts at the first byte of both sequence spaces; only its length is said.
    Data {
        /// The initiator's key.
        sender: Key,
        /// The listener's key, echoed.
        receiver: Key,
        /// Data-level length, in bytes.
        len: u16,
        /// DSS checksum, if "A" was agreed upon.
        csum: Option<u16>,
    },
    /// Another version's: its form is not ours to know.
    Unknown,
}

/// MP_CAPABLE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MpCapable {
    /// Protocol version, 0 to 15.
    pub version: u8,
    /// Flags.
    pub flags: CapableFlags,
    /// Keys and first mapping.
    pub body: CapableBody,
}

impl MpCapable {
    /// Decodes one whole option.
    ///
    /// An option of a version other than [`VERSION`] is decoded as far as its flags.
    pub fn parse(option: &[u8]) -> Option<Self> {
        let mut r = Reader(option);
        let [_, _, head, flags] = r.take()?;
        let version = head & 0x0f;
        let body = if version != VERSION {
            CapableBody::Unknown
        } else {
            match option.len() {
                4 => CapableBody::Syn,
                12 => CapableBody::SynAck {
                    sender: Key(r.u64()?),
                },
                20 => CapableBody::Ack {
                    sender: Key(r.u64()?),
                    receiver: Key(r.u64()?),
                },
                22 | 24 => CapableBody::Data {
                    sender: Key(r.u64()?),
                    receiver: Key(r.u64()?),
                    len: r.u16()?,
                    csum: r.u16(),
                },
                _ => return None,
            }
        };
        Some(Self {
            version,
            flags: CapableFlags(flags),
            body,
        })
    }

    /// Bytes on the wire.
    pub const fn wire_len(&self) -> u8 {
        match self.body {
            CapableBody::Syn | CapableBody::Unknown => 4,
            CapableBody::SynAck { .. } => 12,
            CapableBody::Ack { .. } => 20,
            CapableBody::Data { csum: None, .. } => 22,
            CapableBody::Data { csum: Some(_), .. } => 24,
        }
    }

    /// Appends the option.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit; `buf` is unchanged.
    pub fn emit(&self, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        let mut w = buf.option(self.wire_len())?;
        w.u8((subtype::CAPABLE << 4) | (self.version & 0x0f));
        w.u8(self.flags.0);
        match self.body {
            CapableBody::Syn | CapableBody::Unknown => {}
            CapableBody::SynAck { sender } => w.u64(sender.0),
            CapableBody::Ack { sender, receiver } => {
                w.u64(sender.0);
                w.u64(receiver.0);
            }
            CapableBody::Data {
                sender,
                receiver,
                len,
                csum,
            } => {
                w.u64(sender.0);
                w.u64(receiver.0);
                w.u16(len);
                if let Some(csum) = csum {
                    w.u16(csum);
                }
            }
        }
        Ok(())
    }
}

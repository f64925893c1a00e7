// SPDX-License-Identifier: GPL-2.0

//! The small options: MP_PRIO, MP_FAIL, MP_FASTCLOSE and MP_TCPRST.

use super::super::crypto::Key;
use super::super::seq::Dsn;
use super::buf::{NoSpace, OptionBuf};
use super::subtype;

/// MP_PRIO: the sender asks for a new priority of the subflow that carries it (RFC 8684 section
/// 3.3.8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MpPrio {
    /// "B": use the subflow only when no other is left.
    pub backup: bool,
}

impl MpPrio {
    /// Bytes on the wire.
    pub const WIRE_LEN: u8 = 3;

    /// Decodes one whole option.
    pub fn parse(option: &[u8]) -> Option<Self> {
        let &[_, _, head] = option else {
            return None;
        };
        Some(Self {
            backup: head & 0x01 != 0,
        })
    }

    /// Appends the option.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit; `buf` is unchanged.
    pub fn emit(&self, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        let mut w = buf.option(Self::WIRE_LEN)?;
        w.u8((subtype::PRIO << 4) | u8::from(self.backup));
        Ok(())
    }
}

/// MP_FAIL: a checksum did not match (RFC 8684 section 3.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MpFail {
    /// The first data sequence number of the mapping that failed.
    pub dsn: Dsn,
}

impl MpFail {
    /// Bytes on the wire.
    pub const WIRE_LEN: u8 = 12;

    /// Decodes one whole option.
    pub fn parse(option: &[u8]) -> Option<Self> {
        let &[_, _, _, _, ref dsn @ ..] = option else {
            return None;
        };
        let dsn = u64::from_be_bytes(dsn.try_into().ok()?);
        Some(Self { dsn: Dsn(dsn) })
    }

    /// Appends the option.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit; `buf` is unchanged.
    pub fn emit(&self, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        let mut w = buf.option(Self::WIRE_LEN)?;
        w.put([subtype::FAIL << 4, 0]);
        w.u64(self.dsn.0);
        Ok(())
    }
}

/// MP_FASTCLOSE: the whole connection is aborted (RFC 8684 section 3.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FastClose {
    /// The key of whoever receives this: the proof that the sender is the peer.
    pub key: Key,
}

impl FastClose {
    /// Bytes on the wire.
    pub const WIRE_LEN: u8 = 12;

    /// Decodes one whole option.
    pub fn parse(option: &[u8]) -> Option<Self> {
        let &[_, _, _, _, ref key @ ..] = option else {
            return None;
        };
        let key = u64::from_be_bytes(key.try_into().ok()?);
        Some(Self { key: Key(key) })
    }

    /// Appends the option.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit; `buf` is unchanged.
    pub fn emit(&self, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        let mut w = buf.option(Self::WIRE_LEN)?;
        w.put([subtype::FASTCLOSE << 4, 0]);
        w.u64(self.key.0);
        Ok(())
    }
}

/// Why a subflow was reset (RFC 8684 section 3.6).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RstReason {
    /// 0x00: no reason given.
    #[default]
    Unspecified,
    /// 0x01: the peer broke the protocol.
    MptcpSpecific,
    /// 0x02: not enough memory or the like.
    LackOfResources,
    /// 0x03: forbidden by policy.
    AdminProhibited,
    /// 0x04: more data was outstanding than the sender wants to keep.
    TooMuchOutstandingData,
    /// 0x05: the path performed too badly.
    UnacceptablePerformance,
    /// 0x06: a middlebox was seen interfering.
    MiddleboxInterference,
    /// A code that the RFC does not name.
    Other(u8),
}

impl RstReason {
    /// The reason of a code.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => RstReason::Unspecified,
            1 => RstReason::MptcpSpecific,
            2 => RstReason::LackOfResources,
            3 => RstReason::AdminProhibited,
            4 => RstReason::TooMuchOutstandingData,
            5 => RstReason::UnacceptablePerformance,
            6 => RstReason::MiddleboxInterference,
            other => RstReason::Other(other),
        }
    }

    /// The code on the wire.
    pub const fn code(self) -> u8 {
        match self {
            RstReason::Unspecified => 0,
            RstReason::MptcpSpecific => 1,
            RstReason::LackOfResources => 2,
            RstReason::AdminProhibited => 3,
            RstReason::TooMuchOutstandingData => 4,
            RstReason::UnacceptablePerformance => 5,
            RstReason::MiddleboxInterference => 6,
            RstReason::Other(code) => code,
        }
    }
}

/// MP_TCPRST: goes with a RST (RFC 8684 section 3.6).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpRst {
    /// The flags "U", "V", "W" and "T", in the low four bits.
    pub flags: u8,
    /// Why.
    pub reason: RstReason,
}

impl TcpRst {
    /// Bytes on the wire.
    pub const WIRE_LEN: u8 = 4;
    /// "T": the condition is transient, the same path may be tried again later.
    pub const TRANSIENT: u8 = 0x01;

    /// Whether the sender says that the path may be tried again.
    #[inline]
    pub const fn is_transient(&self) -> bool {
        self.flags & Self::TRANSIENT != 0
    }

    /// Decodes one whole option.
    pub fn parse(option: &[u8]) -> Option<Self> {
        let &[_, _, head, code] = option else {
            return None;
        };
        Some(Self {
            flags: head & 0x0f,
            reason: RstReason::from_code(code),
        })
    }

    /// Appends the option.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit; `buf` is unchanged.
    pub fn emit(&self, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        let mut w = buf.option(Self::WIRE_LEN)?;
        w.put([
            (subtype::TCPRST << 4) | (self.flags & 0x0f),
            self.reason.code(),
        ]);
        Ok(())
    }
}

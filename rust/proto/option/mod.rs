// SPDX-License-Identifier: GPL-2.0

//! The wire format: every option of RFC 8684, decoded and encoded.
//!
//! All of them share TCP option kind 30 and differ in a four-bit subtype (RFC 8684 section 3). Each has
//! a type of its own here with a pair of functions: `parse` takes one whole option (kind and length
//! included) and says [`None`] to whatever the RFC does not define; `emit` appends it to an
//! [`OptionBuf`]. What a segment carries is found by [`Options::parse`].
//!
//! Reserved bits are written as zero and not looked at, as section 3 asks.

mod addr;
mod buf;
mod capable;
mod control;
mod dss;
mod fit;
mod join;
mod options;
#[cfg(test)]
mod tests;

pub use addr::{AddAddr, RmAddr};
pub use buf::{NoSpace, OptionBuf, OPTIONS_MAX};
pub use capable::{CapableBody, CapableFlags, MpCapable};
pub use control::{FastClose, MpFail, MpPrio, RstReason, TcpRst};
pub use dss::{Dss, DssMap, WireDsn};
pub use fit::{fit, fit_without_timestamps, is_plain, room_for};
pub use join::MpJoin;
pub use options::{find_mptcp, only_dss, timestamp, Options};

/// The protocol version that this code speaks (RFC 8684 section 3.1).
pub const VERSION: u8 = 1;

/// TCP option kinds that are looked at by name.
pub mod kind {
    /// End of option list.
    pub const EOL: u8 = 0;
    /// No operation: padding.
    pub const NOP: u8 = 1;
    /// Selective acknowledgement (RFC 2018).
    pub const SACK: u8 = 5;
    /// Timestamps (RFC 7323).
    pub const TIMESTAMP: u8 = 8;
    /// Multipath TCP (RFC 8684).
    pub const MPTCP: u8 = 30;
}

/// Subtypes of option kind 30 (RFC 8684 section 8.2).
pub mod subtype {
    /// MP_CAPABLE: a connection starts.
    pub const CAPABLE: u8 = 0x0;
    /// MP_JOIN: a subflow joins a connection.
    pub const JOIN: u8 = 0x1;
    /// DSS: data sequence signal.
    pub const DSS: u8 = 0x2;
    /// ADD_ADDR: an address is announced.
    pub const ADD_ADDR: u8 = 0x3;
    /// REMOVE_ADDR: addresses are withdrawn.
    pub const RM_ADDR: u8 = 0x4;
    /// MP_PRIO: a subflow's priority changes.
    pub const PRIO: u8 = 0x5;
    /// MP_FAIL: a checksum failed.
    pub const FAIL: u8 = 0x6;
    /// MP_FASTCLOSE: the connection is aborted.
    pub const FASTCLOSE: u8 = 0x7;
    /// MP_TCPRST: why a subflow is reset.
    pub const TCPRST: u8 = 0x8;
    /// Private experiments.
    pub const EXPERIMENTAL: u8 = 0xf;
}

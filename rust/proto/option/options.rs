// SPDX-License-Identifier: GPL-2.0

//! Everything that one segment says in MPTCP.

use super::addr::{AddAddr, RmAddr};
use super::capable::MpCapable;
use super::control::{FastClose, MpFail, MpPrio, TcpRst};
use super::dss::Dss;
use super::join::MpJoin;
use super::{kind, subtype};

/// The timestamp option as every sender writes it: two NOPs, kind, length.
pub(super) const ALIGNED_TIMESTAMP: [u8; 4] = [kind::NOP, kind::NOP, kind::TIMESTAMP, 10];

/// The MPTCP options of one segment.
///
/// Of options that stand twice the first counts. Those that make no sense are left out and counted: a
/// host ignores them (RFC 8684 section 3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// MP_CAPABLE.
    pub capable: Option<MpCapable>,
    /// MP_JOIN.
    pub join: Option<MpJoin>,
    /// DSS.
    pub dss: Option<Dss>,
    /// ADD_ADDR or its echo.
    pub add_addr: Option<AddAddr>,
    /// REMOVE_ADDR.
    pub rm_addr: Option<RmAddr>,
    /// MP_PRIO.
    pub prio: Option<MpPrio>,
    /// MP_FAIL.
    pub fail: Option<MpFail>,
    /// MP_FASTCLOSE.
    pub fastclose: Option<FastClose>,
    /// MP_TCPRST.
    pub rst: Option<TcpRst>,
    /// How many MPTCP options were malformed, unknown or repeated. Experimental ones are not counted.
    pub invalid: u8,
    /// The option area itself is broken: an option's length is below 2 or goes beyond the end. What
    /// came before it counts.
    pub truncated: bool,
}

impl Options {
    /// A segment without any.
    pub const NONE: Self = Self {
        capable: None,
        join: None,
        dss: None,
        add_addr: None,
        rm_addr: None,
        prio: None,
        fail: None,
        fastclose: None,
        rst: None,
        invalid: 0,
        truncated: false,
    };

    /// Decodes the option area of a TCP header: the bytes after the first 20, `doff * 4 - 20` of them.
    ///
    /// Any input is fine. A segment of an established subflow, timestamps and one DSS in that order,
    /// is recognised at once; everything else is walked option by option.
    #[inline]
    pub fn parse(area: &[u8]) -> Self {
        if let Some(dss) = only_dss(area) {
            return Self {
                dss: Some(dss),
                ..Self::NONE
            };
        }
        Self::walk(area)
    }

    /// Whether the segment carries no MPTCP option that we understood, for tests on the host.
    #[cfg(not(CONFIG_RUST))]
    pub fn is_empty(&self) -> bool {
        *self
            == Self {
                invalid: self.invalid,
                truncated: self.truncated,
                ..Self::NONE
            }
    }

    #[inline(never)]
    fn walk(area: &[u8]) -> Self {
        let mut found = Self::NONE;
        let mut walk = Walk(area);
        while let Some(option) = walk.next() {
            if let [kind::MPTCP, _, ..] = option {
                found.add(option);
            }
        }
        found.truncated = !walk.0.is_empty();
        found
    }

    fn add(&mut self, option: &[u8]) {
        let valid = match option.get(2).map(|head| head >> 4) {
            Some(subtype::CAPABLE) => first(&mut self.capable, MpCapable::parse(option)),
            Some(subtype::JOIN) => first(&mut self.join, MpJoin::parse(option)),
            Some(subtype::DSS) => first(&mut self.dss, Dss::parse(option)),
            Some(subtype::ADD_ADDR) => first(&mut self.add_addr, AddAddr::parse(option)),
            Some(subtype::RM_ADDR) => first(&mut self.rm_addr, RmAddr::parse(option)),
            Some(subtype::PRIO) => first(&mut self.prio, MpPrio::parse(option)),
            Some(subtype::FAIL) => first(&mut self.fail, MpFail::parse(option)),
            Some(subtype::FASTCLOSE) => first(&mut self.fastclose, FastClose::parse(option)),
            Some(subtype::TCPRST) => first(&mut self.rst, TcpRst::parse(option)),
            Some(subtype::EXPERIMENTAL) => true,
            _ => false,
        };
        if !valid {
            self.invalid = self.invalid.saturating_add(1);
        }
    }
}

/// Keeps the first valid option of its kind; says whether this is it.
fn first<T>(slot: &mut Option<T>, parsed: Option<T>) -> bool {
    if slot.is_some() || parsed.is_none() {
        return false;
    }
    *slot = parsed;
    true
}

/// The DSS of a segment that has no other option but timestamps in front of it: almost every one of a connection
/// at work.
#[inline]
pub fn only_dss(area: &[u8]) -> Option<Dss> {
    match area.split_first_chunk() {
        Some((&ALIGNED_TIMESTAMP, behind)) => lone_dss(behind.get(8..)?),
        _ => lone_dss(area),
    }
}

/// The DSS at the front of `area`, if it is valid and nothing but padding follows.
#[inline]
fn lone_dss(area: &[u8]) -> Option<Dss> {
    let &[kind::MPTCP, len, head, ..] = area else {
        return None;
    };
    if head >> 4 != subtype::DSS {
        return None;
    }
    let (option, padding) = area.split_at_checked(usize::from(len))?;
    match padding {
        [] | [kind::NOP] | [kind::NOP, kind::NOP] | [kind::NOP, kind::NOP, kind::NOP] => {
            Dss::parse(option)
        }
        _ => None,
    }
}

/// Whether an option area has any MPTCP option: a quick test without decoding.
#[inline]
pub fn find_mptcp(area: &[u8]) -> bool {
    let mut walk = Walk(area);
    while let Some(option) = walk.next() {
        if option.first() == Some(&kind::MPTCP) {
            return true;
        }
    }
    false
}

/// The sender's clock in the timestamp option (RFC 7323 section 3.2), if there is one.
#[inline]
pub fn timestamp(area: &[u8]) -> Option<u32> {
    if let Some((&ALIGNED_TIMESTAMP, behind)) = area.split_first_chunk() {
        return behind.first_chunk().copied().map(u32::from_be_bytes);
    }
    let mut walk = Walk(area);
    while let Some(option) = walk.next() {
        if let &[kind::TIMESTAMP, 10, a, b, c, d, ..] = option {
            return Some(u32::from_be_bytes([a, b, c, d]));
        }
    }
    None
}

/// Walks an option area. What is left when it stops is empty, or the place where the area is broken.
pub(super) struct Walk<'a>(pub(super) &'a [u8]);

impl<'a> Walk<'a> {
    /// The next option that is not padding, kind and length included.
    #[inline]
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            match *self.0 {
                [] => return None,
                [kind::EOL, ..] => {
                    self.0 = &[];
                    return None;
                }
                [kind::NOP, ref rest @ ..] => self.0 = rest,
                [_, len, ..] if len >= 2 => {
                    let (option, rest) = self.0.split_at_checked(usize::from(len))?;
                    self.0 = rest;
                    return Some(option);
                }
                _ => return None,
            }
        }
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Making room for MPTCP among the options that TCP wrote.

use super::buf::{OptionBuf, OPTIONS_MAX};
use super::kind;
use super::options::{Walk, ALIGNED_TIMESTAMP};

/// A SACK option's kind and length, in bytes; a block's two edges.
const SACK_HEAD: usize = 2;
const SACK_BLOCK: usize = 8;

/// Joins `existing` TCP options and `mptcp` ones in `out`, and says how many bytes that makes: whole
/// words, padded with NOPs.
///
/// SACK blocks are a hint, a mapping is not: if the 40 bytes do not hold both, SACK blocks are dropped
/// from the end, and with the last of them the option. Nothing else is dropped. [`None`] if even that
/// is not enough, or if `existing` is not a well-formed option area of at most 40 bytes.
///
/// Options stay in their order and the MPTCP ones come last, so that timestamps keep the place where
/// receivers look for them first.
pub fn fit(existing: &[u8], mptcp: &OptionBuf, out: &mut [u8; OPTIONS_MAX]) -> Option<usize> {
    if is_plain(existing) && mptcp.len() <= OPTIONS_MAX.checked_sub(existing.len())? {
        return join(&[existing], mptcp, out);
    }
    let scan = Scan::of(existing)?;
    let padding = existing.get(scan.used.len()..)?;
    if existing.len() % 4 == 0
        && existing.len().checked_add(mptcp.padded_len())? <= OPTIONS_MAX
        && padding.iter().all(|&byte| byte == kind::NOP)
    {
        // As it stands, padding and all. An end-of-list would hide what comes behind it.
        return join(&[existing], mptcp, out);
    }
    let room = OPTIONS_MAX.checked_sub(mptcp.len())?;
    let Some(sack) = scan.sack else {
        return join(&[scan.used], mptcp, out);
    };
    // With at least one block left, everything up to the SACK's kind byte stays, NOPs included.
    let fixed = sack
        .start
        .checked_add(SACK_HEAD)?
        .checked_add(scan.used.len().checked_sub(sack.end)?)?;
    let blocks = room.saturating_sub(fixed) / SACK_BLOCK;
    let blocks = blocks.min(sack.end.checked_sub(sack.start)?.checked_sub(SACK_HEAD)? / SACK_BLOCK);
    let behind = scan.used.get(sack.end..)?;
    if blocks == 0 {
        return join(&[scan.used.get(..sack.padding)?, behind], mptcp, out);
    }
    let len = blocks.checked_mul(SACK_BLOCK)?.checked_add(SACK_HEAD)?;
    let head = scan.used.get(..sack.start)?;
    let head_and_kind = [kind::SACK, u8::try_from(len).ok()?];
    let edges_start = sack.start.checked_add(SACK_HEAD)?;
    let edges = scan.used.get(edges_start..sack.start.checked_add(len)?)?;
    join(&[head, &head_and_kind, edges, behind], mptcp, out)
}

/// Whether TCP wrote `existing` as nothing, or as timestamps alone: then options of ours go right behind, as far as
/// there is room.
#[inline]
pub fn is_plain(existing: &[u8]) -> bool {
    existing.is_empty() || existing.len() == 12 && existing.starts_with(&ALIGNED_TIMESTAMP)
}

/// How many bytes of MPTCP options [`fit`] puts behind `existing` ones, if need be in the place of SACK blocks.
pub fn room_for(existing: &[u8]) -> usize {
    let Some(scan) = Scan::of(existing) else {
        return 0;
    };
    let sack = scan
        .sack
        .map_or(0, |sack| sack.end.saturating_sub(sack.padding));
    OPTIONS_MAX.saturating_sub(scan.used.len().saturating_sub(sack))
}

/// As [`fit`], but leaves timestamps out, and padding too. For a SYN-ACK with a Fast Open cookie (RFC 8684
/// appendix B.1); the connection must go on without timestamps then.
pub fn fit_without_timestamps(
    existing: &[u8],
    mptcp: &OptionBuf,
    out: &mut [u8; OPTIONS_MAX],
) -> Option<usize> {
    let mut kept = [0; OPTIONS_MAX];
    let mut len = 0usize;
    let mut walk = Walk(existing);
    while let Some(option) = walk.next() {
        if option.first() == Some(&kind::TIMESTAMP) {
            continue;
        }
        let end = len.checked_add(option.len())?;
        kept.get_mut(len..end)?.copy_from_slice(option);
        len = end;
    }
    if !walk.0.is_empty() {
        return None;
    }
    join(&[kept.get(..len)?], mptcp, out)
}

/// What an option area holds.
struct Scan<'a> {
    /// All of it up to the last option, without the padding behind.
    used: &'a [u8],
    sack: Option<Sack>,
}

/// Where its SACK option stands, as offsets.
struct Sack {
    /// Where the NOPs before it start.
    padding: usize,
    start: usize,
    end: usize,
}

impl<'a> Scan<'a> {
    fn of(area: &'a [u8]) -> Option<Self> {
        let mut used = 0;
        let mut sack = None;
        let mut walk = Walk(area);
        while let Some(option) = walk.next() {
            let end = area.len().checked_sub(walk.0.len())?;
            if option.first() == Some(&kind::SACK) && sack.is_none() {
                sack = Some(Sack {
                    padding: used,
                    start: end.checked_sub(option.len())?,
                    end,
                });
            }
            used = end;
        }
        if !walk.0.is_empty() {
            return None;
        }
        Some(Self {
            used: area.get(..used)?,
            sack,
        })
    }
}

fn join(parts: &[&[u8]], mptcp: &OptionBuf, out: &mut [u8; OPTIONS_MAX]) -> Option<usize> {
    let mut len = 0usize;
    for part in parts.iter().copied().chain([mptcp.as_bytes()]) {
        let end = len.checked_add(part.len())?;
        out.get_mut(len..end)?.copy_from_slice(part);
        len = end;
    }
    let padded = len.checked_next_multiple_of(4)?;
    out.get_mut(len..padded)?.fill(kind::NOP);
    Some(padded)
}

// SPDX-License-Identifier: GPL-2.0

//! The fixed buffer that outgoing options are written into.

use core::fmt;

use super::kind;

/// The largest TCP option area: a header of 15 words less the fixed five, in bytes.
pub const OPTIONS_MAX: usize = 40;

/// The option does not fit into what is left of the 40 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoSpace;

/// Up to 40 bytes of MPTCP options, ready to be put behind a TCP header's own.
///
/// Unused bytes are NOPs at all times, so rounding the length up to whole words pads it.
#[derive(Clone, Copy)]
pub struct OptionBuf {
    bytes: [u8; OPTIONS_MAX],
    len: u8,
}

impl OptionBuf {
    /// An empty buffer.
    #[inline]
    pub const fn new() -> Self {
        Self {
            bytes: [kind::NOP; OPTIONS_MAX],
            len: 0,
        }
    }

    /// Bytes written so far, without padding.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no option was written.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes written, rounded up to whole 32-bit words: what the TCP header grows by.
    #[inline]
    pub const fn padded_len(&self) -> usize {
        self.len().wrapping_add(3) & !3
    }

    /// The options without padding.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or(&[])
    }

    /// The options, padded with NOPs to whole words.
    #[inline]
    pub fn as_padded(&self) -> &[u8] {
        self.bytes.get(..self.padded_len()).unwrap_or(&[])
    }

    /// Starts an option of `len` bytes in all: reserves them and writes kind and length.
    ///
    /// The caller owes the returned [`Writer`] the other `len - 2`.
    #[inline]
    pub(super) fn option(&mut self, len: u8) -> Result<Writer<'_>, NoSpace> {
        let start = self.len();
        let end = start.saturating_add(usize::from(len));
        let area = self.bytes.get_mut(start..end).ok_or(NoSpace)?;
        self.len = self.len.saturating_add(len);
        let mut writer = Writer(area);
        writer.put([kind::MPTCP, len]);
        Ok(writer)
    }
}

impl Default for OptionBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OptionBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OptionBuf").field(&self.as_bytes()).finish()
    }
}

/// The part of an [`OptionBuf`] that one option was given, filled from the front.
pub(super) struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    /// Appends bytes. What would not fit is a bug in the option's length, and is left out.
    #[inline]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        debug_assert!(N <= self.0.len());
        if let Some((head, tail)) = core::mem::take(&mut self.0).split_first_chunk_mut::<N>() {
            *head = bytes;
            self.0 = tail;
        }
    }

    /// Appends one byte.
    #[inline]
    pub(super) fn u8(&mut self, value: u8) {
        self.put([value]);
    }

    /// Appends 16 bits in network order.
    #[inline]
    pub(super) fn u16(&mut self, value: u16) {
        self.put(value.to_be_bytes());
    }

    /// Appends 32 bits in network order.
    #[inline]
    pub(super) fn u32(&mut self, value: u32) {
        self.put(value.to_be_bytes());
    }

    /// Appends 64 bits in network order.
    #[inline]
    pub(super) fn u64(&mut self, value: u64) {
        self.put(value.to_be_bytes());
    }
}

/// Reads an option from the front; every method says [`None`] at its end.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    /// The next `N` bytes.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    /// The next 16 bits, in network order.
    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    /// The next 32 bits, in network order.
    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    /// The next 64 bits, in network order.
    #[inline]
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
}

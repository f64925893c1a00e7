// SPDX-License-Identifier: GPL-2.0

//! DSS: the data sequence signal (RFC 8684 section 3.3).

use super::super::seq::Dsn;
use super::buf::{NoSpace, OptionBuf, Reader};
use super::subtype;

/// "A": a DATA_ACK is present.
const ACK: u8 = 0x01;
/// "a": it has 8 bytes.
const ACK64: u8 = 0x02;
/// "M": a mapping is present.
const MAP: u8 = 0x04;
/// "m": its data sequence number has 8 bytes.
const DSN64: u8 = 0x08;
/// "F": the mapping ends with a DATA_FIN.
const FIN: u8 = 0x10;

/// A data sequence number in one of its two forms on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WireDsn {
    /// The low 32 bits; the high ones are to be inferred.
    Low32(u32),
    /// All 64 bits.
    Full(u64),
}

impl WireDsn {
    /// The number meant, the receiver of it being at `reference` (RFC 8684 section 3.3.1).
    #[inline]
    pub const fn expand(self, reference: Dsn) -> Dsn {
        match self {
            WireDsn::Low32(low) => Dsn::expand(reference, low),
            WireDsn::Full(dsn) => Dsn(dsn),
        }
    }

    #[inline]
    fn parse(r: &mut Reader<'_>, full: bool) -> Option<Self> {
        if full {
            r.u64().map(WireDsn::Full)
        } else {
            r.u32().map(WireDsn::Low32)
        }
    }

    #[inline]
    const fn wire_len(self) -> u8 {
        match self {
            WireDsn::Low32(_) => 4,
            WireDsn::Full(_) => 8,
        }
    }
}

/// A mapping of subflow bytes to the connection's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DssMap {
    /// Data sequence number of the first byte.
    pub dsn: WireDsn,
    /// Its subflow sequence number, relative to the subflow's initial one: the first byte after the
    /// SYN is 1. Zero for a DATA_FIN alone, which has no place in the subflow.
    pub ssn: u32,
    /// Data-level length, in bytes, a DATA_FIN counting as one. Zero is the infinite mapping.
    pub len: u16,
    /// The DSS checksum, if checksums were agreed upon. Only the option's length tells.
    pub csum: Option<u16>,
}

/// DSS: a DATA_ACK, a mapping, both or neither.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dss {
    /// The mapping's last number is the DATA_FIN. Never set without a mapping.
    pub data_fin: bool,
    /// The DATA_ACK.
    pub ack: Option<WireDsn>,
    /// The mapping.
    pub map: Option<DssMap>,
}

impl Dss {
    /// Decodes one whole option. Reads "F" only together with "M", and the checksum's presence from
    /// the length.
    #[inline]
    pub fn parse(option: &[u8]) -> Option<Self> {
        let mut r = Reader(option);
        let [_, _, _, flags] = r.take()?;
        let ack = if flags & ACK != 0 {
            Some(WireDsn::parse(&mut r, flags & ACK64 != 0)?)
        } else {
            None
        };
        let mut map = None;
        if flags & MAP != 0 {
            map = Some(DssMap {
                dsn: WireDsn::parse(&mut r, flags & DSN64 != 0)?,
                ssn: r.u32()?,
                len: r.u16()?,
                csum: r.u16(),
            });
        }
        if !r.0.is_empty() {
            return None;
        }
        Some(Self {
            data_fin: flags & (FIN | MAP) == FIN | MAP,
            ack,
            map,
        })
    }

    /// Bytes on the wire.
    #[inline]
    pub const fn wire_len(&self) -> u8 {
        let ack = match self.ack {
            Some(ack) => ack.wire_len(),
            None => 0,
        };
        let map = match self.map {
            Some(map) => {
                let tail = if map.csum.is_some() { 8 } else { 6 };
                map.dsn.wire_len().saturating_add(tail)
            }
            None => 0,
        };
        ack.saturating_add(map).saturating_add(4)
    }

    /// Appends the option. A `data_fin` without a mapping is not sent.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit; `buf` is unchanged.
    #[inline]
    pub fn emit(&self, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        let mut w = buf.option(self.wire_len())?;
        let mut flags = 0;
        if let Some(ack) = self.ack {
            flags |= ACK;
            if matches!(ack, WireDsn::Full(_)) {
                flags |= ACK64;
            }
        }
        if let Some(map) = self.map {
            flags |= MAP;
            if matches!(map.dsn, WireDsn::Full(_)) {
                flags |= DSN64;
            }
            if self.data_fin {
                flags |= FIN;
            }
        }
        w.put([subtype::DSS << 4, flags]);
        match self.ack {
            Some(WireDsn::Full(ack)) => w.u64(ack),
            Some(WireDsn::Low32(ack)) => w.u32(ack),
            None => {}
        }
        if let Some(map) = self.map {
            match map.dsn {
                WireDsn::Full(dsn) => w.u64(dsn),
                WireDsn::Low32(dsn) => w.u32(dsn),
            }
            w.u32(map.ssn);
            w.u16(map.len);
            if let Some(csum) = map.csum {
                w.u16(csum);
            }
        }
        Ok(())
    }
}

// SPDX-License-Identifier: GPL-2.0

//! ADD_ADDR and REMOVE_ADDR: addresses come and go (RFC 8684 section 3.4).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::buf::{NoSpace, OptionBuf, Reader, OPTIONS_MAX};
use super::subtype;

/// The "E" flag of ADD_ADDR: this is an echo, and has no HMAC.
const ECHO: u8 = 0x01;

/// ADD_ADDR, or the echo of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddAddr {
    /// The address ID.
    pub id: u8,
    /// The address.
    pub addr: IpAddr,
    /// The port to connect to, if it is not that of the first subflow.
    pub port: Option<u16>,
    /// The rightmost 64 bits of the HMAC; an echo has none.
    pub hmac: Option<[u8; 8]>,
}

impl AddAddr {
    /// Whether this confirms an announcement instead of being one.
    #[inline]
    pub const fn is_echo(&self) -> bool {
        self.hmac.is_none()
    }

    /// Decodes one whole option: address family, port and HMAC follow from length and echo flag.
    pub fn parse(option: &[u8]) -> Option<Self> {
        let mut r = Reader(option);
        let [_, _, head, id] = r.take()?;
        let echo = head & ECHO != 0;
        let (v6, port) = match (option.len(), echo) {
            (8, true) | (16, false) => (false, false),
            (10, true) | (18, false) => (false, true),
            (20, true) | (28, false) => (true, false),
            (22, true) | (30, false) => (true, true),
            _ => return None,
        };
        let addr = if v6 {
            IpAddr::V6(Ipv6Addr::from(r.take::<16>()?))
        } else {
            IpAddr::V4(Ipv4Addr::from(r.take::<4>()?))
        };
        Some(Self {
            id,
            addr,
            port: if port { Some(r.u16()?) } else { None },
            hmac: if echo { None } else { Some(r.take()?) },
        })
    }

    /// Bytes on the wire.
    pub const fn wire_len(&self) -> u8 {
        let fixed: u8 = match self.addr {
            IpAddr::V4(_) => 8,
            IpAddr::V6(_) => 20,
        };
        let port = if self.port.is_some() { 2 } else { 0 };
        let hmac = if self.hmac.is_some() { 8 } else { 0 };
        fixed.saturating_add(port).saturating_add(hmac)
    }

    /// Appends the option.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit; `buf` is unchanged.
    pub fn emit(&self, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        let mut w = buf.option(self.wire_len())?;
        w.u8((subtype::ADD_ADDR << 4) | u8::from(self.is_echo()));
        w.u8(self.id);
        match self.addr {
            IpAddr::V4(addr) => w.put(addr.octets()),
            IpAddr::V6(addr) => w.put(addr.octets()),
        }
        if let Some(port) = self.port {
            w.u16(port);
        }
        if let Some(hmac) = self.hmac {
            w.put(hmac);
        }
        Ok(())
    }
}

/// REMOVE_ADDR: a list of address IDs, at least one, at most as many as the option area holds.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct RmAddr {
    ids: [u8; Self::MAX],
    len: u8,
}

impl RmAddr {
    /// The most IDs that one option can hold.
    pub const MAX: usize = OPTIONS_MAX - 3;

    /// Removes one address.
    pub const fn new(id: u8) -> Self {
        let mut ids = [0; Self::MAX];
        ids[0] = id;
        Self { ids, len: 1 }
    }

    /// Removes these addresses. [`None`] if there is none, or more than [`RmAddr::MAX`].
    pub fn from_ids(list: &[u8]) -> Option<Self> {
        if list.is_empty() {
            return None;
        }
        let mut ids = [0; Self::MAX];
        ids.get_mut(..list.len())?.copy_from_slice(list);
        Some(Self {
            ids,
            len: u8::try_from(list.len()).ok()?,
        })
    }

    /// The IDs.
    pub fn ids(&self) -> &[u8] {
        self.ids.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Adds an ID; false if there is no room for it.
    pub fn push(&mut self, id: u8) -> bool {
        let Some(slot) = self.ids.get_mut(usize::from(self.len)) else {
            return false;
        };
        *slot = id;
        self.len = self.len.saturating_add(1);
        true
    }

    /// Decodes one whole option.
    pub fn parse(option: &[u8]) -> Option<Self> {
        Self::from_ids(option.get(3..)?)
    }

    /// Bytes on the wire.
    pub const fn wire_len(&self) -> u8 {
        self.len.saturating_add(3)
    }

    /// Appends the option.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if it does not fit; `buf` is unchanged.
    pub fn emit(&self, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        let mut w = buf.option(self.wire_len())?;
        w.u8(subtype::RM_ADDR << 4);
        for &id in self.ids() {
            w.u8(id);
        }
        Ok(())
    }
}

impl fmt::Debug for RmAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RmAddr").field(&self.ids()).finish()
    }
}

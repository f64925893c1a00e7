// SPDX-License-Identifier: GPL-2.0

//! Addresses in messages: `MPTCP_PM_ADDR_ATTR_*`.

use crate::bindings::{self, AF_INET, AF_INET6};
use crate::proto::pm::{Address, Endpoint, EndpointFlags};
use crate::sys::genl::Request;
use crate::sys::netlink::{AttrPolicy, Message};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use kernel::c_str;
use kernel::error::{code::*, Result};

const FAMILY: u32 = bindings::MPTCP_PM_ADDR_ATTR_FAMILY;
const ID: u32 = bindings::MPTCP_PM_ADDR_ATTR_ID;
const ADDR4: u32 = bindings::MPTCP_PM_ADDR_ATTR_ADDR4;
const ADDR6: u32 = bindings::MPTCP_PM_ADDR_ATTR_ADDR6;
const PORT: u32 = bindings::MPTCP_PM_ADDR_ATTR_PORT;
const FLAGS: u32 = bindings::MPTCP_PM_ADDR_ATTR_FLAGS;
const IF_IDX: u32 = bindings::MPTCP_PM_ADDR_ATTR_IF_IDX;

const IPV4: u16 = AF_INET as u16;
const IPV6: u16 = AF_INET6 as u16;

/// All flags that there are: others are ignored.
const FLAG_MASK: u32 = EndpointFlags::ALL.0 as u32;

pub(super) static POLICY: [AttrPolicy; 8] = [
    AttrPolicy::UNKNOWN,
    AttrPolicy::U16,
    AttrPolicy::U8,
    AttrPolicy::U32,
    AttrPolicy::bytes(16),
    AttrPolicy::U16,
    AttrPolicy::U32,
    AttrPolicy::S32,
];

/// What a message says about an address.
pub(super) struct Said {
    /// The ID, 0 if none is said.
    pub id: u8,
    /// The address, with its port or 0.
    pub addr: Option<Address>,
    /// It is an IPv4 address mapped into IPv6.
    pub mapped: bool,
    /// The flags, none if none are said.
    pub flags: EndpointFlags,
    /// The interface, or 0.
    pub ifindex: i32,
}

impl Said {
    /// What the attribute `kind` of a request says. Without an address, the port counts for nothing.
    ///
    /// # Errors
    ///
    /// `EINVAL`, `ERANGE`; the answer says why.
    pub(super) fn read(request: &mut Request<'_>, kind: u32) -> Result<Self> {
        let Some(nest) = request.attr(kind) else {
            request.missing(None, kind, c_str!("an address has to be given"));
            return Err(EINVAL);
        };
        let table = request.nested(nest, &POLICY)?;
        let get = |kind: u32| table.get(kind as usize).copied().flatten();
        let mut said = Self {
            id: get(ID).map_or(0, |attr| attr.u8()),
            addr: None,
            mapped: false,
            flags: EndpointFlags(get(FLAGS).map_or(0, |attr| attr.u32() & FLAG_MASK) as u8),
            ifindex: get(IF_IDX).map_or(0, |attr| attr.i32()),
        };
        if let Some(family) = get(FAMILY) {
            let ip = match family.u16() {
                IPV4 => get(ADDR4).map(|attr| IpAddr::V4(Ipv4Addr::from(attr.array::<4>()))),
                IPV6 => get(ADDR6).map(|attr| IpAddr::V6(Ipv6Addr::from(attr.array::<16>()))),
                _ => {
                    request.complain(Some(family), c_str!("addresses are of AF_INET or AF_INET6"));
                    return Err(EINVAL);
                }
            };
            let Some(ip) = ip else {
                let kind = if family.u16() == IPV4 { ADDR4 } else { ADDR6 };
                request.complain(Some(nest), c_str!("a family has to come with its address"));
                request.missing(
                    Some(nest),
                    kind,
                    c_str!("a family has to come with its address"),
                );
                return Err(EINVAL);
            };
            let port = get(PORT).map_or(0, |attr| attr.u16());
            said.mapped = ip.is_ipv6() && ip.to_canonical().is_ipv4();
            said.addr = Some(Address::new(ip, port));
        }
        Ok(said)
    }

    /// As [`Said::read`], where an address has to be there.
    pub(super) fn read_addr(request: &mut Request<'_>, kind: u32) -> Result<(Self, Address)> {
        let said = Self::read(request, kind)?;
        match said.addr {
            Some(addr) => Ok((said, addr)),
            None => {
                let nest = request.attr(kind);
                request.complain(nest, c_str!("an address has to come with its family"));
                request.missing(
                    nest,
                    FAMILY,
                    c_str!("an address has to come with its family"),
                );
                Err(EINVAL)
            }
        }
    }
}

/// Adds an address to an answer, mapped into IPv6 if that is how it was given.
pub(super) fn put(to: &mut Message<'_>, entry: &Endpoint, mapped: bool) -> Result {
    to.nest(super::ADDR, |to| {
        let ip = match entry.addr.ip() {
            IpAddr::V4(v4) if mapped => IpAddr::V6(v4.to_ipv6_mapped()),
            ip => ip,
        };
        to.put_u16(FAMILY, if ip.is_ipv4() { IPV4 } else { IPV6 })?;
        to.put_u16(PORT, entry.addr.port())?;
        to.put_u8(ID, entry.id)?;
        to.put_u32(FLAGS, entry.flags.0.into())?;
        if entry.ifindex != 0 {
            to.put_i32(IF_IDX, entry.ifindex)?;
        }
        match ip {
            IpAddr::V4(v4) => to.put(ADDR4, &v4.octets()),
            IpAddr::V6(v6) => to.put(ADDR6, &v6.octets()),
        }
    })
}

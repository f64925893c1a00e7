// SPDX-License-Identifier: GPL-2.0

//! Commands about endpoints and limits.

use super::address::{self, Said};
use super::{ADDR, RCV_ADD_ADDRS, SUBFLOWS};
use crate::netstate::Netns;
use crate::pm::namespace::Namespace;
use crate::pm::{work, Connections};
use crate::proto::pm::{Endpoint, EndpointError, EndpointFlags, ADDR_MAX};
use crate::sys::errno::{emsgsize, eopnotsupp};
use crate::sys::genl::{Dump, Request};
use crate::sys::net::Net;
use core::net::{IpAddr, SocketAddr};
use kernel::c_str;
use kernel::error::{code::*, Result};
use kernel::prelude::*;

/// As long a queue as the sockets of endpoints ask for.
const BACKLOG: i32 = 1024;

/// The namespace's part. Requests may come before the module's init is through.
fn namespace(net: &Net) -> Result<&Namespace> {
    net.try_state::<Netns>()
        .map(|state| &state.pm)
        .ok_or(ENODEV)
}

fn complain(request: &mut Request<'_>, message: &'static CStr) -> Error {
    let nest = request.attr(ADDR);
    request.complain(nest, message);
    EINVAL
}

/// Why an endpoint cannot be as it is asked for.
fn contradiction(endpoint: &Endpoint) -> Option<&'static CStr> {
    let has = |flag| endpoint.flags.contains(flag);
    if endpoint.addr.port() != 0 && (has(EndpointFlags::SUBFLOW) || !has(EndpointFlags::SIGNAL)) {
        return Some(c_str!("a port goes with the flag signal, without subflow"));
    }
    if has(EndpointFlags::SIGNAL) && has(EndpointFlags::FULLMESH) {
        return Some(c_str!("signal and fullmesh exclude each other"));
    }
    has(EndpointFlags::IMPLICIT).then_some(c_str!("implicit endpoints cannot be made"))
}

/// `MPTCP_PM_CMD_ADD_ADDR`
pub(super) fn add<C: Connections>(request: &mut Request<'_>) -> Result {
    let (said, addr) = Said::read_addr(request, ADDR)?;
    let net = request.net();
    let endpoint = Endpoint {
        id: said.id,
        addr,
        flags: said.flags,
        ifindex: said.ifindex,
    };
    if let Some(why) = contradiction(&endpoint) {
        return Err(complain(request, why));
    }
    let mut listener = None;
    if addr.port() != 0 {
        let ip = match addr.ip() {
            IpAddr::V4(v4) if said.mapped => IpAddr::V6(v4.to_ipv6_mapped()),
            ip => ip,
        };
        let made = C::listen(net, SocketAddr::new(ip, addr.port()), BACKLOG);
        if made.is_err() {
            complain(request, c_str!("cannot listen on that port"));
        }
        listener = Some(made?);
    }
    let added = namespace(net)?.add(endpoint, said.mapped, &mut listener);
    let endpoint = added.map_err(|err| {
        let (errno, why) = match err {
            EndpointError::Full => (ERANGE, c_str!("there are as many endpoints as can be")),
            EndpointError::Exists => (EEXIST, c_str!("there is an endpoint with this address")),
            EndpointError::Busy => (EBUSY, c_str!("there is an endpoint with this ID")),
            EndpointError::Invalid | EndpointError::NotFound => (
                EINVAL,
                c_str!("no ID is left, or there is an implicit endpoint with another one"),
            ),
        };
        complain(request, why);
        errno
    })?;
    C::for_each(net, &mut |conn| work::endpoint_added(conn, &endpoint));
    Ok(())
}

/// `MPTCP_PM_CMD_DEL_ADDR`
pub(super) fn delete<C: Connections>(request: &mut Request<'_>) -> Result {
    let said = Said::read(request, ADDR)?;
    let net = request.net();
    if said.id == 0 {
        // Each connection has its own address with ID 0: those that have this one are meant.
        if let Some(addr) = said.addr {
            C::for_each(net, &mut |conn| work::id0_removed(conn, &addr));
        }
        return Ok(());
    }
    let Some((endpoint, listener)) = namespace(net)?.remove(said.id) else {
        return Err(complain(
            request,
            c_str!("there is no endpoint with this ID"),
        ));
    };
    C::for_each(net, &mut |conn| work::endpoint_removed(conn, &endpoint));
    drop(listener);
    Ok(())
}

/// `MPTCP_PM_CMD_FLUSH_ADDRS`
pub(super) fn flush<C: Connections>(request: &mut Request<'_>) -> Result {
    let net = request.net();
    let (endpoints, listeners) = namespace(net)?.flush();
    if !endpoints.is_empty() {
        C::for_each(net, &mut |conn| work::flushed(conn, &endpoints));
    }
    drop(listeners);
    Ok(())
}

/// `MPTCP_PM_CMD_SET_FLAGS`, without a token. The endpoint is named by its address, or else by its ID.
pub(super) fn set_flags<C: Connections>(request: &mut Request<'_>) -> Result {
    let said = Said::read(request, ADDR)?;
    let net = request.net();
    let which = match said.addr {
        Some(addr) => Endpoint {
            addr,
            ..Endpoint::default()
        },
        None if said.id != 0 => Endpoint {
            id: said.id,
            ..Endpoint::default()
        },
        None => {
            complain(request, c_str!("an address or an ID has to be given"));
            return Err(eopnotsupp());
        }
    };
    let changed = namespace(net)?.set_flags(&which, said.flags);
    let (endpoint, changed) = changed.map_err(|err| {
        let why = match err {
            EndpointError::NotFound => c_str!("there is no such endpoint"),
            _ => c_str!("fullmesh is for endpoints with neither signal nor implicit"),
        };
        complain(request, why)
    })?;
    if changed != EndpointFlags::default() {
        C::for_each(net, &mut |conn| {
            work::flags_changed(conn, &endpoint, changed)
        });
    }
    Ok(())
}

/// `MPTCP_PM_CMD_GET_ADDR`, without a token.
pub(super) fn get(request: &mut Request<'_>) -> Result {
    let said = Said::read(request, ADDR)?;
    match namespace(request.net())?.by_id(said.id) {
        Some((endpoint, mapped)) => request.reply(|to| address::put(to, &endpoint, mapped)),
        None => Err(complain(
            request,
            c_str!("there is no endpoint with this ID"),
        )),
    }
}

/// `MPTCP_PM_CMD_GET_ADDR`, all of them, by ID.
pub(super) fn list(dump: &mut Dump<'_>) -> Result {
    let namespace = namespace(dump.request().net())?;
    loop {
        let last = u8::try_from(*dump.place()).unwrap_or(u8::MAX);
        let Some((endpoint, mapped)) = namespace.next_id(last) else {
            return Ok(());
        };
        match dump.add(|to| address::put(to, &endpoint, mapped)) {
            Ok(()) => *dump.place() = endpoint.id.into(),
            // The rest goes into the next buffer.
            Err(err) if err == emsgsize() => return Ok(()),
            Err(err) => return Err(err),
        }
    }
}

/// `MPTCP_PM_CMD_SET_LIMITS`: both or none.
pub(super) fn set_limits(request: &mut Request<'_>) -> Result {
    let accepted = limit(request, RCV_ADD_ADDRS)?;
    let subflows = limit(request, SUBFLOWS)?;
    namespace(request.net())?.set_limits(|limits| {
        limits.add_addr_accepted = accepted.unwrap_or(limits.add_addr_accepted);
        limits.subflows = subflows.unwrap_or(limits.subflows);
    });
    Ok(())
}

fn limit(request: &mut Request<'_>, kind: u32) -> Result<Option<u8>> {
    let Some(attr) = request.attr(kind) else {
        return Ok(None);
    };
    match u8::try_from(attr.u32()) {
        Ok(limit) if usize::from(limit) <= ADDR_MAX => Ok(Some(limit)),
        _ => {
            request.complain(Some(attr), c_str!("8 is the most that a limit can be"));
            Err(EINVAL)
        }
    }
}

/// `MPTCP_PM_CMD_GET_LIMITS`
pub(super) fn get_limits(request: &mut Request<'_>) -> Result {
    let limits = namespace(request.net())?.limits();
    request.reply(|to| {
        to.put_u32(RCV_ADD_ADDRS, limits.add_addr_accepted.into())?;
        to.put_u32(SUBFLOWS, limits.subflows.into())
    })
}

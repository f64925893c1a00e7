// SPDX-License-Identifier: GPL-2.0

//! Commands of path managers in user space. Each is about one connection, named by its token.

use super::address::{self, Said};
use super::{ADDR, ADDR_REMOTE, LOC_ID, TOKEN};
use crate::observe::mib::{self, Mib};
use crate::pm::{work, Connection, Connections};
use crate::proto::pm::{Connect, Endpoint, EndpointError, EndpointFlags, Local};
use crate::sys::errno::{emsgsize, enotconn};
use crate::sys::genl::{Dump, Request};
use crate::sys::netlink::Attr;
use kernel::c_str;
use kernel::error::{code::*, Result};
use kernel::prelude::*;

/// Calls `f` with the connection that the token names.
fn with<C: Connections, R>(
    request: &mut Request<'_>,
    token: Attr<'_>,
    f: impl FnOnce(&mut Request<'_>, &mut dyn Connection) -> Result<R>,
) -> Result<R> {
    let net = request.net();
    let done = C::with_token(net, token.u32(), |conn| {
        if !conn.manager().is_user() {
            request.complain(
                Some(token),
                c_str!("the path manager of this connection is the kernel's"),
            );
            return Err(EINVAL);
        }
        f(request, conn)
    });
    match done {
        Some(result) => result,
        None => {
            request.complain(
                Some(token),
                c_str!("there is no connection with this token"),
            );
            Err(EINVAL)
        }
    }
}

/// The attribute `kind`, which has to be there.
fn need<'a>(request: &mut Request<'a>, kind: u32) -> Result<Attr<'a>> {
    request.attr(kind).ok_or_else(|| {
        request.missing(None, kind, c_str!("an attribute is missing"));
        EINVAL
    })
}

fn complain(request: &mut Request<'_>, kind: u32, message: &'static CStr) -> Error {
    let attr = request.attr(kind);
    request.complain(attr, message);
    EINVAL
}

fn entry_of(said: &Said, addr: crate::proto::pm::Address, flags: EndpointFlags) -> Endpoint {
    Endpoint {
        id: said.id,
        addr,
        flags,
        ifindex: said.ifindex,
    }
}

/// Takes note of a local address.
fn know(request: &mut Request<'_>, conn: &mut dyn Connection, entry: Endpoint) -> Result {
    let manager = conn.manager();
    manager.need_paths()?;
    match manager.with_paths(|paths| paths.user.add(entry)) {
        Some(Ok(())) => Ok(()),
        Some(Err(EndpointError::Full)) | None => Err(ENOMEM),
        Some(Err(_)) => Err(complain(
            request,
            ADDR,
            c_str!("this address has another ID, or this ID another address"),
        )),
    }
}

/// `MPTCP_PM_CMD_ANNOUNCE`: ADD_ADDR.
pub(super) fn announce<C: Connections>(request: &mut Request<'_>) -> Result {
    need(request, ADDR)?;
    let token = need(request, TOKEN)?;
    with::<C, _>(request, token, |request, conn| {
        let (said, addr) = Said::read_addr(request, ADDR)?;
        if said.id == 0 || !said.flags.contains(EndpointFlags::SIGNAL) {
            let why = c_str!("an ID other than 0 and the flag signal have to be given");
            return Err(complain(request, ADDR, why));
        }
        know(request, conn, entry_of(&said, addr, said.flags))?;
        work::event(conn, |path, view, out| {
            path.announce(view, said.id, addr, out);
        });
        Ok(())
    })
}

/// `MPTCP_PM_CMD_REMOVE`: REMOVE_ADDR.
pub(super) fn remove<C: Connections>(request: &mut Request<'_>) -> Result {
    let id = need(request, LOC_ID)?;
    let token = need(request, TOKEN)?;
    with::<C, _>(request, token, |request, conn| {
        let id = id.u8();
        let mut used = None;
        let addr = if id == 0 {
            conn.for_each(&mut |subflow| {
                if subflow.local_id == 0 {
                    used = used.or(Some(subflow.local().with_port(0)));
                }
            });
            used
        } else {
            let entry = conn.manager().with_paths(|paths| paths.user.remove(id));
            let entry = entry.flatten();
            if let Some(entry) = entry {
                conn.for_each(&mut |subflow| {
                    if entry.addr.matches(&subflow.local()) {
                        used = Some(entry.addr);
                    }
                });
            }
            entry.map(|entry| entry.addr)
        };
        let Some(addr) = addr else {
            return Err(complain(request, LOC_ID, c_str!("no address has this ID")));
        };
        work::event(conn, |path, _, out| {
            path.withdraw_addr(id, &addr, used.is_some(), out);
        });
        Ok(())
    })
}

/// `MPTCP_PM_CMD_SUBFLOW_CREATE`
pub(super) fn create<C: Connections>(request: &mut Request<'_>) -> Result {
    need(request, ADDR)?;
    need(request, ADDR_REMOTE)?;
    let token = need(request, TOKEN)?;
    with::<C, _>(request, token, |request, conn| {
        let (said, local) = Said::read_addr(request, ADDR)?;
        if said.flags.contains(EndpointFlags::SIGNAL) {
            return Err(complain(
                request,
                ADDR,
                c_str!("signal is not for subflows"),
            ));
        }
        let (peer, remote) = Said::read_addr(request, ADDR_REMOTE)?;
        let families = conn.manager().families();
        if !families.allow(local.ip(), remote.ip()) {
            let why = c_str!("the families of the addresses and the socket do not match");
            return Err(complain(request, ADDR_REMOTE, why));
        }
        let entry = entry_of(&said, local, said.flags.union(EndpointFlags::SUBFLOW));
        know(request, conn, entry)?;
        conn.manager().with_paths(|paths| paths.path.count());
        let connect = Connect {
            local: Some(Local {
                id: said.id,
                addr: local,
                ifindex: said.ifindex,
                backup: said.flags.contains(EndpointFlags::BACKUP),
            }),
            remote_id: peer.id,
            remote,
        };
        let opened = if conn.may_open() {
            conn.open(&connect)
        } else {
            Err(enotconn())
        };
        if opened.is_err() {
            conn.manager().with_paths(|paths| {
                paths.path.discount();
                paths.user.remove_addr(&local);
            });
        }
        opened
    })
}

/// `MPTCP_PM_CMD_SUBFLOW_DESTROY`
pub(super) fn destroy<C: Connections>(request: &mut Request<'_>) -> Result {
    need(request, ADDR)?;
    need(request, ADDR_REMOTE)?;
    let token = need(request, TOKEN)?;
    with::<C, _>(request, token, |request, conn| {
        let (_, local) = Said::read_addr(request, ADDR)?;
        let (_, remote) = Said::read_addr(request, ADDR_REMOTE)?;
        if local.ip().is_ipv4() != remote.ip().is_ipv4() {
            let why = c_str!("the families of the addresses do not match");
            return Err(complain(request, ADDR_REMOTE, why));
        }
        for (kind, addr) in [(ADDR, &local), (ADDR_REMOTE, &remote)] {
            if addr.port() == 0 {
                return Err(complain(
                    request,
                    kind,
                    c_str!("both ports have to be given"),
                ));
            }
        }
        let mut found = false;
        conn.for_each(&mut |subflow| {
            found |= subflow.local() == local && subflow.remote() == remote;
        });
        if !found {
            return Err(ESRCH);
        }
        let manager = conn.manager();
        manager.with_paths(|paths| paths.user.remove_addr(&local));
        conn.close(&|subflow| subflow.local() == local && subflow.remote() == remote);
        mib::inc(conn.net(), Mib::RmSubflow);
        Ok(())
    })
}

/// `MPTCP_PM_CMD_SET_FLAGS`, with a token: MP_PRIO on one subflow.
pub(super) fn set_flags<C: Connections>(request: &mut Request<'_>, token: Attr<'_>) -> Result {
    with::<C, _>(request, token, |request, conn| {
        let (said, local) = Said::read_addr(request, ADDR)?;
        let (_, remote) = Said::read_addr(request, ADDR_REMOTE)?;
        let backup = said.flags.contains(EndpointFlags::BACKUP);
        conn.manager()
            .with_paths(|paths| paths.user.set_backup(&local, backup));
        let meant = |subflow: &crate::pm::SubflowInfo| {
            local.matches(&subflow.local()) && remote.matches(&subflow.remote())
        };
        if conn.send_prio(&meant, backup) {
            Ok(())
        } else {
            Err(complain(request, ADDR, c_str!("there is no such subflow")))
        }
    })
}

/// `MPTCP_PM_CMD_GET_ADDR`, with a token.
pub(super) fn get<C: Connections>(request: &mut Request<'_>, token: Attr<'_>) -> Result {
    with::<C, _>(request, token, |request, conn| {
        let said = Said::read(request, ADDR)?;
        let entry = conn
            .manager()
            .with_paths(|paths| paths.user.by_id(said.id).copied());
        match entry.flatten() {
            Some(entry) => request.reply(|to| address::put(to, &entry, false)),
            None => Err(complain(request, ADDR, c_str!("no address has this ID"))),
        }
    })
}

/// `MPTCP_PM_CMD_GET_ADDR`, all of a connection, in the order in which they came.
pub(super) fn list<C: Connections>(dump: &mut Dump<'_>, token: Attr<'_>) -> Result {
    let entries = with::<C, _>(dump.request(), token, |_, conn| {
        let mut entries = KVec::new();
        let copied = conn.manager().with_paths(|paths| {
            paths
                .user
                .iter()
                .try_for_each(|entry| entries.push(*entry, GFP_ATOMIC))
        });
        copied.unwrap_or(Ok(()))?;
        Ok(entries)
    })?;
    let done = *dump.place();
    for entry in entries.iter().skip(done) {
        match dump.add(|to| address::put(to, entry, false)) {
            Ok(()) => *dump.place() += 1,
            // The rest goes into the next buffer.
            Err(err) if err == emsgsize() => break,
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

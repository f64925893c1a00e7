// SPDX-License-Identifier: GPL-2.0

//! The generic netlink family `mptcp_pm`: `ip mptcp`, mptcpd, NetworkManager.
//!
//! What it has is written down in the kernel's `Documentation/netlink/specs/mptcp_pm.yaml`.
//!
//! - this file: commands and policies
//! - `address`: addresses in messages
//! - `endpoint`: commands about endpoints and limits
//! - `user`: commands of path managers in user space, about one connection

mod address;
mod endpoint;
mod user;

use super::Connections;
use crate::bindings;
use crate::sys::genl::{Cell, Command, Dump, Family, Group, Registration, Request};
use crate::sys::netlink::AttrPolicy;
use core::marker::PhantomData;
use kernel::error::{code::*, Result};
use kernel::prelude::*;

const ADDR: u32 = bindings::MPTCP_PM_ATTR_ADDR;
const RCV_ADD_ADDRS: u32 = bindings::MPTCP_PM_ATTR_RCV_ADD_ADDRS;
const SUBFLOWS: u32 = bindings::MPTCP_PM_ATTR_SUBFLOWS;
const TOKEN: u32 = bindings::MPTCP_PM_ATTR_TOKEN;
const LOC_ID: u32 = bindings::MPTCP_PM_ATTR_LOC_ID;
const ADDR_REMOTE: u32 = bindings::MPTCP_PM_ATTR_ADDR_REMOTE;

/// An endpoint, in the commands that only have that.
static ENDPOINT: [AttrPolicy; 2] = [AttrPolicy::UNKNOWN, AttrPolicy::nested(&address::POLICY)];

/// An address, a connection, and further the address of its peer or an ID.
static ATTRS: [AttrPolicy; 7] = [
    AttrPolicy::UNKNOWN,
    AttrPolicy::nested(&address::POLICY),
    AttrPolicy::UNKNOWN,
    AttrPolicy::UNKNOWN,
    AttrPolicy::U32,
    AttrPolicy::UNKNOWN,
    AttrPolicy::nested(&address::POLICY),
];

/// An address and a connection.
static ADDR_TOKEN: [AttrPolicy; 5] = [
    AttrPolicy::UNKNOWN,
    AttrPolicy::nested(&address::POLICY),
    AttrPolicy::UNKNOWN,
    AttrPolicy::UNKNOWN,
    AttrPolicy::U32,
];

static LIMITS: [AttrPolicy; 4] = [
    AttrPolicy::UNKNOWN,
    AttrPolicy::UNKNOWN,
    AttrPolicy::U32,
    AttrPolicy::U32,
];

static REMOVE: [AttrPolicy; 6] = [
    AttrPolicy::UNKNOWN,
    AttrPolicy::UNKNOWN,
    AttrPolicy::UNKNOWN,
    AttrPolicy::UNKNOWN,
    AttrPolicy::U32,
    AttrPolicy::U8,
];

/// The place of the group for events in [`Family::GROUPS`]. Nothing is sent to the other one, which is there
/// because it always was.
pub(super) const EVENTS: u32 = 1;

/// The kernel's view of the family.
pub(super) static CELL: Cell = Cell::new();

/// The family, for connections of the type `C`.
pub struct MptcpPm<C>(PhantomData<C>);

/// A command for those who may change something.
const fn change(
    cmd: u32,
    policy: &'static [AttrPolicy],
    run: fn(&mut Request<'_>) -> Result,
) -> Command {
    Command {
        cmd: cmd as u8,
        policy,
        admin: true,
        run,
        dump: None,
    }
}

/// A command for everybody.
const fn show(
    cmd: u32,
    policy: &'static [AttrPolicy],
    run: fn(&mut Request<'_>) -> Result,
    dump: Option<fn(&mut Dump<'_>) -> Result>,
) -> Command {
    Command {
        cmd: cmd as u8,
        policy,
        admin: false,
        run,
        dump,
    }
}

impl<C: Connections> Family for MptcpPm<C> {
    const NAME: &'static str = "mptcp_pm";
    const VERSION: u8 = bindings::MPTCP_PM_VER as u8;
    const COMMANDS: &'static [Command] = &[
        change(
            bindings::MPTCP_PM_CMD_ADD_ADDR,
            &ENDPOINT,
            endpoint::add::<C>,
        ),
        change(
            bindings::MPTCP_PM_CMD_DEL_ADDR,
            &ENDPOINT,
            endpoint::delete::<C>,
        ),
        show(
            bindings::MPTCP_PM_CMD_GET_ADDR,
            &ADDR_TOKEN,
            get::<C>,
            Some(list::<C>),
        ),
        change(
            bindings::MPTCP_PM_CMD_FLUSH_ADDRS,
            &ENDPOINT,
            endpoint::flush::<C>,
        ),
        change(
            bindings::MPTCP_PM_CMD_SET_LIMITS,
            &LIMITS,
            endpoint::set_limits,
        ),
        show(
            bindings::MPTCP_PM_CMD_GET_LIMITS,
            &LIMITS,
            endpoint::get_limits,
            None,
        ),
        change(bindings::MPTCP_PM_CMD_SET_FLAGS, &ATTRS, set_flags::<C>),
        change(
            bindings::MPTCP_PM_CMD_ANNOUNCE,
            &ADDR_TOKEN,
            user::announce::<C>,
        ),
        change(bindings::MPTCP_PM_CMD_REMOVE, &REMOVE, user::remove::<C>),
        change(
            bindings::MPTCP_PM_CMD_SUBFLOW_CREATE,
            &ATTRS,
            user::create::<C>,
        ),
        change(
            bindings::MPTCP_PM_CMD_SUBFLOW_DESTROY,
            &ATTRS,
            user::destroy::<C>,
        ),
    ];
    const GROUPS: &'static [Group] = &[
        Group {
            name: "mptcp_pm_cmds",
            admin: false,
        },
        Group {
            name: "mptcp_pm_events",
            admin: true,
        },
    ];

    fn cell() -> &'static Cell {
        &CELL
    }
}

/// Offers the family to user space, after everything that commands need.
///
/// # Errors
///
/// `EEXIST`: there is another implementation of MPTCP in this kernel. `ENOMEM`.
pub fn register<C: Connections>(module: &'static ThisModule) -> Result<Registration<MptcpPm<C>>> {
    Registration::register(module)
}

/// Says in the log if the family is somebody else's. To be asked before anything else at load: two
/// implementations of MPTCP collide in many places, and this one says why.
///
/// # Errors
///
/// As [`register`].
pub fn check<C: Connections>(module: &'static ThisModule) -> Result {
    match register::<C>(module) {
        Ok(_) => Ok(()),
        Err(err) => {
            if err == EEXIST {
                pr_err!("this kernel has another MPTCP: netlink family mptcp_pm is taken\n");
            }
            Err(err)
        }
    }
}

// Three commands mean an endpoint, or with a token an address of that connection.

fn get<C: Connections>(request: &mut Request<'_>) -> Result {
    match request.attr(TOKEN) {
        Some(token) => user::get::<C>(request, token),
        None => endpoint::get(request),
    }
}

fn list<C: Connections>(dump: &mut Dump<'_>) -> Result {
    match dump.request().attr(TOKEN) {
        Some(token) => user::list::<C>(dump, token),
        None => endpoint::list(dump),
    }
}

fn set_flags<C: Connections>(request: &mut Request<'_>) -> Result {
    match request.attr(TOKEN) {
        Some(token) => user::set_flags::<C>(request, token),
        None => endpoint::set_flags::<C>(request),
    }
}

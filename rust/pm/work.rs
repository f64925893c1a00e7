// SPDX-License-Identifier: GPL-2.0

//! What path managers do in process context, with the socket lock held: subflows are opened and closed,
//! announcements sent.

use super::manager::{dropped, note, Manager};
use super::namespace::{Namespace, Snapshot};
use super::{Connection, SubflowInfo};
use crate::netstate::Netns;
use crate::observe::mib::{self, Mib};
use crate::proto::pm::{Action, Address, Connect, Endpoint, EndpointFlags, Endpoints, Limits};
use crate::proto::pm::{PathManager, Side, Subflow, View};
use crate::sys::time::{monotonic_us, Jiffies};
use kernel::alloc::KVec;
use kernel::error::Result;
use kernel::prelude::*;

/// Room for the actions of one event: a flush of all endpoints leads to most of them, an ACK for each
/// REMOVE_ADDR and a close for each subflow; the rest is reserve.
const ACTIONS: usize = 64;

/// Receives what is to be done.
type Out<'a> = &'a mut dyn FnMut(Action);

/// When to try again what needs memory.
const RETRY: Jiffies = Jiffies::from_millis(500);

/// Does what has become due. See [`super`] for when it is called.
pub fn work(conn: &mut dyn Connection) {
    if conn.manager().has_notes() && conn.manager().need_paths().is_err() {
        // The notes stay. No other timer is set: nothing was announced.
        conn.set_timer(RETRY);
        return;
    }
    let notes = conn.manager().take_notes();
    if notes & note::ADD_ADDR != 0 {
        let user = conn.manager().is_user();
        let next = |manager: &Manager| manager.with_paths(|paths| paths.add.pop_front());
        while let Some(Some((id, addr))) = next(conn.manager()) {
            event(conn, |path, view, out| {
                if user {
                    path.echo(id, addr, out);
                } else {
                    path.on_add_addr(view, id, addr, out);
                }
            });
        }
    }
    if notes & note::RM_ADDR != 0 {
        if let Some(Some(list)) = conn.manager().with_paths(|paths| paths.rm.take()) {
            event(conn, |path, _, out| path.on_rm_addr(list.ids(), out));
        }
    }
    if notes & note::ADVANCE != 0 {
        event(conn, |path, view, out| path.on_established(view, out));
    }
    if is_due(conn.manager()) {
        event(conn, |path, view, out| path.on_timeout(view, out));
        if !conn.manager().is_user() {
            // What was sent for the last time has left: now there is room for the next.
            event(conn, |path, view, out| path.on_established(view, out));
        }
    }
    set_timer(conn);
}

/// The administrator has added an endpoint.
pub(super) fn endpoint_added(conn: &mut dyn Connection, endpoint: &Endpoint) {
    if !conn.manager().is_user() && conn.may_open() {
        event(conn, |path, view, out| {
            path.on_endpoint_added(view, endpoint, out);
        });
    }
}

/// The administrator has removed an endpoint.
pub(super) fn endpoint_removed(conn: &mut dyn Connection, endpoint: &Endpoint) {
    if !conn.manager().is_user() {
        event(conn, |path, view, out| {
            path.on_endpoint_removed(view, endpoint, out);
        });
    }
}

/// The administrator has removed the endpoint that ID 0 stands for, where it has this address.
pub(super) fn id0_removed(conn: &mut dyn Connection, addr: &Address) {
    if !conn.manager().is_user() {
        event(conn, |path, _, out| path.on_id0_removed(addr, out));
    }
}

/// The administrator has removed all endpoints.
pub(super) fn flushed(conn: &mut dyn Connection, endpoints: &Endpoints) {
    if !conn.manager().is_user() {
        event(conn, |path, view, out| path.on_flush(view, endpoints, out));
    }
}

/// The administrator has changed flags of an endpoint, which is now like this.
pub(super) fn flags_changed(
    conn: &mut dyn Connection,
    endpoint: &Endpoint,
    changed: EndpointFlags,
) {
    if !conn.manager().is_user() {
        event(conn, |path, view, out| {
            path.on_flags_changed(view, endpoint, changed, out);
        });
    }
}

/// Tells the path manager of an event, and does what it asks for.
pub(super) fn event(
    conn: &mut dyn Connection,
    event: impl FnOnce(&mut PathManager, &View<'_>, Out<'_>),
) {
    // Without memory nothing is done, as if the event had never come.
    let _ = try_event(conn, event);
}

fn try_event(
    conn: &mut dyn Connection,
    event: impl FnOnce(&mut PathManager, &View<'_>, Out<'_>),
) -> Result {
    conn.manager().need_paths()?;
    let subflows = active(conn)?;
    let config = config(conn);
    let mut actions: KVec<Action> = KVec::with_capacity(ACTIONS, GFP_KERNEL)?;
    let timeout = add_addr_timeout(conn);
    conn.manager().with_paths(|paths| {
        let view = view(&config, &subflows, timeout);
        event(&mut paths.path, &view, &mut |action| {
            let _ = actions.push(action, GFP_ATOMIC);
        });
    });
    let mut failed: KVec<Connect> = KVec::new();
    for action in actions.iter() {
        if let Action::Connect(connect) = action {
            if !conn.may_open() || conn.open(connect).is_err() {
                failed.push(*connect, GFP_KERNEL)?;
            }
        } else {
            perform(conn, action);
        }
    }
    if !failed.is_empty() {
        let subflows = active(conn)?;
        conn.manager().with_paths(|paths| {
            let view = view(&config, &subflows, timeout);
            for connect in failed.iter() {
                paths.path.on_connect_failed(&view, connect);
            }
        });
    }
    set_timer(conn);
    Ok(())
}

fn perform(conn: &mut dyn Connection, action: &Action) {
    match *action {
        Action::Connect(_) => {}
        Action::Close(side, id) => {
            let closed = conn.close(&|subflow| match side {
                Side::Local => subflow.local_id == id,
                Side::Remote => subflow.remote_id == id,
            });
            match side {
                Side::Local => mib::add(conn.net(), Mib::RmSubflow, closed),
                Side::Remote => mib::inc(conn.net(), Mib::RmAddr),
            }
        }
        Action::SendAck => send_signals(conn),
        Action::Prio { local, backup } => {
            conn.send_prio(&|subflow| local.matches(&subflow.local()), backup);
        }
        Action::Dropped(signal) => dropped(conn.net(), &signal),
    }
}

/// Sends an ACK for each kind of signal that waits. REMOVE_ADDR had better not take the path that goes away.
pub(super) fn send_signals(conn: &mut dyn Connection) {
    for _ in 0..3 {
        if !conn.manager().has_signal() {
            return;
        }
        let removing = conn
            .manager()
            .with_paths(|paths| paths.path.signals().removing().copied())
            .flatten();
        let stays = |subflow: &SubflowInfo| {
            !removing.is_some_and(|list| list.ids().contains(&subflow.local_id))
        };
        if !conn.send_ack(&stays) && !(removing.is_some() && conn.send_ack(&|_| true)) {
            return;
        }
    }
}

/// The subflows that connect or are connected.
fn active(conn: &mut dyn Connection) -> Result<KVec<Subflow>> {
    let mut subflows = KVec::with_capacity(8, GFP_KERNEL)?;
    let mut result = Ok(());
    conn.for_each(&mut |info| {
        if info.active && result.is_ok() {
            let subflow = Subflow {
                local_id: info.local_id,
                remote_id: info.remote_id,
                local: info.local(),
                remote: info.remote(),
            };
            result = subflows.push(subflow, GFP_KERNEL);
        }
    });
    result?;
    Ok(subflows)
}

/// What the manager goes by. One in user space goes by its commands, not by endpoints and limits.
fn config(conn: &dyn Connection) -> Snapshot {
    if conn.manager().is_user() {
        return Snapshot {
            endpoints: Endpoints::new(),
            limits: Limits::default(),
        };
    }
    Namespace::of(conn.net()).snapshot()
}

fn view<'a>(config: &'a Snapshot, subflows: &'a [Subflow], add_addr_timeout: u64) -> View<'a> {
    View {
        endpoints: &config.endpoints,
        limits: config.limits,
        subflows,
        now: now_ms(),
        add_addr_timeout,
    }
}

fn now_ms() -> u64 {
    monotonic_us() / 1000
}

fn add_addr_timeout(conn: &dyn Connection) -> u64 {
    let sysctls = &conn.net().state::<Netns>().sysctls;
    sysctls.add_addr_timeout().as_millis()
}

/// When an announcement is to be sent again.
fn next_timeout(manager: &Manager) -> Option<u64> {
    manager.with_paths(|paths| paths.path.next_timeout())?
}

fn is_due(manager: &Manager) -> bool {
    next_timeout(manager).is_some_and(|due| due <= now_ms())
}

fn set_timer(conn: &mut dyn Connection) {
    if let Some(due) = next_timeout(conn.manager()) {
        let ms = due.saturating_sub(now_ms());
        conn.set_timer(Jiffies::from_millis(ms.try_into().unwrap_or(u32::MAX)));
    }
}

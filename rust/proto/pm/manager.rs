// SPDX-License-Identifier: GPL-2.0

//! What one connection makes of endpoints, limits and the peer's announcements.
//!
//! An endpoint is *used* once: announced, or tried as a source of subflows. It becomes usable again when
//! it is removed. Addresses are announced one at a time, the next when the peer has echoed the last.
//!
//! The address of the first subflow has ID 0, whatever endpoint it is.

mod user;

use super::announce::{Announcements, Resent, Signal, Signals};
use super::endpoints::{Endpoints, ADDR_MAX};
use super::{Action, Address, Connect, Endpoint, EndpointFlags, Families, IdSet, Limits, Local};
use super::{Side, Subflow};

/// What the path manager looks at, as it is at the time of an event.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The namespace's endpoints.
    pub endpoints: &'a Endpoints,
    /// The namespace's limits.
    pub limits: Limits,
    /// The connection's subflows, those that connect included, those that close not.
    pub subflows: &'a [Subflow],
    /// The time, in milliseconds.
    pub now: u64,
    /// `net.mptcp.add_addr_timeout` in milliseconds; 0: ADD_ADDR is sent once.
    pub add_addr_timeout: u64,
}

/// Receives what is to be done.
type Out<'a> = &'a mut dyn FnMut(Action);

/// The path manager of a connection.
#[derive(Clone, Copy, Debug)]
pub struct PathManager {
    local: Address,
    remote: Address,
    families: Families,
    /// The IDs of endpoints that were used.
    used: IdSet,
    /// The endpoint that the first subflow's address is, 0 if none.
    first_endpoint: u8,
    first_known: bool,
    /// The peer's address IDs that led to subflows.
    accepted: IdSet,
    deny_join_id0: bool,
    subflows: u8,
    local_addr_used: u8,
    add_addr_signaled: u8,
    announced: Announcements,
    signals: Signals,
}

impl PathManager {
    /// The path manager of a connection whose first subflow goes from `local` to `remote`.
    pub const fn new(local: Address, remote: Address, families: Families) -> Self {
        Self {
            local,
            remote,
            families,
            used: IdSet::new(),
            first_endpoint: 0,
            first_known: false,
            accepted: IdSet::new(),
            deny_join_id0: false,
            subflows: 0,
            local_addr_used: 0,
            add_addr_signaled: 0,
            announced: Announcements::new(),
            signals: Signals::NONE,
        }
    }

    /// Subflows beside the first one, those that connect included (`mptcpi_subflows`).
    pub const fn subflows(&self) -> u8 {
        self.subflows
    }

    /// Endpoints that were tried as sources of subflows (`mptcpi_local_addr_used`).
    pub const fn local_addr_used(&self) -> u8 {
        self.local_addr_used
    }

    /// Addresses that are announced (`mptcpi_add_addr_signal`).
    pub const fn add_addr_signaled(&self) -> u8 {
        self.add_addr_signaled
    }

    /// Announced addresses of the peer that are in use (`mptcpi_add_addr_accepted`).
    pub fn add_addr_accepted(&self) -> u8 {
        u8::try_from(self.accepted.count()).unwrap_or(u8::MAX)
    }

    /// Announcements that wait for a segment.
    #[inline]
    pub fn signals(&mut self) -> &mut Signals {
        &mut self.signals
    }

    /// The addresses that were announced.
    pub const fn announced(&self) -> &Announcements {
        &self.announced
    }

    /// When [`PathManager::on_timeout`] has something to do, in milliseconds.
    pub fn next_timeout(&self) -> Option<u64> {
        self.announced.next_due()
    }

    /// The peer's "C" flag: its first address is not for further subflows.
    pub fn deny_join_id0(&mut self) {
        self.deny_join_id0 = true;
    }

    /// The ID by which the peer knows an endpoint.
    pub const fn wire_id(&self, endpoint: u8) -> u8 {
        if endpoint == self.first_endpoint {
            0
        } else {
            endpoint
        }
    }

    /// Whether the peer may open another subflow.
    pub const fn may_join(&self, limits: Limits) -> bool {
        limits.admit(self.subflows)
    }

    /// The peer opens another subflow. Whether it may; then it counts.
    #[must_use]
    pub fn on_join(&mut self, limits: Limits) -> bool {
        if !self.may_join(limits) {
            return false;
        }
        self.subflows = self.subflows.saturating_add(1);
        true
    }

    /// The connection is fully established, or a further subflow is, or something has made room for the next: go
    /// on. Only to be called while the connection is open; afterwards nothing is to be opened.
    pub fn on_established(&mut self, view: &View<'_>, out: Out<'_>) {
        self.advance(view, out);
    }

    /// A subflow could not even be tried: it counts no more. All actions of the event that asked for it
    /// have been carried out.
    pub fn on_connect_failed(&mut self, view: &View<'_>, connect: &Connect) {
        self.subflows = self.subflows.saturating_sub(1);
        let id = connect.remote_id;
        if !view.subflows.iter().any(|subflow| subflow.remote_id == id) {
            self.accepted.remove(id);
        }
    }

    /// ADD_ADDR arrived, its HMAC was right.
    pub fn on_add_addr(&mut self, view: &View<'_>, id: u8, addr: Address, out: Out<'_>) {
        self.echo(id, addr, out);
        if id == 0 && !addr.matches(&self.remote) {
            // The address of ID 0 is known, and it is not this one.
            return;
        }
        if id != 0 && !self.accepts_addr(view) && !self.only_announced_remotes(view) {
            return;
        }
        if view
            .subflows
            .iter()
            .any(|subflow| addr.matches(&subflow.remote))
        {
            return;
        }
        let remote = match addr.port() {
            0 => addr.with_port(self.remote.port()),
            _ => addr,
        };
        if self.connect_to(view, id, remote, out) && id != 0 {
            self.accepted.insert(id);
        }
    }

    /// The echo of an ADD_ADDR arrived, or no segment will ever have room for it: the announcement is not sent again.
    /// Whether there was one; then [`PathManager::on_established`] is to be called soon, for the next.
    pub fn settle(&mut self, id: u8, addr: &Address) -> bool {
        self.announced.settle(id, addr)
    }

    /// A further subflow is closed: it counts no more. [`PathManager::on_established`] is to be called soon.
    pub fn discount(&mut self) {
        self.subflows = self.subflows.saturating_sub(1);
    }

    /// REMOVE_ADDR arrived.
    pub fn on_rm_addr(&mut self, ids: &[u8], out: Out<'_>) {
        for &id in ids {
            self.accepted.remove(id);
            out(Action::Close(Side::Remote, id));
        }
    }

    /// It is [`PathManager::next_timeout`].
    pub fn on_timeout(&mut self, view: &View<'_>, out: Out<'_>) {
        for _ in 0..ADDR_MAX {
            let resent = self
                .announced
                .resend(view.now, view.add_addr_timeout, &mut self.signals);
            match resent {
                None => break,
                Some(Resent::Busy) => {}
                Some(Resent::Again) => out(Action::SendAck),
                Some(Resent::Last) => {
                    out(Action::SendAck);
                    self.advance(view, out);
                }
            }
        }
    }

    /// The administrator added an endpoint, which is in the view.
    pub fn on_endpoint_added(&mut self, view: &View<'_>, endpoint: &Endpoint, out: Out<'_>) {
        if endpoint.addr.matches(&self.local) {
            self.first_endpoint = endpoint.id;
        }
        self.advance(view, out);
    }

    /// The administrator removed an endpoint, which is no longer in the view.
    pub fn on_endpoint_removed(&mut self, view: &View<'_>, endpoint: &Endpoint, out: Out<'_>) {
        let id = self.wire_id(endpoint.id);
        let source = is_source(view, endpoint);
        let implicit = endpoint.flags.contains(EndpointFlags::IMPLICIT);
        let announced = self.withdraw(&endpoint.addr);
        if announced || (source && !implicit) {
            self.signal_rm(id, out);
        }
        if source {
            out(Action::Close(Side::Local, id));
        }
        if endpoint.flags.contains(EndpointFlags::SUBFLOW) {
            self.make_available(id);
        } else {
            self.used.remove(endpoint.id);
        }
        if self.first_endpoint == endpoint.id {
            self.first_endpoint = 0;
        }
    }

    /// The administrator removed "the endpoint with ID 0" of this address: the first subflow's.
    pub fn on_id0_removed(&mut self, addr: &Address, out: Out<'_>) {
        if !addr.matches(&self.local) {
            return;
        }
        self.withdraw(&self.local.with_port(0));
        self.signal_rm(0, out);
        out(Action::Close(Side::Local, 0));
        self.make_available(0);
    }

    /// The administrator removed all endpoints: those of `flushed`.
    pub fn on_flush(&mut self, view: &View<'_>, flushed: &Endpoints, out: Out<'_>) {
        for endpoint in flushed.iter() {
            if self.withdraw(&endpoint.addr) {
                self.signal_rm(self.wire_id(endpoint.id), out);
            }
        }
        for endpoint in flushed.iter().filter(|ep| is_source(view, ep)) {
            out(Action::Close(Side::Local, self.wire_id(endpoint.id)));
        }
        self.used.clear();
        self.local_addr_used = 0;
    }

    /// The administrator changed flags of an endpoint, which is in the view as it is now.
    pub fn on_flags_changed(
        &mut self,
        view: &View<'_>,
        endpoint: &Endpoint,
        changed: EndpointFlags,
        out: Out<'_>,
    ) {
        if changed.contains(EndpointFlags::BACKUP) {
            out(Action::Prio {
                local: endpoint.addr,
                backup: endpoint.flags.contains(EndpointFlags::BACKUP),
            });
        }
        if changed.contains(EndpointFlags::FULLMESH) {
            let id = self.wire_id(endpoint.id);
            self.make_available(id);
            if view.subflows.iter().any(|subflow| subflow.local_id == id) {
                // Its subflows are opened again when these are closed.
                out(Action::Close(Side::Local, id));
            } else {
                self.advance(view, out);
            }
        }
    }

    /// Echoes an ADD_ADDR without opening subflows: what a connection whose path manager is in user
    /// space does.
    pub fn echo(&mut self, id: u8, addr: Address, out: Out<'_>) {
        if self.signals.put_echo(id, addr) {
            out(Action::SendAck);
        } else {
            out(Action::Dropped(Signal::Echo { id, addr }));
        }
    }

    fn withdraw(&mut self, addr: &Address) -> bool {
        let announced = self.announced.remove(addr).is_some();
        if announced {
            self.add_addr_signaled = self.add_addr_signaled.saturating_sub(1);
        }
        announced
    }

    fn signal_rm(&mut self, id: u8, out: Out<'_>) {
        if self.signals.put_rm(id) {
            out(Action::SendAck);
        } else {
            let list = super::super::option::RmAddr::new(id);
            out(Action::Dropped(Signal::RmAddr(list)));
        }
    }

    /// An endpoint can be used again. `id` is its ID on the wire.
    fn make_available(&mut self, id: u8) {
        let endpoint = if id == 0 { self.first_endpoint } else { id };
        if self.used.remove(endpoint) && id != 0 {
            self.local_addr_used = self.local_addr_used.saturating_sub(1);
        }
    }

    fn accepts_addr(&self, view: &View<'_>) -> bool {
        self.add_addr_accepted() < view.limits.add_addr_accepted
            && self.subflows < view.limits.subflows
    }

    /// The peer's first address is not for further subflows, and by the limits nothing announced is
    /// either: then one announced address is, or the endpoints here would never be of use.
    fn only_announced_remotes(&self, view: &View<'_>) -> bool {
        self.deny_join_id0
            && self.local_addr_used == 0
            && view.limits.add_addr_accepted == 0
            && self.subflows < view.limits.subflows
    }

    /// Announces the next address, and opens what subflows can be.
    fn advance(&mut self, view: &View<'_>, out: Out<'_>) {
        self.know_first(view, out);
        let announced = match self.announce_next(view, out) {
            Ok(announced) => announced,
            Err(()) => return,
        };
        // An endpoint that was announced and is a source of subflows is used at once for both.
        let mut both = announced.filter(|ep| ep.flags.contains(EndpointFlags::SUBFLOW));
        if !self.only_announced_remotes(view) {
            let sources = view.endpoints.count(EndpointFlags::SUBFLOW);
            while usize::from(self.local_addr_used) < sources
                && self.subflows < view.limits.subflows
            {
                let next = both.take();
                let Some(endpoint) = next.or_else(|| self.unused(view, EndpointFlags::SUBFLOW))
                else {
                    break;
                };
                self.connect_from(view, &endpoint, out);
            }
        }
        if let Some(endpoint) = both {
            if endpoint.id != self.first_endpoint {
                self.local_addr_used = self.local_addr_used.saturating_add(1);
            }
        }
    }

    /// Finds out, once, which endpoint the first subflow's address is: it is in use, and its flags apply.
    fn know_first(&mut self, view: &View<'_>, out: Out<'_>) {
        if self.first_known {
            return;
        }
        self.first_known = true;
        let Some(endpoint) = view.endpoints.by_addr(&self.local) else {
            return;
        };
        self.used.insert(endpoint.id);
        self.first_endpoint = endpoint.id;
        if endpoint.flags.contains(EndpointFlags::BACKUP) {
            out(Action::Prio {
                local: self.local,
                backup: true,
            });
        }
    }

    fn unused(&self, view: &View<'_>, flags: EndpointFlags) -> Option<Endpoint> {
        view.endpoints
            .iter()
            .find(|ep| ep.flags.contains(flags) && !self.used.contains(ep.id))
            .copied()
    }

    /// Announces one address, if one is left. [`Err`]: not now, and nothing else either.
    fn announce_next(&mut self, view: &View<'_>, out: Out<'_>) -> Result<Option<Endpoint>, ()> {
        let limit = view.endpoints.count(EndpointFlags::SIGNAL);
        if usize::from(self.add_addr_signaled) >= limit {
            return Ok(None);
        }
        if self.signals.has_add() {
            return Err(());
        }
        let Some(endpoint) = self.unused(view, EndpointFlags::SIGNAL) else {
            return Ok(None);
        };
        if !self.announce(view, self.wire_id(endpoint.id), endpoint.addr, out) {
            return Err(());
        }
        self.used.insert(endpoint.id);
        Ok(Some(endpoint))
    }

    /// Opens subflows from an endpoint: to the peer's first address, or with fullmesh to all known ones.
    fn connect_from(&mut self, view: &View<'_>, endpoint: &Endpoint, out: Out<'_>) {
        self.used.insert(endpoint.id);
        let id = self.wire_id(endpoint.id);
        if id != 0 {
            self.local_addr_used = self.local_addr_used.saturating_add(1);
        }
        let local = local_of(endpoint, id);
        if !endpoint.flags.contains(EndpointFlags::FULLMESH) {
            if !self.deny_join_id0 {
                self.connect(view, Some(local), 0, self.remote, out);
            }
            return;
        }
        let mut known = IdSet::new();
        for subflow in view.subflows.iter().filter(|s| s.local_id == id) {
            known.insert(subflow.remote_id);
        }
        for subflow in view.subflows {
            if (self.deny_join_id0 && subflow.remote_id == 0)
                || known.contains(subflow.remote_id)
                || self.subflows >= view.limits.subflows
            {
                continue;
            }
            if self.connect(view, Some(local), subflow.remote_id, subflow.remote, out) {
                known.insert(subflow.remote_id);
            }
        }
    }

    /// Opens subflows to an announced address: from every fullmesh endpoint, or from where routing says.
    /// Whether there was one.
    fn connect_to(&mut self, view: &View<'_>, id: u8, remote: Address, out: Out<'_>) -> bool {
        let only = id != 0 && self.only_announced_remotes(view);
        let mut any = false;
        for endpoint in view.endpoints.iter() {
            if !endpoint.flags.contains(EndpointFlags::FULLMESH)
                || self.subflows >= view.limits.subflows
            {
                continue;
            }
            let first = endpoint.addr.matches(&self.local);
            let local = local_of(endpoint, if first { 0 } else { endpoint.id });
            if !self.connect(view, Some(local), id, remote, out) {
                continue;
            }
            any = true;
            if only && endpoint.flags.contains(EndpointFlags::SUBFLOW) {
                self.used.insert(endpoint.id);
                if !first {
                    self.local_addr_used = self.local_addr_used.saturating_add(1);
                }
            }
        }
        if any {
            return true;
        }
        if only {
            return self.connect_sources_to(view, id, remote, out);
        }
        self.connect(view, None, id, remote, out)
    }

    /// Opens subflows to an announced address from the endpoints that are meant for the peer's first.
    fn connect_sources_to(
        &mut self,
        view: &View<'_>,
        id: u8,
        remote: Address,
        out: Out<'_>,
    ) -> bool {
        let sources = view.endpoints.count(EndpointFlags::SUBFLOW);
        let mut any = false;
        while usize::from(self.local_addr_used) < sources && self.subflows < view.limits.subflows {
            let Some(endpoint) = self.unused(view, EndpointFlags::SUBFLOW) else {
                break;
            };
            self.used.insert(endpoint.id);
            if endpoint.addr.matches(&self.local) {
                continue;
            }
            let local = local_of(&endpoint, endpoint.id);
            if self.connect(view, Some(local), id, remote, out) {
                self.local_addr_used = self.local_addr_used.saturating_add(1);
                any = true;
            }
        }
        any
    }

    /// Opens a subflow, if the families of its addresses go together.
    fn connect(
        &mut self,
        view: &View<'_>,
        local: Option<Local>,
        remote_id: u8,
        remote: Address,
        out: Out<'_>,
    ) -> bool {
        let from = local.map_or(remote.ip(), |local| local.addr.ip());
        if !self.families.allow(from, remote.ip()) || self.subflows >= view.limits.subflows {
            return false;
        }
        self.subflows = self.subflows.saturating_add(1);
        out(Action::Connect(Connect {
            local,
            remote_id,
            remote,
        }));
        true
    }
}

fn local_of(endpoint: &Endpoint, id: u8) -> Local {
    Local {
        id,
        addr: endpoint.addr,
        ifindex: endpoint.ifindex,
        backup: endpoint.flags.contains(EndpointFlags::BACKUP),
    }
}

/// Whether a subflow comes from this endpoint.
fn is_source(view: &View<'_>, endpoint: &Endpoint) -> bool {
    view.subflows
        .iter()
        .any(|subflow| endpoint.addr.matches(&subflow.local))
}

// SPDX-License-Identifier: GPL-2.0

//! Endpoints and limits: what `ip mptcp` configures, one of each per network namespace.

use crate::netstate::Netns;
use crate::proto::pm::ADDR_MAX;
use crate::proto::pm::{Address, Endpoint, EndpointError, EndpointFlags, Endpoints, IdSet, Limits};
use crate::sys::listener::Listener;
use crate::sys::net::Net;
use crate::sys::spin::{Class, Spin};
use core::sync::atomic::{AtomicBool, Ordering};

/// Subflows beside the first that a connection may have if nobody says otherwise.
const SUBFLOWS_DEFAULT: u8 = 2;

/// What a connection looks at.
#[derive(Clone)]
pub struct Snapshot {
    /// The endpoints.
    pub endpoints: Endpoints,
    /// The limits.
    pub limits: Limits,
}

struct Config {
    now: Snapshot,
    /// The IDs of endpoints that were given as IPv4 addresses mapped into IPv6: they are shown so.
    mapped: IdSet,
    /// The sockets of endpoints that have a port, with their IDs.
    listeners: Listeners,
}

type Listeners = [Option<(u8, Listener)>; ADDR_MAX];

/// The path manager's part of a network namespace.
pub struct Namespace {
    config: Spin<Config>,
    /// Whether a new connection has anything to do with the endpoints.
    busy: AtomicBool,
}

impl Namespace {
    /// No endpoints, and the default limits.
    pub fn new() -> Self {
        let now = Snapshot {
            endpoints: Endpoints::new(),
            limits: Limits {
                subflows: SUBFLOWS_DEFAULT,
                add_addr_accepted: 0,
            },
        };
        let config = Config {
            now,
            mapped: IdSet::new(),
            listeners: Listeners::default(),
        };
        Self {
            config: Spin::new(config, Class::Endpoints),
            busy: AtomicBool::new(false),
        }
    }

    /// That of `net`. Not before the module's init is through: see [`Net::state`].
    #[inline]
    pub fn of(net: &Net) -> &Self {
        &net.state::<Netns>().pm
    }

    /// Whether endpoints are to be announced or to be sources of subflows. Without that, connections have nothing
    /// to do when they begin. Cheap.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    fn update(&self, config: &Config) {
        let Snapshot { endpoints, limits } = &config.now;
        let busy = endpoints.count(EndpointFlags::SIGNAL) > 0
            || (endpoints.count(EndpointFlags::SUBFLOW) > 0 && limits.subflows > 0);
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// Endpoints and limits as they are now.
    pub fn snapshot(&self) -> Snapshot {
        self.config.lock().now.clone()
    }

    /// The limits as they are now.
    pub fn limits(&self) -> Limits {
        self.config.lock().now.limits
    }

    /// Changes the limits.
    pub fn set_limits(&self, change: impl FnOnce(&mut Limits)) {
        let mut config = self.config.lock();
        change(&mut config.now.limits);
        self.update(&config);
    }

    /// Adds an endpoint; see [`Endpoints::add`]. `mapped`: its address is to be shown mapped into IPv6.
    /// `listener` is taken if that succeeds.
    ///
    /// # Errors
    ///
    /// Those of [`Endpoints::add`]; nothing was changed.
    pub fn add(
        &self,
        endpoint: Endpoint,
        mapped: bool,
        listener: &mut Option<Listener>,
    ) -> Result<Endpoint, EndpointError> {
        let mut config = self.config.lock();
        let added = config.now.endpoints.add(endpoint)?;
        if mapped {
            config.mapped.insert(added.id);
        } else {
            config.mapped.remove(added.id);
        }
        if let Some(slot) = config.listeners.iter_mut().find(|slot| slot.is_none()) {
            *slot = listener.take().map(|listener| (added.id, listener));
        }
        self.update(&config);
        Ok(added)
    }

    /// Takes out the endpoint with this ID, and its listener, which is to be dropped after it was used.
    pub fn remove(&self, id: u8) -> Option<(Endpoint, Option<Listener>)> {
        let mut config = self.config.lock();
        let removed = config.now.endpoints.remove(id)?;
        self.update(&config);
        config.mapped.remove(id);
        let mut slots = config.listeners.iter_mut();
        let slot = slots.find(|slot| matches!(slot, Some((of, _)) if *of == id));
        let listener = slot.and_then(|slot| slot.take());
        Some((removed, listener.map(|(_, listener)| listener)))
    }

    /// Takes out all endpoints, and their listeners.
    pub fn flush(&self) -> (Endpoints, impl Sized) {
        let mut config = self.config.lock();
        config.mapped.clear();
        let listeners = core::mem::take(&mut config.listeners);
        let flushed = config.now.endpoints.flush();
        self.update(&config);
        (flushed, listeners)
    }

    /// Changes flags; see [`Endpoints::set_flags`].
    ///
    /// # Errors
    ///
    /// Those of [`Endpoints::set_flags`]; nothing was changed.
    pub fn set_flags(
        &self,
        which: &Endpoint,
        flags: EndpointFlags,
    ) -> Result<(Endpoint, EndpointFlags), EndpointError> {
        self.config.lock().now.endpoints.set_flags(which, flags)
    }

    /// The ID of local address `addr`; see [`Endpoints::local_id`].
    ///
    /// # Errors
    ///
    /// [`EndpointError`]: there is no room for another one.
    pub fn local_id(&self, addr: &Address, ifindex: i32) -> Result<u8, EndpointError> {
        self.config.lock().now.endpoints.local_id(addr, ifindex)
    }

    /// Whether a local address is an endpoint for backup subflows.
    pub fn is_backup(&self, addr: &Address) -> bool {
        let config = self.config.lock();
        let endpoint = config.now.endpoints.by_addr(addr);
        endpoint.is_some_and(|endpoint| endpoint.flags.contains(EndpointFlags::BACKUP))
    }

    /// The endpoint with this ID, and whether it is to be shown mapped into IPv6.
    pub fn by_id(&self, id: u8) -> Option<(Endpoint, bool)> {
        let config = self.config.lock();
        let endpoint = config.now.endpoints.by_id(id)?;
        Some((*endpoint, config.mapped.contains(id)))
    }

    /// As [`Namespace::by_id`], for the endpoint with the lowest ID above `id`.
    pub fn next_id(&self, id: u8) -> Option<(Endpoint, bool)> {
        let config = self.config.lock();
        let endpoints = config.now.endpoints.iter();
        let next = endpoints.filter(|ep| ep.id > id).min_by_key(|ep| ep.id)?;
        Some((*next, config.mapped.contains(next.id)))
    }
}

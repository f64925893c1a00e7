// SPDX-License-Identifier: GPL-2.0

//! The endpoints of a network namespace: `ip mptcp endpoint`.

use super::{Address, Endpoint, EndpointFlags, IdSet};

/// The most endpoints that a namespace can have.
pub const ADDR_MAX: usize = 8;

/// Why the table was not changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndpointError {
    /// EINVAL: the flags contradict each other or the port, or no ID is left.
    Invalid,
    /// EEXIST: the address is there already.
    Exists,
    /// EBUSY: the ID is in use.
    Busy,
    /// ERANGE: there are [`ADDR_MAX`] endpoints.
    Full,
    /// EINVAL: there is no such endpoint.
    NotFound,
}

/// Which endpoint is meant.
type Which = fn(&Endpoint, &Endpoint) -> bool;

/// The endpoints of a namespace, in the order in which they are used.
#[derive(Clone, Debug)]
pub struct Endpoints<const N: usize = ADDR_MAX> {
    table: [Option<Endpoint>; N],
    ids: IdSet,
    /// The highest ID given so far: IDs are not used again at once.
    next_id: u8,
}

impl<const N: usize> Default for Endpoints<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Endpoints<N> {
    /// No endpoints.
    pub const fn new() -> Self {
        Self {
            table: [None; N],
            ids: IdSet::new(),
            next_id: 1,
        }
    }

    /// The endpoints, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.table.iter().flatten()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// How many have these flags.
    pub fn count(&self, flags: EndpointFlags) -> usize {
        self.iter().filter(|ep| ep.flags.contains(flags)).count()
    }

    /// The endpoint with this ID.
    pub fn by_id(&self, id: u8) -> Option<&Endpoint> {
        self.iter().find(|endpoint| endpoint.id == id)
    }

    /// The first endpoint that is this address, on the same port if the endpoint has one.
    pub fn by_addr(&self, addr: &Address) -> Option<&Endpoint> {
        self.iter().find(|endpoint| endpoint.addr.matches(addr))
    }

    /// Checks what the administrator may ask for.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Invalid`].
    pub fn check(endpoint: &Endpoint) -> Result<(), EndpointError> {
        let flags = endpoint.flags;
        let source = flags.contains(EndpointFlags::SUBFLOW);
        let signal = flags.contains(EndpointFlags::SIGNAL);
        if (endpoint.addr.port() != 0 && (source || !signal))
            || (signal && flags.contains(EndpointFlags::FULLMESH))
            || flags.contains(EndpointFlags::IMPLICIT)
        {
            return Err(EndpointError::Invalid);
        }
        Ok(())
    }

    /// Adds an endpoint, and gives it an ID if it has none. An implicit one with the same address gives
    /// way, and leaves its ID.
    ///
    /// # Errors
    ///
    /// [`EndpointError`]; nothing was changed.
    pub fn add(&mut self, endpoint: Endpoint) -> Result<Endpoint, EndpointError> {
        Self::check(&endpoint)?;
        self.append(endpoint)
    }

    /// The ID of local address `addr`. One that is no endpoint becomes an implicit endpoint.
    ///
    /// # Errors
    ///
    /// [`EndpointError`]: there is no room for another one.
    pub fn local_id(&mut self, addr: &Address, ifindex: i32) -> Result<u8, EndpointError> {
        if let Some(endpoint) = self.by_addr(addr) {
            return Ok(endpoint.id);
        }
        self.append(Endpoint {
            id: 0,
            addr: addr.with_port(0),
            flags: EndpointFlags::IMPLICIT,
            ifindex,
        })
        .map(|endpoint| endpoint.id)
    }

    fn append(&mut self, mut endpoint: Endpoint) -> Result<Endpoint, EndpointError> {
        if self.len() >= N {
            return Err(EndpointError::Full);
        }
        if endpoint.id != 0 && self.ids.contains(endpoint.id) {
            return Err(EndpointError::Busy);
        }
        let same = self.iter().find(|old| old.addr == endpoint.addr).copied();
        if let Some(old) = same {
            if !old.flags.contains(EndpointFlags::IMPLICIT) {
                return Err(EndpointError::Exists);
            }
            if endpoint.id != 0 {
                return Err(EndpointError::Invalid);
            }
            self.remove(old.id);
            endpoint.id = old.id;
        }
        if endpoint.id == 0 {
            endpoint.id = self.free_id().ok_or(EndpointError::Invalid)?;
        }
        self.ids.insert(endpoint.id);
        self.next_id = self.next_id.max(endpoint.id);
        // Those with a port come first: they say more about an address.
        let mut at = if endpoint.addr.port() != 0 {
            0
        } else {
            self.len()
        };
        let mut moving = Some(endpoint);
        while moving.is_some() {
            let Some(slot) = self.table.get_mut(at) else {
                break;
            };
            core::mem::swap(slot, &mut moving);
            at = at.saturating_add(1);
        }
        Ok(endpoint)
    }

    fn free_id(&mut self) -> Option<u8> {
        if self.next_id == u8::MAX {
            self.next_id = 1;
        }
        self.ids
            .first_free(self.next_id)
            .or_else(|| self.ids.first_free(1))
    }

    /// Takes the endpoint with this ID out.
    pub fn remove(&mut self, id: u8) -> Option<Endpoint> {
        let at = self
            .table
            .iter()
            .position(|slot| slot.is_some_and(|endpoint| endpoint.id == id))?;
        let removed = self.table.get_mut(at)?.take();
        if let Some(behind) = self.table.get_mut(at..) {
            behind.rotate_left(1);
        }
        self.ids.remove(id);
        removed
    }

    /// Takes all endpoints out.
    pub fn flush(&mut self) -> Self {
        core::mem::take(self)
    }

    /// Sets or clears backup and fullmesh of the endpoint that `which` names: by ID, or if that is 0, by
    /// address. Gives back the endpoint as it is now, and what changed.
    ///
    /// # Errors
    ///
    /// [`EndpointError`]; nothing was changed.
    pub fn set_flags(
        &mut self,
        which: &Endpoint,
        flags: EndpointFlags,
    ) -> Result<(Endpoint, EndpointFlags), EndpointError> {
        const MASK: u8 = EndpointFlags::BACKUP.0 | EndpointFlags::FULLMESH.0;
        const NO_MESH: u8 = EndpointFlags::SIGNAL.0 | EndpointFlags::IMPLICIT.0;
        let is_meant: Which = match which.id {
            0 => |endpoint, which| endpoint.addr.matches(&which.addr),
            _ => |endpoint, which| endpoint.id == which.id,
        };
        let endpoint = self
            .table
            .iter_mut()
            .flatten()
            .find(|endpoint| is_meant(endpoint, which))
            .ok_or(EndpointError::NotFound)?;
        if flags.contains(EndpointFlags::FULLMESH) && endpoint.flags.0 & NO_MESH != 0 {
            return Err(EndpointError::Invalid);
        }
        let changed = (endpoint.flags.0 ^ flags.0) & MASK;
        endpoint.flags = EndpointFlags(endpoint.flags.0 ^ changed);
        Ok((*endpoint, EndpointFlags(changed)))
    }
}

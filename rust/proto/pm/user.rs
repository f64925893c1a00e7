// SPDX-License-Identifier: GPL-2.0

//! The local addresses of a connection whose path manager is in user space.
//!
//! No endpoint gives these addresses their IDs: commands do, and subflows that the peer opens to an address
//! that no command has named. An address, with its port, has one ID, and an ID one address.

use super::super::storage::{Ring, Storage};
use super::{Address, Endpoint, EndpointError, EndpointFlags, IdSet};

/// Addresses and their IDs, in the order in which they came.
#[derive(Debug, Default)]
pub struct LocalAddrs<S> {
    table: Ring<Endpoint, S>,
}

impl<S: Storage<Endpoint>> LocalAddrs<S> {
    /// No address, in memory that `storage` lends.
    pub const fn new(storage: S) -> Self {
        Self {
            table: Ring::new(storage),
        }
    }

    /// The addresses, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.table.iter()
    }

    /// How many there are (`mptcpi_local_addr_used`).
    pub fn count(&self) -> u8 {
        u8::try_from(self.table.len()).unwrap_or(u8::MAX)
    }

    /// The address with this ID.
    pub fn by_id(&self, id: u8) -> Option<&Endpoint> {
        self.iter().find(|entry| entry.id == id)
    }

    /// The first entry that is this address, on whatever port.
    pub fn by_addr(&self, addr: &Address) -> Option<&Endpoint> {
        self.iter().find(|entry| entry.addr.ip() == addr.ip())
    }

    /// A command names an address and its ID, which may be 0. Nothing changes if both are known.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Invalid`] if one of them belongs to another, [`EndpointError::Full`] without memory.
    pub fn add(&mut self, entry: Endpoint) -> Result<(), EndpointError> {
        let clash = self
            .iter()
            .find(|old| old.addr == entry.addr || old.id == entry.id);
        match clash {
            Some(old) if old.addr == entry.addr && old.id == entry.id => Ok(()),
            Some(_) => Err(EndpointError::Invalid),
            None => self.push(entry),
        }
    }

    /// The ID of local address `addr`, on whatever port. One that is not known gets one, 1 to 255.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Full`]: no ID is left, or no memory.
    pub fn local_id(&mut self, addr: &Address, ifindex: i32) -> Result<u8, EndpointError> {
        if let Some(entry) = self.by_addr(addr) {
            return Ok(entry.id);
        }
        let mut used = IdSet::new();
        for entry in self.iter() {
            used.insert(entry.id);
        }
        let id = used.first_free(1).ok_or(EndpointError::Full)?;
        self.push(Endpoint {
            id,
            addr: *addr,
            flags: EndpointFlags::IMPLICIT,
            ifindex,
        })?;
        Ok(id)
    }

    /// Sets or clears the backup flag of an address, if it is known.
    pub fn set_backup(&mut self, addr: &Address, backup: bool) {
        let at = self.iter().position(|entry| entry.addr.ip() == addr.ip());
        if let Some(entry) = at.and_then(|at| self.table.get_mut(at)) {
            let others = entry.flags.0 & !EndpointFlags::BACKUP.0;
            entry.flags = EndpointFlags(others);
            if backup {
                entry.flags = entry.flags.union(EndpointFlags::BACKUP);
            }
        }
    }

    /// Takes out the address with this ID.
    pub fn remove(&mut self, id: u8) -> Option<Endpoint> {
        let at = self.iter().position(|entry| entry.id == id)?;
        self.table.remove(at)
    }

    /// Takes out the first entry that is this address, on whatever port.
    pub fn remove_addr(&mut self, addr: &Address) -> Option<Endpoint> {
        let at = self.iter().position(|entry| entry.addr.ip() == addr.ip())?;
        self.table.remove(at)
    }

    fn push(&mut self, entry: Endpoint) -> Result<(), EndpointError> {
        self.table.push_back(entry).map_err(|_| EndpointError::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u8, addr: &str, port: u16) -> Endpoint {
        Endpoint {
            id,
            addr: Address::new(addr.parse().unwrap(), port),
            ..Endpoint::default()
        }
    }

    fn table() -> LocalAddrs<[Endpoint; 4]> {
        LocalAddrs::new(Default::default())
    }

    #[test]
    fn an_address_has_one_id_and_an_id_one_address() {
        let mut table = table();
        assert_eq!(table.add(entry(3, "10.0.0.1", 0)), Ok(()));
        assert_eq!(table.add(entry(3, "10.0.0.1", 0)), Ok(()));
        assert_eq!(
            table.add(entry(4, "10.0.0.1", 0)),
            Err(EndpointError::Invalid)
        );
        assert_eq!(
            table.add(entry(3, "10.0.0.2", 0)),
            Err(EndpointError::Invalid)
        );
        assert_eq!(table.add(entry(4, "10.0.0.1", 80)), Ok(()));
        assert_eq!(table.count(), 2);
    }

    #[test]
    fn an_address_that_a_subflow_uses_gets_an_id() {
        let mut table = table();
        table.add(entry(1, "10.0.0.1", 0)).unwrap();
        table.add(entry(0, "10.0.0.2", 0)).unwrap();
        let other = entry(0, "10.0.0.3", 9).addr;
        assert_eq!(table.local_id(&other, 0), Ok(2));
        assert_eq!(table.local_id(&other.with_port(10), 0), Ok(2));
        let first = entry(0, "10.0.0.1", 7).addr;
        assert_eq!(table.local_id(&first, 0), Ok(1));
        table.local_id(&entry(0, "10.0.0.4", 0).addr, 0).unwrap();
        let fifth = entry(0, "10.0.0.5", 0).addr;
        assert_eq!(table.local_id(&fifth, 0), Err(EndpointError::Full));
    }

    #[test]
    fn what_is_taken_out_is_gone() {
        let mut table = table();
        table.add(entry(7, "10.0.0.1", 0)).unwrap();
        table.add(entry(8, "10.0.0.2", 0)).unwrap();
        let addr = entry(0, "10.0.0.1", 5).addr;
        table.set_backup(&addr, true);
        assert_eq!(
            table.by_id(7).map(|entry| entry.flags),
            Some(EndpointFlags::BACKUP)
        );
        table.set_backup(&addr, false);
        assert_eq!(
            table.remove_addr(&addr).map(|entry| entry.flags),
            Some(EndpointFlags::default())
        );
        assert_eq!(table.remove(8).map(|entry| entry.id), Some(8));
        assert_eq!(table.remove(8), None);
        assert_eq!(table.count(), 0);
    }
}

// SPDX-License-Identifier: GPL-2.0

//! ADD_ADDR and REMOVE_ADDR on their way to the peer.
//!
//! They travel on ACKs, and ACKs get lost. An ADD_ADDR is therefore sent again until the peer echoes it,
//! a few times (RFC 8684 section 3.4.1). A REMOVE_ADDR is sent once.

use super::super::option::{AddAddr, RmAddr};
use super::endpoints::ADDR_MAX;
use super::Address;

/// How often an ADD_ADDR is sent again.
pub(super) const ADD_ADDR_RETRANS_MAX: u8 = 3;

/// How long to wait, in milliseconds, while another ADD_ADDR is still to be sent.
const BUSY_MS: u64 = 1000;

/// An announcement to put onto a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// The echo of the peer's ADD_ADDR.
    Echo {
        /// The peer's address ID.
        id: u8,
        /// The peer's address, as it was announced.
        addr: Address,
    },
    /// ADD_ADDR; the caller adds the HMAC.
    AddAddr {
        /// Address ID.
        id: u8,
        /// Address.
        addr: Address,
    },
    /// REMOVE_ADDR.
    RmAddr(RmAddr),
}

impl Signal {
    /// Bytes on the wire.
    pub fn wire_len(&self) -> usize {
        let add = |id: u8, addr: &Address, hmac| {
            AddAddr {
                id,
                addr: addr.ip(),
                port: addr.some_port(),
                hmac,
            }
            .wire_len()
        };
        usize::from(match self {
            Signal::Echo { id, addr } => add(*id, addr, None),
            Signal::AddAddr { id, addr } => add(*id, addr, Some([0; 8])),
            Signal::RmAddr(list) => list.wire_len(),
        })
    }
}

/// Announcements that wait for a segment, at most one of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Signals {
    echo: Option<(u8, Address)>,
    add: Option<(u8, Address)>,
    rm: Option<RmAddr>,
}

impl Signals {
    /// Nothing waits.
    pub const NONE: Self = Self {
        echo: None,
        add: None,
        rm: None,
    };

    /// Whether anything waits.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.echo.is_none() && self.add.is_none() && self.rm.is_none()
    }

    /// Whether an ADD_ADDR waits.
    pub const fn has_add(&self) -> bool {
        self.add.is_some()
    }

    /// The list of the REMOVE_ADDR that waits: the ACK that carries it had better take another path.
    pub const fn removing(&self) -> Option<&RmAddr> {
        self.rm.as_ref()
    }

    /// Puts an echo. False if there is one already.
    pub fn put_echo(&mut self, id: u8, addr: Address) -> bool {
        if self.echo.is_some() {
            return false;
        }
        self.echo = Some((id, addr));
        true
    }

    /// Puts an ADD_ADDR. False if there is another one already.
    pub fn put_add(&mut self, id: u8, addr: Address) -> bool {
        if self.add.is_some_and(|other| other != (id, addr)) {
            return false;
        }
        self.add = Some((id, addr));
        true
    }

    /// Puts a REMOVE_ADDR of one more ID, and takes back an ADD_ADDR of it. False if the list is full.
    pub fn put_rm(&mut self, id: u8) -> bool {
        if self.add.is_some_and(|(announced, _)| announced == id) {
            self.add = None;
        }
        match &mut self.rm {
            Some(list) => list.ids().contains(&id) || list.push(id),
            None => {
                self.rm = Some(RmAddr::new(id));
                true
            }
        }
    }

    /// Takes what to put onto a segment that has `room` bytes left: echoes first, then announcements.
    ///
    /// [`Err`] if it does not fit. On a segment that has nothing else in it, it never will: it was
    /// taken, and is to be given up. On others it stays.
    pub fn take(&mut self, room: usize, nothing_else: bool) -> Result<Option<Signal>, Signal> {
        let Some(next) = self.next() else {
            return Ok(None);
        };
        let fits = next.wire_len() <= room;
        if fits || nothing_else {
            match next {
                Signal::Echo { .. } => self.echo = None,
                Signal::AddAddr { .. } => self.add = None,
                Signal::RmAddr(_) => self.rm = None,
            }
        }
        if fits {
            Ok(Some(next))
        } else {
            Err(next)
        }
    }

    fn next(&self) -> Option<Signal> {
        if let Some((id, addr)) = self.echo {
            return Some(Signal::Echo { id, addr });
        }
        if let Some((id, addr)) = self.add {
            return Some(Signal::AddAddr { id, addr });
        }
        self.rm.map(Signal::RmAddr)
    }
}

/// An address that was announced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Announced {
    id: u8,
    addr: Address,
    /// How often it was sent again.
    resent: u8,
    /// When it is to be sent again.
    due: Option<u64>,
}

/// The addresses that a connection has announced, until they are withdrawn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Announcements {
    table: [Option<Announced>; ADDR_MAX],
}

impl Announcements {
    /// Nothing was announced.
    pub const fn new() -> Self {
        Self {
            table: [None; ADDR_MAX],
        }
    }

    fn find(&mut self, addr: &Address) -> Option<&mut Announced> {
        self.table
            .iter_mut()
            .flatten()
            .find(|announced| announced.addr == *addr)
    }

    /// Whether exactly this address was announced: joins to it are expected.
    pub fn contains(&self, addr: &Address) -> bool {
        self.table
            .iter()
            .flatten()
            .any(|announced| announced.addr == *addr)
    }

    /// Adds one that is sent for the first time, at `now` milliseconds, and again after `timeout`; never
    /// if that is 0. One that is there already starts anew. False if there is no room.
    pub fn add(&mut self, id: u8, addr: Address, now: u64, timeout: u64) -> bool {
        let due = deadline(now, timeout);
        let new = Announced {
            id,
            addr,
            resent: 0,
            due,
        };
        if let Some(announced) = self.find(&addr) {
            *announced = new;
            return true;
        }
        match self.table.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => {
                *slot = Some(new);
                true
            }
            None => false,
        }
    }

    /// The peer echoed an announcement, or it was given up: it is not sent again. Whether there was one.
    pub fn settle(&mut self, id: u8, addr: &Address) -> bool {
        match self.find(addr) {
            Some(announced) if announced.id == id => {
                announced.resent = ADD_ADDR_RETRANS_MAX;
                announced.due = None;
                true
            }
            other => other.is_some(),
        }
    }

    /// Withdraws an address. The ID that it was announced with.
    pub fn remove(&mut self, addr: &Address) -> Option<u8> {
        let slot = self
            .table
            .iter_mut()
            .find(|slot| slot.is_some_and(|announced| announced.addr == *addr))?;
        slot.take().map(|announced| announced.id)
    }

    /// When [`Announcements::resend`] has something to do.
    pub fn next_due(&self) -> Option<u64> {
        self.table
            .iter()
            .flatten()
            .filter_map(|announced| announced.due)
            .min()
    }

    /// Sends one announcement again that is due at `now`. Gives back whether one was put into `signals`,
    /// and whether it was its last time.
    pub fn resend(&mut self, now: u64, timeout: u64, signals: &mut Signals) -> Option<Resent> {
        let announced = self
            .table
            .iter_mut()
            .flatten()
            .find(|announced| announced.due.is_some_and(|due| due <= now))?;
        if signals.has_add() {
            announced.due = deadline(now, BUSY_MS);
            return Some(Resent::Busy);
        }
        if timeout == 0 {
            announced.due = None;
            return Some(Resent::Busy);
        }
        signals.put_add(announced.id, announced.addr);
        announced.resent = announced.resent.saturating_add(1);
        if announced.resent < ADD_ADDR_RETRANS_MAX {
            announced.due = deadline(now, timeout);
            Some(Resent::Again)
        } else {
            announced.due = None;
            Some(Resent::Last)
        }
    }
}

/// What became of an announcement that was due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resent {
    /// It has to wait.
    Busy,
    /// It was sent, and will be once more.
    Again,
    /// It was sent for the last time.
    Last,
}

fn deadline(now: u64, timeout: u64) -> Option<u64> {
    (timeout > 0).then(|| now.saturating_add(timeout))
}

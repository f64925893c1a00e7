// SPDX-License-Identifier: GPL-2.0

//! What a path manager in user space asks for: it decides, and this keeps the books.

use super::super::{Action, Address, Signal};
use super::{Out, PathManager, View};

impl PathManager {
    /// `addr` without its port, if that is the connection's.
    pub fn without_own_port(&self, addr: &Address) -> Address {
        if addr.port() == self.local.port() {
            addr.with_port(0)
        } else {
            *addr
        }
    }

    /// A further subflow that a path manager in user space has asked for, or lets the peer open.
    pub fn count(&mut self) {
        self.subflows = self.subflows.saturating_add(1);
    }

    /// Announces an address: on behalf of a path manager in user space. If another announcement is on its
    /// way, this one is dropped, and sent when it would be sent again. False if there is no room for it at all.
    pub fn announce(&mut self, view: &View<'_>, id: u8, addr: Address, out: Out<'_>) -> bool {
        let again = self.announced.contains(&addr);
        if !self
            .announced
            .add(id, addr, view.now, view.add_addr_timeout)
        {
            return false;
        }
        if !again {
            self.add_addr_signaled = self.add_addr_signaled.saturating_add(1);
        }
        out(if self.signals.put_add(id, addr) {
            Action::SendAck
        } else {
            Action::Dropped(Signal::AddAddr { id, addr })
        });
        true
    }

    /// Withdraws an address: on behalf of a path manager in user space. `force`: even if it was never
    /// announced, because a subflow uses it. Whether REMOVE_ADDR is sent.
    pub fn withdraw_addr(&mut self, id: u8, addr: &Address, force: bool, out: Out<'_>) -> bool {
        let announced = self.withdraw(addr);
        if announced || force {
            self.signal_rm(id, out);
        }
        announced || force
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Connections between a host ("A", the client) and one that it reached at 10.0.1.1 ("B").
//!
//! The scenarios are those of the kernel's selftests: what each configuration leads to.

use super::super::option::RmAddr;
use super::announce::ADD_ADDR_RETRANS_MAX;
use super::*;
use core::net::Ipv4Addr;

fn ip(text: &str) -> Address {
    Address::new(text.parse().unwrap(), 0)
}

fn flags(text: &str) -> EndpointFlags {
    text.split(',')
        .fold(EndpointFlags::default(), |flags, name| {
            flags.union(match name {
                "signal" => EndpointFlags::SIGNAL,
                "subflow" => EndpointFlags::SUBFLOW,
                "backup" => EndpointFlags::BACKUP,
                "fullmesh" => EndpointFlags::FULLMESH,
                "implicit" => EndpointFlags::IMPLICIT,
                _ => EndpointFlags::default(),
            })
        })
}

fn endpoint(id: u8, addr: &str, flag_names: &str) -> Endpoint {
    Endpoint {
        id,
        addr: ip(addr),
        flags: flags(flag_names),
        ifindex: 0,
    }
}

/// One side of a connection.
struct Host {
    pm: PathManager,
    /// The first subflow's address.
    local: Address,
    endpoints: Endpoints,
    limits: Limits,
    subflows: Vec<Subflow>,
    now: u64,
    timeout: u64,
    actions: Vec<Action>,
}

impl Host {
    fn new(accepted: u8, subflows: u8, local: &str, remote: &str) -> Self {
        let (local, remote) = (ip(local).with_port(1000), ip(remote).with_port(80));
        Self {
            pm: PathManager::new(local, remote, Families::V4),
            local,
            endpoints: Endpoints::new(),
            limits: Limits {
                subflows,
                add_addr_accepted: accepted,
            },
            subflows: vec![Subflow {
                local_id: 0,
                remote_id: 0,
                local,
                remote,
            }],
            now: 0,
            timeout: 120_000,
            actions: Vec::new(),
        }
    }

    fn client(accepted: u8, subflows: u8) -> Self {
        Self::new(accepted, subflows, "10.0.1.2", "10.0.1.1")
    }

    fn server(accepted: u8, subflows: u8) -> Self {
        Self::new(accepted, subflows, "10.0.1.1", "10.0.1.2")
    }

    /// `ip mptcp endpoint add`, before the connection.
    fn with(mut self, addr: &str, flag_names: &str) -> Self {
        self.endpoints.add(endpoint(0, addr, flag_names)).unwrap();
        self
    }

    /// Lets something happen; gives back what it leads to.
    fn event(
        &mut self,
        event: impl FnOnce(&mut PathManager, &View<'_>, &mut dyn FnMut(Action)),
    ) -> Vec<Action> {
        let view = View {
            endpoints: &self.endpoints,
            limits: self.limits,
            subflows: &self.subflows,
            now: self.now,
            add_addr_timeout: self.timeout,
        };
        let mut actions = Vec::new();
        event(&mut self.pm, &view, &mut |action| actions.push(action));
        self.actions.extend(&actions);
        for action in &actions {
            match *action {
                Action::Connect(connect) => self.connected(connect),
                Action::Close(side, id) => self.subflows.retain(|subflow| {
                    id != match side {
                        Side::Local => subflow.local_id,
                        Side::Remote => subflow.remote_id,
                    }
                }),
                _ => {}
            }
        }
        actions
    }

    fn connected(&mut self, connect: Connect) {
        // Routing picks the address in the same network.
        let IpAddr::V4(remote) = connect.remote.ip() else {
            panic!("not IPv4");
        };
        let [a, b, c, _] = remote.octets();
        let routed = Address::new(Ipv4Addr::new(a, b, c, 2).into(), 0);
        let (local, local_id) = match connect.local {
            Some(local) => (local.addr, local.id),
            None if routed.ip() == self.local.ip() => (routed, 0),
            None => (routed, self.endpoints.local_id(&routed, 0).unwrap()),
        };
        self.subflows.push(Subflow {
            local_id,
            remote_id: connect.remote_id,
            local: local.with_port(2000),
            remote: connect.remote,
        });
    }

    /// Goes on until nothing happens, echoes of the peer included.
    fn establish(&mut self) -> Vec<Action> {
        let mut all = self.event(|pm, view, out| pm.on_established(view, out));
        while let Ok(Some(signal)) = self.pm.signals().take(40, true) {
            if let Signal::AddAddr { id, addr } = signal {
                all.extend(self.settled(id, addr));
            }
        }
        all
    }

    /// An announcement was echoed, or did not fit.
    fn settled(&mut self, id: u8, addr: Address) -> Vec<Action> {
        assert!(self.pm.settle(id, &addr));
        self.event(|pm, view, out| pm.on_established(view, out))
    }

    /// A further subflow was closed.
    fn closed(&mut self) -> Vec<Action> {
        self.pm.discount();
        self.event(|pm, view, out| pm.on_established(view, out))
    }

    fn hear(&mut self, id: u8, addr: &str) -> Vec<Action> {
        let actions = self.event(|pm, view, out| pm.on_add_addr(view, id, ip(addr), out));
        let echo = self.pm.signals().take(40, true);
        assert!(matches!(echo, Ok(Some(Signal::Echo { .. }))), "{echo:?}");
        actions
    }

    fn add(&mut self, new: Endpoint) -> Vec<Action> {
        let added = self.endpoints.add(new).unwrap();
        self.event(|pm, view, out| pm.on_endpoint_added(view, &added, out))
    }

    fn remove(&mut self, id: u8) -> Vec<Action> {
        let removed = self.endpoints.remove(id).unwrap();
        self.event(|pm, view, out| pm.on_endpoint_removed(view, &removed, out))
    }
}

/// The subflows that were asked for, as "local>remote".
fn connects(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Connect(Connect { local, remote, .. }) => {
                let local = local.map_or("any".into(), |local| local.addr.ip().to_string());
                Some(format!("{local}>{}:{}", remote.ip(), remote.port()))
            }
            _ => None,
        })
        .collect()
}

fn signalled(actions: &[Action]) -> usize {
    actions.iter().filter(|a| **a == Action::SendAck).count()
}

#[test]
fn no_limits_no_subflows() {
    let mut a = Host::client(0, 0).with("10.0.3.2", "subflow");
    assert_eq!(a.establish(), []);
    let mut b = Host::server(0, 0);
    assert!(!b.pm.on_join(b.limits));
    b.limits.subflows = 1;
    assert!(b.pm.on_join(b.limits) && !b.pm.on_join(b.limits));
}

#[test]
fn a_subflow_endpoint_connects_to_the_first_address() {
    let mut a = Host::client(0, 1)
        .with("10.0.3.2", "subflow,backup")
        .with("10.0.2.2", "subflow");
    let actions = a.establish();
    assert_eq!(connects(&actions), ["10.0.3.2>10.0.1.1:80"]);
    let Action::Connect(Connect {
        local: Some(local), ..
    }) = actions[0]
    else {
        panic!("{actions:?}");
    };
    assert!(local.backup);
    assert_eq!((a.pm.subflows(), a.pm.local_addr_used()), (1, 1));
    // When that one is gone, the next is tried.
    a.subflows.pop();
    let actions = a.closed();
    assert_eq!(connects(&actions), ["10.0.2.2>10.0.1.1:80"]);
}

#[test]
fn the_endpoint_of_the_first_subflow_is_id_zero() {
    let mut a = Host::client(0, 2)
        .with("10.0.1.2", "subflow,backup")
        .with("10.0.2.2", "subflow");
    let actions = a.establish();
    assert_eq!(connects(&actions), ["10.0.2.2>10.0.1.1:80"]);
    assert!(matches!(actions[0], Action::Prio { backup: true, .. }));
    assert_eq!(a.pm.wire_id(1), 0);
    assert_eq!(a.pm.wire_id(2), 2);
}

#[test]
fn addresses_are_announced_one_by_one() {
    let mut b = Host::server(0, 3)
        .with("10.0.2.1", "signal")
        .with("10.0.3.1", "signal")
        .with("10.0.1.1", "signal");
    let actions = b.event(|pm, view, out| pm.on_established(view, out));
    assert_eq!(actions, [Action::SendAck]);
    // Nothing more before it was sent and echoed.
    assert_eq!(b.event(|pm, view, out| pm.on_established(view, out)), []);
    let sent = b.pm.signals().take(40, true).unwrap().unwrap();
    let addr = ip("10.0.2.1");
    assert_eq!(sent, Signal::AddAddr { id: 1, addr });
    let actions = b.settled(1, addr);
    assert_eq!(actions, [Action::SendAck]);
    assert_eq!(b.pm.add_addr_signaled(), 2);
    b.establish();
    assert_eq!(b.pm.add_addr_signaled(), 2);
}

#[test]
fn an_announced_source_is_used_for_both() {
    let mut a = Host::client(0, 2).with("10.0.2.2", "signal,subflow");
    let actions = a.establish();
    assert_eq!(connects(&actions), ["10.0.2.2>10.0.1.1:80"]);
    assert_eq!(signalled(&actions), 1);
    assert_eq!(a.pm.local_addr_used(), 1);
    // Without room for a subflow it counts as used all the same, and its removal undoes that.
    let mut a = Host::client(0, 0).with("10.0.2.2", "signal,subflow");
    a.establish();
    assert_eq!(a.pm.local_addr_used(), 1);
    a.remove(1);
    assert_eq!((a.pm.local_addr_used(), a.pm.add_addr_signaled()), (0, 0));
}

#[test]
fn announced_addresses_are_connected_to_up_to_the_limit() {
    let mut a = Host::client(1, 3);
    assert_eq!(connects(&a.hear(2, "10.0.2.1")), ["any>10.0.2.1:80"]);
    assert_eq!(a.pm.add_addr_accepted(), 1);
    // Known already; then over the limit. Both are echoed.
    assert_eq!(connects(&a.hear(2, "10.0.2.1")), [""; 0]);
    assert_eq!(connects(&a.hear(3, "10.0.3.1")), [""; 0]);
    // The address of the first subflow is that of ID 0, and no other.
    assert_eq!(connects(&a.hear(0, "10.0.4.1")), [""; 0]);
    assert_eq!(connects(&a.hear(0, "10.0.1.1")), [""; 0]);
    a.subflows.remove(0);
    assert_eq!(connects(&a.hear(0, "10.0.1.1")), ["any>10.0.1.1:80"]);
    assert_eq!(a.pm.add_addr_accepted(), 1);
}

#[test]
fn an_announced_port_is_used() {
    let mut a = Host::client(1, 1);
    let addr = ip("10.0.2.1").with_port(10100);
    let actions = a.event(|pm, view, out| pm.on_add_addr(view, 1, addr, out));
    assert_eq!(connects(&actions), ["any>10.0.2.1:10100"]);
    let echo = a.pm.signals().take(40, true);
    assert_eq!(echo, Ok(Some(Signal::Echo { id: 1, addr })));
}

#[test]
fn a_failed_connect_does_not_count() {
    let mut a = Host::client(3, 3);
    let actions = a.hear(2, "10.0.2.1");
    a.subflows.pop();
    let Some(Action::Connect(connect)) = actions.last().copied() else {
        panic!("{actions:?}");
    };
    a.event(|pm, view, _| pm.on_connect_failed(view, &connect));
    assert_eq!((a.pm.subflows(), a.pm.add_addr_accepted()), (0, 0));
}

#[test]
fn remove_addr_closes_and_makes_room() {
    let mut a = Host::client(1, 3);
    a.hear(2, "10.0.2.1");
    let actions = a.event(|pm, _, out| pm.on_rm_addr(&[2, 9], out));
    assert_eq!(
        actions,
        [
            Action::Close(Side::Remote, 2),
            Action::Close(Side::Remote, 9)
        ]
    );
    assert_eq!(a.pm.add_addr_accepted(), 0);
    a.closed();
    assert_eq!(connects(&a.hear(3, "10.0.3.1")), ["any>10.0.3.1:80"]);
}

#[test]
fn a_removed_endpoint_is_withdrawn_and_its_subflow_closed() {
    let mut a = Host::client(0, 2)
        .with("10.0.3.2", "subflow")
        .with("10.0.2.2", "signal");
    a.establish();
    assert_eq!(a.remove(2), [Action::SendAck]);
    let rm = a.pm.signals().take(40, true);
    assert_eq!(rm, Ok(Some(Signal::RmAddr(RmAddr::new(2)))));
    assert_eq!(
        a.remove(1),
        [Action::SendAck, Action::Close(Side::Local, 1)]
    );
    assert_eq!((a.pm.local_addr_used(), a.pm.add_addr_signaled()), (0, 0));
    a.closed();
    // Added again, it is used again.
    let actions = a.add(endpoint(1, "10.0.3.2", "subflow"));
    assert_eq!(connects(&actions), ["10.0.3.2>10.0.1.1:80"]);
}

#[test]
fn the_first_subflow_s_endpoint_can_be_removed_and_come_back() {
    let mut a = Host::client(0, 3)
        .with("10.0.1.2", "subflow")
        .with("10.0.2.2", "subflow");
    a.establish();
    for round in 0..3 {
        assert_eq!(
            a.remove(1),
            [Action::SendAck, Action::Close(Side::Local, 0)]
        );
        assert_eq!(
            a.pm.signals().take(40, true),
            Ok(Some(Signal::RmAddr(RmAddr::new(0))))
        );
        // The first one of all does not count, those that took its place do.
        if round > 0 {
            a.pm.discount();
        }
        a.event(|pm, view, out| pm.on_established(view, out));
        let used = a.pm.local_addr_used();
        let actions = a.add(endpoint(1, "10.0.1.2", "subflow"));
        assert_eq!(connects(&actions), ["10.0.1.2>10.0.1.1:80"]);
        assert_eq!(a.pm.local_addr_used(), used);
        assert_eq!(a.subflows.last().unwrap().local_id, 0);
    }
    let addr = ip("10.0.1.2");
    let actions = a.event(|pm, _, out| pm.on_id0_removed(&addr, out));
    assert!(actions.contains(&Action::Close(Side::Local, 0)));
    let other = ip("10.0.2.2");
    assert_eq!(a.event(|pm, _, out| pm.on_id0_removed(&other, out)), []);
}

#[test]
fn a_flush_withdraws_once_and_closes_all() {
    let mut a = Host::client(0, 3)
        .with("10.0.3.2", "subflow")
        .with("10.0.2.2", "signal,subflow")
        .with("10.0.4.2", "signal");
    a.establish();
    let flushed = a.endpoints.flush();
    let actions = a.event(|pm, view, out| pm.on_flush(view, &flushed, out));
    let closes = actions.iter().filter(|a| matches!(a, Action::Close(..)));
    assert_eq!(closes.count(), 2);
    let Ok(Some(Signal::RmAddr(list))) = a.pm.signals().take(40, true) else {
        panic!("no REMOVE_ADDR");
    };
    assert_eq!(list.ids(), [2, 3]);
    assert!(a.pm.signals().is_empty());
    assert_eq!((a.pm.local_addr_used(), a.pm.add_addr_signaled()), (0, 0));
}

#[test]
fn fullmesh_connects_everything() {
    let mut a = Host::client(4, 8)
        .with("10.0.2.2", "subflow,fullmesh")
        .with("10.0.3.2", "subflow,fullmesh");
    let actions = a.establish();
    assert_eq!(
        connects(&actions),
        ["10.0.2.2>10.0.1.1:80", "10.0.3.2>10.0.1.1:80"]
    );
    let actions = a.hear(1, "10.0.2.1");
    assert_eq!(
        connects(&actions),
        ["10.0.2.2>10.0.2.1:80", "10.0.3.2>10.0.2.1:80"]
    );
    assert_eq!(a.pm.add_addr_accepted(), 1);
    // A new one goes to both addresses that are known.
    let actions = a.add(endpoint(0, "10.0.4.2", "subflow,fullmesh"));
    assert_eq!(
        connects(&actions),
        ["10.0.4.2>10.0.1.1:80", "10.0.4.2>10.0.2.1:80"]
    );
    assert_eq!(a.pm.subflows(), 6);
}

#[test]
fn fullmesh_can_be_set_and_cleared() {
    let mut a = Host::client(4, 4).with("10.0.2.2", "subflow");
    a.establish();
    a.hear(1, "10.0.3.1");
    let which = endpoint(1, "0.0.0.0", "");
    let (now, changed) = a
        .endpoints
        .set_flags(&which, flags("fullmesh,backup"))
        .unwrap();
    let actions = a.event(|pm, view, out| pm.on_flags_changed(view, &now, changed, out));
    assert!(matches!(actions[0], Action::Prio { backup: true, .. }));
    assert_eq!(actions[1], Action::Close(Side::Local, 1));
    let actions = a.closed();
    assert_eq!(
        connects(&actions),
        ["10.0.2.2>10.0.1.1:80", "10.0.2.2>10.0.3.1:80"]
    );
    assert_eq!(a.pm.local_addr_used(), 1);
}

#[test]
fn a_peer_may_deny_joins_to_its_first_address() {
    let mut a = Host::client(1, 2).with("10.0.3.2", "subflow");
    a.pm.deny_join_id0();
    assert_eq!(connects(&a.establish()), [""; 0]);
    assert_eq!(connects(&a.hear(1, "10.0.2.1")), ["any>10.0.2.1:80"]);
    // With default limits its announced address is taken all the same, from the sources here.
    let mut a = Host::client(0, 2)
        .with("10.0.3.2", "subflow")
        .with("10.0.4.2", "subflow");
    a.pm.deny_join_id0();
    assert_eq!(connects(&a.establish()), [""; 0]);
    assert_eq!(
        connects(&a.hear(1, "10.0.2.1")),
        ["10.0.3.2>10.0.2.1:80", "10.0.4.2>10.0.2.1:80"]
    );
    assert_eq!(connects(&a.hear(2, "10.0.4.1")), [""; 0]);
}

#[test]
fn an_announcement_is_sent_again_until_it_is_echoed() {
    let mut b = Host::server(0, 1).with("10.0.2.1", "signal");
    b.event(|pm, view, out| pm.on_established(view, out));
    let mut sent = 0;
    while let Some(due) = b.pm.next_timeout() {
        // Still to be sent: it is not put again, but looked at soon.
        b.now = due;
        b.event(|pm, view, out| pm.on_timeout(view, out));
        assert_eq!(b.pm.next_timeout(), Some(due + 1000));
        b.pm.signals().take(40, true).unwrap().unwrap();
        b.now = due + 1000;
        let actions = b.event(|pm, view, out| pm.on_timeout(view, out));
        assert_eq!(actions, [Action::SendAck]);
        sent += 1;
    }
    assert_eq!(sent, ADD_ADDR_RETRANS_MAX);
    let mut b = Host::server(0, 1).with("10.0.2.1", "signal");
    b.establish();
    assert_eq!(b.pm.next_timeout(), None);
    b.timeout = 0;
    let mut b = Host::server(0, 1).with("10.0.2.1", "signal");
    b.timeout = 0;
    b.event(|pm, view, out| pm.on_established(view, out));
    assert_eq!(b.pm.next_timeout(), None);
}

#[test]
fn what_does_not_fit_waits_or_is_given_up() {
    let mut b = Host::server(0, 1)
        .with("10.0.2.1", "signal")
        .with("10.0.3.1", "signal");
    b.event(|pm, view, out| pm.on_established(view, out));
    let dropped = b.pm.signals().take(15, false).unwrap_err();
    assert!(b.pm.signals().has_add());
    assert_eq!(b.pm.signals().take(15, true), Err(dropped));
    assert!(b.pm.signals().is_empty());
    let Signal::AddAddr { id, addr } = dropped else {
        panic!("{dropped:?}");
    };
    assert_eq!(b.settled(id, addr), [Action::SendAck]);
    assert_eq!(b.pm.add_addr_signaled(), 2);
}

#[test]
fn only_one_echo_waits() {
    let mut a = Host::client(0, 0);
    let addr = ip("10.0.2.1");
    let first = a.event(|pm, _, out| pm.echo(1, addr, out));
    assert_eq!(first, [Action::SendAck]);
    let second = a.event(|pm, _, out| pm.echo(2, addr, out));
    assert_eq!(second, [Action::Dropped(Signal::Echo { id: 2, addr })]);
}

#[test]
fn a_path_manager_in_user_space_decides_itself() {
    let mut a = Host::client(0, 0);
    let addr = ip("10.0.2.2").with_port(99);
    a.event(|pm, view, out| assert!(pm.announce(view, 5, addr, out)));
    let again = a.event(|pm, view, out| assert!(pm.announce(view, 5, addr, out)));
    assert_eq!(again, [Action::SendAck]);
    // Another one has to wait until it would be sent again.
    let other = ip("10.0.3.2");
    let busy = a.event(|pm, view, out| assert!(pm.announce(view, 6, other, out)));
    let signal = Signal::AddAddr { id: 6, addr: other };
    assert_eq!(busy, [Action::Dropped(signal)]);
    assert!(a.pm.announced().contains(&addr) && a.pm.announced().contains(&other));
    a.event(|pm, _, out| assert!(pm.withdraw_addr(6, &other, false, out)));
    a.pm.signals().take(40, true).unwrap();
    a.pm.signals().take(40, true).unwrap();
    a.event(|pm, view, out| assert!(pm.announce(view, 5, addr, out)));
    assert_eq!(a.pm.add_addr_signaled(), 1);
    a.event(|pm, _, out| assert!(pm.withdraw_addr(5, &addr, false, out)));
    a.event(|pm, _, out| assert!(!pm.withdraw_addr(5, &addr, false, out)));
    let rm = a.pm.signals().take(40, true);
    assert_eq!(rm, Ok(Some(Signal::RmAddr(RmAddr::new(5)))));
}

#[test]
fn families_go_together() {
    let v4 = "10.0.0.1".parse().unwrap();
    let v6 = "2001:db8::1".parse().unwrap();
    assert!(Families::V4.allow(v4, v4) && !Families::V4.allow(v6, v6));
    assert!(Families::V6.allow(v6, v6) && !Families::V6.allow(v4, v4));
    assert!(Families::Both.allow(v4, v4) && Families::Both.allow(v6, v6));
    assert!(!Families::Both.allow(v4, v6));
    let mapped = Address::new("::ffff:10.0.0.1".parse().unwrap(), 0);
    assert_eq!(mapped.ip(), v4);
    let mut a = Host::client(0, 2).with("2001:db8::2", "subflow");
    assert_eq!(connects(&a.establish()), [""; 0]);
}

#[test]
fn ids_are_given_in_turn() {
    let mut table: Endpoints = Endpoints::new();
    for id in 1..=8 {
        let addr = format!("10.0.1.{id}");
        assert_eq!(table.add(endpoint(0, &addr, "")).unwrap().id, id);
    }
    let ninth = endpoint(0, "10.0.1.9", "");
    assert_eq!(table.add(ninth), Err(EndpointError::Full));
    assert!(table.remove(2).is_some() && table.remove(2).is_none());
    assert_eq!(table.add(ninth).unwrap().id, 9);
    assert!(table.remove(9).is_some());
    let high = endpoint(254, "10.0.1.10", "");
    assert_eq!(table.add(high).unwrap().id, 254);
    table.remove(1);
    assert_eq!(table.add(ninth).unwrap().id, 255);
    table.remove(3);
    assert_eq!(table.add(endpoint(0, "10.0.1.11", "")).unwrap().id, 1);
    assert_eq!(table.flush().len(), 8);
    assert_eq!(table.add(ninth).unwrap().id, 1);
}

#[test]
fn contradicting_endpoints_are_refused() {
    let mut table: Endpoints = Endpoints::new();
    let mut add = |id, addr: &str, port, names| {
        let mut new = endpoint(id, addr, names);
        new.addr = new.addr.with_port(port);
        table.add(new).map(|ep| ep.id)
    };
    use EndpointError::*;
    assert_eq!(add(0, "10.0.1.1", 80, "subflow"), Err(Invalid));
    assert_eq!(add(0, "10.0.1.1", 80, "signal,subflow"), Err(Invalid));
    assert_eq!(add(0, "10.0.1.1", 0, "signal,fullmesh"), Err(Invalid));
    assert_eq!(add(0, "10.0.1.1", 0, "implicit"), Err(Invalid));
    assert_eq!(add(7, "10.0.1.1", 0, "signal"), Ok(7));
    assert_eq!(add(7, "10.0.1.2", 0, "signal"), Err(Busy));
    assert_eq!(add(0, "10.0.1.1", 0, "subflow"), Err(Exists));
    // With a port it is another one, and comes first.
    assert_eq!(add(0, "10.0.1.1", 80, "signal"), Ok(8));
    assert_eq!(table.iter().next().unwrap().id, 8);
    let addr = ip("10.0.1.1");
    assert_eq!(table.by_addr(&addr.with_port(80)).unwrap().id, 8);
    assert_eq!(table.by_addr(&addr.with_port(81)).unwrap().id, 7);
    assert_eq!(table.by_id(9), None);
    let which = endpoint(7, "0.0.0.0", "");
    assert_eq!(table.set_flags(&which, flags("fullmesh")), Err(Invalid));
    let which = endpoint(0, "10.0.9.9", "");
    assert_eq!(table.set_flags(&which, flags("backup")), Err(NotFound));
}

#[test]
fn an_implicit_endpoint_gives_way_and_leaves_its_id() {
    let mut table: Endpoints = Endpoints::new();
    let addr = ip("10.0.2.2");
    assert_eq!(table.local_id(&addr.with_port(5), 0), Ok(1));
    assert_eq!(table.local_id(&addr, 0), Ok(1));
    let forced = endpoint(33, "10.0.2.2", "signal");
    assert_eq!(table.add(forced), Err(EndpointError::Invalid));
    let added = table.add(endpoint(0, "10.0.2.2", "signal")).unwrap();
    assert_eq!((added.id, added.flags), (1, EndpointFlags::SIGNAL));
    assert_eq!(table.len(), 1);
    assert_eq!(
        table.add(endpoint(0, "10.0.2.2", "signal")),
        Err(EndpointError::Exists)
    );
}

// SPDX-License-Identifier: GPL-2.0

//! Between the handshake and certainty: when a subflow is *fully established*.
//!
//! A host that sent the third ACK does not know whether its options arrived. It repeats them on
//! whatever it sends first, until the peer says something that only MPTCP says: a DATA_ACK, or an
//! ADD_ADDR (RFC 8684 sections 3.1, 3.2 and 3.4.1). If the first thing that it hears says nothing of the
//! kind, options are being stripped.

use super::option::{Dss, Options};

/// Which side of which handshake a subflow is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// It sent the connection's first SYN.
    CapableClient,
    /// It received that.
    CapableServer,
    /// It sent an MP_JOIN.
    JoinClient,
    /// It received one.
    JoinServer,
}

/// What goes onto an outgoing segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carry {
    /// A DSS.
    Dss,
    /// The third ACK's MP_CAPABLE (or MP_JOIN), instead.
    HandshakeAck,
    /// The MP_CAPABLE that carries the mapping of the segment's data, instead.
    CapableData,
}

/// An incoming segment, as far as establishing is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// It starts at the first byte behind the SYN: nothing was received before it.
    pub first: bool,
    /// Its options.
    pub options: &'a Options,
}

/// What an incoming segment says about the subflow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Establish {
    /// It is fully established, since long.
    Already,
    /// It is fully established now: tell the path manager.
    Now,
    /// Nothing yet; use the segment's options.
    Pending,
    /// Options are stripped: fall back, or reset the subflow where that is not allowed.
    Fallback,
    /// The peer broke the handshake: reset the subflow.
    Reset,
}

/// A subflow's way to being fully established.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Establishment {
    role: Role,
    fully: bool,
}

impl Establishment {
    /// A subflow that finished TCP's handshake.
    ///
    /// A listener's is complete at once if the third ACK had its MP_CAPABLE or a right MP_JOIN, which
    /// `confirmed` says; it was then created from that ACK. Initiators have to wait.
    pub const fn new(role: Role, confirmed: bool) -> Self {
        let listener = matches!(role, Role::CapableServer | Role::JoinServer);
        Self {
            role,
            fully: listener && confirmed,
        }
    }

    /// Whether the subflow is fully established.
    #[inline]
    pub const fn is_fully(&self) -> bool {
        self.fully
    }

    /// Which side it is.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether data may be sent on the subflow: one that joins has to wait for the fourth ACK.
    #[inline]
    pub const fn may_send(&self) -> bool {
        self.fully || !matches!(self.role, Role::JoinClient)
    }

    /// What an outgoing segment is to carry. `first`: it starts at the first byte behind our SYN.
    /// `payload`: it has data. `data_fin`: it has to announce a DATA_FIN, which MP_CAPABLE cannot.
    #[inline]
    pub const fn carry(&self, first: bool, payload: bool, data_fin: bool) -> Carry {
        if self.fully || !first || data_fin {
            return Carry::Dss;
        }
        match (self.role, payload) {
            (Role::CapableClient, true) => Carry::CapableData,
            (Role::CapableClient | Role::JoinClient, false) => Carry::HandshakeAck,
            _ => Carry::Dss,
        }
    }

    /// Takes an incoming segment.
    #[inline]
    pub fn on_segment(&mut self, arrival: &Arrival<'_>) -> Establish {
        if self.fully {
            return Establish::Already;
        }
        self.on_early_segment(arrival)
    }

    fn on_early_segment(&mut self, arrival: &Arrival<'_>) -> Establish {
        let join = matches!(self.role, Role::JoinClient | Role::JoinServer);
        if !arrival.first {
            // It overtook the first one. A joining peer may not send before the fourth ACK.
            return if join {
                Establish::Reset
            } else {
                Establish::Pending
            };
        }
        if self.confirms(arrival.options) {
            self.fully = true;
            return Establish::Now;
        }
        if join {
            Establish::Reset
        } else {
            Establish::Fallback
        }
    }

    /// Whether the options of a first segment are such as only a host that knows the keys sends.
    fn confirms(&self, options: &Options) -> bool {
        let acked = matches!(options.dss, Some(Dss { ack: Some(_), .. }));
        let announced = options
            .add_addr
            .is_some_and(|addr| !addr.is_echo() || self.role == Role::JoinClient);
        match self.role {
            Role::CapableClient | Role::JoinClient => acked || announced,
            // The third ACK was lost or came without option; the data repeats it.
            Role::CapableServer => acked || options.capable.is_some(),
            Role::JoinServer => acked || options.join.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::option::{AddAddr, WireDsn};
    use super::*;

    fn with_ack() -> Options {
        Options {
            dss: Some(Dss {
                ack: Some(WireDsn::Low32(1)),
                ..Dss::default()
            }),
            ..Options::NONE
        }
    }

    fn hear(e: &mut Establishment, first: bool, options: &Options) -> Establish {
        e.on_segment(&Arrival { first, options })
    }

    #[test]
    fn a_client_repeats_its_keys_until_it_hears_mptcp() {
        let mut e = Establishment::new(Role::CapableClient, false);
        assert!(e.may_send() && !e.is_fully());
        assert_eq!(e.carry(true, false, false), Carry::HandshakeAck);
        assert_eq!(e.carry(true, true, false), Carry::CapableData);
        assert_eq!(e.carry(false, true, false), Carry::Dss);
        assert_eq!(e.carry(true, false, true), Carry::Dss);
        assert_eq!(hear(&mut e, false, &Options::NONE), Establish::Pending);
        assert_eq!(hear(&mut e, true, &with_ack()), Establish::Now);
        assert_eq!(hear(&mut e, true, &Options::NONE), Establish::Already);
        assert_eq!(e.carry(true, true, false), Carry::Dss);
    }

    #[test]
    fn a_client_that_hears_plain_tcp_falls_back() {
        let mut e = Establishment::new(Role::CapableClient, false);
        assert_eq!(hear(&mut e, true, &Options::NONE), Establish::Fallback);
    }

    #[test]
    fn a_server_is_established_by_the_third_ack() {
        let mut e = Establishment::new(Role::CapableServer, true);
        assert!(e.is_fully());
        assert_eq!(hear(&mut e, true, &Options::NONE), Establish::Already);
        assert_eq!(e.carry(true, true, false), Carry::Dss);
    }

    #[test]
    fn a_joining_client_waits_for_the_fourth_ack() {
        let mut e = Establishment::new(Role::JoinClient, false);
        assert!(!e.may_send());
        assert_eq!(e.carry(true, false, false), Carry::HandshakeAck);
        assert_eq!(hear(&mut e, false, &with_ack()), Establish::Reset);
        assert_eq!(hear(&mut e, true, &Options::NONE), Establish::Reset);
        let echo = Options {
            add_addr: Some(AddAddr {
                id: 1,
                addr: "10.0.0.1".parse().unwrap(),
                port: None,
                hmac: None,
            }),
            ..Options::NONE
        };
        assert_eq!(hear(&mut e, true, &echo), Establish::Now);
        assert!(e.may_send());
    }

    #[test]
    fn an_echo_does_not_establish_a_first_subflow() {
        let mut e = Establishment::new(Role::CapableClient, false);
        let addr = AddAddr {
            id: 1,
            addr: "10.0.0.1".parse().unwrap(),
            port: None,
            hmac: None,
        };
        let mut options = Options {
            add_addr: Some(addr),
            ..Options::NONE
        };
        assert_eq!(hear(&mut e, true, &options), Establish::Fallback);
        options.add_addr = Some(AddAddr {
            hmac: Some([0; 8]),
            ..addr
        });
        assert_eq!(hear(&mut e, true, &options), Establish::Now);
    }
}

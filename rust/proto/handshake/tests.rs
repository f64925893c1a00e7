// SPDX-License-Identifier: GPL-2.0

//! Both handshakes between two hosts, option by option, over the wire format.

use super::super::option::{NoSpace, OptionBuf};
use super::*;
use sha2::Digest;

struct Host;

impl Sha256 for Host {
    fn sha256(data: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(data).into()
    }
}

const KEY_A: Key = Key(0x0123_4567_89ab_cdef);
const KEY_B: Key = Key(0xfedc_ba98_7654_3210);

const PLAIN: Config = Config {
    checksum: false,
    deny_join_id0: false,
};
const CHECKSUM: Config = Config {
    checksum: true,
    deny_join_id0: false,
};

/// Sends an option.
fn wire(emit: impl FnOnce(&mut OptionBuf) -> Result<(), NoSpace>) -> Options {
    let mut buf = OptionBuf::new();
    emit(&mut buf).unwrap();
    let found = Options::parse(buf.as_padded());
    assert_eq!(found.invalid, 0);
    found
}

fn send(capable: MpCapable) -> Options {
    wire(|buf| capable.emit(buf))
}

fn send_join(join: MpJoin) -> Options {
    wire(|buf| join.emit(buf))
}

/// A handshake between hosts with these settings, up to the SYN-ACK.
fn connect(a: Config, b: Config) -> (CapableClient, CapableServer, Agreed) {
    let client = CapableClient {
        config: a,
        key: KEY_A,
    };
    let Request::Capable(offer) = Request::of(&send(client.syn())) else {
        panic!("the SYN is not MPTCP's");
    };
    let server = CapableServer {
        config: b,
        key: KEY_B,
        offer,
    };
    let agreed = client
        .on_synack::<Host>(&send(server.synack()))
        .expect("the SYN-ACK is MPTCP's");
    (client, server, agreed)
}

#[test]
fn both_sides_know_both_keys() {
    let (client, server, agreed) = connect(PLAIN, PLAIN);
    assert_eq!(agreed.peer_key, KEY_B);
    assert_eq!(agreed.peer, crypto::derive::<Host>(KEY_B));
    assert!(!agreed.checksum && !agreed.deny_join_id0);
    let ack = server.on_ack::<Host>(&send(client.ack(&agreed))).unwrap();
    assert_eq!(ack.agreed.peer_key, KEY_A);
    assert_eq!(ack.agreed.peer, crypto::derive::<Host>(KEY_A));
    assert_eq!(ack.map, None);
}

#[test]
fn first_data_confirms_and_is_mapped() {
    let (client, server, agreed) = connect(CHECKSUM, PLAIN);
    let first = client.first_data(&agreed, 1400, Some(0x1234));
    let ack = server.on_ack::<Host>(&send(first)).unwrap();
    let map = ack.map.unwrap();
    assert_eq!(map.dsn, WireDsn::Full(ack.agreed.first_dsn().0));
    assert_eq!((map.ssn, map.len, map.csum), (1, 1400, Some(0x1234)));
}

#[test]
fn checksums_are_used_if_either_side_wants_them() {
    for (a, b, expected) in [
        (PLAIN, PLAIN, false),
        (CHECKSUM, PLAIN, true),
        (PLAIN, CHECKSUM, true),
        (CHECKSUM, CHECKSUM, true),
    ] {
        let (client, server, agreed) = connect(a, b);
        assert_eq!(agreed.checksum, expected);
        let ack = server.on_ack::<Host>(&send(client.ack(&agreed))).unwrap();
        assert_eq!(ack.agreed.checksum, expected);
    }
}

#[test]
fn either_side_may_deny_joins_to_its_first_address() {
    let deny = Config {
        checksum: false,
        deny_join_id0: true,
    };
    let (client, server, agreed) = connect(PLAIN, deny);
    assert!(agreed.deny_join_id0);
    let ack = server.on_ack::<Host>(&send(client.ack(&agreed))).unwrap();
    assert!(!ack.agreed.deny_join_id0);
    let (client, server, agreed) = connect(deny, PLAIN);
    assert!(!agreed.deny_join_id0);
    let ack = server.on_ack::<Host>(&send(client.ack(&agreed))).unwrap();
    assert!(ack.agreed.deny_join_id0);
}

#[test]
fn what_a_listener_cannot_speak_is_plain_tcp() {
    let syn = |version, flags| {
        Request::of(&send(MpCapable {
            version,
            flags: CapableFlags(flags),
            body: CapableBody::Syn,
        }))
    };
    assert_eq!(syn(0, 0x01), Request::Plain(FallbackCause::Version));
    assert_eq!(syn(1, 0x41), Request::Plain(FallbackCause::Extensibility));
    assert_eq!(syn(1, 0x80), Request::Plain(FallbackCause::Algorithm));
    assert!(matches!(syn(2, 0x01), Request::Capable(_)));
    let plain = Request::Plain(FallbackCause::SynWithoutCapable);
    assert_eq!(Request::of(&Options::NONE), plain);
    let (_, server, _) = connect(PLAIN, PLAIN);
    assert_eq!(Request::of(&send(server.synack())), plain);
}

#[test]
fn what_a_client_cannot_speak_is_plain_tcp() {
    let (client, server, _) = connect(PLAIN, PLAIN);
    let answer = |options: &Options| client.on_synack::<Host>(options).unwrap_err();
    let good = server.synack();
    for (capable, cause) in [
        (MpCapable { version: 2, ..good }, FallbackCause::Version),
        (
            MpCapable {
                flags: CapableFlags(0x41),
                ..good
            },
            FallbackCause::Extensibility,
        ),
        (
            MpCapable {
                flags: CapableFlags(0),
                ..good
            },
            FallbackCause::Algorithm,
        ),
        (client.syn(), FallbackCause::SynAckWithoutCapable),
    ] {
        assert_eq!(answer(&send(capable)), cause);
    }
    assert_eq!(answer(&Options::NONE), FallbackCause::SynAckWithoutCapable);
}

#[test]
fn a_third_ack_must_have_the_listener_s_key() {
    let (client, server, agreed) = connect(PLAIN, PLAIN);
    let wrong = Agreed {
        peer_key: KEY_A,
        ..agreed
    };
    assert_eq!(
        server.on_ack::<Host>(&send(client.ack(&wrong))),
        Err(FallbackCause::WrongKey)
    );
    for bad in [Options::NONE, send(client.syn()), send(server.synack())] {
        assert_eq!(
            server.on_ack::<Host>(&bad),
            Err(FallbackCause::AckWithoutCapable)
        );
    }
}

fn join() -> (JoinClient, JoinServer) {
    let client = JoinClient {
        local_key: KEY_A,
        peer_key: KEY_B,
        peer_token: crypto::derive::<Host>(KEY_B).token,
        nonce: 0xa1b2_c3d4,
        addr_id: 7,
        backup: true,
    };
    let Request::Join(request) = Request::of(&send_join(client.syn())) else {
        panic!("the SYN is not a join");
    };
    assert_eq!(request.token, crypto::derive::<Host>(KEY_B).token);
    assert_eq!((request.addr_id, request.backup), (7, true));
    let server = JoinServer {
        local_key: KEY_B,
        peer_key: KEY_A,
        nonce: 0x0102_0304,
        addr_id: 3,
        backup: false,
        peer_nonce: request.nonce,
    };
    (client, server)
}

#[test]
fn a_join_proves_the_keys_both_ways() {
    let (client, server) = join();
    let synack = send_join(server.synack::<Host>());
    let joined = client.on_synack::<Host>(&synack).unwrap();
    assert_eq!((joined.peer_addr_id, joined.peer_backup), (3, false));
    let ack = client.ack::<Host>(joined.peer_nonce);
    assert_eq!(server.on_ack::<Host>(&send_join(ack)), Ok(()));
}

#[test]
fn a_join_with_another_key_fails() {
    let (client, server) = join();
    let stranger = JoinServer {
        local_key: Key(1),
        ..server
    };
    let synack = send_join(stranger.synack::<Host>());
    assert_eq!(client.on_synack::<Host>(&synack), Err(JoinError::Hmac));
    let joined = client
        .on_synack::<Host>(&send_join(server.synack::<Host>()))
        .unwrap();
    let ack = client.ack::<Host>(joined.peer_nonce);
    assert_eq!(
        stranger.on_ack::<Host>(&send_join(ack)),
        Err(JoinError::Hmac)
    );
    assert_eq!(JoinError::Hmac.rst().reason, RstReason::MptcpSpecific);
}

#[test]
fn a_join_without_its_option_fails() {
    let (client, server) = join();
    let syn = send_join(client.syn());
    assert_eq!(client.on_synack::<Host>(&syn), Err(JoinError::Missing));
    assert_eq!(server.on_ack::<Host>(&syn), Err(JoinError::Missing));
    assert_eq!(
        server.on_ack::<Host>(&Options::NONE),
        Err(JoinError::Missing)
    );
}

#[test]
fn a_syn_that_asks_for_both_gets_neither() {
    let (client, _, _) = connect(PLAIN, PLAIN);
    let mut both = send(client.syn());
    both.join = Some(join().0.syn());
    assert_eq!(
        Request::of(&both),
        Request::Plain(FallbackCause::SynWithoutCapable)
    );
}

#[test]
fn a_listener_that_keeps_nothing_knows_its_key_again() {
    let exchange = Exchange {
        isn: 0x8000_0001,
        peer_isn: 7,
        port: 443,
        peer_port: 50000,
    };
    let secret = [5; 32];
    let client = CapableClient {
        config: PLAIN,
        key: KEY_A,
    };
    let Request::Capable(offer) = Request::of(&send(client.syn())) else {
        panic!("the SYN is not MPTCP's");
    };
    let server = CapableServer {
        config: PLAIN,
        key: exchange.key::<Host>(&secret),
        offer,
    };
    let agreed = client.on_synack::<Host>(&send(server.synack())).unwrap();

    let ack = send(client.first_data(&agreed, 100, None));
    let again = CapableServer {
        config: PLAIN,
        key: exchange.key::<Host>(&secret),
        offer: recalled_offer(&ack).unwrap(),
    };
    assert_eq!(again, server);
    assert_eq!(
        again.on_ack::<Host>(&ack).unwrap().agreed.peer_key,
        client.key
    );
}

#[test]
fn a_key_to_be_computed_again_depends_on_everything() {
    let exchange = Exchange {
        isn: 1,
        peer_isn: 2,
        port: 3,
        peer_port: 4,
    };
    let key = exchange.key::<Host>(&[0; 32]);
    let others = [
        Exchange { isn: 0, ..exchange },
        Exchange {
            peer_isn: 0,
            ..exchange
        },
        Exchange {
            port: 0,
            ..exchange
        },
        Exchange {
            peer_port: 0,
            ..exchange
        },
    ];
    for other in others {
        assert!(other.key::<Host>(&[0; 32]) != key);
    }
    assert!(exchange.key::<Host>(&[1; 32]) != key);
    assert_eq!(recalled_offer(&Options::default()), None);
}

// SPDX-License-Identifier: GPL-2.0

//! Known answers: RFC 6234 and RFC 4231, and MPTCP's own, computed with Python's `hmac` and `hashlib`.

use super::*;
use sha2::Digest;

struct Host;

impl Sha256 for Host {
    fn sha256(data: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(data).into()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

const KEY_A: Key = Key(0x0123_4567_89ab_cdef);
const KEY_B: Key = Key(0xfedc_ba98_7654_3210);
const NONCE_A: u32 = 0xa1b2_c3d4;
const NONCE_B: u32 = 0x0102_0304;

#[test]
fn the_hash_is_sha256() {
    // RFC 6234 section 8.5, tests 1 and 2.
    assert_eq!(
        hex(&Host::sha256(b"abc")),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        hex(&Host::sha256(
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
        )),
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    );
}

#[test]
fn hmac_matches_rfc_4231() {
    let long_key = [0xaa; 131];
    let counting: Vec<u8> = (1..=25).collect();
    let cases: [(&[u8], &[u8], &str); 6] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            &counting,
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            &long_key,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            &long_key,
            b"This is a test using a larger than block-size key and a larger than block-size data. \
              The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, msg, expected) in cases {
        assert_eq!(hex(&hmac::<Host>(key, msg)), expected);
    }
}

#[test]
fn token_and_idsn_are_the_ends_of_the_hash() {
    for (key, token, idsn) in [
        (0, 0xaf55_70f5, 0xe5b2_328d_e0e8_3dfc),
        (1, 0xcd26_6215, 0x19ec_5090_83d0_0a50),
        (0x0123_4567_89ab_cdef, 0x55c5_3f5d, 0x5707_62cd_38be_9818),
        (u64::MAX, 0x12a3_ae44, 0x57fb_595b_bbac_f0ca),
        (0x8d5e_3c9b_12f0_7a46, 0x4fb2_8d17, 0x4066_dd5c_8cbd_5353),
    ] {
        let derived = derive::<Host>(Key(key));
        assert_eq!(derived.token, token);
        assert_eq!(derived.idsn, Dsn(idsn));
    }
}

#[test]
fn join_hmacs_match_known_answers() {
    let synack = join_synack_hmac::<Host>(KEY_B, KEY_A, NONCE_B, NONCE_A);
    assert_eq!(hex(&synack), "41a15d7b1df92766");
    let ack = join_ack_hmac::<Host>(KEY_A, KEY_B, NONCE_A, NONCE_B);
    assert_eq!(hex(&ack), "88526b3c0e6bdd0e29d598b13d180e951f1b011c");
}

#[test]
fn add_addr_hmacs_match_known_answers() {
    let v4 = "10.0.2.1".parse().unwrap();
    let v6 = "dead:beef:2::1".parse().unwrap();
    let hmac_a = |id, addr, port| hex(&add_addr_hmac::<Host>(KEY_A, KEY_B, id, addr, port));
    let hmac_b = |id, addr, port| hex(&add_addr_hmac::<Host>(KEY_B, KEY_A, id, addr, port));
    assert_eq!(hmac_a(1, v4, None), "bf1239193d1ca414");
    assert_eq!(hmac_a(1, v4, Some(10100)), "0698f280d936d29d");
    assert_eq!(hmac_b(255, v6, None), "d60df42a23b52bca");
    assert_eq!(hmac_b(7, v6, Some(65535)), "851f5a723faff4eb");
}

#[test]
fn equality_looks_at_every_byte() {
    assert!(constant_time_eq(b"", b""));
    assert!(constant_time_eq(b"abc", b"abc"));
    assert!(!constant_time_eq(b"abc", b"abd"));
    assert!(!constant_time_eq(b"xbc", b"abc"));
    assert!(!constant_time_eq(b"abc", b"abcd"));
}

#[test]
fn a_key_is_not_printed() {
    assert_eq!(format!("{KEY_A:?}"), "Key(..)");
}

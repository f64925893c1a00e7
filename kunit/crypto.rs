// SPDX-License-Identifier: GPL-2.0

//! The kernel's hash under the protocol's keys: known answers.

use crate::framework::Test;
use crate::proto::crypto::{join_ack_hmac, join_synack_hmac, Key, Sha256};
use crate::sys::sha256::KernelSha256;
use crate::{expect_eq, suite};

/// The bytes that a string of hexadecimal digits stands for.
fn hex<const N: usize>(digits: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        for digit in pair {
            *byte = (*byte << 4) | char::from(*digit).to_digit(16).unwrap_or(0) as u8;
        }
    }
    bytes
}

/// FIPS 180-4, the examples for one block and for two.
fn sha256_of_fips_180_4(test: &Test) {
    expect_eq!(
        test,
        KernelSha256::sha256(b"abc"),
        hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    expect_eq!(
        test,
        KernelSha256::sha256(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
        hex("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    );
    expect_eq!(
        test,
        KernelSha256::sha256(b""),
        hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
}

/// The answers that rust/proto/crypto/tests.rs has for another implementation of the hash.
fn hmacs_of_joins(test: &Test) {
    let (a, b) = (Key(0x0123_4567_89ab_cdef), Key(0xfedc_ba98_7654_3210));
    let (nonce_a, nonce_b) = (0xa1b2_c3d4, 0x0102_0304);
    expect_eq!(
        test,
        join_synack_hmac::<KernelSha256>(b, a, nonce_b, nonce_a),
        hex("41a15d7b1df92766")
    );
    expect_eq!(
        test,
        join_ack_hmac::<KernelSha256>(a, b, nonce_a, nonce_b),
        hex("88526b3c0e6bdd0e29d598b13d180e951f1b011c")
    );
}

suite!("mptcp_crypto": sha256_of_fips_180_4, hmacs_of_joins);

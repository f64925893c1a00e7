// SPDX-License-Identifier: GPL-2.0

//! The kernel's hash under the protocol's keys: known answers.

use crate::framework::Test;
use crate::proto::crypto::{hmac, Sha256};
use crate::sys::sha256::KernelSha256;
use crate::{expect_eq, require, suite};

/// The bytes that a string of hexadecimal digits stands for.
fn hex(digits: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
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

/// RFC 4231, test cases 1 and 2.
fn hmac_of_rfc_4231(test: &Test) {
    let mac = require!(test, hmac::<KernelSha256>(&[0x0b; 20], &[b"Hi There"]));
    expect_eq!(
        test,
        mac,
        hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    );
    let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
    let mac = require!(test, hmac::<KernelSha256>(b"Jefe", &parts));
    expect_eq!(
        test,
        mac,
        hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
}

suite!("mptcp_crypto": sha256_of_fips_180_4, hmac_of_rfc_4231);

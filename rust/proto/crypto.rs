// SPDX-License-Identifier: GPL-2.0

//! Keys, tokens and HMACs (RFC 8684 sections 3.1, 3.2, 3.4.1).
//!
//! The hash is the caller's: the kernel's in the module, the `sha2` crate's in tests. HMAC is written
//! out here (RFC 2104), because the messages are short and their lengths known, and one buffer on the
//! stack is all it takes.

use core::fmt;
use core::net::IpAddr;

use super::seq::Dsn;

/// SHA-256 of a whole message (RFC 6234).
pub trait Sha256 {
    /// The digest of `data`.
    fn sha256(data: &[u8]) -> [u8; 32];
}

/// A host's key of one connection.
///
/// Secret until both sides have sent theirs in the clear; `Debug` does not print it.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Key(pub u64);

impl Key {
    /// The key as it stands on the wire and goes into hashes.
    #[inline]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What both hosts compute from a key (RFC 8684 section 3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Derived {
    /// Names the connection towards the host that has the key: the first 32 bits of the hash.
    pub token: u32,
    /// The initial data sequence number of the host that has the key: the last 64 bits of the hash.
    /// The first byte of data has the one after it.
    pub idsn: Dsn,
}

/// Token and initial data sequence number of `key`, with one hash.
pub fn derive<H: Sha256>(key: Key) -> Derived {
    let hash = H::sha256(&key.to_bytes());
    Derived {
        token: u32::from_be_bytes(leading(&hash)),
        idsn: Dsn(u64::from_be_bytes(trailing(&hash))),
    }
}

/// SHA-256's block, in bytes.
const BLOCK: usize = 64;

/// The longest message that [`hmac`] takes, in bytes. The examples of RFC 4231 need that much.
const HMAC_MSG_MAX: usize = 160;

/// [`hmac`] of a message whose length is known to fit.
fn hmac_array<H: Sha256, const N: usize>(key: &[u8], msg: &[u8; N]) -> [u8; 32] {
    const {
        assert!(N <= HMAC_MSG_MAX);
    }
    hmac::<H>(key, msg)
}

/// HMAC-SHA256 (RFC 2104); `msg` has at most [`HMAC_MSG_MAX`] bytes. A key may have any length.
fn hmac<H: Sha256>(key: &[u8], msg: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        copy(&mut block, &H::sha256(key));
    } else {
        copy(&mut block, key);
    }
    let mut inner = [0; BLOCK + HMAC_MSG_MAX];
    copy(&mut inner, &block.map(|byte| byte ^ 0x36));
    if let Some(rest) = inner.get_mut(BLOCK..) {
        copy(rest, msg);
    }
    let used = BLOCK.saturating_add(msg.len());
    let digest = H::sha256(inner.get(..used).unwrap_or(&inner));
    let mut outer = [0; BLOCK + 32];
    copy(&mut outer, &block.map(|byte| byte ^ 0x5c));
    if let Some(rest) = outer.get_mut(BLOCK..) {
        copy(rest, &digest);
    }
    H::sha256(&outer)
}

/// A key that can be computed again from `exchange`, and by nobody without `secret`.
pub fn recomputable_key<H: Sha256>(secret: &[u8; 32], exchange: &[u8; 12]) -> Key {
    Key(u64::from_be_bytes(leading(&hmac_array::<H, 12>(
        secret, exchange,
    ))))
}

/// The HMAC of an MP_JOIN as the host with `local` key and `local_nonce` computes it for what it
/// sends: keys and random numbers in the order sender, receiver (RFC 8684 section 3.2).
fn join_hmac<H: Sha256>(local: Key, remote: Key, local_nonce: u32, remote_nonce: u32) -> [u8; 32] {
    let msg = ((u64::from(local_nonce) << 32) | u64::from(remote_nonce)).to_be_bytes();
    hmac_array::<H, 8>(&both(local, remote), &msg)
}

/// HMAC of the SYN-ACK's MP_JOIN, cut to its leftmost 64 bits. `sender` is who sends the SYN-ACK.
pub fn join_synack_hmac<H: Sha256>(
    sender: Key,
    receiver: Key,
    sender_nonce: u32,
    receiver_nonce: u32,
) -> [u8; 8] {
    leading(&join_hmac::<H>(
        sender,
        receiver,
        sender_nonce,
        receiver_nonce,
    ))
}

/// HMAC of the third ACK's MP_JOIN, cut to its leftmost 160 bits. `sender` is who sends the ACK.
pub fn join_ack_hmac<H: Sha256>(
    sender: Key,
    receiver: Key,
    sender_nonce: u32,
    receiver_nonce: u32,
) -> [u8; 20] {
    leading(&join_hmac::<H>(
        sender,
        receiver,
        sender_nonce,
        receiver_nonce,
    ))
}

/// HMAC of an ADD_ADDR, cut to its rightmost 64 bits: over address ID, address and port, zero if
/// there is none (RFC 8684 section 3.4.1). `sender` is who announces.
pub fn add_addr_hmac<H: Sha256>(
    sender: Key,
    receiver: Key,
    id: u8,
    addr: IpAddr,
    port: Option<u16>,
) -> [u8; 8] {
    let key = both(sender, receiver);
    let [high, low] = port.unwrap_or(0).to_be_bytes();
    trailing(&match addr {
        IpAddr::V4(addr) => {
            let [a, b, c, d] = addr.octets();
            hmac_array::<H, 7>(&key, &[id, a, b, c, d, high, low])
        }
        IpAddr::V6(addr) => {
            let mut msg = [0; 19];
            for (to, from) in msg
                .iter_mut()
                .zip([id].into_iter().chain(addr.octets()).chain([high, low]))
            {
                *to = from;
            }
            hmac_array::<H, 19>(&key, &msg)
        }
    })
}

/// Whether two byte strings are equal, in a time that depends only on their lengths.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut difference = 0;
    for (a, b) in a.iter().zip(b) {
        // The compiler must not see that one difference decides.
        difference = core::hint::black_box(difference | (a ^ b));
    }
    difference == 0
}

fn both(first: Key, second: Key) -> [u8; 16] {
    ((u128::from(first.0) << 64) | u128::from(second.0)).to_be_bytes()
}

/// Copies as much of `from` as `to` holds.
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

fn leading<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    const {
        assert!(N <= 32);
    }
    let mut cut = [0; N];
    copy(&mut cut, hash);
    cut
}

fn trailing(hash: &[u8; 32]) -> [u8; 8] {
    let &[.., a, b, c, d, e, f, g, h] = hash;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests;

// SPDX-License-Identifier: GPL-2.0

//! The Multipath TCP protocol (RFC 8684), sans-IO.
//!
//! Bytes and events go in, decisions come out. Nothing in here knows a kernel, a socket or a clock; time
//! is a number that the caller passes, memory is storage that the caller lends ([`storage::Storage`]).
//! The module and the host tests build the same files.
//!
//! - [`option`]: the wire format. [`crypto`], [`checksum`], [`seq`]: what it is made of.
//! - [`handshake`], [`fallback`], [`conn`]: what a connection and a subflow may do next.
//! - [`tx_map`], [`rx_map`], [`reorder`], [`window`]: which byte is where, and may be sent. Their
//!   memory is [`storage`]'s.
//! - [`sched`], [`pm`]: which subflow carries data, and which subflows there are.
//!
//! Two rules hold throughout:
//!
//! - **No panic.** What a peer sends can never reach an index, a slice bound or an arithmetic overflow.
//!   Sequence numbers wrap by definition and have their own types ([`seq`]).
//! - **No allocation.** A store that cannot grow says so, and the caller decides what gives way.

#![forbid(unsafe_code)]
// In the module this is one private tree among others. What only tests on the host need is not in it: that is
// under cfg(not(CONFIG_RUST)).
#![cfg_attr(CONFIG_RUST, allow(unreachable_pub))]
// A panic in the kernel is a crash. Tests may, the code may not.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod checksum;
pub mod conn;
pub mod crypto;
pub mod fallback;
pub mod handshake;
pub mod option;
pub mod pm;
pub mod ranges;
pub mod reorder;
pub mod rx_map;
pub mod sched;
pub mod seq;
pub mod storage;
pub mod tx_map;
pub mod window;

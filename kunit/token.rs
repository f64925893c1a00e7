// SPDX-License-Identifier: GPL-2.0

//! The token table: numbers are reserved, given up and looked up. Without connections, which the scenarios have.

use crate::framework::Test;
use crate::msk::token::{find, new_key, TOKENS};
use crate::proto::crypto::derive;
use crate::sys::sha256::KernelSha256;
use crate::{expect, expect_eq, require, suite};
use kernel::prelude::*;

/// The table, for one test.
struct Table;

impl Table {
    fn new() -> Result<Self> {
        TOKENS.init()?;
        Ok(Table)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        TOKENS.exit();
    }
}

fn a_token_is_reserved_once(test: &Test) {
    let _table = require!(test, Table::new());
    expect_eq!(test, TOKENS.reserve(7), Ok(()));
    expect_eq!(test, TOKENS.reserve(7), Err(EEXIST));
    expect_eq!(test, TOKENS.reserve(8), Ok(()));
    TOKENS.remove(7);
    expect_eq!(test, TOKENS.reserve(8), Err(EEXIST));
    expect_eq!(test, TOKENS.reserve(7), Ok(()));
}

fn a_reserved_token_has_no_connection(test: &Test) {
    let _table = require!(test, Table::new());
    expect!(test, find(7).is_none());
    expect_eq!(test, TOKENS.reserve(7), Ok(()));
    expect!(test, find(7).is_none());
    TOKENS.remove(7);
    TOKENS.remove(7);
    expect!(test, find(7).is_none());
}

fn many_share_a_bucket(test: &Test) {
    let _table = require!(test, Table::new());
    // A power of two that no table of reasonable size exceeds.
    let token = |n: u32| (n << 20) | 5;
    for n in 0..1000 {
        expect_eq!(test, TOKENS.reserve(token(n)), Ok(()));
    }
    for n in (0..1000).step_by(2) {
        TOKENS.remove(token(n));
    }
    for n in 0..1000 {
        let expected = if n % 2 == 0 { Ok(()) } else { Err(EEXIST) };
        expect_eq!(test, TOKENS.reserve(token(n)), expected);
    }
}

fn new_keys_have_tokens_of_their_own(test: &Test) {
    let _table = require!(test, Table::new());
    for _ in 0..1000 {
        let (key, derived) = require!(test, new_key());
        expect_eq!(test, derived, derive::<KernelSha256>(key));
        expect_eq!(test, TOKENS.reserve(derived.token), Err(EEXIST));
    }
}

fn without_a_table_there_is_no_key(test: &Test) {
    expect!(test, new_key().is_err());
    expect!(test, find(7).is_none());
}

suite!("mptcp_token":
    a_token_is_reserved_once,
    a_reserved_token_has_no_connection,
    many_share_a_bucket,
    new_keys_have_tokens_of_their_own,
    without_a_table_there_is_no_key,
);

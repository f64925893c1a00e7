// SPDX-License-Identifier: GPL-2.0

//! Everything of rust/proto that wire input reaches, in one object file. That file must not refer to
//! any of the compiler's panic functions: then there is no panic in it, whatever the input.

#![no_std]

#[path = "../../rust/proto/mod.rs"]
pub mod proto;

use proto::checksum::Checksum;
use proto::option::{fit, Dss, MpCapable, OptionBuf, Options, OPTIONS_MAX};
use proto::pm::{Action, Address, PathManager, View};
use proto::ranges::{Range, Ranges};
use proto::reorder::{Insert, Payload, Reorder, Run};
use proto::rx_map::{Inserted, MapError, MapKind, RxMapping, RxMappings};
use proto::sched::{Candidate, Chosen, Demand, Pick};
use proto::seq::{Dsn, Ssn};
use proto::tx_map::{TxError, TxRecord, TxRecords};
use proto::window::RcvWindow;

/// As many bytes as the number says.
#[derive(Default)]
pub struct Bytes(u64);

impl Payload for Bytes {
    fn len(&self) -> usize {
        self.0 as usize
    }

    fn trim_front(&mut self, n: usize) {
        self.0 = self.0.saturating_sub(n as u64);
    }

    fn trim_back(&mut self, n: usize) {
        self.0 = self.0.saturating_sub(n as u64);
    }

    fn append(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

type Queue = Reorder<Bytes, [Run<Bytes>; 32]>;
type Received = RxMappings<[RxMapping; 32]>;
type Sent = TxRecords<[TxRecord; 32]>;
type Again = Ranges<[Range; 4]>;

#[no_mangle]
pub fn decode(area: &[u8]) -> Options {
    Options::parse(area)
}

#[no_mangle]
pub fn encode_dss(dss: &Dss, buf: &mut OptionBuf) -> bool {
    dss.emit(buf).is_ok()
}

#[no_mangle]
pub fn encode_capable(capable: &MpCapable, buf: &mut OptionBuf) -> bool {
    capable.emit(buf).is_ok()
}

#[no_mangle]
pub fn join_options(tcp: &[u8], mptcp: &OptionBuf, out: &mut [u8; OPTIONS_MAX]) -> Option<usize> {
    fit(tcp, mptcp, out)
}

#[no_mangle]
pub fn read_mapping(dss: &Dss, isn: Ssn, rcv_nxt: Dsn) -> Option<MapKind> {
    dss.map.map(|map| MapKind::of(dss, &map, isn, rcv_nxt))
}

#[no_mangle]
pub fn insert_mapping(maps: &mut Received, map: RxMapping) -> Result<Inserted, MapError> {
    maps.insert(map)
}

#[no_mangle]
pub fn read_mapped(maps: &mut Received, upto: Ssn) -> Option<RxMapping> {
    maps.consume(upto);
    maps.lookup(upto)
}

#[no_mangle]
pub fn queue_record(sent: &mut Sent, record: TxRecord, grow: u32) -> Result<(), TxError> {
    sent.extend_last(grow, Checksum::new());
    sent.shrink_last(grow, Checksum::new());
    sent.push(record)
}

#[no_mangle]
pub fn find_record(sent: &Sent, ssn: Ssn) -> Option<TxRecord> {
    sent.lookup(ssn).copied()
}

#[no_mangle]
pub fn retire_records(sent: &mut Sent, una: Ssn, data_una: Dsn) {
    sent.retire(una, data_una);
}

#[no_mangle]
pub fn send_again(again: &mut Again, lost: Range, una: Dsn) -> Option<Range> {
    again.add(lost);
    again.forget_before(una);
    again.first()
}

#[no_mangle]
pub fn insert_data(queue: &mut Queue, dsn: Dsn, bytes: Bytes, rcv_nxt: Dsn) -> Insert<Bytes> {
    queue.insert(dsn, bytes, rcv_nxt)
}

#[no_mangle]
pub fn pop_data(queue: &mut Queue, rcv_nxt: &mut Dsn) -> Option<Bytes> {
    queue.pop_ready(rcv_nxt).or_else(|| queue.prune())
}

#[no_mangle]
pub fn announce(window: &mut RcvWindow, rcv_nxt: Dsn, free: u32, wscale: u8) -> u16 {
    window.announce(rcv_nxt, free, wscale)
}

#[no_mangle]
pub fn add_to_checksum(sum: &mut Checksum, next: u16, len: usize) {
    sum.add_sum(next, len);
}

#[no_mangle]
pub fn schedule(it: &mut Chosen, candidates: &[Candidate], demand: &Demand) -> Option<Pick> {
    it.select(candidates, demand)
}

#[no_mangle]
pub fn add_addr(pm: &mut PathManager, view: &View<'_>, id: u8, addr: Address) -> bool {
    let mut any = false;
    pm.on_add_addr(view, id, addr, &mut |_: Action| any = true);
    any
}

#[no_mangle]
pub fn rm_addr(pm: &mut PathManager, ids: &[u8], out: &mut dyn FnMut(Action)) {
    pm.on_rm_addr(ids, out);
}

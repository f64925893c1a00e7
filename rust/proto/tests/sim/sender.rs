// SPDX-License-Identifier: GPL-2.0

//! The host that sends: connection, scheduler, mappings of each subflow.

use super::super::model::VecSlots;
use super::net::{Net, Segment, Time, Towards};
use super::tcp::{TcpTx, MSS};
use super::{byte, PeerFin, Setup};
use mptcp_proto::checksum::Checksum;
use mptcp_proto::conn::{Actions, Conn, State};
use mptcp_proto::option::{fit, Dss, DssMap, OptionBuf, Options, WireDsn, OPTIONS_MAX};
use mptcp_proto::rx_map::MapKind;
use mptcp_proto::sched::{Candidate, Chosen, Demand, Pick};
use mptcp_proto::seq::{Dsn, Ssn};
use mptcp_proto::tx_map::{TxRecord, TxRecords, MAP_LEN_MAX};

/// TCP's timestamps, as they stand in front of every segment's options.
const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

struct Subflow {
    tcp: TcpTx,
    records: TxRecords<VecSlots<TxRecord>>,
    peer_isn: Ssn,
    wscale: u8,
    backup: bool,
}

pub struct Sender {
    pub conn: Conn,
    scheduler: Chosen,
    first: Dsn,
    total: u64,
    /// The next byte to place for the first time.
    snd_nxt: Dsn,
    window: SndWindow,
    peer_nxt: Dsn,
    peer_fin: PeerFin,
    subflows: Vec<Subflow>,
    checksum: bool,
    short: bool,
    /// Since when nothing was acknowledged.
    progress: Time,
    ack_now: bool,
    pub reinjected: u64,
    pub placed: Vec<u64>,
}

impl Sender {
    pub fn new(setup: &Setup) -> Self {
        let mut conn = Conn::connecting();
        let _ = conn.on_established();
        let subflows = setup.paths.iter().map(|path| Subflow {
            tcp: TcpTx::new(path.sender_isn, path.link.delay * 2),
            records: TxRecords::new(VecSlots::new(4096)),
            peer_isn: path.receiver_isn,
            wscale: path.wscale,
            backup: path.backup,
        });
        Self {
            conn,
            scheduler: Chosen::new(setup.scheduler),
            first: setup.first,
            total: setup.total,
            snd_nxt: setup.first,
            window: SndWindow::new(setup.first, 10_000),
            peer_nxt: setup.peer_first,
            peer_fin: PeerFin::default(),
            subflows: subflows.collect(),
            checksum: setup.checksum,
            short: setup.short,
            progress: 0,
            ack_now: false,
            reinjected: 0,
            placed: vec![0; setup.paths.len()],
        }
    }

    /// The user has written everything, and closes.
    pub fn close(&mut self) {
        let actions = self.conn.on_local_shutdown(self.first.add(self.total));
        assert!(actions.contains(Actions::SEND_DATA_FIN));
    }

    pub fn is_done(&self) -> bool {
        self.conn.state() == State::Close
    }

    /// Where it stands, for a failure's message.
    pub fn describe(&self) -> String {
        let at = |dsn: Dsn| dsn.since(self.first);
        let paths: Vec<_> = self.subflows.iter().map(|s| &s.tcp).collect();
        format!(
            "sender {:?} {} una {} nxt {} edge {} {paths:?}",
            self.conn.state(),
            self.total,
            at(self.window.snd_una),
            at(self.snd_nxt),
            at(self.window.right_edge),
        )
    }

    fn candidates(&self) -> Vec<Candidate> {
        (0u32..)
            .zip(&self.subflows)
            .map(|(id, subflow)| Candidate {
                id,
                srtt_us: subflow.tcp.srtt as u32,
                min_rtt_us: subflow.tcp.min_rtt as u32,
                cwnd: subflow.tcp.cwnd as u32,
                in_flight: subflow.tcp.in_flight() as u32,
                queued: (subflow.tcp.end - subflow.tcp.nxt) as u32,
                delivery_rate: subflow.tcp.delivery_rate,
                flown: subflow.tcp.in_flight() as u32,
                untried: subflow.tcp.slow_start(),
                send_room: 200_000u32.saturating_sub((subflow.tcp.end - subflow.tcp.una) as u32),
                backup: subflow.backup,
                stale: subflow.tcp.backoff >= 2,
            })
            .collect()
    }

    /// Places what can be placed, and sends what can be sent.
    pub fn push(&mut self, net: &mut Net) {
        loop {
            let end = self.first.add(self.total);
            let demand = Demand {
                pending: end.since(self.snd_nxt) as u64,
                window: self.window.available(self.snd_nxt),
            };
            let candidates = self.candidates();
            let pick = self.scheduler.select(&candidates, &demand);
            let Some(Pick { id, burst }) = pick else {
                break;
            };
            assert!(burst > 0 && u64::from(burst) <= demand.pending.min(demand.window));
            // Whole segments, as in the module: the remainder would travel in a segment of its own.
            let bytes = u64::from(burst).next_multiple_of(MSS);
            let bytes = bytes.min(demand.pending).min(demand.window);
            self.place(id as usize, self.snd_nxt, bytes);
            self.snd_nxt = self.snd_nxt.add(bytes);
            self.send(net, id as usize);
        }
        for path in 0..self.subflows.len() {
            self.send(net, path);
        }
        if self.ack_now {
            self.ack_now = false;
            self.probe(net);
        }
    }

    /// Queues bytes from `dsn` on on a subflow.
    fn place(&mut self, path: usize, mut dsn: Dsn, mut bytes: u64) {
        let subflow = &mut self.subflows[path];
        self.placed[path] += bytes;
        while bytes > 0 {
            let ssn = subflow.tcp.ssn(subflow.tcp.end);
            let unsent = subflow.tcp.ssn(subflow.tcp.nxt);
            let n = bytes.min(u64::from(MAP_LEN_MAX)) as u32;
            let joins = subflow
                .records
                .last()
                .is_some_and(|last| last.end_dsn() == dsn && last.ssn.at_or_after(unsent));
            if !(joins && subflow.records.extend_last(n, Checksum::new())) {
                let sum = Checksum::new();
                let record = TxRecord {
                    ssn,
                    len: n,
                    dsn,
                    sum,
                };
                subflow.records.push(record).unwrap();
            }
            subflow.tcp.end += u64::from(n);
            dsn = dsn.add(n.into());
            bytes -= u64::from(n);
        }
    }

    fn send(&mut self, net: &mut Net, path: usize) {
        while let Some(position) = self.subflows[path].tcp.next() {
            self.transmit(net, path, position);
        }
    }

    /// Sends the segment at `position`, for the first time or again. It never spans two mappings.
    /// Gives back its length.
    fn transmit(&mut self, net: &mut Net, path: usize, position: u64) -> u64 {
        let subflow = &self.subflows[path];
        let ssn = subflow.tcp.ssn(position);
        let record = *subflow.records.lookup(ssn).expect("a mapped byte");
        let rest = u64::from(record.end_ssn().relative(ssn));
        let len = rest.min(MSS).min(subflow.tcp.end - position);
        let dsn = record.dsn.add(ssn.relative(record.ssn).into());
        let payload = self.stream(dsn, len);
        let csum = self.checksum.then(|| {
            let relative = record.ssn.relative(subflow.tcp.isn);
            let mut sum = Checksum::of_mapping(record.dsn, relative, record.len as u16);
            sum.add(&self.stream(record.dsn, record.len.into()));
            sum.finish()
        });
        let map = DssMap {
            dsn: self.number(record.dsn),
            ssn: record.ssn.relative(subflow.tcp.isn),
            len: record.len as u16,
            csum,
        };
        let segment = self.segment(path, ssn, Some(map), false, payload);
        self.subflows[path].tcp.sent(position + len, net.now);
        net.send(path, Towards::Receiver, segment);
        len
    }

    fn stream(&self, dsn: Dsn, len: u64) -> Vec<u8> {
        let from = dsn.since(self.first) as u64;
        (from..from + len).map(byte).collect()
    }

    fn number(&self, dsn: Dsn) -> WireDsn {
        if self.short {
            WireDsn::Low32(dsn.0 as u32)
        } else {
            WireDsn::Full(dsn.0)
        }
    }

    fn segment(
        &self,
        path: usize,
        seq: Ssn,
        map: Option<DssMap>,
        data_fin: bool,
        payload: Vec<u8>,
    ) -> Segment {
        let dss = Dss {
            data_fin,
            ack: Some(self.number(self.peer_nxt)),
            map,
        };
        let mut mptcp = OptionBuf::new();
        dss.emit(&mut mptcp).unwrap();
        let mut options = [0; OPTIONS_MAX];
        let options_len = fit(&TIMESTAMPS, &mptcp, &mut options).unwrap();
        Segment {
            seq,
            ack: self.subflows[path].peer_isn.add(1),
            window: 0,
            hole_end: None,
            options,
            options_len,
            payload,
        }
    }

    /// The number of the DATA_FIN that is to be said: everything before it was sent, and it is not acknowledged.
    fn data_fin(&self) -> Option<Dsn> {
        let end = self.first.add(self.total);
        (self.conn.fin_pending() && self.snd_nxt == end).then_some(end)
    }

    /// A segment without data on every path: DATA_FIN, DATA_ACK, or a window probe.
    fn probe(&mut self, net: &mut Net) {
        let fin = self.data_fin().map(|dsn| DssMap {
            dsn: self.number(dsn),
            ssn: 0,
            len: 1,
            csum: None,
        });
        for path in 0..self.subflows.len() {
            let tcp = &self.subflows[path].tcp;
            let segment = self.segment(path, tcp.ssn(tcp.nxt), fin, fin.is_some(), Vec::new());
            net.send(path, Towards::Receiver, segment);
        }
    }

    /// A segment of the receiver's arrived.
    pub fn on_segment(&mut self, net: &mut Net, path: usize, segment: &Segment) {
        let options = Options::parse(&segment.options[..segment.options_len]);
        let dss = options.dss.expect("every segment has a DSS");
        let subflow = &mut self.subflows[path];
        let again = subflow.tcp.on_ack(segment.ack, segment.hole_end, net.now);
        let una = subflow.tcp.ssn(subflow.tcp.una);
        subflow.records.retire(una, self.window.snd_una);
        if let Some((mut from, to)) = again {
            while from < to {
                from += self.transmit(net, path, from);
            }
        }
        if let Some(ack) = dss.ack {
            let ack = ack.expand(self.window.snd_una);
            let window = u32::from(segment.window) << self.subflows[path].wscale;
            let fin = u64::from(self.data_fin().is_some());
            let update = self.window.update(ack, window, self.snd_nxt.add(fin));
            if update.acked > 0 {
                self.progress = net.now;
            }
            let _ = self.conn.on_data_ack(ack);
        }
        if let Some(map) = dss.map {
            let isn = self.subflows[path].peer_isn;
            let MapKind::DataFin { dsn } = MapKind::of(&dss, &map, isn, self.peer_nxt) else {
                panic!("the receiver sends no data");
            };
            self.peer_fin.announce(dsn, self.peer_nxt);
            if self.peer_fin.take(&mut self.peer_nxt) {
                let actions = self.conn.on_data_fin();
                assert!(actions.contains(Actions::EOF.and(Actions::SEND_ACK)));
            }
            // One that was acknowledged, too: the first DATA_ACK may have been lost.
            self.ack_now = true;
        }
        self.push(net);
    }

    pub fn on_tick(&mut self, net: &mut Net) {
        for path in 0..self.subflows.len() {
            if self.subflows[path].tcp.on_tick(net.now) {
                let una = self.subflows[path].tcp.una;
                self.transmit(net, path, una);
            }
        }
        let patience = self.subflows.iter().map(|s| s.tcp.srtt * 4).max();
        if net.now - self.progress > patience.unwrap_or(0).max(400_000) {
            self.progress = net.now;
            self.reinject();
            self.probe(net);
        }
        self.push(net);
    }

    /// Nothing was acknowledged for long: sends the first bytes again, on another subflow.
    fn reinject(&mut self) {
        let una = self.window.snd_una;
        let bytes = self.snd_nxt.since(una);
        if bytes <= 0 {
            return;
        }
        let holder = (0u32..).zip(&self.subflows).find(|(_, subflow)| {
            subflow
                .records
                .iter()
                .any(|record| !una.before(record.dsn) && una.before(record.end_dsn()))
        });
        let holder = holder.map(|(id, _)| id);
        let candidates = self.candidates();
        let pick = self.scheduler.reinject(&candidates, holder, bytes as u64);
        // The only one there is may have had its data pruned by the receiver.
        let pick = pick.or_else(|| self.scheduler.reinject(&candidates, None, bytes as u64));
        if let Some(Pick { id, burst }) = pick {
            self.reinjected += u64::from(burst);
            self.place(id as usize, una, burst.into());
        }
    }
}

/// What a DATA_ACK and its window changed.
#[derive(Default)]
struct WindowUpdate {
    /// Bytes acknowledged for the first time.
    acked: u64,
    /// The right edge moved: there may be more to send.
    opened: bool,
}

/// The window that the peer announced.
#[derive(Default)]
struct SndWindow {
    /// The first data sequence number not acknowledged.
    snd_una: Dsn,
    /// The first data sequence number that may not be sent.
    right_edge: Dsn,
}

impl SndWindow {
    /// The window after the handshake: the first byte is `first`, and `window` bytes may be sent.
    const fn new(first: Dsn, window: u32) -> Self {
        Self {
            snd_una: first,
            right_edge: first.add(window as u64),
        }
    }

    /// Takes a DATA_ACK and the window beside it, in bytes (`raw << wscale`). `snd_nxt` is the highest
    /// number sent, plus one.
    ///
    /// Old ones arrive on slow subflows and change nothing; the right edge of a DATA_ACK for what was
    /// never sent is not believed.
    fn update(&mut self, data_ack: Dsn, window: u32, snd_nxt: Dsn) -> WindowUpdate {
        if data_ack.after(snd_nxt) {
            return WindowUpdate::default();
        }
        let mut update = WindowUpdate::default();
        let edge = data_ack.add(u64::from(window));
        if edge.after(self.right_edge) {
            self.right_edge = edge;
            update.opened = true;
        }
        if data_ack.after(self.snd_una) {
            update.acked = data_ack.0.wrapping_sub(self.snd_una.0);
            self.snd_una = data_ack;
        }
        update
    }

    /// Bytes that may be sent from `dsn` on.
    const fn available(&self, dsn: Dsn) -> u64 {
        let available = self.right_edge.since(dsn);
        if available > 0 {
            available as u64
        } else {
            0
        }
    }
}

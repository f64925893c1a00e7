// SPDX-License-Identifier: GPL-2.0

//! The host that receives: mappings, reordering, window, and a user who reads now and then.

use super::super::model::VecSlots;
use super::net::{Net, Segment, Towards};
use super::tcp::TcpRx;
use super::{byte, PeerFin, Setup};
use mptcp_proto::checksum::Checksum;
use mptcp_proto::conn::{Actions, Conn, State};
use mptcp_proto::option::{Dss, DssMap, OptionBuf, Options, WireDsn, OPTIONS_MAX};
use mptcp_proto::reorder::{Insert, Payload, Reorder, Run};
use mptcp_proto::rx_map::{MapKind, RxMapping, RxMappings};
use mptcp_proto::seq::{Dsn, Ssn};
use mptcp_proto::window::RcvWindow;

#[derive(Debug, Default)]
pub struct Bytes(Vec<u8>);

impl Payload for Bytes {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn trim_front(&mut self, n: usize) {
        self.0.drain(..n);
    }

    fn trim_back(&mut self, n: usize) {
        self.0.truncate(self.0.len() - n);
    }

    fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

struct Subflow {
    tcp: TcpRx,
    mappings: RxMappings<VecSlots<RxMapping>>,
    own_isn: Ssn,
    wscale: u8,
    /// The checksum of the mapping that is being received.
    sum: Option<(Ssn, Checksum)>,
}

pub struct Receiver {
    pub conn: Conn,
    first: Dsn,
    rcv_nxt: Dsn,
    fin: PeerFin,
    window: RcvWindow,
    queue: Reorder<Bytes, VecSlots<Run<Bytes>>>,
    subflows: Vec<Subflow>,
    /// What the user has not read.
    unread: u64,
    buffer: u64,
    /// What the user has had, in all.
    delivered: u64,
    own_next: Dsn,
    checksum: bool,
    short: bool,
    pub pruned: u64,
}

impl Receiver {
    pub fn new(setup: &Setup) -> Self {
        let subflows = setup.paths.iter().map(|path| Subflow {
            tcp: TcpRx::new(path.sender_isn),
            mappings: RxMappings::new(VecSlots::new(4096), path.sender_isn.add(1)),
            own_isn: path.receiver_isn,
            wscale: path.wscale,
            sum: None,
        });
        let mut window = RcvWindow {
            right_edge: setup.first,
        };
        // What the sender starts with.
        window.announce(setup.first, 10_000, 0);
        Self {
            conn: Conn::accepted(),
            first: setup.first,
            rcv_nxt: setup.first,
            fin: PeerFin::default(),
            window,
            queue: Reorder::new(VecSlots::new(setup.runs)),
            subflows: subflows.collect(),
            unread: 0,
            buffer: setup.buffer,
            delivered: 0,
            own_next: setup.peer_first,
            checksum: setup.checksum,
            short: setup.short,
            pruned: 0,
        }
    }

    pub fn is_done(&self) -> bool {
        self.conn.state() == State::Close
    }

    /// Where it stands, for a failure's message.
    pub fn describe(&self) -> String {
        let at = |dsn: Dsn| dsn.since(self.first);
        let runs: Vec<_> = self.queue.iter().map(|r| (at(r.dsn()), r.len())).collect();
        let paths: Vec<_> = self.subflows.iter().map(|s| s.tcp.nxt).collect();
        format!(
            "receiver {:?} nxt {} edge {} unread {} runs {runs:?} of {} paths {paths:?}",
            self.conn.state(),
            at(self.rcv_nxt),
            at(self.window.right_edge),
            self.unread,
            self.buffer,
        )
    }

    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    pub fn on_segment(&mut self, net: &mut Net, path: usize, segment: Segment) {
        let options = Options::parse(&segment.options[..segment.options_len]);
        assert_eq!((options.invalid, options.truncated), (0, false));
        let dss = options.dss.expect("every segment has a DSS");
        if let Some(ack) = dss.ack {
            let _ = self.conn.on_data_ack(ack.expand(self.own_next));
        }
        if let Some(map) = dss.map {
            match MapKind::of(&dss, &map, self.subflows[path].tcp.isn, self.rcv_nxt) {
                MapKind::Data(mapping) => {
                    assert_eq!(mapping.csum.is_some(), self.checksum);
                    let inserted = self.subflows[path].mappings.insert(mapping);
                    inserted.expect("a mapping that contradicts none");
                }
                MapKind::DataFin { dsn } => self.fin.announce(dsn, self.rcv_nxt),
                MapKind::Infinite { .. } => panic!("nobody falls back"),
            }
        }
        let ready = self.subflows[path]
            .tcp
            .on_segment(segment.seq, segment.payload);
        if let Some((position, bytes)) = ready {
            self.take(path, position, &bytes);
        }
        if self.fin.take(&mut self.rcv_nxt) {
            let actions = self.conn.on_data_fin();
            assert!(actions.contains(Actions::EOF.and(Actions::SEND_ACK)));
        }
        self.acknowledge(net, path);
    }

    /// Takes bytes that a subflow has in order: finds their mappings, and puts them where they belong.
    fn take(&mut self, path: usize, position: u64, mut bytes: &[u8]) {
        let subflow = &mut self.subflows[path];
        let mut ssn = subflow.tcp.isn.add(1).add(position as u32);
        while !bytes.is_empty() {
            let mapping = subflow.mappings.lookup(ssn).expect("a mapped byte");
            let rest = mapping.end_ssn().relative(ssn) as usize;
            let (piece, behind) = bytes.split_at(rest.min(bytes.len()));
            if let Some(csum) = mapping.csum {
                let relative = mapping.ssn.relative(subflow.tcp.isn);
                let fresh =
                    || Checksum::of_mapping(mapping.dsn, relative, mapping.data_level_len());
                let (_, sum) = subflow
                    .sum
                    .filter(|(start, _)| *start == mapping.ssn)
                    .unwrap_or_else(|| (mapping.ssn, fresh()));
                let mut sum = sum;
                sum.add(piece);
                subflow.sum = Some((mapping.ssn, sum));
                if piece.len() == rest {
                    assert!(sum.verify(csum), "a checksum is wrong");
                }
            }
            let dsn = mapping.dsn_of(ssn);
            ssn = ssn.add(piece.len() as u32);
            subflow.mappings.consume(ssn);
            let end = dsn.add(piece.len() as u64);
            assert!(!end.after(self.window.right_edge), "beyond the window");
            match self.queue.insert(dsn, Bytes(piece.to_vec()), self.rcv_nxt) {
                Insert::InOrder(payload) => {
                    deliver(self.first, &mut self.rcv_nxt, &payload);
                    self.unread += payload.len() as u64;
                    let mut rcv_nxt = self.rcv_nxt;
                    while let Some(payload) = self.queue.pop_ready(&mut rcv_nxt) {
                        deliver(self.first, &mut self.rcv_nxt, &payload);
                        self.unread += payload.len() as u64;
                        assert_eq!(self.rcv_nxt, rcv_nxt);
                    }
                }
                Insert::Queued { .. } | Insert::Duplicate => {}
                // Too many holes: what is needed last goes.
                Insert::NoSpace(_) => self.pruned += piece.len() as u64,
            }
            bytes = behind;
        }
    }

    /// The user reads up to `most` bytes.
    pub fn read(&mut self, net: &mut Net, most: u64) {
        let n = self.unread.min(most);
        self.unread -= n;
        self.delivered += n;
        if self.conn.state() == State::CloseWait && self.unread == 0 {
            let _ = self.conn.on_local_shutdown(self.own_next);
        }
        if n > 0 || self.conn.fin_pending() {
            for path in 0..self.subflows.len() {
                self.acknowledge(net, path);
            }
        }
    }

    /// Sends an ACK with the DATA_ACK, the window and perhaps our DATA_FIN.
    fn acknowledge(&mut self, net: &mut Net, path: usize) {
        let waiting: usize = self.queue.iter().map(Run::len).sum();
        let held = self.unread + waiting as u64;
        let free = self.buffer.saturating_sub(held) as u32;
        let subflow = &self.subflows[path];
        let window = self.window.announce(self.rcv_nxt, free, subflow.wscale);
        let number = |dsn: Dsn| match self.short {
            true => WireDsn::Low32(dsn.0 as u32),
            false => WireDsn::Full(dsn.0),
        };
        let fin = self.conn.fin_pending().then_some(self.own_next);
        let dss = Dss {
            data_fin: fin.is_some(),
            ack: Some(number(self.rcv_nxt)),
            map: fin.map(|dsn| DssMap {
                dsn: number(dsn),
                ssn: 0,
                len: 1,
                csum: None,
            }),
        };
        let mut mptcp = OptionBuf::new();
        dss.emit(&mut mptcp).unwrap();
        let mut options = [0; OPTIONS_MAX];
        let options_len = mptcp.padded_len();
        options[..options_len].copy_from_slice(mptcp.as_padded());
        let segment = Segment {
            seq: subflow.own_isn.add(1),
            ack: subflow.tcp.ack(),
            window,
            hole_end: subflow.tcp.hole_end(),
            options,
            options_len,
            payload: Vec::new(),
        };
        net.send(path, Towards::Sender, segment);
    }
}

/// Checks that these are the next bytes of the stream.
fn deliver(first: Dsn, rcv_nxt: &mut Dsn, payload: &Bytes) {
    let from = rcv_nxt.since(first) as u64;
    for (at, &got) in (from..).zip(&payload.0) {
        assert_eq!(got, byte(at), "byte {at} of the stream");
    }
    *rcv_nxt = rcv_nxt.add(payload.0.len() as u64);
}

// SPDX-License-Identifier: GPL-2.0

//! Options of incoming segments, read in netfilter's `LOCAL_IN`, before TCP sees the segment.
//!
//! Nothing was checked yet and no lock is held. What is believed is therefore checked here, as TCP will:
//! the checksum, and that the segment lies in the window. What has to be done is left for the callbacks
//! that TCP makes when it has processed the segment.
//!
//! The options are then taken off the segment where that is easy: TCP's header prediction works again.

use super::{flag, shared, Connection, Pending, Subflow, Syn, Tally};
use crate::proto::option::{find_mptcp, only_dss, timestamp, Dss, DssMap, Options};
use crate::proto::rx_map::{Inserted, MapError, MapKind};
use crate::proto::seq::Ssn;
use crate::sys::glance::Glance;
use crate::sys::skb::{flag as tcp, RxSegment, Skb};
use crate::sys::sock::{state, Sock};
use crate::sys::ulp::{self, SubflowOps};
use core::sync::atomic::Ordering;

/// Options that TCP itself wants to see come first: padding and timestamps.
const TIMESTAMPS: usize = 12;

/// A packet for this host. False: it is dropped, as if the network had lost it.
#[inline]
pub fn local_in<C: Connection>(packet: &mut Skb, family: u16) -> bool {
    packet.demux(family);
    let Some((sk, subflow)) = ulp::of_packet::<Subflow<C>>(packet) else {
        return true;
    };
    if matches!(sk.state(), state::LISTEN | state::SYN_SENT | state::CLOSE) {
        return true;
    }
    subflow.on_packet(packet, sk, family)
}

/// A packet from this host: SYN-ACKs, and SYNs that TCP has sent behind our back. False: it must not leave.
pub fn local_out<C: Connection>(packet: &mut Skb, family: u16) -> bool {
    if ulp::is_request(packet) {
        return Subflow::<C>::requests().outgoing(
            packet,
            family,
            // Without what the peer expects, it would break off, but its third ACK would make a connection.
            |syn| matches!(syn, Syn::Join(..)),
            |listener, syn, isn| Subflow::<C>::on_request(listener, syn, isn),
            |pending: &Pending<C>, seg| Subflow::<C>::synack(pending, seg),
        );
    }
    let requests = Subflow::<C>::requests();
    requests.outgoing_reset(packet, family, |reset, seg| {
        Subflow::<C>::refuse(reset, seg);
    });
    if packet.sk_ptr().is_null() {
        requests.stateless(packet, family, |listener, syn, seg| {
            ulp::with_listener::<Subflow<C>, _>(listener, |_, context| {
                context.synack_stateless(syn, seg)
            })
            .unwrap_or(false)
        });
        return true;
    }
    ulp::bypassed::<Subflow<C>>(packet, family);
    true
}

impl<C: Connection> Subflow<C> {
    fn on_packet(&self, packet: &mut Skb, sk: &Sock, family: u16) -> bool {
        let Some(mut seg) = packet.local_in(family) else {
            return true;
        };
        let header = seg.header();
        let (flags, seq, ack) = (header.flags(), header.seq(), header.ack());
        if flags & tcp::SYN != 0 || flags & tcp::ACK == 0 && flags & tcp::RST == 0 {
            return true;
        }
        let window = header.window();
        let options = header.options();
        let dss = only_dss(options);
        let tsval = timestamp(options);
        let mptcp = dss.is_some() || find_mptcp(options);
        let len = seg.payload_len();
        if !mptcp && (len > 0 || !self.in_doubt(ack)) {
            return true;
        }
        let glance = Glance::at(sk);
        let fin = u32::from(flags & tcp::FIN != 0);
        let end = seq.wrapping_add(len).wrapping_add(fin);
        let rst = flags & tcp::RST != 0;
        if !glance.acceptable(seq, end, ack)
            || !rst && tsval.is_some_and(|tsval| glance.stale(tsval))
            || !seg.checksum_ok()
        {
            return true;
        }
        if !mptcp {
            self.set(flag::PEER_PLAIN);
            return true;
        }
        if let (Some(dss), false, false, Some(conn)) =
            (&dss, rst, self.is(flag::KEYLESS), self.conn())
        {
            let keep = conn.shared().is(shared::flag::FALLBACK)
                || !self.is(flag::MPTCP)
                || self.on_dss(conn, sk, glance, dss, len, window);
            if keep {
                // It stands behind nothing but timestamps, so it can be cut off.
                seg.truncate_options(if tsval.is_some() { TIMESTAMPS } else { 0 });
            }
            return keep;
        }
        self.on_unusual(&mut seg, sk, len, window, rst)
    }

    /// The rest of [`Self::on_packet`], for whatever is not a DSS alone.
    #[inline(never)]
    fn on_unusual(
        &self,
        seg: &mut RxSegment<'_>,
        sk: &Sock,
        len: u32,
        window: u16,
        rst: bool,
    ) -> bool {
        let options = seg.header().options();
        let mut parsed = Options::parse(options);
        if rst {
            if let (Some(conn), true) = (self.conn(), parsed.fail.is_some()) {
                conn.tally(Tally::FailSeen);
            }
            // It ends the subflow, if TCP takes it, and says nothing of data.
            parsed = Options {
                fastclose: parsed.fastclose,
                rst: parsed.rst,
                ..Options::NONE
            };
        } else {
            parsed.rst = None;
        }
        let keep = self.on_options(&parsed, sk, Glance::at(sk), len, window);
        if keep && !rst {
            // Only what stands behind nothing but timestamps can be cut off.
            let options = seg.header().options();
            let stamped = options
                .get(..TIMESTAMPS)
                .is_some_and(|o| o.starts_with(&[1, 1, 8, 10]));
            if stamped {
                if options.get(TIMESTAMPS) == Some(&30) {
                    seg.truncate_options(TIMESTAMPS);
                }
            } else if options.first() == Some(&30) {
                seg.truncate_options(0);
            }
        }
        keep
    }

    /// Whether an ACK up to `ack` without any option of ours says that something strips them: it is for
    /// data, and no data of ours was acknowledged with a DATA_ACK yet (RFC 8684 section 3.7). Data without
    /// a mapping is found out when it is read.
    #[inline]
    fn in_doubt(&self, ack: u32) -> bool {
        self.is(flag::MPTCP)
            && Ssn(ack).after(self.iss().add(1))
            && self.conn().is_some_and(|conn| !conn.shared().confirmed())
    }

    /// False: the segment must not reach TCP now.
    fn on_options(
        &self,
        options: &Options,
        sk: &Sock,
        glance: Glance<'_>,
        len: u32,
        window: u16,
    ) -> bool {
        let Some(conn) = self.conn() else {
            // The connection is being made on another CPU: its peer sends again.
            return len == 0;
        };
        let shared = conn.shared();
        if self.is(flag::KEYLESS) && !self.on_keyless(conn, options, sk) {
            return false;
        }
        if shared.is(shared::flag::FALLBACK) || !self.is(flag::MPTCP) {
            return true;
        }
        if options.rst.is_some() || options.join.is_some() || options.fail.is_some() {
            self.on_control(conn, options);
        }
        if let Some(fastclose) = options.fastclose {
            if fastclose.key == shared.key {
                conn.fastclosed();
            }
        }
        if options.add_addr.is_some() || options.rm_addr.is_some() || options.prio.is_some() {
            self.now_fully(conn, sk);
            conn.announced(self, sk, options);
        }
        if let (true, Some(capable)) = (len > 0, options.capable) {
            if let Some(map) = shared.first_mapping(&capable) {
                self.set(flag::SEEN_DSS);
                self.trace_dss(&Dss::default(), Some(&map), true);
                return self.on_mapping(conn, sk, &Dss::default(), &map, len);
            }
        }
        match &options.dss {
            Some(dss) => self.on_dss(conn, sk, glance, dss, len, window),
            None => true,
        }
    }

    /// A DSS. False: the segment must not reach TCP now.
    #[inline]
    fn on_dss(
        &self,
        conn: &C,
        sk: &Sock,
        glance: Glance<'_>,
        dss: &Dss,
        len: u32,
        window: u16,
    ) -> bool {
        let shared = conn.shared();
        if !self.is(flag::SEEN_DSS) {
            self.set(flag::SEEN_DSS);
        }
        if dss.ack.is_some() || !self.is(flag::JOIN) {
            self.now_fully(conn, sk);
        }
        if let Some(wire) = dss.ack {
            let old = shared.snd_una.get();
            let (ack, window) = (wire.expand(old), u32::from(window) << glance.snd_wscale());
            shared.on_data_ack(ack, window);
            self.trace_ack(conn, sk, (wire, ack, old), window);
        }
        if len > 0 {
            self.trace_dss(dss, dss.map.as_ref(), false);
        }
        match &dss.map {
            Some(map) => self.on_mapping(conn, sk, dss, map, len),
            None => true,
        }
    }

    /// Something has come that only a peer sends who knows about the subflow.
    #[inline]
    fn now_fully(&self, conn: &C, sk: &Sock) {
        if !self.is(flag::FULLY) && self.set(flag::FULLY) {
            conn.fully_established(self, sk);
        }
    }

    /// Options about the subflow itself.
    #[cold]
    fn on_control(&self, conn: &C, options: &Options) {
        if let Some(rst) = options.rst {
            self.reset_seen.store(super::pack(rst), Ordering::Relaxed);
            self.set(flag::RESET_SEEN);
            conn.tally(Tally::ResetSeen);
        }
        if options.fail.is_some() {
            self.set(flag::FAIL_SEEN);
            conn.tally(Tally::FailSeen);
        }
        if options.join.is_some() && self.is(flag::JOIN) {
            // The third ACK again: the fourth was lost.
            self.set(flag::ACK_DUE);
        }
    }

    #[inline]
    fn on_mapping(&self, conn: &C, sk: &Sock, dss: &Dss, map: &DssMap, len: u32) -> bool {
        let shared = conn.shared();
        match MapKind::of(dss, map, self.irs(), shared.rcv_nxt.get()) {
            MapKind::DataFin { dsn } => {
                if conn.data_fin(dsn) {
                    self.set(flag::ACK_DUE);
                }
            }
            MapKind::Infinite { ssn, dsn } => {
                if shared.is_stream(dsn, ssn.relative(self.irs().add(1))) {
                    self.set(flag::INFINITE_RX);
                }
            }
            MapKind::Data(mapping) => {
                if len == 0 {
                    return true;
                }
                if map.csum.is_some() && !shared.agreed().is_some_and(|agreed| agreed.checksum) {
                    // Whoever sends one unasked does not speak as agreed (RFC 8684 section 3.3.1).
                    self.set(flag::BAD_MAP);
                    return true;
                }
                if mapping.ssn == self.irs().add(1) && !shared.begins(mapping.dsn) {
                    // The two ends do not mean the same key (RFC 8684 section 3.1).
                    conn.tally(Tally::MapElsewhere);
                    self.set(flag::BAD_MAP);
                    return true;
                }
                let inserted = self.maps.lock().insert(mapping);
                if inserted == Ok(Inserted::New) {
                    self.trace_mapping(sk, mapping);
                }
                match inserted {
                    Ok(_) if mapping.data_fin => {
                        conn.data_fin(mapping.end_dsn());
                    }
                    Ok(_) => {}
                    // Without its mapping the data is worth nothing; it will be sent again.
                    Err(MapError::NoSpace) => return false,
                    Err(error) => {
                        conn.tally(if error == MapError::Conflict {
                            Tally::MapConflict
                        } else {
                            Tally::MapElsewhere
                        });
                        self.set(flag::BAD_MAP);
                    }
                }
            }
        }
        true
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Options and window of outgoing segments.
//!
//! TCP calls with every finished segment, a retransmission or a new one, and TSO will copy its header to
//! each packet that the segment is cut into. So what is written depends on the sequence number alone: the
//! record that [`super::send`] made when the bytes were queued.

use super::shared::{Announced, Conflict, Shared};
use super::{flag, Connection, Subflow, Tally};
use crate::proto::checksum::Checksum;
use crate::proto::crypto::add_addr_hmac;
use crate::proto::fallback::FallbackCause;
use crate::proto::handshake::CapableClient;
use crate::proto::option::{fit, fit_without_timestamps, is_plain, room_for, OPTIONS_MAX};
use crate::proto::option::{AddAddr, Dss, DssMap, FastClose, MpFail, MpPrio, NoSpace};
use crate::proto::option::{OptionBuf, WireDsn};
use crate::proto::pm::Signal;
use crate::proto::seq::{Dsn, Ssn};
use crate::proto::tx_map::TxRecord;
use crate::sys::sha256::KernelSha256;
use crate::sys::skb::{flag as tcp, TxSegment};
use crate::sys::tcp::Ssk;
use crate::sys::ulp;
use core::sync::atomic::Ordering;

/// How often a SYN with MP_CAPABLE is sent again before one goes without it.
const CAPABLE_RETRIES: u8 = 2;

/// The segment that options are written for.
struct Saying<'a> {
    shared: &'a Shared,
    /// The DATA_ACK.
    rcv_nxt: Dsn,
    seq: Ssn,
    payload: u32,
}

impl Saying<'_> {
    /// Writes `dss`, and takes note that its DATA_ACK is told.
    #[inline]
    fn emit(&self, dss: &Dss, buf: &mut OptionBuf) -> Result<(), NoSpace> {
        dss.emit(buf)?;
        self.shared.rcv_acked.advance(self.rcv_nxt);
        Ok(())
    }
}

impl<C: Connection> Subflow<C> {
    /// Writes what MPTCP has to say into a segment that leaves.
    #[inline]
    pub(super) fn on_transmit(&self, ssk: &mut Ssk<'_>, seg: &mut TxSegment<'_>) {
        let header = seg.header();
        let (flags, seq) = (header.flags(), header.seq());
        let Some(conn) = self.conn() else {
            return;
        };
        let mut buf = OptionBuf::new();
        if flags & tcp::SYN != 0 {
            if flags & tcp::ACK == 0 {
                self.iss.store(seq, Ordering::Relaxed);
                if self.is(flag::JOIN) {
                    self.join_syn(ssk, conn, &mut buf);
                } else {
                    self.capable_syn(ssk, conn, &mut buf);
                }
            } else if self.is(flag::ASK) {
                // A SYN has come where a SYN-ACK was due: both hosts connect at once, and nobody is the one
                // to tell its key first.
                conn.fall_back(ssk, FallbackCause::SimultaneousConnect);
            }
            return append(seg, &buf);
        }
        let shared = conn.shared();
        // The DATA_ACK and the window beside it are told of one moment: their sum is the right edge.
        let rcv_nxt = shared.rcv_nxt.get();
        if shared.is(super::shared::flag::AGREED) {
            let free = ssk.window_from_space(conn.rcv_space()).max(0) as u32;
            let said = shared.announce(rcv_nxt, free, ssk.rcv_wscale());
            seg.set_window(said.field);
            if said.raised && said.bytes > ssk.rcv_wnd() || said.conflict.is_some() {
                Self::count_window(conn, &said);
            }
            ssk.announced_window(said.bytes);
            self.trace_window(conn, ssk.sock(), rcv_nxt, said.bytes, free);
        }
        if !self.is(flag::MPTCP) {
            return;
        }
        let payload = seg.payload_len();
        // Beside MP_FAIL there is no room for a mapping.
        let fail = payload == 0 && self.is(flag::FAIL_DUE);
        if shared.is(super::shared::flag::FALLBACK) {
            if fail && flags & tcp::RST == 0 {
                self.say_fail(conn, &mut buf);
            } else if flags & tcp::RST == 0 {
                self.infinite(shared, Ssn(seq), &mut buf);
            }
            return append(seg, &buf);
        }
        if self.is(flag::FASTCLOSE) && flags & tcp::RST != 0 {
            if let Some(agreed) = shared.agreed() {
                let _ = FastClose {
                    key: agreed.peer_key,
                }
                .emit(&mut buf);
            }
        }
        if fail {
            self.say_fail(conn, &mut buf);
        }
        if flags & tcp::RST != 0 {
            let why = super::unpack(self.reset.load(Ordering::Relaxed));
            if why.emit(&mut buf).is_ok() {
                conn.tally(Tally::ResetSent);
            }
            return append(seg, &buf);
        }
        if fail {
            return append(seg, &buf);
        }
        let saying = Saying {
            shared,
            rcv_nxt,
            seq: Ssn(seq),
            payload,
        };
        if payload == 0 && self.is(flag::FULLY) {
            if self.clear(flag::PRIO) {
                let backup = self.is(flag::BACKUP);
                if (MpPrio { backup }).emit(&mut buf).is_ok() {
                    conn.prio_sent();
                }
                let mut dss = self.dss(&saying, None);
                if buf.len().saturating_add(dss.wire_len().into())
                    > room_for(seg.header().options())
                {
                    // The DATA_FIN is said again if it is not acknowledged, the priority is not.
                    (dss.data_fin, dss.map) = (false, None);
                }
                let _ = saying.emit(&dss, &mut buf);
                return append(seg, &buf);
            } else if conn.has_announcement() && self.announcement(conn, &saying, seg, &mut buf) {
                return append(seg, &buf);
            }
        }
        let written = self.options(ssk, conn, &saying, &mut buf);
        if written.is_ok() || !buf.is_empty() {
            append(seg, &buf);
        }
    }

    /// The window that is announced is not what there is room for.
    #[cold]
    fn count_window(conn: &C, said: &Announced) {
        // TCP would not have said so much by itself: another subflow has.
        if said.raised && conn.shared().is(super::shared::flag::MULTI) {
            conn.tally(Tally::WindowShared);
        }
        match said.conflict {
            Some(Conflict::GaveWay) => conn.tally(Tally::WindowGaveWay),
            Some(Conflict::Won) => conn.tally(Tally::WindowWon),
            None => {}
        }
    }

    /// The option of the first subflow's SYN. None any more when it was sent some times and not answered: then a SYN
    /// without it may get through (RFC 8684 section 3.1).
    fn capable_syn(&self, ssk: &mut Ssk<'_>, conn: &C, buf: &mut OptionBuf) {
        if !self.is(flag::ASK) {
            // If this one is answered, it was not for what it lacks.
            self.clear(flag::UNHEARD);
        } else if ssk.retransmits() <= CAPABLE_RETRIES {
            let _ = self.client(conn).syn().emit(buf);
        } else {
            self.clear(flag::ASK);
            self.set(flag::UNHEARD);
            conn.fall_back(ssk, FallbackCause::Vanished);
        }
    }

    /// MP_FAIL, once: on a segment without data.
    #[cold]
    fn say_fail(&self, conn: &C, buf: &mut OptionBuf) {
        self.clear(flag::FAIL_DUE);
        let dsn = Dsn(self.fail_dsn.load(Ordering::Relaxed));
        if (MpFail { dsn }).emit(buf).is_ok() {
            conn.tally(Tally::FailSent);
        }
    }

    /// The infinite mapping from byte `seq` on, while it is due: from now on this subflow's bytes are the
    /// stream.
    fn infinite(&self, shared: &Shared, seq: Ssn, buf: &mut OptionBuf) -> bool {
        let due = self.infinite_due.load(Ordering::Relaxed);
        if due == 0 {
            return false;
        }
        self.infinite_due
            .store(due.saturating_sub(1), Ordering::Relaxed);
        let ssn = seq.relative(self.iss());
        let dsn = shared.local.idsn.add(u64::from(ssn));
        let map = DssMap {
            dsn: WireDsn::Full(dsn.0),
            ssn,
            len: 0,
            csum: None,
        };
        Dss {
            data_fin: false,
            ack: Some(WireDsn::Full(shared.rcv_nxt.get().0)),
            map: Some(map),
        }
        .emit(buf)
        .is_ok()
    }

    /// Puts an announcement onto a segment without data, and a DSS if there is room: where filters expect
    /// them, behind ADD_ADDR and before REMOVE_ADDR. False if there is no announcement that fits.
    #[cold]
    fn announcement(
        &self,
        conn: &C,
        saying: &Saying<'_>,
        seg: &mut TxSegment<'_>,
        buf: &mut OptionBuf,
    ) -> bool {
        let shared = saying.shared;
        let room = room_for(seg.header().options());
        let (Some(agreed), Some(signal)) = (shared.agreed(), conn.announcement(room)) else {
            return false;
        };
        let dss = self.dss(saying, None);
        let len = usize::from(dss.wire_len()).saturating_add(signal.wire_len());
        let both = len.saturating_add(buf.len()) <= room;
        let leads = matches!(signal, Signal::RmAddr(_));
        if both && leads {
            let _ = saying.emit(&dss, buf);
        }
        let written = match signal {
            Signal::Echo { id, addr } => AddAddr {
                id,
                addr: addr.ip(),
                port: addr.some_port(),
                hmac: None,
            }
            .emit(buf),
            Signal::AddAddr { id, addr } => {
                let (ip, port) = (addr.ip(), addr.some_port());
                let (ours, theirs) = (shared.key, agreed.peer_key);
                let hmac = add_addr_hmac::<KernelSha256>(ours, theirs, id, ip, port);
                AddAddr {
                    id,
                    addr: ip,
                    port,
                    hmac: Some(hmac),
                }
                .emit(buf)
            }
            Signal::RmAddr(list) => list.emit(buf),
        };
        if both && !leads {
            let _ = saying.emit(&dss, buf);
        }
        written.is_ok()
    }

    fn client(&self, conn: &C) -> CapableClient {
        CapableClient {
            config: conn.config(),
            key: conn.shared().key,
        }
    }

    fn options(
        &self,
        ssk: &mut Ssk<'_>,
        conn: &C,
        saying: &Saying<'_>,
        buf: &mut OptionBuf,
    ) -> Result<(), NoSpace> {
        let Saying {
            shared,
            seq,
            payload,
            ..
        } = *saying;
        let record = if payload > 0 {
            self.record(ssk, seq)
        } else {
            None
        };
        if !self.is(flag::FULLY) && self.is(flag::CLIENT) && seq == self.iss().add(1) {
            if self.is(flag::JOIN) {
                return match self.join_ack(ssk, conn) {
                    Some(ack) => ack.emit(buf),
                    None => Ok(()),
                };
            }
            if let Some(agreed) = shared.agreed() {
                let client = self.client(conn);
                return match record {
                    Some(record) => {
                        let csum = self.is(flag::CSUM).then(|| {
                            let len = record.len as u16;
                            let mut sum = Checksum::of_mapping(record.dsn, 1, len);
                            sum.append(record.sum);
                            sum.finish()
                        });
                        let first = client.first_data(&agreed, record.len as u16, csum);
                        first.emit(buf)
                    }
                    None if payload == 0 && shared.fin_due().is_none() => {
                        client.ack(&agreed).emit(buf)
                    }
                    None => saying.emit(&self.dss(saying, None), buf),
                };
            }
        }
        saying.emit(&self.dss(saying, record), buf)
    }

    /// The DSS of a segment that carries bytes of `record`, or none.
    #[inline]
    fn dss(&self, saying: &Saying<'_>, record: Option<TxRecord>) -> Dss {
        let shared = saying.shared;
        let mut data_fin = false;
        let map = match record {
            Some(record) => {
                let mut len = record.len as u16;
                if let Some(fin) = shared.fin_due() {
                    if record.dsn.add(record.len.into()) == fin && len < u16::MAX {
                        data_fin = true;
                        len += 1;
                    }
                }
                Some(DssMap {
                    dsn: WireDsn::Full(record.dsn.0),
                    ssn: record.ssn.relative(self.iss()),
                    len,
                    csum: self.is(flag::CSUM).then(|| {
                        let ssn = record.ssn.relative(self.iss());
                        let mut sum = Checksum::of_mapping(record.dsn, ssn, len);
                        sum.append(record.sum);
                        sum.finish()
                    }),
                })
            }
            None => shared.fin_due().map(|fin| {
                data_fin = true;
                DssMap {
                    dsn: WireDsn::Full(fin.0),
                    ssn: 0,
                    len: 1,
                    csum: self
                        .is(flag::CSUM)
                        .then(|| Checksum::of_mapping(fin, 0, 1).finish()),
                }
            }),
        };
        Dss {
            data_fin,
            ack: Some(WireDsn::Full(saying.rcv_nxt.0)),
            map,
        }
    }

    /// The record of the byte `seq`.
    #[inline]
    fn record(&self, ssk: &mut Ssk<'_>, seq: Ssn) -> Option<TxRecord> {
        ulp::locked::<Self, _>(ssk, |locked| locked.tx.lookup(seq).copied())?
    }
}

/// As [`append`], for a SYN-ACK. With a Fast Open cookie there is no room for timestamps (RFC 8684 appendix
/// B.1): false if they had to go.
pub(super) fn append_synack(seg: &mut TxSegment<'_>, buf: &OptionBuf) -> bool {
    let mut area = [0; 40];
    let found = seg.header().options();
    let (len, kept) = match fit(found, buf, &mut area) {
        Some(len) => (Some(len), true),
        None => (fit_without_timestamps(found, buf, &mut area), false),
    };
    match len.and_then(|len| area.get(..len)) {
        Some(options) => {
            let written = seg.set_options(options).is_ok();
            kept || !written
        }
        None => true,
    }
}

/// Puts `buf` behind the options that TCP wrote.
#[inline]
pub(super) fn append(seg: &mut TxSegment<'_>, buf: &OptionBuf) {
    if buf.is_empty() {
        return;
    }
    let existing = seg.header().options();
    // Without memory the segment leaves as it is, and its data is sent again later.
    if is_plain(existing) && existing.len() + buf.padded_len() <= OPTIONS_MAX {
        let _ = seg.append_options(buf.as_padded());
        return;
    }
    append_fitting(seg, buf);
}

/// The same where something has to give way.
#[cold]
fn append_fitting(seg: &mut TxSegment<'_>, buf: &OptionBuf) {
    let mut area = [0; OPTIONS_MAX];
    let len = fit(seg.header().options(), buf, &mut area);
    if let Some(options) = len.and_then(|len| area.get(..len)) {
        let _ = seg.set_options(options);
    }
}

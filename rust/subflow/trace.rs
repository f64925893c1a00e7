// SPDX-License-Identifier: GPL-2.0

//! What a subflow tells tracepoints.

use super::{flag, Connection, Subflow};
use crate::observe::trace::{
    self, AckUpdate, AckUpdateMsk, Acked, CheckDataAvail, DataAcked, DataAvail, Event, Flow,
    GetMappingStatus, How, Mapping, MappingAdded, Reinject, ReinjectEvent, Reinjection,
    SendmsgFrag, Window, WindowEvent,
};
use crate::proto::checksum::Checksum;
use crate::proto::option::{Dss, DssMap, WireDsn};
use crate::proto::ranges::Range;
use crate::proto::rx_map::RxMapping;
use crate::proto::seq::{Dsn, Ssn};
use crate::sys::glance::Glance;
use crate::sys::sock::Sock;
use crate::sys::tcp::Ssk;
use crate::sys::ulp;

/// What `subflow_check_data_avail` tells of the front of the receive queue: the in-tree implementation's numbers.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Front {
    /// Its mapping is known.
    Mapped = 0,
    /// It has none, which breaks the protocol.
    Invalid = 1,
    /// There is nothing.
    Empty = 2,
    /// It needs none: plain TCP.
    Fallback = 4,
}

impl Front {
    /// What data with a number is.
    #[inline(always)]
    pub(super) fn of<C: Connection>(subflow: &Subflow<C>) -> Self {
        if CheckDataAvail::is_on() && subflow.is(flag::INFINITE) {
            Front::Fallback
        } else {
            Front::Mapped
        }
    }
}

impl<C: Connection> Subflow<C> {
    /// How events name it, whose TCP socket is `sk`.
    pub fn flow(&self, sk: &Sock) -> Flow {
        let token = self.conn().map_or(0, |conn| conn.shared().local.token);
        trace::flow(token, self.number(), self.ids(), sk)
    }

    /// `n` bytes from `dsn` on were queued as byte `ssn` and so on.
    #[inline(always)]
    pub(super) fn trace_queued(
        &self,
        ssk: &mut Ssk<'_>,
        (dsn, ssn, n): (Dsn, Ssn, u32),
        how: How,
        again: bool,
    ) {
        if Mapping::is_on() || SendmsgFrag::is_on() {
            self.tell_queued(ssk, (dsn, ssn, n), how, again);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_queued(
        &self,
        ssk: &mut Ssk<'_>,
        (dsn, ssn, len): (Dsn, Ssn, u32),
        how: How,
        again: bool,
    ) {
        let record = ulp::locked::<Self, _>(ssk, |locked| locked.tx.last().copied()).flatten();
        let Some(record) = record.filter(|_| len > 0) else {
            return;
        };
        Mapping::trace(|| MappingAdded {
            flow: self.flow(ssk),
            dsn: dsn.0,
            ssn: ssn.relative(self.iss()),
            len,
            map_len: record.len,
            how: how as u8,
            again: again.into(),
        });
        SendmsgFrag::trace(|| {
            let (ssn, len) = (record.ssn.relative(self.iss()), record.len as u16);
            let map = DssMap {
                dsn: WireDsn::Full(record.dsn.0),
                ssn,
                len,
                csum: self.is(flag::CSUM).then(|| {
                    let mut sum = Checksum::of_mapping(record.dsn, ssn, len);
                    sum.append(record.sum);
                    sum.finish()
                }),
            };
            trace::dss(&Dss::default(), Some(&map), false)
        });
    }

    /// The peer's mapping was stored.
    #[inline(always)]
    pub(super) fn trace_mapping(&self, sk: &Sock, map: RxMapping) {
        Mapping::trace(move || MappingAdded {
            flow: self.flow(sk),
            dsn: map.dsn.0,
            ssn: map.ssn.relative(self.irs()),
            len: map.len,
            map_len: map.len,
            how: How::Received as u8,
            again: 0,
        });
    }

    /// A segment with data has come, with this DSS or the first mapping of an MP_CAPABLE.
    #[inline(always)]
    pub(super) fn trace_dss(&self, dss: &Dss, map: Option<&DssMap>, capable: bool) {
        GetMappingStatus::trace(move || trace::dss(dss, map, capable));
    }

    /// The DATA_ACK `wire`, which means `ack` and a window of `window` bytes, has been taken note of. `old` was
    /// acknowledged before.
    #[inline(always)]
    pub(super) fn trace_ack(
        &self,
        conn: &C,
        sk: &Sock,
        (wire, ack, old): (WireDsn, Dsn, Dsn),
        window: u32,
    ) {
        AckUpdateMsk::trace(move || AckUpdate {
            data_ack: match wire {
                WireDsn::Low32(low) => low.into(),
                WireDsn::Full(dsn) => dsn,
            },
            old_snd_una: old.0,
            new_snd_una: ack.0,
            new_wnd_end: ack.add(window.into()).0,
            msk_wnd_end: conn.shared().wnd_end.get().0,
        });
        self.trace_acked(conn, sk, ack);
    }

    /// Everything before `ack` is acknowledged.
    #[inline(always)]
    pub fn trace_acked(&self, conn: &C, sk: &Sock, ack: Dsn) {
        Acked::trace(move || {
            let (shared, path) = (conn.shared(), Glance::at(sk).path());
            DataAcked {
                flow: self.flow(sk),
                data_ack: ack.0,
                snd_una: shared.snd_una.get().0,
                snd_nxt: shared.snd_nxt.get().0,
                wnd_end: shared.wnd_end.get().0,
                cwnd: path.cwnd,
                in_flight: path.in_flight,
                srtt_us: path.srtt_us,
            }
        });
    }

    /// A segment leaves with the DATA_ACK `ack` and a window of `window` bytes; `space` are free.
    #[inline(always)]
    pub(super) fn trace_window(&self, conn: &C, sk: &Sock, ack: Dsn, window: u32, space: u32) {
        Window::trace(move || WindowEvent {
            flow: self.flow(sk),
            data_ack: ack.0,
            right_edge: conn.shared().rcv_edge.get().0,
            window,
            space,
        });
    }

    /// The front of the receive queue was looked at.
    #[inline(always)]
    pub(super) fn trace_front(&self, ssk: &Ssk<'_>, status: Front) {
        CheckDataAvail::trace(move || DataAvail {
            skb: ssk.front_address() as *const _,
            status: status as u8,
        });
    }

    /// The receive queue was worked off, if it is empty.
    #[inline(always)]
    pub(super) fn trace_empty(&self, ssk: &Ssk<'_>) {
        if CheckDataAvail::is_on() && ssk.front().is_none() {
            self.trace_front(ssk, Front::Empty);
        }
    }

    /// What [`Self::outstanding`] finds, with the same arguments, is to be sent again because of `cause`.
    pub fn trace_reinject(&self, ssk: &mut Ssk<'_>, sent: Range, gone: bool, cause: Reinject) {
        if !Reinjection::is_on() {
            return;
        }
        let flow = self.flow(ssk);
        let mut run = Range::default();
        self.each_outstanding(ssk, sent, gone, |range| {
            if run.is_empty() || range.from != run.to {
                reinject(flow, run, cause);
                run = range;
            }
            run.to = range.to;
        });
        reinject(flow, run, cause);
    }
}

/// `range` is to be sent again on another subflow than `flow`.
pub fn reinject(flow: Flow, range: Range, cause: Reinject) {
    if !range.is_empty() {
        Reinjection::trace(|| ReinjectEvent {
            flow,
            dsn: range.from.0,
            len: range.len(),
            cause: cause as u8,
        });
    }
}

// SPDX-License-Identifier: GPL-2.0

//! A look at the kernel's TCP without its lock: what the receive path and the scheduler ask of a subflow.

use super::sock::Sock;
use super::time::Jiffies;
use crate::bindings;

/// How a path does, in bytes unless said otherwise.
#[derive(Clone, Copy)]
pub struct Path {
    /// Smoothed round trip time, microseconds.
    pub srtt_us: u32,
    /// Payload of a full segment.
    pub mss: u32,
    /// Congestion window.
    pub cwnd: u32,
    /// Sent, and neither acknowledged nor held for lost.
    pub in_flight: u32,
    /// The most that was in flight at once during a late round trip.
    pub flown: u32,
    /// Queued, and not sent.
    pub queued: u32,
    /// Pacing rate, per second; `u64::MAX` without pacing.
    pub pacing_rate: u64,
    /// The shortest round trip time of late, microseconds; 0 if unknown.
    pub min_rtt_us: u32,
    /// Delivered per second, as TCP last measured it; 0 if unknown.
    pub delivery_rate: u64,
    /// The path may deliver more than that: the congestion window is in slow start, or there was not enough to send.
    pub untried: bool,
    /// What the send buffer's limit leaves.
    pub send_room: u32,
}

/// Seconds after which TCP no longer compares timestamps.
const TCP_PAWS_WRAP: i32 = i32::MAX / 1_000_000;

/// A look at a TCP socket without its lock: every number may be a moment old.
#[derive(Clone, Copy)]
pub struct Glance<'a>(&'a Sock);

impl<'a> Glance<'a> {
    /// `sk` is a TCP socket: a subflow.
    #[inline]
    pub fn at(sk: &'a Sock) -> Self {
        Self(sk)
    }

    #[inline]
    fn tp(&self) -> *mut bindings::tcp_sock {
        self.0.as_ptr().cast()
    }

    /// Whether a segment of sequence numbers `seq` to `end` that acknowledges `ack` may be one that TCP will
    /// accept: it is near the receive window, and `ack` is of what was queued lately (RFC 5961).
    ///
    /// TCP's own check comes later, with the lock held. This one must not refuse what that accepts, so
    /// it allows for numbers that are being changed: `snd_nxt` moves only after a segment has left, and
    /// the window's two halves one after the other.
    #[inline]
    pub fn acceptable(&self, seq: u32, end: u32, ack: u32) -> bool {
        // SAFETY: a valid TCP socket; plain loads of numbers that others may change.
        let (rcv_nxt, rcv_wup, rcv_wnd, snd_una, write_seq, max_window) = unsafe {
            let tp = self.tp();
            (
                core::ptr::addr_of!((*tp).rcv_nxt).read_volatile(),
                core::ptr::addr_of!((*tp).rcv_wup).read_volatile(),
                core::ptr::addr_of!((*tp).rcv_wnd).read_volatile(),
                core::ptr::addr_of!((*tp).snd_una).read_volatile(),
                core::ptr::addr_of!((*tp).write_seq).read_volatile(),
                core::ptr::addr_of!((*tp).max_window).read_volatile(),
            )
        };
        let before = |a: u32, b: u32| (a.wrapping_sub(b) as i32) < 0;
        let right = rcv_nxt
            .wrapping_add(rcv_wnd.max(0xffff).min(1 << 29))
            .wrapping_add(rcv_wnd);
        !before(end, rcv_wup)
            && !before(right, seq)
            && !before(ack, snd_una.wrapping_sub(max_window))
            // A FIN is one more than what is queued.
            && !before(write_seq.wrapping_add(1), ack)
    }

    /// How often the oldest segment was sent again without an answer.
    #[inline]
    pub fn retransmits(&self) -> u8 {
        let icsk: *const bindings::inet_connection_sock = self.0.as_ptr().cast();
        // SAFETY: as above.
        unsafe { core::ptr::addr_of!((*icsk).icsk_retransmits).read_volatile() }
    }

    /// When the last acknowledgement came, in jiffies.
    #[inline]
    pub fn rcv_tstamp(&self) -> u32 {
        // SAFETY: as above.
        unsafe { core::ptr::addr_of!((*self.tp()).rcv_tstamp).read_volatile() }
    }

    /// TCP's retransmission timeout.
    #[inline]
    pub fn rto(&self) -> Jiffies {
        let icsk: *const bindings::inet_connection_sock = self.0.as_ptr().cast();
        // SAFETY: as above.
        Jiffies(unsafe { core::ptr::addr_of!((*icsk).icsk_rto).read_volatile() } as usize)
    }

    /// The peer's window, bytes.
    pub fn snd_wnd(&self) -> u32 {
        // SAFETY: as above.
        unsafe { core::ptr::addr_of!((*self.tp()).snd_wnd).read_volatile() }
    }

    /// As [`super::tcp::Ssk::memory_free`].
    pub fn memory_free(&self) -> bool {
        // SAFETY: as above.
        unsafe { bindings::mrs_tcp_memory_free(self.0.as_ptr()) }
    }

    /// First byte sent and not acknowledged.
    #[inline]
    pub fn snd_una(&self) -> u32 {
        // SAFETY: as above.
        unsafe { core::ptr::addr_of!((*self.tp()).snd_una).read_volatile() }
    }

    /// Whether a FIN should be on its way, or wait, and is not: everything was acknowledged, which ends a state in
    /// which ours is not.
    pub fn lacks_fin(&self) -> bool {
        use super::sock::state::{CLOSING, FIN_WAIT1, LAST_ACK};
        // SAFETY: as above.
        let write_seq = unsafe { core::ptr::addr_of!((*self.tp()).write_seq).read_volatile() };
        matches!(self.0.state(), FIN_WAIT1 | CLOSING | LAST_ACK) && self.snd_una() == write_seq
    }

    /// What a packet scheduler wants to know.
    #[inline]
    pub fn path(&self) -> Path {
        // SAFETY: as above.
        unsafe {
            let (tp, sk) = (self.tp(), self.0.as_ptr());
            let mss = core::ptr::addr_of!((*tp).mss_cache).read_volatile().max(1);
            let write_seq = core::ptr::addr_of!((*tp).write_seq).read_volatile();
            let snd_nxt = core::ptr::addr_of!((*tp).snd_nxt).read_volatile();
            Path {
                srtt_us: core::ptr::addr_of!((*tp).srtt_us).read_volatile() >> 3,
                mss,
                cwnd: bindings::mrs_tcp_snd_cwnd(sk).saturating_mul(mss),
                in_flight: bindings::mrs_tcp_packets_in_flight(sk).saturating_mul(mss),
                flown: core::ptr::addr_of!((*tp).max_packets_out)
                    .read_volatile()
                    .saturating_mul(mss),
                queued: write_seq.wrapping_sub(snd_nxt).min(i32::MAX as u32),
                pacing_rate: bindings::mrs_pacing_rate(sk) as u64,
                min_rtt_us: match bindings::mrs_tcp_min_rtt(sk) {
                    u32::MAX => 0,
                    us => us,
                },
                delivery_rate: u64::from(core::ptr::addr_of!((*tp).rate_delivered).read_volatile())
                    .saturating_mul(mss.into())
                    .saturating_mul(1_000_000)
                    .checked_div(
                        core::ptr::addr_of!((*tp).rate_interval_us)
                            .read_volatile()
                            .into(),
                    )
                    .unwrap_or(0),
                untried: bindings::mrs_tcp_untried(sk),
                send_room: (self.0.sndbuf() - self.0.wmem_queued()).max(0) as u32,
            }
        }
    }

    /// Whether TCP will take a segment whose sender's clock stood at `tsval` for one of long ago (RFC 7323
    /// section 5). Not for RST, which TCP accepts even so.
    ///
    /// TCP's clock of the peer only goes forward: what is stale now is so when TCP looks. It makes an
    /// exception for ACKs that say nothing new, which need not be believed.
    #[inline]
    pub fn stale(&self, tsval: u32) -> bool {
        // SAFETY: as above.
        let (recent, stamp) = unsafe {
            let opt = core::ptr::addr_of!((*self.tp()).rx_opt);
            (
                core::ptr::addr_of!((*opt).ts_recent).read_volatile(),
                core::ptr::addr_of!((*opt).ts_recent_stamp).read_volatile(),
            )
        };
        if recent == 0 || recent.wrapping_sub(tsval) as i32 <= bindings::TCP_PAWS_WINDOW as i32 {
            return false;
        }
        // A clock that was not heard of for so long may have gone round. Without timestamps there is none.
        // SAFETY: a valid TCP socket; and the clock can be read in any context.
        let (used, now) = unsafe {
            (
                (*self.tp()).rx_opt.tstamp_ok() != 0,
                bindings::ktime_get_seconds(),
            )
        };
        used && (now as i32).wrapping_sub(stamp) < TCP_PAWS_WRAP
    }

    /// Next byte that TCP expects.
    #[inline]
    pub fn rcv_nxt(&self) -> u32 {
        // SAFETY: as above.
        unsafe { core::ptr::addr_of!((*self.tp()).rcv_nxt).read_volatile() }
    }

    /// Window scale of what the peer announces.
    #[inline]
    pub fn snd_wscale(&self) -> u8 {
        // SAFETY: as above.
        unsafe { (*self.tp()).rx_opt.snd_wscale() as u8 }
    }

    /// As [`super::tcp::Ssk::window_from_space`].
    #[inline]
    pub fn window_from_space(&self, space: i32) -> i32 {
        // SAFETY: a valid TCP socket.
        unsafe { bindings::mrs_tcp_win_from_space(self.0.as_ptr(), space) }
    }

    /// The inverse of [`Self::window_from_space`].
    pub fn space_from_window(&self, window: i32) -> i32 {
        // SAFETY: a valid TCP socket.
        unsafe { bindings::mrs_tcp_space_from_win(self.0.as_ptr(), window) }
    }

    /// TCP's estimate of the peer's segment size.
    #[inline]
    pub fn rcv_mss(&self) -> u32 {
        // SAFETY: as above.
        unsafe {
            (*self.0.as_ptr().cast::<bindings::inet_connection_sock>())
                .icsk_ack
                .rcv_mss as u32
        }
    }

    /// TCP's estimate of the round trip time, as a receiver, in microseconds; 0 if unknown.
    pub fn rcv_rtt_us(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.tp()).rcv_rtt_est.rtt_us >> 3 }
    }

    /// Whether TCP owes an ACK that the reader's progress makes due. `empty`: nothing is left to read.
    #[inline]
    pub fn ack_due(&self, empty: bool) -> bool {
        const SCHED: u32 = 1;
        const PUSHED: u32 = 4;
        const PUSHED2: u32 = 8;
        // SAFETY: as above.
        let (pending, pingpong, unacked) = unsafe {
            let icsk: *const bindings::inet_connection_sock = self.0.as_ptr().cast();
            let tp = self.tp();
            (
                (*icsk).icsk_ack.pending as u32,
                (*icsk).icsk_ack.pingpong >= 3,
                (*tp).rcv_nxt.wrapping_sub((*tp).rcv_wup),
            )
        };
        pending & SCHED != 0
            && (unacked > self.rcv_mss()
                || empty && (pending & PUSHED2 != 0 || pending & PUSHED != 0 && !pingpong))
    }
}

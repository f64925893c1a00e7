// SPDX-License-Identifier: GPL-2.0

//! When a connection may become plain TCP, and how (RFC 8684 section 3.7).
//!
//! Falling back means: the bytes of the one subflow *are* the stream. That holds only as long as nothing
//! of the stream went another way. So the first subflow that joins, and the first data sent again on
//! another subflow, forbid it from then on; and a fallback, once under way, forbids those two.
//!
//! After data was exchanged, a side that sees a bad checksum says MP_FAIL; the other answers with
//! MP_FAIL and an infinite mapping, behind which there is no MPTCP any more.

use super::option::{RstReason, TcpRst};

/// Why a connection is plain TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FallbackCause {
    /// The peer's SYN had no MP_CAPABLE.
    SynWithoutCapable,
    /// The SYN-ACK had no MP_CAPABLE, or none that makes sense there.
    SynAckWithoutCapable,
    /// The third ACK (or the first data) had no MP_CAPABLE.
    AckWithoutCapable,
    /// The peer wants a version that this host does not speak.
    Version,
    /// The peer set the "B" flag, which has no meaning yet.
    Extensibility,
    /// The peer does not offer HMAC-SHA256.
    Algorithm,
    /// The third ACK did not have this host's key.
    WrongKey,
    /// Both hosts sent a SYN at once.
    SimultaneousConnect,
    /// Something else on the socket leaves MPTCP no room: TCP MD5 or AO signatures, for instance.
    Incompatible,
    /// The SYN did not ask for MPTCP.
    Unavailable,
    /// SYNs with MP_CAPABLE were not answered: the next one goes without it.
    Vanished,
    /// The first segment after the handshake had no DSS: something strips options.
    NoDss,
    /// Data arrived that no mapping covers.
    Unmapped,
    /// A mapping made no sense for the data that it came with.
    BadMapping,
    /// The first checksum of all was wrong.
    Checksum,
    /// The peer sent an infinite mapping.
    InfiniteMapRx,
    /// This host sent one, because the peer saw a bad checksum.
    InfiniteMapTx,
}

/// Whether a connection speaks MPTCP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// The handshake is under way.
    #[default]
    Negotiating,
    /// It does.
    Mptcp,
    /// It does not, for good.
    Fallback(FallbackCause),
}

/// What to do about something that went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing.
    Continue,
    /// The connection is plain TCP now.
    Fallback,
    /// Send MP_FAIL on an ACK at once, deliver the data, and reset the subflow if the peer's MP_FAIL
    /// does not come in time.
    SendFail,
    /// Send MP_FAIL on an ACK at once, and an infinite mapping with the next data; report that with
    /// [`Fallback::on_infinite_map_sent`].
    AnswerFail,
    /// The peer's answer is here: stop the timer that [`Verdict::SendFail`] asked for.
    StopFailTimer,
    /// Reset the subflow and drop its data.
    Reset {
        /// MP_FAIL goes with the RST.
        fail: bool,
        /// MP_TCPRST does too.
        rst: TcpRst,
    },
}

/// The way back to plain TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fallback {
    mode: Mode,
    allowed: bool,
    subflows_allowed: bool,
    fail_sent: bool,
}

impl Default for Fallback {
    fn default() -> Self {
        Self::new()
    }
}

impl Fallback {
    /// A connection that has not begun: everything is possible.
    pub const fn new() -> Self {
        Self {
            mode: Mode::Negotiating,
            allowed: true,
            subflows_allowed: true,
            fail_sent: false,
        }
    }

    /// What the connection speaks.
    #[inline]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether it is plain TCP.
    #[inline]
    pub const fn is_fallback(&self) -> bool {
        matches!(self.mode, Mode::Fallback(_))
    }

    /// Whether it could still become plain TCP.
    #[inline]
    pub const fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Whether further subflows may be opened.
    #[inline]
    pub const fn subflows_allowed(&self) -> bool {
        self.subflows_allowed && matches!(self.mode, Mode::Mptcp)
    }

    /// The handshake's options were exchanged.
    pub fn on_negotiated(&mut self) {
        if self.mode == Mode::Negotiating {
            self.mode = Mode::Mptcp;
        }
    }

    /// A subflow's handshake succeeded. Whether it may join: then the connection can't fall back any
    /// more.
    #[must_use]
    pub fn on_join(&mut self) -> bool {
        if !self.subflows_allowed() {
            return false;
        }
        self.allowed = false;
        true
    }

    /// Data is about to be sent again on a subflow other than its first. Whether it may: then the
    /// connection can't fall back any more.
    #[must_use]
    pub fn on_reinject(&mut self) -> bool {
        self.on_join()
    }

    /// Falls back if that is still possible, or says how the subflow is to be reset.
    ///
    /// Never resets during the handshake, when nothing forbids a fallback yet.
    pub fn try_fallback(&mut self, cause: FallbackCause) -> Verdict {
        if self.is_fallback() {
            return Verdict::Continue;
        }
        if !self.allowed {
            return reset(false, RstReason::MptcpSpecific);
        }
        self.mode = Mode::Fallback(cause);
        self.subflows_allowed = false;
        Verdict::Fallback
    }

    /// A checksum was wrong. `joined`: the subflow is not the connection's first. `valid_seen`: an
    /// earlier checksum on it was right.
    ///
    /// If the very first one is wrong, a middlebox was at work from the beginning and both sides know
    /// where they are.
    pub fn on_bad_checksum(&mut self, joined: bool, valid_seen: bool) -> Verdict {
        if self.is_fallback() {
            return Verdict::Continue;
        }
        if !joined && !valid_seen {
            return self.try_fallback(FallbackCause::Checksum);
        }
        if joined || !self.allowed {
            return reset(true, RstReason::MiddleboxInterference);
        }
        self.subflows_allowed = false;
        if self.fail_sent {
            return Verdict::Continue;
        }
        self.fail_sent = true;
        Verdict::SendFail
    }

    /// MP_FAIL arrived.
    pub fn on_mp_fail(&mut self) -> Verdict {
        if self.is_fallback() || !self.allowed {
            // With a RST it says why; alone it asks for what can't be done.
            return Verdict::Continue;
        }
        self.subflows_allowed = false;
        if self.fail_sent {
            self.fail_sent = false;
            return Verdict::StopFailTimer;
        }
        Verdict::AnswerFail
    }

    /// An infinite mapping arrived.
    pub fn on_infinite_map(&mut self) -> Verdict {
        self.try_fallback(FallbackCause::InfiniteMapRx)
    }

    /// The infinite mapping that answers an MP_FAIL was sent.
    pub fn on_infinite_map_sent(&mut self) -> Verdict {
        self.try_fallback(FallbackCause::InfiniteMapTx)
    }

    /// The peer did not answer MP_FAIL in time.
    pub fn on_fail_timeout(&mut self) -> Verdict {
        if !self.fail_sent || self.is_fallback() {
            return Verdict::Continue;
        }
        self.fail_sent = false;
        reset(true, RstReason::MiddleboxInterference)
    }
}

fn reset(fail: bool, reason: RstReason) -> Verdict {
    Verdict::Reset {
        fail,
        rst: TcpRst { flags: 0, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mptcp() -> Fallback {
        let mut fallback = Fallback::new();
        fallback.on_negotiated();
        fallback
    }

    fn is_reset(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Reset { .. })
    }

    #[test]
    fn a_handshake_without_options_falls_back_for_good() {
        let mut f = Fallback::new();
        assert!(!f.subflows_allowed());
        let cause = FallbackCause::SynAckWithoutCapable;
        assert_eq!(f.try_fallback(cause), Verdict::Fallback);
        f.on_negotiated();
        assert_eq!(f.mode(), Mode::Fallback(cause));
        assert_eq!(f.try_fallback(FallbackCause::NoDss), Verdict::Continue);
        assert!(!f.on_join() && !f.on_reinject());
    }

    #[test]
    fn a_joined_subflow_forbids_fallback() {
        let mut f = mptcp();
        assert!(f.on_join());
        assert!(is_reset(f.try_fallback(FallbackCause::Unmapped)));
        assert!(is_reset(f.on_infinite_map()));
        assert_eq!(f.on_mp_fail(), Verdict::Continue);
        assert_eq!(f.mode(), Mode::Mptcp);
        assert!(f.subflows_allowed());
    }

    #[test]
    fn reinjected_data_forbids_fallback() {
        let mut f = mptcp();
        assert!(f.on_reinject());
        let verdict = f.on_bad_checksum(false, true);
        assert_eq!(
            verdict,
            Verdict::Reset {
                fail: true,
                rst: TcpRst {
                    flags: 0,
                    reason: RstReason::MiddleboxInterference
                }
            }
        );
    }

    #[test]
    fn the_first_checksum_decides_quietly() {
        let mut f = mptcp();
        assert_eq!(f.on_bad_checksum(false, false), Verdict::Fallback);
        assert_eq!(f.mode(), Mode::Fallback(FallbackCause::Checksum));
    }

    #[test]
    fn a_bad_checksum_on_a_joined_subflow_resets_it() {
        let mut f = mptcp();
        assert!(f.on_join());
        assert!(is_reset(f.on_bad_checksum(true, false)));
        assert!(!f.is_fallback());
    }

    #[test]
    fn mp_fail_is_answered_and_leads_to_fallback() {
        let (mut here, mut there) = (mptcp(), mptcp());
        assert_eq!(here.on_bad_checksum(false, true), Verdict::SendFail);
        assert_eq!(here.on_bad_checksum(false, true), Verdict::Continue);
        assert!(!here.on_join());
        assert_eq!(there.on_mp_fail(), Verdict::AnswerFail);
        assert!(!there.on_reinject());
        assert_eq!(there.on_infinite_map_sent(), Verdict::Fallback);
        assert_eq!(here.on_mp_fail(), Verdict::StopFailTimer);
        assert_eq!(here.on_fail_timeout(), Verdict::Continue);
        assert_eq!(here.on_infinite_map(), Verdict::Fallback);
        assert!(here.is_fallback() && there.is_fallback());
    }

    #[test]
    fn an_mp_fail_without_answer_resets() {
        let mut f = mptcp();
        assert_eq!(f.on_bad_checksum(false, true), Verdict::SendFail);
        assert!(is_reset(f.on_fail_timeout()));
        assert_eq!(f.on_fail_timeout(), Verdict::Continue);
    }
}

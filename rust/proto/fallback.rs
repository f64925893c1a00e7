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
    /// SYNs with MP_CAPABLE were not answered: the next one goes without it.
    Vanished,
}

/// What to do about something that went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing.
    Continue,
    /// The connection is plain TCP now.
    Fallback,
    /// Send MP_FAIL on an ACK at once, deliver the data, and call [`Fallback::on_fail_timeout`] if the
    /// peer's MP_FAIL does not come in time.
    SendFail,
    /// Send MP_FAIL on an ACK at once, and fall back, which the infinite mapping tells.
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

/// How often MP_FAIL is said: it is an option of an ACK, which nothing sends again.
pub const FAIL_TIMES: u8 = 3;

/// The way back to plain TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fallback {
    /// It was taken.
    taken: bool,
    allowed: bool,
    /// How often MP_FAIL was said, and not answered.
    fails: u8,
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
            taken: false,
            allowed: true,
            fails: 0,
        }
    }

    /// A further subflow has joined, or data was sent again on another one than its first: the bytes of no
    /// subflow are the stream any more.
    pub fn forbid(&mut self) {
        self.allowed = self.taken;
    }

    /// The connection is plain TCP.
    pub fn on_fallback(&mut self) {
        self.taken = true;
        self.fails = 0;
    }

    /// A checksum was wrong. `joined`: the subflow is not the connection's first. `valid_seen`: an
    /// earlier checksum on it was right.
    ///
    /// If the very first one is wrong, a middlebox was at work from the beginning and both sides know
    /// where they are.
    pub fn on_bad_checksum(&mut self, joined: bool, valid_seen: bool) -> Verdict {
        if self.taken {
            Verdict::Continue
        } else if joined || !self.allowed {
            reset(RstReason::MiddleboxInterference)
        } else if !valid_seen {
            self.on_fallback();
            Verdict::Fallback
        } else if self.fails > 0 {
            Verdict::Continue
        } else {
            self.fails = 1;
            Verdict::SendFail
        }
    }

    /// MP_FAIL arrived.
    pub fn on_mp_fail(&mut self) -> Verdict {
        if self.taken || !self.allowed {
            // With a RST it says why; alone it asks for what can't be done.
            Verdict::Continue
        } else if core::mem::take(&mut self.fails) > 0 {
            Verdict::StopFailTimer
        } else {
            Verdict::AnswerFail
        }
    }

    /// The subflow is gone on which MP_FAIL was said: nobody will answer, and the bytes of no other are the stream.
    pub fn on_subflow_gone(&mut self) {
        self.fails = 0;
        self.forbid();
    }

    /// The peer did not answer MP_FAIL in time: it is said again, or there is no way back.
    pub fn on_fail_timeout(&mut self) -> Verdict {
        match self.fails {
            0 => Verdict::Continue,
            _ if self.taken => Verdict::Continue,
            times if times < FAIL_TIMES => {
                self.fails = times.saturating_add(1);
                Verdict::SendFail
            }
            _ => {
                self.fails = 0;
                reset(RstReason::MiddleboxInterference)
            }
        }
    }
}

/// A reset with MP_FAIL.
fn reset(reason: RstReason) -> Verdict {
    Verdict::Reset {
        fail: true,
        rst: TcpRst { flags: 0, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_reset(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Reset { fail: true, .. })
    }

    #[test]
    fn a_joined_subflow_forbids_fallback() {
        let mut f = Fallback::new();
        f.forbid();
        assert!(is_reset(f.on_bad_checksum(false, false)));
        assert!(is_reset(f.on_bad_checksum(false, true)));
        assert!(is_reset(f.on_bad_checksum(true, false)));
        assert_eq!(f.on_mp_fail(), Verdict::Continue);
        assert_eq!(f.on_fail_timeout(), Verdict::Continue);
    }

    #[test]
    fn the_first_checksum_decides_quietly() {
        let mut f = Fallback::new();
        assert_eq!(f.on_bad_checksum(false, false), Verdict::Fallback);
        assert_eq!(f.on_bad_checksum(false, false), Verdict::Continue);
        f.forbid();
        assert_eq!(f.on_bad_checksum(false, true), Verdict::Continue);
        assert_eq!(f.on_mp_fail(), Verdict::Continue);
    }

    #[test]
    fn mp_fail_is_answered_and_leads_to_fallback() {
        let (mut here, mut there) = (Fallback::new(), Fallback::new());
        assert_eq!(here.on_bad_checksum(false, true), Verdict::SendFail);
        assert_eq!(here.on_bad_checksum(false, true), Verdict::Continue);
        assert_eq!(there.on_mp_fail(), Verdict::AnswerFail);
        there.on_fallback();
        assert_eq!(here.on_mp_fail(), Verdict::StopFailTimer);
        assert_eq!(here.on_fail_timeout(), Verdict::Continue);
        here.on_fallback();
        assert_eq!(there.on_mp_fail(), Verdict::Continue);
    }

    #[test]
    fn an_mp_fail_without_answer_resets() {
        let mut f = Fallback::new();
        assert_eq!(f.on_bad_checksum(false, true), Verdict::SendFail);
        for _ in 1..FAIL_TIMES {
            assert_eq!(f.on_fail_timeout(), Verdict::SendFail);
        }
        assert!(is_reset(f.on_fail_timeout()));
        assert_eq!(f.on_fail_timeout(), Verdict::Continue);
    }

    #[test]
    fn nobody_answers_on_a_subflow_that_is_gone() {
        let mut f = Fallback::new();
        assert_eq!(f.on_bad_checksum(false, true), Verdict::SendFail);
        f.on_subflow_gone();
        assert_eq!(f.on_fail_timeout(), Verdict::Continue);
        assert!(is_reset(f.on_bad_checksum(true, true)));
        assert!(is_reset(f.on_bad_checksum(false, true)));
    }

    #[test]
    fn a_fallback_for_another_reason_ends_the_wait() {
        let mut f = Fallback::new();
        assert_eq!(f.on_bad_checksum(false, true), Verdict::SendFail);
        f.on_fallback();
        assert_eq!(f.on_fail_timeout(), Verdict::Continue);
    }
}

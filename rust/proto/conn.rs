// SPDX-License-Identifier: GPL-2.0

//! The connection's states: TCP's, with DATA_FIN in the place of FIN (RFC 8684 section 3.3.3).
//!
//! A DATA_FIN occupies one data sequence number, behind the last byte. It is acknowledged by a DATA_ACK,
//! and sent again until it is. There is no TIME_WAIT here: the subflows have one each.
//!
//! Once a connection has fallen back, the one subflow's FIN takes over.

use super::seq::Dsn;

/// The state of a connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// Nothing happened yet, or everything is over.
    #[default]
    Close,
    /// The first subflow's SYN was sent.
    SynSent,
    /// Data goes both ways.
    Established,
    /// DATA_FIN sent, not acknowledged.
    FinWait1,
    /// DATA_FIN sent and acknowledged; the peer may still send.
    FinWait2,
    /// Both sent a DATA_FIN, ours is not acknowledged.
    Closing,
    /// The peer sent its DATA_FIN; this host may still send.
    CloseWait,
    /// The peer's DATA_FIN came first, ours is not acknowledged.
    LastAck,
}

/// The error that a connection ends with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnError {
    /// ECONNREFUSED.
    Refused,
    /// ECONNRESET.
    Reset,
    /// EPIPE.
    BrokenPipe,
    /// ETIMEDOUT.
    TimedOut,
}

/// What an event asks the owner of the connection to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Actions {
    bits: u16,
    /// The error to report.
    pub error: Option<ConnError>,
}

impl Actions {
    /// Nothing.
    pub const NONE: Self = Self::of(0);
    /// The state changed: wake who waits for that.
    pub const STATE_CHANGE: Self = Self::of(1 << 0);
    /// The peer has sent all: readers see the end of data.
    pub const EOF: Self = Self::of(1 << 1);
    /// Say the DATA_ACK at once.
    pub const SEND_ACK: Self = Self::of(1 << 2);
    /// A DATA_FIN is to be sent as soon as all data is.
    pub const SEND_DATA_FIN: Self = Self::of(1 << 3);
    /// Close the sending side of the subflows once their data is sent (plain FINs).
    pub const SHUTDOWN_SUBFLOWS: Self = Self::of(1 << 4);
    /// Send MP_FASTCLOSE and reset all subflows.
    pub const SEND_FASTCLOSE: Self = Self::of(1 << 5);
    /// Reset all subflows.
    pub const RESET_SUBFLOWS: Self = Self::of(1 << 6);
    /// No subflow is left; [`Conn::on_close_timeout`] follows if none comes in time.
    pub const START_CLOSE_TIMER: Self = Self::of(1 << 7);

    const fn of(bits: u16) -> Self {
        Self { bits, error: None }
    }

    /// Whether everything that `other` asks for is asked for.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.bits & other.bits == other.bits
    }

    /// Whether nothing is to be done.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.bits == 0 && self.error.is_none()
    }

    /// What both ask for.
    pub const fn and(self, other: Self) -> Self {
        Self {
            bits: self.bits | other.bits,
            error: match self.error {
                Some(error) => Some(error),
                None => other.error,
            },
        }
    }

    const fn error(mut self, error: ConnError) -> Self {
        self.error = Some(error);
        self
    }
}

/// A connection's state and its DATA_FIN.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Conn {
    state: State,
    /// Plain TCP: no DATA_FIN on the wire.
    fallback: bool,
    /// The number of our DATA_FIN, once decided.
    snd_fin: Option<Dsn>,
}

impl Conn {
    /// A connection whose first subflow connects.
    pub const fn connecting() -> Self {
        Self::in_state(State::SynSent)
    }

    /// A connection whose first subflow was accepted.
    pub const fn accepted() -> Self {
        Self::in_state(State::Established)
    }

    const fn in_state(state: State) -> Self {
        Self {
            state,
            fallback: false,
            snd_fin: None,
        }
    }

    /// The state.
    #[inline]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the peer may still send data.
    #[inline]
    pub const fn may_receive(&self) -> bool {
        matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2
        )
    }

    /// Whether a DATA_FIN was decided and not acknowledged.
    #[inline]
    pub const fn fin_pending(&self) -> bool {
        matches!(
            self.state,
            State::FinWait1 | State::Closing | State::LastAck
        )
    }

    fn go(&mut self, state: State) -> Actions {
        self.state = state;
        Actions::STATE_CHANGE
    }

    /// Everything is over in good order: the subflows close with FINs.
    fn finish(&mut self) -> Actions {
        self.go(State::Close).and(Actions::SHUTDOWN_SUBFLOWS)
    }

    /// The first subflow is connected.
    pub fn on_established(&mut self) -> Actions {
        match self.state {
            State::SynSent => self.go(State::Established),
            _ => Actions::NONE,
        }
    }

    /// The connection is plain TCP from now on.
    pub fn on_fallback(&mut self) -> Actions {
        if self.fallback {
            return Actions::NONE;
        }
        self.fallback = true;
        if self.fin_pending() {
            Actions::SHUTDOWN_SUBFLOWS
        } else {
            Actions::NONE
        }
    }

    /// The user closes the sending side. `write_seq` is the number behind the last byte queued: that of
    /// the DATA_FIN.
    pub fn on_local_shutdown(&mut self, write_seq: Dsn) -> Actions {
        let state = match self.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            State::SynSent => return self.go(State::Close),
            _ => return Actions::NONE,
        };
        self.snd_fin = Some(write_seq);
        self.go(state).and(if self.fallback {
            Actions::SHUTDOWN_SUBFLOWS
        } else {
            Actions::SEND_DATA_FIN
        })
    }

    /// The user aborts: closes with unread data, or with a linger time of zero.
    pub fn on_local_abort(&mut self) -> Actions {
        match self.state {
            State::Close => Actions::NONE,
            State::SynSent => self.go(State::Close).and(Actions::RESET_SUBFLOWS),
            _ => self.go(State::Close).and(if self.fallback {
                Actions::RESET_SUBFLOWS
            } else {
                Actions::SEND_FASTCLOSE
            }),
        }
    }

    /// A DATA_ACK arrived; `ack` is the number behind all that the peer has. After a fallback: the
    /// subflow's FIN was acknowledged, `ack` being behind our DATA_FIN's number.
    pub fn on_data_ack(&mut self, ack: Dsn) -> Actions {
        let acked = self.snd_fin.is_some_and(|fin| ack.after(fin));
        match self.state {
            State::FinWait1 if acked => self.go(State::FinWait2),
            State::Closing | State::LastAck if acked => self.finish(),
            _ => Actions::NONE,
        }
    }

    /// The peer's DATA_FIN was reached: all data before it was received. Which number it has, and whether to believe
    /// that, is up to who receives the data.
    pub fn on_data_fin(&mut self) -> Actions {
        if self.fallback || !self.may_receive() {
            return Actions::NONE;
        }
        self.end_of_data().and(Actions::SEND_ACK)
    }

    /// The subflow of a connection that fell back has read the peer's FIN.
    pub fn on_subflow_fin(&mut self) -> Actions {
        if self.fallback && self.may_receive() {
            self.end_of_data()
        } else {
            Actions::NONE
        }
    }

    fn end_of_data(&mut self) -> Actions {
        Actions::EOF.and(match self.state {
            State::Established => self.go(State::CloseWait),
            State::FinWait1 => self.go(State::Closing),
            State::FinWait2 => self.finish(),
            _ => Actions::NONE,
        })
    }

    /// The connection is reset: by an MP_FASTCLOSE with the right key (RFC 8684 section 3.5), or by the RST of the
    /// subflow of one that fell back.
    pub fn on_reset(&mut self) -> Actions {
        let error = match self.state {
            State::Close => return Actions::NONE,
            State::SynSent => ConnError::Refused,
            State::CloseWait => ConnError::BrokenPipe,
            _ => ConnError::Reset,
        };
        self.go(State::Close)
            .and(Actions::RESET_SUBFLOWS)
            .error(error)
    }

    /// A subflow is closed. `last`: no other is left. `orphan`: nobody holds the connection's socket,
    /// so nobody could open another subflow.
    pub fn on_subflow_close(&mut self, last: bool, orphan: bool) -> Actions {
        match self.state {
            State::Close => Actions::NONE,
            _ if !last => Actions::NONE,
            State::Established if !orphan && !self.fallback => Actions::START_CLOSE_TIMER,
            // The end of the peer's data was not read: what was is not all.
            _ if self.may_receive() && !orphan => self.go(State::Close).error(ConnError::Reset),
            _ => self.go(State::Close),
        }
    }

    /// The time that [`Actions::START_CLOSE_TIMER`] began is over, and there is still no subflow.
    pub fn on_close_timeout(&mut self) -> Actions {
        match self.state {
            State::Close => Actions::NONE,
            _ => self.go(State::Close).error(ConnError::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests;

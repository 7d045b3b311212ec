//! The non-INVITE client transaction: RFC 3261 §17.1.2.
//!
//! ```text
//! state       1xx             200-699          timer                          transport failed
//! Trying      Deliver         Deliver          E: Resend, then min(2·E, T2)   TransportFailed
//!             > Proceeding    > Completed      F: TimedOut > Terminated       > Terminated
//! Proceeding  Deliver         Deliver          E: Resend, then T2             TransportFailed
//!                             > Completed      F: TimedOut > Terminated       > Terminated
//! Completed   Nothing         Nothing          K: Ended > Terminated          Nothing
//! Terminated  Nothing         Nothing          Nothing                        Nothing
//! ```
//!
//! On a reliable transport Timer E does not run and Timer K is zero: a final response leads
//! straight to Terminated.

use super::timers::{Reliability, Retransmission, Timers, double_to_t2};
use super::{Class, ClientAction};
use crate::time::Instant;
use crate::wire::name::Status;

/// The state of a non-INVITE client transaction, named as in RFC 3261 Figure 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// The request was sent, nothing came back.
    Trying {
        /// When the request goes out again.
        timer_e: Retransmission,
        /// When the transaction times out.
        timer_f: Instant,
    },
    /// A provisional response came.
    Proceeding {
        /// When the request goes out again.
        timer_e: Retransmission,
        /// When the transaction times out.
        timer_f: Instant,
    },
    /// A final response came; its retransmissions are absorbed.
    Completed {
        /// The end.
        timer_k: Instant,
    },
    /// The transaction is over and must be dropped.
    Terminated,
}

/// A client transaction of any method but INVITE and ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NonInviteClient(State);

impl NonInviteClient {
    /// Starts in Trying; the caller sends the request once.
    pub fn start(now: Instant, timers: &Timers, reliability: Reliability) -> Self {
        Self(State::Trying {
            timer_e: Retransmission::start(now, timers, reliability),
            timer_f: now.after(timers.t1_64()),
        })
    }

    /// A response that matches (RFC 3261 §17.1.3).
    pub fn response(&mut self, now: Instant, timers: &Timers, status: Status) -> ClientAction {
        match (self.0, Class::of(status)) {
            (State::Trying { timer_e, timer_f }, Class::Provisional) => {
                self.0 = State::Proceeding { timer_e, timer_f };
                ClientAction::Deliver
            }
            (State::Proceeding { .. }, Class::Provisional) => ClientAction::Deliver,
            (
                State::Trying { timer_e, .. } | State::Proceeding { timer_e, .. },
                Class::Success | Class::Failure,
            ) => {
                self.0 = match timer_e.reliability() {
                    Reliability::Reliable => State::Terminated,
                    Reliability::Unreliable => State::Completed {
                        timer_k: now.after(u64::from(timers.t4())),
                    },
                };
                ClientAction::Deliver
            }
            (
                State::Completed { .. } | State::Terminated,
                Class::Provisional | Class::Success | Class::Failure,
            ) => ClientAction::Nothing,
        }
    }

    /// The time is `now`: call again until it says [`ClientAction::Nothing`].
    pub fn timeout(&mut self, now: Instant, timers: &Timers) -> ClientAction {
        let fired = match &mut self.0 {
            State::Trying { timer_f, .. } | State::Proceeding { timer_f, .. }
                if *timer_f <= now =>
            {
                self.0 = State::Terminated;
                return ClientAction::TimedOut;
            }
            State::Completed { timer_k } if *timer_k <= now => {
                self.0 = State::Terminated;
                return ClientAction::Ended;
            }
            State::Trying { timer_e, .. } => timer_e.fire(now, double_to_t2(timers)),
            State::Proceeding { timer_e, .. } => timer_e.fire(now, |_| timers.t2()),
            State::Completed { .. } | State::Terminated => false,
        };
        if fired {
            ClientAction::Resend
        } else {
            ClientAction::Nothing
        }
    }

    /// The flow refused or lost the request (RFC 3261 §17.1.4).
    pub fn transport_failed(&mut self) -> ClientAction {
        match self.0 {
            State::Trying { .. } | State::Proceeding { .. } => {
                self.0 = State::Terminated;
                ClientAction::TransportFailed
            }
            State::Completed { .. } | State::Terminated => ClientAction::Nothing,
        }
    }

    /// When [`timeout`](Self::timeout) has something to do; may change with every call.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0 {
            State::Trying { timer_e, timer_f } | State::Proceeding { timer_e, timer_f } => {
                Some(timer_e.or_sooner(timer_f))
            }
            State::Completed { timer_k } => Some(timer_k),
            State::Terminated => None,
        }
    }

    /// Whether the machine is to be dropped.
    pub fn is_terminated(&self) -> bool {
        matches!(self.0, State::Terminated)
    }

    /// The state.
    pub fn state(&self) -> State {
        self.0
    }
}

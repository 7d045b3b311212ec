//! The INVITE client transaction: RFC 3261 §17.1.1 with RFC 6026 §7.2.
//!
//! ```text
//! state       1xx             2xx              300-699            timer                  transport failed
//! Calling     Deliver         Deliver          DeliverAndAck      A: Resend              TransportFailed
//!             > Proceeding    > Accepted       > Completed        B: TimedOut > Term.    > Terminated
//! Proceeding  Deliver         Deliver          DeliverAndAck      §9.1: TimedOut         TransportFailed
//!                             > Accepted       > Completed        > Terminated           > Terminated
//! Completed   Nothing         Nothing          Ack                D: Ended > Terminated  TransportFailed > Term.
//! Accepted    Nothing         Deliver          Nothing            M: Ended > Terminated  Nothing
//! Terminated  Nothing         Nothing          Nothing            Nothing                Nothing
//! ```
//!
//! On a reliable transport Timer A does not run and Timer D is zero: 300-699 leads straight to
//! Terminated. The ACK for a 2xx is the TU's. A proceeding INVITE may ring for ever as far as the
//! transaction is concerned; once it is cancelled it ends 64·T1 later (RFC 3261 §9.1).

use super::timers::{Reliability, Retransmission, Timers, double};
use super::{Class, ClientAction};
use crate::time::Instant;
use crate::wire::name::Status;

/// The state of an INVITE client transaction, named as in RFC 6026 Figure 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// The INVITE was sent, nothing came back.
    Calling {
        /// When the INVITE goes out again.
        timer_a: Retransmission,
        /// When the transaction times out.
        timer_b: Instant,
    },
    /// A provisional response came.
    Proceeding {
        /// Of the INVITE's transport; decides about Timer D.
        reliability: Reliability,
        /// When a cancelled INVITE is given up (RFC 3261 §9.1); `None` until it is cancelled.
        cancelled: Option<Instant>,
    },
    /// A 300-699 came and was acknowledged; its retransmissions are acknowledged again.
    Completed {
        /// The end.
        timer_d: Instant,
    },
    /// A 2xx came; it may come again, or another one from another fork.
    Accepted {
        /// The end.
        timer_m: Instant,
    },
    /// The transaction is over and must be dropped.
    Terminated,
}

/// Whether a CANCEL may be sent now (RFC 3261 §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Cancel {
    /// Send it now; the INVITE is given up 64·T1 from now at the latest.
    Send,
    /// Not before a provisional response: ask again when one is delivered.
    Wait,
    /// It was asked for before.
    Pending,
    /// A final response came: there is nothing to cancel.
    TooLate,
}

/// An INVITE client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InviteClient(State);

impl InviteClient {
    /// Starts in Calling; the caller sends the INVITE once.
    pub fn start(now: Instant, timers: &Timers, reliability: Reliability) -> Self {
        Self(State::Calling {
            timer_a: Retransmission::start(now, timers, reliability),
            timer_b: now.after(timers.t1_64()),
        })
    }

    /// A response that matches (RFC 3261 §17.1.3).
    pub fn response(&mut self, now: Instant, timers: &Timers, status: Status) -> ClientAction {
        match (self.0, Class::of(status)) {
            (State::Calling { timer_a, .. }, Class::Provisional) => {
                self.0 = State::Proceeding {
                    reliability: timer_a.reliability(),
                    cancelled: None,
                };
                ClientAction::Deliver
            }
            (State::Proceeding { .. }, Class::Provisional) => ClientAction::Deliver,
            (State::Calling { .. } | State::Proceeding { .. }, Class::Success) => {
                self.0 = State::Accepted {
                    timer_m: now.after(timers.t1_64()),
                };
                ClientAction::Deliver
            }
            (State::Calling { timer_a, .. }, Class::Failure) => {
                self.complete(now, timers, timer_a.reliability())
            }
            (State::Proceeding { reliability, .. }, Class::Failure) => {
                self.complete(now, timers, reliability)
            }
            (State::Completed { .. }, Class::Failure) => ClientAction::Ack,
            (State::Accepted { .. }, Class::Success) => ClientAction::Deliver,
            (State::Completed { .. }, Class::Provisional | Class::Success)
            | (State::Accepted { .. }, Class::Provisional | Class::Failure)
            | (State::Terminated, Class::Provisional | Class::Success | Class::Failure) => {
                ClientAction::Nothing
            }
        }
    }

    /// The TU wants to cancel the INVITE.
    pub fn cancel(&mut self, now: Instant, timers: &Timers) -> Cancel {
        match self.0 {
            State::Calling { .. } => Cancel::Wait,
            State::Proceeding {
                reliability,
                cancelled: None,
            } => {
                self.0 = State::Proceeding {
                    reliability,
                    cancelled: Some(now.after(timers.t1_64())),
                };
                Cancel::Send
            }
            State::Proceeding {
                cancelled: Some(_), ..
            } => Cancel::Pending,
            State::Completed { .. } | State::Accepted { .. } | State::Terminated => Cancel::TooLate,
        }
    }

    /// The time is `now`: call again until it says [`ClientAction::Nothing`].
    pub fn timeout(&mut self, now: Instant, _timers: &Timers) -> ClientAction {
        match &mut self.0 {
            State::Calling { timer_b, .. } if *timer_b <= now => {
                self.0 = State::Terminated;
                ClientAction::TimedOut
            }
            State::Calling { timer_a, .. } => {
                if timer_a.fire(now, double) {
                    ClientAction::Resend
                } else {
                    ClientAction::Nothing
                }
            }
            State::Proceeding {
                cancelled: Some(end),
                ..
            } if *end <= now => {
                self.0 = State::Terminated;
                ClientAction::TimedOut
            }
            State::Completed { timer_d: end } | State::Accepted { timer_m: end } if *end <= now => {
                self.0 = State::Terminated;
                ClientAction::Ended
            }
            State::Proceeding { .. }
            | State::Completed { .. }
            | State::Accepted { .. }
            | State::Terminated => ClientAction::Nothing,
        }
    }

    /// The flow refused or lost the INVITE or the ACK (RFC 3261 §17.1.4).
    pub fn transport_failed(&mut self) -> ClientAction {
        match self.0 {
            State::Calling { .. } | State::Proceeding { .. } | State::Completed { .. } => {
                self.0 = State::Terminated;
                ClientAction::TransportFailed
            }
            // RFC 6026 Figure 5: an accepted INVITE sends nothing, so nothing of it can fail.
            State::Accepted { .. } | State::Terminated => ClientAction::Nothing,
        }
    }

    /// When [`timeout`](Self::timeout) has something to do; may change with every call.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0 {
            State::Calling { timer_a, timer_b } => Some(timer_a.or_sooner(timer_b)),
            State::Proceeding { cancelled, .. } => cancelled,
            State::Completed { timer_d } => Some(timer_d),
            State::Accepted { timer_m } => Some(timer_m),
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

    fn complete(
        &mut self,
        now: Instant,
        timers: &Timers,
        reliability: Reliability,
    ) -> ClientAction {
        self.0 = match reliability {
            Reliability::Reliable => State::Terminated,
            Reliability::Unreliable => State::Completed {
                timer_d: now.after(timers.d()),
            },
        };
        ClientAction::DeliverAndAck
    }
}

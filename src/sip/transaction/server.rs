//! The non-INVITE server transaction: RFC 3261 §17.2.2 with RFC 4320 §4 and RFC 6026 §8.8.
//!
//! ```text
//! state       request   100 by TU          101-199, 408  other final   timer                  transport failed
//! Trying      Nothing   reliable: Send     Refused       Send          Timer E is at T2:      TransportFailed
//!                       > Proceeding                     > Completed   SendTrying > Proc.
//!                       unreliable: Send                               64·T1: TimedOut
//!                       > Proceeding if T. E               > Terminated
//!                       is at T2, else Refused
//! Proceeding  Resend    Send               Refused       Send          64·T1: TimedOut        TransportFailed
//!                                                        > Completed   > Terminated
//! Completed   Resend    Refused            Refused       Refused       J: Ended > Terminated  TransportFailed
//! Terminated  Nothing   Refused            Refused       Refused       Nothing                Nothing
//! ```
//!
//! On a reliable transport Timer J is zero: a final response leads straight to Terminated. RFC 3261
//! has no timer for a TU that never answers; here it has until the client's Timer F, because a later
//! answer finds nobody (RFC 4320 §4.2: then no final response is sent at all). Until then a request
//! that the TU gave up on is still recognised and absorbed.

use super::timers::{Reliability, Timers};
use super::{Class, ServerAction};
use crate::time::Instant;
use crate::wire::name::Status;

/// The state of a non-INVITE server transaction, named as in RFC 3261 Figure 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// The TU has the request, the client has heard nothing.
    Trying {
        /// Of the request's transport; decides about 100 (Trying) and Timer J.
        reliability: Reliability,
        /// When the client's Timer E has reached T2 and a 100 (Trying) goes out.
        timer_e_at_t2: Instant,
        /// When the client's Timer F fires: nobody waits for an answer any more.
        timer_f: Instant,
    },
    /// A 100 (Trying) went out.
    Proceeding {
        /// Of the request's transport; decides about Timer J.
        reliability: Reliability,
        /// When the client's Timer F fires: nobody waits for an answer any more.
        timer_f: Instant,
    },
    /// A final response went out; it is repeated when the request comes again.
    Completed {
        /// The end.
        timer_j: Instant,
    },
    /// The transaction is over and must be dropped.
    Terminated,
}

/// A server transaction of any method but INVITE and ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NonInviteServer(State);

impl NonInviteServer {
    /// Starts in Trying; the caller hands the request to the TU.
    pub fn start(now: Instant, timers: &Timers, reliability: Reliability) -> Self {
        Self(State::Trying {
            reliability,
            timer_e_at_t2: now.after(timers.e_reaches_t2()),
            timer_f: now.after(timers.t1_64()),
        })
    }

    /// The request came again (RFC 3261 §17.2.3).
    pub fn request(&mut self) -> ServerAction {
        match self.0 {
            State::Proceeding { .. } | State::Completed { .. } => ServerAction::Resend,
            State::Trying { .. } | State::Terminated => ServerAction::Nothing,
        }
    }

    /// The TU answers.
    pub fn respond(&mut self, now: Instant, timers: &Timers, status: Status) -> ServerAction {
        // RFC 4320 §4.1: no provisional response but 100; §4.2: no 408.
        match status.code() {
            101..=199 | 408 => return ServerAction::Refused,
            _ => {}
        }
        match (self.0, Class::of(status)) {
            (
                State::Trying {
                    reliability,
                    timer_e_at_t2,
                    timer_f,
                },
                Class::Provisional,
            ) => match reliability {
                // RFC 4320 §4.1: not before Timer E reaches T2, unless the transport is reliable.
                Reliability::Unreliable if now < timer_e_at_t2 => ServerAction::Refused,
                Reliability::Reliable | Reliability::Unreliable => {
                    self.0 = State::Proceeding {
                        reliability,
                        timer_f,
                    };
                    ServerAction::Send
                }
            },
            (State::Proceeding { .. }, Class::Provisional) => ServerAction::Send,
            (
                State::Trying { reliability, .. } | State::Proceeding { reliability, .. },
                Class::Success | Class::Failure,
            ) => {
                self.0 = match reliability {
                    Reliability::Reliable => State::Terminated,
                    Reliability::Unreliable => State::Completed {
                        timer_j: now.after(timers.t1_64()),
                    },
                };
                ServerAction::Send
            }
            (
                State::Completed { .. } | State::Terminated,
                Class::Provisional | Class::Success | Class::Failure,
            ) => ServerAction::Refused,
        }
    }

    /// The time is `now`: call again until it says [`ServerAction::Nothing`].
    pub fn timeout(&mut self, now: Instant, _timers: &Timers) -> ServerAction {
        match self.0 {
            State::Trying { timer_f, .. } | State::Proceeding { timer_f, .. } if timer_f <= now => {
                self.0 = State::Terminated;
                ServerAction::TimedOut
            }
            State::Trying {
                reliability,
                timer_e_at_t2,
                timer_f,
            } if timer_e_at_t2 <= now => {
                self.0 = State::Proceeding {
                    reliability,
                    timer_f,
                };
                ServerAction::SendTrying
            }
            State::Completed { timer_j } if timer_j <= now => {
                self.0 = State::Terminated;
                ServerAction::Ended
            }
            State::Trying { .. }
            | State::Proceeding { .. }
            | State::Completed { .. }
            | State::Terminated => ServerAction::Nothing,
        }
    }

    /// The flow refused or lost a response: the state stays.
    ///
    /// RFC 3261 Figure 8 ends the transaction here; RFC 6026 §8.8 changed the text of §17.2.4 for
    /// all server transactions, so that the request is still recognised when it comes again.
    pub fn transport_failed(&mut self) -> ServerAction {
        match self.0 {
            State::Trying { .. } | State::Proceeding { .. } | State::Completed { .. } => {
                ServerAction::TransportFailed
            }
            State::Terminated => ServerAction::Nothing,
        }
    }

    /// When [`timeout`](Self::timeout) has something to do; may change with every call.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0 {
            State::Trying {
                timer_e_at_t2,
                timer_f,
                ..
            } => Some(timer_e_at_t2.min(timer_f)),
            State::Proceeding { timer_f, .. } => Some(timer_f),
            State::Completed { timer_j } => Some(timer_j),
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

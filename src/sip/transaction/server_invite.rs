//! The INVITE server transaction: RFC 3261 §17.2.1 with RFC 6026 §7.1.
//!
//! ```text
//! state                INVITE      1xx by TU  2xx by TU    300-699 by TU  ACK           timer
//! Proceeding, silent   SendTrying  Send       Send         Send           Nothing       200 ms: SendTrying
//!                      > answered  > answered > Accepted   > Completed                  > answered
//! Proceeding, answered Resend      Send       Send         Send           Nothing       -
//!                                             > Accepted   > Completed
//! Completed            Resend      Refused    Refused      Refused        Nothing       G: Resend
//!                                                                         > Confirmed   H: TimedOut > Terminated
//! Confirmed            Nothing     Refused    Refused      Refused        Nothing       I: Ended > Terminated
//! Accepted             Nothing     Refused    Send         Refused        DeliverAck    L: Ended > Terminated
//! Terminated           Nothing     Refused    Refused      Refused        Nothing       Nothing
//! ```
//!
//! On a reliable transport Timer G does not run and Timer I is zero: the ACK ends a completed
//! transaction. A failure of the transport is told to the TU and changes no state (RFC 6026 §7.1),
//! so that the INVITE is still recognised when it comes again. Retransmitting a 2xx until its ACK
//! comes is the TU's work (RFC 3261 §13.3.1.4).

use super::timers::{Reliability, Retransmission, Timers, double_to_t2};
use super::{Class, ServerAction};
use crate::time::Instant;
use crate::wire::name::Status;

/// RFC 3261 §17.2.1: the time the TU has before a 100 (Trying) goes out, in milliseconds.
const SILENCE: u64 = 200;

/// What the client has heard of a proceeding INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Heard {
    /// Nothing yet.
    Silence {
        /// When a 100 (Trying) goes out.
        until: Instant,
    },
    /// At least one provisional response.
    Provisional,
}

/// The state of an INVITE server transaction, named as in RFC 6026 Figure 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// The TU has the INVITE and has given no final response.
    Proceeding {
        /// Of the INVITE's transport; decides about Timers G and I.
        reliability: Reliability,
        /// Whether there is a response to repeat.
        heard: Heard,
    },
    /// The TU answered 300-699; the response is repeated until the ACK comes.
    Completed {
        /// When the response goes out again.
        timer_g: Retransmission,
        /// When waiting for the ACK ends.
        timer_h: Instant,
    },
    /// The ACK came; more of them are absorbed.
    Confirmed {
        /// The end.
        timer_i: Instant,
    },
    /// The TU answered 2xx; the INVITE is absorbed, ACKs go to the TU.
    Accepted {
        /// The end.
        timer_l: Instant,
    },
    /// The transaction is over and must be dropped.
    Terminated,
}

/// An INVITE server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InviteServer(State);

impl InviteServer {
    /// Starts in Proceeding; the caller hands the INVITE to the TU.
    pub fn start(now: Instant, reliability: Reliability) -> Self {
        Self(State::Proceeding {
            reliability,
            heard: Heard::Silence {
                until: now.after(SILENCE),
            },
        })
    }

    /// The INVITE came again (RFC 3261 §17.2.3).
    pub fn request(&mut self) -> ServerAction {
        match &mut self.0 {
            State::Proceeding { heard, .. } => match heard {
                // RFC 3261 §17.2.1: a 100 quenches retransmissions.
                Heard::Silence { .. } => {
                    *heard = Heard::Provisional;
                    ServerAction::SendTrying
                }
                Heard::Provisional => ServerAction::Resend,
            },
            State::Completed { .. } => ServerAction::Resend,
            State::Confirmed { .. } | State::Accepted { .. } | State::Terminated => {
                ServerAction::Nothing
            }
        }
    }

    /// The TU answers.
    pub fn respond(&mut self, now: Instant, timers: &Timers, status: Status) -> ServerAction {
        match (&mut self.0, Class::of(status)) {
            (State::Proceeding { heard, .. }, Class::Provisional) => {
                *heard = Heard::Provisional;
                ServerAction::Send
            }
            (State::Proceeding { .. }, Class::Success) => {
                self.0 = State::Accepted {
                    timer_l: now.after(timers.t1_64()),
                };
                ServerAction::Send
            }
            (State::Proceeding { reliability, .. }, Class::Failure) => {
                self.0 = State::Completed {
                    timer_g: Retransmission::start(now, timers, *reliability),
                    timer_h: now.after(timers.t1_64()),
                };
                ServerAction::Send
            }
            (State::Accepted { .. }, Class::Success) => ServerAction::Send,
            (State::Accepted { .. }, Class::Provisional | Class::Failure)
            | (
                State::Completed { .. } | State::Confirmed { .. } | State::Terminated,
                Class::Provisional | Class::Success | Class::Failure,
            ) => ServerAction::Refused,
        }
    }

    /// An ACK came whose key is that of this INVITE.
    ///
    /// The ACK for a 2xx has a branch of its own and comes here only from RFC 2543 clients
    /// (RFC 6026 §6).
    pub fn ack(&mut self, now: Instant, timers: &Timers) -> ServerAction {
        match self.0 {
            State::Completed { timer_g, .. } => match timer_g.reliability() {
                Reliability::Reliable => {
                    self.0 = State::Terminated;
                    ServerAction::Ended
                }
                Reliability::Unreliable => {
                    self.0 = State::Confirmed {
                        timer_i: now.after(u64::from(timers.t4())),
                    };
                    ServerAction::Nothing
                }
            },
            State::Accepted { .. } => ServerAction::DeliverAck,
            State::Proceeding { .. } | State::Confirmed { .. } | State::Terminated => {
                ServerAction::Nothing
            }
        }
    }

    /// The time is `now`: call again until it says [`ServerAction::Nothing`].
    pub fn timeout(&mut self, now: Instant, timers: &Timers) -> ServerAction {
        match &mut self.0 {
            State::Proceeding { heard, .. } => match heard {
                Heard::Silence { until } if *until <= now => {
                    *heard = Heard::Provisional;
                    ServerAction::SendTrying
                }
                Heard::Silence { .. } | Heard::Provisional => ServerAction::Nothing,
            },
            State::Completed { timer_h, .. } if *timer_h <= now => {
                self.0 = State::Terminated;
                ServerAction::TimedOut
            }
            State::Completed { timer_g, .. } => {
                if timer_g.fire(now, double_to_t2(timers)) {
                    ServerAction::Resend
                } else {
                    ServerAction::Nothing
                }
            }
            State::Confirmed { timer_i: end } | State::Accepted { timer_l: end } if *end <= now => {
                self.0 = State::Terminated;
                ServerAction::Ended
            }
            State::Confirmed { .. } | State::Accepted { .. } | State::Terminated => {
                ServerAction::Nothing
            }
        }
    }

    /// The flow refused or lost a response: the state stays (RFC 6026 §7.1, §8.8).
    pub fn transport_failed(&mut self) -> ServerAction {
        match self.0 {
            State::Proceeding { .. } | State::Completed { .. } | State::Accepted { .. } => {
                ServerAction::TransportFailed
            }
            State::Confirmed { .. } | State::Terminated => ServerAction::Nothing,
        }
    }

    /// When [`timeout`](Self::timeout) has something to do; may change with every call.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0 {
            State::Proceeding { heard, .. } => match heard {
                Heard::Silence { until } => Some(until),
                Heard::Provisional => None,
            },
            State::Completed { timer_g, timer_h } => Some(timer_g.or_sooner(timer_h)),
            State::Confirmed { timer_i } => Some(timer_i),
            State::Accepted { timer_l } => Some(timer_l),
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

//! The four transactions of RFC 3261 §17, as corrected by RFC 6026 and RFC 4320.
//!
//! A transaction decides *when* something is sent, resent, told to its user or forgotten. It holds
//! no bytes and no address: the owner of the machine keeps the request or the last response as it
//! went on the wire and does what the returned action says. The user of a transaction (RFC 3261
//! calls it TU) is the part of the client that asked for it.
//!
//! ```text
//! InviteClient::start(now, &Timers, Reliability)        the owner sends the INVITE once
//!     .response(now, &Timers, Status) -> ClientAction   a response with our branch and method
//!     .cancel(now, &Timers) -> Cancel                   may a CANCEL be sent (§9.1)?
//!     .timeout(now, &Timers) -> ClientAction            call again until it says Nothing
//!     .transport_failed() -> ClientAction
//! NonInviteClient::start(now, &Timers, Reliability)     the owner sends the request once
//!     .response / .timeout / .transport_failed          as above
//! InviteServer::start(now, Reliability)                 the owner hands the INVITE to the TU
//!     .request() -> ServerAction                        the INVITE came again
//!     .respond(now, &Timers, Status) -> ServerAction    the TU answers
//!     .ack(now, &Timers) -> ServerAction                an ACK with the key of the INVITE
//!     .timeout(now, &Timers) -> ServerAction
//!     .transport_failed() -> ServerAction
//! NonInviteServer::start(now, &Timers, Reliability)     the owner hands the request to the TU
//!     .request() / .respond / .timeout / .transport_failed
//! all: .deadline() -> Option<Instant>, .is_terminated() -> bool, .state() -> State
//! ```
//!
//! Three rules hold for all four. A machine that [is terminated](InviteClient::is_terminated) after
//! a call is dropped once the action of that call is done. The longest timer wins: after a jump of
//! the clock a transaction that ran out says so, without first making up for retransmissions that
//! it missed. A retransmission timer counts from the moment it fired, so there is never a burst.
//!
//! [`RequestKey`] says which transaction a request belongs to (§17.2.3); responses are matched by
//! branch and method (§17.1.3), which are the client's own.
//!
//! ```
//! use oma_im::sip::transaction::{ClientAction, NonInviteClient, Reliability, Timers};
//! use oma_im::time::Instant;
//!
//! let timers = Timers::RFC3261;
//! let start = Instant::ZERO;
//! let mut message = NonInviteClient::start(start, &timers, Reliability::Unreliable);
//! // Nobody answers: after 500 ms the bytes go out once more.
//! let due = message.deadline().unwrap();
//! assert_eq!(due, start.after(500));
//! assert_eq!(message.timeout(due, &timers), ClientAction::Resend);
//! assert_eq!(message.timeout(due, &timers), ClientAction::Nothing);
//! ```

pub mod client;
pub mod client_invite;
pub mod key;
pub mod server;
pub mod server_invite;
pub mod timers;

pub use client::NonInviteClient;
pub use client_invite::{Cancel, InviteClient};
pub use key::{MergeKey, OldFields, RequestKey, ServerKey, TopVia};
pub use server::NonInviteServer;
pub use server_invite::InviteServer;
pub use timers::{Reliability, Timers, TimersError};

use crate::wire::name::{Status, StatusClass};

/// What the owner of a client transaction does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum ClientAction {
    /// Nothing; a response that came is absorbed.
    Nothing,
    /// Send the request once more, the same bytes.
    Resend,
    /// Pass the response to the TU.
    Deliver,
    /// Pass the response to the TU and send the ACK of RFC 3261 §17.1.1.3.
    DeliverAndAck,
    /// Send the ACK once more; the response is a retransmission and absorbed.
    Ack,
    /// Tell the TU that no final response came (Timer B, Timer F, or §9.1 after a CANCEL).
    TimedOut,
    /// Tell the TU that the request could not be sent (RFC 3261 §17.1.4).
    TransportFailed,
    /// The wait for retransmissions is over (Timer D, K or M); the TU need not know.
    Ended,
}

/// What the owner of a server transaction does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum ServerAction {
    /// Nothing; a request that came is absorbed.
    Nothing,
    /// Send the response that the TU gave and keep it as the last response.
    Send,
    /// Build a 100 (Trying), send it and keep it as the last response.
    SendTrying,
    /// Send the last response once more, the same bytes.
    Resend,
    /// Do not send the response that the TU gave: a final one went out already (RFC 3261 §17.2.2),
    /// or RFC 4320 §4 forbids it.
    Refused,
    /// Pass the ACK to the TU: it is the one for its 2xx (RFC 6026 §6).
    DeliverAck,
    /// Tell the TU that it is over: no ACK came (Timer H), or the TU did not answer a non-INVITE
    /// request before the client gave up.
    TimedOut,
    /// Tell the TU that the response could not be sent.
    TransportFailed,
    /// The wait for retransmissions is over (Timer I, J or L); the TU need not know.
    Ended,
}

/// The three kinds of response that transactions tell apart.
#[derive(Clone, Copy)]
enum Class {
    /// 100 to 199.
    Provisional,
    /// 200 to 299.
    Success,
    /// 300 to 699.
    Failure,
}

impl Class {
    fn of(status: Status) -> Self {
        match status.class() {
            StatusClass::Provisional => Self::Provisional,
            StatusClass::Success => Self::Success,
            StatusClass::Redirection
            | StatusClass::ClientError
            | StatusClass::ServerError
            | StatusClass::GlobalFailure => Self::Failure,
        }
    }
}

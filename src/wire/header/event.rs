//! Headers of event notification: which package, and what state a subscription is in (RFC 6665 §8.4).

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{Class, Commas, Params, eq_ignore_case, offset_in, split_commas, trim_lws};

use super::token::{number, token_and_params};

/// An event type: a package, and the templates applied to it (RFC 6665 §8.4, event-type).
///
/// Compares byte by byte (§8.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventType<'b>(&'b [u8]);

impl<'b> EventType<'b> {
    /// Parses a whole value without parameters.
    ///
    /// # Errors
    /// `HeaderValue` if a part between two dots is empty, or at the first byte that is not of a token.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let name = trim_lws(value);
        let fault =
            |left: &[u8]| ParseError::new(ParseErrorKind::HeaderValue, offset_in(value, left));
        // event-type = event-package *( "." event-template ), each a token without a dot
        if let (_, rest @ [_, ..]) = Class::TOKEN.split(name) {
            return Err(fault(rest));
        }
        match name.split(|&b| b == b'.').find(|part| part.is_empty()) {
            Some(empty) => Err(fault(empty)),
            None => Ok(Self(name)),
        }
    }

    /// Its bytes, templates included: `presence.winfo`.
    pub const fn as_bytes(self) -> &'b [u8] {
        self.0
    }

    /// Whether it is this event type, templates included.
    pub fn is(self, event_type: &[u8]) -> bool {
        self.0 == event_type
    }

    /// The event package: `presence`.
    pub fn package(self) -> &'b [u8] {
        self.0.split(|&b| b == b'.').next().unwrap_or_default()
    }

    /// The templates in their order: `winfo`.
    pub fn templates(self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        self.0.split(|&b| b == b'.').skip(1)
    }
}

/// Event (RFC 6665 §8.2.1, §8.4).
///
/// ```
/// use oma_im::wire::header::Event;
///
/// let event = Event::parse(b"presence.winfo;id=q7")?;
/// assert_eq!(event.event_type.package(), b"presence");
/// assert!(event.matches(&Event::parse(b"presence.winfo ; x=y; id=q7")?));
/// assert!(!event.matches(&Event::parse(b"presence.winfo")?));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Event<'b> {
    /// The package and its templates.
    pub event_type: EventType<'b>,
    /// The parameters.
    pub params: Params<'b>,
}

impl<'b> Event<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is no event type with well-formed parameters.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (token, params) = token_and_params(value)?;
        let event_type =
            EventType::parse(token).map_err(|error| error.at(offset_in(value, token)))?;
        Ok(Self { event_type, params })
    }

    /// Which of several subscriptions to the package; compares with case.
    pub fn id(&self) -> Option<&'b [u8]> {
        self.params.value(b"id")
    }

    /// Whether a NOTIFY with one belongs to a SUBSCRIBE with the other: the same event type and the
    /// same `id`, or none in both; other parameters do not count (RFC 6665 §8.2.1).
    pub fn matches(&self, other: &Event<'_>) -> bool {
        self.event_type == other.event_type && self.id() == other.id()
    }
}

/// Allow-Events (RFC 6665 §8.2.2, §8.4): the event types that are supported.
#[derive(Clone, Copy, Debug)]
pub struct AllowEvents<'b> {
    value: &'b [u8],
}

impl<'b> AllowEvents<'b> {
    /// Parses a whole value, one or more event types or nothing.
    ///
    /// # Errors
    /// `HeaderValue` at the first element that is no event type.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        match split_commas(value).find(|element| EventType::parse(element).is_err()) {
            Some(bad) => Err(ParseError::new(
                ParseErrorKind::HeaderValue,
                offset_in(value, bad),
            )),
            None => Ok(Self { value }),
        }
    }

    /// The event types in their order.
    pub fn iter(&self) -> Commas<'b> {
        split_commas(self.value)
    }

    /// Whether the event type is in the list, byte for byte.
    pub fn has(&self, event_type: &[u8]) -> bool {
        self.iter().any(|element| element == event_type)
    }
}

/// Subscription-State (RFC 6665 §8.2.3, §8.4). Parameters that are not known are passed over.
///
/// ```
/// use oma_im::wire::header::{EventReason, SubscriptionState, Substate};
///
/// let state = SubscriptionState::parse(b"terminated;reason=probation;retry-after=60")?;
/// assert_eq!(state.state(), Substate::Terminated);
/// assert_eq!(state.reason(), Some(EventReason::Probation));
/// assert_eq!(state.retry_after(), Some(60));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionState<'b> {
    /// The state as it was written; [`Self::state`] reads it.
    pub token: &'b [u8],
    /// The parameters.
    pub params: Params<'b>,
}

/// The state of a subscription (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Substate<'b> {
    /// It exists and is authorized.
    Active,
    /// It exists and waits for authorization.
    Pending,
    /// It is over.
    Terminated,
    /// Another state.
    Other(&'b [u8]),
}

/// Why a subscription is over, or pending, and what to do about it (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventReason<'b> {
    /// `deactivated`: subscribe again at once.
    Deactivated,
    /// `probation`: subscribe again later, after `retry-after` if it is given.
    Probation,
    /// `rejected`: the authorization policy has changed; do not subscribe again.
    Rejected,
    /// `timeout`: it was not refreshed in time, or it was a fetch; one may subscribe again at once.
    Timeout,
    /// `giveup`: nobody authorized it in time; subscribe again, after `retry-after` if it is given.
    GiveUp,
    /// `noresource`: the resource does not exist any more; do not subscribe again.
    NoResource,
    /// `invariant`: the state will never change; do not subscribe again.
    Invariant,
    /// Another, which counts as none: one may subscribe again, after `retry-after` if it is given.
    Other(&'b [u8]),
}

impl<'b> SubscriptionState<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is no token with well-formed parameters.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (token, params) = token_and_params(value)?;
        Ok(Self { token, params })
    }

    /// The state.
    pub fn state(&self) -> Substate<'b> {
        match self.token {
            token if eq_ignore_case(token, b"active") => Substate::Active,
            token if eq_ignore_case(token, b"pending") => Substate::Pending,
            token if eq_ignore_case(token, b"terminated") => Substate::Terminated,
            token => Substate::Other(token),
        }
    }

    /// Why; `None` if it is not said.
    pub fn reason(&self) -> Option<EventReason<'b>> {
        Some(match self.params.value(b"reason")? {
            reason if eq_ignore_case(reason, b"deactivated") => EventReason::Deactivated,
            reason if eq_ignore_case(reason, b"probation") => EventReason::Probation,
            reason if eq_ignore_case(reason, b"rejected") => EventReason::Rejected,
            reason if eq_ignore_case(reason, b"timeout") => EventReason::Timeout,
            reason if eq_ignore_case(reason, b"giveup") => EventReason::GiveUp,
            reason if eq_ignore_case(reason, b"noresource") => EventReason::NoResource,
            reason if eq_ignore_case(reason, b"invariant") => EventReason::Invariant,
            reason => EventReason::Other(reason),
        })
    }

    /// The seconds it has left; `None` if absent or no 32-bit number, and of one that is over.
    pub fn expires(&self) -> Option<u32> {
        // RFC 6665 §4.1.3: subscribers MUST ignore it with "terminated".
        if self.state() == Substate::Terminated {
            return None;
        }
        number(self.params, b"expires")
    }

    /// The seconds to wait before another try; `None` if absent or no 32-bit number.
    pub fn retry_after(&self) -> Option<u32> {
        number(self.params, b"retry-after")
    }
}

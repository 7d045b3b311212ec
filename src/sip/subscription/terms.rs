//! What goes into a subscription and what comes out of it.

use super::super::backoff::BackoffConfig;
use super::super::registration::RefreshRule;
use crate::time::Instant;
use crate::wire::header::{Event, EventReason, SubscriptionState, Substate};
use crate::wire::name::Status;

/// What an event package is to its subscriber (RFC 6665 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Package {
    /// Its name, for Event; we never send an `id`.
    pub name: &'static str,
    /// The type of its documents, for Accept.
    pub accept: &'static str,
    /// Its default duration, in seconds.
    pub expires: u32,
    /// What becomes of forked requests.
    pub forking: Forking,
}

/// Whether a forked SUBSCRIBE may install several subscriptions (RFC 6665 §5.4.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Forking {
    /// The first NOTIFY makes the only dialog; the others get 481.
    Single,
    /// Each NOTIFY makes a dialog of its own.
    Multiple,
}

impl Package {
    /// Registration state: RFC 3680 §4.1, §4.4, §4.5, §4.9.
    pub const REG: Self = Self {
        name: "reg",
        accept: "application/reginfo+xml",
        expires: 3_761,
        forking: Forking::Single,
    };
    /// The service settings: RFC 4354 §5.1, §5.4, §5.5, §5.9.
    pub const POC_SETTINGS: Self = Self {
        name: "poc-settings",
        accept: "application/poc-settings+xml",
        expires: 3_600,
        forking: Forking::Single,
    };
    /// Conference state: RFC 4575 §3.1, §3.3, §3.4, §3.8.
    pub const CONFERENCE: Self = Self {
        name: "conference",
        accept: "application/conference-info+xml",
        expires: 3_600,
        forking: Forking::Single,
    };

    /// Whether an Event names it. RFC 6665 §8.2.1: byte by byte, and an `id` never matches none.
    pub fn is_named(&self, event: &Event<'_>) -> bool {
        event.event_type.is(self.name.as_bytes()) && event.id().is_none()
    }
}

/// What a subscription asks for and puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SubscriptionConfig {
    /// What is subscribed to.
    pub package: Package,
    /// The time asked for, in seconds; 0 counts as 1. Default: that of the package.
    pub expires: u32,
    /// The longest `Min-Expires` that is obeyed, in seconds. Default 2,592,000, which is 30 days.
    pub max_expires: u32,
    /// When to refresh. Default [`RefreshRule::Ims`].
    pub refresh: RefreshRule,
    /// How long to wait after a failure.
    pub backoff: BackoffConfig,
}

impl SubscriptionConfig {
    /// The defaults for a package.
    pub const fn new(package: Package) -> Self {
        Self {
            package,
            expires: package.expires,
            max_expires: 2_592_000,
            refresh: RefreshRule::Ims,
            backoff: BackoffConfig::RFC5626,
        }
    }
}

/// What Subscription-State says (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Notice {
    /// `active` or `pending`.
    Alive {
        /// Which.
        phase: Phase,
        /// The seconds that are left.
        expires: Option<u32>,
    },
    /// `terminated`.
    Terminated {
        /// Why.
        reason: Termination,
        /// The seconds to wait, where the reason gives them a meaning.
        retry_after: Option<u32>,
    },
}

impl Notice {
    /// Reads a Subscription-State.
    pub fn of(state: SubscriptionState<'_>) -> Self {
        match state.state() {
            Substate::Active => Self::Alive {
                phase: Phase::Active,
                expires: state.expires(),
            },
            Substate::Pending | Substate::Other(_) => Self::Alive {
                phase: Phase::Pending,
                expires: state.expires(),
            },
            Substate::Terminated => Self::Terminated {
                reason: Termination::new(state.reason()),
                retry_after: state.retry_after(),
            },
        }
    }
}

/// The two states of a subscription that exists (RFC 6665 §4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Phase {
    /// It waits for authorization. A state that is not known counts as this.
    Pending,
    /// It is authorized.
    Active,
}

/// Why a notifier ended a subscription (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Termination {
    /// Subscribe again at once.
    Deactivated,
    /// Later.
    Probation,
    /// Not authorized (any more): do not.
    Rejected,
    /// It was not refreshed, or ended by us: at once.
    Timeout,
    /// No authorization came: later.
    GiveUp,
    /// There is nothing to subscribe to any more: do not.
    NoResource,
    /// The state does not change: do not.
    Invariant,
    /// None was given, or one that is not known: later.
    Other,
}

impl Termination {
    /// What a Subscription-State gives as its reason.
    pub fn new(reason: Option<EventReason<'_>>) -> Self {
        match reason {
            Some(EventReason::Deactivated) => Self::Deactivated,
            Some(EventReason::Probation) => Self::Probation,
            Some(EventReason::Rejected) => Self::Rejected,
            Some(EventReason::Timeout) => Self::Timeout,
            Some(EventReason::GiveUp) => Self::GiveUp,
            Some(EventReason::NoResource) => Self::NoResource,
            Some(EventReason::Invariant) => Self::Invariant,
            Some(EventReason::Other(_)) | None => Self::Other,
        }
    }
}

/// Where a SUBSCRIBE belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Which {
    /// A new subscription, with a new Call-ID and a new From tag.
    New,
    /// That of the last SUBSCRIBE, with the next CSeq.
    Current,
}

/// What the owner does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SubscriptionAction {
    /// Nothing.
    Nothing,
    /// Send a SUBSCRIBE; one that is still under way is dropped.
    Subscribe {
        /// Where it belongs.
        dialog: Which,
        /// For Expires, in seconds.
        expires: u32,
    },
}

/// What the user of a subscription is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SubscriptionEvent {
    /// There is a subscription, or it is authorized now, or not any more.
    Subscribed {
        /// Whether it is authorized.
        phase: Phase,
        /// When it ends unless it is refreshed.
        until: Instant,
    },
    /// A refresh failed; the subscription is still there (RFC 6665 §4.1.2.2).
    Failing {
        /// Why.
        reason: Reason,
        /// Whether it is tried again; it never comes as `AtOnce`.
        retry: Retry,
        /// When it ends.
        until: Instant,
    },
    /// There is no subscription, against our will.
    Ended {
        /// Why.
        reason: Reason,
        /// Whether another one is asked for.
        retry: Retry,
    },
    /// There is no subscription, as was wanted; ends every
    /// [`unsubscribe`](super::Usage::unsubscribe).
    Unsubscribed,
    /// The state was fetched; ends a [`fetch`](super::Usage::fetch), unless `Ended` does.
    Fetched,
}

/// Why there is no subscription, or a refresh failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reason {
    /// The final response to SUBSCRIBE.
    Status(Status),
    /// No final response (Timer F).
    Timeout,
    /// The request could not be sent.
    TransportFailed,
    /// A 423 whose Min-Expires is missing, not more than what was asked for, over
    /// [`SubscriptionConfig::max_expires`], or the third in a row.
    IntervalTooBrief {
        /// Min-Expires in seconds.
        min_expires: Option<u32>,
    },
    /// No NOTIFY came in time (Timer N).
    NoNotify,
    /// The notifier ended it.
    Terminated(Termination),
    /// It ran out.
    Expired,
}

/// Whether there is another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Retry {
    /// Not before [`subscribe`](super::Usage::subscribe) is called again.
    Never,
    /// It is under way.
    AtOnce,
    /// Then.
    At(Instant),
}

/// An action and an event, which belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Step {
    /// What to do.
    pub action: SubscriptionAction,
    /// What to tell.
    pub event: Option<SubscriptionEvent>,
}

impl Step {
    /// Nothing to do and nothing to tell.
    pub const NOTHING: Self = Self {
        action: SubscriptionAction::Nothing,
        event: None,
    };

    pub(super) const fn subscribe(dialog: Which, expires: u32) -> Self {
        Self {
            action: SubscriptionAction::Subscribe { dialog, expires },
            event: None,
        }
    }

    pub(super) const fn telling(self, event: SubscriptionEvent) -> Self {
        Self {
            action: self.action,
            event: Some(event),
        }
    }
}

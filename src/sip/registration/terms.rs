//! What goes into a registration and what comes out of it.

use super::super::backoff::BackoffConfig;
use crate::time::Instant;
use crate::wire::name::Status;

/// When a binding is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RefreshRule {
    /// 3GPP TS 24.229 §5.1.1.4.1: 600 s before the end if it lasts more than 1200 s, else at half.
    Ims,
    /// After this part of its time, in percent; taken as 10 at least and 90 at most.
    Percent(u8),
}

impl RefreshRule {
    /// Milliseconds from the grant of so many seconds to the refresh.
    pub(in crate::sip) fn after(self, granted: u32) -> u64 {
        let granted = u64::from(granted);
        match self {
            Self::Ims if granted > 1_200 => granted.saturating_sub(600).saturating_mul(1_000),
            Self::Ims => granted.saturating_mul(500),
            Self::Percent(percent) => {
                granted.saturating_mul(u64::from(percent.clamp(10, 90)).saturating_mul(10))
            }
        }
    }
}

/// What a registration asks for and puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RegistrationConfig {
    /// The time asked for, in seconds. Default 600,000, as 3GPP TS 24.229 §5.1.1.2.1 wants; 0
    /// counts as 1.
    pub expires: u32,
    /// The longest `Min-Expires` that is obeyed, in seconds. Default 2,592,000, which is 30 days.
    pub max_expires: u32,
    /// When to refresh. Default [`RefreshRule::Ims`].
    pub refresh: RefreshRule,
    /// How long a de-registration may take, in milliseconds. Default 32,000, which is 64·T1.
    pub deregister_within: u32,
    /// How long to wait after a failure.
    pub backoff: BackoffConfig,
}

impl RegistrationConfig {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        expires: 600_000,
        max_expires: 2_592_000,
        refresh: RefreshRule::Ims,
        deregister_within: 32_000,
        backoff: BackoffConfig::RFC5626,
    };
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the owner does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RegistrationAction {
    /// Nothing.
    Nothing,
    /// Form a new flow, to the next candidate if there is one, and tell
    /// [`flow_ready`](super::Registration::flow_ready) or
    /// [`flow_lost`](super::Registration::flow_lost). An old flow that still stands is closed; its
    /// end is not told.
    OpenFlow,
    /// Send a REGISTER over the flow that asks for this many seconds.
    SendRegister {
        /// For Expires or the `expires` parameter of Contact.
        expires: u32,
    },
    /// Send a REGISTER over the flow that asks for 0 seconds (RFC 3261 §10.2.2).
    SendDeregister,
}

/// What the user of a registration is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RegistrationEvent {
    /// There is a binding, or it was refreshed.
    Registered {
        /// When it ends unless it is refreshed.
        until: Instant,
    },
    /// The binding is gone: it ran out, its flow failed, the network changed or the registrar ended
    /// it. The machine is already busy with a new one.
    RegistrationLost,
    /// There is no binding as far as we can do anything about it; ends every de-registration.
    Deregistered,
    /// An attempt failed.
    Failed {
        /// Why.
        reason: Reason,
        /// Whether the machine tries again by itself.
        retry: Retry,
        /// Until when the old binding serves; `None` if there is none (any more).
        bound_until: Option<Instant>,
    },
}

/// Why an attempt to register failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reason {
    /// The final response.
    Status(Status),
    /// No final response (Timer F).
    Timeout,
    /// The flow failed, or none could be formed.
    FlowLost,
    /// A 423 whose Min-Expires is missing, not more than what was asked for, over
    /// [`RegistrationConfig::max_expires`], or the third in a row.
    IntervalTooBrief {
        /// Min-Expires in seconds.
        min_expires: Option<u32>,
    },
    /// A 2xx that grants no time, or does not have our Contact.
    NotBound,
    /// The registrar put an end to it (`rejected` or `probation`, RFC 3680 §4.7.1).
    Ended,
}

/// Whether the machine tries again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Retry {
    /// Not before [`register`](super::Registration::register) is called again.
    Never,
    /// Then, or sooner when the network changes.
    At(Instant),
}

/// An action and an event, which belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Step {
    /// What to do.
    pub action: RegistrationAction,
    /// What to tell.
    pub event: Option<RegistrationEvent>,
}

impl Step {
    /// Nothing to do and nothing to tell.
    pub const NOTHING: Self = Self {
        action: RegistrationAction::Nothing,
        event: None,
    };

    pub(super) const fn telling(self, event: RegistrationEvent) -> Self {
        Self {
            action: self.action,
            event: Some(event),
        }
    }
}

/// Whether answers to keep-alives are expected on the flow of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KeepAlives {
    /// They are: the flow has worked when one came.
    Supervised,
    /// They are not: the flow has worked when it stood for 30 s.
    Unsupervised,
}

/// What the registrar's reg event package says about our Contact (RFC 3680 §4.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Notice {
    /// `shortened`: it now ends in so many seconds; refresh at half of them.
    Shortened {
        /// The `expires` of the contact.
        expires: u32,
    },
    /// `deactivated`: gone; register again.
    Deactivated,
    /// `probation`: gone; register again later.
    Probation {
        /// The `retry-after` of the contact, in seconds.
        retry_after: Option<u32>,
    },
    /// `rejected`: gone; do not register again.
    Rejected,
}

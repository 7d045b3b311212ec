//! The states of a subscriber.

use super::super::dialog::Reach;
use super::super::lease::Lease;
use super::terms::Phase;
use crate::time::Instant;

/// Timer N of a SUBSCRIBE within a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TimerN {
    /// It is not out yet.
    Unsent,
    /// A NOTIFY has to come by then.
    Running(Instant),
    /// One came, or none will.
    Over(Told),
}

/// Whether the NOTIFY of a SUBSCRIBE said how much time is left; RFC 3265 let it be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Told {
    /// It did.
    Time,
    /// It did not, or only how much was left before: the 2xx will.
    Nothing,
}

impl Told {
    pub(super) fn by(expires: Option<u32>) -> Self {
        match expires {
            Some(_) => Self::Time,
            None => Self::Nothing,
        }
    }
}

/// Whether a SUBSCRIBE has its final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// Not yet.
    Awaited,
    /// A 2xx.
    Accepted,
}

/// What comes after the SUBSCRIBE that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Then {
    /// Nothing special.
    Stay,
    /// Another one.
    Refresh,
    /// The end of the subscription.
    Leave,
}

/// What comes after the end of a subscription or a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Afterwards {
    /// Nothing.
    Stay,
    /// A new subscription.
    Subscribe,
}

/// Who ended an attempt or put it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cause {
    /// The notifier: its time is kept.
    Answered,
    /// No notifier was reached: [`online`](super::Usage::online) ends the wait.
    Unreached,
}

/// The first SUBSCRIBE is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NotifyWait {
    /// When it fails without a NOTIFY; `None`: it is not out yet.
    pub timer_n: Option<Instant>,
    /// The end that its 2xx gave; `None`: none came yet.
    pub granted: Option<Instant>,
    /// What comes next.
    pub then: Then,
    /// How many 423 it met.
    pub too_brief: u8,
}

/// What a subscription is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Plan {
    /// It is refreshed when the time comes.
    AsDue,
    /// A SUBSCRIBE is under way.
    UnderWay {
        /// The wait for its NOTIFY.
        timer_n: TimerN,
        /// Its response.
        answer: Answer,
        /// What comes next.
        then: Then,
        /// How many 423 it met.
        too_brief: u8,
    },
    /// A refresh failed and is tried again.
    Retry {
        /// When.
        at: Instant,
        /// Whether it may be sooner.
        cause: Cause,
    },
    /// A refresh was refused for good.
    RunOut,
}

/// A subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Subscribed {
    /// Pending or active.
    pub phase: Phase,
    /// Since when there is one.
    pub since: Instant,
    /// How long it lasts.
    pub lease: Lease,
    /// What it is doing.
    pub plan: Plan,
    /// Whether requests can be sent within its dialog.
    pub reach: Reach,
}

/// The state of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// There is no subscription and none is wanted.
    Idle,
    /// A SUBSCRIBE with an Expires of 0 is under way (RFC 6665 §4.4.3).
    Fetching {
        /// When it is over; `None`: it is not out yet.
        timer_n: Option<Instant>,
        /// Whether a NOTIFY came that does not end it.
        notified: Notified,
        /// What comes next.
        then: Afterwards,
    },
    /// `notify_wait`.
    NotifyWait(NotifyWait),
    /// `pending` or `active`.
    Subscribed(Subscribed),
    /// An Expires of 0 is on its way in the dialog; the last NOTIFY is waited for.
    Leaving {
        /// When it is over in any case; `None`: it is not out yet.
        timer_n: Option<Instant>,
        /// What comes next.
        then: Afterwards,
    },
    /// The next attempt is put off.
    Waiting {
        /// When it is made.
        until: Instant,
        /// Whether it may be made sooner.
        cause: Cause,
    },
}

/// Whether a NOTIFY came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Notified {
    /// No.
    No,
    /// Yes.
    Yes,
}

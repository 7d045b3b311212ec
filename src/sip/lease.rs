//! How long something lasts that a server granted, and when it is renewed.
//!
//! A renewal has a window: it goes out at its end at the latest, and from its beginning on if the
//! device is awake anyway, so that renewals of about the same time fall together. Those of about
//! the same length fall together from their second on, whenever they began.

use super::registration::RefreshRule;
use crate::time::Instant;

/// Nothing is renewed sooner than this after it was granted, in milliseconds.
const RENEWAL_MIN: u64 = 5_000;

/// The time that a server granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lease {
    ends: Instant,
    by: Instant,
    /// How long before `by` it may be renewed, in milliseconds.
    early: u32,
    /// Milliseconds from the grant to `by`.
    renewal: u32,
}

impl Lease {
    /// In place of `early`: at once.
    const AT_ONCE: u32 = u32::MAX;

    /// Granted now for so many seconds.
    pub(super) fn new(now: Instant, rule: RefreshRule, granted: u32) -> Self {
        let lasts = u64::from(granted).saturating_mul(1_000);
        let renewal = rule.after(granted).max(RENEWAL_MIN);
        // The window is a quarter of what goes before it or of what comes after, the shorter one.
        let window = renewal.min(lasts.saturating_sub(renewal)) / 4;
        let early = window.min(renewal.saturating_sub(RENEWAL_MIN));
        let short = |millis: u64| u32::try_from(millis).unwrap_or(u32::MAX);
        Self {
            ends: now.after(lasts),
            by: now.after(renewal),
            early: short(early).min(Self::AT_ONCE.saturating_sub(1)),
            renewal: short(renewal),
        }
    }

    /// The same, now that the server says that so many seconds are left; it cannot become longer.
    ///
    /// The renewal stays where it is unless it would have less than half of its margin.
    #[must_use]
    pub(super) fn shortened(self, now: Instant, rule: RefreshRule, left: u32) -> Self {
        let new = Self::new(now, rule, left);
        if new.ends >= self.ends {
            self
        } else if new.ends.since(self.by) >= self.ends.since(self.by) / 2 {
            Self {
                ends: new.ends,
                ..self
            }
        } else {
            new
        }
    }

    /// The same, to be renewed at the next chance.
    #[must_use]
    pub(super) fn due_at_once(self) -> Self {
        Self {
            early: Self::AT_ONCE,
            ..self
        }
    }

    /// The same, to be renewed at once if that saves a wake-up: the device is awake now and will be
    /// at `next` anyway, the renewal would be due before, and after one now it is not.
    #[must_use]
    pub(super) fn together(self, now: Instant, next: Instant) -> Self {
        let left = self.by.since(now);
        let is_new = left.saturating_add(RENEWAL_MIN) > u64::from(self.renewal);
        if !is_new && self.by < next && now.after(u64::from(self.renewal)) >= next {
            self.due_at_once()
        } else {
            self
        }
    }

    /// When it ends.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// When it may be renewed.
    pub fn renewed_from(&self) -> Instant {
        match self.early {
            Self::AT_ONCE => Instant::ZERO,
            early => Instant::from_millis(self.by.as_millis().saturating_sub(u64::from(early))),
        }
    }

    /// When it is renewed at the latest.
    pub fn renewed_by(&self) -> Instant {
        self.by
    }

    /// By how many milliseconds the renewal may be late without harm: a tenth of what is left
    /// then.
    pub fn slack(&self) -> u64 {
        self.ends.since(self.by) / 10
    }

    /// Whether so many seconds are what is left of it, within two.
    pub(super) fn is_what_is_left(&self, now: Instant, seconds: u32) -> bool {
        let ends = now.after(u64::from(seconds).saturating_mul(1_000));
        ends.since(self.ends).max(self.ends.since(ends)) <= 2_000
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ends <= now
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.renewed_from() <= now
    }
}

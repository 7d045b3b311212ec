//! How long to wait before trying a flow again: RFC 5626 §4.5.
//!
//! The upper bound of the wait is `base · 2^failures`, at most half an hour; the wait itself is a
//! random time between half the bound and the bound, so that the clients of a server that comes
//! back do not come back all at once. The base is 30 s if no flow to any server works, else 90 s:
//! there is less hurry while another flow serves. A `Retry-After` can only lengthen the wait.
//! Failures are counted until a flow succeeded: it registered and, where keep-alives are in use,
//! one was answered. A registration alone does not reset the count there.
//!
//! ```
//! use oma_im::sip::backoff::{Backoff, BackoffConfig, OtherFlows};
//!
//! let config = BackoffConfig::default();
//! let mut backoff = Backoff::new();
//! // The first retry happens somewhere between 30 and 60 s after the first failure.
//! assert_eq!(backoff.failed(&config, OtherFlows::AllFailed, 0, None), 30_000);
//! // The second one between 60 and 120 s, unless the server asks for more.
//! assert_eq!(backoff.failed(&config, OtherFlows::AllFailed, u32::MAX, None), 120_000);
//! backoff.succeeded();
//! assert_eq!(backoff.failed(&config, OtherFlows::AllFailed, 0, Some(600)), 600_000);
//! ```

/// Whether another flow of the same client works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OtherFlows {
    /// None does, or there is none: the shorter base time.
    AllFailed,
    /// At least one does: the longer base time.
    SomeWork,
}

/// The three times of RFC 5626 §4.5 and a bound on what a server may ask, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BackoffConfig {
    /// `base-time` if all flows have failed. Default 30.
    pub base_all_failed: u32,
    /// `base-time` if some flow works. Default 90.
    pub base_some_work: u32,
    /// `max-time`. Default 1800.
    pub max: u32,
    /// The longest `Retry-After` that is obeyed; a longer one counts as this. Default 86,400: a
    /// server cannot silence the client for more than a day.
    pub max_retry_after: u32,
}

impl BackoffConfig {
    /// The defaults of RFC 5626 §4.5.
    pub const RFC5626: Self = Self {
        base_all_failed: 30,
        base_some_work: 90,
        max: 1_800,
        max_retry_after: 86_400,
    };
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self::RFC5626
    }
}

/// The count of consecutive failures of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backoff {
    failures: u8,
}

impl Backoff {
    /// No failure yet.
    pub const fn new() -> Self {
        Self { failures: 0 }
    }

    /// Counts a failure and says how many milliseconds to wait before the next attempt.
    ///
    /// `random` is uniform over all values; `retry_after` is in seconds. The wait is never zero.
    #[must_use]
    pub fn failed(
        &mut self,
        config: &BackoffConfig,
        others: OtherFlows,
        random: u32,
        retry_after: Option<u32>,
    ) -> u64 {
        self.failures = self.failures.saturating_add(1);
        let base = match others {
            OtherFlows::AllFailed => config.base_all_failed,
            OtherFlows::SomeWork => config.base_some_work,
        };
        // Past 2^32 any base of a second or more is over any maximum.
        let bound = u64::from(base)
            .saturating_mul(1 << self.failures.min(32))
            .min(u64::from(config.max))
            .saturating_mul(1_000);
        let wait = between(bound / 2, bound, random);
        let asked = u64::from(retry_after.unwrap_or(0).min(config.max_retry_after));
        wait.max(asked.saturating_mul(1_000)).max(1)
    }

    /// A flow succeeded (RFC 5626 §4.5): registered and, with keep-alives in use, one answered.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Consecutive failures so far; stops at 255.
    pub const fn failures(&self) -> u8 {
        self.failures
    }
}

/// The value as far between `low` and `high` as `random` is between 0 and its maximum.
pub(super) fn between(low: u64, high: u64, random: u32) -> u64 {
    let span = u128::from(high.saturating_sub(low));
    let part = span
        .saturating_mul(u128::from(random))
        .checked_div(u128::from(u32::MAX))
        .and_then(|part| u64::try_from(part).ok())
        .unwrap_or(0);
    low.saturating_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BackoffConfig = BackoffConfig::RFC5626;

    /// RFC 5626 §4.5: three failures, base 30: the bound is 240 s; in the end 15 to 30 minutes.
    #[test]
    fn waits_of_the_rfc() {
        for (others, bounds) in [
            (OtherFlows::AllFailed, [60, 120, 240, 480, 960, 1800, 1800]),
            (
                OtherFlows::SomeWork,
                [180, 360, 720, 1440, 1800, 1800, 1800],
            ),
        ] {
            let (mut low, mut high) = (Backoff::new(), Backoff::new());
            for bound in bounds {
                assert_eq!(low.failed(&CONFIG, others, 0, None), bound * 500);
                assert_eq!(high.failed(&CONFIG, others, u32::MAX, None), bound * 1000);
            }
            assert_eq!(low.failures(), 7);
            low.succeeded();
            assert_eq!(low.failures(), 0);
        }
    }

    #[test]
    fn a_thousand_failures_still_wait_half_an_hour() {
        let mut backoff = Backoff::new();
        for _ in 0..1_000 {
            let _ = backoff.failed(&CONFIG, OtherFlows::AllFailed, 7, None);
        }
        let wait = backoff.failed(&CONFIG, OtherFlows::AllFailed, u32::MAX, None);
        assert_eq!(wait, 1_800_000);
    }

    #[test]
    fn retry_after_lengthens_and_never_shortens() {
        let wait = |retry_after| {
            Backoff::new().failed(&CONFIG, OtherFlows::AllFailed, 0, Some(retry_after))
        };
        assert_eq!(wait(0), 30_000);
        assert_eq!(wait(29), 30_000);
        assert_eq!(wait(31), 31_000);
        assert_eq!(wait(u32::MAX), 86_400_000);
    }

    #[test]
    fn settings_of_zero_and_of_all_ones_are_harmless() {
        let zero = BackoffConfig {
            base_all_failed: 0,
            base_some_work: 0,
            max: 0,
            max_retry_after: 0,
        };
        let wait = Backoff::new().failed(&zero, OtherFlows::AllFailed, u32::MAX, Some(9));
        assert_eq!(wait, 1, "no busy loop");
        let ones = BackoffConfig {
            base_all_failed: u32::MAX,
            base_some_work: u32::MAX,
            max: u32::MAX,
            max_retry_after: u32::MAX,
        };
        let wait = Backoff::new().failed(&ones, OtherFlows::SomeWork, u32::MAX, None);
        assert_eq!(wait, u64::from(u32::MAX) * 1000);
    }

    /// 10,000 clients after an outage: no second of the 30 sees more than three times its share.
    #[test]
    fn clients_spread_out() {
        let mut seconds = [0_u32; 31];
        for client in 0..10_000_u32 {
            let random = client.wrapping_mul(2_654_435_761);
            let wait = Backoff::new().failed(&CONFIG, OtherFlows::AllFailed, random, None);
            seconds[(wait / 1000 - 30) as usize] += 1;
        }
        assert!(seconds.iter().all(|share| *share < 1_000), "{seconds:?}");
    }
}

//! The two clocks of the program: one that only goes forward, and the calendar.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oma_im::time::Instant;

/// Milliseconds since the program started; copies have the same origin.
///
/// On Linux this clock stands still while the computer sleeps. A device that sleeps should count
/// that time too (`CLOCK_BOOTTIME`): what was due meanwhile is then done on waking.
#[derive(Clone, Copy)]
pub(crate) struct Clock(std::time::Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn now(self) -> Instant {
        let millis = self.0.elapsed().as_millis();
        Instant::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// How long it is until then; zero if that is past.
    pub(crate) fn until(self, then: Instant) -> Duration {
        // Up to the whole millisecond, so that the time is there when the wait is over.
        let then = Duration::from_millis(then.as_millis());
        then.saturating_sub(self.0.elapsed())
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

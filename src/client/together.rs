//! Refreshes that go together.
//!
//! Whenever the server grants something for a time, the device is awake. What is published or
//! subscribed to and would be refreshed on its own before the device is awake again is then
//! refreshed at once, if the next refresh after that goes with another. So those of about the same
//! length cost one wake-up for all from their second on, whenever they began. And what could go out early, because
//! the device is awake, waits for the refresh of a registration if that comes in time.

use super::engine::Engine;
use super::watch::Watch;
use crate::sip::registration::Registration;
use crate::time::Instant;

/// What the machines say of a refresh that does not wait.
const AT_ONCE: Instant = Instant::ZERO;

/// One thing that is refreshed, but for the registrations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Settings,
    Watch(Watch),
}

impl Kept {
    const ALL: [Self; 3] = [
        Self::Settings,
        Self::Watch(Watch::Registration),
        Self::Watch(Watch::Settings),
    ];
}

impl Engine<'_> {
    /// Something has been granted: what saves a wake-up if it is refreshed now becomes due.
    pub(crate) fn refresh_together(&mut self) {
        let now = self.core.now;
        let registrations = self.core.paths.iter().map(|path| &path.registration);
        let registrations = registrations.filter_map(Registration::deadline).min();
        for kept in Kept::ALL {
            let others = Kept::ALL.into_iter().filter(|other| *other != kept);
            let others = others.filter_map(|other| self.refreshed_from(other));
            let Some(next) = others.chain(registrations).min() else {
                return;
            };
            match kept {
                Kept::Settings => self.core.settings.together(now, next),
                Kept::Watch(watch) => self.core.watches.together(watch, now, next),
            }
        }
    }

    /// Whether a refresh that may go out from `from` on, and by `by`, goes out now.
    ///
    /// It waits for the refresh of a registration, if that comes in time; it would be out of step with it else.
    pub(crate) fn is_time(&self, from: Option<Instant>, by: Option<Instant>) -> bool {
        let now = self.core.now;
        let registrations = self.core.paths.iter().map(|path| &path.registration);
        let mut registrations = registrations.filter_map(Registration::deadline);
        from.is_some_and(|from| {
            from <= now
                && (from == AT_ONCE
                    || by.is_none_or(|by| by <= now)
                    || !registrations.any(|at| now < at && by.is_some_and(|by| at <= by)))
        })
    }

    fn refreshed_from(&self, kept: Kept) -> Option<Instant> {
        match kept {
            Kept::Settings => self.core.settings.machine().due_from(),
            Kept::Watch(watch) => self.core.watches.row(watch)?.due_from(),
        }
    }
}

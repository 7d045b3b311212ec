//! T1, T2 and T4, and what RFC 3261 Table 4 and RFC 6026 §8.11 make of them.
//!
//! T1 is an estimate of the round-trip time, T2 the longest interval between retransmissions, T4
//! the time a message can stay in the network. [`Timers`] can only hold values for which every
//! derived timer fits easily, so that no setting makes a transaction wait for days
//! (CVE-2016-2316) or spin.

use crate::time::Instant;

/// Whether the transport of a hop delivers by itself, as TCP and TLS do, or not, as UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reliability {
    /// TCP, TLS, SCTP: nothing is retransmitted, and nothing is waited for after the end.
    Reliable,
    /// UDP.
    Unreliable,
}

/// The three base values of SIP's timers, in milliseconds, checked.
///
/// ```
/// use oma_im::sip::transaction::{Timers, TimersError};
///
/// assert_eq!(Timers::new(500, 4_000, 5_000), Ok(Timers::RFC3261));
/// assert_eq!(Timers::new(u32::MAX, u32::MAX, 0), Err(TimersError::T1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timers {
    t1: u32,
    t2: u32,
    t4: u32,
}

/// Which base value is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TimersError {
    /// T1 is not within 1 to 60,000 ms.
    T1,
    /// T2 is less than T1 or more than 64 minutes.
    T2,
    /// T4 is more than 64 minutes.
    T4,
}

impl core::fmt::Display for TimersError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::T1 => "T1 is not within 1 to 60000 ms",
            Self::T2 => "T2 is not within T1 to 3840000 ms",
            Self::T4 => "T4 is not within 0 to 3840000 ms",
        })
    }
}

impl core::error::Error for TimersError {}

/// The longest T1 taken: one minute.
const T1_MAX: u32 = 60_000;
/// The longest T2 and T4 taken: 64 · the longest T1.
const LONGEST: u32 = 3_840_000;
/// RFC 3261 §17.1.1.2: Timer D is at least 32 s.
const TIMER_D_MIN: u32 = 32_000;

impl Default for Timers {
    fn default() -> Self {
        Self::RFC3261
    }
}

impl Timers {
    /// The defaults of RFC 3261 Table 4: 500 ms, 4 s, 5 s.
    pub const RFC3261: Self = Self {
        t1: 500,
        t2: 4_000,
        t4: 5_000,
    };

    /// What 3GPP TS 24.229 §7.7 gives for the hop from a handset to its P-CSCF: 2 s, 16 s, 17 s.
    pub const IMS: Self = Self {
        t1: 2_000,
        t2: 16_000,
        t4: 17_000,
    };

    /// Checks the three values, in milliseconds.
    ///
    /// # Errors
    ///
    /// T1 must be 1 to 60,000 ms, T2 at least T1, and neither T2 nor T4 more than 3,840,000 ms.
    pub const fn new(t1: u32, t2: u32, t4: u32) -> Result<Self, TimersError> {
        if t1 == 0 || t1 > T1_MAX {
            Err(TimersError::T1)
        } else if t2 < t1 || t2 > LONGEST {
            Err(TimersError::T2)
        } else if t4 > LONGEST {
            Err(TimersError::T4)
        } else {
            Ok(Self { t1, t2, t4 })
        }
    }

    /// T1 in milliseconds; also the first interval of Timers A, E and G.
    pub const fn t1(&self) -> u32 {
        self.t1
    }

    /// T2 in milliseconds.
    pub const fn t2(&self) -> u32 {
        self.t2
    }

    /// T4 in milliseconds.
    pub const fn t4(&self) -> u32 {
        self.t4
    }

    /// 64·T1 in milliseconds: Timers B, F, H, L and M, and J on unreliable transports.
    pub const fn t1_64(&self) -> u64 {
        (self.t1 as u64).saturating_mul(64)
    }

    /// Timer D in milliseconds: RFC 3261 §17.1.1.2 wants at least 32 s, and as long as the
    /// server's Timer H, which is 64·T1 if the server was given the same T1.
    pub const fn d(&self) -> u64 {
        let h = self.t1_64();
        if h < TIMER_D_MIN as u64 {
            TIMER_D_MIN as u64
        } else {
            h
        }
    }

    /// The time after which a client's Timer E is reset to T2, in milliseconds: 3.5 s by default.
    ///
    /// RFC 4320 §4.1 counts from it when a 100 (Trying) to a non-INVITE request may go out.
    pub const fn e_reaches_t2(&self) -> u64 {
        let mut elapsed = self.t1 as u64;
        let mut interval = (self.t1 as u64).saturating_mul(2);
        while interval < self.t2 as u64 {
            elapsed = elapsed.saturating_add(interval);
            interval = interval.saturating_mul(2);
        }
        elapsed
    }
}

/// Timer A, E or G: when the same bytes go out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Retransmission {
    /// The transport is reliable: never.
    Never,
    /// The transport is unreliable.
    At {
        /// When.
        due: Instant,
        /// The interval that ends then, in milliseconds.
        interval: u32,
    },
}

impl Retransmission {
    pub(super) fn start(now: Instant, timers: &Timers, reliability: Reliability) -> Self {
        match reliability {
            Reliability::Reliable => Self::Never,
            Reliability::Unreliable => Self::At {
                due: now.after(u64::from(timers.t1)),
                interval: timers.t1,
            },
        }
    }

    pub(super) fn reliability(self) -> Reliability {
        match self {
            Self::Never => Reliability::Reliable,
            Self::At { .. } => Reliability::Unreliable,
        }
    }

    /// When to send again, or `other`, whichever is sooner.
    pub(super) fn or_sooner(self, other: Instant) -> Instant {
        match self {
            Self::Never => other,
            Self::At { due, .. } => due.min(other),
        }
    }

    /// If due, sets itself to `next(interval)` from now and tells so.
    pub(super) fn fire(&mut self, now: Instant, next: impl FnOnce(u32) -> u32) -> bool {
        match self {
            Self::At { due, interval } if *due <= now => {
                *interval = next(*interval);
                *due = now.after(u64::from(*interval));
                true
            }
            Self::At { .. } | Self::Never => false,
        }
    }
}

/// RFC 3261 §17.1.1.2: Timer A doubles.
pub(super) fn double(interval: u32) -> u32 {
    interval.saturating_mul(2)
}

/// RFC 3261 §17.1.2.2, §17.2.1: Timers E and G double up to T2.
pub(super) fn double_to_t2(timers: &Timers) -> impl FnOnce(u32) -> u32 {
    let t2 = timers.t2;
    move |interval| double(interval).min(t2)
}

//! Keeping one flow alive, and noticing that it is not: RFC 5626 §4.4, RFC 6223.
//!
//! On a stream the client sends a double CRLF between messages; that is always allowed and keeps
//! NAT bindings open. Only if the server has indicated that it plays along does the client expect
//! one CRLF back within 10 s, else the flow has failed. On UDP a CRLF is forbidden; the client sends
//! STUN Binding requests, and those only after such an indication. Without one it can be configured
//! to send OPTIONS, whose answer or timeout is that transaction's business, or nothing.
//!
//! Each interval is drawn anew: between 80 and 100 % of what the server told (`Flow-Timer`, or the
//! value of `keep` in the Via of a response), else 95 to 120 s on a stream, 672 to 840 s if battery
//! matters, and 24 to 29 s with STUN. A STUN request goes out up to seven times (RFC 5389 §7.2.1);
//! the flow has failed when none is answered, when one is answered with an error, or when the
//! mapped address in an answer is not that of the first (RFC 5626 §4.4.2).
//!
//! A machine belongs to one flow and ends with it.
//!
//! ```
//! use oma_im::sip::keepalive::{Indication, KeepAlive, KeepAliveAction, KeepAliveConfig};
//! use oma_im::sip::transaction::Reliability;
//! use oma_im::time::Instant;
//!
//! let config = KeepAliveConfig::MAINS;
//! let now = Instant::ZERO;
//! let mut flow = KeepAlive::start(now, &config, Reliability::Reliable, u32::MAX);
//! flow.indicated(now, &config, &[Indication::Outbound, Indication::FlowTimer(60)], 0);
//! let due = flow.deadline().unwrap();
//! assert_eq!(due, now.after(48_000));
//! assert_eq!(flow.timeout(due, &config, 0), KeepAliveAction::SendPing);
//! // No pong for 10 s.
//! assert_eq!(flow.timeout(due.after(10_000), &config, 0), KeepAliveAction::FlowFailed);
//! ```

use super::backoff::between;
use super::transaction::Reliability;
use crate::time::Instant;
use core::net::SocketAddr;

/// RFC 5626 §4.4.1: how long the pong may take, in milliseconds.
const PONG: u64 = 10_000;
/// RFC 5389 §7.2.1: with Rc 7 and Rm 16 a STUN transaction fails after 63 + 16 times the RTO. As the
/// interval doubles, the request has gone out seven times by then and no eighth time.
const STUN_FAILS_AFTER: u64 = 79;

/// The bounds between which an interval is drawn, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Interval {
    low: u64,
    high: u64,
}

impl Interval {
    /// RFC 5626 §4.4.1, where battery is of no concern: 95 to 120 s.
    pub const STREAM: Self = Self::seconds(95, 120);
    /// RFC 5626 §4.4.1, where it is: 672 to 840 s.
    pub const BATTERY: Self = Self::seconds(672, 840);
    /// RFC 5626 §4.4.2: 24 to 29 s.
    pub const DATAGRAM: Self = Self::seconds(24, 29);

    /// Between two numbers of seconds, in whichever order, each at least 1.
    pub const fn seconds(one: u32, other: u32) -> Self {
        let (low, high) = if one < other {
            (one, other)
        } else {
            (other, one)
        };
        Self {
            low: Self::at_least_a_second(low),
            high: Self::at_least_a_second(high),
        }
    }

    const fn at_least_a_second(seconds: u32) -> u64 {
        let millis = (seconds as u64).saturating_mul(1_000);
        if millis < 1_000 { 1_000 } else { millis }
    }

    /// RFC 5626 §4.4: 80 to 100 % of what the server told.
    fn recommended(seconds: u32) -> Self {
        let high = u64::from(seconds).saturating_mul(1_000);
        Self {
            low: high.saturating_mul(4) / 5,
            high,
        }
    }

    fn draw(self, random: u32) -> u64 {
        between(self.low, self.high, random)
    }
}

/// How often, and whether at all, keep-alives are sent on flows whose server told no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KeepAliveConfig {
    /// Double CRLF on a stream.
    pub stream: Option<Interval>,
    /// STUN on UDP; only sent after an indication.
    pub stun: Option<Interval>,
    /// OPTIONS on UDP without an indication.
    pub options: Option<Interval>,
    /// The shortest interval that a server can ask for, in seconds: a server that says 1 does not
    /// empty a battery. Default 10.
    pub shortest: u32,
    /// RFC 5389's RTO: the first interval between STUN requests, in milliseconds. Default 500; 0
    /// counts as 1.
    pub rto: u32,
}

impl KeepAliveConfig {
    /// Where battery is of no concern.
    pub const MAINS: Self = Self {
        stream: Some(Interval::STREAM),
        stun: Some(Interval::DATAGRAM),
        options: None,
        shortest: 10,
        rto: 500,
    };
    /// Where it is.
    pub const BATTERY: Self = Self {
        stream: Some(Interval::BATTERY),
        ..Self::MAINS
    };
    /// Nothing unless a server tells an interval; the client does not wake up in between.
    pub const OFF: Self = Self {
        stream: None,
        stun: None,
        ..Self::MAINS
    };
}

impl Default for KeepAliveConfig {
    fn default() -> Self {
        Self::MAINS
    }
}

/// What tells a client that the server answers keep-alives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Indication {
    /// The configuration says so (RFC 5626 §4.4).
    Configuration,
    /// `Require: outbound` in the 2xx to an outbound REGISTER (RFC 5626 §4.2.1).
    Outbound,
    /// `Flow-Timer` in it, in seconds (RFC 5626 §4.4).
    FlowTimer(u32),
    /// A value of `keep` in our Via of a response, in seconds; 0 tells no interval (RFC 6223 §4.3, §5).
    Keep(u32),
}

/// What the owner of a keep-alive machine does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum KeepAliveAction {
    /// Nothing.
    Nothing,
    /// Send a double CRLF between two messages.
    SendPing,
    /// Send a new STUN Binding request.
    SendStun,
    /// Send the last STUN Binding request once more, with the same transaction id.
    ResendStun,
    /// Send an OPTIONS request over this flow.
    SendOptions,
    /// A keep-alive was answered: the flow counts as successful in the sense of RFC 5626 §4.5.
    Answered,
    /// The flow has failed: close it and form a new one.
    FlowFailed,
}

/// What the server said about keep-alives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Told {
    Nothing,
    /// That it answers them.
    Supported,
    /// And how often they must come.
    Every(Interval),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// Nothing is to be sent.
    Off,
    /// The next one is due.
    Idle { next: Instant },
    /// A supervised double CRLF went out.
    AwaitingPong { fails: Instant, next: Instant },
    /// A STUN request went out, perhaps more than once.
    AwaitingStun {
        fails: Instant,
        resend: Instant,
        interval: u32,
        next: Instant,
    },
    /// The flow is to be closed.
    Failed,
}

/// The keep-alive machine of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    reliability: Reliability,
    told: Told,
    /// The address in the first STUN answer.
    mapped: Option<SocketAddr>,
    state: State,
}

impl KeepAlive {
    /// A new flow; nothing has been indicated for it. `random` is uniform over all values.
    pub fn start(
        now: Instant,
        config: &KeepAliveConfig,
        reliability: Reliability,
        random: u32,
    ) -> Self {
        let mut machine = Self {
            reliability,
            told: Told::Nothing,
            mapped: None,
            state: State::Off,
        };
        machine.state = machine.idle(now, config, random);
        machine
    }

    /// A 2xx to REGISTER came over this flow with these indications, or with none.
    ///
    /// They replace those of the response before (RFC 6223 §4.2.2: what is not negotiated again
    /// ends). A wait for an answer goes on if answers are still to be expected.
    pub fn indicated(
        &mut self,
        now: Instant,
        config: &KeepAliveConfig,
        indications: &[Indication],
        random: u32,
    ) {
        let mut told = Told::Nothing;
        for indication in indications {
            told = match (*indication, told) {
                (Indication::FlowTimer(seconds) | Indication::Keep(seconds), _) if seconds > 0 => {
                    Told::Every(Interval::recommended(seconds.max(config.shortest)))
                }
                (_, Told::Every(interval)) => Told::Every(interval),
                (_, Told::Nothing | Told::Supported) => Told::Supported,
            };
        }
        self.told = told;
        let drawn = self.idle(now, config, random);
        self.state = match (self.state, drawn) {
            (State::Failed, _) => State::Failed,
            (State::Idle { next }, State::Idle { next: drawn }) => State::Idle {
                next: next.min(drawn),
            },
            (waiting @ (State::AwaitingPong { .. } | State::AwaitingStun { .. }), _)
                if told != Told::Nothing =>
            {
                waiting
            }
            (
                State::Off
                | State::Idle { .. }
                | State::AwaitingPong { .. }
                | State::AwaitingStun { .. },
                drawn,
            ) => drawn,
        };
    }

    /// The time is `now`: call again until it says [`KeepAliveAction::Nothing`].
    ///
    /// Bytes that came before `now` are to be presented first: they may be the answer.
    pub fn timeout(
        &mut self,
        now: Instant,
        config: &KeepAliveConfig,
        random: u32,
    ) -> KeepAliveAction {
        match &mut self.state {
            State::Idle { next } if *next <= now => self.send(now, config, random),
            State::AwaitingPong { fails, .. } | State::AwaitingStun { fails, .. }
                if *fails <= now =>
            {
                self.fail()
            }
            State::AwaitingStun {
                resend, interval, ..
            } if *resend <= now => {
                *interval = interval.saturating_mul(2);
                *resend = now.after(u64::from(*interval));
                KeepAliveAction::ResendStun
            }
            State::Off
            | State::Idle { .. }
            | State::AwaitingPong { .. }
            | State::AwaitingStun { .. }
            | State::Failed => KeepAliveAction::Nothing,
        }
    }

    /// A single CRLF came between two messages.
    pub fn pong(&mut self) -> KeepAliveAction {
        match self.state {
            State::AwaitingPong { next, .. } => {
                self.state = State::Idle { next };
                KeepAliveAction::Answered
            }
            // RFC 3261 §7.5: empty lines between messages mean nothing.
            State::Off | State::Idle { .. } | State::AwaitingStun { .. } | State::Failed => {
                KeepAliveAction::Nothing
            }
        }
    }

    /// Bytes of a message came that is not complete: the pong can only be behind it.
    ///
    /// RFC 5626 §4.4.1 has the flow fail after that message then; here the wait is 10 s from the
    /// last such bytes, so that a flow that dies in a message is noticed as well.
    pub fn receiving(&mut self, now: Instant) {
        match &mut self.state {
            State::AwaitingPong { fails, .. } => *fails = (*fails).max(now.after(PONG)),
            State::Off | State::Idle { .. } | State::AwaitingStun { .. } | State::Failed => {}
        }
    }

    /// A STUN Binding success response to the last request came, with this XOR-MAPPED-ADDRESS.
    pub fn stun_ok(&mut self, mapped: SocketAddr) -> KeepAliveAction {
        match self.state {
            State::AwaitingStun { next, .. } => {
                // RFC 5626 §4.4.2: a changed mapping is a failure of the flow.
                if self.mapped.is_some_and(|first| first != mapped) {
                    return self.fail();
                }
                self.mapped = Some(mapped);
                self.state = State::Idle { next };
                KeepAliveAction::Answered
            }
            State::Off | State::Idle { .. } | State::AwaitingPong { .. } | State::Failed => {
                KeepAliveAction::Nothing
            }
        }
    }

    /// A STUN Binding error response to the last request came.
    pub fn stun_error(&mut self) -> KeepAliveAction {
        match self.state {
            State::AwaitingStun { .. } => self.fail(),
            State::Off | State::Idle { .. } | State::AwaitingPong { .. } | State::Failed => {
                KeepAliveAction::Nothing
            }
        }
    }

    /// When [`timeout`](Self::timeout) has something to do; may change with every call.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle { next } => Some(next),
            State::AwaitingPong { fails, .. } => Some(fails),
            State::AwaitingStun { fails, resend, .. } => Some(resend.min(fails)),
            State::Off | State::Failed => None,
        }
    }

    /// Whether an answer to keep-alives is expected on this flow, so that only an answer makes it a
    /// successful one (RFC 5626 §4.5).
    pub fn is_supervised(&self) -> bool {
        match self.told {
            Told::Nothing => false,
            Told::Supported | Told::Every(_) => !matches!(self.state, State::Off),
        }
    }

    /// Whether the flow has failed.
    pub fn is_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    fn fail(&mut self) -> KeepAliveAction {
        self.state = State::Failed;
        KeepAliveAction::FlowFailed
    }

    fn interval(&self, config: &KeepAliveConfig) -> Option<Interval> {
        match (self.told, self.reliability) {
            (Told::Every(interval), Reliability::Reliable | Reliability::Unreliable) => {
                Some(interval)
            }
            (Told::Nothing | Told::Supported, Reliability::Reliable) => config.stream,
            (Told::Supported, Reliability::Unreliable) => config.stun,
            (Told::Nothing, Reliability::Unreliable) => config.options,
        }
    }

    fn idle(&self, now: Instant, config: &KeepAliveConfig, random: u32) -> State {
        match self.interval(config) {
            Some(interval) => {
                let next = now.after(interval.draw(random));
                // At the end of time there is no next one.
                if next > now {
                    State::Idle { next }
                } else {
                    State::Off
                }
            }
            None => State::Off,
        }
    }

    /// The interval to the keep-alive after this one is drawn now: it counts between the two.
    fn send(&mut self, now: Instant, config: &KeepAliveConfig, random: u32) -> KeepAliveAction {
        let idle = self.idle(now, config, random);
        let State::Idle { next } = idle else {
            self.state = idle;
            return KeepAliveAction::Nothing;
        };
        let (state, action) = match (self.told, self.reliability) {
            (Told::Nothing, Reliability::Reliable) => (idle, KeepAliveAction::SendPing),
            (Told::Supported | Told::Every(_), Reliability::Reliable) => (
                State::AwaitingPong {
                    fails: now.after(PONG),
                    next,
                },
                KeepAliveAction::SendPing,
            ),
            (Told::Nothing, Reliability::Unreliable) => (idle, KeepAliveAction::SendOptions),
            (Told::Supported | Told::Every(_), Reliability::Unreliable) => {
                let rto = config.rto.max(1);
                let state = State::AwaitingStun {
                    fails: now.after(u64::from(rto).saturating_mul(STUN_FAILS_AFTER)),
                    resend: now.after(u64::from(rto)),
                    interval: rto,
                    next,
                };
                (state, KeepAliveAction::SendStun)
            }
        };
        self.state = state;
        action
    }
}

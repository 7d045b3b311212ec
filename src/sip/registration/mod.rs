//! One binding on one path: RFC 3261 §10, RFC 5626 §4.2 and §4.5.
//!
//! The machine decides when a REGISTER is sent and what becomes of its answer. It wants a flow
//! first, then registers over it and refreshes the binding before it ends: 600 s before if it lasts
//! more than 1200 s, else at half time, which is what 3GPP TS 24.229 §5.1.1.4.1 has a handset do.
//! Only one REGISTER is ever under way (RFC 3261 §10.2). What is asked for meanwhile comes after it.
//!
//! A failure is for good, or there is another attempt after the wait of RFC 5626 §4.5 (see
//! [`Backoff`]). Nothing is retried at once but these: a 423, twice at most, with the time that the
//! registrar demands; a binding that ran out or that the registrar deactivated; what a change of
//! the network interrupted; and a flow that had worked and failed, which is formed again. A flow has
//! worked once a keep-alive was answered on it, or, without supervised keep-alives, once it stood
//! for 30 s; so a server that accepts a REGISTER and closes the connection is not asked again in a
//! loop.
//!
//! 401 and 407 are answered elsewhere and come here only when no answer helped.
//!
//! ```text
//! state          register    deregister       2xx            423, fits   temporary   permanent  flow lost       timer
//! Unregistered   Send/Open   > Deregistered   -              -           -           -          -               -
//! Connecting     -           > Unregistered   -              -           -           -          > Waiting       -
//! Registering    -           later            > Registered   Send        > Waiting   > Failed   > Waiting       -
//! Registered     -           SendDeregister   -              -           -           -          Open or wait    > Refreshing
//! Refreshing     -           later            > Registered   Send        > Waiting   > Failed   Open or wait    lost > Registering
//! Deregistering  later       -                > Unregistered > Unreg.    > Unreg.    > Unreg.   > Unregistered  > Unregistered
//! Waiting        -           SendDeregister   -              -           -           -          lost            Send/Open
//!                            or > Unregistered
//! Failed         Send/Open   > Unregistered   -              -           -           -          -               -
//! ```
//!
//! ```
//! use oma_im::sip::backoff::OtherFlows;
//! use oma_im::sip::registration::{KeepAlives, Registration, RegistrationAction, RegistrationConfig};
//! use oma_im::time::Instant;
//!
//! let config = RegistrationConfig::default();
//! let now = Instant::ZERO;
//! let mut binding = Registration::new(&config);
//! assert_eq!(binding.register().action, RegistrationAction::OpenFlow);
//! assert_eq!(binding.flow_ready().action, RegistrationAction::SendRegister { expires: 600_000 });
//! let step = binding.ok(now, &config, 3_600, KeepAlives::Unsupervised, OtherFlows::AllFailed, 0);
//! assert_eq!(step.action, RegistrationAction::Nothing);
//! assert_eq!(binding.deadline(), Some(now.after(3_000_000)));
//! ```

mod terms;

pub use super::failure::Failure;
pub use terms::{
    KeepAlives, Notice, Reason, RefreshRule, RegistrationAction, RegistrationConfig,
    RegistrationEvent, Retry, Step,
};

use super::backoff::{Backoff, OtherFlows};
use super::failure::{Outlook, outlook};
use crate::time::Instant;

/// RFC 3261 §10.2.8 lets a client raise its interval after a 423; a registrar that wants a third
/// one gets none.
const TOO_BRIEF_MAX: u8 = 2;
/// How long a flow without supervised keep-alives must stand to count as one that works, in
/// milliseconds: RFC 5626 §4.5's shorter base time.
const STABLE: u64 = 30_000;
/// A binding is never refreshed sooner than this after it was granted, in milliseconds.
const REFRESH_MIN: u64 = 5_000;

/// What comes after the REGISTER that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Then {
    /// Nothing special.
    Nothing,
    /// Another one: the Contact has changed.
    Refresh,
    /// A de-registration.
    Deregister {
        /// When it is given up.
        until: Instant,
    },
}

/// What comes after a de-registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Afterwards {
    /// Nothing.
    Stay,
    /// A new registration.
    Register,
}

/// The state of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// None is wanted.
    Unregistered,
    /// A flow is being formed.
    Connecting,
    /// A REGISTER is under way, there is no binding.
    Registering {
        /// How many 423 this attempt met.
        too_brief: u8,
        /// What comes next.
        then: Then,
    },
    /// There is a binding.
    Registered {
        /// When it ends.
        expires_at: Instant,
        /// When it is refreshed.
        refresh_at: Instant,
    },
    /// There is a binding and a REGISTER under way to refresh it.
    Refreshing {
        /// When the binding ends.
        expires_at: Instant,
        /// How many 423 this attempt met.
        too_brief: u8,
        /// What comes next.
        then: Then,
    },
    /// A REGISTER is under way to remove the binding.
    Deregistering {
        /// When it is given up.
        until: Instant,
        /// What comes next.
        then: Afterwards,
    },
    /// The next attempt is put off.
    Waiting {
        /// When it is made.
        until: Instant,
        /// When the binding ends that could not be refreshed; its flow still stands.
        binding: Option<Instant>,
    },
    /// The registrar refused for good.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Flow {
    /// None, or one that is to be replaced.
    Down,
    /// One stands.
    Up(Proof),
}

/// Whether a flow has worked (RFC 5626 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Proof {
    Unproven,
    /// It has, if it still stands then.
    From(Instant),
    Proven,
}

/// The machine of one binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Registration {
    state: State,
    flow: Flow,
    /// What is asked for, in seconds; a 423 raises it.
    expires: u32,
    backoff: Backoff,
}

impl Registration {
    /// A machine that wants nothing yet and has no flow.
    pub fn new(config: &RegistrationConfig) -> Self {
        Self {
            state: State::Unregistered,
            flow: Flow::Down,
            expires: config.expires.max(1),
            backoff: Backoff::new(),
        }
    }

    /// The user wants to be registered.
    ///
    /// While an attempt is put off this changes nothing: RFC 5626 §4.5 has the client wait.
    pub fn register(&mut self) -> Step {
        match &mut self.state {
            State::Unregistered | State::Failed => self.attempt(),
            State::Registering { then, .. } | State::Refreshing { then, .. } => {
                match *then {
                    Then::Deregister { .. } => *then = Then::Nothing,
                    Then::Nothing | Then::Refresh => {}
                }
                Step::NOTHING
            }
            State::Deregistering { then, .. } => {
                *then = Afterwards::Register;
                Step::NOTHING
            }
            State::Connecting | State::Registered { .. } | State::Waiting { .. } => Step::NOTHING,
        }
    }

    /// What the Contact says has changed: a binding is refreshed now (RFC 3840 §6).
    pub fn refresh(&mut self, now: Instant) -> Step {
        match &mut self.state {
            State::Registered { expires_at, .. } => {
                let expires_at = *expires_at;
                self.refresh_now(now, expires_at)
            }
            State::Registering { then, .. } | State::Refreshing { then, .. } => {
                match *then {
                    Then::Nothing => *then = Then::Refresh,
                    Then::Refresh | Then::Deregister { .. } => {}
                }
                Step::NOTHING
            }
            State::Unregistered
            | State::Connecting
            | State::Deregistering { .. }
            | State::Waiting { .. }
            | State::Failed => Step::NOTHING,
        }
    }

    /// The user wants to be gone; [`RegistrationEvent::Deregistered`] comes within
    /// [`RegistrationConfig::deregister_within`].
    pub fn deregister(&mut self, now: Instant, config: &RegistrationConfig) -> Step {
        let until = now.after(u64::from(config.deregister_within));
        match &mut self.state {
            State::Registering { then, .. } | State::Refreshing { then, .. } => {
                match *then {
                    Then::Nothing | Then::Refresh => *then = Then::Deregister { until },
                    Then::Deregister { .. } => {}
                }
                Step::NOTHING
            }
            State::Registered { .. }
            | State::Waiting {
                binding: Some(_), ..
            } => self.unbind(until),
            State::Deregistering { then, .. } => {
                *then = Afterwards::Stay;
                Step::NOTHING
            }
            State::Unregistered
            | State::Connecting
            | State::Waiting { binding: None, .. }
            | State::Failed => self.gone(Afterwards::Stay),
        }
    }

    /// A flow that was asked for stands, or one came without being asked for.
    pub fn flow_ready(&mut self) -> Step {
        self.flow = Flow::Up(Proof::Unproven);
        match self.state {
            State::Connecting => self.attempt(),
            State::Unregistered
            | State::Registering { .. }
            | State::Registered { .. }
            | State::Refreshing { .. }
            | State::Deregistering { .. }
            | State::Waiting { .. }
            | State::Failed => Step::NOTHING,
        }
    }

    /// A keep-alive was answered on the flow: it works (RFC 5626 §4.5).
    pub fn flow_succeeded(&mut self) {
        match &mut self.flow {
            Flow::Up(proof) => *proof = Proof::Proven,
            Flow::Down => return,
        }
        // While REGISTERs fail on a flow that works, the count of failures stays.
        if matches!(self.state, State::Registered { .. }) {
            self.backoff.succeeded();
        }
    }

    /// The flow failed, or none could be formed.
    pub fn flow_lost(
        &mut self,
        now: Instant,
        config: &RegistrationConfig,
        others: OtherFlows,
        random: u32,
    ) -> Step {
        let worked = self.has_worked(now);
        self.flow = Flow::Down;
        match self.state {
            State::Registered { .. }
            | State::Refreshing {
                then: Then::Nothing | Then::Refresh,
                ..
            } if worked => {
                // RFC 5626 §4.5: a wait comes only after a failure to form the new flow.
                self.backoff.succeeded();
                self.attempt().telling(RegistrationEvent::RegistrationLost)
            }
            State::Connecting
            | State::Registered { .. }
            | State::Registering {
                then: Then::Nothing | Then::Refresh,
                ..
            }
            | State::Refreshing {
                then: Then::Nothing | Then::Refresh,
                ..
            } => {
                let wait = self.backoff.failed(&config.backoff, others, random, None);
                self.wait(now, wait, Reason::FlowLost, None)
            }
            State::Registering {
                then: Then::Deregister { .. },
                ..
            }
            | State::Refreshing {
                then: Then::Deregister { .. },
                ..
            } => self.gone(Afterwards::Stay),
            State::Deregistering { then, .. } => self.gone(then),
            State::Waiting {
                until,
                binding: Some(_),
            } => {
                self.state = State::Waiting {
                    until,
                    binding: None,
                };
                Step::NOTHING.telling(RegistrationEvent::RegistrationLost)
            }
            State::Waiting { binding: None, .. } | State::Unregistered | State::Failed => {
                Step::NOTHING
            }
        }
    }

    /// The network changed: all flows and all addresses given out are worthless.
    ///
    /// The binding cannot be removed any more and is replaced; a wait ends. What is under way comes
    /// to nothing: the owner drops the transaction.
    pub fn network_changed(&mut self) -> Step {
        self.flow = Flow::Down;
        match self.state {
            State::Registered { .. }
            | State::Refreshing {
                then: Then::Nothing | Then::Refresh,
                ..
            }
            | State::Waiting {
                binding: Some(_), ..
            } => self.attempt().telling(RegistrationEvent::RegistrationLost),
            State::Connecting
            | State::Registering {
                then: Then::Nothing | Then::Refresh,
                ..
            }
            | State::Waiting { binding: None, .. } => self.attempt(),
            State::Registering {
                then: Then::Deregister { .. },
                ..
            }
            | State::Refreshing {
                then: Then::Deregister { .. },
                ..
            } => self.gone(Afterwards::Stay),
            State::Deregistering { then, .. } => self.gone(then),
            State::Unregistered | State::Failed => Step::NOTHING,
        }
    }

    /// A 2xx came; `granted` is the time of our Contact in it, in seconds, 0 if it is not there.
    ///
    /// More than was asked for counts as what was asked for (RFC 3261 §10.3 lets a registrar only
    /// shorten).
    pub fn ok(
        &mut self,
        now: Instant,
        config: &RegistrationConfig,
        granted: u32,
        keep_alives: KeepAlives,
        others: OtherFlows,
        random: u32,
    ) -> Step {
        let then = match self.state {
            State::Registering { then, .. } | State::Refreshing { then, .. } => then,
            State::Deregistering { then, .. } => return self.gone(then),
            State::Unregistered
            | State::Connecting
            | State::Registered { .. }
            | State::Waiting { .. }
            | State::Failed => return Step::NOTHING,
        };
        let granted = granted.min(self.expires);
        match then {
            Then::Deregister { .. } if granted == 0 => return self.gone(Afterwards::Stay),
            Then::Deregister { until } => return self.unbind(until),
            Then::Nothing | Then::Refresh if granted == 0 => {
                let wait = self.backoff.failed(&config.backoff, others, random, None);
                return self.wait(now, wait, Reason::NotBound, None);
            }
            Then::Nothing | Then::Refresh => {}
        }
        if let Flow::Up(proof @ Proof::Unproven) = &mut self.flow {
            match keep_alives {
                KeepAlives::Supervised => {}
                KeepAlives::Unsupervised => *proof = Proof::From(now.after(STABLE)),
            }
        }
        if self.has_worked(now) {
            self.backoff.succeeded();
        }
        let until = now.after(u64::from(granted).saturating_mul(1_000));
        self.state = State::Registered {
            expires_at: until,
            refresh_at: now.after(config.refresh.after(granted).max(REFRESH_MIN)),
        };
        let step = match then {
            Then::Refresh => self.refresh_now(now, until),
            Then::Nothing | Then::Deregister { .. } => Step::NOTHING,
        };
        step.telling(RegistrationEvent::Registered { until })
    }

    /// A 423 came (RFC 3261 §10.2.8), with this Min-Expires in seconds.
    ///
    /// What it demands is remembered for all later REGISTERs.
    pub fn interval_too_brief(
        &mut self,
        config: &RegistrationConfig,
        min_expires: Option<u32>,
    ) -> Step {
        match &mut self.state {
            State::Registering {
                then: Then::Deregister { .. },
                ..
            } => self.gone(Afterwards::Stay),
            State::Refreshing {
                then: Then::Deregister { until },
                ..
            } => {
                let until = *until;
                self.unbind(until)
            }
            State::Registering { too_brief, .. } | State::Refreshing { too_brief, .. } => {
                match min_expires {
                    Some(min)
                        if min > self.expires
                            && min <= config.max_expires
                            && *too_brief < TOO_BRIEF_MAX =>
                    {
                        *too_brief = too_brief.saturating_add(1);
                        self.expires = min;
                        self.send()
                    }
                    Some(_) | None => self.fail_for_good(Reason::IntervalTooBrief { min_expires }),
                }
            }
            State::Deregistering { then, .. } => {
                let then = *then;
                self.gone(then)
            }
            State::Unregistered
            | State::Connecting
            | State::Registered { .. }
            | State::Waiting { .. }
            | State::Failed => Step::NOTHING,
        }
    }

    /// The REGISTER under way failed.
    pub fn failed(
        &mut self,
        now: Instant,
        config: &RegistrationConfig,
        failure: Failure,
        others: OtherFlows,
        random: u32,
    ) -> Step {
        let (binding, then) = match self.state {
            State::Registering { then, .. } => (None, then),
            State::Refreshing {
                expires_at, then, ..
            } => (Some(expires_at), then),
            State::Deregistering { then, .. } => {
                match failure {
                    Failure::Timeout | Failure::TransportFailed => self.flow = Flow::Down,
                    Failure::Status { .. } => {}
                }
                return self.gone(then);
            }
            State::Unregistered
            | State::Connecting
            | State::Registered { .. }
            | State::Waiting { .. }
            | State::Failed => return Step::NOTHING,
        };
        let (reason, retry_after, flow) = match failure {
            Failure::Timeout => (Reason::Timeout, None, Flow::Down),
            // A request dies with its flow.
            Failure::TransportFailed => return self.flow_lost(now, config, others, random),
            Failure::Status {
                status,
                retry_after,
            } => {
                let flow = match (status.code(), binding) {
                    // RFC 5626 §11.5: 430, the flow between edge proxy and us has failed.
                    (430, _) => Flow::Down,
                    // RFC 5626 §4.2.1: a retry looks for another host. §4.2.2: but a binding
                    // keeps its flow.
                    (503, None) => Flow::Down,
                    _ => self.flow,
                };
                (Reason::Status(status), retry_after, flow)
            }
        };
        self.flow = flow;
        // A binding whose flow is to be replaced is no longer of use.
        let binding = binding.filter(|_| flow != Flow::Down);
        match (then, binding) {
            (Then::Deregister { until }, Some(_)) => return self.unbind(until),
            (Then::Deregister { .. }, None) => return self.gone(Afterwards::Stay),
            (Then::Nothing | Then::Refresh, _) => {}
        }
        if let Failure::Status {
            status,
            retry_after,
        } = failure
        {
            match outlook(status, retry_after) {
                // RFC 3329 §2.3.1: the agreement on security is made anew.
                Outlook::Permanent if status.code() == 494 => {}
                Outlook::Permanent => return self.fail_for_good(reason),
                Outlook::Temporary => {}
            }
        }
        let wait = self
            .backoff
            .failed(&config.backoff, others, random, retry_after);
        self.wait(now, wait, reason, binding)
    }

    /// The registrar told about our Contact in a NOTIFY (RFC 3680).
    pub fn notified(
        &mut self,
        now: Instant,
        config: &RegistrationConfig,
        notice: Notice,
        others: OtherFlows,
        random: u32,
    ) -> Step {
        let old = match self.state {
            State::Registered { expires_at, .. } => expires_at,
            // What is under way has the last word.
            State::Unregistered
            | State::Connecting
            | State::Registering { .. }
            | State::Refreshing { .. }
            | State::Deregistering { .. }
            | State::Waiting { .. }
            | State::Failed => return Step::NOTHING,
        };
        let worked = self.has_worked(now);
        if worked {
            self.backoff.succeeded();
        }
        match notice {
            Notice::Shortened { expires } => {
                let millis = u64::from(expires).saturating_mul(1_000);
                let until = old.min(now.after(millis));
                self.state = State::Registered {
                    expires_at: until,
                    // 3GPP TS 24.229 §5.1.1.5A: re-authentication at half the time.
                    refresh_at: now.after((until.since(now) / 2).max(REFRESH_MIN)),
                };
                Step::NOTHING.telling(RegistrationEvent::Registered { until })
            }
            Notice::Deactivated if worked => {
                self.attempt().telling(RegistrationEvent::RegistrationLost)
            }
            Notice::Deactivated => {
                let wait = self.backoff.failed(&config.backoff, others, random, None);
                self.wait(now, wait, Reason::Ended, None)
            }
            Notice::Probation { retry_after } => {
                let wait = self
                    .backoff
                    .failed(&config.backoff, others, random, retry_after);
                self.wait(now, wait, Reason::Ended, None)
            }
            Notice::Rejected => self.fail_for_good(Reason::Ended),
        }
    }

    /// The time is `now`: call again until it says [`Step::NOTHING`].
    pub fn timeout(&mut self, now: Instant) -> Step {
        match self.state {
            State::Registered {
                expires_at,
                refresh_at,
            } if expires_at <= now => {
                self.settle(now);
                let step = if refresh_at <= now {
                    self.attempt()
                } else {
                    // A registrar that grants a second is not asked each second.
                    self.state = State::Waiting {
                        until: refresh_at,
                        binding: None,
                    };
                    Step::NOTHING
                };
                step.telling(RegistrationEvent::RegistrationLost)
            }
            State::Registered {
                expires_at,
                refresh_at,
            } if refresh_at <= now => self.refresh_now(now, expires_at),
            State::Registering {
                then: Then::Deregister { until },
                ..
            }
            | State::Refreshing {
                then: Then::Deregister { until },
                ..
            } if until <= now => self.gone(Afterwards::Stay),
            State::Refreshing {
                expires_at,
                too_brief,
                then,
            } if expires_at <= now => {
                self.state = State::Registering { too_brief, then };
                Step::NOTHING.telling(RegistrationEvent::RegistrationLost)
            }
            State::Deregistering { until, then } if until <= now => self.gone(then),
            State::Waiting {
                until,
                binding: Some(end),
            } if end <= now => {
                self.state = State::Waiting {
                    until,
                    binding: None,
                };
                Step::NOTHING.telling(RegistrationEvent::RegistrationLost)
            }
            State::Waiting {
                until,
                binding: Some(expires_at),
            } if until <= now => {
                self.state = State::Refreshing {
                    expires_at,
                    too_brief: 0,
                    then: Then::Nothing,
                };
                self.send()
            }
            State::Waiting {
                until,
                binding: None,
            } if until <= now => self.attempt(),
            State::Unregistered
            | State::Connecting
            | State::Registering { .. }
            | State::Registered { .. }
            | State::Refreshing { .. }
            | State::Deregistering { .. }
            | State::Waiting { .. }
            | State::Failed => Step::NOTHING,
        }
    }

    /// When [`timeout`](Self::timeout) has something to do; may change with every call.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Registered {
                expires_at,
                refresh_at,
            } => Some(refresh_at.min(expires_at)),
            State::Registering { then, .. } => match then {
                Then::Deregister { until } => Some(until),
                Then::Nothing | Then::Refresh => None,
            },
            State::Refreshing {
                expires_at, then, ..
            } => match then {
                Then::Deregister { until } => Some(until.min(expires_at)),
                Then::Nothing | Then::Refresh => Some(expires_at),
            },
            State::Deregistering { until, .. } => Some(until),
            State::Waiting { until, binding } => Some(binding.map_or(until, |end| end.min(until))),
            State::Unregistered | State::Connecting | State::Failed => None,
        }
    }

    /// By how many milliseconds the deadline may be missed without harm, so that a device need not
    /// wake up for it alone: a tenth of what is left of the binding at its refresh.
    pub fn slack(&self) -> u64 {
        match self.state {
            State::Registered {
                expires_at,
                refresh_at,
            } => expires_at.since(refresh_at) / 10,
            State::Unregistered
            | State::Connecting
            | State::Registering { .. }
            | State::Refreshing { .. }
            | State::Deregistering { .. }
            | State::Waiting { .. }
            | State::Failed => 0,
        }
    }

    /// Until when there is a binding, if there is one.
    pub fn bound_until(&self) -> Option<Instant> {
        match self.state {
            State::Registered { expires_at, .. } | State::Refreshing { expires_at, .. } => {
                Some(expires_at)
            }
            State::Waiting { binding, .. } => binding,
            State::Unregistered
            | State::Connecting
            | State::Registering { .. }
            | State::Deregistering { .. }
            | State::Failed => None,
        }
    }

    /// What is asked for, in seconds; a 423 raises it.
    pub fn expires(&self) -> u32 {
        self.expires
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Consecutive failures, as RFC 5626 §4.5 counts them.
    pub fn failures(&self) -> u8 {
        self.backoff.failures()
    }

    /// The next attempt from nothing: over the flow that stands, or over a new one.
    fn attempt(&mut self) -> Step {
        match self.flow {
            Flow::Down => {
                self.state = State::Connecting;
                Step {
                    action: RegistrationAction::OpenFlow,
                    event: None,
                }
            }
            Flow::Up(_) => {
                self.state = State::Registering {
                    too_brief: 0,
                    then: Then::Nothing,
                };
                self.send()
            }
        }
    }

    fn refresh_now(&mut self, now: Instant, expires_at: Instant) -> Step {
        self.settle(now);
        self.state = State::Refreshing {
            expires_at,
            too_brief: 0,
            then: Then::Nothing,
        };
        self.send()
    }

    fn send(&self) -> Step {
        Step {
            action: RegistrationAction::SendRegister {
                expires: self.expires,
            },
            event: None,
        }
    }

    /// Removes the binding if there is a flow to do it over.
    fn unbind(&mut self, until: Instant) -> Step {
        match self.flow {
            Flow::Up(_) => {
                self.state = State::Deregistering {
                    until,
                    then: Afterwards::Stay,
                };
                Step {
                    action: RegistrationAction::SendDeregister,
                    event: None,
                }
            }
            Flow::Down => self.gone(Afterwards::Stay),
        }
    }

    fn gone(&mut self, then: Afterwards) -> Step {
        let step = match then {
            Afterwards::Stay => {
                self.state = State::Unregistered;
                Step::NOTHING
            }
            Afterwards::Register => self.attempt(),
        };
        step.telling(RegistrationEvent::Deregistered)
    }

    fn wait(
        &mut self,
        now: Instant,
        millis: u64,
        reason: Reason,
        binding: Option<Instant>,
    ) -> Step {
        let until = now.after(millis);
        self.state = State::Waiting { until, binding };
        Step::NOTHING.telling(RegistrationEvent::Failed {
            reason,
            retry: Retry::At(until),
            bound_until: binding,
        })
    }

    fn fail_for_good(&mut self, reason: Reason) -> Step {
        self.state = State::Failed;
        Step::NOTHING.telling(RegistrationEvent::Failed {
            reason,
            retry: Retry::Never,
            bound_until: None,
        })
    }

    /// RFC 5626 §4.5: a flow that worked starts the count of failures again.
    fn settle(&mut self, now: Instant) {
        if self.has_worked(now) {
            self.backoff.succeeded();
        }
    }

    fn has_worked(&self, now: Instant) -> bool {
        match self.flow {
            Flow::Up(Proof::Proven) => true,
            Flow::Up(Proof::From(then)) => then <= now,
            Flow::Up(Proof::Unproven) | Flow::Down => false,
        }
    }
}

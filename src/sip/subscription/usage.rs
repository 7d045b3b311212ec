//! The states of a subscriber: RFC 6665 §4.1.2, Figure 1.
//!
//! A SUBSCRIBE is answered twice, by its response and by a NOTIFY, in either order; only the NOTIFY
//! makes a subscription. Timer N, 64·T1 from the sending, bounds the wait for it, at the first
//! SUBSCRIBE and at each later one. 401 and 407 are answered elsewhere; meanwhile no NOTIFY can
//! come, and [`challenged`](Usage::challenged) stops the timer.
//!
//! A refresh that is refused with one of the codes of §4.1.2.2 ends the subscription, as a NOTIFY
//! does that says `terminated`; after any other failure it goes on until its end, and the refresh
//! is tried again unless it was refused for good. What then follows an end: nothing where the
//! notifier or its code says so; a new subscription at once where it is a matter of routine
//! (`deactivated`, `timeout`, 481, or it ran out), but not twice within 30 s of a subscription's
//! life; else a new one after the wait of [`Backoff`] or of a `retry-after`.
//!
//! ```text
//! state         subscribe unsubscribe  refresh  2xx        423, fits  refused        NOTIFY alive   terminated      timer
//! Idle          New       told         -        -          -          -              -              -               -
//! Fetching      later     -            -        -          > Idle     > Idle         -              > Idle          N: > Idle
//! NotifyWait    -         later        later    -          Current    > Waiting/Idle > Subscribed   > next          N: > Waiting
//! Subscribed
//!   AsDue       -         > Leaving    Current  -          -          -              -              > next          Current; end: > next
//!   UnderWay    -         later        later    N runs on  Current    see above      N stops        > next          N: > Waiting
//!   Retry       -         > Leaving    Current  -          -          -              -              > next          Current; end: > next
//!   RunOut      -         > Leaving    Current  -          -          -              -              > next          end: > Idle
//! Leaving       later     -            -        -          > Idle     > Idle         -              > Idle          N: > Idle
//! Waiting       -         > Idle       -        -          -          -              -              -               New
//! ```
//!
//! `next` is one of Idle, Waiting and NotifyWait. Pending and active of the RFC are the two phases
//! of Subscribed, terminated is Idle or Waiting.
//!
//! ```
//! use oma_im::sip::subscription::{
//!     Notice, Package, Phase, SubscriptionAction, SubscriptionConfig, Termination, Usage, Which,
//! };
//! use oma_im::sip::dialog::Reach;
//! use oma_im::sip::transaction::Timers;
//! use oma_im::time::Instant;
//!
//! let config = SubscriptionConfig::new(Package::REG);
//! let now = Instant::ZERO;
//! let mut usage = Usage::new(&config);
//! let new = SubscriptionAction::Subscribe { dialog: Which::New, expires: 3_761 };
//! assert_eq!(usage.subscribe().action, new);
//! usage.sent(now, &Timers::RFC3261);
//! assert_eq!(usage.deadline(), Some(now.after(32_000)), "Timer N");
//!
//! // The NOTIFY overtakes the 200.
//! let alive = Notice::Alive { phase: Phase::Active, expires: Some(3_600) };
//! let step = usage.notified(now, &config, alive, Reach::Reachable, 0);
//! assert!(step.event.is_some());
//!
//! // The notifier moves to another host.
//! let moved = Notice::Terminated { reason: Termination::Deactivated, retry_after: None };
//! assert_eq!(usage.notified(now, &config, moved, Reach::Reachable, 0).action, new);
//! ```

mod moves;

use super::super::backoff::Backoff;
use super::super::dialog::Reach;
use super::super::failure::Failure;
use super::super::lease::Lease;
use super::super::transaction::Timers;
use super::state::{
    Afterwards, Answer, Cause, Notified, NotifyWait, Plan, State, Subscribed, Then, TimerN, Told,
};
use super::terms::{Notice, Reason, Retry, Step, SubscriptionConfig, SubscriptionEvent, Which};
use crate::time::Instant;
use crate::wire::name::Status;
use moves::{Next, after, later};

/// RFC 3261 §21.4.17 has a client raise its interval; a notifier that wants a third one gets none.
const TOO_BRIEF_MAX: u8 = 2;
/// How long a subscription must have stood to count as one that works, in milliseconds.
const STABLE: u64 = 30_000;

/// Whether a new subscription may follow an old one at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Anew {
    Free,
    /// One did, and none has stood since.
    Spent,
}

/// The machine of one subscriber, without its dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Usage {
    state: State,
    /// What is asked for, in seconds; a 423 raises it.
    expires: u32,
    backoff: Backoff,
    anew: Anew,
}

impl Usage {
    /// A machine that wants nothing yet.
    pub fn new(config: &SubscriptionConfig) -> Self {
        Self {
            state: State::Idle,
            expires: config.expires.max(1),
            backoff: Backoff::new(),
            anew: Anew::Free,
        }
    }

    /// The user wants to be subscribed.
    pub fn subscribe(&mut self) -> Step {
        match &mut self.state {
            State::Idle => self.open(),
            State::Fetching { then, .. } | State::Leaving { then, .. } => {
                *then = Afterwards::Subscribe;
                Step::NOTHING
            }
            State::NotifyWait(NotifyWait { then, .. })
            | State::Subscribed(Subscribed {
                plan: Plan::UnderWay { then, .. },
                ..
            }) => {
                match *then {
                    Then::Leave => *then = Then::Stay,
                    Then::Stay | Then::Refresh => {}
                }
                Step::NOTHING
            }
            State::Subscribed(Subscribed {
                plan: Plan::AsDue | Plan::Retry { .. } | Plan::RunOut,
                ..
            })
            | State::Waiting { .. } => Step::NOTHING,
        }
    }

    /// The state shall be told once, without a subscription (RFC 6665 §4.4.3). Where there is one,
    /// a refresh has the same effect; where one is on its way, nothing is needed.
    pub fn fetch(&mut self, now: Instant) -> Step {
        match self.state {
            State::Idle => {
                self.state = State::Fetching {
                    timer_n: None,
                    notified: Notified::No,
                    then: Afterwards::Stay,
                };
                Step::subscribe(Which::New, 0)
            }
            State::Subscribed(_) => self.refresh(now),
            State::Fetching { .. }
            | State::NotifyWait(_)
            | State::Leaving { .. }
            | State::Waiting { .. } => Step::NOTHING,
        }
    }

    /// The user does not want it any more: [`SubscriptionEvent::Unsubscribed`] comes once the last
    /// NOTIFY has come, or Timer N has. A fetch goes on.
    pub fn unsubscribe(&mut self) -> Step {
        match &mut self.state {
            State::Idle | State::Waiting { .. } => self.gone(Afterwards::Stay),
            State::Fetching { then, .. } | State::Leaving { then, .. } => {
                *then = Afterwards::Stay;
                Step::NOTHING
            }
            State::NotifyWait(NotifyWait { then, .. })
            | State::Subscribed(Subscribed {
                plan:
                    Plan::UnderWay {
                        answer: Answer::Awaited,
                        then,
                        ..
                    },
                ..
            }) => {
                *then = Then::Leave;
                Step::NOTHING
            }
            State::Subscribed(subscribed) => {
                let reach = subscribed.reach;
                self.leave(reach)
            }
        }
    }

    /// A refresh is wanted now: the Contact has changed (RFC 3261 §12.2.1.1), or the package wants
    /// its whole state again (RFC 6665 §5.3.2).
    pub fn refresh(&mut self, now: Instant) -> Step {
        match &mut self.state {
            State::NotifyWait(NotifyWait { then, .. })
            | State::Subscribed(Subscribed {
                plan:
                    Plan::UnderWay {
                        answer: Answer::Awaited,
                        then,
                        ..
                    },
                ..
            }) => {
                match *then {
                    Then::Stay => *then = Then::Refresh,
                    Then::Refresh | Then::Leave => {}
                }
                Step::NOTHING
            }
            State::Subscribed(subscribed) => {
                let subscribed = *subscribed;
                self.refresh_now(now, subscribed)
            }
            State::Idle
            | State::Fetching { .. }
            | State::Leaving { .. }
            | State::Waiting { .. } => Step::NOTHING,
        }
    }

    /// The subscription is of no use any more, and neither is a request: the client de-registers,
    /// or starts anew. Nothing is told.
    pub fn forget(&mut self) {
        self.state = State::Idle;
    }

    /// Requests can be sent: the client is registered (again). Ends a wait for a notifier that
    /// could not be reached; not to be called for a mere refresh of the registration.
    pub fn online(&mut self, now: Instant) -> Step {
        match self.state {
            State::Waiting {
                cause: Cause::Unreached,
                ..
            } => self.open(),
            State::Subscribed(
                subscribed @ Subscribed {
                    plan:
                        Plan::Retry {
                            cause: Cause::Unreached,
                            ..
                        },
                    ..
                },
            ) => self.refresh_now(now, subscribed),
            State::Waiting {
                cause: Cause::Answered,
                ..
            }
            | State::Subscribed(_)
            | State::Idle
            | State::Fetching { .. }
            | State::NotifyWait(_)
            | State::Leaving { .. } => Step::NOTHING,
        }
    }

    /// The SUBSCRIBE went out, for the first time or as the answer to a challenge: Timer N starts
    /// (RFC 6665 §4.1.2.4). Not to be called for a retransmission.
    pub fn sent(&mut self, now: Instant, timers: &Timers) {
        let end = now.after(timers.t1_64());
        self.set_timer_n(Some(end), TimerN::Running(end));
    }

    /// A 401 or 407 came that will be answered: no NOTIFY comes before
    /// [`sent`](Self::sent) (RFC 6665 §4.1.2.1).
    pub fn challenged(&mut self) {
        self.set_timer_n(None, TimerN::Unsent);
    }

    /// A 2xx came, with this Expires in seconds; `reach` is that of the dialog.
    ///
    /// RFC 6665 §3.1.1: the server may shorten, so more than was asked for counts as what was asked
    /// for; it must say the time, so none counts as what was asked for or what a NOTIFY said.
    pub fn ok(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        status: Status,
        expires: Option<u32>,
        reach: Reach,
    ) -> Step {
        let granted = expires.map(|expires| expires.min(self.expires));
        match &mut self.state {
            State::NotifyWait(wait) => {
                let seconds = granted.unwrap_or(self.expires);
                wait.granted = Some(now.after(u64::from(seconds).saturating_mul(1_000)));
                Step::NOTHING
            }
            State::Subscribed(subscribed) => {
                let Plan::UnderWay {
                    timer_n,
                    answer: answer @ Answer::Awaited,
                    then,
                    ..
                } = &mut subscribed.plan
                else {
                    return Step::NOTHING;
                };
                *answer = Answer::Accepted;
                subscribed.reach = reach;
                let rule = config.refresh;
                subscribed.lease = match (granted, *timer_n) {
                    // The NOTIFY has authority (RFC 6665 §4.1.3).
                    (Some(granted), TimerN::Over(Told::Time)) => {
                        subscribed.lease.shortened(now, rule, granted)
                    }
                    (None, TimerN::Over(Told::Time)) => subscribed.lease,
                    (
                        granted,
                        TimerN::Unsent | TimerN::Running(_) | TimerN::Over(Told::Nothing),
                    ) => Lease::new(now, rule, granted.unwrap_or(self.expires)),
                };
                // RFC 6665 §4.1.2.2, RFC 5839: after a 204 no NOTIFY will come.
                if status.code() == 204 {
                    *timer_n = TimerN::Over(Told::Nothing);
                }
                let heard = matches!(*timer_n, TimerN::Over(_));
                match *then {
                    Then::Stay if heard => {
                        subscribed.plan = Plan::AsDue;
                        Step::NOTHING
                    }
                    Then::Stay => Step::NOTHING,
                    Then::Refresh => {
                        let subscribed = *subscribed;
                        self.refresh_now(now, subscribed)
                    }
                    Then::Leave => self.leave(reach),
                }
            }
            State::Idle
            | State::Fetching { .. }
            | State::Leaving { .. }
            | State::Waiting { .. } => Step::NOTHING,
        }
    }

    /// A 423 came (RFC 3261 §21.4.17), with this Min-Expires in seconds.
    ///
    /// What it demands is remembered for all later SUBSCRIBEs.
    pub fn interval_too_brief(
        &mut self,
        config: &SubscriptionConfig,
        min_expires: Option<u32>,
    ) -> Step {
        let asked = self.expires;
        let fits = |count: u8| {
            min_expires
                .filter(|min| *min > asked && *min <= config.max_expires && count < TOO_BRIEF_MAX)
        };
        let reason = Reason::IntervalTooBrief { min_expires };
        match &mut self.state {
            State::NotifyWait(NotifyWait {
                then: Then::Leave, ..
            }) => self.gone(Afterwards::Stay),
            State::NotifyWait(wait) => match fits(wait.too_brief) {
                Some(min) => {
                    wait.too_brief = wait.too_brief.saturating_add(1);
                    wait.timer_n = None;
                    self.expires = min;
                    Step::subscribe(Which::Current, min)
                }
                None => self.end(reason, Retry::Never),
            },
            State::Subscribed(subscribed) => {
                let until = subscribed.lease.ends();
                match &mut subscribed.plan {
                    Plan::UnderWay {
                        answer: Answer::Awaited,
                        then: Then::Leave,
                        ..
                    } => {
                        let reach = subscribed.reach;
                        self.leave(reach)
                    }
                    Plan::UnderWay {
                        answer: Answer::Awaited,
                        timer_n,
                        too_brief,
                        ..
                    } => match fits(*too_brief) {
                        Some(min) => {
                            *too_brief = too_brief.saturating_add(1);
                            *timer_n = TimerN::Unsent;
                            self.expires = min;
                            Step::subscribe(Which::Current, min)
                        }
                        // RFC 6665 §4.1.2.2: 423 is not among the codes that end it.
                        None => {
                            subscribed.plan = Plan::RunOut;
                            Step::NOTHING.telling(SubscriptionEvent::Failing {
                                reason,
                                retry: Retry::Never,
                                until,
                            })
                        }
                    },
                    Plan::UnderWay {
                        answer: Answer::Accepted,
                        ..
                    }
                    | Plan::AsDue
                    | Plan::Retry { .. }
                    | Plan::RunOut => Step::NOTHING,
                }
            }
            State::Leaving { then, .. } => {
                let then = *then;
                self.gone(then)
            }
            State::Fetching { then, .. } => {
                let then = *then;
                self.not_fetched(reason, then)
            }
            State::Idle | State::Waiting { .. } => Step::NOTHING,
        }
    }

    /// The SUBSCRIBE under way failed otherwise.
    pub fn failed(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        failure: Failure,
        random: u32,
    ) -> Step {
        let reason = match failure {
            Failure::Status { status, .. } => Reason::Status(status),
            Failure::Timeout => Reason::Timeout,
            Failure::TransportFailed => Reason::TransportFailed,
        };
        match self.state {
            State::NotifyWait(NotifyWait {
                then: Then::Leave, ..
            }) => self.gone(Afterwards::Stay),
            State::NotifyWait(_) => self.over(now, config, reason, later(failure), random),
            State::Subscribed(subscribed) => {
                self.refresh_failed(now, config, subscribed, failure, reason, random)
            }
            State::Leaving { then, .. } => self.gone(then),
            State::Fetching { then, .. } => self.not_fetched(reason, then),
            State::Idle | State::Waiting { .. } => Step::NOTHING,
        }
    }

    /// A NOTIFY came that belongs to the subscription; `reach` is that of its dialog.
    pub fn notified(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        notice: Notice,
        reach: Reach,
        random: u32,
    ) -> Step {
        match (&mut self.state, notice) {
            (
                State::Idle | State::Waiting { .. },
                Notice::Alive { .. } | Notice::Terminated { .. },
            )
            | (State::Leaving { .. }, Notice::Alive { .. }) => Step::NOTHING,
            (State::Leaving { then, .. }, Notice::Terminated { .. }) => {
                let then = *then;
                self.gone(then)
            }
            (State::Fetching { notified, .. }, Notice::Alive { .. }) => {
                *notified = Notified::Yes;
                Step::NOTHING
            }
            (State::Fetching { then, .. }, Notice::Terminated { .. }) => {
                let then = *then;
                self.fetched(then)
            }
            (State::NotifyWait(wait), Notice::Alive { phase, expires }) => {
                let wait = *wait;
                self.established(now, config, wait, phase, expires, reach)
            }
            (
                State::NotifyWait(NotifyWait {
                    then: Then::Leave, ..
                })
                | State::Subscribed(Subscribed {
                    plan:
                        Plan::UnderWay {
                            then: Then::Leave, ..
                        },
                    ..
                }),
                Notice::Terminated { .. },
            ) => self.gone(Afterwards::Stay),
            (
                State::NotifyWait(_) | State::Subscribed(_),
                Notice::Terminated {
                    reason,
                    retry_after,
                },
            ) => {
                let next = after(reason, retry_after);
                self.over(now, config, Reason::Terminated(reason), next, random)
            }
            (State::Subscribed(subscribed), Notice::Alive { phase, expires }) => {
                let told = subscribed.phase;
                subscribed.told(now, config, self.expires, phase, expires, reach);
                if told == phase {
                    Step::NOTHING
                } else {
                    let until = subscribed.lease.ends();
                    Step::NOTHING.telling(SubscriptionEvent::Subscribed { phase, until })
                }
            }
        }
    }

    /// The time is `now`: call again until it says [`Step::NOTHING`].
    ///
    /// A refresh goes out before [`deadline`](Self::deadline) if the device is awake anyway and it
    /// is near.
    pub fn timeout(&mut self, now: Instant, config: &SubscriptionConfig, random: u32) -> Step {
        let fired = |timer_n: Option<Instant>| timer_n.is_some_and(|end| end <= now);
        let unheard = Next::Later {
            retry_after: None,
            cause: Cause::Unreached,
        };
        match self.state {
            State::NotifyWait(NotifyWait { timer_n, then, .. }) if fired(timer_n) => match then {
                Then::Leave => self.gone(Afterwards::Stay),
                Then::Stay | Then::Refresh => {
                    self.over(now, config, Reason::NoNotify, unheard, random)
                }
            },
            State::Leaving { timer_n, then } if fired(timer_n) => self.gone(then),
            State::Fetching {
                timer_n,
                notified,
                then,
            } if fired(timer_n) => match notified {
                Notified::Yes => self.fetched(then),
                Notified::No => self.not_fetched(Reason::NoNotify, then),
            },
            State::Waiting { until, .. } if until <= now => self.open(),
            State::Subscribed(subscribed) => {
                let over = subscribed.lease.is_over(now);
                match subscribed.plan {
                    Plan::UnderWay { timer_n, then, .. } => {
                        let (reason, next) = match timer_n {
                            // RFC 6665 §4.1.2.2.
                            TimerN::Running(end) if end <= now => (Reason::NoNotify, unheard),
                            TimerN::Unsent if over => (Reason::Expired, Next::AtOnce),
                            TimerN::Running(_) | TimerN::Unsent | TimerN::Over(_) => {
                                return Step::NOTHING;
                            }
                        };
                        match then {
                            Then::Leave => self.gone(Afterwards::Stay),
                            Then::Stay | Then::Refresh => {
                                self.over(now, config, reason, next, random)
                            }
                        }
                    }
                    Plan::RunOut if over => self.end(Reason::Expired, Retry::Never),
                    Plan::AsDue | Plan::Retry { .. } if over => {
                        self.over(now, config, Reason::Expired, Next::AtOnce, random)
                    }
                    Plan::AsDue if subscribed.lease.is_due(now) => {
                        self.refresh_now(now, subscribed)
                    }
                    Plan::Retry { at, .. } if at <= now => self.refresh_now(now, subscribed),
                    Plan::AsDue | Plan::Retry { .. } | Plan::RunOut => Step::NOTHING,
                }
            }
            State::Idle
            | State::Fetching { .. }
            | State::NotifyWait(_)
            | State::Leaving { .. }
            | State::Waiting { .. } => Step::NOTHING,
        }
    }

    /// When [`timeout`](Self::timeout) has to be called at the latest; may change with every call.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Fetching { timer_n, .. }
            | State::NotifyWait(NotifyWait { timer_n, .. })
            | State::Leaving { timer_n, .. } => timer_n,
            State::Waiting { until, .. } => Some(until),
            State::Subscribed(Subscribed { lease, plan, .. }) => match plan {
                Plan::AsDue => Some(lease.renewed_by().min(lease.ends())),
                Plan::Retry { at, .. } => Some(at.min(lease.ends())),
                Plan::RunOut => Some(lease.ends()),
                Plan::UnderWay { timer_n, .. } => match timer_n {
                    TimerN::Unsent => Some(lease.ends()),
                    TimerN::Running(end) => Some(end),
                    // The transaction ends by itself.
                    TimerN::Over(_) => None,
                },
            },
        }
    }

    /// From when on [`timeout`](Self::timeout) has something to do, at the deadline or before it.
    /// [`Instant::ZERO`]: at once.
    pub fn due_from(&self) -> Option<Instant> {
        match self.state {
            State::Subscribed(Subscribed {
                lease,
                plan: Plan::AsDue,
                ..
            }) => Some(lease.renewed_from().min(lease.ends())),
            State::Subscribed(Subscribed {
                plan: Plan::UnderWay { .. } | Plan::Retry { .. } | Plan::RunOut,
                ..
            })
            | State::Idle
            | State::Fetching { .. }
            | State::NotifyWait(_)
            | State::Leaving { .. }
            | State::Waiting { .. } => self.deadline(),
        }
    }

    /// The device is awake now and will be again at `next` for something else: a refresh that would
    /// be due in between goes out at the next [`timeout`](Self::timeout), which is then due, if that
    /// saves waking up for it.
    pub fn together(&mut self, now: Instant, next: Instant) {
        if let State::Subscribed(Subscribed {
            lease,
            plan: Plan::AsDue,
            ..
        }) = &mut self.state
        {
            *lease = lease.together(now, next);
        }
    }

    /// By how many milliseconds the deadline may be missed without harm: a tenth of what is left
    /// of the subscription at its refresh.
    pub fn slack(&self) -> u64 {
        match self.state {
            State::Subscribed(Subscribed {
                lease,
                plan: Plan::AsDue,
                ..
            }) => lease.slack(),
            State::Subscribed(Subscribed {
                plan: Plan::UnderWay { .. } | Plan::Retry { .. } | Plan::RunOut,
                ..
            })
            | State::Idle
            | State::Fetching { .. }
            | State::NotifyWait(_)
            | State::Leaving { .. }
            | State::Waiting { .. } => 0,
        }
    }

    /// Until when other branches of a fork may make subscriptions of their own: somewhat longer
    /// than the Timer N of RFC 6665 §4.1.2.4, which a NOTIFY stops here.
    pub fn forks_until(&self, timers: &Timers) -> Option<Instant> {
        match self.state {
            State::Subscribed(Subscribed { since, .. }) => Some(since.after(timers.t1_64())),
            State::Idle
            | State::Fetching { .. }
            | State::NotifyWait(_)
            | State::Leaving { .. }
            | State::Waiting { .. } => None,
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

    /// Consecutive failures; stops at 255.
    pub fn failures(&self) -> u8 {
        self.backoff.failures()
    }
}

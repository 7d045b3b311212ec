//! What the transitions of a subscriber do: begin, refresh, end, wait, and what follows an end.

use super::super::state::{
    Afterwards, Answer, Cause, NotifyWait, Plan, State, Subscribed, Then, TimerN, Told,
};
use super::super::terms::{
    Phase, Reason, Retry, Step, SubscriptionConfig, SubscriptionEvent, Termination, Which,
};
use super::{Anew, STABLE, Usage};
use crate::sip::backoff::OtherFlows;
use crate::sip::dialog::Reach;
use crate::sip::failure::{Failure, Outlook, outlook};
use crate::sip::lease::Lease;
use crate::time::Instant;

/// What follows an end.
pub(super) enum Next {
    AtOnce,
    Later {
        retry_after: Option<u32>,
        cause: Cause,
    },
    Nothing,
}

impl Usage {
    pub(super) fn open(&mut self) -> Step {
        self.state = State::NotifyWait(NotifyWait {
            timer_n: None,
            granted: None,
            then: Then::Stay,
            too_brief: 0,
        });
        Step::subscribe(Which::New, self.expires)
    }

    /// The first NOTIFY came and does not end it.
    pub(super) fn established(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        wait: NotifyWait,
        phase: Phase,
        expires: Option<u32>,
        reach: Reach,
    ) -> Step {
        // RFC 6665 §4.1.3: what the NOTIFY says has authority; §4.2.2: but it cannot lengthen.
        let most = wait.granted.map_or(self.expires, |end| {
            u32::try_from(end.since(now).div_ceil(1_000)).unwrap_or(u32::MAX)
        });
        let left = expires.unwrap_or(most).min(most);
        let subscribed = Subscribed {
            phase,
            since: now,
            lease: Lease::new(now, config.refresh, left),
            plan: match wait.granted {
                Some(_) => Plan::AsDue,
                None => Plan::UnderWay {
                    timer_n: TimerN::Over(Told::by(expires)),
                    answer: Answer::Awaited,
                    then: wait.then,
                    too_brief: wait.too_brief,
                },
            },
            reach,
        };
        self.state = State::Subscribed(subscribed);
        let event = SubscriptionEvent::Subscribed {
            phase,
            until: subscribed.lease.ends(),
        };
        match (wait.granted, wait.then) {
            (Some(_), Then::Leave) => self.leave(reach),
            (None, Then::Leave) => Step::NOTHING,
            (Some(_), Then::Refresh) => self.refresh_now(now, subscribed).telling(event),
            (Some(_), Then::Stay) | (None, Then::Stay | Then::Refresh) => {
                Step::NOTHING.telling(event)
            }
        }
    }

    pub(super) fn refresh_now(&mut self, now: Instant, subscribed: Subscribed) -> Step {
        self.settle(now);
        match subscribed.reach {
            Reach::Reachable => {}
            // The old one runs out, or ends with the 481 to its next NOTIFY.
            Reach::Unreachable => return self.open(),
        }
        self.state = State::Subscribed(Subscribed {
            plan: Plan::UnderWay {
                timer_n: TimerN::Unsent,
                answer: Answer::Awaited,
                then: Then::Stay,
                too_brief: 0,
            },
            ..subscribed
        });
        Step::subscribe(Which::Current, self.expires)
    }

    pub(super) fn refresh_failed(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        subscribed: Subscribed,
        failure: Failure,
        reason: Reason,
        random: u32,
    ) -> Step {
        let Plan::UnderWay {
            timer_n,
            answer: Answer::Awaited,
            then,
            ..
        } = subscribed.plan
        else {
            return Step::NOTHING;
        };
        let ended = match failure {
            Failure::Status { status, .. } => match status.code() {
                481 => Some(Next::AtOnce),
                // RFC 6665 §4.1.2.2: these and no others.
                404 | 405 | 410 | 416 | 480 | 482..=485 | 489 | 501 | 604 => Some(later(failure)),
                _ => None,
            },
            // Timer F is Timer N; but a NOTIFY shows that the subscription is there.
            Failure::Timeout if !matches!(timer_n, TimerN::Over(_)) => Some(later(failure)),
            Failure::Timeout | Failure::TransportFailed => None,
        };
        match (ended, then) {
            (Some(_), Then::Leave) => self.gone(Afterwards::Stay),
            (None, Then::Leave) => self.leave(subscribed.reach),
            (Some(next), Then::Stay | Then::Refresh) => {
                self.over(now, config, reason, next, random)
            }
            (None, Then::Stay | Then::Refresh) if subscribed.lease.is_over(now) => {
                self.over(now, config, Reason::Expired, Next::AtOnce, random)
            }
            (None, Then::Stay | Then::Refresh) => {
                let (plan, retry) = match later(failure) {
                    Next::Later { retry_after, cause } => {
                        let at = self.wait(now, config, retry_after, random);
                        (Plan::Retry { at, cause }, Retry::At(at))
                    }
                    Next::AtOnce | Next::Nothing => (Plan::RunOut, Retry::Never),
                };
                self.state = State::Subscribed(Subscribed { plan, ..subscribed });
                Step::NOTHING.telling(SubscriptionEvent::Failing {
                    reason,
                    retry,
                    until: subscribed.lease.ends(),
                })
            }
        }
    }

    /// RFC 6665 §4.1.2.3.
    pub(super) fn leave(&mut self, reach: Reach) -> Step {
        match reach {
            Reach::Reachable => {
                self.state = State::Leaving {
                    timer_n: None,
                    then: Afterwards::Stay,
                };
                Step::subscribe(Which::Current, 0)
            }
            // It ends with the 481 to its next NOTIFY (RFC 6665 §4.2.2).
            Reach::Unreachable => self.gone(Afterwards::Stay),
        }
    }

    /// There is none, as was wanted.
    pub(super) fn gone(&mut self, then: Afterwards) -> Step {
        self.go_on(then).telling(SubscriptionEvent::Unsubscribed)
    }

    pub(super) fn fetched(&mut self, then: Afterwards) -> Step {
        self.go_on(then).telling(SubscriptionEvent::Fetched)
    }

    pub(super) fn not_fetched(&mut self, reason: Reason, then: Afterwards) -> Step {
        self.go_on(then).telling(SubscriptionEvent::Ended {
            reason,
            retry: Retry::Never,
        })
    }

    pub(super) fn go_on(&mut self, then: Afterwards) -> Step {
        match then {
            Afterwards::Stay => {
                self.state = State::Idle;
                Step::NOTHING
            }
            Afterwards::Subscribe => self.open(),
        }
    }

    /// There is none, against our will.
    pub(super) fn over(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        reason: Reason,
        next: Next,
        random: u32,
    ) -> Step {
        self.settle(now);
        let (retry_after, cause) = match (next, self.anew) {
            (Next::Nothing, Anew::Free | Anew::Spent) => return self.end(reason, Retry::Never),
            (Next::AtOnce, Anew::Free) => {
                self.anew = Anew::Spent;
                return self.open().telling(SubscriptionEvent::Ended {
                    reason,
                    retry: Retry::AtOnce,
                });
            }
            (Next::AtOnce, Anew::Spent) => (None, Cause::Answered),
            (Next::Later { retry_after, cause }, Anew::Free | Anew::Spent) => (retry_after, cause),
        };
        let until = self.wait(now, config, retry_after, random);
        let step = self.end(reason, Retry::At(until));
        self.state = State::Waiting { until, cause };
        step
    }

    pub(super) fn end(&mut self, reason: Reason, retry: Retry) -> Step {
        self.state = State::Idle;
        Step::NOTHING.telling(SubscriptionEvent::Ended { reason, retry })
    }

    pub(super) fn wait(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        retry_after: Option<u32>,
        random: u32,
    ) -> Instant {
        let others = OtherFlows::AllFailed;
        now.after(
            self.backoff
                .failed(&config.backoff, others, random, retry_after),
        )
    }

    /// A subscription that has stood, and whose last refresh did not fail, starts the count of
    /// failures again.
    pub(super) fn settle(&mut self, now: Instant) {
        if let State::Subscribed(Subscribed {
            since,
            plan: Plan::AsDue,
            ..
        }) = self.state
            && since.after(STABLE) <= now
        {
            self.backoff.succeeded();
            self.anew = Anew::Free;
        }
    }

    pub(super) fn set_timer_n(&mut self, end: Option<Instant>, within: TimerN) {
        match &mut self.state {
            State::Fetching { timer_n, .. }
            | State::NotifyWait(NotifyWait { timer_n, .. })
            | State::Leaving { timer_n, .. } => *timer_n = end,
            State::Subscribed(Subscribed {
                plan: Plan::UnderWay { timer_n, .. },
                ..
            }) => *timer_n = within,
            State::Subscribed(_) | State::Idle | State::Waiting { .. } => {}
        }
    }
}

impl Subscribed {
    /// A NOTIFY came and does not end it.
    pub(super) fn told(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        asked: u32,
        phase: Phase,
        expires: Option<u32>,
        reach: Reach,
    ) {
        self.phase = phase;
        self.reach = reach;
        // One that was sent before the SUBSCRIBE came in crosses it, as that about a new state often
        // does; which of the two times holds the 200 tells.
        let old = expires.is_some_and(|left| self.lease.is_what_is_left(now, left));
        let renewed = match &mut self.plan {
            Plan::UnderWay {
                timer_n: timer_n @ (TimerN::Running(_) | TimerN::Over(Told::Nothing)),
                answer: Answer::Awaited,
                ..
            } if old => {
                *timer_n = TimerN::Over(Told::Nothing);
                false
            }
            Plan::UnderWay {
                timer_n: timer_n @ (TimerN::Running(_) | TimerN::Over(Told::Nothing)),
                answer,
                ..
            } => {
                *timer_n = TimerN::Over(Told::by(expires));
                *answer == Answer::Awaited
            }
            Plan::UnderWay {
                timer_n: TimerN::Unsent | TimerN::Over(Told::Time),
                ..
            }
            | Plan::AsDue
            | Plan::Retry { .. }
            | Plan::RunOut => false,
        };
        if let Some(left) = expires {
            self.lease = if renewed {
                Lease::new(now, config.refresh, left.min(asked))
            } else {
                // RFC 6665 §4.2.2: a NOTIFY may shorten and must not lengthen.
                self.lease.shortened(now, config.refresh, left)
            };
        }
        if let Plan::UnderWay {
            timer_n: TimerN::Over(_),
            answer: Answer::Accepted,
            ..
        } = self.plan
        {
            self.plan = Plan::AsDue;
        }
    }
}

/// What follows the failure of a SUBSCRIBE.
pub(super) fn later(failure: Failure) -> Next {
    match failure {
        Failure::Timeout | Failure::TransportFailed => Next::Later {
            retry_after: None,
            cause: Cause::Unreached,
        },
        Failure::Status {
            status,
            retry_after,
        } => match outlook(status, retry_after) {
            Outlook::Temporary => Next::Later {
                retry_after,
                cause: Cause::Answered,
            },
            Outlook::Permanent => Next::Nothing,
        },
    }
}

/// What follows the word of the notifier (RFC 6665 §4.1.3).
pub(super) fn after(reason: Termination, retry_after: Option<u32>) -> Next {
    match reason {
        Termination::Deactivated | Termination::Timeout => Next::AtOnce,
        Termination::Rejected | Termination::NoResource | Termination::Invariant => Next::Nothing,
        Termination::Probation | Termination::GiveUp | Termination::Other => Next::Later {
            retry_after,
            cause: Cause::Answered,
        },
    }
}

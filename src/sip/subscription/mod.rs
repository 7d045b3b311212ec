//! A subscriber: RFC 6665, SUBSCRIBE and NOTIFY.
//!
//! [`Usage`] is the machine: when a SUBSCRIBE is sent, what its two answers (the response and a
//! NOTIFY) make of it, when it is refreshed and what follows its end. [`Subscription`] is the
//! machine with the [`Dialog`] that it lives in, and that is what an owner keeps: it takes NOTIFY
//! requests as they come and says what they are answered with.
//!
//! The route set and the remote target are those of the NOTIFY that makes the dialog (RFC 6665
//! §4.4.1); a 2xx to the first SUBSCRIBE makes none, so one that comes from another branch of a fork
//! does no harm. Whether the NOTIFYs of the other branches are taken is a property of the
//! [`Package`].
//!
//! Driving one:
//!
//! 1. [`Step::action`] is a SUBSCRIBE. For [`Which::New`] give it fresh names with
//!    [`open`](Subscription::open); then write it from [`dialog`](Subscription::dialog):
//!    [`request_uri`](Dialog::request_uri), [`identify`](Dialog::identify),
//!    [`route`](Dialog::route) and [`next_cseq`](Dialog::next_cseq), with Event, Accept, Contact
//!    and Expires. Say [`sent`](Subscription::sent) each time it goes out, retransmissions apart,
//!    and [`challenged`](Subscription::challenged) if a 401 or 407 is being answered.
//! 2. Its answer goes to [`ok`](Subscription::ok),
//!    [`interval_too_brief`](Subscription::interval_too_brief) or
//!    [`failed`](Subscription::failed). When [`is_under_way`](Subscription::is_under_way) is false
//!    or there is a new action, an answer that is still to come is no longer of interest.
//! 3. A NOTIFY is [read](Notify::read) once and shown to each subscription with
//!    [`receive`](Subscription::receive). If all say [`Verdict::Elsewhere`], the answer is
//!    [`stray`].
//!
//! ```
//! use oma_im::sip::dialog::Seed;
//! use oma_im::sip::subscription::{Notify, Package, Subscription, SubscriptionConfig, Verdict, stray};
//! use oma_im::sip::transaction::Timers;
//! use oma_im::time::Instant;
//! use oma_im::wire::message::Message;
//! use oma_im::wire::writer::UriText;
//!
//! let config = SubscriptionConfig::new(Package::REG);
//! let now = Instant::ZERO;
//! let mut reg = Subscription::<288>::new(&config);
//! let _new = reg.subscribe();
//! let own = UriText::new("sip:alice@example.com")?;
//! reg.open(Seed { call_id: 1, tag: 2 }, own, own)?;
//! reg.sent(now, &Timers::RFC3261, 1);
//!
//! let bytes = b"NOTIFY sip:alice@192.0.2.10 SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 198.51.100.5;branch=z9hG4bK1\r\n\
//!     From: <sip:alice@example.com>;tag=srv\r\n\
//!     To: <sip:alice@example.com>;tag=0000000000000002\r\n\
//!     Call-ID: 0000000000000001\r\n\
//!     CSeq: 1 NOTIFY\r\n\
//!     Contact: <sip:registrar.example.com>\r\n\
//!     Event: reg\r\n\
//!     Subscription-State: active;expires=3600\r\n\
//!     Content-Length: 0\r\n\r\n";
//! let message = Message::parse(bytes)?;
//! let notify = Notify::read(&message).unwrap();
//! let Verdict::Accept(step) = reg.receive(now, &config, &notify, 0) else { panic!() };
//! assert!(step.event.is_some());
//!
//! // The same for somebody else.
//! let mut other = Subscription::<288>::new(&config);
//! assert_eq!(other.receive(now, &config, &notify, 0), Verdict::Elsewhere);
//! assert_eq!(stray(&notify, &[Package::REG]).code(), 481);
//! assert_eq!(stray(&notify, &[Package::CONFERENCE]).code(), 489);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod state;
mod terms;
mod usage;

pub use super::failure::Failure;
pub use state::{
    Afterwards, Answer, Cause, Notified, NotifyWait, Plan, State, Subscribed, Then, TimerN, Told,
};
pub use terms::{
    Forking, Notice, Package, Phase, Reason, Retry, Step, SubscriptionAction, SubscriptionConfig,
    SubscriptionEvent, Termination, Which,
};
pub use usage::Usage;

use super::dialog::{Dialog, DialogError, Order, Reach, Relation, Seed, contact};
use super::transaction::Timers;
use crate::limits::MAX_DIALOG;
use crate::time::Instant;
use crate::wire::header::{Event, SubscriptionState};
use crate::wire::message::Message;
use crate::wire::name::{Name, Status};
use crate::wire::writer::UriText;

/// What decides of a NOTIFY, read.
#[derive(Clone, Copy, Debug)]
pub struct Notify<'m, 'b> {
    message: &'m Message<'b>,
    call_id: &'b [u8],
    to_tag: &'b [u8],
    from_tag: &'b [u8],
    cseq: u32,
    event: Option<Event<'b>>,
    notice: Option<Notice>,
}

impl<'m, 'b> Notify<'m, 'b> {
    /// Reads the head of a NOTIFY request.
    ///
    /// # Errors
    /// The status to refuse it with: 489 if its Event cannot be read, 400 without From, To, Call-ID
    /// or CSeq.
    pub fn read(message: &'m Message<'b>) -> Result<Self, Status> {
        let bad = |_| Status::BAD_REQUEST;
        Ok(Self {
            message,
            call_id: message.call_id().map_err(bad)?,
            to_tag: message.to().map_err(bad)?.tag().unwrap_or_default(),
            from_tag: message.from().map_err(bad)?.tag().unwrap_or_default(),
            cseq: message.cseq().map_err(bad)?.number,
            event: message
                .optional(Name::Event, Event::parse)
                .map_err(|_| Status::BAD_EVENT)?,
            notice: message
                .required(Name::SubscriptionState, SubscriptionState::parse)
                .ok()
                .map(Notice::of),
        })
    }

    /// What it says of the subscription; `None` if that is missing or cannot be read.
    pub fn notice(&self) -> Option<Notice> {
        self.notice
    }

    /// The event package that it names.
    pub fn event(&self) -> Option<&Event<'b>> {
        self.event.as_ref()
    }

    fn names(&self, package: &Package) -> bool {
        self.event.is_some_and(|event| package.is_named(&event))
    }
}

/// What becomes of a NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Verdict {
    /// It does not belong here.
    Elsewhere,
    /// It belongs here and is answered with this; nothing has changed.
    Refuse(Status),
    /// It comes from another branch of a fork, and the package takes those: a
    /// [`fork`](Subscription::fork) takes it, if there is room for one; else 481.
    Forked,
    /// It is answered with 200, and its document is the state of the resource.
    Accept(Step),
}

/// The answer to a NOTIFY that belongs to no subscription: 489 if it names a package that is none
/// of these, else 481 (RFC 6665 §4.1.3).
pub fn stray(notify: &Notify<'_, '_>, packages: &[Package]) -> Status {
    let known = |event: Event<'_>| {
        packages
            .iter()
            .any(|package| event.event_type.is(package.name.as_bytes()))
    };
    if notify.event.is_none_or(known) {
        Status::DOES_NOT_EXIST
    } else {
        Status::BAD_EVENT
    }
}

/// A subscriber with its dialog, which has room for `N` octets.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Subscription<const N: usize = MAX_DIALOG> {
    usage: Usage,
    /// From the first SUBSCRIBE to the end of the subscription.
    dialog: Option<Dialog<N>>,
}

impl<const N: usize> Subscription<N> {
    /// One that wants nothing yet.
    pub fn new(config: &SubscriptionConfig) -> Self {
        Self {
            usage: Usage::new(config),
            dialog: None,
        }
    }

    /// As [`Usage::subscribe`].
    pub fn subscribe(&mut self) -> Step {
        let step = self.usage.subscribe();
        self.follow(step)
    }

    /// As [`Usage::fetch`].
    pub fn fetch(&mut self, now: Instant) -> Step {
        let step = self.usage.fetch(now);
        self.follow(step)
    }

    /// As [`Usage::unsubscribe`].
    pub fn unsubscribe(&mut self) -> Step {
        let step = self.usage.unsubscribe();
        self.follow(step)
    }

    /// As [`Usage::refresh`].
    pub fn refresh(&mut self, now: Instant) -> Step {
        let step = self.usage.refresh(now);
        self.follow(step)
    }

    /// As [`Usage::forget`].
    pub fn forget(&mut self) {
        self.usage.forget();
        self.dialog = None;
    }

    /// As [`Usage::online`].
    pub fn online(&mut self, now: Instant) -> Step {
        let step = self.usage.online(now);
        self.follow(step)
    }

    /// Names the subscription that [`Which::New`] begins: our URI, and that of the resource, which
    /// is To and Request-URI.
    ///
    /// # Errors
    /// The URIs do not fit: the subscription is forgotten.
    pub fn open(
        &mut self,
        seed: Seed,
        local: UriText<'_>,
        resource: UriText<'_>,
    ) -> Result<(), DialogError> {
        match Dialog::request(seed, local, resource) {
            Ok(dialog) => {
                self.dialog = Some(dialog);
                Ok(())
            }
            Err(error) => {
                self.forget();
                Err(error)
            }
        }
    }

    /// As [`Usage::sent`], with the CSeq that it went out with.
    pub fn sent(&mut self, now: Instant, timers: &Timers, cseq: u32) {
        self.usage.sent(now, timers);
        if let Some(dialog) = &mut self.dialog {
            dialog.used_cseq(cseq);
        }
    }

    /// As [`Usage::challenged`].
    pub fn challenged(&mut self) {
        self.usage.challenged();
    }

    /// A 2xx to the SUBSCRIBE came; as [`Usage::ok`]. Within a subscription it moves the remote
    /// target (RFC 3261 §12.2.1.2).
    pub fn ok(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        response: &Message<'_>,
    ) -> Step {
        let Some(line) = response.response() else {
            return Step::NOTHING;
        };
        if self.is_under_way()
            && let Some((dialog, target)) = self.dialog.as_mut().zip(contact(response).ok())
        {
            dialog.retarget(target);
        }
        let reach = self.reach();
        let expires = response
            .optional(Name::Expires, crate::wire::header::Expires::parse)
            .ok()
            .flatten()
            .map(|expires| expires.0);
        let step = self.usage.ok(now, config, line.status, expires, reach);
        self.follow(step)
    }

    /// As [`Usage::interval_too_brief`].
    pub fn interval_too_brief(
        &mut self,
        config: &SubscriptionConfig,
        min_expires: Option<u32>,
    ) -> Step {
        let step = self.usage.interval_too_brief(config, min_expires);
        self.follow(step)
    }

    /// As [`Usage::failed`].
    pub fn failed(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        failure: Failure,
        random: u32,
    ) -> Step {
        let step = self.usage.failed(now, config, failure, random);
        self.follow(step)
    }

    /// A NOTIFY came.
    pub fn receive(
        &mut self,
        now: Instant,
        config: &SubscriptionConfig,
        notify: &Notify<'_, '_>,
        random: u32,
    ) -> Verdict {
        let Some(dialog) = &mut self.dialog else {
            return Verdict::Elsewhere;
        };
        // RFC 6665 §4.4.1, §8.2.1: Call-ID, tags and Event.
        if !notify.names(&config.package) {
            return Verdict::Elsewhere;
        }
        let relation = dialog.relation(notify.call_id, notify.to_tag, notify.from_tag);
        let notice = match (relation, notify.notice) {
            (Relation::Elsewhere, _) => return Verdict::Elsewhere,
            (Relation::Fork, _) => {
                return match config.package.forking {
                    // RFC 6665 §5.4.9.
                    Forking::Single => Verdict::Refuse(Status::DOES_NOT_EXIST),
                    Forking::Multiple => Verdict::Forked,
                };
            }
            // RFC 6665 §4.1.3: there MUST be one.
            (Relation::Creates | Relation::Within, None) => {
                return Verdict::Refuse(Status::BAD_REQUEST);
            }
            (Relation::Creates, Some(notice @ Notice::Alive { .. })) => {
                if let Err(error) = dialog.established_by_request(notify.message) {
                    return Verdict::Refuse(error.status());
                }
                notice
            }
            // RFC 6665 §4.4.1: it makes no dialog.
            (Relation::Creates, Some(notice @ Notice::Terminated { .. })) => notice,
            (Relation::Within, Some(notice)) => {
                // RFC 3261 §12.2.2: a request that is refused changes nothing.
                let target = match contact(notify.message) {
                    Ok(target) => Some(target),
                    Err(_) if notify.message.header(Name::Contact).is_none() => None,
                    Err(error) => return Verdict::Refuse(error.status()),
                };
                match dialog.receive(notify.cseq) {
                    Order::InOrder => {}
                    Order::Late => return Verdict::Refuse(Status::SERVER_INTERNAL_ERROR),
                }
                if let Some(target) = target {
                    dialog.retarget(target);
                }
                notice
            }
        };
        let reach = self.reach();
        let step = self.usage.notified(now, config, notice, reach, random);
        Verdict::Accept(self.follow(step))
    }

    /// The subscription that a NOTIFY from another branch of a fork makes; show it that NOTIFY.
    ///
    /// `None` once the time for it is over (RFC 6665 §4.1.2.4): 481.
    #[must_use]
    pub fn fork(&self, now: Instant, config: &SubscriptionConfig, timers: &Timers) -> Option<Self> {
        let open = self
            .usage
            .forks_until(timers)
            .is_some_and(|until| now < until);
        let dialog = self.dialog.as_ref().filter(|_| open)?.forked();
        let mut usage = Usage::new(config);
        let _ = usage.subscribe();
        Some(Self {
            usage,
            dialog: Some(dialog),
        })
    }

    /// As [`Usage::timeout`].
    pub fn timeout(&mut self, now: Instant, config: &SubscriptionConfig, random: u32) -> Step {
        let step = self.usage.timeout(now, config, random);
        self.follow(step)
    }

    /// As [`Usage::deadline`].
    pub fn deadline(&self) -> Option<Instant> {
        self.usage.deadline()
    }

    /// As [`Usage::due_from`].
    pub fn due_from(&self) -> Option<Instant> {
        self.usage.due_from()
    }

    /// As [`Usage::together`].
    pub fn together(&mut self, now: Instant, next: Instant) {
        self.usage.together(now, next);
    }

    /// As [`Usage::slack`].
    pub fn slack(&self) -> u64 {
        self.usage.slack()
    }

    /// Whether the answer to a SUBSCRIBE is still of interest.
    pub fn is_under_way(&self) -> bool {
        match self.usage.state() {
            State::Fetching { .. } | State::Leaving { .. } => true,
            State::NotifyWait(NotifyWait { granted, .. }) => granted.is_none(),
            State::Subscribed(Subscribed { plan, .. }) => match plan {
                Plan::UnderWay { answer, .. } => answer == Answer::Awaited,
                Plan::AsDue | Plan::Retry { .. } | Plan::RunOut => false,
            },
            State::Idle | State::Waiting { .. } => false,
        }
    }

    /// The machine.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// What requests are written from.
    pub fn dialog(&self) -> Option<&Dialog<N>> {
        self.dialog.as_ref()
    }

    fn reach(&self) -> Reach {
        let reach = self.dialog.as_ref().and_then(Dialog::reach);
        reach.unwrap_or(Reach::Unreachable)
    }

    /// The dialog goes with its subscription.
    fn follow(&mut self, step: Step) -> Step {
        match self.usage.state() {
            State::Idle | State::Waiting { .. } => self.dialog = None,
            State::Fetching { .. }
            | State::NotifyWait(_)
            | State::Subscribed(_)
            | State::Leaving { .. } => match step.action {
                SubscriptionAction::Subscribe {
                    dialog: Which::New, ..
                } => self.dialog = None,
                SubscriptionAction::Subscribe {
                    dialog: Which::Current,
                    ..
                }
                | SubscriptionAction::Nothing => {}
            },
        }
        step
    }
}

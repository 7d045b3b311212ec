//! One publication: RFC 3903, the Event Publication Agent.
//!
//! The machine decides when a PUBLISH is sent, which of the four kinds, and what becomes of its
//! answer. It keeps the entity-tag and no document: a document and the command that brought it are
//! one value of the owner's, `D`, which it hands back where it is needed. One PUBLISH is under way
//! at a time, since the entity-tag of the next one comes with its answer. A command that comes
//! meanwhile waits, and a further one takes its place. Each command ends once, in a
//! [`Step::ended`]: with success, refused for good, or superseded by a later one.
//!
//! A document stays in effect without further commands: it is refreshed before its end; published
//! anew if the server has forgotten it (412), at once the first time and after a wait if that
//! happens again before a refresh has succeeded; and tried again after Timer F, a 503 and their
//! like, with the entity-tag kept, as RFC 3903 §4.2 wants while it may be valid. Waits are those of
//! [`Backoff`] and never shorter than a Retry-After. A 423 is followed twice at most. What is
//! refused for good is not tried again, and an earlier document stays.
//!
//! Nothing here belongs to a flow. When one fails, the owner sends the same request on the next;
//! [`failed`](Publication::failed) is for when there is none. 401 and 407 are answered elsewhere
//! and come here only when no answer helped.
//!
//! ```text
//! state         publish   remove     2xx            412          423, fits  temporary  permanent      timer
//! Unpublished   Initial   ended      -              -            -          -          -              -
//! Published     Modify    Remove     -              -            -          -          -              Refresh, or lost: Initial
//! Expiring      Modify    Remove     -              -            -          -          -              > Unpublished
//! Requesting
//!   Initial     later     later      > Published    > Waiting    Initial    > Waiting  > Unpublished  -
//!   Refresh     later     later      > Published    Initial      Refresh    > Waiting  > Expiring     lost
//!   Modify      later     later      > Published    Initial      Modify     > Waiting  > Published    lost
//!   Remove      later     later      > Unpublished  > Unpubl.    > Expiring > Waiting  > Expiring     -
//! Waiting       later     later or   -              -            -          -          -              the request; lost
//!                         ended
//! Away          later     later or   -              -            -          -          -              -
//!                         ended
//! ```
//!
//! What waits as `later` goes out where the table leads to a state of rest. Without an entity-tag
//! there is no Refresh and no Modify but an Initial, and a removal ends in [`Outcome::RunsOut`].
//!
//! ```
//! use oma_im::sip::publication::{
//!     Grant, Operation, Outcome, Publication, PublicationAction, PublicationConfig,
//! };
//! use oma_im::time::Instant;
//! use oma_im::wire::header::SipEtag;
//!
//! let config = PublicationConfig::default();
//! let now = Instant::ZERO;
//! // A document here is a text; it might be a number under which the owner finds it.
//! let mut settings = Publication::<&str>::new(&config);
//! let step = settings.publish(&config, "barred");
//! let first = PublicationAction::Send { operation: Operation::Initial("barred"), expires: 600_000 };
//! assert_eq!(step.action, first);
//!
//! // Before the answer the user changes his mind twice: one of the two goes out.
//! assert_eq!(settings.publish(&config, "visible").ended, [None, None]);
//! let superseded = settings.publish(&config, "hidden").ended[0].unwrap();
//! assert_eq!((superseded.command, superseded.outcome), ("visible", Outcome::Superseded));
//!
//! let grant = Grant { expires: Some(3_600), entity_tag: SipEtag::parse(b"dx200xyz").ok() };
//! let step = settings.ok(now, &config, grant, 0);
//! assert_eq!(step.ended[0].unwrap().command, "barred");
//! let next = PublicationAction::Send { operation: Operation::Modify("hidden"), expires: 600_000 };
//! assert_eq!(step.action, next);
//! assert_eq!(settings.entity_tag().unwrap().as_bytes(), b"dx200xyz");
//! # Ok::<(), oma_im::wire::error::ParseError>(())
//! ```

mod terms;

pub use super::failure::Failure;
pub use terms::{
    Command, Ended, Goal, Grant, Operation, Outcome, PublicationAction, PublicationConfig,
    PublicationEvent, Reason, RefreshForm, Step, Tagging,
};

use super::backoff::{Backoff, OtherFlows};
use super::failure::{Outlook, outlook};
use super::lease::Lease;
use crate::time::Instant;
use crate::wire::writer::Token;
use terms::Tag;

/// RFC 3903 §5 lets a client raise its interval after a 423; a server that wants a third one gets
/// none.
const TOO_BRIEF_MAX: u8 = 2;
/// What the server holds for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Held<D> {
    document: D,
    lease: Lease,
    tag: Option<Tag>,
}

impl<D: Copy> Held<D> {
    /// The document that is in effect.
    pub fn document(&self) -> D {
        self.document
    }

    /// When it ends.
    pub fn expires_at(&self) -> Instant {
        self.lease.ends()
    }

    /// The entity-tag, if the server gave one that could be kept.
    pub fn entity_tag(&self) -> Option<Token<'_>> {
        self.tag.as_ref().and_then(Tag::token)
    }
}

/// A PUBLISH that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnderWay<D> {
    /// What it is for.
    pub goal: Goal<D>,
    /// Whether it has a SIP-If-Match.
    pub condition: Condition,
    /// What the server holds until it answers.
    pub held: Option<Held<D>>,
    /// What comes next.
    pub next: Option<Command<D>>,
    /// How many 423 this attempt met.
    pub too_brief: u8,
}

/// Whether a PUBLISH has a SIP-If-Match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Condition {
    /// It has none: an initial publication.
    None,
    /// It has one.
    IfMatch,
}

/// What ends a wait before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cause {
    /// The server answered: nothing does.
    Answered,
    /// No server was reached: [`online`](Publication::online) does.
    Unreached,
}

/// The state of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State<D> {
    /// Nothing is published and nothing is wanted.
    Unpublished,
    /// A document is in effect and will be refreshed.
    Published(Held<D>),
    /// A document is in effect and runs out.
    Expiring(Held<D>),
    /// A PUBLISH is under way.
    Requesting(UnderWay<D>),
    /// The next attempt is put off.
    Waiting {
        /// When it is made.
        until: Instant,
        /// Whether it may be made sooner.
        cause: Cause,
        /// What it is for.
        goal: Goal<D>,
        /// What the server holds.
        held: Option<Held<D>>,
    },
    /// No request can be sent, and nothing is timed.
    Away {
        /// What is wanted afterwards; `None`: what is held runs out.
        goal: Option<Goal<D>>,
        /// What the server holds.
        held: Option<Held<D>>,
    },
}

/// Whether a 412 may be answered with an initial publication at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Anew {
    Free,
    /// One was, and no refresh or modification has succeeded since.
    Spent,
}

/// The machine of one publication; `D` names a command and its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Publication<D> {
    state: State<D>,
    /// What is asked for, in seconds; a 423 raises it.
    expires: u32,
    backoff: Backoff,
    anew: Anew,
}

impl<D: Copy> Publication<D> {
    /// A machine that has published nothing.
    pub fn new(config: &PublicationConfig) -> Self {
        Self {
            state: State::Unpublished,
            expires: config.expires.max(1),
            backoff: Backoff::new(),
            anew: Anew::Free,
        }
    }

    /// This document shall be in effect, in place of any other of ours.
    ///
    /// While a request is under way or put off, it waits for that.
    pub fn publish(&mut self, config: &PublicationConfig, document: D) -> Step<D> {
        self.command(config, Command::Publish(document))
    }

    /// Nothing of ours shall be in effect; the command gets a name as a document does.
    pub fn remove(&mut self, config: &PublicationConfig, command: D) -> Step<D> {
        self.command(config, Command::Remove(command))
    }

    /// A 2xx came.
    pub fn ok(
        &mut self,
        now: Instant,
        config: &PublicationConfig,
        grant: Grant<'_>,
        random: u32,
    ) -> Step<D> {
        let Some(request) = self.under_way() else {
            return Step::NOTHING;
        };
        let document = match request.goal {
            Goal::Command(Command::Remove(command)) => {
                self.succeeded();
                return self
                    .rest(config, None, request.next)
                    .after(command, Outcome::Removed);
            }
            Goal::Command(Command::Publish(document)) | Goal::Keep(document) => document,
        };
        // RFC 3903 §4.2, §6: the server may lower the time and never extends it; it always says it.
        let granted = grant.expires.unwrap_or(self.expires).min(self.expires);
        if granted == 0 {
            // RFC 3903 §6: what is granted no time is removed.
            let request = UnderWay {
                held: None,
                ..request
            };
            let why = (Reason::NotGranted, Cause::Answered, None);
            return self.postpone(now, config, request, why, random);
        }
        match (request.condition, self.anew) {
            (Condition::IfMatch, Anew::Free | Anew::Spent) | (Condition::None, Anew::Free) => {
                self.succeeded();
            }
            // Until it was refreshed once, the server may just forget it again.
            (Condition::None, Anew::Spent) => {}
        }
        let (tag, tagging) = Tag::keep(grant.entity_tag);
        let held = Held {
            document,
            lease: Lease::new(now, config.refresh, granted),
            tag,
        };
        let until = held.expires_at();
        self.rest(config, Some(held), request.next)
            .telling(PublicationEvent::InEffect {
                until,
                tag: tagging,
            })
            .after_any(request.goal.open(), Outcome::Published { until })
    }

    /// A 412 came (RFC 3903 §5): the entity-tag is forgotten, and the document published anew.
    pub fn condition_failed(
        &mut self,
        now: Instant,
        config: &PublicationConfig,
        random: u32,
    ) -> Step<D> {
        let Some(request) = self.under_way() else {
            return Step::NOTHING;
        };
        let why = (Reason::ConditionFailed, Cause::Answered, None);
        match request.condition {
            Condition::IfMatch => {}
            Condition::None => return self.postpone(now, config, request, why, random),
        }
        let forgotten = UnderWay {
            held: None,
            ..request
        };
        match (request.goal, self.anew) {
            // What the server does not know need not be removed.
            (Goal::Command(Command::Remove(command)), Anew::Free | Anew::Spent) => self
                .rest(config, None, request.next)
                .after(command, Outcome::Removed),
            (Goal::Command(Command::Publish(_)) | Goal::Keep(_), Anew::Free) => {
                self.anew = Anew::Spent;
                let (goal, superseded) = newest(forgotten);
                let step = self
                    .start(config, goal, None, 0)
                    .after_any(superseded, Outcome::Superseded);
                match request.held {
                    Some(_) => step.telling(PublicationEvent::Lost),
                    // It was told when it ran out.
                    None => step,
                }
            }
            (Goal::Command(Command::Publish(_)) | Goal::Keep(_), Anew::Spent) => {
                self.postpone(now, config, forgotten, why, random)
            }
        }
    }

    /// A 423 came (RFC 3903 §5), with this Min-Expires in seconds.
    ///
    /// What it demands is remembered for all later PUBLISH requests.
    pub fn interval_too_brief(
        &mut self,
        config: &PublicationConfig,
        min_expires: Option<u32>,
    ) -> Step<D> {
        let Some(request) = self.under_way() else {
            return Step::NOTHING;
        };
        let removing = matches!(request.goal, Goal::Command(Command::Remove(_)));
        match min_expires {
            Some(min)
                if !removing
                    && min > self.expires
                    && min <= config.max_expires
                    && request.too_brief < TOO_BRIEF_MAX =>
            {
                self.expires = min;
                let (goal, superseded) = newest(request);
                let count = request.too_brief.saturating_add(1);
                self.start(config, goal, request.held, count)
                    .after_any(superseded, Outcome::Superseded)
            }
            Some(_) | None => {
                self.give_up(config, request, Reason::IntervalTooBrief { min_expires })
            }
        }
    }

    /// The PUBLISH under way failed otherwise.
    pub fn failed(
        &mut self,
        now: Instant,
        config: &PublicationConfig,
        failure: Failure,
        random: u32,
    ) -> Step<D> {
        let Some(request) = self.under_way() else {
            return Step::NOTHING;
        };
        let why = match failure {
            Failure::Timeout => (Reason::Timeout, Cause::Unreached, None),
            Failure::TransportFailed => (Reason::TransportFailed, Cause::Unreached, None),
            Failure::Status {
                status,
                retry_after,
            } => {
                let reason = Reason::Status(status);
                match outlook(status, retry_after) {
                    Outlook::Permanent => return self.give_up(config, request, reason),
                    Outlook::Temporary => (reason, Cause::Answered, retry_after),
                }
            }
        };
        self.postpone(now, config, request, why, random)
    }

    /// No request can be sent from now on: the client is about to de-register, or is no longer
    /// registered and does not try to be.
    ///
    /// What is published stays and runs out with its Expires; commands that have not ended end as
    /// [`Outcome::Withdrawn`]. What is under way comes to nothing: the owner drops the transaction.
    /// Whether the server made a change that was under way is asked with a refresh after
    /// [`online`](Self::online).
    pub fn offline(&mut self) -> Step<D> {
        let (goal, held, next) = match self.state {
            State::Unpublished => (None, None, None),
            State::Published(held) => (Some(Goal::Keep(held.document)), Some(held), None),
            State::Expiring(held) => (None, Some(held), None),
            State::Requesting(UnderWay {
                goal, held, next, ..
            }) => (Some(goal), doubted(goal, held), next),
            State::Waiting { goal, held, .. } => (Some(goal), doubted(goal, held), None),
            State::Away { goal, held } => (goal, held, None),
        };
        let (kept, open) = match goal {
            None => (None, None),
            Some(Goal::Keep(document)) => (Some(document), None),
            Some(Goal::Command(Command::Publish(name))) => {
                (held.map(|held| held.document), Some(name))
            }
            Some(Goal::Command(Command::Remove(name))) => (None, Some(name)),
        };
        self.state = State::Away {
            goal: kept.map(Goal::Keep),
            held,
        };
        Step::NOTHING
            .after_any(next.map(Command::into_name), Outcome::Withdrawn)
            .after_any(open, Outcome::Withdrawn)
    }

    /// Requests can be sent: the client is registered (again). Ends a wait for a server that could
    /// not be reached; not to be called for a mere refresh of the registration.
    pub fn online(&mut self, now: Instant, config: &PublicationConfig) -> Step<D> {
        match self.state {
            State::Waiting {
                cause: Cause::Unreached,
                goal,
                held,
                ..
            } => self.start(config, goal, held, 0),
            State::Away { goal, held } => {
                let alive = held.filter(|held| !held.lease.is_over(now));
                let step = match (goal, alive) {
                    (Some(Goal::Keep(_)), Some(held)) if !held.lease.is_due(now) => {
                        self.state = State::Published(held);
                        Step::NOTHING
                    }
                    (Some(goal), alive) => self.start(config, goal, alive, 0),
                    (None, Some(held)) => {
                        self.state = State::Expiring(held);
                        Step::NOTHING
                    }
                    (None, None) => {
                        self.state = State::Unpublished;
                        Step::NOTHING
                    }
                };
                match (held, alive) {
                    (Some(_), None) => step.telling(PublicationEvent::Lost),
                    (Some(_) | None, Some(_)) | (None, None) => step,
                }
            }
            State::Waiting {
                cause: Cause::Answered,
                ..
            }
            | State::Unpublished
            | State::Published(_)
            | State::Expiring(_)
            | State::Requesting(_) => Step::NOTHING,
        }
    }

    /// The time is `now`: call again until it says [`Step::NOTHING`].
    ///
    /// A refresh goes out before [`deadline`](Self::deadline) if the device is awake anyway and it
    /// is near, so that refreshes of about the same time fall together.
    pub fn timeout(&mut self, now: Instant, config: &PublicationConfig) -> Step<D> {
        match self.state {
            State::Published(held) if held.lease.is_over(now) => {
                let goal = Goal::Keep(held.document);
                let step = if held.lease.renewed_by() <= now {
                    self.start(config, goal, None, 0)
                } else {
                    // A server that grants a second is not asked each second.
                    self.state = State::Waiting {
                        until: held.lease.renewed_by(),
                        cause: Cause::Answered,
                        goal,
                        held: None,
                    };
                    Step::NOTHING
                };
                step.telling(PublicationEvent::Lost)
            }
            State::Published(held) if held.lease.is_due(now) => {
                self.start(config, Goal::Keep(held.document), Some(held), 0)
            }
            State::Expiring(held) if held.lease.is_over(now) => {
                self.state = State::Unpublished;
                Step::NOTHING.telling(PublicationEvent::Lost)
            }
            State::Requesting(request)
                if request.held.is_some_and(|held| held.lease.is_over(now)) =>
            {
                self.state = State::Requesting(UnderWay {
                    held: None,
                    ..request
                });
                Step::NOTHING.telling(PublicationEvent::Lost)
            }
            State::Waiting {
                until,
                cause,
                goal,
                held: Some(held),
            } if held.lease.is_over(now) => {
                let step = match goal {
                    Goal::Command(Command::Remove(_)) => self.start(config, goal, None, 0),
                    Goal::Command(Command::Publish(_)) | Goal::Keep(_) => {
                        self.state = State::Waiting {
                            until,
                            cause,
                            goal,
                            held: None,
                        };
                        Step::NOTHING
                    }
                };
                step.telling(PublicationEvent::Lost)
            }
            State::Waiting {
                until, goal, held, ..
            } if until <= now => self.start(config, goal, held, 0),
            State::Unpublished
            | State::Published(_)
            | State::Expiring(_)
            | State::Requesting(_)
            | State::Waiting { .. }
            | State::Away { .. } => Step::NOTHING,
        }
    }

    /// When [`timeout`](Self::timeout) has to be called at the latest; may change with every call.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Published(held) => Some(held.lease.renewed_by().min(held.expires_at())),
            State::Expiring(held) => Some(held.expires_at()),
            State::Requesting(request) => request.held.as_ref().map(Held::expires_at),
            State::Waiting { until, held, .. } => Some(
                held.as_ref()
                    .map_or(*until, |held| held.expires_at().min(*until)),
            ),
            State::Unpublished | State::Away { .. } => None,
        }
    }

    /// From when on [`timeout`](Self::timeout) has something to do, at the deadline or before it.
    /// [`Instant::ZERO`]: at once.
    pub fn due_from(&self) -> Option<Instant> {
        match &self.state {
            State::Published(held) => Some(held.lease.renewed_from().min(held.expires_at())),
            State::Unpublished
            | State::Expiring(_)
            | State::Requesting(_)
            | State::Waiting { .. }
            | State::Away { .. } => self.deadline(),
        }
    }

    /// The device is awake now and will be again at `next` for something else: a refresh that would
    /// be due in between goes out at the next [`timeout`](Self::timeout), which is then due, if that
    /// saves waking up for it.
    pub fn together(&mut self, now: Instant, next: Instant) {
        if let State::Published(held) = &mut self.state {
            held.lease = held.lease.together(now, next);
        }
    }

    /// By how many milliseconds the deadline may be missed without harm: a tenth of what is left
    /// of the publication at its refresh.
    pub fn slack(&self) -> u64 {
        match self.state {
            State::Published(held) => held.lease.slack(),
            State::Unpublished
            | State::Expiring(_)
            | State::Requesting(_)
            | State::Waiting { .. }
            | State::Away { .. } => 0,
        }
    }

    /// What the server holds for us, as far as we know.
    pub fn held(&self) -> Option<&Held<D>> {
        match &self.state {
            State::Published(held) | State::Expiring(held) => Some(held),
            State::Requesting(UnderWay { held, .. })
            | State::Waiting { held, .. }
            | State::Away { held, .. } => held.as_ref(),
            State::Unpublished => None,
        }
    }

    /// The value for SIP-If-Match.
    pub fn entity_tag(&self) -> Option<Token<'_>> {
        self.held()?.entity_tag()
    }

    /// Whether nothing is sent before [`online`](Self::online).
    pub fn is_away(&self) -> bool {
        matches!(self.state, State::Away { .. })
    }

    /// Whether a removal is under way or comes next.
    pub fn is_removing(&self) -> bool {
        match &self.state {
            State::Requesting(UnderWay { goal, next, .. }) => {
                matches!(goal, Goal::Command(Command::Remove(_)))
                    || matches!(next, Some(Command::Remove(_)))
            }
            State::Unpublished
            | State::Published(_)
            | State::Expiring(_)
            | State::Waiting { .. }
            | State::Away { .. } => false,
        }
    }

    /// Whether a command has not ended.
    pub fn is_busy(&self) -> bool {
        let open = |goal: Goal<D>| goal.open().is_some();
        match self.state {
            State::Requesting(UnderWay { goal, next, .. }) => open(goal) || next.is_some(),
            State::Waiting { goal, .. } => open(goal),
            State::Away { goal, .. } => goal.is_some_and(open),
            State::Unpublished | State::Published(_) | State::Expiring(_) => false,
        }
    }

    /// What is asked for, in seconds; a 423 raises it.
    pub fn expires(&self) -> u32 {
        self.expires
    }

    /// The state.
    pub fn state(&self) -> &State<D> {
        &self.state
    }

    /// Consecutive failures; stops at 255.
    pub fn failures(&self) -> u8 {
        self.backoff.failures()
    }

    fn command(&mut self, config: &PublicationConfig, command: Command<D>) -> Step<D> {
        match &mut self.state {
            State::Unpublished => self.start(config, Goal::Command(command), None, 0),
            State::Published(held) | State::Expiring(held) => {
                let held = *held;
                self.start(config, Goal::Command(command), Some(held), 0)
            }
            State::Requesting(request) => {
                let old = request.next.replace(command);
                Step::NOTHING.after_any(old.map(Command::into_name), Outcome::Superseded)
            }
            State::Waiting { goal, held, .. } => {
                let (old, held) = (goal.open(), *held);
                let step = if is_sent(command, held.as_ref()) {
                    *goal = Goal::Command(command);
                    Step::NOTHING
                } else {
                    self.start(config, Goal::Command(command), held, 0)
                };
                step.after_any(old, Outcome::Superseded)
            }
            State::Away { goal, held } => {
                let old = goal.and_then(Goal::open);
                let held = *held;
                let step = if is_sent(command, held.as_ref()) {
                    *goal = Some(Goal::Command(command));
                    Step::NOTHING
                } else {
                    *goal = None;
                    Step::NOTHING.after(command.into_name(), removed_already(held.as_ref()))
                };
                step.after_any(old, Outcome::Superseded)
            }
        }
    }

    fn under_way(&self) -> Option<UnderWay<D>> {
        match self.state {
            State::Requesting(request) => Some(request),
            State::Unpublished
            | State::Published(_)
            | State::Expiring(_)
            | State::Waiting { .. }
            | State::Away { .. } => None,
        }
    }

    /// Sends what leads to the goal; a removal of what is not there, or has no name, is over.
    fn start(
        &mut self,
        config: &PublicationConfig,
        goal: Goal<D>,
        held: Option<Held<D>>,
        too_brief: u8,
    ) -> Step<D> {
        let tagged = held.is_some_and(|held| held.tag.is_some());
        let operation = match goal {
            Goal::Command(Command::Remove(command)) if !tagged => {
                let outcome = removed_already(held.as_ref());
                self.state = held.map_or(State::Unpublished, State::Expiring);
                return Step::NOTHING.after(command, outcome);
            }
            Goal::Command(Command::Remove(_)) => Operation::Remove,
            Goal::Command(Command::Publish(document)) | Goal::Keep(document) if !tagged => {
                Operation::Initial(document)
            }
            Goal::Command(Command::Publish(document)) => Operation::Modify(document),
            Goal::Keep(document) => match config.form {
                RefreshForm::Empty => Operation::Refresh,
                RefreshForm::Document => Operation::Modify(document),
            },
        };
        let (condition, expires) = match operation {
            Operation::Initial(_) => (Condition::None, self.expires),
            Operation::Refresh | Operation::Modify(_) => (Condition::IfMatch, self.expires),
            Operation::Remove => (Condition::IfMatch, 0),
        };
        self.state = State::Requesting(UnderWay {
            goal,
            condition,
            held,
            next: None,
            too_brief,
        });
        Step {
            action: PublicationAction::Send { operation, expires },
            ..Step::NOTHING
        }
    }

    /// The request is over: what waited goes out, or there is rest.
    fn rest(
        &mut self,
        config: &PublicationConfig,
        held: Option<Held<D>>,
        next: Option<Command<D>>,
    ) -> Step<D> {
        match next {
            Some(next) => self.start(config, Goal::Command(next), held, 0),
            None => {
                self.state = held.map_or(State::Unpublished, State::Published);
                Step::NOTHING
            }
        }
    }

    /// The request failed for now.
    fn postpone(
        &mut self,
        now: Instant,
        config: &PublicationConfig,
        request: UnderWay<D>,
        (reason, cause, retry_after): (Reason, Cause, Option<u32>),
        random: u32,
    ) -> Step<D> {
        let held = request.held;
        let (goal, superseded) = newest(request);
        let step = match goal {
            Goal::Command(command) if !is_sent(command, held.as_ref()) => {
                self.start(config, goal, held, 0)
            }
            Goal::Command(_) | Goal::Keep(_) => {
                let others = OtherFlows::AllFailed;
                let wait = self
                    .backoff
                    .failed(&config.backoff, others, random, retry_after);
                let until = now.after(wait);
                self.state = State::Waiting {
                    until,
                    cause,
                    goal,
                    held,
                };
                Step::NOTHING.telling(PublicationEvent::Retrying {
                    reason,
                    at: until,
                    in_effect_until: held.map(|held| held.expires_at()),
                })
            }
        };
        step.after_any(superseded, Outcome::Superseded)
    }

    /// The request was refused for good.
    fn give_up(
        &mut self,
        config: &PublicationConfig,
        request: UnderWay<D>,
        reason: Reason,
    ) -> Step<D> {
        let UnderWay {
            goal, held, next, ..
        } = request;
        let in_effect_until = held.map(|held| held.expires_at());
        let step = match (goal, next) {
            (_, Some(_)) | (Goal::Command(Command::Publish(_)), None) => {
                self.rest(config, held, next)
            }
            (Goal::Command(Command::Remove(_)), None) => {
                self.state = held.map_or(State::Unpublished, State::Expiring);
                Step::NOTHING
            }
            (Goal::Keep(_), None) => {
                self.state = held.map_or(State::Unpublished, State::Expiring);
                Step::NOTHING.telling(PublicationEvent::GivenUp {
                    reason,
                    in_effect_until,
                })
            }
        };
        step.after_any(
            goal.open(),
            Outcome::Failed {
                reason,
                in_effect_until,
            },
        )
    }

    fn succeeded(&mut self) {
        self.anew = Anew::Free;
        self.backoff.succeeded();
    }
}

/// What a request that has to go out again is for, and the command that gives way to it.
fn newest<D: Copy>(request: UnderWay<D>) -> (Goal<D>, Option<D>) {
    match request.next {
        Some(next) => (Goal::Command(next), request.goal.open()),
        None => (request.goal, None),
    }
}

/// A change whose answer is not waited for may have been made: the next chance shows it, as the
/// server then does not know the entity-tag any more.
fn doubted<D>(goal: Goal<D>, held: Option<Held<D>>) -> Option<Held<D>> {
    match goal {
        Goal::Command(Command::Publish(_)) => held.map(|held| Held {
            lease: held.lease.due_at_once(),
            ..held
        }),
        Goal::Command(Command::Remove(_)) | Goal::Keep(_) => held,
    }
}

/// Whether a command needs a request: a removal needs something to remove, and its name.
fn is_sent<D>(command: Command<D>, held: Option<&Held<D>>) -> bool {
    match command {
        Command::Publish(_) => true,
        Command::Remove(_) => held.is_some_and(|held| held.tag.is_some()),
    }
}

/// How a removal ends that needs no request.
fn removed_already<D: Copy>(held: Option<&Held<D>>) -> Outcome {
    match held {
        Some(held) => Outcome::RunsOut {
            at: held.expires_at(),
        },
        None => Outcome::Removed,
    }
}

//! The IM service settings, as the client publishes them (OMA IM 5.2.4).
//!
//! When to publish, refresh, wait and give up is decided by [`crate::sip::publication`]; a document
//! there is the settings and the id of their command. Here its actions become PUBLISH requests,
//! whose answers become its inputs. The publication belongs to the user and to its entity-tag, not
//! to a flow: it survives a change of network, and a de-registration leaves it to run out, since
//! what it sets matters most while the user is away.

use crate::arena::Block;
use crate::client::account::Field;
use crate::client::engine::{Engine, Policy, Role, Row};
use crate::client::records::Record;
use crate::client::requests::{Step as Progress, failure};
use crate::client::slots::{Request, RequestKind, RequestState};
use crate::error::{CommandError, Failure};
use crate::id::SettingsId;
use crate::im::settings::{Publish, publish};
use crate::im::tags;
use crate::limits::RESERVE;
use crate::sip::draft::Cuts;
use crate::sip::failure::Failure as NoAnswer;
use crate::sip::publication::{
    Ended, Grant, Operation, Outcome, Publication, PublicationAction, PublicationConfig,
    PublicationEvent, Reason, Step,
};
use crate::sip::transaction::key::hash;
use crate::time::Instant;
use crate::wire::message::Message;
use crate::wire::name::{Name, Status};
use crate::wire::scan;
use crate::wire::settings::{
    Dialect, NewDocument, OfflineDelivery, PartialSettings, PocSettings, Settings,
};
use crate::wire::sink::Sink;
use crate::wire::writer::{Text, UriText};

/// How a command on the settings ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum SettingsOutcome {
    /// They are in effect (5.2.4-11), and kept so by refreshes.
    InEffect {
        /// The settings.
        settings: Settings,
        /// Seconds until the next refresh must have succeeded.
        expires: u32,
    },
    /// Nothing of ours is in effect: the server's defaults hold.
    Removed,
    /// They cannot be removed, as the server gave no entity-tag; they end by themselves.
    RunsOut {
        /// In so many seconds.
        expires: u32,
    },
    /// A later command took its place before it had succeeded.
    Superseded,
    /// The registration ended first. If it was under way, the server may have taken it: the next
    /// registration settles that, or the settings run out.
    Withdrawn,
    /// The server refused for good; what was in effect before stays until it runs out.
    Failed(Failure),
}

/// What happened to the settings without a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum SettingsChange {
    /// They were refreshed, or published anew after a loss.
    InEffect {
        /// The settings.
        settings: Settings,
        /// Seconds until the next refresh must have succeeded.
        expires: u32,
    },
    /// Nothing is in effect any more: they ran out, or the server had forgotten them. They are
    /// published anew, unless they were removed or given up.
    Lost,
    /// An attempt failed; the next one is at `retry_at`.
    Retrying {
        /// What failed.
        failure: Failure,
        /// When it goes on by itself.
        retry_at: Instant,
    },
    /// Another device of the user has published these (RFC 4354 §5.11); what it does not say is
    /// `None`. Only with `Config::watch_settings`.
    Elsewhere {
        /// What it says.
        settings: PartialSettings,
    },
    /// A refresh was refused for good: they run out. The next command starts anew.
    GivenUp(Failure),
}

/// Settings and the command that brought them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Wish {
    id: SettingsId,
    settings: Settings,
}

/// What the client keeps for the settings.
pub(crate) struct SettingsState {
    publication: Publication<Wish>,
    dialect: Dialect,
    poc: PocSettings,
}

impl SettingsState {
    pub(crate) fn new(policy: &Policy, dialect: Dialect, poc: PocSettings) -> Self {
        let mut publication = Publication::new(&policy.publication());
        // Nothing can be sent before the registration: nothing has ended by that.
        let _ = publication.offline();
        Self {
            publication,
            dialect,
            poc,
        }
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) const fn machine(&self) -> &Publication<Wish> {
        &self.publication
    }

    /// As [`Publication::together`].
    pub(crate) fn together(&mut self, now: Instant, next: Instant) {
        self.publication.together(now, next);
    }

    /// The settings that the server holds for us. While nothing is sent, no timer says that their
    /// time is over, so that is looked at here.
    pub(crate) fn in_effect(&self, now: Instant) -> Option<Settings> {
        let held = self.publication.held()?;
        (held.expires_at() > now).then(|| held.document().settings)
    }
}

impl Policy {
    pub(crate) fn publication(&self) -> PublicationConfig {
        PublicationConfig {
            // 5.2.4 step 7: in the range of the registration timer.
            expires: self.registration_expires,
            max_expires: self.max_expires,
            form: self.settings_refresh,
            ..PublicationConfig::DEFAULT
        }
    }
}

impl Engine<'_> {
    /// `Client::publish_settings`.
    pub(crate) fn publish_settings(
        &mut self,
        settings: Settings,
    ) -> Result<SettingsId, CommandError> {
        self.settings_command(settings, |machine, config, wish| {
            machine.publish(config, wish)
        })
    }

    /// `Client::remove_settings`.
    pub(crate) fn remove_settings(&mut self) -> Result<SettingsId, CommandError> {
        self.settings_command(Settings::DEFAULT, |machine, config, wish| {
            machine.remove(config, wish)
        })
    }

    fn settings_command(
        &mut self,
        settings: Settings,
        command: impl FnOnce(&mut Publication<Wish>, &PublicationConfig, Wish) -> Step<Wish>,
    ) -> Result<SettingsId, CommandError> {
        match self.core.role {
            Role::Registrant | Role::Adopted => {}
            Role::Idle | Role::Leaving { .. } => return Err(CommandError::WrongState),
        }
        let id = SettingsId(self.next_id());
        let config = self.core.policy.publication();
        let wish = Wish { id, settings };
        let step = command(&mut self.core.settings.publication, &config, wish);
        self.publication_step(step, None);
        Ok(id)
    }

    /// A path can be used again.
    pub(crate) fn settings_online(&mut self) {
        let (now, config) = (self.core.now, self.core.policy.publication());
        let step = self.core.settings.publication.online(now, &config);
        self.publication_step(step, None);
    }

    /// The registration is over, and so is every command on the settings.
    pub(crate) fn settings_offline(&mut self) {
        self.drop_publish();
        let step = self.core.settings.publication.offline();
        self.publication_step(step, None);
    }

    /// Whether a PUBLISH is under way or waits that removes the settings: a de-registration lets it
    /// go first.
    pub(crate) fn is_removing_settings(&self) -> bool {
        self.core.settings.publication.is_removing()
    }

    /// A refresh that is due, a wait that is over, or the end of what was published.
    pub(crate) fn step_settings(&mut self) -> Progress {
        let (now, config) = (self.core.now, self.core.policy.publication());
        let machine = &self.core.settings.publication;
        if !self.is_time(machine.due_from(), machine.deadline()) {
            return Progress::Nothing;
        }
        let step = self.core.settings.publication.timeout(now, &config);
        self.publication_step(step, None);
        Progress::Done
    }

    /// A final response to PUBLISH, but for 401 and 407 that are answered.
    pub(crate) fn published(&mut self, row: Row, message: &Message<'_>, status: Status) {
        let (now, config) = (self.core.now, self.core.policy.publication());
        let random = self.core.entropy.u32();
        if status.is_success() {
            self.drop_request(row);
            let machine = &mut self.core.settings.publication;
            let step = machine.ok(now, &config, Grant::read(message), random);
            self.publication_step(step, None);
            return self.refresh_together();
        }
        let why = failure(message, status);
        if status.code() != 423 {
            return self.publish_failed(row, why);
        }
        self.drop_request(row);
        let machine = &mut self.core.settings.publication;
        let min = message
            .header(Name::MinExpires)
            .and_then(|value| scan::parse_u32(value).ok());
        let step = machine.interval_too_brief(&config, min);
        self.publication_step(step, Some(why));
    }

    /// A PUBLISH failed.
    pub(crate) fn publish_failed(&mut self, row: Row, why: Failure) {
        self.drop_request(row);
        let (now, config) = (self.core.now, self.core.policy.publication());
        let random = self.core.entropy.u32();
        let failed = match why {
            // RFC 3903 §5: 412 → forget the entity-tag.
            Failure::Status { status: 412, .. } => None,
            _ => Some(NoAnswer::from(why)),
        };
        let machine = &mut self.core.settings.publication;
        let step = match failed {
            Some(failed) => machine.failed(now, &config, failed, random),
            None => machine.condition_failed(now, &config, random),
        };
        self.publication_step(step, Some(why));
    }

    /// Does what the machine says; `why` is what the last answer said, where there was one.
    fn publication_step(&mut self, step: Step<Wish>, why: Option<Failure>) {
        note!(debug, "settings: {:?}, then {:?}", step.event, step.action);
        let mut told = false;
        for Ended { command, outcome } in step.ended.into_iter().flatten() {
            let outcome = match outcome {
                Outcome::Published { until } => {
                    told = true;
                    SettingsOutcome::InEffect {
                        settings: command.settings,
                        expires: self.seconds_to(until),
                    }
                }
                Outcome::Removed => SettingsOutcome::Removed,
                Outcome::RunsOut { at } => SettingsOutcome::RunsOut {
                    expires: self.seconds_to(at),
                },
                Outcome::Superseded => SettingsOutcome::Superseded,
                Outcome::Withdrawn => SettingsOutcome::Withdrawn,
                Outcome::Failed { reason, .. } => SettingsOutcome::Failed(because(reason, why)),
            };
            self.emit(Record::SettingsDone {
                id: command.id,
                outcome,
            });
        }
        let change = match step.event {
            Some(PublicationEvent::InEffect { until, .. }) if !told => {
                let settings = self.core.settings.in_effect(self.core.now);
                settings.map(|settings| SettingsChange::InEffect {
                    settings,
                    expires: self.seconds_to(until),
                })
            }
            // The command said it.
            Some(PublicationEvent::InEffect { .. }) | None => None,
            Some(PublicationEvent::Lost) => Some(SettingsChange::Lost),
            Some(PublicationEvent::Retrying { reason, at, .. }) => Some(SettingsChange::Retrying {
                failure: because(reason, why),
                retry_at: at,
            }),
            Some(PublicationEvent::GivenUp { reason, .. }) => {
                Some(SettingsChange::GivenUp(because(reason, why)))
            }
        };
        if let Some(change) = change {
            self.emit(Record::Settings { change });
        }
        let off = |settings: Settings| settings.offline_delivery == OfflineDelivery::Off;
        let in_effect = self.core.settings.in_effect(self.core.now);
        if told && in_effect.is_some_and(off) {
            // 5.2.4-10.
            self.emit(Record::RetrieveDeferred);
        }
        match step.action {
            PublicationAction::Nothing => {}
            PublicationAction::Send { operation, expires } => self.send_publish(operation, expires),
        }
    }

    fn seconds_to(&self, at: Instant) -> u32 {
        u32::try_from(at.since(self.core.now) / 1_000).unwrap_or(u32::MAX)
    }

    fn send_publish(&mut self, operation: Operation<Wish>, expires: u32) {
        let row = self.free_message_row();
        let mut drafted = self.draft_publish(operation, expires);
        if !self.make_room(RESERVE)
            && let Some((block, _)) = drafted.take()
        {
            // What answers and retries need stays.
            self.arena.free(block);
        }
        let (Ok(row), Some((block, cuts))) = (row, drafted) else {
            // Without room the attempt counts as one that nobody answered.
            if let Some((block, _)) = drafted {
                self.arena.free(block);
            }
            let (now, config) = (self.core.now, self.core.policy.publication());
            let random = self.core.entropy.u32();
            let machine = &mut self.core.settings.publication;
            let step = machine.failed(now, &config, NoAnswer::TransportFailed, random);
            return self.publication_step(step, Some(Failure::NoRoom));
        };
        let (order, since) = (self.next_id(), self.core.now);
        if let Some(request) = self.requests.get_mut(row.0) {
            note!(debug, "request {} queued: PUBLISH", order);
            *request = Request {
                state: RequestState::Queued,
                kind: RequestKind::Publish,
                block: Some(block),
                cuts,
                order,
                since,
                cseq: 1,
                ..Request::FREE
            };
        }
    }

    fn draft_publish(&mut self, operation: Operation<Wish>, expires: u32) -> Option<(Block, Cuts)> {
        let settings = match operation {
            Operation::Initial(wish) | Operation::Modify(wish) => Some(wish.settings),
            Operation::Refresh | Operation::Remove => None,
        };
        let state = &self.core.settings;
        let (dialect, poc) = (state.dialect, state.poc);
        // The machine keeps it in place while the request is written.
        let machine = state.publication;
        let mut name = [0; 16];
        let random = self.random_entity(&mut name);
        let fresh = self.fresh();
        let own = self.own_identity();
        let account = self.core.account;
        let mut cuts = Cuts::NONE;
        let written = self.keep(|blocks, out| {
            let text = account
                .block()
                .map(|block| blocks.get(block))
                .unwrap_or_default();
            let str = |field| core::str::from_utf8(account.slice(text, field)).unwrap_or("");
            let unknown = const { UriText::fixed(tags::ANONYMOUS_URI) };
            let id = match str(Field::Entity) {
                "" => random,
                configured => configured,
            };
            let parts = Publish {
                identity: UriText::new(own.get(blocks, &account, text)).unwrap_or(unknown),
                user_agent: Text::new(str(Field::UserAgent)).unwrap_or(const { Text::fixed("") }),
                fresh: &fresh,
                if_match: match operation {
                    Operation::Initial(_) => None,
                    Operation::Refresh | Operation::Modify(_) | Operation::Remove => {
                        machine.entity_tag()
                    }
                },
                expires: match operation {
                    Operation::Remove => 0,
                    Operation::Initial(_) | Operation::Refresh | Operation::Modify(_) => expires,
                },
                document: settings.map(|settings| NewDocument {
                    id,
                    settings,
                    poc,
                    dialect,
                }),
            };
            let (len, new) = publish(&parts, out)?;
            cuts = new;
            Ok(len)
        });
        written.ok().map(|block| (block, cuts))
    }

    /// The name of our entity where none is configured: as long as this client lives it is the same.
    fn random_entity<'n>(&self, out: &'n mut [u8; 16]) -> &'n str {
        let name = hash(self.core.hash_seed, &[b"entity"]).to_be_bytes();
        let mut sink = Sink::new(out);
        sink.put_hex(&name);
        let len = sink.finish().unwrap_or_default();
        core::str::from_utf8(out.get(..len).unwrap_or_default()).unwrap_or_default()
    }

    /// Whether an entity of a settings document is our own.
    pub(crate) fn is_own_entity(&self, id: &crate::wire::xml::Text<'_>) -> bool {
        let configured = self.core.account.get(&self.arena, Field::Entity);
        match core::str::from_utf8(configured) {
            Ok("") | Err(_) => *id == *self.random_entity(&mut [0; 16]),
            Ok(configured) => *id == *configured,
        }
    }

    fn drop_publish(&mut self) {
        for at in 0..self.requests.len() {
            let publish = self.requests.get(at).is_some_and(|request| {
                request.kind == RequestKind::Publish && request.state != RequestState::Free
            });
            if publish {
                self.drop_request(Row(at));
            }
        }
    }
}

/// What the application is told of a failure; what the server said counts.
fn because(reason: Reason, said: Option<Failure>) -> Failure {
    match (reason, said) {
        (Reason::IntervalTooBrief { .. } | Reason::NotGranted, _) => Failure::Interval,
        (_, Some(said)) => said,
        (Reason::Status(status), None) => Failure::Status {
            status: status.code(),
            warning: None,
            retry_after: None,
        },
        (Reason::ConditionFailed, None) => Failure::Status {
            status: 412,
            warning: None,
            retry_after: None,
        },
        (Reason::Timeout, None) => Failure::Timeout,
        (Reason::TransportFailed, None) => Failure::Unreachable,
    }
}

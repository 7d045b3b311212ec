//! What the client is told by the network of its own user: the registration (RFC 3680) and the
//! settings that other devices publish (RFC 4354 §5.11).
//!
//! Both are subscriptions of [`crate::sip::subscription`], one row each. They begin when a path can
//! be used and end with the registration. A NOTIFY that belongs to one is answered and its
//! document read: a binding that the network ended or shortened goes to the machine of its path,
//! settings become an event.

use crate::arena::Block;
use crate::client::account::Field;
use crate::client::engine::{Engine, Policy, Row};
use crate::client::event::Trust;
use crate::client::incoming::is_of_type;
use crate::client::records::Record;
use crate::client::register::{NotifiedGruus, ShownContact, is_at, parse_contact_user};
use crate::client::requests::{Step as Progress, failure};
use crate::client::serve::{Extra, Served};
use crate::client::settings::SettingsChange;
use crate::client::slots::{Request, RequestKind, RequestState, Standing};
use crate::config::Watching;
use crate::error::Failure;
use crate::id::PathId;
use crate::im::pager::Anonymity;
use crate::im::subscribe::{Subscribe, subscribe};
use crate::im::tags;
use crate::sip::dialog::{Reach, Seed};
use crate::sip::draft::Cuts;
use crate::sip::failure::Failure as NoAnswer;
use crate::sip::registration::Notice;
use crate::sip::subscription::{
    Notify, Package, Phase, Reason, Retry, Step, Subscription, SubscriptionAction,
    SubscriptionConfig, SubscriptionEvent, Termination, Verdict, Which, stray,
};
use crate::sip::transaction::ServerKey;
use crate::time::Instant;
use crate::wire::message::Message;
use crate::wire::name::{Name, Status};
use crate::wire::reginfo::{
    ContactEvent, ContactState, DocumentState, Item as Info, Order, RegInfo, RegistrationState,
};
use crate::wire::scan;
use crate::wire::settings::{Entities, PartialSettings};
use crate::wire::uri::Uri;
use crate::wire::writer::{Text, UriText};

/// Octets of a dialog of these subscriptions: two URIs, the peer's tag, its Contact and routes.
const DIALOG: usize = 288;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Watch {
    /// The registration of the IM Address (event package `reg`).
    Registration,
    /// The settings of the user (event package `poc-settings`).
    Settings,
}

impl Watch {
    const ALL: [Self; 2] = [Self::Registration, Self::Settings];

    const fn package(self) -> Package {
        match self {
            Self::Registration => Package::REG,
            Self::Settings => Package::POC_SETTINGS,
        }
    }
}

/// Whether a document has a contact of this device, at whatever address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instance {
    Unseen,
    Seen,
}

/// How a subscription of the client's own stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum WatchChange {
    /// The network tells what changes.
    Active,
    /// The subscription waits for authorization.
    Pending,
    /// A refresh failed; what there is runs out, unless a later one succeeds.
    Failing(Failure),
    /// The network tells nothing.
    Ended {
        /// Why.
        failure: Failure,
        /// When it is asked for again; `None`: not before the next registration.
        again_at: Option<Instant>,
    },
}

/// The rows of the two.
pub(crate) struct Watches {
    rows: [Option<Subscription<DIALOG>>; 2],
    /// The version of the last `reg` document (RFC 3680 §5).
    version: Option<u32>,
    full_state: FullState,
}

/// Whether documents about the registration build on each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FullState {
    /// They do.
    Known,
    /// Some were missing, and the full state has been asked for; it is asked for once.
    Asked,
}

impl Watches {
    pub(crate) const NONE: Self = Self {
        rows: [None, None],
        version: None,
        full_state: FullState::Known,
    };

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Subscription<DIALOG>> {
        self.rows.iter().flatten()
    }

    /// As [`Subscription::together`].
    pub(crate) fn together(&mut self, watch: Watch, now: Instant, next: Instant) {
        if let Some(row) = self.row_mut(watch) {
            row.together(now, next);
        }
    }

    pub(crate) fn row(&self, watch: Watch) -> Option<&Subscription<DIALOG>> {
        self.rows.get(watch as usize)?.as_ref()
    }

    fn row_mut(&mut self, watch: Watch) -> Option<&mut Subscription<DIALOG>> {
        self.rows.get_mut(watch as usize)?.as_mut()
    }
}

impl Policy {
    fn watches(&self, watch: Watch) -> bool {
        let watching = match watch {
            Watch::Registration => self.watch_registration,
            Watch::Settings => self.watch_settings,
        };
        watching == Watching::On
    }

    fn subscription(&self, watch: Watch) -> SubscriptionConfig {
        SubscriptionConfig {
            // 3GPP TS 24.229 §5.1.1.3 asks for as long as the registration.
            expires: self.registration_expires,
            max_expires: self.max_expires,
            ..SubscriptionConfig::new(watch.package())
        }
    }
}

impl Engine<'_> {
    /// A path can be used again.
    pub(crate) fn watches_online(&mut self) {
        let now = self.core.now;
        for watch in Watch::ALL {
            if !self.core.policy.watches(watch) {
                continue;
            }
            let config = self.core.policy.subscription(watch);
            let step = match self.core.watches.row_mut(watch) {
                Some(row) => match row.online(now) {
                    // The Contact may be another one now.
                    Step {
                        action: SubscriptionAction::Nothing,
                        event: None,
                    } => row.refresh(now),
                    step => step,
                },
                None => {
                    let mut row = Subscription::new(&config);
                    let step = row.subscribe();
                    if let Some(place) = self.core.watches.rows.get_mut(watch as usize) {
                        *place = Some(row);
                    }
                    step
                }
            };
            self.watch_step(watch, step, None);
        }
    }

    /// Our Contact is another one, and where NOTIFYs go may lead nowhere.
    pub(crate) fn watches_moved(&mut self) {
        let now = self.core.now;
        for watch in Watch::ALL {
            if let Some(row) = self.core.watches.row_mut(watch) {
                let step = row.refresh(now);
                self.watch_step(watch, step, None);
            }
        }
    }

    /// The registration is over, and its subscriptions with it.
    pub(crate) fn forget_watches(&mut self) {
        for watch in Watch::ALL {
            self.drop_subscribe(watch);
        }
        self.core.watches = Watches::NONE;
    }

    /// A refresh that is due, or a wait that is over.
    pub(crate) fn step_watches(&mut self) -> Progress {
        let now = self.core.now;
        let due = |row: Option<&Subscription<DIALOG>>| {
            row.is_some_and(|row| self.is_time(row.due_from(), row.deadline()))
        };
        let Some(watch) = Watch::ALL
            .into_iter()
            .find(|watch| due(self.core.watches.row(*watch)))
        else {
            return Progress::Nothing;
        };
        let (config, random) = (
            self.core.policy.subscription(watch),
            self.core.entropy.u32(),
        );
        let Some(row) = self.core.watches.row_mut(watch) else {
            return Progress::Nothing;
        };
        let step = row.timeout(now, &config, random);
        self.watch_step(watch, step, None);
        Progress::Done
    }

    /// The SUBSCRIBE of this row goes out.
    pub(crate) fn subscribe_sent(&mut self, watch: Watch, cseq: u32) {
        let (now, timers) = (self.core.now, self.core.policy.timers);
        if let Some(row) = self.core.watches.row_mut(watch) {
            row.sent(now, &timers, cseq);
        }
    }

    /// A 401 or 407 to the SUBSCRIBE is about to be answered.
    pub(crate) fn subscribe_challenged(&mut self, watch: Watch) {
        if let Some(row) = self.core.watches.row_mut(watch) {
            row.challenged();
        }
    }

    /// A final response to SUBSCRIBE, but for 401 and 407 that are answered.
    pub(crate) fn subscribed(
        &mut self,
        row: Row,
        watch: Watch,
        message: &Message<'_>,
        status: Status,
    ) {
        let why = failure(message, status);
        if !status.is_success() && status.code() != 423 {
            return self.subscribe_failed(row, watch, why);
        }
        self.drop_request(row);
        let (now, config) = (self.core.now, self.core.policy.subscription(watch));
        let Some(row) = self.core.watches.row_mut(watch) else {
            return;
        };
        if status.is_success() {
            let step = row.ok(now, &config, message);
            self.watch_step(watch, step, Some(why));
            return self.refresh_together();
        }
        let min = message
            .header(Name::MinExpires)
            .and_then(|value| scan::parse_u32(value).ok());
        let step = row.interval_too_brief(&config, min);
        self.watch_step(watch, step, Some(why));
    }

    /// A SUBSCRIBE failed.
    pub(crate) fn subscribe_failed(&mut self, row: Row, watch: Watch, why: Failure) {
        self.drop_request(row);
        self.watch_failed(watch, why);
    }

    fn watch_failed(&mut self, watch: Watch, why: Failure) {
        let (now, config) = (self.core.now, self.core.policy.subscription(watch));
        let random = self.core.entropy.u32();
        let Some(row) = self.core.watches.row_mut(watch) else {
            return;
        };
        let step = row.failed(now, &config, NoAnswer::from(why), random);
        self.watch_step(watch, step, Some(why));
    }

    /// Does what the machine says; `why` is what the last answer said, where there was one.
    fn watch_step(&mut self, watch: Watch, step: Step, why: Option<Failure>) {
        note!(
            debug,
            "{:?}: {:?}, then {:?}",
            watch,
            step.event,
            step.action
        );
        let change = match step.event {
            None | Some(SubscriptionEvent::Unsubscribed | SubscriptionEvent::Fetched) => None,
            Some(SubscriptionEvent::Subscribed { phase, .. }) => Some(match phase {
                Phase::Active => WatchChange::Active,
                Phase::Pending => WatchChange::Pending,
            }),
            Some(SubscriptionEvent::Failing { reason, .. }) => {
                Some(WatchChange::Failing(because(reason, why)))
            }
            Some(SubscriptionEvent::Ended { reason, retry }) => {
                if watch == Watch::Registration {
                    // RFC 3680 §5: versions belong to one subscription.
                    self.core.watches.version = None;
                    self.core.watches.full_state = FullState::Known;
                }
                Some(WatchChange::Ended {
                    failure: because(reason, why),
                    again_at: match retry {
                        Retry::Never => None,
                        Retry::AtOnce => Some(self.core.now),
                        Retry::At(at) => Some(at),
                    },
                })
            }
        };
        if let Some(change) = change {
            self.emit(Record::Watch { watch, change });
        }
        match step.action {
            SubscriptionAction::Nothing => {}
            SubscriptionAction::Subscribe { dialog, expires } => {
                self.send_subscribe(watch, dialog, expires);
            }
        }
    }

    fn send_subscribe(&mut self, watch: Watch, which: Which, expires: u32) {
        self.drop_subscribe(watch);
        let drafted = self
            .usable_path()
            .and_then(|path| Some((path, self.draft_subscribe(watch, which, path, expires)?)));
        let Some((path, (block, cuts, cseq, standing))) = drafted else {
            return self.watch_failed(watch, Failure::NoRoom);
        };
        let Ok(row) = self.free_message_row() else {
            self.arena.free(block);
            return self.watch_failed(watch, Failure::NoRoom);
        };
        let (order, since) = (self.next_id(), self.core.now);
        if let Some(request) = self.requests.get_mut(row.0) {
            note!(debug, "request {} queued: SUBSCRIBE", order);
            *request = Request {
                state: RequestState::Queued,
                kind: RequestKind::Subscribe { watch, standing },
                block: Some(block),
                cuts,
                order,
                since,
                cseq,
                path,
                ..Request::FREE
            };
        }
    }

    fn draft_subscribe(
        &mut self,
        watch: Watch,
        which: Which,
        path: PathId,
        expires: u32,
    ) -> Option<(Block, Cuts, u32, Standing)> {
        // It is about the user himself: nothing to hide.
        let contact = self.own_contact(path, Anonymity::None)?;
        if which == Which::New {
            self.name_dialog(watch)?;
        }
        let dialog = self.core.watches.row(watch)?.dialog()?.clone();
        let standing = match dialog.reach() {
            Some(Reach::Reachable) => Standing::Within,
            Some(Reach::Unreachable) | None => Standing::Outside,
        };
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
            let contact = contact.within(blocks);
            let parts = Subscribe {
                dialog: &dialog,
                identity: UriText::new(own.get(blocks, &account, text)).unwrap_or(unknown),
                user_agent: Text::new(str(Field::UserAgent)).unwrap_or(const { Text::fixed("") }),
                package: watch.package(),
                expires,
                supported: match contact {
                    // RFC 5627 §4.4.
                    ShownContact::Gruu(_) => Some(const { Text::fixed("gruu") }),
                    ShownContact::Address(_) => None,
                },
                contact,
            };
            let (len, new) = subscribe(parts, out)?;
            cuts = new;
            Ok(len)
        });
        let block = written.ok()?;
        Some((block, cuts, dialog.next_cseq(), standing))
    }

    /// A new Call-ID and From tag; our address of record is both ends.
    fn name_dialog(&mut self, watch: Watch) -> Option<()> {
        let seed = Seed {
            call_id: self.core.entropy.u64(),
            tag: self.core.entropy.u64(),
        };
        let (own, account) = (self.own_identity(), self.core.account);
        let blocks = self.arena.view();
        let text = account.block().map(|block| blocks.get(block))?;
        let own = UriText::new(own.get(blocks, &account, text)).ok()?;
        let row = self.core.watches.row_mut(watch)?;
        row.open(seed, own, own).ok()
    }

    fn drop_subscribe(&mut self, watch: Watch) {
        for at in 0..self.requests.len() {
            let of = self.requests.get(at).is_some_and(|request| {
                matches!(request.kind, RequestKind::Subscribe { watch: of, .. } if of == watch)
                    && request.state != RequestState::Free
            });
            if of {
                self.drop_request(Row(at));
            }
        }
    }

    /// A NOTIFY (RFC 6665 §4.1.3).
    pub(crate) fn notify(&mut self, served: &Served<'_, '_>, key: ServerKey) {
        let message = served.message;
        if self.core.watches.rows().next().is_none() {
            // RFC 6665 §4.1.3: there is no subscription that it could belong to.
            return self.answer(served, key, 481, Extra::None);
        }
        let notify = match Notify::read(message) {
            Ok(notify) => notify,
            Err(status) => return self.answer(served, key, status.code(), Extra::None),
        };
        let packages = Watch::ALL.map(Watch::package);
        let now = self.core.now;
        for watch in Watch::ALL {
            // What is not from our own path is no word of the network's.
            if served.trust != Trust::Path {
                break;
            }
            if self.core.watches.row(watch).is_none() {
                continue;
            }
            let media = watch.package().accept;
            let (config, random) = (
                self.core.policy.subscription(watch),
                self.core.entropy.u32(),
            );
            let Some(row) = self.core.watches.row_mut(watch) else {
                continue;
            };
            match row.receive(now, &config, &notify, random) {
                Verdict::Elsewhere => {}
                Verdict::Forked => {
                    return self.answer(served, key, 481, Extra::None);
                }
                Verdict::Refuse(status) => {
                    return self.answer(served, key, status.code(), Extra::None);
                }
                Verdict::Accept(step) => {
                    let extra = self.target_extra(served.flow);
                    self.answer(served, key, 200, extra);
                    self.watch_step(watch, step, None);
                    self.refresh_together();
                    if !message.body().is_empty() {
                        if is_of_type(message, media) {
                            self.read_notified(watch, message.body());
                        } else {
                            count!(self, notifies_unread);
                        }
                    }
                    return;
                }
            }
        }
        self.answer(served, key, stray(&notify, &packages).code(), Extra::None);
    }

    fn read_notified(&mut self, watch: Watch, body: &[u8]) {
        let read = match watch {
            Watch::Registration => self.read_registration(body),
            Watch::Settings => self.read_settings(body),
        };
        if read.is_none() {
            count!(self, notifies_unread);
        }
    }

    /// The settings that somebody else has published for the user.
    fn read_settings(&mut self, body: &[u8]) -> Option<()> {
        let mut others: Option<PartialSettings> = None;
        for entity in Entities::new(body, self.core.settings.dialect()).ok()? {
            let entity = entity.ok()?;
            if !self.is_own_entity(&entity.id) {
                others = Some(entity.settings);
            }
        }
        if let Some(settings) = others {
            let change = SettingsChange::Elsewhere { settings };
            self.emit(Record::Settings { change });
        }
        Some(())
    }

    /// What became of our bindings (RFC 3680 §4.7.1, §5.1).
    fn read_registration(&mut self, body: &[u8]) -> Option<()> {
        let info = RegInfo::new(body).ok()?;
        let version = info.version();
        match info.order(self.core.watches.version) {
            Order::InTurn => {}
            // RFC 3680 §5: what is old changes nothing; with a gap the state is asked for anew.
            Order::Old => return Some(()),
            Order::Gap if self.core.watches.full_state == FullState::Asked => {}
            Order::Gap => {
                self.core.watches.full_state = FullState::Asked;
                let now = self.core.now;
                let row = self.core.watches.row_mut(Watch::Registration)?;
                let step = row.refresh(now);
                self.watch_step(Watch::Registration, step, None);
            }
        }
        self.core.watches.version = Some(version);
        let full = info.state() == DocumentState::Full;
        if full {
            self.core.watches.full_state = FullState::Known;
        }
        // Each path has one binding, and a document at most one word on it.
        let mut notices: [Option<Notice>; crate::limits::MAX_PATHS] =
            [None; crate::limits::MAX_PATHS];
        let mut seen = [false; crate::limits::MAX_PATHS];
        let mut gruus: [Option<NotifiedGruus<'_>>; crate::limits::MAX_PATHS] =
            [None; crate::limits::MAX_PATHS];
        let (mut ours, mut own_state, mut instance) = (None, None, Instance::Unseen);
        for item in info {
            match item.ok()? {
                Info::Registration(registration) => {
                    let own = Uri::parse(self.own_uri());
                    let mut buffer = [0; 256];
                    let aor = registration.aor.read_into(&mut buffer);
                    let is_own = own.ok().zip(aor).is_some_and(|(own, aor)| {
                        Uri::parse(aor.as_bytes()).is_ok_and(|aor| own.equivalent(&aor))
                    });
                    ours = is_own.then_some(registration.state);
                    own_state = own_state.or(ours);
                }
                Info::Contact(contact) if ours.is_some() => {
                    if contact
                        .instance
                        .is_some_and(|it| self.is_of_own_instance(it))
                    {
                        instance = Instance::Seen;
                    }
                    let mut buffer = [0; 256];
                    let uri = contact.uri.read_into(&mut buffer);
                    let path = uri.and_then(|uri| self.path_of_contact(uri.as_bytes()));
                    let Some(at) = path.map(|path| usize::from(path.0)) else {
                        continue;
                    };
                    if let Some(seen) = seen.get_mut(at) {
                        *seen = true;
                    }
                    let notice = notice(
                        contact.state,
                        contact.event,
                        contact.expires,
                        contact.retry_after,
                    );
                    if let Some(place) = notices.get_mut(at) {
                        *place = notice;
                    }
                    let bound = contact.state == ContactState::Active;
                    if let Some(place) = gruus.get_mut(at).filter(|_| bound) {
                        *place = NotifiedGruus::of(&contact);
                    }
                }
                Info::Contact(_) => {}
            }
        }
        for (at, path) in (0_u8..).map(PathId).enumerate().take(notices.len()) {
            let said = notices.get(at).copied().flatten();
            let gone = full
                && own_state == Some(RegistrationState::Terminated)
                && !seen.get(at).copied().unwrap_or(true);
            match said {
                Some(notice) => self.registration_notice(path, notice),
                // The address of record has no binding at all.
                None if gone => self.registration_notice(path, Notice::Deactivated),
                None => {}
            }
            if let Some(said) = gruus.get(at).copied().flatten() {
                self.notified_gruus(path, said);
            } else if full && own_state.is_some() && instance == Instance::Unseen {
                self.forget_temporary_gruu(path);
            }
        }
        Some(())
    }

    /// The path whose Contact this is, as it stands now: its user is ours, and its address too.
    fn path_of_contact(&self, uri: &[u8]) -> Option<PathId> {
        let uri = Uri::parse(uri).ok()?;
        let (key, random) = parse_contact_user(uri.user()?)?;
        if key != self.core.policy.key {
            return None;
        }
        (0..self.core.policy.hops).map(PathId).find(|path| {
            let of = self.path(*path).is_some_and(|path| path.contact == random);
            let at = self.contact_address(*path);
            of && at.is_some_and(|at| is_at(&uri, at))
        })
    }

    fn registration_notice(&mut self, path_id: PathId, notice: Notice) {
        let (now, config) = (self.core.now, self.core.policy.registration());
        let (others, random) = (self.other_flows(path_id), self.core.entropy.u32());
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        let step = path
            .registration
            .notified(now, &config, notice, others, random);
        if let Notice::Shortened { expires } = notice
            && step.event.is_some()
        {
            self.emit(Record::Refreshed {
                path: path_id,
                expires,
            });
        }
        self.registration_step(path_id, step);
    }
}

fn notice(
    state: ContactState,
    event: ContactEvent,
    expires: Option<u32>,
    retry_after: Option<u32>,
) -> Option<Notice> {
    match (state, event) {
        (ContactState::Active, ContactEvent::Shortened) => {
            expires.map(|expires| Notice::Shortened { expires })
        }
        (ContactState::Active, _) => None,
        (ContactState::Terminated, ContactEvent::Probation) => {
            Some(Notice::Probation { retry_after })
        }
        // RFC 3680 §4.7.1: rejected → do not register again; likewise what somebody took back.
        (ContactState::Terminated, ContactEvent::Rejected | ContactEvent::Unregistered) => {
            Some(Notice::Rejected)
        }
        (ContactState::Terminated, _) => Some(Notice::Deactivated),
    }
}

/// What the application is told of a failure; what the server said counts.
fn because(reason: Reason, said: Option<Failure>) -> Failure {
    match (reason, said) {
        (Reason::IntervalTooBrief { .. }, _) => Failure::Interval,
        (Reason::Terminated(Termination::Rejected), _) => refused(403),
        (Reason::Terminated(_) | Reason::Expired, _) => refused(481),
        (Reason::NoNotify, _) => Failure::Timeout,
        (_, Some(said)) => said,
        (Reason::Status(status), None) => refused(status.code()),
        (Reason::Timeout, None) => Failure::Timeout,
        (Reason::TransportFailed, None) => Failure::Unreachable,
    }
}

const fn refused(status: u16) -> Failure {
    Failure::Status {
        status,
        warning: None,
        retry_after: None,
    }
}

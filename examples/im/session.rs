//! A user at work: registers, sends what the plan and the commands say, reports on what comes in,
//! and takes the registration back at the end.
//!
//! A [`Session`] is told what to do by [`Command`]s from any thread, and tells what [`Happened`] by a
//! call. It ends when its plan is done, on `Quit`, or when the registration fails.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use mio::Waker;
use oma_im::client::{
    Client, Event, IncomingMessage, RegistrationChange, SendOutcome, SettingsChange,
    SettingsOutcome, TextCheck, Want, WatchChange,
};
use oma_im::config::Config;
use oma_im::error::CommandError;
use oma_im::id::{ChallengeId, IncomingId, PathId, SendId, SettingsId};
use oma_im::im::imdn::ReportKind;
use oma_im::im::pager::{Anonymity, Outgoing};
use oma_im::storage::Standard;
use oma_im::time::Instant;
use oma_im::wire::deflate::inflate;
use oma_im::wire::imdn::{DeliveryStatus, Disposition};

use super::card::{Card, Offers};
use super::clock::{Clock, unix_millis};
use super::driver::{App, Driver};
use super::happened::Happened;
use super::settings::Wish;
use super::sockets::Sockets;
use super::tls;

/// How long `--wait-report` waits for a report after the message was sent.
const REPORT_WITHIN_MS: u64 = 10_000;
/// How long reports of ours may keep a session from ending.
const LINGER_MS: u64 = 2_000;
/// The longest sleep. Nothing depends on it: commands wake the session.
const NAP: Duration = Duration::from_secs(60);

/// What a session is told.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Send a text, to the last target if none is given.
    Send { to: Option<String>, text: String },
    /// Set the settings, or remove them.
    Settings(Wish),
    /// The device has another address now.
    NetworkChanged,
    /// End once all that was sent has its outcome.
    Finish,
    /// The same, but soon.
    Quit,
    /// End now.
    Stop,
}

impl Command {
    /// A line of standard input: `send URI TEXT`, `settings WORDS`, `network`, `quit`, or a text
    /// for the last target.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "" => None,
            "quit" if rest.is_empty() => Some(Self::Quit),
            "network" if rest.is_empty() => Some(Self::NetworkChanged),
            "settings" if Wish::read(rest).is_ok() => Wish::read(rest).ok().map(Self::Settings),
            "send" if is_uri(rest.trim_start()) => {
                let rest = rest.trim_start();
                let (to, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                Some(Self::Send {
                    to: Some(to.into()),
                    text: text.trim().into(),
                })
            }
            _ => Some(Self::Send {
                to: None,
                text: line.into(),
            }),
        }
    }
}

fn is_uri(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["sip:", "sips:", "tel:"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// Gives commands to a session from another thread.
#[derive(Clone)]
pub(crate) struct Remote {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Remote {
    pub(crate) fn give(&self, command: Command) {
        // A session that has ended needs no commands.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

/// What a session is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Where texts go.
    pub(crate) to: Option<String>,
    /// A text to send as soon as it is registered.
    pub(crate) text: Option<String>,
    /// What becomes of the settings.
    pub(crate) settings: Option<Wish>,
    pub(crate) reports: Reports,
    pub(crate) from: Originator,
    /// On an IMS core.
    pub(crate) card: Option<Card>,
    /// When the session ends by itself.
    pub(crate) until: Until,
}

/// Whether reports are asked for, and waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reports {
    NotAsked,
    #[default]
    Asked,
    /// Without a report the session has failed.
    Awaited,
}

/// Whether the recipient may know who sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Originator {
    #[default]
    Named,
    Anonymous,
}

/// When a session ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Until {
    /// When it is told to; what fails is told and survived.
    #[default]
    Told,
    /// When its text is sent; what fails ends it.
    Sent,
    /// So long after the registration.
    Elapsed(Duration),
}

/// What comes from the client while it is drained; the session looks at it afterwards.
#[derive(Default)]
struct Inbox {
    happened: VecDeque<Happened>,
    /// Reports to be made. A command in the middle of a drain would break the contract.
    due: VecDeque<(IncomingId, ReportKind)>,
    /// What card and IPsec are asked.
    asked: VecDeque<Asked>,
}

/// What the client wants of card and IPsec.
enum Asked {
    Offer(PathId),
    Challenge(ChallengeId),
}

impl App for Inbox {
    fn event(&mut self, now: Instant, event: Event<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match event {
            Event::SecurityOfferWanted { path } => self.asked.push_back(Asked::Offer(path)),
            Event::Challenge { id, .. } => self.asked.push_back(Asked::Challenge(id)),
            _ => {}
        }
        self.happened.push_back(match event {
            Event::Registration { change, .. } => match change {
                RegistrationChange::Registered {
                    expires,
                    associated,
                } => Happened::Registered {
                    expires,
                    associated: text(associated),
                },
                RegistrationChange::Refreshed { expires } => Happened::Refreshed { expires },
                RegistrationChange::Lost => Happened::Lost,
                RegistrationChange::Retrying { failure, retry_at } => Happened::Retrying {
                    failure,
                    in_ms: retry_at.since(now),
                },
                RegistrationChange::Failed(failure) => Happened::RegistrationFailed(failure),
            },
            Event::Deregistered => Happened::Deregistered,
            Event::Sent { id, outcome } => Happened::Sent { id: id.0, outcome },
            Event::Report(report) => Happened::Report {
                id: report.id.map(|id| id.0),
                disposition: report.disposition,
                recipient: text(report.recipient),
            },
            Event::ReportSent { id, kind, outcome } => Happened::ReportSent {
                id: id.0,
                kind,
                outcome,
            },
            Event::SettingsDone { id, outcome } => Happened::SettingsDone { id: id.0, outcome },
            Event::Settings(change) => Happened::Settings(change),
            Event::RetrieveDeferred => Happened::RetrieveDeferred,
            Event::Watch { watch, change } => Happened::Watch {
                watch,
                change,
                again_in_ms: match change {
                    WatchChange::Ended { again_at, .. } => again_at.map(|at| at.since(now)),
                    _ => None,
                },
            },
            Event::Challenge { algorithm, .. } => Happened::Challenged(algorithm),
            Event::InstallSecurity { ours, theirs, .. } => Happened::Protected { ours, theirs },
            Event::Mapped { address, .. } => Happened::Mapped(address.to_string()),
            // Reports may come for a day, nothing else of IPsec is done, and nobody else registers.
            _ => return,
        });
    }

    fn message(&mut self, _: Instant, message: &IncomingMessage<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.happened.push_back(Happened::Message {
            id: message.id.0,
            from: text(message.asserted.unwrap_or(message.from)),
            asserted: message.asserted.is_some(),
            display: message.display.map(text),
            called: text(message.called),
            text: content(message),
        });
        // It is kept in `happened`, and will be shown before anything else is done.
        if message.wants.delivery == Want::Yes {
            self.due.push_back((message.id, ReportKind::Delivery));
        }
        if message.wants.display == Want::Yes {
            self.due.push_back((message.id, ReportKind::Display));
        }
    }
}

/// The text of a message, or what it is instead.
fn content(message: &IncomingMessage<'_>) -> String {
    let mut buffer = vec![0; 65_536];
    let body = match message.content_encoding {
        None => Some(message.body),
        Some(encoding) => inflate(encoding, message.body, &mut buffer).ok(),
    };
    match body {
        Some(body) if message.text != TextCheck::NotText => {
            String::from_utf8_lossy(body).into_owned()
        }
        _ => format!(
            "({} octets of {})",
            message.body.len(),
            String::from_utf8_lossy(message.content_type)
        ),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Registering or registered.
    Up,
    /// The registration is being taken back.
    Leaving,
    Gone,
}

/// A user with a client.
pub(crate) struct Session {
    driver: Driver<Box<Standard>>,
    inbox: Inbox,
    commands: Receiver<Command>,
    plan: Plan,
    stage: Stage,
    registered: Option<Instant>,
    /// Not given to the client yet.
    unsent: VecDeque<(String, String)>,
    /// The same for the settings.
    unset: VecDeque<Wish>,
    /// Commands on the settings that have not ended.
    setting: HashSet<u32>,
    /// Given to the client, and not ended.
    under_way: HashSet<u32>,
    /// Sent, but not reported on; until when that is waited for.
    awaited: HashMap<u32, Instant>,
    /// Reports of ours under way.
    reporting: usize,
    /// Set when it shall end once its work is done; the time after which it ends anyway.
    finish: Option<Instant>,
    failed: bool,
    offers: Offers,
}

impl Session {
    /// A session for the user of `config`, not begun, and the way to give it commands.
    ///
    /// # Errors
    /// A configuration that the client refuses, or an operating system without random numbers.
    pub(crate) fn new(
        config: &Config<'_>,
        plan: Plan,
        sockets: Sockets,
        clock: Clock,
    ) -> io::Result<(Self, Remote)> {
        let client = Client::new(config, Box::new(Standard::new()), tls::random()?)
            .map_err(io::Error::other)?;
        let (sender, commands) = channel();
        let remote = Remote {
            commands: sender,
            waker: sockets.waker(),
        };
        let session = Self {
            driver: Driver::new(client, sockets, clock),
            inbox: Inbox::default(),
            commands,
            plan,
            stage: Stage::Up,
            registered: None,
            unsent: VecDeque::new(),
            unset: VecDeque::new(),
            setting: HashSet::new(),
            under_way: HashSet::new(),
            awaited: HashMap::new(),
            reporting: 0,
            finish: None,
            failed: false,
            offers: Offers::default(),
        };
        Ok((session, remote))
    }

    /// Does its work and says whether all of it was done.
    ///
    /// # Errors
    /// The operating system cannot wait for sockets any more.
    pub(crate) fn run(mut self, tell: &mut dyn FnMut(&Happened)) -> io::Result<bool> {
        self.driver.command(&mut self.inbox, |client, now| {
            client.wall_clock(now, unix_millis());
            // A new client can always register.
            let _ = client.register(now);
        });
        if let (Some(to), Some(text)) = (self.plan.to.clone(), self.plan.text.clone()) {
            self.unsent.push_back((to, text));
        }
        self.unset.extend(self.plan.settings);
        while self.stage != Stage::Gone {
            while let Some(happened) = self.inbox.happened.pop_front() {
                tell(&happened);
                self.note(&happened, tell);
            }
            self.ask();
            self.obey(tell);
            self.report();
            self.set(tell);
            self.send(tell);
            let at_most = self.advance(tell);
            if self.inbox.happened.is_empty() && self.stage != Stage::Gone {
                self.driver.turn(&mut self.inbox, at_most)?;
            }
        }
        self.driver.close();
        Ok(!self.failed)
    }

    /// What a thing that happened means for the work.
    fn note(&mut self, happened: &Happened, tell: &mut dyn FnMut(&Happened)) {
        let now = self.driver.now();
        match happened {
            Happened::Registered { .. } => {
                self.registered.get_or_insert(now);
            }
            Happened::RegistrationFailed(_) => {
                self.failed = true;
                self.stage = Stage::Gone;
            }
            // A user would wait; a script wants to know.
            Happened::Retrying { .. }
                if self.registered.is_none() && self.plan.until != Until::Told =>
            {
                self.unfinished("given up: not registered", tell);
                self.leave(tell);
            }
            Happened::Deregistered => self.stage = Stage::Gone,
            Happened::Sent { id, outcome } => {
                self.under_way.remove(id);
                let arrived = match outcome {
                    SendOutcome::Delivered { .. } | SendOutcome::Accepted => true,
                    SendOutcome::Withdrawn | SendOutcome::Failed(_) => false,
                };
                if !arrived {
                    self.awaited.remove(id);
                    self.failed |= self.plan.until != Until::Told;
                } else if let Some(until) = self.awaited.get_mut(id) {
                    *until = now.after(REPORT_WITHIN_MS);
                }
            }
            Happened::Report {
                id: Some(id),
                disposition: Disposition::Delivery(status),
                ..
            } => {
                let was_awaited = self.awaited.remove(id).is_some();
                self.failed |= was_awaited && *status != DeliveryStatus::Delivered;
            }
            Happened::SettingsDone { id, outcome } => {
                self.setting.remove(id);
                let done = match outcome {
                    SettingsOutcome::InEffect { .. } | SettingsOutcome::Removed => true,
                    // Another one says how it went.
                    SettingsOutcome::Superseded => true,
                    SettingsOutcome::RunsOut { .. }
                    | SettingsOutcome::Withdrawn
                    | SettingsOutcome::Failed(_) => false,
                };
                self.failed |= !done && self.plan.until != Until::Told;
            }
            // A user would wait; a script wants to know.
            Happened::Settings(SettingsChange::Retrying { .. })
                if self.plan.until == Until::Sent && !self.setting.is_empty() =>
            {
                self.unfinished("given up: settings not set", tell);
                self.leave(tell);
            }
            Happened::ReportSent { .. } => self.reporting = self.reporting.saturating_sub(1),
            _ => {}
        }
    }

    /// Asks card and IPsec what the client wants of them.
    fn ask(&mut self) {
        while let Some(asked) = self.inbox.asked.pop_front() {
            let (card, offers) = (&mut self.plan.card, &mut self.offers);
            self.driver
                .command(&mut self.inbox, |client, now| match asked {
                    Asked::Offer(path) => {
                        // Without an offer the attempt fails after a while, and is told then.
                        if let Ok(offer) = offers.next() {
                            let _ = client.security_offer(now, path, offer);
                        }
                    }
                    Asked::Challenge(id) => {
                        if let Some(card) = card {
                            // An answer of no use is as good as none.
                            let _ = card.ask(|answer| client.answer(now, id, answer));
                        }
                    }
                });
        }
    }

    /// Takes the commands that wait.
    fn obey(&mut self, tell: &mut dyn FnMut(&Happened)) {
        let now = self.driver.now();
        loop {
            match self.commands.try_recv() {
                Ok(Command::Send { to, text }) => {
                    let Some(to) = to.or_else(|| self.plan.to.clone()) else {
                        tell(&Happened::Refused("to whom? send URI TEXT".into()));
                        continue;
                    };
                    self.plan.to = Some(to.clone());
                    self.unsent.push_back((to, text));
                }
                Ok(Command::Settings(wish)) => self.unset.push_back(wish),
                Ok(Command::NetworkChanged) => {
                    self.driver
                        .command(&mut self.inbox, |client, now| client.network_changed(now));
                }
                // Every message has its end, at last by timeout.
                Ok(Command::Finish) => {
                    let _ = self.finish.get_or_insert(Instant::from_millis(u64::MAX));
                }
                Ok(Command::Quit) => self.finish = Some(now.after(LINGER_MS)),
                Ok(Command::Stop) => self.finish = Some(now),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
    }

    /// Reports on what came in.
    fn report(&mut self) {
        while let Some((id, kind)) = self.inbox.due.pop_front() {
            let result = self
                .driver
                .command(&mut self.inbox, |client, now| match kind {
                    ReportKind::Delivery => client.delivered(now, id),
                    ReportKind::Display => client.displayed(now, id),
                });
            match result {
                Ok(()) => self.reporting += 1,
                Err(CommandError::Busy | CommandError::Full { .. }) => {
                    // Something has to end first; what ends is an event.
                    self.inbox.due.push_front((id, kind));
                    break;
                }
                // It was reported before.
                Err(_) => {}
            }
        }
    }

    /// Gives the client what is to be set.
    fn set(&mut self, tell: &mut dyn FnMut(&Happened)) {
        while self.stage == Stage::Up
            && let Some(wish) = self.unset.pop_front()
        {
            let result = self
                .driver
                .command(&mut self.inbox, |client, now| match wish {
                    Wish::Set(settings) => client.publish_settings(now, settings),
                    Wish::Remove => client.remove_settings(now),
                });
            match result {
                Ok(SettingsId(id)) => {
                    self.setting.insert(id);
                }
                Err(CommandError::Busy) => {
                    self.unset.push_front(wish);
                    break;
                }
                Err(error) => {
                    self.failed |= self.plan.until != Until::Told;
                    tell(&Happened::Refused(format!("settings not set: {error}")));
                }
            }
        }
    }

    /// Gives the client what is to be sent, as soon as it can take it.
    fn send(&mut self, tell: &mut dyn FnMut(&Happened)) {
        while self.stage == Stage::Up && !self.unsent.is_empty() {
            let ready = self
                .driver
                .command(&mut self.inbox, |client, _| client.is_ready());
            if !ready {
                break;
            }
            let Some((to, text)) = self.unsent.pop_front() else {
                break;
            };
            let mut message = Outgoing::text(&to, &text);
            match (self.plan.from, self.plan.reports) {
                (Originator::Anonymous, _) => message.anonymity = Anonymity::Id,
                (Originator::Named, Reports::NotAsked) => {}
                (Originator::Named, Reports::Asked | Reports::Awaited) => {
                    message = message.with_delivery_report();
                }
            }
            let result = self.driver.command(&mut self.inbox, |client, now| {
                client.send_message(now, &message)
            });
            match result {
                Ok(SendId(id)) => {
                    self.under_way.insert(id);
                    if self.plan.reports == Reports::Awaited {
                        self.awaited.insert(id, Instant::from_millis(u64::MAX));
                    }
                    tell(&Happened::Sending { id, to, text });
                }
                Err(CommandError::Busy | CommandError::Full { .. })
                    if !self.under_way.is_empty() =>
                {
                    self.unsent.push_front((to, text));
                    break;
                }
                Err(error) => {
                    self.failed |= self.plan.until != Until::Told;
                    tell(&Happened::Refused(format!("not sent to {to}: {error}")));
                }
            }
        }
    }

    /// Ends the session when it is time; else says how long it may sleep.
    fn advance(&mut self, tell: &mut dyn FnMut(&Happened)) -> Duration {
        let now = self.driver.now();
        if self.stage != Stage::Up {
            return NAP;
        }
        let overdue = |(id, until): (&u32, &Instant)| (*until <= now).then_some(*id);
        let overdue: Vec<u32> = self.awaited.iter().filter_map(overdue).collect();
        for id in overdue {
            self.awaited.remove(&id);
            let seconds = REPORT_WITHIN_MS / 1000;
            self.unfinished(&format!("no report on #{id} within {seconds} s"), tell);
        }
        let idle = self.unsent.is_empty()
            && self.under_way.is_empty()
            && self.awaited.is_empty()
            && self.unset.is_empty()
            && self.setting.is_empty();
        let mut next = self.awaited.values().copied().min();
        let over = match self.plan.until {
            Until::Told => false,
            Until::Sent => self.registered.is_some() && idle,
            Until::Elapsed(time) => self.registered.is_some_and(|since| {
                let end = since.after(time.as_millis() as u64);
                next = next.into_iter().chain([end]).min();
                end <= now
            }),
        };
        if over {
            let _ = self.finish.get_or_insert(now.after(LINGER_MS));
        }
        if let Some(at_last) = self.finish {
            let done = idle && self.reporting == 0 && self.inbox.due.is_empty();
            if done || at_last <= now {
                self.leave(tell);
                return Duration::ZERO;
            }
            next = next.into_iter().chain([at_last]).min();
        }
        next.map_or(NAP, |next| Duration::from_millis(next.since(now)).min(NAP))
    }

    /// Takes the registration back; the end is `Deregistered`.
    fn leave(&mut self, tell: &mut dyn FnMut(&Happened)) {
        if self.stage != Stage::Up {
            return;
        }
        let texts = self.unsent.len();
        if texts > 0 {
            self.unsent.clear();
            self.unfinished(&format!("{texts} not sent"), tell);
        }
        self.stage = Stage::Leaving;
        let result = self
            .driver
            .command(&mut self.inbox, |client, now| client.deregister(now));
        if result.is_err() {
            // There is nothing to take back.
            self.stage = Stage::Gone;
        }
    }

    fn unfinished(&mut self, text: &str, tell: &mut dyn FnMut(&Happened)) {
        self.failed = true;
        tell(&Happened::Unfinished(text.into()));
    }
}

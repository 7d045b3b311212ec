//! A client under operations, and what has to hold after each.
//!
//! - A drain ends within a bound, and what `Idle` asks for does not lie in the past twice.
//! - What the client sends is a keep-alive or a SIP message that its own reader takes, on a flow that is open.
//! - Every block of the arena has one owner.
//! - No event is lost; every message that was accepted has one outcome, every report that was asked for one end,
//!   every command on the settings one.
//! - The settings that the client names are those of an answer to a command, and none without one.
//! - A message comes to the application once.
//! - No feature tag goes out but those that IM needs and those that were configured.
//! - On an IMS core nothing but REGISTER goes unprotected, and nothing that names the cell; what a protected path
//!   demands is on every request there; and what `platform` says of security associations.
//!
//! All that comes out is kept as a transcript, so that two runs can be held against each other.

mod around;
mod checks;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt::Write;
use std::string::String;
use std::vec;
use std::vec::Vec;

use around::keys;
use checks::{event_of, sent};

use super::notify::Watched;
use super::platform::{Link, Platform, Wanted};
use super::text;
use super::{Adopt, FEATURE_TAGS, Op, Request, Secret, Send, Setup, Then, Wait};
use crate::client::{
    Adopted, Answer, Client, Direction, Holders, Item, OpenFailure, Origin, Output, Purpose,
};
use crate::config::Transport;
use crate::error::{CommandError, ConfigError};
use crate::id::{ChallengeId, FlowId, IncomingId, PathId, SendId, SettingsId};
use crate::im::imdn::ReportKind;
use crate::im::pager::Outgoing;
use crate::storage::Storage;
use crate::testkit::sip::Sip;
use crate::time::Instant;
use crate::wire::cpim::Notifications;
use crate::wire::digest::Algorithm;
use crate::wire::settings::Settings;

/// Polls of one drain at the most.
const POLLS: usize = 200;
/// Messages that are remembered by the smallest storage that is tried, and a few less.
const REMEMBERED: usize = 12;
/// The default of `Config::stream_buffer`.
const STREAM_BUFFER: usize = 8192;
/// What a server that behaves does in one operation, at the most.
const ROUNDS: usize = 10;
/// Values of P-Access-Network-Info; the last two are refused.
const ACCESS: [&str; 6] = [
    "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=00101D0FCE1",
    "IEEE-802.11;i-wlan-node-id=00c0ffee0001",
    "3GPP-NR-FDD;utran-cell-id-3gpp=00101D0FCE2",
    "",
    "3GPP-NR-FDD\r\nX: y",
    "not a value, either",
];

/// A client, and what the driver and the application know.
pub struct Run<S> {
    client: Client<S>,
    now: Instant,
    flows: Vec<Link>,
    next_flow: u32,
    opens: Vec<Wanted>,
    /// Requests of the client's that can be answered, by flow.
    waiting: VecDeque<(FlowId, Sip)>,
    challenges: Vec<ChallengeId>,
    /// The challenge that waits for the card.
    card: Option<(ChallengeId, Algorithm)>,
    platform: Platform,
    ims: bool,
    /// Whether somebody else holds the registration.
    adopted: bool,
    /// The Contact parameters that were configured.
    feature_tags: bool,
    /// P-Access-Network-Info, as it was given.
    access: Option<&'static str>,
    watched: VecDeque<Watched>,
    branch: u32,
    /// The Contact of the last REGISTER, and the document of the last PUBLISH.
    contact: String,
    published: Option<String>,
    /// What the operation under way does, where that makes an event mean something.
    cause: Option<Cause>,
    reached: BTreeMap<&'static str, u32>,
    inbox: Vec<IncomingId>,
    /// Sender and Message-ID of the last messages.
    seen: VecDeque<(IncomingId, Vec<u8>, Vec<u8>)>,
    sends: BTreeMap<SendId, Outcome>,
    /// Commands on the settings that have not ended; `None` removes.
    settings: BTreeMap<SettingsId, Option<Settings>>,
    /// What is in effect, as the application was told.
    in_effect: Option<Settings>,
    reports: HashSet<(IncomingId, ReportKind)>,
    sent_ids: Vec<String>,
    last: Option<(FlowId, Vec<u8>)>,
    /// Operations so far.
    count: usize,
    hold: u8,
    short: Option<u8>,
    deadline: Option<Instant>,
    transcript: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Notify,
    Restore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Open,
    Told,
}

impl<S: Storage> Run<S> {
    /// A client that did nothing yet.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn new(setup: &Setup, storage: S) -> Result<Self, ConfigError> {
        let client = setup.with(|config, seed| Client::new(config, storage, seed))?;
        Ok(Self {
            client,
            now: Instant::from_millis(1_000),
            flows: Vec::new(),
            next_flow: 0,
            opens: Vec::new(),
            waiting: VecDeque::new(),
            challenges: Vec::new(),
            card: None,
            platform: Platform::new(),
            ims: setup.is_ims(),
            adopted: false,
            feature_tags: setup.with(|config, _| config.feature_tags == FEATURE_TAGS),
            access: None,
            watched: VecDeque::new(),
            branch: 0,
            contact: String::new(),
            published: None,
            cause: None,
            reached: BTreeMap::new(),
            inbox: Vec::new(),
            seen: VecDeque::new(),
            sends: BTreeMap::new(),
            settings: BTreeMap::new(),
            in_effect: None,
            reports: HashSet::new(),
            sent_ids: Vec::new(),
            last: None,
            count: 0,
            hold: 0,
            short: None,
            deadline: None,
            transcript: String::new(),
        })
    }

    /// The client.
    pub fn client(&mut self) -> &mut Client<S> {
        &mut self.client
    }

    /// All that came out so far, and the answers to commands.
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// What was reached, and how often.
    pub fn reached(&self) -> &BTreeMap<&'static str, u32> {
        &self.reached
    }

    fn reach(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    /// Does all operations, then lets everything end.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn all(&mut self, ops: &[Op]) {
        for op in ops {
            self.step(op);
        }
        self.finish();
    }

    /// Does one operation, drains, and checks.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn step(&mut self, op: &Op) {
        self.apply(op);
        if self.hold > 0 {
            self.hold -= 1;
        } else {
            self.drain();
        }
        self.cause = None;
        self.client.audit();
    }

    fn apply(&mut self, op: &Op) {
        let now = self.now;
        let _ = writeln!(
            self.transcript,
            "operation {} at {}",
            self.count,
            now.as_millis()
        );
        self.count += 1;
        match op {
            Op::Register => {
                let result = self.client.register(now);
                self.adopted &= result.is_err();
                self.note("register", result);
            }
            Op::Deregister => {
                let result = self.client.deregister(now);
                self.note("deregister", result);
            }
            Op::Adopt(what) => {
                let result = self.client.adopt_registration(now, &adopted(*what));
                self.adopted |= result.is_ok();
                self.note("adopt", result);
            }
            Op::RegistrationChanged(what) => {
                let result = self.client.registration_changed(now, &adopted(*what));
                self.note("changed", result);
            }
            Op::RegistrationLost => {
                let result = self.client.registration_lost(now);
                self.adopted &= result.is_err();
                self.note("lost", result);
            }
            Op::Send(send) => self.send(send),
            Op::Withdraw(n) => {
                let id = pick(&self.sends.keys().copied().collect::<Vec<_>>(), *n);
                let result = self.client.withdraw(now, id.unwrap_or(SendId(0)));
                self.note("withdraw", result);
            }
            Op::Delivered(n) => self.report(*n, ReportKind::Delivery),
            Op::Displayed(n) => self.report(*n, ReportKind::Display),
            Op::Refuse(n, why) => {
                let id = pick(&self.inbox, *n).unwrap_or(IncomingId(0));
                let result = self.client.refuse(now, id, *why);
                if result.is_ok() {
                    // It was not taken, and may come again.
                    self.seen.retain(|(of, ..)| *of != id);
                }
                self.note("refuse", result);
            }
            Op::PublishSettings(settings) => {
                let result = self.client.publish_settings(now, *settings);
                self.set("publish", Some(*settings), result);
            }
            Op::RemoveSettings => {
                let result = self.client.remove_settings(now);
                self.set("remove", None, result);
            }
            Op::Answer(n, secret) => {
                // Mostly the one that waits for the card.
                let id = match self.card {
                    Some((id, _)) if n % 4 > 0 => id,
                    _ => pick(&self.challenges, *n).unwrap_or(ChallengeId(0)),
                };
                let answer = match secret {
                    Secret::Password => Answer::Password(b"secret"),
                    Secret::Ha1 => Answer::Ha1([9; 16]),
                    Secret::Long => Answer::Password(&[b'x'; 3000]),
                    Secret::Abandon => Answer::Abandon,
                    Secret::Res(len) => Answer::Res(&[0; 40][..usize::from(*len) % 40]),
                    Secret::Keys => keys(),
                    Secret::Auts => Answer::Auts([3; 14]),
                    Secret::MacWrong => Answer::MacWrong,
                };
                let result = self.client.answer(now, id, answer);
                self.note("answer", result);
            }
            Op::Offer(how) => self.offer(*how),
            Op::AccessNetwork(n) => {
                let value = ACCESS[usize::from(*n) % ACCESS.len()];
                let result = self.client.access_network(now, value);
                if result.is_ok() {
                    self.access = Some(value).filter(|value| !value.is_empty());
                }
                self.note("access", result);
            }
            Op::NetworkChanged => self.client.network_changed(now),
            Op::WallClock(seconds) => self
                .client
                .wall_clock(now, 1_700_000_000_000 + u64::from(*seconds) * 1000),
            Op::Opened(n) => {
                if let Some(wanted) = pick(&self.opens, *n) {
                    self.opens.retain(|open| open.id != wanted.id);
                    self.open_wanted(&wanted);
                }
            }
            Op::OpenFailed(n, why) => {
                if let Some(Wanted { id, .. }) = pick(&self.opens, *n) {
                    self.opens.retain(|open| open.id != id);
                    self.client.flow_failed(now, id, *why);
                }
            }
            Op::Given(transport) => self.open_plain(Origin::Given(PathId(0)), *transport),
            Op::Accepted(Transport::Tcp) if self.platform.inward().is_some() => {
                if let Some((local, remote)) = self.platform.inward() {
                    let both = Direction::Both;
                    self.open(Origin::Accepted, Transport::Tcp, both, local, remote);
                }
            }
            Op::Accepted(transport) => self.open_plain(Origin::Accepted, *transport),
            Op::Closed(n) => {
                let ids: Vec<_> = self.flows.iter().map(|link| link.id).collect();
                if let Some(id) = pick(&ids, *n) {
                    self.flows.retain(|link| link.id != id);
                    self.client.flow_closed(now, id);
                }
            }
            Op::Serve(extras) => self.serve(None, extras),
            Op::Guard(challenge) => self.serve(Some(*challenge), &[]),
            Op::Pings(n, count) => {
                let ids: Vec<_> = self.flows.iter().map(|link| link.id).collect();
                if let Some(flow) = pick(&ids, *n) {
                    for _ in 0..count % 8 {
                        self.bring(flow, b"\r\n\r\n".to_vec(), Then::Nothing);
                    }
                }
            }
            Op::Respond(n, how) => {
                let all: Vec<_> = self.waiting.iter().cloned().collect();
                if let Some((flow, request)) = pick(&all, *n) {
                    let bytes = text::response(&request, how);
                    self.platform.dealt(&bytes, &how.mangle);
                    self.answer(flow, &request, bytes);
                }
            }
            Op::Demand(n, how) => {
                let all: Vec<_> = self.waiting.iter().cloned().collect();
                if let Some((flow, request)) = pick(&all, *n) {
                    self.demand(flow, &request, how);
                }
            }
            Op::Restore(n) => {
                let other = |(_, sip): &&(FlowId, Sip)| sip.method() != Some("REGISTER");
                let mut all: Vec<_> = self.waiting.iter().filter(other).cloned().collect();
                all.extend(self.waiting.iter().next().cloned());
                if let Some((flow, request)) = pick(&all, *n) {
                    self.cause = Some(Cause::Restore);
                    self.answer(flow, &request, text::restoring(&request));
                }
            }
            Op::Notify(n, what) => {
                self.cause = Some(Cause::Notify);
                self.notify(*n, what);
            }
            Op::Request(n, what) => self.request(*n, what),
            Op::Again => {
                if let Some((flow, bytes)) = self.last.clone() {
                    self.bring(flow, bytes, Then::Nothing);
                }
            }
            Op::Bytes(n, bytes) => {
                let ids: Vec<_> = self.flows.iter().map(|link| link.id).collect();
                let flow = pick(&ids, *n).unwrap_or(FlowId(999));
                self.bring(flow, bytes.clone(), Then::Nothing);
            }
            Op::Wait(Wait::Deadlines(n)) => {
                for _ in 0..n % 16 {
                    self.now = self.deadline.unwrap_or(self.now).max(self.now);
                    self.client.timeout(self.now);
                    self.drain();
                }
            }
            Op::Wait(wait) => {
                self.now = match wait {
                    Wait::Deadline => self.deadline.unwrap_or(now).max(now),
                    Wait::Millis(n) => now.after(u64::from(*n)),
                    Wait::Quarters(n) => now.after(u64::from(*n) * 250),
                    Wait::Minutes(n) => now.after(u64::from(*n) * 60_000),
                    Wait::Back(_) | Wait::Not | Wait::Deadlines(_) => now,
                };
                let told = match wait {
                    Wait::Back(n) => Instant::from_millis(now.as_millis() - u64::from(*n)),
                    _ => self.now,
                };
                self.client.timeout(told);
            }
            Op::Hold(n) => self.hold = n % 8,
            Op::Short(n) => self.short = Some(*n),
        }
    }

    fn note<T: std::fmt::Debug>(&mut self, what: &str, result: Result<T, CommandError>) {
        let _ = writeln!(
            self.transcript,
            "{} {what} {result:?}",
            self.now.as_millis()
        );
    }

    fn set(
        &mut self,
        what: &str,
        settings: Option<Settings>,
        result: Result<SettingsId, CommandError>,
    ) {
        if let Ok(id) = result {
            let new = self.settings.insert(id, settings);
            assert_eq!(new, None, "{id:?} was given before");
        }
        self.note(what, result);
    }

    fn send(&mut self, send: &Send) {
        let body = vec![b'm'; usize::from(send.body % if send.body < 16_384 { 1500 } else { 150 })];
        let mut message = Outgoing {
            body: &body,
            identity: [
                None,
                None,
                Some("tel:+15551230001"),
                Some("sip:eve@example.com"),
            ][usize::from(send.identity % 4)],
            display_name: [None, None, Some("A, \\ \"B\""), Some("bad\r\nX: y")]
                [usize::from(send.display_name % 4)],
            anonymity: send.anonymity,
            wrap: send.wrap,
            subject: [None, None, Some("Lunch"), Some("two\nlines")][usize::from(send.subject % 4)],
            expires: send.expires.map(u32::from),
            ..Outgoing::text(text::target(send.to), "")
        };
        message.reports = send.reports.unwrap_or(Notifications::NONE);
        let result = self.client.send_message(self.now, &message);
        if let Ok(id) = result {
            let new = self.sends.insert(id, Outcome::Open);
            assert_eq!(new, None, "{id:?} was given before");
        }
        self.note("send", result);
    }

    fn report(&mut self, n: u8, kind: ReportKind) {
        let id = pick(&self.inbox, n).unwrap_or(IncomingId(0));
        let result = match kind {
            ReportKind::Delivery => self.client.delivered(self.now, id),
            ReportKind::Display => self.client.displayed(self.now, id),
        };
        if result.is_ok() {
            assert!(self.reports.insert((id, kind)), "{id:?} {kind:?} twice");
        }
        self.note("report", result);
    }

    fn request(&mut self, n: u8, what: &Request) {
        let ids: Vec<_> = self.flows.iter().map(|l| (l.id, l.transport)).collect();
        let (flow, transport) = pick(&ids, n).unwrap_or((FlowId(999), Transport::Udp));
        let bytes = text::request(what, transport.via(), &self.sent_ids);
        self.bring(flow, bytes, what.then);
    }

    /// Gives bytes to the client as a driver does.
    fn bring(&mut self, flow: FlowId, bytes: Vec<u8>, then: Then) {
        self.last = Some((flow, bytes.clone()));
        let link = self.flows.iter_mut().find(|link| link.id == flow);
        let stream = link.filter(|link| link.transport.is_stream());
        let Some(link) = stream else {
            let consumed = self.present(flow, &bytes, then);
            assert_eq!(consumed, Some(bytes.len()), "a datagram is taken whole");
            return;
        };
        link.unread.extend_from_slice(&bytes);
        let mut unread = core::mem::take(&mut link.unread);
        while !unread.is_empty() {
            let Some(consumed) = self.present(flow, &unread, then) else {
                assert!(unread.len() <= STREAM_BUFFER, "waits for more than fits");
                break;
            };
            assert!(consumed > 0, "no progress");
            unread.drain(..consumed);
        }
        if let Some(link) = self.flows.iter_mut().find(|link| link.id == flow) {
            link.unread = unread;
        }
    }

    /// One `receive`; drains and repeats it where the client asks for that. `None`: more is needed.
    fn present(&mut self, flow: FlowId, bytes: &[u8], then: Then) -> Option<usize> {
        for _ in 0..2 {
            let received = self.client.receive(self.now, flow, bytes);
            assert!(received.consumed <= bytes.len());
            match received.item {
                Item::Later => {
                    assert_eq!(received.consumed, 0);
                    self.drain();
                    continue;
                }
                Item::More => {
                    assert_eq!(received.consumed, 0);
                    return None;
                }
                Item::Nothing | Item::Broken => {}
                Item::Message(message) => {
                    if self.protected(flow) {
                        *self.reached.entry("a message came protected").or_default() += 1;
                    }
                    let _ = writeln!(self.transcript, "{message:?}");
                    let sender = message.asserted.unwrap_or(message.from).to_vec();
                    if let Some(id) = message.message_id {
                        let before =
                            |(_, of, known): &(_, Vec<u8>, Vec<u8>)| *of == sender && known == id;
                        assert!(!self.seen.iter().any(before), "{id:?} came before");
                        if !matches!(then, Then::Refuse(_)) {
                            self.seen.push_back((message.id, sender, id.to_vec()));
                        }
                        if self.seen.len() > REMEMBERED {
                            self.seen.pop_front();
                        }
                    }
                    let id = message.id;
                    self.inbox.push(id);
                    match then {
                        Then::Nothing => {}
                        Then::Delivered => {
                            let n = u8::try_from(self.inbox.len() - 1).unwrap_or(0);
                            if self.inbox.get(usize::from(n)) == Some(&id) {
                                self.report(n, ReportKind::Delivery);
                            }
                        }
                        Then::Refuse(why) => {
                            let result = self.client.refuse(self.now, id, why);
                            self.note("refuse", result);
                        }
                    }
                }
            }
            return Some(received.consumed);
        }
        panic!("a drained client takes bytes");
    }

    /// Drains to `Idle` and checks the deadline.
    fn drain(&mut self) {
        self.polls();
        if self.deadline.is_some_and(|at| at <= self.now) {
            self.client.timeout(self.now);
            self.polls();
            let late = self.deadline.filter(|at| *at <= self.now);
            assert_eq!(late, None, "in the past twice, now {:?}", self.now);
        }
        self.platform.check(self.now, &self.flows);
        let stats = self.client.stats();
        assert_eq!(stats.events_lost, 0);
        // While it is away it is not told that their time is over.
        let settings = self.client.settings();
        assert!(
            settings.is_none() || settings == self.in_effect,
            "{settings:?}, told {:?}",
            self.in_effect
        );
    }

    fn polls(&mut self) {
        let mut out = [0; 1500];
        if let Some(size) = self.short.take()
            && !self.poll(&mut out[..usize::from(size) % 32])
        {
            return;
        }
        for _ in 0..POLLS {
            if !self.poll(&mut out) {
                return;
            }
        }
        panic!("a drain does not end");
    }

    /// One poll; `false` at the end of the drain.
    fn poll(&mut self, out: &mut [u8]) -> bool {
        let size = out.len();
        let output = self.client.poll_output(out);
        let _ = match &output {
            Output::Transmit { flow, bytes } => {
                let text = String::from_utf8_lossy(bytes);
                writeln!(self.transcript, "{flow:?} {text}")
            }
            other => writeln!(self.transcript, "{other:?}"),
        };
        match output {
            Output::Transmit { flow, bytes } => {
                let link = self.flows.iter().find(|link| link.id == flow);
                let link = link.unwrap_or_else(|| panic!("{flow:?} is not open"));
                assert_ne!(link.direction, Direction::In, "{flow:?} is one-way");
                if let Some(sip) = sent(bytes, link.transport) {
                    self.sent(flow, sip);
                }
            }
            Output::Open(open) => {
                let wanted = Wanted {
                    id: open.id,
                    transport: open.transport,
                    direction: match (open.purpose, open.transport) {
                        (Purpose::Protected, Transport::Udp) => Direction::Out,
                        (Purpose::ProtectedIn, _) => Direction::In,
                        _ => Direction::Both,
                    },
                    local_port: open.local_port,
                    remote: open.remote,
                };
                let through = open.local_port.zip(open.remote);
                let set = through.and_then(|(local, remote)| self.platform.through(local, remote));
                assert_eq!(set.is_some(), through.is_some(), "{open:?} without a set");
                if matches!(open.purpose, Purpose::Protected | Purpose::ProtectedIn) {
                    assert!(set.is_some(), "{open:?} is not protected");
                }
                self.opens.push(wanted);
            }
            Output::Close { flow, .. } => self.flows.retain(|link| link.id != flow),
            Output::Event(event) => {
                let told = event_of(&event);
                self.happened(told);
            }
            Output::TooSmall { needed } => {
                assert!(needed > size, "{needed} bytes are there");
                assert!(size < 1500, "1500 bytes are always enough");
            }
            Output::Idle(deadline) => {
                self.deadline = deadline.map(|deadline| deadline.at);
                return false;
            }
        }
        true
    }

    /// Lets everything end and checks that it does.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn finish(&mut self) {
        self.hold = 0;
        self.drain();
        let result = self.client.deregister(self.now);
        self.note("deregister", result);
        self.drain();
        // De-registration is bounded in time (2 s).
        let leaving = self.now.after(2_000);
        while let Some(at) = self.deadline.filter(|at| *at <= leaving) {
            self.now = at;
            self.client.timeout(at);
            self.drain();
        }
        // What was given by the platform or accepted is nobody's but the driver's to close.
        while let Some(link) = self.flows.pop() {
            self.client.flow_closed(self.now, link.id);
            self.drain();
        }
        for _ in 0..2_000 {
            for Wanted { id, .. } in core::mem::take(&mut self.opens) {
                let why = OpenFailure::NoMoreCandidates;
                self.client.flow_failed(self.now, id, why);
                self.drain();
            }
            let Some(at) = self.deadline else { break };
            self.now = self.now.max(at);
            self.client.timeout(self.now);
            self.drain();
        }
        assert_eq!(self.deadline, None, "it does not come to rest");
        let open = self.sends.iter().find(|(_, o)| **o == Outcome::Open);
        assert_eq!(open, None, "a message without outcome");
        let report = self.reports.iter().next();
        assert_eq!(report, None, "a report without end");
        let command = self.settings.iter().next();
        assert_eq!(command, None, "settings without end");
        assert!(self.platform.is_bare(), "a set is not deleted");
        let usage = self.client.usage();
        assert_eq!((usage.transactions, usage.requests), (0, 0), "{usage:?}");
        let holders = self.client.audit();
        let rest = Holders {
            registration: 1 + usize::from(self.access.is_some()),
            secret: holders.secret,
            requests: 0,
            answers: 0,
            tickets: holders.tickets,
        };
        assert_eq!(holders, rest, "an idle client holds its account alone");
    }
}

/// What came before a panic is printed.
impl<S> Drop for Run<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let at = self.transcript.len().saturating_sub(20_000);
            let tail = self.transcript.get(at..).unwrap_or(&self.transcript);
            std::eprintln!("… {tail}");
        }
    }
}

fn adopted(what: Adopt) -> Adopted<'static> {
    let routes = "<sip:orig@proxy.example.com;lr>";
    let identities = "<sip:alice@example.com>, <tel:+15551230001>";
    match what {
        Adopt::Nothing => Adopted::default(),
        Adopt::Routes => Adopted {
            service_route: routes,
            associated: "",
        },
        Adopt::Identities => Adopted {
            service_route: "",
            associated: identities,
        },
        Adopt::Both => Adopted {
            service_route: routes,
            associated: identities,
        },
        Adopt::ControlCharacter => Adopted {
            service_route: "a\r\nb",
            associated: "",
        },
    }
}

fn pick<T: Clone>(list: &[T], n: u8) -> Option<T> {
    list.get(usize::from(n) % list.len().max(1)).cloned()
}

//! A client as a host of the virtual network.
//!
//! [`Phone`] is a driver like any other: it opens what the client asks for, carries bytes, calls
//! `timeout`, and keeps what happened as owned values for tests to look at. It holds the client to
//! its contract while it does so: a drain has to end, and a deadline may not lie in the past twice.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::prelude::rust_2024::*;
use std::{format, vec};

use super::log::{ConnId, Transport as LogTransport};
use super::net::{CloseWhy, ConnectFailure, Delivery, Network, Side};
use crate::client::{
    Client, Direction, Event, FlowInfo, IncomingMessage, Item, OpenFailure, Origin, Output,
    Purpose, Refusal, RegistrationChange, ReportOutcome, SendOutcome, SettingsChange,
    SettingsOutcome, TextCheck, Trust, Validity, Verified, Wake, Wanted, Watch, WatchChange,
};
use crate::config::{Config, Transport};
use crate::error::{ConfigError, Failure};
use crate::id::{ChallengeId, FlowId, IncomingId, OpenId, PathId, SendId, SettingsId};
use crate::im::imdn::ReportKind;
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::imdn::Disposition;

/// An event of a client, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Registered, with the associated identities.
    Registered {
        /// The path.
        path: PathId,
        /// Seconds granted.
        expires: u32,
        /// P-Associated-URI.
        associated: String,
    },
    /// Refreshed.
    Refreshed {
        /// The path.
        path: PathId,
        /// Seconds granted.
        expires: u32,
    },
    /// The registration was lost.
    Lost(PathId),
    /// An attempt failed and will be repeated.
    Retrying {
        /// What failed.
        failure: Failure,
        /// When.
        retry_at: Instant,
    },
    /// It failed for good.
    Failed(Failure),
    /// De-registered.
    Deregistered,
    /// The outcome of a message.
    Sent(SendId, SendOutcome),
    /// A report.
    Report {
        /// The message.
        id: Option<SendId>,
        /// Its Message-ID.
        message_id: String,
        /// Who.
        recipient: String,
        /// What.
        disposition: Disposition,
        /// Whence.
        trusted: Trust,
    },
    /// A report window closed.
    WindowClosed(SendId),
    /// The end of a report of ours.
    ReportSent(IncomingId, ReportKind, ReportOutcome),
    /// The end of a command on the settings.
    SettingsDone(SettingsId, SettingsOutcome),
    /// The settings changed by themselves.
    Settings(SettingsChange),
    /// Deferred messages have to be retrieved.
    RetrieveDeferred,
    /// A subscription of its own changed.
    Watch(Watch, WatchChange),
    /// A challenge to be answered.
    Challenge {
        /// Its id.
        id: ChallengeId,
        /// The realm.
        realm: String,
    },
    /// Our address from outside.
    Mapped(SocketAddr),
    /// The owner of the registration has to add this tag.
    OwnerMustRegister(String),
}

/// A message that came in, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in `IncomingMessage`.
pub struct Incoming {
    pub at: Instant,
    pub id: IncomingId,
    pub asserted: Option<String>,
    pub from: String,
    pub display: Option<String>,
    pub cpim_from: Option<String>,
    pub called: String,
    pub subject: Option<String>,
    pub content_type: String,
    pub body: Vec<u8>,
    pub message_id: Option<String>,
    pub sent_at: Option<u64>,
    pub validity: Validity,
    pub text: TextCheck,
    pub wants: Wanted,
    pub trust: Trust,
}

impl Incoming {
    /// The message that came at this time.
    pub fn of(at: Instant, message: &IncomingMessage<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            at,
            id: message.id,
            asserted: message.asserted.map(text),
            from: text(message.from),
            display: message.display.map(text),
            cpim_from: message.cpim_from.map(text),
            called: text(message.called),
            subject: message.subject.map(text),
            content_type: text(message.content_type),
            body: message.body.to_vec(),
            message_id: message.message_id.map(text),
            sent_at: message.sent_at,
            validity: message.validity,
            text: message.text,
            wants: message.wants,
            trust: message.trust,
        }
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What the application behind a phone does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// It keeps it and says so.
    Keep,
    /// It keeps it, says so, and shows it to the user at once.
    Show,
    /// It keeps it and says nothing.
    Silent,
    /// It refuses it.
    Refuse(Refusal),
}

enum Link {
    Datagram {
        local: SocketAddr,
        remote: SocketAddr,
    },
    Stream {
        conn: ConnId,
        unread: Vec<u8>,
    },
}

/// A client, its sockets and its application.
pub struct Phone<S> {
    /// The client; after calling it by hand, call [`Phone::drain`].
    pub client: Client<S>,
    /// The name on the ladder.
    pub name: String,
    /// What it does with messages.
    pub habit: Habit,
    /// Addresses by host name, in the order of the resolver.
    pub hosts: BTreeMap<String, Vec<SocketAddr>>,
    /// Everything that happened.
    pub events: Vec<Happened>,
    /// Messages that came in.
    pub inbox: Vec<Incoming>,
    /// Refuses to open flows of this transport.
    pub refuse: Option<Transport>,
    address: IpAddr,
    port: u16,
    links: BTreeMap<u32, Link>,
    opening: BTreeMap<ConnId, (OpenId, Transport)>,
    next_flow: u32,
    deadline: Option<Instant>,
    overdue: u32,
    out: Vec<u8>,
}

impl<S: Storage> Phone<S> {
    /// A phone at `address`, not registered.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn new(
        net: &mut Network,
        name: &str,
        address: IpAddr,
        config: &Config<'_>,
        storage: S,
        seed: [u8; 32],
    ) -> Result<Self, ConfigError> {
        net.add_host(name, address);
        Ok(Self {
            client: Client::new(config, storage, seed)?,
            name: name.into(),
            habit: Habit::Keep,
            hosts: BTreeMap::new(),
            events: Vec::new(),
            inbox: Vec::new(),
            refuse: None,
            address,
            port: 5060,
            links: BTreeMap::new(),
            opening: BTreeMap::new(),
            next_flow: 0,
            deadline: None,
            overdue: 0,
            out: vec![0; 4096],
        })
    }

    /// When [`Phone::timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Open flows.
    pub fn flows(&self) -> usize {
        self.links.len()
    }

    /// The local address of each datagram flow.
    pub fn locals(&self) -> Vec<SocketAddr> {
        let local = |link: &Link| match link {
            Link::Datagram { local, .. } => Some(*local),
            Link::Stream { .. } => None,
        };
        self.links.values().filter_map(local).collect()
    }

    /// The device has another address now, and tells its client.
    pub fn moved(&mut self, net: &mut Network, address: IpAddr) {
        net.move_host(&self.name, address);
        self.address = address;
        let now = net.now();
        self.client.network_changed(now);
        self.drain(net);
    }

    /// The deadline is there.
    pub fn timeout(&mut self, net: &mut Network) {
        let now = net.now();
        self.client.timeout(now);
        self.drain(net);
        if self.deadline.is_some_and(|at| at <= now) {
            self.overdue += 1;
            assert!(
                self.overdue < 2,
                "{}: the deadline lies in the past twice",
                self.name
            );
        } else {
            self.overdue = 0;
        }
    }

    /// Gives the client what arrived, if it is for it; says whether it was.
    pub fn handle(&mut self, net: &mut Network, delivery: &Delivery) -> bool {
        let now = net.now();
        match delivery {
            Delivery::Datagram { to, from, bytes } => {
                let of = |link: &Link| matches!(link, Link::Datagram { local, remote } if local == to && remote == from);
                if to.ip() != self.address {
                    return false;
                }
                let flow = self
                    .links
                    .iter()
                    .find(|(_, link)| of(link))
                    .map(|(id, _)| *id);
                if let Some(flow) = flow {
                    self.receive(net, FlowId(flow), bytes);
                    self.drain(net);
                }
                true
            }
            Delivery::Connected {
                conn,
                local,
                remote,
            } => {
                let Some((open, transport)) = self.opening.remove(conn) else {
                    return false;
                };
                let flow = self.new_flow();
                self.links.insert(
                    flow.0,
                    Link::Stream {
                        conn: *conn,
                        unread: Vec::new(),
                    },
                );
                let info = FlowInfo {
                    origin: Origin::Asked(open),
                    transport,
                    local: *local,
                    remote: *remote,
                    verified: if transport == Transport::Tls {
                        Verified::Yes
                    } else {
                        Verified::No
                    },
                    direction: Direction::Both,
                };
                self.client.flow_opened(now, flow, &info);
                self.drain(net);
                true
            }
            Delivery::ConnectFailed { conn, why } => {
                let Some((open, _)) = self.opening.remove(conn) else {
                    return false;
                };
                let why = match why {
                    ConnectFailure::Refused => OpenFailure::Refused,
                    ConnectFailure::Unreachable => OpenFailure::Unreachable,
                    ConnectFailure::TimedOut => OpenFailure::TimedOut,
                };
                self.client.flow_failed(now, open, why);
                self.drain(net);
                true
            }
            Delivery::Stream {
                conn,
                side: Side::Client,
                bytes,
            } => {
                let of = |link: &Link| matches!(link, Link::Stream { conn: of, .. } if of == conn);
                let flow = self
                    .links
                    .iter()
                    .find(|(_, link)| of(link))
                    .map(|(id, _)| *id);
                let Some(flow) = flow else { return false };
                self.stream(net, FlowId(flow), bytes);
                true
            }
            Delivery::Closed {
                conn,
                side: Side::Client,
                why,
            } => {
                let of = |link: &Link| matches!(link, Link::Stream { conn: of, .. } if of == conn);
                let flow = self
                    .links
                    .iter()
                    .find(|(_, link)| of(link))
                    .map(|(id, _)| *id);
                let Some(flow) = flow else { return false };
                let (CloseWhy::Orderly | CloseWhy::Reset) = why;
                self.links.remove(&flow);
                self.client.flow_closed(now, FlowId(flow));
                self.drain(net);
                true
            }
            Delivery::Accepted { .. } | Delivery::Stream { .. } | Delivery::Closed { .. } => false,
        }
    }

    /// Bytes of a stream: presented again with more behind them until they are consumed.
    fn stream(&mut self, net: &mut Network, flow: FlowId, bytes: &[u8]) {
        let Some(Link::Stream { unread, .. }) = self.links.get_mut(&flow.0) else {
            return;
        };
        let mut unread = std::mem::take(unread);
        unread.extend_from_slice(bytes);
        loop {
            let consumed = self.receive(net, flow, &unread);
            unread.drain(..consumed);
            self.drain(net);
            if consumed == 0 || unread.is_empty() {
                break;
            }
        }
        if let Some(Link::Stream { unread: place, .. }) = self.links.get_mut(&flow.0) {
            *place = unread;
        }
    }

    /// One call of `receive` and what the application does with the item.
    fn receive(&mut self, net: &mut Network, flow: FlowId, bytes: &[u8]) -> usize {
        let now = net.now();
        let mut received = self.client.receive(now, flow, bytes);
        for _ in 0..2 {
            if received.item != Item::Later {
                break;
            }
            self.drain(net);
            received = self.client.receive(now, flow, bytes);
        }
        if let Item::Message(message) = received.item {
            self.keep(net, &message);
        }
        received.consumed
    }

    fn keep(&mut self, net: &mut Network, message: &IncomingMessage<'_>) {
        let now = net.now();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if let Habit::Refuse(why) = self.habit {
            net.note(&self.name, format!("refuses: {why:?}"));
            self.client
                .refuse(now, message.id, why)
                .expect("it was just handed out");
            return;
        }
        net.note(&self.name, format!("has {:?}", text(message.body)));
        self.inbox.push(Incoming::of(now, message));
        // One mutation, then a drain: what it is told of the message comes after that.
        let (id, wants) = (message.id, message.wants);
        self.drain(net);
        if self.habit != Habit::Silent && wants.delivery == crate::client::Want::Yes {
            // An automatic report may have been first.
            let _ = self.client.delivered(now, id);
            self.drain(net);
        }
        if self.habit == Habit::Show && wants.display == crate::client::Want::Yes {
            let _ = self.client.displayed(now, id);
            self.drain(net);
        }
    }

    fn new_flow(&mut self) -> FlowId {
        self.next_flow += 1;
        FlowId(self.next_flow)
    }

    /// Does what the client wants until it is idle.
    pub fn drain(&mut self, net: &mut Network) {
        let mut out = std::mem::take(&mut self.out);
        let mut polls = 0;
        loop {
            polls += 1;
            assert!(polls < 10_000, "{}: the drain does not end", self.name);
            let now = net.now();
            match self.client.poll_output(&mut out) {
                Output::Transmit { flow, bytes } => match self.links.get(&flow.0) {
                    Some(Link::Datagram { local, remote }) => {
                        net.send_datagram(*local, *remote, bytes);
                    }
                    Some(Link::Stream { conn, .. }) => net.send_stream(*conn, Side::Client, bytes),
                    None => core::panic!("{}: sends on {flow:?}, which is not open", self.name),
                },
                Output::Open(open) => {
                    let (id, transport, attempt) = (open.id, open.transport, open.attempt);
                    let purpose = open.purpose;
                    let list = self.hosts.get(open.host).cloned().unwrap_or_default();
                    let remote = list.get(usize::from(attempt)).copied();
                    self.open(net, id, transport, purpose, remote, now);
                }
                Output::Close { flow, .. } => {
                    if let Some(Link::Stream { conn, .. }) = self.links.remove(&flow.0) {
                        net.close(conn, Side::Client);
                    }
                }
                Output::Event(event) => {
                    let happened = Happened::from(event);
                    net.note(&self.name, note(&happened));
                    self.events.push(happened);
                }
                Output::TooSmall { needed } => out.resize(needed, 0),
                Output::Idle(deadline) => {
                    self.deadline = deadline.map(|deadline| {
                        let (Wake::Transaction
                        | Wake::Registration
                        | Wake::KeepAlive
                        | Wake::Reports
                        | Wake::Challenge
                        | Wake::Settings
                        | Wake::Watch) = deadline.why;
                        deadline.at
                    });
                    break;
                }
            }
        }
        self.out = out;
    }

    fn open(
        &mut self,
        net: &mut Network,
        id: OpenId,
        transport: Transport,
        purpose: Purpose,
        remote: Option<SocketAddr>,
        now: Instant,
    ) {
        let Some(remote) = remote else {
            let why = match purpose {
                Purpose::Main => OpenFailure::NoMoreCandidates,
                Purpose::LongRequests => OpenFailure::Unreachable,
            };
            return self.client.flow_failed(now, id, why);
        };
        if self.refuse == Some(transport) {
            return self.client.flow_failed(now, id, OpenFailure::Refused);
        }
        match transport {
            Transport::Udp => {
                let local = SocketAddr::new(self.address, self.port);
                self.port += 2;
                let flow = self.new_flow();
                self.links.insert(flow.0, Link::Datagram { local, remote });
                let info = FlowInfo {
                    origin: Origin::Asked(id),
                    transport,
                    local,
                    remote,
                    verified: Verified::No,
                    direction: Direction::Both,
                };
                self.client.flow_opened(now, flow, &info);
            }
            Transport::Tcp | Transport::Tls => {
                let kind = match transport {
                    Transport::Tls => LogTransport::Tls,
                    Transport::Udp | Transport::Tcp => LogTransport::Tcp,
                };
                let conn = net.connect(SocketAddr::new(self.address, 0), remote, kind);
                self.opening.insert(conn, (id, transport));
            }
        }
    }
}

impl From<Event<'_>> for Happened {
    fn from(event: Event<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match event {
            Event::Registration { path, change } => match change {
                RegistrationChange::Registered {
                    expires,
                    associated,
                } => Happened::Registered {
                    path,
                    expires,
                    associated: text(associated),
                },
                RegistrationChange::Refreshed { expires } => Happened::Refreshed { path, expires },
                RegistrationChange::Lost => Happened::Lost(path),
                RegistrationChange::Retrying { failure, retry_at } => {
                    Happened::Retrying { failure, retry_at }
                }
                RegistrationChange::Failed(failure) => Happened::Failed(failure),
            },
            Event::Deregistered => Happened::Deregistered,
            Event::Sent { id, outcome } => Happened::Sent(id, outcome),
            Event::Report(report) => Happened::Report {
                id: report.id,
                message_id: text(report.message_id),
                recipient: text(report.recipient),
                disposition: report.disposition,
                trusted: report.trusted,
            },
            Event::ReportWindowClosed { id } => Happened::WindowClosed(id),
            Event::ReportSent { id, kind, outcome } => Happened::ReportSent(id, kind, outcome),
            Event::SettingsDone { id, outcome } => Happened::SettingsDone(id, outcome),
            Event::Settings(change) => Happened::Settings(change),
            Event::RetrieveDeferred => Happened::RetrieveDeferred,
            Event::Watch { watch, change } => Happened::Watch(watch, change),
            Event::Challenge { id, realm, .. } => Happened::Challenge {
                id,
                realm: text(realm),
            },
            Event::Mapped { address, .. } => Happened::Mapped(address),
            Event::OwnerMustRegister { feature_tag } => {
                Happened::OwnerMustRegister(feature_tag.into())
            }
        }
    }
}

/// The note on the ladder.
fn note(happened: &Happened) -> String {
    match happened {
        Happened::Registered { expires, .. } => format!("registered for {expires} s"),
        Happened::Refreshed { expires, .. } => format!("refreshed for {expires} s"),
        Happened::Lost(_) => "registration lost".into(),
        Happened::Retrying { failure, retry_at } => {
            format!("{failure}; again at {} ms", retry_at.as_millis())
        }
        Happened::Failed(failure) => format!("registration failed: {failure}"),
        Happened::Deregistered => "deregistered".into(),
        Happened::Sent(id, outcome) => match outcome {
            SendOutcome::Delivered { status } => format!("message {} delivered ({status})", id.0),
            SendOutcome::Accepted => format!("message {} accepted (202)", id.0),
            SendOutcome::Withdrawn => format!("message {} withdrawn", id.0),
            SendOutcome::Failed(failure) => format!("message {} failed: {failure}", id.0),
        },
        Happened::Report {
            id, disposition, ..
        } => {
            let id = id.map_or("?".into(), |id| format!("{}", id.0));
            format!("report on message {id}: {}", disposition.status())
        }
        Happened::WindowClosed(id) => format!("no more reports on message {}", id.0),
        Happened::ReportSent(_, kind, outcome) => format!("{kind:?} report: {outcome:?}"),
        Happened::SettingsDone(id, outcome) => match outcome {
            SettingsOutcome::InEffect { expires, .. } => {
                format!("settings {} in effect for {expires} s", id.0)
            }
            SettingsOutcome::Removed => format!("settings removed by {}", id.0),
            SettingsOutcome::RunsOut { expires } => {
                format!("settings run out in {expires} s (command {})", id.0)
            }
            SettingsOutcome::Superseded => format!("settings {} superseded", id.0),
            SettingsOutcome::Withdrawn => format!("settings {} withdrawn", id.0),
            SettingsOutcome::Failed(failure) => format!("settings {} failed: {failure}", id.0),
        },
        Happened::Settings(change) => match change {
            SettingsChange::InEffect { expires, .. } => {
                format!("settings in effect for {expires} s")
            }
            SettingsChange::Elsewhere { .. } => "settings of another device".into(),
            SettingsChange::Lost => "settings lost".into(),
            SettingsChange::Retrying { failure, retry_at } => {
                format!("settings: {failure}; again at {} ms", retry_at.as_millis())
            }
            SettingsChange::GivenUp(failure) => format!("settings given up: {failure}"),
        },
        Happened::RetrieveDeferred => "deferred messages have to be retrieved".into(),
        Happened::Watch(watch, change) => match change {
            WatchChange::Active => format!("watches {watch:?}"),
            WatchChange::Pending => format!("may not watch {watch:?} yet"),
            WatchChange::Failing(failure) => format!("watches {watch:?}, refresh: {failure}"),
            WatchChange::Ended { failure, .. } => format!("watches {watch:?} no more: {failure}"),
        },
        Happened::Challenge { realm, .. } => format!("asked for the secret of {realm}"),
        Happened::Mapped(address) => format!("seen at {address}"),
        Happened::OwnerMustRegister(tag) => format!("needs {tag} in the registration"),
    }
}

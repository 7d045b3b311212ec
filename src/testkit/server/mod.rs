//! A scripted IM server: registrar, digest, MESSAGE routing, store-and-forward, and whatever goes wrong with them.
//!
//! It is an oracle, so it shares no code with the client it plays against, and it is sans-IO like the client: bytes and
//! clock readings go in with [`ImServer::receive`] and [`ImServer::timeout`], and [`ImServer::poll_output`] gives what to
//! send. So it lives behind the virtual network ([`ServerHost`] couples the two) as well as behind real sockets.
//!
//! A request passes these stations, in this order:
//!
//! 1. Via gets `received` and `rport` (RFC 3581 §4) and `keep=` (RFC 6223 §4.4). A retransmission gets the
//!    answer that was given before.
//! 2. The first [`Rule`] that matches may answer, stay silent, wait, hang up or ask for credentials again.
//! 3. On an IMS core the path is checked ([`Ims`]), in front of the rules, and REGISTER is authenticated by AKA. Else
//!    REGISTER and MESSAGE need digest credentials, as [`Config::register_auth`] and [`Config::request_auth`] say.
//! 4. REGISTER goes to the registrar, OPTIONS for the server is answered, MESSAGE is routed: to each binding of the user, with
//!    retransmissions on UDP; to the members of a group (202); into the store if the user is away (202), until the next REGISTER.
//!    PUBLISH goes to the event state compositor, SUBSCRIBE to the notifier. Other methods get 405.
//!
//! What it does and why comes out as [`Output::Note`], for the ladder.

mod aka;
mod auth;
mod config;
mod gruu;
mod hop;
mod host;
mod ims;
mod notify;
mod publish;
mod reginfo;
mod registrar;
mod routing;
mod script;

use std::collections::{BTreeMap, VecDeque};
use std::format;
use std::net::SocketAddr;
use std::prelude::rust_2024::*;

pub use self::aka::{AkaAlgorithm, Vector};
pub use self::auth::{Algorithm, Challenge, ChallengeHeader, Info, Qop};
pub use self::config::{Config, Feature, User};
pub use self::host::ServerHost;
pub use self::ims::{Association, Ims, Offer, Refresh, Stage};
pub use self::notify::{Approval, FirstNotify, Notify, Subscription};
pub use self::publish::{Package, Publication, Source};
pub use self::reginfo::{Changes, Removal};
pub use self::registrar::{Binding, Outbound};
pub use self::script::{Answer, Edit, Rule, Then};

use self::auth::{Nonces, Verdict};
use self::gruu::TemporaryGruu;
use self::hop::sent_by_port;
use self::ims::Gate;
use self::registrar::{Change, ContactEvent};
use self::routing::{Attempt, Fork, Stored};
use super::log::Transport;
use super::rng::Rng;
use super::sip::{self, Piece, Sip};
use crate::time::Instant;

/// RFC 3261 §17.1.1.1: T1 and T2 of the server's own retransmissions.
const T1_MS: u64 = 500;
const T2_MS: u64 = 4_000;
/// How long answers are kept for retransmissions on UDP (RFC 3261 §17.2.2, Timer J).
const TIMER_J_MS: u64 = 64 * T1_MS;
/// The methods it serves.
const ALLOW: &str = "REGISTER, MESSAGE, OPTIONS, PUBLISH, SUBSCRIBE";

/// Where bytes came from and where answers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The address as the server sees it.
    pub address: SocketAddr,
    /// What carries the bytes.
    pub transport: Transport,
    /// The caller's name for the connection, on streams. Never reuse one.
    pub conn: Option<u64>,
    /// The port of the server, if it is another one than that of its address: protected paths of an IMS core.
    pub local_port: Option<u16>,
}

impl Remote {
    /// Somebody who sends datagrams.
    pub fn udp(address: SocketAddr) -> Self {
        Self {
            address,
            transport: Transport::Udp,
            conn: None,
            local_port: None,
        }
    }

    /// The other end of a connection.
    pub fn stream(address: SocketAddr, transport: Transport, conn: u64) -> Self {
        Self {
            address,
            transport,
            conn: Some(conn),
            local_port: None,
        }
    }

    /// The same, by another port of the server.
    #[must_use]
    pub fn at_port(mut self, port: u16) -> Self {
        self.local_port = Some(port);
        self
    }
}

/// What the server wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes.
    Send {
        /// Where to.
        to: Remote,
        /// One SIP message or keep-alive.
        bytes: Vec<u8>,
    },
    /// Close this connection.
    Close {
        /// Which.
        to: Remote,
    },
    /// Something worth a line in the ladder.
    Note(String),
}

/// A transaction as the server sees it: branch, sent-by and method (RFC 3261 §17.2.3).
type Key = (String, String, String);

/// A request under way to its answer.
struct Incoming {
    key: Key,
    from: Remote,
    sip: Sip,
    /// The security association it came over.
    association: Option<u16>,
}

/// Nothing is left to be done about a request.
struct Answered;

/// What is kept of a request that came in.
struct Served {
    from: Remote,
    /// Given once the answer is.
    answer: Option<(Remote, Vec<u8>)>,
    edit: Option<Edit>,
    /// Whether the answer goes out.
    answering: Feature,
    /// Authentication-Info and the like, for a 2xx.
    info: Vec<(String, String)>,
    until: Instant,
}

/// The scripted IM server.
pub struct ImServer {
    /// How it behaves; may be changed at any time.
    pub config: Config,
    rng: Rng,
    users: Vec<User>,
    groups: BTreeMap<String, Vec<String>>,
    rules: Vec<Rule>,
    nonces: Nonces,
    bindings: Vec<Binding>,
    temporary_gruus: Vec<TemporaryGruu>,
    stored: Vec<Stored>,
    publications: Vec<Publication>,
    subscriptions: Vec<Subscription>,
    violations: Vec<String>,
    vectors: BTreeMap<String, Vec<Vector>>,
    associations: Vec<Association>,
    next_association: u16,
    synchronisations: Vec<(String, Vec<u8>)>,
    streams: BTreeMap<u64, Vec<u8>>,
    served: BTreeMap<Key, Served>,
    delayed: Vec<(Instant, Incoming)>,
    attempts: Vec<Attempt>,
    forks: BTreeMap<u64, Fork>,
    next_fork: u64,
    answers: Vec<(String, u16)>,
    out: VecDeque<Output>,
}

impl ImServer {
    /// A server without users; its tags, branches and nonces follow from `seed`.
    pub fn new(seed: u64, config: Config) -> Self {
        Self {
            config,
            rng: Rng::new(seed),
            users: Vec::new(),
            groups: BTreeMap::new(),
            rules: Vec::new(),
            nonces: Nonces::default(),
            bindings: Vec::new(),
            temporary_gruus: Vec::new(),
            stored: Vec::new(),
            publications: Vec::new(),
            subscriptions: Vec::new(),
            violations: Vec::new(),
            vectors: BTreeMap::new(),
            associations: Vec::new(),
            next_association: 0,
            synchronisations: Vec::new(),
            streams: BTreeMap::new(),
            served: BTreeMap::new(),
            delayed: Vec::new(),
            attempts: Vec::new(),
            forks: BTreeMap::new(),
            next_fork: 0,
            answers: Vec::new(),
            out: VecDeque::new(),
        }
    }

    /// Adds a user; `sip:name@domain` becomes the default identity.
    pub fn add_user(&mut self, mut user: User) {
        user.identities
            .insert(0, format!("sip:{}@{}", user.name, self.config.domain));
        self.users.push(user);
    }

    /// A user, to be changed.
    pub fn user_mut(&mut self, name: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.name == name)
    }

    /// Adds a pre-defined group `sip:name@domain` of these users.
    pub fn add_group(&mut self, name: &str, members: &[&str]) {
        self.groups.insert(
            name.into(),
            members.iter().map(|member| (*member).into()).collect(),
        );
    }

    /// Adds a rule behind those there are. For each request the first one that matches decides.
    pub fn script(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Bindings of a user that have not expired.
    pub fn bindings(&self, now: Instant, user: &str) -> Vec<&Binding> {
        self.bindings
            .iter()
            .filter(|binding| binding.user == user && binding.until > now)
            .collect()
    }

    /// How many messages wait for a user.
    pub fn stored(&self, user: &str) -> usize {
        self.stored
            .iter()
            .filter(|stored| stored.user == user)
            .count()
    }

    /// What a client did that the server bears with and a specification forbids, in plain words. A test that ends well
    /// finds none.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Final answers to what [`ImServer::inject`] and [`ImServer::notify`] sent: Call-ID and status; 408 for none.
    pub fn answers(&self) -> &[(String, u16)] {
        &self.answers
    }

    /// Forgets all nonces: the next credentials are stale.
    pub fn forget_nonces(&mut self) {
        self.nonces = Nonces::default();
    }

    /// Forgets all bindings, as after a restart without a database.
    pub fn forget_bindings(&mut self) {
        self.bindings.clear();
    }

    /// Takes one datagram, or any piece of a stream.
    pub fn receive(&mut self, now: Instant, from: Remote, bytes: &[u8]) {
        let Some(conn) = from.conn else {
            if let Some(answer) = self.stun_answer(from, bytes) {
                self.out.push_back(Output::Send {
                    to: from,
                    bytes: answer,
                });
            } else if let Some(sip) = Sip::parse(bytes) {
                self.message(now, from, sip);
            }
            return;
        };
        let mut buffer = core::mem::take(self.streams.entry(conn).or_default());
        buffer.extend_from_slice(bytes);
        loop {
            let used = match sip::piece(&buffer) {
                Piece::Incomplete => break,
                Piece::Crlf => 2,
                Piece::Ping => {
                    if self.config.crlf_pong == Feature::On {
                        self.out.push_back(Output::Send {
                            to: from,
                            bytes: b"\r\n".to_vec(),
                        });
                    }
                    4
                }
                Piece::Message(len) => {
                    match Sip::parse(&buffer[..len]) {
                        Some(sip) => self.message(now, from, sip),
                        None => self.note(format!("unreadable message from {}", from.address)),
                    }
                    len
                }
            };
            buffer.drain(..used);
        }
        if let Some(place) = self.streams.get_mut(&conn) {
            *place = buffer;
        }
    }

    /// A connection is gone: its bindings are too, and what was under way on it did not arrive.
    pub fn closed(&mut self, now: Instant, conn: u64) {
        self.streams.remove(&conn);
        let gone: Vec<Binding> = self
            .bindings
            .extract_if(.., |binding| binding.flow.conn == Some(conn))
            .collect();
        for binding in gone {
            let user = binding.user.clone();
            self.note(format!("flow of {user} lost, binding removed"));
            let event = ContactEvent::Deactivated;
            self.bindings_changed(now, &user, Vec::from([Change { binding, event }]));
        }
        let lost: Vec<Attempt> = self
            .attempts
            .extract_if(.., |attempt| attempt.to.conn == Some(conn))
            .collect();
        for attempt in lost {
            self.attempt_failed(now, &attempt);
        }
    }

    /// Does what is due: delayed requests, retransmissions, giving up.
    pub fn timeout(&mut self, now: Instant) {
        let due: Vec<_> = self.delayed.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, incoming) in due {
            self.serve(now, incoming);
        }
        self.attempts_due(now);
        self.expire_bindings(now);
        self.expire_publications(now);
        self.subscriptions_due(now);
    }

    /// When [`ImServer::timeout`] wants to be called. Any other call may change it.
    pub fn deadline(&self) -> Option<Instant> {
        let delayed = self.delayed.iter().map(|(at, _)| *at);
        delayed
            .chain(self.attempts.iter().map(Attempt::due))
            .chain(self.subscriptions_deadline())
            .min()
    }

    /// The next thing to do, until there is none. Call it after every other call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    fn message(&mut self, now: Instant, from: Remote, sip: Sip) {
        match sip.status() {
            Some(status) => {
                if self.answer_gate(now, &from, &sip) == Gate::Open {
                    self.response(now, status, sip);
                }
            }
            None => self.request(now, from, sip),
        }
    }

    fn request(&mut self, now: Instant, from: Remote, mut sip: Sip) {
        let Some(via) = self.fill_via(&from, &mut sip) else {
            self.note("request without Via dropped");
            return;
        };
        let method = sip.method().unwrap_or_default().to_string();
        if method == "ACK" {
            self.check_bare("ACK", &sip);
            return;
        }
        let sent_by = via.split(';').next().unwrap_or_default().to_lowercase();
        let key = (
            sip::param(&via, "branch").unwrap_or_default(),
            sent_by,
            method.clone(),
        );
        if let Some(served) = self.served.get(&key) {
            if let Some((to, bytes)) = &served.answer {
                self.out.push_back(Output::Send {
                    to: *to,
                    bytes: bytes.clone(),
                });
            }
            return;
        }
        let served = Served {
            from,
            answer: None,
            edit: None,
            answering: Feature::On,
            info: Vec::new(),
            until: now.after(TIMER_J_MS + self.config.forward_ms),
        };
        self.served.retain(|_, served| served.until > now);
        self.served.insert(key.clone(), served);
        let mut incoming = Incoming {
            key,
            from,
            sip,
            association: None,
        };
        let missing = ["From", "To", "Call-ID", "CSeq"]
            .into_iter()
            .find(|name| incoming.sip.header(name).is_none());
        if let Some(missing) = missing {
            self.answer(now, &incoming, 400, &format!("Missing {missing}"), &[]);
            return;
        }
        if self.gate(now, &mut incoming) == Gate::Shut {
            return;
        }
        match self.rule_for(&incoming.sip) {
            None => self.serve(now, incoming),
            Some(then) => self.play(now, incoming, then),
        }
    }

    fn serve(&mut self, now: Instant, incoming: Incoming) {
        let user = if self.config.ims.is_some() {
            match self.ims_user(now, &incoming) {
                Some(user) => Some(user),
                None => return,
            }
        } else {
            match self.digest_user(now, &incoming) {
                Ok(user) => user,
                Err(Answered) => return,
            }
        };
        match incoming.key.2.as_str() {
            "REGISTER" => self.register(now, &incoming, user.as_deref()),
            "CANCEL" => self.answer(now, &incoming, 481, "Call/Transaction Does Not Exist", &[]),
            "MESSAGE" | "OPTIONS" | "PUBLISH" | "SUBSCRIBE" => self.route(now, incoming, user),
            _ => self.answer(
                now,
                &incoming,
                405,
                "Method Not Allowed",
                &[("Allow", ALLOW)],
            ),
        }
    }

    /// Who sent a request, if credentials tell it.
    fn digest_user(
        &mut self,
        now: Instant,
        incoming: &Incoming,
    ) -> Result<Option<String>, Answered> {
        let challenges = if incoming.key.2 == "REGISTER" {
            self.config.register_auth.clone()
        } else {
            self.config.request_auth.clone()
        };
        match self.authenticate(now, &incoming.sip, &challenges) {
            Verdict::Open => return Ok(None),
            Verdict::Known { user, info } => {
                if let Some(served) = self.served.get_mut(&incoming.key) {
                    served.info = info;
                }
                return Ok(Some(user));
            }
            Verdict::Ask { stale, missing } => self.challenge(now, incoming, &missing, stale),
            Verdict::Refuse(why) => self.answer(now, incoming, 400, why, &[]),
        }
        Err(Answered)
    }

    /// Answers with the usual header fields and these.
    fn answer(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        status: u16,
        reason: &str,
        headers: &[(&str, &str)],
    ) {
        let mut response = Sip::response(&incoming.sip, status, reason, &self.rng.hex());
        for (name, value) in headers {
            response.push(name, value);
        }
        self.respond(now, &incoming.key, response);
    }

    /// Sends the answer to a request and keeps it for retransmissions.
    fn respond(&mut self, now: Instant, key: &Key, mut response: Sip) {
        let Some(from) = self.served.get(key).map(|served| served.from) else {
            return;
        };
        let to = self.way_back(from, &response);
        let Some(served) = self.served.get_mut(key) else {
            return;
        };
        if response
            .status()
            .is_some_and(|status| (200..300).contains(&status))
        {
            for (name, value) in &served.info {
                response.push(name, value);
            }
        }
        if let Some(edit) = served.edit.take() {
            edit(&mut response);
        }
        if served.answering == Feature::Off {
            return;
        }
        let bytes = response.to_bytes();
        served.answer = Some((to, bytes.clone()));
        served.until = now.after(TIMER_J_MS);
        self.out.push_back(Output::Send { to, bytes });
    }

    /// RFC 3581 §4, RFC 3261 §18.2.2: to the source port if rport was asked for, else to the port in Via; over a
    /// connection always, and over a protected path to where it leads.
    fn way_back(&self, from: Remote, response: &Sip) -> Remote {
        let mut to = from;
        if from.conn.is_some() {
            return to;
        }
        if let Some(protected) = self.protected_way_back(&from) {
            return protected;
        }
        if let Some(via) = response.all("Via").first()
            && sip::param(via, "rport").is_none()
        {
            to.address.set_port(sent_by_port(via));
        }
        to
    }

    fn violation(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.note(format!("violation: {text}"));
        self.violations.push(text);
    }

    fn note(&mut self, text: impl Into<String>) {
        self.out.push_back(Output::Note(text.into()));
    }
}

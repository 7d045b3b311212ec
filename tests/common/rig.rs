//! A client without a network: bytes are given and taken by hand, time stands still until it is moved.
//!
//! What the server side sends is made with `testkit::sip`, outside of the client's calls; each
//! call of the client goes through [`Rig::call`], where a test can watch it.
#![allow(
    dead_code,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub
)]

use std::net::SocketAddr;

use oma_im::client::{
    Client, CloseReason, Direction, FlowInfo, Item, OpenFailure, Origin, Output, Purpose, Stats,
    Usage, Verified,
};
use oma_im::config::{Config, Credentials, NextHop, Transport};
use oma_im::id::{FlowId, IncomingId};
use oma_im::storage::{Standard, Storage};
use oma_im::testkit::phone::{Happened, Incoming};
use oma_im::testkit::sip::Sip;
use oma_im::time::Instant;

/// 22 November 2026, 18:41:56 UTC.
pub const EPOCH: u64 = 1_795_372_916_000;
/// The same, as CPIM writes it.
pub const SENT: &str = "2026-11-22T18:41:56Z";

/// What a call of `receive` came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    Nothing,
    More,
    Later,
    Message(IncomingId),
    Broken,
}

pub struct Rig<S = Box<Standard>> {
    pub client: Client<S>,
    pub now: Instant,
    /// What went out and was not looked at yet.
    pub sent: Vec<(FlowId, Vec<u8>)>,
    pub events: Vec<Happened>,
    pub inbox: Vec<Incoming>,
    pub closed: Vec<(FlowId, CloseReason)>,
    pub deadline: Option<Instant>,
    /// The main flow.
    pub main: FlowId,
    /// Whether the next flows can be opened.
    pub open: bool,
    /// Called with `true` before and `false` after each call of the client.
    pub watch: fn(bool),
    transport: Transport,
    flows: u32,
    branch: u64,
}

impl Rig {
    /// A client of bob's with much room.
    pub fn new(
        transport: Transport,
        change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
    ) -> Self {
        Self::with(Box::new(Standard::new()), transport, change)
    }

    /// The same, registered.
    pub fn ready(transport: Transport) -> Self {
        let mut rig = Self::new(transport, |config| config);
        rig.register();
        rig
    }
}

impl<S: Storage> Rig<S> {
    pub fn with(
        storage: S,
        transport: Transport,
        change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
    ) -> Self {
        Self::watched(storage, transport, change, |_| ())
    }

    pub fn watched(
        storage: S,
        transport: Transport,
        change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
        watch: fn(bool),
    ) -> Self {
        let hops = [NextHop::new("proxy.example.com", transport)];
        let config = change(Config {
            credentials: Credentials::Password {
                user: "bob",
                password: "bobpw",
            },
            product: "Example/M4-1.0",
            keep_alive: oma_im::config::KeepAlive::Off,
            ..Config::new("sip:bob@example.com", &hops)
        });
        watch(true);
        let client = Client::new(&config, storage, [7; 32]);
        watch(false);
        let mut rig = Self {
            client: client.unwrap(),
            now: Instant::ZERO,
            sent: Vec::new(),
            events: Vec::new(),
            inbox: Vec::new(),
            closed: Vec::new(),
            deadline: None,
            main: FlowId(0),
            open: true,
            watch,
            transport,
            flows: 0,
            branch: 0,
        };
        rig.call(|client, now| client.wall_clock(now, EPOCH));
        rig
    }

    /// Calls the client, and drains it.
    pub fn call<T>(&mut self, what: impl FnOnce(&mut Client<S>, Instant) -> T) -> T {
        let result = self.only(what);
        self.drain();
        result
    }

    /// Calls the client, and leaves its output where it is.
    pub fn only<T>(&mut self, what: impl FnOnce(&mut Client<S>, Instant) -> T) -> T {
        (self.watch)(true);
        let result = what(&mut self.client, self.now);
        (self.watch)(false);
        result
    }

    /// Polls to `Idle`.
    pub fn drain(&mut self) {
        let mut out = [0; 1500];
        for _ in 0..10_000 {
            (self.watch)(true);
            let output = self.client.poll_output(&mut out);
            (self.watch)(false);
            match output {
                Output::Transmit { flow, bytes } => self.sent.push((flow, bytes.to_vec())),
                Output::Open(open) => {
                    let (id, transport, purpose) = (open.id, open.transport, open.purpose);
                    let now = self.now;
                    if !self.open || open.attempt > 0 {
                        let why = OpenFailure::NoMoreCandidates;
                        self.only(|client, _| client.flow_failed(now, id, why));
                        continue;
                    }
                    let flow = self.next_flow();
                    if purpose == Purpose::Main {
                        self.main = flow;
                    }
                    let info = info(Origin::Asked(id), transport, flow);
                    self.only(|client, now| client.flow_opened(now, flow, &info));
                }
                Output::Close { flow, why } => self.closed.push((flow, why)),
                Output::Event(event) => self.events.push(event.into()),
                Output::TooSmall { needed } => panic!("{needed} bytes are asked for"),
                Output::Idle(deadline) => {
                    self.deadline = deadline.map(|deadline| deadline.at);
                    return;
                }
            }
        }
        panic!("the drain does not end");
    }

    fn next_flow(&mut self) -> FlowId {
        self.flows += 1;
        FlowId(self.flows)
    }

    /// A flow that a peer opened towards us.
    pub fn accepted(&mut self, transport: Transport) -> FlowId {
        let flow = self.next_flow();
        let info = info(Origin::Accepted, transport, flow);
        self.call(|client, now| client.flow_opened(now, flow, &info));
        flow
    }

    /// One call of `receive`, whose output is left where it is.
    pub fn give(&mut self, flow: FlowId, bytes: &[u8]) -> (usize, Taken) {
        (self.watch)(true);
        let received = self.client.receive(self.now, flow, bytes);
        (self.watch)(false);
        let taken = match received.item {
            Item::Nothing => Taken::Nothing,
            Item::More => Taken::More,
            Item::Later => Taken::Later,
            Item::Broken => Taken::Broken,
            Item::Message(message) => {
                self.inbox.push(Incoming::of(self.now, &message));
                Taken::Message(message.id)
            }
        };
        (received.consumed, taken)
    }

    /// Gives all bytes to the main flow and drains after each call; the last thing they came to.
    pub fn receive(&mut self, bytes: &[u8]) -> Taken {
        self.receive_on(self.main, bytes)
    }

    pub fn receive_on(&mut self, flow: FlowId, bytes: &[u8]) -> Taken {
        let mut rest = bytes;
        let mut last = Taken::Nothing;
        loop {
            let (consumed, taken) = self.give(flow, rest);
            self.drain();
            assert_ne!(taken, Taken::Later, "after a drain there is room");
            if taken != Taken::Nothing {
                last = taken;
            }
            rest = &rest[consumed..];
            if consumed == 0 || rest.is_empty() {
                return last;
            }
        }
    }

    /// What went out since this was asked last.
    pub fn sent(&mut self) -> Vec<Sip> {
        let sent = std::mem::take(&mut self.sent);
        let read = |(_, bytes): &(FlowId, Vec<u8>)| Sip::parse(bytes);
        sent.iter().filter_map(read).collect()
    }

    /// The one message that went out since this was asked last.
    #[track_caller]
    pub fn one(&mut self) -> Sip {
        let sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        sent.into_iter().next().unwrap()
    }

    /// The status of the one response that went out.
    #[track_caller]
    pub fn status(&mut self) -> u16 {
        self.one().status().unwrap()
    }

    /// Answers a request of the client's on the main flow.
    pub fn answer(&mut self, request: &Sip, status: u16, headers: &[(&str, &str)]) {
        let response = response(request, status, headers);
        self.receive(&response);
    }

    /// Registers: REGISTER, 401, REGISTER, 200.
    pub fn register(&mut self) {
        self.call(|client, now| client.register(now)).unwrap();
        let request = self.one();
        self.answer(&request, 401, &[("WWW-Authenticate", CHALLENGE)]);
        let request = self.one();
        assert!(request.header("Authorization").is_some());
        self.receive(&registered(&request));
        assert!(self.client.is_ready());
        self.events.clear();
        self.sent.clear();
    }

    /// Lets time pass; what is due on the way is fired and drained.
    pub fn run(&mut self, millis: u64) {
        self.run_with(millis, |_| ());
    }

    /// The same; `each` is called after each drain.
    pub fn run_with(&mut self, millis: u64, mut each: impl FnMut(&mut Self)) {
        let end = Instant::from_millis(self.now.as_millis() + millis);
        let mut overdue = 0;
        while let Some(at) = self.deadline.filter(|at| *at <= end) {
            overdue = if at <= self.now { overdue + 1 } else { 0 };
            assert!(overdue < 2, "the deadline lies in the past twice");
            self.now = self.now.max(at);
            self.call(|client, now| client.timeout(now));
            each(self);
        }
        self.now = end;
    }

    /// Lets every transaction end; what is in use then.
    pub fn settled(&mut self) -> Usage {
        self.run(200_000);
        self.client.usage()
    }

    pub fn stats(&self) -> Stats {
        self.client.stats()
    }

    /// A branch that no request had.
    pub fn branch(&mut self) -> String {
        self.branch += 1;
        format!("z9hG4bKserver{}", self.branch)
    }

    /// A MESSAGE of alice's, as the server sends it on.
    pub fn message(&mut self, content_type: &str, body: &[u8]) -> Sip {
        let branch = self.branch();
        let mut sip = request(self.transport, "MESSAGE", &branch);
        sip.push("P-Asserted-Identity", "<sip:alice@example.com>");
        if !content_type.is_empty() {
            sip.push("Content-Type", content_type);
        }
        sip.body = body.to_vec();
        sip
    }

    /// A text of alice's in CPIM, asking for these reports.
    pub fn wrapped(&mut self, message_id: &str, disposition: &str) -> Sip {
        let body = cpim(
            "sip:alice@example.com",
            message_id,
            disposition,
            "Hello Bob",
        );
        self.message("message/cpim", body.as_bytes())
    }
}

pub const CHALLENGE: &str =
    "Digest realm=\"example.com\", qop=\"auth\", nonce=\"abc\", algorithm=MD5";

pub fn info(origin: Origin, transport: Transport, flow: FlowId) -> FlowInfo {
    FlowInfo {
        origin,
        transport,
        local: SocketAddr::from(([192, 0, 2, 10], 5060 + flow.0 as u16)),
        remote: server(),
        verified: Verified::No,
        direction: Direction::Both,
    }
}

pub fn server() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 5060))
}

/// The 200 to this REGISTER.
pub fn registered(request: &Sip) -> Vec<u8> {
    let contact = request.header("Contact").unwrap();
    let headers = [
        ("Contact", format!("{contact};expires=3600")),
        ("P-Associated-URI", "<sip:bob@example.com>".into()),
        ("Service-Route", "<sip:orig@scscf.example.com;lr>".into()),
    ];
    response(
        request,
        200,
        &headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str())),
    )
}

pub fn response(request: &Sip, status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut response = Sip::response(request, status, "Whatever", "srv");
    for (name, value) in headers {
        response.push(name, value);
    }
    response.to_bytes()
}

/// A request of alice's, as it comes from the server.
pub fn request(transport: Transport, method: &str, branch: &str) -> Sip {
    let transport = match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    };
    let mut sip = Sip::request(method, "sip:bob@192.0.2.10");
    sip.push(
        "Via",
        &format!("SIP/2.0/{transport} 198.51.100.1:5060;branch={branch}"),
    );
    sip.push("Max-Forwards", "69");
    sip.push("From", "\"Alice\" <sip:alice@example.com>;tag=a1");
    sip.push("To", "<sip:bob@example.com>");
    sip.push("Call-ID", &format!("call-{branch}"));
    sip.push("CSeq", &format!("1 {method}"));
    sip
}

/// A text in CPIM.
pub fn cpim(from: &str, message_id: &str, disposition: &str, text: &str) -> String {
    let mut cpim = format!(
        "From: Alice <{from}>\r\nTo: <sip:bob@example.com>\r\nDateTime: {SENT}\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: {message_id}\r\n"
    );
    if !disposition.is_empty() {
        cpim += &format!("imdn.Disposition-Notification: {disposition}\r\n");
    }
    cpim + &format!("\r\nContent-type: text/plain; charset=utf-8\r\n\r\n{text}")
}

/// A report document.
pub fn imdn(message_id: &str, kind: &str, status: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>{message_id}</message-id>\
         <datetime>{SENT}</datetime><recipient-uri>sip:alice@example.com</recipient-uri>\
         <{kind}-notification><status><{status}/></status></{kind}-notification></imdn>"
    )
}

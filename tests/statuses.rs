//! Every response to every request of ours, in every state of its transaction; responses to no
//! request at all; and values that a peer makes up to hurt.
//!
//! The client is driven by hand over one datagram flow: the test answers each request itself.
//! Whatever is answered, the command ends in exactly one event of its kind, and nothing is left.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;

use oma_im::client::{
    Adopted, Client, Direction, Event, FlowInfo, Item, OpenFailure, Origin, Output,
    RegistrationChange, ReportOutcome, SendOutcome, Usage, Verified,
};
use oma_im::config::{Config, Credentials, KeepAlive, NextHop, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::id::{FlowId, IncomingId};
use oma_im::im::pager::Outgoing;
use oma_im::storage::Small;
use oma_im::testkit::sip::Sip;
use oma_im::time::Instant;

/// An event, as far as these tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Registered(u32),
    Refreshed(u32),
    Lost,
    Retrying(Failure, Instant),
    Failed(Failure),
    Deregistered,
    Sent(SendOutcome),
    ReportSent(ReportOutcome),
    Other,
}

/// A client and its one datagram flow.
struct Hand {
    client: Client<Box<Small>>,
    now: Instant,
    flow: u32,
    /// What was sent since the last look.
    sent: Vec<Sip>,
    told: Vec<Told>,
    deadline: Option<Instant>,
    base: Usage,
    /// Messages that may still be reported on.
    tickets: usize,
}

impl Hand {
    fn new(change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>) -> Self {
        let hops = [NextHop::new("proxy.example.com", Transport::Udp)];
        let config = change(Config {
            credentials: Credentials::Password {
                user: "alice",
                password: "secret",
            },
            keep_alive: KeepAlive::Off,
            ..Config::new("sip:alice@example.com", &hops)
        });
        let mut client = Client::new(&config, Box::new(Small::new()), [7; 32]).unwrap();
        client.wall_clock(Instant::ZERO, 1_795_372_916_000);
        let base = client.usage();
        Self {
            client,
            now: Instant::ZERO,
            flow: 0,
            sent: Vec::new(),
            told: Vec::new(),
            deadline: None,
            base,
            tickets: 0,
        }
    }

    fn drain(&mut self) {
        let mut out = [0; 1500];
        loop {
            match self.client.poll_output(&mut out) {
                // Keep-alives of other kinds are no business of these tests.
                Output::Transmit { bytes, .. } => self.sent.extend(Sip::parse(bytes)),
                Output::Open(open) if open.attempt > 0 || open.transport != Transport::Udp => {
                    let id = open.id;
                    let why = OpenFailure::NoMoreCandidates;
                    self.client.flow_failed(self.now, id, why);
                }
                Output::Open(open) => {
                    self.flow += 1;
                    let info = FlowInfo {
                        origin: Origin::Asked(open.id),
                        transport: open.transport,
                        local: SocketAddr::from(([192, 0, 2, 10], 5060)),
                        remote: SocketAddr::from(([198, 51, 100, 1], 5060)),
                        verified: Verified::No,
                        direction: Direction::Both,
                    };
                    self.client.flow_opened(self.now, FlowId(self.flow), &info);
                }
                Output::Close { .. } => {}
                Output::Event(event) => self.told.push(match event {
                    Event::Registration { change, .. } => match change {
                        RegistrationChange::Registered { expires, .. } => Told::Registered(expires),
                        RegistrationChange::Refreshed { expires } => Told::Refreshed(expires),
                        RegistrationChange::Lost => Told::Lost,
                        RegistrationChange::Retrying { failure, retry_at } => {
                            Told::Retrying(failure, retry_at)
                        }
                        RegistrationChange::Failed(failure) => Told::Failed(failure),
                    },
                    Event::Deregistered => Told::Deregistered,
                    Event::Sent { outcome, .. } => Told::Sent(outcome),
                    Event::ReportSent { outcome, .. } => Told::ReportSent(outcome),
                    _ => Told::Other,
                }),
                Output::TooSmall { needed } => panic!("{needed} bytes are wanted"),
                Output::Idle(deadline) => {
                    self.deadline = deadline.map(|deadline| deadline.at);
                    return;
                }
            }
        }
    }

    fn run(&mut self, millis: u64) {
        let end = self.now.after(millis);
        while let Some(due) = self.deadline.filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.client.timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn receive(&mut self, bytes: &[u8]) -> Option<IncomingId> {
        let flow = FlowId(self.flow);
        let received = self.client.receive(self.now, flow, bytes);
        let id = match received.item {
            Item::Message(message) => Some(message.id),
            _ => None,
        };
        self.drain();
        id
    }

    /// The last request that was sent.
    fn request(&mut self) -> Sip {
        self.drain();
        let last = self.sent.pop().expect("a request");
        self.sent.clear();
        last
    }

    fn answer(&mut self, request: &Sip, status: u16) {
        self.receive(&Sip::response(request, status, "Whatever", "srv").to_bytes());
    }

    /// Answers a REGISTER as a registrar would that takes it.
    fn accept(&mut self, request: &Sip, change: impl FnOnce(&mut Sip)) {
        let mut ok = Sip::response(request, 200, "OK", "srv");
        for contact in request.all("Contact") {
            ok.push("Contact", &contact);
        }
        change(&mut ok);
        self.receive(&ok.to_bytes());
    }

    fn registered() -> Self {
        let mut hand = Self::new(|config| config);
        hand.client.register(hand.now).unwrap();
        let register = hand.request();
        hand.accept(&register, |_| ());
        assert_eq!(hand.told, [Told::Registered(3600)]);
        hand.told.clear();
        hand
    }

    /// Puts the client into the state with a request of this kind just sent.
    fn with_request(kind: Kind) -> (Self, Sip) {
        let mut hand = match kind {
            Kind::Register => Self::new(|config| config),
            Kind::KeepAlive => {
                let mut hand = Self::new(|config| Config {
                    keep_alive: KeepAlive::Options,
                    ..config
                });
                hand.client.register(hand.now).unwrap();
                let register = hand.request();
                hand.accept(&register, |_| ());
                hand.told.clear();
                hand
            }
            Kind::Refresh | Kind::Deregister | Kind::Message | Kind::Report => Self::registered(),
        };
        match kind {
            Kind::Register => hand.client.register(hand.now).unwrap(),
            Kind::Refresh => hand.run(3_000_000),
            Kind::Deregister => hand.client.deregister(hand.now).unwrap(),
            Kind::Message => {
                hand.send("Hello").unwrap();
            }
            Kind::Report => {
                let message = message_with_report();
                let id = hand.receive(&message.to_bytes()).expect("a message");
                hand.client.delivered(hand.now, id).unwrap();
            }
            Kind::KeepAlive => {
                while hand.sent.is_empty() {
                    hand.run(1_000);
                }
            }
        }
        let request = hand.request();
        assert_eq!(request.method(), Some(kind.method()));
        hand.told.clear();
        (hand, request)
    }

    fn send(&mut self, text: &str) -> Result<(), CommandError> {
        let hello = Outgoing::text("sip:bob@example.com", text);
        self.client.send_message(self.now, &hello)?;
        self.drain();
        Ok(())
    }

    /// De-registers, answers nothing, and looks whether all is given back.
    fn assert_no_leak(&mut self, what: &dyn Fn() -> String) {
        match self.client.deregister(self.now) {
            Ok(()) | Err(CommandError::WrongState) => {}
            Err(error) => panic!("{}: {error}", what()),
        }
        self.drain();
        // Every transaction ends within 64·T1, a de-registration in two seconds.
        self.run(70_000);
        let usage = self.client.usage();
        assert_eq!((usage.requests, usage.transactions), (0, 0), "{}", what());
        assert_eq!(usage.blocks, self.base.blocks + self.tickets, "{}", what());
        if self.tickets == 0 {
            assert_eq!(usage, self.base, "{}", what());
        }
        let stats = self.client.stats();
        assert_eq!(stats.events_lost, 0);
    }
}

fn message_with_report() -> Sip {
    let mut message = Sip::request("MESSAGE", "sip:alice@192.0.2.10");
    message.push("Via", "SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKsrv1");
    message.push("Max-Forwards", "70");
    message.push("From", "<sip:bob@example.com>;tag=b");
    message.push("P-Asserted-Identity", "<sip:bob@example.com>");
    message.push("To", "<sip:alice@example.com>");
    message.push("Call-ID", "c1");
    message.push("CSeq", "1 MESSAGE");
    message.push("Content-Type", "message/cpim");
    message.body = b"From: <sip:bob@example.com>\r\n\
        To: <sip:alice@example.com>\r\n\
        DateTime: 2026-11-22T18:41:56Z\r\n\
        NS: imdn <urn:ietf:params:imdn>\r\n\
        imdn.Message-ID: 34jk324j\r\n\
        imdn.Disposition-Notification: positive-delivery\r\n\
        \r\n\
        Content-Type: text/plain\r\n\
        \r\n\
        Hello"
        .to_vec();
    message
}

/// Requests of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Register,
    Refresh,
    Deregister,
    Message,
    Report,
    KeepAlive,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Register,
        Self::Refresh,
        Self::Deregister,
        Self::Message,
        Self::Report,
        Self::KeepAlive,
    ];

    fn method(self) -> &'static str {
        match self {
            Self::Register | Self::Refresh | Self::Deregister => "REGISTER",
            Self::Message | Self::Report => "MESSAGE",
            Self::KeepAlive => "OPTIONS",
        }
    }

    /// Whether `told` is how a request of this kind ends when it is answered with `status`.
    fn ends(self, status: u16, told: &Told) -> bool {
        // RFC 3261 §17.1.2.2: a provisional response is no answer; Timer F.
        let success = (200..300).contains(&status);
        match (self, told) {
            // A 2xx that names no binding of ours is tried again.
            (Self::Register, Told::Retrying(..) | Told::Failed(_)) => true,
            (Self::Refresh, Told::Retrying(..) | Told::Failed(_)) => true,
            (Self::Deregister, Told::Deregistered) => true,
            (Self::Message, Told::Sent(outcome)) => match outcome {
                SendOutcome::Accepted => status == 202,
                SendOutcome::Delivered { status: of } => success && *of == status,
                SendOutcome::Failed(Failure::Timeout) => status < 200,
                SendOutcome::Failed(Failure::Status { status: of, .. }) => {
                    *of == status && status >= 300
                }
                SendOutcome::Failed(_) | SendOutcome::Withdrawn => false,
            },
            (Self::Report, Told::ReportSent(outcome)) => match outcome {
                ReportOutcome::Sent => success,
                ReportOutcome::Failed(Failure::Timeout) => status < 200,
                ReportOutcome::Failed(Failure::Status { status: of, .. }) => {
                    *of == status && status >= 300
                }
                _ => false,
            },
            _ => false,
        }
    }
}

/// What the transaction has seen before the response in question.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// State Trying.
    Nothing,
    /// State Proceeding.
    Provisional,
    /// State Completed, by another final response.
    Final(u16),
    /// Gone, Timer K.
    Terminated(u16),
}

#[test]
fn every_status_to_every_request_in_every_state_ends_it_once() {
    let before = [
        Before::Nothing,
        Before::Provisional,
        Before::Final(404),
        Before::Final(202),
        Before::Terminated(404),
    ];
    for kind in Kind::ALL {
        for before in before {
            for status in 100..700 {
                one(kind, before, status);
            }
        }
    }
}

fn one(kind: Kind, before: Before, status: u16) {
    let what = || format!("{kind:?}, {before:?}, {status}");
    let (mut hand, request) = Hand::with_request(kind);
    let decided = match before {
        Before::Nothing => status,
        Before::Provisional => {
            hand.answer(&request, 183);
            status
        }
        Before::Final(first) => {
            hand.answer(&request, first);
            first
        }
        Before::Terminated(first) => {
            hand.answer(&request, first);
            hand.run(10_000);
            first
        }
    };
    hand.answer(&request, status);
    // Once more: a retransmission, which is absorbed or belongs to nobody.
    hand.answer(&request, status);
    // A provisional response ends nothing; Timer F does, 32 s after the request.
    let later = if decided < 200 { 32_000 } else { 0 };
    hand.run(later);
    let ends: Vec<_> = (hand.told.iter())
        .filter(|told| !matches!(told, Told::Other | Told::Lost))
        .collect();
    match kind {
        // Any answer shows that the flow is alive; none, that it is dead: it is opened again.
        Kind::KeepAlive if decided >= 200 => assert_eq!(hand.told, [], "{}", what()),
        Kind::KeepAlive => assert!(
            matches!(hand.told[..], [Told::Lost, ..] | [Told::Retrying(..), ..]),
            "{}: {:?}",
            what(),
            hand.told
        ),
        _ => match ends[..] {
            [end] => assert!(kind.ends(decided, end), "{}: {end:?}", what()),
            _ => panic!("{}: {:?}", what(), hand.told),
        },
    }
    // A report that failed is kept, to go again with a repetition of its message.
    if matches!(ends[..], [Told::ReportSent(ReportOutcome::Failed(_))]) {
        hand.tickets = 1;
    }
    hand.assert_no_leak(&what);
}

#[test]
fn a_response_to_no_request_changes_nothing() {
    let (mut hand, request) = Hand::with_request(Kind::Message);
    let mut stray = 0;
    let key = "z9hG4bK00000000";
    for status in 100..700 {
        for (branch, cseq) in [
            ("z9hG4bKsomebody".to_owned(), "1 MESSAGE"),
            (format!("{key}0123456789abcdef"), "1 MESSAGE"),
            // RFC 3261 §17.1.3: the method of CSeq has to match too.
            (own_branch(&request), "1 REGISTER"),
            (own_branch(&request), "1 INVITE"),
        ] {
            let mut response = Sip::response(&request, status, "Whatever", "srv");
            response.set(
                "Via",
                &format!("SIP/2.0/UDP 192.0.2.10:5060;branch={branch}"),
            );
            response.set("CSeq", cseq);
            hand.receive(&response.to_bytes());
            stray += 1;
            assert_eq!(
                hand.client.stats().stray_response,
                stray,
                "{status} {branch} {cseq}"
            );
        }
    }
    assert_eq!(hand.told, []);
    assert!(hand.sent.is_empty());
    hand.answer(&request, 200);
    assert_eq!(
        hand.told,
        [Told::Sent(SendOutcome::Delivered { status: 200 })]
    );
    hand.assert_no_leak(&|| "stray".into());
}

#[test]
fn a_response_to_a_client_that_never_asked_anything_changes_nothing() {
    let mut hand = Hand::new(|config| config);
    hand.client
        .adopt_registration(hand.now, &Adopted::default())
        .unwrap();
    hand.drain();
    hand.told.clear();
    let (_, request) = Hand::with_request(Kind::Message);
    let before = hand.client.usage();
    for status in 100..700 {
        hand.answer(&request, status);
    }
    assert_eq!(hand.client.stats().stray_response, 600);
    assert_eq!((hand.told.len(), hand.sent.len()), (0, 0));
    assert_eq!(hand.client.usage(), before);
}

fn own_branch(request: &Sip) -> String {
    oma_im::testkit::sip::param(request.header("Via").unwrap(), "branch").unwrap()
}

// Challenges.

#[test]
fn a_server_that_challenges_for_ever_is_left_after_two_answers() {
    for (kind, status, header) in [
        (Kind::Register, 401, "WWW-Authenticate"),
        (Kind::Refresh, 401, "WWW-Authenticate"),
        (Kind::Deregister, 401, "WWW-Authenticate"),
        (Kind::Message, 407, "Proxy-Authenticate"),
        (Kind::Report, 407, "Proxy-Authenticate"),
        (Kind::KeepAlive, 401, "WWW-Authenticate"),
    ] {
        for mark in ["", ", stale=true"] {
            let (mut hand, mut request) = Hand::with_request(kind);
            let mut requests = 1;
            for n in 0..100 {
                let mut response = Sip::response(&request, status, "Again", "srv");
                let challenge =
                    format!("Digest realm=\"example.com\", nonce=\"n{n}\", qop=\"auth\"{mark}");
                response.push(header, &challenge);
                hand.receive(&response.to_bytes());
                match hand.sent.pop() {
                    Some(next) => request = next,
                    None => break,
                }
                requests += 1;
            }
            // An OPTIONS is answered well enough by a challenge: the flow is alive.
            let most = if kind == Kind::KeepAlive { 1 } else { 3 };
            assert_eq!(requests, most, "{kind:?}{mark}");
            let credentials = Failure::Credentials { status };
            match kind {
                Kind::Register => assert_eq!(hand.told, [Told::Failed(credentials)]),
                // Where it had been registered, that is lost with it.
                Kind::Refresh => assert!(hand.told.contains(&Told::Failed(credentials))),
                Kind::Deregister => assert_eq!(hand.told, [Told::Deregistered]),
                Kind::Message => {
                    assert_eq!(hand.told, [Told::Sent(SendOutcome::Failed(credentials))]);
                }
                Kind::Report => {
                    let failed = ReportOutcome::Failed(credentials);
                    assert_eq!(hand.told, [Told::ReportSent(failed)]);
                }
                Kind::KeepAlive => assert_eq!(hand.told, []),
            }
            hand.tickets = usize::from(kind == Kind::Report);
            hand.assert_no_leak(&|| format!("{kind:?}{mark}"));
        }
    }
}

#[test]
fn challenges_of_any_length_and_number_leave_the_client_usable() {
    for (realms, length) in [(1, 4_000), (1, 40_000), (30, 20), (30, 1_000)] {
        let (mut hand, request) = Hand::with_request(Kind::Message);
        let mut response = Sip::response(&request, 407, "Proxy Authentication Required", "srv");
        for realm in 0..realms {
            let nonce = "n".repeat(length);
            let challenge = format!("Digest realm=\"r{realm}\", nonce=\"{nonce}\", qop=\"auth\"");
            response.push("Proxy-Authenticate", &challenge);
        }
        hand.receive(&response.to_bytes());
        hand.run(40_000);
        let ends = hand
            .told
            .iter()
            .filter(|told| matches!(told, Told::Sent(_)))
            .count();
        assert_eq!(ends, 1, "{realms} of {length}: {:?}", hand.told);
        hand.told.clear();
        hand.sent.clear();
        // The next one is as good as any.
        hand.send("Hello again").unwrap();
        let request = hand.request();
        hand.answer(&request, 200);
        let delivered = SendOutcome::Delivered { status: 200 };
        assert_eq!(hand.told, [Told::Sent(delivered)], "{realms} of {length}");
        hand.assert_no_leak(&|| format!("{realms} of {length}"));
    }
}

// Values.

#[test]
fn an_endless_retry_after_is_waited_for_a_day_at_most() {
    for value in [
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "-1",
        "",
        "86401 (a day)",
    ] {
        for kind in [Kind::Register, Kind::Refresh] {
            let (mut hand, request) = Hand::with_request(kind);
            let mut response = Sip::response(&request, 503, "Service Unavailable", "srv");
            response.push("Retry-After", value);
            hand.receive(&response.to_bytes());
            let day = hand.now.after(86_400_000);
            let retry = hand.told.iter().find_map(|told| match told {
                Told::Retrying(_, at) => Some(*at),
                _ => None,
            });
            let at = retry.unwrap_or_else(|| panic!("{value}: {:?}", hand.told));
            assert!(hand.now < at && at <= day, "{value}: {at:?}");
            // And then it goes on.
            hand.sent.clear();
            hand.run(86_400_000);
            assert!(!hand.sent.is_empty(), "{value}");
            hand.assert_no_leak(&|| format!("{kind:?} {value}"));
        }
    }
}

#[test]
fn an_interval_beyond_the_configured_one_is_refused() {
    // RFC 3261 §10.2.8 lets the registrar demand more; `max_expires` says how much.
    for value in ["4294967295", "4294967296", "2592001", "0", "3600", "x", ""] {
        let (mut hand, request) = Hand::with_request(Kind::Register);
        let mut response = Sip::response(&request, 423, "Interval Too Brief", "srv");
        response.push("Min-Expires", value);
        hand.receive(&response.to_bytes());
        assert_eq!(hand.told, [Told::Failed(Failure::Interval)], "{value}");
        hand.assert_no_leak(&|| value.into());
    }
    // One that raises its demand each time is followed twice.
    let (mut hand, mut request) = Hand::with_request(Kind::Register);
    for min in [4_000, 5_000, 6_000] {
        let mut response = Sip::response(&request, 423, "Interval Too Brief", "srv");
        response.push("Min-Expires", &format!("{min}"));
        hand.receive(&response.to_bytes());
        if min < 6_000 {
            request = hand.request();
            assert_eq!(request.header("Expires"), Some(format!("{min}").as_str()));
        }
    }
    assert_eq!(hand.told, [Told::Failed(Failure::Interval)]);
    assert!(hand.sent.is_empty());
}

#[test]
fn an_expiry_of_nothing_or_of_for_ever_is_taken_for_what_it_can_be() {
    for (expires, told) in [
        // Never more than was asked for.
        ("4294967295", Some(Told::Registered(3600))),
        ("4294967296", Some(Told::Registered(3600))),
        ("7200", Some(Told::Registered(3600))),
        ("1", Some(Told::Registered(1))),
        // No binding: it is tried again.
        ("0", None),
    ] {
        let (mut hand, request) = Hand::with_request(Kind::Register);
        let mut ok = Sip::response(&request, 200, "OK", "srv");
        let contact = oma_im::testkit::sip::uri_of(request.header("Contact").unwrap()).to_owned();
        ok.push("Contact", &format!("<{contact}>;expires={expires}"));
        hand.receive(&ok.to_bytes());
        match told {
            Some(told) => assert_eq!(hand.told, [told], "{expires}"),
            None => assert!(
                matches!(hand.told[..], [Told::Retrying(..)]),
                "{:?}",
                hand.told
            ),
        }
        // A registrar that grants a second is not asked each second.
        hand.sent.clear();
        hand.run(10_000);
        let asked: BTreeSet<_> = hand.sent.iter().filter_map(Sip::cseq).collect();
        assert!(asked.len() <= 2, "{expires}: {asked:?}");
        hand.assert_no_leak(&|| expires.into());
    }
}

#[test]
fn a_thousand_contacts_are_read_for_our_own() {
    let (mut hand, request) = Hand::with_request(Kind::Register);
    let contacts: Vec<_> = (0..1_000)
        .map(|n| format!("<sip:x{n}@192.0.2.99>;expires=9"))
        .collect();
    let mut ok = Sip::response(&request, 200, "OK", "srv");
    ok.push("Contact", &contacts.join(", "));
    ok.push("Contact", request.header("Contact").unwrap());
    hand.receive(&ok.to_bytes());
    assert_eq!(hand.told, [Told::Registered(3600)]);
    hand.assert_no_leak(&|| "contacts".into());
    // Without ours we are not registered.
    let (mut hand, request) = Hand::with_request(Kind::Register);
    let mut ok = Sip::response(&request, 200, "OK", "srv");
    ok.push("Contact", &contacts.join(", "));
    hand.receive(&ok.to_bytes());
    assert!(
        matches!(hand.told[..], [Told::Retrying(..)]),
        "{:?}",
        hand.told
    );
}

#[test]
fn a_registrar_that_tells_too_much_takes_no_memory_that_is_needed() {
    for (header, item, lengths) in [
        (
            "P-Associated-URI",
            "<sip:alice@example.com>",
            [100, 2_000, 4_000, 8_192, 40_000],
        ),
        (
            "Service-Route",
            "<sip:proxy.example.com;lr>",
            [100, 2_000, 4_000, 8_192, 40_000],
        ),
    ] {
        for length in lengths {
            let what = format!("{header} of {length}");
            let mut hand = Hand::new(|config| config);
            hand.client.register(hand.now).unwrap();
            let register = hand.request();
            let long = vec![item; length / item.len()].join(",");
            hand.accept(&register, |ok| ok.push(header, &long));
            assert_eq!(hand.told, [Told::Registered(3600)], "{what}");
            hand.told.clear();
            // A message can be sent, or the application learns at once why not.
            match hand.send("Hello") {
                Ok(()) => {
                    let request = hand.request();
                    assert_eq!(request.method(), Some("MESSAGE"), "{what}");
                    hand.answer(&request, 200);
                    let delivered = SendOutcome::Delivered { status: 200 };
                    assert_eq!(hand.told, [Told::Sent(delivered)], "{what}");
                    hand.told.clear();
                }
                Err(CommandError::TooLargeForPager { .. }) => {
                    assert_eq!(header, "Service-Route", "{what}");
                }
                Err(error) => panic!("{what}: {error}"),
            }
            // A message can be taken.
            assert!(
                hand.receive(&message_with_report().to_bytes()).is_some(),
                "{what}"
            );
            assert_eq!(hand.request().status(), Some(200), "{what}");
            // The registration goes on.
            hand.run(3_000_000);
            let refresh = hand.request();
            assert_eq!(refresh.method(), Some("REGISTER"), "{what}");
            hand.accept(&refresh, |ok| ok.push(header, &long));
            assert_eq!(hand.told, [Told::Refreshed(3600)], "{what}");
            // And can be ended.
            hand.sent.clear();
            hand.client.deregister(hand.now).unwrap();
            assert_eq!(hand.request().header("Expires"), Some("0"), "{what}");
            hand.run(70_000);
            let usage = hand.client.usage();
            assert_eq!((usage.requests, usage.transactions), (0, 0), "{what}");
        }
    }
}

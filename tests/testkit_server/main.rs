//! The scripted IM server, played against with bytes written by hand.
#![cfg(feature = "testkit")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

mod ims;
mod notify;
mod publish;

use std::net::SocketAddr;

use md5::{Digest, Md5};
use oma_im::testkit::ladder::LadderOnFailure;
use oma_im::testkit::log::{ConnId, Lost, Transport};
use oma_im::testkit::net::{Conditions, Delivery, Network, Side, StreamSplit};
use oma_im::testkit::server::{
    Algorithm, Answer, Config, Feature, ImServer, Info, Outbound, Qop, Rule, ServerHost, Then, User,
};
use oma_im::testkit::sip::{self, Sip};
use oma_im::time::Instant;

const ALICE: &str = "192.0.2.1:5060";
const BOB: &str = "192.0.2.2:5060";
const CAROL: &str = "192.0.2.3:5060";
const SERVER: &str = "192.0.2.9:5060";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A network with the server and three phones that consist of what a test writes.
struct World {
    net: Network,
    host: ServerHost,
    got: Vec<Delivery>,
    cseq: u32,
    _guard: LadderOnFailure,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut net = Network::new(1, Conditions::default());
        for (name, address) in [("alice", ALICE), ("bob", BOB), ("carol", CAROL)] {
            net.add_host(name, at(address).ip());
        }
        let mut config = Config::new("example.com", at(SERVER));
        change(&mut config);
        let mut server = ImServer::new(2, config);
        server.add_user(User::new("alice", "wonderland").identity("tel:+15551230001"));
        server.add_user(User::new("bob", "builder"));
        server.add_user(User::new("carol", "c"));
        let host = ServerHost::new(&mut net, "server", server);
        let guard = net.ladder_on_failure();
        Self {
            net,
            host,
            got: Vec::new(),
            cseq: 0,
            _guard: guard,
        }
    }

    /// No credentials asked for: for tests about something else.
    fn open() -> Self {
        Self::with(|config| {
            config.register_auth.clear();
            config.request_auth.clear();
        })
    }

    /// Lets everything happen up to this time.
    fn until(&mut self, millis: u64) {
        let end = Instant::from_millis(millis);
        loop {
            let due = [self.net.next_delivery(), self.host.deadline()]
                .into_iter()
                .flatten()
                .min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.net.advance_to(due);
            while let Some(delivery) = self.net.deliver() {
                if !self.host.handle(&mut self.net, &delivery) {
                    self.got.push(delivery);
                }
            }
            if self
                .host
                .deadline()
                .is_some_and(|due| due <= self.net.now())
            {
                self.host.timeout(&mut self.net);
            }
        }
        self.net.advance_to(end);
    }

    fn run(&mut self, millis: u64) {
        self.until(self.net.now().as_millis() + millis);
    }

    fn send(&mut self, from: &str, sip: &Sip) {
        self.net
            .send_datagram(at(from), at(SERVER), &sip.to_bytes());
    }

    /// What arrived at a phone by datagram since the last call.
    fn inbox(&mut self, phone: &str) -> Vec<Sip> {
        let (mine, others) = std::mem::take(&mut self.got).into_iter().partition(
            |delivery| matches!(delivery, Delivery::Datagram { to, .. } if *to == at(phone)),
        );
        self.got = others;
        let read = |delivery: Delivery| match delivery {
            Delivery::Datagram { bytes, .. } => Sip::parse(&bytes).unwrap(),
            other => panic!("{other:?}"),
        };
        mine.into_iter().map(read).collect()
    }

    /// Sends a request and gives the answer that is there 100 ms later.
    fn ask(&mut self, from: &str, sip: &Sip) -> Sip {
        self.send(from, sip);
        self.run(100);
        self.inbox(from)
            .pop()
            .unwrap_or_else(|| panic!("no answer to {}", sip.start))
    }

    fn request(&mut self, method: &str, uri: &str, from: &str, address: &str) -> Sip {
        self.cseq += 1;
        let n = self.cseq;
        let mut sip = Sip::request(method, uri);
        sip.push(
            "Via",
            &format!("SIP/2.0/UDP {address};branch=z9hG4bK{n};rport"),
        );
        sip.push("Max-Forwards", "70");
        sip.push("From", &format!("<sip:{from}@example.com>;tag=t"));
        sip.push(
            "To",
            &format!(
                "<{}>",
                if method == "REGISTER" {
                    format!("sip:{from}@example.com")
                } else {
                    uri.into()
                }
            ),
        );
        sip.push("Call-ID", &format!("{method}-{from}"));
        sip.push("CSeq", &format!("{n} {method}"));
        sip
    }

    fn register(&mut self, user: &str, address: &str) -> Sip {
        let mut sip = self.request("REGISTER", "sip:example.com", user, address);
        sip.push("Contact", &format!("<sip:{user}@{address}>"));
        sip.push("Expires", "600");
        sip
    }

    fn message(&mut self, from: &str, address: &str, to: &str, text: &str) -> Sip {
        let mut sip = self.request("MESSAGE", to, from, address);
        sip.push("Content-Type", "text/plain");
        sip.body = text.into();
        sip
    }

    /// Answers the newest request at a phone.
    fn answer(&mut self, phone: &str, request: &Sip, status: u16) {
        let response = Sip::response(request, status, "Whatever", "callee");
        self.send(phone, &response);
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The value of a quoted or bare parameter of a challenge.
fn challenge_param(value: &str, name: &str) -> String {
    let (_, rest) = value.split_once(&format!("{name}=")).unwrap();
    let rest = rest.strip_prefix('"').unwrap_or(rest);
    rest.split(['"', ',']).next().unwrap().into()
}

/// Credentials with MD5 and `qop=auth` (RFC 7616 §3.4.1).
fn credentials(
    answer: &Sip,
    request: &Sip,
    user: &str,
    password: &str,
    nc: u32,
) -> (&'static str, String) {
    let (name, challenge) = match answer.status() {
        Some(407) => (
            "Proxy-Authorization",
            answer.header("Proxy-Authenticate").unwrap(),
        ),
        _ => ("Authorization", answer.header("WWW-Authenticate").unwrap()),
    };
    let (realm, nonce) = (
        challenge_param(challenge, "realm"),
        challenge_param(challenge, "nonce"),
    );
    let (method, uri) = (request.method().unwrap(), request.uri().unwrap());
    let a1 = md5(&format!("{user}:{realm}:{password}"));
    let a2 = md5(&format!("{method}:{uri}"));
    let response = md5(&format!("{a1}:{nonce}:{nc:08x}:0a4f113b:auth:{a2}"));
    let value = format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, \
         response=\"{response}\", qop=auth, nc={nc:08x}, cnonce=\"0a4f113b\""
    );
    (name, value)
}

/// The same request as a new transaction.
fn again(request: &Sip, cseq: u32, credentials: (&str, String)) -> Sip {
    let mut sip = request.clone();
    sip.pop("Via");
    sip.push_front(
        "Via",
        &format!("SIP/2.0/UDP {ALICE};branch=z9hG4bK-again-{cseq}"),
    );
    sip.set("CSeq", &format!("{cseq} {}", request.method().unwrap()));
    sip.set(credentials.0, &credentials.1);
    sip
}

#[test]
fn register_with_digest() {
    let mut world = World::with(|config| {
        config.service_route = vec!["<sip:192.0.2.9;lr>".into()];
        config.keep = Some(25);
    });
    let mut request = world.register("alice", ALICE);
    let via = request.header("Via").unwrap().to_string() + ";keep";
    request.set("Via", &via);
    let answer = world.ask(ALICE, &request);
    assert_eq!(answer.status(), Some(401));
    assert_eq!(
        answer.header("Via").unwrap(),
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport=5060;keep=25;received=192.0.2.1"
    );
    assert!(sip::param(answer.header("To").unwrap(), "tag").is_some());

    let wrong = again(
        &request,
        2,
        credentials(&answer, &request, "alice", "looking-glass", 1),
    );
    let answer = world.ask(ALICE, &wrong);
    assert_eq!(answer.status(), Some(401));
    assert!(!answer.header("WWW-Authenticate").unwrap().contains("stale"));

    let right = again(
        &request,
        3,
        credentials(&answer, &request, "alice", "wonderland", 1),
    );
    let ok = world.ask(ALICE, &right);
    assert_eq!(ok.status(), Some(200));
    assert_eq!(
        ok.header("Contact"),
        Some("<sip:alice@192.0.2.1:5060>;expires=600")
    );
    assert_eq!(ok.header("Service-Route"), Some("<sip:192.0.2.9;lr>"));
    assert_eq!(
        ok.all("P-Associated-URI"),
        ["<sip:alice@example.com>", "<tel:+15551230001>"]
    );
    assert_eq!(
        world.host.server.bindings(world.net.now(), "alice").len(),
        1
    );

    // The same nonce serves again with a new count; a count that was there before is stale.
    let second = again(
        &request,
        4,
        credentials(&answer, &request, "alice", "wonderland", 2),
    );
    assert_eq!(world.ask(ALICE, &second).status(), Some(200));
    let replay = again(
        &request,
        5,
        credentials(&answer, &request, "alice", "wonderland", 2),
    );
    let answer = world.ask(ALICE, &replay);
    assert_eq!(answer.status(), Some(401));
    assert!(
        answer
            .header("WWW-Authenticate")
            .unwrap()
            .ends_with("stale=true")
    );

    // Somebody else's binding is not theirs to make.
    let mut foreign = world.register("bob", ALICE);
    let asked = world.ask(ALICE, &foreign);
    let (name, value) = credentials(&asked, &foreign, "alice", "wonderland", 1);
    foreign = again(&foreign, 6, (name, value));
    assert_eq!(world.ask(ALICE, &foreign).status(), Some(403));
}

#[test]
fn authentication_info_and_nonce_uses() {
    let mut world = World::with(|config| {
        config.register_auth[0].info = Info::Both;
        config.register_auth[0].nonce_uses = Some(1);
    });
    let request = world.register("alice", ALICE);
    let asked = world.ask(ALICE, &request);
    let ok = world.ask(
        ALICE,
        &again(
            &request,
            2,
            credentials(&asked, &request, "alice", "wonderland", 1),
        ),
    );
    assert_eq!(ok.status(), Some(200));
    let info = ok.header("Authentication-Info").unwrap();
    let nonce = challenge_param(asked.header("WWW-Authenticate").unwrap(), "nonce");
    let a1 = md5("alice:example.com:wonderland");
    let proof = md5(&format!(
        "{a1}:{nonce}:00000001:0a4f113b:auth:{}",
        md5(":sip:example.com")
    ));
    assert_eq!(challenge_param(info, "rspauth"), proof);

    let used_up = again(
        &request,
        3,
        credentials(&asked, &request, "alice", "wonderland", 2),
    );
    assert_eq!(world.ask(ALICE, &used_up).status(), Some(401));
    let next = challenge_param(info, "nextnonce");
    let mut asked = asked;
    asked.set(
        "WWW-Authenticate",
        &format!("Digest realm=\"example.com\", nonce=\"{next}\""),
    );
    let with_next = again(
        &request,
        4,
        credentials(&asked, &request, "alice", "wonderland", 1),
    );
    assert_eq!(world.ask(ALICE, &with_next).status(), Some(200));
}

/// From the formulas of RFC 7616 §3.4; without qop, of RFC 2617 §3.2.2.
#[test]
fn all_algorithms_and_qops() {
    use sha2::Sha256;
    let sha = |text: &str| -> String {
        Sha256::digest(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let cases: [(Algorithm, &str, Qop, &str); 6] = [
        (Algorithm::Md5, "MD5", Qop::Absent, ""),
        (Algorithm::Md5Sess, "MD5-sess", Qop::Auth, "auth"),
        (Algorithm::Sha256, "SHA-256", Qop::Auth, "auth"),
        (Algorithm::Sha256, "SHA-256", Qop::Both, "auth-int"),
        (
            Algorithm::Sha256Sess,
            "SHA-256-sess",
            Qop::AuthInt,
            "auth-int",
        ),
        (Algorithm::Md5, "MD5", Qop::Both, "auth"),
    ];
    for (algorithm, name, offered, qop) in cases {
        let mut world = World::with(|config| {
            config.register_auth[0].algorithms = vec![algorithm];
            config.register_auth[0].qop = offered;
        });
        let hash = |text: String| {
            if name.starts_with("MD5") {
                md5(&text)
            } else {
                sha(&text)
            }
        };
        let request = world.register("alice", ALICE);
        let asked = world.ask(ALICE, &request);
        let challenge = asked.header("WWW-Authenticate").unwrap();
        assert_eq!(challenge_param(challenge, "algorithm"), name);
        let nonce = challenge_param(challenge, "nonce");
        let mut a1 = hash("alice:example.com:wonderland".into());
        if name.ends_with("-sess") {
            a1 = hash(format!("{a1}:{nonce}:xyz"));
        }
        let body = if qop == "auth-int" {
            format!(":{}", hash(String::new()))
        } else {
            String::new()
        };
        let a2 = hash(format!("REGISTER:sip:example.com{body}"));
        let (response, extra) = if qop.is_empty() {
            (hash(format!("{a1}:{nonce}:{a2}")), String::new())
        } else {
            let extra = format!(", qop={qop}, nc=00000001, cnonce=\"xyz\"");
            (hash(format!("{a1}:{nonce}:00000001:xyz:{qop}:{a2}")), extra)
        };
        let credentials = |response: &str| {
            format!(
                "Digest username=\"alice\", realm=\"example.com\", nonce=\"{nonce}\", uri=\"sip:example.com\", \
                 algorithm={name}, response=\"{response}\"{extra}"
            )
        };
        let flipped = again(
            &request,
            2,
            ("Authorization", credentials(&response.replace('0', "1"))),
        );
        assert_eq!(
            world.ask(ALICE, &flipped).status(),
            Some(401),
            "{name} {qop}"
        );
        let right = again(&request, 3, ("Authorization", credentials(&response)));
        assert_eq!(world.ask(ALICE, &right).status(), Some(200), "{name} {qop}");
    }
}

#[test]
fn both_realms_at_once() {
    use oma_im::testkit::server::{Challenge, ChallengeHeader};
    let mut world = World::with(|config| {
        config.request_auth = vec![
            Challenge::new(ChallengeHeader::Www, "users"),
            Challenge::new(ChallengeHeader::Proxy, "edge"),
        ];
    });
    let request = world.message("alice", ALICE, "sip:bob@example.com", "hi");
    let mut asked = world.ask(ALICE, &request);
    assert_eq!(asked.status(), Some(407));
    let proxy = credentials(&asked, &request, "alice", "wonderland", 1);
    asked.start = "SIP/2.0 401 Unauthorized".into();
    let www = credentials(&asked, &request, "alice", "wonderland", 1);
    let mut with_one = again(&request, 2, proxy);
    let still = world.ask(ALICE, &with_one);
    assert_eq!(still.status(), Some(401));
    assert!(still.header("Proxy-Authenticate").is_none());
    with_one.pop("Via");
    with_one.push_front("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-third");
    let proxy = with_one
        .header("Proxy-Authorization")
        .unwrap()
        .replace("nc=00000001", "nc=00000002");
    let a1 = md5("alice:edge:wonderland");
    let nonce = challenge_param(&proxy, "nonce");
    let response = md5(&format!(
        "{a1}:{nonce}:00000002:0a4f113b:auth:{}",
        md5("MESSAGE:sip:bob@example.com")
    ));
    let old = challenge_param(&proxy, "response");
    with_one.set("Proxy-Authorization", &proxy.replace(&old, &response));
    with_one.set(www.0, &www.1);
    assert_eq!(world.ask(ALICE, &with_one).status(), Some(202));
}

#[test]
fn a_message_is_routed_and_its_sender_asserted() {
    let mut world = World::with(|config| config.register_auth.clear());
    let register = world.register("bob", BOB);
    assert_eq!(world.ask(BOB, &register).status(), Some(200));

    let mut request = world.message("alice", ALICE, "sip:bob@example.com", "hello");
    request.push("Route", "<sip:192.0.2.9:5060;lr>");
    request.push("P-Preferred-Identity", "\"A.\" <tel:+15551230001>");
    let asked = world.ask(ALICE, &request);
    assert_eq!(asked.status(), Some(407));
    let request = again(
        &request,
        50,
        credentials(&asked, &request, "alice", "wonderland", 1),
    );
    world.send(ALICE, &request);
    world.run(40);
    let arrived = world.inbox(BOB).pop().unwrap();
    assert_eq!(arrived.start, "MESSAGE sip:bob@192.0.2.2:5060 SIP/2.0");
    assert_eq!(arrived.body, b"hello");
    assert_eq!(arrived.all("Via").len(), 2);
    assert_eq!(arrived.header("Max-Forwards"), Some("69"));
    assert_eq!(
        arrived.header("P-Asserted-Identity"),
        Some("<tel:+15551230001>")
    );
    assert_eq!(
        arrived.header("P-Called-Party-ID"),
        Some("<sip:bob@example.com>")
    );
    for absent in [
        "P-Preferred-Identity",
        "Proxy-Authorization",
        "Route",
        "Record-Route",
        "Contact",
    ] {
        assert_eq!(arrived.header(absent), None, "{absent}");
    }
    world.answer(BOB, &arrived, 200);
    world.run(100);
    let answer = world.inbox(ALICE).pop().unwrap();
    assert_eq!(answer.start, "SIP/2.0 200 Whatever");
    assert_eq!(answer.all("Via").len(), 1);
    assert_eq!(
        sip::param(answer.header("To").unwrap(), "tag").as_deref(),
        Some("callee")
    );
    assert_eq!(world.host.deadline(), None);
}

#[test]
fn privacy_hides_the_sender() {
    let mut world = World::open();
    for (user, address) in [("alice", ALICE), ("bob", BOB)] {
        let register = world.register(user, address);
        world.ask(address, &register);
    }
    let mut request = world.message("alice", ALICE, "sip:bob@example.com", "who am I?");
    request.set(
        "From",
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=x",
    );
    request.push("P-Preferred-Identity", "<sip:alice@example.com>");
    request.push("Privacy", "id");
    world.send(ALICE, &request);
    world.run(40);
    let arrived = world.inbox(BOB).pop().unwrap();
    let text = String::from_utf8(arrived.to_bytes()).unwrap();
    assert!(!text.contains("alice@"), "{text}");
    assert_eq!(arrived.header("P-Asserted-Identity"), None);

    // Without the wish, the flow says who it is.
    let request = world.message("alice", ALICE, "sip:bob@example.com", "it is me");
    world.send(ALICE, &request);
    world.run(40);
    let arrived = world.inbox(BOB).pop().unwrap();
    assert_eq!(
        arrived.header("P-Asserted-Identity"),
        Some("<sip:alice@example.com>")
    );
}

#[test]
fn away_stored_and_delivered_in_order_after_register() {
    let mut world = World::open();
    for text in ["one", "two"] {
        let request = world.message("alice", ALICE, "sip:bob@example.com", text);
        assert_eq!(world.ask(ALICE, &request).status(), Some(202));
    }
    let mut short = world.message("alice", ALICE, "sip:bob@example.com", "worth 10 s");
    short.push("Expires", "10");
    assert_eq!(world.ask(ALICE, &short).status(), Some(202));
    assert_eq!(world.host.server.stored("bob"), 3);

    world.run(11_000);
    let register = world.register("bob", BOB);
    world.send(BOB, &register);
    world.run(100);
    let mut inbox = world.inbox(BOB);
    assert_eq!(
        inbox.len(),
        2,
        "the 200 and the first message; the second waits for its answer"
    );
    assert_eq!(inbox[0].status(), Some(200));
    let one = inbox.pop().unwrap();
    assert_eq!(one.body, b"one");
    assert_eq!(one.all("Via").len(), 1, "a request of the server's own");
    world.answer(BOB, &one, 200);
    world.run(100);
    let two = world.inbox(BOB).pop().unwrap();
    assert_eq!(two.body, b"two");
    assert_ne!(two.header("Call-ID"), one.header("Call-ID"));
    world.answer(BOB, &two, 200);
    world.run(1_000);
    assert_eq!(world.inbox(BOB), []);
    assert_eq!(world.host.server.stored("bob"), 0);
    assert!(
        world
            .net
            .log()
            .notes("server")
            .contains(&"1 stored for bob expired".to_string())
    );
}

#[test]
fn registered_but_silent_is_away() {
    let mut world = World::open();
    let register = world.register("bob", BOB);
    world.ask(BOB, &register);
    let request = world.message("alice", ALICE, "sip:bob@example.com", "anybody home?");
    let start = world.net.now().as_millis() + 20;
    world.send(ALICE, &request);
    world.run(17_000);
    // RFC 3261 §17.1.2.2: Timer E doubles up to T2.
    let sent = world
        .net
        .log()
        .sent(|packet| packet.is_request("MESSAGE") && packet.to == at(BOB));
    let offsets: Vec<u64> = sent
        .iter()
        .map(|packet| packet.arrived().unwrap().as_millis() - 20 - start)
        .collect();
    assert_eq!(offsets, [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500]);
    assert_eq!(world.inbox(ALICE).pop().unwrap().status(), Some(202));
    assert_eq!(world.host.server.stored("bob"), 1);
}

#[test]
fn a_retransmission_gets_the_same_answer_and_is_forwarded_once() {
    let mut world = World::open();
    let register = world.register("bob", BOB);
    world.ask(BOB, &register);
    let request = world.message("alice", ALICE, "sip:bob@example.com", "once");
    world.send(ALICE, &request);
    world.run(40);
    world.send(ALICE, &request);
    world.run(40);
    let inbox = world.inbox(BOB);
    let [arrived] = &inbox[..] else {
        panic!("{inbox:?}")
    };
    world.answer(BOB, arrived, 200);
    world.run(40);
    world.send(ALICE, &request);
    world.run(40);
    let answers = world.inbox(ALICE);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_group_is_answered_202_and_fanned_out() {
    let mut world = World::open();
    world
        .host
        .server
        .add_group("friends", &["alice", "bob", "carol"]);
    for (user, address) in [("alice", ALICE), ("bob", BOB)] {
        let register = world.register(user, address);
        world.ask(address, &register);
    }
    let request = world.message("alice", ALICE, "sip:friends@example.com", "party");
    assert_eq!(world.ask(ALICE, &request).status(), Some(202));
    let to_bob = world.inbox(BOB).pop().unwrap();
    assert_eq!(to_bob.body, b"party");
    assert_eq!(to_bob.header("To"), Some("<sip:bob@example.com>"));
    assert_eq!(world.inbox(ALICE), [], "nobody gets their own message");
    assert_eq!(world.host.server.stored("carol"), 1);
}

#[test]
fn refusals() {
    let mut world = World::open();
    let status = |world: &mut World, change: &dyn Fn(&mut Sip), sip: Sip| {
        let mut sip = sip;
        change(&mut sip);
        world.ask(ALICE, &sip)
    };
    let request = world.message("alice", ALICE, "sip:nobody@example.com", "x");
    assert_eq!(status(&mut world, &|_| {}, request).status(), Some(404));
    let request = world.message("alice", ALICE, "sip:bob@example.net", "x");
    assert_eq!(status(&mut world, &|_| {}, request).status(), Some(404));
    let request = world.message("alice", ALICE, "sip:bob@example.com", "x");
    assert_eq!(
        status(&mut world, &|sip| sip.set("Max-Forwards", "0"), request).status(),
        Some(483)
    );
    let request = world.message("alice", ALICE, "sip:bob@example.com", "x");
    let answer = status(
        &mut world,
        &|sip| sip.push("Proxy-Require", "magic"),
        request,
    );
    assert_eq!(
        (answer.status(), answer.header("Unsupported")),
        (Some(420), Some("magic"))
    );
    let request = world.message("alice", ALICE, "sip:bob@example.com", "x");
    assert_eq!(
        status(&mut world, &|sip| sip.remove("Call-ID"), request).status(),
        Some(400)
    );
    let request = world.register("alice", ALICE);
    let answer = status(&mut world, &|sip| sip.set("Expires", "5"), request);
    assert_eq!(
        (answer.status(), answer.header("Min-Expires")),
        (Some(423), Some("60"))
    );
    let request = world.request("INFO", "sip:bob@example.com", "alice", ALICE);
    assert_eq!(status(&mut world, &|_| {}, request).status(), Some(405));
    let request = world.request("OPTIONS", "sip:example.com", "alice", ALICE);
    assert_eq!(status(&mut world, &|_| {}, request).status(), Some(200));
    world.host.server.config.store = Feature::Off;
    let request = world.message("alice", ALICE, "sip:bob@example.com", "x");
    assert_eq!(status(&mut world, &|_| {}, request).status(), Some(480));
}

#[test]
fn registrations_end_are_replaced_and_removed() {
    let mut world = World::open();
    let count = |world: &World| world.host.server.bindings(world.net.now(), "alice").len();
    let request = world.register("alice", ALICE);
    world.ask(ALICE, &request);
    let mut other = world.register("alice", ALICE);
    other.set("Contact", "<sip:alice@192.0.2.1:5080>;expires=100");
    assert_eq!(world.ask(ALICE, &other).all("Contact").len(), 2);
    world.run(101_000);
    assert_eq!(count(&world), 1);
    let mut stale = request.clone();
    stale.set("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-late");
    assert_eq!(
        world.ask(ALICE, &stale).status(),
        Some(500),
        "an old CSeq must not win (RFC 3261 §10.3)"
    );
    let mut all = world.register("alice", ALICE);
    all.set("Contact", "*");
    assert_eq!(
        world.ask(ALICE, &all).status(),
        Some(400),
        "only with Expires: 0"
    );
    let mut all = world.register("alice", ALICE);
    all.set("Contact", "*");
    all.set("Expires", "0");
    let ok = world.ask(ALICE, &all);
    assert_eq!(
        (ok.status(), ok.header("Contact"), count(&world)),
        (Some(200), None, 0)
    );
}

#[test]
fn outbound_and_gruu() {
    let mut world = World::with(|config| {
        config.register_auth.clear();
        config.outbound = Outbound::FlowTimer(90);
        config.gruu = Feature::On;
    });
    let contact = "<sip:alice@10.0.0.1:5060>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\";reg-id=1";
    let mut request = world.register("alice", ALICE);
    request.set("Contact", contact);
    request.push("Supported", "outbound, path, gruu");
    let ok = world.ask(ALICE, &request);
    assert_eq!(
        (ok.header("Require"), ok.header("Flow-Timer")),
        (Some("outbound"), Some("90"))
    );
    assert_eq!(
        ok.header("Contact").unwrap(),
        "<sip:alice@10.0.0.1:5060>;expires=600;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"\
         ;reg-id=1;pub-gruu=\"sip:alice@example.com;gr=urn:uuid:00000000-0000-1000-8000-000A95A0E128\""
    );
    // Another contact with the same instance and reg-id takes its place (RFC 5626 §6).
    let mut moved = world.register("alice", ALICE);
    moved.set("Contact", &contact.replace("10.0.0.1", "10.0.0.2"));
    moved.push("Supported", "outbound");
    assert_eq!(world.ask(ALICE, &moved).all("Contact").len(), 1);
}

#[test]
fn temporary_gruus_are_new_with_each_register_and_good_for_one_call_id() {
    let mut world = World::with(|config| {
        config.register_auth.clear();
        config.request_auth.clear();
        config.temporary_gruu = Feature::On;
    });
    let contact = format!("<sip:alice@{ALICE}>;+sip.instance=\"<urn:uuid:1>\"");
    let mut given = Vec::new();
    // (Call-ID, Expires, how many of those that were given so far are good then)
    for (call_id, expires, good) in [
        ("a", "600", 1),
        ("a", "600", 2),
        ("b", "600", 1),
        ("b", "0", 0),
        ("b", "600", 1),
    ] {
        let mut request = world.register("alice", ALICE);
        request.set("Contact", &contact);
        request.set("Call-ID", call_id);
        request.set("Expires", expires);
        request.push("Supported", "gruu");
        let ok = world.ask(ALICE, &request);
        let contact = ok.header("Contact");
        given.extend(contact.and_then(|contact| sip::param(contact, "temp-gruu")));
        let reached = |gruu: &&String| {
            let request = world.message("bob", BOB, gruu, "x");
            world.send(BOB, &request);
            world.run(100);
            let arrived = world.inbox(ALICE);
            for message in &arrived {
                world.answer(ALICE, message, 200);
            }
            world.run(100);
            let status = world.inbox(BOB).pop().unwrap().status();
            assert_eq!(status, Some(if arrived.is_empty() { 404 } else { 200 }));
            !arrived.is_empty()
        };
        assert_eq!(given.iter().filter(reached).count(), good, "{given:?}");
    }
    assert_eq!(given.len(), 4);
}

#[test]
fn behind_address_translation_only_the_flow_reaches_a_phone() {
    for outbound in [false, true] {
        let mut world = World::open();
        world.net.behind_nat("bob", at("203.0.113.2:0").ip(), None);
        let mut request = world.register("bob", BOB);
        if outbound {
            request.set(
                "Contact",
                "<sip:bob@192.0.2.2:5060>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
            );
            request.push("Supported", "outbound");
        }
        let ok = world.ask(BOB, &request);
        let via = ok.header("Via").unwrap();
        assert!(via.ends_with(";rport=30001;received=203.0.113.2"), "{via}");
        let request = world.message("alice", ALICE, "sip:bob@example.com", "x");
        world.send(ALICE, &request);
        world.run(100);
        assert_eq!(world.inbox(BOB).len(), usize::from(outbound));
    }
}

/// Reads whole messages and keep-alives off what arrived on a connection.
fn read_stream(got: &[Delivery], conn: ConnId) -> Vec<u8> {
    got.iter()
        .filter_map(|delivery| match delivery {
            Delivery::Stream {
                conn: on,
                side: Side::Client,
                bytes,
            } if *on == conn => Some(bytes.clone()),
            _ => None,
        })
        .flatten()
        .collect()
}

#[test]
fn a_stream_in_single_bytes_and_its_end() {
    let mut world = World::open();
    world.net.conditions.split = StreamSplit::Every(1);
    let conn = world
        .net
        .connect(at("192.0.2.2:0"), at(SERVER), Transport::Tcp);
    world.run(50);
    let mut register = world.register("bob", "192.0.2.2:49152").to_bytes();
    register.extend_from_slice(b"\r\n\r\n");
    world.net.send_stream(conn, Side::Client, &register);
    world.run(100);
    let read = read_stream(&world.got, conn);
    let ok = Sip::parse(&read).unwrap();
    assert_eq!(ok.status(), Some(200));
    assert!(read.ends_with(b"\r\n\r\n\r\n"), "a pong behind the 200");
    world.got.clear();

    // A message comes over the flow.
    let request = world.message("alice", ALICE, "sip:bob@example.com", "over TCP");
    world.send(ALICE, &request);
    world.run(100);
    let arrived = Sip::parse(&read_stream(&world.got, conn)).unwrap();
    assert!(
        arrived
            .header("Via")
            .unwrap()
            .starts_with("SIP/2.0/TCP 192.0.2.9:5060;branch=")
    );
    // The flow ends before the answer: the message goes into the store, and nobody is registered any more.
    world.net.close(conn, Side::Client);
    world.run(100);
    assert_eq!(world.inbox(ALICE).pop().unwrap().status(), Some(202));
    assert_eq!(world.host.server.stored("bob"), 1);
    assert!(
        world
            .host
            .server
            .bindings(world.net.now(), "bob")
            .is_empty()
    );
}

#[test]
fn scripted_misbehaviour() {
    let mut world = World::open();
    let to_bob = "sip:bob@example.com";
    let server = &mut world.host.server;
    let warning = r#"119 example.com "Anonymity not allowed""#;
    server.script(
        Rule::on("MESSAGE")
            .from_user("alice")
            .skip(1)
            .then(Then::Answer(Answer::new(403).header("Warning", warning))),
    );
    server.script(
        Rule::on("MESSAGE")
            .to_user("carol")
            .times(2)
            .then(Then::Silence),
    );
    server.script(Rule::on("OPTIONS").then(Then::Delay(700)));
    server.script(Rule::on("REGISTER").then(Then::edit(|sip| sip.start = "SIP/2.0 200 Ok".into())));

    let first = world.message("alice", ALICE, to_bob, "1");
    assert_eq!(world.ask(ALICE, &first).status(), Some(202));
    let second = world.message("alice", ALICE, to_bob, "2");
    let answer = world.ask(ALICE, &second);
    assert_eq!(
        (answer.start.as_str(), answer.header("Warning")),
        ("SIP/2.0 403 Forbidden", Some(warning))
    );
    let third = world.message("alice", ALICE, to_bob, "3");
    assert_eq!(world.ask(ALICE, &third).status(), Some(202));

    let silent = world.message("alice", ALICE, "sip:carol@example.com", "?");
    for _ in 0..3 {
        world.send(ALICE, &silent);
        world.run(500);
    }
    assert_eq!(world.inbox(ALICE), []);
    assert_eq!(world.host.server.stored("carol"), 0);

    let options = world.request("OPTIONS", "sip:example.com", "alice", ALICE);
    world.send(ALICE, &options);
    world.run(700);
    assert_eq!(world.inbox(ALICE), []);
    world.run(40);
    assert_eq!(world.inbox(ALICE).len(), 1);

    let register = world.register("alice", ALICE);
    assert_eq!(world.ask(ALICE, &register).start, "SIP/2.0 200 Ok");
}

#[test]
fn challenges_without_end_and_a_connection_closed() {
    let mut world = World::new();
    world.host.server.script(
        Rule::on("REGISTER")
            .with_credentials()
            .forever()
            .then(Then::ChallengeStale),
    );
    world
        .host
        .server
        .script(Rule::on("OPTIONS").then(Then::CloseFlow));
    let request = world.register("alice", ALICE);
    let mut asked = world.ask(ALICE, &request);
    for cseq in 2..6 {
        asked = world.ask(
            ALICE,
            &again(
                &request,
                cseq,
                credentials(&asked, &request, "alice", "wonderland", 1),
            ),
        );
        assert_eq!(asked.status(), Some(401));
        assert!(
            asked
                .header("WWW-Authenticate")
                .unwrap()
                .ends_with("stale=true")
        );
    }
    let conn = world
        .net
        .connect(at("192.0.2.1:0"), at(SERVER), Transport::Tls);
    world.run(50);
    let options = world.request("OPTIONS", "sip:example.com", "alice", "192.0.2.1:49152");
    world
        .net
        .send_stream(conn, Side::Client, &options.to_bytes());
    world.run(100);
    assert!(matches!(
        world.got[..],
        [
            Delivery::Connected { .. },
            Delivery::Closed {
                side: Side::Client,
                ..
            }
        ]
    ));
}

#[test]
fn stun_is_answered_with_the_mapped_address() {
    let mut world = World::open();
    world
        .net
        .behind_nat("alice", at("203.0.113.1:0").ip(), None);
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
    request.extend_from_slice(b"abcdefghijkl");
    world.net.send_datagram(at(ALICE), at(SERVER), &request);
    world.run(100);
    let Some(Delivery::Datagram { bytes, .. }) = world.got.pop() else {
        panic!()
    };
    assert_eq!(bytes[..8], [1, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42]);
    assert_eq!(bytes[8..20], *b"abcdefghijkl");
    let port = u16::from_be_bytes([bytes[26], bytes[27]]) ^ 0x2112;
    assert_eq!(
        (bytes[20..26].to_vec(), port),
        (vec![0, 0x20, 0, 8, 0, 1], 30_001)
    );
    let address: Vec<u8> = bytes[28..]
        .iter()
        .zip([0x21, 0x12, 0xA4, 0x42])
        .map(|(a, b)| a ^ b)
        .collect();
    assert_eq!(address, [203, 0, 113, 1]);
}

#[test]
fn the_server_sends_requests_of_its_own() {
    let mut world = World::open();
    let register = world.register("bob", BOB);
    world.ask(BOB, &register);
    let mut sip = Sip::request("MESSAGE", "sip:bob@example.com");
    sip.push("Call-ID", "from-the-server");
    sip.push("Content-Type", "application/unheard-of");
    sip.body = b"?".to_vec();
    assert_eq!(world.host.server.inject(world.net.now(), "bob", sip), 1);
    world.host.drain(&mut world.net);
    world.run(40);
    let arrived = world.inbox(BOB).pop().unwrap();
    world.answer(BOB, &arrived, 415);
    world.run(40);
    assert_eq!(
        world.host.server.answers(),
        [("from-the-server".to_string(), 415)]
    );
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let mut world = World::open();
    let register = world.register("bob", BOB);
    world.ask(BOB, &register);
    world.net.drop_nth(1, |packet| packet.is_response(200));
    let request = world.message("alice", ALICE, "sip:bob@example.com", "x");
    world.send(ALICE, &request);
    world.run(50);
    let arrived = world.inbox(BOB).pop().unwrap();
    world.answer(BOB, &arrived, 200);
    world.run(500);
    let repeated = world.inbox(BOB).pop().unwrap();
    assert_eq!(repeated, arrived);
    world.answer(BOB, &repeated, 200);
    world.run(100);
    assert_eq!(world.inbox(ALICE).pop().unwrap().status(), Some(200));
    let lost = world.net.log().sent(|packet| packet.is_lost());
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].fate, oma_im::testkit::log::Fate::Lost(Lost::Script));
}

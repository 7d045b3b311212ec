//! The IMS core: AKA, security agreement, protected paths. Clauses of TS 24.229 as far as they are quoted.

use oma_im::testkit::net::Side;
use oma_im::testkit::server::{
    AkaAlgorithm, Answer, Config, Feature, Ims, Qop, Refresh, Rule, Stage, Then, Vector,
};

use super::{ALICE, SERVER, Sip, Transport, World, at, md5, read_stream};

const HOME: &str = "ims.example.com";
const PRIVATE: &str = "alice_private@ims.example.com";
const PROTECTED: &str = "192.0.2.9:7531";
/// Where alice is reached over protected paths.
const ALICE_S: &str = "192.0.2.1:1357";

/// Test set 1 of TS 35.208.
fn vector() -> Vector {
    Vector {
        rand: hex("23553cbe9637a89d218ae64dae47bf35"),
        autn: hex("55f328b43577b9b94a9ffac354dfafb3"),
        res: 0xa542_11d5_e3ba_50bf_u64.to_be_bytes().to_vec(),
        ik: hex("f769bcd751044604127672711c6d3441"),
        ck: hex("b40ba9a3c58b2a05bbf0d987b21bf8cb"),
    }
}

fn hex(digits: &str) -> [u8; 16] {
    u128::from_str_radix(digits, 16).unwrap().to_be_bytes()
}

/// The same with another RAND, so that its nonce is another one.
fn vector_like(n: u8) -> Vector {
    Vector {
        rand: [n; 16],
        res: vec![n, 0, 0xFF, n],
        ..vector()
    }
}

/// The nonce of [`vector`], and the response to it with AKAv1 and without qop (golden 29a, 29b).
const NONCE: &str = "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M=";
const RESPONSE: &str = "02de6bc5a2aee227bc571dd30fc078e0";

fn offer(n: u16) -> String {
    let spi = 2_000 + 2 * n;
    format!(
        "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={spi};spi-s={};port-c={};port-s=1357",
        spi + 1,
        port_c(n)
    )
}

fn port_c(n: u16) -> u16 {
    2_468 + n
}

/// The nonce of a challenge. It ends in `=`, which other readers of parameters take for a separator.
fn nonce(asked: &Sip) -> String {
    let value = asked.header("WWW-Authenticate").unwrap();
    let (_, rest) = value.split_once("nonce=\"").unwrap();
    rest.split('"').next().unwrap().into()
}

/// RFC 2617 §3.2.2.1 without qop, the password as octets.
fn response(nonce: &str, password: &[u8]) -> String {
    use md5::{Digest, Md5};
    let a1 = [format!("{PRIVATE}:{HOME}:").as_bytes(), password].concat();
    let a1: String = Md5::digest(a1)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    md5(&format!(
        "{a1}:{nonce}:{}",
        md5("REGISTER:sip:ims.example.com")
    ))
}

impl World {
    fn ims(change: impl FnOnce(&mut Ims)) -> Self {
        Self::ims_with(|config| change(config.ims.as_mut().unwrap()))
    }

    fn ims_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut world = Self::with(|config| {
            config.domain = HOME.into();
            config.ims = Some(Ims::new());
            config.service_route = vec!["<sip:orig@scscf.ims.example.com;lr>".into()];
            change(config);
        });
        let server = &mut world.host.server;
        server.user_mut("alice").unwrap().auth_name = PRIVATE.into();
        server.add_vectors("alice", &[vector()]);
        world
    }

    /// A request of alice outside of dialogs, for the path with the n-th offer.
    fn over(&mut self, n: u16, method: &str, uri: &str) -> Sip {
        let mut sip = self.request(method, uri, "alice", ALICE_S);
        sip.pop("Via");
        let branch = format!(
            "SIP/2.0/UDP {ALICE_S};branch=z9hG4bK-{method}-{}",
            self.cseq
        );
        sip.push_front("Via", &branch);
        sip.set("From", &format!("<sip:alice@{HOME}>;tag=t"));
        sip.push(
            "Route",
            "<sip:pcscf.ims.example.com:7531;lr>, <sip:orig@scscf.ims.example.com;lr>",
        );
        sip.push("Require", "sec-agree");
        sip.push("Proxy-Require", "sec-agree");
        let now = self.net.now();
        let known = self.host.server.associations(now, "alice");
        let list = known
            .iter()
            .find(|known| known.offer.port_c == port_c(n))
            .map(|known| {
                format!(
                    "ipsec-3gpp;q=0.5;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c={};spi-s={};port-c={};port-s=7531",
                    87_654_321 + 2 * u32::from(known.port_c - 8_642),
                    87_654_322 + 2 * u32::from(known.port_c - 8_642),
                    known.port_c
                )
            });
        sip.push("Security-Verify", &list.unwrap_or_default());
        sip.push(
            "P-Access-Network-Info",
            "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010001a2b",
        );
        sip
    }

    /// REGISTER with these credentials and the n-th offer, not protected.
    fn first(&mut self, n: u16, credentials: &str) -> Sip {
        let mut sip = self.request("REGISTER", "sip:ims.example.com", "alice", ALICE);
        sip.set("From", &format!("<sip:alice@{HOME}>;tag=t"));
        sip.set("To", &format!("<sip:alice@{HOME}>"));
        sip.push("Contact", "<sip:alice@192.0.2.1:5060>");
        sip.push("Expires", "600");
        sip.push("Supported", "path");
        sip.push(
            "Authorization",
            &format!(
                "Digest username=\"{PRIVATE}\", realm=\"{HOME}\", uri=\"sip:{HOME}\", {credentials}"
            ),
        );
        sip.push("Require", "sec-agree");
        sip.push("Proxy-Require", "sec-agree");
        sip.push("Security-Client", &offer(n));
        sip
    }

    /// The same over the protected path of the `by`-th offer.
    fn second(&mut self, by: u16, n: u16, credentials: &str) -> Sip {
        let mut sip = self.first(n, credentials);
        let over = self.over(by, "REGISTER", "sip:ims.example.com");
        // One request, not two.
        self.cseq -= 1;
        sip.set("Contact", &format!("<sip:alice@{ALICE_S}>"));
        for name in ["Via", "Security-Verify", "P-Access-Network-Info"] {
            sip.set(name, over.header(name).unwrap());
        }
        sip
    }

    /// Sends over the protected path of the n-th offer, and gives what comes back on it.
    fn protected(&mut self, n: u16, sip: &Sip) -> Option<Sip> {
        let from = format!("192.0.2.1:{}", port_c(n));
        self.net
            .send_datagram(at(&from), at(PROTECTED), &sip.to_bytes());
        self.run(100);
        self.inbox(ALICE_S).pop()
    }

    /// Registers by the vector of test set 1, on the first offer.
    fn established(&mut self) {
        let sip = self.first(0, "nonce=\"\", response=\"\"");
        assert_eq!(self.ask(ALICE, &sip).status(), Some(401));
        let sip = self.second(0, 0, &right());
        let ok = self.protected(0, &sip).unwrap();
        assert_eq!(ok.status(), Some(200), "{}", ok.start);
    }

    fn violations(&self) -> Vec<String> {
        self.host.server.violations().to_vec()
    }

    fn stages(&self) -> Vec<(u16, Stage)> {
        let now = self.net.now();
        let known = self.host.server.associations(now, "alice").into_iter();
        known
            .map(|known| (known.offer.port_c, known.stage))
            .collect()
    }
}

fn right() -> String {
    format!("nonce=\"{NONCE}\", algorithm=AKAv1-MD5, response=\"{RESPONSE}\"")
}

const EMPTY: &str = "nonce=\"\", response=\"\"";

#[test]
fn a_registration_by_aka_ends_on_a_protected_path() {
    let mut world = World::ims(|ims| ims.path = vec!["<sip:term@pcscf.ims.example.com;lr>".into()]);
    let sip = world.first(0, EMPTY);
    let asked = world.ask(ALICE, &sip);
    assert_eq!(asked.status(), Some(401));
    assert_eq!(
        asked.header("WWW-Authenticate"),
        Some(
            "Digest realm=\"ims.example.com\", nonce=\"I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M=\", algorithm=AKAv1-MD5"
        )
    );
    let list = "ipsec-3gpp;q=0.5;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=87654321;spi-s=87654322;port-c=8642;port-s=7531";
    assert_eq!(asked.header("Security-Server"), Some(list));
    assert_eq!(world.stages(), [(2_468, Stage::Temporary)]);

    let sip = world.second(0, 0, &right());
    assert_eq!(sip.header("Security-Verify"), Some(list));
    let ok = world.protected(0, &sip).unwrap();
    assert_eq!(ok.status(), Some(200));
    assert_eq!(
        ok.header("Path"),
        Some("<sip:term@pcscf.ims.example.com;lr>")
    );
    assert_eq!(
        ok.header("Service-Route"),
        Some("<sip:orig@scscf.ims.example.com;lr>")
    );
    assert_eq!(world.stages(), [(2_468, Stage::Established)]);
    let last = world.net.log().sent(|packet| packet.is_response(200));
    assert_eq!(
        (last[0].from, last[0].to),
        (at("192.0.2.9:8642"), at(ALICE_S)),
        "from port-c to port-s"
    );
    assert_eq!(world.violations(), [""; 0]);

    // It lives 30 s longer than the registration.
    let now = world.net.now();
    let until = world.host.server.associations(now, "alice")[0].until;
    let bound = world.host.server.bindings(now, "alice")[0].until;
    assert_eq!(until.since(bound), 30_000);
}

#[test]
fn requests_of_the_server_come_from_port_c_to_port_s() {
    let mut world = World::ims(|_| ());
    world.established();
    let subscribe = {
        let mut sip = world.over(0, "SUBSCRIBE", "sip:alice@ims.example.com");
        sip.push("Event", "reg");
        sip.push("Contact", "<sip:alice@192.0.2.1:1357>");
        sip
    };
    world
        .net
        .send_datagram(at("192.0.2.1:2468"), at(PROTECTED), &subscribe.to_bytes());
    world.run(100);
    let got = world.inbox(ALICE_S);
    let [ok, notify] = &got[..] else {
        panic!("{got:?}")
    };
    assert_eq!(
        ok.header("Contact"),
        Some("<sip:notifier@192.0.2.9:7531>"),
        "requests in the dialog have to be protected too"
    );
    let via = notify.header("Via").unwrap();
    assert!(
        via.starts_with("SIP/2.0/UDP 192.0.2.9:7531;branch="),
        "{via}"
    );
    let sent = world.net.log().sent(|packet| packet.is_request("NOTIFY"));
    assert_eq!(
        (sent[0].from, sent[0].to),
        (at("192.0.2.9:8642"), at(ALICE_S))
    );
    // The answer goes from port-c to port-s; from anywhere else it is not heard.
    let answer = Sip::response(notify, 200, "OK", "");
    world
        .net
        .send_datagram(at(ALICE_S), at("192.0.2.9:8642"), &answer.to_bytes());
    world
        .net
        .send_datagram(at(ALICE), at(SERVER), &answer.to_bytes());
    world.run(100);
    assert_eq!(world.host.server.answers(), []);
    assert_eq!(world.violations().len(), 2);
    world
        .net
        .send_datagram(at("192.0.2.1:2468"), at(PROTECTED), &answer.to_bytes());
    world.run(100);
    assert_eq!(world.host.server.answers().len(), 1);
    assert_eq!(world.violations().len(), 2);

    // And a refresh in the dialog.
    let mut refresh = world.over(0, "SUBSCRIBE", "sip:notifier@192.0.2.9:7531");
    refresh.remove("Route");
    refresh.set("To", ok.header("To").unwrap());
    refresh.push("Event", "reg");
    refresh.push("Contact", "<sip:alice@192.0.2.1:1357>");
    let notify = world.protected(0, &refresh).unwrap();
    assert_eq!(notify.header("CSeq"), Some("2 NOTIFY"));
    assert_eq!(world.violations().len(), 2);
}

#[test]
fn a_wrong_response_is_refused_and_a_late_one_not_heard() {
    let mut world = World::ims(|_| ());
    let sip = world.first(0, EMPTY);
    world.ask(ALICE, &sip);
    let wrong = world.second(0, 0, &right().replace("02de", "12de"));
    assert_eq!(world.protected(0, &wrong).unwrap().status(), Some(403));
    assert_eq!(world.stages(), []);

    let sip = world.first(1, EMPTY);
    world.ask(ALICE, &sip);
    let late = world.second(1, 1, &right());
    world.run(240_000);
    assert_eq!(world.protected(1, &late), None);
    assert_eq!(
        world.violations(),
        ["REGISTER from 192.0.2.1:2469 without a security association"]
    );
}

#[test]
fn akav2_server_data_and_the_proof_of_the_server() {
    // Computed with another implementation of HMAC and MD5.
    let mut world = World::ims(|ims| ims.algorithm = AkaAlgorithm::V2Md5);
    let sip = world.first(0, EMPTY);
    let asked = world.ask(ALICE, &sip);
    assert!(
        asked
            .header("WWW-Authenticate")
            .unwrap()
            .ends_with("algorithm=AKAv2-MD5")
    );
    let credentials = format!(
        "nonce=\"{NONCE}\", algorithm=AKAv2-MD5, response=\"9543366ebf162b8b1b8f716228c66c15\""
    );
    let sip = world.second(0, 0, &credentials);
    assert_eq!(world.protected(0, &sip).unwrap().status(), Some(200));

    let mut world = World::ims(|ims| {
        ims.server_data = b"server data".to_vec();
        ims.rspauth = Feature::On;
        ims.qop = Qop::Auth;
    });
    let sip = world.first(0, EMPTY);
    let asked = world.ask(ALICE, &sip);
    let long = nonce(&asked);
    assert_eq!(
        long,
        "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7NzZXJ2ZXIgZGF0YQ=="
    );
    let challenge = asked.header("WWW-Authenticate").unwrap();
    assert!(challenge.ends_with(", qop=\"auth\""), "{challenge}");
    // A response without qop is one of RFC 2069, and accepted.
    let credentials = format!(
        "nonce=\"{long}\", algorithm=AKAv1-MD5, response=\"{}\"",
        response(&long, &vector().res)
    );
    let sip = world.second(0, 0, &credentials);
    let ok = world.protected(0, &sip).unwrap();
    assert_eq!(ok.status(), Some(200));
    assert_eq!(
        ok.header("Authentication-Info"),
        Some("rspauth=\"b6c987d8c38f5c82b96daef47cea9498\"")
    );
    assert_eq!(world.violations(), [""; 0]);
}

#[test]
fn what_the_card_refuses_is_challenged_anew_with_the_next_vector() {
    let mut world = World::ims(|_| ());
    let server = &mut world.host.server;
    server.add_vectors("alice", &[vector_like(2), vector_like(3)]);
    let sip = world.first(0, EMPTY);
    let first = world.ask(ALICE, &sip);
    assert_eq!(nonce(&first), NONCE);

    // A wrong MAC: an empty response (TS 24.229 §5.1.1.5.3).
    let sip = world.first(
        1,
        &format!("nonce=\"{NONCE}\", algorithm=AKAv1-MD5, response=\"\""),
    );
    let second = world.ask(ALICE, &sip);
    assert_eq!(second.status(), Some(401));
    let list = second.header("Security-Server").unwrap();
    assert!(list.contains("port-c=8643;port-s=7531"), "{list}");

    // A sequence number out of range: AUTS, and the response of the empty password.
    let n = nonce(&second);
    let empty = response(&n, b"");
    let sip = world.first(
        2,
        &format!("nonce=\"{n}\", algorithm=AKAv1-MD5, response=\"{empty}\", auts=\"AAECAwQFBgcICQoLDA0=\""),
    );
    let third = world.ask(ALICE, &sip);
    assert_eq!(third.status(), Some(401));
    let auts: Vec<u8> = (0..14).collect();
    assert_eq!(
        world.host.server.synchronisations(),
        [("alice".to_string(), auts)]
    );
    // Only the path of the newest challenge is there.
    assert_eq!(world.stages(), [(2_470, Stage::Temporary)]);

    let n = nonce(&third);
    let proof = response(&n, &vector_like(3).res);
    let sip = world.second(
        2,
        2,
        &format!("nonce=\"{n}\", algorithm=AKAv1-MD5, response=\"{proof}\""),
    );
    assert_eq!(world.protected(2, &sip).unwrap().status(), Some(200));
    assert_eq!(world.violations(), [""; 0]);
}

#[test]
fn a_failure_of_the_card_has_rules_of_its_own() {
    let told = |n: u16, credentials: &str, change: fn(&mut Sip)| {
        let mut world = World::ims(|_| ());
        let sip = world.first(0, EMPTY);
        world.ask(ALICE, &sip);
        let mut sip = world.first(
            n,
            &format!("nonce=\"{NONCE}\", algorithm=AKAv1-MD5, {credentials}"),
        );
        change(&mut sip);
        assert_eq!(world.ask(ALICE, &sip).status(), Some(401));
        world.violations()
    };
    assert_eq!(
        told(0, "response=\"\"", |_| ()),
        ["Security-Client was not renewed"]
    );
    assert_eq!(
        told(1, "response=\"\", auts=\"AAECAwQFBgcICQoLDA==\"", |_| ()),
        ["AUTS has not 14 octets"]
    );
    assert_eq!(
        told(
            1,
            &format!("response=\"{RESPONSE}\", auts=\"AAECAwQFBgcICQoLDA0=\""),
            |_| ()
        ),
        ["response beside AUTS is not that of the empty password"]
    );
    assert_eq!(
        told(1, "response=\"\"", |sip| sip.set("Call-ID", "new")),
        ["REGISTER has not the Call-ID and the CSeq that follow the challenge"]
    );
    assert_eq!(
        told(1, &format!("response=\"{RESPONSE}\""), |_| ()),
        ["the first REGISTER has a nonce or a response"]
    );
}

#[test]
fn the_first_register_is_refused_without_an_agreement_and_says_nothing_of_the_cell() {
    type Change = fn(&mut Sip);
    let cases: [(Change, u16, &str); 6] = [
        (
            |sip| {
                sip.remove("Require");
                sip.remove("Proxy-Require");
            },
            421,
            "unprotected REGISTER without a security agreement",
        ),
        (
            |sip| sip.remove("Security-Client"),
            494,
            "unprotected REGISTER without a security agreement",
        ),
        (
            |sip| sip.set("Security-Client", "tls;q=0.1"),
            494,
            "unprotected REGISTER without a security agreement",
        ),
        (
            |sip| sip.remove("Authorization"),
            403,
            "REGISTER without Authorization",
        ),
        (
            |sip| sip.push("P-Access-Network-Info", "IEEE-802.11"),
            401,
            "P-Access-Network-Info in an unprotected REGISTER",
        ),
        (
            |sip| {
                let value = sip
                    .header("Authorization")
                    .unwrap()
                    .replace("realm=\"ims.", "realm=\"");
                sip.set("Authorization", &value);
            },
            400,
            "Authorization does not name the home network",
        ),
    ];
    for (change, status, violation) in cases {
        let mut world = World::ims(|_| ());
        let mut sip = world.first(0, EMPTY);
        change(&mut sip);
        let answer = world.ask(ALICE, &sip);
        assert_eq!(answer.status(), Some(status), "{violation}");
        assert_eq!(world.violations(), [violation]);
        if matches!(status, 421 | 494) {
            assert_eq!(answer.header("Require"), Some("sec-agree"));
            let list = answer.header("Security-Server").unwrap();
            assert!(list.starts_with("ipsec-3gpp;q=0.5;"), "{list}");
        }
    }
    let mut world = World::ims(|_| ());
    let mut stranger = world.first(0, EMPTY);
    let value = stranger
        .header("Authorization")
        .unwrap()
        .replace("alice_p", "mallory_p");
    stranger.set("Authorization", &value);
    assert_eq!(world.ask(ALICE, &stranger).status(), Some(403));
    let message = world.message("alice", ALICE, "sip:bob@ims.example.com", "hi");
    assert_eq!(world.ask(ALICE, &message).status(), Some(403));
    assert_eq!(
        world.violations(),
        ["MESSAGE outside of a security association"]
    );
}

#[test]
fn every_protected_request_repeats_the_list_and_requires_the_agreement() {
    type Change = fn(&mut Sip);
    let cases: [(Change, Option<u16>, &str); 10] = [
        (|_| (), Some(202), ""),
        (
            |sip| sip.remove("Security-Verify"),
            Some(494),
            "Security-Verify of MESSAGE is not the server's list",
        ),
        (
            |sip| {
                let list = sip
                    .header("Security-Verify")
                    .unwrap()
                    .replace("0.5", "0.50");
                sip.set("Security-Verify", &list);
            },
            Some(494),
            "Security-Verify of MESSAGE is not the server's list",
        ),
        (
            |sip| sip.remove("Require"),
            Some(202),
            "Require of a protected MESSAGE lacks sec-agree",
        ),
        (
            |sip| sip.remove("Proxy-Require"),
            Some(202),
            "Proxy-Require of a protected MESSAGE lacks sec-agree",
        ),
        (
            |sip| sip.push("Security-Client", &offer(0)),
            Some(202),
            "Security-Client in MESSAGE",
        ),
        (
            |sip| sip.set("Route", "<sip:orig@scscf.ims.example.com;lr>"),
            Some(202),
            "Route of MESSAGE is not port-s and Service-Route",
        ),
        (
            |sip| sip.set("Route", "<sip:pcscf.ims.example.com:7531;lr>"),
            Some(202),
            "Route of MESSAGE is not port-s and Service-Route",
        ),
        (
            |sip| sip.set("Via", "SIP/2.0/UDP 192.0.2.1:2468;branch=z9hG4bK-c"),
            Some(202),
            "Via of a protected MESSAGE does not name port-s",
        ),
        (
            |sip| sip.push("Contact", "<sip:alice@192.0.2.1:5060>"),
            Some(202),
            "Contact of a protected MESSAGE does not name port-s",
        ),
    ];
    for (change, status, violation) in cases {
        let mut world = World::ims(|_| ());
        world.established();
        let mut sip = world.over(0, "MESSAGE", "sip:bob@ims.example.com");
        change(&mut sip);
        let answer = world.protected(0, &sip);
        assert_eq!(
            answer.and_then(|answer| answer.status()),
            status,
            "{violation}"
        );
        let expected: &[&str] = if violation.is_empty() {
            &[]
        } else {
            &[violation]
        };
        assert_eq!(world.violations(), expected);
    }
}

#[test]
fn ack_and_cancel_carry_nothing_of_it() {
    for (method, name) in [
        ("ACK", "Security-Verify"),
        ("CANCEL", "Security-Verify"),
        ("PRACK", "Security-Verify"),
        ("ACK", "P-Access-Network-Info"),
        ("CANCEL", "P-Access-Network-Info"),
    ] {
        let mut world = World::ims(|_| ());
        world.established();
        let mut bare = world.over(0, method, "sip:bob@ims.example.com");
        for name in [
            "Require",
            "Proxy-Require",
            "Security-Verify",
            "P-Access-Network-Info",
        ] {
            bare.remove(name);
        }
        world.protected(0, &bare);
        assert_eq!(world.violations(), [""; 0], "{method}");
        bare.set("Via", &(bare.header("Via").unwrap().to_string() + "x"));
        bare.push(name, "ipsec-3gpp");
        world.protected(0, &bare);
        assert_eq!(world.violations(), [format!("{name} in {method}")]);
    }
}

#[test]
fn what_goes_on_to_others_has_lost_the_fields_of_the_hop() {
    let mut world = World::ims(|_| ());
    world.established();
    let server = &mut world.host.server;
    server.script(Rule::on("MESSAGE").then(Then::Delay(0)));
    let mut sip = world.over(0, "MESSAGE", "sip:alice@ims.example.com");
    sip.body = b"to myself".to_vec();
    world
        .net
        .send_datagram(at("192.0.2.1:2468"), at(PROTECTED), &sip.to_bytes());
    world.run(100);
    let arrived = world.inbox(ALICE_S).pop().unwrap();
    assert_eq!(arrived.body, b"to myself");
    for name in [
        "Require",
        "Proxy-Require",
        "Security-Verify",
        "P-Access-Network-Info",
        "Route",
    ] {
        assert_eq!(arrived.header(name), None);
    }
    assert_eq!(
        arrived.header("P-Asserted-Identity"),
        Some("<sip:alice@ims.example.com>")
    );
    assert_eq!(world.violations(), [""; 0]);
}

#[test]
fn a_trusted_refresh_repeats_the_last_response_and_offers_a_new_path() {
    let mut world = World::ims(|_| ());
    world.established();
    let sip = world.second(0, 1, &right());
    assert_eq!(world.protected(0, &sip).unwrap().status(), Some(200));
    assert_eq!(world.stages(), [(2_468, Stage::Established)]);
    assert_eq!(world.violations(), [""; 0]);

    let sip = world.second(0, 0, &right());
    assert_eq!(world.protected(0, &sip).unwrap().status(), Some(200));
    assert_eq!(world.violations(), ["Security-Client was not renewed"]);

    let sip = world.second(0, 1, EMPTY);
    assert_eq!(world.protected(0, &sip).unwrap().status(), Some(401));
    assert_eq!(
        world.violations()[1..],
        ["REGISTER does not repeat the last nonce and response"]
    );
}

#[test]
fn a_challenged_refresh_makes_a_new_path_and_the_old_one_ends_with_its_transactions() {
    let mut world = World::ims(|ims| ims.refresh = Refresh::Challenged);
    let server = &mut world.host.server;
    server.add_vectors("alice", &[vector_like(2)]);
    world.established();
    let sip = world.second(0, 1, &right());
    let asked = world.protected(0, &sip).unwrap();
    assert_eq!(asked.status(), Some(401));
    assert_eq!(
        world.stages(),
        [(2_468, Stage::Established), (2_469, Stage::Temporary)]
    );
    let n = nonce(&asked);
    let proof = response(&n, &vector_like(2).res);
    let credentials = format!("nonce=\"{n}\", algorithm=AKAv1-MD5, response=\"{proof}\"");
    let sip = world.second(1, 1, &credentials);
    assert_eq!(world.protected(1, &sip).unwrap().status(), Some(200));

    // The server goes on with the old path until it hears something on the new one.
    let notify = |world: &mut World, port: u16| {
        let mut sip = Sip::request("MESSAGE", "sip:alice@ims.example.com");
        sip.push("Content-Type", "text/plain");
        world.host.server.inject(world.net.now(), "alice", sip);
        world.host.drain(&mut world.net);
        let sent = world.net.log().sent(|packet| packet.is_request("MESSAGE"));
        let last = sent
            .iter()
            .rfind(|packet| packet.to == at(ALICE_S))
            .unwrap();
        assert_eq!(last.from.port(), port);
        world.run(20_000);
        world.inbox(ALICE_S);
    };
    notify(&mut world, 8_642);
    let message = world.over(1, "MESSAGE", "sip:bob@ims.example.com");
    assert_eq!(world.protected(1, &message).unwrap().status(), Some(202));
    notify(&mut world, 8_643);
    assert_eq!(world.stages().len(), 2, "its transactions may still run");
    world.run(12_000);
    assert_eq!(world.stages(), [(2_469, Stage::Established)]);
    assert_eq!(world.violations(), [""; 0]);
}

#[test]
fn deregistration_ends_the_path_with_its_last_transaction() {
    let mut world = World::ims(|_| ());
    world.established();
    let mut sip = world.second(0, 1, &right());
    sip.set("Expires", "0");
    assert_eq!(world.protected(0, &sip).unwrap().status(), Some(200));
    assert_eq!(world.stages().len(), 1);
    world.run(32_000);
    assert_eq!(world.stages(), []);
    assert_eq!(world.violations(), [""; 0]);
}

#[test]
fn an_edge_that_has_restarted_hears_nothing() {
    let mut world = World::ims(|_| ());
    world.established();
    let sip = world.over(0, "MESSAGE", "sip:bob@ims.example.com");
    world.host.server.forget_associations();
    assert_eq!(world.protected(0, &sip), None);
    assert_eq!(
        world.violations(),
        ["MESSAGE from 192.0.2.1:2468 without a security association"]
    );
}

#[test]
fn a_barred_identity_is_registered_and_told_to_nobody() {
    let mut world = World::ims(|_| ());
    let user = world.host.server.user_mut("alice").unwrap();
    user.barred.push("sip:alice@ims.example.com".into());
    user.identities.push("sip:al@ims.example.com".into());
    let sip = world.first(0, EMPTY);
    world.ask(ALICE, &sip);
    let sip = world.second(0, 0, &right());
    let ok = world.protected(0, &sip).unwrap();
    assert_eq!(
        ok.all("P-Associated-URI"),
        ["<tel:+15551230001>", "<sip:al@ims.example.com>"]
    );
    let mut sip = world.over(0, "SUBSCRIBE", "sip:al@ims.example.com");
    sip.set("From", "<sip:al@ims.example.com>;tag=t");
    sip.push("Event", "reg");
    sip.push("Contact", "<sip:alice@192.0.2.1:1357>");
    let notify = world.protected(0, &sip).unwrap();
    let text = String::from_utf8(notify.body).unwrap();
    assert!(text.contains("aor=\"sip:al@ims.example.com\""), "{text}");
    assert!(!text.contains("aor=\"sip:alice@"), "{text}");
    assert_eq!(world.violations(), [""; 0]);

    let mut sip = world.over(0, "MESSAGE", "sip:bob@ims.example.com");
    sip.push("P-Preferred-Identity", "<sip:alice@ims.example.com>");
    world.protected(0, &sip);
    assert_eq!(
        world.violations(),
        [
            "MESSAGE names a barred identity",
            "MESSAGE names a barred identity"
        ],
        "in From and in P-Preferred-Identity"
    );
}

#[test]
fn over_tcp_the_path_is_one_connection_from_port_c() {
    let mut world = World::ims(|_| ());
    let sip = world.first(0, EMPTY);
    world.ask(ALICE, &sip);
    let conn = world
        .net
        .connect(at("192.0.2.1:2468"), at(PROTECTED), Transport::Tcp);
    world.run(50);
    let sip = world.second(0, 0, &right());
    world.net.send_stream(conn, Side::Client, &sip.to_bytes());
    world.run(100);
    let ok = Sip::parse(&read_stream(&world.got, conn)).unwrap();
    assert_eq!(ok.status(), Some(200));
    world.got.clear();
    let notify = Sip::request("MESSAGE", "sip:alice@ims.example.com");
    world.host.server.inject(world.net.now(), "alice", notify);
    world.host.drain(&mut world.net);
    world.run(100);
    let arrived = Sip::parse(&read_stream(&world.got, conn)).unwrap();
    let via = arrived.header("Via").unwrap();
    assert!(via.starts_with("SIP/2.0/TCP 192.0.2.9:7531;"), "{via}");
    assert_eq!(world.violations(), [""; 0]);
}

#[test]
fn the_network_offers_what_the_test_says() {
    let mut world = World::ims(|ims| ims.mechanisms.clear());
    let sip = world.first(0, EMPTY);
    let asked = world.ask(ALICE, &sip);
    assert_eq!(
        (asked.status(), asked.header("Security-Server")),
        (Some(401), None)
    );
    assert_eq!(world.stages(), []);

    let mut world = World::ims(|ims| {
        ims.mechanisms = vec![
            "tls;q=0.2".into(),
            "ipsec-3gpp;q=0.1;alg=hmac-md5-96;ealg=null".into(),
        ];
    });
    let sip = world.first(0, EMPTY);
    let asked = world.ask(ALICE, &sip);
    assert_eq!(
        asked.all("Security-Server"),
        [
            "tls;q=0.2",
            "ipsec-3gpp;q=0.1;alg=hmac-md5-96;ealg=null;spi-c=87654321;spi-s=87654322;port-c=8642;port-s=7531"
        ]
    );
    let both = asked.header("Security-Server").unwrap().to_string();
    let mut sip = world.second(0, 0, &right());
    sip.set("Security-Verify", &both);
    assert_eq!(world.protected(0, &sip).unwrap().status(), Some(200));
}

#[test]
fn scripts_have_their_place_behind_the_path() {
    let mut world = World::ims(|_| ());
    world.established();
    let restoration = Answer::new(504)
        .header("P-Asserted-Identity", "<sip:orig@scscf.ims.example.com;lr>")
        .body("application/3gpp-ims+xml", b"<ims-3gpp version=\"1\"/>");
    let server = &mut world.host.server;
    server.script(Rule::on("MESSAGE").then(Then::Answer(restoration)));
    server.script(Rule::on("REGISTER").then(Then::Challenge));
    let sip = world.over(0, "MESSAGE", "sip:bob@ims.example.com");
    let answer = world.protected(0, &sip).unwrap();
    assert_eq!(answer.start, "SIP/2.0 504 Server Time-out");
    assert_eq!(
        answer.header("Content-Type"),
        Some("application/3gpp-ims+xml")
    );
    assert_eq!(answer.body, b"<ims-3gpp version=\"1\"/>");
    let sip = world.second(0, 1, &right());
    assert_eq!(world.protected(0, &sip).unwrap().status(), Some(401));
    assert_eq!(world.violations(), [""; 0]);
}

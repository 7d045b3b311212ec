//! The digest client (RFC 3261 §22, RFC 7616, RFC 8760) against the scripted server, which checks
//! every digest with code of its own.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod ladder;

use ladder::{Bare, HOUR, MINUTE, SECOND, attempts, branch, cseq, digest, header, requests};
use md5::{Digest, Md5};
use oma_im::client::{Answer as Secret, SendOutcome};
use oma_im::config::{Config, Credentials, DigestFloor, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::id::{ChallengeId, FlowId};
use oma_im::im::pager::Outgoing;
use oma_im::testkit::net::Conditions;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{
    Algorithm, Answer, Challenge, ChallengeHeader, Config as ServerConfig, Info, Qop, Rule, Then,
};
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;

const HELLO: Outgoing<'static> = Outgoing::text("sip:alice@example.com", "Hello myself");

fn proxy() -> Challenge {
    Challenge::new(ChallengeHeader::Proxy, "example.com")
}

fn www() -> Challenge {
    Challenge::new(ChallengeHeader::Www, "example.com")
}

/// A world with a registered phone, and a server that was changed before.
fn registered(seed: u64, change: impl FnOnce(&mut ServerConfig)) -> World {
    let mut world = World::with(seed, Conditions::default(), change);
    world.phone("alice", Transport::Udp);
    world.register_all();
    world
}

/// Sends a message and gives its outcome.
fn send(world: &mut World) -> SendOutcome {
    let id = world
        .act(0, |client, now| client.send_message(now, &HELLO))
        .unwrap();
    world.run(5 * MINUTE);
    let outcome = |event: &Happened| match event {
        Happened::Sent(of, outcome) if *of == id => Some(*outcome),
        _ => None,
    };
    let ends: Vec<SendOutcome> = world.phones[0].events.iter().filter_map(outcome).collect();
    assert_eq!(ends.len(), 1, "one terminal event");
    ends[0]
}

fn messages(world: &World) -> Vec<Sip> {
    attempts(world, "alice", "MESSAGE")
        .into_iter()
        .map(|(_, sip)| sip)
        .collect()
}

fn credentials(sip: &Sip) -> Vec<String> {
    ["Authorization", "Proxy-Authorization"]
        .into_iter()
        .flat_map(|name| sip.header(name))
        .map(str::to_owned)
        .collect()
}

fn nonce_and_count(sip: &Sip) -> (String, String) {
    let credentials = header(sip, "Proxy-Authorization");
    (
        digest(credentials, "nonce").unwrap(),
        digest(credentials, "nc").unwrap(),
    )
}

const DELIVERED: SendOutcome = SendOutcome::Delivered { status: 200 };

// What is asked for, and what is answered.

/// What is asked for, how, and the algorithm and qop of the answer.
type Row = (
    &'static str,
    Qop,
    &'static [Algorithm],
    &'static str,
    Option<&'static str>,
);

#[test]
fn each_kind_of_challenge_is_answered_as_it_asks() {
    use Algorithm::{Md5, Md5Sess, Sha256, Sha256Sess};
    let rows: [Row; 11] = [
        ("no qop", Qop::Absent, &[Md5], "MD5", None),
        ("auth", Qop::Auth, &[Md5], "MD5", Some("auth")),
        (
            "auth-int only",
            Qop::AuthInt,
            &[Md5],
            "MD5",
            Some("auth-int"),
        ),
        ("both", Qop::Both, &[Md5], "MD5", Some("auth")),
        ("MD5-sess", Qop::Auth, &[Md5Sess], "MD5-sess", Some("auth")),
        ("SHA-256", Qop::Auth, &[Sha256], "SHA-256", Some("auth")),
        ("SHA-256 no qop", Qop::Absent, &[Sha256], "SHA-256", None),
        (
            "SHA-256-sess, auth-int",
            Qop::AuthInt,
            &[Sha256Sess],
            "SHA-256-sess",
            Some("auth-int"),
        ),
        // RFC 8760 §2.4: the topmost one that is supported.
        (
            "two, SHA-256 on top",
            Qop::Auth,
            &[Sha256, Md5],
            "SHA-256",
            Some("auth"),
        ),
        (
            "two, MD5 on top",
            Qop::Auth,
            &[Md5, Sha256],
            "MD5",
            Some("auth"),
        ),
        (
            "three",
            Qop::Auth,
            &[Sha256Sess, Sha256, Md5],
            "SHA-256-sess",
            Some("auth"),
        ),
    ];
    for (name, qop, algorithms, algorithm, answered) in rows {
        let mut world = registered(1, |config| {
            config.request_auth = vec![Challenge {
                algorithms: algorithms.to_vec(),
                qop,
                ..proxy()
            }];
        });
        assert_eq!(send(&mut world), DELIVERED, "{name}");
        let sent = messages(&world);
        assert_eq!(sent.len(), 2, "{name}");
        assert!(credentials(&sent[0]).is_empty(), "{name}");
        let given = header(&sent[1], "Proxy-Authorization");
        assert_eq!(
            digest(given, "algorithm").as_deref(),
            Some(algorithm),
            "{name}"
        );
        // RFC 7616 §3.4: qop only if it was offered, and nc and cnonce only with qop — but for a
        // session algorithm, whose A1 needs the cnonce.
        assert_eq!(digest(given, "qop").as_deref(), answered, "{name}");
        let nc = answered.map(|_| "00000001");
        assert_eq!(digest(given, "nc").as_deref(), nc, "{name}");
        assert_eq!(
            digest(given, "cnonce").is_some(),
            answered.is_some(),
            "{name}"
        );
        assert_eq!(
            digest(given, "uri").as_deref(),
            Some("sip:alice@example.com"),
            "{name}"
        );
        assert_eq!(
            digest(given, "username").as_deref(),
            Some("alice"),
            "{name}"
        );
        assert_eq!(
            digest(given, "realm").as_deref(),
            Some("example.com"),
            "{name}"
        );
    }
}

#[test]
fn a_register_is_answered_like_any_request() {
    for (qop, algorithm) in [
        (Qop::Absent, Algorithm::Md5),
        (Qop::AuthInt, Algorithm::Sha256),
        (Qop::Auth, Algorithm::Sha256Sess),
    ] {
        let world = registered(2, |config| {
            config.register_auth = vec![Challenge {
                algorithms: vec![algorithm],
                qop,
                ..www()
            }];
        });
        assert_eq!(requests(&world, "alice", "REGISTER").len(), 2);
    }
}

/// RFC 3261 §22.2: the same request, with the next CSeq.
#[test]
fn a_retry_is_the_same_request_with_the_next_cseq_and_a_new_branch() {
    let mut world = registered(3, |_| ());
    assert_eq!(send(&mut world), DELIVERED);
    let [first, second] = &messages(&world)[..] else {
        panic!("two attempts")
    };
    for same in [
        "From",
        "To",
        "Call-ID",
        "User-Agent",
        "Accept-Contact",
        "Content-Type",
    ] {
        assert_eq!(header(first, same), header(second, same));
    }
    assert_eq!(first.body, second.body);
    assert_eq!(cseq(second), cseq(first) + 1);
    assert_ne!(branch(first), branch(second));
}

#[test]
fn a_401_and_then_a_407_are_both_answered() {
    let mut world = registered(4, |_| ());
    world.server().script(
        Rule::on("MESSAGE").then(Then::Answer(Answer::new(401).header(
            "WWW-Authenticate",
            r#"Digest realm="example.com", nonce="w", qop="auth", opaque="o,p""#,
        ))),
    );
    assert_eq!(send(&mut world), DELIVERED);
    let sent = messages(&world);
    assert_eq!(sent.len(), 3);
    assert_eq!(credentials(&sent[1]).len(), 1);
    assert_eq!(
        credentials(&sent[2]).len(),
        2,
        "the first one is not dropped"
    );
    for (sip, nc) in [(&sent[1], "00000001"), (&sent[2], "00000002")] {
        let given = header(sip, "Authorization");
        assert_eq!(digest(given, "nonce").as_deref(), Some("w"));
        assert_eq!(digest(given, "nc").as_deref(), Some(nc));
        assert_eq!(digest(given, "opaque").as_deref(), Some("o,p"));
    }
}

#[test]
fn two_challenges_at_once_are_answered_at_once() {
    let mut world = registered(5, |config| config.request_auth = vec![www(), proxy()]);
    assert_eq!(send(&mut world), DELIVERED);
    let sent = messages(&world);
    assert_eq!(sent.len(), 2);
    assert_eq!(credentials(&sent[1]).len(), 2);
}

// Nonces.

#[test]
fn a_nonce_is_used_again_with_the_next_count() {
    let mut world = registered(6, |_| ());
    for _ in 0..3 {
        assert_eq!(send(&mut world), DELIVERED);
    }
    let sent = messages(&world);
    assert_eq!(sent.len(), 4, "one challenge for three messages");
    let (nonce, first) = nonce_and_count(&sent[1]);
    assert_eq!(first, "00000001");
    assert_eq!(
        nonce_and_count(&sent[2]),
        (nonce.clone(), "00000002".into())
    );
    assert_eq!(nonce_and_count(&sent[3]), (nonce, "00000003".into()));
}

#[test]
fn requests_in_flight_share_a_nonce_and_never_a_count() {
    let mut world = registered(7, |_| ());
    assert_eq!(send(&mut world), DELIVERED);
    for n in 0..5 {
        let to = format!("sip:friend{n}@example.com");
        let hello = Outgoing::text(&to, "Hello");
        world
            .act(0, |client, now| client.send_message(now, &hello))
            .unwrap();
    }
    world.run(SECOND);
    let sent = messages(&world);
    assert_eq!(sent.len(), 7, "no further challenge");
    let counts: Vec<String> = sent[1..].iter().map(|sip| nonce_and_count(sip).1).collect();
    let expected: Vec<String> = (1..=6).map(|n| format!("{n:08x}")).collect();
    assert_eq!(counts, expected);
}

#[test]
fn a_refresh_uses_the_nonce_of_the_registration() {
    let mut world = registered(8, |_| ());
    world.run(3 * HOUR);
    let sent = requests(&world, "alice", "REGISTER");
    assert_eq!(sent.len(), 5, "one challenge");
    for (n, (_, sip)) in sent.iter().enumerate().skip(1) {
        let given = header(sip, "Authorization");
        assert_eq!(digest(given, "nc"), Some(format!("{n:08x}")));
    }
}

#[test]
fn the_count_starts_again_with_a_new_nonce_stale_or_not() {
    for then in [Then::Challenge, Then::ChallengeStale] {
        let mut world = registered(9, |_| ());
        assert_eq!(send(&mut world), DELIVERED);
        world.server().script(Rule::on("MESSAGE").then(then));
        assert_eq!(send(&mut world), DELIVERED);
        let sent = messages(&world);
        assert_eq!(sent.len(), 4);
        let (old, second) = nonce_and_count(&sent[2]);
        assert_eq!(second, "00000002");
        let (new, first) = nonce_and_count(&sent[3]);
        assert_ne!(old, new);
        assert_eq!(first, "00000001");
    }
}

#[test]
fn nonces_that_the_server_forgot_are_replaced() {
    let mut world = registered(10, |_| ());
    assert_eq!(send(&mut world), DELIVERED);
    world.server().forget_nonces();
    assert_eq!(send(&mut world), DELIVERED);
    world.server().forget_nonces();
    world.run(HOUR);
    assert!(world.phones[0].client.is_ready());
    assert!(!world.saw(0, |event| matches!(event, Happened::Retrying { .. })));
}

#[test]
fn nonces_for_one_use_cost_one_challenge_each() {
    let mut world = registered(11, |config| {
        config.request_auth = vec![Challenge {
            nonce_uses: Some(1),
            ..proxy()
        }];
    });
    for _ in 0..3 {
        assert_eq!(send(&mut world), DELIVERED);
    }
    assert_eq!(messages(&world).len(), 6);
}

/// RFC 7616 §3.5.
#[test]
fn the_next_nonce_is_taken_from_authentication_info() {
    for qop in [Qop::Auth, Qop::Absent] {
        let mut world = registered(12, |config| {
            config.request_auth = vec![Challenge {
                info: Info::NextNonce,
                nonce_uses: Some(1),
                qop,
                ..proxy()
            }];
        });
        for _ in 0..3 {
            assert_eq!(send(&mut world), DELIVERED);
        }
        let sent = messages(&world);
        assert_eq!(sent.len(), 4, "only the first is challenged");
        let nonces: Vec<_> = sent[1..]
            .iter()
            .map(|sip| digest(header(sip, "Proxy-Authorization"), "nonce"))
            .collect();
        assert!(nonces[0] != nonces[1] && nonces[1] != nonces[2]);
        for sip in &sent[1..] {
            let nc = digest(header(sip, "Proxy-Authorization"), "nc");
            assert!(nc.is_none_or(|nc| nc == "00000001"));
        }
    }
}

// Refusals.

#[test]
fn a_wrong_password_ends_in_the_original_status() {
    let mut world = World::new(13);
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        credentials: Credentials::Password {
            user: "alice",
            password: "wrong",
        },
        ..config
    });
    world
        .act(alice, |client, now| client.register(now))
        .unwrap();
    world.run(24 * HOUR);
    let failure = Failure::Credentials { status: 401 };
    assert!(world.saw(alice, |event| *event == Happened::Failed(failure)));
    let sent = requests(&world, "alice", "REGISTER").len();
    assert!((2..=3).contains(&sent), "{sent} requests");
}

/// Requirement 1: attempts are capped, and the cap yields the status of the server.
#[test]
fn a_server_that_challenges_for_ever_gets_a_bounded_number_of_requests() {
    for then in [Then::Challenge, Then::ChallengeStale] {
        let mut world = registered(14, |_| ());
        world
            .server()
            .script(Rule::on("MESSAGE").forever().then(then));
        let failure = Failure::Credentials { status: 407 };
        assert_eq!(send(&mut world), SendOutcome::Failed(failure));
        let sent = messages(&world).len();
        assert!((2..=4).contains(&sent), "{sent} requests");
    }
}

#[test]
fn ever_new_realms_get_a_bounded_number_of_answers() {
    let mut bare = Bare::registered(Transport::Tcp, |config| config);
    bare.act(|client, now| client.send_message(now, &HELLO))
        .unwrap();
    for n in 0..50 {
        let before = bare.requests("MESSAGE").len();
        let challenge = format!(r#"Digest realm="r{n}", nonce="{n}", qop="auth""#);
        bare.answer(
            FlowId(1),
            "MESSAGE",
            407,
            &[("Proxy-Authenticate", &challenge)],
        );
        if bare.requests("MESSAGE").len() == before {
            break;
        }
    }
    let sent = bare.requests("MESSAGE").len();
    assert!(sent <= 7, "{sent} requests");
    assert_eq!(
        bare.saw("Credentials { status: 407 }"),
        1,
        "{:?}",
        bare.events
    );
}

/// Requirements §2 (CVE-2021-41158): a stranger is not told what depends on the password.
#[test]
fn a_realm_that_is_not_ours_is_not_answered() {
    let evil = r#"Digest realm="evil.example.net", nonce="n", qop="auth""#;
    // After a registration its realm is ours.
    for (status, name) in [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")] {
        let mut world = registered(15, |_| ());
        let answer = Answer::new(status).header(name, evil);
        world
            .server()
            .script(Rule::on("MESSAGE").then(Then::Answer(answer)));
        let outcome = send(&mut world);
        assert!(
            matches!(outcome, SendOutcome::Failed(Failure::Status { status: of, .. }) if of == status),
            "{outcome:?}"
        );
        assert_eq!(messages(&world).len(), 1);
        assert_eq!(world.phones[0].client.stats().challenges_ignored, 1);
    }
    // With both, only the one that is ours.
    let mut world = registered(16, |_| ());
    let answer = Answer::new(407).header("Proxy-Authenticate", evil).header(
        "Proxy-Authenticate",
        r#"Digest realm="example.com", nonce="n", qop="auth""#,
    );
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Answer(answer)));
    assert_eq!(send(&mut world), DELIVERED);
    for sip in messages(&world) {
        for given in credentials(&sip) {
            assert_eq!(digest(&given, "realm").as_deref(), Some("example.com"));
        }
    }
    // Before it, the configured one is.
    let mut world = World::new(17);
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        realm: Some("home.example.org"),
        ..config
    });
    world
        .act(alice, |client, now| client.register(now))
        .unwrap();
    world.run(HOUR);
    assert_eq!(requests(&world, "alice", "REGISTER").len(), 1);
}

#[test]
fn below_the_floor_nothing_is_answered() {
    let phone = |world: &mut World| {
        let alice = world.phone_with("alice", Transport::Udp, |config| Config {
            digest_floor: DigestFloor::Sha256,
            ..config
        });
        world
            .act(alice, |client, now| client.register(now))
            .unwrap();
        world.run(SECOND);
    };
    let mut world = World::new(18);
    phone(&mut world);
    assert_eq!(requests(&world, "alice", "REGISTER").len(), 1);
    assert!(world.saw(0, |event| matches!(event, Happened::Failed(_))));
    // RFC 8760 §2.4: MD5 on top is skipped, not taken.
    let mut world = World::with(19, Conditions::default(), |config| {
        config.register_auth = vec![Challenge {
            algorithms: vec![Algorithm::Md5, Algorithm::Sha256],
            ..www()
        }];
    });
    phone(&mut world);
    assert!(world.phones[0].client.is_ready());
    let given = requests(&world, "alice", "REGISTER")[1].1.clone();
    let algorithm = digest(header(&given, "Authorization"), "algorithm");
    assert_eq!(algorithm.as_deref(), Some("SHA-256"));
}

#[test]
fn what_cannot_be_answered_ends_in_its_own_status() {
    for challenge in [
        r#"Digest realm="example.com", nonce="n", algorithm=NEWER"#,
        r#"Digest realm="example.com", nonce="n", qop="token""#,
        r#"Basic realm="example.com""#,
        r#"Digest realm="example.com""#,
        "",
    ] {
        let mut world = registered(20, |_| ());
        let mut answer = Answer::new(401);
        if !challenge.is_empty() {
            answer = answer.header("WWW-Authenticate", challenge);
        }
        world
            .server()
            .script(Rule::on("MESSAGE").then(Then::Answer(answer)));
        let outcome = send(&mut world);
        assert!(
            matches!(
                outcome,
                SendOutcome::Failed(Failure::Status { status: 401, .. })
            ),
            "{challenge}: {outcome:?}"
        );
        assert_eq!(messages(&world).len(), 1, "{challenge}");
        // The next message is none the worse for it.
        assert_eq!(send(&mut world), DELIVERED, "{challenge}");
    }
}

// Sources of the secret.

fn ha1() -> [u8; 16] {
    Md5::digest(b"alice:example.com:alicepw").into()
}

#[test]
fn an_ha1_serves_in_place_of_the_password() {
    let with_ha1 = |world: &mut World| {
        let alice = world.phone_with("alice", Transport::Udp, |config| Config {
            credentials: Credentials::Ha1 {
                user: "alice",
                realm: "example.com",
                ha1: ha1(),
            },
            ..config
        });
        world
            .act(alice, |client, now| client.register(now))
            .unwrap();
        world.run(SECOND);
    };
    let mut world = World::new(21);
    with_ha1(&mut world);
    assert!(world.phones[0].client.is_ready());
    assert_eq!(send(&mut world), DELIVERED);
    // It was made for MD5 and is of no use for SHA-256: the topmost that it serves is taken.
    let mut world = World::with(22, Conditions::default(), |config| {
        config.register_auth = vec![Challenge {
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            ..www()
        }];
    });
    with_ha1(&mut world);
    assert!(world.phones[0].client.is_ready());
    // Nor for another realm.
    let mut world = World::with(23, Conditions::default(), |config| {
        config.register_auth = vec![Challenge::new(ChallengeHeader::Www, "example.org")];
    });
    with_ha1(&mut world);
    assert_eq!(requests(&world, "alice", "REGISTER").len(), 1);
}

/// A phone that asks, with its first REGISTER under way.
fn asking(seed: u64) -> World {
    let mut world = World::new(seed);
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        credentials: Credentials::Ask { user: "alice" },
        ..config
    });
    world
        .act(alice, |client, now| client.register(now))
        .unwrap();
    world.run(SECOND);
    world
}

fn asked(world: &World) -> Vec<(ChallengeId, String)> {
    let challenge = |event: &Happened| match event {
        Happened::Challenge { id, realm, .. } => Some((*id, realm.clone())),
        _ => None,
    };
    world.phones[0]
        .events
        .iter()
        .filter_map(challenge)
        .collect()
}

#[test]
fn the_application_is_asked_once_and_its_answer_is_kept() {
    for secret in [Secret::Password(b"alicepw"), Secret::Ha1(ha1())] {
        let mut world = asking(24);
        let [(id, realm)] = &asked(&world)[..] else {
            panic!("asked {:?}", asked(&world))
        };
        assert_eq!(realm, "example.com");
        // The application takes its time; the server does not wait for it.
        world.run(MINUTE);
        world
            .act(0, |client, now| client.answer(now, *id, secret))
            .unwrap();
        world.run(SECOND);
        assert!(world.phones[0].client.is_ready());
        assert_eq!(send(&mut world), DELIVERED);
        assert_eq!(asked(&world).len(), 1);
        let late = world.act(0, |client, now| client.answer(now, *id, secret));
        assert_eq!(late, Err(CommandError::UnknownId));
    }
}

#[test]
fn an_abandoned_challenge_ends_the_request() {
    let mut world = asking(25);
    let id = asked(&world)[0].0;
    world
        .act(0, |client, now| client.answer(now, id, Secret::Abandon))
        .unwrap();
    world.run(24 * HOUR);
    assert_eq!(requests(&world, "alice", "REGISTER").len(), 1);
    let failure = Failure::Credentials { status: 401 };
    assert!(world.saw(0, |event| *event == Happened::Failed(failure)));
}

#[test]
fn a_challenge_that_nobody_answers_is_given_up_in_time() {
    let mut world = asking(26);
    world.run(238 * SECOND);
    assert!(!world.saw(0, |event| matches!(event, Happened::Failed(_))));
    world.run(2 * SECOND);
    assert!(world.saw(0, |event| matches!(event, Happened::Failed(_))));
    assert_eq!(world.phones[0].client.usage().requests, 0);
}

#[test]
fn a_message_whose_challenge_is_abandoned_ends_abandoned() {
    let mut bare = Bare::registered(Transport::Tcp, |config| Config {
        credentials: Credentials::Ask { user: "alice" },
        ..config
    });
    for answer in [Some(Secret::Abandon), None] {
        bare.act(|client, now| client.send_message(now, &HELLO))
            .unwrap();
        let challenge = r#"Digest realm="example.com", nonce="n", qop="auth""#;
        bare.answer(
            FlowId(1),
            "MESSAGE",
            407,
            &[("Proxy-Authenticate", challenge)],
        );
        let before = bare.saw("Failed(Abandoned)");
        match answer {
            Some(answer) => {
                let id = challenge_id(&bare);
                bare.act(|client, now| client.answer(now, id, answer))
                    .unwrap();
            }
            None => bare.run(240 * SECOND),
        }
        assert_eq!(bare.saw("Failed(Abandoned)"), before + 1);
    }
}

/// The id in the last `Challenge` event of a bare client.
fn challenge_id(bare: &Bare) -> ChallengeId {
    let event = bare
        .events
        .iter()
        .rev()
        .find(|(_, event)| event.starts_with("Challenge"))
        .unwrap();
    let number = event.1.split_once("ChallengeId(").unwrap().1;
    ChallengeId(number.split_once(')').unwrap().0.parse().unwrap())
}

#[test]
fn a_wrong_answer_is_forgotten_and_the_user_asked_again_next_time() {
    let mut world = asking(27);
    let id = asked(&world)[0].0;
    world
        .act(0, |client, now| {
            client.answer(now, id, Secret::Password(b"wrong"))
        })
        .unwrap();
    world.run(MINUTE);
    let failure = Failure::Credentials { status: 401 };
    assert!(world.saw(0, |event| *event == Happened::Failed(failure)));
    world.act(0, |client, now| client.register(now)).unwrap();
    world.run(SECOND);
    let (again, _) = asked(&world).pop().unwrap();
    assert_ne!(again, id);
    world
        .act(0, |client, now| {
            client.answer(now, again, Secret::Password(b"alicepw"))
        })
        .unwrap();
    world.run(SECOND);
    assert!(world.phones[0].client.is_ready());
}

#[test]
fn one_answer_serves_all_that_wait_for_it() {
    let mut bare = Bare::registered(Transport::Tcp, |config| Config {
        credentials: Credentials::Ask { user: "alice" },
        ..config
    });
    let challenge = r#"Digest realm="example.com", nonce="n", qop="auth""#;
    for to in ["sip:bob@example.com", "sip:carol@example.com"] {
        let hello = Outgoing::text(to, "Hello");
        bare.act(|client, now| client.send_message(now, &hello))
            .unwrap();
        bare.answer(
            FlowId(1),
            "MESSAGE",
            407,
            &[("Proxy-Authenticate", challenge)],
        );
    }
    let id = challenge_id(&bare);
    bare.act(|client, now| client.answer(now, id, Secret::Password(b"alicepw")))
        .unwrap();
    let with = bare
        .requests("MESSAGE")
        .into_iter()
        .filter(|(_, _, sip)| !credentials(sip).is_empty())
        .map(|(_, _, sip)| nonce_and_count(&sip).1);
    assert_eq!(with.collect::<Vec<_>>(), ["00000001", "00000002"]);
}

//! Floods: a hundred times what the tables hold (CVE-2021-41145, CVE-2018-7286, CVE-2020-28327).
//!
//! What is asserted of each: memory stays where it was, every request that can be answered gets the
//! right answer, what is under way ends as if nothing had happened, and all is given back.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

#[path = "common/rig.rs"]
mod rig;

use std::collections::BTreeMap;

use oma_im::client::{Answer, SendOutcome};
use oma_im::config::{Config, Strangers, Transport};
use oma_im::id::{FlowId, SendId};
use oma_im::im::pager::Outgoing;
use oma_im::limits::MAX_FLOWS;
use oma_im::storage::Small;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::Sip;
use rig::{Rig, Taken, request};

/// Transactions of `Small`.
const TXNS: usize = 8;
const FLOOD: usize = 100 * TXNS;

const METHODS: [&str; 15] = [
    "MESSAGE",
    "OPTIONS",
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "NOTIFY",
    "SUBSCRIBE",
    "REFER",
    "PUBLISH",
    "REGISTER",
    "INFO",
    "UPDATE",
    "PRACK",
    "FOO",
];

fn small(transport: Transport, strangers: Strangers) -> Rig<Box<Small>> {
    let mut rig = Rig::with(Box::new(Small::new()), transport, |config| Config {
        strangers,
        ..config
    });
    rig.register();
    rig
}

fn flooding(transport: Transport, method: &str, n: usize) -> Sip {
    let mut sip = request(transport, method, &format!("z9hG4bKflood{n}"));
    if method == "MESSAGE" {
        sip.push("Content-Type", "text/plain");
        sip.body = b"x".to_vec();
    }
    sip
}

/// The answer when there is room.
fn usual(method: &str) -> Option<u16> {
    Some(match method {
        "ACK" => return None,
        "MESSAGE" | "OPTIONS" => 200,
        "BYE" | "CANCEL" | "NOTIFY" | "UPDATE" | "PRACK" => 481,
        _ => 405,
    })
}

/// A message under way and one behind it, from before the flood to after it.
fn under_way(rig: &mut Rig<Box<Small>>) -> (Sip, [SendId; 2]) {
    let hello = Outgoing::text("sip:alice@example.com", "Hello");
    let first = rig.call(|client, now| client.send_message(now, &hello));
    let request = rig.one();
    let second = rig.call(|client, now| client.send_message(now, &hello));
    assert!(rig.sent.is_empty());
    (request, [first.unwrap(), second.unwrap()])
}

fn both_end(rig: &mut Rig<Box<Small>>, main: FlowId, request: &Sip, ids: [SendId; 2]) {
    rig.events.clear();
    rig.receive_on(main, &rig::response(request, 200, &[]));
    let next = rig.one();
    assert_eq!(next.method(), Some("MESSAGE"));
    rig.receive_on(main, &rig::response(&next, 200, &[]));
    let delivered = SendOutcome::Delivered { status: 200 };
    assert_eq!(rig.events, ids.map(|id| Happened::Sent(id, delivered)));
}

#[test]
fn a_flood_of_each_method_is_answered_and_leaves_nothing() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for from_stranger in [false, true] {
            for method in METHODS {
                let mut rig = small(transport, Strangers::Flag);
                let base = rig.settled();
                let (main, ours) = (rig.main, under_way(&mut rig));
                let flow = if from_stranger {
                    rig.accepted(transport)
                } else {
                    main
                };
                let mut answers = BTreeMap::<u16, usize>::new();
                for n in 0..FLOOD {
                    let sip = flooding(transport, method, n);
                    rig.receive_on(flow, &sip.to_bytes());
                    for answer in rig.sent() {
                        let status = answer.status().expect("nothing but answers");
                        assert_eq!(answer.header("Via"), sip.header("Via"));
                        // 503 would make a proxy treat the phone as a failed server.
                        assert_eq!(answer.header("Retry-After").is_some(), status == 480);
                        *answers.entry(status).or_default() += 1;
                    }
                    let usage = rig.client.usage();
                    assert!(usage.transactions <= TXNS && usage.arena <= usage.arena_size);
                }
                let expected: Vec<(u16, usize)> = match (method, usual(method)) {
                    // No ACK comes: half of the table waits for it.
                    ("INVITE", _) => vec![(405, TXNS / 2), (480, FLOOD - TXNS / 2)],
                    (_, Some(status)) => vec![(status, FLOOD)],
                    (_, None) => vec![],
                };
                let what = format!("{method} {transport:?}, stranger: {from_stranger}");
                assert_eq!(answers.into_iter().collect::<Vec<_>>(), expected, "{what}");
                assert_eq!(rig.inbox.len(), if method == "MESSAGE" { FLOOD } else { 0 });
                both_end(&mut rig, main, &ours.0, ours.1);
                assert_eq!(rig.settled(), base, "{what}");
                assert_eq!(rig.stats().answers_dropped, 0, "{what}");
                assert_eq!(rig.stats().events_lost, 0, "{what}");
            }
        }
    }
}

#[test]
fn a_flood_of_strangers_is_dropped_without_a_word() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut rig = small(transport, Strangers::Drop);
        let base = rig.settled();
        let (main, ours) = (rig.main, under_way(&mut rig));
        let flow = rig.accepted(transport);
        for method in METHODS {
            for n in 0..FLOOD {
                rig.receive_on(flow, &flooding(transport, method, n).to_bytes());
            }
        }
        assert!(rig.sent.is_empty() && rig.inbox.is_empty());
        let stats = rig.stats();
        assert_eq!(stats.stray_ack as usize, FLOOD);
        assert_eq!(stats.stranger as usize, FLOOD * (METHODS.len() - 1));
        both_end(&mut rig, main, &ours.0, ours.1);
        assert_eq!(rig.settled(), base);
    }
}

/// A driver that reads and reads and never polls: the surplus stays with it, nothing is lost.
#[test]
fn a_flood_without_a_drain_is_put_off() {
    for method in METHODS {
        let mut rig = small(Transport::Udp, Strangers::Drop);
        let base = rig.settled();
        let (main, ours) = (rig.main, under_way(&mut rig));
        let mut refused = 0;
        for n in 0..FLOOD {
            let bytes = flooding(Transport::Udp, method, n).to_bytes();
            let (mut consumed, mut taken) = rig.give(main, &bytes);
            if taken == Taken::Later {
                assert_eq!(consumed, 0);
                rig.drain();
                (consumed, taken) = rig.give(main, &bytes);
            }
            assert_eq!(consumed, bytes.len());
            assert_ne!(taken, Taken::Later);
        }
        rig.drain();
        let answers = rig.sent();
        for answer in &answers {
            let status = answer.status().unwrap();
            if Some(status) != usual(method) {
                let full = if matches!(method, "MESSAGE" | "INVITE") {
                    480
                } else {
                    500
                };
                assert_eq!(status, full, "{method}");
                assert_eq!(answer.header("Retry-After"), Some("10"));
                refused += 1;
            }
        }
        let expected = if method == "ACK" { 0 } else { FLOOD };
        assert_eq!(answers.len(), expected, "{method}: every one is answered");
        assert_eq!(refused > 0, method != "ACK");
        assert_eq!(rig.stats().no_room as usize, refused);
        both_end(&mut rig, main, &ours.0, ours.1);
        assert_eq!(rig.settled(), base, "{method}");
    }
}

/// INVITEs that wait for their ACK leave room for messages, for our own requests and for the refresh.
#[test]
fn an_invite_flood_stops_nothing_else() {
    let mut rig = small(Transport::Udp, Strangers::Drop);
    let base = rig.settled();
    // As long as headers can be: what is kept of them must not fill the arena.
    for n in 0..FLOOD {
        let mut invite = flooding(Transport::Udp, "INVITE", n);
        for via in 0..10 {
            invite.push(
                "Via",
                &format!(
                    "SIP/2.0/UDP {via}.example.com;branch=z9hG4bK{}",
                    "v".repeat(100)
                ),
            );
        }
        rig.receive(&invite.to_bytes());
        rig.sent.clear();
        if n % 100 == 0 {
            let message = rig.wrapped(&format!("m{n}"), "positive-delivery");
            let Taken::Message(id) = rig.receive(&message.to_bytes()) else {
                core::panic!("a message is refused");
            };
            assert_eq!(rig.status(), 200);
            rig.call(|client, now| client.delivered(now, id)).unwrap();
            let report = rig.one();
            rig.answer(&report, 200, &[]);
        }
    }
    rig.events.clear();
    // The refresh of the registration, in the middle of it.
    let mut n = FLOOD;
    let mut refresh = None;
    while refresh.is_none() && rig.now.as_millis() < 4_000_000 {
        rig.run(10_000);
        n += 1;
        let flood: Vec<u8> = flooding(Transport::Udp, "INVITE", n).to_bytes();
        rig.receive(&flood);
        refresh = rig
            .sent()
            .into_iter()
            .find(|sip| sip.method() == Some("REGISTER"));
    }
    rig.receive(&rig::registered(&refresh.expect("a refresh")));
    assert!(
        matches!(rig.events.last(), Some(Happened::Refreshed { .. })),
        "{:?}",
        rig.events
    );
    assert_eq!(rig.settled(), base);
}

/// An INVITE flood over TCP, and then the connection is gone (CVE-2018-7286, CVE-2020-28327).
#[test]
fn a_flow_that_closes_in_the_middle_of_a_flood_leaves_nothing() {
    for method in METHODS {
        for drained in [true, false] {
            let mut rig = small(Transport::Tcp, Strangers::Flag);
            let base = rig.settled();
            let (main, ours) = (rig.main, under_way(&mut rig));
            let flow = rig.accepted(Transport::Tcp);
            for n in 0..TXNS {
                rig.give(flow, &flooding(Transport::Tcp, method, n).to_bytes());
                if drained {
                    rig.drain();
                }
            }
            rig.only(|client, now| client.flow_closed(now, flow));
            rig.sent.clear();
            rig.drain();
            assert!(
                rig.sent.is_empty(),
                "{method}: nothing can go to a closed flow"
            );
            both_end(&mut rig, main, &ours.0, ours.1);
            assert_eq!(rig.settled(), base, "{method}");
        }
    }
}

/// Zero-length units are free for the attacker (RUSTSEC-2024-0332): pings are answered one by one.
#[test]
fn a_flood_of_keep_alives_is_answered_within_bounds() {
    let mut rig = small(Transport::Tcp, Strangers::Drop);
    let base = rig.settled();
    let pings = b"\r\n\r\n".repeat(FLOOD);
    rig.receive(&pings);
    let pongs = rig
        .sent
        .iter()
        .filter(|(_, bytes)| bytes == b"\r\n")
        .count();
    assert_eq!(pongs, FLOOD);
    assert_eq!(rig.settled(), base);

    let mut rig = small(Transport::Udp, Strangers::Drop);
    let base = rig.settled();
    let mut stun = vec![1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([9; 12]);
    for _ in 0..FLOOD {
        rig.receive(b"\r\n\r\n");
        rig.receive(&stun);
    }
    assert!(rig.sent.is_empty());
    assert_eq!(rig.stats().stray_stun as usize, FLOOD);
    assert_eq!(rig.settled(), base);
}

#[test]
fn a_flood_of_what_is_no_sip_leaves_nothing() {
    let mut rig = small(Transport::Udp, Strangers::Drop);
    let base = rig.settled();
    let bad = request(Transport::Udp, "MESSAGE", "z9hG4bK1").to_bytes();
    let bad = String::from_utf8(bad)
        .unwrap()
        .replace("CSeq: 1 ", "CSeq: x ");
    for n in 0..FLOOD {
        rig.receive(format!("{n} rubbish\r\n\r\n").as_bytes());
        rig.receive(bad.as_bytes());
        assert_eq!(rig.status(), 400);
    }
    assert_eq!(rig.stats().unparsable as usize, FLOOD);
    assert_eq!(rig.stats().answered_unparsable as usize, FLOOD);
    assert_eq!(rig.settled(), base);
}

/// Lets time pass; a REGISTER on the way is answered.
fn pass(rig: &mut Rig<Box<Small>>, millis: u64) {
    rig.run_with(millis, |rig| {
        for request in rig.sent() {
            if request.method() == Some("REGISTER") {
                rig.receive(&rig::registered(&request));
            }
        }
    });
}

/// Nobody but the path's flow is needed: what peers open gives way to it (AST-2016-005).
#[test]
fn flows_that_peers_open_do_not_keep_us_from_our_server() {
    let mut rig = small(Transport::Tcp, Strangers::Drop);
    let main = rig.main;
    let flows: Vec<_> = (0..FLOOD).map(|_| rig.accepted(Transport::Tcp)).collect();
    let refused = rig.closed.len();
    assert_eq!(refused, FLOOD + 1 - MAX_FLOWS);
    assert_eq!(rig.stats().flows_refused as usize, refused);
    rig.closed.clear();
    // The flow of the path breaks; the peers take its place at once; it is opened anew all the same.
    rig.open = true;
    rig.only(|client, now| client.flow_closed(now, main));
    let last = rig.accepted(Transport::Tcp);
    pass(&mut rig, 100_000);
    assert_ne!(rig.main, main);
    assert!(rig.client.is_ready());
    assert_eq!(rig.closed.len(), 1);
    assert!(rig.closed[0].0 == last || flows.contains(&rig.closed[0].0));
}

/// A password that is asked for while the tables are full is asked for all the same.
#[test]
fn a_challenge_in_a_flood_waits_for_its_answer() {
    let mut rig = Rig::with(Box::new(Small::new()), Transport::Udp, |config| Config {
        credentials: oma_im::config::Credentials::Ask { user: "bob" },
        ..config
    });
    rig.call(|client, now| client.register(now)).unwrap();
    let request = rig.one();
    rig.answer(&request, 401, &[("WWW-Authenticate", rig::CHALLENGE)]);
    let Some(Happened::Challenge { id, .. }) = rig.events.pop() else {
        core::panic!("nobody is asked");
    };
    for n in 0..FLOOD {
        rig.receive(&flooding(Transport::Udp, "INVITE", n).to_bytes());
    }
    rig.sent.clear();
    rig.call(|client, now| client.answer(now, id, Answer::Password(b"bobpw")))
        .unwrap();
    assert!(rig.one().header("Authorization").is_some());
}

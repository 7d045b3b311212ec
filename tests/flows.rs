//! Paths and flows: opened, lost, changed under what is under way (RFC 3263 §4.3, RFC 5626,
//! RFC 3261 §18.1.1).
#![allow(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod ladder;

use std::net::SocketAddr;

use ladder::{
    Bare, HOST, HOUR, LOCAL, MINUTE, PATH, REMOTE, SECOND, branch, contact_param, cseq, header,
    message, packets, requests,
};
use oma_im::client::{
    CloseReason, Direction, FlowInfo, Item, OpenFailure, Origin, Purpose, SendOutcome, Trust,
    Verified,
};
use oma_im::config::{
    Config, Credentials, EndToEnd, KeepAlive, Nat, NextHop, Strangers, Transport,
};
use oma_im::error::CommandError;
use oma_im::id::{FlowId, OpenId};
use oma_im::im::pager::Outgoing;
use oma_im::testkit::net::{Break, Conditions, StreamSplit};
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;

const HELLO: Outgoing<'static> = Outgoing::text("sip:bob@example.com", "Hello");
const CHALLENGE: (&str, &str) = (
    "WWW-Authenticate",
    r#"Digest realm="example.com", nonce="n", qop="auth""#,
);

fn same(config: Config<'_>) -> Config<'_> {
    config
}

/// A client whose first REGISTER has just gone out on flow 1.
fn registering(transport: Transport) -> Bare {
    let mut bare = Bare::new(transport, same);
    bare.act(|client, now| client.register(now)).unwrap();
    bare.open();
    bare
}

fn attempts(bare: &Bare) -> Vec<u16> {
    bare.opens.iter().map(|wish| wish.attempt).collect()
}

// Candidates.

#[test]
fn a_flow_that_cannot_be_opened_is_followed_by_the_next_candidate() {
    let mut bare = Bare::new(Transport::Tls, same);
    bare.act(|client, now| client.register(now)).unwrap();
    let first = bare.opens[0].clone();
    assert_eq!(
        (first.host.as_str(), first.transport),
        (HOST, Transport::Tls)
    );
    assert_eq!(first.purpose, Purpose::Main);
    for why in [
        OpenFailure::Refused,
        OpenFailure::Unreachable,
        OpenFailure::TimedOut,
        OpenFailure::BadCertificate,
    ] {
        bare.refuse(why);
    }
    assert_eq!(attempts(&bare), [0, 1, 2, 3, 4]);
    let ids: Vec<OpenId> = bare.opens.iter().map(|wish| wish.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
    // At the end of the list the wait of RFC 5626 §4.5 begins, and then the list does.
    bare.refuse(OpenFailure::NoMoreCandidates);
    assert_eq!(bare.saw("Retrying { failure: Unreachable"), 1);
    bare.run(29 * SECOND);
    assert_eq!(bare.opens.len(), 5);
    bare.run(32 * SECOND);
    assert_eq!(attempts(&bare), [0, 1, 2, 3, 4, 0]);
}

#[test]
fn an_answer_to_an_old_wish_changes_nothing() {
    let mut bare = Bare::new(Transport::Tcp, same);
    bare.act(|client, now| client.register(now)).unwrap();
    let old = bare.opens[0].id;
    bare.refuse(OpenFailure::Refused);
    bare.act(|client, now| client.flow_failed(now, old, OpenFailure::Refused));
    assert_eq!(attempts(&bare), [0, 1]);
    let late = bare.flow(Origin::Asked(old), Transport::Tcp, LOCAL);
    assert_eq!(bare.closes, [(late, CloseReason::NotNeeded)]);
    assert!(bare.sent.is_empty());
}

/// RFC 3263 §4.3: a 503 sends the request to the next server, as a new request (RFC 3261 §8.1.3.4).
#[test]
fn a_503_to_register_goes_to_the_next_candidate() {
    let mut bare = registering(Transport::Tcp);
    bare.answer(FlowId(1), "REGISTER", 401, &[CHALLENGE]);
    bare.answer(FlowId(1), "REGISTER", 503, &[("Retry-After", "3600")]);
    assert_eq!(bare.closes, [(FlowId(1), CloseReason::NextCandidate)]);
    assert_eq!(attempts(&bare), [0, 1]);
    bare.open();
    let sent = bare.requests("REGISTER");
    let [(_, _, first), (_, _, second), (_, flow, third)] = &sent[..] else {
        panic!("three requests")
    };
    assert_eq!(*flow, FlowId(2));
    assert_ne!(branch(second), branch(third));
    assert_eq!(header(first, "Call-ID"), header(third, "Call-ID"));
    assert_eq!(cseq(third), 3);
    // What the first server asked is not shown to the second.
    assert!(second.header("Authorization").is_some());
    assert!(third.header("Authorization").is_none());
    bare.grant(FlowId(2), &[]);
    assert!(bare.client.is_ready());
    assert_eq!(bare.saw("Retrying"), 0);

    // After a success the list begins anew.
    bare.run(MINUTE);
    bare.close(FlowId(2));
    assert_eq!(attempts(&bare), [0, 1, 0]);
}

#[test]
fn a_register_that_nobody_answers_goes_to_the_next_candidate() {
    let mut bare = registering(Transport::Udp);
    bare.run(32 * SECOND - 1);
    assert_eq!(attempts(&bare), [0]);
    bare.run(1);
    assert_eq!(attempts(&bare), [0, 1]);
    let before = branch(&bare.last("REGISTER"));
    bare.open();
    assert_ne!(branch(&bare.last("REGISTER")), before);
    assert_eq!(cseq(&bare.last("REGISTER")), 2);
    bare.run(32 * SECOND);
    bare.refuse(OpenFailure::NoMoreCandidates);
    assert_eq!(bare.saw("Retrying { failure: Timeout"), 1);
}

// Loss.

#[test]
fn a_flow_that_closes_under_the_first_register_goes_to_the_next_candidate() {
    let mut bare = registering(Transport::Tcp);
    bare.close(FlowId(1));
    assert_eq!(attempts(&bare), [0, 1]);
    bare.open();
    assert_eq!(cseq(&bare.last("REGISTER")), 2);
    bare.close(FlowId(2));
    bare.refuse(OpenFailure::NoMoreCandidates);
    // No storm: the whole list is tried once, then the wait begins.
    assert_eq!(bare.saw("Retrying { failure: Unreachable"), 1);
    let opens = bare.opens.len();
    bare.run(29 * SECOND);
    assert_eq!(bare.opens.len(), opens);
}

#[test]
fn a_flow_that_closes_while_a_challenge_waits_makes_the_challenge_void() {
    let mut bare = Bare::new(Transport::Tcp, |config| Config {
        credentials: Credentials::Ask { user: "alice" },
        ..config
    });
    bare.act(|client, now| client.register(now)).unwrap();
    bare.open();
    bare.answer(FlowId(1), "REGISTER", 401, &[CHALLENGE]);
    assert_eq!(bare.saw("Challenge {"), 1);
    bare.close(FlowId(1));
    bare.open();
    assert!(bare.last("REGISTER").header("Authorization").is_none());
    bare.answer(FlowId(2), "REGISTER", 401, &[CHALLENGE]);
    assert_eq!(bare.saw("Challenge {"), 2);
}

#[test]
fn an_idle_flow_that_closes_is_replaced_and_registered_again() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    bare.run(MINUTE);
    bare.close(FlowId(1));
    assert_eq!(bare.saw("Lost"), 1);
    assert!(!bare.client.is_ready());
    bare.open();
    bare.grant(FlowId(2), &[]);
    assert!(bare.client.is_ready());
    assert_eq!(bare.saw("Registered"), 2);
}

#[test]
fn a_flow_that_closes_at_once_after_the_200_is_not_replaced_in_a_loop() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    for n in 2..6 {
        bare.close(FlowId(n - 1));
        let opens = bare.opens.len();
        bare.run(29 * SECOND);
        assert_eq!(bare.opens.len(), opens, "RFC 5626 §4.5: it never worked");
        bare.run(HOUR);
        bare.open();
        bare.grant(FlowId(n), &[]);
    }
}

#[test]
fn a_flow_that_closes_under_a_refresh_has_the_registration_begin_anew() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    bare.run(3_000 * SECOND);
    let refresh = bare.last("REGISTER");
    bare.close(FlowId(1));
    bare.open();
    let again = bare.last("REGISTER");
    assert_eq!(header(&refresh, "Call-ID"), header(&again, "Call-ID"));
    assert_eq!(cseq(&again), cseq(&refresh) + 1);
    bare.grant(FlowId(2), &[]);
    assert!(bare.client.is_ready());
}

/// Design §1: once more, same Call-ID and CSeq, if nothing was received for it.
#[test]
fn a_message_under_way_goes_once_more_when_its_flow_closes() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    bare.run(MINUTE);
    bare.act(|client, now| client.send_message(now, &HELLO))
        .unwrap();
    let first = bare.last("MESSAGE");
    bare.close(FlowId(1));
    bare.open();
    assert_eq!(
        bare.requests("MESSAGE").len(),
        1,
        "registration comes first"
    );
    bare.grant(FlowId(2), &[]);
    let second = bare.last("MESSAGE");
    assert_eq!(bare.requests("MESSAGE").len(), 2);
    assert_eq!(header(&first, "Call-ID"), header(&second, "Call-ID"));
    assert_eq!(header(&first, "CSeq"), header(&second, "CSeq"));
    assert_eq!(header(&first, "From"), header(&second, "From"));
    assert_eq!(first.body, second.body);
    assert_ne!(branch(&first), branch(&second));
    // Not for ever.
    bare.run(MINUTE / 2);
    bare.close(FlowId(2));
    assert_eq!(bare.saw("Failed(FlowLost)"), 1);
    bare.open();
    bare.grant(FlowId(3), &[]);
    assert_eq!(bare.requests("MESSAGE").len(), 2);
}

#[test]
fn a_message_that_is_being_served_is_not_sent_again() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    bare.run(MINUTE);
    bare.act(|client, now| client.send_message(now, &HELLO))
        .unwrap();
    bare.answer(FlowId(1), "MESSAGE", 100, &[]);
    bare.close(FlowId(1));
    assert_eq!(bare.saw("Failed(FlowLost)"), 1);
    bare.open();
    bare.grant(FlowId(2), &[]);
    assert_eq!(bare.requests("MESSAGE").len(), 1);
}

#[test]
fn what_is_queued_waits_for_the_new_flow() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    bare.run(MINUTE);
    for _ in 0..2 {
        bare.act(|client, now| client.send_message(now, &HELLO))
            .unwrap();
    }
    bare.close(FlowId(1));
    bare.open();
    bare.grant(FlowId(2), &[]);
    for _ in 0..2 {
        bare.answer(FlowId(2), "MESSAGE", 200, &[]);
    }
    assert_eq!(bare.saw("Delivered"), 2);
}

#[test]
fn a_message_that_finds_no_flow_for_64_t1_is_unreachable() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    bare.run(MINUTE);
    bare.act(|client, now| client.send_message(now, &HELLO))
        .unwrap();
    bare.close(FlowId(1));
    bare.refuse(OpenFailure::NoMoreCandidates);
    bare.run(33 * SECOND);
    assert_eq!(bare.saw("Failed(Unreachable)"), 1);
}

// The network changes.

/// No byte that goes out from here on names the old address.
fn nothing_of_old_address(bare: &Bare, from: usize) {
    for (at, _, bytes) in &bare.sent[from..] {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("192.0.2.10"), "at {at} ms:\n{text}");
    }
}

const NEW: &str = "203.0.113.5:5070";

/// Changes the network in a state, opens the new flow and lets the server grant everything.
fn moves_in(transport: Transport, state: impl FnOnce(&mut Bare)) -> Bare {
    let mut bare = Bare::new(transport, |config| Config {
        nat: Nat::Leave,
        ..config
    });
    state(&mut bare);
    let from = bare.sent.len();
    bare.act(|client, now| client.network_changed(now));
    assert_eq!(bare.sent.len(), from, "there is no flow to send on");
    let flow = bare.open_at(NEW.parse().unwrap());
    let registered = bare.last("REGISTER");
    assert!(header(&registered, "Via").contains(NEW));
    assert!(header(&registered, "Contact").contains(NEW));
    bare.grant(flow, &[]);
    assert!(bare.client.is_ready());
    bare.run(40 * SECOND);
    nothing_of_old_address(&bare, from);
    bare
}

#[test]
fn a_change_of_network_replaces_the_address_whatever_is_under_way() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let register = |bare: &mut Bare| {
            bare.act(|client, now| client.register(now)).unwrap();
        };
        // While the flow is opened.
        let bare = moves_in(transport, register);
        assert_eq!(
            attempts(&bare),
            [0, 0],
            "the list is that of the new network"
        );
        // While registering, before and after the challenge.
        let bare = moves_in(transport, |bare| {
            register(bare);
            bare.open();
        });
        assert_eq!(bare.closes[0], (FlowId(1), CloseReason::NetworkChanged));
        let bare = moves_in(transport, |bare| {
            register(bare);
            bare.open();
            bare.answer(FlowId(1), "REGISTER", 401, &[CHALLENGE]);
        });
        let numbers: Vec<u32> = bare
            .requests("REGISTER")
            .iter()
            .map(|(_, _, sip)| cseq(sip))
            .collect();
        assert!(numbers.starts_with(&[1, 2, 3]), "{numbers:?}");
        // Registered, and refreshing.
        let bare = moves_in(transport, |bare| {
            register(bare);
            bare.open();
            bare.grant(FlowId(1), &[]);
        });
        assert_eq!(bare.saw("Lost"), 1);
        moves_in(transport, |bare| {
            register(bare);
            bare.open();
            bare.grant(FlowId(1), &[]);
            bare.run(3_000 * SECOND);
        });
        // While the next attempt is put off: the reason for the wait is gone.
        moves_in(transport, |bare| {
            register(bare);
            bare.open();
            bare.answer(FlowId(1), "REGISTER", 500, &[("Retry-After", "3600")]);
            assert_eq!(bare.saw("Retrying"), 1);
        });
    }
}

#[test]
fn messages_survive_a_change_of_network() {
    let bare = moves_in(Transport::Udp, |bare| {
        bare.act(|client, now| client.register(now)).unwrap();
        bare.open();
        bare.grant(FlowId(1), &[]);
        for _ in 0..2 {
            bare.act(|client, now| client.send_message(now, &HELLO))
                .unwrap();
        }
        // A request of somebody's that waits for its answer.
        bare.feed(FlowId(1), &message("z9hG4bKold", 1, "Hi").to_bytes());
    });
    let sent = bare.requests("MESSAGE");
    let over_new: Vec<&Sip> = sent
        .iter()
        .filter(|(_, flow, _)| *flow == FlowId(2))
        .map(|(_, _, sip)| sip)
        .collect();
    assert_eq!(
        header(&sent[0].2, "Call-ID"),
        header(over_new[0], "Call-ID")
    );
    assert_eq!(header(&sent[0].2, "CSeq"), header(over_new[0], "CSeq"));
    assert!(header(over_new[0], "Via").contains(NEW));
}

#[test]
fn a_moving_phone_is_reached_again_and_shows_its_old_address_to_nobody() {
    for (transport, seed) in [
        (Transport::Udp, 1),
        (Transport::Tcp, 2),
        (Transport::Tls, 3),
    ] {
        let mut world = World::new(seed);
        let alice = world.phone("alice", transport);
        let bob = world.phone("bob", transport);
        world.register_all();
        let to_bob = HELLO.with_delivery_report();
        let id = world
            .act(alice, |client, now| client.send_message(now, &to_bob))
            .unwrap();
        // It is under way when the phone moves.
        world.run(5);
        let before = packets(&world, "alice").len();
        let net = &mut world.net;
        world.phones[alice].moved(net, "203.0.113.77".parse().unwrap());
        world.run(MINUTE);
        assert!(world.phones[alice].client.is_ready());
        let outcome = Happened::Sent(id, SendOutcome::Delivered { status: 200 });
        assert!(world.saw(alice, |event| *event == outcome), "{transport:?}");
        for (_, packet) in &packets(&world, "alice")[before..] {
            let text = String::from_utf8_lossy(&packet.bytes);
            assert!(!text.contains("192.0.2.10"), "{text}");
        }
        let to_alice = Outgoing::text("sip:alice@example.com", "Still there?");
        world
            .act(bob, |client, now| client.send_message(now, &to_alice))
            .unwrap();
        world.run(MINUTE);
        assert_eq!(
            world.phones[alice].inbox.last().unwrap().text(),
            "Still there?"
        );
    }
}

#[test]
fn a_change_of_network_without_a_registration_does_nothing() {
    let mut bare = Bare::new(Transport::Udp, same);
    bare.act(|client, now| client.network_changed(now));
    assert!(bare.opens.is_empty() && bare.events.is_empty() && bare.deadline.is_none());
}

#[test]
fn a_change_of_network_while_leaving_ends_the_leaving() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    bare.act(|client, now| client.deregister(now)).unwrap();
    bare.act(|client, now| client.network_changed(now));
    assert_eq!(bare.saw("Deregistered"), 1);
    assert_eq!(bare.opens.len(), 1);
}

// Address translation.

const PUBLIC: &str = "203.0.113.1";

fn behind_nat(transport: Transport, nat: Nat, idle_ms: Option<u64>) -> World {
    let mut world = World::new(30);
    world.phone_with("alice", transport, |config| Config { nat, ..config });
    world.phone("bob", Transport::Udp);
    world
        .net
        .behind_nat("alice", PUBLIC.parse().unwrap(), idle_ms);
    world.register_all();
    world.run(SECOND);
    world
}

fn mappings(world: &World) -> Vec<SocketAddr> {
    let mapped = |event: &Happened| match event {
        Happened::Mapped(address) => Some(*address),
        _ => None,
    };
    world.phones[0].events.iter().filter_map(mapped).collect()
}

#[test]
fn behind_a_nat_the_contact_is_rewritten_and_registered_once_more() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = behind_nat(transport, Nat::Rewrite, None);
        let outside = mappings(&world);
        assert_eq!(outside.len(), 1);
        assert_eq!(outside[0].ip().to_string(), PUBLIC);
        let sent = requests(&world, "alice", "REGISTER");
        assert_eq!(sent.len(), 3, "challenge, answer, once more");
        let contacts = sent[2].1.all("Contact");
        let inside = oma_im::testkit::sip::uri_of(header(&sent[1].1, "Contact"));
        assert!(contacts[0].contains(&format!("@{}", outside[0])));
        // RFC 3261 §10.2.2: the address that leads nowhere is taken back.
        assert_eq!(contacts[1], format!("<{inside}>;expires=0"));
        let now = world.net.now();
        let bindings = world.server().bindings(now, "alice");
        assert_eq!(bindings.len(), 1);
        assert!(bindings[0].contact.contains(&outside[0].to_string()));
        // From then on it is a registration like any other.
        world.run(3 * HOUR);
        let sent = requests(&world, "alice", "REGISTER");
        assert_eq!(sent.len(), 6, "a refresh every 3000 s");
        assert!(
            sent[3..]
                .iter()
                .all(|(_, sip)| sip.all("Contact").len() == 1)
        );
        assert_eq!(mappings(&world).len(), 1, "a change is told, nothing else");
        let to_alice = Outgoing::text("sip:alice@example.com", "Hello inside");
        world
            .act(1, |client, now| client.send_message(now, &to_alice))
            .unwrap();
        world.run(SECOND);
        assert_eq!(world.phones[0].inbox.len(), 1);
    }
}

#[test]
fn outbound_and_leave_tell_the_mapping_and_keep_the_contact() {
    for (transport, nat) in [
        (Transport::Tcp, Nat::Outbound),
        (Transport::Tcp, Nat::Auto),
        (Transport::Udp, Nat::Leave),
    ] {
        let mut world = behind_nat(transport, nat, None);
        assert_eq!(requests(&world, "alice", "REGISTER").len(), 2, "{nat:?}");
        world.run(2 * HOUR);
        assert_eq!(mappings(&world).len(), 1, "{nat:?}");
        for (_, sip) in requests(&world, "alice", "REGISTER") {
            assert!(header(&sip, "Contact").contains("@192.0.2.10:"));
        }
    }
}

#[test]
fn a_mapping_that_moved_is_told_and_registered() {
    // Forgotten after 5 minutes: each refresh is seen at another port.
    let mut world = behind_nat(Transport::Udp, Nat::Auto, Some(5 * MINUTE));
    world.run(3_100 * SECOND);
    let outside = mappings(&world);
    assert_eq!(outside.len(), 2);
    assert_ne!(outside[0], outside[1]);
    let now = world.net.now();
    let bindings = world.server().bindings(now, "alice");
    assert_eq!(bindings.len(), 1);
    assert!(bindings[0].contact.contains(&outside[1].to_string()));
}

#[test]
fn without_a_nat_nothing_is_told() {
    let mut world = World::new(31);
    world.phone("alice", Transport::Udp);
    world.register_all();
    world.run(HOUR);
    assert!(mappings(&world).is_empty());
}

#[test]
fn a_server_that_sees_another_port_each_time_gets_no_storm() {
    let mut bare = registering(Transport::Udp);
    for port in 1..50 {
        let before = bare.sent.len();
        let mut response = Sip::response(&bare.last("REGISTER"), 200, "OK", "srv");
        let via = response.pop("Via").unwrap();
        let via = via.replace(";rport", &format!(";rport={port};received=203.0.113.1"));
        response.push_front("Via", &via);
        let contact = bare.last("REGISTER").all("Contact").remove(0);
        response.push("Contact", &contact);
        bare.feed(FlowId(1), &response.to_bytes());
        if bare.sent.len() == before {
            break;
        }
    }
    assert_eq!(bare.requests("REGISTER").len(), 2);
    assert!(bare.client.is_ready());
}

// Streams.

#[test]
fn streams_can_be_cut_anywhere() {
    for split in [StreamSplit::Every(1), StreamSplit::Random { max: 40 }] {
        for transport in [Transport::Tcp, Transport::Tls] {
            let conditions = Conditions {
                split,
                ..Conditions::default()
            };
            let mut world: World = World::with(40, conditions, |_| ());
            let alice = world.phone("alice", transport);
            let bob = world.phone("bob", transport);
            world.register_all();
            for n in 0..5 {
                let text = format!("Message {n}");
                let hello = Outgoing::text("sip:bob@example.com", &text).with_delivery_report();
                world
                    .act(alice, |client, now| client.send_message(now, &hello))
                    .unwrap();
            }
            world.run(5 * MINUTE);
            let texts: Vec<String> = world.phones[bob].inbox.iter().map(|m| m.text()).collect();
            let expected: Vec<String> = (0..5).map(|n| format!("Message {n}")).collect();
            assert_eq!(texts, expected, "in order, none lost, none doubled");
            let reports = world.phones[alice]
                .events
                .iter()
                .filter(|event| matches!(event, Happened::Report { .. }));
            assert_eq!(reports.count(), 5);
        }
    }
}

#[test]
fn a_stream_that_cannot_be_read_is_closed_and_replaced() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    bare.run(MINUTE);
    bare.feed(FlowId(1), b"\x16\x03\x01 this is no SIP");
    assert_eq!(bare.closes, [(FlowId(1), CloseReason::Framing)]);
    assert_eq!(bare.opens.len(), 2);
}

#[test]
fn a_silent_stream_is_noticed_by_its_keep_alive_and_replaced() {
    let mut world = World::new(41);
    world.phone("alice", Transport::Tcp);
    world.register_all();
    world.run(5 * MINUTE);
    let conn = world.net.connections_of("alice")[0];
    world.net.break_connection(conn, Break::Silent);
    world.run(3 * MINUTE);
    assert!(world.saw(0, |event| *event == Happened::Lost(PATH)));
    assert!(world.phones[0].client.is_ready());
}

// Flows that we did not ask for.

fn accepted(bare: &mut Bare) -> FlowId {
    bare.flow(Origin::Accepted, Transport::Udp, LOCAL)
}

/// Requirements §2 (CVE-2021-37624): requests off the registered flow are dropped by default.
#[test]
fn a_stranger_is_dropped_or_flagged_by_policy() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    let stranger = accepted(&mut bare);
    let sent = bare.sent.len();
    let mut spoofed = message("z9hG4bKspoof", 1, "I am your bank");
    spoofed.push("P-Asserted-Identity", "<sip:bank@example.com>");
    assert!(bare.feed(stranger, &spoofed.to_bytes()).is_empty());
    assert_eq!(bare.sent.len(), sent, "and not answered");
    assert_eq!(bare.client.stats().stranger, 1);

    let mut bare = Bare::registered(Transport::Tcp, |config| Config {
        strangers: Strangers::Flag,
        ..config
    });
    let stranger = accepted(&mut bare);
    let now = bare.now;
    let bytes = spoofed.to_bytes();
    let received = bare.client.receive(now, stranger, &bytes);
    let Item::Message(taken) = received.item else {
        panic!("{received:?}")
    };
    assert_eq!(taken.trust, Trust::Stranger);
    assert_eq!(taken.asserted, None, "nobody vouches for it");
    assert_eq!(taken.from, b"sip:bob@example.com");
}

#[test]
fn a_flow_that_nobody_asked_for_is_closed() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    let flow = bare.flow(Origin::Asked(OpenId(999)), Transport::Tcp, LOCAL);
    assert_eq!(bare.closes, [(flow, CloseReason::NotNeeded)]);
    // What it brings meanwhile is nobody's.
    bare.feed(flow, &message("z9hG4bK1", 1, "Hi").to_bytes());
    assert_eq!(bare.client.stats().unknown_flow, 1);
    // Neither is one for a path that there cannot be.
    let given = Origin::Given(oma_im::id::PathId(2));
    let flow = bare.flow(given, Transport::Tcp, LOCAL);
    assert_eq!(bare.closes[1..], [(flow, CloseReason::NotNeeded)]);
}

#[test]
fn strangers_cannot_take_the_place_of_our_own_flows() {
    let mut bare = Bare::new(Transport::Tcp, same);
    let strangers: Vec<FlowId> = (0..10).map(|_| accepted(&mut bare)).collect();
    let refused = bare.closes.len();
    assert_eq!(refused, 6, "four places");
    assert_eq!(bare.client.stats().flows_refused, 6);
    bare.act(|client, now| client.register(now)).unwrap();
    let ours = bare.open();
    bare.grant(ours, &[]);
    assert!(bare.client.is_ready());
    assert_eq!(
        bare.closes[refused..],
        [(strangers[0], CloseReason::NotNeeded)]
    );
}

#[test]
fn a_flow_that_the_platform_gives_is_used_at_once() {
    let mut bare = Bare::new(Transport::Tcp, same);
    let given = bare.flow(Origin::Given(PATH), Transport::Tcp, LOCAL);
    bare.act(|client, now| client.register(now)).unwrap();
    assert!(bare.opens.is_empty());
    assert_eq!(bare.requests("REGISTER").len(), 1);
    bare.grant(given, &[]);
    assert!(bare.client.is_ready());
}

#[test]
fn bytes_on_a_closed_flow_are_counted_and_dropped() {
    let mut bare = Bare::registered(Transport::Tcp, same);
    bare.close(FlowId(1));
    bare.feed(FlowId(1), &message("z9hG4bK1", 1, "Hi").to_bytes());
    assert_eq!(bare.client.stats().unknown_flow, 1);
}

// Size.

const LONG: &str = "sip:bob@example.com";

/// A client on datagrams whose integrator vouches for streams behind the first hop.
fn datagrams(change: fn(Config<'_>) -> Config<'_>) -> Bare {
    Bare::registered(Transport::Udp, |config| {
        change(Config {
            end_to_end: EndToEnd::Streams,
            credentials_reserve: 0,
            nat: Nat::Leave,
            ..config
        })
    })
}

/// RFC 3261 §18.1.1: over 1300 bytes, or path MTU − 200, goes by a stream to the same next hop.
#[test]
fn a_request_too_long_for_a_datagram_moves_to_a_stream() {
    for (mtu, limit) in [(None, 1300), (Some(900), 700)] {
        let mut bare = datagrams(match mtu {
            None => |config| config,
            Some(_) => |config| Config {
                path_mtu: Some(900),
                ..config
            },
        });
        let mut sizes = Vec::new();
        for n in 0..limit {
            let text = "x".repeat(n);
            let long = Outgoing::text(LONG, &text);
            let opens = bare.opens.len();
            bare.act(|client, now| client.send_message(now, &long))
                .unwrap();
            if bare.opens.len() > opens {
                break;
            }
            sizes.push(bare.sent.last().unwrap().2.len());
            bare.answer(FlowId(1), "MESSAGE", 200, &[]);
        }
        assert_eq!(sizes.last(), Some(&limit), "{mtu:?}: the last datagram");
        let wish = bare.opens.last().unwrap().clone();
        assert_eq!(wish.purpose, Purpose::LongRequests);
        assert_eq!((wish.transport, wish.attempt), (Transport::Tcp, 0));
        assert_eq!(wish.host, HOST);
        let stream = bare.open_at("192.0.2.10:40000".parse().unwrap());
        let (_, flow, sent) = bare.requests("MESSAGE").pop().unwrap();
        assert_eq!(flow, stream);
        assert!(header(&sent, "Via").starts_with("SIP/2.0/TCP 192.0.2.10:40000;"));
        bare.answer(stream, "MESSAGE", 200, &[]);
        assert_eq!(bare.saw("Delivered"), sizes.len() + 1);
        // A short one stays with the datagrams.
        bare.act(|client, now| client.send_message(now, &HELLO))
            .unwrap();
        assert_eq!(bare.requests("MESSAGE").pop().unwrap().1, FlowId(1));
    }
}

#[test]
fn a_long_request_goes_as_a_datagram_only_if_the_stream_was_refused() {
    let mut bare = datagrams(|config| config);
    let text = "x".repeat(1300);
    let long = Outgoing::text(LONG, &text);
    bare.act(|client, now| client.send_message(now, &long))
        .unwrap();
    assert!(
        bare.requests("MESSAGE").is_empty(),
        "it waits for the answer"
    );
    bare.refuse(OpenFailure::Refused);
    let (_, flow, sent) = bare.requests("MESSAGE").pop().unwrap();
    assert_eq!(flow, FlowId(1));
    assert!(header(&sent, "Via").starts_with("SIP/2.0/UDP"));
    bare.answer(FlowId(1), "MESSAGE", 200, &[]);
    // That is remembered, until the network is another one.
    bare.act(|client, now| client.send_message(now, &long))
        .unwrap();
    assert_eq!(bare.opens.len(), 2);
    bare.answer(FlowId(1), "MESSAGE", 200, &[]);
    bare.act(|client, now| client.network_changed(now));
    let flow = bare.open();
    bare.grant(flow, &[]);
    bare.act(|client, now| client.send_message(now, &long))
        .unwrap();
    assert_eq!(bare.opens.last().unwrap().purpose, Purpose::LongRequests);
}

/// Requirement 7: the size that counts is that of the final bytes, credentials included.
#[test]
fn credentials_that_make_a_request_too_long_move_it_or_end_it() {
    let challenge = (
        "Proxy-Authenticate",
        r#"Digest realm="example.com", nonce="n", qop="auth""#,
    );
    let size_of_empty = {
        let mut bare = datagrams(|config| config);
        let empty = Outgoing::text(LONG, "");
        bare.act(|client, now| client.send_message(now, &empty))
            .unwrap();
        bare.sent.last().unwrap().2.len()
    };
    let text = "x".repeat(1250 - size_of_empty);
    let long = Outgoing::text(LONG, &text);
    let mut bare = datagrams(|config| config);
    bare.act(|client, now| client.send_message(now, &long))
        .unwrap();
    bare.answer(FlowId(1), "MESSAGE", 407, &[challenge]);
    assert_eq!(bare.opens.last().unwrap().purpose, Purpose::LongRequests);
    let stream = bare.open();
    assert_eq!(bare.requests("MESSAGE").pop().unwrap().1, stream);
    // Without the vouching there is no larger MESSAGE on any transport (OMA IM 8.1).
    let mut bare = datagrams(|config| Config {
        end_to_end: EndToEnd::Unknown,
        ..config
    });
    bare.act(|client, now| client.send_message(now, &long))
        .unwrap();
    bare.answer(FlowId(1), "MESSAGE", 407, &[challenge]);
    assert_eq!(bare.saw("TooLargeForPager"), 1);
    assert_eq!(bare.requests("MESSAGE").len(), 1);
    // And one that is known to be too long is refused at once.
    let refused = bare.act(|client, now| {
        let text = "x".repeat(1300);
        client.send_message(now, &Outgoing::text(LONG, &text))
    });
    assert!(matches!(
        refused,
        Err(CommandError::TooLargeForPager { .. })
    ));
}

#[test]
fn a_register_too_long_for_a_datagram_moves_like_any_request() {
    let tags: &'static str = Box::leak(
        (0..60)
            .map(|n| format!(";+g.example.tag-number-{n:02}"))
            .collect::<String>()
            .into_boxed_str(),
    );
    let mut bare = Bare::new(Transport::Udp, |config| Config {
        feature_tags: tags,
        nat: Nat::Leave,
        ..config
    });
    bare.act(|client, now| client.register(now)).unwrap();
    bare.open();
    assert!(bare.sent.is_empty());
    assert_eq!(bare.opens.last().unwrap().purpose, Purpose::LongRequests);
    let stream = bare.open();
    let (_, flow, sent) = bare.requests("REGISTER").pop().unwrap();
    assert_eq!(flow, stream);
    assert!(header(&sent, "Via").starts_with("SIP/2.0/TCP"));
    assert_eq!(
        contact_param(&sent, "+g.example.tag-number-59").as_deref(),
        Some("")
    );
}

// The output slice.

/// Requirement 15: whatever the size of the slice, the same bytes come out in the end.
#[test]
fn an_output_slice_that_is_too_small_changes_nothing() {
    let script = |room: usize| {
        let mut bare = Bare::new(Transport::Udp, |config| Config {
            keep_alive: KeepAlive::Supervised,
            ..config
        });
        bare.room = room;
        bare.act(|client, now| client.register(now)).unwrap();
        bare.open();
        bare.answer(FlowId(1), "REGISTER", 401, &[CHALLENGE]);
        bare.grant(FlowId(1), &[]);
        bare.act(|client, now| client.send_message(now, &HELLO))
            .unwrap();
        bare.feed(FlowId(1), &message("z9hG4bK1", 1, "Hi").to_bytes());
        bare.feed(FlowId(1), &message("z9hG4bK1", 1, "Hi").to_bytes());
        bare.answer(FlowId(1), "MESSAGE", 200, &[]);
        bare.run(2 * MINUTE);
        (bare.sent, bare.opens, bare.closes, bare.events)
    };
    let whole = script(4096);
    assert!(
        whole.0.iter().any(|(_, _, bytes)| bytes.len() == 20),
        "STUN"
    );
    for room in (0..64).chain([100, 500]) {
        assert_eq!(script(room), whole, "{room}");
    }
}

#[test]
fn a_flow_info_of_either_family_is_taken() {
    let mut bare = Bare::new(Transport::Udp, same);
    bare.act(|client, now| client.register(now)).unwrap();
    let info = FlowInfo {
        origin: Origin::Asked(bare.opens[0].id),
        transport: Transport::Udp,
        local: "[2001:db8::1]:5060".parse().unwrap(),
        remote: REMOTE,
        verified: Verified::No,
        direction: Direction::Both,
    };
    bare.act(|client, now| client.flow_opened(now, FlowId(9), &info));
    assert!(header(&bare.last("REGISTER"), "Via").contains("[2001:db8::1]:5060"));
}

// Two paths.

const TWO: [NextHop<'static>; 2] = [
    NextHop::new("p1.example.com", Transport::Tcp),
    NextHop::new("p2.example.com", Transport::Tcp),
];

/// A client that is registered over two flows, the first and the second.
fn on_two_paths() -> Bare {
    let mut bare = Bare::new(Transport::Tcp, |config| Config {
        next_hops: &TWO,
        nat: Nat::Outbound,
        keep_alive: KeepAlive::Off,
        ..config
    });
    bare.act(|client, now| client.register(now)).unwrap();
    for (host, flow) in [("p1.example.com", 1), ("p2.example.com", 2)] {
        // RFC 5626 §4.2.1: the second one once the registrar has shown that it knows them.
        assert_eq!(bare.opens.last().unwrap().host, host);
        bare.open();
        bare.grant(FlowId(flow), &[("Require", "outbound")]);
    }
    assert_eq!(bare.saw("Registered {"), 2, "{:?}", bare.events);
    bare
}

/// RFC 3263 §4.3: a 503 sends the request to the next server, if there is one.
#[test]
fn a_503_to_a_message_sends_it_over_the_other_path_once() {
    for (second, outcome) in [
        (200, "Delivered { status: 200 }"),
        (503, "Failed(Status { status: 503, "),
    ] {
        let mut bare = on_two_paths();
        bare.act(|client, now| client.send_message(now, &HELLO))
            .unwrap();
        bare.answer(FlowId(1), "MESSAGE", 503, &[("Retry-After", "60")]);
        let sent = bare.requests("MESSAGE");
        let [(_, FlowId(1), first), (_, FlowId(2), again)] = &sent[..] else {
            panic!("first here, then there: {sent:?}")
        };
        assert_ne!(branch(first), branch(again));
        assert_eq!(bare.saw("Sent {"), 0);
        bare.answer(FlowId(2), "MESSAGE", second, &[]);
        assert_eq!(bare.saw("Sent {"), 1);
        assert_eq!(bare.saw(outcome), 1, "{:?}", bare.events);
        bare.run(MINUTE);
        assert_eq!(bare.requests("MESSAGE").len(), 2);
    }
}

#[test]
fn a_message_that_nobody_answers_is_tried_over_the_other_path_once() {
    let mut bare = on_two_paths();
    bare.act(|client, now| client.send_message(now, &HELLO))
        .unwrap();
    bare.run(64 * SECOND + MINUTE);
    let flows: Vec<_> = bare
        .requests("MESSAGE")
        .iter()
        .map(|(at, flow, _)| (*at, *flow))
        .collect();
    assert_eq!(flows, [(0, FlowId(1)), (32 * SECOND, FlowId(2))]);
    assert_eq!(bare.saw("Sent {"), 1);
    assert_eq!(bare.saw("Failed(Timeout)"), 1, "{:?}", bare.events);
}

#[test]
fn a_path_that_closes_leaves_the_other_one() {
    let mut bare = on_two_paths();
    bare.close(FlowId(1));
    bare.act(|client, now| client.send_message(now, &HELLO))
        .unwrap();
    assert_eq!(bare.requests("MESSAGE")[0].1, FlowId(2));
    assert!(bare.client.is_ready());
    bare.answer(FlowId(2), "MESSAGE", 200, &[]);
    assert_eq!(bare.saw("Delivered"), 1);
}

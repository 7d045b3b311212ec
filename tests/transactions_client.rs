//! Transactions inside the client (RFC 3261 §17, RFC 6026): when bytes go out again, which answers
//! count, and what a peer sees that repeats itself.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod ladder;

use ladder::{Bare, MINUTE, SECOND, branch, header, message, packets, request, requests};
use oma_im::client::SendOutcome;
use oma_im::config::{Config, Nat, Transport};
use oma_im::error::Failure;
use oma_im::id::FlowId;
use oma_im::im::pager::Outgoing;
use oma_im::sip::transaction::Timers;
use oma_im::testkit::net::Meddle;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Rule, Then};
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;

const FLOW: FlowId = FlowId(1);
const HELLO: Outgoing<'static> = Outgoing::text("sip:bob@example.com", "Hello");

fn registered(transport: Transport, timers: Timers) -> Bare {
    Bare::registered(transport, |config| Config {
        timers,
        nat: Nat::Leave,
        ..config
    })
}

/// A client with a message under way.
fn sending(transport: Transport, timers: Timers) -> Bare {
    let mut bare = registered(transport, timers);
    bare.run(SECOND);
    bare.act(|client, now| client.send_message(now, &HELLO))
        .unwrap();
    bare
}

/// When the message went out, from the first time on.
fn schedule(bare: &Bare) -> Vec<u64> {
    let sent = bare.requests("MESSAGE");
    sent.iter().map(|(at, _, _)| at - sent[0].0).collect()
}

// Our requests.

/// RFC 3261 §17.1.2.2: Timer E doubles up to T2, Timer F ends it after 64·T1.
#[test]
fn a_message_on_datagrams_goes_out_again_until_timer_f() {
    let mut world = World::new(1);
    let alice = world.phone("alice", Transport::Udp);
    world.register_all();
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Silence));
    let id = world
        .act(alice, |client, now| client.send_message(now, &HELLO))
        .unwrap();
    let start = world.net.now().as_millis();
    world.run(32 * SECOND - 1);
    assert!(!world.saw(alice, |event| matches!(event, Happened::Sent(..))));
    world.run(1);
    let timeout = Happened::Sent(id, SendOutcome::Failed(Failure::Timeout));
    assert!(world.saw(alice, |event| *event == timeout));
    world.run(5 * MINUTE);
    let sent: Vec<u64> = requests(&world, "alice", "MESSAGE")
        .iter()
        .map(|(at, _)| at - start)
        .collect();
    assert_eq!(
        sent,
        [
            0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500
        ]
    );
    // The same bytes each time.
    let bytes: Vec<Vec<u8>> = packets(&world, "alice")
        .into_iter()
        .filter(|(_, packet)| packet.is_request("MESSAGE"))
        .map(|(_, packet)| packet.bytes)
        .collect();
    assert!(bytes.iter().all(|copy| *copy == bytes[0]));
}

#[test]
fn on_a_stream_nothing_goes_out_again() {
    let mut bare = sending(Transport::Tcp, Timers::RFC3261);
    bare.run(32 * SECOND - 1);
    assert_eq!(bare.saw("Timeout"), 0);
    bare.run(1);
    assert_eq!(bare.saw("Failed(Timeout)"), 1);
    assert_eq!(schedule(&bare), [0]);
}

/// 3GPP TS 24.229 §7.7: T1 2 s, T2 16 s.
#[test]
fn the_ims_preset_is_slower() {
    let mut bare = sending(Transport::Udp, Timers::IMS);
    bare.run(128 * SECOND - 1);
    assert_eq!(bare.saw("Timeout"), 0);
    bare.run(1);
    assert_eq!(bare.saw("Failed(Timeout)"), 1);
    assert_eq!(
        schedule(&bare),
        [0, 2, 6, 14, 30, 46, 62, 78, 94, 110, 126].map(|seconds| seconds * SECOND)
    );
}

/// RFC 3261 §17.1.2.2: in Proceeding, Timer E is set to T2; Timer F goes on.
#[test]
fn a_100_slows_the_retransmissions_down_and_ends_nothing() {
    let mut bare = sending(Transport::Udp, Timers::RFC3261);
    bare.run(600);
    bare.answer(FLOW, "MESSAGE", 100, &[]);
    bare.run(31_400);
    assert_eq!(
        schedule(&bare),
        [
            0, 500, 1_500, 5_500, 9_500, 13_500, 17_500, 21_500, 25_500, 29_500
        ]
    );
    assert_eq!(bare.saw("Failed(Timeout)"), 1);
}

#[test]
fn an_answer_ends_the_retransmissions_and_its_copies_change_nothing() {
    let mut bare = sending(Transport::Udp, Timers::RFC3261);
    bare.run(600);
    for status in [200, 200, 500, 404, 100] {
        bare.answer(FLOW, "MESSAGE", status, &[]);
    }
    bare.run(MINUTE);
    assert_eq!(schedule(&bare), [0, 500]);
    assert_eq!(bare.saw("Sent {"), 1);
    assert_eq!(bare.saw("Delivered { status: 200 }"), 1);
    assert_eq!(
        bare.client.stats().stray_response,
        0,
        "Timer K absorbs them"
    );
    // After Timer K, and once something woke the client up, they are nobody's.
    bare.jump(0);
    bare.answer(FLOW, "MESSAGE", 200, &[]);
    assert_eq!(bare.client.stats().stray_response, 1);
}

#[test]
fn a_late_answer_is_counted_and_changes_nothing() {
    let mut bare = sending(Transport::Udp, Timers::RFC3261);
    bare.run(33 * SECOND);
    bare.answer(FLOW, "MESSAGE", 200, &[]);
    assert_eq!(bare.client.stats().stray_response, 1);
    assert_eq!(bare.saw("Sent {"), 1);
}

/// RFC 3261 §17.1.3: by branch and method; requirements §2, CVE-2014-2288.
#[test]
fn answers_to_somebody_elses_requests_are_counted_and_ignored() {
    let mut bare = sending(Transport::Udp, Timers::RFC3261);
    let right = Sip::response(&bare.last("MESSAGE"), 200, "OK", "srv");
    let branch_of = branch(&right);
    let with_branch = |other: &str| {
        let mut sip = right.clone();
        let via = sip.pop("Via").unwrap().replace(&branch_of, other);
        sip.push_front("Via", &via);
        sip
    };
    let mut wrong_method = right.clone();
    wrong_method.set("CSeq", "1 OPTIONS");
    let mut one_digit = branch_of.clone();
    let last = one_digit.pop().unwrap();
    one_digit.push(if last == '0' { '1' } else { '0' });
    let strays = [
        wrong_method,
        with_branch(&one_digit),
        with_branch("z9hG4bK"),
        with_branch("z9hG4bKffffffff0000000000000000"),
        with_branch(&branch_of[7..]),
    ];
    for (n, stray) in strays.iter().enumerate() {
        for status in [100, 200, 302, 401, 503, 699] {
            let mut stray = stray.clone();
            stray.start = format!("SIP/2.0 {status} Whatever");
            bare.feed(FLOW, &stray.to_bytes());
        }
        assert_eq!(bare.client.stats().stray_response, (n as u32 + 1) * 6);
    }
    assert_eq!(bare.saw("Sent {"), 0);
    // RFC 3261 §8.1.3.3: a second Via was not meant for us.
    let mut two = right.clone();
    two.push_front("Via", "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKother");
    bare.feed(FLOW, &two.to_bytes());
    assert_eq!(bare.saw("Sent {"), 0);
    // The right one still counts.
    bare.feed(FLOW, &right.to_bytes());
    assert_eq!(bare.saw("Delivered"), 1);
}

#[test]
fn every_status_ends_a_message_once_or_lets_it_go_on() {
    for status in 100..700 {
        let mut bare = sending(Transport::Tcp, Timers::RFC3261);
        bare.answer(FLOW, "MESSAGE", status, &[]);
        let ended = usize::from(status >= 200);
        assert_eq!(bare.saw("Sent {"), ended, "{status}");
        bare.run(MINUTE);
        assert_eq!(bare.saw("Sent {"), 1, "{status}");
        assert_eq!(bare.client.usage().requests, 0, "{status}");
        assert_eq!(bare.client.usage().transactions, 0, "{status}");
    }
}

#[test]
fn a_lost_answer_is_given_again_to_the_retransmission() {
    let mut world = World::new(2);
    let alice = world.phone("alice", Transport::Udp);
    let bob = world.phone("bob", Transport::Udp);
    world.register_all();
    world.net.meddle(0, 2, Meddle::Drop, |packet| {
        packet.is_response(200) && packet.from_host == "bob"
    });
    let id = world
        .act(alice, |client, now| client.send_message(now, &HELLO))
        .unwrap();
    world.run(10 * SECOND);
    let delivered = Happened::Sent(id, SendOutcome::Delivered { status: 200 });
    assert!(world.saw(alice, |event| *event == delivered));
    assert_eq!(world.phones[bob].inbox.len(), 1, "it is handed out once");
}

// Requests of others.

/// RFC 3261 §17.2.2, §8.2.7: the same status and To tag, until Timer J.
#[test]
fn a_repeated_request_gets_the_answer_that_was_given() {
    let mut bare = registered(Transport::Udp, Timers::RFC3261);
    let bytes = message("z9hG4bKone", 7, "Hello").to_bytes();
    assert_eq!(bare.feed(FLOW, &bytes), ["Hello"]);
    for wait in [0, 500, 30_000] {
        bare.run(wait);
        assert!(bare.feed(FLOW, &bytes).is_empty(), "not handed out again");
    }
    let answers = bare.responses(200);
    assert_eq!(answers.len(), 4);
    for (_, sip) in &answers {
        for same in ["Via", "From", "To", "Call-ID", "CSeq"] {
            assert_eq!(header(sip, same), header(&answers[0].1, same), "{same}");
        }
        assert!(header(sip, "To").contains(";tag="));
        assert_eq!(sip.header("Contact"), None, "RFC 3428 §4");
    }
    // Timer J is over: nobody repeats himself that late, it is a new request.
    bare.run(MINUTE);
    assert_eq!(bare.feed(FLOW, &bytes), ["Hello"]);
}

#[test]
fn a_repeated_refusal_is_the_same_refusal() {
    let mut bare = registered(Transport::Udp, Timers::RFC3261);
    let mut unknown = message("z9hG4bKone", 7, "Hello");
    unknown.push("Require", "something, else");
    for _ in 0..3 {
        bare.feed(FLOW, &unknown.to_bytes());
    }
    let answers = bare.responses(420);
    assert_eq!(answers.len(), 3);
    assert_eq!(header(&answers[0].1, "Unsupported"), "something, else");
    let tag = header(&answers[0].1, "To");
    assert!(answers.iter().all(|(_, sip)| header(sip, "To") == tag));
}

/// RFC 3261 §8.2.2.2: the same request by another way.
#[test]
fn a_merged_request_is_refused_with_482() {
    let mut bare = registered(Transport::Udp, Timers::RFC3261);
    assert_eq!(
        bare.feed(FLOW, &message("z9hG4bKone", 7, "Hi").to_bytes()),
        ["Hi"]
    );
    assert!(
        bare.feed(FLOW, &message("z9hG4bKtwo", 7, "Hi").to_bytes())
            .is_empty()
    );
    assert_eq!(bare.responses(482).len(), 1);
    // Another CSeq is another request.
    let mut next = message("z9hG4bKthree", 8, "Hi again");
    next.set("Call-ID", "call-7");
    assert_eq!(bare.feed(FLOW, &next.to_bytes()), ["Hi again"]);
}

/// RFC 3261 §17.2.1: the refusal goes out again until the ACK, by Timer G, for 64·T1.
#[test]
fn an_invite_is_refused_until_the_ack_comes() {
    let invite = request("INVITE", "z9hG4bKinv", 1).to_bytes();
    let ack = request("ACK", "z9hG4bKinv", 1).to_bytes();
    let mut bare = registered(Transport::Udp, Timers::RFC3261);
    let start = bare.at();
    bare.feed(FLOW, &invite);
    bare.run(8 * SECOND);
    let times = |bare: &Bare| -> Vec<u64> {
        let all = bare.responses(405).into_iter();
        all.map(|(at, _)| at - start).collect()
    };
    assert_eq!(times(&bare), [0, 500, 1_500, 3_500, 7_500]);
    let allow = header(&bare.responses(405)[0].1, "Allow").to_owned();
    assert_eq!(allow, "MESSAGE, NOTIFY, OPTIONS, ACK, CANCEL");
    // §17.2.1: a repeated INVITE gets it at once.
    bare.feed(FLOW, &invite);
    assert_eq!(times(&bare).len(), 6);
    bare.feed(FLOW, &ack);
    bare.feed(FLOW, &ack);
    bare.run(2 * MINUTE);
    assert_eq!(times(&bare).len(), 6);
    assert_eq!(bare.client.stats().stray_ack, 0);
    assert_eq!(bare.client.usage().transactions, 0);

    // Nobody acknowledges: Timer H.
    let mut bare = registered(Transport::Udp, Timers::RFC3261);
    let start = bare.at();
    bare.feed(FLOW, &invite);
    bare.run(5 * MINUTE);
    assert_eq!(bare.responses(405).len(), 11);
    assert!(
        bare.responses(405)
            .iter()
            .all(|(at, _)| at - start < 32_000)
    );
    assert_eq!(bare.client.usage().transactions, 0);
    bare.feed(FLOW, &ack);
    assert_eq!(bare.client.stats().stray_ack, 1);

    // On a stream it goes out once.
    let mut bare = registered(Transport::Tcp, Timers::RFC3261);
    bare.feed(FLOW, &invite);
    bare.run(5 * MINUTE);
    assert_eq!(bare.responses(405).len(), 1);
}

/// RFC 3261 §9.2.
#[test]
fn a_cancel_is_answered_200_if_it_matches_and_481_if_not() {
    let mut bare = registered(Transport::Udp, Timers::RFC3261);
    bare.feed(FLOW, &request("INVITE", "z9hG4bKinv", 1).to_bytes());
    bare.feed(FLOW, &request("CANCEL", "z9hG4bKinv", 1).to_bytes());
    let answer = |bare: &Bare, status: u16| {
        let all = bare.responses(status).into_iter();
        all.filter(|(_, sip)| sip.cseq().unwrap().1 == "CANCEL")
            .count()
    };
    assert_eq!(answer(&bare, 200), 1);
    // Whatever its method: the answer to a MESSAGE is remembered until Timer J.
    bare.feed(FLOW, &message("z9hG4bKmsg", 2, "Hi").to_bytes());
    bare.feed(FLOW, &request("CANCEL", "z9hG4bKmsg", 2).to_bytes());
    assert_eq!(answer(&bare, 200), 2);
    bare.feed(FLOW, &request("CANCEL", "z9hG4bKnone", 3).to_bytes());
    assert_eq!(answer(&bare, 481), 1);
    // And repeated, as any request.
    bare.feed(FLOW, &request("CANCEL", "z9hG4bKnone", 3).to_bytes());
    assert_eq!(answer(&bare, 481), 2);
    bare.run(MINUTE);
    bare.feed(FLOW, &request("CANCEL", "z9hG4bKmsg", 2).to_bytes());
    assert_eq!(answer(&bare, 481), 3);
}

#[test]
fn methods_without_a_procedure_are_refused_as_their_clauses_say() {
    for (method, status) in [
        ("OPTIONS", 200),
        ("NOTIFY", 481),
        ("BYE", 481),
        ("PRACK", 481),
        ("UPDATE", 481),
        ("INFO", 405),
        ("SUBSCRIBE", 405),
        ("PUBLISH", 405),
        ("REFER", 405),
        ("REGISTER", 405),
        ("WHATEVER", 405),
    ] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut bare = registered(transport, Timers::RFC3261);
            bare.feed(FLOW, &request(method, "z9hG4bKx", 1).to_bytes());
            assert_eq!(bare.responses(status).len(), 1, "{method}");
            bare.run(2 * MINUTE);
            assert_eq!(bare.client.usage().transactions, 0, "{method}");
        }
    }
}

#[test]
fn what_a_lost_flow_carried_is_forgotten() {
    let mut bare = registered(Transport::Udp, Timers::RFC3261);
    bare.run(MINUTE);
    bare.feed(FLOW, &request("INVITE", "z9hG4bKinv", 1).to_bytes());
    let before = bare.responses(405).len();
    bare.close(FLOW);
    assert_eq!(bare.client.usage().transactions, 0);
    bare.run(2 * MINUTE);
    assert_eq!(
        bare.responses(405).len(),
        before,
        "there is nowhere to send it"
    );
}

/// An answer goes back over the flow that the request came by, with `received` and `rport` filled
/// in (RFC 3261 §18.2.1, RFC 3581 §4).
#[test]
fn the_answer_says_where_the_request_came_from() {
    let mut bare = registered(Transport::Udp, Timers::RFC3261);
    let mut sip = message("z9hG4bKnat", 1, "Hi");
    sip.set("Via", "SIP/2.0/UDP 10.0.0.9:5099;branch=z9hG4bKnat;rport");
    bare.feed(FLOW, &sip.to_bytes());
    let via = header(&bare.responses(200)[0].1, "Via").to_owned();
    assert!(via.contains(";received=198.51.100.1"), "{via}");
    assert!(via.contains(";rport=5060"), "{via}");
}

#[test]
fn a_503_to_a_message_without_another_path_ends_it() {
    let mut world = World::new(3);
    let alice = world.phone("alice", Transport::Udp);
    world.register_all();
    let answer = Answer::new(503).header("Retry-After", "7");
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Answer(answer)));
    let id = world
        .act(alice, |client, now| client.send_message(now, &HELLO))
        .unwrap();
    world.run(SECOND);
    let failure = Failure::Status {
        status: 503,
        warning: None,
        retry_after: Some(7),
    };
    let failed = Happened::Sent(id, SendOutcome::Failed(failure));
    assert!(world.saw(alice, |event| *event == failed));
}

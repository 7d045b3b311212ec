//! Size (8.1; RFC 3428 §8; RFC 3261 §18.1.1): pager mode is for requests below 1300 bytes, counted
//! whole and with credentials; on our own hop a datagram carries up to 1300.

use oma_im::client::SendOutcome;
use oma_im::config::{Config, Credentials, EndToEnd, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::id::SendId;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::log::Transport as Carrier;
use oma_im::testkit::server::{Answer, Rule, Then};
use oma_im::testkit::world::World;

use crate::{messages, open_world, outcome, outcomes, send, try_send};

/// A message to bob whose text has `length` bytes.
fn with_text<T>(length: usize, call: impl FnOnce(&Outgoing<'_>) -> T) -> T {
    let text = "x".repeat(length);
    call(&Outgoing::text("sip:bob@example.com", &text))
}

/// How long the text is that makes a request of exactly `size` bytes, as the client counts.
fn length_for(world: &mut World, phone: usize, size: usize) -> usize {
    // Content-Length has three digits here and there.
    let probe = 999;
    match with_text(probe, |message| try_send(world, phone, message)) {
        Err(CommandError::TooLargeForPager { size: probed }) => {
            assert!(probed >= 1300);
            probe + size - probed
        }
        other => panic!("{other:?}"),
    }
}

fn try_text(world: &mut World, phone: usize, length: usize) -> Result<SendId, CommandError> {
    with_text(length, |message| try_send(world, phone, message))
}

fn no_credentials(config: Config<'_>) -> Config<'_> {
    Config {
        credentials: Credentials::None,
        ..config
    }
}

fn vouched(config: Config<'_>) -> Config<'_> {
    Config {
        credentials: Credentials::None,
        end_to_end: EndToEnd::Streams,
        ..config
    }
}

#[test]
fn a_request_of_1299_bytes_goes_and_one_of_1300_does_not() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = open_world(1);
        let alice = world.phone_with("alice", transport, no_credentials);
        let bob = world.phone("bob", Transport::Tcp);
        world.register_all();
        let length = length_for(&mut world, alice, 1299);
        let id = try_text(&mut world, alice, length).unwrap();
        for size in [1300, 1301] {
            assert_eq!(
                try_text(&mut world, alice, length + size - 1299),
                Err(CommandError::TooLargeForPager { size }),
                "a stream as our own hop changes nothing"
            );
        }
        assert_eq!(
            outcome(&mut world, alice, id),
            SendOutcome::Delivered { status: 200 }
        );
        let sent = messages(&world, "alice");
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].bytes.len(), 1299);
        assert_eq!(world.phones[bob].inbox[0].body.len(), length);
    }
}

#[test]
fn credentials_count_when_the_challenge_is_known() {
    let mut world = World::new(2);
    let alice = world.phone("alice", Transport::Udp);
    world.phone("bob", Transport::Tcp);
    world.register_all();
    let first = try_text(&mut world, alice, 1).unwrap();
    outcome(&mut world, alice, first);
    let before = messages(&world, "alice").len();

    let length = length_for(&mut world, alice, 1299);
    assert_eq!(
        try_text(&mut world, alice, length + 1),
        Err(CommandError::TooLargeForPager { size: 1300 })
    );
    let id = try_text(&mut world, alice, length).unwrap();
    assert_eq!(
        outcome(&mut world, alice, id),
        SendOutcome::Delivered { status: 200 }
    );
    let sent = &messages(&world, "alice")[before..];
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].bytes.len(), 1299);
    assert!(
        sent[0]
            .sip()
            .unwrap()
            .header("Proxy-Authorization")
            .is_some()
    );
}

#[test]
fn a_reserve_counts_while_no_challenge_is_known() {
    for (reserve, config) in [
        (
            400,
            (|config| config) as for<'a> fn(Config<'a>) -> Config<'a>,
        ),
        (250, |config| Config {
            credentials_reserve: 250,
            ..config
        }),
        (0, no_credentials),
    ] {
        let mut world = open_world(3);
        let alice = world.phone_with("alice", Transport::Udp, config);
        world.phone("bob", Transport::Tcp);
        world.register_all();
        let length = length_for(&mut world, alice, 1299);
        assert_eq!(
            try_text(&mut world, alice, length + 1),
            Err(CommandError::TooLargeForPager { size: 1300 })
        );
        try_text(&mut world, alice, length).unwrap();
        world.run(1_000);
        assert_eq!(messages(&world, "alice")[0].bytes.len(), 1299 - reserve);
    }
}

#[test]
fn more_goes_where_every_hop_is_vouched_for() {
    let mut world = open_world(4);
    let alice = world.phone_with("alice", Transport::Tcp, vouched);
    let bob = world.phone("bob", Transport::Tcp);
    world.register_all();
    for length in [2000, 5000] {
        let id = try_text(&mut world, alice, length).unwrap();
        assert_eq!(
            outcome(&mut world, alice, id),
            SendOutcome::Delivered { status: 200 }
        );
        let last = world.phones[bob].inbox.last().unwrap();
        assert_eq!(last.body.len(), length);
    }
}

/// A 407 whose answer is longer than any reserve: realm, nonce and opaque come back in it.
fn long_challenge() -> Answer {
    let value = format!(
        r#"Digest realm="example.com", nonce="{}", opaque="{}", algorithm=MD5, qop="auth""#,
        "n".repeat(200),
        "o".repeat(200)
    );
    Answer::new(407).header("Proxy-Authenticate", &value)
}

#[test]
fn a_retry_that_would_cross_the_limit_ends_as_too_large() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = World::new(5);
        let alice = world.phone("alice", transport);
        world.phone("bob", Transport::Tcp);
        world.register_all();
        world
            .server()
            .script(Rule::on("MESSAGE").then(Then::Answer(long_challenge())));
        let length = length_for(&mut world, alice, 1299);
        let id = try_text(&mut world, alice, length).unwrap();
        let end = outcome(&mut world, alice, id);
        let SendOutcome::Failed(Failure::TooLargeForPager { size }) = end else {
            panic!("{end:?}");
        };
        // 899 bytes without credentials, and these have 400 of nonce and opaque alone.
        assert!((899 + 401..899 + 800).contains(&size), "{size}");
        world.run(60_000);
        assert_eq!(messages(&world, "alice").len(), 1, "never a larger MESSAGE");
        assert_eq!(outcomes(&world, alice, id).len(), 1);

        // What waits for the same target goes on, with the credentials counted.
        let id = try_text(&mut world, alice, 10).unwrap();
        assert_eq!(
            outcome(&mut world, alice, id),
            SendOutcome::Delivered { status: 200 }
        );
    }
}

#[test]
fn over_1300_bytes_the_datagram_gives_way_to_a_stream_to_the_same_next_hop() {
    let mut world = open_world(6);
    let alice = world.phone_with("alice", Transport::Udp, vouched);
    let bob = world.phone("bob", Transport::Tcp);
    world.register_all();
    // What is counted is what would go as a datagram: a Via with rport (RFC 3581).
    let plain = try_text(&mut world, alice, 500).unwrap();
    outcome(&mut world, alice, plain);
    let overhead = messages(&world, "alice")[0].bytes.len() - 500;
    for (length, carrier) in [
        (1299 - overhead, Carrier::Udp),
        (1300 - overhead, Carrier::Udp),
        (1301 - overhead, Carrier::Tcp),
        (3000, Carrier::Tcp),
        (10, Carrier::Udp),
    ] {
        let before = messages(&world, "alice").len();
        let id = try_text(&mut world, alice, length).unwrap();
        assert_eq!(
            outcome(&mut world, alice, id),
            SendOutcome::Delivered { status: 200 }
        );
        let sent = &messages(&world, "alice")[before..];
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].transport, carrier, "{length} bytes of text");
        let via = sent[0].sip().unwrap();
        let via = via.header("Via").unwrap();
        let wanted = format!("SIP/2.0/{} 192.0.2.10:", carrier.as_str());
        assert!(via.starts_with(&wanted), "{via}");
        assert_eq!(sent[0].to, world.server().config.address);
        assert_eq!(world.phones[bob].inbox.last().unwrap().body.len(), length);
    }
}

#[test]
fn a_refused_stream_sends_the_long_request_back_to_the_datagram() {
    let mut world = open_world(7);
    let alice = world.phone_with("alice", Transport::Udp, vouched);
    let bob = world.phone("bob", Transport::Tcp);
    world.register_all();
    world.phones[alice].refuse = Some(Transport::Tcp);
    let id = try_text(&mut world, alice, 2000).unwrap();
    assert_eq!(
        outcome(&mut world, alice, id),
        SendOutcome::Delivered { status: 200 }
    );
    let sent = messages(&world, "alice");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].transport, Carrier::Udp);
    let sip = sent[0].sip().unwrap();
    assert!(sip.header("Via").unwrap().starts_with("SIP/2.0/UDP "));
    assert_eq!(world.phones[bob].inbox[0].body.len(), 2000);
}

#[test]
fn a_known_mtu_moves_the_limit_of_the_datagram() {
    let mut world = open_world(8);
    // RFC 3261 §18.1.1: within 200 bytes of the path MTU.
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        path_mtu: Some(1000),
        ..no_credentials(config)
    });
    world.phone("bob", Transport::Tcp);
    world.register_all();
    let plain = try_text(&mut world, alice, 100).unwrap();
    outcome(&mut world, alice, plain);
    let overhead = messages(&world, "alice")[0].bytes.len() - 100;
    for (size, carrier) in [
        (799, Carrier::Udp),
        (800, Carrier::Udp),
        (801, Carrier::Tcp),
    ] {
        let before = messages(&world, "alice").len();
        let id = try_text(&mut world, alice, size - overhead).unwrap();
        outcome(&mut world, alice, id);
        assert_eq!(
            messages(&world, "alice")[before].transport,
            carrier,
            "{size}"
        );
    }
}

#[test]
fn the_service_route_counts() {
    let route = "<sip:orig@a-long-name-of-a-serving-node.example.com;lr>";
    let mut lengths = Vec::new();
    for routes in [Vec::new(), vec![route.to_owned()]] {
        let mut world = open_world(9);
        world.server().config.service_route = routes;
        let alice = world.phone_with("alice", Transport::Tcp, no_credentials);
        world.register_all();
        lengths.push(length_for(&mut world, alice, 1299));
        let _ = send(
            &mut world,
            alice,
            &Outgoing::text("sip:bob@example.com", "x"),
        );
    }
    assert_eq!(lengths[0] - lengths[1], "Route: \r\n".len() + route.len());
}

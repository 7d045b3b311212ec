//! Outcomes: each send ends in exactly one event, whatever the network and the servers do.

use oma_im::client::SendOutcome;
use oma_im::config::{Config, Credentials, Transport};
use oma_im::error::Failure;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::server::{Answer, Rule, Then};
use oma_im::testkit::world::World;

use crate::{messages, open_world, outcome, outcomes, send, settle, sips};

const BOB: &str = "sip:bob@example.com";

fn hello() -> Outgoing<'static> {
    Outgoing::text(BOB, "hello")
}

fn status(status: u16) -> SendOutcome {
    SendOutcome::Failed(Failure::Status {
        status,
        warning: None,
        retry_after: None,
    })
}

fn script(world: &mut World, answer: Answer) {
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Answer(answer)));
}

#[test]
fn every_final_status_ends_a_send_once() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = open_world(1);
        let alice = world.phone_with("alice", transport, |config| Config {
            credentials: Credentials::None,
            ..config
        });
        world.register_all();
        let mut ids = Vec::new();
        for code in 200..=699 {
            script(&mut world, Answer::new(code));
            let id = send(&mut world, alice, &hello());
            let wanted = match code {
                202 => SendOutcome::Accepted,
                200..=299 => SendOutcome::Delivered { status: code },
                _ => status(code),
            };
            assert_eq!(outcome(&mut world, alice, id), wanted);
            ids.push(id);
            // Timer K, so that the table of transactions never stands in the way.
            if transport == Transport::Udp {
                world.run(5_000);
            }
        }
        world.run(60_000);
        assert_eq!(
            messages(&world, "alice").len(),
            ids.len(),
            "none is repeated"
        );
        for id in ids {
            assert_eq!(outcomes(&world, alice, id).len(), 1);
        }
    }
}

#[test]
fn warning_and_retry_after_are_read() {
    let mut world = open_world(2);
    let alice = world.phone("alice", Transport::Udp);
    world.register_all();
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], Option<u16>, Option<u32>);
    let rows: [Row<'_>; 6] = [
        (
            403,
            &[("Warning", r#"127 im.example.com "Service not authorised""#)],
            Some(127),
            None,
        ),
        // RFC 3261 §20.43 with the OMA code inside the text of a 399.
        (
            403,
            &[(
                "Warning",
                r#"399 im.example.com "122 Function not allowed""#,
            )],
            Some(122),
            None,
        ),
        (
            486,
            &[("Warning", r#"399 im.example.com "102 Too many""#)],
            Some(102),
            None,
        ),
        (
            606,
            &[("Warning", r#"399 im.example.com "no code here""#)],
            Some(399),
            None,
        ),
        (480, &[("Retry-After", "120 (asleep)")], None, Some(120)),
        (
            503,
            &[("Retry-After", "9"), ("Warning", "nonsense")],
            None,
            Some(9),
        ),
    ];
    for (code, headers, warning, retry_after) in rows {
        let answer = headers
            .iter()
            .fold(Answer::new(code), |answer, (name, value)| {
                answer.header(name, value)
            });
        script(&mut world, answer);
        let id = send(&mut world, alice, &hello());
        assert_eq!(
            outcome(&mut world, alice, id),
            SendOutcome::Failed(Failure::Status {
                status: code,
                warning,
                retry_after
            })
        );
    }
}

#[test]
fn a_redirection_is_told_and_not_followed() {
    let mut world = open_world(3);
    let alice = world.phone("alice", Transport::Udp);
    let carol = world.phone("carol", Transport::Udp);
    world.register_all();
    script(
        &mut world,
        Answer::new(302).header("Contact", "<sip:carol@example.com>"),
    );
    let id = send(&mut world, alice, &hello());
    assert_eq!(outcome(&mut world, alice, id), status(302));
    world.run(10_000);
    assert!(world.phones[carol].inbox.is_empty());
}

#[test]
fn a_wrong_password_ends_in_the_servers_status() {
    for (answer, header) in [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")] {
        let mut world = open_world(4);
        let alice = world.phone("alice", Transport::Udp);
        world.register_all();
        // The same nonce again, not stale: the credentials were refused (RFC 3261 §22.2).
        let challenge = r#"Digest realm="example.com", nonce="1", qop="auth""#;
        let again = Answer::new(answer).header(header, challenge);
        world
            .server()
            .script(Rule::on("MESSAGE").forever().then(Then::Answer(again)));
        let id = send(&mut world, alice, &hello());
        assert_eq!(
            outcome(&mut world, alice, id),
            SendOutcome::Failed(Failure::Credentials { status: answer })
        );
        world.run(60_000);
        assert!(messages(&world, "alice").len() <= 3, "retries are capped");
    }
}

#[test]
fn a_silent_server_ends_in_a_timeout() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = open_world(5);
        let alice = world.phone("alice", transport);
        world.register_all();
        world
            .server()
            .script(Rule::on("MESSAGE").then(Then::Silence));
        let start = world.net.now();
        let id = send(&mut world, alice, &hello());
        let queued = send(&mut world, alice, &Outgoing::text(BOB, "next"));
        assert_eq!(
            outcome(&mut world, alice, id),
            SendOutcome::Failed(Failure::Timeout)
        );
        // RFC 3261 §17.1.2.2, Timer F: 64·T1.
        assert_eq!(world.net.now().since(start), 32_000);
        // The next one for the same target goes then.
        assert_eq!(outcome(&mut world, alice, queued), status(404));
        world.run(60_000);
        assert_eq!(outcomes(&world, alice, id).len(), 1);
    }
}

#[test]
fn a_lost_flow_has_the_message_sent_once_more() {
    let mut world = open_world(6);
    let alice = world.phone("alice", Transport::Tcp);
    let bob = world.phone("bob", Transport::Tcp);
    world.register_all();
    settle(&mut world);
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::CloseFlow));
    let id = send(&mut world, alice, &hello());
    assert_eq!(
        outcome(&mut world, alice, id),
        SendOutcome::Delivered { status: 200 }
    );
    let sent = sips(&world, "alice");
    assert_eq!(sent.len(), 2);
    for name in ["Call-ID", "CSeq", "From"] {
        // RFC 3261 §8.2.2.2: whoever had it already sees a copy.
        assert_eq!(sent[0].header(name), sent[1].header(name), "{name}");
    }
    assert_ne!(
        sent[0].header("Via"),
        sent[1].header("Via"),
        "a new transaction"
    );
    assert_eq!(world.phones[bob].inbox.len(), 1);
}

#[test]
fn a_flow_that_is_lost_twice_ends_the_send() {
    let mut world = open_world(7);
    let alice = world.phone("alice", Transport::Tcp);
    world.phone("bob", Transport::Tcp);
    world.register_all();
    settle(&mut world);
    world
        .server()
        .script(Rule::on("MESSAGE").times(2).then(Then::CloseFlow));
    let id = send(&mut world, alice, &hello());
    assert_eq!(
        outcome(&mut world, alice, id),
        SendOutcome::Failed(Failure::FlowLost)
    );
    world.run(120_000);
    assert_eq!(outcomes(&world, alice, id).len(), 1);
    assert_eq!(messages(&world, "alice").len(), 2);
    // The registration is back, and so are messages.
    let id = send(&mut world, alice, &hello());
    assert_eq!(
        outcome(&mut world, alice, id),
        SendOutcome::Delivered { status: 200 }
    );
}

#[test]
fn de_registration_ends_what_waits() {
    let mut world = open_world(8);
    let alice = world.phone("alice", Transport::Tcp);
    world.phone("bob", Transport::Tcp);
    world.register_all();
    world
        .server()
        .script(Rule::on("MESSAGE").forever().then(Then::Silence));
    let ids =
        ["one", "two", "three"].map(|text| send(&mut world, alice, &Outgoing::text(BOB, text)));
    world.run(100);
    world
        .act(alice, |client, now| client.deregister(now))
        .unwrap();
    world.run(60_000);
    for id in ids {
        let end = outcomes(&world, alice, id);
        assert_eq!(end.len(), 1, "{end:?}");
        assert!(matches!(end[0], SendOutcome::Failed(_)), "{end:?}");
    }
    assert_eq!(messages(&world, "alice").len(), 1);
}

#[test]
fn a_late_answer_changes_nothing() {
    let mut world = open_world(9);
    let alice = world.phone("alice", Transport::Udp);
    world.phone("bob", Transport::Udp);
    world.register_all();
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Delay(33_000)));
    let id = send(&mut world, alice, &hello());
    world.run(90_000);
    assert_eq!(
        outcomes(&world, alice, id),
        [SendOutcome::Failed(Failure::Timeout)]
    );
}

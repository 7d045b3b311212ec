//! What the fault runs found, each as a test of its own.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use oma_im::client::{Refusal, SendOutcome};
use oma_im::config::{Config, KeepAlive, Transport};
use oma_im::error::CommandError;
use oma_im::im::pager::{Outgoing, Wrap};
use oma_im::testkit::net::Break;
use oma_im::testkit::phone::{Habit, Happened};
use oma_im::testkit::world::World;

#[test]
fn a_quiet_supervised_stream_is_not_taken_for_dead() {
    // RFC 5626 §4.4.1: each ping is answered by one CRLF. Nothing comes between two of these, and
    // two CRLF are what a ping looks like.
    let mut world = World::new(1);
    world.phone_with("alice", Transport::Tcp, |config| Config {
        keep_alive: KeepAlive::Supervised,
        ..config
    });
    world.register_all();
    world.run(1_000_000);
    let pings = world.net.log().sent(|packet| packet.bytes == b"\r\n\r\n");
    let others = world
        .net
        .log()
        .sent(|packet| packet.bytes == b"\r\n" && packet.from_host == "alice");
    assert!(pings.len() > 8, "{} pings", pings.len());
    assert_eq!(others, [], "the server sent no ping that wants a pong");
    assert!(!world.saw(0, |event| matches!(event, Happened::Lost(_))));
}

#[test]
fn a_message_that_was_refused_is_handed_out_when_it_comes_again() {
    let mut world = World::new(1);
    let alice = world.phone("alice", Transport::Tcp);
    let bob = world.phone("bob", Transport::Udp);
    world.register_all();
    // RFC 5626 §4.5: a flow on which a ping was answered is formed again at once.
    world.run(130_000);
    world.phones[bob].habit = Habit::Refuse(Refusal::Busy);
    // In CPIM it has a Message-ID, though it asks for no report.
    let hello = Outgoing {
        wrap: Wrap::Cpim,
        ..Outgoing::text("sip:bob@example.com", "Hello Bob")
    };
    world
        .act(alice, |client, now| client.send_message(now, &hello))
        .unwrap();
    world.run_until(5_000, |world| {
        !world
            .net
            .log()
            .sent(|packet| packet.is_response(486))
            .is_empty()
    });
    // The 486 does not get through to alice: her flow breaks, and she sends it once more.
    let conn = world.net.connections_of("alice")[0];
    world.net.break_connection(conn, Break::Reset);
    world.phones[bob].habit = Habit::Keep;
    world.run(60_000);
    let delivered =
        |event: &Happened| matches!(event, Happened::Sent(_, SendOutcome::Delivered { .. }));
    assert!(world.saw(alice, delivered));
    assert_eq!(world.phones[bob].inbox.len(), 1);
}

#[test]
fn a_message_that_went_out_once_cannot_be_withdrawn() {
    let mut world = World::new(1);
    let alice = world.phone("alice", Transport::Tcp);
    world.phone("bob", Transport::Udp);
    world.register_all();
    world.run(130_000);
    let hello = Outgoing::text("sip:bob@example.com", "Hello Bob");
    let id = world
        .act(alice, |client, now| client.send_message(now, &hello))
        .unwrap();
    let conn = world.net.connections_of("alice")[0];
    world.net.break_connection(conn, Break::Reset);
    world.run(30);
    let withdrawn = world.act(alice, |client, now| client.withdraw(now, id));
    assert_eq!(withdrawn, Err(CommandError::WrongState));
    world.run(60_000);
    assert!(world.saw(
        alice,
        |event| matches!(event, Happened::Sent(of, SendOutcome::Delivered { .. }) if *of == id)
    ));
}

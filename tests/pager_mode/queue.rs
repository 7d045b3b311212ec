//! The queue (RFC 3428 §8): one MESSAGE per target outside a dialog is pending at a time, the rest
//! waits in order.

use oma_im::client::{Queue, SendOutcome};
use oma_im::config::{Config, EndToEnd, TelTargets, Transport};
use oma_im::error::CommandError;
use oma_im::id::SendId;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::phone::Habit;
use oma_im::testkit::server::{Rule, Then, User};
use oma_im::testkit::world::World;

use crate::{messages, open_world, outcome, outcomes, send, sips};

const BOB: &str = "sip:bob@example.com";

/// Alice, bob and carol; every answer takes two seconds.
fn slow_world(seed: u64) -> (World, [usize; 3]) {
    let mut world = open_world(seed);
    let phones = ["alice", "bob", "carol"].map(|name| world.phone(name, Transport::Tcp));
    world.register_all();
    world
        .server()
        .script(Rule::on("MESSAGE").forever().then(Then::Delay(2_000)));
    (world, phones)
}

fn length(world: &mut World, phone: usize, to: &str) -> usize {
    queue(world, phone, to).length
}

fn queue(world: &mut World, phone: usize, to: &str) -> Queue {
    world.act(phone, |client, _| client.queue(to))
}

fn withdraw(world: &mut World, phone: usize, id: SendId) -> Result<(), CommandError> {
    world.act(phone, |client, now| client.withdraw(now, id))
}

#[test]
fn one_message_per_target_is_pending_and_order_is_kept() {
    let (mut world, [alice, bob, carol]) = slow_world(1);
    let texts = ["one", "two", "three"];
    let to_bob = texts.map(|text| send(&mut world, alice, &Outgoing::text(BOB, text)));
    let to_carol = send(
        &mut world,
        alice,
        &Outgoing::text("sip:carol@example.com", "hi"),
    );
    world.run(1_000);
    let uris = |world: &World| -> Vec<String> {
        let sent = sips(world, "alice");
        sent.iter().map(|sip| sip.uri().unwrap().into()).collect()
    };
    assert_eq!(
        uris(&world),
        [BOB, "sip:carol@example.com"],
        "different targets do not wait for each other"
    );
    world.run(2_000);
    assert_eq!(
        uris(&world).len(),
        3,
        "the second goes when the first is answered"
    );
    world.run(10_000);
    let inbox: Vec<String> = world.phones[bob].inbox.iter().map(|m| m.text()).collect();
    assert_eq!(inbox, texts);
    assert_eq!(world.phones[carol].inbox.len(), 1);
    for id in to_bob.into_iter().chain([to_carol]) {
        assert_eq!(
            outcomes(&world, alice, id),
            [SendOutcome::Delivered { status: 200 }]
        );
    }
}

#[test]
fn a_message_that_waits_for_credentials_still_blocks_its_target() {
    let mut world = World::new(2);
    let alice = world.phone("alice", Transport::Udp);
    let bob = world.phone("bob", Transport::Udp);
    world.register_all();
    let texts = ["one", "two", "three"];
    let ids = texts.map(|text| send(&mut world, alice, &Outgoing::text(BOB, text)));
    world.run(5_000);
    // The second never overtakes the first, which was challenged and went again.
    let order: Vec<Vec<u8>> = sips(&world, "alice").into_iter().map(|s| s.body).collect();
    assert_eq!(order, [&b"one"[..], b"one", b"two", b"three"]);
    assert_eq!(world.phones[bob].inbox.len(), 3);
    for id in ids {
        assert_eq!(outcomes(&world, alice, id).len(), 1);
    }
}

#[test]
fn a_short_message_does_not_overtake_a_long_one_that_waits_for_its_stream() {
    let mut world = open_world(10);
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        end_to_end: EndToEnd::Streams,
        ..config
    });
    let bob = world.phone("bob", Transport::Tcp);
    world.register_all();
    let long = "x".repeat(2000);
    send(&mut world, alice, &Outgoing::text(BOB, &long));
    send(&mut world, alice, &Outgoing::text(BOB, "short"));
    world.run(5_000);
    let inbox: Vec<String> = world.phones[bob].inbox.iter().map(|m| m.text()).collect();
    assert_eq!(inbox, [long.as_str(), "short"]);
}

#[test]
fn length_and_age_of_the_queue_can_be_read() {
    let (mut world, [alice, _, _]) = slow_world(3);
    assert_eq!(queue(&mut world, alice, BOB), Queue::default());
    for text in ["one", "two"] {
        send(&mut world, alice, &Outgoing::text(BOB, text));
    }
    assert_eq!(length(&mut world, alice, BOB), 2);
    assert_eq!(length(&mut world, alice, "sip:carol@example.com"), 0);
    // Two ways to write a host are one target.
    assert_eq!(length(&mut world, alice, "sip:bob@EXAMPLE.com"), 2);
    world.run(500);
    world.act(alice, |client, now| client.timeout(now));
    assert_eq!(queue(&mut world, alice, BOB).head_age, 500);
    world.run(10_000);
    assert_eq!(queue(&mut world, alice, BOB), Queue::default());
}

#[test]
fn a_tel_target_is_found_in_the_queue_as_it_was_named() {
    let mut world = open_world(4);
    let user = User::new("bob", "bobpw").identity("tel:+15550100");
    world.server().add_user(user);
    let alice = world.phone_with("alice", Transport::Tcp, |config| Config {
        tel_targets: TelTargets::AsSip,
        ..config
    });
    let bob = world.phone("bob", Transport::Tcp);
    world.register_all();
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Delay(2_000)));
    let tel = "tel:+15550100";
    let id = send(&mut world, alice, &Outgoing::text(tel, "hello"));
    assert_eq!(length(&mut world, alice, tel), 1);
    assert_eq!(
        length(&mut world, alice, "sip:+15550100@example.com;user=phone"),
        1
    );
    outcome(&mut world, alice, id);
    assert_eq!(length(&mut world, alice, tel), 0);
    assert_eq!(world.phones[bob].inbox.len(), 1);
}

#[test]
fn a_queued_message_can_be_withdrawn_and_is_told_once() {
    let (mut world, [alice, bob, _]) = slow_world(5);
    let first = send(&mut world, alice, &Outgoing::text(BOB, "one"));
    let second = send(&mut world, alice, &Outgoing::text(BOB, "two"));
    let third = send(&mut world, alice, &Outgoing::text(BOB, "three"));
    world.run(500);
    assert_eq!(withdraw(&mut world, alice, second), Ok(()));
    assert_eq!(outcomes(&world, alice, second), [SendOutcome::Withdrawn]);
    assert_eq!(
        withdraw(&mut world, alice, second),
        Err(CommandError::UnknownId)
    );
    assert_eq!(length(&mut world, alice, BOB), 2);
    world.run(10_000);
    assert_eq!(outcomes(&world, alice, second), [SendOutcome::Withdrawn]);
    assert_eq!(outcomes(&world, alice, first).len(), 1);
    assert_eq!(outcomes(&world, alice, third).len(), 1);
    let inbox: Vec<String> = world.phones[bob].inbox.iter().map(|m| m.text()).collect();
    assert_eq!(inbox, ["one", "three"]);
}

#[test]
fn a_message_under_way_cannot_be_withdrawn() {
    let (mut world, [alice, bob, _]) = slow_world(6);
    let id = send(&mut world, alice, &Outgoing::text(BOB, "one"));
    world.run(500);
    assert_eq!(
        withdraw(&mut world, alice, id),
        Err(CommandError::WrongState)
    );
    assert_eq!(
        outcome(&mut world, alice, id),
        SendOutcome::Delivered { status: 200 }
    );
    assert_eq!(world.phones[bob].inbox.len(), 1);
    assert_eq!(
        withdraw(&mut world, alice, id),
        Err(CommandError::UnknownId)
    );
}

#[test]
fn reports_wait_in_the_same_queue() {
    let (mut world, [alice, bob, _]) = slow_world(8);
    // Bob's own message to alice is pending when his report becomes due.
    let asked = Outgoing::text(BOB, "one").with_delivery_report();
    send(&mut world, alice, &asked);
    world.run(1_900);
    let own = Outgoing::text("sip:alice@example.com", "and you?");
    let id = send(&mut world, bob, &own);
    world.run(500);
    assert_eq!(world.phones[bob].inbox.len(), 1);
    assert_eq!(length(&mut world, bob, "sip:alice@example.com"), 2);
    assert_eq!(messages(&world, "bob").len(), 1, "the report waits");
    outcome(&mut world, bob, id);
    world.run(50);
    let sent = sips(&world, "bob");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].body, b"and you?");
    assert_eq!(sent[1].header("Content-Type"), Some("message/cpim"));

    // And the other way round: a message waits for the report.
    let id = send(&mut world, bob, &own);
    world.run(500);
    assert_eq!(messages(&world, "bob").len(), 2);
    assert_eq!(
        outcome(&mut world, bob, id),
        SendOutcome::Delivered { status: 200 }
    );
}

#[test]
fn a_report_that_waits_is_not_lost_when_the_queue_is_long() {
    let (mut world, [alice, bob, _]) = slow_world(9);
    world.phones[alice].habit = Habit::Silent;
    let asked = Outgoing::text(BOB, "one").with_delivery_report();
    let id = send(&mut world, alice, &asked);
    for _ in 0..4 {
        send(
            &mut world,
            bob,
            &Outgoing::text("sip:alice@example.com", "x"),
        );
    }
    world.run(60_000);
    assert!(world.saw(alice, |event| matches!(
        event,
        oma_im::testkit::phone::Happened::Report { id: Some(of), .. } if *of == id
    )));
}

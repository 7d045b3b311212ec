//! Reports on messages of ours (8.1.1 NOTE 3, RFC 5438): matched by Message-ID, any number, until
//! the window closes.

use oma_im::client::SendOutcome;
use oma_im::config::{Config, Credentials, Transport};
use oma_im::error::Failure;
use oma_im::id::SendId;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::phone::{Habit, Happened};
use oma_im::testkit::server::{Rule, Then};
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;
use oma_im::wire::imdn::{DeliveryStatus, DisplayStatus, Disposition};

use crate::{open_world, outcome, outcomes, send, sips};

const BOB: &str = "sip:bob@example.com";
const DELIVERED: Disposition = Disposition::Delivery(DeliveryStatus::Delivered);
const DISPLAYED: Disposition = Disposition::Display(DisplayStatus::Displayed);

/// The reports that a phone saw: which message, who, what.
fn seen(world: &World, phone: usize) -> Vec<(Option<SendId>, String, Disposition)> {
    let report = |event: &Happened| match event {
        Happened::Report {
            id,
            recipient,
            disposition,
            ..
        } => Some((*id, recipient.clone(), *disposition)),
        _ => None,
    };
    world.phones[phone]
        .events
        .iter()
        .filter_map(report)
        .collect()
}

/// The Message-ID in the CPIM envelope of a request.
fn message_id(sip: &Sip) -> String {
    let body = String::from_utf8(sip.body.clone()).unwrap();
    let line = body
        .split("\r\n")
        .find_map(|line| line.strip_prefix("imdn.Message-ID: "));
    line.unwrap().to_owned()
}

#[test]
fn a_message_that_was_stored_is_accepted_and_its_report_matched_later() {
    let mut world = open_world(1);
    let alice = world.phone("alice", Transport::Udp);
    let bob = world.phone("bob", Transport::Udp);
    world
        .act(alice, |client, now| client.register(now))
        .unwrap();
    world.run(1_000);
    let asked = Outgoing::text(BOB, "later").with_delivery_report();
    let id = send(&mut world, alice, &asked);
    assert_eq!(outcome(&mut world, alice, id), SendOutcome::Accepted);
    assert_eq!(world.server().stored("bob"), 1);
    world.run(3_000_000);
    assert!(seen(&world, alice).is_empty());

    world.act(bob, |client, now| client.register(now)).unwrap();
    world.run(5_000);
    assert_eq!(world.phones[bob].inbox[0].text(), "later");
    assert_eq!(seen(&world, alice), [(Some(id), BOB.into(), DELIVERED)]);
    // Matched by the Message-ID of the message, which stands in the report.
    let wanted = message_id(&sips(&world, "alice")[0]);
    assert!(world.saw(alice, |event| matches!(
        event,
        Happened::Report { message_id, .. } if *message_id == wanted
    )));
    assert_eq!(outcomes(&world, alice, id), [SendOutcome::Accepted]);
}

#[test]
fn the_window_closes_once_and_a_late_report_has_no_id() {
    let mut world = open_world(2);
    let alice = world.phone_with("alice", Transport::Tcp, |config| Config {
        report_window: 60,
        ..config
    });
    let bob = world.phone("bob", Transport::Tcp);
    world.phones[bob].habit = Habit::Silent;
    world.register_all();
    let asked = Outgoing::text(BOB, "x").with_delivery_report();
    let id = send(&mut world, alice, &asked);
    let closed = |world: &World| world.saw(alice, |event| *event == Happened::WindowClosed(id));
    world.run(59_999);
    assert!(!closed(&world));
    world.run(1);
    assert!(
        closed(&world),
        "after Config::report_window, to the millisecond"
    );

    let incoming = world.phones[bob].inbox[0].id;
    world
        .act(bob, |client, now| client.delivered(now, incoming))
        .unwrap();
    world.run(200_000);
    assert_eq!(seen(&world, alice), [(None, BOB.into(), DELIVERED)]);
    let times = world.phones[alice]
        .events
        .iter()
        .filter(|event| **event == Happened::WindowClosed(id))
        .count();
    assert_eq!(times, 1);
}

#[test]
fn a_withdrawn_message_waits_for_no_reports() {
    let mut world = open_world(3);
    let alice = world.phone_with("alice", Transport::Tcp, |config| Config {
        report_window: 60,
        ..config
    });
    world.phone("bob", Transport::Tcp);
    world.register_all();
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Delay(2_000)));
    send(&mut world, alice, &Outgoing::text(BOB, "first"));
    let asked = Outgoing::text(BOB, "second").with_delivery_report();
    let id = send(&mut world, alice, &asked);
    world
        .act(alice, |client, now| client.withdraw(now, id))
        .unwrap();
    world.run(200_000);
    assert_eq!(outcomes(&world, alice, id), [SendOutcome::Withdrawn]);
    assert!(!world.saw(alice, |event| *event == Happened::WindowClosed(id)));
}

#[test]
fn a_message_without_an_answer_may_have_arrived_and_be_reported() {
    let mut world = open_world(8);
    let alice = world.phone("alice", Transport::Udp);
    world.phone("bob", Transport::Udp);
    world.register_all();
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Delay(33_000)));
    let asked = Outgoing::text(BOB, "x").with_delivery_report();
    let id = send(&mut world, alice, &asked);
    world.run(60_000);
    assert_eq!(
        outcomes(&world, alice, id),
        [SendOutcome::Failed(Failure::Timeout)]
    );
    assert_eq!(seen(&world, alice), [(Some(id), BOB.into(), DELIVERED)]);
}

#[test]
fn several_recipients_report_each_for_itself() {
    let mut world = open_world(4);
    let alice = world.phone("alice", Transport::Udp);
    for name in ["bob", "carol"] {
        world.phone(name, Transport::Tcp);
    }
    world.server().add_group("team", &["bob", "carol"]);
    world.register_all();
    let asked = Outgoing::text("sip:team@example.com", "all").with_delivery_report();
    let id = send(&mut world, alice, &asked);
    assert_eq!(outcome(&mut world, alice, id), SendOutcome::Accepted);
    world.run(10_000);
    let mut reports = seen(&world, alice);
    reports.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(
        reports,
        [
            (Some(id), BOB.into(), DELIVERED),
            (Some(id), "sip:carol@example.com".into(), DELIVERED)
        ]
    );
}

#[test]
fn both_kinds_of_report_are_told() {
    let mut world = open_world(5);
    let alice = world.phone("alice", Transport::Udp);
    let bob = world.phone("bob", Transport::Tcp);
    world.phones[bob].habit = Habit::Show;
    world.register_all();
    let asked = Outgoing::text(BOB, "x")
        .with_delivery_report()
        .with_display_report();
    let id = send(&mut world, alice, &asked);
    world.run(10_000);
    assert_eq!(
        seen(&world, alice),
        [
            (Some(id), BOB.into(), DELIVERED),
            (Some(id), BOB.into(), DISPLAYED)
        ]
    );
}

#[test]
fn every_device_of_a_recipient_reports() {
    let mut world = open_world(6);
    let alice = world.phone("alice", Transport::Udp);
    world.phone("bob", Transport::Tcp);
    world.phone_with("tablet", Transport::Tcp, |config| Config {
        im_address: "sip:bob@example.com",
        credentials: Credentials::Password {
            user: "bob",
            password: "bobpw",
        },
        ..config
    });
    world.register_all();
    let id = send(
        &mut world,
        alice,
        &Outgoing::text(BOB, "x").with_delivery_report(),
    );
    world.run(10_000);
    let one = (Some(id), BOB.to_owned(), DELIVERED);
    assert_eq!(seen(&world, alice), [one.clone(), one]);
}

#[test]
fn aggregated_reports_are_told_one_by_one() {
    let mut world = open_world(7);
    let alice = world.phone("alice", Transport::Tcp);
    world.server().add_group("team", &[]);
    world.register_all();
    let asked = Outgoing::text("sip:team@example.com", "all").with_delivery_report();
    let id = send(&mut world, alice, &asked);
    outcome(&mut world, alice, id);
    let of = message_id(&sips(&world, "alice")[0]);
    // RFC 5438 §8.3: a list server puts several reports into one message.
    let part = |who: &str, status: &str| {
        format!(
            "--cut\r\nContent-Type: message/imdn+xml\r\n\
             Content-Disposition: notification\r\n\r\n\
             <imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>{of}</message-id>\
             <datetime>2026-11-22T18:41:56Z</datetime>\
             <recipient-uri>sip:{who}@example.com</recipient-uri>\
             <original-recipient-uri>sip:{who}@example.com</original-recipient-uri>\
             <delivery-notification><status><{status}/></status></delivery-notification>\
             </imdn>\r\n"
        )
    };
    let body = format!(
        "From: <sip:team@example.com>\r\nTo: <sip:alice@example.com>\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: agg1\r\n\r\n\
         Content-Type: multipart/mixed;boundary=cut\r\n\
         Content-Disposition: notification\r\n\r\n{}{}--cut--\r\n",
        part("bob", "delivered"),
        part("carol", "failed")
    );
    let mut request = Sip::request("MESSAGE", "sip:alice@example.com");
    request.push("Content-Type", "message/cpim");
    request.body = body.into_bytes();
    let now = world.net.now();
    world.server().inject(now, "alice", request);
    let server = &mut world.servers[0];
    server.drain(&mut world.net);
    world.run(1_000);
    assert_eq!(
        seen(&world, alice),
        [
            (Some(id), BOB.into(), DELIVERED),
            (
                Some(id),
                "sip:carol@example.com".into(),
                Disposition::Delivery(DeliveryStatus::Failed)
            )
        ]
    );
    assert!(
        world.phones[alice].inbox.is_empty(),
        "not a message for the user"
    );
}

//! Identities, targets, display names (5.1, 5.5) and the calendar.

use oma_im::client::{Adopted, SendOutcome};
use oma_im::config::{Config, NextHop, TelTargets, Transport};
use oma_im::error::CommandError;
use oma_im::im::pager::{Outgoing, Wrap};
use oma_im::testkit::server::User;
use oma_im::testkit::world::{EPOCH, World};
use oma_im::wire::datetime;

use crate::{Lone, messages, open_world, outcome, send, sips, try_send};

const BOB: &str = "sip:bob@example.com";
const OFFICE: &str = "sip:office@example.com";
const NUMBER: &str = "tel:+15550100";

/// Alice with two more identities, and bob.
fn world(seed: u64) -> (World, usize, usize) {
    let mut world = open_world(seed);
    let user = User::new("alice", "alicepw")
        .identity(OFFICE)
        .identity(NUMBER);
    world.server().add_user(user);
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        display_name: Some("Alice"),
        ..config
    });
    let bob = world.phone("bob", Transport::Tcp);
    world.register_all();
    (world, alice, bob)
}

#[test]
fn a_message_is_sent_from_the_identity_that_was_chosen() {
    let (mut world, alice, bob) = world(1);
    for identity in [
        None,
        Some("sip:alice@example.com"),
        Some(OFFICE),
        Some(NUMBER),
    ] {
        let hello = Outgoing {
            identity,
            ..Outgoing::text(BOB, "hello").with_delivery_report()
        };
        let id = send(&mut world, alice, &hello);
        assert_eq!(
            outcome(&mut world, alice, id),
            SendOutcome::Delivered { status: 200 }
        );
        let uri = identity.unwrap_or("sip:alice@example.com");
        let sent = sips(&world, "alice").pop().unwrap();
        assert!(
            sent.header("From")
                .unwrap()
                .starts_with(&format!("<{uri}>;tag=")),
            "{:?}",
            sent.header("From")
        );
        let preferred = format!("<{uri}>");
        assert_eq!(
            sent.header("P-Preferred-Identity"),
            Some(preferred.as_str())
        );
        let body = String::from_utf8(sent.body).unwrap();
        assert!(
            body.starts_with(&format!("From: Alice <{uri}>\r\n")),
            "{body}"
        );
        let incoming = world.phones[bob].inbox.last().unwrap();
        assert_eq!(incoming.asserted.as_deref(), Some(uri));
        assert_eq!(incoming.from, uri);
        assert_eq!(incoming.cpim_from.as_deref(), Some(uri));
    }
}

#[test]
fn an_identity_of_somebody_else_is_refused() {
    let (mut world, alice, _) = world(2);
    for identity in [
        "sip:bob@example.com",
        "sip:alice@example.org",
        "tel:+15550199",
        "alice",
        "",
    ] {
        let hello = Outgoing {
            identity: Some(identity),
            ..Outgoing::text(BOB, "hello")
        };
        assert_eq!(
            try_send(&mut world, alice, &hello),
            Err(CommandError::Identity),
            "{identity}"
        );
    }
    world.run(1_000);
    assert!(messages(&world, "alice").is_empty());
}

#[test]
fn an_incoming_message_names_the_identity_that_was_called() {
    let (mut world, alice, bob) = world(3);
    for to in ["sip:alice@example.com", OFFICE] {
        let id = send(&mut world, bob, &Outgoing::text(to, "hello"));
        assert_eq!(
            outcome(&mut world, bob, id),
            SendOutcome::Delivered { status: 200 }
        );
        assert_eq!(world.phones[alice].inbox.last().unwrap().called, to);
    }
}

#[test]
fn a_report_comes_from_the_identity_that_was_called() {
    let (mut world, _, bob) = world(4);
    let asked = Outgoing::text(OFFICE, "hello").with_delivery_report();
    let id = send(&mut world, bob, &asked);
    outcome(&mut world, bob, id);
    world.run(5_000);
    let report = sips(&world, "alice").pop().unwrap();
    assert_eq!(
        report.header("P-Preferred-Identity"),
        Some("<sip:office@example.com>")
    );
    assert!(
        report
            .header("From")
            .unwrap()
            .starts_with("<sip:office@example.com>;tag=")
    );
    let body = String::from_utf8(report.body).unwrap();
    assert!(body.contains("<recipient-uri>sip:office@example.com</recipient-uri>"));
}

#[test]
fn tel_targets_follow_the_policy() {
    let wanted = [
        (TelTargets::Refuse, Err(CommandError::Target)),
        (TelTargets::Keep, Ok("tel:+1-555-0123")),
        // RFC 3261 §19.1.6: the whole telephone-subscriber becomes the user part.
        (
            TelTargets::AsSip,
            Ok("sip:+1-555-0123@example.com;user=phone"),
        ),
    ];
    let policies: [for<'a> fn(Config<'a>) -> Config<'a>; 3] = [
        |config| Config {
            tel_targets: TelTargets::Refuse,
            ..config
        },
        |config| Config {
            tel_targets: TelTargets::Keep,
            ..config
        },
        |config| Config {
            tel_targets: TelTargets::AsSip,
            ..config
        },
    ];
    for ((policy, wanted), config) in wanted.into_iter().zip(policies) {
        let mut world = open_world(5);
        let alice = world.phone_with("alice", Transport::Udp, config);
        world.register_all();
        let sent = try_send(
            &mut world,
            alice,
            &Outgoing::text("tel:+1-555-0123", "hello"),
        );
        world.run(1_000);
        match wanted {
            Err(error) => {
                assert_eq!(sent, Err(error));
                assert!(messages(&world, "alice").is_empty());
            }
            Ok(uri) => {
                let sent = &sips(&world, "alice")[0];
                assert_eq!(sent.uri(), Some(uri), "{policy:?}");
                let to = format!("<{uri}>");
                assert_eq!(sent.header("To"), Some(to.as_str()));
            }
        }
    }
}

#[test]
fn what_is_no_target_is_refused_before_anything_goes_out() {
    let (mut world, alice, _) = world(6);
    for to in [
        "",
        "bob",
        "mailto:bob@example.com",
        "sip:",
        "sip:bob@example.com?Subject=x",
        "sip:bob@example.com;method=BYE",
        "sip:bob@example.com\r\nRoute: <sip:evil.example.com>",
        "sip:bob@example.com>",
        "sips:bob@example.com", // RFC 3261 §26.2.2: not over UDP
    ] {
        assert_eq!(
            try_send(&mut world, alice, &Outgoing::text(to, "hello")),
            Err(CommandError::Target),
            "{to}"
        );
    }
    world.run(1_000);
    assert!(messages(&world, "alice").is_empty());
}

#[test]
fn the_display_name_stands_in_from_or_in_cpim() {
    let (mut world, alice, bob) = world(7);
    let cases = [
        (None, r#""Alice""#, "Alice"),
        (Some("Alice Cooper"), r#""Alice Cooper""#, "Alice Cooper"),
        (Some(r#"A "B" \C"#), r#""A \"B\" \\C""#, r#""A \"B\" \\C""#),
        // RFC 3862 §3.6: a token there may have any letter.
        (Some("Älice"), r#""Älice""#, "Älice"),
    ];
    for (name, quoted, in_cpim) in cases {
        let plain = Outgoing {
            display_name: name,
            ..Outgoing::text(BOB, "hello")
        };
        let id = send(&mut world, alice, &plain);
        outcome(&mut world, alice, id);
        let sent = sips(&world, "alice").pop().unwrap();
        let from = format!("{quoted} <sip:alice@example.com>;tag=");
        assert!(
            sent.header("From").unwrap().starts_with(&from),
            "{:?}",
            sent.header("From")
        );
        assert_eq!(
            world.phones[bob].inbox.last().unwrap().display.as_deref(),
            Some(quoted.trim_matches('"'))
        );

        let wrapped = Outgoing {
            wrap: Wrap::Cpim,
            ..plain
        };
        let id = send(&mut world, alice, &wrapped);
        outcome(&mut world, alice, id);
        let sent = sips(&world, "alice").pop().unwrap();
        let body = String::from_utf8(sent.body).unwrap();
        let from = format!("From: {in_cpim} <sip:alice@example.com>\r\n");
        assert!(body.starts_with(&from), "{body}");
    }
    // A name cannot become a header field.
    let evil = Outgoing {
        display_name: Some("A\r\nRoute: <sip:evil.example.com>"),
        ..Outgoing::text(BOB, "hello")
    };
    assert_eq!(try_send(&mut world, alice, &evil), Err(CommandError::Text));
}

fn lone() -> Lone {
    let hops = [NextHop::new("proxy.example.com", Transport::Udp)];
    let config = Config::new("sip:alice@example.com", &hops);
    let adopted = Adopted {
        service_route: "",
        associated: "",
    };
    Lone::new(&config, Transport::Udp, "192.0.2.10:5060", &adopted)
}

#[test]
fn what_needs_a_date_is_refused_without_a_calendar() {
    let mut alice = lone();
    let plain = Outgoing::text(BOB, "hello");
    let expiring = Outgoing {
        expires: Some(60),
        ..plain
    };
    // RFC 5438 §7.1.1.2: a message that asks for reports has a DateTime.
    for message in [
        plain.with_delivery_report(),
        plain.with_display_report(),
        expiring,
    ] {
        assert_eq!(alice.send(&message), Err(CommandError::NoWallClock));
    }
    assert!(alice.transmitted().is_empty());
    // Everything else goes, without a date.
    let wrapped = Outgoing {
        wrap: Wrap::Cpim,
        ..plain
    };
    alice.send(&wrapped).unwrap();
    let sent = String::from_utf8(alice.transmitted().remove(0)).unwrap();
    assert!(!sent.contains("Date"), "{sent}");

    alice.wall_clock(EPOCH);
    assert!(alice.send(&plain.with_delivery_report()).is_ok());
}

#[test]
fn the_cpim_datetime_is_the_wall_clock() {
    let (mut world, alice, bob) = world(8);
    let asked = Outgoing::text(BOB, "hello").with_delivery_report();
    let mut told = Vec::new();
    for jump in [0, 123_456_789] {
        world.run(61_000);
        let calendar = EPOCH + jump + world.net.now().as_millis();
        world.act(alice, |client, now| client.wall_clock(now, calendar));
        let id = send(&mut world, alice, &asked);
        outcome(&mut world, alice, id);
        let sent = sips(&world, "alice").pop().unwrap();
        let body = String::from_utf8(sent.body).unwrap();
        let line = body
            .split("\r\n")
            .find_map(|line| line.strip_prefix("DateTime: "));
        let written = datetime::parse(line.unwrap()).unwrap();
        assert_eq!(written / 1000, calendar / 1000);
        assert_eq!(
            world.phones[bob].inbox.last().unwrap().sent_at,
            Some(written)
        );
        told.push(written);
    }
    assert!(told[1] > told[0] + 123_000_000);
}

#[test]
fn expires_goes_with_a_date() {
    let (mut world, alice, _) = world(9);
    let short = Outgoing {
        expires: Some(60),
        ..Outgoing::text(BOB, "hello")
    };
    let id = send(&mut world, alice, &short);
    outcome(&mut world, alice, id);
    let sent = sips(&world, "alice").pop().unwrap();
    assert_eq!(sent.header("Expires"), Some("60"));
    assert_eq!(sent.header("Date"), Some("Sun, 22 Nov 2026 18:41:56 GMT"));
}

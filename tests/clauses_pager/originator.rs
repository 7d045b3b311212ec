//! What the clauses of 8.1.1 refer to: the originator (5.1), display names (5.5), the release (F.1);
//! and the reason for the change request, feature tags (5.2.4).

use crate::{ALICE, BOB, DELIVERED, anonymous, hello, requests, sent, try_send, world, world_with};
use oma_im::config::{Assertion, Config, KeepAlive, Release, Transport};
use oma_im::error::CommandError;
use oma_im::im::pager::{Anonymity, Outgoing};
use oma_im::testkit::log::Packet;
use oma_im::testkit::phone::Habit;
use oma_im::testkit::server::User;
use oma_im::testkit::sip::{self, Sip};
use oma_im::testkit::world::World;

#[test]
fn clause_5_1_the_originator_is_the_preferred_identity_going_out() {
    let mut world = World::new(20);
    let office = "sip:office@example.com";
    let user = User::new("alice", "alicepw")
        .identity(office)
        .identity("tel:+15550100");
    world.server().add_user(user);
    let alice = world.phone("alice", Transport::Udp);
    let bob = world.phone("bob", Transport::Tcp);
    world.register_all();
    for identity in [None, Some(office), Some("tel:+15550100")] {
        let message = Outgoing {
            identity,
            ..hello()
        };
        let (end, request) = sent(&mut world, alice, &message);
        assert_eq!(end, DELIVERED);
        let uri = identity.unwrap_or(ALICE);
        assert_eq!(request.all("P-Preferred-Identity"), [format!("<{uri}>")]);
        let incoming = world.phones[bob].inbox.last().unwrap();
        assert_eq!(incoming.asserted.as_deref(), Some(uri));
    }
    let stranger = Outgoing {
        identity: Some(BOB),
        ..hello()
    };
    assert_eq!(
        try_send(&mut world, alice, &stranger),
        Err(CommandError::Identity)
    );
    // Only the core asserts (RFC 3325 §9.1).
    for request in requests(&world, "alice", "MESSAGE") {
        assert_eq!(request.header("P-Asserted-Identity"), None);
    }
}

#[test]
fn clause_5_1_the_originator_is_the_asserted_identity_coming_in() {
    for (assertion, wanted) in [
        (Assertion::Asserted, Some("sip:mallory@example.com")),
        (Assertion::FromOnly, None),
    ] {
        let (mut world, alice, _) = world_with(21, |config| Config {
            assertion,
            ..config
        });
        let mut request = Sip::request("MESSAGE", ALICE);
        request.push("From", "<sip:bob@example.com>;tag=1");
        request.push(
            "P-Asserted-Identity",
            "<sip:mallory@example.com>, <tel:+15550177>",
        );
        request.push("Content-Type", "text/plain");
        request.body = b"I am Bob".to_vec();
        let now = world.net.now();
        world.server().inject(now, "alice", request);
        world.servers[0].drain(&mut world.net);
        world.run(1_000);
        let incoming = &world.phones[alice].inbox[0];
        assert_eq!(incoming.asserted.as_deref(), wanted);
        assert_eq!(incoming.from, BOB, "the claim stands apart");
    }
}

#[test]
fn clause_5_5_a_display_name_goes_with_the_identity_unless_it_is_hidden() {
    let (mut world, alice, bob) = world_with(22, |config| Config {
        display_name: Some("Alice"),
        ..config
    });
    let (_, request) = sent(&mut world, alice, &hello());
    assert!(
        request
            .header("From")
            .unwrap()
            .starts_with(r#""Alice" <sip:alice@example.com>"#)
    );
    assert_eq!(world.phones[bob].inbox[0].display.as_deref(), Some("Alice"));
    let other = Outgoing {
        display_name: Some("Al"),
        ..hello()
    };
    let (_, request) = sent(&mut world, alice, &other);
    assert!(
        request
            .header("From")
            .unwrap()
            .starts_with(r#""Al" <sip:alice@example.com>"#)
    );
    // In CPIM it is the name that the recipient is shown.
    let (_, request) = sent(&mut world, alice, &hello().with_delivery_report());
    assert!(
        request
            .body
            .starts_with(b"From: Alice <sip:alice@example.com>\r\n")
    );
    let hidden = Outgoing {
        anonymity: Anonymity::Id,
        ..other
    };
    let (_, request) = sent(&mut world, alice, &hidden);
    let text = String::from_utf8(request.to_bytes()).unwrap();
    assert!(
        !text.contains("Alice") && !text.contains(r#""Al""#),
        "{text}"
    );
}

#[test]
fn clause_f_1_every_request_of_a_procedure_names_the_release_first() {
    for (release, literal) in [
        (Release::Oma1_0, "IM-client/OMA1.0"),
        (Release::Oma2_0, "IM-client/OMA2.0"),
    ] {
        for (product, rest) in [
            ("Vendor/M4-1.0 stack/2.1", " Vendor/M4-1.0 stack/2.1"),
            ("", ""),
        ] {
            let (mut world, alice, _) = world_with(23, |config| Config {
                release,
                product,
                ..config
            });
            sent(&mut world, alice, &hello());
            for method in ["REGISTER", "MESSAGE"] {
                let all = requests(&world, "alice", method);
                assert!(!all.is_empty());
                for request in all {
                    assert_eq!(
                        request.header("User-Agent"),
                        Some(&*format!("{literal}{rest}"))
                    );
                }
            }
        }
    }
}

#[test]
fn clause_f_1_a_report_names_the_release_too() {
    let (mut world, alice, _) = world(24);
    sent(&mut world, alice, &hello().with_delivery_report());
    world.run(5_000);
    let report = requests(&world, "bob", "MESSAGE").pop().unwrap();
    assert_eq!(
        report.header("User-Agent"),
        Some("IM-client/OMA1.0 Example/M4-1.0")
    );
}

/// The feature tags of a Contact or Accept-Contact value (RFC 3840 §9: what begins with `+`, and
/// the base tags), with the Contact parameters that are none left out.
fn feature_tags(value: &str) -> Vec<String> {
    let no_tags = ["expires", "q", "reg-id"];
    sip::params(value)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !no_tags.contains(&name.as_str()))
        .collect()
}

#[test]
fn clause_5_2_4_0_no_feature_tag_goes_out_but_the_ones_of_im() {
    const IM: &str = "+g.oma.sip-im";
    const INSTANCE: &str = "+sip.instance";
    for (transport, extra) in [
        (Transport::Udp, None),
        (Transport::Tcp, None),
        (Transport::Udp, Some("+g.example.tag")),
        (Transport::Tls, Some("+g.example.tag")),
    ] {
        let mut world = World::new(1);
        let phones = ["alice", "bob"].map(|name| {
            world.phone_with(name, transport, |config| Config {
                keep_alive: KeepAlive::Options,
                registration_expires: 600,
                feature_tags: if extra.is_some() {
                    ";+g.example.tag"
                } else {
                    ""
                },
                ..config
            })
        });
        world.phones[phones[1]].habit = Habit::Show;
        world.register_all();
        for message in [
            hello(),
            hello().with_delivery_report().with_display_report(),
            anonymous(),
        ] {
            sent(&mut world, phones[0], &message);
        }
        // Reports, keep-alives, a refresh, and the end.
        world.run(700_000);
        for phone in phones {
            world
                .act(phone, |client, now| client.deregister(now))
                .unwrap();
        }
        world.run(5_000);
        let log = world.net.log();
        let all = log.sent(|packet| packet.from_host != "server");
        let mut seen = Vec::new();
        for message in all.iter().filter_map(Packet::sip) {
            let method = message.method().unwrap_or("a response").to_owned();
            for contact in message.all("Contact").iter().filter(|c| *c != "*") {
                let mut allowed = vec![IM];
                if method == "REGISTER" {
                    allowed.push(INSTANCE);
                    allowed.extend(extra);
                }
                for tag in feature_tags(contact) {
                    assert!(allowed.contains(&tag.as_str()), "{method}: {contact}");
                }
            }
            for wish in message.all("Accept-Contact") {
                assert_eq!(wish, format!("*;{IM}"), "{method}");
            }
            assert!(message.all("Reject-Contact").is_empty());
            seen.push(method);
        }
        let count = |method: &str| seen.iter().filter(|of| *of == method).count();
        assert!(count("REGISTER") >= 2 * 4, "challenge, first, refresh, end");
        assert!(count("MESSAGE") >= 3 + 2);
        if transport == Transport::Udp {
            assert!(count("OPTIONS") > 10);
        }
        // The check above sees the tags that are there.
        for register in requests(&world, "alice", "REGISTER") {
            let contact = register.header("Contact").unwrap();
            let mut wanted = vec![IM, INSTANCE];
            wanted.extend(extra);
            let mut tags = feature_tags(contact);
            tags.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(tags, wanted, "{contact}");
        }
    }
}

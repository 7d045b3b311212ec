//! 8.1 and 8.1.1: which mode, and what the MESSAGE carries.

use crate::{
    BOB, DELIVERED, anonymous, every_form, hello, no_credentials, requests, sent, text_for,
    try_send, world, world_with,
};
use oma_im::client::SendOutcome;
use oma_im::config::{Config, EndToEnd, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::im::pager::{Anonymity, Outgoing};
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Rule, Then};
use oma_im::testkit::sip::{self};
use oma_im::testkit::world::{EPOCH, PROXY, World};
use oma_im::wire::cpim::{Cpim, Notifications};
use oma_im::wire::imdn::{DeliveryStatus, Disposition};

// 8.1: which mode.

#[test]
fn clause_8_1_1_below_1300_bytes_a_message_goes_as_a_pager_mode_message() {
    let (mut world, alice, bob) = world_with(2, no_credentials);
    let text = text_for(&mut world, alice, 1299);
    let (end, request) = sent(&mut world, alice, &Outgoing::text(BOB, &text));
    assert_eq!(end, DELIVERED);
    assert_eq!(request.method(), Some("MESSAGE"));
    let wire = world
        .net
        .log()
        .sent(|p| p.from_host == "alice" && p.is_request("MESSAGE"));
    assert_eq!(wire[0].bytes.len(), 1299);
    assert_eq!(world.phones[bob].inbox[0].text(), text);
}

#[test]
fn clause_8_1_1_exactly_1300_bytes_are_not_below() {
    let (mut world, alice, _) = world_with(3, no_credentials);
    for size in [1300, 1301] {
        let text = text_for(&mut world, alice, size);
        assert_eq!(
            try_send(&mut world, alice, &Outgoing::text(BOB, &text)),
            Err(CommandError::TooLargeForPager { size })
        );
    }
    world.run(1_000);
    assert!(requests(&world, "alice", "MESSAGE").is_empty());
}

#[test]
fn clause_8_1_1_the_size_is_that_of_the_request_as_it_goes_out_with_credentials() {
    let mut world = World::new(4);
    let alice = world.phone("alice", Transport::Udp);
    world.phone("bob", Transport::Tcp);
    world.register_all();
    // From here on the challenge is known.
    assert_eq!(sent(&mut world, alice, &hello()).0, DELIVERED);
    let text = text_for(&mut world, alice, 1299);
    let (end, request) = sent(&mut world, alice, &Outgoing::text(BOB, &text));
    assert_eq!(end, DELIVERED);
    assert!(request.header("Proxy-Authorization").is_some());
    let wire = world
        .net
        .log()
        .sent(|p| p.from_host == "alice" && p.is_request("MESSAGE"));
    assert_eq!(wire.last().unwrap().bytes.len(), 1299);
}

#[test]
fn clause_8_1_2_more_goes_in_pager_mode_only_where_every_hop_is_known_to_be_a_stream() {
    let long = "x".repeat(2000);
    let long = Outgoing::text(BOB, &long);
    // A stream as our own hop proves nothing (RFC 3428 §8).
    for (transport, end_to_end, taken) in [
        (Transport::Udp, EndToEnd::Unknown, false),
        (Transport::Tcp, EndToEnd::Unknown, false),
        (Transport::Tls, EndToEnd::Unknown, false),
        (Transport::Udp, EndToEnd::Streams, true),
        (Transport::Tcp, EndToEnd::Streams, true),
    ] {
        let mut world = World::new(5);
        let alice = world.phone_with("alice", transport, |config| {
            assert_eq!(config.end_to_end, EndToEnd::Unknown, "off by default");
            Config {
                end_to_end,
                ..config
            }
        });
        let bob = world.phone("bob", Transport::Tcp);
        world.register_all();
        if taken {
            assert_eq!(sent(&mut world, alice, &long).0, DELIVERED);
            assert_eq!(world.phones[bob].inbox[0].body.len(), 2000);
        } else {
            let refused = try_send(&mut world, alice, &long);
            let Err(CommandError::TooLargeForPager { size }) = refused else {
                panic!("{refused:?}");
            };
            assert!(size > 2000);
            assert!(requests(&world, "alice", "MESSAGE").is_empty());
        }
    }
}

// 8.1.1: the MESSAGE.

#[test]
fn clause_8_1_1_0_the_message_is_one_of_rfc_3428() {
    let (mut world, alice, _) = world(6);
    world.server().add_group("team", &["bob"]);
    for form in every_form() {
        let (_, request) = sent(&mut world, alice, &form);
        assert_eq!(request.method(), Some("MESSAGE"));
        // RFC 3261 §8.1.1: what every request has, once.
        for name in [
            "To",
            "From",
            "CSeq",
            "Call-ID",
            "Max-Forwards",
            "Via",
            "Content-Type",
        ] {
            assert_eq!(request.all(name).len(), 1, "{name}");
        }
        assert_eq!(request.cseq(), Some((1, "MESSAGE")));
        assert_eq!(request.header("Max-Forwards"), Some("70"));
        assert!(sip::param(request.header("From").unwrap(), "tag").is_some());
        assert_eq!(sip::param(request.header("To").unwrap(), "tag"), None);
        let branch = sip::param(request.header("Via").unwrap(), "branch").unwrap();
        assert!(branch.starts_with("z9hG4bK"));
        // RFC 3428 §4: it makes no dialog.
        for name in ["Contact", "Record-Route", "Require", "Proxy-Require"] {
            assert_eq!(request.header(name), None, "{name}");
        }
        let length = request.body.len().to_string();
        assert_eq!(request.header("Content-Length"), Some(length.as_str()));
    }
}

#[test]
fn clause_8_1_1_0_one_message_per_target_is_pending_at_a_time() {
    let (mut world, alice, bob) = world(7);
    world
        .server()
        .script(Rule::on("MESSAGE").times(2).then(Then::Delay(2_000)));
    for text in ["one", "two"] {
        try_send(&mut world, alice, &Outgoing::text(BOB, text)).unwrap();
    }
    // RFC 3428 §8: until the first is answered the second does not go.
    world.run(1_500);
    assert!(
        requests(&world, "alice", "MESSAGE")
            .iter()
            .all(|sip| sip.body == b"one")
    );
    world.run(10_000);
    assert_eq!(world.phones[bob].inbox.len(), 2);
}

#[test]
fn clause_8_1_1_1_accept_contact_has_the_im_feature_tag() {
    let (mut world, alice, _) = world(8);
    world.server().add_group("team", &["bob"]);
    for form in every_form() {
        let (_, request) = sent(&mut world, alice, &form);
        assert_eq!(request.all("Accept-Contact"), ["*;+g.oma.sip-im"]);
    }
    // A report is a request of its own, and asks for the same.
    let report = requests(&world, "bob", "MESSAGE").pop().unwrap();
    assert_eq!(report.all("Accept-Contact"), ["*;+g.oma.sip-im"]);
}

#[test]
fn clause_8_1_1_2_the_message_names_its_originator() {
    let (mut world, alice, _) = world(9);
    world.server().add_group("team", &["bob"]);
    for form in every_form() {
        let (_, request) = sent(&mut world, alice, &form);
        assert_eq!(
            request.all("P-Preferred-Identity"),
            ["<sip:alice@example.com>"]
        );
    }
}

#[test]
fn clause_8_1_1_3_user_agent_names_the_release() {
    let (mut world, alice, _) = world(10);
    world.server().add_group("team", &["bob"]);
    for form in every_form() {
        let (_, request) = sent(&mut world, alice, &form);
        assert_eq!(
            request.all("User-Agent"),
            ["IM-client/OMA1.0 Example/M4-1.0"]
        );
    }
}

#[test]
fn clause_8_1_1_4_privacy_is_id_if_and_only_if_anonymity_is_asked_for() {
    let (mut world, alice, _) = world(11);
    let (end, request) = sent(&mut world, alice, &anonymous());
    assert_eq!(end, DELIVERED);
    assert_eq!(request.all("Privacy"), ["id"]);
    let (_, request) = sent(&mut world, alice, &hello());
    assert_eq!(request.header("Privacy"), None);
}

#[test]
fn clause_8_1_1_4_no_other_field_of_an_anonymous_message_names_the_user() {
    let mut world = World::new(12);
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        display_name: Some("Alice Liddell"),
        ..config
    });
    world.phone("bob", Transport::Tcp);
    world.register_all();
    // Challenged and sent again with credentials.
    assert_eq!(sent(&mut world, alice, &anonymous()).0, DELIVERED);
    let all = requests(&world, "alice", "MESSAGE");
    assert_eq!(all.len(), 2);
    for mut request in all {
        let from = request.header("From").unwrap().to_owned();
        let tag = from
            .strip_prefix(r#""Anonymous" <sip:anonymous@anonymous.invalid>;tag="#)
            .unwrap();
        for random in [tag, request.header("Call-ID").unwrap()] {
            assert!(
                random.bytes().all(|c| c.is_ascii_alphanumeric()),
                "{random}"
            );
        }
        request.remove("P-Preferred-Identity");
        request.remove("Proxy-Authorization");
        let rest = String::from_utf8(request.to_bytes())
            .unwrap()
            .to_lowercase();
        for name in ["alice", "liddell"] {
            assert!(!rest.contains(name), "{rest}");
        }
    }
}

#[test]
fn clause_8_1_1_4_a_group_that_forbids_anonymity_refuses_the_message() {
    for answer in [
        Answer::new(403).header("Warning", r#"399 example.com "119 Anonymity not allowed""#),
        Answer::new(433),
    ] {
        let (mut world, alice, bob) = world(13);
        world.server().add_group("team", &["bob"]);
        world
            .server()
            .script(Rule::on("MESSAGE").then(Then::Answer(answer)));
        let secret = Outgoing {
            anonymity: Anonymity::Id,
            ..Outgoing::text("sip:team@example.com", "psst")
        };
        let (end, _) = sent(&mut world, alice, &secret);
        assert!(
            matches!(
                end,
                SendOutcome::Failed(Failure::AnonymityRefused { status: 403 | 433 })
            ),
            "{end:?}"
        );
        world.run(60_000);
        assert_eq!(requests(&world, "alice", "MESSAGE").len(), 1);
        assert!(world.phones[bob].inbox.is_empty());
    }
}

#[test]
fn clause_8_1_1_5_to_one_user_the_request_uri_is_the_recipient() {
    let (mut world, alice, bob) = world(14);
    let (end, request) = sent(&mut world, alice, &hello());
    assert_eq!(end, DELIVERED);
    assert_eq!(request.uri(), Some(BOB));
    assert_eq!(request.header("To"), Some("<sip:bob@example.com>"));
    assert_eq!(world.phones[bob].inbox[0].text(), "Hello Bob");
}

#[test]
fn clause_8_1_1_7a_to_a_group_the_request_uri_is_the_group() {
    let (mut world, alice, bob) = world(15);
    world.server().add_group("team", &["alice", "bob"]);
    let (end, request) = sent(
        &mut world,
        alice,
        &Outgoing::text("sip:team@example.com", "all"),
    );
    assert_eq!(end, SendOutcome::Accepted);
    assert_eq!(request.uri(), Some("sip:team@example.com"));
    assert_eq!(request.header("To"), Some("<sip:team@example.com>"));
    world.run(1_000);
    assert_eq!(world.phones[bob].inbox[0].text(), "all");
}

#[test]
fn clause_8_1_1_10_a_delivery_report_is_asked_for_by_imdn() {
    let (mut world, alice, _) = world(16);
    let (_, request) = sent(&mut world, alice, &hello().with_delivery_report());
    assert_eq!(request.header("Content-Type"), Some("message/cpim"));
    let text = String::from_utf8(request.body.clone()).unwrap();
    assert!(
        text.contains("\r\nNS: imdn <urn:ietf:params:imdn>\r\n"),
        "{text}"
    );
    let wish = "\r\nimdn.Disposition-Notification: positive-delivery, negative-delivery\r\n";
    assert!(text.contains(wish), "{text}");
    // RFC 5438 §7.1.1: Message-ID with 64 bits of chance, DateTime.
    let cpim = Cpim::parse(&request.body).unwrap();
    assert!(cpim.message_id().unwrap().len() >= 13, "5 bits a character");
    let now = EPOCH + world.net.now().as_millis();
    let written = cpim.datetime().unwrap().unwrap();
    assert!(written <= now && now - written < 60_000);
    assert_eq!(cpim.content().body, b"Hello Bob");

    let both = hello().with_delivery_report().with_display_report();
    let (_, request) = sent(&mut world, alice, &both);
    let wanted = Cpim::parse(&request.body).unwrap().notifications();
    assert!(wanted.has(Notifications::POSITIVE_DELIVERY));
    assert!(wanted.has(Notifications::NEGATIVE_DELIVERY));
    assert!(wanted.has(Notifications::DISPLAY));

    let (_, request) = sent(&mut world, alice, &hello());
    assert_eq!(
        request.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(request.body, b"Hello Bob");
}

#[test]
fn clause_8_1_1_10_the_report_says_what_became_of_the_message() {
    let (mut world, alice, _) = world(17);
    let id = try_send(&mut world, alice, &hello().with_delivery_report()).unwrap();
    world.run(5_000);
    let told = |event: &Happened| {
        matches!(event, Happened::Report { id: Some(of), recipient, disposition, .. }
            if *of == id && recipient == BOB
                && *disposition == Disposition::Delivery(DeliveryStatus::Delivered))
    };
    assert_eq!(
        world.phones[alice]
            .events
            .iter()
            .filter(|e| told(e))
            .count(),
        1
    );
}

#[test]
fn clause_8_1_1_11_the_message_takes_the_path_of_the_core() {
    let routes = [
        "<sip:198.51.100.1:5060;lr>",
        "<sip:orig@198.51.100.1:5060;lr>",
    ];
    let (mut world, alice, bob) = {
        let mut world = World::new(18);
        world.server().config.service_route = routes.map(Into::into).to_vec();
        let alice = world.phone("alice", Transport::Udp);
        let bob = world.phone("bob", Transport::Tcp);
        world.register_all();
        (world, alice, bob)
    };
    let (end, request) = sent(&mut world, alice, &hello());
    assert_eq!(end, DELIVERED);
    // RFC 3608 §6.1: the service route, in order; the Request-URI stays the recipient.
    assert_eq!(request.all("Route"), routes);
    assert_eq!(request.uri(), Some(BOB));
    // RFC 3261 §8.1.2: to the configured next hop, whatever the Request-URI names.
    let wire = world
        .net
        .log()
        .sent(|p| p.from_host == "alice" && p.is_request("MESSAGE"));
    let proxy = world.phones[alice].hosts[PROXY][0];
    assert!(wire.iter().all(|packet| packet.to == proxy));
    assert_eq!(world.phones[bob].inbox.len(), 1);
    // REGISTER does not take it.
    for register in requests(&world, "alice", "REGISTER") {
        assert!(register.all("Route").is_empty());
    }

    // RFC 3608 §6.1: a 200 without one ends it.
    world.server().config.service_route.clear();
    world.run(3_600_000);
    let (end, request) = sent(&mut world, alice, &hello());
    assert_eq!(end, DELIVERED);
    assert!(request.all("Route").is_empty());
}

#[test]
fn clause_8_1_1_n3_after_a_202_the_message_id_is_kept_and_the_report_matched() {
    let (mut world, alice, bob) = world_with(19, |config| Config {
        report_window: 7_200,
        ..config
    });
    world
        .act(bob, |client, now| client.deregister(now))
        .unwrap();
    world.run(5_000);
    let asked = hello().with_delivery_report();
    let id = try_send(&mut world, alice, &asked).unwrap();
    world.run(5_000);
    assert!(world.saw(alice, |e| *e == Happened::Sent(id, SendOutcome::Accepted)));
    // An hour later.
    world.run(3_600_000);
    world.act(bob, |client, now| client.register(now)).unwrap();
    world.run(5_000);
    assert_eq!(world.phones[bob].inbox.len(), 1);
    let matched =
        |event: &Happened| matches!(event, Happened::Report { id: Some(of), .. } if *of == id);
    assert!(world.saw(alice, matched));
    // The time it is kept is Config::report_window.
    let closed = |event: &Happened| *event == Happened::WindowClosed(id);
    assert!(!world.saw(alice, closed));
    world.run(3_600_000);
    assert!(world.saw(alice, closed));
}

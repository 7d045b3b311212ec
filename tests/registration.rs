//! Registration (RFC 3261 §10, RFC 3608, RFC 5626), as the wire and the application see it.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod ladder;

use ladder::{
    Bare, HOUR, MINUTE, SECOND, attempts, branch, contact_param, cseq, header, requests, responses,
};
use oma_im::client::{Adopted, SendOutcome};
use oma_im::config::{Config, Credentials, NextHop, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::id::{FlowId, PathId};
use oma_im::im::pager::Outgoing;
use oma_im::testkit::net::{Break, Conditions};
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Outbound, Rule, Then, User};
use oma_im::testkit::world::World;

const SECOND_HOP: &str = "second.example.com";

/// A world with one registered phone.
fn registered(seed: u64, transport: Transport) -> (World, usize) {
    let mut world = World::new(seed);
    let alice = world.phone("alice", transport);
    world.register_all();
    (world, alice)
}

/// A world whose server is scripted before the first REGISTER.
fn scripted(seed: u64, transport: Transport, rules: impl IntoIterator<Item = Rule>) -> World {
    let mut world = World::new(seed);
    let alice = world.phone("alice", transport);
    for rule in rules {
        world.server().script(rule);
    }
    world
        .act(alice, |client, now| client.register(now))
        .unwrap();
    world
}

fn answer(status: u16) -> Then {
    Then::Answer(Answer::new(status))
}

/// Events of a kind.
fn count(world: &World, what: impl Fn(&Happened) -> bool) -> usize {
    world.phones[0]
        .events
        .iter()
        .filter(|event| what(event))
        .count()
}

fn failed(world: &World) -> Vec<Failure> {
    let failure = |event: &Happened| match event {
        Happened::Failed(failure) => Some(*failure),
        _ => None,
    };
    world.phones[0].events.iter().filter_map(failure).collect()
}

fn retries(world: &World) -> Vec<(Failure, u64)> {
    let retry = |event: &Happened| match event {
        Happened::Retrying { failure, retry_at } => Some((*failure, retry_at.as_millis())),
        _ => None,
    };
    world.phones[0].events.iter().filter_map(retry).collect()
}

// The request.

#[test]
fn a_register_on_a_stream_asks_for_outbound() {
    let (world, _) = registered(1, Transport::Tcp);
    let (_, first) = requests(&world, "alice", "REGISTER").remove(0);
    let contact = header(&first, "Contact");
    let user = contact
        .strip_prefix("<sip:")
        .and_then(|rest| rest.split_once('@'))
        .unwrap()
        .0;
    let expected = format!(
        "REGISTER sip:example.com SIP/2.0\r\n\
         Via: SIP/2.0/TCP 192.0.2.10:49152;branch={};rport;keep\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:alice@example.com>;tag={}\r\n\
         To: <sip:alice@example.com>\r\n\
         Call-ID: {}\r\n\
         CSeq: 1 REGISTER\r\n\
         Contact: <sip:{user}@192.0.2.10:49152;transport=tcp>\
         ;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-000000000000>\"\
         ;reg-id=1;+g.oma.sip-im;expires=3600\r\n\
         Expires: 3600\r\n\
         Supported: path, outbound, gruu\r\n\
         User-Agent: IM-client/OMA1.0 Example/M4-1.0\r\n\
         Content-Length: 0\r\n\r\n",
        branch(&first),
        oma_im::testkit::sip::param(header(&first, "From"), "tag").unwrap(),
        header(&first, "Call-ID"),
    );
    let sent = world.net.log().sent(|packet| packet.is_request("REGISTER"));
    assert_eq!(String::from_utf8_lossy(&sent[0].bytes), expected);
}

#[test]
fn a_register_on_datagrams_asks_for_path_and_the_source_port_only() {
    let (world, _) = registered(1, Transport::Udp);
    let (_, first) = requests(&world, "alice", "REGISTER").remove(0);
    assert_eq!(header(&first, "Supported"), "path, gruu");
    assert_eq!(contact_param(&first, "reg-id"), None);
    assert_eq!(contact_param(&first, "+g.oma.sip-im").as_deref(), Some(""));
    // RFC 3581 §3, RFC 6223 §4.3.
    assert!(header(&first, "Via").ends_with(";rport;keep"));
}

// Refreshing.

#[test]
fn refreshes_come_before_the_end_with_one_call_id_and_the_next_cseq() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut world, alice) = registered(2, transport);
        world.run(3 * HOUR);
        let sent = requests(&world, "alice", "REGISTER");
        // RFC 3261 §10.2.4: one Call-ID, and the CSeq counts every REGISTER, retries included.
        for (at, (_, sip)) in sent.iter().enumerate() {
            assert_eq!(header(sip, "Call-ID"), header(&sent[0].1, "Call-ID"));
            assert_eq!(header(sip, "From"), header(&sent[0].1, "From"));
            assert_eq!(cseq(sip), at as u32 + 1);
        }
        let granted = responses(&world, "server", 200);
        assert_eq!(granted.len(), 4, "one registration and three refreshes");
        for pair in granted.windows(2) {
            let gap = pair[1].0 - pair[0].0;
            // 3GPP TS 24.229 §5.1.1.4.1: 600 s before the end of more than 1200 s.
            assert!((3_000 * SECOND..3_001 * SECOND).contains(&gap), "{gap}");
        }
        assert_eq!(
            count(&world, |event| matches!(event, Happened::Refreshed { .. })),
            3
        );
        assert_eq!(
            count(&world, |event| matches!(event, Happened::Registered { .. })),
            1
        );
        let now = world.net.now();
        assert_eq!(world.server().bindings(now, "alice").len(), 1);
        assert!(world.phones[alice].client.is_ready());
    }
}

#[test]
fn a_short_binding_is_refreshed_at_half_its_time() {
    let mut world = World::with(3, Conditions::default(), |config| config.max_expires = 100);
    let alice = world.phone("alice", Transport::Tcp);
    world.register_all();
    assert!(world.saw(alice, |event| matches!(
        event,
        Happened::Registered { expires: 100, .. }
    )));
    world.run(60 * SECOND);
    let granted = responses(&world, "server", 200);
    assert_eq!(granted.len(), 2);
    assert!((50_000..50_200).contains(&(granted[1].0 - granted[0].0)));
}

#[test]
fn a_retry_that_died_with_its_flow_does_not_give_its_cseq_to_the_next() {
    // The server takes CSeq 2, closes, and would find a second CSeq 2 out of order
    // (RFC 3261 §10.3 step 7).
    let rule = Rule::on("REGISTER")
        .with_credentials()
        .then(Then::CloseFlow);
    let mut world = scripted(4, Transport::Tcp, [rule]);
    world.run(2 * MINUTE);
    let numbers: Vec<u32> = requests(&world, "alice", "REGISTER")
        .iter()
        .map(|(_, sip)| cseq(sip))
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert!(world.phones[0].client.is_ready());
}

// The answer.

/// Registers against a 200 whose Contact headers are those that `contacts` makes of ours.
fn granted_by(transport: Transport, contacts: fn(&str) -> Vec<String>) -> String {
    let mut bare = Bare::new(transport, |config| config);
    bare.act(|client, now| client.register(now)).unwrap();
    let flow = bare.open();
    let ours = header(&bare.last("REGISTER"), "Contact").to_owned();
    let all = contacts(&ours);
    let headers: Vec<(&str, &str)> = all
        .iter()
        .map(|value| ("Contact", value.as_str()))
        .collect();
    bare.answer(flow, "REGISTER", 200, &headers);
    bare.events.pop().unwrap().1
}

#[test]
fn the_own_binding_is_found_among_others_by_instance_and_reg_id() {
    let others = |ours: &str| {
        vec![
            "<sip:tablet@192.0.2.77>;+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=7".into(),
            // Ours of another flow.
            ours.replace("reg-id=1", "reg-id=2").replace("=3600", "=8"),
            "<sip:plain@192.0.2.78>;expires=9".into(),
            // An edge wrote another URI into it.
            format!(
                "<sip:rewritten@203.0.113.9>{}",
                ours.split_once('>').unwrap().1.replace("=3600", "=120")
            ),
        ]
    };
    let event = granted_by(Transport::Tcp, others);
    assert!(event.contains("expires: 120"), "{event}");
}

#[test]
fn the_own_binding_is_found_by_its_address_where_no_reg_id_tells() {
    // Before outbound the same device can have an older binding, at another address.
    let others = |ours: &str| {
        vec![
            ours.replace("192.0.2.10", "192.0.2.99")
                .replace("=3600", "=8"),
            ours.replace("=3600", "=120"),
        ]
    };
    let event = granted_by(Transport::Udp, others);
    assert!(event.contains("expires: 120"), "{event}");
    // A registrar may give back nothing but the URI.
    let bare = |ours: &str| vec![format!("{}>;expires=90", ours.split_once('>').unwrap().0)];
    let event = granted_by(Transport::Udp, bare);
    assert!(event.contains("expires: 90"), "{event}");
}

#[test]
fn a_200_without_our_contact_is_no_registration() {
    let nobody = |_: &str| vec!["<sip:other@192.0.2.77>;expires=3600".into()];
    let event = granted_by(Transport::Tcp, nobody);
    assert!(event.contains("Retrying"), "{event}");
}

#[test]
fn the_associated_identities_are_told() {
    let (world, alice) = registered(5, Transport::Udp);
    assert!(world.saw(alice, |event| matches!(
        event,
        Happened::Registered { associated, path: PathId(0), expires: 3600 }
            if associated == "<sip:alice@example.com>"
    )));
}

// Refusals.

#[test]
fn a_423_is_followed_and_remembered() {
    let mut world = World::with(6, Conditions::default(), |config| {
        (config.min_expires, config.max_expires) = (7_200, 7_200);
    });
    world.phone("alice", Transport::Udp);
    world.register_all();
    world.run(2 * HOUR);
    let asked: Vec<String> = requests(&world, "alice", "REGISTER")
        .iter()
        .map(|(_, sip)| contact_param(sip, "expires").unwrap())
        .collect();
    // 401, 423, then 7200, and 7200 at once for the refresh.
    assert_eq!(asked, ["3600", "3600", "7200", "7200"]);
    assert_eq!(responses(&world, "server", 423).len(), 1);
}

#[test]
fn a_hostile_423_ends_the_registration() {
    for min_expires in [
        "4294967295",
        "0",
        "3600",
        "99999999999999999999",
        "soon",
        "",
    ] {
        let mut bare = Bare::new(Transport::Udp, |config| config);
        bare.act(|client, now| client.register(now)).unwrap();
        let flow = bare.open();
        let headers = [("Min-Expires", min_expires)];
        let headers = if min_expires.is_empty() {
            &[][..]
        } else {
            &headers
        };
        bare.answer(flow, "REGISTER", 423, headers);
        assert_eq!(bare.saw("Failed(Interval)"), 1, "{min_expires}");
        bare.run(24 * HOUR);
        assert_eq!(bare.requests("REGISTER").len(), 1, "{min_expires}");
    }
}

#[test]
fn a_registrar_that_always_wants_more_is_not_followed_for_ever() {
    let mut bare = Bare::new(Transport::Udp, |config| config);
    bare.act(|client, now| client.register(now)).unwrap();
    let flow = bare.open();
    for more in ["4000", "5000", "6000", "7000"] {
        if bare.saw("Failed") == 0 {
            bare.answer(flow, "REGISTER", 423, &[("Min-Expires", more)]);
        }
    }
    assert_eq!(bare.saw("Failed(Interval)"), 1);
    assert!(bare.requests("REGISTER").len() <= 4);
}

#[test]
fn retry_after_is_waited_for() {
    for status in [500, 503, 480, 404] {
        let rule = Rule::on("REGISTER").then(Then::Answer(
            Answer::new(status).header("Retry-After", "300 (maintenance)"),
        ));
        let mut world = scripted(7, Transport::Udp, [rule]);
        world.run(299 * SECOND);
        assert_eq!(requests(&world, "alice", "REGISTER").len(), 1, "{status}");
        world.run(2 * SECOND);
        assert!(world.phones[0].client.is_ready(), "{status}");
    }
}

#[test]
fn a_refusal_for_good_is_not_repeated_until_the_user_asks() {
    for (status, headers) in [(403, ""), (404, ""), (400, ""), (603, ""), (501, "9")] {
        let mut refusal = Answer::new(status);
        if !headers.is_empty() {
            refusal = refusal.header("Retry-After", headers);
        }
        let rule = Rule::on("REGISTER").then(Then::Answer(refusal));
        let mut world = scripted(8, Transport::Tcp, [rule]);
        world.run(24 * HOUR);
        assert_eq!(requests(&world, "alice", "REGISTER").len(), 1, "{status}");
        assert!(
            matches!(failed(&world)[..], [Failure::Status { status: of, .. }] if of == status),
            "{status}"
        );
        world.register_all();
        assert!(world.phones[0].client.is_ready());
    }
}

/// RFC 5626 §4.5: the wait after n failures is between half of min(1800, 30 · 2^n) s and all of it.
#[test]
fn waits_grow_as_rfc_5626_has_it() {
    let rule = Rule::on("REGISTER").forever().then(answer(500));
    let mut world = scripted(9, Transport::Udp, [rule]);
    world.run(3 * HOUR);
    let sent = attempts(&world, "alice", "REGISTER");
    assert!(sent.len() >= 9, "{}", sent.len());
    for (n, pair) in sent.windows(2).enumerate() {
        let bound = (30_u64 << (n + 1).min(8)).min(1_800) * SECOND;
        let gap = pair[1].0 - pair[0].0;
        assert!(
            (bound / 2..=bound + 100).contains(&gap),
            "failure {}: {gap} ms",
            n + 1
        );
    }
    assert_eq!(retries(&world).len(), sent.len());
}

#[test]
fn a_silent_server_is_asked_with_growing_pauses() {
    let rule = Rule::on("REGISTER").forever().then(Then::Silence);
    let mut world = scripted(10, Transport::Udp, [rule]);
    world.run(HOUR);
    let sent = attempts(&world, "alice", "REGISTER");
    assert!(sent.len() >= 4);
    for (n, pair) in sent.windows(2).enumerate() {
        let bound = (30_u64 << (n + 1)).min(1_800) * SECOND;
        // Timer F, then the wait.
        let gap = pair[1].0 - pair[0].0 - 32 * SECOND;
        assert!((bound / 2..=bound + 100).contains(&gap), "{n}: {gap} ms");
    }
    assert!(
        retries(&world)
            .iter()
            .all(|(failure, _)| *failure == Failure::Timeout)
    );
}

#[test]
fn a_refresh_that_meets_a_500_is_repeated_while_the_binding_serves() {
    let rule = Rule::on("REGISTER").skip(2).then(answer(500));
    let mut world = scripted(11, Transport::Tcp, [rule]);
    world.run(3_001 * SECOND);
    assert_eq!(retries(&world).len(), 1);
    assert!(world.phones[0].client.is_ready(), "the binding still lasts");
    world.run(70 * SECOND);
    assert_eq!(
        count(&world, |event| matches!(event, Happened::Refreshed { .. })),
        1
    );
    assert_eq!(count(&world, |event| matches!(event, Happened::Lost(_))), 0);
}

// The end.

#[test]
fn a_deregistration_removes_the_binding_and_closes_the_flow() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut world, alice) = registered(12, transport);
        world.run(MINUTE);
        world
            .act(alice, |client, now| client.deregister(now))
            .unwrap();
        world.run(SECOND);
        let last = requests(&world, "alice", "REGISTER").pop().unwrap().1;
        assert_eq!(contact_param(&last, "expires").as_deref(), Some("0"));
        assert_eq!(header(&last, "Expires"), "0");
        let now = world.net.now();
        assert!(world.server().bindings(now, "alice").is_empty());
        assert_eq!(
            world.phones[alice].events.last(),
            Some(&Happened::Deregistered)
        );
        assert_eq!(world.phones[alice].flows(), 0);
        assert_eq!(
            world.phones[alice].deadline(),
            None,
            "nothing is left to do"
        );
        // And again.
        world.register_all();
    }
}

#[test]
fn a_silent_server_does_not_hold_up_a_deregistration() {
    for (timeout, wait) in [(2_000, 2_000), (700, 700)] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut world = World::new(13);
            let alice = world.phone_with("alice", transport, |config| Config {
                deregister_timeout: timeout,
                ..config
            });
            world.register_all();
            world
                .server()
                .script(Rule::on("REGISTER").forever().then(Then::Silence));
            world
                .act(alice, |client, now| client.deregister(now))
                .unwrap();
            world.run(wait - 1);
            assert!(!world.saw(alice, |event| *event == Happened::Deregistered));
            world.run(1);
            assert_eq!(
                world.phones[alice].events.last(),
                Some(&Happened::Deregistered)
            );
            assert_eq!(world.phones[alice].flows(), 0);
        }
    }
}

#[test]
fn messages_end_before_the_deregistration_does() {
    let (mut world, alice) = registered(14, Transport::Tcp);
    world
        .server()
        .script(Rule::on("MESSAGE").forever().then(Then::Silence));
    let hello = Outgoing::text("sip:bob@example.com", "Hello");
    let ids: Vec<_> = (0..3)
        .map(|_| {
            world
                .act(alice, |client, now| client.send_message(now, &hello))
                .unwrap()
        })
        .collect();
    world.run(100);
    world
        .act(alice, |client, now| client.deregister(now))
        .unwrap();
    world.run(40 * SECOND);
    let events = &world.phones[alice].events;
    let end = events
        .iter()
        .position(|event| *event == Happened::Deregistered)
        .unwrap();
    for id in ids {
        let ends: Vec<usize> = events
            .iter()
            .enumerate()
            .filter(|(_, event)| matches!(event, Happened::Sent(of, _) if *of == id))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(ends.len(), 1, "one terminal event");
        assert!(
            ends[0] < end,
            "message {} ends after the registration",
            id.0
        );
        assert!(matches!(
            events[ends[0]],
            Happened::Sent(_, SendOutcome::Failed(Failure::Withdrawn))
        ));
    }
}

#[test]
fn a_deregistration_comes_to_its_end_from_every_state() {
    // While the flow is opened.
    let mut bare = Bare::new(Transport::Tcp, |config| config);
    bare.act(|client, now| client.register(now)).unwrap();
    bare.act(|client, now| client.deregister(now)).unwrap();
    assert_eq!(bare.saw("Deregistered"), 1);
    let late = bare.open();
    assert_eq!(bare.closes[0].0, late);
    assert!(bare.requests("REGISTER").is_empty());

    // While the first REGISTER is under way: it is taken back once it is answered.
    let mut bare = Bare::new(Transport::Tcp, |config| config);
    bare.act(|client, now| client.register(now)).unwrap();
    let flow = bare.open();
    bare.act(|client, now| client.deregister(now)).unwrap();
    bare.grant(flow, &[]);
    assert_eq!(
        contact_param(&bare.last("REGISTER"), "expires").unwrap(),
        "0"
    );
    bare.answer(flow, "REGISTER", 200, &[]);
    assert_eq!(bare.saw("Deregistered"), 1);

    // While the next attempt is waited for.
    let mut bare = Bare::new(Transport::Tcp, |config| config);
    bare.act(|client, now| client.register(now)).unwrap();
    let flow = bare.open();
    bare.answer(flow, "REGISTER", 500, &[]);
    bare.act(|client, now| client.deregister(now)).unwrap();
    assert_eq!(bare.saw("Deregistered"), 1);
    bare.run(24 * HOUR);
    assert_eq!(bare.requests("REGISTER").len(), 1);

    // When it is over there is nothing to end.
    let again = bare.act(|client, now| client.deregister(now));
    assert_eq!(again, Err(CommandError::WrongState));
}

#[test]
fn a_server_that_fails_a_leaving_client_is_not_replaced() {
    let mut bare = Bare::new(Transport::Udp, |config| config);
    bare.act(|client, now| client.register(now)).unwrap();
    let flow = bare.open();
    bare.act(|client, now| client.deregister(now)).unwrap();
    bare.answer(flow, "REGISTER", 503, &[]);
    assert_eq!(bare.saw("Deregistered"), 1);
    assert_eq!(bare.opens.len(), 1);
}

// Routes.

/// RFC 3608 §6.1: the values of the last 200, in its order, byte for byte.
#[test]
fn the_service_route_is_the_route_of_initial_requests_byte_for_byte() {
    let routes = [
        r#"<sip:orig@scscf.example.com:5060;lr;Ox="a,b";UP=1>;p=%20"#,
        "<sip:[2001:db8::9];lr;transport=tcp>",
    ];
    let mut world = World::with(15, Conditions::default(), |config| {
        config.service_route = routes.iter().map(ToString::to_string).collect();
    });
    let alice = world.phone("alice", Transport::Udp);
    world.phone("bob", Transport::Udp);
    world.register_all();
    let hello = Outgoing::text("sip:bob@example.com", "Hello");
    let send = |world: &mut World| {
        world
            .act(alice, |client, now| client.send_message(now, &hello))
            .unwrap();
        world.run(SECOND);
        let last = requests(world, "alice", "MESSAGE").pop().unwrap().1;
        last.header("Route").map(str::to_owned)
    };
    let route = send(&mut world);
    assert_eq!(route, Some(format!("{}, {}", routes[0], routes[1])));
    // Each of them, the answer to a challenge too.
    for (_, sip) in requests(&world, "alice", "MESSAGE") {
        assert!(sip.header("Route").is_some());
    }

    // Another one with the next refresh.
    world.server().config.service_route = vec!["<sip:other.example.com;lr>".into()];
    world.run(3_000 * SECOND);
    assert_eq!(
        send(&mut world).as_deref(),
        Some("<sip:other.example.com;lr>")
    );

    // None with the one after that.
    world.server().config.service_route.clear();
    world.run(3_000 * SECOND);
    assert_eq!(send(&mut world), None);

    // RFC 3608 §6.1: never for REGISTER.
    for (_, sip) in requests(&world, "alice", "REGISTER") {
        assert_eq!(sip.header("Route"), None);
    }
}

/// RFC 3327 §5.1: Path is for the registrar; ims#34 sent every request along it.
#[test]
fn a_path_in_the_200_is_never_used() {
    let path = Then::edit(|sip| sip.push("Path", "<sip:pcscf.example.com;lr>"));
    let rule = Rule::on("REGISTER").forever().then(path);
    let mut world = scripted(16, Transport::Udp, [rule]);
    world.phone("bob", Transport::Udp);
    world.run(SECOND);
    let hello = Outgoing::text("sip:bob@example.com", "Hello");
    world
        .act(0, |client, now| client.send_message(now, &hello))
        .unwrap();
    world.run(2 * HOUR);
    for packet in world.net.log().sent(|packet| packet.from_host == "alice") {
        let sip = packet.sip().unwrap();
        assert_eq!((sip.header("Route"), sip.header("Path")), (None, None));
    }
}

// A registration of somebody else's.

#[test]
fn an_adopted_registration_is_used_and_never_touched() {
    let mut world = World::new(17);
    let alice = world.phone("alice", Transport::Udp);
    let bob = world.phone("bob", Transport::Udp);
    world.act(bob, |client, now| client.register(now)).unwrap();
    let adopted = Adopted {
        service_route: "<sip:one.example.com;lr>",
        associated: "<sip:alice@example.com>, <tel:+4912345>",
    };
    world
        .act(alice, |client, now| {
            client.adopt_registration(now, &adopted)
        })
        .unwrap();
    world.run(SECOND);
    assert!(world.saw(alice, |event| *event
        == Happened::OwnerMustRegister("+g.oma.sip-im".into())));
    assert!(world.phones[alice].client.is_ready());
    // The modem holds it, the client cannot.
    let both = world.act(alice, |client, now| client.register(now));
    assert_eq!(both, Err(CommandError::WrongState));

    let hello = Outgoing::text("sip:bob@example.com", "Hello");
    let route_of_next = |world: &mut World| {
        world
            .act(alice, |client, now| client.send_message(now, &hello))
            .unwrap();
        world.run(SECOND);
        let last = requests(world, "alice", "MESSAGE").pop().unwrap().1;
        last.header("Route").map(str::to_owned)
    };
    assert_eq!(
        route_of_next(&mut world).as_deref(),
        Some("<sip:one.example.com;lr>")
    );
    let changed = Adopted {
        service_route: "<sip:two.example.com;lr>",
        ..adopted
    };
    world
        .act(alice, |client, now| {
            client.registration_changed(now, &changed)
        })
        .unwrap();
    assert_eq!(
        route_of_next(&mut world).as_deref(),
        Some("<sip:two.example.com;lr>")
    );
    world.run(24 * HOUR);
    assert!(requests(&world, "alice", "REGISTER").is_empty());
    assert_eq!(world.phones[bob].inbox.len(), 2);
}

#[test]
fn the_loss_of_an_adopted_registration_ends_what_waits() {
    let mut bare = Bare::new(Transport::Tcp, |config| config);
    bare.act(|client, now| client.adopt_registration(now, &Adopted::default()))
        .unwrap();
    let flow = bare.open();
    let hello = Outgoing::text("sip:bob@example.com", "Hello");
    for _ in 0..2 {
        bare.act(|client, now| client.send_message(now, &hello))
            .unwrap();
    }
    bare.act(|client, now| client.registration_lost(now))
        .unwrap();
    assert_eq!(bare.saw("Withdrawn"), 2, "{:?}", bare.events);
    assert!(bare.events.last().unwrap().1.contains("Lost"));
    let refused = bare.act(|client, now| client.send_message(now, &hello));
    assert_eq!(refused, Err(CommandError::WrongState));
    assert_eq!(bare.closes.len(), 1, "{flow:?} is not needed any more");
    bare.run(24 * HOUR);
    assert!(bare.requests("REGISTER").is_empty());
    // From here on the client may register by itself.
    bare.act(|client, now| client.register(now)).unwrap();
    bare.open();
    assert_eq!(bare.requests("REGISTER").len(), 1);
}

#[test]
fn an_adopted_registration_gets_a_new_flow_but_no_storm_of_them() {
    let mut bare = Bare::new(Transport::Tcp, |config| config);
    bare.act(|client, now| client.adopt_registration(now, &Adopted::default()))
        .unwrap();
    let flow = bare.open();
    bare.run(HOUR);
    bare.close(flow);
    assert_eq!(
        bare.opens.len(),
        2,
        "a flow that worked is replaced at once"
    );
    // A server that accepts and closes is left alone (RFC 5626 §4.5).
    for _ in 0..20 {
        let opens = bare.opens.len();
        let flow = bare.open();
        bare.close(flow);
        assert_eq!(bare.opens.len(), opens);
        bare.run(29 * SECOND);
        assert_eq!(bare.opens.len(), opens);
        bare.run(HOUR);
        assert_eq!(bare.opens.len(), opens + 1);
    }
}

// Lost and found.

#[test]
fn a_lost_flow_is_replaced_and_registered_again() {
    let (mut world, alice) = registered(18, Transport::Tcp);
    // A keep-alive is answered meanwhile: the flow has worked (RFC 5626 §4.5).
    world.run(3 * MINUTE);
    let before = requests(&world, "alice", "REGISTER").len();
    let conn = world.net.connections_of("alice")[0];
    world.net.break_connection(conn, Break::Reset);
    world.run(SECOND);
    let events = &world.phones[alice].events;
    let lost = events
        .iter()
        .position(|event| *event == Happened::Lost(PathId(0)))
        .unwrap();
    assert!(
        events[lost..]
            .iter()
            .any(|event| matches!(event, Happened::Registered { .. }))
    );
    for (_, sip) in &requests(&world, "alice", "REGISTER")[before..] {
        // RFC 5626 §4.5: the same reg-id.
        assert_eq!(contact_param(sip, "reg-id").as_deref(), Some("1"));
    }
    let now = world.net.now();
    assert_eq!(world.server().bindings(now, "alice").len(), 1);
}

#[test]
fn a_binding_that_the_registrar_forgot_comes_back_with_the_next_refresh() {
    let (mut world, _) = registered(19, Transport::Tcp);
    world.server().forget_bindings();
    world.run(HOUR);
    let now = world.net.now();
    assert_eq!(world.server().bindings(now, "alice").len(), 1);
}

// Two next hops.

const TCP_HOPS: [NextHop<'static>; 2] = [
    NextHop::new(oma_im::testkit::world::PROXY, Transport::Tcp),
    NextHop::new(SECOND_HOP, Transport::Tcp),
];
const UDP_HOPS: [NextHop<'static>; 2] = [
    NextHop::new(oma_im::testkit::world::PROXY, Transport::Udp),
    NextHop::new(SECOND_HOP, Transport::Udp),
];

/// A phone with two next hops, each of them one server.
fn two_hops(seed: u64, hops: &'static [NextHop<'static>], outbound: Outbound) -> World {
    let mut world = World::with(seed, Conditions::default(), |config| {
        config.outbound = outbound
    });
    world.second_server(|config| config.outbound = outbound);
    let alice = world.phone_with("alice", Transport::Tcp, |config| Config {
        next_hops: hops,
        ..config
    });
    world.servers[1]
        .server
        .add_user(User::new("alice", "alicepw"));
    let addresses: Vec<_> = world
        .servers
        .iter()
        .map(|host| host.server.config.address)
        .collect();
    let hosts = &mut world.phones[alice].hosts;
    hosts.insert(oma_im::testkit::world::PROXY.into(), vec![addresses[0]]);
    hosts.insert(SECOND_HOP.into(), vec![addresses[1]]);
    world
}

fn register(world: &mut World) {
    world.act(0, |client, now| client.register(now)).unwrap();
}

fn reg_ids(world: &World, server: &str) -> Vec<String> {
    let mut ids: Vec<String> = world
        .net
        .log()
        .sent(|packet| packet.is_request("REGISTER") && packet.to_host.as_deref() == Some(server))
        .iter()
        .map(|packet| contact_param(&packet.sip().unwrap(), "reg-id").unwrap_or_default())
        .collect();
    ids.dedup();
    ids
}

/// RFC 5626 §4.2.1: further flows once the registrar has shown that it knows them.
#[test]
fn two_outbound_proxies_are_both_registered() {
    let mut world = two_hops(20, &TCP_HOPS, Outbound::On);
    register(&mut world);
    world.run(SECOND);
    assert_eq!(reg_ids(&world, "server"), ["1"]);
    assert_eq!(reg_ids(&world, "server2"), ["2"]);
    for path in [PathId(0), PathId(1)] {
        assert!(world.saw(
            0,
            |event| matches!(event, Happened::Registered { path: of, .. } if *of == path)
        ));
    }
    let first_ok = responses(&world, "server", 200)[0].0;
    let second = world
        .net
        .log()
        .entries()
        .iter()
        .find_map(|entry| match &entry.what {
            oma_im::testkit::log::What::Connection { to_host, .. }
                if to_host.as_deref() == Some("server2") =>
            {
                Some(entry.at.as_millis())
            }
            _ => None,
        })
        .unwrap();
    assert!(second >= first_ok);

    // One of them may go, messages go by the other.
    let address = world.servers[0].server.config.address;
    world.net.stop_listening(address);
    let conn = world.net.connections_of("alice")[0];
    world.net.break_connection(conn, Break::Reset);
    world.run(SECOND);
    assert_eq!(world.phones[0].client.path(), Some(PathId(1)));
    let hello = Outgoing::text("sip:alice@example.com", "To myself");
    world
        .act(0, |client, now| client.send_message(now, &hello))
        .unwrap();
    world.run(SECOND);
    assert_eq!(world.phones[0].inbox.len(), 1);
}

#[test]
fn a_registrar_that_says_nothing_of_outbound_gets_one_flow() {
    let mut world = two_hops(21, &TCP_HOPS, Outbound::Off);
    register(&mut world);
    world.run(HOUR);
    assert_eq!(reg_ids(&world, "server"), ["1"]);
    assert!(reg_ids(&world, "server2").is_empty());
}

#[test]
fn the_second_hop_serves_when_the_first_is_silent() {
    let mut world = two_hops(22, &UDP_HOPS, Outbound::Off);
    register(&mut world);
    let first = world.servers[0].server.config.address;
    world.net.block(first.ip());
    world.run(33 * SECOND);
    // RFC 3263 §4.3, by the time-out of the transaction (Timer F).
    assert!(world.phones[0].client.is_ready());
    assert_eq!(responses(&world, "server2", 200).len(), 1);
    assert!(retries(&world).is_empty());
}

#[test]
fn the_second_hop_serves_when_the_first_cannot_be_reached() {
    for outbound in [Outbound::On, Outbound::Off] {
        let mut world = two_hops(23, &TCP_HOPS, outbound);
        let first = world.servers[0].server.config.address;
        world.net.stop_listening(first);
        register(&mut world);
        world.run(SECOND);
        assert!(world.phones[0].client.is_ready(), "{outbound:?}");
        assert_eq!(reg_ids(&world, "server2"), ["1"], "{outbound:?}");
        // It comes back, and is the second one now where there can be two.
        world.net.listen(first);
        world.run(HOUR);
        let second: &[&str] = match outbound {
            Outbound::On => &["2"],
            Outbound::Off | Outbound::FlowTimer(_) => &[],
        };
        assert_eq!(reg_ids(&world, "server"), second, "{outbound:?}");
    }
}

#[test]
fn a_path_that_is_refused_for_good_does_not_end_the_other() {
    let mut world = two_hops(24, &TCP_HOPS, Outbound::On);
    register(&mut world);
    world.run(SECOND);
    world
        .server()
        .script(Rule::on("REGISTER").forever().then(answer(403)));
    world.run(2 * HOUR);
    assert_eq!(failed(&world).len(), 1);
    assert!(world.phones[0].client.is_ready(), "by the second path");
    assert_eq!(world.phones[0].client.path(), Some(PathId(1)));
    // Once both are gone, the user can begin anew.
    world.servers[1]
        .server
        .script(Rule::on("REGISTER").forever().then(answer(403)));
    world.run(2 * HOUR);
    assert_eq!(failed(&world).len(), 2);
    assert!(world.act(0, |client, now| client.register(now)).is_ok());
}

// Storms.

/// Requirement 13: after an outage 200 clients come back spread out, not at once.
#[test]
fn clients_do_not_come_back_all_at_once() {
    let mut seconds = [0_usize; 31];
    for seed in 0..200_u64 {
        let rule = Rule::on("REGISTER").then(answer(500));
        let mut world = scripted(seed, Transport::Udp, [rule]);
        world.run(61 * SECOND);
        let at = attempts(&world, "alice", "REGISTER")[1].0;
        seconds[(at / SECOND - 30) as usize] += 1;
    }
    assert!(seconds.iter().all(|share| *share < 30), "{seconds:?}");
}

#[test]
fn credentials_are_not_asked_for_by_a_client_that_has_none() {
    let mut world = World::new(25);
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        credentials: Credentials::None,
        ..config
    });
    world
        .act(alice, |client, now| client.register(now))
        .unwrap();
    world.run(HOUR);
    assert_eq!(requests(&world, "alice", "REGISTER").len(), 1);
    assert!(matches!(
        failed(&world)[..],
        [Failure::Credentials { status: 401 }]
    ));
}

/// The registrar can write the Contact as it likes, an address in IPv6 for one.
#[test]
fn a_register_over_ipv6_writes_brackets() {
    let mut bare = Bare::new(Transport::Udp, |config| config);
    bare.act(|client, now| client.register(now)).unwrap();
    bare.open_at("[2001:db8::10]:5062".parse().unwrap());
    let sent = bare.last("REGISTER");
    assert!(header(&sent, "Via").starts_with("SIP/2.0/UDP [2001:db8::10]:5062;"));
    assert!(header(&sent, "Contact").contains("@[2001:db8::10]:5062>"));
    bare.grant(FlowId(1), &[]);
    assert!(bare.client.is_ready());
}

//! After the registration: what changes the path, what the core says, and what is not trusted.

use oma_im::client::SendOutcome;
use oma_im::config::{Config, EndToEnd, Transport, Watching};
use oma_im::error::Failure;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Ims, Rule, Then};
use oma_im::testkit::sip::Sip;
use oma_im::wire::settings::Settings;

use crate::ladder::{HOUR, header};
use crate::{Ladder, SCSCF, good, port};

const HELLO: Outgoing<'_> = Outgoing::text("sip:bob@example.com", "Hello Bob");

fn send(ladder: &mut Ladder) {
    ladder
        .world
        .act(0, |client, now| client.send_message(now, &HELLO))
        .unwrap();
}

fn outcomes(ladder: &Ladder) -> Vec<SendOutcome> {
    let of = |event: &Happened| match event {
        Happened::Sent(_, outcome) => Some(*outcome),
        _ => None,
    };
    ladder.events().iter().filter_map(of).collect()
}

/// Whether this REGISTER begins a registration.
fn is_initial(sip: &Sip) -> bool {
    header(sip, "Authorization").contains("nonce=\"\"") && sip.header("Security-Verify").is_none()
}

fn initial(ladder: &Ladder) -> usize {
    ladder
        .registers()
        .iter()
        .filter(|sip| is_initial(sip))
        .count()
}

#[test]
fn a_change_of_the_network_begins_anew_at_the_new_address() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut ladder = Ladder::new(1, transport).registered();
        let phone = &mut ladder.world.phones[0];
        phone.moved(&mut ladder.world.net, [192, 0, 2, 99].into());
        ladder.world.run(5_000);
        assert!(ladder.is_ready());
        assert!(
            ladder
                .events()
                .contains(&Happened::Lost(oma_im::id::PathId(0)))
        );
        assert_eq!(initial(&ladder), 2);
        let last = ladder.registers().pop().unwrap();
        assert!(header(&last, "Contact").contains("@192.0.2.99:1357"));
        assert_eq!(ladder.world.phones[0].security.len(), 1);
        send(&mut ladder);
        ladder.world.run(5_000);
        assert_eq!(outcomes(&ladder), [SendOutcome::Accepted]);
        ladder.clean();
    }
}

#[test]
fn a_504_that_asks_for_restoration_begins_anew_and_every_other_one_is_a_5xx() {
    const PATH: &str = "<sip:term@pcscf.example.com;lr>";
    const ASK: &str = "<ims-3gpp version=\"1\"><alternative-service><type>restoration</type><reason/>\
        <action>initial-registration</action></alternative-service></ims-3gpp>";
    const TYPE: &str = "application/3gpp-ims+xml";
    let cases = [
        (SCSCF, TYPE, ASK.to_string(), 2),
        (
            PATH,
            "Application/3GPP-IMS+xml;charset=utf-8",
            ASK.to_string(),
            2,
        ),
        ("<sip:other.example.com;lr>", TYPE, ASK.into(), 1),
        ("", TYPE, ASK.into(), 1),
        (SCSCF, "application/xml", ASK.into(), 1),
        (SCSCF, TYPE, ASK.replace("restoration", "emergency"), 1),
        (SCSCF, TYPE, ASK.replace("initial-", "emergency-"), 1),
        (SCSCF, TYPE, ASK.replace(" version=\"1\"", ""), 1),
        (SCSCF, TYPE, "<ims-3gpp".into(), 1),
    ];
    for (asserted, kind, body, registrations) in cases {
        let mut ladder = Ladder::with(
            2,
            Transport::Udp,
            |server| server.ims.as_mut().unwrap().path = vec![PATH.into()],
            |config| config,
        )
        .registered();
        let mut answer = Answer::new(504).body(kind, body.as_bytes());
        if !asserted.is_empty() {
            answer = answer.header("P-Asserted-Identity", asserted);
        }
        let rule = Rule::on("MESSAGE").then(Then::Answer(answer));
        ladder.world.server().script(rule);
        send(&mut ladder);
        ladder.world.run(10_000);
        assert!(ladder.is_ready());
        assert_eq!(initial(&ladder), registrations, "{asserted} {kind} {body}");
        assert!(matches!(
            outcomes(&ladder)[..],
            [SendOutcome::Failed(Failure::Status { status: 504, .. })]
        ));
        assert_eq!(ladder.world.phones[0].security.len(), 1);
        // Path is never routed by (RFC 3327 §5.1).
        send(&mut ladder);
        ladder.world.run(10_000);
        let sent = ladder.sent("MESSAGE").pop().unwrap();
        assert_eq!(
            sent.all("Route"),
            ["<sip:proxy.example.com:7531;lr>", SCSCF]
        );
        ladder.clean();
    }
}

#[test]
fn a_494_to_a_message_has_it_sent_again_over_a_new_path() {
    let mut ladder = Ladder::new(3, Transport::Udp).registered();
    let rule = Rule::on("MESSAGE").then(Then::Answer(Answer::new(494)));
    ladder.world.server().script(rule);
    send(&mut ladder);
    ladder.world.run(10_000);
    assert_eq!(outcomes(&ladder), [SendOutcome::Accepted]);
    assert_eq!(initial(&ladder), 2);
    let sent = ladder.sent("MESSAGE");
    assert_ne!(
        header(&sent[0], "Security-Verify"),
        header(&sent[1], "Security-Verify")
    );
    ladder.clean();

    // A server that says so for ever ends the message.
    let rule = Rule::on("MESSAGE").forever();
    ladder
        .world
        .server()
        .script(rule.then(Then::Answer(Answer::new(494))));
    send(&mut ladder);
    ladder.world.run(200_000);
    assert_eq!(outcomes(&ladder).len(), 2);
    assert!(matches!(
        outcomes(&ladder)[1],
        SendOutcome::Failed(Failure::Status { status: 494, .. })
    ));
}

#[test]
fn a_305_a_380_and_a_420_end_their_request_and_nothing_is_sent_instead() {
    for status in [305, 380, 420] {
        let mut ladder = Ladder::new(4, Transport::Udp).registered();
        let answer = Answer::new(status)
            .header("Contact", "<sip:elsewhere@example.org>")
            .header("Unsupported", "sec-agree");
        ladder
            .world
            .server()
            .script(Rule::on("MESSAGE").then(Then::Answer(answer.clone())));
        send(&mut ladder);
        ladder.world.run(200_000);
        assert_eq!(ladder.sent("MESSAGE").len(), 1);
        assert_eq!(initial(&ladder), 1);
        assert!(ladder.is_ready());
        assert!(matches!(
            outcomes(&ladder)[..],
            [SendOutcome::Failed(Failure::Status { status: of, .. })] if of == status
        ));
        ladder.clean();

        // To a REGISTER it is for good: `register` starts anew.
        let mut ladder = Ladder::new(5, Transport::Udp);
        ladder
            .world
            .server()
            .script(Rule::on("REGISTER").then(Then::Answer(answer)));
        ladder.register();
        ladder.world.run(200_000);
        assert_eq!(ladder.registers().len(), 1);
        assert!(matches!(
            ladder.events().last(),
            Some(Happened::Failed(Failure::Status { status: of, .. })) if *of == status
        ));
    }
}

#[test]
fn associations_that_the_server_has_lost_are_noticed_and_made_anew() {
    let mut ladder = Ladder::new(6, Transport::Udp).registered();
    ladder.world.server().forget_associations();
    for _ in 0..3 {
        send(&mut ladder);
        ladder.world.run(130_000);
    }
    ladder.world.run(10_000);
    assert_eq!(initial(&ladder), 2);
    assert!(ladder.is_ready());
    send(&mut ladder);
    ladder.world.run(5_000);
    assert_eq!(outcomes(&ladder)[3], SendOutcome::Accepted);
    assert_eq!(
        outcomes(&ladder)[..3],
        [SendOutcome::Failed(Failure::Timeout); 3]
    );
    assert_eq!(ladder.world.phones[0].security.len(), 1);
}

#[test]
fn what_comes_unprotected_is_not_taken() {
    let mut ladder = Ladder::new(7, Transport::Udp);
    ladder.world.phones[0].card = None;
    ladder.register();
    let mut evil = Sip::request("MESSAGE", "sip:alice@192.0.2.10:5060");
    evil.push("Via", "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKevil");
    evil.push("From", "<sip:bank@example.com>;tag=1");
    evil.push("To", "<sip:alice@example.com>");
    evil.push("Call-ID", "evil");
    evil.push("CSeq", "1 MESSAGE");
    evil.push("P-Asserted-Identity", "<sip:bank@example.com>");
    evil.push("Content-Type", "text/plain");
    evil.body = b"trust me".to_vec();
    let (from, to) = (
        "198.51.100.1:5060".parse().unwrap(),
        "192.0.2.10:5060".parse().unwrap(),
    );
    ladder.world.net.send_datagram(from, to, &evil.to_bytes());
    ladder.world.run(1_000);
    assert_eq!(ladder.world.phones[0].inbox, []);
    assert_eq!(ladder.world.phones[0].client.stats().stranger, 1);
    assert_eq!(ladder.packets().len(), 1, "not even answered");
}

#[test]
fn a_request_too_long_for_a_datagram_takes_a_connection_over_the_same_associations() {
    let mut ladder = Ladder::with(
        8,
        Transport::Udp,
        |_| (),
        |config| Config {
            end_to_end: EndToEnd::Streams,
            ..config
        },
    )
    .registered();
    let text = "x".repeat(2_000);
    let long = Outgoing::text("sip:bob@example.com", &text);
    ladder
        .world
        .act(0, |client, now| client.send_message(now, &long))
        .unwrap();
    ladder.world.run(5_000);
    assert_eq!(outcomes(&ladder), [SendOutcome::Accepted]);
    let packets = ladder.packets();
    let packet = packets
        .iter()
        .find(|packet| packet.is_request("MESSAGE"))
        .unwrap();
    assert_eq!((port(packet.from), port(packet.to)), (2468, 7531));
    assert!(header(&packet.sip().unwrap(), "Via").starts_with("SIP/2.0/TCP 192.0.2.10:1357;"));
    ladder.clean();
}

#[test]
fn another_p_cscf_is_tried_where_the_first_is_silent() {
    let mut world = Ladder::new(9, Transport::Udp);
    world.world.second_server(|config| {
        config.ims = Some(Ims::new());
        config.service_route = vec![SCSCF.into()];
    });
    let address = world.world.servers[1].server.config.address;
    let phone = &mut world.world.phones[0];
    phone
        .hosts
        .get_mut("proxy.example.com")
        .unwrap()
        .push(address);
    let user = oma_im::testkit::server::User::new("alice", "");
    world.world.servers[1].server.add_user(user);
    world.world.servers[1].server.add_vectors("alice", &good(2));
    world
        .world
        .server()
        .script(Rule::any().forever().then(Then::Silence));
    world.register();
    world.world.run(140_000);
    assert!(world.is_ready(), "{:?}", world.events());
    assert_eq!(world.world.servers[1].server.violations(), [""; 0]);
    let last = world.packets().pop().unwrap();
    assert_eq!((last.to.ip(), port(last.to)), (address.ip(), 7531));
}

/// A day of a phone that is registered, subscribed to its registration and its settings, and
/// published, each begun at a time of its own: it wakes up for its refreshes, once for all that last
/// equally long, and keeps nothing but what belongs to the account and the registration.
#[test]
fn an_idle_day_costs_one_wake_up_for_all_refreshes_of_a_length() {
    for (granted, [registers, publishes, subscribes], wakes) in [
        // All for an hour, renewed 600 s before its end.
        (3_600, [29, 29, 58], 29),
        // The registration for two hours, all else for one: three times they meet.
        (7_200, [13, 29, 58], 39),
        // The registration for a week.
        (600_000, [0, 28, 56], 28),
    ] {
        let mut ladder = Ladder::with(
            10,
            Transport::Udp,
            |server| server.max_expires = granted,
            |config| Config {
                watch_settings: Watching::On,
                ..config
            },
        )
        .registered();
        let registered = ladder.world.phones[0].client.usage();
        ladder.world.run(20 * 60_000);
        ladder
            .world
            .act(0, |client, now| {
                client.publish_settings(now, Settings::DEFAULT)
            })
            .unwrap();
        // What began apart finds together within the first hour.
        ladder.world.run(HOUR);
        let woken = ladder.world.phones[0].client.stats().wake_ups;
        let count = |ladder: &Ladder| {
            ["REGISTER", "PUBLISH", "SUBSCRIBE"].map(|method| ladder.sent(method).len())
        };
        let before = count(&ladder);
        ladder.world.run(24 * HOUR);
        let after = count(&ladder);
        let woken = ladder.world.phones[0].client.stats().wake_ups - woken;
        let sent = [0, 1, 2].map(|at| after[at] - before[at]);
        println!("{granted} s: {woken} wake-ups, {sent:?}");
        assert_eq!(sent, [registers, publishes, subscribes], "{granted} s");
        assert_eq!(woken, wakes, "{granted} s");
        assert_eq!(ladder.world.phones[0].client.usage(), registered);
        ladder.clean();
    }
}

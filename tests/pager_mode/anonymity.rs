//! Anonymity (8.1.1 step 4): outside of P-Preferred-Identity and credentials nothing of a request
//! names the user (RFC 3323 §4.1, RFC 3325 §9.3), and a refusal is never answered in clear.

use oma_im::client::SendOutcome;
use oma_im::config::{Config, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::im::pager::{Anonymity, Outgoing, Wrap};
use oma_im::testkit::log::Packet;
use oma_im::testkit::server::{Answer, Rule, Then, User};
use oma_im::testkit::world::World;

use crate::{messages, open_world, outcome, outcomes, send, settle, sips, try_send};

/// User part, both halves of the display name, telephone number.
const NAMES: [&str; 4] = ["zaphod", "president", "beeblebrox", "15550142"];

fn secret(text: &str) -> Outgoing<'_> {
    Outgoing {
        anonymity: Anonymity::Id,
        ..Outgoing::text("sip:bob@example.com", text)
    }
}

/// A user with a name worth hiding.
fn zaphod(world: &mut World, transport: Transport) -> usize {
    let user = User::new("zaphod", "zaphodpw").identity("tel:+15550142");
    world.server().add_user(user);
    world.phone_with("zaphod", transport, |config| Config {
        display_name: Some("President Beeblebrox"),
        ..config
    })
}

/// The bytes of a request without the fields that only the trust domain sees, in lower case.
fn seen_by_others(packet: &Packet) -> String {
    let text = String::from_utf8(packet.bytes.clone())
        .unwrap()
        .to_lowercase();
    let hidden = [
        "p-preferred-identity:",
        "proxy-authorization:",
        "authorization:",
    ];
    let shown = |line: &&str| !hidden.iter().any(|name| line.starts_with(name));
    let lines: Vec<&str> = text.split("\r\n").filter(shown).collect();
    lines.join("\r\n")
}

fn assert_names_nobody(packet: &Packet) {
    let shown = seen_by_others(packet);
    for name in NAMES {
        assert!(!shown.contains(name), "{name} stands in:\n{shown}");
    }
    let sip = packet.sip().unwrap();
    assert!(sip.lists("Privacy", "id"), "Privacy: id is missing");
    let from = sip.header("From").unwrap();
    let tag = from
        .strip_prefix(r#""Anonymous" <sip:anonymous@anonymous.invalid>;tag="#)
        .unwrap();
    // RFC 3323 §4.1: no host and no address in what is random.
    for random in [tag, sip.header("Call-ID").unwrap()] {
        assert!(random.len() >= 10, "{random}");
        assert!(
            random.bytes().all(|c| c.is_ascii_alphanumeric()),
            "{random}"
        );
    }
    assert_eq!(
        sip.header("P-Preferred-Identity"),
        Some("<sip:zaphod@example.com>")
    );
}

#[test]
fn no_byte_that_leaves_the_trust_domain_names_the_user() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = World::new(2);
        let zaphod = zaphod(&mut world, transport);
        let bob = world.phone("bob", Transport::Udp);
        world.register_all();
        let wrapped = Outgoing {
            wrap: Wrap::Cpim,
            ..secret("one")
        };
        let named = Outgoing {
            display_name: Some("Zaphod"),
            wrap: Wrap::Cpim,
            ..secret("two")
        };
        let by_number = Outgoing {
            identity: Some("tel:+15550142"),
            ..secret("three")
        };
        let titled = Outgoing {
            subject: Some("From Zaphod"),
            ..secret("four")
        };
        let forms = [secret("zero"), wrapped, named, by_number, titled];
        for form in &forms {
            let id = send(&mut world, zaphod, form);
            assert_eq!(
                outcome(&mut world, zaphod, id),
                SendOutcome::Delivered { status: 200 }
            );
        }
        let sent = messages(&world, "zaphod");
        // The first was challenged, and went again with credentials.
        assert_eq!(sent.len(), forms.len() + 1);
        assert!(
            sent[0]
                .sip()
                .unwrap()
                .header("Proxy-Authorization")
                .is_none()
        );
        assert!(
            sent[1]
                .sip()
                .unwrap()
                .header("Proxy-Authorization")
                .is_some()
        );
        for packet in &sent {
            let shown = seen_by_others(packet);
            for name in NAMES {
                assert!(!shown.contains(name), "{name} stands in:\n{shown}");
            }
            if packet.sip().unwrap().header("P-Preferred-Identity") != Some("<tel:+15550142>") {
                assert_names_nobody(packet);
            }
        }
        // Nobody is asserted to bob, who sees nobody either.
        assert_eq!(world.phones[bob].inbox.len(), forms.len());
        for incoming in &world.phones[bob].inbox {
            assert_eq!(incoming.asserted, None);
            assert_eq!(incoming.from, "sip:anonymous@anonymous.invalid");
        }
        let cpim_from = world.phones[bob].inbox[1].cpim_from.clone();
        assert_eq!(
            cpim_from.as_deref(),
            Some("sip:anonymous@anonymous.invalid")
        );
    }
}

#[test]
fn an_anonymous_message_stays_anonymous_when_its_flow_is_lost() {
    let mut world = open_world(3);
    let zaphod = zaphod(&mut world, Transport::Tcp);
    world.phone("bob", Transport::Tcp);
    world.register_all();
    settle(&mut world);
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::CloseFlow));
    let id = send(&mut world, zaphod, &secret("again"));
    assert_eq!(
        outcome(&mut world, zaphod, id),
        SendOutcome::Delivered { status: 200 }
    );
    let sent = messages(&world, "zaphod");
    assert_eq!(sent.len(), 2);
    sent.iter().for_each(assert_names_nobody);
}

#[test]
fn call_id_and_tag_differ_from_message_to_message() {
    let mut world = open_world(4);
    let zaphod = zaphod(&mut world, Transport::Udp);
    world.phone("bob", Transport::Udp);
    world.register_all();
    for _ in 0..3 {
        let id = send(&mut world, zaphod, &secret("x"));
        outcome(&mut world, zaphod, id);
    }
    let sent = sips(&world, "zaphod");
    for name in ["Call-ID", "From"] {
        let mut values: Vec<&str> = sent.iter().map(|sip| sip.header(name).unwrap()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 3, "{name}");
    }
}

#[test]
fn a_report_cannot_be_asked_for_anonymously() {
    let mut world = open_world(5);
    let zaphod = zaphod(&mut world, Transport::Udp);
    world.register_all();
    // RFC 5438 §12.1.1.
    for message in [
        secret("x").with_delivery_report(),
        secret("x").with_display_report(),
    ] {
        assert_eq!(
            try_send(&mut world, zaphod, &message),
            Err(CommandError::AnonymousReport)
        );
    }
    world.run(1_000);
    assert!(messages(&world, "zaphod").is_empty());
}

#[test]
fn a_refusal_of_anonymity_is_told_as_such_and_never_repeated_in_clear() {
    // RFC 5079 §4; the OMA code directly or as a text in a 399.
    let refusals = [
        (433, Answer::new(433)),
        (
            403,
            Answer::new(403).header("Warning", r#"119 example.com "Anonymity not allowed""#),
        ),
        (
            403,
            Answer::new(403).header("Warning", r#"399 example.com "119 Anonymity not allowed""#),
        ),
    ];
    for (status, answer) in refusals {
        let mut world = World::new(6);
        let zaphod = zaphod(&mut world, Transport::Udp);
        let bob = world.phone("bob", Transport::Udp);
        world.register_all();
        world
            .server()
            .script(Rule::on("MESSAGE").then(Then::Answer(answer)));
        let id = send(&mut world, zaphod, &secret("psst"));
        assert_eq!(
            outcome(&mut world, zaphod, id),
            SendOutcome::Failed(Failure::AnonymityRefused { status })
        );
        world.run(60_000);
        assert_eq!(outcomes(&world, zaphod, id).len(), 1);
        assert_eq!(messages(&world, "zaphod").len(), 1);
        assert!(world.phones[bob].inbox.is_empty());
    }
}

#[test]
fn a_403_for_another_reason_is_not_a_refusal_of_anonymity() {
    let mut world = open_world(7);
    let zaphod = zaphod(&mut world, Transport::Udp);
    world.register_all();
    let answer = Answer::new(403).header("Warning", r#"127 example.com "Not authorised""#);
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Answer(answer)));
    let id = send(&mut world, zaphod, &secret("psst"));
    assert_eq!(
        outcome(&mut world, zaphod, id),
        SendOutcome::Failed(Failure::Status {
            status: 403,
            warning: Some(127),
            retry_after: None
        })
    );
    // And one that is not anonymous is not told of anonymity.
    world
        .server()
        .script(Rule::on("MESSAGE").then(Then::Answer(Answer::new(433))));
    let id = send(
        &mut world,
        zaphod,
        &Outgoing::text("sip:bob@example.com", "hello"),
    );
    assert_eq!(
        outcome(&mut world, zaphod, id),
        SendOutcome::Failed(Failure::Status {
            status: 433,
            warning: None,
            retry_after: None
        })
    );
}

//! Pager mode messages.

use oma_im::client::{Refusal, SendOutcome};
use oma_im::config::{Config, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::im::pager::{Anonymity, Outgoing};
use oma_im::testkit::log::Packet;
use oma_im::testkit::phone::Habit;
use oma_im::testkit::server::{Answer, Feature, Then};
use oma_im::testkit::world::World;

use super::super::stage::{Stage, check, header, same};

const BOB: &str = "sip:bob@example.com";

pub(crate) fn pager(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    world.text(alice, bob, "Hello Bob")?;
    let message = world.received(bob, 0)?;
    same(
        "asserted",
        message.asserted.as_deref(),
        Some("sip:alice@example.com"),
    )?;
    // RFC 3428 §4: no Contact.
    let contact = |message| !header(message, "Contact").is_empty();
    let with = world.requests("alice", "MESSAGE").iter().any(contact);
    check(!with, || "a MESSAGE with Contact".into())
}

pub(crate) fn pager_tls(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Tls)?;
    world.text(alice, bob, "Hello Bob")
}

pub(crate) fn anonymous(world: &mut World) -> Result<(), String> {
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        display_name: Some("Alice Liddell"),
        ..config
    });
    let bob = world.phone("bob", Transport::Udp);
    world.register(alice)?;
    world.register(bob)?;
    let secret = Outgoing {
        anonymity: Anonymity::Id,
        ..Outgoing::text(BOB, "Guess who")
    };
    // RFC 5438 §12.1.1: there is nobody to report to.
    let refused = world.act(alice, |client, now| {
        client.send_message(now, &secret.with_delivery_report())
    });
    same("with a report", refused, Err(CommandError::AnonymousReport))?;
    let id = world.send(alice, &secret)?;
    world.delivered(alice, id)?;
    let message = world.received(bob, 0)?;
    same("asserted", message.asserted.as_deref(), None)?;
    same("from", &*message.from, "sip:anonymous@anonymous.invalid")?;
    for packet in world.requests("alice", "MESSAGE") {
        same("Privacy", &*header(&packet, "Privacy"), "id")?;
        let named = |line: &str| line.to_lowercase().contains("alice") || line.contains("Liddell");
        let only_here = ["P-Preferred-Identity:", "Proxy-Authorization:"];
        let text = String::from_utf8_lossy(&packet.bytes).into_owned();
        let slip = text
            .lines()
            .find(|line| named(line) && !only_here.iter().any(|name| line.starts_with(name)));
        same("a line that names her", slip, None)?;
    }
    let named = world.requests("server", "MESSAGE").iter().any(|packet| {
        String::from_utf8_lossy(&packet.bytes)
            .to_lowercase()
            .contains("alice")
    });
    check(!named, || "what reached bob names her".into())
}

pub(crate) fn anonymous_refused(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    world.always("MESSAGE", "anonymous", Then::Answer(Answer::new(433)));
    let secret = Outgoing {
        anonymity: Anonymity::Id,
        ..Outgoing::text(BOB, "Guess who")
    };
    let id = world.send(alice, &secret)?;
    let refused = SendOutcome::Failed(Failure::AnonymityRefused { status: 433 });
    same("outcome", world.outcome(alice, id)?, refused)?;
    world.run(60_000);
    same("messages", world.phones[bob].inbox.len(), 0)?;
    let clear = |packet| header(packet, "Privacy") != "id";
    let sent = world.requests("alice", "MESSAGE");
    check(!sent.iter().any(clear), || "sent again in clear".into())
}

pub(crate) fn too_large(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Tcp)?;
    // Once the realm is known, the size is exact.
    world.text(alice, bob, "Hello Bob")?;
    let before = world.requests("alice", "MESSAGE").len();
    let mut fits = 0;
    for len in (0..1_400).rev() {
        let text = "x".repeat(len);
        let message = Outgoing::text(BOB, &text);
        let result = world.act(alice, |client, now| client.send_message(now, &message));
        match result {
            Err(CommandError::TooLargeForPager { size }) => {
                check(size >= 1_300, || format!("{size} bytes refused"))?;
            }
            Ok(id) => {
                fits = len;
                world.delivered(alice, id)?;
                break;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    same("octets", world.received(bob, 1)?.body.len(), fits)?;
    let sent = world.requests("alice", "MESSAGE");
    same("messages that went out", sent.len() - before, 1)?;
    same(
        "the longest",
        sent.last().map(|last| last.bytes.len()),
        Some(1_299),
    )
}

pub(crate) fn long_moves_to_stream(world: &mut World) -> Result<(), String> {
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        path_mtu: Some(1_000),
        ..config
    });
    let bob = world.phone("bob", Transport::Udp);
    world.register(alice)?;
    world.register(bob)?;
    world.text(alice, bob, "Short")?;
    let long = "A longer text. ".repeat(25);
    world.text(alice, bob, &long)?;
    let over = |packet: &Packet| header(packet, "Via").starts_with("SIP/2.0/TCP ");
    let (tcp, udp): (Vec<_>, Vec<_>) = world
        .requests("alice", "MESSAGE")
        .into_iter()
        .partition(over);
    check(
        !tcp.is_empty() && tcp.iter().all(|packet| packet.conn.is_some()),
        || "the long one did not go over TCP".into(),
    )?;
    // RFC 3261 §18.1.1: within 200 bytes of the path MTU.
    let longest = udp.iter().map(|packet| packet.bytes.len()).max();
    check(longest <= Some(800), || {
        format!("a datagram of {longest:?}")
    })
}

pub(crate) fn queue(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    let carol = world.phone("carol", Transport::Udp);
    world.register(carol)?;
    // Bob's answers take their time.
    world.server().script(
        oma_im::testkit::server::Rule::on("MESSAGE")
            .to_user("bob")
            .with_credentials()
            .forever()
            .then(Then::Delay(1_000)),
    );
    let mut ids = Vec::new();
    for text in ["One", "Two", "Three", "Four"] {
        ids.push(world.send(alice, &Outgoing::text(BOB, text))?);
    }
    let to_carol = world.send(alice, &Outgoing::text("sip:carol@example.com", "Hi"))?;
    same("queue", world.phones[alice].client.queue(BOB).length, 4)?;
    world.command(alice, |client, now| client.withdraw(now, ids[2]))?;
    same(
        "withdrawn",
        world.outcome(alice, ids[2])?,
        SendOutcome::Withdrawn,
    )?;
    // Another target does not wait.
    let first = |user: &str| {
        let to = format!("MESSAGE sip:{user}@");
        let sent = world.requests("alice", "MESSAGE");
        sent.iter()
            .filter(|packet| packet.bytes.starts_with(to.as_bytes()))
            .count()
    };
    same("under way", (first("bob"), first("carol")), (1, 1))?;
    world.delivered(alice, to_carol)?;
    for id in [ids[0], ids[1], ids[3]] {
        world.delivered(alice, id)?;
    }
    let texts: Vec<String> = world.phones[bob].inbox.iter().map(|m| m.text()).collect();
    same(
        "bob's messages",
        texts,
        vec!["One".into(), "Two".into(), "Four".into()],
    )?;
    same("queue", world.phones[alice].client.queue(BOB).length, 0)
}

pub(crate) fn offline_480(world: &mut World) -> Result<(), String> {
    world.server().config.store = Feature::Off;
    let alice = world.phone("alice", Transport::Udp);
    world.phone("bob", Transport::Udp);
    world.register(alice)?;
    let id = world.send(alice, &Outgoing::text(BOB, "Are you there?"))?;
    ends_with(world, alice, id, 480)
}

pub(crate) fn unknown_type(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    let drawing = Outgoing {
        content_type: "application/x-drawing",
        ..Outgoing::text(BOB, "o-o")
    };
    let id = world.send(alice, &drawing)?;
    ends_with(world, alice, id, 415)?;
    same("bob's messages", world.phones[bob].inbox.len(), 0)?;
    // RFC 3261 §8.2.3: the answer says what he takes.
    let answers = world.net.log().sent(|packet| packet.is_response(415));
    let accept = answers.first().map(|answer| header(answer, "Accept"));
    check(
        accept.is_some_and(|types| types.contains("text/plain")),
        || "a 415 without Accept".into(),
    )
}

pub(crate) fn refused_busy(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    world.phones[bob].habit = Habit::Refuse(Refusal::Busy);
    let hello = Outgoing::text(BOB, "Hello Bob").with_delivery_report();
    let id = world.send(alice, &hello)?;
    ends_with(world, alice, id, 486)?;
    world.run(10_000);
    // RFC 5438 §7.2.1: no report on a message that was refused.
    same(
        "messages from bob",
        world.requests("bob", "MESSAGE").len(),
        0,
    )
}

fn ends_with(
    world: &mut World,
    phone: usize,
    id: oma_im::id::SendId,
    status: u16,
) -> Result<(), String> {
    let outcome = world.outcome(phone, id)?;
    let is =
        matches!(outcome, SendOutcome::Failed(Failure::Status { status: of, .. }) if of == status);
    check(is, || format!("outcome: {outcome:?}, not {status}"))
}

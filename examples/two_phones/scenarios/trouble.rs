//! Networks and servers that misbehave.

use oma_im::client::SendOutcome;
use oma_im::config::{Config, Nat, Transport};
use oma_im::error::Failure;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::net::{Break, Meddle, StreamSplit};
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Outbound, Rule, Then};
use oma_im::testkit::world::World;

use super::super::stage::{Stage, check, header, identity, same};

const BOB: &str = "sip:bob@example.com";

pub(crate) fn nat_rewrite(world: &mut World) -> Result<(), String> {
    let alice = world.phone("alice", Transport::Udp);
    let bob = world.phone("bob", Transport::Udp);
    let outside = [203, 0, 113, 7].into();
    world.net.behind_nat("alice", outside, None);
    world.register(alice)?;
    world.register(bob)?;
    let mapped = |event: &Happened| matches!(event, Happened::Mapped(at) if at.ip() == outside);
    world.until("seen from outside", 60_000, |world| {
        world.saw(alice, mapped)
    })?;
    let shown = |world: &mut World| {
        let now = world.net.now();
        let mut bindings = world.server().bindings(now, "alice").into_iter();
        bindings.any(|binding| binding.contact.contains("203.0.113.7"))
    };
    world.until("a binding with the address of outside", 60_000, shown)?;
    world.text(bob, alice, "Through the wall")?;
    same("texts", world.phones[alice].inbox.len(), 1)
}

pub(crate) fn network_change(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    world.text(alice, bob, "From home")?;
    // With a Message-ID, so that bob knows the second copy.
    let message = Outgoing::text(BOB, "On the way").with_delivery_report();
    let id = world.send(alice, &message)?;
    let address = [192, 0, 2, 200].into();
    let World { phones, net, .. } = world;
    phones[alice].moved(net, address);
    world.delivered(alice, id)?;
    same("text", &*world.received(bob, 1)?.text(), "On the way")?;
    world.text(bob, alice, "Where are you?")?;
    // Nothing that goes out afterwards carries the old address.
    let moved = world.net.log().entries();
    let moved = moved.iter().find_map(|entry| match &entry.what {
        oma_im::testkit::log::What::Note { text, .. } if text.starts_with("address") => {
            Some(entry.at)
        }
        _ => None,
    });
    let moved = moved.ok_or("the address did not change")?;
    for entry in world.net.log().entries() {
        let oma_im::testkit::log::What::Packet(packet) = &entry.what else {
            continue;
        };
        let request = packet.from_host == "alice" && !packet.bytes.starts_with(b"SIP/");
        if entry.at > moved && request {
            let old = String::from_utf8_lossy(&packet.bytes).contains("192.0.2.10:");
            check(!old, || format!("the old address at {:?}", entry.at))?;
        }
    }
    same("texts", world.phones[bob].inbox.len(), 2)
}

pub(crate) fn keep_alive(world: &mut World) -> Result<(), String> {
    world.server().config.outbound = Outbound::FlowTimer(60);
    let (alice, bob) = world.two(Transport::Tcp)?;
    world.run(300_000);
    let pings = world
        .net
        .log()
        .sent(|packet| packet.from_host == "alice" && packet.bytes == b"\r\n\r\n");
    // RFC 5626 §4.4: every 48 to 60 s.
    check((4..=6).contains(&pings.len()), || {
        format!("{} pings in 300 s", pings.len())
    })?;
    world.text(bob, alice, "Still there?")?;
    let lost = world.saw(alice, |event| matches!(event, Happened::Lost(_)));
    check(!lost, || "a flow that answers was given up".into())
}

pub(crate) fn pong_lost(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Tcp)?;
    world.text(bob, alice, "Before")?;
    // A flow whose pings were answered is replaced at once (RFC 5626 §4.5).
    world.run(130_000);
    for conn in world.net.connections_of("alice") {
        world.net.break_connection(conn, Break::Silent);
    }
    let lost = |event: &Happened| matches!(event, Happened::Lost(_));
    world.until("noticed", 140_000, |world| world.saw(alice, lost))?;
    world.until("registered again", 120_000, |world| {
        world.phones[alice].client.is_ready()
    })?;
    same("bindings", world.bindings("alice"), 1)?;
    world.text(bob, alice, "After")
}

pub(crate) fn stun_rebinding(world: &mut World) -> Result<(), String> {
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        nat: Nat::Outbound,
        ..config
    });
    let bob = world.phone("bob", Transport::Udp);
    world.net.behind_nat("alice", [203, 0, 113, 7].into(), None);
    world.register(alice)?;
    world.register(bob)?;
    world.text(bob, alice, "Before")?;
    // One answer tells the address; the next one another.
    world.run(40_000);
    world.net.reset_nat("alice");
    let lost = |event: &Happened| matches!(event, Happened::Lost(_));
    world.until("noticed", 40_000, |world| world.saw(alice, lost))?;
    world.until("registered again", 120_000, |world| {
        world.phones[alice].client.is_ready()
    })?;
    same("bindings", world.bindings("alice"), 1)?;
    world.text(bob, alice, "After")
}

pub(crate) fn stale_nonce(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    world.text(alice, bob, "One")?;
    world.server().forget_nonces();
    world.text(alice, bob, "Two")?;
    let sent = world.requests("alice", "MESSAGE");
    let last = sent.last().map(|last| header(last, "Proxy-Authorization"));
    check(
        last.is_some_and(|given| given.contains("nc=00000001")),
        || "nc does not begin anew with a new nonce".into(),
    )?;
    let stale = world.net.log().sent(|packet| {
        packet.is_response(407) && header(packet, "Proxy-Authenticate").contains("stale=true")
    });
    check(!stale.is_empty(), || "no nonce was stale".into())
}

pub(crate) fn lost_answer(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    world.net.drop_nth(1, |packet| {
        packet.from_host == "bob" && packet.is_response(200)
    });
    world.net.drop_nth(1, |packet| {
        packet.to_host.as_deref() == Some("alice") && packet.is_response(200)
    });
    world.text(alice, bob, "Only once")?;
    world.run(40_000);
    same("texts", world.phones[bob].inbox.len(), 1)
}

pub(crate) fn duplicate(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    world
        .net
        .meddle(0, usize::MAX, Meddle::Duplicate, |packet| {
            packet.is_request("MESSAGE")
        });
    for text in ["One", "Two"] {
        world.text(alice, bob, text)?;
    }
    world.run(40_000);
    same("texts", world.phones[bob].inbox.len(), 2)
}

pub(crate) fn tcp_split(world: &mut World) -> Result<(), String> {
    world.net.conditions.split = StreamSplit::Every(7);
    let (alice, bob) = world.two(Transport::Tcp)?;
    world.text(alice, bob, "In many pieces")?;
    world.text(bob, alice, "And back")
}

pub(crate) fn flow_breaks(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Tcp)?;
    world.text(alice, bob, "Before")?;
    // A flow whose pings were answered is replaced at once (RFC 5626 §4.5).
    world.run(130_000);
    let before = world.requests("alice", "MESSAGE").len();
    world
        .net
        .meddle(0, 1, Meddle::Break(Break::Reset), |packet| {
            packet.from_host == "alice" && packet.is_request("MESSAGE")
        });
    world.text(alice, bob, "Under way")?;
    let again: Vec<_> = world.requests("alice", "MESSAGE").split_off(before);
    check(again.len() >= 2, || "the connection did not break".into())?;
    same("Call-ID and CSeq", identity(&again[1]), identity(&again[0]))?;
    same("texts", world.phones[bob].inbox.len(), 2)
}

pub(crate) fn timeout(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    world
        .server()
        .script(Rule::on("MESSAGE").forever().then(Then::Silence));
    let began = world.net.now();
    let id = world.send(alice, &Outgoing::text(BOB, "Anybody?"))?;
    let outcome = world.outcome(alice, id)?;
    same("outcome", outcome, SendOutcome::Failed(Failure::Timeout))?;
    // RFC 3261 §17.1.2.2: Timer F, 64·T1.
    same("after", world.net.now().since(began), 32_000)?;
    same("texts", world.phones[bob].inbox.len(), 0)
}

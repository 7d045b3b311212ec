//! Messages and what comes back about them (RFC 5438).

use oma_im::client::{ReportOutcome, SendOutcome};
use oma_im::config::Transport;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::phone::{Habit, Happened};
use oma_im::testkit::server::{Answer, Then};
use oma_im::testkit::world::World;
use oma_im::wire::imdn::{DisplayStatus, Disposition};

use super::super::stage::{DELIVERED, Stage, check, same};

const ALICE: &str = "sip:alice@example.com";
const BOB: &str = "sip:bob@example.com";
const DISPLAYED: Disposition = Disposition::Display(DisplayStatus::Displayed);

pub(crate) fn both_ways(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    for (from, to, target, text) in [
        (alice, bob, BOB, "Hello Bob"),
        (bob, alice, ALICE, "Hello Alice"),
    ] {
        let message = Outgoing::text(target, text).with_delivery_report();
        let id = world.send(from, &message)?;
        world.delivered(from, id)?;
        same("text", &*world.received(to, 0)?.text(), text)?;
        world.reported(from, id, DELIVERED)?;
        let sent =
            |event: &Happened| matches!(event, Happened::ReportSent(_, _, ReportOutcome::Sent));
        world.until("the end of the report", 40_000, |world| world.saw(to, sent))?;
    }
    Ok(())
}

pub(crate) fn display(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    let message = Outgoing::text(BOB, "Have you seen this?")
        .with_delivery_report()
        .with_display_report();
    let id = world.send(alice, &message)?;
    let incoming = world.received(bob, 0)?.id;
    world.reported(alice, id, DELIVERED)?;
    check(!world.saw(alice, is_display), || {
        "displayed before he looked".into()
    })?;
    // Bob looks at it later.
    world.run(10_000);
    world.command(bob, |client, now| client.displayed(now, incoming))?;
    world.reported(alice, id, DISPLAYED)?;
    world.delivered(alice, id)
}

fn is_display(event: &Happened) -> bool {
    matches!(event, Happened::Report { disposition, .. } if *disposition == DISPLAYED)
}

pub(crate) fn refused(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    world.always("MESSAGE", "bob", Then::Answer(Answer::new(415)));
    let mut ends = Vec::new();
    for nth in 0..2 {
        let message = Outgoing::text(BOB, "Hello Bob").with_delivery_report();
        let id = world.send(alice, &message)?;
        world.delivered(alice, id)?;
        world.received(bob, nth)?;
        let ended = |world: &World| {
            let mut all = world.phones[bob]
                .events
                .iter()
                .filter_map(|event| match event {
                    Happened::ReportSent(_, _, outcome) => Some(*outcome),
                    _ => None,
                });
            all.nth(nth)
        };
        world.until("the end of the report", 40_000, |world| {
            ended(world).is_some()
        })?;
        ends.extend(ended(world));
    }
    check(
        matches!(
            ends[..],
            [ReportOutcome::Failed(_), ReportOutcome::PeerRefuses]
        ),
        || format!("reports ended: {ends:?}"),
    )?;
    same(
        "reports that went out",
        world.requests("bob", "MESSAGE").len(),
        1,
    )
}

pub(crate) fn group(world: &mut World) -> Result<(), String> {
    let (alice, bob) = world.two(Transport::Udp)?;
    let carol = world.phone("carol", Transport::Udp);
    world.register(carol)?;
    world
        .server()
        .add_group("friends", &["alice", "bob", "carol"]);
    let hello = Outgoing::text("sip:friends@example.com", "Hello all").with_delivery_report();
    let id = world.send(alice, &hello)?;
    same("outcome", world.outcome(alice, id)?, SendOutcome::Accepted)?;
    for member in [bob, carol] {
        same("text", &*world.received(member, 0)?.text(), "Hello all")?;
    }
    for member in ["bob", "carol"] {
        let wanted = format!("sip:{member}@example.com");
        world.until("a report of each", 60_000, |world| {
            world.saw(alice, |event| {
                matches!(event, Happened::Report { id: of, recipient, .. }
                    if *of == Some(id) && *recipient == wanted)
            })
        })?;
    }
    same("alice's own copy", world.phones[alice].inbox.len(), 0)
}

pub(crate) fn offline(world: &mut World) -> Result<(), String> {
    let alice = world.phone("alice", Transport::Udp);
    let bob = world.phone("bob", Transport::Udp);
    world.phones[bob].habit = Habit::Show;
    world.register(alice)?;
    let message = Outgoing::text(BOB, "Call me").with_delivery_report();
    let id = world.send(alice, &message)?;
    // 8.1.1 NOTE 3: the Message-ID is kept.
    same("outcome", world.outcome(alice, id)?, SendOutcome::Accepted)?;
    world.run(600_000);
    same("stored", world.server().stored("bob"), 1)?;
    world.register(bob)?;
    same("text", &*world.received(bob, 0)?.text(), "Call me")?;
    world.reported(alice, id, DELIVERED)?;
    world.until("nothing stored any more", 60_000, |world| {
        world.server().stored("bob") == 0
    })
}

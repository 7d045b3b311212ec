//! An IMS core: the card, the agreement on security, the protected path.

use oma_im::config::{Config, Transport};
use oma_im::id::PathId;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::phone::{CardSays, Happened};
use oma_im::testkit::server::{Ims, Removal, Vector};
use oma_im::testkit::world::World;

use super::super::stage::{Stage, check, header, same};

/// What the home network asks the n-th time. No card is computed here: what it says is settled.
fn vector(n: u8) -> Vector {
    Vector {
        rand: [n; 16],
        autn: [0x80 | n; 16],
        res: vec![n, 0, 0xff, n, 1, 2, 3, 4],
        ik: [1; 16],
        ck: [2; 16],
    }
}

/// Alice on an IMS core; her card does not take the first `late` sequence numbers.
fn alice(world: &mut World, late: u8) -> usize {
    world.server().config.ims = Some(Ims::new());
    let vectors: Vec<Vector> = (1..=9).map(vector).collect();
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        product: config.product,
        ..Config::ims(config.im_address, config.next_hops, "alice")
    });
    world.server().add_vectors("alice", &vectors);
    world.phones[alice].card = Some(Box::new(move |asked| {
        let n = asked.rand[0];
        let known = vector(n);
        if n <= late {
            return CardSays::Auts([n; 14]);
        }
        CardSays::Res {
            res: known.res,
            ik: known.ik,
            ck: known.ck,
        }
    }));
    alice
}

fn no_fault(world: &mut World) -> Result<(), String> {
    let faults = world.server().violations().join(", ");
    check(faults.is_empty(), || faults)
}

pub(crate) fn sync_failure(world: &mut World) -> Result<(), String> {
    let alice = alice(world, 1);
    world.register(alice)?;
    let sent = world.requests("alice", "REGISTER");
    let told = sent
        .iter()
        .filter(|sent| header(sent, "Authorization").contains("auts="));
    check(told.count() > 0, || "the card's number was not told".into())?;
    same("cards heard of", world.server().synchronisations().len(), 1)?;
    same("bindings", world.bindings("alice"), 1)?;
    no_fault(world)
}

pub(crate) fn one_way_flows(world: &mut World) -> Result<(), String> {
    let alice = alice(world, 0);
    world.register(alice)?;
    let to_herself =
        Outgoing::text("sip:alice@example.com", "over and back").with_delivery_report();
    let id = world.send(alice, &to_herself)?;
    world.delivered(alice, id)?;
    let came = world.received(alice, 0)?.text();
    same("text", came.as_str(), "over and back")?;
    for packet in world.requests("alice", "MESSAGE") {
        same("our port", packet.from.port(), 2_468)?;
        same("their port", packet.to.port(), 7_531)?;
        check(!header(&packet, "Security-Verify").is_empty(), || {
            "no Security-Verify".into()
        })?;
    }
    for packet in world.requests("server", "MESSAGE") {
        same("their port", packet.from.port(), 8_642)?;
        same("our port", packet.to.port(), 1_357)?;
    }
    no_fault(world)
}

pub(crate) fn network_ends(world: &mut World) -> Result<(), String> {
    let alice = alice(world, 0);
    world.register(alice)?;
    world.run(60_000);
    world.serve(|server, now| {
        server.deregister(now, "alice", Removal::Deactivated, |_| true);
    });
    world.until("lost", 60_000, |world| {
        world.saw(alice, |event| *event == Happened::Lost(PathId(0)))
    })?;
    world.until("registered again", 120_000, |world| {
        world.phones[alice].client.is_ready()
    })?;
    same("associations", world.phones[alice].security.len(), 1)?;
    no_fault(world)
}

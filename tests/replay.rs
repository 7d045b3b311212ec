//! The same seed and the same inputs give the same bytes, whatever memory the client lives in.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing
)]

use std::fmt::Write;

use oma_im::client::Want;
use oma_im::config::{Config, KeepAlive, Transport};
use oma_im::im::pager::Outgoing;
use oma_im::storage::{Heap, HeapLimits, Inline, Storage};
use oma_im::testkit::log::What;
use oma_im::testkit::net::{Break, Conditions};
use oma_im::testkit::phone::Habit;
use oma_im::testkit::rng::Rng;
use oma_im::testkit::world::World;
use oma_im::wire::settings::{Barring, Settings};

/// Everything that was sent, received and told, as text with every byte in it.
fn transcript<S: Storage>(seed: u64, mut storage: impl FnMut() -> S) -> String {
    let mut dice = Rng::new(seed);
    let conditions = Conditions {
        loss_percent: 10,
        ..Conditions::bad()
    };
    let mut world = World::with(seed, conditions, |_| ());
    for (name, transport) in [
        ("alice", Transport::Udp),
        ("bob", Transport::Tcp),
        ("carol", Transport::Tls),
    ] {
        let phone = world.add(name, transport, storage(), |config| Config {
            keep_alive: KeepAlive::Supervised,
            ..config
        });
        world.phones[phone].habit = Habit::Show;
    }
    for phone in 0..3 {
        let _ = world.act(phone, |client, now| client.register(now));
    }
    for n in 0..30 {
        world.run(dice.below(6_000));
        let (from, to) = (dice.below(3) as usize, dice.below(3));
        let to = format!("sip:{}@example.com", ["alice", "bob", "carol"][to as usize]);
        let text = format!("message {n}");
        let mut message = Outgoing::text(&to, &text);
        if dice.below(2) == 0 {
            message = message.with_delivery_report().with_display_report();
        }
        let _ = world.act(from, |client, now| client.send_message(now, &message));
        match dice.below(8) {
            0 => {
                if let Some(conn) = world.net.connections_of("bob").first() {
                    world.net.break_connection(*conn, Break::Reset);
                }
            }
            1 => world.act(0, |client, now| client.network_changed(now)),
            2 => world.server().forget_nonces(),
            3 | 4 => {
                let settings = Settings {
                    sessions: [Barring::Allowed, Barring::Barred][n % 2],
                    ..Settings::DEFAULT
                };
                let _ = world.act(from, |client, now| client.publish_settings(now, settings));
            }
            5 => {
                let _ = world.act(from, |client, now| client.remove_settings(now));
            }
            6 => world.server().restart(),
            _ => {}
        }
    }
    world.run(300_000);
    for phone in 0..3 {
        let _ = world.act(phone, |client, now| client.deregister(now));
    }
    world.run(10_000);

    let mut text = String::new();
    for entry in world.net.log().entries() {
        let _ = match entry.what {
            What::Packet(packet) => writeln!(
                text,
                "{} {} {:?} {}",
                entry.at.as_millis(),
                packet.from,
                packet.fate,
                packet.bytes.escape_ascii()
            ),
            other => writeln!(text, "{} {other:?}", entry.at.as_millis()),
        };
    }
    for phone in &mut world.phones {
        let usage = phone.client.usage();
        let stats = phone.client.stats();
        let _ = writeln!(
            text,
            "{:?} {:?}\n{usage:?} {stats:?}",
            phone.events, phone.inbox
        );
    }
    assert!(text.contains("PUBLISH sip:"));
    let reported = world.phones.iter().flat_map(|phone| &phone.inbox);
    assert!(
        reported
            .filter(|incoming| incoming.wants.display == Want::Yes)
            .count()
            > 0,
        "a run in which nothing happens shows nothing"
    );
    text
}

#[test]
fn the_same_seed_and_inputs_give_the_same_bytes_on_both_storages() {
    for seed in 1..=12 {
        let inline = || transcript(seed, || Box::new(Inline::<8, 64, 8192>::new()));
        let heap = || {
            transcript(seed, || {
                Heap::new(HeapLimits {
                    transactions: 8,
                    remembered: 64,
                    arena: 8192,
                })
            })
        };
        let first = inline();
        assert!(first.len() > 20_000);
        for (what, again) in [("inline", inline()), ("heap", heap()), ("heap", heap())] {
            let at = first
                .lines()
                .zip(again.lines())
                .find(|(one, other)| one != other);
            assert_eq!(at, None, "seed {seed}, {what}");
            assert_eq!(first.len(), again.len(), "seed {seed}, {what}");
        }
    }
}

#[test]
fn another_seed_gives_other_bytes() {
    let run = |seed| transcript(seed, || Box::new(Inline::<8, 64, 8192>::new()));
    assert_ne!(run(1), run(2));
}

//! What the network tells the client of its own user: the registration (RFC 3680) and the settings
//! of other devices (RFC 4354 §5.11).
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod ladder;

use ladder::{HOUR, MINUTE, SECOND, attempts, header, requests, responses};
use oma_im::client::{SettingsChange, Watch, WatchChange};
use oma_im::config::{Config, Transport, Watching};
use oma_im::error::Failure;
use oma_im::testkit::net::Conditions;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Notify, Removal, Rule, Then};
use oma_im::testkit::world::World;
use oma_im::wire::settings::{
    Barring, Dialect, NewDocument, PartialSettings, PocSettings, Settings,
};
use oma_im::wire::sink::Sink;

/// Alice is registered and watches both.
fn world(seed: u64, transport: Transport) -> World {
    let mut world = World::with(seed, Conditions::default(), |_| ());
    world.phone_with("alice", transport, |config| Config {
        watch_registration: Watching::On,
        watch_settings: Watching::On,
        ..config
    });
    world.register_all();
    world.run(2_000);
    world
}

fn changes(world: &World, watch: Watch) -> Vec<WatchChange> {
    let events = world.phones[0].events.iter();
    events
        .filter_map(|event| match event {
            Happened::Watch(of, change) if *of == watch => Some(*change),
            _ => None,
        })
        .collect()
}

fn document(id: &str, settings: Settings) -> Vec<u8> {
    let mut out = [0; 1500];
    let mut sink = Sink::new(&mut out);
    NewDocument {
        id,
        settings,
        poc: PocSettings::UNSAID,
        dialect: Dialect::RECONSTRUCTED,
    }
    .put(&mut sink);
    sink.written().unwrap().to_vec()
}

#[test]
fn both_are_subscribed_to_after_the_registration_over_every_transport() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut world = world(1, transport);
        for (watch, event) in [
            (Watch::Registration, "reg"),
            (Watch::Settings, "poc-settings"),
        ] {
            assert_eq!(changes(&world, watch), [WatchChange::Active], "{watch:?}");
            assert_eq!(world.server().subscriptions("alice", event).len(), 1);
        }
        let (_, first) = attempts(&world, "alice", "SUBSCRIBE").swap_remove(0);
        assert_eq!(first.start, "SUBSCRIBE sip:alice@example.com SIP/2.0");
        assert_eq!(header(&first, "Accept"), "application/reginfo+xml");
        assert_eq!(header(&first, "Accept-Contact"), "*;+g.oma.sip-im");
        assert!(header(&first, "Contact").ends_with(">;+g.oma.sip-im"));
        assert_eq!(
            responses(&world, "alice", 200).len(),
            2,
            "one for each NOTIFY"
        );
    }
}

#[test]
fn a_subscription_is_refreshed_within_its_dialog_before_it_ends() {
    let mut world = world(2, Transport::Tcp);
    world.run(12 * HOUR);
    assert_eq!(
        changes(&world, Watch::Registration),
        [WatchChange::Active],
        "nothing else happened"
    );
    assert_eq!(world.server().subscriptions("alice", "reg").len(), 1);
    let all = requests(&world, "alice", "SUBSCRIBE");
    let of_reg: Vec<_> = all
        .iter()
        .filter(|(_, sip)| header(sip, "Event") == "reg")
        .collect();
    assert!(of_reg.len() > 10);
    let call_id = header(&of_reg[0].1, "Call-ID");
    for (_, sip) in &of_reg[1..] {
        assert_eq!(header(sip, "Call-ID"), call_id);
    }
    let (_, last) = of_reg.last().unwrap();
    assert!(header(last, "To").contains(";tag="));
}

#[test]
fn settings_of_another_device_are_told() {
    let mut world = world(3, Transport::Tcp);
    let theirs = Settings {
        messages: Barring::Barred,
        ..Settings::DEFAULT
    };
    let body = document("urn:uuid:another", theirs);
    let now = world.net.now();
    world.server().set_document(
        now,
        "alice",
        "poc-settings",
        "application/poc-settings+xml",
        &body,
    );
    world.run(10_000);
    let settings = PartialSettings::from(theirs);
    assert!(world.saw(0, |event| *event
        == Happened::Settings(SettingsChange::Elsewhere { settings })));
}

#[test]
fn ones_own_settings_are_no_news() {
    let mut world = world(4, Transport::Tcp);
    world
        .act(0, |client, now| {
            client.publish_settings(now, Settings::DEFAULT)
        })
        .unwrap();
    world.run(10_000);
    assert!(requests(&world, "server", "NOTIFY").len() > 2);
    assert!(!world.saw(0, |event| matches!(
        event,
        Happened::Settings(SettingsChange::Elsewhere { .. })
    )));
}

#[test]
fn a_binding_that_the_network_deactivates_is_made_again() {
    let mut world = world(5, Transport::Tcp);
    // The flow has worked: a keep-alive was answered (RFC 5626 §4.5).
    world.run(3 * MINUTE);
    let before = attempts(&world, "alice", "REGISTER").len();
    let now = world.net.now();
    world
        .server()
        .deregister(now, "alice", Removal::Deactivated, |_| true);
    world.run(MINUTE);
    assert!(attempts(&world, "alice", "REGISTER").len() > before);
    assert!(world.saw(0, |event| matches!(event, Happened::Lost(_))));
    let now = world.net.now();
    assert_eq!(world.server().bindings(now, "alice").len(), 1);
}

#[test]
fn one_that_it_rejects_is_not() {
    let mut world = world(6, Transport::Tcp);
    world.run(MINUTE);
    let before = attempts(&world, "alice", "REGISTER").len();
    let now = world.net.now();
    world
        .server()
        .deregister(now, "alice", Removal::Rejected, |_| true);
    world.run(HOUR);
    assert_eq!(attempts(&world, "alice", "REGISTER").len(), before);
    assert!(world.saw(0, |event| matches!(event, Happened::Failed(_))));
    // RFC 6665 §4.1.3: the NOTIFY that ended it is answered as well, before the flow is closed.
    let notifies = requests(&world, "server", "NOTIFY").len();
    assert_eq!(responses(&world, "alice", 200).len(), notifies);
}

#[test]
fn a_shortened_one_is_refreshed_at_half_of_what_is_left() {
    let mut world = world(7, Transport::Tcp);
    world.run(MINUTE);
    let before = attempts(&world, "alice", "REGISTER").len();
    let now = world.net.now();
    world.server().shorten(now, "alice", 60);
    world.run(28_000);
    assert_eq!(attempts(&world, "alice", "REGISTER").len(), before);
    world.run(4_000);
    assert!(attempts(&world, "alice", "REGISTER").len() > before);
}

#[test]
fn the_reasons_of_the_notifier_are_followed() {
    // (reason, whether another SUBSCRIBE goes out within a minute, and within an hour)
    for (reason, soon, late) in [
        ("deactivated", true, true),
        ("timeout", true, true),
        ("probation", false, true),
        ("giveup", false, true),
        ("rejected", false, false),
        ("noresource", false, false),
        ("invariant", false, false),
    ] {
        let mut world = world(8, Transport::Tcp);
        let before = attempts(&world, "alice", "SUBSCRIBE").len();
        let notify = Notify::terminated(reason).retry_after(600);
        let now = world.net.now();
        assert_eq!(world.server().notify(now, "alice", "reg", &notify), 1);
        world.run(MINUTE);
        let within = attempts(&world, "alice", "SUBSCRIBE").len() > before;
        assert_eq!(within, soon, "{reason}");
        // Less than the refresh of the other subscription takes.
        world.run(40 * MINUTE);
        let within = attempts(&world, "alice", "SUBSCRIBE").len() > before;
        assert_eq!(within, late, "{reason}");
    }
}

/// RFC 3680 §5.2: partial documents with some missing between have the full state asked for, and once
/// until it comes, whatever the notifier counts; a full one says all by itself.
#[test]
fn the_full_state_is_asked_for_once() {
    let mut world = world(10, Transport::Udp);
    let asked = |world: &World| attempts(world, "alice", "SUBSCRIBE").len();
    let before = asked(&world);
    let mut tell = |version: u32, state: &str| {
        let body = format!(
            "<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' version='{version}' state='{state}'/>"
        );
        let notify = Notify::active().body("application/reginfo+xml", body.as_bytes());
        let now = world.net.now();
        assert_eq!(world.server().notify(now, "alice", "reg", &notify), 1);
        world.run(SECOND);
        asked(&world) - before
    };
    assert_eq!(tell(10, "full"), 0);
    assert_eq!(tell(20, "full"), 0);
    assert_eq!(tell(21, "partial"), 0);
    assert_eq!(tell(30, "partial"), 1);
    // What the test kit answers with is full, and of a version long past: it is discarded.
    assert_eq!(tell(40, "partial"), 1);
    assert_eq!(tell(50, "partial"), 1);
    assert_eq!(tell(60, "full"), 1);
    assert_eq!(tell(70, "partial"), 2);
}

#[test]
fn a_server_that_knows_no_such_package_is_left_alone() {
    let mut world = World::with(9, Conditions::default(), |_| ());
    world.phone_with("alice", Transport::Udp, |config| Config {
        watch_registration: Watching::On,
        ..config
    });
    world.server().script(
        Rule::on("SUBSCRIBE")
            .forever()
            .then(Then::Answer(Answer::new(489))),
    );
    world.register_all();
    world.run(2 * HOUR);
    let failure = Failure::Status {
        status: 489,
        warning: None,
        retry_after: None,
    };
    let ended = WatchChange::Ended {
        failure,
        again_at: None,
    };
    assert_eq!(changes(&world, Watch::Registration), [ended]);
    let mut all = attempts(&world, "alice", "SUBSCRIBE");
    all.dedup_by_key(|(_, sip)| header(sip, "Call-ID").to_owned());
    assert_eq!(all.len(), 1);
}

#[test]
fn the_dialog_follows_the_device_to_another_network() {
    let mut world = world(10, Transport::Udp);
    let old = world.phones[0].locals();
    let net = &mut world.net;
    world.phones[0].moved(net, "192.0.2.77".parse().unwrap());
    world.run(10_000);
    let (_, last) = attempts(&world, "alice", "SUBSCRIBE").pop().unwrap();
    assert!(header(&last, "Contact").contains("192.0.2.77"), "{old:?}");
    let now = world.net.now();
    assert_eq!(
        world
            .server()
            .notify(now, "alice", "reg", &Notify::active().state()),
        1
    );
    world.run(2_000);
    let to: Vec<_> = ladder::packets(&world, "server")
        .into_iter()
        .filter(|(_, packet)| packet.is_request("NOTIFY") && packet.arrived().is_some())
        .map(|(_, packet)| packet.to)
        .collect();
    assert_eq!(to.last().unwrap().ip().to_string(), "192.0.2.77");
}

#[test]
fn a_flood_of_notifies_harms_nothing() {
    let mut world = world(11, Transport::Udp);
    for n in 0..400 {
        let now = world.net.now();
        world
            .server()
            .notify(now, "alice", "reg", &Notify::active().state());
        if n % 20 == 0 {
            world.run(10);
        }
    }
    world.run(40_000);
    assert!(world.phones[0].client.is_ready());
    assert_eq!(world.phones[0].client.usage().transactions, 0);
    assert_eq!(world.phones[0].client.stats().events_lost, 0);
}

#[test]
fn deregistration_ends_the_watching() {
    let mut world = world(12, Transport::Tcp);
    world.act(0, |client, now| client.deregister(now)).unwrap();
    world.run(5_000);
    assert!(world.saw(0, |event| *event == Happened::Deregistered));
    let before = attempts(&world, "alice", "SUBSCRIBE").len();
    world.run(3 * HOUR);
    assert_eq!(attempts(&world, "alice", "SUBSCRIBE").len(), before);
    world.register_all();
    world.run(5_000);
    assert_eq!(attempts(&world, "alice", "SUBSCRIBE").len() - before, 4);
}

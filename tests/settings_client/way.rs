//! The way to the server: flows and paths that come, break and change, and what it costs in memory and wake-ups.

use oma_im::client::{
    Adopted, Direction, FlowInfo, Origin, SettingsChange, SettingsOutcome, Verified,
};
use oma_im::config::{Config, KeepAlive, Nat, NextHop, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::id::{FlowId, PathId};
use oma_im::im::pager::Outgoing;
use oma_im::sip::publication::RefreshForm;
use oma_im::storage::{Inline, Small};
use oma_im::testkit::log::Transport as LogTransport;
use oma_im::testkit::net::{Break, Conditions};
use oma_im::testkit::server::{Answer, Rule, Then, User};
use oma_im::testkit::world::{PROXY, World};

use crate::document::ALL_POC;
use crate::ladder::{
    Bare, HOUR, LOCAL, MINUTE, SECOND, attempts, branch, cseq, header, packets, responses,
};
use crate::{
    ALICE, BARRED, PLAIN, changes, ends, held, if_match, in_effect, kind, kinds, publish,
    published, publishes, read, refuse, tag, world, world_of,
};

// The way to the server.

#[test]
fn settings_set_before_the_registration_is_there_wait_for_it() {
    let mut world = World::new(30);
    world.phone("alice", Transport::Tcp);
    let early = world.act(ALICE, |client, now| client.publish_settings(now, BARRED));
    assert_eq!(early, Err(CommandError::WrongState));
    world
        .act(ALICE, |client, now| client.register(now))
        .unwrap();
    let superseded = publish(&mut world, PLAIN);
    let id = publish(&mut world, BARRED);
    world.run(2 * SECOND);
    assert_eq!(ends(&world, superseded), [SettingsOutcome::Superseded]);
    assert_eq!(ends(&world, id), [in_effect(BARRED, 3_600)]);
    let (first, sip) = &publishes(&world)[0];
    let registered = responses(&world, "server", 200)[0].0;
    assert!(*first >= registered);
    assert_eq!(read(&sip.body), BARRED.into());
}

#[test]
fn a_registration_that_is_refused_takes_the_waiting_settings_with_it() {
    let mut world = World::new(31);
    world.phone("alice", Transport::Tcp);
    let rule = Rule::on("REGISTER").then(Then::Answer(Answer::new(403)));
    world.server().script(rule);
    world
        .act(ALICE, |client, now| client.register(now))
        .unwrap();
    let id = publish(&mut world, BARRED);
    world.run(2 * SECOND);
    assert_eq!(ends(&world, id), [SettingsOutcome::Withdrawn]);
    assert_eq!(publishes(&world).len(), 0);
}

#[test]
fn a_change_of_network_leaves_the_publication_alone() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = world(32, transport);
        published(&mut world, BARRED);
        let known = tag(&world);
        world.run(10 * MINUTE);
        let net = &mut world.net;
        world.phones[ALICE].moved(net, [192, 0, 2, 77].into());
        world.run(10 * MINUTE);
        assert_eq!(kinds(&world), ["initial"], "nothing is due");
        world.run(35 * MINUTE);
        let all = publishes(&world);
        assert_eq!(kinds(&world), ["initial", "refresh"]);
        assert_eq!(if_match(&all[1].1), Some(known.as_str()));
        assert!(header(&all[1].1, "Via").contains("192.0.2.77"));
        assert!(!changes(&world).contains(&SettingsChange::Lost));
        assert_eq!(held(&world), Some(BARRED.into()));
    }
}

/// RFC 3261 §8.1.1.7: it is another transaction then, so another branch.
#[test]
fn a_publish_whose_flow_breaks_goes_again_with_a_new_branch() {
    let mut world = world(33, Transport::Tcp);
    // A flow that stood for a while is replaced at once (RFC 5626 §4.5).
    world.run(5 * MINUTE);
    let rule = Rule::on("PUBLISH").then(Then::CloseFlow);
    world.server().script(rule);
    let id = publish(&mut world, BARRED);
    world.run(MINUTE);
    assert_eq!(ends(&world, id).len(), 1);
    let all = publishes(&world);
    let [(_, first), (_, second)] = &all[..] else {
        panic!("{} requests", all.len())
    };
    assert_ne!(branch(first), branch(second));
    assert_eq!(header(first, "Call-ID"), header(second, "Call-ID"));
    assert_eq!(cseq(first), cseq(second));
    assert_eq!(first.body, second.body);
    assert_eq!(held(&world), Some(BARRED.into()));
}

/// The modification was done and nobody heard of it: the tag that we know is no longer the server's.
#[test]
fn a_change_whose_answer_went_down_with_its_flow_is_published_anew() {
    let mut world = world(34, Transport::Tcp);
    published(&mut world, PLAIN);
    let rule = Rule::on("PUBLISH").then(Then::ServeUnheard);
    world.server().script(rule);
    let id = publish(&mut world, BARRED);
    world.run(SECOND);
    let conn = world.net.connections_of("alice")[0];
    world.net.break_connection(conn, Break::Reset);
    world.run(2 * MINUTE);
    assert_eq!(kinds(&world), ["initial", "modify", "modify", "initial"]);
    assert_eq!(ends(&world, id).len(), 1);
    assert_eq!(held(&world), Some(BARRED.into()));
}

fn transports(world: &World) -> Vec<(&'static str, LogTransport)> {
    packets(world, "alice")
        .into_iter()
        .filter(|(_, packet)| packet.is_request("PUBLISH"))
        .map(|(_, packet)| (kind(&packet.sip().unwrap()), packet.transport))
        .collect()
}

/// RFC 3261 §18.1.1: with its document a PUBLISH is too long for a datagram.
#[test]
fn a_document_goes_by_a_stream_and_a_refresh_as_a_datagram() {
    let mut world = world_of(
        35,
        Transport::Udp,
        |config| Config {
            settings_entity: Some("urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128"),
            settings_poc: ALL_POC,
            ..config
        },
        |_| (),
    );
    published(&mut world, BARRED);
    world.run(55 * MINUTE);
    assert_eq!(
        transports(&world),
        [
            ("initial", LogTransport::Tcp),
            ("refresh", LogTransport::Udp)
        ]
    );
    let long = packets(&world, "alice")
        .into_iter()
        .find(|(_, packet)| packet.is_request("PUBLISH"))
        .unwrap();
    assert!(long.1.bytes.len() > 1_300, "{} bytes", long.1.bytes.len());
    assert!(header(&long.1.sip().unwrap(), "Via").starts_with("SIP/2.0/TCP "));
}

/// RFC 3261 §18.1.1: where the stream is refused, the datagram after all.
#[test]
fn a_document_goes_as_a_datagram_where_there_is_no_stream() {
    let mut world = world_of(
        36,
        Transport::Udp,
        |config| Config {
            settings_poc: ALL_POC,
            ..config
        },
        |_| (),
    );
    world.phones[ALICE].refuse = Some(Transport::Tcp);
    published(&mut world, BARRED);
    assert_eq!(transports(&world), [("initial", LogTransport::Udp)]);
}

/// No keep-alive and no registration goes by the stream, so Timer F is what shows that it is dead.
#[test]
fn a_stream_for_documents_that_died_without_a_word_is_replaced() {
    let mut world = world_of(
        45,
        Transport::Udp,
        |config| Config {
            settings_poc: ALL_POC,
            ..config
        },
        |_| (),
    );
    published(&mut world, PLAIN);
    let dead = world.net.connections_of("alice")[0];
    world.net.break_connection(dead, Break::Silent);
    let id = publish(&mut world, BARRED);
    world.run(2 * MINUTE);
    assert_eq!(ends(&world, id).len(), 1, "{:?}", changes(&world));
    assert_eq!(held(&world), Some(BARRED.into()));
    assert!(!world.net.connections_of("alice").contains(&dead));
}

const SECOND_HOP: &str = "second.example.com";
const HOPS: [NextHop<'static>; 2] = [
    NextHop::new(PROXY, Transport::Tcp),
    NextHop::new(SECOND_HOP, Transport::Tcp),
];

/// RFC 3263 §4.3: a 503 sends the request to the next server.
#[test]
fn a_503_sends_the_publish_by_the_second_path() {
    for everywhere in [false, true] {
        let mut world = World::with(37, Conditions::default(), |server| {
            server.request_auth.clear();
        });
        world.second_server(|server| server.request_auth.clear());
        world.phone_with("alice", Transport::Tcp, |config| Config {
            next_hops: &HOPS,
            ..config
        });
        world.servers[1]
            .server
            .add_user(User::new("alice", "alicepw"));
        for (at, name) in [PROXY, SECOND_HOP].into_iter().enumerate() {
            let address = world.servers[at].server.config.address;
            world.phones[ALICE].hosts.insert(name.into(), vec![address]);
        }
        world.register_all();
        world.run(5 * SECOND);
        refuse(&mut world, Answer::new(503));
        if everywhere {
            let rule = Rule::on("PUBLISH").forever();
            let rule = rule.then(Then::Answer(Answer::new(503)));
            world.servers[1].server.script(rule);
        }
        let id = publish(&mut world, BARRED);
        world.run(5 * SECOND);
        let to: Vec<String> = packets(&world, "alice")
            .into_iter()
            .filter(|(_, packet)| packet.is_request("PUBLISH"))
            .filter_map(|(_, packet)| packet.to_host)
            .collect();
        assert_eq!(to, ["server", "server2"]);
        let all = publishes(&world);
        assert_ne!(branch(&all[0].1), branch(&all[1].1));
        assert_eq!(header(&all[0].1, "Call-ID"), header(&all[1].1, "Call-ID"));
        if everywhere {
            assert_eq!(ends(&world, id), []);
            assert!(matches!(
                changes(&world)[..],
                [SettingsChange::Retrying { .. }]
            ));
        } else {
            assert_eq!(ends(&world, id), [in_effect(BARRED, 3_600)]);
            assert_eq!(changes(&world), []);
        }
    }
}

#[test]
fn settings_go_by_a_registration_of_somebody_else() {
    let mut world = world_before(38);
    let adopted = Adopted {
        service_route: "<sip:orig@scscf.example.com;lr>",
        associated: "<sip:alice@example.com>",
    };
    world
        .act(ALICE, |client, now| {
            client.adopt_registration(now, &adopted)
        })
        .unwrap();
    let id = publish(&mut world, BARRED);
    world.run(2 * SECOND);
    assert_eq!(ends(&world, id), [in_effect(BARRED, 3_600)]);
    let (_, sip) = publishes(&world).pop().unwrap();
    assert_eq!(header(&sip, "Route"), "<sip:orig@scscf.example.com;lr>");
    world.run(HOUR);
    assert_eq!(kinds(&world), ["initial", "refresh"]);
    // It is gone, and with it what has not ended; what is published stays.
    let rule = Rule::on("PUBLISH").then(Then::Silence);
    world.server().script(rule);
    let id = publish(&mut world, PLAIN);
    world
        .act(ALICE, |client, now| client.registration_lost(now))
        .unwrap();
    world.run(SECOND);
    assert_eq!(ends(&world, id), [SettingsOutcome::Withdrawn]);
    assert_eq!(held(&world), Some(BARRED.into()));
    assert_eq!(attempts(&world, "alice", "REGISTER").len(), 0);
}

fn world_before(seed: u64) -> World {
    let mut world = World::with(seed, Conditions::default(), |config| {
        config.register_auth.clear();
        config.request_auth.clear();
    });
    world.phone("alice", Transport::Udp);
    world
}

/// The platform gives the flow together with the registration, and the driver drains only then.
#[test]
fn settings_go_by_a_flow_that_is_there_before_the_client_is_drained() {
    let mut bare = Bare::new(Transport::Tcp, |config| config);
    let given = |number| FlowInfo {
        origin: Origin::Given(PathId(0)),
        transport: Transport::Tcp,
        local: LOCAL,
        remote: std::net::SocketAddr::from(([198, 51, 100, 1], number)),
        verified: Verified::No,
        direction: Direction::Both,
    };
    for n in [1, 2] {
        // Nothing is drained in between, neither now nor when the first registration is lost.
        let now = bare.now;
        let client = &mut bare.client;
        if n == 2 {
            client.registration_lost(now).unwrap();
        }
        client.adopt_registration(now, &Adopted::default()).unwrap();
        client.flow_opened(now, FlowId(n), &given(5_060));
        client.publish_settings(now, PLAIN).unwrap();
        bare.drain();
        let (_, flow, _) = bare.requests("PUBLISH").pop().unwrap();
        assert_eq!(flow, FlowId(n));
        let headers = [("SIP-ETag", "a"), ("Expires", "3600")];
        bare.answer(flow, "PUBLISH", 200, &headers);
        assert_eq!(bare.saw("SettingsDone"), n as usize);
    }
}

// Memory.

/// Everything is taken by messages: the settings wait for their end, and are published.
#[test]
fn without_room_the_attempt_is_put_off() {
    let mut world: World<Box<Small>> = World::with(39, Conditions::default(), |config| {
        config.register_auth.clear();
        config.request_auth.clear();
    });
    world.add("alice", Transport::Tcp, Box::new(Small::new()), |config| {
        Config {
            keep_alive: KeepAlive::Off,
            ..config
        }
    });
    world.register_all();
    let rule = Rule::on("MESSAGE").forever().then(Then::Silence);
    world.server().script(rule);
    let text = "x".repeat(300);
    let mut taken = 0;
    let full = loop {
        let message = Outgoing::text("sip:bob@example.com", &text);
        match world.act(ALICE, |client, now| client.send_message(now, &message)) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, CommandError::Full { .. }), "{full:?}");
    let id = publish(&mut world, BARRED);
    let [SettingsChange::Retrying { failure, .. }] = changes(&world)[..] else {
        panic!("{:?}", changes(&world))
    };
    assert_eq!(failure, Failure::NoRoom);
    // Each message takes its 32 s.
    world.run(taken * 33 * SECOND + 30 * MINUTE);
    assert_eq!(ends(&world, id).len(), 1, "{:?}", changes(&world));
    assert_eq!(held(&world), Some(BARRED.into()));
}

/// It fits the memory of a phone, with credentials and service route.
#[test]
fn small_storage_is_enough_for_all_of_it() {
    let mut world: World<Box<Inline<4, 16, 4096>>> = World::with(40, Conditions::default(), |_| ());
    world.add("alice", Transport::Tcp, Box::new(Inline::new()), |config| {
        config
    });
    world.register_all();
    let id = publish(&mut world, BARRED);
    world.run(2 * SECOND);
    assert_eq!(ends(&world, id), [in_effect(BARRED, 3_600)]);
    assert_eq!(changes(&world), []);
}

// Idle.

/// A day of a phone that is registered and published and otherwise left alone: it wakes up for its
/// refreshes, once for both, and keeps nothing but what belongs to the account and the registration.
#[test]
fn an_idle_day_costs_one_wake_up_for_each_pair_of_refreshes() {
    for (transport, form, later, challenged, refreshes) in [
        (Transport::Tcp, RefreshForm::Empty, 0, false, 28),
        (Transport::Udp, RefreshForm::Empty, 0, false, 28),
        (Transport::Tcp, RefreshForm::Document, 0, false, 28),
        (Transport::Tcp, RefreshForm::Empty, 0, true, 28),
        // Set some time after the registration: the next refreshes go together.
        (Transport::Tcp, RefreshForm::Empty, 2 * MINUTE, false, 28),
        (Transport::Tcp, RefreshForm::Empty, 20 * MINUTE, false, 29),
        (Transport::Tcp, RefreshForm::Empty, 49 * MINUTE, false, 28),
    ] {
        let mut world: World<Box<Small>> = World::with(44, Conditions::default(), |config| {
            if !challenged {
                config.register_auth.clear();
                config.request_auth.clear();
            }
        });
        world.add("alice", transport, Box::new(Small::new()), |config| {
            Config {
                keep_alive: KeepAlive::Off,
                nat: Nat::Leave,
                settings_refresh: form,
                ..config
            }
        });
        world.register_all();
        let registered = world.phones[ALICE].client.usage();
        world.run(later);
        publish(&mut world, BARRED);
        world.run(2 * MINUTE);
        let published = world.phones[ALICE].client.usage();
        if !challenged {
            assert_eq!(published, registered, "nothing is kept but the entity-tag");
        }
        let woken = world.phones[ALICE].client.stats().wake_ups;
        let sent = |world: &World<Box<Small>>, method: &str| {
            let log = world.net.log();
            log.sent(|packet| packet.is_request(method)).len()
        };
        let before = ["REGISTER", "PUBLISH"].map(|method| sent(&world, method));
        world.run(24 * HOUR);
        let woken = world.phones[ALICE].client.stats().wake_ups - woken;
        let after = ["REGISTER", "PUBLISH"].map(|method| sent(&world, method));
        let what = format!("{transport:?} {form:?} {later} ms later, challenged: {challenged}");
        println!("{what}: {woken} wake-ups, {before:?} to {after:?}");
        assert_eq!(held(&world), Some(BARRED.into()));
        // 3GPP TS 24.229 §5.1.1.4.1: 600 s before the end of the hour that is granted.
        assert_eq!(woken, refreshes, "{what}");
        for (before, after) in before.into_iter().zip(after) {
            assert_eq!(after - before, refreshes as usize, "{what}");
        }
        let left = world.phones[ALICE].client.usage();
        assert_eq!(left, published, "{what}");
    }
}

/// With keep-alives the device is awake before a refresh is due, and still refreshes once.
#[test]
fn refreshes_stay_together_between_keep_alives() {
    for later in [0, 2 * MINUTE, 20 * MINUTE] {
        let mut world: World = World::new(45);
        world.phone("alice", Transport::Tcp);
        world.register_all();
        world.run(later);
        publish(&mut world, BARRED);
        world.run(HOUR);
        let count = |world: &World| {
            ["REGISTER", "PUBLISH"].map(|method| attempts(world, "alice", method).len())
        };
        let before = count(&world);
        world.run(24 * HOUR);
        let after = count(&world);
        assert!(world.phones[ALICE].client.stats().wake_ups > 100);
        // Every 3,000 s, each with its challenge at most.
        let [registers, publishes] = [0, 1].map(|at| after[at] - before[at]);
        assert_eq!(registers, publishes, "{later}");
        assert!((28..=58).contains(&registers), "{registers}");
    }
}

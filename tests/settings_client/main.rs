//! The settings procedure with a server and without one: what PUBLISH does when it is challenged,
//! refused, forgotten or not heard, and what the application is told (OMA IM 5.2.4, RFC 3903).
//! The clauses of 5.2.4 themselves are in `clauses_settings`.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice
)]

mod commands;
mod document;
#[path = "../ladder/mod.rs"]
mod ladder;
mod refusals;
mod way;

use oma_im::client::{SettingsChange, SettingsOutcome};
use oma_im::config::{Config, KeepAlive, Nat, Transport};
use oma_im::error::Failure;
use oma_im::id::{FlowId, SettingsId};
use oma_im::storage::Storage;
use oma_im::testkit::net::Conditions;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Rule, Then};
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;
use oma_im::wire::settings::{Barring, Dialect, Entities, PartialSettings, Settings, Visibility};

use ladder::{Bare, SECOND, attempts, header};

pub(crate) const ALICE: usize = 0;
pub(crate) const PLAIN: Settings = Settings::DEFAULT;
pub(crate) const BARRED: Settings = Settings {
    sessions: Barring::Barred,
    ..PLAIN
};
pub(crate) const HIDDEN: Settings = Settings {
    visibility: Visibility::Invisible,
    ..PLAIN
};
pub(crate) const LAST: Settings = Settings {
    messages: Barring::Barred,
    ..PLAIN
};

/// Alice is registered; nobody asks for credentials, and no keep-alive stands between the steps.
pub(crate) fn world(seed: u64, transport: Transport) -> World {
    world_of(seed, transport, |config| config, |_| ())
}

pub(crate) fn world_of(
    seed: u64,
    transport: Transport,
    change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
    server: impl FnOnce(&mut oma_im::testkit::server::Config),
) -> World {
    let mut world = World::with(seed, Conditions::default(), |config| {
        config.register_auth.clear();
        config.request_auth.clear();
        server(config);
    });
    world.phone_with("alice", transport, |config| {
        change(Config {
            keep_alive: KeepAlive::Off,
            ..config
        })
    });
    world.register_all();
    world
}

pub(crate) fn publish<S: Storage>(world: &mut World<S>, settings: Settings) -> SettingsId {
    world
        .act(ALICE, |client, now| client.publish_settings(now, settings))
        .unwrap()
}

pub(crate) fn remove(world: &mut World) -> SettingsId {
    world
        .act(ALICE, |client, now| client.remove_settings(now))
        .unwrap()
}

/// Published and answered.
pub(crate) fn published(world: &mut World, settings: Settings) -> SettingsId {
    let id = publish(world, settings);
    world.run(2 * SECOND);
    assert_eq!(ends(world, id), [in_effect(settings, 3_600)]);
    id
}

pub(crate) fn in_effect(settings: Settings, expires: u32) -> SettingsOutcome {
    SettingsOutcome::InEffect { settings, expires }
}

pub(crate) fn status(status: u16) -> Failure {
    Failure::Status {
        status,
        warning: None,
        retry_after: None,
    }
}

/// How a command ended: exactly one, or it has not.
pub(crate) fn ends<S>(world: &World<S>, id: SettingsId) -> Vec<SettingsOutcome> {
    let events = world.phones[ALICE].events.iter();
    events
        .filter_map(|event| match event {
            Happened::SettingsDone(of, outcome) if *of == id => Some(*outcome),
            _ => None,
        })
        .collect()
}

/// What happened without a command.
pub(crate) fn changes<S>(world: &World<S>) -> Vec<SettingsChange> {
    let events = world.phones[ALICE].events.iter();
    events
        .filter_map(|event| match event {
            Happened::Settings(change) => Some(*change),
            _ => None,
        })
        .collect()
}

/// The PUBLISH requests of alice, retransmissions left out.
pub(crate) fn publishes(world: &World) -> Vec<(u64, Sip)> {
    attempts(world, "alice", "PUBLISH")
}

pub(crate) fn if_match(sip: &Sip) -> Option<&str> {
    sip.header("SIP-If-Match")
}

/// Set, modified, refreshed or removed (RFC 3903 table 1).
pub(crate) fn kind(sip: &Sip) -> &'static str {
    match (if_match(sip), sip.body.is_empty(), header(sip, "Expires")) {
        (None, false, _) => "initial",
        (Some(_), true, "0") => "remove",
        (Some(_), true, _) => "refresh",
        (Some(_), false, _) => "modify",
        (None, true, _) => panic!("a PUBLISH of nothing: {sip:?}"),
    }
}

pub(crate) fn kinds(world: &World) -> Vec<&'static str> {
    publishes(world).iter().map(|(_, sip)| kind(sip)).collect()
}

/// What a document says.
pub(crate) fn read(body: &[u8]) -> PartialSettings {
    let mut entities = Entities::new(body, Dialect::RECONSTRUCTED).unwrap();
    entities.next().unwrap().unwrap().settings
}

/// What the server holds of alice.
pub(crate) fn held<S>(world: &World<S>) -> Option<PartialSettings> {
    let server = &world.servers[0].server;
    let document = server.document(world.net.now(), "alice", "poc-settings")?;
    Some(read(document))
}

/// The entity-tag that the server gave last.
pub(crate) fn tag(world: &World) -> String {
    let server = &world.servers[0].server;
    let all = server.publications(world.net.now(), "alice", "poc-settings");
    all.last().unwrap().etag.clone()
}

pub(crate) fn refuse(world: &mut World, answer: Answer) {
    let rule = Rule::on("PUBLISH").forever();
    world.server().script(rule.then(Then::Answer(answer)));
}

pub(crate) const FLOW: FlowId = FlowId(1);

pub(crate) fn bare(transport: Transport) -> Bare {
    Bare::registered(transport, |config| Config {
        keep_alive: KeepAlive::Off,
        nat: Nat::Leave,
        ..config
    })
}

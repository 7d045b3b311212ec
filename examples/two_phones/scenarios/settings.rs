//! The settings of the service, set, kept, lost and taken back.

use oma_im::client::{SettingsChange, SettingsOutcome};
use oma_im::config::Transport;
use oma_im::error::Failure;
use oma_im::id::SettingsId;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Rule, Then};
use oma_im::testkit::world::World;
use oma_im::wire::settings::{Barring, OfflineDelivery, Settings};

use super::super::stage::{Stage, check, header, same};

const HOUR: u64 = 3_600_000;

/// No sessions, and what came meanwhile is fetched.
const BUSY: Settings = Settings {
    sessions: Barring::Barred,
    offline_delivery: OfflineDelivery::Off,
    ..Settings::DEFAULT
};

fn alice(world: &mut World) -> Result<usize, String> {
    let alice = world.phone("alice", Transport::Udp);
    world.register(alice)?;
    Ok(alice)
}

/// Waits for the end of a command.
fn ended(world: &mut World, phone: usize, id: SettingsId) -> Result<SettingsOutcome, String> {
    let found = |world: &World| {
        let mut events = world.phones[phone].events.iter();
        events.find_map(|event| match event {
            Happened::SettingsDone(of, outcome) if *of == id => Some(*outcome),
            _ => None,
        })
    };
    world.until("the end of a command", 120_000, |world| {
        found(world).is_some()
    })?;
    found(world).ok_or("a command without end".into())
}

fn publish(world: &mut World, phone: usize, settings: Settings) -> Result<(), String> {
    let id = world.command(phone, |client, now| client.publish_settings(now, settings))?;
    let outcome = ended(world, phone, id)?;
    check(
        matches!(outcome, SettingsOutcome::InEffect { settings: of, .. } if of == settings),
        || format!("{outcome:?}"),
    )?;
    same(
        "in effect",
        world.phones[phone].client.settings(),
        Some(settings),
    )
}

/// How many documents the server holds of a user.
fn held(world: &mut World, user: &str) -> usize {
    let now = world.net.now();
    let server = world.server();
    server.publications(now, user, "poc-settings").len()
}

/// Set, changed, removed: RFC 3903 §4.2, §4.4, §4.5.
pub(crate) fn set_change_remove(world: &mut World) -> Result<(), String> {
    let alice = alice(world)?;
    publish(world, alice, Settings::DEFAULT)?;
    publish(world, alice, BUSY)?;
    let retrieve = world.saw(alice, |event| *event == Happened::RetrieveDeferred);
    check(retrieve, || {
        "nobody says that messages are to be fetched".into()
    })?;
    same("documents", held(world, "alice"), 1)?;
    let id = world.command(alice, |client, now| client.remove_settings(now))?;
    same(
        "outcome",
        ended(world, alice, id)?,
        SettingsOutcome::Removed,
    )?;
    same("documents", held(world, "alice"), 0)
}

/// RFC 3903 §4.3, §4.1: each 200 has another entity-tag, and the next request names it.
pub(crate) fn refresh(world: &mut World) -> Result<(), String> {
    let alice = alice(world)?;
    publish(world, alice, BUSY)?;
    let refreshed = |event: &Happened| {
        matches!(
            event,
            Happened::Settings(SettingsChange::InEffect { settings, .. }) if *settings == BUSY
        )
    };
    world.until("refreshed", HOUR, |world| world.saw(alice, refreshed))?;
    let last = world.requests("alice", "PUBLISH").pop();
    let body = last.as_ref().and_then(|packet| packet.sip());
    let body = body.map(|sip| sip.body.len());
    same("octets of a document in a refresh", body, Some(0))?;
    let tag = last.map(|packet| header(&packet, "SIP-If-Match"));
    check(tag.is_some_and(|tag| !tag.is_empty()), || {
        "a refresh of nothing".into()
    })?;
    // The registration goes with it, so that the device wakes up once.
    let registered = world.saw(alice, |event| matches!(event, Happened::Refreshed { .. }));
    check(registered, || "the registration was not refreshed".into())
}

/// RFC 3903 §5: what the server has forgotten is published anew.
pub(crate) fn restart(world: &mut World) -> Result<(), String> {
    let alice = alice(world)?;
    publish(world, alice, BUSY)?;
    world.server().restart();
    let lost = |event: &Happened| *event == Happened::Settings(SettingsChange::Lost);
    world.until("412", HOUR, |world| world.saw(alice, lost))?;
    world.until("published anew", 120_000, |world| held(world, "alice") == 1)?;
    let back =
        |event: &Happened| matches!(event, Happened::Settings(SettingsChange::InEffect { .. }));
    world.until("in effect again", 120_000, |world| world.saw(alice, back))
}

/// RFC 3903 §6 step 2: the server has no such event package. It is not asked again.
pub(crate) fn unknown_event(world: &mut World) -> Result<(), String> {
    let alice = alice(world)?;
    world.server().config.packages.clear();
    let id = world.command(alice, |client, now| client.publish_settings(now, BUSY))?;
    let outcome = ended(world, alice, id)?;
    let refused = matches!(
        outcome,
        SettingsOutcome::Failed(Failure::Status { status: 489, .. })
    );
    check(refused, || format!("{outcome:?}"))?;
    let before = world.requests("alice", "PUBLISH").len();
    world.run(HOUR);
    same("requests", world.requests("alice", "PUBLISH").len(), before)
}

/// 423 and 503 on the way: the interval is raised, the pause is kept, the command ends well.
pub(crate) fn put_off(world: &mut World) -> Result<(), String> {
    let alice = alice(world)?;
    world.server().config.packages[0].min_expires = 7_200;
    world.server().config.packages[0].max_expires = 86_400;
    let busy = Answer::new(503).header("Retry-After", "60");
    let rule = Rule::on("PUBLISH").then(Then::Answer(busy));
    world.server().script(rule);
    publish(world, alice, BUSY)?;
    let last = world.requests("alice", "PUBLISH").pop();
    let expires = last.map(|packet| header(&packet, "Expires"));
    same("Expires", expires.as_deref(), Some("7200"))
}

/// The settings go before the user does, if he says so.
pub(crate) fn removed_with_the_registration(world: &mut World) -> Result<(), String> {
    let alice = alice(world)?;
    publish(world, alice, BUSY)?;
    world.command(alice, |client, now| client.remove_settings(now))?;
    world.command(alice, |client, now| client.deregister(now))?;
    world.until("de-registered", 2_000, |world| {
        world.saw(alice, |event| *event == Happened::Deregistered)
    })?;
    same("documents", held(world, "alice"), 0)?;
    same("bindings", world.bindings("alice"), 0)
}

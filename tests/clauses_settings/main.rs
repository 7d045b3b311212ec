//! The clauses of the change request that bind the IM service settings (5.2.4, E.2), one or more
//! tests each; the details of PUBLISH are in `settings_client`.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice
)]

#[path = "../ladder/mod.rs"]
mod ladder;

use ladder::{HOUR, attempts, header};
use oma_im::client::{SettingsChange, SettingsOutcome};
use oma_im::config::{Config, Transport};
use oma_im::id::SettingsId;
use oma_im::testkit::net::Conditions;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;
use oma_im::wire::settings::{
    Barring, Dialect, Entities, OfflineDelivery, PartialSettings, Settings, Storing, Visibility,
};

const ALICE: &str = "sip:alice@example.com";

/// Alice is registered; nobody asks for credentials, so that each PUBLISH is one request.
fn world(seed: u64) -> (World, usize) {
    world_with(seed, |config| config)
}

fn world_with(seed: u64, change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>) -> (World, usize) {
    let mut world = World::with(seed, Conditions::default(), |server| {
        server.register_auth.clear();
        server.request_auth.clear();
    });
    let alice = world.phone_with("alice", Transport::Tcp, change);
    world.register_all();
    (world, alice)
}

fn publish(world: &mut World, settings: Settings) -> SettingsId {
    let id = world
        .act(0, |client, now| client.publish_settings(now, settings))
        .unwrap();
    world.run(2_000);
    id
}

/// Set, update, refresh, remove: the four kinds of PUBLISH, in this order.
fn four_kinds() -> Vec<Sip> {
    let (mut world, _) = world(1);
    publish(&mut world, Settings::DEFAULT);
    publish(&mut world, BARRED);
    world.run(HOUR - 60_000);
    world
        .act(0, |client, now| client.remove_settings(now))
        .unwrap();
    world.run(2_000);
    let all: Vec<Sip> = attempts(&world, "alice", "PUBLISH")
        .into_iter()
        .map(|(_, sip)| sip)
        .collect();
    let kinds: Vec<_> = all
        .iter()
        .map(|sip| (sip.header("SIP-If-Match").is_some(), sip.body.is_empty()))
        .collect();
    assert_eq!(
        kinds,
        [(false, false), (true, false), (true, true), (true, true)]
    );
    all
}

const BARRED: Settings = Settings {
    sessions: Barring::Barred,
    ..Settings::DEFAULT
};

/// What the server holds of alice, read back.
fn held(world: &mut World) -> Option<PartialSettings> {
    let now = world.net.now();
    let document = world.server().document(now, "alice", "poc-settings")?;
    let mut entities = Entities::new(document, Dialect::RECONSTRUCTED).unwrap();
    let entity = entities.next().unwrap().unwrap();
    assert!(entities.next().is_none(), "one entity");
    Some(entity.settings)
}

#[test]
fn clause_5_2_4_1_settings_are_set_updated_and_refreshed_by_publish() {
    let (mut world, alice) = world(2);
    let id = publish(&mut world, Settings::DEFAULT);
    assert_eq!(held(&mut world), Some(Settings::DEFAULT.into()));
    assert!(world.saw(
        alice,
        |event| matches!(event, Happened::SettingsDone(of, SettingsOutcome::InEffect { settings, .. })
            if *of == id && *settings == Settings::DEFAULT)
    ));

    publish(&mut world, BARRED);
    assert_eq!(held(&mut world), Some(BARRED.into()));

    // Half a day: the server gives an hour each time.
    world.run(12 * HOUR);
    assert_eq!(held(&mut world), Some(BARRED.into()));
    assert_eq!(world.phones[alice].client.settings(), Some(BARRED));
    assert!(world.saw(
        alice,
        |event| matches!(event, Happened::Settings(SettingsChange::InEffect { settings, .. }) if *settings == BARRED)
    ));
    let etags: Vec<String> = attempts(&world, "alice", "PUBLISH")
        .iter()
        .skip(1)
        .map(|(_, sip)| header(sip, "SIP-If-Match").to_owned())
        .collect();
    let mut once = etags.clone();
    once.dedup();
    assert_eq!(etags, once, "each 200 brings another entity-tag");
}

#[test]
fn clause_5_2_4_2_publish_goes_to_the_own_im_address() {
    for sip in four_kinds() {
        assert_eq!(sip.start, format!("PUBLISH {ALICE} SIP/2.0"));
        assert_eq!(header(&sip, "To"), format!("<{ALICE}>"));
    }
}

#[test]
fn clause_5_2_4_3_publish_names_its_originator() {
    for sip in four_kinds() {
        assert_eq!(header(&sip, "P-Preferred-Identity"), format!("<{ALICE}>"));
    }
}

#[test]
fn clause_5_2_4_4_publish_asks_for_im_contacts() {
    for sip in four_kinds() {
        assert_eq!(header(&sip, "Accept-Contact"), "*;+g.oma.sip-im");
    }
}

#[test]
fn clause_5_2_4_5_publish_tells_the_release_version() {
    for sip in four_kinds() {
        assert_eq!(
            header(&sip, "User-Agent"),
            "IM-client/OMA1.0 Example/M4-1.0"
        );
    }
}

#[test]
fn clause_5_2_4_6_the_event_is_poc_settings() {
    for sip in four_kinds() {
        assert_eq!(header(&sip, "Event"), "poc-settings");
        assert_eq!(sip.header("Contact"), None);
        assert_eq!(sip.header("Record-Route"), None);
    }
}

#[test]
fn clause_5_2_4_7_expires_is_that_of_the_registration_and_a_refresh_comes_before_the_end() {
    let (mut world, alice) = world_with(3, |config| Config {
        registration_expires: 600_000,
        ..config
    });
    publish(&mut world, Settings::DEFAULT);
    world.run(2 * HOUR);
    let all = attempts(&world, "alice", "PUBLISH");
    assert!(all.len() > 2, "set and refreshed: {}", all.len());
    for pair in all.windows(2) {
        let [(one, first), (two, _)] = pair else {
            panic!()
        };
        assert_eq!(header(first, "Expires"), "600000");
        // The server grants an hour.
        assert!(two - one < HOUR, "refreshed after {} ms", two - one);
    }
    assert!(!world.saw(alice, |event| *event
        == Happened::Settings(SettingsChange::Lost)));
}

#[test]
fn clause_5_2_4_7_a_refresh_has_no_body_unless_it_is_configured() {
    use oma_im::sip::publication::RefreshForm;
    let refresh = |form| {
        let (mut world, _) = world_with(4, |config| Config {
            settings_refresh: form,
            ..config
        });
        publish(&mut world, BARRED);
        world.run(HOUR);
        let (_, sip) = attempts(&world, "alice", "PUBLISH").swap_remove(1);
        assert!(sip.header("SIP-If-Match").is_some());
        (sip.body.is_empty(), held(&mut world))
    };
    assert_eq!(refresh(RefreshForm::Empty), (true, Some(BARRED.into())));
    assert_eq!(refresh(RefreshForm::Document), (false, Some(BARRED.into())));
}

/// One setting is changed: what the server then holds is that, and no other is.
fn sets(change: impl Fn(&mut Settings)) {
    let (mut world, _) = world(5);
    let mut settings = Settings::DEFAULT;
    change(&mut settings);
    assert_ne!(settings, Settings::DEFAULT);
    publish(&mut world, settings);
    assert_eq!(held(&mut world), Some(settings.into()));
}

#[test]
fn clause_5_2_4_8a_incoming_sessions_can_be_barred() {
    sets(|settings| settings.sessions = Barring::Barred);
}

#[test]
fn clause_5_2_4_8b_incoming_pager_and_large_messages_can_be_barred() {
    sets(|settings| settings.messages = Barring::Barred);
}

#[test]
fn clause_5_2_4_8c_the_user_can_be_invisible() {
    sets(|settings| settings.visibility = Visibility::Invisible);
}

#[test]
fn clause_5_2_4_8d_offline_delivery_can_be_off() {
    sets(|settings| settings.offline_delivery = OfflineDelivery::Off);
}

#[test]
fn clause_5_2_4_8e_sessions_can_be_stored() {
    sets(|settings| settings.session_history = Storing::On);
}

#[test]
fn clause_5_2_4_8f_pager_and_large_messages_can_be_stored() {
    sets(|settings| settings.message_history = Storing::On);
}

#[test]
fn clause_5_2_4_8g_incoming_files_can_be_barred() {
    sets(|settings| settings.file_transfers = Barring::Barred);
}

#[test]
fn clause_5_2_4_9_publish_takes_the_path_of_the_core() {
    let mut world = World::with(6, Conditions::default(), |server| {
        server.service_route = vec!["<sip:orig@scscf.example.com;lr>".into()];
    });
    let alice = world.phone("alice", Transport::Tcp);
    world.register_all();
    world
        .act(alice, |client, now| {
            client.publish_settings(now, Settings::DEFAULT)
        })
        .unwrap();
    world.run(2_000);
    let all = attempts(&world, "alice", "PUBLISH");
    assert!(!all.is_empty());
    for (_, sip) in all {
        assert_eq!(header(&sip, "Route"), "<sip:orig@scscf.example.com;lr>");
    }
}

#[test]
fn clause_5_2_4_10_with_offline_delivery_off_the_client_has_to_retrieve() {
    let retrieves = |settings| {
        let (mut world, alice) = world(7);
        publish(&mut world, settings);
        world.saw(alice, |event| *event == Happened::RetrieveDeferred)
    };
    assert!(!retrieves(Settings::DEFAULT));
    assert!(retrieves(Settings {
        offline_delivery: OfflineDelivery::Off,
        ..Settings::DEFAULT
    }));
}

#[test]
fn clause_5_2_4_11_the_user_hears_that_the_settings_took_effect() {
    let (mut world, alice) = world(8);
    let id = publish(&mut world, BARRED);
    let told: Vec<_> = world.phones[alice]
        .events
        .iter()
        .filter(|event| matches!(event, Happened::SettingsDone(..) | Happened::Settings(_)))
        .cloned()
        .collect();
    let outcome = SettingsOutcome::InEffect {
        settings: BARRED,
        expires: 3_600,
    };
    assert_eq!(told, [Happened::SettingsDone(id, outcome)]);
}

#[test]
fn clause_e_2_the_document_has_one_entity_with_a_stable_name_and_all_seven_settings() {
    let (mut world, _) = world_with(9, |config| Config {
        settings_entity: Some("urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128"),
        ..config
    });
    publish(&mut world, Settings::DEFAULT);
    publish(&mut world, BARRED);
    let all = attempts(&world, "alice", "PUBLISH");
    for (_, sip) in &all {
        assert_eq!(header(sip, "Content-Type"), "application/poc-settings+xml");
        let mut entities = Entities::new(&sip.body, Dialect::RECONSTRUCTED).unwrap();
        let entity = entities.next().unwrap().unwrap();
        assert!(entity.id == *"urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128");
        assert!(entities.next().is_none());
        for setting in oma_im::wire::settings::Setting::ALL {
            assert!(entity.settings.says(*setting), "{setting:?}");
        }
    }
    assert_eq!(all.len(), 2);
}

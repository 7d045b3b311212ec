//! What the document says, and a client alone that nothing meant for others changes.

use oma_im::config::{Config, Transport};
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;
use oma_im::wire::settings::{
    AnswerMode, Barring, Certainty, Coding, Dialect, Element, Entities, Kind, Named,
    OfflineDelivery, Place, PocSettings, Setting, Settings, SimultaneousSessions, Visibility,
};

use crate::ladder::HOUR;
use crate::{
    ALICE, BARRED, FLOW, HIDDEN, PLAIN, bare, if_match, published, publishes, world, world_of,
};

// What the document says.

#[test]
fn the_deferred_messages_are_asked_for_once_for_each_command() {
    let off = Settings {
        offline_delivery: OfflineDelivery::Off,
        ..PLAIN
    };
    let mut world = world(41, Transport::Tcp);
    let asked = |world: &World| {
        let events = world.phones[ALICE].events.iter();
        events
            .filter(|event| **event == Happened::RetrieveDeferred)
            .count()
    };
    published(&mut world, PLAIN);
    assert_eq!(asked(&world), 0);
    published(&mut world, off);
    assert_eq!(asked(&world), 1);
    // Neither a refresh nor a restart of the server is a command of the user.
    world.run(3 * HOUR);
    world.server().restart();
    world.run(HOUR);
    assert_eq!(asked(&world), 1);
    published(&mut world, PLAIN);
    assert_eq!(asked(&world), 1);
}

const PART: Dialect = match Dialect::new(&[
    Named {
        setting: Setting::SessionBarring,
        element: Element {
            namespace: "urn:oma:params:xml:ns:poc:poc-settings",
            path: &["isb-settings", "incoming-session-barring"],
            place: Place::Attribute("active"),
            coding: Coding::Boolean,
            kind: Kind::Only,
        },
        certainty: Certainty::Standard,
    },
    Named {
        setting: Setting::Visibility,
        element: Element {
            namespace: "urn:example:im",
            path: &["presence", "invisible"],
            place: Place::Attribute("on"),
            coding: Coding::Inverted,
            kind: Kind::Only,
        },
        certainty: Certainty::Operator,
    },
]) {
    Ok(dialect) => dialect,
    Err(_) => panic!("the table breaks a rule"),
};

/// Its table has two of the seven; the application can read which are missing.
#[test]
fn a_dialect_may_leave_settings_out() {
    let mut world = world_of(
        42,
        Transport::Tcp,
        |config| Config {
            settings_dialect: PART,
            ..config
        },
        |_| (),
    );
    let settings = Settings {
        sessions: Barring::Barred,
        ..HIDDEN
    };
    published(&mut world, settings);
    let (_, sip) = publishes(&world).pop().unwrap();
    let mut entities = Entities::new(&sip.body, PART).unwrap();
    let said = entities.next().unwrap().unwrap().settings;
    assert_eq!(said.sessions, Some(Barring::Barred));
    assert_eq!(said.visibility, Some(Visibility::Invisible));
    let left_out: Vec<Setting> = PART.left_out().collect();
    assert_eq!(left_out.len(), 5);
    for setting in Setting::ALL {
        assert_eq!(
            said.says(*setting),
            !left_out.contains(setting),
            "{setting:?}"
        );
    }
    assert!(
        String::from_utf8(sip.body.clone())
            .unwrap()
            .contains(r#"on="true""#)
    );
}

pub(crate) const ALL_POC: PocSettings = PocSettings {
    answer_mode: Some(AnswerMode::Manual),
    personal_alerts: Some(Barring::Barred),
    simultaneous_sessions: Some(SimultaneousSessions::Refused),
};

#[test]
fn the_settings_of_push_to_talk_go_with_ours_if_they_are_configured() {
    for poc in [PocSettings::UNSAID, ALL_POC] {
        let mut world = world_of(
            43,
            Transport::Tcp,
            |config| Config {
                settings_poc: poc,
                ..config
            },
            |_| (),
        );
        published(&mut world, BARRED);
        let (_, sip) = publishes(&world).pop().unwrap();
        let mut entities = Entities::new(&sip.body, Dialect::RECONSTRUCTED).unwrap();
        let entity = entities.next().unwrap().unwrap();
        assert_eq!(entity.poc, poc);
        assert_eq!(entity.settings, BARRED.into());
    }
}

// A client alone.

/// What is meant for a transaction that is over, or never was, changes nothing.
#[test]
fn answers_that_belong_to_no_publish_change_nothing() {
    let mut bare = bare(Transport::Tcp);
    bare.act(|client, now| client.publish_settings(now, PLAIN))
        .unwrap();
    let first = bare.last("PUBLISH");
    let ok = [("SIP-ETag", "one"), ("Expires", "3600")];
    bare.answer(FLOW, "PUBLISH", 200, &ok);
    let mut stray = Sip::response(&first, 200, "OK", "srv");
    stray.push("SIP-ETag", "two");
    stray.push("Expires", "60");
    bare.feed(FLOW, &stray.to_bytes());
    for status in [412, 423, 503, 401] {
        let stray = Sip::response(&first, status, "Stray", "srv");
        bare.feed(FLOW, &stray.to_bytes());
    }
    assert_eq!(bare.saw("Settings"), 1, "{:?}", bare.events);
    bare.act(|client, now| client.publish_settings(now, BARRED))
        .unwrap();
    assert_eq!(if_match(&bare.last("PUBLISH")), Some("one"));
}

/// RFC 3261 §17.1.2: a provisional response is no end.
#[test]
fn a_provisional_response_ends_nothing() {
    let mut bare = bare(Transport::Tcp);
    bare.act(|client, now| client.publish_settings(now, PLAIN))
        .unwrap();
    for status in [100, 183] {
        bare.answer(
            FLOW,
            "PUBLISH",
            status,
            &[("SIP-ETag", "x"), ("Expires", "9")],
        );
    }
    assert_eq!(bare.saw("Settings"), 0);
    bare.answer(FLOW, "PUBLISH", 200, &[("SIP-ETag", "x"), ("Expires", "9")]);
    assert_eq!(bare.saw("InEffect"), 1);
}

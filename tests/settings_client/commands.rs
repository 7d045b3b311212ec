//! How commands end: those that come quickly, what a 200 says, removal, and de-registration.

use oma_im::client::{SettingsChange, SettingsOutcome};
use oma_im::config::Transport;
use oma_im::error::{CommandError, Failure};
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Rule, Then};
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;

use crate::ladder::{HOUR, MINUTE, SECOND, attempts, header};
use crate::{
    ALICE, BARRED, FLOW, HIDDEN, LAST, PLAIN, bare, changes, ends, held, if_match, in_effect, kind,
    kinds, publish, published, publishes, read, remove, tag, world,
};

// Commands that come quickly.

/// RFC 3903 §4.4: the entity-tag of a modification comes with the answer before it.
#[test]
fn changes_while_a_publish_is_under_way_go_as_one() {
    let mut world = world(3, Transport::Tcp);
    let all = [PLAIN, BARRED, HIDDEN, LAST].map(|settings| publish(&mut world, settings));
    world.run(2 * SECOND);
    assert_eq!(kinds(&world), ["initial", "modify"]);
    assert_eq!(ends(&world, all[0]), [in_effect(PLAIN, 3_600)]);
    assert_eq!(ends(&world, all[1]), [SettingsOutcome::Superseded]);
    assert_eq!(ends(&world, all[2]), [SettingsOutcome::Superseded]);
    assert_eq!(ends(&world, all[3]), [in_effect(LAST, 3_600)]);
    assert_eq!(held(&world), Some(LAST.into()));
    assert_eq!(world.phones[ALICE].client.settings(), Some(LAST));
    assert_eq!(changes(&world), [], "the commands said it all");
}

#[test]
fn a_change_while_an_attempt_is_put_off_takes_its_place() {
    let mut world = world(4, Transport::Tcp);
    let rule = Rule::on("PUBLISH").then(Then::Answer(Answer::new(503)));
    world.server().script(rule);
    let first = publish(&mut world, PLAIN);
    world.run(SECOND);
    assert_eq!(ends(&world, first), []);
    let second = publish(&mut world, BARRED);
    world.run(SECOND);
    assert_eq!(ends(&world, first), [SettingsOutcome::Superseded]);
    assert_eq!(publishes(&world).len(), 1, "the server asked for a pause");
    world.run(MINUTE);
    assert_eq!(ends(&world, second).len(), 1);
    assert_eq!(kinds(&world), ["initial", "initial"]);
    assert_eq!(held(&world), Some(BARRED.into()));
}

#[test]
fn set_and_removed_at_once_is_set_and_then_removed() {
    let mut world = world(5, Transport::Tcp);
    let set = publish(&mut world, BARRED);
    let removed = remove(&mut world);
    world.run(2 * SECOND);
    assert_eq!(kinds(&world), ["initial", "remove"]);
    assert_eq!(ends(&world, set), [in_effect(BARRED, 3_600)]);
    assert_eq!(ends(&world, removed), [SettingsOutcome::Removed]);
    assert_eq!(held(&world), None);
}

// What a 200 says.

#[test]
fn without_a_tag_that_can_be_kept_the_document_is_published_anew_before_its_end() {
    let long = "x".repeat(4_096);
    for etag in [
        None,
        Some("\"quoted\""),
        Some("two words"),
        Some(""),
        Some(long.as_str()),
    ] {
        let mut world = world(19, Transport::Tcp);
        let etag = etag.map(str::to_owned);
        let edit = Then::edit(move |sip| {
            sip.remove("SIP-ETag");
            if let Some(etag) = &etag {
                sip.push("SIP-ETag", etag);
            }
        });
        world
            .server()
            .script(Rule::on("PUBLISH").forever().then(edit));
        published(&mut world, BARRED);
        world.run(HOUR);
        assert_eq!(kinds(&world), ["initial", "initial"]);
        assert_eq!(read(&publishes(&world)[1].1.body), BARRED.into());
        // Nor can it be removed: it ends by itself.
        let id = remove(&mut world);
        world.run(SECOND);
        let [SettingsOutcome::RunsOut { expires }] = ends(&world, id)[..] else {
            panic!("{:?}", ends(&world, id))
        };
        assert!((2_900..=3_100).contains(&expires), "{expires}");
        world.run(3 * HOUR);
        assert_eq!(publishes(&world).len(), 2);
        assert_eq!(changes(&world).last(), Some(&SettingsChange::Lost));
        assert_eq!(held(&world), None);
    }
}

/// RFC 3903 §11.3.1: a token, which has more characters than letters and digits.
#[test]
fn any_token_is_a_tag_and_comes_back_to_the_octet() {
    for etag in ["-.!%*_+`'~", &"y".repeat(64)] {
        let mut bare = bare(Transport::Tcp);
        bare.act(|client, now| client.publish_settings(now, PLAIN))
            .unwrap();
        bare.answer(
            FLOW,
            "PUBLISH",
            200,
            &[("SIP-ETag", etag), ("Expires", "3600")],
        );
        bare.run(HOUR - 1);
        assert_eq!(if_match(&bare.last("PUBLISH")), Some(etag));
    }
}

#[test]
fn a_200_that_grants_no_time_is_no_success() {
    let mut world = world(20, Transport::Tcp);
    let edit = Then::edit(|sip| sip.set("Expires", "0"));
    world.server().script(Rule::on("PUBLISH").then(edit));
    let id = publish(&mut world, BARRED);
    world.run(5 * SECOND);
    assert_eq!(ends(&world, id), []);
    assert_eq!(world.phones[ALICE].client.settings(), None);
    let [SettingsChange::Retrying { failure, .. }] = changes(&world)[..] else {
        panic!("{:?}", changes(&world))
    };
    assert_eq!(failure, Failure::Interval);
    world.run(MINUTE);
    assert_eq!(ends(&world, id).len(), 1);
    assert_eq!(world.phones[ALICE].client.settings(), Some(BARRED));
}

/// RFC 3903 §6 step 6: the server may shorten the time, never lengthen it, and always says it.
#[test]
fn the_time_that_is_granted_counts() {
    for (expires, granted) in [
        (Some("60"), 60_u64),
        (Some("86400"), 3_600),
        (Some("4294967296"), 3_600),
        (Some("soon"), 3_600),
        (None, 3_600),
    ] {
        let mut bare = bare(Transport::Tcp);
        bare.act(|client, now| client.publish_settings(now, PLAIN))
            .unwrap();
        let mut headers = vec![("SIP-ETag", "a")];
        headers.extend(expires.map(|seconds| ("Expires", seconds)));
        bare.answer(FLOW, "PUBLISH", 200, &headers);
        let told = format!("expires: {granted} }} }}");
        assert_eq!(bare.saw(&told), 1, "{:?}", bare.events);
        let before = bare.requests("PUBLISH").len();
        bare.run(granted * SECOND - 1);
        assert_eq!(bare.requests("PUBLISH").len(), before + 1, "{expires:?}");
    }
}

// Removal and de-registration.

/// RFC 3903 §4.5.
#[test]
fn removed_settings_are_gone_and_not_refreshed() {
    let mut world = world(21, Transport::Tcp);
    published(&mut world, BARRED);
    let known = tag(&world);
    let id = remove(&mut world);
    world.run(2 * SECOND);
    assert_eq!(ends(&world, id), [SettingsOutcome::Removed]);
    let (_, sip) = publishes(&world).pop().unwrap();
    assert_eq!(
        (kind(&sip), if_match(&sip)),
        ("remove", Some(known.as_str()))
    );
    assert_eq!(held(&world), None);
    assert_eq!(world.phones[ALICE].client.settings(), None);
    // Once more: there is nothing to ask the server.
    let again = remove(&mut world);
    world.run(3 * HOUR);
    assert_eq!(ends(&world, again), [SettingsOutcome::Removed]);
    assert_eq!(kinds(&world), ["initial", "remove"]);
}

/// When a host sent the first de-REGISTER.
fn deregister_at(world: &World) -> u64 {
    let all = attempts(world, "alice", "REGISTER");
    let gone = |sip: &Sip| {
        sip.header("Expires") == Some("0") || header(sip, "Contact").contains("expires=0")
    };
    all.iter().find(|(_, sip)| gone(sip)).unwrap().0
}

#[test]
fn a_removal_goes_before_the_de_register() {
    let mut world = world(22, Transport::Tcp);
    published(&mut world, BARRED);
    let id = remove(&mut world);
    let start = world.net.now();
    world
        .act(ALICE, |client, now| client.deregister(now))
        .unwrap();
    let done = |world: &mut World| world.saw(ALICE, |event| *event == Happened::Deregistered);
    assert!(world.run_until(2 * SECOND, done));
    assert!(
        world.net.now().since(start) < 500,
        "as fast as the server answers"
    );
    assert_eq!(ends(&world, id), [SettingsOutcome::Removed]);
    assert_eq!(held(&world), None);
    let (removed, _) = publishes(&world).pop().unwrap();
    assert!(removed < deregister_at(&world));
}

/// It waits for the change before it, too.
#[test]
fn a_removal_behind_a_change_goes_before_the_de_register() {
    let mut world = world(23, Transport::Tcp);
    let set = publish(&mut world, BARRED);
    let removed = remove(&mut world);
    world
        .act(ALICE, |client, now| client.deregister(now))
        .unwrap();
    world.run(2 * SECOND);
    assert_eq!(ends(&world, set), [in_effect(BARRED, 3_600)]);
    assert_eq!(ends(&world, removed), [SettingsOutcome::Removed]);
    assert_eq!(held(&world), None);
    assert!(world.saw(ALICE, |event| *event == Happened::Deregistered));
}

#[test]
fn a_removal_that_nobody_answers_does_not_keep_the_user() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = world(24, transport);
        published(&mut world, BARRED);
        let rule = Rule::on("PUBLISH").forever().then(Then::Silence);
        world.server().script(rule);
        let id = remove(&mut world);
        let start = world.net.now().as_millis();
        world
            .act(ALICE, |client, now| client.deregister(now))
            .unwrap();
        // `Config::deregister_timeout`.
        world.run(2_000);
        assert!(world.saw(ALICE, |event| *event == Happened::Deregistered));
        let left = deregister_at(&world) - start;
        assert!((1..2_000).contains(&left), "{left} ms");
        assert_eq!(ends(&world, id), [SettingsOutcome::Withdrawn]);
        let now = world.net.now();
        assert_eq!(world.server().bindings(now, "alice").len(), 0);
        // And nothing comes after.
        world.run(HOUR);
        assert_eq!(ends(&world, id).len(), 1);
    }
}

/// 5.2.4-8 d): what is set matters most while the user is away.
#[test]
fn de_registration_leaves_the_settings_to_run_out() {
    let mut world = world(25, Transport::Tcp);
    published(&mut world, BARRED);
    world
        .act(ALICE, |client, now| client.deregister(now))
        .unwrap();
    world.run(30 * MINUTE);
    assert_eq!(held(&world), Some(BARRED.into()));
    assert_eq!(world.phones[ALICE].client.settings(), Some(BARRED));
    world.run(30 * MINUTE);
    assert_eq!(held(&world), None);
    assert_eq!(kinds(&world), ["initial"], "nobody asks for anything");
    // The client is told no lie by its own memory.
    world.act(ALICE, |client, now| client.timeout(now));
    assert_eq!(world.phones[ALICE].client.settings(), None);
}

#[test]
fn a_command_that_has_not_ended_is_withdrawn_with_the_registration() {
    let mut world = world(26, Transport::Tcp);
    let rule = Rule::on("PUBLISH").forever().then(Then::Silence);
    world.server().script(rule);
    let first = publish(&mut world, PLAIN);
    let second = publish(&mut world, BARRED);
    world
        .act(ALICE, |client, now| client.deregister(now))
        .unwrap();
    let leaving = world.act(ALICE, |client, now| client.publish_settings(now, HIDDEN));
    assert_eq!(leaving, Err(CommandError::WrongState));
    let leaving = world.act(ALICE, |client, now| client.remove_settings(now));
    assert_eq!(leaving, Err(CommandError::WrongState));
    world.run(5 * MINUTE);
    assert_eq!(ends(&world, first), [SettingsOutcome::Withdrawn]);
    assert_eq!(ends(&world, second), [SettingsOutcome::Withdrawn]);
    let usage = world.phones[ALICE].client.usage();
    assert_eq!((usage.requests, usage.transactions), (0, 0));
}

/// Nobody heard that the change was made: back again, the client asks, and has its own settings.
#[test]
fn a_change_that_was_withdrawn_under_way_is_settled_by_the_next_registration() {
    let mut world = world(46, Transport::Tcp);
    published(&mut world, PLAIN);
    let rule = Rule::on("PUBLISH").then(Then::ServeUnheard);
    world.server().script(rule);
    let id = publish(&mut world, BARRED);
    world
        .act(ALICE, |client, now| client.deregister(now))
        .unwrap();
    world.run(SECOND);
    assert_eq!(ends(&world, id), [SettingsOutcome::Withdrawn]);
    assert_eq!(held(&world), Some(BARRED.into()), "nobody knows");
    world.register_all();
    world.run(SECOND);
    assert_eq!(kinds(&world), ["initial", "modify", "refresh", "initial"]);
    assert_eq!(held(&world), Some(PLAIN.into()));
    assert_eq!(world.phones[ALICE].client.settings(), Some(PLAIN));
}

#[test]
fn registered_again_within_their_life_the_settings_are_refreshed_with_the_same_tag() {
    let mut world = world(27, Transport::Tcp);
    published(&mut world, BARRED);
    let known = tag(&world);
    world
        .act(ALICE, |client, now| client.deregister(now))
        .unwrap();
    world.run(20 * MINUTE);
    world.register_all();
    world.run(35 * MINUTE);
    let all = publishes(&world);
    assert_eq!(kinds(&world), ["initial", "refresh"]);
    assert_eq!(if_match(&all[1].1), Some(known.as_str()));
    assert_eq!(held(&world), Some(BARRED.into()));
}

#[test]
fn registered_again_after_their_end_the_settings_are_published_anew() {
    let mut world = world(28, Transport::Tcp);
    published(&mut world, BARRED);
    world
        .act(ALICE, |client, now| client.deregister(now))
        .unwrap();
    world.run(2 * HOUR);
    world.register_all();
    world.run(SECOND);
    assert_eq!(kinds(&world), ["initial", "initial"]);
    let in_effect = SettingsChange::InEffect {
        settings: BARRED,
        expires: 3_600,
    };
    assert_eq!(changes(&world), [SettingsChange::Lost, in_effect]);
    assert_eq!(held(&world), Some(BARRED.into()));
}

#[test]
fn removed_before_the_user_left_they_stay_removed_when_he_is_back() {
    let mut world = world(29, Transport::Tcp);
    published(&mut world, BARRED);
    remove(&mut world);
    world
        .act(ALICE, |client, now| client.deregister(now))
        .unwrap();
    world.run(20 * MINUTE);
    world.register_all();
    world.run(2 * HOUR);
    assert_eq!(kinds(&world), ["initial", "remove"]);
    assert_eq!(held(&world), None);
}

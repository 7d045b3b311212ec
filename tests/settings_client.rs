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

mod ladder;

use ladder::{Bare, HOUR, MINUTE, SECOND, attempts, branch, cseq, digest, header, packets};
use oma_im::client::{
    Adopted, Direction, FlowInfo, Origin, SettingsChange, SettingsOutcome, Verified,
};
use oma_im::config::{Config, KeepAlive, Nat, NextHop, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::id::{FlowId, PathId, SettingsId};
use oma_im::im::pager::Outgoing;
use oma_im::sip::publication::RefreshForm;
use oma_im::storage::{Inline, Small, Storage};
use oma_im::testkit::log::Transport as LogTransport;
use oma_im::testkit::net::{Break, Conditions};
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Challenge, ChallengeHeader, Rule, Then, User};
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::{DOMAIN, PROXY, World};
use oma_im::wire::settings::{
    AnswerMode, Barring, Certainty, Coding, Dialect, Element, Entities, Kind, Named,
    OfflineDelivery, PartialSettings, Place, PocSettings, Setting, Settings, SimultaneousSessions,
    Visibility,
};

const ALICE: usize = 0;
const PLAIN: Settings = Settings::DEFAULT;
const BARRED: Settings = Settings {
    sessions: Barring::Barred,
    ..PLAIN
};
const HIDDEN: Settings = Settings {
    visibility: Visibility::Invisible,
    ..PLAIN
};
const LAST: Settings = Settings {
    messages: Barring::Barred,
    ..PLAIN
};

/// Alice is registered; nobody asks for credentials, and no keep-alive stands between the steps.
fn world(seed: u64, transport: Transport) -> World {
    world_of(seed, transport, |config| config, |_| ())
}

fn world_of(
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

fn publish<S: Storage>(world: &mut World<S>, settings: Settings) -> SettingsId {
    world
        .act(ALICE, |client, now| client.publish_settings(now, settings))
        .unwrap()
}

fn remove(world: &mut World) -> SettingsId {
    world
        .act(ALICE, |client, now| client.remove_settings(now))
        .unwrap()
}

/// Published and answered.
fn published(world: &mut World, settings: Settings) -> SettingsId {
    let id = publish(world, settings);
    world.run(2 * SECOND);
    assert_eq!(ends(world, id), [in_effect(settings, 3_600)]);
    id
}

fn in_effect(settings: Settings, expires: u32) -> SettingsOutcome {
    SettingsOutcome::InEffect { settings, expires }
}

fn status(status: u16) -> Failure {
    Failure::Status {
        status,
        warning: None,
        retry_after: None,
    }
}

/// How a command ended: exactly one, or it has not.
fn ends<S>(world: &World<S>, id: SettingsId) -> Vec<SettingsOutcome> {
    let events = world.phones[ALICE].events.iter();
    events
        .filter_map(|event| match event {
            Happened::SettingsDone(of, outcome) if *of == id => Some(*outcome),
            _ => None,
        })
        .collect()
}

/// What happened without a command.
fn changes<S>(world: &World<S>) -> Vec<SettingsChange> {
    let events = world.phones[ALICE].events.iter();
    events
        .filter_map(|event| match event {
            Happened::Settings(change) => Some(*change),
            _ => None,
        })
        .collect()
}

/// The PUBLISH requests of alice, retransmissions left out.
fn publishes(world: &World) -> Vec<(u64, Sip)> {
    attempts(world, "alice", "PUBLISH")
}

fn if_match(sip: &Sip) -> Option<&str> {
    sip.header("SIP-If-Match")
}

/// Set, modified, refreshed or removed (RFC 3903 table 1).
fn kind(sip: &Sip) -> &'static str {
    match (if_match(sip), sip.body.is_empty(), header(sip, "Expires")) {
        (None, false, _) => "initial",
        (Some(_), true, "0") => "remove",
        (Some(_), true, _) => "refresh",
        (Some(_), false, _) => "modify",
        (None, true, _) => panic!("a PUBLISH of nothing: {sip:?}"),
    }
}

fn kinds(world: &World) -> Vec<&'static str> {
    publishes(world).iter().map(|(_, sip)| kind(sip)).collect()
}

/// What a document says.
fn read(body: &[u8]) -> PartialSettings {
    let mut entities = Entities::new(body, Dialect::RECONSTRUCTED).unwrap();
    entities.next().unwrap().unwrap().settings
}

/// What the server holds of alice.
fn held<S>(world: &World<S>) -> Option<PartialSettings> {
    let server = &world.servers[0].server;
    let document = server.document(world.net.now(), "alice", "poc-settings")?;
    Some(read(document))
}

/// The entity-tag that the server gave last.
fn tag(world: &World) -> String {
    let server = &world.servers[0].server;
    let all = server.publications(world.net.now(), "alice", "poc-settings");
    all.last().unwrap().etag.clone()
}

fn refuse(world: &mut World, answer: Answer) {
    let rule = Rule::on("PUBLISH").forever();
    world.server().script(rule.then(Then::Answer(answer)));
}

// Credentials.

/// RFC 3261 §22.1: the same request again, with credentials and a CSeq counted up.
#[test]
fn a_challenge_is_answered_with_the_same_request_and_the_next_cseq() {
    for (challenge, answer) in [
        (ChallengeHeader::Www, "Authorization"),
        (ChallengeHeader::Proxy, "Proxy-Authorization"),
    ] {
        let mut world = world_of(
            1,
            Transport::Tcp,
            |config| config,
            |server| {
                server.request_auth = vec![Challenge::new(challenge, DOMAIN)];
            },
        );
        published(&mut world, PLAIN);
        let all = publishes(&world);
        let [(_, first), (_, second)] = &all[..] else {
            panic!("{} requests", all.len())
        };
        assert_eq!(first.header(answer), None);
        assert_eq!(digest(header(second, answer), "nc").unwrap(), "00000001");
        assert_eq!(header(first, "Call-ID"), header(second, "Call-ID"));
        assert_eq!(header(first, "From"), header(second, "From"));
        assert_eq!((cseq(first), cseq(second)), (1, 2));
        assert_ne!(branch(first), branch(second));
        assert_eq!(first.body, second.body);

        // What is known goes with the next one at once.
        published(&mut world, BARRED);
        let all = publishes(&world);
        assert_eq!(all.len(), 3);
        assert_eq!(digest(header(&all[2].1, answer), "nc").unwrap(), "00000002");
        assert_ne!(header(&all[2].1, "Call-ID"), header(second, "Call-ID"));
    }
}

#[test]
fn credentials_that_are_refused_end_the_command() {
    let mut world = World::new(2);
    world.phone("alice", Transport::Tcp);
    world.register_all();
    let rule = Rule::on("PUBLISH").forever().then(Then::Challenge);
    world.server().script(rule);
    let id = publish(&mut world, PLAIN);
    world.run(HOUR);
    let refused = SettingsOutcome::Failed(Failure::Credentials { status: 407 });
    assert_eq!(ends(&world, id), [refused]);
    // RFC 3261 §22.2, RFC 7616 §3.3: a new nonce is tried once more.
    assert_eq!(publishes(&world).len(), 3);
    assert_eq!(world.phones[ALICE].client.settings(), None);
}

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

// 412.

/// RFC 3903 §5: the entity-tag is forgotten, and the document published anew.
#[test]
fn after_a_restart_of_the_server_a_change_is_published_anew() {
    let mut world = world(6, Transport::Tcp);
    published(&mut world, PLAIN);
    world.server().restart();
    let id = publish(&mut world, BARRED);
    world.run(2 * SECOND);
    assert_eq!(kinds(&world), ["initial", "modify", "initial"]);
    assert_eq!(ends(&world, id), [in_effect(BARRED, 3_600)]);
    assert_eq!(changes(&world), [SettingsChange::Lost]);
    assert_eq!(held(&world), Some(BARRED.into()));
}

#[test]
fn after_a_restart_of_the_server_a_refresh_publishes_anew() {
    let mut world = world(7, Transport::Tcp);
    published(&mut world, BARRED);
    world.server().restart();
    world.run(HOUR);
    assert_eq!(kinds(&world), ["initial", "refresh", "initial"]);
    let [
        SettingsChange::Lost,
        SettingsChange::InEffect { settings, .. },
    ] = changes(&world)[..]
    else {
        panic!("{:?}", changes(&world))
    };
    assert_eq!(settings, BARRED);
    assert_eq!(held(&world), Some(BARRED.into()));
}

#[test]
fn after_a_restart_of_the_server_there_is_nothing_to_remove() {
    let mut world = world(8, Transport::Tcp);
    published(&mut world, BARRED);
    world.server().restart();
    let id = remove(&mut world);
    world.run(HOUR);
    assert_eq!(kinds(&world), ["initial", "remove"]);
    assert_eq!(ends(&world, id), [SettingsOutcome::Removed]);
    assert_eq!(world.phones[ALICE].client.settings(), None);
}

/// A server that answers 412 whatever comes is not asked again and again.
#[test]
fn a_server_that_says_412_for_ever_is_asked_ever_more_rarely() {
    let mut world = world(9, Transport::Tcp);
    refuse(&mut world, Answer::new(412));
    let id = publish(&mut world, BARRED);
    world.run(24 * HOUR);
    assert_eq!(ends(&world, id), [], "it is still being tried");
    let at: Vec<u64> = publishes(&world).iter().map(|(at, _)| *at).collect();
    let waits: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] >= 30 * SECOND, "{waits:?}");
    // RFC 5626 §4.5: half an hour at most, a quarter at least when it has come to that.
    assert!(waits[8..].iter().all(|wait| *wait >= 15 * MINUTE));
    assert!(kinds(&world).iter().all(|kind| *kind == "initial"));
    let failed = |change: &SettingsChange| matches!(change, SettingsChange::Retrying { failure, .. } if *failure == status(412));
    assert!(changes(&world).iter().all(failed));
    assert_eq!(changes(&world).len(), at.len());
}

/// It takes every initial publication and has forgotten it at the refresh.
#[test]
fn a_server_that_always_forgets_is_not_published_to_in_a_circle() {
    let mut world = world(10, Transport::Tcp);
    let rule = Rule::on("PUBLISH")
        .when(|sip| sip.header("SIP-If-Match").is_some())
        .forever();
    let rule = rule.then(Then::Answer(Answer::new(412)));
    world.server().script(rule);
    published(&mut world, BARRED);
    world.run(3 * HOUR);
    let all = publishes(&world);
    // The first time at once; from then on after a wait.
    assert_eq!(kinds(&world)[..3], ["initial", "refresh", "initial"]);
    for pair in all[2..].windows(2) {
        assert!(pair[1].0 - pair[0].0 >= 30 * SECOND);
    }
    assert!(all.len() <= 10, "{}", all.len());
}

// 423.

/// RFC 3903 §5: the interval is raised to Min-Expires, now and from now on.
#[test]
fn min_expires_is_followed_and_remembered() {
    let mut world = world_of(
        11,
        Transport::Tcp,
        |config| config,
        |server| {
            server.packages[0].min_expires = 7_200;
            server.packages[0].max_expires = 86_400;
        },
    );
    let id = publish(&mut world, PLAIN);
    world.run(2 * SECOND);
    assert_eq!(ends(&world, id), [in_effect(PLAIN, 7_200)]);
    publish(&mut world, BARRED);
    world.run(2 * SECOND);
    let expires: Vec<String> = publishes(&world)
        .iter()
        .map(|(_, sip)| header(sip, "Expires").to_owned())
        .collect();
    assert_eq!(expires, ["3600", "7200", "7200"]);
    assert_eq!(changes(&world), []);
}

#[test]
fn a_423_that_cannot_be_followed_ends_the_command() {
    for min in [
        None,
        Some("0"),
        Some("1"),
        Some("3600"),
        Some("2592001"),
        Some("4294967295"),
        Some("4294967296"),
        Some("99999999999999999999"),
        Some("-1"),
        Some("soon"),
        Some(""),
    ] {
        let mut world = world(12, Transport::Tcp);
        published(&mut world, PLAIN);
        let answer = Answer::new(423);
        let answer = match min {
            Some(min) => answer.header("Min-Expires", min),
            None => answer,
        };
        let rule = Rule::on("PUBLISH").then(Then::Answer(answer));
        world.server().script(rule);
        let id = publish(&mut world, BARRED);
        world.run(2 * SECOND);
        let failed = SettingsOutcome::Failed(Failure::Interval);
        assert_eq!(ends(&world, id), [failed], "{min:?}");
        assert_eq!(publishes(&world).len(), 2, "{min:?}");
        // What was there before stays, with the time that was asked for before.
        assert_eq!(world.phones[ALICE].client.settings(), Some(PLAIN));
        world.run(HOUR);
        let (_, refresh) = publishes(&world).pop().unwrap();
        assert_eq!(
            (kind(&refresh), header(&refresh, "Expires")),
            ("refresh", "3600")
        );
        assert_eq!(held(&world), Some(PLAIN.into()));
    }
}

#[test]
fn a_server_that_wants_ever_more_time_is_followed_twice() {
    let mut bare = bare(Transport::Tcp);
    bare.act(|client, now| client.publish_settings(now, PLAIN))
        .unwrap();
    for min in ["4000", "5000", "6000", "7000"] {
        if bare.saw("SettingsDone") == 0 {
            bare.answer(FLOW, "PUBLISH", 423, &[("Min-Expires", min)]);
        }
    }
    assert_eq!(bare.requests("PUBLISH").len(), 3);
    assert_eq!(bare.saw("Failed(Interval)"), 1);
    bare.run(HOUR);
    assert_eq!(bare.requests("PUBLISH").len(), 3);
}

// Other refusals.

/// RFC 3261 §21.5.4.
#[test]
fn a_503_is_tried_again_and_not_before_retry_after() {
    for (retry_after, least) in [
        (None, 30),
        (Some("5"), 30),
        (Some("120"), 120),
        (Some("3600 (backup);duration=60"), 3_600),
    ] {
        let mut world = world(13, Transport::Tcp);
        let answer = Answer::new(503);
        let answer = match retry_after {
            Some(seconds) => answer.header("Retry-After", seconds),
            None => answer,
        };
        let rule = Rule::on("PUBLISH").then(Then::Answer(answer));
        world.server().script(rule);
        let id = publish(&mut world, BARRED);
        world.run(2 * HOUR);
        let all = publishes(&world);
        let wait = all[1].0 - all[0].0;
        assert!(wait >= least * SECOND, "{retry_after:?}: {wait} ms");
        assert!(wait <= (least + 31) * SECOND, "{retry_after:?}: {wait} ms");
        let [SettingsChange::Retrying { retry_at, .. }, ..] = changes(&world)[..] else {
            panic!("{:?}", changes(&world))
        };
        assert_eq!(retry_at.as_millis(), all[1].0, "as it was told");
        assert_eq!(ends(&world, id), [in_effect(BARRED, 3_600)]);
    }
}

#[test]
fn what_is_refused_for_good_is_not_tried_again() {
    for code in [400, 403, 404, 405, 415, 420, 481, 489, 501, 513, 603] {
        let mut world = world(14, Transport::Tcp);
        published(&mut world, PLAIN);
        let rule = Rule::on("PUBLISH").then(Then::Answer(Answer::new(code)));
        world.server().script(rule);
        let id = publish(&mut world, BARRED);
        world.run(40 * MINUTE);
        let failed = SettingsOutcome::Failed(status(code));
        assert_eq!(ends(&world, id), [failed]);
        assert_eq!(kinds(&world), ["initial", "modify"], "{code}");
        assert_eq!(changes(&world), []);
        // What was in effect stays so.
        world.run(HOUR);
        assert_eq!(held(&world), Some(PLAIN.into()), "{code}");
        assert_eq!(world.phones[ALICE].client.settings(), Some(PLAIN));
    }
}

#[test]
fn a_refresh_that_is_refused_for_good_is_given_up_and_runs_out() {
    let mut world = world(15, Transport::Tcp);
    published(&mut world, BARRED);
    let rule = Rule::on("PUBLISH").then(Then::Answer(Answer::new(403)));
    world.server().script(rule);
    world.run(55 * MINUTE);
    assert_eq!(changes(&world), [SettingsChange::GivenUp(status(403))]);
    assert_eq!(world.phones[ALICE].client.settings(), Some(BARRED));
    world.run(6 * MINUTE);
    assert_eq!(
        changes(&world),
        [SettingsChange::GivenUp(status(403)), SettingsChange::Lost]
    );
    assert_eq!(world.phones[ALICE].client.settings(), None);
    assert_eq!(held(&world), None);
    world.run(5 * HOUR);
    assert_eq!(kinds(&world), ["initial", "refresh"]);
    // The next command starts anew.
    published(&mut world, PLAIN);
    assert_eq!(kinds(&world), ["initial", "refresh", "initial"]);
}

/// The Accept header of a 415 names nothing that we have (RFC 3903 §6).
#[test]
fn a_warning_and_a_retry_after_reach_the_application() {
    let mut world = world(16, Transport::Tcp);
    let answer = Answer::new(403)
        .header("Warning", r#"399 example.com "122 Function not allowed""#)
        .header("Retry-After", "60");
    refuse(&mut world, answer);
    let id = publish(&mut world, BARRED);
    world.run(2 * SECOND);
    let failure = Failure::Status {
        status: 403,
        warning: Some(122),
        retry_after: Some(60),
    };
    assert_eq!(ends(&world, id), [SettingsOutcome::Failed(failure)]);
}

// Nobody answers.

/// RFC 3903 §4.2: the entity-tag stays while it may be valid.
#[test]
fn a_refresh_that_nobody_answers_is_repeated_with_the_same_tag() {
    let mut world = world(17, Transport::Udp);
    published(&mut world, BARRED);
    let known = tag(&world);
    let rule = Rule::on("PUBLISH").then(Then::Silence);
    world.server().script(rule);
    world.run(HOUR);
    let all = publishes(&world);
    assert_eq!(kinds(&world), ["initial", "refresh", "refresh"]);
    assert_eq!(if_match(&all[1].1), Some(known.as_str()));
    assert_eq!(if_match(&all[2].1), Some(known.as_str()));
    let wait = all[2].0 - all[1].0;
    // Timer F, then 30 to 60 s.
    assert!((62 * SECOND..=92 * SECOND).contains(&wait), "{wait} ms");
    let [
        SettingsChange::Retrying { failure, .. },
        SettingsChange::InEffect { .. },
    ] = changes(&world)[..]
    else {
        panic!("{:?}", changes(&world))
    };
    assert_eq!(failure, Failure::Timeout);
    assert_eq!(held(&world), Some(BARRED.into()));
}

#[test]
fn what_runs_out_while_nobody_answers_is_lost_and_published_anew() {
    let mut world = world(18, Transport::Tcp);
    published(&mut world, BARRED);
    let rule = Rule::on("PUBLISH")
        .forever()
        .when(|sip| sip.body.is_empty());
    world.server().script(rule.then(Then::Silence));
    world.run(2 * HOUR + 20 * MINUTE);
    let lost = changes(&world)
        .iter()
        .filter(|change| **change == SettingsChange::Lost)
        .count();
    assert_eq!(lost, 2, "each hour: {:?}", changes(&world));
    let mut told = kinds(&world);
    told.dedup();
    assert_eq!(
        told,
        ["initial", "refresh", "initial", "refresh", "initial"]
    );
    assert_eq!(held(&world), Some(BARRED.into()));
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
    let registered = ladder::responses(&world, "server", 200)[0].0;
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
        local: ladder::LOCAL,
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

const ALL_POC: PocSettings = PocSettings {
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

// A client alone.

const FLOW: FlowId = FlowId(1);

fn bare(transport: Transport) -> Bare {
    Bare::registered(transport, |config| Config {
        keep_alive: KeepAlive::Off,
        nat: Nat::Leave,
        ..config
    })
}

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

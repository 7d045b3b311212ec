//! What a server refuses, forgets or does not hear: 401 and 407, 412, 423, other statuses, silence.

use oma_im::client::{SettingsChange, SettingsOutcome};
use oma_im::config::Transport;
use oma_im::error::Failure;
use oma_im::testkit::server::{Answer, Challenge, ChallengeHeader, Rule, Then};
use oma_im::testkit::world::{DOMAIN, World};

use crate::ladder::{HOUR, MINUTE, SECOND, branch, cseq, digest, header};
use crate::{
    ALICE, BARRED, FLOW, PLAIN, bare, changes, ends, held, if_match, in_effect, kind, kinds,
    publish, published, publishes, refuse, remove, status, tag, world, world_of,
};

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

//! RFC 3903: when a PUBLISH goes out and what becomes of its answer, as ladders and cell by cell.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "common/play.rs"]
mod play;

use oma_im::sip::publication::{
    Command, Failure, Goal, Grant, Operation, Outcome, Publication, PublicationAction,
    PublicationConfig, PublicationEvent, RefreshForm, State, Step, Tagging,
};
use oma_im::sip::registration::RefreshRule;
use oma_im::testkit::rng::Rng;
use oma_im::time::Instant;
use oma_im::wire::header::SipEtag;
use oma_im::wire::message::Message;
use oma_im::wire::name::Status;
use play::{Play, ladder, seconds};

/// A publication and its clock, in milliseconds. Waits are as short as the RFC lets them be, and
/// each 2xx brings another entity-tag.
#[derive(Clone)]
struct Scene {
    machine: Publication<char>,
    config: PublicationConfig,
    random: u32,
    now: u64,
    tags: u32,
}

impl Scene {
    fn new(config: PublicationConfig) -> Self {
        Self {
            machine: Publication::new(&config),
            config,
            random: 0,
            now: 0,
            tags: 0,
        }
    }

    fn give(&mut self, input: &str) -> Step<char> {
        let now = Instant::from_millis(self.now);
        let (random, config) = (self.random, self.config);
        let (word, rest) = input.split_once(' ').unwrap_or((input, ""));
        let number = || rest.parse::<u32>().ok();
        let machine = &mut self.machine;
        match word {
            "publish" => machine.publish(&config, rest.parse().unwrap()),
            "remove" => machine.remove(&config, rest.parse().unwrap()),
            "ok" => {
                self.tags += 1;
                let tag = format!("tag{}", self.tags);
                let grant = Grant {
                    expires: number(),
                    entity_tag: Some(SipEtag::parse(tag.as_bytes()).unwrap()),
                };
                machine.ok(now, &config, grant, random)
            }
            "untagged" => {
                let grant = Grant {
                    expires: number(),
                    entity_tag: None,
                };
                machine.ok(now, &config, grant, random)
            }
            "412" => machine.condition_failed(now, &config, random),
            "423" => machine.interval_too_brief(&config, number()),
            "clock" => machine.timeout(now, &config),
            "offline" => machine.offline(),
            "online" => machine.online(now, &config),
            "silence" => machine.failed(now, &config, Failure::Timeout, random),
            "broken" => machine.failed(now, &config, Failure::TransportFailed, random),
            code => {
                let failure = Failure::Status {
                    status: Status::new(code.parse().unwrap()).unwrap(),
                    retry_after: number(),
                };
                machine.failed(now, &config, failure, random)
            }
        }
    }

    fn say(&self, step: Step<char>) -> String {
        let mut words = vec![];
        for ended in step.ended.into_iter().flatten() {
            let outcome = match ended.outcome {
                Outcome::Published { .. } => "published".to_owned(),
                Outcome::Removed => "removed".to_owned(),
                Outcome::RunsOut { at } => format!("runs out at {}", seconds(at)),
                Outcome::Superseded => "superseded".to_owned(),
                Outcome::Withdrawn => "withdrawn".to_owned(),
                Outcome::Failed {
                    reason,
                    in_effect_until,
                } => format!("failed {reason:?}{}", until(in_effect_until)),
            };
            words.push(format!("{} {outcome}", ended.command));
        }
        words.extend(step.event.map(|event| match event {
            PublicationEvent::InEffect { until, tag } => {
                let tag = match tag {
                    Tagging::Kept => "",
                    Tagging::Missing => ", no tag",
                    Tagging::TooLong => ", tag too long",
                };
                format!("in effect until {}{tag}", seconds(until))
            }
            PublicationEvent::Lost => "lost".to_owned(),
            PublicationEvent::Retrying {
                reason,
                at,
                in_effect_until,
            } => format!(
                "{reason:?}, again at {}{}",
                seconds(at),
                until(in_effect_until)
            ),
            PublicationEvent::GivenUp {
                reason,
                in_effect_until,
            } => format!("given up: {reason:?}{}", until(in_effect_until)),
        }));
        if let PublicationAction::Send { operation, expires } = step.action {
            let document = match operation {
                Operation::Initial(document) | Operation::Modify(document) => {
                    format!(" {document}")
                }
                Operation::Refresh | Operation::Remove => String::new(),
            };
            // RFC 3903 Table 1: SIP-If-Match is what makes it no initial publication.
            let tag = match operation {
                Operation::Initial(_) => {
                    assert_eq!(self.machine.entity_tag(), None);
                    String::new()
                }
                Operation::Refresh | Operation::Modify(_) | Operation::Remove => {
                    let tag = self.machine.entity_tag().unwrap();
                    format!(" if {}", std::str::from_utf8(tag.as_bytes()).unwrap())
                }
            };
            words.push(format!("PUBLISH {expires}{document}{tag}"));
        }
        if words.is_empty() {
            "-".to_owned()
        } else {
            words.join("; ")
        }
    }
}

impl Play for Scene {
    fn outcome(&mut self, millis: u64, input: &str) -> String {
        self.now = millis;
        let step = self.give(input);
        self.say(step)
    }

    fn state(&self) -> String {
        name(&self.machine)
    }
}

fn until(instant: Option<Instant>) -> String {
    instant.map_or(String::new(), |end| {
        format!(", in effect until {}", seconds(end))
    })
}

fn scene() -> Scene {
    Scene::new(PublicationConfig::DEFAULT)
}

/// RFC 3903 Table 1 and §8.2: the four kinds, each with the entity-tag of the last answer.
#[test]
fn a_day_in_the_life() {
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        1 ok 3600: a published; in effect until 3601
        2850 clock: -
        2851 clock: PUBLISH 600000 if tag1
        2852 clock: -
        2853 ok 3600: in effect until 6453
        3000 publish b: PUBLISH 600000 b if tag2
        3001 ok 3600: b published; in effect until 6601
        4000 remove c: PUBLISH 0 if tag3
        4001 ok 0: c removed
        99999 clock: -
        ",
    );
}

/// 3GPP TS 24.229 §5.1.1.4.1 and the percentage: from when on, until when, and with what slack.
#[test]
fn the_window_of_a_refresh() {
    for (refresh, granted, from, at, slack) in [
        (RefreshRule::Ims, 600_000, 599_250_000, 599_400_000, 60_000),
        (RefreshRule::Ims, 3_600, 2_850_000, 3_000_000, 60_000),
        (RefreshRule::Ims, 1_200, 450_000, 600_000, 60_000),
        (RefreshRule::Ims, 60, 22_500, 30_000, 3_000),
        (RefreshRule::Percent(90), 100, 87_500, 90_000, 1_000),
        (RefreshRule::Percent(10), 100, 7_500, 10_000, 9_000),
        // Not more often than each five seconds, whatever is granted.
        (RefreshRule::Ims, 8, 5_000, 5_000, 300),
    ] {
        let config = PublicationConfig {
            refresh,
            ..PublicationConfig::DEFAULT
        };
        let mut scene = Scene::new(config);
        let _ = scene.play(&format!("0 publish a\n0 ok {granted}"));
        let machine = &scene.machine;
        assert_eq!(machine.deadline(), Some(Instant::from_millis(at)));
        assert_eq!(machine.slack(), slack, "{refresh:?} {granted}");
        scene.now = from - 1;
        assert_eq!(scene.give("clock"), Step::NOTHING, "{refresh:?} {granted}");
        scene.now = from;
        let step = scene.give("clock");
        assert_ne!(step, Step::NOTHING, "{refresh:?} {granted}");
    }
}

/// One at a time; what comes meanwhile coalesces, and each command ends once.
#[test]
fn later_commands_coalesce_into_the_next_request() {
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        1 publish b: -
        2 publish c: b superseded
        3 ok 3600: a published; in effect until 3603; PUBLISH 600000 c if tag1
        4 publish d: -
        5 remove e: d superseded
        6 ok 3600: c published; in effect until 3606; PUBLISH 0 if tag2
        7 remove f: -
        8 publish g: f superseded
        9 ok 0: e removed; PUBLISH 600000 g
        10 remove h: -
        11 503: g superseded; h removed
        12 remove i: i removed
        20 publish j: PUBLISH 600000 j
        20 ok 3600: j published; in effect until 3620
        21 remove k: PUBLISH 0 if tag4
        22 remove l: -
        23 ok 0: k removed; l removed
        ",
    );
    // A refusal of the one says nothing about the other.
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        1 publish b: -
        2 415: a failed Status(Status(415)); PUBLISH 600000 b
        3 publish c: -
        4 423 700000: b superseded; PUBLISH 700000 c
        5 publish d: -
        6 423 5: c failed IntervalTooBrief { min_expires: Some(5) }; PUBLISH 700000 d
        7 ok 100: d published; in effect until 107
        57 clock: PUBLISH 700000 if tag1
        58 publish e: -
        59 412: lost; PUBLISH 700000 e
        60 publish f: -
        61 500: e superseded; Status(Status(500)), again at 91
        62 publish g: f superseded
        91 clock: PUBLISH 700000 g
        ",
    );
}

/// RFC 3903 §5: forgotten, published anew at once; but not again before it was refreshed.
#[test]
fn a_server_that_forgets() {
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        0 ok 100: a published; in effect until 100
        50 clock: PUBLISH 600000 if tag1
        51 412: lost; PUBLISH 600000 a
        52 ok 100: in effect until 152
        102 clock: PUBLISH 600000 if tag2
        103 412: ConditionFailed, again at 133
        133 clock: PUBLISH 600000 a
        134 ok 100: in effect until 234
        184 clock: PUBLISH 600000 if tag3
        185 412: ConditionFailed, again at 245
        245 clock: PUBLISH 600000 a
        246 ok 100: in effect until 346
        296 clock: PUBLISH 600000 if tag4
        297 ok 100: in effect until 397
        347 clock: PUBLISH 600000 if tag5
        348 412: lost; PUBLISH 600000 a
        349 412: ConditionFailed, again at 379
        379 clock: PUBLISH 600000 a
        380 ok 100: in effect until 480
        390 publish b: PUBLISH 600000 b if tag6
        391 412: ConditionFailed, again at 451
        400 publish c: b superseded
        451 clock: PUBLISH 600000 c
        452 ok 100: c published; in effect until 552
        460 publish d: PUBLISH 600000 d if tag7
        461 ok 100: d published; in effect until 561
        462 publish e: PUBLISH 600000 e if tag8
        463 412: lost; PUBLISH 600000 e
        464 ok 100: e published; in effect until 564
        465 remove f: PUBLISH 0 if tag9
        466 412: f removed
        ",
    );
}

/// RFC 3903 §5: 423 may be followed; servers that play with it are not.
#[test]
fn interval_too_brief() {
    for (answers, last) in [
        (
            "0 423 700000: PUBLISH 700000 a\n0 ok 700000: a published; in effect until 700000",
            "",
        ),
        (
            "0 423 2592000: PUBLISH 2592000 a\n0 ok 2592000: a published; in effect until 2592000",
            "",
        ),
        ("", "0 423 600000"),
        ("", "0 423 0"),
        ("", "0 423"),
        ("", "0 423 2592001"),
        ("", "0 423 4294967295"),
        (
            "0 423 600001: PUBLISH 600001 a\n0 423 600002: PUBLISH 600002 a",
            "0 423 600003",
        ),
    ] {
        let mut scene = scene();
        ladder(
            &mut scene,
            &format!("0 publish a: PUBLISH 600000 a\n{answers}"),
        );
        if !last.is_empty() {
            let line = scene.play(last).remove(0);
            assert!(line.contains(": a failed IntervalTooBrief"), "{line}");
            assert_eq!(*scene.machine.state(), State::Unpublished);
        }
    }
    // A refresh: what is published runs out. It is asked for as long from then on.
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        0 ok 100: a published; in effect until 100
        50 clock: PUBLISH 600000 if tag1
        50 423 700000: PUBLISH 700000 if tag1
        50 423: given up: IntervalTooBrief { min_expires: None }, in effect until 100
        60 publish b: PUBLISH 700000 b if tag1
        61 423 700001: PUBLISH 700001 b if tag1
        62 ok 100: b published; in effect until 162
        63 remove c: PUBLISH 0 if tag2
        64 423 800000: c failed IntervalTooBrief { min_expires: Some(800000) }, in effect until 162
        162 clock: lost
        162 clock: -
        ",
    );
}

/// Which refusals are for good (issue: 403, 404, 415, 489 and all that no wait makes better).
#[test]
fn outlooks() {
    let temporary = [408, 430, 480];
    let with_retry_after = [404, 413, 486, 600, 603];
    for code in (300..700).filter(|code| ![412, 423].contains(code)) {
        for retry_after in ["", " 1000"] {
            let mut scene = scene();
            let line = scene
                .play(&format!("0 publish a\n0 {code}{retry_after}"))
                .remove(1);
            let again = temporary.contains(&code)
                || (code / 100 == 5 && ![501, 505, 513].contains(&code))
                || (with_retry_after.contains(&code) && !retry_after.is_empty());
            let status = format!("{code}{retry_after}: ");
            let expected = match (again, retry_after) {
                (false, _) => format!("0 {status}a failed Status(Status({code}))"),
                (true, "") => format!("0 {status}Status(Status({code})), again at 30"),
                (true, _) => format!("0 {status}Status(Status({code})), again at 1000"),
            };
            assert_eq!(line, expected);
        }
    }
}

/// RFC 3903 §4.2: the entity-tag is tried as long as it may be valid, and no longer.
#[test]
fn failures_keep_the_tag_until_the_end() {
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        0 ok 1300: a published; in effect until 1300
        550 clock: PUBLISH 600000 if tag1
        582 silence: Timeout, again at 612, in effect until 1300
        611 clock: -
        612 clock: PUBLISH 600000 if tag1
        613 503 600: Status(Status(503)), again at 1213, in effect until 1300
        700 publish b: -
        1213 clock: PUBLISH 600000 b if tag1
        1214 broken: TransportFailed, again at 1334, in effect until 1300
        1299 clock: -
        1300 clock: lost
        1300 clock: -
        1334 clock: PUBLISH 600000 b
        1335 ok 1300: b published; in effect until 2635
        ",
    );
    // It ends while the answer is awaited.
    let start = "
        0 publish a: PUBLISH 600000 a
        0 ok 20: a published; in effect until 20
        10 clock: PUBLISH 600000 if tag1
        20 clock: lost
        20 clock: -
    ";
    for end in [
        "21 ok 20: in effect until 41",
        "21 412: PUBLISH 600000 a",
        "21 423 700000: PUBLISH 700000 a",
        "21 500: Status(Status(500)), again at 51\n51 clock: PUBLISH 600000 a",
        "21 403: given up: Status(Status(403))\n99 clock: -",
    ] {
        ladder(&mut scene(), &format!("{start}{end}"));
    }
}

/// What was in effect stays so when a modification is refused.
#[test]
fn a_refused_modification_leaves_the_document_before_it() {
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        0 ok 100: a published; in effect until 100
        9 publish b: PUBLISH 600000 b if tag1
        10 403: b failed Status(Status(403)), in effect until 100
        37 clock: -
        38 clock: PUBLISH 600000 if tag1
        39 412: lost; PUBLISH 600000 a
        40 404: given up: Status(Status(404))
        99 clock: -
        ",
    );
    // A removal is not taken back: what cannot be removed is not refreshed either.
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        0 ok 100: a published; in effect until 100
        9 remove b: PUBLISH 0 if tag1
        10 500: Status(Status(500)), again at 40, in effect until 100
        40 clock: PUBLISH 0 if tag1
        41 403: b failed Status(Status(403)), in effect until 100
        50 clock: -
        100 clock: lost
        ",
    );
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        0 ok 100: a published; in effect until 100
        9 remove b: PUBLISH 0 if tag1
        10 503 95: Status(Status(503)), again at 105, in effect until 100
        100 clock: b removed; lost
        105 clock: -
        ",
    );
}

/// RFC 3903 §6 demands an Expires and an entity-tag; neither is trusted further than it goes.
#[test]
fn answers_that_lack_something() {
    // No Expires: as long as was asked for. More than was asked for is not believed.
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        0 ok: a published; in effect until 600000
        9 publish b: PUBLISH 600000 b if tag1
        9 ok 4294967295: b published; in effect until 600009
        10 publish c: PUBLISH 600000 c if tag2
        10 ok 0: NotGranted, again at 40
        40 clock: PUBLISH 600000 c
        ",
    );
    // No entity-tag: published anew before the end, and there is nothing to remove it by.
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        0 untagged 100: a published; in effect until 100, no tag
        38 clock: PUBLISH 600000 a
        39 untagged 100: in effect until 139, no tag
        50 publish b: PUBLISH 600000 b
        51 500: Status(Status(500)), again at 81, in effect until 139
        60 remove c: b superseded; c runs out at 139
        61 remove d: d runs out at 139
        139 clock: lost
        139 remove e: e removed
        ",
    );
    ladder(
        &mut scene(),
        "
        0 publish a: PUBLISH 600000 a
        0 untagged 100: a published; in effect until 100, no tag
        1 offline: -
        2 publish b: -
        3 remove c: b superseded; c runs out at 100
        4 online: -
        100 clock: lost
        ",
    );
}

#[test]
fn the_entity_tag_is_bounded() {
    for (len, tag) in [
        (1, Tagging::Kept),
        (64, Tagging::Kept),
        (65, Tagging::TooLong),
        (4096, Tagging::TooLong),
    ] {
        let mut scene = scene();
        let _ = scene.play("0 publish a\n0 ok 100\n1 publish b");
        let long = "x".repeat(len);
        let grant = Grant {
            expires: Some(100),
            entity_tag: SipEtag::parse(long.as_bytes()).ok(),
        };
        let step = scene
            .machine
            .ok(Instant::from_millis(1000), &scene.config, grant, 0);
        let until = Instant::from_millis(101_000);
        let told = PublicationEvent::InEffect { until, tag };
        assert_eq!(step.event, Some(told), "{len}");
        let kept = scene.machine.entity_tag();
        // RFC 3903 §8.2: it replaces the one before in any case.
        let expected = (tag == Tagging::Kept).then_some(long.as_bytes());
        assert_eq!(kept.as_ref().map(|tag| tag.as_bytes()), expected, "{len}");
    }
}

/// RFC 3903 §11.3.1: `entity-tag = token`; another tag is none, and so is another Expires.
#[test]
fn what_a_200_says() {
    for (lines, expires, tag) in [
        (
            "Expires: 1800\r\nSIP-ETag: dx200xyz\r\n",
            Some(1800),
            Some("dx200xyz"),
        ),
        ("SIP-ETag:  a.b!%*_+`'~-9 \r\n", None, Some("a.b!%*_+`'~-9")),
        (
            "Expires: 4294967296\r\nSIP-ETag: \"dx200xyz\"\r\n",
            None,
            None,
        ),
        ("Expires: soon\r\nSIP-ETag: a, b\r\n", None, None),
        ("SIP-ETag:\r\n", None, None),
    ] {
        let bytes = format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
        let grant = Grant::read(&Message::parse(bytes.as_bytes()).unwrap());
        assert_eq!(grant.expires, expires, "{lines}");
        let bytes = grant.entity_tag.map(SipEtag::as_bytes);
        assert_eq!(bytes, tag.map(str::as_bytes), "{lines}");
    }
}

/// RFC 3903 §4.3 forbids a body; some servers insist on one.
#[test]
fn a_server_that_insists_on_the_document() {
    let config = PublicationConfig {
        form: RefreshForm::Document,
        ..PublicationConfig::DEFAULT
    };
    ladder(
        &mut Scene::new(config),
        "
        0 publish a: PUBLISH 600000 a
        0 ok 100: a published; in effect until 100
        38 clock: PUBLISH 600000 a if tag1
        39 ok 100: in effect until 139
        ",
    );
}

/// De-registration leaves the publication as it is, and so does its absence.
#[test]
fn away_and_back() {
    let start = "
        0 publish a: PUBLISH 600000 a
        0 ok 3600: a published; in effect until 3600
    ";
    for rest in [
        // Back in time, and at the time of the refresh, and too late.
        "9 offline: -\n2900 clock: -\n2849 online: -\n2850 clock: PUBLISH 600000 if tag1",
        "9 offline: -\n9 offline: -\n2850 online: PUBLISH 600000 if tag1\n2850 online: -",
        "9 offline: -\n3600 clock: -\n3600 online: lost; PUBLISH 600000 a",
        // Commands end, and what was in effect stays wanted.
        "8 publish b: PUBLISH 600000 b if tag1\n9 publish c: -\n\
         9 offline: b withdrawn; c withdrawn\n10 ok 9: -\n3000 online: PUBLISH 600000 if tag1",
        "2850 clock: PUBLISH 600000 if tag1\n2851 remove c: -\n\
         2852 offline: c withdrawn\n2853 online: PUBLISH 600000 if tag1",
        // Not so what was to be removed.
        "8 remove b: PUBLISH 0 if tag1\n9 503: Status(Status(503)), again at 39, in effect until 3600\n\
         9 offline: b withdrawn\n3000 online: -\n3600 clock: lost\n3600 clock: -",
        "8 remove b: PUBLISH 0 if tag1\n9 offline: b withdrawn\n3600 online: lost\n3601 online: -",
        // Commands given meanwhile go out afterwards.
        "9 offline: -\n10 publish b: -\n11 publish c: b superseded\n\
         12 online: PUBLISH 600000 c if tag1",
        // And end where the registration that they waited for fails.
        "9 offline: -\n10 publish b: -\n11 offline: b withdrawn\n3600 online: lost; PUBLISH 600000 a",
        "9 offline: -\n10 remove b: -\n12 online: PUBLISH 0 if tag1",
        "9 offline: -\n10 remove b: -\n3600 online: b removed; lost",
    ] {
        let mut scene = scene();
        ladder(&mut scene, &format!("{start}{rest}"));
    }
    ladder(
        &mut scene(),
        "
        0 offline: -
        0 remove a: a removed
        0 publish b: -
        0 online: PUBLISH 600000 b
        1 offline: b withdrawn
        2 online: -
        ",
    );
}

/// A server that was not reached is asked as soon as there is a way; one that said when is not.
#[test]
fn what_a_new_registration_cuts_short() {
    for (failure, again) in [
        ("silence", "PUBLISH 600000 a"),
        ("broken", "PUBLISH 600000 a"),
        ("503 60", "-"),
        ("500", "-"),
    ] {
        let mut scene = scene();
        let _ = scene.play(&format!("0 publish a\n1 {failure}"));
        ladder(&mut scene, &format!("2 online: {again}"));
    }
}

/// No server makes the client send PUBLISH in a loop: a simulated day of each.
#[test]
fn hostile_servers_meet_patience() {
    for (answers, at_most) in [
        ("ok 0", 101),
        ("ok 1", 17_300),
        ("ok 9", 17_300),
        ("untagged 1", 17_300),
        ("untagged 100", 2_310),
        ("423 600001", 3),
        ("412", 101),
        ("500", 101),
        ("503 0", 101),
        ("480 1", 101),
        ("silence", 101),
        ("broken", 101),
        ("403", 1),
        // It takes everything and forgets it.
        ("ok 10, 412", 210),
    ] {
        let mut scene = scene();
        let mut answer = answers.split(", ").cycle();
        let mut requests = 0;
        let mut step = scene.give("publish a");
        'day: while scene.now < 86_400_000 {
            let mut turns = 0;
            loop {
                turns += 1;
                assert!(turns < 10, "{answers}: a loop at {}", scene.now);
                step = match step.action {
                    PublicationAction::Send { .. } => {
                        requests += 1;
                        scene.give(answer.next().unwrap())
                    }
                    PublicationAction::Nothing => scene.give("clock"),
                };
                if step == Step::NOTHING {
                    break;
                }
            }
            match scene.machine.deadline() {
                Some(due) => scene.now = due.as_millis(),
                None => break 'day,
            }
        }
        assert!(
            requests <= at_most,
            "{answers}: {requests} PUBLISHes in a day"
        );
    }
}

/// What each input does in each state, an hour later for the clock; an input that is not in the
/// list of a state does nothing there and leaves the state as it is.
const CELLS: &str = "
Unpublished
    publish y: PUBLISH 600000 y > Initial
    remove z: z removed > Unpublished
    offline: - > Away
Initial
    publish y: - > Initial then publish
    remove z: - > Initial then remove
    ok 100: a published; in effect until 140 > Published
    ok 0: NotGranted, again at 70 > Waiting to publish
    untagged 100: a published; in effect until 140, no tag > Published untagged
    412: ConditionFailed, again at 70 > Waiting to publish
    423 700000: PUBLISH 700000 a > Initial
    423: a failed IntervalTooBrief { min_expires: None } > Unpublished
    500: Status(Status(500)), again at 70 > Waiting to publish
    403: a failed Status(Status(403)) > Unpublished
    silence: Timeout, again at 70 > Waiting to publish
    broken: TransportFailed, again at 70 > Waiting to publish
    offline: a withdrawn > Away
Initial then publish
    publish y: b superseded > Initial then publish
    remove z: b superseded > Initial then remove
    ok 100: a published; in effect until 140; PUBLISH 600000 b if tag1 > Modify
    ok 0: a superseded; NotGranted, again at 70 > Waiting to publish
    untagged 100: a published; in effect until 140, no tag; PUBLISH 600000 b > Initial again
    412: a superseded; ConditionFailed, again at 70 > Waiting to publish
    423 700000: a superseded; PUBLISH 700000 b > Initial
    423: a failed IntervalTooBrief { min_expires: None }; PUBLISH 600000 b > Initial
    500: a superseded; Status(Status(500)), again at 70 > Waiting to publish
    403: a failed Status(Status(403)); PUBLISH 600000 b > Initial
    silence: a superseded; Timeout, again at 70 > Waiting to publish
    broken: a superseded; TransportFailed, again at 70 > Waiting to publish
    offline: a withdrawn; b withdrawn > Away
Initial then remove
    publish y: b superseded > Initial then publish
    remove z: b superseded > Initial then remove
    ok 100: a published; in effect until 140; PUBLISH 0 if tag1 > Remove
    ok 0: a superseded; b removed > Unpublished
    untagged 100: a published; b runs out at 140; in effect until 140, no tag > Expiring
    412: a superseded; b removed > Unpublished
    423 700000: a superseded; b removed > Unpublished
    423: a failed IntervalTooBrief { min_expires: None }; b removed > Unpublished
    500: a superseded; b removed > Unpublished
    403: a failed Status(Status(403)); b removed > Unpublished
    silence: a superseded; b removed > Unpublished
    broken: a superseded; b removed > Unpublished
    offline: a withdrawn; b withdrawn > Away
Initial again
    publish y: - > Initial then publish
    remove z: - > Initial then remove
    ok 100: in effect until 140 > Published
    ok 0: NotGranted, again at 70 > Waiting to keep
    untagged 100: in effect until 140, no tag > Published untagged
    412: ConditionFailed, again at 70, in effect until 100 > Waiting to keep what is there
    423 700000: PUBLISH 700000 a > Initial again
    423: given up: IntervalTooBrief { min_expires: None }, in effect until 100 > Expiring
    500: Status(Status(500)), again at 70, in effect until 100 > Waiting to keep what is there
    403: given up: Status(Status(403)), in effect until 100 > Expiring
    silence: Timeout, again at 70, in effect until 100 > Waiting to keep what is there
    broken: TransportFailed, again at 70, in effect until 100 > Waiting to keep what is there
    offline: - > Away with what is there
    clock: lost > Initial
Published
    publish y: PUBLISH 600000 y if tag1 > Modify
    remove z: PUBLISH 0 if tag1 > Remove
    offline: - > Away with what is there
    clock: lost; PUBLISH 600000 a > Initial
Published untagged
    publish y: PUBLISH 600000 y > Initial again
    remove z: z runs out at 100 > Expiring
    offline: - > Away with what is there
    clock: lost; PUBLISH 600000 a > Initial
Refresh
    publish y: - > Refresh then publish
    remove z: - > Refresh then remove
    ok 100: in effect until 140 > Published
    ok 0: NotGranted, again at 70 > Waiting to keep
    untagged 100: in effect until 140, no tag > Published untagged
    412: lost; PUBLISH 600000 a > Initial
    423 700000: PUBLISH 700000 if tag1 > Refresh
    423: given up: IntervalTooBrief { min_expires: None }, in effect until 100 > Expiring
    500: Status(Status(500)), again at 70, in effect until 100 > Waiting to keep what is there
    403: given up: Status(Status(403)), in effect until 100 > Expiring
    silence: Timeout, again at 70, in effect until 100 > Waiting to keep what is there
    broken: TransportFailed, again at 70, in effect until 100 > Waiting to keep what is there
    offline: - > Away with what is there
    clock: lost > Refresh of what is gone
Refresh then publish
    publish y: b superseded > Refresh then publish
    remove z: b superseded > Refresh then remove
    ok 100: in effect until 140; PUBLISH 600000 b if tag2 > Modify
    ok 0: NotGranted, again at 70 > Waiting to publish
    untagged 100: in effect until 140, no tag; PUBLISH 600000 b > Initial again
    412: lost; PUBLISH 600000 b > Initial
    423 700000: PUBLISH 700000 b if tag1 > Modify
    423: PUBLISH 600000 b if tag1 > Modify
    500: Status(Status(500)), again at 70, in effect until 100 > Waiting to modify
    403: PUBLISH 600000 b if tag1 > Modify
    silence: Timeout, again at 70, in effect until 100 > Waiting to modify
    broken: TransportFailed, again at 70, in effect until 100 > Waiting to modify
    offline: b withdrawn > Away with what is there
    clock: lost > Refresh of what is gone then publish
Refresh then remove
    publish y: b superseded > Refresh then publish
    remove z: b superseded > Refresh then remove
    ok 100: in effect until 140; PUBLISH 0 if tag2 > Remove
    ok 0: b removed > Unpublished
    untagged 100: b runs out at 140; in effect until 140, no tag > Expiring
    412: b removed; lost > Unpublished
    423 700000: PUBLISH 0 if tag1 > Remove
    423: PUBLISH 0 if tag1 > Remove
    500: Status(Status(500)), again at 70, in effect until 100 > Waiting to remove
    403: PUBLISH 0 if tag1 > Remove
    silence: Timeout, again at 70, in effect until 100 > Waiting to remove
    broken: TransportFailed, again at 70, in effect until 100 > Waiting to remove
    offline: b withdrawn > Away with what is there
    clock: lost > Refresh of what is gone then remove
Modify
    publish y: - > Modify then publish
    remove z: - > Modify then remove
    ok 100: b published; in effect until 140 > Published
    ok 0: NotGranted, again at 70 > Waiting to publish
    untagged 100: b published; in effect until 140, no tag > Published untagged
    412: lost; PUBLISH 600000 b > Initial
    423 700000: PUBLISH 700000 b if tag1 > Modify
    423: b failed IntervalTooBrief { min_expires: None }, in effect until 100 > Published
    500: Status(Status(500)), again at 70, in effect until 100 > Waiting to modify
    403: b failed Status(Status(403)), in effect until 100 > Published
    silence: Timeout, again at 70, in effect until 100 > Waiting to modify
    broken: TransportFailed, again at 70, in effect until 100 > Waiting to modify
    offline: b withdrawn > Away with what is there
    clock: lost > Modify what is gone
Remove
    publish y: - > Remove then publish
    remove z: - > Remove then remove
    ok 100: b removed > Unpublished
    ok 0: b removed > Unpublished
    untagged 100: b removed > Unpublished
    412: b removed > Unpublished
    423 700000: b failed IntervalTooBrief { min_expires: Some(700000) }, in effect until 100 > Expiring
    423: b failed IntervalTooBrief { min_expires: None }, in effect until 100 > Expiring
    500: Status(Status(500)), again at 70, in effect until 100 > Waiting to remove
    403: b failed Status(Status(403)), in effect until 100 > Expiring
    silence: Timeout, again at 70, in effect until 100 > Waiting to remove
    broken: TransportFailed, again at 70, in effect until 100 > Waiting to remove
    offline: b withdrawn > Away letting go
    clock: lost > Remove what is gone
Remove then publish
    publish y: c superseded > Remove then publish
    remove z: c superseded > Remove then remove
    ok 100: b removed; PUBLISH 600000 c > Initial
    ok 0: b removed; PUBLISH 600000 c > Initial
    untagged 100: b removed; PUBLISH 600000 c > Initial
    412: b removed; PUBLISH 600000 c > Initial
    423 700000: b failed IntervalTooBrief { min_expires: Some(700000) }, in effect until 100; PUBLISH 600000 c if tag1 > Modify
    423: b failed IntervalTooBrief { min_expires: None }, in effect until 100; PUBLISH 600000 c if tag1 > Modify
    500: b superseded; Status(Status(500)), again at 70, in effect until 100 > Waiting to modify
    403: b failed Status(Status(403)), in effect until 100; PUBLISH 600000 c if tag1 > Modify
    silence: b superseded; Timeout, again at 70, in effect until 100 > Waiting to modify
    broken: b superseded; TransportFailed, again at 70, in effect until 100 > Waiting to modify
    offline: b withdrawn; c withdrawn > Away letting go
    clock: lost > Remove what is gone then publish
Expiring
    publish y: PUBLISH 600000 y if tag1 > Modify
    remove z: PUBLISH 0 if tag1 > Remove
    offline: - > Away letting go
    clock: lost > Unpublished
Waiting to publish
    publish y: a superseded > Waiting to publish
    remove z: a superseded; z removed > Unpublished
    offline: a withdrawn > Away
    clock: PUBLISH 600000 a > Initial
Waiting to keep
    publish y: - > Waiting to publish
    remove z: z removed > Unpublished
    offline: - > Away wanting
    clock: PUBLISH 600000 a > Initial
Waiting to keep what is there
    publish y: - > Waiting to modify
    remove z: - > Waiting to remove
    offline: - > Away with what is there
    online: PUBLISH 600000 if tag1 > Refresh
    clock: lost > Waiting to keep
Waiting to modify
    publish y: b superseded > Waiting to modify
    remove z: b superseded > Waiting to remove
    offline: b withdrawn > Away with what is there
    clock: lost > Waiting to publish
Waiting to remove
    publish y: b superseded > Waiting to modify
    remove z: b superseded > Waiting to remove
    offline: b withdrawn > Away letting go
    clock: b removed; lost > Unpublished
Away
    publish y: - > Away wanting
    remove z: z removed > Away
    online: - > Unpublished
Away wanting
    publish y: a superseded > Away wanting
    remove z: a superseded; z removed > Away
    offline: a withdrawn > Away
    online: PUBLISH 600000 a > Initial
Away with what is there
    publish y: - > Away with what is there
    remove z: - > Away with what is there
    online: PUBLISH 600000 if tag1 > Refresh
Away letting go
    publish y: - > Away with what is there
    remove z: - > Away with what is there
    online: - > Expiring
";

/// The way to each state.
const WAYS: [(&str, &str); 24] = [
    ("Unpublished", ""),
    ("Initial", "0 publish a"),
    ("Initial then publish", "0 publish a\n0 publish b"),
    ("Initial then remove", "0 publish a\n0 remove b"),
    ("Initial again", "0 publish a\n0 untagged 100\n39 clock"),
    ("Published", "0 publish a\n0 ok 100"),
    ("Published untagged", "0 publish a\n0 untagged 100"),
    ("Refresh", "0 publish a\n0 ok 100\n38 clock"),
    (
        "Refresh then publish",
        "0 publish a\n0 ok 100\n38 clock\n38 publish b",
    ),
    (
        "Refresh then remove",
        "0 publish a\n0 ok 100\n38 clock\n38 remove b",
    ),
    ("Modify", "0 publish a\n0 ok 100\n1 publish b"),
    ("Remove", "0 publish a\n0 ok 100\n1 remove b"),
    (
        "Remove then publish",
        "0 publish a\n0 ok 100\n1 remove b\n1 publish c",
    ),
    ("Expiring", "0 publish a\n0 ok 100\n38 clock\n38 403"),
    ("Waiting to publish", "0 publish a\n0 503 60"),
    (
        "Waiting to keep",
        "0 publish a\n0 ok 100\n38 clock\n38 ok 0",
    ),
    (
        "Waiting to keep what is there",
        "0 publish a\n0 ok 100\n38 clock\n38 silence",
    ),
    (
        "Waiting to modify",
        "0 publish a\n0 ok 100\n1 publish b\n1 503 60",
    ),
    (
        "Waiting to remove",
        "0 publish a\n0 ok 100\n1 remove b\n1 503 60",
    ),
    ("Away", "0 offline"),
    ("Away wanting", "0 offline\n0 publish a"),
    (
        "Away with what is there",
        "0 publish a\n0 ok 100\n0 offline",
    ),
    (
        "Away letting go",
        "0 publish a\n0 ok 100\n0 remove b\n0 offline",
    ),
    (
        "Remove",
        "0 publish a\n0 ok 100\n38 clock\n38 remove b\n38 423",
    ),
];

const INPUTS: [&str; 14] = [
    "publish y",
    "remove z",
    "ok 100",
    "ok 0",
    "untagged 100",
    "412",
    "423 700000",
    "423",
    "500",
    "403",
    "silence",
    "broken",
    "offline",
    "online",
];

fn name(machine: &Publication<char>) -> String {
    let tagged = machine.entity_tag().is_some();
    match *machine.state() {
        State::Unpublished => "Unpublished".to_owned(),
        State::Published(_) if tagged => "Published".to_owned(),
        State::Published(_) => "Published untagged".to_owned(),
        State::Expiring(_) => "Expiring".to_owned(),
        State::Requesting(request) => {
            use oma_im::sip::publication::Condition;
            let gone = request.condition == Condition::IfMatch && request.held.is_none();
            let base = match (request.goal, request.condition) {
                (_, Condition::None) if request.held.is_some() && request.next.is_none() => {
                    "Initial again"
                }
                (_, Condition::None) => "Initial",
                (Goal::Keep(_), Condition::IfMatch) if gone => "Refresh of what is gone",
                (Goal::Keep(_), Condition::IfMatch) => "Refresh",
                (Goal::Command(Command::Publish(_)), _) if gone => "Modify what is gone",
                (Goal::Command(Command::Publish(_)), _) => "Modify",
                (Goal::Command(Command::Remove(_)), _) if gone => "Remove what is gone",
                (Goal::Command(Command::Remove(_)), _) => "Remove",
            };
            let next = match request.next {
                None => "",
                Some(Command::Publish(_)) => " then publish",
                Some(Command::Remove(_)) => " then remove",
            };
            format!("{base}{next}")
        }
        State::Waiting { goal, held, .. } => match (goal, held) {
            (Goal::Keep(_), None) => "Waiting to keep",
            (Goal::Keep(_), Some(_)) => "Waiting to keep what is there",
            (Goal::Command(Command::Publish(_)), None) => "Waiting to publish",
            (Goal::Command(Command::Publish(_)), Some(_)) => "Waiting to modify",
            (Goal::Command(Command::Remove(_)), _) => "Waiting to remove",
        }
        .to_owned(),
        State::Away { goal, held } => match (goal, held) {
            (None, None) => "Away",
            (Some(_), None) => "Away wanting",
            (Some(_), Some(_)) => "Away with what is there",
            (None, Some(_)) => "Away letting go",
        }
        .to_owned(),
    }
}

#[test]
fn every_cell() {
    play::every_cell(scene, &WAYS, &[&INPUTS[..], &["clock"]].concat(), CELLS);
}

/// Any inputs in any order: each command ends once, no deadline stays in the past, and with a
/// server that works again everything ends within a day.
#[test]
fn whatever_happens() {
    for seed in 1..=2_000_u64 {
        let mut dice = Rng::new(seed);
        let mut scene = scene();
        let mut open: Vec<char> = vec![];
        let mut names = ('\u{100}'..).filter(|name| !name.is_whitespace());
        let mut requesting = false;
        let settle = |step: Step<char>, open: &mut Vec<char>, what: &str| {
            for ended in step.ended.into_iter().flatten() {
                let at = open.iter().position(|name| *name == ended.command);
                open.remove(at.unwrap_or_else(|| panic!("seed {seed}: {what} ended twice")));
            }
            step.action
        };
        for turn in 0..200 {
            let last = turn >= 150;
            let inputs = ["ok 100", "ok 3600", "untagged 100", "412", "423 700000"];
            let more = ["423", "500", "503 9", "403", "silence", "broken"];
            let choice = dice.next_u64() as usize;
            let input = if requesting && (last || choice.is_multiple_of(2)) {
                let all: Vec<&str> = inputs.into_iter().chain(more).collect();
                if last {
                    "ok 3600"
                } else {
                    all[choice / 2 % all.len()]
                }
            } else if !last && choice.is_multiple_of(3) {
                ["publish", "remove", "publish"][choice / 3 % 3]
            } else if !last && choice.is_multiple_of(7) {
                ["offline", "online"][choice / 7 % 2]
            } else if last && turn == 150 {
                "online"
            } else {
                scene.now += choice as u64 % 60_000;
                if last {
                    scene.now = scene
                        .machine
                        .deadline()
                        .map_or(scene.now, Instant::as_millis);
                }
                "clock"
            };
            let input = if ["publish", "remove"].contains(&input) {
                let name = names.next().unwrap();
                open.push(name);
                format!("{input} {name}")
            } else {
                input.to_owned()
            };
            loop {
                let step = scene.give(&input);
                let action = settle(step, &mut open, &input);
                // RFC 3903 §4: one at a time; a second one comes only with the end of the first.
                if matches!(action, PublicationAction::Send { .. }) {
                    let sends = ["publish", "remove", "clock", "online"];
                    let began = sends.iter().any(|word| input.starts_with(word));
                    assert!(
                        !(requesting && began),
                        "seed {seed}: two at a time, {input}"
                    );
                }
                requesting = matches!(scene.machine.state(), State::Requesting(_));
                if input != "clock" || step == Step::NOTHING {
                    break;
                }
            }
            assert_eq!(scene.machine.is_busy(), !open.is_empty(), "seed {seed}");
            if input == "clock"
                && let Some(due) = scene.machine.due_from()
            {
                assert!(due.as_millis() > scene.now, "seed {seed}: overdue");
                assert!(scene.machine.deadline() >= Some(due), "seed {seed}");
            }
        }
        assert!(open.is_empty(), "seed {seed}: {open:?} never ended");
    }
}

/// What a client reserves for each publication.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_publication_is_small() {
    assert!(
        size_of::<Publication<u32>>() <= 120 + 64,
        "{}",
        size_of::<Publication<u32>>()
    );
}

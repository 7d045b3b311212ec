//! RFC 6665 §4.1: when a SUBSCRIBE goes out and what its two answers make of it, as ladders and
//! cell by cell.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "common/play.rs"]
mod play;

use oma_im::sip::dialog::Reach;
use oma_im::sip::subscription::{
    Answer, Failure, Notice, NotifyWait, Package, Phase, Plan, Retry, State, Step, Subscribed,
    Subscription, SubscriptionAction, SubscriptionConfig, SubscriptionEvent, Termination, Then,
    TimerN, Usage, Which,
};
use oma_im::sip::transaction::Timers;
use oma_im::testkit::rng::Rng;
use oma_im::time::Instant;
use oma_im::wire::header::SubscriptionState;
use oma_im::wire::name::Status;
use play::{Play, ladder, seconds};

const CONFIG: SubscriptionConfig = SubscriptionConfig::new(Package::POC_SETTINGS);

/// A subscriber and its clock, in milliseconds. Waits are as short as the RFC lets them be.
#[derive(Clone)]
struct Scene {
    machine: Usage,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        Self {
            machine: Usage::new(&CONFIG),
            now: 0,
        }
    }

    fn give(&mut self, input: &str) -> Step {
        let now = Instant::from_millis(self.now);
        let (deaf, input) = match input.strip_prefix("deaf ") {
            Some(input) => (Reach::Unreachable, input),
            None => (Reach::Reachable, input),
        };
        let (word, rest) = input.split_once(' ').unwrap_or((input, ""));
        let number = |text: &str| text.parse::<u32>().ok();
        let machine = &mut self.machine;
        let status = |code: &str| Status::new(code.parse().unwrap()).unwrap();
        let notice = match word {
            "active" => Notice::Alive {
                phase: Phase::Active,
                expires: number(rest),
            },
            "pending" => Notice::Alive {
                phase: Phase::Pending,
                expires: number(rest),
            },
            "terminated" => {
                let (reason, seconds) = rest.split_once(' ').unwrap_or((rest, ""));
                let state = format!("terminated;reason={reason}");
                let state = SubscriptionState::parse(state.as_bytes());
                Notice::Terminated {
                    reason: Termination::new(state.ok().and_then(|state| state.reason())),
                    retry_after: number(seconds),
                }
            }
            "subscribe" => return machine.subscribe(),
            "fetch" => return machine.fetch(now),
            "unsubscribe" => return machine.unsubscribe(),
            "refresh" => return machine.refresh(now),
            "online" => return machine.online(now),
            "clock" => return machine.timeout(now, &CONFIG, 0),
            "sent" => {
                machine.sent(now, &Timers::RFC3261);
                return Step::NOTHING;
            }
            "challenged" => {
                machine.challenged();
                return Step::NOTHING;
            }
            "forget" => {
                machine.forget();
                return Step::NOTHING;
            }
            "200" | "202" | "204" => {
                return machine.ok(now, &CONFIG, status(word), number(rest), deaf);
            }
            "423" => return machine.interval_too_brief(&CONFIG, number(rest)),
            "silence" => return machine.failed(now, &CONFIG, Failure::Timeout, 0),
            "broken" => return machine.failed(now, &CONFIG, Failure::TransportFailed, 0),
            code => {
                let failure = Failure::Status {
                    status: status(code),
                    retry_after: number(rest),
                };
                return machine.failed(now, &CONFIG, failure, 0);
            }
        };
        machine.notified(now, &CONFIG, notice, deaf, 0)
    }
}

impl Play for Scene {
    fn outcome(&mut self, millis: u64, input: &str) -> String {
        self.now = millis;
        let step = self.give(input);
        say(step)
    }

    fn state(&self) -> String {
        name(self.machine.state())
    }
}

fn again(retry: Retry) -> String {
    match retry {
        Retry::Never => "never".to_owned(),
        Retry::AtOnce => "at once".to_owned(),
        Retry::At(instant) => format!("at {}", seconds(instant)),
    }
}

fn say(step: Step) -> String {
    let action = match step.action {
        SubscriptionAction::Nothing => None,
        SubscriptionAction::Subscribe { dialog, expires } => Some(match dialog {
            Which::New => format!("new SUBSCRIBE {expires}"),
            Which::Current => format!("SUBSCRIBE {expires}"),
        }),
    };
    let event = step.event.map(|event| match event {
        SubscriptionEvent::Subscribed { phase, until } => {
            format!("{phase:?} until {}", seconds(until))
        }
        SubscriptionEvent::Failing {
            reason,
            retry,
            until,
        } => format!(
            "{reason:?}, again {}, until {}",
            again(retry),
            seconds(until)
        ),
        SubscriptionEvent::Ended { reason, retry } => {
            format!("ended {reason:?}, again {}", again(retry))
        }
        SubscriptionEvent::Unsubscribed => "unsubscribed".to_owned(),
        SubscriptionEvent::Fetched => "fetched".to_owned(),
    });
    let words: Vec<String> = [event, action].into_iter().flatten().collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join("; ")
    }
}

#[test]
fn a_day_in_the_life() {
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        1 200 3600: -
        1 pending 3600: Pending until 3601
        9 active 3592: Active until 3601
        2850 clock: -
        2851 clock: SUBSCRIBE 3600
        2851 sent: -
        2852 200 3600: -
        2852 active 3600: -
        2852 clock: -
        3000 unsubscribe: SUBSCRIBE 0
        3000 sent: -
        3001 200 0: -
        3001 terminated timeout: unsubscribed
        99999 clock: -
        ",
    );
}

/// §4.1.2.4: the NOTIFY may come before the 200, and the refresh's too.
#[test]
fn a_notify_may_overtake_the_200() {
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        1 active: Active until 3601
        32 clock: -
        33 200 1800: -
        1082 clock: -
        1083 clock: SUBSCRIBE 3600
        1084 sent: -
        1084 active 3600: -
        1120 clock: -
        1121 200 3600: -
        3933 clock: -
        3934 clock: SUBSCRIBE 3600
        ",
    );
    // A NOTIFY of before crosses the refresh: it says what is left of the old time.
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 3600: -
        0 active: Active until 3600
        3000 clock: SUBSCRIBE 3600
        3000 sent: -
        3001 active 599: -
        3002 200 3600: -
        3002 active 3600: -
        5851 clock: -
        5852 clock: SUBSCRIBE 3600
        ",
    );
    // Not told the time by the 200: what the NOTIFY said.
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        1 active 100: Active until 101
        2 200: -
        51 clock: SUBSCRIBE 3600
        51 sent: -
        52 200: -
        52 active 100: -
        89 clock: -
        90 clock: SUBSCRIBE 3600
        ",
    );
}

/// §4.1.3, §4.2.2: the NOTIFY has authority over the time, and cannot lengthen it.
#[test]
fn the_time_that_is_left() {
    for (script, end) in [
        ("1 200 3600\n2 active 3599", 3601),
        ("1 200 3600\n2 active 4294967295", 3601),
        ("1 200 3600\n2 active", 3601),
        ("1 200 3600\n2 active 60", 62),
        ("1 200 4294967295\n2 active", 3601),
        ("1 200\n2 active", 3601),
        ("1 200 60\n2 active 3600", 61),
        ("2 active 4294967295", 3602),
        ("1 200 3600\n2 active\n3 active 50", 53),
        ("1 200 3600\n2 active\n3 active 3599", 3601),
        ("1 active 1000\n2 200 3600", 1001),
        ("1 active\n2 200 1000", 1002),
        ("1 active 1000\n2 200", 1001),
    ] {
        let mut scene = Scene::new();
        let _ = scene.play(&format!("0 subscribe\n0 sent\n{script}"));
        let State::Subscribed(subscribed) = scene.machine.state() else {
            panic!("{script}");
        };
        assert_eq!(subscribed.lease.ends().as_millis(), end * 1000, "{script}");
    }
    // At a refresh likewise, whichever answer comes first.
    for (script, end) in [
        ("9 200 3600\n9 active 3500", 3509),
        ("9 active 3500\n9 200 3600", 3509),
        ("9 active 4294967295", 3609),
        ("9 active 4294967295\n9 200 3500", 3509),
        ("9 active\n9 200 3500", 3509),
        // What was left before crosses it, or the notifier keeps to that.
        ("9 active 3591\n9 200 3600", 3609),
        ("9 active 3591\n9 200 3600\n9 active 3600", 3609),
        ("9 active 3591\n9 200 3591\n9 active 3591", 3600),
        ("9 active 3591\n9 200", 3609),
    ] {
        let mut scene = Scene::new();
        let start = "0 subscribe\n0 sent\n0 200 3600\n0 active\n8 refresh\n8 sent";
        let _ = scene.play(&format!("{start}\n{script}"));
        let State::Subscribed(subscribed) = scene.machine.state() else {
            panic!("{script}");
        };
        assert_eq!(subscribed.lease.ends().as_millis(), end * 1000, "{script}");
    }
    // The refresh comes sooner if it has to, and stays where it is if it need not.
    for (left, refresh) in [(3500, 3000), (3398, 3000), (3200, 2602), (100, 52)] {
        let mut scene = Scene::new();
        let _ = scene.play(&format!(
            "0 subscribe\n0 sent\n0 200 3600\n0 active\n2 active {left}"
        ));
        let at = Instant::from_millis(refresh * 1000);
        assert_eq!(scene.machine.deadline(), Some(at), "{left}");
    }
}

/// §4.1.2.2, §4.1.2.4: 64·T1 from the sending, at the first SUBSCRIBE and at each later one.
#[test]
fn timer_n() {
    let subscribed = "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 3600: -
        0 active: Active until 3600
        3000 clock: SUBSCRIBE 3600
        3001 sent: -
    ";
    for ladder_of in [
        // With and without a 2xx; the last sending counts, and a challenge stops it.
        "0 subscribe: new SUBSCRIBE 3600\n5 sent: -\n6 200 3600: -\n36 clock: -\n\
         37 clock: ended NoNotify, again at 67\n67 clock: new SUBSCRIBE 3600",
        "0 subscribe: new SUBSCRIBE 3600\n5 sent: -\n6 challenged: -\n99 clock: -\n\
         100 sent: -\n131 clock: -\n132 clock: ended NoNotify, again at 162",
        // It does not run before anything was sent.
        "0 subscribe: new SUBSCRIBE 3600\n99999 clock: -",
        &format!(
            "{subscribed}3002 200 3600: -\n3032 clock: -\n3033 clock: ended NoNotify, again at 3063"
        ),
        &format!("{subscribed}3002 active: -\n3033 clock: -\n3034 200 3600: -\n3034 clock: -"),
        &format!(
            "{subscribed}3002 challenged: -\n3033 clock: -\n3100 sent: -\n3131 clock: -\n3132 clock: ended NoNotify, again at 3162"
        ),
        // A NOTIFY that crosses the challenged SUBSCRIBE is not the one of the next.
        &format!(
            "{subscribed}3002 challenged: -\n3003 active: -\n3004 sent: -\n3036 clock: ended NoNotify, again at 3066"
        ),
        // A 423 is no 2xx either.
        "0 subscribe: new SUBSCRIBE 3600\n0 sent: -\n5 423 7200: SUBSCRIBE 7200\n32 clock: -\n\
         40 sent: -\n71 clock: -\n72 clock: ended NoNotify, again at 102",
        // RFC 5839: a 204 says that there is none.
        &format!("{subscribed}3002 204 3600: -\n3033 clock: -\n6002 clock: SUBSCRIBE 3600"),
        // Timer F at the same time.
        &format!("{subscribed}3033 silence: ended Timeout, again at 3063\n3033 clock: -"),
        // Queued until the end of the subscription.
        "0 subscribe: new SUBSCRIBE 3600\n0 sent: -\n0 200 60: -\n0 active: Active until 60\n\
         30 clock: SUBSCRIBE 3600\n59 clock: -\n\
         60 clock: ended Expired, again at once; new SUBSCRIBE 3600",
    ] {
        ladder(&mut Scene::new(), ladder_of);
    }
}

/// §4.1.3: what each reason asks for. `retry-after` counts where it has a meaning.
#[test]
fn reasons_of_the_notifier() {
    for (reason, first, second) in [
        ("deactivated", "at once", "at 30"),
        ("deactivated 900", "at once", "at 30"),
        ("Deactivated", "at once", "at 30"),
        ("timeout", "at once", "at 30"),
        ("timeout 900", "at once", "at 30"),
        ("probation", "at 30", "at 30"),
        ("probation 900", "at 900", "at 900"),
        ("probation 4294967295", "at 86400", "at 86400"),
        ("giveup", "at 30", "at 30"),
        ("giveup 900", "at 900", "at 900"),
        ("rejected", "never", "never"),
        ("rejected 900", "never", "never"),
        ("noresource", "never", "never"),
        ("invariant 31536000", "never", "never"),
        ("", "at 30", "at 30"),
        ("unheard-of", "at 30", "at 30"),
        ("unheard-of 900", "at 900", "at 900"),
    ] {
        for before in ["", "0 200 3600\n", "0 active\n", "0 200 3600\n0 active\n"] {
            let mut scene = Scene::new();
            let start = format!("0 subscribe\n0 sent\n{before}");
            let _ = scene.play(&start);
            let line = scene.play(&format!("0 terminated {reason}")).remove(0);
            let words = match first {
                "at once" => "at once; new SUBSCRIBE 3600",
                other => other,
            };
            assert!(line.ends_with(&format!(", again {words}")), "{line}");
            // RFC 6665 has no such rule: but not again and again at once.
            if first == "at once" {
                let _ = scene.play("0 sent\n0 active");
                let line = scene.play(&format!("29 terminated {reason}")).remove(0);
                assert!(line.ends_with(", again at 59"), "{line} {second}");
                let _ = scene.play("59 clock\n59 sent\n59 active\n59 200 3600");
                let line = scene.play(&format!("89 terminated {reason}")).remove(0);
                assert!(line.contains(", again at once;"), "after 30 s: {line}");
            }
        }
    }
}

/// §4.1.2.2: only these codes end a subscription when a refresh is answered with them.
#[test]
fn only_these_codes_end_a_subscription() {
    let fatal = [
        404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604,
    ];
    let temporary = [408, 430, 480];
    for code in (300..700).filter(|code| *code != 423) {
        let retried =
            temporary.contains(&code) || (code / 100 == 5 && ![501, 505, 513].contains(&code));
        let mut scene = Scene::new();
        let _ = scene.play("0 subscribe\n0 sent\n0 200 3600\n0 active\n1000 refresh\n1000 sent");
        let line = scene.play(&format!("1001 {code}")).remove(0);
        let reason = format!("Status(Status({code}))");
        let expected = match (fatal.contains(&code), retried) {
            (true, _) if code == 481 => {
                format!("ended {reason}, again at once; new SUBSCRIBE 3600")
            }
            (true, true) => format!("ended {reason}, again at 1031"),
            (true, false) => format!("ended {reason}, again never"),
            (false, true) => format!("{reason}, again at 1031, until 3600"),
            (false, false) => format!("{reason}, again never, until 3600"),
        };
        assert_eq!(line, format!("1001 {code}: {expected}"));
        let ended = match scene.machine.state() {
            State::Subscribed(_) => false,
            State::Idle | State::Waiting { .. } | State::NotifyWait(_) => true,
            State::Fetching { .. } | State::Leaving { .. } => panic!("{code}"),
        };
        assert_eq!(ended, fatal.contains(&code));
    }
}

/// What fails the first SUBSCRIBE for good, and what is tried again.
#[test]
fn the_first_subscribe_is_refused() {
    for (answer, outcome) in [
        ("403", "ended Status(Status(403)), again never"),
        ("489", "ended Status(Status(489)), again never"),
        ("404 60", "ended Status(Status(404)), again at 60"),
        ("503 120", "ended Status(Status(503)), again at 120"),
        ("500", "ended Status(Status(500)), again at 30"),
        ("481", "ended Status(Status(481)), again never"),
        ("silence", "ended Timeout, again at 30"),
        ("broken", "ended TransportFailed, again at 30"),
    ] {
        let mut scene = Scene::new();
        let _ = scene.play("0 subscribe\n0 sent");
        assert_eq!(
            scene.play(&format!("0 {answer}")),
            [format!("0 {answer}: {outcome}")]
        );
    }
}

/// A failed refresh is tried again while there is something to refresh.
#[test]
fn a_failing_refresh() {
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 3600: -
        0 active: Active until 3600
        3000 clock: SUBSCRIBE 3600
        3000 sent: -
        3001 500: Status(Status(500)), again at 3031, until 3600
        3002 active 598: -
        3031 clock: SUBSCRIBE 3600
        3031 broken: TransportFailed, again at 3091, until 3600
        3032 online: SUBSCRIBE 3600
        3032 sent: -
        3033 503 500: Status(Status(503)), again at 3533, until 3600
        3034 online: -
        3533 clock: SUBSCRIBE 3600
        3533 sent: -
        3534 503 500: Status(Status(503)), again at 4034, until 3600
        3599 clock: -
        3600 clock: ended Expired, again at once; new SUBSCRIBE 3600
        3600 clock: -
        ",
    );
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 60: -
        0 active: Active until 60
        30 clock: SUBSCRIBE 3600
        30 sent: -
        31 active: -
        61 clock: -
        62 silence: ended Expired, again at once; new SUBSCRIBE 3600
        62 sent: -
        62 active 60: Active until 122
        63 200 60: -
        70 refresh: SUBSCRIBE 3600
        70 sent: -
        71 403: Status(Status(403)), again never, until 122
        72 active 50: -
        100 clock: -
        122 clock: ended Expired, again never
        ",
    );
}

/// RFC 3261 §21.4.17, and notifiers that play with it.
#[test]
fn interval_too_brief() {
    let first = "0 subscribe: new SUBSCRIBE 3600\n0 sent: -\n";
    for (answers, last) in [
        ("0 423 7200: SUBSCRIBE 7200\n0 sent: -\n0 200 7200: -", ""),
        ("", "0 423 3600"),
        ("", "0 423 0"),
        ("", "0 423"),
        ("", "0 423 2592001"),
        ("", "0 423 4294967295"),
        (
            "0 423 3601: SUBSCRIBE 3601\n0 423 3602: SUBSCRIBE 3602",
            "0 423 3603",
        ),
    ] {
        let mut scene = Scene::new();
        ladder(&mut scene, &format!("{first}{answers}"));
        if !last.is_empty() {
            let line = scene.play(last).remove(0);
            assert!(line.contains("ended IntervalTooBrief"), "{line}");
            assert!(line.ends_with("again never"), "{line}");
        }
    }
    // A refresh: the subscription goes on until its end.
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 60: -
        0 active: Active until 60
        30 clock: SUBSCRIBE 3600
        30 sent: -
        31 423 7200: SUBSCRIBE 7200
        31 sent: -
        32 423 7200: IntervalTooBrief { min_expires: Some(7200) }, again never, until 60
        60 clock: ended Expired, again never
        61 subscribe: new SUBSCRIBE 7200
        ",
    );
}

/// §4.4.3: the NOTIFY says `terminated`; some notifiers send one that does not before it.
#[test]
fn fetching() {
    for ladder_of in [
        "1 200 0: -\n2 terminated timeout: fetched\n99 clock: -",
        "1 terminated timeout: fetched\n2 200 0: -",
        "1 active 0: -\n2 terminated: fetched",
        "1 active 3600: -\n31 clock: -\n32 clock: fetched",
        "1 200 0: -\n32 clock: ended NoNotify, again never\n99 clock: -",
        "1 489: ended Status(Status(489)), again never",
        "1 503 9: ended Status(Status(503)), again never",
        "1 423 3600: ended IntervalTooBrief { min_expires: Some(3600) }, again never",
        "1 silence: ended Timeout, again never",
        "1 subscribe: -\n2 terminated timeout: fetched; new SUBSCRIBE 3600",
        "1 subscribe: -\n2 unsubscribe: -\n3 terminated timeout: fetched",
    ] {
        let start = "0 fetch: new SUBSCRIBE 0\n0 sent: -\n";
        ladder(&mut Scene::new(), &format!("{start}{ladder_of}"));
    }
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 3600: -
        0 active: Active until 3600
        9 fetch: SUBSCRIBE 3600
        ",
    );
}

/// §4.1.2.3: it ends with the last NOTIFY, whichever way things cross; or else with Timer N.
#[test]
fn unsubscribing() {
    let subscribed = "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 3600: -
        0 active: Active until 3600
    ";
    for rest in [
        "9 unsubscribe: SUBSCRIBE 0\n9 sent: -\n10 active 3590: -\n11 200 0: -\n12 terminated timeout: unsubscribed",
        "9 unsubscribe: SUBSCRIBE 0\n9 sent: -\n10 terminated timeout: unsubscribed\n11 200 0: -",
        "9 unsubscribe: SUBSCRIBE 0\n9 sent: -\n10 200 0: -\n40 clock: -\n41 clock: unsubscribed",
        "9 unsubscribe: SUBSCRIBE 0\n9 sent: -\n10 481: unsubscribed",
        "9 unsubscribe: SUBSCRIBE 0\n9 sent: -\n10 500: unsubscribed",
        "9 unsubscribe: SUBSCRIBE 0\n9 sent: -\n10 423 60: unsubscribed",
        "9 unsubscribe: SUBSCRIBE 0\n41 silence: unsubscribed",
        // The notifier was quicker.
        "9 terminated noresource: ended Terminated(NoResource), again never\n9 unsubscribe: unsubscribed",
        // In the middle of a refresh.
        "9 refresh: SUBSCRIBE 3600\n9 sent: -\n10 unsubscribe: -\n11 active: -\n12 200 3600: SUBSCRIBE 0",
        "9 refresh: SUBSCRIBE 3600\n9 sent: -\n10 200 3600: -\n11 unsubscribe: SUBSCRIBE 0",
        "9 refresh: SUBSCRIBE 3600\n9 sent: -\n10 unsubscribe: -\n11 terminated deactivated: unsubscribed",
        "9 refresh: SUBSCRIBE 3600\n9 sent: -\n10 unsubscribe: -\n11 481: unsubscribed",
        "9 refresh: SUBSCRIBE 3600\n9 sent: -\n10 unsubscribe: -\n11 500: SUBSCRIBE 0",
        "9 refresh: SUBSCRIBE 3600\n9 sent: -\n10 unsubscribe: -\n11 423 7200: SUBSCRIBE 0",
        "9 refresh: SUBSCRIBE 3600\n9 sent: -\n10 unsubscribe: -\n41 clock: unsubscribed",
        "9 refresh: SUBSCRIBE 3600\n10 unsubscribe: -\n3600 clock: unsubscribed",
        // Taken back.
        "9 refresh: SUBSCRIBE 3600\n9 sent: -\n10 unsubscribe: -\n11 subscribe: -\n12 200 3600: -",
        "9 unsubscribe: SUBSCRIBE 0\n9 sent: -\n10 subscribe: -\n11 terminated timeout: unsubscribed; new SUBSCRIBE 3600",
        "9 unsubscribe: SUBSCRIBE 0\n9 sent: -\n10 subscribe: -\n11 unsubscribe: -\n12 terminated: unsubscribed",
        "9 forget: -\n9 clock: -",
    ] {
        ladder(&mut Scene::new(), &format!("{subscribed}{rest}"));
    }
    // Before there is one: nothing can be sent before a NOTIFY has made the dialog.
    for rest in [
        "2 200 3600: -\n3 active: SUBSCRIBE 0\n3 sent: -\n4 terminated: unsubscribed",
        "2 active: -\n3 200 3600: SUBSCRIBE 0",
        "2 terminated deactivated: unsubscribed",
        "2 500: unsubscribed",
        "2 423 7200: unsubscribed",
        "32 clock: unsubscribed",
        "2 subscribe: -\n3 active: Active until 3603",
    ] {
        let start = "0 subscribe: new SUBSCRIBE 3600\n0 sent: -\n1 unsubscribe: -\n";
        ladder(&mut Scene::new(), &format!("{start}{rest}"));
    }
}

/// A dialog that was too long to keep: listened to, and made anew in time.
#[test]
fn a_notifier_that_cannot_be_reached() {
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 3600: -
        0 deaf active: Active until 3600
        9 deaf pending 3000: Pending until 3009
        2409 clock: new SUBSCRIBE 3600
        2409 sent: -
        2410 deaf active 3600: Active until 6010
        2411 unsubscribe: -
        2412 deaf 200 3600: unsubscribed
        ",
    );
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 3600: -
        0 active: Active until 3600
        1 refresh: SUBSCRIBE 3600
        1 sent: -
        1 deaf 200 3600: -
        2 unsubscribe: unsubscribed
        ",
    );
    ladder(
        &mut Scene::new(),
        "
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        0 200 3600: -
        0 active: Active until 3600
        1 deaf active: -
        2 refresh: new SUBSCRIBE 3600
        ",
    );
}

/// The Contact has changed: in any state it is told as soon as there is a dialog.
#[test]
fn refreshing_because_of_a_new_contact() {
    ladder(
        &mut Scene::new(),
        "
        0 refresh: -
        0 subscribe: new SUBSCRIBE 3600
        0 sent: -
        1 refresh: -
        2 200 3600: -
        3 active: Active until 3602; SUBSCRIBE 3600
        3 sent: -
        4 refresh: -
        5 active: -
        6 200 3600: SUBSCRIBE 3600
        6 sent: -
        7 200 3600: -
        8 refresh: SUBSCRIBE 3600
        8 sent: -
        9 500: Status(Status(500)), again at 39, until 3607
        10 refresh: SUBSCRIBE 3600
        10 sent: -
        11 unsubscribe: -
        12 refresh: -
        13 200 3600: SUBSCRIBE 0
        14 refresh: -
        ",
    );
}

/// A notifier that was not reached is asked as soon as there is a way; one that said when is not.
#[test]
fn what_a_new_registration_cuts_short() {
    for (failure, outcome) in [
        ("silence", "new SUBSCRIBE 3600"),
        ("broken", "new SUBSCRIBE 3600"),
        ("503 60", "-"),
        ("terminated probation", "-"),
    ] {
        let mut scene = Scene::new();
        let _ = scene.play(&format!("0 subscribe\n0 sent\n1 {failure}"));
        ladder(&mut scene, &format!("2 online: {outcome}"));
    }
    let mut scene = Scene::new();
    let _ = scene.play("0 subscribe\n0 sent\n32 clock");
    ladder(&mut scene, "33 online: new SUBSCRIBE 3600");
}

/// No notifier makes the client send SUBSCRIBE in a loop: a simulated day of each.
#[test]
fn hostile_notifiers_meet_patience() {
    for (answers, at_most) in [
        ("200 3600, active", 40),
        ("200 3600", 101),
        ("200 1, active", 101),
        ("active 0, 200 0", 101),
        ("active 0, 200 3600", 101),
        ("200 9, active", 17_300),
        ("200 3600, active, active 1", 17_300),
        ("200 3600, active, terminated deactivated", 102),
        ("200 3600, active, terminated timeout", 102),
        ("200 3600, terminated giveup", 101),
        ("200 3600, terminated rejected", 1),
        ("423 3601", 3),
        ("500", 101),
        ("503 0", 101),
        ("480 1", 101),
        ("silence", 101),
        ("broken", 101),
        ("403", 1),
        // Two for each 50 s that the notifier grants.
        ("200 100, active / 481", 3_460),
        ("200 100, active / 500", 3_460),
    ] {
        let mut scene = Scene::new();
        let mut turns = answers.split(" / ").cycle();
        let mut requests = 0;
        let mut step = scene.give("subscribe");
        'day: while scene.now < 86_400_000 {
            let mut count = 0;
            loop {
                count += 1;
                assert!(count < 10, "{answers}: a loop at {}", scene.now);
                step = match step.action {
                    SubscriptionAction::Subscribe { .. } => {
                        requests += 1;
                        let _ = scene.give("sent");
                        let mut last = Step::NOTHING;
                        for input in turns.next().unwrap().split(", ") {
                            last = scene.give(input);
                        }
                        last
                    }
                    SubscriptionAction::Nothing => scene.give("clock"),
                };
                if step == Step::NOTHING && scene.give("clock") == Step::NOTHING {
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
            "{answers}: {requests} SUBSCRIBEs in a day"
        );
    }
}

/// What each input does in each state, an hour later for the clock; an input that is not in the
/// list of a state does nothing there and leaves the state as it is.
const CELLS: &str = "
Idle
    subscribe: new SUBSCRIBE 3600 > NotifyWait
    fetch: new SUBSCRIBE 0 > Fetching
    unsubscribe: unsubscribed > Idle
Fetching
    forget: - > Idle
    423 7200: ended IntervalTooBrief { min_expires: Some(7200) }, again never > Idle
    423: ended IntervalTooBrief { min_expires: None }, again never > Idle
    500: ended Status(Status(500)), again never > Idle
    403: ended Status(Status(403)), again never > Idle
    481: ended Status(Status(481)), again never > Idle
    silence: ended Timeout, again never > Idle
    broken: ended TransportFailed, again never > Idle
    terminated deactivated: fetched > Idle
    terminated rejected: fetched > Idle
    clock: ended NoNotify, again never > Idle
NotifyWait
    unsubscribe: - > NotifyWait leave
    refresh: - > NotifyWait refresh
    forget: - > Idle
    200 100: - > NotifyWait accepted
    204 100: - > NotifyWait accepted
    423 7200: SUBSCRIBE 7200 > NotifyWait
    423: ended IntervalTooBrief { min_expires: None }, again never > Idle
    500: ended Status(Status(500)), again at 70 > Waiting
    403: ended Status(Status(403)), again never > Idle
    481: ended Status(Status(481)), again never > Idle
    silence: ended Timeout, again at 70 > Waiting
    broken: ended TransportFailed, again at 70 > Waiting
    active 80: Active until 120 > UnderWay notified
    terminated deactivated: ended Terminated(Deactivated), again at once; new SUBSCRIBE 3600 > NotifyWait
    terminated rejected: ended Terminated(Rejected), again never > Idle
    clock: ended NoNotify, again at 3630 > Waiting
NotifyWait leave
    subscribe: - > NotifyWait
    forget: - > Idle
    200 100: - > NotifyWait accepted leave
    204 100: - > NotifyWait accepted leave
    423 7200: unsubscribed > Idle
    423: unsubscribed > Idle
    500: unsubscribed > Idle
    403: unsubscribed > Idle
    481: unsubscribed > Idle
    silence: unsubscribed > Idle
    broken: unsubscribed > Idle
    active 80: - > UnderWay notified leave
    terminated deactivated: unsubscribed > Idle
    terminated rejected: unsubscribed > Idle
    clock: unsubscribed > Idle
AsDue
    fetch: SUBSCRIBE 3600 > UnderWay
    unsubscribe: SUBSCRIBE 0 > Leaving
    refresh: SUBSCRIBE 3600 > UnderWay
    forget: - > Idle
    terminated deactivated: ended Terminated(Deactivated), again at once; new SUBSCRIBE 3600 > NotifyWait
    terminated rejected: ended Terminated(Rejected), again never > Idle
    clock: ended Expired, again at once; new SUBSCRIBE 3600 > NotifyWait
UnderWay
    fetch: - > UnderWay refresh
    unsubscribe: - > UnderWay leave
    refresh: - > UnderWay refresh
    forget: - > Idle
    200 100: - > UnderWay accepted
    204 100: - > AsDue
    423 7200: SUBSCRIBE 7200 > UnderWay
    423: IntervalTooBrief { min_expires: None }, again never, until 100 > RunOut
    500: Status(Status(500)), again at 70, until 100 > Retry
    403: Status(Status(403)), again never, until 100 > RunOut
    481: ended Status(Status(481)), again at once; new SUBSCRIBE 3600 > NotifyWait
    silence: ended Timeout, again at 70 > Waiting
    broken: TransportFailed, again at 70, until 100 > Retry
    active 80: - > UnderWay notified
    terminated deactivated: ended Terminated(Deactivated), again at once; new SUBSCRIBE 3600 > NotifyWait
    terminated rejected: ended Terminated(Rejected), again never > Idle
    clock: ended NoNotify, again at 3630 > Waiting
UnderWay leave
    subscribe: - > UnderWay
    forget: - > Idle
    200 100: SUBSCRIBE 0 > Leaving
    204 100: SUBSCRIBE 0 > Leaving
    423 7200: SUBSCRIBE 0 > Leaving
    423: SUBSCRIBE 0 > Leaving
    500: SUBSCRIBE 0 > Leaving
    403: SUBSCRIBE 0 > Leaving
    481: unsubscribed > Idle
    silence: unsubscribed > Idle
    broken: SUBSCRIBE 0 > Leaving
    active 80: - > UnderWay notified leave
    terminated deactivated: unsubscribed > Idle
    terminated rejected: unsubscribed > Idle
    clock: unsubscribed > Idle
UnderWay notified
    fetch: - > UnderWay notified refresh
    unsubscribe: - > UnderWay notified leave
    refresh: - > UnderWay notified refresh
    forget: - > Idle
    200 100: - > AsDue
    204 100: - > AsDue
    423 7200: SUBSCRIBE 7200 > UnderWay
    423: IntervalTooBrief { min_expires: None }, again never, until 100 > RunOut
    500: Status(Status(500)), again at 70, until 100 > Retry
    403: Status(Status(403)), again never, until 100 > RunOut
    481: ended Status(Status(481)), again at once; new SUBSCRIBE 3600 > NotifyWait
    silence: Timeout, again at 70, until 100 > Retry
    broken: TransportFailed, again at 70, until 100 > Retry
    terminated deactivated: ended Terminated(Deactivated), again at once; new SUBSCRIBE 3600 > NotifyWait
    terminated rejected: ended Terminated(Rejected), again never > Idle
UnderWay accepted
    fetch: SUBSCRIBE 3600 > UnderWay
    unsubscribe: SUBSCRIBE 0 > Leaving
    refresh: SUBSCRIBE 3600 > UnderWay
    forget: - > Idle
    active 80: - > AsDue
    terminated deactivated: ended Terminated(Deactivated), again at once; new SUBSCRIBE 3600 > NotifyWait
    terminated rejected: ended Terminated(Rejected), again never > Idle
    clock: ended NoNotify, again at 3630 > Waiting
Retry
    fetch: SUBSCRIBE 3600 > UnderWay
    unsubscribe: SUBSCRIBE 0 > Leaving
    refresh: SUBSCRIBE 3600 > UnderWay
    forget: - > Idle
    online: SUBSCRIBE 3600 > UnderWay
    terminated deactivated: ended Terminated(Deactivated), again at once; new SUBSCRIBE 3600 > NotifyWait
    terminated rejected: ended Terminated(Rejected), again never > Idle
    clock: ended Expired, again at once; new SUBSCRIBE 3600 > NotifyWait
RunOut
    fetch: SUBSCRIBE 3600 > UnderWay
    unsubscribe: SUBSCRIBE 0 > Leaving
    refresh: SUBSCRIBE 3600 > UnderWay
    forget: - > Idle
    terminated deactivated: ended Terminated(Deactivated), again at once; new SUBSCRIBE 3600 > NotifyWait
    terminated rejected: ended Terminated(Rejected), again never > Idle
    clock: ended Expired, again never > Idle
Leaving
    subscribe: - > Leaving
    forget: - > Idle
    423 7200: unsubscribed > Idle
    423: unsubscribed > Idle
    500: unsubscribed > Idle
    403: unsubscribed > Idle
    481: unsubscribed > Idle
    silence: unsubscribed > Idle
    broken: unsubscribed > Idle
    terminated deactivated: unsubscribed > Idle
    terminated rejected: unsubscribed > Idle
    clock: unsubscribed > Idle
Waiting
    unsubscribe: unsubscribed > Idle
    forget: - > Idle
    clock: new SUBSCRIBE 3600 > NotifyWait
";

/// The way to each state.
const WAYS: [(&str, &str); 13] = [
    ("Idle", "0 forget"),
    ("Fetching", "0 fetch\n9 sent"),
    ("NotifyWait", "0 subscribe\n9 sent"),
    ("NotifyWait leave", "0 subscribe\n9 sent\n9 unsubscribe"),
    ("AsDue", "0 subscribe\n0 sent\n0 200 100\n0 active"),
    (
        "UnderWay",
        "0 subscribe\n0 sent\n0 200 100\n0 active\n30 refresh\n30 sent",
    ),
    (
        "UnderWay leave",
        "0 subscribe\n0 sent\n0 200 100\n0 active\n30 refresh\n30 sent\n30 unsubscribe",
    ),
    ("UnderWay notified", "0 subscribe\n0 sent\n0 active 100"),
    (
        "UnderWay accepted",
        "0 subscribe\n0 sent\n0 200 100\n0 active\n30 refresh\n30 sent\n30 200 70",
    ),
    (
        "Retry",
        "0 subscribe\n0 sent\n0 200 100\n0 active\n30 refresh\n30 broken",
    ),
    (
        "RunOut",
        "0 subscribe\n0 sent\n0 200 100\n0 active\n30 refresh\n30 403",
    ),
    (
        "Leaving",
        "0 subscribe\n0 sent\n0 200 100\n0 active\n30 unsubscribe\n30 sent",
    ),
    ("Waiting", "0 subscribe\n0 sent\n0 503 60"),
];

const INPUTS: [&str; 18] = [
    "subscribe",
    "fetch",
    "unsubscribe",
    "refresh",
    "forget",
    "online",
    "200 100",
    "204 100",
    "423 7200",
    "423",
    "500",
    "403",
    "481",
    "silence",
    "broken",
    "active 80",
    "terminated deactivated",
    "terminated rejected",
];

fn name(state: State) -> String {
    let then = |then| match then {
        Then::Stay => "",
        Then::Refresh => " refresh",
        Then::Leave => " leave",
    };
    match state {
        State::Idle => "Idle".to_owned(),
        State::Fetching { .. } => "Fetching".to_owned(),
        State::NotifyWait(NotifyWait {
            granted,
            then: next,
            ..
        }) => {
            let accepted = granted.map_or("", |_| " accepted");
            format!("NotifyWait{accepted}{}", then(next))
        }
        State::Subscribed(Subscribed { plan, .. }) => match plan {
            Plan::AsDue => "AsDue".to_owned(),
            Plan::UnderWay {
                timer_n,
                answer,
                then: next,
                ..
            } => {
                let notified = match (answer, timer_n) {
                    (Answer::Accepted, _) => " accepted",
                    (Answer::Awaited, TimerN::Over(_)) => " notified",
                    (Answer::Awaited, TimerN::Running(_) | TimerN::Unsent) => "",
                };
                format!("UnderWay{notified}{}", then(next))
            }
            Plan::Retry { .. } => "Retry".to_owned(),
            Plan::RunOut => "RunOut".to_owned(),
        },
        State::Leaving { .. } => "Leaving".to_owned(),
        State::Waiting { .. } => "Waiting".to_owned(),
    }
}

#[test]
fn every_cell() {
    play::every_cell(
        Scene::new,
        &WAYS,
        &[&INPUTS[..], &["clock"]].concat(),
        CELLS,
    );
}

/// Any inputs in any order: no deadline stays in the past, a dialog is never used before a NOTIFY
/// or after its end, and who unsubscribes is told so.
#[test]
fn whatever_happens() {
    let inputs: Vec<&str> = INPUTS
        .into_iter()
        .chain([
            "sent",
            "challenged",
            "active",
            "pending 5",
            "deaf active 100",
        ])
        .collect();
    for seed in 1..=3_000_u64 {
        let mut dice = Rng::new(seed);
        let mut scene = Scene::new();
        for _ in 0..100 {
            let choice = dice.next_u64() as usize;
            let input = if choice.is_multiple_of(3) {
                scene.now += choice as u64 % 60_000;
                "clock"
            } else {
                inputs[choice / 3 % inputs.len()]
            };
            for turn in 0.. {
                assert!(turn < 10, "seed {seed}: a loop");
                let before = scene.machine.state();
                let step = scene.give(input);
                if let SubscriptionAction::Subscribe {
                    dialog: Which::Current,
                    ..
                } = step.action
                {
                    let dialog = matches!(before, State::Subscribed(_) | State::NotifyWait(_));
                    assert!(dialog, "seed {seed}: {input} in {before:?}");
                }
                if input != "clock" || step == Step::NOTHING {
                    break;
                }
            }
            if input == "clock"
                && let Some(due) = scene.machine.due_from()
            {
                assert!(due.as_millis() > scene.now, "seed {seed}: overdue");
                assert!(scene.machine.deadline() >= Some(due), "seed {seed}");
            }
        }
        // The end: within two times Timer N of two sendings.
        let mut told = scene.give("unsubscribe");
        for _ in 0..20 {
            if told.event == Some(SubscriptionEvent::Unsubscribed)
                || matches!(scene.machine.state(), State::Idle)
            {
                break;
            }
            let _ = scene.give("sent");
            let due = scene.machine.deadline();
            scene.now = due.map_or(scene.now, Instant::as_millis).max(scene.now);
            told = scene.give("clock");
            if told == Step::NOTHING {
                told = scene.give("silence");
            }
        }
        assert!(matches!(scene.machine.state(), State::Idle), "seed {seed}");
    }
}

/// What a client reserves for each subscription.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_subscription_is_small() {
    assert!(
        size_of::<Subscription<288>>() <= 420,
        "{}",
        size_of::<Subscription<288>>()
    );
}

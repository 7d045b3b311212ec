//! RFC 3261 §10 and RFC 5626 §4.2, §4.5: when a REGISTER goes out, as ladders and cell by cell.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

#[path = "common/play.rs"]
mod play;

use oma_im::sip::backoff::OtherFlows;
use oma_im::sip::registration::{
    Afterwards, Failure, KeepAlives, Notice, RefreshRule, Registration, RegistrationAction,
    RegistrationConfig, RegistrationEvent, Retry, State, Step, Then,
};
use oma_im::testkit::rng::Rng;
use oma_im::time::Instant;
use oma_im::wire::name::Status;
use play::{Play, ladder, seconds};

/// A registration and its clock, in milliseconds. Waits are as short as the RFC lets them be.
#[derive(Clone)]
struct Scene {
    machine: Registration,
    config: RegistrationConfig,
    keep_alives: KeepAlives,
    random: u32,
    now: u64,
}

impl Scene {
    fn new(config: RegistrationConfig, keep_alives: KeepAlives) -> Self {
        Self {
            machine: Registration::new(&config),
            config,
            keep_alives,
            random: 0,
            now: 0,
        }
    }

    fn give(&mut self, input: &str) -> Step {
        let now = Instant::from_millis(self.now);
        let others = OtherFlows::AllFailed;
        let (random, config) = (self.random, self.config);
        let (word, rest) = input.split_once(' ').unwrap_or((input, ""));
        let number = || rest.parse::<u32>().ok();
        let machine = &mut self.machine;
        match word {
            "register" => machine.register(),
            "refresh" => machine.refresh(now),
            "deregister" => machine.deregister(now, &config),
            "ready" => machine.flow_ready(),
            "lost" => machine.flow_lost(now, &config, others, random),
            "network" => machine.network_changed(),
            "alive" => {
                machine.flow_succeeded();
                Step::NOTHING
            }
            "ok" => machine.ok(
                now,
                &config,
                number().unwrap(),
                self.keep_alives,
                others,
                random,
            ),
            "423" => machine.interval_too_brief(&config, number()),
            "shortened" => {
                let expires = number().unwrap();
                machine.notified(now, &config, Notice::Shortened { expires }, others, random)
            }
            "deactivated" => machine.notified(now, &config, Notice::Deactivated, others, random),
            "probation" => {
                let notice = Notice::Probation {
                    retry_after: number(),
                };
                machine.notified(now, &config, notice, others, random)
            }
            "rejected" => machine.notified(now, &config, Notice::Rejected, others, random),
            "clock" => machine.timeout(now),
            "silence" => machine.failed(now, &config, Failure::Timeout, others, random),
            "broken" => machine.failed(now, &config, Failure::TransportFailed, others, random),
            code => {
                let failure = Failure::Status {
                    status: Status::new(code.parse().unwrap()).unwrap(),
                    retry_after: number(),
                };
                machine.failed(now, &config, failure, others, random)
            }
        }
    }
}

impl Play for Scene {
    fn outcome(&mut self, millis: u64, input: &str) -> String {
        self.now = millis;
        let step = self.give(input);
        say(step)
    }

    fn state(&self) -> String {
        name(self.machine.state()).to_owned()
    }
}

fn say(step: Step) -> String {
    let action = match step.action {
        RegistrationAction::Nothing => None,
        RegistrationAction::OpenFlow => Some("Open".to_owned()),
        RegistrationAction::SendRegister { expires } => Some(format!("REGISTER {expires}")),
        RegistrationAction::SendDeregister => Some("REGISTER 0".to_owned()),
    };
    let event = step.event.map(|event| match event {
        RegistrationEvent::Registered { until } => format!("registered until {}", seconds(until)),
        RegistrationEvent::RegistrationLost => "lost".to_owned(),
        RegistrationEvent::Deregistered => "gone".to_owned(),
        RegistrationEvent::Failed {
            reason,
            retry,
            bound_until,
        } => {
            let retry = match retry {
                Retry::Never => "never".to_owned(),
                Retry::At(instant) => format!("at {}", seconds(instant)),
            };
            let bound = bound_until.map_or(String::new(), |end| {
                format!(", bound until {}", seconds(end))
            });
            format!("failed {reason:?}, again {retry}{bound}")
        }
    });
    let words: Vec<String> = [event, action].into_iter().flatten().collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join("; ")
    }
}

fn scene() -> Scene {
    Scene::new(RegistrationConfig::DEFAULT, KeepAlives::Unsupervised)
}

#[test]
fn a_day_in_the_life() {
    ladder(
        &mut scene(),
        "
        0 register: Open
        0 ready: REGISTER 600000
        1 ok 3600: registered until 3601
        3000 clock: -
        3001 clock: REGISTER 600000
        3001 clock: -
        3002 ok 3600: registered until 6602
        3100 refresh: REGISTER 600000
        3101 ok 3600: registered until 6701
        4000 deregister: REGISTER 0
        4001 ok 0: gone
        4001 clock: -
        5000 register: REGISTER 600000
        ",
    );
}

/// 3GPP TS 24.229 §5.1.1.4.1, and the percentage; with the slack of each.
#[test]
fn refresh_times() {
    for (refresh, granted, at, slack) in [
        (RefreshRule::Ims, 600_000, 599_400_000, 60_000),
        (RefreshRule::Ims, 1_201, 601_000, 60_000),
        (RefreshRule::Ims, 1_200, 600_000, 60_000),
        (RefreshRule::Ims, 60, 30_000, 3_000),
        (RefreshRule::Percent(85), 3_600, 3_060_000, 54_000),
        (RefreshRule::Percent(0), 100, 10_000, 9_000),
        (RefreshRule::Percent(255), 100, 90_000, 1_000),
        // Not more often than each five seconds, whatever is granted.
        (RefreshRule::Ims, 8, 5_000, 300),
    ] {
        let config = RegistrationConfig {
            refresh,
            ..RegistrationConfig::DEFAULT
        };
        let mut scene = Scene::new(config, KeepAlives::Unsupervised);
        let _ = scene.play(&format!("0 ready\n0 register\n0 ok {granted}"));
        assert_eq!(
            scene.machine.deadline(),
            Some(Instant::from_millis(at)),
            "{refresh:?} {granted}"
        );
        assert_eq!(scene.machine.slack(), slack, "{refresh:?} {granted}");
    }
}

/// RFC 3261 §10.2.8, and registrars that play with it.
#[test]
fn interval_too_brief() {
    let start = "0 ready: -\n0 register: REGISTER 600000\n";
    for (answers, last) in [
        (
            "0 423 700000: REGISTER 700000\n0 ok 700000: registered until 700000",
            "",
        ),
        ("", "0 423 600000"),
        ("", "0 423 0"),
        ("", "0 423"),
        ("", "0 423 2592001"),
        ("", "0 423 4294967295"),
        (
            "0 423 600001: REGISTER 600001\n0 423 600002: REGISTER 600002",
            "0 423 600003",
        ),
    ] {
        let mut scene = scene();
        ladder(&mut scene, &format!("{start}{answers}"));
        if !last.is_empty() {
            let line = scene.play(last).remove(0);
            assert!(line.contains("failed IntervalTooBrief"), "{line}");
            assert!(line.ends_with("again never"), "{line}");
            assert_eq!(scene.machine.state(), State::Failed);
        }
    }
    // The longest that is obeyed; it is asked for from then on.
    ladder(
        &mut scene(),
        "
        0 ready: -
        0 register: REGISTER 600000
        0 423 2592000: REGISTER 2592000
        0 ok 2592000: registered until 2592000
        9 refresh: REGISTER 2592000
        ",
    );
}

/// Which refusals are for good.
#[test]
fn outlooks() {
    // 494: RFC 3329 §2.3.1, the agreement on security is made anew.
    let temporary = [408, 430, 480, 494, 500, 502, 503, 504, 580, 599];
    let with_retry_after = [404, 413, 486, 600, 603];
    for code in (300..700).filter(|code| *code != 423) {
        for retry_after in ["", " 1000"] {
            let mut scene = scene();
            let line = scene
                .play(&format!("0 ready\n0 register\n0 {code}{retry_after}"))
                .remove(2);
            let again = temporary.contains(&code)
                || (code / 100 == 5 && ![501, 505, 513].contains(&code))
                || (with_retry_after.contains(&code) && !retry_after.is_empty());
            let expected = match (again, retry_after) {
                (false, _) => "never",
                (true, "") => "at 30",
                (true, _) => "at 1000",
            };
            assert!(line.ends_with(&format!("again {expected}")), "{line}");
        }
    }
}

/// RFC 5626 §4.5: 30 s to 60 s after the first failure, and so on; another host is looked for.
#[test]
fn back_off() {
    ladder(
        &mut scene(),
        "
        0 register: Open
        1 lost: failed FlowLost, again at 31
        30 clock: -
        31 clock: Open
        31 ready: REGISTER 600000
        32 503: failed Status(Status(503)), again at 92
        40 register: -
        92 clock: Open
        92 ready: REGISTER 600000
        124 silence: failed Timeout, again at 244
        244 clock: Open
        244 ready: REGISTER 600000
        245 500: failed Status(Status(500)), again at 485
        485 clock: REGISTER 600000
        486 403: failed Status(Status(403)), again never
        999999 clock: -
        ",
    );
    let mut slow = scene();
    slow.random = u32::MAX;
    ladder(
        &mut slow,
        "
        0 ready: -
        0 register: REGISTER 600000
        0 500: failed Status(Status(500)), again at 60
        60 clock: REGISTER 600000
        60 500 7200: failed Status(Status(500)), again at 7260
        ",
    );
}

/// The count of failures starts again when a flow has worked, not when a REGISTER has.
#[test]
fn what_resets_the_count() {
    let mut supervised = Scene::new(RegistrationConfig::DEFAULT, KeepAlives::Supervised);
    ladder(
        &mut supervised,
        "
        0 ready: -
        0 register: REGISTER 600000
        0 500: failed Status(Status(500)), again at 30
        30 clock: REGISTER 600000
        30 ok 3600: registered until 3630
        1000 lost: failed FlowLost, again at 1060
        1060 clock: Open
        1060 ready: REGISTER 600000
        1060 ok 3600: registered until 4660
        1061 alive: -
        1062 lost: lost; Open
        1063 lost: failed FlowLost, again at 1093
        ",
    );
    // Without supervision: 30 s.
    ladder(
        &mut scene(),
        "
        0 ready: -
        0 register: REGISTER 600000
        0 ok 3600: registered until 3600
        29 lost: failed FlowLost, again at 59
        59 clock: Open
        59 ready: REGISTER 600000
        59 ok 3600: registered until 3659
        89 lost: lost; Open
        90 lost: failed FlowLost, again at 120
        ",
    );
    // A flow that answers pings while the registrar is broken does not hurry.
    ladder(
        &mut supervised,
        "
        1093 ready: -
        1093 clock: REGISTER 600000
        1094 ok 3600: registered until 4694
        1095 alive: -
        4094 clock: REGISTER 600000
        4095 500: failed Status(Status(500)), again at 4125, bound until 4694
        4100 alive: -
        4125 clock: REGISTER 600000
        4126 alive: -
        4126 500: failed Status(Status(500)), again at 4186, bound until 4694
        4186 clock: REGISTER 600000
        4186 500: failed Status(Status(500)), again at 4306, bound until 4694
        ",
    );
}

/// RFC 5626 §4.2.2: a refresh that is put off keeps its flow and its binding, until it runs out.
#[test]
fn a_failing_refresh() {
    let mut scene = scene();
    ladder(
        &mut scene,
        "
        0 ready: -
        0 register: REGISTER 600000
        0 ok 1300: registered until 1300
        700 clock: REGISTER 600000
        701 503 400: failed Status(Status(503)), again at 1101, bound until 1300
        1101 clock: REGISTER 600000
        1102 503 400: failed Status(Status(503)), again at 1502, bound until 1300
        1299 clock: -
        1300 clock: lost
        1300 clock: -
        1502 clock: REGISTER 600000
        1503 ok 1300: registered until 2803
        ",
    );
    // No answer: the flow is of no use any more, nor is the binding.
    ladder(
        &mut scene,
        "
        2203 clock: REGISTER 600000
        2235 silence: failed Timeout, again at 2265
        2265 clock: Open
        ",
    );
}

/// RFC 5626 §4.2.1, §11.5: after 503 another host, after 430 at least another flow; §4.2.2: a 503 to
/// a refresh leaves the flow alone.
#[test]
fn which_refusals_cost_the_flow() {
    for (way, code, next) in [
        ("0 ready\n0 register", 503, "Open"),
        ("0 ready\n0 register", 430, "Open"),
        ("0 ready\n0 register", 500, "REGISTER 600000"),
        (
            "0 ready\n0 register\n0 ok 900\n0 refresh",
            503,
            "REGISTER 600000",
        ),
        ("0 ready\n0 register\n0 ok 900\n0 refresh", 430, "Open"),
    ] {
        let mut scene = scene();
        let lines = scene.play(&format!("{way}\n0 {code}\n30 clock"));
        assert_eq!(
            lines.last().unwrap(),
            &format!("30 clock: {next}"),
            "{code}"
        );
    }
}

/// The answer to the refresh is late: the binding ends, the REGISTER still counts.
#[test]
fn a_binding_that_ends_during_its_refresh() {
    ladder(
        &mut scene(),
        "
        0 ready: -
        0 register: REGISTER 600000
        0 ok 20: registered until 20
        10 clock: REGISTER 600000
        20 clock: lost
        20 clock: -
        21 ok 20: registered until 41
        3600 clock: lost; REGISTER 600000
        3600 clock: -
        ",
    );
}

/// RFC 3261 §10.2: one REGISTER at a time; a wish to leave is kept, and bounded in time.
#[test]
fn leaving() {
    ladder(
        &mut scene(),
        "
        0 ready: -
        0 register: REGISTER 600000
        1 deregister: -
        2 ok 3600: REGISTER 0
        3 ok 0: gone
        10 register: REGISTER 600000
        11 deregister: -
        12 register: -
        13 ok 3600: registered until 3613
        20 deregister: REGISTER 0
        21 register: -
        22 403: gone; REGISTER 600000
        23 deregister: -
        55 clock: gone
        56 ok 3600: -
        60 deregister: gone
        ",
    );
    let quick = RegistrationConfig {
        deregister_within: 2_000,
        ..RegistrationConfig::DEFAULT
    };
    let mut scene = Scene::new(quick, KeepAlives::Supervised);
    ladder(
        &mut scene,
        "
        0 ready: -
        0 register: REGISTER 600000
        1 ok 3600: registered until 3601
        5 deregister: REGISTER 0
        6 deregister: -
        7 clock: gone
        ",
    );
}

/// All addresses given out are worthless: a new flow and a new registration, in every state.
#[test]
fn the_network_changes() {
    ladder(
        &mut scene(),
        "
        0 network: -
        0 register: Open
        1 network: Open
        1 ready: REGISTER 600000
        2 network: Open
        2 ready: REGISTER 600000
        3 ok 3600: registered until 3603
        4 network: lost; Open
        4 ok 3600: -
        5 lost: failed FlowLost, again at 35
        6 network: Open
        6 ready: REGISTER 600000
        7 ok 3600: registered until 3607
        8 refresh: REGISTER 600000
        9 network: lost; Open
        9 ready: REGISTER 600000
        9 deregister: -
        10 network: gone
        ",
    );
}

/// RFC 3680 §4.7.1 by way of 3GPP TS 24.229 §5.1.1.5A, §5.1.1.7.
#[test]
fn the_registrar_speaks_up() {
    let mut scene = scene();
    let _ = scene.play("0 ready\n0 register\n0 ok 3600");
    ladder(
        &mut scene.clone(),
        "
        100 shortened 60: registered until 160
        129 clock: -
        130 clock: REGISTER 600000
        130 deactivated: -
        131 ok 3600: registered until 3731
        132 shortened 9999: registered until 3731
        140 deactivated: lost; REGISTER 600000
        141 ok 3600: registered until 3741
        142 probation 900: failed Ended, again at 1042
        ",
    );
    ladder(
        &mut scene.clone(),
        "5 deactivated: failed Ended, again at 35",
    );
    ladder(
        &mut scene,
        "5 rejected: failed Ended, again never\n9 lost: -",
    );
}

/// More than was asked for is not believed.
#[test]
fn generous_registrar() {
    let mut scene = scene();
    ladder(
        &mut scene,
        "
        0 ready: -
        0 register: REGISTER 600000
        0 ok 4294967295: registered until 600000
        ",
    );
}

/// No registrar and no proxy makes the client send REGISTER in a loop: a simulated day of each.
#[test]
fn hostile_servers_meet_patience() {
    for (answer, at_most) in [
        ("ok 0", 101),
        ("ok 1", 17_300),
        ("ok 9", 17_300),
        ("423 600001", 4),
        ("500", 101),
        ("503 0", 101),
        ("480 1", 101),
        ("silence", 101),
        ("broken", 101),
        ("lost", 101),
        ("403", 1),
        // It takes the REGISTER and closes the connection.
        ("ok 3600, lost", 101),
        ("ok 3600, deactivated", 101),
        ("ok 3600, shortened 0", 17_300),
    ] {
        let mut scene = Scene::new(RegistrationConfig::DEFAULT, KeepAlives::Supervised);
        let mut registers = 0;
        let mut step = scene.give("register");
        'day: while scene.now < 86_400_000 {
            let mut turns = 0;
            loop {
                turns += 1;
                assert!(turns < 10, "{answer}: a loop at {}", scene.now);
                step = match step.action {
                    RegistrationAction::OpenFlow => scene.give("ready"),
                    RegistrationAction::SendRegister { .. }
                    | RegistrationAction::SendDeregister => {
                        registers += 1;
                        answer
                            .split(", ")
                            .map(|answer| scene.give(answer))
                            .last()
                            .unwrap()
                    }
                    RegistrationAction::Nothing => scene.give("clock"),
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
            registers <= at_most,
            "{answer}: {registers} REGISTERs in a day"
        );
    }
}

/// What each input does in each state, an hour later for the clock; an input that is not in the
/// list of a state does nothing there and leaves the state as it is.
const CELLS: &str = "
Unregistered
    register: REGISTER 600000 > Registering
    deregister: gone > Unregistered
Connecting
    deregister: gone > Unregistered
    ready: REGISTER 600000 > Registering
    lost: failed FlowLost, again at 70 > Waiting
    network: Open > Connecting
Registering
    refresh: - > Registering again
    deregister: - > Registering leaving
    lost: failed FlowLost, again at 70 > Waiting
    network: Open > Connecting
    ok 100: registered until 140 > Registered
    ok 0: failed NotBound, again at 70 > Waiting
    423 700000: REGISTER 700000 > Registering
    423: failed IntervalTooBrief { min_expires: None }, again never > Failed
    500: failed Status(Status(500)), again at 70 > Waiting
    503: failed Status(Status(503)), again at 70 > Waiting
    403: failed Status(Status(403)), again never > Failed
    silence: failed Timeout, again at 70 > Waiting
    broken: failed FlowLost, again at 70 > Waiting
Registering again
    deregister: - > Registering leaving
    lost: failed FlowLost, again at 70 > Waiting
    network: Open > Connecting
    ok 100: registered until 140; REGISTER 600000 > Refreshing
    ok 0: failed NotBound, again at 70 > Waiting
    423 700000: REGISTER 700000 > Registering again
    423: failed IntervalTooBrief { min_expires: None }, again never > Failed
    500: failed Status(Status(500)), again at 70 > Waiting
    503: failed Status(Status(503)), again at 70 > Waiting
    403: failed Status(Status(403)), again never > Failed
    silence: failed Timeout, again at 70 > Waiting
    broken: failed FlowLost, again at 70 > Waiting
Registering leaving
    register: - > Registering
    lost: gone > Unregistered
    network: gone > Unregistered
    ok 100: REGISTER 0 > Deregistering
    ok 0: gone > Unregistered
    423 700000: gone > Unregistered
    423: gone > Unregistered
    500: gone > Unregistered
    503: gone > Unregistered
    403: gone > Unregistered
    silence: gone > Unregistered
    broken: gone > Unregistered
    clock: gone > Unregistered
Registered
    refresh: REGISTER 600000 > Refreshing
    deregister: REGISTER 0 > Deregistering
    lost: lost; Open > Connecting
    network: lost; Open > Connecting
    shortened 20: registered until 60 > Registered
    deactivated: lost; REGISTER 600000 > Registering
    rejected: failed Ended, again never > Failed
    clock: lost; REGISTER 600000 > Registering
Refreshing
    refresh: - > Refreshing again
    deregister: - > Refreshing leaving
    lost: lost; Open > Connecting
    network: lost; Open > Connecting
    ok 100: registered until 140 > Registered
    ok 0: failed NotBound, again at 70 > Waiting
    423 700000: REGISTER 700000 > Refreshing
    423: failed IntervalTooBrief { min_expires: None }, again never > Failed
    500: failed Status(Status(500)), again at 70, bound until 100 > Waiting bound
    503: failed Status(Status(503)), again at 70, bound until 100 > Waiting bound
    403: failed Status(Status(403)), again never > Failed
    silence: failed Timeout, again at 70 > Waiting
    broken: lost; Open > Connecting
    clock: lost > Registering
Refreshing again
    deregister: - > Refreshing leaving
    lost: lost; Open > Connecting
    network: lost; Open > Connecting
    ok 100: registered until 140; REGISTER 600000 > Refreshing
    ok 0: failed NotBound, again at 70 > Waiting
    423 700000: REGISTER 700000 > Refreshing again
    423: failed IntervalTooBrief { min_expires: None }, again never > Failed
    500: failed Status(Status(500)), again at 70, bound until 100 > Waiting bound
    503: failed Status(Status(503)), again at 70, bound until 100 > Waiting bound
    403: failed Status(Status(403)), again never > Failed
    silence: failed Timeout, again at 70 > Waiting
    broken: lost; Open > Connecting
    clock: lost > Registering again
Refreshing leaving
    register: - > Refreshing
    lost: gone > Unregistered
    network: gone > Unregistered
    ok 100: REGISTER 0 > Deregistering
    ok 0: gone > Unregistered
    423 700000: REGISTER 0 > Deregistering
    423: REGISTER 0 > Deregistering
    500: REGISTER 0 > Deregistering
    503: REGISTER 0 > Deregistering
    403: REGISTER 0 > Deregistering
    silence: gone > Unregistered
    broken: gone > Unregistered
    clock: gone > Unregistered
Deregistering
    lost: gone > Unregistered
    network: gone > Unregistered
    ok 100: gone > Unregistered
    ok 0: gone > Unregistered
    423 700000: gone > Unregistered
    423: gone > Unregistered
    500: gone > Unregistered
    503: gone > Unregistered
    403: gone > Unregistered
    silence: gone > Unregistered
    broken: gone > Unregistered
    register: - > Deregistering returning
    clock: gone > Unregistered
Deregistering returning
    deregister: - > Deregistering
    lost: gone; Open > Connecting
    network: gone; Open > Connecting
    ok 100: gone; REGISTER 600000 > Registering
    ok 0: gone; REGISTER 600000 > Registering
    423 700000: gone; REGISTER 600000 > Registering
    423: gone; REGISTER 600000 > Registering
    500: gone; REGISTER 600000 > Registering
    503: gone; REGISTER 600000 > Registering
    403: gone; REGISTER 600000 > Registering
    silence: gone; Open > Connecting
    broken: gone; Open > Connecting
    clock: gone; REGISTER 600000 > Registering
Waiting
    deregister: gone > Unregistered
    network: Open > Connecting
    clock: REGISTER 600000 > Registering
Waiting bound
    deregister: REGISTER 0 > Deregistering
    lost: lost > Waiting
    network: lost; Open > Connecting
    clock: lost > Waiting
Failed
    register: REGISTER 600000 > Registering
    deregister: gone > Unregistered
";

/// The way to each state.
const WAYS: [(&str, &str); 14] = [
    ("Unregistered", "0 ready"),
    ("Connecting", "0 register"),
    ("Registering", "0 ready\n0 register"),
    ("Registering again", "0 ready\n0 register\n0 refresh"),
    ("Registering leaving", "0 ready\n0 register\n0 deregister"),
    ("Registered", "0 ready\n0 register\n0 ok 100"),
    ("Refreshing", "0 ready\n0 register\n0 ok 100\n0 refresh"),
    (
        "Refreshing again",
        "0 ready\n0 register\n0 ok 100\n0 refresh\n0 refresh",
    ),
    (
        "Refreshing leaving",
        "0 ready\n0 register\n0 ok 100\n0 refresh\n0 deregister",
    ),
    (
        "Deregistering",
        "0 ready\n0 register\n0 ok 100\n0 deregister",
    ),
    (
        "Deregistering returning",
        "0 ready\n0 register\n0 ok 100\n0 deregister\n0 register",
    ),
    ("Waiting", "0 ready\n0 register\n0 500"),
    (
        "Waiting bound",
        "0 ready\n0 register\n0 ok 100\n0 refresh\n0 500",
    ),
    ("Failed", "0 ready\n0 register\n0 403"),
];

const INPUTS: [&str; 20] = [
    "register",
    "refresh",
    "deregister",
    "ready",
    "lost",
    "network",
    "alive",
    "ok 100",
    "ok 0",
    "423 700000",
    "423",
    "500",
    "503",
    "403",
    "silence",
    "broken",
    "shortened 20",
    "deactivated",
    "rejected",
    "clock",
];

fn name(state: State) -> &'static str {
    match state {
        State::Unregistered => "Unregistered",
        State::Connecting => "Connecting",
        State::Registering { then, .. } => match then {
            Then::Nothing => "Registering",
            Then::Refresh => "Registering again",
            Then::Deregister { .. } => "Registering leaving",
        },
        State::Registered { .. } => "Registered",
        State::Refreshing { then, .. } => match then {
            Then::Nothing => "Refreshing",
            Then::Refresh => "Refreshing again",
            Then::Deregister { .. } => "Refreshing leaving",
        },
        State::Deregistering { then, .. } => match then {
            Afterwards::Stay => "Deregistering",
            Afterwards::Register => "Deregistering returning",
        },
        State::Waiting { binding, .. } => match binding {
            Some(_) => "Waiting bound",
            None => "Waiting",
        },
        State::Failed => "Failed",
    }
}

#[test]
fn every_cell() {
    play::every_cell(scene, &WAYS, &INPUTS, CELLS);
}

/// Any inputs in any order: one REGISTER at a time and never without a flow, no deadline in the
/// past, and whoever leaves is gone in time.
#[test]
fn any_inputs() {
    for seed in 1..=5_000_u64 {
        let mut dice = Rng::new(seed);
        let mut scene = scene();
        scene.keep_alives = match dice.next_u64() % 2 {
            0 => KeepAlives::Supervised,
            _ => KeepAlives::Unsupervised,
        };
        let mut flow = false;
        let mut leaves_until = None;
        for _ in 0..60 {
            scene.now += dice.next_u64() % 60_000;
            let input = INPUTS[(dice.next_u64() % INPUTS.len() as u64) as usize];
            let before = scene.machine.state();
            let step = scene.give(input);
            let place = format!(
                "seed {seed}: {input} at {}: {before:?}, {step:?}",
                scene.now
            );
            flow = match input {
                "ready" => true,
                "lost" | "network" => false,
                // The owner replaces the flow when it is asked for a new one.
                _ => flow && step.action != RegistrationAction::OpenFlow,
            };
            let answers = ["ok 100", "ok 0", "423 700000", "423", "500", "503", "403"];
            match step.action {
                RegistrationAction::SendRegister { .. } | RegistrationAction::SendDeregister => {
                    assert!(flow, "without a flow: {place}");
                    let busy = matches!(
                        before,
                        State::Registering { .. }
                            | State::Refreshing { .. }
                            | State::Deregistering { .. }
                    );
                    let given_up =
                        input == "clock" && step.event == Some(RegistrationEvent::Deregistered);
                    assert!(
                        !busy || given_up || answers.contains(&input),
                        "two at a time: {place}"
                    );
                }
                RegistrationAction::OpenFlow | RegistrationAction::Nothing => {}
            }
            match input {
                "deregister" if step.event != Some(RegistrationEvent::Deregistered) => {
                    leaves_until = leaves_until.or(Some(scene.now + 32_000));
                }
                "register" => leaves_until = None,
                _ => {}
            }
            if step.event == Some(RegistrationEvent::Deregistered) {
                leaves_until = None;
            }
            for turn in 0.. {
                assert!(turn < 4, "no end: {place}");
                let step = scene.give("clock");
                if step.event == Some(RegistrationEvent::Deregistered) {
                    leaves_until = None;
                }
                flow &= step.action != RegistrationAction::OpenFlow;
                if step == Step::NOTHING {
                    break;
                }
            }
            if let Some(due) = scene.machine.deadline() {
                assert!(due.as_millis() > scene.now, "deadline in the past: {place}");
            }
            if let Some(until) = leaves_until {
                assert!(scene.now < until, "still here: {place}");
            }
        }
    }
}

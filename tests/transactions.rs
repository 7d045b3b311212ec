//! RFC 3261 §17, RFC 6026 and RFC 4320: every cell of the four machines, their timers to the
//! millisecond, and what no setting and no clock may do to them.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

use oma_im::sip::transaction::{
    Cancel, ClientAction, InviteClient, InviteServer, MergeKey, NonInviteClient, NonInviteServer,
    OldFields, Reliability, RequestKey, ServerAction, Timers, TimersError, TopVia, client,
    client_invite, key, server, server_invite,
};
use oma_im::time::Instant;
use oma_im::wire::name::Status;
use std::collections::BTreeSet;

const TIMERS: Timers = Timers::RFC3261;
const BOTH: [Reliability; 2] = [Reliability::Unreliable, Reliability::Reliable];

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn status(code: u16) -> Status {
    Status::new(code).unwrap()
}

/// What the four machines have in common, for the tests.
trait Machine: Copy + std::fmt::Debug + PartialEq {
    fn start(now: Instant, timers: &Timers, reliability: Reliability) -> Self;
    fn timeout(&mut self, now: Instant, timers: &Timers) -> String;
    fn deadline(&self) -> Option<Instant>;
    fn is_terminated(&self) -> bool;
    fn state(&self) -> &'static str;
    /// Gives the machine one of its inputs by name.
    fn input(&mut self, input: &str, now: Instant, timers: &Timers) -> String;
    /// The inputs that lead from the start to a state.
    fn way_to(state: &str) -> &'static [&'static str];
    const INPUTS: &'static [&'static str];
    /// The inputs, the clock and the state, one line a cell: see `cells`.
    const TABLE: &'static str;
}

macro_rules! machine {
    ($name:ident, $now:ident, $timers:ident, $reliability:ident, $start:expr, $machine:ident, $input:ident,
     $code:ident, $other:expr, $answer:expr, states: $states:expr, inputs: $inputs:expr, ways: {$($state:literal $way:expr,)*}, $table:expr) => {
        impl Machine for $name {
            fn start($now: Instant, $timers: &Timers, $reliability: Reliability) -> Self {
                $start
            }
            fn timeout(&mut self, now: Instant, timers: &Timers) -> String {
                format!("{:?}", $name::timeout(self, now, timers))
            }
            fn deadline(&self) -> Option<Instant> {
                $name::deadline(self)
            }
            fn is_terminated(&self) -> bool {
                $name::is_terminated(self)
            }
            fn state(&self) -> &'static str {
                $states($name::state(self))
            }
            fn input(&mut self, $input: &str, $now: Instant, $timers: &Timers) -> String {
                let $machine = self;
                if let Ok(code) = $input.parse() {
                    let $code = status(code);
                    format!("{:?}", $answer)
                } else if $input == "broken" {
                    format!("{:?}", $machine.transport_failed())
                } else {
                    $other
                }
            }
            fn way_to(state: &str) -> &'static [&'static str] {
                match state {
                    $($state => &$way,)*
                    other => panic!("no state {other}"),
                }
            }
            const INPUTS: &'static [&'static str] = &$inputs;
            const TABLE: &'static str = $table;
        }
    };
}

machine! {
    InviteClient, now, timers, reliability, InviteClient::start(now, timers, reliability),
    machine, input, code,
    match input {
        "cancel" => format!("{:?}", machine.cancel(now, timers)),
        other => panic!("no input {other}"),
    },
    machine.response(now, timers, code),
    states: |state| match state {
        client_invite::State::Calling { .. } => "Calling",
        client_invite::State::Proceeding { cancelled: None, .. } => "Proceeding",
        client_invite::State::Proceeding { cancelled: Some(_), .. } => "Cancelled",
        client_invite::State::Completed { .. } => "Completed",
        client_invite::State::Accepted { .. } => "Accepted",
        client_invite::State::Terminated => "Terminated",
    },
    inputs: ["1xx", "2xx", "3-6xx", "cancel", "hour", "broken"],
    ways: {
        "Calling" [],
        "Proceeding" ["180"],
        "Cancelled" ["180", "cancel"],
        "Completed" ["486"],
        "Accepted" ["200"],
        "Terminated" ["broken"],
    },
    "
    Calling    1xx    Deliver         Proceeding
    Calling    2xx    Deliver         Accepted
    Calling    3-6xx  DeliverAndAck   Completed   Terminated
    Calling    cancel Wait            Calling
    Calling    hour   TimedOut        Terminated
    Calling    broken TransportFailed Terminated
    Proceeding 1xx    Deliver         Proceeding
    Proceeding 2xx    Deliver         Accepted
    Proceeding 3-6xx  DeliverAndAck   Completed   Terminated
    Proceeding cancel Send            Cancelled
    Proceeding hour   Nothing         Proceeding
    Proceeding broken TransportFailed Terminated
    Cancelled  1xx    Deliver         Cancelled
    Cancelled  2xx    Deliver         Accepted
    Cancelled  3-6xx  DeliverAndAck   Completed   Terminated
    Cancelled  cancel Pending         Cancelled
    Cancelled  hour   TimedOut        Terminated
    Cancelled  broken TransportFailed Terminated
    Completed  1xx    Nothing         Completed
    Completed  2xx    Nothing         Completed
    Completed  3-6xx  Ack             Completed
    Completed  cancel TooLate         Completed
    Completed  hour   Ended           Terminated
    Completed  broken TransportFailed Terminated
    Accepted   1xx    Nothing         Accepted
    Accepted   2xx    Deliver         Accepted
    Accepted   3-6xx  Nothing         Accepted
    Accepted   cancel TooLate         Accepted
    Accepted   hour   Ended           Terminated
    Accepted   broken Nothing         Accepted
    Terminated 1xx    Nothing         Terminated
    Terminated 2xx    Nothing         Terminated
    Terminated 3-6xx  Nothing         Terminated
    Terminated cancel TooLate         Terminated
    Terminated hour   Nothing         Terminated
    Terminated broken Nothing         Terminated
    "
}

machine! {
    NonInviteClient, now, timers, reliability, NonInviteClient::start(now, timers, reliability),
    machine, input, code, panic!("no input {input}"),
    machine.response(now, timers, code),
    states: |state| match state {
        client::State::Trying { .. } => "Trying",
        client::State::Proceeding { .. } => "Proceeding",
        client::State::Completed { .. } => "Completed",
        client::State::Terminated => "Terminated",
    },
    inputs: ["1xx", "2-6xx", "hour", "broken"],
    ways: {
        "Trying" [],
        "Proceeding" ["100"],
        "Completed" ["200"],
        "Terminated" ["broken"],
    },
    "
    Trying     1xx    Deliver         Proceeding
    Trying     2-6xx  Deliver         Completed   Terminated
    Trying     hour   TimedOut        Terminated
    Trying     broken TransportFailed Terminated
    Proceeding 1xx    Deliver         Proceeding
    Proceeding 2-6xx  Deliver         Completed   Terminated
    Proceeding hour   TimedOut        Terminated
    Proceeding broken TransportFailed Terminated
    Completed  1xx    Nothing         Completed
    Completed  2-6xx  Nothing         Completed
    Completed  hour   Ended           Terminated
    Completed  broken Nothing         Completed
    Terminated 1xx    Nothing         Terminated
    Terminated 2-6xx  Nothing         Terminated
    Terminated hour   Nothing         Terminated
    Terminated broken Nothing         Terminated
    "
}

machine! {
    InviteServer, now, _timers, reliability, InviteServer::start(now, reliability),
    machine, input, code,
    match input {
        "again" => format!("{:?}", machine.request()),
        "ack" => format!("{:?}", machine.ack(now, _timers)),
        other => panic!("no input {other}"),
    },
    machine.respond(now, _timers, code),
    states: |state| match state {
        server_invite::State::Proceeding { heard: server_invite::Heard::Silence { .. }, .. } => "Silent",
        server_invite::State::Proceeding { heard: server_invite::Heard::Provisional, .. } => "Proceeding",
        server_invite::State::Completed { .. } => "Completed",
        server_invite::State::Confirmed { .. } => "Confirmed",
        server_invite::State::Accepted { .. } => "Accepted",
        server_invite::State::Terminated => "Terminated",
    },
    inputs: ["again", "1xx", "2xx", "3-6xx", "ack", "hour", "broken"],
    ways: {
        "Silent" [],
        "Proceeding" ["180"],
        "Completed" ["486"],
        "Confirmed" ["486", "ack"],
        "Accepted" ["200"],
        "Terminated" ["200", "hour"],
    },
    "
    Silent     again  SendTrying      Proceeding
    Silent     1xx    Send            Proceeding
    Silent     2xx    Send            Accepted
    Silent     3-6xx  Send            Completed
    Silent     ack    Nothing         Silent
    Silent     hour   SendTrying      Proceeding
    Silent     broken TransportFailed Silent
    Proceeding again  Resend          Proceeding
    Proceeding 1xx    Send            Proceeding
    Proceeding 2xx    Send            Accepted
    Proceeding 3-6xx  Send            Completed
    Proceeding ack    Nothing         Proceeding
    Proceeding hour   Nothing         Proceeding
    Proceeding broken TransportFailed Proceeding
    Completed  again  Resend          Completed
    Completed  1xx    Refused         Completed
    Completed  2xx    Refused         Completed
    Completed  3-6xx  Refused         Completed
    Completed  ack    Nothing,Ended   Confirmed   Terminated
    Completed  hour   TimedOut        Terminated
    Completed  broken TransportFailed Completed
    Confirmed  again  Nothing         Confirmed
    Confirmed  1xx    Refused         Confirmed
    Confirmed  2xx    Refused         Confirmed
    Confirmed  3-6xx  Refused         Confirmed
    Confirmed  ack    Nothing         Confirmed
    Confirmed  hour   Ended           Terminated
    Confirmed  broken Nothing         Confirmed
    Accepted   again  Nothing         Accepted
    Accepted   1xx    Refused         Accepted
    Accepted   2xx    Send            Accepted
    Accepted   3-6xx  Refused         Accepted
    Accepted   ack    DeliverAck      Accepted
    Accepted   hour   Ended           Terminated
    Accepted   broken TransportFailed Accepted
    Terminated again  Nothing         Terminated
    Terminated 1xx    Refused         Terminated
    Terminated 2xx    Refused         Terminated
    Terminated 3-6xx  Refused         Terminated
    Terminated ack    Nothing         Terminated
    Terminated hour   Nothing         Terminated
    Terminated broken Nothing         Terminated
    "
}

machine! {
    NonInviteServer, now, timers, reliability, NonInviteServer::start(now, timers, reliability),
    machine, input, code,
    match input {
        "again" => format!("{:?}", machine.request()),
        "3.5s" => Machine::timeout(machine, now.after(3_500), timers),
        other => panic!("no input {other}"),
    },
    machine.respond(now, timers, code),
    states: |state| match state {
        server::State::Trying { .. } => "Trying",
        server::State::Proceeding { .. } => "Proceeding",
        server::State::Completed { .. } => "Completed",
        server::State::Terminated => "Terminated",
    },
    inputs: ["again", "100", "1xx+408", "2-6xx-408", "hour", "broken"],
    ways: {
        "Trying" [],
        "Proceeding" ["3.5s"],
        "Completed" ["200"],
        "Terminated" ["hour"],
    },
    "
    Trying     again     Nothing         Trying
    Trying     100       Refused,Send    Trying      Proceeding
    Trying     1xx+408   Refused         Trying
    Trying     2-6xx-408 Send            Completed   Terminated
    Trying     hour      TimedOut        Terminated
    Trying     broken    TransportFailed Trying
    Proceeding again     Resend          Proceeding
    Proceeding 100       Send            Proceeding
    Proceeding 1xx+408   Refused         Proceeding
    Proceeding 2-6xx-408 Send            Completed   Terminated
    Proceeding hour      TimedOut        Terminated
    Proceeding broken    TransportFailed Proceeding
    Completed  again     Resend          Completed
    Completed  100       Refused         Completed
    Completed  1xx+408   Refused         Completed
    Completed  2-6xx-408 Refused         Completed
    Completed  hour      Ended           Terminated
    Completed  broken    TransportFailed Completed
    Terminated again     Nothing         Terminated
    Terminated 100       Refused         Terminated
    Terminated 1xx+408   Refused         Terminated
    Terminated 2-6xx-408 Refused         Terminated
    Terminated hour      Nothing         Terminated
    Terminated broken    Nothing         Terminated
    "
}

/// The inputs that a column of a table stands for.
fn inputs_of(column: &str) -> Vec<String> {
    let codes: Vec<u16> = match column {
        "100" => vec![100],
        "1xx" => (100..200).collect(),
        "1xx+408" => (101..200).chain([408]).collect(),
        "2xx" => (200..300).collect(),
        "3-6xx" => (300..700).collect(),
        "2-6xx" => (200..700).collect(),
        "2-6xx-408" => (200..408).chain(409..700).collect(),
        other => return vec![other.to_owned()],
    };
    codes.iter().map(u16::to_string).collect()
}

/// Runs one input; `hour` is a clock that jumps.
fn give<M: Machine>(machine: &mut M, input: &str, now: Instant) -> String {
    match input {
        "hour" => machine.timeout(now.after(3_600_000), &TIMERS),
        other => machine.input(other, now, &TIMERS),
    }
}

/// Checks every line of the table: `state input action next`; where UDP and TCP differ, the action
/// is `udp,tcp` and next is two words.
fn cells<M: Machine>() {
    let mut seen = BTreeSet::new();
    let mut states = BTreeSet::new();
    for line in M::TABLE.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [state, column, action, next @ ..] = words.as_slice() else {
            panic!("bad line {line}");
        };
        assert!(seen.insert((*state, *column)), "twice: {line}");
        states.insert(*state);
        for (transport, reliability) in BOTH.into_iter().enumerate() {
            let action = action
                .split(',')
                .nth(transport)
                .unwrap_or(action.split(',').next().unwrap());
            let next = next.get(transport).unwrap_or(&next[0]);
            let mut machine = M::start(at(0), &TIMERS, reliability);
            for step in M::way_to(state) {
                let _ = give(&mut machine, step, at(0));
            }
            if machine.state() != *state {
                // On a reliable transport there is nothing to wait for in these.
                assert_eq!(reliability, Reliability::Reliable, "{line}");
                assert!(["Completed", "Confirmed"].contains(state), "{line}");
                assert!(machine.is_terminated(), "{line}");
                continue;
            }
            for input in inputs_of(column) {
                let mut machine = machine;
                let did = give(&mut machine, &input, at(0));
                let place = format!("{reliability:?}, {input}: {line}");
                assert_eq!(did, action, "{place}");
                assert_eq!(machine.state(), *next, "{place}");
                assert_eq!(machine.is_terminated(), *next == "Terminated", "{place}");
                assert!(
                    !machine.is_terminated() || machine.deadline().is_none(),
                    "{place}"
                );
            }
        }
    }
    assert_eq!(
        seen.len(),
        states.len() * M::INPUTS.len(),
        "a cell is missing"
    );
    for state in states {
        for input in M::INPUTS {
            assert!(
                seen.contains(&(state, *input)),
                "{state} {input} is missing"
            );
        }
    }
}

#[test]
fn every_cell_of_the_invite_client() {
    cells::<InviteClient>();
}

#[test]
fn every_cell_of_the_non_invite_client() {
    cells::<NonInviteClient>();
}

#[test]
fn every_cell_of_the_invite_server() {
    cells::<InviteServer>();
}

#[test]
fn every_cell_of_the_non_invite_server() {
    cells::<NonInviteServer>();
}

/// Follows the deadlines to the end: `time action` for each, in milliseconds.
fn ladder<M: Machine>(machine: &mut M, timers: &Timers) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(due) = machine.deadline() {
        // Nothing happens a millisecond too early.
        let mut early = *machine;
        assert_eq!(early.timeout(at(due.as_millis() - 1), timers), "Nothing");
        assert_eq!(early, *machine);
        lines.push(format!(
            "{} {}",
            due.as_millis(),
            machine.timeout(due, timers)
        ));
        assert_eq!(machine.timeout(due, timers), "Nothing", "once only");
        assert!(lines.len() < 100, "no end: {lines:?}");
    }
    lines
}

fn ladder_after<M: Machine>(
    inputs: &[&str],
    reliability: Reliability,
    timers: &Timers,
) -> Vec<String> {
    let mut machine = M::start(at(0), timers, reliability);
    for input in inputs {
        let _ = machine.input(input, at(0), timers);
    }
    ladder(&mut machine, timers)
}

/// RFC 3261 §17.1.1.2: seven INVITEs in 64·T1.
#[test]
fn timers_a_and_b() {
    let ladder = |reliability| ladder_after::<InviteClient>(&[], reliability, &TIMERS);
    assert_eq!(
        ladder(Reliability::Unreliable),
        [
            "500 Resend",
            "1500 Resend",
            "3500 Resend",
            "7500 Resend",
            "15500 Resend",
            "31500 Resend",
            "32000 TimedOut"
        ]
    );
    assert_eq!(ladder(Reliability::Reliable), ["32000 TimedOut"]);
}

/// RFC 3261 §17.1.1.2: Timer D is 32 s or more on UDP; RFC 6026 §7.2: Timer M is 64·T1 everywhere.
#[test]
fn timers_d_and_m() {
    for (timers, d, m) in [
        (Timers::RFC3261, "32000 Ended", "32000 Ended"),
        (Timers::IMS, "128000 Ended", "128000 Ended"),
        (
            Timers::new(100, 4_000, 5_000).unwrap(),
            "32000 Ended",
            "6400 Ended",
        ),
    ] {
        let udp = Reliability::Unreliable;
        assert_eq!(ladder_after::<InviteClient>(&["404"], udp, &timers), [d]);
        for reliability in BOTH {
            assert_eq!(
                ladder_after::<InviteClient>(&["200"], reliability, &timers),
                [m]
            );
        }
    }
    let none: [&str; 0] = [];
    assert_eq!(
        ladder_after::<InviteClient>(&["404"], Reliability::Reliable, &TIMERS),
        none
    );
}

/// RFC 3261 §17.1.2.2: 500 ms, 1 s, 2 s, 4 s, 4 s...
#[test]
fn timers_e_f_and_k() {
    assert_eq!(
        ladder_after::<NonInviteClient>(&[], Reliability::Unreliable, &TIMERS),
        [
            "500 Resend",
            "1500 Resend",
            "3500 Resend",
            "7500 Resend",
            "11500 Resend",
            "15500 Resend",
            "19500 Resend",
            "23500 Resend",
            "27500 Resend",
            "31500 Resend",
            "32000 TimedOut"
        ]
    );
    // After a provisional response Timer E runs out once as it was set, then it is T2.
    assert_eq!(
        ladder_after::<NonInviteClient>(&["100"], Reliability::Unreliable, &TIMERS),
        [
            "500 Resend",
            "4500 Resend",
            "8500 Resend",
            "12500 Resend",
            "16500 Resend",
            "20500 Resend",
            "24500 Resend",
            "28500 Resend",
            "32000 TimedOut"
        ]
    );
    assert_eq!(
        ladder_after::<NonInviteClient>(&[], Reliability::Unreliable, &Timers::IMS),
        [
            "2000 Resend",
            "6000 Resend",
            "14000 Resend",
            "30000 Resend",
            "46000 Resend",
            "62000 Resend",
            "78000 Resend",
            "94000 Resend",
            "110000 Resend",
            "126000 Resend",
            "128000 TimedOut"
        ]
    );
    for way in [&[][..], &["100"]] {
        let ladder = ladder_after::<NonInviteClient>(way, Reliability::Reliable, &TIMERS);
        assert_eq!(ladder, ["32000 TimedOut"]);
    }
    assert_eq!(
        ladder_after::<NonInviteClient>(&["200"], Reliability::Unreliable, &TIMERS),
        ["5000 Ended"]
    );
}

/// RFC 3261 §17.2.1: 100 after 200 ms; G doubles to T2; H is 64·T1; I is T4. RFC 6026: L.
#[test]
fn timers_g_h_i_and_l() {
    let udp = Reliability::Unreliable;
    for reliability in BOTH {
        assert_eq!(
            ladder_after::<InviteServer>(&[], reliability, &TIMERS),
            ["200 SendTrying"]
        );
        assert_eq!(
            ladder_after::<InviteServer>(&["200"], reliability, &TIMERS),
            ["32000 Ended"]
        );
    }
    assert_eq!(
        ladder_after::<InviteServer>(&["486"], udp, &TIMERS),
        [
            "500 Resend",
            "1500 Resend",
            "3500 Resend",
            "7500 Resend",
            "11500 Resend",
            "15500 Resend",
            "19500 Resend",
            "23500 Resend",
            "27500 Resend",
            "31500 Resend",
            "32000 TimedOut"
        ]
    );
    assert_eq!(
        ladder_after::<InviteServer>(&["486"], Reliability::Reliable, &TIMERS),
        ["32000 TimedOut"]
    );
    assert_eq!(
        ladder_after::<InviteServer>(&["486", "ack"], udp, &TIMERS),
        ["5000 Ended"]
    );
}

/// RFC 4320 §4.1: 100 when Timer E has reached T2, which is 3.5 s, on any transport; J is 64·T1.
#[test]
fn non_invite_server_says_trying_late_and_408_never() {
    for reliability in BOTH {
        assert_eq!(
            ladder_after::<NonInviteServer>(&[], reliability, &TIMERS),
            ["3500 SendTrying", "32000 TimedOut"]
        );
        assert_eq!(
            ladder_after::<NonInviteServer>(&["408"], reliability, &TIMERS),
            ["3500 SendTrying", "32000 TimedOut"],
            "a TU that gave up changes nothing"
        );
        assert_eq!(
            ladder_after::<NonInviteServer>(&[], reliability, &Timers::IMS),
            ["14000 SendTrying", "128000 TimedOut"]
        );
    }
    assert_eq!(
        ladder_after::<NonInviteServer>(&["202"], Reliability::Unreliable, &TIMERS),
        ["32000 Ended"]
    );
    // The TU's own 100 may go out from then on.
    let mut machine = NonInviteServer::start(at(0), &TIMERS, Reliability::Unreliable);
    assert_eq!(
        machine.respond(at(3_499), &TIMERS, Status::TRYING),
        ServerAction::Refused
    );
    assert_eq!(
        machine.respond(at(3_500), &TIMERS, Status::TRYING),
        ServerAction::Send
    );
    assert_eq!(machine.request(), ServerAction::Resend);
}

#[test]
fn when_timer_e_reaches_t2() {
    for (t1, t2, expected) in [
        (500, 4_000, 3_500),
        (2_000, 16_000, 14_000),
        (500, 500, 500),
        (500, 1_000, 500),
        (500, 1_001, 1_500),
        (1, 3_840_000, (1 << 22) - 1),
    ] {
        assert_eq!(
            Timers::new(t1, t2, 0).unwrap().e_reaches_t2(),
            expected,
            "{t1} {t2}"
        );
    }
}

/// RFC 3261 §9.1: no CANCEL before a provisional response; the INVITE ends 64·T1 after it.
#[test]
fn cancel_waits_for_a_provisional_response() {
    let mut invite = InviteClient::start(at(0), &TIMERS, Reliability::Unreliable);
    assert_eq!(invite.cancel(at(10), &TIMERS), Cancel::Wait);
    assert_eq!(invite.timeout(at(500), &TIMERS), ClientAction::Resend);
    assert_eq!(
        invite.response(at(600), &TIMERS, status(180)),
        ClientAction::Deliver
    );
    assert_eq!(invite.deadline(), None);
    assert_eq!(invite.cancel(at(600), &TIMERS), Cancel::Send);
    assert_eq!(invite.cancel(at(9_000), &TIMERS), Cancel::Pending);
    let mut silent = invite;
    assert_eq!(ladder(&mut silent, &TIMERS), ["32600 TimedOut"]);
    // The usual end, and the end when the 200 was faster.
    assert_eq!(
        invite.response(at(700), &TIMERS, status(487)),
        ClientAction::DeliverAndAck
    );
    assert_eq!(invite.cancel(at(701), &TIMERS), Cancel::TooLate);
}

/// An INVITE that ends badly: the final response comes twice, and so does the ACK.
#[test]
fn ack_for_each_copy_of_a_failure() {
    let mut caller = InviteClient::start(at(0), &TIMERS, Reliability::Unreliable);
    let mut callee = InviteServer::start(at(20), Reliability::Unreliable);
    assert_eq!(
        callee.respond(at(100), &TIMERS, status(480)),
        ServerAction::Send
    );
    assert_eq!(
        caller.response(at(120), &TIMERS, status(480)),
        ClientAction::DeliverAndAck
    );
    // The ACK is lost.
    assert_eq!(callee.timeout(at(600), &TIMERS), ServerAction::Resend);
    assert_eq!(
        caller.response(at(620), &TIMERS, status(480)),
        ClientAction::Ack
    );
    assert_eq!(callee.ack(at(640), &TIMERS), ServerAction::Nothing);
    assert_eq!(callee.request(), ServerAction::Nothing);
    assert_eq!(ladder(&mut callee, &TIMERS), ["5640 Ended"]);
    assert_eq!(ladder(&mut caller, &TIMERS), ["32120 Ended"]);
}

/// RFC 6026: the INVITE of which the 200 was lost is absorbed, every 200 reaches the TU.
#[test]
fn accepted_invites_stay() {
    let mut callee = InviteServer::start(at(0), Reliability::Unreliable);
    assert_eq!(
        callee.respond(at(10), &TIMERS, status(200)),
        ServerAction::Send
    );
    assert_eq!(callee.transport_failed(), ServerAction::TransportFailed);
    assert_eq!(callee.request(), ServerAction::Nothing);
    assert_eq!(
        callee.respond(at(510), &TIMERS, status(200)),
        ServerAction::Send
    );
    assert_eq!(callee.ack(at(530), &TIMERS), ServerAction::DeliverAck);

    let mut caller = InviteClient::start(at(0), &TIMERS, Reliability::Reliable);
    for _ in 0..3 {
        assert_eq!(
            caller.response(at(520), &TIMERS, status(200)),
            ClientAction::Deliver
        );
    }
    assert_eq!(ladder(&mut caller, &TIMERS), ["32520 Ended"]);
}

#[test]
fn late_calls_and_a_clock_that_goes_back() {
    // A caller that is 100 ms late moves the next retransmission, it does not hurry it.
    let mut message = NonInviteClient::start(at(0), &TIMERS, Reliability::Unreliable);
    assert_eq!(message.timeout(at(600), &TIMERS), ClientAction::Resend);
    assert_eq!(message.deadline(), Some(at(1_600)));
    // A gap of ten seconds costs one retransmission, not four.
    assert_eq!(message.timeout(at(11_600), &TIMERS), ClientAction::Resend);
    assert_eq!(message.timeout(at(11_600), &TIMERS), ClientAction::Nothing);
    let before = message;
    assert_eq!(message.timeout(at(5), &TIMERS), ClientAction::Nothing);
    assert_eq!(message, before);
    // The response that was waiting in the socket while the device slept is still good.
    assert_eq!(
        message.response(at(3_600_000), &TIMERS, status(200)),
        ClientAction::Deliver
    );
}

#[test]
fn settings_are_checked() {
    assert_eq!(Timers::default(), Timers::new(500, 4_000, 5_000).unwrap());
    assert_eq!(Timers::IMS, Timers::new(2_000, 16_000, 17_000).unwrap());
    let read = |timers: Timers| (timers.t1(), timers.t2(), timers.t4());
    assert_eq!(read(Timers::IMS), (2_000, 16_000, 17_000));
    for (t1, t2, t4, error) in [
        (0, 4_000, 5_000, TimersError::T1),
        (60_001, 60_001, 0, TimersError::T1),
        (u32::MAX, u32::MAX, u32::MAX, TimersError::T1),
        (500, 499, 5_000, TimersError::T2),
        (500, 3_840_001, 5_000, TimersError::T2),
        (500, 4_000, 3_840_001, TimersError::T4),
    ] {
        assert_eq!(Timers::new(t1, t2, t4), Err(error), "{t1} {t2} {t4}");
    }
    for (t1, t2, t4) in [(1, 1, 0), (60_000, 3_840_000, 3_840_000)] {
        assert!(Timers::new(t1, t2, t4).is_ok(), "{t1} {t2} {t4}");
    }
}

/// xorshift64*: enough to pick cases; the seed is in the message of each failure.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.roll() % from.len() as u64) as usize]
    }
}

/// CVE-2016-2316: whatever the settings and the clock, a machine that is asked until it says
/// Nothing says so soon, never wants a time that has passed, and ends when its longest timer does.
#[test]
fn no_setting_and_no_clock_makes_a_machine_hang() {
    fn run<M: Machine>(dice: &mut Dice, timers: &Timers, inputs: &[&str], seed: u64) {
        let start = dice.pick(&[0, 1, 1 << 32, 1 << 63, u64::MAX - 1_000_000, u64::MAX]);
        let mut now = at(start);
        let reliability = dice.pick(&BOTH);
        let mut machine = M::start(now, timers, reliability);
        let mut resent = 0;
        let longest = timers.t1_64().max(timers.d()).max(u64::from(timers.t4()));
        let mut quiet_since = now;
        for _ in 0..200 {
            let mut calls = 0;
            loop {
                match machine.timeout(now, timers).as_str() {
                    "Nothing" => break,
                    "Resend" => resent += 1,
                    _ => {}
                }
                calls += 1;
                assert!(calls <= 2, "seed {seed}: {machine:?} never says Nothing");
            }
            let Some(due) = machine.deadline() else { break };
            assert!(due > now, "seed {seed}: {machine:?} at {now:?}");
            assert!(
                due.since(quiet_since) <= longest,
                "seed {seed}: {machine:?}"
            );
            match dice.roll() % 4 {
                0 => {
                    let _ = machine.input(dice.pick(inputs), now, timers);
                    quiet_since = now;
                }
                1 => now = now.after(dice.roll() % 100_000),
                _ => now = due,
            }
        }
        assert!(resent <= 200, "seed {seed}");
    }
    let edges = [
        0,
        1,
        2,
        499,
        500,
        501,
        32_000,
        60_000,
        60_001,
        3_840_000,
        3_840_001,
        u32::MAX,
    ];
    let mut taken = 0_u32;
    for seed in 1..=20_000_u64 {
        let mut dice = Dice(seed);
        let value = |dice: &mut Dice| match dice.roll() % 3 {
            0 => dice.pick(&edges),
            1 => dice.roll() as u32,
            _ => (dice.roll() % 10_000) as u32,
        };
        let (t1, t2, t4) = (value(&mut dice), value(&mut dice), value(&mut dice));
        let Ok(timers) = Timers::new(t1, t2, t4) else {
            continue;
        };
        taken += 1;
        let client = ["100", "180", "200", "302", "404", "503"];
        let server = ["again", "100", "180", "200", "302", "408", "503"];
        run::<InviteClient>(&mut dice, &timers, &client, seed);
        run::<NonInviteClient>(&mut dice, &timers, &client, seed);
        run::<InviteServer>(&mut dice, &timers, &server, seed);
        run::<NonInviteServer>(&mut dice, &timers, &server, seed);
    }
    assert!(taken > 2_000, "only {taken} settings were good");
}

#[test]
fn machines_are_small() {
    assert!(size_of::<InviteClient>() <= 40);
    assert!(size_of::<NonInviteClient>() <= 40);
    assert!(size_of::<InviteServer>() <= 40);
    assert!(size_of::<NonInviteServer>() <= 40);
}

fn via<'a>(branch: &'a [u8], host: &'a [u8], port: Option<u16>) -> TopVia<'a> {
    TopVia {
        value: b"SIP/2.0/UDP x",
        branch: Some(branch),
        host,
        port,
    }
}

/// RFC 3261 §17.2.3, first list.
#[test]
fn requests_match_by_branch_sent_by_and_method() {
    let key = |via: &TopVia<'_>, method: &[u8]| RequestKey::rfc3261(1, via).unwrap().of(method);
    let invite = key(&via(b"z9hG4bKa", b"Host.example", Some(5060)), b"INVITE");
    let same = via(b"z9hG4bKa", b"hOST.example", Some(5060));
    assert_eq!(key(&same, b"INVITE"), invite);
    assert_eq!(key(&same, b"ACK"), invite);
    let others = [
        key(&same, b"CANCEL"),
        key(&same, b"invite"),
        key(&same, b"MESSAGE"),
        key(&via(b"z9hG4bKA", b"host.example", Some(5060)), b"INVITE"),
        key(&via(b"z9hG4bKa", b"host.example", Some(5061)), b"INVITE"),
        key(&via(b"z9hG4bKa", b"host.example", None), b"INVITE"),
        key(&via(b"z9hG4bKa", b"host.exampl", Some(5060)), b"INVITE"),
        key(&via(b"z9hG4bKah", b"ost.example", Some(5060)), b"INVITE"),
        RequestKey::rfc3261(2, &same).unwrap().of(b"INVITE"),
    ];
    let mut all = BTreeSet::from(others);
    all.insert(invite);
    assert_eq!(all.len(), others.len() + 1);
    // RFC 3261 §9.2: a CANCEL names the INVITE that has all but the method in common.
    assert_eq!(RequestKey::rfc3261(1, &same).unwrap().of(b"INVITE"), invite);
}

/// RFC 4475 §3.2.1 and RFC 2543: without a branch that means something, six fields tell.
#[test]
fn requests_without_the_magic_cookie_match_by_their_fields() {
    for branch in [
        None,
        Some(&b"z9hG4bK"[..]),
        Some(b"Z9HG4BKa"),
        Some(b"1"),
        Some(b""),
    ] {
        let top = TopVia {
            branch,
            ..via(b"", b"h", None)
        };
        assert!(RequestKey::rfc3261(1, &top).is_none(), "{branch:?}");
    }
    assert!(key::has_magic_cookie(b"z9hG4bK1"));

    let top = via(b"1", b"h", None);
    let fields = OldFields {
        request_uri: b"sip:a@b",
        from_tag: b"f",
        to_tag: b"",
        call_id: b"c@d",
        cseq: 7,
    };
    let key =
        |fields: &OldFields<'_>, method: &[u8]| RequestKey::rfc2543(1, &top, fields).of(method);
    let invite = key(&fields, b"INVITE");
    // The ACK has the To tag of our response.
    let acknowledging = OldFields {
        to_tag: b"ours",
        ..fields
    };
    assert_eq!(key(&acknowledging, b"ACK"), invite);
    assert_ne!(key(&acknowledging, b"BYE"), key(&fields, b"BYE"));
    let others = [
        key(
            &OldFields {
                request_uri: b"sip:a@c",
                ..fields
            },
            b"INVITE",
        ),
        key(
            &OldFields {
                from_tag: b"g",
                ..fields
            },
            b"INVITE",
        ),
        key(
            &OldFields {
                call_id: b"c@e",
                ..fields
            },
            b"INVITE",
        ),
        key(&OldFields { cseq: 8, ..fields }, b"INVITE"),
        key(
            &OldFields {
                from_tag: b"fc",
                call_id: b"@d",
                ..fields
            },
            b"INVITE",
        ),
        RequestKey::rfc2543(
            1,
            &TopVia {
                value: b"SIP/2.0/UDP y",
                ..top
            },
            &fields,
        )
        .of(b"INVITE"),
        RequestKey::rfc3261(1, &via(b"z9hG4bKa", b"h", None))
            .unwrap()
            .of(b"INVITE"),
    ];
    let mut all = BTreeSet::from(others);
    all.insert(invite);
    assert_eq!(all.len(), others.len() + 1);

    // CVE-2017-9372: a method of any length is just hashed.
    let long = vec![b'M'; 65_536];
    assert_ne!(key(&fields, &long), key(&fields, &long[1..]));
}

/// RFC 3261 §8.2.2.2: a forked request that arrives over two ways.
#[test]
fn merged_requests_share_a_key() {
    let key = MergeKey::new(1, b"tag", b"id@host", 4711, b"MESSAGE");
    assert_eq!(MergeKey::new(1, b"tag", b"id@host", 4711, b"MESSAGE"), key);
    let others = [
        MergeKey::new(2, b"tag", b"id@host", 4711, b"MESSAGE"),
        MergeKey::new(1, b"tagi", b"d@host", 4711, b"MESSAGE"),
        MergeKey::new(1, b"tag", b"ID@host", 4711, b"MESSAGE"),
        MergeKey::new(1, b"tag", b"id@host", 4712, b"MESSAGE"),
        MergeKey::new(1, b"tag", b"id@host", 4711, b"INVITE"),
    ];
    assert!(!others.contains(&key));
}

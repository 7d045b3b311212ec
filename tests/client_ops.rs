//! Sequences of operations drawn from seeds: what holds after each step is in `testkit::ops`.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use arbitrary::{Arbitrary, Unstructured};
use oma_im::config::{DeliveryReports, KeepAlive, Nat, Transport};
use oma_im::storage::{Inline, Storage};
use oma_im::testkit::ops::{
    Body, By, Challenge, Document, Extra, InHeader, Notify, Offer, Op, Request, Run, Setup,
    Standing, Then, Wait, draw,
};
use oma_im::testkit::rng::Rng;
use oma_im::wire::cpim::Notifications;

/// The sequence of a seed. Every other one starts with a registration, so that it gets somewhere.
fn sequence(seed: u64) -> (Setup, Vec<Op>) {
    let mut rng = Rng::new(seed);
    let len = 200 + rng.below(5000);
    let bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
    let (setup, mut ops) = draw(&bytes);
    if seed.is_multiple_of(2) {
        ops.splice(
            0..0,
            [
                Op::WallClock(0),
                Op::Register,
                Op::Serve(Vec::new()),
                Op::Serve(Vec::new()),
            ],
        );
    }
    (setup, ops)
}

type Reached = BTreeMap<&'static str, u32>;

fn transcript<S: Storage>(setup: &Setup, ops: &[Op], storage: S) -> (String, Reached) {
    let mut run = Run::new(setup, storage).unwrap();
    run.all(ops);
    (run.transcript().to_string(), run.reached().clone())
}

#[derive(PartialEq, Eq)]
enum All {
    Seeds,
    One,
}

/// Runs each seed, or the one that `SEED` names; one that fails is printed with its operations.
fn for_each_seed(seeds: std::ops::Range<u64>, check: impl Fn(&Setup, &[Op])) -> All {
    let only = std::env::var("SEED").ok();
    let only = only.and_then(|seed| seed.parse::<u64>().ok());
    for seed in only.map_or(seeds, |seed| seed..seed + 1) {
        let (setup, ops) = sequence(seed);
        let result = catch_unwind(AssertUnwindSafe(|| check(&setup, &ops)));
        if let Err(panic) = result {
            eprintln!("seed {seed} (SEED={seed} repeats it)\n{setup:#?}");
            for (n, op) in ops.iter().enumerate() {
                eprintln!("{n}: {op:?}");
            }
            resume_unwind(panic);
        }
    }
    only.map_or(All::Seeds, |_| All::One)
}

/// What the seeds together have to show, or they try too little.
const SEEN: [&str; 44] = [
    "Registered {",
    "Refreshed {",
    "change: Lost",
    "Retrying {",
    "Failed(",
    "Event(Deregistered",
    "Delivered { status",
    "outcome: Accepted",
    "outcome: Withdrawn",
    "TooLargeForPager",
    "Event(Report(",
    "ReportWindowClosed",
    "outcome: Sent",
    "Event(Challenge",
    "Mapped {",
    "OwnerMustRegister",
    "LongRequests",
    "Full {",
    "NoPong",
    "NextCandidate",
    "SettingsDone { id: SettingsId(",
    "outcome: InEffect",
    "outcome: Removed",
    "outcome: RunsOut",
    "outcome: Superseded",
    "Event(Settings(InEffect",
    "Event(Settings(Lost",
    "Event(Settings(Retrying",
    "RetrieveDeferred",
    "SIP/2.0 200",
    "SIP/2.0 415",
    "SIP/2.0 480",
    "SIP/2.0 481",
    "SIP/2.0 482",
    "SIP/2.0 489",
    "SecurityOfferWanted {",
    "InstallSecurity {",
    "ExtendSecurity {",
    "DeleteSecurity {",
    "failure: Security",
    "change: Pending",
    "change: Failing(",
    "again_at: Some(",
    "again_at: None",
];

/// What they have to reach.
const REACHED: [&str; 22] = [
    "a protected registration",
    "a protected registration over one-way flows",
    "a re-authentication",
    "a set gave way to the next",
    "a challenge of AKAv2",
    "a synchronisation failure was told",
    "a wrong MAC was told",
    "an offer that does not fit",
    "a message went protected",
    "a message came protected",
    "settings went protected",
    "a SUBSCRIBE went protected",
    "Security-Verify is the list",
    "P-Access-Network-Info went out",
    "a 504 asked for restoration",
    "the registration is watched",
    "the settings are watched",
    "a NOTIFY was taken",
    "a NOTIFY shortened the registration",
    "a NOTIFY ended the registration",
    "settings of another device",
    "a deregistration by the protected path",
];

#[test]
fn anything_may_happen_in_any_order() {
    let missing = RefCell::new(SEEN.to_vec());
    let runs = RefCell::new(Reached::new());
    let seeds = std::env::var("OMA_IM_RUNS").ok();
    let seeds = seeds.map_or(600, |seeds| seeds.parse().unwrap());
    let all = for_each_seed(0..seeds, |setup, ops| {
        let (first, reached) = transcript(setup, ops, Inline::<4, 16, 4096>::new());
        let (second, _) = transcript(setup, ops, Inline::<4, 16, 4096>::new());
        assert!(first == second, "same seed, same inputs, other output");
        missing.borrow_mut().retain(|what| !first.contains(what));
        for what in reached.into_keys() {
            *runs.borrow_mut().entry(what).or_default() += 1;
        }
    });
    let runs = runs.into_inner();
    for (what, runs) in &runs {
        println!("{runs:6} of {seeds}: {what}");
    }
    if all == All::Seeds {
        assert_eq!(missing.into_inner(), [""; 0], "never happened");
        let reached = |what: &&str| runs.contains_key(what);
        let never: Vec<_> = REACHED.into_iter().filter(|what| !reached(what)).collect();
        assert_eq!(never, [""; 0], "never reached");
    }
}

// A stream that cannot be framed gets an answer and is closed; the driver, which has not drained,
// says first that it is closed.
#[test]
fn nothing_goes_out_on_a_flow_that_the_driver_has_closed() {
    let (setup, _) = draw(&[]);
    let tcp = Setup {
        transport: Transport::Tcp,
        ..setup
    };
    let mut run = Run::new(&tcp, Inline::<4, 16, 4096>::new()).unwrap();
    let broken = "OPTIONS sip:alice@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\n\
        From: <sip:bob@a>;tag=1\r\nTo: <sip:alice@a>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
        Content-Length: none\r\n\r\n";
    for op in [
        Op::Register,
        Op::Serve(Vec::new()),
        Op::Hold(3),
        Op::Bytes(0, broken.into()),
        Op::Closed(0),
    ] {
        run.step(&op);
    }
    let before = run.transcript().len();
    run.step(&Op::Hold(0));
    run.finish();
    let after = run.transcript().get(before..).unwrap();
    assert!(!after.contains("SIP/2.0 400"), "{after}");
    assert!(!after.contains("Close { flow: FlowId(1)"), "{after}");
}

/// An IMS core over this transport, with a client that watches its registration.
fn ims(transport: Transport) -> Setup {
    let (setup, _) = draw(&[]);
    let setup = setup.on_ims();
    Setup {
        transport,
        watch: 16,
        ..setup
    }
}

fn reached(run: &Run<Inline<4, 16, 4096>>, what: &str) -> u32 {
    run.reached().get(what).copied().unwrap_or(0)
}

// The clock jumps: a SUBSCRIBE that got no answer that can be read is to go again, but the security associations have
// ended too. It goes when there are new ones.
#[test]
fn nothing_but_register_goes_before_the_path_is_protected_again() {
    let mut run = Run::new(&ims(Transport::Tcp), Inline::<4, 16, 4096>::new()).unwrap();
    for op in [
        Op::Register,
        // There is an Expires already.
        Op::Serve(vec![Extra::Expires(40_000)]),
        Op::Wait(Wait::Minutes(133)),
    ] {
        run.step(&op);
    }
    let subscribed = reached(&run, "a SUBSCRIBE went protected");
    assert!(subscribed > 0);
    let before = run.transcript().len();
    run.step(&Op::Opened(0));
    run.step(&Op::Wait(Wait::Minutes(2)));
    let unprotected = run.transcript().get(before..).unwrap();
    assert!(!unprotected.contains("SUBSCRIBE"), "{unprotected}");
    run.step(&Op::Serve(Vec::new()));
    assert!(reached(&run, "a SUBSCRIBE went protected") > subscribed);
    assert!(run.client().is_ready());
    run.finish();
}

#[test]
fn an_unprotected_flow_is_not_kept_open_by_options() {
    let setup = Setup {
        keep_alive: KeepAlive::Options,
        ..ims(Transport::Udp)
    };
    let mut run = Run::new(&setup, Inline::<4, 16, 4096>::new()).unwrap();
    for op in [
        Op::Register,
        Op::Opened(0),
        Op::Offer(Offer::Fresh),
        Op::Wait(Wait::Deadlines(15)),
    ] {
        run.step(&op);
    }
    assert!(run.transcript().contains(" REGISTER "));
    assert!(!run.transcript().contains(" OPTIONS "));
    run.finish();
}

// `finish` looks at who holds blocks.
#[test]
fn a_registration_that_is_over_leaves_no_challenge_and_no_path_behind() {
    let mut run = Run::new(&ims(Transport::Udp), Inline::<4, 16, 4096>::new()).unwrap();
    for op in [
        Op::Register,
        Op::Serve(vec![Extra::Path]),
        Op::Deregister,
        Op::Serve(Vec::new()),
    ] {
        run.step(&op);
    }
    assert_eq!(reached(&run, "a deregistration by the protected path"), 1);
    assert_eq!(run.client().audit().registration, 1, "the account");
    run.finish();
}

// TS 33.203: the P-CSCF may open connections from its port-c. They and two sets of one-way flows are more than
// there is room for.
#[test]
fn a_connection_of_the_server_gives_way_to_the_next_set() {
    let mut run = Run::new(&ims(Transport::Udp), Inline::<4, 16, 4096>::new()).unwrap();
    for op in [
        Op::Register,
        Op::Serve(Vec::new()),
        Op::Accepted(Transport::Tcp),
        Op::Accepted(Transport::Tcp),
        Op::Wait(Wait::Minutes(51)),
        Op::Guard(Challenge {
            by: By::Server,
            realm: 0,
            nonce: 0,
            algorithm: 0,
            qop: 0,
            stale: 0,
        }),
    ] {
        run.step(&op);
    }
    assert_eq!(reached(&run, "a re-authentication"), 1);
    assert!(run.client().is_ready());
    run.finish();
}

// Reports hold the arena until they are told, and a request waits for room. Found by chance: what exactly lies in the
// arena matters.
#[test]
fn what_was_told_makes_room_for_what_waits() {
    let setup = Setup {
        credentials: 231,
        instance: 75,
        texts: 45,
        nat: Nat::Leave,
        keep_alive: KeepAlive::Off,
        delivery_reports: DeliveryReports::Off,
        reports_per_minute: 9,
        core: 1,
        watch: 44,
        seed: 231,
        second: Some(Transport::Tcp),
        ..draw(&[]).0
    };
    let settings = |n| Op::arbitrary(&mut Unstructured::new(&[50, n, n, n, n, n, n, n])).unwrap();
    let message = |branch, call, from, cseq, header: Option<InHeader>, body| Request {
        method: 0,
        branch,
        call,
        from,
        cseq,
        headers: header.into_iter().collect(),
        body,
        mangle: Vec::new(),
        then: Then::Delivered,
    };
    let cpim = Body::Cpim {
        id: 225,
        from: 165,
        wants: Notifications::NONE,
        date: 11,
        route: 61,
    };
    let notify = Notify {
        state: Standing::Terminated {
            reason: 100,
            retry_after: Some(14_200),
        },
        fault: 40,
        document: Document::Settings(10),
        way: 103,
        mangle: Vec::new(),
    };
    let challenge = Challenge {
        by: By::Proxy,
        realm: 133,
        nonce: 130,
        algorithm: 27,
        qop: 113,
        stale: 167,
    };
    let mut run = Run::new(&setup, Inline::<4, 16, 4096>::new()).unwrap();
    let report = Body::Report { id: 209, kind: 29 };
    for op in [
        Op::Register,
        Op::Guard(challenge),
        settings(0),
        Op::Hold(6),
        Op::Request(
            20,
            message(137, 180, 37, 127, Some(InHeader::SecondVia), report),
        ),
        settings(1),
        Op::Notify(216, notify),
        Op::Opened(78),
        Op::Request(
            151,
            message(
                4,
                233,
                156,
                215,
                Some(InHeader::Subject),
                Body::Reports(253),
            ),
        ),
        Op::Request(152, message(7, 147, 146, 146, None, cpim)),
    ] {
        run.step(&op);
    }
    let (_, drain) = run.transcript().split_once("operation 9 ").unwrap();
    assert!(drain.contains(" PUBLISH "), "{drain}");
    run.finish();
}

// What came by the one-way flow of the P-CSCF is answered by ours, also if both end before the answer is taken: a
// sequence that the fuzzer found.
#[test]
fn nothing_goes_out_on_the_flow_of_the_p_cscf() {
    let (setup, ops) = draw(include_bytes!("corpus/ops/answer-after-the-set.bin"));
    let mut run = Run::new(&setup, Inline::<4, 16, 4096>::new()).unwrap();
    for op in [Op::WallClock(0), Op::Register, Op::Serve(Vec::new())] {
        run.step(&op);
    }
    run.all(&ops);
    let answered = run
        .transcript()
        .contains("FlowId(2) SIP/2.0 400 Bad Request");
    assert!(answered, "{}", run.transcript());
}

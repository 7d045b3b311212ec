//! Sequences of operations drawn from seeds: what holds after each step is in `testkit::ops`.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use oma_im::config::Transport;
use oma_im::storage::{Inline, Storage};
use oma_im::testkit::ops::{Op, Run, Setup, draw};
use oma_im::testkit::rng::Rng;

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

fn transcript<S: Storage>(setup: &Setup, ops: &[Op], storage: S) -> String {
    let mut run = Run::new(setup, storage).unwrap();
    run.all(ops);
    run.transcript().to_string()
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
const SEEN: [&str; 33] = [
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
    "SIP/2.0 482",
];

#[test]
fn anything_may_happen_in_any_order() {
    let missing = RefCell::new(SEEN.to_vec());
    let all = for_each_seed(0..600, |setup, ops| {
        let first = transcript(setup, ops, Inline::<4, 16, 4096>::new());
        let second = transcript(setup, ops, Inline::<4, 16, 4096>::new());
        assert!(first == second, "same seed, same inputs, other output");
        missing.borrow_mut().retain(|what| !first.contains(what));
    });
    if all == All::Seeds {
        assert_eq!(missing.into_inner(), [""; 0], "never happened");
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

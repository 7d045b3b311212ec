//! Storage on the heap: it does what arrays do, and gives memory back.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use oma_im::storage::{Heap, HeapLimits, Inline, Storage};
use oma_im::testkit::ops::{Op, Run, draw};
use oma_im::testkit::rng::Rng;

const LIMITS: HeapLimits = HeapLimits {
    transactions: 4,
    remembered: 16,
    arena: 4096,
};

fn bytes(seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    (0..3_000).map(|_| rng.next_u64() as u8).collect()
}

fn transcript(seed: u64, storage: impl Storage) -> String {
    let (setup, ops) = draw(&bytes(seed));
    let mut run = Run::new(&setup, storage).unwrap();
    for op in [Op::WallClock(0), Op::Register, Op::Serve(Vec::new())] {
        run.step(&op);
    }
    run.all(&ops);
    let usage = run.client().usage();
    format!("{}{usage:?}", run.transcript())
}

#[test]
fn it_does_what_arrays_do() {
    for seed in 0..200 {
        let inline = transcript(seed, Inline::<4, 16, 4096>::new());
        let heap = transcript(seed, Heap::new(LIMITS));
        assert!(inline == heap, "seed {seed}:\n{inline}\n---\n{heap}");
        let boxed = transcript(seed, Box::new(Heap::new(LIMITS)));
        assert!(heap == boxed, "seed {seed}: boxed");
    }
}

// The configuration is the one that bytes of zero give: UDP, a password.
#[test]
fn a_thousand_registered_clients_hold_what_they_need() {
    let (setup, _) = draw(&[]);
    let limits = HeapLimits::default();
    let mut clients: Vec<_> = (0..1_000)
        .map(|_| Run::new(&setup, Heap::new(limits)).unwrap())
        .collect();
    let footprint = |run: &mut Run<Heap>| run.client().storage().footprint();
    clients[0].step(&Op::Register);
    clients[0].step(&Op::Opened(0));
    let working = footprint(&mut clients[0]);
    for run in &mut clients {
        run.step(&Op::Register);
        run.step(&Op::Serve(Vec::new()));
        assert!(run.client().is_ready());
    }
    let idle: usize = clients.iter_mut().map(footprint).sum::<usize>() / clients.len();
    println!("registered and idle: {idle} bytes on the heap; at work: {working} bytes");
    assert!(working > limits.arena, "{working} bytes");
    assert!(idle < 512, "{idle} bytes");
}

//! Any sequence of operations on a client: what holds after each step is in `testkit::ops`; the
//! same sequence over the heap gives the same output.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::storage::{Heap, HeapLimits, Inline, Storage};
use oma_im::testkit::ops::{Op, Run, Setup, draw};

fuzz_target!(|bytes: &[u8]| {
    let (setup, ops) = draw(bytes);
    let limits = HeapLimits {
        transactions: 4,
        remembered: 16,
        arena: 4096,
    };
    let inline = transcript(&setup, &ops, Inline::<4, 16, 4096>::new());
    let heap = transcript(&setup, &ops, Heap::new(limits));
    assert!(inline == heap, "{inline}\n---\n{heap}");
});

fn transcript(setup: &Setup, ops: &[Op], storage: impl Storage) -> String {
    let mut run = Run::new(setup, storage).expect("the configuration is right");
    for op in [Op::WallClock(0), Op::Register, Op::Serve(Vec::new())] {
        run.step(&op);
    }
    run.all(ops);
    run.transcript().to_owned()
}

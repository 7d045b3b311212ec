//! However a stream is cut, the framer gives the same frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::error::ParseErrorKind;
use oma_im::wire::framer::{Frame, Framer, KeepAlive, Limits, TooLarge};

#[derive(Debug, PartialEq)]
enum Seen {
    KeepAlive(KeepAlive),
    Message(usize, usize),
    TooLarge(TooLarge, usize, usize),
    Skipped(usize),
    Broken(ParseErrorKind, usize, usize),
}

// The first three bytes choose the limits and how the pieces go on; the rest is the stream.
fuzz_target!(|input: &[u8]| {
    let [head, body, seed, stream @ ..] = input else {
        return;
    };
    let limits = Limits {
        max_headers: 64 + 16 * usize::from(*head),
        max_message: 64 + 32 * usize::from(*body),
    };
    let whole = run(limits, stream, |_| stream.len());
    let bytewise = run(limits, stream, |_| 1);
    assert_eq!(whole, bytewise);
    let mut random = u32::from(*seed) | 0x100;
    let pieces = run(limits, stream, |_| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (random >> 26) as usize
    });
    assert_eq!(whole, pieces);
});

fn run(limits: Limits, stream: &[u8], mut piece: impl FnMut(usize) -> usize) -> Vec<Seen> {
    let mut framer = Framer::new(limits);
    let mut seen = Vec::new();
    let (mut start, mut end) = (0, 0);
    // Each step takes a byte off or asks for more.
    let mut budget = 2 * stream.len() + 4;
    loop {
        budget -= 1;
        assert!(budget > 0, "the framer does not get on");
        let shown = &stream[start..end];
        let taken = match framer.next(shown) {
            Frame::NeedMore if end == stream.len() => return seen,
            Frame::NeedMore => {
                end = (end + piece(end)).min(stream.len());
                continue;
            }
            Frame::KeepAlive { kind, consumed } => {
                seen.push(Seen::KeepAlive(kind));
                consumed
            }
            Frame::Message { len } => {
                assert!(len <= limits.max_message);
                seen.push(Seen::Message(start, len));
                len
            }
            Frame::TooLarge { what, len } => {
                seen.push(Seen::TooLarge(what, start, len));
                len
            }
            Frame::Skip { consumed } => {
                match seen.last_mut() {
                    Some(Seen::Skipped(sum)) => *sum += consumed,
                    _ => seen.push(Seen::Skipped(consumed)),
                }
                consumed
            }
            Frame::Broken { error, head_len } => {
                seen.push(Seen::Broken(error.kind, error.offset(), head_len));
                return seen;
            }
        };
        assert!(taken > 0 && taken <= shown.len());
        start += taken;
    }
}

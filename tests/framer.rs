//! The framer over the corpus: the same events for every way of cutting a stream.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod common;

use common::{Rng, cases};
use oma_im::wire::error::ParseErrorKind;
use oma_im::wire::framer::{Frame, Framer, KeepAlive, Limits, TooLarge};
use oma_im::wire::message::Message;

const LIMITS: Limits = Limits {
    max_headers: 8000,
    max_message: 12_000,
};

/// What a stream gave, with the bytes of each message.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    KeepAlive(KeepAlive),
    Message(Vec<u8>),
    TooLarge(TooLarge, Vec<u8>),
    Skipped(usize),
    Broken(ParseErrorKind, usize, usize),
}

/// Shows `stream` to a framer in pieces that end at `cuts`, as a driver would.
fn run(limits: Limits, stream: &[u8], cuts: impl Iterator<Item = usize>) -> Vec<Event> {
    let mut framer = Framer::new(limits);
    let mut events: Vec<Event> = Vec::new();
    let mut start = 0;
    for end in cuts.chain([stream.len()]) {
        loop {
            let bytes = &stream[start..end];
            let (event, consumed) = match framer.next(bytes) {
                Frame::NeedMore => break,
                Frame::KeepAlive { kind, consumed } => (Event::KeepAlive(kind), consumed),
                Frame::Message { len } => (Event::Message(bytes[..len].to_vec()), len),
                Frame::TooLarge { what, len } => {
                    (Event::TooLarge(what, bytes[..len].to_vec()), len)
                }
                Frame::Skip { consumed } => {
                    start += consumed;
                    match events.last_mut() {
                        Some(Event::Skipped(sum)) => *sum += consumed,
                        _ => events.push(Event::Skipped(consumed)),
                    }
                    continue;
                }
                Frame::Broken { error, head_len } => {
                    events.push(Event::Broken(error.kind, error.offset(), head_len));
                    return events;
                }
            };
            assert!(consumed > 0, "nothing consumed by {event:?}");
            start += consumed;
            events.push(event);
        }
    }
    events
}

fn whole(limits: Limits, stream: &[u8]) -> Vec<Event> {
    run(limits, stream, std::iter::empty())
}

fn request(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("MESSAGE sip:a@b SIP/2.0\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// All messages of the corpus that are complete on a stream, with keep-alives among them.
fn corpus_stream() -> (Vec<u8>, usize) {
    let mut stream = Vec::new();
    let mut messages = 0;
    for (i, case) in cases("sip").into_iter().enumerate() {
        if whole(LIMITS, &case.bytes) == [Event::Message(case.bytes.clone())] {
            stream.extend_from_slice(&case.bytes);
            stream.extend_from_slice(&b"\r\n\r\n\r\n"[..2 * (i % 4)]);
            messages += 1;
        }
    }
    (stream, messages)
}

#[test]
fn corpus_streams_give_the_same_events_for_every_cut() {
    let (stream, messages) = corpus_stream();
    let expected = whole(LIMITS, &stream);
    let found = expected
        .iter()
        .filter(|e| matches!(e, Event::Message(_)))
        .count();
    assert_eq!(found, messages);
    assert!(messages > 300, "{messages}");
    assert_eq!(
        run(LIMITS, &stream, 1..stream.len()),
        expected,
        "byte by byte"
    );
    for seed in 1..=40 {
        let mut rng = Rng(seed);
        let longest = 1 + rng.below(2000);
        let mut at = 0;
        let cuts = std::iter::from_fn(|| {
            at += 1 + rng.below(longest);
            (at < stream.len()).then_some(at)
        });
        assert!(run(LIMITS, &stream, cuts) == expected, "seed {seed}");
    }
}

#[test]
fn each_corpus_file_gives_the_same_events_for_every_single_cut() {
    // Small limits, so that both ways of being too large are met as well.
    let small = Limits {
        max_headers: 900,
        max_message: 1100,
    };
    for case in cases("sip") {
        for limits in [LIMITS, small] {
            let expected = whole(limits, &case.bytes);
            for cut in 1..case.bytes.len() {
                assert_eq!(
                    run(limits, &case.bytes, [cut].into_iter()),
                    expected,
                    "{} at {cut}",
                    case.id
                );
            }
        }
    }
}

#[test]
fn pings_and_pongs() {
    use KeepAlive::{Ping, Pong};
    let stream = [
        &b"\r\n\r\n"[..],
        &request(""),
        b"\r\n",
        &request("\r\n"),
        b"\r\n\r\n\r\n",
    ]
    .concat();
    let expected = [
        Event::KeepAlive(Pong),
        Event::KeepAlive(Ping),
        Event::Message(request("")),
        Event::KeepAlive(Pong),
        Event::Message(request("\r\n")),
        Event::KeepAlive(Pong),
        Event::KeepAlive(Ping),
        Event::KeepAlive(Pong),
    ];
    assert_eq!(whole(LIMITS, &stream), expected);
}

#[test]
fn the_framer_knows_whether_it_stands_between_two_messages() {
    let stream = [b"\r\n", &request("x")[..]].concat();
    let mut framer = Framer::new(LIMITS);
    assert!(framer.is_between());
    framer.next(b"\r\n");
    assert!(framer.is_between());
    for end in 3..stream.len() {
        assert_eq!(framer.next(&stream[2..end]), Frame::NeedMore);
        assert!(!framer.is_between(), "{end}");
    }
    assert!(matches!(framer.next(&stream[2..]), Frame::Message { .. }));
    assert!(framer.is_between());
}

// RUSTSEC-2024-0332, -2026-0258: units without content are free for the sender.
#[test]
fn a_flood_of_empty_lines_is_counted_and_consumed() {
    let flood = b"\r\n".repeat(100_000);
    let mut framer = Framer::new(LIMITS);
    let mut rest = &flood[..];
    while let Frame::KeepAlive { consumed, .. } = framer.next(rest) {
        rest = &rest[consumed..];
    }
    assert!(rest.is_empty());
    assert_eq!(framer.empty_lines(), 100_000);
    assert!(matches!(framer.next(&request("")), Frame::Message { .. }));
    assert_eq!(framer.empty_lines(), 0);
}

// RUSTSEC-2021-0078: digits only, no sign, no list, no second one.
#[test]
fn content_length_decides_the_frame_or_breaks_the_flow() {
    use ParseErrorKind::{ContentLength, DuplicateHeader, NoContentLength};
    let big = "9".repeat(100);
    for (lines, kind) in [
        ("", NoContentLength),
        ("Subject: x\r\n Content-Length: 0\r\n", NoContentLength),
        ("Content-Length\r\n : 0\r\n", NoContentLength),
        ("Content-Length:\r\n", ContentLength),
        ("Content-Length: -1\r\n", ContentLength),
        ("Content-Length: +1\r\n", ContentLength),
        ("Content-Length: 0x1\r\n", ContentLength),
        ("Content-Length: 0, 0\r\n", ContentLength),
        ("Content-Length: 0 0\r\n", ContentLength),
        ("l: 18446744073709551616\r\n", ContentLength),
        (&format!("l: {big}\r\n"), ContentLength),
        ("l: 0\r\nContent-Length: 0\r\n", DuplicateHeader),
        ("l: 0\r\nContent-Length: 5\r\n", DuplicateHeader),
    ] {
        let stream = format!("OPTIONS sip:a SIP/2.0\r\n{lines}\r\n");
        let events = whole(LIMITS, stream.as_bytes());
        let [Event::Broken(found, _, head_len)] = events[..] else {
            panic!("{lines}: {events:?}")
        };
        assert_eq!((found, head_len), (kind, stream.len()), "{lines}");
    }
    for line in ["l:0", "CONTENT-LENGTH \t:\r\n\t000", "content-length: 00 "] {
        let stream = format!("OPTIONS sip:a SIP/2.0\r\n{line}\r\n\r\n");
        assert_eq!(
            whole(LIMITS, stream.as_bytes()),
            [Event::Message(stream.into())],
            "{line}"
        );
    }
}

#[test]
fn a_body_beyond_the_limit_is_skipped_and_the_flow_goes_on() {
    let limits = Limits {
        max_headers: 100,
        max_message: 200,
    };
    let head_len = request(&"x".repeat(100)).len() - 100;
    for (body, fits) in [
        (199 - head_len, true),
        (200 - head_len, true),
        (201 - head_len, false),
        (5000, false),
    ] {
        let message = request(&"x".repeat(body));
        let head_len = message.len() - body;
        let stream = [&message[..], &request("next")].concat();
        let expected = if fits {
            vec![Event::Message(message), Event::Message(request("next"))]
        } else {
            vec![
                Event::TooLarge(TooLarge::Body, message[..head_len].to_vec()),
                Event::Skipped(body),
                Event::Message(request("next")),
            ]
        };
        assert_eq!(whole(limits, &stream), expected, "{body}");
        assert_eq!(run(limits, &stream, 1..stream.len()), expected, "{body}");
    }
}

#[test]
fn a_head_beyond_the_limit_breaks_the_flow() {
    let message = request("");
    for (max_headers, fits) in [
        (message.len() + 1, true),
        (message.len(), true),
        (message.len() - 1, false),
    ] {
        let limits = Limits {
            max_headers,
            max_message: 1000,
        };
        let expected = if fits {
            vec![Event::Message(message.clone())]
        } else {
            vec![
                Event::TooLarge(TooLarge::Headers, message[..max_headers].to_vec()),
                Event::Broken(ParseErrorKind::HeadersTooLong, max_headers, 0),
            ]
        };
        assert_eq!(whole(limits, &message), expected, "{max_headers}");
    }
    // Nothing that never ends is waited for longer than that.
    let endless = [&b"INVITE sip:"[..], &b"a".repeat(100_000)].concat();
    let limits = Limits {
        max_headers: usize::MAX,
        max_message: usize::MAX,
    };
    assert!(matches!(
        whole(limits, &endless)[..],
        [Event::TooLarge(TooLarge::Headers, _), Event::Broken(..)]
    ));
}

#[test]
fn what_is_no_sip_breaks_the_flow_at_once() {
    for (bytes, kind) in [
        (&b"\x16\x03\x01\x02\x00\x01"[..], ParseErrorKind::StartLine),
        (b" INVITE", ParseErrorKind::StartLine),
        (b"\n", ParseErrorKind::LineEnd),
        (b"\r\r\n", ParseErrorKind::LineEnd),
        (b"OPTIONS sip:a SIP/2.0\nl: 0\n\n", ParseErrorKind::LineEnd),
        (b"OPTIONS sip:a SIP/2.0\rl: 0\r\r", ParseErrorKind::LineEnd),
    ] {
        let events = whole(LIMITS, bytes);
        assert!(
            matches!(events[..], [Event::Broken(found, _, 0)] if found == kind),
            "{bytes:?}: {events:?}"
        );
    }
}

// A header fault is the message's, not the flow's.
#[test]
fn a_refused_message_leaves_the_flow_usable() {
    let bad = b"OPTIONS sip:a SIP/2.0\r\nTo\x01: x\r\nContent-Length: 0\r\n\r\n";
    let events = whole(LIMITS, &[&bad[..], &request("")].concat());
    assert_eq!(
        events,
        [Event::Message(bad.to_vec()), Event::Message(request(""))]
    );
    assert_eq!(
        Message::parse(bad).unwrap_err().kind,
        ParseErrorKind::ControlCharacter
    );
}

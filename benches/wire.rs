//! Reading and writing messages, beside `httparse` and a `memcpy` of the same bytes.
//!
//! `cargo bench --bench wire`. Times vary with the machine and its load; what counts is
//! instructions, which `benches/peers` counts.
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oma_im::wire::framer::{Frame, Framer, Limits};
use oma_im::wire::message::Message;
use oma_im::wire::name::{Method, Name, Status};
use oma_im::wire::uri::Uri;
use oma_im::wire::writer::{CSeq, CallId, MessageWriter, NameAddr, Param, Text, Token, UriText};

const MESSAGES: [(&str, &[u8]); 3] = [
    ("message", include_bytes!("peers/msgs/message.sip")),
    ("notify_conf", include_bytes!("peers/msgs/notify_conf.sip")),
    ("ims_invite", include_bytes!("peers/msgs/ims_invite.sip")),
];

fn read(c: &mut Criterion) {
    for (name, bytes) in MESSAGES {
        let mut group = c.benchmark_group(format!("read {name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut copy = vec![0; bytes.len()];
        group.bench_function("memcpy", |b| {
            b.iter(|| black_box(&mut copy).copy_from_slice(black_box(bytes)));
        });
        let block = &bytes[bytes.iter().position(|&b| b == b'\n').unwrap() + 1..];
        group.bench_function("httparse", |b| {
            b.iter(|| {
                let mut headers = [httparse::EMPTY_HEADER; 64];
                httparse::parse_headers(black_box(block), &mut headers).is_ok()
            });
        });
        group.bench_function("shallow", |b| {
            b.iter(|| Message::parse(black_box(bytes)).is_ok())
        });
        group.bench_function("validate", |b| {
            b.iter(|| Message::parse(black_box(bytes)).unwrap().validate().is_ok());
        });
        group.bench_function("deep", |b| b.iter(|| deep(black_box(bytes)).unwrap()));
        group.finish();
    }
}

/// What a user agent looks at: all that routes the message.
fn deep(bytes: &[u8]) -> Option<u32> {
    let message = Message::parse(bytes).ok()?;
    Uri::parse(message.request()?.uri).ok()?;
    for via in message.vias() {
        black_box(via.ok()?.branch());
    }
    for address in [message.from().ok()?, message.to().ok()?] {
        black_box((address.uri().ok()?, address.tag()));
    }
    for contact in message.contacts() {
        black_box(contact.ok()?.addr()?.uri().ok()?);
    }
    for name in [Name::Route, Name::RecordRoute] {
        for address in message.addresses(name) {
            black_box(address.ok()?.uri().ok()?);
        }
    }
    Some(message.cseq().ok()?.number)
}

fn write(c: &mut Criterion) {
    let mut out = [0; 2048];
    let tag = Token::new("49583").unwrap();
    let alice = UriText::new("sip:alice@ims.example.com").unwrap();
    let bob = UriText::new("sip:bob@ims.example.com").unwrap();
    let call_id = CallId::new("asd88asd77a").unwrap();
    c.bench_function("write message", |b| {
        b.iter(|| {
            let tag = [Param::tag(tag)];
            let mut w = MessageWriter::request(black_box(&mut out), Method::Message, bob);
            w.header(Name::MaxForwards, 70);
            w.header(Name::From, NameAddr::new(alice).params(&tag));
            w.header(Name::To, NameAddr::new(bob));
            w.header(Name::CallId, call_id);
            w.header(
                Name::CSeq,
                CSeq {
                    number: 1,
                    method: Method::Message,
                },
            );
            w.body(Text::new("text/plain").unwrap(), black_box(b"hello bob"))
                .finish()
        });
    });
    let (_, request) = MESSAGES[0];
    c.bench_function("request in, 200 out", |b| {
        b.iter(|| {
            let request = Message::parse(black_box(request)).unwrap();
            request.validate().unwrap();
            let status = Status::new(200).unwrap();
            let mut w = MessageWriter::response(black_box(&mut out), status, None);
            for header in request.headers() {
                if let Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq = header.name {
                    w.copy(header);
                }
            }
            w.no_body().finish()
        });
    });
}

fn frame(c: &mut Criterion) {
    let stream: Vec<u8> = MESSAGES
        .iter()
        .flat_map(|(_, bytes)| bytes.iter().copied())
        .collect();
    let limits = Limits {
        max_headers: 8192,
        max_message: 65_536,
    };
    let mut group = c.benchmark_group("frame a stream");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    for piece in [64, 1400] {
        group.bench_function(format!("in pieces of {piece}"), |b| {
            b.iter(|| {
                let mut framer = Framer::new(limits);
                let (mut start, mut count) = (0, 0);
                for end in (piece..).step_by(piece) {
                    let end = end.min(stream.len());
                    while let Frame::Message { len } = framer.next(&stream[start..end]) {
                        start += len;
                        count += 1;
                    }
                    if end == stream.len() {
                        break;
                    }
                }
                assert_eq!(count, MESSAGES.len());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, read, write, frame);
criterion_main!(benches);

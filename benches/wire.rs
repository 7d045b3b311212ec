//! Reading and writing messages, beside `httparse` and a `memcpy` of the same bytes; whole MESSAGE
//! transactions; a digest answer; framing.
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
use std::net::SocketAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oma_im::client::{
    Adopted, Client, Direction, Event, FlowInfo, Item, Origin, Output, SendOutcome, Verified,
};
use oma_im::config::{Config, KeepAlive, NextHop, Transport};
use oma_im::id::FlowId;
use oma_im::im::pager::Outgoing;
use oma_im::storage::Small;
use oma_im::time::Instant;
use oma_im::wire::digest::{
    Acceptable, Answer, Challenges, Cnonce, Secret, choose, write_credentials,
};
use oma_im::wire::framer::{Frame, Framer, Limits};
use oma_im::wire::message::Message;
use oma_im::wire::name::{Method, Name, Status};
use oma_im::wire::sink::Sink;
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
        b.iter(|| ok(black_box(request), black_box(&mut out)));
    });
}

/// The 200 to a request; its length.
fn ok(request: &[u8], out: &mut [u8]) -> usize {
    let request = Message::parse(request).unwrap();
    request.validate().unwrap();
    let mut w = MessageWriter::response(out, Status::OK, None);
    for header in request.headers() {
        if let Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq = header.name {
            w.copy(header);
        }
    }
    w.no_body().finish().unwrap()
}

const FLOW: FlowId = FlowId(1);

/// A handset on one datagram flow whose registration is somebody else's, so that nothing but the
/// transaction is under way.
struct Phone {
    client: Client<Small>,
    now: Instant,
    buffer: [u8; 1500],
    /// What it sent last.
    sent: Vec<u8>,
}

impl Phone {
    fn new() -> Self {
        let hops = [NextHop::new("proxy.example.com", Transport::Udp)];
        let config = Config {
            keep_alive: KeepAlive::Off,
            ..Config::new("sip:alice@example.com", &hops)
        };
        let mut client = Client::new(&config, Small::new(), [7; 32]).unwrap();
        let now = Instant::ZERO;
        let adopted = Adopted {
            service_route: "<sip:orig@scscf.example.com;lr>",
            associated: "<sip:alice@example.com>",
        };
        client.adopt_registration(now, &adopted).unwrap();
        loop {
            match client.poll_output(&mut [0; 1500]) {
                Output::Open(open) => {
                    let info = FlowInfo {
                        origin: Origin::Asked(open.id),
                        transport: open.transport,
                        local: SocketAddr::from(([10, 32, 9, 3], 5060)),
                        remote: SocketAddr::from(([10, 32, 9, 1], 5060)),
                        verified: Verified::No,
                        direction: Direction::Both,
                    };
                    client.flow_opened(now, FLOW, &info);
                }
                Output::Idle(_) => {
                    return Self {
                        client,
                        now,
                        buffer: [0; 1500],
                        sent: Vec::with_capacity(1500),
                    };
                }
                _ => {}
            }
        }
    }

    /// Drains; says what became of a message.
    fn drain(&mut self) -> Option<SendOutcome> {
        let mut end = None;
        loop {
            match self.client.poll_output(&mut self.buffer) {
                Output::Transmit { bytes, .. } => {
                    self.sent.clear();
                    self.sent.extend_from_slice(bytes);
                }
                Output::Event(Event::Sent { outcome, .. }) => end = Some(outcome),
                Output::Idle(_) => return end,
                _ => {}
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now.after(millis);
        self.client.timeout(self.now);
        self.drain();
    }
}

fn transactions(c: &mut Criterion) {
    let (mut phone, mut answer) = (Phone::new(), [0; 1500]);
    c.bench_function("transaction, client, and its 200 written", |b| {
        b.iter(|| {
            let message = Outgoing::text("sip:bob@ims.example.com", black_box("hello bob"));
            phone.client.send_message(phone.now, &message).unwrap();
            phone.drain();
            let len = ok(&phone.sent, &mut answer);
            phone.client.receive(phone.now, FLOW, &answer[..len]);
            let end = phone.drain();
            assert_eq!(end, Some(SendOutcome::Delivered { status: 200 }));
            // Timer K.
            phone.wait(5_000);
        });
    });
    let (_, request) = MESSAGES[0];
    c.bench_function("transaction, server", |b| {
        b.iter(|| {
            let received = phone.client.receive(phone.now, FLOW, black_box(request));
            assert!(matches!(received.item, Item::Message(_)));
            phone.drain();
            assert!(phone.sent.starts_with(b"SIP/2.0 200"));
            // Timer J, in the ticks in which answers are remembered.
            phone.wait(33_000);
        });
    });
}

fn digest(c: &mut Criterion) {
    for algorithm in ["MD5", "SHA-256"] {
        let header = format!(
            "Digest realm=\"ims.example.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             qop=\"auth\", algorithm={algorithm}"
        );
        let mut out = [0; 512];
        c.bench_function(&format!("digest answer, {algorithm}"), |b| {
            b.iter(|| {
                let challenges = Challenges::new(black_box(header.as_bytes()));
                let challenge = choose(challenges, Acceptable::PASSWORD).unwrap();
                let mut sink = Sink::new(black_box(&mut out));
                let answer = Answer {
                    username: b"alice@ims.example.com",
                    secret: Secret::Password(b"wonderland"),
                    method: b"MESSAGE",
                    uri: b"sip:bob@ims.example.com",
                    body: &[],
                    cnonce: Cnonce(0x0a4f_113b),
                    nc: 1,
                };
                write_credentials(&mut sink, &challenge, &answer).unwrap();
                sink.len()
            });
        });
    }
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

criterion_group!(benches, read, write, transactions, digest, frame);
criterion_main!(benches);

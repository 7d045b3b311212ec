//! A whole client on a Cortex-M3: `Small` storage in a `static`, registers with digest, sends a pager
//! MESSAGE with a delivery report asked for, takes the report, runs its timers, and de-registers.
//! The server is a few lines beside it that answer what the client sends; there is no network.
//! Prints what each step takes.
#![no_std]
#![no_main]

use core::net::SocketAddr;

use oma_im::client::{
    Client, Direction, Event, FlowInfo, Origin, Output, RegistrationChange, SendOutcome, Verified,
};
use oma_im::config::{Config, Credentials, NextHop, Transport};
use oma_im::id::FlowId;
use oma_im::im::pager::Outgoing;
use oma_im::storage::Small;
use oma_im::time::Instant;
use oma_im::wire::message::Message;
use oma_im::wire::name::{Method, Name, Status};
use oma_im::wire::writer::{MessageWriter, Raw, Text};

type Phone = Client<&'static mut Small>;

const FLOW: FlowId = FlowId(1);

/// What a drain saw.
#[derive(Default)]
struct Saw {
    sent: usize,
    registered: bool,
    delivered: bool,
    reported: bool,
    deregistered: bool,
}

/// The last request that the client sent, for the server to answer.
struct Wire {
    bytes: [u8; 1600],
    len: usize,
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // `entry` hands these out as `&'static mut`. They begin as they are, without a copy on the stack.
    static mut STORAGE: Small = Small::new();
    static mut WIRE: Wire = Wire {
        bytes: [0; 1600],
        len: 0,
    };
    static mut ANSWER: [u8; 1600] = [0; 1600];
    let (wire, answer) = (WIRE, ANSWER);
    let Some(mut core) = cortex_m::Peripherals::take() else {
        fw::exit(5)
    };
    let hops = [NextHop::new("192.0.2.1", Transport::Udp)];
    let config = Config {
        credentials: Credentials::Password {
            user: "alice",
            password: "alicepw",
        },
        product: "Example/M4-1.0",
        ..Config::new("sip:alice@example.com", &hops)
    };
    let Ok(client) = Client::new(&config, STORAGE, [7; 32]) else {
        fw::exit(7)
    };
    let Some(client) = cortex_m::singleton!(: Phone = client) else {
        fw::exit(8)
    };
    let syst = &mut core.SYST;
    let mut saw = Saw::default();
    let mut now = Instant::ZERO;
    client.wall_clock(now, 1_795_372_916_000);

    step(syst, "register", || {
        let _ = client.register(now);
        drain(client, now, wire, &mut saw);
    });
    let n = answer_to(wire, 401, answer);
    step(syst, "401, REGISTER again", || {
        client.receive(now, FLOW, answer.get(..n).unwrap_or_default());
        drain(client, now, wire, &mut saw);
    });
    let n = answer_to(wire, 200, answer);
    step(syst, "200 to REGISTER", || {
        client.receive(now, FLOW, answer.get(..n).unwrap_or_default());
        drain(client, now, wire, &mut saw);
    });
    let hello = Outgoing::text("sip:bob@example.com", "Hello Bob").with_delivery_report();
    step(syst, "MESSAGE written", || {
        let _ = client.send_message(now, &hello);
        drain(client, now, wire, &mut saw);
    });
    // Nobody answers at once: Timer E.
    now = now.after(500);
    step(syst, "Timer E", || {
        client.timeout(now);
        drain(client, now, wire, &mut saw);
    });
    let n = answer_to(wire, 200, answer);
    step(syst, "200 to MESSAGE", || {
        client.receive(now, FLOW, answer.get(..n).unwrap_or_default());
        drain(client, now, wire, &mut saw);
    });
    let n = report_on(wire, answer);
    step(syst, "report in, 200 out", || {
        client.receive(now, FLOW, answer.get(..n).unwrap_or_default());
        drain(client, now, wire, &mut saw);
    });
    step(syst, "deregister", || {
        let _ = client.deregister(now);
        drain(client, now, wire, &mut saw);
    });
    let n = answer_to(wire, 200, answer);
    client.receive(now, FLOW, answer.get(..n).unwrap_or_default());
    drain(client, now, wire, &mut saw);

    #[cfg(not(feature = "no-panic"))]
    {
        fw::hprintln!(
            "client: {} bytes, storage {} of them, stack {} bytes, {} messages sent",
            size_of::<Phone>() + size_of::<Small>(),
            size_of::<Small>(),
            fw::stack_peak(),
            saw.sent
        );
        fw::hprintln!(
            "registered {}, delivered {}, reported {}, deregistered {}",
            saw.registered,
            saw.delivered,
            saw.reported,
            saw.deregistered
        );
    }
    fw::plant();
    let good = saw.registered && saw.delivered && saw.reported && saw.deregistered;
    fw::exit(if good { 0 } else { 1 })
}

fn step(syst: &mut cortex_m::peripheral::SYST, name: &str, work: impl FnOnce()) {
    let count = fw::instructions(syst, work);
    #[cfg(not(feature = "no-panic"))]
    fw::hprintln!("step: {}: {} instructions", name, count);
    core::hint::black_box((name, count));
}

/// The run loop: what is sent goes to the wire, what happened is noted.
fn drain(client: &mut Phone, now: Instant, wire: &mut Wire, saw: &mut Saw) {
    let mut out = [0; 64];
    loop {
        match client.poll_output(&mut out) {
            Output::Transmit { bytes, .. } => {
                saw.sent = saw.sent.wrapping_add(1);
                if let Some(place) = wire.bytes.get_mut(..bytes.len()) {
                    place.copy_from_slice(bytes);
                    wire.len = bytes.len();
                }
            }
            Output::Open(open) => {
                let info = FlowInfo {
                    origin: Origin::Asked(open.id),
                    transport: open.transport,
                    local: SocketAddr::from(([192, 0, 2, 10], 5060)),
                    remote: SocketAddr::from(([192, 0, 2, 1], 5060)),
                    verified: Verified::No,
                    direction: Direction::Both,
                };
                client.flow_opened(now, FLOW, &info);
            }
            Output::Event(event) => match event {
                Event::Registration {
                    change: RegistrationChange::Registered { .. },
                    ..
                } => {
                    saw.registered = true;
                }
                Event::Sent {
                    outcome: SendOutcome::Delivered { .. },
                    ..
                } => saw.delivered = true,
                Event::Report(report) => saw.reported = report.id.is_some(),
                Event::Deregistered => saw.deregistered = true,
                _ => {}
            },
            Output::Close { .. } => {}
            Output::TooSmall { .. } | Output::Idle(_) => break,
        }
    }
}

/// The server's answer to the last request.
fn answer_to(wire: &Wire, status: u16, out: &mut [u8]) -> usize {
    let Ok(request) = Message::parse(wire.bytes.get(..wire.len).unwrap_or_default()) else {
        return 0;
    };
    let Some(status) = Status::new(status) else {
        return 0;
    };
    let mut w = MessageWriter::response(out, status, None);
    for header in request.headers() {
        match header.name {
            Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq => w.copy(header),
            Name::Contact if status.is_success() => w.copy(header),
            _ => {}
        }
    }
    if status.code() == 401
        && let Ok(challenge) = Text::new("Digest realm=\"example.com\",nonce=\"abc\",qop=\"auth\"")
    {
        w.header(Name::WwwAuthenticate, challenge);
    }
    w.no_body().finish().unwrap_or(0)
}

/// A delivery report on the message on the wire, as the recipient would send it.
fn report_on(wire: &Wire, out: &mut [u8]) -> usize {
    let sent = wire.bytes.get(..wire.len).unwrap_or_default();
    let mark = b"imdn.Message-ID: ";
    let Some(at) = sent.windows(mark.len()).position(|w| w == mark) else {
        return 0;
    };
    let id = sent.get(at.wrapping_add(mark.len())..).unwrap_or_default();
    let id = id.split(|c| *c == b'\r').next().unwrap_or_default();
    let parts: [(Name, &[u8]); 6] = [
        (
            Name::Via,
            b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKreport",
        ),
        (Name::From, b"<sip:bob@example.com>;tag=r"),
        (Name::To, b"<sip:alice@example.com>"),
        (Name::CallId, b"report"),
        (Name::CSeq, b"1 MESSAGE"),
        (Name::MaxForwards, b"70"),
    ];
    let Ok(uri) = oma_im::wire::writer::UriText::new("sip:alice@192.0.2.10") else {
        return 0;
    };
    let mut w = MessageWriter::request(out, Method::Message, uri);
    for (name, value) in parts {
        w.header(name, Raw(value));
    }
    let done = w.body_with(Raw(b"message/cpim"), |sink| {
        sink.put(b"From: <sip:bob@example.com>\r\nTo: <sip:alice@example.com>\r\n\r\n");
        sink.put(b"Content-type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n");
        sink.put(b"<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>");
        sink.put(id);
        sink.put(b"</message-id><datetime>2026-11-22T18:41:56Z</datetime>");
        sink.put(b"<recipient-uri>sip:bob@example.com</recipient-uri>");
        sink.put(b"<delivery-notification><status><delivered/></status>");
        sink.put(b"</delivery-notification></imdn>");
    });
    done.finish().unwrap_or(0)
}

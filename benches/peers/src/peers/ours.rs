//! The crate around this folder, through its public API.
use crate::contestant::*;
use oma_im::client::{
    Adopted, Client, Direction, Event, FlowInfo, Item, Origin, Output, SendOutcome, Verified,
};
use oma_im::config::{Config, KeepAlive, NextHop, Transport};
use oma_im::id::FlowId;
use oma_im::im::pager::Outgoing;
use oma_im::storage::Small;
use oma_im::time::Instant;
use oma_im::wire::header::{NameAddr, Via};
use oma_im::wire::message::{Message, StartLine};
use oma_im::wire::name::{Method, Name, Status};
use oma_im::wire::uri::Uri;
use oma_im::wire::writer::{self, MessageWriter, Param, Raw, Text, Token, UriText, With};
use std::hint::black_box;
use std::net::SocketAddr;

/// Messages are written into a buffer that lives as long as the program, as a client has one.
pub struct Ours {
    buffer: Vec<u8>,
    phone: Phone,
}

impl Ours {
    pub fn new() -> Self {
        Ours {
            buffer: vec![0; 8192],
            phone: Phone::new(),
        }
    }
}

/// A whole client with the memory of a handset, on one datagram flow; the registration is somebody
/// else's, so that nothing but the transaction is under way.
struct Phone {
    client: Client<Small>,
    now: Instant,
    buffer: [u8; 1500],
    /// The 200 to a MESSAGE of ours, and where the random part of the branch is in it and in the
    /// request.
    ok: Vec<u8>,
    branch: (usize, usize),
}

const FLOW: FlowId = FlowId(1);
const COOKIE: &[u8] = b";branch=z9hG4bK";
/// Behind the cookie: the key of the client and 64 random bits, in hexadecimal.
const BRANCH: usize = 24;

impl Phone {
    fn new() -> Self {
        let hops = [NextHop::new("proxy.example.com", Transport::Udp)];
        let config = Config {
            keep_alive: KeepAlive::Off,
            product: "Example/M4-1.0",
            ..Config::new("sip:alice@example.com", &hops)
        };
        let mut phone = Phone {
            client: Client::new(&config, Small::new(), [7; 32]).expect("a good configuration"),
            now: Instant::ZERO,
            buffer: [0; 1500],
            ok: Vec::new(),
            branch: (0, 0),
        };
        let adopted = Adopted {
            service_route: "<sip:orig@scscf.example.com;lr>",
            associated: "<sip:alice@example.com>",
        };
        phone
            .client
            .adopt_registration(phone.now, &adopted)
            .expect("nothing is registered");
        loop {
            match phone.client.poll_output(&mut phone.buffer) {
                Output::Open(open) => {
                    let info = FlowInfo {
                        origin: Origin::Asked(open.id),
                        transport: open.transport,
                        local: SocketAddr::from(([10, 32, 9, 3], 5060)),
                        remote: SocketAddr::from(([10, 32, 9, 1], 5060)),
                        verified: Verified::No,
                        direction: Direction::Both,
                    };
                    phone.client.flow_opened(phone.now, FLOW, &info);
                }
                Output::Idle(_) => return phone,
                _ => {}
            }
        }
    }

    /// Drains; gives the outcome of a message if there is one.
    fn drain(&mut self, out: &mut Vec<u8>) -> Option<SendOutcome> {
        let mut end = None;
        loop {
            match self.client.poll_output(&mut self.buffer) {
                Output::Transmit { bytes, .. } => out.extend_from_slice(bytes),
                Output::Event(Event::Sent { outcome, .. }) => end = Some(outcome),
                Output::Event(_) | Output::Open(_) | Output::Close { .. } => {}
                Output::TooSmall { .. } => return None,
                Output::Idle(_) => return end,
            }
        }
    }

    fn wait(&mut self, millis: u64, out: &mut Vec<u8>) {
        self.now = self.now.after(millis);
        self.client.timeout(self.now);
        self.drain(out);
    }

    fn send(&mut self, s: &ReqSpec, resp: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let content_type = s.headers.iter().find(|(name, _)| name == "Content-Type");
        let message = Outgoing {
            content_type: content_type.map_or("text/plain", |(_, value)| value),
            body: &s.body,
            ..Outgoing::text(&s.ruri, "")
        };
        self.client.send_message(self.now, &message).ok()?;
        self.drain(out);
        let len = out.len();
        if self.ok.is_empty() {
            self.answer(resp, out)?;
        }
        let (from, to) = self.branch;
        self.ok[to..to + BRANCH].copy_from_slice(&out[from..from + BRANCH]);
        self.client.receive(self.now, FLOW, &self.ok);
        let end = self.drain(out);
        // Timer K.
        self.wait(5_000, out);
        (end == Some(SendOutcome::Delivered { status: 200 }) && out.len() == len).then_some(len)
    }

    /// Puts a branch as long as ours into the answer; done once.
    fn answer(&mut self, resp: &[u8], request: &[u8]) -> Option<()> {
        let find = |bytes: &[u8]| bytes.windows(COOKIE.len()).position(|part| part == COOKIE);
        let (from, to) = (find(request)? + COOKIE.len(), find(resp)? + COOKIE.len());
        let end = to + resp[to..].iter().position(|c| b";,\r".contains(c))?;
        self.ok = [&resp[..to], &[b'0'; BRANCH][..], &resp[end..]].concat();
        self.branch = (from, to);
        Some(())
    }

    fn serve(&mut self, m: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let received = self.client.receive(self.now, FLOW, m);
        let Item::Message(message) = black_box(received.item) else {
            return None;
        };
        black_box(message.body);
        self.drain(out);
        let len = out.len();
        // Timer J, in the ticks in which answers are remembered.
        self.wait(33_000, out);
        Some(len)
    }
}

impl Contestant for Ours {
    fn name(&self) -> &'static str {
        "oma-im"
    }
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        Message::parse(m).map_or(0, |message| black_box(&message).headers().count())
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        deep(m).unwrap_or(0)
    }
    fn build(&mut self, s: &ReqSpec, out: &mut Vec<u8>) -> usize {
        let len = build(s, &mut self.buffer).unwrap_or(0);
        out.extend_from_slice(&self.buffer[..len]);
        len
    }
    fn respond_200(&mut self, m: &[u8], out: &mut Vec<u8>) -> usize {
        let len = respond(m, &mut self.buffer).unwrap_or(0);
        out.extend_from_slice(&self.buffer[..len]);
        len
    }
    fn txn_client(&mut self, s: &ReqSpec, resp: &[u8], out: &mut Vec<u8>) -> usize {
        self.phone.send(s, resp, out).unwrap_or(0)
    }
    fn txn_server(&mut self, m: &[u8], out: &mut Vec<u8>) -> usize {
        self.phone.serve(m, out).unwrap_or(0)
    }
}

fn port(uri: &Uri<'_>) -> usize {
    match uri.host() {
        Some(host) => {
            black_box(host);
            100_000 + usize::from(uri.port().unwrap_or(0))
        }
        None => 0,
    }
}

fn address(address: &NameAddr<'_>) -> Option<usize> {
    Some(port(&address.uri().ok()?) + address.tag().map_or(0, <[u8]>::len))
}

fn via(via: &Via<'_>) -> usize {
    black_box(via.host);
    100_000 + usize::from(via.port.unwrap_or(0)) + via.branch().map_or(0, <[u8]>::len)
}

fn deep(m: &[u8]) -> Option<usize> {
    let message = Message::parse(m).ok()?;
    let mut sum = match message.start() {
        StartLine::Request(line) => port(&Uri::parse(line.uri).ok()?),
        StartLine::Response(_) => 0,
    };
    for value in message.vias() {
        sum += via(&value.ok()?);
    }
    sum += address(&message.from().ok()?)? + address(&message.to().ok()?)?;
    for value in message.contacts() {
        sum += value.ok()?.addr().map_or(Some(0), address)?;
    }
    for name in [Name::Route, Name::RecordRoute] {
        for value in message.addresses(name) {
            sum += address(&value.ok()?)?;
        }
    }
    Some(sum + usize::try_from(message.cseq().ok()?.number).ok()?)
}

fn build(s: &ReqSpec, buffer: &mut [u8]) -> Option<usize> {
    let uri = UriText::new(&s.ruri).ok()?;
    let mut w = MessageWriter::request(buffer, Method::from_bytes(s.method.as_bytes()), uri);
    let mut content_type = Text::new("").ok()?;
    for (name, value) in &s.headers {
        let value = Text::new(value).ok()?;
        match Name::from_bytes(name.as_bytes()) {
            Name::ContentType => content_type = value,
            Name::Other => w.other(Token::new(name).ok()?, value),
            known => w.header(known, value),
        }
    }
    w.body(content_type, &s.body).finish().ok()
}

fn respond(m: &[u8], buffer: &mut [u8]) -> Option<usize> {
    let request = Message::parse(m).ok()?;
    request.validate().ok()?;
    let mut w = MessageWriter::response(buffer, Status::new(200)?, None);
    for header in request.headers() {
        match header.name {
            Name::Via | Name::From | Name::CallId | Name::CSeq | Name::RecordRoute => {
                w.copy(header)
            }
            Name::To => {
                let tag = [Param::tag(Token::new("uas7712").ok()?)];
                w.header(Name::To, With(Raw(header.value), &tag));
            }
            _ => {}
        }
    }
    let contact = UriText::new("sip:bertta@10.32.9.3:5060").ok()?;
    w.header(Name::Contact, writer::NameAddr::new(contact));
    w.no_body().finish().ok()
}

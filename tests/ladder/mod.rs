//! What the ladder tests share: looks at the log of a [`World`], and [`Bare`], a client whose
//! driver, server and clock are the test itself.
#![allow(
    dead_code,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::net::SocketAddr;

use oma_im::client::{
    Client, CloseReason, Deadline, Direction, FlowInfo, Item, OpenFailure, Origin, Output, Purpose,
    Verified,
};
use oma_im::config::{Config, Credentials, NextHop, Transport};
use oma_im::id::{FlowId, OpenId, PathId};
use oma_im::storage::Standard;
use oma_im::testkit::log::{Origin as Sender, Packet, What};
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;
use oma_im::time::Instant;

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;

/// What a host sent, with the time, retransmissions included.
pub(crate) fn packets(world: &World, host: &str) -> Vec<(u64, Packet)> {
    let entries = world.net.log().entries().into_iter();
    let sent = entries.filter_map(|entry| match entry.what {
        What::Packet(packet) if packet.origin == Sender::Sent && packet.from_host == host => {
            Some((entry.at.as_millis(), packet))
        }
        _ => None,
    });
    sent.collect()
}

/// The requests of one method that a host sent, with the time, retransmissions included.
pub(crate) fn requests(world: &World, host: &str, method: &str) -> Vec<(u64, Sip)> {
    packets(world, host)
        .into_iter()
        .filter(|(_, packet)| packet.is_request(method))
        .map(|(at, packet)| (at, packet.sip().unwrap()))
        .collect()
}

/// The same without retransmissions: the first packet of each branch.
pub(crate) fn attempts(world: &World, host: &str, method: &str) -> Vec<(u64, Sip)> {
    let mut seen = Vec::new();
    let mut all = requests(world, host, method);
    all.retain(|(_, sip)| {
        let branch = branch(sip);
        let fresh = !seen.contains(&branch);
        seen.push(branch);
        fresh
    });
    all
}

/// The responses that a host sent, with the time.
pub(crate) fn responses(world: &World, host: &str, status: u16) -> Vec<(u64, Sip)> {
    packets(world, host)
        .into_iter()
        .filter(|(_, packet)| packet.is_response(status))
        .map(|(at, packet)| (at, packet.sip().unwrap()))
        .collect()
}

/// The branch of the topmost Via.
pub(crate) fn branch(sip: &Sip) -> String {
    oma_im::testkit::sip::param(&sip.all("Via")[0], "branch").unwrap()
}

/// A header that has to be there.
pub(crate) fn header<'a>(sip: &'a Sip, name: &str) -> &'a str {
    sip.header(name)
        .unwrap_or_else(|| panic!("no {name} in {sip:?}"))
}

/// The number of CSeq.
pub(crate) fn cseq(sip: &Sip) -> u32 {
    sip.cseq().unwrap().0
}

/// A parameter of the one Contact.
pub(crate) fn contact_param(sip: &Sip, name: &str) -> Option<String> {
    oma_im::testkit::sip::param(header(sip, "Contact"), name)
}

/// A parameter of Digest credentials, without quotes; `None` if it is not there.
pub(crate) fn digest(value: &str, name: &str) -> Option<String> {
    let rest = value.strip_prefix("Digest ").unwrap();
    oma_im::testkit::sip::split_list(rest)
        .into_iter()
        .find_map(|pair| {
            let (found, value) = pair.split_once('=')?;
            (found.trim().eq_ignore_ascii_case(name)).then(|| value.trim_matches('"').to_owned())
        })
}

/// A client alone: what it wants is noted, what happens to it the test does.
pub(crate) struct Bare {
    pub(crate) client: Client<Box<Standard>>,
    pub(crate) now: Instant,
    /// Everything that was sent: when, where, what.
    pub(crate) sent: Vec<(u64, FlowId, Vec<u8>)>,
    pub(crate) opens: Vec<Wish>,
    pub(crate) closes: Vec<(FlowId, CloseReason)>,
    /// Each event as `Debug` writes it.
    pub(crate) events: Vec<(u64, String)>,
    pub(crate) deadline: Option<Deadline>,
    /// Calls of `timeout`.
    pub(crate) wake_ups: u32,
    /// The size of the output slice.
    pub(crate) room: usize,
    flows: u32,
}

/// A flow that the client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) at: u64,
    pub(crate) id: OpenId,
    pub(crate) host: String,
    pub(crate) transport: Transport,
    pub(crate) purpose: Purpose,
    pub(crate) attempt: u16,
}

pub(crate) const HOST: &str = "proxy.example.com";
pub(crate) const LOCAL: SocketAddr = address([192, 0, 2, 10], 5060);
pub(crate) const REMOTE: SocketAddr = address([198, 51, 100, 1], 5060);

const fn address(ip: [u8; 4], port: u16) -> SocketAddr {
    use std::net::{IpAddr, Ipv4Addr};
    let [a, b, c, d] = ip;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

impl Bare {
    pub(crate) fn new(
        transport: Transport,
        change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
    ) -> Self {
        let hops = [NextHop::new(HOST, transport)];
        let config = change(Config {
            credentials: Credentials::Password {
                user: "alice",
                password: "alicepw",
            },
            instance: Some("urn:uuid:00000000-0000-4000-8000-000000000000"),
            ..Config::new("sip:alice@example.com", &hops)
        });
        let client = Client::new(&config, Box::new(Standard::new()), [42; 32]).unwrap();
        let mut bare = Self {
            client,
            now: Instant::ZERO,
            sent: Vec::new(),
            opens: Vec::new(),
            closes: Vec::new(),
            events: Vec::new(),
            deadline: None,
            wake_ups: 0,
            room: 4096,
            flows: 0,
        };
        bare.drain();
        bare
    }

    /// A client that is registered over one flow, the first.
    pub(crate) fn registered(
        transport: Transport,
        change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
    ) -> Self {
        let mut bare = Self::new(transport, change);
        bare.act(|client, now| client.register(now)).unwrap();
        bare.open();
        bare.grant(FlowId(1), &[]);
        assert!(bare.client.is_ready());
        bare
    }

    pub(crate) fn at(&self) -> u64 {
        self.now.as_millis()
    }

    pub(crate) fn act<T>(
        &mut self,
        call: impl FnOnce(&mut Client<Box<Standard>>, Instant) -> T,
    ) -> T {
        let result = call(&mut self.client, self.now);
        self.drain();
        result
    }

    pub(crate) fn drain(&mut self) {
        let at = self.at();
        let mut out = vec![0; self.room];
        for _ in 0..10_000 {
            match self.client.poll_output(&mut out) {
                Output::Transmit { flow, bytes } => self.sent.push((at, flow, bytes.to_vec())),
                Output::Open(open) => self.opens.push(Wish {
                    at,
                    id: open.id,
                    host: open.host.to_owned(),
                    transport: open.transport,
                    purpose: open.purpose,
                    attempt: open.attempt,
                }),
                Output::Close { flow, why } => self.closes.push((flow, why)),
                Output::Event(event) => self.events.push((at, format!("{event:?}"))),
                Output::TooSmall { needed } => {
                    assert!(needed > out.len(), "TooSmall that is not");
                    out.resize(out.len() + 1, 0);
                }
                Output::Idle(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
        panic!("the drain does not end");
    }

    /// Opens what was asked for last; gives the flow.
    pub(crate) fn open(&mut self) -> FlowId {
        self.open_at(LOCAL)
    }

    pub(crate) fn open_at(&mut self, local: SocketAddr) -> FlowId {
        let wish = self.opens.last().unwrap().clone();
        self.flow(Origin::Asked(wish.id), wish.transport, local)
    }

    pub(crate) fn flow(
        &mut self,
        origin: Origin,
        transport: Transport,
        local: SocketAddr,
    ) -> FlowId {
        self.flows += 1;
        let flow = FlowId(self.flows);
        let info = FlowInfo {
            origin,
            transport,
            local,
            remote: REMOTE,
            verified: Verified::No,
            direction: Direction::Both,
        };
        self.act(|client, now| client.flow_opened(now, flow, &info));
        flow
    }

    pub(crate) fn refuse(&mut self, why: OpenFailure) {
        let id = self.opens.last().unwrap().id;
        self.act(|client, now| client.flow_failed(now, id, why));
    }

    pub(crate) fn close(&mut self, flow: FlowId) {
        self.act(|client, now| client.flow_closed(now, flow));
    }

    /// Bytes that come in whole; the bodies of messages that were handed out.
    pub(crate) fn feed(&mut self, flow: FlowId, bytes: &[u8]) -> Vec<String> {
        let mut bodies = Vec::new();
        let mut left = bytes;
        while !left.is_empty() {
            let received = self.client.receive(self.now, flow, left);
            let (consumed, more) = (received.consumed, received.item == Item::More);
            if let Item::Message(message) = received.item {
                bodies.push(String::from_utf8_lossy(message.body).into_owned());
            }
            self.drain();
            if more {
                break;
            }
            left = &left[consumed..];
        }
        bodies
    }

    /// Lets time pass: `timeout` at each deadline, to the millisecond.
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now.after(millis);
        let mut twice = 0;
        while let Some(due) = self.deadline.map(|deadline| deadline.at) {
            if due > end {
                break;
            }
            twice = if due <= self.now { twice + 1 } else { 0 };
            assert!(
                twice < 2,
                "a deadline in the past twice: {:?}",
                self.deadline
            );
            self.now = self.now.max(due);
            self.wake_ups += 1;
            self.act(|client, now| client.timeout(now));
        }
        self.now = end;
    }

    /// The clock jumps, and only then the client is called.
    pub(crate) fn jump(&mut self, millis: u64) {
        self.now = self.now.after(millis);
        self.act(|client, now| client.timeout(now));
    }

    /// What was sent, as SIP; keep-alives are left out.
    pub(crate) fn messages(&self) -> Vec<(u64, FlowId, Sip)> {
        self.sent
            .iter()
            .filter_map(|(at, flow, bytes)| Some((*at, *flow, Sip::parse(bytes)?)))
            .collect()
    }

    /// The requests of a method that were sent.
    pub(crate) fn requests(&self, method: &str) -> Vec<(u64, FlowId, Sip)> {
        let mut all = self.messages();
        all.retain(|(_, _, sip)| sip.method() == Some(method));
        all
    }

    /// The last request of this method.
    pub(crate) fn last(&self, method: &str) -> Sip {
        self.requests(method).pop().unwrap().2
    }

    /// The responses with this status.
    pub(crate) fn responses(&self, status: u16) -> Vec<(u64, Sip)> {
        let all = self.messages().into_iter();
        all.filter(|(_, _, sip)| sip.status() == Some(status))
            .map(|(at, _, sip)| (at, sip))
            .collect()
    }

    /// Answers the last request of this method.
    pub(crate) fn answer(
        &mut self,
        flow: FlowId,
        method: &str,
        status: u16,
        headers: &[(&str, &str)],
    ) {
        let mut response = Sip::response(&self.last(method), status, "Scripted", "srv");
        for (name, value) in headers {
            response.push(name, value);
        }
        self.feed(flow, &response.to_bytes());
    }

    /// A 200 to the last REGISTER that grants what was asked for.
    pub(crate) fn grant(&mut self, flow: FlowId, headers: &[(&str, &str)]) {
        let contact = header(&self.last("REGISTER"), "Contact").to_owned();
        let mut all = vec![("Contact", contact.as_str())];
        all.extend_from_slice(headers);
        self.answer(flow, "REGISTER", 200, &all);
    }

    /// How many events hold this text.
    pub(crate) fn saw(&self, text: &str) -> usize {
        let with = |(_, event): &&(u64, String)| event.contains(text);
        self.events.iter().filter(with).count()
    }

    /// Keep-alives sent: when, and the bytes.
    pub(crate) fn keep_alives(&self) -> Vec<(u64, Vec<u8>)> {
        self.sent
            .iter()
            .filter(|(_, _, bytes)| Sip::parse(bytes).is_none())
            .map(|(at, _, bytes)| (*at, bytes.clone()))
            .collect()
    }
}

/// A request to the client.
pub(crate) fn request(method: &str, branch: &str, cseq: u32) -> Sip {
    let mut sip = Sip::request(method, "sip:alice@192.0.2.10:5060");
    sip.push(
        "Via",
        &format!("SIP/2.0/UDP 198.51.100.1:5060;branch={branch}"),
    );
    sip.push("Max-Forwards", "70");
    sip.push("From", "<sip:bob@example.com>;tag=b0b");
    sip.push("To", "<sip:alice@example.com>");
    sip.push("Call-ID", &format!("call-{cseq}"));
    sip.push("CSeq", &format!("{cseq} {method}"));
    sip
}

/// A MESSAGE to the client.
pub(crate) fn message(branch: &str, cseq: u32, text: &str) -> Sip {
    let mut sip = request("MESSAGE", branch, cseq);
    sip.push("Content-Type", "text/plain");
    sip.body = text.as_bytes().to_vec();
    sip
}

/// The path that a bare client has.
pub(crate) const PATH: PathId = PathId(0);

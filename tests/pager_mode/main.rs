//! Pager mode (OMA IM 8.1): what goes out, how it is queued and measured, how it ends.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice
)]

mod anonymity;
mod golden;
mod identity;
mod outcome;
mod queue;
mod reports;
mod size;

use std::net::SocketAddr;

use oma_im::client::{
    Adopted, Client, Direction, FlowInfo, Item, Origin, Output, SendOutcome, Verified,
};
use oma_im::config::{Config, Transport};
use oma_im::error::CommandError;
use oma_im::id::{FlowId, IncomingId, SendId};
use oma_im::im::pager::Outgoing;
use oma_im::storage::Standard;
use oma_im::testkit::log::Packet;
use oma_im::testkit::net::Conditions;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;
use oma_im::time::Instant;

/// A world whose server asks nobody for credentials, so that each message is one request.
pub(crate) fn open_world(seed: u64) -> World {
    World::with(seed, Conditions::default(), |server| {
        server.register_auth.clear();
        server.request_auth.clear();
    })
}

/// Until every stream has seen a keep-alive answered: only then its loss has it opened again at once,
/// and not after a wait (RFC 5626 §4.5).
pub(crate) fn settle(world: &mut World) {
    world.run(130_000);
}

/// Sends, and expects it to be taken.
pub(crate) fn send(world: &mut World, phone: usize, message: &Outgoing<'_>) -> SendId {
    try_send(world, phone, message).unwrap()
}

pub(crate) fn try_send(
    world: &mut World,
    phone: usize,
    message: &Outgoing<'_>,
) -> Result<SendId, CommandError> {
    world.act(phone, |client, now| client.send_message(now, message))
}

/// The MESSAGE requests that a host sent so far, retransmissions left out.
pub(crate) fn messages(world: &World, host: &str) -> Vec<Packet> {
    let mut branches = Vec::new();
    world.net.log().sent(|packet| {
        if packet.from_host != host || !packet.is_request("MESSAGE") {
            return false;
        }
        let sip = packet.sip().unwrap();
        let via = sip.header("Via").unwrap().to_owned();
        let new = !branches.contains(&via);
        branches.push(via);
        new
    })
}

/// As [`messages`], read.
pub(crate) fn sips(world: &World, host: &str) -> Vec<Sip> {
    let packets = messages(world, host);
    packets.iter().map(|packet| packet.sip().unwrap()).collect()
}

/// Every terminal event of a send, in order: there must never be more than one.
pub(crate) fn outcomes(world: &World, phone: usize, id: SendId) -> Vec<SendOutcome> {
    let of = |event: &Happened| match event {
        Happened::Sent(sent, outcome) if *sent == id => Some(*outcome),
        _ => None,
    };
    world.phones[phone].events.iter().filter_map(of).collect()
}

/// Runs until a send is over; gives its one outcome.
pub(crate) fn outcome(world: &mut World, phone: usize, id: SendId) -> SendOutcome {
    world.run_until(200_000, |world| !outcomes(world, phone, id).is_empty());
    let all = outcomes(world, phone, id);
    assert_eq!(all.len(), 1, "one terminal event: {all:?}");
    all[0]
}

/// A client alone on a registration that somebody else holds, without a calendar and without a
/// network: bytes in, bytes out.
pub(crate) struct Lone {
    pub(crate) client: Client<Box<Standard>>,
    now: Instant,
}

impl Lone {
    pub(crate) fn new(
        config: &Config<'_>,
        transport: Transport,
        local: &str,
        adopted: &Adopted<'_>,
    ) -> Self {
        let mut client = Client::new(config, Box::new(Standard::new()), [7; 32]).unwrap();
        let now = Instant::ZERO;
        client.adopt_registration(now, adopted).unwrap();
        let mut out = [0; 2048];
        loop {
            match client.poll_output(&mut out) {
                Output::Open(open) => {
                    let info = FlowInfo {
                        origin: Origin::Asked(open.id),
                        transport,
                        local: local.parse().unwrap(),
                        remote: SocketAddr::from(([198, 51, 100, 1], 5060)),
                        verified: Verified::No,
                        direction: Direction::Both,
                    };
                    client.flow_opened(now, FlowId(1), &info);
                }
                Output::Event(_) => {}
                Output::Idle(_) => break,
                other => panic!("not expected yet: {other:?}"),
            }
        }
        Self { client, now }
    }

    pub(crate) fn wall_clock(&mut self, unix_millis: u64) {
        self.client.wall_clock(self.now, unix_millis);
    }

    pub(crate) fn send(&mut self, message: &Outgoing<'_>) -> Result<SendId, CommandError> {
        self.client.send_message(self.now, message)
    }

    /// Everything that the client has to send now.
    pub(crate) fn transmitted(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let mut out = [0; 2048];
        loop {
            match self.client.poll_output(&mut out) {
                Output::Transmit { bytes, .. } => sent.push(bytes.to_vec()),
                Output::Event(_) => {}
                Output::Idle(_) => return sent,
                other => panic!("not expected: {other:?}"),
            }
        }
    }

    /// Gives it one message of a person.
    pub(crate) fn incoming(&mut self, bytes: &[u8]) -> IncomingId {
        match self.client.receive(self.now, FlowId(1), bytes).item {
            Item::Message(message) => message.id,
            other => panic!("not a message: {other:?}"),
        }
    }

    pub(crate) fn delivered(&mut self, id: IncomingId) {
        self.client.delivered(self.now, id).unwrap();
    }
}

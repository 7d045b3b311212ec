//! The clauses of the change request that bind pager mode, one or more tests each. Details of each
//! theme are in `pager_mode`; here stands what a clause says, on the bytes that go out.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice
)]

mod message;
mod originator;

use oma_im::client::SendOutcome;
use oma_im::config::{Config, Credentials, Transport};
use oma_im::error::CommandError;
use oma_im::id::SendId;
use oma_im::im::pager::{Anonymity, Outgoing};
use oma_im::testkit::log::Packet;
use oma_im::testkit::net::Conditions;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;

pub(crate) const BOB: &str = "sip:bob@example.com";
pub(crate) const ALICE: &str = "sip:alice@example.com";

/// Alice and bob, registered; nobody asks for credentials, so that each message is one request.
pub(crate) fn world(seed: u64) -> (World, usize, usize) {
    world_with(seed, |config| config)
}

pub(crate) fn world_with(
    seed: u64,
    change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
) -> (World, usize, usize) {
    let mut world = World::with(seed, Conditions::default(), |server| {
        server.register_auth.clear();
        server.request_auth.clear();
    });
    let alice = world.phone_with("alice", Transport::Udp, change);
    let bob = world.phone("bob", Transport::Tcp);
    world.register_all();
    (world, alice, bob)
}

pub(crate) fn hello() -> Outgoing<'static> {
    Outgoing::text(BOB, "Hello Bob")
}

pub(crate) fn anonymous() -> Outgoing<'static> {
    Outgoing {
        anonymity: Anonymity::Id,
        ..hello()
    }
}

pub(crate) fn try_send(
    world: &mut World,
    phone: usize,
    message: &Outgoing<'_>,
) -> Result<SendId, CommandError> {
    world.act(phone, |client, now| client.send_message(now, message))
}

/// Sends, runs until it is over, gives its outcome and the request that went out last.
pub(crate) fn sent(world: &mut World, phone: usize, message: &Outgoing<'_>) -> (SendOutcome, Sip) {
    let id = try_send(world, phone, message).unwrap();
    let over = |event: &Happened| match event {
        Happened::Sent(of, outcome) if *of == id => Some(*outcome),
        _ => None,
    };
    world.run_until(60_000, |world| {
        world.phones[phone].events.iter().any(|e| over(e).is_some())
    });
    let ends: Vec<SendOutcome> = world.phones[phone].events.iter().filter_map(over).collect();
    assert_eq!(ends.len(), 1);
    let name = world.phones[phone].name.clone();
    (ends[0], requests(world, &name, "MESSAGE").pop().unwrap())
}

/// The requests of one method that a host sent.
pub(crate) fn requests(world: &World, host: &str, method: &str) -> Vec<Sip> {
    let wanted = |packet: &Packet| packet.from_host == host && packet.is_request(method);
    let packets = world.net.log().sent(wanted);
    packets.iter().map(|packet| packet.sip().unwrap()).collect()
}

pub(crate) const DELIVERED: SendOutcome = SendOutcome::Delivered { status: 200 };

/// Every way to send: plain, with a report asked for, anonymous, to a group.
pub(crate) fn every_form() -> Vec<Outgoing<'static>> {
    vec![
        hello(),
        hello().with_delivery_report(),
        anonymous(),
        Outgoing::text("sip:team@example.com", "all"),
    ]
}

/// The text that makes a request of `size` bytes, by asking the client how long another one is.
pub(crate) fn text_for(world: &mut World, phone: usize, size: usize) -> String {
    let probe = "x".repeat(999);
    match try_send(world, phone, &Outgoing::text(BOB, &probe)) {
        Err(CommandError::TooLargeForPager { size: probed }) => "x".repeat(999 + size - probed),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn no_credentials(config: Config<'_>) -> Config<'_> {
    Config {
        credentials: Credentials::None,
        ..config
    }
}

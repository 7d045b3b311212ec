//! The addresses of a next hop, one after the other (RFC 3263 §4.3): a driver with a long list.
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used)]

use std::net::SocketAddr;

use oma_im::client::{
    Client, Direction, Event, FlowInfo, OpenFailure, Origin, Output, RegistrationChange, Verified,
};
use oma_im::config::{Config, NextHop, Transport};
use oma_im::id::FlowId;
use oma_im::limits::MAX_CANDIDATES;
use oma_im::storage::Small;
use oma_im::time::Instant;

/// What became of a registration whose first `refusing` candidates refuse.
#[derive(Debug, PartialEq)]
enum End {
    /// The next one is open.
    Sent,
    /// All are given up, for now.
    Retrying,
}

fn register(refusing: u16) -> End {
    let hops = [NextHop::new("proxy.example.com", Transport::Tcp)];
    let config = Config::new("sip:alice@example.com", &hops);
    let mut client = Client::new(&config, Small::new(), [7; 32]).unwrap();
    let mut out = [0; 1500];
    let now = Instant::ZERO;
    client.register(now).unwrap();
    let mut next = 0;
    loop {
        match client.poll_output(&mut out) {
            Output::Open(open) => {
                assert_eq!(open.attempt, next, "not one after the other");
                next += 1;
                let id = open.id;
                if open.attempt < refusing {
                    client.flow_failed(now, id, OpenFailure::Refused);
                    continue;
                }
                let info = FlowInfo {
                    origin: Origin::Asked(id),
                    transport: Transport::Tcp,
                    local: SocketAddr::from(([192, 0, 2, 10], 5060)),
                    remote: SocketAddr::from(([192, 0, 2, 1], 5060)),
                    verified: Verified::No,
                    direction: Direction::Both,
                };
                client.flow_opened(now, FlowId(1), &info);
            }
            Output::Transmit { bytes, .. } => {
                assert!(bytes.starts_with(b"REGISTER "));
                return End::Sent;
            }
            Output::Event(Event::Registration {
                change: RegistrationChange::Retrying { .. },
                ..
            }) => {
                assert_eq!(next, refusing.min(MAX_CANDIDATES));
                return End::Retrying;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_list_is_tried_to_its_end_or_to_the_limit() {
    for refusing in [0, 1, MAX_CANDIDATES - 2, MAX_CANDIDATES - 1] {
        assert_eq!(register(refusing), End::Sent, "{refusing} refuse");
    }
}

#[test]
fn a_driver_that_never_ends_its_list_does_not_keep_the_client_busy() {
    for refusing in [MAX_CANDIDATES, MAX_CANDIDATES + 1, u16::MAX] {
        assert_eq!(register(refusing), End::Retrying, "{refusing} refuse");
    }
}

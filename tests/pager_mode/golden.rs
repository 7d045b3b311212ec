//! What the client writes is written like the golden examples: the same header fields in the same
//! order and form, and the same body, byte for byte where nothing random stands.

use std::path::PathBuf;

use oma_im::client::Adopted;
use oma_im::config::{Config, NextHop, Transport};
use oma_im::im::pager::{Anonymity, Outgoing, Wrap};
use oma_im::testkit::world::EPOCH;
use oma_im::wire::message::Message;

use crate::Lone;

const ROUTE: &str = "<sip:pcscf.ims.example.com:5060;lr>, <sip:orig@scscf.ims.example.com;lr>";
const HOPS: [NextHop<'static>; 1] = [NextHop::new("pcscf.ims.example.com", Transport::Tcp)];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden(name: &str) -> String {
    let bytes = std::fs::read(folder().join(name)).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn alice(display_name: Option<&str>) -> Lone {
    let config = Config {
        product: "Example/M4-1.0",
        display_name,
        ..Config::new("sip:alice@ims.example.com", &HOPS)
    };
    let adopted = Adopted {
        service_route: ROUTE,
        associated: "",
    };
    Lone::new(&config, Transport::Tcp, "192.0.2.10:5060", &adopted)
}

/// The one message that goes out.
fn one(mut sent: Vec<Vec<u8>>) -> String {
    assert_eq!(sent.len(), 1);
    String::from_utf8(sent.remove(0)).unwrap()
}

/// A message with what is random in it masked. What is masked is checked: it is there, it names no
/// host, and Content-Length is the length of the body.
fn masked(text: &str) -> String {
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let mask = |line: &str| {
        for (name, cut) in [("Via: ", "branch="), ("From: ", ";tag="), ("Call-ID: ", "")] {
            if line.starts_with(name)
                && let Some((kept, random)) = line.split_at(name.len()).1.split_once(cut)
            {
                assert!(!random.is_empty());
                return format!("{name}{kept}{cut}*");
            }
        }
        if let Some(length) = line.strip_prefix("Content-Length: ") {
            assert_eq!(length, body.len().to_string());
            return "Content-Length: *".into();
        }
        if line.starts_with("imdn.Message-ID: ") {
            return "imdn.Message-ID: *".into();
        }
        line.to_owned()
    };
    text.split("\r\n")
        .map(mask)
        .collect::<Vec<_>>()
        .join("\r\n")
}

#[test]
fn a_message_with_a_report_is_written_like_golden_06() {
    let mut alice = alice(Some("Alice"));
    alice.wall_clock(EPOCH);
    let hello = Outgoing::text("sip:bob@ims.example.com", "Hello Bob").with_delivery_report();
    alice.send(&hello).unwrap();
    let written = one(alice.transmitted());
    assert_eq!(
        masked(&written),
        masked(&golden("06-message-pager-cpim-imdn.sip"))
    );
}

#[test]
fn an_anonymous_message_is_written_like_golden_06b() {
    let mut alice = alice(Some("Alice"));
    let hello = Outgoing {
        anonymity: Anonymity::Id,
        wrap: Wrap::Cpim,
        ..Outgoing::text("sip:bob@ims.example.com", "Hello Bob")
    };
    alice.send(&hello).unwrap();
    let written = one(alice.transmitted());
    assert_eq!(
        masked(&written),
        masked(&golden("06b-message-anonymous.sip"))
    );
}

#[test]
fn a_delivery_report_is_written_like_golden_09() {
    let config = Config {
        product: "Example/M4-1.0",
        ..Config::new("sip:bob@ims.example.com", &HOPS)
    };
    let adopted = Adopted {
        service_route: "",
        associated: "",
    };
    let mut bob = Lone::new(&config, Transport::Tcp, "198.51.100.20:5060", &adopted);
    // What golden 06 has become behind the core: an identity is asserted (RFC 3325 §5).
    let message = golden("06-message-pager-cpim-imdn.sip")
        .replace("P-Preferred-Identity", "P-Asserted-Identity");
    let id = bob.incoming(message.as_bytes());
    assert!(one(bob.transmitted()).starts_with("SIP/2.0 200 OK\r\n"));
    bob.delivered(id);
    let written = one(bob.transmitted());
    assert_eq!(
        masked(&written),
        masked(&golden("09-message-imdn-delivered.sip"))
    );
}

#[test]
fn every_golden_message_is_read_without_error() {
    let mut read = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sip") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let message =
            Message::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        message
            .validate()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        read += 1;
    }
    assert_eq!(read, 31);
}

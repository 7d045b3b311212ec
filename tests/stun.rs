//! STUN keep-alives (RFC 5626 §8, RFC 8489).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use oma_im::wire::stun::{Outcome, Response, TransactionId, is_stun, request};

/// The transaction id of the vectors of RFC 5769.
const ID: TransactionId = TransactionId([
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
]);

/// A message: type, attributes.
fn message(kind: u16, attributes: &[u8]) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    out.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    out.extend([0x21, 0x12, 0xa4, 0x42]);
    out.extend(ID.0);
    out.extend(attributes);
    out
}

/// SOFTWARE "test vector", padded with a space (RFC 5769 §2.2).
const SOFTWARE: &[u8] = b"\x80\x22\x00\x0btest vector ";
/// XOR-MAPPED-ADDRESS 192.0.2.1:32853 (RFC 5769 §2.2).
const V4: &[u8] = b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43";
/// XOR-MAPPED-ADDRESS [2001:db8:1234:5678:11:2233:4455:6677]:32853 (RFC 5769 §2.3).
const V6: &[u8] = b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9";
/// FINGERPRINT (RFC 5769 §2.2).
const FINGERPRINT: &[u8] = b"\x80\x28\x00\x04\xc0\x7d\x4c\x96";

fn outcome(packet: &[u8]) -> Option<Outcome> {
    let response = Response::parse(packet)?;
    assert_eq!(response.id, ID);
    Some(response.outcome)
}

#[test]
fn the_request_is_twenty_bytes() {
    let packet = request(ID);
    assert_eq!(packet[..8], [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    assert_eq!(packet[8..], ID.0);
    assert!(is_stun(&packet));
    // Our own request come back is no answer.
    assert_eq!(Response::parse(&packet), None);
}

#[test]
fn the_answer_holds_our_address() {
    let v4 = [SOFTWARE, V4, FINGERPRINT].concat();
    assert_eq!(
        outcome(&message(0x0101, &v4)),
        Some(Outcome::Mapped("192.0.2.1:32853".parse().unwrap()))
    );
    let v6 = [SOFTWARE, V6, FINGERPRINT].concat();
    assert_eq!(
        outcome(&message(0x0101, &v6)),
        Some(Outcome::Mapped(
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853"
                .parse()
                .unwrap()
        ))
    );
    // The first of two counts; a family nobody knows is skipped.
    let mut odd = V4.to_vec();
    odd[5] = 3;
    assert_eq!(
        outcome(&message(0x0101, &[&odd, V4, V6].concat())),
        Some(Outcome::Mapped("192.0.2.1:32853".parse().unwrap()))
    );
}

#[test]
fn an_error_response_gives_its_code() {
    let error = |code: &[u8]| outcome(&message(0x0111, code));
    assert_eq!(
        error(b"\x00\x09\x00\x05\x00\x00\x04\x14x\x00\x00\x00"),
        Some(Outcome::Refused(420))
    );
    for without in [
        &b""[..],
        SOFTWARE,
        b"\x00\x09\x00\x04\x00\x00\x02\x00",
        b"\x00\x09\x00\x04\x00\x00\x03\x64",
        b"\x00\x09\x00\x04\x00\x00\x04\x65",
    ] {
        assert_eq!(error(without), Some(Outcome::Refused(500)));
    }
}

#[test]
fn what_is_not_stun() {
    assert!(!is_stun(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\n"));
    assert!(!is_stun(b"\r\n\r\n") && !is_stun(b"") && !is_stun(&[0; 20]));
    for at in 0..20 {
        assert!(!is_stun(&request(ID)[..at]), "{at}");
    }
    for first in 0..=255 {
        let mut packet = request(ID);
        packet[0] = first;
        assert_eq!(is_stun(&packet), first < 64, "{first}");
    }
    for kind in [0x0001, 0x0011, 0x0102, 0x0003, 0x3fff] {
        assert_eq!(Response::parse(&message(kind, V4)), None, "{kind:#x}");
    }
    // A success without an address, lengths that lie.
    assert_eq!(outcome(&message(0x0101, SOFTWARE)), None);
    let whole = message(0x0101, V4);
    for (at, byte) in [
        (3, 8),
        (3, 16),
        (3, 13),
        (2, 1),
        (23, 4),
        (23, 9),
        (23, 0xff),
        (22, 0xff),
    ] {
        let mut packet = whole.clone();
        packet[at] = byte;
        assert_eq!(outcome(&packet), None, "byte {at} = {byte}");
    }
    // A broken attribute after the good one spoils the whole.
    assert_eq!(
        outcome(&message(0x0101, &[V4, b"\x00\x01\xff\xff"].concat())),
        None
    );
}

#[test]
fn cut_at_every_byte_and_with_every_byte_changed() {
    let whole = message(0x0101, &[SOFTWARE, V4, V6, FINGERPRINT].concat());
    for at in 0..whole.len() {
        assert_eq!(Response::parse(&whole[..at]), None, "{at}");
        let mut less = whole.clone();
        less.remove(at);
        assert_eq!(Response::parse(&less), None, "{at}");
        for byte in 0..=255 {
            let mut other = whole.clone();
            other[at] = byte;
            let _ = Response::parse(&other);
        }
    }
}

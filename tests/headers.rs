//! Typed views of header values.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use oma_im::wire::header::*;

#[test]
fn smoke() {
    for (value, uri, tag) in [
        (
            &b"Anna <sip:a@b>;tag=1"[..],
            &b"sip:a@b"[..],
            Some(&b"1"[..]),
        ),
        (
            b"Anna\r\n K<sip:a@b;x=1,2?y=z> ; tag = 1",
            b"sip:a@b;x=1,2?y=z",
            Some(b"1"),
        ),
        (b"sip:a@b", b"sip:a@b", None),
    ] {
        let addr = NameAddr::parse(value).unwrap();
        assert_eq!((addr.uri, addr.tag()), (uri, tag));
    }
}

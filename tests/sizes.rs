//! What a client takes. `cargo test --test sizes -- --nocapture` prints the table.
#![allow(clippy::arithmetic_side_effects)]

use oma_im::client::{Client, Event, Item, Open, Output, Usage};
use oma_im::config::Config;
use oma_im::error::{CommandError, ConfigError, Failure};
use oma_im::storage::{Inline, Small, Standard};
use oma_im::wire::error::ParseError;
use oma_im::wire::message::Message;

/// Bytes of one more unit of each parameter of `Inline`.
const TXN: usize = size_of::<Inline<9, 0, 0>>() - size_of::<Inline<8, 0, 0>>();
const REMEMBERED: usize = (size_of::<Inline<0, 18, 0>>() - size_of::<Inline<0, 16, 0>>()) / 2;

#[test]
fn a_client_of_a_small_phone_takes_at_most_16_kib() {
    let rows = [
        ("Client<Small>", size_of::<Client<Small>>()),
        ("Client<Standard>", size_of::<Client<Standard>>()),
        (
            "client without storage",
            size_of::<Client<Small>>() - size_of::<Small>(),
        ),
        ("Small", size_of::<Small>()),
        ("Standard", size_of::<Standard>()),
        ("one of TXNS", TXN),
        ("one of REMEMBERED", REMEMBERED),
        ("Event", size_of::<Event<'_>>()),
        ("Item", size_of::<Item<'_>>()),
        ("Open", size_of::<Open<'_>>()),
        ("Output", size_of::<Output<'_>>()),
        ("Usage", size_of::<Usage>()),
        ("Config", size_of::<Config<'_>>()),
        ("Message", size_of::<Message<'_>>()),
    ];
    for (name, bytes) in rows {
        println!("{name:<24} {bytes:>7}");
    }
    assert!(size_of::<Client<Small>>() <= 16 * 1024);
    // An answer that is repeated costs this much.
    assert_eq!(REMEMBERED, 24);
}

#[test]
fn errors_are_small() {
    assert!(size_of::<ParseError>() <= 4);
    assert!(size_of::<ConfigError>() <= 24);
    assert!(size_of::<CommandError>() <= 24);
    assert!(size_of::<Failure>() <= 16);
}

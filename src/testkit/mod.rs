//! The test kit: a network, a clock and an IM server that exist only in memory, and the ladder of what happened.
//!
//! A test builds a [`net::Network`] from a seed, puts hosts on it, and lets clients and a [`server::ImServer`] talk across
//! it. Time is a number that moves to the next thing due, so an hour of retransmissions takes milliseconds. All that is sent,
//! lost, opened, broken or remarked goes into one [`log::Log`]: tests assert on it, and [`ladder`] draws it. A run that
//! fails prints its ladder and its seed ([`ladder::LadderOnFailure`]); the same seed repeats it byte for byte.
//!
//! | module | what |
//! |---|---|
//! | [`net`] | datagrams and streams with latency, jitter, loss, duplication, reordering, splitting; address translation; black holes; connections that break |
//! | [`server`] | registrar with digest, MESSAGE routing, store-and-forward, groups, event state and subscriptions, the edge of an IMS core, scripted misbehaviour; sans-IO, so it serves real sockets too |
//! | [`phone`] | a client with sockets and an application |
//! | [`world`] | phones and servers on one network |
//! | [`log`] | the event log |
//! | [`ladder`] | terminal text |
//! | [`export`] | Mermaid, JSON lines |
//! | [`pcap`] | a capture file for Wireshark |
//! | [`sip`] | a plain SIP reader and writer for assertions, independent of [`crate::wire`] |
//! | `ops` | sequences of operations by chance, and what must hold after each (feature `arbitrary`) |
//! | [`rng`] | the seeded dice |
//!
//! Nothing here is for production: it allocates, and it panics when a test asks for nonsense.

// Scaffolding of tests: a panic here is a failing test, and lengths are those of test data.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]

pub mod export;
pub mod ladder;
pub mod log;
pub mod net;
#[cfg(feature = "arbitrary")]
pub mod ops;
pub mod pcap;
pub mod phone;
pub mod rng;
pub mod server;
pub mod sip;
pub mod world;

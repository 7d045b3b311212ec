//! The client side of OMA SIMPLE IM (instant messaging over SIP) as sans-IO state machines.
//!
//! Bytes, clock readings and commands go in. Bytes to send, flows to open, events and one deadline
//! come out. The crate opens no socket, reads no clock, draws no random numbers of its own and,
//! without the feature `alloc`, has no allocator; there is no unsafe code. One core serves firmware
//! without an operating system, phones and gateways.
//!
//! # The contract
//!
//! **One mutation, then drain to `Idle`.** After each call that takes `now`, call
//! [`poll_output`](Client::poll_output) until it says [`Idle`](client::Output::Idle). Breaking this
//! delays output and loses nothing.
//!
//! # A tour
//!
//! - **The loop.** [`client`] shows it whole: poll, send, wait, present. Everything that the client
//!   wants comes out of one method, [`Client::poll_output`], as an [`Output`](client::Output).
//! - **The memory.** [`storage`]: a client lives over arrays of a size that you choose, in a
//!   `static`, in a local, or on the heap. [`storage::Small`] is for phones,
//!   [`storage::Standard`] for computers.
//! - **The decisions.** [`config::Config`]: next hops, credentials, NAT, keep-alive, reports. There
//!   is a default for everything but the user's address and the next hop.
//! - **The commands.** The methods of [`Client`]: [`register`](Client::register),
//!   [`send_message`](Client::send_message) with an [`Outgoing`](im::pager::Outgoing),
//!   [`withdraw`](Client::withdraw), [`delivered`](Client::delivered),
//!   [`displayed`](Client::displayed), [`refuse`](Client::refuse),
//!   [`network_changed`](Client::network_changed), [`deregister`](Client::deregister). A command that
//!   cannot be done gives a [`CommandError`](error::CommandError), and nothing has changed.
//! - **The events.** [`client::Event`] says what became of commands and registration; each message
//!   sent ends in exactly one [`Sent`](client::Event::Sent), and reports on it follow. Content that
//!   came in is an [`Item`](client::Item) of [`receive`](Client::receive), borrowed from your buffer.
//! - **The card.** On an IMS core ([`Config::ims`](config::Config::ims)) the application asks a SIM card and the platform
//!   does IPsec: [`Event::Challenge`](client::Event::Challenge) and [`Client::answer`],
//!   [`Event::SecurityOfferWanted`](client::Event::SecurityOfferWanted) and [`Client::security_offer`], then
//!   [`Event::InstallSecurity`](client::Event::InstallSecurity) and the flows of the protected path.
//! - **The limits.** [`limits`] names every one with its default and its cost. Meeting one gives a
//!   typed error that names it; [`Client::usage`] and [`Client::stats`] show how near you are.
//! - **The failures.** [`error`], sorted by whose fault they are.
//! - **The names.** [`id`] for what outlives a call, [`time`] for the clock.
//!
//! Below the client, in layers that know nothing of those above: [`im`], what the OMA procedures ask
//! of a request; [`sip`], transactions, registration, keep-alive and digest as pure machines;
//! [`wire`], bytes to borrowed views and views to bytes, usable alone.
//!
//! # First steps
//!
//! ```
//! use oma_im::Client;
//! use oma_im::client::Output;
//! use oma_im::config::{Config, NextHop, Transport};
//! use oma_im::storage::Small;
//! use oma_im::time::Instant;
//!
//! let hops = [NextHop::new("proxy.example.com", Transport::Udp)];
//! let config = Config::new("sip:alice@example.com", &hops);
//! let mut client = Client::new(&config, Small::new(), [7; 32])?;
//! let mut out = [0; 1500];
//!
//! client.register(Instant::ZERO)?;
//! // The first thing it wants is a flow to its next hop.
//! match client.poll_output(&mut out) {
//!     Output::Open(open) => assert_eq!(open.host, "proxy.example.com"),
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `std` | yes | `alloc`; nothing else yet |
//! | `alloc` | by `std` | [`storage`] on the heap with limits at run time; `Box` as storage |
//! | `deflate` | no | messages and reports with `Content-Encoding: deflate` are read |
//! | `testkit` | no | the module `testkit`: a virtual network, clock and IM server, ladders and captures |
//! | `defmt` | no | `defmt::Format` on ids, errors and events |
//! | `log` | no | nothing yet |
//! | `arbitrary` | no | `Arbitrary` on inputs, and random sequences of operations in the test kit |
#![forbid(unsafe_code)]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "alloc")]
extern crate alloc;

#[macro_use]
mod trace;

pub(crate) mod arena;
pub mod client;
pub mod config;
pub(crate) mod entropy;
pub mod error;
pub mod id;
pub mod im;
pub mod limits;
#[cfg(feature = "bytes")]
pub mod owned;
pub mod sip;
pub mod storage;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod time;
pub mod wire;

pub use client::Client;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

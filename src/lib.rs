//! The client side of OMA SIMPLE IM as sans-IO state machines.
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

pub(crate) mod arena;
pub mod client;
pub mod config;
pub(crate) mod entropy;
pub mod error;
pub mod id;
pub mod im;
pub mod limits;
pub mod sip;
pub mod storage;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod time;
pub mod wire;

pub use client::Client;

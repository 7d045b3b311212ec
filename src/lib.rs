//! The client side of OMA SIMPLE IM as sans-IO state machines.
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

#[cfg_attr(not(test), allow(dead_code))] // the client core holds one
pub(crate) mod arena;
#[cfg_attr(not(test), allow(dead_code))] // the client core holds one
pub(crate) mod entropy;
pub mod im;
pub mod sip;
pub mod time;
pub mod wire;

//! The OMA procedures, one file per clause family, written against `sip/` and `wire/`.
//!
//! They know what a request has to look like and what an answer means; they hold no state and send
//! nothing. The client owns the state.

pub mod imdn;
pub mod pager;
pub mod tags;

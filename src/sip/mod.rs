//! RFC 3261 and its neighbours as pure machines: transactions, registration, keep-alive.

pub mod auth;
pub mod backoff;
pub mod keepalive;
pub mod registration;
pub mod transaction;

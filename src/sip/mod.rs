//! RFC 3261 and its neighbours as pure machines: transactions, registration, publication,
//! subscription, keep-alive.
//!
//! A machine holds a state and some times. It gets what happened and says what to do next; it sends
//! nothing, keeps no bytes but the names that a server gave it, and knows no other machine. The
//! client owns all of them and does what they say.
//!
//! | module | what | from |
//! |---|---|---|
//! | [`transaction`] | the four transaction machines and their timers | RFC 3261 §17, 6026, 4320 |
//! | [`registration`] | when to register, refresh, wait, give up and leave | RFC 3261 §10, 5626 |
//! | [`publication`] | when to publish, refresh, modify and remove event state | RFC 3903 |
//! | [`subscription`] | when to subscribe, refresh and leave, and what a NOTIFY is answered with | RFC 6665 |
//! | [`dialog`] | what a dialog keeps, and what is written from it | RFC 3261 §12 |
//! | [`keepalive`] | pings, pongs, STUN, and when a flow has failed | RFC 5626 §4.4, 6223 |
//! | [`backoff`] | how long to wait before the next attempt | RFC 5626 §4.5 |
//! | [`lease`] | how long a grant lasts, and when it is renewed | |
//! | [`failure`] | how a request fails | |
//! | [`auth`] | what to answer to a challenge, and when to stop | RFC 3261 §22, 7616, 8760 |

pub mod auth;
pub mod backoff;
pub mod dialog;
pub(crate) mod draft;
pub mod failure;
pub mod keepalive;
pub mod lease;
pub mod publication;
pub mod registration;
pub mod subscription;
pub mod transaction;

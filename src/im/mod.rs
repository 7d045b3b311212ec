//! The OMA procedures, one file per clause family, written against `sip/` and `wire/`.
//!
//! They know what a request has to look like and what an answer means; they hold no state and send
//! nothing. The client owns the state.
//!
//! | module | what | clauses |
//! |---|---|---|
//! | [`pager`] | a message to be sent, as the application gives it and as it is written | 8.1.1 |
//! | [`imdn`] | which reports a message asks for, and to whom they may go | 8.1.1 step 10, RFC 5438 |
//! | `settings` | the PUBLISH of the IM service settings | 5.2.4, E.2 |
//! | `subscribe` | the SUBSCRIBE to what the network knows of the user | RFC 6665 |
//! | [`tags`] | every magic string, once | 5.2.4, 8.1.1, F.1 |

pub mod imdn;
pub(crate) mod originator;
pub mod pager;
pub(crate) mod settings;
pub(crate) mod subscribe;
pub mod tags;

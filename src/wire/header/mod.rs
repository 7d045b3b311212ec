//! Typed views of header values.
//!
//! Each view borrows from one value, as [`message`](super::message) cuts it out, and is made by
//! `X::parse(value)`, which checks the grammar once. Folds and escapes stay where they are; the
//! iterators of [`Text`] and of parameters read through them.

mod address;
mod number;
mod text;
mod via;

pub use address::{
    Contact, From, NameAddr, PAssertedIdentity, PAssociatedUri, PCalledPartyId, PPreferredIdentity,
    PRefusedUriList, Path, RecordRoute, ReferTo, ReferredBy, ReplyTo, Route, ServiceRoute, To,
};
pub use number::{
    CSeq, ContentLength, Expires, FlowTimer, MaxForwards, MinExpires, MinSe, RAck, RSeq, Refresher,
    RetryAfter, SessionExpires,
};
pub use text::{Bytes, Display, Subject, Text};
pub use via::{Keep, Rport, Via};

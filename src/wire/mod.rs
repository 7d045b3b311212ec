//! Bytes to borrowed views, and views to bytes.
//!
//! No state, no time, total: any input gives a view or an error, never a panic. Parsers borrow
//! from the caller's buffer and never rewrite it; header values are typed on demand. Writers fill
//! a slice of the caller's and know their own length.

pub mod cpim;
pub mod datetime;
#[cfg(feature = "deflate")]
#[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
pub mod deflate;
pub mod digest;
pub mod error;
pub mod framer;
pub mod header;
pub mod imdn;
pub mod message;
pub mod mime;
pub mod name;
pub mod scan;
pub mod sink;
pub mod stun;
pub mod uri;
pub mod writer;
pub mod xml;

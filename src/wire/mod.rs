//! Bytes to borrowed views, and views to bytes.
//!
//! No state, no time, total: any input gives a view or an error, never a panic. Parsers borrow
//! from the caller's buffer and never rewrite it; header values are typed on demand. Writers fill
//! a slice of the caller's and know their own length. Nothing here needs a client: a gateway or a
//! tool can use it alone.
//!
//! ```
//! use oma_im::wire::message::Message;
//! use oma_im::wire::name::Name;
//!
//! let bytes = b"MESSAGE sip:bob@example.com SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n\
//!     f: <sip:alice@example.com>;tag=1\r\nt: <sip:bob@example.com>\r\n\
//!     i: 1\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nl: 2\r\n\r\nHi";
//! let message = Message::parse(bytes)?;
//! message.validate()?;
//! assert_eq!(message.from()?.uri, b"sip:alice@example.com");
//! assert_eq!(message.header(Name::CallId), Some(&b"1"[..]));
//! assert_eq!(message.body(), b"Hi");
//! # Ok::<(), oma_im::wire::error::ParseError>(())
//! ```
//!
//! | what | modules |
//! |---|---|
//! | a message, its header fields, its addresses | [`message`], [`header`], [`name`], [`uri`] |
//! | where one message ends on a stream | [`framer`] |
//! | content: multipart, CPIM, reports, XML | [`mime`], [`cpim`], [`imdn`], [`xml`], [`datetime`] |
//! | IM service settings, registration state, remarks of an IMS core | [`settings`], [`reginfo`], [`ims3gpp`] |
//! | digest challenges and credentials, STUN | [`digest`], [`stun`] |
//! | what is wrong, where, by which clause | [`error`] |
//! | writing, and the scanners below it all | [`writer`], [`sink`], [`scan`] |

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
pub mod ims3gpp;
pub mod message;
pub mod mime;
pub mod name;
pub mod reginfo;
pub mod scan;
pub mod settings;
pub mod sink;
pub mod stun;
pub mod uri;
pub mod writer;
pub mod xml;

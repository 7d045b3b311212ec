//! SIP messages written into a slice of the caller's.
//!
//! A [`MessageWriter`] begins with the start line, takes header fields in the order in which they
//! shall stand, then the body or none, and says at the end how long the message is, or how long
//! it would have been. Its type is its stage: after the body no header can be added, and only then
//! it can be finished. Content-Length is its own work, whatever the body is made of.
//!
//! A header value is a [`Value`]. Those that hold bytes of an application are checked when they
//! are made ([`Text`], [`Token`], [`Quoted`], [`UriText`], [`CallId`], [`HostName`],
//! [`AccessNetworkInfo`], [`EntityTag`](super::header::EntityTag)), those of a received message are
//! cleaned when they are written ([`Raw`], [`ReceivedVia`]), and values are composed of them by
//! structs ([`NameAddr`], [`Via`], [`With`], [`Ipsec3gpp`](super::header::Ipsec3gpp)). So nothing that comes from
//! outside can end a line, and nobody outside this crate can add a kind of value.

mod text;
mod value;

pub use text::{AccessNetworkInfo, CallId, HostName, Quoted, Text, TextError, Token, UriText};
pub use value::{
    Branch, CSeq, Hex, Host, NameAddr, Param, Raw, ReceivedVia, SentBy, SipDate, Via, With,
};

use core::marker::PhantomData;

use super::message::Header;
use super::name::{Method, Name, Status};
use super::scan::Class;
use super::sink::{Sink, TooSmall};

/// Something that can stand as a header value, or as a part of one.
///
/// What it writes holds no CR, LF or NUL. Only this crate implements it.
pub trait Value: sealed::Sealed {
    /// Puts the value, without the end of the line.
    fn write(&self, sink: &mut Sink<'_>);
}

pub(crate) mod sealed {
    /// Keeps [`super::Value`] to this crate.
    pub trait Sealed {}
    impl<T: Sealed + ?Sized> Sealed for &T {}
}

impl<T: Value + ?Sized> Value for &T {
    #[inline]
    fn write(&self, sink: &mut Sink<'_>) {
        (**self).write(sink);
    }
}

/// The stage in which header fields are taken.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Headers {}

/// The stage after the body.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Complete {}

/// Writes one SIP message, stage by stage.
///
/// Over an empty slice it only counts; over one that is too short it writes what fits, goes on
/// counting, and [`finish`](MessageWriter::finish) says what was needed.
///
/// ```
/// use oma_im::wire::name::{Method, Name};
/// use oma_im::wire::sink::TooSmall;
/// use oma_im::wire::writer::{CSeq, MessageWriter, NameAddr, Param, Text, TextError, Token, UriText};
///
/// fn write(out: &mut [u8], text: &str) -> Result<Result<usize, TooSmall>, TextError> {
///     let bob = UriText::new("sip:bob@ims.example.com")?;
///     let mut w = MessageWriter::request(out, Method::Message, bob);
///     w.header(Name::MaxForwards, 70);
///     let tag = [Param::Token(Token::new("tag")?, Token::new("m1")?)];
///     w.header(Name::From, NameAddr::new(UriText::new("sip:alice@ims.example.com")?).params(&tag));
///     w.header(Name::To, NameAddr::new(bob));
///     w.header(Name::CSeq, CSeq { number: 1, method: Method::Message });
///     Ok(w.body(Text::new("text/plain")?, text.as_bytes()).finish())
/// }
///
/// let Err(TooSmall { needed }) = write(&mut [], "Hello Bob")? else { unreachable!() };
/// let mut out = vec![0; needed];
/// assert_eq!(write(&mut out, "Hello Bob")?, Ok(needed));
/// assert!(out.ends_with(b"\r\nContent-Length: 9\r\n\r\nHello Bob"));
/// # Ok::<(), TextError>(())
/// ```
#[derive(Debug)]
#[must_use = "a message is not known to be whole before `finish`"]
pub struct MessageWriter<'o, Stage = Headers> {
    sink: Sink<'o>,
    stage: PhantomData<Stage>,
}

impl<'o> MessageWriter<'o> {
    /// Begins a request: `METHOD uri SIP/2.0` (RFC 3261 §7.1).
    ///
    /// Of a [`Method::Other`] only the token it begins with is written.
    pub fn request(out: &'o mut [u8], method: Method<'_>, uri: UriText<'_>) -> Self {
        let mut sink = Sink::new(out);
        put_method(&mut sink, method);
        sink.put_byte(b' ');
        uri.write(&mut sink);
        sink.put(b" SIP/2.0\r\n");
        Self {
            sink,
            stage: PhantomData,
        }
    }

    /// Begins a response: `SIP/2.0 code reason` (RFC 3261 §7.2).
    ///
    /// `None` gives the phrase that the status has by itself.
    pub fn response(out: &'o mut [u8], status: Status, reason: Option<Text<'_>>) -> Self {
        let mut sink = Sink::new(out);
        sink.put(b"SIP/2.0 ");
        sink.put_u32(u32::from(status.code()));
        sink.put_byte(b' ');
        match reason {
            Some(reason) => reason.write(&mut sink),
            None => sink.put(status.reason().as_bytes()),
        }
        sink.put(b"\r\n");
        Self {
            sink,
            stage: PhantomData,
        }
    }

    /// Adds a header field.
    ///
    /// Content-Type and Content-Length belong to the next stage and are not written here. Neither
    /// is [`Name::Other`], which has no name; see [`other`](Self::other).
    #[inline]
    pub fn header(&mut self, name: Name, value: impl Value) {
        if !at_end(name) {
            self.line(name.as_str().as_bytes(), value);
        }
    }

    /// Adds a header field with the values of `list` between commas; none if there are none.
    ///
    /// The names that [`header`](Self::header) does not write are not written here.
    pub fn list<V: Value>(&mut self, name: Name, list: impl IntoIterator<Item = V>) {
        let mut list = list.into_iter();
        let Some(first) = list.next().filter(|_| !at_end(name)) else {
            return;
        };
        self.sink.put(name.as_str().as_bytes());
        self.sink.put(b": ");
        first.write(&mut self.sink);
        for value in list {
            self.sink.put(b", ");
            value.write(&mut self.sink);
        }
        self.sink.put(b"\r\n");
    }

    /// Adds a header field whose name is not in the table of [`Name`].
    ///
    /// A name that is in the table is taken as [`header`](Self::header) takes it.
    pub fn other(&mut self, name: Token<'_>, value: impl Value) {
        match Name::from_bytes(name.as_bytes()) {
            Name::Other => self.line(name.as_bytes(), value),
            known => self.header(known, value),
        }
    }

    /// Adds a header field of a message that was read, with its name in long form.
    ///
    /// Content-Type and Content-Length are left out: they go with the body.
    pub fn copy(&mut self, header: Header<'_>) {
        match header.name {
            // Only a token is written, so the name stays what it is in any case.
            Name::Other => self.line(Class::TOKEN.split(header.raw_name).0, Raw(header.value)),
            known => self.header(known, Raw(header.value)),
        }
    }

    /// Bytes of the message so far, those included that found no room.
    pub const fn len(&self) -> usize {
        self.sink.len()
    }

    /// Never: a message has its start line from the beginning.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Ends the message without a body: `Content-Length: 0` (RFC 3261 §20.14).
    pub fn no_body(mut self) -> MessageWriter<'o, Complete> {
        self.sink.put(b"Content-Length: 0\r\n\r\n");
        MessageWriter {
            sink: self.sink,
            stage: PhantomData,
        }
    }

    /// Ends the message with a body that is there already.
    pub fn body(self, content_type: impl Value, body: &[u8]) -> MessageWriter<'o, Complete> {
        let mut this = self;
        this.line(b"Content-Type", content_type);
        this.sink.put(b"Content-Length: ");
        this.sink.put_u64(body.len() as u64);
        this.sink.put(b"\r\n\r\n");
        this.sink.put(body);
        MessageWriter {
            sink: this.sink,
            stage: PhantomData,
        }
    }

    /// Ends the message with a body that `write` puts in its place.
    ///
    /// `write` runs once, before the length is known; see [`Sink::put_counted`].
    pub fn body_with(
        self,
        content_type: impl Value,
        write: impl FnOnce(&mut Sink<'_>),
    ) -> MessageWriter<'o, Complete> {
        let mut this = self;
        this.line(b"Content-Type", content_type);
        this.sink.put(b"Content-Length: ");
        this.sink.put_counted(b"\r\n\r\n", |sink| write(sink));
        MessageWriter {
            sink: this.sink,
            stage: PhantomData,
        }
    }

    #[inline]
    fn line(&mut self, name: &[u8], value: impl Value) {
        self.sink.put(name);
        self.sink.put(b": ");
        value.write(&mut self.sink);
        self.sink.put(b"\r\n");
    }
}

impl MessageWriter<'_, Complete> {
    /// The length of the message.
    ///
    /// # Errors
    /// The slice was shorter: the length it should have had.
    pub fn finish(self) -> Result<usize, TooSmall> {
        self.sink.finish()
    }
}

/// Whether a name is left to the end of the head, or is none.
const fn at_end(name: Name) -> bool {
    matches!(name, Name::ContentType | Name::ContentLength | Name::Other)
}

/// A method that came from a peer may be no token; what follows the token is not written.
fn put_method(sink: &mut Sink<'_>, method: Method<'_>) {
    match method {
        Method::Other(bytes) => sink.put(Class::TOKEN.split(bytes).0),
        known => sink.put(known.as_bytes()),
    }
}

//! What is wrong with a peer's bytes.
//!
//! One small type for every parser of this crate: what kind of fault, where, and the status that a
//! user agent server would answer with (RFC 3261 §8.2, §21.4).

use core::fmt;

/// A fault in received bytes: its kind and where it was met.
///
/// Four bytes, `Copy`, without text. Offsets past 65,534 are given as 65,535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    offset: u16,
}

impl ParseError {
    /// A fault of `kind` at byte `offset` of what was being parsed.
    pub const fn new(kind: ParseErrorKind, offset: usize) -> Self {
        // The comparison makes the narrowing exact.
        #[allow(clippy::cast_possible_truncation)]
        let offset = if offset < u16::MAX as usize {
            offset as u16
        } else {
            u16::MAX
        };
        Self { kind, offset }
    }

    /// Where it was met, in bytes from the start of what was parsed (65,535: there or later).
    pub const fn offset(self) -> usize {
        self.offset as usize
    }

    /// The same fault, `base` bytes further on: for a part parsed on its own.
    #[must_use]
    pub const fn at(self, base: usize) -> Self {
        Self::new(self.kind, base.saturating_add(self.offset as usize))
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident => $status:expr, $text:literal, $clause:literal;)*) => {
        /// The kinds of fault, each with the status it deserves, what it says and its clause.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum ParseErrorKind { $($(#[$doc])* $name,)* }

        impl ParseErrorKind {
            /// Every kind, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The status a server would answer a request with; `None`: no answer is possible.
            pub const fn status(self) -> Option<u16> { match self { $(Self::$name => $status,)* } }

            /// One line that says what is wrong.
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text,)* } }

            /// The clause that makes it a fault.
            pub const fn clause(self) -> &'static str { match self { $(Self::$name => $clause,)* } }
        }
    };
}

kinds! {
    /// The bytes end before the message does.
    Truncated => Some(400), "the bytes end too early", "RFC 3261 §18.3";
    /// The first line is neither a request line nor a status line.
    StartLine => Some(400), "the first line is no request line and no status line", "RFC 3261 §7.1, §7.2";
    /// A version other than SIP/2.0.
    Version => Some(505), "the SIP version is not 2.0", "RFC 3261 §21.5.6";
    /// A status code outside 100 to 699.
    StatusCode => None, "the status code is not one of 100 to 699", "RFC 3261 §7.2";
    /// A header line without a name, or with a name that is no token.
    HeaderName => Some(400), "a header has no proper name", "RFC 3261 §7.3.1";
    /// A header value against its grammar.
    HeaderValue => Some(400), "a header value does not follow its grammar", "RFC 3261 §25.1";
    /// NUL or another control character where none may be.
    ControlCharacter => Some(400), "a control character where none is allowed", "RFC 3261 §25.1";
    /// A line that does not end in CR LF.
    LineEnd => Some(400), "a line does not end in CR LF", "RFC 3261 §7";
    /// More header fields than a message may have here.
    TooManyHeaders => Some(513), "more header fields than are taken", "RFC 3261 §21.5.7";
    /// A header block longer than is taken.
    HeadersTooLong => Some(513), "the header fields are longer than is taken", "RFC 3261 §21.5.7";
    /// A body longer than is taken.
    BodyTooLong => Some(413), "the body is longer than is taken", "RFC 3261 §21.4.11";
    /// A header that must be there is not.
    MissingHeader => Some(400), "a mandatory header is missing", "RFC 3261 §8.1.1";
    /// A header that may stand once stands more often.
    DuplicateHeader => Some(400), "a header that may stand once stands twice", "RFC 3261 §7.3.1";
    /// CSeq names another method than the request line.
    MethodMismatch => Some(400), "CSeq names another method than the request line", "RFC 3261 §8.1.1.5";
    /// A number out of its range.
    Number => Some(400), "a number is out of its range", "RFC 3261 §25.1";
    /// Content-Length is no number, or differs from what is there.
    ContentLength => Some(400), "Content-Length is wrong", "RFC 3261 §20.14, §18.3";
    /// A stream message without Content-Length.
    NoContentLength => Some(400), "no Content-Length on a stream", "RFC 3261 §20.14";
    /// A response with more than one Via.
    ExtraVia => None, "a response with several Via", "RFC 3261 §8.1.3.3";
    /// A URI against its grammar.
    Uri => Some(400), "a URI does not follow its grammar", "RFC 3261 §19.1";
    /// A URI of a scheme that is not known here.
    UriScheme => Some(416), "the scheme of the Request-URI is not known", "RFC 3261 §21.4.14";
    /// A multipart body against its grammar, or nested too deep.
    Multipart => Some(400), "a multipart body does not follow its grammar", "RFC 2046 §5.1";
    /// A CPIM object against its grammar.
    Cpim => Some(400), "a CPIM object does not follow its grammar", "RFC 3862 §3";
    /// XML that is not well formed.
    Xml => Some(400), "XML that is not well formed", "XML 1.0 §2.1";
    /// XML with a DTD, an unknown entity or a processing instruction that is not taken.
    XmlForbidden => Some(400), "XML with a DTD or an entity that is not taken", "RFC 3261 §21.4.1";
    /// XML deeper or with more attributes or namespaces than is taken.
    XmlTooComplex => Some(400), "XML more complex than is taken", "RFC 3261 §21.4.1";
    /// A document that lacks what its schema asks for.
    Document => Some(400), "a document lacks what its schema asks for", "RFC 5438 §11";
    /// A digest challenge or credentials against the grammar.
    Challenge => Some(400), "a digest challenge does not follow its grammar", "RFC 7616 §3.3";
    /// Text that is not UTF-8 where it has to be.
    Utf8 => Some(400), "text that is not UTF-8", "RFC 3629 §3";
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at byte {} ({})",
            self.kind.text(),
            self.offset,
            self.kind.clause()
        )
    }
}

impl core::error::Error for ParseError {}

//! One SIP message, read in place.
//!
//! [`Message::parse`] walks the head once and keeps where each header line stands, eight bytes a
//! line, in an index of fixed size; the body is found by Content-Length. Nothing is copied and
//! nothing is typed yet: a header's grammar is looked at when somebody asks for it, so a fault in
//! a header that nobody reads stops nobody. [`Message::validate`] asks for all that a receiver
//! must be able to read (RFC 3261 §8.1.1, §8.2), and is what stands between a peer and a machine.

mod head;
mod rules;

pub(crate) use rules::Essentials;

use core::fmt;

use super::error::{ParseError, ParseErrorKind};
use super::name::{Form, Method, Name, Status};
use super::scan::{eq_ignore_case, offset_in, parse_u64, split_at, split_commas};
use head::{Slot, Step};

/// The most header lines that are taken in one message.
pub const MAX_HEADERS: usize = 96;

/// The most bytes that a head (start line to empty line) is taken with.
pub const MAX_HEAD: usize = 65_535;

/// A message as it stands in the caller's buffer.
///
/// Below 900 bytes, most of it the index of the header lines.
///
/// ```
/// use oma_im::wire::message::{Message, StartLine};
/// use oma_im::wire::name::{Method, Name};
///
/// let bytes = b"MESSAGE sip:bo@example.com SIP/2.0\r\n\
///     v: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\n\
///     Subject : Hello\r\n there\r\n\
///     Content-Length: 2\r\n\r\nHi";
/// let message = Message::parse(bytes)?;
/// let StartLine::Request(request) = message.start() else { unreachable!() };
/// assert_eq!(request.method, Method::Message);
/// assert_eq!(message.header(Name::Via), Some(&b"SIP/2.0/TCP a.example;branch=z9hG4bK1"[..]));
/// assert_eq!(message.header(Name::Subject), Some(&b"Hello\r\n there"[..]));
/// assert_eq!(message.body(), b"Hi");
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone)]
pub struct Message<'b> {
    lead: usize,
    head: &'b [u8],
    body: &'b [u8],
    start: StartLine<'b>,
    count: usize,
    index: [Slot; MAX_HEADERS],
}

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'b> {
    /// A request.
    Request(RequestLine<'b>),
    /// A response.
    Response(StatusLine<'b>),
}

/// The first line of a request (RFC 3261 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'b> {
    /// The method, a token.
    pub method: Method<'b>,
    /// The Request-URI, not looked at yet but that it has no white space and no control character.
    pub uri: &'b [u8],
}

/// The first line of a response (RFC 3261 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLine<'b> {
    /// The status code.
    pub status: Status,
    /// The reason phrase, maybe empty.
    pub reason: &'b [u8],
}

/// One header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'b> {
    /// Which header it is.
    pub name: Name,
    /// The name as it stands there.
    pub raw_name: &'b [u8],
    /// The value, white space at both ends left out, folds within kept.
    pub value: &'b [u8],
}

impl<'b> Message<'b> {
    /// Reads one complete message: a datagram, or what a [`Framer`](super::framer::Framer) cut
    /// out of a stream.
    ///
    /// Empty lines before it are skipped (RFC 3261 §7.5). The body is as long as Content-Length
    /// says, what follows is ignored; without Content-Length it reaches to the end (§18.3).
    ///
    /// # Errors
    /// `Truncated` if there is no empty line or fewer bytes of body than announced; `StartLine`,
    /// `Version`, `StatusCode`; `HeaderName`, `LineEnd`, `ControlCharacter` for header lines;
    /// `TooManyHeaders` above [`MAX_HEADERS`], `HeadersTooLong` above [`MAX_HEAD`];
    /// `ContentLength`, and `DuplicateHeader` for a second one.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, ParseError> {
        let mut message = Self::new();
        message.index_head(bytes)?;
        let body = bytes.get(message.head_len()..).unwrap_or_default();
        message.body = match message.content_length()? {
            None => body,
            Some(length) => usize::try_from(length)
                .ok()
                .and_then(|length| body.get(..length))
                .ok_or(ParseError::new(ParseErrorKind::Truncated, bytes.len()))?,
        };
        Ok(message)
    }

    /// Reads the head only; the body is left empty and Content-Length unread.
    ///
    /// For the answer to a message whose body is missing or does not fit.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse) but `ContentLength` and what concerns the body.
    pub fn parse_head(bytes: &'b [u8]) -> Result<Self, ParseError> {
        let mut message = Self::new();
        message.index_head(bytes)?;
        Ok(message)
    }

    const fn new() -> Self {
        let start = StartLine::Request(RequestLine {
            method: Method::Other(&[]),
            uri: &[],
        });
        Self {
            lead: 0,
            head: &[],
            body: &[],
            start,
            count: 0,
            index: [Slot::EMPTY; MAX_HEADERS],
        }
    }

    fn index_head(&mut self, bytes: &'b [u8]) -> Result<(), ParseError> {
        let lead = head::empty_lines(bytes);
        let whole = bytes.get(lead..).unwrap_or_default();
        let area = split_at(whole, MAX_HEAD).0;
        self.lead = lead;
        self.index_lines(area).map_err(|e| match e.kind {
            ParseErrorKind::Truncated if area.len() < whole.len() => {
                ParseError::new(ParseErrorKind::HeadersTooLong, MAX_HEAD)
            }
            _ => e.at(lead),
        })
    }

    fn index_lines(&mut self, area: &'b [u8]) -> Result<(), ParseError> {
        let (start, mut lines) = head::start_line(area)?;
        self.start = start;
        let mut free = self.index.iter_mut();
        loop {
            match head::step(area, lines)? {
                Step::Header(slot, next) => {
                    let Some(place) = free.next() else {
                        let at = offset_in(area, lines);
                        return Err(ParseError::new(ParseErrorKind::TooManyHeaders, at));
                    };
                    *place = slot;
                    lines = next;
                }
                Step::End(body) => {
                    self.head = split_at(area, offset_in(area, body)).0;
                    self.count = MAX_HEADERS.saturating_sub(free.len());
                    return Ok(());
                }
            }
        }
    }

    /// What is legible of a request that [`parse`](Self::parse) or [`validate`](Self::validate)
    /// refused, to answer it from; the body is left empty.
    ///
    /// Header lines against the grammar are left out, and those that the index has no room for.
    /// `None` if there is nothing to answer: it is a response or an ACK, or Via, From, To,
    /// Call-ID or CSeq is not there (RFC 3261 §8.2.6.2 copies them).
    pub fn legible(bytes: &'b [u8]) -> Option<Self> {
        let lead = head::empty_lines(bytes);
        let area = split_at(bytes.get(lead..)?, MAX_HEAD).0;
        let mut message = Self::new();
        (message.lead, message.head) = (lead, area);
        let (line, mut lines) = head::first_line(area).ok()?;
        let mut words = line.splitn(2, |&b| b == b' ');
        let (method, uri) = (words.next()?, words.next()?);
        let method = match head::start_line(area) {
            Ok((StartLine::Response(_), _)) => return None,
            Ok((start, _)) => {
                message.start = start;
                method
            }
            Err(_) if !super::scan::Class::TOKEN.fits(method) => return None,
            Err(_) => {
                let method = Method::from_bytes(method);
                message.start = StartLine::Request(RequestLine { method, uri });
                method.as_bytes()
            }
        };
        let mut free = message.index.iter_mut();
        loop {
            match head::step_apart(area, lines) {
                Ok(Step::Header(slot, next)) => {
                    if let Some(place) = free.next() {
                        *place = slot;
                    }
                    lines = next;
                }
                Ok(Step::End(body)) => {
                    message.head = split_at(area, offset_in(area, body)).0;
                    break;
                }
                Err(_) => match head::skip_line(lines) {
                    Some(next) => lines = next,
                    None => break,
                },
            }
        }
        message.count = MAX_HEADERS.saturating_sub(free.len());
        let copied = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];
        let answerable =
            method != b"ACK" && copied.iter().all(|&name| message.header(name).is_some());
        answerable.then_some(message)
    }

    /// The start line.
    pub const fn start(&self) -> StartLine<'b> {
        self.start
    }

    /// The request line, if it is a request.
    pub const fn request(&self) -> Option<RequestLine<'b>> {
        match self.start {
            StartLine::Request(line) => Some(line),
            StartLine::Response(_) => None,
        }
    }

    /// The status line, if it is a response.
    pub const fn response(&self) -> Option<StatusLine<'b>> {
        match self.start {
            StartLine::Request(_) => None,
            StartLine::Response(line) => Some(line),
        }
    }

    /// All header lines in their order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'b>> {
        let head = self.head;
        self.slots().iter().map(move |slot| Header {
            name: slot.name(),
            raw_name: slot.raw_name(head),
            value: slot.value(head),
        })
    }

    /// The value of the first header line of this name.
    pub fn header(&self, name: Name) -> Option<&'b [u8]> {
        self.slots()
            .iter()
            .find(|slot| slot.name() == name)
            .map(|slot| slot.value(self.head))
    }

    /// The value of each header line of this name.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &'b [u8]> {
        let head = self.head;
        self.slots()
            .iter()
            .filter(move |slot| slot.name() == name)
            .map(move |slot| slot.value(head))
    }

    /// Each value of this name: comma lists and repeated header lines read the same
    /// (RFC 3261 §7.3.1). A header that is no list gives its lines whole.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'b [u8]> {
        let list = name.form() == Form::List;
        self.all(name).flat_map(move |value| {
            let elements = list.then(|| split_commas(value));
            elements
                .into_iter()
                .flatten()
                .chain((!list).then_some(value))
        })
    }

    /// The value of the first header line that is spelled `name`, in any case.
    ///
    /// For names that [`Name`] does not know.
    pub fn other(&self, name: &str) -> Option<&'b [u8]> {
        self.headers()
            .find(|header| eq_ignore_case(header.raw_name, name.as_bytes()))
            .map(|header| header.value)
    }

    /// The body: as many bytes as Content-Length says, or all that follow the head.
    pub const fn body(&self) -> &'b [u8] {
        self.body
    }

    /// The length in bytes from the start of what was parsed to the end of the empty line.
    pub const fn head_len(&self) -> usize {
        self.lead.saturating_add(self.head.len())
    }

    /// The value of Content-Length, `None` if there is none.
    ///
    /// # Errors
    /// `ContentLength` if it is not digits only or does not fit 64 bits; `DuplicateHeader` if
    /// there is a second one, equal or not.
    pub fn content_length(&self) -> Result<Option<u64>, ParseError> {
        let mut lengths = self
            .slots()
            .iter()
            .filter(|slot| slot.name() == Name::ContentLength);
        let Some(first) = lengths.next() else {
            return Ok(None);
        };
        if let Some(second) = lengths.next() {
            return Err(self.fault(ParseErrorKind::DuplicateHeader, second.value(self.head)));
        }
        self.length(first.value(self.head)).map(Some)
    }

    fn length(&self, value: &[u8]) -> Result<u64, ParseError> {
        parse_u64(value).map_err(|_| self.fault(ParseErrorKind::ContentLength, value))
    }

    fn slots(&self) -> &[Slot] {
        self.index.get(..self.count).unwrap_or_default()
    }

    /// A fault that is met at `part` of the head.
    fn fault(&self, kind: ParseErrorKind, part: &[u8]) -> ParseError {
        ParseError::new(kind, self.offset_of(part))
    }

    /// Where a part of the head stands in what was parsed.
    fn offset_of(&self, part: &[u8]) -> usize {
        self.lead.saturating_add(offset_in(self.head, part))
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("start", &self.start)
            .field("headers", &self.count)
            .field("body", &self.body.len())
            .finish()
    }
}

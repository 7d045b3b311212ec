//! MIME: header blocks, media types and multipart bodies (RFC 2045, RFC 2046).
//!
//! A body part is a block of header fields, an empty line and bytes. [`Headers`] checks such a
//! block once and then walks it without storing anything. [`Multipart`] cuts a body at its
//! boundary, one part at a time and in one pass; it never looks into a part. [`Leaves`] goes
//! through nested multiparts, at most [`MAX_NESTING`] deep, with a stack of that size instead of
//! recursion. Lines end in CR LF, or all in LF alone as some peers have it; a block that mixes them is
//! refused, because two readers would see different fields in it.

use super::error::{ParseError, ParseErrorKind};
use super::scan::{
    Class, eq_ignore_case, find_outside, offset_in, split_at, strip_quotes, trim_lws,
};
use heapless::Vec;

/// How deep multiparts may lie in one another.
pub const MAX_NESTING: usize = 4;
/// How long, in bytes, a boundary may be (RFC 2046 §5.1.1).
pub const MAX_BOUNDARY: usize = 70;

/// One header field: a name, and its value without the white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'b> {
    /// The name, a token as it was written.
    pub name: &'b [u8],
    /// The value; a folded one still has its line ends.
    pub value: &'b [u8],
}

/// The header fields of a body part, checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'b> {
    block: &'b [u8],
}

impl<'b> Headers<'b> {
    /// Splits a body part into its header fields and what follows the empty line.
    ///
    /// A part may begin with the empty line, and may end without one: then there is no body.
    ///
    /// # Errors
    /// `HeaderName`, `ControlCharacter` or `LineEnd` where a field is malformed.
    pub fn split(part: &'b [u8]) -> Result<(Self, &'b [u8]), ParseError> {
        let mut lines = Lines::new(part);
        let end = loop {
            let before = lines.rest;
            let Some(field) = lines
                .next_folded()
                .map_err(|e| e.at(offset_in(part, before)))?
            else {
                break part.len();
            };
            if field.is_empty() {
                break offset_in(part, before);
            }
            check_field(field).map_err(|e| e.at(offset_in(part, before)))?;
        };
        let (block, _) = split_at(part, end);
        Ok((Self { block }, lines.rest))
    }

    /// All fields in their order.
    pub const fn iter(&self) -> Fields<'b> {
        Fields {
            lines: Lines::new(self.block),
        }
    }

    /// The value of the first field of this name; names compare without case.
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        self.iter()
            .find(|f| eq_ignore_case(f.name, name.as_bytes()))
            .map(|f| f.value)
    }

    /// The bytes of the block, without the empty line.
    pub const fn as_bytes(&self) -> &'b [u8] {
        self.block
    }
}

impl<'b> IntoIterator for Headers<'b> {
    type Item = Field<'b>;
    type IntoIter = Fields<'b>;

    fn into_iter(self) -> Fields<'b> {
        self.iter()
    }
}

/// The fields of [`Headers`].
#[derive(Clone, Debug)]
pub struct Fields<'b> {
    lines: Lines<'b>,
}

impl<'b> Iterator for Fields<'b> {
    type Item = Field<'b>;

    fn next(&mut self) -> Option<Field<'b>> {
        let field = self.lines.next_folded().ok()??;
        let colon = field.iter().position(|&b| b == b':')?;
        let (name, value) = split_at(field, colon);
        Some(Field {
            name: trim_lws(name),
            value: trim_lws(value.get(1..)?),
        })
    }
}

/// A media type with its parameters: the value of Content-Type (RFC 2045 §5.1).
///
/// ```
/// use oma_im::wire::mime::MediaType;
///
/// let media = MediaType::parse(br#"Multipart/Mixed; boundary="a b""#)?;
/// assert!(media.is("multipart", "mixed"));
/// assert_eq!(media.param("BOUNDARY"), Some(&b"a b"[..]));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'b> {
    main: &'b [u8],
    sub: &'b [u8],
    params: &'b [u8],
}

impl<'b> MediaType<'b> {
    /// What a part without Content-Type has (RFC 2045 §5.2).
    pub const DEFAULT: MediaType<'static> = MediaType {
        main: b"text",
        sub: b"plain",
        params: b"; charset=us-ascii",
    };

    /// Reads `type/subtype` and takes what follows as parameters.
    ///
    /// # Errors
    /// `HeaderValue` if either name is no token or something other than parameters follows.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let value = trim_lws(value);
        let bad = |part| ParseError::new(ParseErrorKind::HeaderValue, offset_in(value, part));
        let (main, rest) = Class::TOKEN.split(value);
        let slash = trim_lws(rest);
        let after = slash.strip_prefix(b"/").ok_or(bad(slash))?;
        let (sub, params) = Class::TOKEN.split(trim_lws(after));
        let params = trim_lws(params);
        if main.is_empty() || sub.is_empty() {
            return Err(bad(rest));
        }
        if !matches!(params, [] | [b';', ..]) {
            return Err(bad(params));
        }
        Ok(Self { main, sub, params })
    }

    /// The type: `text`.
    pub const fn main(&self) -> &'b [u8] {
        self.main
    }

    /// The subtype: `plain`.
    pub const fn sub(&self) -> &'b [u8] {
        self.sub
    }

    /// Whether it is `main/sub`, without case.
    pub fn is(&self, main: &str, sub: &str) -> bool {
        eq_ignore_case(self.main, main.as_bytes()) && eq_ignore_case(self.sub, sub.as_bytes())
    }

    /// Whether it is of type multipart, whatever its subtype (RFC 2046 §5.1.7).
    pub fn is_multipart(&self) -> bool {
        eq_ignore_case(self.main, b"multipart")
    }

    /// Whether it is `text/plain` in UTF-8, of which US-ASCII is a part.
    pub fn is_utf8_text(&self) -> bool {
        self.is("text", "plain")
            && self.param("charset").is_none_or(|charset| {
                eq_ignore_case(charset, b"utf-8") || eq_ignore_case(charset, b"us-ascii")
            })
    }

    /// The value of a parameter without its quotes; names compare without case.
    ///
    /// Read with a wide grammar: boundaries of deployed peers hold `=` without being quoted.
    pub fn param(&self, name: &str) -> Option<&'b [u8]> {
        let mut rest = self.params;
        while let [b';', after @ ..] = rest {
            let (param, tail) = split_at(after, find_outside(after, b';').unwrap_or(after.len()));
            rest = tail;
            let Some(equals) = param.iter().position(|&b| b == b'=') else {
                continue;
            };
            let (key, value) = split_at(param, equals);
            if eq_ignore_case(trim_lws(key), name.as_bytes()) {
                let value = trim_lws(value.get(1..)?);
                return Some(strip_quotes(value).unwrap_or(value));
            }
        }
        None
    }
}

/// A body part: its type, its other header fields and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Part<'b> {
    /// The type; [`MediaType::DEFAULT`] if none was given.
    pub media: MediaType<'b>,
    /// The header fields, Content-Type among them.
    pub headers: Headers<'b>,
    /// The body.
    pub body: &'b [u8],
}

impl<'b> Part<'b> {
    /// Reads one part: header fields, an empty line, a body.
    ///
    /// # Errors
    /// Those of [`Headers::split`] and [`MediaType::parse`].
    pub fn parse(bytes: &'b [u8]) -> Result<Self, ParseError> {
        let (headers, body) = Headers::split(bytes)?;
        let media = match headers.get("Content-Type") {
            Some(value) => MediaType::parse(value).map_err(|e| e.at(offset_in(bytes, value)))?,
            None => MediaType::DEFAULT,
        };
        Ok(Self {
            media,
            headers,
            body,
        })
    }

    /// The disposition type of Content-Disposition, without parameters (RFC 2183 §2).
    pub fn disposition(&self) -> Option<&'b [u8]> {
        let value = self.headers.get("Content-Disposition")?;
        Some(Class::TOKEN.split(value).0)
    }

    /// Whether Content-Disposition is `disposition`, without case.
    pub fn has_disposition(&self, disposition: &str) -> bool {
        self.disposition()
            .is_some_and(|d| eq_ignore_case(d, disposition.as_bytes()))
    }
}

/// The parts of a multipart body, one after the other (RFC 2046 §5.1).
///
/// What stands before the first boundary and after the last is passed over. A last part that
/// no boundary ends is an error (`Truncated`), not a part: nobody knows what is missing. Only the
/// closing `--` may be missing, as in the example of RFC 5438 §8.3. After an error there is nothing more.
///
/// ```
/// use oma_im::wire::mime::{MediaType, Multipart};
///
/// let media = MediaType::parse(b"multipart/mixed;boundary=b")?;
/// let body = b"--b\r\n\r\nHello\r\n--b\r\nContent-Type: image/png\r\n\r\n...\r\n--b--";
/// let mut parts = Multipart::of(media, body)?;
/// assert_eq!(parts.next().unwrap()?.body, b"Hello");
/// assert!(parts.next().unwrap()?.media.is("image", "png"));
/// assert!(parts.next().is_none());
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Multipart<'b> {
    boundary: &'b [u8],
    body: &'b [u8],
    rest: &'b [u8],
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Parts,
    Done,
}

impl<'b> Multipart<'b> {
    /// The parts of `body`, cut at `boundary`.
    ///
    /// # Errors
    /// `Multipart` if the boundary is empty, longer than [`MAX_BOUNDARY`], ends in white space or
    /// holds what no boundary can.
    pub fn new(boundary: &'b [u8], body: &'b [u8]) -> Result<Self, ParseError> {
        let proper = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\');
        if boundary.is_empty()
            || boundary.len() > MAX_BOUNDARY
            || boundary.ends_with(b" ")
            || !boundary.iter().all(proper)
        {
            return Err(ParseError::new(ParseErrorKind::Multipart, 0));
        }
        Ok(Self {
            boundary,
            body,
            rest: body,
            state: State::Preamble,
        })
    }

    /// The parts of `body`, cut at the boundary that its type names.
    ///
    /// # Errors
    /// `Multipart` if there is no boundary, or as [`new`](Self::new) has it.
    pub fn of(media: MediaType<'b>, body: &'b [u8]) -> Result<Self, ParseError> {
        Self::new(media.param("boundary").unwrap_or_default(), body)
    }

    fn step(&mut self) -> Result<Option<Part<'b>>, ParseError> {
        match self.state {
            State::Done => return Ok(None),
            State::Preamble => match find_delimiter(self.rest, self.boundary) {
                Some(first) if !first.closes => {
                    self.state = State::Parts;
                    self.rest = first.after;
                }
                // At least one part has to be there.
                _ => return Err(ParseError::new(ParseErrorKind::Multipart, 0)),
            },
            State::Parts => {}
        }
        let at = offset_in(self.body, self.rest);
        let Some(found) = find_delimiter(self.rest, self.boundary) else {
            if trim_lws(self.rest).is_empty() {
                self.state = State::Done;
                return Ok(None);
            }
            return Err(ParseError::new(ParseErrorKind::Truncated, self.body.len()));
        };
        self.rest = found.after;
        if found.closes {
            self.state = State::Done;
        }
        Part::parse(found.before).map(Some).map_err(|e| e.at(at))
    }
}

impl<'b> Iterator for Multipart<'b> {
    type Item = Result<Part<'b>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.state = State::Done;
        }
        step.transpose()
    }
}

/// All parts of a body that are no multipart themselves, in their order.
///
/// A body that is no multipart is its own only part. After an error there is nothing more.
#[derive(Clone, Debug)]
pub struct Leaves<'b> {
    whole: Option<Part<'b>>,
    stack: Vec<Multipart<'b>, MAX_NESTING>,
}

impl<'b> Leaves<'b> {
    /// The leaves of `whole`, for a part that was read.
    pub const fn new(whole: Part<'b>) -> Self {
        Self {
            whole: Some(whole),
            stack: Vec::new(),
        }
    }

    /// The leaves of a message body with the Content-Type of that message.
    pub fn of(media: MediaType<'b>, body: &'b [u8]) -> Self {
        Self::new(Part {
            media,
            headers: Headers::default(),
            body,
        })
    }

    /// Goes on with what was found inside the leaf given last, before the parts that follow that.
    pub(super) const fn open(&mut self, inner: Part<'b>) {
        self.whole = Some(inner);
    }

    /// Gives nothing more.
    pub(super) fn close(&mut self) {
        self.whole = None;
        self.stack.clear();
    }

    fn step(&mut self) -> Result<Option<Part<'b>>, ParseError> {
        let mut part = self.whole.take();
        loop {
            match part {
                Some(multipart) if multipart.media.is_multipart() => {
                    let parts = Multipart::of(multipart.media, multipart.body)?;
                    self.stack
                        .push(parts)
                        .map_err(|_| ParseError::new(ParseErrorKind::Multipart, 0))?;
                }
                Some(leaf) => return Ok(Some(leaf)),
                None => {}
            }
            let Some(innermost) = self.stack.last_mut() else {
                return Ok(None);
            };
            part = innermost.next().transpose()?;
            if part.is_none() {
                self.stack.pop();
            }
        }
    }
}

impl<'b> Iterator for Leaves<'b> {
    type Item = Result<Part<'b>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.close();
        }
        step.transpose()
    }
}

struct Delimiter<'b> {
    /// What stands before it, without the line end that belongs to it.
    before: &'b [u8],
    after: &'b [u8],
    closes: bool,
}

/// The first delimiter line (RFC 2046 §5.1.1): `--`, the boundary, for the last one `--`, then
/// only white space. Work: the bytes once, and the boundary once a line.
fn find_delimiter<'b>(bytes: &'b [u8], boundary: &[u8]) -> Option<Delimiter<'b>> {
    let mut rest = bytes;
    loop {
        let tail = rest
            .strip_prefix(b"--")
            .and_then(|r| r.strip_prefix(boundary));
        if let Some(tail) = tail {
            let (tail, closes) = match tail.strip_prefix(b"--") {
                Some(tail) => (tail, true),
                None => (tail, false),
            };
            let padding = tail
                .iter()
                .take_while(|b| matches!(b, b' ' | b'\t'))
                .count();
            let after = match split_at(tail, padding).1 {
                end @ [] => Some(end),
                [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => Some(after),
                _ => None,
            };
            if let Some(after) = after {
                let (before, _) = split_at(bytes, offset_in(bytes, rest));
                let before = before.strip_suffix(b"\n").unwrap_or(before);
                return Some(Delimiter {
                    before: before.strip_suffix(b"\r").unwrap_or(before),
                    after,
                    closes,
                });
            }
        }
        let line = rest.iter().position(|&b| b == b'\n')?;
        rest = rest.get(line.saturating_add(1)..)?;
    }
}

/// The lines of a header block. How the first one ends, all have to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'b> {
    pub(super) rest: &'b [u8],
    ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Unknown,
    CrLf,
    Lf,
}

impl<'b> Lines<'b> {
    pub(super) const fn new(rest: &'b [u8]) -> Self {
        Self {
            rest,
            ends: Ends::Unknown,
        }
    }

    /// The next line without its end; `None` once there is none.
    pub(super) fn next(&mut self) -> Result<Option<&'b [u8]>, ParseError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let Some(at) = self.rest.iter().position(|&b| b == b'\n') else {
            let (line, end) = split_at(self.rest, self.rest.len());
            self.rest = end;
            return Ok(Some(line));
        };
        let (line, end) = split_at(self.rest, at);
        let (line, ends) = match line.strip_suffix(b"\r") {
            Some(line) => (line, Ends::CrLf),
            None => (line, Ends::Lf),
        };
        if self.ends != Ends::Unknown && self.ends != ends {
            return Err(ParseError::new(ParseErrorKind::LineEnd, at));
        }
        self.ends = ends;
        self.rest = end.get(1..).unwrap_or_default();
        Ok(Some(line))
    }

    /// The next line with those that continue it.
    fn next_folded(&mut self) -> Result<Option<&'b [u8]>, ParseError> {
        let from = self.rest;
        let Some(mut line) = self.next()? else {
            return Ok(None);
        };
        while !line.is_empty() && matches!(self.rest, [b' ' | b'\t', ..]) {
            let before = self.rest;
            let more = self
                .next()
                .map_err(|e| e.at(offset_in(from, before)))?
                .unwrap_or_default();
            let end = offset_in(from, more).saturating_add(more.len());
            line = split_at(from, end).0;
        }
        Ok(Some(line))
    }
}

/// A header field: a token, white space at most, a colon, and no control character but those of a fold.
fn check_field(field: &[u8]) -> Result<(), ParseError> {
    let (name, rest) = Class::TOKEN.split(field);
    let blanks = rest
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    let (_, rest) = split_at(rest, blanks);
    let Some(value) = rest.strip_prefix(b":").filter(|_| !name.is_empty()) else {
        return Err(ParseError::new(ParseErrorKind::HeaderName, name.len()));
    };
    check_value(value).map_err(|e| e.at(offset_in(field, value)))
}

/// No control character but HT and the line ends of folds.
fn check_value(value: &[u8]) -> Result<(), ParseError> {
    let mut rest = value;
    loop {
        let Some(at) = rest.iter().position(|b| b.is_ascii_control()) else {
            return Ok(());
        };
        rest = match rest.get(at..) {
            Some([b'\t', rest @ ..] | [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..]) => rest,
            other => {
                let at = offset_in(value, other.unwrap_or_default());
                return Err(ParseError::new(ParseErrorKind::ControlCharacter, at));
            }
        };
    }
}

//! The scanner of a message's head: start line, header lines, the empty line.
//!
//! It walks each byte once. Eight bytes at a time it looks for control characters, which are the
//! only bytes that can end a line or must not be there; all else of a header line is decided by
//! its name. White space before the colon and folds are taken; a line that ends in a bare CR or LF
//! is not (RFC 3261 §7.3.1).

use super::super::error::{ParseError, ParseErrorKind};
use super::super::name::{Form, Method, Name, Status};
use super::super::scan::{
    Class, before, eq_ignore_case, find_byte, find_control, offset_in, trim_lws,
};
use super::{RequestLine, StartLine, StatusLine};

/// Where a header line stands in the head: eight bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    line: u16,
    value: u16,
    end: u16,
    /// 255: that long or longer.
    name_len: u8,
    name: Name,
}

impl Slot {
    pub(super) const EMPTY: Self = Self {
        line: 0,
        value: 0,
        end: 0,
        name_len: 0,
        name: Name::Accept,
    };

    pub(super) const fn name(self) -> Name {
        self.name
    }

    #[inline]
    pub(super) fn raw_name(self, head: &[u8]) -> &[u8] {
        let line = self.line.into();
        match self.name_len {
            u8::MAX => {
                Class::TOKEN
                    .split(head.get(line..).unwrap_or_else(|| beyond()))
                    .0
            }
            len => part(head, line, line.wrapping_add(len.into())),
        }
    }

    #[inline]
    pub(super) fn value(self, head: &[u8]) -> &[u8] {
        part(head, self.value.into(), self.end.into())
    }
}

#[inline]
fn part(head: &[u8], from: usize, to: usize) -> &[u8] {
    head.get(from..to).unwrap_or_else(|| beyond())
}

/// What a slot that is not of this head names; there is none. Cold, so that nobody waits for it.
#[cold]
const fn beyond() -> &'static [u8] {
    &[]
}

/// One step through the header lines, and what follows it.
pub(super) enum Step<'b> {
    /// A header line; the next one follows.
    Header(Slot, &'b [u8]),
    /// The empty line; the body follows.
    End(&'b [u8]),
}

/// Offsets are below 65,536 because the scanner is not given more; the mask loses nothing.
fn narrow(offset: usize) -> u16 {
    u16::try_from(offset & 0xffff).unwrap_or(0)
}

fn fault<T>(kind: ParseErrorKind, offset: usize) -> Result<T, ParseError> {
    Err(ParseError::new(kind, offset))
}

/// How many bytes of empty lines stand before the start line (RFC 3261 §7.5).
pub(super) fn empty_lines(bytes: &[u8]) -> usize {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs
        .iter()
        .take_while(|&pair| pair == b"\r\n")
        .count()
        .wrapping_mul(2)
}

/// The start line, and what follows it.
pub(super) fn start_line(head: &[u8]) -> Result<(StartLine<'_>, &[u8]), ParseError> {
    let (line, next) = first_line(head)?;
    let start = if line
        .get(..4)
        .is_some_and(|four| eq_ignore_case(four, b"SIP/"))
    {
        StartLine::Response(status_line(line)?)
    } else {
        StartLine::Request(request_line(line)?)
    };
    Ok((start, next))
}

/// The bytes of the first line, and what follows it. Only HT is a control character there.
pub(super) fn first_line(head: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    let mut rest = head;
    loop {
        let found = find_control(rest).and_then(|at| rest.get(at..));
        let Some(found) = found else {
            return fault(ParseErrorKind::Truncated, head.len());
        };
        let at = offset_in(head, found);
        rest = match found {
            [b'\r', b'\n', next @ ..] => return Ok((before(head, found), next)),
            [b'\r'] => return fault(ParseErrorKind::Truncated, head.len()),
            [b'\t', tail @ ..] => tail,
            [b'\r' | b'\n', ..] => return fault(ParseErrorKind::LineEnd, at),
            _ => return fault(ParseErrorKind::ControlCharacter, at),
        }
    }
}

// Request-Line = Method SP Request-URI SP SIP-Version CRLF (RFC 3261 §25.1)
fn request_line(line: &[u8]) -> Result<RequestLine<'_>, ParseError> {
    let (method, rest) = Class::TOKEN.split(line);
    let parts = match rest {
        [b' ', rest @ ..] if !method.is_empty() => {
            find_byte(rest, b' ').and_then(|at| rest.split_at_checked(at))
        }
        _ => return fault(ParseErrorKind::StartLine, method.len()),
    };
    let Some((uri, [_, version @ ..])) = parts else {
        return fault(ParseErrorKind::StartLine, line.len());
    };
    if uri.is_empty() || find_byte(uri, b'\t').is_some() {
        return fault(ParseErrorKind::StartLine, method.len().saturating_add(1));
    }
    check_version(version).map_err(|e| e.at(offset_in(line, version)))?;
    Ok(RequestLine {
        method: Method::from_bytes(method),
        uri,
    })
}

// Status-Line = SIP-Version SP Status-Code SP Reason-Phrase CRLF
fn status_line(line: &[u8]) -> Result<StatusLine<'_>, ParseError> {
    let at = line.iter().position(|&b| b == b' ').unwrap_or(line.len());
    let (version, rest) = line.split_at_checked(at).unwrap_or((line, &[]));
    check_version(version)?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (digits, reason) = Class::DIGIT.split(rest);
    let code = match digits {
        [a, b, c] => [a, b, c].iter().fold(0u16, |sum, digit| {
            sum.wrapping_mul(10)
                .wrapping_add(u16::from(digit.wrapping_sub(b'0')))
        }),
        _ => 0,
    };
    let code_at = offset_in(line, digits);
    let Some(status) = Status::new(code) else {
        return fault(ParseErrorKind::StatusCode, code_at);
    };
    let Some(reason) = reason.strip_prefix(b" ") else {
        return fault(
            ParseErrorKind::StartLine,
            code_at.saturating_add(digits.len()),
        );
    };
    Ok(StatusLine { status, reason })
}

/// `SIP/2.0` without case (RFC 3261 §7.1); another proper version is told from nonsense.
fn check_version(version: &[u8]) -> Result<(), ParseError> {
    if eq_ignore_case(version, b"SIP/2.0") {
        return Ok(());
    }
    let kind = match version.split_at_checked(4) {
        Some((sip, number)) if eq_ignore_case(sip, b"SIP/") && is_version_number(number) => {
            ParseErrorKind::Version
        }
        _ => ParseErrorKind::StartLine,
    };
    fault(kind, 0)
}

// 1*DIGIT "." 1*DIGIT
fn is_version_number(number: &[u8]) -> bool {
    match Class::DIGIT.split(number) {
        ([_, ..], [b'.', minor @ ..]) => Class::DIGIT.fits(minor),
        _ => false,
    }
}

/// The header line at the start of `line`, or the empty line there; `line` is a tail of `head`.
#[inline(always)] // Into the one loop that reads whole heads.
pub(super) fn step<'b>(head: &'b [u8], line: &'b [u8]) -> Result<Step<'b>, ParseError> {
    let at = offset_in(head, line);
    let (name, name_len, rest) = match quick_name(line) {
        Some(found) => found,
        None => match slow_name(line).map_err(|e| e.at(at))? {
            Line::Named(name, len, rest) => (name, len, rest),
            Line::Empty(rest) => return Ok(Step::End(rest)),
        },
    };
    let (value, next) = split_value(rest, name).map_err(|e| e.at(offset_in(head, rest)))?;
    let value = trim_lws(value.strip_prefix(b" ").unwrap_or(value));
    let value_at = offset_in(head, value);
    let slot = Slot {
        line: narrow(at),
        value: narrow(value_at),
        end: narrow(value_at.wrapping_add(value.len())),
        name_len: u8::try_from(name_len).unwrap_or(u8::MAX),
        name,
    };
    Ok(Step::Header(slot, next))
}

/// As [`step`], for those who are in no hurry.
#[inline(never)]
pub(super) fn step_apart<'b>(head: &'b [u8], line: &'b [u8]) -> Result<Step<'b>, ParseError> {
    step(head, line)
}

/// A name that is known and has its colon right behind it, its length, and what follows the colon.
#[inline(always)]
fn quick_name(line: &[u8]) -> Option<(Name, usize, &[u8])> {
    let len = find_byte(line.first_chunk::<32>()?, b':')?;
    let (name, rest) = line.split_at_checked(len)?;
    match Name::from_bytes(name) {
        Name::Other => None,
        name => Some((name, len, rest.get(1..)?)),
    }
}

/// What a line begins with.
enum Line<'b> {
    /// A name, its length, and what follows the colon.
    Named(Name, usize, &'b [u8]),
    /// Nothing: what follows the empty line.
    Empty(&'b [u8]),
}

/// Any name, or the empty line.
fn slow_name(line: &[u8]) -> Result<Line<'_>, ParseError> {
    let (name, rest) = Class::TOKEN.split(line);
    // HCOLON = *( SP / HTAB ) ":" SWS
    let blanks = match (name, rest) {
        ([], [b'\r', b'\n', rest @ ..]) => return Ok(Line::Empty(rest)),
        ([], _) => 0,
        _ => rest
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count(),
    };
    match rest.get(blanks..).unwrap_or_default() {
        [b':', rest @ ..] if !name.is_empty() => {
            Ok(Line::Named(Name::from_bytes(name), name.len(), rest))
        }
        rest => fault(no_name(rest), offset_in(line, rest)),
    }
}

/// What follows the line at the start of `line` and its folds; `None` if there is nothing.
pub(super) fn skip_line(line: &[u8]) -> Option<&[u8]> {
    let end = line
        .windows(3)
        .position(|w| matches!(w, [b'\r', b'\n', next] if !matches!(next, b' ' | b'\t')))?;
    line.get(end.saturating_add(2)..)
}

/// What is wrong with a line that has no colon where it should be.
fn no_name(rest: &[u8]) -> ParseErrorKind {
    match rest {
        [] | [b'\r'] => ParseErrorKind::Truncated,
        [b'\r', b'\n', ..] => ParseErrorKind::HeaderName,
        [b'\r' | b'\n', ..] => ParseErrorKind::LineEnd,
        [b'\t', ..] => ParseErrorKind::HeaderName,
        [b, ..] if b.is_ascii_control() => ParseErrorKind::ControlCharacter,
        _ => ParseErrorKind::HeaderName,
    }
}

/// A header value up to the CR LF that ends it, folds included, and what follows these.
#[inline(always)]
fn split_value(bytes: &[u8], name: Name) -> Result<(&[u8], &[u8]), ParseError> {
    let mut rest = bytes;
    let mut quotes = Quotes {
        at: 0,
        inside: false,
    };
    loop {
        let found = find_control(rest).and_then(|at| rest.get(at..));
        let Some(found) = found else {
            return fault(ParseErrorKind::Truncated, bytes.len());
        };
        let at = offset_in(bytes, found);
        rest = match found {
            [b'\r', b'\n', b' ' | b'\t', tail @ ..] => tail,
            [b'\r', b'\n', tail @ ..] => return Ok((before(bytes, found), tail)),
            [b'\t', tail @ ..] => tail,
            [b'\r'] => return fault(ParseErrorKind::Truncated, bytes.len()),
            [b'\r' | b'\n', ..] => return fault(ParseErrorKind::LineEnd, at),
            // quoted-pair = "\" (%x00-09 / %x0B-0C / %x0E-7F): the one place where a control
            // character may stand. Free text and values of an unknown grammar have none.
            [_, tail @ ..]
                if name != Name::Other
                    && name.form() != Form::Text
                    && quotes.escaped(bytes, at) =>
            {
                tail
            }
            _ => return fault(ParseErrorKind::ControlCharacter, at),
        }
    }
}

/// A walk through a value that knows whether it is within a quoted string.
struct Quotes {
    at: usize,
    inside: bool,
}

impl Quotes {
    /// Whether the byte at `target` is escaped within a quoted string. `target` only grows.
    fn escaped(&mut self, value: &[u8], target: usize) -> bool {
        while self.at < target {
            match (value.get(self.at), self.inside) {
                (Some(b'"'), inside) => self.inside = !inside,
                (Some(b'\\'), true) => {
                    self.at = self.at.saturating_add(1);
                    if self.at == target {
                        // The escaped byte is done with.
                        self.at = self.at.saturating_add(1);
                        return true;
                    }
                }
                _ => {}
            }
            self.at = self.at.saturating_add(1);
        }
        false
    }
}

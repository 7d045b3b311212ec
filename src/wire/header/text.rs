//! Text for people: display names, warning texts, subjects, comments, products.

use core::fmt;

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{Class, offset_in, split_at, trim_lws, trim_start};

/// Text as it stands in a header value, still folded and escaped.
///
/// ```
/// use oma_im::wire::header::Text;
///
/// let text = Text::Quoted(br#"Bertta \"Bee\""#);
/// assert!(text.bytes().eq(*br#"Bertta "Bee""#));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Text<'b> {
    /// Bytes that stand for themselves.
    Plain(&'b [u8]),
    /// The inside of a quoted string or a comment, in which `\` escapes the next byte.
    Quoted(&'b [u8]),
}

/// What stands before `<` in an address.
pub type Display<'b> = Text<'b>;

/// The value of Subject (RFC 3261 §20.36) or Organization: text that may be empty.
pub type Subject<'b> = Text<'b>;

impl<'b> Text<'b> {
    /// Takes a whole value as text; any value is.
    ///
    /// # Errors
    /// `ControlCharacter` for one other than HT and a fold (RFC 3261 §25.1, TEXT-UTF8-TRIM).
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        match value.iter().position(|&b| Class::CONTROL.has(b)) {
            Some(at) => Err(ParseError::new(ParseErrorKind::ControlCharacter, at)),
            None => Ok(Self::Plain(trim_lws(value))),
        }
    }

    /// The text as it was written, without the quotes around it.
    pub const fn raw(self) -> &'b [u8] {
        match self {
            Self::Plain(raw) | Self::Quoted(raw) => raw,
        }
    }

    /// Whether there is no text.
    pub const fn is_empty(self) -> bool {
        self.raw().is_empty()
    }

    /// The bytes it stands for: escapes resolved, each fold one space (RFC 3261 §7.3.1).
    ///
    /// Mostly UTF-8, but a peer may send anything.
    pub fn bytes(self) -> Bytes<'b> {
        Bytes {
            rest: self.raw(),
            quoted: matches!(self, Self::Quoted(_)),
        }
    }
}

impl PartialEq<str> for Text<'_> {
    /// Whether it stands for this text.
    fn eq(&self, other: &str) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.raw().escape_ascii())
    }
}

/// Iterator of [`Text::bytes`].
#[derive(Clone, Debug)]
pub struct Bytes<'b> {
    rest: &'b [u8],
    quoted: bool,
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = match self.rest {
            [b'\\', escaped, rest @ ..] if self.quoted => (*escaped, rest),
            // RFC 3261 §7.3.1: the line break and the white space after it are a single SP.
            fold @ [b'\r' | b'\n', ..] => (b' ', trim_start(fold)),
            [byte, rest @ ..] => (*byte, rest),
            [] => return None,
        };
        self.rest = rest;
        Some(byte)
    }
}

/// Splits a comment at the start of `bytes` off: what is inside its parentheses, and the rest.
///
/// `None` if there is none, if it is never closed, or for a byte that may not stand in it.
pub(super) fn split_comment(bytes: &[u8]) -> Option<(Text<'_>, &[u8])> {
    let inside = bytes.strip_prefix(b"(")?;
    let mut rest = inside;
    let mut depth = 1usize;
    loop {
        // ctext is qdtext with `"` and without parentheses.
        rest = match rest {
            [b'(', rest @ ..] => {
                depth = depth.saturating_add(1);
                rest
            }
            [b')', tail @ ..] => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let (text, _) = split_at(inside, offset_in(inside, rest));
                    return Some((Text::Quoted(text), tail));
                }
                tail
            }
            [b'\\', escaped, rest @ ..]
                if escaped.is_ascii() && !matches!(escaped, b'\r' | b'\n') =>
            {
                rest
            }
            [b'"', rest @ ..] => rest,
            [byte, rest @ ..] if Class::QDTEXT.has(*byte) => rest,
            _ => return None,
        };
    }
}

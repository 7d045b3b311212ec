//! Text for people: display names, warning texts, subjects, comments, products.

use core::fmt;

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{
    Class, offset_in, parse_u32, split_at, strip_quotes, trim_end, trim_lws, trim_start,
};

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

/// One value of Warning (RFC 3261 §20.43).
///
/// ```
/// use oma_im::wire::header::Warning;
///
/// let warning = Warning::parse(br#"399 ims.example.com "119 Anonymity not allowed""#)?;
/// assert_eq!((warning.code, warning.im_code()), (399, Some(119)));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Warning<'b> {
    /// The code, 0 to 999.
    pub code: u16,
    /// Who warns: a host with a port, or a pseudonym.
    pub agent: &'b [u8],
    /// What is wrong.
    pub text: Text<'b>,
}

impl<'b> Warning<'b> {
    /// Parses one value.
    ///
    /// # Errors
    /// `HeaderValue` at the first byte against the grammar.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let fault =
            |left: &[u8]| ParseError::new(ParseErrorKind::HeaderValue, offset_in(value, left));
        // warn-code SP warn-agent SP warn-text
        let (digits, rest) = Class::DIGIT.split(trim_start(value));
        let code = three_digits(digits).ok_or(fault(digits))?;
        let (agent, tail) = Class::PARAM_VALUE.split(after_space(rest).ok_or(fault(rest))?);
        if agent.is_empty() {
            return Err(fault(tail));
        }
        let quoted = after_space(tail).ok_or(fault(tail))?;
        let text = strip_quotes(trim_end(quoted)).ok_or(fault(quoted))?;
        Ok(Self {
            code,
            agent,
            text: Text::Quoted(text),
        })
    }

    /// The code an IM server warns with: the three digits that its 399 begins its text with, or a
    /// code from 100 to 199 itself, which SIP leaves free (RFC 3261 §20.43).
    pub fn im_code(&self) -> Option<u16> {
        match (self.code, self.text.raw()) {
            (399, [a, b, c]) => three_digits(&[*a, *b, *c]),
            (399, [a, b, c, next, ..]) if !next.is_ascii_alphanumeric() => {
                three_digits(&[*a, *b, *c])
            }
            (code @ 100..=199, _) => Some(code),
            _ => None,
        }
    }
}

/// User-Agent or Server (RFC 3261 §20.41, §20.35): products and comments.
///
/// ```
/// use oma_im::wire::header::{Product, UserAgent};
///
/// let agent = UserAgent::parse(b"IM-client/OMA1.0 Example/3.2 (debug)")?;
/// assert_eq!(agent.first(), Some(Product { name: b"IM-client", version: Some(b"OMA1.0") }));
/// assert_eq!(agent.products().count(), 2);
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Products<'b> {
    value: &'b [u8],
}

/// User-Agent (RFC 3261 §20.41).
pub type UserAgent<'b> = Products<'b>;
/// Server (RFC 3261 §20.35).
pub type Server<'b> = Products<'b>;

/// A product and its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product<'b> {
    /// Its name, a token.
    pub name: &'b [u8],
    /// Its version. Phones write `Vendor/Model/Build`: then the version holds a slash.
    pub version: Option<&'b [u8]>,
}

impl<'b> Products<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` at the first byte against the grammar. Many peers write such values: it says
    /// nothing about the rest of their message.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let mut rest = trim_start(value);
        loop {
            rest = match split_product(rest) {
                Some((_, [])) => return Ok(Self { value }),
                Some((_, rest)) => rest,
                None => {
                    return Err(ParseError::new(
                        ParseErrorKind::HeaderValue,
                        offset_in(value, rest),
                    ));
                }
            };
        }
    }

    /// The products in their order, comments left out.
    pub fn products(&self) -> impl Iterator<Item = Product<'b>> + use<'b> {
        let mut rest = trim_start(self.value);
        core::iter::from_fn(move || {
            let (item, tail) = split_product(rest)?;
            rest = tail;
            Some(item)
        })
        .flatten()
    }

    /// The first product.
    pub fn first(&self) -> Option<Product<'b>> {
        self.products().next()
    }
}

/// A product or (`None`) a comment at the start of `bytes`, and what follows it and its LWS.
fn split_product(bytes: &[u8]) -> Option<(Option<Product<'_>>, &[u8])> {
    if bytes.first() == Some(&b'(') {
        return split_comment(bytes).map(|(_, rest)| (None, trim_start(rest)));
    }
    let (name, rest) = Class::TOKEN.split(bytes);
    if name.is_empty() {
        return None;
    }
    let rest = trim_start(rest);
    let Some(after) = rest.strip_prefix(b"/") else {
        return Some((
            Some(Product {
                name,
                version: None,
            }),
            rest,
        ));
    };
    let start = trim_start(after);
    let mut tail = start;
    loop {
        let (token, rest) = Class::TOKEN.split(tail);
        if token.is_empty() {
            return None;
        }
        match rest {
            [b'/', rest @ ..] => tail = rest,
            _ => {
                let (version, _) = split_at(start, offset_in(start, rest));
                return Some((
                    Some(Product {
                        name,
                        version: Some(version),
                    }),
                    trim_start(rest),
                ));
            }
        }
    }
}

fn three_digits(digits: &[u8]) -> Option<u16> {
    if digits.len() != 3 {
        return None;
    }
    u16::try_from(parse_u32(digits).ok()?).ok()
}

/// What follows LWS, which has to be there.
fn after_space(bytes: &[u8]) -> Option<&[u8]> {
    let rest = trim_start(bytes);
    (rest.len() < bytes.len()).then_some(rest)
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

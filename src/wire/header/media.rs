//! Headers that describe a body.

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{
    Class, Params, Unquoted, eq_ignore_case, offset_in, parse_u32, strip_quotes, trim_lws,
    trim_start,
};

use super::number::parse_q;

/// Content-Type (RFC 3261 §20.15), or one value of Accept with `*` as a wildcard (§20.1).
///
/// ```
/// use oma_im::wire::header::{Accept, ContentType};
///
/// let content = ContentType::parse(br#"text/plain; charset="utf-8""#)?;
/// assert!(content.is(b"Text", b"PLAIN"));
/// assert!(content.charset().is_some_and(|charset| charset.eq(*b"utf-8")));
/// assert!(Accept::parse(b"text/*;q=0.5")?.accepts(&content));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MediaType<'b> {
    /// The type: `text`, `message`, `multipart`, ...; compares without case.
    pub kind: &'b [u8],
    /// The subtype; compares without case.
    pub subtype: &'b [u8],
    /// The parameters.
    pub params: Params<'b>,
}

/// Content-Type (RFC 3261 §20.15).
pub type ContentType<'b> = MediaType<'b>;
/// One value of Accept (RFC 3261 §20.1).
pub type Accept<'b> = MediaType<'b>;

impl<'b> MediaType<'b> {
    /// Parses one value.
    ///
    /// # Errors
    /// `HeaderValue` at the first byte against the grammar.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let fault =
            |left: &[u8]| ParseError::new(ParseErrorKind::HeaderValue, offset_in(value, left));
        let (kind, rest) = Class::TOKEN.split(trim_start(value));
        let rest = match trim_start(rest) {
            [b'/', rest @ ..] if !kind.is_empty() => trim_start(rest),
            rest => return Err(fault(rest)),
        };
        let (subtype, rest) = Class::TOKEN.split(rest);
        if subtype.is_empty() {
            return Err(fault(rest));
        }
        let rest = trim_start(rest);
        let params = Params::parse(rest).map_err(|error| error.at(offset_in(value, rest)))?;
        Ok(Self {
            kind,
            subtype,
            params,
        })
    }

    /// Whether it is this type.
    pub fn is(&self, kind: &[u8], subtype: &[u8]) -> bool {
        eq_ignore_case(self.kind, kind) && eq_ignore_case(self.subtype, subtype)
    }

    /// Whether `other`, a Content-Type, is in this range of an Accept; parameters are not compared.
    pub fn accepts(&self, other: &MediaType<'_>) -> bool {
        let fits = |range: &[u8], one: &[u8]| range == b"*" || eq_ignore_case(range, one);
        fits(self.kind, other.kind) && fits(self.subtype, other.subtype)
    }

    /// The value of `charset`; charsets compare without case.
    pub fn charset(&self) -> Option<Unquoted<'b>> {
        Some(self.params.get(b"charset")?.unquoted())
    }

    /// The boundary of a multipart, without quotes (RFC 2046 §5.1.1); it has no escapes.
    pub fn boundary(&self) -> Option<&'b [u8]> {
        let value = self.params.value(b"boundary")?;
        Some(strip_quotes(value).unwrap_or(value))
    }

    /// The preference in thousandths, 0 to 1000; `None` if absent or malformed.
    pub fn q(&self) -> Option<u16> {
        parse_q(self.params.value(b"q")?)
    }
}

/// Content-ID (RFC 8262 §3, RFC 2392).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentId<'b> {
    /// The identifier without `<` and `>`; compares with case.
    pub id: &'b [u8],
}

impl<'b> ContentId<'b> {
    /// Parses a whole value: `<id>`.
    ///
    /// # Errors
    /// `HeaderValue` if it is not one identifier between `<` and `>`.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let is_id = |id: &[u8]| {
            !id.is_empty()
                && id
                    .iter()
                    .all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'))
        };
        match trim_lws(value) {
            [b'<', id @ .., b'>'] if is_id(id) => Ok(Self { id }),
            _ => Err(ParseError::new(ParseErrorKind::HeaderValue, 0)),
        }
    }
}

/// MIME-Version (RFC 3261 §20.24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MimeVersion {
    /// The number before the dot, 1 everywhere.
    pub major: u32,
    /// The number after the dot, 0 everywhere.
    pub minor: u32,
}

impl MimeVersion {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is not two numbers around a dot, `Number` if one has more than 32 bits.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let (major, rest) = Class::DIGIT.split(trim_lws(value));
        let at = offset_in(value, rest);
        let minor = rest
            .strip_prefix(b".")
            .ok_or(ParseError::new(ParseErrorKind::HeaderValue, at))?;
        let minor = parse_u32(minor).map_err(|error| error.at(offset_in(value, minor)))?;
        Ok(Self {
            major: parse_u32(major)?,
            minor,
        })
    }
}

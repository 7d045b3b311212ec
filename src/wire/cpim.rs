//! `message/cpim`: the envelope around an instant message (RFC 3862).
//!
//! A CPIM object is a block of header fields, an empty line and a MIME body part. The header names
//! compare exactly, case included, and belong to a namespace: `imdn.Message-ID` is the Message-ID of
//! whatever URI an `NS` header gave the prefix `imdn`. [`Cpim::parse`] checks the block once; the
//! view then reads it field by field without storing any. [`Cpim::validate`] adds what an instant
//! message has to have. [`CpimWriter`] writes the same format, with everything escaped that
//! could end a line or a string.
//!
//! Read from peers as they are: no `NS` for the prefix `imdn`, no or many spaces after the colon, a URI
//! without brackets, fields in any order, and no empty line before the MIME headers, as the
//! examples of RFC 5438 are printed.

mod text;
mod write;

use super::datetime;
use super::error::{ParseError, ParseErrorKind};
use super::mime::{Lines, Part};
use super::scan::{Pieces, cut, eq_ignore_case, find_byte, offset_in, pieces, split_at};
use super::writer::{TextError, UriText};
use heapless::Vec;

pub use text::{HeaderChars, HeaderText};
pub use write::{ContentWriter, CpimWriter, Party};

/// The namespace of the header names of RFC 3862 §4.
pub const CPIM_NAMESPACE: &str = "urn:ietf:params:cpim-headers:";
/// The namespace of the header names of RFC 5438 §6.1.
pub const IMDN_NAMESPACE: &str = "urn:ietf:params:imdn";

const BLANKS: [char; 2] = [' ', '\t'];

/// How many prefixes of one namespace are remembered while its fields are looked for.
const MAX_PREFIXES: usize = 4;

/// A CPIM object.
///
/// ```
/// use oma_im::wire::cpim::Cpim;
///
/// let cpim = Cpim::parse(
///     b"From: Alice <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\
///       NS: x <urn:ietf:params:imdn>\r\nx.Message-ID: 34jk324j\r\n\r\n\
///       Content-type: text/plain\r\n\r\nHello",
/// )?;
/// assert_eq!(cpim.from()?.uri, "sip:alice@example.com");
/// assert_eq!(cpim.message_id(), Some("34jk324j"));
/// assert_eq!(cpim.content().body, b"Hello");
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cpim<'b> {
    headers: &'b str,
    content: Part<'b>,
}

impl<'b> Cpim<'b> {
    /// Reads the body of a message whose type is `message/cpim`.
    ///
    /// # Errors
    /// `HeaderName`, `ControlCharacter`, `LineEnd`, `Utf8` or `Cpim` at a malformed line;
    /// `Truncated` if no content follows; those of [`Part::parse`].
    pub fn parse(bytes: &'b [u8]) -> Result<Self, ParseError> {
        let mut lines = Lines::new(bytes);
        let (block, content) = loop {
            let here = lines.rest;
            let at = offset_in(bytes, here);
            let Some(line) = lines.next().map_err(|e| e.at(at))? else {
                return Err(ParseError::new(ParseErrorKind::Truncated, bytes.len()));
            };
            if line.is_empty() {
                break (split_at(bytes, at).0, lines.rest);
            }
            if is_mime_header(line) {
                break (split_at(bytes, at).0, here);
            }
            check_line(line).map_err(|e| e.at(at))?;
        };
        let headers = core::str::from_utf8(block)
            .map_err(|e| ParseError::new(ParseErrorKind::Utf8, e.valid_up_to()))?;
        let content = Part::parse(content).map_err(|e| e.at(offset_in(bytes, content)))?;
        Ok(Self { headers, content })
    }

    /// Checks what every instant message has: one From, at least one To, a Content-Type, and that the
    /// fields of RFC 3862 §4 follow their grammar.
    ///
    /// # Errors
    /// `MissingHeader`, `DuplicateHeader`, or the fault of the field.
    pub fn validate(&self) -> Result<(), ParseError> {
        self.from()?;
        if self.all(CPIM_NAMESPACE, "From").nth(1).is_some() {
            return Err(ParseError::new(ParseErrorKind::DuplicateHeader, 0));
        }
        let mut recipients = 0_usize;
        for to in self.to() {
            to?;
            recipients = recipients.saturating_add(1);
        }
        // RFC 3862 §2.4: the content headers MUST include at least a Content-Type.
        if recipients == 0 || self.content.headers.get("Content-Type").is_none() {
            return Err(ParseError::new(ParseErrorKind::MissingHeader, 0));
        }
        self.cc().try_for_each(|cc| cc.map(drop))?;
        self.datetime()?;
        for header in self.headers() {
            if header.is_declaration() {
                header.declaration()?;
            }
        }
        Ok(())
    }

    /// All header fields in their order, prefixes not yet resolved.
    pub fn headers(&self) -> impl Iterator<Item = Header<'b>> + use<'b> {
        pieces(self.headers, b'\n').filter_map(Header::split)
    }

    /// The first field `name` of `namespace`, whatever prefix that has here.
    pub fn header(&self, namespace: &str, name: &str) -> Option<Header<'b>> {
        self.all(namespace, name).next()
    }

    /// Every field `name` of `namespace`, whatever prefix that has here.
    pub fn all<'n>(&self, namespace: &'n str, name: &'n str) -> Matching<'b, 'n> {
        let mut prefixes = Vec::new();
        let known = match namespace {
            CPIM_NAMESPACE => Some(""),
            // Deployed peers leave the declaration out.
            IMDN_NAMESPACE => Some("imdn"),
            _ => None,
        };
        prefixes.extend(known);
        Matching {
            lines: pieces(self.headers, b'\n'),
            namespace,
            name,
            prefixes,
        }
    }

    /// Who wrote the message (§4.1).
    ///
    /// # Errors
    /// `MissingHeader`, or `Cpim` if it is malformed.
    pub fn from(&self) -> Result<Address<'b>, ParseError> {
        self.header(CPIM_NAMESPACE, "From")
            .ok_or(ParseError::new(ParseErrorKind::MissingHeader, 0))?
            .address()
    }

    /// Whom it is for (§4.2): any number.
    pub fn to(&self) -> impl Iterator<Item = Result<Address<'b>, ParseError>> + use<'b> {
        self.all(CPIM_NAMESPACE, "To").map(|h| h.address())
    }

    /// Who gets a copy (§4.3): any number.
    pub fn cc(&self) -> impl Iterator<Item = Result<Address<'b>, ParseError>> + use<'b> {
        self.all(CPIM_NAMESPACE, "cc").map(|h| h.address())
    }

    /// When it was sent, as it is written (§4.4): this text goes into a report.
    pub fn datetime_text(&self) -> Option<&'b str> {
        let header = self.header(CPIM_NAMESPACE, "DateTime")?;
        Some(header.value.raw()).filter(|text| !text.is_empty())
    }

    /// When it was sent, in milliseconds since 1970.
    ///
    /// # Errors
    /// Those of [`datetime::parse`].
    pub fn datetime(&self) -> Result<Option<u64>, ParseError> {
        self.datetime_text().map(datetime::parse).transpose()
    }

    /// The first subject (§4.5); its language is [`Header::language`].
    pub fn subject(&self) -> Option<Header<'b>> {
        self.header(CPIM_NAMESPACE, "Subject")
    }

    /// The names that the sender requires to be understood (§4.7), as they are written.
    pub fn required(&self) -> impl Iterator<Item = &'b str> + use<'b> {
        self.all(CPIM_NAMESPACE, "Require")
            .flat_map(|header| pieces(header.value.raw(), b','))
            .map(str::trim)
            .filter(|name| !name.is_empty())
    }

    /// The IMDN Message-ID (RFC 5438 §6.3).
    pub fn message_id(&self) -> Option<&'b str> {
        let header = self.header(IMDN_NAMESPACE, "Message-ID")?;
        Some(header.value.raw()).filter(|id| !id.is_empty())
    }

    /// Which reports are asked for (RFC 5438 §6.2); values that are not known are passed over.
    pub fn notifications(&self) -> Notifications {
        self.all(IMDN_NAMESPACE, "Disposition-Notification")
            .flat_map(|header| pieces(header.value.raw(), b','))
            .fold(Notifications::NONE, |set, value| {
                let name = cut(value, b';').map_or(value, |(name, _)| name).trim();
                Notifications::named(name).map_or(set, |one| set.and(one))
            })
    }

    /// The address that the sender wrote to, if a list server changed To (RFC 5438 §6.4).
    ///
    /// # Errors
    /// `Cpim` if it is malformed.
    pub fn original_to(&self) -> Result<Option<Address<'b>>, ParseError> {
        let header = self.header(IMDN_NAMESPACE, "Original-To");
        header.map(|h| h.address()).transpose()
    }

    /// The servers that reports go back through, topmost first (RFC 5438 §6.5).
    pub fn record_routes(&self) -> impl Iterator<Item = Result<Address<'b>, ParseError>> + use<'b> {
        self.all(IMDN_NAMESPACE, "IMDN-Record-Route")
            .map(|h| h.address())
    }

    /// The servers that this report still goes through, topmost first (RFC 5438 §6.6).
    pub fn routes(&self) -> impl Iterator<Item = Result<Address<'b>, ParseError>> + use<'b> {
        self.all(IMDN_NAMESPACE, "IMDN-Route").map(|h| h.address())
    }

    /// What the envelope holds: MIME headers and body, up to the end of the bytes.
    pub const fn content(&self) -> &Part<'b> {
        &self.content
    }

    /// The header block, to be kept for a report.
    pub const fn header_block(&self) -> &'b str {
        self.headers
    }
}

/// One CPIM header field.
#[derive(Clone, Copy, Debug)]
pub struct Header<'b> {
    /// What stands before the dot of the name; empty if there is no dot.
    pub prefix: &'b str,
    /// The name without its prefix.
    pub name: &'b str,
    /// The value without the spaces around it.
    pub value: HeaderText<'b>,
    params: &'b str,
}

impl<'b> Header<'b> {
    /// Takes a line with or without its CR apart; the empty one after the last LF is none.
    fn split(line: &'b str) -> Option<Self> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (name, rest) = cut(line, b':')?;
        let (prefix, name) = cut(name, b'.').unwrap_or(("", name));
        // Header = Header-name ":" *( ";" Parameter ) SP Header-value
        let (params, value) = if rest.starts_with(';') {
            cut(rest, b' ').unwrap_or((rest, ""))
        } else {
            ("", rest)
        };
        Some(Self {
            prefix,
            name,
            value: HeaderText::received(value.trim_matches(BLANKS)),
            params,
        })
    }

    /// The value of a parameter after the colon: `lang` in `Subject:;lang=fr …`.
    pub fn param(&self, name: &str) -> Option<&'b str> {
        pieces(self.params, b';')
            .filter_map(|param| cut(param, b'='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The language of the value (RFC 3862 §3.3).
    pub fn language(&self) -> Option<&'b str> {
        self.param("lang")
    }

    /// The value as an address: `[ Formal-name ] "<" URI ">"`, the brackets not insisted on.
    ///
    /// # Errors
    /// `Cpim` if there is no URI, or if more follows.
    pub fn address(&self) -> Result<Address<'b>, ParseError> {
        Address::parse(self.value.raw())
    }

    fn is_declaration(&self) -> bool {
        self.prefix.is_empty() && self.name == "NS"
    }

    /// `NS: [ Name-prefix ] "<" URI ">"`: the prefix and the namespace.
    fn declaration(&self) -> Result<(&'b str, &'b str), ParseError> {
        let error = ParseError::new(ParseErrorKind::Cpim, 0);
        let raw = self.value.raw();
        let (prefix, uri) = match cut(raw, b'<') {
            Some((prefix, uri)) => (prefix, uri.strip_suffix('>').ok_or(error)?),
            None => raw.split_once(BLANKS).unwrap_or(("", raw)),
        };
        let (prefix, uri) = (prefix.trim(), uri.trim());
        if !uri.contains(':') || prefix.bytes().any(|b| !is_name_char(b)) {
            return Err(error);
        }
        Ok((prefix, uri))
    }
}

/// The fields that [`Cpim::all`] finds.
#[derive(Clone, Debug)]
pub struct Matching<'b, 'n> {
    lines: Pieces<'b>,
    namespace: &'n str,
    name: &'n str,
    /// What stands for the namespace here.
    prefixes: Vec<&'b str, MAX_PREFIXES>,
}

impl<'b> Iterator for Matching<'b, '_> {
    type Item = Header<'b>;

    fn next(&mut self) -> Option<Header<'b>> {
        loop {
            let header = Header::split(self.lines.next()?)?;
            if header.is_declaration()
                && let Ok((prefix, uri)) = header.declaration()
            {
                // §3.4: from here on the prefix has this meaning.
                self.prefixes.retain(|known| *known != prefix);
                if eq_ignore_case(uri.as_bytes(), self.namespace.as_bytes()) {
                    // One prefix too many is not remembered.
                    let _ = self.prefixes.push(prefix);
                }
            }
            if header.name == self.name && self.prefixes.contains(&header.prefix) {
                return Some(header);
            }
        }
    }
}

/// An address of a CPIM header: a name for people and a URI.
#[derive(Clone, Copy, Debug)]
pub struct Address<'b> {
    /// The name, if there is one.
    pub name: Option<HeaderText<'b>>,
    /// The URI, without brackets.
    pub uri: &'b str,
}

impl<'b> Address<'b> {
    fn parse(value: &'b str) -> Result<Self, ParseError> {
        let error = ParseError::new(ParseErrorKind::Cpim, 0);
        let (name, rest) = match value.strip_prefix('"') {
            Some(quoted) => {
                let end = end_of_string(quoted).ok_or(error)?;
                let (name, rest) = quoted.split_at_checked(end).ok_or(error)?;
                (name, rest.strip_prefix('"').ok_or(error)?)
            }
            None => {
                match find_byte(value.as_bytes(), b'<').and_then(|at| value.split_at_checked(at)) {
                    Some((name, rest)) => (name.trim_matches(BLANKS), rest),
                    None => ("", value),
                }
            }
        };
        let rest = rest.trim();
        let uri = match rest.strip_prefix('<') {
            Some(uri) => {
                let (uri, after) = cut(uri, b'>').ok_or(error)?;
                let after = after.trim_start();
                if !(after.is_empty() || after.starts_with(';')) {
                    return Err(error);
                }
                uri.trim()
            }
            None => rest,
        };
        let odd = |b: u8| b.is_ascii_whitespace() || matches!(b, b'<' | b'>' | b'"' | b'\\');
        let (scheme, opaque) = cut(uri, b':').ok_or(error)?;
        if scheme.is_empty() || opaque.is_empty() || uri.bytes().any(odd) {
            return Err(error);
        }
        Ok(Self {
            name: (!name.is_empty()).then_some(HeaderText::received(name)),
            uri,
        })
    }

    /// The same address, fit to be written.
    ///
    /// # Errors
    /// The URI holds what no URI may hold.
    pub fn to_party(&self) -> Result<Party<'b>, TextError> {
        Ok(Party {
            name: self.name,
            uri: UriText::new(self.uri)?,
        })
    }
}

/// Which disposition notifications are asked for (RFC 5438 §6.2): a set of the four kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Notifications(u8);

#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Notifications {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self(u.arbitrary::<u8>()? & 15))
    }
}

impl Notifications {
    /// None.
    pub const NONE: Self = Self(0);
    /// `positive-delivery`: tell me when it has arrived.
    pub const POSITIVE_DELIVERY: Self = Self(1);
    /// `negative-delivery`: tell me when it has failed.
    pub const NEGATIVE_DELIVERY: Self = Self(1 << 1);
    /// `processing`: servers tell what they do with it.
    pub const PROCESSING: Self = Self(1 << 2);
    /// `display`: tell me when it was shown.
    pub const DISPLAY: Self = Self(1 << 3);

    const NAMES: [(Self, &'static str); 4] = [
        (Self::POSITIVE_DELIVERY, "positive-delivery"),
        (Self::NEGATIVE_DELIVERY, "negative-delivery"),
        (Self::PROCESSING, "processing"),
        (Self::DISPLAY, "display"),
    ];

    /// The kinds of either set.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all kinds of `other` are in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is asked for.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The values of the header field, in its usual order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .iter()
            .filter(move |(kind, _)| self.has(*kind))
            .map(|(_, name)| *name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|n| n.1.eq_ignore_ascii_case(name))
            .map(|n| n.0)
    }
}

/// RFC 3862 §3.6, NAMECHAR: what may stand in a header name, besides the dot after a prefix.
const fn is_name_char(b: u8) -> bool {
    matches!(b, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'^'..=b'`' | b'|' | b'~')
        || b.is_ascii_alphanumeric()
}

/// §2.2: a name, a colon, and no control characters. HT is taken as white space.
fn check_line(line: &[u8]) -> Result<(), ParseError> {
    let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
    let (name, value) = split_at(line, colon);
    let odd = name.iter().position(|&b| !(is_name_char(b) || b == b'.'));
    if name.is_empty() || value.is_empty() || odd.is_some() {
        return Err(ParseError::new(
            ParseErrorKind::HeaderName,
            odd.unwrap_or(colon),
        ));
    }
    let control = |b: &u8| b.is_ascii_control() && *b != b'\t';
    match line.iter().position(control) {
        Some(at) => Err(ParseError::new(ParseErrorKind::ControlCharacter, at)),
        None => Ok(()),
    }
}

/// No CPIM header is called so; where one stands, the MIME headers have begun.
fn is_mime_header(line: &[u8]) -> bool {
    let begins = |name: &[u8]| {
        line.split_at_checked(name.len())
            .is_some_and(|(start, _)| eq_ignore_case(start, name))
    };
    begins(b"Content-") || begins(b"MIME-Version:")
}

/// Where the closing quote of a String stands, for text after the opening one.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    })
}

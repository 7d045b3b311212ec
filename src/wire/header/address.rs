//! Addresses: a display name, a URI and parameters.
//!
//! From, To, Contact, the route headers and the identities share one grammar (RFC 3261 §20.10):
//! `"Name" <uri>;params`, or the bare URI, whose parameters then belong to the header. The URI is
//! found and its alphabet checked here; [`NameAddr::uri`] parses it.

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{
    Class, Param, Params, eq_ignore_case, find_byte, offset_in, parse_u32, split_at, split_quoted,
    trim_end, trim_lws, trim_start, whole,
};
use crate::wire::uri::{Uri, split_scheme};

use super::text::{Display, Text};

/// An address with its display name and parameters (RFC 3261 §20.10, §20.20, §20.39).
///
/// ```
/// use oma_im::wire::header::NameAddr;
///
/// let from = NameAddr::parse(br#""Anna K" <sip:anna@ims.example.com;user=phone>;tag=49583"#)?;
/// assert!(from.display.is_some_and(|name| name == *"Anna K"));
/// assert_eq!(from.uri, b"sip:anna@ims.example.com;user=phone");
/// assert_eq!(from.tag(), Some(&b"49583"[..]));
///
/// // Without < and > the parameters are those of the header.
/// let to = NameAddr::parse(b"sip:bob@example.com;tag=1")?;
/// assert_eq!((to.uri, to.tag()), (&b"sip:bob@example.com"[..], Some(&b"1"[..])));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'b> {
    /// The display name, if there is one.
    pub display: Option<Display<'b>>,
    /// The addr-spec: a scheme, a colon, and bytes of a URI.
    pub uri: &'b [u8],
    /// The parameters of the header.
    pub params: Params<'b>,
}

/// From (RFC 3261 §20.20).
pub type From<'b> = NameAddr<'b>;
/// To (RFC 3261 §20.39).
pub type To<'b> = NameAddr<'b>;
/// One value of Route (RFC 3261 §20.34).
pub type Route<'b> = NameAddr<'b>;
/// One value of Record-Route (RFC 3261 §20.30).
pub type RecordRoute<'b> = NameAddr<'b>;
/// One value of Path (RFC 3327 §4).
pub type Path<'b> = NameAddr<'b>;
/// One value of Service-Route (RFC 3608 §5).
pub type ServiceRoute<'b> = NameAddr<'b>;
/// One value of P-Asserted-Identity (RFC 3325 §9.1).
pub type PAssertedIdentity<'b> = NameAddr<'b>;
/// One value of P-Preferred-Identity (RFC 3325 §9.2).
pub type PPreferredIdentity<'b> = NameAddr<'b>;
/// One value of P-Associated-URI (RFC 7315 §4.1).
pub type PAssociatedUri<'b> = NameAddr<'b>;
/// P-Called-Party-ID (RFC 7315 §4.2).
pub type PCalledPartyId<'b> = NameAddr<'b>;
/// Refer-To (RFC 3515 §2.1).
pub type ReferTo<'b> = NameAddr<'b>;
/// Referred-By (RFC 3892 §3).
pub type ReferredBy<'b> = NameAddr<'b>;
/// Reply-To (RFC 3261 §20.31).
pub type ReplyTo<'b> = NameAddr<'b>;
/// One value of P-Refused-URI-List (RFC 5318 §5); `members` is in its parameters.
pub type PRefusedUriList<'b> = NameAddr<'b>;

/// One value of Contact (RFC 3261 §20.10).
#[derive(Clone, Copy, Debug)]
pub enum Contact<'b> {
    /// `*`: all bindings, in a REGISTER that removes them (RFC 3261 §10.2.2).
    Star,
    /// An address.
    Addr(NameAddr<'b>),
}

impl<'b> NameAddr<'b> {
    /// Parses one value, in either form.
    ///
    /// # Errors
    /// `HeaderValue` at the first byte against the grammar; among them a URI without `<` and `>`
    /// that holds `,` or `?` (RFC 3261 §20.10), and a URI without scheme.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        whole(value, Self::split_loosely)
    }

    /// Splits one value off the start of a list, in either form, and checks the grammar of its URI
    /// too: the value, and what follows it.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse), or those of [`Uri::parse`].
    pub(crate) fn split(list: &'b [u8]) -> Result<(Self, &'b [u8]), ParseError> {
        // What follows the grammar of a URI has a scheme, is of its alphabet and has no `>`.
        let until_mark = |inside| split_at(inside, find_byte(inside, b'>').unwrap_or_default());
        match Self::split_with(list, until_mark, |_| true) {
            Ok((address, rest)) if Uri::check(address.uri).is_ok() => Ok((address, rest)),
            _ => {
                let (address, rest) = Self::split_loosely(list)?;
                let at = offset_in(list, address.uri);
                Uri::check(address.uri).map_err(|error| error.at(at))?;
                Ok((address, rest))
            }
        }
    }

    /// As [`split`](Self::split), but of the URI only the scheme and the alphabet are looked at.
    fn split_loosely(list: &'b [u8]) -> Result<(Self, &'b [u8]), ParseError> {
        let has_scheme = |uri| matches!(split_scheme(uri), Some((_, [_, ..])));
        Self::split_with(list, |inside| URI.split(inside), has_scheme)
    }

    /// `split_uri` cuts the URI off that begins behind `<`, `fits` looks at it.
    #[inline(always)] // Twice, to be two different functions.
    fn split_with(
        value: &'b [u8],
        split_uri: impl FnOnce(&'b [u8]) -> (&'b [u8], &'b [u8]),
        fits: impl FnOnce(&'b [u8]) -> bool,
    ) -> Result<(Self, &'b [u8]), ParseError> {
        let fault =
            |left: &[u8]| ParseError::new(ParseErrorKind::HeaderValue, offset_in(value, left));
        let start = trim_start(value);
        // display-name = *( token LWS ) / quoted-string; RFC 3261 §20.10: LWS before "<" may be
        // missing.
        let (display, rest) = match start {
            [b'<', ..] => (None, start),
            [b'"', ..] => {
                let (quoted, rest) = split_quoted(start).ok_or(fault(start))?;
                match quoted {
                    [b'"', inside @ .., b'"'] => (Some(Text::Quoted(inside)), trim_start(rest)),
                    _ => return Err(fault(start)),
                }
            }
            _ => match Class::TOKEN.or(Class::LWS).split(start) {
                (tokens, rest @ [b'<', ..]) => (Some(Text::Plain(trim_end(tokens))), rest),
                _ => (None, start),
            },
        };
        let (uri, rest) = match rest {
            [b'<', inside @ ..] => {
                let (uri, rest) = split_uri(inside);
                match rest {
                    [b'>', rest @ ..] => (uri, rest),
                    _ => return Err(fault(rest)),
                }
            }
            _ if display.is_some() => return Err(fault(rest)),
            _ => {
                let end = rest
                    .iter()
                    .position(|&b| matches!(b, b';' | b',' | b'?') || !URI.has(b));
                split_at(rest, end.unwrap_or(rest.len()))
            }
        };
        if !fits(uri) {
            return Err(fault(uri));
        }
        let (params, rest) =
            Params::split(rest).map_err(|error| error.at(offset_in(value, trim_start(rest))))?;
        let address = Self {
            display,
            uri,
            params,
        };
        Ok((address, rest))
    }

    /// The URI, parsed.
    ///
    /// # Errors
    /// `Uri` or `Number`, with the offset in [`Self::uri`], if it is against its grammar.
    pub fn uri(&self) -> Result<Uri<'b>, ParseError> {
        Uri::parse(self.uri)
    }

    /// The first parameter of this name.
    pub fn param(&self, name: &[u8]) -> Option<Param<'b>> {
        self.params.get(name)
    }

    /// The tag of a From or To.
    pub fn tag(&self) -> Option<&'b [u8]> {
        self.params.value(b"tag")
    }

    /// The seconds for which a Contact is bound; 3600 if the value is no 32-bit number (RFC 3261
    /// §8.3). `None`: there is no such parameter.
    pub fn expires(&self) -> Option<u32> {
        let expires = self.params.get(b"expires")?;
        Some(parse_u32(expires.value.unwrap_or_default()).unwrap_or(3600))
    }

    /// The preference of a Contact in thousandths, 0 to 1000; `None` if absent or malformed.
    pub fn q(&self) -> Option<u16> {
        super::number::parse_q(self.params.value(b"q")?)
    }
}

impl<'b> Contact<'b> {
    /// Parses one value.
    ///
    /// # Errors
    /// As [`NameAddr::parse`].
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        match trim_lws(value) {
            b"*" => Ok(Self::Star),
            _ => NameAddr::parse(value).map(Self::Addr),
        }
    }

    /// As [`NameAddr::split`].
    pub(crate) fn split(list: &'b [u8]) -> Result<(Self, &'b [u8]), ParseError> {
        // `*` is a token too, and so may begin a display name.
        if let [b'*', rest @ ..] = trim_start(list)
            && let rest @ ([] | [b',', ..]) = trim_start(rest)
        {
            return Ok((Self::Star, rest));
        }
        NameAddr::split(list).map(|(addr, rest)| (Self::Addr(addr), rest))
    }

    /// The address, unless it is `*`.
    pub const fn addr(&self) -> Option<&NameAddr<'b>> {
        match self {
            Self::Star => None,
            Self::Addr(addr) => Some(addr),
        }
    }

    /// The instance that registered it, without the quotes and `<`, `>` around it (RFC 5626 §4.1).
    pub fn instance(&self) -> Option<&'b [u8]> {
        match self.addr()?.params.value(b"+sip.instance")? {
            [b'"', b'<', urn @ .., b'>', b'"'] => Some(urn),
            _ => None,
        }
    }

    /// The flow it was registered over, 1 to 2^31 - 1 (RFC 5626 §4.2).
    pub fn reg_id(&self) -> Option<u32> {
        parse_u32(self.addr()?.params.value(b"reg-id")?)
            .ok()
            .filter(|id| (1..1 << 31).contains(id))
    }

    /// Whether the feature tag is among its parameters (RFC 3840 §9).
    pub fn has_feature(&self, tag: &[u8]) -> bool {
        self.addr()
            .is_some_and(|addr| addr.params.into_iter().any(|p| eq_ignore_case(p.name, tag)))
    }
}

/// Every byte of a URI, escapes included.
const URI: Class = Class::URIC.or(Class::URI_PARAM).or(Class::TOKEN);

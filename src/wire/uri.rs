//! SIP, SIPS and tel URIs, and any other absolute URI.
//!
//! A URI is parsed in one walk over borrowed bytes: whatever comes out has passed its grammar (RFC
//! 3261 §25.1, RFC 3966 §3), with its escapes in place and never resolved. Two URIs are the same
//! resource by [`Uri::equivalent`], which knows RFC 3261 §19.1.4 and RFC 3966 §4, and never by
//! comparing bytes. A `tel:` URI becomes a `sip:` one by RFC 3261 §19.1.6.
//!
//! Two liberties are taken, both with what deployed networks send: a host name may hold `_` and its
//! last label may begin with a digit, and a local telephone number may lack its `phone-context`.

mod compare;
mod host;
mod tel;

pub use host::{Host, parse_ip};
pub use tel::TelUri;

use super::error::{ParseError, ParseErrorKind};
use super::scan::{
    Class, Param, before, eq_ignore_case, offset_in, parse_u32, split_at, split_escaped,
};
use compare::{Rules, eq_option, same, same_headers, same_ignore_case, same_params};

/// How many parameters or headers of a URI are compared; one with more is equivalent to none.
///
/// Each is looked up in the other URI, so this bounds the work that a peer can ask for.
pub const MAX_COMPARED: usize = 64;

/// A parsed URI.
///
/// ```
/// use oma_im::wire::uri::{Host, Uri};
///
/// let uri = Uri::parse(b"sip:%61lice@Atlanta.com:5060;transport=TCP?subject=x")?;
/// assert_eq!(uri.user(), Some(&b"%61lice"[..]));
/// assert_eq!(uri.host(), Some(Host::Name(b"Atlanta.com")));
/// assert_eq!(uri.port(), Some(5060));
/// assert!(uri.equivalent(&Uri::parse(b"sip:alice@atlanta.com:5060;Transport=tcp?Subject=x")?));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Uri<'b> {
    /// `sip:` (RFC 3261 §19.1).
    Sip(SipUri<'b>),
    /// `sips:` (RFC 3261 §19.1).
    Sips(SipUri<'b>),
    /// `tel:` (RFC 3966).
    Tel(TelUri<'b>),
    /// Any other scheme: `im:`, `pres:`, `urn:`, `http:`, ...
    Other(OtherUri<'b>),
}

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Scheme<'b> {
    /// `sip`.
    Sip,
    /// `sips`.
    Sips,
    /// `tel`.
    Tel,
    /// Another one, as it was written; schemes compare without case.
    Other(&'b [u8]),
}

/// What follows `sip:` or `sips:`.
#[derive(Clone, Copy, Debug)]
pub struct SipUri<'b> {
    bytes: &'b [u8],
    user: Option<&'b [u8]>,
    password: Option<&'b [u8]>,
    host: Host<'b>,
    port: Option<u16>,
    params: &'b [u8],
    headers: &'b [u8],
}

/// An absolute URI of another scheme, not taken apart.
#[derive(Clone, Copy, Debug)]
pub struct OtherUri<'b> {
    bytes: &'b [u8],
    scheme: &'b [u8],
    rest: &'b [u8],
}

impl<'b> Uri<'b> {
    /// Parses a whole URI.
    ///
    /// # Errors
    /// `Uri` at the first byte against the grammar, `Number` for a port above 65,535.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, ParseError> {
        Self::read(bytes)
    }

    /// Whether the bytes are a URI; its scheme.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub(crate) fn check(bytes: &'b [u8]) -> Result<Scheme<'b>, ParseError> {
        Self::read(bytes).map(|uri| uri.scheme())
    }

    #[inline(always)] // Twice: nothing has to be put together only to be checked.
    fn read(bytes: &'b [u8]) -> Result<Self, ParseError> {
        let (scheme, rest) = split_scheme(bytes).ok_or(ParseError::new(ParseErrorKind::Uri, 0))?;
        let sip = eq_ignore_case(scheme, b"sip");
        let uri = if sip || eq_ignore_case(scheme, b"sips") {
            SipUri::parse(bytes, rest).map(|uri| if sip { Self::Sip(uri) } else { Self::Sips(uri) })
        } else if eq_ignore_case(scheme, b"tel") {
            TelUri::parse(bytes, rest).map(Self::Tel)
        } else {
            OtherUri::parse(bytes, scheme, rest).map(Self::Other)
        };
        uri.map_err(|Fault { kind, left }| ParseError::new(kind, offset_in(bytes, left)))
    }

    /// The scheme.
    pub const fn scheme(&self) -> Scheme<'b> {
        match self {
            Self::Sip(_) => Scheme::Sip,
            Self::Sips(_) => Scheme::Sips,
            Self::Tel(_) => Scheme::Tel,
            Self::Other(other) => Scheme::Other(other.scheme),
        }
    }

    /// The URI of a SIP or SIPS resource.
    pub const fn sip(&self) -> Option<&SipUri<'b>> {
        match self {
            Self::Sip(uri) | Self::Sips(uri) => Some(uri),
            Self::Tel(_) | Self::Other(_) => None,
        }
    }

    /// The user part of a SIP or SIPS URI, escapes in place.
    pub fn user(&self) -> Option<&'b [u8]> {
        self.sip()?.user
    }

    /// The password of a SIP or SIPS URI, escapes in place.
    pub fn password(&self) -> Option<&'b [u8]> {
        self.sip()?.password
    }

    /// The host of a SIP or SIPS URI.
    pub fn host(&self) -> Option<Host<'b>> {
        Some(self.sip()?.host)
    }

    /// The port of a SIP or SIPS URI, if it names one.
    pub fn port(&self) -> Option<u16> {
        self.sip()?.port
    }

    /// The parameters of a SIP, SIPS or tel URI, escapes in place.
    pub const fn params(&self) -> UriParams<'b> {
        match self {
            Self::Sip(uri) | Self::Sips(uri) => uri.params(),
            Self::Tel(uri) => uri.params(),
            Self::Other(_) => UriParams { rest: &[] },
        }
    }

    /// The first parameter of this name.
    pub fn param(&self, name: &[u8]) -> Option<Param<'b>> {
        self.params().find(|param| eq_ignore_case(param.name, name))
    }

    /// The headers (after `?`) of a SIP or SIPS URI, escapes in place.
    pub fn headers(&self) -> UriHeaders<'b> {
        UriHeaders {
            rest: self.sip().map_or(&[], |uri| uri.headers),
        }
    }

    /// The whole URI as it was given.
    pub const fn as_bytes(&self) -> &'b [u8] {
        match self {
            Self::Sip(uri) | Self::Sips(uri) => uri.bytes,
            Self::Tel(uri) => uri.bytes,
            Self::Other(uri) => uri.bytes,
        }
    }

    /// Whether both URIs name the same resource (RFC 3261 §19.1.4, RFC 3966 §4).
    ///
    /// Not transitive: a parameter that only one of two SIP URIs has is mostly ignored. URIs of
    /// other schemes are equal byte by byte, but for the case of the scheme, of the host after an
    /// `@`, and for escapes of unreserved characters.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        match (self, other) {
            // RFC 3261 §19.1.4: a SIP and a SIPS URI are never equivalent.
            (Self::Sip(a), Uri::Sip(b)) | (Self::Sips(a), Uri::Sips(b)) => a.equivalent(b),
            (Self::Tel(a), Uri::Tel(b)) => a.equivalent(b),
            (Self::Other(a), Uri::Other(b)) => a.equivalent(b),
            _ => false,
        }
    }
}

impl<'b> SipUri<'b> {
    // SIP-URI = "sip:" [ userinfo ] hostport uri-parameters [ headers ]
    #[inline(always)]
    fn parse(bytes: &'b [u8], rest: &'b [u8]) -> Result<Self, Fault<'b>> {
        // A host or a port could begin a user part as well: only the `@` tells.
        let (first, tail) = split_escaped(rest, Class::USER);
        let (user, password, rest) = match tail {
            [b'@', tail @ ..] if !first.is_empty() => (Some(first), None, tail),
            [b':', tail @ ..] if !first.is_empty() => match split_escaped(tail, Class::PASSWORD) {
                (second, [b'@', tail @ ..]) => (Some(first), Some(second), tail),
                _ => (None, None, rest),
            },
            _ => (None, None, rest),
        };
        let (host, rest) = Host::split(rest).ok_or(Fault::uri(rest))?;
        let (port, rest) = match rest {
            [b':', tail @ ..] => {
                let (digits, tail) = Class::DIGIT.split(tail);
                (Some(port(digits).ok_or(Fault::number(digits))?), tail)
            }
            _ => (None, rest),
        };
        let (params, rest) = split_params(rest)?;
        let headers = split_headers(rest)?;
        Ok(Self {
            bytes,
            user,
            password,
            host,
            port,
            params,
            headers,
        })
    }

    /// The user part, escapes in place.
    pub const fn user(&self) -> Option<&'b [u8]> {
        self.user
    }

    /// The password, escapes in place. It may be empty.
    pub const fn password(&self) -> Option<&'b [u8]> {
        self.password
    }

    /// The host.
    pub const fn host(&self) -> Host<'b> {
        self.host
    }

    /// The port, if it is named.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The parameters, escapes in place.
    pub const fn params(&self) -> UriParams<'b> {
        UriParams { rest: self.params }
    }

    /// The first parameter of this name.
    pub fn param(&self, name: &[u8]) -> Option<Param<'b>> {
        self.params().find(|param| eq_ignore_case(param.name, name))
    }

    /// The value of `transport`.
    pub fn transport(&self) -> Option<&'b [u8]> {
        self.param(b"transport")?.value
    }

    /// The value of `maddr`, if it is a host.
    pub fn maddr(&self) -> Option<Host<'b>> {
        Host::parse(self.param(b"maddr")?.value?).ok()
    }

    /// Whether `lr` is there: a loose router (RFC 3261 §19.1.1).
    pub fn is_loose_router(&self) -> bool {
        self.param(b"lr").is_some()
    }

    /// Whether the user part is a telephone number (`user=phone`).
    pub fn is_phone(&self) -> bool {
        self.param(b"user")
            .and_then(|user| user.value)
            .is_some_and(|v| eq_ignore_case(v, b"phone"))
    }

    /// The headers, escapes in place.
    pub const fn headers(&self) -> UriHeaders<'b> {
        UriHeaders { rest: self.headers }
    }

    /// Scheme, user, host and port.
    pub(crate) fn before_params(&self) -> &'b [u8] {
        split_at(self.bytes, offset_in(self.bytes, self.params)).0
    }

    fn equivalent(&self, other: &SipUri<'_>) -> bool {
        // RFC 3261 §19.1.4: the userinfo with case, everything else without; a component with its
        // default value is not one left out.
        eq_option(self.user, other.user, same)
            && eq_option(self.password, other.password, same)
            && self.host == other.host
            && self.port == other.port
            && same_params(self.params(), other.params(), Rules::Sip)
            && same_headers(self.headers(), other.headers())
    }
}

impl<'b> OtherUri<'b> {
    // absoluteURI = scheme ":" ( hier-part / opaque-part ); brackets for an IPv6 reference
    fn parse(bytes: &'b [u8], scheme: &'b [u8], rest: &'b [u8]) -> Result<Self, Fault<'b>> {
        match split_escaped(rest, Class::URIC.or(Class::URI_PARAM)) {
            ([_, ..], []) => Ok(Self {
                bytes,
                scheme,
                rest,
            }),
            (_, tail) => Err(Fault::uri(tail)),
        }
    }

    /// The scheme as it was written.
    pub const fn scheme(&self) -> &'b [u8] {
        self.scheme
    }

    /// What follows the colon.
    pub const fn rest(&self) -> &'b [u8] {
        self.rest
    }

    fn equivalent(&self, other: &OtherUri<'_>) -> bool {
        let halves = |uri: &'_ [u8]| uri.iter().rposition(|&b| b == b'@').unwrap_or(uri.len());
        let (a_user, a_host) = split_at(self.rest, halves(self.rest));
        let (b_user, b_host) = split_at(other.rest, halves(other.rest));
        eq_ignore_case(self.scheme, other.scheme)
            && same(a_user, b_user)
            && same_ignore_case(a_host, b_host)
    }
}

/// The parameters of a URI, in their order; escapes stay.
#[derive(Clone, Copy, Debug)]
pub struct UriParams<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for UriParams<'b> {
    type Item = Param<'b>;

    fn next(&mut self) -> Option<Param<'b>> {
        let (param, rest) = split_param(self.rest).ok()?;
        self.rest = rest;
        Some(param)
    }
}

/// The headers of a URI, in their order; escapes stay.
#[derive(Clone, Copy, Debug)]
pub struct UriHeaders<'b> {
    rest: &'b [u8],
}

/// One header of a URI: a name and a value, which may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UriHeader<'b> {
    /// The name; `body` stands for the message body (RFC 3261 §19.1.1).
    pub name: &'b [u8],
    /// The value, escapes in place: [`unescape`](super::scan::unescape) reads it.
    pub value: &'b [u8],
}

impl<'b> Iterator for UriHeaders<'b> {
    type Item = UriHeader<'b>;

    fn next(&mut self) -> Option<UriHeader<'b>> {
        let (header, rest) = split_header(self.rest)?;
        self.rest = rest;
        Some(header)
    }
}

/// What is wrong and the bytes that were left there.
struct Fault<'b> {
    kind: ParseErrorKind,
    left: &'b [u8],
}

impl<'b> Fault<'b> {
    const fn uri(left: &'b [u8]) -> Self {
        Self {
            kind: ParseErrorKind::Uri,
            left,
        }
    }

    const fn number(digits: &'b [u8]) -> Self {
        let kind = if digits.is_empty() {
            ParseErrorKind::Uri
        } else {
            ParseErrorKind::Number
        };
        Self { kind, left: digits }
    }
}

// scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
pub(crate) fn split_scheme(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if let [scheme @ .., b':'] = split_at(bytes, 4).0
        && scheme == b"sip"
    {
        return Some((scheme, split_at(bytes, 4).1));
    }
    let end = bytes
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))?;
    match split_at(bytes, end) {
        (scheme @ [first, ..], [b':', rest @ ..]) if first.is_ascii_alphabetic() => {
            Some((scheme, rest))
        }
        _ => None,
    }
}

fn port(digits: &[u8]) -> Option<u16> {
    u16::try_from(parse_u32(digits).ok()?).ok()
}

// *( ";" pname [ "=" pvalue ] ), both of one byte at least
fn split_params(bytes: &[u8]) -> Result<(&[u8], &[u8]), Fault<'_>> {
    let mut rest = bytes;
    while rest.first() == Some(&b';') {
        rest = split_param(rest)?.1;
    }
    Ok((before(bytes, rest), rest))
}

fn split_param(bytes: &[u8]) -> Result<(Param<'_>, &[u8]), Fault<'_>> {
    let Some((b';', rest)) = bytes.split_first() else {
        return Err(Fault::uri(bytes));
    };
    let (name, rest) = split_escaped(rest, Class::URI_PARAM);
    if name.is_empty() {
        return Err(Fault::uri(rest));
    }
    let [b'=', rest @ ..] = rest else {
        return Ok((Param { name, value: None }, rest));
    };
    let (value, rest) = split_escaped(rest, Class::URI_PARAM);
    if value.is_empty() {
        return Err(Fault::uri(rest));
    }
    Ok((
        Param {
            name,
            value: Some(value),
        },
        rest,
    ))
}

// headers = "?" header *( "&" header ), to the end of the URI
fn split_headers(bytes: &[u8]) -> Result<&[u8], Fault<'_>> {
    let Some((mark, headers)) = bytes.split_first() else {
        return Ok(&[]);
    };
    if *mark != b'?' {
        return Err(Fault::uri(bytes));
    }
    let mut rest = headers;
    loop {
        match split_header(rest) {
            Some((_, [])) if !rest.ends_with(b"&") => return Ok(headers),
            Some((_, tail @ [_, ..])) => rest = tail,
            _ => return Err(Fault::uri(rest)),
        }
    }
}

// header = hname "=" hvalue, with the "&" that follows it
fn split_header(bytes: &[u8]) -> Option<(UriHeader<'_>, &[u8])> {
    let (name, rest) = split_escaped(bytes, Class::URI_HEADER);
    let (value, rest) = split_escaped(rest.strip_prefix(b"=")?, Class::URI_HEADER);
    let rest = match rest {
        [] => rest,
        [b'&', tail @ ..] => tail,
        _ => return None,
    };
    (!name.is_empty()).then_some((UriHeader { name, value }, rest))
}

//! SIP, SIPS and tel URIs, and any other absolute URI.
//!
//! A URI is parsed in one walk over borrowed bytes: whatever comes out has passed its grammar (RFC
//! 3261 §25.1, RFC 3966 §3), with its escapes in place and never resolved. Two URIs are the same
//! resource by [`Uri::equivalent`], which knows RFC 3261 §19.1.4 and RFC 3966 §4, and never by
//! comparing bytes. A `tel:` URI becomes a `sip:` one by RFC 3261 §19.1.6.
//!
//! Two liberties are taken, both with what deployed networks send: a host name may hold `_` and its
//! last label may begin with a digit, and a local telephone number may lack its `phone-context`.

use core::cmp::Ordering;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::{ParseError, ParseErrorKind};
use super::scan::{Class, Param, eq_ignore_case, hex_value, offset_in, parse_u32, split_at};

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

/// What follows `tel:`: a telephone number and its parameters.
#[derive(Clone, Copy, Debug)]
pub struct TelUri<'b> {
    bytes: &'b [u8],
    number: &'b [u8],
    params: &'b [u8],
}

/// An absolute URI of another scheme, not taken apart.
#[derive(Clone, Copy, Debug)]
pub struct OtherUri<'b> {
    bytes: &'b [u8],
    scheme: &'b [u8],
    rest: &'b [u8],
}

/// A host: a name or an address, never both (RFC 3261 §19.1.4: a name does not match what it
/// resolves to).
#[derive(Clone, Copy, Debug)]
pub enum Host<'b> {
    /// A host name; compares without case.
    Name(&'b [u8]),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6(Ipv6Addr),
}

impl<'b> Uri<'b> {
    /// Parses a whole URI.
    ///
    /// # Errors
    /// `Uri` at the first byte against the grammar, `Number` for a port above 65,535.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, ParseError> {
        let (scheme, rest) = split_scheme(bytes).ok_or(ParseError::new(ParseErrorKind::Uri, 0))?;
        let uri = if eq_ignore_case(scheme, b"sip") {
            SipUri::parse(bytes, rest).map(Self::Sip)
        } else if eq_ignore_case(scheme, b"sips") {
            SipUri::parse(bytes, rest).map(Self::Sips)
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

impl<'b> TelUri<'b> {
    // telephone-uri = "tel:" ( global-number / local-number ) with its parameters, RFC 3966 §3
    fn parse(bytes: &'b [u8], rest: &'b [u8]) -> Result<Self, Fault<'b>> {
        let (number, tail) = split_number(rest).ok_or(Fault::uri(rest))?;
        let (params, tail) = split_params(tail)?;
        if !tail.is_empty() {
            return Err(Fault::uri(tail));
        }
        let uri = Self {
            bytes,
            number,
            params,
        };
        // descriptor = domainname / global-number-digits
        match uri.phone_context() {
            Some(context) if !is_context(context) => Err(Fault::uri(context)),
            _ => Ok(uri),
        }
    }

    /// The number with its visual separators; a global one begins with `+`.
    pub const fn number(&self) -> &'b [u8] {
        self.number
    }

    /// The digits of the number without visual separators, and without the `+` of a global one.
    pub fn digits(&self) -> impl Iterator<Item = u8> + use<'b> {
        digits(self.number.strip_prefix(b"+").unwrap_or(self.number))
    }

    /// Whether the number is global: it begins with `+` (RFC 3966 §5.1.4).
    pub const fn is_global(&self) -> bool {
        matches!(self.number, [b'+', ..])
    }

    /// The domain or number prefix in which a local number is valid (RFC 3966 §5.1.5).
    pub fn phone_context(&self) -> Option<&'b [u8]> {
        self.params()
            .find(|param| eq_ignore_case(param.name, b"phone-context"))?
            .value
    }

    /// The parameters, escapes in place.
    pub const fn params(&self) -> UriParams<'b> {
        UriParams { rest: self.params }
    }

    /// Writes `sip:NUMBER@DOMAIN;user=phone` (RFC 3261 §19.1.6) and gives what was written.
    ///
    /// Lower case throughout, the parameters in the order of that clause, and escaped what may not
    /// stand in a user part. `None` if `domain` is no host, if `out` is too short, or with more
    /// than [`MAX_COMPARED`] parameters.
    ///
    /// ```
    /// use oma_im::wire::uri::Uri;
    ///
    /// let Uri::Tel(tel) = Uri::parse(b"tel:+358-555-1234567;POSTD=pp22")? else { unreachable!() };
    /// let mut out = [0; 64];
    /// let sip = tel.to_sip(b"foo.com", &mut out).unwrap();
    /// assert_eq!(sip, b"sip:+358-555-1234567;postd=pp22@foo.com;user=phone");
    /// # Ok::<(), oma_im::wire::error::ParseError>(())
    /// ```
    pub fn to_sip<'o>(&self, domain: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
        Host::parse(domain).ok()?;
        let count = self.params().count();
        if count > MAX_COMPARED {
            return None;
        }
        let mut sink = Sink { out, at: 0 };
        sink.raw(b"sip:")?;
        sink.user(self.number)?;
        let mut last = None;
        for _ in 0..count {
            let next = self
                .params()
                .enumerate()
                .filter(|param| last.is_none_or(|last| order(last, *param).is_lt()));
            let (at, param) = next.min_by(|a, b| order(*a, *b))?;
            sink.raw(b";")?;
            sink.user(param.name)?;
            if let Some(value) = param.value {
                sink.raw(b"=")?;
                sink.user(value)?;
            }
            last = Some((at, param));
        }
        sink.raw(b"@")?;
        sink.raw(domain)?;
        sink.raw(b";user=phone")?;
        let Sink { out, at } = sink;
        out.get(..at)
    }

    // RFC 3966 §4
    fn equivalent(&self, other: &TelUri<'_>) -> bool {
        self.is_global() == other.is_global()
            && digits(self.number).eq(digits(other.number))
            && same_params(self.params(), other.params(), Rules::Tel)
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

impl<'b> Host<'b> {
    /// Parses a host: a name, an IPv4 address or an IPv6 address in brackets.
    ///
    /// # Errors
    /// `Uri` if it is none of them.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, ParseError> {
        match Self::split(bytes) {
            Some((host, [])) => Ok(host),
            _ => Err(ParseError::new(ParseErrorKind::Uri, 0)),
        }
    }

    /// Splits a host off the start of `bytes`: the host, and what follows it.
    pub fn split(bytes: &'b [u8]) -> Option<(Self, &'b [u8])> {
        if let [b'[', inside @ ..] = bytes {
            let (address, rest) = split_at(inside, inside.iter().position(|&b| b == b']')?);
            return Some((Self::V6(ipv6(address)?), rest.get(1..)?));
        }
        let (name, rest) = Class::HOST.split(bytes);
        let last = name.strip_suffix(b".").unwrap_or(name);
        let top = last.rsplit(|&b| b == b'.').next()?;
        if Class::DIGIT.fits(top) {
            return Some((Self::V4(ipv4(name)?), rest));
        }
        // domainlabel = alphanum / alphanum *( alphanum / "-" ) alphanum
        let mut before = b'.';
        for &byte in last {
            if matches!((before, byte), (b'.', b'.' | b'-') | (b'-', b'.')) {
                return None;
            }
            before = byte;
        }
        (!matches!(before, b'.' | b'-')).then_some((Self::Name(name), rest))
    }

    /// The address, unless it is a name.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }
}

impl PartialEq<Host<'_>> for Host<'_> {
    /// Names without case, addresses by their value (RFC 5954 §4.2).
    fn eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Self::Name(a), Host::Name(b)) => eq_ignore_case(a, b),
            (Self::V4(a), Host::V4(b)) => a == b,
            (Self::V6(a), Host::V6(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl fmt::Display for Host<'_> {
    /// As it stands in a message: an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name
                .iter()
                .try_for_each(|&b| fmt::Write::write_char(f, char::from(b))),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// An address as it stands in `received`: an IPv6 address with or without brackets (RFC 5118 §4.5).
pub fn parse_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes {
        [b'[', inside @ .., b']'] => ipv6(inside).map(IpAddr::V6),
        _ => ipv4(bytes)
            .map(IpAddr::V4)
            .or_else(|| ipv6(bytes).map(IpAddr::V6)),
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

/// The start of `bytes` that is of `class` or well-formed escapes, and the rest.
fn split_escaped(bytes: &[u8], class: Class) -> (&[u8], &[u8]) {
    let mut rest = bytes;
    loop {
        rest = class.split(rest).1;
        match rest {
            [b'%', high, low, tail @ ..] if Class::HEX.has(*high) && Class::HEX.has(*low) => {
                rest = tail
            }
            _ => return split_at(bytes, bytes.len().wrapping_sub(rest.len())),
        }
    }
}

fn port(digits: &[u8]) -> Option<u16> {
    u16::try_from(parse_u32(digits).ok()?).ok()
}

// IPv4address = 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT
fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut groups = bytes.split(|&b| b == b'.');
    for octet in &mut octets {
        let group = groups.next()?;
        if group.is_empty() || group.len() > 3 {
            return None;
        }
        *octet = group.iter().try_fold(0u8, |sum, digit| {
            let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })?;
    }
    groups.next().is_none().then(|| octets.into())
}

fn ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    let mut once = [0u8; 45];
    if bytes.len() > once.len() {
        return None;
    }
    let parse = |bytes: &[u8]| core::str::from_utf8(bytes).ok()?.parse().ok();
    parse(bytes).or_else(|| {
        // RFC 5118 §4.10: the grammar of RFC 3261 gives `:::` before an IPv4 part; `::` is meant.
        let at = bytes.windows(3).position(|w| w == b":::")?;
        let (head, tail) = split_at(bytes, at);
        let tail = tail.get(1..)?;
        let (to_head, to_tail) = once.split_at_mut_checked(head.len())?;
        to_head.copy_from_slice(head);
        to_tail.get_mut(..tail.len())?.copy_from_slice(tail);
        parse(once.get(..bytes.len().saturating_sub(1))?)
    })
}

// *( ";" pname [ "=" pvalue ] ), both of one byte at least
fn split_params(bytes: &[u8]) -> Result<(&[u8], &[u8]), Fault<'_>> {
    let mut rest = bytes;
    while rest.first() == Some(&b';') {
        rest = split_param(rest)?.1;
    }
    Ok(split_at(bytes, bytes.len().wrapping_sub(rest.len())))
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

// global-number-digits = "+" *phonedigit DIGIT *phonedigit
// local-number-digits = *phonedigit-hex (HEXDIG / "*" / "#") *phonedigit-hex
fn split_number(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (plus, local) = match bytes {
        [b'+', ..] => (1, false),
        _ => (0, true),
    };
    let is_digit =
        |b: u8| b.is_ascii_digit() || local && (Class::HEX.has(b) || matches!(b, b'*' | b'#'));
    let digits = bytes.get(plus..)?;
    let end = digits
        .iter()
        .position(|&b| !is_digit(b) && !is_separator(b))
        .unwrap_or(digits.len());
    let number = split_at(digits, end).0;
    number
        .iter()
        .any(|&b| is_digit(b))
        .then(|| split_at(bytes, end.saturating_add(plus)))
}

fn is_context(context: &[u8]) -> bool {
    match context {
        [b'+', ..] => matches!(split_number(context), Some((_, []))),
        _ => matches!(Host::parse(context), Ok(Host::Name(_))),
    }
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

/// A number without visual separators, in lower case.
fn digits(number: &[u8]) -> impl Iterator<Item = u8> + use<'_> {
    number
        .iter()
        .filter(|b| !is_separator(**b))
        .map(u8::to_ascii_lowercase)
}

/// A URI part for comparison: bytes, and as 256 and above what has to stay escaped.
fn normal(mut bytes: &[u8]) -> impl Iterator<Item = u16> + use<'_> {
    core::iter::from_fn(move || {
        let (byte, rest) = match bytes {
            [b'%', high, low, rest @ ..] => {
                let byte = hex_value(*high)? << 4 | hex_value(*low)?;
                // RFC 3261 §19.1.4: only what is not reserved is the same as its escape.
                let unreserved = byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
                (u16::from(byte) | if unreserved { 0 } else { 0x100 }, rest)
            }
            [byte, rest @ ..] => (u16::from(*byte), rest),
            [] => return None,
        };
        bytes = rest;
        Some(byte)
    })
}

/// Whether two URI parts are the same but for escapes.
fn same(a: &[u8], b: &[u8]) -> bool {
    a == b || normal(a).eq(normal(b))
}

/// Whether two URI parts are the same but for escapes and case.
fn same_ignore_case(a: &[u8], b: &[u8]) -> bool {
    let lower =
        |unit: u16| u8::try_from(unit).map_or(unit, |byte| u16::from(byte.to_ascii_lowercase()));
    a == b || normal(a).map(lower).eq(normal(b).map(lower))
}

fn eq_option(a: Option<&[u8]>, b: Option<&[u8]>, eq: fn(&[u8], &[u8]) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// RFC 3261 §19.1.4: what never matches if one URI only has it. `transport` is not in its list of
/// parameters, but in that of components whose default is not the same as leaving them out.
const NEVER_LONE: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];

/// By which clause parameters are compared.
#[derive(Clone, Copy)]
enum Rules {
    /// RFC 3261 §19.1.4: one that stands in one URI only is ignored, but for [`NEVER_LONE`].
    Sip,
    /// RFC 3966 §4: both URIs have the same ones.
    Tel,
}

fn same_params(a: UriParams<'_>, b: UriParams<'_>, rules: Rules) -> bool {
    if a.rest.is_empty() && b.rest.is_empty() {
        return true;
    }
    let covered = |a: UriParams<'_>, b: UriParams<'_>| {
        a.into_iter().all(
            |x| match b.into_iter().find(|y| same_ignore_case(x.name, y.name)) {
                Some(y) => eq_option(x.value, y.value, value_comparison(x.name, rules)),
                None => {
                    matches!(rules, Rules::Sip)
                        && !NEVER_LONE.iter().any(|must| same_ignore_case(x.name, must))
                }
            },
        )
    };
    few(a) && few(b) && covered(a, b) && covered(b, a)
}

fn value_comparison(name: &[u8], rules: Rules) -> fn(&[u8], &[u8]) -> bool {
    match rules {
        // RFC 3261 §25.1: methods are defined in capitals.
        Rules::Sip if same_ignore_case(name, b"method") => same,
        Rules::Tel if eq_ignore_case(name, b"ext") => |a, b| digits(a).eq(digits(b)),
        // RFC 3966 §4: a domain as a host name, a number digit by digit.
        Rules::Tel if eq_ignore_case(name, b"phone-context") => |a, b| match (a, b) {
            ([b'+', ..], [b'+', ..]) => digits(a).eq(digits(b)),
            _ => eq_ignore_case(a, b),
        },
        _ => same_ignore_case,
    }
}

fn same_headers(a: UriHeaders<'_>, b: UriHeaders<'_>) -> bool {
    if a.rest.is_empty() && b.rest.is_empty() {
        return true;
    }
    // RFC 3261 §19.1.4: header components are never ignored.
    let covered = |a: UriHeaders<'_>, b: UriHeaders<'_>| {
        a.into_iter().all(|x| {
            b.into_iter()
                .any(|y| same_ignore_case(x.name, y.name) && same_ignore_case(x.value, y.value))
        })
    };
    few(a) && few(b) && a.count() == b.count() && covered(a, b) && covered(b, a)
}

fn few(mut items: impl Iterator) -> bool {
    items.nth(MAX_COMPARED).is_none()
}

// RFC 3261 §19.1.6: isdn-subaddress and post-dial first, the others by name.
fn order((i, a): (usize, Param<'_>), (j, b): (usize, Param<'_>)) -> Ordering {
    let rank = |name: &[u8]| match name {
        _ if eq_ignore_case(name, b"isub") => 0,
        _ if eq_ignore_case(name, b"postd") => 1,
        _ => 2,
    };
    let names = a
        .name
        .iter()
        .map(u8::to_ascii_lowercase)
        .cmp(b.name.iter().map(u8::to_ascii_lowercase));
    rank(a.name).cmp(&rank(b.name)).then(names).then(i.cmp(&j))
}

/// A slice that fills up.
struct Sink<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl Sink<'_> {
    fn raw(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at.checked_add(bytes.len())?;
        self.out.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    /// A part of a telephone-subscriber, in lower case and escaped for a user part.
    fn user(&mut self, bytes: &[u8]) -> Option<()> {
        for &byte in bytes {
            let byte = byte.to_ascii_lowercase();
            // `%` begins an escape that is there already.
            if byte == b'%' || Class::USER.has(byte) {
                self.raw(&[byte])?;
            } else {
                let digit =
                    |half: u8| char::from_digit(u32::from(half), 16).map_or(b'0', |c| c as u8);
                self.raw(&[b'%', digit(byte >> 4), digit(byte & 15)])?;
            }
        }
        Some(())
    }
}

//! Header values composed of checked parts, and values of received messages.

use core::net::{IpAddr, SocketAddr};

use super::super::name::Method;
use super::super::scan::{Class, controls, eq_ignore_case, find_outside, split_param, trim_lws};
use super::super::sink::Sink;
use super::super::uri;
use super::{HostName, Quoted, Token, UriText, Value, put_method, sealed::Sealed};

impl Sealed for u32 {}
impl Value for u32 {
    #[inline]
    fn write(&self, sink: &mut Sink<'_>) {
        sink.put_u32(*self);
    }
}

/// Of a [`Method::Other`] only the token it begins with is written.
impl Value for Method<'_> {
    #[inline]
    fn write(&self, sink: &mut Sink<'_>) {
        put_method(sink, *self);
    }
}
impl Sealed for Method<'_> {}

/// Bytes as lower-case hexadecimal digits, two each: a tag or Call-ID from random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex<'a>(pub &'a [u8]);

impl Sealed for Hex<'_> {}
impl Value for Hex<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        sink.put_hex(self.0);
    }
}

/// One parameter: `;name` or `;name=value` (RFC 3261 §25.1, generic-param).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param<'a> {
    /// `;name`.
    Flag(Token<'a>),
    /// `;name=token`.
    Token(Token<'a>, Token<'a>),
    /// `;name="text"`.
    Quoted(Token<'a>, Quoted<'a>),
    /// `;name=decimal`.
    Number(Token<'a>, u32),
    /// `;name=16 hexadecimal digits`.
    Hex(Token<'a>, u64),
}

impl<'a> Param<'a> {
    /// `;rport` (RFC 3581 §3).
    pub const RPORT: Self = Self::Flag(Token::fixed("rport"));
    /// `;keep` (RFC 6223 §4.1).
    pub const KEEP: Self = Self::Flag(Token::fixed("keep"));
    /// `;lr` (RFC 3261 §19.1.1).
    pub const LR: Self = Self::Flag(Token::fixed("lr"));

    /// `;tag=token` (RFC 3261 §19.3).
    pub const fn tag(tag: Token<'a>) -> Self {
        const TAG: Token<'static> = Token::fixed("tag");
        Self::Token(TAG, tag)
    }

    /// `;tag=16 hexadecimal digits` (RFC 3261 §19.3: at least 32 random bits).
    pub const fn new_tag(random: u64) -> Self {
        const TAG: Token<'static> = Token::fixed("tag");
        Self::Hex(TAG, random)
    }

    /// `;expires=seconds` (RFC 3261 §20.10).
    pub const fn expires(seconds: u32) -> Self {
        const EXPIRES: Token<'static> = Token::fixed("expires");
        Self::Number(EXPIRES, seconds)
    }
}

impl Sealed for Param<'_> {}
impl Value for Param<'_> {
    #[inline]
    fn write(&self, sink: &mut Sink<'_>) {
        let (Self::Flag(name)
        | Self::Token(name, _)
        | Self::Quoted(name, _)
        | Self::Number(name, _)
        | Self::Hex(name, _)) = self;
        sink.put_byte(b';');
        name.write(sink);
        if !matches!(self, Self::Flag(_)) {
            sink.put_byte(b'=');
        }
        match self {
            Self::Flag(_) => {}
            Self::Token(_, token) => token.write(sink),
            Self::Quoted(_, text) => text.write(sink),
            Self::Number(_, number) => number.write(sink),
            Self::Hex(_, number) => sink.put_hex(&number.to_be_bytes()),
        }
    }
}

/// A value and its parameters: `*;+g.oma.sip-im`, `1800;refresher=uac`, `presence;id=1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct With<'a, V>(
    /// What the parameters belong to.
    pub V,
    /// The parameters, in the order in which they shall stand.
    pub &'a [Param<'a>],
);

impl<V: Value> Sealed for With<'_, V> {}
impl<V: Value> Value for With<'_, V> {
    #[inline]
    fn write(&self, sink: &mut Sink<'_>) {
        self.0.write(sink);
        put_params(sink, self.1);
    }
}

/// `"display" <uri>;params`: From, To, Contact, Route and all that look like them
/// (RFC 3261 §25.1, name-addr).
///
/// The URI always stands in brackets, so its parameters stay its own (RFC 3261 §20.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name, written as a quoted string.
    pub display: Option<Quoted<'a>>,
    /// The URI.
    pub uri: UriText<'a>,
    /// The header parameters.
    pub params: &'a [Param<'a>],
}

impl<'a> NameAddr<'a> {
    /// `<uri>`.
    pub const fn new(uri: UriText<'a>) -> Self {
        Self {
            display: None,
            uri,
            params: &[],
        }
    }

    /// The same with a display name.
    #[must_use]
    pub const fn display(self, display: Quoted<'a>) -> Self {
        Self {
            display: Some(display),
            ..self
        }
    }

    /// The same with these parameters and no others.
    #[must_use]
    pub const fn params(self, params: &'a [Param<'a>]) -> Self {
        Self { params, ..self }
    }
}

impl Sealed for NameAddr<'_> {}
impl Value for NameAddr<'_> {
    #[inline]
    fn write(&self, sink: &mut Sink<'_>) {
        if let Some(display) = self.display {
            display.write(sink);
            sink.put_byte(b' ');
        }
        sink.put_byte(b'<');
        self.uri.write(sink);
        sink.put_byte(b'>');
        put_params(sink, self.params);
    }
}

/// A host: an address or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address; IPv6 is written in brackets.
    Ip(IpAddr),
    /// A name.
    Name(HostName<'a>),
}

impl Sealed for Host<'_> {}
impl Value for Host<'_> {
    #[inline]
    fn write(&self, sink: &mut Sink<'_>) {
        match self {
            Self::Ip(ip) => sink.put_host(*ip),
            Self::Name(name) => name.write(sink),
        }
    }
}

/// `host[:port]` (RFC 3261 §25.1, sent-by).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentBy<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port, if it shall be written.
    pub port: Option<u16>,
}

impl From<SocketAddr> for SentBy<'_> {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: Host::Ip(address.ip()),
            port: Some(address.port()),
        }
    }
}

impl Sealed for SentBy<'_> {}
impl Value for SentBy<'_> {
    #[inline]
    fn write(&self, sink: &mut Sink<'_>) {
        self.host.write(sink);
        if let Some(port) = self.port {
            sink.put_byte(b':');
            sink.put_u32(u32::from(port));
        }
    }
}

/// The branch of a Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch<'a> {
    /// The magic cookie and these bits as 16 hexadecimal digits (RFC 3261 §8.1.1.7).
    New(u64),
    /// The same with a key of the caller's before it, eight digits more, by which the response is
    /// led back to one of many clients.
    Keyed(u32, u64),
    /// One that exists, with its cookie: an ACK or CANCEL repeats that of its request.
    Token(Token<'a>),
}

/// The Via of a request of ours (RFC 3261 §20.42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`.
    pub transport: Token<'a>,
    /// Where responses shall go.
    pub sent_by: SentBy<'a>,
    /// The branch.
    pub branch: Branch<'a>,
    /// What follows the branch, such as [`Param::RPORT`] and [`Param::KEEP`].
    pub params: &'a [Param<'a>],
}

impl Sealed for Via<'_> {}
impl Value for Via<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        sink.put(b"SIP/2.0/");
        self.transport.write(sink);
        sink.put_byte(b' ');
        self.sent_by.write(sink);
        sink.put(b";branch=");
        match self.branch {
            Branch::New(bits) => {
                sink.put(b"z9hG4bK");
                sink.put_hex(&bits.to_be_bytes());
            }
            Branch::Keyed(key, bits) => {
                sink.put(b"z9hG4bK");
                sink.put_hex(&key.to_be_bytes());
                sink.put_hex(&bits.to_be_bytes());
            }
            Branch::Token(token) => token.write(sink),
        }
        put_params(sink, self.params);
    }
}

/// `number METHOD` (RFC 3261 §20.16).
///
/// Of a [`Method::Other`] only the token it begins with is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number.
    pub number: u32,
    /// The method.
    pub method: Method<'a>,
}

impl Sealed for CSeq<'_> {}
impl Value for CSeq<'_> {
    #[inline]
    fn write(&self, sink: &mut Sink<'_>) {
        sink.put_u32(self.number);
        sink.put_byte(b' ');
        put_method(sink, self.method);
    }
}

/// The value of Date (RFC 3261 §20.17), in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipDate(pub u64);

impl Sealed for SipDate {}
impl Value for SipDate {
    fn write(&self, sink: &mut Sink<'_>) {
        crate::wire::datetime::put_sip(sink, self.0);
    }
}

/// A value, or a part of one, as it stood in a received message.
///
/// Each fold, and each run of other control characters than HT, is written as one space, so a
/// value of any origin stays on its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(pub &'a [u8]);

impl Sealed for Raw<'_> {}
impl Value for Raw<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        if !has_control(self.0) {
            return sink.put(self.0);
        }
        let clean = |b: &u8| *b == b'\t' || !b.is_ascii_control();
        let mut rest = trim_lws(self.0);
        while let Some(at) = rest.iter().position(|b| !clean(b)) {
            let (before, tail) = rest.split_at_checked(at).unwrap_or_default();
            // The white space around a fold is part of it.
            sink.put(trim_lws(before));
            sink.put_byte(b' ');
            let next = tail
                .iter()
                .position(|b| clean(b) && !matches!(b, b' ' | b'\t'));
            rest = next.and_then(|next| tail.get(next..)).unwrap_or_default();
        }
        sink.put(rest);
    }
}

/// The topmost Via of a received request, as its response carries it.
///
/// `received` is added if the request came from elsewhere than `sent-by` says
/// (RFC 3261 §18.2.1), or `received` and the value of `rport` if it asked for them
/// (RFC 3581 §4). What it had of these itself goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedVia<'a> {
    /// The value: one element, not a comma list.
    pub via: &'a [u8],
    /// Where the request came from.
    pub source: SocketAddr,
}

impl Sealed for ReceivedVia<'_> {}
impl Value for ReceivedVia<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        let at = find_outside(self.via, b';').unwrap_or(self.via.len());
        let (head, tail) = self.via.split_at_checked(at).unwrap_or_default();
        let start = sink.len();
        let head = trim_lws(head);
        Raw(head).write(sink);
        let mut rport = false;
        let mut rest = trim_lws(tail);
        while !rest.is_empty() {
            let Ok((param, tail)) = split_param(rest) else {
                // A Via that cannot be read is given back as it is: what could be wrong with it is
                // told by the status of the response.
                sink.truncate(start);
                return Raw(self.via).write(sink);
            };
            rest = tail;
            let asks = eq_ignore_case(param.name, b"rport");
            rport |= asks;
            if asks || eq_ignore_case(param.name, b"received") {
                continue;
            }
            sink.put_byte(b';');
            // A token.
            sink.put(param.name);
            if let Some(value) = param.value {
                sink.put_byte(b'=');
                Raw(value).write(sink);
            }
        }
        if rport || !names(head, self.source.ip()) {
            // via-received = "received" EQUAL (IPv4address / IPv6address): no brackets.
            sink.put(b";received=");
            sink.put_ip(self.source.ip());
        }
        if rport {
            sink.put(b";rport=");
            sink.put_u32(u32::from(self.source.port()));
        }
    }
}

/// Whether `protocol sent-by` has this very address as its host.
fn names(head: &[u8], ip: IpAddr) -> bool {
    let from = head
        .iter()
        .rposition(|&b| Class::LWS.has(b))
        .map_or(0, |at| at.saturating_add(1));
    let sent_by = head.get(from..).unwrap_or_default();
    uri::Host::split(sent_by).and_then(|(host, _)| host.ip()) == Some(ip)
}

#[inline]
fn put_params(sink: &mut Sink<'_>, params: &[Param<'_>]) {
    for param in params {
        param.write(sink);
    }
}

/// Whether a byte is below 0x20, HT included, or is DEL; eight bytes at a time.
#[inline]
fn has_control(bytes: &[u8]) -> bool {
    let hits = |word: &[u8; 8]| controls(u64::from_le_bytes(*word));
    let (words, rest) = bytes.as_chunks::<8>();
    // The last eight bytes overlap the words; fewer than eight are looked at one by one.
    let end = bytes.last_chunk::<8>();
    let found = words
        .iter()
        .chain(end)
        .fold(0, |found, word| found | hits(word));
    found != 0 || (end.is_none() && rest.iter().any(u8::is_ascii_control))
}

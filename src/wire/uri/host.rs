//! Hosts: names and addresses.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{Class, eq_ignore_case, halves, hex_value, split_at};

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
        if let [b'0'..=b'9', ..] = bytes
            && let Some((address, rest)) = split_ipv4(bytes)
            && !rest.first().is_some_and(|&b| Class::HOST.has(b))
        {
            return Some((Self::V4(address), rest));
        }
        // domainlabel = alphanum / alphanum *( alphanum / "-" ) alphanum
        let (mut top, mut end) = (0usize, 0usize);
        let before = |end: usize| match end.checked_sub(1) {
            None => b'.',
            Some(at) => bytes.get(at).copied().unwrap_or(b'.'),
        };
        for &byte in bytes {
            // Most bytes are letters, and nothing else has to be known of these.
            if !ALPHANUM.has(byte) {
                match (before(end), byte) {
                    (b'.', b'.' | b'-') | (b'-', b'.') => return None,
                    (_, b'.') => top = end.saturating_add(1),
                    (_, b'-' | b'_') => {}
                    _ => break,
                }
            }
            end = end.wrapping_add(1);
        }
        let before = before(end);
        let (name, rest) = halves(bytes, end);
        // A dot may end a name. What ends in a number can only have been meant for an address.
        match (before, halves(name, top).1) {
            (b'-', _) => None,
            (b'.', _) if ends_in_number(name.strip_suffix(b".")?) => None,
            (_, [b'0'..=b'9', ..]) if ends_in_number(name) => None,
            _ => Some((Self::Name(name), rest)),
        }
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

const ALPHANUM: Class = Class::ALPHA.or(Class::DIGIT);

// IPv4address = 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT
fn split_ipv4(bytes: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (mut address, mut rest) = split_octet(bytes)?;
    for _ in 1..4 {
        let (octet, tail) = split_octet(rest.strip_prefix(b".")?)?;
        (address, rest) = (address << 8 | octet, tail);
    }
    Some((address.into(), rest))
}

// 1*3DIGIT, below 256
fn split_octet(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (mut octet, mut rest) = (0u32, bytes);
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        octet = octet.wrapping_mul(10).wrapping_add((digit & 0xf).into());
        rest = tail;
    }
    let digits = bytes.len().wrapping_sub(rest.len());
    (matches!(digits, 1..=3) && octet < 256).then_some((octet, rest))
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    match split_ipv4(bytes) {
        Some((address, [])) => Some(address),
        _ => None,
    }
}

fn ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    // The groups read, and how many; before the `::` if there was one.
    let (mut groups, mut count) = (0u128, 0u32);
    let mut head = None;
    let mut rest = bytes;
    if let [b':', b':', tail @ ..] = rest {
        (head, rest) = (Some((0, 0)), after_gap(tail));
    }
    while !rest.is_empty() {
        let (digits, tail) = Class::HEX.split(rest);
        if tail.first() == Some(&b'.') {
            groups = groups << 32 | u128::from(u32::from(ipv4(rest)?));
            count = count.saturating_add(2);
            break;
        }
        if digits.is_empty() || digits.len() > 4 || count == 8 {
            return None;
        }
        let mut group = 0u16;
        for &digit in digits {
            group = group << 4 | u16::from(hex_value(digit)?);
        }
        groups = groups << 16 | u128::from(group);
        count = count.saturating_add(1);
        rest = match tail {
            [b':', b':', tail @ ..] if head.is_none() => {
                head = Some((groups, count));
                (groups, count) = (0, 0);
                after_gap(tail)
            }
            [b':', tail @ ..] if !tail.is_empty() => tail,
            [] => tail,
            _ => return None,
        };
    }
    match head {
        None if count == 8 => Some(Ipv6Addr::from_bits(groups)),
        Some((head, above)) if above.saturating_add(count) < 8 => {
            let shift = 16u32.saturating_mul(8u32.saturating_sub(above));
            Some(Ipv6Addr::from_bits(
                head.checked_shl(shift).unwrap_or(0) | groups,
            ))
        }
        _ => None,
    }
}

/// What follows `::`. RFC 5118 §4.10: the grammar of RFC 3261 puts a third colon before an IPv4
/// part; it is skipped.
fn after_gap(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b':', rest @ ..] if ipv4(rest).is_some() => rest,
        _ => bytes,
    }
}

/// Whether the last label is a number.
fn ends_in_number(name: &[u8]) -> bool {
    name.rsplit(|&b| b == b'.')
        .next()
        .is_some_and(|top| Class::DIGIT.fits(top))
}

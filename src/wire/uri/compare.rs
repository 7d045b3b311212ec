//! Whether two URIs are the same: RFC 3261 §19.1.4 and RFC 3966 §4.

use crate::wire::scan::{eq_ignore_case, hex_value};

use super::{MAX_COMPARED, UriHeaders, UriParams};

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
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a == b || normal(a).eq(normal(b))
}

/// Whether two URI parts are the same but for escapes and case.
pub(super) fn same_ignore_case(a: &[u8], b: &[u8]) -> bool {
    let lower =
        |unit: u16| u8::try_from(unit).map_or(unit, |byte| u16::from(byte.to_ascii_lowercase()));
    a == b || normal(a).map(lower).eq(normal(b).map(lower))
}

pub(super) fn eq_option(a: Option<&[u8]>, b: Option<&[u8]>, eq: fn(&[u8], &[u8]) -> bool) -> bool {
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
pub(super) enum Rules {
    /// RFC 3261 §19.1.4: one that stands in one URI only is ignored, but for [`NEVER_LONE`].
    Sip,
    /// RFC 3966 §4: both URIs have the same ones.
    Tel,
}

pub(super) fn same_params(a: UriParams<'_>, b: UriParams<'_>, rules: Rules) -> bool {
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

pub(super) fn same_headers(a: UriHeaders<'_>, b: UriHeaders<'_>) -> bool {
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

pub(super) const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

/// A number without visual separators, in lower case.
pub(super) fn digits(number: &[u8]) -> impl Iterator<Item = u8> + use<'_> {
    number
        .iter()
        .filter(|b| !is_separator(**b))
        .map(u8::to_ascii_lowercase)
}

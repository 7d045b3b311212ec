//! Telephone numbers: `tel:` URIs and their way into `sip:` ones.

use core::cmp::Ordering;

use crate::wire::scan::{Class, Param, eq_ignore_case, split_at};

use super::compare::{Rules, digits, is_separator, same_params};
use super::{Fault, Host, MAX_COMPARED, UriParams, split_params};

/// What follows `tel:`: a telephone number and its parameters.
#[derive(Clone, Copy, Debug)]
pub struct TelUri<'b> {
    pub(super) bytes: &'b [u8],
    number: &'b [u8],
    params: &'b [u8],
}

impl<'b> TelUri<'b> {
    // telephone-uri = "tel:" ( global-number / local-number ) with its parameters, RFC 3966 §3
    pub(super) fn parse(bytes: &'b [u8], rest: &'b [u8]) -> Result<Self, Fault<'b>> {
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
    pub(super) fn equivalent(&self, other: &TelUri<'_>) -> bool {
        self.is_global() == other.is_global()
            && digits(self.number).eq(digits(other.number))
            && same_params(self.params(), other.params(), Rules::Tel)
    }
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

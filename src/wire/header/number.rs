//! Headers that are numbers, alone or before something else.

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::name::Method;
use crate::wire::scan::{
    Class, Params, eq_ignore_case, offset_in, parse_u32, trim_lws, trim_start,
};

use super::text::{Text, split_comment};

/// CSeq (RFC 3261 §20.16).
///
/// ```
/// use oma_im::wire::{header::CSeq, name::Method};
///
/// let cseq = CSeq::parse(b"4711 MESSAGE")?;
/// assert_eq!((cseq.number, cseq.method), (4711, Method::Message));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'b> {
    /// The sequence number. Its sender has to keep it below 2^31 (RFC 3261 §8.1.1.5); here every
    /// 32-bit number is taken.
    pub number: u32,
    /// The method.
    pub method: Method<'b>,
}

impl<'b> CSeq<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is against the grammar, `Number` if the number has more than 32 bits.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (number, rest) = split_u32(value, value)?;
        Ok(Self {
            number,
            method: method(value, rest)?,
        })
    }
}

/// RAck (RFC 3262 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'b> {
    /// The RSeq of the response that is acknowledged.
    pub response: u32,
    /// Its CSeq number.
    pub number: u32,
    /// Its CSeq method.
    pub method: Method<'b>,
}

impl<'b> RAck<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is against the grammar, `Number` if a number has more than 32 bits.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (response, rest) = split_u32(value, value)?;
        let (number, rest) = split_u32(value, rest)?;
        Ok(Self {
            response,
            number,
            method: method(value, rest)?,
        })
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($type:ty) $kind:ident $clause:literal;)*) => {$(
        $(#[$doc])*
        #[doc = concat!(" (", $clause, ").")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $type);

        impl $name {
            /// Parses a whole value: digits only.
            ///
            /// # Errors
            #[doc = concat!("`HeaderValue` if it is no number, `", stringify!($kind), "` if it is out of range.")]
            pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
                let fault = ParseError::new(ParseErrorKind::$kind, 0);
                let number = parse_u32(trim_lws(value)).map_err(|error| match error.kind {
                    ParseErrorKind::Number => fault,
                    _ => error,
                })?;
                <$type>::try_from(number).map(Self).map_err(|_| fault)
            }
        }
    )*};
}

numbers! {
    /// Max-Forwards: hops left, 0 to 255
    MaxForwards(u8) Number "RFC 3261 §20.22";
    /// Expires: seconds
    Expires(u32) Number "RFC 3261 §20.19";
    /// Min-Expires: seconds
    MinExpires(u32) Number "RFC 3261 §20.23";
    /// Flow-Timer: the seconds after which the server takes a silent flow for dead
    FlowTimer(u32) Number "RFC 5626 §10";
    /// Content-Length: bytes
    ContentLength(u32) ContentLength "RFC 3261 §20.14";
    /// RSeq: the number of a reliable provisional response
    RSeq(u32) Number "RFC 3262 §7.1";
}

/// Session-Expires (RFC 4028 §4).
#[derive(Clone, Copy, Debug)]
pub struct SessionExpires<'b> {
    /// The session interval in seconds.
    pub seconds: u32,
    /// The parameters.
    pub params: Params<'b>,
}

/// Who refreshes a session (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answers it.
    Uas,
}

impl<'b> SessionExpires<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is against the grammar, `Number` if it has more than 32 bits.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (seconds, params) = seconds_and_params(value)?;
        Ok(Self { seconds, params })
    }

    /// Who refreshes; `None` if it is left open.
    pub fn refresher(&self) -> Option<Refresher> {
        match self.params.value(b"refresher")? {
            value if eq_ignore_case(value, b"uac") => Some(Refresher::Uac),
            value if eq_ignore_case(value, b"uas") => Some(Refresher::Uas),
            _ => None,
        }
    }
}

/// Min-SE (RFC 4028 §5).
#[derive(Clone, Copy, Debug)]
pub struct MinSe<'b> {
    /// The least session interval in seconds.
    pub seconds: u32,
    /// The parameters; none are defined.
    pub params: Params<'b>,
}

impl<'b> MinSe<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is against the grammar, `Number` if it has more than 32 bits.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (seconds, params) = seconds_and_params(value)?;
        Ok(Self { seconds, params })
    }
}

/// Retry-After (RFC 3261 §20.33).
#[derive(Clone, Copy, Debug)]
pub struct RetryAfter<'b> {
    /// How many seconds to wait.
    pub seconds: u32,
    /// A remark for people.
    pub comment: Option<Text<'b>>,
    /// The parameters.
    pub params: Params<'b>,
}

impl<'b> RetryAfter<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is against the grammar, `Number` if it has more than 32 bits.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (seconds, rest) = split_u32(value, value)?;
        let fault = ParseError::new(ParseErrorKind::HeaderValue, offset_in(value, rest));
        let (comment, rest) = match rest.first() {
            Some(b'(') => {
                let (comment, rest) = split_comment(rest).ok_or(fault)?;
                (Some(comment), trim_start(rest))
            }
            _ => (None, rest),
        };
        Ok(Self {
            seconds,
            comment,
            params: params(value, rest)?,
        })
    }

    /// The seconds for which the peer will be reachable afterwards; `None`: without an end.
    pub fn duration(&self) -> Option<u32> {
        parse_u32(self.params.value(b"duration")?).ok()
    }
}

/// A preference value in thousandths: `0` to `1` with at most three decimals (RFC 3261 §25.1).
pub(super) fn parse_q(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut thousandths = if *whole == b'1' { 1000u16 } else { 0 };
    for (digit, weight) in decimals.iter().zip([100u16, 10, 1]) {
        let digit = digit
            .is_ascii_digit()
            .then(|| u16::from(digit.wrapping_sub(b'0')))?;
        thousandths = thousandths.saturating_add(digit.saturating_mul(weight));
    }
    (thousandths <= 1000).then_some(thousandths)
}

/// A number at the start of `part` of `value`, and what follows it and the LWS after it.
fn split_u32<'b>(value: &[u8], part: &'b [u8]) -> Result<(u32, &'b [u8]), ParseError> {
    let (digits, rest) = Class::DIGIT.split(trim_start(part));
    let number = parse_u32(digits).map_err(|error| error.at(offset_in(value, digits)))?;
    Ok((number, trim_start(rest)))
}

/// A method at the end of a value, after LWS.
fn method<'b>(value: &[u8], part: &'b [u8]) -> Result<Method<'b>, ParseError> {
    let at = offset_in(value, part);
    let (method, rest) = Class::TOKEN.split(part);
    // The LWS before it has been walked over; a method may begin with a digit, so it must be there.
    let spaced = at
        .checked_sub(1)
        .and_then(|i| value.get(i))
        .is_some_and(|&b| Class::LWS.has(b));
    if method.is_empty() || !spaced || !trim_start(rest).is_empty() {
        return Err(ParseError::new(ParseErrorKind::HeaderValue, at));
    }
    Ok(Method::from_bytes(method))
}

fn params<'b>(value: &[u8], rest: &'b [u8]) -> Result<Params<'b>, ParseError> {
    Params::parse(rest).map_err(|error| error.at(offset_in(value, rest)))
}

fn seconds_and_params(value: &[u8]) -> Result<(u32, Params<'_>), ParseError> {
    let (seconds, rest) = split_u32(value, value)?;
    Ok((seconds, params(value, rest)?))
}

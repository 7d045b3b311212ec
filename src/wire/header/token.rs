//! Headers that are a token with parameters, or a list of tokens.

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::name::Method;
use crate::wire::scan::{
    Class, Commas, Param, Params, eq_ignore_case, offset_in, parse_u32, split_commas, strip_quotes,
    trim_lws, trim_start,
};

use super::number::parse_q;
use super::text::Text;

/// A token at the start of a value, and the parameters that follow it.
pub(super) fn token_and_params(value: &[u8]) -> Result<(&[u8], Params<'_>), ParseError> {
    let (token, rest) = Class::TOKEN.split(trim_start(value));
    let rest = trim_start(rest);
    let at = offset_in(value, rest);
    if token.is_empty() {
        return Err(ParseError::new(ParseErrorKind::HeaderValue, at));
    }
    Ok((token, Params::parse(rest).map_err(|error| error.at(at))?))
}

macro_rules! tokens_with_params {
    ($($(#[$doc:meta])* $name:ident { $(#[$field_doc:meta])* $field:ident })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'b> {
            $(#[$field_doc])*
            pub $field: &'b [u8],
            /// The parameters.
            pub params: Params<'b>,
        }

        impl<'b> $name<'b> {
            /// Parses one value.
            ///
            /// # Errors
            /// `HeaderValue` if it is no token with well-formed parameters.
            pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
                let ($field, params) = token_and_params(value)?;
                Ok(Self { $field, params })
            }
        }
    )*};
}

tokens_with_params! {
    /// Content-Disposition (RFC 3261 §20.11).
    ContentDisposition {
        /// The type: `render`, `session`, `notification`, ...; compares without case.
        kind
    }
    /// One value of Accept-Encoding (RFC 3261 §20.2).
    AcceptEncoding {
        /// The coding, or `*`; compares without case.
        coding
    }
    /// One value of Reason (RFC 3326 §2).
    Reason {
        /// The protocol whose cause it is: `SIP`, `Q.850`; compares without case.
        protocol
    }
    /// One value of P-Access-Network-Info (RFC 7315 §4.4).
    PAccessNetworkInfo {
        /// The access type or class: `3GPP-E-UTRAN-FDD`, `IEEE-802.11`, ...
        access
    }
}

/// What to do with a body that is not understood (RFC 3261 §20.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Handling {
    /// Refuse the message; the default.
    Required,
    /// Go on without it.
    Optional,
}

impl ContentDisposition<'_> {
    /// The `handling` parameter; a value that is not known means `Required`.
    pub fn handling(&self) -> Handling {
        match self.params.value(b"handling") {
            Some(value) if eq_ignore_case(value, b"optional") => Handling::Optional,
            _ => Handling::Required,
        }
    }
}

impl AcceptEncoding<'_> {
    /// The preference in thousandths, 0 to 1000; `None` if absent or malformed.
    pub fn q(&self) -> Option<u16> {
        parse_q(self.params.value(b"q")?)
    }
}

impl<'b> Reason<'b> {
    /// The cause; `None` if absent or no number.
    pub fn cause(&self) -> Option<u32> {
        number(self.params, b"cause")
    }

    /// The text.
    pub fn text(&self) -> Option<Text<'b>> {
        text(self.params, b"text")
    }
}

/// Refer-Sub (RFC 4488 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReferSub {
    /// `true`: REFER makes a subscription.
    True,
    /// `false`: it makes none.
    False,
}

impl ReferSub {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is neither `true` nor `false`, with well-formed parameters.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        match token_and_params(value)?.0 {
            token if eq_ignore_case(token, b"true") => Ok(Self::True),
            token if eq_ignore_case(token, b"false") => Ok(Self::False),
            _ => Err(ParseError::new(ParseErrorKind::HeaderValue, 0)),
        }
    }
}

/// One value of Accept-Contact or Reject-Contact (RFC 3841 §9.2).
///
/// ```
/// use oma_im::wire::header::AcceptContact;
///
/// let only = AcceptContact::parse(b"*;+g.oma.sip-im;require;explicit")?;
/// assert!(only.is_required() && only.is_explicit());
/// assert!(only.features().map(|feature| feature.name).eq([b"+g.oma.sip-im"]));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AcceptContact<'b> {
    /// The feature parameters, `require` and `explicit`.
    pub params: Params<'b>,
}

/// One value of Reject-Contact (RFC 3841 §9.2).
pub type RejectContact<'b> = AcceptContact<'b>;

impl<'b> AcceptContact<'b> {
    /// Parses one value.
    ///
    /// # Errors
    /// `HeaderValue` if it is not `*` with well-formed parameters.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        match token_and_params(value)? {
            (b"*", params) => Ok(Self { params }),
            _ => Err(ParseError::new(ParseErrorKind::HeaderValue, 0)),
        }
    }

    /// Whether contacts that do not match are left out.
    pub fn is_required(&self) -> bool {
        self.params.has(b"require")
    }

    /// Whether a contact has to name each feature.
    pub fn is_explicit(&self) -> bool {
        self.params.has(b"explicit")
    }

    /// The feature parameters.
    pub fn features(&self) -> impl Iterator<Item = Param<'b>> + use<'b> {
        let own =
            |name: &[u8]| eq_ignore_case(name, b"require") || eq_ignore_case(name, b"explicit");
        self.params.filter(move |param| !own(param.name))
    }

    /// The value of a feature without quotes and the `<`, `>` of a string value (RFC 3840 §9).
    /// Outer `None`: it is not named; inner `None`: without a value, which means `TRUE`.
    pub fn feature(&self, tag: &[u8]) -> Option<Option<&'b [u8]>> {
        let value = self.params.get(tag)?.value;
        Some(value.map(|value| match strip_quotes(value) {
            Some([b'<', string @ .., b'>']) => string,
            Some(list) => list,
            None => value,
        }))
    }
}

/// A comma list of tokens, which may be empty: Supported, Require, Allow and others.
///
/// ```
/// use oma_im::wire::header::Supported;
///
/// let supported = Supported::parse(b"path, Outbound ,gruu")?;
/// assert!(supported.has(b"outbound"));
/// assert_eq!(supported.iter().count(), 3);
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokenList<'b> {
    value: &'b [u8],
}

/// Supported (RFC 3261 §20.37).
pub type Supported<'b> = TokenList<'b>;
/// Require (RFC 3261 §20.32).
pub type Require<'b> = TokenList<'b>;
/// Proxy-Require (RFC 3261 §20.29).
pub type ProxyRequire<'b> = TokenList<'b>;
/// Unsupported (RFC 3261 §20.40).
pub type Unsupported<'b> = TokenList<'b>;
/// Allow (RFC 3261 §20.5).
pub type Allow<'b> = TokenList<'b>;
/// Content-Encoding (RFC 3261 §20.12).
pub type ContentEncoding<'b> = TokenList<'b>;
/// Content-Language (RFC 3261 §20.13).
pub type ContentLanguage<'b> = TokenList<'b>;

impl<'b> TokenList<'b> {
    /// Parses a whole value, one or more tokens or nothing.
    ///
    /// # Errors
    /// `HeaderValue` at the first element that is no token.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        match split_commas(value).find(|element| !Class::TOKEN.fits(element)) {
            Some(bad) => Err(ParseError::new(
                ParseErrorKind::HeaderValue,
                offset_in(value, bad),
            )),
            None => Ok(Self { value }),
        }
    }

    /// The tokens in their order.
    pub fn iter(&self) -> Commas<'b> {
        split_commas(self.value)
    }

    /// Whether the token is in the list, in any case.
    pub fn has(&self, token: &[u8]) -> bool {
        self.iter().any(|element| eq_ignore_case(element, token))
    }

    /// The tokens as methods, for Allow.
    pub fn methods(&self) -> impl Iterator<Item = Method<'b>> + use<'b> {
        self.iter().map(Method::from_bytes)
    }
}

/// Privacy (RFC 3323 §4.2): what the sender wants kept from the recipient.
///
/// ```
/// use oma_im::wire::header::Privacy;
///
/// let privacy = Privacy::parse(b"id ; critical")?;
/// assert!(privacy.has(b"id") && !privacy.has(b"none"));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Privacy<'b> {
    value: &'b [u8],
}

impl<'b> Privacy<'b> {
    /// Parses a whole value: tokens between semicolons.
    ///
    /// Commas are taken as well: lines of a header may be joined by them (RFC 3261 §7.3.1).
    ///
    /// # Errors
    /// `HeaderValue` at the first element that is no token.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let privacy = Self { value };
        match privacy.iter().find(|element| !Class::TOKEN.fits(element)) {
            Some(bad) => Err(ParseError::new(
                ParseErrorKind::HeaderValue,
                offset_in(value, bad),
            )),
            None => Ok(privacy),
        }
    }

    /// The privacy types in their order.
    pub fn iter(&self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        self.value
            .split(|&b| matches!(b, b';' | b','))
            .map(trim_lws)
    }

    /// Whether a type is asked for, in any case: `id`, `header`, `session`, `user`, `none`, `critical`.
    pub fn has(&self, kind: &[u8]) -> bool {
        self.iter().any(|element| eq_ignore_case(element, kind))
    }
}

pub(super) fn number(params: Params<'_>, name: &[u8]) -> Option<u32> {
    parse_u32(params.value(name)?).ok()
}

fn text<'b>(params: Params<'b>, name: &[u8]) -> Option<Text<'b>> {
    let value = params.value(name)?;
    Some(strip_quotes(value).map_or(Text::Plain(value), Text::Quoted))
}

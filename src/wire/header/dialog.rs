//! Headers that name a dialog or a version of a document.

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{Class, Params, offset_in, trim_lws, trim_start};
use crate::wire::sink::Sink;
use crate::wire::writer::{Value, sealed::Sealed};

/// Call-ID (RFC 3261 §20.8): `word [ "@" word ]`; compares with case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId<'b>(&'b [u8]);

impl<'b> CallId<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` at the first byte against the grammar.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        match split_call_id(value)? {
            (call_id, []) => Ok(call_id),
            (_, rest) => Err(ParseError::new(
                ParseErrorKind::HeaderValue,
                offset_in(value, rest),
            )),
        }
    }

    /// Its bytes.
    pub const fn as_bytes(self) -> &'b [u8] {
        self.0
    }
}

/// Replaces (RFC 3891 §6.1).
#[derive(Clone, Copy, Debug)]
pub struct Replaces<'b> {
    /// The Call-ID of the dialog.
    pub call_id: CallId<'b>,
    /// Its tag on the side that receives this.
    pub to_tag: &'b [u8],
    /// Its tag on the other side.
    pub from_tag: &'b [u8],
    /// The parameters, tags included.
    pub params: Params<'b>,
}

impl<'b> Replaces<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` if it is against the grammar or lacks a tag.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (call_id, params) = call_id_and_params(value)?;
        // RFC 3891 §3: exactly one to-tag and exactly one from-tag.
        let tag = |name: &[u8]| {
            let mut tags = params.filter(|param| param.name.eq_ignore_ascii_case(name));
            match (tags.next(), tags.next()) {
                (Some(tag), None) => tag.value,
                _ => None,
            }
        };
        let fault = ParseError::new(ParseErrorKind::HeaderValue, 0);
        Ok(Self {
            call_id,
            to_tag: tag(b"to-tag").ok_or(fault)?,
            from_tag: tag(b"from-tag").ok_or(fault)?,
            params,
        })
    }

    /// Whether a confirmed dialog must not be replaced.
    pub fn is_early_only(&self) -> bool {
        self.params.has(b"early-only")
    }
}

/// Target-Dialog (RFC 4538 §7).
#[derive(Clone, Copy, Debug)]
pub struct TargetDialog<'b> {
    /// The Call-ID of the dialog.
    pub call_id: CallId<'b>,
    /// The parameters.
    pub params: Params<'b>,
}

impl<'b> TargetDialog<'b> {
    /// Parses a whole value.
    ///
    /// # Errors
    /// `HeaderValue` at the first byte against the grammar.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (call_id, params) = call_id_and_params(value)?;
        Ok(Self { call_id, params })
    }

    /// The tag on the side that sent this.
    pub fn local_tag(&self) -> Option<&'b [u8]> {
        self.params.value(b"local-tag")
    }

    /// The tag on the side that receives this.
    pub fn remote_tag(&self) -> Option<&'b [u8]> {
        self.params.value(b"remote-tag")
    }
}

/// An entity-tag: SIP-ETag or SIP-If-Match (RFC 3903 §11.3); compares with case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag<'b>(&'b [u8]);

/// SIP-ETag (RFC 3903 §11.3.1).
pub type SipEtag<'b> = EntityTag<'b>;
/// SIP-If-Match (RFC 3903 §11.3.2).
pub type SipIfMatch<'b> = EntityTag<'b>;

impl<'b> EntityTag<'b> {
    /// Parses a whole value: a token of any length, so no quotes (RFC 3903 §12). How long one is kept
    /// is [`MAX_ETAG`](crate::limits::MAX_ETAG).
    ///
    /// # Errors
    /// `HeaderValue` at the first byte that is not of a token.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let tag = trim_lws(value);
        match Class::TOKEN.split(tag) {
            ([_, ..], []) => Ok(Self(tag)),
            (_, rest) => Err(ParseError::new(
                ParseErrorKind::HeaderValue,
                offset_in(value, rest),
            )),
        }
    }

    /// Its bytes.
    pub const fn as_bytes(self) -> &'b [u8] {
        self.0
    }
}

impl Sealed for EntityTag<'_> {}
impl Value for EntityTag<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        sink.put(self.0);
    }
}

/// A Call-ID at the start of a value, and what follows it and the LWS after it.
fn split_call_id(value: &[u8]) -> Result<(CallId<'_>, &[u8]), ParseError> {
    let start = trim_start(value);
    let fault = |left: &[u8]| ParseError::new(ParseErrorKind::HeaderValue, offset_in(value, left));
    let (first, rest) = Class::WORD.split(start);
    if first.is_empty() {
        return Err(fault(rest));
    }
    let rest = match rest {
        [b'@', rest @ ..] => match Class::WORD.split(rest) {
            ([_, ..], rest) => rest,
            _ => return Err(fault(rest)),
        },
        _ => rest,
    };
    let (call_id, _) = crate::wire::scan::split_at(start, offset_in(start, rest));
    Ok((CallId(call_id), trim_start(rest)))
}

fn call_id_and_params(value: &[u8]) -> Result<(CallId<'_>, Params<'_>), ParseError> {
    let (call_id, rest) = split_call_id(value)?;
    let params = Params::parse(rest).map_err(|error| error.at(offset_in(value, rest)))?;
    Ok((call_id, params))
}

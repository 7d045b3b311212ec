//! Via: where a request went through, and where its response has to go.

use core::net::IpAddr;

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{Class, Params, offset_in, parse_u32, trim_start, whole};
use crate::wire::uri::{Host, parse_ip};

/// One value of Via (RFC 3261 §20.42).
///
/// ```
/// use oma_im::wire::header::{Rport, Via};
///
/// let via = Via::parse(b"SIP/2.0/TCP [2001:db8::17];branch=z9hG4bK9931;rport=50312;received=2001:db8::17")?;
/// assert_eq!(via.transport, b"TCP");
/// assert_eq!(via.branch(), Some(&b"z9hG4bK9931"[..]));
/// assert_eq!(via.rport(), Some(Rport::Port(50312)));
/// assert_eq!(via.received(), via.host.ip());
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Via<'b> {
    /// The transport: `UDP`, `TCP`, `TLS`, ...; compares without case.
    pub transport: &'b [u8],
    /// The host of sent-by.
    pub host: Host<'b>,
    /// The port of sent-by, if it is named.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'b>,
}

/// The `rport` parameter (RFC 3581 §3, §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rport {
    /// Without a value: the client asks for the port to be filled in.
    Empty,
    /// The port the request came from.
    Port(u16),
}

/// The `keep` parameter (RFC 6223 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Keep {
    /// Without a value: this side is willing to send keep-alives.
    Willing,
    /// The seconds between keep-alives that the server recommends; 0: it recommends none.
    Seconds(u32),
}

impl<'b> Via<'b> {
    /// Parses one value.
    ///
    /// Protocol names and versions other than `SIP/2.0` are taken, as the grammar does.
    ///
    /// # Errors
    /// `HeaderValue` at the first byte against the grammar, `Number` for a port above 65,535.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        whole(value, Self::split)
    }

    /// Splits one value off the start of a list: the value, and what follows it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub(crate) fn split(value: &'b [u8]) -> Result<(Self, &'b [u8]), ParseError> {
        let fault =
            |left: &[u8]| ParseError::new(ParseErrorKind::HeaderValue, offset_in(value, left));
        // sent-protocol = protocol-name SLASH protocol-version SLASH transport
        let rest = match trim_start(value) {
            [b'S', b'I', b'P', b'/', b'2', b'.', b'0', b'/', rest @ ..] => rest,
            rest => {
                let rest = token_and_slash(rest).map_err(fault)?;
                token_and_slash(rest).map_err(fault)?
            }
        };
        let (transport, rest) = Class::TOKEN.split(trim_start(rest));
        if transport.is_empty() {
            return Err(fault(rest));
        }
        // LWS sent-by
        let sent_by = trim_start(rest);
        if sent_by.len() == rest.len() {
            return Err(fault(rest));
        }
        let (host, rest) = Host::split(sent_by).ok_or(fault(sent_by))?;
        let rest = trim_start(rest);
        let (port, rest) = match rest {
            [b':', rest @ ..] => {
                let (digits, rest) = Class::DIGIT.split(trim_start(rest));
                let at = offset_in(value, digits);
                let port = parse_u32(digits).map_err(|error| error.at(at))?;
                let port =
                    u16::try_from(port).map_err(|_| ParseError::new(ParseErrorKind::Number, at))?;
                (Some(port), trim_start(rest))
            }
            _ => (None, rest),
        };
        let (params, rest) =
            Params::split(rest).map_err(|error| error.at(offset_in(value, rest)))?;
        let via = Self {
            transport,
            host,
            port,
            params,
        };
        Ok((via, rest))
    }

    /// The transaction identifier (RFC 3261 §8.1.1.7).
    pub fn branch(&self) -> Option<&'b [u8]> {
        self.params.value(b"branch")
    }

    /// The address the request came from, an IPv6 one with or without brackets (RFC 5118 §4.5).
    /// `None` if absent or no address.
    pub fn received(&self) -> Option<IpAddr> {
        parse_ip(self.params.value(b"received")?)
    }

    /// The `rport` parameter; `None` if absent or no port.
    pub fn rport(&self) -> Option<Rport> {
        match self.params.get(b"rport")?.value {
            None => Some(Rport::Empty),
            Some(port) => Some(Rport::Port(u16::try_from(parse_u32(port).ok()?).ok()?)),
        }
    }

    /// The `keep` parameter; `None` if absent or no number.
    pub fn keep(&self) -> Option<Keep> {
        match self.params.get(b"keep")?.value {
            None => Some(Keep::Willing),
            Some(seconds) => Some(Keep::Seconds(parse_u32(seconds).ok()?)),
        }
    }

    /// The address to which responses go instead (RFC 3261 §18.2.2); `None` if absent or no host.
    pub fn maddr(&self) -> Option<Host<'b>> {
        Host::parse(self.params.value(b"maddr")?).ok()
    }

    /// The time-to-live of multicast, 0 to 255; `None` if absent or out of range.
    pub fn ttl(&self) -> Option<u8> {
        u8::try_from(parse_u32(self.params.value(b"ttl")?).ok()?).ok()
    }
}

/// What follows a token and a SLASH; or what was left at the fault.
fn token_and_slash(bytes: &[u8]) -> Result<&[u8], &[u8]> {
    let (token, rest) = Class::TOKEN.split(bytes);
    match trim_start(rest) {
        [b'/', rest @ ..] if !token.is_empty() => Ok(trim_start(rest)),
        rest => Err(rest),
    }
}

//! Credentials, ours to write and others' to read, and what a server says after them.

use core::fmt;

use super::super::error::{ParseError, ParseErrorKind};
use super::super::scan::{self, Class};
use super::super::sink::{Sink, hex_digit};
use super::aka::{Auts, decode, put_base64};
use super::challenge::{Challenge, Unanswerable};
use super::compute::{Input, Response, Secret, Sum, Words, hex_count};
use super::params::{Element, Elements, Quoted, set};
use super::{Algorithm, Qop};

/// Our part of the nonce; written as 16 hexadecimal digits (RFC 7616 §3.4).
///
/// One for as long as a nonce of the server's is in use: the session algorithms hash the first
/// one into A1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cnonce(pub u64);

impl Cnonce {
    /// Its digits.
    pub fn digits(self) -> [u8; 16] {
        let mut digits = [0; 16];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        digits
    }
}

/// What answers a challenge: who we are, what is asked for, and the counts.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The username, without escapes.
    pub username: &'a [u8],
    /// What proves it.
    pub secret: Secret<'a>,
    /// The method of the request.
    pub method: &'a [u8],
    /// The Request-URI as it stands in the request line.
    pub uri: &'a [u8],
    /// The body of the request in pieces; looked at for `auth-int` only.
    pub body: &'a [&'a [u8]],
    /// Our part of the nonce.
    pub cnonce: Cnonce,
    /// The number of requests sent with this nonce, this one included.
    pub nc: u32,
}

/// Why no credentials were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AnswerError {
    /// There is no answer to this challenge.
    Challenge(Unanswerable),
    /// The HA1, or the response computed before, belongs to another hash function than the challenge.
    Ha1,
    /// The secret gives no response: nothing can be computed or checked with it.
    NoSecret,
    /// The username holds a control character.
    Username,
    /// The URI holds a control character, a quote, a backslash or white space.
    Uri,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Challenge(Unanswerable::Algorithm) => {
                "no secret serves for the algorithm of the challenge"
            }
            Self::Challenge(Unanswerable::BelowFloor) => {
                "the algorithm of the challenge is below the configured floor"
            }
            Self::Challenge(Unanswerable::Qop) => "the challenge offers no qop that can be used",
            Self::Ha1 => "the HA1 belongs to another hash function than the challenge",
            Self::NoSecret => "there is no secret to compute with",
            Self::Username => "the username holds a control character",
            Self::Uri => "the URI holds a byte that no URI may hold",
        })
    }
}

impl core::error::Error for AnswerError {}

impl<'a> Answer<'a> {
    fn input(&self, challenge: &Challenge<'a>, qop: Qop, cnonce: &'a [u8]) -> Input<'a> {
        Input {
            algorithm: challenge.algorithm,
            qop,
            username: Words::Plain(self.username),
            realm: challenge.realm,
            nonce: challenge.nonce,
            uri: Words::Plain(self.uri),
            cnonce: Words::Plain(cnonce),
            nc: self.nc,
        }
    }

    /// The response that [`write_credentials`] writes, to be repeated by [`Secret::Computed`].
    ///
    /// # Errors
    /// As [`write_credentials`]; `NoSecret` for [`Secret::MacFailure`].
    pub fn response(&self, challenge: &Challenge<'_>) -> Result<Response, AnswerError> {
        let qop = challenge.qop_to_use().map_err(AnswerError::Challenge)?;
        self.compute(challenge, qop)?.ok_or(AnswerError::NoSecret)
    }

    /// `None`: an empty response.
    fn compute(
        &self,
        challenge: &Challenge<'_>,
        qop: Qop,
    ) -> Result<Option<Response>, AnswerError> {
        let hash = challenge.algorithm.hash();
        let hash = hash.ok_or(AnswerError::Challenge(Unanswerable::Algorithm))?;
        match self.secret {
            Secret::SyncFailure(_) | Secret::MacFailure if !challenge.algorithm.is_aka() => {
                Err(AnswerError::Challenge(Unanswerable::Algorithm))
            }
            Secret::MacFailure => Ok(None),
            Secret::Computed(Response(sum)) if sum.hash() == hash => Ok(Some(Response(sum))),
            Secret::Computed(_) => Err(AnswerError::Ha1),
            Secret::Password(_) | Secret::Ha1(_) | Secret::SyncFailure(_) => {
                let cnonce = self.cnonce.digits();
                let input = self.input(challenge, qop, &cnonce);
                let sum = input.response(self.secret, self.method, self.body);
                sum.map(|sum| Some(Response(sum))).ok_or(AnswerError::Ha1)
            }
        }
    }

    /// Checks the server's own proof, in constant time (RFC 7616 §3.5).
    ///
    /// `self` and `challenge` are those of the request, except for `body`, which here is the
    /// body of the response.
    ///
    /// # Errors
    /// As [`write_credentials`] for the same answer to the same challenge; `NoSecret` if there is a proof and only a
    /// response computed before, or [`Secret::MacFailure`], to check it with.
    pub fn check(
        &self,
        challenge: &Challenge<'_>,
        info: &AuthenticationInfo<'_>,
    ) -> Result<Proof, AnswerError> {
        let Some(claimed) = info.rspauth else {
            return Ok(Proof::Absent);
        };
        if matches!(self.secret, Secret::Computed(_) | Secret::MacFailure) {
            return Err(AnswerError::NoSecret);
        }
        let qop = challenge.qop_to_use().map_err(AnswerError::Challenge)?;
        let digits = self.cnonce.digits();
        let input = self.input(challenge, qop, &digits);
        // A2 has no method here.
        let sum = input
            .response(self.secret, b"", self.body)
            .ok_or(AnswerError::Ha1)?;
        // cnonce and nc are those of the request, where they are given.
        let ours = info.cnonce.is_none_or(|theirs| theirs == digits[..])
            && info.nc.is_none_or(|nc| nc == self.nc);
        let right =
            Sum::from_hex(claimed.as_received()).is_some_and(|claimed| claimed.matches(&sum));
        Ok(if ours && right {
            Proof::Right
        } else {
            Proof::Wrong
        })
    }
}

/// What `rspauth` proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Proof {
    /// There is none.
    Absent,
    /// The server knows our secret.
    Right,
    /// It does not, or it answered another request.
    Wrong,
}

/// Puts the value of an Authorization or Proxy-Authorization header field (RFC 7616 §3.4).
///
/// `realm`, `nonce` and `opaque` go back byte for byte, `algorithm` only if the challenge named
/// one, `qop`, `nc` and `cnonce` only if it offered `qop`.
///
/// # Errors
/// Nothing has been put then.
pub fn write_credentials(
    out: &mut Sink<'_>,
    challenge: &Challenge<'_>,
    answer: &Answer<'_>,
) -> Result<(), AnswerError> {
    let qop = challenge.qop_to_use().map_err(AnswerError::Challenge)?;
    check_own(answer.username, answer.uri)?;
    let response = answer.compute(challenge, qop)?;

    out.put(b"Digest username=");
    put_quoted(out, answer.username);
    out.put(b",realm=");
    challenge.realm.put(out);
    out.put(b",uri=\"");
    out.put(answer.uri);
    out.put(b"\",nonce=");
    challenge.nonce.put(out);
    out.put(b",response=\"");
    if let Some(Response(sum)) = response {
        sum.put(out);
    }
    out.put_byte(b'"');
    if let Some(name) = challenge.algorithm_name {
        out.put(b",algorithm=");
        out.put(name);
    }
    if let Some(opaque) = challenge.opaque {
        out.put(b",opaque=");
        opaque.put(out);
    }
    if let Some(token) = qop.token().filter(|_| response.is_some()) {
        out.put(b",qop=");
        out.put(token.as_bytes());
        out.put(b",nc=");
        out.put(&hex_count(answer.nc));
        out.put(b",cnonce=\"");
        out.put(&answer.cnonce.digits());
        out.put_byte(b'"');
    }
    if let Secret::SyncFailure(auts) = answer.secret {
        out.put(b",auts=\"");
        put_base64(out, &auts);
        out.put_byte(b'"');
    }
    Ok(())
}

/// Puts credentials that only say who wants to register: nonce and response empty (RFC 3310 §3.4
/// asks for no more; IMS cores want it in the first REGISTER, TS 24.229 §5.1.1.2.2).
///
/// # Errors
/// As [`write_credentials`]; `realm` counts as a username does.
pub fn write_empty_credentials(
    out: &mut Sink<'_>,
    username: &[u8],
    realm: &[u8],
    uri: &[u8],
) -> Result<(), AnswerError> {
    check_own(username, uri)?;
    check_own(realm, uri)?;
    out.put(b"Digest username=");
    put_quoted(out, username);
    out.put(b",realm=");
    put_quoted(out, realm);
    out.put(b",uri=\"");
    out.put(uri);
    out.put(b"\",nonce=\"\",response=\"\"");
    Ok(())
}

/// Nothing of our own side may end the line or the quotes.
fn check_own(username: &[u8], uri: &[u8]) -> Result<(), AnswerError> {
    if username.iter().any(u8::is_ascii_control) {
        return Err(AnswerError::Username);
    }
    let bad = |b: &u8| b.is_ascii_control() || matches!(b, b' ' | b'"' | b'\\');
    if uri.is_empty() || uri.iter().any(bad) {
        return Err(AnswerError::Uri);
    }
    Ok(())
}

fn put_quoted(out: &mut Sink<'_>, text: &[u8]) {
    out.put_byte(b'"');
    for piece in text.split_inclusive(|b| matches!(b, b'"' | b'\\')) {
        match piece {
            [plain @ .., mark @ (b'"' | b'\\')] => {
                out.put(plain);
                out.put(&[b'\\', *mark]);
            }
            plain => out.put(plain),
        }
    }
    out.put_byte(b'"');
}

/// The value of an Authorization or Proxy-Authorization header field.
#[derive(Clone, Copy, Debug)]
pub enum Authorization<'b> {
    /// Digest credentials.
    Digest(Credentials<'b>),
    /// Another scheme, of this name (RFC 4475 §3.3.7: well formed, and nothing we know).
    Other(&'b [u8]),
}

impl<'b> Authorization<'b> {
    /// Reads a header value.
    ///
    /// # Errors
    /// `Challenge`: no scheme; or digest credentials that are malformed, that have two schemes or
    /// a parameter twice, or that lack username, realm, nonce, uri or response.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let value = scan::trim_lws(value);
        let (scheme, _) = Class::TOKEN.split(value);
        if scheme.is_empty() {
            return Err(ParseError::new(ParseErrorKind::Challenge, 0));
        }
        if scan::eq_ignore_case(scheme, b"Digest") {
            Credentials::read(value).map(Self::Digest)
        } else {
            Ok(Self::Other(scheme))
        }
    }
}

/// Digest credentials as received (RFC 3261 §25.1 `digest-response`).
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'b> {
    /// Who.
    pub username: Quoted<'b>,
    /// The protection domain.
    pub realm: Quoted<'b>,
    /// The server's nonce.
    pub nonce: Quoted<'b>,
    /// The Request-URI that was hashed.
    pub uri: Quoted<'b>,
    /// The response as received; empty before the first challenge (RFC 8760 §2.7).
    pub response: Quoted<'b>,
    /// The algorithm; MD5 if none is named.
    pub algorithm: Algorithm,
    /// The client's nonce.
    pub cnonce: Option<Quoted<'b>>,
    /// What the challenge asked to be given back.
    pub opaque: Option<Quoted<'b>>,
    /// The quality of protection used.
    pub qop: Qop,
    /// The nonce count.
    pub nc: Option<u32>,
    /// AKA: what a card says that finds the sequence number out of range (RFC 3310 §3.4); see [`Self::auts`].
    pub auts: Option<Quoted<'b>>,
}

/// What credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// The response is the one that the secret gives.
    Right,
    /// It is not.
    Wrong,
}

impl<'b> Credentials<'b> {
    fn read(value: &'b [u8]) -> Result<Self, ParseError> {
        let fault = |at| ParseError::new(ParseErrorKind::Challenge, at);
        let mut elements = Elements::new(value);
        match elements.next().transpose()? {
            Some(Element::Scheme(_)) => {}
            _ => return Err(fault(elements.walked())),
        }
        let (mut username, mut realm, mut nonce, mut uri) = (None, None, None, None);
        let (mut response, mut algorithm, mut cnonce) = (None, None, None);
        let (mut opaque, mut qop, mut nc, mut auts) = (None, None, None, None);
        while let Some(element) = elements.next().transpose()? {
            let Element::Param(name, value) = element else {
                return Err(fault(elements.walked()));
            };
            let field = match name {
                n if scan::eq_ignore_case(n, b"username") => &mut username,
                n if scan::eq_ignore_case(n, b"realm") => &mut realm,
                n if scan::eq_ignore_case(n, b"nonce") => &mut nonce,
                n if scan::eq_ignore_case(n, b"uri") => &mut uri,
                n if scan::eq_ignore_case(n, b"response") => &mut response,
                n if scan::eq_ignore_case(n, b"algorithm") => &mut algorithm,
                n if scan::eq_ignore_case(n, b"cnonce") => &mut cnonce,
                n if scan::eq_ignore_case(n, b"opaque") => &mut opaque,
                n if scan::eq_ignore_case(n, b"qop") => &mut qop,
                n if scan::eq_ignore_case(n, b"nc") => &mut nc,
                n if scan::eq_ignore_case(n, b"auts") => &mut auts,
                _ => continue,
            };
            set(field, value).map_err(|()| fault(elements.walked()))?;
        }
        let end = elements.walked();
        Ok(Self {
            username: username.ok_or(fault(end))?,
            realm: realm.ok_or(fault(end))?,
            nonce: nonce.ok_or(fault(end))?,
            uri: uri.ok_or(fault(end))?,
            response: response.ok_or(fault(end))?,
            algorithm: algorithm.map_or(Algorithm::Md5, |name: Quoted<'_>| {
                Algorithm::from_bytes(name.as_received())
            }),
            cnonce,
            opaque,
            qop: read_qop(qop).ok_or(fault(end))?,
            nc: nc.map(|nc| read_count(nc).ok_or(fault(end))).transpose()?,
            auts,
        })
    }

    /// The AUTS of the card; `None` if there is none, or it is not base64 of 14 bytes.
    pub fn auts(&self) -> Option<Auts> {
        let mut digits = self.auts?.bytes();
        let auts = decode(&mut digits)?;
        digits.all(|byte| byte == b'=').then_some(auts)
    }

    /// Computes the response from the secret and compares it, in constant time.
    ///
    /// Whether the nonce is one of ours and `nc` has grown is for the server to see to.
    pub fn verify(&self, secret: Secret<'_>, method: &[u8], body: &[&[u8]]) -> Verdict {
        // RFC 7616 §3.4: cnonce and nc are there if qop is.
        if self.qop != Qop::Absent && (self.cnonce.is_none() || self.nc.is_none()) {
            return Verdict::Wrong;
        }
        let input = Input {
            algorithm: self.algorithm,
            qop: self.qop,
            username: Words::Quoted(self.username),
            realm: self.realm,
            nonce: self.nonce,
            uri: Words::Quoted(self.uri),
            cnonce: Words::Quoted(self.cnonce.unwrap_or_default()),
            nc: self.nc.unwrap_or_default(),
        };
        let claimed = Sum::from_hex(self.response.as_received());
        match (claimed, input.response(secret, method, body)) {
            (Some(claimed), Some(sum)) if claimed.matches(&sum) => Verdict::Right,
            _ => Verdict::Wrong,
        }
    }
}

/// What a server says after right credentials (RFC 3261 §20.6, RFC 7616 §3.5).
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthenticationInfo<'b> {
    /// The nonce to use from now on.
    pub nextnonce: Option<Quoted<'b>>,
    /// The server's proof that it knows the secret.
    pub rspauth: Option<Quoted<'b>>,
    /// The quality of protection of the response.
    pub qop: Option<Qop>,
    /// The cnonce of the request.
    pub cnonce: Option<Quoted<'b>>,
    /// The nonce count of the request.
    pub nc: Option<u32>,
}

impl<'b> AuthenticationInfo<'b> {
    /// Reads the value of Authentication-Info or Proxy-Authentication-Info.
    ///
    /// # Errors
    /// `Challenge` if it is against the grammar or has a parameter twice.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let fault = |at| ParseError::new(ParseErrorKind::Challenge, at);
        let mut elements = Elements::new(value);
        let (mut nextnonce, mut rspauth) = (None, None);
        let (mut qop, mut cnonce, mut nc) = (None, None, None);
        while let Some(element) = elements.next().transpose()? {
            let Element::Param(name, value) = element else {
                return Err(fault(elements.walked()));
            };
            let field = match name {
                n if scan::eq_ignore_case(n, b"nextnonce") => &mut nextnonce,
                n if scan::eq_ignore_case(n, b"rspauth") => &mut rspauth,
                n if scan::eq_ignore_case(n, b"qop") => &mut qop,
                n if scan::eq_ignore_case(n, b"cnonce") => &mut cnonce,
                n if scan::eq_ignore_case(n, b"nc") => &mut nc,
                _ => continue,
            };
            set(field, value).map_err(|()| fault(elements.walked()))?;
        }
        let end = elements.walked();
        Ok(Self {
            nextnonce,
            rspauth,
            qop: qop
                .map(|qop| read_qop(Some(qop)).ok_or(fault(end)))
                .transpose()?,
            cnonce,
            nc: nc.map(|nc| read_count(nc).ok_or(fault(end))).transpose()?,
        })
    }
}

/// One `qop` value; `None` if it is not known.
fn read_qop(value: Option<Quoted<'_>>) -> Option<Qop> {
    match value.map(Quoted::as_received) {
        None => Some(Qop::Absent),
        Some(token) if scan::eq_ignore_case(token, b"auth") => Some(Qop::Auth),
        Some(token) if scan::eq_ignore_case(token, b"auth-int") => Some(Qop::AuthInt),
        Some(_) => None,
    }
}

/// Up to 8 hexadecimal digits, of which there should be exactly 8.
fn read_count(value: Quoted<'_>) -> Option<u32> {
    let digits = value.as_received();
    if !(1..=8).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0u32, |count, &digit| {
        Some((count << 4) | u32::from(scan::hex_value(digit)?))
    })
}

//! Challenges: out of a header value, and which of them to answer.

use super::super::error::{ParseError, ParseErrorKind};
use super::super::scan::{self, Class};
use super::super::sink::Sink;
use super::params::{Element, Elements, Quoted, set};
use super::{Algorithm, Hash, Qop};

/// Whether the server says that only the nonce was too old (RFC 7616 §3.3, `stale`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Freshness {
    /// `stale=true`: the nonce was too old, username and password may well be right.
    Stale,
    /// Anything else: a first challenge, or the credentials were wrong.
    New,
}

/// The `qop` values that a challenge offers; others than these are ignored (RFC 7616 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum QopOffer {
    /// No `qop`: the answer has none either (RFC 3261 §22.4, RFC 2069).
    Absent,
    /// `auth`.
    Auth,
    /// `auth-int`.
    AuthInt,
    /// `auth` and `auth-int`.
    Both,
    /// Only values that are not known here: there is no answer.
    Unknown,
}

/// One digest challenge (RFC 3261 §25.1 `challenge`, RFC 7616 §3.3).
///
/// Borrows the header value. Unknown parameters, `charset` and `userhash` among them, are skipped.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'b> {
    /// The protection domain (RFC 3261 §22.1: the realm alone).
    pub realm: Quoted<'b>,
    /// The nonce; may be empty.
    pub nonce: Quoted<'b>,
    /// What the answer has to give back unchanged.
    pub opaque: Option<Quoted<'b>>,
    /// URIs of the protection domain, separated by white space. SIP makes no use of it.
    pub domain: Option<Quoted<'b>>,
    /// Whether only the nonce was too old.
    pub stale: Freshness,
    /// The algorithm; MD5 if none is named.
    pub algorithm: Algorithm,
    /// Its name as received; `None` if none is named. Then the answer names none either.
    pub algorithm_name: Option<&'b [u8]>,
    /// The offered qualities of protection.
    pub qop: QopOffer,
    bytes: &'b [u8],
}

impl<'b> Challenge<'b> {
    /// Takes the first digest challenge of a header value.
    ///
    /// # Errors
    /// `Challenge` as for [`Challenges`], or if there is no digest challenge at all.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        Challenges::new(value)
            .next()
            .unwrap_or(Err(ParseError::new(ParseErrorKind::Challenge, 0)))
    }

    /// The bytes of this challenge alone, from `Digest` to its last parameter: what to keep of it.
    ///
    /// [`Challenge::parse`] reads them again.
    pub const fn as_bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The quality of protection that an answer uses: `auth` if it is offered, `auth-int` if that
    /// is offered alone.
    ///
    /// # Errors
    /// [`Unanswerable::Qop`]: nothing known is offered, or a session algorithm comes without.
    pub const fn qop_to_use(&self) -> Result<Qop, Unanswerable> {
        match self.qop {
            QopOffer::Auth | QopOffer::Both => Ok(Qop::Auth),
            QopOffer::AuthInt => Ok(Qop::AuthInt),
            // RFC 3261 §22.4 (8): what depends on the cnonce requires qop.
            QopOffer::Absent if !self.algorithm.is_session() => Ok(Qop::Absent),
            QopOffer::Absent | QopOffer::Unknown => Err(Unanswerable::Qop),
        }
    }

    /// The same challenge with another nonce, as `nextnonce` asks for (RFC 7616 §3.5).
    ///
    /// Write it out ([`Challenge::write`]) to keep it; `as_bytes` still has the old one.
    #[must_use]
    pub const fn with_nonce(mut self, nonce: Quoted<'b>) -> Self {
        self.nonce = nonce;
        self.stale = Freshness::New;
        self
    }

    /// Puts it as a header value.
    pub fn write(&self, out: &mut Sink<'_>) {
        out.put(b"Digest realm=");
        self.realm.put(out);
        out.put(b",nonce=");
        self.nonce.put(out);
        if let Some(opaque) = self.opaque {
            out.put(b",opaque=");
            opaque.put(out);
        }
        if let Some(domain) = self.domain {
            out.put(b",domain=");
            domain.put(out);
        }
        if self.stale == Freshness::Stale {
            out.put(b",stale=true");
        }
        match (self.algorithm, self.algorithm_name) {
            (_, Some(name)) => {
                out.put(b",algorithm=");
                out.put(name);
            }
            // Stays what it is to whoever reads it again.
            (Algorithm::Unknown, None) => out.put(b",algorithm=unknown"),
            (_, None) => {}
        }
        out.put(match self.qop {
            QopOffer::Absent => b"",
            QopOffer::Auth => br#",qop="auth""#,
            QopOffer::AuthInt => br#",qop="auth-int""#,
            QopOffer::Both => br#",qop="auth,auth-int""#,
            QopOffer::Unknown => br#",qop="unknown""#,
        });
    }
}

/// The digest challenges of one header value, in their order; other schemes are skipped.
///
/// One value may hold several, separated by commas as in HTTP. A challenge with a fault in its
/// meaning (no realm, no nonce, a parameter twice with two values) gives an error and the walk
/// goes on; a fault in the syntax gives an error and ends it.
#[derive(Clone, Debug)]
pub struct Challenges<'b> {
    elements: Elements<'b>,
}

impl<'b> Challenges<'b> {
    /// Walks the value of one WWW-Authenticate or Proxy-Authenticate header field.
    pub const fn new(value: &'b [u8]) -> Self {
        Self {
            elements: Elements::new(value),
        }
    }
}

impl<'b> Iterator for Challenges<'b> {
    type Item = Result<Challenge<'b>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.elements.next()? {
                Ok(Element::Scheme(name)) if scan::eq_ignore_case(name, b"Digest") => {
                    let start = self.elements.walked().saturating_sub(name.len());
                    let challenge = read(&mut self.elements, start);
                    // `read` stops the walk itself when it cannot go on.
                    return Some(challenge);
                }
                Ok(Element::Scheme(_)) => self.elements.skip_token68(),
                Ok(Element::Bare(_) | Element::Param(..)) => {}
                Err(fault) => return Some(Err(fault)),
            }
        }
    }
}

/// The parameters of a challenge whose scheme was just read, up to the next scheme.
fn read<'b>(elements: &mut Elements<'b>, start: usize) -> Result<Challenge<'b>, ParseError> {
    let fault = |at| ParseError::new(ParseErrorKind::Challenge, at);
    let (mut realm, mut nonce, mut opaque, mut domain) = (None, None, None, None);
    let (mut stale, mut algorithm, mut qop) = (None, None, None);
    let mut offer = QopOffer::Absent;
    let mut twice = None;
    // `qop=auth,auth-int` without its quotes ends at the comma; the rest comes as a bare token.
    let mut open_qop = false;
    loop {
        let mut ahead = *elements;
        match ahead.next() {
            None | Some(Ok(Element::Scheme(_))) => break,
            Some(Err(fault)) => {
                elements.stop();
                return Err(fault);
            }
            Some(Ok(Element::Bare(token))) => {
                if open_qop {
                    offer = offered(offer, token);
                }
            }
            Some(Ok(Element::Param(name, value))) => {
                let field = match name {
                    n if scan::eq_ignore_case(n, b"realm") => Some(&mut realm),
                    n if scan::eq_ignore_case(n, b"nonce") => Some(&mut nonce),
                    n if scan::eq_ignore_case(n, b"opaque") => Some(&mut opaque),
                    n if scan::eq_ignore_case(n, b"domain") => Some(&mut domain),
                    n if scan::eq_ignore_case(n, b"stale") => Some(&mut stale),
                    n if scan::eq_ignore_case(n, b"algorithm") => Some(&mut algorithm),
                    n if scan::eq_ignore_case(n, b"qop") => Some(&mut qop),
                    _ => None,
                };
                open_qop = scan::eq_ignore_case(name, b"qop");
                if let Some(field) = field
                    && set(field, value).is_err()
                {
                    twice = twice.or(Some(ahead.walked()));
                }
                if open_qop {
                    offer = value
                        .as_received()
                        .split(|&b| b == b',' || Class::LWS.has(b))
                        .filter(|token| !token.is_empty())
                        .fold(offer, offered);
                }
            }
        }
        *elements = ahead;
    }
    if let Some(at) = twice {
        return Err(fault(at));
    }
    let (Some(realm), Some(nonce)) = (realm, nonce) else {
        return Err(fault(elements.walked()));
    };
    let name = algorithm.map(|name: Quoted<'b>| scan::trim_lws(name.as_received()));
    // What is written back has to be a token (RFC 7616 §3.3).
    let name = name.filter(|name| Class::TOKEN.fits(name));
    Ok(Challenge {
        realm,
        nonce,
        opaque,
        domain,
        stale: match stale {
            Some(flag)
                if flag
                    .as_received()
                    .trim_ascii()
                    .eq_ignore_ascii_case(b"true") =>
            {
                Freshness::Stale
            }
            _ => Freshness::New,
        },
        algorithm: match (algorithm, name) {
            (None, _) => Algorithm::Md5,
            (Some(empty), None) if empty.is_empty() => Algorithm::Md5,
            (Some(_), None) => Algorithm::Unknown,
            (Some(_), Some(name)) => Algorithm::from_bytes(name),
        },
        algorithm_name: name,
        qop: offer,
        bytes: elements.since(start),
    })
}

/// The offer with one more token.
fn offered(offer: QopOffer, token: &[u8]) -> QopOffer {
    let auth = scan::eq_ignore_case(token, b"auth");
    let auth_int = scan::eq_ignore_case(token, b"auth-int");
    match offer {
        QopOffer::Both => QopOffer::Both,
        QopOffer::Auth if auth_int => QopOffer::Both,
        QopOffer::AuthInt if auth => QopOffer::Both,
        QopOffer::Auth | QopOffer::AuthInt => offer,
        QopOffer::Absent | QopOffer::Unknown if auth => QopOffer::Auth,
        QopOffer::Absent | QopOffer::Unknown if auth_int => QopOffer::AuthInt,
        QopOffer::Absent | QopOffer::Unknown => QopOffer::Unknown,
    }
}

/// Below which algorithm a challenge is refused, against downgrade (RFC 8760 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Floor {
    /// MD5 and better: every algorithm that is known here.
    #[default]
    Md5,
    /// SHA-256 and better. AKA is not measured by it: its password serves once.
    Sha256,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unanswerable {
    /// The algorithm is not known, or our secret does not serve for it.
    Algorithm,
    /// The algorithm is below the configured floor.
    BelowFloor,
    /// No known `qop` is offered, or a session algorithm comes without `qop`.
    Qop,
}

/// The algorithms for which there is a secret, and the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Acceptable {
    source: Source,
    floor: Floor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Source {
    Password,
    Ha1(Hash),
    Card,
    Any,
}

impl Acceptable {
    /// There is a password: every algorithm but AKA.
    pub const PASSWORD: Self = Self::new(Source::Password);
    /// There is a card: AKA only.
    pub const CARD: Self = Self::new(Source::Card);
    /// The application is asked, and may have either: every known algorithm.
    pub const ANY: Self = Self::new(Source::Any);

    /// There is an HA1: the algorithms on its hash function only.
    pub const fn ha1(hash: Hash) -> Self {
        Self::new(Source::Ha1(hash))
    }

    /// The same, and nothing below `floor`.
    #[must_use]
    pub const fn with_floor(mut self, floor: Floor) -> Self {
        self.floor = floor;
        self
    }

    /// Whether a challenge can be answered.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(self, challenge: &Challenge<'_>) -> Result<(), Unanswerable> {
        let hash = challenge.algorithm.hash().ok_or(Unanswerable::Algorithm)?;
        let aka = challenge.algorithm.is_aka();
        let served = match self.source {
            Source::Password => !aka,
            Source::Ha1(ours) => !aka && ours == hash,
            Source::Card => aka,
            Source::Any => true,
        };
        if !served {
            return Err(Unanswerable::Algorithm);
        }
        if self.floor == Floor::Sha256 && hash == Hash::Md5 && !aka {
            return Err(Unanswerable::BelowFloor);
        }
        challenge.qop_to_use().map(|_| ())
    }

    const fn new(source: Source) -> Self {
        Self {
            source,
            floor: Floor::Md5,
        }
    }
}

/// The topmost challenge that can be answered (RFC 8760 §2.4); faulty ones are ignored.
///
/// Several header fields are walked with `flat_map`:
/// `choose(message.all(name).flat_map(Challenges::new), acceptable)`.
pub fn choose<'b>(
    challenges: impl IntoIterator<Item = Result<Challenge<'b>, ParseError>>,
    acceptable: Acceptable,
) -> Option<Challenge<'b>> {
    challenges
        .into_iter()
        .flatten()
        .find(|challenge| acceptable.check(challenge).is_ok())
}

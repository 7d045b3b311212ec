//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760; AKA: RFC 3310, RFC 4169).
//!
//! A server refuses a request with 401 or 407 and a [`Challenge`]; the client sends the request
//! again with credentials, the response digest among them; a successful answer may carry
//! [`AuthenticationInfo`] with the nonce to use next and a proof of the server's own. Here are
//! the bytes of all that: [`Challenges`] reads the challenges out of a header value, [`choose`]
//! takes the one to answer, [`write_credentials`] answers it, [`Authorization`] reads an answer
//! back, for servers. [`AkaNonce`] is what an IMS core asks the card. What to do when, and how often, is decided in [`crate::sip::auth`].
//!
//! Texts of the peer are kept as they were received, in [`Quoted`]: what goes back goes back as
//! it came, and what is hashed is hashed as it is meant (RFC 7616 §3.3, `unq`).
//!
//! ```
//! use oma_im::wire::digest::{Acceptable, Answer, Challenges, Cnonce, Secret, choose, write_credentials};
//! use oma_im::wire::sink::Sink;
//!
//! let header = br#"Digest realm="a.example", nonce="f84f1cec", qop="auth", algorithm=MD5"#;
//! let challenge = choose(Challenges::new(header), Acceptable::PASSWORD).unwrap();
//! let mut out = [0; 400];
//! let mut sink = Sink::new(&mut out);
//! write_credentials(&mut sink, &challenge, &Answer {
//!     username: b"alice",
//!     secret: Secret::Password(b"wonderland"),
//!     method: b"REGISTER",
//!     uri: b"sip:a.example",
//!     body: &[],
//!     cnonce: Cnonce(0x0a4f_113b),
//!     nc: 1,
//! })?;
//! let value = sink.written().unwrap();
//! assert!(value.starts_with(br#"Digest username="alice",realm="a.example",uri="sip:a.example""#));
//! # Ok::<(), oma_im::wire::digest::AnswerError>(())
//! ```

mod aka;
mod challenge;
mod compute;
mod credentials;
mod params;

pub use aka::{AkaNonce, AkaV2Password, Auts};
pub use challenge::{
    Acceptable, Challenge, Challenges, Floor, Freshness, QopOffer, Unanswerable, choose,
};
pub use compute::{Ha1, Response, Secret};
pub use credentials::{
    Answer, AnswerError, AuthenticationInfo, Authorization, Cnonce, Credentials, Proof, Verdict,
    write_credentials, write_empty_credentials,
};
pub use params::Quoted;

/// The hash function under an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Hash {
    /// MD5, 16 bytes (RFC 1321).
    Md5,
    /// SHA-256, 32 bytes.
    Sha256,
}

/// The `algorithm` of a challenge (RFC 7616 §3.3, §6.1; RFC 3310 §3.1; RFC 4169 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Algorithm {
    /// `MD5`; also meant when a challenge names none (RFC 7616 §3.3).
    Md5,
    /// `MD5-sess`.
    Md5Sess,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Sess,
    /// `AKAv1-MD5`: MD5 with the RES of a card as password (RFC 3310 §3.3).
    AkaV1Md5,
    /// `AKAv2-MD5`: MD5 with a password derived from RES, IK and CK (RFC 4169 §2.1).
    AkaV2Md5,
    /// Any other; a challenge with it is not answered (RFC 7616 §3.3).
    Unknown,
}

/// The names, once for reading and writing.
const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("MD5", Algorithm::Md5),
    ("MD5-sess", Algorithm::Md5Sess),
    ("SHA-256", Algorithm::Sha256),
    ("SHA-256-sess", Algorithm::Sha256Sess),
    ("AKAv1-MD5", Algorithm::AkaV1Md5),
    ("AKAv2-MD5", Algorithm::AkaV2Md5),
];

impl Algorithm {
    /// The algorithm of this name, in any case.
    pub fn from_bytes(name: &[u8]) -> Self {
        ALGORITHMS
            .iter()
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
            .map_or(Self::Unknown, |(_, algorithm)| *algorithm)
    }

    /// Its registered name; `None` for [`Algorithm::Unknown`].
    pub fn name(self) -> Option<&'static str> {
        let entry = ALGORITHMS.iter().find(|(_, known)| *known == self);
        entry.map(|(name, _)| *name)
    }

    /// The hash function under it; `None` for [`Algorithm::Unknown`].
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::Md5 | Self::Md5Sess | Self::AkaV1Md5 | Self::AkaV2Md5 => Some(Hash::Md5),
            Self::Sha256 | Self::Sha256Sess => Some(Hash::Sha256),
            Self::Unknown => None,
        }
    }

    /// Whether the secret is that of a SIM card (RFC 3310, RFC 4169).
    pub const fn is_aka(self) -> bool {
        matches!(self, Self::AkaV1Md5 | Self::AkaV2Md5)
    }

    /// Whether it is a session variant: A1 holds the nonce and the cnonce (RFC 7616 §3.4.2).
    pub const fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
    }
}

/// The quality of protection that credentials use (RFC 7616 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Qop {
    /// Without `qop`: the form of RFC 2069, for servers that offer none.
    Absent,
    /// `auth`.
    Auth,
    /// `auth-int`: the body is protected too.
    AuthInt,
}

impl Qop {
    /// The token on the wire; `None`: the parameter is left out.
    pub const fn token(self) -> Option<&'static str> {
        match self {
            Self::Absent => None,
            Self::Auth => Some("auth"),
            Self::AuthInt => Some("auth-int"),
        }
    }
}

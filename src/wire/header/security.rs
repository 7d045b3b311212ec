//! Security mechanisms: what client and server offer each other before IPsec protects the path
//! (RFC 3329 §2.2; `ipsec-3gpp`: its appendix A, with the parameters of TS 33.203 annex H).
//!
//! [`SecurityMechanism`] is one element of any of the three lists. [`Ipsec3gpp`] is one of them that is
//! complete: it is what a client offers, what [`choose_ipsec`] takes out of the server's list, and
//! what the platform needs to set the security associations up. [`put_security_list`] keeps the
//! server's list for Security-Verify.
//!
//! The text of TS 33.203 was not at hand. That it has `spi-c`, `spi-s`, `port-c`, `port-s` in place of
//! `spi`, `port1`, `port2`, and which algorithms it adds, is known from deployed lists.

use crate::wire::error::ParseError;
use crate::wire::scan::{Params, eq_ignore_case};
use crate::wire::sink::Sink;
use crate::wire::writer::{Raw, Value, sealed::Sealed};

use super::number::parse_q;
use super::token::{number, token_and_params};

/// One value of Security-Client, Security-Server or Security-Verify (RFC 3329 §2.2).
#[derive(Clone, Copy, Debug)]
pub struct SecurityMechanism<'b> {
    /// The mechanism: `ipsec-3gpp`, `tls`, `digest`, ...; compares without case.
    pub mechanism: &'b [u8],
    /// The parameters.
    pub params: Params<'b>,
}

/// One value of Security-Client (RFC 3329 §2.2).
pub type SecurityClient<'b> = SecurityMechanism<'b>;
/// One value of Security-Server (RFC 3329 §2.2).
pub type SecurityServer<'b> = SecurityMechanism<'b>;
/// One value of Security-Verify (RFC 3329 §2.2).
pub type SecurityVerify<'b> = SecurityMechanism<'b>;

impl<'b> SecurityMechanism<'b> {
    /// Parses one value.
    ///
    /// # Errors
    /// `HeaderValue` if it is no token with well-formed parameters.
    pub fn parse(value: &'b [u8]) -> Result<Self, ParseError> {
        let (mechanism, params) = token_and_params(value)?;
        Ok(Self { mechanism, params })
    }

    /// The preference in thousandths, 0 to 1000; `None` if absent or malformed.
    pub fn q(&self) -> Option<u16> {
        parse_q(self.params.value(b"q")?)
    }

    /// A parameter that is a number: `spi-c`, `spi-s`, `port-c`, `port-s`; `None` if absent or no
    /// 32-bit number.
    pub fn number(&self, name: &[u8]) -> Option<u32> {
        number(self.params, name)
    }

    /// All that two sides have to know of an `ipsec-3gpp`, what is left out taken as appendix A says:
    /// `prot` as `esp`, `mod` as `trans`, `ealg` as `null`.
    ///
    /// `None`: it is another mechanism; it lacks `alg`, an SPI or a port, or one is out of its range; or it has an
    /// algorithm, protocol or mode that is not known here. Such a mechanism cannot be set up.
    pub fn ipsec(&self) -> Option<Ipsec3gpp> {
        if !eq_ignore_case(self.mechanism, Ipsec3gpp::MECHANISM) {
            return None;
        }
        let token = |name: &[u8]| self.params.get(name).map(|p| p.value.unwrap_or_default());
        let port = |name: &[u8]| {
            let port = u16::try_from(self.number(name)?).ok()?;
            (port != 0).then_some(port)
        };
        Some(Ipsec3gpp {
            suite: IpsecSuite {
                alg: Integrity::from_token(token(b"alg")?)?,
                ealg: token(b"ealg").map_or(Some(Encryption::Null), Encryption::from_token)?,
                prot: token(b"prot").map_or(Some(IpsecProtocol::Esp), IpsecProtocol::from_token)?,
                mode: token(b"mod").map_or(Some(IpsecMode::Transport), IpsecMode::from_token)?,
            },
            spi_c: self.number(b"spi-c")?,
            spi_s: self.number(b"spi-s")?,
            port_c: port(b"port-c")?,
            port_s: port(b"port-s")?,
        })
    }
}

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All that are known here.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The token on the wire.
            pub const fn token(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one of this token, in any case.
            pub fn from_token(token: &[u8]) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| eq_ignore_case(known.token().as_bytes(), token))
            }
        }
    )*};
}

tokens! {
    /// The integrity algorithm of an `ipsec-3gpp`: `alg`.
    Integrity {
        /// HMAC-MD5-96 (RFC 3329 appendix A).
        HmacMd5_96 = "hmac-md5-96",
        /// HMAC-SHA-1-96 (RFC 3329 appendix A).
        HmacSha1_96 = "hmac-sha-1-96",
        /// AES-GMAC (TS 33.203).
        AesGmac = "aes-gmac",
        /// None, beside an encryption that protects integrity too (TS 33.203).
        Null = "null",
    }
    /// The encryption algorithm of an `ipsec-3gpp`: `ealg`.
    Encryption {
        /// None (RFC 3329 appendix A).
        Null = "null",
        /// 3DES (RFC 3329 appendix A).
        DesEde3Cbc = "des-ede3-cbc",
        /// AES in CBC mode (TS 33.203).
        AesCbc = "aes-cbc",
        /// AES in GCM mode (TS 33.203).
        AesGcm = "aes-gcm",
    }
    /// The IPsec protocol of an `ipsec-3gpp`: `prot` (RFC 3329 appendix A).
    IpsecProtocol {
        /// Encapsulating Security Payload; the default.
        Esp = "esp",
        /// Authentication Header.
        Ah = "ah",
    }
    /// The mode of an `ipsec-3gpp`: `mod`.
    IpsecMode {
        /// Transport; the default (RFC 3329 appendix A).
        Transport = "trans",
        /// Tunnel (RFC 3329 appendix A).
        Tunnel = "tun",
        /// A tunnel in UDP, through a NAT (TS 33.203).
        UdpTunnel = "UDP-enc-tun",
    }
}

/// What an `ipsec-3gpp` does to the bytes: what two sides have to have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct IpsecSuite {
    /// The integrity algorithm.
    pub alg: Integrity,
    /// The encryption algorithm.
    pub ealg: Encryption,
    /// The protocol.
    pub prot: IpsecProtocol,
    /// The mode.
    pub mode: IpsecMode,
}

impl IpsecSuite {
    /// ESP in transport mode with these algorithms.
    pub const fn esp(alg: Integrity, ealg: Encryption) -> Self {
        Self {
            alg,
            ealg,
            prot: IpsecProtocol::Esp,
            mode: IpsecMode::Transport,
        }
    }
}

/// One complete `ipsec-3gpp`, ours or the server's.
///
/// As a header value it is written with every parameter that has no default, the encryption included:
///
/// ```
/// use oma_im::wire::header::{Encryption, Integrity, Ipsec3gpp, IpsecSuite, SecurityMechanism};
/// use oma_im::wire::sink::Sink;
/// use oma_im::wire::writer::Value;
///
/// let offer = Ipsec3gpp {
///     suite: IpsecSuite::esp(Integrity::HmacSha1_96, Encryption::AesCbc),
///     spi_c: 23456789, spi_s: 12345678, port_c: 2468, port_s: 1357,
/// };
/// let mut out = [0; 120];
/// let mut sink = Sink::new(&mut out);
/// offer.write(&mut sink);
/// let value = sink.written().unwrap();
/// assert_eq!(value, b"ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=23456789;spi-s=12345678;port-c=2468;port-s=1357");
/// assert_eq!(SecurityMechanism::parse(value)?.ipsec(), Some(offer));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Ipsec3gpp {
    /// What it does.
    pub suite: IpsecSuite,
    /// The SPI of what comes in at the protected client port of the side that wrote this.
    pub spi_c: u32,
    /// The SPI of what comes in at its protected server port.
    pub spi_s: u32,
    /// Its protected client port.
    pub port_c: u16,
    /// Its protected server port.
    pub port_s: u16,
}

impl Ipsec3gpp {
    /// The name of the mechanism.
    pub const MECHANISM: &'static [u8] = b"ipsec-3gpp";
}

impl Sealed for Ipsec3gpp {}
impl Value for Ipsec3gpp {
    fn write(&self, sink: &mut Sink<'_>) {
        let IpsecSuite {
            alg,
            ealg,
            prot,
            mode,
        } = self.suite;
        let mut token = |name: &[u8], token: &str| {
            sink.put(name);
            sink.put(token.as_bytes());
        };
        token(Self::MECHANISM, "");
        token(b";alg=", alg.token());
        if prot != IpsecProtocol::Esp {
            token(b";prot=", prot.token());
        }
        if mode != IpsecMode::Transport {
            token(b";mod=", mode.token());
        }
        token(b";ealg=", ealg.token());
        for (name, number) in [
            (&b";spi-c="[..], self.spi_c),
            (b";spi-s=", self.spi_s),
            (b";port-c=", self.port_c.into()),
            (b";port-s=", self.port_s.into()),
        ] {
            sink.put(name);
            sink.put_u32(number);
        }
    }
}

/// The mechanism to use: of the server's list the one with the highest `q` that we offered
/// (RFC 3329 §2.3.1); of equals, and where none has a `q`, the first. One without a `q` is below all that have one.
///
/// `server` are the elements of all Security-Server fields, as
/// [`Message::values`](crate::wire::message::Message::values) gives them; elements that are malformed or
/// cannot be set up are passed over.
pub fn choose_ipsec<'b>(
    server: impl IntoIterator<Item = &'b [u8]>,
    offered: &[IpsecSuite],
) -> Option<Ipsec3gpp> {
    let mut best = None;
    for element in server {
        let Ok(mechanism) = SecurityMechanism::parse(element) else {
            continue;
        };
        let Some(theirs) = mechanism.ipsec() else {
            continue;
        };
        let q = mechanism.q();
        if offered.contains(&theirs.suite) && best.is_none_or(|(_, best_q)| q > best_q) {
            best = Some((theirs, q));
        }
    }
    best.map(|(theirs, _)| theirs)
}

/// Puts the values of all Security-Server fields as one list, byte for byte and in their order: what
/// Security-Verify gives back (RFC 3329 §2.3.1).
///
/// `server` are the whole values, as [`Message::all`](crate::wire::message::Message::all) gives them. A fold is
/// put as a space. Written out with [`Raw`].
pub fn put_security_list<'b>(sink: &mut Sink<'_>, server: impl IntoIterator<Item = &'b [u8]>) {
    let start = sink.len();
    for value in server {
        if sink.len() != start {
            sink.put(b", ");
        }
        Raw(value).write(sink);
    }
}

//! Who the users are, and how the server behaves when no rule says otherwise.

use std::net::SocketAddr;
use std::prelude::rust_2024::*;
use std::vec;

use super::{Challenge, ChallengeHeader, Ims, Outbound, Package};

/// Whether the server does something that it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// A user of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User part of the address of record.
    pub name: String,
    /// Username of the credentials.
    pub auth_name: String,
    /// The password.
    pub password: String,
    /// All public identities, the default one first: `sip:name@domain`, then those of [`User::identity`].
    pub identities: Vec<String>,
    /// Those of them that are registered but barred, as the one made from a USIM: they are not associated.
    pub barred: Vec<String>,
}

impl User {
    /// A user whose credentials have the username `name`.
    pub fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.into(),
            auth_name: name.into(),
            password: password.into(),
            identities: Vec::new(),
            barred: Vec::new(),
        }
    }

    /// Another username for the credentials (an IMS private identity).
    #[must_use]
    pub fn auth_name(mut self, name: &str) -> Self {
        self.auth_name = name.into();
        self
    }

    /// One more public identity: a `sip:` or `tel:` URI.
    #[must_use]
    pub fn identity(mut self, uri: &str) -> Self {
        self.identities.push(uri.into());
        self
    }

    /// Bars one of the public identities: it is told to nobody, and nobody may be told it.
    #[must_use]
    pub fn barred(mut self, uri: &str) -> Self {
        self.barred.push(uri.into());
        self
    }

    /// The public identities that are not barred, the default one first.
    pub(super) fn associated(&self) -> impl Iterator<Item = &String> {
        self.identities
            .iter()
            .filter(|identity| !self.barred.contains(identity))
    }
}

/// How the server behaves when no rule says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Domain of its users.
    pub domain: String,
    /// Its own address, for Via and Service-Route.
    pub address: SocketAddr,
    /// Challenges for REGISTER; none asks for no credentials.
    pub register_auth: Vec<Challenge>,
    /// Challenges for everything else.
    pub request_auth: Vec<Challenge>,
    /// Shortest registration in seconds; less gets 423 (RFC 3261 §10.3 step 7).
    pub min_expires: u32,
    /// Longest registration in seconds; more is cut.
    pub max_expires: u32,
    /// Registration without Expires, in seconds.
    pub default_expires: u32,
    /// Service-Route of the 200 to REGISTER (RFC 3608).
    pub service_route: Vec<String>,
    /// RFC 5626.
    pub outbound: Outbound,
    /// Whether public GRUUs are given out (RFC 5627).
    pub gruu: Feature,
    /// Whether temporary ones are.
    pub temporary_gruu: Feature,
    /// Value for a Via `keep` parameter in seconds (RFC 6223).
    pub keep: Option<u32>,
    /// Whether CRLF CRLF on streams is answered (RFC 5626 §3.5.1).
    pub crlf_pong: Feature,
    /// Whether STUN Binding requests are answered (RFC 5626 §3.5.2).
    pub stun: Feature,
    /// Whether messages for users who are away are kept (202), or refused (480).
    pub store: Feature,
    /// How long a user who is registered but silent is tried, before that counts as away.
    pub forward_ms: u64,
    /// Event packages that it knows; others get 489.
    pub packages: Vec<Package>,
    /// Record-Route of a 2xx that makes a dialog, topmost first.
    pub record_route: Vec<String>,
    /// Whether it is an IMS core; then `register_auth` and `request_auth` have no meaning.
    pub ims: Option<Ims>,
}

impl Config {
    /// A plain SIP core: MD5 with `qop=auth` asked by 401 for REGISTER and by 407 for the rest, outbound understood,
    /// store-and-forward, the event packages `poc-settings` and `reg`.
    pub fn new(domain: &str, address: SocketAddr) -> Self {
        Self {
            domain: domain.into(),
            address,
            register_auth: vec![Challenge::new(ChallengeHeader::Www, domain)],
            request_auth: vec![Challenge::new(ChallengeHeader::Proxy, domain)],
            min_expires: 60,
            max_expires: 3_600,
            default_expires: 3_600,
            service_route: Vec::new(),
            outbound: Outbound::On,
            gruu: Feature::Off,
            temporary_gruu: Feature::Off,
            keep: None,
            crlf_pong: Feature::On,
            stun: Feature::On,
            store: Feature::On,
            forward_ms: 16_000,
            packages: vec![Package::poc_settings(), Package::reg()],
            record_route: Vec::new(),
            ims: None,
        }
    }
}

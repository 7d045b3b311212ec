//! The account: the configuration's text, checked once and kept as one block of the arena.
//!
//! The block never moves out and never changes; a field is a run of bytes in it.

use crate::arena::{Arena, Block, NoRoom};
use crate::config::{Config, Core, Credentials, Release, Transport};
use crate::error::ConfigError;
use crate::im::tags;
use crate::limits::{MAX_MECHANISMS, MAX_PATHS};
use crate::wire::scan::{Class, pieces};
use crate::wire::sink::Sink;
use crate::wire::uri::{Host, Scheme, Uri};

/// A text of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Field {
    /// The IM Address.
    ImAddress,
    /// The Request-URI of REGISTER: scheme and host of the IM Address.
    Registrar,
    /// The private identity.
    User,
    /// Password or HA1.
    Secret,
    /// The realm that credentials are for.
    Realm,
    /// The display name.
    DisplayName,
    /// The instance URN.
    Instance,
    /// The whole User-Agent value.
    UserAgent,
    /// Further Contact parameters in REGISTER.
    FeatureTags,
    /// The name of the entity in the settings document.
    Entity,
    /// Host of the first next hop.
    Host0,
    /// Host of the second next hop.
    Host1,
}

const FIELDS: usize = 12;

/// Where the account's text lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    block: Option<Block>,
    ends: [u16; FIELDS],
}

impl Account {
    /// Checks the text of `config` and keeps it.
    pub(crate) fn new(config: &Config<'_>, arena: &mut Arena<'_>) -> Result<Self, ConfigError> {
        let address =
            Uri::parse(config.im_address.as_bytes()).map_err(|_| ConfigError::ImAddress)?;
        if !matches!(address.scheme(), Scheme::Sip | Scheme::Sips) || address.user().is_none() {
            return Err(ConfigError::ImAddress);
        }
        let hops = config.next_hops;
        if hops.is_empty() || hops.len() > MAX_PATHS {
            return Err(ConfigError::NextHops);
        }
        if hops
            .iter()
            .any(|hop| Host::parse(hop.host.as_bytes()).is_err())
        {
            return Err(ConfigError::NextHopHost);
        }
        let instance = config.instance.unwrap_or_default();
        let bad_urn = |c: u8| c <= b' ' || c >= 0x7f || matches!(c, b'"' | b'<' | b'>' | b'\\');
        if !instance.is_empty() && (!instance.starts_with("urn:") || instance.bytes().any(bad_urn))
        {
            return Err(ConfigError::Instance);
        }
        let (user, secret, realm): (&str, &[u8], &str) = match &config.credentials {
            Credentials::None => ("", b"", ""),
            Credentials::Password { user, password } => (user, password.as_bytes(), ""),
            Credentials::Ha1 { user, realm, ha1 } => (user, ha1, realm),
            Credentials::Ask { user } | Credentials::Aka { user } => (user, b"", ""),
        };
        let realm = config.realm.unwrap_or(realm);
        let name = config.display_name.unwrap_or_default();
        let control = |text: &str| text.bytes().any(|c| c < b' ' || c == 0x7f);
        let entity = config.settings_entity.unwrap_or_default();
        let texts = [user, realm, name, config.product, config.feature_tags];
        if texts.into_iter().chain([entity]).any(control) {
            return Err(ConfigError::Text);
        }
        let product = |p: &str| {
            pieces(p, b'/').count() <= 2 && pieces(p, b'/').all(|t| Class::TOKEN.fits(t.as_bytes()))
        };
        if !pieces(config.product, b' ')
            .filter(|p| !p.is_empty())
            .all(product)
        {
            return Err(ConfigError::Product);
        }
        if config.registration_expires == 0 || config.registration_expires > 1 << 31 {
            return Err(ConfigError::Expires);
        }
        check_core(config)?;
        let release = match config.release {
            Release::Oma1_0 => tags::USER_AGENT_1_0,
            Release::Oma2_0 => tags::USER_AGENT_2_0,
        };
        let host = |i: usize| hops.get(i).map_or("", |hop| hop.host);
        let mut ends = [0_u16; FIELDS];
        let block = arena
            .alloc_with(|out| {
                let mut sink = Sink::new(out);
                let mut fields = ends.iter_mut();
                let mut close = |sink: &Sink<'_>| {
                    if let Some(end) = fields.next() {
                        *end = u16::try_from(sink.len()).unwrap_or(u16::MAX);
                    }
                };
                sink.put(config.im_address.as_bytes());
                close(&sink);
                // RFC 3261 §10.2: the Request-URI has no user part and no "@".
                sink.put(if address.scheme() == Scheme::Sips {
                    b"sips:"
                } else {
                    b"sip:"
                });
                sink.put(host_part(config.im_address.as_bytes()));
                close(&sink);
                for text in [user.as_bytes(), secret, realm.as_bytes(), name.as_bytes()] {
                    sink.put(text);
                    close(&sink);
                }
                sink.put(instance.as_bytes());
                close(&sink);
                sink.put(release.as_bytes());
                if !config.product.is_empty() {
                    sink.put(b" ");
                    sink.put(config.product.as_bytes());
                }
                close(&sink);
                sink.put(config.feature_tags.as_bytes());
                close(&sink);
                sink.put(entity.as_bytes());
                close(&sink);
                for i in 0..MAX_PATHS {
                    sink.put(host(i).as_bytes());
                    close(&sink);
                }
                sink.finish()
            })
            .map_err(|full| match full {
                NoRoom::Bytes { needed, available } => ConfigError::Arena { needed, available },
                NoRoom::Blocks { .. } => ConfigError::Storage,
            })?;
        Ok(Self {
            block: Some(block),
            ends,
        })
    }

    /// The text of a field; empty if it was not given.
    pub(crate) fn get<'a>(&self, arena: &'a Arena<'_>, field: Field) -> &'a [u8] {
        let text = self.block.map_or(&[][..], |block| arena.get(block));
        self.slice(text, field)
    }

    /// The text of a field, while blocks are read.
    pub(crate) fn text_in<'a>(&self, blocks: crate::arena::Blocks<'a>, field: Field) -> &'a [u8] {
        let text = self.block.map(|block| blocks.get(block));
        self.slice(text.unwrap_or_default(), field)
    }

    /// The block that the text is in.
    pub(crate) const fn block(&self) -> Option<Block> {
        self.block
    }

    /// The text of a field, in the bytes of the block.
    pub(crate) fn slice<'a>(&self, text: &'a [u8], field: Field) -> &'a [u8] {
        let at = field as usize;
        let end = self.ends.get(at).copied().unwrap_or(0);
        let start = at
            .checked_sub(1)
            .and_then(|i| self.ends.get(i))
            .copied()
            .unwrap_or(0);
        text.get(usize::from(start)..usize::from(end))
            .unwrap_or_default()
    }
}

/// An IMS core has its own credentials, and its own protection of the path.
fn check_core(config: &Config<'_>) -> Result<(), ConfigError> {
    let aka = matches!(config.credentials, Credentials::Aka { .. });
    if matches!(config.credentials, Credentials::Aka { user: "" }) {
        return Err(ConfigError::Credentials);
    }
    let Core::Ims(ims) = config.core else {
        return if aka {
            Err(ConfigError::Credentials)
        } else {
            Ok(())
        };
    };
    if !aka {
        return Err(ConfigError::Credentials);
    }
    let count = 1..=MAX_MECHANISMS;
    if !count.contains(&ims.mechanisms.len()) || ims.invalid_challenges == 0 {
        return Err(ConfigError::Mechanisms);
    }
    if config
        .next_hops
        .iter()
        .any(|hop| hop.transport == Transport::Tls)
    {
        return Err(ConfigError::ImsTransport);
    }
    Ok(())
}

/// Host and port of a SIP URI that has a user part.
fn host_part(uri: &[u8]) -> &[u8] {
    let host = uri
        .iter()
        .rposition(|c| *c == b'@')
        .map_or(0, |at| at.saturating_add(1));
    let host = uri.get(host..).unwrap_or_default();
    host.split(|c| matches!(c, b';' | b'?'))
        .next()
        .unwrap_or_default()
}

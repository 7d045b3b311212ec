//! A REGISTER as it is written, and the address that its Contact shows.
//!
//! The Contact's user is ours and random, so that it is found again whatever the network makes of
//! the address (RFC 3261 §10.2.4). An OPTIONS that keeps a flow open is written here as well: it
//! goes to the registrar.

use core::net::SocketAddr;

use crate::arena::{Block, Blocks};
use crate::client::account::Field;
use crate::client::engine::Engine;
use crate::client::flows::{Flow, Path, Rewrite};
use crate::client::register::gruu::{BoundGruus, GruuContact};
use crate::config::{Gruu, Nat, Transport};
use crate::id::PathId;
use crate::im::pager::Anonymity;
use crate::im::tags;
use crate::sip::draft::{Cuts, hex};
use crate::sip::registration::State;
use crate::wire::name::{Method, Name};
use crate::wire::sink::Sink;
use crate::wire::writer::{Hex, MessageWriter, NameAddr, Param, Text, Token, UriText, Value};

impl Engine<'_> {
    pub(super) fn draft_register(&mut self, path_id: PathId) -> Option<(Block, Cuts)> {
        let path = self.path(path_id)?;
        let flow = self.flow(self.register_flow(path_id)?)?;
        let seconds = match path.registration.state() {
            State::Deregistering { .. } => 0,
            _ => path.registration.expires(),
        };
        let transport = flow.transport;
        let address = self.shown(path, flow);
        let (call_id, tag, contact) = (path.call_id, path.tag, path.contact);
        let rewrite = path.rewrite;
        let key = self.core.policy.key;
        let outbound = self.is_outbound();
        let gruu = self.core.policy.gruu;
        let account = self.core.account;
        let mut cuts = Cuts::NONE;
        let written = self.arena.alloc_from(|blocks, out| {
            let text = account
                .block()
                .map(|block| blocks.get(block))
                .unwrap_or_default();
            let get = |field| account.slice(text, field);
            let str = |field| core::str::from_utf8(get(field)).unwrap_or("");
            let unknown = const { UriText::fixed(tags::ANONYMOUS_URI) };
            let registrar = UriText::new(get(Field::Registrar)).unwrap_or(unknown);
            let address_of_record = UriText::new(get(Field::ImAddress)).unwrap_or(unknown);
            let mut w = MessageWriter::request(out, Method::Register, registrar);
            let line = w.len();
            let from = [Param::new_tag(tag)];
            w.header(Name::From, NameAddr::new(address_of_record).params(&from));
            w.header(Name::To, NameAddr::new(address_of_record));
            w.header(Name::CallId, Hex(&call_id.to_be_bytes()));
            let ident = w.len();
            let instance = get(Field::Instance);
            let new_contact = NewContact {
                key,
                user: contact,
                address,
                transport,
                instance,
                reg_id: outbound.then(|| u32::from(path_id.0).saturating_add(1)),
                feature_tags: get(Field::FeatureTags),
                seconds,
            };
            w.header(Name::Contact, new_contact);
            if let Rewrite::UnderWay { old } = rewrite {
                // RFC 3261 §10.2.2: requests would go to the old address as well.
                let old_contact = OldContact {
                    key,
                    user: contact,
                    address: old.into(),
                    transport,
                };
                w.header(Name::Contact, old_contact);
            }
            // RFC 3261 §10.2.1.1: for a registrar that does not read the parameter.
            w.header(Name::Expires, seconds);
            // RFC 3327 §5.1; RFC 5626 §4.2.1; RFC 5627 §4.1.
            let supported = match (outbound, gruu) {
                (true, Gruu::On) => const { Text::fixed("path, outbound, gruu") },
                (true, Gruu::Off) => const { Text::fixed("path, outbound") },
                (false, Gruu::On) => const { Text::fixed("path, gruu") },
                (false, Gruu::Off) => const { Text::fixed("path") },
            };
            w.header(Name::Supported, supported);
            w.header(
                Name::UserAgent,
                Text::new(str(Field::UserAgent)).unwrap_or(const { Text::fixed("") }),
            );
            let len = w.no_body().finish()?;
            cuts = Cuts::of_draft(line, ident, len);
            Ok(len)
        });
        written.ok().map(|block| (block, cuts))
    }

    /// The draft of an OPTIONS to the registrar, as a keep-alive.
    pub(crate) fn draft_options(&mut self) -> Option<(Block, Cuts)> {
        let account = self.core.account;
        let fresh = self.fresh();
        let mut cuts = Cuts::NONE;
        let written = self.arena.alloc_from(|blocks, out| {
            let text = account
                .block()
                .map(|block| blocks.get(block))
                .unwrap_or_default();
            let unknown = const { UriText::fixed(tags::ANONYMOUS_URI) };
            let registrar = UriText::new(account.slice(text, Field::Registrar)).unwrap_or(unknown);
            let own = UriText::new(account.slice(text, Field::ImAddress)).unwrap_or(unknown);
            let mut w = MessageWriter::request(out, Method::Options, registrar);
            let line = w.len();
            let tag = [Param::tag(Token::random(&fresh.tag))];
            w.header(Name::From, NameAddr::new(own).params(&tag));
            w.header(Name::To, NameAddr::new(registrar));
            w.header(Name::CallId, Token::random(&fresh.call_id));
            let ident = w.len();
            let len = w.no_body().finish()?;
            cuts = Cuts::of_draft(line, ident, len);
            Ok(len)
        });
        written.ok().map(|block| (block, cuts))
    }

    /// Our Contact on a path, for requests that begin a dialog.
    ///
    /// RFC 5627 §4.4: a GRUU, where there is one that may be shown. Otherwise our address; its user
    /// is random, so it names nobody (RFC 3323 §4.1.1.3).
    pub(crate) fn own_contact(&self, path_id: PathId, anonymity: Anonymity) -> Option<OwnContact> {
        let path = self.path(path_id)?;
        let flow = self.flow(self.main_flow(path_id)?)?;
        Some(OwnContact {
            gruus: self.bound_gruus(path_id),
            anonymity,
            key: self.core.policy.key,
            user: path.contact,
            address: self.shown(path, flow),
            transport: flow.transport,
        })
    }

    /// The address that the Contact of a path shows.
    pub(crate) fn contact_address(&self, path_id: PathId) -> Option<SocketAddr> {
        let flow = self.flow(self.main_flow(path_id)?)?;
        Some(self.shown(self.path(path_id)?, flow))
    }

    fn shown(&self, path: &Path, flow: &Flow) -> SocketAddr {
        match path.mapped {
            Some(mapped) if self.rewrites(flow.transport) => mapped.into(),
            Some(_) | None => self.given_out(flow.id, flow.local),
        }
    }

    /// Whether the Contact shows our address as the server sees it.
    pub(super) fn rewrites(&self, transport: Transport) -> bool {
        match self.core.policy.nat {
            // TS 24.229 §5.1.1.2.2 b: it shows port-s.
            _ if self.is_ims() => false,
            Nat::Rewrite => true,
            Nat::Auto => transport == Transport::Udp && !self.is_outbound(),
            Nat::Outbound | Nat::Leave => false,
        }
    }
}

/// The Contact of a REGISTER (RFC 3261 §20.10, RFC 5626 §4.2.1).
struct NewContact<'a> {
    key: u32,
    user: u32,
    address: SocketAddr,
    transport: Transport,
    instance: &'a [u8],
    reg_id: Option<u32>,
    feature_tags: &'a [u8],
    seconds: u32,
}

/// The Contact of a request that begins a dialog, with the one tag that IM needs (5.2.4).
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnContact {
    gruus: Option<BoundGruus>,
    anonymity: Anonymity,
    key: u32,
    user: u32,
    address: SocketAddr,
    transport: Transport,
}

impl OwnContact {
    /// The same, to be written.
    pub(crate) fn within(self, blocks: Blocks<'_>) -> ShownContact<'_> {
        let chosen = self.gruus.map(|gruus| gruus.choose(blocks, self.anonymity));
        match chosen.flatten() {
            Some(gruu) => ShownContact::Gruu(gruu),
            None => ShownContact::Address(self),
        }
    }
}

/// What a Contact of ours shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ShownContact<'a> {
    Gruu(GruuContact<'a>),
    Address(OwnContact),
}

impl crate::wire::writer::sealed::Sealed for ShownContact<'_> {}
impl Value for ShownContact<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        let own = match self {
            Self::Gruu(gruu) => return gruu.write(sink),
            Self::Address(own) => own,
        };
        put_contact_uri(sink, own.key, own.user, own.address, own.transport);
        sink.put(b";");
        sink.put(tags::FEATURE_TAG.as_bytes());
    }
}

/// A Contact that is taken back.
struct OldContact {
    key: u32,
    user: u32,
    address: SocketAddr,
    transport: Transport,
}

impl crate::wire::writer::sealed::Sealed for OldContact {}
impl Value for OldContact {
    fn write(&self, sink: &mut Sink<'_>) {
        put_contact_uri(sink, self.key, self.user, self.address, self.transport);
        sink.put(b";expires=0");
    }
}

fn put_contact_uri(
    sink: &mut Sink<'_>,
    key: u32,
    user: u32,
    address: SocketAddr,
    transport: Transport,
) {
    sink.put(b"<sip:");
    sink.put_hex(&key.to_be_bytes());
    sink.put_hex(&user.to_be_bytes());
    sink.put(b"@");
    sink.put_host(address.ip());
    sink.put(b":");
    sink.put_u32(u32::from(address.port()));
    match transport {
        Transport::Udp => {}
        Transport::Tcp => sink.put(b";transport=tcp"),
        Transport::Tls => sink.put(b";transport=tls"),
    }
    sink.put(b">");
}

impl crate::wire::writer::sealed::Sealed for NewContact<'_> {}
impl Value for NewContact<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        put_contact_uri(sink, self.key, self.user, self.address, self.transport);
        if !self.instance.is_empty() {
            sink.put(b";+sip.instance=\"<");
            sink.put(self.instance);
            sink.put(b">\"");
        }
        if let Some(id) = self.reg_id {
            sink.put(b";reg-id=");
            sink.put_u32(id);
        }
        // The one tag that IM needs, and what the integrator configured (the change request).
        sink.put(b";");
        sink.put(tags::FEATURE_TAG.as_bytes());
        sink.put(self.feature_tags);
        sink.put(b";expires=");
        sink.put_u32(self.seconds);
    }
}

/// Reads a Contact user of ours: the key of the client and the random part.
pub(crate) fn parse_contact_user(user: &[u8]) -> Option<(u32, u32)> {
    let (key, random) = user.split_at_checked(8)?;
    if random.len() != 8 {
        return None;
    }
    Some((
        u32::try_from(hex(key)?).ok()?,
        u32::try_from(hex(random)?).ok()?,
    ))
}

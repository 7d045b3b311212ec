//! A REGISTER as it is written, and the address that its Contact shows.
//!
//! The Contact's user is ours and random, so that it is found again whatever the network makes of
//! the address (RFC 3261 §10.2.4). An OPTIONS that keeps a flow open is written here as well: it
//! goes to the registrar.

use core::net::SocketAddr;

use crate::arena::Block;
use crate::client::account::Field;
use crate::client::engine::Engine;
use crate::client::flows::{Flow, Path, Rewrite};
use crate::config::{Nat, Transport};
use crate::id::PathId;
use crate::im::tags;
use crate::sip::draft::{Cuts, hex};
use crate::sip::registration::State;
use crate::wire::name::{Method, Name};
use crate::wire::sink::Sink;
use crate::wire::writer::{Hex, MessageWriter, NameAddr, Param, Text, Token, UriText, Value};

impl Engine<'_> {
    pub(super) fn draft_register(&mut self, path_id: PathId) -> Option<(Block, Cuts)> {
        let path = self.path(path_id)?;
        let flow = self.flow(self.main_flow(path_id)?)?;
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
            // RFC 3327 §5.1; RFC 5626 §4.2.1.
            w.header(
                Name::Supported,
                if outbound {
                    const { Text::fixed("path, outbound, gruu") }
                } else {
                    const { Text::fixed("path, gruu") }
                },
            );
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
    pub(crate) fn own_contact(&self, path_id: PathId) -> Option<OwnContact> {
        let path = self.path(path_id)?;
        let flow = self.flow(self.main_flow(path_id)?)?;
        Some(OwnContact {
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
            Some(_) | None => flow.local,
        }
    }

    /// Whether the Contact shows our address as the server sees it.
    pub(super) fn rewrites(&self, transport: Transport) -> bool {
        match self.core.policy.nat {
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
    key: u32,
    user: u32,
    address: SocketAddr,
    transport: Transport,
}

impl crate::wire::writer::sealed::Sealed for OwnContact {}
impl Value for OwnContact {
    fn write(&self, sink: &mut Sink<'_>) {
        put_contact_uri(sink, self.key, self.user, self.address, self.transport);
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

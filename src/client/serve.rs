//! The server side: what is answered, and with what (RFC 3261 §8.2).
//!
//! A request is matched with the transactions and the remembered answers first (§17.2.3), then
//! inspected in the order of §8.2: method, headers, content. Every answer that has no body and goes
//! out over a datagram flow shrinks to an [`Echo`] once it went out. The 200 to a MESSAGE waits for
//! the next poll, so that the application can refuse it.

use core::net::SocketAddr;

use crate::arena::{Block, Blocks};
use crate::client::engine::{Engine, OneShotBytes};
use crate::client::event::{Item, Trust};
use crate::client::register::{BoundGruus, GruuContact};
use crate::client::slots::{Echo, Handed, Machine, Txn, Wire};
use crate::config::{Strangers, Transport};
use crate::id::FlowId;
use crate::im::pager::Anonymity;
use crate::limits::RESERVE;
use crate::sip::transaction::{
    InviteServer, MergeKey, NonInviteServer, OldFields, Reliability, RequestKey, ServerAction,
    ServerKey, TopVia,
};
use crate::wire::error::ParseError;
use crate::wire::message::{Essentials, Message};
use crate::wire::name::{Method, Name, Status};
use crate::wire::scan;
use crate::wire::sink::TooSmall;
use crate::wire::writer::{MessageWriter, Param, Raw, ReceivedVia, Text, With};

/// The methods of `Allow`: those that have a procedure here.
pub(crate) const ALLOW: &str = "MESSAGE, NOTIFY, OPTIONS, ACK, CANCEL";
/// The content types of `Accept`; see [`crate::client::incoming`] for how each is read.
pub(crate) const ACCEPT: &str = "text/plain, text/*, message/cpim, message/imdn+xml, message/external-body, multipart/*, application/im-iscomposing+xml";
/// The methods whose requests a CANCEL is matched with (RFC 3261 §9.2: any but ACK and CANCEL).
const CANCELLABLE: [Method<'static>; 12] = [
    Method::Invite,
    Method::Message,
    Method::Options,
    Method::Notify,
    Method::Info,
    Method::Bye,
    Method::Prack,
    Method::Update,
    Method::Register,
    Method::Publish,
    Method::Subscribe,
    Method::Refer,
];
/// Encodings that a body may have.
#[cfg(feature = "deflate")]
pub(crate) const ACCEPT_ENCODING: &str = "identity, deflate";
/// Encodings that a body may have.
#[cfg(not(feature = "deflate"))]
pub(crate) const ACCEPT_ENCODING: &str = "identity";

/// What an answer carries beyond the fields that every response copies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extra {
    None,
    /// Allow (405).
    Allow,
    /// Accept and Accept-Encoding (415; RFC 3261 §8.2.3).
    Accept,
    /// Unsupported: the Require values of the request (420).
    Unsupported,
    /// Retry-After in seconds (480, 500).
    RetryAfter(u32),
    /// What this client can do (OPTIONS).
    Capabilities,
    /// Our Contact, if it is a GRUU (2xx to NOTIFY; RFC 5627 §4.4).
    Contact(BoundGruus),
}

impl Extra {
    /// What went with an answer of ours that is built again: it follows from method and status.
    fn again(method: Method<'_>, echo: &Echo) -> Self {
        match (method, echo.status) {
            (Method::Options, 200) => Self::Capabilities,
            (_, 405) => Self::Allow,
            (_, 415) => Self::Accept,
            (_, 420) => Self::Unsupported,
            _ if echo.retry_after > 0 => Self::RetryAfter(u32::from(echo.retry_after)),
            _ => Self::None,
        }
    }
}

/// How a request is known: to its transaction, and among its copies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub(crate) request: RequestKey,
    pub(crate) merge: Option<MergeKey>,
}

/// A request being served.
#[derive(Clone, Copy)]
pub(crate) struct Served<'m, 'b> {
    pub(crate) message: &'m Message<'b>,
    pub(crate) essentials: &'m Essentials<'b>,
    pub(crate) method: Method<'b>,
    pub(crate) flow: FlowId,
    pub(crate) source: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) trust: Trust,
    pub(crate) keys: Keys,
    /// P-Access-Network-Info for its answer.
    pub(crate) access: Option<Block>,
}

impl Served<'_, '_> {
    /// The tag in the To of its response, if ours is this one.
    fn to_tag(self, tag: u32) -> ToTag {
        if self.essentials.to.tag().is_some() {
            ToTag::Theirs
        } else {
            ToTag::Ours(tag)
        }
    }
}

impl Engine<'_> {
    /// A request that came in on `flow`.
    pub(crate) fn request<'b>(&mut self, flow: FlowId, message: &Message<'b>) -> Item<'b> {
        let Some((line, info)) = message.request().zip(self.flow(flow)) else {
            return Item::Nothing;
        };
        let (source, transport) = (info.remote, info.transport);
        let trust = if info.path.is_some() && !self.is_unprotected(flow) {
            Trust::Path
        } else {
            Trust::Stranger
        };
        let essentials = match message.essentials() {
            Ok(essentials) => essentials,
            Err(error) => return self.invalid(flow, source, message, error),
        };
        let keys = self.keys(message, &essentials, line.uri);
        let method = line.method;
        let served = Served {
            message,
            essentials: &essentials,
            method,
            flow,
            source,
            transport,
            trust,
            keys,
            access: self.access_for(flow, method),
        };
        let key = keys.request.of(method.as_bytes());
        if method == Method::Ack {
            self.ack(key);
            return Item::Nothing;
        }
        if self.again(&served, key) {
            return Item::Nothing;
        }
        if self.is_dropped(flow) {
            return Item::Nothing;
        }
        if method == Method::Cancel {
            // RFC 3261 §9.2: 200 if there is a transaction to cancel, whatever its method; it has no
            // effect on one that has its final response. 481 if there is none.
            let status = if self.is_cancelled_by(&keys.request) {
                200
            } else {
                481
            };
            self.answer(&served, key, status, Extra::None);
            return Item::Nothing;
        }
        if let Some(merge) = keys.merge
            && self.merged(merge, key)
        {
            // RFC 3261 §8.2.2.2: the same request came by another way.
            self.answer(&served, key, 482, Extra::None);
            return Item::Nothing;
        }
        self.dispatch(served, key)
    }

    /// RFC 3261 §8.2.1 to §8.2.3: method, then headers, then content.
    fn dispatch<'b>(&mut self, served: Served<'_, 'b>, key: ServerKey) -> Item<'b> {
        let in_dialog = served.keys.merge.is_none();
        match served.method {
            Method::Message | Method::Options if served.message.header(Name::Require).is_some() => {
                // RFC 3261 §8.2.2.3: no extension is understood that could be required here.
                self.answer(&served, key, 420, Extra::Unsupported);
            }
            // RFC 3261 §12.2.2: there is no such dialog.
            Method::Message | Method::Options | Method::Invite | Method::Info if in_dialog => {
                self.answer(&served, key, 481, Extra::None);
            }
            Method::Message => return self.message(served, key),
            Method::Options => self.answer(&served, key, 200, Extra::Capabilities),
            Method::Notify => self.notify(&served, key),
            // RFC 3261 §15.1.2, RFC 3262 §3, RFC 3311 §5.2: no dialog.
            Method::Bye | Method::Prack | Method::Update => {
                self.answer(&served, key, 481, Extra::None);
            }
            Method::Invite
            | Method::Info
            | Method::Register
            | Method::Publish
            | Method::Subscribe
            | Method::Refer
            | Method::Other(_) => self.answer(&served, key, 405, Extra::Allow),
            // Both have been dealt with.
            Method::Ack | Method::Cancel => {}
        }
        Item::Nothing
    }

    /// Answers with a final status in a transaction of its own.
    pub(crate) fn answer(
        &mut self,
        served: &Served<'_, '_>,
        key: ServerKey,
        status: u16,
        extra: Extra,
    ) {
        self.answer_incoming(served, key, status, extra, None);
    }

    /// As `answer`, for a message that the application may still refuse, with what it is known by
    /// if it comes again. Says whether there was room; without it the peer was told so.
    pub(crate) fn answer_incoming(
        &mut self,
        served: &Served<'_, '_>,
        key: ServerKey,
        status: u16,
        extra: Extra,
        incoming: Option<Handed>,
    ) -> bool {
        let tag = self.core.entropy.u32();
        let Some(code) = Status::new(status) else {
            return false;
        };
        let (message, source) = (served.message, served.source);
        let (to_tag, access) = (served.to_tag(tag), served.access);
        let written = self.keep(|blocks, out| {
            let own = Own::new(blocks, access, extra);
            response(out, message, source, code, to_tag, extra, own)
        });
        let slot = match served.method {
            // Its answer is kept as well: not at the cost of a request of ours.
            Method::Invite if self.arena.available() < RESERVE.saturating_mul(2) => None,
            Method::Invite => self.invite_txn(),
            _ => self.server_txn(),
        };
        let (Ok(block), Some(slot)) = (written, slot) else {
            if let Ok(block) = written {
                self.arena.free(block);
            }
            self.no_room(served);
            return false;
        };
        let now = self.core.now;
        let timers = self.core.policy.timers;
        let reliability = reliability(served.transport);
        let merge = served.keys.merge;
        let machine = if served.method == Method::Invite {
            let mut machine = InviteServer::start(now, reliability);
            let sent = machine.respond(now, &timers, code);
            debug_assert_eq!(sent, ServerAction::Send);
            Machine::InviteServer {
                machine,
                key,
                merge,
                response: Some(block),
            }
        } else {
            let mut machine = NonInviteServer::start(now, &timers, reliability);
            let sent = machine.respond(now, &timers, code);
            debug_assert_eq!(sent, ServerAction::Send);
            Machine::Server {
                machine,
                key,
                merge,
                tag,
                status,
                retry_after: 0,
                response: Some(block),
                incoming,
            }
        };
        note!(
            debug,
            "server transaction {} on flow {}: {}",
            slot,
            served.flow.0,
            status
        );
        if let Some(txn) = self.txns.get_mut(slot) {
            *txn = Txn {
                machine,
                flow: served.flow,
                wire: Wire::Due,
            };
        }
        true
    }

    /// No transaction or no arena: the peer may try again later.
    pub(crate) fn no_room(&mut self, served: &Served<'_, '_>) {
        count!(self, no_room);
        // A 503 would have a proxy treat us as a failed server (RFC 3261 §21.5.4).
        let status = match served.method {
            Method::Message | Method::Invite => 480,
            _ => 500,
        };
        self.stateless(
            served.flow,
            served.source,
            served.message,
            status,
            Extra::RetryAfter(10),
        );
    }

    /// An answer without a transaction (RFC 3261 §8.2.7).
    pub(crate) fn stateless(
        &mut self,
        flow: FlowId,
        source: SocketAddr,
        message: &Message<'_>,
        status: u16,
        extra: Extra,
    ) {
        let Some(code) = Status::new(status) else {
            return;
        };
        // RFC 3261 §8.2.7: the To tag of a stateless answer is the same each time.
        let to_tag = match message.to() {
            Ok(to) if to.tag().is_some() => ToTag::Theirs,
            Ok(_) | Err(_) => ToTag::Ours(self.echo_tag(message)),
        };
        let method = message.request().map(|line| line.method);
        let access = method.and_then(|method| self.access_for(flow, method));
        let written = self.keep(|blocks, out| {
            let own = Own::new(blocks, access, extra);
            response(out, message, source, code, to_tag, extra, own)
        });
        match written {
            Ok(block) => self.one_shot(flow, OneShotBytes::Block(block)),
            Err(_) => {
                count!(self, answers_dropped);
            }
        }
    }

    /// RFC 7315 §6.4: P-Access-Network-Info for all answers but those to CANCEL; a 100 is not sent here.
    fn access_for(&self, flow: FlowId, method: Method<'_>) -> Option<Block> {
        if method == Method::Cancel {
            return None;
        }
        self.access_info(flow)
    }

    /// RFC 5627 §4.4: the 2xx to NOTIFY refreshes our target with a GRUU. Where there is none, it is not
    /// touched.
    pub(crate) fn target_extra(&self, flow: FlowId) -> Extra {
        let path = self.flow(flow).and_then(|flow| flow.path);
        let gruus = path.and_then(|path| self.bound_gruus(path));
        gruus.map_or(Extra::None, Extra::Contact)
    }

    fn echo_tag(&self, message: &Message<'_>) -> u32 {
        let call_id = message.header(Name::CallId).unwrap_or_default();
        let hash = crate::sip::transaction::key::hash(self.core.hash_seed, &[call_id]);
        u32::try_from(hash >> 32).unwrap_or(0)
    }

    /// Whether a flow belongs to no path, and what comes by such a flow is not even answered.
    pub(crate) fn is_dropped(&mut self, flow: FlowId) -> bool {
        let stranger =
            self.flow(flow).is_some_and(|flow| flow.path.is_none()) || self.is_unprotected(flow);
        let dropped = stranger && self.core.policy.strangers == Strangers::Drop;
        if dropped {
            count!(self, stranger);
        }
        dropped
    }

    /// A request that breaks a header rule: answered if that is possible (RFC 3261 §8.2).
    fn invalid<'b>(
        &mut self,
        flow: FlowId,
        source: SocketAddr,
        message: &Message<'b>,
        error: ParseError,
    ) -> Item<'b> {
        if self.is_dropped(flow) {
            return Item::Nothing;
        }
        let ack = message
            .request()
            .is_some_and(|line| line.method == Method::Ack);
        let legible = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq]
            .into_iter()
            .all(|name| message.header(name).is_some());
        match error.kind.status() {
            // RFC 3261 §17.1.1.3: an ACK is never answered.
            Some(status) if legible && !ack => {
                count!(self, answered_unparsable);
                self.stateless(flow, source, message, status, Extra::None);
            }
            _ => count!(self, unparsable),
        }
        Item::Nothing
    }

    /// Bytes that are no message; answered if Via, From, To, Call-ID and CSeq are legible.
    pub(crate) fn unparsable<'b>(
        &mut self,
        flow: FlowId,
        bytes: &[u8],
        error: ParseError,
    ) -> Item<'b> {
        let source = self.flow(flow).map(|flow| flow.remote);
        match (Message::legible(bytes), source) {
            (Some(message), Some(source)) if message.request().is_some() => {
                self.invalid(flow, source, &message, error);
            }
            _ => count!(self, unparsable),
        }
        Item::Nothing
    }

    /// Whether the request belongs to a transaction, or to one that is remembered; if so it has
    /// been dealt with.
    fn again(&mut self, served: &Served<'_, '_>, key: ServerKey) -> bool {
        for txn in self.txns.iter_mut() {
            let action = match &mut txn.machine {
                Machine::Server {
                    machine, key: of, ..
                } if *of == key => machine.request(),
                Machine::InviteServer {
                    machine, key: of, ..
                } if *of == key => machine.request(),
                _ => continue,
            };
            if action == ServerAction::Resend {
                txn.wire = Wire::Due;
            }
            return true;
        }
        let now = self.core.now;
        let live = |echo: &&Echo| echo.answers(key) && echo.is_live(now);
        let Some(echo) = self.echoes.iter().find(live).copied() else {
            return false;
        };
        let (message, source) = (served.message, served.source);
        if let Some(status) = Status::new(echo.status) {
            let extra = match Extra::again(served.method, &echo) {
                Extra::None if (served.method, echo.status) == (Method::Notify, 200) => {
                    self.target_extra(served.flow)
                }
                extra => extra,
            };
            let to_tag = served.to_tag(echo.tag);
            let access = served.access;
            let written = self.arena.alloc_from(|blocks, out| {
                let own = Own::new(blocks, access, extra);
                response(out, message, source, status, to_tag, extra, own)
            });
            match written {
                Ok(block) => self.one_shot(served.flow, OneShotBytes::Block(block)),
                Err(_) => {
                    count!(self, answers_dropped);
                }
            }
        }
        true
    }

    /// Whether a CANCEL with this key has a request to cancel.
    fn is_cancelled_by(&self, key: &RequestKey) -> bool {
        let now = self.core.now;
        CANCELLABLE.into_iter().any(|method| {
            let key = key.of(method.as_bytes());
            let served = self.txns.iter().any(|txn| match &txn.machine {
                Machine::Server { key: of, .. } | Machine::InviteServer { key: of, .. } => {
                    *of == key
                }
                Machine::Free | Machine::Client { .. } => false,
            });
            let mut echoes = self.echoes.iter();
            served || echoes.any(|echo| echo.answers(key) && echo.is_live(now))
        })
    }

    fn merged(&self, merge: MergeKey, key: ServerKey) -> bool {
        let now = self.core.now;
        self.txns.iter().any(|txn| match &txn.machine {
            Machine::Server {
                key: of, merge: m, ..
            }
            | Machine::InviteServer {
                key: of, merge: m, ..
            } => *m == Some(merge) && *of != key,
            Machine::Free | Machine::Client { .. } => false,
        }) || self
            .echoes
            .iter()
            .any(|echo| echo.merges(merge) && !echo.answers(key) && echo.is_live(now))
    }

    fn ack(&mut self, key: ServerKey) {
        let (now, timers) = (self.core.now, self.core.policy.timers);
        for txn in self.txns.iter_mut() {
            if let Machine::InviteServer {
                machine, key: of, ..
            } = &mut txn.machine
                && *of == key
            {
                let _absorbed = machine.ack(now, &timers);
                return;
            }
        }
        count!(self, stray_ack);
    }

    /// RFC 3261 §17.2.3 and §8.2.2.2.
    fn keys(&self, message: &Message<'_>, essentials: &Essentials<'_>, uri: &[u8]) -> Keys {
        let seed = self.core.hash_seed;
        let Essentials {
            via, call_id, cseq, ..
        } = essentials;
        let from_tag = essentials.from.tag().unwrap_or_default();
        let to_tag = essentials.to.tag();
        let value = message.values(Name::Via).next().unwrap_or_default();
        // sent-by as it stands: the copies of a request write alike.
        let sent_by = value.split(|c| *c == b';').next().unwrap_or_default();
        let sent_by = scan::trim_end(sent_by)
            .rsplit(|c| matches!(c, b' ' | b'\t'))
            .next();
        let top = TopVia {
            value,
            branch: via.branch(),
            host: sent_by.unwrap_or_default(),
            port: None,
        };
        let request = RequestKey::rfc3261(seed, &top).unwrap_or_else(|| {
            let fields = OldFields {
                request_uri: uri,
                from_tag,
                to_tag: to_tag.unwrap_or_default(),
                call_id,
                cseq: cseq.number,
            };
            RequestKey::rfc2543(seed, &top, &fields)
        });
        let method = cseq.method.as_bytes();
        let merge = to_tag
            .is_none()
            .then(|| MergeKey::new(seed, from_tag, call_id, cseq.number, method));
        Keys { request, merge }
    }

    /// Remembers the answer of a finished transaction; the oldest gives way.
    pub(crate) fn remember(&mut self, echo: Echo) {
        let now = self.core.now;
        if let Some(row) = self.echoes.iter_mut().find(|echo| !echo.is_live(now)) {
            *row = echo;
        } else if let Some(row) = self.echoes.iter_mut().min_by_key(|echo| echo.left(now)) {
            // Timer J is the same for all: the oldest ends first.
            count!(self, echoes_evicted);
            *row = echo;
        }
    }

    /// Takes back the 200 to a message and answers otherwise. The block is that of the answer.
    pub(crate) fn rewrite_status(
        &mut self,
        block: Block,
        status: Status,
        extra: Extra,
    ) -> Result<Block, crate::arena::NoRoom> {
        self.arena.rewrite(block, |old, out| {
            let old = Message::parse(old).ok();
            let mut w = MessageWriter::response(out, status, None);
            for header in old.iter().flat_map(Message::headers) {
                w.header(header.name, Raw(header.value));
            }
            put_extra(&mut w, extra, None, Own::default());
            w.no_body().finish()
        })
    }
}

/// The tag in the To of a response (RFC 3261 §8.2.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToTag {
    /// The request has one.
    Theirs,
    /// The request has none: this one is added.
    Ours(u32),
}

/// What an answer says of us, as the arena has it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Own<'a> {
    access: Option<&'a [u8]>,
    contact: Option<GruuContact<'a>>,
}

impl<'a> Own<'a> {
    fn new(blocks: Blocks<'a>, access: Option<Block>, extra: Extra) -> Self {
        Self {
            access: access.map(|access| blocks.get(access)),
            contact: match extra {
                // It is in a dialog about the user himself: nothing to hide.
                Extra::Contact(gruus) => gruus.choose(blocks, Anonymity::None),
                _ => None,
            },
        }
    }
}

/// Writes a response to `message` (RFC 3261 §8.2.6.2).
pub(crate) fn response(
    out: &mut [u8],
    message: &Message<'_>,
    source: SocketAddr,
    status: Status,
    tag: ToTag,
    extra: Extra,
    own: Own<'_>,
) -> Result<usize, TooSmall> {
    let mut w = MessageWriter::response(out, status, None);
    let mut vias = message.values(Name::Via);
    if let Some(via) = vias.next() {
        w.header(Name::Via, ReceivedVia { via, source });
    }
    for via in vias {
        w.header(Name::Via, Raw(via));
    }
    let copy = |w: &mut MessageWriter<'_>, name: Name| {
        if let Some(value) = message.header(name) {
            w.header(name, Raw(value));
        }
    };
    copy(&mut w, Name::From);
    let to = message.header(Name::To).unwrap_or_default();
    match tag {
        ToTag::Ours(tag) if status.code() != 100 => {
            w.header(Name::To, With(Raw(to), &[Param::new_tag(u64::from(tag))]));
        }
        ToTag::Ours(_) | ToTag::Theirs => w.header(Name::To, Raw(to)),
    }
    copy(&mut w, Name::CallId);
    copy(&mut w, Name::CSeq);
    if let Some(access) = own.access {
        w.header(Name::PAccessNetworkInfo, Raw(access));
    }
    put_extra(&mut w, extra, Some(message), own);
    w.no_body().finish()
}

fn put_extra(w: &mut MessageWriter<'_>, extra: Extra, request: Option<&Message<'_>>, own: Own<'_>) {
    match extra {
        Extra::None => {}
        Extra::Allow => w.header(Name::Allow, const { Text::fixed(ALLOW) }),
        Extra::Accept => {
            w.header(Name::Accept, const { Text::fixed(ACCEPT) });
            w.header(Name::AcceptEncoding, const { Text::fixed(ACCEPT_ENCODING) });
        }
        Extra::Unsupported => {
            let required = request.into_iter().flat_map(|m| m.values(Name::Require));
            w.list(Name::Unsupported, required.map(Raw));
        }
        Extra::RetryAfter(seconds) => w.header(Name::RetryAfter, seconds),
        Extra::Contact(_) => {
            if let Some(contact) = own.contact {
                w.header(Name::Contact, contact);
                w.header(Name::Supported, const { Text::fixed("gruu") });
            }
        }
        Extra::Capabilities => {
            // RFC 3261 §11.2.
            w.header(Name::Allow, const { Text::fixed(ALLOW) });
            w.header(Name::Accept, const { Text::fixed(ACCEPT) });
            w.header(Name::AcceptEncoding, const { Text::fixed(ACCEPT_ENCODING) });
            w.header(
                Name::Supported,
                const { Text::fixed("path, outbound, gruu") },
            );
        }
    }
}

pub(crate) const fn reliability(transport: Transport) -> Reliability {
    if transport.is_stream() {
        Reliability::Reliable
    } else {
        Reliability::Unreliable
    }
}

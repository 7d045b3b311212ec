//! A MESSAGE that comes in: read, checked, handed out once (OMA IM 8.2; RFC 3428 §7; RFC 5438 §7.2).
//!
//! The content is looked at as far as the client must: a CPIM wrapper is taken off, a report is kept
//! and told as events, everything else is the application's. A copy of a message that was handed
//! out is answered and goes no further. What a later report will need is kept as a ticket.

use crate::client::account::Field;
use crate::client::engine::Engine;
use crate::client::event::{IncomingMessage, Item, TextCheck, Trust, Validity, Want, Wanted};
use crate::client::records::Record;
use crate::client::serve::{ACCEPT, Extra, Served};
use crate::client::slots::{Handed, Seen, Ticket, TicketState};
use crate::config::{Assertion, DeliveryReports, DisplayReports};
use crate::id::IncomingId;
use crate::im::imdn::{Asked, Core, Origin, Outcome, Sender, report_target};
use crate::im::pager::{self, TicketText};
use crate::im::tags;
use crate::limits::RESERVE;
use crate::sip::transaction::ServerKey;
use crate::sip::transaction::key::hash;
use crate::wire::cpim::Cpim;
use crate::wire::header::{self, Accept, ContentType, NameAddr, Server};
use crate::wire::imdn::{DeliveryStatus, DisplayStatus, is_report};
use crate::wire::message::Message;
use crate::wire::mime::MediaType;
use crate::wire::name::Name;
use crate::wire::scan;
use crate::wire::uri::Uri;

/// How many asserted identities are looked at: one SIP and one tel URI (RFC 3325 §9.1).
const MAX_ASSERTED: usize = 2;

/// Who sent a message, as far as it says so.
struct From<'b> {
    asserted: heapless::Vec<&'b [u8], MAX_ASSERTED>,
    addr: NameAddr<'b>,
}

impl Engine<'_> {
    /// A MESSAGE that no rule of RFC 3261 §8.2.1 and §8.2.2 refuses.
    pub(crate) fn message<'b>(&mut self, served: Served<'_, 'b>, key: ServerKey) -> Item<'b> {
        let message = served.message;
        let addr = served.essentials.from;
        let Some(content_type) = content_type(message) else {
            // RFC 3261 §8.2.3: a body without a type that can be told.
            self.answer(&served, key, 415, Extra::Accept);
            return Item::Nothing;
        };
        let encoding = message
            .header(Name::ContentEncoding)
            .filter(|e| !is_identity(e));
        if encoding.is_some_and(|encoding| !is_readable(encoding)) {
            // RFC 3261 §8.2.3.
            self.answer(&served, key, 415, Extra::Accept);
            return Item::Nothing;
        }
        let acceptable = scan::split_commas(ACCEPT.as_bytes())
            .filter_map(|range| Accept::parse(range).ok())
            .any(|range| range.accepts(&content_type));
        if !acceptable {
            self.answer(&served, key, 415, Extra::Accept);
            return Item::Nothing;
        }
        let trusted = served.trust == Trust::Path;
        let believed = trusted && self.core.policy.assertion == Assertion::Asserted;
        let mut asserted = heapless::Vec::new();
        for value in message.values(Name::PAssertedIdentity).filter(|_| believed) {
            // More than there is room for are not looked at.
            if let Ok(addr) = NameAddr::parse(value) {
                let _ = asserted.push(addr.uri);
            }
        }
        let from = From { asserted, addr };
        if let Some(encoding) = encoding {
            return self.encoded(served, key, &from, content_type, encoding);
        }
        if !content_type.is(b"message", b"cpim") {
            if is_report_type(&content_type) {
                return self.report_in(&served, key, message.body());
            }
            return self.plain(served, key, &from, None);
        }
        match Cpim::parse(message.body()) {
            Err(_) => {
                // RFC 3862 §3: it cannot be read.
                self.answer(&served, key, 400, Extra::None);
                Item::Nothing
            }
            Ok(cpim) if is_report(cpim.content()) => self.report_in(&served, key, message.body()),
            Ok(cpim) => self.plain(served, key, &from, Some(cpim)),
        }
    }

    /// A message for the application.
    fn plain<'b>(
        &mut self,
        served: Served<'_, 'b>,
        key: ServerKey,
        from: &From<'b>,
        cpim: Option<Cpim<'b>>,
    ) -> Item<'b> {
        let message = served.message;
        let sender = from.asserted.first().copied().unwrap_or(from.addr.uri);
        let message_id = cpim.and_then(|cpim| cpim.message_id());
        let copy = message_id.map(|id| hash(self.core.hash_seed, &[sender, id.as_bytes()]));
        if let Some(copy) = copy
            && self.was_seen(copy)
        {
            if self.answer_incoming(&served, key, 200, Extra::None, None) {
                count!(self, duplicates);
                self.repeat_failed_reports(copy);
            }
            return Item::Nothing;
        }
        let id = IncomingId(self.next_id());
        let handed = Handed {
            id,
            copy: copy.unwrap_or(0),
        };
        if !self.answer_incoming(&served, key, 200, Extra::None, Some(handed)) {
            return Item::Nothing;
        }
        let wants = match cpim {
            Some(cpim) => self.keep_ticket(id, handed.copy, &served, from, &cpim),
            None => Wanted::default(),
        };
        if let Some(copy) = copy {
            self.note_seen(copy);
        }
        let whole = message.header(Name::ContentType).unwrap_or_default();
        let content_encoding = message
            .header(Name::ContentEncoding)
            .filter(|encoding| !is_identity(encoding));
        let (content_type, body) = match &cpim {
            Some(cpim) => {
                let content = cpim.content();
                let named = content.headers.get("Content-Type");
                (named.unwrap_or(b"text/plain"), content.body)
            }
            None => (whole, message.body()),
        };
        let subject = cpim
            .and_then(|cpim| cpim.subject())
            .map(|s| s.value.raw().as_bytes());
        Item::Message(IncomingMessage {
            id,
            asserted: from.asserted.first().copied(),
            from: from.addr.uri,
            display: from.addr.display.map(|display| display.raw()),
            cpim_from: cpim
                .and_then(|cpim| cpim.from().ok())
                .map(|from| from.uri.as_bytes()),
            called: called(&served),
            subject: subject.or_else(|| message.header(Name::Subject)),
            content_type,
            content_encoding,
            body,
            message_id: message_id.map(str::as_bytes),
            sent_at: sent_at(message, cpim.as_ref()),
            validity: self.validity(message),
            text: text_check(content_type, body, content_encoding),
            wants,
            trust: served.trust,
        })
    }

    /// RFC 3428 §7: Expires counts from Date, or from now, when it can only just have been sent.
    fn validity(&self, message: &Message<'_>) -> Validity {
        let seconds = message
            .header(Name::Expires)
            .and_then(|v| scan::parse_u32(v).ok());
        let date = message
            .header(Name::Date)
            .and_then(|v| header::Date::parse(v).ok());
        let sent = date.and_then(|date| u64::try_from(date.unix_seconds).ok());
        let end = seconds
            .zip(sent)
            .map(|(seconds, sent)| sent.saturating_add(u64::from(seconds)));
        match end.zip(self.unix_millis()) {
            Some((end, now)) if end < now / 1000 => Validity::Expired,
            _ => Validity::Current,
        }
    }

    /// Keeps what reports on this message need, if it wants any and may have them.
    fn keep_ticket<'b>(
        &mut self,
        id: IncomingId,
        copy: u64,
        served: &Served<'_, 'b>,
        from: &From<'b>,
        cpim: &Cpim<'b>,
    ) -> Wanted {
        let none = Wanted::default();
        let (Ok(asked), Ok(sender_addr)) = (Asked::by(cpim), cpim.from()) else {
            return none;
        };
        let policy = self.core.policy;
        let asserts = policy.assertion == Assertion::Asserted;
        let from_server = served
            .message
            .header(Name::Server)
            .or_else(|| served.message.header(Name::UserAgent))
            .and_then(|value| Server::parse(value).ok())
            .and_then(|server| server.first())
            .is_some_and(|p| scan::eq_ignore_case(p.name, tags::SERVER_PRODUCT.as_bytes()));
        let sender = Sender {
            asserted: &from.asserted,
            from: from.addr.uri,
            origin: if served.trust == Trust::Path && from_server {
                Origin::ImServer
            } else {
                Origin::Elsewhere
            },
            core: if asserts {
                Core::AssertsIdentities
            } else {
                Core::Plain
            },
        };
        let delivery = report_target(
            Outcome::Delivery(DeliveryStatus::Delivered),
            &asked,
            &sender,
        );
        let display = report_target(Outcome::Display(DisplayStatus::Displayed), &asked, &sender);
        let delivery = delivery
            .ok()
            .filter(|_| policy.delivery_reports != DeliveryReports::Off);
        let display = display
            .ok()
            .filter(|_| policy.display_reports != DisplayReports::Off);
        let Some(target) = delivery.or(display) else {
            return none;
        };
        // To is the sender's word: a report speaks for an identity only if it is one of ours.
        let account = self.core.account.get(&self.arena, Field::ImAddress);
        let mut own = heapless::Vec::<u8, 256>::new();
        let recipient = match Uri::parse(called(served)) {
            Ok(uri) if self.is_own(&uri) => called(served),
            _ if own.extend_from_slice(account).is_ok() => &own,
            _ => return none,
        };
        let text = TicketText {
            target: target.uri,
            sender: sender_addr,
            recipient,
            message_id: asked.message_id.unwrap_or_default(),
            datetime: asked.datetime.unwrap_or_default(),
            original_to: cpim.original_to().ok().flatten().map(|to| to.uri),
        };
        if !self.can_reach(target.uri) {
            return none;
        }
        let Some(at) = self.free_ticket() else {
            count!(self, tickets_evicted);
            return none;
        };
        let routes = || cpim.record_routes().flatten().map(|route| route.uri);
        let room = self.arena.available();
        let written = self.arena.alloc_with(|out| {
            let len = pager::ticket(&text, routes(), out)?;
            // Answers come first.
            if room.saturating_sub(len) < RESERVE {
                return Err(crate::wire::sink::TooSmall { needed: usize::MAX });
            }
            Ok(len)
        });
        let Ok(block) = written else {
            count!(self, tickets_evicted);
            return none;
        };
        let state = |wanted: bool| {
            if wanted {
                TicketState::Open
            } else {
                TicketState::NotAskedFor
            }
        };
        if let Some(ticket) = self.tickets.get_mut(at) {
            *ticket = Ticket {
                id: Some(id),
                hash: copy,
                block: Some(block),
                delivery: state(delivery.is_some()),
                display: state(display.is_some()),
            };
        }
        let want = |wanted: bool| if wanted { Want::Yes } else { Want::No };
        Wanted {
            delivery: want(delivery.is_some()),
            display: want(display.is_some()),
        }
    }

    /// A free ticket; the oldest that no report of which is under way gives way.
    fn free_ticket(&mut self) -> Option<usize> {
        if let Some(at) = self.tickets.iter().position(|ticket| ticket.id.is_none()) {
            return Some(at);
        }
        let at = self.idle_ticket()?;
        count!(self, tickets_evicted);
        self.drop_ticket(at);
        Some(at)
    }

    /// Sees to it that so many octets of the arena are free, if need be at the cost of tickets
    /// that nothing is under way for; the oldest goes first.
    pub(crate) fn make_room(&mut self, needed: usize) -> bool {
        while self.arena.available() < needed {
            let Some(at) = self.idle_ticket() else {
                return false;
            };
            count!(self, tickets_evicted);
            self.drop_ticket(at);
        }
        true
    }

    /// The oldest ticket that no report of which is due or under way.
    fn idle_ticket(&self) -> Option<usize> {
        let busy =
            |state: TicketState| matches!(state, TicketState::UnderWay | TicketState::Due { .. });
        let (at, _) = self
            .tickets
            .iter()
            .enumerate()
            .filter(|(_, ticket)| ticket.id.is_some())
            .filter(|(_, ticket)| !busy(ticket.delivery) && !busy(ticket.display))
            .min_by_key(|(_, ticket)| ticket.id)?;
        Some(at)
    }

    pub(crate) fn drop_ticket(&mut self, at: usize) {
        if let Some(ticket) = self.tickets.get_mut(at) {
            let block = ticket.block.take();
            *ticket = Ticket::FREE;
            if let Some(block) = block {
                self.arena.free(block);
            }
        }
    }

    /// A report on a message of ours: kept, answered, and told at the next polls.
    fn report_in<'b>(&mut self, served: &Served<'_, 'b>, key: ServerKey, body: &[u8]) -> Item<'b> {
        self.keep_report(served, key, |out| {
            let place = out
                .get_mut(..body.len())
                .ok_or(crate::wire::sink::TooSmall { needed: body.len() })?;
            place.copy_from_slice(body);
            Ok(body.len())
        });
        Item::Nothing
    }

    fn keep_report(
        &mut self,
        served: &Served<'_, '_>,
        key: ServerKey,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, crate::wire::sink::TooSmall>,
    ) {
        // The type goes before the document: its boundary is needed to read it.
        let kind = served.message.header(Name::ContentType).unwrap_or_default();
        let (kind, _) = scan::split_at(kind, u8::MAX.into());
        let written = self.keep(|_, out| {
            let needed = kind.len().saturating_add(1);
            let small = crate::wire::sink::TooSmall { needed };
            let (len, rest) = out.split_first_mut().ok_or(small)?;
            let (text, rest) = rest.split_at_mut_checked(kind.len()).ok_or(small)?;
            *len = u8::try_from(kind.len()).unwrap_or(u8::MAX);
            text.copy_from_slice(kind);
            let len = write(rest).map_err(|small| crate::wire::sink::TooSmall {
                needed: small.needed.saturating_add(needed),
            })?;
            Ok(len.saturating_add(needed))
        });
        let Ok(block) = written else {
            return self.no_room(served);
        };
        if self.answer_incoming(served, key, 200, Extra::None, None) {
            self.emit(Record::Reports {
                block,
                next: 0,
                trust: served.trust,
            });
        } else {
            self.arena.free(block);
        }
    }

    /// Content with an encoding: a report is inflated here, user content is handed out as it is.
    #[cfg(feature = "deflate")]
    fn encoded<'b>(
        &mut self,
        served: Served<'_, 'b>,
        key: ServerKey,
        from: &From<'b>,
        media: ContentType<'b>,
        encoding: &'b [u8],
    ) -> Item<'b> {
        let body = served.message.body();
        if is_report_type(&media) || media.is(b"message", b"cpim") {
            // Documents shrink to a quarter or so; who claims more than that gets no more.
            let most = self.arena.capacity() / 2;
            self.make_room(body.len().saturating_mul(4).min(most));
            let mut report = false;
            // Inflated once to see what it is, and again if it is a report: within what the arena
            // has free either way.
            let probe = self.arena.alloc_with(|out| {
                inflated(encoding, body, out, |content| {
                    report = is_report_type(&media)
                        || Cpim::parse(content).is_ok_and(|cpim| is_report(cpim.content()));
                })
            });
            let Ok(block) = probe else {
                // RFC 3261 §21.4.11: inflated, it is more than can be taken.
                self.answer(&served, key, 413, Extra::None);
                return Item::Nothing;
            };
            self.arena.free(block);
            if report {
                self.keep_report(&served, key, |out| inflated(encoding, body, out, |_| ()));
                return Item::Nothing;
            }
        }
        self.plain(served, key, from, None)
    }

    /// Without the feature nothing but `identity` gets this far.
    #[cfg(not(feature = "deflate"))]
    fn encoded<'b>(
        &mut self,
        served: Served<'_, 'b>,
        key: ServerKey,
        _from: &From<'b>,
        _media: ContentType<'b>,
        _encoding: &'b [u8],
    ) -> Item<'b> {
        self.answer(&served, key, 415, Extra::Accept);
        Item::Nothing
    }

    fn was_seen(&self, copy: u64) -> bool {
        self.seen.iter().any(|seen| seen.0 == copy)
    }

    fn note_seen(&mut self, copy: u64) {
        let at = usize::from(self.core.next_seen);
        if let Some(seen) = self.seen.get_mut(at) {
            if seen.0 != 0 {
                count!(self, seen_evicted);
            }
            *seen = Seen(copy);
        }
        let next = self.core.next_seen.saturating_add(1);
        self.core.next_seen = if usize::from(next) < self.seen.len() {
            next
        } else {
            0
        };
    }

    /// The application refuses a message: it is as if it had never been handed out.
    pub(crate) fn forget_seen(&mut self, copy: u64) {
        for seen in self.seen.iter_mut().filter(|seen| seen.0 == copy) {
            *seen = Seen::FREE;
        }
    }
}

/// Inflates a body into `out`. What is too long, or no deflate data, is refused alike: as more
/// than can be taken.
#[cfg(feature = "deflate")]
fn inflated(
    encoding: &[u8],
    body: &[u8],
    out: &mut [u8],
    mut look: impl FnMut(&[u8]),
) -> Result<usize, crate::wire::sink::TooSmall> {
    let needed = out.len().saturating_add(1);
    match crate::wire::deflate::inflate(encoding, body, out) {
        Ok(content) => {
            look(content);
            Ok(content.len())
        }
        Err(_) => Err(crate::wire::sink::TooSmall { needed }),
    }
}

/// The type of the body; a body without one is text (RFC 3428 has no default; RFC 2045 §5.2).
fn content_type<'b>(message: &Message<'b>) -> Option<ContentType<'b>> {
    match message.header(Name::ContentType) {
        Some(value) => ContentType::parse(value).ok(),
        None if message.body().is_empty() => ContentType::parse(b"text/plain").ok(),
        None => None,
    }
}

/// Whether the body of a message is of this type, such as `application/reginfo+xml`.
pub(crate) fn is_of_type(message: &Message<'_>, name: &str) -> bool {
    let media = message.header(Name::ContentType).map(MediaType::parse);
    match (media, scan::cut(name, b'/')) {
        (Some(Ok(media)), Some((main, sub))) => media.is(main, sub),
        _ => false,
    }
}

/// Whether a type can only be reports: a document, or several (RFC 5438 §8.3).
fn is_report_type(media: &ContentType<'_>) -> bool {
    media.is(b"message", b"imdn+xml")
}

fn is_identity(encoding: &[u8]) -> bool {
    scan::eq_ignore_case(scan::trim_lws(encoding), b"identity")
}

/// Whether a body of this encoding can be read or handed out.
fn is_readable(encoding: &[u8]) -> bool {
    cfg!(feature = "deflate") && scan::eq_ignore_case(scan::trim_lws(encoding), b"deflate")
}

/// The identity of ours that was called.
fn called<'b>(served: &Served<'_, 'b>) -> &'b [u8] {
    let party = served
        .message
        .header(Name::PCalledPartyId)
        .and_then(|v| NameAddr::parse(v).ok());
    party.unwrap_or(served.essentials.to).uri
}

fn sent_at(message: &Message<'_>, cpim: Option<&Cpim<'_>>) -> Option<u64> {
    let wrapped = cpim.and_then(|cpim| cpim.datetime().ok().flatten());
    let date = || {
        let date = header::Date::parse(message.header(Name::Date)?).ok()?;
        u64::try_from(date.unix_seconds).ok()?.checked_mul(1000)
    };
    wrapped.or_else(date)
}

fn text_check(content_type: &[u8], body: &[u8], encoding: Option<&[u8]>) -> TextCheck {
    let text = ContentType::parse(content_type)
        .is_ok_and(|media| scan::eq_ignore_case(media.kind, b"text"));
    match (text, encoding, core::str::from_utf8(body)) {
        (true, None, Ok(_)) => TextCheck::Utf8,
        (true, None, Err(_)) => TextCheck::Malformed,
        _ => TextCheck::NotText,
    }
}

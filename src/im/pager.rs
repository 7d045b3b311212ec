//! Pager mode: the MESSAGE request of OMA IM 8.1.1, and the reports on one (RFC 5438).
//!
//! [`Outgoing`] is what an application gives to
//! [`send_message`](crate::client::Client::send_message).
//!
//! `message` writes a request as it is kept: everything but what each hop and attempt adds (see
//! `sip::draft`). The steps of 8.1.1 are cited where they are done. Of a message that came in and
//! may be reported on, `ticket` keeps what a report needs; `report` writes the request that
//! carries the report from such a ticket.

use crate::im::imdn::{Outcome, ReportKind};
use crate::im::originator::{Originator, put_originator};
use crate::im::tags;
use crate::sip::draft::Cuts;
use crate::wire::cpim::{Address, CpimWriter, Notifications, Party};
use crate::wire::imdn::{DeliveryStatus, DisplayStatus, NewImdn};
use crate::wire::name::{Method, Name};
use crate::wire::sink::{Sink, TooSmall};
use crate::wire::writer::{MessageWriter, NameAddr, Param, Quoted, SipDate, Text, Token, UriText};

/// A message to be sent.
///
/// ```
/// use oma_im::im::pager::{Anonymity, Outgoing};
///
/// let hello = Outgoing::text("sip:bob@example.com", "Hello Bob");
/// let secret = Outgoing { anonymity: Anonymity::Id, ..hello };
/// # assert_eq!(secret.body, b"Hello Bob");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The recipient or the pre-defined group (8.1.1 steps 5 and 7): a `sip:`, `sips:` or `tel:`
    /// URI without headers.
    pub to: &'a str,
    /// The type of the content, with its parameters.
    pub content_type: &'a str,
    /// The content.
    pub body: &'a [u8],
    /// The identity to send from; `None`: the default one.
    pub identity: Option<&'a str>,
    /// The display name (5.5) instead of the configured one; never sent when anonymous.
    pub display_name: Option<&'a str>,
    /// Whether the recipient may know who sends (8.1.1 step 4).
    pub anonymity: Anonymity,
    /// Which reports are asked for (8.1.1 step 10); any of them has the content go in CPIM.
    pub reports: Notifications,
    /// Whether the content goes in CPIM also without reports.
    pub wrap: Wrap,
    /// A subject, in CPIM (RFC 3862 §4.5) or as a header; never sent when anonymous.
    pub subject: Option<&'a str>,
    /// Seconds after which the message is of no use (RFC 3428 §7); needs the date.
    pub expires: Option<u32>,
}

/// Whether a message names its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Anonymity {
    /// It does.
    None,
    /// `Privacy: id`, and nothing that leaves the trust domain names the user.
    Id,
}

/// How the content is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Wrap {
    /// As it is, unless a report is asked for.
    Plain,
    /// In `message/cpim` (RFC 3862).
    Cpim,
}

impl<'a> Outgoing<'a> {
    /// Plain text to one recipient or group, everything else by default.
    pub const fn text(to: &'a str, text: &'a str) -> Self {
        Self {
            to,
            content_type: "text/plain; charset=utf-8",
            body: text.as_bytes(),
            identity: None,
            display_name: None,
            anonymity: Anonymity::None,
            reports: Notifications::NONE,
            wrap: Wrap::Plain,
            subject: None,
            expires: None,
        }
    }

    /// The same, asking for positive and negative delivery reports.
    #[must_use]
    pub const fn with_delivery_report(self) -> Self {
        let reports = Notifications::POSITIVE_DELIVERY.and(Notifications::NEGATIVE_DELIVERY);
        Self {
            reports: self.reports.and(reports),
            ..self
        }
    }

    /// The same, asking for display reports.
    #[must_use]
    pub const fn with_display_report(self) -> Self {
        Self {
            reports: self.reports.and(Notifications::DISPLAY),
            ..self
        }
    }
}

/// The texts of a message, checked, and the random ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) target: UriText<'a>,
    pub(crate) identity: UriText<'a>,
    pub(crate) display: Option<Quoted<'a>>,
    pub(crate) user_agent: Text<'a>,
    pub(crate) content_type: Text<'a>,
    pub(crate) body: &'a [u8],
    pub(crate) anonymity: Anonymity,
    pub(crate) reports: Notifications,
    pub(crate) wrap: Wrap,
    pub(crate) subject: Option<Text<'a>>,
    pub(crate) expires: Option<u32>,
    pub(crate) date: Option<u64>,
    pub(crate) fresh: &'a Fresh,
}

/// What is random in a request: nothing of it names a user or a host (RFC 3323 §4.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fresh {
    pub(crate) tag: [u8; 12],
    pub(crate) call_id: [u8; 20],
    /// RFC 5438 §6.3: at least 64 random bits; these are 80.
    pub(crate) message_id: [u8; 16],
}

impl Fresh {
    fn message_id(&self) -> Token<'_> {
        Token::random(&self.message_id)
    }
}

/// Writes the draft of a MESSAGE (8.1.1).
pub(crate) fn message(parts: &Parts<'_>, out: &mut [u8]) -> Result<(usize, Cuts), TooSmall> {
    let wrapped = parts.wrap == Wrap::Cpim || !parts.reports.is_empty();
    // Steps 5 and 7: the recipient, or the identity of the group.
    let mut w = MessageWriter::request(out, Method::Message, parts.target);
    let line = w.len();
    // 5.5: the name that the recipient is shown stands in CPIM if there is one.
    let display = parts.display.filter(|_| !wrapped);
    put_ident(&mut w, parts, display);
    let ident = w.len();
    put_common(&mut w, parts);
    if let Some(seconds) = parts.expires {
        // RFC 3428 §7: Expires counts from Date.
        w.header(Name::Expires, seconds);
        if let Some(date) = parts.date {
            w.header(Name::Date, SipDate(date));
        }
    }
    let mut body_len = 0;
    let done = if wrapped {
        w.body_with(const { Text::fixed("message/cpim") }, |sink| {
            let start = sink.len();
            put_cpim(sink, parts);
            body_len = sink.len().saturating_sub(start);
        })
    } else {
        if let Some(subject) = shown_subject(parts) {
            w.header(Name::Subject, subject);
        }
        body_len = parts.body.len();
        w.body(parts.content_type, parts.body)
    };
    let len = done.finish()?;
    Ok((
        len,
        Cuts::of_draft(line, ident, len.saturating_sub(body_len)),
    ))
}

fn put_cpim(sink: &mut Sink<'_>, parts: &Parts<'_>) {
    let from = match parts.anonymity {
        // RFC 3323 §4.1.1.3, and the same in CPIM.
        Anonymity::Id => Party::new(ANONYMOUS),
        Anonymity::None => {
            let party = Party::new(parts.identity);
            match parts.display {
                Some(name) => party.named(name.as_str()),
                None => party,
            }
        }
    };
    let mut cpim = CpimWriter::new(sink, from);
    cpim.to(Party::new(parts.target));
    if let Some(date) = parts.date {
        cpim.datetime(date);
    }
    if let Some(subject) = shown_subject(parts) {
        cpim.subject(None, subject.as_str());
    }
    if !parts.reports.is_empty() {
        // Step 10; RFC 5438 §7.1.1.
        cpim.message_id(parts.fresh.message_id());
        cpim.notifications(parts.reports);
    }
    cpim.content(parts.content_type).body(parts.body);
}

/// RFC 3323 §4.1: Subject is one of the fields that can reveal who sends.
fn shown_subject<'a>(parts: &Parts<'a>) -> Option<Text<'a>> {
    parts.subject.filter(|_| parts.anonymity == Anonymity::None)
}

const ANONYMOUS: UriText<'static> = UriText::fixed(tags::ANONYMOUS_URI);

/// From, To and Call-ID.
fn put_ident(w: &mut MessageWriter<'_>, parts: &Parts<'_>, display: Option<Quoted<'_>>) {
    let tag = [Param::tag(Token::random(&parts.fresh.tag))];
    let from = match parts.anonymity {
        // Step 4; RFC 3323 §4.1.1.3.
        Anonymity::Id => {
            NameAddr::new(ANONYMOUS).display(const { Quoted::fixed(tags::ANONYMOUS_NAME) })
        }
        Anonymity::None => NameAddr {
            display,
            ..NameAddr::new(parts.identity)
        },
    };
    w.header(Name::From, from.params(&tag));
    w.header(Name::To, NameAddr::new(parts.target));
    w.header(Name::CallId, Token::random(&parts.fresh.call_id));
}

/// What every request of 8.1.1 carries, to whomever it goes. No Contact (RFC 3428 §4).
fn put_common(w: &mut MessageWriter<'_>, parts: &Parts<'_>) {
    // Steps 1 to 4.
    let from = Originator {
        identity: parts.identity,
        anonymity: parts.anonymity,
        user_agent: parts.user_agent,
    };
    put_originator(w, from);
}

/// What a report needs of the message that it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TicketText<'a> {
    /// Request-URI and To of the report.
    pub(crate) target: &'a [u8],
    /// CPIM To of the report: CPIM From of the message.
    pub(crate) sender: Address<'a>,
    /// The identity of ours that was called.
    pub(crate) recipient: &'a [u8],
    pub(crate) message_id: &'a str,
    pub(crate) datetime: &'a str,
    pub(crate) original_to: Option<&'a str>,
}

/// Writes a ticket; `routes` are the IMDN-Record-Route URIs, topmost first.
pub(crate) fn ticket<'r>(
    text: &TicketText<'_>,
    routes: impl Iterator<Item = &'r str>,
    out: &mut [u8],
) -> Result<usize, TooSmall> {
    let mut sink = Sink::new(out);
    let mut name = heapless::String::<64>::new();
    if let Some(text) = text.sender.name {
        // A name that is too long is left out whole.
        if text.chars().try_for_each(|c| name.push(c)).is_err() {
            name.clear();
        }
    }
    let fields = [
        text.target,
        text.recipient,
        text.sender.uri.as_bytes(),
        name.as_bytes(),
        text.message_id.as_bytes(),
        text.datetime.as_bytes(),
        text.original_to.unwrap_or_default().as_bytes(),
    ];
    let mut put = |field: &[u8]| {
        let len = u16::try_from(field.len()).unwrap_or(u16::MAX);
        sink.put(&len.to_be_bytes());
        sink.put(field.get(..usize::from(len)).unwrap_or_default());
    };
    fields.into_iter().for_each(&mut put);
    routes.map(str::as_bytes).for_each(&mut put);
    sink.finish()
}

/// The fields of a ticket, in the order of [`ticket`].
fn fields(mut ticket: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (len, rest) = ticket.split_first_chunk::<2>()?;
        let (field, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        ticket = rest;
        Some(field)
    })
}

/// The Request-URI of the reports of a ticket.
pub(crate) fn ticket_target(ticket: &[u8]) -> &[u8] {
    fields(ticket).next().unwrap_or_default()
}

/// Writes the draft of a report (RFC 5438 §7.2.1).
pub(crate) fn report(
    ticket: &[u8],
    kind: ReportKind,
    user_agent: Text<'_>,
    fresh: &Fresh,
    out: &mut [u8],
) -> Result<(usize, Cuts), TooSmall> {
    let mut fields = fields(ticket);
    let mut field = || fields.next().unwrap_or_default();
    let (target, recipient, sender, name) = (field(), field(), field(), field());
    let (message_id, datetime, original_to) = (field(), field(), field());
    let uri = |bytes| UriText::new(bytes).unwrap_or(ANONYMOUS);
    let text = |bytes| core::str::from_utf8(bytes).unwrap_or_default();
    let parts = Parts {
        target: uri(target),
        identity: uri(recipient),
        display: None,
        user_agent,
        content_type: const { Text::fixed("message/imdn+xml") },
        body: b"",
        anonymity: Anonymity::None,
        reports: Notifications::NONE,
        wrap: Wrap::Cpim,
        subject: None,
        expires: None,
        date: None,
        fresh,
    };
    let mut w = MessageWriter::request(out, Method::Message, parts.target);
    let line = w.len();
    put_ident(&mut w, &parts, None);
    let ident = w.len();
    put_common(&mut w, &parts);
    let mut body_len = 0;
    let done = w.body_with(const { Text::fixed("message/cpim") }, |sink| {
        let start = sink.len();
        let mut cpim = CpimWriter::new(sink, Party::new(parts.identity));
        let to = Party::new(uri(sender));
        cpim.to(if name.is_empty() {
            to
        } else {
            to.named(text(name))
        });
        cpim.message_id(fresh.message_id());
        for route in fields {
            // RFC 5438 §7.2.1.1: IMDN-Record-Route becomes IMDN-Route, order kept.
            cpim.imdn_route(Party::new(uri(route)));
        }
        let document = NewImdn {
            message_id: text(message_id),
            datetime: text(datetime),
            recipient_uri: text(recipient),
            original_recipient_uri: if original_to.is_empty() {
                text(recipient)
            } else {
                text(original_to)
            },
            disposition: match kind {
                ReportKind::Delivery => Outcome::Delivery(DeliveryStatus::Delivered),
                ReportKind::Display => Outcome::Display(DisplayStatus::Displayed),
            }
            .into(),
        };
        cpim.content(parts.content_type)
            .disposition(const { Token::fixed("notification") })
            .body_with(|sink| document.put(sink));
        body_len = sink.len().saturating_sub(start);
    });
    let len = done.finish()?;
    Ok((
        len,
        Cuts::of_draft(line, ident, len.saturating_sub(body_len)),
    ))
}

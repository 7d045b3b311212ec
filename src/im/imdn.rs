//! When a report on a received message is due, and where it goes (RFC 5438, RFC 3428).
//!
//! A sender asks for reports in the CPIM envelope, and names itself there. Anyone can write any
//! name, so a client that believed it would send messages to whomever a stranger points at.
//! [`report_target`] therefore holds the CPIM From against what the network says about the sender:
//! it is taken if a server asserts the same address, or if the message came from an IM server
//! over a trusted path. It also knows when no report may be sent at all. It is a pure
//! function: how often to report, and how fast, is decided by who calls it.

use crate::wire::cpim::{Cpim, Notifications};
use crate::wire::error::ParseError;
use crate::wire::imdn::{DeliveryStatus, DisplayStatus, Disposition, is_report};
use crate::wire::scan::{eq_ignore_case, split_at};
use crate::wire::uri::Uri;

/// The kind of a report. At most one of each kind is sent on a message (RFC 5438 §7.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum ReportKind {
    /// What became of the delivery.
    Delivery,
    /// What became of the display.
    Display,
}

/// What a recipient can report. It never makes processing notifications (RFC 5438 §7.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Outcome {
    /// The message was delivered, or not.
    Delivery(DeliveryStatus),
    /// The message was shown, or not.
    Display(DisplayStatus),
}

impl Outcome {
    /// The kind of report this is.
    pub const fn kind(self) -> ReportKind {
        match self {
            Self::Delivery(_) => ReportKind::Delivery,
            Self::Display(_) => ReportKind::Display,
        }
    }

    /// What the sender must have asked for to be told (RFC 5438 §7.1.1.3).
    pub const fn asked_by(self) -> Notifications {
        match self {
            Self::Delivery(DeliveryStatus::Delivered) => Notifications::POSITIVE_DELIVERY,
            Self::Delivery(_) => Notifications::NEGATIVE_DELIVERY,
            Self::Display(_) => Notifications::DISPLAY,
        }
    }
}

impl From<Outcome> for Disposition {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivery(status) => Self::Delivery(status),
            Outcome::Display(status) => Self::Display(status),
        }
    }
}

/// What a message says about itself, as far as reports are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'b> {
    /// Its IMDN Message-ID.
    pub message_id: Option<&'b str>,
    /// Its DateTime.
    pub datetime: Option<&'b str>,
    /// Which reports it asks for.
    pub notifications: Notifications,
    /// Whether it is a message of a person or itself a report.
    pub content: Content,
    /// The topmost IMDN-Record-Route.
    pub record_route: Option<&'b str>,
    /// The URI of the CPIM From.
    pub from: &'b str,
}

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Content {
    /// Something for a person.
    Message,
    /// A disposition notification.
    Report,
}

impl<'b> Asked<'b> {
    /// What the envelope of a message says.
    ///
    /// # Errors
    /// From or the topmost IMDN-Record-Route is missing or malformed: there is nobody to report to.
    pub fn by(cpim: &Cpim<'b>) -> Result<Self, ParseError> {
        Ok(Self {
            message_id: cpim.message_id(),
            datetime: cpim.datetime_text(),
            notifications: cpim.notifications(),
            content: if is_report(cpim.content()) {
                Content::Report
            } else {
                Content::Message
            },
            record_route: cpim.record_routes().next().transpose()?.map(|r| r.uri),
            from: cpim.from()?.uri,
        })
    }
}

/// What the network says about who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender<'b> {
    /// The URIs of P-Asserted-Identity, as far as the path is trusted to assert them.
    pub asserted: &'b [&'b [u8]],
    /// The URI of the SIP From.
    pub from: &'b [u8],
    /// Where the message came from.
    pub origin: Origin,
    /// What kind of network it is.
    pub core: Core,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Origin {
    /// An IM server, over a trusted path: it vouches for the CPIM envelope.
    ImServer,
    /// Anywhere else.
    Elsewhere,
}

/// What kind of network a client is registered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Core {
    /// It asserts identities (RFC 3325), as an IMS core does.
    AssertsIdentities,
    /// It does not.
    Plain,
}

/// Where a report goes: its Request-URI and SIP To.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'b> {
    /// The URI.
    pub uri: &'b [u8],
    /// Which rule named it.
    pub named_by: NamedBy,
}

/// The rule by which a target was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NamedBy {
    /// The topmost IMDN-Record-Route; all of them become IMDN-Route of the report.
    RecordRoute,
    /// The CPIM From, which the network vouches for.
    CpimFrom,
    /// P-Asserted-Identity.
    Asserted,
    /// The SIP From.
    SipFrom,
}

/// Why no report is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NoReport {
    /// The message is itself a report (RFC 5438 §7.2.1).
    IsReport,
    /// The sender did not ask for this (RFC 5438 §7.2.1).
    NotAskedFor,
    /// The message has no Message-ID that a report could name (RFC 5438 §7.1.1.1).
    NoMessageId,
    /// The message has no DateTime, which a report has to repeat (RFC 5438 §7.1.1.2).
    NoDatetime,
    /// The sender is anonymous (RFC 5438 §12.1.1), or the network does not say who it is.
    Anonymous,
}

/// Where the report of `outcome` on a message goes, or why there is none.
///
/// The first rule that applies: the topmost IMDN-Record-Route (RFC 5438 §7.2.1); the CPIM From if
/// the network vouches for it; P-Asserted-Identity; the SIP From (§12.1.3.1) where no identities
/// are asserted. Addresses compare as RFC 3261 §19.1.4 has it.
///
/// ```
/// use oma_im::im::imdn::{Asked, Core, NamedBy, Origin, Outcome, Sender, report_target};
/// use oma_im::wire::{cpim::Cpim, imdn::DisplayStatus};
///
/// let cpim = Cpim::parse(
///     b"From: <sip:victim@example.com>\r\nTo: <sip:bob@example.com>\r\n\
///       DateTime: 2026-11-22T18:41:56Z\r\nimdn.Message-ID: 34jk324j\r\n\
///       imdn.Disposition-Notification: display\r\n\r\n\
///       Content-type: text/plain\r\n\r\nHello",
/// )?;
/// let sender = Sender {
///     asserted: &[b"sip:mallory@example.com"],
///     from: b"sip:victim@example.com",
///     origin: Origin::Elsewhere,
///     core: Core::AssertsIdentities,
/// };
/// let displayed = Outcome::Display(DisplayStatus::Displayed);
/// let target = report_target(displayed, &Asked::by(&cpim)?, &sender);
/// assert!(target.is_ok_and(|t| t.uri == b"sip:mallory@example.com" && t.named_by == NamedBy::Asserted));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
pub fn report_target<'b>(
    outcome: Outcome,
    asked: &Asked<'b>,
    sender: &Sender<'b>,
) -> Result<Target<'b>, NoReport> {
    if asked.content == Content::Report {
        return Err(NoReport::IsReport);
    }
    if !asked.notifications.has(outcome.asked_by()) {
        return Err(NoReport::NotAskedFor);
    }
    if asked.message_id.is_none() {
        return Err(NoReport::NoMessageId);
    }
    if asked.datetime.is_none() {
        return Err(NoReport::NoDatetime);
    }
    let cpim_from = asked.from.as_bytes();
    let vouched =
        sender.origin == Origin::ImServer || sender.asserted.iter().any(|uri| same(uri, cpim_from));
    let (uri, named_by) = if let Some(server) = asked.record_route {
        (server.as_bytes(), NamedBy::RecordRoute)
    } else if vouched {
        (cpim_from, NamedBy::CpimFrom)
    } else if let Some(uri) = sender.asserted.first() {
        (*uri, NamedBy::Asserted)
    } else if sender.core == Core::Plain {
        (sender.from, NamedBy::SipFrom)
    } else {
        return Err(NoReport::Anonymous);
    };
    if is_anonymous(uri) {
        return Err(NoReport::Anonymous);
    }
    Ok(Target { uri, named_by })
}

fn same(a: &[u8], b: &[u8]) -> bool {
    match (Uri::parse(a), Uri::parse(b)) {
        (Ok(a), Ok(b)) => a.equivalent(&b),
        _ => false,
    }
}

/// Whether nobody can be reached at a URI: the user is `anonymous`, or the host lies in `.invalid`
/// (RFC 3323 §4.1.1.3, RFC 2606 §2). For any scheme that has a user and a host.
pub fn is_anonymous(uri: &[u8]) -> bool {
    let (_, rest) = uri
        .iter()
        .position(|&b| b == b':')
        .map_or((uri, uri), |colon| split_at(uri, colon.saturating_add(1)));
    let (user, host) = match rest.iter().position(|&b| b == b'@') {
        Some(at) => (split_at(rest, at).0, split_at(rest, at.saturating_add(1)).1),
        None => (&b""[..], rest),
    };
    let end = host
        .iter()
        .position(|b| matches!(b, b':' | b';' | b'?' | b'>'));
    let (host, _) = split_at(host, end.unwrap_or(host.len()));
    let host = host.strip_suffix(b".").unwrap_or(host);
    let last = host.rsplit(|&b| b == b'.').next().unwrap_or_default();
    let user = user
        .split(|&b| b == b':' || b == b';')
        .next()
        .unwrap_or_default();
    eq_ignore_case(last, b"invalid") || eq_ignore_case(user, b"anonymous")
}

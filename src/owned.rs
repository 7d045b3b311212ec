//! Owned values, to be sent over channels and kept (feature `bytes`).
//!
//! The client hands out views: of the receive buffer, and of its arena until the next poll. An
//! asynchronous wrapper passes them on to other tasks, so it needs values that own their bytes.
//! Each value here holds one [`Bytes`] allocation at most, which its fields share. A message that
//! was received out of a `Bytes` is not copied at all: [`Client::receive_bytes`].
//!
//! ```
//! use bytes::Bytes;
//! use oma_im::client::Client;
//! # use oma_im::config::{Config, NextHop, Transport};
//! # use oma_im::id::FlowId;
//! use oma_im::owned::OwnedItem;
//! # use oma_im::storage::{Heap, HeapLimits};
//! # use oma_im::time::Instant;
//! # let hops = [NextHop::new("proxy.example.com", Transport::Tcp)];
//! # let config = Config::new("sip:alice@example.com", &hops);
//! # let mut client = Client::new(&config, Heap::new(HeapLimits::default()), [7; 32])?;
//! let mut read = Bytes::from_static(b"...");
//! match client.receive_bytes(Instant::ZERO, FlowId(1), &mut read) {
//!     OwnedItem::Message(message) => { /* hand it to the task of the user interface */ }
//!     _ => {}
//! }
//! # Ok::<(), oma_im::error::ConfigError>(())
//! ```

use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use crate::client::{
    Client, CloseReason, Deadline, Event, IncomingMessage, Item, Open, Output, Purpose,
    RegistrationChange, Report, ReportOutcome, SendOutcome, SettingsChange, SettingsOutcome,
    TextCheck, Trust, Validity, Wanted, Watch, WatchChange,
};
use crate::config::Transport;
use crate::error::Failure;
use crate::id::{ChallengeId, FlowId, IncomingId, OpenId, PathId, SendId, SettingsId};
use crate::im::imdn::ReportKind;
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::digest::Algorithm;
use crate::wire::header::NameAddr;
use crate::wire::imdn::Disposition;
use crate::wire::scan;

/// An [`IncomingMessage`] that owns its bytes; the fields are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in `IncomingMessage`.
pub struct OwnedMessage {
    pub id: IncomingId,
    pub asserted: Option<Bytes>,
    pub from: Bytes,
    pub display: Option<Bytes>,
    pub cpim_from: Option<Bytes>,
    pub called: Bytes,
    pub subject: Option<Bytes>,
    pub content_type: Bytes,
    pub content_encoding: Option<Bytes>,
    pub body: Bytes,
    pub message_id: Option<Bytes>,
    pub sent_at: Option<u64>,
    pub validity: Validity,
    pub text: TextCheck,
    pub wants: Wanted,
    pub trust: Trust,
}

impl IncomingMessage<'_> {
    /// The same message in one allocation of its own, which is as long as its fields together.
    pub fn into_owned(self) -> OwnedMessage {
        let mut buffer = Vec::with_capacity(self.fields().map(<[u8]>::len).sum());
        self.fields()
            .for_each(|field| buffer.extend_from_slice(field));
        let mut rest = Bytes::from(buffer);
        // In the order of `fields`; the lengths are the same, so there is always enough.
        self.owned_by(|field| rest.split_to(field.len().min(rest.len())))
    }

    /// The same message as slices of `received`, the bytes that were given to `receive`; nothing
    /// is copied, and `received` lives as long as the message does.
    ///
    /// A field that does not lie in `received` (a default, or all if it is another buffer) is
    /// copied.
    pub fn into_owned_in(self, received: &Bytes) -> OwnedMessage {
        self.owned_by(|field| slice_of(received, field))
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        [
            self.asserted,
            Some(self.from),
            self.display,
            self.cpim_from,
            Some(self.called),
            self.subject,
            Some(self.content_type),
            self.content_encoding,
            Some(self.body),
            self.message_id,
        ]
        .into_iter()
        .flatten()
    }

    /// Makes each field owned, in the order of `fields`.
    fn owned_by(self, mut own: impl FnMut(&[u8]) -> Bytes) -> OwnedMessage {
        OwnedMessage {
            id: self.id,
            asserted: self.asserted.map(&mut own),
            from: own(self.from),
            display: self.display.map(&mut own),
            cpim_from: self.cpim_from.map(&mut own),
            called: own(self.called),
            subject: self.subject.map(&mut own),
            content_type: own(self.content_type),
            content_encoding: self.content_encoding.map(&mut own),
            body: own(self.body),
            message_id: self.message_id.map(&mut own),
            sent_at: self.sent_at,
            validity: self.validity,
            text: self.text,
            wants: self.wants,
            trust: self.trust,
        }
    }
}

/// The part of `whole` that `part` is, or a copy if it lies elsewhere.
fn slice_of(whole: &Bytes, part: &[u8]) -> Bytes {
    let (first, part_first) = (whole.as_ptr().addr(), part.as_ptr().addr());
    let start = part_first.checked_sub(first);
    let end = start.and_then(|start| start.checked_add(part.len()));
    match (start, end) {
        (Some(start), Some(end)) if end <= whole.len() => whole.slice(start..end),
        _ => Bytes::copy_from_slice(part),
    }
}

/// An [`Item`] that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // It lives for one match.
#[allow(missing_docs)] // As in `Item`.
pub enum OwnedItem {
    Nothing,
    More,
    Later,
    Message(OwnedMessage),
    Broken,
}

impl<S: Storage> Client<S> {
    /// As [`receive`](Client::receive); takes what was consumed off the front of `bytes`, and a
    /// message shares its memory.
    pub fn receive_bytes(&mut self, now: Instant, flow: FlowId, bytes: &mut Bytes) -> OwnedItem {
        let received = self.receive(now, flow, bytes);
        let consumed = received.consumed.min(bytes.len());
        let item = match received.item {
            Item::Nothing => OwnedItem::Nothing,
            Item::More => OwnedItem::More,
            Item::Later => OwnedItem::Later,
            Item::Message(message) => OwnedItem::Message(message.into_owned_in(bytes)),
            Item::Broken => OwnedItem::Broken,
        };
        bytes.advance(consumed);
        item
    }
}

/// An [`Output`] that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in `Output`.
pub enum OwnedOutput {
    Transmit { flow: FlowId, bytes: Bytes },
    Open(OwnedOpen),
    Close { flow: FlowId, why: CloseReason },
    Event(OwnedEvent),
    TooSmall { needed: usize },
    Idle(Option<Deadline>),
}

impl From<Output<'_>> for OwnedOutput {
    fn from(output: Output<'_>) -> Self {
        match output {
            Output::Transmit { flow, bytes } => Self::Transmit {
                flow,
                bytes: Bytes::copy_from_slice(bytes),
            },
            Output::Open(open) => Self::Open(open.into()),
            Output::Close { flow, why } => Self::Close { flow, why },
            Output::Event(event) => Self::Event(event.into()),
            Output::TooSmall { needed } => Self::TooSmall { needed },
            Output::Idle(deadline) => Self::Idle(deadline),
        }
    }
}

/// An [`Open`] that owns its text. The name that a certificate must show is the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in `Open`.
pub struct OwnedOpen {
    pub id: OpenId,
    pub path: PathId,
    pub host: alloc::string::String,
    pub port: Option<u16>,
    pub transport: Transport,
    pub purpose: Purpose,
    pub attempt: u16,
}

impl From<Open<'_>> for OwnedOpen {
    fn from(open: Open<'_>) -> Self {
        Self {
            id: open.id,
            path: open.path,
            host: open.host.into(),
            port: open.port,
            transport: open.transport,
            purpose: open.purpose,
            attempt: open.attempt,
        }
    }
}

/// An [`Event`] that owns its text; the variants are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // As in `Event`.
pub enum OwnedEvent {
    Registration {
        path: PathId,
        change: OwnedRegistrationChange,
    },
    Deregistered,
    Sent {
        id: SendId,
        outcome: SendOutcome,
    },
    Report(OwnedReport),
    ReportWindowClosed {
        id: SendId,
    },
    ReportSent {
        id: IncomingId,
        kind: ReportKind,
        outcome: ReportOutcome,
    },
    SettingsDone {
        id: SettingsId,
        outcome: SettingsOutcome,
    },
    Settings(SettingsChange),
    RetrieveDeferred,
    Watch {
        watch: Watch,
        change: WatchChange,
    },
    Challenge {
        id: ChallengeId,
        user: Bytes,
        realm: Bytes,
        algorithm: Algorithm,
    },
    Mapped {
        path: PathId,
        address: SocketAddr,
    },
    OwnerMustRegister {
        feature_tag: &'static str,
    },
}

/// A [`RegistrationChange`] that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in `RegistrationChange`.
pub enum OwnedRegistrationChange {
    Registered {
        expires: u32,
        associated: Identities,
    },
    Refreshed {
        expires: u32,
    },
    Lost,
    Retrying {
        failure: Failure,
        retry_at: Instant,
    },
    Failed(Failure),
}

/// A [`Report`] that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in `Report`.
pub struct OwnedReport {
    pub id: Option<SendId>,
    pub message_id: Bytes,
    pub recipient: Bytes,
    pub disposition: Disposition,
    pub trusted: Trust,
}

impl From<Event<'_>> for OwnedEvent {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Registration { path, change } => Self::Registration {
                path,
                change: change.into(),
            },
            Event::Deregistered => Self::Deregistered,
            Event::Sent { id, outcome } => Self::Sent { id, outcome },
            Event::Report(report) => Self::Report(report.into()),
            Event::ReportWindowClosed { id } => Self::ReportWindowClosed { id },
            Event::ReportSent { id, kind, outcome } => Self::ReportSent { id, kind, outcome },
            Event::SettingsDone { id, outcome } => Self::SettingsDone { id, outcome },
            Event::Settings(change) => Self::Settings(change),
            Event::RetrieveDeferred => Self::RetrieveDeferred,
            Event::Watch { watch, change } => Self::Watch { watch, change },
            Event::Challenge {
                id,
                user,
                realm,
                algorithm,
            } => {
                let [user, realm] = pair(user, realm);
                Self::Challenge {
                    id,
                    user,
                    realm,
                    algorithm,
                }
            }
            Event::Mapped { path, address } => Self::Mapped { path, address },
            Event::OwnerMustRegister { feature_tag } => Self::OwnerMustRegister { feature_tag },
        }
    }
}

impl From<RegistrationChange<'_>> for OwnedRegistrationChange {
    fn from(change: RegistrationChange<'_>) -> Self {
        match change {
            RegistrationChange::Registered {
                expires,
                associated,
            } => Self::Registered {
                expires,
                associated: Identities::new(associated),
            },
            RegistrationChange::Refreshed { expires } => Self::Refreshed { expires },
            RegistrationChange::Lost => Self::Lost,
            RegistrationChange::Retrying { failure, retry_at } => {
                Self::Retrying { failure, retry_at }
            }
            RegistrationChange::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<Report<'_>> for OwnedReport {
    fn from(report: Report<'_>) -> Self {
        let [message_id, recipient] = pair(report.message_id, report.recipient);
        Self {
            id: report.id,
            message_id,
            recipient,
            disposition: report.disposition,
            trusted: report.trusted,
        }
    }
}

/// Two texts in one allocation.
fn pair(first: &[u8], second: &[u8]) -> [Bytes; 2] {
    let mut both = Bytes::from([first, second].concat());
    let first = both.split_to(first.len().min(both.len()));
    [first, both]
}

/// The identities that a registrar associated with the user (P-Associated-URI, RFC 7315 §4.1), the
/// default one first.
///
/// A subscriber usually has two, a SIP and a tel URI: these take no memory beyond the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities(SmallVec<[Bytes; 2]>);

impl Identities {
    /// The URIs of a P-Associated-URI value; elements that cannot be read are left out.
    pub fn new(value: &[u8]) -> Self {
        let value = Bytes::copy_from_slice(value);
        let uris = scan::split_commas(&value)
            .filter_map(|element| NameAddr::parse(element).ok())
            .map(|addr| slice_of(&value, addr.uri))
            .collect();
        Self(uris)
    }

    /// The URIs.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the registrar named none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

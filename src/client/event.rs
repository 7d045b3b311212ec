//! What comes out of the client: [`Output`] from `poll_output`, [`Item`] from `receive`.
//!
//! Content comes only from `receive`, borrowed from the bytes that were given to it. Everything
//! else comes only from `poll_output`: bytes to send, flows to open and close, events, and at the
//! end of a drain the next deadline.

use core::net::SocketAddr;

use crate::client::settings::{SettingsChange, SettingsOutcome};
use crate::client::watch::{Watch, WatchChange};
use crate::config::Transport;
use crate::error::Failure;
use crate::id::{ChallengeId, FlowId, IncomingId, OpenId, PathId, SendId, SettingsId};
use crate::im::imdn::ReportKind;
use crate::time::Instant;
use crate::wire::digest::Algorithm;
use crate::wire::imdn::Disposition;

/// What `poll_output` wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Output<'a> {
    /// Send these bytes on this flow, whole: one datagram, or next on the stream.
    Transmit {
        /// The flow.
        flow: FlowId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Open a flow; the answer is `flow_opened` or `flow_failed` with this id.
    Open(Open<'a>),
    /// Close this flow; it is forgotten already, no `flow_closed` is due.
    Close {
        /// The flow.
        flow: FlowId,
        /// Why.
        why: CloseReason,
    },
    /// Something happened.
    Event(Event<'a>),
    /// The slice is too small for the next message; nothing has changed.
    TooSmall {
        /// The size that is enough.
        needed: usize,
    },
    /// Nothing more until an input or this deadline (`None`: no timer runs).
    Idle(Option<Deadline>),
}

/// A flow that the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Open<'a> {
    /// To be named in the answer.
    pub id: OpenId,
    /// The path that it is for.
    pub path: PathId,
    /// Host name or address of the next hop.
    pub host: &'a str,
    /// The port, if it is configured.
    pub port: Option<u16>,
    /// The transport.
    pub transport: Transport,
    /// The name that the certificate must show on TLS (RFC 5922 §7.1): the host.
    pub verify_name: &'a str,
    /// What the flow is for.
    pub purpose: Purpose,
    /// 0 for the first candidate of the resolver's list, then the next one each time. Past the
    /// end of the list answer `NoMoreCandidates`.
    pub attempt: u16,
}

/// What a flow is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Purpose {
    /// Registration and everything after it.
    Main,
    /// Requests too long for the datagram flow of the same path (RFC 3261 §18.1.1).
    LongRequests,
}

/// Why a flow is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum CloseReason {
    /// A ping was not answered (RFC 5626 §4.4.1), or a request on a stream for long requests, which
    /// nothing pings.
    NoPong,
    /// The server is to be left for the next candidate.
    NextCandidate,
    /// The network changed.
    NetworkChanged,
    /// What came in cannot be framed any more.
    Framing,
    /// It was registered and is not any more, or was opened for nothing.
    NotNeeded,
}

/// Whether the far end proved its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Verified {
    /// The certificate shows `verify_name`.
    Yes,
    /// It was not asked for (UDP, TCP).
    No,
}

/// Which way a flow carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Direction {
    /// Both.
    Both,
    /// From us to the next hop only (IMS-AKA over UDP: port-c to port-s).
    Out,
    /// From the next hop to us only.
    In,
}

/// How a flow came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Origin {
    /// The client asked for it.
    Asked(OpenId),
    /// The platform gives it to this path.
    Given(PathId),
    /// A peer opened it towards us; it belongs to no path.
    Accepted,
}

/// A flow that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct FlowInfo {
    /// How it came to be.
    pub origin: Origin,
    /// Its transport.
    pub transport: Transport,
    /// Our address as the socket shows it: it goes into Via and Contact.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub local: SocketAddr,
    /// The peer's address.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub remote: SocketAddr,
    /// What the certificate proved.
    pub verified: Verified,
    /// Which way it goes.
    pub direction: Direction,
}

/// Why a flow could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum OpenFailure {
    /// The peer refused it.
    Refused,
    /// No route.
    Unreachable,
    /// No answer.
    TimedOut,
    /// The certificate does not show the name.
    BadCertificate,
    /// The resolver's list is at its end.
    NoMoreCandidates,
}

/// When the client has to be called, and how exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Deadline {
    /// Call `timeout` at this time.
    pub at: Instant,
    /// It may be this many milliseconds later, if that saves a wake-up.
    pub slack: u32,
    /// What it is for.
    pub why: Wake,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Wake {
    /// A retransmission or the end of a transaction.
    Transaction,
    /// Refresh or retry of a registration.
    Registration,
    /// A keep-alive or its pong.
    KeepAlive,
    /// A report that waits, or a report window that ends.
    Reports,
    /// A challenge that the application has not answered.
    Challenge,
    /// A refresh of the settings, their end, or another attempt.
    Settings,
    /// A refresh of a subscription, or another attempt.
    Watch,
}

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Event<'a> {
    /// The registration of a path changed.
    Registration {
        /// The path.
        path: PathId,
        /// How.
        change: RegistrationChange<'a>,
    },
    /// `deregister` is over, whether the server answered or not.
    Deregistered,
    /// The outcome of a message: the one terminal event of `send_message`.
    Sent {
        /// Which.
        id: SendId,
        /// How it ended.
        outcome: SendOutcome,
    },
    /// A report on a message of ours arrived.
    Report(Report<'a>),
    /// No more reports are waited for; later ones come without an id.
    ReportWindowClosed {
        /// The message.
        id: SendId,
    },
    /// The terminal event of `delivered` and `displayed`.
    ReportSent {
        /// The incoming message.
        id: IncomingId,
        /// Which report.
        kind: ReportKind,
        /// How it ended.
        outcome: ReportOutcome,
    },
    /// The outcome of a command on the settings: the one terminal event of `publish_settings` and
    /// `remove_settings`.
    SettingsDone {
        /// Which.
        id: SettingsId,
        /// How it ended.
        outcome: SettingsOutcome,
    },
    /// The settings changed without a command.
    Settings(SettingsChange),
    /// Offline delivery is off from now on: messages that came while the user was away wait at the
    /// server until the client retrieves them (5.2.4-10, 12.1.2).
    RetrieveDeferred,
    /// A subscription of the client's own changed (`Config::watch_registration`,
    /// `Config::watch_settings`). What it tells comes as [`Registration`](Self::Registration) and
    /// [`Settings`](Self::Settings).
    Watch {
        /// Which.
        watch: Watch,
        /// How.
        change: WatchChange,
    },
    /// A digest challenge waits for `Client::answer`.
    Challenge {
        /// To be named in the answer.
        id: ChallengeId,
        /// The private identity that is asked for.
        user: &'a [u8],
        /// The realm, without quotes.
        realm: &'a [u8],
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The peer sees us at another address than our own (received and rport of a Via).
    Mapped {
        /// The path.
        path: PathId,
        /// Our address from outside.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        address: SocketAddr,
    },
    /// `adopt_registration` was taken: these Contact parameters have to be in the registration.
    OwnerMustRegister {
        /// The feature tag (5.2.4, 8.1.1).
        #[cfg_attr(feature = "arbitrary", arbitrary(value = crate::im::tags::FEATURE_TAG))]
        feature_tag: &'static str,
    },
}

/// How a registration changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum RegistrationChange<'a> {
    /// The first 200, or the first after a loss.
    Registered {
        /// Seconds granted.
        expires: u32,
        /// P-Associated-URI of the 200, as it came: the first is the default identity.
        associated: &'a [u8],
    },
    /// A refresh was answered with 200.
    Refreshed {
        /// Seconds granted.
        expires: u32,
    },
    /// The binding or its flow is gone; the client works on a new one.
    Lost,
    /// An attempt failed; the next one is at `retry_at`.
    Retrying {
        /// What failed.
        failure: Failure,
        /// When it goes on by itself.
        retry_at: Instant,
    },
    /// It failed for good; `register` starts anew.
    Failed(Failure),
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum SendOutcome {
    /// 200 or another 2xx but 202: it reached the far side, or a server.
    Delivered {
        /// The status.
        status: u16,
    },
    /// 202: a server took it and may deliver it later; reports, if asked for, tell.
    Accepted,
    /// It was withdrawn before it went out.
    Withdrawn,
    /// It failed.
    Failed(Failure),
}

/// A report on a message of ours (RFC 5438 §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Report<'a> {
    /// The message; `None`: none that is waited for.
    pub id: Option<SendId>,
    /// The Message-ID that the report names.
    pub message_id: &'a [u8],
    /// The recipient that it speaks for, as it came.
    pub recipient: &'a [u8],
    /// Which report, and what it says.
    pub disposition: Disposition,
    /// Whether a path that we trust brought it.
    pub trusted: Trust,
}

/// How a report of ours ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum ReportOutcome {
    /// The server took it.
    Sent,
    /// It failed; a repetition of the message has it sent again.
    Failed(Failure),
    /// The peer refused reports lately.
    PeerRefuses,
    /// More reports than the configured rate or the storage has room for, for longer than can be
    /// waited.
    TooMany,
}

/// Whether a message came over a path of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Trust {
    /// It came on a flow of a registered path.
    Path,
    /// It came from somewhere else.
    Stranger,
}

/// What `receive` made of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Received<'b> {
    /// How many bytes are done with; on a stream present the rest again, with more behind it.
    pub consumed: usize,
    /// The content, if any.
    pub item: Item<'b>,
}

/// Content that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[allow(clippy::large_enum_variant)] // It lives for one match in the caller's loop.
pub enum Item<'b> {
    /// Nothing for the application. If bytes are left, present them again after a drain.
    Nothing,
    /// More bytes are needed (streams only).
    More,
    /// Output waits: drain to `Idle`, then present the same bytes again.
    Later,
    /// A pager mode message. It is answered with 200 at the next `poll_output`, unless
    /// `refuse` is called before.
    Message(IncomingMessage<'b>),
    /// The stream cannot be read any further; a `Close` follows.
    Broken,
}

/// A pager mode message (OMA IM 8.2; RFC 3428 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct IncomingMessage<'b> {
    /// To be named in `refuse`, `delivered` and `displayed`.
    pub id: IncomingId,
    /// The first asserted identity (P-Asserted-Identity over a trusted path), a URI.
    pub asserted: Option<&'b [u8]>,
    /// The URI of From. Anybody can write anything there.
    pub from: &'b [u8],
    /// The display name of From, as it came: without the quotes around it, escapes included.
    pub display: Option<&'b [u8]>,
    /// From in CPIM, a URI, if the content is wrapped in CPIM.
    pub cpim_from: Option<&'b [u8]>,
    /// The identity of ours that was called: P-Called-Party-ID, else To.
    pub called: &'b [u8],
    /// Subject, of CPIM or else of SIP.
    pub subject: Option<&'b [u8]>,
    /// The type of `body`, with its parameters.
    pub content_type: &'b [u8],
    /// Content-Encoding, if the body has one; see [`wire::deflate`](crate::wire) to read it.
    pub content_encoding: Option<&'b [u8]>,
    /// The content, without its CPIM wrapper.
    pub body: &'b [u8],
    /// The Message-ID of IMDN (RFC 5438 §6.3).
    pub message_id: Option<&'b [u8]>,
    /// When it was sent, by CPIM DateTime or else Date, in milliseconds since 1970.
    pub sent_at: Option<u64>,
    /// Whether its time had passed (Expires; RFC 3428 §7).
    pub validity: Validity,
    /// Whether the content, where it is text, is UTF-8.
    pub text: TextCheck,
    /// Which reports the sender wants and may have.
    pub wants: Wanted,
    /// Where it came from.
    pub trust: Trust,
}

/// Whether a message came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Validity {
    /// It did, or that cannot be told.
    Current,
    /// Its Expires had run out when it came.
    Expired,
}

/// What a look at the bytes of a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum TextCheck {
    /// Text, and UTF-8.
    Utf8,
    /// Text, but not UTF-8: show it with care.
    Malformed,
    /// Not text.
    NotText,
}

/// Which reports are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Wanted {
    /// A positive delivery report.
    pub delivery: Want,
    /// A display report.
    pub display: Want,
}

/// Whether a report is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Want {
    /// It is.
    Yes,
    /// It is not, or may not be sent.
    #[default]
    No,
}

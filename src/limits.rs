//! Every limit, its default and what it costs.
//!
//! Meeting one gives a typed error that names it ([`CommandError::Full`](crate::error::CommandError)),
//! or on the wire 413 or 513 for size and 480 with Retry-After for a MESSAGE or INVITE without room
//! (503 would have a proxy treat the phone as a failed server), 500 for other requests.
//!
//! # Chosen with the storage
//!
//! The parameters of [`Inline`](crate::storage::Inline), fields of `HeapLimits`. Bytes are those of
//! a computer with 64-bit pointers.
//!
//! | limit | `Small` | `Standard` | bytes each | when it is met |
//! |---|---|---|---|---|
//! | `TXNS`: transactions, and requests under way | 8 | 32 | 464 | `Full`, or 480/500 to the peer |
//! | `REMEMBERED`: answers to repeat | 132 | 256 | 24 | the oldest is forgotten and counted |
//! | `ARENA`: octets of requests, answers, account and registration | 5120 | 32768 | 1 | `Full`, or 480/500 to the peer |
//!
//! Of `TXNS` rows for requests, one for each next hop is kept for its REGISTER; messages of ours
//! leave one transaction to REGISTER and one to peers, peers leave us one, and INVITEs have half of
//! the transactions at the most. Reports have
//! half of the rows at the most; the next ones wait. With each of `TXNS` come four messages of ours
//! whose reports are waited for, whose oldest gives way, its window closed and counted; and four messages
//! of others that are known again by their sender and Message-ID.
//!
//! # Fixed
//!
//! | limit | value | bytes each | when it is met |
//! |---|---|---|---|
//! | [`MAX_PATHS`] | 2 | 424 | `ConfigError::NextHops` |
//! | [`MAX_FLOWS`] | 4 | 232 | the flow is closed and counted |
//! | [`MAX_CANDIDATES`] of one next hop | 64 | none | the list counts as ended |
//! | [`EVENTS`] that wait | 8 | 40 | `Busy`, `Item::Later`; nothing is lost |
//! | [`RESERVE`]: octets of the arena | 1300 | 1 | `Full`; answers and retries still go out |
//! | [`MAX_MESSAGE`]: bytes of one message | 65535 | none | 413 or 513 to the peer, `Full` to the application |
//! | [`MAX_HEADERS`](crate::wire::message::MAX_HEADERS) of one message | 96 | none | 513 |
//! | [`MAX_CHALLENGE`]: bytes of one digest challenge | 512 | 1 | it is not answered, and counted |
//! | [`MAX_SECURITY_LIST`]: octets of Security-Server on an IMS core | 512 | 1 | `Failure::Security` |
//! | [`MAX_ACCESS_NETWORK`]: octets of P-Access-Network-Info | 128 | 1 | `CommandError::Text` |
//! | [`MAX_MECHANISMS`]: security mechanisms that are offered | 4 | 4 | `ConfigError::Mechanisms` |
//! | [`MAX_ETAG`]: octets of the entity-tag of a publication | 64 | 1 | it is published anew instead of refreshed |
//! | [`MAX_GRUU`]: octets of a GRUU | 192 | 1 | it is not used, and counted |
//! | [`MAX_DIALOG`]: octets of URIs, tag and routes of a dialog | 288 | 1 | nothing is sent within it; a subscription is made anew before its end |
//! | [`MAX_ROUTES`] of a dialog | 16 | none | likewise |
//! | Service-Route, P-Associated-URI and GRUUs | what leaves twice [`RESERVE`] | 1 | they are not kept, and counted |
//! | [`REPORTS_PER_MESSAGE`] | 64 | none | the rest is counted (`stats().reports_unread`) |
//! | `Config::stream_buffer`: bytes of a message on a stream | 8192 | in the driver's buffer | 413 to the peer, the message is skipped |
//! | `Config::reports_per_minute` and target | 60 | none | further reports wait, ten minutes at most: `ReportOutcome::TooMany` |
//!
//! Four stateless answers can wait to be polled; one more is dropped and counted
//! (`stats().answers_dropped`).

/// Paths of one client: reg-id 1 and 2 (RFC 5626 §4.2).
pub const MAX_PATHS: usize = 2;

/// Flows at once: for each path one, and one for long requests.
pub const MAX_FLOWS: usize = 4;

/// Candidates of one next hop that are tried, should the driver's list not end before (RFC 3263 §4.3).
pub const MAX_CANDIDATES: u16 = 64;

/// The longest message, in bytes: what one datagram can carry. On a stream it is also bounded by
/// the buffer that the driver presents.
pub const MAX_MESSAGE: usize = 65_535;

/// Events that may wait to be polled.
pub const EVENTS: usize = 8;

/// Reports in one message that are told (RFC 5438 §8.3).
pub const REPORTS_PER_MESSAGE: usize = 64;

/// Octets of the arena that no command takes: answers and retries need them, and a pager request
/// that has to be built again may have this many.
pub const RESERVE: usize = crate::im::tags::PAGER_LIMIT;

/// The longest digest challenge that is answered, in bytes. It is kept, and what it makes longer is
/// every request.
pub const MAX_CHALLENGE: usize = 512;

/// The longest list of Security-Server that is repeated in Security-Verify, in octets: every request on an IMS core
/// has it (RFC 3329 §2.3.1). An element has about 110.
pub const MAX_SECURITY_LIST: usize = 512;

/// The longest P-Access-Network-Info, in octets: every request and answer on an IMS core has it. That of
/// LTE has 60.
pub const MAX_ACCESS_NETWORK: usize = 128;

/// Security mechanisms of `Config::core` on an IMS core.
pub const MAX_MECHANISMS: usize = 4;

/// The longest entity-tag of a publication that is kept, in octets (RFC 3903 §11.3.1 has no limit).
/// A UUID has 36.
pub const MAX_ETAG: usize = 64;

/// The longest GRUU that is kept, in octets (RFC 5627 has no limit). One of a telephone number and a
/// UUID as 3GPP TS 23.003 makes them has about 120.
pub const MAX_GRUU: usize = 192;

/// Octets of URIs, peer's tag and route set of one dialog: two URIs of 51 octets as 3GPP TS 23.003
/// makes them of a telephone number, a tag of 40, and 140 for a target and two routes.
pub const MAX_DIALOG: usize = 288;

/// Routes of one dialog.
pub const MAX_ROUTES: usize = 16;

/// Octets of the arena that requests of ours leave to the answers for peers.
pub(crate) const ANSWER: usize = 768;

/// Stateless answers that may wait to be polled.
pub(crate) const ONE_SHOTS: usize = 4;

/// What one step of the client may add to the events.
pub(crate) const EVENTS_PER_STEP: usize = 3;

/// Peers whose refusal of reports is remembered, and targets whose reports are counted.
pub(crate) const PEERS: usize = 4;

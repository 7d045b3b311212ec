//! Every limit, its default and what it costs.
//!
//! Meeting one gives a typed error that names it ([`CommandError::Full`](crate::error::CommandError)),
//! or on the wire 413 or 513 for size and 480 with Retry-After for a MESSAGE or INVITE without room
//! (503 would have a proxy treat the phone as a failed server), 500 for other requests.
//!
//! | limit | where | when it is met |
//! |---|---|---|
//! | transactions, and requests under way | `TXNS` of the storage; messages of ours leave a row for each next hop and a transaction to REGISTER and one transaction to peers, peers leave us one, and their INVITEs have half of the transactions at the most | `Full`, or 480/500 to the peer |
//! | reports under way | half of `TXNS` of the storage | the next ones wait |
//! | finished things remembered (answers to repeat, message ids seen, reports awaited) | `REMEMBERED` of the storage | the oldest is forgotten and counted |
//! | octets of requests, answers, account and registration | `ARENA` of the storage | `Full`, or 480/500 to the peer |
//! | one message | [`MAX_MESSAGE`] | 413 or 513 to the peer, `Full` to the application |
//! | header fields of one message | [`MAX_HEADERS`](crate::wire::message::MAX_HEADERS) | 513 |
//! | paths | [`MAX_PATHS`] | `ConfigError::NextHops` |
//! | flows | [`MAX_FLOWS`] | the flow is closed and counted |
//! | reports in one message | [`REPORTS_PER_MESSAGE`] | the rest is counted (`stats().reports_unread`) |
//! | events that wait | [`EVENTS`] | `Busy`, `Item::Later`; nothing is lost |

/// Paths of one client: reg-id 1 and 2 (RFC 5626 §4.2).
pub const MAX_PATHS: usize = 2;

/// Flows at once: for each path one, and one for long requests.
pub const MAX_FLOWS: usize = 4;

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

/// Octets of the arena that requests of ours leave to the answers for peers.
pub(crate) const ANSWER: usize = 768;

/// Stateless answers that may wait to be polled.
pub(crate) const ONE_SHOTS: usize = 4;

/// What one step of the client may add to the events.
pub(crate) const EVENTS_PER_STEP: usize = 3;

/// Peers whose refusal of reports is remembered, and targets whose reports are counted.
pub(crate) const PEERS: usize = 4;

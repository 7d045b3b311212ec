//! Storage on the heap, for gateways: large while a client works, small while it is idle.
//!
//! A mutation wakes the storage: every table and the arena get the size that the limits allow. When
//! the output is drained and no request is under way, the storage rests: the arena's blocks
//! (account, registration, challenges, messages to be reported on) move together, and every table
//! ends behind its last row in use. Rows keep their places, and a row that is added again is
//! in its initial state, so that a client over a `Heap` does exactly what one over an
//! [`Inline`](super::Inline) of the same limits does.

use alloc::vec::Vec;

use super::{AWAITED, Parts, SEEN, SPANS, Storage, sealed};
use crate::arena::{Arena, ArenaState, Span};
use crate::client::slots::{Awaited, Echo, Machine, Request, RequestState, Seen, Ticket, Txn};
use crate::time::Instant;

/// The limits of a [`Heap`], as the parameters of [`Inline`](super::Inline).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HeapLimits {
    /// Transactions and requests at once.
    pub transactions: usize,
    /// Answers that are repeated.
    pub remembered: usize,
    /// Octets of the arena.
    pub arena: usize,
}

impl Default for HeapLimits {
    /// Those of [`Standard`](super::Standard).
    fn default() -> Self {
        Self {
            transactions: 32,
            remembered: 256,
            arena: 32_768,
        }
    }
}

/// Memory on the heap, given back while the client is idle.
///
/// ```
/// use oma_im::client::Client;
/// use oma_im::config::{Config, NextHop, Transport};
/// use oma_im::storage::{Heap, HeapLimits};
///
/// let hops = [NextHop::new("proxy.example.com", Transport::Tcp)];
/// let config = Config::new("sip:alice@example.com", &hops);
/// let client = Client::new(&config, Heap::new(HeapLimits::default()), [7; 32])?;
/// assert!(client.storage().footprint() < 1_000);
/// # Ok::<(), oma_im::error::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Heap {
    limits: HeapLimits,
    txns: Vec<Txn>,
    requests: Vec<Request>,
    tickets: Vec<Ticket>,
    awaited: Vec<Awaited>,
    echoes: Vec<Echo>,
    seen: Vec<Seen>,
    spans: Vec<Span>,
    state: ArenaState,
    bytes: Vec<u8>,
}

impl Heap {
    /// Memory that takes nothing yet.
    pub const fn new(limits: HeapLimits) -> Self {
        Self {
            limits,
            txns: Vec::new(),
            requests: Vec::new(),
            tickets: Vec::new(),
            awaited: Vec::new(),
            echoes: Vec::new(),
            seen: Vec::new(),
            spans: Vec::new(),
            state: ArenaState::EMPTY,
            bytes: Vec::new(),
        }
    }

    /// The limits that it was made with.
    pub const fn limits(&self) -> HeapLimits {
        self.limits
    }

    /// Octets that it has on the heap now.
    pub fn footprint(&self) -> usize {
        [
            octets(&self.txns),
            octets(&self.requests),
            octets(&self.tickets),
            octets(&self.awaited),
            octets(&self.echoes),
            octets(&self.seen),
            octets(&self.spans),
            octets(&self.bytes),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
}

impl sealed::Sealed for Heap {}

impl Storage for Heap {
    fn parts(&mut self) -> Parts<'_> {
        Parts {
            txns: &mut self.txns,
            requests: &mut self.requests,
            tickets: &mut self.tickets,
            awaited: &mut self.awaited,
            echoes: &mut self.echoes,
            seen: &mut self.seen,
            spans: &mut self.spans,
            state: &mut self.state,
            bytes: &mut self.bytes,
        }
    }

    fn wake(&mut self) {
        let HeapLimits {
            transactions,
            remembered,
            arena,
        } = self.limits;
        grow(&mut self.txns, transactions, Txn::FREE);
        grow(&mut self.requests, transactions, Request::FREE);
        grow(&mut self.tickets, transactions, Ticket::FREE);
        let awaited = transactions.saturating_mul(AWAITED);
        grow(&mut self.awaited, awaited, Awaited::FREE);
        grow(&mut self.echoes, remembered, Echo::FREE);
        let seen = transactions.saturating_mul(SEEN);
        grow(&mut self.seen, seen, Seen::FREE);
        let spans = transactions.saturating_mul(SPANS);
        grow(&mut self.spans, spans, Span::FREE);
        grow(&mut self.bytes, arena, 0);
    }

    fn rest(&mut self, now: Instant) {
        let busy = |txn: &Txn| !matches!(txn.machine, Machine::Free);
        let open = |request: &Request| request.state != RequestState::Free;
        if self.requests.iter().any(open) {
            return;
        }
        cut(&mut self.txns, busy);
        cut(&mut self.requests, open);
        cut(&mut self.tickets, |ticket| ticket.id.is_some());
        cut(&mut self.awaited, |row| row.id.is_some());
        cut(&mut self.echoes, |echo| echo.is_live(now));
        cut(&mut self.seen, |seen| seen.0 != 0);
        let arena = Arena::new(&mut self.bytes, &mut self.spans, &mut self.state).settle();
        let (bytes, spans) = arena;
        self.bytes.truncate(bytes);
        self.bytes.shrink_to_fit();
        self.spans.truncate(spans);
        self.spans.shrink_to_fit();
    }

    fn arena_size(&self) -> usize {
        self.limits.arena
    }
}

/// Adds free rows up to a limit.
fn grow<T: Clone>(rows: &mut Vec<T>, limit: usize, free: T) {
    if rows.len() < limit {
        rows.reserve_exact(limit.saturating_sub(rows.len()));
        rows.resize(limit, free);
    }
}

/// Ends a table behind its last row in use.
fn cut<T>(rows: &mut Vec<T>, in_use: impl Fn(&T) -> bool) {
    let last = rows.iter().rposition(in_use);
    rows.truncate(last.map_or(0, |last| last.saturating_add(1)));
    rows.shrink_to_fit();
}

fn octets<T>(rows: &Vec<T>) -> usize {
    rows.capacity().saturating_mul(size_of::<T>())
}

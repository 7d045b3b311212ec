//! The memory of a client.
//!
//! A storage owns every table and the arena; the client owns the storage, or borrows it. Const
//! generics stop here: one core of code works on slices. [`Inline`] is all arrays and has a
//! constant initial value, so it fits a `static`; [`Heap`] (feature `alloc`) has its limits at run
//! time and gives memory back when the client is idle.

use crate::arena::{Arena, ArenaState, Span};
use crate::client::slots::{Awaited, Echo, Request, Seen, Ticket, Txn};

/// A phone with 64 KiB of memory. See the memory table in the crate documentation.
pub type Small = Inline<8, 132, 5120>;

/// A client on a computer or in a gateway.
pub type Standard = Inline<32, 256, 32_768>;

/// Memory in arrays: `TXNS` transactions and requests, `REMEMBERED` finished things of each kind,
/// `ARENA` octets of arena.
///
/// ```
/// use oma_im::storage::Inline;
/// static mut _A: Inline<4, 16, 4096> = Inline::new();
/// ```
pub struct Inline<const TXNS: usize, const REMEMBERED: usize, const ARENA: usize> {
    txns: [Txn; TXNS],
    requests: [Request; TXNS],
    tickets: [Ticket; TXNS],
    awaited: [Awaited; TXNS],
    echoes: [Echo; REMEMBERED],
    seen: [Seen; TXNS],
    spans: [[Span; 5]; TXNS],
    state: ArenaState,
    arena: [u8; ARENA],
}

impl<const TXNS: usize, const REMEMBERED: usize, const ARENA: usize>
    Inline<TXNS, REMEMBERED, ARENA>
{
    /// Empty memory.
    pub const fn new() -> Self {
        Self {
            txns: [Txn::FREE; TXNS],
            requests: [Request::FREE; TXNS],
            tickets: [Ticket::FREE; TXNS],
            awaited: [Awaited::FREE; TXNS],
            echoes: [Echo::FREE; REMEMBERED],
            seen: [Seen::FREE; TXNS],
            spans: [[Span::FREE; 5]; TXNS],
            state: ArenaState::EMPTY,
            arena: [0; ARENA],
        }
    }
}

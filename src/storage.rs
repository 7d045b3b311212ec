//! The memory of a client.
//!
//! A storage owns every table and the arena; the client owns the storage, or borrows it. Const
//! generics stop here: one core of code works on slices. [`Inline`] is all arrays and has a
//! constant initial value, so it fits a `static`; `Heap` (feature `alloc`) has its limits at run
//! time and gives memory back when the client is idle.
//!
//! # In firmware
//!
//! The memory is a `static` that is taken once, and the client borrows it for ever: a `static mut` in
//! the `entry` of `cortex-m-rt`, a `static_cell::ConstStaticCell`. There is no allocator, and the
//! stack holds only the client without its storage. What moves a value into its place at run time
//! (`cortex_m::singleton!`, `StaticCell::init`) works as well, but makes it on the stack first.
//!
//! ```
//! use oma_im::Client;
//! use oma_im::client::{FlowInfo, Item, Output};
//! use oma_im::config::{Config, Credentials, NextHop, Transport};
//! use oma_im::error::ConfigError;
//! use oma_im::id::FlowId;
//! use oma_im::storage::Small;
//! use oma_im::time::Instant;
//!
//! type Phone = Client<&'static mut Small>;
//!
//! fn phone(memory: &'static mut Small, seed: [u8; 32]) -> Result<Phone, ConfigError> {
//!     // The client copies what it needs: nothing of this has to live on.
//!     let hops = [NextHop::new("192.0.2.1", Transport::Udp)];
//!     let config = Config {
//!         credentials: Credentials::Password { user: "alice", password: "secret" },
//!         ..Config::new("sip:alice@example.com", &hops)
//!     };
//!     Client::new(&config, memory, seed)
//! }
//!
//! /// What the network task does with a datagram, and after it; gives the next deadline.
//! fn datagram(
//!     phone: &mut Phone,
//!     now: Instant,
//!     bytes: &[u8],
//!     mut send: impl FnMut(&[u8]),
//! ) -> Option<Instant> {
//!     if let Item::Message(message) = phone.receive(now, FlowId(1), bytes).item {
//!         // Show message.body; it borrows `bytes`.
//!     }
//!     let mut out = [0; 1500];
//!     loop {
//!         match phone.poll_output(&mut out) {
//!             Output::Transmit { bytes, .. } => send(bytes),
//!             Output::Open(open) => { /* tell the task that owns the sockets */ }
//!             Output::Close { flow, .. } => { /* likewise */ }
//!             Output::Event(event) => { /* tell the application */ }
//!             Output::TooSmall { .. } => return None, // 1500 bytes are always enough.
//!             Output::Idle(deadline) => return deadline.map(|deadline| deadline.at),
//!         }
//!     }
//! }
//! # let memory = Box::leak(Box::new(Small::new()));
//! # let mut phone = phone(memory, [7; 32])?;
//! # assert_eq!(datagram(&mut phone, Instant::ZERO, b"", |_| ()), None);
//! # Ok::<(), ConfigError>(())
//! ```
//!
//! A local does as well, where the stack is deep enough for it:
//! `Client::new(&config, Small::new(), seed)`. The numbers are in [`limits`](crate::limits);
//! `firmware/` in the repository is a whole image for a Cortex-M3.

use crate::arena::{ArenaState, Span};
use crate::client::slots::{Awaited, Echo, Request, Seen, Ticket, Txn};
use crate::time::Instant;

/// A phone with 64 KiB of memory.
pub type Small = Inline<8, 132, 5120>;

/// A client on a computer or in a gateway.
pub type Standard = Inline<32, 256, 32_768>;

/// Blocks of the arena for each transaction: requests, answers, tickets and what is kept.
const SPANS: usize = 5;
/// Messages that wait for reports, for each transaction.
const AWAITED: usize = 4;
/// Messages that are known again, for each transaction.
const SEEN: usize = 4;

/// Memory for a client. Only this crate implements it.
pub trait Storage: sealed::Sealed {
    #[doc(hidden)]
    fn parts(&mut self) -> Parts<'_>;

    /// Takes the memory that the limits allow: a mutation comes.
    #[doc(hidden)]
    fn wake(&mut self);

    /// Gives back what is not in use: the output was drained. `now` is the client's time.
    #[doc(hidden)]
    fn rest(&mut self, now: Instant);

    /// Octets of the arena when it is awake.
    #[doc(hidden)]
    fn arena_size(&self) -> usize;
}

/// The tables and the arena, as slices.
#[doc(hidden)]
pub struct Parts<'a> {
    pub(crate) txns: &'a mut [Txn],
    pub(crate) requests: &'a mut [Request],
    pub(crate) tickets: &'a mut [Ticket],
    pub(crate) awaited: &'a mut [Awaited],
    pub(crate) echoes: &'a mut [Echo],
    pub(crate) seen: &'a mut [Seen],
    pub(crate) spans: &'a mut [Span],
    pub(crate) state: &'a mut ArenaState,
    pub(crate) bytes: &'a mut [u8],
}

mod sealed {
    pub trait Sealed {}
}

/// Memory in arrays: `TXNS` transactions and requests at once, `REMEMBERED` answers that are
/// repeated, `ARENA` octets.
///
/// ```
/// use oma_im::storage::Inline;
///
/// static STORAGE: Inline<4, 16, 4096> = Inline::new();
/// ```
pub struct Inline<const TXNS: usize, const REMEMBERED: usize, const ARENA: usize> {
    txns: [Txn; TXNS],
    requests: [Request; TXNS],
    tickets: [Ticket; TXNS],
    awaited: [[Awaited; AWAITED]; TXNS],
    echoes: [Echo; REMEMBERED],
    seen: [[Seen; SEEN]; TXNS],
    spans: [[Span; SPANS]; TXNS],
    state: ArenaState,
    bytes: [u8; ARENA],
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
            awaited: [[Awaited::FREE; AWAITED]; TXNS],
            echoes: [Echo::FREE; REMEMBERED],
            seen: [[Seen::FREE; SEEN]; TXNS],
            spans: [[Span::FREE; SPANS]; TXNS],
            state: ArenaState::EMPTY,
            bytes: [0; ARENA],
        }
    }
}

impl<const TXNS: usize, const REMEMBERED: usize, const ARENA: usize> Default
    for Inline<TXNS, REMEMBERED, ARENA>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const TXNS: usize, const REMEMBERED: usize, const ARENA: usize> sealed::Sealed
    for Inline<TXNS, REMEMBERED, ARENA>
{
}

impl<const TXNS: usize, const REMEMBERED: usize, const ARENA: usize> Storage
    for Inline<TXNS, REMEMBERED, ARENA>
{
    fn parts(&mut self) -> Parts<'_> {
        Parts {
            txns: &mut self.txns,
            requests: &mut self.requests,
            tickets: &mut self.tickets,
            awaited: self.awaited.as_flattened_mut(),
            echoes: &mut self.echoes,
            seen: self.seen.as_flattened_mut(),
            spans: self.spans.as_flattened_mut(),
            state: &mut self.state,
            bytes: &mut self.bytes,
        }
    }

    fn wake(&mut self) {}

    fn rest(&mut self, _now: Instant) {}

    fn arena_size(&self) -> usize {
        ARENA
    }
}

impl<S: Storage> sealed::Sealed for &mut S {}

/// So that a client can live over storage in a `static`.
impl<S: Storage> Storage for &mut S {
    fn parts(&mut self) -> Parts<'_> {
        (**self).parts()
    }

    fn wake(&mut self) {
        (**self).wake();
    }

    fn rest(&mut self, now: Instant) {
        (**self).rest(now);
    }

    fn arena_size(&self) -> usize {
        (**self).arena_size()
    }
}

#[cfg(feature = "alloc")]
impl<S: Storage> sealed::Sealed for alloc::boxed::Box<S> {}

/// So that a client of much storage moves cheaply.
#[cfg(feature = "alloc")]
impl<S: Storage> Storage for alloc::boxed::Box<S> {
    fn parts(&mut self) -> Parts<'_> {
        (**self).parts()
    }

    fn wake(&mut self) {
        (**self).wake();
    }

    fn rest(&mut self, now: Instant) {
        (**self).rest(now);
    }

    fn arena_size(&self) -> usize {
        (**self).arena_size()
    }
}

#[cfg(feature = "alloc")]
mod heap;
#[cfg(feature = "alloc")]
pub use heap::{Heap, HeapLimits};

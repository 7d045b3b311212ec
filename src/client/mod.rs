//! The client: the one place that knows all layers, and the one seam to the outside.
//!
//! # The contract
//!
//! **One mutation, then drain to `Idle`.** Every method of [`Client`] that takes `now` is a
//! mutation. After one, call [`poll_output`](Client::poll_output) until it says
//! [`Output::Idle`]; then wait for the next input or for the deadline that `Idle` names, whichever
//! is first. Breaking this delays output and loses nothing: a client whose events wait answers
//! [`Item::Later`] and [`CommandError::Busy`].
//!
//! # The loop
//!
//! ```
//! use oma_im::client::{Client, FlowInfo, Item, Output};
//! use oma_im::config::{Config, NextHop, Transport};
//! use oma_im::id::FlowId;
//! use oma_im::storage::Small;
//! use oma_im::time::Instant;
//! # use oma_im::client::{Direction, Origin, Verified};
//! # use core::net::SocketAddr;
//!
//! let hops = [NextHop::new("proxy.example.com", Transport::Udp)];
//! let config = Config::new("sip:alice@example.com", &hops);
//! let mut client = Client::new(&config, Small::new(), [7; 32])?;
//! let mut out = [0; 1500];
//! let mut now = Instant::ZERO;
//!
//! client.register(now)?;
//! loop {
//!     // Drain: send, open and close what is asked for, note what happened.
//!     let deadline = loop {
//!         match client.poll_output(&mut out) {
//!             Output::Transmit { flow, bytes } => { /* send on the socket of this flow */ }
//!             Output::Open(open) => {
//!                 // Resolve open.host, open a socket, then:
//!                 let info = FlowInfo {
//!                     origin: Origin::Asked(open.id),
//!                     transport: open.transport,
//!                     local: SocketAddr::from(([192, 0, 2, 10], 5060)),
//!                     remote: SocketAddr::from(([192, 0, 2, 1], 5060)),
//!                     verified: Verified::No,
//!                     direction: Direction::Both,
//!                 };
//!                 client.flow_opened(now, FlowId(1), &info);
//!             }
//!             Output::Close { flow, why } => { /* close the socket */ }
//!             Output::Event(event) => { /* tell the application */ }
//!             Output::TooSmall { needed } => unreachable!("1500 bytes are enough"),
//!             Output::Idle(deadline) => break deadline,
//!         }
//!     };
//!     // Wait for bytes or for the deadline.
//!     let Some(deadline) = deadline else { break };
//!     now = deadline.at;
//!     client.timeout(now);
//! #   if now.as_millis() > 40_000 { break }
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Where things are
//!
//! [`Client`] has the commands, [`Event`] what happens, [`Item`] what comes in, [`crate::limits`]
//! every limit, [`crate::config`] every decision, [`crate::storage`] the memory.

mod account;
#[cfg(feature = "testkit")]
mod audit;
#[cfg(test)]
mod costs;
mod credentials;
mod engine;
mod event;
mod flows;
mod ims;
mod incoming;
mod poll;
mod receive;
mod records;
mod register;
mod reports;
mod requests;
mod send;
mod serve;
mod settings;
pub(crate) mod slots;
mod stats;
mod together;
mod watch;

#[cfg(feature = "testkit")]
pub use audit::Holders;
pub use credentials::Answer;
pub use event::{
    CloseReason, Deadline, Direction, Event, FlowInfo, IncomingMessage, Item, Open, OpenFailure,
    Origin, Output, Purpose, Received, RegistrationChange, Report, ReportOutcome, SendOutcome,
    TextCheck, Trust, Validity, Verified, Wake, Want, Wanted,
};
pub use ims::SecurityOffer;
pub use register::Adopted;
pub use reports::Refusal;
pub use send::Queue;
pub use settings::{SettingsChange, SettingsOutcome};
pub use stats::Stats;
pub use watch::{Watch, WatchChange};

use crate::arena::Arena;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::error::{CommandError, ConfigError};
use crate::id::{ChallengeId, FlowId, IncomingId, OpenId, PathId, SendId, SettingsId};
use crate::im::imdn::ReportKind;
use crate::im::pager::Outgoing;
use crate::limits::MAX_PATHS;
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::settings::Settings;
use account::Account;
use engine::{Core, Engine, Policy, Rate, Refuser, Rest, Role};
use flows::Path;
use poll::Next;
use settings::SettingsState;
use watch::Watches;

/// An IM client: one user, one registration, over storage `S`.
///
/// See the [module](self) for the contract and the loop.
pub struct Client<S> {
    core: Core,
    storage: S,
}

impl<S: Storage> Client<S> {
    /// A client that does nothing yet. It does not allocate and touches no clock.
    ///
    /// `seed` is the source of all its chance: tags, branches, Call-IDs, waits. Give every client
    /// its own, from a good source. The same seed and the same inputs give the same bytes.
    ///
    /// # Errors
    /// The rule that the configuration breaks; the storage is dropped.
    pub fn new(config: &Config<'_>, mut storage: S, seed: [u8; 32]) -> Result<Self, ConfigError> {
        let policy = Policy::new(config);
        let mut entropy = Entropy::new(seed);
        storage.wake();
        let parts = storage.parts();
        if parts.txns.len() < 2 || parts.requests.is_empty() {
            return Err(ConfigError::Storage);
        }
        let mut arena = Arena::new(parts.bytes, parts.spans, parts.state);
        let account = Account::new(config, &mut arena)?;
        let registration = policy.registration();
        let core = Core {
            policy,
            account,
            hash_seed: entropy.u64(),
            entropy,
            now: Instant::ZERO,
            rest: Rest::Disturbed,
            wall: None,
            role: Role::Idle,
            paths: [Path::new(0, &registration), Path::new(1, &registration)],
            flows: heapless::Vec::new(),
            closing: heapless::Deque::new(),
            events: heapless::Deque::new(),
            one_shots: heapless::Deque::new(),
            spent: None,
            given: None,
            rates: [Rate::FREE; crate::limits::PEERS],
            refusers: [Refuser::FREE; crate::limits::PEERS],
            ims: ims::ImsState::NEW,
            settings: SettingsState::new(&policy, config.settings_dialect, config.settings_poc),
            watches: Watches::NONE,
            held_back: None,
            stranded: None,
            next_id: 0,
            next_seen: 0,
            stats: Stats::ZERO,
        };
        const { assert!(MAX_PATHS == 2) };
        storage.rest(Instant::ZERO);
        Ok(Self { core, storage })
    }

    /// The engine for a mutation: the tables have their full size.
    fn engine(&mut self) -> Engine<'_> {
        self.storage.wake();
        self.look()
    }

    /// The engine to look at what there is, and to go on with it.
    fn look(&mut self) -> Engine<'_> {
        let parts = self.storage.parts();
        Engine {
            core: &mut self.core,
            txns: parts.txns,
            requests: parts.requests,
            tickets: parts.tickets,
            awaited: parts.awaited,
            echoes: parts.echoes,
            seen: parts.seen,
            arena: Arena::new(parts.bytes, parts.spans, parts.state),
        }
    }

    /// The engine for a command: the time is taken, and there is room for what it may cause.
    fn command(&mut self, now: Instant) -> Result<Engine<'_>, CommandError> {
        let mut engine = self.engine();
        engine.tick(now);
        if engine.has_room() {
            Ok(engine)
        } else {
            Err(CommandError::Busy)
        }
    }

    // Out.

    /// The one exit: bytes to send, flows to open and close, events, and at last the deadline.
    ///
    /// Its answer may have changed after any method that takes `now`, and after itself. Bytes and
    /// text are borrowed until the next call. `out` is only used for messages that are derived when
    /// they are sent; 1500 bytes are always enough. If it is too small, nothing has changed.
    pub fn poll_output<'a>(&'a mut self, out: &'a mut [u8]) -> Output<'a> {
        let next = self.look().next();
        if let Next::Idle(deadline) = next {
            self.storage.rest(self.core.now);
            return Output::Idle(deadline);
        }
        self.look().show(next, out)
    }

    // In: what the network did.

    /// Takes bytes that came in on a flow.
    ///
    /// On a stream, present what was not consumed again, with more bytes behind it; call again at
    /// once while something was consumed and bytes are left. The item borrows `bytes`, not the
    /// client. Bytes that cannot be read change no machine; if they can be answered, the answer is
    /// queued.
    pub fn receive<'b>(&mut self, now: Instant, flow: FlowId, bytes: &'b [u8]) -> Received<'b> {
        let mut engine = self.engine();
        engine.tick(now);
        engine.receive(flow, bytes)
    }

    /// A flow is open: one that was asked for, given by the platform, or accepted from a peer.
    ///
    /// One that nobody waits for (any more), or that there is no room for, is closed again by an
    /// [`Output::Close`].
    pub fn flow_opened(&mut self, now: Instant, flow: FlowId, info: &FlowInfo) {
        let mut engine = self.engine();
        engine.tick(now);
        engine.flow_opened(flow, info);
    }

    /// A flow that was asked for cannot be opened; the next candidate is asked for, if any.
    pub fn flow_failed(&mut self, now: Instant, open: OpenId, why: OpenFailure) {
        let mut engine = self.engine();
        engine.tick(now);
        engine.flow_failed(open, why);
    }

    /// A flow was closed by the peer or broke.
    ///
    /// A REGISTER goes again on the new flow. A message goes once more, with the same Call-ID and
    /// CSeq, if nothing was received for it.
    pub fn flow_closed(&mut self, now: Instant, flow: FlowId) {
        let mut engine = self.engine();
        engine.tick(now);
        engine.flow_closed(flow);
    }

    /// The local address or the network changed: every flow is closed and every path is built anew.
    ///
    /// Registrations are made again with the new address; nothing that goes out afterwards carries
    /// the old one. Messages under way go once more, queued ones wait.
    pub fn network_changed(&mut self, now: Instant) {
        let mut engine = self.engine();
        engine.tick(now);
        engine.network_changed();
    }

    // In: what the clock did.

    /// The time is `now`: fires what is due, in order, once each.
    pub fn timeout(&mut self, now: Instant) {
        let mut engine = self.engine();
        engine.tick(now);
        if engine.is_due() {
            count!(engine, wake_ups);
        }
        engine.pump();
    }

    /// Pairs the caller's clock with the calendar, in milliseconds since 1970. Call it again when
    /// the calendar was set. Without it nothing that needs a date is sent.
    pub fn wall_clock(&mut self, now: Instant, unix_millis: u64) {
        let mut engine = self.engine();
        let now = engine.tick(now);
        engine.core.wall = Some((now, unix_millis));
    }

    // In: what the user did.

    /// Registers with the registrar of the IM Address and stays registered.
    ///
    /// Ends in [`RegistrationChange::Registered`] or [`RegistrationChange::Failed`]; what can be
    /// tried again is tried again by itself.
    ///
    /// # Errors
    /// `WrongState` if it is registered, adopted or leaving; `Busy`.
    pub fn register(&mut self, now: Instant) -> Result<(), CommandError> {
        self.command(now)?.register()
    }

    /// Ends the registration: queued messages end first, then each path is de-registered.
    ///
    /// Ends in [`Event::Deregistered`] within `Config::deregister_timeout`.
    ///
    /// # Errors
    /// `WrongState` if it is not registered; `Busy`.
    pub fn deregister(&mut self, now: Instant) -> Result<(), CommandError> {
        self.command(now)?.deregister()
    }

    /// Uses a registration that somebody else holds, as the modem of a phone: the client never
    /// sends REGISTER. [`Event::OwnerMustRegister`] says what has to be in it.
    ///
    /// # Errors
    /// `WrongState` if the client registers itself; `Text`, `Full`, `Busy`.
    pub fn adopt_registration(
        &mut self,
        now: Instant,
        adopted: &Adopted<'_>,
    ) -> Result<(), CommandError> {
        self.command(now)?.adopt(adopted)
    }

    /// The adopted registration has other routes or identities now.
    ///
    /// # Errors
    /// As [`adopt_registration`](Self::adopt_registration); `WrongState` if none is adopted.
    pub fn registration_changed(
        &mut self,
        now: Instant,
        adopted: &Adopted<'_>,
    ) -> Result<(), CommandError> {
        let mut engine = self.command(now)?;
        if engine.core.role != Role::Adopted {
            return Err(CommandError::WrongState);
        }
        engine.adopt(adopted)
    }

    /// The adopted registration is gone: what waits ends with `Failure::Withdrawn`.
    ///
    /// # Errors
    /// `WrongState` if none is adopted; `Busy`.
    pub fn registration_lost(&mut self, now: Instant) -> Result<(), CommandError> {
        self.command(now)?.adopted_lost()
    }

    /// Answers [`Event::Challenge`].
    ///
    /// # Errors
    /// `UnknownId` if it was answered or given up; `Answer`, `Full`, `Busy`: the challenge still waits.
    pub fn answer(
        &mut self,
        now: Instant,
        challenge: ChallengeId,
        answer: Answer<'_>,
    ) -> Result<(), CommandError> {
        self.command(now)?.answer_challenge(challenge, answer)
    }

    /// Answers [`Event::SecurityOfferWanted`]: the numbers that the platform has set aside for the next security
    /// associations of a path (3GPP TS 33.203). They are free again when the next offer is wanted, unless
    /// [`Event::InstallSecurity`] names them.
    ///
    /// # Errors
    /// `WrongState` if none is wanted (any more); `SecurityOffer`, `Busy`: it is still wanted.
    pub fn security_offer(
        &mut self,
        now: Instant,
        path: PathId,
        offer: SecurityOffer,
    ) -> Result<(), CommandError> {
        self.command(now)?.security_offer(path, offer)
    }

    /// The access network and the cell, as the value of P-Access-Network-Info (RFC 7315 §5.4), at most
    /// [`MAX_ACCESS_NETWORK`](crate::limits::MAX_ACCESS_NETWORK) bytes; empty: it is not known. Call it again when it
    /// changes.
    ///
    /// It goes out over a protected path of an IMS core only, since it tells where the user is: in every request but
    /// ACK and CANCEL, and in every answer but those to CANCEL (TS 24.229 §5.1.2A.1.1).
    ///
    /// # Errors
    /// `WrongState` on a plain core; `Text`, `Full`, `Busy`. Nothing has changed then.
    pub fn access_network(&mut self, now: Instant, value: &str) -> Result<(), CommandError> {
        self.command(now)?.access_network(value)
    }

    /// Sends a pager mode message (OMA IM 8.1.1).
    ///
    /// It is checked and measured at once, and queued if its target has a request pending. Ends in
    /// exactly one [`Event::Sent`]; reports follow as [`Event::Report`].
    ///
    /// # Errors
    /// `WrongState` while not registered; `Target`, `Identity`, `Text`, `AnonymousReport`,
    /// `NoWallClock`, `TooLargeForPager`, `Full`, `Busy`. Nothing has changed then.
    ///
    /// ```
    /// # use oma_im::{client::Client, config::{Config, NextHop, Transport}, storage::Small, time::Instant};
    /// # use oma_im::{error::CommandError, im::pager::Outgoing};
    /// # let hops = [NextHop::new("proxy.example.com", Transport::Udp)];
    /// # let config = Config::new("sip:alice@example.com", &hops);
    /// # let mut client = Client::new(&config, Small::new(), [7; 32])?;
    /// let hello = Outgoing::text("sip:bob@example.com", "Hello Bob");
    /// assert_eq!(client.send_message(Instant::ZERO, &hello), Err(CommandError::WrongState));
    /// # Ok::<(), oma_im::error::ConfigError>(())
    /// ```
    pub fn send_message(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
    ) -> Result<SendId, CommandError> {
        self.command(now)?.send_message(message)
    }

    /// Takes a message back that has not gone out; its [`Event::Sent`] says `Withdrawn`.
    ///
    /// # Errors
    /// `WrongState` if it is under way; `UnknownId` if it is over; `Busy`.
    pub fn withdraw(&mut self, now: Instant, id: SendId) -> Result<(), CommandError> {
        self.command(now)?.withdraw(id)
    }

    /// Sets or changes the IM service settings (OMA IM 5.2.4); all seven are said each time.
    ///
    /// They are published at once, or with the next registration if there is none yet, and kept in
    /// effect by refreshes until they are removed. Changes that come faster than the server answers
    /// are sent as one. Ends in exactly one [`Event::SettingsDone`]; what happens later without a
    /// command comes as [`Event::Settings`]. A de-registration leaves the settings to run out.
    ///
    /// # Errors
    /// `WrongState` before `register` or `adopt_registration` and after `deregister`; `Busy`.
    ///
    /// ```
    /// # use oma_im::{client::Client, config::{Config, NextHop, Transport}, storage::Small, time::Instant};
    /// use oma_im::wire::settings::{Barring, Settings};
    /// # let hops = [NextHop::new("proxy.example.com", Transport::Udp)];
    /// # let config = Config::new("sip:alice@example.com", &hops);
    /// # let mut client = Client::new(&config, Small::new(), [7; 32])?;
    /// # let now = Instant::ZERO;
    /// client.register(now)?;
    /// let alone = Settings { sessions: Barring::Barred, ..Settings::DEFAULT };
    /// client.publish_settings(now, alone)?;
    /// assert_eq!(client.settings(), None); // Nothing is in effect yet.
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn publish_settings(
        &mut self,
        now: Instant,
        settings: Settings,
    ) -> Result<SettingsId, CommandError> {
        self.command(now)?.publish_settings(settings)
    }

    /// Takes the settings back, so that the server's defaults hold (RFC 3903 §4.5). Followed by
    /// `deregister` it still goes first.
    ///
    /// Ends in exactly one [`Event::SettingsDone`].
    ///
    /// # Errors
    /// As [`publish_settings`](Self::publish_settings).
    pub fn remove_settings(&mut self, now: Instant) -> Result<SettingsId, CommandError> {
        self.command(now)?.remove_settings()
    }

    /// Refuses a message that `receive` just handed out, instead of the 200 that would go out at
    /// the next poll.
    ///
    /// # Errors
    /// `UnknownId` once the 200 went out; `WrongState` after `delivered` or `displayed`; `Full`: the
    /// 200 stands.
    pub fn refuse(
        &mut self,
        now: Instant,
        id: IncomingId,
        why: Refusal,
    ) -> Result<(), CommandError> {
        let mut engine = self.engine();
        engine.tick(now);
        engine.refuse(id, why)
    }

    /// The application has kept a message: reports its delivery, if that was asked for.
    ///
    /// Ends in one [`Event::ReportSent`].
    ///
    /// # Errors
    /// `NotAskedFor` if the message wants none or may have none; `WrongState` if it was said
    /// before; `Busy`.
    pub fn delivered(&mut self, now: Instant, id: IncomingId) -> Result<(), CommandError> {
        self.command(now)?.want_report(id, ReportKind::Delivery)
    }

    /// The user has seen a message: reports that, if it was asked for.
    ///
    /// Ends in one [`Event::ReportSent`].
    ///
    /// # Errors
    /// As [`delivered`](Self::delivered).
    pub fn displayed(&mut self, now: Instant, id: IncomingId) -> Result<(), CommandError> {
        self.command(now)?.want_report(id, ReportKind::Display)
    }

    // Looks.

    /// What waits for one target, as `send_message` named it.
    pub fn queue(&mut self, to: &str) -> Queue {
        self.look().queue(to)
    }

    /// Whether messages can be sent now.
    pub fn is_ready(&mut self) -> bool {
        self.look().usable_path().is_some()
    }

    /// The settings that the server holds for us, as far as is known; `None`: its defaults.
    pub fn settings(&self) -> Option<Settings> {
        self.core.settings.in_effect(self.core.now)
    }

    /// What was dropped or forgotten, by name.
    pub fn stats(&self) -> Stats {
        self.core.stats
    }

    /// The storage.
    pub const fn storage(&self) -> &S {
        &self.storage
    }

    /// How much of the storage is in use.
    pub fn usage(&mut self) -> Usage {
        let arena_size = self.storage.arena_size();
        let engine = self.look();
        // One that only absorbs what may still come gives way to any other.
        let busy = |txn: &&slots::Txn| match txn.machine {
            slots::Machine::Free | slots::Machine::Client { request: None, .. } => false,
            slots::Machine::Client { .. }
            | slots::Machine::Server { .. }
            | slots::Machine::InviteServer { .. } => true,
        };
        let open = |request: &&slots::Request| request.state != slots::RequestState::Free;
        Usage {
            transactions: engine.txns.iter().filter(busy).count(),
            requests: engine.requests.iter().filter(open).count(),
            arena: engine.arena.used(),
            arena_size,
            blocks: engine.arena.blocks(),
        }
    }

    /// The path that a request would take now.
    pub fn path(&mut self) -> Option<PathId> {
        self.look().usable_path()
    }
}

/// How much of the storage is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Usage {
    /// Transactions under way. A completed one of ours (RFC 3261 §17.1.2.2, Timer K) is not
    /// counted: it gives way when room is needed.
    pub transactions: usize,
    /// Requests that are not over.
    pub requests: usize,
    /// Octets of the arena in use: account and registration, and what is under way.
    pub arena: usize,
    /// Octets of the arena.
    pub arena_size: usize,
    /// Blocks that they are in.
    pub blocks: usize,
}

/// The key of the client that some bytes belong to, without a client: the one in `Config::key`.
///
/// Reads the branch of a response and the Request-URI of a request, so that one socket can serve
/// many clients. `None` for anything else; the message is not checked otherwise.
///
/// ```
/// let ok = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK0000002a0123456789abcdef\r\n\r\n";
/// assert_eq!(oma_im::client::route_key(ok), Some(42));
/// ```
pub fn route_key(bytes: &[u8]) -> Option<u32> {
    use crate::sip::draft::parse_branch;
    use crate::wire::message::{Message, StartLine};
    use crate::wire::uri::Uri;
    let message = Message::parse_head(bytes).ok()?;
    match message.start() {
        StartLine::Response(_) => {
            let via = message.via().ok()?;
            Some(parse_branch(via.branch()?)?.0)
        }
        StartLine::Request(line) => {
            let uri = Uri::parse(line.uri).ok()?;
            Some(register::parse_contact_user(uri.user()?)?.0)
        }
    }
}

//! The client's state and the one view on it that every procedure works with.
//!
//! [`Core`] is what does not depend on the storage's sizes; [`Engine`] joins it for one call with
//! the tables and the arena. The rule of the house: an input changes state and marks what is to be
//! sent; nothing is sent and no event leaves before `poll_output`. What an input makes possible (a
//! queued message may go, a delayed report is due) is done by `pump`, step by step, as long as the
//! event queue has room for a step; so the queue never overflows and nothing is lost.

use heapless::{Deque, Vec};

use crate::arena::{Arena, Block, Blocks, NoRoom};
use crate::client::account::Account;
use crate::client::flows::{Flow, Path};
use crate::client::ims::{ImsPolicy, ImsState};
use crate::client::records::Record;
use crate::client::settings::SettingsState;
use crate::client::slots::{
    Awaited, Echo, Machine, Request, RequestKind, RequestState, Seen, Ticket, Txn,
};
use crate::client::stats::Stats;
use crate::client::watch::Watches;
use crate::config::{
    Assertion, Config, DeliveryReports, DigestFloor, DisplayReports, EndToEnd, Gruu, KeepAlive,
    Nat, Strangers, TelTargets, Transport, Watching,
};
use crate::entropy::Entropy;
use crate::error::{CommandError, Limit};
use crate::id::{FlowId, PathId};
use crate::limits::{EVENTS, EVENTS_PER_STEP, MAX_FLOWS, MAX_PATHS, ONE_SHOTS, PEERS};
use crate::sip::publication::RefreshForm;
use crate::sip::transaction::Timers;
use crate::time::Instant;
use crate::wire::sink::TooSmall;

/// The decisions of the integrator that are not text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) timers: Timers,
    pub(crate) nat: Nat,
    pub(crate) gruu: Gruu,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) registration_expires: u32,
    pub(crate) max_expires: u32,
    pub(crate) digest_floor: DigestFloor,
    pub(crate) assertion: Assertion,
    pub(crate) strangers: Strangers,
    pub(crate) tel_targets: TelTargets,
    pub(crate) end_to_end: EndToEnd,
    pub(crate) credentials_reserve: u16,
    pub(crate) path_mtu: Option<u16>,
    pub(crate) stream_buffer: u16,
    pub(crate) delivery_reports: DeliveryReports,
    pub(crate) display_reports: DisplayReports,
    pub(crate) reports_per_minute: u16,
    pub(crate) report_window: u32,
    pub(crate) report_backoff: u32,
    pub(crate) answer_timeout: u32,
    pub(crate) deregister_timeout: u32,
    pub(crate) key: u32,
    pub(crate) settings_refresh: RefreshForm,
    pub(crate) watch_registration: Watching,
    pub(crate) watch_settings: Watching,
    pub(crate) secret: SecretKind,
    pub(crate) ims: Option<ImsPolicy>,
    pub(crate) hops: u8,
    pub(crate) hop: [HopConfig; MAX_PATHS],
}

/// What is known of a next hop beside its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HopConfig {
    pub(crate) port: Option<u16>,
    pub(crate) transport: Transport,
}

/// What the secret of the account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretKind {
    None,
    Password,
    Ha1,
    Ask,
}

impl Policy {
    pub(crate) fn new(config: &Config<'_>) -> Self {
        use crate::config::Credentials;
        let hop = |i: usize| {
            config.next_hops.get(i).map_or(
                HopConfig {
                    port: None,
                    transport: Transport::Udp,
                },
                |hop| HopConfig {
                    port: hop.port,
                    transport: hop.transport,
                },
            )
        };
        Self {
            timers: config.timers,
            nat: config.nat,
            gruu: config.gruu,
            keep_alive: config.keep_alive,
            registration_expires: config.registration_expires,
            max_expires: config.max_expires,
            digest_floor: config.digest_floor,
            assertion: config.assertion,
            strangers: config.strangers,
            tel_targets: config.tel_targets,
            end_to_end: config.end_to_end,
            credentials_reserve: config.credentials_reserve,
            path_mtu: config.path_mtu,
            stream_buffer: config.stream_buffer,
            delivery_reports: config.delivery_reports,
            display_reports: config.display_reports,
            reports_per_minute: config.reports_per_minute.max(1),
            report_window: config.report_window,
            report_backoff: config.report_backoff,
            answer_timeout: config.answer_timeout,
            deregister_timeout: config.deregister_timeout,
            key: config.key,
            settings_refresh: config.settings_refresh,
            watch_registration: config.watch_registration,
            watch_settings: config.watch_settings,
            secret: match config.credentials {
                // The card's secret is for REGISTER only.
                Credentials::None | Credentials::Aka { .. } => SecretKind::None,
                Credentials::Password { .. } => SecretKind::Password,
                Credentials::Ha1 { .. } => SecretKind::Ha1,
                Credentials::Ask { .. } => SecretKind::Ask,
            },
            ims: ImsPolicy::new(config.core),
            hops: u8::try_from(config.next_hops.len().min(MAX_PATHS)).unwrap_or(1),
            hop: [hop(0), hop(1)],
        }
    }
}

/// An answer that belongs to no transaction and goes out once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneShot {
    pub(crate) flow: FlowId,
    pub(crate) bytes: OneShotBytes,
}

/// What a one-shot sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OneShotBytes {
    /// A block, freed afterwards.
    Block(Block),
    /// CR LF CR LF (RFC 5626 §4.4.1).
    Ping,
    /// CR LF.
    Pong,
    /// A STUN Binding request (RFC 5626 §8).
    Stun([u8; 20]),
}

/// Reports to one target, counted by the minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) target: u64,
    pub(crate) minute: Instant,
    pub(crate) count: u16,
}

impl Rate {
    pub(crate) const FREE: Self = Self {
        target: 0,
        minute: Instant::ZERO,
        count: 0,
    };
}

/// A peer that refuses reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refuser {
    pub(crate) peer: u64,
    pub(crate) until: Instant,
}

impl Refuser {
    pub(crate) const FREE: Self = Self {
        peer: 0,
        until: Instant::ZERO,
    };
}

/// What the client is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing was asked for.
    Idle,
    /// It registers itself.
    Registrant,
    /// Somebody else holds the registration.
    Adopted,
    /// The registration is being ended; over at `until` at the latest.
    Leaving { until: Instant },
}

/// Whether the machines may have something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// An input came, or something left.
    Disturbed,
    /// They came to rest, and nothing has happened since.
    Reached,
}

/// Everything that does not depend on the storage's sizes.
pub(crate) struct Core {
    pub(crate) policy: Policy,
    pub(crate) account: Account,
    pub(crate) entropy: Entropy,
    pub(crate) now: Instant,
    pub(crate) rest: Rest,
    pub(crate) wall: Option<(Instant, u64)>,
    pub(crate) role: Role,
    pub(crate) paths: [Path; MAX_PATHS],
    pub(crate) flows: Vec<Flow, MAX_FLOWS>,
    pub(crate) closing: Deque<(FlowId, crate::client::event::CloseReason), MAX_FLOWS>,
    pub(crate) events: Deque<Record, EVENTS>,
    pub(crate) one_shots: Deque<OneShot, ONE_SHOTS>,
    /// A block whose bytes the last output or event borrowed.
    pub(crate) spent: Option<Block>,
    /// A secret that the application gave.
    pub(crate) given: Option<crate::client::credentials::Given>,
    pub(crate) rates: [Rate; PEERS],
    pub(crate) refusers: [Refuser; PEERS],
    /// The registration on an IMS core, and what protects its path.
    pub(crate) ims: ImsState,
    /// What is published for the user.
    pub(crate) settings: SettingsState,
    /// What is watched of the user.
    pub(crate) watches: Watches,
    /// A de-registration waits for the removal of the settings, until then at the longest.
    pub(crate) held_back: Option<Instant>,
    /// Since when no path could carry a request.
    pub(crate) stranded: Option<Instant>,
    pub(crate) hash_seed: u64,
    pub(crate) next_id: u32,
    pub(crate) next_seen: u16,
    pub(crate) stats: Stats,
}

/// One view on everything, for one call.
pub(crate) struct Engine<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) txns: &'a mut [Txn],
    pub(crate) requests: &'a mut [Request],
    pub(crate) tickets: &'a mut [Ticket],
    pub(crate) awaited: &'a mut [Awaited],
    pub(crate) echoes: &'a mut [Echo],
    pub(crate) seen: &'a mut [Seen],
    pub(crate) arena: Arena<'a>,
}

/// A row of the request table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) usize);

impl Engine<'_> {
    /// Takes a clock reading; a step back is taken as standing still.
    pub(crate) fn tick(&mut self, now: Instant) -> Instant {
        self.core.now = self.core.now.max(now);
        self.core.rest = Rest::Disturbed;
        self.core.now
    }

    /// Whether one more step may run: its events and its answers find room.
    pub(crate) fn has_room(&self) -> bool {
        self.core.events.len().saturating_add(EVENTS_PER_STEP) <= EVENTS
            && self.core.one_shots.len() < ONE_SHOTS
    }

    /// Queues an event. A step never queues more than `has_room` promised.
    pub(crate) fn emit(&mut self, record: Record) {
        note!(info, "event {:?}", record);
        if let Err(record) = self.core.events.push_back(record) {
            debug_assert!(false, "no room for {record:?}");
            count!(self, events_lost);
        }
    }

    /// A number that was never given before.
    pub(crate) fn next_id(&mut self) -> u32 {
        self.core.next_id = self.core.next_id.wrapping_add(1);
        self.core.next_id
    }

    /// A free row of the request table.
    pub(crate) fn free_request(&self) -> Result<Row, CommandError> {
        let limit = CommandError::Full {
            limit: Limit::Requests,
            needed: 1,
            available: 0,
        };
        self.requests
            .iter()
            .position(|request| request.state == RequestState::Free)
            .map(Row)
            .ok_or(limit)
    }

    /// A free row of the transaction table; a completed client transaction gives way
    /// (design: it is the first to go when room is needed).
    pub(crate) fn free_txn(&mut self) -> Option<usize> {
        let free = self
            .txns
            .iter()
            .position(|txn| matches!(txn.machine, Machine::Free));
        free.or_else(|| {
            let done = |txn: &Txn| match &txn.machine {
                Machine::Client { request: None, .. } => txn.deadline(),
                _ => None,
            };
            let (at, _) = self
                .txns
                .iter()
                .enumerate()
                .filter_map(|(at, txn)| Some((at, done(txn)?)))
                .min_by_key(|(_, until)| *until)?;
            count!(self, completed_evicted);
            if let Some(txn) = self.txns.get_mut(at) {
                *txn = Txn::FREE;
            }
            Some(at)
        })
    }

    /// A free row for a message or a report: a row for each next hop stays for its REGISTER, so
    /// that no queue of messages costs the registration.
    pub(crate) fn free_message_row(&self) -> Result<Row, CommandError> {
        let free = self
            .requests
            .iter()
            .filter(|request| request.state == RequestState::Free)
            .count();
        let refreshing = self
            .requests
            .iter()
            .filter(|request| request.kind == RequestKind::Register)
            .filter(|request| request.state != RequestState::Free)
            .count();
        let most = self.requests.len().saturating_sub(1);
        let kept = usize::from(self.core.policy.hops).min(most);
        let available = free.saturating_sub(kept.saturating_sub(refreshing));
        if available == 0 {
            return Err(CommandError::Full {
                limit: Limit::Requests,
                needed: 1,
                available,
            });
        }
        self.free_request()
    }

    /// A new block, if need be at the cost of tickets that nothing is under way for.
    pub(crate) fn keep(
        &mut self,
        mut write: impl FnMut(Blocks<'_>, &mut [u8]) -> Result<usize, TooSmall>,
    ) -> Result<Block, NoRoom> {
        match self.arena.alloc_from(&mut write) {
            Err(NoRoom::Bytes { needed, .. }) if self.make_room(needed) => {
                self.arena.alloc_from(&mut write)
            }
            done => done,
        }
    }

    /// Whether a request of ours finds a transaction. One that any path can take leaves one to peers and one to
    /// REGISTER, so that neither waits for servers that do not answer.
    pub(crate) fn may_launch(&self, request: &Request) -> bool {
        let kept = if request.is_bound() { 0 } else { 2 };
        self.usable_txns() > kept.min(self.txns.len().saturating_sub(1))
    }

    /// Transactions that are free or can give way.
    fn usable_txns(&self) -> usize {
        let usable = |txn: &&Txn| {
            matches!(
                txn.machine,
                Machine::Free | Machine::Client { request: None, .. }
            )
        };
        self.txns.iter().filter(usable).count()
    }

    /// A row for a request that came in; the last one is for requests of our own.
    pub(crate) fn server_txn(&mut self) -> Option<usize> {
        if self.usable_txns() > 1 {
            self.free_txn()
        } else {
            None
        }
    }

    /// A row for an INVITE that came in. It stays until the ACK, which a peer may never send:
    /// so INVITEs have half of the rows at the most.
    pub(crate) fn invite_txn(&mut self) -> Option<usize> {
        let invites = self
            .txns
            .iter()
            .filter(|txn| matches!(txn.machine, Machine::InviteServer { .. }));
        if invites.count() < self.txns.len() / 2 {
            self.server_txn()
        } else {
            None
        }
    }

    pub(crate) fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.core.flows.iter().find(|flow| flow.id == id)
    }

    pub(crate) fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.core.flows.iter_mut().find(|flow| flow.id == id)
    }

    pub(crate) fn path(&self, id: PathId) -> Option<&Path> {
        self.core.paths.get(usize::from(id.0))
    }

    pub(crate) fn path_mut(&mut self, id: PathId) -> Option<&mut Path> {
        self.core.paths.get_mut(usize::from(id.0))
    }

    /// The time of the calendar, in milliseconds since 1970, if it was ever told.
    pub(crate) fn unix_millis(&self) -> Option<u64> {
        let (at, unix) = self.core.wall?;
        Some(unix.saturating_add(self.core.now.since(at)))
    }

    /// Gives a request's row and block back.
    pub(crate) fn free_row(&mut self, row: Row) {
        if let Some(request) = self.requests.get_mut(row.0) {
            if let Some(block) = request.block.take() {
                self.arena.free(block);
            }
            *request = Request::FREE;
        }
    }

    /// Puts bytes into the slot for stateless answers; without room they are dropped and counted.
    pub(crate) fn one_shot(&mut self, flow: FlowId, bytes: OneShotBytes) {
        // The flow can be on its way to its end before they go: then nothing tells any more which one answers for it.
        let flow = self.flow(flow).map_or(flow, |flow| flow.answers);
        if self
            .core
            .one_shots
            .push_back(OneShot { flow, bytes })
            .is_err()
        {
            if let OneShotBytes::Block(block) = bytes {
                self.arena.free(block);
            }
            count!(self, answers_dropped);
        }
    }
}

/// The arena's refusal as the application's.
pub(crate) fn full(no_room: NoRoom) -> CommandError {
    match no_room {
        NoRoom::Bytes { needed, available } => CommandError::Full {
            limit: Limit::Arena,
            needed,
            available,
        },
        NoRoom::Blocks { limit } => CommandError::Full {
            limit: Limit::Transactions,
            needed: limit.saturating_add(1),
            available: limit,
        },
    }
}

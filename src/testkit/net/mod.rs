//! A network without sockets and without a clock: hosts, datagrams, streams, and everything that goes wrong with them.
//!
//! Whoever drives it asks [`Network::next_delivery`], moves time there with [`Network::advance_to`], and takes what has
//! arrived with [`Network::deliver`]; in between, hosts send. The order is that of (arrival time, order of sending), all
//! chances come from one seeded generator, so the same seed and the same calls give the same run, byte for byte.
//!
//! **Datagrams** can be lost, doubled, delayed and overtaken, as [`Conditions`] say. **Streams** keep their order: a
//! piece that meets loss comes 200 ms later, as after a TCP retransmission, and holds up what is behind it; the pieces are
//! cut as [`StreamSplit`] says. Streams break in the three ways that matter to a client, see [`Break`].
//!
//! A host may stand behind address translation ([`Network::behind_nat`]): its packets come from another address and port,
//! and the mapping may die of idleness. An address may be a black hole ([`Network::block`]). A single message may be singled
//! out with [`Network::meddle`]. All of it lands in the [`Log`].
//!
//! ```
//! use oma_im::testkit::net::{Conditions, Delivery, Network};
//!
//! let mut net = Network::new(7, Conditions::default());
//! net.add_host("alice", "192.0.2.1".parse().unwrap());
//! net.add_host("server", "192.0.2.9".parse().unwrap());
//! let (alice, server) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap());
//! net.send_datagram(alice, server, b"\r\n\r\n");
//! let due = net.next_delivery().expect("one datagram is on its way");
//! net.advance_to(due);
//! assert_eq!(
//!     net.deliver(),
//!     Some(Delivery::Datagram { to: server, from: alice, bytes: b"\r\n\r\n".to_vec() })
//! );
//! ```

mod nat;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::prelude::rust_2024::*;

use self::nat::Nat;
use self::stream::Conn;
use super::ladder::LadderOnFailure;
use super::log::{ConnId, Fate, Log, Lost, Origin, Packet, Transport, What};
use super::rng::Rng;
use crate::time::Instant;

/// How the network behaves. The default is a good one: 20 ms each way, nothing lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Time each packet takes.
    pub latency_ms: u64,
    /// At most this much more, drawn evenly.
    pub jitter_ms: u64,
    /// Datagrams that never arrive, in percent; pieces of streams that arrive 200 ms later for it.
    pub loss_percent: u8,
    /// Datagrams that arrive twice, in percent.
    pub duplicate_percent: u8,
    /// Datagrams that are held back by up to four times the latency (at least 50 ms), in percent.
    pub reorder_percent: u8,
    /// How writes on streams are cut into reads.
    pub split: StreamSplit,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency_ms: 20,
            jitter_ms: 0,
            loss_percent: 0,
            duplicate_percent: 0,
            reorder_percent: 0,
            split: StreamSplit::Whole,
        }
    }
}

impl Conditions {
    /// A bad radio link: 80 to 200 ms, a twentieth lost, some doubled and overtaken, streams cut anywhere.
    pub fn bad() -> Self {
        Self {
            latency_ms: 80,
            jitter_ms: 120,
            loss_percent: 5,
            duplicate_percent: 3,
            reorder_percent: 5,
            split: StreamSplit::Random { max: 700 },
        }
    }
}

/// How the bytes of a stream are cut into reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSplit {
    /// One write is one read.
    Whole,
    /// Reads of this many bytes, the last one of a write shorter. `Every(1)` is the hardest.
    Every(usize),
    /// Reads of 1 to `max` bytes; pieces that arrive at the same time are sometimes joined, across writes too.
    Random {
        /// Most bytes of one piece.
        max: usize,
    },
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that opened it.
    Client,
    /// The end that accepted it.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// Why a connection was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Nobody listens at this port.
    Refused,
    /// No host has this address.
    Unreachable,
    /// A blocked address is on the way: no answer for [`Network::connect_timeout_ms`].
    TimedOut,
}

/// How an end learned that a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseWhy {
    /// The peer closed it.
    Orderly,
    /// It was reset.
    Reset,
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Both ends learn of it after one latency.
    Reset,
    /// Nobody learns of it: what is sent vanishes. A translation that lost its mapping looks like this.
    Silent,
    /// The peers forgot it, as after a restart: whoever sends next gets a reset.
    Forgotten,
}

/// Something arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A datagram.
    Datagram {
        /// The address of the receiving host (its own, not the translated one).
        to: SocketAddr,
        /// The address it seems to come from.
        from: SocketAddr,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A listener has a new connection.
    Accepted {
        /// Its name.
        conn: ConnId,
        /// The listening address.
        at: SocketAddr,
        /// The address it seems to come from.
        from: SocketAddr,
        /// TCP, or TLS on top of it.
        transport: Transport,
    },
    /// A connection that a host asked for is open.
    Connected {
        /// Its name.
        conn: ConnId,
        /// The end of the host that asked.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// A connection that a host asked for could not be opened.
    ConnectFailed {
        /// Its name.
        conn: ConnId,
        /// Why.
        why: ConnectFailure,
    },
    /// Bytes arrived on a connection.
    Stream {
        /// On which.
        conn: ConnId,
        /// At which end.
        side: Side,
        /// The bytes: any piece of what was sent.
        bytes: Vec<u8>,
    },
    /// A connection is over, as seen from one end.
    Closed {
        /// Which.
        conn: ConnId,
        /// The end that learns of it.
        side: Side,
        /// How.
        why: CloseWhy,
    },
}

/// A change to the bytes of a packet.
pub type Change = Box<dyn FnMut(&mut Vec<u8>) + Send>;

/// What to do to a packet that was singled out.
pub enum Meddle {
    /// It never arrives.
    Drop,
    /// It arrives this many milliseconds later; a stream waits with it.
    Delay(u64),
    /// It arrives twice (datagrams).
    Duplicate,
    /// The connection breaks instead (streams); a datagram is dropped.
    Break(Break),
    /// Its bytes are changed. The log shows the changed ones.
    Change(Change),
}

struct Meddler {
    skip: usize,
    times: usize,
    what: Meddle,
    wanted: Box<dyn FnMut(&Packet) -> bool + Send>,
}

struct HostEntry {
    name: String,
    address: IpAddr,
    nat: Option<Nat>,
}

/// One thing on its way. `entry` is the packet's index in the log if this is its last piece.
struct Flying {
    delivery: Delivery,
    entry: Option<usize>,
    last: bool,
}

/// The virtual network.
pub struct Network {
    /// How it behaves from now on.
    pub conditions: Conditions,
    /// How long an attempt to connect into a black hole lasts.
    pub connect_timeout_ms: u64,
    now: Instant,
    seed: u64,
    rng: Rng,
    log: Log,
    hosts: Vec<HostEntry>,
    listeners: BTreeSet<SocketAddr>,
    blocked: BTreeSet<IpAddr>,
    blocked_ports: BTreeSet<SocketAddr>,
    meddlers: Vec<Meddler>,
    conns: Vec<Conn>,
    next_port: u16,
    flying: BTreeMap<(Instant, u64), Flying>,
    order: u64,
}

impl Network {
    /// A network without hosts whose chances all follow from `seed`.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            conditions,
            connect_timeout_ms: 20_000,
            now: Instant::ZERO,
            seed,
            rng: Rng::new(seed),
            log: Log::new(),
            hosts: Vec::new(),
            listeners: BTreeSet::new(),
            blocked: BTreeSet::new(),
            blocked_ports: BTreeSet::new(),
            meddlers: Vec::new(),
            conns: Vec::new(),
            next_port: 49_152,
            flying: BTreeMap::new(),
            order: 0,
        }
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The log of this run.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// A guard that prints ladder and seed if the test panics while it lives.
    #[must_use]
    pub fn ladder_on_failure(&self) -> LadderOnFailure {
        LadderOnFailure::new(self.log.clone(), self.seed)
    }

    /// Adds a note of `host` to the log, now.
    pub fn note(&self, host: &str, text: impl Into<String>) {
        self.log.note(self.now, host, text);
    }

    /// Adds a host with one address; its name is a column of the ladder.
    pub fn add_host(&mut self, name: &str, address: IpAddr) {
        self.log.host(name);
        self.hosts.push(HostEntry {
            name: name.into(),
            address,
            nat: None,
        });
    }

    /// Puts a host behind address translation: outside, it is `public`, with other ports. With `idle_ms`, a datagram
    /// mapping that was not used outward for that long is forgotten, and the next datagram gets a new port
    /// (RFC 4787 §4.3); connections keep theirs.
    pub fn behind_nat(&mut self, host: &str, public: IpAddr, idle_ms: Option<u64>) {
        let nat = Nat::new(public, idle_ms);
        if let Some(entry) = self.hosts.iter_mut().find(|entry| entry.name == host) {
            entry.nat = Some(nat);
        }
    }

    /// Makes the translation in front of `host` forget everything, as after a restart.
    pub fn reset_nat(&mut self, host: &str) {
        if let Some(nat) = self
            .hosts
            .iter_mut()
            .find(|entry| entry.name == host)
            .and_then(|entry| entry.nat.as_mut())
        {
            nat.forget();
        }
        for at in 0..self.conns.len() {
            if self.conns[at].client_host == host && self.conns[at].is_open() {
                self.break_connection(ConnId(at as u32), Break::Silent);
            }
        }
    }

    /// Gives a host another address, as when a phone changes networks. What was sent to the old address is lost, and
    /// connections from it die silently.
    pub fn move_host(&mut self, host: &str, address: IpAddr) {
        let Some(entry) = self.hosts.iter_mut().find(|entry| entry.name == host) else {
            return;
        };
        let old = core::mem::replace(&mut entry.address, address);
        self.log
            .note(self.now, host, std::format!("address {old} → {address}"));
        for at in 0..self.conns.len() {
            let conn = &self.conns[at];
            if (conn.client.ip() == old || conn.server.ip() == old) && conn.is_open() {
                self.break_connection(ConnId(at as u32), Break::Silent);
            }
        }
    }

    /// Makes an address a black hole in both directions: what is sent to or from it vanishes.
    pub fn block(&mut self, address: IpAddr) {
        self.blocked.insert(address);
    }

    /// Makes one port of an address a black hole, for datagrams and new connections.
    pub fn block_port(&mut self, address: SocketAddr) {
        self.blocked_ports.insert(address);
    }

    /// Takes back [`Network::block`] and every [`Network::block_port`] of this address.
    pub fn unblock(&mut self, address: IpAddr) {
        self.blocked.remove(&address);
        self.blocked_ports.retain(|blocked| blocked.ip() != address);
    }

    /// Singles out packets: the first `skip` that are `wanted` pass, the next `times` are treated as `what` says.
    pub fn meddle(
        &mut self,
        skip: usize,
        times: usize,
        what: Meddle,
        wanted: impl FnMut(&Packet) -> bool + Send + 'static,
    ) {
        self.meddlers.push(Meddler {
            skip,
            times,
            what,
            wanted: Box::new(wanted),
        });
    }

    /// Drops the n-th packet (counted from 1) from now on that is `wanted`.
    pub fn drop_nth(&mut self, n: usize, wanted: impl FnMut(&Packet) -> bool + Send + 'static) {
        self.meddle(n.saturating_sub(1), 1, Meddle::Drop, wanted);
    }

    /// Sends a datagram. It is logged in any case.
    pub fn send_datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let seen_from = self.translate_out(from, Transport::Udp);
        let inside = self.translate_in(to, Transport::Udp);
        let mut packet = Packet {
            from: seen_from,
            to,
            from_host: self.host_at(from.ip()).unwrap_or("?").into(),
            to_host: inside
                .and_then(|inside| self.host_at(inside.ip()))
                .map(Into::into),
            transport: Transport::Udp,
            conn: None,
            bytes: bytes.to_vec(),
            origin: Origin::Sent,
            fate: Fate::InFlight,
        };
        // The chances are drawn for every datagram, lost or not: see `Rng::happens`.
        let lost = self.rng.happens(self.conditions.loss_percent);
        let mut doubled = self.rng.happens(self.conditions.duplicate_percent);
        let held_back = self.rng.happens(self.conditions.reorder_percent);
        let mut delay = self.draw_delay();
        let extra = 1 + self.rng.below((self.conditions.latency_ms * 4).max(50));
        if held_back {
            delay += extra;
        }
        let mut why = lost.then_some(Lost::Loss);
        match self.meddled(&mut packet) {
            None | Some(Effect::Changed) => {}
            Some(Effect::Drop | Effect::Break(_)) => why = Some(Lost::Script),
            Some(Effect::Delay(more)) => delay += more,
            Some(Effect::Duplicate) => doubled = true,
        }
        if self.is_blocked(from, to) {
            why = Some(Lost::BlackHole);
        } else if inside.is_none() {
            why = Some(Lost::Unreachable);
        }
        match (why, inside) {
            (None, Some(inside)) => {
                self.launch_datagram(packet.clone(), inside, delay);
                if doubled {
                    packet.origin = Origin::Duplicate;
                    let more = self.draw_delay();
                    self.launch_datagram(packet, inside, more + 1);
                }
            }
            (why, _) => {
                packet.fate = Fate::Lost(why.unwrap_or(Lost::Unreachable));
                self.log.add(self.now, What::Packet(packet));
            }
        }
    }

    /// When the next thing arrives. Sending, closing, breaking and delivering change the answer.
    pub fn next_delivery(&self) -> Option<Instant> {
        self.flying.keys().next().map(|(due, _)| *due)
    }

    /// Moves time forward; never backward.
    pub fn advance_to(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }

    /// Takes the next thing that has arrived by now.
    pub fn deliver(&mut self) -> Option<Delivery> {
        loop {
            let (&key, _) = self
                .flying
                .iter()
                .next()
                .filter(|((due, _), _)| *due <= self.now)?;
            let Flying {
                delivery,
                entry,
                last,
            } = self.flying.remove(&key)?;
            // The host may have moved away meanwhile.
            if let Delivery::Datagram { to, .. } = &delivery
                && self.host_at(to.ip()).is_none()
            {
                self.settle(entry, Fate::Lost(Lost::Unreachable));
                continue;
            }
            if last {
                self.settle(entry, Fate::Delivered(self.now));
            }
            return Some(self.arrive(delivery));
        }
    }

    fn settle(&self, entry: Option<usize>, fate: Fate) {
        if let Some(entry) = entry {
            self.log.settle(entry, fate);
        }
    }

    fn launch_datagram(&mut self, packet: Packet, to: SocketAddr, delay: u64) {
        let delivery = Delivery::Datagram {
            to,
            from: packet.from,
            bytes: packet.bytes.clone(),
        };
        let entry = self.log.add(self.now, What::Packet(packet));
        self.launch(self.now.after(delay), delivery, Some(entry), true);
    }

    fn launch(&mut self, due: Instant, delivery: Delivery, entry: Option<usize>, last: bool) {
        self.order += 1;
        self.flying.insert(
            (due, self.order),
            Flying {
                delivery,
                entry,
                last,
            },
        );
    }

    fn draw_delay(&mut self) -> u64 {
        self.conditions.latency_ms + self.rng.below(self.conditions.jitter_ms + 1)
    }

    fn meddled(&mut self, packet: &mut Packet) -> Option<Effect> {
        for meddler in &mut self.meddlers {
            if meddler.times == 0 || !(meddler.wanted)(packet) {
                continue;
            }
            if meddler.skip > 0 {
                meddler.skip -= 1;
                continue;
            }
            meddler.times -= 1;
            return Some(match &mut meddler.what {
                Meddle::Drop => Effect::Drop,
                Meddle::Delay(ms) => Effect::Delay(*ms),
                Meddle::Duplicate => Effect::Duplicate,
                Meddle::Break(how) => Effect::Break(*how),
                Meddle::Change(change) => {
                    change(&mut packet.bytes);
                    Effect::Changed
                }
            });
        }
        None
    }

    fn is_blocked(&self, from: SocketAddr, to: SocketAddr) -> bool {
        let blocked =
            |at: SocketAddr| self.blocked.contains(&at.ip()) || self.blocked_ports.contains(&at);
        blocked(from) || blocked(to)
    }

    fn host_at(&self, address: IpAddr) -> Option<&str> {
        self.hosts
            .iter()
            .find(|entry| entry.address == address)
            .map(|entry| entry.name.as_str())
    }

    fn translate_out(&mut self, from: SocketAddr, transport: Transport) -> SocketAddr {
        let now = self.now;
        let entry = self
            .hosts
            .iter_mut()
            .find(|entry| entry.address == from.ip());
        entry
            .and_then(|entry| entry.nat.as_mut())
            .map_or(from, |nat| nat.outward(now, from, transport))
    }

    /// The address of the host that `to` leads to, seen from outside; `None` if it leads nowhere.
    fn translate_in(&self, to: SocketAddr, transport: Transport) -> Option<SocketAddr> {
        self.hosts.iter().find_map(|entry| match &entry.nat {
            None => (entry.address == to.ip()).then_some(to),
            Some(nat) => nat
                .inward(self.now, to, transport)
                .filter(|inside| inside.ip() == entry.address),
        })
    }
}

/// What a meddler decided for one packet.
enum Effect {
    Drop,
    Delay(u64),
    Duplicate,
    Break(Break),
    Changed,
}

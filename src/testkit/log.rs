//! The event log: what tests assert on, and what the ladder is drawn from.
//!
//! The network adds one [`Packet`] for each datagram and each write on a stream when it is *sent*, and settles its
//! [`Fate`] when it arrives or is lost. The two ends add notes: state changes, commands, events. So there is one
//! account of a run, in the order in which things were done, and a test cannot see anything that the ladder does not show.
//!
//! A [`Log`] is a handle: clones share the same entries. A program with real sockets can fill one as well.

use std::net::SocketAddr;
use std::prelude::rust_2024::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sip::Sip;
use crate::time::Instant;

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream that the driver protects. Here and in the log the bytes are those inside TLS.
    Tls,
}

impl Transport {
    /// The name as it stands in a Via header (RFC 3261 §20.42).
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }
}

/// Names one connection of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// Why something never arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The dice of [`super::net::Conditions::loss_percent`] decided so.
    Loss,
    /// A test asked for it.
    Script,
    /// A blocked address is on the way.
    BlackHole,
    /// No host has this address, or the network address translation has no mapping for it (any more).
    Unreachable,
    /// The connection was closed or broken before it arrived.
    Broken,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Still on its way.
    InFlight,
    /// It arrived, its last byte at this time.
    Delivered(Instant),
    /// It never arrived.
    Lost(Lost),
}

/// Who put a packet on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A host sent it.
    Sent,
    /// The network made a second copy of a datagram.
    Duplicate,
}

/// One datagram, or the bytes of one write on a stream (which may arrive in several pieces).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source as the public side of the network sees it (behind address translation: the mapped address).
    pub from: SocketAddr,
    /// Destination as the public side of the network sees it.
    pub to: SocketAddr,
    /// Name of the sending host.
    pub from_host: String,
    /// Name of the host the address belongs to, if any.
    pub to_host: Option<String>,
    /// What carries it.
    pub transport: Transport,
    /// The connection, on streams.
    pub conn: Option<ConnId>,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Sent by a host or made by the network.
    pub origin: Origin,
    /// What became of it.
    pub fate: Fate,
}

impl Packet {
    /// The SIP message in it, if it holds exactly one that can be read.
    pub fn sip(&self) -> Option<Sip> {
        Sip::parse(&self.bytes)
    }

    /// Whether this is a request of that method.
    pub fn is_request(&self, method: &str) -> bool {
        self.bytes
            .strip_prefix(method.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b' '))
    }

    /// Whether this is a response with that status code.
    pub fn is_response(&self, status: u16) -> bool {
        self.bytes
            .starts_with(std::format!("SIP/2.0 {status} ").as_bytes())
    }

    /// Whether it never arrived.
    pub fn is_lost(&self) -> bool {
        matches!(self.fate, Fate::Lost(_))
    }

    /// When it arrived, if it did.
    pub fn arrived(&self) -> Option<Instant> {
        match self.fate {
            Fate::Delivered(at) => Some(at),
            Fate::InFlight | Fate::Lost(_) => None,
        }
    }
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// Both ends have it.
    Opened,
    /// Nobody listens there.
    Refused,
    /// No answer within the network's connect time-out, or no such host.
    Failed,
    /// One end closed it in order.
    Closed,
    /// It was reset.
    Reset,
    /// It died without a word: neither end is told.
    Silent,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened.
    pub at: Instant,
    /// What happened.
    pub what: What,
}

/// What an entry tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes were sent.
    Packet(Packet),
    /// A connection changed.
    Connection {
        /// Which one.
        conn: ConnId,
        /// TCP, or TLS on top of it.
        transport: Transport,
        /// Address of the end that opened it, as the public side sees it.
        from: SocketAddr,
        /// Address that it was opened to.
        to: SocketAddr,
        /// Host that opened it.
        from_host: String,
        /// Host that it was opened to, if there is one.
        to_host: Option<String>,
        /// What happened.
        event: ConnectionEvent,
    },
    /// An end says what it did or saw.
    Note {
        /// Name of the host.
        host: String,
        /// What it says.
        text: String,
    },
}

/// A shared account of one run.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    hosts: Vec<String>,
    entries: Vec<Entry>,
}

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `name` a column of the ladder; columns stand in the order of these calls. Known names are left alone.
    pub fn host(&self, name: &str) {
        let mut inner = self.lock();
        if !inner.hosts.iter().any(|known| known == name) {
            inner.hosts.push(name.into());
        }
    }

    /// The columns, from left to right.
    pub fn hosts(&self) -> Vec<String> {
        self.lock().hosts.clone()
    }

    /// Adds an entry and gives its index, for [`Log::settle`].
    pub fn add(&self, at: Instant, what: What) -> usize {
        let mut inner = self.lock();
        inner.entries.push(Entry { at, what });
        inner.entries.len() - 1
    }

    /// Adds a note of `host`.
    pub fn note(&self, at: Instant, host: &str, text: impl Into<String>) {
        self.host(host);
        self.add(
            at,
            What::Note {
                host: host.into(),
                text: text.into(),
            },
        );
    }

    /// Says what became of the packet with this index.
    pub fn settle(&self, index: usize, fate: Fate) {
        if let Some(Entry {
            what: What::Packet(packet),
            ..
        }) = self.lock().entries.get_mut(index)
        {
            packet.fate = fate;
        }
    }

    /// All entries so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// The entries from `index` on: for a ladder that is printed while the run goes on.
    pub fn since(&self, index: usize) -> Vec<Entry> {
        self.lock()
            .entries
            .get(index..)
            .unwrap_or_default()
            .to_vec()
    }

    /// All packets so far, in the order of sending, copies made by the network included.
    pub fn packets(&self) -> Vec<Packet> {
        let packet = |entry: &Entry| match &entry.what {
            What::Packet(packet) => Some(packet.clone()),
            What::Connection { .. } | What::Note { .. } => None,
        };
        self.lock().entries.iter().filter_map(packet).collect()
    }

    /// The packets that a host sent and that satisfy `wanted`.
    pub fn sent(&self, mut wanted: impl FnMut(&Packet) -> bool) -> Vec<Packet> {
        let mut packets = self.packets();
        packets.retain(|packet| packet.origin == Origin::Sent && wanted(packet));
        packets
    }

    /// The notes of `host`, in order.
    pub fn notes(&self, host: &str) -> Vec<String> {
        let note = |entry: &Entry| match &entry.what {
            What::Note { host: whose, text } if whose == host => Some(text.clone()),
            What::Note { .. } | What::Packet(_) | What::Connection { .. } => None,
        };
        self.lock().entries.iter().filter_map(note).collect()
    }

    // A test that panicked while it held the lock must still be able to print its ladder.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

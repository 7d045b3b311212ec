//! Keeps the log of a run on real sockets: for the ladder, for a capture file, for tests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oma_im::config::Transport;
use oma_im::testkit::log::{self, ConnId, ConnectionEvent, Fate, Log, Origin, Packet, What};
use oma_im::time::Instant;

/// Whose packets a recorder writes down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sees {
    /// Its own: the other end is in this program and has a recorder too.
    Own,
    /// Those of both ends.
    Both,
}

/// Writes into a log. Clones share it, and what is known of addresses and connections.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) log: Log,
    known: Arc<Mutex<Known>>,
    me: String,
    sees: Sees,
}

#[derive(Default)]
struct Known {
    names: HashMap<SocketAddr, String>,
    connections: HashMap<(SocketAddr, SocketAddr), ConnId>,
    last: u32,
}

impl Recorder {
    pub(crate) fn new(log: Log, me: &str, sees: Sees) -> Self {
        log.host(me);
        Self {
            log,
            known: Arc::default(),
            me: me.into(),
            sees,
        }
    }

    /// The recorder of somebody else, for the same log.
    pub(crate) fn of(&self, me: &str) -> Self {
        self.log.host(me);
        Self {
            me: me.into(),
            ..self.clone()
        }
    }

    /// Somebody lives at an address.
    pub(crate) fn name(&self, address: SocketAddr, name: &str) {
        self.log.host(name);
        self.known().names.insert(address, name.into());
    }

    /// This host is at `local`, and whoever is at `remote` is called the server if he has no name.
    pub(crate) fn ends(&self, local: SocketAddr, remote: SocketAddr) {
        self.name(local, &self.me);
        if !self.known().names.contains_key(&remote) {
            self.name(remote, "server");
        }
    }

    pub(crate) fn note(&self, at: Instant, text: impl Into<String>) {
        self.log.note(at, &self.me, text);
    }

    /// A connection that this host opened changed.
    pub(crate) fn connection(
        &self,
        at: Instant,
        (from, to): (SocketAddr, SocketAddr),
        transport: Transport,
        event: ConnectionEvent,
    ) {
        self.ends(from, to);
        let conn = {
            let mut known = self.known();
            if event == ConnectionEvent::Opened {
                // Ports come again, connections do not.
                known.connections.remove(&(from, to));
            }
            known.connection((from, to))
        };
        let what = What::Connection {
            conn,
            transport: logged(transport),
            from,
            to,
            from_host: self.me.clone(),
            to_host: self.known().names.get(&to).cloned(),
            event,
        };
        self.log.add(at, what);
    }

    pub(crate) fn sent(
        &self,
        at: Instant,
        way: (SocketAddr, SocketAddr),
        transport: Transport,
        bytes: &[u8],
    ) {
        self.packet(at, way, transport, bytes);
    }

    pub(crate) fn received(
        &self,
        at: Instant,
        way: (SocketAddr, SocketAddr),
        transport: Transport,
        bytes: &[u8],
    ) {
        if self.sees == Sees::Both {
            self.packet(at, way, transport, bytes);
        }
    }

    fn packet(
        &self,
        at: Instant,
        (from, to): (SocketAddr, SocketAddr),
        transport: Transport,
        bytes: &[u8],
    ) {
        let mut known = self.known();
        let conn = transport.is_stream().then(|| known.connection((from, to)));
        let name = |address| known.names.get(address).cloned();
        let packet = Packet {
            from,
            to,
            from_host: name(&from).unwrap_or_else(|| from.to_string()),
            to_host: name(&to),
            transport: logged(transport),
            conn,
            bytes: bytes.to_vec(),
            origin: Origin::Sent,
            // What a real network does with it is not known here.
            fate: Fate::Delivered(at),
        };
        drop(known);
        self.log.add(at, What::Packet(packet));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The connection between two addresses, in whichever direction.
    fn connection(&mut self, (from, to): (SocketAddr, SocketAddr)) -> ConnId {
        if let Some(conn) = self.connections.get(&(to, from)) {
            return *conn;
        }
        let last = &mut self.last;
        *self.connections.entry((from, to)).or_insert_with(|| {
            *last += 1;
            ConnId(*last)
        })
    }
}

fn logged(transport: Transport) -> log::Transport {
    match transport {
        Transport::Udp => log::Transport::Udp,
        Transport::Tcp => log::Transport::Tcp,
        Transport::Tls => log::Transport::Tls,
    }
}

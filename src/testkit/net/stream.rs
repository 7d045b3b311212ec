//! Connections of the virtual network.

use std::net::SocketAddr;
use std::prelude::rust_2024::*;

use super::{
    Break, CloseWhy, ConnectFailure, Delivery, Effect, Flying, Network, Side, StreamSplit,
};
use crate::testkit::log::{ConnId, ConnectionEvent, Fate, Lost, Origin, Packet, Transport, What};
use crate::time::Instant;

/// A lost piece of a stream comes this much later: one retransmission of TCP (its least time-out in common stacks).
const RETRANSMISSION_MS: u64 = 200;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    /// What is sent vanishes.
    Silent,
    /// Whoever sends next gets a reset.
    Forgotten,
    Closed,
}

pub(super) struct Conn {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) client_host: String,
    seen: SocketAddr,
    server_host: Option<String>,
    transport: Transport,
    state: State,
    /// When the last byte arrives at the client and at the server: nothing overtakes it.
    last: [Instant; 2],
}

impl Conn {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Opening | State::Open)
    }

    fn last_at(&mut self, side: Side) -> &mut Instant {
        match side {
            Side::Client => &mut self.last[0],
            Side::Server => &mut self.last[1],
        }
    }
}

impl Network {
    /// Accepts connections at this address from now on.
    pub fn listen(&mut self, at: SocketAddr) {
        self.listeners.insert(at);
    }

    /// Refuses connections at this address from now on. Open ones stay.
    pub fn stop_listening(&mut self, at: SocketAddr) {
        self.listeners.remove(&at);
    }

    /// Asks for a connection; [`Delivery::Connected`] or [`Delivery::ConnectFailed`] follows. Port 0 in `from` takes a
    /// free one.
    pub fn connect(&mut self, from: SocketAddr, to: SocketAddr, transport: Transport) -> ConnId {
        let mut client = from;
        if client.port() == 0 {
            client.set_port(self.next_port);
            self.next_port = self.next_port.checked_add(1).unwrap_or(49_152);
        }
        let id = ConnId(self.conns.len() as u32);
        let inside = self.translate_in(to, transport);
        let conn = Conn {
            client,
            server: inside.unwrap_or(to),
            client_host: self.host_at(client.ip()).unwrap_or("?").into(),
            seen: self.translate_out(client, transport),
            server_host: inside
                .and_then(|inside| self.host_at(inside.ip()))
                .map(Into::into),
            transport,
            state: State::Opening,
            last: [self.now; 2],
        };
        let seen = conn.seen;
        self.conns.push(conn);

        let (there, back) = (self.draw_delay(), self.draw_delay());
        let failure = if self.is_blocked(client, to) {
            Some((ConnectFailure::TimedOut, self.connect_timeout_ms))
        } else if inside.is_none() {
            Some((ConnectFailure::Unreachable, there + back))
        } else if !self.listeners.contains(&to) {
            Some((ConnectFailure::Refused, there + back))
        } else {
            None
        };
        if let Some((why, after)) = failure {
            self.launch(
                self.now.after(after),
                Delivery::ConnectFailed { conn: id, why },
                None,
                true,
            );
            return id;
        }
        let (accepted, connected) = (self.now.after(there), self.now.after(there + back));
        self.conns[id.0 as usize].last = [connected, accepted];
        let at = inside.unwrap_or(to);
        self.launch(
            accepted,
            Delivery::Accepted {
                conn: id,
                at,
                from: seen,
                transport,
            },
            None,
            true,
        );
        self.launch(
            connected,
            Delivery::Connected {
                conn: id,
                local: client,
                remote: to,
            },
            None,
            true,
        );
        id
    }

    /// Writes on a connection from one of its ends. On one that is closed, nothing happens but a log entry.
    pub fn send_stream(&mut self, id: ConnId, from: Side, bytes: &[u8]) {
        let Some(conn) = self.conns.get(id.0 as usize) else {
            return;
        };
        let (client, server) = (
            (conn.seen, Some(conn.client_host.clone())),
            (conn.server, conn.server_host.clone()),
        );
        let ((from_address, from_host), (to_address, to_host)) = match from {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        let (state, transport, ends) = (conn.state, conn.transport, (conn.client, conn.server));
        let mut packet = Packet {
            from: from_address,
            to: to_address,
            from_host: from_host.unwrap_or_else(|| "?".into()),
            to_host,
            transport,
            conn: Some(id),
            bytes: bytes.to_vec(),
            origin: Origin::Sent,
            fate: Fate::InFlight,
        };
        let mut delay = 0;
        let mut breaks = None;
        let mut lost = match state {
            State::Opening | State::Open => None,
            State::Silent => Some(Lost::BlackHole),
            State::Forgotten | State::Closed => Some(Lost::Broken),
        };
        match self.meddled(&mut packet) {
            None | Some(Effect::Changed | Effect::Duplicate) => {}
            Some(Effect::Drop) => lost = Some(Lost::Script),
            Some(Effect::Delay(more)) => delay = more,
            Some(Effect::Break(how)) => {
                breaks = Some(how);
                lost = Some(Lost::Script);
            }
        }
        if lost.is_none() && self.is_blocked(ends.0, ends.1) {
            // TCP would try again for minutes; to a client with its own timers the connection is dead.
            breaks = Some(Break::Silent);
            lost = Some(Lost::BlackHole);
        }
        if let Some(lost) = lost {
            packet.fate = Fate::Lost(lost);
            self.log.add(self.now, What::Packet(packet));
            // It was sent, and the connection broke under it: the log says so in this order.
            if let Some(how) = breaks {
                self.break_connection(id, how);
            }
            if state == State::Forgotten {
                self.close_as(id, ConnectionEvent::Reset);
                let due = self.now.after(self.conditions.latency_ms * 2);
                self.launch(
                    due,
                    Delivery::Closed {
                        conn: id,
                        side: from,
                        why: CloseWhy::Reset,
                    },
                    None,
                    true,
                );
            }
            return;
        }
        let bytes = packet.bytes.clone();
        let entry = self.log.add(self.now, What::Packet(packet));
        self.launch_pieces(id, from.other(), &bytes, entry, delay);
    }

    /// Closes a connection in order: the other end gets what is on its way, then learns of it.
    pub fn close(&mut self, id: ConnId, by: Side) {
        let Some(conn) = self
            .conns
            .get_mut(id.0 as usize)
            .filter(|conn| conn.state != State::Closed)
        else {
            return;
        };
        let state = conn.state;
        self.drop_flying(id, Some(by));
        self.close_as(id, ConnectionEvent::Closed);
        if matches!(state, State::Opening | State::Open) {
            let due = self.arrival(id, by.other(), 0);
            let why = CloseWhy::Orderly;
            self.launch(
                due,
                Delivery::Closed {
                    conn: id,
                    side: by.other(),
                    why,
                },
                None,
                true,
            );
        }
    }

    /// Breaks a connection now. What is on its way is lost.
    pub fn break_connection(&mut self, id: ConnId, how: Break) {
        let Some(conn) = self
            .conns
            .get_mut(id.0 as usize)
            .filter(|conn| conn.is_open())
        else {
            return;
        };
        let opening = conn.state == State::Opening;
        conn.state = match how {
            Break::Reset => State::Closed,
            Break::Silent => State::Silent,
            Break::Forgotten => State::Forgotten,
        };
        self.drop_flying(id, None);
        match how {
            Break::Reset => {
                self.log_connection(id, ConnectionEvent::Reset);
                let due = self.now.after(self.conditions.latency_ms);
                if opening {
                    let why = ConnectFailure::Refused;
                    self.launch(due, Delivery::ConnectFailed { conn: id, why }, None, true);
                    return;
                }
                for side in [Side::Client, Side::Server] {
                    self.launch(
                        due,
                        Delivery::Closed {
                            conn: id,
                            side,
                            why: CloseWhy::Reset,
                        },
                        None,
                        true,
                    );
                }
            }
            Break::Silent | Break::Forgotten => {
                self.log_connection(id, ConnectionEvent::Silent);
                if opening {
                    let due = self.now.after(self.connect_timeout_ms);
                    let why = ConnectFailure::TimedOut;
                    self.launch(due, Delivery::ConnectFailed { conn: id, why }, None, true);
                }
            }
        }
    }

    /// The connections that are open, or being opened, from the host of this name.
    pub fn connections_of(&self, host: &str) -> Vec<ConnId> {
        let open = |(_, conn): &(usize, &Conn)| conn.client_host == host && conn.is_open();
        self.conns
            .iter()
            .enumerate()
            .filter(open)
            .map(|(at, _)| ConnId(at as u32))
            .collect()
    }

    /// What arriving does to the connection, and which pieces come in the same read.
    pub(super) fn arrive(&mut self, delivery: Delivery) -> Delivery {
        match delivery {
            Delivery::Stream {
                conn,
                side,
                mut bytes,
            } => {
                self.join_pieces(conn, side, &mut bytes);
                Delivery::Stream { conn, side, bytes }
            }
            Delivery::Connected { conn, .. } => {
                if self.conns[conn.0 as usize].state == State::Opening {
                    self.conns[conn.0 as usize].state = State::Open;
                }
                self.log_connection(conn, ConnectionEvent::Opened);
                delivery
            }
            Delivery::ConnectFailed { conn, why } => {
                self.conns[conn.0 as usize].state = State::Closed;
                let event = match why {
                    ConnectFailure::Refused => ConnectionEvent::Refused,
                    ConnectFailure::Unreachable | ConnectFailure::TimedOut => {
                        ConnectionEvent::Failed
                    }
                };
                self.log_connection(conn, event);
                delivery
            }
            Delivery::Datagram { .. } | Delivery::Accepted { .. } | Delivery::Closed { .. } => {
                delivery
            }
        }
    }

    fn launch_pieces(&mut self, id: ConnId, side: Side, bytes: &[u8], entry: usize, delay: u64) {
        let mut rest = bytes;
        let mut extra = delay;
        loop {
            let len = match self.conditions.split {
                StreamSplit::Whole => rest.len(),
                StreamSplit::Every(size) => size.max(1),
                StreamSplit::Random { max } => 1 + self.rng.below(max.max(1) as u64) as usize,
            };
            let (piece, behind) = rest.split_at(len.min(rest.len()));
            if self.rng.happens(self.conditions.loss_percent) {
                extra += RETRANSMISSION_MS;
            }
            let due = self.arrival(id, side, extra);
            let delivery = Delivery::Stream {
                conn: id,
                side,
                bytes: piece.to_vec(),
            };
            self.launch(due, delivery, Some(entry), behind.is_empty());
            if behind.is_empty() {
                return;
            }
            rest = behind;
            extra = 0;
        }
    }

    /// When something sent now arrives at `side`: not before what was sent earlier.
    fn arrival(&mut self, id: ConnId, side: Side, extra: u64) -> Instant {
        let due = self.now.after(self.draw_delay() + extra);
        let last = self.conns[id.0 as usize].last_at(side);
        *last = due.max(*last);
        *last
    }

    /// With [`StreamSplit::Random`], pieces that are there too may come in the same read.
    fn join_pieces(&mut self, id: ConnId, side: Side, bytes: &mut Vec<u8>) {
        if !matches!(self.conditions.split, StreamSplit::Random { .. }) {
            return;
        }
        while self.rng.happens(50) {
            let here = |(_, flying): &(&(Instant, u64), &Flying)| matches!(&flying.delivery, Delivery::Stream { conn, side: at, .. } if *conn == id && *at == side);
            let Some(key) = self
                .flying
                .range(..=(self.now, u64::MAX))
                .find(here)
                .map(|(key, _)| *key)
            else {
                return;
            };
            let Some(flying) = self.flying.remove(&key) else {
                return;
            };
            if let Delivery::Stream { bytes: more, .. } = flying.delivery {
                bytes.extend_from_slice(&more);
            }
            if flying.last {
                self.settle(flying.entry, Fate::Delivered(self.now));
            }
        }
    }

    /// Loses what is on its way on a connection, to one end or to both.
    fn drop_flying(&mut self, id: ConnId, to: Option<Side>) {
        let doomed = |flying: &Flying| match &flying.delivery {
            Delivery::Stream { conn, side, .. } | Delivery::Closed { conn, side, .. } => {
                *conn == id && to.is_none_or(|to| to == *side)
            }
            Delivery::Connected { conn, .. } => *conn == id && to != Some(Side::Server),
            Delivery::Accepted { conn, .. } => *conn == id && to != Some(Side::Client),
            Delivery::ConnectFailed { conn, .. } => *conn == id && to.is_some(),
            Delivery::Datagram { .. } => false,
        };
        let keys: Vec<_> = self
            .flying
            .iter()
            .filter(|(_, flying)| doomed(flying))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            let entry = self.flying.remove(&key).and_then(|flying| flying.entry);
            self.settle(entry, Fate::Lost(Lost::Broken));
        }
    }

    fn close_as(&mut self, id: ConnId, event: ConnectionEvent) {
        self.conns[id.0 as usize].state = State::Closed;
        self.log_connection(id, event);
    }

    fn log_connection(&self, id: ConnId, event: ConnectionEvent) {
        let conn = &self.conns[id.0 as usize];
        self.log.add(
            self.now,
            What::Connection {
                conn: id,
                transport: conn.transport,
                from: conn.seen,
                to: conn.server,
                from_host: conn.client_host.clone(),
                to_host: conn.server_host.clone(),
                event,
            },
        );
    }
}

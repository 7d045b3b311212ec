//! The sockets of one client: a flow is a connected UDP socket, a TCP connection or a TLS connection.
//!
//! All are non-blocking and watched by one `mio::Poll`. A name is resolved here, and the list of its
//! addresses is what the `attempt` of an [`Open`] counts through.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use oma_im::client::{Direction, FlowInfo, Open, OpenFailure, Origin, Purpose, Verified};
use oma_im::config::Transport;
use oma_im::id::{FlowId, OpenId};
use oma_im::testkit::log::ConnectionEvent;
use oma_im::time::Instant;

use super::clock::Clock;
use super::record::Recorder;
use super::stream::{Arrival, Stream};
use super::tls::Trusted;

/// How long a connection may take to be open, TLS included.
const OPEN_WITHIN_MS: u64 = 8_000;
const WAKE: Token = Token(usize::MAX);

/// What the network did.
pub(crate) enum News {
    /// A flow that was asked for is open.
    Opened(FlowId, FlowInfo),
    /// A flow that was asked for cannot be had.
    NotOpened(OpenId, OpenFailure),
    /// Bytes may have arrived.
    Readable(FlowId),
}

/// What a read gave.
pub(crate) enum Arrived {
    /// Bytes: see `unread`.
    Bytes,
    /// Nothing for now.
    Nothing,
    /// The flow is at its end.
    End,
}

enum Socket {
    Datagram(UdpSocket),
    Stream(Box<Stream>),
}

struct Flow {
    socket: Socket,
    transport: Transport,
    remote: SocketAddr,
    /// Set until it is open: who waits for it, and until when.
    opening: Option<(OpenId, Instant)>,
    /// One datagram, or what is left of a stream.
    unread: Vec<u8>,
}

impl Flow {
    fn local(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Datagram(socket) => socket.local_addr(),
            Socket::Stream(stream) => stream.local_addr(),
        }
    }
}

/// The sockets of a client.
pub(crate) struct Sockets {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    flows: HashMap<FlowId, Flow>,
    next: u32,
    clock: Clock,
    bind: Option<SocketAddr>,
    trusted: Option<Trusted>,
    recorder: Recorder,
}

impl Sockets {
    /// No sockets yet. Datagram sockets are bound to `bind`, connections to its address.
    ///
    /// # Errors
    /// The operating system has no poll for us.
    pub(crate) fn new(
        clock: Clock,
        bind: Option<SocketAddr>,
        trusted: Option<Trusted>,
        recorder: Recorder,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Self {
            poll,
            events: Events::with_capacity(64),
            waker,
            flows: HashMap::new(),
            next: 0,
            clock,
            bind,
            trusted,
            recorder,
        })
    }

    /// Ends a `wait` from another thread.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Waits until something happens, at most that long.
    pub(crate) fn wait(&mut self, at_most: Duration) -> io::Result<Vec<News>> {
        let mut at_most = at_most;
        for flow in self.flows.values() {
            if let Some((_, until)) = flow.opening {
                at_most = at_most.min(self.clock.until(until));
            }
        }
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            result => result?,
        }
        let ready: Vec<FlowId> = self
            .events
            .iter()
            .filter(|event| event.token() != WAKE)
            .map(|event| FlowId(event.token().0 as u32))
            .collect();
        let mut news = Vec::new();
        for flow in ready {
            self.progress(flow, &mut news);
        }
        let now = self.clock.now();
        let late = |flow: &Flow| flow.opening.filter(|(_, until)| *until <= now);
        let late: Vec<_> = self
            .flows
            .iter()
            .filter_map(|(id, flow)| Some((*id, late(flow)?.0)))
            .collect();
        for (flow, open) in late {
            self.forget(flow);
            news.push(News::NotOpened(open, OpenFailure::TimedOut));
        }
        Ok(news)
    }

    /// A socket is ready: go on opening it, write what waits, and look for bytes.
    fn progress(&mut self, id: FlowId, news: &mut Vec<News>) {
        let now = self.clock.now();
        let Some(flow) = self.flows.get_mut(&id) else {
            return;
        };
        let Flow {
            socket: Socket::Stream(stream),
            opening,
            transport,
            remote,
            ..
        } = flow
        else {
            return news.push(News::Readable(id));
        };
        let Some((open, _)) = *opening else {
            // What cannot be written shows as the end of the stream in `read`.
            let _ = stream.flush();
            return news.push(News::Readable(id));
        };
        let opened = stream.open().and_then(|open| {
            let local = stream.local_addr()?;
            Ok(open.then_some(local))
        });
        match opened {
            Ok(None) => {}
            Ok(Some(local)) => {
                *opening = None;
                let info = FlowInfo {
                    origin: Origin::Asked(open),
                    transport: *transport,
                    local,
                    remote: *remote,
                    verified: match transport {
                        // A stream under TLS is only open if the certificate shows the name.
                        Transport::Tls => Verified::Yes,
                        Transport::Udp | Transport::Tcp => Verified::No,
                    },
                    direction: Direction::Both,
                };
                let way = (local, *remote);
                self.recorder
                    .connection(now, way, *transport, ConnectionEvent::Opened);
                news.push(News::Opened(id, info));
                // The first bytes may have come with the last ones of the handshake.
                news.push(News::Readable(id));
            }
            Err(error) => {
                let why = open_failure(&error);
                eprintln!("im: {remote} {}: {error}", transport.via());
                self.forget(id);
                news.push(News::NotOpened(open, why));
            }
        }
    }

    /// Opens the flow that the client wants: at once if it is one of datagrams.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        open: &Open<'_>,
    ) -> Result<Option<(FlowId, FlowInfo)>, OpenFailure> {
        let port = open.port.unwrap_or(match open.transport {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        });
        // A resolver as RFC 3263 wants it would look for NAPTR and SRV records first.
        let host = open.host.trim_start_matches('[').trim_end_matches(']');
        let candidates = (host, port).to_socket_addrs().map_or_else(
            |error| {
                eprintln!("im: {host}: {error}");
                Vec::new()
            },
            Iterator::collect::<Vec<_>>,
        );
        let reachable = |to: &&SocketAddr| {
            let bind = self.bind.as_ref();
            bind.is_none_or(|bind| bind.is_ipv4() == to.is_ipv4())
        };
        let mut candidates = candidates.iter().filter(reachable);
        // The far end of a security association is settled.
        let remote = open
            .remote
            .or_else(|| candidates.nth(usize::from(open.attempt)).copied())
            .ok_or(OpenFailure::NoMoreCandidates)?;
        let opened = match open.transport {
            Transport::Udp => self.datagrams(remote, open.local_port),
            Transport::Tcp | Transport::Tls => self.connect(open, remote),
        };
        let (id, local) = opened.map_err(|error| {
            eprintln!("im: {remote} {}: {error}", open.transport.via());
            open_failure(&error)
        })?;
        if let Some(flow) = self.flows.get_mut(&id)
            && open.transport.is_stream()
        {
            flow.opening = Some((open.id, now.after(OPEN_WITHIN_MS)));
            return Ok(None);
        }
        self.recorder.ends(local, remote);
        let info = FlowInfo {
            origin: Origin::Asked(open.id),
            transport: open.transport,
            local,
            remote,
            verified: Verified::No,
            direction: match open.purpose {
                Purpose::Main | Purpose::LongRequests => Direction::Both,
                Purpose::Protected => Direction::Out,
                Purpose::ProtectedIn => Direction::In,
            },
        };
        Ok(Some((id, info)))
    }

    fn datagrams(
        &mut self,
        remote: SocketAddr,
        port: Option<u16>,
    ) -> io::Result<(FlowId, SocketAddr)> {
        let any = if remote.is_ipv4() {
            SocketAddr::from(([0; 4], 0))
        } else {
            SocketAddr::from(([0; 16], 0))
        };
        // Connected: the socket then has the one local address that the peer sees, it takes
        // datagrams from the peer only, and it learns if nobody listens there.
        let mut from = self.bind.unwrap_or(any);
        if let Some(port) = port {
            from.set_port(port);
        }
        let socket = UdpSocket::bind(from)?;
        socket.connect(remote)?;
        let local = socket.local_addr()?;
        let id = self.add(Socket::Datagram(socket), Transport::Udp, remote)?;
        Ok((id, local))
    }

    fn connect(&mut self, open: &Open<'_>, remote: SocketAddr) -> io::Result<(FlowId, SocketAddr)> {
        let tls = match (open.transport, &self.trusted) {
            (Transport::Tls, Some(trusted)) => Some(trusted.connection(open.verify_name)?),
            (Transport::Tls, None) => {
                return Err(io::Error::other("nobody is trusted, so no TLS"));
            }
            (Transport::Udp | Transport::Tcp, _) => None,
        };
        let from = self.bind.map(|bind| bind.ip());
        let stream = Stream::connect(from, remote, tls)?;
        let id = self.add(Socket::Stream(Box::new(stream)), open.transport, remote)?;
        let nowhere = IpAddr::from([0; 4]);
        Ok((id, SocketAddr::new(from.unwrap_or(nowhere), 0)))
    }

    fn add(
        &mut self,
        mut socket: Socket,
        transport: Transport,
        remote: SocketAddr,
    ) -> io::Result<FlowId> {
        self.next = self.next.wrapping_add(1);
        let id = FlowId(self.next);
        let token = Token(id.0 as usize);
        let registry = self.poll.registry();
        match &mut socket {
            Socket::Datagram(socket) => registry.register(socket, token, Interest::READABLE)?,
            Socket::Stream(stream) => {
                registry.register(
                    stream.source(),
                    token,
                    Interest::READABLE | Interest::WRITABLE,
                )?;
            }
        }
        let flow = Flow {
            socket,
            transport,
            remote,
            opening: None,
            unread: Vec::new(),
        };
        self.flows.insert(id, flow);
        Ok(id)
    }

    /// Sends one datagram, or the next bytes of a stream.
    ///
    /// # Errors
    /// The flow is broken.
    pub(crate) fn send(&mut self, now: Instant, id: FlowId, bytes: &[u8]) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(&id) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        // Written down first: the answer may be there before this thread goes on.
        let way = (flow.local()?, flow.remote);
        self.recorder.sent(now, way, flow.transport, bytes);
        match &mut flow.socket {
            Socket::Datagram(socket) => match socket.send(bytes) {
                // A datagram may be lost here as well as farther on.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                result => result.map(drop),
            },
            Socket::Stream(stream) => stream.send(bytes),
        }
    }

    /// Reads the next datagram, or more of a stream.
    pub(crate) fn read(&mut self, id: FlowId) -> Arrived {
        let Some(flow) = self.flows.get_mut(&id) else {
            return Arrived::Nothing;
        };
        let arrived = match &mut flow.socket {
            Socket::Datagram(socket) => {
                flow.unread.resize(65_535, 0);
                let read = socket.recv(&mut flow.unread);
                flow.unread.truncate(*read.as_ref().unwrap_or(&0));
                match read {
                    // An empty datagram is nobody's message.
                    Ok(_) => Ok(Arrived::Bytes),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Arrived::Nothing),
                    Err(error) => Err(error),
                }
            }
            Socket::Stream(stream) => stream.read(&mut flow.unread).map(|arrival| match arrival {
                Arrival::Bytes => Arrived::Bytes,
                Arrival::Nothing => Arrived::Nothing,
                Arrival::End => Arrived::End,
            }),
        };
        // An ICMP message or a reset: the flow is gone (RFC 3261 §18.4).
        arrived.unwrap_or(Arrived::End)
    }

    /// What was read and is not consumed; empty if the flow is closed.
    pub(crate) fn unread(&self, id: FlowId) -> &[u8] {
        self.flows
            .get(&id)
            .map_or(&[], |flow| flow.unread.as_slice())
    }

    /// Forgets the first bytes of what was read.
    pub(crate) fn consume(&mut self, now: Instant, id: FlowId, count: usize) {
        let Some(flow) = self.flows.get_mut(&id) else {
            return;
        };
        let local = flow.local();
        let consumed = flow.unread.drain(..count);
        if let (Ok(local), true) = (local, count > 0) {
            let way = (flow.remote, local);
            self.recorder
                .received(now, way, flow.transport, consumed.as_slice());
        }
    }

    /// Closes a flow; what was sent on it is still delivered.
    pub(crate) fn close(&mut self, id: FlowId) {
        let now = self.clock.now();
        if let Some(Flow {
            socket: Socket::Stream(stream),
            transport,
            remote,
            ..
        }) = self.flows.get_mut(&id)
        {
            stream.shut();
            if let Ok(local) = stream.local_addr() {
                let way = (local, *remote);
                self.recorder
                    .connection(now, way, *transport, ConnectionEvent::Closed);
            }
        }
        self.forget(id);
    }

    fn forget(&mut self, id: FlowId) {
        if let Some(mut flow) = self.flows.remove(&id) {
            let registry = self.poll.registry();
            // It is closed right after this anyway.
            let _ = match &mut flow.socket {
                Socket::Datagram(socket) => registry.deregister(socket),
                Socket::Stream(stream) => registry.deregister(stream.source()),
            };
        }
    }

    pub(crate) fn close_all(&mut self) {
        let all: Vec<FlowId> = self.flows.keys().copied().collect();
        for flow in all {
            self.close(flow);
        }
    }
}

fn open_failure(error: &io::Error) -> OpenFailure {
    let certificate = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|inner| matches!(inner, rustls::Error::InvalidCertificate(_)));
    match error.kind() {
        _ if certificate => OpenFailure::BadCertificate,
        io::ErrorKind::TimedOut => OpenFailure::TimedOut,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            OpenFailure::Unreachable
        }
        _ => OpenFailure::Refused,
    }
}

//! The scripted IM server of the test kit behind real sockets: UDP, TCP and TLS on loopback.
//!
//! It runs in a thread of its own, so that it shares nothing but the network with the clients.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Token, Waker};
use oma_im::config::Transport;
use oma_im::testkit::log;
use oma_im::testkit::server::{Config, ImServer, Output, Remote};

use super::clock::Clock;
use super::record::Recorder;
use super::stream::{Arrival, Stream};
use super::tls::Shown;

/// A certificate for `localhost` and the loopback addresses, signed by itself, and its key: both are
/// public, and good for nothing but this.
pub(crate) const CERTIFICATE: &[u8] = include_bytes!("loopback-cert.pem");
const KEY: &[u8] = include_bytes!("loopback-key.pem");

const DATAGRAMS: Token = Token(0);
const TCP: Token = Token(1);
const TLS: Token = Token(2);
const WAKE: Token = Token(3);
/// Connections come behind the four.
const FIRST: usize = 4;

/// A server that runs.
pub(crate) struct Server {
    /// Where it is, over UDP and TCP.
    pub(crate) address: SocketAddr,
    /// Where it is over TLS.
    pub(crate) tls_address: SocketAddr,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server of `domain` on ports that are free; `people` gives it its users.
    ///
    /// # Errors
    /// The operating system has no sockets for it.
    pub(crate) fn start(
        clock: Clock,
        recorder: Recorder,
        domain: &str,
        people: impl FnOnce(&mut ImServer),
    ) -> io::Result<Self> {
        let (mut datagrams, mut tcp) = same_port()?;
        let mut tls = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let (address, tls_address) = (tcp.local_addr()?, tls.local_addr()?);
        recorder.name(address, "server");
        recorder.name(tls_address, "server");

        let poll = Poll::new()?;
        let registry = poll.registry();
        registry.register(&mut datagrams, DATAGRAMS, Interest::READABLE)?;
        registry.register(&mut tcp, TCP, Interest::READABLE)?;
        registry.register(&mut tls, TLS, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(registry, WAKE)?);
        let stop = Arc::new(AtomicBool::new(false));

        let mut server = ImServer::new(1, Config::new(domain, address));
        people(&mut server);
        let mut running = Running {
            server,
            poll,
            datagrams,
            tcp,
            tls,
            address,
            tls_address,
            shown: Shown::from_pem(CERTIFICATE, KEY).map_err(io::Error::other)?,
            connections: HashMap::new(),
            next: FIRST,
            clock,
            recorder,
        };
        let thread = {
            let stop = Arc::clone(&stop);
            std::thread::Builder::new()
                .name("server".into())
                .spawn(move || {
                    while !stop.load(Ordering::Acquire) {
                        if let Err(error) = running.turn() {
                            eprintln!("im: the server has ended: {error}");
                            break;
                        }
                    }
                })?
        };
        Ok(Self {
            address,
            tls_address,
            stop,
            waker,
            thread: Some(thread),
        })
    }

    /// Where it is reached over a transport.
    pub(crate) fn at(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Udp | Transport::Tcp => self.address,
            Transport::Tls => self.tls_address,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Datagrams and connections on one port.
fn same_port() -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = io::Error::other("no port");
    for _ in 0..20 {
        let tcp = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        match UdpSocket::bind(tcp.local_addr()?) {
            Ok(datagrams) => return Ok((datagrams, tcp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

struct Running {
    server: ImServer,
    poll: Poll,
    datagrams: UdpSocket,
    tcp: TcpListener,
    tls: TcpListener,
    address: SocketAddr,
    tls_address: SocketAddr,
    shown: Shown,
    connections: HashMap<usize, Connection>,
    next: usize,
    clock: Clock,
    recorder: Recorder,
}

struct Connection {
    stream: Stream,
    open: bool,
    remote: Remote,
}

impl Running {
    fn turn(&mut self) -> io::Result<()> {
        let wait = self.server.deadline().map(|at| self.clock.until(at));
        let mut events = Events::with_capacity(64);
        // A second is a long time here; it bounds what a lost wake-up would cost.
        let wait = wait.unwrap_or(Duration::MAX).min(Duration::from_secs(1));
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        for event in &events {
            match event.token() {
                DATAGRAMS => self.receive_datagrams(),
                TCP => self.accept(Transport::Tcp)?,
                TLS => self.accept(Transport::Tls)?,
                WAKE => {}
                Token(id) => self.receive_stream(id),
            }
            self.drain();
        }
        self.server.timeout(self.clock.now());
        self.drain();
        Ok(())
    }

    fn receive_datagrams(&mut self) {
        let mut buffer = vec![0; 65_535];
        loop {
            match self.datagrams.recv_from(&mut buffer) {
                Ok((count, from)) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.server
                        .receive(self.clock.now(), Remote::udp(from), bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What went to somebody who is gone came back.
                Err(_) => {}
            }
        }
    }

    fn accept(&mut self, transport: Transport) -> io::Result<()> {
        loop {
            let listener = match transport {
                Transport::Tls => &self.tls,
                Transport::Udp | Transport::Tcp => &self.tcp,
            };
            let (mut tcp, from) = match listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            };
            let id = self.next;
            self.next += 1;
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut tcp, Token(id), both)?;
            let (tls, kind) = match transport {
                Transport::Tls => (Some(self.shown.connection()?), log::Transport::Tls),
                Transport::Udp | Transport::Tcp => (None, log::Transport::Tcp),
            };
            let connection = Connection {
                stream: Stream::new(tcp, tls),
                open: false,
                remote: Remote::stream(from, kind, id as u64),
            };
            self.connections.insert(id, connection);
        }
    }

    fn receive_stream(&mut self, id: usize) {
        let now = self.clock.now();
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if !connection.open {
            match connection.stream.open() {
                Ok(open) => connection.open = open,
                Err(_) => return drop(self.connections.remove(&id)),
            }
        }
        if !connection.open {
            return;
        }
        let mut bytes = Vec::new();
        let end = loop {
            let flushed = connection.stream.flush();
            match flushed.and_then(|()| connection.stream.read(&mut bytes)) {
                Ok(Arrival::Bytes) => {}
                Ok(Arrival::Nothing) => break false,
                Ok(Arrival::End) | Err(_) => break true,
            }
        };
        if !bytes.is_empty() {
            self.server.receive(now, connection.remote, &bytes);
        }
        if end {
            self.connections.remove(&id);
            self.server.closed(now, id as u64);
        }
    }

    fn drain(&mut self) {
        let now = self.clock.now();
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Send { to, bytes } => self.send(to, &bytes),
                Output::Close { to } => {
                    let id = to.conn.unwrap_or_default() as usize;
                    if let Some(mut connection) = self.connections.remove(&id) {
                        connection.stream.shut();
                    }
                }
                Output::Note(text) => self.recorder.note(now, text),
            }
        }
    }

    fn send(&mut self, to: Remote, bytes: &[u8]) {
        let (from, transport) = match to.transport {
            log::Transport::Udp => (self.address, Transport::Udp),
            log::Transport::Tcp => (self.address, Transport::Tcp),
            log::Transport::Tls => (self.tls_address, Transport::Tls),
        };
        self.recorder
            .sent(self.clock.now(), (from, to.address), transport, bytes);
        match to.conn {
            // Lost is lost: the server sends again.
            None => drop(self.datagrams.send_to(bytes, to.address)),
            Some(id) => {
                if let Some(connection) = self.connections.get_mut(&(id as usize)) {
                    // A broken connection shows when it is read.
                    let _ = connection.stream.send(bytes);
                }
            }
        }
    }
}

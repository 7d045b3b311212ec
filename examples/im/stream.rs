//! One TCP connection, in clear or under TLS, from either end. It never blocks.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;
use rustls::Connection;
use socket2::{Domain, Socket, Type};

/// What a read gave.
pub(crate) enum Arrival {
    Bytes,
    Nothing,
    End,
}

pub(crate) struct Stream {
    tcp: TcpStream,
    tls: Option<Connection>,
    /// Bytes that TCP has not taken; under TLS they wait in there instead.
    unsent: Vec<u8>,
}

impl Stream {
    /// Begins to connect; `open` tells when it is done.
    pub(crate) fn connect(
        from: Option<IpAddr>,
        to: SocketAddr,
        tls: Option<Connection>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(error) if is_final(&error) => return Err(error),
            // It is in progress, for which there is no stable name.
            Err(_) => {}
        }
        Ok(Self::new(TcpStream::from_std(socket.into()), tls))
    }

    /// A connection that a listener accepted.
    pub(crate) fn new(tcp: TcpStream, tls: Option<Connection>) -> Self {
        // Requests are small and waited for. It is only slower if this cannot be had.
        let _ = tcp.set_nodelay(true);
        Self {
            tcp,
            tls,
            unsent: Vec::new(),
        }
    }

    pub(crate) fn source(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Goes on connecting and shaking hands; says whether both are done.
    ///
    /// # Errors
    /// It cannot be opened; a TLS error stands inside.
    pub(crate) fn open(&mut self) -> io::Result<bool> {
        if let Some(error) = self.tcp.take_error()? {
            return Err(error);
        }
        match self.tcp.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            result => result?,
        };
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        while tls.is_handshaking() {
            let progress = shake(tls, &mut self.tcp)?;
            if !progress {
                return Ok(false);
            }
        }
        self.flush()?;
        Ok(true)
    }

    /// Sends bytes, or keeps them until there is room.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes)?,
            None => self.unsent.extend_from_slice(bytes),
        }
        self.flush()
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        loop {
            let written = match &mut self.tls {
                Some(tls) if tls.wants_write() => tls.write_tls(&mut self.tcp).map(drop),
                None if !self.unsent.is_empty() => {
                    let unsent = &mut self.unsent;
                    let written = self.tcp.write(unsent);
                    written.map(|count| drop(unsent.drain(..count)))
                }
                _ => return Ok(()),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result?,
            }
        }
    }

    /// Puts what has arrived behind `into`.
    pub(crate) fn read(&mut self, into: &mut Vec<u8>) -> io::Result<Arrival> {
        let mut chunk = [0; 4096];
        loop {
            let read = match &mut self.tls {
                None => self.tcp.read(&mut chunk),
                Some(tls) => match tls.reader().read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        match tls.read_tls(&mut self.tcp) {
                            Ok(0) => Ok(0),
                            Ok(_) => {
                                let processed = tls.process_new_packets();
                                // An alert for the peer, or an answer to a key update.
                                self.flush()?;
                                processed.map_err(invalid)?;
                                continue;
                            }
                            Err(error) => Err(error),
                        }
                    }
                    result => result,
                },
            };
            return match read {
                Ok(0) => Ok(Arrival::End),
                Ok(count) => {
                    into.extend(chunk.iter().take(count));
                    Ok(Arrival::Bytes)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Arrival::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Says the last word of TLS. Dropping the stream closes it.
    pub(crate) fn shut(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        // If it cannot be said, the peer sees that soon enough.
        let _ = self.flush();
    }
}

/// One step of a handshake; says whether there was one to take.
fn shake(tls: &mut Connection, tcp: &mut TcpStream) -> io::Result<bool> {
    let step = if tls.wants_write() {
        tls.write_tls(tcp).map(drop)
    } else {
        match tls.read_tls(tcp) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                let processed = tls.process_new_packets();
                if processed.is_err() {
                    // The alert that says what is wrong.
                    let _ = tls.write_tls(tcp);
                }
                processed.map(drop).map_err(invalid)
            }
            Err(error) => Err(error),
        }
    };
    match step {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Whether a connection failed at once.
fn is_final(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::AddrInUse
            | Kind::AddrNotAvailable
            | Kind::PermissionDenied
            | Kind::InvalidInput
    )
}

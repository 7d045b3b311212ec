//! The server as a host of the virtual network.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::prelude::rust_2024::*;

use super::{ImServer, Output, Remote};
use crate::testkit::log::ConnId;
use crate::testkit::net::{Delivery, Network, Side};
use crate::time::Instant;

/// Couples an [`ImServer`] to a [`Network`].
pub struct ServerHost {
    /// The server, to be scripted and asked. After changing it by hand, call [`ServerHost::drain`].
    pub server: ImServer,
    name: String,
    address: SocketAddr,
    conns: BTreeMap<ConnId, Remote>,
}

impl ServerHost {
    /// Puts the server on the network, under the address of its configuration, for datagrams and
    /// connections; on an IMS core at its protected port too.
    pub fn new(net: &mut Network, name: &str, server: ImServer) -> Self {
        let address = server.config.address;
        net.add_host(name, address.ip());
        net.listen(address);
        if let Some(ims) = &server.config.ims {
            net.listen(SocketAddr::new(address.ip(), ims.port_s));
        }
        Self {
            server,
            name: name.into(),
            address,
            conns: BTreeMap::new(),
        }
    }

    /// Gives the server what arrived, if it is for it; says whether it was.
    pub fn handle(&mut self, net: &mut Network, delivery: &Delivery) -> bool {
        let now = net.now();
        match delivery {
            Delivery::Datagram { to, from, bytes }
                if *to == self.address
                    || (to.ip() == self.address.ip() && self.server.config.ims.is_some()) =>
            {
                let from = self.by_port(Remote::udp(*from), *to);
                self.server.receive(now, from, bytes);
            }
            Delivery::Accepted {
                conn,
                at,
                from,
                transport,
            } if at.ip() == self.address.ip() => {
                let from = Remote::stream(*from, *transport, conn.0.into());
                self.conns.insert(*conn, self.by_port(from, *at));
            }
            Delivery::Stream {
                conn,
                side: Side::Server,
                bytes,
            } => {
                let Some(remote) = self.conns.get(conn) else {
                    return false;
                };
                self.server.receive(now, *remote, bytes);
            }
            Delivery::Closed {
                conn,
                side: Side::Server,
                ..
            } => {
                if self.conns.remove(conn).is_none() {
                    return false;
                }
                self.server.closed(now, conn.0.into());
            }
            _ => return false,
        }
        self.drain(net);
        true
    }

    fn by_port(&self, from: Remote, at: SocketAddr) -> Remote {
        if at.port() == self.address.port() {
            from
        } else {
            from.at_port(at.port())
        }
    }

    /// When [`ServerHost::timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.server.deadline()
    }

    /// Does what is due.
    pub fn timeout(&mut self, net: &mut Network) {
        self.server.timeout(net.now());
        self.drain(net);
    }

    /// Puts the server's output on the network.
    pub fn drain(&mut self, net: &mut Network) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Send {
                    to:
                        Remote {
                            conn: None,
                            address,
                            local_port,
                            ..
                        },
                    bytes,
                } => {
                    let mut from = self.address;
                    from.set_port(local_port.unwrap_or(from.port()));
                    net.send_datagram(from, address, &bytes);
                }
                Output::Send {
                    to: Remote {
                        conn: Some(conn), ..
                    },
                    bytes,
                } => {
                    net.send_stream(ConnId(conn as u32), Side::Server, &bytes);
                }
                Output::Close { to } => {
                    if let Some(conn) = to.conn {
                        self.conns.remove(&ConnId(conn as u32));
                        net.close(ConnId(conn as u32), Side::Server);
                    }
                }
                Output::Note(text) => net.note(&self.name, text),
            }
        }
    }
}

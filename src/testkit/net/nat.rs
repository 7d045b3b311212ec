//! Address translation in front of one host.
//!
//! Each inside (address, transport) gets one outside port, whoever it talks to (endpoint-independent mapping and
//! filtering, RFC 4787 §4.1 and §5). With an idle time, a datagram mapping that was not used outward for that long is gone:
//! what comes in for it is lost, and the next datagram outward gets a port that was never used before.

use std::net::{IpAddr, SocketAddr};
use std::prelude::rust_2024::*;

use crate::testkit::log::Transport;
use crate::time::Instant;

pub(super) struct Nat {
    public: IpAddr,
    idle_ms: Option<u64>,
    next_port: u16,
    mappings: Vec<Mapping>,
}

struct Mapping {
    inside: SocketAddr,
    datagrams: bool,
    port: u16,
    used: Instant,
}

impl Nat {
    pub(super) fn new(public: IpAddr, idle_ms: Option<u64>) -> Self {
        Self {
            public,
            idle_ms,
            next_port: 30_000,
            mappings: Vec::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        self.mappings.clear();
    }

    pub(super) fn outward(
        &mut self,
        now: Instant,
        inside: SocketAddr,
        transport: Transport,
    ) -> SocketAddr {
        let datagrams = transport == Transport::Udp;
        let idle_ms = self.idle_ms;
        self.mappings.retain(|mapping| mapping.alive(now, idle_ms));
        let known = self
            .mappings
            .iter_mut()
            .find(|known| known.inside == inside && known.datagrams == datagrams);
        let port = if let Some(known) = known {
            known.used = now;
            known.port
        } else {
            self.next_port += 1;
            self.mappings.push(Mapping {
                inside,
                datagrams,
                port: self.next_port,
                used: now,
            });
            self.next_port
        };
        SocketAddr::new(self.public, port)
    }

    pub(super) fn inward(
        &self,
        now: Instant,
        outside: SocketAddr,
        transport: Transport,
    ) -> Option<SocketAddr> {
        let datagrams = transport == Transport::Udp;
        let known = self.mappings.iter().find(|mapping| {
            mapping.port == outside.port()
                && mapping.datagrams == datagrams
                && mapping.alive(now, self.idle_ms)
        })?;
        (outside.ip() == self.public).then_some(known.inside)
    }
}

impl Mapping {
    fn alive(&self, now: Instant, idle_ms: Option<u64>) -> bool {
        !self.datagrams || idle_ms.is_none_or(|idle_ms| now.since(self.used) < idle_ms)
    }
}

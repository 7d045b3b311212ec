//! The platform beside a client on an IMS core: the numbers of security associations, which sets are installed, and the
//! P-CSCF that deals out its own (3GPP TS 33.203; RFC 3329).
//!
//! What has to hold of them:
//!
//! - A set is installed with the numbers that were given last, and none of its SPIs is in use.
//! - Only what is installed is extended and deleted, and no set is left when its time is over.
//! - Protected flows lead through a set that is installed; they are closed with it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::string::String;
use std::vec::Vec;

use super::{Mangle, Offer};
use crate::client::{Direction, SecurityOffer};
use crate::config::Transport;
use crate::id::{FlowId, OpenId, PathId, SecurityId};
use crate::testkit::sip::{Sip, param};
use crate::time::Instant;

/// What the platform knows.
pub(super) struct Platform {
    /// Numbers that were given so far.
    given: u32,
    port_s: u16,
    /// What the client took last.
    taken: Option<SecurityOffer>,
    /// Whether the client waits for numbers.
    pub(super) asked: bool,
    sets: BTreeMap<SecurityId, Installed>,
    /// Numbers that the P-CSCF gave so far.
    pub(super) dealt: u32,
    /// The Security-Server lists, by their spi-c; `None` once one was changed on the way.
    lists: Option<BTreeMap<u32, Vec<String>>>,
}

/// A set of security associations.
#[derive(Clone, Copy)]
pub(super) struct Installed {
    pub(super) ours: SecurityOffer,
    pub(super) theirs: SecurityOffer,
    server: IpAddr,
    until: Instant,
    /// Whether a REGISTER by it was answered 200.
    pub(super) registered: bool,
}

/// A flow that the client wants.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) id: OpenId,
    pub(super) transport: Transport,
    pub(super) direction: Direction,
    pub(super) local_port: Option<u16>,
    pub(super) remote: Option<SocketAddr>,
}

/// A flow that is open.
pub(super) struct Link {
    pub(super) id: FlowId,
    pub(super) transport: Transport,
    pub(super) direction: Direction,
    /// Whether a peer opened it.
    pub(super) accepted: bool,
    /// The set that protects it.
    pub(super) set: Option<SecurityId>,
    pub(super) unread: Vec<u8>,
}

impl Platform {
    pub(super) fn new() -> Self {
        Self {
            given: 0,
            port_s: 5_062,
            taken: None,
            asked: false,
            sets: BTreeMap::new(),
            dealt: 0,
            lists: Some(BTreeMap::new()),
        }
    }

    /// Numbers for the next offer.
    pub(super) fn numbers(&mut self, how: Offer) -> (PathId, SecurityOffer) {
        self.given += 1;
        let n = self.given;
        let fresh = SecurityOffer {
            spi_c: 1_000 + 2 * n,
            spi_s: 1_001 + 2 * n,
            port_c: 20_000 + u16::try_from(n % 20_000).unwrap_or(0),
            port_s: self.port_s,
        };
        let path = PathId(u8::from(how == Offer::OtherPath));
        let offer = match how {
            Offer::Fresh | Offer::OtherPath => fresh,
            Offer::OtherServerPort => SecurityOffer {
                port_s: self.port_s + 1,
                ..fresh
            },
            Offer::Last => self.taken.unwrap_or(fresh),
            Offer::Installed => self.sets.values().next().map_or(fresh, |set| set.ours),
            Offer::Reserved => SecurityOffer {
                spi_c: 255,
                ..fresh
            },
            Offer::Equal => SecurityOffer {
                spi_s: fresh.spi_c,
                ..fresh
            },
            Offer::NoPort => SecurityOffer { port_c: 0, ..fresh },
        };
        (path, offer)
    }

    /// The client took an offer.
    pub(super) fn taken(&mut self, offer: SecurityOffer) {
        self.asked = false;
        self.port_s = offer.port_s;
        self.taken = Some(offer);
    }

    /// The P-CSCF sent this answer.
    pub(super) fn dealt(&mut self, answer: &[u8], mangle: &[Mangle]) {
        if !mangle.is_empty() {
            self.lists = None;
        }
        let (Some(lists), Some(sip)) = (&mut self.lists, Sip::parse(answer)) else {
            return;
        };
        let list = sip.all("Security-Server");
        for element in &list {
            let spi = param(element, "spi-c").and_then(|spi| spi.parse().ok());
            if let Some(spi) = spi {
                lists.insert(spi, list.clone());
            }
        }
    }

    pub(super) fn install(
        &mut self,
        id: SecurityId,
        ours: SecurityOffer,
        theirs: SecurityOffer,
        server: IpAddr,
        until: Instant,
    ) {
        assert_eq!(Some(ours), self.taken, "not what was given last");
        for (other, set) in &self.sets {
            let spis = [set.ours.spi_c, set.ours.spi_s];
            let free = !spis.contains(&ours.spi_c) && !spis.contains(&ours.spi_s);
            assert!(free, "{id:?} has an SPI of {other:?}");
            assert_ne!(set.ours.port_c, ours.port_c, "{id:?} and {other:?}");
        }
        let set = Installed {
            ours,
            theirs,
            server,
            until,
            registered: false,
        };
        let old = self.sets.insert(id, set);
        assert!(old.is_none(), "{id:?} was installed before");
    }

    pub(super) fn extend(&mut self, id: SecurityId, until: Instant) {
        let set = self.sets.get_mut(&id);
        set.unwrap_or_else(|| panic!("{id:?} is not installed"))
            .until = until;
    }

    pub(super) fn delete(&mut self, id: SecurityId) -> Installed {
        let set = self.sets.remove(&id);
        set.unwrap_or_else(|| panic!("{id:?} is not installed"))
    }

    pub(super) fn set(&self, id: SecurityId) -> Option<&Installed> {
        self.sets.get(&id)
    }

    pub(super) fn set_mut(&mut self, id: SecurityId) -> Option<&mut Installed> {
        self.sets.get_mut(&id)
    }

    /// The sets by which a registration went.
    pub(super) fn registered(&self) -> usize {
        self.sets.values().filter(|set| set.registered).count()
    }

    /// The set that a flow from or to these ports goes through.
    pub(super) fn through(&self, local: u16, remote: SocketAddr) -> Option<SecurityId> {
        let leads = |set: &Installed| {
            let out = set.ours.port_c == local && set.theirs.port_s == remote.port();
            let back = set.ours.port_s == local && set.theirs.port_c == remote.port();
            (out || back) && set.server == remote.ip()
        };
        let mut sets = self.sets.iter();
        sets.find(|(_, set)| leads(set)).map(|(id, _)| *id)
    }

    /// A connection that the P-CSCF could open: our port, and its own address and port.
    pub(super) fn inward(&self) -> Option<(u16, SocketAddr)> {
        let set = self.sets.values().next_back()?;
        Some((set.ours.port_s, (set.server, set.theirs.port_c).into()))
    }

    /// What Security-Verify has to say on the flows of a set.
    pub(super) fn list(&self, id: SecurityId) -> Option<&Vec<String>> {
        self.lists.as_ref()?.get(&self.sets.get(&id)?.theirs.spi_c)
    }

    /// At the end of a drain: no set is over, and no flow goes on without its set.
    pub(super) fn check(&self, now: Instant, links: &[Link]) {
        for (id, set) in &self.sets {
            assert!(set.until > now, "{id:?} is over, now {now:?}");
        }
        for link in links {
            let kept = link.set.is_none_or(|set| self.sets.contains_key(&set));
            assert!(kept, "{:?} outlives {:?}", link.id, link.set);
        }
    }

    /// Nothing is installed any more.
    pub(super) fn is_bare(&self) -> bool {
        self.sets.is_empty()
    }
}

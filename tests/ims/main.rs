//! A client on an IMS core (OMA IM 5.2.4-12, 8.1.1-I; TS 24.229 as far as it is quoted): AKA, security agreement, protected
//! paths. The server of the test kit watches each request, so every ladder here also asserts that it found no fault.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice
)]

#[path = "../ladder/mod.rs"]
mod ladder;
#[path = "../common/milenage.rs"]
mod milenage;

mod clauses;
mod failures;
mod path;
mod register;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ladder::header;
use milenage::{Card, Said};
use oma_im::config::{Config, Core, Ims as Profile, Transport};
use oma_im::testkit::log::Packet;
use oma_im::testkit::net::Conditions;
use oma_im::testkit::phone::{CardSays, Happened};
use oma_im::testkit::server::{Config as ServerConfig, Ims, User, Vector};
use oma_im::testkit::sip::Sip;
use oma_im::testkit::world::World;

pub(crate) const CELL: &str = "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010001a2b";
pub(crate) const SCSCF: &str = "<sip:orig@scscf.example.com;lr>";

/// The user's card, and what it has taken.
#[derive(Clone)]
pub(crate) struct Usim {
    /// The highest sequence number it has taken.
    pub(crate) sqn: Arc<Mutex<u64>>,
}

fn six(sqn: u64) -> [u8; 6] {
    sqn.to_be_bytes()[2..].try_into().unwrap()
}

impl Usim {
    pub(crate) fn new(sqn: u64) -> Self {
        Self {
            sqn: Arc::new(Mutex::new(sqn)),
        }
    }

    fn ask(&self, rand: [u8; 16], autn: [u8; 16]) -> CardSays {
        let mut own = self.sqn.lock().unwrap();
        match Card::SET_1.answer(rand, autn, six(*own)) {
            Said::Res(vector) => {
                *own += 1;
                CardSays::Res {
                    res: vector.res.to_vec(),
                    ik: vector.ik,
                    ck: vector.ck,
                }
            }
            Said::SyncFailure(auts) => CardSays::Auts(auts),
            Said::MacFailure => CardSays::MacWrong,
        }
    }
}

/// What the home network asks with this sequence number.
pub(crate) fn vector(n: u8, sqn: u64) -> Vector {
    let rand = [n; 16];
    let known = Card::SET_1.vector(rand);
    Vector {
        rand,
        autn: Card::SET_1.autn(rand, six(sqn), [0x80, 0]),
        res: known.res.to_vec(),
        ik: known.ik,
        ck: known.ck,
    }
}

/// The same from a network that does not know the card.
pub(crate) fn foreign(n: u8) -> Vector {
    let mut vector = vector(n, 100);
    vector.autn[15] ^= 1;
    vector
}

/// Vectors with rising sequence numbers.
pub(crate) fn good(count: u8) -> Vec<Vector> {
    (1..=count).map(|n| vector(n, 100 + u64::from(n))).collect()
}

/// A server that is an IMS core, and alice with a card that has taken 100.
pub(crate) struct Ladder {
    pub(crate) world: World,
    pub(crate) alice: usize,
}

impl Ladder {
    pub(crate) fn new(seed: u64, transport: Transport) -> Self {
        Self::with(seed, transport, |_| (), |config| config)
    }

    pub(crate) fn with(
        seed: u64,
        transport: Transport,
        server: impl FnOnce(&mut ServerConfig),
        change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
    ) -> Self {
        let mut world = World::with(seed, Conditions::default(), |config| {
            config.ims = Some(Ims::new());
            config.service_route = vec![SCSCF.into()];
            config.max_expires = 600_000;
            server(config);
        });
        let alice = world.phone_with("alice", transport, |config| change(ims_config(config)));
        world.server().add_user(User::new("bob", "bobpw"));
        world.server().add_vectors("alice", &good(40));
        let mut ladder = Self { world, alice };
        ladder.card(Usim::new(100));
        ladder
            .world
            .act(alice, |client, now| client.access_network(now, CELL))
            .unwrap();
        ladder
    }

    /// Puts another card in.
    pub(crate) fn card(&mut self, usim: Usim) {
        self.world.phones[self.alice].card =
            Some(Box::new(move |asked| usim.ask(asked.rand, asked.autn)));
    }

    /// What the home network asks, in place of what it had.
    pub(crate) fn vectors(&mut self, vectors: &[Vector]) {
        self.world.server().forget_vectors("alice");
        self.world.server().add_vectors("alice", vectors);
    }

    pub(crate) fn register(&mut self) {
        let alice = self.alice;
        self.world
            .act(alice, |client, now| client.register(now))
            .unwrap();
        self.world.run(5_000);
    }

    /// Registered, and looked at.
    pub(crate) fn registered(mut self) -> Self {
        self.register();
        assert!(self.is_ready(), "{:?}", self.events());
        self
    }

    pub(crate) fn is_ready(&mut self) -> bool {
        self.world.phones[self.alice].client.is_ready()
    }

    pub(crate) fn events(&self) -> &[Happened] {
        &self.world.phones[self.alice].events
    }

    pub(crate) fn registers(&self) -> Vec<Sip> {
        self.sent("REGISTER")
    }

    /// What alice sent, without retransmissions.
    pub(crate) fn sent(&self, method: &str) -> Vec<Sip> {
        let all = ladder::attempts(&self.world, "alice", method);
        all.into_iter().map(|(_, sip)| sip).collect()
    }

    /// The packets that alice sent.
    pub(crate) fn packets(&self) -> Vec<Packet> {
        let all = ladder::packets(&self.world, "alice");
        all.into_iter().map(|(_, packet)| packet).collect()
    }

    /// The server found no fault.
    #[track_caller]
    pub(crate) fn clean(&mut self) {
        assert_eq!(self.world.server().violations(), [""; 0]);
    }
}

/// The configuration of alice, on an IMS core.
fn ims_config(config: Config<'_>) -> Config<'_> {
    Config {
        instance: config.instance,
        product: config.product,
        ..Config::ims(config.im_address, config.next_hops, "alice")
    }
}

pub(crate) fn port(address: SocketAddr) -> u16 {
    address.port()
}

/// A parameter of the credentials of a REGISTER.
pub(crate) fn said(register: &Sip, name: &str) -> Option<String> {
    let value = header(register, "Authorization");
    let at = value.find(&format!("{name}=\""))? + name.len() + 2;
    let rest = &value[at..];
    Some(rest[..rest.find('"').unwrap()].into())
}

/// The profile, with something changed.
pub(crate) fn profile<'a>(config: Config<'a>, profile: Profile<'a>) -> Config<'a> {
    Config {
        core: Core::Ims(profile),
        ..config
    }
}

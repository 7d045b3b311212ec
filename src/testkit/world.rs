//! Phones and servers on one network, and the clock that drives them.
//!
//! ```
//! use oma_im::config::{Config, Credentials, NextHop, Transport};
//! use oma_im::im::pager::Outgoing;
//! use oma_im::testkit::world::World;
//!
//! let mut world = World::new(1);
//! let alice = world.phone("alice", Transport::Udp);
//! let bob = world.phone("bob", Transport::Tcp);
//! world.register_all();
//! let hello = Outgoing::text("sip:bob@example.com", "Hello Bob");
//! world.act(alice, |client, now| client.send_message(now, &hello)).unwrap();
//! world.run(1_000);
//! assert_eq!(world.phones[bob].inbox[0].text(), "Hello Bob");
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::prelude::rust_2024::*;
use std::{format, vec};

use super::ladder::LadderOnFailure;
use super::net::{Conditions, Network};
use super::phone::{Happened, Phone};
use super::server::{Config as ServerConfig, ImServer, ServerHost, User};
use crate::client::Client;
use crate::config::{Config, Credentials, NextHop, Transport};
use crate::storage::{Standard, Storage};
use crate::time::Instant;

/// The domain of the server and of every phone's user.
pub const DOMAIN: &str = "example.com";
/// The name that the next hop has in every configuration.
pub const PROXY: &str = "proxy.example.com";
/// 22 November 2026, 18:41:56 UTC: the time of the calendar at the start of every world.
pub const EPOCH: u64 = 1_795_372_916_000;

/// A network with servers and phones.
pub struct World<S = Box<Standard>> {
    /// The network.
    pub net: Network,
    /// The servers; the first is the one of the domain.
    pub servers: Vec<ServerHost>,
    /// The phones, by the number that [`World::add`] gave.
    pub phones: Vec<Phone<S>>,
    seed: u64,
    _ladder: LadderOnFailure,
}

impl World {
    /// A good network with one server.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Conditions::default(), |_| ())
    }

    /// Adds a user `name` with password `name` + `pw`, whose phone is not registered yet.
    pub fn phone(&mut self, name: &str, transport: Transport) -> usize {
        self.phone_with(name, transport, |config| config)
    }

    /// As [`World::phone`], with another configuration.
    pub fn phone_with(
        &mut self,
        name: &str,
        transport: Transport,
        change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
    ) -> usize {
        self.add(name, transport, Box::new(Standard::new()), change)
    }
}

impl<S: Storage> World<S> {
    /// A network with one server, changed as needed.
    pub fn with(seed: u64, conditions: Conditions, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut net = Network::new(seed, conditions);
        let ladder = net.ladder_on_failure();
        let address = server_address(0);
        let mut config = ServerConfig::new(DOMAIN, address);
        change(&mut config);
        let server = ServerHost::new(&mut net, "server", ImServer::new(seed, config));
        Self {
            net,
            servers: vec![server],
            phones: Vec::new(),
            seed,
            _ladder: ladder,
        }
    }

    /// The server of the domain.
    pub fn server(&mut self) -> &mut ImServer {
        &mut self.servers[0].server
    }

    /// Adds a phone with its own storage.
    ///
    /// # Panics
    /// If the client refuses the configuration.
    pub fn add(
        &mut self,
        name: &str,
        transport: Transport,
        storage: S,
        change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
    ) -> usize {
        let n = self.phones.len();
        let password = format!("{name}pw");
        let address = format!("sip:{name}@{DOMAIN}");
        let instance = format!("urn:uuid:00000000-0000-4000-8000-{n:012}");
        self.server().add_user(User::new(name, &password));
        let hops = [NextHop::new(PROXY, transport)];
        let config = change(Config {
            credentials: Credentials::Password {
                user: name,
                password: &password,
            },
            instance: Some(&instance),
            product: "Example/M4-1.0",
            ..Config::new(&address, &hops)
        });
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8] = u8::try_from(n).expect("few phones");
        let host = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + seed[8]));
        let mut phone = Phone::new(&mut self.net, name, host, &config, storage, seed)
            .expect("a configuration that the client takes");
        let servers = self
            .servers
            .iter()
            .map(|host| host.server.config.address)
            .collect();
        phone.hosts.insert(PROXY.into(), servers);
        let now = self.net.now();
        phone.client.wall_clock(now, EPOCH + now.as_millis());
        phone.drain(&mut self.net);
        self.phones.push(phone);
        n
    }

    /// Adds a server of the same domain, as the next candidate of every phone that comes after.
    pub fn second_server(&mut self, change: impl FnOnce(&mut ServerConfig)) -> usize {
        let n = self.servers.len();
        let mut config = ServerConfig::new(DOMAIN, server_address(n));
        change(&mut config);
        let server = ImServer::new(self.seed + n as u64, config);
        let host = ServerHost::new(&mut self.net, &format!("server{}", n + 1), server);
        self.servers.push(host);
        n
    }

    /// Lets the server of the domain do something, and puts what it wants on the network.
    pub fn serve<T>(&mut self, call: impl FnOnce(&mut ImServer, Instant) -> T) -> T {
        let now = self.net.now();
        let result = call(&mut self.servers[0].server, now);
        self.servers[0].drain(&mut self.net);
        result
    }

    /// Calls a phone's client and drains it.
    pub fn act<T>(&mut self, phone: usize, call: impl FnOnce(&mut Client<S>, Instant) -> T) -> T {
        let now = self.net.now();
        let result = call(&mut self.phones[phone].client, now);
        self.phones[phone].drain(&mut self.net);
        result
    }

    /// Registers every phone.
    ///
    /// # Panics
    /// If one is not registered within a minute.
    pub fn register_all(&mut self) {
        for phone in 0..self.phones.len() {
            self.act(phone, |client, now| client.register(now))
                .expect("a new client registers");
        }
        let all = |world: &mut Self| world.phones.iter_mut().all(|phone| phone.client.is_ready());
        assert!(
            self.run_until(60_000, all),
            "not registered within a minute"
        );
    }

    /// Lets so many milliseconds pass.
    pub fn run(&mut self, millis: u64) {
        self.run_until(millis, |_| false);
    }

    /// Lets time pass until `done`, at most so many milliseconds; says whether it was done.
    pub fn run_until(&mut self, millis: u64, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.net.now().after(millis);
        // What a test had a server do by hand goes out first.
        for server in &mut self.servers {
            server.timeout(&mut self.net);
        }
        loop {
            if done(self) {
                return true;
            }
            let due = self
                .servers
                .iter()
                .filter_map(ServerHost::deadline)
                .chain(self.phones.iter().filter_map(Phone::deadline))
                .chain(self.net.next_delivery())
                .min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.net.advance_to(due);
            while let Some(delivery) = self.net.deliver() {
                let net = &mut self.net;
                let _taken = self
                    .servers
                    .iter_mut()
                    .any(|server| server.handle(net, &delivery))
                    || self
                        .phones
                        .iter_mut()
                        .any(|phone| phone.handle(net, &delivery));
            }
            let now = self.net.now();
            for server in &mut self.servers {
                if server.deadline().is_some_and(|due| due <= now) {
                    server.timeout(&mut self.net);
                }
            }
            for phone in &mut self.phones {
                if phone.deadline().is_some_and(|due| due <= now) {
                    phone.timeout(&mut self.net);
                }
            }
        }
        self.net.advance_to(end);
        done(self)
    }

    /// Whether something happened at a phone.
    pub fn saw(&self, phone: usize, what: impl Fn(&Happened) -> bool) -> bool {
        self.phones[phone].events.iter().any(what)
    }
}

/// The address of the n-th server.
fn server_address(n: usize) -> SocketAddr {
    let last = 1 + u8::try_from(n).expect("few servers");
    SocketAddr::from(([198, 51, 100, last], 5060))
}

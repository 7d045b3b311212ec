//! The stage on which a scenario plays: a world, and small steps that end in `Err` when something
//! does not happen in time.

use oma_im::client::{Client, SendOutcome};
use oma_im::config::Transport;
use oma_im::error::CommandError;
use oma_im::id::{SendId, SettingsId};
use oma_im::im::pager::Outgoing;
use oma_im::storage::Standard;
use oma_im::testkit::log::{Log, Packet};
use oma_im::testkit::net::Conditions;
use oma_im::testkit::phone::{Happened, Incoming};
use oma_im::testkit::server::{Rule, Then};
use oma_im::testkit::world::World;
use oma_im::wire::imdn::{DeliveryStatus, Disposition};

/// A procedure, or one of its failures.
pub(crate) struct Scenario {
    /// Its name, one word.
    pub(crate) name: &'static str,
    /// What it shows, one line.
    pub(crate) shows: &'static str,
    /// Whether it ends the same way when datagrams get lost.
    pub(crate) under_loss: UnderLoss,
    /// Plays it; an error says what did not end as it must.
    pub(crate) play: fn(&mut World) -> Result<(), String>,
}

/// What is promised when datagrams get lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnderLoss {
    /// Retransmission hides it (RFC 3261 §17.1.2), but for a run of bad luck.
    Promised,
    /// It may end otherwise, and why.
    NotPromised(&'static str),
}

/// A scenario that was played.
pub(crate) struct Run {
    pub(crate) scenario: &'static Scenario,
    pub(crate) seed: u64,
    pub(crate) loss: u8,
    pub(crate) log: Log,
    /// Virtual time that passed.
    pub(crate) millis: u64,
    pub(crate) verdict: Result<(), String>,
}

impl Run {
    /// Plays a scenario on a network that loses so many percent of the datagrams.
    pub(crate) fn play(scenario: &'static Scenario, seed: u64, loss: u8) -> Self {
        let conditions = Conditions {
            loss_percent: loss,
            ..Conditions::default()
        };
        let mut world = World::with(seed, conditions, |_| ());
        let verdict = (scenario.play)(&mut world).and_then(|()| no_promise_broken(&world));
        Self {
            scenario,
            seed,
            loss,
            log: world.net.log().clone(),
            millis: world.net.now().as_millis(),
            verdict,
        }
    }
}

/// What holds in every scenario.
fn no_promise_broken(world: &World) -> Result<(), String> {
    for phone in &world.phones {
        let stats = phone.client.stats();
        let lost = stats.events_lost + stats.no_room + stats.answers_dropped;
        check(lost == 0, || format!("{}: {stats:?}", phone.name))?;
        // One terminal event for each message, and for each command on the settings.
        let mut ended: Vec<SendId> = Vec::new();
        let mut settled: Vec<SettingsId> = Vec::new();
        for event in &phone.events {
            if let Happened::Sent(id, _) = event {
                check(!ended.contains(id), || {
                    format!("{}: message {} ended twice", phone.name, id.0)
                })?;
                ended.push(*id);
            }
            if let Happened::SettingsDone(id, _) = event {
                check(!settled.contains(id), || {
                    format!("{}: settings {} ended twice", phone.name, id.0)
                })?;
                settled.push(*id);
            }
        }
    }
    Ok(())
}

/// An error unless it holds.
pub(crate) fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// An error unless two values are equal.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    wanted: T,
) -> Result<(), String> {
    check(found == wanted, || {
        format!("{what}: {found:?}, not {wanted:?}")
    })
}

/// How long a REGISTER may take that has to be repeated, in milliseconds.
const REGISTERED_WITHIN: u64 = 120_000;
/// How long a message may take: 64·T1 for us, and a server that stores it after 16 s.
const SENT_WITHIN: u64 = 40_000;
/// How long a report may take.
const REPORTED_WITHIN: u64 = 60_000;

/// What scenarios do with a world.
pub(crate) trait Stage {
    /// Lets time pass until something is so.
    fn until(
        &mut self,
        what: &str,
        within: u64,
        done: impl FnMut(&mut World) -> bool,
    ) -> Result<(), String>;
    /// Registers a phone.
    fn register(&mut self, phone: usize) -> Result<(), String>;
    /// Adds and registers alice and bob.
    fn two(&mut self, transport: Transport) -> Result<(usize, usize), String>;
    /// Calls a client that takes the command.
    fn command<T>(
        &mut self,
        phone: usize,
        call: impl FnOnce(&mut Client<Box<Standard>>, oma_im::time::Instant) -> Result<T, CommandError>,
    ) -> Result<T, String>;
    /// Sends a message.
    fn send(&mut self, phone: usize, message: &Outgoing<'_>) -> Result<SendId, String>;
    /// Waits for the end of a message.
    fn outcome(&mut self, phone: usize, id: SendId) -> Result<SendOutcome, String>;
    /// Waits for the delivery of a message.
    fn delivered(&mut self, phone: usize, id: SendId) -> Result<(), String>;
    /// Waits for a report on a message.
    fn reported(&mut self, phone: usize, id: SendId, what: Disposition) -> Result<(), String>;
    /// Waits for a message and gives it.
    fn received(&mut self, phone: usize, nth: usize) -> Result<&Incoming, String>;
    /// Sends a text and waits until it is there.
    fn text(&mut self, from: usize, to: usize, text: &str) -> Result<(), String>;
    /// How many bindings the server has for a user.
    fn bindings(&mut self, user: &str) -> usize;
    /// What the phone of this name sent: requests of a method, without retransmissions.
    fn requests(&self, from: &str, method: &str) -> Vec<Packet>;
    /// Has the server do this to every request of a method from a user.
    fn always(&mut self, method: &str, user: &str, then: Then);
}

/// It was delivered.
pub(crate) const DELIVERED: Disposition = Disposition::Delivery(DeliveryStatus::Delivered);

impl Stage for World {
    fn until(
        &mut self,
        what: &str,
        within: u64,
        done: impl FnMut(&mut World) -> bool,
    ) -> Result<(), String> {
        let now = self.net.now().as_millis();
        check(self.run_until(within, done), || {
            format!("{what}: not from {now} ms to {} ms", now + within)
        })
    }

    fn register(&mut self, phone: usize) -> Result<(), String> {
        self.command(phone, |client, now| client.register(now))?;
        self.until("registered", REGISTERED_WITHIN, |world| {
            world.phones[phone].client.is_ready()
        })
    }

    fn two(&mut self, transport: Transport) -> Result<(usize, usize), String> {
        let alice = self.phone("alice", transport);
        let bob = self.phone("bob", transport);
        self.register(alice)?;
        self.register(bob)?;
        Ok((alice, bob))
    }

    fn command<T>(
        &mut self,
        phone: usize,
        call: impl FnOnce(&mut Client<Box<Standard>>, oma_im::time::Instant) -> Result<T, CommandError>,
    ) -> Result<T, String> {
        self.act(phone, call)
            .map_err(|error| format!("{}: {error}", self.phones[phone].name))
    }

    fn send(&mut self, phone: usize, message: &Outgoing<'_>) -> Result<SendId, String> {
        self.command(phone, |client, now| client.send_message(now, message))
    }

    fn outcome(&mut self, phone: usize, id: SendId) -> Result<SendOutcome, String> {
        let found = |world: &World| {
            let mut events = world.phones[phone].events.iter();
            events.find_map(|event| match event {
                Happened::Sent(of, outcome) if *of == id => Some(*outcome),
                _ => None,
            })
        };
        self.until("the end of a message", SENT_WITHIN, |world| {
            found(world).is_some()
        })?;
        found(self).ok_or("a message without end".into())
    }

    fn delivered(&mut self, phone: usize, id: SendId) -> Result<(), String> {
        let outcome = self.outcome(phone, id)?;
        same("outcome", outcome, SendOutcome::Delivered { status: 200 })
    }

    fn reported(&mut self, phone: usize, id: SendId, what: Disposition) -> Result<(), String> {
        self.until("report", REPORTED_WITHIN, |world| {
            world.saw(phone, |event| {
                matches!(event, Happened::Report { id: of, disposition, .. }
                    if *of == Some(id) && *disposition == what)
            })
        })
    }

    fn received(&mut self, phone: usize, nth: usize) -> Result<&Incoming, String> {
        self.until("message", SENT_WITHIN, |world| {
            world.phones[phone].inbox.len() > nth
        })?;
        Ok(&self.phones[phone].inbox[nth])
    }

    fn text(&mut self, from: usize, to: usize, text: &str) -> Result<(), String> {
        let name = format!("sip:{}@example.com", self.phones[to].name);
        let nth = self.phones[to].inbox.len();
        let id = self.send(from, &Outgoing::text(&name, text))?;
        self.delivered(from, id)?;
        same("text", &*self.received(to, nth)?.text(), text)
    }

    fn bindings(&mut self, user: &str) -> usize {
        let now = self.net.now();
        self.server().bindings(now, user).len()
    }

    fn requests(&self, from: &str, method: &str) -> Vec<Packet> {
        let mut seen: Vec<Vec<u8>> = Vec::new();
        self.net.log().sent(|packet| {
            let new = packet.from_host == from
                && packet.is_request(method)
                && !seen.contains(&packet.bytes);
            if new {
                seen.push(packet.bytes.clone());
            }
            new
        })
    }

    fn always(&mut self, method: &str, user: &str, then: Then) {
        let rule = Rule::on(method).from_user(user).forever().then(then);
        self.server().script(rule);
    }
}

/// A header of a packet, or nothing.
pub(crate) fn header(packet: &Packet, name: &str) -> String {
    let sip = packet.sip();
    sip.and_then(|sip| sip.header(name).map(str::to_owned))
        .unwrap_or_default()
}

/// The two numbers that a repeated request keeps: Call-ID and CSeq.
pub(crate) fn identity(packet: &Packet) -> (String, String) {
    (header(packet, "Call-ID"), header(packet, "CSeq"))
}

//! The example `im` on the loopback network: real sockets, real time, no fixed waits.
#![allow(
    dead_code,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "../../examples/im/args.rs"]
mod args;
#[path = "../../examples/im/card.rs"]
mod card;
#[path = "../../examples/im/clock.rs"]
mod clock;
#[path = "../../examples/im/demo.rs"]
mod demo;
#[path = "../../examples/im/driver.rs"]
mod driver;
#[path = "../../examples/im/happened.rs"]
mod happened;
#[path = "../../examples/im/record.rs"]
mod record;
#[path = "../../examples/im/server.rs"]
mod server;
#[path = "../../examples/im/session.rs"]
mod session;
#[path = "../../examples/im/settings.rs"]
mod settings;
#[path = "../../examples/im/sockets.rs"]
mod sockets;
#[path = "../../examples/im/stream.rs"]
mod stream;
#[path = "../../examples/im/tls.rs"]
mod tls;

use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use oma_im::client::SendOutcome;
use oma_im::config::{Config, Credentials, NextHop, Transport};
use oma_im::error::Failure;
use oma_im::testkit::ladder::LadderOnFailure;
use oma_im::testkit::log::{Log, Packet};
use oma_im::testkit::pcap::pcap;
use oma_im::testkit::server::{ImServer, Rule, Then, User};
use oma_im::wire::settings::Settings;

use clock::Clock;
use demo::{DOMAIN, address, password};
use happened::Happened;
use record::{Recorder, Sees};
use server::Server;
use session::{Command, Plan, Remote, Reports, Session, Until};
use settings::{Named, Wish};
use sockets::Sockets;
use tls::Trusted;

/// Nothing on loopback takes so long; whatever does has failed.
const AT_MOST: Duration = Duration::from_secs(10);

/// A server with alice and bob, and the log of everything.
struct Stage {
    clock: Clock,
    recorder: Recorder,
    server: Server,
    _ladder: LadderOnFailure,
}

impl Stage {
    fn new(change: impl FnOnce(&mut ImServer)) -> Self {
        let clock = Clock::start();
        let recorder = Recorder::new(Log::new(), "server", Sees::Own);
        let ladder = LadderOnFailure::new(recorder.log.clone(), 1);
        let server = Server::start(clock, recorder.clone(), DOMAIN, |server| {
            for name in ["alice", "bob"] {
                server.add_user(User::new(name, &password(name)));
            }
            change(server);
        });
        Self {
            clock,
            recorder,
            server: server.unwrap(),
            _ladder: ladder,
        }
    }

    /// A user who begins at once.
    fn user(&self, name: &str, transport: Transport, plan: Plan) -> Running {
        let recorder = self.recorder.of(name);
        let (session, remote) =
            demo::user(name, transport, plan, &self.server, self.clock, recorder).unwrap();
        Running::begin(name, session, remote, self.clock, self.recorder.of(name))
    }

    fn packets(&self, wanted: impl Fn(&Packet) -> bool) -> usize {
        self.recorder.log.sent(wanted).len()
    }
}

/// A session in its thread.
struct Running {
    name: String,
    remote: Remote,
    happened: Receiver<Happened>,
    seen: Vec<Happened>,
    thread: JoinHandle<std::io::Result<bool>>,
}

impl Running {
    fn begin(
        name: &str,
        session: Session,
        remote: Remote,
        clock: Clock,
        recorder: Recorder,
    ) -> Self {
        let (sender, happened) = channel();
        let thread = std::thread::spawn(move || {
            session.run(&mut |happened| {
                recorder.note(clock.now(), happened.line());
                let _ = sender.send(happened.clone());
            })
        });
        Self {
            name: name.into(),
            remote,
            happened,
            seen: Vec::new(),
            thread,
        }
    }

    /// Waits for the next thing that fits.
    fn wait(&mut self, wanted: impl Fn(&Happened) -> bool) -> Happened {
        loop {
            let Ok(happened) = self.happened.recv_timeout(AT_MOST) else {
                panic!("{} waits in vain behind {:?}", self.name, self.seen);
            };
            self.seen.push(happened.clone());
            if wanted(&happened) {
                return happened;
            }
        }
    }

    fn registered(&mut self) {
        self.wait(|happened| matches!(happened, Happened::Registered { .. }));
    }

    fn gets(&mut self, text: &str) {
        self.wait(
            |happened| matches!(happened, Happened::Message { text: got, .. } if got == text),
        );
    }

    fn is_reported_on(&mut self) {
        let report = self.wait(|happened| matches!(happened, Happened::Report { .. }));
        assert!(
            report.json().contains(r#""status":"delivered""#),
            "{report:?}"
        );
    }

    fn send(&self, to: &str, text: &str) {
        self.remote.give(Command::Send {
            to: Some(address(to)),
            text: text.into(),
        });
    }

    /// Waits for its end: whether all was done, and everything that was told.
    fn end(mut self) -> (bool, Vec<Happened>) {
        let done = self.thread.join().unwrap().unwrap();
        self.seen.extend(self.happened.try_iter());
        (done, self.seen)
    }

    /// Ends as a user ends it.
    fn quit(mut self) -> Vec<Happened> {
        self.remote.give(Command::Quit);
        self.wait(|happened| *happened == Happened::Deregistered);
        let (done, seen) = self.end();
        assert!(done, "{seen:?}");
        seen
    }
}

fn plan(to: &str, text: &str) -> Plan {
    Plan {
        to: Some(address(to)),
        text: Some(text.into()),
        until: Until::Sent,
        ..Plan::default()
    }
}

#[test]
fn two_users_talk_over_every_transport() {
    use Transport::{Tcp, Tls, Udp};
    for transports in [[Udp, Tcp], [Tls, Udp], [Tcp, Tls]] {
        let recorder = Recorder::new(Log::new(), "alice", Sees::Own);
        let _ladder = LadderOnFailure::new(recorder.log.clone(), 1);
        let summary = demo::run(transports, Clock::start(), &recorder, &mut || ());
        let summary = summary.unwrap_or_else(|why| panic!("{transports:?}: {why}"));
        assert!(
            summary.to_string().contains("2 delivery reports"),
            "{summary}"
        );

        // Each user: REGISTER, again with credentials, and once more to take it back.
        let registers = recorder.log.sent(|packet| packet.is_request("REGISTER"));
        assert_eq!(registers.len(), 6);
        let over = |packet: &Packet| packet.transport.as_str();
        for (name, transport) in ["alice", "bob"].into_iter().zip(transports) {
            let mine: Vec<_> = registers.iter().filter(|r| r.from_host == name).collect();
            assert_eq!(mine.len(), 3, "{name}");
            assert!(mine.iter().all(|packet| over(packet) == transport.via()));
        }
        assert!(pcap(&recorder.log).len() > 10_000);
    }
}

#[test]
fn a_text_is_sent_and_reported_on_and_the_session_ends() {
    let stage = Stage::new(|_| ());
    let mut bob = stage.user("bob", Transport::Tcp, Plan::default());
    bob.registered();
    let awaited = Plan {
        reports: Reports::Awaited,
        ..plan("bob", "grüß dich \u{2713}")
    };
    let (done, seen) = stage.user("alice", Transport::Udp, awaited).end();
    assert!(done, "{seen:?}");
    let told: Vec<_> = seen.iter().map(event_of).collect();
    assert_eq!(
        told,
        ["registered", "sending", "sent", "report", "deregistered"]
    );
    bob.gets("grüß dich \u{2713}");
    bob.quit();
}

/// The `event` of a JSON object.
fn event_of(happened: &Happened) -> String {
    let json: serde_json::Value = serde_json::from_str(&happened.json()).unwrap();
    json["event"].as_str().unwrap().to_owned()
}

#[test]
fn settings_are_published_and_shown_and_the_session_ends() {
    for (transport, words) in [
        (Transport::Udp, "no-sessions,fetch"),
        (Transport::Tls, "default"),
    ] {
        let stage = Stage::new(|_| ());
        let wish = Wish::read(words).unwrap();
        let settings = Plan {
            settings: Some(wish),
            until: Until::Sent,
            ..Plan::default()
        };
        let (done, seen) = stage.user("alice", transport, settings.clone()).end();
        assert!(done, "{seen:?}");
        let json = seen.iter().map(Happened::json);
        let shown: Vec<_> = json.filter(|json| json.contains("\"settings\":")).collect();
        assert_eq!(shown.len(), 1, "{seen:?}");
        assert!(
            shown[0].contains(&format!("\"settings\":\"{words}\"")),
            "{shown:?}"
        );
        let fetches = seen.contains(&Happened::RetrieveDeferred);
        assert_eq!(fetches, words.contains("fetch"));
    }
    // What the server does not take is an error of the session.
    let stage = Stage::new(|server| server.config.packages.clear());
    let refused = Plan {
        settings: Some(Wish::Set(Settings::DEFAULT)),
        until: Until::Sent,
        ..Plan::default()
    };
    let (done, seen) = stage.user("alice", Transport::Tcp, refused).end();
    assert!(!done, "{seen:?}");
    let refused = r#""outcome":"failed","status":489"#;
    assert!(
        seen.iter()
            .any(|happened| happened.json().contains(refused))
    );
}

#[test]
fn settings_are_words() {
    let all = "no-sessions,no-messages,invisible,fetch,keep-sessions,keep-messages,no-files";
    for words in ["default", "no-files", "no-messages,invisible", all] {
        let Ok(Wish::Set(settings)) = Wish::read(words) else {
            panic!("{words}");
        };
        assert_eq!(Named(settings).to_string(), words);
    }
    assert_eq!(Wish::read("default"), Ok(Wish::Set(Settings::DEFAULT)));
    assert_eq!(Wish::read(" remove "), Ok(Wish::Remove));
    for wrong in ["", "quiet", "no-files,", "default,no-files", "remove,fetch"] {
        assert!(Wish::read(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn messages_in_one_go_arrive_in_order() {
    let stage = Stage::new(|_| ());
    let mut bob = stage.user("bob", Transport::Tls, Plan::default());
    let mut alice = stage.user("alice", Transport::Tcp, Plan::default());
    bob.registered();
    for n in 0..40 {
        alice.send("bob", &format!("number {n}"));
    }
    for n in 0..40 {
        bob.gets(&format!("number {n}"));
        alice.is_reported_on();
    }
    let seen = alice.quit();
    let ends = |happened: &&Happened| matches!(happened, Happened::Sent { .. });
    assert_eq!(seen.iter().filter(ends).count(), 40);
    bob.quit();
}

#[test]
fn a_message_waits_for_who_is_away() {
    let stage = Stage::new(|_| ());
    let mut alice = stage.user("alice", Transport::Udp, Plan::default());
    alice.send("bob", "see you later");
    alice.wait(|happened| {
        matches!(happened, Happened::Sent { outcome, .. } if *outcome == SendOutcome::Accepted)
    });
    let mut bob = stage.user("bob", Transport::Tls, Plan::default());
    bob.gets("see you later");
    alice.is_reported_on();
    bob.quit();
    alice.quit();
}

#[test]
fn a_change_of_the_network_loses_nothing() {
    let stage = Stage::new(|_| ());
    let mut bob = stage.user("bob", Transport::Udp, Plan::default());
    bob.registered();
    let mut alice = stage.user("alice", Transport::Tls, Plan::default());
    alice.registered();
    for n in 0..3 {
        alice.send("bob", &format!("number {n}"));
    }
    alice.remote.give(Command::NetworkChanged);
    alice.registered();
    bob.send("alice", "still there?");
    for n in 0..3 {
        bob.gets(&format!("number {n}"));
    }
    alice.gets("still there?");
    bob.is_reported_on();

    let ports = |log: &Log| {
        let opened = log.sent(|packet| packet.from_host == "alice");
        let mut ports: Vec<_> = opened.iter().map(|packet| packet.from.port()).collect();
        ports.dedup();
        ports.len()
    };
    assert_eq!(ports(&stage.recorder.log), 2);
    let seen = alice.quit();
    let sent = |happened: &&Happened| matches!(happened, Happened::Sent { .. });
    assert_eq!(seen.iter().filter(sent).count(), 3);
    let messages = |happened: &&Happened| matches!(happened, Happened::Message { .. });
    assert_eq!(bob.quit().iter().filter(messages).count(), 3);
}

/// Alice with another configuration.
fn other_alice(
    stage: &Stage,
    transport: Transport,
    plan: Plan,
    trusted: &[u8],
    change: impl FnOnce(&mut Config<'_>),
) -> Running {
    let at = stage.server.at(transport);
    let host = at.ip().to_string();
    let hops = [NextHop {
        host: &host,
        port: Some(at.port()),
        transport,
    }];
    let mut config = Config {
        credentials: Credentials::Password {
            user: "alice",
            password: "alicepw",
        },
        ..Config::new("sip:alice@example.com", &hops)
    };
    change(&mut config);
    let trusted = Trusted::from_pem(trusted).unwrap();
    let recorder = stage.recorder.of("alice");
    let sockets = Sockets::new(stage.clock, None, Some(trusted), recorder.clone()).unwrap();
    let (session, remote) = Session::new(&config, plan, sockets, stage.clock).unwrap();
    Running::begin("alice", session, remote, stage.clock, recorder)
}

#[test]
fn a_wrong_password_ends_in_the_status_of_the_server() {
    let stage = Stage::new(|_| ());
    let plan = plan("bob", "hello");
    let trusted = server::CERTIFICATE;
    let alice = other_alice(&stage, Transport::Udp, plan, trusted, |config| {
        config.credentials = Credentials::Password {
            user: "alice",
            password: "wrong",
        };
    });
    let (done, seen) = alice.end();
    assert!(!done);
    let Some(Happened::RegistrationFailed(Failure::Credentials { status })) = seen.first() else {
        panic!("{seen:?}");
    };
    assert_eq!(*status, 401);
    assert_eq!(stage.packets(|packet| packet.is_request("MESSAGE")), 0);
}

#[test]
fn a_server_that_nobody_vouches_for_gets_no_byte() {
    let stage = Stage::new(|_| ());
    let trusted = include_bytes!("other-cert.pem");
    let plan = plan("bob", "hello");
    let alice = other_alice(&stage, Transport::Tls, plan, trusted, |_| ());
    let (done, seen) = alice.end();
    assert!(!done, "{seen:?}");
    assert_eq!(stage.packets(|_| true), 0);
}

#[test]
fn a_session_is_stopped_while_nobody_answers() {
    let stage = Stage::new(|server| {
        server.script(Rule::on("REGISTER").forever().then(Then::Silence));
    });
    let alice = stage.user("alice", Transport::Udp, Plan::default());
    alice.remote.give(Command::Stop);
    let (_, seen) = alice.end();
    assert_eq!(seen.last(), Some(&Happened::Deregistered));
}

#[test]
fn commands_are_read_from_lines() {
    let send = |to: Option<&str>, text: &str| {
        Some(format!(
            "{:?}",
            Command::Send {
                to: to.map(str::to_owned),
                text: text.into(),
            }
        ))
    };
    let read = |line: &str| Command::read(line).map(|command| format!("{command:?}"));
    assert_eq!(
        read("send sip:bob@example.com Hello Bob \r\n"),
        send(Some("sip:bob@example.com"), "Hello Bob")
    );
    assert_eq!(
        read("send tel:+15550100 x"),
        send(Some("tel:+15550100"), "x")
    );
    assert_eq!(read("send him my love"), send(None, "send him my love"));
    assert_eq!(read("quit smoking"), send(None, "quit smoking"));
    assert_eq!(read("quit\n"), Some("Quit".into()));
    assert_eq!(read("  \n"), None);
    let settings = format!("{:?}", Command::Settings(Wish::Remove));
    assert_eq!(read("settings remove"), Some(settings));
    assert_eq!(read("settings are fine"), send(None, "settings are fine"));
}

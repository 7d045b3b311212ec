//! Two users and a server in one program: both register, each sends the other a message, and each
//! message is reported on. One of them sets settings of the service before and takes them back after.
//!
//! The server and the users have a thread each, and meet only on the loopback network.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use oma_im::client::{ReportOutcome, SendOutcome, SettingsOutcome};
use oma_im::config::{Config, Credentials, NextHop, Transport};
use oma_im::im::imdn::ReportKind;
use oma_im::testkit::server::User;
use oma_im::time::Instant;
use oma_im::wire::imdn::{DeliveryStatus, Disposition};
use oma_im::wire::settings::{Barring, Settings};

use super::clock::Clock;
use super::happened::Happened;
use super::record::Recorder;
use super::server::{CERTIFICATE, Server};
use super::session::{Command, Plan, Remote, Session};
use super::settings::Wish;
use super::sockets::Sockets;
use super::tls::Trusted;

/// The whole scene has to be over in this time.
const WITHIN_MS: u64 = 10_000;
pub(crate) const DOMAIN: &str = "example.com";
const NAMES: [&str; 2] = ["alice", "bob"];

/// How the scene went.
pub(crate) struct Summary {
    messages: usize,
    reports: usize,
    packets: usize,
    transports: [Transport; 2],
    took_ms: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [alice, bob] = self.transports.map(Transport::via);
        write!(
            f,
            "alice ({alice}) and bob ({bob}) registered with digest; alice's settings in effect, then removed; \
             {} messages sent and delivered, {} delivery reports; registrations taken back; {} packets in {} ms",
            self.messages, self.reports, self.packets, self.took_ms
        )
    }
}

/// Plays the scene over these transports. `look` is called again and again meanwhile.
///
/// # Errors
/// What went wrong, or did not happen in time.
pub(crate) fn run(
    transports: [Transport; 2],
    clock: Clock,
    recorder: &Recorder,
    look: &mut dyn FnMut(),
) -> Result<Summary, String> {
    let system = |error: io::Error| error.to_string();
    for name in [NAMES[0], "server", NAMES[1]] {
        recorder.log.host(name);
    }
    let server = Server::start(clock, recorder.of("server"), DOMAIN, |server| {
        for name in NAMES {
            server.add_user(User::new(name, &password(name)));
        }
    })
    .map_err(system)?;

    let began = clock.now();
    let (sender, happened) = channel();
    let mut users = Vec::new();
    for (who, (name, transport)) in NAMES.into_iter().zip(transports).enumerate() {
        let recorder = recorder.of(name);
        let (session, remote) = user(
            name,
            transport,
            Plan::default(),
            &server,
            clock,
            recorder.clone(),
        )
        .map_err(system)?;
        let sender = sender.clone();
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                session.run(&mut |happened| {
                    recorder.note(clock.now(), happened.line());
                    // The scene may have been given up.
                    let _ = sender.send((who, happened.clone()));
                })
            })
            .map_err(system)?;
        users.push(Player { remote, thread });
    }
    let mut scene = Scene {
        seen: Vec::new(),
        happened,
        clock,
        end: began.after(WITHIN_MS),
        look,
    };
    let played = play(&mut scene, &users);
    let took_ms = clock.now().since(began);

    let mut unhappy = None;
    for Player { remote, thread } in users {
        remote.give(Command::Stop);
        let result = thread.join();
        if !matches!(result, Ok(Ok(true))) {
            unhappy = Some(format!("a user ended with {result:?}"));
        }
    }
    drop(server);
    (scene.look)();
    played?;
    if let Some(why) = unhappy {
        return Err(why);
    }
    let count = |wanted: fn(&Happened) -> bool| {
        let seen = scene.seen.iter();
        seen.filter(|(_, happened)| wanted(happened)).count()
    };
    Ok(Summary {
        messages: count(|happened| matches!(happened, Happened::Message { .. })),
        reports: count(|happened| matches!(happened, Happened::Report { .. })),
        packets: recorder.log.packets().len(),
        transports,
        took_ms,
    })
}

pub(crate) fn password(name: &str) -> String {
    format!("{name}pw")
}

pub(crate) fn address(name: &str) -> String {
    format!("sip:{name}@{DOMAIN}")
}

/// A user of the server, not begun.
pub(crate) fn user(
    name: &str,
    transport: Transport,
    plan: Plan,
    server: &Server,
    clock: Clock,
    recorder: Recorder,
) -> io::Result<(Session, Remote)> {
    let at = server.at(transport);
    let (host, password, im_address) = (at.ip().to_string(), password(name), address(name));
    let hops = [NextHop {
        host: &host,
        port: Some(at.port()),
        transport,
    }];
    let config = Config {
        credentials: Credentials::Password {
            user: name,
            password: &password,
        },
        ..Config::new(&im_address, &hops)
    };
    let trusted = Trusted::from_pem(CERTIFICATE).map_err(io::Error::other)?;
    let sockets = Sockets::new(clock, None, Some(trusted), recorder)?;
    Session::new(&config, plan, sockets, clock)
}

struct Player {
    remote: Remote,
    thread: JoinHandle<io::Result<bool>>,
}

fn play(scene: &mut Scene<'_>, users: &[Player]) -> Result<(), String> {
    for who in [0, 1] {
        scene.wait(who, "is registered", |happened| {
            matches!(happened, Happened::Registered { .. })
        })?;
    }
    let settings = Settings {
        file_transfers: Barring::Barred,
        ..Settings::DEFAULT
    };
    users[0].remote.give(Command::Settings(Wish::Set(settings)));
    scene.wait(0, "has the settings in effect", |happened| {
        matches!(happened, Happened::SettingsDone { outcome: SettingsOutcome::InEffect { settings: s, .. }, .. }
            if *s == settings)
    })?;
    for (from, to) in [(0, 1), (1, 0)] {
        let text = format!("Hello, {} here", NAMES[from]);
        users[from].remote.give(Command::Send {
            to: Some(address(NAMES[to])),
            text: text.clone(),
        });
        scene.wait(from, "has the message delivered with 200", |happened| {
            let outcome = SendOutcome::Delivered { status: 200 };
            matches!(happened, Happened::Sent { outcome: o, .. } if *o == outcome)
        })?;
        let sender = address(NAMES[from]);
        scene.wait(to, "gets the message", |happened| {
            matches!(happened, Happened::Message { from, text: t, .. } if *from == sender && *t == text)
        })?;
        scene.wait(to, "sends a delivery report", |happened| {
            let report = (ReportKind::Delivery, ReportOutcome::Sent);
            matches!(happened, Happened::ReportSent { kind, outcome, .. } if (*kind, *outcome) == report)
        })?;
        scene.wait(from, "gets the delivery report", |happened| {
            let delivered = Disposition::Delivery(DeliveryStatus::Delivered);
            matches!(happened, Happened::Report { id: Some(_), disposition, .. } if *disposition == delivered)
        })?;
    }
    users[0].remote.give(Command::Settings(Wish::Remove));
    scene.wait(0, "has the settings removed", |happened| {
        let removed = SettingsOutcome::Removed;
        matches!(happened, Happened::SettingsDone { outcome, .. } if *outcome == removed)
    })?;
    for who in [0, 1] {
        users[who].remote.give(Command::Quit);
    }
    for who in [0, 1] {
        scene.wait(who, "takes the registration back", |happened| {
            *happened == Happened::Deregistered
        })?;
    }
    Ok(())
}

/// What the users tell, as it comes.
struct Scene<'a> {
    seen: Vec<(usize, Happened)>,
    happened: Receiver<(usize, Happened)>,
    clock: Clock,
    end: Instant,
    look: &'a mut dyn FnMut(),
}

impl Scene<'_> {
    /// Waits until a user has told something.
    fn wait(
        &mut self,
        who: usize,
        what: &str,
        wanted: impl Fn(&Happened) -> bool,
    ) -> Result<(), String> {
        let fits = |(by, happened): &(usize, Happened)| *by == who && wanted(happened);
        while !self.seen.iter().any(fits) {
            (self.look)();
            let left = self.clock.until(self.end);
            if left.is_zero() {
                let seconds = WITHIN_MS / 1000;
                return Err(format!("not within {seconds} s: {} {what}", NAMES[who]));
            }
            match self
                .happened
                .recv_timeout(left.min(Duration::from_millis(20)))
            {
                Ok(news) => self.seen.push(news),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("over before: {} {what}", NAMES[who]));
                }
            }
            if let Some((by, happened)) = self.seen.last()
                && is_failure(happened)
            {
                return Err(format!("{}: {}", NAMES[*by], happened.line()));
            }
        }
        Ok(())
    }
}

fn is_failure(happened: &Happened) -> bool {
    match happened {
        Happened::RegistrationFailed(_)
        | Happened::Retrying { .. }
        | Happened::Lost
        | Happened::Refused(_)
        | Happened::Unfinished(_)
        | Happened::Settings(_)
        | Happened::SettingsDone {
            outcome: SettingsOutcome::Failed(_) | SettingsOutcome::Withdrawn,
            ..
        }
        | Happened::Sent {
            outcome: SendOutcome::Failed(_) | SendOutcome::Withdrawn,
            ..
        } => true,
        Happened::ReportSent { outcome, .. } => *outcome != ReportOutcome::Sent,
        _ => false,
    }
}

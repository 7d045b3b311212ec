//! A subscription to an event package of a SIP server, by the subscriber machine alone (RFC 6665).
//!
//!     cargo run --example subscribe -- --server HOST:PORT --user U --password P --domain D \
//!         [--resource URI] --event presence|conference|reg|poc-settings [--expires SECONDS] [--fetch]
//!
//! The client of this crate subscribes to `reg` and `poc-settings` by itself. For other packages there is
//! [`oma_im::sip::subscription`], which says when a SUBSCRIBE is due and what a NOTIFY means; this is
//! all that its owner writes around it: one UDP socket, one request at a time, digest, a clock.
//! Standard input: `refresh`, `fetch`, `unsubscribe`, `subscribe`, `quit`. Standard output: one JSON object
//! a line. Exit status 0 unless the command line or the socket was of no use.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing
)]

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use oma_im::sip::auth::Challenger;
use oma_im::sip::dialog::Seed;
use oma_im::sip::subscription::{
    Failure, Forking, Notify, Package, Step, Subscription, SubscriptionAction, SubscriptionConfig,
    SubscriptionEvent, Verdict, Which, stray,
};
use oma_im::sip::transaction::{ClientAction, NonInviteClient, Reliability, Timers};
use oma_im::testkit::export::json_string;
use oma_im::time::Instant;
use oma_im::wire::digest::{
    Acceptable, Answer, Challenges, Cnonce, Secret, choose, write_credentials,
};
use oma_im::wire::message::Message;
use oma_im::wire::name::{Method, Name, Status, StatusClass};
use oma_im::wire::sink::Sink;
use oma_im::wire::writer::{MessageWriter, Text, UriText};

/// Presence: RFC 3856 §6.1, §6.4, §6.5, §6.9.
const PRESENCE: Package = Package {
    name: "presence",
    accept: "application/pidf+xml",
    expires: 3_600,
    forking: Forking::Single,
};
const PACKAGES: [Package; 4] = [
    PRESENCE,
    Package::CONFERENCE,
    Package::REG,
    Package::POC_SETTINGS,
];
const TIMERS: Timers = Timers::RFC3261;
/// How long standard input may have to wait.
const NAP: Duration = Duration::from_millis(50);

type Fault = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match Options::read().and_then(|options| Subscriber::new(options)?.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("subscribe: {fault}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    server: SocketAddr,
    user: String,
    password: String,
    own: String,
    resource: String,
    config: SubscriptionConfig,
    fetch: bool,
}

impl Options {
    fn read() -> Result<Self, Fault> {
        let mut given = HashMap::new();
        let mut fetch = false;
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            if arg == "--fetch" {
                fetch = true;
            } else {
                let value = args.next().ok_or(format!("{arg} needs a value"))?;
                given.insert(arg, value);
            }
        }
        let mut take = |name: &str| given.remove(name);
        let need = |name: &str, value: Option<String>| value.ok_or(format!("{name} is missing"));
        let server = need("--server", take("--server"))?;
        let server = server.to_socket_addrs()?.next().ok_or("no such server")?;
        let user = need("--user", take("--user"))?;
        let domain = need("--domain", take("--domain"))?;
        let own = format!("sip:{user}@{domain}");
        let event = need("--event", take("--event"))?;
        let package = PACKAGES.iter().find(|package| package.name == event);
        let mut config = SubscriptionConfig::new(*package.ok_or("unknown event package")?);
        if let Some(expires) = take("--expires") {
            config.expires = expires.parse()?;
        }
        let options = Self {
            server,
            password: take("--password").unwrap_or_default(),
            resource: take("--resource").unwrap_or(own.clone()),
            user,
            own,
            config,
            fetch,
        };
        match given.keys().next() {
            Some(unknown) => Err(format!("unknown: {unknown}").into()),
            None => Ok(options),
        }
    }
}

/// A SUBSCRIBE under way.
struct Request {
    transaction: NonInviteClient,
    bytes: Vec<u8>,
    branch: String,
    which: Which,
    expires: u32,
    /// It carries credentials: another challenge means that they are wrong.
    answered: bool,
}

struct Subscriber {
    options: Options,
    socket: UdpSocket,
    began: std::time::Instant,
    machine: Subscription,
    request: Option<Request>,
    /// The last NOTIFY and its answer, for when it is repeated.
    notified: (Vec<u8>, Vec<u8>),
}

impl Subscriber {
    fn new(options: Options) -> Result<Self, Fault> {
        let socket = UdpSocket::bind(match options.server {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        })?;
        socket.connect(options.server)?;
        socket.set_read_timeout(Some(NAP))?;
        Ok(Self {
            machine: Subscription::new(&options.config),
            options,
            socket,
            began: std::time::Instant::now(),
            request: None,
            notified: (Vec::new(), Vec::new()),
        })
    }

    fn now(&self) -> Instant {
        Instant::from_millis(self.began.elapsed().as_millis() as u64)
    }

    fn run(mut self) -> Result<(), Fault> {
        let commands = standard_input();
        let first = if self.options.fetch {
            self.machine.fetch(self.now())
        } else {
            self.machine.subscribe()
        };
        self.follow(first)?;
        let mut datagram = vec![0; 65_535];
        loop {
            while let Ok(command) = commands.try_recv() {
                let now = self.now();
                let step = match command.as_str() {
                    "subscribe" => self.machine.subscribe(),
                    "refresh" => self.machine.refresh(now),
                    "fetch" => self.machine.fetch(now),
                    "unsubscribe" => self.machine.unsubscribe(),
                    "quit" => return Ok(()),
                    _ => continue,
                };
                self.follow(step)?;
            }
            match self.socket.recv(&mut datagram) {
                Ok(length) => self.receive(&datagram[..length])?,
                Err(error) if is_nothing(&error) => {}
                Err(error) => return Err(error.into()),
            }
            self.timeouts()?;
        }
    }

    /// Tells what happened, and does what the machine says.
    fn follow(&mut self, step: Step) -> Result<(), Fault> {
        match step.event {
            None => {}
            Some(SubscriptionEvent::Subscribed { phase, .. }) => {
                tell("subscribed", &[("phase", &format!("{phase:?}"))]);
            }
            Some(SubscriptionEvent::Failing { reason, .. }) => {
                tell("failing", &[("reason", &format!("{reason:?}"))]);
            }
            Some(SubscriptionEvent::Ended { reason, retry }) => {
                let (reason, retry) = (format!("{reason:?}"), format!("{retry:?}"));
                tell("ended", &[("reason", &reason), ("retry", &retry)]);
            }
            Some(SubscriptionEvent::Unsubscribed) => tell("unsubscribed", &[]),
            Some(SubscriptionEvent::Fetched) => tell("fetched", &[]),
        }
        match step.action {
            SubscriptionAction::Nothing => Ok(()),
            SubscriptionAction::Subscribe { dialog, expires } => {
                if dialog == Which::New {
                    let own = UriText::new(&self.options.own)?;
                    let resource = UriText::new(&self.options.resource)?;
                    let seed = Seed {
                        call_id: random(),
                        tag: random(),
                    };
                    self.machine.open(seed, own, resource)?;
                }
                self.subscribe(dialog, expires, None)
            }
        }
    }

    /// Sends a SUBSCRIBE, with credentials if there is a challenge.
    fn subscribe(
        &mut self,
        which: Which,
        expires: u32,
        credentials: Option<(Name, String)>,
    ) -> Result<(), Fault> {
        let now = self.now();
        let Some(dialog) = self.machine.dialog() else {
            return Ok(());
        };
        let Some(uri) = dialog.request_uri() else {
            let failure = Failure::TransportFailed;
            let step = self
                .machine
                .failed(now, &self.options.config, failure, random() as u32);
            return self.follow(step);
        };
        let (cseq, local) = (dialog.next_cseq(), self.socket.local_addr()?);
        let package = self.options.config.package;
        let branch = format!("z9hG4bK{:016x}", random());
        let via = format!("SIP/2.0/UDP {local};branch={branch};rport");
        let contact = format!("<sip:{}@{local}>", self.options.user);
        let mut out = vec![0; 4_096];
        let mut w = MessageWriter::request(&mut out, Method::Subscribe, uri);
        w.header(Name::Via, Text::new(&via)?);
        w.header(Name::MaxForwards, 70_u32);
        dialog.identify(&mut w);
        w.header(Name::CSeq, Text::new(&format!("{cseq} SUBSCRIBE"))?);
        if let Some(route) = dialog.route() {
            w.header(Name::Route, route);
        }
        w.header(Name::Contact, Text::new(&contact)?);
        w.header(Name::Event, Text::new(package.name)?);
        w.header(Name::Accept, Text::new(package.accept)?);
        w.header(Name::Expires, expires);
        if let Some((name, value)) = &credentials {
            w.header(*name, Text::new(value)?);
        }
        let length = w.no_body().finish().map_err(|_| "the URIs are too long")?;
        out.truncate(length);
        self.socket.send(&out)?;
        self.machine.sent(now, &TIMERS, cseq);
        self.request = Some(Request {
            transaction: NonInviteClient::start(now, &TIMERS, Reliability::Unreliable),
            bytes: out,
            branch,
            which,
            expires,
            answered: credentials.is_some(),
        });
        Ok(())
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Ok(message) = Message::parse(bytes) else {
            return Ok(());
        };
        match (message.request(), message.response()) {
            (Some(line), _) if line.method == Method::Notify => self.notify(bytes, &message),
            // Nothing else is expected, and ACK is never answered.
            (Some(_), _) => Ok(()),
            (None, Some(line)) => self.response(&message, line.status),
            (None, None) => Ok(()),
        }
    }

    fn response(&mut self, message: &Message<'_>, status: Status) -> Result<(), Fault> {
        let now = self.now();
        let Some(request) = &mut self.request else {
            return Ok(());
        };
        let via = message.header(Name::Via).unwrap_or_default();
        if !String::from_utf8_lossy(via).contains(&request.branch)
            || request.transaction.response(now, &TIMERS, status) != ClientAction::Deliver
            || status.class() == StatusClass::Provisional
        {
            return Ok(());
        }
        let (which, expires, answered) = (request.which, request.expires, request.answered);
        self.request = None;
        tell("response", &[("status", &status.code().to_string())]);
        let by = match status.code() {
            401 => Some(Challenger::Server),
            407 => Some(Challenger::Proxy),
            _ => None,
        };
        if let Some(by) = by.filter(|_| !answered)
            && let Some(value) = self.credentials(message, by)
        {
            self.machine.challenged();
            return self.subscribe(which, expires, Some((by.credentials(), value)));
        }
        let config = &self.options.config;
        let step = if status.is_success() {
            self.machine.ok(now, config, message)
        } else if status.code() == 423 {
            let least = message.header(Name::MinExpires).unwrap_or_default();
            let least = String::from_utf8_lossy(least).trim().parse().ok();
            self.machine.interval_too_brief(config, least)
        } else {
            let retry_after = message.header(Name::RetryAfter).unwrap_or_default();
            let retry_after = String::from_utf8_lossy(retry_after).trim().parse().ok();
            let failure = Failure::Status {
                status,
                retry_after,
            };
            self.machine.failed(now, config, failure, random() as u32)
        };
        self.follow(step)
    }

    /// The answer to the challenge of this response, if there is one (RFC 3261 §22).
    fn credentials(&self, message: &Message<'_>, by: Challenger) -> Option<String> {
        let challenges = message.all(by.challenge()).flat_map(Challenges::new);
        let challenge = choose(challenges, Acceptable::PASSWORD)?;
        let uri = self.machine.dialog()?.request_uri()?;
        let answer = Answer {
            username: self.options.user.as_bytes(),
            secret: Secret::Password(self.options.password.as_bytes()),
            method: b"SUBSCRIBE",
            uri: uri.as_bytes(),
            body: &[],
            cnonce: Cnonce(random()),
            nc: 1,
        };
        let mut out = vec![0; 2_048];
        let mut sink = Sink::new(&mut out);
        write_credentials(&mut sink, &challenge, &answer).ok()?;
        String::from_utf8(sink.written()?.to_vec()).ok()
    }

    fn notify(&mut self, bytes: &[u8], message: &Message<'_>) -> Result<(), Fault> {
        if self.notified.0 == bytes {
            self.socket.send(&self.notified.1)?;
            return Ok(());
        }
        let notify = match Notify::read(message) {
            Ok(notify) => notify,
            Err(status) => return self.answer(message, status),
        };
        let (now, config) = (self.now(), self.options.config);
        let verdict = self.machine.receive(now, &config, &notify, random() as u32);
        match verdict {
            Verdict::Accept(step) => {
                self.answer(message, Status::OK)?;
                self.notified.0 = bytes.to_vec();
                let text = |name| String::from_utf8_lossy(message.header(name).unwrap_or_default());
                tell(
                    "notify",
                    &[
                        ("state", &text(Name::SubscriptionState)),
                        ("type", &text(Name::ContentType)),
                        ("body", &String::from_utf8_lossy(message.body())),
                    ],
                );
                self.follow(step)
            }
            Verdict::Refuse(status) => self.answer(message, status),
            Verdict::Forked => self.answer(message, Status::DOES_NOT_EXIST),
            Verdict::Elsewhere => self.answer(message, stray(&notify, &[config.package])),
        }
    }

    fn answer(&mut self, message: &Message<'_>, status: Status) -> Result<(), Fault> {
        let mut out = vec![0; 4_096];
        let mut w = MessageWriter::response(&mut out, status, None);
        for header in message.headers() {
            if let Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq = header.name {
                w.copy(header);
            }
        }
        let Ok(length) = w.no_body().finish() else {
            return Ok(());
        };
        out.truncate(length);
        self.socket.send(&out)?;
        self.notified.1 = out;
        Ok(())
    }

    fn timeouts(&mut self) -> Result<(), Fault> {
        let now = self.now();
        let config = self.options.config;
        if let Some(request) = &mut self.request
            && request.transaction.deadline().is_some_and(|at| at <= now)
        {
            match request.transaction.timeout(now, &TIMERS) {
                ClientAction::Resend => {
                    self.socket.send(&request.bytes)?;
                }
                ClientAction::TimedOut => {
                    self.request = None;
                    let failure = Failure::Timeout;
                    let step = self.machine.failed(now, &config, failure, random() as u32);
                    self.follow(step)?;
                }
                _ => {}
            }
        }
        if self.machine.due_from().is_some_and(|at| at <= now) {
            let step = self.machine.timeout(now, &config, random() as u32);
            self.follow(step)?;
        }
        Ok(())
    }
}

fn tell(event: &str, fields: &[(&str, &str)]) {
    let mut line = format!("{{\"event\":{}", json_string(event));
    for (name, value) in fields {
        line += &format!(",{}:{}", json_string(name), json_string(value));
    }
    let mut out = io::stdout().lock();
    // A reader that has gone misses nothing.
    let _ = writeln!(out, "{line}}}").and_then(|()| out.flush());
}

/// Standard input blocks, so it is read in a thread, which ends with the program; at its end that ends.
fn standard_input() -> Receiver<String> {
    let (sender, commands) = channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let _ = sender.send(line.trim().to_owned());
        }
        let _ = sender.send("quit".into());
    });
    commands
}

fn is_nothing(error: &io::Error) -> bool {
    // An ICMP message to an earlier datagram is the loss of it: Timer F will tell.
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
    )
}

/// The keys of a hasher are random, which is enough for the names of a test's dialogs.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

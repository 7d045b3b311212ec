//! A user of a SIP server, or two users and a server in one program: pager mode messages with
//! delivery reports over real sockets.
//!
//!     cargo run --release --example im
//!     cargo run --release --example im -- --help
//!
//! [`driver`] is the loop that every integrator writes, and the place to begin reading; [`sockets`]
//! and [`stream`] are what it drives; [`session`] is the application above it.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing
)]

mod args;
mod card;
mod clock;
mod demo;
mod driver;
mod happened;
mod record;
mod server;
mod session;
mod settings;
mod sockets;
mod stream;
mod tls;

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use oma_im::config::{Assertion, Config, Credentials, NextHop, Transport};
use oma_im::testkit::ladder::Ladder;
use oma_im::testkit::log::Log;
use oma_im::testkit::pcap::pcap;

use args::{Job, Options};
use clock::Clock;
use happened::Happened;
use record::{Recorder, Sees};
use session::{Command, Plan, Remote, Session, Until};
use sockets::Sockets;
use tls::Trusted;

fn main() -> ExitCode {
    let done = match Job::read(std::env::args().skip(1)) {
        Err(wrong) => {
            eprintln!("im: {wrong}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
        Ok(Job::Help) => {
            print!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(Job::Demo { transports, pcap }) => demo(transports, pcap.as_deref()),
        Ok(Job::User(options)) => user(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("im: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The scene on loopback, with its ladder as it grows.
fn demo(transports: [Transport; 2], file: Option<&Path>) -> Result<bool, String> {
    let recorder = Recorder::new(Log::new(), "alice", Sees::Own);
    let log = recorder.log.clone();
    let hosts = ["alice", "server", "bob"].map(String::from);
    let mut ladder = Ladder::new(&hosts);
    println!("{}", ladder.head());
    let mut drawn = 0;
    let mut draw = || {
        for entry in log.since(drawn) {
            println!("{}", ladder.line(&entry));
            drawn += 1;
        }
    };
    let played = demo::run(transports, Clock::start(), &recorder, &mut draw);
    save(file, &recorder.log)?;
    println!("\n{}", played?);
    Ok(true)
}

/// One user of some server.
fn user(options: &Options) -> Result<bool, String> {
    let clock = Clock::start();
    let recorder = Recorder::new(Log::new(), &options.auth_user, Sees::Both);
    let trusted = match &options.ca {
        None => None,
        Some(file) => {
            let pem =
                std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let trusted = Trusted::from_pem(&pem);
            Some(trusted.map_err(|error| format!("{}: {error}", file.display()))?)
        }
    };
    let hops = [NextHop {
        host: &options.host,
        port: options.port,
        transport: options.transport,
    }];
    let core = match (&options.card, &options.password) {
        (Some(_), _) => Config::ims(&options.im_address, &hops, &options.auth_user),
        (None, password) => Config {
            credentials: match password {
                Some(password) => Credentials::Password {
                    user: &options.auth_user,
                    password,
                },
                None => Credentials::None,
            },
            ..Config::new(&options.im_address, &hops)
        },
    };
    let config = Config {
        instance: options.instance.as_deref(),
        assertion: if options.asserted {
            Assertion::Asserted
        } else {
            Assertion::FromOnly
        },
        product: "oma-im/example",
        watch_registration: options.watch_registration,
        watch_settings: options.watch_settings,
        ..core
    };
    let plan = Plan {
        to: options.to.clone(),
        text: options.text.clone(),
        settings: options.settings,
        reports: options.reports,
        from: options.from,
        card: options.card.clone(),
        until: options.until,
    };
    let system = |error: io::Error| error.to_string();
    let sockets = Sockets::new(clock, options.bind, trusted, recorder.clone()).map_err(system)?;
    let (session, remote) = Session::new(&config, plan, sockets, clock).map_err(system)?;

    stop_on_signal(remote.clone())?;
    if options.until == Until::Told {
        read_commands(remote);
    }
    let json = options.json;
    let done = session
        .run(&mut |happened| tell(happened, json))
        .map_err(system)?;
    save(options.pcap.as_deref(), &recorder.log)?;
    Ok(done)
}

/// Ctrl-C, or the end that a service manager asks for. The second one does not wait.
fn stop_on_signal(remote: Remote) -> Result<(), String> {
    let asked = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
        remote.give(Command::Stop);
    })
    .map_err(|error| error.to_string())
}

/// Standard input blocks, so it is read in a thread, which ends with the program.
fn read_commands(remote: Remote) {
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if let Some(command) = Command::read(&line) {
                remote.give(command);
            }
        }
        remote.give(Command::Finish);
    });
}

fn tell(happened: &Happened, json: bool) {
    let line = if json {
        happened.json()
    } else {
        happened.line()
    };
    let mut out = io::stdout().lock();
    // A reader that has gone misses nothing: the session goes on without it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn save(file: Option<&Path>, log: &Log) -> Result<(), String> {
    match file {
        Some(file) => {
            std::fs::write(file, pcap(log)).map_err(|error| format!("{}: {error}", file.display()))
        }
        None => Ok(()),
    }
}

//! Two phones and a server in memory: every procedure and its interesting failures, as ladders.
//!
//!     cargo run --example two_phones -- [--scenario NAME] [--loss PERCENT] [--seed N]
//!                                       [--pcap FILE] [--mermaid FILE] [--json FILE] [--list]
//!
//! No sockets, no clock: time is virtual, and the same seed gives the same run, byte for byte. It
//! prints the ladder and a summary; `--pcap` writes a capture for Wireshark, `--mermaid` a diagram
//! for documents, `--json` the event log, one object a line. `--list` names the scenarios.
//!
//! Exit status 0: the scenario ended as it must; 1: it did not; 2: the options are wrong or a file
//! cannot be written.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

pub(crate) mod scenarios;
pub(crate) mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use oma_im::testkit::{export, ladder, pcap};

use scenarios::SCENARIOS;
use stage::{Run, Scenario, UnderLoss};

const USAGE: &str = "usage: two_phones [--scenario NAME] [--loss PERCENT] [--seed N]
                  [--pcap FILE] [--mermaid FILE] [--json FILE] [--list]";

/// What is shown if nothing else is asked for.
const DEFAULT: &str = "pager-report-both-ways";

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("two_phones: {message}");
            return ExitCode::from(2);
        }
    };
    if options.list {
        print!("{}", list());
        return ExitCode::SUCCESS;
    }
    let run = Run::play(options.scenario, options.seed, options.loss);
    println!("{}", report(&run));
    if let Err(message) = options.export(&run) {
        eprintln!("two_phones: {message}");
        return ExitCode::from(2);
    }
    if run.verdict.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// The command line.
pub(crate) struct Options {
    pub(crate) scenario: &'static Scenario,
    pub(crate) loss: u8,
    pub(crate) seed: u64,
    pub(crate) pcap: Option<PathBuf>,
    pub(crate) mermaid: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) list: bool,
}

impl Options {
    /// Reads the command line, without the name of the program.
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            scenario: find(DEFAULT)?,
            loss: 0,
            seed: 1,
            pcap: None,
            mermaid: None,
            json: None,
            list: false,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} takes a value\n{USAGE}"));
            match arg.as_str() {
                "--scenario" => options.scenario = find(&value()?)?,
                "--loss" => {
                    let percent = value()?.parse().ok().filter(|percent| *percent <= 100);
                    options.loss = percent.ok_or("--loss takes 0 to 100, in percent")?;
                }
                "--seed" => {
                    let seed = value()?.parse();
                    options.seed = seed.map_err(|_| "--seed takes a number")?;
                }
                "--pcap" => options.pcap = Some(value()?.into()),
                "--mermaid" => options.mermaid = Some(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                "--list" => options.list = true,
                "--help" | "-h" => return Err(USAGE.into()),
                other => return Err(format!("unknown {other}\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// Writes the files that were asked for.
    pub(crate) fn export(&self, run: &Run) -> Result<(), String> {
        let write = |file: &Path, bytes: Vec<u8>| {
            std::fs::write(file, bytes).map_err(|error| format!("{}: {error}", file.display()))
        };
        if let Some(file) = &self.pcap {
            write(file, pcap::pcap(&run.log))?;
        }
        if let Some(file) = &self.mermaid {
            write(file, export::mermaid(&run.log).into_bytes())?;
        }
        if let Some(file) = &self.json {
            write(file, export::json_lines(&run.log).into_bytes())?;
        }
        Ok(())
    }
}

fn find(name: &str) -> Result<&'static Scenario, String> {
    SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .ok_or(format!("no scenario {name}; --list names them"))
}

/// One line for each scenario, its name first.
pub(crate) fn list() -> String {
    let line = |scenario: &Scenario| format!("{:<26} {}\n", scenario.name, scenario.shows);
    SCENARIOS.iter().map(line).collect()
}

/// The ladder and the summary.
pub(crate) fn report(run: &Run) -> String {
    let Run {
        scenario,
        seed,
        loss,
        log,
        millis,
        verdict,
    } = run;
    let packets = log.packets();
    let lost = packets.iter().filter(|packet| packet.is_lost()).count();
    let verdict = match (verdict, scenario.under_loss) {
        (Ok(()), _) => "ended as it must".into(),
        (Err(why), UnderLoss::NotPromised(because)) if *loss > 0 => {
            format!("DID NOT END AS IT MUST: {why}\n  under loss that is not promised: {because}")
        }
        (Err(why), _) => format!("DID NOT END AS IT MUST: {why}"),
    };
    format!(
        "{}\n{}: {}\n  seed {seed}, loss {loss} %, {} packets, {lost} lost, {}.{:03} s of virtual time\n  {verdict}",
        ladder::text(log),
        scenario.name,
        scenario.shows,
        packets.len(),
        millis / 1000,
        millis % 1000,
    )
}

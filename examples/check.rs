//! A linter for messages people capture.
//!
//!     cargo run --example check -- [--proto PROTO] [--json] FILE|DIR…
//!     cargo run --example check -- --manifest FILE.jsonl [--json]
//!
//! PROTO is sip (one datagram), sip-stream, msrp (streams of one or more), sdp, cpim, imdn, xml,
//! resource-lists or conference-info; without it the file's ending decides, else it is sip.
//! A verdict a file: `accept`, `reject`, or `unsupported` for a protocol that is not read yet. It
//! says what a receiver must do on syntax and on the header rules of RFC 3261, not what an
//! application would. An accepted message may carry a remark: what the user agent at the end of
//! the way holds against it (a response with several Via, an unknown scheme in the Request-URI).
//!
//! Exit status 0: all accepted (of a manifest: no miss); 1: not so; 2: nothing was checked.
#![allow(clippy::arithmetic_side_effects)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use oma_im::wire::cpim::Cpim;
use oma_im::wire::error::ParseError;
use oma_im::wire::framer::{Frame, Framer, Limits, TooLarge};
use oma_im::wire::imdn::Imdn;
use oma_im::wire::message::{MAX_HEAD, Message};
use oma_im::wire::xml::Reader;

fn main() -> ExitCode {
    match Options::read(std::env::args().skip(1)).and_then(|options| options.run()) {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Faults) => ExitCode::from(1),
        Err(message) => {
            eprintln!("check: {message}");
            ExitCode::from(2)
        }
    }
}

enum Outcome {
    Clean,
    Faults,
}

#[derive(Default)]
struct Options {
    proto: Option<String>,
    json: bool,
    manifest: Option<PathBuf>,
    paths: Vec<PathBuf>,
}

const PROTOS: [&str; 9] = [
    "sip",
    "sip-stream",
    "msrp",
    "sdp",
    "cpim",
    "imdn",
    "xml",
    "resource-lists",
    "conference-info",
];

const USAGE: &str = "usage: check [--proto PROTO] [--json] FILE|DIR…
       check --manifest FILE.jsonl [--json]";

impl Options {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--json" => options.json = true,
                "--proto" => {
                    let proto = args.next().unwrap_or_default();
                    if !PROTOS.contains(&proto.as_str()) {
                        return Err(format!("--proto takes one of {}", PROTOS.join(", ")));
                    }
                    options.proto = Some(proto);
                }
                "--manifest" => {
                    let file = args.next().ok_or("--manifest takes a file")?;
                    options.manifest = Some(file.into());
                }
                "--help" | "-h" => return Err(USAGE.into()),
                flag if flag.starts_with("--") => return Err(format!("unknown {flag}\n{USAGE}")),
                path => options.paths.push(path.into()),
            }
        }
        if options.manifest.is_some() != options.paths.is_empty() {
            return Err(USAGE.into());
        }
        Ok(options)
    }

    fn run(&self) -> Result<Outcome, String> {
        match &self.manifest {
            Some(manifest) => self.run_manifest(manifest),
            None => self.run_files(),
        }
    }

    fn run_files(&self) -> Result<Outcome, String> {
        let mut files = Vec::new();
        for path in &self.paths {
            collect(path, &mut files)?;
        }
        if files.is_empty() {
            return Err("no file there".into());
        }
        let mut outcome = Outcome::Clean;
        for file in &files {
            let proto = self.proto.as_deref().unwrap_or_else(|| proto_of(file));
            let report = check(proto, &read(file)?);
            if !matches!(report.verdict, Verdict::Accept) {
                outcome = Outcome::Faults;
            }
            let file = file.display().to_string();
            say(&if self.json {
                report.json(&file, proto)
            } else {
                report.line(&file)
            })?;
        }
        Ok(outcome)
    }

    fn run_manifest(&self, manifest: &Path) -> Result<Outcome, String> {
        let mut tally = Tally::default();
        judge_manifest(manifest, |row| {
            tally.count(row);
            if self.json {
                say(&row.report.json(&row.file, &row.proto))
            } else if row.judgement == Judgement::Miss {
                let line = row.report.line(&row.file);
                let Row {
                    id, expect, why, ..
                } = row;
                say(&format!("miss: {id}: must {expect} ({why}): {line}"))
            } else {
                Ok(())
            }
        })?;
        let summary = format!(
            "{} judged, {} missed, {} read only, {} unsupported",
            tally.judged, tally.missed, tally.read_only, tally.unsupported
        );
        if self.json {
            eprintln!("{summary}");
        } else {
            say(&summary)?;
        }
        if tally.judged + tally.read_only + tally.unsupported == 0 {
            return Err("no row there".into());
        }
        Ok(if tally.missed == 0 {
            Outcome::Clean
        } else {
            Outcome::Faults
        })
    }
}

/// One row of a manifest with what was said about its file.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) file: String,
    pub(crate) proto: String,
    pub(crate) expect: String,
    pub(crate) why: String,
    pub(crate) report: Report,
    pub(crate) judgement: Judgement,
}

/// How a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// The verdict is the one of the manifest.
    Hit,
    /// It is not.
    Miss,
    /// Its layer is not ours (what a transaction or an application decides), or both verdicts do.
    ReadOnly,
    /// Its protocol is not read yet.
    Unsupported,
}

/// The rows of a manifest, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) judged: usize,
    pub(crate) missed: usize,
    pub(crate) read_only: usize,
    pub(crate) unsupported: usize,
}

impl Tally {
    pub(crate) fn count(&mut self, row: &Row) {
        match row.judgement {
            Judgement::Hit => self.judged += 1,
            Judgement::Miss => {
                self.judged += 1;
                self.missed += 1;
            }
            Judgement::ReadOnly => self.read_only += 1,
            Judgement::Unsupported => self.unsupported += 1,
        }
    }
}

/// Judges every row of a manifest, in its order; files are looked for beside it.
pub(crate) fn judge_manifest(
    manifest: &Path,
    mut each: impl FnMut(&Row) -> Result<(), String>,
) -> Result<(), String> {
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let text = String::from_utf8(read(manifest)?).map_err(|e| e.to_string())?;
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let row: serde_json::Value =
            serde_json::from_str(line).map_err(|e| format!("line {}: {e}", number + 1))?;
        let field = |name: &str| row.get(name).and_then(serde_json::Value::as_str);
        let must = |name| field(name).ok_or(format!("line {}: no {name}", number + 1));
        let (file, proto, expect) = (must("file")?, must("proto")?, must("expect")?);
        let report = check(proto, &read(&folder.join(file))?);
        let ours = matches!(field("layer"), None | Some("parse" | "message"));
        let judgement = match report.verdict {
            Verdict::Unsupported => Judgement::Unsupported,
            _ if !ours || expect == "either" => Judgement::ReadOnly,
            verdict if verdict.text() == expect => Judgement::Hit,
            _ => Judgement::Miss,
        };
        each(&Row {
            id: field("id").unwrap_or(file).into(),
            file: file.into(),
            proto: proto.into(),
            expect: expect.into(),
            why: field("why").unwrap_or_default().into(),
            report,
            judgement,
        })?;
    }
    Ok(())
}

/// A line on standard output; an error if nobody reads it any more.
fn say(line: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{line}").map_err(|e| e.to_string())
}

/// All files at or below `path`, in order of their names.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let fault = |e: std::io::Error| format!("{}: {e}", path.display());
    if !path.is_dir() {
        files.push(path.into());
        return Ok(());
    }
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path)
        .map_err(fault)?
        .map(|entry| entry.map(|e| e.path()))
        .collect();
    let mut entries = entries.map_err(fault)?;
    entries.sort();
    entries.iter().try_for_each(|entry| collect(entry, files))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))
}

fn proto_of(file: &Path) -> &'static str {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("msrp") => "msrp",
        Some("sdp") => "sdp",
        Some("cpim") => "cpim",
        Some("imdn") => "imdn",
        Some("xml") => "xml",
        _ => "sip",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Reject,
    Unsupported,
}

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Unsupported => "unsupported",
        }
    }
}

/// What is said about one file.
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) error: Option<ParseError>,
    /// The response a user agent server would give.
    pub(crate) status: Option<u16>,
}

impl Report {
    const ACCEPT: Self = Self {
        verdict: Verdict::Accept,
        error: None,
        status: None,
    };

    const fn reject(error: ParseError) -> Self {
        Self {
            verdict: Verdict::Reject,
            error: Some(error),
            status: error.kind.status(),
        }
    }

    fn line(&self, file: &str) -> String {
        let verdict = self.verdict.text();
        let error = self.error.map_or(String::new(), |e| format!(": {e}"));
        let status = self
            .status
            .map_or(String::new(), |s| format!(", answered {s}"));
        format!("{verdict} {file}{error}{status}")
    }

    fn json(&self, file: &str, proto: &str) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let or_null = |value: Option<String>| value.unwrap_or("null".into());
        format!(
            r#"{{"file":{},"proto":{},"verdict":"{}","error":{},"offset":{},"clause":{},"status":{}}}"#,
            text(file),
            text(proto),
            self.verdict.text(),
            or_null(self.error.map(|e| text(e.kind.text()))),
            or_null(self.error.map(|e| e.offset().to_string())),
            or_null(self.error.map(|e| text(e.kind.clause()))),
            or_null(self.status.map(|s| s.to_string())),
        )
    }
}

/// The verdict on one file of a protocol.
pub(crate) fn check(proto: &str, bytes: &[u8]) -> Report {
    match proto {
        "sip" => sip(bytes),
        "sip-stream" => sip_stream(bytes),
        "cpim" => plain(Cpim::parse(bytes).and_then(|cpim| cpim.validate())),
        "imdn" => plain(Imdn::parse(bytes).and_then(|imdn| imdn.validate())),
        "xml" => plain(Reader::new(bytes).and_then(Reader::finish)),
        _ => Report {
            verdict: Verdict::Unsupported,
            error: None,
            status: None,
        },
    }
}

fn plain(result: Result<(), ParseError>) -> Report {
    result.map_or_else(Report::reject, |()| Report::ACCEPT)
}

fn sip(bytes: &[u8]) -> Report {
    let mut report = match Message::parse(bytes) {
        Err(error) => Report::reject(error),
        Ok(message) => match (message.well_formed(), message.validate()) {
            (Err(error), _) => Report::reject(error),
            (Ok(()), Ok(())) => Report::ACCEPT,
            (Ok(()), Err(remark)) => Report {
                verdict: Verdict::Accept,
                ..Report::reject(remark)
            },
        },
    };
    // Nobody answers a response.
    if bytes
        .trim_ascii_start()
        .get(..4)
        .is_some_and(|b| b.eq_ignore_ascii_case(b"SIP/"))
    {
        report.status = None;
    }
    report
}

/// The first fault of a stream; offsets are from its start.
fn sip_stream(bytes: &[u8]) -> Report {
    let mut framer = Framer::new(Limits {
        max_headers: MAX_HEAD,
        max_message: usize::MAX,
    });
    let mut remark = Report::ACCEPT;
    let mut rest = bytes;
    loop {
        let at = bytes.len() - rest.len();
        let len = match framer.next(rest) {
            Frame::NeedMore if rest.is_empty() => return remark,
            Frame::NeedMore => {
                let truncated = oma_im::wire::error::ParseErrorKind::Truncated;
                return Report::reject(ParseError::new(truncated, bytes.len()));
            }
            Frame::KeepAlive { consumed, .. } | Frame::Skip { consumed } => consumed,
            Frame::Message { len } => {
                let mut report = sip(rest.get(..len).unwrap_or(rest));
                report.error = report.error.map(|e| e.at(at));
                match report.verdict {
                    Verdict::Accept if remark.error.is_none() => remark = report,
                    Verdict::Accept => {}
                    _ => return report,
                }
                len
            }
            Frame::TooLarge { what, .. } => {
                use oma_im::wire::error::ParseErrorKind::{BodyTooLong, HeadersTooLong};
                let kind = match what {
                    TooLarge::Headers => HeadersTooLong,
                    TooLarge::Body => BodyTooLong,
                };
                return Report::reject(ParseError::new(kind, at));
            }
            Frame::Broken { error, .. } => return Report::reject(error.at(at)),
        };
        rest = rest.get(len..).unwrap_or_default();
    }
}

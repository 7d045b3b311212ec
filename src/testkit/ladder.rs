//! The ladder: a run as people draw it on a whiteboard, at most [`WIDTH`] columns wide.
//!
//! One lifeline per host, time in milliseconds at the left, one arrow per packet at the time it was *sent*. An arrow
//! that ends in `x` never arrived, `(copy)` is a duplicate made by the network, `(again)` has the same bytes as an earlier
//! packet on the same way: a retransmission. `*` is a note of the host below whose name it stands; `=` is a connection.
//!
//! ```text
//!       ms alice                        server
//!        0 |-- MESSAGE sip:bob@example.com (CSeq 1) -->|
//! ```
//!
//! [`text`] draws a whole [`Log`]; [`Ladder`] draws entry by entry, for a run that is still going on.
//! [`LadderOnFailure`] prints it when a test fails, with the seed that repeats the run.

use std::collections::BTreeSet;
use std::format;
use std::prelude::rust_2024::*;
use std::vec;

use super::log::{ConnectionEvent, Entry, Log, Origin, Packet, What};
use super::sip::Sip;

/// No line is wider than this many characters.
pub const WIDTH: usize = 100;
/// Room for the time at the left.
const TIME: usize = 9;
/// Lifelines need not be farther apart than this.
const WIDEST_GAP: usize = 44;

/// Draws entries one by one.
#[derive(Clone, Debug)]
pub struct Ladder {
    columns: Vec<(String, usize)>,
    seen: BTreeSet<(String, String, Vec<u8>)>,
}

impl Ladder {
    /// A ladder with these hosts as columns, from left to right.
    pub fn new(hosts: &[String]) -> Self {
        let count = hosts.len();
        let half = |name: Option<&String>| name.map_or(0, |name| name.chars().count() / 2).max(1);
        let first = TIME + half(hosts.first());
        let last = WIDTH - 1 - half(hosts.last()).max(2);
        let gap = (last.saturating_sub(first) / count.saturating_sub(1).max(1)).min(WIDEST_GAP);
        let columns = hosts
            .iter()
            .enumerate()
            .map(|(at, name)| (name.clone(), first + at * gap))
            .collect();
        Self {
            columns,
            seen: BTreeSet::new(),
        }
    }

    /// The line with the names.
    pub fn head(&self) -> String {
        let mut row = vec![' '; WIDTH];
        put(&mut row, TIME - 3, "ms");
        let room = self
            .columns
            .get(1)
            .map_or(WIDTH, |second| second.1 - self.columns[0].1 - 1);
        for (name, at) in &self.columns {
            let name = elide(name, room);
            let start = at.saturating_sub(name.chars().count() / 2).max(TIME);
            put(&mut row, start, &name);
        }
        finish(&row)
    }

    /// The line or lines of one entry, without a line end behind the last one.
    pub fn line(&mut self, entry: &Entry) -> String {
        let time = entry.at.as_millis();
        match &entry.what {
            What::Packet(packet) => {
                let way = (
                    packet.from_host.clone(),
                    format!("{}{}", packet.to, packet.transport.as_str()),
                );
                let again = !self.seen.insert((way.0, way.1, packet.bytes.clone()));
                let mark = match packet.origin {
                    Origin::Duplicate => " (copy)",
                    Origin::Sent if again => " (again)",
                    Origin::Sent => "",
                };
                let lost = packet.is_lost();
                let label = |room: usize| {
                    format!(
                        "{}{mark}",
                        summary_within(&packet.bytes, room.saturating_sub(mark.len()))
                    )
                };
                let to = packet.to_host.as_deref();
                self.arrow(
                    time,
                    &packet.from_host,
                    to,
                    if lost { Tip::Cross } else { Tip::Arrow },
                    label,
                )
            }
            What::Connection {
                from_host,
                to_host,
                to,
                event,
                conn,
                transport,
                ..
            } => {
                let text = match event {
                    ConnectionEvent::Opened => "open",
                    ConnectionEvent::Refused => "refused",
                    ConnectionEvent::Failed => "not reached",
                    ConnectionEvent::Closed => "closed",
                    ConnectionEvent::Reset => "reset",
                    ConnectionEvent::Silent => "dead, nobody is told",
                };
                let label = |room| {
                    elide(
                        &format!("{} {} to {to}: {text}", transport.as_str(), conn.0),
                        room,
                    )
                };
                self.arrow(time, from_host, to_host.as_deref(), Tip::Connection, label)
            }
            What::Note { host, text } => self.note(time, host, text),
        }
    }

    fn arrow(
        &self,
        time: u64,
        from: &str,
        to: Option<&str>,
        tip: Tip,
        label: impl Fn(usize) -> String,
    ) -> String {
        let Some(from_at) = self.column(from) else {
            return self.note(time, from, &label(WIDTH / 2));
        };
        // Where nobody is, the arrow points at the neighbour and does not get there.
        let neighbour = if from_at + 1 < self.columns.len() {
            from_at + 1
        } else {
            from_at.saturating_sub(1)
        };
        let to_at = to.and_then(|to| self.column(to)).unwrap_or(neighbour);
        if to_at == from_at {
            return self.note(time, from, &label(WIDTH / 2));
        }
        let mut row = self.row(time);
        let (left, right) = (from_at.min(to_at), from_at.max(to_at));
        let (start, end) = (self.columns[left].1 + 1, self.columns[right].1 - 1);
        let rightward = to_at > from_at;
        row[start..=end].fill(if matches!(tip, Tip::Connection) {
            '='
        } else {
            '-'
        });
        match tip {
            Tip::Connection => {}
            Tip::Arrow if rightward => row[end] = '>',
            Tip::Arrow => row[start] = '<',
            Tip::Cross if rightward => put(&mut row, end - 1, "x "),
            Tip::Cross => put(&mut row, start, " x"),
        }
        let label = format!(" {} ", label((end + 1 - start).saturating_sub(6)));
        let middle = (start + end).div_ceil(2);
        put(
            &mut row,
            middle.saturating_sub(label.chars().count() / 2),
            &label,
        );
        finish(&row)
    }

    fn note(&self, time: u64, host: &str, text: &str) -> String {
        let column = self.column(host).unwrap_or(0);
        let at = self.columns.get(column).map_or(TIME, |column| column.1);
        let next = self.columns.get(column + 1).map_or(WIDTH, |next| next.1);
        // Right of its lifeline if there is room, else left of it.
        let (rightward, room) = match next.saturating_sub(at + 3) {
            room if room >= 16 || column == 0 => (true, room),
            _ => (false, at.saturating_sub(self.columns[column - 1].1 + 3)),
        };
        let mut lines = Vec::new();
        for (nth, piece) in wrap(text, room.max(4)).iter().enumerate() {
            let mut row = if nth == 0 {
                self.row(time)
            } else {
                self.blank()
            };
            if nth == 0 && at < WIDTH {
                row[at] = '*';
            }
            let start = if rightward {
                at + 2
            } else {
                at.saturating_sub(1 + piece.chars().count())
            };
            put(&mut row, start, piece);
            lines.push(finish(&row));
        }
        lines.join("\n")
    }

    fn row(&self, time: u64) -> Vec<char> {
        let mut row = self.blank();
        put(&mut row, 0, &format!("{time:>8}"));
        row
    }

    fn blank(&self) -> Vec<char> {
        let mut row = vec![' '; WIDTH];
        for (_, at) in &self.columns {
            row[*at] = '|';
        }
        row
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(known, _)| known == name)
    }
}

enum Tip {
    Arrow,
    Cross,
    Connection,
}

/// The whole ladder, each line with a line end.
pub fn text(log: &Log) -> String {
    let mut ladder = Ladder::new(&log.hosts());
    let mut out = ladder.head() + "\n";
    for entry in log.entries() {
        out += &ladder.line(&entry);
        out.push('\n');
    }
    out
}

/// One line that says what the bytes are: `MESSAGE sip:bob@example.com (CSeq 1)`, `200 OK (MESSAGE)`, `CRLF CRLF`,
/// `STUN Binding request`, `MSRP SEND`, or how many octets.
pub fn summary(bytes: &[u8]) -> String {
    summary_within(bytes, usize::MAX)
}

/// Prints the ladder and the seed when it is dropped by a panic. Keep it alive for the whole test:
/// `let _guard = net.ladder_on_failure();`
#[derive(Debug)]
pub struct LadderOnFailure {
    log: Log,
    seed: u64,
}

impl LadderOnFailure {
    /// A guard for this log.
    pub fn new(log: Log, seed: u64) -> Self {
        Self { log, seed }
    }

    /// What it would print.
    pub fn report(&self) -> String {
        format!("\n{}seed {}\n", text(&self.log), self.seed)
    }
}

impl Drop for LadderOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::eprintln!("{}", self.report());
        }
    }
}

/// The summary of a packet for outputs that have room.
pub(super) fn packet_summary(packet: &Packet) -> String {
    summary(&packet.bytes)
}

fn summary_within(bytes: &[u8], room: usize) -> String {
    let octets = |bytes: &[u8]| format!("{} octets", bytes.len());
    let line = match bytes {
        b"\r\n\r\n" => "CRLF CRLF".into(),
        b"\r\n" => "CRLF".into(),
        // RFC 5389 §6: message type, and the magic cookie in bytes 4 to 7.
        [0, 1, _, _, 0x21, 0x12, 0xA4, 0x42, ..] => "STUN Binding request".into(),
        [1, 1, _, _, 0x21, 0x12, 0xA4, 0x42, ..] => "STUN Binding response".into(),
        [1, 0x11, _, _, 0x21, 0x12, 0xA4, 0x42, ..] => "STUN Binding error".into(),
        _ => match Sip::parse(bytes) {
            Some(sip) => return sip_summary(&sip, room),
            None => {
                let first = bytes
                    .split(|byte| *byte == b'\r' || *byte == b'\n')
                    .next()
                    .unwrap_or_default();
                let first = String::from_utf8_lossy(first).into_owned();
                match first
                    .strip_prefix("MSRP ")
                    .and_then(|rest| rest.split_once(' '))
                {
                    Some((_, rest)) => format!("MSRP {rest}"),
                    None if first.ends_with(" SIP/2.0") => format!("{first}, {}", octets(bytes)),
                    None => octets(bytes),
                }
            }
        },
    };
    elide(&line, room)
}

fn sip_summary(sip: &Sip, room: usize) -> String {
    let cseq = sip.cseq();
    if let (Some(method), Some(uri)) = (sip.method(), sip.uri()) {
        let number = cseq.map_or_else(|| "?".into(), |(number, _)| format!("{number}"));
        let rest = format!("{method}  (CSeq {number})").chars().count();
        let uri = elide(uri, room.saturating_sub(rest).max(6));
        return elide(&format!("{method} {uri} (CSeq {number})"), room);
    }
    let status = sip.start.strip_prefix("SIP/2.0 ").unwrap_or(&sip.start);
    elide(
        &format!("{status} ({})", cseq.map_or("?", |(_, method)| method)),
        room,
    )
}

/// At most `room` characters, the cut marked.
fn elide(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.into();
    }
    text.chars()
        .take(room.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Cuts at spaces where it can.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let line = lines.last_mut().expect("there is always one");
            let used = line.chars().count();
            let space = usize::from(used > 0);
            if used + space + word.len() <= room {
                line.extend([' '].iter().take(space));
                line.extend(word);
                break;
            }
            if used == 0 {
                line.extend(word.drain(..room));
            }
            lines.push(String::new());
        }
    }
    lines
}

fn put(row: &mut [char], at: usize, text: &str) {
    for (place, c) in row.iter_mut().skip(at).zip(text.chars()) {
        *place = if c.is_control() { ' ' } else { c };
    }
}

fn finish(row: &[char]) -> String {
    row.iter().collect::<String>().trim_end().into()
}

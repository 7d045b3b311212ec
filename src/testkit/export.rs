//! The log in forms that other programs read: Mermaid for documents, JSON lines for scripts. For Wireshark see
//! [`super::pcap`].

use std::format;
use std::prelude::rust_2024::*;

use super::ladder::packet_summary;
use super::log::{ConnectionEvent, Entry, Fate, Log, Lost, Origin, Packet, What};

/// A Mermaid `sequenceDiagram`; lost packets end in a cross.
pub fn mermaid(log: &Log) -> String {
    let hosts = log.hosts();
    let id = |name: &str| {
        hosts
            .iter()
            .position(|known| known == name)
            .map_or("nobody".into(), |at| format!("h{at}"))
    };
    let mut out = String::from("sequenceDiagram\n");
    for (at, name) in hosts.iter().enumerate() {
        out += &format!("    participant h{at} as {}\n", mermaid_text(name));
    }
    for Entry { at, what } in log.entries() {
        let ms = at.as_millis();
        match what {
            What::Packet(packet) => {
                let arrow = if packet.is_lost() { "-x" } else { "->>" };
                let from = id(&packet.from_host);
                let to = packet.to_host.as_deref().map_or_else(|| from.clone(), id);
                let copy = if packet.origin == Origin::Duplicate {
                    " (copy)"
                } else {
                    ""
                };
                let text = mermaid_text(&packet_summary(&packet));
                out += &format!("    {from}{arrow}{to}: {ms} ms {text}{copy}\n");
            }
            What::Connection {
                conn,
                from_host,
                to_host,
                to,
                event,
                ..
            } => {
                let from = id(&from_host);
                let over = to_host.map_or(from.clone(), |to| format!("{from},{}", id(&to)));
                let word = connection_word(event);
                out += &format!(
                    "    Note over {over}: {ms} ms connection {} to {to} {word}\n",
                    conn.0
                );
            }
            What::Note { host, text } => {
                out += &format!(
                    "    Note over {}: {ms} ms {}\n",
                    id(&host),
                    mermaid_text(&text)
                );
            }
        }
    }
    out
}

/// One JSON object a line: `at` (ms) and `kind` (`packet`, `connection`, `note`), then what the kind has. The bytes of a
/// packet are `text` if they are UTF-8, else `hex`.
pub fn json_lines(log: &Log) -> String {
    log.entries()
        .iter()
        .map(|entry| json_line(entry) + "\n")
        .collect()
}

/// One entry as a JSON object, without line end.
pub fn json_line(entry: &Entry) -> String {
    let mut object = Object::new();
    object.number("at", entry.at.as_millis());
    match &entry.what {
        What::Packet(packet) => json_packet(&mut object, packet),
        What::Connection {
            conn,
            transport,
            from,
            to,
            from_host,
            to_host,
            event,
        } => {
            object.text("kind", "connection");
            object.number("conn", conn.0.into());
            object.text("transport", transport.as_str());
            object.text("event", connection_word(*event));
            object.text("from", from_host);
            object.text("to", to_host.as_deref().unwrap_or("?"));
            object.text("from_address", &format!("{from}"));
            object.text("to_address", &format!("{to}"));
        }
        What::Note { host, text } => {
            object.text("kind", "note");
            object.text("host", host);
            object.text("text", text);
        }
    }
    object.finish()
}

fn json_packet(object: &mut Object, packet: &Packet) {
    object.text("kind", "packet");
    object.text("from", &packet.from_host);
    object.text("to", packet.to_host.as_deref().unwrap_or("?"));
    object.text("from_address", &format!("{}", packet.from));
    object.text("to_address", &format!("{}", packet.to));
    object.text("transport", packet.transport.as_str());
    if let Some(conn) = packet.conn {
        object.number("conn", conn.0.into());
    }
    object.text(
        "origin",
        if packet.origin == Origin::Sent {
            "sent"
        } else {
            "duplicate"
        },
    );
    match packet.fate {
        Fate::InFlight => object.text("fate", "in flight"),
        Fate::Delivered(at) => {
            object.text("fate", "delivered");
            object.number("arrived", at.as_millis());
        }
        Fate::Lost(why) => {
            object.text("fate", "lost");
            object.text("why", lost_word(why));
        }
    }
    object.text("summary", &packet_summary(packet));
    match core::str::from_utf8(&packet.bytes) {
        Ok(text) => object.text("text", text),
        Err(_) => object.text(
            "hex",
            &packet
                .bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        ),
    }
}

fn connection_word(event: ConnectionEvent) -> &'static str {
    match event {
        ConnectionEvent::Opened => "opened",
        ConnectionEvent::Refused => "refused",
        ConnectionEvent::Failed => "failed",
        ConnectionEvent::Closed => "closed",
        ConnectionEvent::Reset => "reset",
        ConnectionEvent::Silent => "silent",
    }
}

fn lost_word(why: Lost) -> &'static str {
    match why {
        Lost::Loss => "loss",
        Lost::Script => "script",
        Lost::BlackHole => "black hole",
        Lost::Unreachable => "unreachable",
        Lost::Broken => "broken",
    }
}

/// `#` and `;` mean something to Mermaid.
fn mermaid_text(text: &str) -> String {
    let escape = |c: char| match c {
        '#' => "#35;".into(),
        ';' => "#59;".into(),
        '<' => "#lt;".into(),
        '>' => "#gt;".into(),
        c if c.is_control() => " ".into(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".into())
    }

    fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        self.0 += &format!("{value}");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0 += &json_string(value);
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0 += &json_string(key);
        self.0.push(':');
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A JSON string with its quotes (RFC 8259 §7).
pub fn json_string(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if c.is_control() => out += &format!("\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

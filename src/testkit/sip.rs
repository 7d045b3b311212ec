//! A plain reader and writer of SIP messages for the scripted server and for assertions.
//!
//! It shares no code with the crate's own parser on purpose: what the client writes is judged by somebody else. It keeps
//! strings, allocates freely, and is as lenient as a test double may be.

use std::format;
use std::prelude::rust_2024::*;

/// One SIP message as text and a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sip {
    /// Request line or status line, without line end.
    pub start: String,
    /// Header lines in order: name as written, value without surrounding white space, folds joined.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Long names of the compact forms (RFC 3261 §7.3.3 and the RFCs that registered more).
const COMPACT: [(&str, &str); 15] = [
    ("v", "Via"),
    ("f", "From"),
    ("t", "To"),
    ("i", "Call-ID"),
    ("m", "Contact"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("e", "Content-Encoding"),
    ("k", "Supported"),
    ("s", "Subject"),
    ("o", "Event"),
    ("a", "Accept-Contact"),
    ("r", "Refer-To"),
    ("u", "Allow-Events"),
    ("x", "Session-Expires"),
];

impl Sip {
    /// A request without headers.
    pub fn request(method: &str, uri: &str) -> Self {
        Self {
            start: format!("{method} {uri} SIP/2.0"),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The response to `request`: Via, From, To, Call-ID and CSeq copied (RFC 3261 §8.2.6.2), `to_tag` added if To has none.
    pub fn response(request: &Sip, status: u16, reason: &str, to_tag: &str) -> Self {
        let mut sip = Self {
            start: format!("SIP/2.0 {status} {reason}"),
            headers: Vec::new(),
            body: Vec::new(),
        };
        for (name, value) in &request.headers {
            let long = long_name(name);
            match long {
                "Via" | "From" | "Call-ID" | "CSeq" => sip.push(long, value),
                "To" if status > 100 && param(value, "tag").is_none() => {
                    sip.push(long, &format!("{value};tag={to_tag}"));
                }
                "To" => sip.push(long, value),
                _ => {}
            }
        }
        sip
    }

    /// Reads one message that fills `bytes`; bytes behind Content-Length are dropped, missing ones make it unreadable.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let head_len = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..head_len]).into_owned();
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_string();
        if !start.starts_with("SIP/2.0 ") && !start.ends_with(" SIP/2.0") {
            return None;
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut()?;
                value.push(' ');
                value.push_str(line.trim());
            } else {
                let (name, value) = line.split_once(':')?;
                headers.push((name.trim().into(), value.trim().into()));
            }
        }
        let mut sip = Self {
            start,
            headers,
            body: bytes[head_len + 4..].to_vec(),
        };
        if let Some(length) = sip.header("Content-Length") {
            let length: usize = length.parse().ok()?;
            if sip.body.len() < length {
                return None;
            }
            sip.body.truncate(length);
        }
        Some(sip)
    }

    /// The method, of a request.
    pub fn method(&self) -> Option<&str> {
        (!self.start.starts_with("SIP/2.0 "))
            .then(|| self.start.split(' ').next())
            .flatten()
    }

    /// The Request-URI, of a request.
    pub fn uri(&self) -> Option<&str> {
        self.method()?;
        self.start.split(' ').nth(1)
    }

    /// The status code, of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The first header of this (long) name, whatever form it was written in.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.lines(name).next()
    }

    /// All elements of this header, comma lists and repeated headers alike.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.lines(name).flat_map(split_list).collect()
    }

    /// Whether a header that lists tokens (Supported, Require, Privacy…) has this one.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let tokens = self.lines(name).flat_map(|line| line.split([',', ';']));
        tokens
            .into_iter()
            .any(|element| element.trim().eq_ignore_ascii_case(token))
    }

    /// Adds a header line at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }

    /// Adds a header line in front of all others.
    pub fn push_front(&mut self, name: &str, value: &str) {
        self.headers.insert(0, (name.into(), value.into()));
    }

    /// Removes all headers of this name.
    pub fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(known, _)| !long_name(known).eq_ignore_ascii_case(name));
    }

    /// Replaces all headers of this name by one, at the end.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes the topmost element of a header that is a list (Via, Route) and gives it.
    pub fn pop(&mut self, name: &str) -> Option<String> {
        let at = self
            .headers
            .iter()
            .position(|(known, _)| long_name(known).eq_ignore_ascii_case(name))?;
        let mut elements = split_list(&self.headers[at].1);
        let first = (!elements.is_empty()).then(|| elements.remove(0));
        if elements.is_empty() {
            self.headers.remove(at);
        } else {
            self.headers[at].1 = elements.join(", ");
        }
        first
    }

    /// Number and method of CSeq.
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once([' ', '\t'])?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The bytes, with Content-Length computed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            if long_name(name) != "Content-Length" {
                out += &format!("{name}: {value}\r\n");
            }
        }
        out += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn lines(&self, name: &str) -> impl Iterator<Item = &str> {
        let wanted = move |known: &str| long_name(known).eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(move |(known, _)| wanted(known))
            .map(|(_, value)| value.as_str())
    }
}

/// What the front of a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// One message of this many bytes.
    Message(usize),
    /// A keep-alive ping: CRLF CRLF (RFC 5626 §3.5.1).
    Ping,
    /// A single CRLF followed by something else: a pong, or an empty line in front of a message.
    Crlf,
    /// Not all there yet.
    Incomplete,
}

/// Looks for one message or keep-alive at the front of `bytes`.
pub fn piece(bytes: &[u8]) -> Piece {
    match bytes {
        [b'\r', b'\n', b'\r', b'\n', ..] => return Piece::Ping,
        b"\r" | b"\r\n" | b"\r\n\r" => return Piece::Incomplete,
        [b'\r', b'\n', ..] => return Piece::Crlf,
        _ => {}
    }
    let Some(head_len) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Piece::Incomplete;
    };
    let head = String::from_utf8_lossy(&bytes[..head_len]).into_owned();
    let length = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| {
            (long_name(name.trim()) == "Content-Length")
                .then(|| value.trim().parse::<usize>().ok())
                .flatten()
        });
    let total = head_len + 4 + length.unwrap_or(0);
    if bytes.len() < total {
        Piece::Incomplete
    } else {
        Piece::Message(total)
    }
}

/// The long form of a header name, as this module writes it; other names as they are.
pub fn long_name(name: &str) -> &str {
    const KNOWN: [&str; 7] = [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Content-Length",
        "Contact",
    ];
    if let Some((_, long)) = COMPACT
        .iter()
        .find(|(compact, _)| compact.eq_ignore_ascii_case(name))
    {
        return long;
    }
    KNOWN
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(name))
        .unwrap_or(name)
}

/// The elements of a comma list; commas in quotes and angle brackets do not count.
pub fn split_list(value: &str) -> Vec<String> {
    split_outside(value, ',')
        .into_iter()
        .filter(|element| !element.is_empty())
        .collect()
}

/// The URI of a name-addr or addr-spec.
pub fn uri_of(value: &str) -> &str {
    let unquoted = value
        .rfind("\"")
        .map_or(0, |at| if value.starts_with('"') { at + 1 } else { 0 });
    match value[unquoted..].split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => value.split(';').next().unwrap_or(value).trim(),
    }
}

/// The header parameters behind a name-addr, addr-spec or Via value: name, and value with its quotes removed.
pub fn params(value: &str) -> Vec<(String, Option<String>)> {
    let elements = raw_params(value).into_iter();
    let pair = |element: String| match element.split_once('=') {
        Some((name, value)) => (
            name.trim().to_lowercase(),
            Some(value.trim().trim_matches('"').into()),
        ),
        None => (element.to_lowercase(), None),
    };
    elements.map(pair).collect()
}

/// The header parameters as they are written.
pub fn raw_params(value: &str) -> Vec<String> {
    split_outside(value, ';').split_off(1)
}

/// One header parameter; `Some("")` if it has no value.
pub fn param(value: &str, name: &str) -> Option<String> {
    let found = params(value).into_iter().find(|(known, _)| known == name)?;
    Some(found.1.unwrap_or_default())
}

/// Splits at `separator` outside of quotes and angle brackets; the pieces are trimmed.
fn split_outside(value: &str, separator: char) -> Vec<String> {
    let (mut pieces, mut piece) = (Vec::new(), String::new());
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for c in value.chars() {
        let apart = c == separator && !quoted && !angle;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if !angle => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            _ => {}
        }
        if apart {
            pieces.push(core::mem::take(&mut piece).trim().into());
        } else {
            piece.push(c);
        }
    }
    pieces.push(piece.trim().into());
    pieces
}

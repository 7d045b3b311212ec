//! A kept request, built again for every attempt.
//!
//! A request is kept as three runs of bytes: the request line, the fields that identify the dialog
//! (From, To, Call-ID), and everything from there on that no hop changes. Before and between them
//! go the fields of the attempt: Via, Max-Forwards and Route; CSeq and credentials. So a retry
//! (401, another flow, another transport, a new address) is written from the last one without
//! parsing it, and never carries anything stale.

use core::net::SocketAddr;

use crate::config::Transport;
use crate::wire::sink::{Sink, TooSmall};

/// Where the runs of a kept request lie, as ends: line, start and end of the identifying fields,
/// start of the rest, start of the body. In bytes from the start of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cuts {
    line: u16,
    ident: (u16, u16),
    rest: u16,
    body: u16,
}

impl Cuts {
    pub(crate) const NONE: Self = Self { line: 0, ident: (0, 0), rest: 0, body: 0 };
}

/// What one attempt adds to a kept request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) transport: Transport,
    pub(crate) sent_by: SocketAddr,
    /// `keep` is offered (RFC 6223 §4.3).
    pub(crate) keep: KeepOffer,
    pub(crate) key: u32,
    pub(crate) branch: u64,
    /// Route values, comma separated; empty: no Route.
    pub(crate) route: &'a [u8],
    pub(crate) cseq: u32,
    pub(crate) method: &'a [u8],
}

/// Whether Via offers keep-alives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepOffer {
    Yes,
    No,
}

/// Writes a draft: `line` is the Request-URI, `ident` the identifying fields, `rest` everything
/// else up to the body, which `body` puts. Every field ends in CR LF.
pub(crate) fn draft(
    out: &mut [u8],
    method: &[u8],
    uri: &[u8],
    ident: impl FnOnce(&mut Sink<'_>),
    rest: impl FnOnce(&mut Sink<'_>),
    body: impl FnOnce(&mut Sink<'_>),
) -> Result<(usize, Cuts), TooSmall> {
    let mut sink = Sink::new(out);
    sink.put(method);
    sink.put(b" ");
    sink.put(uri);
    sink.put(b" SIP/2.0\r\n");
    let line = sink.len();
    ident(&mut sink);
    let ident_end = sink.len();
    rest(&mut sink);
    let mut body_at = 0;
    sink.put(b"Content-Length: ");
    let head = sink.len();
    sink.put_counted(b"\r\n\r\n", |sink| {
        body_at = sink.len();
        body(sink);
    });
    // put_counted assumed one digit: the body moved by the others.
    let digits = sink.len().checked_sub(body_at).map_or(0, |_| digits_before(&sink, head));
    let len = sink.finish()?;
    let cut = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let cuts = Cuts {
        line: cut(line),
        ident: (cut(line), cut(ident_end)),
        rest: cut(ident_end),
        body: cut(head.saturating_add(digits).saturating_add(4)),
    };
    Ok((len, cuts))
}

fn digits_before(sink: &Sink<'_>, head: usize) -> usize {
    let bytes = sink.written().and_then(|b| b.get(head..)).unwrap_or_default();
    bytes.iter().take_while(|c| c.is_ascii_digit()).count()
}

/// Writes the request of one attempt from the kept one.
pub(crate) fn attempt(
    kept: &[u8],
    cuts: Cuts,
    hop: &Hop<'_>,
    credentials: impl FnOnce(&mut Sink<'_>),
    out: &mut [u8],
) -> Result<(usize, Cuts), TooSmall> {
    let run = |from: u16, to: u16| {
        kept.get(usize::from(from)..usize::from(to)).unwrap_or_default()
    };
    let tail = |from: u16| kept.get(usize::from(from)..).unwrap_or_default();
    let mut sink = Sink::new(out);
    sink.put(run(0, cuts.line));
    put_hop(&mut sink, hop);
    let ident = sink.len();
    sink.put(run(cuts.ident.0, cuts.ident.1));
    let ident_end = sink.len();
    put_cseq(&mut sink, hop);
    credentials(&mut sink);
    let rest = sink.len();
    sink.put(tail(cuts.rest));
    let body = rest.saturating_add(usize::from(cuts.body.saturating_sub(cuts.rest)));
    let len = sink.finish()?;
    let cut = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let cuts = Cuts {
        line: cuts.line,
        ident: (cut(ident), cut(ident_end)),
        rest: cut(rest),
        body: cut(body),
    };
    Ok((len, cuts))
}

/// The body of a kept request.
pub(crate) fn body(kept: &[u8], cuts: Cuts) -> &[u8] {
    kept.get(usize::from(cuts.body)..).unwrap_or_default()
}

/// The Request-URI of a kept request.
pub(crate) fn request_uri(kept: &[u8]) -> &[u8] {
    kept.split(|c| *c == b' ').nth(1).unwrap_or_default()
}

fn put_hop(sink: &mut Sink<'_>, hop: &Hop<'_>) {
    sink.put(b"Via: SIP/2.0/");
    sink.put(hop.transport.via().as_bytes());
    sink.put(b" ");
    put_socket(sink, hop.sent_by);
    sink.put(b";branch=");
    put_branch(sink, hop.key, hop.branch);
    if hop.transport == Transport::Udp {
        // RFC 3581 §3: the client wants its answer where the request came from.
        sink.put(b";rport");
    }
    if hop.keep == KeepOffer::Yes {
        sink.put(b";keep");
    }
    sink.put(b"\r\nMax-Forwards: 70\r\n");
    if !hop.route.is_empty() {
        sink.put(b"Route: ");
        sink.put(hop.route);
        sink.put(b"\r\n");
    }
}

fn put_cseq(sink: &mut Sink<'_>, hop: &Hop<'_>) {
    sink.put(b"CSeq: ");
    sink.put_u32(hop.cseq);
    sink.put(b" ");
    sink.put(hop.method);
    sink.put(b"\r\n");
}

/// Address and port as sent-by and as the host of a Contact.
pub(crate) fn put_socket(sink: &mut Sink<'_>, address: SocketAddr) {
    sink.put_host(address.ip());
    sink.put(b":");
    sink.put_u32(u32::from(address.port()));
}

/// Our branches: the magic cookie, the key of the client, 64 random bits.
pub(crate) fn put_branch(sink: &mut Sink<'_>, key: u32, branch: u64) {
    sink.put(b"z9hG4bK");
    sink.put_hex(&key.to_be_bytes());
    sink.put_hex(&branch.to_be_bytes());
}

/// Reads a branch of ours.
pub(crate) fn parse_branch(branch: &[u8]) -> Option<(u32, u64)> {
    let digits = branch.strip_prefix(b"z9hG4bK")?;
    if digits.len() != 24 {
        return None;
    }
    let (key, branch) = digits.split_at_checked(8)?;
    Some((u32::try_from(hex(key)?).ok()?, hex(branch)?))
}

/// Reads up to 16 hexadecimal digits.
pub(crate) fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = crate::wire::scan::hex_value(*digit)?;
        Some((value << 4) | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOP: Hop<'_> = Hop {
        transport: Transport::Tcp,
        sent_by: SocketAddr::new(
            core::net::IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 10)),
            5060,
        ),
        keep: KeepOffer::No,
        key: 1,
        branch: 2,
        route: b"",
        cseq: 1,
        method: b"MESSAGE",
    };

    #[test]
    fn a_retry_carries_nothing_of_the_attempt_before() {
        let mut kept = [0; 512];
        let (len, cuts) = draft(
            &mut kept,
            b"MESSAGE",
            b"sip:bob@example.com",
            |s| s.put(b"From: <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c\r\n"),
            |s| s.put(b"User-Agent: u\r\nContent-Type: text/plain\r\n"),
            |s| s.put(b"Hello, Bob"),
        )
        .unwrap();
        let kept = &kept[..len];
        assert_eq!(body(kept, cuts), b"Hello, Bob");
        assert_eq!(request_uri(kept), b"sip:bob@example.com");

        let mut first = [0; 512];
        let (n, cuts) =
            attempt(kept, cuts, &HOP, |s| s.put(b"Authorization: one\r\n"), &mut first).unwrap();
        let first = &first[..n];
        assert_eq!(body(first, cuts), b"Hello, Bob");

        let hop = Hop { cseq: 2, branch: 3, transport: Transport::Udp, route: b"<sip:p;lr>", ..HOP };
        let mut second = [0; 512];
        let (n, cuts) = attempt(first, cuts, &hop, |_| (), &mut second).unwrap();
        assert_eq!(body(&second[..n], cuts), b"Hello, Bob");
        assert_eq!(
            core::str::from_utf8(&second[..n]).unwrap(),
            "MESSAGE sip:bob@example.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK000000010000000000000003;rport\r\n\
             Max-Forwards: 70\r\n\
             Route: <sip:p;lr>\r\n\
             From: <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c\r\n\
             CSeq: 2 MESSAGE\r\n\
             User-Agent: u\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nHello, Bob"
        );
    }

    #[test]
    fn branches_are_read_back() {
        let mut out = [0; 64];
        let mut sink = Sink::new(&mut out);
        put_branch(&mut sink, 0xdead_beef, u64::MAX - 1);
        let branch = sink.written().unwrap();
        assert_eq!(parse_branch(branch), Some((0xdead_beef, u64::MAX - 1)));
        assert_eq!(parse_branch(b"z9hG4bK1"), None);
    }
}

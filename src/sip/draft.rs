//! A kept request, built again for every attempt.
//!
//! A request is kept as three runs of bytes: the request line, the fields that identify the dialog
//! (From, To, Call-ID), and everything from there on that no hop changes. Before and between them
//! go the fields of the attempt: Via, Max-Forwards and Route; CSeq and credentials. So a retry
//! (401, another flow, another transport, a new address) is written from the last one without
//! parsing it, and never carries anything stale.

use core::net::SocketAddr;

use crate::config::Transport;
use crate::wire::name::Method;
use crate::wire::scan::hex_value;
use crate::wire::sink::{Sink, TooSmall};
use crate::wire::writer::{Branch, CSeq, Param, Raw, SentBy, Token, Value, Via};

/// Where the runs of a kept request lie, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cuts {
    /// End of the request line.
    line: u16,
    /// The identifying fields.
    ident: (u16, u16),
    /// Start of the rest.
    rest: u16,
    /// Start of the body.
    body: u16,
}

impl Cuts {
    pub(crate) const NONE: Self = Self {
        line: 0,
        ident: (0, 0),
        rest: 0,
        body: 0,
    };

    /// Those of a draft: a request of request line, identifying fields up to `ident`, and the rest.
    pub(crate) fn of_draft(line: usize, ident: usize, body: usize) -> Self {
        Self {
            line: cut(line),
            ident: (cut(line), cut(ident)),
            rest: cut(ident),
            body: cut(body),
        }
    }
}

/// What one attempt adds to a kept request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) transport: Transport,
    pub(crate) sent_by: SocketAddr,
    pub(crate) keep: KeepOffer,
    pub(crate) key: u32,
    pub(crate) branch: u64,
    pub(crate) answers: Answers,
    /// The first Route, in front of `route`.
    pub(crate) edge: Option<Edge<'a>>,
    /// Route values, comma separated; empty: no Route.
    pub(crate) route: &'a [u8],
    pub(crate) cseq: u32,
    pub(crate) method: Method<'a>,
}

/// Where answers are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Where the request came from, if the transport is no stream (RFC 3581 §3).
    Back,
    /// At the port in Via, which is another one (TS 24.229 §5.1.1.2.2).
    AtVia,
}

/// A P-CSCF at its protected port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge<'a> {
    pub(crate) host: &'a [u8],
    pub(crate) port: u16,
}

/// Whether Via offers keep-alives (RFC 6223 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepOffer {
    Yes,
    No,
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
        kept.get(usize::from(from)..usize::from(to))
            .unwrap_or_default()
    };
    let mut sink = Sink::new(out);
    sink.put(run(0, cuts.line));
    put_hop(&mut sink, hop);
    let ident = sink.len();
    sink.put(run(cuts.ident.0, cuts.ident.1));
    let ident_end = sink.len();
    sink.put(b"CSeq: ");
    CSeq {
        number: hop.cseq,
        method: hop.method,
    }
    .write(&mut sink);
    sink.put(b"\r\n");
    credentials(&mut sink);
    let rest = sink.len();
    sink.put(kept.get(usize::from(cuts.rest)..).unwrap_or_default());
    let body = rest.saturating_add(usize::from(cuts.body.saturating_sub(cuts.rest)));
    let len = sink.finish()?;
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

/// Reads a branch of ours: the key of the client and the random bits.
pub(crate) fn parse_branch(branch: &[u8]) -> Option<(u32, u64)> {
    let digits = branch.strip_prefix(b"z9hG4bK")?;
    let (key, branch) = digits.split_at_checked(8)?;
    if branch.len() != 16 {
        return None;
    }
    Some((u32::try_from(hex(key)?).ok()?, hex(branch)?))
}

/// Reads up to 16 hexadecimal digits.
pub(crate) fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        Some((value << 4) | u64::from(hex_value(*digit)?))
    })
}

fn put_hop(sink: &mut Sink<'_>, hop: &Hop<'_>) {
    // RFC 3581 §3: on a datagram the answer is wanted where the request came from. With REGISTER
    // the port is wanted on a stream as well: it shows whether a NAT is on the way.
    let datagram = hop.transport == Transport::Udp || hop.method == Method::Register;
    let rport = datagram && hop.answers == Answers::Back;
    let params = match (rport, hop.keep) {
        (true, KeepOffer::Yes) => &[Param::RPORT, Param::KEEP][..],
        (true, KeepOffer::No) => &[Param::RPORT],
        (false, KeepOffer::Yes) => &[Param::KEEP],
        (false, KeepOffer::No) => &[],
    };
    sink.put(b"Via: ");
    Via {
        transport: match hop.transport {
            Transport::Udp => const { Token::fixed(Transport::Udp.via()) },
            Transport::Tcp => const { Token::fixed(Transport::Tcp.via()) },
            Transport::Tls => const { Token::fixed(Transport::Tls.via()) },
        },
        sent_by: SentBy::from(hop.sent_by),
        branch: Branch::Keyed(hop.key, hop.branch),
        params,
    }
    .write(sink);
    sink.put(b"\r\nMax-Forwards: 70\r\n");
    if hop.edge.is_none() && hop.route.is_empty() {
        return;
    }
    sink.put(b"Route: ");
    if let Some(Edge { host, port }) = hop.edge {
        sink.put(b"<sip:");
        sink.put(host);
        sink.put(b":");
        sink.put_u32(u32::from(port));
        sink.put(b";lr>");
        if !hop.route.is_empty() {
            sink.put(b", ");
        }
    }
    Raw(hop.route).write(sink);
    sink.put(b"\r\n");
}

/// A position in a message, which is shorter than 64 KiB.
fn cut(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};

    const HOP: Hop<'_> = Hop {
        transport: Transport::Tcp,
        sent_by: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 5060),
        keep: KeepOffer::No,
        key: 1,
        branch: 2,
        answers: Answers::Back,
        edge: None,
        route: b"",
        cseq: 1,
        method: Method::Message,
    };

    #[test]
    fn a_retry_carries_nothing_of_the_attempt_before() {
        let line = "MESSAGE sip:bob@example.com SIP/2.0\r\n";
        let ident =
            "From: <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c\r\n";
        let rest = "User-Agent: u\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n";
        let kept = std::format!("{line}{ident}{rest}Hello, Bob");
        let cuts = Cuts::of_draft(line.len(), line.len() + ident.len(), kept.len() - 10);
        assert_eq!(body(kept.as_bytes(), cuts), b"Hello, Bob");
        assert_eq!(request_uri(kept.as_bytes()), b"sip:bob@example.com");

        let mut first = [0; 512];
        let credentials = |s: &mut Sink<'_>| s.put(b"Authorization: one\r\n");
        let (n, cuts) = attempt(kept.as_bytes(), cuts, &HOP, credentials, &mut first).unwrap();
        assert_eq!(body(&first[..n], cuts), b"Hello, Bob");

        let udp = Hop {
            cseq: 2,
            branch: 3,
            transport: Transport::Udp,
            route: b"<sip:p;lr>",
            ..HOP
        };
        let mut second = [0; 512];
        let (n, cuts) = attempt(&first[..n], cuts, &udp, |_| (), &mut second).unwrap();
        assert_eq!(body(&second[..n], cuts), b"Hello, Bob");
        let hop = "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK000000010000000000000003;rport\r\n\
                   Max-Forwards: 70\r\nRoute: <sip:p;lr>\r\n";
        let expected = std::format!("{line}{hop}{ident}CSeq: 2 MESSAGE\r\n{rest}Hello, Bob");
        assert_eq!(std::str::from_utf8(&second[..n]).unwrap(), expected);
    }

    #[test]
    fn branches_are_read_back() {
        assert_eq!(
            parse_branch(b"z9hG4bKdeadbeeffffffffffffffffe"),
            Some((0xdead_beef, u64::MAX - 1))
        );
        for other in [
            &b"z9hG4bK1"[..],
            b"z9hG4bKdeadbeefffffffffffffffff0",
            b"deadbeef",
            b"",
        ] {
            assert_eq!(parse_branch(other), None);
        }
    }
}

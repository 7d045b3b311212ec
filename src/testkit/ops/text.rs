//! What servers and peers say, as bytes.

use std::format;
use std::prelude::rust_2024::*;

use super::{
    Body, By, Challenge, Code, Contact, Demand, Extra, InHeader, Mangle, Request, Response,
};
use crate::testkit::sip::{Sip, param};
use crate::wire::cpim::Notifications;

/// The hosts and users that requests are to and from.
const PEERS: [&str; 4] = [
    "sip:bob@example.com",
    "sip:bob@example.com;gr=urn:uuid:1",
    "sips:carol@example.net",
    "tel:+15551230002",
];

/// A target of a message.
pub(super) fn target(n: u8) -> &'static str {
    match n % 16 {
        0..8 => "sip:bob@example.com",
        8..11 => "sip:group@example.com",
        11 => "sip:bob@EXAMPLE.com",
        12 => "tel:+15551230003",
        13 => "sips:carol@example.net",
        14 => "sip:bob@example.com?subject=x",
        _ => "not a uri",
    }
}

/// The response of a grammar to a request of the client's.
pub(super) fn response(request: &Sip, how: &Response) -> Vec<u8> {
    const USUAL: [u16; 32] = [
        100, 180, 199, 202, 204, 299, 302, 305, 380, 400, 401, 403, 404, 407, 408, 412, 415, 420,
        421, 423, 433, 480, 481, 488, 489, 494, 500, 502, 503, 504, 600, 603,
    ];
    let status = match how.status {
        Code::Ok => 200,
        Code::Usual(n) => USUAL[usize::from(n) % USUAL.len()],
        Code::Any(n) => 100 + n % 600,
    };
    let mut sip = Sip::response(request, status, "Reason", "servertag");
    contact(&mut sip, request, how.contact);
    for extra in &how.extras {
        put_extra(&mut sip, request, extra);
    }
    mangled(sip.to_bytes(), &how.mangle)
}

/// What a good server answers: success, with the binding that was asked for.
pub(super) fn success(request: &Sip, extras: &[Extra]) -> Vec<u8> {
    let group = request.uri().is_some_and(|uri| uri.contains("group"));
    let status = if group { 202 } else { 200 };
    let mut sip = Sip::response(request, status, "OK", "servertag");
    if request.method() == Some("SUBSCRIBE") {
        sip.push("Contact", "<sip:notifier@proxy.example.com>");
        sip.push("Expires", request.header("Expires").unwrap_or("60"));
    } else {
        for value in request.all("Contact") {
            sip.push("Contact", &value);
        }
    }
    if request.method() == Some("REGISTER") {
        sip.push("Service-Route", "<sip:orig@proxy.example.com;lr>");
        sip.push(
            "P-Associated-URI",
            "<sip:alice@example.com>, <tel:+15551230001>",
        );
        if request.lists("Supported", "outbound") {
            sip.push("Require", "outbound");
        }
    }
    if request.method() == Some("PUBLISH") {
        sip.push("SIP-ETag", "tag");
    }
    for extra in extras {
        put_extra(&mut sip, request, extra);
    }
    sip.to_bytes()
}

/// The challenge of a server, or success where credentials are there.
pub(super) fn guarded(request: &Sip, challenge: Challenge) -> Vec<u8> {
    let (name, status) = match challenge.by {
        By::Server => ("Authorization", 401),
        By::Proxy => ("Proxy-Authorization", 407),
    };
    if request.header(name).is_some() {
        return success(request, &[]);
    }
    let mut sip = Sip::response(request, status, "Who are you", "servertag");
    put_extra(&mut sip, request, &Extra::Challenge(challenge));
    sip.to_bytes()
}

/// The challenge of an IMS core; `n` is new each time and numbers what the P-CSCF gives out.
pub(super) fn demanded(request: &Sip, how: &Demand, n: u32) -> Vec<u8> {
    const ALGORITHMS: [&str; 8] = [
        "AKAv1-MD5",
        "AKAv1-MD5",
        "AKAv1-MD5",
        "AKAv1-MD5",
        "AKAv2-MD5",
        "AKAv2-MD5",
        "AKAv1-MD5",
        "MD5",
    ];
    const QOPS: [&str; 8] = [
        "",
        "",
        ", qop=\"auth\"",
        ", qop=\"auth,auth-int\"",
        "",
        ", qop=\"auth-int\"",
        ", qop=\"auth\"",
        ", qop=\"x\"",
    ];
    let mut sip = Sip::response(request, 401, "Who are you", "servertag");
    let realm = if how.realm % 16 == 15 {
        "other"
    } else {
        "example.com"
    };
    // 32 octets in Base64.
    let nonce = if how.nonce % 16 == 15 {
        "AAAA".to_string()
    } else {
        format!("{n:0>6}{}=", "A".repeat(37))
    };
    sip.push(
        "WWW-Authenticate",
        &format!(
            "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={}{}",
            ALGORITHMS[usize::from(how.algorithm) % 8],
            QOPS[usize::from(how.qop) % 8],
        ),
    );
    put_agreement(&mut sip, how.list, n);
    mangled(sip.to_bytes(), &how.mangle)
}

/// What a P-CSCF takes of an offer.
fn put_agreement(sip: &mut Sip, kind: u8, n: u32) {
    let spi = 100_000 + 2 * n;
    let numbers = format!(
        "spi-c={spi};spi-s={};port-c={};port-s=7531",
        spi + 1,
        8_000 + n % 1_000
    );
    let suite = "alg=hmac-sha-1-96;ealg=aes-cbc";
    let good = format!("ipsec-3gpp;q=0.5;{suite};{numbers}");
    let value = match kind % 24 {
        0..16 => good,
        16 => format!("ipsec-3gpp;q=0.1;alg=hmac-md5-96;ealg=null;{numbers}, {good}"),
        17 => format!("ipsec-3gpp;alg=hmac-sha-1-96;ealg=null;{numbers}"),
        18 => "digest;d-alg=md5;d-qop=auth".to_string(),
        19 => return,
        20 => format!("ipsec-3gpp;{suite};spi-c={spi};port-c=8000;port-s=7531"),
        21 => format!("{good}, {}", "tls;q=0.001, ".repeat(60)),
        22 => {
            sip.push("Security-Server", "tls;q=0.1");
            good
        }
        _ => format!("ipsec-3gpp;alg=hmac-md5-96;ealg=des-ede3-cbc;{numbers}"),
    };
    sip.push("Security-Server", &value);
}

/// TS 24.229 §5.1.2A.1.6: the core has forgotten the user.
pub(super) fn restoring(request: &Sip) -> Vec<u8> {
    let mut sip = Sip::response(request, 504, "Server Time-out", "servertag");
    sip.push("P-Asserted-Identity", "<sip:orig@proxy.example.com;lr>");
    sip.push("Content-Type", "application/3gpp-ims+xml");
    sip.body = b"<ims-3gpp version=\"1\"><alternative-service><type>restoration</type><reason/>\
        <action>initial-registration</action></alternative-service></ims-3gpp>"
        .to_vec();
    sip.to_bytes()
}

fn contact(sip: &mut Sip, request: &Sip, how: Contact) {
    let ours = request
        .all("Contact")
        .first()
        .map(|value| value.split(";expires").next().unwrap_or("").to_string());
    let ours = ours.as_deref().unwrap_or("<sip:x@192.0.2.1>");
    match how {
        Contact::Ours(seconds) => sip.push("Contact", &format!("{ours};expires={seconds}")),
        Contact::OursForLong => {
            sip.push("Contact", "<sip:other@192.0.2.77>;expires=60");
            sip.push("Contact", &format!("{ours};expires=600000"));
        }
        Contact::None => {}
        Contact::Other => sip.push("Contact", "<sip:other@192.0.2.77>;expires=60"),
        Contact::Broken => sip.push("Contact", "<sip:other@192.0.2.77;expires=60"),
    }
}

fn put_extra(sip: &mut Sip, request: &Sip, extra: &Extra) {
    match *extra {
        Extra::Challenge(challenge) => {
            let name = match challenge.by {
                By::Server => "WWW-Authenticate",
                By::Proxy => "Proxy-Authenticate",
            };
            sip.push(name, &challenge_text(challenge));
        }
        Extra::NextNonce(n) => {
            sip.push("Authentication-Info", &format!("nextnonce=\"n{}\"", n % 4));
        }
        Extra::ServiceRoute => sip.push("Service-Route", "<sip:a.example.com;lr>,<sip:b;lr>"),
        Extra::Associated => sip.push("P-Associated-URI", "<sip:alice@example.com>, <tel:+1>"),
        Extra::MinExpires(seconds) => sip.push("Min-Expires", &seconds.to_string()),
        Extra::RetryAfter(seconds) => sip.push("Retry-After", &seconds.to_string()),
        Extra::Anonymity => sip.push("Warning", "399 example.com \"119 Anonymity not allowed\""),
        Extra::FlowTimer(seconds) => sip.push("Flow-Timer", &seconds.to_string()),
        Extra::Outbound => sip.push("Require", "outbound"),
        Extra::Expires(seconds) => sip.push("Expires", &seconds.to_string()),
        Extra::Keep(seconds) => {
            let via = request.header("Via").unwrap_or("").replace(";keep", "");
            sip.remove("Via");
            sip.push_front("Via", &format!("{via};keep={seconds}"));
        }
        Extra::Mapped(n) => {
            let via = request.header("Via").unwrap_or("").replace(";rport", "");
            let port = 1024 + u16::from(n % 3);
            sip.remove("Via");
            sip.push_front(
                "Via",
                &format!("{via};received=198.51.100.{};rport={port}", n % 3),
            );
        }
        Extra::SecondVia => sip.push("Via", "SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx"),
        Extra::EntityTag(n) => {
            let long = "t".repeat(usize::from(n));
            sip.set("SIP-ETag", if n % 4 == 0 { "\"t\"" } else { &long });
        }
        Extra::Barred => sip.set(
            "P-Associated-URI",
            "<sip:second@example.com>, <tel:+15551230001>",
        ),
        Extra::Path => sip.push("Path", "<sip:term@pcscf.example.com;lr>"),
        Extra::AgreementList(n) => put_agreement(sip, n, 999_000),
    }
}

fn challenge_text(challenge: Challenge) -> String {
    let realm = ["example.com", "example.com", "other", "a \\\"b\\\""];
    let algorithm = [
        "",
        ", algorithm=MD5",
        ", algorithm=SHA-256",
        ", algorithm=MD5-sess",
        ", algorithm=SHA-256-sess",
        ", algorithm=AKAv1-MD5",
    ];
    let qop = [
        "",
        ", qop=\"auth\"",
        ", qop=\"auth,auth-int\"",
        ", qop=\"auth-int\"",
        ", qop=\"x\"",
    ];
    let stale = ["", ", stale=true", ", stale=FALSE"];
    let pick = |list: &[&'static str], n: u8| list[usize::from(n) % list.len()];
    format!(
        "Digest realm=\"{}\", nonce=\"n{}\"{}{}{}",
        pick(&realm, challenge.realm),
        challenge.nonce % 4,
        pick(&algorithm, challenge.algorithm),
        pick(&qop, challenge.qop),
        pick(&stale, challenge.stale),
    )
}

/// A request of the grammar. `sent` are Message-IDs that the client gave.
pub(super) fn request(what: &Request, transport: &str, sent: &[String]) -> Vec<u8> {
    const METHODS: [&str; 16] = [
        "MESSAGE", "MESSAGE", "MESSAGE", "MESSAGE", "MESSAGE", "MESSAGE", "MESSAGE", "MESSAGE",
        "OPTIONS", "INVITE", "ACK", "CANCEL", "NOTIFY", "BYE", "REGISTER", "WHATEVER",
    ];
    let method = METHODS[usize::from(what.method) % METHODS.len()];
    let mut sip = Sip::request(method, "sip:0000002a@192.0.2.10:5060");
    let from = PEERS[usize::from(what.from) % PEERS.len()];
    sip.push(
        "Via",
        &format!(
            "SIP/2.0/{transport} proxy.example.com;rport;branch=z9hG4bK{}",
            what.branch % 16
        ),
    );
    sip.push("Max-Forwards", "70");
    sip.push("From", &format!("\"Bob\" <{from}>;tag=f{}", what.call % 4));
    sip.push("To", "<sip:alice@example.com>");
    sip.push("Call-ID", &format!("call{}", what.call % 4));
    sip.push("CSeq", &format!("{} {method}", what.cseq % 4));
    let media = put_body(&mut sip, &what.body, sent);
    if !media.is_empty() {
        sip.push("Content-Type", media);
    }
    for header in &what.headers {
        put_header(&mut sip, header);
    }
    let mut bytes = sip.to_bytes();
    if what
        .headers
        .iter()
        .any(|h| matches!(h, InHeader::NoContentLength))
    {
        let at = bytes.windows(14).position(|w| w == b"Content-Length");
        if let Some(at) = at {
            bytes[at] = b'X';
        }
    }
    mangled(bytes, &what.mangle)
}

fn put_header(sip: &mut Sip, header: &InHeader) {
    match *header {
        InHeader::Asserted(n) => {
            let uri = PEERS[usize::from(n) % PEERS.len()];
            sip.push("P-Asserted-Identity", &format!("<{uri}>"));
        }
        InHeader::ToTag => sip.set("To", "<sip:alice@example.com>;tag=ours"),
        InHeader::Require => sip.push("Require", "100rel, whatever"),
        InHeader::Expires(seconds) => sip.push("Expires", &seconds.to_string()),
        InHeader::Date => sip.push("Date", "Sat, 13 Nov 2010 23:29:00 GMT"),
        InHeader::ContentEncoding(n) => sip.push(
            "Content-Encoding",
            ["identity", "deflate", "gzip"][usize::from(n) % 3],
        ),
        InHeader::SecondVia => sip.push("Via", "SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx"),
        InHeader::Server => sip.push("Server", "IM-serv/OMA1.0"),
        InHeader::Called => sip.push("P-Called-Party-ID", "<tel:+15551230001>"),
        InHeader::Subject => sip.push("Subject", "Lunch"),
        InHeader::NoFrom => sip.remove("From"),
        InHeader::NoContentLength => {}
        InHeader::Twice => sip.push("Call-ID", "call0"),
    }
}

fn put_body(sip: &mut Sip, body: &Body, sent: &[String]) -> &'static str {
    match body {
        Body::None => "",
        Body::Text(n) => {
            sip.body = vec![b'x'; usize::from(*n) * 8];
            "text/plain"
        }
        Body::Cpim {
            id,
            from,
            wants,
            date,
            route,
        } => {
            let from = PEERS[usize::from(*from) % PEERS.len()];
            let mut cpim = format!("From: Bob <{from}>\r\nTo: <sip:alice@example.com>\r\n");
            if date % 4 != 0 {
                cpim.push_str("DateTime: 2026-01-02T03:04:05Z\r\n");
            }
            cpim.push_str("NS: imdn <urn:ietf:params:imdn>\r\n");
            cpim.push_str(&format!("imdn.Message-ID: id{}\r\n", id % 32));
            let kinds = [
                (Notifications::POSITIVE_DELIVERY, "positive-delivery"),
                (Notifications::NEGATIVE_DELIVERY, "negative-delivery"),
                (Notifications::DISPLAY, "display"),
            ];
            let asked: Vec<_> = kinds.iter().filter(|(k, _)| wants.has(*k)).collect();
            if !asked.is_empty() {
                let asked: Vec<_> = asked.iter().map(|(_, text)| *text).collect();
                cpim.push_str(&format!(
                    "imdn.Disposition-Notification: {}\r\n",
                    asked.join(", ")
                ));
            }
            for n in 0..route % 4 {
                cpim.push_str(&format!(
                    "imdn.IMDN-Record-Route: <sip:r{n}@example.com>\r\n"
                ));
            }
            cpim.push_str("\r\nContent-Type: text/plain\r\n\r\nHello");
            sip.body = cpim.into_bytes();
            "message/cpim"
        }
        Body::Report { id, kind } => {
            let document = report(*id, *kind, sent);
            let cpim = format!(
                "From: <sip:bob@example.com>\r\nTo: <sip:alice@example.com>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: r{id}\r\n\r\nContent-Type: message/imdn+xml\r\nContent-Disposition: notification\r\nContent-Length: {}\r\n\r\n{document}",
                document.len()
            );
            sip.body = cpim.into_bytes();
            "message/cpim"
        }
        Body::Reports(n) => {
            let mut text = String::new();
            for id in 0..*n % 5 {
                let document = report(id, *n, sent);
                text.push_str(&format!(
                    "--b\r\nContent-Type: message/imdn+xml\r\n\r\n{document}\r\n"
                ));
            }
            text.push_str("--b--\r\n");
            let cpim = format!(
                "From: <sip:bob@example.com>\r\nTo: <sip:alice@example.com>\r\n\r\nContent-Type: multipart/mixed;boundary=b\r\nContent-Disposition: notification\r\n\r\n{text}"
            );
            sip.body = cpim.into_bytes();
            "message/cpim"
        }
        Body::Other(n, bytes) => {
            sip.body.clone_from(bytes);
            [
                "text/plain;charset=utf-8",
                "message/cpim",
                "message/imdn+xml",
                "image/png",
                "multipart/mixed;boundary=b",
                "application/im-iscomposing+xml",
                "x",
            ][usize::from(*n) % 7]
        }
    }
}

fn report(id: u8, kind: u8, sent: &[String]) -> String {
    let id = sent
        .get(usize::from(id) % (sent.len() + 1))
        .map_or("unknown", String::as_str);
    let kinds = [
        "<delivery-notification><status><delivered/></status></delivery-notification>",
        "<display-notification><status><displayed/></status></display-notification>",
        "<delivery-notification><status><failed/></status></delivery-notification>",
        "<delivery-notification><status><whatever/></status></delivery-notification>",
        "<delivery-notification>",
    ];
    let kind = kinds[usize::from(kind) % kinds.len()];
    format!(
        "<?xml version=\"1.0\"?><imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>{id}</message-id><datetime>2026-01-02T03:04:05Z</datetime><recipient-uri>sip:bob@example.com</recipient-uri>{kind}</imdn>"
    )
}

/// The Message-ID that a request of the client's carries.
pub(super) fn message_id(sip: &Sip) -> Option<String> {
    let body = std::str::from_utf8(&sip.body).ok()?;
    let (_, rest) = body.split_once("imdn.Message-ID: ")?;
    Some(rest.split("\r\n").next()?.to_string())
}

/// The branch of the topmost Via.
pub(super) fn branch(sip: &Sip) -> Option<String> {
    param(sip.header("Via")?, "branch")
}

pub(super) fn mangled(mut bytes: Vec<u8>, faults: &[Mangle]) -> Vec<u8> {
    for fault in faults {
        if bytes.is_empty() {
            return bytes;
        }
        let place = |at: u16| usize::from(at) % bytes.len();
        match *fault {
            Mangle::Set(at, byte) => {
                let at = place(at);
                bytes[at] = byte;
            }
            Mangle::Insert(at, byte) => bytes.insert(place(at), byte),
            Mangle::Remove(at, len) => {
                let at = place(at);
                let end = bytes.len().min(at + usize::from(len));
                bytes.drain(at..end);
            }
            Mangle::Cut(at) => bytes.truncate(place(at)),
            Mangle::Double(at, len) => {
                let at = place(at);
                let end = bytes.len().min(at + usize::from(len));
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

//! Operations of this crate that no peer is asked for: its other hot paths, whose figures are kept,
//! and parsers over inputs of three sizes, whose work has to grow no faster than the input.

use oma_im::client::{Adopted, Client, Direction, FlowInfo, Origin, Output, Verified};
use oma_im::config::{Config, KeepAlive, NextHop, Transport};
use oma_im::id::{FlowId, PathId};
use oma_im::im::imdn::Asked;
use oma_im::storage::Small;
use oma_im::time::Instant;
use oma_im::wire::cpim::Cpim;
use oma_im::wire::digest::{
    choose, write_credentials, Acceptable, Answer, Challenges, Cnonce, Secret,
};
use oma_im::wire::framer::{Frame, Framer, Limits};
use oma_im::wire::header::Server;
use oma_im::wire::imdn::reports;
use oma_im::wire::message::Message;
use oma_im::wire::mime::{Leaves, MediaType};
use oma_im::wire::scan::split_commas;
use oma_im::wire::settings::Settings;
use oma_im::wire::sink::Sink;
use oma_im::wire::uri::Uri;
use oma_im::wire::xml::{Event, Reader};
use std::hint::black_box;
use std::net::SocketAddr;

/// One operation; it says whether it went as it should.
pub struct Path {
    pub op: &'static str,
    pub case: &'static str,
    pub run: Box<dyn FnMut() -> bool>,
}

/// The hot paths besides those of the contestants.
pub fn paths(message: &[u8]) -> Vec<Path> {
    let path = |op, case, run| Path { op, case, run };
    let message = message.to_vec();
    vec![
        path("digest", "answer", Box::new(answer)),
        path("frame", "message", Box::new(move || frame(&message, 1400))),
        path("read", "cpim", Box::new(cpim)),
        path("read", "report", Box::new(report)),
        path("compare", "uris", Box::new(compare)),
        path("publish", "settings", publish()),
    ]
}

/// Settings published by a client with the memory of a handset, from the command to the bytes. Each run has a client of
/// its own, which waits on a stream with a registration of somebody else's.
fn publish() -> Box<dyn FnMut() -> bool> {
    let hops = [NextHop::new("proxy.example.com", Transport::Tcp)];
    let config = Config {
        keep_alive: KeepAlive::Off,
        product: "Example/M4-1.0",
        ..Config::new("sip:alice@example.com", &hops)
    };
    let adopted = Adopted {
        service_route: "<sip:orig@scscf.example.com;lr>",
        associated: "<sip:alice@example.com>",
    };
    let client = |n| {
        let mut client =
            Client::new(&config, Box::new(Small::new()), [n; 32]).expect("a good configuration");
        let info = FlowInfo {
            origin: Origin::Given(PathId(0)),
            transport: Transport::Tcp,
            local: SocketAddr::from(([10, 32, 9, 3], 5060)),
            remote: SocketAddr::from(([10, 32, 9, 1], 5060)),
            verified: Verified::No,
            direction: Direction::Both,
        };
        let now = Instant::ZERO;
        client
            .adopt_registration(now, &adopted)
            .expect("nothing is registered");
        client.flow_opened(now, FlowId(1), &info);
        while !matches!(client.poll_output(&mut [0; 1500]), Output::Idle(_)) {}
        client
    };
    // One to see that it goes, and those that are counted.
    let mut clients: Vec<_> = (0..21).map(client).collect();
    let mut done = 0;
    Box::new(move || {
        let Some(client) = clients.get_mut(done) else {
            return false;
        };
        done += 1;
        let command = client.publish_settings(Instant::ZERO, black_box(Settings::DEFAULT));
        let sent = match client.poll_output(&mut [0; 1500]) {
            Output::Transmit { bytes, .. } => bytes.starts_with(b"PUBLISH sip:alice@example.com"),
            _ => false,
        };
        command.is_ok() && sent && matches!(client.poll_output(&mut [0; 1500]), Output::Idle(_))
    })
}

/// A challenge read and answered, as before every request that is challenged (RFC 7616, MD5).
fn answer() -> bool {
    let header = br#"Digest realm="ims.example.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", qop="auth", opaque="5ccc069c403ebaf9f0171e9517f40e41", algorithm=MD5"#;
    let Some(challenge) = choose(Challenges::new(black_box(header)), Acceptable::PASSWORD) else {
        return false;
    };
    let mut out = [0; 512];
    let mut sink = Sink::new(&mut out);
    let answer = Answer {
        username: b"alice@ims.example.com",
        secret: Secret::Password(b"wonderland"),
        method: b"MESSAGE",
        uri: b"sip:bob@ims.example.com",
        body: &[],
        cnonce: Cnonce(0x0a4f_113b),
        nc: 1,
    };
    write_credentials(&mut sink, &challenge, &answer).is_ok() && sink.written().is_some()
}

/// A message cut out of a stream that comes in pieces.
fn frame(stream: &[u8], piece: usize) -> bool {
    let mut framer = Framer::new(Limits {
        max_headers: 65_535,
        max_message: 1 << 20,
    });
    for end in (piece..).step_by(piece) {
        let end = end.min(stream.len());
        match framer.next(black_box(&stream[..end])) {
            Frame::Message { len } => return len == stream.len(),
            Frame::NeedMore if end < stream.len() => {}
            _ => return false,
        }
    }
    false
}

const CPIM: &[u8] = b"From: Alice <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\
    NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 34jk324j\r\nDateTime: 2006-04-04T12:16:49-05:00\r\n\
    imdn.Disposition-Notification: positive-delivery, negative-delivery, display\r\n\r\n\
    Content-type: text/plain\r\nContent-length: 12\r\n\r\nHello World!";

/// A CPIM message, and what its sender wants to be told.
fn cpim() -> bool {
    let Ok(message) = Cpim::parse(black_box(CPIM)) else {
        return false;
    };
    message.validate().is_ok()
        && Asked::by(&message).is_ok_and(|asked| asked.message_id.is_some())
        && message.content().body == b"Hello World!"
}

const REPORT: &[u8] = b"From: <sip:bob@example.com>\r\nTo: <sip:alice@example.com>\r\n\
    NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: d834jied93rf\r\n\r\n\
    Content-type: message/imdn+xml\r\nContent-Disposition: notification\r\nContent-length: 298\r\n\r\n\
    <?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\
    <message-id>34jk324j</message-id><datetime>2008-04-04T12:16:49-05:00</datetime>\
    <recipient-uri>im:bob@example.com</recipient-uri><delivery-notification><status><delivered/></status>\
    </delivery-notification></imdn>";

/// A delivery report within CPIM (RFC 5438).
fn report() -> bool {
    let Ok(media) = MediaType::parse(b"message/cpim") else {
        return false;
    };
    let mut found = reports(media, black_box(REPORT));
    found.next().is_some_and(|report| report.is_ok()) && found.next().is_none()
}

/// Two spellings of a URI (RFC 3261 §19.1.4).
fn compare() -> bool {
    let a: &[u8] = b"sip:%61lice@IMS.example.com:5060;transport=TCP;lr?subject=x";
    let b: &[u8] = b"sip:alice@ims.Example.com:5060;lr;Transport=tcp?Subject=x";
    match (Uri::parse(black_box(a)), Uri::parse(black_box(b))) {
        (Ok(a), Ok(b)) => a.equivalent(&b),
        _ => false,
    }
}

/// A family of inputs, and how they are read.
struct Family {
    name: &'static str,
    /// Heads end at 65,535 bytes.
    largest: usize,
    make: fn(usize) -> Vec<u8>,
    read: fn(&[u8]) -> bool,
}

const HEAD: usize = 61_440;
const KIB_100: usize = 102_400;

/// Each family at a hundredth, a tenth and the whole of its largest size.
pub fn growth() -> Vec<(&'static str, usize, Box<dyn FnMut() -> bool>)> {
    let mut all: Vec<(&'static str, usize, Box<dyn FnMut() -> bool>)> = Vec::new();
    for family in FAMILIES {
        for part in [100, 10, 1] {
            let input = (family.make)(family.largest / part);
            let (len, read) = (input.len(), family.read);
            all.push((family.name, len, Box::new(move || read(black_box(&input)))));
        }
    }
    all
}

const FAMILIES: &[Family] = &[
    head(
        "head_long_value",
        |n| request(&fill("Subject: ", "a", n)),
        valid,
    ),
    head("head_many_headers", many_headers, valid),
    head(
        "head_folded",
        |n| request(&fill("Subject: a", "\r\n b", n)),
        valid,
    ),
    head(
        "head_quoted",
        |n| request(&wrap("Contact: \"", "\\\"", "\" <sip:a@b.example>", n)),
        valid,
    ),
    head(
        "head_controls",
        |n| request(&wrap("Contact: \"", "\\\x01", "\" <sip:a@b.example>", n)),
        valid,
    ),
    head(
        "head_bad_lines",
        |n| request(&fill("@", "\r\n@", n)),
        legible,
    ),
    head(
        "head_colons",
        |n| request(&fill("A", "a:b\r\n B", n)),
        valid,
    ),
    head(
        "via_params",
        |n| request(&fill("Via: SIP/2.0/UDP b.example", ";a=b", n)),
        valid,
    ),
    head(
        "via_list",
        |n| {
            request(&fill(
                "Via: SIP/2.0/UDP b.example",
                ",SIP/2.0/UDP b.example",
                n,
            ))
        },
        valid,
    ),
    head(
        "contact_list",
        |n| {
            request(&fill(
                "Contact: <sip:a@b.example>",
                ", <sip:a@b.example>",
                n,
            ))
        },
        valid,
    ),
    head(
        "route_quotes",
        |n| {
            request(&fill(
                "Route: <sip:a@b.example>",
                ",\"a,b\" <sip:c,d@b.example>",
                n,
            ))
        },
        valid,
    ),
    body(
        "commas",
        |n| fill("a", ",a", n).into(),
        |v| split_commas(v).count() > 0,
    ),
    body(
        "commas_quoted",
        |n| wrap("\"", ",", "\",", n).into(),
        |v| split_commas(v).count() == 2,
    ),
    body(
        "uri_user",
        |n| wrap("sip:", "%41", "@b.example", n).into(),
        uri,
    ),
    body(
        "uri_host",
        |n| wrap("sip:a@b", ".b", ".example", n).into(),
        uri,
    ),
    body(
        "uri_params",
        |n| fill("sip:a@b.example", ";a=b", n).into(),
        uri,
    ),
    body(
        "uri_headers",
        |n| fill("sip:a@b.example?a=b", "&a=b", n).into(),
        uri,
    ),
    body("uri_same", long_params, uri),
    body(
        "framer_head",
        |n| request(&fill("Subject: ", "a", n.min(HEAD))),
        bytewise,
    ),
    body(
        "framer_folds",
        |n| request(&fill("Subject: a", "\r\n b", n.min(HEAD))),
        bytewise,
    ),
    body("framer_body", with_body, bytewise),
    body(
        "cpim_long",
        |n| cpim_with(&fill("Subject: ", "a", n)),
        read_cpim,
    ),
    body(
        "cpim_headers",
        |n| cpim_with(&fill("X: y", "\r\nX: y", n)),
        read_cpim,
    ),
    body(
        "cpim_namespaces",
        |n| cpim_with(&fill("NS: a <urn:b>", "\r\nNS: a <urn:b>\r\na.X: y", n)),
        read_cpim,
    ),
    body(
        "cpim_to",
        |n| {
            cpim_with(&fill(
                "To: <sip:a@b.example>",
                "\r\nTo: <sip:a@b.example>",
                n,
            ))
        },
        read_cpim,
    ),
    body(
        "multipart_parts",
        |n| multipart(&fill("", "--b\r\n\r\na\r\n", n)),
        read_parts,
    ),
    body(
        "multipart_near",
        |n| multipart(&fill("--b\r\n\r\n", "\r\n--", n)),
        read_parts,
    ),
    body("xml_text", |n| wrap("<a>", "b", "</a>", n).into(), read_xml),
    body(
        "xml_references",
        |n| wrap("<a>", "&amp;", "</a>", n).into(),
        read_xml,
    ),
    body(
        "xml_elements",
        |n| wrap("<a>", "<b/>", "</a>", n).into(),
        read_xml,
    ),
    body(
        "xml_depth",
        |n| wrap("<a>", "<b><c><d><e></e></d></c></b>", "</a>", n).into(),
        read_xml,
    ),
    body(
        "xml_attribute",
        |n| wrap("<a b='", "c", "'/>", n).into(),
        read_xml,
    ),
    body(
        "xml_attributes",
        |n| {
            wrap(
                "<a>",
                "<b c='' d='' e='' f='' g='' h='' i='' j=''/>",
                "</a>",
                n,
            )
            .into()
        },
        read_xml,
    ),
    body(
        "xml_namespaces",
        |n| wrap("<a>", "<b xmlns:c='d' c:e=''/>", "</a>", n).into(),
        read_xml,
    ),
    body(
        "xml_comments",
        |n| wrap("<a>", "<!-- - -->", "</a>", n).into(),
        read_xml,
    ),
    body("imdn", |n| imdn_with(&fill("", "<x/>", n)), read_imdn),
    body(
        "digest_params",
        |n| fill("Digest realm=\"a\", nonce=\"b\"", ", a=b", n).into(),
        read_challenges,
    ),
    body(
        "digest_list",
        |n| {
            fill(
                "Digest realm=\"a\", nonce=\"b\"",
                ", Digest realm=\"a\", nonce=\"b\"",
                n,
            )
            .into()
        },
        read_challenges,
    ),
    body(
        "digest_quoted",
        |n| wrap("Digest realm=\"", "\\\"", "\", nonce=\"b\"", n).into(),
        read_challenges,
    ),
    body(
        "comments",
        |n| wrap("a ", "(b)", "", n).into(),
        |v| Server::parse(v).is_ok(),
    ),
];

const fn head(name: &'static str, make: fn(usize) -> Vec<u8>, read: fn(&[u8]) -> bool) -> Family {
    Family {
        name,
        largest: HEAD,
        make,
        read,
    }
}

const fn body(name: &'static str, make: fn(usize) -> Vec<u8>, read: fn(&[u8]) -> bool) -> Family {
    Family {
        name,
        largest: KIB_100,
        make,
        read,
    }
}

/// `start`, and `more` as often as it fits into `len` bytes.
fn fill(start: &str, more: &str, len: usize) -> String {
    wrap(start, more, "", len)
}

fn wrap(start: &str, more: &str, end: &str, len: usize) -> String {
    [start, &more.repeat(len / more.len()), end].concat()
}

fn request(line: &str) -> Vec<u8> {
    format!(
        "MESSAGE sip:b@b.example SIP/2.0\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n{line}\r\n\
         From: <sip:a@b.example>;tag=1\r\nTo: <sip:b@b.example>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into()
}

fn many_headers(len: usize) -> Vec<u8> {
    let line = fill("X-A: ", "a", len / 80);
    request(&[line.as_str(); 80].join("\r\n"))
}

fn with_body(len: usize) -> Vec<u8> {
    let head = format!("MESSAGE sip:b@b.example SIP/2.0\r\nContent-Length: {len}\r\n\r\n");
    [head.into_bytes(), vec![b'\n'; len]].concat()
}

/// As many parameters as are compared, of names that differ at their ends.
fn long_params(len: usize) -> Vec<u8> {
    let params = (10..70).map(|n| wrap(";", "a", &n.to_string(), len / 64));
    ["sip:a@b.example".to_owned(), params.collect()]
        .concat()
        .into()
}

fn valid(bytes: &[u8]) -> bool {
    Message::parse(bytes).is_ok_and(|message| {
        let views = message.contacts().count() + message.vias().filter(|via| via.is_ok()).count();
        message.validate().is_ok() && black_box(views) > 0
    })
}

fn legible(bytes: &[u8]) -> bool {
    Message::parse(bytes).is_err() && Message::legible(bytes).is_some()
}

fn uri(bytes: &[u8]) -> bool {
    Uri::parse(bytes).is_ok_and(|uri| {
        black_box(uri.equivalent(&uri));
        uri.params().count() + uri.headers().count() <= bytes.len()
    })
}

fn bytewise(bytes: &[u8]) -> bool {
    frame(bytes, 1)
}

fn cpim_with(lines: &str) -> Vec<u8> {
    format!("From: <sip:a@b.example>\r\nTo: <sip:b@b.example>\r\n{lines}\r\n\r\nContent-type: text/plain\r\n\r\nHi").into()
}

fn read_cpim(bytes: &[u8]) -> bool {
    Cpim::parse(bytes).is_ok_and(|message| {
        black_box((
            message.message_id(),
            message.to().count(),
            message.datetime().is_ok(),
        ));
        message.validate().is_ok() && Asked::by(&message).is_ok()
    })
}

fn multipart(parts: &str) -> Vec<u8> {
    format!("{parts}\r\n--b--\r\n").into()
}

fn read_parts(bytes: &[u8]) -> bool {
    let media = MediaType::parse(b"multipart/mixed;boundary=b");
    media.is_ok_and(|media| Leaves::of(media, bytes).filter(|leaf| leaf.is_ok()).count() > 0)
}

fn read_xml(bytes: &[u8]) -> bool {
    let Ok(mut reader) = Reader::new(bytes) else {
        return false;
    };
    loop {
        match reader.read() {
            Ok(Event::Eof) => return true,
            Ok(Event::Start(start)) => {
                let chars = start
                    .attributes()
                    .map(|attribute| attribute.value.chars().count());
                black_box(chars.sum::<usize>());
            }
            Ok(Event::Text(text)) => {
                black_box(text.chars().count());
            }
            Ok(Event::End(_)) => {}
            Err(_) => return false,
        }
    }
}

fn imdn_with(elements: &str) -> Vec<u8> {
    format!(
        "<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>1</message-id>{elements}\
         <delivery-notification><status><delivered/></status></delivery-notification></imdn>"
    )
    .into()
}

fn read_imdn(bytes: &[u8]) -> bool {
    let media = MediaType::parse(b"message/imdn+xml");
    media.is_ok_and(|media| {
        reports(media, bytes)
            .filter(|report| report.is_ok())
            .count()
            == 1
    })
}

fn read_challenges(bytes: &[u8]) -> bool {
    Challenges::new(bytes).count() > 0
        && choose(Challenges::new(bytes), Acceptable::PASSWORD).is_some()
}

//! Typed views of header values.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::fs;
use std::path::{Path as FilePath, PathBuf};

use oma_im::wire::error::{ParseError, ParseErrorKind};
use oma_im::wire::header::*;
use oma_im::wire::name::{Method, Name};
use oma_im::wire::uri::{Host, parse_ip};

// ---- all header values of the corpus and of the golden messages ----

fn files() -> Vec<PathBuf> {
    let tests = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files: Vec<_> = [
        "corpus/sip",
        "corpus/rfc4475",
        "corpus/rfc5118-crlf",
        "golden",
    ]
    .iter()
    .flat_map(|folder| fs::read_dir(tests.join(folder)).unwrap())
    .map(|entry| entry.unwrap().path())
    .filter(|path| path.extension().is_some_and(|e| e == "sip" || e == "dat"))
    .collect();
    files.sort();
    assert!(files.len() > 500, "{} files", files.len());
    files
}

/// The header lines of a message, folds left in.
fn lines(message: &[u8]) -> Vec<(Name, Vec<u8>)> {
    let end = message
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or(message.len());
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in message[..end].split(|&b| b == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match lines.last_mut() {
            Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                last.extend_from_slice(b"\r\n");
                last.extend_from_slice(line);
            }
            _ => lines.push(line.to_vec()),
        }
    }
    let split = |line: &Vec<u8>| {
        let colon = line.iter().position(|&b| b == b':')?;
        Some((
            Name::from_bytes(line[..colon].trim_ascii_end()),
            line[colon + 1..].trim_ascii().to_vec(),
        ))
    };
    lines.iter().filter_map(split).collect()
}

/// Uses all that a view offers.
trait Exercise {
    fn exercise(&self) -> Result<(), ParseError>;
}

macro_rules! exercise {
    ($($view:ty: |$it:ident| $body:expr;)*) => {$(
        impl Exercise for $view {
            fn exercise(&self) -> Result<(), ParseError> {
                let $it = self;
                let _ = $body;
                Ok(())
            }
        }
    )*};
}

exercise! {
    Via<'_>: |v| (v.branch(), v.received(), v.rport(), v.keep(), v.maddr(), v.ttl(), v.params.count());
    CSeq<'_>: |v| v.method;
    RAck<'_>: |v| v.method;
    MaxForwards: |v| v.0;
    Expires: |v| v.0;
    MinExpires: |v| v.0;
    FlowTimer: |v| v.0;
    ContentLength: |v| v.0;
    RSeq: |v| v.0;
    SessionExpires<'_>: |v| v.refresher();
    MinSe<'_>: |v| v.seconds;
    RetryAfter<'_>: |v| (v.duration(), v.comment.map(|c| c.bytes().count()));
    Event<'_>: |v| (v.id(), v.matches(v), v.event_type.package(), v.event_type.templates().count());
    AllowEvents<'_>: |v| (v.iter().count(), v.has(b"reg"));
    SubscriptionState<'_>: |v| (v.state(), v.reason(), v.expires(), v.retry_after());
    ContentDisposition<'_>: |v| v.handling();
    AcceptEncoding<'_>: |v| v.q();
    Reason<'_>: |v| (v.cause(), v.text().map(|t| t.bytes().count()));
    PAccessNetworkInfo<'_>: |v| v.params.count();
    SecurityMechanism<'_>: |v| (v.q(), v.number(b"spi-c"), v.ipsec());
    ReferSub: |v| *v;
    AcceptContact<'_>: |v| (v.is_required(), v.is_explicit(), v.features().count(), v.feature(b"+g.oma.sip-im"));
    TokenList<'_>: |v| (v.methods().count(), v.has(b"path"));
    Privacy<'_>: |v| v.has(b"id");
    MediaType<'_>: |v| (v.charset().map(Iterator::count), v.boundary(), v.q());
    ContentId<'_>: |v| v.id;
    MimeVersion: |v| v.major;
    CallId<'_>: |v| v.as_bytes();
    EntityTag<'_>: |v| v.as_bytes();
    Replaces<'_>: |v| v.is_early_only();
    TargetDialog<'_>: |v| (v.local_tag(), v.remote_tag());
    Date: |v| v.unix_seconds;
    Warning<'_>: |v| (v.im_code(), v.text.bytes().count());
    Products<'_>: |v| v.first();
    Text<'_>: |v| v.bytes().count();
}

impl Exercise for NameAddr<'_> {
    fn exercise(&self) -> Result<(), ParseError> {
        let _ = (
            self.tag(),
            self.expires(),
            self.q(),
            self.display.map(|d| d.bytes().count()),
        );
        let uri = self.uri()?;
        assert!(uri.equivalent(&uri) || uri.params().count() > 64, "{uri:?}");
        Ok(())
    }
}

impl Exercise for Contact<'_> {
    fn exercise(&self) -> Result<(), ParseError> {
        let _ = (self.instance(), self.reg_id(), self.has_feature(b"audio"));
        self.addr().map_or(Ok(()), Exercise::exercise)
    }
}

fn one<'b, T: Exercise>(
    value: &'b [u8],
    parse: fn(&'b [u8]) -> Result<T, ParseError>,
) -> Result<(), ParseError> {
    parse(value)?.exercise()
}

fn every<'b, T: Exercise>(
    value: &'b [u8],
    parse: fn(&'b [u8]) -> Result<T, ParseError>,
) -> Result<(), ParseError> {
    list(value, parse).try_for_each(|view| view?.exercise())
}

/// Parses a value as its header asks; `None` for headers without a view.
fn parse(name: Name, value: &[u8]) -> Option<Result<(), ParseError>> {
    Some(match name {
        Name::Via => every(value, Via::parse),
        Name::From | Name::To | Name::ReplyTo => one(value, NameAddr::parse),
        Name::ReferTo | Name::ReferredBy | Name::PCalledPartyId => one(value, NameAddr::parse),
        Name::Contact => every(value, Contact::parse),
        Name::Route | Name::RecordRoute | Name::Path | Name::ServiceRoute => {
            every(value, Route::parse)
        }
        Name::PAssertedIdentity
        | Name::PPreferredIdentity
        | Name::PAssociatedUri
        | Name::PRefusedUriList => every(value, NameAddr::parse),
        Name::PAccessNetworkInfo => every(value, PAccessNetworkInfo::parse),
        Name::ReferSub => one(value, ReferSub::parse),
        Name::CSeq => one(value, CSeq::parse),
        Name::CallId => one(value, CallId::parse),
        Name::MaxForwards => one(value, MaxForwards::parse),
        Name::Expires => one(value, Expires::parse),
        Name::MinExpires => one(value, MinExpires::parse),
        Name::FlowTimer => one(value, FlowTimer::parse),
        Name::Allow | Name::Supported | Name::Require | Name::ProxyRequire | Name::Unsupported => {
            one(value, TokenList::parse)
        }
        Name::ContentEncoding | Name::ContentLanguage => one(value, TokenList::parse),
        Name::AllowEvents => one(value, AllowEvents::parse),
        Name::Accept => every(value, Accept::parse),
        Name::AcceptEncoding => every(value, AcceptEncoding::parse),
        Name::AcceptContact | Name::RejectContact => every(value, AcceptContact::parse),
        Name::Event => one(value, Event::parse),
        Name::SubscriptionState => one(value, SubscriptionState::parse),
        Name::SipEtag | Name::SipIfMatch => one(value, EntityTag::parse),
        Name::SessionExpires => one(value, SessionExpires::parse),
        Name::MinSe => one(value, MinSe::parse),
        Name::RSeq => one(value, RSeq::parse),
        Name::RAck => one(value, RAck::parse),
        Name::Privacy => one(value, Privacy::parse),
        Name::Warning => every(value, Warning::parse),
        Name::RetryAfter => one(value, RetryAfter::parse),
        Name::Reason => every(value, Reason::parse),
        Name::Replaces => one(value, Replaces::parse),
        Name::TargetDialog => one(value, TargetDialog::parse),
        Name::SecurityClient | Name::SecurityServer | Name::SecurityVerify => {
            every(value, SecurityMechanism::parse)
        }
        Name::UserAgent | Name::Server => one(value, Products::parse),
        Name::ContentType => one(value, ContentType::parse),
        Name::ContentDisposition => one(value, ContentDisposition::parse),
        Name::ContentLength => one(value, ContentLength::parse),
        Name::ContentId => one(value, ContentId::parse),
        Name::MimeVersion => one(value, MimeVersion::parse),
        Name::Date => one(value, Date::parse),
        Name::Subject | Name::Organization => one(value, Subject::parse),
        _ => return None,
    })
}

/// What the corpus holds against the grammar: file, header, byte of the fault.
const REFUSED: &[(&str, Name, usize)] = &[
    // RFC 4475: meant to be refused
    ("badaspec.dat", Name::To, 18),
    ("baddate.dat", Name::Date, 0),
    ("baddn.dat", Name::From, 0),
    ("baddn.dat", Name::To, 0),
    ("badinv01.dat", Name::Via, 23),
    ("badinv01.dat", Name::Contact, 28),
    ("ncl.dat", Name::ContentLength, 0),
    ("quotbal.dat", Name::To, 0),
    ("regbadct.dat", Name::Contact, 20),
    ("scalar02.dat", Name::CSeq, 0),
    ("scalar02.dat", Name::MaxForwards, 0),
    ("scalar02.dat", Name::Expires, 0),
    ("scalarlg.dat", Name::CSeq, 0),
    ("scalarlg.dat", Name::RetryAfter, 0),
    ("scalarlg.dat", Name::Warning, 0),
    ("test.dat", Name::To, 0),
    ("test.dat", Name::From, 0),
    // misprints: a missing `;`, no scheme, `;;`
    ("rfc3261-013.sip", Name::ContentDisposition, 33),
    ("rfc3261-015.sip", Name::To, 5),
    ("rfc3261-015.sip", Name::From, 7),
    ("rfc3428-003.sip", Name::Via, 31),
    ("rfc3428-004.sip", Name::From, 21),
    // remarks in place of a value
    ("rfc3515-001.sip", Name::ReferTo, 0),
    ("rfc3515-003.sip", Name::SubscriptionState, 15),
    ("rfc3515-007.sip", Name::ReferTo, 0),
    ("rfc3515-009.sip", Name::SubscriptionState, 15),
    // a missing comma
    ("rfc4483-001.sip", Name::Accept, 22),
    // line breaks within a URI, user@host in Via
    ("rfc4964-014.sip", Name::Contact, 34),
    ("rfc4964-015.sip", Name::Contact, 34),
    ("rfc4964-019.sip", Name::Via, 42),
    ("rfc4964-020.sip", Name::Via, 42),
    ("rfc4964-025.sip", Name::Via, 42),
    ("rfc4964-025.sip", Name::Contact, 34),
    ("rfc4964-026.sip", Name::Via, 42),
    // `members` without the quotes of its grammar (RFC 5318 §5)
    ("rfc5318-002.sip", Name::PRefusedUriList, 40),
    ("rfc5318-002.sip", Name::PRefusedUriList, 43),
    ("rfc5626-001.sip", Name::Contact, 49),
    ("rfc5626-002.sip", Name::To, 1),
    ("rfc5627-001.sip", Name::ReferTo, 0),
    ("rfc5627-008.sip", Name::Contact, 32),
    // `:lr` for `;lr`, a remark, a fold in a URI, a comma at the end, user@host in Via
    ("rfc5658-005.sip", Name::Route, 20),
    ("rfc5658-006.sip", Name::Route, 20),
    ("rfc5658-008.sip", Name::RecordRoute, 19),
    ("rfc7118-003.sip", Name::Contact, 22),
    ("rfc7118-005.sip", Name::Contact, 22),
    ("rfc7118-008.sip", Name::Route, 97),
    ("rfc7315-008.sip", Name::Via, 14),
    ("rfc7315-009.sip", Name::Via, 14),
    ("rfc7315-009.sip", Name::Via, 14),
    ("rfc7315-011.sip", Name::Via, 14),
    ("rfc7315-013.sip", Name::Via, 14),
];

#[test]
fn every_value_of_the_corpus() {
    let mut refused = Vec::new();
    let mut taken = 0;
    for path in files() {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        for (name, value) in lines(&fs::read(&path).unwrap()) {
            match parse(name, &value) {
                Some(Ok(())) => taken += 1,
                Some(Err(error)) => refused.push((file.clone(), name, error.offset())),
                None => {}
            }
        }
    }
    // By folder and file, as above.
    refused.sort_by_key(|(file, ..)| !file.ends_with(".dat"));
    let refused: Vec<_> = refused
        .iter()
        .map(|(file, name, at)| (file.as_str(), *name, *at))
        .collect();
    assert_eq!(refused, REFUSED);
    assert!(taken > 4000, "{taken}");
}

#[test]
fn cut_or_damaged_values_do_no_harm() {
    let mut values: Vec<_> = files()
        .iter()
        .flat_map(|path| lines(&fs::read(path).unwrap()))
        .collect();
    values.extend(
        EXTRA
            .iter()
            .map(|&(name, value)| (name, value.as_bytes().to_vec())),
    );
    values.sort_by_key(|(name, value)| (name.as_str(), value.clone()));
    values.dedup();
    for (name, value) in values.iter().filter(|(_, value)| value.len() < 500) {
        for at in 0..value.len() {
            let _ = parse(*name, &value[..at]);
            let _ = parse(*name, &[&value[..at], &value[at + 1..]].concat());
        }
        // RFC 3261 §25.1: NUL stands nowhere but escaped in a quoted string.
        for at in 0..=value.len() {
            let nul = [&value[..at], b"\0", &value[at..]].concat();
            let escaped = at > 0 && value[at - 1] == b'\\';
            assert!(
                escaped || parse(*name, &nul).is_none_or(|r| r.is_err()),
                "{name:?} {}",
                nul.escape_ascii()
            );
        }
    }
}

/// Values that the corpus lacks, one for each view it leaves out.
const EXTRA: &[(Name, &str)] = &[
    (Name::FlowTimer, "120"),
    (Name::MinExpires, "3600"),
    (Name::RSeq, "988789"),
    (Name::RAck, "776656 1 INVITE"),
    (
        Name::Replaces,
        "425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only",
    ),
    (
        Name::Reason,
        "SIP;cause=200;text=\"Call completed \\\"elsewhere\\\"\", Q.850;cause=16",
    ),
    (
        Name::RetryAfter,
        "120 (I'm (still) in a \\) meeting);duration=3600",
    ),
    (Name::RejectContact, "*;automata;+g.oma.sip-im=\"<a>\""),
    (
        Name::PRefusedUriList,
        "<sip:list@example.com>;members=\"<cid:an3bt8jf03@example.net>\", sip:b@c",
    ),
    (Name::ContentLanguage, "fi, en-GB"),
    (Name::ContentEncoding, "deflate"),
    (Name::Unsupported, "foo"),
    (
        Name::Warning,
        "370 [2001:db8::1]:5060 \"Choose a bigger pipe\", 399 a.b \"119 Anonymity not allowed\"",
    ),
];

#[test]
fn every_view_has_a_value() {
    for (name, value) in EXTRA {
        assert_eq!(
            parse(*name, value.as_bytes()),
            Some(Ok(())),
            "{name:?} {value}"
        );
    }
}

#[test]
fn values_of_64_kib() {
    let units = [
        ";a", ",", "<", "\"", "\\", "a,", ";a=\"", "(", "%41", ":", "a/", "a ", "\r\n ",
    ];
    let prefixes = [
        "",
        "<sip:a@b>",
        "sip:",
        "<sip:",
        "\"",
        "SIP/2.0/UDP a",
        "*",
        "a",
        "1 (",
    ];
    for long in units.map(|unit| unit.repeat(65_536 / unit.len())) {
        for name in Name::all() {
            for prefix in prefixes {
                let _ = parse(name, [prefix, &long].concat().as_bytes());
            }
        }
    }
    // A long name and a long parameter are taken, and a fault after them is placed as far as it goes.
    let long = "a".repeat(70_000);
    let value = format!("{long} <sip:{long}@b>;{long}={long};tag=1");
    assert_eq!(addr(&value).tag(), Some(&b"1"[..]));
    assert_eq!(
        NameAddr::parse(format!("{value};").as_bytes())
            .unwrap_err()
            .offset(),
        65_535
    );
}

// ---- addresses ----

#[track_caller]
fn addr(value: &str) -> NameAddr<'_> {
    NameAddr::parse(value.as_bytes()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

#[test]
fn addresses_in_every_form() {
    for (value, display, uri, tag) in [
        ("<sip:a@b>", None, "sip:a@b", None),
        ("Anna<sip:a@b>;tag=1", Some("Anna"), "sip:a@b", Some("1")),
        (
            "Anna\r\n\tK  <sip:a@b;x=1:2?y=z> ; tag = 1",
            Some("Anna K"),
            "sip:a@b;x=1:2?y=z",
            Some("1"),
        ),
        (
            r#""A \"<sip:x>\" \\" <sip:a@b>;tag=1"#,
            Some(r#"A "<sip:x>" \"#),
            "sip:a@b",
            Some("1"),
        ),
        ("\"\" <sip:a@b>", Some(""), "sip:a@b", None),
        (
            "\"Työ\"<tel:+358401234567>",
            Some("Työ"),
            "tel:+358401234567",
            None,
        ),
        // RFC 3261 §20.10: without < and > the parameters are those of the header.
        ("sip:a@b", None, "sip:a@b", None),
        ("sip:a@b;tag=1;user=phone", None, "sip:a@b", Some("1")),
        (
            "\r\n sip:a@b \r\n ;tag\r\n =\r\n 1 ",
            None,
            "sip:a@b",
            Some("1"),
        ),
        ("tel:+1-2;tag=1", None, "tel:+1-2", Some("1")),
        (
            "sip:a@[::1]:5060;tag=1",
            None,
            "sip:a@[::1]:5060",
            Some("1"),
        ),
        ("isbn:2983792873", None, "isbn:2983792873", None),
        ("%61 <sip:a@b>", Some("%61"), "sip:a@b", None),
    ] {
        let addr = addr(value);
        assert!(
            addr.display.map(|d| d.bytes().collect::<Vec<_>>())
                == display.map(|d| d.as_bytes().to_vec()),
            "{value}"
        );
        assert_eq!(addr.uri, uri.as_bytes(), "{value}");
        assert_eq!(addr.tag(), tag.map(str::as_bytes), "{value}");
        addr.uri().unwrap();
    }
}

#[test]
fn parameters_and_names_are_asked_for() {
    let anna = addr("\"Anna\" <sip:a@b>;Tag=1;x=\"y z\";expires=60;q=0.5");
    assert_eq!(anna.param(b"tag").unwrap().value, Some(&b"1"[..]));
    assert!(anna.param(b"X").unwrap().unquoted().eq(*b"y z"));
    assert!(anna.param(b"y").is_none());
    assert_eq!((anna.expires(), anna.q()), (Some(60), Some(500)));
    assert!(!anna.display.unwrap().is_empty());
    assert!(addr("\"\" <sip:a@b>").display.unwrap().is_empty());
    // It prints as one line, whatever a peer wrote.
    let name = Text::Quoted(b"a\r\n b\\\"");
    assert_eq!(format!("{name:?}"), r#""a\r\n b\\\"""#);
}

#[test]
fn addresses_that_are_refused() {
    for bad in [
        "",
        " ",
        "<",
        ">",
        "<>",
        "%",
        "<%>",
        "/",
        "<sip:>",
        "sip:",
        "a@b",
        "<a@b>",
        "\"",
        "\"\\",
        "\"A\\\" <sip:a@b>",
        "\"A\" sip:a@b",
        "\"A\"",
        "A B",
        "A <sip:a@b",
        "A sip:a@b>",
        "<sip:a@b>>",
        "<<sip:a@b>>",
        "< sip:a@b>",
        "<sip:a@b >",
        "<sip:a b@c>",
        "<sip:a@b> x",
        "<sip:a@b>;",
        "<sip:a@b>;;tag=1",
        "<sip:a@b>;tag=",
        "<sip:a@b>;=1",
        "<sip:a@b>,<sip:c@d>",
        "sip:a@b,sip:c@d",
        "sip:a@b?x=y",
        "sip:a,c@b",
        "sip:a@b;tag=\"",
        "sip:a@b c",
        "Bell, A <sip:a@b>",
        "A@ <sip:a@b>",
        "\"A\" \"B\" <sip:a@b>",
        "\"A\0\" <sip:a@b>",
        "<sip:a@b\0>",
    ] {
        let refused = NameAddr::parse(bad.as_bytes()).is_err() || addr(bad).uri().is_err();
        assert!(refused, "{bad:?}");
        assert!(
            Contact::parse(bad.as_bytes()).is_err() || refused,
            "{bad:?}"
        );
    }
    assert_eq!(
        NameAddr::parse(b"*").unwrap_err().kind,
        ParseErrorKind::HeaderValue
    );
}

#[test]
fn contacts_of_real_peers() {
    assert!(matches!(Contact::parse(b" * "), Ok(Contact::Star)));
    let gruu = Contact::parse(
        b"<sip:anna@192.0.2.1;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>;+g.oma.sip-im;reg-id=1\
          ;+sip.instance=\"<urn:gsma:imei:90420156-025763-0>\";expires=3600;q=0.75",
    )
    .unwrap();
    assert_eq!(
        gruu.instance(),
        Some(&b"urn:gsma:imei:90420156-025763-0"[..])
    );
    assert_eq!(gruu.reg_id(), Some(1));
    assert!(gruu.has_feature(b"+G.oma.sip-im") && !gruu.has_feature(b"audio"));
    let addr = gruu.addr().unwrap();
    assert_eq!((addr.expires(), addr.q()), (Some(3600), Some(750)));
    assert_eq!(
        addr.uri()
            .unwrap()
            .param(b"gr")
            .unwrap()
            .value
            .unwrap()
            .len(),
        45
    );
    // A parameter that a Contact without < and > seems to give its URI.
    let bare = Contact::parse(b"sip:+19725552222@gw1.example.net;unknownparam").unwrap();
    assert!(
        bare.has_feature(b"unknownparam")
            && bare
                .addr()
                .unwrap()
                .uri()
                .unwrap()
                .params()
                .next()
                .is_none()
    );
    // RFC 3261 §8.3: a malformed expiry is 3600.
    for (expires, seconds) in [
        ("0", 0),
        ("4294967295", u32::MAX),
        ("4294967296", 3600),
        ("-1", 3600),
        ("\"x\"", 3600),
    ] {
        assert_eq!(
            self::addr(&format!("<sip:a@b>;expires={expires}")).expires(),
            Some(seconds),
            "{expires}"
        );
    }
    assert_eq!(self::addr("<sip:a@b>").expires(), None);
    for (q, thousandths) in [
        ("1", Some(1000)),
        ("1.000", Some(1000)),
        ("0.5", Some(500)),
        ("0.001", Some(1)),
        ("0.", Some(0)),
    ]
    .into_iter()
    .chain(["1.001", "2", "0.1234", ".5", "-1", "0.x", "00"].map(|q| (q, None)))
    {
        assert_eq!(
            self::addr(&format!("<sip:a@b>;q={q}")).q(),
            thousandths,
            "{q}"
        );
    }
}

#[test]
fn several_values_in_one_line() {
    let value = b"<sip:p1.example.com;lr>,\r\n <sip:p2.example.com;lr;x=a,b>;y=\"a,b\" , \"Lee, Bo\" <sip:bo@a.example>";
    let uris: Vec<_> = list(value, Route::parse)
        .map(|route| route.unwrap().uri)
        .collect();
    assert_eq!(
        uris,
        [
            &b"sip:p1.example.com;lr"[..],
            b"sip:p2.example.com;lr;x=a,b",
            b"sip:bo@a.example"
        ]
    );
    let error = list(b"<sip:a@b>, <sip:c@d", Route::parse)
        .find_map(Result::err)
        .unwrap();
    assert_eq!(error.offset(), 19);
    assert!(list(b"<sip:a@b>,,<sip:c@d>", Route::parse).any(|route| route.is_err()));
    assert_eq!(list(b"", Route::parse).count(), 0);
}

// ---- Via ----

#[test]
fn vias_in_every_form() {
    let via = |value: &'static str| {
        Via::parse(value.as_bytes()).unwrap_or_else(|error| panic!("{value}: {error}"))
    };
    let folded = via(
        "SIP  / 2.0\r\n  / TCP     spindle.example.com : 5070  ;\r\n  branch  =   z9hG4bK9ikj8",
    );
    assert_eq!(
        (folded.transport, folded.port, folded.branch()),
        (&b"TCP"[..], Some(5070), Some(&b"z9hG4bK9ikj8"[..]))
    );
    assert_eq!(folded.host, Host::Name(b"SPINDLE.example.com"));
    let nat = via(
        "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;received=192.0.2.1;keep;maddr=224.2.0.1;ttl=16;branch=z9hG4bKkjs",
    );
    assert_eq!(
        (nat.rport(), nat.received()),
        (Some(Rport::Port(9988)), parse_ip(b"192.0.2.1"))
    );
    assert_eq!(
        (nat.keep(), nat.maddr(), nat.ttl()),
        (
            Some(Keep::Willing),
            Host::parse(b"224.2.0.1").ok(),
            Some(16)
        )
    );
    let asks = via("SIP/2.0/UDP h;rport;keep=30");
    assert_eq!(
        (asks.rport(), asks.keep(), asks.branch()),
        (Some(Rport::Empty), Some(Keep::Seconds(30)), None)
    );
    // RFC 5118 §4.5
    for received in [
        "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255]",
        "SIP/2.0/UDP [::1];received=2001:db8::9:255",
    ] {
        assert_eq!(via(received).received(), parse_ip(b"2001:db8::9:255"));
    }
    let odd = via("SIP/2.0/UDP h;rport=65536;received=host;ttl=256;keep=x;maddr=-");
    assert_eq!(
        (
            odd.rport(),
            odd.received(),
            odd.ttl(),
            odd.keep(),
            odd.maddr()
        ),
        (None, None, None, None, None)
    );
}

#[test]
fn vias_that_are_refused() {
    for bad in [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0/UDPh",
        "SIP/2.0 h",
        "/2.0/UDP h",
        "SIP//UDP h",
        "SIP/2.0/ h",
        "SIP/2.0/UDP h:",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP h:65536",
        "SIP/2.0/UDP 2001:db8::1",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP a@b",
        "SIP/2.0/UDP h;",
        "SIP/2.0/UDP h;;branch=1",
        "SIP/2.0/UDP h;branch=",
        "SIP/2.0/UDP h x",
        "SIP/2.0/UDP h, SIP/2.0/UDP i",
        "SIP/2.0/UDP -h",
        "SIP/2.0/UDP h;branch=a@b",
    ] {
        assert!(Via::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert_eq!(
        Via::parse(b"SIP/2.0/UDP host:99999").unwrap_err(),
        ParseError::new(ParseErrorKind::Number, 17)
    );
}

// ---- numbers ----

/// 2^31, 2^32, 2^63, 2^64 and 100 digits.
fn numbers() -> [String; 5] {
    [1u128 << 31, 1 << 32, 1 << 63, 1 << 64]
        .map(|n| n.to_string())
        .into_iter()
        .chain(["9".repeat(100)])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

#[test]
fn numbers_at_their_limits() {
    let [below, over @ ..] = numbers();
    let kind = |result: Result<(), ParseError>| result.map_err(|error| error.kind);
    for name in [
        Name::Expires,
        Name::MinExpires,
        Name::FlowTimer,
        Name::RSeq,
        Name::MinSe,
        Name::SessionExpires,
        Name::RetryAfter,
    ] {
        assert_eq!(parse(name, below.as_bytes()), Some(Ok(())), "{name:?}");
        for number in &over {
            assert_eq!(
                parse(name, number.as_bytes()).map(kind),
                Some(Err(ParseErrorKind::Number)),
                "{name:?} {number}"
            );
        }
    }
    assert_eq!(
        CSeq::parse(format!("{below} MESSAGE").as_bytes())
            .unwrap()
            .number,
        1 << 31
    );
    assert_eq!(
        RAck::parse(format!("{below} {below} INVITE").as_bytes())
            .unwrap()
            .number,
        1 << 31
    );
    for number in &over {
        for value in [
            format!("{number} INVITE"),
            format!("1 {number} INVITE"),
            format!("{number} 1 INVITE"),
        ] {
            let name = if value.split(' ').count() == 2 {
                Name::CSeq
            } else {
                Name::RAck
            };
            assert_eq!(
                parse(name, value.as_bytes()).map(kind),
                Some(Err(ParseErrorKind::Number)),
                "{value}"
            );
        }
        assert_eq!(
            ContentLength::parse(number.as_bytes()).unwrap_err().kind,
            ParseErrorKind::ContentLength
        );
        let via = format!("SIP/2.0/UDP h:{number}");
        assert_eq!(
            Via::parse(via.as_bytes()).unwrap_err().kind,
            ParseErrorKind::Number
        );
        let params = format!("active;expires={number};retry-after={number}");
        let state = SubscriptionState::parse(params.as_bytes()).unwrap();
        assert_eq!((state.expires(), state.retry_after()), (None, None));
    }
    assert_eq!(MaxForwards::parse(b"0068"), Ok(MaxForwards(68)));
    assert_eq!(MaxForwards::parse(b"255"), Ok(MaxForwards(255)));
    assert_eq!(
        MaxForwards::parse(b"256").unwrap_err().kind,
        ParseErrorKind::Number
    );
    for bad in ["", "-1", "+1", "1 2", "1,1", "0x1", "1.5"] {
        assert_eq!(
            Expires::parse(bad.as_bytes()).unwrap_err().kind,
            ParseErrorKind::HeaderValue,
            "{bad}"
        );
    }
}

#[test]
fn sequence_numbers_need_a_method() {
    let cseq = CSeq::parse(b"0009\r\n  INVITE").unwrap();
    assert_eq!((cseq.number, cseq.method), (9, Method::Invite));
    assert_eq!(CSeq::parse(b"1 1").unwrap().method, Method::Other(b"1"));
    for bad in [
        "",
        "1",
        "1 ",
        "INVITE",
        "1INVITE",
        "1  INVITE x",
        "-1 INVITE",
        "1 INV@ITE",
        "1,2 INVITE",
    ] {
        assert!(CSeq::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    for bad in ["1 2", "1 INVITE", "1 2INVITE", "1  2  "] {
        assert!(RAck::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    // A method of 64 KiB is a method (PJSIP kept it in a fixed buffer).
    let long = format!("1 {}", "M".repeat(65_536));
    assert!(
        matches!(CSeq::parse(long.as_bytes()).unwrap().method, Method::Other(m) if m.len() == 65_536)
    );
}

// ---- the others ----

#[test]
fn preferences_of_callers() {
    let accept = AcceptContact::parse(
        b"*;+g.oma.sip-im;Require;explicit;methods=\"MESSAGE,INVITE\";+x=\"<urn:a>\"",
    )
    .unwrap();
    assert!(accept.is_required() && accept.is_explicit());
    assert_eq!(accept.feature(b"+G.OMA.SIP-IM"), Some(None));
    assert_eq!(
        accept.feature(b"methods"),
        Some(Some(&b"MESSAGE,INVITE"[..]))
    );
    assert_eq!(accept.feature(b"+x"), Some(Some(&b"urn:a"[..])));
    assert_eq!(accept.features().count(), 3);
    let wish = AcceptContact::parse(b"*;+g.oma.sip-im").unwrap();
    assert!(!wish.is_required() && !wish.is_explicit());
    for bad in ["", ";a", "a;b", "*a", "*;", "*,*"] {
        assert!(AcceptContact::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn refer_sub_is_true_or_false() {
    assert_eq!(ReferSub::parse(b"true"), Ok(ReferSub::True));
    assert_eq!(ReferSub::parse(b"FALSE;x=y"), Ok(ReferSub::False));
    assert!(ReferSub::parse(b"no").is_err() && ReferSub::parse(b"true;").is_err());
}

#[test]
fn warnings_of_im_servers() {
    let codes = |value: &'static str| -> Vec<_> {
        list(value.as_bytes(), Warning::parse)
            .map(|warning| warning.map(|w| (w.code, w.im_code())).ok())
            .collect()
    };
    assert_eq!(
        codes(r#"399 host "119 Anonymity not allowed""#),
        [Some((399, Some(119)))]
    );
    assert_eq!(codes(r#"399 host "119""#), [Some((399, Some(119)))]);
    assert_eq!(
        codes(r#"119 host "Anonymity not allowed""#),
        [Some((119, Some(119)))]
    );
    assert_eq!(
        codes(r#"399 h:5060 "1190 x", 399 [::1]:5060 "x, 119", 307 isi.edu "110 x""#),
        [Some((399, None)), Some((399, None)), Some((307, None)),]
    );
    assert_eq!(
        codes(r#"39 h "x", 3999 h "x", 399 h, 399 "x", 399h "x", 399 h"x", 399 h x"#),
        [None; 7]
    );
    let text = Warning::parse(b"370 devnull \"Choose a \\\"bigger\\\"\r\n pipe\"")
        .unwrap()
        .text;
    assert!(text == *"Choose a \"bigger\" pipe");
}

#[test]
fn agents() {
    let first = |value: &'static str| {
        Products::parse(value.as_bytes()).map(|p| p.first().map(|p| (p.name, p.version)))
    };
    assert_eq!(
        first("IM-serv/OMA2.0 Example/1.0"),
        Ok(Some((&b"IM-serv"[..], Some(&b"OMA2.0"[..]))))
    );
    assert_eq!(
        first("IM-client/OMA1.0 Nexus/5.0/X (a(b)\\))"),
        Ok(Some((&b"IM-client"[..], Some(&b"OMA1.0"[..]))))
    );
    assert_eq!(first("(only a comment)"), Ok(None));
    assert_eq!(
        first("kamailio (5.6.3 (x86_64/linux))"),
        Ok(Some((&b"kamailio"[..], None)))
    );
    for bad in ["", "/1", "a/", "a/ ", "(", "(a", "a (b\\", "a @", "a/b/"] {
        assert!(Products::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn dates() {
    let unix = |text: &str| {
        Date::parse(text.as_bytes())
            .map(|date| date.unix_seconds)
            .map_err(|error| error.kind)
    };
    assert_eq!(unix("Thu, 01 Jan 1970 00:00:00 GMT"), Ok(0));
    assert_eq!(unix("Wed, 31 Dec 1969 23:59:59 GMT"), Ok(-1));
    assert_eq!(unix("Sat, 13 Nov 2010 23:29:00 GMT"), Ok(1_289_690_940));
    assert_eq!(unix("Thu, 29 Feb 2024 12:00:00 GMT"), Ok(1_709_208_000));
    assert_eq!(unix("Fri, 01 Mar 2024 00:00:00 GMT"), Ok(1_709_251_200));
    assert_eq!(unix("Tue, 29 Feb 2000 00:00:00 GMT"), Ok(951_782_400));
    assert_eq!(unix("Tue, 19 Jan 2038 03:14:08 GMT"), Ok(1 << 31));
    assert_eq!(unix("Fri, 31 Dec 9999 23:59:59 GMT"), Ok(253_402_300_799));
    for (bad, kind) in [
        ("Wed, 29 Feb 2023 00:00:00 GMT", ParseErrorKind::Number),
        ("Thu, 29 Feb 1900 00:00:00 GMT", ParseErrorKind::Number),
        ("Thu, 00 Jan 1970 00:00:00 GMT", ParseErrorKind::Number),
        ("Thu, 31 Apr 1970 00:00:00 GMT", ParseErrorKind::Number),
        ("Thu, 01 Jan 1970 24:00:00 GMT", ParseErrorKind::Number),
        ("Thu, 01 Jan 1970 23:60:00 GMT", ParseErrorKind::Number),
        ("Thu, 01 Jan 1970 23:59:60 GMT", ParseErrorKind::Number),
    ] {
        assert_eq!(unix(bad), Err(kind), "{bad}");
    }
    for bad in [
        "",
        "Thu, 01 Jan 1970 00:00:00 EST",
        "thu, 01 Jan 1970 00:00:00 GMT",
        "Thu, 1 Jan 1970 00:00:00 GMT",
        "Thu, 01 jan 1970 00:00:00 GMT",
        "Thu 01 Jan 1970 00:00:00 GMT",
        "Thu, 01 Jan 70 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT x",
        "Thu,  01 Jan 1970 00:00:00 GMT",
        "01 Jan 1970 00:00:00 GMT",
        "3600",
        "Thu, +1 Jan 1970 00:00:00 GMT",
    ] {
        assert_eq!(unix(bad), Err(ParseErrorKind::HeaderValue), "{bad}");
    }
}

#[test]
fn bodies() {
    let mixed = ContentType::parse(b"Multipart / Mixed ; boundary = \"imb1\"; x=y").unwrap();
    assert!(mixed.is(b"multipart", b"mixed"));
    assert_eq!(mixed.boundary(), Some(&b"imb1"[..]));
    assert_eq!(
        ContentType::parse(b"a/b;boundary=x").unwrap().boundary(),
        Some(&b"x"[..])
    );
    assert_eq!(mixed.charset().map(Iterator::count), None);
    let ranges: Vec<_> = list(b"text/*;q=0.5, message/cpim, */*;q=0.1", Accept::parse)
        .map(Result::unwrap)
        .collect();
    let cpim = ContentType::parse(b"message/CPIM").unwrap();
    assert_eq!(
        ranges
            .iter()
            .map(|range| range.accepts(&cpim))
            .collect::<Vec<_>>(),
        [false, true, true]
    );
    assert_eq!(
        ranges.iter().map(MediaType::q).collect::<Vec<_>>(),
        [Some(500), None, Some(100)]
    );
    for bad in [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain x",
        "text/plain;",
        "text/plain, a/b",
        "te xt/plain",
    ] {
        assert!(ContentType::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(
        ContentDisposition::parse(b"session;handling=Optional")
            .unwrap()
            .handling(),
        Handling::Optional
    );
    assert_eq!(
        ContentDisposition::parse(b"session;handling=x")
            .unwrap()
            .handling(),
        Handling::Required
    );
    assert_eq!(ContentId::parse(b" <a@b> ").unwrap().id, b"a@b");
    for bad in ["", "a@b", "<>", "<a@b", "<a b>", "<a><b>"] {
        assert!(ContentId::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(
        MimeVersion::parse(b"1.0"),
        Ok(MimeVersion { major: 1, minor: 0 })
    );
    for bad in ["", "1", "1.", ".0", "1.0.0", "1 .0"] {
        assert!(MimeVersion::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn dialogs_and_tags() {
    let replaces = Replaces::parse(b"a@b;from-tag=2;to-tag=1;early-only").unwrap();
    assert_eq!(
        (
            replaces.call_id.as_bytes(),
            replaces.to_tag,
            replaces.from_tag
        ),
        (&b"a@b"[..], &b"1"[..], &b"2"[..])
    );
    assert!(replaces.is_early_only());
    let replaces = Replaces::parse(b"a@b;from-tag=2;to-tag=1;early=only").unwrap();
    assert!(!replaces.is_early_only());
    for bad in [
        "a",
        "a;to-tag=1",
        "a;to-tag=1;from-tag=2;to-tag=3",
        "a;to-tag;from-tag=2",
        ";to-tag=1;from-tag=2",
    ] {
        assert!(Replaces::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let target = TargetDialog::parse(b"inv-2@192.0.2.10;local-tag=srv88;remote-tag=i2").unwrap();
    assert_eq!(
        (target.local_tag(), target.remote_tag()),
        (Some(&b"srv88"[..]), Some(&b"i2"[..]))
    );
    assert_eq!(
        CallId::parse(br#"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{ "#)
            .map(|id| id.as_bytes().len()),
        Ok(42)
    );
    for bad in ["", "@", "a@", "@b", "a@b@c", "a b", "a;b", "a,b"] {
        assert!(CallId::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn lists_and_small_ones() {
    let privacy = Privacy::parse(b"header;\r\n id, Critical").unwrap();
    assert!(privacy.iter().eq([&b"header"[..], b"id", b"Critical"]) && privacy.has(b"critical"));
    assert!(
        Privacy::parse(b"").is_err()
            && Privacy::parse(b"id;;user").is_err()
            && Privacy::parse(b"id x").is_err()
    );
    assert!(Supported::parse(b"").unwrap().iter().next().is_none());
    assert!(
        Supported::parse(b"a,,b").is_err()
            && Supported::parse(b"a b").is_err()
            && Supported::parse(b"a;b").is_err()
    );
    assert!(
        Allow::parse(b"MESSAGE,message")
            .unwrap()
            .methods()
            .eq([Method::Message, Method::Other(b"message")])
    );
    let expires = SessionExpires::parse(b"1800 ;refresher=UAC").unwrap();
    assert_eq!(
        (expires.seconds, expires.refresher()),
        (1800, Some(Refresher::Uac))
    );
    let uas = SessionExpires::parse(b"90;refresher=uas").unwrap();
    assert_eq!(uas.refresher(), Some(Refresher::Uas));
    let open = SessionExpires::parse(b"90;refresher=both").unwrap();
    assert_eq!(open.refresher(), None);
    for bad in [
        "1 (\\\r)",
        "1 (\\\n)",
        "1 (\\\u{e9})",
        "1 (a\\",
        "1 (\u{7f})",
    ] {
        assert!(RetryAfter::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    let retry = RetryAfter::parse(b"120 (I'm (still) in a \\) meeting) ;duration=3600").unwrap();
    assert!(
        retry
            .comment
            .is_some_and(|comment| comment == *"I'm (still) in a ) meeting")
    );
    assert_eq!((retry.seconds, retry.duration()), (120, Some(3600)));
    assert!(
        RetryAfter::parse(b"120 (x").is_err()
            && RetryAfter::parse(b"120 x").is_err()
            && RetryAfter::parse(b"(x)").is_err()
    );
    let reason = Reason::parse(b"SIP ;cause=600 ;text=\"Busy \\\"E\\\"\"").unwrap();
    assert_eq!((reason.protocol, reason.cause()), (&b"SIP"[..], Some(600)));
    assert!(reason.text().is_some_and(|text| text == *"Busy \"E\""));
    let network =
        PAccessNetworkInfo::parse(b"3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=244050d2f1a0c6b03")
            .unwrap();
    assert_eq!(network.access, b"3GPP-E-UTRAN-FDD");
    assert!(
        Subject::parse(b" I know you're there,\r\n   pick up ")
            .is_ok_and(|text| text == *"I know you're there, pick up")
    );
    assert_eq!(
        Subject::parse(b"a\0b").unwrap_err(),
        ParseError::new(ParseErrorKind::ControlCharacter, 1)
    );
}

#[test]
fn what_is_not_there_is_not_found() {
    let privacy = Privacy::parse(b"header;id").unwrap();
    assert!(privacy.has(b"ID") && !privacy.has(b"user"));
    let supported = Supported::parse(b"path, outbound").unwrap();
    assert!(supported.has(b"Outbound") && !supported.has(b"gruu"));
    let reason = Reason::parse(b"SIP;cause=200;text=\"a \\\"b\\\"\"").unwrap();
    let text = reason.text().unwrap();
    assert!(text == *"a \"b\"" && text != *"a b" && text != *"");
    let retry = RetryAfter::parse(b"60 (say \"later\" (please))").unwrap();
    assert!(retry.comment.unwrap() == *"say \"later\" (please)");
    let codings = ["gzip", "gzip;q=0.5", "gzip;q=2"]
        .map(|value| AcceptEncoding::parse(value.as_bytes()).unwrap().q());
    assert_eq!(codings, [None, Some(500), None]);
    let media = ContentType::parse(b"message/CPIM").unwrap();
    assert!(media.is(b"Message", b"cpim"));
    assert!(!media.is(b"text", b"cpim") && !media.is(b"message", b"text"));
    assert!(media.charset().is_none());
    let plain = ContentType::parse(b"text/plain;charset=\"UTF-8\"").unwrap();
    assert!(plain.charset().unwrap().eq(*b"UTF-8"));
    let contact = Contact::parse(b"<sip:a@b>;expires=60").unwrap();
    assert_eq!((contact.reg_id(), contact.instance()), (None, None));
}

//! What a message says, read header by header through the views.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use oma_im::wire::error::{ParseError, ParseErrorKind};
use oma_im::wire::header::{Event, Expires, Via};
use oma_im::wire::message::{Message, StartLine};
use oma_im::wire::name::{Method, Name};

const REQUEST: &str = "SUBSCRIBE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/TCP a.example;branch=z9hG4bK1, SIP/2.0/UDP b.example\r\n\
    v: SIP/2.0/UDP c.example\r\n\
    Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\n\
    Max-Forwards: 70\r\n\
    From: Alice <sip:alice@example.com>;tag=1\r\n\
    To: <sip:bob@example.com>\r\n\
    i: 7@a.example\r\n\
    CSeq: 3 SUBSCRIBE\r\n\
    m: <sip:alice@192.0.2.1>, <sip:alice@192.0.2.2>\r\n\
    o: presence\r\n\
    X-Kept: as it is\r\n\
    Expires: 600\r\n\
    Content-Length: 2\r\n\r\nHi";

/// The same with one header line put in place of another.
fn with(old: &str, new: &str) -> String {
    assert!(REQUEST.contains(old), "{old}");
    REQUEST.replace(old, new)
}

fn fault<'b, T>(text: &'b str, read: impl Fn(&Message<'b>) -> Result<T, ParseError>) -> ParseError {
    let message = Message::parse(text.as_bytes()).unwrap();
    read(&message).err().unwrap()
}

#[test]
fn every_header_of_a_request_is_read() {
    let message = Message::parse(REQUEST.as_bytes()).unwrap();
    message.validate().unwrap();
    let hosts: Vec<_> = message.vias().map(|v| v.unwrap().host).collect();
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["a.example", "b.example", "c.example"]);
    assert_eq!(message.via().unwrap().branch(), Some(&b"z9hG4bK1"[..]));
    let routes: Vec<_> = message
        .addresses(Name::Route)
        .map(|r| r.unwrap().uri)
        .collect();
    assert_eq!(routes, [&b"sip:p1.example;lr"[..], b"sip:p2.example;lr"]);
    assert_eq!(message.max_forwards().unwrap().unwrap().0, 70);
    assert_eq!(message.from().unwrap().tag(), Some(&b"1"[..]));
    assert_eq!(message.to().unwrap().uri, b"sip:bob@example.com");
    assert_eq!(message.to().unwrap().tag(), None);
    assert_eq!(message.call_id(), Ok(&b"7@a.example"[..]));
    let cseq = message.cseq().unwrap();
    assert_eq!((cseq.number, cseq.method), (3, Method::Subscribe));
    assert_eq!(message.contacts().count(), 2);
    let expires = message.optional(Name::Expires, Expires::parse).unwrap();
    assert_eq!(expires.unwrap().0, 600);
    let event = message.required(Name::Event, Event::parse).unwrap();
    assert!(event.event_type.is(b"presence"));
    assert_eq!(message.other("x-kept"), Some(&b"as it is"[..]));
    assert_eq!(message.other("x-lost"), None);
    assert_eq!(message.content_length(), Ok(Some(2)));
    assert_eq!(message.body(), b"Hi");
    assert_eq!(message.request().unwrap().method, Method::Subscribe);
    assert!(message.response().is_none());
}

#[test]
fn what_is_not_there_is_none_or_missing() {
    let bytes = b"SIP/2.0 200 OK\r\nSubject: x\r\n\r\n";
    let message = Message::parse(bytes).unwrap();
    let missing = Some(ParseError::new(ParseErrorKind::MissingHeader, bytes.len()));
    assert_eq!(message.via().err(), missing);
    assert_eq!(message.from().err(), missing);
    assert_eq!(message.to().err(), missing);
    assert_eq!(message.call_id().err(), missing);
    assert_eq!(message.cseq().err(), missing);
    assert_eq!(message.required(Name::Event, Event::parse).err(), missing);
    assert!(message.max_forwards().unwrap().is_none());
    assert!(
        message
            .optional(Name::Event, Event::parse)
            .unwrap()
            .is_none()
    );
    assert_eq!(message.addresses(Name::Route).count(), 0);
    assert_eq!(message.contacts().count(), 0);
    assert_eq!(message.content_length(), Ok(None));
    assert!(message.request().is_none());
    assert_eq!(message.response().unwrap().reason, b"OK");
}

#[test]
fn a_fault_is_told_where_it_stands_in_the_message() {
    let at = |text: &str, part: &str| text.find(part).unwrap();
    let text = with("i: 7@a.example", "i: 7@a@b");
    let error = fault(&text, Message::call_id);
    assert_eq!(
        (error.kind, error.offset()),
        (ParseErrorKind::HeaderValue, at(&text, "7@a@b"))
    );
    for bad in ["@a", "a@", "", "a b", "a@b c"] {
        let text = with("i: 7@a.example", &format!("i: {bad}"));
        assert_eq!(
            fault(&text, Message::call_id).kind,
            ParseErrorKind::HeaderValue,
            "{bad}"
        );
        assert_eq!(
            fault(&text, Message::validate).kind,
            ParseErrorKind::HeaderValue,
            "{bad}"
        );
    }
    let text = with("Max-Forwards: 70", "Max-Forwards: 7x");
    assert_eq!(
        fault(&text, Message::max_forwards).offset(),
        at(&text, "7x") + 1
    );
    assert_eq!(
        fault(&text, Message::validate).offset(),
        at(&text, "7x") + 1
    );
    let text = with("o: presence", "o: ;id=1");
    let error = fault(&text, |message| message.required(Name::Event, Event::parse));
    assert_eq!(error.offset(), at(&text, ";id=1"));
    let error = fault(&text, |message| message.optional(Name::Event, Event::parse));
    assert_eq!(error.offset(), at(&text, ";id=1"));
    let text = with("<sip:p2.example;lr>", "<sip:p2.example;lr");
    let error = fault(&text, |message| {
        message.addresses(Name::Route).try_for_each(|r| r.map(drop))
    });
    assert_eq!(error.kind, ParseErrorKind::HeaderValue);
    // Empty lines before a message (RFC 3261 §7.5) count.
    let text = format!("\r\n\r\n{}", with("CSeq: 3", "CSeq: x"));
    assert_eq!(
        fault(&text, Message::cseq).offset(),
        at(&text, "x SUBSCRIBE")
    );
}

// RFC 3261 §8.1.1.5, §20.8: any other header of the walk, one at a time.
#[test]
fn a_request_is_judged_by_each_header_that_must_be_right() {
    for (old, new, kind) in [
        (
            "CSeq: 3 SUBSCRIBE",
            "CSeq: 3 NOTIFY",
            ParseErrorKind::MethodMismatch,
        ),
        (
            "CSeq: 3 SUBSCRIBE",
            "CSeq: 4294967296 SUBSCRIBE",
            ParseErrorKind::Number,
        ),
        (
            "i: 7@a.example",
            "i: 7\r\ni: 7",
            ParseErrorKind::DuplicateHeader,
        ),
        (
            "Expires: 600",
            "Expires: 600\r\nexpires: 600",
            ParseErrorKind::DuplicateHeader,
        ),
        (
            "To: <sip:bob@example.com>",
            "To: <sip:bob@>",
            ParseErrorKind::Uri,
        ),
        ("From: Alice", "From: \"Alice", ParseErrorKind::HeaderValue),
        ("<sip:alice@192.0.2.2>", "<sip:alice@>", ParseErrorKind::Uri),
        (
            "<sip:p2.example;lr>",
            "<sip:p2.example;;lr>",
            ParseErrorKind::Uri,
        ),
        (
            "SIP/2.0/UDP b.example",
            "SIP/2.0/UDP",
            ParseErrorKind::HeaderValue,
        ),
        (
            "<sip:p2.example;lr>",
            "<sip:p2.example;lr>,",
            ParseErrorKind::HeaderValue,
        ),
        (
            "SUBSCRIBE sip:bob@example.com",
            "SUBSCRIBE sip:bob@",
            ParseErrorKind::Uri,
        ),
        (
            "SUBSCRIBE sip:bob@example.com",
            "SUBSCRIBE im:bob@example.com",
            ParseErrorKind::UriScheme,
        ),
    ] {
        assert_eq!(
            fault(&with(old, new), Message::validate).kind,
            kind,
            "{new}"
        );
    }
    // What may stand more than once, and what is no address.
    for (old, new) in [
        ("X-Kept: as it is", "X-Kept: 1\r\nX-Kept: 1"),
        ("m: <sip:alice@192.0.2.1>, <sip:alice@192.0.2.2>", "m: *"),
        ("Max-Forwards: 70\r\n", ""),
        (
            "Route: <sip:p1.example;lr>, <sip:p2.example;lr>",
            "Record-Route: <sip:p1.example;lr>",
        ),
    ] {
        let text = with(old, new);
        Message::parse(text.as_bytes())
            .unwrap()
            .validate()
            .unwrap_or_else(|e| panic!("{new}: {e}"));
    }
    let text = with(
        "Route: <sip:p1.example;lr>, <sip:p2.example;lr>",
        "Record-Route: <sip:@>",
    );
    assert_eq!(fault(&text, Message::validate).kind, ParseErrorKind::Uri);
}

// RFC 3261 §7.1, §7.2, §7.3.1: each way of breaking a line, with the byte that breaks it.
#[test]
fn a_head_is_refused_at_the_byte_that_is_wrong() {
    use ParseErrorKind::{
        ControlCharacter, HeaderName, LineEnd, StartLine, StatusCode, Truncated, Version,
    };
    let judge = |bytes: &str, kind, offset| {
        let error = Message::parse(bytes.as_bytes()).unwrap_err();
        assert_eq!((error.kind, error.offset()), (kind, offset), "{bytes:?}");
    };
    for (line, kind, offset) in [
        ("", Truncated, 0),
        ("OPTIONS sip:a SIP/2.0", Truncated, 21),
        ("OPTIONS sip:a SIP/2.0\r", Truncated, 22),
        ("OPTIONS sip:a SIP/2.0\r\n", Truncated, 23),
        ("OPTIONS sip:a SIP/2.0\rX", LineEnd, 21),
        ("OPTIONS sip:a SIP/2.0\n\n", LineEnd, 21),
        ("OPTIONS sip:a\u{1} SIP/2.0\r\n", ControlCharacter, 13),
        ("OPTIONS sip:a\tb SIP/2.0\r\n", StartLine, 8),
        ("\tOPTIONS sip:a SIP/2.0\r\n", StartLine, 0),
        (" sip:a SIP/2.0\r\n", StartLine, 0),
        ("OPTIONS\tsip:a SIP/2.0\r\n", StartLine, 7),
        ("OPTIONS  SIP/2.0\r\n", StartLine, 8),
        ("OPTIONS sip:a\r\n", StartLine, 13),
        ("OPTIONS sip:a SIP/3.0\r\n", Version, 14),
        ("OPTIONS sip:a SIP/12.34\r\n", Version, 14),
        ("OPTIONS sip:a SIP/2\r\n", StartLine, 14),
        ("OPTIONS sip:a SIP/.0\r\n", StartLine, 14),
        ("OPTIONS sip:a SIP/2.\r\n", StartLine, 14),
        ("OPTIONS sip:a SIP/x.0\r\n", StartLine, 14),
        ("OPTIONS sip:a HTTP/1.1\r\n", StartLine, 14),
        ("OPTIONS sip:a TIP/3.0\r\n", StartLine, 14),
        ("OPTIONS sip:a SIP/2.0 \r\n", StartLine, 14),
        ("SIP/3.0 200 OK\r\n", Version, 0),
        ("SIP/2.0x200 OK\r\n", StartLine, 0),
        ("SIP/2.0\r\n", StatusCode, 7),
        ("SIP/2.0 \r\n", StatusCode, 8),
        ("SIP/2.0 99 x\r\n", StatusCode, 8),
        ("SIP/2.0 099 x\r\n", StatusCode, 8),
        ("SIP/2.0 700 x\r\n", StatusCode, 8),
        ("SIP/2.0 2000 x\r\n", StatusCode, 8),
        ("SIP/2.0 200\r\n", StartLine, 11),
        ("SIP/2.0 200OK\r\n", StartLine, 11),
    ] {
        judge(line, kind, offset);
        if kind != Truncated {
            // Empty lines in front count (RFC 3261 §7.5).
            judge(&format!("\r\n\r\n{line}\r\n\r\n"), kind, offset + 4);
        }
    }
    for good in [
        "SIP/2.0 200 \r\n\r\n",
        "sip/2.0 200 a\tb\r\n\r\n",
        "X a sip/2.0\r\n\r\n",
    ] {
        assert!(Message::parse(good.as_bytes()).is_ok(), "{good:?}");
    }
    // A header line begins at byte 23.
    for (line, kind, offset) in [
        ("Sub", Truncated, 3),
        ("Sub\r", Truncated, 3),
        ("Sub\r\n", HeaderName, 3),
        ("Sub\rX", LineEnd, 3),
        ("Sub\nX", LineEnd, 3),
        ("Sub x: y\r\n", HeaderName, 4),
        ("Sub\u{1}: x\r\n", ControlCharacter, 3),
        ("Sub \u{7f}: x\r\n", ControlCharacter, 4),
        ("Sub\u{e9}: x\r\n", HeaderName, 3),
        (": x\r\n", HeaderName, 0),
        (" Sub: x\r\n", HeaderName, 0),
        ("\tSub: x\r\n", HeaderName, 0),
        ("\rX", LineEnd, 0),
        ("\nX", LineEnd, 0),
        ("\r", Truncated, 0),
        ("A: b", Truncated, 4),
        ("A: b\r", Truncated, 5),
        ("A: b\r\n", Truncated, 6),
        ("A: b\rX", LineEnd, 4),
        ("A: b\nX", LineEnd, 4),
        ("A: b\u{1}\r\n", ControlCharacter, 4),
        ("A: b\r\n c\u{0}\r\n", ControlCharacter, 8),
        // An escaped one is of a quoted string alone, of a header whose grammar is known.
        ("From: \"\\\u{1}\" <sip:a>\r\n\u{1}", ControlCharacter, 20),
        ("From: \"\" \\\u{1}\r\n", ControlCharacter, 10),
        ("From: \"\\\\\u{1}\r\n", ControlCharacter, 9),
        ("From: \"\\\u{1}\u{1}\"\r\n", ControlCharacter, 9),
        ("Subject: \"\\\u{1}\"\r\n", ControlCharacter, 11),
        ("X-Foo: \"\\\u{1}\"\r\n", ControlCharacter, 9),
    ] {
        judge(
            &format!("OPTIONS sip:a SIP/2.0\r\n{line}"),
            kind,
            23 + offset,
        );
    }
    for good in [
        "Sub \t : x\r\n",
        "A:\r\n",
        "A: b\tc\r\n\td\r\n e\r\n",
        "From: \"a\\\u{1}b\\\"\\\u{1}\"\r\n",
    ] {
        let text = format!("OPTIONS sip:a SIP/2.0\r\n{good}\r\n");
        let message = Message::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{good:?}: {e}"));
        assert_eq!(message.headers().count(), 1, "{good:?}");
        assert_eq!(message.head_len(), text.len());
    }
}

#[test]
fn every_header_may_stand_once_and_some_only_once() {
    let value = |name: Name| match name {
        Name::Via => "SIP/2.0/UDP a.example",
        Name::From | Name::To => "<sip:a@b>",
        Name::Contact | Name::Route | Name::RecordRoute => "<sip:a@b>",
        Name::CSeq => "1 OPTIONS",
        Name::MaxForwards | Name::ContentLength => "0",
        _ => "x",
    };
    let lines: Vec<_> = Name::all()
        .map(|name| (name, format!("{}: {}\r\n", name.as_str(), value(name))))
        .collect();
    assert!(lines.len() > 64, "more than one word of bits");
    let judge = |lines: &[(Name, String)]| {
        let lines: String = lines.iter().map(|(_, line)| line.as_str()).collect();
        let text = format!("OPTIONS sip:a@b SIP/2.0\r\n{lines}\r\n");
        let message = Message::parse(text.as_bytes());
        message
            .and_then(|message| message.well_formed())
            .map_err(|error| error.kind)
    };
    use Name::{CSeq, CallId, From, To, Via};
    let mandatory = |name: Name| matches!(name, Via | From | To | CallId | CSeq);
    let must: Vec<_> = lines
        .iter()
        .filter(|(name, _)| mandatory(*name))
        .cloned()
        .collect();
    let others: Vec<_> = lines
        .iter()
        .filter(|(name, _)| !mandatory(*name))
        .cloned()
        .collect();
    for some in [&others[..64], &others[others.len() - 64..]] {
        assert_eq!(judge(&[&must[..], some].concat()), Ok(()));
    }
    // No name is taken for another one.
    for pair in others.windows(65) {
        let both = [pair[0].clone(), pair[64].clone()];
        assert_eq!(judge(&[&must[..], &both].concat()), Ok(()), "{both:?}");
    }
    for line in &lines {
        let twice = [line.clone(), line.clone()];
        let mut all: Vec<_> = must
            .iter()
            .filter(|other| other.0 != line.0)
            .cloned()
            .collect();
        all.extend(twice);
        let expected = if line.0.is_singleton() {
            Err(ParseErrorKind::DuplicateHeader)
        } else {
            Ok(())
        };
        assert_eq!(judge(&all), expected, "{line:?} twice");
    }
}

#[test]
fn a_head_alone_is_read_without_its_body() {
    let head = REQUEST.strip_suffix("Hi").unwrap();
    assert_eq!(
        Message::parse(head.as_bytes()).unwrap_err().kind,
        ParseErrorKind::Truncated
    );
    let message = Message::parse_head(head.as_bytes()).unwrap();
    assert_eq!((message.body(), message.head_len()), (&b""[..], head.len()));
    assert_eq!(message.content_length(), Ok(Some(2)));
    let whole = Message::parse_head(REQUEST.as_bytes()).unwrap();
    assert_eq!((whole.body(), whole.head_len()), (&b""[..], head.len()));
    assert_eq!(
        Message::parse_head(b"SIP/2.0 200 OK\r\n").unwrap_err().kind,
        ParseErrorKind::Truncated
    );
    // parse_head does not look at Content-Length; whoever checks the message does.
    for (bad, kind) in [
        ("x", ParseErrorKind::ContentLength),
        ("1, 1", ParseErrorKind::ContentLength),
        ("2\r\nl: 2", ParseErrorKind::DuplicateHeader),
    ] {
        let text = with("Content-Length: 2", &format!("Content-Length: {bad}"));
        let message = Message::parse_head(text.as_bytes()).unwrap();
        assert_eq!(message.well_formed().unwrap_err().kind, kind, "{bad}");
        assert_eq!(message.content_length().unwrap_err().kind, kind, "{bad}");
    }
    // It prints what it is, not what users wrote.
    let printed = format!("{:?}", Message::parse(REQUEST.as_bytes()).unwrap());
    assert!(printed.contains("headers: 13, body: 2"), "{printed}");
    assert!(!printed.contains("alice"), "{printed}");
}

#[test]
fn names_are_found_however_they_are_spelled() {
    // RFC 3261 §7.3.3, §20; RFC 3515, 3891, 3841, 6665, 8224
    for (name, letter) in [
        (Name::CallId, b'i'),
        (Name::Contact, b'm'),
        (Name::ContentEncoding, b'e'),
        (Name::ContentLength, b'l'),
        (Name::ContentType, b'c'),
        (Name::From, b'f'),
        (Name::Subject, b's'),
        (Name::Supported, b'k'),
        (Name::To, b't'),
        (Name::Via, b'v'),
        (Name::Event, b'o'),
        (Name::ReferTo, b'r'),
        (Name::AcceptContact, b'a'),
    ] {
        assert_eq!(name.compact(), Some(letter), "{name:?}");
    }
    assert_eq!((Name::CSeq.compact(), Name::Other.compact()), (None, None));
    let long = "x".repeat(300);
    let text = with("X-Kept", &long);
    let message = Message::parse(text.as_bytes()).unwrap();
    assert_eq!(message.other(&long), Some(&b"as it is"[..]));
    let kept = message.headers().find(|header| header.name == Name::Other);
    assert_eq!(kept.unwrap().raw_name, long.as_bytes());
    let StartLine::Request(_) = message.start() else {
        panic!()
    };
    assert!(Via::parse(message.header(Name::Via).unwrap()).is_err());
}

use crate::{Chance, corpus};
use oma_im::wire::cpim::{Cpim, CpimWriter, HeaderText, Notifications, Party};
use oma_im::wire::error::ParseErrorKind as Kind;
use oma_im::wire::sink::{Sink, TooSmall};
use oma_im::wire::writer::{Text, Token, UriText};

fn uri(text: &str) -> UriText<'_> {
    UriText::new(text).unwrap()
}

/// What `write` puts, after it was put into slices of every smaller size too.
fn written(write: impl Fn(&mut Sink<'_>)) -> String {
    let mut count = Sink::counting();
    write(&mut count);
    let needed = count.len();
    let mut out = vec![0; needed];
    for size in 0..needed {
        let mut sink = Sink::new(&mut out[..size]);
        write(&mut sink);
        assert_eq!(sink.finish(), Err(TooSmall { needed }));
    }
    let mut sink = Sink::new(&mut out);
    write(&mut sink);
    assert_eq!(sink.finish(), Ok(needed));
    String::from_utf8(out).unwrap()
}

fn fault(bytes: &[u8]) -> Kind {
    Cpim::parse(bytes)
        .and_then(|c| c.validate())
        .unwrap_err()
        .kind
}

#[test]
fn every_cpim_row_of_the_corpus_is_taken() {
    let rows = corpus("cpim");
    assert_eq!(rows.len(), 12);
    for (name, bytes) in rows {
        let cpim = Cpim::parse(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        cpim.validate().unwrap_or_else(|e| panic!("{name}: {e}"));
        let length = cpim.content().headers.get("Content-length");
        if let Some(length) = length {
            let length: usize = std::str::from_utf8(length).unwrap().parse().unwrap();
            assert_eq!(cpim.content().body.len(), length, "{name}");
        }
    }
}

#[test]
fn rfc3862_5_1_is_read_field_by_field() {
    let (_, bytes) = corpus("cpim").remove(0);
    let cpim = Cpim::parse(&bytes).unwrap();
    let from = cpim.from().unwrap();
    assert_eq!(from.name.unwrap().to_string(), "MR SANDERS");
    assert_eq!(from.uri, "im:piglet@100akerwood.com");
    let to: Vec<_> = cpim.to().map(|to| to.unwrap().uri).collect();
    assert_eq!(to, ["im:eeyore@100akerwood.com"]);
    assert_eq!(cpim.datetime(), Ok(Some(976_743_600_000)));
    let subject = cpim.subject().unwrap();
    assert_eq!(
        (subject.language(), subject.value.raw()),
        (None, "the weather will be fine today")
    );
    let french = cpim
        .headers()
        .filter(|h| h.name == "Subject")
        .nth(1)
        .unwrap();
    assert_eq!(french.language(), Some("fr"));
    assert!(french.value == *"beau temps prevu pour aujourd'hui");
    assert_eq!(
        cpim.required().collect::<Vec<_>>(),
        ["MyFeatures.VitalMessageOption"]
    );
    let vital = cpim.header("mid:MessageFeatures@id.foo.com", "VitalMessageOption");
    assert_eq!(vital.unwrap().value.raw(), "Confirmation-requested");
    let content = cpim.content();
    assert!(content.media.is("text", "xml"));
    assert_eq!(
        content.headers.get("content-id"),
        Some(&b"<1234567890@foo.com>"[..])
    );
    assert_eq!(
        content.body,
        b"<body>\r\nHere is the text of my message.\r\n</body>"
    );
}

#[test]
fn rfc5438_examples_read_the_same_with_and_without_the_empty_line() {
    let rows = corpus("cpim");
    for pair in rows[2..].chunks(2) {
        let (printed, fixed) = (
            Cpim::parse(&pair[0].1).unwrap(),
            Cpim::parse(&pair[1].1).unwrap(),
        );
        assert_eq!(printed.header_block(), fixed.header_block());
        assert_eq!(printed.content().body, fixed.content().body);
        assert_eq!(printed.content().media, fixed.content().media);
        assert_eq!(
            printed.content().disposition(),
            fixed.content().disposition()
        );
    }
    let asked = Cpim::parse(&rows[3].1).unwrap();
    assert_eq!(asked.message_id(), Some("34jk324j"));
    let both = Notifications::POSITIVE_DELIVERY.and(Notifications::NEGATIVE_DELIVERY);
    assert_eq!(asked.notifications(), both);
    assert!(
        Cpim::parse(&rows[5].1)
            .unwrap()
            .content()
            .has_disposition("Notification")
    );
}

const GOLDEN_06: &str = "From: Alice <sip:alice@ims.example.com>\r\n\
    To: <sip:bob@ims.example.com>\r\n\
    DateTime: 2026-11-22T18:41:56Z\r\n\
    NS: imdn <urn:ietf:params:imdn>\r\n\
    imdn.Message-ID: Mk9s2Vd0aQ7xT3\r\n\
    imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\
    \r\n\
    Content-type: text/plain; charset=utf-8\r\n\
    Content-length: 9\r\n\
    \r\n\
    Hello Bob";

#[test]
fn golden_06_is_written_byte_for_byte_and_read_back() {
    let text = written(|sink| {
        let alice = Party::new(uri("sip:alice@ims.example.com")).named("Alice");
        let mut cpim = CpimWriter::new(sink, alice);
        cpim.to(Party::new(uri("sip:bob@ims.example.com")));
        cpim.datetime(1_795_372_916_000);
        cpim.message_id(Token::new("Mk9s2Vd0aQ7xT3").unwrap());
        let both = Notifications::POSITIVE_DELIVERY.and(Notifications::NEGATIVE_DELIVERY);
        cpim.notifications(both);
        cpim.content(Text::new("text/plain; charset=utf-8").unwrap())
            .body(b"Hello Bob");
    });
    assert_eq!(text, GOLDEN_06);
    assert_eq!(text.len(), 312);
    let cpim = Cpim::parse(text.as_bytes()).unwrap();
    assert_eq!(cpim.validate(), Ok(()));
    assert_eq!(cpim.datetime_text(), Some("2026-11-22T18:41:56Z"));
    assert_eq!(cpim.message_id(), Some("Mk9s2Vd0aQ7xT3"));
    assert!(cpim.content().media.is_utf8_text());
}

#[test]
fn golden_06b_is_written_byte_for_byte() {
    let text = written(|sink| {
        let nobody = Party::new(uri("sip:anonymous@anonymous.invalid"));
        let mut cpim = CpimWriter::new(sink, nobody);
        cpim.to(Party::new(uri("sip:bob@ims.example.com")));
        cpim.notifications(Notifications::NONE);
        cpim.content(Text::new("text/plain; charset=utf-8").unwrap())
            .body(b"Hello Bob");
    });
    let expected = "From: <sip:anonymous@anonymous.invalid>\r\n\
        To: <sip:bob@ims.example.com>\r\n\
        \r\n\
        Content-type: text/plain; charset=utf-8\r\n\
        Content-length: 9\r\n\
        \r\n\
        Hello Bob";
    assert_eq!(text, expected);
    assert_eq!(text.len(), 145);
}

#[test]
fn names_and_subjects_of_an_application_cannot_end_a_line_or_a_string() {
    let nasty = [
        "Alice",
        "Winnie the Pooh",
        " ",
        "a  b",
        "\"",
        "\\",
        "\\\"> <sip:eve@evil.example>",
        "x\r\nimdn.Disposition-Notification: display\r\nTo: y",
        "x\n\nContent-type: text/plain",
        "\0\u{1}\u{8}\t\u{b}\u{1f}\u{7f}",
        "<sip:eve@evil.example>",
        "a, b; c: d. e",
        "Dr. No",
        "\u{5d0}\u{1f600}\u{85}",
        "C:\\new\\u0041",
        "'",
    ];
    for name in nasty {
        let text = written(|sink| {
            let mut cpim = CpimWriter::new(sink, Party::new(uri("sip:a@b")).named(name));
            cpim.to(Party::new(uri("sip:c@d")).named(name));
            cpim.subject(Some(Token::new("de").unwrap()), name);
            cpim.content(Text::new("text/plain").unwrap()).body(b"");
        });
        let cpim = Cpim::parse(text.as_bytes()).unwrap();
        assert_eq!(cpim.validate(), Ok(()), "{text}");
        assert_eq!(cpim.headers().count(), 3, "{text}");
        let from = cpim.from().unwrap();
        assert_eq!(from.name.unwrap().to_string(), name, "{text}");
        assert_eq!(from.uri, "sip:a@b");
        let subject = cpim.subject().unwrap();
        assert_eq!(subject.language(), Some("de"));
        assert_eq!(
            subject.value.to_string().trim_matches(' '),
            name.trim_matches(' '),
            "{text}"
        );
        // §3.6: words go as they are, everything else between quotation marks.
        let bare = [
            "Alice",
            "Winnie the Pooh",
            "Dr. No",
            "\u{5d0}\u{1f600}\u{85}",
            "'",
        ];
        let quoted = !text.starts_with(&format!("From: {name} <"));
        assert_eq!(quoted, !bare.contains(&name), "{text}");
        // RFC 3862 §2.3.1: a quotation mark is escaped between quotation marks only.
        if name == "\"" {
            assert!(text.contains("\r\nSubject:;lang=de \"\r\n"), "{text}");
        }
        // Once received, the name can be written again and means the same.
        let again = written(|sink| {
            let mut cpim = CpimWriter::new(sink, from.to_party().unwrap());
            cpim.to(Party::new(uri("sip:c@d")));
            cpim.content(Text::new("text/plain").unwrap()).body(b"");
        });
        let again = Cpim::parse(again.as_bytes()).unwrap().from().unwrap();
        assert_eq!(again.name.unwrap().to_string(), name);
    }
    assert!(UriText::new("sip:a@b>\r\nTo: <sip:eve@evil.example").is_err());
    assert!(Token::new("id\r\nTo: x").is_err());
}

#[test]
fn escapes_of_rfc3862_2_3_are_read() {
    let read = |raw: &str| {
        let bytes = format!("Subject: {raw}\r\n\r\nContent-type: text/plain\r\n\r\n");
        let subject = Cpim::parse(bytes.as_bytes()).unwrap().subject().unwrap();
        subject.value.to_string()
    };
    assert_eq!(read(r#"\\ \" \' \b \t \n \r"#), "\\ \" ' \u{8} \t \n \r");
    assert_eq!(read(r"\u0041\u00e9\u20AC"), "A\u{e9}\u{20ac}");
    assert_eq!(read(r"\uD83D\uDE00"), "\u{1f600}");
    assert_eq!(
        read(r"\uD83D x \uDE00 \uD83D\u0041"),
        "\u{fffd} x \u{fffd} \u{fffd}A"
    );
    assert_eq!(read(r"\x \u12 \uXYZW \q"), "x u12 uXYZW q");
    assert_eq!(read("end\\"), "end");
    assert_eq!(read("plain"), "plain");
}

#[test]
fn a_prefix_is_a_matter_of_its_declaration() {
    let id = |headers: &str| {
        let bytes = format!("{headers}\r\nContent-type: text/plain\r\n\r\n");
        let cpim = Cpim::parse(bytes.as_bytes()).unwrap();
        cpim.message_id().map(str::to_owned)
    };
    let some = Some("1".to_owned());
    assert_eq!(
        id("NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 1\r\n"),
        some
    );
    assert_eq!(
        id("NS: x <URN:ietf:params:imdn>\r\nx.Message-ID: 1\r\n"),
        some
    );
    assert_eq!(id("NS: <urn:ietf:params:imdn>\r\nMessage-ID: 1\r\n"), some);
    assert_eq!(
        id("NS: x urn:ietf:params:imdn\r\nx.Message-ID: 1\r\n"),
        some
    );
    // As deployed peers have it: undeclared, declared too late, oddly spaced.
    assert_eq!(id("imdn.Message-ID: 1\r\n"), some);
    assert_eq!(
        id("imdn.Message-ID: 1\r\nNS: imdn <urn:ietf:params:imdn>\r\n"),
        some
    );
    assert_eq!(id("imdn.Message-ID:1\r\n"), some);
    assert_eq!(id("imdn.Message-ID:    1  \r\n"), some);
    // Another namespace, another header.
    assert_eq!(
        id("NS: imdn <urn:other:thing>\r\nimdn.Message-ID: 1\r\n"),
        None
    );
    assert_eq!(id("NS: x <urn:other:thing>\r\nx.Message-ID: 1\r\n"), None);
    assert_eq!(id("Message-ID: 1\r\n"), None);
    assert_eq!(id("imdn.message-id: 1\r\n"), None);
    let again = "NS: x <urn:other:thing>\r\nNS: x <urn:ietf:params:imdn>\r\nx.Message-ID: 1\r\n";
    assert_eq!(id(again), some);
}

#[test]
fn many_recipients_routes_and_requests_are_all_read() {
    let bytes = b"imdn.IMDN-Record-Route: <sip:top@example.com>\r\n\
        To: \"Bob \\\"the builder\\\"\" <sip:bob@example.com>\r\n\
        To: sip:carol@example.com\r\n\
        cc: <sip:dave@example.com>\r\n\
        From:<sip:alice@example.com>\r\n\
        imdn.Disposition-Notification: positive-delivery;x=y ,display, future\r\n\
        imdn.Disposition-Notification: \r\n\
        imdn.IMDN-Record-Route: <sip:next@example.com>\r\n\
        imdn.Original-To: <sip:list@example.com>\r\n\
        X-Unknown: \xc3\xa9\r\n\
        \r\n\
        CONTENT-TYPE:text/plain\r\n\
        \r\n\
        \r\nbody\r\n";
    let cpim = Cpim::parse(bytes).unwrap();
    assert_eq!(cpim.validate(), Ok(()));
    let to: Vec<_> = cpim.to().map(|to| to.unwrap()).collect();
    assert_eq!(to[0].name.unwrap().to_string(), "Bob \"the builder\"");
    assert_eq!(to[1].uri, "sip:carol@example.com");
    assert!(to[1].name.is_none());
    let cc: Vec<_> = cpim.cc().map(|cc| cc.unwrap().uri).collect();
    assert_eq!(cc, ["sip:dave@example.com"]);
    let routes: Vec<_> = cpim.record_routes().map(|r| r.unwrap().uri).collect();
    assert_eq!(routes, ["sip:top@example.com", "sip:next@example.com"]);
    assert_eq!(
        cpim.original_to().unwrap().unwrap().uri,
        "sip:list@example.com"
    );
    let wanted = Notifications::POSITIVE_DELIVERY.and(Notifications::DISPLAY);
    assert_eq!(cpim.notifications(), wanted);
    assert_eq!(cpim.content().body, b"\r\nbody\r\n");
    assert_eq!(cpim.routes().count(), 0);
}

// RFC 5438 §6.2, §6.6
#[test]
fn copies_routes_and_every_kind_of_report_are_written_and_read_back() {
    let all = [
        (Notifications::POSITIVE_DELIVERY, "positive-delivery"),
        (Notifications::NEGATIVE_DELIVERY, "negative-delivery"),
        (Notifications::PROCESSING, "processing"),
        (Notifications::DISPLAY, "display"),
    ];
    let text = written(|sink| {
        let mut cpim = CpimWriter::new(sink, Party::new(uri("sip:a@b")));
        cpim.to(Party::new(uri("sip:c@d")));
        cpim.cc(Party::new(uri("sip:e@f")).named("Eve"));
        cpim.imdn_route(Party::new(uri("sip:top@g")));
        cpim.imdn_route(Party::new(uri("sip:next@g")));
        let every = all.iter().fold(Notifications::NONE, |set, n| set.and(n.0));
        cpim.notifications(every);
        cpim.notifications(Notifications::DISPLAY);
        cpim.content(Text::new("text/plain").unwrap()).body(b"");
    });
    assert_eq!(
        text,
        "From: <sip:a@b>\r\nTo: <sip:c@d>\r\ncc: Eve <sip:e@f>\r\n\
        NS: imdn <urn:ietf:params:imdn>\r\n\
        imdn.IMDN-Route: <sip:top@g>\r\nimdn.IMDN-Route: <sip:next@g>\r\n\
        imdn.Disposition-Notification: positive-delivery, negative-delivery, processing, display\r\n\
        imdn.Disposition-Notification: display\r\n\r\n\
        Content-type: text/plain\r\nContent-length: 0\r\n\r\n"
    );
    let cpim = Cpim::parse(text.as_bytes()).unwrap();
    let routes: Vec<_> = cpim.routes().map(|route| route.unwrap().uri).collect();
    assert_eq!(routes, ["sip:top@g", "sip:next@g"]);
    assert_eq!(cpim.cc().next().unwrap().unwrap().name.unwrap(), "Eve");
    for (kind, name) in all {
        assert!(cpim.notifications().has(kind), "{name}");
        let text = text.replace(
            "positive-delivery, negative-delivery, processing, display",
            name,
        );
        let one = Cpim::parse(text.as_bytes()).unwrap().notifications();
        assert_eq!(one, kind.and(Notifications::DISPLAY));
        assert_eq!(kind.names().collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn text_is_handed_out_in_place_or_resolved_into_a_buffer() {
    let read = |raw: &str, room: usize| {
        let bytes = format!("Subject: {raw}\r\n\r\nContent-type: text/plain\r\n\r\n");
        let subject = Cpim::parse(bytes.as_bytes()).unwrap().subject().unwrap();
        let mut out = vec![0; room];
        (
            subject.value.as_plain().map(str::to_owned),
            subject.value.read_into(&mut out).map(str::to_owned),
        )
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(read("plain", 5), (some("plain"), some("plain")));
    assert_eq!(read("plain", 4), (some("plain"), None));
    assert_eq!(read(r"\u20ac\n", 4), (None, some("\u{20ac}\n")));
    assert_eq!(read(r"\u20ac\n", 3), (None, None));
    // What an application gives has no escapes.
    assert_eq!(HeaderText::from(r"C:\new").as_plain(), Some(r"C:\new"));
    assert!(HeaderText::from(r"a\n") == r"a\n" && HeaderText::from("a") != "b");
}

#[test]
fn what_is_malformed_is_refused() {
    let content = "\r\nContent-type: text/plain\r\n\r\nx";
    let ok = "From: <sip:a@b>\r\nTo: <sip:c@d>\r\n";
    let judged = |headers: &str| fault(format!("{headers}{content}").as_bytes());
    assert_eq!(judged("To: <sip:c@d>\r\n"), Kind::MissingHeader);
    assert_eq!(judged("From: <sip:a@b>\r\n"), Kind::MissingHeader);
    assert_eq!(
        judged("from: <sip:a@b>\r\nTo: <sip:c@d>\r\n"),
        Kind::MissingHeader
    );
    assert_eq!(
        judged(&format!("{ok}From: <sip:e@f>\r\n")),
        Kind::DuplicateHeader
    );
    assert_eq!(
        fault(format!("{ok}\r\nContent-ID: <1>\r\n\r\nx").as_bytes()),
        Kind::MissingHeader
    );
    assert_eq!(
        judged(&format!("{ok}DateTime: yesterday\r\n")),
        Kind::HeaderValue
    );
    for bad in [
        "x <urn:y",
        "x <y>",
        "x y",
        "a b <urn:y>",
        "a: <urn:y>",
        "",
        "<>",
    ] {
        assert_eq!(judged(&format!("{ok}NS: {bad}\r\n")), Kind::Cpim, "{bad}");
    }
    assert_eq!(judged(&format!("{ok} folded\r\n")), Kind::HeaderName);
    assert_eq!(judged(&format!("{ok}no colon\r\n")), Kind::HeaderName);
    assert_eq!(judged(&format!("{ok}: x\r\n")), Kind::HeaderName);
    assert_eq!(judged(&format!("{ok}a b: x\r\n")), Kind::HeaderName);
    assert_eq!(judged(&format!("{ok}X: \0\r\n")), Kind::ControlCharacter);
    assert_eq!(judged(&format!("{ok}X: a\rb\r\n")), Kind::ControlCharacter);
    assert_eq!(
        judged(&format!("{ok}X: y\nTo: <sip:e@f>\r\n")),
        Kind::LineEnd
    );
    assert_eq!(fault(ok.as_bytes()), Kind::Truncated);
    assert_eq!(fault(b""), Kind::Truncated);
    assert_eq!(
        fault(b"X: \xff\r\n\r\nContent-type: a/b\r\n\r\n"),
        Kind::Utf8
    );
    for bad in [
        "",
        "<>",
        "<sip:>",
        "<:x>",
        "sip",
        "<sip:a@b",
        "\"a <sip:a@b>",
        "\"a\\\" <sip:a@b>",
        "<sip:a@b> <sip:c@d>",
        "<sip:a@b>x",
        "a b:c",
        "<sip:a b>",
        "\"a\"",
        "x <sip:\\a@b>",
        "\"",
        "\"\\",
    ] {
        let headers = format!("From: {bad}\r\nTo: <sip:c@d>\r\n");
        assert_eq!(judged(&headers), Kind::Cpim, "{bad}");
    }
}

#[test]
fn a_nul_in_any_header_value_of_the_corpus_is_refused() {
    for (name, bytes) in corpus("cpim") {
        let cpim = Cpim::parse(&bytes).unwrap();
        let body = bytes.len() - cpim.content().body.len();
        for at in (0..body).filter(|at| bytes[*at] == b':' && bytes[at + 1] == b' ') {
            let mut broken = bytes.clone();
            broken.insert(at + 2, 0);
            assert!(Cpim::parse(&broken).is_err(), "{name} at {at}");
        }
    }
}

#[test]
fn no_cut_and_no_broken_byte_ends_in_a_panic() {
    let seed = 0x3862;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let walk = |bytes: &[u8]| {
        let Ok(cpim) = Cpim::parse(bytes) else { return };
        let _ = cpim.validate();
        let _ = (
            cpim.datetime(),
            cpim.original_to(),
            cpim.notifications(),
            cpim.message_id(),
        );
        for header in cpim.headers() {
            let _ = (
                header.value.to_string(),
                header.language(),
                header.address().map(|_| ()),
            );
        }
        let _ = cpim.record_routes().chain(cpim.routes()).count() + cpim.required().count();
    };
    let mut rows = corpus("cpim");
    rows.push(("golden 06".into(), GOLDEN_06.into()));
    for (_, bytes) in &rows {
        for cut in 0..bytes.len() {
            walk(&bytes[..cut]);
            let mut less = bytes.clone();
            less.remove(cut);
            walk(&less);
        }
    }
    let pieces = b"\r\n :;<>\"\\,.\0u\xff";
    for round in 0..20_000 {
        let mut bytes = rows[round % rows.len()].1.clone();
        for _ in 0..=chance.below(3) {
            let at = chance.below(bytes.len());
            bytes[at] = pieces[chance.below(pieces.len())];
        }
        walk(&bytes);
    }
}

/// An oracle for the header block: what httparse reads, we read alike.
#[test]
fn httparse_reads_the_same_headers() {
    for (name, bytes) in corpus("cpim") {
        let cpim = Cpim::parse(&bytes).unwrap();
        let block = format!("{}\r\n", cpim.header_block());
        let mut room = [httparse::EMPTY_HEADER; 32];
        let Ok(httparse::Status::Complete((_, theirs))) =
            httparse::parse_headers(block.as_bytes(), &mut room)
        else {
            panic!("{name}")
        };
        let ours: Vec<_> = cpim.headers().map(|h| (h.prefix, h.name)).collect();
        let split = |h: &httparse::Header<'_>| h.name.split_once('.').is_some();
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for ((prefix, local), theirs) in ours.iter().zip(theirs) {
            let full = if split(theirs) {
                format!("{prefix}.{local}")
            } else {
                (*local).to_owned()
            };
            assert_eq!(full, theirs.name, "{name}");
        }
    }
}

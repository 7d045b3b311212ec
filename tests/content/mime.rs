use crate::{Chance, corpus};
use oma_im::wire::error::{ParseError, ParseErrorKind as Kind};
use oma_im::wire::mime::{Headers, Leaves, MAX_BOUNDARY, MAX_NESTING, MediaType, Multipart, Part};

fn media(value: &str) -> MediaType<'_> {
    MediaType::parse(value.as_bytes()).unwrap()
}

/// The bodies of the parts, and how it ended.
fn parts(boundary: &str, body: &str) -> (Vec<String>, Option<Kind>) {
    let iter = match Multipart::new(boundary.as_bytes(), body.as_bytes()) {
        Ok(iter) => iter,
        Err(e) => return (Vec::new(), Some(e.kind)),
    };
    collect(iter)
}

fn collect<'b>(
    iter: impl Iterator<Item = Result<Part<'b>, ParseError>>,
) -> (Vec<String>, Option<Kind>) {
    let mut bodies = Vec::new();
    for part in iter {
        match part {
            Ok(part) => bodies.push(String::from_utf8_lossy(part.body).into_owned()),
            Err(e) => return (bodies, Some(e.kind)),
        }
    }
    (bodies, None)
}

#[test]
fn the_example_of_rfc2046_5_1_1_has_two_parts() {
    let body = "This is the preamble.  It is to be ignored, though it\r\n\
        is a handy place for composition agents to include an\r\n\
        explanatory note to non-MIME conformant readers.\r\n\
        \r\n\
        --simple boundary\r\n\
        \r\n\
        This is implicitly typed plain US-ASCII text.\r\n\
        It does NOT end with a linebreak.\r\n\
        --simple boundary\r\n\
        Content-type: text/plain; charset=us-ascii\r\n\
        \r\n\
        This is explicitly typed plain US-ASCII text.\r\n\
        It DOES end with a linebreak.\r\n\
        \r\n\
        --simple boundary--\r\n\
        \r\n\
        This is the epilogue.  It is also to be ignored.\r\n";
    let (bodies, end) = parts("simple boundary", body);
    assert_eq!(end, None);
    assert!(bodies[0].ends_with("It does NOT end with a linebreak."));
    assert!(bodies[1].ends_with("It DOES end with a linebreak.\r\n"));
    assert_eq!(bodies.len(), 2);
}

// The rows on multipart of the list of how other stacks failed.

#[test]
fn multipart_with_an_empty_boundary_is_refused() {
    assert_eq!(
        parts("", "--\r\n\r\nx\r\n----"),
        (vec![], Some(Kind::Multipart))
    );
    let quoted = Multipart::of(
        media("multipart/mixed;boundary=\"\""),
        b"--\r\n\r\nx\r\n----",
    );
    assert_eq!(quoted.unwrap_err().kind, Kind::Multipart);
}

#[test]
fn multipart_without_a_boundary_is_refused() {
    for value in [
        "multipart/mixed",
        "multipart/mixed;boundary",
        "multipart/mixed;boundary=",
    ] {
        assert_eq!(
            Multipart::of(media(value), b"--b\r\n").unwrap_err().kind,
            Kind::Multipart
        );
    }
    assert_eq!(
        parts("b", "no boundary in here"),
        (vec![], Some(Kind::Multipart))
    );
    assert_eq!(parts("b", "--b--\r\n"), (vec![], Some(Kind::Multipart)));
    assert_eq!(parts("b", ""), (vec![], Some(Kind::Multipart)));
}

#[test]
fn multipart_with_a_boundary_longer_than_the_body_is_refused() {
    assert_eq!(
        parts(&"b".repeat(70), "--b"),
        (vec![], Some(Kind::Multipart))
    );
    // The limit itself, one less and one more.
    for (len, end) in [
        (MAX_BOUNDARY - 1, None),
        (MAX_BOUNDARY, None),
        (MAX_BOUNDARY + 1, Some(Kind::Multipart)),
    ] {
        let b = "b".repeat(len);
        assert_eq!(
            parts(&b, &format!("--{b}\r\n\r\nx\r\n--{b}--")).1,
            end,
            "{len}"
        );
    }
}

#[test]
fn multipart_whose_last_part_is_not_terminated_gives_what_is_whole_and_an_error() {
    let body = "--b\r\n\r\none\r\n--b\r\n\r\ntwo, and then";
    assert_eq!(
        parts("b", body),
        (vec!["one".into()], Some(Kind::Truncated))
    );
    // The example of RFC 5438 §8.3 lacks only the last two hyphens.
    let body = "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b";
    assert_eq!(parts("b", body), (vec!["one".into(), "two".into()], None));
    assert_eq!(parts("b", &format!("{body}\r\n")).1, None);
}

#[test]
fn multipart_with_line_feeds_only_is_read() {
    let body = "--b\nContent-Type: text/plain\n\none\n--b\n\ntwo\n\n--b--\n";
    assert_eq!(parts("b", body), (vec!["one".into(), "two\n".into()], None));
}

#[test]
fn multipart_nested_a_thousand_deep_ends_at_the_limit() {
    let nested = |depth: usize| {
        let mut body = String::from("x");
        let mut kind = String::from("text/plain");
        for level in 0..depth {
            body = format!("--b{level}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n--b{level}--");
            kind = format!("multipart/mixed;boundary=b{level}");
        }
        (kind, body)
    };
    for (depth, end) in [
        (0, None),
        (MAX_NESTING - 1, None),
        (MAX_NESTING, None),
        (MAX_NESTING + 1, Some(Kind::Multipart)),
        (1000, Some(Kind::Multipart)),
    ] {
        let (kind, body) = nested(depth);
        let (bodies, ended) = collect(Leaves::of(media(&kind), body.as_bytes()));
        assert_eq!(ended, end, "{depth}");
        assert_eq!(bodies, if end.is_none() { vec!["x"] } else { vec![] });
    }
}

#[test]
fn leaves_come_in_order_out_of_nested_parts() {
    let body = "--a\r\n\r\n1\r\n--a\r\nContent-Type: multipart/alternative; boundary=\"a.b\"\r\n\r\n\
        --a.b\r\n\r\n2\r\n--a.b\r\n\r\n3\r\n--a.b--\r\n--a\r\n\r\n4\r\n--a--";
    let (bodies, end) = collect(Leaves::of(
        media("multipart/mixed; boundary=a"),
        body.as_bytes(),
    ));
    assert_eq!((bodies.concat().as_str(), end), ("1234", None));
    let (bodies, end) = collect(Leaves::of(media("text/plain"), b"--a"));
    assert_eq!((bodies, end), (vec!["--a".into()], None));
}

#[test]
fn a_boundary_counts_only_on_a_line_of_its_own() {
    let body = "--b\t \r\n\r\n--bb\r\nx--b\r\n --b\r\n--b-\r\n--b--x\r\n--b  \r\n\r\n\r\n--b-- \r\nrest --b\r\n--b\r\n\r\nno";
    let (bodies, end) = parts("b", body);
    assert_eq!(end, None);
    assert_eq!(bodies, ["--bb\r\nx--b\r\n --b\r\n--b-\r\n--b--x", ""]);
    // A part of nothing, a part of headers only, a part that begins with its body.
    let body = "--b\r\n--b\r\nContent-Type: a/b\r\n--b\r\n\r\n--b--";
    assert_eq!(
        parts("b", body),
        (vec![String::new(), String::new(), String::new()], None)
    );
}

#[test]
fn boundaries_are_read_as_deployed_peers_write_them() {
    let boundary = |value: &'static str| media(value).param("boundary");
    assert_eq!(boundary("multipart/mixed; boundary=abc"), Some(&b"abc"[..]));
    assert_eq!(
        boundary("multipart/mixed;x=\"; boundary=no\"; BOUNDARY = \"a b\""),
        Some(&b"a b"[..])
    );
    assert_eq!(
        boundary("multipart/mixed;boundary=----=_Part_0_1.2"),
        Some(&b"----=_Part_0_1.2"[..])
    );
    assert_eq!(
        boundary("multipart/mixed;\r\n boundary=\"imdn-boundary\""),
        Some(&b"imdn-boundary"[..])
    );
    assert_eq!(boundary("multipart/mixed;charset=x"), None);
    for bad in ["a\r\nb", "a\\b", "a\"b", "a\0b", "end "] {
        assert_eq!(
            Multipart::new(bad.as_bytes(), b"").unwrap_err().kind,
            Kind::Multipart
        );
    }
}

#[test]
fn media_types_are_read_and_refused() {
    assert!(media("Message/CPIM").is("message", "cpim"));
    assert!(media("text/plain").is_utf8_text());
    assert!(media("text/plain;charset=UTF-8").is_utf8_text());
    assert!(media("text/plain;charset=\"us-ascii\"").is_utf8_text());
    assert!(!media("text/plain;charset=iso-8859-1").is_utf8_text());
    assert!(!media("text/html").is_utf8_text());
    let cpim = media(" Message / CPIM ;a=b");
    assert_eq!((cpim.main(), cpim.sub()), (&b"Message"[..], &b"CPIM"[..]));
    assert!(media("application/resource-lists+xml ; a=b").is("application", "resource-lists+xml"));
    for bad in [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain x",
        "text/plain,text/html",
        "te xt/plain",
    ] {
        let kind = MediaType::parse(bad.as_bytes()).unwrap_err().kind;
        assert_eq!(kind, Kind::HeaderValue, "{bad}");
    }
}

#[test]
fn header_blocks_are_read_folds_and_spaces_included() {
    let bytes = b"Content-Type :\r\n text/plain;\r\n\tcharset=utf-8\r\nX:\r\nY:  z \r\n\r\nbody";
    let (headers, body) = Headers::split(bytes).unwrap();
    assert_eq!(body, b"body");
    let names: Vec<_> = headers.into_iter().map(|field| field.name).collect();
    assert_eq!(names, [&b"Content-Type"[..], b"X", b"Y"]);
    let value = headers.get("content-type").unwrap();
    assert!(MediaType::parse(value).unwrap().is_utf8_text());
    assert_eq!(headers.get("X"), Some(&b""[..]));
    assert_eq!(headers.get("Y"), Some(&b"z"[..]));
    assert_eq!(headers.get("Z"), None);
}

#[test]
fn header_blocks_that_two_readers_would_read_differently_are_refused() {
    for (bytes, kind, offset) in [
        (&b" folded: first\r\n\r\n"[..], Kind::HeaderName, 0),
        (b"A: b\r\nno colon\r\n\r\n", Kind::HeaderName, 8),
        (b"A: b\r\n: c\r\n\r\n", Kind::HeaderName, 6),
        (b"A\0: b\r\n\r\n", Kind::HeaderName, 1),
        (b"A: b\0\r\n\r\n", Kind::ControlCharacter, 4),
        (b"A: b\rc\r\n\r\n", Kind::ControlCharacter, 4),
        (b"A: b\x7f\r\n\r\n", Kind::ControlCharacter, 4),
        (b"A: b\r\nC: d\n\r\n", Kind::LineEnd, 10),
        (b"A: b\nC: d\r\n\r\n", Kind::LineEnd, 10),
    ] {
        let error = Headers::split(bytes).unwrap_err();
        assert_eq!(
            error,
            ParseError::new(kind, offset),
            "{}",
            bytes.escape_ascii()
        );
    }
}

/// A scanner that looks again from each line would not end here.
#[test]
fn long_bodies_are_cut_in_one_pass() {
    let n = 300_000;
    let near = "b".repeat(70);
    for body in [
        "\r\n".repeat(n),
        "--".repeat(n),
        format!("--{}\r\n", &near[1..]).repeat(n / 70),
    ] {
        assert_eq!(parts(&near, &body), (vec![], Some(Kind::Multipart)));
    }
    let body = format!("{}--b--", "--b\r\n\r\n".repeat(n));
    assert_eq!(parts("b", &body).0.len(), n);
    let block = format!("{}\r\n", "A: b\r\n c\r\n".repeat(n));
    assert_eq!(
        Headers::split(block.as_bytes()).unwrap().0.iter().count(),
        n
    );
}

#[test]
fn no_broken_multipart_ends_in_a_panic_or_without_end() {
    let seed = 0x2046;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let whole = b"pre\r\n--a\r\nContent-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\nA: b\r\n c\r\n\r\nx\r\n--b--\r\n--a\r\n\r\ny\r\n--a--\r\npost";
    let pieces = b"\r\n -ab:;=\"\0\xff";
    let media = media("multipart/mixed;boundary=a");
    for round in 0..20_000 {
        let mut bytes = whole.to_vec();
        for _ in 0..chance.below(4) {
            let at = chance.below(bytes.len());
            bytes[at] = pieces[chance.below(pieces.len())];
        }
        bytes.truncate(bytes.len() - chance.below(1 + round % bytes.len()));
        assert!(Leaves::of(media, &bytes).count() <= bytes.len());
    }
}

#[test]
fn the_parts_of_the_corpus_have_headers_that_httparse_reads_alike() {
    let mut seen = 0;
    for (name, bytes) in corpus("cpim") {
        let cpim = oma_im::wire::cpim::Cpim::parse(&bytes).unwrap();
        let ours = cpim.content().headers;
        let folded = ours.iter().any(|f| f.value.contains(&b'\n'));
        let block = [ours.as_bytes(), b"\r\n"].concat();
        let mut room = [httparse::EMPTY_HEADER; 16];
        match httparse::parse_headers(&block, &mut room) {
            Ok(httparse::Status::Complete((_, theirs))) => {
                let theirs = theirs.iter().map(|h| (h.name.as_bytes(), h.value));
                assert!(theirs.eq(ours.iter().map(|f| (f.name, f.value))), "{name}");
                seen += 1;
            }
            // It does not unfold.
            other => assert!(folded, "{name}: {other:?}"),
        }
    }
    assert_eq!(seen, 10);
}

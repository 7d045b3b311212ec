//! The SIP corpus: verdicts, and faults put into each message that must be taken.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod common;

use common::{Case, case, cases};
use oma_im::wire::error::{ParseError, ParseErrorKind};
use oma_im::wire::framer::{Frame, Framer, Limits};
use oma_im::wire::message::{MAX_HEAD, MAX_HEADERS, Message, StartLine};
use oma_im::wire::name::{Form, Method, Name};

/// The names of the torture tests, each a test of its own.
macro_rules! torture {
    ($($name:ident $id:literal;)*) => {
        $(#[test] fn $name() { torture_case($id); })*
        const TORTURE: &[&str] = &[$($id),*];
    };
}

torture! {
    rfc4475_badaspec "rfc4475/badaspec";
    rfc4475_badbranch "rfc4475/badbranch";
    rfc4475_baddate "rfc4475/baddate";
    rfc4475_baddn "rfc4475/baddn";
    rfc4475_badinv01 "rfc4475/badinv01";
    rfc4475_badvers "rfc4475/badvers";
    rfc4475_bcast "rfc4475/bcast";
    rfc4475_bext01 "rfc4475/bext01";
    rfc4475_bigcode "rfc4475/bigcode";
    rfc4475_clerr "rfc4475/clerr";
    rfc4475_cparam01 "rfc4475/cparam01";
    rfc4475_cparam02 "rfc4475/cparam02";
    rfc4475_dblreq "rfc4475/dblreq";
    rfc4475_esc01 "rfc4475/esc01";
    rfc4475_esc02 "rfc4475/esc02";
    rfc4475_escnull "rfc4475/escnull";
    rfc4475_escruri "rfc4475/escruri";
    rfc4475_insuf "rfc4475/insuf";
    rfc4475_intmeth "rfc4475/intmeth";
    rfc4475_inv2543 "rfc4475/inv2543";
    rfc4475_invut "rfc4475/invut";
    rfc4475_longreq "rfc4475/longreq";
    rfc4475_ltgtruri "rfc4475/ltgtruri";
    rfc4475_lwsdisp "rfc4475/lwsdisp";
    rfc4475_lwsruri "rfc4475/lwsruri";
    rfc4475_lwsstart "rfc4475/lwsstart";
    rfc4475_mcl01 "rfc4475/mcl01";
    rfc4475_mismatch01 "rfc4475/mismatch01";
    rfc4475_mismatch02 "rfc4475/mismatch02";
    rfc4475_mpart01 "rfc4475/mpart01";
    rfc4475_multi01 "rfc4475/multi01";
    rfc4475_ncl "rfc4475/ncl";
    rfc4475_noreason "rfc4475/noreason";
    rfc4475_novelsc "rfc4475/novelsc";
    rfc4475_quotbal "rfc4475/quotbal";
    rfc4475_regaut01 "rfc4475/regaut01";
    rfc4475_regbadct "rfc4475/regbadct";
    rfc4475_regescrt "rfc4475/regescrt";
    rfc4475_scalar02 "rfc4475/scalar02";
    rfc4475_scalarlg "rfc4475/scalarlg";
    rfc4475_sdp01 "rfc4475/sdp01";
    rfc4475_semiuri "rfc4475/semiuri";
    rfc4475_test "rfc4475/test";
    rfc4475_transports "rfc4475/transports";
    rfc4475_trws "rfc4475/trws";
    rfc4475_unkscm "rfc4475/unkscm";
    rfc4475_unksm2 "rfc4475/unksm2";
    rfc4475_unreason "rfc4475/unreason";
    rfc4475_wsinv "rfc4475/wsinv";
    rfc4475_zeromf "rfc4475/zeromf";
    rfc5118_crlf_ipv4_mapped_ipv6 "rfc5118-crlf/ipv4-mapped-ipv6";
    rfc5118_ipv4_mapped_ipv6 "rfc5118/ipv4-mapped-ipv6";
    rfc5118_crlf_ipv6_bad "rfc5118-crlf/ipv6-bad";
    rfc5118_ipv6_bad "rfc5118/ipv6-bad";
    rfc5118_crlf_ipv6_good "rfc5118-crlf/ipv6-good";
    rfc5118_ipv6_good "rfc5118/ipv6-good";
    rfc5118_crlf_ipv6_in_sdp "rfc5118-crlf/ipv6-in-sdp";
    rfc5118_ipv6_in_sdp "rfc5118/ipv6-in-sdp";
    rfc5118_crlf_mult_ip_in_header "rfc5118-crlf/mult-ip-in-header";
    rfc5118_mult_ip_in_header "rfc5118/mult-ip-in-header";
    rfc5118_crlf_mult_ip_in_sdp "rfc5118-crlf/mult-ip-in-sdp";
    rfc5118_mult_ip_in_sdp "rfc5118/mult-ip-in-sdp";
    rfc5118_crlf_port_ambiguous "rfc5118-crlf/port-ambiguous";
    rfc5118_port_ambiguous "rfc5118/port-ambiguous";
    rfc5118_crlf_port_unambiguous "rfc5118-crlf/port-unambiguous";
    rfc5118_port_unambiguous "rfc5118/port-unambiguous";
    rfc5118_crlf_via_received_param_no_delim "rfc5118-crlf/via-received-param-no-delim";
    rfc5118_via_received_param_no_delim "rfc5118/via-received-param-no-delim";
    rfc5118_crlf_via_received_param_with_delim "rfc5118-crlf/via-received-param-with-delim";
    rfc5118_via_received_param_with_delim "rfc5118/via-received-param-with-delim";
    rfc5118_crlf_ipv6_bug_abnf_3_colons "rfc5118-crlf/ipv6-bug-abnf-3-colons";
    rfc5118_ipv6_bug_abnf_3_colons "rfc5118/ipv6-bug-abnf-3-colons";
    rfc5118_crlf_ipv6_correct_abnf_2_colons "rfc5118-crlf/ipv6-correct-abnf-2-colons";
    rfc5118_ipv6_correct_abnf_2_colons "rfc5118/ipv6-correct-abnf-2-colons";
}

fn judge(bytes: &[u8]) -> Result<(), ParseError> {
    Message::parse(bytes)?.well_formed()
}

/// The status a user agent server answers with by the rules of these layers; `None`: no answer,
/// as always to a response.
fn reply(bytes: &[u8]) -> Option<u16> {
    let error = Message::parse(bytes)
        .and_then(|message| message.validate())
        .err()?;
    if bytes.starts_with(b"SIP/") {
        None
    } else {
        error.kind.status()
    }
}

fn ours(case: &Case) -> bool {
    matches!(case.layer.as_deref(), None | Some("parse" | "message"))
}

fn torture_case(id: &str) {
    let case = case("sip", id);
    let verdict = judge(&case.bytes);
    match case.expect.as_str() {
        "accept" => assert_eq!(verdict, Ok(()), "{}", case.why),
        "reject" => assert!(verdict.is_err(), "{}", case.why),
        _ => {}
    }
    if ours(&case) && case.expect != "either" {
        let expected = match (id, case.reply.as_deref()) {
            // "501 better, 400 allowed": whether a method is known is the application's to say.
            ("rfc4475/mismatch02", _) => Some(400),
            (_, Some("-" | "drop") | None) => None,
            (_, Some(status)) => Some(status.parse().unwrap()),
        };
        assert_eq!(reply(&case.bytes), expected, "{}", case.why);
    }
}

#[test]
fn every_torture_test_of_the_manifest_is_named_here() {
    let ids: Vec<_> = cases("sip")
        .into_iter()
        .map(|case| case.id)
        .filter(|id| id.starts_with("rfc"))
        .collect();
    assert_eq!(ids, TORTURE);
}

// A missed `accept` row would be explained in tests/corpus/EXPLAINED.md: there is none.
#[test]
fn every_row_has_its_verdict() {
    let mut judged = 0;
    let mut misses = Vec::new();
    for case in cases("sip") {
        let verdict = judge(&case.bytes);
        let missed = match case.expect.as_str() {
            "accept" => verdict.is_err(),
            "reject" => verdict.is_ok(),
            _ => continue,
        };
        judged += 1;
        if missed {
            misses.push(format!(
                "{}: {} ({}), not {verdict:?}",
                case.id, case.expect, case.why
            ));
        }
    }
    assert!(misses.is_empty(), "{misses:#?}");
    assert_eq!(judged, 487);
}

// RFC 3261 §8.1.3.3, §8.2.2.1: what only the end of the way holds against a message.
#[test]
fn the_end_of_the_way_refuses_several_via_and_unknown_schemes() {
    let find = |id: &str| case("sip", id).bytes;
    let kind = |id: &str| {
        Message::parse(&find(id))
            .unwrap()
            .validate()
            .map_err(|e| e.kind)
    };
    assert_eq!(kind("rfc4475/bcast"), Err(ParseErrorKind::ExtraVia));
    assert_eq!(kind("rfc4475/novelsc"), Err(ParseErrorKind::UriScheme));
    assert_eq!(kind("rfc4475/unkscm"), Err(ParseErrorKind::UriScheme));
    assert_eq!(reply(&find("rfc4475/unkscm")), Some(416));
    assert_eq!(kind("rfc4475/unksm2"), Ok(()));
}

/// The lines of a head with their folds and their CR LF; the empty line is the last.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let head_len = Message::parse(bytes).unwrap().head_len();
    let mut lines = Vec::new();
    let mut start = 0;
    for at in 0..head_len {
        let folded = at + 2 < head_len && matches!(bytes[at + 2], b' ' | b'\t');
        if bytes[at..head_len].starts_with(b"\r\n") && !folded {
            lines.push(&bytes[start..at + 2]);
            start = at + 2;
        }
    }
    lines
}

fn name_of(line: &[u8]) -> Name {
    let name = line.split(|&b| b == b':').next().unwrap();
    Name::from_bytes(name.trim_ascii_end())
}

fn accepted() -> impl Iterator<Item = Case> {
    cases("sip")
        .into_iter()
        .filter(|case| case.expect == "accept")
}

#[test]
fn a_message_without_a_mandatory_header_is_refused() {
    for case in accepted() {
        let body = Message::parse(&case.bytes).unwrap().body();
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            let kept = lines(&case.bytes)
                .into_iter()
                .filter(|line| name_of(line) != name);
            let without = [&kept.collect::<Vec<_>>().concat()[..], body].concat();
            let error = judge(&without).unwrap_err();
            assert_eq!(
                error.kind,
                ParseErrorKind::MissingHeader,
                "{} without {name:?}",
                case.id
            );
        }
    }
}

#[test]
fn a_content_length_one_too_large_waits_on_a_stream_and_is_refused_in_a_datagram() {
    for case in accepted() {
        let body = Message::parse(&case.bytes).unwrap().body();
        for (more, complete) in [(0, true), (1, false)] {
            let mut lines = lines(&case.bytes);
            let end = lines.pop().unwrap();
            lines.retain(|line| name_of(line) != Name::ContentLength);
            let length = format!("Content-Length: {}\r\n", body.len() + more);
            let message = [&lines.concat(), length.as_bytes(), end, body].concat();
            let mut framer = Framer::new(Limits {
                max_headers: MAX_HEAD,
                max_message: 1 << 20,
            });
            if complete {
                assert_eq!(
                    framer.next(&message),
                    Frame::Message { len: message.len() },
                    "{}",
                    case.id
                );
                assert_eq!(judge(&message), Ok(()), "{}", case.id);
            } else {
                assert_eq!(framer.next(&message), Frame::NeedMore, "{}", case.id);
                let error = judge(&message).unwrap_err();
                assert_eq!(error.kind, ParseErrorKind::Truncated, "{}", case.id);
            }
        }
    }
}

/// Whether a byte put at `at` of a header line is escaped in a quoted string (RFC 3261 §25.1).
fn is_quoted_pair(line: &[u8], at: usize) -> bool {
    let colon = line.iter().position(|&b| b == b':').unwrap();
    if at <= colon || matches!(name_of(line), Name::Other) || name_of(line).form() == Form::Text {
        return false;
    }
    let (mut inside, mut escape) = (false, false);
    for &b in &line[colon + 1..at] {
        match b {
            _ if escape => escape = false,
            b'\\' if inside => escape = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    // What was escaped before no longer is.
    escape && !line[at].is_ascii_control()
}

// CVE-2018-1000099 and its like: NUL at each byte of each head. Only an escaped one may pass, and
// only there the typed views are asked.
#[test]
fn a_nul_anywhere_in_the_head_is_refused() {
    let mut escaped = 0;
    for case in accepted() {
        let mut start = 0;
        for line in lines(&case.bytes) {
            for at in 0..line.len() {
                let mut bytes = case.bytes.clone();
                bytes.insert(start + at, 0);
                if start > 0 && at < line.len() - 2 && is_quoted_pair(line, at) {
                    assert!(
                        Message::parse(&bytes).is_ok(),
                        "{} at {}",
                        case.id,
                        start + at
                    );
                    let _ = judge(&bytes);
                    escaped += 1;
                } else {
                    assert!(judge(&bytes).is_err(), "{} at {}", case.id, start + at);
                }
            }
            start += line.len();
        }
    }
    assert_eq!(escaped, 4);
}

/// Asks everything of a message; what it answers does not matter.
fn read_all(bytes: &[u8]) {
    if let Ok(message) = Message::parse(bytes) {
        let _ = message.validate();
        for header in message.headers() {
            let _ = message.values(header.name).count();
        }
        for contact in message.contacts().flatten() {
            let _ = contact
                .addr()
                .map(|addr| (addr.uri().is_ok(), addr.tag(), addr.expires()));
        }
    }
    if let Some(message) = Message::legible(bytes) {
        let _ = (message.from(), message.to(), message.via(), message.cseq());
    }
}

// CVE-2021-43611, CVE-2021-33056: bytes that are not there any more.
#[test]
fn truncated_at_every_byte() {
    for case in cases("sip") {
        let whole = Message::parse(&case.bytes).ok();
        for cut in 0..case.bytes.len() {
            let bytes = &case.bytes[..cut];
            read_all(bytes);
            if whole
                .as_ref()
                .is_some_and(|message| cut < message.head_len())
            {
                assert!(Message::parse(bytes).is_err(), "{} cut at {cut}", case.id);
            }
        }
    }
}

#[test]
fn with_each_single_byte_deleted() {
    for case in cases("sip") {
        for at in 0..case.bytes.len() {
            let mut bytes = case.bytes.clone();
            bytes.remove(at);
            read_all(&bytes);
        }
    }
}

const REST: &str = "Via: SIP/2.0/UDP c.example;branch=z9hG4bK1\r\nFrom: <sip:a@b.example>;tag=1\r\n\
    To: <sip:c@d.example>\r\nCall-ID: 1@a\r\nCSeq: 1 OPTIONS\r\n";

/// A request with these header lines before the mandatory ones.
fn with(headers: &str) -> Vec<u8> {
    format!("OPTIONS sip:c@d.example SIP/2.0\r\n{headers}{REST}\r\n").into_bytes()
}

/// A request with a mandatory header line replaced.
fn replaced(old: &str, new: &str) -> Vec<u8> {
    assert!(REST.contains(old));
    format!(
        "OPTIONS sip:c@d.example SIP/2.0\r\n{}\r\n",
        REST.replace(old, new)
    )
    .into_bytes()
}

fn kind(bytes: &[u8]) -> Option<ParseErrorKind> {
    judge(bytes).err().map(|error| error.kind)
}

// CVE-2017-9372: a very long method in CSeq, and a Via without branch.
#[test]
fn a_cseq_method_of_64_kib() {
    for length in [60_000, 65_536, 100_000] {
        let method = "M".repeat(length);
        let bytes = replaced("CSeq: 1 OPTIONS", &format!("CSeq: 1 {method}"));
        let expected = match length {
            60_000 => ParseErrorKind::MethodMismatch,
            _ => ParseErrorKind::HeadersTooLong,
        };
        assert_eq!(kind(&bytes), Some(expected), "{length}");
    }
    let branchless = replaced(";branch=z9hG4bK1", "");
    assert_eq!(kind(&branchless), None);
    assert_eq!(
        Message::parse(&branchless).unwrap().via().unwrap().branch(),
        None
    );
}

#[test]
fn a_head_at_its_limit() {
    let empty = with("Subject: \r\n").len();
    for (head_len, expected) in [
        (MAX_HEAD - 1, None),
        (MAX_HEAD, None),
        (MAX_HEAD + 1, Some(ParseErrorKind::HeadersTooLong)),
    ] {
        let bytes = with(&format!("Subject: {}\r\n", "s".repeat(head_len - empty)));
        assert_eq!(bytes.len(), head_len);
        assert_eq!(kind(&bytes), expected, "{head_len}");
    }
}

// CVE-2018-7284: 50 Accept headers; every repeatable header at the limit and far beyond.
#[test]
fn many_headers_are_taken_to_the_limit_and_refused_beyond() {
    for line in [
        "Accept: text/plain",
        "Contact: <sip:a@b.example>",
        "Route: <sip:a.example;lr>",
        "Record-Route: <sip:a.example;lr>",
        "Via: SIP/2.0/UDP a.example;branch=z9hG4bK2",
        "Allow: MESSAGE",
        "Supported: path",
        "X-Unknown: x",
    ] {
        let (name, value) = line.split_once(": ").unwrap();
        // REST has five header lines, one of them a Via.
        let limit = MAX_HEADERS - 5;
        for count in [50, limit - 1, limit, limit + 1, 1000] {
            let bytes = with(&format!("{line}\r\n").repeat(count));
            if count > limit {
                let error = judge(&bytes).unwrap_err();
                assert_eq!(error.kind, ParseErrorKind::TooManyHeaders, "{count} {name}");
                assert_eq!(error.kind.status(), Some(513));
                continue;
            }
            assert_eq!(judge(&bytes), Ok(()), "{count} {name}");
            let message = Message::parse(&bytes).unwrap();
            let named = message
                .headers()
                .filter(|h| h.raw_name == name.as_bytes())
                .count();
            assert_eq!(named, count + usize::from(name == "Via"));
        }
        // As a comma list they are one header line, however many.
        let name = Name::from_bytes(name.as_bytes());
        if name.form() == Form::List && name != Name::Via {
            let list = vec![value; 1000].join(", ");
            let bytes = with(&format!("{}: {list}\r\n", name.as_str()));
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.values(name).count(), 1000);
            assert_eq!(message.well_formed(), Ok(()));
        }
    }
}

// CVE-2018-1000098: numbers beyond what holds them.
#[test]
fn numbers_at_the_ends_of_their_types() {
    let hundred = "9".repeat(100);
    let fits = |line: &str, limit: u64| {
        for (text, value) in [
            ("0", 0),
            ("2147483647", (1 << 31) - 1),
            ("2147483648", 1 << 31),
            ("4294967295", (1 << 32) - 1),
            ("4294967296", 1 << 32),
            ("9223372036854775807", (1 << 63) - 1),
            ("9223372036854775808", 1 << 63),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551616", u64::MAX),
            (&hundred, u64::MAX),
        ] {
            let new = line.replace('#', text);
            let bytes = match line.split_once(' ').unwrap().0 {
                "CSeq:" => replaced("CSeq: 1 OPTIONS", &new),
                "Via:" => replaced("Via: SIP/2.0/UDP c.example;branch=z9hG4bK1", &new),
                _ => with(&format!("{new}\r\n")),
            };
            assert_eq!(
                judge(&bytes).is_ok(),
                value <= limit,
                "{new}: {:?}",
                judge(&bytes)
            );
        }
    };
    // Below 2**31 is what a sender has to keep to (RFC 3261 §8.1.1.5).
    fits("CSeq: # OPTIONS", (1 << 32) - 1);
    fits("Max-Forwards: #", 255);
    // Nothing follows the head.
    fits("Content-Length: #", 0);
    fits("Via: SIP/2.0/UDP c.example:#;branch=z9hG4bK1", 65_535);
    fits("Contact: <sip:a@b.example:#>", 65_535);
}

// CVE-2020-28361, VuXML c0b13887: smuggling by what is taken for white space.
#[test]
fn only_white_space_may_stand_before_the_colon() {
    for blanks in [" ", "\t", " \t  "] {
        let bytes = with(&format!("Subject{blanks}: x\r\n"));
        assert_eq!(
            Message::parse(&bytes).unwrap().header(Name::Subject),
            Some(&b"x"[..])
        );
        let bytes = replaced("To:", &format!("To{blanks}:"));
        assert_eq!(kind(&bytes), None);
        // A second one is a second one, in whatever spelling.
        let bytes = with(&format!("t{blanks}: <sip:other@d.example>\r\n"));
        assert_eq!(kind(&bytes), Some(ParseErrorKind::DuplicateHeader));
    }
    for control in (0..32u8).chain([127]).filter(|b| !b" \t".contains(b)) {
        for line in [
            "#Subject: x",
            "Sub#ject: x",
            "Subject#: x",
            "Subject #: x",
            "Subject:#x",
            "Subject: x#y",
            "Subject: x#",
        ] {
            let bytes = with(&format!(
                "{}\r\n",
                line.replace('#', &char::from(control).to_string())
            ));
            assert!(Message::parse(&bytes).is_err(), "{control} in {line}");
        }
    }
    assert_eq!(
        kind(&with("Subject\r\n : x\r\n")),
        Some(ParseErrorKind::HeaderName)
    );
    assert_eq!(kind(&with(": x\r\n")), Some(ParseErrorKind::HeaderName));
    assert_eq!(kind(&with(" x: y\r\n")), Some(ParseErrorKind::HeaderName));
}

#[test]
fn what_may_stand_once_stands_once() {
    for (first, second) in [
        ("To: <sip:c@d.example>", "t: <sip:e@f.example>"),
        (
            "From: <sip:a@b.example>;tag=1",
            "f: <sip:e@f.example>;tag=2",
        ),
        ("Call-ID: 1@a", "i: 2@a"),
        ("CSeq: 1 OPTIONS", "CSEQ: 2 OPTIONS"),
        ("Content-Length: 0", "l: 1"),
        ("Max-Forwards: 70", "max-forwards: 71"),
        ("Content-Type: text/plain", "c: text/html"),
        ("Expires: 1", "Expires: 2"),
        ("Event: reg", "o: presence"),
    ] {
        for again in [first, second] {
            let bytes = if REST.contains(first) {
                with(&format!("{again}\r\n"))
            } else {
                with(&format!("{first}\r\n{again}\r\n"))
            };
            assert_eq!(
                kind(&bytes),
                Some(ParseErrorKind::DuplicateHeader),
                "{first}, {again}"
            );
        }
    }
}

// drachtio-server#243, CVE-2021-33056, CVE-2021-43611.
#[test]
fn small_things_that_broke_others() {
    for (old, new) in [
        ("From: <sip:a@b.example>;tag=1", "From: \"a\\"),
        (
            "From: <sip:a@b.example>;tag=1",
            "From: \"a\\\" <sip:a@b.example>",
        ),
        ("To: <sip:c@d.example>", "To: /"),
        ("To: <sip:c@d.example>", "To: <"),
        ("To: <sip:c@d.example>", "To:"),
        ("Call-ID: 1@a", "Call-ID: "),
        ("Call-ID: 1@a", "Call-ID: 1@"),
        ("Call-ID: 1@a", "Call-ID: a b"),
        ("CSeq: 1 OPTIONS", "CSeq: 1OPTIONS"),
        ("Via: SIP/2.0/UDP c.example;branch=z9hG4bK1", "Via: "),
        ("Via: SIP/2.0/UDP c.example;branch=z9hG4bK1", "Via: ,"),
    ] {
        assert!(judge(&replaced(old, new)).is_err(), "{new}");
    }
    for line in [
        "Contact: %",
        "Contact: *, <sip:a@b.example>;",
        "Route: <sip:a.example",
        "Record-Route: ,",
    ] {
        assert!(judge(&with(&format!("{line}\r\n"))).is_err(), "{line}");
    }
}

#[test]
fn start_lines() {
    use ParseErrorKind::{ControlCharacter, LineEnd, StartLine, StatusCode, Truncated, Version};
    for (line, expected) in [
        ("OPTIONS sip:a SIP/2.0", None),
        ("OPTIONS sip:a sip/2.0", None),
        ("OPTIONS  sip:a SIP/2.0", Some(StartLine)),
        ("OPTIONS sip:a  SIP/2.0", Some(StartLine)),
        ("OPTIONS sip:a SIP/2.0 ", Some(StartLine)),
        (" OPTIONS sip:a SIP/2.0", Some(StartLine)),
        ("OPTIONS\tsip:a SIP/2.0", Some(StartLine)),
        ("OPTIONS sip:\ta SIP/2.0", Some(StartLine)),
        ("OPTIONS sip:a", Some(StartLine)),
        ("OPTIONS", Some(StartLine)),
        ("OPT:IONS sip:a SIP/2.0", Some(StartLine)),
        ("OPTIONS sip:a HTTP/1.1", Some(StartLine)),
        ("OPTIONS sip:a SIP/2", Some(StartLine)),
        ("OPTIONS sip:a SIP/2.1", Some(Version)),
        ("OPTIONS sip:a SIP/02.0", Some(Version)),
        ("OPTIONS sip:a\x00 SIP/2.0", Some(ControlCharacter)),
        ("OPTIONS sip:a SIP/2.0\n", Some(LineEnd)),
        ("OPTIONS sip:a SIP/2.0\r", Some(LineEnd)),
        ("SIP/2.0 200 OK", None),
        ("SIP/2.0 200 ", None),
        ("SIP/2.0 200 \tO\u{448}", None),
        ("SIP/2.0 200", Some(StartLine)),
        ("SIP/2.0  200 OK", Some(StatusCode)),
        ("SIP/2.0 099 OK", Some(StatusCode)),
        ("SIP/2.0 700 OK", Some(StatusCode)),
        ("SIP/2.0 20 OK", Some(StatusCode)),
        ("SIP/2.0 2000 OK", Some(StatusCode)),
        ("SIP/2.0 20x OK", Some(StatusCode)),
        ("SIP/3.0 200 OK", Some(Version)),
        ("SIP/2.0", Some(StatusCode)),
        ("", Some(Truncated)),
    ] {
        let bytes = format!("{line}\r\n\r\n");
        let kind = Message::parse(bytes.as_bytes()).err().map(|e| e.kind);
        assert_eq!(kind, expected, "{line:?}");
    }
}

#[test]
fn a_message_is_read_in_any_spelling() {
    let bytes = b"\r\n\r\nMESSAGE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP a, SIP/2.0/TCP b\r\nVIA : SIP/2.0/TLS c\r\n\
        Subject:\r\nX-Odd:one\r\n\ttwo\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\nl: 2\r\n\r\nHi and more";
    let message = Message::parse(bytes).unwrap();
    let StartLine::Request(line) = message.start() else {
        panic!()
    };
    assert_eq!((line.method, line.uri), (Method::Message, &b"sip:a@b"[..]));
    assert!(message.values(Name::Via).eq([
        &b"SIP/2.0/UDP a"[..],
        b"SIP/2.0/TCP b",
        b"SIP/2.0/TLS c"
    ]));
    assert_eq!(message.all(Name::Via).count(), 2);
    assert_eq!(message.header(Name::Subject), Some(&b""[..]));
    assert_eq!(message.other("x-odd"), Some(&b"one\r\n\ttwo"[..]));
    assert_eq!(message.values(Name::WwwAuthenticate).count(), 1);
    assert_eq!(message.header(Name::To), None);
    assert_eq!(message.body(), b"Hi");
    assert_eq!(&bytes[message.head_len()..][..2], b"Hi");
}

#[test]
fn faults_are_told_where_they_are() {
    let at = |bytes: &[u8]| judge(bytes).unwrap_err().offset();
    let bytes = replaced("CSeq: 1 OPTIONS", "CSeq: 99999999999 OPTIONS");
    assert!(bytes[at(&bytes)..].starts_with(b"99999999999"));
    let bytes = [&b"\r\n"[..], &replaced("1 OPTIONS", "1 ACK")].concat();
    assert!(bytes[at(&bytes)..].starts_with(b"1 ACK"));
    let bytes = with("Subject: a\x01b\r\n");
    assert_eq!(bytes[at(&bytes)], 1);
}

// RFC 3261 §8.2.6.2: an answer copies Via, From, To, Call-ID and CSeq.
#[test]
fn what_is_refused_is_read_as_far_as_an_answer_needs() {
    let find = |id: &str| {
        cases("sip")
            .into_iter()
            .find(|case| case.id == id)
            .unwrap()
            .bytes
    };
    for id in [
        "rfc4475/clerr",
        "rfc4475/badvers",
        "rfc4475/lwsruri",
        "rfc4475/multi01",
        "rfc4475/ncl",
    ] {
        let bytes = find(id);
        let message = Message::legible(&bytes).unwrap_or_else(|| panic!("{id}"));
        assert!(message.via().is_ok() && message.request().is_some(), "{id}");
    }
    for id in [
        "rfc4475/insuf",
        "rfc4475/bigcode",
        "rfc4475/scalarlg",
        "rfc4475/test",
    ] {
        assert!(Message::legible(&find(id)).is_none(), "{id}");
    }
    let many = with(&"A: b\r\n".repeat(10));
    assert!(Message::legible(&many).is_some());
    let broken = with("Bad\x01: x\r\nWorse\r\n: none\r\n");
    assert!(Message::parse(&broken).is_err());
    assert_eq!(Message::legible(&broken).unwrap().headers().count(), 5);
    let ack = String::from_utf8(with("l: 9\r\n"))
        .unwrap()
        .replace("OPTIONS", "ACK");
    assert!(Message::legible(ack.as_bytes()).is_none());
}

#[test]
fn a_message_is_small() {
    assert!(
        size_of::<Message<'_>>() < 900,
        "{}",
        size_of::<Message<'_>>()
    );
}

//! URIs: grammar, comparison, conversion.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use oma_im::wire::error::ParseErrorKind;
use oma_im::wire::scan::unescape;
use oma_im::wire::uri::{Host, MAX_COMPARED, Scheme, Uri, parse_ip};

fn uri(text: &str) -> Uri<'_> {
    Uri::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Both ways, as equivalence has to be.
fn equivalent(a: &str, b: &str) -> bool {
    let there = uri(a).equivalent(&uri(b));
    assert_eq!(there, uri(b).equivalent(&uri(a)), "{a} and {b}");
    there
}

#[track_caller]
fn same(set: &[&str]) {
    for a in set {
        for b in set {
            assert!(equivalent(a, b), "{a} and {b}");
        }
    }
}

#[track_caller]
fn differ(a: &str, b: &str) {
    assert!(!equivalent(a, b), "{a} and {b}");
}

#[test]
fn equivalent_sets_of_rfc_3261_19_1_4() {
    same(&[
        "sip:%61lice@atlanta.com;transport=TCP",
        "sip:alice@AtLanTa.CoM;Transport=tcp",
    ]);
    let carol = [
        "sip:carol@chicago.com",
        "sip:carol@chicago.com;newparam=5",
        "sip:carol@chicago.com;security=on",
    ];
    same(&carol);
    same(&[
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ]);
    same(&[
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ]);
}

#[test]
fn different_pairs_of_rfc_3261_19_1_4() {
    differ(
        "SIP:ALICE@AtLanTa.CoM;Transport=udp",
        "sip:alice@AtLanTa.CoM;Transport=UDP",
    );
    differ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060");
    differ(
        "sip:bob@biloxi.com",
        "sip:bob@biloxi.com:6000;transport=tcp",
    );
    differ(
        "sip:carol@chicago.com",
        "sip:carol@chicago.com?Subject=next%20meeting",
    );
    differ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4");
    differ(
        "sip:carol@chicago.com;security=on",
        "sip:carol@chicago.com;security=off",
    );
    // Not ignored in one only, though it is none of "user, ttl, or method": its default value is
    // never the same as leaving it out.
    differ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp");
}

#[test]
fn each_rule_of_rfc_3261_19_1_4() {
    differ("sip:a@b.c", "sips:a@b.c");
    // userinfo with case, and present in both or in none
    differ("sip:a@b.c", "sip:A@b.c");
    differ("sip:a:x@b.c", "sip:a:X@b.c");
    differ("sip:b.c", "sip:a@b.c");
    differ("sip:a@b.c", "sip:a:@b.c");
    // a reserved character is not its escape; an unreserved one is
    differ("sip:a;b@c.d", "sip:a%3Bb@c.d");
    same(&["sip:a%2db@c.d", "sip:a%2Db@c.d", "sip:a-b@c.d"]);
    same(&["sip:a%3bb@c.d", "sip:a%3Bb@c.d"]);
    // user, ttl, method and maddr in one only
    for lone in [
        "user=ip",
        "ttl=1",
        "method=INVITE",
        "maddr=224.2.0.1",
        "UsEr=phone",
    ] {
        differ("sip:a@b.c", &format!("sip:a@b.c;{lone}"));
    }
    same(&[
        "sip:a@b.c;user=phone",
        "sip:a@b.c;USER=Phone",
        "sip:a@b.c;%75ser=phone;lr",
    ]);
    differ("sip:a@b.c;method=INVITE", "sip:a@b.c;method=invite");
    differ("sip:a@b.c;x", "sip:a@b.c;x=1");
    // headers, never ignored
    differ("sip:a@b.c?x=1", "sip:a@b.c?x=2");
    differ("sip:a@b.c?x=1", "sip:a@b.c?x=1&x=1");
    same(&["sip:a@b.c?Subject=a&to=b", "sip:a@b.c?TO=b&subject=a"]);
    // addresses by their value
    same(&["sip:[2001:DB8::1]", "sip:[2001:db8:0:0::1]"]);
    same(&["sip:192.0.2.1", "sip:192.000.002.001"]);
    differ("sip:[::ffff:192.0.2.1]", "sip:192.0.2.1");
}

#[test]
fn tel_uris_compare_by_rfc_3966_4() {
    same(&[
        "tel:+358-555-1234567",
        "tel:+3585551234567",
        "TEL:+358(555)123.45.67",
    ]);
    same(&[
        "tel:+358-555-1234567;postd=pp22",
        "tel:+358-555-1234567;POSTD=PP22",
    ]);
    same(&[
        "tel:7042;phone-context=example.com",
        "tel:70-42;Phone-Context=EXAMPLE.COM",
    ]);
    same(&[
        "tel:863-1234;phone-context=+1-914-555",
        "tel:8631234;phone-context=+1914555",
    ]);
    same(&["tel:+1;ext=12-3;isub=4", "tel:+1;isub=4;ext=123"]);
    differ("tel:+3585551234567", "tel:3585551234567;phone-context=+1");
    differ("tel:+1201", "tel:+1202");
    // a parameter that is missing in one
    differ("tel:+1201", "tel:+1201;x=1");
    differ(
        "tel:7042;phone-context=example.com",
        "tel:7042;phone-context=example.org",
    );
    differ("tel:+1201", "sip:+1201@example.com;user=phone");
    // Only ext and phone-context are numbers.
    differ("tel:+1;x=a-b", "tel:+1;x=ab");
    same(&["tel:+1;x=%61", "tel:+1;x=A"]);
}

#[test]
fn other_uris_compare_without_the_case_of_scheme_and_host() {
    same(&[
        "im:alice@Example.com",
        "IM:alice@example.com",
        "im:%61lice@example.com",
    ]);
    differ("im:alice@example.com", "im:Alice@example.com");
    differ("im:alice@example.com", "pres:alice@example.com");
    same(&["urn:uuid:f81d4fae", "URN:uuid:f81d4fae"]);
}

#[test]
fn comparison_is_bounded() {
    let params = |n: usize| (0..n).map(|i| format!(";p{i}=1")).collect::<String>();
    let at_limit = format!("sip:a@b.c{}", params(MAX_COMPARED));
    let over = format!("sip:a@b.c{}", params(MAX_COMPARED + 1));
    assert!(equivalent(&at_limit, &at_limit) && equivalent(&at_limit, "sip:a@b.c"));
    differ(&over, &over);
    differ(&over, "sip:a@b.c");
    let headers = |n: usize| (0..n).map(|i| format!("&h{i}=1")).collect::<String>();
    let at_limit = format!("sip:a@b.c?x=1{}", headers(MAX_COMPARED - 1));
    let over = format!("sip:a@b.c?x=1{}", headers(MAX_COMPARED));
    assert!(equivalent(&at_limit, &at_limit));
    differ(&over, &over);
    differ(&over, "sip:a@b.c?x=1");
}

#[test]
fn the_parts_of_the_examples_of_rfc_3261_19_1_3() {
    let full = uri("sip:+1-212-555-1212:1234@gateway.com;user=phone");
    assert_eq!(
        (full.user(), full.password()),
        (Some(&b"+1-212-555-1212"[..]), Some(&b"1234"[..]))
    );
    assert!(full.sip().unwrap().is_phone());
    let sips = uri("sips:alice@atlanta.com?subject=project%20x&priority=urgent");
    assert_eq!(sips.scheme(), Scheme::Sips);
    let headers: Vec<_> = sips
        .headers()
        .map(|h| (h.name, unescape(h.value).collect::<Vec<_>>()))
        .collect();
    assert_eq!(
        headers,
        [
            (&b"subject"[..], b"project x".to_vec()),
            (b"priority", b"urgent".to_vec())
        ]
    );
    let method = uri("sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com");
    assert_eq!(
        (method.user(), method.host()),
        (None, Some(Host::Name(b"atlanta.com")))
    );
    assert_eq!(
        method.param(b"METHOD").unwrap().value,
        Some(&b"REGISTER"[..])
    );
    assert_eq!(
        uri("sip:alice;day=tuesday@atlanta.com").user(),
        Some(&b"alice;day=tuesday"[..])
    );
    assert_eq!(
        uri("sip:alice@192.0.2.4").host().unwrap().ip(),
        parse_ip(b"192.0.2.4")
    );
    let route = uri("sip:p1.example.com:5070;transport=tcp;lr");
    let sip = route.sip().unwrap();
    assert!(sip.is_loose_router());
    assert_eq!(
        (sip.user(), sip.port(), sip.transport()),
        (None, Some(5070), Some(&b"tcp"[..]))
    );
}

#[test]
fn every_part_of_every_kind_is_handed_out_as_it_was_written() {
    let full = "sip:%61lice:pa%3ass@Atlanta.com:5061;maddr=192.0.2.9;transport=TCP?subject=x";
    let sip = *uri(full).sip().unwrap();
    assert_eq!(uri(full).as_bytes(), full.as_bytes());
    assert_eq!(sip.user(), Some(&b"%61lice"[..]));
    assert_eq!(sip.password(), Some(&b"pa%3ass"[..]));
    assert_eq!(sip.host().to_string(), "Atlanta.com");
    assert_eq!(sip.host().ip(), None);
    assert_eq!(sip.port(), Some(5061));
    assert_eq!(sip.maddr().unwrap().to_string(), "192.0.2.9");
    assert_eq!(sip.transport(), Some(&b"TCP"[..]));
    assert_eq!(sip.headers().count(), 1);
    assert!(!sip.is_loose_router() && !sip.is_phone());
    assert_eq!(uri("sip:a@b;maddr=-").sip().unwrap().maddr(), None);
    assert_eq!(uri("sip:a@b;maddr").sip().unwrap().maddr(), None);
    assert_eq!(uri("sip:a@b").sip().unwrap().maddr(), None);
    let tel = uri("tel:+1-201;ext=7");
    assert_eq!(tel.as_bytes(), b"tel:+1-201;ext=7");
    assert!(tel.sip().is_none() && tel.host().is_none() && tel.user().is_none());
    let Uri::Tel(number) = tel else { panic!() };
    assert_eq!(number.number(), b"+1-201");
    assert!(number.digits().eq(*b"1201"));
    assert_eq!(number.phone_context(), None);
    let Uri::Other(other) = uri("IM:alice@example.com") else {
        panic!()
    };
    assert_eq!(
        (other.scheme(), other.rest()),
        (&b"IM"[..], &b"alice@example.com"[..])
    );
    assert_eq!(uri("im:a;x=1").params().count(), 0);
}

#[test]
fn what_peers_send() {
    let odd = "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com";
    assert_eq!(
        uri(odd).password(),
        Some(&b"&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"[..])
    );
    let gruu =
        uri("sip:anna@[2001:db8:40::17]:5060;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6;ob");
    assert_eq!(gruu.host().unwrap().ip(), parse_ip(b"2001:db8:40::17"));
    assert_eq!(gruu.param(b"gr").unwrap().value.unwrap().len(), 45);
    assert_eq!(
        uri("sip:user@[2001:db8:::192.0.2.1]").host(),
        uri("sip:[2001:db8::192.0.2.1]").host()
    );
    assert_eq!(uri("sip:kamailio_1:5060").port(), Some(5060));
    // A dot may end a name.
    let rooted = uri("sip:example.com.:5060");
    assert_eq!(rooted.host(), Some(Host::Name(b"example.com.")));
    assert_eq!(
        uri("sip:bob@3f2a91bc").host(),
        Some(Host::Name(b"3f2a91bc"))
    );
    assert!(uri("tel:112").params().next().is_none());
    assert_eq!(
        uri("im:alice@example.com").as_bytes(),
        b"im:alice@example.com"
    );
    assert_eq!(
        uri("soap.beep://192.0.2.103:3002").scheme(),
        Scheme::Other(b"soap.beep")
    );
    assert_eq!(uri("SIP:a@b").scheme(), Scheme::Sip);
    assert_eq!(uri("sip:[::1]").host().unwrap().to_string(), "[::1]");
}

#[test]
fn what_is_refused() {
    for bad in [
        "",
        "/",
        ":",
        "%",
        "sip",
        "sip:",
        "sip:@",
        "sip:@a",
        "sip:a@",
        "sip:a@b@c",
        "sip:a@b;",
        "sip:a@b;;x",
        "sip:a@b;=x",
        "sip:a@b;x=",
        "sip:a@b?",
        "sip:a@b?x",
        "sip:a@b?x=1&",
        "sip:a@b?=1",
        "sip:a@b?x=1&&y=2",
        "sip:a@b:",
        "sip:a@b:x",
        "sip:a@b:5060x",
        "sip:a%4@b",
        "sip:a%zz@b",
        "sip:a%4z@b",
        "sip:a%z4@b",
        "sip::x@b",
        "sip::@b",
        "im:a%4z",
        "tel:+1;x=%z4",
        "sip:a@%62",
        "sip:a b@c",
        "sip:a@b c",
        "sip:a@b\0",
        "sip:a\"@b",
        "sip:a@-b",
        "sip:a@b-",
        "sip:a@b..c",
        "sip:a@.b",
        "sip:a@b-.c",
        "sip:a@.",
        "sip:192.0.2.256",
        "sip:192.0.2",
        "sip:1.2.3.4.5",
        "sip:1234",
        "sip:2001:db8::10",
        "sip:[2001:db8::10",
        "sip:[]",
        "sip:[::1%eth0]",
        "sip:[1:2:3]",
        "sip:[:::1]",
        "sip:[1:::2]",
        "sip:192.0.2.1.",
        "sip:a.1.",
        "sip:[::1]x",
        "tel:",
        "tel:+",
        "tel:+-",
        "tel:-",
        "tel:+12a",
        "tel:+1;",
        "tel:1;phone-context=",
        "tel:1 2",
        "tel:1;phone-context=-",
        "tel:1@b",
        "im:",
        "im: a",
        "1sip:a",
        "x y:a",
        "urn:a%4",
        "sip:a@b;x=\"y\"",
    ] {
        assert!(Uri::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn ports_at_the_limits() {
    let kind = |text: &str| {
        Uri::parse(text.as_bytes())
            .map(|uri| uri.port())
            .map_err(|error| error.kind)
    };
    assert_eq!(kind("sip:a@b:65535"), Ok(Some(65535)));
    assert_eq!(kind("sip:a@b:0000005060"), Ok(Some(5060)));
    let long = "9".repeat(100);
    for bad in [
        "65536",
        "2147483648",
        "4294967296",
        "9223372036854775808",
        "18446744073709551616",
        &long,
    ] {
        assert_eq!(
            kind(&format!("sip:a@b:{bad}")),
            Err(ParseErrorKind::Number),
            "{bad}"
        );
    }
}

#[test]
fn errors_say_where() {
    for (bad, at) in [
        ("sip:a@b:x", 8),
        ("sip:a@b;x=%4", 10),
        ("sip:a@b?x", 8),
        ("/", 0),
        ("tel:x", 4),
        ("im:a b", 4),
    ] {
        assert_eq!(
            Uri::parse(bad.as_bytes()).unwrap_err().offset(),
            at,
            "{bad}"
        );
    }
}

#[test]
fn tel_becomes_sip_by_rfc_3261_19_1_6() {
    let convert = |text: &'static str| {
        let Uri::Tel(tel) = uri(text) else {
            panic!("{text}")
        };
        let mut out = [0; 128];
        let sip = tel.to_sip(b"foo.com", &mut out).unwrap();
        // What comes out is a URI, and one byte less of room is noticed.
        Uri::parse(sip).unwrap();
        assert_eq!(tel.to_sip(b"foo.com", &mut vec![0; sip.len() - 1]), None);
        String::from_utf8(sip.to_vec()).unwrap()
    };
    let plain = "sip:+358-555-1234567;postd=pp22@foo.com;user=phone";
    assert_eq!(convert("tel:+358-555-1234567;postd=pp22"), plain);
    assert_eq!(convert("tel:+358-555-1234567;POSTD=PP22"), plain);
    let context = "sip:+358-555-1234567;phone-context=5.fi;tsp=a.b@foo.com;user=phone";
    assert_eq!(
        convert("tel:+358-555-1234567;tsp=a.b;phone-context=5.fi"),
        context
    );
    assert_eq!(
        convert("tel:+358-555-1234567;phone-context=5.fi;tsp=a.b"),
        context
    );
    let first = "sip:+1;isub=1411;postd=pp22;a=1@foo.com;user=phone";
    assert_eq!(convert("tel:+1;a=1;postd=pp22;isub=1411"), first);
    assert_eq!(
        convert("tel:*#06#;phone-context=a.b;x=[:]"),
        "sip:*%2306%23;phone-context=a.b;x=%5b%3a%5d@foo.com;user=phone"
    );
    let Uri::Tel(tel) = uri("tel:+1") else {
        panic!()
    };
    assert_eq!(
        convert("tel:1aB*;phone-context=a.b;x=%41b;flag"),
        "sip:1ab*;flag;phone-context=a.b;x=%41b@foo.com;user=phone"
    );
    let many = |n: usize| format!("tel:+1{}", ";x".repeat(n));
    for (count, fits) in [(MAX_COMPARED, true), (MAX_COMPARED + 1, false)] {
        let text = many(count);
        let Uri::Tel(tel) = uri(&text) else { panic!() };
        let mut out = [0; 512];
        assert_eq!(tel.to_sip(b"foo.com", &mut out).is_some(), fits);
    }
    for domain in [&b""[..], b"a b", b"a@b", b"foo.com;x"] {
        assert_eq!(tel.to_sip(domain, &mut [0; 64]), None);
    }
    assert!(tel.is_global() && tel.digits().eq(*b"1"));
    let Uri::Tel(local) = uri("tel:1;phone-context=+4") else {
        panic!()
    };
    assert!(!local.is_global());
}

#[test]
fn cut_or_damaged_uris_do_no_harm() {
    for text in [
        "sip:%61l:p@Atlanta.com:5060;transport=TCP;x?subject=x&y=%41",
        "sips:a@[2001:db8::192.0.2.1]:5061;lr",
        "tel:+358-555;ext=1;phone-context=+1",
        "http://a:80/b?c",
    ] {
        let bytes = text.as_bytes();
        for at in 0..bytes.len() {
            let cut = Uri::parse(&bytes[..at]);
            let less = [&bytes[..at], &bytes[at + 1..]].concat();
            let less = Uri::parse(&less);
            for parsed in [cut, less].into_iter().flatten() {
                // What is taken is taken apart without loss.
                assert!(parsed.equivalent(&parsed), "{parsed:?}");
                let _ = (parsed.params().count(), parsed.headers().count());
            }
        }
    }
}

#[test]
fn addresses_agree_with_the_standard_parser() {
    // Every string of up to six of these pieces: all shapes of an IPv6 address and their faults.
    const PIECES: [&str; 6] = ["1", "ab0F", "12345", ":", "::", "192.0.2.1"];
    let mut texts = vec![String::new()];
    for _ in 0..6 {
        let longer = texts
            .iter()
            .flat_map(|text| PIECES.map(|piece| format!("{text}{piece}")));
        texts = longer.collect();
        for text in &texts {
            let standard = text.parse::<std::net::IpAddr>().ok();
            // RFC 5118 §4.10: three colons before an IPv4 part are taken.
            if standard.is_some() || !text.contains(":::") {
                assert_eq!(parse_ip(text.as_bytes()), standard, "{text}");
            }
        }
    }
    for groups in 1..=9 {
        for gap in 0..=groups {
            let mut parts = vec!["1"; groups];
            parts[..gap].fill("0");
            let full = parts.join(":");
            let short = full.replacen("0:", ":", 1);
            for text in [
                full.clone(),
                short,
                format!("{full}::"),
                format!("{full}:192.0.2.1"),
            ] {
                assert_eq!(parse_ip(text.as_bytes()), text.parse().ok(), "{text}");
            }
        }
    }
}

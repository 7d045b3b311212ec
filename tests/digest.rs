//! Digest headers: read, chosen, computed, written. RFC 3261 §22, RFC 7616, RFC 8760.
//!
//! Where a value is not from an RFC it was computed with Python's `hashlib` straight from the
//! formulas of RFC 7616 §3.4.1 to §3.4.3, e.g. `md5(f"{md5(a1)}:{nonce}:{nc}:{cnonce}:{qop}:{md5(a2)}")`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice
)]

use oma_im::wire::digest::*;
use oma_im::wire::error::{ParseError, ParseErrorKind};
use oma_im::wire::sink::Sink;

const CNONCE: Cnonce = Cnonce(0x0123_4567_89ab_cdef);

/// alice's MESSAGE to bob, the 42nd request with its nonce.
fn answer<'a>(secret: Secret<'a>, body: &'a [&'a [u8]]) -> Answer<'a> {
    Answer {
        username: b"alice",
        secret,
        method: b"MESSAGE",
        uri: b"sip:bob@b.example",
        body,
        cnonce: CNONCE,
        nc: 42,
    }
}

const PASSWORD: Secret<'static> = Secret::Password(b"wonderland");
const BODY: &[&[u8]] = &[b"Hello ", b"Bob!"];

fn challenges(value: &[u8]) -> Vec<Result<Challenge<'_>, ParseError>> {
    Challenges::new(value).collect()
}

fn one(value: &[u8]) -> Challenge<'_> {
    let mut all = challenges(value);
    assert_eq!(all.len(), 1, "{}", value.escape_ascii());
    all.remove(0).unwrap()
}

fn bytes(text: Quoted<'_>) -> Vec<u8> {
    text.bytes().collect()
}

fn credentials_bytes(
    challenge: &Challenge<'_>,
    answer: &Answer<'_>,
) -> Result<Vec<u8>, AnswerError> {
    let mut out = [0; 1024];
    let mut sink = Sink::new(&mut out);
    write_credentials(&mut sink, challenge, answer)?;
    Ok(sink.written().unwrap().to_vec())
}

fn credentials(challenge: &Challenge<'_>, answer: &Answer<'_>) -> Result<String, AnswerError> {
    credentials_bytes(challenge, answer).map(|value| String::from_utf8(value).unwrap())
}

fn read_bytes(value: &[u8]) -> Credentials<'_> {
    match Authorization::parse(value).unwrap() {
        Authorization::Digest(credentials) => credentials,
        Authorization::Other(scheme) => panic!("{}", scheme.escape_ascii()),
    }
}

fn read(value: &str) -> Credentials<'_> {
    read_bytes(value.as_bytes())
}

// ---- challenges ---------------------------------------------------------------------------------

#[test]
fn the_challenge_of_rfc_3261() {
    let c = one(
        b"Digest realm=\"atlanta.com\",\r\n domain=\"sip:boxesbybob.com\", qop=\"auth\",\r\n \
          nonce=\"f84f1cec41e6cbe5aea9c8e88d359\",\r\n opaque=\"\", stale=FALSE, algorithm=MD5",
    );
    assert_eq!(c.realm, b"atlanta.com"[..]);
    assert_eq!(c.nonce, b"f84f1cec41e6cbe5aea9c8e88d359"[..]);
    assert_eq!(c.domain.unwrap(), b"sip:boxesbybob.com"[..]);
    assert!(c.opaque.unwrap().is_empty());
    assert_eq!(c.stale, Freshness::New);
    assert_eq!(c.algorithm, Algorithm::Md5);
    assert_eq!(c.algorithm_name, Some(&b"MD5"[..]));
    assert_eq!(c.qop, QopOffer::Auth);
}

#[test]
fn quotes_where_none_belong_and_none_where_they_do() {
    let c = one(
        b"dIgEsT REALM = a.example ,nonce=abc==,STALE=\"True\",Algorithm=\"sha-256\" , qop=auth",
    );
    assert_eq!(c.realm, b"a.example"[..]);
    assert_eq!(c.nonce, b"abc=="[..]);
    assert_eq!(c.stale, Freshness::Stale);
    assert_eq!(c.algorithm, Algorithm::Sha256);
    assert_eq!(c.qop, QopOffer::Auth);
    // What goes back has the quotes the RFC wants, and the case that came.
    let value = credentials(&c, &answer(PASSWORD, &[])).unwrap();
    assert!(value.contains(",nonce=\"abc==\","), "{value}");
    assert!(value.contains(",algorithm=sha-256,qop=auth,"), "{value}");
}

#[test]
fn md5_is_meant_where_no_algorithm_is_named() {
    for value in [
        &br#"Digest realm="a",nonce="n""#[..],
        br#"Digest realm="a",nonce="n",algorithm="""#,
        br#"Digest realm="a",nonce="n",algorithm="#,
    ] {
        let c = one(value);
        assert_eq!((c.algorithm, c.algorithm_name), (Algorithm::Md5, None));
    }
}

#[test]
fn commas_part_parameters_challenges_and_forgotten_quotes() {
    let c =
        one(br#"Digest realm="a, \"b\", c", ,, nonce="x,y",domain="sip:a, sip:b",foo,bar="z,""#);
    assert_eq!(bytes(c.realm), br#"a, "b", c"#);
    assert_eq!(c.nonce, b"x,y"[..]);
    // `qop` without its quotes is torn at its comma.
    for (value, offer) in [
        (
            &br#"Digest realm="a",nonce="n",qop=auth,auth-int"#[..],
            QopOffer::Both,
        ),
        (
            br#"Digest realm="a",qop=auth-int, auth ,nonce="n""#,
            QopOffer::Both,
        ),
        (
            br#"Digest realm="a",qop=auth-int,nonce="n""#,
            QopOffer::AuthInt,
        ),
        (
            br#"Digest realm="a",qop="auth-int,token",nonce="n""#,
            QopOffer::AuthInt,
        ),
        (
            br#"Digest realm="a",qop=" auth ,  auth-int ",nonce="n""#,
            QopOffer::Both,
        ),
        (br#"Digest realm="a",qop="",nonce="n""#, QopOffer::Absent),
        (
            br#"Digest realm="a",nonce="n",qop="auth,auth,x""#,
            QopOffer::Auth,
        ),
        (
            br#"Digest realm="a",nonce="n",qop="auth-int,x""#,
            QopOffer::AuthInt,
        ),
        (
            br#"Digest realm="a",qop="other",nonce="n""#,
            QopOffer::Unknown,
        ),
        (br#"Digest realm="a",nonce="n",auth"#, QopOffer::Absent),
    ] {
        assert_eq!(one(value).qop, offer, "{}", value.escape_ascii());
    }
    // RFC 3665 §2.1 prints one with a comma missing; the meaning is plain.
    assert_eq!(
        one(b"Digest realm=\"a\"\r\n nonce=\"n\", stale=TRUE").nonce,
        b"n"[..]
    );
}

#[test]
fn several_challenges_in_one_value_and_other_schemes_between() {
    let value = br#"Basic realm="a", Digest realm="a", nonce="1", algorithm=SHA-256, Bearer ab/c+d==, Negotiate, Digest nonce="2", realm="b", NTLM, DIGEST realm="c",nonce="3" , Basic realm="z""#;
    let all: Vec<_> = challenges(value).into_iter().map(Result::unwrap).collect();
    assert_eq!(all.len(), 3);
    assert_eq!(
        all.iter().map(|c| bytes(c.nonce)).collect::<Vec<_>>(),
        [b"1", b"2", b"3"]
    );
    // Each can be kept by itself.
    assert_eq!(
        all[0].as_bytes(),
        br#"Digest realm="a", nonce="1", algorithm=SHA-256"#
    );
    assert_eq!(all[2].as_bytes(), br#"DIGEST realm="c",nonce="3""#);
    for c in &all {
        let again = Challenge::parse(c.as_bytes()).unwrap();
        assert_eq!((again.realm, again.nonce), (c.realm, c.nonce));
        assert_eq!(again.as_bytes(), c.as_bytes());
    }
}

#[test]
fn a_parameter_twice_counts_once_or_spoils_the_challenge() {
    assert_eq!(
        one(br#"Digest realm="a",nonce="n",realm=a,nonce="\n""#).realm,
        b"a"[..]
    );
    for twice in [
        "realm=b",
        "nonce=m",
        "stale=true,stale=false",
        "opaque=\"1\",opaque=\"2\"",
        "algorithm=MD5,algorithm=SHA-256",
        "qop=auth,qop=auth-int",
    ] {
        let value = format!(r#"Digest realm="a",nonce="n",{twice}, Digest realm="next",nonce="n""#);
        let all = challenges(value.as_bytes());
        assert_eq!(
            all[0].unwrap_err().kind,
            ParseErrorKind::Challenge,
            "{twice}"
        );
        assert_eq!(all[1].unwrap().realm, b"next"[..], "{twice}");
    }
}

#[test]
fn a_folded_nonce_means_one_space() {
    // A nonce torn by a fold (doubango#27): the server hashes what it meant, so do we.
    let c = one(b"Digest realm=\"a  b\",nonce=\"dcd9 \r\n\t 8b71\"");
    assert_eq!(bytes(c.nonce), b"dcd9 8b71");
    assert_eq!(bytes(c.realm), b"a  b");
    assert_eq!(
        c.nonce,
        Challenge::parse(br#"Digest realm="",nonce="dcd9 8b71""#)
            .unwrap()
            .nonce
    );
    let value = credentials(&c, &answer(PASSWORD, &[])).unwrap();
    assert!(
        value.contains("nonce=\"dcd9 8b71\",") && !value.contains('\r'),
        "{value}"
    );
}

#[test]
fn empty_nonce_and_empty_realm_are_challenges() {
    let c = one(br#"Digest realm="",nonce="""#);
    assert!(c.nonce.is_empty() && c.realm.is_empty());
    assert_eq!(
        read(&credentials(&c, &answer(PASSWORD, &[])).unwrap()).verify(PASSWORD, b"MESSAGE", &[]),
        Verdict::Right
    );
}

#[test]
fn what_is_no_challenge() {
    for bad in [
        &br#"Digest realm="a""#[..],
        br#"Digest nonce="n""#,
        br#"Digest realm,nonce"#,
        br#"Digest realm="a",nonce="n"#,
        br#"Digest realm="a",nonce="n\"#,
        br#"Digest realm="a",nonce=n\n"#,
        br#"Digest realm="a",nonce=n"n"#,
        br#"Digest realm="a",nonce="n",="#,
        br#"Digest realm="a",nonce="n",@"#,
        b"Digest realm=\"a\",nonce=\"n\0\"",
        b"Digest realm=\"a\",nonce=\"n\\\0\"",
        b"Digest realm=\"a\",nonce=\"n\\\r\n \"",
        b"Digest realm=a\x7f,nonce=n",
        br#""Digest" realm="a",nonce="n""#,
    ] {
        let all = challenges(bad);
        assert!(all.len() == 1 && all[0].is_err(), "{}", bad.escape_ascii());
    }
    for none in [
        &b""[..],
        b" ",
        b",,",
        b"Digest",
        b"Digest,",
        b"Basic realm=\"a\"",
        b"NTLM",
        b"Bearer x/y",
        br#"Digest ="a",nonce="n""#,
    ] {
        assert!(
            challenges(none).iter().all(Result::is_err),
            "{}",
            none.escape_ascii()
        );
        assert!(Challenge::parse(none).is_err());
    }
}

// ---- choosing -----------------------------------------------------------------------------------

#[test]
fn the_topmost_supported_challenge_is_taken_and_none_below_the_floor() {
    let lines: [&[u8]; 4] = [
        br#"Digest realm="a",nonce="0",algorithm=SHA-512-256,qop="auth""#,
        br#"Digest realm="a",nonce="1",algorithm=SHA-256,qop="auth""#,
        br#"Digest realm="a",nonce="2",algorithm=MD5,qop="auth""#,
        br#"Digest realm="a",nonce="3",algorithm=AKAv1-MD5,qop="auth""#,
    ];
    let pick = |order: &[usize], acceptable: Acceptable| {
        let all = order.iter().flat_map(|&i| Challenges::new(lines[i]));
        choose(all, acceptable).map(|c| bytes(c.nonce)[0] - b'0')
    };
    let strict = Acceptable::PASSWORD.with_floor(Floor::Sha256);
    assert_eq!(pick(&[0, 1, 2, 3], Acceptable::PASSWORD), Some(1));
    assert_eq!(pick(&[2, 1], Acceptable::PASSWORD), Some(2));
    assert_eq!(pick(&[2, 1], strict), Some(1));
    assert_eq!(pick(&[2], strict), None);
    assert_eq!(pick(&[0, 1, 2], Acceptable::ha1(Hash::Md5)), Some(2));
    assert_eq!(pick(&[2, 1], Acceptable::ha1(Hash::Sha256)), Some(1));
    assert_eq!(pick(&[0, 1, 2, 3], Acceptable::CARD), Some(3));
    assert_eq!(
        pick(&[3], Acceptable::CARD.with_floor(Floor::Sha256)),
        Some(3)
    );
    assert_eq!(pick(&[3], Acceptable::PASSWORD), None);
    assert_eq!(pick(&[0], Acceptable::ANY), None);
    assert_eq!(strict.check(&one(lines[2])), Err(Unanswerable::BelowFloor));
    assert_eq!(strict.check(&one(lines[0])), Err(Unanswerable::Algorithm));
    // RFC 3261 §22.4 (8): a session algorithm needs qop; an unknown qop has no answer.
    for bad in [
        &br#"Digest realm="a",nonce="1",algorithm=MD5-sess"#[..],
        br#"Digest realm="a",nonce="1",qop="new""#,
    ] {
        assert_eq!(
            Acceptable::PASSWORD.check(&one(bad)),
            Err(Unanswerable::Qop)
        );
        assert_eq!(
            credentials(&one(bad), &answer(PASSWORD, &[])),
            Err(AnswerError::Challenge(Unanswerable::Qop))
        );
    }
}

#[test]
fn auth_is_preferred_and_qop_is_never_sent_unasked() {
    for (qop, sent) in [
        ("", None),
        (",qop=\"auth\"", Some("auth")),
        (",qop=\"auth-int\"", Some("auth-int")),
        (",qop=\"auth-int,auth\"", Some("auth")),
    ] {
        let header = format!(r#"Digest realm="a.example",nonce="f84f1cec"{qop}"#);
        let value = credentials(&one(header.as_bytes()), &answer(PASSWORD, BODY)).unwrap();
        match sent {
            Some(token) => assert!(
                value.ends_with(&format!(
                    ",qop={token},nc=0000002a,cnonce=\"0123456789abcdef\""
                )),
                "{value}"
            ),
            None => assert!(
                !value.contains("qop") && !value.contains("nc=") && !value.contains("cnonce"),
                "{value}"
            ),
        }
        assert!(
            !value.contains("algorithm") && !value.contains("opaque"),
            "{value}"
        );
    }
}

// ---- the sums -----------------------------------------------------------------------------------

#[test]
fn the_example_of_rfc_2617() {
    let value = r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let secret = Secret::Password(b"Circle Of Life");
    assert_eq!(read(value).verify(secret, b"GET", &[]), Verdict::Right);
    assert_eq!(
        read(value).verify(Secret::Password(b"Circle of Life"), b"GET", &[]),
        Verdict::Wrong
    );
    assert_eq!(read(value).verify(secret, b"PUT", &[]), Verdict::Wrong);
}

#[test]
fn the_examples_of_rfc_7616() {
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        (
            "SHA-256",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ] {
        let value = format!(
            "Digest username=\"Mufasa\",\r\n realm=\"http-auth@example.org\",\r\n uri=\"/dir/index.html\",\r\n algorithm={algorithm},\r\n \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\",\r\n nc=00000001,\r\n \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\",\r\n qop=auth,\r\n response=\"{response}\",\r\n \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        let read = read(&value);
        assert_eq!(
            read.verify(Secret::Password(b"Circle of Life"), b"GET", &[]),
            Verdict::Right,
            "{algorithm}"
        );
        let ha1 = Ha1::new(
            read.algorithm.hash().unwrap(),
            b"Mufasa",
            b"http-auth@example.org",
            b"Circle of Life",
        );
        assert_eq!(
            read.verify(Secret::Ha1(ha1), b"GET", &[]),
            Verdict::Right,
            "{algorithm}"
        );
    }
}

/// Algorithm, qop offered, body, response.
const SUMS: [(&str, &str, &[&[u8]], &str); 11] = [
    ("MD5", "", BODY, "e1f2951c72a75e37f22f50f79b7e2605"),
    ("MD5", "auth", BODY, "d16f5098925bbba904ac27ca9b6bb17c"),
    ("MD5", "auth-int", BODY, "8147f5f3f0e688f612c71183046a76fa"),
    ("MD5-sess", "auth", BODY, "3fd2bae6f9d4f241ffa61747bd4ccd17"),
    (
        "MD5-sess",
        "auth-int",
        BODY,
        "001db58bc530633ca230c8379bf9ee7a",
    ),
    (
        "SHA-256",
        "",
        BODY,
        "6d28df1f35846ff253a821993f51db3e227c1f7563c4285b8cb6100940e3af0e",
    ),
    (
        "SHA-256",
        "auth",
        BODY,
        "a0402610d54881ac31c0eb0b679ec7262b7e66ead8bfbbc089358f6ae15cca2a",
    ),
    (
        "SHA-256",
        "auth-int",
        BODY,
        "5c6190233158f921cb27fa0402b53b524d8f5fd4ab281121106abb8fc04bd4b2",
    ),
    (
        "SHA-256-sess",
        "auth",
        BODY,
        "7358634250124786f9f03b4aa391f75726ca93250ba214e821c4ca5b2c13772f",
    ),
    (
        "SHA-256-sess",
        "auth-int",
        BODY,
        "b4afe0abf182ded821dac970e777d1df066b0c31723b88a5f90239bfaff60bcc",
    ),
    (
        "SHA-256-sess",
        "auth-int",
        &[b"Hello Bob!"],
        "b4afe0abf182ded821dac970e777d1df066b0c31723b88a5f90239bfaff60bcc",
    ),
];

#[test]
fn every_algorithm_with_every_qop_from_password_and_from_ha1() {
    for (algorithm, qop, body, response) in SUMS {
        let qop = if qop.is_empty() {
            String::new()
        } else {
            format!(",qop=\"{qop}\"")
        };
        let header =
            format!(r#"Digest realm="a.example",nonce="f84f1cec",algorithm={algorithm}{qop}"#);
        let challenge = one(header.as_bytes());
        let ha1 = match challenge.algorithm.hash().unwrap() {
            Hash::Md5 => Ha1::from_hex(b"296f2f27e5eb48e6f0fe4ba1363a3107"),
            Hash::Sha256 => {
                Ha1::from_hex(b"D9030225365ecb2137cf096055a83eb6ec2c341e124e8eff9853e6c9d76dfbcb")
            }
        };
        for secret in [PASSWORD, Secret::Ha1(ha1.unwrap())] {
            let value = credentials(&challenge, &answer(secret, body)).unwrap();
            let read = read(&value);
            assert_eq!(read.response, response.as_bytes()[..], "{header}");
            assert_eq!(
                read.verify(secret, b"MESSAGE", body),
                Verdict::Right,
                "{header}"
            );
            assert_eq!(
                read.verify(Secret::Password(b"Wonderland"), b"MESSAGE", body),
                Verdict::Wrong
            );
            let other_body = read.verify(secret, b"MESSAGE", &[b"Hello Eve!"]);
            assert_eq!(
                other_body == Verdict::Wrong,
                read.qop == Qop::AuthInt,
                "{header}"
            );
        }
    }
}

#[test]
fn auth_int_without_a_body_hashes_the_empty_string() {
    // RFC 8760 §2.6 (7).
    let c = one(br#"Digest realm="a.example",nonce="f84f1cec",algorithm=SHA-256,qop="auth-int""#);
    for body in [&[][..], &[&b""[..]]] {
        let register = Answer {
            method: b"REGISTER",
            uri: b"sip:a.example",
            ..answer(PASSWORD, body)
        };
        let value = credentials(&c, &register).unwrap();
        assert!(
            value.contains("3ac58206fa829c08a27ea213e3658cdccaa748f2e5187a8d7a10dd0738801e06"),
            "{value}"
        );
    }
}

#[test]
fn an_aka_password_may_hold_zero_bytes() {
    // RFC 3310 §3.3; SIPp#796: RES cut at its first zero byte.
    let c = one(br#"Digest realm="a.example",nonce="f84f1cec",algorithm=AKAv1-MD5"#);
    let secret = Secret::Password(&[0, 1, 0, 255, 0, 0, 3, 0]);
    let register = Answer {
        method: b"REGISTER",
        uri: b"sip:a.example",
        ..answer(secret, &[])
    };
    let value = credentials(&c, &register).unwrap();
    assert!(
        value.ends_with(r#"response="b65e2920f290214e0530edd33d9da80c",algorithm=AKAv1-MD5"#),
        "{value}"
    );
}

#[test]
fn escapes_are_hashed_as_meant_and_written_as_received() {
    let c = one(br#"Digest realm="a \"b\" \c",nonce="x\ y",opaque="\"o\\""#);
    let register = Answer {
        username: br#"al"ice\"#,
        secret: Secret::Password(b"pw"),
        method: b"REGISTER",
        uri: b"sip:a.example",
        ..answer(PASSWORD, &[])
    };
    assert_eq!(
        credentials(&c, &register).unwrap(),
        r#"Digest username="al\"ice\\",realm="a \"b\" \c",uri="sip:a.example",nonce="x\ y",response="ae270aecc3626b7efc60d770733151ef",opaque="\"o\\""#
    );
}

#[test]
fn credentials_on_an_ims_core_before_the_first_challenge() {
    let mut out = [0; 256];
    let mut sink = Sink::new(&mut out);
    write_empty_credentials(
        &mut sink,
        b"alice_private@ims.example.com",
        b"ims.example.com",
        b"sip:ims.example.com",
    )
    .unwrap();
    let value = sink.written().unwrap();
    assert_eq!(
        value,
        br#"Digest username="alice_private@ims.example.com",realm="ims.example.com",uri="sip:ims.example.com",nonce="",response="""#
    );
    let value = String::from_utf8(value.to_vec()).unwrap();
    assert_eq!(
        read(&value).verify(Secret::Password(b""), b"REGISTER", &[]),
        Verdict::Wrong
    );
}

#[test]
fn too_small_a_buffer_only_counts() {
    let c = one(br#"Digest realm="a.example",nonce="f84f1cec",qop="auth""#);
    let whole = credentials(&c, &answer(PASSWORD, &[])).unwrap();
    let mut sink = Sink::counting();
    write_credentials(&mut sink, &c, &answer(PASSWORD, &[])).unwrap();
    assert_eq!(sink.len(), whole.len());
}

// ---- after success ------------------------------------------------------------------------------

#[test]
fn the_server_proves_itself() {
    for (qop, rspauth) in [
        ("", "dab144c09f0ed130dddc9410994b5b85"),
        (",qop=\"auth\"", "e394fcc9861eebfeca05388606e043e6"),
        (",qop=\"auth-int\"", "bb76675340043145c94d47eb1e42dc48"),
    ] {
        let header = format!(r#"Digest realm="a.example",nonce="f84f1cec"{qop}"#);
        let c = one(header.as_bytes());
        let body: &[&[u8]] = &[b"ok"];
        let sent = answer(PASSWORD, body);
        let check = |info: &str| {
            sent.check(&c, &AuthenticationInfo::parse(info.as_bytes()).unwrap())
                .unwrap()
        };
        assert_eq!(check(&format!("rspauth=\"{rspauth}\"")), Proof::Right);
        assert_eq!(
            check(&format!(
                "qop=auth, rspauth=\"{rspauth}\", cnonce=\"0123456789abcdef\", nc=0000002a"
            )),
            Proof::Right
        );
        assert_eq!(
            check(&format!("rspauth=\"{rspauth}\", nc=0000002b")),
            Proof::Wrong
        );
        assert_eq!(
            check(&format!(
                "rspauth=\"{rspauth}\", cnonce=\"0123456789abcdee\""
            )),
            Proof::Wrong
        );
        assert_eq!(
            check(&format!("rspauth=\"{}0\"", &rspauth[1..])),
            Proof::Wrong
        );
        assert_eq!(
            check(&format!("rspauth=\"{}\"", &rspauth[1..])),
            Proof::Wrong
        );
        assert_eq!(check("rspauth=\"\""), Proof::Wrong);
        assert_eq!(check("nextnonce=\"n\""), Proof::Absent);
    }
}

// RFC 7616 §6.1, RFC 3310 §3.1, RFC 4169 §2.1
#[test]
fn every_algorithm_has_its_name_and_is_read_in_any_case() {
    for (algorithm, name) in [
        (Algorithm::Md5, "MD5"),
        (Algorithm::Md5Sess, "MD5-sess"),
        (Algorithm::Sha256, "SHA-256"),
        (Algorithm::Sha256Sess, "SHA-256-sess"),
        (Algorithm::AkaV1Md5, "AKAv1-MD5"),
        (Algorithm::AkaV2Md5, "AKAv2-MD5"),
    ] {
        assert_eq!(algorithm.name(), Some(name));
        for spelling in [name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
            assert_eq!(
                Algorithm::from_bytes(spelling.as_bytes()),
                algorithm,
                "{spelling}"
            );
        }
    }
    assert_eq!(Algorithm::Unknown.name(), None);
    assert_eq!(Algorithm::from_bytes(b"SHA-512-256"), Algorithm::Unknown);
}

#[test]
fn a_secret_does_not_print_itself() {
    let ha1 = Ha1::from_hex(b"939e7578ed9e3c518a452acee763bce9").unwrap();
    assert_eq!(format!("{ha1:?}"), "Ha1(Md5)");
    assert!(!format!("{:?}", Secret::Ha1(ha1)).contains("939e"));
    assert!(!format!("{:?}", Secret::Password(b"Mufasa")).contains("Mufasa"));
    for bad in [
        "93zz7578ed9e3c518a452acee763bce9",
        "9z9e7578ed9e3c518a452acee763bce9",
    ] {
        assert!(Ha1::from_hex(bad.as_bytes()).is_none(), "{bad}");
    }
}

#[test]
fn the_next_nonce_takes_the_place_of_the_old_one() {
    let info = AuthenticationInfo::parse(b"nextnonce=\"47364c23432d2e131a5fb210812c\"").unwrap();
    let old = one(br#"Digest realm="a",nonce="1",opaque="o",stale=true,algorithm=SHA-256,qop="auth,auth-int""#);
    let mut out = [0; 256];
    let mut sink = Sink::new(&mut out);
    old.with_nonce(info.nextnonce.unwrap()).write(&mut sink);
    assert_eq!(
        sink.written().unwrap(),
        &br#"Digest realm="a",nonce="47364c23432d2e131a5fb210812c",opaque="o",algorithm=SHA-256,qop="auth,auth-int""#[..]
    );
    let domain = one(br#"Digest realm="a",nonce="1",domain="sip:a sip:b""#);
    let mut out = [0; 256];
    let mut sink = Sink::new(&mut out);
    domain.write(&mut sink);
    assert_eq!(
        sink.written().unwrap(),
        &br#"Digest realm="a",nonce="1",domain="sip:a sip:b""#[..]
    );
    for qop in ["auth", "auth-int", "auth,auth-int"] {
        let header = format!(r#"Digest realm="a",nonce="1",qop="{qop}""#);
        let mut out = [0; 256];
        let mut sink = Sink::new(&mut out);
        one(header.as_bytes()).write(&mut sink);
        assert_eq!(sink.written().unwrap(), header.as_bytes());
    }
    // What cannot be answered stays so.
    let mut out = [0; 256];
    let mut sink = Sink::new(&mut out);
    old.write(&mut sink);
    let again = one(sink.written().unwrap());
    assert_eq!((again.stale, again.nonce), (Freshness::Stale, old.nonce));
    for unknown in ["algorithm=\"MD5 x\"", "algorithm=new", "qop=new"] {
        let header = format!(r#"Digest realm="a",nonce="1",{unknown}"#);
        let c = one(header.as_bytes());
        let mut out = [0; 256];
        let mut sink = Sink::new(&mut out);
        c.with_nonce(info.nextnonce.unwrap()).write(&mut sink);
        let again = one(sink.written().unwrap());
        assert_eq!(
            (again.algorithm, again.qop),
            (c.algorithm, c.qop),
            "{unknown}"
        );
        assert!(Acceptable::ANY.check(&again).is_err());
    }
    for bad in [
        &b"nextnonce"[..],
        b"nc=",
        b"nextnonce=\"1\", nextnonce=\"2\"",
        b"nc=000000001",
        b"nc=xy",
        b"qop=new",
        b"\"a\"",
    ] {
        assert!(
            AuthenticationInfo::parse(bad).is_err(),
            "{}",
            bad.escape_ascii()
        );
    }
}

// ---- failures of other stacks -------------------------------------------------------------------

#[test]
fn cve_2022_24754_a_hashed_credential_of_wrong_length_is_none() {
    // pjsip copied a digest of any length into 32 bytes. Here the type has the length.
    for length in 0..200 {
        let digits = vec![b'a'; length];
        assert_eq!(
            Ha1::from_hex(&digits).is_some(),
            length == 32 || length == 64,
            "{length}"
        );
    }
    assert_eq!(Ha1::from_hex(&[b'g'; 32]), None);
    let md5 = Secret::Ha1(Ha1::from_hex(&[b'a'; 32]).unwrap());
    let sha256 = one(br#"Digest realm="a",nonce="n",algorithm=SHA-256"#);
    assert_eq!(
        credentials(&sha256, &answer(md5, &[])),
        Err(AnswerError::Ha1)
    );
    // And in what others claim: every length of response is just wrong.
    for length in (0..200).filter(|&n| n != 32) {
        let value = format!(
            r#"Digest username="u",realm="r",nonce="n",uri="u",response="{}""#,
            "a".repeat(length)
        );
        assert_eq!(
            read(&value).verify(PASSWORD, b"REGISTER", &[]),
            Verdict::Wrong
        );
    }
}

#[test]
fn belle_sip_24_one_character_tokens() {
    for value in [
        "D",
        "a",
        "=",
        "\"",
        "\\",
        ",",
        "D a",
        "D a=",
        "Digest a",
        "Digest a=",
        "Digest a=b",
        "Digest =",
        "Digest \"",
        "Digest a=\"",
        "Digest a=\"\\",
        "Digest a=\"\\\"",
    ] {
        assert!(
            challenges(value.as_bytes()).iter().all(Result::is_err),
            "{value}"
        );
        let _ = Authorization::parse(value.as_bytes()).map(|_| ());
        let _ = AuthenticationInfo::parse(value.as_bytes());
    }
    let c = one(b"Digest realm=r,nonce=n,opaque=o,stale=s,algorithm=a,qop=q,domain=d,x=y");
    assert_eq!(
        (c.algorithm, c.qop),
        (Algorithm::Unknown, QopOffer::Unknown)
    );
}

#[test]
fn cve_2023_28098_crafted_authorization() {
    for bad in [
        &b""[..],
        b" ",
        b"Digest",
        b"Digest ",
        b"Digest\0",
        b"Digest username",
        b"Digest username=",
        b"Digest username=\"a",
        b"Digest ,,,,,",
        br#"Digest username="a",realm="r",nonce="n",uri="u""#,
        br#"Digest username="a",realm="r",nonce="n",uri="u",response="r",username="b""#,
        br#"Digest username="a",realm="r",nonce="n",uri="u",response="r",nc=123456789"#,
        br#"Digest username="a",realm="r",nonce="n",uri="u",response="r",nc=-1"#,
        br#"Digest username="a",realm="r",nonce="n",uri="u",response="r",qop=new"#,
        br#"Digest username="a",realm="r",nonce="n",uri="u",response="r", Digest realm="r""#,
    ] {
        assert!(Authorization::parse(bad).is_err(), "{}", bad.escape_ascii());
    }
    // RFC 4475 §3.3.7: an unknown scheme is well formed.
    assert!(matches!(
        Authorization::parse(b"NoOneKnowsThisScheme opaque-data=here"),
        Ok(Authorization::Other(b"NoOneKnowsThisScheme"))
    ));
    // qop without nc or cnonce proves nothing (RFC 7616 §3.4), even if the sum over what is not
    // there is right.
    let sum = "925674032912d87338cceec2092884ff";
    for (more, verdict) in [
        ("", Verdict::Wrong),
        (",cnonce=\"\"", Verdict::Wrong),
        (",nc=00000000", Verdict::Wrong),
        (",cnonce=\"\",nc=00000000", Verdict::Right),
    ] {
        let value = format!(
            r#"Digest username="alice",realm="r",nonce="n",uri="u",response="{sum}",qop=auth{more}"#
        );
        assert_eq!(
            read(&value).verify(PASSWORD, b"GET", &[]),
            verdict,
            "{more}"
        );
    }
    // Half a SHA-256 is none.
    let c = one(br#"Digest realm="a",nonce="n",algorithm=SHA-256"#);
    let value = credentials(&c, &answer(PASSWORD, &[])).unwrap();
    let response = String::from_utf8(read(&value).response.bytes().collect()).unwrap();
    let half = value.replace(&response, &response[..32]);
    assert_eq!(
        read(&half).verify(PASSWORD, b"MESSAGE", &[]),
        Verdict::Wrong
    );
}

#[test]
fn nothing_of_ours_ends_the_line_or_the_quotes() {
    let c = one(br#"Digest realm="a",nonce="n""#);
    for bad in [&b"a\r\nVia: x"[..], b"a\0", b"a\nb", b"\x7f"] {
        let a = Answer {
            username: bad,
            ..answer(PASSWORD, &[])
        };
        assert_eq!(credentials(&c, &a), Err(AnswerError::Username));
        let mut sink = Sink::counting();
        let empty = write_empty_credentials(&mut sink, b"alice", bad, b"sip:a");
        assert_eq!((empty, sink.len()), (Err(AnswerError::Username), 0));
    }
    for bad in [&b""[..], b"sip:a\r\n", b"sip:\"a", b"sip:a b", b"sip:a\\"] {
        let a = Answer {
            uri: bad,
            ..answer(PASSWORD, &[])
        };
        assert_eq!(credentials(&c, &a), Err(AnswerError::Uri));
    }
    assert!(!format!("{:?}", answer(PASSWORD, &[])).contains("119")); // 'w' of the password
    assert!(!format!("{:?}", Secret::Ha1(Ha1::Md5([7; 16]))).contains('7'));
}

#[test]
fn cut_at_every_byte_and_with_every_byte_left_out() {
    let corpus: [&[u8]; 7] = [
        b"Digest realm=\"atlanta.example.com\", qop=\"auth\",\r\n nonce=\"84f1c1ae6cbe5ua9c8e88dfa3ecm3459\",\r\n opaque=\"\", stale=FALSE, algorithm=MD5",
        b"Digest\r\n realm=\"RoamingUsers@mobile.biz\",\r\n nonce=\"CjPk9mRqNuT25eRkajM09uTl9nM09uTl9nMz5OX25PZz==\",\r\n qop=\"auth,auth-int\",\r\n opaque=\"5ccc069c403ebaf9f0171e9517f40e41\",\r\n algorithm=AKAv1-MD5",
        br#"Basic realm="a", Digest realm="a \"b\" \\", nonce="1", algorithm=SHA-256, Bearer ab/c+d==, Negotiate, Digest nonce=2, realm=b, qop=auth,auth-int"#,
        b"Digest username=\"bob\", realm=\"atlanta.example.com\"\r\n nonce=\"ea9c8e88df84f1cec4341ae6cbe5a359\", opaque=\"\",\r\n uri=\"sips:ss2.biloxi.example.com\",\r\n response=\"dfe56131d1958046689d83306477ecc\"",
        br#"Digest username="alice_private@ims.example.com",realm="ims.example.com",uri="sip:ims.example.com",nonce="",response="",nc=00000001,cnonce="0a4f113b",qop=auth-int"#,
        b"qop=auth-int,\r\n rspauth=\"6629fae49393a05397450978507c4ef1\",\r\n cnonce=\"0a4f113b\",\r\n nc=00000001, nextnonce=\"a\\\"b\"",
        b"NoOneKnowsThisScheme opaque-data=here",
    ];
    let judge = |value: &[u8]| {
        let mut found = 0;
        for c in Challenges::new(value).flatten() {
            found += 1;
            assert!(
                Challenge::parse(c.as_bytes()).is_ok(),
                "{}",
                value.escape_ascii()
            );
            // Whatever came, what goes back can be read, and is on one line.
            if let Ok(back) = credentials_bytes(&c, &answer(PASSWORD, BODY)) {
                let text = back.escape_ascii();
                assert!(!back.iter().any(u8::is_ascii_control), "{text}");
                let read = read_bytes(&back);
                assert_eq!(
                    read.verify(PASSWORD, b"MESSAGE", BODY),
                    Verdict::Right,
                    "{text}"
                );
                assert_eq!(read.realm, c.realm, "{text}");
            }
        }
        if let Ok(Authorization::Digest(c)) = Authorization::parse(value) {
            let _ = c.verify(PASSWORD, b"REGISTER", BODY);
        }
        let _ = AuthenticationInfo::parse(value);
        found
    };
    let mut found = 0;
    for value in corpus {
        for at in 0..=value.len() {
            found += judge(&value[..at]);
            found += judge(&value[at..]);
            if at < value.len() {
                let mut less = value.to_vec();
                less.remove(at);
                found += judge(&less);
                for byte in [0, b'"', b'\\', b'\r', b'\n', b' ', b',', b'=', 0x80, 0xff] {
                    let mut other = value.to_vec();
                    other[at] = byte;
                    found += judge(&other);
                }
            }
        }
    }
    assert!(found > 2000, "the sweep reads challenges: {found}");
}

#[test]
fn the_work_is_linear() {
    // A step that looked ahead or back without bound would take hours here.
    let n = 500_000;
    for unit in [
        "a ",
        "a, ",
        "a=b,",
        "a=\"b\"",
        " ",
        ",",
        "\\\\",
        "Digest ",
        "Digest realm=a,nonce=b,",
        "qop=auth,auth,",
        "a  b=",
        "====",
        "A/",
    ] {
        let value = unit.repeat(n / unit.len());
        let _ = Challenges::new(value.as_bytes()).count();
        let _ = Authorization::parse(value.as_bytes()).map(|_| ());
        let _ = AuthenticationInfo::parse(value.as_bytes());
        let quoted = format!(
            "Digest realm=\"{}\",nonce=n",
            value.replace(['"', '\\'], " ")
        );
        let c = Challenge::parse(quoted.as_bytes()).unwrap();
        assert!(c.realm.bytes().count() > 0);
    }
}

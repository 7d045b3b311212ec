//! Header fields of publication, subscription and the IMS core: Event, Subscription-State, SIP-ETag,
//! Security-Server and those like it, P-Access-Network-Info, P-Associated-URI.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use oma_im::wire::error::ParseErrorKind as Kind;
use oma_im::wire::header::*;
use oma_im::wire::message::Message;
use oma_im::wire::name::{Method, Name};
use oma_im::wire::sink::Sink;
use oma_im::wire::writer::{
    AccessNetworkInfo, MessageWriter, Param, Raw, TextError, Token, UriText, Value, With,
};

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn written(value: &dyn Value) -> String {
    let mut out = [0; 1000];
    let mut sink = Sink::new(&mut out);
    value.write(&mut sink);
    String::from_utf8(sink.written().unwrap().to_vec()).unwrap()
}

// ---- RFC 6665 §8.4 ----

#[test]
fn an_event_is_a_package_with_templates_and_an_id() {
    let event = Event::parse(b" presence.winfo.x ;Id=12;y").unwrap();
    assert_eq!(event.event_type.as_bytes(), b"presence.winfo.x");
    assert_eq!(event.event_type.package(), b"presence");
    assert!(event.event_type.templates().eq([&b"winfo"[..], &b"x"[..]]));
    assert_eq!(event.id(), Some(&b"12"[..]));
    let settings = Event::parse(b"poc-settings").unwrap().event_type;
    assert!(settings.is(b"poc-settings") && !settings.is(b"poc") && !settings.is(b"Poc-Settings"));
    for (bad, at) in [
        ("", 0),
        (";id=1", 0),
        (".", 0),
        ("a..b", 2),
        ("a.", 2),
        (".a", 0),
        ("a b", 2),
        ("a;", 2),
        ("a,b", 1),
        ("\"a\"", 0),
    ] {
        let fault = Event::parse(bad.as_bytes()).unwrap_err();
        assert_eq!(
            (fault.kind, fault.offset()),
            (Kind::HeaderValue, at),
            "{bad}"
        );
    }
}

/// §8.2.1: byte by byte, `id` too; nothing else counts.
#[test]
fn a_notify_matches_by_event_type_and_id_alone() {
    let same = |a: &str, b: &str| {
        Event::parse(a.as_bytes())
            .unwrap()
            .matches(&Event::parse(b.as_bytes()).unwrap())
    };
    assert!(same("reg", "reg;x=1") && same("reg;id=1", "reg;y;id=1"));
    assert!(!same("reg", "Reg") && !same("reg", "reg.winfo"));
    assert!(!same("reg;id=a", "reg;id=A") && !same("reg;id=1", "reg") && !same("reg", "reg;id=1"));
}

#[test]
fn allow_events_are_compared_byte_by_byte() {
    let allow = AllowEvents::parse(b"reg, presence.winfo ,\r\n poc-settings").unwrap();
    assert_eq!(allow.iter().count(), 3);
    assert!(allow.has(b"poc-settings") && allow.has(b"presence.winfo"));
    assert!(!allow.has(b"presence") && !allow.has(b"Reg"));
    assert!(AllowEvents::parse(b"").unwrap().iter().next().is_none());
    for bad in ["a,,b", "a b", "a;b", "a..b", "a,."] {
        assert!(AllowEvents::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn every_state_and_reason_of_a_subscription_is_read() {
    for (value, state, reason, retry_after) in [
        ("Active;Expires=60", Substate::Active, None, None),
        ("pending ; expires = 60", Substate::Pending, None, None),
        (
            "TERMINATED;reason=Deactivated",
            Substate::Terminated,
            Some(EventReason::Deactivated),
            None,
        ),
        (
            "terminated;reason=probation;retry-after=4294967295",
            Substate::Terminated,
            Some(EventReason::Probation),
            Some(u32::MAX),
        ),
        (
            "terminated;x=\"a;reason=timeout\";reason=rejected",
            Substate::Terminated,
            Some(EventReason::Rejected),
            None,
        ),
        (
            "terminated;reason=timeout",
            Substate::Terminated,
            Some(EventReason::Timeout),
            None,
        ),
        (
            "terminated;Retry-After=60;reason=giveup",
            Substate::Terminated,
            Some(EventReason::GiveUp),
            Some(60),
        ),
        (
            "terminated;reason=noresource;retry-after=4294967296",
            Substate::Terminated,
            Some(EventReason::NoResource),
            None,
        ),
        (
            "terminated;reason=invariant;retry-after=-1",
            Substate::Terminated,
            Some(EventReason::Invariant),
            None,
        ),
        (
            "terminated;reason=badfilter",
            Substate::Terminated,
            Some(EventReason::Other(b"badfilter")),
            None,
        ),
        ("terminated", Substate::Terminated, None, None),
        ("waiting;reason", Substate::Other(b"waiting"), None, None),
    ] {
        let read = SubscriptionState::parse(value.as_bytes()).unwrap();
        assert_eq!(
            (read.state(), read.reason(), read.retry_after()),
            (state, reason, retry_after),
            "{value}"
        );
    }
    let expires = |value: &str| {
        SubscriptionState::parse(value.as_bytes())
            .unwrap()
            .expires()
    };
    assert_eq!(expires("active;expires=0;expires=5"), Some(0));
    assert_eq!(expires("active;expires=4294967296"), None);
    // §4.1.3: MUST be ignored.
    assert_eq!(expires("terminated;expires=60"), None);
    for bad in [
        "",
        ";reason=x",
        "active;",
        "active;;",
        "active x",
        "active;reason=\"x",
    ] {
        assert!(SubscriptionState::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

// ---- RFC 3903 §12: entity-tag = token ----

#[test]
fn an_entity_tag_goes_back_as_it_came() {
    let message = golden("03-publish-200.sip");
    let message = Message::parse(&message).unwrap();
    let tag = SipEtag::parse(message.header(Name::SipEtag).unwrap()).unwrap();
    assert_eq!(tag.as_bytes(), b"dx200xyz");
    let mut out = [0; 200];
    let own = UriText::new("sip:alice@ims.example.com").unwrap();
    let mut w = MessageWriter::request(&mut out, Method::Publish, own);
    w.header(Name::SipIfMatch, tag);
    w.header(Name::Event, With(Token::new("poc-settings").unwrap(), &[]));
    let id = [Param::Token(
        Token::new("id").unwrap(),
        Token::new("7").unwrap(),
    )];
    w.header(Name::Event, With(Token::new("reg").unwrap(), &id));
    let len = w.no_body().finish().unwrap();
    let text = std::str::from_utf8(&out[..len]).unwrap();
    assert!(
        text.contains("\r\nSIP-If-Match: dx200xyz\r\nEvent: poc-settings\r\nEvent: reg;id=7\r\n")
    );
    assert_eq!(
        SipEtag::parse(b" !*-.%_+`'~ ").map(|tag| tag.as_bytes().len()),
        Ok(10)
    );
}

#[test]
fn an_entity_tag_with_quotes_or_of_4_kib_is_a_typed_fault() {
    for (bad, at) in [
        ("", 0),
        ("a b", 1),
        ("\"a\"", 0),
        ("W/\"a\"", 1),
        ("a,b", 1),
        ("a;x=1", 1),
        ("a\u{e9}", 1),
    ] {
        let fault = SipEtag::parse(bad.as_bytes()).unwrap_err();
        assert_eq!(
            (fault.kind, fault.offset()),
            (Kind::HeaderValue, at),
            "{bad}"
        );
    }
    // RFC 3903 has no limit; how much is kept is the business of who keeps it.
    let long = "x".repeat(1 << 20);
    assert_eq!(
        SipEtag::parse(long.as_bytes()).unwrap().as_bytes().len(),
        1 << 20
    );
}

// ---- RFC 3329 §2.2 and appendix A ----

const AES: IpsecSuite = IpsecSuite::esp(Integrity::HmacSha1_96, Encryption::AesCbc);
const PLAIN: IpsecSuite = IpsecSuite::esp(Integrity::HmacSha1_96, Encryption::Null);

#[test]
fn the_golden_security_headers_are_read_and_written_byte_for_byte() {
    let register = golden("29b-register-protected.sip");
    let register = Message::parse(&register).unwrap();
    let client = register.header(Name::SecurityClient).unwrap();
    let ours = SecurityClient::parse(client).unwrap().ipsec().unwrap();
    assert_eq!(
        ours,
        Ipsec3gpp {
            suite: AES,
            spi_c: 23_456_789,
            spi_s: 12_345_678,
            port_c: 2468,
            port_s: 1357
        }
    );
    assert_eq!(written(&ours).as_bytes(), client);

    let challenge = golden("29a-register-401.sip");
    let challenge = Message::parse(&challenge).unwrap();
    assert_eq!(
        choose_ipsec(challenge.values(Name::SecurityServer), &[PLAIN, AES]),
        Some(Ipsec3gpp {
            suite: AES,
            spi_c: 98_765_432,
            spi_s: 87_654_321,
            port_c: 8642,
            port_s: 7531
        })
    );
    let mut kept = [0; 200];
    let mut sink = Sink::new(&mut kept);
    put_security_list(&mut sink, challenge.all(Name::SecurityServer));
    let kept = sink.written().unwrap();
    assert_eq!(
        written(&Raw(kept)).as_bytes(),
        register.header(Name::SecurityVerify).unwrap()
    );
}

#[test]
fn a_list_over_several_fields_is_given_back_in_its_order() {
    let bytes = b"SIP/2.0 401 Unauthorized\r\n\
        Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\
        Security-Server: tls;q=0.2 ,digest; d-ver=\"0,1\"\r\n\
        Security-Server:  ipsec-ike;q=0.1\r\nContent-Length: 0\r\n\r\n";
    let message = Message::parse(bytes).unwrap();
    let mut kept = [0; 200];
    let mut sink = Sink::new(&mut kept);
    put_security_list(&mut sink, message.all(Name::SecurityServer));
    assert_eq!(
        sink.written().unwrap(),
        b"tls;q=0.2 ,digest; d-ver=\"0,1\", ipsec-ike;q=0.1"
    );
    let mut sink = Sink::new(&mut kept);
    put_security_list(&mut sink, []);
    assert_eq!(sink.written(), Some(&b""[..]));
}

#[test]
fn what_is_left_out_of_an_ipsec_mechanism_has_the_default_of_appendix_a() {
    let read = |value: &str| SecurityServer::parse(value.as_bytes()).unwrap().ipsec();
    let ports = "spi-c=0000000001;spi-s=4294967295;port-c=1;port-s=65535";
    let all = Ipsec3gpp {
        suite: PLAIN,
        spi_c: 1,
        spi_s: u32::MAX,
        port_c: 1,
        port_s: 65_535,
    };
    assert_eq!(
        read(&format!("IPsec-3gpp;ALG=HMAC-SHA-1-96;{ports}")),
        Some(all)
    );
    assert_eq!(
        read(&format!(
            "ipsec-3gpp;{ports};x=\"y\";mod=TRANS;prot=ESP;ealg=Null;alg=hmac-sha-1-96"
        )),
        Some(all)
    );
    for bad in [
        format!("tls;alg=hmac-sha-1-96;{ports}"),
        format!("ipsec-3gpp;{ports}"),
        format!("ipsec-3gpp;alg;{ports}"),
        format!("ipsec-3gpp;alg=sha-9;{ports}"),
        format!("ipsec-3gpp;alg=hmac-sha-1-96;ealg=rot13;{ports}"),
        format!("ipsec-3gpp;alg=hmac-sha-1-96;ealg;{ports}"),
        format!("ipsec-3gpp;alg=hmac-sha-1-96;prot=tcp;{ports}"),
        format!("ipsec-3gpp;alg=hmac-sha-1-96;mod=x;{ports}"),
        "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1;spi-s=2;port-c=3".into(),
        "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1;spi-s=2;port-c=3;port-s=0".into(),
        "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1;spi-s=2;port-c=3;port-s=65536".into(),
        "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=4294967296;spi-s=2;port-c=3;port-s=4".into(),
        "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=-1;spi-s=2;port-c=3;port-s=4".into(),
    ] {
        assert_eq!(read(&bad), None, "{bad}");
    }
}

#[test]
fn every_ipsec_mechanism_is_written_and_read_back() {
    for &alg in Integrity::ALL {
        for &ealg in Encryption::ALL {
            for &prot in IpsecProtocol::ALL {
                for &mode in IpsecMode::ALL {
                    let suite = IpsecSuite {
                        alg,
                        ealg,
                        prot,
                        mode,
                    };
                    let one = Ipsec3gpp {
                        suite,
                        spi_c: 0,
                        spi_s: 7,
                        port_c: 5061,
                        port_s: 65_535,
                    };
                    let value = written(&one);
                    let read = SecurityMechanism::parse(value.as_bytes()).unwrap();
                    assert_eq!(read.ipsec(), Some(one), "{value}");
                    assert_eq!(read.q(), None);
                }
            }
        }
    }
}

/// §2.3.1: "the highest q value among all the mechanisms that are known to the client".
#[test]
fn the_most_preferred_mechanism_that_was_offered_is_taken() {
    let one = |q: &str, ealg: &str, spi: u32| {
        format!("ipsec-3gpp{q};alg=hmac-sha-1-96;ealg={ealg};spi-c={spi};spi-s=2;port-c=3;port-s=4")
    };
    let choose = |list: &[String], offered: &[IpsecSuite]| {
        let list = list.join(",");
        let elements: Vec<&[u8]> = oma_im::wire::scan::split_commas(list.as_bytes()).collect();
        choose_ipsec(elements, offered).map(|it| it.spi_c)
    };
    let list = [
        "tls;q=1".into(),
        one(";q=0.1", "null", 1),
        one(";q=0.9", "aes-gcm", 2),
        one(";q=0.5", "aes-cbc", 3),
        one("", "null", 4),
        one(";q=0.5", "aes-cbc", 5),
        ";broken".into(),
        one(";q=7", "null", 6),
    ];
    assert_eq!(choose(&list, &[PLAIN, AES]), Some(3));
    assert_eq!(choose(&list, &[PLAIN]), Some(1));
    assert_eq!(choose(&list, &[]), None);
    assert_eq!(
        choose(&[one("", "null", 1), one("", "null", 2)], &[PLAIN]),
        Some(1)
    );
    assert_eq!(
        choose(&[one("", "null", 1), one(";q=0", "null", 2)], &[PLAIN]),
        Some(2)
    );
    // A downgrade to what was never offered is no choice.
    assert_eq!(choose(&[one("", "null", 1)], &[AES]), None);
    assert_eq!(choose(&["tls".into()], &[AES]), None);
}

// ---- RFC 7315 ----

#[test]
fn access_network_info_is_written_as_the_platform_gives_it_and_stays_one_field() {
    let value = "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010001a2b";
    assert_eq!(written(&AccessNetworkInfo::new(value).unwrap()), value);
    let register = golden("29b-register-protected.sip");
    let register = Message::parse(&register).unwrap();
    assert_eq!(
        register.header(Name::PAccessNetworkInfo),
        Some(value.as_bytes())
    );
    for free in ["IEEE-802.11;i-wlan-node-id=00\t11", "A;x=\"\u{e9}\", B;np"] {
        assert_eq!(AccessNetworkInfo::new(free).unwrap().as_str(), free);
    }
    for (bad, offset) in [
        (&b"a\r\nVia: x"[..], 1),
        (b"a\n b", 1),
        (b"a\rb", 1),
        (b"a;b=\0", 4),
        (b"\x7f", 0),
        (b"ab\xff", 2),
    ] {
        assert_eq!(
            AccessNetworkInfo::new(bad),
            Err(TextError::Forbidden { offset })
        );
    }
    for empty in ["", " ", "\t"] {
        assert_eq!(AccessNetworkInfo::new(empty), Err(TextError::Empty));
    }
}

/// RFC 7315 §5.1 has a list that may be empty; the first is the default identity (§4.1).
#[test]
fn the_first_associated_uri_is_the_default_identity() {
    let bytes = b"SIP/2.0 200 OK\r\n\
        Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\
        P-Associated-URI: \"A, B\" <sip:alice@b;x=1,2>;y=z, <tel:+123>\r\nP-Associated-URI: <sip:c@b>\r\n\
        Content-Length: 0\r\n\r\n";
    let message = Message::parse(bytes).unwrap();
    let uris: Vec<_> = message
        .values(Name::PAssociatedUri)
        .map(|value| PAssociatedUri::parse(value).unwrap().uri)
        .collect();
    assert_eq!(uris, [&b"sip:alice@b;x=1,2"[..], b"tel:+123", b"sip:c@b"]);
    assert_eq!(list(b"", PAssociatedUri::parse).count(), 0);
}

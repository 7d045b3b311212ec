//! The terminating side: what comes in, and how it is answered (OMA IM 8.2; RFC 3428 §7; RFC 3261 §8.2).
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/rig.rs"]
mod rig;

use oma_im::client::{CloseReason, Refusal, SendOutcome, TextCheck, Trust, Validity};
use oma_im::config::{Assertion, Config, Strangers, Transport};
use oma_im::error::CommandError;
use oma_im::id::IncomingId;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::{self, Sip};
use rig::{EPOCH, Rig, SENT, Taken, cpim, imdn, request};

const TEXT: &str = "text/plain; charset=utf-8";

/// One request in, one answer out.
#[track_caller]
fn ask(rig: &mut Rig, request: &Sip) -> Sip {
    rig.receive(&request.to_bytes());
    rig.one()
}

fn id(taken: Taken) -> IncomingId {
    match taken {
        Taken::Message(id) => id,
        other => core::panic!("{other:?} instead of a message"),
    }
}

#[test]
fn the_200_waits_for_the_next_poll() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut rig = Rig::ready(transport);
        let message = rig.message(TEXT, b"Hello Bob");
        let (consumed, taken) = rig.give(rig.main, &message.to_bytes());
        assert_eq!(consumed, message.to_bytes().len());
        id(taken);
        assert!(rig.sent.is_empty());
        rig.drain();
        // RFC 3428 §7: no body, no Contact. RFC 3261 §8.2.6.2: the rest is copied, To gets a tag.
        let ok = rig.one();
        assert_eq!(ok.status(), Some(200));
        assert_eq!(ok.header("Contact"), None);
        assert!(ok.body.is_empty());
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            assert_eq!(ok.header(name), message.header(name), "{name}");
        }
        let to = ok.header("To").unwrap();
        assert!(to.starts_with("<sip:bob@example.com>;tag="), "{to}");
        let incoming = &rig.inbox[0];
        assert_eq!(incoming.text(), "Hello Bob");
        assert_eq!(incoming.content_type, TEXT);
        assert_eq!(incoming.display.as_deref(), Some("Alice"));
        assert_eq!(incoming.text, TextCheck::Utf8);
    }
}

#[test]
fn each_refusal_has_its_status_and_headers() {
    let header = |name, value| Some((name, value));
    let accept = "text/plain, text/*, message/cpim, message/imdn+xml, message/external-body, \
                  multipart/*, application/im-iscomposing+xml";
    for (why, status, extra) in [
        (
            Refusal::TemporarilyUnavailable(90),
            480,
            header("Retry-After", "90"),
        ),
        (Refusal::Busy, 486, None),
        (Refusal::UnsupportedType, 415, header("Accept", accept)),
        (Refusal::TooLarge, 413, None),
        (Refusal::Decline, 603, None),
    ] {
        let mut rig = Rig::ready(Transport::Udp);
        // It wants reports; RFC 5438 §7.2.1: none on a message that was refused.
        let message = rig.wrapped("m1", "positive-delivery, display").to_bytes();
        let refused = id(rig.give(rig.main, &message).1);
        rig.call(|client, now| client.refuse(now, refused, why))
            .unwrap();
        let first = rig.sent[0].1.clone();
        let answer = rig.one();
        assert_eq!(answer.status(), Some(status));
        if let Some((name, value)) = extra {
            assert_eq!(answer.header(name), Some(value));
        }
        let again = rig.call(|client, now| client.refuse(now, refused, why));
        assert_eq!(again, Err(CommandError::UnknownId));
        let report = rig.call(|client, now| client.delivered(now, refused));
        assert_eq!(report, Err(CommandError::NotAskedFor));
        // The retransmission is told the same, byte by byte.
        rig.receive(&message);
        assert_eq!(rig.sent.len(), 1);
        assert_eq!(rig.sent[0].1, first, "{why:?}");
        assert_eq!(rig.inbox.len(), 1);
    }
}

#[test]
fn what_went_out_or_never_came_cannot_be_refused() {
    let mut rig = Rig::ready(Transport::Tcp);
    let message = rig.message(TEXT, b"Hello").to_bytes();
    let taken = id(rig.receive(&message));
    for id in [taken, IncomingId(4711)] {
        let refused = rig.call(|client, now| client.refuse(now, id, Refusal::Busy));
        assert_eq!(refused, Err(CommandError::UnknownId));
    }
    assert_eq!(rig.status(), 200);
}

/// Nothing is acknowledged that the application could not keep: after a 480 the sender tries again.
#[test]
fn a_refused_message_is_handed_out_when_it_comes_again() {
    for disposition in ["", "positive-delivery"] {
        let mut rig = Rig::ready(Transport::Udp);
        let message = rig.wrapped("m1", disposition);
        let refused = id(rig.give(rig.main, &message.to_bytes()).1);
        let why = Refusal::TemporarilyUnavailable(5);
        rig.call(|client, now| client.refuse(now, refused, why))
            .unwrap();
        assert_eq!(rig.status(), 480);
        rig.run(5_000);
        let again = rig.wrapped("m1", disposition);
        id(rig.receive(&again.to_bytes()));
        assert_eq!(rig.status(), 200);
        assert_eq!(rig.stats().duplicates, 0);
    }
}

/// RFC 3428 §7: Expires counts from Date, or else from the arrival.
#[test]
fn a_message_whose_time_has_passed_is_marked_and_answered_200() {
    // 18:41:56 is now.
    let now = "Sun, 22 Nov 2026 18:41:56 GMT";
    let minute_ago = "Sun, 22 Nov 2026 18:40:56 GMT";
    for (expires, date, validity) in [
        (None, Some(minute_ago), Validity::Current),
        (Some("60"), None, Validity::Current),
        (Some("60"), Some(now), Validity::Current),
        (Some("60"), Some(minute_ago), Validity::Current),
        (Some("59"), Some(minute_ago), Validity::Expired),
        (Some("0"), Some(minute_ago), Validity::Expired),
        (Some("4294967295"), Some(minute_ago), Validity::Current),
        (
            Some("10"),
            Some("Fri, 31 Dec 1999 23:59:59 GMT"),
            Validity::Expired,
        ),
        (Some("soon"), Some(minute_ago), Validity::Current),
    ] {
        let mut rig = Rig::ready(Transport::Udp);
        let mut message = rig.message(TEXT, b"Hello");
        for (name, value) in [("Expires", expires), ("Date", date)] {
            if let Some(value) = value {
                message.push(name, value);
            }
        }
        rig.receive(&message.to_bytes());
        if expires == Some("soon") {
            // A header that cannot be read is refused or passed over, but nothing is marked.
            continue;
        }
        assert_eq!(rig.status(), 200);
        assert_eq!(rig.inbox[0].validity, validity, "{expires:?} {date:?}");
    }
}

/// Without the calendar nothing can be said to be late.
#[test]
fn without_a_wall_clock_nothing_is_expired() {
    let mut rig = Rig::ready(Transport::Udp);
    let hops = [oma_im::config::NextHop::new(
        "proxy.example.com",
        Transport::Udp,
    )];
    let config = Config::new("sip:bob@example.com", &hops);
    let storage = Box::new(oma_im::storage::Standard::new());
    rig.client = oma_im::client::Client::new(&config, storage, [1; 32]).unwrap();
    let flow = oma_im::id::FlowId(1);
    let origin = oma_im::client::Origin::Given(oma_im::id::PathId(0));
    let info = rig::info(origin, Transport::Udp, flow);
    rig.call(|client, now| client.flow_opened(now, flow, &info));
    let mut message = rig.message(TEXT, b"Hello");
    message.push("Expires", "1");
    message.push("Date", "Fri, 31 Dec 1999 23:59:59 GMT");
    rig.receive_on(flow, &message.to_bytes());
    assert_eq!(rig.inbox[0].validity, Validity::Current);
}

/// RFC 3261 §8.2.3: a type that is not understood, or no type at all.
#[test]
fn an_unknown_type_is_answered_415_with_accept() {
    for (kind, status) in [
        (TEXT, 200),
        ("text/html", 200),
        (
            "message/external-body; access-type=URL; URL=\"http://a.example/x\"",
            200,
        ),
        ("multipart/mixed; boundary=b", 200),
        ("application/im-iscomposing+xml", 200),
        ("application/sdp", 415),
        ("image/png", 415),
        ("", 415),
    ] {
        let mut rig = Rig::ready(Transport::Udp);
        let message = rig.message(kind, b"Hello");
        let answer = ask(&mut rig, &message);
        assert_eq!(answer.status(), Some(status), "{kind}");
        assert_eq!(rig.inbox.len(), usize::from(status == 200));
        if status == 415 {
            let accept = answer.all("Accept");
            assert!(accept.contains(&"text/plain".into()), "{accept:?}");
            assert!(accept.contains(&"message/cpim".into()), "{accept:?}");
        }
    }
    // An empty message has no type.
    let mut rig = Rig::ready(Transport::Udp);
    let message = rig.message("", b"");
    assert_eq!(ask(&mut rig, &message).status(), Some(200));
}

/// RFC 3261 §8.2.2.3: each option that is not understood is named.
#[test]
fn an_unknown_extension_is_answered_420_with_unsupported() {
    for method in ["MESSAGE", "OPTIONS"] {
        let mut rig = Rig::ready(Transport::Udp);
        let mut sip = request(Transport::Udp, method, "z9hG4bK1");
        sip.push("Require", "100rel, foo");
        sip.push("Require", "bar");
        let answer = ask(&mut rig, &sip);
        assert_eq!(answer.status(), Some(420));
        assert_eq!(answer.all("Unsupported"), ["100rel", "foo", "bar"]);
        assert!(rig.inbox.is_empty());
    }
}

/// RFC 3261 §8.2.3.
#[test]
fn an_unknown_encoding_is_answered_415_with_accept_encoding() {
    for (encoding, status) in [
        ("identity", 200),
        ("deflate", 200),
        ("gzip", 415),
        ("x-zip", 415),
    ] {
        let mut rig = Rig::ready(Transport::Udp);
        let mut message = rig.message(TEXT, b"Hello");
        message.push("Content-Encoding", encoding);
        let answer = ask(&mut rig, &message);
        assert_eq!(answer.status(), Some(status), "{encoding}");
        if status == 415 {
            assert_eq!(answer.all("Accept-Encoding"), ["identity", "deflate"]);
        } else {
            // What the application cannot see is not judged: an encoded text is no text yet.
            let text = rig.inbox[0].text;
            assert_eq!(text == TextCheck::Utf8, encoding == "identity");
            assert_eq!(rig.inbox[0].body, b"Hello");
        }
    }
}

/// CVE-2021-37624: what the network says of the sender and what the sender says stand apart.
#[test]
fn the_asserted_identity_is_not_from() {
    let mut rig = Rig::ready(Transport::Udp);
    let mut message = rig.message(TEXT, b"Hello");
    message.set("From", "\"Your Bank\" <sip:bank@example.com>;tag=1");
    message.set(
        "P-Asserted-Identity",
        "\"M\" <sip:mallory@example.com>, <tel:+15551234>",
    );
    message.push("P-Called-Party-ID", "<sip:bob.work@example.com>");
    message.push("Subject", "Hi");
    rig.receive(&message.to_bytes());
    let incoming = &rig.inbox[0];
    assert_eq!(
        incoming.asserted.as_deref(),
        Some("sip:mallory@example.com")
    );
    assert_eq!(incoming.from, "sip:bank@example.com");
    assert_eq!(incoming.called, "sip:bob.work@example.com");
    assert_eq!(incoming.subject.as_deref(), Some("Hi"));
    assert_eq!(incoming.trust, Trust::Path);

    // On a core that asserts nothing the header is a stranger's word.
    let mut rig = Rig::new(Transport::Udp, |config| Config {
        assertion: Assertion::FromOnly,
        ..config
    });
    rig.register();
    rig.receive(&message.to_bytes());
    assert_eq!(rig.inbox[0].asserted, None);
    assert_eq!(rig.inbox[0].from, "sip:bank@example.com");
}

/// CVE-2021-41157, CVE-2021-37624: off the registered flow nothing is taken, or it is marked.
#[test]
fn a_stranger_is_dropped_or_marked() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut rig = Rig::ready(transport);
        let stranger = rig.accepted(transport);
        let message = rig.message(TEXT, b"Hello").to_bytes();
        let mut malformed = request(transport, "MESSAGE", "z9hG4bKm");
        malformed.remove("CSeq");
        malformed.push("CSeq", "4294967296 MESSAGE");
        let options = request(transport, "OPTIONS", "z9hG4bKo");
        for bytes in [message.clone(), malformed.to_bytes(), options.to_bytes()] {
            rig.receive_on(stranger, &bytes);
        }
        assert!(rig.inbox.is_empty());
        // Not even an answer: nobody learns that there is a phone.
        assert!(rig.sent.is_empty(), "{:?}", rig.sent());
        assert_eq!(rig.stats().stranger, 3);

        let mut rig = Rig::new(transport, |config| Config {
            strangers: Strangers::Flag,
            ..config
        });
        rig.register();
        let stranger = rig.accepted(transport);
        rig.receive_on(stranger, &message);
        assert_eq!(rig.status(), 200);
        assert_eq!(rig.inbox[0].trust, Trust::Stranger);
        assert_eq!(rig.inbox[0].asserted, None);
    }
}

/// RFC 3261 §17.2.2: a retransmission is answered alike until Timer J, and goes no further.
#[test]
fn a_retransmission_is_answered_with_the_same_bytes() {
    let tagged = |mut sip: Sip| {
        let to = format!("{};tag=x", sip.header("To").unwrap());
        sip.set("To", &to);
        sip
    };
    let requires = |mut sip: Sip| {
        sip.push("Require", "foo");
        sip
    };
    let plain = |method| request(Transport::Udp, method, "z9hG4bK1");
    let typed = |kind: &str| {
        let mut sip = plain("MESSAGE");
        sip.push("Content-Type", kind);
        sip.body = b"x".to_vec();
        sip
    };
    for (sip, status) in [
        (typed(TEXT), 200),
        (typed("image/png"), 415),
        (tagged(typed(TEXT)), 481),
        (requires(typed(TEXT)), 420),
        (plain("OPTIONS"), 200),
        (requires(plain("OPTIONS")), 420),
        (plain("REFER"), 405),
        (plain("FOO"), 405),
        (plain("NOTIFY"), 481),
        (plain("BYE"), 481),
        (plain("CANCEL"), 481),
    ] {
        let mut rig = Rig::ready(Transport::Udp);
        let base = rig.settled();
        let start = rig.now;
        let bytes = sip.to_bytes();
        rig.receive(&bytes);
        let (_, first) = rig.sent[0].clone();
        assert_eq!(rig.status(), status, "{}", sip.start);
        let handed_out = rig.inbox.len();
        for second in [1, 15, 30] {
            rig.now = start.after(second * 1000);
            rig.receive(&bytes);
            assert_eq!(rig.sent.len(), 1);
            assert_eq!(rig.sent[0].1, first, "{}", sip.start);
            rig.sent.clear();
        }
        assert_eq!(rig.inbox.len(), handed_out);
        assert_eq!(rig.client.usage(), base);
        // Timer J is 32 s; rounded up to a tick.
        rig.now = start.after(33_000);
        rig.receive(&bytes);
        let later = rig.one();
        assert_eq!(later.status(), Some(status));
        let to = |sip: &Sip| sip.header("To").unwrap().to_string();
        let own_tag = to(&sip) != to(&later);
        assert_eq!(own_tag, to(&Sip::parse(&first).unwrap()) != to(&later));
    }
}

/// The origin of the clock is the caller's: 1970, the start of the device, or any other time.
#[test]
fn a_retransmission_is_known_at_any_time() {
    for start in [0, EPOCH, (1_u64 << 40) - 10_000, u64::MAX / 2] {
        let mut rig = Rig::new(Transport::Udp, |config| config);
        rig.now = oma_im::time::Instant::from_millis(start);
        rig.register();
        let message = rig.message(TEXT, b"Hello").to_bytes();
        for (after, handed_out) in [(0, 1), (20_000, 1), (33_000, 2)] {
            rig.now = oma_im::time::Instant::from_millis(start + after);
            rig.receive(&message);
            assert_eq!(rig.status(), 200);
            assert_eq!(rig.inbox.len(), handed_out, "{start} + {after}");
        }
    }
}

/// Deferred delivery and a sender that lost its answer repeat a message (RFC 5438 §6.3).
#[test]
fn a_message_is_handed_out_once_by_sender_and_message_id() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut rig = Rig::ready(transport);
        for (copies, duplicates) in [(1, 0), (2, 1), (3, 2)] {
            let message = rig.wrapped("m1", "");
            rig.receive(&message.to_bytes());
            assert_eq!(rig.status(), 200, "copy {copies}");
            assert_eq!(rig.inbox.len(), 1);
            assert_eq!(rig.stats().duplicates, duplicates);
        }
        // The same Message-ID of somebody else is another message.
        let mut other = rig.wrapped("m1", "");
        other.set("P-Asserted-Identity", "<sip:carol@example.com>");
        id(rig.receive(&other.to_bytes()));
        // And so is another Message-ID of the same sender, whatever its text.
        let other = rig.wrapped("m2", "");
        id(rig.receive(&other.to_bytes()));
        assert_eq!(rig.stats().duplicates, 2);
    }
}

/// RFC 3261 §8.2.2.2: the same request by another way, while the first is remembered.
#[test]
fn a_merged_request_is_answered_482() {
    let mut rig = Rig::ready(Transport::Udp);
    let message = rig.message(TEXT, b"Hello");
    assert_eq!(ask(&mut rig, &message).status(), Some(200));
    let mut forked = message.clone();
    forked.set("Via", "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKother");
    assert_eq!(ask(&mut rig, &forked).status(), Some(482));
    assert_eq!(rig.inbox.len(), 1);
}

#[test]
fn text_that_is_not_utf_8_is_handed_out_marked() {
    let mut rig = Rig::ready(Transport::Udp);
    for (kind, body, check) in [
        (TEXT, &b"Gr\xc3\xbc\xc3\x9fe"[..], TextCheck::Utf8),
        (TEXT, b"Gr\xfc\xdfe", TextCheck::Malformed),
        (TEXT, b"\xed\xa0\x80", TextCheck::Malformed),
        (
            "multipart/mixed; boundary=b",
            b"Gr\xfc\xdfe",
            TextCheck::NotText,
        ),
    ] {
        let message = rig.message(kind, body);
        id(rig.receive(&message.to_bytes()));
        assert_eq!(rig.status(), 200);
        let incoming = rig.inbox.last().unwrap();
        assert_eq!(incoming.body, body);
        assert_eq!(incoming.text, check, "{body:x?}");
    }
    let mut wrapped = cpim("sip:alice@example.com", "m1", "", "").into_bytes();
    wrapped.extend_from_slice(b"Gr\xfc\xdfe");
    let message = rig.message("message/cpim", &wrapped);
    id(rig.receive(&message.to_bytes()));
    assert_eq!(rig.inbox.last().unwrap().text, TextCheck::Malformed);
}

/// RFC 3261 §11.2.
#[test]
fn options_is_answered_with_what_the_client_can_do() {
    let mut rig = Rig::ready(Transport::Tcp);
    let options = request(Transport::Tcp, "OPTIONS", "z9hG4bK1");
    let answer = ask(&mut rig, &options);
    assert_eq!(answer.status(), Some(200));
    assert_eq!(
        answer.all("Allow"),
        ["MESSAGE", "NOTIFY", "OPTIONS", "ACK", "CANCEL"]
    );
    assert!(answer.all("Accept").contains(&"message/cpim".into()));
    assert_eq!(answer.all("Accept-Encoding"), ["identity", "deflate"]);
    assert_eq!(answer.all("Supported"), ["path", "outbound", "gruu"]);
    // linphone-android#2142: nobody is woken for it.
    assert!(rig.events.is_empty() && rig.inbox.is_empty());
}

/// RFC 3261 §8.2.1 (405 with Allow) and §12.2.2 (481).
#[test]
fn other_methods_are_answered_405_or_481() {
    for (method, outside, inside) in [
        ("INVITE", 405, 481),
        ("REGISTER", 405, 405),
        ("SUBSCRIBE", 405, 405),
        ("PUBLISH", 405, 405),
        ("REFER", 405, 405),
        ("FOO", 405, 405),
        ("INFO", 405, 481),
        ("NOTIFY", 481, 481),
        ("BYE", 481, 481),
        ("PRACK", 481, 481),
        ("UPDATE", 481, 481),
        ("CANCEL", 481, 481),
        ("MESSAGE", 200, 481),
        ("OPTIONS", 200, 481),
    ] {
        for (tag, status) in [("", outside), (";tag=mine", inside)] {
            let mut rig = Rig::ready(Transport::Udp);
            let mut sip = request(Transport::Udp, method, "z9hG4bK1");
            sip.set("To", &format!("<sip:bob@example.com>{tag}"));
            if matches!(
                method,
                "INVITE" | "SUBSCRIBE" | "REFER" | "UPDATE" | "NOTIFY"
            ) {
                sip.push("Contact", "<sip:alice@198.51.100.2>");
                sip.push("Event", "presence");
                sip.push("Subscription-State", "active");
                sip.push("Refer-To", "<sip:carol@example.com>");
            }
            let answer = ask(&mut rig, &sip);
            assert_eq!(answer.status(), Some(status), "{method}{tag}");
            assert_eq!(
                answer.header("Allow").is_some(),
                status == 405 || (method, status) == ("OPTIONS", 200)
            );
        }
    }
}

/// RFC 3261 §9.2: a CANCEL has no effect on what has its final response.
#[test]
fn cancel_of_a_known_invite_is_answered_200() {
    let mut rig = Rig::ready(Transport::Udp);
    let mut invite = request(Transport::Udp, "INVITE", "z9hG4bK1");
    invite.push("Contact", "<sip:alice@198.51.100.2>");
    assert_eq!(ask(&mut rig, &invite).status(), Some(405));
    let mut cancel = request(Transport::Udp, "CANCEL", "z9hG4bK1");
    cancel.set("CSeq", "1 CANCEL");
    assert_eq!(ask(&mut rig, &cancel).status(), Some(200));
    // The ACK ends it; a second one belongs to nothing (RFC 3261 §17.2.1: Timer I absorbs).
    let mut ack = request(Transport::Udp, "ACK", "z9hG4bK1");
    ack.set("CSeq", "1 ACK");
    rig.receive(&ack.to_bytes());
    assert!(rig.sent.is_empty());
    rig.run(40_000);
    assert!(rig.sent.is_empty());
    rig.receive(&ack.to_bytes());
    assert_eq!(rig.stats().stray_ack, 1);
}

/// RFC 3261 §8.2: answered if Via, From, To, Call-ID and CSeq can be read; ACK and responses never.
#[test]
fn what_cannot_be_parsed_is_answered_if_it_is_legible() {
    let text = |sip: &Sip| String::from_utf8(sip.to_bytes()).unwrap();
    let good = request(Transport::Udp, "MESSAGE", "z9hG4bK1");
    let good = text(&good);
    let with = |old: &str, new: &str| {
        assert!(good.contains(old), "{old}");
        good.replacen(old, new, 1)
    };
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    for (bytes, status) in [
        (good.clone(), Some(200)),
        (with(" SIP/2.0\r\n", " SIP/7.0\r\n"), Some(505)),
        (with("CSeq: 1 MESSAGE", "CSeq: 1 OPTIONS"), Some(400)),
        (
            with("CSeq: 1 MESSAGE", "CSeq: 4294967296 MESSAGE"),
            Some(400),
        ),
        (with("Max-Forwards: 69", "Max-Forwards: 300"), Some(400)),
        (with("Max-Forwards: 69", "Max-Forwards 69"), Some(400)),
        (
            with("Max-Forwards: 69", "To: <sip:carol@example.com>"),
            Some(400),
        ),
        (with("Content-Length: 0", "Content-Length: 10"), Some(400)),
        (with("Content-Length: 0", "Content-Length: -1"), Some(400)),
        (
            with("Content-Length: 0", &format!("{many}Content-Length: 0")),
            Some(513),
        ),
        (with("sip:bob@192.0.2.10 ", "nobodyknows:x "), Some(416)),
        (with("Call-ID: call-z9hG4bK1\r\n", ""), None),
        (with("Via: ", "X: "), None),
        (
            with("MESSAGE sip:", "ACK sip:").replace("1 MESSAGE", "1 OPTIONS"),
            None,
        ),
        ("HELLO".into(), None),
        ("SIP/2.0 200 OK\r\n\r\n".into(), None),
        ("\0\0\0\0".into(), None),
    ] {
        let mut rig = Rig::ready(Transport::Udp);
        let base = rig.settled();
        rig.receive(bytes.as_bytes());
        let answers = rig.sent();
        let line = bytes.lines().next().unwrap_or_default();
        let answer = answers.first().and_then(Sip::status);
        assert_eq!(answer, status, "{line}\n{bytes}");
        assert!(answers.len() < 2);
        assert_eq!(rig.inbox.len(), usize::from(status == Some(200)));
        assert_eq!(rig.client.usage(), base);
        let stats = rig.stats();
        let counted = stats.unparsable + stats.answered_unparsable;
        let silent = matches!(status, Some(200)) || bytes.starts_with('\0');
        assert_eq!(counted, u32::from(!silent), "{line}: {stats:?}");
    }
}

/// A stream whose next message cannot be found is left; its peer is told why first.
#[test]
fn a_broken_stream_is_answered_and_closed() {
    let good = request(Transport::Tcp, "MESSAGE", "z9hG4bK1").to_bytes();
    let good = String::from_utf8(good).unwrap();
    for (bytes, status) in [
        (
            good.replace("Content-Length: 0", "Content-Length: -1"),
            Some(400),
        ),
        (
            good.replace(
                "Content-Length: 0",
                "Content-Length: 1\r\nContent-Length: 2",
            ),
            Some(400),
        ),
        (good.replace("Content-Length: 0\r\n", ""), Some(400)),
        ("\u{16}\u{3}\u{1}hello".into(), None),
    ] {
        let mut rig = Rig::ready(Transport::Tcp);
        let flow = rig.main;
        rig.open = false;
        let (_, taken) = rig.give(flow, bytes.as_bytes());
        assert_eq!(taken, Taken::Broken, "{bytes}");
        rig.drain();
        assert_eq!(rig.closed, [(flow, CloseReason::Framing)]);
        let answered = rig.sent().first().and_then(Sip::status);
        assert_eq!(answered, status, "{bytes}");
        // The registration goes with its flow.
        assert!(!rig.client.is_ready());
        let (_, taken) = rig.give(flow, good.as_bytes());
        assert_eq!(taken, Taken::Nothing);
        assert_eq!(rig.stats().unknown_flow, 1);
    }
}

/// RFC 3261 §21.4.11: the body does not fit; exactly Content-Length bytes are skipped.
#[test]
fn a_body_beyond_the_buffer_is_answered_413_and_the_stream_goes_on() {
    for step in [1, 100, 100_000] {
        let mut rig = Rig::new(Transport::Tcp, |config| Config {
            stream_buffer: 2000,
            ..config
        });
        rig.register();
        let mut stream = rig.message(TEXT, &vec![b'x'; 5000]).to_bytes();
        stream.extend(rig.message(TEXT, b"Hello").to_bytes());
        let (mut unread, mut from) = (Vec::new(), 0);
        while from < stream.len() {
            let to = stream.len().min(from + step);
            unread.extend_from_slice(&stream[from..to]);
            from = to;
            while !unread.is_empty() {
                let (consumed, _) = rig.give(rig.main, &unread);
                rig.drain();
                unread.drain(..consumed);
                if consumed == 0 {
                    break;
                }
            }
            assert!(unread.len() <= 2000, "the buffer of the driver is enough");
        }
        let answers: Vec<_> = rig.sent().iter().filter_map(Sip::status).collect();
        assert_eq!(answers, [413, 200]);
        assert_eq!(rig.inbox.len(), 1);
        assert_eq!(rig.inbox[0].text(), "Hello");
        assert!(rig.closed.is_empty());
    }
}

/// RFC 3261 §21.5.7: where the head does not fit, nobody can know where the message ends.
#[test]
fn a_head_beyond_the_buffer_is_answered_513_and_the_stream_is_left() {
    let mut rig = Rig::new(Transport::Tcp, |config| Config {
        stream_buffer: 2000,
        ..config
    });
    rig.register();
    let flow = rig.main;
    rig.open = false;
    let mut message = rig.message(TEXT, b"Hello");
    message.push("X-Long", &"x".repeat(3000));
    rig.give(flow, &message.to_bytes());
    rig.drain();
    assert_eq!(rig.status(), 513);
    assert_eq!(rig.closed, [(flow, CloseReason::Framing)]);
}

/// What real peers send, all of it understood.
#[test]
fn cpim_as_peers_write_it() {
    let body = "\r\n\r\nContent-type: text/plain; charset=utf-8\r\n\r\nHello";
    for (head, message_id) in [
        // In any order, without NS (RFC 5438 §6 wants it).
        (
            "imdn.Message-ID: m1\r\nTo: <sip:bob@example.com>\r\nFrom: <sip:alice@example.com>",
            Some("m1"),
        ),
        // Without Message-ID.
        (
            "From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>",
            None,
        ),
        // To without brackets.
        (
            "From: <sip:alice@example.com>\r\nTo: sip:bob@example.com\r\nimdn.Message-ID: m1",
            Some("m1"),
        ),
        // Another prefix for the same names (RFC 3862 §3.4).
        (
            "NS: n <urn:ietf:params:imdn>\r\nn.Message-ID: m1\r\nFrom: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>",
            Some("m1"),
        ),
        // Headers that nobody knows.
        (
            "From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\nX.Foo: bar\r\nimdn.Message-ID: m1",
            Some("m1"),
        ),
    ] {
        let mut rig = Rig::ready(Transport::Udp);
        let message = rig.message("Message/CPIM", format!("{head}{body}").as_bytes());
        id(rig.receive(&message.to_bytes()));
        assert_eq!(rig.status(), 200);
        let incoming = &rig.inbox[0];
        assert_eq!(incoming.text(), "Hello", "{head}");
        assert_eq!(incoming.message_id.as_deref(), message_id, "{head}");
        assert_eq!(incoming.cpim_from.as_deref(), Some("sip:alice@example.com"));
        assert_eq!(incoming.content_type, TEXT);
    }
    // RFC 3862 §3: what is no CPIM at all.
    let mut rig = Rig::ready(Transport::Udp);
    let message = rig.message("message/cpim", b"Hello");
    assert_eq!(ask(&mut rig, &message).status(), Some(400));
}

/// `200 Ok`, a GRUU as Contact, two Route values, compact names, a tag on nothing.
#[test]
fn sip_as_peers_write_it() {
    let mut rig = Rig::new(Transport::Udp, |config| config);
    rig.call(|client, now| client.register(now)).unwrap();
    let register = rig.one();
    let contact = sip::uri_of(register.header("Contact").unwrap()).to_string();
    let gruu = format!("<{contact};gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>;expires=600");
    let ok = rig::response(
        &register,
        200,
        &[(
            "Contact",
            &format!("<{contact}>;pub-gruu=\"sip:bob@example.com;gr=urn:x\";expires=600, {gruu}"),
        )],
    );
    let ok = String::from_utf8(ok)
        .unwrap()
        .replace("200 Whatever", "200 Ok");
    rig.receive(ok.as_bytes());
    assert!(rig.client.is_ready());

    let mut message = rig.message(TEXT, b"Hello");
    message.push(
        "Contact",
        "<sip:alice@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>",
    );
    message.push("Route", "<sip:192.0.2.10;lr>, <sip:other.example.com;lr>");
    message.push("Record-Route", "<sip:a.example.com;lr>");
    let text = String::from_utf8(message.to_bytes()).unwrap();
    let compact = [
        ("Via: ", "v: "),
        ("From: ", "f:"),
        ("To: ", "t :"),
        ("Call-ID: ", "i: "),
        ("Content-Type: ", "c: "),
        ("Content-Length: ", "l: "),
    ]
    .iter()
    .fold(text, |text, (long, short)| text.replacen(long, short, 1));
    id(rig.receive(compact.as_bytes()));
    assert_eq!(rig.status(), 200);
    assert_eq!(rig.inbox[0].text(), "Hello");

    // And in the answer to a message of ours.
    let hello = Outgoing::text("sip:alice@example.com", "Hello");
    let sent = rig
        .call(|client, now| client.send_message(now, &hello))
        .unwrap();
    let request = rig.one();
    let ok = rig::response(&request, 200, &[]);
    let ok = String::from_utf8(ok)
        .unwrap()
        .replace("200 Whatever", "200 Ok");
    rig.receive(ok.as_bytes());
    assert_eq!(
        rig.events.last(),
        Some(&Happened::Sent(
            sent,
            SendOutcome::Delivered { status: 200 }
        ))
    );
}

/// OneAPI gateways deflate reports.
#[test]
fn a_deflated_report_is_understood() {
    let mut rig = Rig::ready(Transport::Udp);
    let base = rig.settled();
    let hello = Outgoing::text("sip:alice@example.com", "Hello").with_delivery_report();
    let sent = rig
        .call(|client, now| client.send_message(now, &hello))
        .unwrap();
    let request = rig.one();
    rig.answer(&request, 200, &[]);
    let body = String::from_utf8(request.body.clone()).unwrap();
    let message_id = body
        .lines()
        .find_map(|line| line.strip_prefix("imdn.Message-ID: "))
        .unwrap();
    let report = format!(
        "From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\r\n\
         Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n{}",
        imdn(message_id, "delivery", "delivered")
    );
    // zlib (RFC 9110 §8.4.1.2), and raw deflate as some write it.
    for zlib in [true, false] {
        rig.events.clear();
        let packed = if zlib {
            miniz_oxide::deflate::compress_to_vec_zlib(report.as_bytes(), 6)
        } else {
            miniz_oxide::deflate::compress_to_vec(report.as_bytes(), 6)
        };
        let mut message = rig.message("message/cpim", &packed);
        message.push("Content-Encoding", "deflate");
        assert_eq!(rig.receive(&message.to_bytes()), Taken::Nothing);
        assert_eq!(rig.status(), 200);
        let told = rig
            .events
            .iter()
            .any(|event| matches!(event, Happened::Report { id: Some(id), .. } if *id == sent));
        assert!(told, "zlib {zlib}: {:?}", rig.events);
    }
    // A text stays as it is, for the application to inflate.
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(
        cpim("sip:alice@example.com", "m1", "", "Hello").as_bytes(),
        6,
    );
    let mut message = rig.message("message/cpim", &packed);
    message.push("Content-Encoding", "deflate");
    id(rig.receive(&message.to_bytes()));
    assert_eq!(rig.inbox[0].body, packed);
    assert_eq!(rig.inbox[0].content_type, "message/cpim");
    rig.sent.clear();
    // A bomb is refused, and nothing stays behind.
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; 1 << 20], 9);
    let mut bomb = rig.message("message/imdn+xml", &packed);
    bomb.push("Content-Encoding", "deflate");
    assert_eq!(ask(&mut rig, &bomb).status(), Some(413));
    assert_eq!(rig.settled(), base);
}

/// The time of a message: CPIM DateTime, or else Date.
#[test]
fn when_it_was_sent() {
    let mut rig = Rig::ready(Transport::Udp);
    let wrapped = rig.wrapped("m1", "");
    rig.receive(&wrapped.to_bytes());
    let mut plain = rig.message(TEXT, b"Hello");
    plain.push("Date", "Sun, 22 Nov 2026 18:41:50 GMT");
    rig.receive(&plain.to_bytes());
    let sent_at: Vec<_> = rig.inbox.iter().map(|incoming| incoming.sent_at).collect();
    assert_eq!(sent_at, [Some(EPOCH), Some(EPOCH - 6000)], "{SENT}");
}

//! The message writer: what it writes is what was meant, whatever it is given and wherever it writes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use oma_im::wire::message::{Header, Message, StartLine};
use oma_im::wire::name::{Method, Name, Status};
use oma_im::wire::sink::{Sink, TooSmall};
use oma_im::wire::writer::*;

fn token(text: &str) -> Token<'_> {
    Token::new(text).unwrap()
}

fn uri(text: &str) -> UriText<'_> {
    UriText::new(text).unwrap()
}

fn value(value: impl Value) -> String {
    let mut out = [0; 512];
    let mut sink = Sink::new(&mut out);
    value.write(&mut sink);
    String::from_utf8(sink.written().unwrap().to_vec()).unwrap()
}

/// Runs a writer over every buffer size up to what it needs, and two more.
fn whole(write: impl Fn(&mut [u8]) -> Result<usize, TooSmall>) -> Vec<u8> {
    let Err(TooSmall { needed }) = write(&mut []) else {
        panic!("a message of no bytes")
    };
    for size in 0..needed {
        let mut out = vec![b'#'; size];
        assert_eq!(write(&mut out), Err(TooSmall { needed }), "size {size}");
    }
    let mut out = vec![b'#'; needed + 2];
    assert_eq!(write(&mut out[..needed]), Ok(needed));
    let exact = out[..needed].to_vec();
    assert_eq!(write(&mut out), Ok(needed));
    assert_eq!(out, [&exact[..], b"##"].concat());
    exact
}

const GOLDEN: &[u8] = b"MESSAGE sip:bob@ims.example.com SIP/2.0\r\n\
Via: SIP/2.0/TCP 192.0.2.10:5060;branch=z9hG4bKmsg1\r\n\
Max-Forwards: 70\r\n\
Route: <sip:pcscf.ims.example.com:5060;lr>, <sip:orig@scscf.ims.example.com;lr>\r\n\
From: <sip:alice@ims.example.com>;tag=m1\r\n\
To: <sip:bob@ims.example.com>\r\n\
Call-ID: msg-1@192.0.2.10\r\n\
CSeq: 1 MESSAGE\r\n\
P-Preferred-Identity: <sip:alice@ims.example.com>\r\n\
Accept-Contact: *;+g.oma.sip-im\r\n\
User-Agent: IM-client/OMA1.0 Example/M4-1.0\r\n\
Content-Type: message/cpim\r\n\
Content-Length: 312\r\n\
\r\n\
From: Alice <sip:alice@ims.example.com>\r\n\
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

// The pager message of the reference, its body composed in place with a length inside a length.
#[test]
fn the_pager_message_is_written_byte_for_byte() {
    let written = whole(|out| {
        let alice = uri("sip:alice@ims.example.com");
        let bob = uri("sip:bob@ims.example.com");
        let mut w = MessageWriter::request(out, Method::Message, bob);
        w.header(
            Name::Via,
            Via {
                transport: token("TCP"),
                sent_by: "192.0.2.10:5060"
                    .parse::<std::net::SocketAddr>()
                    .unwrap()
                    .into(),
                branch: Branch::Token(token("z9hG4bKmsg1")),
                params: &[],
            },
        );
        w.header(Name::MaxForwards, 70);
        let route = [
            "sip:pcscf.ims.example.com:5060;lr",
            "sip:orig@scscf.ims.example.com;lr",
        ];
        w.list(Name::Route, route.iter().map(|hop| NameAddr::new(uri(hop))));
        w.header(
            Name::From,
            NameAddr::new(alice).params(&[Param::tag(token("m1"))]),
        );
        w.header(Name::To, NameAddr::new(bob));
        w.header(Name::CallId, CallId::new("msg-1@192.0.2.10").unwrap());
        w.header(
            Name::CSeq,
            CSeq {
                number: 1,
                method: Method::Message,
            },
        );
        w.header(Name::PPreferredIdentity, NameAddr::new(alice));
        w.header(
            Name::AcceptContact,
            With(token("*"), &[Param::Flag(token("+g.oma.sip-im"))]),
        );
        w.header(
            Name::UserAgent,
            Text::new("IM-client/OMA1.0 Example/M4-1.0").unwrap(),
        );
        w.body_with(Text::new("message/cpim").unwrap(), |cpim| {
            cpim.put(
                b"From: Alice <sip:alice@ims.example.com>\r\nTo: <sip:bob@ims.example.com>\r\n",
            );
            cpim.put(b"DateTime: 2026-11-22T18:41:56Z\r\nNS: imdn <urn:ietf:params:imdn>\r\n");
            cpim.put(b"imdn.Message-ID: Mk9s2Vd0aQ7xT3\r\n");
            cpim.put(
                b"imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\r\n",
            );
            cpim.put(b"Content-type: text/plain; charset=utf-8\r\nContent-length: ");
            cpim.put_counted(b"\r\n\r\n", |text| text.put(b"Hello Bob"));
        })
        .finish()
    });
    assert_eq!(
        written.escape_ascii().to_string(),
        GOLDEN.escape_ascii().to_string()
    );
    Message::parse(&written).unwrap();
}

#[test]
fn a_response_repeats_what_it_must() {
    let request = b"MESSAGE sip:b@h SIP/2.0\r\n\
        v: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport, SIP/2.0/TCP p.example;branch=z9hG4bK0\r\n\
        f: \"A\"\r\n <sip:a@h>;tag=1\r\nt: <sip:b@h>\r\ni: x@y\r\nCSeq: 7 MESSAGE\r\nl: 0\r\n\r\n";
    let request = Message::parse(request).unwrap();
    let written = whole(|out| {
        let mut w = MessageWriter::response(out, Status::OK, None);
        for (n, via) in request.values(Name::Via).enumerate() {
            match n {
                0 => w.header(
                    Name::Via,
                    ReceivedVia {
                        via,
                        source: "[2001:db8::1]:40000".parse().unwrap(),
                    },
                ),
                _ => w.header(Name::Via, Raw(via)),
            }
        }
        for header in request.headers() {
            match header.name {
                Name::To => w.header(Name::To, With(Raw(header.value), &[Param::new_tag(0xab)])),
                Name::Via => {}
                _ => w.copy(header),
            }
        }
        w.no_body().finish()
    });
    assert_eq!(
        String::from_utf8(written).unwrap(),
        "SIP/2.0 200 OK\r\n\
         Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;received=2001:db8::1;rport=40000\r\n\
         Via: SIP/2.0/TCP p.example;branch=z9hG4bK0\r\n\
         From: \"A\" <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=00000000000000ab\r\nCall-ID: x@y\r\n\
         CSeq: 7 MESSAGE\r\nContent-Length: 0\r\n\r\n"
    );
}

// RFC 3261 §18.2.1, RFC 3581 §4.
#[test]
fn received_and_rport_are_stamped_when_they_must() {
    let stamp = |via: &str| {
        let source = "192.0.2.1:4000".parse().unwrap();
        value(ReceivedVia {
            via: via.as_bytes(),
            source,
        })
    };
    for (via, stamped) in [
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1", ""),
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", ""),
        (
            "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK1",
            ";received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP h.example;branch=z9hG4bK1",
            ";received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1",
            ";received=192.0.2.1",
        ),
    ] {
        assert_eq!(stamp(via), format!("{via}{stamped}"));
        for rport in [";rport", ";RPORT=17", ";received=203.0.113.9;rport"] {
            assert_eq!(
                stamp(&format!("{via}{rport};keep")),
                format!("{via};keep;received=192.0.2.1;rport=4000")
            );
        }
    }
    assert_eq!(
        stamp("SIP/2.0/UDP h;branch=\"\r\n "),
        "SIP/2.0/UDP h;branch=\"",
        "unreadable"
    );
}

#[test]
fn composed_values() {
    let via = |branch, params| Via {
        transport: token("TLS"),
        sent_by: SentBy {
            host: Host::Name(HostName::new("phone.example").unwrap()),
            port: None,
        },
        branch,
        params,
    };
    let v6 = SentBy::from(
        "[2001:db8::9:1]:5062"
            .parse::<std::net::SocketAddr>()
            .unwrap(),
    );
    let instance = [
        Param::Quoted(token("+sip.instance"), Quoted::new("<urn:uuid:0>").unwrap()),
        Param::Number(token("reg-id"), 1),
        Param::expires(u32::MAX),
    ];
    let alice = NameAddr::new(uri("sip:alice@[::1];transport=tcp?a=b,c"));
    for (is, should) in [
        (
            value(via(Branch::New(0x1f), &[Param::RPORT, Param::KEEP])),
            "SIP/2.0/TLS phone.example;branch=z9hG4bK000000000000001f;rport;keep",
        ),
        (
            value(Via {
                sent_by: v6,
                ..via(Branch::Token(token("z9hG4bKx")), &[])
            }),
            "SIP/2.0/TLS [2001:db8::9:1]:5062;branch=z9hG4bKx",
        ),
        (
            value(
                alice
                    .display(Quoted::new(r#"A "x" \ Ä"#).unwrap())
                    .params(&instance),
            ),
            r#""A \"x\" \\ Ä" <sip:alice@[::1];transport=tcp?a=b,c>;+sip.instance="<urn:uuid:0>";reg-id=1;expires=4294967295"#,
        ),
        (
            value(With(
                1800_u32,
                &[Param::Token(token("refresher"), token("uac"))],
            )),
            "1800;refresher=uac",
        ),
        (
            value(CSeq {
                number: 0,
                method: Method::Other(b"PING"),
            }),
            "0 PING",
        ),
        (value(Quoted::new("").unwrap()), "\"\""),
        (value(Hex(&[0, 0xa5])), "00a5"),
        (value(Method::Bye), "BYE"),
    ] {
        assert_eq!(is, should);
    }
}

#[test]
fn lists_take_one_line_or_none() {
    let mut out = [0; 200];
    let mut w = MessageWriter::request(&mut out, Method::Options, uri("sip:a"));
    w.list(Name::Allow, [Method::Invite, Method::Message]);
    w.list(Name::Supported, [token("path")]);
    w.list::<Token<'_>>(Name::Require, []);
    w.other(token("X-One"), 1);
    let len = w.no_body().finish().unwrap();
    let text = "OPTIONS sip:a SIP/2.0\r\nAllow: INVITE, MESSAGE\r\nSupported: path\r\nX-One: 1\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(std::str::from_utf8(&out[..len]).unwrap(), text);
}

#[test]
fn what_goes_with_the_body_is_written_once() {
    let written = whole(|out| {
        let mut w = MessageWriter::response(
            out,
            Status::new(480).unwrap(),
            Some(Text::new("Später").unwrap()),
        );
        w.header(Name::ContentLength, 99);
        w.other(token("l"), 99);
        w.other(token("content-length"), 99);
        w.list(Name::ContentLength, [99]);
        w.header(Name::ContentType, token("wrong"));
        w.header(Name::Other, token("nameless"));
        w.copy(Header {
            name: Name::Other,
            raw_name: b"X\r\nEvil",
            value: b"1",
        });
        w.body(Text::new("text/plain").unwrap(), b"1234567890")
            .finish()
    });
    let text = "SIP/2.0 480 Später\r\nX: 1\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n1234567890";
    assert_eq!(std::str::from_utf8(&written).unwrap(), text);
}

// A body that empties the sink it is given harms nobody but its message.
#[test]
fn a_body_that_takes_the_sink_apart_does_not_panic() {
    let mut out = [0; 100];
    let w = MessageWriter::request(&mut out, Method::Info, uri("sip:a"));
    let done = w.body_with(token("x"), |sink| *sink = Sink::counting());
    assert_eq!(done.finish(), Ok(0));
}

/// What every control character but HT does in each checked type, at each place of a good value.
#[test]
fn control_characters_are_refused_wherever_they_stand() {
    fn refuses(good: &str, new: impl Fn(&str) -> Option<TextError>) {
        assert_eq!(new(good), None, "{good:?}");
        for control in (0..0x20_u8).chain([0x7f]).filter(|b| *b != b'\t') {
            for offset in 0..=good.len() {
                let mut bad = good.to_owned();
                bad.insert(offset, char::from(control));
                assert_eq!(new(&bad), Some(TextError::Forbidden { offset }), "{bad:?}");
            }
        }
        let line = format!("{good}\r\nEvil: 1");
        assert_eq!(
            new(&line),
            Some(TextError::Forbidden { offset: good.len() })
        );
    }
    refuses("free text", |text| Text::new(text).err());
    refuses("some \"quoted\\", |text| Quoted::new(text).err());
    refuses("token", |text| Token::new(text).err());
    refuses("sip:alice@h;x=y?z=[a]", |text| UriText::new(text).err());
    refuses("asd<88>@10.0.0.1", |text| CallId::new(text).err());
    refuses("phone-1.example", |text| HostName::new(text).err());
}

#[test]
fn each_type_keeps_to_its_grammar() {
    use TextError::{Empty, Forbidden};
    let at = |offset| Some(Forbidden { offset });
    assert_eq!(Text::new("").err(), None);
    assert_eq!(Text::new("a\tä\u{2028}").err(), None);
    for (text, error) in [
        ("", Some(Empty)),
        ("a b", at(1)),
        ("\"", at(0)),
        ("a,b", at(1)),
        ("é", at(0)),
        ("a;b", at(1)),
        ("a\tb", at(1)),
    ] {
        assert_eq!(Token::new(text).err(), error, "{text:?}");
    }
    for (text, error) in [
        ("", Some(Empty)),
        ("sip", at(3)),
        ("sip:", at(4)),
        (":a", at(0)),
        ("1sip:a", at(0)),
        ("s p:a", at(1)),
        ("sip:a b", at(5)),
        ("sip:a\tb", at(5)),
        ("sip:a>;x", at(5)),
        ("sip:\"", at(4)),
        ("sip:a%4", at(5)),
        ("sip:a%zz", at(5)),
        ("sip:a%4z", at(5)),
        ("sip:a%41%42 b", at(11)),
        ("sip:a%41b", None),
        ("sip:ä", at(4)),
        ("tel:+358-50", None),
        ("urn:urn-7:3gpp-service.ims.icsi.oma.im", None),
    ] {
        assert_eq!(UriText::new(text).err(), error, "{text:?}");
    }
    for (text, error) in [
        ("", Some(Empty)),
        ("@h", at(0)),
        ("a@", at(2)),
        ("a@b@c", at(3)),
        ("a b", at(1)),
        ("a@b", None),
    ] {
        assert_eq!(CallId::new(text).err(), error, "{text:?}");
    }
    for (text, error) in [("", Some(Empty)), ("a:1", at(1)), ("[::1]", at(0))] {
        assert_eq!(HostName::new(text).err(), error, "{text:?}");
    }
}

#[test]
fn raw_values_stay_on_their_line() {
    for (raw, clean) in [
        ("plain", "plain"),
        ("a\r\n b", "a b"),
        ("a \r\n\t b", "a b"),
        ("a\r\n b\r\n\tc", "a b c"),
        ("a\r\n\r\nEvil: 1", "a Evil: 1"),
        ("a\r\nb\nc\rd\0e\x7ff", "a b c d e f"),
        ("\r\n a\r\n", "a"),
        ("tab\tkept", "tab\tkept"),
        ("\r\n", ""),
    ] {
        assert_eq!(value(Raw(raw.as_bytes())), clean, "{raw:?}");
    }
    // A control character is found at every offset of a word and after it, among any neighbours.
    for neighbour in [b'a', b' ', 0x80, 0xff, 0x20, 0x7e] {
        for len in 1..20 {
            for at in 0..len {
                for control in (0..0x20).chain([0x7f]).filter(|b| *b != b'\t') {
                    let mut bytes = vec![neighbour; len];
                    bytes[at] = control;
                    let mut out = [0; 20];
                    let mut sink = Sink::new(&mut out);
                    Raw(&bytes).write(&mut sink);
                    let written = sink.written().unwrap();
                    assert!(!written.iter().any(u8::is_ascii_control), "{bytes:?}");
                }
            }
        }
    }
}

#[test]
fn a_hostile_method_ends_with_its_token() {
    let method = Method::Other(b"PING sip:evil SIP/2.0\r\nX: 1\r\n");
    let mut out = [0; 100];
    let mut w = MessageWriter::request(&mut out, method, uri("sip:a"));
    w.header(Name::CSeq, CSeq { number: 1, method });
    let len = w.no_body().finish().unwrap();
    assert_eq!(
        out[..len],
        *b"PING sip:a SIP/2.0\r\nCSeq: 1 PING\r\nContent-Length: 0\r\n\r\n"
    );
}

/// A small stream of numbers, so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn pick(&mut self, from: &str, longest: usize) -> String {
        let from: Vec<char> = from.chars().collect();
        (0..=self.roll(longest))
            .map(|_| from[self.roll(from.len())])
            .collect()
    }
}

// A value may be lent; a writer is never empty, a sink is until something is put.
#[test]
#[allow(clippy::needless_borrows_for_generic_args)] // The borrow is what is tested.
fn lent_values_and_the_bytes_so_far() {
    assert_eq!(value(Method::Publish), "PUBLISH");
    assert_eq!(value(&token("x")), "x");
    assert_eq!(value(&&NameAddr::new(uri("sip:a@b"))), "<sip:a@b>");
    assert_eq!(
        HostName::new("phone-1.example").unwrap().as_bytes(),
        b"phone-1.example"
    );
    assert_eq!(CallId::new("1@a").unwrap().as_bytes(), b"1@a");
    let mut out = [0; 64];
    let w = MessageWriter::request(&mut out, Method::Options, uri("sip:a"));
    assert_eq!(
        (w.len(), w.is_empty()),
        (b"OPTIONS sip:a SIP/2.0\r\n".len(), false)
    );
    let mut sink = Sink::new(&mut []);
    assert!(sink.is_empty());
    sink.put(b"x");
    assert!(!sink.is_empty() && sink.len() == 1);
}

// Whatever is put in comes out of the reader, and nothing else does.
#[test]
fn any_message_reads_back_as_it_was_meant() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let words = "ab-.!%*_+`'~09";
        let prose = "ab \t\"\\<>;,:=@%ä漢";
        let (tag, branch) = (dice.pick(words, 20), dice.pick(words, 30));
        let (display, text) = (dice.pick(prose, 40), dice.pick(prose, 60));
        let target = format!("sip:{}", dice.pick("ab;=?@.-&[]:/", 40));
        let (number, body) = (dice.roll(1 << 31) as u32, vec![b'\n'; dice.roll(200)]);
        let written = whole(|out| {
            let mut w = MessageWriter::request(out, Method::Message, uri(&target));
            let (host, params) = (Host::Ip("::1".parse().unwrap()), &[Param::RPORT]);
            let sent_by = SentBy {
                host,
                port: Some(number as u16),
            };
            w.header(
                Name::Via,
                Via {
                    transport: token("UDP"),
                    sent_by,
                    branch: Branch::Token(token(&branch)),
                    params,
                },
            );
            let display = Quoted::new(&display).unwrap();
            w.header(
                Name::From,
                NameAddr::new(uri(&target))
                    .display(display)
                    .params(&[Param::tag(token(&tag))]),
            );
            w.header(
                Name::CSeq,
                CSeq {
                    number,
                    method: Method::Message,
                },
            );
            w.header(Name::Subject, Text::new(&text).unwrap());
            w.body(Text::new("text/plain").unwrap(), &body).finish()
        });
        let read = Message::parse(&written).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let StartLine::Request(start) = read.start() else {
            panic!("seed {seed}")
        };
        assert_eq!(
            (start.method, start.uri),
            (Method::Message, target.as_bytes()),
            "seed {seed}"
        );
        assert_eq!(read.headers().count(), 6, "seed {seed}");
        assert_eq!(
            read.header(Name::Subject).unwrap(),
            text.trim_matches([' ', '\t']).as_bytes(),
            "seed {seed}"
        );
        assert_eq!(
            read.header(Name::CSeq).unwrap(),
            format!("{number} MESSAGE").as_bytes()
        );
        assert_eq!(read.body(), body, "seed {seed}");
        let from = oma_im::wire::scan::split_quoted(read.header(Name::From).unwrap());
        let (quoted, rest) = from.unwrap_or_else(|| panic!("seed {seed}: {display:?}"));
        assert!(
            oma_im::wire::scan::unquote(quoted).eq(display.bytes()),
            "seed {seed}"
        );
        assert_eq!(
            rest,
            format!(" <{target}>;tag={tag}").as_bytes(),
            "seed {seed}"
        );
    }
}

#[test]
fn texts_give_back_what_they_hold() {
    assert_eq!(Text::new("a, b").unwrap().as_str(), "a, b");
    assert_eq!(Quoted::new("a \"b\"").unwrap().as_str(), "a \"b\"");
}

/// RFC 3261 §20.17.
#[test]
fn a_date_is_written() {
    let mut out = [0; 256];
    let mut w = MessageWriter::request(&mut out, Method::Info, uri("sip:a"));
    w.header(Name::Date, SipDate(1_289_683_320_000));
    let len = w.no_body().finish().unwrap();
    let text = std::str::from_utf8(&out[..len]).unwrap();
    assert!(
        text.contains("\r\nDate: Sat, 13 Nov 2010 21:22:00 GMT\r\n"),
        "{text}"
    );
}

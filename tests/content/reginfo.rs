use crate::{Chance, corpus};
use oma_im::wire::error::{ParseError, ParseErrorKind as Kind};
use oma_im::wire::reginfo::{
    Contact, ContactEvent, ContactState, DocumentState, Item, NAMESPACE, Order, RegInfo,
    RegistrationState,
};

fn document(inner: &str) -> String {
    format!("<reginfo xmlns='{NAMESPACE}' version='3' state='full'>{inner}</reginfo>")
}

/// Every item as a line, every error as its kind.
fn lines(document: &str) -> Vec<String> {
    let info = RegInfo::new(document.as_bytes()).unwrap_or_else(|e| panic!("{document}: {e}"));
    info.map(|item| match item {
        Ok(Item::Registration(it)) => format!("{} {} {}", it.id, it.aor, it.state.as_str()),
        Ok(Item::Contact(it)) => format!(
            "  {} {} {} {}",
            it.id,
            it.uri,
            it.state.as_str(),
            it.event.as_str()
        ),
        Err(error) => format!("{:?}", error.kind),
    })
    .collect()
}

fn contact(attributes: &str, inner: &str) -> String {
    document(&format!(
        "<registration aor='sip:a@b' id='1' state='active'><contact id='c' state='active' event='registered' {attributes}><uri>sip:x</uri>{inner}</contact></registration>"
    ))
}

fn only<T>(document: &str, look: impl Fn(Contact<'_>) -> T) -> T {
    let mut info = RegInfo::new(document.as_bytes()).unwrap();
    assert!(matches!(info.next(), Some(Ok(Item::Registration(_)))));
    let Some(Ok(Item::Contact(it))) = info.next() else {
        panic!("{document}");
    };
    let seen = look(it);
    assert!(info.next().is_none());
    seen
}

fn example(name: &str) -> String {
    let found = corpus("xml")
        .into_iter()
        .find(|(it, _)| it == name)
        .unwrap();
    String::from_utf8(found.1).unwrap()
}

/// RFC 3680 §5.3 and §6.
#[test]
fn the_examples_of_rfc_3680_are_read() {
    assert_eq!(
        lines(&example("rfc3680-001.xml")),
        [
            "as9 sip:user@example.com active",
            "  76 sip:user@pc887.example.com active registered",
            "  77 sip:user@university.edu terminated expired",
        ]
    );
    assert_eq!(
        lines(&example("rfc3680-003.xml")),
        ["a7 sip:joe@example.com init"]
    );
    let partial = example("rfc3680-004.xml");
    let info = RegInfo::new(partial.as_bytes()).unwrap();
    assert_eq!((info.version(), info.state()), (1, DocumentState::Partial));
    assert_eq!(
        lines(&partial),
        [
            "a7 sip:joe@example.com active",
            "  76 sip:joe@pc34.example.com active registered",
        ]
    );
}

/// RFC 5628 §7, §8.2.
#[test]
fn the_gruus_of_rfc_5628_are_read() {
    only(&example("rfc5628-001.xml"), |it| {
        assert_eq!(
            (it.expires, it.cseq, it.retry_after),
            (Some(3599), Some(54321), None)
        );
        assert!(it.callid.unwrap() == *"1j9FpLxk3uxtm8tn@192.0.2.1");
        assert!(it.instance.unwrap() == *"\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\"");
        assert!(it.pub_gruu.unwrap() == *"sip:user@example.com;gr=hha9s8d-999a");
        let temporary = it.temp_gruu.unwrap();
        assert!(temporary.uri == *"sip:8ffkas08af7fasklzi9@example.com;gr");
        assert_eq!(temporary.first_cseq, Some(54301));
    });
    assert_eq!(
        lines(&example("rfc5628-002.xml")),
        [
            "a7 sip:user_aor_1@example.net active",
            "  92 sip:ua.example.com active registered",
            "a8 sip:user_aor_2@example.net active",
            "  93 sip:ua.example.com active created",
            "a9 sip:+358504821437@example.net;user=phone active",
            "  94 sip:ua.example.com active created",
        ]
    );
}

#[test]
fn every_state_and_event_is_read() {
    for state in RegistrationState::ALL {
        let text = document(&format!(
            "<registration aor='a:b' id='1' state='{}'/>",
            state.as_str()
        ));
        assert_eq!(lines(&text), [format!("1 a:b {}", state.as_str())]);
    }
    for state in ContactState::ALL {
        for event in ContactEvent::ALL {
            let text = contact("", "")
                .replace(
                    "<contact id='c' state='active'",
                    &format!("<contact id='c' state='{}'", state.as_str()),
                )
                .replace("event='registered'", &format!("event='{}'", event.as_str()));
            only(&text, |it| {
                assert_eq!((it.state, it.event), (*state, *event))
            });
        }
    }
    assert_eq!(ContactEvent::ALL.len(), 9);
}

#[test]
fn numbers_are_taken_within_their_range() {
    let expires = |value: &str| {
        only(
            &contact(
                &format!("expires='{value}' retry-after='{value}' cseq='{value}'"),
                "",
            ),
            |it| (it.expires, it.retry_after, it.cseq),
        )
    };
    for (value, seconds, cseq) in [
        ("0", Some(0), Some(0)),
        (" 60\n", Some(60), Some(60)),
        ("4294967295", Some(u32::MAX), Some(u32::MAX)),
        ("4294967296", Some(u32::MAX), None),
        ("18446744073709551616", Some(u32::MAX), None),
        ("", None, None),
        ("-1", None, None),
        ("+1", None, None),
        ("1 2", None, None),
        ("0x1", None, None),
        ("\u{661}", None, None),
    ] {
        assert_eq!(expires(value), (seconds, seconds, cseq), "{value}");
    }
    assert_eq!(
        expires(&"9".repeat(100_000)),
        (Some(u32::MAX), Some(u32::MAX), None)
    );
}

#[test]
fn contacts_are_read_as_registrars_write_them() {
    // Another prefix, order, unknown elements and attributes, things of other namespaces, CDATA.
    let text = format!(
        "<?xml version='1.0'?><r:reginfo xmlns:r='{NAMESPACE}' xmlns:x='urn:x' xmlns:g='urn:ietf:params:xml:ns:gruuinfo' x:version='9' version=' 0 ' state='full'>\
         <x:registration aor='no' id='no' state='active'/><contact id='no' state='active' event='created'/>\
         <r:registration x:id='no' id='1' state='active' aor='sip:a@b'>\
         <x:actions/>text<r:contact event='created' state='active' x:id='no' id='c' q='1.0' duration-registered='x'>\
         <r:unknown-param name='reg-id'>1</r:unknown-param><r:unknown-param>2</r:unknown-param><r:unknown-param name='x'/>\
         <x:uri>no</x:uri><r:display-name xml:lang='de'>A</r:display-name><r:uri><![CDATA[sip:a@b?x=1&y=2]]></r:uri>\
         <g:pub-gruu/><pub-gruu uri='no'/><g:temp-gruu uri='sip:t;gr'/><g:temp-gruu uri='sip:no' first-cseq='1'/>\
         <r:unknown-param name='reg-id'>7</r:unknown-param></r:contact></r:registration></r:reginfo>"
    );
    assert_eq!(
        lines(&text),
        ["1 sip:a@b active", "  c sip:a@b?x=1&y=2 active created"]
    );
    only(&text, |it| {
        assert_eq!((it.reg_id, it.expires), (Some(1), None));
        assert!(it.pub_gruu.is_none() && it.instance.is_none());
        let temporary = it.temp_gruu.unwrap();
        assert!(temporary.uri == *"sip:t;gr" && temporary.first_cseq.is_none());
    });
}

#[test]
fn a_faulty_contact_or_registration_does_not_take_the_others_with_it() {
    let good = "<registration aor='a:1' id='1' state='active'><contact id='c' state='active' event='created'><uri>sip:x</uri></contact></registration>";
    let last = ["1 a:1 active", "  c sip:x active created"];
    for bad in [
        "<registration id='0' state='active'><contact id='c' state='active' event='created'><uri>sip:no</uri></contact></registration>",
        "<registration aor='a:0' state='active'/>",
        "<registration aor='a:0' id='0'/>",
        "<registration aor='a:0' id='0' state='gone'/>",
        "<registration aor='a:0' id='0' state=' active'/>",
    ] {
        let expected = [&["Document"][..], &last].concat();
        assert_eq!(lines(&document(&format!("{bad}{good}"))), expected, "{bad}");
    }
    for bad in [
        "<contact state='active' event='created'><uri>sip:no</uri></contact>",
        "<contact id='c' event='created'><uri>sip:no</uri></contact>",
        "<contact id='c' state='init' event='created'><uri>sip:no</uri></contact>",
        "<contact id='c' state='active'><uri>sip:no</uri></contact>",
        "<contact id='c' state='active' event='vanished'><uri>sip:no</uri></contact>",
        "<contact id='c' state='active' event='created'/>",
        "<contact id='c' state='active' event='created'><uri> </uri></contact>",
        "<contact id='c' state='active' event='created'><x><uri>sip:no</uri></x></contact>",
    ] {
        let text = good.replacen("<contact", &format!("{bad}<contact"), 1);
        assert_eq!(
            lines(&document(&text)),
            ["1 a:1 active", "Document", "  c sip:x active created"],
            "{bad}"
        );
    }
}

#[test]
fn what_is_no_registration_information_is_refused() {
    let fault = |text: &str| {
        let all: Result<Vec<()>, ParseError> = RegInfo::new(text.as_bytes())
            .and_then(|info| info.map(|item| item.map(|_| ())).collect());
        all.unwrap_err().kind
    };
    let root = |attributes: &str| format!("<reginfo xmlns='{NAMESPACE}' {attributes}/>");
    for (text, kind) in [
        ("", Kind::Truncated),
        ("<reginfo version='0' state='full'/>", Kind::Document),
        (
            &format!("<registration xmlns='{NAMESPACE}' version='0' state='full'/>"),
            Kind::Document,
        ),
        (&root(""), Kind::Document),
        (&root("version='0'"), Kind::Document),
        (&root("state='full'"), Kind::Document),
        (&root("version='-1' state='full'"), Kind::Document),
        (&root("version='0' state='whole'"), Kind::Document),
        (&root("version='4294967296' state='full'"), Kind::Number),
        (&format!("{}x", document("")), Kind::Xml),
        (
            &document("<registration aor='a:b' id='1' state='active'>"),
            Kind::Xml,
        ),
        (&format!("<!DOCTYPE a>{}", document("")), Kind::XmlForbidden),
        (&contact("callid='&lol;'", ""), Kind::XmlForbidden),
        (&contact("", &"<a>".repeat(1000)), Kind::XmlTooComplex),
        (
            &contact(
                &(0..100).map(|i| format!("a{i}='' ")).collect::<String>(),
                "",
            ),
            Kind::XmlTooComplex,
        ),
    ] {
        assert_eq!(fault(text), kind, "{}", &text[..text.len().min(200)]);
    }
    // After a fault in the XML nothing comes.
    let mut info = RegInfo::new(
        b"<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' version='0' state='full'></x>",
    )
    .unwrap();
    assert!(info.next().unwrap().is_err() && info.next().is_none());
}

/// RFC 3680 §5.2.
#[test]
fn the_version_says_what_to_do_with_a_document() {
    let text = document("");
    let info = RegInfo::new(text.as_bytes()).unwrap();
    assert_eq!(info.version(), 3);
    for (last, order) in [
        (None, Order::InTurn),
        (Some(2), Order::InTurn),
        (Some(1), Order::InTurn),
        (Some(0), Order::InTurn),
        // Not said by the RFC: a server that counts nothing, or a copy.
        (Some(3), Order::InTurn),
        (Some(4), Order::Old),
        (Some(u32::MAX), Order::Old),
    ] {
        assert_eq!(info.order(last), order, "{last:?}");
    }
    let partial = text.replace("'full'", "'partial'");
    let info = RegInfo::new(partial.as_bytes()).unwrap();
    for (last, order) in [
        (None, Order::InTurn),
        (Some(2), Order::InTurn),
        (Some(1), Order::Gap),
        (Some(0), Order::Gap),
        (Some(3), Order::Old),
        (Some(4), Order::Old),
    ] {
        assert_eq!(info.order(last), order, "{last:?}");
    }
}

#[test]
fn no_cut_and_no_broken_byte_of_registration_information_ends_in_a_panic() {
    let seed = 0x3680;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let text = example("rfc5628-002.xml");
    let walk = |bytes: &[u8]| RegInfo::new(bytes).map_or(0, Iterator::count);
    for cut in 0..text.trim_end().len() {
        let info = RegInfo::new(&text.as_bytes()[..cut]);
        assert!(
            info.is_err() || info.unwrap().any(|item| item.is_err()),
            "{cut}"
        );
    }
    let pieces = b"<>/\"'&;=-\r\n :\0\xff";
    for _ in 0..20_000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..=chance.below(3) {
            let at = chance.below(bytes.len());
            bytes[at] = pieces[chance.below(pieces.len())];
        }
        assert!(walk(&bytes) <= 7);
    }
    let many = document(
        &"<registration aor='a:b' id='1' state='active'><contact/></registration>".repeat(20_000),
    );
    assert_eq!(walk(many.as_bytes()), 40_000);
}

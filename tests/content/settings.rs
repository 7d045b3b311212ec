use crate::{Chance, corpus};
use oma_im::wire::error::{ParseError, ParseErrorKind as Kind};
use oma_im::wire::message::Message;
use oma_im::wire::settings::{
    AnswerMode, Barring, Certainty, Coding, Dialect, DialectError, Element, Entities, Kind as Type,
    NAMESPACE, Named, NewDocument, OfflineDelivery, PartialSettings, Place, PocSettings, Setting,
    Settings, SimultaneousSessions, Storing, Visibility,
};
use oma_im::wire::sink::Sink;

const OURS: &str = "urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128";

fn named(setting: Setting, element: Element) -> Named {
    Named {
        setting,
        element,
        certainty: Certainty::Operator,
    }
}

fn element(namespace: &'static str, path: &'static [&'static str]) -> Element {
    Element {
        namespace,
        path,
        place: Place::Attribute("active"),
        coding: Coding::Boolean,
        kind: Type::Only,
    }
}

fn dialect(table: Vec<Named>) -> Result<Dialect, DialectError> {
    Dialect::new(table.leak())
}

/// As an operator could have it: two namespaces, words, types as attribute and as text, deep and shallow paths, the
/// order of the schema broken, an element of RFC 4354 in another role, and one setting left out.
fn foreign() -> Dialect {
    let (a, b) = ("urn:example:a&b", "urn:example:b");
    let words = Coding::Words {
        yes: "<yes>",
        no: "not at all",
    };
    dialect(vec![
        named(
            Setting::SessionHistory,
            Element {
                kind: Type::Attribute("type", "ses\"sion"),
                coding: Coding::Inverted,
                ..element(a, &["x", "y", "history"])
            },
        ),
        named(
            Setting::MessageHistory,
            Element {
                kind: Type::Attribute("type", "message"),
                coding: words,
                ..element(a, &["x", "y", "history"])
            },
        ),
        named(
            Setting::Visibility,
            Element {
                place: Place::Content,
                coding: words,
                ..element(b, &["seen"])
            },
        ),
        named(
            Setting::FileTransferBarring,
            element(
                NAMESPACE,
                &["sss-settings", "simultaneous-sessions-support"],
            ),
        ),
        named(
            Setting::OfflineDelivery,
            Element {
                kind: Type::Text("a & b"),
                ..element(b, &["deliver"])
            },
        ),
        named(
            Setting::MessageBarring,
            Element {
                coding: Coding::Inverted,
                ..element(
                    NAMESPACE,
                    &["ipab-settings", "incoming-personal-alert-barring"],
                )
            },
        ),
    ])
    .unwrap()
}

fn document(id: &str, settings: Settings, poc: PocSettings, dialect: Dialect) -> String {
    let new = NewDocument {
        id,
        settings,
        poc,
        dialect,
    };
    let mut count = Sink::counting();
    new.put(&mut count);
    let mut out = vec![0; count.len()];
    let mut sink = Sink::new(&mut out);
    new.put(&mut sink);
    assert_eq!(sink.finish(), Ok(out.len()));
    String::from_utf8(out).unwrap()
}

/// Id, settings and others of every entity.
fn entities(
    document: &str,
    dialect: Dialect,
) -> Result<Vec<(String, PartialSettings, PocSettings)>, ParseError> {
    Entities::new(document.as_bytes(), dialect)?
        .map(|it| it.map(|it| (it.id.to_string(), it.settings, it.poc)))
        .collect()
}

fn one(document: &str) -> PartialSettings {
    let read =
        entities(document, Dialect::RECONSTRUCTED).unwrap_or_else(|e| panic!("{document}: {e}"));
    assert_eq!(read.len(), 1, "{document}");
    read[0].1
}

fn entity(inner: &str) -> String {
    format!(
        "<poc-settings xmlns='{NAMESPACE}' xmlns:im='urn:oma:xml:im:service-settings'><entity id='1'>{inner}</entity></poc-settings>"
    )
}

/// All 128.
fn every_settings() -> impl Iterator<Item = Settings> {
    let barring = |on| {
        if on {
            Barring::Barred
        } else {
            Barring::Allowed
        }
    };
    let storing = |on| if on { Storing::On } else { Storing::Off };
    (0..128_u8).map(move |bits| {
        let bit = |n: u8| bits >> n & 1 == 1;
        Settings {
            sessions: barring(bit(0)),
            messages: barring(bit(1)),
            visibility: if bit(2) {
                Visibility::Visible
            } else {
                Visibility::Invisible
            },
            offline_delivery: if bit(3) {
                OfflineDelivery::On
            } else {
                OfflineDelivery::Off
            },
            session_history: storing(bit(4)),
            message_history: storing(bit(5)),
            file_transfers: barring(bit(6)),
        }
    })
}

fn every_poc() -> impl Iterator<Item = PocSettings> {
    let modes = [None, Some(AnswerMode::Automatic), Some(AnswerMode::Manual)];
    let alerts = [None, Some(Barring::Barred), Some(Barring::Allowed)];
    let several = [
        None,
        Some(SimultaneousSessions::Supported),
        Some(SimultaneousSessions::Refused),
    ];
    modes.into_iter().flat_map(move |answer_mode| {
        alerts.into_iter().flat_map(move |personal_alerts| {
            several
                .into_iter()
                .map(move |simultaneous_sessions| PocSettings {
                    answer_mode,
                    personal_alerts,
                    simultaneous_sessions,
                })
        })
    })
}

#[test]
fn golden_02_is_written_byte_for_byte_and_read_back() {
    let path = format!(
        "{}/tests/golden/02-publish-settings-initial.sip",
        env!("CARGO_MANIFEST_DIR")
    );
    let publish = std::fs::read(path).unwrap();
    let publish = Message::parse(&publish).unwrap();
    let golden = std::str::from_utf8(publish.body()).unwrap();
    let settings = Settings {
        offline_delivery: OfflineDelivery::Off,
        ..Settings::DEFAULT
    };
    let written = document(OURS, settings, PocSettings::UNSAID, Dialect::RECONSTRUCTED);
    assert_eq!(written, golden);
    assert_eq!(written.len(), 955);
    assert_eq!(
        entities(golden, Dialect::RECONSTRUCTED),
        Ok(vec![(OURS.into(), settings.into(), PocSettings::UNSAID)])
    );
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    assert_eq!(Settings::default(), Settings::DEFAULT);
    assert_eq!(
        PartialSettings::default().or(Settings::DEFAULT),
        Settings {
            sessions: Barring::Allowed,
            messages: Barring::Allowed,
            visibility: Visibility::Visible,
            offline_delivery: OfflineDelivery::On,
            session_history: Storing::Off,
            message_history: Storing::Off,
            file_transfers: Barring::Allowed,
        }
    );
    let letters: String = Setting::ALL.iter().map(|it| it.letter()).collect();
    assert_eq!(letters, "abcdefg");
}

#[test]
fn every_settings_and_every_poc_settings_come_back_in_either_dialect() {
    for settings in every_settings() {
        for poc in every_poc() {
            let text = document("i", settings, poc, Dialect::RECONSTRUCTED);
            assert_eq!(
                entities(&text, Dialect::RECONSTRUCTED),
                Ok(vec![("i".into(), settings.into(), poc)]),
                "{text}"
            );
        }
        let text = document("i", settings, PocSettings::UNSAID, foreign());
        let said = PartialSettings {
            sessions: None,
            ..settings.into()
        };
        assert_eq!(
            entities(&text, foreign()),
            Ok(vec![("i".into(), said, PocSettings::UNSAID)]),
            "{text}"
        );
    }
}

#[test]
fn a_foreign_dialect_is_written_in_the_order_of_the_schema_and_then_of_its_table() {
    // What the dialect uses itself is not written twice.
    let poc = PocSettings {
        answer_mode: Some(AnswerMode::Manual),
        personal_alerts: Some(Barring::Barred),
        simultaneous_sessions: Some(SimultaneousSessions::Supported),
    };
    let text = document("<\"&>", Settings::DEFAULT, poc, foreign());
    assert_eq!(
        text.replace("\r\n", "\n"),
        r#"<?xml version="1.0" encoding="UTF-8"?>
<poc-settings xmlns="urn:oma:params:xml:ns:poc:poc-settings"
    xmlns:im="urn:example:a&amp;b"
    xmlns:im2="urn:example:b">
  <entity id="&lt;&quot;&amp;&gt;">
    <am-settings>
      <answer-mode>manual</answer-mode>
    </am-settings>
    <ipab-settings>
      <incoming-personal-alert-barring active="true"/>
    </ipab-settings>
    <sss-settings>
      <simultaneous-sessions-support active="false"/>
    </sss-settings>
    <im:x>
      <im:y>
        <im:history active="true" type="ses&quot;sion"/>
        <im:history active="not at all" type="message"/>
      </im:y>
    </im:x>
    <im2:seen>&lt;yes&gt;</im2:seen>
    <im2:deliver active="true">a &amp; b</im2:deliver>
  </entity>
</poc-settings>
"#
    );
    let read = entities(&text, foreign()).unwrap();
    assert_eq!(
        (read[0].0.as_str(), read[0].2),
        (
            "<\"&>",
            PocSettings {
                answer_mode: Some(AnswerMode::Manual),
                ..PocSettings::UNSAID
            }
        )
    );
}

/// RFC 4354 §6.2.
#[test]
fn the_example_of_the_rfc_is_read() {
    let (_, bytes) = corpus("xml")
        .into_iter()
        .find(|(name, _)| name == "rfc4354-002.xml")
        .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let settings = PartialSettings {
        sessions: Some(Barring::Barred),
        ..PartialSettings::default()
    };
    let poc = PocSettings {
        answer_mode: Some(AnswerMode::Automatic),
        personal_alerts: Some(Barring::Allowed),
        simultaneous_sessions: Some(SimultaneousSessions::Supported),
    };
    assert_eq!(
        entities(&text, Dialect::RECONSTRUCTED),
        Ok(vec![("do39s8zksn2d98x".into(), settings, poc)])
    );
}

#[test]
fn names_are_compared_by_namespace_and_what_is_unknown_is_passed_over() {
    let barred = PartialSettings {
        sessions: Some(Barring::Barred),
        messages: Some(Barring::Barred),
        ..PartialSettings::default()
    };
    let text = format!(
        "\u{feff}<?xml version='1.0'?><!-- x --><p:poc-settings xmlns:p='{NAMESPACE}' xmlns:x='urn:x' x:version='2'>\
         <x:entity id='no'><p:isb-settings/></x:entity>\
         <p:entity x:id='no' id='1' x:y='z'>\
           <x:a><p:isb-settings><p:incoming-session-barring active='false'/></p:isb-settings></x:a>\
           <p:isb-settings x:y='z'><x:b><p:incoming-session-barring active='false'/></x:b>\
             <x:incoming-session-barring active='false'/>\
             <p:incoming-session-barring x:active='false' active='true'><x:c/></p:incoming-session-barring></p:isb-settings>\
           <ipmb-settings xmlns='urn:oma:xml:im:service-settings'>text<incoming-pager-message-barring active='1'/></ipmb-settings>\
           <ipmb-settings><incoming-pager-message-barring active='0'/></ipmb-settings>\
           <p:isb-settings><p:incoming-session-barring active='false'/></p:isb-settings>\
         </p:entity><x:more/></p:poc-settings>"
    );
    assert_eq!(one(&text), barred);
}

#[test]
fn a_boolean_is_true_false_1_or_0_with_white_space_around_it_and_nothing_else() {
    let read = |value: &str| {
        one(&entity(&format!(
            "<isb-settings><incoming-session-barring active=\"{value}\"/></isb-settings>"
        )))
        .sessions
    };
    for value in [
        "true",
        "1",
        " true",
        "1\r\n",
        "\t true \n",
        "&#116;rue",
        "&#9;true&#10;",
    ] {
        assert_eq!(read(value), Some(Barring::Barred), "{value}");
    }
    for value in ["false", "0", " 0 "] {
        assert_eq!(read(value), Some(Barring::Allowed), "{value}");
    }
    for value in [
        "",
        " ",
        "TRUE",
        "True",
        "yes",
        "2",
        "01",
        "tru",
        "truee",
        "true false",
        "-1",
    ] {
        assert_eq!(read(value), None, "{value}");
    }
    assert_eq!(
        one(&entity(
            "<isb-settings><incoming-session-barring/></isb-settings>"
        ))
        .sessions,
        None
    );
}

#[test]
fn the_two_histories_are_told_apart_by_their_type() {
    let read = |inner: &str| {
        let read = one(&entity(&format!(
            "<im:hist-settings>{inner}</im:hist-settings>"
        )));
        (read.session_history, read.message_history)
    };
    let (on, off) = (Some(Storing::On), Some(Storing::Off));
    let activation = |active: &str, inner: &str| {
        format!("<im:hist-activation active='{active}'>{inner}</im:hist-activation>")
    };
    let session = "<im:session-mode/>";
    let message = "<im:pager-large-mode>x</im:pager-large-mode>";
    assert_eq!(
        read(&(activation("1", message) + &activation("0", session))),
        (off, on)
    );
    assert_eq!(read(&activation("true", session)), (on, None));
    // One value for both, types of another namespace, none, too deep, behind another child.
    assert_eq!(
        read(&activation("true", &format!("{session}{message}"))),
        (on, on)
    );
    assert_eq!(read(&activation("true", "<session-mode/>")), (None, None));
    assert_eq!(read(&activation("true", "session-mode")), (None, None));
    assert_eq!(
        read(&activation("true", &format!("<im:x>{session}</im:x>"))),
        (None, None)
    );
    assert_eq!(
        read(&activation("true", &format!("<im:x/>{session}"))),
        (on, None)
    );
    assert_eq!(read(session), (None, None));
    assert_eq!(
        read(&format!("{}{session}", activation("true", ""))),
        (None, None)
    );
}

/// The text that names an element is its own and whole; elsewhere text says nothing.
#[test]
fn an_element_is_known_by_its_text_and_no_other() {
    let delivery = |inner: &str| {
        let text = entity(&format!(
            "<d:deliver xmlns:d='urn:example:b' active='true'>{inner}</d:deliver>"
        ));
        entities(&text, foreign()).unwrap()[0].1.offline_delivery
    };
    for inner in [
        "a &amp; b",
        " a &amp; b\t",
        "<x/>a &amp; b",
        "<x>no</x>a &amp; b",
    ] {
        assert_eq!(delivery(inner), Some(OfflineDelivery::On), "{inner}");
    }
    for inner in ["", "a b", "a &amp; b c", "<x>a &amp; b</x>", "<x/>"] {
        assert_eq!(delivery(inner), None, "{inner}");
    }
    let barred = one(&entity(
        "<isb-settings><incoming-session-barring active='true'>false</incoming-session-barring></isb-settings>",
    ));
    assert_eq!(barred.sessions, Some(Barring::Barred));
    let unsaid = one(&entity(
        "<isb-settings><incoming-session-barring>true</incoming-session-barring></isb-settings>",
    ));
    assert_eq!(unsaid.sessions, None);
}

#[test]
fn a_path_may_have_eight_elements() {
    let path = |count: usize| &["a", "b", "c", "d", "e", "f", "g", "h", "i"][..count];
    let of = |count| {
        dialect(vec![named(
            Setting::Visibility,
            element("urn:x", path(count)),
        )])
    };
    assert!(of(Dialect::MAX_PATH).is_ok());
    assert_eq!(
        of(Dialect::MAX_PATH + 1),
        Err(DialectError::Path(Setting::Visibility))
    );
}

#[test]
fn of_several_entities_ours_is_found_by_its_id() {
    let isb = |active: &str| {
        format!("<isb-settings><incoming-session-barring active='{active}'/></isb-settings>")
    };
    let text = format!(
        "<poc-settings xmlns='{NAMESPACE}'><entity id='a'>{}</entity><entity id='{OURS}'>{}</entity><entity id='a'/></poc-settings>",
        isb("0"),
        isb("1")
    );
    let read = entities(&text, Dialect::RECONSTRUCTED).unwrap();
    let ids: Vec<_> = read.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(ids, ["a", OURS, "a"]);
    assert_eq!(read[1].1.sessions, Some(Barring::Barred));
    assert_eq!(read[2].1, PartialSettings::default());
    assert!(read[1].1.says(Setting::SessionBarring) && !read[2].1.says(Setting::SessionBarring));
    // RFC 4354 §6: none, if nobody has published.
    let none = format!("<poc-settings xmlns='{NAMESPACE}'/>");
    assert_eq!(entities(&none, Dialect::RECONSTRUCTED), Ok(vec![]));
}

#[test]
fn what_is_no_settings_document_is_refused() {
    let fault = |text: &str| entities(text, Dialect::RECONSTRUCTED).unwrap_err().kind;
    for (text, kind) in [
        ("", Kind::Truncated),
        ("<poc-settings/>", Kind::Document),
        (
            "<poc-settings xmlns='urn:x'><entity id='1'/></poc-settings>",
            Kind::Document,
        ),
        (
            &format!("<entity xmlns='{NAMESPACE}' id='1'/>"),
            Kind::Document,
        ),
        (
            &format!("<poc-settings xmlns='{NAMESPACE}'><entity/></poc-settings>"),
            Kind::Document,
        ),
        (
            &format!(
                "<poc-settings xmlns='{NAMESPACE}'><entity xmlns:p='{NAMESPACE}' p:id='1'/></poc-settings>"
            ),
            Kind::Document,
        ),
        (&entity("")[..entity("").len() - 1], Kind::Truncated),
        (&format!("{}x", entity("")), Kind::Xml),
        (&entity("<isb-settings>"), Kind::Xml),
        // What attackers like.
        (
            &format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{}", entity("")),
            Kind::XmlForbidden,
        ),
        (
            &entity("<isb-settings><incoming-session-barring active='&b;'/></isb-settings>"),
            Kind::XmlForbidden,
        ),
        (&entity("<?x y?>"), Kind::XmlForbidden),
        (
            &format!("<?xml version='1.0' encoding='UTF-16'?>{}", entity("")),
            Kind::Utf8,
        ),
        (
            &entity(&"<isb-settings>".repeat(100_000)),
            Kind::XmlTooComplex,
        ),
        (
            &entity(&format!(
                "<a {}/>",
                (0..100).map(|i| format!("b{i}='' ")).collect::<String>()
            )),
            Kind::XmlTooComplex,
        ),
    ] {
        assert_eq!(fault(text), kind, "{}", &text[..text.len().min(200)]);
    }
    assert!(Entities::new(b"<\xff", Dialect::RECONSTRUCTED).is_err());
    // What stands before the fault was given; nothing is after it.
    let text = format!(
        "<poc-settings xmlns='{NAMESPACE}'><entity id='1'/><entity/><entity id='2'/></poc-settings>"
    );
    let mut walk = Entities::new(text.as_bytes(), Dialect::RECONSTRUCTED).unwrap();
    assert!(walk.next().unwrap().is_ok() && walk.next().unwrap().is_err() && walk.next().is_none());
}

#[test]
fn a_large_document_takes_one_walk() {
    let many = "<im:hist-settings><im:hist-activation active='2'><im:session-mode/></im:hist-activation></im:hist-settings>".repeat(10_000);
    let text = entity(&format!(
        "{many}<isb-settings><incoming-session-barring active='1'/></isb-settings>"
    ));
    assert_eq!(one(&text).sessions, Some(Barring::Barred));
    let entities_text = format!(
        "<poc-settings xmlns='{NAMESPACE}'>{}</poc-settings>",
        "<entity id=''/>".repeat(10_000)
    );
    assert_eq!(
        entities(&entities_text, Dialect::RECONSTRUCTED)
            .unwrap()
            .len(),
        10_000
    );
}

#[test]
fn no_cut_and_no_broken_byte_of_a_settings_document_ends_in_a_panic() {
    let seed = 0x4354;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    for dialect in [Dialect::RECONSTRUCTED, foreign()] {
        let text = document(OURS, Settings::DEFAULT, PocSettings::UNSAID, dialect);
        let whole = entities(&text, dialect);
        let walk =
            |bytes: &[u8]| Entities::new(bytes, dialect).map_or(0, |it| it.flatten().count());
        for cut in 0..text.trim_end().len() {
            let (before, _) = text.split_at(cut);
            assert!(entities(before, dialect).is_err(), "{cut}");
        }
        assert!(whole.is_ok());
        let pieces = b"<>/\"'&;=-\r\n :\0\xff";
        for _ in 0..10_000 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=chance.below(3) {
                let at = chance.below(bytes.len());
                bytes[at] = pieces[chance.below(pieces.len())];
            }
            assert!(walk(&bytes) <= 1);
        }
    }
}

// ---- dialects ----

#[test]
fn the_reconstructed_dialect_names_all_seven_and_says_how_sure_it_is() {
    let dialect = Dialect::RECONSTRUCTED;
    assert_eq!(dialect.left_out().count(), 0);
    assert_eq!(Dialect::new(dialect.table()), Ok(dialect));
    let sure: Vec<_> = dialect
        .table()
        .iter()
        .map(|it| (it.setting.letter(), it.certainty))
        .collect();
    assert_eq!(
        sure,
        [
            ('a', Certainty::Standard),
            ('b', Certainty::Invented),
            ('c', Certainty::CodingGuessed),
            ('d', Certainty::Deployed),
            ('e', Certainty::CodingGuessed),
            ('f', Certainty::CodingGuessed),
            ('g', Certainty::Invented),
        ]
    );
    assert!(
        dialect
            .element(Setting::FileTransferBarring)
            .unwrap()
            .element
            .path[0]
            .starts_with("iftb")
    );
}

#[test]
fn a_dialect_says_what_it_leaves_out() {
    let left: Vec<_> = foreign().left_out().collect();
    assert_eq!(left, [Setting::SessionBarring]);
    let none = Dialect::new(&[]).unwrap();
    assert_eq!(none.left_out().count(), 7);
    assert_eq!(none.element(Setting::Visibility), None);
    let text = document("i", Settings::DEFAULT, PocSettings::UNSAID, none);
    assert!(text.ends_with("\"urn:oma:params:xml:ns:poc:poc-settings\">\r\n  <entity id=\"i\">\r\n  </entity>\r\n</poc-settings>\r\n"));
    assert_eq!(
        entities(&text, none).unwrap()[0].1,
        PartialSettings::default()
    );
}

#[test]
fn a_table_that_breaks_a_rule_is_refused_with_the_rule() {
    use DialectError::*;
    let s = Setting::Visibility;
    let plain = element("urn:x", &["a", "b"]);
    let text = "x".repeat(257).leak();
    let alone: Vec<(Element, DialectError)> = [
        ("", Namespace(s)),
        ("urn:x y", Namespace(s)),
        ("urn:\n", Namespace(s)),
        ("urn:\u{e9}", Namespace(s)),
        ("http://www.w3.org/XML/1998/namespace", Namespace(s)),
        ("http://www.w3.org/2000/xmlns/", Namespace(s)),
        (text, Namespace(s)),
        (NAMESPACE, Schema(s)),
    ]
    .into_iter()
    .map(|(namespace, error)| (Element { namespace, ..plain }, error))
    .chain(
        [
            (&[][..], Path(s)),
            (&["a"; 9], Path(s)),
            (&["a", ""], Name(s)),
            (&["a b"], Name(s)),
            (&["1a"], Name(s)),
            (&["a:b"], Name(s)),
            (&["a>"], Name(s)),
            (&["\u{e9}"], Name(s)),
            (vec![&*text].leak(), Name(s)),
        ]
        .into_iter()
        .map(|(path, error)| (Element { path, ..plain }, error)),
    )
    .chain(["", "a b", "a=", "xmlns", "x:y"].into_iter().map(|name| {
        (
            Element {
                place: Place::Attribute(name),
                ..plain
            },
            Name(s),
        )
    }))
    .chain(
        [
            ("", "b"),
            ("a", ""),
            ("a", "a"),
            (" a", "b"),
            ("a", "b "),
            ("a\tb", "c"),
            ("a", "\u{ffff}"),
            ("\0", "b"),
        ]
        .into_iter()
        .map(|(yes, no)| {
            (
                Element {
                    coding: Coding::Words { yes, no },
                    ..plain
                },
                Words(s),
            )
        }),
    )
    .chain([
        (
            Element {
                kind: Type::Attribute("active", "x"),
                ..plain
            },
            Kind(s),
        ),
        (
            Element {
                kind: Type::Attribute("1", "x"),
                ..plain
            },
            Name(s),
        ),
        (
            Element {
                kind: Type::Attribute("x", " "),
                ..plain
            },
            Words(s),
        ),
        (
            Element {
                kind: Type::Text(""),
                ..plain
            },
            Words(s),
        ),
        (
            Element {
                kind: Type::Child("<"),
                ..plain
            },
            Name(s),
        ),
        (
            Element {
                kind: Type::Text("x"),
                place: Place::Content,
                ..plain
            },
            Kind(s),
        ),
        (
            Element {
                kind: Type::Child("x"),
                place: Place::Content,
                ..plain
            },
            Kind(s),
        ),
        (
            Element {
                place: Place::Attribute("on"),
                ..element(NAMESPACE, &["isb-settings", "incoming-session-barring"])
            },
            Schema(s),
        ),
        (
            Element {
                kind: Type::Child("x"),
                ..element(NAMESPACE, &["isb-settings", "incoming-session-barring"])
            },
            Schema(s),
        ),
        (
            element(NAMESPACE, &["am-settings", "answer-mode"]),
            Schema(s),
        ),
        (element(NAMESPACE, &["isb-settings"]), Schema(s)),
    ])
    .collect();
    for (element, error) in alone {
        assert_eq!(dialect(vec![named(s, element)]), Err(error), "{element:?}");
    }

    let other = Setting::OfflineDelivery;
    let pair = |a: Element, b: Element| dialect(vec![named(s, a), named(other, b)]).map(|_| ());
    let typed = |kind: Type| Element { kind, ..plain };
    assert_eq!(
        dialect(vec![named(s, plain), named(s, element("urn:y", &["c"]))]),
        Err(Twice(s))
    );
    for (a, b) in [
        (Type::Only, Type::Only),
        (Type::Only, Type::Child("x")),
        (Type::Child("x"), Type::Child("x")),
        (Type::Child("x"), Type::Text("x")),
        (Type::Text("x"), Type::Text("x")),
        (Type::Attribute("x", "y"), Type::Attribute("x", "y")),
        (Type::Attribute("x", "y"), Type::Attribute("z", "w")),
    ] {
        assert_eq!(
            pair(typed(a), typed(b)),
            Err(Ambiguous(other)),
            "{a:?} {b:?}"
        );
    }
    for (a, b) in [
        (Type::Child("x"), Type::Child("y")),
        (Type::Text("x"), Type::Text("y")),
        (Type::Attribute("x", "y"), Type::Attribute("x", "z")),
    ] {
        assert_eq!(pair(typed(a), typed(b)), Ok(()), "{a:?} {b:?}");
    }
    assert_eq!(pair(plain, element("urn:y", &["a", "b"])), Ok(()));
    assert_eq!(pair(plain, element("urn:x", &["a", "c"])), Ok(()));
    assert_eq!(Twice(s).to_string(), "setting c) has two elements");
}

/// Not a check by itself: the documents for the validator of `.ci/run schemas`, which counts them.
#[test]
fn documents_are_left_for_a_validator_where_one_asks_for_them() {
    let Some(folder) = std::env::var_os("OMA_IM_DOCUMENTS") else {
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let mut count = 0;
    let mut leave = |text: String| {
        std::fs::write(folder.join(format!("settings-{count:04}.xml")), text).unwrap();
        count += 1;
    };
    for settings in every_settings() {
        leave(document(
            OURS,
            settings,
            PocSettings::UNSAID,
            Dialect::RECONSTRUCTED,
        ));
        leave(document(
            "<&\"'\u{1f600}\t",
            settings,
            PocSettings::UNSAID,
            foreign(),
        ));
    }
    for poc in every_poc() {
        for dialect in [
            Dialect::RECONSTRUCTED,
            foreign(),
            Dialect::new(&[]).unwrap(),
        ] {
            leave(document(OURS, Settings::DEFAULT, poc, dialect));
        }
    }
    assert_eq!(count, 2 * 128 + 27 * 3);
}

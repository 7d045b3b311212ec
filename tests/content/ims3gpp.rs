use crate::Chance;
use oma_im::wire::error::ParseErrorKind as Kind;
use oma_im::wire::ims3gpp::Ims3gpp;

const DEPLOYED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ims-3gpp version=\"1\"><alternative-service>\
    <type>restoration</type><reason></reason><action>initial-registration</action></alternative-service></ims-3gpp>";

fn asks(document: &str) -> bool {
    Ims3gpp::parse(document.as_bytes())
        .unwrap_or_else(|e| panic!("{document}: {e}"))
        .asks_for_restoration()
}

/// TS 24.229 §5.1.2A.1.6: all of version, type and action.
#[test]
fn restoration_is_asked_for_by_version_type_and_action_together() {
    assert!(asks(DEPLOYED));
    for (from, to) in [
        (" version=\"1\"", ""),
        ("restoration", "emergency"),
        ("restoration", "Restoration"),
        ("restoration", ""),
        ("<type>restoration</type>", ""),
        ("initial-registration", "emergency-registration"),
        ("<action>initial-registration</action>", ""),
        ("alternative-service>", "service-info>"),
    ] {
        assert!(!asks(&DEPLOYED.replace(from, to)), "{from} {to}");
    }
    assert!(!asks("<ims-3gpp version='1'/>"));
    assert!(!asks(
        "<ims-3gpp version='1'><type>restoration</type><action>initial-registration</action></ims-3gpp>"
    ));
}

#[test]
fn it_is_read_as_cores_write_it() {
    for document in [
        // The older form, white space, another order, unknown elements, a namespace.
        "<ims-3gpp version='1'><alternative-service><action><initial-registration/></action><type> <restoration/> </type></alternative-service></ims-3gpp>",
        "<ims-3gpp version='2'>\n<x/><alternative-service>\n<y><type>no</type></y><type>\nrestoration\n</type>\n<action> initial-registration<!-- --></action></alternative-service><alternative-service/></ims-3gpp>",
        "<i:ims-3gpp xmlns:i='urn:i' xmlns:x='urn:x' version='1'><x:alternative-service/><i:alternative-service><x:type>no</x:type><i:type>restoration</i:type><i:action>initial-registration</i:action></i:alternative-service></i:ims-3gpp>",
    ] {
        assert!(asks(document), "{document}");
    }
    // The first word of an element is the one that counts.
    let document = DEPLOYED.replace("<type>restoration", "<type>restoration<x/>emergency");
    assert!(asks(&document));
    let document = DEPLOYED.replace("<type>restoration", "<type>emergency<restoration/>");
    assert!(!asks(&document));
    let document = DEPLOYED.replace("<reason>", "<reason>lost &amp; <![CDATA[<found>]]>");
    let read = Ims3gpp::parse(document.as_bytes()).unwrap();
    assert_eq!(read.version.unwrap().to_string(), "1");
    assert_eq!(
        read.alternative_service
            .unwrap()
            .reason
            .unwrap()
            .to_string(),
        "lost & <found>"
    );
}

#[test]
fn what_is_no_such_document_is_refused() {
    for (document, kind) in [
        ("", Kind::Truncated),
        ("<ims3gpp version='1'/>", Kind::Document),
        (&DEPLOYED[..DEPLOYED.len() - 1], Kind::Truncated),
        (&format!("{DEPLOYED}<a/>"), Kind::Xml),
        (
            &DEPLOYED.replace("?><", "?><!DOCTYPE a><"),
            Kind::XmlForbidden,
        ),
        (&DEPLOYED.replace("restoration", "&x;"), Kind::XmlForbidden),
        (
            &DEPLOYED.replace("restoration", &"<a>".repeat(20)),
            Kind::XmlTooComplex,
        ),
        (&DEPLOYED.replace("UTF-8", "UTF-7"), Kind::Utf8),
    ] {
        assert_eq!(
            Ims3gpp::parse(document.as_bytes()).unwrap_err().kind,
            kind,
            "{document}"
        );
    }
    let seed = 0x24_229;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let pieces = b"<>/\"'&;=-\r\n :\0\xff";
    for cut in 0..DEPLOYED.len() {
        assert!(
            Ims3gpp::parse(&DEPLOYED.as_bytes()[..cut]).is_err(),
            "{cut}"
        );
    }
    for _ in 0..20_000 {
        let mut bytes = DEPLOYED.as_bytes().to_vec();
        for _ in 0..=chance.below(3) {
            let at = chance.below(bytes.len());
            bytes[at] = pieces[chance.below(pieces.len())];
        }
        let _ = Ims3gpp::parse(&bytes).map(|it| it.asks_for_restoration());
    }
}

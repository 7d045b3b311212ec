//! Settings documents: any bytes are read to an end in any dialect, and what was read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::settings::{
    Certainty, Coding, Dialect, Element, Entities, Kind, Named, NewDocument, PartialSettings,
    Place, PocSettings, Setting, Settings,
};
use oma_im::wire::sink::Sink;

const fn named(
    setting: Setting,
    path: &'static [&'static str],
    place: Place,
    kind: Kind,
    coding: Coding,
) -> Named {
    let element = Element {
        namespace: "urn:x",
        path,
        place,
        coding,
        kind,
    };
    Named {
        setting,
        element,
        certainty: Certainty::Operator,
    }
}

/// Whatever a dialect can have that the reconstructed one has not.
const OTHER: Dialect = match Dialect::new(&[
    named(
        Setting::Visibility,
        &["a"],
        Place::Content,
        Kind::Only,
        WORDS,
    ),
    named(
        Setting::SessionBarring,
        &["a", "a", "a"],
        Place::Attribute("b"),
        Kind::Text("c"),
        WORDS,
    ),
    named(
        Setting::MessageHistory,
        &["a", "a"],
        Place::Attribute("b"),
        Kind::Attribute("c", "d"),
        Coding::Inverted,
    ),
    named(
        Setting::SessionHistory,
        &["a", "a"],
        Place::Attribute("b"),
        Kind::Attribute("c", "e"),
        Coding::Boolean,
    ),
]) {
    Ok(dialect) => dialect,
    Err(_) => panic!("the table breaks a rule"),
};
const WORDS: Coding = Coding::Words { yes: "y", no: "n" };

fuzz_target!(|document: &[u8]| {
    for dialect in [Dialect::RECONSTRUCTED, OTHER] {
        let Ok(entities) = Entities::new(document, dialect) else {
            continue;
        };
        let mut count = 0;
        for entity in entities {
            count += 1;
            assert!(count <= document.len());
            let Ok(entity) = entity else { continue };
            let id: String = entity.id.chars().collect();
            again(
                &id,
                entity.settings.or(Settings::DEFAULT),
                entity.poc,
                dialect,
            );
        }
    }
});

fn again(id: &str, settings: Settings, poc: PocSettings, dialect: Dialect) {
    let mut out = vec![0; 12 * id.len() + 2048];
    let mut sink = Sink::new(&mut out);
    NewDocument {
        id,
        settings,
        poc,
        dialect,
    }
    .put(&mut sink);
    let written = sink.written().expect("room enough");
    let mut entities = Entities::new(written, dialect).expect("what we write can be read");
    let read = entities.next().expect("one").expect("it is whole");
    assert!(entities.next().is_none());
    assert!(read.id == *id);
    assert_eq!(read.poc, poc);
    for setting in Setting::ALL {
        assert_eq!(
            read.settings.says(*setting),
            dialect.element(*setting).is_some()
        );
    }
    let said = PartialSettings::from(read.settings.or(settings));
    assert_eq!(said, settings.into());
}

//! The XML reader ends on any document, and text that was escaped reads back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::sink::Sink;
use oma_im::wire::xml::{Event, MAX_DEPTH, Reader, put_attribute, put_text};

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    let Ok(text) = core::str::from_utf8(bytes) else {
        return;
    };
    let meant: String = text
        .chars()
        .map(|c| if carried(c) { c } else { '\u{fffd}' })
        .collect();
    let mut out = vec![0; 12 * text.len() + 64];
    let mut sink = Sink::new(&mut out);
    sink.put(b"<a b='");
    put_attribute(&mut sink, text);
    sink.put(b"'>");
    put_text(&mut sink, text);
    sink.put(b"</a>");
    let document = sink.written().expect("room enough");
    let mut reader = Reader::new(document).unwrap();
    let Ok(Event::Start(start)) = reader.read() else {
        panic!("no start")
    };
    assert_eq!(
        start
            .attribute("", "b")
            .unwrap()
            .chars()
            .collect::<String>(),
        meant
    );
    assert_eq!(reader.text().unwrap().chars().collect::<String>(), meant);
    reader.finish().unwrap();
});

/// XML 1.0 §2.2.
fn carried(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn read(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(bytes) else {
        return;
    };
    let mut depth = 0;
    for _ in 0..=bytes.len() + 1 {
        match reader.read() {
            Ok(Event::Start(start)) => {
                depth += 1;
                assert!(depth <= MAX_DEPTH);
                for attribute in start.attributes() {
                    assert!(attribute.value.chars().count() <= bytes.len());
                }
            }
            Ok(Event::Text(text)) => assert!(text.chars().count() <= bytes.len()),
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Eof) => {
                assert_eq!(depth, 0);
                assert!(Reader::new(bytes).unwrap().finish().is_ok());
                return;
            }
            Err(error) => {
                assert!(error.offset() <= bytes.len());
                assert_eq!(
                    reader.read().err(),
                    Some(error),
                    "an error that does not stay"
                );
                return;
            }
        }
    }
    panic!("more events than bytes");
}

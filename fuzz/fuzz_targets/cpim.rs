//! CPIM messages read, and written again from what was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::cpim::{Cpim, CpimWriter};
use oma_im::wire::sink::Sink;
use oma_im::wire::writer::Text;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Cpim::parse(bytes) else {
        return;
    };
    let valid = message.validate().is_ok();
    let mut count = 0;
    for header in message.headers() {
        count += 1;
        let _ = (header.language(), header.address(), header.param("lang"));
    }
    assert!(count <= bytes.len());
    let _ = (
        message.datetime(),
        message.subject(),
        message.message_id(),
        message.original_to(),
    );
    let _ = (
        message.notifications().names().count(),
        message.required().count(),
    );
    let _ = (
        message.record_routes().count(),
        message.routes().count(),
        message.cc().count(),
    );
    let content = message.content();
    assert!(content.body.len() <= bytes.len());
    if !valid {
        return;
    }
    // Who it is from and to, and its content, written again, read back as they were.
    let (Ok(from), Some(Ok(to))) = (message.from(), message.to().next()) else {
        panic!("valid without From or To");
    };
    let (Ok(from_party), Ok(to_party)) = (from.to_party(), to.to_party()) else {
        return;
    };
    let mut out = vec![0; 2 * bytes.len() + 1024];
    let mut sink = Sink::new(&mut out);
    let mut writer = CpimWriter::new(&mut sink, from_party);
    writer.to(to_party);
    writer
        .content(Text::new("text/plain").unwrap())
        .body(content.body);
    let written = sink.written().expect("room enough");
    let again = Cpim::parse(written).expect("what we write can be read");
    again.validate().expect("what we write is valid");
    assert_eq!(again.from().unwrap().uri, from.uri);
    assert_eq!(again.to().next().unwrap().unwrap().uri, to.uri);
    assert_eq!(again.content().body, content.body);
});

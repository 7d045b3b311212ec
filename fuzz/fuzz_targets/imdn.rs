//! Disposition notifications: reports in any body end, and what was read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::imdn::{Imdn, NewImdn, reports};
use oma_im::wire::mime::MediaType;
use oma_im::wire::sink::Sink;
use oma_im::wire::xml::Text;

// The first line is the Content-Type, the rest the body.
fuzz_target!(|bytes: &[u8]| {
    let cut = bytes
        .iter()
        .position(|&b| b == b'\n')
        .unwrap_or(bytes.len());
    let (media, body) = (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default());
    if let Ok(media) = MediaType::parse(media) {
        assert!(reports(media, body).count() <= body.len() + 1);
    }
    let Ok(read) = Imdn::parse(body) else { return };
    let _ = read.validate();
    let message_id = plain(Some(read.message_id));
    let datetime = plain(read.datetime);
    let recipient = plain(read.recipient_uri);
    if message_id.is_empty() {
        return;
    }
    let mut out = vec![0; 12 * body.len() + 1024];
    let mut sink = Sink::new(&mut out);
    NewImdn {
        message_id: &message_id,
        datetime: &datetime,
        recipient_uri: &recipient,
        original_recipient_uri: &recipient,
        disposition: read.disposition,
    }
    .put(&mut sink);
    let written = sink.written().expect("room enough");
    let again = Imdn::parse(written).expect("what we write can be read");
    assert_eq!(plain(Some(again.message_id)), message_id);
    assert_eq!(plain(again.datetime), datetime);
    assert_eq!(plain(again.recipient_uri), recipient);
    assert_eq!(again.disposition, read.disposition);
});

/// The text, without the white space around it that a document may have.
fn plain(text: Option<Text<'_>>) -> String {
    let text: String = text.iter().flat_map(|text| text.chars()).collect();
    text.trim_matches([' ', '\t', '\r', '\n']).to_owned()
}

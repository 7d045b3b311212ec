//! MIME parts: all of them lie in the body, one behind the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::mime::{Leaves, MediaType, Multipart, Part};
use oma_im::wire::scan::offset_in;

// The first line is the Content-Type, the rest the body.
fuzz_target!(|bytes: &[u8]| {
    let _ = Part::parse(bytes);
    let cut = bytes
        .iter()
        .position(|&b| b == b'\n')
        .unwrap_or(bytes.len());
    let (media, body) = (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default());
    let Ok(media) = MediaType::parse(media) else {
        return;
    };
    assert!(!media.main().is_empty() && !media.sub().is_empty());
    let mut at = 0;
    if let Ok(parts) = Multipart::of(media, body) {
        let mut count = 0;
        for part in parts.flatten() {
            count += 1;
            let _ = (part.disposition(), part.headers.iter().count());
            at = behind(part.body, body, at);
        }
        assert!(count <= body.len());
    }
    at = 0;
    let mut count = 0;
    for leaf in Leaves::of(media, body).flatten() {
        count += 1;
        assert!(!leaf.media.is_multipart());
        at = behind(leaf.body, body, at);
    }
    assert!(count <= body.len() + 1);
});

fn behind(part: &[u8], body: &[u8], at: usize) -> usize {
    if part.is_empty() {
        return at;
    }
    let start = offset_in(body, part);
    assert!(start >= at && start + part.len() <= body.len());
    start + part.len()
}

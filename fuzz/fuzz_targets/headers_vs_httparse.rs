//! Where the grammars of SIP and HTTP agree, this reader and httparse agree about header blocks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::message::{MAX_HEADERS, Message};

fuzz_target!(|block: &[u8]| {
    // Folded lines are SIP's alone; bare line feeds are taken by httparse alone.
    let bare = |i: usize| block[i] == b'\n' && (i == 0 || block[i - 1] != b'\r');
    let folded = |w: &[u8]| w[0] == b'\n' && matches!(w[1], b' ' | b'\t');
    if (0..block.len()).any(bare) || block.windows(2).any(folded) {
        return;
    }
    let mut theirs = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let Ok(httparse::Status::Complete((len, theirs))) = httparse::parse_headers(block, &mut theirs)
    else {
        return;
    };
    let mut bytes = b"OPTIONS sip:a SIP/2.0\r\n".to_vec();
    bytes.extend(block);
    match Message::parse_head(&bytes) {
        Ok(ours) => {
            assert_eq!(ours.headers().count(), theirs.len());
            for (ours, theirs) in ours.headers().zip(theirs) {
                assert_eq!(ours.raw_name, theirs.name.as_bytes());
                assert_eq!(ours.value, theirs.value);
            }
            assert_eq!(ours.head_len(), bytes.len() - block.len() + len);
        }
        // A token of HTTP may hold # $ & ^ |, one of SIP not (RFC 3261 §25.1, RFC 9110 §5.6.2).
        Err(error) => assert!(
            theirs
                .iter()
                .any(|h| h.name.bytes().any(|b| b"#$&^|".contains(&b)))
                || theirs.iter().any(|h| h.value.iter().any(|&b| b == 0x7f)),
            "{error}: {}",
            bytes.escape_ascii()
        ),
    }
});

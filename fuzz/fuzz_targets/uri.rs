//! URIs read and compared: the parts lie within, and equivalence is one.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use oma_im::wire::scan::offset_in;
use oma_im::wire::uri::{Host, MAX_COMPARED, Scheme, Uri};

// Two URIs, a line each.
fuzz_target!(|bytes: &[u8]| {
    let cut = bytes
        .iter()
        .position(|&b| b == b'\n')
        .unwrap_or(bytes.len());
    let (first, second) = bytes.split_at(cut);
    let second = second.strip_prefix(b"\n").unwrap_or(second);
    let first = read(first);
    let second = read(second);
    if let (Some(first), Some(second)) = (first, second) {
        assert_eq!(first.equivalent(&second), second.equivalent(&first));
    }
    if let Some(ip) = Host::parse(bytes).ok().and_then(|host| host.ip()) {
        let text = if ip.is_ipv6() {
            format!("[{ip}]")
        } else {
            ip.to_string()
        };
        assert_eq!(
            Host::parse(text.as_bytes()).ok().and_then(|host| host.ip()),
            Some(ip)
        );
    }
});

fn read(bytes: &[u8]) -> Option<Uri<'_>> {
    let uri = Uri::parse(bytes).ok()?;
    assert_eq!(uri.as_bytes(), bytes);
    for part in [uri.user(), uri.password()].into_iter().flatten() {
        assert!(part.is_empty() || offset_in(bytes, part) + part.len() <= bytes.len());
    }
    assert!(uri.params().count() <= bytes.len());
    assert!(uri.headers().count() <= bytes.len());
    if let Some(host) = uri.host() {
        assert!(!host.to_string().is_empty());
    }
    // A parameter that stands twice is equal to nothing, and so are more than are compared.
    let names: Vec<_> = uri.params().map(|p| p.name.to_ascii_lowercase()).collect();
    let plain = names.iter().all(|n| !n.contains(&b'%'));
    let unique = names.iter().collect::<BTreeSet<_>>().len() == names.len();
    if plain && unique && names.len() + uri.headers().count() <= MAX_COMPARED {
        assert!(uri.equivalent(&uri), "not even itself");
    }
    if let (Scheme::Tel, Uri::Tel(tel)) = (uri.scheme(), &uri) {
        let mut out = [0; 512];
        if let Some(sip) = tel.to_sip(b"ims.example.com", &mut out) {
            assert!(matches!(Uri::parse(sip), Ok(Uri::Sip(_))));
        }
    }
    Some(uri)
}

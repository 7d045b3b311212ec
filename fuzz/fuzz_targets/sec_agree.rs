//! Security mechanisms: the one that is taken was offered and stands in the list, and what is kept goes back on one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::header::{
    Encryption, Integrity, Ipsec3gpp, IpsecSuite, SecurityMechanism, choose_ipsec,
    put_security_list,
};
use oma_im::wire::scan::split_commas;
use oma_im::wire::sink::Sink;
use oma_im::wire::writer::{AccessNetworkInfo, Raw, Value};

const OFFERED: [IpsecSuite; 2] = [
    IpsecSuite::esp(Integrity::HmacSha1_96, Encryption::AesCbc),
    IpsecSuite::esp(Integrity::HmacSha1_96, Encryption::Null),
];

fuzz_target!(|value: &[u8]| {
    let mut known = Vec::new();
    for element in split_commas(value) {
        let Ok(mechanism) = SecurityMechanism::parse(element) else {
            continue;
        };
        let Some(ipsec) = mechanism.ipsec() else {
            continue;
        };
        let text = written(&ipsec);
        let again = SecurityMechanism::parse(&text).expect("what we write can be read");
        assert_eq!(again.ipsec(), Some(ipsec));
        known.push((ipsec, mechanism.q()));
    }
    let usable = |(ipsec, _): &&(Ipsec3gpp, Option<u16>)| OFFERED.contains(&ipsec.suite);
    let best = known.iter().filter(usable).map(|it| it.1).max();
    let first = known.iter().filter(usable).find(|it| Some(it.1) == best);
    assert_eq!(
        choose_ipsec(split_commas(value), &OFFERED),
        first.map(|it| it.0)
    );

    let mut kept = vec![0; 2 * value.len() + 2];
    let mut sink = Sink::new(&mut kept);
    put_security_list(&mut sink, [value, value]);
    let kept = sink.written().expect("room enough");
    let line = written(&Raw(kept));
    if !value.is_empty() && !value.iter().any(u8::is_ascii_control) {
        assert_eq!(line, [value, b", ", value].concat());
    }
    assert!(!line.iter().any(|b| b.is_ascii_control() && *b != b'\t'));

    if let Ok(network) = AccessNetworkInfo::new(value) {
        assert_eq!(written(&network), value);
        assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    }
});

fn written(value: &impl Value) -> Vec<u8> {
    let mut count = Sink::counting();
    value.write(&mut count);
    let mut out = vec![0; count.len()];
    value.write(&mut Sink::new(&mut out));
    out
}

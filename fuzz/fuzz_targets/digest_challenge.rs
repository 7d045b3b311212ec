//! Challenges kept and answered: what is written reads back as what it was, and proves the secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::digest::{
    Acceptable, Answer, AuthenticationInfo, Authorization, Challenges, Cnonce, Secret, Verdict,
    choose, write_credentials,
};
use oma_im::wire::sink::Sink;

const BODY: &[&[u8]] = &[b"hel", b"lo"];

fuzz_target!(|value: &[u8]| {
    let _ = (
        Authorization::parse(value),
        AuthenticationInfo::parse(value),
    );
    let mut count = 0;
    for challenge in Challenges::new(value) {
        count += 1;
        let Ok(challenge) = challenge else { continue };
        let mut out = vec![0; 2 * value.len() + 256];
        let mut sink = Sink::new(&mut out);
        challenge.write(&mut sink);
        let kept = sink.written().expect("room enough");
        let mut again = Challenges::new(kept);
        let same = again
            .next()
            .expect("one")
            .expect("what we write can be read");
        assert!(again.next().is_none());
        assert_eq!(
            (
                same.realm,
                same.nonce,
                same.opaque,
                same.algorithm,
                same.stale,
                same.qop
            ),
            (
                challenge.realm,
                challenge.nonce,
                challenge.opaque,
                challenge.algorithm,
                challenge.stale,
                challenge.qop
            )
        );
    }
    assert!(count <= value.len() + 1);

    let Some(challenge) = choose(Challenges::new(value), Acceptable::PASSWORD) else {
        return;
    };
    let secret = Secret::Password(b"wonderland");
    let answer = Answer {
        username: b"alice",
        secret,
        method: b"MESSAGE",
        uri: b"sip:bob@b.example",
        body: BODY,
        cnonce: Cnonce(7),
        nc: 1,
    };
    let mut out = vec![0; 2 * value.len() + 1024];
    let mut sink = Sink::new(&mut out);
    write_credentials(&mut sink, &challenge, &answer).expect("it was chosen");
    let written = sink.written().expect("room enough");
    let Ok(Authorization::Digest(credentials)) = Authorization::parse(written) else {
        panic!("what we write cannot be read: {}", written.escape_ascii());
    };
    assert_eq!(credentials.verify(secret, b"MESSAGE", BODY), Verdict::Right);
    let other = Secret::Password(b"Wonderland");
    assert_eq!(credentials.verify(other, b"MESSAGE", BODY), Verdict::Wrong);
});

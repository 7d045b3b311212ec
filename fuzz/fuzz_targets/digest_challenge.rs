//! Challenges kept and answered: what is written reads back as what it was, and proves the secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::digest::{
    Acceptable, AkaNonce, AkaV2Password, Answer, AuthenticationInfo, Authorization, Challenge,
    Challenges, Cnonce, Credentials, Secret, Verdict, choose, write_credentials,
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

    if let Some(challenge) = choose(Challenges::new(value), Acceptable::PASSWORD) {
        let secret = Secret::Password(b"wonderland");
        let other = Secret::Password(b"Wonderland");
        prove(&challenge, secret, secret, other);
    }
    if let Some(challenge) = choose(Challenges::new(value), Acceptable::CARD) {
        card(&challenge, value);
    }
});

/// What the card may say: a RES, AKAv2 keys, an AUTS, nothing.
fn card(challenge: &Challenge<'_>, value: &[u8]) {
    let asked = AkaNonce::parse(challenge.nonce);
    let (rand, autn) = asked.map_or(([0; 16], [1; 16]), |it| (it.rand, it.autn));
    let res = value.get(..8).unwrap_or_default();
    let password = AkaV2Password::new(res, &rand, &autn);
    let longer = Secret::Password(b"longer than any RES of a card");
    for secret in [Secret::Password(res), Secret::Password(password.as_bytes())] {
        prove(challenge, secret, secret, longer);
    }
    let mut auts = [0; 14];
    auts.copy_from_slice(&rand[..14]);
    prove(
        challenge,
        Secret::SyncFailure(auts),
        Secret::Password(b""),
        longer,
    );
    let none = written(challenge, &answer(Secret::MacFailure), value.len());
    let credentials = read(&none);
    assert!(credentials.response.is_empty() && credentials.auts.is_none());
}

/// Credentials made with `secret` are right with `right` and with nothing else, and can be repeated.
fn prove(challenge: &Challenge<'_>, secret: Secret<'_>, right: Secret<'_>, wrong: Secret<'_>) {
    let length = challenge.as_bytes().len();
    let answer = answer(secret);
    let text = written(challenge, &answer, length);
    let credentials = read(&text);
    assert_eq!(credentials.verify(right, b"MESSAGE", BODY), Verdict::Right);
    assert_eq!(credentials.verify(wrong, b"MESSAGE", BODY), Verdict::Wrong);
    match secret {
        Secret::SyncFailure(auts) => assert_eq!(credentials.auts(), Some(auts)),
        _ => {
            let response = answer.response(challenge).expect("it was chosen");
            let again = Answer {
                secret: Secret::Computed(response),
                ..answer
            };
            assert_eq!(written(challenge, &again, length), text);
        }
    }
}

fn answer(secret: Secret<'_>) -> Answer<'_> {
    Answer {
        username: b"alice",
        secret,
        method: b"MESSAGE",
        uri: b"sip:bob@b.example",
        body: BODY,
        cnonce: Cnonce(7),
        nc: 1,
    }
}

fn written(challenge: &Challenge<'_>, answer: &Answer<'_>, length: usize) -> Vec<u8> {
    let mut out = vec![0; 2 * length + 1024];
    let mut sink = Sink::new(&mut out);
    write_credentials(&mut sink, challenge, answer).expect("it was chosen");
    sink.written().expect("room enough").to_vec()
}

fn read(value: &[u8]) -> Credentials<'_> {
    match Authorization::parse(value) {
        Ok(Authorization::Digest(credentials)) => credentials,
        _ => panic!("what we write cannot be read: {}", value.escape_ascii()),
    }
}

//! Digest with the secret of a SIM card (RFC 3310, RFC 4169), with test set 1 of TS 35.208.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/milenage.rs"]
mod milenage;

use milenage::{Card, Said};
use oma_im::wire::digest::{
    AkaNonce, AkaV2Password, Answer, AnswerError, AuthenticationInfo, Authorization, Challenge,
    Cnonce, Credentials, Proof, Quoted, Secret, Unanswerable, Verdict, write_credentials,
};
use oma_im::wire::error::ParseErrorKind;
use oma_im::wire::message::Message;
use oma_im::wire::name::Name;
use oma_im::wire::sink::Sink;

const RAND: [u8; 16] = 0x2355_3cbe_9637_a89d_218a_e64d_ae47_bf35_u128.to_be_bytes();
const SQN: [u8; 6] = [0xff, 0x9b, 0xb4, 0xd0, 0xb6, 0x07];
const AMF: [u8; 2] = [0xb9, 0xb9];
const RES: [u8; 8] = 0xa542_11d5_e3ba_50bf_u64.to_be_bytes();
const IK: [u8; 16] = 0xf769_bcd7_5104_4604_1276_7271_1c6d_3441_u128.to_be_bytes();
const CK: [u8; 16] = 0xb40b_a9a3_c58b_2a05_bbf0_d987_b21b_f8cb_u128.to_be_bytes();
const NONCE: &str = "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M=";

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn challenge(algorithm: &str, more: &str) -> Challenge<'static> {
    let value =
        format!("Digest realm=\"ims.example.com\",nonce=\"{NONCE}\",algorithm={algorithm}{more}");
    Challenge::parse(value.leak().as_bytes()).unwrap()
}

fn answer(secret: Secret<'_>) -> Answer<'_> {
    Answer {
        username: b"alice_private@ims.example.com",
        secret,
        method: b"REGISTER",
        uri: b"sip:ims.example.com",
        body: &[],
        cnonce: Cnonce(7),
        nc: 1,
    }
}

fn written(challenge: &Challenge<'_>, answer: &Answer<'_>) -> Result<String, AnswerError> {
    let mut out = [0; 1000];
    let mut sink = Sink::new(&mut out);
    write_credentials(&mut sink, challenge, answer)?;
    Ok(String::from_utf8(sink.written().unwrap().to_vec()).unwrap())
}

fn read(value: &str) -> Credentials<'_> {
    match Authorization::parse(value.as_bytes()) {
        Ok(Authorization::Digest(credentials)) => credentials,
        other => panic!("{value}: {other:?}"),
    }
}

/// TS 35.208 §4.3, set 1: the card of the tests is one.
#[test]
fn the_card_of_the_tests_gives_the_published_values() {
    let card = Card::SET_1;
    let op = 0xcdc2_02d5_123e_20f6_2b6d_676a_c72c_b318_u128.to_be_bytes();
    assert_eq!(Card::opc(card.k, op), card.opc);
    assert_eq!(
        card.macs(RAND, SQN, AMF),
        (
            0x4a9f_fac3_54df_afb3_u64.to_be_bytes(),
            0x01cf_af9e_c4e8_71e9_u64.to_be_bytes()
        )
    );
    let vector = card.vector(RAND);
    assert_eq!((vector.res, vector.ck, vector.ik), (RES, CK, IK));
    assert_eq!(vector.ak, [0xaa, 0x68, 0x9c, 0x64, 0x83, 0x70]);
    assert_eq!(vector.ak_star, [0x45, 0x1e, 0x8b, 0xec, 0xa4, 0x3b]);
}

/// Golden 29a and 29b: RFC 3310 §3.2, §3.3.
#[test]
fn the_golden_challenge_is_asked_of_the_card_and_answered() {
    let refused = golden("29a-register-401.sip");
    let refused = Message::parse(&refused).unwrap();
    let challenge = Challenge::parse(refused.header(Name::WwwAuthenticate).unwrap()).unwrap();
    let asked = AkaNonce::parse(challenge.nonce).unwrap();
    assert_eq!(asked.rand, RAND);
    assert_eq!(asked.autn, Card::SET_1.autn(RAND, SQN, AMF));
    let Said::Res(vector) = Card::SET_1.answer(asked.rand, asked.autn, [0; 6]) else {
        panic!("the card refuses");
    };
    let register = golden("29b-register-protected.sip");
    let register = Message::parse(&register).unwrap();
    let expected = register.header(Name::Authorization).unwrap();
    let value = written(&challenge, &answer(Secret::Password(&vector.res))).unwrap();
    assert_eq!(value.as_bytes(), expected);
    assert_eq!(
        read(&value).verify(Secret::Password(&RES), b"REGISTER", &[]),
        Verdict::Right
    );
}

#[test]
fn a_nonce_is_rand_and_autn_and_what_the_server_adds() {
    let parse = |nonce: &'static str| AkaNonce::parse(Quoted::new(nonce.as_bytes()).unwrap());
    let whole = parse(NONCE).unwrap();
    // Without padding, with wrong padding, with data of the server's that is not even base64.
    for nonce in [
        "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M",
        "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M==",
        "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7Obc2VydmVyIGRhdGE=",
        "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M.:.",
        "\\I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M=",
    ] {
        assert_eq!(parse(nonce), Ok(whole), "{nonce}");
    }
    // RFC 3310 §3.2.
    let example = parse("MzQ0a2xrbGtmbGtsZm9wb2tsc2tqaHJzZXNy9uQyMzMzMzQK=").unwrap();
    assert_eq!(&example.rand, b"344klklkflklfopo");
    assert_eq!(
        &example.autn,
        b"klskjhrsesr\xf6\xe42333"[..16]
            .first_chunk::<16>()
            .unwrap()
    );
    for bad in [
        "",
        "=",
        "f84f1cec",
        "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7",
        "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7=",
        "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1 Tfr7M=",
        "I1U8vpY3qJ0hiuZNrke_NVXzKLQ1d7m5Sp_6w1Tfr7M=",
    ] {
        assert_eq!(
            parse(bad).unwrap_err().kind,
            ParseErrorKind::Challenge,
            "{bad}"
        );
    }
}

/// RFC 4169 §2.1; computed with another implementation of HMAC and MD5.
#[test]
fn the_password_of_akav2_is_derived_from_res_ik_and_ck() {
    let password = AkaV2Password::new(&RES, &IK, &CK);
    assert_eq!(password.as_bytes(), b"shzt3q8CWaZnCAWqs3WmEQ==");
    assert_eq!(format!("{password:?}"), "AkaV2Password(..)");
    let value = written(
        &challenge("AKAv2-MD5", ""),
        &answer(Secret::Password(password.as_bytes())),
    )
    .unwrap();
    assert!(
        value.ends_with(",response=\"9543366ebf162b8b1b8f716228c66c15\",algorithm=AKAv2-MD5"),
        "{value}"
    );
    // A RES of 4 to 16 bytes (TS 33.102 §6.3.7), zero bytes and all.
    let derive = |res: &[u8]| AkaV2Password::new(res, &IK, &CK).as_bytes().to_vec();
    assert_ne!(derive(&[0; 4]), derive(&[0; 5]));
    assert_eq!(derive(&[0; 16]).len(), 24);
}

#[test]
fn qop_is_used_with_aka_as_with_any_other() {
    let value = written(
        &challenge("AKAv1-MD5", ",qop=\"auth,auth-int\""),
        &answer(Secret::Password(&RES)),
    )
    .unwrap();
    assert!(
        value.ends_with(",response=\"2a10b2ec46722a95d2591eb43002875e\",algorithm=AKAv1-MD5,qop=auth,nc=00000001,cnonce=\"0000000000000007\""),
        "{value}"
    );
}

/// RFC 3310 §3.4: `auts`, and the response of an empty password.
#[test]
fn a_sequence_number_out_of_range_goes_back_in_auts() {
    let card = Card::SET_1;
    let own = [0xff, 0x9b, 0xb4, 0xd0, 0xb6, 0x07];
    let Said::SyncFailure(auts) = card.answer(RAND, card.autn(RAND, SQN, AMF), own) else {
        panic!("the card takes it");
    };
    let sync = answer(Secret::SyncFailure(auts));
    let value = written(&challenge("AKAv1-MD5", ""), &sync).unwrap();
    assert_eq!(
        value,
        format!(
            "Digest username=\"alice_private@ims.example.com\",realm=\"ims.example.com\",uri=\"sip:ims.example.com\",\
             nonce=\"{NONCE}\",response=\"474d592e895041577e2c74f95e473a55\",algorithm=AKAv1-MD5,auts=\"uoU/PBI8z0TpNZbjVcY=\""
        )
    );
    let credentials = read(&value);
    assert_eq!(credentials.auts(), Some(auts));
    assert_eq!(
        credentials.verify(Secret::Password(b""), b"REGISTER", &[]),
        Verdict::Right
    );
    let value = written(&challenge("AKAv2-MD5", ",qop=\"auth\",opaque=\"o\""), &sync).unwrap();
    assert!(
        value.ends_with(",response=\"070ef8c100644b785555942328f5bd1a\",algorithm=AKAv2-MD5,opaque=\"o\",qop=auth,nc=00000001,cnonce=\"0000000000000007\",auts=\"uoU/PBI8z0TpNZbjVcY=\""),
        "{value}"
    );
}

/// TS 24.229 §5.1.1.5.3: an empty response, and no auts.
#[test]
fn a_wrong_mac_goes_back_as_an_empty_response() {
    let card = Card::SET_1;
    let mut autn = card.autn(RAND, SQN, AMF);
    autn[15] ^= 1;
    assert_eq!(card.answer(RAND, autn, [0; 6]), Said::MacFailure);
    for (algorithm, more) in [("AKAv1-MD5", ""), ("AKAv2-MD5", ",qop=\"auth\"")] {
        let value = written(&challenge(algorithm, more), &answer(Secret::MacFailure)).unwrap();
        assert_eq!(
            value,
            format!(
                "Digest username=\"alice_private@ims.example.com\",realm=\"ims.example.com\",uri=\"sip:ims.example.com\",\
                 nonce=\"{NONCE}\",response=\"\",algorithm={algorithm}"
            )
        );
        let credentials = read(&value);
        assert!(credentials.auts.is_none() && credentials.auts().is_none());
        assert_eq!(
            credentials.verify(Secret::Password(&RES), b"REGISTER", &[]),
            Verdict::Wrong
        );
    }
}

/// TS 24.229 §5.1.1.4.2: the last nonce and the last response, which is all that is kept.
#[test]
fn a_response_is_repeated_without_the_secret() {
    for more in ["", ",qop=\"auth\""] {
        let challenge = challenge("AKAv1-MD5", more);
        let first = answer(Secret::Password(&RES));
        let response = first.response(&challenge).unwrap();
        let again = answer(Secret::Computed(response));
        assert_eq!(written(&challenge, &first), written(&challenge, &again));
        assert_eq!(again.response(&challenge), Ok(response));
        let other = Answer {
            uri: b"sip:b.example",
            ..first
        };
        assert_ne!(other.response(&challenge), Ok(response));
        assert_eq!(
            format!("{response:?} {again:?}").matches("..").count(),
            2,
            "{again:?}"
        );
    }
}

#[test]
fn what_cannot_be_computed_is_a_typed_error() {
    let plain = Challenge::parse(b"Digest realm=\"a\",nonce=\"n\"").unwrap();
    let sha = Challenge::parse(b"Digest realm=\"a\",nonce=\"n\",algorithm=SHA-256").unwrap();
    let aka = challenge("AKAv1-MD5", "");
    // The two failures are the card's, so they answer no password challenge.
    for secret in [Secret::SyncFailure([0; 14]), Secret::MacFailure] {
        let refused = AnswerError::Challenge(Unanswerable::Algorithm);
        assert_eq!(written(&plain, &answer(secret)), Err(refused));
    }
    let response = answer(Secret::Password(b"x")).response(&plain).unwrap();
    assert_eq!(
        written(&sha, &answer(Secret::Computed(response))),
        Err(AnswerError::Ha1)
    );
    assert_eq!(
        answer(Secret::MacFailure).response(&aka),
        Err(AnswerError::NoSecret)
    );
    // Nothing is left to check a proof of the server's with.
    let info = AuthenticationInfo::parse(b"rspauth=\"0123456789abcdef0123456789abcdef\"").unwrap();
    for secret in [Secret::Computed(response), Secret::MacFailure] {
        assert_eq!(
            answer(secret).check(&aka, &info),
            Err(AnswerError::NoSecret)
        );
        assert_eq!(
            answer(secret).check(&aka, &AuthenticationInfo::default()),
            Ok(Proof::Absent)
        );
    }
}

#[test]
fn auts_that_is_not_14_bytes_of_base64_is_none() {
    let with = |auts: &str| {
        let value = format!(
            "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"sip:a\",response=\"\",auts=\"{auts}\""
        );
        read(&value).auts()
    };
    assert_eq!(
        with("AAECAwQFBgcICQoLDA0="),
        Some([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
    );
    assert_eq!(with("AAECAwQFBgcICQoLDA0"), with("AAECAwQFBgcICQoLDA0="));
    // The example of RFC 3310 §3.4 is one byte too long.
    for bad in [
        "",
        "AAECAwQFBgcICQoLDA==",
        "AAECAwQFBgcICQoLDA0O",
        "CjkyMzRfOiwg5CfkJ2UK=",
        "AAECAwQFBgcICQoLDA*=",
    ] {
        assert_eq!(with(bad), None, "{bad}");
    }
}

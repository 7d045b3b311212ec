//! What goes wrong with card, challenge and agreement; each ends in a clear event.

use oma_im::client::Answer as Said;
use oma_im::config::{Config, Ims as Profile, SecurityFloor, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::id::ChallengeId;
use oma_im::testkit::phone::{CardSays, Happened, Offers};
use oma_im::testkit::server::{AkaAlgorithm, Answer, Rule, Then};
use oma_im::testkit::sip::Sip;
use oma_im::wire::header::{Encryption, Integrity, IpsecSuite};

use crate::ladder::header;
use crate::{Ladder, Usim, foreign, good, profile, said, vector};

const SHA1: Integrity = Integrity::HmacSha1_96;
const BOTH: [IpsecSuite; 2] = [
    IpsecSuite::esp(SHA1, Encryption::AesCbc),
    IpsecSuite::esp(SHA1, Encryption::Null),
];

fn offered(config: Config<'_>, floor: SecurityFloor) -> Config<'_> {
    profile(
        config,
        Profile {
            mechanisms: &BOTH,
            floor,
            ..Profile::DEFAULT
        },
    )
}

fn is_retrying(happened: &Happened) -> bool {
    matches!(
        happened,
        Happened::Retrying {
            failure: Failure::Security,
            ..
        }
    )
}

fn cseqs(registers: &[Sip]) -> Vec<&str> {
    registers.iter().map(|sip| header(sip, "CSeq")).collect()
}

/// The Call-IDs, each once, in their order.
fn call_ids(registers: &[Sip]) -> usize {
    let mut all: Vec<&str> = registers.iter().map(|sip| header(sip, "Call-ID")).collect();
    all.dedup();
    all.len()
}

/// The attempt was given up, and the next one, with another Call-ID, comes when there is a good answer.
fn gives_up_and_comes_again(ladder: &mut Ladder, mend: impl FnOnce(&mut Ladder)) {
    ladder.register();
    assert!(
        is_retrying(ladder.events().last().unwrap()),
        "{:#?}",
        ladder.events()
    );
    assert_eq!(call_ids(&ladder.registers()), 1);
    assert_eq!(ladder.world.phones[0].security, []);
    mend(ladder);
    ladder.world.run(61_000);
    assert!(ladder.is_ready(), "{:#?}", ladder.events());
    assert_eq!(call_ids(&ladder.registers()), 2);
}

#[test]
fn a_sequence_number_out_of_range_is_told_and_the_next_challenge_answered() {
    let mut ladder = Ladder::new(1, Transport::Udp);
    ladder.card(Usim::new(500));
    ladder.vectors(&[vector(1, 101), vector(2, 501)]);
    ladder.register();
    assert!(ladder.is_ready());
    let all = ladder.registers();
    let [first, told, protected] = &all[..] else {
        panic!("{all:#?}")
    };
    assert_eq!(cseqs(&all), ["1 REGISTER", "2 REGISTER", "3 REGISTER"]);
    assert_eq!(call_ids(&all), 1);
    // RFC 3310 §3.4: AUTS, outside of what the challenge would have set up, with a new offer.
    assert_eq!(said(told, "auts").unwrap().len(), 20);
    assert_eq!(said(told, "response").unwrap().len(), 32);
    assert_eq!(told.header("Security-Verify"), None);
    assert_eq!(told.header("P-Access-Network-Info"), None);
    assert_ne!(
        header(first, "Security-Client"),
        header(told, "Security-Client")
    );
    assert_eq!(
        header(protected, "Security-Client"),
        header(told, "Security-Client")
    );
    assert_eq!(ladder.world.server().synchronisations().len(), 1);
    let installed = |event: &&Happened| matches!(event, Happened::InstallSecurity { .. });
    assert_eq!(ladder.events().iter().filter(installed).count(), 1);
    ladder.clean();
}

#[test]
fn a_wrong_mac_is_told_by_an_empty_response() {
    let mut ladder = Ladder::new(2, Transport::Tcp);
    ladder.vectors(&[foreign(1), vector(2, 102)]);
    ladder.register();
    assert!(ladder.is_ready());
    let all = ladder.registers();
    assert_eq!(all.len(), 3);
    assert_eq!(said(&all[1], "response").unwrap(), "");
    assert_eq!(said(&all[1], "auts"), None);
    assert_ne!(said(&all[1], "nonce").unwrap(), "");
    ladder.clean();
}

#[test]
fn two_invalid_challenges_are_answered_and_a_valid_third_one_goes_on() {
    let mut ladder = Ladder::new(3, Transport::Udp);
    ladder.vectors(&[foreign(1), vector(2, 50), vector(3, 300)]);
    ladder.register();
    assert!(ladder.is_ready());
    assert_eq!(ladder.registers().len(), 4);
    ladder.clean();
}

#[test]
fn a_third_invalid_challenge_ends_the_attempt() {
    let mut ladder = Ladder::new(4, Transport::Udp);
    ladder.vectors(&[foreign(1), foreign(2), foreign(3), vector(4, 300)]);
    gives_up_and_comes_again(&mut ladder, |ladder| {
        assert_eq!(ladder.registers().len(), 3, "the third is not answered");
    });
    ladder.clean();

    // As configured.
    let mut ladder = Ladder::with(
        5,
        Transport::Udp,
        |_| (),
        |config| {
            profile(
                config,
                Profile {
                    invalid_challenges: 1,
                    ..Profile::DEFAULT
                },
            )
        },
    );
    ladder.vectors(&[foreign(1), vector(2, 300)]);
    gives_up_and_comes_again(&mut ladder, |ladder| {
        assert_eq!(ladder.registers().len(), 1)
    });
    ladder.clean();
}

#[test]
fn without_a_usable_list_of_the_server_the_attempt_is_given_up() {
    let list = |ladder: &mut Ladder, list: &[&str]| {
        let list = list.iter().map(|element| (*element).into()).collect();
        ladder
            .world
            .server()
            .config
            .ims
            .as_mut()
            .unwrap()
            .mechanisms = list;
    };
    let mend = |ladder: &mut Ladder| list(ladder, &["ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc"]);
    for wrong in [
        &[][..],
        &["tls;q=0.9"],
        // Another algorithm than was offered.
        &["ipsec-3gpp;q=0.9;alg=hmac-md5-96;ealg=aes-cbc"],
        &["ipsec-3gpp;q=0.9;alg=hmac-sha-1-96"],
    ] {
        let mut ladder = Ladder::new(6, Transport::Udp);
        list(&mut ladder, wrong);
        gives_up_and_comes_again(&mut ladder, mend);
        let challenged = |event: &Happened| matches!(event, Happened::Challenge { .. });
        let asked = ladder
            .events()
            .iter()
            .filter(|event| challenged(event))
            .count();
        assert_eq!(asked, 1, "the card was not asked the first time");
    }
    // Offered, but weaker than is accepted; and accepted.
    let weak = ["ipsec-3gpp;q=0.9;alg=hmac-sha-1-96;ealg=null"];
    let mut ladder = Ladder::with(
        7,
        Transport::Udp,
        |_| (),
        |config| offered(config, SecurityFloor::Encrypted),
    );
    list(&mut ladder, &weak);
    gives_up_and_comes_again(&mut ladder, mend);
    let mut ladder = Ladder::with(
        8,
        Transport::Udp,
        |_| (),
        |config| offered(config, SecurityFloor::Offered),
    );
    list(&mut ladder, &weak);
    ladder.register();
    assert!(ladder.is_ready());
    ladder.clean();
}

#[test]
fn the_list_of_the_server_goes_back_byte_for_byte_whatever_it_holds() {
    let mut ladder = Ladder::new(9, Transport::Udp);
    ladder
        .world
        .server()
        .config
        .ims
        .as_mut()
        .unwrap()
        .mechanisms = vec![
        "tls;q=0.2".into(),
        "ipsec-3gpp;q=0.100;alg=hmac-md5-96;ealg=null".into(),
        "ipsec-3gpp;q=0.10;alg=hmac-sha-1-96;ealg=aes-cbc;x=\"a,b\"".into(),
    ];
    ladder.register();
    assert!(ladder.is_ready());
    let protected = ladder.registers().pop().unwrap();
    assert_eq!(
        header(&protected, "Security-Verify"),
        "tls;q=0.2, ipsec-3gpp;q=0.100;alg=hmac-md5-96;ealg=null;spi-c=87654321;spi-s=87654322;port-c=8642;port-s=7531, \
         ipsec-3gpp;q=0.10;alg=hmac-sha-1-96;ealg=aes-cbc;x=\"a,b\";spi-c=87654321;spi-s=87654322;port-c=8642;port-s=7531"
    );
    ladder.clean();
}

#[test]
fn a_494_has_the_agreement_made_anew_once_at_once() {
    for status in [494, 421] {
        let mut ladder = Ladder::new(10, Transport::Udp);
        let server = ladder.world.server();
        server.script(Rule::on("REGISTER").then(Then::Answer(Answer::new(status))));
        ladder.register();
        assert!(ladder.is_ready());
        let all = ladder.registers();
        assert_eq!((all.len(), call_ids(&all)), (3, 2), "{status}");
        assert_ne!(
            header(&all[0], "Security-Client"),
            header(&all[1], "Security-Client")
        );
        ladder.clean();
    }
    let mut ladder = Ladder::new(11, Transport::Udp);
    let server = ladder.world.server();
    server.script(
        Rule::on("REGISTER")
            .times(2)
            .then(Then::Answer(Answer::new(494))),
    );
    ladder.register();
    assert!(is_retrying(ladder.events().last().unwrap()));
    ladder.world.run(61_000);
    assert!(ladder.is_ready());
    ladder.clean();
}

#[test]
fn a_challenge_that_changes_midway_is_not_answered() {
    type Change = fn(String) -> String;
    let changes: [Change; 4] = [
        |value| value.replace("realm=\"example.com\"", "realm=\"evil.example\""),
        |value| value.replace("AKAv1-MD5", "AKAv2-MD5"),
        |value| value.replace("AKAv1-MD5", "MD5"),
        |value| value.replace("nonce=\"", "nonce=\"*"),
    ];
    for change in changes {
        let mut ladder = Ladder::new(12, Transport::Udp);
        ladder.vectors(&[foreign(1), vector(2, 300), vector(3, 301)]);
        let edit = move |sip: &mut Sip| {
            let value = change(sip.header("WWW-Authenticate").unwrap().into());
            sip.set("WWW-Authenticate", &value);
        };
        let rule = Rule::on("REGISTER").skip(1);
        ladder.world.server().script(rule.then(Then::edit(edit)));
        gives_up_and_comes_again(&mut ladder, |ladder| {
            assert_eq!(ladder.registers().len(), 2);
        });
    }
}

#[test]
fn a_200_without_a_challenge_is_not_believed() {
    let mut ladder = Ladder::new(13, Transport::Udp);
    let answer = Answer::new(200).header("Contact", "<sip:alice@192.0.2.10>;expires=600");
    ladder
        .world
        .server()
        .script(Rule::on("REGISTER").then(Then::Answer(answer)));
    gives_up_and_comes_again(&mut ladder, |_| ());
    ladder.clean();
}

#[test]
fn a_card_that_does_not_answer_is_waited_for_four_minutes() {
    let mut ladder = Ladder::new(14, Transport::Udp);
    ladder.world.phones[0].card = Some(Box::new(|_| CardSays::Nothing));
    ladder.register();
    ladder.world.run(230_000);
    assert!(matches!(
        ladder.events().last(),
        Some(Happened::Challenge { .. })
    ));
    ladder.world.run(10_000);
    let failed = Happened::Failed(Failure::Credentials { status: 401 });
    assert_eq!(ladder.events().last(), Some(&failed));
    assert_eq!(ladder.registers().len(), 1);
    assert_eq!(ladder.world.phones[0].flows(), 0);
    // `register` starts anew.
    ladder.card(Usim::new(100));
    ladder.register();
    assert!(ladder.is_ready());
    ladder.clean();

    let mut ladder = Ladder::new(15, Transport::Udp);
    ladder.world.phones[0].card = Some(Box::new(|_| CardSays::Abandon));
    ladder.register();
    assert_eq!(ladder.events().last(), Some(&failed));
}

#[test]
fn a_platform_without_numbers_is_waited_for_as_long() {
    let mut ladder = Ladder::new(16, Transport::Udp);
    ladder.world.phones[0].offers = Offers::Never;
    ladder.register();
    ladder.world.run(230_000);
    assert_eq!(ladder.events(), [Happened::SecurityOfferWanted]);
    ladder.world.run(10_000);
    assert!(is_retrying(ladder.events().last().unwrap()));
    ladder.world.phones[0].offers = Offers::From {
        spi: 300,
        port_c: 5_000,
    };
    ladder.world.run(60_000);
    assert!(ladder.is_ready());
    ladder.clean();
}

#[test]
fn a_protected_path_that_cannot_be_opened_ends_the_attempt() {
    let mut ladder = Ladder::new(17, Transport::Tcp);
    ladder
        .world
        .act(0, |client, now| client.register(now))
        .unwrap();
    let sent = |world: &mut oma_im::testkit::world::World| {
        !crate::ladder::attempts(world, "alice", "REGISTER").is_empty()
    };
    assert!(ladder.world.run_until(5_000, sent));
    ladder.world.phones[0].refuse = Some(Transport::Tcp);
    ladder.world.run(5_000);
    assert!(is_retrying(
        ladder.events().iter().rfind(|e| is_retrying(e)).unwrap()
    ));
    assert_eq!(ladder.world.phones[0].security, []);
    ladder.world.phones[0].refuse = None;
    ladder.world.run(60_000);
    assert!(ladder.is_ready());
    ladder.clean();
}

#[test]
fn a_wrong_response_ends_the_registration_and_its_associations() {
    let mut ladder = Ladder::new(18, Transport::Udp);
    ladder.world.phones[0].card = Some(Box::new(|_| CardSays::Res {
        res: vec![1; 8],
        ik: [0; 16],
        ck: [0; 16],
    }));
    ladder.register();
    let refused = |failure: &Failure| matches!(failure, Failure::Status { status: 403, .. });
    assert!(
        ladder
            .events()
            .iter()
            .any(|event| matches!(event, Happened::Failed(why) if refused(why)))
    );
    assert_eq!(ladder.world.phones[0].security, []);
    assert_eq!(ladder.world.phones[0].flows(), 0);
    ladder.clean();
}

#[test]
fn an_answer_of_another_kind_is_refused_and_the_challenge_waits() {
    let mut ladder = Ladder::with(
        19,
        Transport::Udp,
        |server| server.ims.as_mut().unwrap().algorithm = AkaAlgorithm::V2Md5,
        |config| config,
    );
    ladder.world.phones[0].card = None;
    ladder.register();
    let Some(Happened::Challenge {
        id, aka: Some(aka), ..
    }) = ladder.events().last().cloned()
    else {
        panic!("{:?}", ladder.events())
    };
    assert_eq!((aka.rand, aka.autn), (good(1)[0].rand, good(1)[0].autn));
    let mut answer = |id, answer: Said<'_>| {
        ladder
            .world
            .act(0, |client, now| client.answer(now, id, answer))
    };
    let vector = &good(1)[0];
    let (ik, ck) = (vector.ik, vector.ck);
    for bad in [
        Said::Password(b"secret"),
        Said::Ha1([0; 16]),
        Said::Res(&vector.res),
        Said::ResIkCk {
            res: &[1, 2, 3],
            ik,
            ck,
        },
        Said::ResIkCk {
            res: &[0; 17],
            ik,
            ck,
        },
    ] {
        assert_eq!(answer(id, bad), Err(CommandError::Answer));
    }
    let right = Said::ResIkCk {
        res: &vector.res,
        ik,
        ck,
    };
    assert_eq!(
        answer(ChallengeId(id.0 + 1), right),
        Err(CommandError::UnknownId)
    );
    assert_eq!(answer(id, right), Ok(()));
    assert_eq!(answer(id, right), Err(CommandError::UnknownId));
    ladder.world.run(5_000);
    assert!(ladder.is_ready());
    ladder.clean();
}

#[test]
fn a_423_has_the_registration_begun_again_with_the_time_it_asks_for() {
    let mut ladder = Ladder::with(
        20,
        Transport::Udp,
        |server| server.min_expires = 900,
        |config| Config {
            registration_expires: 60,
            ..config
        },
    );
    ladder.register();
    assert!(ladder.is_ready());
    let expires: Vec<String> = ladder
        .registers()
        .iter()
        .map(|sip| header(sip, "Expires").to_string())
        .collect();
    assert_eq!(expires, ["60", "60", "900", "900"]);
    ladder.clean();
}

#[test]
fn a_second_challenge_before_the_card_answered_changes_nothing() {
    let mut ladder = Ladder::new(21, Transport::Udp);
    ladder.world.phones[0].card = None;
    ladder.register();
    let packets = ladder.world.net.log().packets();
    let first = packets
        .iter()
        .find(|packet| packet.is_response(401))
        .unwrap();
    let mut second = first.sip().unwrap();
    let value = header(&second, "WWW-Authenticate").replace("nonce=\"", "nonce=\"AAAA");
    second.set("WWW-Authenticate", &value);
    ladder
        .world
        .net
        .send_datagram(first.from, first.to, &second.to_bytes());
    ladder.world.run(1_000);
    let asked: Vec<ChallengeId> = ladder
        .events()
        .iter()
        .filter_map(|event| match event {
            Happened::Challenge { id, .. } => Some(*id),
            _ => None,
        })
        .collect();
    let [id] = asked[..] else { panic!("{asked:?}") };
    let res = good(1)[0].res.clone();
    ladder
        .world
        .act(0, |client, now| client.answer(now, id, Said::Res(&res)))
        .unwrap();
    ladder.world.run(5_000);
    assert!(ladder.is_ready());
    ladder.clean();
}

#[test]
fn a_refresh_whose_challenges_are_all_bad_keeps_the_path_and_comes_again() {
    let mut ladder = Ladder::with(
        22,
        Transport::Udp,
        |server| {
            server.ims.as_mut().unwrap().refresh = oma_im::testkit::server::Refresh::Challenged;
            server.max_expires = 1_000;
        },
        |config| config,
    )
    .registered();
    ladder.vectors(&[foreign(1), foreign(2), foreign(3), vector(4, 900)]);
    ladder.world.run(497_000);
    assert!(is_retrying(ladder.events().last().unwrap()));
    assert_eq!(ladder.world.phones[0].security.len(), 1);
    assert!(ladder.is_ready(), "the binding still stands");
    let before = said(&ladder.registers()[1], "response");
    ladder.world.run(61_000);
    // TS 24.229 §5.1.1.4.2: the last nonce that came, the last response that was computed.
    let all = ladder.registers();
    let again = all
        .iter()
        .find(|sip| header(sip, "Call-ID") != header(&all[0], "Call-ID"));
    assert_eq!(said(again.unwrap(), "response"), before);
    assert!(matches!(
        ladder.events().last(),
        Some(Happened::Refreshed { .. })
    ));
}

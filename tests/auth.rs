//! The digest client against scripted servers that check what they get (RFC 3261 §22, RFC 7616,
//! RFC 8760). A ladder shows each request with the credentials it carried, and each answer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use oma_im::sip::auth::*;
use oma_im::wire::digest::*;
use oma_im::wire::sink::Sink;
use std::collections::HashMap;

use Challenger::{Proxy, Server};

const METHOD: &[u8] = b"MESSAGE";
const BODY: &[&[u8]] = &[b"Hello Bob!"];

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Takes its current nonce, calls older ones stale.
    Fair,
    /// The same, but forgets to say `stale`.
    Forgetful,
    /// Never changes its nonce.
    OneNonce,
    /// Challenges whatever comes, with a new nonce.
    Never,
    /// The same, and says `stale` each time.
    NeverStale,
}

/// Someone on the way who asks for credentials.
struct Guard {
    by: Challenger,
    realm: &'static str,
    password: &'static str,
    /// Algorithm (empty: not named) and qop (empty: not offered), in order of preference.
    offers: &'static [(&'static str, &'static str)],
    mood: Mood,
    nonce: u32,
    counts: HashMap<String, u32>,
}

fn guard(
    by: Challenger,
    realm: &'static str,
    offers: &'static [(&str, &str)],
    mood: Mood,
) -> Guard {
    Guard {
        by,
        realm,
        password: "wonderland",
        offers,
        mood,
        nonce: 0,
        counts: HashMap::new(),
    }
}

impl Guard {
    /// Nothing: pass. Else the challenges.
    fn judge(&mut self, headers: &[(Challenger, String)]) -> Vec<(Challenger, String)> {
        let mut stale = self.mood == Mood::NeverStale;
        for (by, value) in headers {
            let Ok(Authorization::Digest(c)) = Authorization::parse(value.as_bytes()) else {
                panic!("{value}")
            };
            if *by != self.by || c.realm != *self.realm.as_bytes() {
                continue;
            }
            // No more and no less than was offered.
            assert!(
                self.offers.iter().any(|(algorithm, qop)| {
                    let sent = c.qop.token();
                    value.contains("algorithm=") != algorithm.is_empty()
                        && c.algorithm
                            == Algorithm::from_bytes(if algorithm.is_empty() {
                                b"MD5"
                            } else {
                                algorithm.as_bytes()
                            })
                        && sent.map_or(qop.is_empty(), |sent| {
                            qop.split(',').any(|offered| offered == sent)
                        })
                }),
                "{value}"
            );
            let right = c.verify(Secret::Password(self.password.as_bytes()), METHOD, BODY)
                == Verdict::Right;
            let current = c.nonce == *format!("n{}", self.nonce).as_bytes();
            if let Some(nc) = c.nc {
                let last = self
                    .counts
                    .entry(String::from_utf8(c.nonce.bytes().collect()).unwrap())
                    .or_default();
                assert!(nc > *last, "replayed count: {value}");
                *last = nc;
            }
            if right && current && !matches!(self.mood, Mood::Never | Mood::NeverStale) {
                return Vec::new();
            }
            stale |= right && self.mood == Mood::Fair;
        }
        if self.mood != Mood::OneNonce || self.nonce == 0 {
            self.nonce += 1;
        }
        let offers = self.offers.iter().map(|(algorithm, qop)| {
            let mut value = format!("Digest realm=\"{}\",nonce=\"n{}\"", self.realm, self.nonce);
            if stale {
                value += ",stale=true";
            }
            if !algorithm.is_empty() {
                value += &format!(",algorithm={algorithm}");
            }
            if !qop.is_empty() {
                value += &format!(",qop=\"{qop}\"");
            }
            (self.by, value)
        });
        offers.collect()
    }
}

struct Phone {
    auth: Auth,
    kept: [Vec<u8>; MAX_REALMS],
    policy: Policy<'static>,
    password: &'static str,
    seed: u64,
}

fn phone() -> Phone {
    Phone {
        auth: Auth::new(),
        kept: Default::default(),
        policy: Policy::new(Acceptable::PASSWORD),
        password: "wonderland",
        seed: 0,
    }
}

impl Phone {
    /// Builds a request: its credentials.
    fn build(
        &mut self,
        attempts: &mut Attempts,
        ladder: &mut Vec<String>,
    ) -> Vec<(Challenger, String)> {
        let mut headers = Vec::new();
        let mut line = "->".to_string();
        for by in [Server, Proxy] {
            let slots: Vec<_> = self.auth.usable(by).collect();
            for slot in slots {
                let challenge = Challenge::parse(&self.kept[slot.index()]).unwrap();
                let Use { nc, cnonce } = self.auth.credentials(slot).unwrap();
                let mut out = [0; 600];
                let mut sink = Sink::new(&mut out);
                let answer = Answer {
                    username: b"alice",
                    secret: Secret::Password(self.password.as_bytes()),
                    method: METHOD,
                    uri: b"sip:bob@b.example",
                    body: BODY,
                    cnonce,
                    nc,
                };
                write_credentials(&mut sink, &challenge, &answer).unwrap();
                headers.push((
                    by,
                    String::from_utf8(sink.written().unwrap().to_vec()).unwrap(),
                ));
                self.auth.sent(slot, attempts);
                let text = |q: Quoted<'_>| String::from_utf8(q.bytes().collect()).unwrap();
                line += &format!(" {}/{}#{nc}", text(challenge.realm), text(challenge.nonce));
            }
        }
        ladder.push(line);
        headers
    }

    fn decide(
        &mut self,
        headers: &[(Challenger, String)],
        attempts: &mut Attempts,
    ) -> Result<(), Reason> {
        let challenges = headers.iter().flat_map(|(by, value)| {
            Challenges::new(value.as_bytes())
                .flatten()
                .map(move |c| (*by, c))
        });
        self.seed += 1;
        match self
            .auth
            .decide(challenges, attempts, &self.policy, Cnonce(self.seed))
        {
            Decision::Answer(taken) | Decision::Ask(taken) => {
                for (slot, bytes) in taken.iter() {
                    self.kept[slot.index()] = bytes.to_vec();
                }
                Ok(())
            }
            Decision::GiveUp(reason) => Err(reason),
        }
    }

    /// One request past these guards, to its end.
    fn request(&mut self, guards: &mut [Guard]) -> Vec<String> {
        let mut ladder = Vec::new();
        let mut attempts = Attempts::new();
        loop {
            let headers = self.build(&mut attempts, &mut ladder);
            let answer = guards
                .iter_mut()
                .map(|g| g.judge(&headers))
                .find(|challenges| !challenges.is_empty());
            let Some(challenges) = answer else {
                self.auth.accepted(&attempts);
                ladder.push("<- 200".into());
                return ladder;
            };
            ladder.push(format!(
                "<- {}",
                if challenges[0].0 == Server { 401 } else { 407 }
            ));
            if let Err(reason) = self.decide(&challenges, &mut attempts) {
                ladder.push(format!("{reason:?}"));
                return ladder;
            }
            assert!(ladder.len() < 100, "{ladder:#?}");
        }
    }
}

const AUTH: &[(&str, &str)] = &[("MD5", "auth")];

#[test]
fn every_kind_of_challenge_is_answered_at_once_and_then_kept_in_use() {
    for offers in [
        &[("", "")][..],
        &[("MD5", "")],
        AUTH,
        &[("MD5", "auth-int")],
        &[("MD5", "auth,auth-int")],
        &[("MD5-sess", "auth")],
        &[("SHA-256", "auth")],
        &[("SHA-256", "")],
        &[("SHA-256-sess", "auth-int")],
        &[("SHA-256", "auth"), ("MD5", "auth")],
        &[("SHA-512-256", "auth"), ("MD5", "auth")],
    ] {
        for by in [Server, Proxy] {
            let mut phone = phone();
            let mut guards = [guard(by, "a", offers, Mood::Fair)];
            let refused = if by == Server { "<- 401" } else { "<- 407" };
            assert_eq!(
                phone.request(&mut guards),
                ["->", refused, "-> a/n1#1", "<- 200"],
                "{offers:?}"
            );
            assert_eq!(
                phone.request(&mut guards),
                ["-> a/n1#2", "<- 200"],
                "{offers:?}"
            );
        }
    }
}

#[test]
fn the_topmost_of_two_challenges_and_none_below_the_floor() {
    let two: &[_] = &[("MD5", "auth"), ("SHA-256", "auth")];
    let mut lax = phone();
    assert_eq!(
        lax.request(&mut [guard(Server, "a", two, Mood::Fair)])
            .len(),
        4
    );
    assert!(lax.kept[0].ends_with(b"algorithm=MD5,qop=\"auth\""));

    let mut strict = phone();
    strict.policy.acceptable = Acceptable::PASSWORD.with_floor(Floor::Sha256);
    assert_eq!(
        strict
            .request(&mut [guard(Server, "a", two, Mood::Fair)])
            .len(),
        4
    );
    assert!(strict.kept[0].ends_with(b"algorithm=SHA-256,qop=\"auth\""));
    let mut md5 = [guard(Server, "b", AUTH, Mood::Fair)];
    strict.policy.realm = RealmPolicy::Any;
    assert_eq!(
        strict.request(&mut md5),
        ["-> a/n1#2", "<- 401", "BelowFloor"]
    );
}

#[test]
fn a_stale_nonce_is_replaced_and_the_count_starts_again() {
    for mood in [Mood::Fair, Mood::Forgetful] {
        let mut phone = phone();
        let mut guards = [guard(Server, "a", AUTH, mood)];
        phone.request(&mut guards);
        phone.request(&mut guards);
        guards[0].nonce += 1;
        assert_eq!(
            phone.request(&mut guards),
            ["-> a/n1#3", "<- 401", "-> a/n3#1", "<- 200"],
            "with and without stale"
        );
        assert_eq!(phone.request(&mut guards), ["-> a/n3#2", "<- 200"]);
    }
}

#[test]
fn a_wrong_password_ends_in_the_original_status() {
    for (mood, unmarked, expected) in [
        (
            Mood::OneNonce,
            UnmarkedNonce::TryAgain,
            &["->", "<- 401", "-> a/n1#1", "<- 401", "Rejected"][..],
        ),
        (
            Mood::Fair,
            UnmarkedNonce::TryAgain,
            &[
                "->",
                "<- 401",
                "-> a/n1#1",
                "<- 401",
                "-> a/n2#1",
                "<- 401",
                "Rejected",
            ],
        ),
        (
            Mood::Fair,
            UnmarkedNonce::Reject,
            &["->", "<- 401", "-> a/n1#1", "<- 401", "Rejected"],
        ),
    ] {
        let mut phone = phone();
        phone.password = "cheshire";
        phone.policy.unmarked = unmarked;
        let mut guards = [guard(Server, "a", AUTH, mood)];
        assert_eq!(phone.request(&mut guards), expected);
        // Rejected credentials are not offered again unasked (RFC 3261 §22.1); right ones are.
        phone.password = "wonderland";
        let ladder = phone.request(&mut guards);
        assert_eq!((&*ladder[0], &*ladder[3]), ("->", "<- 200"), "{ladder:?}");
    }
    // To the letter, too, a nonce from an earlier request may have grown old without a word.
    let mut phone = phone();
    phone.policy.unmarked = UnmarkedNonce::Reject;
    let mut guards = [guard(Server, "a", AUTH, Mood::Forgetful)];
    phone.request(&mut guards);
    guards[0].nonce += 1;
    assert_eq!(
        phone.request(&mut guards),
        ["-> a/n1#2", "<- 401", "-> a/n3#1", "<- 200"]
    );
}

#[test]
fn a_server_that_challenges_forever_is_left_after_two_answers() {
    for (mood, reason) in [(Mood::NeverStale, "TooMany"), (Mood::Never, "Rejected")] {
        let mut phone = phone();
        let mut guards = [guard(Proxy, "a", AUTH, mood)];
        assert_eq!(
            phone.request(&mut guards),
            [
                "->",
                "<- 407",
                "-> a/n1#1",
                "<- 407",
                "-> a/n2#1",
                "<- 407",
                reason
            ]
        );
    }
}

#[test]
fn realms_without_end_are_left_too() {
    let mut phone = phone();
    phone.policy.realm = RealmPolicy::Any;
    let mut attempts = Attempts::new();
    let mut answered = 0;
    for name in ('a'..='z').cycle().take(1000) {
        let header = (
            Server,
            format!("Digest realm=\"{name}\",nonce=\"{answered}\",stale=true"),
        );
        match phone.decide(&[header], &mut attempts) {
            Ok(()) => answered += 1,
            Err(reason) => assert_eq!(reason, Reason::TooMany),
        }
        phone.build(&mut attempts, &mut Vec::new());
    }
    assert_eq!(answered, i32::from(MAX_ANSWERS));
}

#[test]
fn first_401_then_407_and_both_at_once() {
    let guards = || {
        [
            guard(Proxy, "p", AUTH, Mood::Fair),
            guard(Server, "a", AUTH, Mood::Fair),
        ]
    };
    let mut one_by_one = phone();
    let mut chain = guards();
    assert_eq!(
        one_by_one.request(&mut chain),
        [
            "->",
            "<- 407",
            "-> p/n1#1",
            "<- 401",
            "-> a/n1#1 p/n1#2",
            "<- 200"
        ]
    );
    assert_eq!(
        one_by_one.request(&mut chain),
        ["-> a/n1#2 p/n1#3", "<- 200"]
    );

    // A forking proxy gathers both in one response (RFC 3261 §22.3).
    let mut phone = phone();
    let mut chain = guards();
    let (mut attempts, mut ladder) = (Attempts::new(), Vec::new());
    let both: Vec<_> = chain.iter_mut().flat_map(|g| g.judge(&[])).collect();
    assert_eq!(phone.decide(&both, &mut attempts), Ok(()));
    let headers = phone.build(&mut attempts, &mut ladder);
    assert_eq!(ladder, ["-> a/n1#1 p/n1#1"]);
    assert!(chain.iter_mut().all(|g| g.judge(&headers).is_empty()));
    // The same realm as server and as proxy has two nonces and two counts.
    let mut same = [
        guard(Proxy, "a", AUTH, Mood::Fair),
        guard(Server, "a", AUTH, Mood::Fair),
    ];
    same[1].nonce = 5;
    assert_eq!(
        self::phone().request(&mut same),
        [
            "->",
            "<- 407",
            "-> a/n1#1",
            "<- 401",
            "-> a/n6#1 a/n1#2",
            "<- 200"
        ]
    );
}

#[test]
fn requests_in_flight_share_nonce_and_count() {
    let mut phone = phone();
    let mut guards = [guard(Server, "a", AUTH, Mood::OneNonce)];
    let mut ladder = Vec::new();
    let mut three = [Attempts::new(); 3];
    // Three requests leave before the first challenge is back.
    let sent: Vec<_> = three
        .iter_mut()
        .map(|a| phone.build(a, &mut ladder))
        .collect();
    let refused: Vec<_> = sent
        .iter()
        .map(|headers| guards[0].judge(headers))
        .collect();
    for (attempts, challenges) in three.iter_mut().zip(&refused) {
        assert_eq!(phone.decide(challenges, attempts), Ok(()));
        let headers = phone.build(attempts, &mut ladder);
        assert!(guards[0].judge(&headers).is_empty());
    }
    assert_eq!(
        ladder,
        ["->", "->", "->", "-> a/n1#1", "-> a/n1#2", "-> a/n1#3"]
    );

    // Two with an old nonce: each is given a new one, and neither is taken for wrong.
    let mut guards = [guard(Server, "b", AUTH, Mood::Fair)];
    let mut phone = self::phone();
    phone.request(&mut guards);
    guards[0].nonce += 1;
    let mut two = [Attempts::new(); 2];
    let sent = two.each_mut().map(|a| phone.build(a, &mut ladder));
    let refused = sent.each_ref().map(|headers| guards[0].judge(headers));
    for (attempts, challenges) in two.iter_mut().zip(&refused) {
        assert_eq!(phone.decide(challenges, attempts), Ok(()));
    }
    let last = two.each_mut().map(|a| phone.build(a, &mut ladder));
    assert!(
        last.iter()
            .all(|headers| guards[0].judge(headers).is_empty())
    );
    assert_eq!(ladder[8..], ["-> b/n4#1", "-> b/n4#2"]);
}

#[test]
fn nextnonce_replaces_the_nonce_and_the_count_starts_again() {
    let mut phone = phone();
    let mut guards = [guard(Proxy, "a", AUTH, Mood::Fair)];
    phone.request(&mut guards);
    let (mut attempts, mut ladder) = (Attempts::new(), Vec::new());
    phone.build(&mut attempts, &mut ladder);
    assert_eq!(phone.auth.answered(Server, &attempts), None);
    let slot = phone.auth.answered(Proxy, &attempts).unwrap();
    let info = AuthenticationInfo::parse(b"nextnonce=\"n7\"").unwrap();
    assert!(phone.auth.next_nonce(slot, info.nextnonce.unwrap()));
    let mut out = [0; 200];
    let mut sink = Sink::new(&mut out);
    Challenge::parse(&phone.kept[slot.index()])
        .unwrap()
        .with_nonce(info.nextnonce.unwrap())
        .write(&mut sink);
    phone.kept[slot.index()] = sink.written().unwrap().to_vec();
    guards[0].nonce = 7;
    assert_eq!(phone.request(&mut guards), ["-> a/n7#1", "<- 200"]);
    // Said twice by two responses, it is one nonce.
    assert!(phone.auth.next_nonce(slot, info.nextnonce.unwrap()));
    assert_eq!(phone.request(&mut guards), ["-> a/n7#2", "<- 200"]);

    // The session algorithms stay with the nonce of their challenge (RFC 7616 §3.4.2).
    let mut phone = self::phone();
    let mut guards = [guard(Server, "a", &[("MD5-sess", "auth")], Mood::Fair)];
    phone.request(&mut guards);
    let slot = phone.auth.usable(Server).next().unwrap();
    assert!(!phone.auth.next_nonce(slot, info.nextnonce.unwrap()));
    assert_eq!(phone.request(&mut guards), ["-> a/n1#2", "<- 200"]);
}

#[test]
fn cve_2021_41158_a_stranger_gets_no_digest() {
    let home = || guard(Proxy, "home", AUTH, Mood::Fair);
    let stranger = || guard(Server, "evil", AUTH, Mood::Fair);
    // Bound by what accepted us first.
    let mut phone = phone();
    let mut guards = [home()];
    phone.request(&mut guards);
    let [home] = guards;
    let mut path = [home, stranger()];
    assert_eq!(
        phone.request(&mut path),
        ["-> home/n1#2", "<- 401", "ForeignRealm"]
    );
    // Not even once a rejection of our own realm was forged.
    let forged = [(
        Proxy,
        "Digest realm=\"home\",nonce=\"n1\",qop=\"auth\"".to_string(),
    )];
    let (mut attempts, mut ladder) = (Attempts::new(), Vec::new());
    phone.build(&mut attempts, &mut ladder);
    assert_eq!(phone.decide(&forged, &mut attempts), Err(Reason::Rejected));
    assert_eq!(
        phone.request(&mut [stranger()]),
        ["->", "<- 401", "ForeignRealm"]
    );
    // Bound by configuration.
    let mut phone = self::phone();
    phone.policy.realm = RealmPolicy::Only(b"home");
    assert_eq!(
        phone.request(&mut [stranger()]),
        ["->", "<- 401", "ForeignRealm"]
    );
    assert_eq!(
        phone
            .request(&mut [self::guard(Server, "home", AUTH, Mood::Fair)])
            .len(),
        4
    );
    for near in ["Home", "home ", "home\\\"", "hom", "homee", ""] {
        let header = [(Server, format!("Digest realm=\"{near}\",nonce=\"n\""))];
        assert_eq!(
            phone.decide(&header, &mut Attempts::new()),
            Err(Reason::ForeignRealm),
            "{near}"
        );
    }
    // Allowed by configuration.
    phone.policy.realm = RealmPolicy::Any;
    assert_eq!(phone.request(&mut [stranger()]).len(), 4);
}

#[test]
fn what_cannot_be_answered_says_why() {
    let full: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|r| format!("Digest realm=\"{r}\",nonce=\"n\""))
        .collect();
    for (headers, reason) in [
        (vec![], Reason::NoChallenge),
        (vec!["Basic realm=\"a\""], Reason::NoChallenge),
        (vec!["Digest realm=\"a\""], Reason::NoChallenge),
        (
            vec!["Digest realm=\"a\",nonce=\"n\",algorithm=SHA-512-256"],
            Reason::Unsupported,
        ),
        (
            vec!["Digest realm=\"a\",nonce=\"n\",qop=\"new\""],
            Reason::Unsupported,
        ),
        (
            vec!["Digest realm=\"a\",nonce=\"n\",algorithm=AKAv1-MD5"],
            Reason::Unsupported,
        ),
        (vec!["Digest realm=\"e\",nonce=\"n\""], Reason::NoSlot),
    ] {
        let mut phone = phone();
        phone.policy.realm = RealmPolicy::Any;
        if reason == Reason::NoSlot {
            let mut attempts = Attempts::new();
            let all: Vec<_> = full.iter().map(|value| (Server, value.clone())).collect();
            phone.decide(&all, &mut attempts).unwrap();
            phone.build(&mut attempts, &mut Vec::new());
            phone.auth.accepted(&attempts);
        }
        let headers: Vec<_> = headers
            .iter()
            .map(|value| (Server, (*value).to_string()))
            .collect();
        assert_eq!(
            phone.decide(&headers, &mut Attempts::new()),
            Err(reason),
            "{headers:?}"
        );
    }
}

#[test]
fn an_untried_realm_makes_room_for_another() {
    let mut phone = phone();
    phone.policy.realm = RealmPolicy::Any;
    let names = ["a", "b", "c", "d", "e", "f"];
    for realm in names {
        let header = [(Server, format!("Digest realm=\"{realm}\",nonce=\"n\""))];
        assert_eq!(
            phone.decide(&header, &mut Attempts::new()),
            Ok(()),
            "{realm}"
        );
    }
    // More realms in one response than there are slots: the first ones count.
    let all: Vec<_> = names
        .iter()
        .map(|r| (Proxy, format!("Digest realm=\"{r}\",nonce=\"n\"")))
        .collect();
    assert_eq!(phone.decide(&all, &mut Attempts::new()), Ok(()));
    assert_eq!(phone.auth.usable(Proxy).count(), MAX_REALMS);
}

#[test]
fn a_late_answer_speaks_for_its_own_nonce_and_realm() {
    // A request was rejected with a nonce that others have left behind: theirs is not in doubt.
    let mut phone = phone();
    let mut guards = [guard(Server, "a", AUTH, Mood::Fair)];
    phone.request(&mut guards);
    let (mut late, mut ladder) = (Attempts::new(), Vec::new());
    phone.build(&mut late, &mut ladder);
    guards[0].nonce += 1;
    phone.request(&mut guards);
    let old = [(
        Server,
        "Digest realm=\"a\",nonce=\"n1\",qop=\"auth\"".to_string(),
    )];
    assert_eq!(phone.decide(&old, &mut late), Err(Reason::Rejected));
    assert_eq!(phone.request(&mut guards), ["-> a/n3#2", "<- 200"]);

    // A request was accepted for a realm that has lost its slot to another one since.
    let mut phone = self::phone();
    phone.policy.realm = RealmPolicy::Any;
    let mut late = Attempts::new();
    let ask = |realm| [(Server, format!("Digest realm=\"{realm}\",nonce=\"n\""))];
    phone.decide(&ask("a"), &mut late).unwrap();
    phone.build(&mut late, &mut ladder);
    for realm in ["b", "c", "d", "e"] {
        phone.decide(&ask(realm), &mut Attempts::new()).unwrap();
    }
    phone.auth.accepted(&late);
    assert_eq!(phone.auth.answered(Server, &late), None);
    phone.policy.realm = RealmPolicy::FirstAccepted;
    assert_eq!(phone.decide(&ask("b"), &mut Attempts::new()), Ok(()));
}

#[test]
fn our_nonce_lasts_as_long_as_theirs() {
    let mut phone = phone();
    let mut guards = [guard(Server, "a", &[("MD5-sess", "auth")], Mood::Fair)];
    let mut cnonce = |phone: &mut Phone| {
        phone.request(&mut guards);
        guards[0].nonce += 1;
        let slot = phone.auth.usable(Server).next().unwrap();
        phone.auth.credentials(slot).unwrap().cnonce
    };
    let first = cnonce(&mut phone);
    let second = cnonce(&mut phone);
    assert_ne!(first, second);
    let mut still = [guard(Server, "a", &[("MD5-sess", "auth")], Mood::Fair)];
    still[0].nonce = 3;
    assert_eq!(phone.request(&mut still), ["-> a/n3#2", "<- 200"]);
    let slot = phone.auth.usable(Server).next().unwrap();
    assert_eq!(phone.auth.credentials(slot).unwrap().cnonce, second);
}

#[test]
fn the_application_can_be_asked() {
    let mut auth = Auth::new();
    let mut policy = Policy::new(Acceptable::ANY);
    policy.secret = SecretSource::Ask;
    let header = br#"Digest realm="a",nonce="n",algorithm=AKAv1-MD5"#;
    let challenges = || Challenges::new(header).flatten().map(|c| (Server, c));
    let mut attempts = Attempts::new();
    let Decision::Ask(taken) = auth.decide(challenges(), &mut attempts, &policy, Cnonce(1)) else {
        panic!("asks")
    };
    let (slot, kept) = taken.iter().next().unwrap();
    assert_eq!(kept, header);
    auth.sent(slot, &mut attempts);
    // What the application gave was wrong: it is not asked again for this request.
    assert!(matches!(
        auth.decide(challenges(), &mut attempts, &policy, Cnonce(2)),
        Decision::GiveUp(Reason::Rejected)
    ));
}

#[test]
fn the_state_is_small() {
    assert!(size_of::<Attempts>() <= 52, "{}", size_of::<Attempts>());
    assert!(size_of::<Auth>() <= 136, "{}", size_of::<Auth>());
}

//! RFC 6665 §4.1.3, §4.4.1, §5.4.9: which NOTIFY belongs to a subscription, what it is answered
//! with, and what the next SUBSCRIBE looks like.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

use oma_im::sip::dialog::{DialogError, Reach, Seed};
use oma_im::sip::subscription::{
    Failure, Forking, Notice, Notify, Package, Phase, State, Step, Subscription,
    SubscriptionAction, SubscriptionConfig, SubscriptionEvent, Termination, Verdict, Which, stray,
};
use oma_im::sip::transaction::Timers;
use oma_im::time::Instant;
use oma_im::wire::message::Message;
use oma_im::wire::name::{Method, Name, Status};
use oma_im::wire::writer::{CSeq, MessageWriter, UriText};

const CONFIG: SubscriptionConfig = SubscriptionConfig::new(Package::REG);
const NOW: Instant = Instant::from_millis(1_000_000);
const SEED: Seed = Seed {
    call_id: 0xc0ffee,
    tag: 0x7a6,
};

/// A NOTIFY as a notifier of our first SUBSCRIBE sends it, with some words of it replaced.
fn notify(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text = "NOTIFY sip:alice@192.0.2.10:5060 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 198.51.100.5:5060;branch=z9hG4bKntf1\r\n\
        Max-Forwards: 66\r\n\
        Record-Route: <sip:p1.example.com;lr>\r\n\
        From: <sip:alice@example.com>;tag=srv91\r\n\
        To: <sip:alice@example.com>;tag=00000000000007a6\r\n\
        Call-ID: 0000000000c0ffee\r\n\
        CSeq: 10 NOTIFY\r\n\
        Contact: <sip:registrar.example.com;transport=tcp>\r\n\
        Event: reg\r\n\
        Subscription-State: active;expires=3000\r\n\
        Content-Length: 0\r\n\r\n"
        .to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    text.into_bytes()
}

fn ok(contact: &str) -> Vec<u8> {
    format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n\
         Record-Route: <sip:elsewhere.example.com;lr>\r\n\
         From: <sip:alice@example.com>;tag=00000000000007a6\r\n\
         To: <sip:alice@example.com>;tag=fork\r\nCall-ID: 0000000000c0ffee\r\n\
         CSeq: 1 SUBSCRIBE\r\nContact: {contact}\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

fn accepted(reg: &mut Subscription, bytes: &[u8]) -> Step {
    reg.ok(NOW, &CONFIG, &Message::parse(bytes).unwrap())
}

fn show(reg: &mut Subscription, config: &SubscriptionConfig, bytes: &[u8]) -> Verdict {
    let message = Message::parse(bytes).unwrap();
    reg.receive(NOW, config, &Notify::read(&message).unwrap(), 0)
}

/// A subscriber whose first SUBSCRIBE is out.
fn waiting(config: &SubscriptionConfig) -> Subscription {
    let mut reg = Subscription::new(config);
    let step = reg.subscribe();
    let new = SubscriptionAction::Subscribe {
        dialog: Which::New,
        expires: config.expires,
    };
    assert_eq!(step.action, new);
    name(&mut reg, SEED);
    reg.sent(NOW, &Timers::RFC3261, 1);
    reg
}

fn name(reg: &mut Subscription, seed: Seed) {
    let own = UriText::new("sip:alice@example.com").unwrap();
    reg.open(seed, own, own).unwrap();
}

/// One with a subscription.
fn subscribed() -> Subscription {
    let mut reg = waiting(&CONFIG);
    let _ = accepted(&mut reg, &ok("<sip:fork.example.com>"));
    let Verdict::Accept(_) = show(&mut reg, &CONFIG, &notify(&[])) else {
        panic!()
    };
    reg
}

fn refused(code: u16) -> Verdict {
    Verdict::Refuse(Status::new(code).unwrap())
}

fn written(reg: &Subscription) -> String {
    let mut out = [0; 1024];
    let dialog = reg.dialog().unwrap();
    let mut w = MessageWriter::request(&mut out, Method::Subscribe, dialog.request_uri().unwrap());
    if let Some(route) = dialog.route() {
        w.header(Name::Route, route);
    }
    dialog.identify(&mut w);
    let number = dialog.next_cseq();
    let method = Method::Subscribe;
    w.header(Name::CSeq, CSeq { number, method });
    let len = w.no_body().finish().unwrap();
    String::from_utf8(out[..len].to_vec()).unwrap()
}

/// §4.4.1: route set and target are those of the NOTIFY, not of the 200 from wherever.
#[test]
fn the_notify_makes_the_dialog() {
    let expected = "SUBSCRIBE sip:registrar.example.com;transport=tcp SIP/2.0\r\n\
        Route: <sip:p1.example.com;lr>\r\n\
        From: <sip:alice@example.com>;tag=00000000000007a6\r\n\
        To: <sip:alice@example.com>;tag=srv91\r\n\
        Call-ID: 0000000000c0ffee\r\n\
        CSeq: 2 SUBSCRIBE\r\n\
        Content-Length: 0\r\n\r\n";
    assert_eq!(written(&subscribed()), expected);
    // In the other order as well.
    let mut reg = waiting(&CONFIG);
    let _ = show(&mut reg, &CONFIG, &notify(&[]));
    let state = reg.usage().state();
    let _ = accepted(&mut reg, &ok("<sip:registrar.example.com;transport=tcp>"));
    assert_ne!(reg.usage().state(), state, "the answer came");
    assert_eq!(written(&reg), expected);
}

#[test]
fn what_a_notify_says() {
    let alive = |phase, expires| Notice::Alive { phase, expires };
    let over = |reason, retry_after| Notice::Terminated {
        reason,
        retry_after,
    };
    for (state, notice) in [
        ("active", alive(Phase::Active, None)),
        (
            "Active;expires=60;reason=rejected",
            alive(Phase::Active, Some(60)),
        ),
        ("pending;expires=60", alive(Phase::Pending, Some(60))),
        ("active;expires=99999999999", alive(Phase::Active, None)),
        ("waiting", alive(Phase::Pending, None)),
        ("terminated", over(Termination::Other, None)),
        (
            "terminated;reason=noResource;expires=60",
            over(Termination::NoResource, None),
        ),
        (
            "TERMINATED ; retry-after=7;reason=giveup",
            over(Termination::GiveUp, Some(7)),
        ),
        (
            "terminated;reason=deactivated",
            over(Termination::Deactivated, None),
        ),
        (
            "terminated;reason=probation",
            over(Termination::Probation, None),
        ),
        (
            "terminated;reason=rejected",
            over(Termination::Rejected, None),
        ),
        (
            "terminated;reason=timeout",
            over(Termination::Timeout, None),
        ),
        (
            "terminated;reason=invariant",
            over(Termination::Invariant, None),
        ),
        ("terminated;reason=expired", over(Termination::Other, None)),
    ] {
        let bytes = notify(&[("active;expires=3000", state)]);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            Notify::read(&message).unwrap().notice(),
            Some(notice),
            "{state}"
        );
    }
    for (old, new, code) in [
        ("Event: reg", "Event: ;x", 489),
        ("Call-ID: 0000000000c0ffee\r\n", "", 400),
        ("CSeq: 10 NOTIFY", "CSeq: x NOTIFY", 400),
    ] {
        let bytes = notify(&[(old, new)]);
        let message = Message::parse_head(&bytes).unwrap();
        let status = Notify::read(&message).unwrap_err();
        assert_eq!(status.code(), code, "{old}");
    }
}

/// §4.1.3, §8.2.1: 481 for what belongs to no subscription, 489 for a package that nobody here has.
#[test]
fn what_does_not_belong_here() {
    for (old, new, code) in [
        ("Call-ID: 0", "Call-ID: 1", 481),
        (";tag=00000000000007a6", ";tag=00000000000007a7", 481),
        (";tag=00000000000007a6", "", 481),
        ("Event: reg", "Event: reg;id=4", 481),
        ("Event: reg", "Event: Reg", 489),
        ("Event: reg", "Event: presence", 489),
        ("Event: reg", "Event: conference", 481),
        ("Event: reg\r\n", "", 481),
    ] {
        let bytes = notify(&[(old, new)]);
        for mut reg in [waiting(&CONFIG), subscribed(), Subscription::new(&CONFIG)] {
            let state = reg.usage().state();
            assert_eq!(show(&mut reg, &CONFIG, &bytes), Verdict::Elsewhere, "{new}");
            assert_eq!(reg.usage().state(), state);
        }
        let message = Message::parse(&bytes).unwrap();
        let status = stray(
            &Notify::read(&message).unwrap(),
            &[Package::REG, Package::CONFERENCE],
        );
        assert_eq!(status.code(), code, "{new}");
    }
    // What it lacks matters only where it belongs.
    for state in ["", "Subscription-State: ;expires=3000\r\n"] {
        let line = "Subscription-State: active;expires=3000\r\n";
        let bytes = notify(&[(line, state)]);
        let mut reg = waiting(&CONFIG);
        assert_eq!(show(&mut reg, &CONFIG, &bytes), refused(400));
        assert_eq!(show(&mut subscribed(), &CONFIG, &bytes), refused(400));
        let bytes = notify(&[(line, state), ("tag=00000000000007a6", "tag=0")]);
        assert_eq!(show(&mut reg, &CONFIG, &bytes), Verdict::Elsewhere);
    }
    // Parameters of the package are not compared.
    let bytes = notify(&[("Event: reg", "Event: reg;vendor=x")]);
    let verdict = show(&mut waiting(&CONFIG), &CONFIG, &bytes);
    assert!(matches!(verdict, Verdict::Accept(_)));
}

/// RFC 3261 §12.2.2: out of order is 500, a request that is refused changes nothing.
#[test]
fn notifies_come_in_order() {
    let mut reg = subscribed();
    for (number, in_order) in [(10, false), (9, false), (12, true), (11, false), (13, true)] {
        let cseq = format!("CSeq: {number}");
        let moved = format!("<sip:at{number}.example.com>");
        let bytes = notify(&[
            ("CSeq: 10", &cseq),
            ("<sip:registrar.example.com;transport=tcp>", &moved),
        ]);
        let state = reg.usage().state();
        match show(&mut reg, &CONFIG, &bytes) {
            Verdict::Accept(_) => assert!(in_order, "{number}"),
            verdict => {
                assert_eq!(verdict, refused(500), "{number}");
                assert!(!in_order, "{number}");
                assert_eq!(reg.usage().state(), state);
            }
        }
        // A target refresh moves the target.
        let here = written(&reg).contains(&format!("sip:at{number}.example.com"));
        assert_eq!(here, in_order, "{number}");
    }
    let bytes = notify(&[
        ("CSeq: 10", "CSeq: 14"),
        ("Contact: <sip:", "Contact: <tel:"),
    ]);
    assert_eq!(show(&mut reg, &CONFIG, &bytes), refused(400));
    let bytes = notify(&[
        ("CSeq: 10", "CSeq: 14"),
        ("Contact: <sip:registrar.example.com;transport=tcp>\r\n", ""),
    ]);
    assert!(matches!(
        show(&mut reg, &CONFIG, &bytes),
        Verdict::Accept(_)
    ));
    assert!(written(&reg).starts_with("SUBSCRIBE sip:at13.example.com "));
}

/// What cannot make a dialog is refused, and the next NOTIFY still can.
#[test]
fn a_first_notify_that_makes_no_dialog() {
    let long_tag = format!("tag={}", "x".repeat(280));
    for (old, new, code) in [
        (
            "Contact: <sip:registrar.example.com;transport=tcp>\r\n",
            "",
            400,
        ),
        ("<sip:p1.example.com;lr>", "nowhere", 400),
        ("tag=srv91", "tag=\"srv 91\"", 400),
        ("tag=srv91", &long_tag, 500),
    ] {
        let mut reg = waiting(&CONFIG);
        let state = reg.usage().state();
        assert_eq!(
            show(&mut reg, &CONFIG, &notify(&[(old, new)])),
            refused(code),
            "{new}"
        );
        assert_eq!(reg.usage().state(), state);
        assert!(matches!(
            show(&mut reg, &CONFIG, &notify(&[])),
            Verdict::Accept(_)
        ));
    }
    // §4.4.1: one that says `terminated` makes none and needs no Contact.
    let mut reg = waiting(&CONFIG);
    let bytes = notify(&[
        ("Contact: <sip:registrar.example.com;transport=tcp>\r\n", ""),
        ("active;expires=3000", "terminated;reason=rejected"),
    ]);
    let Verdict::Accept(step) = show(&mut reg, &CONFIG, &bytes) else {
        panic!()
    };
    assert!(matches!(step.event, Some(SubscriptionEvent::Ended { .. })));
    assert!(reg.dialog().is_none());
}

/// §5.4.9: the first NOTIFY makes the only dialog, whatever the 200 said.
#[test]
fn other_branches_of_a_fork_get_481() {
    let other = notify(&[("tag=srv91", "tag=fork"), ("CSeq: 10", "CSeq: 11")]);
    let mut reg = subscribed();
    let state = reg.usage().state();
    assert_eq!(show(&mut reg, &CONFIG, &other), refused(481));
    assert_eq!(reg.usage().state(), state);
    assert!(written(&reg).contains("tag=srv91"));
}

/// §4.4.1, §4.1.2.4: a package may allow them, until Timer N.
#[test]
fn a_package_may_take_them() {
    let config = SubscriptionConfig::new(Package {
        forking: Forking::Multiple,
        ..Package::REG
    });
    let other = notify(&[("tag=srv91", "tag=fork")]);
    let mut reg = waiting(&config);
    assert!(reg.fork(NOW, &config, &Timers::RFC3261).is_none());
    let Verdict::Accept(_) = show(&mut reg, &config, &notify(&[])) else {
        panic!()
    };
    assert_eq!(show(&mut reg, &config, &other), Verdict::Forked);
    let late = NOW.after(32_000);
    assert!(reg.fork(late, &config, &Timers::RFC3261).is_none());
    let mut fork = reg.fork(NOW, &config, &Timers::RFC3261).unwrap();
    let Verdict::Accept(step) = show(&mut fork, &config, &other) else {
        panic!()
    };
    let expected = SubscriptionEvent::Subscribed {
        phase: Phase::Active,
        until: NOW.after(3_000_000),
    };
    assert_eq!(step.event, Some(expected));
    assert!(written(&fork).contains("tag=fork"));
    assert!(written(&reg).contains("tag=srv91"));
}

/// A dialog that the default size cannot hold is listened to, and replaced instead of refreshed.
#[test]
fn a_route_set_that_is_too_long() {
    let mut reg = waiting(&CONFIG);
    let _ = accepted(&mut reg, &ok("<sip:fork.example.com>"));
    let routes = ["<sip:a-proxy-of-some-name.example.com;lr>"; 8].join(", ");
    let long = notify(&[("<sip:p1.example.com;lr>", &routes)]);
    assert!(matches!(show(&mut reg, &CONFIG, &long), Verdict::Accept(_)));
    assert_eq!(reg.dialog().unwrap().reach(), Some(Reach::Unreachable));
    let next = notify(&[("CSeq: 10", "CSeq: 11")]);
    assert!(matches!(show(&mut reg, &CONFIG, &next), Verdict::Accept(_)));
    let step = reg.refresh(NOW);
    let new = SubscriptionAction::Subscribe {
        dialog: Which::New,
        expires: 3_761,
    };
    assert_eq!(step.action, new);
    assert!(reg.dialog().is_none(), "until it has names");
    name(&mut reg, Seed { call_id: 1, tag: 1 });
    // The old notifier learns that nobody listens (§4.2.2).
    let last = notify(&[("CSeq: 10", "CSeq: 12")]);
    assert_eq!(show(&mut reg, &CONFIG, &last), Verdict::Elsewhere);
}

/// §4.1.2.2: another subscription has other names.
#[test]
fn a_new_subscription_does_not_hear_the_old_notifier() {
    let mut reg = subscribed();
    let moved = notify(&[
        ("CSeq: 10", "CSeq: 11"),
        ("active;expires=3000", "terminated;reason=deactivated"),
    ]);
    let Verdict::Accept(step) = show(&mut reg, &CONFIG, &moved) else {
        panic!()
    };
    let new = SubscriptionAction::Subscribe {
        dialog: Which::New,
        expires: 3_761,
    };
    assert_eq!(step.action, new);
    assert!(reg.dialog().is_none());
    name(&mut reg, Seed { call_id: 9, tag: 9 });
    assert_eq!(
        written(&reg),
        "SUBSCRIBE sip:alice@example.com SIP/2.0\r\n\
         From: <sip:alice@example.com>;tag=0000000000000009\r\n\
         To: <sip:alice@example.com>\r\n\
         Call-ID: 0000000000000009\r\n\
         CSeq: 1 SUBSCRIBE\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let late = notify(&[("CSeq: 10", "CSeq: 12")]);
    assert_eq!(show(&mut reg, &CONFIG, &late), Verdict::Elsewhere);
}

/// RFC 3261 §12.2.1.2: the 2xx to a refresh moves the target; one that has nothing to do with the
/// subscription does not.
#[test]
fn the_target_moves_with_the_answer() {
    let mut reg = subscribed();
    let _ = accepted(&mut reg, &ok("<sip:late.example.com>"));
    assert!(!written(&reg).contains("late"));
    let _ = reg.refresh(NOW);
    reg.sent(NOW, &Timers::RFC3261, 2);
    reg.challenged();
    reg.sent(NOW, &Timers::RFC3261, 3);
    let _ = accepted(&mut reg, &ok("<sip:moved.example.com>"));
    let expected = "SUBSCRIBE sip:moved.example.com SIP/2.0\r\nRoute: <sip:p1.example.com;lr>\r\n";
    assert!(written(&reg).starts_with(expected));
    assert!(written(&reg).contains("CSeq: 4 SUBSCRIBE"));
}

#[test]
fn the_dialog_goes_with_its_subscription() {
    let ended: [fn(&mut Subscription); 4] = [
        |reg| reg.forget(),
        |reg| {
            let _ = reg.unsubscribe();
            let _ = reg.failed(NOW, &CONFIG, Failure::Timeout, 0);
        },
        |reg| {
            let _ = reg.timeout(NOW.after(9_999_999), &CONFIG, 0);
        },
        |reg| {
            let status = Status::DOES_NOT_EXIST;
            let _ = reg.refresh(NOW);
            let failure = Failure::Status {
                status,
                retry_after: None,
            };
            let _ = reg.failed(NOW, &CONFIG, failure, 0);
        },
    ];
    for end in ended {
        let mut reg = subscribed();
        end(&mut reg);
        assert!(reg.dialog().is_none());
        assert_eq!(show(&mut reg, &CONFIG, &notify(&[])), Verdict::Elsewhere);
    }
}

#[test]
fn names_that_do_not_fit_are_told() {
    let mut reg = Subscription::<32>::new(&CONFIG);
    let _ = reg.subscribe();
    let own = UriText::new("sip:a-long-name@a-long-host.example.com").unwrap();
    let error = reg.open(SEED, own, own).unwrap_err();
    let expected = DialogError::TooLong {
        needed: 39,
        available: 32,
    };
    assert_eq!(error, expected);
    assert_eq!(reg.usage().state(), State::Idle);
}

/// A storm costs no memory and changes nothing but the order.
#[test]
fn a_storm_of_notifies() {
    let mut reg = subscribed();
    let state = reg.usage().state();
    for number in 11..5_000 {
        let bytes = notify(&[("CSeq: 10", &format!("CSeq: {number}"))]);
        assert_eq!(
            show(&mut reg, &CONFIG, &bytes),
            Verdict::Accept(Step::NOTHING)
        );
    }
    assert_eq!(reg.usage().state(), state);
}

/// Any damage to a NOTIFY: no panic, and it is accepted only for this subscription.
#[test]
fn damaged_notifies() {
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let whole = notify(&[]);
    for round in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + round % 3 {
            dice ^= dice >> 12;
            dice ^= dice << 25;
            dice ^= dice >> 27;
            let roll = dice.wrapping_mul(0x2545_f491_4f6c_dd1d);
            let at = (roll >> 32) as usize % bytes.len();
            bytes[at] = roll as u8;
        }
        let Ok(message) = Message::parse(&bytes) else {
            continue;
        };
        let Ok(read) = Notify::read(&message) else {
            continue;
        };
        let mut reg = waiting(&CONFIG);
        if let Verdict::Accept(_) = reg.receive(NOW, &CONFIG, &read, 0) {
            let ours: &[u8] = b"0000000000c0ffee";
            assert_eq!(message.call_id().unwrap(), ours);
            assert_eq!(read.event().unwrap().event_type.as_bytes(), b"reg");
            if reg
                .dialog()
                .is_some_and(|dialog| dialog.request_uri().is_some())
            {
                let _ = written(&reg);
            }
        }
    }
}

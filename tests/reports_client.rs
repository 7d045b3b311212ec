//! Reports, both ways, as the client sends and takes them (RFC 5438; OMA IM 8.2; implementer's reference §5.4, §5.5).
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/rig.rs"]
mod rig;

use oma_im::client::{Refusal, ReportOutcome, Trust, Want};
use oma_im::config::{
    Assertion, Config, DeliveryReports, DisplayReports, Strangers, TelTargets, Transport,
};
use oma_im::error::{CommandError, Failure};
use oma_im::id::{IncomingId, SendId};
use oma_im::im::imdn::ReportKind;
use oma_im::im::pager::Outgoing;
use oma_im::limits::REPORTS_PER_MESSAGE;
use oma_im::storage::Inline;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::Sip;
use oma_im::wire::imdn::{DeliveryStatus, DisplayStatus, Disposition};
use rig::{Rig, SENT, Taken, cpim, imdn};

const BOTH: &str = "positive-delivery, display";

fn rig(change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>) -> Rig {
    let mut rig = Rig::new(Transport::Udp, change);
    rig.register();
    rig
}

#[track_caller]
fn take<S: oma_im::storage::Storage>(rig: &mut Rig<S>, message: &Sip) -> IncomingId {
    let taken = rig.receive(&message.to_bytes());
    assert_eq!(rig.status(), 200);
    match taken {
        Taken::Message(id) => id,
        other => panic!("{other:?} instead of a message"),
    }
}

#[track_caller]
fn delivered(rig: &mut Rig, id: IncomingId) -> Sip {
    rig.call(|client, now| client.delivered(now, id)).unwrap();
    rig.one()
}

fn ended(id: IncomingId, kind: ReportKind, outcome: ReportOutcome) -> Happened {
    Happened::ReportSent(id, kind, outcome)
}

fn document(report: &Sip) -> String {
    String::from_utf8(report.body.clone()).unwrap()
}

#[test]
fn delivered_and_displayed_send_one_report_each() {
    let mut rig = rig(|config| config);
    let message = rig.wrapped("m1", BOTH);
    let id = take(&mut rig, &message);
    assert_eq!(rig.inbox[0].wants.delivery, Want::Yes);
    assert_eq!(rig.inbox[0].wants.display, Want::Yes);
    for (kind, element) in [
        (ReportKind::Delivery, "<delivered/>"),
        (ReportKind::Display, "<displayed/>"),
    ] {
        let say = move |rig: &mut Rig| {
            rig.call(|client, now| match kind {
                ReportKind::Delivery => client.delivered(now, id),
                ReportKind::Display => client.displayed(now, id),
            })
        };
        say(&mut rig).unwrap();
        let report = rig.one();
        assert!(document(&report).contains(element));
        // RFC 5438 §7.2.1: one of each kind, however often it is said.
        assert_eq!(say(&mut rig), Err(CommandError::WrongState));
        rig.answer(&report, 200, &[]);
        assert_eq!(rig.events.pop(), Some(ended(id, kind, ReportOutcome::Sent)));
        let late = say(&mut rig);
        assert!(matches!(
            late,
            Err(CommandError::WrongState | CommandError::NotAskedFor)
        ));
        rig.run(60_000);
        assert!(rig.sent.is_empty() && rig.events.is_empty());
    }
}

/// RFC 5438 §7.2.1: a report is sent for what was asked for, and for nothing else.
/// Who said that he has the message cannot refuse it any more.
#[test]
fn what_was_delivered_or_displayed_is_not_refused() {
    for said in [ReportKind::Delivery, ReportKind::Display] {
        let mut rig = rig(|config| config);
        let message = rig.wrapped("m1", "positive-delivery, display");
        let (_, Taken::Message(id)) = rig.give(rig.main, &message.to_bytes()) else {
            panic!("a message")
        };
        rig.only(|client, now| match said {
            ReportKind::Delivery => client.delivered(now, id),
            ReportKind::Display => client.displayed(now, id),
        })
        .unwrap();
        let refused = rig.call(|client, now| client.refuse(now, id, Refusal::Busy));
        assert_eq!(refused, Err(CommandError::WrongState));
        let sent = rig.sent();
        let statuses: Vec<_> = sent.iter().filter_map(Sip::status).collect();
        assert_eq!(statuses, [200]);
        assert_eq!(
            sent.iter()
                .filter(|sip| sip.method() == Some("MESSAGE"))
                .count(),
            1
        );
    }
}

#[test]
fn only_what_was_asked_for_is_reported() {
    for (asked, delivery, display) in [
        ("", Want::No, Want::No),
        ("negative-delivery", Want::No, Want::No),
        ("processing", Want::No, Want::No),
        ("positive-delivery", Want::Yes, Want::No),
        ("display", Want::No, Want::Yes),
        ("Display, Positive-Delivery", Want::Yes, Want::Yes),
    ] {
        let mut rig = rig(|config| config);
        let base = rig.settled();
        let message = rig.wrapped("m1", asked);
        let id = take(&mut rig, &message);
        let wants = rig.inbox[0].wants;
        assert_eq!(
            (wants.delivery, wants.display),
            (delivery, display),
            "{asked}"
        );
        for (want, said) in [
            (delivery, rig.call(|client, now| client.delivered(now, id))),
            (display, rig.call(|client, now| client.displayed(now, id))),
        ] {
            match want {
                Want::Yes => assert_eq!(said, Ok(())),
                Want::No => assert_eq!(said, Err(CommandError::NotAskedFor)),
            }
        }
        // The second report of a target waits for the answer to the first (RFC 3428 §8).
        for _ in 0..2 {
            for report in rig.sent() {
                rig.answer(&report, 200, &[]);
            }
        }
        assert_eq!(rig.settled(), base, "{asked}");
    }
}

/// The table of the implementer's reference, §5.4: who a report goes to.
#[test]
fn the_target_is_the_first_rule_that_applies() {
    struct Case {
        what: &'static str,
        core: Assertion,
        asserted: Option<&'static str>,
        from: &'static str,
        cpim_from: &'static str,
        more: &'static str,
        server: Option<&'static str>,
        target: Option<&'static str>,
    }
    let case = Case {
        what: "",
        core: Assertion::Asserted,
        asserted: Some("<sip:alice@example.com>"),
        from: "<sip:alice@example.com>;tag=1",
        cpim_from: "sip:alice@example.com",
        more: "",
        server: None,
        target: Some("sip:alice@example.com"),
    };
    for case in [
        Case {
            what: "1: top IMDN-Record-Route",
            more: "imdn.IMDN-Record-Route: <sip:store1@example.com>\r\nimdn.IMDN-Record-Route: <sip:store2@example.com>\r\n",
            target: Some("sip:store1@example.com"),
            ..case
        },
        Case {
            what: "2: CPIM From is asserted",
            cpim_from: "sip:alice@EXAMPLE.com",
            target: Some("sip:alice@EXAMPLE.com"),
            ..case
        },
        Case {
            what: "2: the second identity counts too",
            asserted: Some("<sip:+15551234@example.com>, <sip:alice@example.com>"),
            ..case
        },
        Case {
            what: "2: an IM server vouches for the envelope",
            cpim_from: "sip:carol@example.com",
            server: Some("IM-serv/OMA2.0"),
            target: Some("sip:carol@example.com"),
            ..case
        },
        Case {
            what: "3: a stranger in CPIM From",
            cpim_from: "sip:victim@example.com",
            ..case
        },
        Case {
            what: "3: whatever SIP From says",
            from: "<sip:victim@example.com>;tag=1",
            cpim_from: "sip:victim@example.com",
            ..case
        },
        Case {
            what: "4: no asserted identities here",
            core: Assertion::FromOnly,
            asserted: None,
            cpim_from: "sip:victim@example.com",
            ..case
        },
        Case {
            what: "4: and none is believed",
            core: Assertion::FromOnly,
            asserted: Some("<sip:victim@example.com>"),
            cpim_from: "sip:victim@example.com",
            ..case
        },
        Case {
            what: "5: asserted core, nothing asserted",
            asserted: None,
            target: None,
            ..case
        },
        Case {
            what: "5: anonymous",
            asserted: Some("<sip:anonymous@anonymous.invalid>"),
            cpim_from: "sip:anonymous@anonymous.invalid",
            target: None,
            ..case
        },
        Case {
            what: "5: anonymous on a plain core",
            core: Assertion::FromOnly,
            asserted: None,
            from: "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1",
            target: None,
            ..case
        },
    ] {
        let core = case.core;
        let mut rig = rig(|config| Config {
            assertion: core,
            ..config
        });
        let body = cpim(case.cpim_from, "m1", "positive-delivery", "Hello").replacen(
            "imdn.Message-ID",
            &format!("{}imdn.Message-ID", case.more),
            1,
        );
        let mut message = rig.message("message/cpim", body.as_bytes());
        message.remove("P-Asserted-Identity");
        if let Some(asserted) = case.asserted {
            message.push("P-Asserted-Identity", asserted);
        }
        message.set("From", case.from);
        if let Some(server) = case.server {
            message.push("Server", server);
        }
        let id = take(&mut rig, &message);
        let Some(target) = case.target else {
            assert_eq!(rig.inbox[0].wants.delivery, Want::No, "{}", case.what);
            let said = rig.call(|client, now| client.delivered(now, id));
            assert_eq!(said, Err(CommandError::NotAskedFor), "{}", case.what);
            assert!(rig.sent.is_empty(), "{}", case.what);
            continue;
        };
        let report = delivered(&mut rig, id);
        assert_eq!(report.uri(), Some(target), "{}", case.what);
        assert_eq!(
            report.header("To"),
            Some(&*format!("<{target}>")),
            "{}",
            case.what
        );
        // RFC 5438 §7.2.1: the CPIM To is the CPIM From of the message in any case.
        let to = format!("To: Alice <{}>\r\n", case.cpim_from);
        assert!(
            document(&report).contains(&to),
            "{}: {}",
            case.what,
            document(&report)
        );
        if case.what.starts_with('1') {
            // §7.2.1.1: IMDN-Record-Route becomes IMDN-Route, order kept.
            let routes = "imdn.IMDN-Route: <sip:store1@example.com>\r\nimdn.IMDN-Route: <sip:store2@example.com>\r\n";
            assert!(document(&report).contains(routes), "{}", document(&report));
        }
    }
}

/// The word of a stranger is not enough to make us send (kamailio#61: no answering machine).
#[test]
fn a_stranger_gets_no_report() {
    let mut rig = rig(|config| Config {
        strangers: Strangers::Flag,
        ..config
    });
    let stranger = rig.accepted(Transport::Udp);
    let mut message = rig.wrapped("m1", BOTH);
    message.push("Server", "IM-serv/OMA2.0");
    rig.receive_on(stranger, &message.to_bytes());
    assert_eq!(rig.status(), 200);
    assert_eq!(rig.inbox[0].wants, oma_im::client::Wanted::default());
}

/// A sender that can only be reached by a scheme that this core has no way for.
#[test]
fn a_sender_that_cannot_be_reached_gets_no_report() {
    for (tel_targets, want) in [
        (TelTargets::Refuse, Want::No),
        (TelTargets::Keep, Want::Yes),
    ] {
        let mut rig = rig(|config| Config {
            tel_targets,
            ..config
        });
        let mut message = rig.wrapped("m1", BOTH);
        message.set("P-Asserted-Identity", "<tel:+15551234>");
        take(&mut rig, &message);
        assert_eq!(rig.inbox[0].wants.delivery, want);
    }
}

/// RFC 5438 §7.2.1: no report on a report; kamailio#61: no automatic message answers an automatic message.
#[test]
fn a_report_is_never_reported() {
    let mut rig = rig(|config| Config {
        delivery_reports: DeliveryReports::Automatic,
        ..config
    });
    let base = rig.settled();
    let body = format!(
        "From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\nDateTime: {SENT}\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: r1\r\n\
         imdn.Disposition-Notification: positive-delivery, display\r\n\r\n\
         Content-type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n{}",
        imdn("m1", "delivery", "delivered")
    );
    let message = rig.message("message/cpim", body.as_bytes());
    assert_eq!(rig.receive(&message.to_bytes()), Taken::Nothing);
    assert_eq!(rig.status(), 200);
    rig.run(60_000);
    assert!(rig.sent.is_empty() && rig.inbox.is_empty());
    assert_eq!(rig.settled(), base);
}

/// RFC 5438 §7.1.1.2: a message that asks for reports has a DateTime; what it lacks cannot be copied.
#[test]
fn no_report_without_datetime_or_message_id() {
    for missing in [
        "DateTime: 2026-11-22T18:41:56Z\r\n",
        "imdn.Message-ID: m1\r\n",
    ] {
        let mut rig = rig(|config| config);
        let body = cpim("sip:alice@example.com", "m1", BOTH, "Hello").replace(missing, "");
        let message = rig.message("message/cpim", body.as_bytes());
        take(&mut rig, &message);
        assert_eq!(
            rig.inbox[0].wants,
            oma_im::client::Wanted::default(),
            "{missing}"
        );
    }
}

#[test]
fn each_kind_can_be_switched_off() {
    for (delivery_reports, display_reports, delivery, display) in [
        (
            DeliveryReports::Off,
            DisplayReports::OnCommand,
            Want::No,
            Want::Yes,
        ),
        (
            DeliveryReports::OnCommand,
            DisplayReports::Off,
            Want::Yes,
            Want::No,
        ),
        (
            DeliveryReports::Off,
            DisplayReports::Off,
            Want::No,
            Want::No,
        ),
    ] {
        let mut rig = rig(|config| Config {
            delivery_reports,
            display_reports,
            ..config
        });
        let message = rig.wrapped("m1", BOTH);
        let id = take(&mut rig, &message);
        let wants = rig.inbox[0].wants;
        assert_eq!((wants.delivery, wants.display), (delivery, display));
        if delivery == Want::No {
            let said = rig.call(|client, now| client.delivered(now, id));
            assert_eq!(said, Err(CommandError::NotAskedFor));
        }
    }
}

/// By policy the delivery report follows the 200 by itself, and never a refusal.
#[test]
fn the_automatic_report_follows_the_200() {
    let mut rig = rig(|config| Config {
        delivery_reports: DeliveryReports::Automatic,
        ..config
    });
    let message = rig.wrapped("m1", BOTH);
    rig.receive(&message.to_bytes());
    let sent = rig.sent();
    assert_eq!(sent[0].status(), Some(200));
    assert!(document(&sent[1]).contains("<delivered/>"));
    assert_eq!(sent.len(), 2);
    let id = rig.inbox[0].id;
    let said = rig.call(|client, now| client.delivered(now, id));
    assert_eq!(said, Err(CommandError::WrongState));
    rig.answer(&sent[1], 200, &[]);
    // The user's eyes are not a matter of policy.
    assert!(rig.sent.is_empty());
    rig.call(|client, now| client.displayed(now, id)).unwrap();
    assert!(document(&rig.one()).contains("<displayed/>"));

    let message = rig.wrapped("m2", BOTH);
    let (_, taken) = rig.give(rig.main, &message.to_bytes());
    let Taken::Message(id) = taken else {
        panic!("{taken:?}")
    };
    rig.call(|client, now| client.refuse(now, id, oma_im::client::Refusal::Busy))
        .unwrap();
    assert_eq!(rig.status(), 486);
}

/// Golden example 09, with our own names and lines.
#[test]
fn the_report_is_written_like_golden_09() {
    let mut rig = rig(|config| config);
    let mut message = rig.wrapped("Mk9s2Vd0aQ7xT3", "positive-delivery");
    message.set("To", "<sip:bob@example.com>");
    let id = take(&mut rig, &message);
    let report = delivered(&mut rig, id);
    // A new request outside of any dialog, with everything of 8.1.1: same headers, no Contact.
    let golden = include_bytes!("golden/09-message-imdn-delivered.sip");
    let golden = Sip::parse(&golden[..]).unwrap();
    let names = |sip: &Sip| -> Vec<String> {
        let mut names: Vec<_> = sip.headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        // The golden example shows no service route.
        names.retain(|name| name != "Route");
        names
    };
    assert_eq!(names(&report), names(&golden));
    for name in [
        "Accept-Contact",
        "User-Agent",
        "Content-Type",
        "Max-Forwards",
        "CSeq",
    ] {
        assert_eq!(report.header(name), golden.header(name), "{name}");
    }
    assert_eq!(
        report.header("P-Preferred-Identity"),
        Some("<sip:bob@example.com>")
    );
    assert_eq!(
        report.header("Route"),
        Some("<sip:orig@scscf.example.com;lr>")
    );
    let from = report.header("From").unwrap();
    assert!(from.starts_with("<sip:bob@example.com>;tag="), "{from}");
    // The envelope and the document, line by line; only the report's own Message-ID is random.
    let body = document(&report);
    let own_id = body
        .lines()
        .find_map(|line| line.strip_prefix("imdn.Message-ID: "))
        .unwrap()
        .to_string();
    // RFC 5438 §6.3: at least 64 random bits.
    assert!(own_id.len() >= 13 && own_id != "Mk9s2Vd0aQ7xT3");
    let (envelope, xml) = body
        .split_once("\r\n\r\n")
        .and_then(|(envelope, rest)| {
            let (content, xml) = rest.split_once("\r\n\r\n")?;
            Some((format!("{envelope}\r\n--\r\n{content}"), xml))
        })
        .unwrap();
    let length = format!("Content-length: {}", xml.len());
    let expected = [
        "From: <sip:bob@example.com>",
        "To: Alice <sip:alice@example.com>",
        "NS: imdn <urn:ietf:params:imdn>",
        &format!("imdn.Message-ID: {own_id}"),
        "--",
        "Content-type: message/imdn+xml",
        "Content-Disposition: notification",
        &length,
    ];
    let lines: Vec<_> = envelope.lines().collect();
    assert_eq!(lines, expected);
    let squeeze = |xml: &str| xml.lines().map(str::trim).collect::<String>();
    let golden_xml = document(&golden);
    let (_, golden_xml) = golden_xml.split_at(golden_xml.find("<?xml").unwrap());
    let golden_xml = golden_xml.replace("ims.example.com", "example.com");
    assert_eq!(squeeze(xml), squeeze(&golden_xml));
}

/// Original-To names the address that the sender wrote (RFC 5438 §11.1.4).
/// The name that the sender gave himself goes into CPIM To, whole or not at all.
#[test]
fn a_long_name_of_the_sender_is_left_out_whole() {
    for (length, to) in [
        (
            64,
            format!("To: {} <sip:alice@example.com>\r\n", "A".repeat(64)),
        ),
        (65, "To: <sip:alice@example.com>\r\n".to_owned()),
    ] {
        let mut rig = rig(|config| config);
        let mut message = rig.wrapped("m1", "positive-delivery");
        let body = String::from_utf8(message.body.clone()).unwrap();
        let name = "A".repeat(length);
        message.body = body
            .replace("From: Alice", &format!("From: {name}"))
            .into_bytes();
        let id = take(&mut rig, &message);
        let report = document(&delivered(&mut rig, id));
        assert!(report.contains(&to), "{report}");
    }
}

#[test]
fn the_original_recipient_is_named() {
    let mut rig = rig(|config| config);
    let body = cpim("sip:alice@example.com", "m1", "positive-delivery", "Hello").replacen(
        "imdn.Message-ID",
        "imdn.Original-To: <sip:team@example.com>\r\nimdn.Message-ID",
        1,
    );
    let message = rig.message("message/cpim", body.as_bytes());
    let id = take(&mut rig, &message);
    let report = document(&delivered(&mut rig, id));
    assert!(
        report.contains("<original-recipient-uri>sip:team@example.com</original-recipient-uri>"),
        "{report}"
    );
    assert!(
        report.contains("<recipient-uri>sip:bob@example.com</recipient-uri>"),
        "{report}"
    );
}

/// Surplus reports to one target wait for its next minutes, then are given up (RFC 5438 §14).
#[test]
fn reports_to_one_target_are_limited_by_the_minute() {
    let mut rig = rig(|config| Config {
        reports_per_minute: 2,
        ..config
    });
    let base = rig.settled();
    let start = rig.now;
    let mut ids = Vec::new();
    for n in 0..30 {
        let message = rig.wrapped(&format!("m{n}"), "positive-delivery");
        ids.push(take(&mut rig, &message));
    }
    // Somebody else's reports are not held up.
    let mut other = rig.wrapped("other", "positive-delivery");
    other.set("P-Asserted-Identity", "<sip:carol@example.com>");
    let other = take(&mut rig, &other);
    for id in ids.iter().copied().chain([other]) {
        rig.call(|client, now| client.delivered(now, id)).unwrap();
    }
    let mut minutes = Vec::new();
    let mut to_carol = 0;
    let mut answer = |rig: &mut Rig| {
        while !rig.sent.is_empty() {
            for report in rig.sent() {
                if report.uri() == Some("sip:carol@example.com") {
                    to_carol += 1;
                } else {
                    minutes.push(rig.now.since(start) / 60_000);
                }
                rig.answer(&report, 200, &[]);
            }
        }
    };
    answer(&mut rig);
    rig.run_with(20 * 60_000, &mut answer);
    assert_eq!(to_carol, 1);
    // Two a minute and no more, for as long as a report may wait.
    let mut counts = [0; 32];
    for minute in &minutes {
        counts[usize::try_from(*minute).unwrap()] += 1;
    }
    assert!(counts.iter().all(|count| *count <= 2), "{counts:?}");
    assert_eq!(counts[..10], [2; 10], "{counts:?}");
    // Each has its one terminal event.
    for id in ids {
        let of = |event: &&Happened| matches!(event, Happened::ReportSent(of, ..) if *of == id);
        assert_eq!(rig.events.iter().filter(of).count(), 1);
    }
    let too_many = |event: &&Happened| {
        matches!(
            event,
            Happened::ReportSent(_, ReportKind::Delivery, ReportOutcome::TooMany)
        )
    };
    let refused = rig.events.iter().filter(too_many).count();
    assert!(refused > 0);
    assert_eq!(minutes.len() + refused, 30);
    // What was given up can be repeated by its message; it is kept until its place is needed.
    assert!(rig.settled().arena >= base.arena);
}

/// liblinphone#137: a peer that does not take reports is left alone for a while.
#[test]
fn a_peer_that_refuses_reports_gets_none_for_report_backoff() {
    for (status, refuses) in [
        (405, true),
        (415, true),
        (488, true),
        (404, false),
        (503, false),
    ] {
        let mut rig = rig(|config| Config {
            report_backoff: 600,
            ..config
        });
        let message = rig.wrapped("m1", BOTH);
        let id = take(&mut rig, &message);
        let report = delivered(&mut rig, id);
        rig.answer(&report, status, &[]);
        let failure = Failure::Status {
            status,
            warning: None,
            retry_after: None,
        };
        let failed = ended(id, ReportKind::Delivery, ReportOutcome::Failed(failure));
        assert_eq!(rig.events.pop(), Some(failed));
        // The other kind, and the next message: not one byte goes out.
        rig.run(599_000);
        rig.call(|client, now| client.displayed(now, id)).unwrap();
        let next = rig.wrapped("m2", "positive-delivery");
        if refuses {
            let refused = ended(id, ReportKind::Display, ReportOutcome::PeerRefuses);
            assert_eq!(rig.events.pop(), Some(refused), "{status}");
            let next = take(&mut rig, &next);
            rig.call(|client, now| client.delivered(now, next)).unwrap();
            let refused = ended(next, ReportKind::Delivery, ReportOutcome::PeerRefuses);
            assert_eq!(rig.events.pop(), Some(refused), "{status}");
            assert!(rig.sent.is_empty());
            // Another peer is not meant.
            let mut other = rig.wrapped("m3", "positive-delivery");
            other.set("P-Asserted-Identity", "<sip:carol@example.com>");
            let other = take(&mut rig, &other);
            let report = delivered(&mut rig, other);
            rig.answer(&report, 200, &[]);
            // Afterwards it is tried again.
            rig.run(2_000);
            let later = rig.wrapped("m4", "positive-delivery");
            let later = take(&mut rig, &later);
            delivered(&mut rig, later);
        } else {
            assert_eq!(rig.sent().len(), 1, "{status}");
        }
    }
}

/// A repeated message shows that its sender knows of no report: one that failed goes again, once.
#[test]
fn a_failed_report_is_sent_again_when_the_message_repeats() {
    let mut rig = rig(|config| config);
    let message = rig.wrapped("m1", "positive-delivery");
    let id = take(&mut rig, &message);
    let report = delivered(&mut rig, id);
    rig.answer(&report, 500, &[]);
    rig.events.clear();
    rig.run(60_000);
    assert!(rig.sent.is_empty(), "not by itself");

    let again = rig.wrapped("m1", "positive-delivery");
    assert_eq!(rig.receive(&again.to_bytes()), Taken::Nothing);
    let sent = rig.sent();
    assert_eq!(sent[0].status(), Some(200));
    assert!(document(&sent[1]).contains("<delivered/>"));
    assert_eq!(sent.len(), 2);
    rig.answer(&sent[1], 200, &[]);
    assert_eq!(
        rig.events,
        [ended(id, ReportKind::Delivery, ReportOutcome::Sent)]
    );
    // The third copy finds nothing left to do.
    let again = rig.wrapped("m1", "positive-delivery");
    rig.receive(&again.to_bytes());
    assert_eq!(rig.status(), 200);
}

/// 64·T1 without an answer, and a lost flow: the report is over and says why.
#[test]
fn a_report_that_nobody_answers_fails() {
    let mut rig = rig(|config| config);
    let base = rig.settled();
    let message = rig.wrapped("m1", "positive-delivery");
    let id = take(&mut rig, &message);
    delivered(&mut rig, id);
    rig.run(32_100);
    let outcome = ReportOutcome::Failed(Failure::Timeout);
    assert_eq!(rig.events, [ended(id, ReportKind::Delivery, outcome)]);
    // Its ticket waits for a copy of the message; everything else is given back.
    let left = rig.settled();
    assert_eq!((left.transactions, left.requests), (0, 0));
    assert_eq!(left.blocks, base.blocks + 1);
}

fn asking(rig: &mut Rig) -> (SendId, String) {
    let hello = Outgoing::text("sip:alice@example.com", "Hello")
        .with_delivery_report()
        .with_display_report();
    let id = rig
        .call(|client, now| client.send_message(now, &hello))
        .unwrap();
    let request = rig.one();
    rig.answer(&request, 200, &[]);
    let body = document(&request);
    let line = body
        .lines()
        .find_map(|line| line.strip_prefix("imdn.Message-ID: "));
    let message_id = line.unwrap().to_string();
    rig.events.clear();
    (id, message_id)
}

fn report(rig: &mut Rig, kind: &str, body: &str) -> Sip {
    let cpim = format!(
        "From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\r\n\
         Content-Type: {kind}\r\nContent-Disposition: notification\r\n\r\n{body}"
    );
    rig.message("message/cpim", cpim.as_bytes())
}

#[test]
fn each_report_is_told_with_its_message() {
    let mut rig = rig(|config| config);
    let (id, message_id) = asking(&mut rig);
    for (kind, status, disposition) in [
        (
            "delivery",
            "delivered",
            Disposition::Delivery(DeliveryStatus::Delivered),
        ),
        (
            "delivery",
            "failed",
            Disposition::Delivery(DeliveryStatus::Failed),
        ),
        (
            "display",
            "displayed",
            Disposition::Display(DisplayStatus::Displayed),
        ),
    ] {
        let xml = imdn(&message_id, kind, status);
        // In its envelope, and bare as some send it.
        let wrapped = report(&mut rig, "message/imdn+xml", &xml);
        let bare = rig.message("message/imdn+xml", xml.as_bytes());
        for sip in [wrapped, bare] {
            assert_eq!(rig.receive(&sip.to_bytes()), Taken::Nothing);
            assert_eq!(rig.status(), 200);
            let told = Happened::Report {
                id: Some(id),
                message_id: message_id.clone(),
                recipient: "sip:alice@example.com".into(),
                disposition,
                trusted: Trust::Path,
            };
            assert_eq!(rig.events, [told]);
            rig.events.clear();
        }
    }
    assert!(rig.inbox.is_empty());
}

/// A Message-ID that is not waited for, or not any more.
#[test]
fn a_report_on_an_unknown_message_has_no_id() {
    let mut rig = rig(|config| Config {
        report_window: 100,
        ..config
    });
    let (id, message_id) = asking(&mut rig);
    let ids = |rig: &mut Rig, message_id: &str| -> Vec<Option<SendId>> {
        rig.events.clear();
        let xml = imdn(message_id, "delivery", "delivered");
        let sip = report(rig, "message/imdn+xml", &xml);
        rig.receive(&sip.to_bytes());
        assert_eq!(rig.status(), 200);
        let of = |event: &Happened| match event {
            Happened::Report { id, .. } => Some(*id),
            _ => None,
        };
        rig.events.iter().filter_map(of).collect()
    };
    assert_eq!(ids(&mut rig, "nobody-knows"), [None]);
    assert_eq!(ids(&mut rig, &message_id), [Some(id)]);
    rig.events.clear();
    rig.run(200_000);
    assert_eq!(rig.events, [Happened::WindowClosed(id)]);
    assert_eq!(ids(&mut rig, &message_id), [None]);
}

/// RFC 5438 §8.3: several reports in one multipart; one that cannot be read harms no other.
#[test]
fn an_aggregated_report_gives_an_event_for_each() {
    let mut rig = rig(|config| config);
    let base = rig.settled();
    let (_, first) = asking(&mut rig);
    let (_, second) = asking(&mut rig);
    let part = |xml: &str| format!("--b1\r\nContent-Type: message/imdn+xml\r\n\r\n{xml}\r\n");
    let body = [
        part(&imdn(&first, "delivery", "delivered")),
        part("<imdn"),
        part(&imdn("other", "delivery", "failed")),
        part(&imdn(&second, "display", "displayed")),
    ]
    .concat()
        + "--b1--\r\n";
    let sip = report(&mut rig, "multipart/mixed; boundary=b1", &body);
    assert_eq!(rig.receive(&sip.to_bytes()), Taken::Nothing);
    assert_eq!(rig.status(), 200);
    let told: Vec<_> = rig
        .events
        .iter()
        .map(|event| match event {
            Happened::Report { id, message_id, .. } => (id.is_some(), message_id.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(true, &*first), (false, "other"), (true, &*second)]);
    assert_eq!(rig.stats().reports_unread, 1);
    assert_eq!(rig.settled().arena, base.arena);
}

/// Thousands of parts that are no reports: bounded work, counted, nothing stays.
#[test]
fn an_aggregate_of_rubbish_is_counted() {
    let mut rig = rig(|config| config);
    let base = rig.settled();
    let part = "--b1\r\nContent-Type: message/imdn+xml\r\n\r\n<\r\n";
    let body = part.repeat(600) + "--b1--\r\n";
    let sip = report(&mut rig, "multipart/mixed; boundary=b1", &body);
    rig.receive(&sip.to_bytes());
    assert_eq!(rig.status(), 200);
    assert!(rig.events.is_empty());
    let limit = u32::try_from(REPORTS_PER_MESSAGE).unwrap();
    assert_eq!(rig.stats().reports_unread, limit + 1);
    assert_eq!(rig.settled(), base);
}

/// The reports of a burst share the rows with the application's own messages.
#[test]
fn reports_leave_rows_for_messages() {
    let storage = Inline::<6, 16, 16_384>::new();
    let mut rig = Rig::with(storage, Transport::Udp, |config| config);
    rig.register();
    let mut ids = Vec::new();
    for n in 0..6 {
        let mut message = rig.wrapped(&format!("m{n}"), BOTH);
        message.set("P-Asserted-Identity", &format!("<sip:user{n}@example.com>"));
        ids.push(take(&mut rig, &message));
    }
    for id in ids {
        rig.call(|client, now| client.delivered(now, id)).unwrap();
    }
    let reports = rig.sent();
    assert_eq!(reports.len(), 3, "half of the rows");
    let hello = Outgoing::text("sip:dave@example.com", "Hello");
    rig.call(|client, now| client.send_message(now, &hello))
        .unwrap();
    assert_eq!(rig.one().uri(), Some("sip:dave@example.com"));
    // The others go as rows come free.
    for report in reports {
        rig.answer(&report, 200, &[]);
    }
    assert_eq!(rig.sent().len(), 3);
}

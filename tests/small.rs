//! What a phone of 64 KiB can do: `Small`, hour after hour.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/rig.rs"]
mod rig;

use std::collections::{BTreeMap, VecDeque};

use oma_im::client::{Client, Refusal, ReportOutcome, SendOutcome, Want};
use oma_im::config::{Config, DeliveryReports, KeepAlive, Strangers, Transport};
use oma_im::id::{FlowId, SendId};
use oma_im::im::pager::Outgoing;
use oma_im::sip::transaction::Timers;
use oma_im::storage::Small;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::rng::Rng;
use oma_im::testkit::sip::Sip;
use rig::{Rig, Taken, imdn};

#[test]
fn a_client_over_small_takes_16_kib() {
    assert!(
        size_of::<Client<Small>>() <= 16 * 1024,
        "{}",
        size_of::<Client<Small>>()
    );
}

/// A message as it comes out of an IMS core: behind three proxies, with all that they add.
fn from_the_core(mut sip: Sip) -> Sip {
    for hop in ["scscf", "icscf", "ibcf"] {
        sip.push("Via", &format!("SIP/2.0/UDP {hop}.ims.mnc001.mcc262.3gppnetwork.org:5060;branch=z9hG4bK-524287-1---9f2c{hop}01234567890"));
        sip.push(
            "Record-Route",
            &format!("<sip:{hop}.ims.mnc001.mcc262.3gppnetwork.org;lr>"),
        );
    }
    sip.push(
        "P-Charging-Vector",
        "icid-value=\"AyretyU0dm+6O2IrT5tAFrbHLso=023551024\";orig-ioi=home1.net",
    );
    sip.push("Accept-Contact", "*;+g.oma.sip-im");
    sip
}

/// One message a second for ten minutes, the 3GPP timers, UDP: none is refused, each is reported.
fn a_second_apart(senders: usize, disposition: &str, delay: u64) {
    let mut rig = Rig::with(Small::new(), Transport::Udp, |config| Config {
        timers: Timers::IMS,
        keep_alive: KeepAlive::Off,
        reports_per_minute: 1000,
        // No refresh on the way: it is answered by another test.
        registration_expires: 600_000,
        ..config
    });
    rig.register();
    let base = rig.settled();
    rig.events.clear();
    let mut answers: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
    let (mut refused, mut reports, mut handed_out) = (0, 0, 0);
    let mut ids: Vec<SendId> = Vec::new();
    for second in 0..600_usize {
        let mut message = rig.wrapped(&format!("m{second}"), disposition);
        message.set(
            "P-Asserted-Identity",
            &format!("<sip:user{}@example.com>", second % senders),
        );
        let message = from_the_core(message).to_bytes();
        let Taken::Message(id) = rig.receive(&message) else {
            panic!("second {second}: refused");
        };
        handed_out += 1;
        // Every tenth is sent twice.
        if second % 10 == 0 {
            assert_eq!(rig.receive(&message), Taken::Nothing);
        }
        let wants = rig.inbox.pop().unwrap().wants;
        assert_eq!(wants.delivery, Want::Yes);
        rig.call(|client, now| client.delivered(now, id)).unwrap();
        if wants.display == Want::Yes {
            rig.call(|client, now| client.displayed(now, id)).unwrap();
        }
        // And one goes out every five seconds.
        if second % 5 == 0 {
            let text = "x".repeat(100);
            let hello = Outgoing::text("sip:carol@example.com", &text).with_delivery_report();
            ids.push(
                rig.call(|client, now| client.send_message(now, &hello))
                    .unwrap(),
            );
        }
        // The server answers after `delay`.
        for step in 0..10_u64 {
            for sip in rig.sent() {
                match (sip.method(), sip.status()) {
                    (Some("MESSAGE"), _) => {
                        reports += usize::from(sip.uri() != Some("sip:carol@example.com"));
                        let due = rig.now.as_millis() + delay;
                        answers.push_back((due, rig::response(&sip, 200, &[])));
                    }
                    (_, Some(200)) => {}
                    (_, Some(_)) => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            let end = rig.now.as_millis() / 1000 * 1000 + (step + 1) * 100;
            while answers.front().is_some_and(|(due, _)| *due < end) {
                let (due, bytes) = answers.pop_front().unwrap();
                let wait = due.saturating_sub(rig.now.as_millis());
                rig.run(wait);
                rig.receive(&bytes);
            }
            rig.run(end.saturating_sub(rig.now.as_millis()));
        }
    }
    while let Some((_, bytes)) = answers.pop_front() {
        rig.receive(&bytes);
        for sip in rig.sent() {
            if sip.method().is_some() {
                answers.push_back((0, rig::response(&sip, 200, &[])));
                reports += 1;
            }
        }
    }
    let stats = rig.stats();
    let what = format!("{senders} senders, {disposition}, {delay} ms: {stats:?}");
    assert_eq!((handed_out, refused), (600, 0), "{what}");
    assert_eq!(stats.no_room, 0, "{what}");
    assert_eq!(stats.echoes_evicted, 0, "{what}");
    assert_eq!(stats.tickets_evicted, 0, "{what}");
    assert_eq!(stats.answers_dropped, 0, "{what}");
    let kinds = disposition.split(',').count();
    // A report may go out twice if its answer is late.
    assert!(reports >= 600 * kinds, "{reports}: {what}");
    let sent = |event: &&Happened| matches!(event, Happened::ReportSent(_, _, ReportOutcome::Sent));
    assert_eq!(
        rig.events.iter().filter(sent).count(),
        600 * kinds,
        "{what}"
    );
    let delivered = SendOutcome::Delivered { status: 200 };
    for id in ids {
        assert!(
            rig.events.contains(&Happened::Sent(id, delivered)),
            "{id:?}: {what}"
        );
    }
    assert_eq!(rig.settled(), base, "{what}");
}

#[test]
fn one_message_a_second_with_delivery_reports() {
    a_second_apart(1, "positive-delivery", 200);
}

#[test]
fn one_message_a_second_with_both_reports() {
    a_second_apart(1, "positive-delivery, display", 200);
}

#[test]
fn one_message_a_second_from_many_senders() {
    a_second_apart(50, "positive-delivery, display", 400);
}

/// Twenty thousand messages in and out over a bad server: every pool is where it began.
#[test]
fn twenty_thousand_messages_leave_nothing_behind() {
    for (transport, seed) in [(Transport::Udp, 1), (Transport::Tcp, 2)] {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut rig = Rig::with(Small::new(), transport, |config| Config {
            strangers: Strangers::Flag,
            delivery_reports: DeliveryReports::OnCommand,
            reports_per_minute: 1000,
            report_window: 60,
            report_backoff: 5,
            registration_expires: 600_000,
            ..config
        });
        rig.register();
        let base = rig.settled();
        let mut ends: BTreeMap<SendId, u32> = BTreeMap::new();
        let mut message_ids: VecDeque<String> = VecDeque::new();
        let (mut received, mut stranger) = (0_u32, None::<FlowId>);
        for n in 0..10_000_u32 {
            // In: fresh, repeated, from a stranger, refused.
            let message_id = format!("m{}", n - u32::from(rng.below(20) == 0).min(n));
            let mut message = rig.wrapped(&message_id, "positive-delivery, display");
            message.set(
                "P-Asserted-Identity",
                &format!("<sip:user{}@example.com>", rng.below(30)),
            );
            let flow = match (stranger, rng.below(50)) {
                (None, 0) => {
                    stranger = Some(rig.accepted(transport));
                    stranger.unwrap()
                }
                (Some(flow), 0) => {
                    rig.call(|client, now| client.flow_closed(now, flow));
                    stranger = None;
                    rig.main
                }
                (Some(flow), 1) => flow,
                _ => rig.main,
            };
            let bytes = message.to_bytes();
            if let (_, Taken::Message(id)) = rig.give(flow, &bytes) {
                received += 1;
                if rng.below(20) == 0 {
                    let busy = Refusal::TemporarilyUnavailable(3);
                    rig.call(|client, now| client.refuse(now, id, busy))
                        .unwrap();
                } else {
                    rig.drain();
                    let _not_asked_for = rig.call(|client, now| client.delivered(now, id));
                    let _not_asked_for = rig.call(|client, now| client.displayed(now, id));
                }
            }
            rig.drain();
            // Out, and a report on one that went out.
            let target = format!("sip:user{}@example.com", rng.below(6));
            let hello = Outgoing::text(&target, "Hello").with_delivery_report();
            if let Ok(id) = rig.call(|client, now| client.send_message(now, &hello)) {
                ends.insert(id, 0);
            }
            if let Some(message_id) = message_ids.pop_front() {
                let xml = imdn(&message_id, "delivery", "delivered");
                let report = rig.message("message/imdn+xml", xml.as_bytes());
                rig.receive(&report.to_bytes());
            }
            // The server: quick, slow, refusing, silent.
            while let Some((_, bytes)) = rig.sent.pop() {
                let request = Sip::parse(&bytes).unwrap();
                if request.method() == Some("REGISTER") {
                    rig.receive(&rig::registered(&request));
                } else if request.method().is_some() {
                    let status = [200, 200, 200, 200, 202, 404, 415, 480, 500, 0]
                        [(rng.below(100) / 11) as usize];
                    if status != 0 {
                        rig.answer(&request, status, &[]);
                    }
                    let text = String::from_utf8(request.body).unwrap();
                    if let Some(id) = text
                        .lines()
                        .find_map(|line| line.strip_prefix("imdn.Message-ID: "))
                    {
                        message_ids.push_back(id.to_string());
                        message_ids.truncate(4);
                    }
                }
            }
            rig.run(rng.below(400));
            rig.inbox.clear();
            for event in rig.events.drain(..) {
                if let Happened::Sent(id, _) = event {
                    *ends.get_mut(&id).unwrap() += 1;
                }
            }
        }
        if let Some(flow) = stranger {
            rig.call(|client, now| client.flow_closed(now, flow));
        }
        // Whatever is under way ends: reports that failed wait for their message, at most as
        // long as their place is not needed.
        rig.inbox.clear();
        // Queues that nobody answers take 64·T1 for each message.
        rig.run(3_600_000);
        let left = rig.settled();
        for event in rig.events.drain(..) {
            if let Happened::Sent(id, _) = event {
                *ends.get_mut(&id).unwrap() += 1;
            }
        }
        assert!(received > 9_000, "{received}");
        assert!(ends.len() > 3_000, "{}", ends.len());
        assert!(
            ends.values().all(|count| *count == 1),
            "each message has one end"
        );
        assert_eq!((left.transactions, left.requests), (0, 0));
        // Only tickets are left, and they give way to eight new ones, which then end.
        for n in 0..8 {
            let message = rig.wrapped(&format!("last{n}"), "display");
            assert!(matches!(
                rig.receive(&message.to_bytes()),
                Taken::Message(_)
            ));
        }
        for message in std::mem::take(&mut rig.inbox) {
            rig.call(|client, now| client.displayed(now, message.id))
                .unwrap();
        }
        while !rig.sent.is_empty() {
            for report in rig.sent() {
                if report.method().is_some() {
                    rig.answer(&report, 200, &[]);
                }
            }
        }
        assert_eq!(rig.settled(), base);
        let stats = rig.stats();
        assert_eq!(
            (stats.events_lost, stats.no_room, stats.answers_dropped),
            (0, 0, 0),
            "{stats:?}"
        );
    }
}

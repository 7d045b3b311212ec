//! No allocation between `Client::new` and the drop, with `Inline` storage, over every procedure.
//!
//! The allocator counts while a switch of the thread is on, and the rig turns it on for the calls
//! of the client only: what the test does with the bytes in between may take what it wants.
#![allow(
    unsafe_code, // A counting allocator cannot be written without; the library forbids it.
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/rig.rs"]
mod rig;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use oma_im::client::{Adopted, Answer, OpenFailure, Output, Refusal};
use oma_im::config::{
    Config, Credentials, DeliveryReports, EndToEnd, KeepAlive, Strangers, Transport, Watching,
};
use oma_im::im::pager::{Anonymity, Outgoing};
use oma_im::sip::publication::RefreshForm;
use oma_im::storage::Small;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::{Sip, uri_of};
use oma_im::wire::settings::{OfflineDelivery, Settings};
use rig::{CHALLENGE, Rig, Taken, imdn, request};

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // While a thread ends its locals are gone; nothing of ours runs then.
    let _ = COUNTING.try_with(|counting| {
        if counting.get() {
            COUNT.with(|count| count.set(count.get() + 1));
        }
    });
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count();
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn watch(on: bool) {
    COUNTING.with(|counting| counting.set(on));
    CALLS.with(|calls| calls.set(calls.get() + usize::from(on)));
}

type Phone = Rig<Small>;

/// Runs a story, then drops the client: not one call of the allocator on the way.
fn story(
    transport: Transport,
    change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
    tell: impl FnOnce(&mut Phone),
) {
    COUNT.with(|count| count.set(0));
    CALLS.with(|calls| calls.set(0));
    let mut rig = Rig::watched(Small::new(), transport, change, watch);
    tell(&mut rig);
    let Rig { client, .. } = rig;
    watch(true);
    drop(client);
    watch(false);
    assert!(CALLS.with(Cell::get) > 10, "the client was watched");
    assert_eq!(COUNT.with(Cell::get), 0, "calls of the allocator");
}

const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

fn asking(to: &str) -> Outgoing<'_> {
    Outgoing::text(to, "Hello")
        .with_delivery_report()
        .with_display_report()
}

#[test]
fn the_switch_counts() {
    COUNT.with(|count| count.set(0));
    watch(true);
    let boxed = std::hint::black_box(Box::new(7));
    drop(boxed);
    watch(false);
    assert_eq!(COUNT.with(Cell::get), 2);
}

#[test]
fn register_refresh_and_deregister() {
    for transport in ALL {
        story(
            transport,
            |config| Config {
                instance: Some("urn:uuid:00000000-0000-4000-8000-000000000001"),
                keep_alive: KeepAlive::Auto,
                ..config
            },
            |rig| {
                rig.register();
                let mut refreshed = 0;
                rig.run_with(4_000_000, |rig| {
                    for request in rig.sent() {
                        if request.method() == Some("REGISTER") {
                            // A new nonce on the way.
                            let stale = CHALLENGE.replace("abc", "def") + ", stale=true";
                            if refreshed == 0
                                && request
                                    .header("Authorization")
                                    .is_none_or(|a| a.contains("\"abc\""))
                            {
                                rig.answer(&request, 401, &[("WWW-Authenticate", &stale)]);
                            } else {
                                refreshed += 1;
                                rig.receive(&rig::registered(&request));
                            }
                        }
                    }
                });
                assert!(refreshed > 0);
                rig.call(|client, now| client.deregister(now)).unwrap();
                let request = rig.one();
                rig.answer(&request, 200, &[]);
                assert_eq!(rig.events.last(), Some(&Happened::Deregistered));
            },
        );
    }
}

#[test]
fn messages_out_with_every_outcome() {
    for transport in ALL {
        story(
            transport,
            |config| Config {
                end_to_end: EndToEnd::Streams,
                ..config
            },
            |rig| {
                rig.register();
                let text = "x".repeat(1500);
                for (status, headers) in [
                    (200, vec![]),
                    (202, vec![]),
                    (302, vec![]),
                    (
                        403,
                        vec![("Warning", "399 example.com \"119 Anonymity not allowed\"")],
                    ),
                    (404, vec![]),
                    (433, vec![]),
                    (480, vec![("Retry-After", "30")]),
                    (503, vec![]),
                    (603, vec![]),
                ] {
                    let plain = asking("sip:alice@example.com");
                    let hidden = Outgoing {
                        anonymity: Anonymity::Id,
                        ..Outgoing::text("sip:alice@example.com", "Hello")
                    };
                    let long = Outgoing::text("sip:alice@example.com", &text);
                    for message in [plain, hidden, long] {
                        let waiting = Outgoing::text("sip:alice@example.com", "second");
                        rig.call(|client, now| client.send_message(now, &message))
                            .unwrap();
                        let queued = rig
                            .call(|client, now| client.send_message(now, &waiting))
                            .unwrap();
                        rig.call(|client, now| client.withdraw(now, queued))
                            .unwrap();
                        // Once challenged by a proxy, then the status.
                        let first = rig.one();
                        if first.header("Proxy-Authorization").is_none() {
                            rig.answer(&first, 407, &[("Proxy-Authenticate", CHALLENGE)]);
                        } else {
                            rig.answer(&first, 100, &[]);
                            rig.sent.push((rig.main, first.to_bytes()));
                        }
                        let second = rig.one();
                        rig.answer(&second, status, &headers);
                        rig.sent.clear();
                    }
                }
                // And one that nobody answers.
                rig.call(|client, now| client.send_message(now, &asking("sip:dave@example.com")))
                    .unwrap();
                rig.run(200_000);
            },
        );
    }
}

#[test]
fn settings_with_every_outcome() {
    let retrieving = Settings {
        offline_delivery: OfflineDelivery::Off,
        ..Settings::DEFAULT
    };
    for transport in ALL {
        for settings_refresh in [RefreshForm::Empty, RefreshForm::Document] {
            story(
                transport,
                |config| Config {
                    settings_refresh,
                    ..config
                },
                |rig| {
                    rig.register();
                    let published = [("SIP-ETag", "tag"), ("Expires", "3600")];
                    for (status, headers) in [
                        (200, published.to_vec()),
                        (412, vec![]),
                        (423, vec![("Min-Expires", "4000")]),
                        (423, vec![("Min-Expires", "4294967295")]),
                        (489, vec![]),
                        (503, vec![("Retry-After", "30")]),
                        (200, vec![("Expires", "0")]),
                        (200, vec![("Expires", "9")]),
                    ] {
                        let set = |client: &mut oma_im::Client<Small>, now| {
                            client.publish_settings(now, retrieving)
                        };
                        // The second one waits, the third one takes its place.
                        for _ in 0..3 {
                            rig.call(set).unwrap();
                        }
                        let first = rig.one();
                        if first.header("Proxy-Authorization").is_none() {
                            rig.answer(&first, 407, &[("Proxy-Authenticate", CHALLENGE)]);
                        } else {
                            rig.sent.push((rig.main, first.to_bytes()));
                        }
                        let second = rig.one();
                        rig.answer(&second, status, &headers);
                        // Whatever comes of it, a refresh after that, and silence.
                        let mut requests = 0;
                        rig.run_with(4_000_000, |rig| {
                            for request in rig.sent() {
                                requests += 1;
                                match request.method() {
                                    Some("REGISTER") => rig.receive(&rig::registered(&request)),
                                    Some(_) if requests % 3 != 0 => {
                                        rig.receive(&rig::response(&request, 200, &published))
                                    }
                                    _ => Taken::Nothing,
                                };
                            }
                        });
                        let main = rig.main;
                        rig.call(|client, now| client.flow_closed(now, main));
                        rig.run_with(200_000, |rig| {
                            for request in rig.sent() {
                                match request.method() {
                                    Some("REGISTER") => rig.receive(&rig::registered(&request)),
                                    _ => rig.receive(&rig::response(&request, 200, &published)),
                                };
                            }
                        });
                        rig.call(|client, now| client.remove_settings(now)).unwrap();
                        for request in rig.sent() {
                            rig.answer(&request, 200, &[]);
                        }
                    }
                    let ended = |event: &&Happened| matches!(event, Happened::SettingsDone(..));
                    assert_eq!(rig.events.iter().filter(ended).count(), 8 * 4);
                },
            );
        }
    }
}

#[test]
fn messages_in_and_reports_both_ways() {
    for transport in ALL {
        for delivery_reports in [DeliveryReports::OnCommand, DeliveryReports::Automatic] {
            story(
                transport,
                |config| Config {
                    delivery_reports,
                    reports_per_minute: 3,
                    ..config
                },
                |rig| {
                    rig.register();
                    for n in 0..12 {
                        let message = rig.wrapped(&format!("m{n}"), "positive-delivery, display");
                        let Taken::Message(id) = rig.receive(&message.to_bytes()) else {
                            panic!("a message is refused");
                        };
                        let _automatic = rig.call(|client, now| client.delivered(now, id));
                        rig.call(|client, now| client.displayed(now, id)).unwrap();
                        for report in rig.sent() {
                            if report.method().is_some() {
                                rig.answer(&report, [200, 500, 415][n % 3], &[]);
                            }
                        }
                        // The same again, and by another transaction.
                        rig.receive(&message.to_bytes());
                        let again = rig.wrapped(&format!("m{n}"), "positive-delivery, display");
                        rig.receive(&again.to_bytes());
                        rig.run(1_000);
                    }
                    rig.run(700_000);
                    rig.sent.clear();
                    // Reports on a message of ours: one, several, deflated, unreadable.
                    rig.call(|client, now| {
                        client.send_message(now, &asking("sip:alice@example.com"))
                    })
                    .unwrap();
                    let sent = rig.one();
                    rig.answer(&sent, 200, &[]);
                    let xml = imdn("m1", "delivery", "delivered");
                    let part = format!("--b\r\nContent-Type: message/imdn+xml\r\n\r\n{xml}\r\n");
                    let several = format!(
                        "From: <sip:a@example.com>\r\nTo: <sip:bob@example.com>\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Disposition: notification\r\n\r\n{part}{part}--b--\r\n"
                    );
                    let packed = miniz_oxide::deflate::compress_to_vec_zlib(xml.as_bytes(), 6);
                    let mut deflated = rig.message("message/imdn+xml", &packed);
                    deflated.push("Content-Encoding", "deflate");
                    let bare = rig.message("message/imdn+xml", xml.as_bytes());
                    let several = rig.message("message/cpim", several.as_bytes());
                    let rubbish = rig.message("message/imdn+xml", b"<imdn");
                    rig.events.clear();
                    for report in [bare, several, deflated, rubbish] {
                        rig.receive(&report.to_bytes());
                    }
                    let reports = rig
                        .events
                        .iter()
                        .filter(|event| matches!(event, Happened::Report { .. }));
                    assert_eq!(reports.count(), 4);
                },
            );
        }
    }
}

#[test]
fn every_answer_to_a_peer() {
    for transport in ALL {
        for strangers in [Strangers::Drop, Strangers::Flag] {
            story(
                transport,
                |config| Config {
                    strangers,
                    stream_buffer: 3000,
                    ..config
                },
                |rig| {
                    rig.register();
                    let stranger = rig.accepted(transport);
                    for method in [
                        "MESSAGE", "OPTIONS", "INVITE", "ACK", "CANCEL", "NOTIFY", "REFER", "FOO",
                    ] {
                        for n in 0..20 {
                            let sip = request(transport, method, &format!("z9hG4bK{n}"));
                            rig.receive(&sip.to_bytes());
                            rig.receive_on(stranger, &sip.to_bytes());
                        }
                    }
                    for why in [
                        Refusal::TemporarilyUnavailable(7),
                        Refusal::Busy,
                        Refusal::UnsupportedType,
                        Refusal::TooLarge,
                        Refusal::Decline,
                    ] {
                        let message = rig.wrapped(&format!("refused {why:?}"), "display");
                        let (_, taken) = rig.give(rig.main, &message.to_bytes());
                        let Taken::Message(id) = taken else {
                            panic!("{taken:?}");
                        };
                        rig.call(|client, now| client.refuse(now, id, why)).unwrap();
                        rig.receive(&message.to_bytes());
                    }
                    let mut bad = rig.message("image/png", b"x");
                    rig.receive(&bad.to_bytes());
                    bad.push("Require", "foo");
                    rig.receive(&bad.to_bytes());
                    let branch = rig.branch();
                    let mut unreadable = request(transport, "MESSAGE", &branch);
                    unreadable.set("Max-Forwards", "x");
                    rig.receive(&unreadable.to_bytes());
                    let long = rig.message("text/plain", &vec![b'x'; 5000]);
                    rig.receive(&long.to_bytes());
                    if transport != Transport::Udp {
                        rig.receive(b"\r\n\r\n\r\n\r\n");
                        rig.receive(b"\x16\x03\x01");
                    }
                    rig.run(60_000);
                },
            );
        }
    }
}

#[test]
fn flows_that_fail_and_networks_that_change() {
    for transport in ALL {
        story(
            transport,
            |config| Config {
                keep_alive: KeepAlive::Supervised,
                ..config
            },
            |rig| {
                rig.register();
                rig.call(|client, now| client.send_message(now, &asking("sip:alice@example.com")))
                    .unwrap();
                rig.call(|client, now| client.send_message(now, &asking("sip:alice@example.com")))
                    .unwrap();
                let answer = |rig: &mut Phone| {
                    for request in rig.sent() {
                        match request.method() {
                            Some("REGISTER") => rig.receive(&rig::registered(&request)),
                            Some(_) => rig.receive(&rig::response(&request, 200, &[])),
                            None => Taken::Nothing,
                        };
                    }
                };
                let main = rig.main;
                rig.call(|client, now| client.flow_closed(now, main));
                rig.run_with(300_000, answer);
                rig.call(|client, now| client.network_changed(now));
                rig.run_with(300_000, answer);
                // No candidate answers; pings are not answered either.
                rig.open = false;
                rig.call(|client, now| client.network_changed(now));
                rig.run(300_000);
                rig.open = true;
                rig.run_with(2_000_000, answer);
                let registered = |event: &&Happened| matches!(event, Happened::Registered { .. });
                assert!(rig.events.iter().filter(registered).count() >= 3);
            },
        );
    }
}

#[test]
fn a_password_that_is_asked_for() {
    story(
        Transport::Udp,
        |config| Config {
            credentials: Credentials::Ask { user: "bob" },
            ..config
        },
        |rig| {
            let mut asked = 0;
            for answer in [
                Answer::Abandon,
                Answer::Ha1([7; 16]),
                Answer::Password(b"bobpw"),
            ] {
                let _registering = rig.call(|client, now| client.register(now));
                let register = |rig: &mut Phone| {
                    rig.sent()
                        .into_iter()
                        .find(|sip| sip.method() == Some("REGISTER"))
                };
                let Some(request) = register(rig) else {
                    continue;
                };
                rig.answer(&request, 401, &[("WWW-Authenticate", CHALLENGE)]);
                // A secret that was given before is tried first.
                if let Some(Happened::Challenge { id, .. }) = rig.events.pop() {
                    asked += 1;
                    rig.call(|client, now| client.answer(now, id, answer))
                        .unwrap();
                }
                if let Some(again) = register(rig) {
                    rig.receive(&rig::registered(&again));
                    rig.call(|client, now| client.deregister(now)).unwrap();
                    rig.run(5_000);
                    rig.sent.clear();
                }
            }
            assert!(asked > 1);
        },
    );
}

#[test]
fn a_registration_of_somebody_else() {
    story(
        Transport::Udp,
        |config| config,
        |rig| {
            let adopted = Adopted {
                service_route: "<sip:orig@scscf.example.com;lr>",
                associated: "<sip:bob@example.com>, <tel:+15551234>",
            };
            rig.call(|client, now| client.adopt_registration(now, &adopted))
                .unwrap();
            rig.call(|client, now| client.send_message(now, &asking("sip:alice@example.com")))
                .unwrap();
            let request = rig.one();
            rig.answer(&request, 200, &[]);
            rig.call(|client, now| client.registration_changed(now, &adopted))
                .unwrap();
            rig.call(|client, now| client.registration_lost(now))
                .unwrap();
            rig.run(60_000);
        },
    );
}

/// The NOTIFY that a SUBSCRIBE brings, the n-th one, on the binding of this URI.
fn notify(transport: Transport, subscribe: &Sip, n: u32, uri: &str) -> Sip {
    let mut notify = request(transport, "NOTIFY", &format!("z9hG4bKn{n}"));
    let header = |name| subscribe.header(name).unwrap().to_owned();
    notify.set("From", &(header("To").replace(";tag=srv", "") + ";tag=srv"));
    notify.set("To", &header("From"));
    notify.set("Call-ID", &header("Call-ID"));
    notify.set("CSeq", &format!("{n} NOTIFY"));
    notify.push("Contact", "<sip:notifier@198.51.100.1>");
    notify.push("Event", "reg");
    notify.push("Subscription-State", "active;expires=3000");
    notify.push("Content-Type", "application/reginfo+xml");
    let xml = format!(
        "<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' xmlns:g='urn:ietf:params:xml:ns:gruuinfo' \
         version='{n}' state='full'><registration aor='sip:bob@example.com' id='a' state='active'>\
         <contact id='c' state='active' event='refreshed'><uri>{uri}</uri>\
         <g:pub-gruu uri='sip:bob@example.com;gr={n}'/></contact></registration></reginfo>"
    );
    notify.body = xml.into_bytes();
    notify
}

#[test]
fn gruus_in_every_way_they_come_and_go() {
    for transport in ALL {
        story(
            transport,
            |config| Config {
                instance: Some("urn:uuid:00000000-0000-4000-8000-000000000001"),
                watch_registration: Watching::On,
                ..config
            },
            |rig| {
                let (mut n, mut registered) = (0, 0);
                let (mut with, mut without) = (0, 0);
                let mut bound = String::new();
                let answer = |rig: &mut Phone| {
                    for sip in rig.sent() {
                        let contact = sip.header("Contact").unwrap_or_default().to_owned();
                        match sip.method() {
                            Some("REGISTER") => {
                                bound = uri_of(&contact).to_owned();
                                let gruus = [
                                    ";pub-gruu=\"sip:bob@example.com;gr=1\"",
                                    ";temp-gruu=\"sip:t@example.com;gr\"",
                                    ";pub-gruu=\"mailto:bob@example.com\"",
                                    "",
                                ];
                                let contact = contact + gruus[registered % 4];
                                registered += 1;
                                rig.answer(&sip, 200, &[("Contact", &contact)]);
                            }
                            Some("SUBSCRIBE") => {
                                n += 1;
                                *if contact.contains(";gr") {
                                    &mut with
                                } else {
                                    &mut without
                                } += 1;
                                let target = ("Contact", "<sip:notifier@198.51.100.1>");
                                rig.answer(&sip, 200, &[target, ("Expires", "3000")]);
                                let uri = [bound.as_str(), "sip:bob@203.0.113.1"][n as usize % 2];
                                rig.receive(&notify(transport, &sip, n, uri).to_bytes());
                            }
                            _ => {}
                        }
                    }
                };
                rig.call(|client, now| client.register(now)).unwrap();
                rig.run_with(40_000_000, answer);
                assert!(with > 0 && without > 0, "{with} {without}");
                assert!(rig.client.stats().gruus_ignored > 0);
                rig.call(|client, now| client.deregister(now)).unwrap();
                rig.run(5_000);
            },
        );
    }
}

/// Too small a buffer, a driver that answers late: the output is asked for in any way.
#[test]
fn a_driver_with_a_small_buffer() {
    story(
        Transport::Udp,
        |config| config,
        |rig| {
            rig.only(|client, now| client.register(now)).unwrap();
            let mut out = [0; 1500];
            for size in [0, 1, 100, 1500] {
                watch(true);
                let output = rig.client.poll_output(&mut out[..size]);
                let open = match output {
                    Output::Open(open) => Some(open.id),
                    _ => None,
                };
                watch(false);
                if let Some(id) = open {
                    rig.only(|client, now| client.flow_failed(now, id, OpenFailure::Refused));
                }
            }
            rig.drain();
            rig.run(60_000);
            let _sent: Vec<Sip> = rig.sent();
        },
    );
}

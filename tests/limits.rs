//! Every limit at one less, at the limit, and at one more (see `oma_im::limits`).
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/rig.rs"]
mod rig;

use oma_im::client::{Adopted, Client, CloseReason, Origin, SendOutcome};
use oma_im::config::{Config, EndToEnd, NextHop, Transport};
use oma_im::error::{CommandError, ConfigError, Limit};
use oma_im::id::{FlowId, PathId, SendId};
use oma_im::im::pager::Outgoing;
use oma_im::limits::{EVENTS, MAX_FLOWS, MAX_MESSAGE, MAX_PATHS, REPORTS_PER_MESSAGE};
use oma_im::storage::{Heap, HeapLimits, Inline, Small};
use oma_im::testkit::phone::Happened;
use oma_im::testkit::sip::Sip;
use oma_im::time::Instant;
use oma_im::wire::message::MAX_HEADERS;
use rig::{Rig, Taken, imdn, info, request};

const TEXT: &str = "text/plain";

/// The registered client over tables of these sizes.
fn rig<const T: usize, const R: usize, const A: usize>(
    change: impl for<'a> FnOnce(Config<'a>) -> Config<'a>,
) -> Rig<Inline<T, R, A>> {
    let mut rig = Rig::with(Inline::new(), Transport::Udp, change);
    rig.register();
    rig.settled();
    rig
}

fn to(target: &str) -> Outgoing<'_> {
    Outgoing::text(target, "Hello")
}

#[test]
fn header_fields_of_one_message() {
    for (fields, status) in [
        (MAX_HEADERS - 1, 200),
        (MAX_HEADERS, 200),
        (MAX_HEADERS + 1, 513),
        (1000, 513),
    ] {
        let mut rig = rig::<4, 16, 16_384>(|config| config);
        let mut message = rig.message(TEXT, b"Hello");
        // Content-Length is added when it is written.
        while message.headers.len() + 1 < fields {
            message.push("Accept", "text/plain");
        }
        rig.receive(&message.to_bytes());
        assert_eq!(rig.status(), status, "{fields}");
    }
}

/// CVE-2018-7284: every header that may be repeated, as often as it may.
#[test]
fn cve_2018_7284_every_repeatable_header_at_the_limit() {
    for (name, value) in [
        ("Accept", "text/plain"),
        ("Contact", "<sip:a@example.com>"),
        ("Route", "<sip:a.example.com;lr>"),
        ("Record-Route", "<sip:a.example.com;lr>"),
        ("Via", "SIP/2.0/UDP a.example.com;branch=z9hG4bKa"),
        ("Allow", "INVITE"),
        ("Supported", "path"),
    ] {
        let mut rig = rig::<4, 16, 16_384>(|config| config);
        let base = rig.client.usage();
        for (fields, status) in [
            (MAX_HEADERS - 1, 200),
            (MAX_HEADERS, 200),
            (MAX_HEADERS + 1, 513),
            (1000, 513),
        ] {
            let mut message = rig.message(TEXT, b"Hello");
            let mut list = message.clone();
            while message.headers.len() + 1 < fields {
                message.push(name, value);
            }
            rig.receive(&message.to_bytes());
            assert_eq!(rig.status(), status, "{fields} {name}");
            // The same as a comma list is one field.
            let branch = rig.branch();
            list.set("Call-ID", &branch);
            list.pop("Via");
            list.push_front("Via", &format!("SIP/2.0/UDP 198.51.100.1;branch={branch}"));
            list.push(name, &vec![value; fields].join(", "));
            rig.receive(&list.to_bytes());
            let answer = rig.sent().first().and_then(Sip::status);
            // An answer repeats each Via: a thousand are more than there is room for.
            let room = name != "Via" || fields < 1000;
            assert_eq!(answer, room.then_some(200), "{fields} {name}");
            assert_eq!(rig.stats().answers_dropped, u32::from(!room));
        }
        assert_eq!(rig.settled(), base, "{name}");
    }
}

#[test]
fn one_message_on_a_stream() {
    const BUFFER: u16 = 1500;
    for (over, status) in [(-1, 200), (0, 200), (1, 413)] {
        let mut rig = Rig::new(Transport::Tcp, |config| Config {
            stream_buffer: BUFFER,
            ..config
        });
        rig.register();
        let size = usize::from(BUFFER).checked_add_signed(over).unwrap();
        let mut message = rig.message(TEXT, &[b'x'; 900]);
        while message.to_bytes().len() < size {
            message.body.push(b'x');
        }
        assert_eq!(message.to_bytes().len(), size);
        rig.receive(&message.to_bytes());
        assert_eq!(rig.status(), status, "{size}");
        assert_eq!(rig.inbox.len(), usize::from(status == 200));
        // The flow goes on.
        let next = rig.message(TEXT, b"next");
        rig.receive(&next.to_bytes());
        assert_eq!(rig.status(), 200);
        assert_eq!(rig.inbox.last().unwrap().text(), "next");
    }
}

#[test]
fn one_head_on_a_stream() {
    const BUFFER: u16 = 1500;
    for (over, status) in [(-1, 200), (0, 200), (1, 513)] {
        let mut rig = Rig::new(Transport::Tcp, |config| Config {
            stream_buffer: BUFFER,
            ..config
        });
        rig.register();
        rig.open = false;
        let size = usize::from(BUFFER).checked_add_signed(over).unwrap();
        let mut options = request(Transport::Tcp, "OPTIONS", "z9hG4bK1");
        options.push("Pad", "");
        let pad = size - options.to_bytes().len();
        options.set("Pad", &"x".repeat(pad));
        assert_eq!(options.to_bytes().len(), size);
        rig.receive(&options.to_bytes());
        assert_eq!(rig.status(), status, "{size}");
        assert_eq!(rig.closed.len(), usize::from(status == 513));
    }
}

#[test]
fn one_message_in_a_datagram() {
    for over in [-1, 0] {
        let mut rig = rig::<4, 16, 16_384>(|config| config);
        let size = MAX_MESSAGE.checked_add_signed(over).unwrap();
        let mut message = rig.message(TEXT, &[b'x'; 60_000]);
        while message.to_bytes().len() < size {
            message.body.push(b'x');
        }
        assert_eq!(message.to_bytes().len(), size);
        let length = message.body.len();
        rig.receive(&message.to_bytes());
        assert_eq!(rig.status(), 200);
        assert_eq!(rig.inbox[0].body.len(), length);
    }
}

/// A row of the request table is kept for the REGISTER of the next hop.
#[test]
fn requests_at_once() {
    const TXNS: usize = 5;
    let mut rig = rig::<TXNS, 16, 16_384>(|config| config);
    let base = rig.client.usage();
    let send = |rig: &mut Rig<_>, n: usize| {
        let target = format!("sip:user{n}@example.com");
        rig.call(|client: &mut Client<_>, now| client.send_message(now, &to(&target)))
    };
    let mut ids = Vec::new();
    for n in 0..TXNS - 1 {
        ids.push(send(&mut rig, n).unwrap());
    }
    let requests = rig.sent();
    // The last one waits: two transactions are for REGISTER and for peers.
    assert_eq!(requests.len(), TXNS - 2);
    let before = rig.client.usage();
    let full = CommandError::Full {
        limit: Limit::Requests,
        needed: 1,
        available: 0,
    };
    assert_eq!(send(&mut rig, TXNS), Err(full));
    assert_eq!(rig.client.usage(), before, "nothing has changed");
    assert!(rig.sent.is_empty());
    // One ends: there is room for one.
    rig.answer(&requests[0], 200, &[]);
    let delivered = SendOutcome::Delivered { status: 200 };
    assert_eq!(rig.events, [Happened::Sent(ids[0], delivered)]);
    send(&mut rig, TXNS).unwrap();
    assert_eq!(send(&mut rig, TXNS + 1), Err(full));
    rig.settled();
    assert_eq!(rig.client.usage(), base);
}

/// A queue of messages that nobody answers does not cost the registration.
#[test]
fn the_refresh_finds_room_in_full_tables() {
    let mut rig = Rig::with(Inline::<4, 16, 8192>::new(), Transport::Udp, |config| {
        config
    });
    rig.register();
    // The refresh is due in the last minutes of the hour.
    let mut refresh = None;
    while refresh.is_none() && rig.now.as_millis() < 3_600_000 {
        for n in 0..4 {
            let target = format!("sip:user{n}@example.com");
            let _full = rig.call(|client, now| client.send_message(now, &to(&target)));
        }
        rig.run_with(1_000, |rig| {
            let register = |sip: &Sip| sip.method() == Some("REGISTER");
            refresh = refresh.take().or(rig.sent().into_iter().find(register));
        });
    }
    rig.events.clear();
    rig.receive(&rig::registered(&refresh.expect("a refresh")));
    let refreshed = |event: &Happened| matches!(event, Happened::Refreshed { .. });
    assert!(rig.events.iter().any(refreshed), "{:?}", rig.events);
    assert!(rig.closed.is_empty());
}

/// Requests that came in and wait for their answer to be polled: all rows but one.
#[test]
fn transactions_at_once() {
    const TXNS: usize = 5;
    for (method, usual, full) in [
        ("MESSAGE", 200, 480),
        ("OPTIONS", 200, 500),
        ("BYE", 481, 500),
    ] {
        let mut rig = rig::<TXNS, 16, 16_384>(|config| config);
        let base = rig.client.usage();
        let mut sent = Vec::new();
        for n in 0..TXNS {
            let sip = request(Transport::Udp, method, &format!("z9hG4bK{n}"));
            let (_, taken) = rig.give(rig.main, &sip.to_bytes());
            assert_ne!(taken, Taken::Later);
            sent.push(sip);
        }
        rig.drain();
        let mut statuses: Vec<_> = rig.sent().iter().filter_map(Sip::status).collect();
        statuses.sort_unstable();
        let mut expected = vec![usual; TXNS - 1];
        expected.push(full);
        expected.sort_unstable();
        assert_eq!(statuses, expected, "{method}");
        assert_eq!(rig.stats().no_room, 1);
        // What was refused for want of room is no transaction: later it is taken.
        rig.receive(&sent[TXNS - 1].to_bytes());
        assert_eq!(rig.status(), usual);
        assert_eq!(rig.client.usage(), base);
    }
}

/// The largest message that fits, and one octet more: which limit, how much, how much there is.
#[test]
fn octets_of_the_arena() {
    let mut rig = rig::<4, 16, 8192>(|config| Config {
        end_to_end: EndToEnd::Streams,
        path_mtu: Some(u16::MAX),
        ..config
    });
    let base = rig.client.usage();
    let body = vec![b'x'; 8192];
    let send = |rig: &mut Rig<_>, size: usize| {
        let message = Outgoing {
            body: &body[..size],
            ..to("sip:alice@example.com")
        };
        rig.call(|client: &mut Client<_>, now| client.send_message(now, &message))
    };
    let mut largest = None;
    let (mut fits, mut fails) = (0, 8192);
    while fits + 1 < fails {
        let size = (fits + fails) / 2;
        match send(&mut rig, size) {
            Ok(id) => {
                let sent = rig.one();
                assert_eq!(sent.body.len(), size);
                rig.answer(&sent, 200, &[]);
                let delivered = SendOutcome::Delivered { status: 200 };
                assert_eq!(rig.events.pop(), Some(Happened::Sent(id, delivered)));
                fits = size;
                largest = Some(sent);
            }
            Err(CommandError::Full {
                limit: Limit::Arena,
                needed,
                available,
            }) => {
                assert!(needed > available, "{needed} {available}");
                assert!(needed > size);
                // Nothing has changed but that transactions of the ones before may end.
                assert_eq!(rig.client.usage().arena, base.arena);
                assert!(rig.sent.is_empty() && rig.events.is_empty());
                fails = size;
            }
            other => panic!("{size}: {other:?}"),
        }
    }
    let at = send(&mut rig, fails);
    let Err(CommandError::Full {
        needed, available, ..
    }) = at
    else {
        panic!("{at:?}");
    };
    // One octet more in the body is one more in the draft and one in what goes out.
    assert!(
        (1..=2).contains(&(needed - available)),
        "{needed} {available}"
    );
    // Draft and request were there together: that is what the arena was used for.
    let size = largest.unwrap().to_bytes().len();
    assert!(2 * size + base.arena > 8192 - 400, "{size}");
    assert_eq!(rig.settled(), base);
}

/// No table and no octet is left for a command: it says so, and what waits goes all the same.
#[test]
fn a_full_arena_loses_nothing() {
    let mut rig = rig::<16, 16, 8192>(|config| config);
    let base = rig.client.usage();
    let text = "x".repeat(300);
    let mut ids = Vec::new();
    loop {
        let target = format!("sip:user{}@example.com", ids.len());
        let message = Outgoing::text(&target, &text);
        // Not drained: all of them are drafts.
        match rig.only(|client, now| client.send_message(now, &message)) {
            Ok(id) => ids.push(id),
            Err(CommandError::Full {
                limit: Limit::Arena,
                needed,
                available,
            }) => {
                assert!(needed > available);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(ids.len() >= 3);
    // Peers still get their answers.
    let message = rig.message(TEXT, b"Hello");
    rig.receive(&message.to_bytes());
    let sent = rig.sent();
    assert!(sent.iter().any(|sip| sip.status() == Some(200)));
    let mut requests: Vec<_> = sent
        .into_iter()
        .filter(|sip| sip.method().is_some())
        .collect();
    rig.events.clear();
    while !requests.is_empty() {
        for request in std::mem::take(&mut requests) {
            rig.answer(&request, 200, &[]);
        }
        requests = rig.sent();
    }
    // Each has its own target: they may overtake one another.
    let mut told: Vec<SendId> = rig
        .events
        .iter()
        .filter_map(|event| match event {
            Happened::Sent(id, SendOutcome::Delivered { status: 200 }) => Some(*id),
            _ => None,
        })
        .collect();
    told.sort_unstable();
    assert_eq!(told, ids);
    assert_eq!(rig.settled(), base);
}

/// A message that waits for a report is less than a message that has to go.
#[test]
fn tickets_give_way_to_requests() {
    let mut rig = rig::<8, 32, 5120>(|config| config);
    let base = rig.client.usage();
    let long = "n".repeat(60);
    for n in 0..8 {
        let body = rig::cpim(
            "sip:alice@example.com",
            &format!("{long}{n}"),
            "display",
            "Hello",
        )
        .replacen("Alice", &"A".repeat(60), 1)
        .replacen(
            "NS:",
            &format!(
                "imdn.Original-To: <sip:{}@example.com>\r\nNS:",
                "o".repeat(150)
            ),
            1,
        );
        let message = rig.message("message/cpim", body.as_bytes());
        rig.receive(&message.to_bytes());
    }
    rig.sent.clear();
    assert!(rig.client.usage().arena > base.arena + 2000);
    // Nobody ever looks at them, and a long message is to be sent.
    let text = "x".repeat(400);
    let message = Outgoing::text("sip:carol@example.com", &text);
    rig.call(|client, now| client.send_message(now, &message))
        .unwrap();
    let request = rig.one();
    rig.answer(&request, 200, &[]);
    let evicted = rig.stats().tickets_evicted;
    assert!((1..8).contains(&evicted), "{evicted}");
    // The oldest went, the newest can still be reported.
    let (first, last) = (rig.inbox[0].id, rig.inbox[7].id);
    let said = rig.call(|client, now| client.displayed(now, first));
    assert_eq!(said, Err(CommandError::NotAskedFor));
    rig.call(|client, now| client.displayed(now, last)).unwrap();
    assert_eq!(rig.sent().len(), 1);
}

/// Messages that may be reported on, as many as there are transactions.
#[test]
fn tickets() {
    const TXNS: usize = 4;
    let mut rig = rig::<TXNS, 32, 16_384>(|config| config);
    for (count, evicted) in [(TXNS - 1, 0), (TXNS, 0), (TXNS + 1, 1)] {
        while rig.inbox.len() < count {
            let n = rig.inbox.len();
            let message = rig.wrapped(&format!("m{n}"), "display");
            rig.receive(&message.to_bytes());
            assert_eq!(rig.status(), 200);
        }
        assert_eq!(rig.stats().tickets_evicted, evicted, "{count}");
    }
    let ids: Vec<_> = rig.inbox.iter().map(|incoming| incoming.id).collect();
    let said = rig.call(|client, now| client.displayed(now, ids[0]));
    assert_eq!(said, Err(CommandError::NotAskedFor));
    for id in &ids[1..] {
        assert_eq!(rig.call(|client, now| client.displayed(now, *id)), Ok(()));
    }
}

/// Answers that are repeated: the oldest is forgotten and counted.
#[test]
fn answers_remembered() {
    const REMEMBERED: usize = 16;
    for (count, evicted) in [(REMEMBERED - 1, 0), (REMEMBERED, 0), (REMEMBERED + 1, 1)] {
        let mut rig = rig::<4, REMEMBERED, 8192>(|config| config);
        let mut sent = Vec::new();
        for _ in 0..count {
            // A time of its own for each: Timer J is told in ticks of 256 ms.
            rig.now = rig.now.after(300);
            let options = request(Transport::Udp, "OPTIONS", &rig.branch());
            rig.receive(&options.to_bytes());
            let answer = rig.one();
            sent.push((options, answer));
        }
        assert_eq!(rig.stats().echoes_evicted, evicted, "{count}");
        for (n, (options, first)) in sent.iter().enumerate().rev() {
            rig.receive(&options.to_bytes());
            let again = rig.one();
            let forgotten = evicted == 1 && n == 0;
            assert_eq!(again == *first, !forgotten, "{n} of {count}");
        }
    }
}

/// What ended in between makes room: nothing is evicted as long as no more live than there are rows.
#[test]
fn answers_end_with_timer_j() {
    let mut rig = rig::<4, 16, 8192>(|config| config);
    for n in 0..200 {
        // 16 live at once, in no order of the rows.
        rig.now = rig.now.after(if n % 3 == 0 { 4_000 } else { 2_100 });
        let options = request(Transport::Udp, "OPTIONS", &rig.branch());
        rig.receive(&options.to_bytes());
        assert_eq!(rig.status(), 200);
    }
    assert_eq!(rig.stats().echoes_evicted, 0);
}

#[test]
fn message_ids_remembered() {
    const REMEMBERED: usize = 16;
    for (count, evicted) in [(REMEMBERED - 1, 0), (REMEMBERED, 0), (REMEMBERED + 1, 1)] {
        let mut rig = rig::<4, REMEMBERED, 8192>(|config| config);
        for n in 0..count {
            let message = rig.wrapped(&format!("m{n}"), "");
            rig.receive(&message.to_bytes());
        }
        assert_eq!(rig.stats().seen_evicted, evicted, "{count}");
        for n in (0..count).rev() {
            let handed_out = rig.inbox.len();
            let message = rig.wrapped(&format!("m{n}"), "");
            rig.receive(&message.to_bytes());
            let forgotten = evicted == 1 && n == 0;
            assert_eq!(rig.inbox.len() > handed_out, forgotten, "{n} of {count}");
        }
    }
}

/// Messages of ours that wait for reports: four for each transaction.
#[test]
fn messages_awaiting_reports() {
    const TXNS: usize = 2;
    const AWAITED: usize = 4 * TXNS;
    let mut rig = rig::<TXNS, 16, 8192>(|config| config);
    let mut ids = Vec::new();
    for count in 1..=AWAITED + 1 {
        let hello = to("sip:alice@example.com").with_delivery_report();
        let id = rig
            .call(|client, now| client.send_message(now, &hello))
            .unwrap();
        ids.push(id);
        let request = rig.one();
        rig.answer(&request, 200, &[]);
        let evicted = u32::from(count > AWAITED);
        assert_eq!(rig.stats().awaited_evicted, evicted, "{count}");
        let closed = rig.events.contains(&Happened::WindowClosed(ids[0]));
        assert_eq!(closed, evicted == 1, "{count}");
    }
}

#[test]
fn flows_at_once() {
    let mut rig = rig::<4, 16, 8192>(|config| config);
    for (count, refused) in [(MAX_FLOWS - 1, 0), (MAX_FLOWS, 0), (MAX_FLOWS + 1, 1)] {
        // The main flow is one of them.
        let mut last = rig.main;
        for _ in 1..count {
            last = rig.accepted(Transport::Tcp);
        }
        assert_eq!(rig.stats().flows_refused, refused, "{count}");
        let closed: Vec<_> = (0..refused)
            .map(|_| (last, CloseReason::NotNeeded))
            .collect();
        assert_eq!(rig.closed, closed);
        let open: Vec<_> = (2..=last.0).map(FlowId).collect();
        for flow in open {
            rig.call(|client, now| client.flow_closed(now, flow));
        }
    }
}

#[test]
fn paths_at_once() {
    let hop = NextHop::new("proxy.example.com", Transport::Udp);
    for count in 0..=MAX_PATHS + 1 {
        let hops = vec![hop; count];
        let config = Config::new("sip:bob@example.com", &hops);
        let client = Client::new(&config, Box::new(Small::new()), [7; 32]);
        let expected = match count {
            1 | 2 => None,
            _ => Some(ConfigError::NextHops),
        };
        assert_eq!(client.err(), expected, "{count}");
    }
}

#[test]
fn the_smallest_storage() {
    let hops = [NextHop::new("proxy.example.com", Transport::Udp)];
    let config = Config::new("sip:bob@example.com", &hops);
    let with = |transactions, arena| {
        let limits = HeapLimits {
            transactions,
            remembered: 4,
            arena,
        };
        Client::new(&config, Heap::new(limits), [7; 32]).err()
    };
    assert_eq!(with(1, 4096), Some(ConfigError::Storage));
    assert_eq!(with(2, 4096), None);
    assert_eq!(with(3, 4096), None);
    let Some(ConfigError::Arena {
        needed,
        available: 0,
    }) = with(2, 0)
    else {
        panic!("{:?}", with(2, 0));
    };
    let too_small = Some(ConfigError::Arena {
        needed,
        available: needed - 1,
    });
    assert_eq!(with(2, needed - 1), too_small);
    assert_eq!(with(2, needed), None);
    assert_eq!(with(2, needed + 1), None);
}

/// Events wait until they are polled: then commands are `Busy` and bytes are `Later`, and nothing is lost.
#[test]
fn events_that_wait() {
    let mut rig = rig::<8, 16, 16_384>(|config| config);
    let base = rig.client.usage();
    let mut told = 0;
    let mut later = None;
    for n in 0..EVENTS {
        let xml = imdn(&format!("m{n}"), "delivery", "delivered");
        let report = rig.message("message/imdn+xml", xml.as_bytes()).to_bytes();
        match rig.give(rig.main, &report) {
            (0, Taken::Later) => {
                later = Some(report);
                break;
            }
            (consumed, Taken::Nothing) => assert_eq!(consumed, report.len()),
            other => panic!("{other:?}"),
        }
        told += 1;
    }
    // A step may need three places.
    assert_eq!(told, EVENTS - 2);
    let report = later.unwrap();
    let busy = rig.only(|client, now| client.send_message(now, &to("sip:alice@example.com")));
    assert_eq!(busy, Err(CommandError::Busy));
    assert_eq!(
        rig.only(|client, now| client.deregister(now)),
        Err(CommandError::Busy)
    );
    assert!(rig.events.is_empty());
    rig.drain();
    rig.receive(&report);
    let ids: Vec<_> = rig
        .events
        .iter()
        .map(|event| match event {
            Happened::Report { message_id, .. } => message_id.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected: Vec<_> = (0..=told).map(|n| format!("m{n}")).collect();
    assert_eq!(ids, expected);
    assert_eq!(rig.sent().len(), told + 1);
    assert_eq!(rig.settled(), base);
    assert_eq!(rig.stats().events_lost, 0);
    rig.call(|client, now| client.send_message(now, &to("sip:alice@example.com")))
        .unwrap();
}

/// Time stands still for nobody: timers that fall due while events wait fire after the drain, once each.
#[test]
fn timers_wait_for_events() {
    let mut rig = rig::<8, 16, 16_384>(|config| config);
    let id = rig
        .call(|client, now| client.send_message(now, &to("sip:alice@example.com")))
        .unwrap();
    rig.one();
    for n in 0..EVENTS - 2 {
        let xml = imdn(&format!("m{n}"), "delivery", "delivered");
        let report = rig.message("message/imdn+xml", xml.as_bytes()).to_bytes();
        rig.give(rig.main, &report);
    }
    // A jump over all retransmissions to the end of the transaction.
    rig.now = rig.now.after(33_000);
    rig.only(|client, now| client.timeout(now));
    rig.only(|client, now| client.timeout(now));
    assert!(rig.events.is_empty());
    rig.drain();
    let outcomes = rig
        .events
        .iter()
        .filter(|event| matches!(event, Happened::Sent(of, _) if *of == id));
    assert_eq!(outcomes.count(), 1, "{:?}", rig.events);
    assert_eq!(rig.stats().events_lost, 0);
}

#[test]
fn reports_in_one_message() {
    for (count, unread) in [
        (REPORTS_PER_MESSAGE - 1, 0),
        (REPORTS_PER_MESSAGE, 0),
        (REPORTS_PER_MESSAGE + 1, 1),
    ] {
        let mut rig = rig::<4, 16, 65_536>(|config| config);
        let parts: String = (0..count)
            .map(|n| {
                let xml = imdn(&format!("m{n}"), "delivery", "delivered");
                format!("--b1\r\nContent-Type: message/imdn+xml\r\n\r\n{xml}\r\n")
            })
            .collect();
        let body = format!(
            "From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\r\n\
             Content-Type: multipart/mixed; boundary=b1\r\nContent-Disposition: notification\r\n\r\n{parts}--b1--\r\n"
        );
        let message = rig.message("message/cpim", body.as_bytes());
        rig.receive(&message.to_bytes());
        assert_eq!(rig.events.len(), count.min(REPORTS_PER_MESSAGE));
        assert_eq!(rig.stats().reports_unread, unread);
    }
}

/// A report that is larger than what is free is put off, not cut.
#[test]
fn a_report_without_room() {
    let mut rig = rig::<4, 16, 4096>(|config| config);
    let base = rig.client.usage();
    let room = base.arena_size - base.arena;
    for size in [room - 1, room, room + 1, 10 * room] {
        let xml = imdn("m1", "delivery", "delivered") + &" ".repeat(size);
        let message = rig.message("message/imdn+xml", xml.as_bytes());
        rig.receive(&message.to_bytes());
        let answer = rig.one();
        assert_eq!(answer.status(), Some(480), "{size}");
        assert_eq!(answer.header("Retry-After"), Some("10"));
        assert!(rig.events.is_empty());
    }
    assert_eq!(rig.settled(), base);
}

/// A flow that is given to a path takes the place of the one before.
#[test]
fn a_given_flow_replaces_the_main_one() {
    let mut rig = rig::<4, 16, 8192>(|config| config);
    let old = rig.main;
    let new = FlowId(99);
    let info = info(Origin::Given(PathId(0)), Transport::Udp, new);
    rig.call(|client, now| client.flow_opened(now, new, &info));
    assert_eq!(rig.closed, [(old, CloseReason::NotNeeded)]);
}

/// A device that was off for a thousand years: everything is over, nothing is done twice.
#[test]
fn a_jump_of_the_clock() {
    let mut rig = rig::<4, 16, 8192>(|config| config);
    let id = rig
        .call(|client, now| client.send_message(now, &to("sip:alice@example.com")))
        .unwrap();
    rig.sent.clear();
    rig.now = Instant::from_millis(1000 * 365 * 86_400_000);
    rig.call(|client, now| client.timeout(now));
    let over = |event: &&Happened| matches!(event, Happened::Sent(of, _) if *of == id);
    assert_eq!(
        rig.events.iter().filter(over).count(),
        1,
        "{:?}",
        rig.events
    );
    assert!(rig.sent.len() <= 1, "no burst: {:?}", rig.sent());
}

/// What the integrator vouches for ends at what one message may have.
#[test]
fn octets_of_a_message_that_is_written() {
    let storage = Heap::new(HeapLimits {
        arena: 4 * MAX_MESSAGE,
        ..HeapLimits::default()
    });
    let mut rig = Rig::with(storage, Transport::Tcp, |config| Config {
        end_to_end: EndToEnd::Streams,
        ..config
    });
    rig.register();
    let sized = |rig: &mut Rig<Heap>, octets: usize| {
        let text = "x".repeat(octets);
        let hello = Outgoing::text("sip:carol@example.com", &text);
        let sent = rig.only(|client, now| client.send_message(now, &hello));
        sent.map(|id| assert_eq!(rig.only(|client, now| client.withdraw(now, id)), Ok(())))
    };
    let Err(CommandError::Full {
        limit: Limit::MessageSize,
        needed,
        available,
    }) = sized(&mut rig, MAX_MESSAGE)
    else {
        panic!("the head comes on top of that")
    };
    assert_eq!(available, MAX_MESSAGE);
    let most = MAX_MESSAGE - (needed - MAX_MESSAGE);
    assert_eq!(sized(&mut rig, most), Ok(()));
    let too_many = Err(CommandError::Full {
        limit: Limit::MessageSize,
        needed: MAX_MESSAGE + 1,
        available: MAX_MESSAGE,
    });
    assert_eq!(sized(&mut rig, most + 1), too_many);
}

/// Of what is too long only a request is answered, and only to those that we listen to.
#[test]
fn what_is_too_long_and_no_request_of_ours() {
    let long = |start: &str| {
        let mut sip = request(Transport::Tcp, "MESSAGE", "z9hG4bKlong");
        sip.start = start.into();
        let bytes = String::from_utf8(sip.to_bytes()).unwrap();
        bytes
            .replace("Content-Length: 0", "Content-Length: 9000000")
            .into_bytes()
    };
    let mut rig = Rig::ready(Transport::Tcp);
    rig.receive(&long("SIP/2.0 200 OK"));
    assert_eq!((rig.sent().len(), rig.stats().unparsable), (0, 1));
    // A stranger's, which the policy drops, is not even looked at.
    let mut rig = Rig::ready(Transport::Tcp);
    let stranger = rig.accepted(Transport::Tcp);
    rig.receive_on(stranger, &long("MESSAGE sip:bob@example.com SIP/2.0"));
    assert_eq!((rig.sent().len(), rig.stats().unparsable), (0, 0));
    rig.receive(&long("MESSAGE sip:bob@example.com SIP/2.0"));
    assert_eq!(rig.status(), 413);
}

/// A registration of the modem's that does not fit changes nothing, whichever of its texts it is.
#[test]
fn octets_of_an_adopted_registration() {
    let long = format!("<sip:{}@example.com>", "x".repeat(1500));
    for (service_route, associated) in [(&*long, ""), ("", &*long), ("<sip:a@b>", &*long)] {
        let mut rig = Rig::with(Inline::<2, 8, 1024>::new(), Transport::Udp, |config| config);
        let before = rig.client.usage();
        let adopted = Adopted {
            service_route,
            associated,
        };
        let adopt = rig.call(|client, now| client.adopt_registration(now, &adopted));
        assert!(
            matches!(
                adopt,
                Err(CommandError::Full {
                    limit: Limit::Arena,
                    ..
                })
            ),
            "{adopt:?}"
        );
        assert_eq!(rig.client.usage(), before);
        let adopted = Adopted {
            service_route: "<sip:a@b>",
            associated: "",
        };
        rig.call(|client, now| client.adopt_registration(now, &adopted))
            .unwrap();
        assert!(rig.client.is_ready());
    }
}

//! Keep-alives and wake-ups of a client (RFC 5626 §4.4, RFC 6223), and clocks that jump.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod ladder;

use ladder::{Bare, HOUR, MINUTE, SECOND, header, message};
use oma_im::client::{CloseReason, Wake};
use oma_im::config::{Config, KeepAlive, Nat, Transport};
use oma_im::id::FlowId;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::sip::Sip;
use oma_im::time::Instant;

const FLOW: FlowId = FlowId(1);
const PING: &[u8] = b"\r\n\r\n";
const PONG: &[u8] = b"\r\n";
const OUTBOUND: (&str, &str) = ("Require", "outbound");

/// A client registered over a flow, whose server said this of keep-alives.
fn registered(transport: Transport, keep_alive: KeepAlive, said: &[(&str, &str)]) -> Bare {
    let mut bare = Bare::new(transport, |config| Config {
        keep_alive,
        nat: if transport == Transport::Udp {
            Nat::Leave
        } else {
            Nat::Outbound
        },
        ..config
    });
    bare.act(|client, now| client.register(now)).unwrap();
    bare.open();
    grant(&mut bare, said);
    assert!(bare.client.is_ready());
    bare
}

/// A 200 to the last REGISTER; `("keep", seconds)` goes into its Via.
fn grant(bare: &mut Bare, said: &[(&str, &str)]) {
    let register = bare.last("REGISTER");
    let mut response = Sip::response(&register, 200, "OK", "srv");
    response.push("Contact", header(&register, "Contact"));
    for (name, value) in said {
        if *name == "keep" {
            let via = response.pop("Via").unwrap();
            response.push_front("Via", &via.replace(";keep", &format!(";keep={value}")));
        } else {
            response.push(name, value);
        }
    }
    bare.feed(FLOW, &response.to_bytes());
}

/// The times of the pings.
fn pings(bare: &Bare) -> Vec<u64> {
    let all = bare.keep_alives().into_iter();
    all.filter(|(_, bytes)| bytes == PING)
        .map(|(at, _)| at)
        .collect()
}

/// The times of the STUN requests.
fn stuns(bare: &Bare) -> Vec<u64> {
    let all = bare.keep_alives().into_iter();
    all.filter(|(_, bytes)| bytes.len() == 20)
        .map(|(at, _)| at)
        .collect()
}

/// The answer to the last STUN request: seen at this IPv4 address and port.
fn stun_answer(bare: &Bare, port: u16) -> Vec<u8> {
    let request = bare.sent.iter().rev().find(|(_, _, b)| b.len() == 20);
    let id = &request.unwrap().2[4..20];
    let mut answer = vec![1, 1, 0, 12];
    answer.extend_from_slice(id);
    answer.extend_from_slice(&[0, 0x20, 0, 8, 0, 1]);
    answer.extend_from_slice(&(port ^ 0x2112).to_be_bytes());
    let address = [203, 0, 113, 1];
    answer.extend(address.iter().zip(&id[..4]).map(|(a, b)| a ^ b));
    answer
}

/// Lets time pass with a server that grants every refresh and answers every keep-alive; gives how
/// many of each there were.
fn serve(bare: &mut Bare, millis: u64, said: &[(&str, &str)]) -> (u32, u32) {
    let end = bare.now.after(millis);
    let (mut refreshes, mut keep_alives) = (0, 0);
    loop {
        let seen = bare.sent.len();
        let due = bare.deadline.map(|deadline| deadline.at);
        let Some(due) = due.filter(|due| *due <= end) else {
            break;
        };
        bare.run(due.since(bare.now));
        let fresh = bare.sent[seen..].to_vec();
        for (_, _, bytes) in fresh {
            match Sip::parse(&bytes) {
                Some(sip) if sip.method() == Some("REGISTER") => {
                    refreshes += 1;
                    grant(bare, said);
                }
                Some(sip) => {
                    assert_eq!(sip.method(), Some("OPTIONS"));
                    keep_alives += 1;
                    bare.answer(FLOW, "OPTIONS", 200, &[]);
                }
                None if bytes == PING => {
                    keep_alives += 1;
                    bare.feed(FLOW, PONG);
                }
                None => {
                    keep_alives += 1;
                    let answer = stun_answer(bare, 4000);
                    bare.feed(FLOW, &answer);
                }
            }
        }
    }
    bare.run(end.since(bare.now));
    (refreshes, keep_alives)
}

fn gaps(times: &[u64]) -> impl Iterator<Item = u64> + '_ {
    times.windows(2).map(|pair| pair[1] - pair[0])
}

// Streams.

/// RFC 5626 §4.4.1, without an indication: the ping keeps the NAT open, and nobody has to answer.
#[test]
fn without_an_indication_a_stream_is_pinged_and_no_pong_is_missed() {
    let mut bare = registered(Transport::Tcp, KeepAlive::Auto, &[]);
    bare.run(50 * MINUTE - SECOND);
    let times = pings(&bare);
    assert!(times.len() >= 25);
    assert!(gaps(&times).all(|gap| (95_000..=120_000).contains(&gap)));
    let drawn: std::collections::BTreeSet<u64> = gaps(&times).collect();
    assert!(drawn.len() > 5, "drawn anew each time");
    assert!(bare.closes.is_empty());
    assert!(bare.client.is_ready());
}

#[test]
fn battery_has_the_long_intervals() {
    let mut bare = registered(Transport::Tcp, KeepAlive::Battery, &[]);
    bare.run(50 * MINUTE - SECOND);
    let times = pings(&bare);
    assert!(times.len() >= 3);
    assert!(gaps(&times).all(|gap| (672_000..=840_000).contains(&gap)));
}

#[test]
fn after_an_indication_a_missing_pong_closes_the_flow() {
    for said in [OUTBOUND, ("Flow-Timer", "120"), ("keep", "120")] {
        let mut bare = registered(Transport::Tcp, KeepAlive::Auto, &[said]);
        while pings(&bare).is_empty() {
            bare.run(SECOND);
        }
        let ping = pings(&bare)[0];
        bare.run(ping + 10 * SECOND - 1 - bare.at());
        assert!(bare.closes.is_empty(), "{said:?}");
        bare.run(1);
        assert_eq!(bare.closes, [(FLOW, CloseReason::NoPong)], "{said:?}");
        // RFC 5626 §4.5: no keep-alive was ever answered, so the flow never worked: wait.
        assert_eq!(bare.saw("Retrying { failure: Unreachable"), 1);
        bare.run(MINUTE);
        assert_eq!(bare.opens.len(), 2, "{said:?}");
    }
    let mut bare = registered(Transport::Tcp, KeepAlive::Supervised, &[]);
    bare.run(3 * MINUTE);
    assert_eq!(bare.closes, [(FLOW, CloseReason::NoPong)]);
}

#[test]
fn a_flow_that_answered_once_is_replaced_at_once() {
    let mut bare = registered(Transport::Tcp, KeepAlive::Auto, &[OUTBOUND]);
    serve(&mut bare, 10 * MINUTE, &[OUTBOUND]);
    assert!(bare.closes.is_empty());
    let before = pings(&bare).len();
    while pings(&bare).len() == before {
        bare.run(SECOND);
    }
    bare.run(10 * SECOND);
    assert_eq!(bare.closes, [(FLOW, CloseReason::NoPong)]);
    assert_eq!(bare.saw("Lost"), 1);
    assert_eq!(bare.opens.len(), 2);
    assert_eq!(bare.opens[1].at, bare.events.last().unwrap().0);
}

/// Pongs that follow each other look like pings of the server's; they are pongs all the same.
#[test]
fn a_day_of_pongs_keeps_the_flow() {
    let mut bare = registered(Transport::Tcp, KeepAlive::Auto, &[OUTBOUND]);
    let (_, answered) = serve(&mut bare, 24 * HOUR, &[OUTBOUND]);
    assert!(answered > 700);
    assert!(bare.closes.is_empty());
    let pongs = bare.keep_alives();
    assert!(
        pongs.iter().all(|(_, bytes)| bytes == PING),
        "none answered"
    );
}

#[test]
fn intervals_of_the_server_are_80_to_100_percent() {
    for said in [("Flow-Timer", "300"), ("keep", "300")] {
        let mut bare = registered(Transport::Tcp, KeepAlive::Auto, &[said]);
        serve(&mut bare, 49 * MINUTE, &[said]);
        let times = pings(&bare);
        assert!(times.len() >= 9, "{said:?}");
        assert!(gaps(&times).all(|gap| (240_000..=300_000).contains(&gap)));
    }
}

/// RFC 6223 §4.2.2: what the next 200 does not negotiate again has ended.
#[test]
fn an_indication_ends_with_the_next_200_that_lacks_it() {
    let mut bare = registered(Transport::Tcp, KeepAlive::Auto, &[("keep", "600")]);
    serve(&mut bare, 51 * MINUTE, &[]);
    let before = pings(&bare).len();
    bare.run(40 * MINUTE);
    assert!(
        pings(&bare).len() > before + 15,
        "the intervals are ours again"
    );
    assert!(bare.closes.is_empty(), "and no pong is missed");
}

#[test]
fn a_pong_may_come_in_pieces_and_behind_a_message() {
    let mut bare = registered(Transport::Tcp, KeepAlive::Supervised, &[]);
    while pings(&bare).is_empty() {
        bare.run(SECOND);
    }
    let ping = pings(&bare)[0];
    // RFC 5626 §4.4.1: a message is just coming in when the 10 s are over.
    let mut bytes = message("z9hG4bK1", 1, "Hello").to_bytes();
    let (head, rest) = bytes.split_at(100);
    let (head, rest) = (head.to_vec(), rest.to_vec());
    bare.run(ping + 9 * SECOND - bare.at());
    assert!(bare.feed(FLOW, &head).is_empty());
    bare.run(5 * SECOND);
    assert!(bare.closes.is_empty());
    bytes = [head, rest].concat();
    assert_eq!(bare.feed(FLOW, &bytes), ["Hello"]);
    bare.feed(FLOW, b"\r");
    bare.feed(FLOW, b"\r\n");
    bare.run(30 * SECOND);
    assert!(bare.closes.is_empty());
}

#[test]
fn a_ping_of_the_server_is_answered_by_a_pong() {
    let pongs = |bare: &Bare| {
        let all = bare.keep_alives().into_iter();
        all.filter(|(_, bytes)| bytes == PONG).count()
    };
    let mut bare = registered(Transport::Tcp, KeepAlive::Off, &[]);
    bare.feed(FLOW, PING);
    assert_eq!(pongs(&bare), 1);
    bare.feed(FLOW, b"\r\n\r\n\r\n\r\n");
    assert_eq!(pongs(&bare), 3);
    // Byte by byte, as streams are.
    for at in 0..4 {
        let shown = if at % 2 == 0 { &b"\r"[..] } else { b"\r\n" };
        bare.feed(FLOW, shown);
    }
    assert_eq!(pongs(&bare), 4);
    // In front of a message, which is not lost by it.
    let bytes = [PING, &message("z9hG4bK1", 1, "Hi").to_bytes()[..]].concat();
    assert_eq!(bare.feed(FLOW, &bytes), ["Hi"]);
    assert_eq!(pongs(&bare), 5);
}

// Datagrams.

#[test]
fn on_datagrams_nothing_is_sent_without_an_indication() {
    for keep_alive in [KeepAlive::Auto, KeepAlive::Battery] {
        let mut bare = registered(Transport::Udp, keep_alive, &[]);
        serve(&mut bare, 24 * HOUR, &[]);
        assert!(bare.keep_alives().is_empty());
        assert!(bare.requests("OPTIONS").is_empty());
    }
}

/// RFC 5626 §4.4.2 and §8: STUN, and never CRLF.
#[test]
fn on_datagrams_stun_is_sent_when_it_was_indicated() {
    for (keep_alive, said, low, high) in [
        (KeepAlive::Auto, &[("keep", "100")][..], 80_000, 100_000),
        (KeepAlive::Auto, &[("keep", "0")], 24_000, 29_000),
        (KeepAlive::Supervised, &[], 24_000, 29_000),
    ] {
        let mut bare = registered(Transport::Udp, keep_alive, said);
        serve(&mut bare, 49 * MINUTE, said);
        let times = stuns(&bare);
        assert!(times.len() >= 29, "{said:?}");
        assert!(
            gaps(&times).all(|gap| (low..=high).contains(&gap)),
            "{said:?}"
        );
        assert!(pings(&bare).is_empty());
        assert!(bare.closes.is_empty());
        // RFC 5389 §6: a Binding request with the magic cookie and a new id each time.
        let mut ids = std::collections::BTreeSet::new();
        for (_, bytes) in bare.keep_alives() {
            assert_eq!(bytes[..8], [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]);
            assert!(ids.insert(bytes[8..].to_vec()));
        }
    }
}

#[test]
fn stun_without_an_answer_is_sent_seven_times_and_then_the_flow_has_failed() {
    let mut bare = registered(Transport::Udp, KeepAlive::Supervised, &[]);
    while stuns(&bare).is_empty() {
        bare.run(100);
    }
    let first = stuns(&bare)[0];
    bare.run(2 * MINUTE);
    let offsets: Vec<u64> = stuns(&bare).iter().map(|at| at - first).collect();
    // RFC 5389 §7.2.1, Rc = 7, Rm = 16.
    assert_eq!(offsets, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(bare.closes, [(FLOW, CloseReason::NoPong)]);
    let same = &bare.keep_alives()[0].1;
    assert!(bare.keep_alives().iter().all(|(_, bytes)| bytes == same));
    let failed = bare.events.last().unwrap().0 - first;
    assert_eq!(failed, 39_500);
}

#[test]
fn a_mapping_that_changed_or_an_error_is_a_failed_flow() {
    let mut bare = registered(Transport::Udp, KeepAlive::Supervised, &[]);
    serve(&mut bare, 5 * MINUTE, &[]);
    let next = bare.deadline.unwrap().at;
    bare.run(next.since(bare.now));
    let moved = stun_answer(&bare, 4001);
    bare.feed(FLOW, &moved);
    assert_eq!(bare.closes, [(FLOW, CloseReason::NoPong)]);

    let mut bare = registered(Transport::Udp, KeepAlive::Supervised, &[]);
    let next = bare.deadline.unwrap().at;
    bare.run(next.since(bare.now));
    let mut refused = stun_answer(&bare, 4000);
    (refused[1], refused[2], refused[3]) = (0x11, 0, 8);
    refused.truncate(20);
    refused.extend_from_slice(&[0, 9, 0, 4, 0, 0, 4, 0]);
    bare.feed(FLOW, &refused);
    assert_eq!(bare.closes, [(FLOW, CloseReason::NoPong)]);
}

#[test]
fn stun_that_answers_nothing_of_ours_is_counted() {
    let mut bare = registered(Transport::Udp, KeepAlive::Supervised, &[]);
    let next = bare.deadline.unwrap().at;
    bare.run(next.since(bare.now));
    let mut other = stun_answer(&bare, 4000);
    other[19] ^= 1;
    bare.feed(FLOW, &other);
    assert_eq!(bare.client.stats().stray_stun, 1);
    let right = stun_answer(&bare, 4000);
    bare.feed(FLOW, &right);
    bare.feed(FLOW, &right);
    assert!(bare.closes.is_empty());
}

#[test]
fn options_keep_a_datagram_flow_open_by_configuration() {
    let mut bare = registered(Transport::Udp, KeepAlive::Options, &[]);
    let (_, sent) = serve(&mut bare, 10 * MINUTE, &[]);
    assert!((20..=25).contains(&sent), "{sent}");
    let options = bare.last("OPTIONS");
    assert_eq!(options.uri(), Some("sip:example.com"));
    assert_eq!(options.header("Contact"), None);
    // Any answer shows that the flow lives.
    let next = bare.deadline.unwrap().at;
    bare.run(next.since(bare.now));
    bare.answer(FLOW, "OPTIONS", 404, &[]);
    assert!(bare.closes.is_empty());
    // None does not.
    bare.run(29 * SECOND + 32 * SECOND);
    assert_eq!(bare.closes, [(FLOW, CloseReason::NoPong)]);
}

#[test]
fn empty_lines_in_a_datagram_are_not_answered() {
    let mut bare = registered(Transport::Udp, KeepAlive::Off, &[]);
    let sent = bare.sent.len();
    for bytes in [PING, PONG, b"\0\0\0\0", b"\0"] {
        bare.feed(FLOW, bytes);
    }
    assert_eq!(bare.sent.len(), sent);
    assert_eq!(bare.client.stats().unparsable, 0);
}

// Wake-ups.

/// Requirement 4: an idle day costs one wake-up for each refresh and each keep-alive.
#[test]
fn an_idle_day_wakes_up_for_refreshes_and_keep_alives_only() {
    for (transport, keep_alive, said) in [
        (Transport::Udp, KeepAlive::Auto, &[][..]),
        (Transport::Udp, KeepAlive::Off, &[]),
        (Transport::Udp, KeepAlive::Supervised, &[]),
        (Transport::Udp, KeepAlive::Auto, &[("keep", "600")]),
        (Transport::Tcp, KeepAlive::Off, &[OUTBOUND]),
        (Transport::Tcp, KeepAlive::Auto, &[]),
        (Transport::Tcp, KeepAlive::Auto, &[OUTBOUND]),
        (Transport::Tcp, KeepAlive::Battery, &[OUTBOUND]),
    ] {
        let row = format!("{transport:?} {keep_alive:?} {said:?}");
        let mut bare = registered(transport, keep_alive, said);
        let (wake_ups, counted) = (bare.wake_ups, bare.client.stats().wake_ups);
        let (refreshes, keep_alives) = serve(&mut bare, 24 * HOUR, said);
        assert_eq!(refreshes, 28, "{row}: a refresh every 3000 s");
        if keep_alive == KeepAlive::Off {
            assert_eq!(keep_alives, 0, "{row}");
        }
        assert_eq!(bare.wake_ups - wake_ups, refreshes + keep_alives, "{row}");
        assert_eq!(
            bare.client.stats().wake_ups - counted,
            refreshes + keep_alives,
            "{row}"
        );
        assert_eq!(bare.client.usage().requests, 0, "{row}");
    }
}

#[test]
fn the_deadline_says_what_it_is_for_and_how_exact_it_has_to_be() {
    let bare = registered(Transport::Udp, KeepAlive::Off, &[]);
    let deadline = bare.deadline.unwrap();
    assert_eq!(deadline.why, Wake::Registration);
    assert!(deadline.slack >= 60_000, "a refresh can wait for company");
    let bare = registered(Transport::Tcp, KeepAlive::Auto, &[]);
    assert_eq!(bare.deadline.unwrap().why, Wake::KeepAlive);
    // A client that was asked for nothing has no deadline at all.
    let bare = Bare::new(Transport::Udp, |config| config);
    assert_eq!(bare.deadline, None);
}

// Clocks.

const JUMPS: [u64; 3] = [SECOND, 55 * MINUTE, 31 * 24 * HOUR];

/// Requirement 18: overdue timers fire once and in order; no burst.
#[test]
fn after_a_jump_of_the_clock_each_timer_fires_once() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for jump in JUMPS {
            let mut bare = registered(transport, KeepAlive::Auto, &[]);
            let sent = bare.sent.len();
            bare.jump(jump);
            let registers = bare.requests("REGISTER").len() - 1;
            assert_eq!(
                registers,
                usize::from(jump > MINUTE),
                "{transport:?} {jump}"
            );
            let expected = registers + usize::from(jump > MINUTE && transport == Transport::Tcp);
            assert_eq!(bare.sent.len() - sent, expected, "{transport:?} {jump}");
            assert_eq!(
                bare.saw("Lost"),
                usize::from(jump > HOUR),
                "the binding ran out"
            );
            // The same reading again finds nothing.
            let sent = bare.sent.len();
            bare.jump(0);
            assert_eq!(bare.sent.len(), sent);
            assert!(bare.deadline.unwrap().at > bare.now);
            // And life goes on.
            if registers > 0 {
                grant(&mut bare, &[]);
            }
            assert!(bare.client.is_ready());
        }
    }
}

#[test]
fn a_retransmission_that_is_overdue_many_times_goes_out_once() {
    let mut bare = registered(Transport::Udp, KeepAlive::Off, &[]);
    let hello = Outgoing::text("sip:bob@example.com", "Hello");
    bare.act(|client, now| client.send_message(now, &hello))
        .unwrap();
    bare.jump(20 * SECOND);
    assert_eq!(bare.requests("MESSAGE").len(), 2);
    bare.jump(HOUR);
    assert_eq!(bare.requests("MESSAGE").len(), 2);
    assert_eq!(bare.saw("Failed(Timeout)"), 1);
}

#[test]
fn a_message_survives_a_jump_that_first_of_all_lost_its_flow() {
    // The pong is missing from 10 s after the ping on, the answer to the message from 32 s on: in
    // this order the message goes once more.
    let mut bare = registered(Transport::Tcp, KeepAlive::Supervised, &[]);
    serve(&mut bare, 10 * MINUTE, &[]);
    let before = pings(&bare).len();
    while pings(&bare).len() == before {
        bare.run(SECOND);
    }
    let hello = Outgoing::text("sip:bob@example.com", "Hello");
    bare.act(|client, now| client.send_message(now, &hello))
        .unwrap();
    bare.jump(10 * MINUTE);
    assert_eq!(bare.closes, [(FLOW, CloseReason::NoPong)]);
    assert_eq!(bare.saw("Timeout"), 0);
    let flow = bare.open();
    bare.grant(flow, &[]);
    assert_eq!(bare.requests("MESSAGE").len(), 2);
}

#[test]
fn a_clock_that_steps_back_stands_still() {
    let mut bare = registered(Transport::Tcp, KeepAlive::Auto, &[]);
    bare.run(HOUR / 2);
    let due = bare.deadline.unwrap().at;
    let sent = bare.sent.len();
    let later = std::mem::replace(&mut bare.now, Instant::ZERO);
    bare.act(|client, now| client.timeout(now));
    assert_eq!((bare.sent.len(), bare.deadline.unwrap().at), (sent, due));
    bare.now = later;
    bare.run(2 * MINUTE);
    assert!(bare.sent.len() > sent);
}

#[test]
fn the_end_of_time_is_an_instant_like_any_other() {
    let mut bare = registered(Transport::Udp, KeepAlive::Supervised, &[]);
    bare.jump(u64::MAX);
    bare.jump(0);
    bare.jump(0);
    assert!(bare.sent.len() < 10, "no burst");
}

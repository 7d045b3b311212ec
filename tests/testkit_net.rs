//! The virtual network, its log, and what is drawn from it.
#![cfg(feature = "testkit")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]

use std::net::SocketAddr;

use oma_im::testkit::log::{ConnectionEvent, Fate, Lost, Origin, Transport, What};
use oma_im::testkit::net::{
    Break, CloseWhy, Conditions, ConnectFailure, Delivery, Meddle, Network, Side, StreamSplit,
};
use oma_im::testkit::{export, ladder, pcap};
use oma_im::time::Instant;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn alice() -> SocketAddr {
    address("192.0.2.1:5060")
}

fn server() -> SocketAddr {
    address("192.0.2.9:5060")
}

fn network(seed: u64, conditions: Conditions) -> Network {
    let mut net = Network::new(seed, conditions);
    net.add_host("alice", alice().ip());
    net.add_host("server", server().ip());
    net.listen(server());
    net
}

/// Everything that arrives until nothing is under way, with its time.
fn run(net: &mut Network) -> Vec<(u64, Delivery)> {
    let mut got = Vec::new();
    while let Some(due) = net.next_delivery() {
        net.advance_to(due);
        while let Some(delivery) = net.deliver() {
            got.push((net.now().as_millis(), delivery));
        }
    }
    got
}

/// The bytes that arrived at one end, and how many reads it took.
fn read_at(got: &[(u64, Delivery)], at: Side) -> (Vec<u8>, usize) {
    let mut all = (Vec::new(), 0);
    for (_, delivery) in got {
        if let Delivery::Stream { side, bytes, .. } = delivery
            && *side == at
        {
            all.0.extend_from_slice(bytes);
            all.1 += 1;
        }
    }
    all
}

#[test]
fn same_seed_same_log() {
    let play = |seed| {
        let mut net = network(
            seed,
            Conditions {
                loss_percent: 20,
                ..Conditions::bad()
            },
        );
        let conn = net.connect(address("192.0.2.1:0"), server(), Transport::Tcp);
        for n in 0..50u8 {
            net.send_datagram(alice(), server(), &[n; 40]);
            net.send_stream(conn, Side::Client, &[n; 400]);
            net.advance_to(net.now().after(30));
            while net.deliver().is_some() {}
        }
        let got = run(&mut net);
        (net.log().entries(), got)
    };
    assert_eq!(play(7), play(7));
    assert_ne!(play(7), play(8));
}

#[test]
fn chances_are_what_the_conditions_say() {
    let conditions = Conditions {
        loss_percent: 20,
        duplicate_percent: 10,
        reorder_percent: 0,
        jitter_ms: 30,
        ..Conditions::default()
    };
    let mut net = network(1, conditions);
    for _ in 0..10_000 {
        net.send_datagram(alice(), server(), b"x");
    }
    let got = run(&mut net);
    let packets = net.log().packets();
    let lost = packets
        .iter()
        .filter(|packet| packet.fate == Fate::Lost(Lost::Loss))
        .count();
    let copies = packets
        .iter()
        .filter(|packet| packet.origin == Origin::Duplicate)
        .count();
    // Four standard deviations are 160 and 109.
    assert!((1_840..=2_160).contains(&lost), "{lost} of 10,000 lost");
    assert!(
        (690..=910).contains(&copies),
        "{copies} copies of {} that arrived",
        10_000 - lost
    );
    assert_eq!(got.len(), 10_000 - lost + copies);
    let times: Vec<u64> = got.iter().map(|(at, _)| *at).collect();
    assert_eq!(times.iter().min(), Some(&20));
    assert_eq!(
        *times.iter().max().unwrap(),
        20 + 30 + 1,
        "a copy comes at least 1 ms later"
    );
}

#[test]
fn datagrams_overtake_streams_do_not() {
    let conditions = Conditions {
        reorder_percent: 30,
        jitter_ms: 50,
        loss_percent: 10,
        split: StreamSplit::Random { max: 9 },
        ..Conditions::default()
    };
    let mut net = network(3, conditions);
    let conn = net.connect(address("192.0.2.1:0"), server(), Transport::Tcp);
    let mut sent = Vec::new();
    for n in 0..100u8 {
        net.send_datagram(alice(), server(), &[n]);
        net.send_stream(conn, Side::Client, &[n, n, n, n, n, n, n, n, n, n, n]);
        sent.extend_from_slice(&[n; 11]);
        net.advance_to(net.now().after(5));
    }
    let got = run(&mut net);
    let datagrams: Vec<u8> = got
        .iter()
        .filter_map(|(_, delivery)| match delivery {
            Delivery::Datagram { bytes, .. } => Some(bytes[0]),
            _ => None,
        })
        .collect();
    assert!(!datagrams.is_sorted(), "seed 3 reorders");
    assert!(datagrams.len() < 100, "seed 3 loses");
    let (read, reads) = read_at(&got, Side::Server);
    assert_eq!(read, sent);
    assert!(reads > 110, "{reads} reads of 100 writes");
    let crosses_writes = got.iter().any(|(_, delivery)| {
        matches!(delivery, Delivery::Stream { bytes, .. } if bytes.first() != bytes.last())
    });
    assert!(
        crosses_writes,
        "one read holds the end of one write and the start of the next"
    );
}

#[test]
fn every_byte_alone() {
    let mut net = network(
        0,
        Conditions {
            split: StreamSplit::Every(1),
            ..Conditions::default()
        },
    );
    let conn = net.connect(address("192.0.2.1:0"), server(), Transport::Tcp);
    net.send_stream(conn, Side::Client, b"OPTIONS");
    let got = run(&mut net);
    assert_eq!(read_at(&got, Side::Server), (b"OPTIONS".to_vec(), 7));
    assert_eq!(net.log().packets().len(), 1, "one write is one entry");
}

#[test]
fn connections_are_accepted_refused_unreachable_or_time_out() {
    let mut net = network(0, Conditions::default());
    let from = address("192.0.2.1:0");
    let open = net.connect(from, server(), Transport::Tcp);
    let refused = net.connect(from, address("192.0.2.9:5080"), Transport::Tcp);
    let nowhere = net.connect(from, address("198.51.100.1:5060"), Transport::Tcp);
    net.block_port(server());
    let hole = net.connect(from, server(), Transport::Tcp);
    let got = run(&mut net);
    let local = address("192.0.2.1:49152");
    assert_eq!(
        got,
        [
            (
                20,
                Delivery::Accepted {
                    conn: open,
                    at: server(),
                    from: local,
                    transport: Transport::Tcp
                }
            ),
            (
                40,
                Delivery::Connected {
                    conn: open,
                    local,
                    remote: server()
                }
            ),
            (
                40,
                Delivery::ConnectFailed {
                    conn: refused,
                    why: ConnectFailure::Refused
                }
            ),
            (
                40,
                Delivery::ConnectFailed {
                    conn: nowhere,
                    why: ConnectFailure::Unreachable
                }
            ),
            (
                20_000,
                Delivery::ConnectFailed {
                    conn: hole,
                    why: ConnectFailure::TimedOut
                }
            ),
        ]
    );
}

#[test]
fn orderly_close_delivers_what_is_on_its_way() {
    let mut net = network(0, Conditions::default());
    let conn = net.connect(address("192.0.2.1:0"), server(), Transport::Tcp);
    run(&mut net);
    net.send_stream(conn, Side::Server, b"never read");
    net.send_stream(conn, Side::Client, b"last words");
    net.close(conn, Side::Client);
    net.send_stream(conn, Side::Server, b"too late");
    let got = run(&mut net);
    assert_eq!(
        got,
        [
            (
                60,
                Delivery::Stream {
                    conn,
                    side: Side::Server,
                    bytes: b"last words".to_vec()
                }
            ),
            (
                60,
                Delivery::Closed {
                    conn,
                    side: Side::Server,
                    why: CloseWhy::Orderly
                }
            ),
        ]
    );
    let fates: Vec<Fate> = net
        .log()
        .packets()
        .iter()
        .map(|packet| packet.fate)
        .collect();
    let lost = Fate::Lost(Lost::Broken);
    assert_eq!(
        fates,
        [lost, Fate::Delivered(Instant::from_millis(60)), lost]
    );
}

#[test]
fn three_ways_to_break() {
    let mut net = network(0, Conditions::default());
    let from = address("192.0.2.1:0");
    let [reset, silent, forgotten] = [0, 1, 2].map(|_| net.connect(from, server(), Transport::Tcp));
    run(&mut net);
    net.send_stream(reset, Side::Client, b"lost on the way");
    net.break_connection(reset, Break::Reset);
    net.break_connection(silent, Break::Silent);
    net.break_connection(forgotten, Break::Forgotten);
    let why = CloseWhy::Reset;
    assert_eq!(
        run(&mut net),
        [
            (
                60,
                Delivery::Closed {
                    conn: reset,
                    side: Side::Client,
                    why
                }
            ),
            (
                60,
                Delivery::Closed {
                    conn: reset,
                    side: Side::Server,
                    why
                }
            ),
        ]
    );
    net.send_stream(silent, Side::Client, b"hello?");
    net.send_stream(forgotten, Side::Client, b"hello?");
    assert_eq!(
        run(&mut net),
        [(
            100,
            Delivery::Closed {
                conn: forgotten,
                side: Side::Client,
                why
            }
        )]
    );
    assert!(net.log().packets().iter().all(|packet| packet.is_lost()));
}

#[test]
fn a_break_comes_behind_the_message_that_met_it() {
    let mut net = network(0, Conditions::default());
    let conn = net.connect(address("192.0.2.1:0"), server(), Transport::Tcp);
    run(&mut net);
    net.meddle(0, 1, Meddle::Break(Break::Reset), |_| true);
    net.send_stream(conn, Side::Client, b"under which it breaks");
    net.send_stream(conn, Side::Client, b"too late");
    let story: Vec<bool> = net
        .log()
        .entries()
        .iter()
        .map(|entry| matches!(entry.what, What::Packet(_)))
        .collect();
    // Opened, the first one, reset, the second one.
    assert_eq!(story, [false, true, false, true]);
    // A sniffer sees no segment of the second one, nor a second handshake.
    let file = pcap::pcap(net.log());
    let has = |bytes: &[u8]| file.windows(bytes.len()).any(|at| at == bytes);
    assert!(has(b"under which it breaks") && !has(b"too late"));
}

#[test]
fn one_message_can_be_singled_out() {
    let mut net = network(0, Conditions::default());
    net.drop_nth(2, |packet| packet.is_request("MESSAGE"));
    net.meddle(0, 1, Meddle::Delay(500), |packet| packet.bytes == b"slow");
    net.meddle(
        0,
        1,
        Meddle::Change(Box::new(|bytes| bytes.push(b'!'))),
        |packet| packet.bytes == b"change",
    );
    for bytes in [
        &b"MESSAGE 1"[..],
        b"slow",
        b"OPTIONS 2",
        b"MESSAGE 3",
        b"MESSAGE 4",
        b"change",
    ] {
        net.send_datagram(alice(), server(), bytes);
    }
    let got: Vec<(u64, String)> = run(&mut net)
        .into_iter()
        .map(|(at, delivery)| match delivery {
            Delivery::Datagram { bytes, .. } => (at, String::from_utf8(bytes).unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (20, "MESSAGE 1"),
        (20, "OPTIONS 2"),
        (20, "MESSAGE 4"),
        (20, "change!"),
        (520, "slow"),
    ];
    assert_eq!(got, expected.map(|(at, text)| (at, text.to_owned())));
}

#[test]
fn address_translation_and_its_idle_time() {
    let mut net = network(0, Conditions::default());
    let public = address("203.0.113.5:0").ip();
    net.behind_nat("alice", public, Some(30_000));
    net.send_datagram(alice(), server(), b"first");
    let got = run(&mut net);
    let Delivery::Datagram { from: mapped, .. } = got[0].1.clone() else {
        panic!("{got:?}")
    };
    assert_eq!(mapped.ip(), public);
    assert_ne!(mapped.port(), 5060);

    // Inside the idle time, the answer comes through to the inner address.
    net.advance_to(Instant::from_millis(29_000));
    net.send_datagram(server(), mapped, b"answer");
    let got = run(&mut net);
    assert_eq!(
        got[0].1,
        Delivery::Datagram {
            to: alice(),
            from: server(),
            bytes: b"answer".to_vec()
        }
    );

    // What comes in does not keep the mapping alive (RFC 4787 §4.3): it is gone, and the next one is another.
    net.advance_to(Instant::from_millis(30_000));
    net.send_datagram(server(), mapped, b"late");
    net.send_datagram(server(), alice(), b"never possible");
    assert_eq!(run(&mut net), []);
    net.send_datagram(alice(), server(), b"again");
    let got = run(&mut net);
    assert!(
        matches!(got[0].1, Delivery::Datagram { from, .. } if from.ip() == public && from != mapped)
    );
    let fates: Vec<Fate> = net
        .log()
        .packets()
        .iter()
        .map(|packet| packet.fate)
        .collect();
    assert_eq!(fates[2..4], [Fate::Lost(Lost::Unreachable); 2]);
}

#[test]
fn a_phone_changes_networks() {
    let mut net = network(0, Conditions::default());
    let conn = net.connect(address("192.0.2.1:0"), server(), Transport::Tcp);
    run(&mut net);
    net.send_datagram(server(), alice(), b"to the old address");
    net.move_host("alice", address("198.51.100.7:0").ip());
    net.send_stream(conn, Side::Server, b"nobody there");
    assert_eq!(run(&mut net), []);
    net.send_datagram(address("198.51.100.7:5060"), server(), b"from the new one");
    assert_eq!(run(&mut net).len(), 1);
    let silent = |entry: &oma_im::testkit::log::Entry| {
        matches!(
            entry.what,
            What::Connection {
                event: ConnectionEvent::Silent,
                ..
            }
        )
    };
    assert_eq!(
        net.log()
            .entries()
            .iter()
            .filter(|entry| silent(entry))
            .count(),
        1
    );
}

#[test]
fn a_black_hole_ends_when_unblocked() {
    let mut net = network(0, Conditions::default());
    net.block(server().ip());
    net.send_datagram(alice(), server(), b"one");
    net.unblock(server().ip());
    net.send_datagram(alice(), server(), b"two");
    let got = run(&mut net);
    assert_eq!(got.len(), 1);
    assert_eq!(net.log().packets()[0].fate, Fate::Lost(Lost::BlackHole));
}

fn message(method: &str, to: &str, number: u32, body: &str) -> Vec<u8> {
    format!(
        "{method} {to} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@example.com>;tag=a\r\nTo: <{to}>\r\nCall-ID: c{number}\r\nCSeq: {number} {method}\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn ok(method: &str, to: &str, number: u32) -> Vec<u8> {
    format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{number}\r\n\
         From: <sip:alice@example.com>;tag=a\r\nTo: <{to}>;tag=b\r\nCall-ID: c{number}\r\nCSeq: {number} {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// A run with one of each: a lost request, its retransmission, a copy, a note, a connection, a stream that breaks.
fn story() -> Network {
    let bob = "sip:bob@example.com";
    let mut net = network(5, Conditions::default());
    net.add_host("bob", address("192.0.2.2:0").ip());
    net.note(
        "alice",
        "send_message to bob, 5 octets, delivery report asked for",
    );
    net.drop_nth(1, |packet| packet.is_request("MESSAGE"));
    net.meddle(0, 1, Meddle::Duplicate, |packet| packet.is_response(200));
    net.send_datagram(alice(), server(), &message("MESSAGE", bob, 1, "hello"));
    net.advance_to(Instant::from_millis(500));
    net.send_datagram(alice(), server(), &message("MESSAGE", bob, 1, "hello"));
    run(&mut net);
    net.send_datagram(server(), alice(), &ok("MESSAGE", bob, 1));
    run(&mut net);
    net.note("bob", "nobody rang here");
    let conn = net.connect(address("192.0.2.2:0"), server(), Transport::Tcp);
    run(&mut net);
    net.send_stream(
        conn,
        Side::Client,
        &message(
            "REGISTER",
            "sip:an-endless-domain-name-that-does-not-fit.example.com",
            4711,
            "",
        ),
    );
    net.send_stream(conn, Side::Client, b"\r\n\r\n");
    run(&mut net);
    net.send_stream(conn, Side::Server, b"\r\n");
    net.break_connection(conn, Break::Reset);
    net.send_datagram(
        alice(),
        address("203.0.113.1:5060"),
        b"\x00\x01\x00\x00\x21\x12\xa4\x42            ",
    );
    run(&mut net);
    net
}

#[test]
fn ladder_of_a_story() {
    let net = story();
    let drawn = ladder::text(net.log());
    print!("{drawn}");
    let expected = include_str!("testkit/story.ladder");
    assert_eq!(drawn, expected);
    assert!(
        drawn
            .lines()
            .all(|line| line.chars().count() <= ladder::WIDTH)
    );
}

#[test]
fn ladder_stays_narrow_with_any_number_of_hosts() {
    for hosts in 1..=8u8 {
        let mut net = Network::new(0, Conditions::default());
        for n in 0..hosts {
            net.add_host(
                &format!("a long host name {n}"),
                address(&format!("192.0.2.{n}:0")).ip(),
            );
        }
        for n in 0..hosts {
            let from = address(&format!("192.0.2.{n}:5060"));
            let to = address("192.0.2.0:5060");
            net.send_datagram(from, to, &message("MESSAGE", "sip:b@example.com", 1, "x"));
            net.note(
                &format!("a long host name {n}"),
                "wörds and unsplittable".repeat(9),
            );
        }
        let drawn = ladder::text(net.log());
        assert!(
            drawn
                .lines()
                .all(|line| line.chars().count() <= ladder::WIDTH),
            "{drawn}"
        );
    }
}

#[test]
fn a_failing_test_prints_ladder_and_seed() {
    let report = story().ladder_on_failure().report();
    assert!(report.contains("MESSAGE sip:bob@example.com"));
    assert!(report.ends_with("seed 5\n"));
}

#[test]
fn mermaid_and_json_tell_the_same_story() {
    let net = story();
    let mermaid = export::mermaid(net.log());
    assert!(
        mermaid.starts_with("sequenceDiagram\n    participant h0 as alice\n"),
        "{mermaid}"
    );
    assert!(
        mermaid.contains("    h0-xh1: 0 ms MESSAGE sip:bob@example.com (CSeq 1)\n"),
        "{mermaid}"
    );
    assert!(
        mermaid.contains("    h1->>h0: 520 ms 200 OK (MESSAGE) (copy)\n"),
        "{mermaid}"
    );
    let json = export::json_lines(net.log());
    let entries = net.log().entries();
    assert_eq!(json.lines().count(), entries.len());
    let first = json.lines().nth(1).unwrap();
    assert!(first.starts_with(
        r#"{"at":0,"kind":"packet","from":"alice","to":"server","from_address":"192.0.2.1:5060""#
    ));
    assert!(
        first.contains(
            r#""fate":"lost","why":"script","summary":"MESSAGE sip:bob@example.com (CSeq 1)""#
        ),
        "{first}"
    );
    assert!(
        first.ends_with(r#"Content-Length: 5\r\n\r\nhello"}"#),
        "{first}"
    );
}

/// Reads the capture back with other code: lengths, checksums, sequence numbers, payloads.
#[test]
fn the_capture_reads_back() {
    let net = story();
    let file = pcap::pcap(net.log());
    let u32le = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!((u32le(0), u32le(20)), (0xA1B2_C3D4, 101));
    let (mut at, mut payloads, mut last_time) = (24, Vec::new(), 0);
    let mut next_seq = std::collections::BTreeMap::new();
    while at < file.len() {
        let time = u64::from(u32le(at)) * 1_000_000 + u64::from(u32le(at + 4));
        assert!(time >= last_time);
        last_time = time;
        let len = u32le(at + 8) as usize;
        let packet = &file[at + 16..at + 16 + len];
        at += 16 + len;

        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), len);
        assert_eq!(ones_sum(&packet[..20]), 0xFFFF, "IP checksum");
        let mut pseudo = packet[12..20].to_vec();
        pseudo.extend_from_slice(&[0, packet[9]]);
        pseudo.extend_from_slice(&((len - 20) as u16).to_be_bytes());
        pseudo.extend_from_slice(&packet[20..]);
        assert_eq!(ones_sum(&pseudo), 0xFFFF, "UDP or TCP checksum");
        if packet[9] == 17 {
            payloads.push(packet[28..].to_vec());
            continue;
        }
        let tcp = &packet[20..];
        let seq = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
        let begins = tcp[13] & 2 != 0;
        let key = (packet[12..16].to_vec(), tcp[..4].to_vec());
        let expected = next_seq.insert(key, seq + payload.len() as u32 + u32::from(begins));
        assert_eq!(seq, expected.unwrap_or(0), "sequence numbers run on");
        if !payload.is_empty() {
            payloads.push(payload.to_vec());
        }
    }
    let sent: Vec<Vec<u8>> = net
        .log()
        .sent(|_| true)
        .into_iter()
        .map(|packet| packet.bytes)
        .collect();
    assert_eq!(payloads, sent);
}

/// The sum of RFC 1071 §4.1; over bytes that contain their right checksum it is 0xFFFF.
fn ones_sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u64 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

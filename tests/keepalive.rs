//! RFC 5626 §4.4 and RFC 6223: when keep-alives go out and when a flow has failed.
#![allow(clippy::arithmetic_side_effects)]

use oma_im::sip::keepalive::{Indication, Interval, KeepAlive, KeepAliveAction, KeepAliveConfig};
use oma_im::sip::transaction::Reliability;
use oma_im::time::Instant;
use std::net::SocketAddr;

const MAINS: KeepAliveConfig = KeepAliveConfig::MAINS;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn mapped(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn flow(
    reliability: Reliability,
    config: &KeepAliveConfig,
    indications: &[Indication],
) -> KeepAlive {
    let mut flow = KeepAlive::start(at(0), config, reliability, 0);
    flow.indicated(at(0), config, indications, 0);
    flow
}

/// The next `count` actions and their times, unanswered, with intervals as short as they get.
fn ladder(flow: &mut KeepAlive, config: &KeepAliveConfig, count: usize) -> Vec<String> {
    let mut lines = vec![];
    while let Some(due) = flow.deadline() {
        if lines.len() == count {
            break;
        }
        let early = at(due.as_millis() - 1);
        assert_eq!(flow.timeout(early, config, 0), KeepAliveAction::Nothing);
        lines.push(format!(
            "{} {:?}",
            due.as_millis(),
            flow.timeout(due, config, 0)
        ));
        assert_eq!(flow.timeout(due, config, 0), KeepAliveAction::Nothing);
    }
    lines
}

#[test]
fn a_stream_is_pinged_and_only_supervised_after_an_indication() {
    let mut plain = flow(Reliability::Reliable, &MAINS, &[]);
    assert!(!plain.is_supervised());
    assert_eq!(
        ladder(&mut plain, &MAINS, 3),
        ["95000 SendPing", "190000 SendPing", "285000 SendPing"]
    );
    for indication in [
        Indication::Configuration,
        Indication::Outbound,
        Indication::Keep(0),
    ] {
        let mut flow = flow(Reliability::Reliable, &MAINS, &[indication]);
        assert!(flow.is_supervised());
        assert_eq!(
            ladder(&mut flow, &MAINS, 9),
            ["95000 SendPing", "105000 FlowFailed"]
        );
        assert!(flow.is_failed());
        assert_eq!(flow.pong(), KeepAliveAction::Nothing, "too late");
    }
}

#[test]
fn a_pong_is_counted_once() {
    let mut flow = flow(Reliability::Reliable, &MAINS, &[Indication::FlowTimer(100)]);
    assert_eq!(flow.pong(), KeepAliveAction::Nothing, "nobody asked");
    assert_eq!(
        flow.timeout(at(80_000), &MAINS, 0),
        KeepAliveAction::SendPing
    );
    assert_eq!(flow.pong(), KeepAliveAction::Answered);
    assert_eq!(flow.pong(), KeepAliveAction::Nothing);
    // 80 s from ping to ping, however long the pong took.
    assert_eq!(flow.deadline(), Some(at(160_000)));
}

#[test]
fn a_pong_behind_a_long_message_is_waited_for() {
    let mut flow = flow(Reliability::Reliable, &MAINS, &[Indication::FlowTimer(100)]);
    flow.receiving(at(79_000));
    assert_eq!(
        flow.timeout(at(80_000), &MAINS, 0),
        KeepAliveAction::SendPing
    );
    flow.receiving(at(85_000));
    flow.receiving(at(94_000));
    assert_eq!(
        ladder(&mut flow.clone(), &MAINS, 9),
        ["104000 FlowFailed"],
        "the flow died in the message"
    );
    assert_eq!(flow.pong(), KeepAliveAction::Answered);
}

/// RFC 5389 §7.2.1: 0, 500, 1500, 3500, 7500, 15500, 31500 ms; failed at 39500 ms.
#[test]
fn stun_goes_out_seven_times() {
    let mut flow = flow(Reliability::Unreliable, &MAINS, &[Indication::Outbound]);
    assert_eq!(
        ladder(&mut flow, &MAINS, 99),
        [
            "24000 SendStun",
            "24500 ResendStun",
            "25500 ResendStun",
            "27500 ResendStun",
            "31500 ResendStun",
            "39500 ResendStun",
            "55500 ResendStun",
            "63500 FlowFailed"
        ]
    );
}

#[test]
fn stun_answers() {
    let start = flow(Reliability::Unreliable, &MAINS, &[Indication::Keep(30)]);
    let mut flow = start;
    assert_eq!(flow.stun_ok(mapped(1)), KeepAliveAction::Nothing);
    assert_eq!(flow.stun_error(), KeepAliveAction::Nothing);
    assert_eq!(
        flow.timeout(at(24_000), &MAINS, 0),
        KeepAliveAction::SendStun
    );
    let mut refused = flow;
    assert_eq!(refused.stun_error(), KeepAliveAction::FlowFailed);
    assert_eq!(flow.stun_ok(mapped(1)), KeepAliveAction::Answered);
    assert_eq!(flow.deadline(), Some(at(48_000)));
    assert_eq!(
        flow.timeout(at(48_000), &MAINS, 0),
        KeepAliveAction::SendStun
    );
    let mut moved = flow;
    assert_eq!(moved.stun_ok(mapped(2)), KeepAliveAction::FlowFailed);
    assert_eq!(flow.stun_ok(mapped(1)), KeepAliveAction::Answered);
}

#[test]
fn udp_without_an_indication_sends_options_or_nothing() {
    let mut quiet = flow(Reliability::Unreliable, &MAINS, &[]);
    assert_eq!(quiet.deadline(), None);
    assert_eq!(
        quiet.timeout(at(1 << 40), &MAINS, 0),
        KeepAliveAction::Nothing
    );
    let config = KeepAliveConfig {
        options: Some(Interval::seconds(29, 24)),
        ..MAINS
    };
    let mut flow = flow(Reliability::Unreliable, &config, &[]);
    assert_eq!(
        ladder(&mut flow, &config, 2),
        ["24000 SendOptions", "48000 SendOptions"]
    );
}

/// RFC 5626 §4.4, §4.4.1, §4.4.2: the bounds of each kind of interval.
#[test]
fn intervals_are_drawn_within_their_bounds() {
    let udp = Reliability::Unreliable;
    let tcp = Reliability::Reliable;
    for (reliability, config, indications, low, high) in [
        (tcp, MAINS, &[][..], 95_000, 120_000),
        (tcp, KeepAliveConfig::BATTERY, &[], 672_000, 840_000),
        (tcp, MAINS, &[Indication::FlowTimer(120)], 96_000, 120_000),
        (
            tcp,
            MAINS,
            &[Indication::Keep(1000), Indication::Outbound],
            800_000,
            1_000_000,
        ),
        (udp, MAINS, &[Indication::Outbound], 24_000, 29_000),
        (udp, MAINS, &[Indication::Keep(50)], 40_000, 50_000),
        // A server that wants a ping each second gets one each 8 to 10.
        (tcp, MAINS, &[Indication::FlowTimer(1)], 8_000, 10_000),
        (
            tcp,
            KeepAliveConfig::OFF,
            &[Indication::FlowTimer(u32::MAX)],
            3_435_973_836_000,
            4_294_967_295_000,
        ),
    ] {
        for (random, expected) in [(0, low), (u32::MAX, high)] {
            let mut flow = KeepAlive::start(at(0), &KeepAliveConfig::OFF, reliability, 0);
            flow.indicated(at(0), &config, indications, random);
            assert_eq!(flow.deadline(), Some(at(expected)), "{indications:?}");
        }
    }
}

/// A client with keep-alives off does not wake up for them.
#[test]
fn off_is_off() {
    for reliability in [Reliability::Reliable, Reliability::Unreliable] {
        for indications in [&[][..], &[Indication::Outbound]] {
            let flow = flow(reliability, &KeepAliveConfig::OFF, indications);
            assert_eq!(flow.deadline(), None);
            assert!(!flow.is_supervised());
        }
    }
}

/// RFC 6223 §4.2.2: negotiated anew with each registration.
#[test]
fn a_refresh_replaces_what_was_indicated() {
    let keep = [Indication::Keep(30)];
    let mut flow = flow(Reliability::Unreliable, &MAINS, &keep);
    // Negotiated again: the next one does not move away.
    flow.indicated(at(20_000), &MAINS, &keep, 0);
    assert_eq!(flow.deadline(), Some(at(24_000)));
    assert_eq!(
        flow.timeout(at(24_000), &MAINS, 0),
        KeepAliveAction::SendStun
    );
    let mut waiting = flow;
    waiting.indicated(at(24_100), &MAINS, &keep, 0);
    assert_eq!(waiting, flow, "the answer is still awaited");
    // Not negotiated again.
    flow.indicated(at(24_100), &MAINS, &[], 0);
    assert_eq!(flow.deadline(), None);
    assert_eq!(flow.stun_error(), KeepAliveAction::Nothing);
}

/// The device slept for an hour: one action, not twelve.
#[test]
fn a_jump_of_the_clock_makes_no_burst() {
    let hour = 3_600_000;
    let mut pinged = flow(Reliability::Reliable, &MAINS, &[]);
    assert_eq!(
        pinged.timeout(at(hour), &MAINS, 0),
        KeepAliveAction::SendPing
    );
    assert_eq!(
        pinged.timeout(at(hour), &MAINS, 0),
        KeepAliveAction::Nothing
    );
    let mut stunned = flow(Reliability::Unreliable, &MAINS, &[Indication::Outbound]);
    assert_eq!(
        stunned.timeout(at(24_000), &MAINS, 0),
        KeepAliveAction::SendStun
    );
    assert_eq!(
        stunned.timeout(at(hour), &MAINS, 0),
        KeepAliveAction::FlowFailed
    );
    assert_eq!(
        stunned.timeout(at(hour), &MAINS, 0),
        KeepAliveAction::Nothing
    );
}

/// No settings and no clock make the machine spin.
#[test]
fn settings_at_the_edges() {
    for rto in [0, 1, u32::MAX] {
        for start in [0, u64::MAX - 1, u64::MAX] {
            for reliability in [Reliability::Reliable, Reliability::Unreliable] {
                let config = KeepAliveConfig {
                    options: Some(Interval::seconds(0, 0)),
                    stream: Some(Interval::seconds(0, u32::MAX)),
                    shortest: 0,
                    rto,
                    ..MAINS
                };
                for indications in [&[][..], &[Indication::FlowTimer(1)]] {
                    let mut flow = KeepAlive::start(at(start), &config, reliability, 0);
                    flow.indicated(at(start), &config, indications, 0);
                    for _ in 0..20 {
                        let Some(due) = flow.deadline() else { break };
                        let _ = flow.timeout(due, &config, 0);
                        let _ = flow.timeout(due, &config, 0);
                        assert!(flow.deadline().is_none_or(|next| next > due));
                    }
                }
            }
        }
    }
}

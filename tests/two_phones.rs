//! Every scenario of `examples/two_phones`, with the functions that the example runs.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[allow(dead_code)] // Its `main` is not called here.
#[path = "../examples/two_phones/main.rs"]
mod two_phones;

use std::collections::{BTreeMap, BTreeSet};

use oma_im::testkit::log::Packet;
use oma_im::testkit::{export, pcap, sip};
use two_phones::scenarios::SCENARIOS;
use two_phones::stage::{Run, Scenario, UnderLoss};
use two_phones::{Options, list, report};

fn play(scenario: &'static Scenario, seed: u64, loss: u8) -> Run {
    let run = Run::play(scenario, seed, loss);
    if run.verdict.is_err() {
        panic!("{}", report(&run));
    }
    run
}

#[test]
fn every_scenario_ends_as_it_must() {
    for scenario in SCENARIOS {
        for seed in [1, 2] {
            play(scenario, seed, 0);
        }
    }
}

#[test]
fn every_scenario_that_promises_it_ends_as_it_must_under_loss() {
    let mut promised = 0;
    for scenario in SCENARIOS {
        if scenario.under_loss == UnderLoss::Promised {
            promised += 1;
            for seed in [1, 2] {
                play(scenario, seed, 20);
            }
        }
    }
    assert!(promised > SCENARIOS.len() / 2);
}

/// OMA IM 5.2.4, requirement 0, over everything that any scenario sends: `+g.oma.sip-im` in Contact
/// and Accept-Contact, `+sip.instance` in REGISTER only, and no other tag, as no scenario configures
/// one. The value of the instance, which may be an IMEI (RFC 7255), is in no other request either.
#[test]
fn clause_5_2_4_0_no_request_of_any_scenario_has_a_feature_tag_of_another() {
    const IM: &str = "+g.oma.sip-im";
    const INSTANCE: &str = "+sip.instance";
    // RFC 3261 §20.10, RFC 5626 §4.2: parameters of Contact that are no feature tags.
    const NO_TAGS: [&str; 3] = ["expires", "q", "reg-id"];
    let mut methods: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for scenario in SCENARIOS {
        let run = play(scenario, 1, 0);
        let sent = run
            .log
            .sent(|packet| !packet.from_host.starts_with("server"));
        for sip in sent.iter().filter_map(Packet::sip) {
            let Some(method) = sip.method().map(str::to_owned) else {
                continue;
            };
            let what = format!("{}: {sip:?}", scenario.name);
            *methods.entry(method.clone()).or_default() += 1;
            let registers = method == "REGISTER";
            for (name, value) in &sip.headers {
                let contact = name.eq_ignore_ascii_case("Contact") && value != "*";
                let wish = name.eq_ignore_ascii_case("Accept-Contact");
                assert!(!name.eq_ignore_ascii_case("Reject-Contact"), "{what}");
                for (tag, _) in sip::params(value) {
                    let may = match tag.as_str() {
                        IM => contact || wish,
                        INSTANCE => contact && registers,
                        tag if contact => NO_TAGS.contains(&tag),
                        tag => !wish && !tag.starts_with('+'),
                    };
                    assert!(may, "{tag} in {name} of {what}");
                    found.insert((method.clone(), tag));
                }
                assert!(registers || !value.contains("urn:uuid:00000000-"), "{what}");
            }
            let body = String::from_utf8_lossy(&sip.body);
            assert!(!body.contains("urn:uuid:00000000-"), "{what}");
        }
    }
    // It looked at what it was meant to look at.
    for method in ["REGISTER", "MESSAGE", "PUBLISH"] {
        assert!(
            methods.get(method).is_some_and(|count| *count > 9),
            "{methods:?}"
        );
        assert!(found.contains(&(method.into(), IM.into())), "{method}");
    }
    assert!(found.contains(&("REGISTER".into(), INSTANCE.into())));
}

#[test]
fn a_network_that_loses_everything_fails_what_a_good_one_does_not() {
    // The check of the checks. Streams are only slowed down by loss.
    for name in [
        "register",
        "refresh",
        "pager",
        "pager-report-both-ways",
        "anonymous",
        "queue-per-target",
        "group",
        "offline-202-then-report",
        "timeout",
    ] {
        let scenario = SCENARIOS.iter().find(|known| known.name == name).unwrap();
        assert!(Run::play(scenario, 1, 100).verdict.is_err(), "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let scenario = SCENARIOS
        .iter()
        .find(|known| known.name == "pager-report-both-ways")
        .unwrap();
    let json = |seed| export::json_lines(&play(scenario, seed, 20).log);
    assert_eq!(json(7), json(7));
    assert_ne!(json(7), json(8));
}

#[test]
fn the_list_names_each_scenario_once_and_says_what_it_shows() {
    let list = list();
    assert_eq!(list.lines().count(), SCENARIOS.len());
    for (line, scenario) in list.lines().zip(SCENARIOS) {
        let (name, shows) = line.split_once(' ').unwrap();
        assert_eq!(name, scenario.name);
        assert!(!shows.trim().is_empty() && line.len() <= 120, "{line}");
        let same = SCENARIOS.iter().filter(|other| other.name == name);
        assert_eq!(same.count(), 1, "{name}");
    }
}

#[test]
fn the_command_line_is_read_and_what_is_wrong_is_said() {
    let read = |line: &str| Options::read(line.split_whitespace().map(str::to_owned));
    let options = read("--scenario timeout --loss 20 --seed 7 --pcap F").unwrap();
    assert_eq!(options.scenario.name, "timeout");
    assert_eq!((options.loss, options.seed), (20, 7));
    assert_eq!(options.pcap.unwrap().to_str(), Some("F"));
    for wrong in [
        "--loss 101",
        "--loss",
        "--seed x",
        "--scenario none",
        "else",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_exports_of_every_scenario_are_well_formed() {
    for scenario in SCENARIOS {
        let run = play(scenario, 1, 0);
        let packets = run.log.packets();
        assert!(!packets.is_empty());
        json(&export::json_lines(&run.log), run.log.entries().len());
        mermaid(&export::mermaid(&run.log), &run.log.hosts());
        capture(&pcap::pcap(&run.log));
        for line in report(&run).lines().take_while(|line| !line.is_empty()) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn the_files_that_were_asked_for_are_written() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("two_phones");
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let args = [
        "--pcap",
        "p.pcap",
        "--mermaid",
        "m.mmd",
        "--json",
        "j.jsonl",
    ];
    let args = args.map(|arg| {
        if arg.starts_with("--") {
            arg.into()
        } else {
            file(arg)
        }
    });
    let options = Options::read(args.into_iter()).unwrap();
    let run = play(options.scenario, options.seed, options.loss);
    options.export(&run).unwrap();
    capture(&std::fs::read(file("p.pcap")).unwrap());
    let text = |name| std::fs::read_to_string(file(name)).unwrap();
    json(&text("j.jsonl"), run.log.entries().len());
    mermaid(&text("m.mmd"), &run.log.hosts());
    let nowhere = Options::read(["--json".into(), file("no/such/folder")].into_iter()).unwrap();
    assert!(nowhere.export(&run).is_err());
}

/// One object a line, each with a time that never goes back and with what its kind has.
fn json(text: &str, entries: usize) {
    assert_eq!(text.lines().count(), entries);
    let mut last = 0;
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let at = row["at"].as_u64().unwrap();
        assert!(at >= last, "{line}");
        last = at;
        let has: &[&str] = match row["kind"].as_str().unwrap() {
            "packet" => &["from", "to", "transport", "fate", "summary"],
            "connection" => &["from", "to", "event"],
            "note" => &["host", "text"],
            kind => panic!("{kind}"),
        };
        assert!(has.iter().all(|key| row[key].is_string()), "{line}");
    }
}

/// A sequence diagram whose lines name declared participants only.
fn mermaid(text: &str, hosts: &[String]) {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("sequenceDiagram"));
    let ids: Vec<String> = (0..hosts.len()).map(|n| format!("h{n}")).collect();
    for (id, host) in ids.iter().zip(hosts) {
        assert_eq!(
            lines.next(),
            Some(&*format!("    participant {id} as {host}"))
        );
    }
    for line in lines {
        let line = line.strip_prefix("    ").unwrap();
        let (who, said) = line.split_once(": ").unwrap();
        let who = who.strip_prefix("Note over ").unwrap_or(who);
        let known = |name: &str| ids.iter().any(|id| id == name);
        assert!(
            who.split(['-', 'x', '>', ','])
                .filter(|s| !s.is_empty())
                .all(known),
            "{line}"
        );
        assert!(
            said.contains(" ms ") && !said.contains([';', '<', '>']) || said.contains("#"),
            "{line}"
        );
    }
}

/// The records of a classic pcap file fill it exactly, and each holds an IP packet of its length.
fn capture(bytes: &[u8]) {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(u32_at(0), 0xa1b2_c3d4);
    let (mut at, mut records) = (24, 0);
    while at < bytes.len() {
        let (taken, full) = (u32_at(at + 8) as usize, u32_at(at + 12) as usize);
        assert_eq!(taken, full);
        assert!(u32_at(at + 4) < 1_000_000);
        let packet = &bytes[at + 16..at + 16 + taken];
        let length = u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!((packet[0], usize::from(length)), (0x45, taken));
        at += 16 + taken;
        records += 1;
    }
    assert_eq!(at, bytes.len());
    assert!(records > 0);
}

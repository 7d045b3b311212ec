//! How other stacks failed, and the tests that such a failure would break.
//!
//! [`ROWS`] names for each advisory, or class of them, the tests here. A test that goes missing is
//! missed. What belongs to procedures that the crate does not have yet says so.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/rig.rs"]
mod rig;

use std::path::{Path, PathBuf};

use oma_im::config::Transport;
use rig::{Rig, Taken};

/// Where a failure is tested.
enum Tested {
    /// By these tests: `file::test`, the file without `.rs`.
    By(&'static [&'static str]),
    /// The procedure is not there yet.
    NotYet(&'static str),
    /// Not by a test.
    Otherwise(&'static str),
}
use Tested::{By, NotYet, Otherwise};

const ROWS: &[(&str, Tested)] = &[
    // SIP stacks and phones.
    (
        "CVE-2017-9372: a long method in CSeq, a Via without branch",
        By(&[
            "corpus_sip::a_cseq_method_of_64_kib",
            "transactions::requests_without_the_magic_cookie_match_by_their_fields",
            "failures_of_peers::cve_2017_9372_a_long_cseq_without_a_branch",
        ]),
    ),
    (
        "AST-2017-003, CVE-2022-21723: multipart",
        By(&[
            "content/mime::multipart_with_an_empty_boundary_is_refused",
            "content/mime::multipart_without_a_boundary_is_refused",
            "content/mime::multipart_with_a_boundary_longer_than_the_body_is_refused",
            "content/mime::multipart_whose_last_part_is_not_terminated_gives_what_is_whole_and_an_error",
            "content/mime::multipart_with_line_feeds_only_is_read",
            "content/mime::multipart_nested_a_thousand_deep_ends_at_the_limit",
        ]),
    ),
    (
        "CVE-2018-7284: fifty Accept headers",
        By(&[
            "limits::cve_2018_7284_every_repeatable_header_at_the_limit",
            "limits::header_fields_of_one_message",
            "corpus_sip::many_headers_are_taken_to_the_limit_and_refused_beyond",
        ]),
    ),
    (
        "CVE-2018-1000098, CVE-2018-1000099: numbers and NUL",
        By(&[
            "corpus_sip::numbers_at_the_ends_of_their_types",
            "corpus_sip::a_nul_anywhere_in_the_head_is_refused",
            "headers::numbers_at_their_limits",
            "content/cpim::a_nul_in_any_header_value_of_the_corpus_is_refused",
        ]),
    ),
    (
        "CVE-2018-8828: a long tag or branch",
        By(&[
            "failures_of_peers::cve_2018_8828_tokens_of_any_length",
            "headers::values_of_64_kib",
        ]),
    ),
    (
        "CVE-2020-28361: header smuggling",
        By(&[
            "corpus_sip::only_white_space_may_stand_before_the_colon",
            "corpus_sip::what_may_stand_once_stands_once",
        ]),
    ),
    (
        "CVE-2021-41158: a digest for anyone",
        By(&[
            "auth::cve_2021_41158_a_stranger_gets_no_digest",
            "digest_client::a_realm_that_is_not_ours_is_not_answered",
        ]),
    ),
    (
        "CVE-2021-37624, CVE-2021-41157: spoofed senders",
        By(&[
            "incoming::the_asserted_identity_is_not_from",
            "incoming::a_stranger_is_dropped_or_marked",
            "reports_client::the_target_is_the_first_rule_that_applies",
            "reports_client::a_stranger_gets_no_report",
        ]),
    ),
    (
        "CVE-2021-41145, CVE-2018-7286, CVE-2020-28327: floods",
        By(&[
            "flood::a_flood_of_each_method_is_answered_and_leaves_nothing",
            "flood::a_flood_of_strangers_is_dropped_without_a_word",
            "flood::a_flood_without_a_drain_is_put_off",
            "flood::a_flow_that_closes_in_the_middle_of_a_flood_leaves_nothing",
        ]),
    ),
    (
        "AST-2016-005: idle connections fill the table",
        By(&[
            "flood::flows_that_peers_open_do_not_keep_us_from_our_server",
            "flows::strangers_cannot_take_the_place_of_our_own_flows",
            "limits::flows_at_once",
        ]),
    ),
    (
        "CVE-2026-28799: the end of a subscription",
        NotYet("subscriptions"),
    ),
    (
        "CVE-2022-24754: the length of a hashed credential",
        By(&["digest::cve_2022_24754_a_hashed_credential_of_wrong_length_is_none"]),
    ),
    (
        "CVE-2022-24764: printing",
        By(&[
            "writer::any_message_reads_back_as_it_was_meant",
            "digest::too_small_a_buffer_only_counts",
            "flows::an_output_slice_that_is_too_small_changes_nothing",
        ]),
    ),
    (
        "CVE-2021-43611, CVE-2021-33056, belle-sip 24: lone characters",
        By(&[
            "corpus_sip::small_things_that_broke_others",
            "corpus_sip::truncated_at_every_byte",
            "corpus_sip::with_each_single_byte_deleted",
            "digest::belle_sip_24_one_character_tokens",
            "digest::cut_at_every_byte_and_with_every_byte_left_out",
        ]),
    ),
    (
        "CVE-2023-28098: a crafted Authorization",
        By(&[
            "digest::cve_2023_28098_crafted_authorization",
            "headers::cut_or_damaged_values_do_no_harm",
        ]),
    ),
    ("CVE-2022-31001 and others: SDP", NotYet("SDP")),
    (
        "CVE-2022-31003 and others: STUN",
        By(&[
            "stun::what_is_not_stun",
            "stun::cut_at_every_byte_and_with_every_byte_changed",
        ]),
    ),
    (
        "CVE-2023-26496: code execution",
        Otherwise("no unsafe code: the compiler refuses it"),
    ),
    (
        "CVE-2014-2288: a challenge to no request",
        By(&[
            "statuses::every_status_to_every_request_in_every_state_ends_it_once",
            "statuses::a_response_to_no_request_changes_nothing",
            "statuses::a_response_to_a_client_that_never_asked_anything_changes_nothing",
        ]),
    ),
    (
        "CVE-2016-2316: a large T1",
        By(&[
            "transactions::settings_are_checked",
            "transactions::no_setting_and_no_clock_makes_a_machine_hang",
        ]),
    ),
    (
        "pkts 110, baresip 2954: endless loops",
        By(&[
            "digest::the_work_is_linear",
            "framer::corpus_streams_give_the_same_events_for_every_cut",
            "content/mime::long_bodies_are_cut_in_one_pass",
            "content/xml::a_long_row_of_anything_is_read_in_one_pass",
            "reports_client::an_aggregate_of_rubbish_is_counted",
        ]),
    ),
    (
        "Ghost calls: INVITEs that nobody ends",
        By(&["flood::an_invite_flood_stops_nothing_else"]),
    ),
    ("DIMVA 2020: packet fuzzing", Otherwise("fuzz targets")),
    // Rust crates.
    (
        "RUSTSEC-2023-0063, -2024-0373, -2026-0037: reachable panics",
        By(&["client_ops::anything_may_happen_in_any_order"]),
    ),
    ("RUSTSEC-2026-0185: gaps in reassembly", NotYet("MSRP")),
    (
        "RUSTSEC-2023-0065: a growing header is read again",
        By(&[
            "framer::each_corpus_file_gives_the_same_events_for_every_single_cut",
            "incoming::a_body_beyond_the_buffer_is_answered_413_and_the_stream_goes_on",
        ]),
    ),
    (
        "RUSTSEC-2024-0332, -2026-0258: empty units",
        By(&[
            "framer::a_flood_of_empty_lines_is_counted_and_consumed",
            "flood::a_flood_of_keep_alives_is_answered_within_bounds",
        ]),
    ),
    (
        "RUSTSEC-2021-0078: a lenient Content-Length",
        By(&[
            "framer::content_length_decides_the_frame_or_breaks_the_flow",
            "incoming::a_broken_stream_is_answered_and_closed",
            "incoming::what_cannot_be_parsed_is_answered_if_it_is_legible",
        ]),
    ),
    (
        "RUSTSEC-2024-0336: the driver loops",
        By(&[
            "flood::a_flood_without_a_drain_is_put_off",
            "limits::events_that_wait",
            "limits::timers_wait_for_events",
        ]),
    ),
    (
        "RUSTSEC-2024-0399: the first message in pieces",
        By(&[
            "framer::each_corpus_file_gives_the_same_events_for_every_single_cut",
            "flows::streams_can_be_cut_anywhere",
        ]),
    ),
    (
        "RUSTSEC-2026-0194, -0195: attributes and namespaces",
        By(&[
            "content/xml::depth_attributes_namespaces_and_names_at_limit_minus_one_limit_and_plus_one",
            "content/xml::dtd_entities_and_instructions_are_refused",
        ]),
    ),
    (
        "RUSTSEC-2026-0007 and others: the containers",
        Otherwise("versions in Cargo.toml"),
    ),
    (
        "RUSTSEC-2023-0089: a container in the interface",
        Otherwise("no third-party type is public"),
    ),
    (
        "RUSTSEC-2026-0118, -0119: encoding without bound",
        By(&[
            "digest::the_work_is_linear",
            "limits::cve_2018_7284_every_repeatable_header_at_the_limit",
        ]),
    ),
    // Reports and messages.
    (
        "liblinphone 137: reports to servers that refuse them",
        By(&[
            "reports_client::a_peer_that_refuses_reports_gets_none_for_report_backoff",
            "reports_client::delivered_and_displayed_send_one_report_each",
        ]),
    ),
    (
        "kamailio 61: automatic messages answer each other",
        By(&[
            "reports_client::a_report_is_never_reported",
            "reports_client::reports_to_one_target_are_limited_by_the_minute",
        ]),
    ),
    (
        "sipsorcery 85: one message shown ten times",
        By(&[
            "incoming::a_message_is_handed_out_once_by_sender_and_message_id",
            "incoming::a_retransmission_is_answered_with_the_same_bytes",
        ]),
    ),
    (
        "asterisk 956 and others: the message vanished",
        By(&[
            "limits::one_message_on_a_stream",
            "limits::one_head_on_a_stream",
            "limits::octets_of_the_arena",
            "limits::requests_at_once",
            "limits::transactions_at_once",
        ]),
    ),
    (
        "pjproject 1929 and others: memory grows",
        By(&[
            "small::twenty_thousand_messages_leave_nothing_behind",
            "small::one_message_a_second_with_both_reports",
            "no_alloc::messages_in_and_reports_both_ways",
        ]),
    ),
    (
        "quinn 729, rustls 2031: input taken without room",
        By(&[
            "limits::events_that_wait",
            "flood::a_flood_without_a_drain_is_put_off",
        ]),
    ),
];

#[test]
fn every_named_test_is_there() {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut count = 0;
    for (failure, tested) in ROWS {
        match tested {
            By(names) => {
                assert!(!names.is_empty(), "{failure}");
                for name in *names {
                    let (file, test) = name.split_once("::").unwrap();
                    assert!(has(&tests, file, test), "{failure}: {name}");
                    count += 1;
                }
            }
            NotYet(what) | Otherwise(what) => assert!(!what.is_empty(), "{failure}"),
        }
    }
    assert!(count > 60, "{count}");
    assert!(!has(&tests, "limits", "nobody_wrote_this"));
}

/// Whether this file, or a file of this folder, has the test.
fn has(tests: &Path, file: &str, test: &str) -> bool {
    let mut texts = Vec::new();
    if let Ok(text) = std::fs::read_to_string(tests.join(file).with_extension("rs")) {
        texts.push(text);
    }
    if let Ok(folder) = std::fs::read_dir(tests.join(file)) {
        texts.extend(folder.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok()));
    }
    let call = format!("fn {test}()");
    texts.iter().any(|text| {
        text.find(&call).is_some_and(|at| {
            let before = text.get(..at).unwrap_or_default();
            before
                .rsplit('}')
                .next()
                .unwrap_or_default()
                .contains("#[test]")
        })
    })
}

/// The key of a transaction is never put together from its parts, so no part can be too long.
#[test]
fn cve_2017_9372_a_long_cseq_without_a_branch() {
    for length in [1, 100, 1000, 30_000] {
        let mut rig = Rig::ready(Transport::Udp);
        let base = rig.settled();
        let method = "M".repeat(length);
        let mut sip = rig::request(Transport::Udp, &method, "x");
        sip.set("Via", "SIP/2.0/UDP 198.51.100.1:5060");
        // Twice: the second is known as the copy of the first.
        for _ in 0..2 {
            rig.receive(&sip.to_bytes());
            // A method that nobody knows (RFC 3261 §8.2.1), if there is room to say so.
            let answer = rig.sent();
            let status = answer.first().and_then(|sip| sip.status());
            assert!(
                matches!(status, Some(405 | 500)) || length > 10_000,
                "{length}: {status:?}"
            );
        }
        sip.set("CSeq", &format!("1 {}", "N".repeat(length)));
        rig.receive(&sip.to_bytes());
        let answer = rig.sent();
        assert!(
            answer.iter().all(|sip| sip.status() == Some(400)),
            "{length}"
        );
        assert_eq!(rig.settled(), base);
    }
}

/// Each token that a peer chooses, at every length around those that others had for a limit.
#[test]
fn cve_2018_8828_tokens_of_any_length() {
    let mut rig = Rig::ready(Transport::Udp);
    let base = rig.settled();
    let mut lengths: Vec<usize> = (0..70).collect();
    for edge in [127, 255, 511, 1023, 2047, 4095] {
        lengths.extend([edge, edge + 1, edge + 2]);
    }
    for length in lengths {
        let text = "t".repeat(length);
        let mut long = rig.message("text/plain", b"Hello");
        for part in ["tag", "branch", "call-id", "user", "host"] {
            let mut sip = rig.message("text/plain", b"Hello");
            match part {
                "tag" => sip.set("From", &format!("<sip:alice@example.com>;tag={text}x")),
                "branch" => {
                    let unique = rig.branch();
                    sip.pop("Via");
                    sip.push_front(
                        "Via",
                        &format!("SIP/2.0/UDP 198.51.100.1;branch={unique}{text}"),
                    );
                }
                "call-id" => {
                    let unique = rig.branch();
                    sip.set("Call-ID", &format!("{unique}{text}@{text}x"));
                }
                "user" => sip.set("From", &format!("<sip:a{text}@example.com>;tag=1")),
                _ => sip.set("From", &format!("<sip:a@a{text}.example.com>;tag=1")),
            }
            let taken = rig.receive(&sip.to_bytes());
            let answer = rig.one();
            assert!(
                matches!(taken, Taken::Message(_)),
                "{part} of {length}: {}",
                answer.start
            );
            assert_eq!(answer.status(), Some(200), "{part} of {length}");
            for name in ["Via", "From", "Call-ID", "CSeq"] {
                assert_eq!(answer.header(name), sip.header(name), "{part} of {length}");
            }
            long = sip;
        }
        // And the copy of the longest is known again.
        assert_eq!(rig.receive(&long.to_bytes()), Taken::Nothing);
        rig.sent.clear();
        rig.inbox.clear();
    }
    assert_eq!(rig.settled(), base);
}

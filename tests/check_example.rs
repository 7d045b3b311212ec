//! The linter of `examples/check.rs` over the corpus, with the function that the example runs.
//!
//! A missed `accept` row would be explained in `corpus/EXPLAINED.md`: there is none.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

#[allow(dead_code)] // Its command line is not used here.
#[path = "../examples/check.rs"]
mod check;

use std::path::Path;

use check::{Judgement, Row, Tally, Verdict, judge_manifest};

fn manifest() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/manifest.jsonl")
}

/// The rows of one protocol, and those of them that are judged otherwise than the manifest says.
fn tally(proto: &str) -> (Tally, Vec<String>) {
    let (mut tally, mut misses) = (Tally::default(), Vec::new());
    judge_manifest(&manifest(), |row: &Row| {
        if row.proto == proto {
            tally.count(row);
            if row.judgement == Judgement::Miss {
                misses.push(format!("{}: must {} ({})", row.id, row.expect, row.why));
            }
        }
        Ok(())
    })
    .unwrap();
    (tally, misses)
}

#[test]
fn every_judged_row_of_the_corpus_has_the_verdict_of_the_manifest() {
    for (proto, judged, read_only) in [("sip", 477, 63), ("cpim", 7, 5), ("xml", 65, 0)] {
        let (tally, misses) = tally(proto);
        assert_eq!(misses, Vec::<String>::new(), "{proto}");
        assert_eq!(
            (tally.judged, tally.read_only),
            (judged, read_only),
            "{proto}"
        );
        assert_eq!(tally.unsupported, 0, "{proto}");
    }
}

#[test]
fn protocols_that_are_not_read_yet_are_said_to_be_unsupported() {
    for (proto, rows) in [("msrp", 77), ("sdp", 27)] {
        let (tally, _) = tally(proto);
        assert_eq!((tally.unsupported, tally.judged), (rows, 0), "{proto}");
    }
}

#[test]
fn a_notification_document_is_judged_by_its_own_rules() {
    let document = |middle: &str| {
        format!(
            "<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>34jk324j</message-id>{middle}\
             <delivery-notification><status><delivered/></status></delivery-notification></imdn>"
        )
    };
    let verdict = |text: &str| check::check("imdn", text.as_bytes()).verdict;
    let whole = document("<datetime>2006-04-04T12:16:49-05:00</datetime>");
    assert_eq!(verdict(&whole), Verdict::Accept);
    // RFC 5438 §11.1.2: datetime is mandatory.
    assert_eq!(verdict(&document("")), Verdict::Reject);
    assert_eq!(verdict("<imdn/>"), Verdict::Reject);
    assert_eq!(verdict(&whole.replace("</imdn>", "")), Verdict::Reject);
}

#[test]
fn a_row_with_the_wrong_verdict_is_a_miss() {
    // The check of the checks: a manifest that wants the opposite of the truth misses every row.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check_example");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("good.xml"), "<a/>").unwrap();
    std::fs::write(folder.join("bad.xml"), "<a>").unwrap();
    let manifest = folder.join("manifest.jsonl");
    let rows = r#"{"id":"good","file":"good.xml","proto":"xml","expect":"reject"}
{"id":"bad","file":"bad.xml","proto":"xml","expect":"accept"}
"#;
    std::fs::write(&manifest, rows).unwrap();
    let mut tally = Tally::default();
    judge_manifest(&manifest, |row| {
        tally.count(row);
        Ok(())
    })
    .unwrap();
    assert_eq!((tally.judged, tally.missed), (2, 2));
}

//! Keeps the numbers of README.md true, those of benches/README.md included, and the ladders there
//! and in docs/ladders.md.
//!
//! `BLESS=1 cargo test --test readme` writes them anew.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]

#[allow(dead_code)] // Only the ladder is used here.
#[path = "../examples/two_phones/main.rs"]
mod two_phones;

use std::fs;
use std::path::{Path, PathBuf};

use oma_im::client::Client;
use oma_im::storage::{Inline, Small, Standard};

const README: &str = "README.md";
const BENCHES: &str = "benches/README.md";
const LADDERS: &str = "docs/ladders.md";

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// What stands between `<!-- name -->` and `<!-- end -->` has to be `right`.
fn block(file: &str, name: &str, right: &str) {
    let text = fs::read_to_string(path(file)).unwrap();
    let begin = format!("<!-- {name} -->\n");
    let start = text.find(&begin).unwrap() + begin.len();
    let end = start + text[start..].find("<!-- end -->").unwrap();
    if text[start..end] == *right {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(path(file), [&text[..start], right, &text[end..]].concat()).unwrap();
        return;
    }
    panic!("{file} ({name}) should say, and BLESS=1 writes it:\n{right}");
}

/// The ladder of a scenario, as the example prints it.
fn ladder(file: &str, name: &str) {
    let scenario = two_phones::Options::read(["--scenario".into(), name.into()].into_iter());
    let run = two_phones::stage::Run::play(scenario.unwrap().scenario, 1, 0);
    let command = format!("$ cargo run --example two_phones -- --scenario {name}");
    let report = two_phones::report(&run);
    block(
        file,
        &format!("ladder: {name}"),
        &format!("```text\n{command}\n{report}\n```\n"),
    );
}

/// The names of all ladders of a file.
fn ladders(file: &str) -> Vec<String> {
    let text = fs::read_to_string(path(file)).unwrap();
    let name = |line: &str| {
        let name = line.strip_prefix("<!-- ladder: ")?.strip_suffix(" -->")?;
        Some(name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

// One test: all of it writes the file.
#[test]
fn the_readme_shows_what_is() {
    assert_eq!(ladders(README).len(), 1);
    for name in ladders(README) {
        ladder(README, &name);
    }
    if cfg!(target_pointer_width = "64") {
        block(README, "memory", &memory());
    }
    block(README, "speed", &speed());
}

#[test]
fn the_ladders_show_what_is() {
    let names = ladders(LADDERS);
    assert!(names.iter().any(|name| name == "settings-412"));
    for name in names {
        ladder(LADDERS, &name);
    }
}

/// The figures of benches/README.md, which the step `counts` of the CI run holds against the code.
fn speed() -> String {
    let text = fs::read_to_string(path(BENCHES)).unwrap();
    let row = |(what, name): (&str, &str)| {
        let begin = format!("| {name} | ");
        let line = text.lines().find_map(|line| line.strip_prefix(&begin));
        match *line.unwrap().split(" | ").collect::<Vec<_>>() {
            [ours, _bar, best] => format!("| {what} | {ours} | {best}\n"),
            _ => panic!("{name} has other columns"),
        }
    };
    let rows = [
        ("start line and header lines read", "shallow message"),
        ("and all addresses, Via and parameters", "deep message"),
        ("the request written", "build message"),
        ("request in, checked, 200 out", "respond_200 message"),
        ("a whole client transaction", "txn_client message"),
        ("a whole server transaction", "txn_server message"),
    ];
    "| a MESSAGE of 721 bytes | instructions | best other |\n|---|---|---|\n".to_owned()
        + &rows.map(row).concat()
}

fn memory() -> String {
    const fn inline<const TXNS: usize, const REMEMBERED: usize>() -> usize {
        size_of::<Inline<TXNS, REMEMBERED, 0>>()
    }
    let small = size_of::<Small>();
    let rows = [
        (
            "`Client<Small>`, a phone: all of it",
            size_of::<Client<Small>>(),
        ),
        (
            "`Client<Standard>`, a computer",
            size_of::<Client<Standard>>(),
        ),
        (
            "of these the client without its storage",
            size_of::<Client<Small>>() - small,
        ),
        (
            "`Small`: 8 transactions, 132 remembered, 5120 octets",
            small,
        ),
        (
            "`Standard`: 32 transactions, 256 remembered, 32768 octets",
            size_of::<Standard>(),
        ),
        (
            "one transaction more, with its request",
            inline::<9, 0>() - inline::<8, 0>(),
        ),
        (
            "one answer more that is repeated",
            (inline::<0, 18>() - inline::<0, 16>()) / 2,
        ),
    ];
    let row = |(what, bytes)| format!("| {what} | {bytes} |\n");
    "| what | bytes |\n|---|---|\n".to_owned() + &rows.map(row).concat()
}

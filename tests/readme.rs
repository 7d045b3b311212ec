//! Keeps the numbers and the ladder of README.md true.
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

use oma_im::client::Client;
use oma_im::storage::{Inline, Small, Standard};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// What stands between `<!-- name -->` and `<!-- end -->` has to be `right`.
fn block(name: &str, right: &str) {
    let text = fs::read_to_string(FILE).unwrap();
    let begin = format!("<!-- {name} -->\n");
    let start = text.find(&begin).unwrap() + begin.len();
    let end = start + text[start..].find("<!-- end -->").unwrap();
    if text[start..end] == *right {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(FILE, [&text[..start], right, &text[end..]].concat()).unwrap();
        return;
    }
    panic!("README.md ({name}) should say, and BLESS=1 writes it:\n{right}");
}

// One test: both write the file.
#[test]
fn the_readme_shows_what_is() {
    let name = "offline-202-then-report";
    let scenario = two_phones::Options::read(["--scenario".into(), name.into()].into_iter());
    let run = two_phones::stage::Run::play(scenario.unwrap().scenario, 1, 0);
    let command = format!("$ cargo run --example two_phones -- --scenario {name}");
    let report = two_phones::report(&run);
    block(
        &format!("ladder: {name}"),
        &format!("```text\n{command}\n{report}\n```\n"),
    );
    if cfg!(target_pointer_width = "64") {
        block("memory", &memory());
    }
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
            "`Small`: 8 transactions, 100 remembered, 5120 octets",
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
            "one answer and one message more that are remembered",
            (inline::<0, 18>() - inline::<0, 16>()) / 2,
        ),
    ];
    let row = |(what, bytes)| format!("| {what} | {bytes} |\n");
    "| what | bytes |\n|---|---|\n".to_owned() + &rows.map(row).concat()
}

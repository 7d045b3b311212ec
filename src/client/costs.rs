//! Keeps the numbers in the documentation of [`crate::limits`] true.
//!
//! `BLESS=1 cargo test --lib costs` writes them anew.

#![allow(clippy::unwrap_used)]

use std::prelude::rust_2024::*;
use std::{format, fs};

use crate::client::flows::{Flow, Path};
use crate::client::records::Record;
use crate::limits::{
    EVENTS, MAX_ACCESS_NETWORK, MAX_CANDIDATES, MAX_DIALOG, MAX_ETAG, MAX_FLOWS, MAX_GRUU,
    MAX_MECHANISMS, MAX_MESSAGE, MAX_PATHS, MAX_ROUTES, MAX_SECURITY_LIST, REPORTS_PER_MESSAGE,
    RESERVE,
};
use crate::storage::{Inline, Small, Standard};
use crate::wire::header::IpsecSuite;
use crate::wire::message::MAX_HEADERS;

/// A row begins with this; these are the cells behind it that are numbers.
fn numbers() -> [(&'static str, &'static [usize]); 18] {
    const TXN: usize = size_of::<Inline<9, 0, 0>>() - size_of::<Inline<8, 0, 0>>();
    const REMEMBERED: usize = (size_of::<Inline<0, 18, 0>>() - size_of::<Inline<0, 16, 0>>()) / 2;
    [
        ("`TXNS`", &[8, 32, TXN]),
        ("`REMEMBERED`", &[132, 256, REMEMBERED]),
        ("`ARENA`", &[5_120, 32_768, 1]),
        ("[`MAX_PATHS`]", &[MAX_PATHS, size_of::<Path>()]),
        ("[`MAX_FLOWS`]", &[MAX_FLOWS, size_of::<Flow>()]),
        ("[`EVENTS`]", &[EVENTS, size_of::<Record>()]),
        ("[`RESERVE`]", &[RESERVE, 1]),
        ("[`MAX_MESSAGE`]", &[MAX_MESSAGE]),
        ("[`MAX_HEADERS`]", &[MAX_HEADERS]),
        ("[`MAX_CANDIDATES`]", &[MAX_CANDIDATES as usize]),
        ("[`MAX_SECURITY_LIST`]", &[MAX_SECURITY_LIST, 1]),
        ("[`MAX_ACCESS_NETWORK`]", &[MAX_ACCESS_NETWORK, 1]),
        (
            "[`MAX_MECHANISMS`]",
            &[MAX_MECHANISMS, size_of::<Option<IpsecSuite>>()],
        ),
        ("[`MAX_ETAG`]", &[MAX_ETAG, 1]),
        ("[`MAX_GRUU`]", &[MAX_GRUU, 1]),
        ("[`MAX_DIALOG`]", &[MAX_DIALOG, 1]),
        ("[`MAX_ROUTES`]", &[MAX_ROUTES]),
        ("[`REPORTS_PER_MESSAGE`]", &[REPORTS_PER_MESSAGE]),
    ]
}

/// The text with the right numbers.
fn right(text: &str) -> String {
    let row = |line: &str| {
        let (_, numbers) = numbers()
            .into_iter()
            .find(|(start, _)| line.starts_with(&format!("//! | {start}")))?;
        let mut cells: Vec<String> = line.split(" | ").map(Into::into).collect();
        for (cell, number) in cells.get_mut(2..)?.iter_mut().zip(numbers) {
            *cell = format!("{number}");
        }
        Some(cells.join(" | "))
    };
    let line = |line: &str| row(line).unwrap_or_else(|| line.into()) + "\n";
    text.lines().map(line).collect()
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_limits_cost_what_their_documentation_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/limits.rs");
    let text = fs::read_to_string(file).unwrap();
    let right = right(&text);
    // The columns of the two presets.
    assert_eq!(size_of::<Small>(), size_of::<Inline<8, 132, 5_120>>());
    assert_eq!(size_of::<Standard>(), size_of::<Inline<32, 256, 32_768>>());
    if std::env::var_os("BLESS").is_some() {
        fs::write(file, &right).unwrap();
    } else {
        assert_eq!(text, right, "BLESS=1 cargo test --lib costs");
    }
}

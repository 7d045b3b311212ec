//! What the corpus tests share: its manifest, and a seeded source of numbers.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

/// The folder of the corpus.
pub(crate) fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// One row of the manifest with the bytes of its file.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) expect: String,
    pub(crate) layer: Option<String>,
    pub(crate) reply: Option<String>,
    pub(crate) why: String,
    pub(crate) bytes: Vec<u8>,
}

/// All rows of one protocol.
pub(crate) fn cases(proto: &str) -> Vec<Case> {
    rows(proto, "")
}

/// The row of this id, without a look at the other files.
pub(crate) fn case(proto: &str, id: &str) -> Case {
    let mut rows = rows(proto, id);
    rows.retain(|row| row.id == id);
    assert_eq!(rows.len(), 1, "{id}");
    rows.remove(0)
}

/// The rows of one protocol whose line holds `line_with`.
fn rows(proto: &str, line_with: &str) -> Vec<Case> {
    let manifest = std::fs::read_to_string(corpus().join("manifest.jsonl")).unwrap();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().map(str::to_owned);
    manifest
        .lines()
        .filter(|line| line.contains(line_with))
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|row| row["proto"] == proto)
        .map(|row| Case {
            id: text(&row, "id").unwrap(),
            expect: text(&row, "expect").unwrap(),
            layer: text(&row, "layer"),
            reply: text(&row, "reply"),
            why: text(&row, "why").unwrap_or_default(),
            bytes: std::fs::read(corpus().join(text(&row, "file").unwrap())).unwrap(),
        })
        .collect()
}

/// xorshift64*: the same numbers for the same seed.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % n
    }
}

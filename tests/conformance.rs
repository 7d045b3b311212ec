//! Keeps CONFORMANCE.md true: every clause has its row, every test that a row names exists, every
//! test named after a clause stands in its row, and the list of what is "not yet" only shrinks.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many rows may still say "not yet". Lower it with each procedure that is done; never raise it.
const NOT_YET: usize = 34;

struct Clause {
    id: String,
    level: String,
}

struct Row {
    id: String,
    level: String,
    /// Empty means "not yet".
    tests: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn clauses() -> Vec<Clause> {
    let text = std::fs::read_to_string(root().join("tests/spec/clauses.tsv")).unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            let (id, level) = (fields.next().unwrap(), fields.next().unwrap());
            Clause { id, level }
        })
        .collect()
}

/// The rows of the one table in CONFORMANCE.md.
fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("CONFORMANCE.md")).unwrap();
    text.lines()
        .filter(|line| line.starts_with('|'))
        .skip(2) // the head and the line below it
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [id, level, what, place, tests, note] = cells.as_slice() else {
                panic!("a row needs six cells: {line}");
            };
            let filled = [id, level, what, place, tests, note]
                .iter()
                .all(|cell| !cell.is_empty());
            assert!(filled, "an empty cell: {line}");
            let names = tests
                .split(',')
                .map(|name| name.trim().trim_matches('`').to_owned());
            let tests = if *tests == "not yet" {
                Vec::new()
            } else {
                names.collect()
            };
            Row {
                id: (*id).to_owned(),
                level: (*level).to_owned(),
                tests,
            }
        })
        .collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of the functions in `text` that `cargo test` runs.
fn tests_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut marked = false;
    let mut ignored = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            marked = true;
        } else if line.starts_with("#[ignore") {
            ignored = true;
        } else if let Some(rest) = line.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap();
            if marked && !ignored {
                names.push(name.to_owned());
            }
            (marked, ignored) = (false, false);
        } else if !line.starts_with("//") && !line.starts_with("#[") && !line.is_empty() {
            (marked, ignored) = (false, false);
        }
    }
    names
}

/// The names of all tests of this package.
fn all_tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    rust_files(&root().join("tests"), &mut files);
    rust_files(&root().join("src"), &mut files);
    files
        .iter()
        .flat_map(|file| tests_in(&std::fs::read_to_string(file).unwrap()))
        .collect()
}

/// What the tests of a clause begin with: `8.1.1-7a` gives `clause_8_1_1_7a`.
fn stem(id: &str) -> String {
    format!("clause_{}", id.replace(['.', '-'], "_").to_lowercase())
}

/// The clause that a test is named after: the longest stem that its name begins with.
fn clause_of<'a>(test: &str, stems: &'a BTreeMap<String, String>) -> Option<&'a str> {
    stems
        .iter()
        .filter(|(stem, _)| {
            test.strip_prefix(stem.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
        .max_by_key(|(stem, _)| stem.len())
        .map(|(_, id)| id.as_str())
}

#[test]
fn every_clause_has_its_row() {
    let wanted: Vec<(String, String)> = clauses()
        .into_iter()
        .map(|clause| (clause.id, clause.level))
        .collect();
    let present: Vec<(String, String)> =
        rows().into_iter().map(|row| (row.id, row.level)).collect();
    for clause in &wanted {
        assert!(
            present.contains(clause),
            "CONFORMANCE.md lacks {} {}",
            clause.0,
            clause.1
        );
    }
    for row in &present {
        assert!(
            wanted.contains(row),
            "{} {} is no line of clauses.tsv",
            row.0,
            row.1
        );
    }
    assert_eq!(present, wanted, "rows twice, or out of order");
    assert_eq!(wanted.len(), 70);
}

#[test]
fn every_named_test_exists() {
    let existing = all_tests();
    for row in rows() {
        for test in &row.tests {
            assert!(
                existing.contains(test),
                "{}: there is no test `{test}`",
                row.id
            );
        }
    }
}

#[test]
fn every_clause_test_stands_in_its_row() {
    let rows: BTreeMap<String, Vec<String>> =
        rows().into_iter().map(|row| (row.id, row.tests)).collect();
    let stems: BTreeMap<String, String> = rows.keys().map(|id| (stem(id), id.clone())).collect();
    assert_eq!(
        stems.len(),
        rows.len(),
        "two clauses would share a test name"
    );
    for test in all_tests()
        .iter()
        .filter(|test| test.starts_with("clause_"))
    {
        let id = clause_of(test, &stems).unwrap_or_else(|| panic!("`{test}` names no clause"));
        assert!(
            rows.get(id).unwrap().contains(test),
            "the row of {id} does not list `{test}`"
        );
    }
}

#[test]
fn not_yet_only_shrinks() {
    let open: Vec<String> = rows()
        .into_iter()
        .filter(|row| row.tests.is_empty())
        .map(|row| row.id)
        .collect();
    assert!(
        open.len() <= NOT_YET,
        "{} rows say \"not yet\": {open:?}",
        open.len()
    );
    assert_eq!(
        open.len(),
        NOT_YET,
        "good: lower NOT_YET, so that it stays so"
    );
}

#[test]
fn a_test_belongs_to_the_longest_clause_its_name_begins_with() {
    let ids = ["8.1-1", "8.1.1-1", "8.1.1-11", "8.1.1-7a", "8.1.1-N3"];
    let stems: BTreeMap<String, String> =
        ids.iter().map(|id| (stem(id), (*id).to_owned())).collect();
    let of = |test| clause_of(test, &stems);
    assert_eq!(of("clause_8_1_1_below_1300_is_pager"), Some("8.1-1"));
    assert_eq!(of("clause_8_1_1_1_accept_contact"), Some("8.1.1-1"));
    assert_eq!(of("clause_8_1_1_11_route"), Some("8.1.1-11"));
    assert_eq!(of("clause_8_1_1_7a_group"), Some("8.1.1-7a"));
    assert_eq!(of("clause_8_1_1_n3"), Some("8.1.1-N3"));
    assert_eq!(of("clause_9_nowhere"), None);
}

#[test]
fn only_functions_that_run_count_as_tests() {
    let text = "\
#[test]\n/// Words.\n#[should_panic]\nfn counts() {}\n\
fn helper() {}\n\
#[test]\n#[ignore = \"slow\"]\nfn ignored() {}\n\
// #[test]\nfn commented() {}\n\
mod tests {\n    #[test]\n    fn inner() {}\n}\n";
    assert_eq!(tests_in(text), ["counts", "inner"]);
}

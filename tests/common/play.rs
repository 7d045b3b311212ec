//! What the tests of the machines that wait for a server share: scripts, ladders and tables of cells.
//!
//! A script is lines of `seconds input`; a ladder is a script with what each line gives:
//! `seconds input: outcome`. A table has a state on a line of its own and below it, indented, what
//! an input does there: `input: outcome > state`.
#![allow(
    dead_code, // Each test uses its part.
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub
)]

use oma_im::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// A machine with its clock.
pub trait Play {
    /// Gives an input at `millis`, and says what comes of it.
    fn outcome(&mut self, millis: u64, input: &str) -> String;

    /// The name of the state.
    fn state(&self) -> String;

    /// Plays a script and gives it as a ladder.
    fn play(&mut self, script: &str) -> Vec<String> {
        let mut lines = vec![];
        for line in lines_of(script) {
            let (at, input) = line.split_once(' ').unwrap();
            let input = input.trim();
            let outcome = self.outcome(at.parse::<u64>().unwrap() * 1000, input);
            lines.push(format!("{at} {input}: {outcome}"));
        }
        lines
    }
}

/// Plays a ladder, which has to come out as it is written.
pub fn ladder(scene: &mut impl Play, text: &str) {
    let wanted: Vec<&str> = lines_of(text).collect();
    let inputs = wanted.iter().map(|line| line.split_once(':').unwrap().0);
    let script: Vec<&str> = inputs.collect();
    assert_eq!(scene.play(&script.join("\n")), wanted);
}

fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// A time as ladders write it.
pub fn seconds(instant: Instant) -> String {
    let millis = instant.as_millis();
    assert_eq!(millis % 500, 0);
    (millis as f64 / 1000.0).to_string()
}

/// Tries each input in each state, which a script leads to, an hour later for the clock. An input
/// that the table does not have for a state does nothing there and leaves it as it is.
pub fn every_cell<S: Play>(
    new: impl Fn() -> S,
    ways: &[(&str, &str)],
    inputs: &[&str],
    table: &str,
) {
    let mut cells = BTreeMap::new();
    let mut state = "";
    for line in table.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("    ") {
            None => state = line,
            Some(cell) => {
                let (input, outcome) = cell.split_once(':').unwrap();
                let twice = cells.insert((state, input), outcome.trim());
                assert!(twice.is_none(), "twice: {cell}");
            }
        }
    }
    // Several ways may lead to one state: each has to do the same there.
    let mut seen = BTreeSet::new();
    for &(state, way) in ways {
        for &input in inputs {
            let mut scene = new();
            let _ = scene.play(way);
            assert_eq!(scene.state(), state, "{way}");
            let at = if input == "clock" { 3600 } else { 40 };
            let line = scene.play(&format!("{at} {input}")).remove(0);
            let (_, outcome) = line.split_once(": ").unwrap();
            let got = format!("{outcome} > {}", scene.state());
            let nothing = format!("- > {state}");
            let wanted = cells.get(&(state, input)).copied().unwrap_or(&nothing);
            assert_eq!(got, wanted, "{state}, {input}");
            seen.insert((state, input));
        }
    }
    cells.retain(|cell, _| !seen.contains(cell));
    assert!(cells.is_empty(), "no such state or input: {cells:?}");
}

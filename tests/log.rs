//! What the client notes in a log (feature `log`), and what never gets there.

use std::sync::Mutex;

use oma_im::im::pager::{Anonymity, Wrap};
use oma_im::storage::Small;
use oma_im::testkit::ops::{Op, Run, Send, Wait, draw};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        if let Ok(mut lines) = LINES.lock() {
            lines.push(line);
        }
    }

    fn flush(&self) {}
}

// One test: the logger is the process's.
#[test]
fn state_changes_are_noted_and_nobody_is_named() {
    assert!(log::set_logger(&Lines).is_ok());
    log::set_max_level(log::LevelFilter::Trace);
    // Bytes of zero give UDP and a password; every message goes to Bob.
    let (setup, _) = draw(&[]);
    let Ok(mut run) = Run::new(&setup, Small::new()) else {
        panic!("the configuration is right");
    };
    let hello = Send {
        to: 0,
        body: 100,
        identity: 0,
        display_name: 0,
        anonymity: Anonymity::None,
        reports: None,
        wrap: Wrap::Plain,
        subject: 0,
        expires: None,
    };
    for op in [
        Op::Register,
        Op::Serve(Vec::new()),
        Op::Send(hello),
        Op::Serve(Vec::new()),
        Op::Bytes(0, b"OPTIONS".to_vec()),
        Op::Wait(Wait::Deadline),
    ] {
        run.step(&op);
    }
    run.finish();
    let lines = LINES.lock().map(|lines| lines.join("\n"));
    let Ok(lines) = lines else {
        panic!("the log is whole");
    };
    for wanted in [
        "INFO flow 1 is open: Udp",
        "DEBUG request 2 queued: REGISTER",
        "DEBUG request 2 goes out on flow 1 with CSeq 1",
        "DEBUG request 2: answered 200",
        "INFO event Registered",
        "queued: message",
        "is over: Ok(20",
        "DEBUG counted: unparsable",
        "DEBUG client transaction 0:",
        "INFO event Deregistered",
        "INFO flow 1 is to be closed: NotNeeded",
    ] {
        assert!(lines.contains(wanted), "{wanted:?} is not in\n{lines}");
    }
    for secret in ["alice", "bob", "secret", "mmm", "sip:"] {
        assert!(
            !lines.to_lowercase().contains(secret),
            "{secret:?} is in\n{lines}"
        );
    }
}

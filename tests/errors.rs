//! Errors speak to whoever reads a log: each says something, each something else, with its numbers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::error::Error;

use oma_im::error::{CommandError, ConfigError, Failure, Limit};
use oma_im::sip::transaction::TimersError;
use oma_im::wire::deflate::InflateError;
use oma_im::wire::digest::{AnswerError, Unanswerable};
use oma_im::wire::error::{ParseError, ParseErrorKind};
use oma_im::wire::name::{Status, StatusClass};
use oma_im::wire::settings::{DialectError, Setting};
use oma_im::wire::sink::TooSmall;
use oma_im::wire::writer::TextError;

/// One line each, no two alike; gives what they say.
fn lines<E: Error + Copy>(errors: &[E]) -> Vec<String> {
    let lines: Vec<_> = errors.iter().map(E::to_string).collect();
    for (line, error) in lines.iter().zip(errors) {
        assert!(line.len() > 8, "{error:?}: {line:?}");
        assert!(!line.contains('\n'), "{error:?}: {line:?}");
    }
    let distinct: BTreeSet<_> = lines.iter().collect();
    assert_eq!(distinct.len(), errors.len(), "{lines:#?}");
    lines
}

#[test]
fn what_the_integrator_did_wrong() {
    let said = lines(&[
        ConfigError::ImAddress,
        ConfigError::NextHops,
        ConfigError::NextHopHost,
        ConfigError::Instance,
        ConfigError::Text,
        ConfigError::Product,
        ConfigError::Expires,
        ConfigError::Storage,
        ConfigError::Arena {
            needed: 700,
            available: 512,
        },
    ]);
    // Who reads it finds the field.
    for (said, field) in said.iter().zip(["im_address", "next_hops", "next hop"]) {
        assert!(said.contains(field), "{said}");
    }
    let arena = said.last().unwrap();
    assert!(arena.contains("700") && arena.contains("512"), "{arena}");
    let setting = Setting::ALL[0];
    let dialect = lines(&[
        DialectError::Twice(setting),
        DialectError::Namespace(setting),
        DialectError::Path(setting),
        DialectError::Name(setting),
        DialectError::Words(setting),
        DialectError::Kind(setting),
        DialectError::Ambiguous(setting),
        DialectError::Schema(setting),
    ]);
    for said in dialect {
        assert!(said.contains(&format!("{})", setting.letter())), "{said}");
    }
    lines(&[TimersError::T1, TimersError::T2, TimersError::T4]);
}

#[test]
fn what_the_application_did_wrong() {
    let said = lines(&[
        CommandError::UnknownId,
        CommandError::WrongState,
        CommandError::Busy,
        CommandError::Target,
        CommandError::Identity,
        CommandError::Text,
        CommandError::AnonymousReport,
        CommandError::NoWallClock,
        CommandError::NotAskedFor,
        CommandError::TooLargeForPager { size: 1301 },
        CommandError::Full {
            limit: Limit::Arena,
            needed: 900,
            available: 17,
        },
    ]);
    assert!(said[9].contains("1301"), "{}", said[9]);
    for part in ["Arena", "900", "17"] {
        assert!(said[10].contains(part), "{}", said[10]);
    }
    lines(&[TextError::Empty, TextError::Forbidden { offset: 3 }]);
    assert!(TextError::Forbidden { offset: 3 }.to_string().contains('3'));
    assert!(TooSmall { needed: 312 }.to_string().contains("312"));
    lines(&[
        AnswerError::Challenge(Unanswerable::Algorithm),
        AnswerError::Challenge(Unanswerable::BelowFloor),
        AnswerError::Challenge(Unanswerable::Qop),
        AnswerError::Ha1,
        AnswerError::NoSecret,
        AnswerError::Username,
        AnswerError::Uri,
    ]);
}

#[test]
fn what_peer_and_network_did() {
    let said = lines(&[
        Failure::Status {
            status: 486,
            warning: None,
            retry_after: None,
        },
        Failure::Credentials { status: 407 },
        Failure::AnonymityRefused { status: 433 },
        Failure::TooLargeForPager { size: 1300 },
        Failure::Timeout,
        Failure::FlowLost,
        Failure::Unreachable,
        Failure::Abandoned,
        Failure::NoRoom,
        Failure::Interval,
        Failure::Withdrawn,
    ]);
    for (said, number) in said.iter().zip(["486", "407", "433", "1300"]) {
        assert!(said.contains(number), "{said}");
    }
    lines(&[
        InflateError::UnknownEncoding,
        InflateError::Malformed,
        InflateError::Truncated,
        InflateError::TooSmall,
    ]);
}

#[test]
fn what_is_wrong_with_bytes_where_and_by_which_clause() {
    let at_byte_7 = |kind: &ParseErrorKind| ParseError::new(*kind, 7);
    let errors: Vec<_> = ParseErrorKind::ALL.iter().map(at_byte_7).collect();
    for (said, error) in lines(&errors).iter().zip(&errors) {
        let (what, clause) = (error.kind.text(), error.kind.clause());
        assert_eq!(*said, format!("{what} at byte 7 ({clause})"));
        assert!(clause.contains('§'), "{clause}");
    }
}

/// RFC 3261 §7.2: the first digit.
#[test]
fn what_kind_of_answer_a_status_is() {
    for (first, class) in [
        (100, StatusClass::Provisional),
        (200, StatusClass::Success),
        (300, StatusClass::Redirection),
        (400, StatusClass::ClientError),
        (500, StatusClass::ServerError),
        (600, StatusClass::GlobalFailure),
    ] {
        for code in [first, first + 99] {
            assert_eq!(Status::new(code).unwrap().class(), class, "{code}");
        }
    }
}

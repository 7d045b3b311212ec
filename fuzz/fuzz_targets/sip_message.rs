//! Any datagram gives a message or an error, and every view of a message stays within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oma_im::wire::header::*;
use oma_im::wire::message::{MAX_HEADERS, Message, StartLine};
use oma_im::wire::name::Name;
use oma_im::wire::scan::offset_in;
use oma_im::wire::uri::Uri;

fuzz_target!(|bytes: &[u8]| {
    if let Some(message) = Message::legible(bytes) {
        walk(&message, bytes);
        assert!(
            message
                .request()
                .is_some_and(|r| r.method.as_bytes() != b"ACK")
        );
    }
    if let Ok(message) = Message::parse_head(bytes) {
        walk(&message, bytes);
    }
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    walk(&message, bytes);
    let end = message.head_len() + message.body().len();
    assert!(end <= bytes.len());
    assert_eq!(message.body(), &bytes[message.head_len()..end]);
    // What is behind a message of known length plays no part, and the message alone is the same.
    if message.header(Name::ContentLength).is_some() {
        let mut longer = bytes.to_vec();
        longer.push(b'x');
        assert_eq!(Message::parse(&longer).unwrap().body(), message.body());
        assert_eq!(
            Message::parse(&bytes[..end]).unwrap().body(),
            message.body()
        );
        assert!(Message::parse(&bytes[..end.saturating_sub(1)]).is_err());
    }
});

fn inside(part: &[u8], whole: &[u8]) {
    assert!(part.is_empty() || offset_in(whole, part) + part.len() <= whole.len());
}

fn walk(message: &Message<'_>, bytes: &[u8]) {
    match message.start() {
        StartLine::Request(line) => {
            inside(line.uri, bytes);
            let _ = Uri::parse(line.uri);
        }
        StartLine::Response(line) => inside(line.reason, bytes),
    }
    let mut lines = 0;
    for header in message.headers() {
        lines += 1;
        inside(header.raw_name, bytes);
        inside(header.value, bytes);
        assert!(!header.raw_name.is_empty());
        assert_eq!(Name::from_bytes(header.raw_name), header.name);
        // A line end only as a fold, whatever is quoted or escaped.
        let mut rest = header.value;
        while let Some(at) = rest.iter().position(|&b| b == b'\r' || b == b'\n') {
            assert!(matches!(&rest[at..], [b'\r', b'\n', b' ' | b'\t', ..]));
            rest = &rest[at + 2..];
        }
        type_it(header.value);
        // No list has more elements than bytes, and every element is part of the line.
        let mut elements = 0;
        for element in message.values(header.name) {
            elements += 1;
            inside(element, bytes);
        }
        assert!(elements <= bytes.len());
    }
    assert!(lines <= MAX_HEADERS);
    if message.validate().is_ok() {
        assert!(message.well_formed().is_ok());
        assert!(message.vias().next().is_some_and(|via| via.is_ok()));
        assert!(message.from().is_ok() && message.to().is_ok());
        assert!(message.call_id().is_ok_and(|id| !id.is_empty()));
        let cseq = message.cseq().unwrap();
        if let Some(line) = message.request() {
            assert_eq!(cseq.method, line.method);
        }
    }
}

/// Reads one value as every kind of header: whatever it is, it must not panic.
fn type_it(value: &[u8]) {
    if let Ok(via) = Via::parse(value) {
        let _ = (via.branch(), via.received(), via.rport(), via.keep());
        assert!(via.params.into_iter().count() <= value.len());
    }
    if let Ok(address) = NameAddr::parse(value) {
        let _ = (address.tag(), address.expires(), address.uri());
        assert!(address.params.into_iter().count() <= value.len());
    }
    let _ = (
        Contact::parse(value),
        CSeq::parse(value),
        MaxForwards::parse(value),
    );
    let _ = (
        Expires::parse(value),
        SessionExpires::parse(value),
        RetryAfter::parse(value),
    );
    if let Ok(event) = Event::parse(value) {
        assert!(event.matches(&event));
        assert!(!event.event_type.package().is_empty());
        assert!(event.event_type.templates().all(|it| !it.is_empty()));
        assert!(AllowEvents::parse(event.event_type.as_bytes()).is_ok());
    }
    if let Ok(state) = SubscriptionState::parse(value) {
        let _ = (state.state(), state.reason(), state.retry_after());
        assert!(state.expires().is_none() || state.state() != Substate::Terminated);
    }
    if let Ok(tag) = SipEtag::parse(value) {
        assert!(!tag.as_bytes().is_empty());
    }
    let _ = (RSeq::parse(value), RAck::parse(value), MinSe::parse(value));
}

//! Values that own their bytes, and where these lie.
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used)]

use std::net::SocketAddr;

use bytes::Bytes;
use oma_im::client::{
    Client, Direction, Event, FlowInfo, Item, Origin, Output, RegistrationChange, Verified,
};
use oma_im::config::{Config, NextHop, Transport};
use oma_im::id::{FlowId, PathId};
use oma_im::owned::{
    Identities, OwnedEvent, OwnedItem, OwnedMessage, OwnedOutput, OwnedRegistrationChange,
};
use oma_im::storage::{Heap, HeapLimits};
use oma_im::time::Instant;

const MESSAGE: &str = "MESSAGE sip:alice@192.0.2.10 SIP/2.0\r\n\
    Via: SIP/2.0/TCP proxy.example.com;branch=z9hG4bK1\r\n\
    Max-Forwards: 70\r\n\
    From: \"Bob\" <sip:bob@example.com>;tag=1\r\n\
    To: <sip:alice@example.com>\r\n\
    Call-ID: 1\r\n\
    CSeq: 1 MESSAGE\r\n\
    P-Asserted-Identity: <sip:bob@example.com>\r\n\
    Subject: Lunch\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 5\r\n\r\nHello";

fn client() -> Client<Heap> {
    let hops = [NextHop::new("proxy.example.com", Transport::Tcp)];
    let config = Config::new("sip:alice@example.com", &hops);
    let storage = Heap::new(HeapLimits::default());
    let mut client = Client::new(&config, storage, [7; 32]).unwrap();
    let info = FlowInfo {
        origin: Origin::Given(PathId(0)),
        transport: Transport::Tcp,
        local: SocketAddr::from(([192, 0, 2, 10], 5060)),
        remote: SocketAddr::from(([192, 0, 2, 1], 5060)),
        verified: Verified::No,
        direction: Direction::Both,
    };
    client.flow_opened(Instant::ZERO, FlowId(1), &info);
    while !matches!(client.poll_output(&mut [0; 1500]), Output::Idle(_)) {}
    client
}

fn texts(message: &OwnedMessage) -> [&[u8]; 6] {
    [
        message.asserted.as_deref().unwrap_or_default(),
        &message.from,
        &message.called,
        message.subject.as_deref().unwrap_or_default(),
        &message.content_type,
        &message.body,
    ]
}

const TEXTS: [&[u8]; 6] = [
    b"sip:bob@example.com",
    b"sip:bob@example.com",
    b"sip:alice@example.com",
    b"Lunch",
    b"text/plain",
    b"Hello",
];

#[test]
fn a_message_out_of_shared_bytes_is_not_copied() {
    let mut client = client();
    let mut read = Bytes::from(format!("{MESSAGE}OPTIONS sip:"));
    let whole = read.as_ptr_range();
    let OwnedItem::Message(message) = client.receive_bytes(Instant::ZERO, FlowId(1), &mut read)
    else {
        panic!("a message");
    };
    assert_eq!(texts(&message), TEXTS);
    for text in texts(&message) {
        assert!(whole.contains(&text.as_ptr()), "{text:?} was copied");
    }
    assert_eq!(read, "OPTIONS sip:", "what was consumed is gone");
    let more = client.receive_bytes(Instant::ZERO, FlowId(1), &mut read);
    assert_eq!(more, OwnedItem::More);
    assert_eq!(read, "OPTIONS sip:");
}

#[test]
fn a_message_of_its_own_is_one_allocation() {
    let mut client = client();
    let Item::Message(message) = client
        .receive(Instant::ZERO, FlowId(1), MESSAGE.as_bytes())
        .item
    else {
        panic!("a message");
    };
    let owned = message.into_owned();
    assert_eq!(texts(&owned), TEXTS);
    let first = owned.asserted.as_ref().unwrap().as_ptr();
    let length: usize =
        TEXTS.iter().map(|text| text.len()).sum::<usize>() + owned.display.as_ref().unwrap().len();
    let body = owned.body.as_ptr_range();
    assert_eq!(body.end.addr() - first.addr(), length, "side by side");
    // Another buffer than the one it was received from: copied, and the same.
    let elsewhere = message.into_owned_in(&Bytes::from_static(b"something else"));
    assert_eq!(elsewhere, owned);
}

#[test]
fn events_keep_their_text() {
    let associated = b"\"A\" <sip:alice@example.com>, <tel:+15551230001>";
    let change = RegistrationChange::Registered {
        expires: 600,
        associated,
    };
    let path = PathId(0);
    let output = Output::Event(Event::Registration { path, change });
    let OwnedOutput::Event(event) = OwnedOutput::from(output) else {
        panic!("an event");
    };
    let registered = OwnedRegistrationChange::Registered {
        expires: 600,
        associated: Identities::new(b"<sip:alice@example.com>,<tel:+15551230001>"),
    };
    assert_eq!(
        event,
        OwnedEvent::Registration {
            path,
            change: registered.clone()
        }
    );
    let OwnedRegistrationChange::Registered { associated, .. } = registered else {
        panic!("registered");
    };
    let uris: Vec<&[u8]> = associated.iter().map(|uri| &uri[..]).collect();
    assert_eq!(uris, [&b"sip:alice@example.com"[..], b"tel:+15551230001"]);
}

#[test]
fn every_change_of_a_registration_is_kept() {
    use oma_im::error::Failure;
    let failure = Failure::Timeout;
    let retry_at = Instant::from_millis(7);
    for (change, owned) in [
        (
            RegistrationChange::Refreshed { expires: 60 },
            OwnedRegistrationChange::Refreshed { expires: 60 },
        ),
        (RegistrationChange::Lost, OwnedRegistrationChange::Lost),
        (
            RegistrationChange::Retrying { failure, retry_at },
            OwnedRegistrationChange::Retrying { failure, retry_at },
        ),
        (
            RegistrationChange::Failed(failure),
            OwnedRegistrationChange::Failed(failure),
        ),
    ] {
        assert_eq!(OwnedRegistrationChange::from(change), owned);
    }
    let none = Identities::new(b"");
    assert_eq!((none.is_empty(), none.len()), (true, 0));
    let two = Identities::new(b"<sip:alice@example.com>, nobody, <tel:+15551230001>");
    assert_eq!((two.is_empty(), two.len()), (false, 2));
}

// RFC 5626 §4.4.1, RFC 3261 §18.3: what is no message is told, and taken off the bytes.
#[test]
fn what_is_no_message_is_an_item_too() {
    let mut client = client();
    let now = Instant::ZERO;
    let mut read = Bytes::from_static(b"\r\n\x16\x03\x01");
    let nothing = client.receive_bytes(now, FlowId(1), &mut read);
    assert_eq!(
        (nothing, &read[..]),
        (OwnedItem::Nothing, &b"\x16\x03\x01"[..])
    );
    let broken = client.receive_bytes(now, FlowId(1), &mut read);
    assert_eq!((broken, &read[..]), (OwnedItem::Broken, &b""[..]));
}

// Sent to another task: no borrow, and Send.
#[test]
fn owned_values_travel() {
    fn travels<T: Send + 'static>() {}
    travels::<OwnedOutput>();
    travels::<OwnedItem>();
}

// Whatever the client may say is owned without a loss: drawn values of every kind.
#[test]
fn every_output_can_be_owned() {
    use arbitrary::{Arbitrary, Unstructured};
    use oma_im::client::IncomingMessage;
    use oma_im::testkit::rng::Rng;
    let mut rng = Rng::new(1);
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..40).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
        let mut u = Unstructured::new(&bytes);
        let output = Output::arbitrary(&mut u).unwrap();
        match (output, OwnedOutput::from(output)) {
            (
                Output::Event(Event::Report(report)),
                OwnedOutput::Event(OwnedEvent::Report(owned)),
            ) => {
                assert_eq!(owned.message_id, report.message_id);
                assert_eq!(owned.recipient, report.recipient);
                assert_eq!(
                    (owned.id, owned.disposition),
                    (report.id, report.disposition)
                );
            }
            (Output::Transmit { bytes, .. }, OwnedOutput::Transmit { bytes: owned, .. }) => {
                assert_eq!(owned, bytes);
            }
            (output, owned) => assert_eq!(
                format!("{output:?}").split([' ', '(']).next(),
                format!("{owned:?}").split([' ', '(']).next()
            ),
        }
        let message = IncomingMessage::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
        let owned = message.into_owned();
        assert_eq!(owned.body, message.body);
        assert_eq!(owned.message_id.as_deref(), message.message_id);
        assert_eq!(owned, message.into_owned_in(&Bytes::from(bytes.clone())));
    }
}

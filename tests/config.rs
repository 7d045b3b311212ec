//! What a client is made of: every rule of its configuration, its storage, and what it says of itself.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/rig.rs"]
mod rig;

use oma_im::client::{Client, Output, route_key};
use oma_im::config::{Config, Credentials, NextHop, Transport};
use oma_im::error::ConfigError;
use oma_im::sip::backoff::BackoffConfig;
use oma_im::sip::keepalive::KeepAliveConfig;
use oma_im::sip::registration::RegistrationConfig;
use oma_im::sip::transaction::Timers;
use oma_im::storage::{Heap, HeapLimits, Inline, Small, Storage};
use oma_im::time::Instant;
use rig::{CHALLENGE, Rig, request};

const HOPS: [NextHop<'static>; 3] = [NextHop::new("proxy.example.com", Transport::Tcp); 3];

/// What the constructor says to the usual configuration with one change.
fn judged(change: impl FnOnce(&mut Config<'_>)) -> Option<ConfigError> {
    let mut config = Config::new("sip:alice@example.com", &HOPS[..1]);
    change(&mut config);
    Client::new(&config, Small::new(), [7; 32]).err()
}

#[test]
fn the_im_address_is_a_sip_or_sips_uri_with_a_user() {
    for bad in [
        "",
        "alice",
        "sip:example.com",
        "tel:+15551230001",
        "im:alice@example.com",
    ] {
        let error = judged(|config| config.im_address = bad);
        assert_eq!(error, Some(ConfigError::ImAddress), "{bad}");
    }
    assert_eq!(
        judged(|config| config.im_address = "sips:alice@example.com"),
        None
    );
}

#[test]
fn one_or_two_next_hops_with_a_host() {
    for (count, error) in [
        (0, Some(ConfigError::NextHops)),
        (1, None),
        (2, None),
        (3, Some(ConfigError::NextHops)),
    ] {
        assert_eq!(
            judged(|config| config.next_hops = &HOPS[..count]),
            error,
            "{count}"
        );
    }
    for (host, error) in [
        ("192.0.2.1", None),
        ("[2001:db8::1]", None),
        ("", Some(ConfigError::NextHopHost)),
        ("a b", Some(ConfigError::NextHopHost)),
        ("proxy.example.com:5060", Some(ConfigError::NextHopHost)),
    ] {
        let hops = [HOPS[0], NextHop::new(host, Transport::Udp)];
        let config = Config::new("sip:alice@example.com", &hops);
        assert_eq!(
            Client::new(&config, Small::new(), [7; 32]).err(),
            error,
            "{host}"
        );
    }
}

#[test]
fn an_instance_is_a_urn_that_fits_between_angle_brackets() {
    for good in [
        "",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "urn:gsma:imei:9042",
    ] {
        assert_eq!(
            judged(|config| config.instance = Some(good)),
            None,
            "{good}"
        );
    }
    for bad in [
        "uuid:1",
        "urn:a b",
        "urn:a\u{7f}",
        "urn:a\"",
        "urn:<a>",
        "urn:a\\",
        "urn:é",
    ] {
        let error = judged(|config| config.instance = Some(bad));
        assert_eq!(error, Some(ConfigError::Instance), "{bad}");
    }
}

#[test]
fn no_text_ends_a_header_line() {
    let text = Some(ConfigError::Text);
    for bad in ["a\r\nb", "a\0", "\u{7f}"] {
        assert_eq!(judged(|config| config.display_name = Some(bad)), text);
        assert_eq!(judged(|config| config.realm = Some(bad)), text);
        assert_eq!(judged(|config| config.feature_tags = bad), text);
        assert_eq!(judged(|config| config.product = bad), text);
        assert_eq!(
            judged(|config| config.credentials = Credentials::Ask { user: bad }),
            text
        );
        let ha1 = Credentials::Ha1 {
            user: "alice",
            realm: bad,
            ha1: [0; 16],
        };
        assert_eq!(judged(|config| config.credentials = ha1), text);
        let password = Credentials::Password {
            user: bad,
            password: "secret",
        };
        assert_eq!(judged(|config| config.credentials = password), text);
    }
    assert_eq!(
        judged(|config| config.display_name = Some("Älice \"A\"")),
        None
    );
}

// RFC 3261 §20.41, §25.1: product = token [ SLASH product-version ]
#[test]
fn products_are_tokens_with_or_without_a_version() {
    for good in [
        "",
        "Example",
        "Example/M4-1.0",
        "Example/M4-1.0 Core/2",
        "A  B",
    ] {
        assert_eq!(judged(|config| config.product = good), None, "{good}");
    }
    for bad in ["/", "Example/", "/1", "a/b/c", "a,b", "a (b)", "é"] {
        let error = judged(|config| config.product = bad);
        assert_eq!(error, Some(ConfigError::Product), "{bad}");
    }
}

#[test]
fn a_registration_lasts_a_second_to_2_to_the_31() {
    for (seconds, error) in [
        (0, Some(ConfigError::Expires)),
        (1, None),
        (1 << 31, None),
        ((1 << 31) + 1, Some(ConfigError::Expires)),
    ] {
        assert_eq!(
            judged(|config| config.registration_expires = seconds),
            error,
            "{seconds}"
        );
    }
}

#[test]
fn storage_that_cannot_hold_the_account_is_refused() {
    let config = Config::new("sip:alice@example.com", &HOPS[..1]);
    let storage = Client::new(&config, Inline::<1, 8, 4096>::new(), [7; 32]).err();
    assert_eq!(storage, Some(ConfigError::Storage));
    let Some(ConfigError::Arena { needed, available }) =
        Client::new(&config, Inline::<2, 8, 40>::new(), [7; 32]).err()
    else {
        panic!("the arena is too small");
    };
    assert_eq!(available, 40);
    let heap = |arena| {
        let limits = HeapLimits {
            arena,
            ..HeapLimits::default()
        };
        Client::new(&config, Heap::new(limits), [7; 32]).err()
    };
    assert_eq!(heap(needed), None);
    let available = needed - 1;
    assert_eq!(
        heap(available),
        Some(ConfigError::Arena { needed, available })
    );
}

/// A MESSAGE and a REGISTER over any storage, to the last byte that went out.
fn session<S: Storage>(storage: S) -> Vec<Vec<u8>> {
    let mut rig = Rig::with(storage, Transport::Udp, |config| config);
    rig.call(|client, now| client.register(now)).unwrap();
    let mut out: Vec<_> = rig.sent.iter().map(|(_, bytes)| bytes.clone()).collect();
    let register = rig.one();
    rig.answer(&register, 401, &[("WWW-Authenticate", CHALLENGE)]);
    out.extend(rig.sent.iter().map(|(_, bytes)| bytes.clone()));
    let register = rig.one();
    rig.receive(&rig::registered(&register));
    let message = rig.message("text/plain", b"Hello");
    rig.receive(&message.to_bytes());
    out.extend(rig.sent.iter().map(|(_, bytes)| bytes.clone()));
    rig.run(100_000);
    assert_eq!(rig.inbox.len(), 1);
    let usage = rig.client.usage();
    assert!(
        usage.arena > 0 && usage.arena <= usage.arena_size,
        "{usage:?}"
    );
    out
}

#[test]
fn borrowed_boxed_and_own_storage_give_the_same_bytes() {
    let own = session(Small::new());
    assert_eq!(own.len(), 3);
    assert_eq!(session(&mut Small::default()), own);
    assert_eq!(session(Box::new(Small::new())), own);
    let limits = HeapLimits::default();
    let mut heap = Heap::new(limits);
    assert_eq!(session(&mut heap), own);
    assert_eq!(heap.limits(), limits);
    // Borrowed, it is woken and put to rest all the same.
    assert!(heap.footprint() < 4096, "{}", heap.footprint());
}

// RFC 3261 §10.2, §26.4.2: a SIPS user registers at a SIPS domain.
#[test]
fn a_sips_user_registers_at_a_sips_domain() {
    let mut rig = Rig::new(Transport::Tls, |config| Config {
        im_address: "sips:bob@example.com",
        ..config
    });
    rig.call(|client, now| client.register(now)).unwrap();
    let register = rig.one();
    assert!(
        register
            .start
            .starts_with("REGISTER sips:example.com SIP/2.0"),
        "{}",
        register.start
    );
    assert!(
        register
            .header("To")
            .unwrap()
            .contains("<sips:bob@example.com>")
    );
}

#[test]
fn what_is_set_by_default_is_what_the_standards_say() {
    assert_eq!(Timers::default(), Timers::RFC3261);
    assert_eq!(Timers::RFC3261.t1(), 500);
    assert_eq!(BackoffConfig::default(), BackoffConfig::RFC5626);
    assert_eq!(KeepAliveConfig::default(), KeepAliveConfig::MAINS);
    assert_eq!(RegistrationConfig::default(), RegistrationConfig::DEFAULT);
}

// One socket for many clients: the first half of branches and Contact users is the client's key.
#[test]
fn bytes_for_many_clients_find_their_own() {
    let mut rig = Rig::new(Transport::Udp, |config| Config {
        key: 0x0102_0304,
        ..config
    });
    rig.call(|client, now| client.register(now)).unwrap();
    let register = rig.one();
    let ok = rig::registered(&register);
    assert_eq!(route_key(&ok), Some(0x0102_0304));
    let contact = register.header("Contact").unwrap();
    let uri = contact
        .trim_start_matches('<')
        .split(['>', ';'])
        .next()
        .unwrap();
    let mut message = request(Transport::Udp, "MESSAGE", "z9hG4bK1");
    message.start = format!("MESSAGE {uri} SIP/2.0");
    assert_eq!(route_key(&message.to_bytes()), Some(0x0102_0304));
    for other in [
        "sip:bob@example.com",
        "sip:example.com",
        "tel:+15551230001",
        "sip:01020304@192.0.2.1",
        "sip:010203041@192.0.2.1",
        "sip:0102030411223g44@192.0.2.1",
        "sip:01020304112233445@192.0.2.1",
    ] {
        message.start = format!("MESSAGE {other} SIP/2.0");
        assert_eq!(route_key(&message.to_bytes()), None, "{other}");
    }
    for other in [
        "",
        "SIP/2.0 200 OK\r\n\r\n",
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a.example\r\n\r\n",
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bKnashds7\r\n\r\n",
        "SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
        "\r\n\r\n",
    ] {
        assert_eq!(route_key(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn every_counter_has_its_name() {
    let mut rig = Rig::ready(Transport::Udp);
    assert_eq!(rig.stats().iter().map(|(_, count)| count).sum::<u32>(), 0);
    rig.call(|client, now| client.receive(now, oma_im::id::FlowId(99), b"x").consumed);
    let counted: Vec<_> = rig.stats().iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("unknown_flow", 1)]);
    assert!(matches!(
        rig.client.poll_output(&mut [0; 1500]),
        Output::Idle(Some(deadline)) if deadline.at > Instant::ZERO
    ));
}

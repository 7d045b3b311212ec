//! The clauses that bind a client on an IMS core.

use oma_im::config::Transport;
use oma_im::error::CommandError;
use oma_im::im::pager::Outgoing;
use oma_im::testkit::server::{Config as ServerConfig, Feature, Notify};
use oma_im::testkit::sip::uri_of;
use oma_im::wire::settings::Settings;

use crate::ladder::{header, responses};
use crate::{CELL, Ladder, SCSCF, port};

const IM_ADDRESS: &str = "sip:alice@example.com";
const DEFAULT: &str = "sip:+15551234@example.com";

/// Alice, whose IM Address is registered but barred, as the one made from a USIM is.
fn barred() -> Ladder {
    let mut ladder = Ladder::new(1, Transport::Udp);
    let user = ladder.world.server().user_mut("alice").unwrap();
    user.identities = vec![IM_ADDRESS.into(), DEFAULT.into()];
    user.barred = vec![IM_ADDRESS.into()];
    ladder.registered()
}

#[test]
fn clause_5_2_4_12_settings_are_published_over_the_protected_path() {
    let mut ladder = Ladder::new(2, Transport::Udp).registered();
    ladder
        .world
        .act(0, |client, now| {
            client.publish_settings(now, Settings::DEFAULT)
        })
        .unwrap();
    ladder.world.run(5_000);
    assert_eq!(
        ladder.world.phones[0].client.settings(),
        Some(Settings::DEFAULT)
    );
    let publish = ladder.sent("PUBLISH").remove(0);
    assert_eq!(publish.uri(), Some(IM_ADDRESS));
    assert!(publish.header("Security-Verify").is_some());
    assert!(publish.lists("Require", "sec-agree") && publish.lists("Proxy-Require", "sec-agree"));
    assert_eq!(header(&publish, "P-Access-Network-Info"), CELL);
    assert_eq!(
        publish.all("Route"),
        ["<sip:proxy.example.com:7531;lr>", SCSCF]
    );
    ladder.clean();
}

#[test]
fn clause_5_2_4_12_a_barred_im_address_gives_way_to_the_default_identity() {
    let mut ladder = barred();
    ladder
        .world
        .act(0, |client, now| {
            client.publish_settings(now, Settings::DEFAULT)
        })
        .unwrap();
    ladder.world.run(5_000);
    let publish = ladder.sent("PUBLISH").remove(0);
    assert_eq!(publish.uri(), Some(DEFAULT));
    for name in ["From", "To", "P-Preferred-Identity"] {
        assert_eq!(uri_of(header(&publish, name)), DEFAULT, "{name}");
    }
    ladder.clean();
}

#[test]
fn clause_5_2_4_12_the_gruu_is_that_of_the_identity_in_use() {
    for bars in [false, true] {
        let gruu = |config: &mut ServerConfig| config.gruu = Feature::On;
        let mut ladder = Ladder::with(4, Transport::Udp, gruu, |config| config);
        let user = ladder.world.server().user_mut("alice").unwrap();
        user.identities = vec![IM_ADDRESS.into(), DEFAULT.into()];
        if bars {
            user.barred = vec![IM_ADDRESS.into()];
        }
        let mut ladder = ladder.registered();
        ladder.world.run(2_000);
        // RFC 5627 §4.4.1: the 200 has that of the identity that is registered; where it is barred,
        // a NOTIFY brings the one of the default identity.
        let first = ladder.sent("SUBSCRIBE").remove(0);
        let shown = uri_of(header(&first, "Contact")).to_owned();
        if bars {
            assert!(shown.contains("@192.0.2.10:"), "{shown}");
        } else {
            assert!(
                shown.starts_with(&format!("{IM_ADDRESS};gr=urn:uuid:")),
                "{shown}"
            );
        }
        let identity = if bars { DEFAULT } else { IM_ADDRESS };
        // It stays through refreshes.
        for _ in 0..2 {
            let now = ladder.world.net.now();
            ladder
                .world
                .server()
                .notify(now, "alice", "reg", &Notify::active().state());
            ladder.world.run(2_000);
            let (_, ok) = responses(&ladder.world, "alice", 200).pop().unwrap();
            assert!(header(&ok, "CSeq").ends_with("NOTIFY"));
            let shown = uri_of(header(&ok, "Contact"));
            assert!(
                shown.starts_with(&format!("{identity};gr=urn:uuid:")),
                "{shown}"
            );
            ladder.world.run(600_000_000);
            assert!(ladder.is_ready());
        }
        ladder.clean();
    }
}

#[test]
fn clause_8_1_1_i_a_message_goes_over_the_protected_path() {
    let mut ladder = Ladder::new(3, Transport::Udp).registered();
    let hello = Outgoing::text("sip:bob@example.com", "Hello Bob");
    ladder
        .world
        .act(0, |client, now| client.send_message(now, &hello))
        .unwrap();
    ladder.world.run(5_000);
    let message = ladder.sent("MESSAGE").remove(0);
    assert!(message.header("Security-Verify").is_some());
    assert!(message.lists("Require", "sec-agree") && message.lists("Proxy-Require", "sec-agree"));
    assert_eq!(header(&message, "P-Access-Network-Info"), CELL);
    assert_eq!(
        message.all("Route"),
        ["<sip:proxy.example.com:7531;lr>", SCSCF]
    );
    assert_eq!(message.header("Contact"), None);
    let via = header(&message, "Via");
    assert!(
        via.starts_with("SIP/2.0/UDP 192.0.2.10:1357;branch="),
        "{via}"
    );
    ladder.clean();
}

#[test]
fn clause_8_1_1_i_a_barred_identity_is_never_named() {
    let mut ladder = barred();
    let hello = Outgoing::text("sip:bob@example.com", "Hello Bob");
    let named = Outgoing {
        identity: Some(IM_ADDRESS),
        ..hello
    };
    let refused = ladder
        .world
        .act(0, |client, now| client.send_message(now, &named));
    assert_eq!(refused, Err(CommandError::Identity));
    for message in [
        hello,
        Outgoing {
            identity: Some(DEFAULT),
            ..hello
        },
    ] {
        ladder
            .world
            .act(0, |client, now| client.send_message(now, &message))
            .unwrap();
        ladder.world.run(5_000);
        let sent = ladder.sent("MESSAGE").pop().unwrap();
        for name in ["From", "P-Preferred-Identity"] {
            assert_eq!(uri_of(header(&sent, name)), DEFAULT, "{name}");
        }
    }
    assert_eq!(ladder.sent("MESSAGE").len(), 2);
    ladder.clean();
}

#[test]
fn clause_8_1_1_i_the_cell_goes_out_protected_only_and_not_in_the_answer_to_cancel() {
    let mut ladder = Ladder::new(4, Transport::Udp).registered();
    let other = "3GPP-UTRAN-FDD;utran-cell-id-3gpp=0010100010001a2c";
    ladder
        .world
        .act(0, |client, now| client.access_network(now, other))
        .unwrap();
    let hello = Outgoing::text(IM_ADDRESS, "to myself");
    ladder
        .world
        .act(0, |client, now| client.send_message(now, &hello))
        .unwrap();
    ladder.world.run(5_000);
    // Answers of each kind: to MESSAGE, to what has no dialog, to CANCEL.
    for (method, branch, status) in [
        ("BYE", "a", 481),
        ("CANCEL", "b", 481),
        ("MESSAGE", "c", 415),
    ] {
        let mut sip = oma_im::testkit::sip::Sip::request(method, "sip:alice@192.0.2.10:1357");
        sip.push(
            "Via",
            &format!("SIP/2.0/UDP 198.51.100.1:7531;branch=z9hG4bK{branch}"),
        );
        sip.push("From", "<sip:bob@example.com>;tag=1");
        sip.push("To", "<sip:alice@example.com>");
        sip.push("Call-ID", branch);
        sip.push("CSeq", &format!("1 {method}"));
        sip.push("Content-Type", "image/png");
        sip.body = b"x".to_vec();
        let (from, to) = (
            "198.51.100.1:8642".parse().unwrap(),
            "192.0.2.10:1357".parse().unwrap(),
        );
        ladder.world.net.send_datagram(from, to, &sip.to_bytes());
        ladder.world.run(1_000);
        let last = ladder.packets().pop().unwrap();
        // RFC 3261 §18.2.2 does not apply: it goes back from port-c to port-s.
        assert_eq!((port(last.from), port(last.to)), (2468, 7531));
        let answer = last.sip().unwrap();
        assert_eq!(answer.status(), Some(status));
        let cell = (method != "CANCEL").then_some(other);
        assert_eq!(answer.header("P-Access-Network-Info"), cell, "{method}");
    }
    for packet in ladder.packets() {
        let sip = packet.sip().unwrap();
        let protected = port(packet.from) != 5060;
        let cell = sip.header("P-Access-Network-Info");
        let cancel = sip.cseq().is_some_and(|(_, method)| method == "CANCEL");
        assert_eq!(cell.is_some(), protected && !cancel, "{}", sip.start);
    }
    ladder
        .world
        .act(0, |client, now| client.access_network(now, ""))
        .unwrap();
    ladder
        .world
        .act(0, |client, now| client.send_message(now, &hello))
        .unwrap();
    ladder.world.run(5_000);
    let sent = ladder.sent("MESSAGE").pop().unwrap();
    assert_eq!(sent.header("P-Access-Network-Info"), None);
    for bad in ["a\r\nb", &"x".repeat(129)] {
        let refused = ladder
            .world
            .act(0, |client, now| client.access_network(now, bad));
        assert_eq!(refused, Err(CommandError::Text));
    }
}

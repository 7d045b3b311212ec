//! Registration: AKA, both transports, refresh, de-registration, and the golden messages.

use oma_im::client::SecurityOffer;
use oma_im::config::{Config, KeepAlive, Transport};
use oma_im::error::CommandError;
use oma_im::id::{PathId, SecurityId};
use oma_im::im::pager::Outgoing;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{AkaAlgorithm, Feature, Qop, Refresh};
use oma_im::testkit::sip::{self, Sip};

use crate::ladder::{HOUR, header};
use crate::{CELL, Ladder, SCSCF, port, said};

const FIRST: &str = "Digest username=\"alice\",realm=\"example.com\",uri=\"sip:example.com\",nonce=\"\",response=\"\"";

#[test]
fn a_card_registers_over_two_one_way_flows() {
    let mut ladder = Ladder::new(1, Transport::Udp).registered();
    let [first, second] = &ladder.registers()[..] else {
        panic!("{:#?}", ladder.registers())
    };
    // TS 24.229 §5.1.1.2.2: who we are, and nothing of where.
    assert_eq!(header(first, "Authorization"), FIRST);
    assert_eq!(
        header(first, "Security-Client"),
        "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=23456789;spi-s=23456790;port-c=2468;port-s=1357"
    );
    for name in ["Security-Verify", "P-Access-Network-Info", "Route"] {
        assert_eq!(first.header(name), None);
    }
    assert!(first.lists("Supported", "path"));
    assert_eq!(header(first, "Expires"), "600000");
    // §5.1.1.5.1: the same registration, once more.
    for name in ["Security-Client", "Call-ID", "From", "To"] {
        assert_eq!(header(first, name), header(second, name));
    }
    assert_eq!(header(second, "CSeq"), "2 REGISTER");
    assert_eq!(
        header(second, "Security-Verify"),
        "ipsec-3gpp;q=0.5;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=87654321;spi-s=87654322;port-c=8642;port-s=7531"
    );
    for sip in [first, second] {
        assert_eq!(header(sip, "Require"), "sec-agree");
        assert_eq!(header(sip, "Proxy-Require"), "sec-agree");
    }
    assert_eq!(header(second, "P-Access-Network-Info"), CELL);
    assert!(header(second, "Contact").contains("@192.0.2.10:1357>"));
    let via = header(second, "Via");
    assert!(
        via.starts_with("SIP/2.0/UDP 192.0.2.10:1357;") && !via.contains("rport"),
        "{via}"
    );

    // Out from port-c to port-s; in from port-c to port-s; the unprotected flow is closed.
    let sent: Vec<(u16, u16)> = ladder
        .packets()
        .iter()
        .filter(|packet| packet.is_request("REGISTER"))
        .map(|packet| (port(packet.from), port(packet.to)))
        .collect();
    assert_eq!(sent, [(5060, 5060), (2468, 7531)]);
    assert_eq!(ladder.world.phones[0].locals().len(), 2);
    assert_eq!(ladder.world.phones[0].security, [(SecurityId(3), 2468)]);
    ladder.clean();
}

#[test]
fn over_tcp_the_protected_path_is_one_connection() {
    let mut ladder = Ladder::new(2, Transport::Tcp).registered();
    assert_eq!(ladder.world.phones[0].flows(), 1);
    let [_, second] = &ladder.registers()[..] else {
        panic!()
    };
    assert!(header(second, "Contact").contains("@192.0.2.10:1357;transport=tcp>"));
    let hello = Outgoing::text("sip:alice@example.com", "to myself");
    ladder
        .world
        .act(0, |client, now| client.send_message(now, &hello))
        .unwrap();
    ladder.world.run(5_000);
    assert_eq!(ladder.world.phones[0].inbox[0].text(), "to myself");
    ladder.clean();
}

#[test]
fn akav2_takes_the_keys_too_and_qop_is_honoured() {
    for (algorithm, qop, data) in [
        (AkaAlgorithm::V1Md5, Qop::Auth, &b"server data"[..]),
        (AkaAlgorithm::V2Md5, Qop::Absent, b""),
        (AkaAlgorithm::V2Md5, Qop::Auth, b"x"),
        (AkaAlgorithm::V1Md5, Qop::AuthInt, b""),
    ] {
        let mut ladder = Ladder::with(
            3,
            Transport::Udp,
            |server| {
                let ims = server.ims.as_mut().unwrap();
                ims.algorithm = algorithm;
                ims.qop = qop;
                ims.server_data = data.into();
                ims.rspauth = Feature::On;
                server.max_expires = 1_000;
            },
            |config| config,
        )
        .registered();
        // A refresh too.
        ladder.world.run(600_000);
        assert_eq!(ladder.registers().len(), 3);
        assert!(ladder.is_ready());
        ladder.clean();
    }
}

#[test]
fn every_request_on_the_protected_path_has_the_three_fields_and_the_route() {
    let mut ladder = Ladder::new(4, Transport::Udp).registered();
    let hello = Outgoing::text("sip:alice@example.com", "to myself");
    ladder
        .world
        .act(0, |client, now| client.send_message(now, &hello))
        .unwrap();
    let settings = oma_im::wire::settings::Settings::DEFAULT;
    ladder
        .world
        .act(0, |client, now| client.publish_settings(now, settings))
        .unwrap();
    ladder.world.run(20_000);
    let list = header(&ladder.registers()[1], "Security-Verify").to_string();
    let mut methods = Vec::new();
    for packet in ladder.packets().iter().skip(1) {
        assert_eq!(port(packet.from), 2468, "{}", packet.sip().unwrap().start);
        let sip = packet.sip().unwrap();
        assert_eq!(header(&sip, "P-Access-Network-Info"), CELL);
        let Some(method) = sip.method() else {
            assert_eq!(sip.header("Security-Verify"), None);
            continue;
        };
        methods.push(method.to_string());
        assert_eq!(header(&sip, "Security-Verify"), list);
        assert!(sip.lists("Require", "sec-agree") && sip.lists("Proxy-Require", "sec-agree"));
        if method == "REGISTER" {
            assert_eq!(sip.header("Route"), None);
            continue;
        }
        assert_eq!(sip.header("Security-Client"), None);
        assert_eq!(sip.all("Route"), ["<sip:proxy.example.com:7531;lr>", SCSCF]);
        assert!(header(&sip, "Via").contains(" 192.0.2.10:1357;"));
    }
    methods.sort();
    assert_eq!(methods, ["MESSAGE", "PUBLISH", "REGISTER", "SUBSCRIBE"]);
    // The server's request came in over the other flow, and was answered over ours.
    assert_eq!(ladder.world.phones[0].inbox.len(), 1);
    ladder.clean();
}

#[test]
fn a_refresh_repeats_the_last_response_and_offers_new_numbers() {
    let mut ladder = Ladder::new(5, Transport::Udp).registered();
    // 600,000 s granted: 600 s before the end (TS 24.229 §5.1.1.4.1).
    ladder.world.run(599_400_000 - 60_000);
    assert_eq!(ladder.registers().len(), 2);
    ladder.world.run(2 * 60_000);
    let all = ladder.registers();
    let [first, second, third] = &all[..] else {
        panic!("{all:#?}")
    };
    for name in [
        "Authorization",
        "Security-Verify",
        "Call-ID",
        "Contact",
        "P-Access-Network-Info",
    ] {
        assert_eq!(header(second, name), header(third, name), "{name}");
    }
    let offer = |sip: &Sip, name: &str| sip::param(header(sip, "Security-Client"), name).unwrap();
    for name in ["spi-c", "spi-s", "port-c"] {
        assert_ne!(offer(first, name), offer(third, name), "{name}");
    }
    assert_eq!(offer(first, "port-s"), offer(third, "port-s"));
    let events = ladder.events();
    assert!(
        matches!(
            events[events.len() - 2..],
            [
                Happened::Refreshed {
                    expires: 600_000,
                    ..
                },
                Happened::ExtendSecurity(..)
            ] | [
                Happened::ExtendSecurity(..),
                Happened::Refreshed {
                    expires: 600_000,
                    ..
                }
            ]
        ),
        "{events:#?}"
    );
    assert_eq!(ladder.world.phones[0].security.len(), 1);
    ladder.clean();
}

#[test]
fn a_challenged_refresh_changes_the_path_and_the_old_one_ends_with_its_transactions() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut ladder = Ladder::with(
            6,
            transport,
            |server| {
                server.ims.as_mut().unwrap().refresh = Refresh::Challenged;
                server.max_expires = 1_000;
            },
            |config| config,
        )
        .registered();
        let before = ladder.world.phones[0].security.clone();
        ladder.world.run(500_000);
        assert_eq!(ladder.registers().len(), 4, "two refreshed by two");
        // Both stand: nothing came by the new one yet.
        assert_eq!(ladder.world.phones[0].security.len(), 2);
        let hello = Outgoing::text("sip:bob@example.com", "Hello Bob");
        ladder
            .world
            .act(0, |client, now| client.send_message(now, &hello))
            .unwrap();
        ladder.world.run(3_000);
        let message = ladder.sent("MESSAGE").pop().unwrap();
        assert!(header(&message, "Security-Verify").contains("port-c=8643;"));
        assert_eq!(ladder.world.phones[0].security.len(), 1);
        assert_ne!(ladder.world.phones[0].security, before);
        assert_eq!(
            ladder.world.phones[0].flows(),
            if transport == Transport::Udp { 2 } else { 1 }
        );
        ladder.clean();
        // And again and again.
        ladder.world.run(HOUR);
        assert!(ladder.is_ready());
        assert!(ladder.world.phones[0].security.len() <= 2);
        ladder.clean();
    }
}

#[test]
fn a_de_registration_goes_by_the_protected_path_and_ends_it() {
    let mut ladder = Ladder::new(7, Transport::Udp).registered();
    ladder
        .world
        .act(0, |client, now| client.deregister(now))
        .unwrap();
    ladder.world.run(5_000);
    let all = ladder.registers();
    let last = all.last().unwrap();
    assert_eq!(header(last, "Expires"), "0");
    assert_eq!(
        header(last, "Authorization"),
        header(&all[1], "Authorization")
    );
    assert!(last.header("Security-Verify").is_some());
    assert_eq!(ladder.world.phones[0].security, []);
    assert_eq!(ladder.world.phones[0].flows(), 0);
    assert!(ladder.events().contains(&Happened::Deregistered));
    let now = ladder.world.net.now();
    assert_eq!(ladder.world.server().bindings(now, "alice").len(), 0);
    ladder.clean();

    // And a new one begins unprotected.
    ladder.world.run(60_000);
    ladder.register();
    assert!(ladder.is_ready());
    assert_eq!(header(&ladder.registers()[3], "Authorization"), FIRST);
    ladder.clean();
}

#[test]
fn an_offer_that_cannot_be_used_is_refused() {
    let mut ladder = Ladder::new(8, Transport::Udp);
    ladder.world.phones[0].offers = oma_im::testkit::phone::Offers::Never;
    let good = SecurityOffer {
        spi_c: 256,
        spi_s: 257,
        port_c: 5_000,
        port_s: 6_000,
    };
    let offer = |ladder: &mut Ladder, offer| {
        ladder.world.act(0, |client, now| {
            client.security_offer(now, PathId(0), offer)
        })
    };
    assert_eq!(offer(&mut ladder, good), Err(CommandError::WrongState));
    ladder.register();
    assert_eq!(ladder.events(), [Happened::SecurityOfferWanted]);
    assert_eq!(ladder.registers().len(), 0, "not without numbers");
    for bad in [
        SecurityOffer { spi_c: 255, ..good },
        SecurityOffer { spi_s: 256, ..good },
        SecurityOffer { port_c: 0, ..good },
        SecurityOffer {
            port_s: 5_000,
            ..good
        },
    ] {
        assert_eq!(offer(&mut ladder, bad), Err(CommandError::SecurityOffer));
    }
    assert_eq!(offer(&mut ladder, good), Ok(()));
    assert_eq!(offer(&mut ladder, good), Err(CommandError::WrongState));
    ladder.world.run(5_000);
    assert!(ladder.is_ready());
    // A refresh has to have others, but for port-s.
    ladder.world.run(599_400_000);
    for bad in [
        good,
        SecurityOffer {
            spi_c: 300,
            spi_s: 301,
            ..good
        },
        SecurityOffer {
            spi_c: 257,
            spi_s: 301,
            port_c: 5_001,
            ..good
        },
        SecurityOffer {
            spi_c: 300,
            spi_s: 301,
            port_c: 5_001,
            port_s: 6_001,
        },
    ] {
        assert_eq!(offer(&mut ladder, bad), Err(CommandError::SecurityOffer));
    }
    let next = SecurityOffer {
        spi_c: 300,
        spi_s: 301,
        port_c: 5_001,
        ..good
    };
    assert_eq!(offer(&mut ladder, next), Ok(()));
    ladder.world.run(5_000);
    assert_eq!(ladder.registers().len(), 3);
    ladder.clean();
}

/// Golden 01, 29b and 29c in the fields that an IMS core adds; its MAC and response are those of test set 1 of TS 35.208.
#[test]
fn the_golden_messages_of_a_protected_path_are_written_alike() {
    let golden = |name: &str| {
        let file = format!("{}/tests/golden/{name}.sip", env!("CARGO_MANIFEST_DIR"));
        Sip::parse(&std::fs::read(file).unwrap()).unwrap()
    };
    let (first, second, message) = (
        golden("01-register-initial"),
        golden("29b-register-protected"),
        golden("29c-message-protected"),
    );
    let mut ladder = Ladder::with(
        9,
        Transport::Udp,
        |_| (),
        |config| Config {
            keep_alive: KeepAlive::Off,
            product: "Example/M4-1.0",
            ..config
        },
    );
    ladder.register();
    let hello = Outgoing::text("sip:bob@example.com", "Hello Bob");
    ladder
        .world
        .act(0, |client, now| client.send_message(now, &hello))
        .unwrap();
    ladder.world.run(1_000);
    let ours = ladder.registers();
    let sent = ladder.sent("MESSAGE").remove(0);
    let names = |sip: &Sip| {
        let mut names: Vec<String> = sip
            .headers
            .iter()
            .map(|(name, _)| sip::long_name(name).to_string())
            // Where the golden files put both forms into one, or leave a choice.
            .filter(|name| name != "Expires" && name != "Accept-Contact")
            .collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(names(&ours[0]), names(&first));
    assert_eq!(names(&ours[1]), names(&second));
    assert_eq!(names(&sent), names(&message));
    for name in ["Require", "Proxy-Require", "P-Access-Network-Info"] {
        assert_eq!(ours[1].header(name), second.header(name));
        assert_eq!(sent.header(name), message.header(name));
    }
    let order = |sip: &Sip| {
        let value = header(sip, "Authorization").trim_start_matches("Digest ");
        let params = value
            .split(',')
            .map(|param| param.split('=').next().unwrap());
        params.map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(order(&ours[0]), order(&first));
    assert_eq!(order(&ours[1]), order(&second));
    assert_ne!(said(&ours[1], "response"), said(&ours[0], "response"));
}

//! GRUUs (RFC 5627, RFC 5628): asked for, kept with the registration, shown where they are wanted.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod ladder;

use ladder::{Bare, HOUR, MINUTE, attempts, header, requests, responses};
use oma_im::client::{Watch, WatchChange};
use oma_im::config::{Config, Gruu, Transport, Watching};
use oma_im::id::FlowId;
use oma_im::testkit::net::Conditions;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Answer, Config as ServerConfig, Feature, Notify, Rule, Then};
use oma_im::testkit::sip::{Sip, uri_of};
use oma_im::testkit::world::World;

const PUBLIC: &str = "sip:alice@example.com;gr=urn:uuid:00000000-0000-4000-8000-000000000000";
const INSTANCE: &str = "urn:uuid:00000000-0000-4000-8000-000000000000";
const TAG: &str = ";+g.oma.sip-im";

/// Alice, who watches her registration and settings, and a server that is not registered with yet.
fn silent(seed: u64, transport: Transport, server: impl FnOnce(&mut ServerConfig)) -> World {
    let mut world = World::with(seed, Conditions::default(), server);
    world.phone_with("alice", transport, |config| Config {
        watch_registration: Watching::On,
        watch_settings: Watching::On,
        ..config
    });
    world
}

/// The same, registered and subscribed.
fn watching(seed: u64, transport: Transport, server: impl FnOnce(&mut ServerConfig)) -> World {
    let mut world = silent(seed, transport, server);
    world.register_all();
    world.run(2_000);
    world
}

fn public(config: &mut ServerConfig) {
    config.gruu = Feature::On;
}

fn temporary(config: &mut ServerConfig) {
    config.temporary_gruu = Feature::On;
}

fn both(config: &mut ServerConfig) {
    public(config);
    temporary(config);
}

/// The URI in the Contact of the last SUBSCRIBE.
fn subscribed_as(world: &World) -> String {
    let (_, last) = attempts(world, "alice", "SUBSCRIBE").pop().unwrap();
    uri_of(header(&last, "Contact")).into()
}

/// The server tells of the registration, as `change` has it; gives what alice's 200 shows.
fn notified(world: &mut World, notify: &Notify) -> Option<String> {
    let now = world.net.now();
    assert_eq!(world.server().notify(now, "alice", "reg", notify), 1);
    world.run(1_000);
    let (_, ok) = responses(world, "alice", 200).pop().unwrap();
    assert!(header(&ok, "CSeq").ends_with("NOTIFY"));
    ok.header("Contact").map(|contact| uri_of(contact).into())
}

/// Waits for the next refresh of the registration.
fn refreshed(world: &mut World) {
    let before = attempts(world, "alice", "REGISTER").len();
    let more = |world: &mut World| attempts(world, "alice", "REGISTER").len() > before;
    assert!(world.run_until(2 * HOUR, more));
    world.run(2_000);
}

/// The temporary GRUU of the last 200 to REGISTER.
fn given(world: &World) -> String {
    let mut oks = responses(world, "server", 200).into_iter();
    let (_, ok) = oks
        .rfind(|(_, ok)| header(ok, "CSeq").ends_with("REGISTER"))
        .unwrap();
    ladder::contact_param(&ok, "temp-gruu").unwrap()
}

// Where they stand.

#[test]
fn subscriptions_and_the_200_to_notify_show_the_public_one_and_register_does_not() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let world = watching(1, transport, both);
        let contact = format!("<{PUBLIC}>{TAG}");
        let all = attempts(&world, "alice", "SUBSCRIBE");
        assert!(all.len() >= 2);
        for (_, subscribe) in &all {
            assert_eq!(header(subscribe, "Contact"), contact);
            assert_eq!(header(subscribe, "Supported"), "gruu");
        }
        let notifies = requests(&world, "server", "NOTIFY");
        assert!(notifies.iter().all(|(_, sip)| sip.uri() == Some(PUBLIC)));
        let oks = responses(&world, "alice", 200);
        assert_eq!(oks.len(), 2, "one for each NOTIFY");
        for (_, ok) in &oks {
            assert_eq!(header(ok, "Contact"), contact);
            assert_eq!(header(ok, "Supported"), "gruu");
        }
        for watch in [Watch::Registration, Watch::Settings] {
            let change = WatchChange::Active;
            assert!(world.saw(0, |event| *event == Happened::Watch(watch, change)));
        }
        for (_, register) in attempts(&world, "alice", "REGISTER") {
            assert!(register.lists("Supported", "gruu"));
            assert!(!header(&register, "Contact").contains("gr="));
            assert!(!header(&register, "Contact").contains("gruu"));
        }
        assert_eq!(world.phones[0].client.stats().gruus_ignored, 0);
    }
}

#[test]
fn a_notify_that_comes_again_gets_the_same_answer() {
    let mut bare = watching_bare(INSTANCE);
    answered(&mut bare, &format!(";pub-gruu=\"{PUBLIC}\""));
    let target = ("Contact", "<sip:notifier@198.51.100.1>");
    bare.answer(FlowId(1), "SUBSCRIBE", 200, &[target, ("Expires", "600")]);
    let subscribe = bare.last("SUBSCRIBE");
    let mut notify = Sip::request("NOTIFY", PUBLIC);
    let from = format!("{};tag=srv", header(&subscribe, "To"));
    for (name, value) in [
        ("Via", "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKn"),
        ("Max-Forwards", "70"),
        ("From", &from),
        ("To", header(&subscribe, "From")),
        ("Call-ID", header(&subscribe, "Call-ID")),
        ("CSeq", "1 NOTIFY"),
        target,
        ("Event", "reg"),
        ("Subscription-State", "active;expires=600"),
    ] {
        notify.push(name, value);
    }
    for _ in 0..2 {
        bare.feed(FlowId(1), &notify.to_bytes());
    }
    let oks = bare.responses(200);
    assert_eq!(header(&oks[0].1, "Contact"), format!("<{PUBLIC}>{TAG}"));
    assert_eq!(oks.len(), 2);
    assert_eq!(oks[0].1.to_bytes(), oks[1].1.to_bytes());
}

#[test]
fn a_message_to_a_gruu_reaches_the_phone() {
    let mut world = watching(3, Transport::Tcp, both);
    let temporary = given(&world);
    world.phone("bob", Transport::Tcp);
    world.act(1, |client, now| client.register(now)).unwrap();
    world.run(2_000);
    for to in [PUBLIC, &temporary] {
        let hello = oma_im::im::pager::Outgoing::text(to, "Hello");
        world
            .act(1, |client, now| client.send_message(now, &hello))
            .unwrap();
        world.run(2_000);
    }
    assert_eq!(world.phones[0].inbox.len(), 2);
}

#[test]
fn where_only_a_temporary_one_is_given_the_newest_is_shown() {
    let mut world = watching(4, Transport::Tcp, temporary);
    let first = given(&world);
    assert!(first.starts_with("sip:tgruu."));
    assert_eq!(subscribed_as(&world), first);
    refreshed(&mut world);
    let second = given(&world);
    assert_ne!(first, second);
    let shown = notified(&mut world, &Notify::active().state());
    assert_eq!(shown.as_deref(), Some(second.as_str()));
    // RFC 5627 §4.2: the first one stays good, so nothing is sent because of the second.
    let before = attempts(&world, "alice", "SUBSCRIBE").len();
    world.run(MINUTE);
    assert_eq!(attempts(&world, "alice", "SUBSCRIBE").len(), before);
}

#[test]
fn where_none_is_given_our_address_is_shown() {
    let mut world = watching(5, Transport::Udp, |_| ());
    let (_, subscribe) = attempts(&world, "alice", "SUBSCRIBE").pop().unwrap();
    assert!(header(&subscribe, "Contact").contains("@192.0.2.10:"));
    assert_eq!(subscribe.header("Supported"), None);
    assert_eq!(notified(&mut world, &Notify::active().state()), None);
}

#[test]
fn switched_off_they_are_not_asked_for_and_not_taken() {
    let mut bare = Bare::new(Transport::Udp, |config| Config {
        gruu: Gruu::Off,
        watch_registration: Watching::On,
        ..config
    });
    let contact = answered(&mut bare, &format!(";pub-gruu=\"{PUBLIC}\""));
    assert!(contact.contains("@192.0.2.10:5060>"), "{contact}");
    assert!(!bare.last("REGISTER").lists("Supported", "gruu"));
    let stats = bare.client.stats();
    assert_eq!((stats.gruus_ignored, stats.facts_dropped), (0, 0));
}

// How long they are good.

#[test]
fn a_200_without_ends_them_and_the_notifiers_are_told() {
    let mut world = watching(6, Transport::Tcp, both);
    world.server().config.gruu = Feature::Off;
    world.server().config.temporary_gruu = Feature::Off;
    let before = attempts(&world, "alice", "SUBSCRIBE").len();
    refreshed(&mut world);
    let after = attempts(&world, "alice", "SUBSCRIBE");
    for event in ["reg", "poc-settings"] {
        let (_, last) = after[before..]
            .iter()
            .rfind(|(_, sip)| header(sip, "Event") == event)
            .unwrap();
        assert!(header(last, "Contact").contains("@192.0.2.10:"), "{event}");
    }
    assert_eq!(notified(&mut world, &Notify::active().state()), None);
    let (_, notify) = requests(&world, "server", "NOTIFY").pop().unwrap();
    assert!(notify.uri().unwrap().contains("@192.0.2.10:"));
}

#[test]
fn a_public_one_that_changes_is_told_to_the_notifiers() {
    let mut world = World::with(7, Conditions::default(), public);
    world.phone_with("alice", Transport::Tcp, |config| Config {
        watch_settings: Watching::On,
        ..config
    });
    world.register_all();
    world.run(2_000);
    assert_eq!(subscribed_as(&world), PUBLIC);
    let edit = Then::edit(|ok| {
        if let Some(contact) = ok.header("Contact") {
            let contact = contact.replace(";gr=urn:uuid:0000", ";gr=urn:uuid:1111");
            ok.set("Contact", &contact);
        }
    });
    world
        .server()
        .script(Rule::on("REGISTER").forever().then(edit));
    refreshed(&mut world);
    assert_eq!(
        subscribed_as(&world),
        PUBLIC.replace("uuid:0000", "uuid:1111")
    );
}

#[test]
fn the_dialog_goes_on_over_a_new_flow() {
    let mut world = watching(8, Transport::Udp, both);
    let net = &mut world.net;
    world.phones[0].moved(net, "192.0.2.77".parse().unwrap());
    world.run(10_000);
    assert_eq!(subscribed_as(&world), PUBLIC);
    let shown = notified(&mut world, &Notify::active().state());
    assert_eq!(shown.as_deref(), Some(PUBLIC));
}

#[test]
fn deregistration_drops_them() {
    let mut world = silent(9, Transport::Tcp, both);
    let before = world.phones[0].client.audit();
    world.register_all();
    world.run(2_000);
    assert_eq!(subscribed_as(&world), PUBLIC);
    world.act(0, |client, now| client.deregister(now)).unwrap();
    world.run(5_000);
    assert!(world.saw(0, |event| *event == Happened::Deregistered));
    assert_eq!(world.phones[0].client.audit(), before);
    world.server().config.gruu = Feature::Off;
    world.server().config.temporary_gruu = Feature::Off;
    world.register_all();
    world.run(2_000);
    assert!(subscribed_as(&world).contains("@192.0.2.10:"));
}

#[test]
fn those_of_a_registration_that_ran_out_are_not_used() {
    let mut world = watching(10, Transport::Udp, both);
    let before = world.phones[0].client.audit().registration;
    world.server().script(
        Rule::on("REGISTER")
            .forever()
            .then(Then::Answer(Answer::new(500))),
    );
    let lost = |world: &mut World| world.saw(0, |event| matches!(event, Happened::Lost(_)));
    assert!(world.run_until(3 * HOUR, lost));
    assert_eq!(world.phones[0].client.audit().registration, before - 1);
}

// What a NOTIFY says (RFC 5628).

/// A document on alice's registration, whose binding is as the server has it.
fn document(world: &mut World, version: u32, attributes: &str, gruus: &str) -> Notify {
    let now = world.net.now();
    let contact = world.server().bindings(now, "alice")[0].contact.clone();
    let xml = format!(
        "<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' xmlns:g='urn:ietf:params:xml:ns:gruuinfo' \
         version='{version}' state='full'>\
         <registration aor='sip:alice@example.com' id='a' state='active'>\
         <contact id='c' state='active' event='refreshed' {attributes}>\
         <uri>{contact}</uri>{gruus}</contact></registration></reginfo>"
    );
    Notify::active().body("application/reginfo+xml", xml.as_bytes())
}

#[test]
fn a_notify_brings_those_that_the_200_did_not() {
    let mut world = watching(11, Transport::Tcp, |_| ());
    assert_eq!(notified(&mut world, &Notify::active().state()), None);
    world.server().config.gruu = Feature::On;
    // It was answered before it was read.
    assert_eq!(notified(&mut world, &Notify::active().state()), None);
    let shown = notified(&mut world, &Notify::active().state());
    assert_eq!(shown.as_deref(), Some(PUBLIC));
    refreshed(&mut world);
    assert_eq!(subscribed_as(&world), PUBLIC);
}

#[test]
fn a_new_public_one_takes_the_place_of_the_old() {
    let mut world = watching(12, Transport::Tcp, public);
    let gruus = "<g:pub-gruu uri='sip:alice@example.com;gr=other'/>";
    let notify = document(&mut world, 9, "", gruus);
    notified(&mut world, &notify);
    assert_eq!(subscribed_as(&world), "sip:alice@example.com;gr=other");
}

#[test]
fn a_notifier_that_always_says_another_one_does_not_keep_us_busy() {
    let mut world = watching(16, Transport::Tcp, public);
    let before = attempts(&world, "alice", "SUBSCRIBE").len();
    for version in 1..21 {
        let gruus = format!("<g:pub-gruu uri='{PUBLIC};v={version}'/>");
        let notify = document(&mut world, version, "", &gruus);
        notified(&mut world, &notify);
    }
    // Both subscriptions, once.
    assert_eq!(attempts(&world, "alice", "SUBSCRIBE").len(), before + 2);
    let shown = notified(&mut world, &Notify::active().empty());
    assert_eq!(shown.unwrap(), format!("{PUBLIC};v=20"));
}

#[test]
fn which_temporary_one_is_good_follows_from_call_id_and_cseq() {
    const OTHER: &str = "sip:other@example.com;gr";
    let mine = "";
    // (Call-ID: empty is ours, CSeq: more than ours, the GRUU, first-cseq: likewise; what is shown,
    // where empty is the one before)
    for (callid, cseq, uri, first, shown) in [
        (mine, 0, OTHER, 0, Some(OTHER)),
        (mine, 1, OTHER, 0, Some(OTHER)),
        // A 200 that came since knows better.
        (mine, -1, OTHER, -1, Some("")),
        // It cannot be shown; and the one before is good, or is not any longer.
        (mine, 1, "sip:other@example.com", 0, Some("")),
        (mine, 1, "sip:other@example.com", 1, None),
        // Of another registration.
        ("f81d4fae7dec11d0", 9, OTHER, 0, None),
        ("another one, and longer than ours", 9, OTHER, 0, None),
    ] {
        let mut world = watching(13, Transport::Tcp, temporary);
        let kept = given(&world);
        let (_, register) = attempts(&world, "alice", "REGISTER").pop().unwrap();
        let own = header(&register, "Call-ID");
        let number = i64::from(ladder::cseq(&register));
        let callid = if callid.is_empty() { own } else { callid };
        let attributes = format!("callid='{callid}' cseq='{}'", number + cseq);
        let gruu = format!("<g:temp-gruu uri='{uri}' first-cseq='{}'/>", number + first);
        let notify = document(&mut world, 9, &attributes, &gruu);
        notified(&mut world, &notify);
        let found = notified(&mut world, &Notify::active().empty());
        let wanted = shown.map(|shown| if shown.is_empty() { &kept } else { shown });
        assert_eq!(found.as_deref(), wanted, "{attributes} {gruu}");
    }
}

#[test]
fn one_that_does_not_say_of_which_registration_it_is_is_not_taken() {
    let mut world = watching(14, Transport::Tcp, temporary);
    let kept = given(&world);
    let gruu = "<g:temp-gruu uri='sip:other@example.com;gr' first-cseq='1'/>";
    let notify = document(&mut world, 9, "", gruu);
    notified(&mut world, &notify);
    let shown = notified(&mut world, &Notify::active().empty());
    assert_eq!(shown.as_deref(), Some(kept.as_str()));
}

#[test]
fn without_a_contact_of_the_instance_the_temporary_ones_are_void() {
    let param = "<unknown-param name='+sip.instance'>\
                 \"&lt;urn:uuid:00000000-0000-4000-8000-000000000000&gt;\"</unknown-param>";
    for (instance, state, kept) in [
        ("", "full", false),
        (param, "full", true),
        ("", "partial", true),
    ] {
        let mut world = watching(15, Transport::Tcp, temporary);
        let xml = format!(
            "<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' version='9' state='{state}'>\
             <registration aor='sip:alice@example.com' id='a' state='active'>\
             <contact id='c' state='active' event='registered'>\
             <uri>sip:alice@203.0.113.9</uri>{instance}</contact></registration></reginfo>"
        );
        let notify = Notify::active().body("application/reginfo+xml", xml.as_bytes());
        notified(&mut world, &notify);
        let shown = notified(&mut world, &Notify::active().empty());
        assert_eq!(shown.is_some(), kept, "{instance} {state}");
    }
}

// What a registrar must not send.

/// Registers, with this behind the Contact of the 200; gives the Contact of the SUBSCRIBE.
fn answered(bare: &mut Bare, parameters: &str) -> String {
    bare.act(|client, now| client.register(now)).unwrap();
    let flow = bare.open();
    let contact = header(&bare.last("REGISTER"), "Contact").to_owned();
    let contact = format!("{contact}{parameters}");
    bare.answer(flow, "REGISTER", 200, &[("Contact", &contact)]);
    assert!(bare.client.is_ready(), "{parameters}");
    header(&bare.last("SUBSCRIBE"), "Contact").to_owned()
}

fn watching_bare(instance: &'static str) -> Bare {
    Bare::new(Transport::Udp, |config| Config {
        instance: Some(instance),
        watch_registration: Watching::On,
        ..config
    })
}

#[test]
fn what_is_no_gruu_is_counted_and_passed_over() {
    let long = |len: usize| format!("sip:{}@example.com;gr", "a".repeat(len - 19));
    let (fits, too_long) = (long(192), long(193));
    for (parameters, shown, ignored) in [
        // No SIP URI, no `gr`, no URI at all.
        (r#";pub-gruu="tel:+15551234;gr=1""#, None, 1),
        (r#";pub-gruu="sip:alice@example.com""#, None, 1),
        (r#";pub-gruu="sip:alice@example.com?gr=1""#, None, 1),
        (
            r#";pub-gruu="sip:alice@example.com;gr=1?Subject=x""#,
            None,
            1,
        ),
        (r#";pub-gruu="example.com;gr""#, None, 1),
        (r#";pub-gruu="""#, None, 1),
        (";pub-gruu=1;temp-gruu", None, 2),
        // What would break out of the angle brackets, or the line.
        (
            r#";pub-gruu="sip:alice@example.com;gr=1>;x=<sip:b@c;gr""#,
            None,
            1,
        ),
        (r#";pub-gruu="sip:alice@example.com;gr=\"1\"""#, None, 1),
        (
            ";pub-gruu=\"sip:alice@example.com;gr=1\r\n Evil: 1\"",
            None,
            1,
        ),
        (&format!(";pub-gruu=\"{too_long}\""), None, 1),
        (&format!(";pub-gruu=\"{fits}\""), Some(fits.as_str()), 0),
        // Escapes mean themselves (RFC 5627 §7).
        (
            r#";pub-gruu="sip:alice\@example.com;gr=1""#,
            Some("sip:alice@example.com;gr=1"),
            0,
        ),
        (
            r#";pub-gruu="sips:alice@example.com;gr""#,
            Some("sips:alice@example.com;gr"),
            0,
        ),
        // The other one is good.
        (
            r#";pub-gruu="sip:alice@example.com";temp-gruu="sip:t@example.com;gr""#,
            Some("sip:t@example.com;gr"),
            1,
        ),
    ] {
        let mut bare = watching_bare(INSTANCE);
        let contact = answered(&mut bare, parameters);
        match shown {
            Some(shown) => assert_eq!(uri_of(&contact), shown),
            None => assert!(contact.contains("@192.0.2.10:5060>"), "{contact}"),
        }
        assert_eq!(bare.client.stats().gruus_ignored, ignored, "{parameters}");
    }
}

#[test]
fn those_of_another_instance_are_not_ours() {
    let mut bare = watching_bare(INSTANCE);
    bare.act(|client, now| client.register(now)).unwrap();
    let flow = bare.open();
    let contact = header(&bare.last("REGISTER"), "Contact").replace("4000-8000", "4000-9000");
    let contact = format!("{contact};pub-gruu=\"{PUBLIC}\"");
    bare.answer(flow, "REGISTER", 200, &[("Contact", &contact)]);
    assert!(header(&bare.last("SUBSCRIBE"), "Contact").contains("@192.0.2.10:5060>"));
}

#[test]
fn a_gruu_that_shows_the_imei_is_not_used() {
    let imei = "urn:gsma:imei:90420156-025763-0";
    for (gr, shown) in [
        (imei, false),
        ("904201560257630", false),
        ("urn:uuid:1", true),
    ] {
        let mut bare = watching_bare(imei);
        let contact = answered(
            &mut bare,
            &format!(";pub-gruu=\"sip:alice@example.com;gr={gr}\""),
        );
        assert_eq!(contact.contains(";gr="), shown, "{contact}");
        assert_eq!(bare.client.stats().gruus_ignored, u32::from(!shown));
        for (_, _, bytes) in &bare.sent {
            let text = String::from_utf8_lossy(bytes);
            assert!(text.starts_with("REGISTER") || !text.contains("90420156"));
        }
    }
}

#[test]
fn without_room_requests_go_without() {
    for (spare, kept) in [(50, false), (120, true)] {
        let mut bare = watching_bare(INSTANCE);
        let usage = bare.client.usage();
        let room = usage.arena_size - usage.arena - 2 * oma_im::limits::RESERVE - spare;
        bare.act(|client, now| client.register(now)).unwrap();
        let flow = bare.open();
        let contact = header(&bare.last("REGISTER"), "Contact").to_owned();
        let contact = format!("{contact};pub-gruu=\"{PUBLIC}\"");
        // Nothing that requests carry, and nearly all the room there is.
        let associated = format!("<sip:{}@example.com>", "a".repeat(room - 18));
        let headers = [
            ("Contact", contact.as_str()),
            ("P-Associated-URI", &associated),
        ];
        bare.answer(flow, "REGISTER", 200, &headers);
        let shown = header(&bare.last("SUBSCRIBE"), "Contact").to_owned();
        assert_eq!(shown.contains(PUBLIC), kept, "{shown}");
        assert_eq!(bare.client.stats().facts_dropped, u32::from(!kept));
    }
}

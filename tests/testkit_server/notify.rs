//! The notifier (RFC 6665 §4.2), with the packages `poc-settings` and `reg` (RFC 3680).

use oma_im::testkit::net::Side;
use oma_im::testkit::server::{
    Approval, Changes, Feature, FirstNotify, ImServer, Notify, Package, Removal, Source,
};
use oma_im::time::Instant;

use super::{ALICE, BOB, SERVER, Sip, Transport, World, at, read_stream, sip};

const SETTINGS: &str = "application/poc-settings+xml";
const CONTACT: &str = "<sip:notifier@192.0.2.9:5060>";

impl World {
    fn packages(change: impl Fn(&mut Package)) -> Self {
        Self::with(|config| {
            config.register_auth.clear();
            config.request_auth.clear();
            config.packages.iter_mut().for_each(change);
        })
    }

    /// A SUBSCRIBE of alice to a state of hers, outside of dialogs.
    fn subscribe(&mut self, event: &str) -> Sip {
        let mut sip = self.request("SUBSCRIBE", "sip:alice@example.com", "alice", ALICE);
        sip.push("Event", event);
        sip.push("Expires", "600");
        sip.push("Contact", "<sip:alice@192.0.2.1:5060>");
        sip
    }

    /// Another SUBSCRIBE in the dialog that this answer has made.
    fn refresh(&mut self, ok: &Sip, event: &str, expires: u32) -> Sip {
        let mut sip = self.subscribe(event);
        sip.start = format!("SUBSCRIBE {} SIP/2.0", uri(ok.header("Contact").unwrap()));
        sip.set("To", ok.header("To").unwrap());
        sip.set("Expires", &expires.to_string());
        for route in ok.all("Record-Route").iter().rev() {
            sip.push("Route", route);
        }
        sip
    }

    /// Subscribes, and answers the first NOTIFY; gives both.
    fn subscribed(&mut self, event: &str) -> (Sip, Sip) {
        let sip = self.subscribe(event);
        self.send(ALICE, &sip);
        self.run(100);
        let mut got = self.inbox(ALICE);
        assert_eq!(got.len(), 2, "{got:?}");
        let (ok, notify) = (got.remove(0), got.remove(0));
        assert_eq!(ok.status(), Some(200), "{}", ok.start);
        self.answer(ALICE, &notify, 200);
        self.run(100);
        (ok, notify)
    }

    /// What alice is notified of, answered with 200.
    fn notified(&mut self) -> Vec<Sip> {
        self.run(100);
        let mut got = self.inbox(ALICE);
        got.retain(|sip| sip.method() == Some("NOTIFY"));
        for notify in &got {
            self.answer(ALICE, notify, 200);
        }
        self.run(100);
        got
    }

    fn serve<T>(&mut self, call: impl FnOnce(&mut ImServer, Instant) -> T) -> T {
        let now = self.net.now();
        let result = call(&mut self.host.server, now);
        self.host.drain(&mut self.net);
        result
    }

    fn count(&self, event: &str) -> usize {
        self.host.server.subscriptions("alice", event).len()
    }
}

fn uri(value: &str) -> &str {
    sip::uri_of(value)
}

fn state(notify: &Sip) -> &str {
    notify.header("Subscription-State").unwrap()
}

fn text(sip: &Sip) -> &str {
    std::str::from_utf8(&sip.body).unwrap()
}

#[test]
fn a_subscription_is_a_dialog_in_which_the_state_is_told_at_once() {
    let mut world = World::open();
    world.serve(|server, now| {
        server.set_document(now, "alice", "poc-settings", SETTINGS, b"<a/>");
    });
    let request = world.subscribe("poc-settings;id=7");
    world.send(ALICE, &request);
    world.run(100);
    let got = world.inbox(ALICE);
    let [ok, notify] = &got[..] else {
        panic!("{got:?}")
    };
    assert_eq!(ok.start, "SIP/2.0 200 OK");
    assert_eq!(ok.header("Expires"), Some("600"));
    assert_eq!(ok.header("Contact"), Some(CONTACT));
    assert!(sip::param(ok.header("To").unwrap(), "tag").is_some());

    assert_eq!(notify.start, "NOTIFY sip:alice@192.0.2.1:5060 SIP/2.0");
    assert_eq!(notify.header("From"), ok.header("To"));
    assert_eq!(notify.header("To"), ok.header("From"));
    assert_eq!(notify.header("Call-ID"), ok.header("Call-ID"));
    assert_eq!(notify.header("CSeq"), Some("1 NOTIFY"));
    assert_eq!(notify.header("Event"), Some("poc-settings;id=7"));
    assert_eq!(state(notify), "active;expires=600");
    assert_eq!(notify.header("Contact"), Some(CONTACT));
    assert_eq!(notify.header("Content-Type"), Some(SETTINGS));
    assert_eq!(text(notify), "<a/>");
}

#[test]
fn a_notify_is_repeated_until_timer_f_and_then_the_subscription_is_gone() {
    let mut world = World::open();
    let request = world.subscribe("poc-settings");
    world.send(ALICE, &request);
    world.run(40_000);
    let log = world.net.log();
    let at: Vec<u64> = log
        .sent(|packet| packet.is_request("NOTIFY"))
        .iter()
        .map(|packet| packet.arrived().unwrap().as_millis() - 40)
        .collect();
    let doubling = [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500];
    assert_eq!(at[..9], doubling);
    assert_eq!((at.len(), at.last()), (11, Some(&31_500)));
    assert_eq!(world.count("poc-settings"), 0);
}

#[test]
fn a_refresh_moves_the_end_and_expires_0_is_the_end() {
    let mut world = World::open();
    let (ok, _) = world.subscribed("poc-settings");
    world.run(500_000);
    let refresh = world.refresh(&ok, "poc-settings", 300);
    let again = world.ask(ALICE, &refresh);
    // The NOTIFY came last.
    assert_eq!(state(&again), "active;expires=300");
    assert_eq!(again.header("CSeq"), Some("2 NOTIFY"));
    world.answer(ALICE, &again, 200);
    world.run(200_000);
    assert_eq!(world.count("poc-settings"), 1);

    let end = world.refresh(&ok, "poc-settings", 0);
    world.send(ALICE, &end);
    world.run(100);
    let got = world.inbox(ALICE);
    let [ok, last] = &got[..] else {
        panic!("{got:?}")
    };
    assert_eq!(ok.header("Expires"), Some("0"));
    assert_eq!(state(last), "terminated;reason=timeout");
    assert_eq!(last.header("CSeq"), Some("3 NOTIFY"));
    assert_eq!(world.count("poc-settings"), 0);
    let late = world.refresh(ok, "poc-settings", 300);
    assert_eq!(world.ask(ALICE, &late).status(), Some(481));
    assert_eq!(world.host.server.violations(), [""; 0]);
}

#[test]
fn a_subscription_that_is_not_refreshed_ends_with_a_notify() {
    let mut world = World::open();
    world.subscribed("poc-settings");
    world.run(599_500);
    assert_eq!(world.notified().len(), 0);
    world.run(500);
    let got = world.notified();
    assert_eq!(state(&got[0]), "terminated;reason=timeout");
    assert_eq!((got.len(), world.count("poc-settings")), (1, 0));
}

#[test]
fn a_fetch_is_answered_with_the_state_and_leaves_nothing() {
    let mut world = World::open();
    world.serve(|server, now| {
        server.set_document(now, "alice", "poc-settings", SETTINGS, b"<a/>");
    });
    let mut fetch = world.subscribe("poc-settings");
    fetch.set("Expires", "0");
    world.send(ALICE, &fetch);
    let got = world.notified();
    assert_eq!(state(&got[0]), "terminated;reason=timeout");
    assert_eq!(text(&got[0]), "<a/>");
    assert_eq!(world.count("poc-settings"), 0);
}

#[test]
fn the_first_notify_comes_before_the_answer_or_late_or_never() {
    let order = |first| {
        let mut world = World::packages(|package| package.first_notify = first);
        let request = world.subscribe("poc-settings");
        world.send(ALICE, &request);
        world.run(5_000);
        let log = world.net.log();
        let what = |packet: &oma_im::testkit::log::Packet| {
            let at = packet.arrived().unwrap().as_millis();
            (packet.sip().unwrap().method().is_some(), at)
        };
        let mut seen: Vec<_> = log
            .sent(|packet| packet.to == super::at(ALICE))
            .iter()
            .map(what)
            .collect();
        seen.truncate(2);
        seen
    };
    assert_eq!(order(FirstNotify::AfterAnswer), [(false, 40), (true, 40)]);
    assert_eq!(order(FirstNotify::BeforeAnswer), [(true, 40), (false, 40)]);
    assert_eq!(order(FirstNotify::Late(900)), [(false, 40), (true, 940)]);
    assert_eq!(order(FirstNotify::Never), [(false, 40)]);
}

#[test]
fn what_the_notifier_refuses() {
    let mut world = World::open();
    type Change = fn(&mut Sip);
    let cases: [(Change, u16, &str, &str); 9] = [
        (
            |sip| sip.set("Event", "presence"),
            489,
            "Allow-Events",
            "poc-settings, reg",
        ),
        (|sip| sip.remove("Event"), 489, "", ""),
        (|sip| sip.set("Expires", "59"), 423, "Min-Expires", "60"),
        (|sip| sip.set("Accept", "text/plain"), 406, "", ""),
        (|sip| sip.remove("Contact"), 400, "", ""),
        (
            |sip| sip.set("Require", "magic"),
            420,
            "Unsupported",
            "magic",
        ),
        (
            |sip| sip.start = sip.start.replace("alice", "nobody"),
            404,
            "",
            "",
        ),
        (
            |sip| sip.set("To", "<sip:alice@example.com>;tag=old"),
            481,
            "",
            "",
        ),
        (
            |sip| {
                sip.set("Event", "presence");
                sip.set("To", "<sip:alice@example.com>;tag=old");
            },
            489,
            "",
            "",
        ),
    ];
    for (change, status, name, value) in cases {
        let mut sip = world.subscribe("poc-settings");
        change(&mut sip);
        let answer = world.ask(ALICE, &sip);
        assert_eq!(answer.status(), Some(status), "{}", answer.start);
        if !name.is_empty() {
            assert_eq!(answer.header(name), Some(value));
        }
    }
    assert_eq!(world.count("poc-settings"), 0);
    // Who is not the user, known by his flow, watches nobody.
    let register = world.register("bob", BOB);
    world.ask(BOB, &register);
    let mut foreign = world.subscribe("poc-settings");
    foreign.set("Via", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-bob");
    assert_eq!(world.ask(BOB, &foreign).status(), Some(403));
}

#[test]
fn a_request_of_another_dialog_or_an_older_one_is_refused() {
    let mut world = World::open();
    let (ok, _) = world.subscribed("poc-settings");
    for (name, value) in [
        ("Call-ID", "another"),
        ("From", "<sip:alice@example.com>;tag=another"),
        ("To", "<sip:alice@example.com>;tag=another"),
        ("Event", "poc-settings;id=another"),
        ("Event", "reg"),
    ] {
        let mut sip = world.refresh(&ok, "poc-settings", 300);
        sip.set(name, value);
        assert_eq!(world.ask(ALICE, &sip).status(), Some(481), "{name}");
    }
    let mut old = world.refresh(&ok, "poc-settings", 300);
    old.set("CSeq", "1 SUBSCRIBE");
    assert_eq!(world.ask(ALICE, &old).status(), Some(500));
    let mut brief = world.refresh(&ok, "poc-settings", 300);
    brief.set("Expires", "30");
    assert_eq!(world.ask(ALICE, &brief).status(), Some(423));
    assert_eq!(world.count("poc-settings"), 1, "none of that ended it");
    world.host.server.restart();
    let refresh = world.refresh(&ok, "poc-settings", 300);
    assert_eq!(world.ask(ALICE, &refresh).status(), Some(481));
}

#[test]
fn the_route_set_and_the_remote_target_are_checked() {
    let mut world = World::with(|config| {
        config.request_auth.clear();
        config.record_route = vec!["<sip:192.0.2.9;lr>".into()];
    });
    let (ok, notify) = world.subscribed("poc-settings");
    assert_eq!(ok.all("Record-Route"), ["<sip:192.0.2.9;lr>"]);
    assert_eq!(notify.all("Record-Route"), ["<sip:192.0.2.9;lr>"]);
    let right = world.refresh(&ok, "poc-settings", 300);
    world.send(ALICE, &right);
    assert_eq!(world.notified().len(), 1);
    assert_eq!(world.host.server.violations(), [""; 0]);

    let mut direct = world.refresh(&ok, "poc-settings", 300);
    direct.remove("Route");
    direct.start = "SUBSCRIBE sip:alice@example.com SIP/2.0".into();
    world.send(ALICE, &direct);
    assert_eq!(world.notified().len(), 1);
    assert_eq!(
        world.host.server.violations(),
        [
            "SUBSCRIBE in a dialog without its route set",
            "SUBSCRIBE in a dialog not sent to the remote target"
        ]
    );
}

#[test]
fn a_subscription_may_wait_for_approval() {
    let mut world = World::packages(|package| package.approval = Approval::Pending);
    world.serve(|server, now| {
        server.set_document(now, "alice", "poc-settings", SETTINGS, b"<a/>");
    });
    let request = world.subscribe("poc-settings");
    world.send(ALICE, &request);
    world.run(100);
    let got = world.inbox(ALICE);
    assert_eq!(got[0].start, "SIP/2.0 202 Accepted");
    assert_eq!((state(&got[1]), text(&got[1])), ("pending;expires=600", ""));
    world.answer(ALICE, &got[1], 200);
    world.run(1_000);
    world.serve(|server, now| server.approve(now, "alice", "poc-settings"));
    let got = world.notified();
    assert_eq!(
        (state(&got[0]), text(&got[0])),
        ("active;expires=599", "<a/>")
    );
}

#[test]
fn a_change_by_another_handset_is_told() {
    let mut world = World::open();
    let (_, first) = world.subscribed("poc-settings");
    assert_eq!((text(&first), first.header("Content-Type")), ("", None));

    let mut other = world.request("PUBLISH", "sip:alice@example.com", "alice", BOB);
    other.push("Event", "poc-settings");
    other.push("Expires", "60");
    other.push("Content-Type", SETTINGS);
    other.body = b"<b/>".to_vec();
    let ok = world.ask(BOB, &other);
    let got = world.notified();
    assert_eq!((got.len(), text(&got[0])), (1, "<b/>"));

    let mut refresh = world.request("PUBLISH", "sip:alice@example.com", "alice", BOB);
    refresh.push("Event", "poc-settings");
    refresh.push("Expires", "60");
    refresh.push("SIP-If-Match", ok.header("SIP-ETag").unwrap());
    assert_eq!(world.ask(BOB, &refresh).status(), Some(200));
    assert_eq!(world.notified().len(), 0, "a refresh changes nothing");
    world.run(60_000);
    let got = world.notified();
    assert_eq!((got.len(), text(&got[0])), (1, ""), "it ran out");
}

#[test]
fn a_test_sends_what_it_likes_and_hears_the_answers() {
    let mut world = World::open();
    let (ok, _) = world.subscribed("poc-settings");
    let nonsense = Notify::active()
        .body("text/plain", b"no settings")
        .expires(100)
        .edit(|sip| sip.set("Event", "presence"));
    world.serve(|server, now| server.notify(now, "alice", "poc-settings", &nonsense));
    let got = world.notified();
    assert_eq!(state(&got[0]), "active;expires=100");
    assert_eq!(got[0].header("Event"), Some("presence"));
    assert_eq!(text(&got[0]), "no settings");

    // A storm; then two answers, of which one ends the subscription.
    for _ in 0..50 {
        world.serve(|server, now| server.notify(now, "alice", "poc-settings", &Notify::active()));
    }
    world.run(100);
    let storm = world.inbox(ALICE);
    let numbers: Vec<u32> = storm.iter().map(|sip| sip.cseq().unwrap().0).collect();
    assert_eq!(numbers, (3..53).collect::<Vec<_>>());
    for notify in &storm[1..] {
        world.answer(ALICE, notify, 500);
    }
    world.run(100);
    assert_eq!(world.count("poc-settings"), 1);
    world.answer(ALICE, &storm[0], 481);
    world.run(100);
    assert_eq!(world.count("poc-settings"), 0);
    let call_id = ok.header("Call-ID").unwrap().to_string();
    let answers = world.host.server.answers();
    assert_eq!(answers.last(), Some(&(call_id, 481)));
    assert_eq!(answers.len(), 52);
}

#[test]
fn the_end_has_a_reason_and_a_time_to_come_back() {
    let mut world = World::open();
    world.subscribed("poc-settings");
    let end = Notify::terminated("probation").retry_after(30);
    let told = world.serve(|server, now| server.notify(now, "alice", "poc-settings", &end));
    let got = world.notified();
    assert_eq!(state(&got[0]), "terminated;reason=probation;retry-after=30");
    assert_eq!((told, world.count("poc-settings")), (1, 0));

    world.subscribed("poc-settings");
    let end = Notify::terminated("");
    world.serve(|server, now| server.notify(now, "alice", "poc-settings", &end));
    assert_eq!(state(&world.notified()[0]), "terminated");
}

/// What a document says: version and state, then for each registration its address and state, then for each of its
/// contacts the URI and the event.
fn reginfo(notify: &Sip) -> (String, Vec<String>) {
    assert_eq!(
        notify.header("Content-Type"),
        Some("application/reginfo+xml")
    );
    let document = roxmltree::Document::parse(text(notify)).unwrap();
    let root = document.root_element();
    let is = |node: &roxmltree::Node<'_, '_>, name: &str| {
        node.has_tag_name(("urn:ietf:params:xml:ns:reginfo", name))
    };
    assert!(is(&root, "reginfo"));
    let get = |node: &roxmltree::Node<'_, '_>, name: &str| {
        node.attribute(name).unwrap_or_default().to_string()
    };
    let mut lines = Vec::new();
    for registration in root.children().filter(|node| is(node, "registration")) {
        let mut line = get(&registration, "aor") + " " + &get(&registration, "state");
        for contact in registration.children().filter(|node| is(node, "contact")) {
            let uri = contact.children().find(|node| is(node, "uri")).unwrap();
            line += &format!(
                " | {} {} {}",
                uri.text().unwrap(),
                get(&contact, "state"),
                get(&contact, "event")
            );
            for (name, short) in [("expires", "for"), ("retry-after", "after")] {
                if let Some(value) = contact.attribute(name) {
                    line += &format!(" {short} {value}");
                }
            }
        }
        lines.push(line);
    }
    (
        format!("{} {}", get(&root, "version"), get(&root, "state")),
        lines,
    )
}

#[test]
fn the_registration_is_told_whole_first_and_then_by_its_changes() {
    let mut world = World::open();
    let (_, first) = world.subscribed("reg");
    let both = |rest: &str| {
        [
            format!("sip:alice@example.com {rest}"),
            format!("tel:+15551230001 {rest}"),
        ]
    };
    assert_eq!(reginfo(&first), ("0 full".into(), both("init").to_vec()));

    let mut steps = vec![];
    for (contact, expires) in [
        ("sip:alice@192.0.2.1:5060", "600"),
        ("sip:alice@192.0.2.1:5080", "100"),
        ("sip:alice@192.0.2.1:5060", "700"),
        ("sip:alice@192.0.2.1:5060", "0"),
    ] {
        let mut register = world.register("alice", ALICE);
        register.set("Contact", &format!("<{contact}>"));
        register.set("Expires", expires);
        world.send(ALICE, &register);
        steps.extend(world.notified());
    }
    world.run(99_400);
    steps.extend(world.notified());
    let told: Vec<_> = steps.iter().map(reginfo).collect();
    let expected = [
        "1 partial: active | sip:alice@192.0.2.1:5060 active registered for 600",
        "2 partial: active | sip:alice@192.0.2.1:5080 active registered for 100",
        "3 partial: active | sip:alice@192.0.2.1:5060 active refreshed for 700",
        "4 partial: active | sip:alice@192.0.2.1:5060 terminated unregistered",
        "5 partial: terminated | sip:alice@192.0.2.1:5080 terminated expired",
    ];
    for (told, expected) in told.iter().zip(expected) {
        let (version, rest) = expected.split_once(": ").unwrap();
        assert_eq!(*told, (version.into(), both(rest).to_vec()));
    }
    assert_eq!(told.len(), expected.len());
}

#[test]
fn a_contact_keeps_its_id_its_parameters_and_its_gruu() {
    let mut world = World::packages(|package| {
        if let Source::Bindings { changes, .. } = &mut package.source {
            *changes = Changes::Full;
        }
    });
    world.host.server.config.gruu = Feature::On;
    world.subscribed("reg");
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut register = world.register("alice", ALICE);
        register.set(
            "Contact",
            "<sip:alice@192.0.2.1:5060>;+sip.instance=\"<urn:uuid:1>\";+g.oma.sip-im",
        );
        world.send(ALICE, &register);
        seen.extend(world.notified());
    }
    let ids: Vec<String> = seen
        .iter()
        .map(|notify| {
            assert!(text(notify).contains("state=\"full\""));
            let document = roxmltree::Document::parse(text(notify)).unwrap();
            let name = |node: &roxmltree::Node<'_, '_>| node.tag_name().name().to_string();
            let contact = document
                .descendants()
                .find(|node| name(node) == "contact")
                .unwrap();
            let params: Vec<_> = contact
                .children()
                .filter(|node| name(node) == "unknown-param")
                .map(|node| (node.attribute("name").unwrap(), node.text().unwrap_or("")))
                .collect();
            assert_eq!(
                params,
                [("+sip.instance", "\"<urn:uuid:1>\""), ("+g.oma.sip-im", "")]
            );
            let gruu = contact
                .children()
                .find(|node| name(node) == "pub-gruu")
                .unwrap();
            assert_eq!(
                gruu.attribute("uri"),
                Some("sip:alice@example.com;gr=urn:uuid:1")
            );
            contact.attribute("id").unwrap().to_string()
        })
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn the_network_shortens_a_registration_or_takes_it_away() {
    for (how, event, end) in [
        (Removal::Deactivated, "deactivated", "deactivated"),
        (
            Removal::Probation(Some(90)),
            "probation after 90",
            "probation;retry-after=90",
        ),
        (Removal::Rejected, "rejected", "rejected"),
    ] {
        for ends in [Feature::Off, Feature::On] {
            let mut world = World::packages(|package| {
                if let Source::Bindings { end, .. } = &mut package.source {
                    *end = ends;
                }
            });
            let register = world.register("alice", ALICE);
            world.ask(ALICE, &register);
            world.subscribed("reg");

            world.serve(|server, now| server.shorten(now, "alice", 60));
            let got = world.notified();
            let (version, lines) = reginfo(&got[0]);
            assert_eq!(version, "1 partial");
            assert_eq!(
                lines[0],
                "sip:alice@example.com active | sip:alice@192.0.2.1:5060 active shortened for 60"
            );

            world.serve(|server, now| server.deregister(now, "alice", how, |_| true));
            let got = world.notified();
            assert_eq!(
                reginfo(&got[0]).1[0],
                format!(
                    "sip:alice@example.com terminated | sip:alice@192.0.2.1:5060 terminated {event}"
                )
            );
            if ends == Feature::On {
                assert_eq!(state(&got[0]), format!("terminated;reason={end}"));
            } else {
                assert!(state(&got[0]).starts_with("active;expires="));
            }
            assert_eq!(world.count("reg"), usize::from(ends == Feature::Off));
            let now = world.net.now();
            assert_eq!(world.host.server.bindings(now, "alice").len(), 0);
        }
    }
}

#[test]
fn on_a_connection_the_notify_comes_over_it_and_ends_with_it() {
    let mut world = World::open();
    let conn = world
        .net
        .connect(at("192.0.2.1:0"), at(SERVER), Transport::Tcp);
    world.run(50);
    let mut request = world.subscribe("poc-settings");
    request.set("Contact", "<sip:alice@192.0.2.1:49152;transport=tcp>");
    world
        .net
        .send_stream(conn, Side::Client, &request.to_bytes());
    world.run(100);
    let read = read_stream(&world.got, conn);
    let read = String::from_utf8(read).unwrap();
    let (ok, notify) = read.split_at(read.find("NOTIFY sip:").unwrap());
    let ok = Sip::parse(ok.as_bytes()).unwrap();
    assert_eq!(
        ok.header("Contact"),
        Some("<sip:notifier@192.0.2.9:5060;transport=tcp>")
    );
    assert!(notify.contains("\r\nVia: SIP/2.0/TCP 192.0.2.9:5060;"));
    // The connection ends before the answer.
    world.net.close(conn, Side::Client);
    world.run(100);
    assert_eq!(world.count("poc-settings"), 0);
}

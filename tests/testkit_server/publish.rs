//! The event state compositor (RFC 3903 §6).

use oma_im::testkit::server::{Answer, Package, Rule, Then};

use super::{ALICE, BOB, Sip, World, again, credentials};

const SETTINGS: &str = "application/poc-settings+xml";

impl World {
    /// A PUBLISH of alice's settings: with an entity-tag, with a document, with Expires, as far as given.
    fn publish(&mut self, etag: Option<&str>, body: &str, expires: Option<u32>) -> Sip {
        let mut sip = self.request("PUBLISH", "sip:alice@example.com", "alice", ALICE);
        sip.push("Event", "poc-settings");
        if let Some(expires) = expires {
            sip.push("Expires", &expires.to_string());
        }
        if let Some(etag) = etag {
            sip.push("SIP-If-Match", etag);
        }
        if !body.is_empty() {
            sip.push("Content-Type", SETTINGS);
            sip.body = body.into();
        }
        sip
    }

    /// Publishes; gives the entity-tag of the 200.
    fn published(&mut self, etag: Option<&str>, body: &str, expires: u32) -> String {
        let sip = self.publish(etag, body, Some(expires));
        let ok = self.ask(ALICE, &sip);
        assert_eq!(ok.status(), Some(200), "{}", ok.start);
        assert_eq!(ok.header("Expires"), Some(expires.to_string().as_str()));
        assert_eq!(ok.all("SIP-ETag").len(), 1);
        ok.header("SIP-ETag").unwrap().into()
    }

    fn settings(&self) -> Option<String> {
        let now = self.net.now();
        let body = self.host.server.document(now, "alice", "poc-settings")?;
        Some(String::from_utf8(body.to_vec()).unwrap())
    }
}

#[test]
fn a_publication_is_made_refreshed_changed_and_removed_and_each_200_has_a_new_tag() {
    let mut world = World::open();
    let first = world.published(None, "<a/>", 600);
    assert_eq!(world.settings().as_deref(), Some("<a/>"));

    world.run(500_000);
    let second = world.published(Some(&first), "", 600);
    world.run(500_000);
    assert_eq!(
        world.settings().as_deref(),
        Some("<a/>"),
        "the refresh moved the end"
    );

    let third = world.published(Some(&second), "<b/>", 600);
    assert_eq!(world.settings().as_deref(), Some("<b/>"));
    let now = world.net.now();
    let known = world
        .host
        .server
        .publications(now, "alice", "poc-settings")
        .len();
    assert_eq!(known, 1, "changed, not added");

    let last = world.published(Some(&third), "", 0);
    assert_eq!(world.settings(), None);
    let all = std::collections::BTreeSet::from([first, second, third, last]);
    assert_eq!(all.len(), 4, "{all:?}");
}

#[test]
fn an_old_tag_an_unknown_one_and_one_that_ran_out_are_answered_412() {
    let mut world = World::open();
    let old = world.published(None, "<a/>", 600);
    let tag = world.published(Some(&old), "", 600);
    for (etag, body) in [(old.as_str(), "<b/>"), ("made-up", "")] {
        let sip = world.publish(Some(etag), body, Some(600));
        let answer = world.ask(ALICE, &sip);
        assert_eq!(answer.start, "SIP/2.0 412 Conditional Request Failed");
        assert_eq!(answer.header("SIP-ETag"), None);
    }
    assert_eq!(world.settings().as_deref(), Some("<a/>"));
    world.run(600_000);
    assert_eq!(world.settings(), None);
    let late = world.publish(Some(&tag), "", Some(600));
    assert_eq!(world.ask(ALICE, &late).status(), Some(412));
}

#[test]
fn a_restart_forgets_the_state_but_not_the_bindings() {
    let mut world = World::open();
    let register = world.register("alice", ALICE);
    world.ask(ALICE, &register);
    let tag = world.published(None, "<a/>", 600);
    world.host.server.restart();
    assert_eq!(world.settings(), None);
    let refresh = world.publish(Some(&tag), "", Some(600));
    assert_eq!(world.ask(ALICE, &refresh).status(), Some(412));
    let now = world.net.now();
    assert_eq!(world.host.server.bindings(now, "alice").len(), 1);
    world.published(None, "<a/>", 600);
}

#[test]
fn what_the_compositor_refuses() {
    let mut world = World::open();
    let tag = world.published(None, "<a/>", 600);
    type Change = fn(&mut Sip);
    let cases: [(Change, u16, &str, &str); 9] = [
        (
            |sip| sip.set("Event", "presence"),
            489,
            "Allow-Events",
            "poc-settings, reg",
        ),
        (
            |sip| sip.remove("Event"),
            489,
            "Allow-Events",
            "poc-settings, reg",
        ),
        (
            |sip| sip.set("Event", "reg"),
            489,
            "Allow-Events",
            "poc-settings, reg",
        ),
        (
            |sip| sip.set("Content-Type", "application/pidf+xml"),
            415,
            "Accept",
            SETTINGS,
        ),
        (|sip| sip.set("Expires", "59"), 423, "Min-Expires", "60"),
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
            |sip| sip.start = sip.start.replace("alice@", ""),
            404,
            "",
            "",
        ),
        (|sip| sip.set("SIP-If-Match", "one, two"), 400, "", ""),
    ];
    for (change, status, name, value) in cases {
        let mut sip = world.publish(None, "<b/>", Some(600));
        change(&mut sip);
        let answer = world.ask(ALICE, &sip);
        assert_eq!(answer.status(), Some(status), "{}", answer.start);
        if !name.is_empty() {
            assert_eq!(answer.header(name), Some(value), "{}", answer.start);
        }
    }
    let empty = world.publish(None, "", Some(600));
    assert_eq!(world.ask(ALICE, &empty).status(), Some(400));
    // Nothing of that changed anything: the processing is atomic.
    assert_eq!(world.settings().as_deref(), Some("<a/>"));
    world.published(Some(&tag), "", 600);
}

#[test]
fn the_life_that_is_granted_is_cut_at_the_longest_or_the_default() {
    let mut world = World::with(|config| {
        config.request_auth.clear();
        config.packages = vec![Package {
            max_expires: 1_800,
            default_expires: 900,
            ..Package::poc_settings()
        }];
    });
    let mut granted = |asked: Option<u32>| {
        let sip = world.publish(None, "<a/>", asked);
        let ok = world.ask(ALICE, &sip);
        ok.header("Expires").unwrap().to_string()
    };
    assert_eq!(granted(Some(600_000)), "1800");
    assert_eq!(granted(Some(60)), "60");
    assert_eq!(granted(None), "900");
}

#[test]
fn credentials_are_asked_for_and_nobody_publishes_for_somebody_else() {
    let mut world = World::new();
    let request = world.publish(None, "<a/>", Some(600));
    let asked = world.ask(ALICE, &request);
    assert_eq!(asked.status(), Some(407));
    let proof = |asked: &Sip, user, password| credentials(asked, &request, user, password, 1);
    let foreign = again(&request, 2, proof(&asked, "bob", "builder"));
    assert_eq!(world.ask(ALICE, &foreign).status(), Some(403));
    let asked = world.ask(
        ALICE,
        &again(&request, 3, proof(&asked, "alice", "looking-glass")),
    );
    assert_eq!(asked.status(), Some(407));
    let own = again(&request, 4, proof(&asked, "alice", "wonderland"));
    assert_eq!(world.ask(ALICE, &own).status(), Some(200));
    assert_eq!(world.settings().as_deref(), Some("<a/>"));
}

#[test]
fn the_newest_document_is_the_state_whoever_published_it() {
    let mut world = World::open();
    let tag = world.published(None, "<one/>", 600);
    world.published(None, "<two/>", 300);
    assert_eq!(world.settings().as_deref(), Some("<two/>"));
    // A refresh says nothing new.
    let tag = world.published(Some(&tag), "", 600);
    assert_eq!(world.settings().as_deref(), Some("<two/>"));
    world.run(300_000);
    assert_eq!(world.settings().as_deref(), Some("<one/>"));

    let (now, server) = (world.net.now(), &mut world.host.server);
    server.set_document(now, "alice", "poc-settings", SETTINGS, b"<elsewhere/>");
    assert_eq!(world.settings().as_deref(), Some("<elsewhere/>"));
    world.published(Some(&tag), "<three/>", 600);
    assert_eq!(world.settings().as_deref(), Some("<three/>"));
    let now = world.net.now();
    let known = world.host.server.publications(now, "alice", "poc-settings");
    assert_eq!(known.len(), 2);
}

#[test]
fn scripts_answer_a_publish_or_lose_it_or_lose_its_answer() {
    let mut world = World::open();
    let server = &mut world.host.server;
    server.script(
        Rule::on("PUBLISH").then(Then::Answer(Answer::new(503).header("Retry-After", "5"))),
    );
    server.script(Rule::on("PUBLISH").then(Then::Silence));
    server.script(
        Rule::on("PUBLISH")
            .when(|request| request.header("SIP-If-Match").is_some())
            .then(Then::ServeUnheard),
    );
    let sip = world.publish(None, "<a/>", Some(600));
    let answer = world.ask(ALICE, &sip);
    assert_eq!(answer.header("Retry-After"), Some("5"));
    assert_eq!(answer.start, "SIP/2.0 503 Service Unavailable");

    let sip = world.publish(None, "<a/>", Some(600));
    world.send(ALICE, &sip);
    world.run(100);
    assert_eq!((world.inbox(ALICE), world.settings()), (vec![], None));

    // The third rule passes an initial one, and lets the change happen unheard: the tag is lost.
    let tag = world.published(None, "<a/>", 600);
    let sip = world.publish(Some(&tag), "<b/>", Some(600));
    for _ in 0..2 {
        world.send(ALICE, &sip);
        world.run(500);
    }
    assert_eq!(world.inbox(ALICE), []);
    assert_eq!(world.settings().as_deref(), Some("<b/>"));
    let sip = world.publish(Some(&tag), "<c/>", Some(600));
    assert_eq!(world.ask(ALICE, &sip).status(), Some(412));
}

#[test]
fn options_tells_the_methods_and_the_packages() {
    let mut world = World::open();
    let options = world.request("OPTIONS", "sip:example.com", "bob", BOB);
    let ok = world.ask(BOB, &options);
    assert!(ok.lists("Allow", "PUBLISH"));
    assert_eq!(ok.all("Allow-Events"), ["poc-settings", "reg"]);
}

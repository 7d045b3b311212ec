//! Registration and its end.

use oma_im::client::{Adopted, Answer as Secret};
use oma_im::config::{Config, Credentials, Transport};
use oma_im::error::{CommandError, Failure};
use oma_im::im::pager::Outgoing;
use oma_im::testkit::phone::Happened;
use oma_im::testkit::server::{Algorithm, Answer, Rule, Then, User};
use oma_im::testkit::world::World;

use super::super::stage::{Stage, check, header, identity, same};

pub(crate) fn register(world: &mut World) -> Result<(), String> {
    let alice = world.phone("alice", Transport::Udp);
    world.register(alice)?;
    let granted = world.saw(alice, |event| {
        matches!(event, Happened::Registered { expires: 3600, associated, .. }
            if associated == "<sip:alice@example.com>")
    });
    check(granted, || "not registered for an hour".into())?;
    let sent = world.requests("alice", "REGISTER");
    same("REGISTERs", sent.len(), 2)?;
    check(header(&sent[0], "Authorization").is_empty(), || {
        "credentials before the challenge".into()
    })?;
    check(
        header(&sent[1], "Authorization").starts_with("Digest "),
        || "no credentials after the challenge".into(),
    )?;
    same("bindings", world.bindings("alice"), 1)
}

pub(crate) fn wrong_password(world: &mut World) -> Result<(), String> {
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        credentials: Credentials::Password {
            user: "alice",
            password: "secret",
        },
        ..config
    });
    world.command(alice, |client, now| client.register(now))?;
    let failed = Happened::Failed(Failure::Credentials { status: 401 });
    world.until("refused", 60_000, |world| {
        world.saw(alice, |event| *event == failed)
    })?;
    world.run(600_000);
    // Without and with credentials, and once more for a nonce that may only have been stale.
    let tried = world.requests("alice", "REGISTER").len();
    check((2..=3).contains(&tried), || format!("{tried} REGISTERs"))?;
    same("bindings", world.bindings("alice"), 0)
}

pub(crate) fn sha256(world: &mut World) -> Result<(), String> {
    for challenge in &mut world.server().config.register_auth {
        challenge.algorithms = vec![Algorithm::Sha256, Algorithm::Md5];
    }
    let alice = world.phone("alice", Transport::Udp);
    world.register(alice)?;
    let sent = world.requests("alice", "REGISTER");
    let credentials = sent.last().map(|last| header(last, "Authorization"));
    check(
        credentials.is_some_and(|given| given.contains("algorithm=SHA-256")),
        || "not the topmost algorithm".into(),
    )
}

pub(crate) fn ask(world: &mut World) -> Result<(), String> {
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        credentials: Credentials::Ask { user: "alice" },
        ..config
    });
    world.command(alice, |client, now| client.register(now))?;
    let asked = |world: &World| {
        let mut events = world.phones[alice].events.iter();
        events.find_map(|event| match event {
            Happened::Challenge { id, realm, .. } if realm == "example.com" => Some(*id),
            _ => None,
        })
    };
    world.until("asked", 60_000, |world| asked(world).is_some())?;
    let id = asked(world).ok_or("not asked")?;
    // The user takes his time.
    world.run(5_000);
    let secret = Secret::Password(b"alicepw");
    world.command(alice, |client, now| client.answer(now, id, secret))?;
    world.until("registered", 60_000, |world| {
        world.phones[alice].client.is_ready()
    })
}

pub(crate) fn interval_too_brief(world: &mut World) -> Result<(), String> {
    world.server().config.min_expires = 1_800;
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        registration_expires: 600,
        ..config
    });
    world.register(alice)?;
    let granted = world.saw(alice, |event| {
        matches!(event, Happened::Registered { expires: 1_800, .. })
    });
    check(granted, || "not registered for Min-Expires".into())
}

pub(crate) fn unavailable(world: &mut World) -> Result<(), String> {
    let busy = Answer::new(503).header("Retry-After", "30");
    let once = Rule::on("REGISTER").then(Then::Answer(busy));
    world.server().script(once);
    let alice = world.phone("alice", Transport::Udp);
    world.command(alice, |client, now| client.register(now))?;
    let retrying = |event: &Happened| matches!(event, Happened::Retrying { .. });
    world.until("put off", 60_000, |world| world.saw(alice, retrying))?;
    let put_off = world.net.now().as_millis();
    world.until("registered", 300_000, |world| {
        world.phones[alice].client.is_ready()
    })?;
    let waited = world.net.now().as_millis().saturating_sub(put_off);
    check(waited >= 30_000, || {
        format!("tried again after {waited} ms, not 30 s")
    })
}

pub(crate) fn second_candidate(world: &mut World) -> Result<(), String> {
    let second = world.second_server(|_| ());
    let busy = Rule::on("REGISTER").forever();
    world
        .server()
        .script(busy.then(Then::Answer(Answer::new(503))));
    for name in ["alice", "bob"] {
        let user = User::new(name, &format!("{name}pw"));
        world.servers[second].server.add_user(user);
    }
    let (alice, bob) = world.two(Transport::Udp)?;
    same("bindings at the first", world.bindings("alice"), 0)?;
    let now = world.net.now();
    let bindings = world.servers[second].server.bindings(now, "alice").len();
    same("bindings at the second", bindings, 1)?;
    world.text(alice, bob, "Over the other one")
}

pub(crate) fn refresh(world: &mut World) -> Result<(), String> {
    let alice = world.phone_with("alice", Transport::Udp, |config| Config {
        registration_expires: 600,
        ..config
    });
    world.register(alice)?;
    let refreshed = |event: &Happened| matches!(event, Happened::Refreshed { expires: 600, .. });
    world.until("refreshed", 600_000, |world| world.saw(alice, refreshed))?;
    same("bindings", world.bindings("alice"), 1)?;
    // RFC 3261 §10.2: one Call-ID, CSeq counting up.
    let sent = world.requests("alice", "REGISTER");
    let (first, _) = identity(&sent[0]);
    let mut last = 0;
    for register in &sent {
        same("Call-ID", &*header(register, "Call-ID"), &first)?;
        let cseq = register.sip().and_then(|sip| sip.cseq().map(|(n, _)| n));
        let cseq = cseq.ok_or("no CSeq")?;
        check(cseq > last, || format!("CSeq {cseq} after {last}"))?;
        last = cseq;
    }
    let lost = world.saw(alice, |event| matches!(event, Happened::Lost(_)));
    check(!lost, || "the registration was lost meanwhile".into())
}

pub(crate) fn deregister(world: &mut World) -> Result<(), String> {
    let (alice, _bob) = world.two(Transport::Udp)?;
    world.always("MESSAGE", "alice", Then::Silence);
    let to = "sip:bob@example.com";
    let pending = world.send(alice, &Outgoing::text(to, "Under way"))?;
    let waiting = world.send(alice, &Outgoing::text(to, "Waiting"))?;
    world.run(200);
    world.command(alice, |client, now| client.deregister(now))?;
    let gone = |world: &mut World| world.saw(alice, |event| *event == Happened::Deregistered);
    world.until("deregistered", 2_000, gone)?;
    for id in [pending, waiting] {
        world.outcome(alice, id)?;
    }
    let order: Vec<&Happened> = world.phones[alice]
        .events
        .iter()
        .filter(|event| {
            **event == Happened::Deregistered
                || matches!(event, Happened::Sent(id, _) if *id == waiting)
        })
        .collect();
    check(matches!(order[..], [Happened::Sent(..), _]), || {
        "what waited ended after the registration".into()
    })?;
    same("bindings", world.bindings("alice"), 0)?;
    let refused = world.act(alice, |client, now| {
        client.send_message(now, &Outgoing::text(to, "Too late"))
    });
    same("a message now", refused, Err(CommandError::WrongState))
}

pub(crate) fn deregister_unanswered(world: &mut World) -> Result<(), String> {
    let alice = world.phone("alice", Transport::Udp);
    world.register(alice)?;
    let server = world.server().config.address.ip();
    world.net.block(server);
    world.command(alice, |client, now| client.deregister(now))?;
    world.until("deregistered", 2_000, |world| {
        world.saw(alice, |event| *event == Happened::Deregistered)
    })
}

pub(crate) fn adopted(world: &mut World) -> Result<(), String> {
    let alice = world.phone("alice", Transport::Udp);
    let bob = world.phone("bob", Transport::Udp);
    world.register(bob)?;
    let adopted = Adopted {
        service_route: "",
        associated: "<sip:alice@example.com>",
    };
    world.command(alice, |client, now| {
        client.adopt_registration(now, &adopted)
    })?;
    let told = Happened::OwnerMustRegister("+g.oma.sip-im".into());
    check(world.saw(alice, |event| *event == told), || {
        "the owner is not told of the feature tag".into()
    })?;
    world.until("ready", 60_000, |world| {
        world.phones[alice].client.is_ready()
    })?;
    world.text(alice, bob, "Over the modem's registration")?;
    same("REGISTERs", world.requests("alice", "REGISTER").len(), 0)?;
    world.command(alice, |client, now| client.registration_lost(now))?;
    check(!world.phones[alice].client.is_ready(), || {
        "still ready without a registration".into()
    })
}

//! Where a MESSAGE goes (RFC 3261 §16, RFC 3428 §6 and §7).
//!
//! A request becomes a [`Fork`] of one [`Attempt`] for each binding of its target. The first 2xx is the answer, else the
//! best of the others once all are in. Nobody answered: the message goes into the store, as if nobody had been there.
//! Messages from the store and to groups are requests of the server's own: nobody upstream waits for their answers.

use std::format;
use std::prelude::rust_2024::*;

use super::hop::sip_uri;
use super::{ALLOW, Binding, Feature, ImServer, Incoming, Key, Output, Remote, T1_MS, T2_MS};
use crate::testkit::log::Transport;
use crate::testkit::sip::{self, Sip};
use crate::time::Instant;

/// A message that waits for its recipient.
pub(super) struct Stored {
    pub(super) user: String,
    request: Sip,
    /// RFC 3428 §4: an Expires header limits how long it is worth anything.
    until: Option<Instant>,
    id: u64,
}

/// One request sent to one place, waiting for its final answer.
pub(super) struct Attempt {
    pub(super) to: Remote,
    branch: String,
    fork: u64,
    bytes: Vec<u8>,
    /// Timer E; none on streams.
    resend: Option<(Instant, u64)>,
    give_up: Instant,
}

/// What came of all attempts for one request.
pub(super) struct Fork {
    origin: Origin,
    pending: usize,
    best: Option<Sip>,
    answered: bool,
}

pub(super) enum Origin {
    /// Somebody waits for the answer. The request is kept for the store.
    Upstream {
        key: Key,
        user: String,
        request: Sip,
    },
    /// A message from the store.
    Store { user: String, id: u64 },
    /// Sent by [`ImServer::inject`].
    Injected { call_id: String },
    /// A NOTIFY of this subscription.
    Notify { id: u64, call_id: String },
}

impl Attempt {
    pub(super) fn due(&self) -> Instant {
        self.resend
            .map_or(self.give_up, |(at, _)| at.min(self.give_up))
    }
}

impl ImServer {
    /// Sends a request of the server's own to every binding of a user; gives how many there are. Via, Request-URI and
    /// Max-Forwards are filled in; From, To, Call-ID and CSeq too if they are missing. The final answer goes to
    /// [`ImServer::answers`].
    pub fn inject(&mut self, now: Instant, user: &str, mut request: Sip) -> usize {
        let method = request.method().unwrap_or("MESSAGE").to_string();
        let aor = format!("sip:{user}@{}", self.config.domain);
        let defaults = [
            ("Max-Forwards", "70".into()),
            (
                "From",
                format!(
                    "<sip:service@{}>;tag={}",
                    self.config.domain,
                    self.rng.hex()
                ),
            ),
            ("To", format!("<{aor}>")),
            ("Call-ID", self.rng.hex()),
            ("CSeq", format!("1 {method}")),
        ];
        for (name, value) in defaults {
            if request.header(name).is_none() {
                request.push(name, &value);
            }
        }
        let call_id = request.header("Call-ID").unwrap_or_default().into();
        let targets = self.targets(now, user, None);
        self.fork(now, Origin::Injected { call_id }, &request, &targets);
        targets.len()
    }

    pub(super) fn route(
        &mut self,
        now: Instant,
        incoming: Incoming,
        authenticated: Option<String>,
    ) {
        let mut sip = incoming.sip.clone();
        let uri = sip.uri().unwrap_or_default().to_string();
        let unknown = sip.all("Proxy-Require");
        if !unknown.is_empty() {
            return self.answer(
                now,
                &incoming,
                420,
                "Bad Extension",
                &[("Unsupported", &unknown.join(", "))],
            );
        }
        let hops: u32 = sip
            .header("Max-Forwards")
            .and_then(|value| value.parse().ok())
            .unwrap_or(70);
        if hops == 0 {
            return self.answer(now, &incoming, 483, "Too Many Hops", &[]);
        }
        sip.set("Max-Forwards", &format!("{}", hops - 1));
        let mut routed = 0;
        while sip
            .all("Route")
            .first()
            .is_some_and(|route| self.is_ours(sip::uri_of(route)) || self.is_port_s(route))
        {
            sip.pop("Route");
            routed += 1;
        }
        let sender = authenticated.or_else(|| self.sender_by_flow(now, &incoming));
        self.assert_identity(&mut sip, sender.as_deref());

        if incoming.key.2 == "SUBSCRIBE"
            && let Some(to) = sip.header("To")
            && sip::param(to, "tag").is_some()
        {
            // RFC 3261 §12.2.1.1: in a dialog by the route set, to the remote target.
            if routed != self.config.record_route.len() {
                self.violation("SUBSCRIBE in a dialog without its route set");
            }
            return self.resubscribe(now, &incoming, sender.as_deref());
        }
        let target = sip_uri(&uri);
        let for_server = target.as_ref().is_some_and(|target| {
            target.user.is_empty()
                && (target.host == self.config.domain.to_lowercase()
                    || target.host == format!("{}", self.config.address))
        });
        let group = target
            .as_ref()
            .and_then(|target| self.groups.get(&target.user).cloned());
        if for_server {
            let events = self.allow_events();
            let headers = [
                ("Allow", ALLOW),
                ("Allow-Events", events.as_str()),
                ("Accept", "text/plain, message/cpim"),
            ];
            let (status, reason) = match incoming.key.2.as_str() {
                "OPTIONS" => (200, "OK"),
                // RFC 3903 §6 step 1: the server itself has no event state.
                "PUBLISH" | "SUBSCRIBE" => (404, "Not Found"),
                _ => (405, "Method Not Allowed"),
            };
            return self.answer(now, &incoming, status, reason, &headers);
        }
        if let Some(members) = group {
            self.answer(now, &incoming, 202, "Accepted", &[]);
            for member in members
                .into_iter()
                .filter(|member| Some(member) != sender.as_ref())
            {
                // RFC 5365 §7: a request of its own for each member.
                let mut copy = self.own_request(&sip);
                copy.set("To", &format!("<sip:{member}@{}>", self.config.domain));
                self.store(now, &member, copy);
                self.deliver_stored(now, &member);
            }
            return;
        }
        let Some(user) = self.user_of(&uri) else {
            return self.answer(now, &incoming, 404, "Not Found", &[]);
        };
        match incoming.key.2.as_str() {
            "PUBLISH" => return self.publish(now, &incoming, &user, sender.as_deref()),
            "SUBSCRIBE" => return self.subscribe(now, &incoming, &user, sender.as_deref()),
            _ => {}
        }
        // RFC 7315 §4.2: what was called, for a phone with several identities.
        sip.set("P-Called-Party-ID", &format!("<{uri}>"));
        let instance = self.instance_of_gruu(&uri);
        let targets = self.targets(now, &user, instance.as_deref());
        if targets.is_empty() {
            return self.nobody_there(now, &incoming.key, &user, &sip);
        }
        let origin = Origin::Upstream {
            key: incoming.key,
            user,
            request: sip.clone(),
        };
        self.fork(now, origin, &sip, &targets);
    }

    /// RFC 3261 §16.7, for requests other than INVITE.
    pub(super) fn response(&mut self, now: Instant, status: u16, mut sip: Sip) {
        let branch = sip
            .pop("Via")
            .and_then(|via| sip::param(&via, "branch"))
            .unwrap_or_default();
        let Some(at) = self
            .attempts
            .iter()
            .position(|attempt| attempt.branch == branch)
        else {
            return;
        };
        if status < 200 {
            // RFC 3261 §17.1.2.2: a provisional answer slows Timer E down to T2.
            if let Some((_, interval)) = &mut self.attempts[at].resend {
                *interval = T2_MS;
            }
            return;
        }
        let attempt = self.attempts.remove(at);
        let Some(fork) = self.forks.get_mut(&attempt.fork) else {
            return;
        };
        fork.pending -= 1;
        let better = fork
            .best
            .as_ref()
            .and_then(Sip::status)
            .is_none_or(|best| status < best);
        if better {
            fork.best = Some(sip);
        }
        self.settle(now, attempt.fork);
    }

    pub(super) fn attempt_failed(&mut self, now: Instant, attempt: &Attempt) {
        if let Some(fork) = self.forks.get_mut(&attempt.fork) {
            fork.pending -= 1;
            self.settle(now, attempt.fork);
        }
    }

    pub(super) fn attempts_due(&mut self, now: Instant) {
        let given_up: Vec<Attempt> = self
            .attempts
            .extract_if(.., |attempt| attempt.give_up <= now)
            .collect();
        for attempt in given_up {
            self.note(format!("no answer from {}", attempt.to.address));
            self.attempt_failed(now, &attempt);
        }
        for attempt in &mut self.attempts {
            if let Some((at, interval)) = &mut attempt.resend
                && *at <= now
            {
                *interval = (*interval * 2).min(T2_MS);
                *at = now.after(*interval);
                self.out.push_back(Output::Send {
                    to: attempt.to,
                    bytes: attempt.bytes.clone(),
                });
            }
        }
    }

    /// Sends what waits for this user, oldest first, one at a time.
    pub(super) fn deliver_stored(&mut self, now: Instant, user: &str) {
        let busy = |fork: &Fork| matches!(&fork.origin, Origin::Store { user: whose, .. } if whose == user);
        if self.forks.values().any(busy) {
            return;
        }
        let expired = |stored: &mut Stored| {
            stored.user == user && stored.until.is_some_and(|until| until <= now)
        };
        let gone = self.stored.extract_if(.., expired).count();
        if gone > 0 {
            self.note(format!("{gone} stored for {user} expired"));
        }
        let Some(stored) = self.stored.iter().find(|stored| stored.user == user) else {
            return;
        };
        let (id, request) = (stored.id, stored.request.clone());
        // RFC 3261 §8.2.2.2: a request that was answered already, with 486 for instance, would be
        // taken for a copy. Each try is a request of its own.
        let request = self.own_request(&request);
        let targets = self.targets(now, user, None);
        if !targets.is_empty() {
            self.fork(
                now,
                Origin::Store {
                    user: user.into(),
                    id,
                },
                &request,
                &targets,
            );
        }
    }

    fn fork(&mut self, now: Instant, origin: Origin, request: &Sip, targets: &[(Remote, Binding)]) {
        let fork = self.new_fork(origin, targets.len());
        for (to, binding) in targets {
            let mut sip = request.clone();
            let method = sip.method().unwrap_or_default().to_string();
            sip.start = format!("{method} {} SIP/2.0", binding.contact);
            for path in binding.path.iter().rev() {
                sip.push_front("Route", path);
            }
            self.launch(now, fork, *to, sip, self.config.forward_ms);
        }
    }

    pub(super) fn new_fork(&mut self, origin: Origin, pending: usize) -> u64 {
        self.next_fork += 1;
        let fork = Fork {
            origin,
            pending,
            best: None,
            answered: false,
        };
        self.forks.insert(self.next_fork, fork);
        self.next_fork
    }

    /// Sends a request to one place.
    pub(super) fn launch(
        &mut self,
        now: Instant,
        fork: u64,
        to: Remote,
        mut sip: Sip,
        patience_ms: u64,
    ) {
        let to = self.protected_way_in(now, to);
        let branch = format!("z9hG4bK-srv-{}", self.rng.hex());
        let via = format!(
            "SIP/2.0/{} {};branch={branch}",
            to.transport.as_str(),
            self.address_for(&to)
        );
        sip.push_front("Via", &via);
        let bytes = sip.to_bytes();
        self.out.push_back(Output::Send {
            to,
            bytes: bytes.clone(),
        });
        self.attempts.push(Attempt {
            to,
            branch,
            fork,
            bytes,
            resend: (to.transport == Transport::Udp).then(|| (now.after(T1_MS), T1_MS)),
            give_up: now.after(patience_ms),
        });
    }

    /// Looks whether a fork has an answer or has come to its end.
    fn settle(&mut self, now: Instant, id: u64) {
        let Some(fork) = self.forks.get_mut(&id) else {
            return;
        };
        let success = fork
            .best
            .as_ref()
            .and_then(Sip::status)
            .is_some_and(|status| status < 300);
        let over = fork.pending == 0;
        let answer_now = !fork.answered && (success || over);
        fork.answered |= answer_now;
        let best = fork.best.clone();
        let Origin::Upstream { key, user, request } = &fork.origin else {
            if over && let Some(fork) = self.forks.remove(&id) {
                self.own_request_over(now, fork);
            }
            return;
        };
        let (key, user, request) = (key.clone(), user.clone(), request.clone());
        if over {
            self.forks.remove(&id);
        }
        if !answer_now {
            return;
        }
        match best {
            None => self.nobody_there(now, &key, &user, &request),
            Some(mut answer) => {
                if answer.status() == Some(503) {
                    // RFC 3261 §16.7 step 6: a 503 means the next hop, and that is this server.
                    answer.start = "SIP/2.0 500 Server Internal Error".into();
                }
                answer.remove("P-Preferred-Identity");
                self.respond(now, &key, answer);
            }
        }
    }

    fn own_request_over(&mut self, now: Instant, fork: Fork) {
        let status = fork.best.as_ref().and_then(Sip::status);
        match fork.origin {
            Origin::Injected { call_id } => self.answers.push((call_id, status.unwrap_or(408))),
            Origin::Store { user, id } => match status {
                // Later, with the next REGISTER.
                None | Some(408 | 480 | 486 | 500..600) => {
                    self.note(format!("{user} is away again"))
                }
                Some(status) => {
                    self.stored.retain(|stored| stored.id != id);
                    if status >= 300 {
                        self.note(format!("message for {user} refused: {status}"));
                    }
                    self.deliver_stored(now, &user);
                }
            },
            Origin::Notify { id, call_id } => {
                self.answers.push((call_id, status.unwrap_or(408)));
                self.notify_over(id, status);
            }
            Origin::Upstream { .. } => {}
        }
    }

    fn nobody_there(&mut self, now: Instant, key: &Key, user: &str, request: &Sip) {
        let store = self.config.store == Feature::On && key.2 == "MESSAGE";
        let (status, reason) = if store {
            (202, "Accepted")
        } else {
            (480, "Temporarily Unavailable")
        };
        let response = Sip::response(request, status, reason, &self.rng.hex());
        self.respond(now, key, response);
        if store {
            let request = self.own_request(request);
            self.store(now, user, request);
        }
    }

    fn store(&mut self, now: Instant, user: &str, request: Sip) {
        let expires = request
            .header("Expires")
            .and_then(|value| value.parse::<u64>().ok());
        let until = expires.map(|seconds| now.after(seconds * 1000));
        self.next_fork += 1;
        self.stored.push(Stored {
            user: user.into(),
            request,
            until,
            id: self.next_fork,
        });
        if self.targets(now, user, None).is_empty() {
            self.note(format!("stored for {user}"));
        }
    }

    /// The message as a request that the server sends itself.
    fn own_request(&mut self, request: &Sip) -> Sip {
        let mut own = request.clone();
        own.remove("Via");
        own.set("Call-ID", &self.rng.hex());
        own.set(
            "CSeq",
            &format!("1 {}", request.method().unwrap_or_default()),
        );
        own.set("Max-Forwards", "70");
        own
    }

    /// RFC 3325 §5 and §7: the sender's wish becomes an assertion, unless it asks for privacy.
    fn assert_identity(&mut self, sip: &mut Sip, sender: Option<&str>) {
        let preferred = sip
            .all("P-Preferred-Identity")
            .first()
            .map(|value| sip::uri_of(value).to_string());
        for name in [
            "P-Preferred-Identity",
            "P-Asserted-Identity",
            "Authorization",
            "Proxy-Authorization",
        ] {
            sip.remove(name);
        }
        let Some(user) = self
            .users
            .iter()
            .find(|user| Some(user.name.as_str()) == sender)
        else {
            return;
        };
        let identity = user
            .associated()
            .find(|identity| Some(*identity) == preferred.as_ref())
            .or_else(|| user.associated().next());
        if let (false, Some(identity)) = (sip.lists("Privacy", "id"), identity) {
            sip.push("P-Asserted-Identity", &format!("<{identity}>"));
        }
    }

    fn sender_by_flow(&self, now: Instant, incoming: &Incoming) -> Option<String> {
        let same = |binding: &&Binding| binding.flow == incoming.from && binding.until > now;
        self.bindings
            .iter()
            .find(same)
            .map(|binding| binding.user.clone())
    }

    fn is_ours(&self, uri: &str) -> bool {
        sip_uri(uri).is_some_and(|uri| {
            uri.host == format!("{}", self.config.address)
                || uri.host == format!("{}", self.config.address.ip())
                || uri.host_name().eq_ignore_ascii_case(&self.config.domain)
        })
    }

    fn targets(&self, now: Instant, user: &str, instance: Option<&str>) -> Vec<(Remote, Binding)> {
        let bindings = self.bindings(now, user).into_iter();
        let wanted = bindings
            .filter(|binding| instance.is_none() || binding.instance.as_deref() == instance);
        wanted
            .map(|binding| (next_hop(binding), binding.clone()))
            .collect()
    }
}

/// RFC 5626 §5.3: a binding with a reg-id is reached over its flow; so is every one on a stream, as this server opens no
/// connections. Another one is reached where its Contact says, so a Contact that lies behind address translation is not.
pub(super) fn next_hop(binding: &Binding) -> Remote {
    if binding.reg_id.is_some() || binding.flow.conn.is_some() {
        return binding.flow;
    }
    let address = sip_uri(&binding.contact).and_then(|contact| contact.address());
    address.map_or(binding.flow, Remote::udp)
}

//! The notifier: subscriptions to event state (RFC 6665 §4.2).
//!
//! SUBSCRIBE without a To tag makes a dialog and a subscription, or is refused; with a To tag it refreshes or ends one, or gets
//! 481. Each 2xx brings a NOTIFY with the whole state ([`FirstNotify`] says when), each change of the state another one, and
//! the end of the subscription the last one. A test sends more with [`ImServer::notify`]: as many as it likes, true or not.
//!
//! State comes from the compositor, or from the registrar as `application/reginfo+xml`. Users watch themselves only. NOTIFY
//! is sent like every request of the server's own, with retransmissions on UDP; when it is not answered, or with a code that
//! says so, the subscription is gone.

use std::format;
use std::prelude::rust_2024::*;

use super::hop::sip_uri;
use super::publish::{Package, Source};
use super::registrar::Change;
use super::routing::{Origin, next_hop};
use super::script::Edit;
use super::{ImServer, Incoming, Remote, T1_MS};
use crate::testkit::log::Transport;
use crate::testkit::sip::{self, Sip};
use crate::time::Instant;

/// When the NOTIFY that belongs to a 2xx is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstNotify {
    /// Right behind the 2xx.
    AfterAnswer,
    /// Right in front of it.
    BeforeAnswer,
    /// So many milliseconds later.
    Late(u64),
    /// Not at all (RFC 6665 §4.1.2.4: Timer N).
    Never,
}

/// Whether a subscription is granted at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// It is: 200 and `active`.
    Granted,
    /// Somebody is asked: 202 and `pending`, until [`ImServer::approve`].
    Pending,
}

/// One subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Whose state it is about.
    pub user: String,
    /// The event package.
    pub event: String,
    /// Call-ID of its dialog.
    pub call_id: String,
    /// When it ends.
    pub until: Instant,
    /// Whether it was granted.
    pub approval: Approval,
    /// CSeq of the last NOTIFY.
    pub cseq: u32,
    pub(super) id: u64,
    /// Event as it came, with its `id`.
    event_value: String,
    /// From and To of our requests, tags included.
    local: String,
    remote: String,
    remote_cseq: u32,
    target: String,
    flow: Remote,
    /// Version of the next document that counts them (RFC 3680 §5.1).
    version: u32,
    /// When a late NOTIFY is due.
    late: Option<Instant>,
}

/// A NOTIFY that a test sends.
///
/// ```
/// use oma_im::testkit::server::Notify;
///
/// let end = Notify::terminated("probation").retry_after(30);
/// let short = Notify::active().expires(10);
/// let nonsense = Notify::active().body("application/reginfo+xml", b"<reginfo");
/// # let _ = (end, short, nonsense);
/// ```
#[derive(Clone)]
pub struct Notify {
    end: Option<String>,
    retry_after: Option<u32>,
    expires: Option<u32>,
    body: Body,
    edit: Option<Edit>,
}

#[derive(Clone)]
enum Body {
    /// All of the state.
    State,
    /// What changed, if the package can tell it.
    Changes(Vec<Change>),
    Absent,
    Given(String, Vec<u8>),
}

impl Notify {
    /// The state as it is; the subscription goes on.
    pub fn active() -> Self {
        Self {
            end: None,
            retry_after: None,
            expires: None,
            body: Body::State,
            edit: None,
        }
    }

    /// The end of the subscription, with this reason or, if it is empty, without one. It has no body.
    pub fn terminated(reason: &str) -> Self {
        Self {
            end: Some(reason.into()),
            body: Body::Absent,
            ..Self::active()
        }
    }

    pub(super) fn changes(changes: &[Change]) -> Self {
        Self {
            body: Body::Changes(changes.to_vec()),
            ..Self::active()
        }
    }

    /// When the subscriber may come back, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Ends the subscription sooner, in so many seconds.
    #[must_use]
    pub fn expires(mut self, seconds: u32) -> Self {
        self.expires = Some(seconds);
        self
    }

    /// With this document, whatever the state is.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.body = Body::Given(content_type.into(), body.into());
        self
    }

    /// With all of the state.
    #[must_use]
    pub fn state(mut self) -> Self {
        self.body = Body::State;
        self
    }

    /// Without a document.
    #[must_use]
    pub fn empty(mut self) -> Self {
        self.body = Body::Absent;
        self
    }

    /// Changed on its way out.
    #[must_use]
    pub fn edit(mut self, change: impl Fn(&mut Sip) + Send + Sync + 'static) -> Self {
        self.edit = Some(std::sync::Arc::new(change));
        self
    }

    pub(super) fn ends(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn ending(mut self, reason: &str) -> Self {
        self.end = Some(reason.into());
        self
    }
}

impl ImServer {
    /// The subscriptions to a user's state, in the order of their making.
    pub fn subscriptions(&self, user: &str, event: &str) -> Vec<&Subscription> {
        self.subscriptions
            .iter()
            .filter(|known| known.user == user && known.event == event)
            .collect()
    }

    /// Sends a NOTIFY on each subscription to a user's state, and gives how many there were. Nothing paces them: called in
    /// a loop it is a storm. Each final answer goes to [`ImServer::answers`].
    pub fn notify(&mut self, now: Instant, user: &str, event: &str, notify: &Notify) -> usize {
        let ids: Vec<u64> = self
            .subscriptions(user, event)
            .into_iter()
            .map(|known| known.id)
            .collect();
        for id in &ids {
            self.notify_one(now, *id, notify);
        }
        ids.len()
    }

    /// Grants the subscriptions to a user's state that are pending, and says so.
    pub fn approve(&mut self, now: Instant, user: &str, event: &str) {
        for known in &mut self.subscriptions {
            if known.user == user && known.event == event {
                known.approval = Approval::Granted;
            }
        }
        self.notify(now, user, event, &Notify::active());
    }

    /// A SUBSCRIBE outside of dialogs to the state of `user` (RFC 6665 §4.2.1.1).
    pub(super) fn subscribe(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        user: &str,
        sender: Option<&str>,
    ) {
        let sip = &incoming.sip;
        if sender.is_some_and(|sender| sender != user) {
            return self.answer(now, incoming, 403, "Forbidden", &[]);
        }
        if self.refuse_required(now, incoming) {
            return;
        }
        let Some(package) = self.package_of(sip) else {
            return self.bad_event(now, incoming);
        };
        let accept = sip.all("Accept");
        if !accept.is_empty() && !accept.iter().any(|kind| package.takes(kind)) {
            return self.answer(now, incoming, 406, "Not Acceptable", &[]);
        }
        let (Some(contact), Some((remote_cseq, _))) = (sip.header("Contact"), sip.cseq()) else {
            return self.answer(now, incoming, 400, "Missing Contact", &[]);
        };
        let Ok(expires) = package.expires(sip) else {
            return self.too_brief(now, incoming, &package);
        };
        let tag = self.rng.hex();
        self.next_fork += 1;
        let to = sip.header("To").unwrap_or_default();
        let subscription = Subscription {
            user: user.into(),
            event: package.name.clone(),
            call_id: sip.header("Call-ID").unwrap_or_default().into(),
            until: now.after(u64::from(expires) * 1000),
            approval: package.approval,
            cseq: 0,
            id: self.next_fork,
            event_value: sip.header("Event").unwrap_or_default().into(),
            local: format!("{to};tag={tag}"),
            remote: sip.header("From").unwrap_or_default().into(),
            remote_cseq,
            target: sip::uri_of(contact).into(),
            flow: incoming.from,
            version: 0,
            late: None,
        };
        let id = subscription.id;
        self.subscriptions.push(subscription);
        self.subscribed(now, incoming, id, &package, expires, &tag);
    }

    /// A SUBSCRIBE in a dialog (RFC 6665 §4.2.1.4).
    pub(super) fn resubscribe(&mut self, now: Instant, incoming: &Incoming, sender: Option<&str>) {
        let sip = &incoming.sip;
        let tag = |value: &str| sip::param(value, "tag");
        let (from, to) = (sip.header("From"), sip.header("To"));
        let same = |known: &Subscription| {
            sip.header("Call-ID") == Some(known.call_id.as_str())
                && from.and_then(tag) == tag(&known.remote)
                && to.and_then(tag) == tag(&known.local)
        };
        let Some(package) = self.package_of(sip) else {
            return self.bad_event(now, incoming);
        };
        let found = self.subscriptions.iter().position(|known| {
            same(known) && sip.header("Event") == Some(known.event_value.as_str())
        });
        let Some(at) = found else {
            return self.answer(now, incoming, 481, "Subscription Does Not Exist", &[]);
        };
        let known = &self.subscriptions[at];
        let target = self.own_contact(&known.flow);
        let (id, known_cseq) = (known.id, known.remote_cseq);
        if sender.is_some_and(|sender| sender != known.user) {
            return self.answer(now, incoming, 403, "Forbidden", &[]);
        }
        if self.refuse_required(now, incoming) {
            return;
        }
        if sip.uri() != Some(sip::uri_of(&target)) {
            self.violation("SUBSCRIBE in a dialog not sent to the remote target");
        }
        // RFC 3261 §12.2.2.
        let Some((cseq, _)) = sip.cseq().filter(|(cseq, _)| *cseq > known_cseq) else {
            return self.answer(now, incoming, 500, "CSeq Out Of Order", &[]);
        };
        let Ok(expires) = package.expires(sip) else {
            return self.too_brief(now, incoming, &package);
        };
        let known = &mut self.subscriptions[at];
        known.remote_cseq = cseq;
        known.flow = incoming.from;
        known.until = now.after(u64::from(expires) * 1000);
        if let Some(contact) = sip.header("Contact") {
            known.target = sip::uri_of(contact).into();
        }
        self.subscribed(now, incoming, id, &package, expires, "");
    }

    /// The 2xx and the NOTIFY that belongs to it.
    fn subscribed(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        id: u64,
        package: &Package,
        expires: u32,
        tag: &str,
    ) {
        let (status, reason) = match package.approval {
            Approval::Granted => (200, "OK"),
            Approval::Pending => (202, "Accepted"),
        };
        let mut response = Sip::response(&incoming.sip, status, reason, tag);
        if !tag.is_empty() {
            for route in &self.config.record_route {
                response.push("Record-Route", route);
            }
        }
        response.push("Contact", &self.own_contact(&incoming.from));
        response.push("Expires", &format!("{expires}"));

        // RFC 6665 §4.4.3, §4.2.1.4: a fetch and the end are told with the state, and are the end.
        let notify = match expires {
            0 => Notify::active().ending("timeout"),
            _ => Notify::active(),
        };
        match package.first_notify {
            FirstNotify::BeforeAnswer => {
                self.notify_one(now, id, &notify);
                self.respond(now, &incoming.key, response);
            }
            FirstNotify::AfterAnswer => {
                self.respond(now, &incoming.key, response);
                self.notify_one(now, id, &notify);
            }
            FirstNotify::Late(ms) => {
                self.respond(now, &incoming.key, response);
                if let Some(known) = self.subscriptions.iter_mut().find(|known| known.id == id) {
                    known.late = Some(now.after(ms));
                    known.until = known.until.max(now.after(ms));
                }
            }
            FirstNotify::Never => {
                self.respond(now, &incoming.key, response);
                if expires == 0 {
                    self.subscriptions.retain(|known| known.id != id);
                }
            }
        }
    }

    /// The state of a user is another one now: his watchers hear of it.
    pub(super) fn state_changed(&mut self, now: Instant, user: &str, event: &str) {
        self.notify(now, user, event, &Notify::active());
    }

    /// Ends what has come to its end, and sends what is late.
    pub(super) fn subscriptions_due(&mut self, now: Instant) {
        let late = |known: &Subscription| known.late.is_some_and(|at| at <= now);
        let over = |known: &Subscription| known.until <= now;
        let due: Vec<(u64, bool)> = self
            .subscriptions
            .iter()
            .filter(|known| late(known) || over(known))
            .map(|known| (known.id, over(known)))
            .collect();
        for (id, over) in due {
            let notify = if over {
                Notify::active().ending("timeout")
            } else {
                Notify::active()
            };
            self.notify_one(now, id, &notify);
        }
    }

    pub(super) fn subscriptions_deadline(&self) -> Option<Instant> {
        let own = |known: &Subscription| known.late.map_or(known.until, |at| at.min(known.until));
        let watched = |user: &str, event: &str| !self.subscriptions(user, event).is_empty();
        let published = self
            .publications
            .iter()
            .filter(|known| watched(&known.user, &known.event))
            .filter_map(|known| known.until);
        let bound = self
            .bindings
            .iter()
            .filter(|binding| self.is_watched(&binding.user))
            .map(|binding| binding.until);
        let own = self.subscriptions.iter().map(own);
        own.chain(published).chain(bound).min()
    }

    /// Whether somebody watches the registration of a user.
    pub(super) fn is_watched(&self, user: &str) -> bool {
        let mut names = self.bound_packages();
        names.any(|name| !self.subscriptions(user, name).is_empty())
    }

    /// The packages whose state is the registrar's.
    pub(super) fn bound_packages(&self) -> impl Iterator<Item = &str> {
        self.config
            .packages
            .iter()
            .filter(|package| matches!(package.source, Source::Bindings { .. }))
            .map(|package| package.name.as_str())
    }

    /// What became of a NOTIFY (RFC 6665 §4.2.2).
    pub(super) fn notify_over(&mut self, id: u64, status: Option<u16>) {
        let Some(at) = self.subscriptions.iter().position(|known| known.id == id) else {
            return;
        };
        let gone = matches!(
            status,
            None | Some(404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
        );
        if gone {
            let known = self.subscriptions.remove(at);
            let why = status.map_or("no answer".into(), |status| format!("{status}"));
            self.note(format!(
                "{}: subscription to {} removed: {why}",
                known.user, known.event
            ));
        }
    }

    fn notify_one(&mut self, now: Instant, id: u64, notify: &Notify) {
        let Some(at) = self.subscriptions.iter().position(|known| known.id == id) else {
            return;
        };
        let document = self.document_for(now, at, &notify.body);
        let known = &mut self.subscriptions[at];
        known.late = None;
        known.cseq += 1;
        if let Some(expires) = notify.expires {
            // RFC 6665 §4.2.2: a notifier may shorten.
            known.until = known.until.min(now.after(u64::from(expires) * 1000));
        }
        let known = known.clone();
        if notify.ends() {
            self.subscriptions.remove(at);
        }
        let seconds = known.until.since(now).div_ceil(1000);
        let state = match (&notify.end, known.approval) {
            (None, Approval::Granted) => format!("active;expires={seconds}"),
            (None, Approval::Pending) => format!("pending;expires={seconds}"),
            (Some(reason), _) if reason.is_empty() => "terminated".into(),
            (Some(reason), _) => format!("terminated;reason={reason}"),
        };
        let retry = notify
            .retry_after
            .map_or(String::new(), |seconds| format!(";retry-after={seconds}"));

        let mut sip = Sip::request("NOTIFY", &known.target);
        sip.push("Max-Forwards", "70");
        for route in &self.config.record_route {
            sip.push("Record-Route", route);
        }
        sip.push("From", &known.local);
        sip.push("To", &known.remote);
        sip.push("Call-ID", &known.call_id);
        sip.push("CSeq", &format!("{} NOTIFY", known.cseq));
        sip.push("Contact", &self.own_contact(&known.flow));
        sip.push("Event", &known.event_value);
        sip.push("Subscription-State", &(state + &retry));
        if let Some((content_type, body)) = document {
            sip.push("Content-Type", &content_type);
            sip.body = body;
        }
        if let Some(edit) = &notify.edit {
            edit(&mut sip);
        }
        let Some(to) = self.dialog_hop(now, &known) else {
            self.notify_over(id, None);
            return;
        };
        let call_id = known.call_id;
        let fork = self.new_fork(Origin::Notify { id, call_id }, 1);
        self.launch(now, fork, to, sip, 64 * T1_MS);
    }

    /// The document of a NOTIFY; its version is used up.
    fn document_for(&mut self, now: Instant, at: usize, body: &Body) -> Option<(String, Vec<u8>)> {
        let changes: &[Change] = match body {
            Body::Given(content_type, body) => return Some((content_type.clone(), body.clone())),
            Body::Absent => return None,
            Body::State => &[],
            Body::Changes(changes) => changes,
        };
        let known = &self.subscriptions[at];
        let package = self
            .config
            .packages
            .iter()
            .find(|package| package.name == known.event)?;
        if known.approval == Approval::Pending {
            return None;
        }
        match package.source {
            Source::Publications => {
                let last = self
                    .publications(now, &known.user, &known.event)
                    .pop()
                    .cloned()?;
                Some((last.content_type, last.body))
            }
            Source::Bindings { changes: how, .. } => {
                let content_type = package.content_types.first()?.clone();
                let (user, version) = (known.user.clone(), known.version);
                let body = self.reginfo(now, &user, version, how, changes);
                self.subscriptions[at].version += 1;
                Some((content_type, body.into_bytes()))
            }
        }
    }

    /// Where a request in the dialog goes: over the connection it was made on; else where Contact leads.
    fn dialog_hop(&self, now: Instant, known: &Subscription) -> Option<Remote> {
        let contact = sip_uri(&known.target);
        let bindings = self.bindings(now, &known.user);
        if contact
            .as_ref()
            .is_some_and(|contact| contact.has_param("gr"))
        {
            // RFC 5627: a GRUU leads to whatever binding its instance has now.
            let instance = self.instance_of_gruu(&known.target)?;
            let same = |binding: &&&super::Binding| binding.instance.as_ref() == Some(&instance);
            return bindings.iter().rfind(same).map(|binding| next_hop(binding));
        }
        if let Some(conn) = known.flow.conn {
            if self.streams.contains_key(&conn) {
                return Some(known.flow);
            }
            let same = |binding: &&&super::Binding| binding.contact == known.target;
            return bindings.iter().rfind(same).map(|binding| next_hop(binding));
        }
        // RFC 5626 §4.3: with `ob` the flow is meant, not the address.
        let over_flow = contact
            .as_ref()
            .is_none_or(|contact| contact.has_param("ob"));
        let address = contact.as_ref().and_then(|contact| contact.address());
        match address {
            Some(address) if !over_flow => Some(Remote::udp(address)),
            _ => Some(known.flow),
        }
    }

    /// Contact of a dialog with somebody at the other end of this flow.
    pub(super) fn own_contact(&self, flow: &Remote) -> String {
        let transport = match flow.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        format!("<sip:notifier@{}{transport}>", self.address_for(flow))
    }
}

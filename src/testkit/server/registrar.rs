//! The registrar (RFC 3261 §10.3, with RFC 3327, 3608, 5626 and 5627 as far as a client notices).

use std::format;
use std::prelude::rust_2024::*;

use super::hop::sip_uri;
use super::{Feature, ImServer, Incoming, Remote};
use crate::testkit::sip::{self, Sip};
use crate::time::Instant;

/// What the server does about RFC 5626.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// It knows nothing of it.
    Off,
    /// `Require: outbound` in the 200 to a client that supports it.
    On,
    /// The same, and Flow-Timer with this many seconds.
    FlowTimer(u32),
}

/// One contact of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Whose.
    pub user: String,
    /// The Contact URI.
    pub contact: String,
    /// The header parameters of Contact as they came, without `expires`.
    pub params: Vec<String>,
    /// `+sip.instance`, without angle brackets.
    pub instance: Option<String>,
    /// `reg-id`, if outbound is used.
    pub reg_id: Option<u32>,
    /// Path, topmost first (RFC 3327).
    pub path: Vec<String>,
    /// Where the REGISTER came from.
    pub flow: Remote,
    /// When it ends.
    pub until: Instant,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    /// Its name in the documents of RFC 3680, and what happened to it last.
    pub(super) id: u64,
    pub(super) event: ContactEvent,
}

/// What happens to a binding (RFC 3680 §4.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContactEvent {
    Registered,
    Refreshed,
    Shortened,
    Expired,
    Deactivated,
    Probation(Option<u32>),
    Unregistered,
    Rejected,
}

impl ContactEvent {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            ContactEvent::Registered => "registered",
            ContactEvent::Refreshed => "refreshed",
            ContactEvent::Shortened => "shortened",
            ContactEvent::Expired => "expired",
            ContactEvent::Deactivated => "deactivated",
            ContactEvent::Probation(_) => "probation",
            ContactEvent::Unregistered => "unregistered",
            ContactEvent::Rejected => "rejected",
        }
    }

    /// Whether the binding is gone.
    pub(super) fn ends(self) -> bool {
        !matches!(
            self,
            ContactEvent::Registered | ContactEvent::Refreshed | ContactEvent::Shortened
        )
    }

    /// The reason for which a subscription ends with the last binding, and retry-after (RFC 6665 §4.1.3).
    pub(super) fn reason(self) -> (&'static str, Option<u32>) {
        match self {
            ContactEvent::Deactivated => ("deactivated", None),
            ContactEvent::Probation(retry_after) => ("probation", retry_after),
            ContactEvent::Rejected => ("rejected", None),
            _ => ("timeout", None),
        }
    }
}

/// A binding that something happened to.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) binding: Binding,
    pub(super) event: ContactEvent,
}

impl ImServer {
    pub(super) fn register(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        authenticated: Option<&str>,
    ) {
        let sip = &incoming.sip;
        let to = sip.header("To").map(sip::uri_of).unwrap_or_default();
        let Some(user) = self.user_of(to) else {
            return self.answer(now, incoming, 404, "Not Found", &[]);
        };
        if authenticated.is_some_and(|name| name != user) {
            return self.answer(now, incoming, 403, "Forbidden", &[]);
        }
        let understood = ["outbound", "path", "gruu"];
        let unknown: Vec<String> = sip
            .all("Require")
            .into_iter()
            .filter(|tag| !understood.contains(&tag.as_str()))
            .collect();
        if !unknown.is_empty() {
            return self.answer(
                now,
                incoming,
                420,
                "Bad Extension",
                &[("Unsupported", &unknown.join(", "))],
            );
        }
        self.expire_bindings(now);
        match self.update(now, &user, incoming) {
            Ok(changes) => {
                self.registered(now, &user, incoming);
                self.ims_registered(now, incoming, &user);
                self.bindings_changed(now, &user, changes);
            }
            Err(Refusal::TooBrief) => {
                let least = format!("{}", self.config.min_expires);
                self.answer(
                    now,
                    incoming,
                    423,
                    "Interval Too Brief",
                    &[("Min-Expires", &least)],
                );
            }
            Err(Refusal::Malformed(why)) => self.answer(now, incoming, 400, why, &[]),
            Err(Refusal::OutOfOrder) => self.answer(now, incoming, 500, "CSeq Out Of Order", &[]),
        }
    }

    /// RFC 3261 §10.3 steps 6 and 7. Nothing changes unless all of it can.
    fn update(
        &mut self,
        now: Instant,
        user: &str,
        incoming: &Incoming,
    ) -> Result<Vec<Change>, Refusal> {
        let sip = &incoming.sip;
        let call_id = sip.header("Call-ID").unwrap_or_default().to_string();
        let (cseq, _) = sip.cseq().ok_or(Refusal::Malformed("Bad CSeq"))?;
        let header_expires = sip.header("Expires").and_then(|value| value.parse().ok());
        let contacts = sip.all("Contact");
        let older = |binding: &Binding| binding.call_id == call_id && binding.cseq >= cseq;

        if contacts.iter().any(|contact| contact == "*") {
            if contacts.len() > 1 || header_expires != Some(0) {
                return Err(Refusal::Malformed("Bad Contact"));
            }
            if self
                .bindings
                .iter()
                .any(|binding| binding.user == user && older(binding))
            {
                return Err(Refusal::OutOfOrder);
            }
            let event = ContactEvent::Unregistered;
            return Ok(self
                .bindings
                .extract_if(.., |binding| binding.user == user)
                .map(|binding| Change { binding, event })
                .collect());
        }
        let mut updates = Vec::new();
        for contact in contacts {
            let own_expires = sip::param(&contact, "expires").and_then(|value| value.parse().ok());
            let asked = own_expires
                .or(header_expires)
                .unwrap_or(self.config.default_expires);
            if asked > 0 && asked < self.config.min_expires {
                return Err(Refusal::TooBrief);
            }
            let instance = sip::param(&contact, "+sip.instance");
            let outbound =
                self.config.outbound != Outbound::Off && sip.lists("Supported", "outbound");
            let reg_id = sip::param(&contact, "reg-id").and_then(|value| value.parse().ok());
            let mut params = sip::raw_params(&contact);
            params.retain(|param| !param.to_lowercase().starts_with("expires"));
            let binding = Binding {
                user: user.into(),
                contact: sip::uri_of(&contact).into(),
                params,
                reg_id: reg_id.filter(|_| outbound && instance.is_some()),
                instance: instance.map(|value| value.trim_matches(['<', '>']).into()),
                path: sip.all("Path"),
                flow: incoming.from,
                until: now.after(u64::from(asked.min(self.config.max_expires)) * 1000),
                call_id: call_id.clone(),
                cseq,
                id: 0,
                event: ContactEvent::Registered,
            };
            if self
                .bindings
                .iter()
                .any(|known| known.same_as(&binding) && older(known))
            {
                return Err(Refusal::OutOfOrder);
            }
            updates.push(binding);
        }
        let mut changes = Vec::new();
        for mut binding in updates {
            let known = self
                .bindings
                .iter()
                .position(|known| known.same_as(&binding))
                .map(|at| self.bindings.remove(at));
            binding.id = known.as_ref().map_or(self.next_fork, |known| known.id);
            binding.event = match &known {
                _ if binding.until <= now => ContactEvent::Unregistered,
                Some(_) => ContactEvent::Refreshed,
                None => ContactEvent::Registered,
            };
            if known.is_none() {
                self.next_fork += 1;
            }
            let event = binding.event;
            if !event.ends() && sip.lists("Supported", "gruu") {
                self.give_temporary_gruu(&binding, known.as_ref());
            }
            if event.ends() {
                // The one that is gone is told as it was.
                changes.extend(known.map(|binding| Change { binding, event }));
            } else {
                self.bindings.push(binding.clone());
                changes.push(Change { binding, event });
            }
        }
        Ok(changes)
    }

    fn registered(&mut self, now: Instant, user: &str, incoming: &Incoming) {
        let sip = &incoming.sip;
        let mut response = Sip::response(sip, 200, "OK", &self.rng.hex());
        let gruu = self.config.gruu == Feature::On && sip.lists("Supported", "gruu");
        let mut outbound = false;
        let identity = self.registered_identity(user);
        let bindings = self.bindings(now, user);
        let count = bindings.len();
        for binding in bindings {
            let seconds = binding.until.since(now).div_ceil(1000);
            let mut contact = format!("<{}>;expires={seconds}", binding.contact);
            for param in &binding.params {
                contact += &format!(";{param}");
            }
            if let (true, Some(instance)) = (gruu, &binding.instance) {
                contact += &format!(";pub-gruu=\"{}\"", Self::public_gruu(&identity, instance));
            }
            let temporary = binding
                .instance
                .as_ref()
                .filter(|_| sip.lists("Supported", "gruu"))
                .and_then(|instance| self.temporary_gruu(user, instance));
            if let Some((uri, _)) = temporary {
                contact += &format!(";temp-gruu=\"{uri}\"");
            }
            outbound |= binding.reg_id.is_some() && binding.flow == incoming.from;
            response.push("Contact", &contact);
        }
        if sip.lists("Supported", "path") {
            let own = self.config.ims.iter().flat_map(|ims| ims.path.clone());
            for path in own.chain(sip.all("Path")) {
                response.push("Path", &path);
            }
        }
        for route in &self.config.service_route {
            response.push("Service-Route", route);
        }
        if let Some(account) = self.users.iter().find(|account| account.name == *user) {
            let uris: Vec<String> = account.associated().map(|uri| format!("<{uri}>")).collect();
            response.push("P-Associated-URI", &uris.join(", "));
        }
        if outbound {
            // RFC 5626 §6: the registrar says that it understood.
            response.push("Require", "outbound");
            if let Outbound::FlowTimer(seconds) = self.config.outbound {
                response.push("Flow-Timer", &format!("{seconds}"));
            }
        }
        self.respond(now, &incoming.key, response);
        self.note(format!(
            "{user}: {count} binding{}",
            if count == 1 { "" } else { "s" }
        ));
        if count > 0 {
            self.deliver_stored(now, user);
        }
    }

    /// The user that a `sip:` or `tel:` URI names, in our domain.
    pub(super) fn user_of(&self, uri: &str) -> Option<String> {
        let number = |uri: &str| -> Option<String> {
            let digits = uri.strip_prefix("tel:")?.split(';').next()?;
            Some(digits.chars().filter(|c| !"-.()".contains(*c)).collect())
        };
        let by_identity = |same: &dyn Fn(&str) -> bool| {
            let has = |identities: &[String]| identities.iter().any(|identity| same(identity));
            self.users
                .iter()
                .find(|user| has(&user.identities))
                .map(|user| user.name.clone())
        };
        if let Some(wanted) = number(uri) {
            return by_identity(&|identity| number(identity).as_ref() == Some(&wanted));
        }
        let parts = sip_uri(uri)?;
        if !parts.host_name().eq_ignore_ascii_case(&self.config.domain)
            && parts.host != format!("{}", self.config.address)
        {
            return None;
        }
        // RFC 3261 §19.1.6: a telephone number in a SIP URI.
        let user = &parts.user;
        if parts.param("user") == Some("phone") {
            return self.user_of(&format!("tel:{user}"));
        }
        if let Some(user) = self.user_of_gruu(&parts) {
            return Some(user);
        }
        let by_name = self
            .users
            .iter()
            .find(|account| account.name == *user)
            .map(|account| account.name.clone());
        by_name.or_else(|| {
            by_identity(&|identity| sip_uri(identity).is_some_and(|known| known.user == *user))
        })
    }
}

impl Binding {
    /// RFC 5626 §6: with reg-id the instance and the reg-id identify a binding, else the URI does.
    fn same_as(&self, other: &Binding) -> bool {
        if self.user != other.user {
            return false;
        }
        match (self.reg_id, other.reg_id) {
            (Some(a), Some(b)) => a == b && self.instance == other.instance,
            _ => self.contact == other.contact,
        }
    }
}

enum Refusal {
    TooBrief,
    Malformed(&'static str),
    OutOfOrder,
}

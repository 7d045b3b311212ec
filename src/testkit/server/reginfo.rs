//! What watchers of a registration are told (RFC 3680): the document, and what a test does to bindings.
//!
//! All identities of a user that are not barred are registered together, so each has an element with the same contacts.

use std::format;
use std::prelude::rust_2024::*;

use super::notify::Notify;
use super::publish::Source;
use super::registrar::{Binding, Change, ContactEvent};
use super::{Feature, ImServer};
use crate::time::Instant;

/// How a change of bindings is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// With all contacts.
    Full,
    /// With those that changed.
    Partial,
}

/// How the network takes a binding away (RFC 3680 §4.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The client may register again at once.
    Deactivated,
    /// It may register again later, after so many seconds if the server says it.
    Probation(Option<u32>),
    /// It may not register again.
    Rejected,
}

impl ImServer {
    /// Takes bindings of a user away and tells those who watch. Nothing is sent to who does not watch.
    pub fn deregister(
        &mut self,
        now: Instant,
        user: &str,
        how: Removal,
        which: impl Fn(&Binding) -> bool,
    ) {
        let event = match how {
            Removal::Deactivated => ContactEvent::Deactivated,
            Removal::Probation(retry_after) => ContactEvent::Probation(retry_after),
            Removal::Rejected => ContactEvent::Rejected,
        };
        let gone: Vec<Binding> = self
            .bindings
            .extract_if(.., |binding| binding.user == user && which(binding))
            .collect();
        self.note(format!("{user}: {} {}", gone.len(), event.as_str()));
        let changes = gone
            .into_iter()
            .map(|binding| Change { binding, event })
            .collect();
        self.bindings_changed(now, user, changes);
    }

    /// Ends all bindings of a user sooner, so that the client registers again, and tells those who watch.
    pub fn shorten(&mut self, now: Instant, user: &str, seconds: u32) {
        let mut changes = Vec::new();
        for binding in self
            .bindings
            .iter_mut()
            .filter(|binding| binding.user == user)
        {
            binding.until = binding.until.min(now.after(u64::from(seconds) * 1000));
            binding.event = ContactEvent::Shortened;
            changes.push(Change {
                binding: binding.clone(),
                event: ContactEvent::Shortened,
            });
        }
        self.note(format!("{user}: shortened to {seconds} s"));
        self.bindings_changed(now, user, changes);
    }

    /// Tells those who watch a user's registration.
    pub(super) fn bindings_changed(&mut self, now: Instant, user: &str, changes: Vec<Change>) {
        let Some(last) = changes.last() else {
            return;
        };
        let (reason, retry_after) = last.event.reason();
        let none_left = self.bindings(now, user).is_empty();
        let packages: Vec<(String, Source)> = self
            .config
            .packages
            .iter()
            .map(|package| (package.name.clone(), package.source))
            .collect();
        for (event, source) in packages {
            let Source::Bindings { end, .. } = source else {
                continue;
            };
            let mut notify = Notify::changes(&changes);
            if none_left && end == Feature::On {
                notify = notify.ending(reason);
                if let Some(seconds) = retry_after {
                    notify = notify.retry_after(seconds);
                }
            }
            self.notify(now, user, &event, &notify);
        }
    }

    /// Removes bindings that have expired and tells those who watch.
    pub(super) fn expire_bindings(&mut self, now: Instant) {
        let expired: Vec<Binding> = self
            .bindings
            .extract_if(.., |binding| binding.until <= now)
            .collect();
        for binding in expired {
            let user = binding.user.clone();
            let event = ContactEvent::Expired;
            self.bindings_changed(now, &user, Vec::from([Change { binding, event }]));
        }
    }

    /// The document for one watcher (RFC 3680 §5.1). Without changes it is the whole state.
    pub(super) fn reginfo(
        &self,
        now: Instant,
        user: &str,
        version: u32,
        how: Changes,
        changes: &[Change],
    ) -> String {
        let bound = self.bindings(now, user);
        // A watcher needs the whole state first.
        let partial = how == Changes::Partial && !changes.is_empty() && version > 0;
        let changed =
            |binding: &Binding| changes.iter().any(|change| change.binding.id == binding.id);
        let mut contacts: Vec<Change> = bound
            .iter()
            .filter(|binding| !partial || changed(binding))
            .map(|binding| Change {
                binding: (*binding).clone(),
                event: binding.event,
            })
            .collect();
        contacts.extend(changes.iter().filter(|change| change.event.ends()).cloned());
        let state = match (bound.is_empty(), contacts.is_empty()) {
            (false, _) => "active",
            (true, false) => "terminated",
            (true, true) => "init",
        };
        let mut xml = format!(
            "<?xml version=\"1.0\"?>\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" \
             xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\" version=\"{version}\" state=\"{}\">\n",
            if partial { "partial" } else { "full" }
        );
        let account = self.users.iter().find(|account| account.name == user);
        let identities = account.into_iter().flat_map(|account| account.associated());
        for (n, identity) in identities.enumerate() {
            xml += &format!(
                "  <registration aor=\"{}\" id=\"a{n}\" state=\"{state}\">\n",
                escape(identity)
            );
            for Change { binding, event } in &contacts {
                xml += &self.contact_element(now, n, identity, binding, *event);
            }
            xml += "  </registration>\n";
        }
        xml + "</reginfo>\n"
    }

    fn contact_element(
        &self,
        now: Instant,
        n: usize,
        identity: &str,
        binding: &Binding,
        event: ContactEvent,
    ) -> String {
        let state = if event.ends() { "terminated" } else { "active" };
        let mut xml = format!(
            "    <contact id=\"c{n}-{}\" state=\"{state}\" event=\"{}\" callid=\"{}\" cseq=\"{}\"",
            binding.id,
            event.as_str(),
            escape(&binding.call_id),
            binding.cseq,
        );
        if !event.ends() {
            let seconds = binding.until.since(now).div_ceil(1000);
            xml += &format!(" expires=\"{seconds}\"");
        }
        if let ContactEvent::Probation(Some(seconds)) = event {
            xml += &format!(" retry-after=\"{seconds}\"");
        }
        xml += &format!(">\n      <uri>{}</uri>\n", escape(&binding.contact));
        for param in &binding.params {
            let (name, value) = param.split_once('=').unwrap_or((param, ""));
            xml += &format!(
                "      <unknown-param name=\"{}\">{}</unknown-param>\n",
                escape(name),
                escape(value)
            );
        }
        // RFC 5628 §5: each identity has its own.
        let Some(instance) = binding
            .instance
            .as_ref()
            .filter(|_| identity.starts_with("sip:"))
        else {
            return xml + "    </contact>\n";
        };
        if self.config.gruu == Feature::On {
            let uri = Self::public_gruu(identity, instance);
            xml += &format!("      <gr:pub-gruu uri=\"{}\"/>\n", escape(&uri));
        }
        let temporary = self.temporary_gruu(&binding.user, instance);
        let registered = self.registered_identity(&binding.user);
        if let Some((uri, first)) = temporary.filter(|_| *identity == registered) {
            let uri = escape(&uri);
            xml += &format!("      <gr:temp-gruu uri=\"{uri}\" first-cseq=\"{first}\"/>\n");
        }
        xml + "    </contact>\n"
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

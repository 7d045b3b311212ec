//! The event state compositor: what PUBLISH leaves behind (RFC 3903 §6).
//!
//! The server knows the event packages of [`super::Config::packages`] and refuses others with 489. Users publish their own state
//! only. Each publication has an entity-tag that is new after every 200, and ends with its Expires. The state of a user
//! is the document that was published last, whoever published it: a handset, or the test with [`ImServer::set_document`].

use std::format;
use std::prelude::rust_2024::*;
use std::vec;

use super::{Approval, Changes, Feature, FirstNotify, ImServer, Incoming};
use crate::testkit::sip::Sip;
use crate::time::Instant;

/// Where the state of an event package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From PUBLISH.
    Publications,
    /// From the registrar (RFC 3680). PUBLISH gets 489.
    Bindings {
        /// How a change is told.
        changes: Changes,
        /// Whether a subscription ends with the last binding.
        end: Feature,
    },
}

/// An event package that the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The token in Event.
    pub name: String,
    /// Where its state comes from.
    pub source: Source,
    /// The types of its documents; others get 415.
    pub content_types: Vec<String>,
    /// Shortest life in seconds; less gets 423.
    pub min_expires: u32,
    /// Longest life in seconds; more is cut.
    pub max_expires: u32,
    /// Life without Expires, in seconds.
    pub default_expires: u32,
    /// When a subscription is told the state for the first time.
    pub first_notify: FirstNotify,
    /// Whether it is granted at once.
    pub approval: Approval,
}

impl Package {
    /// A package whose state is published in documents of one type, for 60 to 3600 s.
    pub fn new(name: &str, content_type: &str) -> Self {
        Self {
            name: name.into(),
            source: Source::Publications,
            content_types: vec![content_type.into()],
            min_expires: 60,
            max_expires: 3_600,
            default_expires: 3_600,
            first_notify: FirstNotify::AfterAnswer,
            approval: Approval::Granted,
        }
    }

    /// The settings of the service (RFC 4354).
    pub fn poc_settings() -> Self {
        Self::new("poc-settings", "application/poc-settings+xml")
    }

    /// The registration of a user (RFC 3680), for 3761 s at most. Changes are told alone, and a subscription lives on
    /// without bindings.
    pub fn reg() -> Self {
        Self {
            source: Source::Bindings {
                changes: Changes::Partial,
                end: Feature::Off,
            },
            max_expires: 3_761,
            default_expires: 3_761,
            ..Self::new("reg", "application/reginfo+xml")
        }
    }
}

/// One document that was published and lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Whose state it is.
    pub user: String,
    /// The event package.
    pub event: String,
    /// The entity-tag of the last 200; empty if the test published it.
    pub etag: String,
    /// Content-Type as it came.
    pub content_type: String,
    /// The document.
    pub body: Vec<u8>,
    /// When it ends.
    pub until: Option<Instant>,
}

impl Publication {
    fn is_of(&self, user: &str, event: &str) -> bool {
        self.user == user && self.event == event
    }

    fn has_ended(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What a PUBLISH asks for (RFC 3903 §4.1, table 1).
enum Wish {
    Initial,
    Refresh(usize),
    Modify(usize),
    Remove(usize),
}

impl ImServer {
    /// What was published for a user and has not ended, the newest document last.
    pub fn publications(&self, now: Instant, user: &str, event: &str) -> Vec<&Publication> {
        self.publications
            .iter()
            .filter(|known| known.is_of(user, event) && !known.has_ended(now))
            .collect()
    }

    /// The state of a user: the document that was published last, if one lives.
    pub fn document(&self, now: Instant, user: &str, event: &str) -> Option<&[u8]> {
        let last = self.publications(now, user, event).pop()?;
        Some(&last.body)
    }

    /// Publishes a document for a user without end, as if another handset had done it, and tells those who watch. It takes
    /// the place of the one that was set before.
    pub fn set_document(
        &mut self,
        now: Instant,
        user: &str,
        event: &str,
        content_type: &str,
        body: &[u8],
    ) {
        self.publications
            .retain(|known| !(known.is_of(user, event) && known.etag.is_empty()));
        self.publications.push(Publication {
            user: user.into(),
            event: event.into(),
            etag: String::new(),
            content_type: content_type.into(),
            body: body.into(),
            until: None,
        });
        self.state_changed(now, user, event);
    }

    /// Forgets all event state, as after a restart without a database: the next refresh gets 412, or 481 if it is
    /// one of a subscription. Nobody is told. Bindings and nonces stay;
    /// [`ImServer::forget_bindings`] and [`ImServer::forget_nonces`] are for them.
    pub fn restart(&mut self) {
        self.publications.clear();
        self.subscriptions.clear();
        self.note("restarted: event state forgotten");
    }

    /// RFC 3903 §6, step by step. The first step is done: the Request-URI names `user`.
    pub(super) fn publish(
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
        // RFC 3261 §8.2.2.3: it knows no extension that a PUBLISH could require.
        if self.refuse_required(now, incoming) {
            return;
        }
        // Step 2.
        let package = self
            .package_of(sip)
            .filter(|package| package.source == Source::Publications);
        let Some(package) = package else {
            return self.bad_event(now, incoming);
        };
        // Step 3.
        self.expire_publications(now);
        let tags = sip.all("SIP-If-Match");
        let found = match tags.as_slice() {
            [] => None,
            [tag] => {
                let same = |known: &Publication| {
                    known.is_of(user, &package.name) && known.etag == *tag && !tag.is_empty()
                };
                match self.publications.iter().position(same) {
                    Some(at) => Some(at),
                    None => {
                        return self.answer(now, incoming, 412, "Conditional Request Failed", &[]);
                    }
                }
            }
            _ => return self.answer(now, incoming, 400, "Several SIP-If-Match", &[]),
        };
        // Step 4.
        let Ok(expires) = package.expires(sip) else {
            return self.too_brief(now, incoming, &package);
        };
        // Step 5.
        let wish = match found {
            Some(at) if expires == 0 => Wish::Remove(at),
            Some(at) if sip.body.is_empty() => Wish::Refresh(at),
            Some(at) => Wish::Modify(at),
            None => Wish::Initial,
        };
        if sip.body.is_empty() && matches!(wish, Wish::Initial) {
            return self.answer(now, incoming, 400, "No Event State", &[]);
        }
        let content_type = sip.header("Content-Type").unwrap_or_default();
        if !sip.body.is_empty() && !package.takes(content_type) {
            let accept = package.content_types.join(", ");
            return self.answer(
                now,
                incoming,
                415,
                "Unsupported Media Type",
                &[("Accept", &accept)],
            );
        }
        let publication = Publication {
            user: user.into(),
            event: package.name.clone(),
            etag: self.rng.hex(),
            content_type: content_type.into(),
            body: sip.body.clone(),
            until: Some(now.after(u64::from(expires) * 1000)),
        };
        // Step 6.
        let etag = publication.etag.clone();
        let done = match wish {
            Wish::Initial | Wish::Modify(_) => {
                if let Wish::Modify(at) = wish {
                    self.publications.remove(at);
                }
                if expires > 0 {
                    self.publications.push(publication);
                }
                "published"
            }
            Wish::Refresh(at) => {
                let known = &mut self.publications[at];
                known.etag = publication.etag;
                known.until = publication.until;
                "refreshed"
            }
            Wish::Remove(at) => {
                self.publications.remove(at);
                "removed"
            }
        };
        self.note(format!("{user}: {} {done}", package.name));
        let expires = format!("{expires}");
        let headers = [("SIP-ETag", etag.as_str()), ("Expires", expires.as_str())];
        self.answer(now, incoming, 200, "OK", &headers);
        if done != "refreshed" {
            self.state_changed(now, user, &package.name);
        }
    }

    /// Removes what has ended and tells those who watch.
    pub(super) fn expire_publications(&mut self, now: Instant) {
        let ended: Vec<Publication> = self
            .publications
            .extract_if(.., |known| known.has_ended(now))
            .collect();
        for publication in ended {
            self.state_changed(now, &publication.user, &publication.event);
        }
    }

    /// Whether the request requires something, and was answered 420.
    pub(super) fn refuse_required(&mut self, now: Instant, incoming: &Incoming) -> bool {
        let required = incoming.sip.all("Require").join(", ");
        if required.is_empty() {
            return false;
        }
        self.answer(
            now,
            incoming,
            420,
            "Bad Extension",
            &[("Unsupported", &required)],
        );
        true
    }

    /// The package that Event names.
    pub(super) fn package_of(&self, sip: &Sip) -> Option<Package> {
        let event = sip.header("Event")?.split(';').next()?.trim();
        let known = |package: &&Package| package.name.eq_ignore_ascii_case(event);
        self.config.packages.iter().find(known).cloned()
    }

    /// RFC 3903 §6 step 2, RFC 6665 §4.2.1.1: 489 for what is not known.
    pub(super) fn bad_event(&mut self, now: Instant, incoming: &Incoming) {
        let known = self.allow_events();
        self.answer(now, incoming, 489, "Bad Event", &[("Allow-Events", &known)]);
    }

    pub(super) fn too_brief(&mut self, now: Instant, incoming: &Incoming, package: &Package) {
        let least = format!("{}", package.min_expires);
        self.answer(
            now,
            incoming,
            423,
            "Interval Too Brief",
            &[("Min-Expires", &least)],
        );
    }

    pub(super) fn allow_events(&self) -> String {
        let names: Vec<&str> = self
            .config
            .packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        names.join(", ")
    }
}

/// The life that was asked for is too short.
pub(super) struct TooBrief;

impl Package {
    /// The life that is granted, in seconds: what was asked for, cut at the longest.
    pub(super) fn expires(&self, sip: &Sip) -> Result<u32, TooBrief> {
        let asked = sip
            .header("Expires")
            .and_then(|value| value.parse::<u64>().ok())
            .unwrap_or(self.default_expires.into());
        if asked > 0 && asked < u64::from(self.min_expires) {
            return Err(TooBrief);
        }
        Ok(asked.min(self.max_expires.into()) as u32)
    }

    pub(super) fn takes(&self, content_type: &str) -> bool {
        let bare = content_type.split(';').next().unwrap_or_default().trim();
        self.content_types
            .iter()
            .any(|known| known.eq_ignore_ascii_case(bare))
    }
}

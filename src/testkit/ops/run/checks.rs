//! What has to hold of every message that goes out and of every event.

use std::net::IpAddr;
use std::string::String;

use super::{ACCESS, Cause, Outcome, Run};
use crate::client::{
    Direction, Event, RegistrationChange, SecurityOffer, SettingsChange, SettingsOutcome, Watch,
    WatchChange,
};
use crate::config::Transport;
use crate::id::{ChallengeId, FlowId, IncomingId, SecurityId, SendId, SettingsId};
use crate::im::imdn::ReportKind;
use crate::storage::Storage;
use crate::testkit::ops::notify::Watched;
use crate::testkit::ops::platform::Link;
use crate::testkit::ops::text;
use crate::testkit::sip::{Sip, params, uri_of};
use crate::time::Instant;
use crate::wire::digest::Algorithm;
use crate::wire::message::Message;
use crate::wire::stun;

impl<S: Storage> Run<S> {
    /// Whether a flow goes through a set.
    pub(super) fn protected(&self, flow: FlowId) -> bool {
        let link = self.flows.iter().find(|link| link.id == flow);
        link.is_some_and(|link| link.set.is_some())
    }

    /// Checks what a message says of the user and of the path; a request is kept to be answered.
    pub(super) fn sent(&mut self, flow: FlowId, sip: Sip) {
        self.check_tags(&sip);
        let credentials = sip.header("Authorization").unwrap_or_default();
        if credentials.contains("auts=") {
            self.reach("a synchronisation failure was told");
        }
        let empty = credentials.contains("response=\"\"") && !credentials.contains("auts=");
        if empty && !credentials.contains("nonce=\"\"") {
            self.reach("a wrong MAC was told");
        }
        if self.ims && !self.adopted {
            self.check_protection(flow, &sip);
        }
        let Some(method) = sip.method() else {
            let of_notify = sip.cseq().is_some_and(|(_, method)| method == "NOTIFY");
            if of_notify && sip.status() == Some(200) {
                self.reach("a NOTIFY was taken");
            }
            return;
        };
        match method {
            "REGISTER" => {
                let contact = sip.header("Contact").map(|contact| uri_of(contact).into());
                self.contact = contact.unwrap_or_default();
            }
            "PUBLISH" if !sip.body.is_empty() => {
                self.published = String::from_utf8(sip.body.clone()).ok();
            }
            "SUBSCRIBE" => {
                let call_id = sip.header("Call-ID").unwrap_or_default();
                let known = self.watched.iter_mut().find(|w| w.call_id == call_id);
                match known {
                    Some(known) => known.renewed(flow, &sip),
                    None => self.watched.extend(Watched::of(flow, &sip)),
                }
                if self.watched.len() > 4 {
                    self.watched.pop_front();
                }
            }
            _ => {}
        }
        if let Some(id) = text::message_id(&sip)
            && !self.sent_ids.contains(&id)
        {
            self.sent_ids.push(id);
        }
        let branch = text::branch(&sip);
        self.waiting
            .retain(|(_, other)| text::branch(other) != branch);
        self.waiting.push_back((flow, sip));
        if self.waiting.len() > 8 {
            self.waiting.pop_front();
        }
    }

    /// The feature tags that IM needs, and what was configured.
    pub(super) fn check_tags(&self, sip: &Sip) {
        let register = sip.method() == Some("REGISTER");
        for contact in sip.all("Contact") {
            for (name, _) in params(&contact) {
                let fits = match name.as_str() {
                    "+g.oma.sip-im" => true,
                    "+sip.instance" | "reg-id" | "expires" => register,
                    "+g.example.tag" => register && self.feature_tags,
                    _ => false,
                };
                assert!(fits, "{name} in {contact} of {}", sip.start);
            }
        }
        for accept in sip.all("Accept-Contact") {
            assert_eq!(accept, "*;+g.oma.sip-im");
        }
        let mut others = sip.headers.iter().filter(|(name, _)| name != "Contact");
        let hidden = others.all(|(_, value)| !value.contains("sip.instance"));
        assert!(hidden, "{sip:?}");
    }

    /// RFC 3329 §2.3.1, §2.6; RFC 7315 §6.4; TS 24.229 §5.1.2A.1.1.
    pub(super) fn check_protection(&mut self, flow: FlowId, sip: &Sip) {
        let link = self.flows.iter().find(|link| link.id == flow);
        let set = link.and_then(|link| link.set);
        let named = sip.header("P-Access-Network-Info");
        let verify = sip.all("Security-Verify");
        let Some(set) = set else {
            assert_eq!(named, None, "the cell in the clear: {sip:?}");
            assert!(verify.is_empty(), "{sip:?}");
            let fits = matches!(sip.method(), None | Some("REGISTER"));
            assert!(fits, "unprotected: {sip:?}");
            return;
        };
        if let Some(named) = named {
            let of_cancel = sip.cseq().is_some_and(|(_, method)| method == "CANCEL");
            let bare = match sip.status() {
                Some(status) => status == 100 || of_cancel && matches!(status, 200 | 481),
                None => matches!(sip.method(), Some("ACK" | "CANCEL")),
            };
            assert!(ACCESS.contains(&named) && !bare, "{sip:?}");
            self.reach("P-Access-Network-Info went out");
        }
        let list = self.platform.list(set).cloned();
        let Some(method) = sip.method() else {
            return;
        };
        if matches!(method, "ACK" | "CANCEL" | "PRACK") {
            assert!(verify.is_empty(), "{sip:?}");
            return;
        }
        assert!(!verify.is_empty(), "{sip:?}");
        if let Some(list) = list {
            assert_eq!(verify, list, "{sip:?}");
            self.reach("Security-Verify is the list");
        }
        for name in ["Require", "Proxy-Require"] {
            assert!(sip.lists(name, "sec-agree"), "{name} of {sip:?}");
        }
        let offers = sip.header("Security-Client").is_some();
        assert_eq!(offers, method == "REGISTER", "{sip:?}");
        match method {
            "REGISTER" if sip.all("Contact").iter().all(|c| c.contains("expires=0")) => {
                self.reach("a deregistration by the protected path");
            }
            "MESSAGE" => self.reach("a message went protected"),
            "PUBLISH" => self.reach("settings went protected"),
            "SUBSCRIBE" => self.reach("a SUBSCRIBE went protected"),
            _ => {}
        }
    }

    pub(super) fn happened(&mut self, event: Told) {
        match event {
            Told::OfferWanted => self.platform.asked = true,
            Told::Install(set, ours, theirs, server, until) => {
                self.platform.install(set, ours, theirs, server, until);
            }
            Told::Extend(set, until) => self.platform.extend(set, until),
            Told::Delete(set) => {
                let gone = self.platform.delete(set);
                // The client may have heard of a connection after the set was over.
                for link in &mut self.flows {
                    if link.accepted && link.set == Some(set) {
                        link.set = None;
                    }
                }
                if gone.registered && self.platform.registered() > 0 {
                    self.reach("a set gave way to the next");
                }
            }
            Told::Registered => {
                if self.platform.registered() > 0 {
                    self.reach("a protected registration");
                    let udp = |link: &Link| link.direction == Direction::In;
                    if self.flows.iter().any(udp) {
                        self.reach("a protected registration over one-way flows");
                    }
                }
            }
            Told::Refreshed => {
                if self.platform.registered() > 1 {
                    self.reach("a re-authentication");
                }
                if self.cause == Some(Cause::Notify) {
                    self.reach("a NOTIFY shortened the registration");
                }
            }
            Told::Lost => match self.cause {
                Some(Cause::Notify) => self.reach("a NOTIFY ended the registration"),
                Some(Cause::Restore) => self.reach("a 504 asked for restoration"),
                None => {}
            },
            Told::Watching(Watch::Registration) => self.reach("the registration is watched"),
            Told::Watching(Watch::Settings) => self.reach("the settings are watched"),
            Told::Sent(id) => {
                let old = self.sends.insert(id, Outcome::Told);
                assert_eq!(old, Some(Outcome::Open), "{id:?} ended");
            }
            Told::ReportSent(id, kind) => {
                // Automatic ones were not asked for, repeated ones ended before.
                self.reports.remove(&(id, kind));
            }
            Told::Challenge(id, card) => {
                self.challenges.push(id);
                if let Some(algorithm) = card {
                    self.card = Some((id, algorithm));
                    if algorithm == Algorithm::AkaV2Md5 {
                        self.reach("a challenge of AKAv2");
                    }
                }
            }
            Told::Settings(SettingsChange::Elsewhere { .. }) => {
                self.reach("settings of another device");
            }
            Told::SettingsDone(id, outcome) => {
                let wanted = self.settings.remove(&id);
                let wanted = wanted.unwrap_or_else(|| panic!("{id:?} ended before"));
                match outcome {
                    SettingsOutcome::InEffect { settings, .. } => {
                        assert_eq!(wanted, Some(settings), "{id:?} brought others");
                        self.in_effect = Some(settings);
                    }
                    SettingsOutcome::Removed => {
                        assert_eq!(wanted, None, "{id:?} removes nothing");
                        self.in_effect = None;
                    }
                    SettingsOutcome::RunsOut { .. } => assert_eq!(wanted, None),
                    SettingsOutcome::Superseded
                    | SettingsOutcome::Withdrawn
                    | SettingsOutcome::Failed(_) => {}
                }
            }
            Told::Settings(SettingsChange::InEffect { settings, .. }) => {
                self.in_effect = Some(settings);
            }
            Told::Settings(SettingsChange::Lost) => self.in_effect = None,
            Told::Settings(SettingsChange::Retrying { .. } | SettingsChange::GivenUp(_))
            | Told::Other => {}
        }
    }
}

/// What of an event the checks look at.
pub(super) enum Told {
    Sent(SendId),
    ReportSent(IncomingId, ReportKind),
    /// With its algorithm if it is for the card.
    Challenge(ChallengeId, Option<Algorithm>),
    OfferWanted,
    Install(SecurityId, SecurityOffer, SecurityOffer, IpAddr, Instant),
    Extend(SecurityId, Instant),
    Delete(SecurityId),
    Registered,
    Refreshed,
    Lost,
    Watching(Watch),
    SettingsDone(SettingsId, SettingsOutcome),
    Settings(SettingsChange),
    Other,
}

pub(super) fn event_of(event: &Event<'_>) -> Told {
    match event {
        Event::Sent { id, .. } => Told::Sent(*id),
        Event::ReportSent { id, kind, .. } => Told::ReportSent(*id, *kind),
        Event::Challenge {
            id, algorithm, aka, ..
        } => Told::Challenge(*id, aka.map(|_| *algorithm)),
        Event::SecurityOfferWanted { .. } => Told::OfferWanted,
        Event::InstallSecurity {
            set,
            ours,
            theirs,
            server,
            until,
            ..
        } => Told::Install(*set, *ours, *theirs, *server, *until),
        Event::ExtendSecurity { set, until, .. } => Told::Extend(*set, *until),
        Event::DeleteSecurity { set, .. } => Told::Delete(*set),
        Event::Registration { change, .. } => match change {
            RegistrationChange::Registered { .. } => Told::Registered,
            RegistrationChange::Refreshed { .. } => Told::Refreshed,
            RegistrationChange::Lost => Told::Lost,
            RegistrationChange::Retrying { .. } | RegistrationChange::Failed(_) => Told::Other,
        },
        Event::Watch {
            watch,
            change: WatchChange::Active,
        } => Told::Watching(*watch),
        Event::SettingsDone { id, outcome } => Told::SettingsDone(*id, *outcome),
        Event::Settings(change) => Told::Settings(*change),
        _ => Told::Other,
    }
}

/// Checks what goes out; a message is handed back.
pub(super) fn sent(bytes: &[u8], transport: Transport) -> Option<Sip> {
    if matches!(bytes, b"\r\n\r\n" | b"\r\n") {
        assert!(transport.is_stream());
        return None;
    }
    if transport == Transport::Udp && stun::is_stun(bytes) {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let message = Message::parse(bytes).unwrap_or_else(|error| panic!("{error:?} in {text}"));
    if message.request().is_some() {
        let valid = message.validate();
        assert_eq!(valid, Ok(()), "{text}");
    }
    Sip::parse(bytes)
}

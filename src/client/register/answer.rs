//! The answer to a REGISTER: what it grants, what it tells, and where the next attempt goes.
//!
//! Our own binding is found in the 200, Service-Route and P-Associated-URI are kept, what the server
//! says of our address and of keep-alives is followed. A refusal goes to the machine of the path; a
//! server that cannot serve sends a first registration to the next candidate (RFC 3263 §4.3).

use core::net::SocketAddr;

use crate::arena::{Block, NoRoom};
use crate::client::account::Field;
use crate::client::engine::{Engine, Role, Row};
use crate::client::event::CloseReason;
use crate::client::flows::{Path, PathState, Place, Rewrite};
use crate::client::records::Record;
use crate::client::register::parse_contact_user;
use crate::client::requests::failure;
use crate::config::KeepAlive;
use crate::error::Failure;
use crate::id::PathId;
use crate::limits::RESERVE;
use crate::sip::keepalive::Indication;
use crate::sip::registration::{Failure as RegisterFailure, KeepAlives, RegistrationEvent, State};
use crate::wire::header::{Contact, Keep, NameAddr, Rport, Via};
use crate::wire::message::Message;
use crate::wire::name::{Name, Status};
use crate::wire::scan;
use crate::wire::sink::Sink;
use crate::wire::uri::Uri;
use crate::wire::writer::{Raw, Value};

impl Engine<'_> {
    /// A final response to a REGISTER, but for 401 and 407 that are answered.
    pub(crate) fn registered(&mut self, row: Row, message: &Message<'_>, status: Status) {
        let Some(path_id) = self.requests.get(row.0).map(|request| request.path) else {
            return;
        };
        if status.is_success() {
            self.register_ok(row, path_id, message);
            return;
        }
        self.register_refused(row, message, status);
    }

    /// A REGISTER was refused for good, as far as credentials go.
    pub(crate) fn register_refused(&mut self, row: Row, message: &Message<'_>, status: Status) {
        let Some(request) = self.requests.get(row.0).copied() else {
            return;
        };
        let path_id = request.path;
        self.forget_transaction(row);
        self.free_row(row);
        self.drop_coming();
        if self.agrees_again(status) {
            return;
        }
        let config = self.core.policy.registration();
        if status.code() == 423 {
            // RFC 3261 §10.2.8.
            let min = message
                .header(Name::MinExpires)
                .and_then(|v| scan::parse_u32(v).ok());
            let Some(path) = self.path_mut(path_id) else {
                return;
            };
            let step = path.registration.interval_too_brief(&config, min);
            return self.registration_step(path_id, step);
        }
        let retry_after = match failure(message, status) {
            Failure::Status { retry_after, .. } => retry_after,
            _ => None,
        };
        let failed = RegisterFailure::Status {
            status,
            retry_after,
        };
        if status.code() == 503 {
            // RFC 3263 §4.3: the next server.
            return self.fail_over(path_id, failed);
        }
        self.register_failed(path_id, failed);
    }

    /// Nobody answered a REGISTER.
    pub(crate) fn register_unanswered(&mut self, row: Row) {
        let Some(request) = self.requests.get(row.0).copied() else {
            return;
        };
        self.forget_transaction(row);
        self.free_row(row);
        self.drop_coming();
        self.fail_over(request.path, RegisterFailure::Timeout);
    }

    /// The application has no secret for a REGISTER.
    pub(crate) fn register_abandoned(&mut self, row: Row) {
        let Some(request) = self.requests.get(row.0).copied() else {
            return;
        };
        self.free_row(row);
        if let Some(status) = Status::new(401) {
            let failed = RegisterFailure::Status {
                status,
                retry_after: None,
            };
            self.register_failed(request.path, failed);
        }
    }

    /// Retries with credentials count the CSeq of the row up; the next REGISTER goes on from there,
    /// whatever becomes of this one (RFC 3261 §10.2.4).
    pub(crate) fn keep_cseq(&mut self, path_id: PathId, cseq: u32) {
        if let Some(path) = self.path_mut(path_id) {
            path.cseq = path.cseq.max(cseq);
        }
    }

    /// A first registration goes to the next candidate; a refresh stays with its flow (RFC 5626
    /// §4.2.2) and a de-registration is over.
    fn fail_over(&mut self, path_id: PathId, failed: RegisterFailure) {
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        let first = matches!(path.registration.state(), State::Registering { .. });
        if !first || self.core.role != Role::Registrant {
            return self.register_failed(path_id, failed);
        }
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        path.failover = Some(failed);
        let flow = match path.state {
            PathState::Up { flow } => Some(flow),
            PathState::Down | PathState::Opening { .. } => None,
        };
        self.drop_security();
        self.next_candidate(path_id);
        if let Some(flow) = flow {
            self.drop_flow(flow, CloseReason::NextCandidate);
        }
        self.reset_auth(path_id);
    }

    pub(in crate::client) fn register_failed(&mut self, path_id: PathId, failed: RegisterFailure) {
        let others = self.other_flows(path_id);
        let (now, random) = (self.core.now, self.core.entropy.u32());
        let config = self.core.policy.registration();
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        let step = path
            .registration
            .failed(now, &config, failed, others, random);
        self.registration_step(path_id, step);
    }

    fn register_ok(&mut self, row: Row, path_id: PathId, message: &Message<'_>) {
        self.forget_transaction(row);
        self.free_row(row);
        let granted = self.granted(path_id, message);
        let was_bound = self
            .path(path_id)
            .is_some_and(|p| p.registration.bound_until().is_some());
        let state = self.path(path_id).map(|p| p.registration.state());
        let leaving = matches!(state, Some(State::Deregistering { .. }));
        let refreshing = matches!(state, Some(State::Refreshing { .. }));
        if self.is_ims() && !leaving && !self.secured(granted) {
            // Whoever sends it has not shown that he knows the card (TS 24.229 §5.1.1.2.2).
            return self.give_up();
        }
        if !leaving && granted > 0 {
            self.keep_facts(path_id, message);
        }
        let supervised = self.read_indications(path_id, message);
        let (now, config) = (self.core.now, self.core.policy.registration());
        let (others, random) = (self.other_flows(path_id), self.core.entropy.u32());
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        path.exhausted = 0;
        let step = path
            .registration
            .ok(now, &config, granted, supervised, others, random);
        if let Some(RegistrationEvent::Registered { until }) = step.event {
            let seconds = until.since(now) / 1000;
            let expires = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.emit(if was_bound {
                Record::Refreshed {
                    path: path_id,
                    expires,
                }
            } else {
                Record::Registered {
                    path: path_id,
                    expires,
                }
            });
        }
        self.registration_step(path_id, step);
        if !leaving && granted > 0 {
            self.follow_mapping(path_id, message);
            self.start_second_path(path_id, message);
        }
        // A registration from another address is no reason: what is published outlives the address.
        if refreshing && granted > 0 {
            self.refresh_together();
        }
    }

    /// The seconds of our own binding in a 200. With outbound it is found by instance and reg-id
    /// (RFC 5626 §4.2.1), then by its URI, whose user is random and ours (RFC 3261 §10.2.4).
    ///
    /// Without a reg-id the instance alone comes last: the device can have an older binding, as can
    /// our user at an address that we had before.
    fn granted(&self, path_id: PathId, message: &Message<'_>) -> u32 {
        let Some(path) = self.path(path_id) else {
            return 0;
        };
        let instance = self.core.account.get(&self.arena, Field::Instance);
        let reg_id = self
            .is_outbound()
            .then(|| u32::from(path_id.0).saturating_add(1));
        let address = self.contact_address(path_id);
        let of_instance = |contact: &Contact<'_>| {
            let ours = contact.instance().is_some_and(|urn| {
                let bare = urn
                    .strip_prefix(b"<")
                    .and_then(|urn| urn.strip_suffix(b">"));
                scan::eq_ignore_case(bare.unwrap_or(urn), instance)
            });
            ours && !instance.is_empty() && reg_id.is_none_or(|id| contact.reg_id() == Some(id))
        };
        let of_user = |contact: &Contact<'_>| {
            let uri = contact.addr().and_then(|addr| addr.uri().ok());
            let user = uri.and_then(|uri| uri.user());
            user.and_then(parse_contact_user) == Some((self.core.policy.key, path.contact))
        };
        let of_uri = |contact: &Contact<'_>| {
            let uri = contact.addr().and_then(|addr| addr.uri().ok());
            let there = uri.zip(address).is_some_and(|(uri, at)| is_at(&uri, at));
            there && of_user(contact)
        };
        let header = message
            .header(Name::Expires)
            .and_then(|v| scan::parse_u32(v).ok());
        let contacts = || {
            message
                .values(Name::Contact)
                .filter_map(|v| Contact::parse(v).ok())
        };
        let found = reg_id
            .and_then(|_| contacts().find(of_instance))
            .or_else(|| contacts().find(of_uri))
            .or_else(|| contacts().find(of_user))
            .or_else(|| contacts().find(of_instance));
        let seconds = found.map(|contact| {
            let own = contact.addr().and_then(|addr| addr.expires());
            own.or(header).unwrap_or(path.registration.expires())
        });
        seconds.unwrap_or(0)
    }

    /// Service-Route and P-Associated-URI of a 200.
    fn keep_facts(&mut self, path_id: PathId, message: &Message<'_>) {
        // RFC 3608 §6.1: what a 200 does not have is not known any more. The old goes first, so that
        // there is room for the same again.
        self.replace_facts(path_id, None, None);
        let route = self.keep_list(message, Name::ServiceRoute);
        let associated = self.keep_list(message, Name::PAssociatedUri);
        self.replace_facts(path_id, route, associated);
        self.keep_path(message);
    }

    pub(super) fn replace_facts(
        &mut self,
        path_id: PathId,
        route: Option<Block>,
        associated: Option<Block>,
    ) {
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        let old = [
            core::mem::replace(&mut path.route, route),
            core::mem::replace(&mut path.associated, associated),
        ];
        for block in old.into_iter().flatten() {
            self.arena.free(block);
        }
    }

    /// Forgets what a registration brought.
    pub(super) fn forget_registration(&mut self, path_id: PathId) {
        self.replace_facts(path_id, None, None);
        self.reset_auth(path_id);
    }

    /// Keeps a list of a 200, if that leaves room for a request and its next attempt.
    pub(in crate::client) fn keep_list(
        &mut self,
        message: &Message<'_>,
        name: Name,
    ) -> Option<Block> {
        message.header(name)?;
        let room = self
            .arena
            .available()
            .saturating_sub(RESERVE.saturating_mul(2));
        let written = self.arena.alloc_with(|out| {
            let most = room.min(out.len());
            let out = out.get_mut(..most).unwrap_or_default();
            let mut sink = Sink::new(out);
            for (i, value) in message.values(name).enumerate() {
                if i > 0 {
                    sink.put(b", ");
                }
                Raw(value).write(&mut sink);
            }
            sink.finish()
        });
        if written.is_err() {
            self.core.stats.facts_dropped = self.core.stats.facts_dropped.saturating_add(1);
        }
        written.ok()
    }

    pub(super) fn keep_text(&mut self, text: &[u8]) -> Result<Option<Block>, NoRoom> {
        if text.is_empty() {
            Ok(None)
        } else {
            self.arena.alloc(text).map(Some)
        }
    }

    /// What a 200 says of keep-alives (RFC 5626 §4.4, RFC 6223 §4.3).
    fn read_indications(&mut self, path_id: PathId, message: &Message<'_>) -> KeepAlives {
        let mut said = heapless::Vec::<Indication, 4>::new();
        // Four places for four kinds.
        if self.core.policy.keep_alive == KeepAlive::Supervised {
            let _ = said.push(Indication::Configuration);
        }
        if self.is_outbound() && requires_outbound(message) {
            let _ = said.push(Indication::Outbound);
        }
        if let Some(Ok(seconds)) = message.header(Name::FlowTimer).map(scan::parse_u32) {
            let _ = said.push(Indication::FlowTimer(seconds));
        }
        if let Some(Keep::Seconds(seconds)) = message.via().ok().and_then(|via| via.keep()) {
            let _ = said.push(Indication::Keep(seconds));
        }
        let Some(flow) = self.main_flow(path_id) else {
            return KeepAlives::Unsupervised;
        };
        // RFC 6223 §4.2.2: what the last 200 said and this one does not has ended.
        self.indicate(flow, &said);
        match self.flow(flow).and_then(|flow| flow.keep) {
            Some(keep) if keep.is_supervised() => KeepAlives::Supervised,
            _ => KeepAlives::Unsupervised,
        }
    }

    /// Behind a NAT: tells, and registers once more where the Contact has to show it.
    fn follow_mapping(&mut self, path_id: PathId, message: &Message<'_>) {
        let Some(flow) = self.main_flow(path_id).and_then(|flow| self.flow(flow)) else {
            return;
        };
        let (local, transport) = (flow.local, flow.transport);
        let rewrites = self.rewrites(transport);
        let now = self.core.now;
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        let last = core::mem::replace(&mut path.rewrite, Rewrite::Settled);
        let Some(seen) = message.via().ok().and_then(|via| mapped(&via, local)) else {
            return;
        };
        let known = path.mapped.unwrap_or(local.into());
        if Place::from(seen) == known {
            return;
        }
        path.mapped = Some(seen.into());
        self.emit(Record::Mapped {
            path: path_id,
            address: seen,
        });
        // Once: where every REGISTER is seen at another address, the next one waits its time.
        if rewrites && last == Rewrite::Settled {
            let Some(path) = self.path_mut(path_id) else {
                return;
            };
            path.rewrite = Rewrite::UnderWay { old: known };
            let step = path.registration.refresh(now);
            self.registration_step(path_id, step);
        }
    }

    /// RFC 5626 §4.2.1: further flows only with a registrar that has shown that it knows them.
    fn start_second_path(&mut self, path_id: PathId, message: &Message<'_>) {
        let second = PathId(1);
        let idle = |path: &Path| path.registration.state() == State::Unregistered;
        // On an IMS core there is one registration.
        if path_id == PathId(0)
            && !self.is_ims()
            && self.core.policy.hops > 1
            && self.is_outbound()
            && requires_outbound(message)
            && self.path(second).is_some_and(idle)
        {
            // The first one can have moved to the second hop meanwhile.
            let hop = 1_u8.saturating_sub(self.path(path_id).map_or(0, |path| path.hop));
            if let Some(path) = self.path_mut(second) {
                path.hop = hop;
            }
            self.start_path(second);
        }
    }

    /// Whether a URI is one of the user's: the IM Address, or one that the registrar associated.
    pub(crate) fn is_own(&self, uri: &Uri<'_>) -> bool {
        let own = Uri::parse(self.core.account.get(&self.arena, Field::ImAddress));
        if own.is_ok_and(|own| own.equivalent(uri)) {
            return true;
        }
        self.core
            .paths
            .iter()
            .filter_map(|path| path.associated)
            .any(|block| lists(self.arena.get(block), uri))
    }
}

/// Whether a URI names this address and port.
pub(crate) fn is_at(uri: &Uri<'_>, at: SocketAddr) -> bool {
    uri.host().and_then(|host| host.ip()) == Some(at.ip())
        && uri.port().unwrap_or(5060) == at.port()
}

/// Whether a list of addresses has this URI.
pub(crate) fn lists(list: &[u8], uri: &Uri<'_>) -> bool {
    scan::split_commas(list).any(|value| {
        let of = NameAddr::parse(value).and_then(|addr| addr.uri());
        of.is_ok_and(|of| of.equivalent(uri))
    })
}

fn requires_outbound(message: &Message<'_>) -> bool {
    message
        .values(Name::Require)
        .any(|value| scan::eq_ignore_case(value, b"outbound"))
}

/// Our address as the Via of a response shows it (RFC 3581 §4), if it says anything.
fn mapped(via: &Via<'_>, local: SocketAddr) -> Option<SocketAddr> {
    let port = match via.rport() {
        Some(Rport::Port(port)) => Some(port),
        Some(Rport::Empty) | None => None,
    };
    let ip = via.received();
    if ip.is_none() && port.is_none() {
        return None;
    }
    Some(SocketAddr::new(
        ip.unwrap_or(local.ip()),
        port.unwrap_or(local.port()),
    ))
}

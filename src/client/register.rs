//! Registration, as the client does it: REGISTER written, its 200 read, each path driven.
//!
//! When to register, refresh, wait and give up is decided by [`crate::sip::registration`], one
//! machine a path. Here its actions become requests and flows, and the answers become its inputs:
//! our own binding is found in the 200, Service-Route and P-Associated-URI are kept, what the server
//! says of our address and of keep-alives is followed.

use core::net::SocketAddr;

use crate::arena::{Block, NoRoom};
use crate::client::account::Field;
use crate::client::engine::{Engine, Policy, Role, Row};
use crate::client::event::CloseReason;
use crate::client::flows::{Flow, Path, PathState, Place, Rewrite};
use crate::client::records::Record;
use crate::client::requests::failure;
use crate::client::slots::{Request, RequestKind, RequestState};
use crate::config::{KeepAlive, Nat, Transport};
use crate::error::{CommandError, Failure};
use crate::id::PathId;
use crate::im::tags;
use crate::limits::RESERVE;
use crate::sip::draft::{Cuts, hex};
use crate::sip::keepalive::Indication;
use crate::sip::registration::{
    Failure as RegisterFailure, KeepAlives, Reason, RefreshRule, RegistrationAction,
    RegistrationConfig, RegistrationEvent, Retry, State, Step,
};
use crate::wire::header::{Contact, Keep, Rport, Via};
use crate::wire::message::Message;
use crate::wire::name::{Method, Name, Status};
use crate::wire::scan;
use crate::wire::sink::Sink;
use crate::wire::uri::Uri;
use crate::wire::writer::{Hex, MessageWriter, NameAddr, Param, Raw, Text, Token, UriText, Value};

/// A registration that somebody else holds (on a phone, often the modem).
#[derive(Clone, Copy, Debug, Default)]
pub struct Adopted<'a> {
    /// Service-Route as the registrar gave it; empty: none.
    pub service_route: &'a str,
    /// P-Associated-URI as the registrar gave it; empty: only the IM Address.
    pub associated: &'a str,
}

impl Policy {
    pub(crate) fn registration(&self) -> RegistrationConfig {
        RegistrationConfig {
            expires: self.registration_expires,
            max_expires: self.max_expires,
            refresh: RefreshRule::Ims,
            deregister_within: self.deregister_timeout,
            ..RegistrationConfig::DEFAULT
        }
    }
}

impl Engine<'_> {
    /// `Client::register`.
    pub(crate) fn register(&mut self) -> Result<(), CommandError> {
        match self.core.role {
            Role::Idle => {}
            Role::Registrant | Role::Adopted | Role::Leaving { .. } => {
                return Err(CommandError::WrongState);
            }
        }
        self.core.role = Role::Registrant;
        self.start_path(PathId(0));
        Ok(())
    }

    /// A path was refused for good. With the last one the client is where it began, and
    /// `register` starts anew.
    fn path_failed(&mut self, path_id: PathId) {
        if self.core.role != Role::Registrant {
            return;
        }
        self.shut(path_id);
        if self.is_over() {
            // `register` starts anew.
            self.leave();
        }
    }

    fn start_path(&mut self, path_id: PathId) {
        let config = self.core.policy.registration();
        let (call_id, tag) = (self.core.entropy.u64(), self.core.entropy.u64());
        let contact = self.core.entropy.u32();
        let up = self.main_flow(path_id).is_some();
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        // RFC 3261 §10.2: one Call-ID for all registrations of a path, CSeq counting up.
        path.registration = crate::sip::registration::Registration::new(&config);
        path.call_id = call_id;
        path.tag = tag;
        path.contact = contact;
        if up {
            let _ = path.registration.flow_ready();
        }
        let step = path.registration.register();
        self.registration_step(path_id, step);
    }

    /// `Client::deregister`.
    pub(crate) fn deregister(&mut self) -> Result<(), CommandError> {
        let within = u64::from(self.core.policy.deregister_timeout);
        match self.core.role {
            Role::Registrant => {}
            Role::Adopted => {
                self.leave();
                self.emit(Record::Deregistered);
                return Ok(());
            }
            Role::Idle | Role::Leaving { .. } => return Err(CommandError::WrongState),
        }
        self.core.role = Role::Leaving {
            until: self.core.now.after(within),
        };
        // What is on top first: messages that are not out yet will not go any more.
        self.withdraw_all();
        let (now, config) = (self.core.now, self.core.policy.registration());
        for at in 0..self.core.policy.hops {
            let path_id = PathId(at);
            let Some(path) = self.path_mut(path_id) else {
                continue;
            };
            if path.registration.state() == State::Unregistered {
                continue;
            }
            let step = path.registration.deregister(now, &config);
            self.registration_step(path_id, step);
        }
        self.finish_leaving();
        Ok(())
    }

    /// Ends what waits in the queue.
    fn withdraw_all(&mut self) {
        for at in 0..self.requests.len() {
            let Some(request) = self.requests.get(at) else {
                continue;
            };
            let waiting = match request.state {
                RequestState::Queued | RequestState::Challenged { .. } => request.is_pager(),
                RequestState::Free | RequestState::InFlight | RequestState::Ended(_) => false,
            };
            if waiting {
                self.end_request(Row(at), Err(Failure::Withdrawn));
            }
        }
    }

    /// Ends the de-registration if no path has anything left to do, or its time is over.
    pub(crate) fn finish_leaving(&mut self) {
        let Role::Leaving { until } = self.core.role else {
            return;
        };
        if !self.is_over() && self.core.now < until {
            return;
        }
        self.leave();
        self.emit(Record::Deregistered);
    }

    /// Whether no path has or gets a registration.
    fn is_over(&self) -> bool {
        self.core.paths.iter().all(|path| {
            matches!(
                path.registration.state(),
                State::Unregistered | State::Failed
            )
        })
    }

    /// Nothing is registered any more: flows are closed, what came with the registration is
    /// forgotten, and what still waits or is under way ends.
    fn leave(&mut self) {
        self.core.role = Role::Idle;
        let config = self.core.policy.registration();
        for at in 0..self.core.policy.hops {
            let path_id = PathId(at);
            self.drop_register(path_id);
            self.forget_registration(path_id);
            self.shut(path_id);
            if let Some(path) = self.path_mut(path_id) {
                path.registration = crate::sip::registration::Registration::new(&config);
            }
        }
        // What was under way went down with its flow.
        self.withdraw_all();
    }

    /// `Client::adopt_registration` and `Client::registration_changed`.
    pub(crate) fn adopt(&mut self, adopted: &Adopted<'_>) -> Result<(), CommandError> {
        let known = match self.core.role {
            Role::Idle => false,
            Role::Adopted => true,
            Role::Registrant | Role::Leaving { .. } => return Err(CommandError::WrongState),
        };
        for text in [adopted.service_route, adopted.associated] {
            if Text::new(text).is_err() {
                return Err(CommandError::Text);
            }
        }
        let route = self.keep_text(adopted.service_route.as_bytes());
        let associated = self.keep_text(adopted.associated.as_bytes());
        let (route, associated) = match (route, associated) {
            (Ok(route), Ok(associated)) => (route, associated),
            (route, associated) => {
                let no_room = route.err().or(associated.err());
                for block in [route, associated]
                    .into_iter()
                    .filter_map(Result::ok)
                    .flatten()
                {
                    self.arena.free(block);
                }
                return Err(no_room.map_or(CommandError::Busy, crate::client::engine::full));
            }
        };
        self.replace_facts(PathId(0), route, associated);
        if !known {
            self.core.role = Role::Adopted;
            if self.main_flow(PathId(0)).is_none() {
                self.open_main(PathId(0));
            }
            self.emit(Record::OwnerMustRegister);
        }
        Ok(())
    }

    /// `Client::registration_lost`.
    pub(crate) fn adopted_lost(&mut self) -> Result<(), CommandError> {
        if self.core.role != Role::Adopted {
            return Err(CommandError::WrongState);
        }
        self.leave();
        self.emit(Record::Lost { path: PathId(0) });
        Ok(())
    }

    /// Does what the machine of a path says.
    pub(crate) fn registration_step(&mut self, path_id: PathId, step: Step) {
        note!(
            debug,
            "path {}: {:?}, then {:?}",
            path_id.0,
            step.event,
            step.action
        );
        match step.event {
            None => {}
            Some(RegistrationEvent::Registered { .. }) => {}
            Some(RegistrationEvent::RegistrationLost) => self.emit(Record::Lost { path: path_id }),
            Some(RegistrationEvent::Deregistered) => {}
            Some(RegistrationEvent::Failed {
                reason,
                retry,
                bound_until,
            }) => {
                let failure = failed_because(reason);
                match retry {
                    Retry::At(retry_at) => {
                        self.emit(Record::Retrying {
                            path: path_id,
                            failure,
                            retry_at,
                        });
                    }
                    Retry::Never => {
                        if bound_until.is_none() {
                            self.forget_registration(path_id);
                        }
                        self.emit(Record::Failed {
                            path: path_id,
                            failure,
                        });
                        self.path_failed(path_id);
                    }
                }
            }
        }
        match step.action {
            RegistrationAction::Nothing => {}
            RegistrationAction::OpenFlow => {
                self.drop_register(path_id);
                self.reset_auth(path_id);
                self.open_main(path_id);
            }
            RegistrationAction::SendRegister { .. } | RegistrationAction::SendDeregister => {
                self.send_register(path_id);
            }
        }
        self.finish_leaving();
    }

    /// Queues the REGISTER that the machine of a path wants now.
    pub(crate) fn send_register(&mut self, path_id: PathId) {
        self.drop_register(path_id);
        let (order, since) = (self.next_id(), self.core.now);
        let drafted = self.draft_register(path_id);
        let row = self.free_request();
        let (Ok(row), Some((block, cuts))) = (row, drafted) else {
            // Without room the attempt counts as one that nobody answered.
            if let Some((block, _)) = drafted {
                self.arena.free(block);
            }
            return self.register_failed(path_id, RegisterFailure::TransportFailed);
        };
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        path.cseq = path.cseq.saturating_add(1);
        let cseq = path.cseq;
        if let Some(request) = self.requests.get_mut(row.0) {
            note!(debug, "request {} queued: REGISTER", order);
            *request = Request {
                state: RequestState::Queued,
                kind: RequestKind::Register,
                block: Some(block),
                cuts,
                order,
                since,
                cseq,
                path: path_id,
                ..Request::FREE
            };
        }
    }

    /// Drops the REGISTER of a path, wherever it stands.
    pub(crate) fn drop_register(&mut self, path_id: PathId) {
        for at in 0..self.requests.len() {
            let of = self.requests.get(at).is_some_and(|request| {
                request.kind == RequestKind::Register
                    && request.state != RequestState::Free
                    && request.path == path_id
            });
            if of {
                self.forget_transaction(Row(at));
                self.free_row(Row(at));
            }
        }
    }

    fn draft_register(&mut self, path_id: PathId) -> Option<(Block, Cuts)> {
        let path = self.path(path_id)?;
        let flow = self.flow(self.main_flow(path_id)?)?;
        let seconds = match path.registration.state() {
            State::Deregistering { .. } => 0,
            _ => path.registration.expires(),
        };
        let transport = flow.transport;
        let address = self.shown(path, flow);
        let (call_id, tag, contact) = (path.call_id, path.tag, path.contact);
        let rewrite = path.rewrite;
        let key = self.core.policy.key;
        let outbound = self.is_outbound();
        let account = self.core.account;
        let mut cuts = Cuts::NONE;
        let written = self.arena.alloc_from(|blocks, out| {
            let text = account
                .block()
                .map(|block| blocks.get(block))
                .unwrap_or_default();
            let get = |field| account.slice(text, field);
            let str = |field| core::str::from_utf8(get(field)).unwrap_or("");
            let unknown = const { UriText::fixed(tags::ANONYMOUS_URI) };
            let registrar = UriText::new(get(Field::Registrar)).unwrap_or(unknown);
            let address_of_record = UriText::new(get(Field::ImAddress)).unwrap_or(unknown);
            let mut w = MessageWriter::request(out, Method::Register, registrar);
            let line = w.len();
            let from = [Param::new_tag(tag)];
            w.header(Name::From, NameAddr::new(address_of_record).params(&from));
            w.header(Name::To, NameAddr::new(address_of_record));
            w.header(Name::CallId, Hex(&call_id.to_be_bytes()));
            let ident = w.len();
            let instance = get(Field::Instance);
            let new_contact = NewContact {
                key,
                user: contact,
                address,
                transport,
                instance,
                reg_id: outbound.then(|| u32::from(path_id.0).saturating_add(1)),
                feature_tags: get(Field::FeatureTags),
                seconds,
            };
            w.header(Name::Contact, new_contact);
            if let Rewrite::UnderWay { old } = rewrite {
                // RFC 3261 §10.2.2: requests would go to the old address as well.
                let old_contact = OldContact {
                    key,
                    user: contact,
                    address: old.into(),
                    transport,
                };
                w.header(Name::Contact, old_contact);
            }
            // RFC 3261 §10.2.1.1: for a registrar that does not read the parameter.
            w.header(Name::Expires, seconds);
            // RFC 3327 §5.1; RFC 5626 §4.2.1.
            w.header(
                Name::Supported,
                if outbound {
                    const { Text::fixed("path, outbound, gruu") }
                } else {
                    const { Text::fixed("path, gruu") }
                },
            );
            w.header(
                Name::UserAgent,
                Text::new(str(Field::UserAgent)).unwrap_or(const { Text::fixed("") }),
            );
            let len = w.no_body().finish()?;
            cuts = Cuts::of_draft(line, ident, len);
            Ok(len)
        });
        written.ok().map(|block| (block, cuts))
    }

    /// The draft of an OPTIONS to the registrar, as a keep-alive.
    pub(crate) fn draft_options(&mut self) -> Option<(Block, Cuts)> {
        let account = self.core.account;
        let fresh = self.fresh();
        let mut cuts = Cuts::NONE;
        let written = self.arena.alloc_from(|blocks, out| {
            let text = account
                .block()
                .map(|block| blocks.get(block))
                .unwrap_or_default();
            let unknown = const { UriText::fixed(tags::ANONYMOUS_URI) };
            let registrar = UriText::new(account.slice(text, Field::Registrar)).unwrap_or(unknown);
            let own = UriText::new(account.slice(text, Field::ImAddress)).unwrap_or(unknown);
            let mut w = MessageWriter::request(out, Method::Options, registrar);
            let line = w.len();
            let tag = [Param::tag(Token::random(&fresh.tag))];
            w.header(Name::From, NameAddr::new(own).params(&tag));
            w.header(Name::To, NameAddr::new(registrar));
            w.header(Name::CallId, Token::random(&fresh.call_id));
            let ident = w.len();
            let len = w.no_body().finish()?;
            cuts = Cuts::of_draft(line, ident, len);
            Ok(len)
        });
        written.ok().map(|block| (block, cuts))
    }

    /// A final response to a REGISTER, but for 401 and 407 that are answered.
    pub(crate) fn registered(&mut self, row: Row, message: &Message<'_>, status: Status) {
        let Some(path_id) = self.requests.get(row.0).map(|request| request.path) else {
            return;
        };
        if status.is_success() {
            self.register_ok(row, path_id, message);
            return;
        }
        self.register_refused(row, message, failure(message, status), status);
    }

    /// A REGISTER was refused for good, as far as credentials go.
    pub(crate) fn register_refused(
        &mut self,
        row: Row,
        message: &Message<'_>,
        _failure: Failure,
        status: Status,
    ) {
        let Some(request) = self.requests.get(row.0).copied() else {
            return;
        };
        let path_id = request.path;
        self.forget_transaction(row);
        self.free_row(row);
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
        self.next_candidate(path_id);
        if let Some(flow) = flow {
            self.drop_flow(flow, CloseReason::NextCandidate);
        }
        self.reset_auth(path_id);
    }

    fn register_failed(&mut self, path_id: PathId, failed: RegisterFailure) {
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
        let leaving = self
            .path(path_id)
            .is_some_and(|p| matches!(p.registration.state(), State::Deregistering { .. }));
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
            let there = uri.is_some_and(|uri| {
                let ip = uri.host().and_then(|host| host.ip());
                address.is_some_and(|at| {
                    ip == Some(at.ip()) && uri.port().unwrap_or(5060) == at.port()
                })
            });
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

    /// The address that the Contact of a path shows.
    fn contact_address(&self, path_id: PathId) -> Option<SocketAddr> {
        let flow = self.flow(self.main_flow(path_id)?)?;
        Some(self.shown(self.path(path_id)?, flow))
    }

    fn shown(&self, path: &Path, flow: &Flow) -> SocketAddr {
        match path.mapped {
            Some(mapped) if self.rewrites(flow.transport) => mapped.into(),
            Some(_) | None => flow.local,
        }
    }

    /// Whether the Contact shows our address as the server sees it.
    fn rewrites(&self, transport: Transport) -> bool {
        match self.core.policy.nat {
            Nat::Rewrite => true,
            Nat::Auto => transport == Transport::Udp && !self.is_outbound(),
            Nat::Outbound | Nat::Leave => false,
        }
    }

    /// Service-Route and P-Associated-URI of a 200.
    fn keep_facts(&mut self, path_id: PathId, message: &Message<'_>) {
        // RFC 3608 §6.1: what a 200 does not have is not known any more. The old goes first, so that
        // there is room for the same again.
        self.replace_facts(path_id, None, None);
        let route = self.keep_list(message, Name::ServiceRoute);
        let associated = self.keep_list(message, Name::PAssociatedUri);
        self.replace_facts(path_id, route, associated);
    }

    fn replace_facts(&mut self, path_id: PathId, route: Option<Block>, associated: Option<Block>) {
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
    fn forget_registration(&mut self, path_id: PathId) {
        self.replace_facts(path_id, None, None);
        self.reset_auth(path_id);
    }

    /// Keeps a list of a 200, if that leaves room for a request and its next attempt.
    fn keep_list(&mut self, message: &Message<'_>, name: Name) -> Option<Block> {
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

    fn keep_text(&mut self, text: &[u8]) -> Result<Option<Block>, NoRoom> {
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
        if path_id == PathId(0)
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
            .any(|block| {
                scan::split_commas(self.arena.get(block)).any(|value| {
                    let addr = crate::wire::header::NameAddr::parse(value);
                    addr.and_then(|addr| addr.uri())
                        .is_ok_and(|own| own.equivalent(uri))
                })
            })
    }
}

/// The Contact of a REGISTER (RFC 3261 §20.10, RFC 5626 §4.2.1).
struct NewContact<'a> {
    key: u32,
    user: u32,
    address: SocketAddr,
    transport: Transport,
    instance: &'a [u8],
    reg_id: Option<u32>,
    feature_tags: &'a [u8],
    seconds: u32,
}

/// A Contact that is taken back.
struct OldContact {
    key: u32,
    user: u32,
    address: SocketAddr,
    transport: Transport,
}

impl crate::wire::writer::sealed::Sealed for OldContact {}
impl Value for OldContact {
    fn write(&self, sink: &mut Sink<'_>) {
        put_contact_uri(sink, self.key, self.user, self.address, self.transport);
        sink.put(b";expires=0");
    }
}

fn put_contact_uri(
    sink: &mut Sink<'_>,
    key: u32,
    user: u32,
    address: SocketAddr,
    transport: Transport,
) {
    sink.put(b"<sip:");
    sink.put_hex(&key.to_be_bytes());
    sink.put_hex(&user.to_be_bytes());
    sink.put(b"@");
    sink.put_host(address.ip());
    sink.put(b":");
    sink.put_u32(u32::from(address.port()));
    match transport {
        Transport::Udp => {}
        Transport::Tcp => sink.put(b";transport=tcp"),
        Transport::Tls => sink.put(b";transport=tls"),
    }
    sink.put(b">");
}

impl crate::wire::writer::sealed::Sealed for NewContact<'_> {}
impl Value for NewContact<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        put_contact_uri(sink, self.key, self.user, self.address, self.transport);
        if !self.instance.is_empty() {
            sink.put(b";+sip.instance=\"<");
            sink.put(self.instance);
            sink.put(b">\"");
        }
        if let Some(id) = self.reg_id {
            sink.put(b";reg-id=");
            sink.put_u32(id);
        }
        // The one tag that IM needs, and what the integrator configured (the change request).
        sink.put(b";");
        sink.put(tags::FEATURE_TAG.as_bytes());
        sink.put(self.feature_tags);
        sink.put(b";expires=");
        sink.put_u32(self.seconds);
    }
}

/// Reads a Contact user of ours: the key of the client and the random part.
pub(crate) fn parse_contact_user(user: &[u8]) -> Option<(u32, u32)> {
    let (key, random) = user.split_at_checked(8)?;
    if random.len() != 8 {
        return None;
    }
    Some((
        u32::try_from(hex(key)?).ok()?,
        u32::try_from(hex(random)?).ok()?,
    ))
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

fn failed_because(reason: Reason) -> Failure {
    match reason {
        Reason::Status(status) if matches!(status.code(), 401 | 407) => Failure::Credentials {
            status: status.code(),
        },
        Reason::Status(status) => Failure::Status {
            status: status.code(),
            warning: None,
            retry_after: None,
        },
        Reason::Timeout => Failure::Timeout,
        Reason::FlowLost => Failure::Unreachable,
        Reason::IntervalTooBrief { .. } => Failure::Interval,
        Reason::NotBound | Reason::Ended => Failure::Status {
            status: 404,
            warning: None,
            retry_after: None,
        },
    }
}

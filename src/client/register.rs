//! Registration, as the client does it: the commands, and each path driven.
//!
//! When to register, refresh, wait and give up is decided by [`crate::sip::registration`], one
//! machine a path. Here its actions become requests and flows; in [`request`] a REGISTER is written,
//! in [`answer`] its answer becomes the machine's next input, and [`gruu`] keeps the URIs that it gives the
//! device.

mod answer;
mod gruu;
mod request;

pub(crate) use answer::{is_at, lists};
pub(crate) use gruu::{BoundGruus, GruuContact, Notified as NotifiedGruus};
pub(crate) use request::{ShownContact, parse_contact_user};

use crate::client::engine::{Engine, Policy, Role, Row};
use crate::client::records::Record;
use crate::client::slots::{Request, RequestKind, RequestState};
use crate::error::{CommandError, Failure};
use crate::id::PathId;
use crate::sip::registration::{
    Failure as RegisterFailure, Reason, RefreshRule, RegistrationAction, RegistrationConfig,
    RegistrationEvent, Retry, State, Step,
};
use crate::wire::writer::Text;

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
        if self.is_removing_settings() {
            // The settings go with the user only if he said so, and then first.
            self.core.held_back = Some(self.core.now.after(within / 2));
        } else {
            self.deregister_paths();
        }
        Ok(())
    }

    /// Whether what a de-registration waited for is over, or has had its time.
    pub(crate) fn may_go_now(&self) -> bool {
        self.core
            .held_back
            .is_some_and(|until| until <= self.core.now || !self.is_removing_settings())
    }

    /// Each path is de-registered.
    pub(crate) fn deregister_paths(&mut self) {
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
        self.core.held_back = None;
        self.settings_offline();
        self.forget_watches();
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
            Some(RegistrationEvent::RegistrationLost) => {
                // RFC 5627 §4.4: those of a registration that lapsed are void.
                self.forget_gruus(path_id);
                self.emit(Record::Lost { path: path_id });
            }
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
        if self.is_ims() {
            return self.begin_register(path_id);
        }
        self.queue_register(path_id);
    }

    /// Writes a REGISTER and queues it.
    pub(crate) fn queue_register(&mut self, path_id: PathId) {
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
        self.forget_offer();
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
}

fn failed_because(reason: Reason) -> Failure {
    match reason {
        Reason::Status(status) if status.code() == 494 => Failure::Security,
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

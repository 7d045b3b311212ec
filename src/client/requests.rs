//! Requests of ours, from the command to the terminal event.
//!
//! A row of the request table holds a draft (see [`crate::sip::draft`]). It is launched when its
//! target has no other request pending (RFC 3428 §8), its path is up and a transaction is free:
//! only then Via, Route, CSeq and credentials are written, and the size on the wire decides between
//! datagram and stream (RFC 3261 §18.1.1). A challenge, a lost flow or a server that cannot serve
//! puts the row back to the queue, to be launched once more with everything new; how often, each
//! reason bounds. Whatever the end is, it is told once.

use crate::client::credentials::Purpose as AuthPurpose;
use crate::client::engine::{Engine, Row};
use crate::client::event::{CloseReason, SendOutcome};
use crate::client::flows::LongFlow;
use crate::client::serve::reliability;
use crate::client::slots::{
    Code, Ending, Machine, Privacy, ReportEnding, Request, RequestKind, RequestState, Standing,
    Txn, Wire,
};
use crate::config::{EndToEnd, KeepAlive, Transport};
use crate::error::Failure;
use crate::id::{FlowId, PathId};
use crate::im::tags::{PAGER_LIMIT, WARNING_ANONYMITY};
use crate::limits::ANSWER;
use crate::sip::draft::{self, Answers, Hop, KeepOffer};
use crate::sip::transaction::{NonInviteClient, client};
use crate::wire::header::{RetryAfter, Warning};
use crate::wire::message::Message;
use crate::wire::name::{Method, Name, Status};

/// Whether a step did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    Nothing,
}

/// What came of trying to launch a request.
enum Launch {
    Launched,
    /// It has to wait for a flow, a transaction or arena.
    Wait,
    /// The arena does not hold it beside what is kept.
    NoRoom,
    /// It would be this long, at or over the pager limit.
    TooLarge(usize),
}

impl Code {
    pub(crate) const fn method(self) -> Method<'static> {
        match self {
            Self::Register => Method::Register,
            Self::Message => Method::Message,
            Self::Options => Method::Options,
            Self::Publish => Method::Publish,
            Self::Subscribe => Method::Subscribe,
        }
    }
}

impl RequestKind {
    pub(crate) const fn code(self) -> Code {
        match self {
            Self::Register => Code::Register,
            Self::KeepAlive => Code::Options,
            Self::Publish => Code::Publish,
            Self::Subscribe { .. } => Code::Subscribe,
            Self::Message { .. } | Self::Report { .. } => Code::Message,
        }
    }

    pub(crate) const fn auth(self) -> AuthPurpose {
        match self {
            Self::Register => AuthPurpose::Register,
            Self::KeepAlive
            | Self::Publish
            | Self::Subscribe { .. }
            | Self::Message { .. }
            | Self::Report { .. } => AuthPurpose::Other,
        }
    }
}

/// Where the Route of a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Routing {
    /// From the 200 to REGISTER.
    Service,
    /// It has none, or has it in its draft.
    Own,
}

impl RequestKind {
    /// RFC 3608 §6.1: the service route is for everything but REGISTER, and outside of dialogs
    /// (RFC 3261 §12.2.1.1).
    const fn routing(self) -> Routing {
        match self {
            Self::Register
            | Self::Subscribe {
                standing: Standing::Within,
                ..
            } => Routing::Own,
            Self::KeepAlive
            | Self::Publish
            | Self::Subscribe {
                standing: Standing::Outside,
                ..
            }
            | Self::Message { .. }
            | Self::Report { .. } => Routing::Service,
        }
    }
}

impl Engine<'_> {
    /// Launches the first request that can go.
    pub(crate) fn step_requests(&mut self) -> Step {
        let mut after = None;
        // Each round looks at the next row in the order of commands, so the work is bounded.
        while let Some((order, row)) = self.next_queued(after) {
            after = Some(order);
            if !self.may_go(row) {
                continue;
            }
            match self.launch(row) {
                Launch::Launched => return Step::Done,
                Launch::Wait => {}
                Launch::NoRoom if self.frees_by_itself() || self.is_bound(row) => {}
                Launch::NoRoom => {
                    self.end_request(row, Err(Failure::NoRoom));
                    return Step::Done;
                }
                Launch::TooLarge(size) => {
                    self.end_request(row, Err(Failure::TooLargeForPager { size }));
                    return Step::Done;
                }
            }
        }
        Step::Nothing
    }

    fn is_bound(&self, row: Row) -> bool {
        self.requests.get(row.0).is_none_or(Request::is_bound)
    }

    /// Whether arena will be given back without anything from outside: what is under way ends, what
    /// waits to be polled goes.
    fn frees_by_itself(&self) -> bool {
        self.core.spent.is_some()
            || !self.core.one_shots.is_empty()
            || !self.core.events.is_empty()
            || self.requests.iter().any(|request| match request.state {
                RequestState::InFlight | RequestState::Challenged { .. } => true,
                RequestState::Queued | RequestState::Ended(_) | RequestState::Free => false,
            })
            || self.txns.iter().any(|txn| match &txn.machine {
                Machine::Server { response, .. } | Machine::InviteServer { response, .. } => {
                    response.is_some()
                }
                Machine::Client { .. } | Machine::Free => false,
            })
    }

    fn next_queued(&self, after: Option<u32>) -> Option<(u32, Row)> {
        self.requests
            .iter()
            .enumerate()
            .filter(|(_, request)| request.state == RequestState::Queued)
            .map(|(at, request)| (request.order, Row(at)))
            .filter(|(order, _)| after.is_none_or(|after| *order > after))
            .min_by_key(|(order, _)| *order)
    }

    /// RFC 3428 §8: one MESSAGE outside a dialog per target, in order.
    fn may_go(&self, row: Row) -> bool {
        let Some(request) = self.requests.get(row.0) else {
            return false;
        };
        if !request.is_pager() {
            return true;
        }
        !self.requests.iter().enumerate().any(|(at, other)| {
            at != row.0
                && other.is_pager()
                && other.target == request.target
                && match other.state {
                    RequestState::InFlight | RequestState::Challenged { .. } => true,
                    RequestState::Queued => other.order < request.order,
                    RequestState::Free | RequestState::Ended(_) => false,
                }
        })
    }

    /// The path for a request: its own for REGISTER, keep-alives and SUBSCRIBE, else the first that is up and was not
    /// tried.
    fn choose_path(&self, request: &Request) -> Option<PathId> {
        if request.is_bound() {
            let fits = match request.kind {
                RequestKind::Register => true,
                RequestKind::KeepAlive => self
                    .main_flow(request.path)
                    .is_some_and(|main| self.is_safe(main)),
                _ => self.is_usable(request.path),
            };
            return fits.then_some(request.path);
        }
        (0..self.core.policy.hops)
            .map(PathId)
            .find(|path| request.tried & bit(*path) == 0 && self.is_usable(*path))
    }

    fn launch(&mut self, row: Row) -> Launch {
        let Some(request) = self.requests.get(row.0).copied() else {
            return Launch::Wait;
        };
        let Some(path) = self.choose_path(&request) else {
            return Launch::Wait;
        };
        let main = match request.kind {
            RequestKind::Register => self.register_flow(path),
            _ => self.main_flow(path),
        };
        let Some(main) = main else {
            return Launch::Wait;
        };
        let size = self.size(&request, path, main);
        // A report has no other mode to go by, so the choice of OMA IM 8.1 is not for it; on our own
        // hop RFC 3261 §18.1.1 still moves it to a stream.
        if request.is_message() && size >= PAGER_LIMIT && !self.vouched() {
            return Launch::TooLarge(size);
        }
        // What is agreed on by REGISTER is agreed on for its own flow.
        let agreeing = request.kind == RequestKind::Register && self.is_ims();
        let flow = if agreeing {
            Some(main)
        } else {
            self.flow_for(path, main, size)
        };
        let Some(flow) = flow else {
            return Launch::Wait;
        };
        if !self.may_launch(&request) {
            return Launch::Wait;
        }
        if !self.leaves_room(&request, size) {
            return Launch::Wait;
        }
        self.send(row, path, flow)
    }

    /// Whether the arena has room for a request of `size` beside its draft, and then still for the
    /// answer to a peer. The first of the messages under way goes in any case: what it needs was
    /// there when it was taken.
    fn leaves_room(&mut self, request: &Request, size: usize) -> bool {
        let under_way =
            |other: &Request| other.is_pager() && matches!(other.state, RequestState::InFlight);
        if !request.is_pager() || !self.requests.iter().any(under_way) {
            self.make_room(size);
            return true;
        }
        let draft = request.block.map_or(0, |block| self.arena.get(block).len());
        let grows = size.saturating_sub(draft);
        self.arena.available() >= size.max(grows.saturating_add(ANSWER))
    }

    /// Writes the attempt and starts its transaction.
    fn send(&mut self, row: Row, path: PathId, flow_id: FlowId) -> Launch {
        let Some(mut request) = self.requests.get(row.0).copied() else {
            return Launch::Wait;
        };
        let Some((kept, flow)) = request.block.zip(self.flow(flow_id)) else {
            return Launch::Wait;
        };
        let (transport, sent_by) = (flow.transport, flow.local);
        let branch = self.core.entropy.u64();
        let code = request.kind.code();
        let slots = self.auth_slots(path, request.kind.auth());
        let account = self.core.account;
        let policy = self.core.policy;
        let route = self.path(path).and_then(|path| path.route);
        let keep = self.keep_offer(&request, transport);
        let ims = self.ims_fields(&request, flow_id);
        let next_hop = self.next_hop_field(path);
        let mut cuts = request.cuts;
        let written = self.arena.alloc_from(|blocks, out| {
            let hop = Hop {
                transport,
                sent_by: ims.as_ref().map_or(sent_by, |ims| ims.sent_by(sent_by)),
                keep,
                answers: ims.as_ref().map_or(Answers::Back, |ims| ims.answers()),
                edge: match request.kind.routing() {
                    Routing::Own => None,
                    Routing::Service => ims
                        .as_ref()
                        .and_then(|ims| ims.edge(account.text_in(blocks, next_hop))),
                },
                key: policy.key,
                branch,
                route: match request.kind.routing() {
                    Routing::Own => b"",
                    Routing::Service => route.map(|route| blocks.get(route)).unwrap_or_default(),
                },
                cseq: request.cseq,
                method: code.method(),
            };
            let kept = blocks.get(kept);
            let (len, new) = draft::attempt(
                kept,
                request.cuts,
                &hop,
                |sink| {
                    slots.write(blocks, &account, &policy, &hop, kept, request.cuts, sink);
                    if let Some(ims) = &ims {
                        ims.write(blocks, &account, &policy, &hop, kept, sink);
                    }
                },
                out,
            )?;
            cuts = new;
            Ok(len)
        });
        let Ok(block) = written else {
            return Launch::NoRoom;
        };
        let Some(slot) = self.free_txn() else {
            self.arena.free(block);
            return Launch::Wait;
        };
        self.arena.free(kept);
        request.block = Some(block);
        request.cuts = cuts;
        request.state = RequestState::InFlight;
        request.path = path;
        if let Some(kept) = self.requests.get_mut(row.0) {
            *kept = request;
        }
        note!(
            debug,
            "request {} goes out on flow {} with CSeq {}",
            request.order,
            flow_id.0,
            request.cseq
        );
        self.count_credentials(row, path, &slots);
        if let RequestKind::Subscribe { watch, .. } = request.kind {
            self.subscribe_sent(watch, request.cseq);
        }
        let (now, timers) = (self.core.now, self.core.policy.timers);
        if let Some(txn) = self.txns.get_mut(slot) {
            *txn = Txn {
                machine: Machine::Client {
                    machine: NonInviteClient::start(now, &timers, reliability(transport)),
                    branch,
                    method: code,
                    request: u8::try_from(row.0).ok(),
                },
                flow: flow_id,
                wire: Wire::Due,
            };
        }
        Launch::Launched
    }

    /// The size of a request as it would go out now on the main flow of a path, with the
    /// credentials that are known.
    pub(crate) fn size(&self, request: &Request, path: PathId, flow: FlowId) -> usize {
        let ims = self.ims_fields(request, flow);
        let Some((kept, flow)) = request.block.zip(self.flow(flow)) else {
            return 0;
        };
        let account = self.core.account;
        let policy = self.core.policy;
        let auth = request.kind.auth();
        let slots = self.auth_slots(path, auth);
        let blocks = self.arena.view();
        let hop = Hop {
            transport: flow.transport,
            sent_by: ims
                .as_ref()
                .map_or(flow.local, |ims| ims.sent_by(flow.local)),
            keep: self.keep_offer(request, flow.transport),
            answers: ims.as_ref().map_or(Answers::Back, |ims| ims.answers()),
            edge: match request.kind.routing() {
                Routing::Own => None,
                Routing::Service => {
                    let next_hop = self.next_hop_field(path);
                    ims.as_ref()
                        .and_then(|ims| ims.edge(account.text_in(blocks, next_hop)))
                }
            },
            key: policy.key,
            branch: 0,
            route: match request.kind.routing() {
                Routing::Own => b"",
                Routing::Service => self
                    .path(path)
                    .and_then(|path| path.route)
                    .map(|route| blocks.get(route))
                    .unwrap_or_default(),
            },
            cseq: request.cseq,
            method: request.kind.code().method(),
        };
        let kept = blocks.get(kept);
        let written = draft::attempt(
            kept,
            request.cuts,
            &hop,
            |sink| {
                slots.write(blocks, &account, &policy, &hop, kept, request.cuts, sink);
                if let Some(ims) = &ims {
                    ims.write(blocks, &account, &policy, &hop, kept, sink);
                }
            },
            &mut [],
        );
        match written {
            Ok((len, _)) => len,
            Err(small) => small.needed,
        }
    }

    /// What credentials may add to a request for which none are known (OMA IM 8.1).
    pub(crate) fn credentials_to_come(&self, request: &Request) -> usize {
        if self
            .auth_slots(request.path, request.kind.auth())
            .is_empty()
            && self.may_be_challenged()
        {
            usize::from(self.core.policy.credentials_reserve)
        } else {
            0
        }
    }

    /// Whether the integrator knows every hop to be connection-oriented (OMA IM 8.1).
    pub(crate) fn vouched(&self) -> bool {
        self.core.policy.end_to_end == EndToEnd::Streams
    }

    fn keep_offer(&self, request: &Request, transport: Transport) -> KeepOffer {
        // RFC 6223 §4.3: asked for with REGISTER.
        match (request.kind, self.core.policy.keep_alive) {
            (_, KeepAlive::Off) => KeepOffer::No,
            // TS 24.229 §5.1.1.2.1 d: not where no NAT can be. The flows of a protected path go one way each.
            _ if self.is_ims() && transport == Transport::Udp => KeepOffer::No,
            (RequestKind::Register, _) => KeepOffer::Yes,
            _ => KeepOffer::No,
        }
    }

    /// The flow for a request of `size` bytes: the main one, or for one too long for datagrams a
    /// stream to the same next hop, which is asked for if there is none.
    fn flow_for(&mut self, path: PathId, main: FlowId, size: usize) -> Option<FlowId> {
        let datagram = self.flow(main)?.transport == Transport::Udp;
        // RFC 3261 §18.1.1: within 200 bytes of the path MTU, or over 1300 if it is not known.
        let limit = self
            .core
            .policy
            .path_mtu
            .map_or(PAGER_LIMIT, |mtu| usize::from(mtu).saturating_sub(200));
        if !datagram || size <= limit {
            return Some(main);
        }
        match self.path(path)?.long {
            LongFlow::Open { flow } => Some(flow),
            // RFC 3261 §18.1.1: where the stream is refused, the datagram after all.
            LongFlow::Refused => Some(main),
            LongFlow::Opening { .. } => None,
            LongFlow::None => {
                self.want_long(path);
                None
            }
        }
    }

    /// A response came for the request of this row.
    pub(crate) fn response_for(&mut self, row: Row, message: &Message<'_>, status: Status) {
        let Some(request) = self.requests.get(row.0).copied() else {
            return;
        };
        note!(
            debug,
            "request {}: answered {}",
            request.order,
            status.code()
        );
        if status.is_provisional() || request.state != RequestState::InFlight {
            return;
        }
        if request.kind == RequestKind::KeepAlive {
            // Any answer shows that the flow lives; there is no need to be let in for that.
            return self.keep_alive_done(row);
        }
        if matches!(status.code(), 401 | 407) {
            if let RequestKind::Subscribe { watch, .. } = request.kind {
                self.subscribe_challenged(watch);
            }
            return self.challenged(row, message, status);
        }
        if status.is_success() {
            self.authentication_info(row, message);
        }
        match request.kind {
            // RFC 3329 §2.3.1: once more, when there is a new agreement.
            RequestKind::Publish | RequestKind::Message { .. } | RequestKind::Report { .. }
                if status.code() == 494 && request.resent == 0 && self.is_ims() =>
            {
                if let Some(request) = self.requests.get_mut(row.0) {
                    request.resent = 1;
                }
                self.requeue(row);
            }
            RequestKind::Register => self.registered(row, message, status),
            RequestKind::KeepAlive => {}
            RequestKind::Subscribe { watch, .. } => self.subscribed(row, watch, message, status),
            RequestKind::Publish if status.code() == 503 && self.another_path(row) => {}
            RequestKind::Publish => self.published(row, message, status),
            RequestKind::Message { .. } | RequestKind::Report { .. } => {
                if status.is_success() {
                    self.end_request(row, Ok(status.code()));
                } else if status.code() == 503 && self.another_path(row) {
                    // RFC 3263 §4.3: a 503 sends the request to the next server.
                } else {
                    self.end_request(row, Err(failure(message, status)));
                }
            }
        }
        if request.kind != RequestKind::Register && self.is_ims() {
            self.heard_from_core(message, status);
        }
    }

    /// A transaction of ours ended without a final response.
    pub(crate) fn unanswered(&mut self, row: Row) {
        let Some(request) = self.requests.get(row.0).copied() else {
            return;
        };
        match request.kind {
            RequestKind::Register => self.register_unanswered(row),
            RequestKind::KeepAlive => {
                self.free_row(row);
                if let Some(flow) = self.main_flow(request.path) {
                    self.fail_flow(flow, CloseReason::NoPong);
                }
            }
            RequestKind::Subscribe { watch, .. } => {
                self.subscribe_failed(row, watch, Failure::Timeout);
            }
            RequestKind::Publish | RequestKind::Message { .. } | RequestKind::Report { .. } => {
                if self.another_path(row) {
                    return;
                }
                self.end_request(row, Err(Failure::Timeout));
                self.unheard_by_core();
            }
        }
    }

    /// Queues the request for another path, if there is one that was not tried.
    fn another_path(&mut self, row: Row) -> bool {
        let Some(request) = self.requests.get_mut(row.0) else {
            return false;
        };
        request.tried |= bit(request.path);
        let tried = request.tried;
        let other = (0..self.core.policy.hops)
            .map(PathId)
            .any(|path| tried & bit(path) == 0 && self.is_usable(path));
        if other {
            self.requeue(row);
        }
        other
    }

    /// An answer to the OPTIONS of this row came, whichever.
    pub(crate) fn keep_alive_done(&mut self, row: Row) {
        let path = self.requests.get(row.0).map(|request| request.path);
        self.forget_transaction(row);
        self.free_row(row);
        if let Some(flow) = path.and_then(|path| self.main_flow(path)) {
            self.flow_succeeded(flow);
        }
    }

    /// Puts a request back to be built again.
    pub(crate) fn requeue(&mut self, row: Row) {
        self.forget_transaction(row);
        if let Some(request) = self.requests.get_mut(row.0) {
            note!(debug, "request {} goes once more", request.order);
            request.state = RequestState::Queued;
            request.since = self.core.now;
        }
    }

    /// The one end of a request that goes by any path: `Ok` with the 2xx, or why not.
    pub(crate) fn end_request(&mut self, row: Row, end: Result<u16, Failure>) {
        let Some(request) = self.requests.get(row.0).copied() else {
            return;
        };
        note!(info, "request {} is over: {:?}", request.order, end);
        let ending = match request.kind {
            RequestKind::Message { privacy, .. } => Ending::Sent(match end {
                Ok(202) => SendOutcome::Accepted,
                Ok(status) => SendOutcome::Delivered { status },
                Err(failure) => SendOutcome::Failed(match (privacy, failure) {
                    // OMA IM 8.1.1 NOTE 1, RFC 5079 §4: never repeated in clear by itself.
                    (
                        Privacy::Id,
                        Failure::Status {
                            status: status @ 433,
                            ..
                        },
                    ) => Failure::AnonymityRefused { status },
                    (
                        Privacy::Id,
                        Failure::Status {
                            status: status @ 403,
                            warning: Some(WARNING_ANONYMITY),
                            ..
                        },
                    ) => Failure::AnonymityRefused { status },
                    (Privacy::None | Privacy::Id, failure) => failure,
                }),
            }),
            RequestKind::Report { .. } => Ending::Reported(match end {
                Ok(_) => ReportEnding::Sent,
                Err(failure) => {
                    self.note_refusal(request.target, failure);
                    ReportEnding::Failed(failure)
                }
            }),
            RequestKind::Subscribe { watch, .. } => {
                return match end {
                    Ok(_) => self.free_row(row),
                    Err(failure) => self.subscribe_failed(row, watch, failure),
                };
            }
            RequestKind::Publish => {
                return match end {
                    Ok(_) => self.free_row(row),
                    Err(failure) => self.publish_failed(row, failure),
                };
            }
            RequestKind::Register | RequestKind::KeepAlive => return self.free_row(row),
        };
        self.forget_transaction(row);
        if let Some(request) = self.requests.get_mut(row.0) {
            if let Some(block) = request.block.take() {
                self.arena.free(block);
            }
            request.state = RequestState::Ended(ending);
        }
    }

    /// A request is over, and nobody waits for its event.
    pub(crate) fn drop_request(&mut self, row: Row) {
        self.forget_transaction(row);
        self.free_row(row);
    }

    /// Cuts a transaction loose from its request; it absorbs what may still come.
    pub(crate) fn forget_transaction(&mut self, row: Row) {
        let at = u8::try_from(row.0).ok();
        for txn in self.txns.iter_mut() {
            if let Machine::Client {
                request, machine, ..
            } = &mut txn.machine
                && request.is_some()
                && *request == at
            {
                *request = None;
                txn.wire = Wire::Quiet;
                match machine.state() {
                    // RFC 3261 §17.1.2.2: it absorbs retransmissions of the answer until Timer K.
                    client::State::Completed { .. } => {}
                    client::State::Trying { .. }
                    | client::State::Proceeding { .. }
                    | client::State::Terminated => *txn = Txn::FREE,
                }
            }
        }
    }

    /// The flow is gone: what was on it goes again or ends (design: a retry is built again).
    pub(crate) fn flow_lost_under(&mut self, flow: FlowId) {
        for at in 0..self.txns.len() {
            let Some(txn) = self.txns.get_mut(at) else {
                continue;
            };
            if txn.flow != flow {
                continue;
            }
            let under_way = match &txn.machine {
                Machine::Client {
                    request, machine, ..
                } => request.map(|row| (row, machine.state())),
                Machine::Server { .. } | Machine::InviteServer { .. } | Machine::Free => None,
            };
            self.drop_txn(at);
            if let Some((row, state)) = under_way {
                self.lost_with_flow(Row(usize::from(row)), state);
            }
        }
        // A keep-alive that waits has nothing left to keep.
        for at in 0..self.requests.len() {
            let path = self
                .requests
                .get(at)
                .filter(|request| {
                    request.kind == RequestKind::KeepAlive && request.state != RequestState::Free
                })
                .map(|request| request.path);
            let main = path.map(|path| self.main_flow(path));
            if main.is_some_and(|main| main.is_none_or(|main| self.flow(main).is_none())) {
                self.forget_transaction(Row(at));
                self.free_row(Row(at));
            }
        }
    }

    fn lost_with_flow(&mut self, row: Row, state: client::State) {
        let Some(request) = self.requests.get_mut(row.0) else {
            return;
        };
        if request.state != RequestState::InFlight {
            return;
        }
        match request.kind {
            // The registration starts anew on the new flow.
            RequestKind::Register | RequestKind::KeepAlive => self.free_row(row),
            // Its Contact shows the flow that is gone: it is written anew.
            RequestKind::Subscribe { watch, .. } => {
                self.subscribe_failed(row, watch, Failure::FlowLost);
            }
            // What it sets belongs to the user, not to the flow.
            RequestKind::Publish => self.requeue(row),
            RequestKind::Message { .. } | RequestKind::Report { .. } => {
                // Once more, with the same Call-ID and CSeq: whoever had it already sees a copy
                // (RFC 3261 §8.2.2.2) and its Message-ID. Not if a provisional response has shown
                // that it is being served.
                let unheard = matches!(state, client::State::Trying { .. });
                if request.resent == 0 && unheard {
                    request.resent = 1;
                    self.requeue(row);
                } else {
                    self.end_request(row, Err(Failure::FlowLost));
                }
            }
        }
    }

    /// Gives a transaction's row back, with its response.
    pub(crate) fn drop_txn(&mut self, at: usize) {
        let Some(txn) = self.txns.get_mut(at) else {
            return;
        };
        let response = match &mut txn.machine {
            Machine::Server { response, .. } | Machine::InviteServer { response, .. } => {
                response.take()
            }
            Machine::Client { .. } | Machine::Free => None,
        };
        *txn = Txn::FREE;
        if let Some(block) = response {
            self.arena.free(block);
        }
    }
}

/// A path as one bit.
pub(crate) fn bit(path: PathId) -> u8 {
    1_u8.checked_shl(u32::from(path.0)).unwrap_or(0)
}

/// What a final response says of the failure: status, Warning, Retry-After.
pub(crate) fn failure(message: &Message<'_>, status: Status) -> Failure {
    let warning = message.values(Name::Warning).find_map(|value| {
        let warning = Warning::parse(value).ok()?;
        Some(warning.im_code().unwrap_or(warning.code))
    });
    let retry_after = message
        .header(Name::RetryAfter)
        .and_then(|value| RetryAfter::parse(value).ok())
        .map(|retry| retry.seconds);
    Failure::Status {
        status: status.code(),
        warning,
        retry_after,
    }
}

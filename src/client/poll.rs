//! Everything out: what is due is fired, what is ready is launched, then one thing leaves.
//!
//! `poll_output` first lets the machines go on as far as the event queue has room, then decides
//! what to hand out by plain ids, and borrows last. Bytes and event text lie in blocks that are
//! given back at the next call. When nothing is left it computes the one deadline.

use crate::arena::Block;
use crate::client::account::Field;
use crate::client::engine::{Engine, OneShot, OneShotBytes, Rest, Role, Row};
use crate::client::event::{
    CloseReason, Deadline, Event, Open, Output, Purpose, RegistrationChange, Report, Trust, Wake,
};
use crate::client::flows::{LongFlow, PathState, Told};
use crate::client::ims::ProtectedWay;
use crate::client::records::Record;
use crate::client::requests::Step;
use crate::client::slots::{Echo, Ending, Handed, Machine, RequestKind, RequestState, Txn, Wire};
use crate::config::{DeliveryReports, Transport};
use crate::error::Failure;
use crate::id::{ChallengeId, FlowId, PathId, SendId};
use crate::im::tags;
use crate::limits::REPORTS_PER_MESSAGE;
use crate::sip::transaction::key::hash;
use crate::sip::transaction::{ClientAction, ServerAction};
use crate::time::Instant;
use crate::wire::digest::{AkaNonce, Challenge};
use crate::wire::imdn::{self, Imdn};
use crate::wire::mime::MediaType;

/// Steps of one drain at the most: a bound that no input reaches, against a fault of our own.
const MAX_STEPS: usize = 10_000;
/// Slack of deadlines that nobody waits for, in milliseconds.
const LAZY: u32 = 60_000;

/// What `poll_output` is about to hand out; plain ids, nothing is borrowed.
pub(crate) enum Next {
    /// The first of the stateless answers and pings.
    OneShot(OneShot),
    Transmit(FlowId, Block),
    Open(PathId, Purpose),
    Close(FlowId, CloseReason),
    /// The first of the waiting events; it can be told.
    Waiting,
    /// The outcome of a request, or what the platform has to know.
    Ended(Event<'static>),
    Idle(Option<Deadline>),
}

impl<'a> Engine<'a> {
    /// Lets everything go on, and decides what leaves next.
    pub(crate) fn next(&mut self) -> Next {
        if let Some(block) = self.core.spent.take() {
            self.arena.free(block);
            self.core.rest = Rest::Disturbed;
        }
        let next = loop {
            if self.core.rest == Rest::Disturbed {
                self.pump();
            } else {
                debug_assert!(self.step() == Step::Nothing, "not at rest");
            }
            let settled = self.core.rest == Rest::Reached || !self.has_room();
            let next = self.leaving();
            // What had nothing to say any more was given up; that may have made room for what waits.
            let room = settled && self.core.rest == Rest::Disturbed && self.has_room();
            if !room || !matches!(next, Next::Idle(_)) {
                break next;
            }
        };
        match next {
            // The bytes of a request stay; those of an answer are spent then.
            Next::Transmit(..) | Next::Idle(_) => {}
            // What leaves makes room for what waits.
            Next::OneShot(_)
            | Next::Open(..)
            | Next::Close(..)
            | Next::Waiting
            | Next::Ended(_) => self.core.rest = Rest::Disturbed,
        }
        next
    }

    fn leaving(&mut self) -> Next {
        if let Some(one) = self.one_shot_to_send() {
            return Next::OneShot(one);
        }
        if let Some((flow, block)) = self.transmission() {
            return Next::Transmit(flow, block);
        }
        if self.is_ims() {
            // Before the flows that need it.
            if let Some(event) = self.security_news() {
                return Next::Ended(event);
            }
            if let Some(purpose) = self.protected_untold() {
                return Next::Open(PathId(0), purpose);
            }
        }
        if let Some((path, purpose)) = self.untold() {
            return Next::Open(path, purpose);
        }
        if let Some((flow, why)) = self.core.closing.pop_front() {
            return Next::Close(flow, why);
        }
        // A message ends before the registration that it went by, and before a report on it.
        if let Some(event) = self.ended() {
            return Next::Ended(event);
        }
        self.drop_stale_events();
        if !self.core.events.is_empty() {
            return Next::Waiting;
        }
        Next::Idle(self.deadline())
    }

    /// Hands out what `next` decided.
    pub(crate) fn show(self, next: Next, out: &'a mut [u8]) -> Output<'a> {
        match next {
            Next::OneShot(one) => {
                let flow = one.flow;
                let bytes: &[u8] = match one.bytes {
                    OneShotBytes::Stun(bytes) => {
                        let needed = bytes.len();
                        let Some(place) = out.get_mut(..needed) else {
                            return Output::TooSmall { needed };
                        };
                        place.copy_from_slice(&bytes);
                        place
                    }
                    OneShotBytes::Ping => b"\r\n\r\n",
                    OneShotBytes::Pong => b"\r\n",
                    OneShotBytes::Block(block) => {
                        self.core.one_shots.pop_front();
                        self.core.spent = Some(block);
                        let bytes = self.arena.into_bytes(block);
                        return Output::Transmit { flow, bytes };
                    }
                };
                self.core.one_shots.pop_front();
                Output::Transmit { flow, bytes }
            }
            Next::Transmit(flow, block) => Output::Transmit {
                flow,
                bytes: self.arena.into_bytes(block),
            },
            Next::Open(path, purpose) => self.open(path, purpose),
            Next::Close(flow, why) => Output::Close { flow, why },
            Next::Waiting => self.event(),
            Next::Ended(event) => Output::Event(event),
            Next::Idle(deadline) => Output::Idle(deadline),
        }
    }

    /// The first one-shot whose flow is still there.
    fn one_shot_to_send(&mut self) -> Option<OneShot> {
        loop {
            let one = self.core.one_shots.front().copied()?;
            if self.can_send(one.flow) {
                return Some(one);
            }
            self.core.one_shots.pop_front();
            if let OneShotBytes::Block(block) = one.bytes {
                self.arena.free(block);
                self.core.rest = Rest::Disturbed;
            }
        }
    }

    /// Takes events from the front that have nothing to tell any more.
    fn drop_stale_events(&mut self) {
        while let Some(record) = self.core.events.front().copied() {
            match record {
                // To find one more takes reading all before it: what is beyond is not read.
                Record::Reports { block, next, .. } if usize::from(next) >= REPORTS_PER_MESSAGE => {
                    if nth_report(self.arena.get(block), next).is_some() {
                        count!(self, reports_unread);
                    }
                    self.drop_reports(block);
                }
                Record::Reports { block, next, .. } => {
                    match nth_report(self.arena.get(block), next) {
                        Some(Ok(_)) => return,
                        Some(Err(())) => {
                            count!(self, reports_unread);
                            if let Some(Record::Reports { next, .. }) = self.core.events.front_mut()
                            {
                                *next = next.saturating_add(1);
                            }
                        }
                        None => self.drop_reports(block),
                    }
                }
                // It was answered or given up before it was told.
                Record::Challenge { id } if self.challenge_block(id).is_none() => {
                    self.core.events.pop_front();
                    self.core.rest = Rest::Disturbed;
                }
                _ => return,
            }
        }
    }

    /// The reports in front were told.
    fn drop_reports(&mut self, block: Block) {
        self.arena.free(block);
        self.core.events.pop_front();
        self.core.rest = Rest::Disturbed;
    }

    /// The next transaction with bytes to send, and what becomes of it.
    fn transmission(&mut self) -> Option<(FlowId, Block)> {
        loop {
            let due = |txn: &Txn| txn.wire == Wire::Due;
            // Answers first: a peer waits for them.
            let answer = |txn: &Txn| due(txn) && !matches!(txn.machine, Machine::Client { .. });
            let first = self.txns.iter().position(answer);
            let at = first.or_else(|| self.txns.iter().position(due))?;
            let txn = self.txns.get(at).copied()?;
            if let Some(txn) = self.txns.get_mut(at) {
                txn.wire = Wire::Quiet;
            }
            let flow = self.flow(txn.flow);
            let Some((transport, flow)) = flow.map(|flow| (flow.transport, flow.answers)) else {
                self.drop_txn(at);
                self.core.rest = Rest::Disturbed;
                continue;
            };
            match txn.machine {
                Machine::Client {
                    request: Some(row), ..
                } => {
                    let block = self.requests.get(usize::from(row)).and_then(|r| r.block);
                    if let Some(block) = block {
                        return Some((flow, block));
                    }
                }
                Machine::Client { request: None, .. } | Machine::Free => {}
                Machine::InviteServer { response, .. } => {
                    if let Some(block) = response {
                        return Some((flow, block));
                    }
                }
                Machine::Server {
                    response: Some(block),
                    ..
                } => {
                    self.answered(at, &txn, transport);
                    return Some((flow, block));
                }
                Machine::Server { response: None, .. } => self.drop_txn(at),
            }
        }
    }

    /// A final response went out: the transaction shrinks to what a retransmission needs.
    fn answered(&mut self, at: usize, txn: &Txn, transport: Transport) {
        let Machine::Server {
            key,
            merge,
            tag,
            status,
            retry_after,
            response,
            incoming,
            ..
        } = txn.machine
        else {
            return;
        };
        self.core.spent = response;
        if let Some(txn) = self.txns.get_mut(at) {
            *txn = Txn::FREE;
        }
        // RFC 3261 §17.2.2: Timer J is 64·T1 on a datagram flow, and zero on a stream.
        if transport == Transport::Udp {
            let until = self.core.now.after(self.core.policy.timers.t1_64());
            self.remember(Echo::new(key, merge, tag, status, until, retry_after));
        }
        if let Some(Handed { id, .. }) = incoming
            && self.core.policy.delivery_reports == DeliveryReports::Automatic
        {
            // That the message does not want one is no fault.
            let _ = self.want_report(id, crate::im::imdn::ReportKind::Delivery);
        }
    }

    /// A flow that the driver was not asked for yet; it counts as asked for.
    fn untold(&mut self) -> Option<(PathId, Purpose)> {
        for (path, at) in self.core.paths.iter_mut().zip(0_u8..) {
            if let PathState::Opening {
                told: told @ Told::No,
                ..
            } = &mut path.state
            {
                *told = Told::Yes;
                return Some((PathId(at), Purpose::Main));
            }
            if let LongFlow::Opening {
                told: told @ Told::No,
                ..
            } = &mut path.long
            {
                *told = Told::Yes;
                return Some((PathId(at), Purpose::LongRequests));
            }
        }
        None
    }

    fn open(self, path_id: PathId, purpose: Purpose) -> Output<'a> {
        let account = self.core.account;
        let path = self
            .path(path_id)
            .map(|path| (path.state, path.long, path.hop, path.attempt));
        let Some((state, long, hop, attempt)) = path else {
            return Output::Idle(None);
        };
        let config = self.core.policy.hop.get(usize::from(hop)).copied();
        let protected = self.protected_way(purpose);
        let (id, attempt, transport) = match (purpose, state, long, config) {
            (Purpose::Main, PathState::Opening { open, .. }, _, Some(hop)) => {
                (open, attempt, hop.transport)
            }
            (Purpose::LongRequests, _, LongFlow::Opening { open, .. }, _) => {
                (open, attempt, Transport::Tcp)
            }
            (Purpose::Protected | Purpose::ProtectedIn, ..) => match &protected {
                Some(ProtectedWay {
                    open: Some(open),
                    transport,
                    ..
                }) => (*open, attempt, *transport),
                _ => return Output::Idle(None),
            },
            _ => return Output::Idle(None),
        };
        let port = match &protected {
            Some(way) => Some(way.remote.port()),
            None => config.and_then(|hop| hop.port),
        };
        let field = if hop == 0 { Field::Host0 } else { Field::Host1 };
        let text = account
            .block()
            .map(|block| self.arena.into_bytes(block))
            .unwrap_or_default();
        let host = core::str::from_utf8(account.slice(text, field)).unwrap_or("");
        Output::Open(Open {
            id,
            path: path_id,
            host,
            port,
            transport,
            verify_name: host,
            purpose,
            attempt,
            local_port: protected.as_ref().map(|way| way.local_port),
            remote: protected.as_ref().map(|way| way.remote),
        })
    }

    /// The first of the waiting events.
    fn event(self) -> Output<'a> {
        let Some(record) = self.core.events.front().copied() else {
            return Output::Idle(None);
        };
        if let Record::Reports { block, next, trust } = record {
            return self.report_event(block, next, trust);
        }
        self.core.events.pop_front();
        Output::Event(match record {
            Record::Registered { path, expires } => {
                let block = self.path(path).and_then(|path| path.associated);
                let associated = block.map(|block| self.arena.into_bytes(block));
                let associated = associated.unwrap_or_default();
                let change = RegistrationChange::Registered {
                    expires,
                    associated,
                };
                Event::Registration { path, change }
            }
            Record::Refreshed { path, expires } => Event::Registration {
                path,
                change: RegistrationChange::Refreshed { expires },
            },
            Record::Lost { path } => Event::Registration {
                path,
                change: RegistrationChange::Lost,
            },
            Record::Retrying {
                path,
                failure,
                retry_at,
            } => Event::Registration {
                path,
                change: RegistrationChange::Retrying { failure, retry_at },
            },
            Record::Failed { path, failure } => Event::Registration {
                path,
                change: RegistrationChange::Failed(failure),
            },
            Record::Deregistered => Event::Deregistered,
            Record::SettingsDone { id, outcome } => Event::SettingsDone { id, outcome },
            Record::Settings { change } => Event::Settings(change),
            Record::RetrieveDeferred => Event::RetrieveDeferred,
            Record::Watch { watch, change } => Event::Watch { watch, change },
            Record::WindowClosed { id } => Event::ReportWindowClosed { id },
            Record::ReportDone { id, kind, outcome } => Event::ReportSent { id, kind, outcome },
            Record::Mapped { path, address } => Event::Mapped { path, address },
            Record::OwnerMustRegister => Event::OwnerMustRegister {
                feature_tag: tags::FEATURE_TAG,
            },
            Record::Challenge { id } => return self.challenge_event(id),
            // It was dealt with above: it stays in front until it is at its end.
            Record::Reports { .. } => return Output::Idle(None),
        })
    }

    /// The challenge that is asked about, if it still waits.
    fn challenge_block(&self, id: ChallengeId) -> Option<Block> {
        self.requests
            .iter()
            .find_map(|request| match request.state {
                RequestState::Challenged { id: of, .. } if of == id && self.is_ims() => {
                    self.aka_challenge_block()
                }
                RequestState::Challenged { id: of, .. } if of == id => self
                    .challenges(request.path, request.kind.auth())
                    .first_block(),
                _ => None,
            })
    }

    fn challenge_event(self, id: ChallengeId) -> Output<'a> {
        let kept = self.challenge_block(id);
        let account = self.core.account;
        let blocks = self.arena.into_blocks();
        let text = account
            .block()
            .map(|block| blocks.get(block))
            .unwrap_or_default();
        let Some(Ok(challenge)) = kept.map(|kept| Challenge::parse(blocks.get(kept))) else {
            return Output::Idle(None);
        };
        Output::Event(Event::Challenge {
            id,
            user: account.slice(text, Field::User),
            realm: challenge.realm.as_received(),
            algorithm: challenge.algorithm,
            aka: match challenge.algorithm.is_aka() {
                true => AkaNonce::parse(challenge.nonce).ok(),
                false => None,
            },
        })
    }

    /// One report of a body that holds one or several.
    fn report_event(self, block: Block, next: u16, trust: Trust) -> Output<'a> {
        let id = match nth_report(self.arena.get(block), next) {
            Some(Ok(imdn)) => {
                let mut id = [0; 128];
                let id = imdn.message_id.read_into(&mut id).map(str::as_bytes);
                id.and_then(|id| self.awaiting(id))
            }
            Some(Err(())) | None => None,
        };
        // The rest of the body comes before anything else.
        if let Some(Record::Reports { next, .. }) = self.core.events.front_mut() {
            *next = next.saturating_add(1);
        }
        let Some(Ok(imdn)) = nth_report(self.arena.into_bytes(block), next) else {
            return Output::Idle(None);
        };
        Output::Event(Event::Report(Report {
            id,
            message_id: imdn.message_id.raw().as_bytes(),
            recipient: imdn
                .recipient_uri
                .map(|uri| uri.raw().as_bytes())
                .unwrap_or_default(),
            disposition: imdn.disposition,
            trusted: trust,
        }))
    }

    fn awaiting(&self, message_id: &[u8]) -> Option<SendId> {
        let hash = hash(self.core.hash_seed, &[message_id]);
        self.awaited
            .iter()
            .find(|row| row.hash == hash)
            .and_then(|row| row.id)
    }

    /// The first request that is over; its row is given back.
    fn ended(&mut self) -> Option<Event<'static>> {
        let ended = |state: RequestState| matches!(state, RequestState::Ended(_));
        let rows = self.requests.iter().enumerate();
        let (at, request) = rows
            .filter(|(_, request)| ended(request.state))
            .min_by_key(|(_, request)| request.order)
            .map(|(at, request)| (at, *request))?;
        self.free_row(Row(at));
        match (request.kind, request.state) {
            (RequestKind::Message { id, .. }, RequestState::Ended(Ending::Sent(outcome))) => {
                Some(Event::Sent { id, outcome })
            }
            (RequestKind::Report { id, kind }, RequestState::Ended(Ending::Reported(ending))) => {
                let outcome = self.report_ended(id, kind, ending);
                Some(Event::ReportSent { id, kind, outcome })
            }
            _ => None,
        }
    }

    /// Lets everything go on that can, while there is room for its events.
    pub(crate) fn pump(&mut self) {
        for _ in 0..MAX_STEPS {
            if !self.has_room() {
                return;
            }
            if self.step() == Step::Nothing {
                self.core.rest = Rest::Reached;
                return;
            }
        }
        debug_assert!(false, "the machines do not come to rest");
    }

    /// Whether a timer is due.
    pub(crate) fn is_due(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| deadline.at <= self.core.now)
    }

    /// One step of one machine, timers first, and those in their order: after a jump of the clock
    /// a flow that failed before a transaction timed out has its request sent again.
    fn step(&mut self) -> Step {
        let now = self.core.now;
        let due = |at: Option<Instant>| at.filter(|at| *at <= now);
        let transactions = due(self.txns.iter().filter_map(Txn::deadline).min());
        let flows = due(self.flows_deadline());
        let flow_first = match (flows, transactions) {
            (Some(flow), Some(transaction)) => flow < transaction,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if (flow_first && self.step_flows() == Step::Done)
            || (transactions.is_some() && self.step_transactions() == Step::Done)
        {
            return Step::Done;
        }
        if self.is_ims() && self.step_ims() == Step::Done {
            return Step::Done;
        }
        for step in [
            Self::step_leaving,
            Self::step_waits,
            Self::step_settings,
            Self::step_watches,
            Self::step_reports,
            Self::step_requests,
        ] {
            if step(self) == Step::Done {
                return Step::Done;
            }
        }
        Step::Nothing
    }

    fn step_transactions(&mut self) -> Step {
        let (now, timers) = (self.core.now, self.core.policy.timers);
        let deadlines = self.txns.iter().map(Txn::deadline).enumerate();
        let Some((at, _)) = deadlines
            .filter_map(|(at, due)| Some((at, due.filter(|due| *due <= now)?)))
            .min_by_key(|(_, due)| *due)
        else {
            return Step::Nothing;
        };
        let Some(txn) = self.txns.get_mut(at) else {
            return Step::Nothing;
        };
        match &mut txn.machine {
            Machine::Free => {}
            Machine::Client {
                machine, request, ..
            } => {
                let action = machine.timeout(now, &timers);
                let row = request.map(|row| Row(usize::from(row)));
                note!(debug, "client transaction {}: {:?}", at, action);
                if action == ClientAction::Resend {
                    txn.wire = Wire::Due;
                }
                if machine.is_terminated() {
                    let flow = txn.flow;
                    *txn = Txn::FREE;
                    if let (ClientAction::TimedOut, Some(row)) = (action, row) {
                        self.doubt_long(flow);
                        self.unanswered(row);
                    }
                }
            }
            Machine::Server { machine, .. } => {
                let _ = machine.timeout(now, &timers);
                if machine.is_terminated() {
                    self.drop_txn(at);
                }
            }
            Machine::InviteServer { machine, .. } => {
                let action = machine.timeout(now, &timers);
                if action == ServerAction::Resend {
                    txn.wire = Wire::Due;
                }
                if machine.is_terminated() {
                    self.drop_txn(at);
                }
            }
        }
        Step::Done
    }

    fn step_leaving(&mut self) -> Step {
        match self.core.role {
            Role::Leaving { until } if until <= self.core.now => {
                self.finish_leaving();
                Step::Done
            }
            Role::Leaving { .. } if self.may_go_now() => {
                self.core.held_back = None;
                self.deregister_paths();
                Step::Done
            }
            Role::Leaving { .. } | Role::Idle | Role::Registrant | Role::Adopted => Step::Nothing,
        }
    }

    /// Bounded waits: for a secret, for a path, for reports.
    fn step_waits(&mut self) -> Step {
        let now = self.core.now;
        let mut waiting = None;
        for (at, request) in self.requests.iter().enumerate() {
            match request.state {
                RequestState::Challenged { until, .. } if until <= now => {
                    self.abandon(Row(at));
                    return Step::Done;
                }
                RequestState::Queued if !request.is_bound() && waiting.is_none() => {
                    waiting = Some(Row(at));
                }
                RequestState::Queued
                | RequestState::Challenged { .. }
                | RequestState::InFlight
                | RequestState::Ended(_)
                | RequestState::Free => {}
            }
        }
        self.watch_paths();
        if let Some(row) = waiting
            && self.stranded_until().is_some_and(|until| until <= now)
        {
            self.end_request(row, Err(Failure::Unreachable));
            return Step::Done;
        }
        let closed = self
            .awaited
            .iter_mut()
            .find(|row| row.id.is_some() && row.until <= now);
        if let Some(id) = closed.and_then(|row| row.id.take()) {
            self.emit(Record::WindowClosed { id });
            return Step::Done;
        }
        Step::Nothing
    }

    /// Notes since when no request can go anywhere.
    fn watch_paths(&mut self) {
        if self.usable_path().is_some() {
            // A registration that ended and one that began may lie between two looks.
            let away = self.core.settings.machine().is_away();
            if self.core.stranded.take().is_some() || away {
                self.settings_online();
                self.watches_online();
            }
        } else if self.core.stranded.is_none() {
            self.core.stranded = Some(self.core.now);
        }
    }

    /// A queued message ends when it could not go for as long as a transaction lasts.
    fn stranded_until(&self) -> Option<Instant> {
        let waiting = |request: &crate::client::slots::Request| {
            !request.is_bound() && request.state == RequestState::Queued
        };
        let since = self
            .core
            .stranded
            .filter(|_| self.requests.iter().any(waiting))?;
        Some(since.after(self.core.policy.timers.t1_64()))
    }

    /// The next deadline and what it is for.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let mut first: Option<Deadline> = None;
        let mut take = |at: Option<Instant>, slack: u64, why: Wake| {
            let slack = u32::try_from(slack).unwrap_or(u32::MAX);
            if let Some(at) = at
                && first.is_none_or(|first| at < first.at)
            {
                first = Some(Deadline { at, slack, why });
            }
        };
        for txn in self.txns.iter() {
            // One that only absorbs what may still come (Timer K) ends with the next wake-up that
            // something else needs.
            if !matches!(txn.machine, Machine::Client { request: None, .. }) {
                take(txn.deadline(), 0, Wake::Transaction);
            }
        }
        for path in &self.core.paths {
            let registration = &path.registration;
            take(
                registration.deadline(),
                registration.slack(),
                Wake::Registration,
            );
            take(path.reopen, 0, Wake::Registration);
        }
        for keep in self.core.flows.iter().filter_map(|flow| flow.keep) {
            take(keep.deadline(), 0, Wake::KeepAlive);
        }
        if let Role::Leaving { until } = self.core.role {
            take(Some(until), 0, Wake::Registration);
            take(self.core.held_back, 0, Wake::Registration);
        }
        if self.is_ims() {
            take(self.core.ims.deadline(), 0, Wake::Registration);
        }
        for row in self.core.watches.rows() {
            take(row.deadline(), row.slack(), Wake::Watch);
        }
        let settings = self.core.settings.machine();
        take(settings.deadline(), settings.slack(), Wake::Settings);
        for request in self.requests.iter() {
            if let RequestState::Challenged { until, .. } = request.state {
                take(Some(until), 0, Wake::Challenge);
            }
        }
        take(self.stranded_until(), 0, Wake::Transaction);
        take(self.reports_deadline(), 0, Wake::Reports);
        let windows = self.awaited.iter().filter(|row| row.id.is_some());
        take(
            windows.map(|row| row.until).min(),
            u64::from(LAZY),
            Wake::Reports,
        );
        first
    }
}

/// The report of this number in a kept body; `Err`: it cannot be read, the next one may.
fn nth_report(kept: &[u8], n: u16) -> Option<Result<Imdn<'_>, ()>> {
    let (len, rest) = kept.split_first()?;
    let (kind, body) = rest.split_at_checked(usize::from(*len))?;
    let media = MediaType::parse(kind).ok()?;
    imdn::reports(media, body)
        .nth(usize::from(n))
        .map(|report| report.map_err(|_| ()))
}

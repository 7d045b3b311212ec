//! Reports on messages that came in: asked for by the application, sent one at a time.
//!
//! A ticket goes from open to due when the application says that the message was delivered or
//! displayed. A due report becomes a request as soon as its target's minute has room (RFC 5438 §14:
//! no amplifier), a row and arena are free; a peer that refused reports lately gets none. At most
//! one report goes out per message and kind; one that failed goes again when the message comes
//! again.

use crate::client::account::Field;
use crate::client::engine::{Engine, Rate, Refuser};
use crate::client::event::ReportOutcome;
use crate::client::records::Record;
use crate::client::requests::Step;
use crate::client::serve::Extra;
use crate::client::slots::{
    Machine, ReportEnding, Request, RequestKind, RequestState, Ticket, TicketState,
};
use crate::error::{CommandError, Failure};
use crate::id::IncomingId;
use crate::im::imdn::ReportKind;
use crate::im::pager;
use crate::limits::RESERVE;
use crate::sip::draft::Cuts;
use crate::time::Instant;
use crate::wire::name::Status;
use crate::wire::writer::Text;

/// Why the application does not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Refusal {
    /// 480 with Retry-After in seconds: it cannot be kept now.
    TemporarilyUnavailable(u32),
    /// 486: busy.
    Busy,
    /// 415: a type inside the wrapper that cannot be shown.
    UnsupportedType,
    /// 413: too large to be kept.
    TooLarge,
    /// 603: not wanted.
    Decline,
}

/// A minute, in milliseconds.
const MINUTE: u64 = 60_000;
/// How long a report may wait, for its target's next minutes, a path or room, before it is given up.
const LONGEST_DELAY: u64 = 10 * MINUTE;

impl Engine<'_> {
    /// `Client::refuse`.
    pub(crate) fn refuse(&mut self, id: IncomingId, why: Refusal) -> Result<(), CommandError> {
        let (status, extra) = match why {
            Refusal::TemporarilyUnavailable(seconds) => (480, Extra::RetryAfter(seconds)),
            Refusal::Busy => (486, Extra::None),
            Refusal::UnsupportedType => (415, Extra::Accept),
            Refusal::TooLarge => (413, Extra::None),
            Refusal::Decline => (603, Extra::None),
        };
        let code = Status::new(status).ok_or(CommandError::WrongState)?;
        // Once the 200 went out there is nothing to take back.
        let waiting = self
            .txns
            .iter()
            .enumerate()
            .find_map(|(at, txn)| match &txn.machine {
                Machine::Server {
                    incoming: Some(of),
                    response: Some(block),
                    ..
                } if of.id == id => Some((at, *block, of.copy)),
                _ => None,
            });
        let (at, block, copy) = waiting.ok_or(CommandError::UnknownId)?;
        // The application said already that it has kept the message.
        if self.tickets.iter().any(|ticket| {
            ticket.id == Some(id) && (ticket.delivery.is_said() || ticket.display.is_said())
        }) {
            return Err(CommandError::WrongState);
        }
        let new = self
            .rewrite_status(block, code, extra)
            .map_err(crate::client::engine::full)?;
        self.arena.free(block);
        if let Some(Machine::Server {
            response,
            status: of,
            retry_after,
            incoming,
            ..
        }) = self.txns.get_mut(at).map(|txn| &mut txn.machine)
        {
            *response = Some(new);
            *of = status;
            *retry_after = match extra {
                // A retransmission is told 18 hours at the most.
                Extra::RetryAfter(seconds) => u16::try_from(seconds).unwrap_or(u16::MAX),
                _ => 0,
            };
            *incoming = None;
        }
        // It was not taken: the sender may try again.
        self.forget_seen(copy);
        // RFC 5438 §7.2.1: no report on a message that was not answered 2xx.
        if let Some(at) = self.tickets.iter().position(|ticket| ticket.id == Some(id)) {
            self.drop_ticket(at);
        }
        Ok(())
    }

    /// `Client::delivered` and `Client::displayed`.
    pub(crate) fn want_report(
        &mut self,
        id: IncomingId,
        kind: ReportKind,
    ) -> Result<(), CommandError> {
        let now = self.core.now;
        let ticket = self.tickets.iter_mut().find(|ticket| ticket.id == Some(id));
        let state = ticket.ok_or(CommandError::NotAskedFor)?.state_mut(kind);
        match state {
            TicketState::Open => {
                *state = TicketState::Due { since: now };
                Ok(())
            }
            TicketState::NotAskedFor => Err(CommandError::NotAskedFor),
            TicketState::Due { .. }
            | TicketState::UnderWay
            | TicketState::Done
            | TicketState::Failed => Err(CommandError::WrongState),
        }
    }

    /// A message came again: what could not be reported the first time is due again.
    pub(crate) fn repeat_failed_reports(&mut self, copy: u64) {
        let now = self.core.now;
        for ticket in self.tickets.iter_mut().filter(|ticket| ticket.hash == copy) {
            for state in [&mut ticket.delivery, &mut ticket.display] {
                if *state == TicketState::Failed {
                    *state = TicketState::Due { since: now };
                }
            }
        }
    }

    /// Sends the first report that can go.
    pub(crate) fn step_reports(&mut self) -> Step {
        let due = |state| matches!(state, TicketState::Due { .. });
        for at in 0..self.tickets.len() {
            let Some(ticket) = self.tickets.get(at) else {
                continue;
            };
            if !due(ticket.delivery) && !due(ticket.display) {
                continue;
            }
            let ticket = *ticket;
            for kind in [ReportKind::Delivery, ReportKind::Display] {
                if let TicketState::Due { since } = ticket.state(kind)
                    && self.try_report(at, &ticket, kind, since) == Step::Done
                {
                    return Step::Done;
                }
            }
        }
        Step::Nothing
    }

    fn try_report(&mut self, at: usize, ticket: &Ticket, kind: ReportKind, since: Instant) -> Step {
        let (Some(id), Some(block)) = (ticket.id, ticket.block) else {
            return Step::Nothing;
        };
        let now = self.core.now;
        let target = self.target_hash(pager::ticket_target(self.arena.get(block)));
        if self
            .core
            .refusers
            .iter()
            .any(|r| r.peer == target && r.until > now)
        {
            self.end_ticket(at, kind, TicketState::Failed);
            self.emit(Record::ReportDone {
                id,
                kind,
                outcome: ReportOutcome::PeerRefuses,
            });
            return Step::Done;
        }
        let launched = match self.next_minute(target) {
            Some(_) => Step::Nothing,
            None => self.launch_report(id, block, kind, target),
        };
        if launched == Step::Nothing {
            if now.since(since) < LONGEST_DELAY {
                return Step::Nothing;
            }
            let outcome = if self.usable_path().is_some() {
                ReportOutcome::TooMany
            } else {
                ReportOutcome::Failed(Failure::Unreachable)
            };
            self.end_ticket(at, kind, TicketState::Failed);
            self.emit(Record::ReportDone { id, kind, outcome });
            return Step::Done;
        }
        self.count_report(target);
        if let Some(ticket) = self.tickets.get_mut(at) {
            *ticket.state_mut(kind) = TicketState::UnderWay;
        }
        Step::Done
    }

    fn launch_report(
        &mut self,
        id: IncomingId,
        ticket: crate::arena::Block,
        kind: ReportKind,
        target: u64,
    ) -> Step {
        // Half of the rows at the most: the application has messages too.
        let reports = self
            .requests
            .iter()
            .filter(|request| matches!(request.kind, RequestKind::Report { .. }));
        if reports.count() >= self.requests.len().div_ceil(2) {
            return Step::Nothing;
        }
        let (Ok(row), Some(path)) = (self.free_message_row(), self.usable_path()) else {
            return Step::Nothing;
        };
        let fresh = self.fresh();
        let account = self.core.account;
        let mut cuts = Cuts::NONE;
        let written = self.arena.alloc_from(|blocks, out| {
            let text = account
                .block()
                .map(|block| blocks.get(block))
                .unwrap_or_default();
            let agent = core::str::from_utf8(account.slice(text, Field::UserAgent));
            let agent = Text::new(agent.unwrap_or("")).unwrap_or(const { Text::fixed("") });
            let (len, new) = pager::report(blocks.get(ticket), kind, agent, &fresh, out)?;
            cuts = new;
            Ok(len)
        });
        let Ok(block) = written else {
            return Step::Nothing;
        };
        // As for a message: the attempt is written beside the draft, and answers come first.
        // What is under way will give its octets back; only without it other tickets have to.
        let waiting = self
            .requests
            .iter()
            .any(|request| request.is_pager() && request.state != RequestState::Free);
        let room = self.arena.available() >= RESERVE || !waiting && self.make_room(RESERVE);
        if !room {
            self.arena.free(block);
            return Step::Nothing;
        }
        let order = self.next_id();
        let since = self.core.now;
        if let Some(request) = self.requests.get_mut(row.0) {
            note!(debug, "request {} queued: report on {}", order, id.0);
            *request = Request {
                state: RequestState::Queued,
                kind: RequestKind::Report { id, kind },
                block: Some(block),
                cuts,
                target,
                order,
                since,
                cseq: 1,
                path,
                ..Request::FREE
            };
        }
        Step::Done
    }

    /// When the next report to a target may go, if not now.
    fn next_minute(&self, target: u64) -> Option<Instant> {
        let now = self.core.now;
        let rate = self
            .core
            .rates
            .iter()
            .find(|rate| rate.target == target && rate.count > 0)?;
        let full = rate.count >= self.core.policy.reports_per_minute;
        let end = rate.minute.after(MINUTE);
        (full && end > now).then_some(end)
    }

    fn count_report(&mut self, target: u64) {
        let now = self.core.now;
        let rates = &mut self.core.rates;
        let at = rates
            .iter()
            .position(|rate| rate.count > 0 && rate.target == target);
        let at = at.or_else(|| {
            let oldest = rates.iter().enumerate().min_by_key(|(_, rate)| rate.minute);
            oldest.map(|(at, _)| at)
        });
        let Some(rate) = at.and_then(|at| rates.get_mut(at)) else {
            return;
        };
        if rate.target != target || rate.count == 0 || rate.minute.after(MINUTE) <= now {
            *rate = Rate {
                target,
                minute: now,
                count: 0,
            };
        }
        rate.count = rate.count.saturating_add(1);
    }

    /// Remembers a peer that does not take reports.
    pub(crate) fn note_refusal(&mut self, peer: u64, failure: Failure) {
        let Failure::Status {
            status: 405 | 415 | 488,
            ..
        } = failure
        else {
            return;
        };
        let wait = u64::from(self.core.policy.report_backoff).saturating_mul(1000);
        let until = self.core.now.after(wait);
        let refusers = &mut self.core.refusers;
        let at = refusers
            .iter()
            .position(|refuser| refuser.peer == peer)
            .or_else(|| {
                let first = refusers
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, refuser)| refuser.until);
                first.map(|(at, _)| at)
            });
        if let Some(refuser) = at.and_then(|at| refusers.get_mut(at)) {
            *refuser = Refuser { peer, until };
        }
    }

    /// A report's request is over; what the application is told.
    pub(crate) fn report_ended(
        &mut self,
        id: IncomingId,
        kind: ReportKind,
        ending: ReportEnding,
    ) -> ReportOutcome {
        let (state, outcome) = match ending {
            ReportEnding::Sent => (TicketState::Done, ReportOutcome::Sent),
            ReportEnding::Failed(failure) => (TicketState::Failed, ReportOutcome::Failed(failure)),
        };
        if let Some(at) = self.tickets.iter().position(|ticket| ticket.id == Some(id)) {
            self.end_ticket(at, kind, state);
        }
        outcome
    }

    /// A ticket that has nothing left to do is given back, but not while a failed report can still
    /// be repeated.
    fn end_ticket(&mut self, at: usize, kind: ReportKind, state: TicketState) {
        let Some(ticket) = self.tickets.get_mut(at) else {
            return;
        };
        *ticket.state_mut(kind) = state;
        let over =
            |state: TicketState| matches!(state, TicketState::Done | TicketState::NotAskedFor);
        if over(ticket.delivery) && over(ticket.display) {
            self.drop_ticket(at);
        }
    }

    /// When a delayed report may go, or is given up.
    pub(crate) fn reports_deadline(&self) -> Option<Instant> {
        let due = |ticket: &Ticket| {
            // Mostly there is none.
            ticket.id?;
            let since = [ticket.delivery, ticket.display]
                .into_iter()
                .filter_map(|state| match state {
                    TicketState::Due { since } => Some(since),
                    _ => None,
                })
                .min()?;
            let block = ticket.block?;
            let target = self.target_hash(pager::ticket_target(self.arena.get(block)));
            let end = since.after(LONGEST_DELAY);
            Some(self.next_minute(target).map_or(end, |next| next.min(end)))
        };
        self.tickets.iter().filter_map(due).min()
    }
}

impl TicketState {
    /// Whether the application has spoken of it.
    const fn is_said(self) -> bool {
        match self {
            Self::NotAskedFor | Self::Open => false,
            Self::Due { .. } | Self::UnderWay | Self::Done | Self::Failed => true,
        }
    }
}

impl Ticket {
    pub(crate) fn state(&self, kind: ReportKind) -> TicketState {
        match kind {
            ReportKind::Delivery => self.delivery,
            ReportKind::Display => self.display,
        }
    }

    pub(crate) fn state_mut(&mut self, kind: ReportKind) -> &mut TicketState {
        match kind {
            ReportKind::Delivery => &mut self.delivery,
            ReportKind::Display => &mut self.display,
        }
    }
}

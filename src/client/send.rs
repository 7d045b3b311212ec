//! The commands of pager mode: send, withdraw, look at the queue.
//!
//! A message is checked, drafted into the arena and measured before anything goes out; what is
//! wrong with it is the answer to the command, and nothing has changed then. From there on it is a
//! row of the request table (see [`crate::client::requests`]).

use crate::client::account::Field;
use crate::client::engine::{Engine, Row, full};
use crate::client::event::SendOutcome;
use crate::client::flows::PathState;
use crate::client::slots::{Awaited, Ending, Privacy, Request, RequestKind, RequestState};
use crate::config::{TelTargets, Transport};
use crate::error::{CommandError, Limit};
use crate::id::{PathId, SendId};
use crate::im::pager::{self, Anonymity, Fresh, Outgoing, Parts};
use crate::im::tags::PAGER_LIMIT;
use crate::limits::RESERVE;
use crate::sip::auth::Attempts;
use crate::sip::draft::Cuts;
use crate::sip::transaction::key::{hash, hash_ignoring_case};
use crate::wire::uri::{Scheme, Uri};
use crate::wire::writer::{Quoted, Text, UriText};

/// The queue of one target (RFC 3428 §8: one MESSAGE outside a dialog is pending at a time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Queue {
    /// Messages and reports that are not answered yet, the pending one included.
    pub length: usize,
    /// How long the first of them has been waiting or under way, in milliseconds.
    pub head_age: u64,
}

impl Engine<'_> {
    /// `Client::send_message`.
    pub(crate) fn send_message(&mut self, message: &Outgoing<'_>) -> Result<SendId, CommandError> {
        let path = self.usable_path().ok_or(CommandError::WrongState)?;
        let row = self.free_message_row()?;
        let mut sip = [0; 256];
        let target = self.target(message.to, path, &mut sip)?;
        if message.anonymity == Anonymity::Id && !message.reports.is_empty() {
            // RFC 5438 §12.1.1: there is no return address.
            return Err(CommandError::AnonymousReport);
        }
        let date = self.unix_millis();
        if date.is_none() && (!message.reports.is_empty() || message.expires.is_some()) {
            // RFC 5438 §7.1.1.2: a message that asks for reports has a DateTime.
            return Err(CommandError::NoWallClock);
        }
        let content_type = Text::new(message.content_type).map_err(|_| CommandError::Text)?;
        let subject = message.subject.map(Text::new).transpose();
        let subject = subject.map_err(|_| CommandError::Text)?;
        let display = message.display_name.map(Quoted::new).transpose();
        let display = display.map_err(|_| CommandError::Text)?;
        if let Some(identity) = message.identity {
            self.check_identity(identity)?;
        }
        let fresh = self.fresh();
        let own = self.own_identity();
        let account = self.core.account;
        let mut cuts = Cuts::NONE;
        let block = self
            .keep(|blocks, out| {
                let text = account
                    .block()
                    .map(|block| blocks.get(block))
                    .unwrap_or_default();
                let str = |field| core::str::from_utf8(account.slice(text, field)).unwrap_or("");
                let configured = Some(str(Field::DisplayName)).filter(|name| !name.is_empty());
                let own = core::str::from_utf8(own.get(blocks, &account, text)).unwrap_or("");
                let identity = message.identity.unwrap_or(own);
                let parts = Parts {
                    target,
                    identity: UriText::new(identity).unwrap_or(target),
                    display: display.or_else(|| Quoted::new(configured?).ok()),
                    user_agent: Text::new(str(Field::UserAgent))
                        .unwrap_or(const { Text::fixed("") }),
                    content_type,
                    body: message.body,
                    anonymity: message.anonymity,
                    reports: message.reports,
                    wrap: message.wrap,
                    subject,
                    expires: message.expires,
                    date,
                    fresh: &fresh,
                };
                let (len, new) = pager::message(&parts, out)?;
                cuts = new;
                Ok(len)
            })
            .map_err(full)?;
        let id = SendId(self.next_id());
        let privacy = match message.anonymity {
            Anonymity::None => Privacy::None,
            Anonymity::Id => Privacy::Id,
        };
        let request = Request {
            state: RequestState::Queued,
            kind: RequestKind::Message { id, privacy },
            block: Some(block),
            cuts,
            target: self.target_hash(target.as_bytes()),
            order: id.0,
            since: self.core.now,
            cseq: 1,
            attempts: Attempts::NEW,
            path,
            tried: 0,
            resent: 0,
        };
        if let Err(error) = self.admit(&request) {
            self.arena.free(block);
            return Err(error);
        }
        if !message.reports.is_empty() {
            self.await_reports(id, &fresh.message_id);
        }
        if let Some(free) = self.requests.get_mut(row.0) {
            note!(debug, "request {} queued: message", id.0);
            *free = request;
        }
        Ok(id)
    }

    /// OMA IM 8.1: pager mode is for requests below 1300 bytes, counted as they will go out; and
    /// no command takes the arena that answers need.
    fn admit(&mut self, request: &Request) -> Result<(), CommandError> {
        let Some(PathState::Up { flow }) = self.path(request.path).map(|path| path.state) else {
            return Err(CommandError::WrongState);
        };
        let size = self
            .size(request, request.path, flow)
            .saturating_add(self.credentials_to_come(request));
        if size >= PAGER_LIMIT && !self.vouched() {
            return Err(CommandError::TooLargeForPager { size });
        }
        if size > crate::limits::MAX_MESSAGE {
            let available = crate::limits::MAX_MESSAGE;
            return Err(CommandError::Full {
                limit: Limit::MessageSize,
                needed: size,
                available,
            });
        }
        // The attempt is written beside the draft.
        let needed = size.max(RESERVE);
        if !self.make_room(needed) {
            let available = self.arena.available();
            return Err(CommandError::Full {
                limit: Limit::Arena,
                needed,
                available,
            });
        }
        Ok(())
    }

    /// Checks a target and makes of it what goes into the Request-URI.
    fn target<'t>(
        &self,
        to: &'t str,
        path: PathId,
        out: &'t mut [u8; 256],
    ) -> Result<UriText<'t>, CommandError> {
        let uri = Uri::parse(to.as_bytes()).map_err(|_| CommandError::Target)?;
        // RFC 3261 §19.1.1: neither headers nor method belong into a Request-URI.
        if uri.headers().next().is_some() || uri.param(b"method").is_some() {
            return Err(CommandError::Target);
        }
        let bytes = match (uri.scheme(), self.core.policy.tel_targets, &uri) {
            (Scheme::Sip, _, _) => to.as_bytes(),
            // RFC 3261 §26.2.2: sips needs TLS on the first hop too.
            (Scheme::Sips, _, _) if self.hop_transport(path) == Some(Transport::Tls) => {
                to.as_bytes()
            }
            (Scheme::Tel, TelTargets::Keep, _) => to.as_bytes(),
            (Scheme::Tel, TelTargets::AsSip, Uri::Tel(tel)) => {
                let own = Uri::parse(self.core.account.get(&self.arena, Field::ImAddress));
                let domain = self.core.account.get(&self.arena, Field::Registrar);
                let domain = match (own, domain.iter().position(|c| *c == b':')) {
                    (Ok(_), Some(colon)) => {
                        domain.get(colon.saturating_add(1)..).unwrap_or_default()
                    }
                    _ => return Err(CommandError::Target),
                };
                tel.to_sip(domain, out).ok_or(CommandError::Target)?
            }
            _ => return Err(CommandError::Target),
        };
        UriText::new(bytes).map_err(|_| CommandError::Target)
    }

    /// Whether a report can go to a URI as it stands.
    pub(crate) fn can_reach(&self, uri: &[u8]) -> bool {
        let tls = |path| self.hop_transport(path) == Some(Transport::Tls);
        UriText::new(uri).is_ok()
            && match Uri::parse(uri).map(|uri| uri.scheme()) {
                Ok(Scheme::Sip) => true,
                Ok(Scheme::Sips) => self.usable_path().is_some_and(tls),
                Ok(Scheme::Tel) => self.core.policy.tel_targets == TelTargets::Keep,
                Ok(_) | Err(_) => false,
            }
    }

    /// Whether an identity is one of the user's: the IM Address, or one that the registrar named.
    fn check_identity(&self, identity: &str) -> Result<(), CommandError> {
        let uri = Uri::parse(identity.as_bytes()).map_err(|_| CommandError::Identity)?;
        let im_address = Uri::parse(self.core.account.get(&self.arena, Field::ImAddress));
        let barred = self.is_barred() && im_address.is_ok_and(|own| own.equivalent(&uri));
        if self.is_own(&uri) && !barred {
            Ok(())
        } else {
            Err(CommandError::Identity)
        }
    }

    /// `Client::withdraw`.
    pub(crate) fn withdraw(&mut self, id: SendId) -> Result<(), CommandError> {
        let row = self.row_of(id).ok_or(CommandError::UnknownId)?;
        let request = self
            .requests
            .get_mut(row.0)
            .ok_or(CommandError::UnknownId)?;
        match request.state {
            // It went out once, and its flow was lost or nobody answered: it may have arrived.
            RequestState::Queued | RequestState::Challenged { .. }
                if request.resent != 0 || request.tried != 0 =>
            {
                return Err(CommandError::WrongState);
            }
            // Nothing of it went out, or all that did was refused for want of credentials.
            RequestState::Queued | RequestState::Challenged { .. } => {}
            RequestState::InFlight | RequestState::Ended(_) | RequestState::Free => {
                return Err(CommandError::WrongState);
            }
        }
        if let Some(block) = request.block.take() {
            self.arena.free(block);
        }
        request.state = RequestState::Ended(Ending::Sent(SendOutcome::Withdrawn));
        // It went nowhere: nobody will report on it.
        for row in self.awaited.iter_mut().filter(|row| row.id == Some(id)) {
            *row = Awaited::FREE;
        }
        Ok(())
    }

    fn row_of(&self, id: SendId) -> Option<Row> {
        self.requests
            .iter()
            .position(|request| {
                request.state != RequestState::Free
                    && matches!(request.kind, RequestKind::Message { id: of, .. } if of == id)
            })
            .map(Row)
    }

    /// `Client::queue`.
    pub(crate) fn queue(&self, to: &str) -> Queue {
        let mut sip = [0; 256];
        // A `tel:` target waits as what became of it.
        let target = match self.target(to, PathId(0), &mut sip) {
            Ok(target) => self.target_hash(target.as_bytes()),
            Err(_) => self.target_hash(to.as_bytes()),
        };
        let waiting = |request: &&Request| {
            request.is_pager()
                && request.target == target
                && !matches!(request.state, RequestState::Free | RequestState::Ended(_))
        };
        let head = self
            .requests
            .iter()
            .filter(waiting)
            .min_by_key(|request| request.order);
        Queue {
            length: self.requests.iter().filter(waiting).count(),
            head_age: head.map_or(0, |request| self.core.now.since(request.since)),
        }
    }

    /// Random texts for one request.
    pub(crate) fn fresh(&mut self) -> Fresh {
        let mut fresh = Fresh {
            tag: [0; 12],
            call_id: [0; 20],
            message_id: [0; 16],
        };
        self.core.entropy.token(&mut fresh.tag);
        self.core.entropy.token(&mut fresh.call_id);
        self.core.entropy.token(&mut fresh.message_id);
        fresh
    }

    /// A target as it is known among requests. Letters that only differ in case give one queue.
    pub(crate) fn target_hash(&self, uri: &[u8]) -> u64 {
        hash_ignoring_case(self.core.hash_seed, uri)
    }

    /// Waits for the reports of a message (8.1.1 NOTE 3); the oldest gives way.
    fn await_reports(&mut self, id: SendId, message_id: &[u8]) {
        let window = u64::from(self.core.policy.report_window).saturating_mul(1000);
        let until = self.core.now.after(window);
        let hash = hash(self.core.hash_seed, &[message_id]);
        let free = self.awaited.iter().position(|row| row.id.is_none());
        let oldest = || {
            let rows = self.awaited.iter().enumerate();
            rows.min_by_key(|(_, row)| row.until).map(|(at, _)| at)
        };
        let Some(at) = free.or_else(oldest) else {
            return;
        };
        if let Some(row) = self.awaited.get_mut(at) {
            if row.id.is_some() {
                count!(self, awaited_evicted);
            }
            let evicted = core::mem::replace(
                row,
                Awaited {
                    id: Some(id),
                    hash,
                    until,
                },
            );
            if let Some(id) = evicted.id {
                self.emit(crate::client::records::Record::WindowClosed { id });
            }
        }
    }
}

//! Digest, as the client uses it: challenges kept, credentials written, secrets found.
//!
//! What is answered and how often is decided by [`crate::sip::auth`]; here are the blocks that
//! hold the challenges, the three sources of a secret (the account, a given HA1, the
//! application), and the question put to the application with the bounded wait for its answer.
//! REGISTER and all other requests have separate state, so that a registrar's nonce count does not
//! depend on what a proxy sees.

use heapless::Vec;

use crate::arena::{Block, Blocks};
use crate::client::account::{Account, Field};
use crate::client::engine::{Engine, Policy, Row, SecretKind};
use crate::client::records::Record;
use crate::client::requests::failure;
use crate::client::slots::{RequestKind, RequestState};
use crate::config::DigestFloor;
use crate::error::{CommandError, Failure};
use crate::id::{ChallengeId, PathId};
use crate::limits::MAX_CHALLENGE;
use crate::sip::auth::{
    self, Auth, Challenger, Decision, MAX_REALMS, RealmPolicy, Reason, SecretSource, Slot, Taken,
    UnmarkedNonce, Use,
};
use crate::sip::draft::{self, Cuts, Hop};
use crate::wire::digest::{
    Acceptable, Answer as DigestAnswer, AuthenticationInfo, Challenge, Challenges, Cnonce, Floor,
    Ha1, Hash, Secret, write_credentials,
};
use crate::wire::message::Message;
use crate::wire::name::Status;
use crate::wire::sink::Sink;

/// What the application answers to `Event::Challenge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The password. It is kept until it turns out wrong or the client is dropped.
    Password(&'a [u8]),
    /// H(user:realm:password) for MD5. Kept likewise.
    Ha1([u8; 16]),
    /// There is none: the request ends with the status of the challenge.
    Abandon,
}

/// Which requests an [`AuthPlace`] serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Register,
    Other,
}

/// Digest state and the challenges that belong to it.
pub(crate) struct AuthPlace {
    auth: Auth,
    kept: [Option<Block>; MAX_REALMS],
}

impl AuthPlace {
    pub(crate) const NEW: Self = Self {
        auth: Auth::new(),
        kept: [None; MAX_REALMS],
    };

    #[cfg(feature = "testkit")]
    pub(crate) fn blocks(&self) -> [Option<Block>; MAX_REALMS] {
        self.kept
    }
}

/// A secret that the application gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    block: Block,
    kind: SecretKind,
}

#[cfg(feature = "testkit")]
impl Given {
    pub(crate) fn block(self) -> Block {
        self.block
    }
}

/// The credentials that the next request of a path carries.
#[derive(Clone)]
pub(crate) struct AuthSlots {
    slots: Vec<(Challenger, Slot, Block, Use), MAX_REALMS>,
    given: Option<Given>,
}

impl AuthSlots {
    /// The block of the first challenge.
    pub(crate) fn first_block(&self) -> Option<Block> {
        self.slots.first().map(|(_, _, block, _)| *block)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Puts the header fields.
    #[allow(clippy::too_many_arguments)] // They are what a digest is made of.
    pub(crate) fn write(
        &self,
        blocks: Blocks<'_>,
        account: &Account,
        policy: &Policy,
        hop: &Hop<'_>,
        kept: &[u8],
        cuts: Cuts,
        sink: &mut Sink<'_>,
    ) {
        let text = account
            .block()
            .map(|block| blocks.get(block))
            .unwrap_or_default();
        let (kind, secret) = match self.given {
            Some(given) => (given.kind, blocks.get(given.block)),
            None => (policy.secret, account.slice(text, Field::Secret)),
        };
        let secret = match (kind, <[u8; 16]>::try_from(secret)) {
            (SecretKind::Ha1, Ok(ha1)) => Secret::Ha1(Ha1::Md5(ha1)),
            _ => Secret::Password(secret),
        };
        for (by, _, block, uses) in &self.slots {
            let Ok(challenge) = Challenge::parse(blocks.get(*block)) else {
                continue;
            };
            let answer = DigestAnswer {
                username: account.slice(text, Field::User),
                secret,
                method: hop.method.as_bytes(),
                uri: draft::request_uri(kept),
                body: &[draft::body(kept, cuts)],
                cnonce: uses.cnonce,
                nc: uses.nc,
            };
            let before = sink.len();
            sink.put(by.credentials().as_str().as_bytes());
            sink.put(b": ");
            if write_credentials(sink, &challenge, &answer).is_ok() {
                sink.put(b"\r\n");
            } else {
                sink.truncate(before);
            }
        }
    }
}

impl Engine<'_> {
    fn auth_place(&mut self, path: PathId, purpose: Purpose) -> Option<&mut AuthPlace> {
        let path = self.path_mut(path)?;
        Some(match purpose {
            Purpose::Register => &mut path.auth_register,
            Purpose::Other => &mut path.auth_other,
        })
    }

    /// Whether a server may ask for credentials, as far as is known.
    pub(crate) fn may_be_challenged(&self) -> bool {
        self.core.policy.secret != SecretKind::None
    }

    /// The credentials for the next request: none while the application has not given the secret.
    pub(crate) fn auth_slots(&self, path: PathId, purpose: Purpose) -> AuthSlots {
        let mut slots = self.challenges(path, purpose);
        if self.core.policy.secret == SecretKind::Ask && self.core.given.is_none() {
            slots.slots.clear();
        }
        slots
    }

    /// The challenges that the next request can answer, secret or not.
    pub(crate) fn challenges(&self, path: PathId, purpose: Purpose) -> AuthSlots {
        let mut slots = Vec::new();
        if let Some(path) = self.path(path) {
            let place = match purpose {
                Purpose::Register => &path.auth_register,
                Purpose::Other => &path.auth_other,
            };
            for by in [Challenger::Server, Challenger::Proxy] {
                for slot in place.auth.usable(by) {
                    let kept = place.kept.get(slot.index()).copied().flatten();
                    if let Some((block, uses)) = kept.zip(place.auth.credentials(slot)) {
                        // There are no more slots than the vector has places.
                        let _ = slots.push((by, slot, block, uses));
                    }
                }
            }
        }
        AuthSlots {
            slots,
            given: self.core.given,
        }
    }

    /// The credentials went out with the request of this row.
    pub(crate) fn count_credentials(&mut self, row: Row, path: PathId, sent: &AuthSlots) {
        let Some(request) = self.requests.get(row.0) else {
            return;
        };
        let purpose = request.kind.auth();
        let mut attempts = request.attempts;
        if let Some(place) = self.auth_place(path, purpose) {
            for (_, slot, _, _) in &sent.slots {
                place.auth.sent(*slot, &mut attempts);
            }
        }
        if let Some(request) = self.requests.get_mut(row.0) {
            request.attempts = attempts;
        }
    }

    /// A 401 or 407 to the request of this row.
    pub(crate) fn challenged(&mut self, row: Row, message: &Message<'_>, status: Status) {
        let Some(request) = self.requests.get(row.0).copied() else {
            return;
        };
        let (path, purpose) = (request.path, request.kind.auth());
        let cnonce = Cnonce(self.core.entropy.u64());
        let mut attempts = request.attempts;
        let mut realm = [0; 128];
        let realm = self.copy_realm(&mut realm);
        let policy = auth::Policy {
            realm: realm.map_or(RealmPolicy::FirstAccepted, RealmPolicy::Only),
            acceptable: self.acceptable(),
            secret: match (self.core.policy.secret, self.core.given) {
                (SecretKind::Ask, None) => SecretSource::Ask,
                _ => SecretSource::Held,
            },
            unmarked: UnmarkedNonce::TryAgain,
            answers: 2,
        };
        // The registrar has shown which realms are ours; nobody else on the way is told anything
        // that depends on the secret (CVE-2021-41158).
        let registrar = match (purpose, realm) {
            (Purpose::Other, None) => self.path(path).map(|path| path.auth_register.auth.clone()),
            _ => None,
        };
        let ours = |challenge: &Challenge<'_>| {
            registrar
                .as_ref()
                .is_none_or(|auth| !auth.is_foreign(challenge.realm))
        };
        let by_kind = |by: Challenger| {
            let challenges = message.all(by.challenge()).flat_map(Challenges::new);
            challenges
                .filter_map(Result::ok)
                .filter(&ours)
                .filter(|challenge| challenge.as_bytes().len() <= MAX_CHALLENGE)
                .map(move |challenge| (by, challenge))
        };
        let challenges = by_kind(Challenger::Server).chain(by_kind(Challenger::Proxy));
        let has_secret = self.core.policy.secret != SecretKind::None;
        let decision = match self.auth_place(path, purpose) {
            Some(place) if has_secret => {
                place
                    .auth
                    .decide(challenges, &mut attempts, &policy, cnonce)
            }
            _ => Decision::GiveUp(Reason::NoChallenge),
        };
        if let Some(request) = self.requests.get_mut(row.0) {
            request.attempts = attempts;
        }
        match decision {
            Decision::Answer(taken) if self.keep_challenges(path, purpose, &taken) => {
                self.retry_with_credentials(row);
            }
            Decision::Ask(taken) if self.keep_challenges(path, purpose, &taken) => {
                let id = ChallengeId(self.next_id());
                let wait = u64::from(self.core.policy.answer_timeout).saturating_mul(1000);
                let until = self.core.now.after(wait);
                self.forget_transaction(row);
                if let Some(request) = self.requests.get_mut(row.0) {
                    request.state = RequestState::Challenged { id, until };
                }
                self.emit(Record::Challenge { id });
            }
            Decision::Answer(_) | Decision::Ask(_) => {
                self.refused(row, message, failure(message, status), status);
            }
            Decision::GiveUp(Reason::Rejected | Reason::TooMany) => {
                self.forget_given();
                let failure = Failure::Credentials {
                    status: status.code(),
                };
                self.refused(row, message, failure, status);
            }
            Decision::GiveUp(_) => {
                count!(self, challenges_ignored);
                self.refused(row, message, failure(message, status), status);
            }
        }
    }

    fn refused(&mut self, row: Row, message: &Message<'_>, failure: Failure, status: Status) {
        match self.requests.get(row.0).map(|request| request.kind) {
            Some(RequestKind::Register) => self.register_refused(row, message, status),
            Some(RequestKind::KeepAlive) => {
                // Any answer shows that the flow is alive.
                self.keep_alive_done(row);
            }
            Some(
                RequestKind::Subscribe { .. }
                | RequestKind::Publish
                | RequestKind::Message { .. }
                | RequestKind::Report { .. },
            ) => {
                self.end_request(row, Err(failure));
            }
            None => {}
        }
    }

    /// RFC 3261 §22.2: the same request with the next CSeq.
    fn retry_with_credentials(&mut self, row: Row) {
        if let Some(request) = self.requests.get_mut(row.0) {
            request.cseq = request.cseq.saturating_add(1);
            let (kind, path, cseq) = (request.kind, request.path, request.cseq);
            if kind == RequestKind::Register {
                self.keep_cseq(path, cseq);
            }
        }
        self.requeue(row);
    }

    /// Keeps the bytes of challenges in place of older ones. Says whether there was room for all.
    fn keep_challenges(&mut self, path: PathId, purpose: Purpose, taken: &Taken<'_>) -> bool {
        for (slot, bytes) in taken.iter() {
            let Ok(block) = self.arena.alloc(bytes) else {
                return false;
            };
            self.keep_challenge(path, purpose, slot, block);
        }
        true
    }

    fn keep_challenge(&mut self, path: PathId, purpose: Purpose, slot: Slot, block: Block) {
        let old = self
            .auth_place(path, purpose)
            .and_then(|place| place.kept.get_mut(slot.index()))
            .and_then(|kept| kept.replace(block));
        if let Some(old) = old {
            self.arena.free(old);
        }
    }

    /// A 2xx: the credentials were right, and there may be a new nonce (RFC 7616 §3.5).
    pub(crate) fn authentication_info(&mut self, row: Row, message: &Message<'_>) {
        let Some(request) = self.requests.get(row.0).copied() else {
            return;
        };
        let (path, purpose) = (request.path, request.kind.auth());
        let Some(place) = self.auth_place(path, purpose) else {
            return;
        };
        place.auth.accepted(&request.attempts);
        for by in [Challenger::Server, Challenger::Proxy] {
            let info = message
                .header(by.info())
                .and_then(|v| AuthenticationInfo::parse(v).ok());
            let Some(next) = info.and_then(|info| info.nextnonce) else {
                continue;
            };
            let Some(place) = self.auth_place(path, purpose) else {
                return;
            };
            let Some(slot) = place.auth.answered(by, &request.attempts) else {
                continue;
            };
            let Some(kept) = place.kept.get(slot.index()).copied().flatten() else {
                continue;
            };
            let written = self.arena.alloc_from(|blocks, out| {
                let mut sink = Sink::new(out);
                if let Ok(challenge) = Challenge::parse(blocks.get(kept)) {
                    challenge.with_nonce(next).write(&mut sink);
                }
                sink.finish()
            });
            // Without room the old nonce stays in use, which is never wrong.
            let Ok(block) = written else { continue };
            let Some(place) = self.auth_place(path, purpose) else {
                return;
            };
            if place.auth.next_nonce(slot, next) {
                self.keep_challenge(path, purpose, slot, block);
            } else {
                self.arena.free(block);
            }
        }
    }

    /// `Client::answer`.
    pub(crate) fn answer_challenge(
        &mut self,
        id: ChallengeId,
        answer: Answer<'_>,
    ) -> Result<(), CommandError> {
        let waiting = |state: RequestState| matches!(state, RequestState::Challenged { id: of, .. } if of == id);
        let row = self
            .requests
            .iter()
            .position(|request| waiting(request.state));
        let row = Row(row.ok_or(CommandError::UnknownId)?);
        let (kind, bytes) = match &answer {
            Answer::Password(password) => (SecretKind::Password, *password),
            Answer::Ha1(ha1) => (SecretKind::Ha1, &ha1[..]),
            Answer::Abandon => {
                self.abandon(row);
                return Ok(());
            }
        };
        let block = self
            .arena
            .alloc(bytes)
            .map_err(crate::client::engine::full)?;
        self.forget_given();
        self.core.given = Some(Given { block, kind });
        // Everything that waits for a secret goes on with this one.
        for at in 0..self.requests.len() {
            let state = self.requests.get(at).map(|request| request.state);
            if matches!(state, Some(RequestState::Challenged { .. })) {
                self.retry_with_credentials(Row(at));
            }
        }
        Ok(())
    }

    /// The challenge of this row will not be answered.
    pub(crate) fn abandon(&mut self, row: Row) {
        match self.requests.get(row.0).map(|request| request.kind) {
            Some(RequestKind::Register) => self.register_abandoned(row),
            Some(_) => self.end_request(row, Err(Failure::Abandoned)),
            None => {}
        }
    }

    fn forget_given(&mut self) {
        if let Some(given) = self.core.given.take() {
            self.arena.free(given.block);
        }
    }

    /// Forgets what the servers of a path asked: it leads to another one now.
    pub(crate) fn reset_auth(&mut self, path: PathId) {
        for purpose in [Purpose::Register, Purpose::Other] {
            let Some(place) = self.auth_place(path, purpose) else {
                return;
            };
            place.auth.reset();
            let kept = core::mem::replace(&mut place.kept, [None; MAX_REALMS]);
            for block in kept.into_iter().flatten() {
                self.arena.free(block);
            }
        }
    }

    fn acceptable(&self) -> Acceptable {
        let kind = self
            .core
            .given
            .map_or(self.core.policy.secret, |given| given.kind);
        let floor = match self.core.policy.digest_floor {
            DigestFloor::Md5 => Floor::Md5,
            DigestFloor::Sha256 => Floor::Sha256,
        };
        match kind {
            SecretKind::Ha1 => Acceptable::ha1(Hash::Md5),
            SecretKind::Ask => Acceptable::ANY,
            SecretKind::Password | SecretKind::None => Acceptable::PASSWORD,
        }
        .with_floor(floor)
    }

    /// The configured realm; one longer than the buffer matches none.
    fn copy_realm<'r>(&self, out: &'r mut [u8; 128]) -> Option<&'r [u8]> {
        let realm = self.core.account.get(&self.arena, Field::Realm);
        if realm.is_empty() {
            return None;
        }
        let place = out.get_mut(..realm.len())?;
        place.copy_from_slice(realm);
        Some(place)
    }
}

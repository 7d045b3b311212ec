//! The digest client: which challenge to answer, how often, and with which count.
//!
//! One [`Auth`] serves all requests of a path. For each realm that asked, as server (401) or as
//! proxy (407), it keeps a slot: by what fingerprint the realm and its nonce are known again, how
//! often the nonce was used, our cnonce. It owns no text; the caller keeps the bytes of the
//! challenge for each [`Slot`]. Each request carries an [`Attempts`]: what it has answered and with
//! which nonce, so that it ends.
//!
//! The round goes: a 401 or 407 comes in, its challenges go to [`Auth::decide`]. On
//! [`Decision::Answer`] the caller keeps the challenges that it names and builds the request again,
//! with the next CSeq (RFC 3261 §22.2). Whenever a request is built, [`Auth::usable`] gives the
//! slots; for each the caller reads the kept challenge, takes count and cnonce from
//! [`Auth::credentials`], writes the header, and says [`Auth::sent`] once the bytes are out. A 2xx
//! goes to [`Auth::accepted`], its `nextnonce` to [`Auth::next_nonce`]. On [`Decision::GiveUp`]
//! the request ends with the status it got.
//!
//! ```
//! use oma_im::sip::auth::{Attempts, Auth, Challenger, Decision, Policy, Reason};
//! use oma_im::wire::digest::{Acceptable, Challenges, Cnonce};
//!
//! let mut auth = Auth::new();
//! let mut request = Attempts::new();
//! let policy = Policy::new(Acceptable::PASSWORD);
//! let header = br#"Digest realm="a.example",nonce="1",qop="auth""#;
//! let challenges = || Challenges::new(header).flatten().map(|c| (Challenger::Server, c));
//!
//! let Decision::Answer(taken) = auth.decide(challenges(), &mut request, &policy, Cnonce(7)) else {
//!     panic!("a first challenge is answered")
//! };
//! let (slot, kept) = taken.iter().next().unwrap();
//! assert_eq!(kept, header);
//! assert_eq!(auth.credentials(slot).unwrap().nc, 1);
//! auth.sent(slot, &mut request);
//! // The same nonce once more: the password is wrong.
//! assert!(matches!(
//!     auth.decide(challenges(), &mut request, &policy, Cnonce(8)),
//!     Decision::GiveUp(Reason::Rejected)
//! ));
//! ```

use core::num::NonZeroU32;

use crate::wire::digest::{Acceptable, Challenge, Cnonce, Freshness, Quoted, Unanswerable};
use crate::wire::name::Name;

/// How many realms, as server or as proxy, one path can have credentials for at a time.
pub const MAX_REALMS: usize = 3;

/// How many challenges one request answers in all, whatever their realms.
pub const MAX_ANSWERS: u8 = 6;

/// Who asks: the server with 401, or a proxy on the way with 407.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Challenger {
    /// The user agent server or registrar (RFC 3261 §22.2).
    Server,
    /// A proxy (RFC 3261 §22.3).
    Proxy,
}

impl Challenger {
    /// The header field that carries its challenge.
    pub const fn challenge(self) -> Name {
        match self {
            Self::Server => Name::WwwAuthenticate,
            Self::Proxy => Name::ProxyAuthenticate,
        }
    }

    /// The header field that carries our credentials.
    pub const fn credentials(self) -> Name {
        match self {
            Self::Server => Name::Authorization,
            Self::Proxy => Name::ProxyAuthorization,
        }
    }

    /// The header field that carries its `nextnonce` and `rspauth`.
    pub const fn info(self) -> Name {
        match self {
            Self::Server => Name::AuthenticationInfo,
            Self::Proxy => Name::ProxyAuthenticationInfo,
        }
    }
}

/// Whose challenges are answered. Credentials shown to a stranger can be attacked at leisure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealmPolicy<'a> {
    /// Anyone's.
    Any,
    /// Those of this realm only, byte for byte (RFC 3261 §22.1).
    Only(&'a [u8]),
    /// Anyone's until credentials were accepted on this path, then those of realms that did.
    FirstAccepted,
}

/// Where the secret comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SecretSource {
    /// It is at hand.
    Held,
    /// The application has to be asked.
    Ask,
}

/// What to make of a challenge with a new nonce but without `stale`, after an answer to the same
/// realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum UnmarkedNonce {
    /// Answer once more: many servers forget `stale`, and clusters do not share their nonces.
    TryAgain,
    /// The credentials were rejected (RFC 3261 §22.1, to the letter).
    Reject,
}

/// What is answered and how often.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Whose challenges.
    pub realm: RealmPolicy<'a>,
    /// Which algorithms.
    pub acceptable: Acceptable,
    /// Where the secret comes from.
    pub secret: SecretSource,
    /// A new nonce without `stale`.
    pub unmarked: UnmarkedNonce,
    /// How many challenges of a realm one request answers.
    pub answers: u8,
}

impl Policy<'_> {
    /// The default: two answers per request and realm (one, and one more for a new nonce), with
    /// the secret at hand, to the realms that have accepted it.
    pub const fn new(acceptable: Acceptable) -> Self {
        Self {
            realm: RealmPolicy::FirstAccepted,
            acceptable,
            secret: SecretSource::Held,
            unmarked: UnmarkedNonce::TryAgain,
            answers: 2,
        }
    }
}

/// The place of one realm in an [`Auth`], and of its challenge with the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slot(usize);

impl Slot {
    /// Below [`MAX_REALMS`].
    pub const fn index(self) -> usize {
        self.0
    }
}

/// What credentials take beside challenge and secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Use {
    /// The nonce count (RFC 7616 §3.4).
    pub nc: u32,
    /// Our nonce, the same as long as the server's is in use.
    pub cnonce: Cnonce,
}

/// What is to be done about a 401 or 407.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'b> {
    /// Keep these challenges and send the request again with credentials.
    Answer(Taken<'b>),
    /// The same, once the application has given the secret.
    Ask(Taken<'b>),
    /// The request ends with the status it got.
    GiveUp(Reason),
}

/// The challenges that are answered, by slot: their bytes are to be kept in place of older ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken<'b> {
    by_slot: [Option<&'b [u8]>; MAX_REALMS],
}

impl<'b> Taken<'b> {
    /// Slot and bytes of each challenge; [`Challenge::parse`] reads them again.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &'b [u8])> + '_ {
        let slots = self.by_slot.iter().enumerate();
        slots.filter_map(|(at, kept)| kept.map(|bytes| (Slot(at), bytes)))
    }

    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// Why no challenge of a response is answered; of several the weightiest, the last here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reason {
    /// There is no digest challenge.
    NoChallenge,
    /// Algorithm or `qop` are not supported, or our secret does not serve for them.
    Unsupported,
    /// Only algorithms below the floor (RFC 8760 §3).
    BelowFloor,
    /// A realm that our credentials are not bound to.
    ForeignRealm,
    /// Every slot holds a realm that has accepted our credentials.
    NoSlot,
    /// The server always finds the nonce stale, or asks for ever new realms.
    TooMany,
    /// Username or password are wrong.
    Rejected,
}

#[derive(Clone, Copy, Debug)]
struct State {
    realm: u64,
    cnonce: Cnonce,
    nonce: NonZeroU32,
    nc: u32,
    by: Challenger,
    /// The realm took our credentials once: it is one of ours.
    accepted: bool,
    /// The last ones were refused: no more of them unasked.
    rejected: bool,
    /// The algorithm is a session variant.
    session: bool,
    /// Tells this tenant of the slot from those before it.
    tenant: u8,
}

/// The digest state of one path.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    slots: [Option<State>; MAX_REALMS],
    tenants: u8,
}

/// What one request has answered so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts {
    slots: [Attempt; MAX_REALMS],
    answers: u8,
}

impl Attempts {
    /// Of a request that has not been sent.
    pub const NEW: Self = Self {
        slots: [Attempt {
            sent: None,
            answers: 0,
            tenant: 0,
        }; MAX_REALMS],
        answers: 0,
    };

    /// Of a request that has not been sent.
    pub const fn new() -> Self {
        Self::NEW
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempt {
    /// The nonce of the credentials last sent.
    sent: Option<NonZeroU32>,
    answers: u8,
    tenant: u8,
}

impl Auth {
    /// Of a path on which nobody has asked yet.
    pub const fn new() -> Self {
        Self {
            slots: [None; MAX_REALMS],
            tenants: 0,
        }
    }

    /// Decides about the challenges of one 401 or 407, in their order, both kinds of header.
    ///
    /// Of the challenges of one realm and kind the topmost acceptable one counts (RFC 8760 §2.4);
    /// those of other realms are answered beside it (RFC 3261 §22.3). `cnonce` is a fresh random
    /// number, used for those that bring a new nonce.
    pub fn decide<'b>(
        &mut self,
        challenges: impl IntoIterator<Item = (Challenger, Challenge<'b>)>,
        attempts: &mut Attempts,
        policy: &Policy<'_>,
        cnonce: Cnonce,
    ) -> Decision<'b> {
        let mut taken = Taken::default();
        let mut reason = Reason::NoChallenge;
        // Realms that were decided about, so that a wrong password for SHA-256 is not tried on MD5.
        let mut seen = [None; MAX_REALMS];
        for (by, challenge) in challenges {
            let realm = challenge.realm.fingerprint();
            if seen.contains(&Some((by, realm))) {
                continue;
            }
            if let Err(why) = policy.acceptable.check(&challenge) {
                reason = reason.max(match why {
                    Unanswerable::BelowFloor => Reason::BelowFloor,
                    Unanswerable::Algorithm | Unanswerable::Qop => Reason::Unsupported,
                });
                continue;
            }
            let Some(free) = seen.iter_mut().find(|seen| seen.is_none()) else {
                reason = reason.max(Reason::NoSlot);
                break;
            };
            *free = Some((by, realm));
            match self.answer(by, &challenge, realm, &taken, attempts, policy, cnonce) {
                Ok(slot) => {
                    if let Some(place) = taken.by_slot.get_mut(slot.0) {
                        *place = Some(challenge.as_bytes());
                    }
                }
                Err(why) => reason = reason.max(why),
            }
        }
        match policy.secret {
            _ if taken.is_empty() => Decision::GiveUp(reason),
            SecretSource::Held => Decision::Answer(taken),
            SecretSource::Ask => Decision::Ask(taken),
        }
    }

    /// The slots whose kept challenge can be answered before it is asked again.
    ///
    /// Credentials for proxies belong into every request on the path, those for servers into
    /// requests to the server that asked (RFC 3261 §22.2, §22.3).
    pub fn usable(&self, by: Challenger) -> impl Iterator<Item = Slot> + '_ {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(move |(at, state)| {
            let state = state.as_ref()?;
            (state.by == by && !state.rejected).then_some(Slot(at))
        })
    }

    /// Count and cnonce for the next credentials of a slot; changes nothing.
    pub fn credentials(&self, slot: Slot) -> Option<Use> {
        let state = self.slots.get(slot.0)?.as_ref()?;
        Some(Use {
            nc: state.nc.saturating_add(1),
            cnonce: state.cnonce,
        })
    }

    /// Credentials of this slot went out with a request: the count is used up.
    ///
    /// Not for retransmissions, which are the same bytes.
    pub fn sent(&mut self, slot: Slot, attempts: &mut Attempts) {
        if let Some(Some(state)) = self.slots.get_mut(slot.0)
            && let Some(attempt) = attempts.slots.get_mut(slot.0)
        {
            state.nc = state.nc.saturating_add(1);
            attempt.enter(state.tenant);
            attempt.sent = Some(state.nonce);
        }
    }

    /// Whether credentials were accepted on this path, and none of them for this realm.
    pub fn is_foreign(&self, realm: Quoted<'_>) -> bool {
        let realm = realm.fingerprint();
        let mut ours = self.slots.iter().flatten().filter(|state| state.accepted);
        let first = ours.next();
        first.is_some_and(|first| first.realm != realm && ours.all(|state| state.realm != realm))
    }

    /// A request got a 2xx: the credentials it carried were right.
    pub fn accepted(&mut self, attempts: &Attempts) {
        for (state, attempt) in self.slots.iter_mut().zip(&attempts.slots) {
            if let Some(state) = state
                && attempt.tenant == state.tenant
                && attempt.sent.is_some()
            {
                state.accepted = true;
                state.rejected = false;
            }
        }
    }

    /// The slot that an Authentication-Info is about: it names no realm, so it has to be the only
    /// one of its kind that the request had credentials for.
    pub fn answered(&self, by: Challenger, attempts: &Attempts) -> Option<Slot> {
        let states = self.slots.iter().zip(&attempts.slots).enumerate();
        let mut sent = states.filter_map(|(at, (state, attempt))| {
            let state = state.as_ref()?;
            let carried = attempt.tenant == state.tenant && attempt.sent.is_some();
            (state.by == by && carried).then_some(Slot(at))
        });
        sent.next().filter(|_| sent.next().is_none())
    }

    /// The server asks for another nonce from now on (RFC 7616 §3.5).
    ///
    /// `true`: the count starts again, and the challenge is to be kept with this nonce
    /// ([`Challenge::with_nonce`]). `false`: it is not followed, which is never wrong. That is so
    /// with the session algorithms: their A1 belongs to the nonce of the challenge (§3.4.2), and
    /// servers differ on what a nextnonce does to it.
    pub fn next_nonce(&mut self, slot: Slot, nonce: Quoted<'_>) -> bool {
        match self.slots.get_mut(slot.0) {
            Some(Some(state)) if !state.session => {
                let mark = mark(nonce);
                if state.nonce != mark {
                    state.nonce = mark;
                    state.nc = 0;
                }
                true
            }
            _ => false,
        }
    }

    /// The secret was changed, or the path is a new one: nothing is known any more.
    pub fn reset(&mut self) {
        self.slots = [None; MAX_REALMS];
    }

    #[allow(clippy::too_many_arguments)] // The loop body of `decide`, which alone calls it.
    fn answer(
        &mut self,
        by: Challenger,
        challenge: &Challenge<'_>,
        realm: u64,
        taken: &Taken<'_>,
        attempts: &mut Attempts,
        policy: &Policy<'_>,
        cnonce: Cnonce,
    ) -> Result<Slot, Reason> {
        if !self.is_bound(challenge, realm, policy.realm) {
            return Err(Reason::ForeignRealm);
        }
        let nonce = mark(challenge.nonce);
        let slot = self.find_or_make(by, realm, nonce, taken, cnonce)?;
        let (Some(Some(state)), Some(attempt)) =
            (self.slots.get_mut(slot.0), attempts.slots.get_mut(slot.0))
        else {
            return Err(Reason::NoSlot);
        };
        attempt.enter(state.tenant);

        let after = match (attempt.sent, challenge.stale) {
            (None, _) => After::Nothing,
            (Some(_), Freshness::Stale) => After::Stale,
            (Some(sent), Freshness::New) if sent == nonce => After::Rejected,
            (Some(_), Freshness::New) => After::Unmarked,
        };
        let capped = attempt.answers >= policy.answers || attempts.answers >= MAX_ANSWERS;
        let refused = match after {
            // RFC 3261 §22.1: not again with the credentials that have just been rejected.
            After::Rejected => Some(Reason::Rejected),
            After::Unmarked if attempt.answers > 0 && policy.unmarked == UnmarkedNonce::Reject => {
                Some(Reason::Rejected)
            }
            After::Unmarked if capped => Some(Reason::Rejected),
            After::Nothing | After::Stale if capped => Some(Reason::TooMany),
            After::Nothing | After::Stale | After::Unmarked => None,
        };
        if let Some(reason) = refused {
            // Other requests do not offer them first, unless a newer nonce is in use by now.
            if reason == Reason::Rejected && attempt.sent == Some(state.nonce) {
                state.rejected = true;
            }
            return Err(reason);
        }

        if state.nonce != nonce {
            // RFC 7616 §3.4: nc counts the requests with this nonce.
            state.nonce = nonce;
            state.nc = 0;
            state.cnonce = cnonce;
        }
        state.session = challenge.algorithm.is_session();
        state.rejected = false;
        attempt.answers = attempt.answers.saturating_add(1);
        attempts.answers = attempts.answers.saturating_add(1);
        Ok(slot)
    }

    fn is_bound(&self, challenge: &Challenge<'_>, realm: u64, policy: RealmPolicy<'_>) -> bool {
        let ours = || self.slots.iter().flatten().filter(|state| state.accepted);
        match policy {
            RealmPolicy::Any => true,
            RealmPolicy::Only(name) => challenge.realm == *name,
            RealmPolicy::FirstAccepted => {
                ours().next().is_none() || ours().any(|state| state.realm == realm)
            }
        }
    }

    /// The slot of this realm; else a free one, or one whose realm has accepted nothing so far.
    fn find_or_make(
        &mut self,
        by: Challenger,
        realm: u64,
        nonce: NonZeroU32,
        taken: &Taken<'_>,
        cnonce: Cnonce,
    ) -> Result<Slot, Reason> {
        let same = |state: &State| state.by == by && state.realm == realm;
        let slots = &self.slots;
        if let Some(at) = slots.iter().position(|s| s.as_ref().is_some_and(same)) {
            return Ok(Slot(at));
        }
        let at = slots
            .iter()
            .position(Option::is_none)
            .or_else(|| {
                let mut idle = slots.iter().zip(&taken.by_slot);
                idle.position(|(s, taken)| taken.is_none() && s.is_some_and(|s| !s.accepted))
            })
            .ok_or(Reason::NoSlot)?;
        self.tenants = self.tenants.wrapping_add(1);
        let state = State {
            realm,
            cnonce,
            nonce,
            nc: 0,
            by,
            accepted: false,
            rejected: false,
            session: false,
            tenant: self.tenants,
        };
        if let Some(place) = self.slots.get_mut(at) {
            *place = Some(state);
        }
        Ok(Slot(at))
    }
}

impl Attempt {
    /// Forgets what belongs to an earlier tenant of the slot.
    fn enter(&mut self, tenant: u8) {
        if self.tenant != tenant {
            *self = Self {
                tenant,
                ..Self::default()
            };
        }
    }
}

/// What a challenge follows on, within one request and realm.
enum After {
    /// No credentials were sent.
    Nothing,
    /// Credentials whose nonce was too old.
    Stale,
    /// Credentials with this very nonce.
    Rejected,
    /// Credentials with another nonce.
    Unmarked,
}

/// By what a nonce is known again. Two that are confused cost one retry, nothing more.
fn mark(nonce: Quoted<'_>) -> NonZeroU32 {
    let [.., a, b, c, d] = nonce.fingerprint().to_be_bytes();
    NonZeroU32::new(u32::from_be_bytes([a, b, c, d])).unwrap_or(NonZeroU32::MIN)
}

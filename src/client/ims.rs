//! What is particular to an IMS core (3GPP TS 24.229): OMA IM 5.2.4-12 and 8.1.1-I.
//!
//! A registration begins unprotected. Before each REGISTER that may be challenged the platform is asked for the numbers
//! of its offer (SPIs and ports). The 401 brings what the card is asked and what the P-CSCF takes of the offer
//! ([`agree`]): the card answers, the platform installs a set of security associations and opens the path
//! over them, and the REGISTER goes once more, by the new path. Its 200 makes the set the one in use; the set
//! before lives until a message came by the new one and its own transactions have ended. What the path adds to
//! requests and answers is written in [`put`]; identities and the restoration after a 504 are in [`restore`];
//! the sets and their flows in [`sets`].
//!
//! There is one such registration, on path 0. RES, IK and CK are used while `answer` runs and never kept;
//! what is kept is the response, which a refresh repeats (TS 24.229 §5.1.1.4.2).
//!
//! When to register and how long to wait stays with [`crate::sip::registration`]: the whole exchange is one
//! REGISTER to it. What the platform has to do is marked in the state and told by `poll_output`, so no event can be lost.

mod agree;
mod put;
mod restore;
mod sets;

use core::net::IpAddr;

use heapless::Deque;

use crate::arena::Block;
use crate::client::engine::{Engine, Role};
use crate::client::event::CloseReason;
use crate::client::flows::{Flow, LongFlow, PathState, Told};
use crate::config::{Core, SecurityFloor, Transport};
use crate::error::CommandError;
use crate::id::{FlowId, OpenId, PathId, SecurityId};
use crate::limits::{MAX_ACCESS_NETWORK, MAX_MECHANISMS};
use crate::sip::registration::{Failure as RegisterFailure, State};
use crate::time::Instant;
use crate::wire::digest::{Auts, Cnonce, Response};
use crate::wire::header::{Ipsec3gpp, IpsecSuite};
use crate::wire::name::Status;
use crate::wire::writer::AccessNetworkInfo;

pub(crate) use sets::{ProtectedLoss, ProtectedWay};

/// The path of the one registration.
const PATH: PathId = PathId(0);
/// TS 24.229 §5.1.1.2.2: security associations live so much longer than the registration, in milliseconds.
const LONGER: u64 = 30_000;
/// TS 24.229 §7.8, reg-await-auth: how long the set of a challenge lives, in milliseconds.
const AWAIT_AUTH: u64 = 240_000;
/// Protected requests in a row without an answer that show that the associations are gone (§5.1.1.2.1: several).
const UNANSWERED_MAX: u8 = 3;

/// One side's numbers of an agreement on security (3GPP TS 33.203): those of the platform in
/// `Client::security_offer`, both sides' in
/// [`Event::InstallSecurity`](crate::client::Event::InstallSecurity).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct SecurityOffer {
    /// The SPI of what comes in at the protected client port; 256 and more (RFC 4303 §2.1).
    pub spi_c: u32,
    /// The SPI of what comes in at the protected server port.
    pub spi_s: u32,
    /// The protected client port.
    pub port_c: u16,
    /// The protected server port.
    pub port_s: u16,
}

impl SecurityOffer {
    fn is_fit(&self) -> bool {
        let spis = self.spi_c.min(self.spi_s) >= 256 && self.spi_c != self.spi_s;
        spis && self.port_c != 0 && self.port_s != 0 && self.port_c != self.port_s
    }

    /// TS 24.229 §5.1.1.4.2, §5.1.1.5.3: SPIs and port-c are new.
    fn renews(&self, before: &Self) -> bool {
        let spis = [before.spi_c, before.spi_s];
        self.port_c != before.port_c && !spis.contains(&self.spi_c) && !spis.contains(&self.spi_s)
    }
}

impl From<Ipsec3gpp> for SecurityOffer {
    fn from(element: Ipsec3gpp) -> Self {
        let Ipsec3gpp {
            spi_c,
            spi_s,
            port_c,
            port_s,
            ..
        } = element;
        Self {
            spi_c,
            spi_s,
            port_c,
            port_s,
        }
    }
}

/// The decisions of the integrator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImsPolicy {
    suites: [Option<IpsecSuite>; MAX_MECHANISMS],
    floor: SecurityFloor,
    invalid_challenges: u8,
}

impl ImsPolicy {
    pub(crate) fn new(core: Core<'_>) -> Option<Self> {
        let Core::Ims(ims) = core else {
            return None;
        };
        let mut suites = [None; MAX_MECHANISMS];
        for (place, suite) in suites.iter_mut().zip(ims.mechanisms) {
            *place = Some(*suite);
        }
        Some(Self {
            suites,
            floor: ims.floor,
            invalid_challenges: ims.invalid_challenges,
        })
    }

    fn suites(&self) -> impl Iterator<Item = IpsecSuite> {
        self.suites.into_iter().flatten()
    }
}

/// What the platform is waited for, before a REGISTER is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    /// The numbers of the next offer.
    Offer {
        until: Instant,
        told: Told,
    },
}

/// What the Authorization of the next REGISTER says.
#[derive(Clone, Copy, Debug)]
enum Saying {
    /// Nothing but who we are (TS 24.229 §5.1.1.2.2 a).
    First,
    /// The last response, to the last nonce (§5.1.1.4.2 a).
    Proof,
    /// AUTS (§5.1.1.5.3).
    SyncFailure(Auts),
    /// An empty response (§5.1.1.5.3).
    MacFailure,
}

/// A flow of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Not there, or not needed.
    None,
    Opening {
        open: OpenId,
        told: Told,
    },
    Up(FlowId),
}

impl Way {
    fn is(self, flow: FlowId) -> bool {
        self == Self::Up(flow)
    }

    const fn flow(self) -> Option<FlowId> {
        match self {
            Self::Up(flow) => Some(flow),
            Self::None | Self::Opening { .. } => None,
        }
    }
}

/// How far a set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The card has not answered: nothing is installed.
    Challenged,
    /// For the REGISTER that answers the challenge.
    Temporary,
    /// For everything.
    InUse,
    /// For what is under way on it; the other one is in use.
    Retiring(Heard),
}

/// Whether a message came by the set that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    No,
    Yes,
}

/// What the platform has not been told of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    None,
    Install,
    Extend,
}

/// A set of security associations.
#[derive(Clone, Copy, Debug)]
struct Set {
    id: SecurityId,
    stage: Stage,
    news: News,
    suite: IpsecSuite,
    ours: SecurityOffer,
    theirs: SecurityOffer,
    /// The P-CSCF.
    server: IpAddr,
    transport: Transport,
    /// The Security-Server list, byte for byte.
    list: Block,
    /// What we send on, and, over a connection, receive.
    out: Way,
    /// Over UDP: what the P-CSCF sends on.
    back: Way,
    until: Instant,
}

impl Set {
    /// A connection that the P-CSCF opened: from its port-c to our port-s.
    fn accepts(&self, flow: &Flow) -> bool {
        flow.local.port() == self.ours.port_s
            && flow.remote.port() == self.theirs.port_c
            && flow.remote.ip() == self.server
    }
}

/// Which of the sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Current,
    Other,
}

/// The registration on an IMS core.
pub(crate) struct ImsState {
    wanted: Wanted,
    /// What the last REGISTER offered.
    offer: Option<SecurityOffer>,
    saying: Saying,
    /// The last response; RES is not kept.
    proof: Option<Response>,
    cnonce: Cnonce,
    /// The last challenge.
    challenge: Option<Block>,
    /// Invalid challenges in a row.
    invalid: u8,
    /// Agreements that the server wanted anew, in a row.
    renewed: u8,
    /// Protected requests in a row that nobody answered.
    unanswered: u8,
    /// The one in use.
    current: Option<Set>,
    /// The one that comes, or the one before.
    other: Option<Set>,
    /// Sets that the platform was told to install, and not yet to delete.
    deleted: Deque<SecurityId, 4>,
    /// Path of the last 200, to recognise a 504 by (TS 24.229 §5.1.2A.1.6).
    path: Option<Block>,
    /// P-Access-Network-Info.
    access: Option<Block>,
}

impl ImsState {
    pub(crate) const NEW: Self = Self {
        wanted: Wanted::Nothing,
        offer: None,
        saying: Saying::First,
        proof: None,
        cnonce: Cnonce(0),
        challenge: None,
        invalid: 0,
        renewed: 0,
        unanswered: 0,
        current: None,
        other: None,
        deleted: Deque::new(),
        path: None,
        access: None,
    };

    fn set(&self, which: Which) -> Option<&Set> {
        match which {
            Which::Current => self.current.as_ref(),
            Which::Other => self.other.as_ref(),
        }
    }

    fn set_mut(&mut self, which: Which) -> Option<&mut Set> {
        match which {
            Which::Current => self.current.as_mut(),
            Which::Other => self.other.as_mut(),
        }
    }

    /// The set for the REGISTER that answers a challenge.
    fn coming(&self) -> Option<&Set> {
        let coming = |set: &&Set| matches!(set.stage, Stage::Challenged | Stage::Temporary);
        self.other.as_ref().filter(coming)
    }

    /// When something of this is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let wanted = match self.wanted {
            Wanted::Nothing => None,
            Wanted::Offer { until, .. } => Some(until),
        };
        let sets = [&self.current, &self.other].into_iter().flatten();
        // The request that waits for the card has its own.
        let until = sets
            .filter(|set| set.stage != Stage::Challenged)
            .map(|set| set.until);
        until.chain(wanted).min()
    }

    #[cfg(feature = "testkit")]
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Option<Block>> {
        let list = |set: &Option<Set>| set.as_ref().map(|set| set.list);
        [
            self.challenge,
            self.path,
            self.access,
            list(&self.current),
            list(&self.other),
        ]
        .into_iter()
    }
}

impl Engine<'_> {
    pub(crate) fn is_ims(&self) -> bool {
        self.core.policy.ims.is_some()
    }

    /// Whether a flow that nobody asked for would come between: there is a protected path.
    pub(crate) fn has_security(&self) -> bool {
        self.core.ims.current.is_some() || self.core.ims.other.is_some()
    }

    // In: what the platform says.

    /// `Client::security_offer`.
    pub(crate) fn security_offer(
        &mut self,
        path: PathId,
        offer: SecurityOffer,
    ) -> Result<(), CommandError> {
        let ims = &self.core.ims;
        if path != PATH || ims.wanted == Wanted::Nothing {
            return Err(CommandError::WrongState);
        }
        let fits_set = |set: &Set| offer.renews(&set.ours) && offer.port_s == set.ours.port_s;
        let fits = ims.current.as_ref().is_none_or(fits_set)
            && ims.other.as_ref().is_none_or(fits_set)
            && ims.offer.is_none_or(|last| offer.renews(&last));
        if !offer.is_fit() || !fits {
            return Err(CommandError::SecurityOffer);
        }
        self.core.ims.wanted = Wanted::Nothing;
        self.core.ims.offer = Some(offer);
        self.queue_register(PATH);
        Ok(())
    }

    /// `Client::access_network`.
    pub(crate) fn access_network(&mut self, value: &str) -> Result<(), CommandError> {
        if !self.is_ims() {
            return Err(CommandError::WrongState);
        }
        let block = if value.is_empty() {
            None
        } else {
            let value = AccessNetworkInfo::new(value).map_err(|_| CommandError::Text)?;
            let value = value.as_str().as_bytes();
            if value.len() > MAX_ACCESS_NETWORK {
                return Err(CommandError::Text);
            }
            let block = self.arena.alloc(value);
            Some(block.map_err(crate::client::engine::full)?)
        };
        if let Some(old) = core::mem::replace(&mut self.core.ims.access, block) {
            self.arena.free(old);
        }
        Ok(())
    }

    // Registration.

    /// A REGISTER is wanted. A first one goes unprotected (TS 24.229 §5.1.1.2.1); one for a binding that stands goes by
    /// the protected path, with the last response (§5.1.1.4.2).
    pub(crate) fn begin_register(&mut self, path_id: PathId) {
        self.drop_coming();
        self.core.ims.invalid = 0;
        let first = self
            .path(path_id)
            .is_some_and(|path| matches!(path.registration.state(), State::Registering { .. }));
        if first && self.core.ims.current.is_some() {
            self.drop_security();
            if let Some(path) = self.path_mut(path_id) {
                // The new flow takes this REGISTER up.
                path.failover = Some(RegisterFailure::TransportFailed);
            }
            return self.open_main(path_id);
        }
        self.core.ims.saying = Saying::Proof;
        if self.core.ims.current.is_none() {
            self.core.ims.saying = Saying::First;
            self.core.ims.proof = None;
            if let Some(block) = self.core.ims.challenge.take() {
                self.arena.free(block);
            }
        }
        self.want_offer();
    }

    /// Asks the platform for the numbers of the next Security-Client. The same wait as for a card bounds it.
    fn want_offer(&mut self) {
        let wait = u64::from(self.core.policy.answer_timeout).saturating_mul(1_000);
        self.core.ims.wanted = Wanted::Offer {
            until: self.core.now.after(wait),
            told: Told::No,
        };
    }

    /// The REGISTER that waited for the platform, or for a protected path, is not wanted any more.
    pub(crate) fn forget_offer(&mut self) {
        self.core.ims.wanted = Wanted::Nothing;
    }

    /// There is no registration any more: nothing of it is worth repeating.
    pub(crate) fn forget_core(&mut self) {
        let ims = &mut self.core.ims;
        ims.proof = None;
        for block in [ims.challenge.take(), ims.path.take()]
            .into_iter()
            .flatten()
        {
            self.arena.free(block);
        }
    }

    /// Whether anything but REGISTER may go by this main flow. TS 24.229 §5.1.2A.1.1: on an IMS core that is protected;
    /// a registration that is not ours is its owner's to protect.
    pub(crate) fn is_safe(&self, main: FlowId) -> bool {
        let current = self.core.ims.current.as_ref();
        !self.is_ims()
            || self.core.role == Role::Adopted
            || current.is_some_and(|set| set.out.is(main))
    }

    /// The flow for a REGISTER: the path that a challenge brought, else the one in use.
    pub(crate) fn register_flow(&self, path: PathId) -> Option<FlowId> {
        let coming = self.core.ims.coming().and_then(|set| set.out.flow());
        coming.or_else(|| self.main_flow(path))
    }

    /// This attempt will come to nothing: the next one has a new Call-ID (TS 24.229 §5.1.1.5.1).
    pub(crate) fn give_up(&mut self) {
        self.drop_register(PATH);
        self.drop_coming();
        self.renew_call_id();
        if let Some(status) = Status::new(494) {
            let failed = RegisterFailure::Status {
                status,
                retry_after: None,
            };
            self.register_failed(PATH, failed);
        }
    }

    fn renew_call_id(&mut self) {
        let (call_id, tag) = (self.core.entropy.u64(), self.core.entropy.u64());
        if let Some(path) = self.path_mut(PATH) {
            path.call_id = call_id;
            path.tag = tag;
        }
    }

    /// The registration is worth nothing any more, and an initial one is made at once.
    fn start_again(&mut self) {
        if self.core.role != Role::Registrant {
            return;
        }
        self.drop_register(PATH);
        self.renew_call_id();
        let Some(path) = self.path_mut(PATH) else {
            return;
        };
        // As after a change of the network: no flow and no association is of use.
        let step = path.registration.network_changed();
        self.registration_step(PATH, step);
    }

    /// RFC 3329 §2.3.1: 494 (and 421) asks for a new agreement. Once that is done at once; says whether it is.
    pub(crate) fn agrees_again(&mut self, status: Status) -> bool {
        if !self.is_ims() || !matches!(status.code(), 421 | 494) || self.core.ims.renewed > 0 {
            return false;
        }
        self.core.ims.renewed = 1;
        self.start_again();
        true
    }

    /// What a 200 to REGISTER does to the sets; says whether it can be believed.
    pub(crate) fn secured(&mut self, granted: u32) -> bool {
        let proved = self
            .core
            .ims
            .coming()
            .is_some_and(|set| set.stage == Stage::Temporary);
        if proved && granted > 0 {
            self.promote();
        } else {
            self.drop_coming();
        }
        let ims = &mut self.core.ims;
        let Some(set) = &mut ims.current else {
            return proved;
        };
        ims.renewed = 0;
        ims.unanswered = 0;
        // TS 24.229 §5.1.1.2.2: the longer of the old life and that of the registration.
        let until = self.core.now.after(
            u64::from(granted)
                .saturating_mul(1_000)
                .saturating_add(LONGER),
        );
        let temporary = set.stage == Stage::Temporary;
        set.stage = Stage::InUse;
        if granted > 0 && (temporary || until > set.until) {
            set.until = until;
            set.news = match set.news {
                News::Install => News::Install,
                News::None | News::Extend => News::Extend,
            };
        }
        true
    }

    /// The set that came is in use now, and its path the main one.
    fn promote(&mut self) {
        let Some(set) = self.core.ims.other.take() else {
            return;
        };
        let old = self.core.ims.current.replace(set);
        let main = self.main_flow(PATH);
        let Some(path) = self.path_mut(PATH) else {
            return;
        };
        if let Some(flow) = set.out.flow() {
            path.state = PathState::Up { flow };
        }
        let long = core::mem::replace(&mut path.long, LongFlow::None);
        if let LongFlow::Open { flow } = long {
            self.drop_flow(flow, CloseReason::NotNeeded);
        }
        match old {
            // Its requests and answers end on it.
            Some(old) => {
                self.core.ims.other = Some(Set {
                    stage: Stage::Retiring(Heard::No),
                    ..old
                });
            }
            None => {
                if let Some(main) = main {
                    self.drop_flow(main, CloseReason::NotNeeded);
                }
            }
        }
    }
}

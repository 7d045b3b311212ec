//! Paths and their flows: opened, lost, replaced.
//!
//! A path is one next hop with the registration on it, the address that it gives out, what its
//! servers asked and said, and its flows: a main one, and for requests that are too long for
//! datagrams a stream beside it. The driver opens flows; the client says which and counts the
//! attempts, so that the driver hands out the next candidate of its list each time. When the list
//! of one next hop is at its end, the other one is tried, if it is not registered by itself
//! (outbound), and then the wait of RFC 5626 §4.5 begins. How flows end is in [`ends`], how they are kept
//! open in [`keep_alive`].

mod ends;
mod keep_alive;

use core::net::{IpAddr, SocketAddr};

use crate::arena::Block;
use crate::client::account::Field;
use crate::client::credentials::AuthPlace;
use crate::client::engine::{Engine, Role};
use crate::client::event::{CloseReason, FlowInfo, OpenFailure, Origin, Purpose};
use crate::client::requests::Step;
use crate::client::serve::reliability;
use crate::config::{KeepAlive as KeepAlivePolicy, Nat, Transport};
use crate::id::{FlowId, OpenId, PathId};
use crate::limits::{MAX_CANDIDATES, MAX_FLOWS, MAX_PATHS};
use crate::sip::backoff::{Backoff, BackoffConfig, OtherFlows};
use crate::sip::keepalive::{Indication, KeepAlive};
use crate::sip::registration::{
    Failure as RegisterFailure, Registration, RegistrationConfig, State,
};
use crate::time::Instant;
use crate::wire::framer::{Framer, Limits};
use crate::wire::message::MAX_HEAD;
use crate::wire::stun::TransactionId;

/// How long a flow must stand to count as one that works, in milliseconds, where no keep-alive
/// shows it: the shorter base time of RFC 5626 §4.5.
const STABLE: u64 = 30_000;

/// A path.
pub(crate) struct Path {
    pub(crate) state: PathState,
    pub(crate) long: LongFlow,
    /// Which next hop of the configuration it leads to.
    pub(crate) hop: u8,
    /// Which candidate of the driver's list.
    pub(crate) attempt: u16,
    /// Next hops whose lists were at their end since the last success.
    pub(crate) exhausted: u8,
    /// A REGISTER failed in a way that sends it to the next candidate.
    pub(crate) failover: Option<RegisterFailure>,
    pub(crate) registration: Registration,
    /// For a registration that is not ours: when the flow is opened again.
    pub(crate) reopen: Option<Instant>,
    pub(crate) backoff: Backoff,
    /// Call-ID and From tag of the REGISTERs of this path (RFC 3261 §10.2).
    pub(crate) call_id: u64,
    pub(crate) tag: u64,
    pub(crate) cseq: u32,
    /// The random part of our Contact user.
    pub(crate) contact: u32,
    /// Our address on this flow as the server sees it, where that is another one. The application
    /// was told, and with `Nat::Rewrite` the Contact shows it.
    pub(crate) mapped: Option<Place>,
    pub(crate) rewrite: Rewrite,
    pub(crate) route: Option<Block>,
    pub(crate) associated: Option<Block>,
    pub(crate) gruus: Option<Block>,
    pub(crate) auth_register: AuthPlace,
    pub(crate) auth_other: AuthPlace,
}

/// What the REGISTER under way has to do with the address that the Contact shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rewrite {
    /// Nothing.
    Settled,
    /// It shows a new address for the first time, and takes this one back.
    UnderWay {
        /// The address that the last one showed.
        old: Place,
    },
}

/// An address and a port, without what `SocketAddr` keeps beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    ip: IpAddr,
    port: u16,
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self {
            ip: address.ip(),
            port: address.port(),
        }
    }
}

impl From<Place> for SocketAddr {
    fn from(place: Place) -> Self {
        Self::new(place.ip, place.port)
    }
}

/// Whether a path has its main flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathState {
    Down,
    Opening { open: OpenId, told: Told },
    Up { flow: FlowId },
}

/// The stream beside a datagram flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LongFlow {
    None,
    Opening {
        open: OpenId,
        told: Told,
    },
    Open {
        flow: FlowId,
    },
    /// It was refused: long requests go as datagrams (RFC 3261 §18.1.1).
    Refused,
}

/// Whether the driver was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    No,
    Yes,
}

/// A flow.
pub(crate) struct Flow {
    pub(crate) id: FlowId,
    pub(crate) path: Option<PathId>,
    pub(crate) transport: Transport,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) since: Instant,
    pub(crate) framer: Framer,
    pub(crate) keep: Option<KeepAlive>,
    pub(crate) pong: Pong,
    pub(crate) stun: TransactionId,
    /// The flow that answers go by: this one, unless it carries messages one way only.
    pub(crate) answers: FlowId,
}

/// Whether the next CR LF on a stream answers a ping of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pong {
    Due,
    NotDue,
}

impl Path {
    pub(crate) fn new(index: u8, config: &RegistrationConfig) -> Self {
        Self {
            state: PathState::Down,
            long: LongFlow::None,
            hop: index,
            attempt: 0,
            exhausted: 0,
            failover: None,
            registration: Registration::new(config),
            reopen: None,
            backoff: Backoff::new(),
            call_id: 0,
            tag: 0,
            cseq: 0,
            contact: 0,
            mapped: None,
            rewrite: Rewrite::Settled,
            route: None,
            associated: None,
            gruus: None,
            auth_register: AuthPlace::NEW,
            auth_other: AuthPlace::NEW,
        }
    }
}

impl Engine<'_> {
    /// `Client::flow_opened`.
    pub(crate) fn flow_opened(&mut self, id: FlowId, info: &FlowInfo) {
        let path = match info.origin {
            Origin::Accepted if self.accepts(info) => Some((PathId(0), Purpose::ProtectedIn)),
            Origin::Accepted => None,
            // A protected path is not left for one that is none.
            Origin::Given(_) if self.has_security() => {
                return self.close(id, CloseReason::NotNeeded);
            }
            Origin::Given(path) if usize::from(path.0) < MAX_PATHS => Some((path, Purpose::Main)),
            Origin::Asked(open) => match self.opening(open) {
                Some(wanted) => Some(wanted),
                // Nobody waits for it any more.
                None => return self.close(id, CloseReason::NotNeeded),
            },
            Origin::Given(_) => return self.close(id, CloseReason::NotNeeded),
        };
        let stranger = self.core.flows.iter().find(|flow| flow.path.is_none());
        if let (Some(stranger), true, true) = (
            stranger.map(|flow| flow.id),
            path.is_some(),
            self.core.flows.len() >= MAX_FLOWS,
        ) {
            // What peers opened does not keep a path from its server.
            count!(self, flows_refused);
            self.drop_flow(stranger, CloseReason::NotNeeded);
        }
        if self.is_ims() && path.is_some() && self.core.flows.len() >= MAX_FLOWS {
            // Two protected paths at once take all there are.
            self.drop_long();
        }
        if let Origin::Asked(open) = info.origin
            && self.core.flows.len() >= MAX_FLOWS
            && self.protected_opening(open).is_some()
        {
            self.drop_accepted();
        }
        if self.flow(id).is_some() || self.core.flows.len() >= MAX_FLOWS {
            if let Origin::Asked(open) = info.origin
                && self.protected_opening(open).is_some()
            {
                self.protected_failed();
            }
            count!(self, flows_refused);
            return self.close(id, CloseReason::NotNeeded);
        }
        let limits = Limits {
            max_headers: MAX_HEAD.min(usize::from(self.core.policy.stream_buffer)),
            max_message: usize::from(self.core.policy.stream_buffer),
        };
        let main = path.is_some_and(|(_, purpose)| match purpose {
            Purpose::Main => true,
            // A datagram that keeps it open has no way back.
            Purpose::Protected => info.transport.is_stream(),
            Purpose::ProtectedIn | Purpose::LongRequests => false,
        });
        let random = self.core.entropy.u32();
        let keep = main.then(|| {
            let config = self.keep_alive_config();
            KeepAlive::start(self.core.now, &config, reliability(info.transport), random)
        });
        let flow = Flow {
            id,
            path: path.map(|(path, _)| path),
            transport: info.transport,
            local: info.local,
            remote: info.remote,
            since: self.core.now,
            framer: Framer::new(limits),
            keep,
            pong: Pong::NotDue,
            stun: TransactionId([0; 12]),
            answers: id,
        };
        note!(info, "flow {} is open: {:?}", id.0, info.transport);
        // There is room: it was looked for above.
        let _ = self.core.flows.push(flow);
        match path {
            Some((path, Purpose::Main)) => self.main_opened(path, id),
            Some(_) if info.origin == Origin::Accepted => {}
            Some((_, purpose @ (Purpose::Protected | Purpose::ProtectedIn))) => {
                self.protected_opened(purpose, id);
            }
            Some((path, Purpose::LongRequests)) => {
                if let Some(path) = self.path_mut(path) {
                    path.long = LongFlow::Open { flow: id };
                }
            }
            None => {}
        }
    }

    fn main_opened(&mut self, path_id: PathId, id: FlowId) {
        if matches!(self.core.policy.keep_alive, KeepAlivePolicy::Supervised) {
            self.indicate(id, &[Indication::Configuration]);
        }
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        let old = match core::mem::replace(&mut path.state, PathState::Up { flow: id }) {
            PathState::Up { flow } => Some(flow),
            PathState::Down | PathState::Opening { .. } => None,
        };
        if let Some(old) = old {
            self.drop_flow(old, CloseReason::NotNeeded);
        }
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        path.reopen = None;
        path.mapped = None;
        path.rewrite = Rewrite::Settled;
        let long = core::mem::replace(&mut path.long, LongFlow::None);
        if let LongFlow::Open { flow } = long {
            // It led to where the old one did.
            self.drop_flow(flow, CloseReason::NotNeeded);
        }
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        if path.failover.take().is_some() {
            // The REGISTER that the last candidate did not serve goes to this one.
            let _ = path.registration.flow_ready();
            return self.send_register(path_id);
        }
        match self.core.role {
            Role::Registrant => {
                let Some(path) = self.path_mut(path_id) else {
                    return;
                };
                let step = path.registration.flow_ready();
                self.registration_step(path_id, step);
            }
            Role::Adopted => {
                if let Some(path) = self.path_mut(path_id) {
                    path.exhausted = 0;
                }
            }
            Role::Idle | Role::Leaving { .. } => {}
        }
    }

    /// What a flow was asked for.
    fn opening(&self, id: OpenId) -> Option<(PathId, Purpose)> {
        if let Some(purpose) = self.protected_opening(id) {
            return Some((PathId(0), purpose));
        }
        let paths = self.core.paths.iter().zip(0_u8..);
        paths
            .into_iter()
            .find_map(|(path, at)| match (path.state, path.long) {
                (PathState::Opening { open, .. }, _) if open == id => {
                    Some((PathId(at), Purpose::Main))
                }
                (_, LongFlow::Opening { open, .. }) if open == id => {
                    Some((PathId(at), Purpose::LongRequests))
                }
                _ => None,
            })
    }

    /// `Client::flow_failed`.
    pub(crate) fn flow_failed(&mut self, open: OpenId, why: OpenFailure) {
        match self.opening(open) {
            Some((path, Purpose::LongRequests)) => {
                if let Some(path) = self.path_mut(path) {
                    path.long = LongFlow::Refused;
                }
            }
            Some((_, Purpose::Protected | Purpose::ProtectedIn)) => self.protected_failed(),
            Some((path, Purpose::Main)) => match why {
                OpenFailure::NoMoreCandidates => self.candidates_exhausted(path),
                OpenFailure::Refused
                | OpenFailure::Unreachable
                | OpenFailure::TimedOut
                | OpenFailure::BadCertificate => self.next_candidate(path),
            },
            None => {}
        }
    }

    /// RFC 3263 §4.3: the next entry of the driver's list. A driver that never says that its list
    /// is at the end would keep a drain going for ever.
    pub(crate) fn next_candidate(&mut self, path_id: PathId) {
        let attempt = self.path(path_id).map_or(0, |path| path.attempt);
        let attempt = attempt.saturating_add(1);
        if attempt >= MAX_CANDIDATES {
            return self.candidates_exhausted(path_id);
        }
        let open = OpenId(self.next_id());
        if let Some(path) = self.path_mut(path_id) {
            path.attempt = attempt;
            path.state = PathState::Opening {
                open,
                told: Told::No,
            };
        }
    }

    fn candidates_exhausted(&mut self, path_id: PathId) {
        let hops = self.core.policy.hops;
        // RFC 5626 §4.2.1: flows of one instance go to different next hops.
        let taken = self.hops_of_others(path_id);
        let open = OpenId(self.next_id());
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        path.exhausted |= 1_u8.checked_shl(u32::from(path.hop)).unwrap_or(0);
        path.attempt = 0;
        let tried = path.exhausted | taken;
        let other =
            (0..hops).find(|hop| tried & 1_u8.checked_shl(u32::from(*hop)).unwrap_or(0) == 0);
        if let Some(hop) = other {
            path.hop = hop;
            path.state = PathState::Opening {
                open,
                told: Told::No,
            };
            return;
        }
        path.exhausted = 0;
        if taken == 0 {
            path.hop = path_id.0;
        }
        path.state = PathState::Down;
        let failover = path.failover.take();
        let others = self.other_flows(path_id);
        let (now, random) = (self.core.now, self.core.entropy.u32());
        let config = self.core.policy.registration();
        match self.core.role {
            Role::Registrant | Role::Leaving { .. } => {
                let Some(path) = self.path_mut(path_id) else {
                    return;
                };
                let step = match failover {
                    Some(failure) => path
                        .registration
                        .failed(now, &config, failure, others, random),
                    None => path.registration.flow_lost(now, &config, others, random),
                };
                self.registration_step(path_id, step);
            }
            Role::Adopted => self.reopen_later(path_id),
            Role::Idle => {}
        }
    }

    /// The next hops that other paths lead to, one bit each.
    fn hops_of_others(&self, path_id: PathId) -> u8 {
        let idle = |path: &Path| {
            matches!(
                path.registration.state(),
                State::Unregistered | State::Failed
            )
        };
        self.core
            .paths
            .iter()
            .zip(0_u8..)
            .filter(|(path, at)| *at != path_id.0 && !idle(path))
            .map(|(path, _)| 1_u8.checked_shl(u32::from(path.hop)).unwrap_or(0))
            .fold(0, |taken, hop| taken | hop)
    }

    fn reopen_later(&mut self, path_id: PathId) {
        let others = self.other_flows(path_id);
        let (now, random) = (self.core.now, self.core.entropy.u32());
        if let Some(path) = self.path_mut(path_id) {
            let wait = path
                .backoff
                .failed(&BackoffConfig::RFC5626, others, random, None);
            path.reopen = Some(now.after(wait));
        }
    }

    pub(crate) fn other_flows(&self, path: PathId) -> OtherFlows {
        let up = self
            .core
            .paths
            .iter()
            .zip(0_u8..)
            .any(|(other, at)| at != path.0 && matches!(other.state, PathState::Up { .. }));
        if up {
            OtherFlows::SomeWork
        } else {
            OtherFlows::AllFailed
        }
    }

    /// Gives up the streams beside main flows.
    fn drop_long(&mut self) {
        for at in 0..MAX_PATHS {
            if let Some(path) = self.core.paths.get_mut(at)
                && let LongFlow::Open { flow } = path.long
            {
                path.long = LongFlow::None;
                self.drop_flow(flow, CloseReason::NotNeeded);
            }
        }
    }

    /// Asks for the main flow of a path from the first candidate on.
    pub(crate) fn open_main(&mut self, path: PathId) {
        self.drop_security();
        let open = OpenId(self.next_id());
        let Some(path) = self.path_mut(path) else {
            return;
        };
        path.reopen = None;
        path.attempt = 0;
        path.exhausted = 0;
        let old = core::mem::replace(
            &mut path.state,
            PathState::Opening {
                open,
                told: Told::No,
            },
        );
        let long = core::mem::replace(&mut path.long, LongFlow::None);
        if let PathState::Up { flow } = old {
            self.drop_flow(flow, CloseReason::NextCandidate);
        }
        // The stream leads to the same server as the main flow, and goes with it.
        if let LongFlow::Open { flow } = long {
            self.drop_flow(flow, CloseReason::NextCandidate);
        }
    }

    /// Asks for the stream beside the main flow.
    pub(crate) fn want_long(&mut self, path: PathId) {
        let open = OpenId(self.next_id());
        if let Some(path) = self.path_mut(path) {
            path.long = LongFlow::Opening {
                open,
                told: Told::No,
            };
        }
    }

    /// Nobody answered a request on this flow. No keep-alive and no registration goes by a stream
    /// beside datagrams, so nothing else would show that it is dead: the next one gets another.
    pub(crate) fn doubt_long(&mut self, id: FlowId) {
        let open = LongFlow::Open { flow: id };
        if self.core.paths.iter().any(|path| path.long == open) {
            self.fail_flow(id, CloseReason::NoPong);
        }
    }

    /// `Client::network_changed`: every flow is worthless, every address given out is wrong.
    pub(crate) fn network_changed(&mut self) {
        while let Some(id) = self.core.flows.first().map(|flow| flow.id) {
            self.drop_flow(id, CloseReason::NetworkChanged);
        }
        self.drop_security();
        for at in 0..self.core.policy.hops {
            let path_id = PathId(at);
            let role = self.core.role;
            let Some(path) = self.path_mut(path_id) else {
                continue;
            };
            let was = core::mem::replace(&mut path.state, PathState::Down);
            path.long = LongFlow::None;
            path.mapped = None;
            path.rewrite = Rewrite::Settled;
            path.failover = None;
            path.attempt = 0;
            path.exhausted = 0;
            match role {
                Role::Registrant | Role::Leaving { .. } => {
                    let step = path.registration.network_changed();
                    self.drop_register(path_id);
                    self.registration_step(path_id, step);
                }
                Role::Adopted if was != PathState::Down || at == 0 => self.open_main(path_id),
                Role::Adopted | Role::Idle => {}
            }
        }
    }

    /// The field with the name of the next hop that a path leads to.
    pub(crate) fn next_hop_field(&self, path: PathId) -> Field {
        match self.path(path).map(|path| path.hop) {
            Some(0) | None => Field::Host0,
            Some(_) => Field::Host1,
        }
    }

    /// Whether RFC 5626 is asked for on the paths of this client.
    pub(crate) fn is_outbound(&self) -> bool {
        let instance = !self
            .core
            .account
            .get(&self.arena, Field::Instance)
            .is_empty();
        let hop = self.core.policy.hop.first();
        match self.core.policy.nat {
            Nat::Outbound => instance,
            Nat::Auto => instance && hop.is_some_and(|hop| hop.transport.is_stream()),
            Nat::Rewrite | Nat::Leave => false,
        }
    }

    pub(crate) fn hop_transport(&self, path: PathId) -> Option<Transport> {
        let path = self.path(path)?;
        self.core
            .policy
            .hop
            .get(usize::from(path.hop))
            .map(|hop| hop.transport)
    }

    pub(crate) fn main_flow(&self, path: PathId) -> Option<FlowId> {
        match self.path(path)?.state {
            PathState::Up { flow } => Some(flow),
            PathState::Down | PathState::Opening { .. } => None,
        }
    }

    /// Whether requests can go over a path.
    pub(crate) fn is_usable(&self, path: PathId) -> bool {
        let Some(path) = self.path(path) else {
            return false;
        };
        matches!(path.state, PathState::Up { .. })
            && match self.core.role {
                Role::Registrant | Role::Leaving { .. } => {
                    path.registration.bound_until().is_some()
                }
                Role::Adopted => true,
                Role::Idle => false,
            }
    }

    /// The first path that requests can go over.
    pub(crate) fn usable_path(&self) -> Option<PathId> {
        (0..self.core.policy.hops)
            .map(PathId)
            .find(|path| self.is_usable(*path))
    }

    /// When paths and flows have something to do.
    pub(crate) fn flows_deadline(&self) -> Option<Instant> {
        let keep = self
            .core
            .flows
            .iter()
            .filter_map(|flow| flow.keep?.deadline());
        let paths = self.core.paths.iter();
        let paths = paths.flat_map(|path| [path.registration.deadline(), path.reopen]);
        keep.chain(paths.flatten()).min()
    }

    /// One due thing of paths and flows, the first of them.
    pub(crate) fn step_flows(&mut self) -> Step {
        let now = self.core.now;
        let Some(first) = self.flows_deadline().filter(|at| *at <= now) else {
            return Step::Nothing;
        };
        for at in 0..self.core.flows.len() {
            let Some(flow) = self.core.flows.get(at) else {
                continue;
            };
            let Some(mut keep) = flow.keep.filter(|keep| keep.deadline() == Some(first)) else {
                continue;
            };
            let id = flow.id;
            let (config, random) = (self.keep_alive_config(), self.core.entropy.u32());
            let action = keep.timeout(now, &config, random);
            if let Some(flow) = self.flow_mut(id) {
                flow.keep = Some(keep);
            }
            self.keep_alive_action(id, action);
            return Step::Done;
        }
        for at in 0..self.core.policy.hops {
            let path_id = PathId(at);
            let Some(path) = self.path_mut(path_id) else {
                continue;
            };
            if path.registration.deadline() == Some(first) {
                let step = path.registration.timeout(now);
                self.registration_step(path_id, step);
                return Step::Done;
            }
            if path.reopen == Some(first) {
                self.open_main(path_id);
                return Step::Done;
            }
        }
        Step::Nothing
    }
}

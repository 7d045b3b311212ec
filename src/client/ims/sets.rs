//! The sets of security associations and the flows over them: opened, in use, lost, deleted, and what the platform is
//! told of them.

use super::{Heard, News, PATH, Set, Stage, Wanted, Way, Which};
use crate::client::engine::{Engine, Role};
use crate::client::event::{CloseReason, Event, FlowInfo, Purpose};
use crate::client::flows::{Flow, LongFlow, PathState, Told};
use crate::client::requests::Step;
use crate::client::slots::{Machine, Txn};
use crate::config::Transport;
use crate::id::{FlowId, OpenId};

/// What the loss of a flow means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtectedLoss {
    /// It was not of a set.
    None,
    /// The path in use is gone.
    Path,
    /// Another path is gone, and that has been dealt with.
    Other,
}

/// Where a protected flow leads.
pub(crate) struct ProtectedWay {
    pub(crate) open: Option<OpenId>,
    pub(crate) transport: Transport,
    pub(crate) local_port: u16,
    pub(crate) remote: core::net::SocketAddr,
}

impl Engine<'_> {
    /// What a flow was asked for, if it is one of a set.
    pub(crate) fn protected_opening(&self, id: OpenId) -> Option<Purpose> {
        let of = |way: Way| matches!(way, Way::Opening { open, .. } if open == id);
        let set = self.core.ims.other.as_ref()?;
        if of(set.out) {
            Some(Purpose::Protected)
        } else if of(set.back) {
            Some(Purpose::ProtectedIn)
        } else {
            None
        }
    }

    /// A flow of the set that comes is open. With the last one the REGISTER goes.
    pub(crate) fn protected_opened(&mut self, purpose: Purpose, flow: FlowId) {
        let Some(set) = &mut self.core.ims.other else {
            return;
        };
        match purpose {
            Purpose::ProtectedIn => set.back = Way::Up(flow),
            Purpose::Protected | Purpose::Main | Purpose::LongRequests => set.out = Way::Up(flow),
        }
        let (out, back) = (set.out, set.back);
        let Some(out) = out.flow() else { return };
        match back {
            Way::None => {}
            Way::Opening { .. } => return,
            Way::Up(back) => {
                // TS 24.229 §5.1.1.2.2: answers go from port-c to port-s.
                if let Some(flow) = self.flow_mut(back) {
                    flow.answers = out;
                }
            }
        }
        self.queue_register(PATH);
    }

    /// A flow of the set that comes cannot be opened.
    pub(crate) fn protected_failed(&mut self) {
        self.give_up();
    }

    /// Whether a connection that was accepted belongs to a set.
    pub(crate) fn accepts(&self, info: &FlowInfo) -> bool {
        let sets = [&self.core.ims.current, &self.core.ims.other];
        sets.into_iter().flatten().any(|set| {
            set.stage != Stage::Challenged
                && info.local.port() == set.ours.port_s
                && info.remote.port() == set.theirs.port_c
                && info.remote.ip() == set.server
        })
    }

    /// Gives up the connections that the P-CSCF opened: the set that comes needs their places, and it can open others.
    pub(crate) fn drop_accepted(&mut self) {
        let sets = [self.core.ims.current, self.core.ims.other];
        let asked = |flow: &Flow| {
            let mut sets = sets.iter().flatten();
            sets.any(|set| set.out.is(flow.id) || set.back.is(flow.id))
        };
        let accepted = |flow: &&Flow| {
            let mut sets = sets.iter().flatten();
            !asked(flow) && sets.any(|set| set.accepts(flow))
        };
        while let Some(id) = self.core.flows.iter().find(accepted).map(|flow| flow.id) {
            self.drop_flow(id, CloseReason::NotNeeded);
        }
    }

    /// The set that a flow belongs to.
    pub(super) fn set_of(&self, id: FlowId) -> Option<Which> {
        let ims = &self.core.ims;
        let long = self.path(PATH).map(|path| path.long);
        let flow = self.flow(id);
        let has = |set: &Set| {
            set.out.is(id) || set.back.is(id) || flow.is_some_and(|flow| set.accepts(flow))
        };
        if let Some(set) = &ims.current
            && (has(set) || long == Some(LongFlow::Open { flow: id }))
        {
            return Some(Which::Current);
        }
        let other = ims.other.as_ref().filter(|set| has(set));
        other.map(|_| Which::Other)
    }

    /// Whether what comes by a flow of a path is not believed: on an IMS core only a protected one is trusted.
    pub(crate) fn is_unprotected(&self, id: FlowId) -> bool {
        self.is_ims() && self.core.role != Role::Adopted && self.set_of(id).is_none()
    }

    /// A message came by this flow: the set before is needed no longer, once its transactions have ended.
    pub(crate) fn heard(&mut self, flow: FlowId) {
        if self.set_of(flow) == Some(Which::Current)
            && let Some(set) = &mut self.core.ims.other
            && let Stage::Retiring(heard) = &mut set.stage
        {
            *heard = Heard::Yes;
        }
    }

    /// Whether `heard` has something to learn.
    pub(crate) fn listens(&self) -> bool {
        let other = self.core.ims.other.as_ref();
        other.is_some_and(|set| set.stage == Stage::Retiring(Heard::No))
    }

    /// A flow was lost: what it takes with it. `true`: it was of the path in use.
    pub(crate) fn protected_gone(&mut self, id: FlowId) -> ProtectedLoss {
        match self.set_of_lost(id) {
            None => ProtectedLoss::None,
            Some(Which::Current) => {
                self.drop_coming();
                self.drop_set(Which::Current);
                self.drop_set(Which::Other);
                ProtectedLoss::Path
            }
            Some(Which::Other) => {
                if self.core.ims.coming().is_some() {
                    self.give_up();
                } else {
                    self.drop_set(Which::Other);
                }
                ProtectedLoss::Other
            }
        }
    }

    /// As `set_of`, for a flow that is not in the table any more; one that was accepted takes nothing with it.
    fn set_of_lost(&self, id: FlowId) -> Option<Which> {
        let has = |set: &Set| set.out.is(id) || set.back.is(id);
        let ims = &self.core.ims;
        if ims.current.as_ref().is_some_and(has) {
            return Some(Which::Current);
        }
        let other = ims.other.as_ref().filter(|set| has(set));
        other.map(|_| Which::Other)
    }

    /// Whether the first flow of a registration has done its part: the protected one is being made.
    pub(crate) fn outlives_main(&self) -> bool {
        self.core.ims.coming().is_some()
    }

    // Ends.

    /// The set that comes will not be used.
    pub(crate) fn drop_coming(&mut self) {
        if self.core.ims.coming().is_some() {
            self.drop_set(Which::Other);
        }
    }

    /// No set is of use any more.
    pub(crate) fn drop_security(&mut self) {
        self.core.ims.wanted = Wanted::Nothing;
        if self.core.ims.current.is_none() && self.core.ims.other.is_none() {
            return;
        }
        self.drop_set(Which::Other);
        self.drop_set(Which::Current);
    }

    pub(super) fn drop_set(&mut self, which: Which) {
        let ims = &mut self.core.ims;
        let Some(set) = (match which {
            Which::Current => ims.current.take(),
            Which::Other => ims.other.take(),
        }) else {
            return;
        };
        note!(info, "security {} is over", set.id.0);
        let told = set.stage != Stage::Challenged && set.news != News::Install;
        if told && ims.deleted.push_back(set.id).is_err() {
            // Four at once are more than there are without a drain between them.
            count!(self, events_lost);
        }
        self.arena.free(set.list);
        if let Some(path) = self.path_mut(PATH) {
            if let PathState::Up { flow } = path.state
                && set.out.is(flow)
            {
                path.state = PathState::Down;
            }
            if which == Which::Current
                && let LongFlow::Open { flow } = core::mem::replace(&mut path.long, LongFlow::None)
            {
                self.drop_flow(flow, CloseReason::NotNeeded);
            }
        }
        while let Some(id) = self
            .core
            .flows
            .iter()
            .find(|flow| set.out.is(flow.id) || set.back.is(flow.id) || set.accepts(flow))
            .map(|flow| flow.id)
        {
            self.drop_flow(id, CloseReason::NotNeeded);
        }
    }

    /// Whether a transaction still goes by a set.
    fn is_busy(&self, set: &Set) -> bool {
        let on = |txn: &&Txn| {
            set.out.is(txn.flow)
                || set.back.is(txn.flow)
                || self.flow(txn.flow).is_some_and(|flow| set.accepts(flow))
        };
        // One that only absorbs what may still come is over.
        let open = |txn: &Txn| {
            !matches!(
                txn.machine,
                Machine::Client { request: None, .. } | Machine::Free
            )
        };
        self.txns.iter().filter(on).any(open)
    }

    /// What is over by the clock, or because nothing is under way on it any more.
    pub(crate) fn step_ims(&mut self) -> Step {
        let now = self.core.now;
        if let Wanted::Offer { until, .. } = self.core.ims.wanted
            && until <= now
        {
            self.core.ims.wanted = Wanted::Nothing;
            self.give_up();
            return Step::Done;
        }
        if let Some(set) = self.core.ims.other {
            match set.stage {
                Stage::Retiring(heard) => {
                    if set.until <= now || heard == Heard::Yes && !self.is_busy(&set) {
                        self.drop_set(Which::Other);
                        return Step::Done;
                    }
                }
                Stage::Temporary if set.until <= now => {
                    self.give_up();
                    return Step::Done;
                }
                Stage::Temporary | Stage::Challenged | Stage::InUse => {}
            }
        }
        if let Some(set) = self.core.ims.current
            && set.until <= now
        {
            match set.out.flow() {
                Some(flow) => self.fail_flow(flow, CloseReason::NotNeeded),
                None => self.drop_security(),
            }
            return Step::Done;
        }
        Step::Nothing
    }

    // Out: what the platform is told.

    /// The next thing that the platform has to know.
    pub(crate) fn security_news(&mut self) -> Option<Event<'static>> {
        let ims = &mut self.core.ims;
        if let Some(set) = ims.deleted.pop_front() {
            return Some(Event::DeleteSecurity { path: PATH, set });
        }
        for which in [Which::Other, Which::Current] {
            let Some(set) = ims.set_mut(which) else {
                continue;
            };
            match core::mem::replace(&mut set.news, News::None) {
                News::None => {}
                News::Install => {
                    return Some(Event::InstallSecurity {
                        path: PATH,
                        set: set.id,
                        suite: set.suite,
                        ours: set.ours,
                        theirs: set.theirs,
                        server: set.server,
                        until: set.until,
                    });
                }
                News::Extend => {
                    return Some(Event::ExtendSecurity {
                        path: PATH,
                        set: set.id,
                        until: set.until,
                    });
                }
            }
        }
        match &mut ims.wanted {
            Wanted::Offer {
                told: told @ Told::No,
                ..
            } => {
                *told = Told::Yes;
                Some(Event::SecurityOfferWanted { path: PATH })
            }
            Wanted::Offer { .. } | Wanted::Nothing => None,
        }
    }

    /// A flow of the set that comes that the driver was not asked for yet; it counts as asked for.
    pub(crate) fn protected_untold(&mut self) -> Option<Purpose> {
        let set = self.core.ims.other.as_mut()?;
        for (way, purpose) in [
            (&mut set.out, Purpose::Protected),
            (&mut set.back, Purpose::ProtectedIn),
        ] {
            if let Way::Opening {
                told: told @ Told::No,
                ..
            } = way
            {
                *told = Told::Yes;
                return Some(purpose);
            }
        }
        None
    }

    /// Where a protected flow leads: its id, its transport, our port, and the P-CSCF's address and port.
    pub(crate) fn protected_way(&self, purpose: Purpose) -> Option<ProtectedWay> {
        let ims = &self.core.ims;
        let (set, way, ours, theirs) = match purpose {
            Purpose::Main => return None,
            Purpose::Protected => {
                let set = ims.other.as_ref()?;
                (set, set.out, set.ours.port_c, set.theirs.port_s)
            }
            Purpose::ProtectedIn => {
                let set = ims.other.as_ref()?;
                (set, set.back, set.ours.port_s, set.theirs.port_c)
            }
            // The associations are for these ports, whatever the transport (TS 33.203).
            Purpose::LongRequests => {
                let set = ims.current.as_ref()?;
                (set, Way::None, set.ours.port_c, set.theirs.port_s)
            }
        };
        Some(ProtectedWay {
            open: match way {
                Way::Opening { open, .. } => Some(open),
                Way::None | Way::Up(_) => None,
            },
            transport: set.transport,
            local_port: ours,
            remote: (set.server, theirs).into(),
        })
    }
}

//! How flows end: lost, given up, closed.
//!
//! A flow that is gone takes what went by it along: its path forms another one, goes to the next
//! candidate or waits (RFC 5626 §4.5). One that the client has no use for is closed by the driver,
//! when what is still to be said on it has gone out.

use super::{LongFlow, PathState, STABLE};
use crate::client::engine::{Engine, OneShotBytes, Role};
use crate::client::event::CloseReason;
use crate::client::ims::ProtectedLoss;
use crate::client::slots::{Machine, Wire};
use crate::id::{FlowId, PathId};
use crate::sip::registration::{Failure as RegisterFailure, State};

impl Engine<'_> {
    /// A flow is gone: the driver or the client closed it.
    pub(crate) fn flow_gone(&mut self, id: FlowId) {
        let Some(at) = self.core.flows.iter().position(|flow| flow.id == id) else {
            return;
        };
        let flow = self.core.flows.swap_remove(at);
        note!(info, "flow {} is gone", id.0);
        self.flow_lost_under(id);
        let Some(path_id) = flow.path else { return };
        let loss = self.protected_gone(id);
        let outlives_main = self.outlives_main();
        let Some(path) = self.path_mut(path_id) else {
            return;
        };
        if path.long == (LongFlow::Open { flow: id }) {
            path.long = LongFlow::None;
        }
        match loss {
            ProtectedLoss::Other => return,
            ProtectedLoss::Path => {}
            ProtectedLoss::None if path.state != (PathState::Up { flow: id }) => return,
            ProtectedLoss::None => {}
        }
        path.state = PathState::Down;
        if loss == ProtectedLoss::None && outlives_main {
            return;
        }
        let registering = matches!(path.registration.state(), State::Registering { .. });
        let others = self.other_flows(path_id);
        let (now, random) = (self.core.now, self.core.entropy.u32());
        let config = self.core.policy.registration();
        match self.core.role {
            Role::Registrant if registering => {
                // RFC 3263 §4.3: a transport that fails under a request sends it to the next server.
                self.drop_register(path_id);
                self.reset_auth(path_id);
                if let Some(path) = self.path_mut(path_id) {
                    path.failover = Some(RegisterFailure::TransportFailed);
                }
                self.next_candidate(path_id);
            }
            Role::Registrant | Role::Leaving { .. } => {
                let Some(path) = self.path_mut(path_id) else {
                    return;
                };
                let step = path.registration.flow_lost(now, &config, others, random);
                self.registration_step(path_id, step);
            }
            Role::Adopted if now.since(flow.since) >= STABLE => {
                if let Some(path) = self.path_mut(path_id) {
                    path.backoff.succeeded();
                }
                self.open_main(path_id);
            }
            // RFC 5626 §4.5: one that did not work is not replaced at once.
            Role::Adopted => self.reopen_later(path_id),
            Role::Idle => {}
        }
    }

    /// Closes the flows of a path that has no more use for them.
    pub(crate) fn shut(&mut self, path_id: PathId) {
        self.last_words(path_id);
        if path_id == PathId(0) {
            self.drop_security();
        }
        if let Some(path) = self.path_mut(path_id) {
            path.state = PathState::Down;
            path.long = LongFlow::None;
            path.reopen = None;
            path.failover = None;
        }
        while let Some(id) = self
            .core
            .flows
            .iter()
            .find(|flow| flow.path == Some(path_id))
            .map(|flow| flow.id)
        {
            self.drop_flow(id, CloseReason::NotNeeded);
        }
    }

    /// RFC 6665 §4.1.3, RFC 3261 §8.2.6: a request that came by a flow is answered before that is closed, the
    /// NOTIFY too that ends the registration. Nothing waits for the answer to be repeated.
    fn last_words(&mut self, path_id: PathId) {
        for at in 0..self.txns.len() {
            let Some(txn) = self.txns.get_mut(at) else {
                break;
            };
            let Machine::Server { response, .. } = &mut txn.machine else {
                continue;
            };
            let due = response.filter(|_| txn.wire == Wire::Due);
            let of = self.core.flows.iter().find(|flow| flow.id == txn.flow);
            if let Some((block, flow)) = due.zip(of.filter(|flow| flow.path == Some(path_id))) {
                *response = None;
                let id = flow.id;
                self.one_shot(id, OneShotBytes::Block(block));
            }
        }
    }

    /// Forgets a flow and has the driver close it; its path is not told.
    pub(crate) fn drop_flow(&mut self, id: FlowId, why: CloseReason) {
        if let Some(at) = self.core.flows.iter().position(|flow| flow.id == id) {
            self.core.flows.swap_remove(at);
        }
        self.flow_lost_under(id);
        self.close(id, why);
    }

    /// Has the driver close a flow, and deals with the loss.
    pub(crate) fn fail_flow(&mut self, id: FlowId, why: CloseReason) {
        self.close(id, why);
        self.flow_gone(id);
    }

    /// Whether bytes can still go out on a flow: it is open, or it works and will be closed: it cannot
    /// be read any further and its peer is told why, or it is needed no longer.
    pub(crate) fn can_send(&self, id: FlowId) -> bool {
        let works = |(of, why): &(FlowId, CloseReason)| {
            *of == id && matches!(why, CloseReason::Framing | CloseReason::NotNeeded)
        };
        self.flow(id).is_some() || self.core.closing.iter().any(works)
    }

    pub(super) fn close(&mut self, id: FlowId, why: CloseReason) {
        // One place for each flow that there can be; a driver that opens more without draining
        // closes them itself.
        note!(info, "flow {} is to be closed: {:?}", id.0, why);
        if self.core.closing.push_back((id, why)).is_err() {
            count!(self, flows_refused);
        }
    }

    /// `Client::flow_closed`. A close that waits to be polled is no longer wanted: the driver may
    /// use the number again.
    pub(crate) fn flow_closed(&mut self, id: FlowId) {
        for _ in 0..self.core.closing.len() {
            if let Some(close) = self.core.closing.pop_front().filter(|(of, _)| *of != id) {
                // It was there before.
                let _ = self.core.closing.push_back(close);
            }
        }
        self.flow_gone(id);
    }
}

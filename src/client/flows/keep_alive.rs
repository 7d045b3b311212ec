//! What the keep-alives of a flow ask for: a ping, STUN or OPTIONS, and the end of a flow without an
//! answer (RFC 5626 §4.4, RFC 6223). Their machine is in `sip::keepalive`.

use super::Pong;
use crate::client::engine::{Engine, OneShotBytes};
use crate::client::event::CloseReason;
use crate::client::slots::{Request, RequestKind, RequestState};
use crate::config::KeepAlive as KeepAlivePolicy;
use crate::id::FlowId;
use crate::sip::keepalive::{Indication, Interval, KeepAliveAction, KeepAliveConfig};
use crate::wire::stun::{self, TransactionId};

impl Engine<'_> {
    pub(crate) fn keep_alive_config(&self) -> KeepAliveConfig {
        match self.core.policy.keep_alive {
            KeepAlivePolicy::Auto | KeepAlivePolicy::Supervised => KeepAliveConfig::MAINS,
            KeepAlivePolicy::Battery => KeepAliveConfig::BATTERY,
            KeepAlivePolicy::Options => KeepAliveConfig {
                options: Some(Interval::DATAGRAM),
                ..KeepAliveConfig::MAINS
            },
            KeepAlivePolicy::Off => KeepAliveConfig::OFF,
        }
    }

    pub(crate) fn indicate(&mut self, id: FlowId, indications: &[Indication]) {
        if self.core.policy.keep_alive == KeepAlivePolicy::Off {
            return;
        }
        let (now, config) = (self.core.now, self.keep_alive_config());
        let random = self.core.entropy.u32();
        if let Some(keep) = self.flow_mut(id).and_then(|flow| flow.keep.as_mut()) {
            keep.indicated(now, &config, indications, random);
        }
    }

    /// Does what the keep-alive machine of a flow says.
    pub(crate) fn keep_alive_action(&mut self, id: FlowId, action: KeepAliveAction) {
        match action {
            KeepAliveAction::Nothing => {}
            KeepAliveAction::SendPing => {
                if let Some(flow) = self.flow_mut(id) {
                    flow.pong = Pong::Due;
                }
                self.one_shot(id, OneShotBytes::Ping);
            }
            KeepAliveAction::SendStun => {
                let mut fresh = [0; 12];
                for (to, from) in fresh.chunks_mut(4).zip([
                    self.core.entropy.u32(),
                    self.core.entropy.u32(),
                    self.core.entropy.u32(),
                ]) {
                    to.copy_from_slice(&from.to_be_bytes());
                }
                if let Some(flow) = self.flow_mut(id) {
                    flow.stun = TransactionId(fresh);
                }
                self.one_shot(id, OneShotBytes::Stun(stun::request(TransactionId(fresh))));
            }
            KeepAliveAction::ResendStun => {
                if let Some(stun) = self.flow(id).map(|flow| flow.stun) {
                    self.one_shot(id, OneShotBytes::Stun(stun::request(stun)));
                }
            }
            KeepAliveAction::SendOptions => self.send_options(id),
            KeepAliveAction::Answered => self.flow_succeeded(id),
            KeepAliveAction::FlowFailed => self.fail_flow(id, CloseReason::NoPong),
        }
    }

    pub(crate) fn flow_succeeded(&mut self, id: FlowId) {
        if let Some(path) = self.flow(id).and_then(|flow| flow.path)
            && let Some(path) = self.path_mut(path)
        {
            path.registration.flow_succeeded();
            path.backoff.succeeded();
        }
    }

    fn send_options(&mut self, id: FlowId) {
        let Some(path) = self.flow(id).and_then(|flow| flow.path) else {
            return;
        };
        let under_way = self.requests.iter().any(|request| {
            request.kind == RequestKind::KeepAlive
                && request.state != RequestState::Free
                && request.path == path
        });
        let Ok(row) = self.free_message_row() else {
            return;
        };
        if under_way || !self.is_safe(id) {
            return;
        }
        let order = self.next_id();
        let since = self.core.now;
        if let Some((block, cuts)) = self.draft_options()
            && let Some(request) = self.requests.get_mut(row.0)
        {
            note!(debug, "request {} queued: keep-alive", order);
            *request = Request {
                state: RequestState::Queued,
                kind: RequestKind::KeepAlive,
                block: Some(block),
                cuts,
                order,
                since,
                cseq: 1,
                path,
                ..Request::FREE
            };
        }
    }
}

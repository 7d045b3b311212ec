//! What is around a client in a run: a server that behaves or demands something, its notifier, and a platform that opens
//! flows and has a card.

use std::net::SocketAddr;
use std::vec::Vec;

use super::{ROUNDS, Run, pick};
use crate::client::{Answer, Direction, FlowInfo, Origin, Verified};
use crate::config::Transport;
use crate::error::CommandError;
use crate::id::FlowId;
use crate::storage::Storage;
use crate::testkit::ops::notify::Watched;
use crate::testkit::ops::platform::{Link, Wanted};
use crate::testkit::ops::{Challenge, Demand, Extra, Notify, Offer, Then, text};
use crate::testkit::sip::Sip;
use crate::wire::digest::Algorithm;

impl<S: Storage> Run<S> {
    pub(super) fn open_plain(&mut self, origin: Origin, transport: Transport) {
        let remote = SocketAddr::from(([192, 0, 2, 1], 5060));
        self.open(origin, transport, Direction::Both, 5060, remote);
    }

    pub(super) fn open_wanted(&mut self, wanted: &Wanted) {
        let remote = SocketAddr::from(([192, 0, 2, 1], 5060));
        self.open(
            Origin::Asked(wanted.id),
            wanted.transport,
            wanted.direction,
            wanted.local_port.unwrap_or(5060),
            wanted.remote.unwrap_or(remote),
        );
    }

    pub(super) fn open(
        &mut self,
        origin: Origin,
        transport: Transport,
        direction: Direction,
        local_port: u16,
        remote: SocketAddr,
    ) {
        self.next_flow += 1;
        let id = FlowId(self.next_flow);
        let info = FlowInfo {
            origin,
            transport,
            local: SocketAddr::from(([192, 0, 2, 10], local_port)),
            remote,
            verified: Verified::No,
            direction,
        };
        self.flows.push(Link {
            id,
            transport,
            direction,
            accepted: origin == Origin::Accepted,
            set: self.platform.through(local_port, remote),
            unread: Vec::new(),
        });
        self.client.flow_opened(self.now, id, &info);
    }

    pub(super) fn offer(&mut self, how: Offer) {
        let (path, offer) = self.platform.numbers(how);
        let result = self.client.security_offer(self.now, path, offer);
        match result {
            Ok(()) => self.platform.taken(offer),
            Err(CommandError::SecurityOffer) => self.reach("an offer that does not fit"),
            Err(_) => {}
        }
        self.note("offer", result);
    }

    /// A server that behaves, and on an IMS core a platform and a card that do.
    pub(super) fn serve(&mut self, challenge: Option<Challenge>, extras: &[Extra]) {
        // What the card says first.
        let mut refusal = match challenge.map(|challenge| challenge.stale % 8) {
            Some(6) => Some(Answer::Auts([3; 14])),
            Some(7) => Some(Answer::MacWrong),
            _ => None,
        };
        for _ in 0..ROUNDS {
            let mut idle = true;
            for wanted in core::mem::take(&mut self.opens) {
                idle = false;
                self.open_wanted(&wanted);
                self.drain();
            }
            if core::mem::take(&mut self.platform.asked) {
                idle = false;
                self.offer(Offer::Fresh);
                self.drain();
            }
            if let Some((id, algorithm)) = self.card.take() {
                idle = false;
                let answer = refusal.take().unwrap_or(match algorithm {
                    Algorithm::AkaV2Md5 => keys(),
                    _ => Answer::Res(&[0, 1, 2, 3, 4, 5, 6, 7]),
                });
                let result = self.client.answer(self.now, id, answer);
                self.note("answer", result);
                self.drain();
            }
            for (flow, request) in core::mem::take(&mut self.waiting) {
                idle = false;
                self.served(flow, &request, challenge, extras);
                self.drain();
            }
            if idle {
                return;
            }
        }
    }

    pub(super) fn served(
        &mut self,
        flow: FlowId,
        request: &Sip,
        challenge: Option<Challenge>,
        extras: &[Extra],
    ) {
        let link = self.flows.iter().find(|link| link.id == flow);
        let set = link.and_then(|link| link.set);
        let set = set.and_then(|set| self.platform.set(set));
        let register = request.method() == Some("REGISTER");
        // A REGISTER is believed by the set that its challenge made; one that renews may be asked again.
        let demanded = match (challenge, set) {
            (_, None) => true,
            (Some(_), Some(set)) => set.registered,
            (None, Some(_)) => false,
        };
        if self.ims && !self.adopted && register && demanded {
            let by = challenge.map_or(0, |challenge| challenge.algorithm);
            let good = Demand {
                algorithm: if by % 4 == 3 { 4 } else { 0 },
                realm: 0,
                nonce: 0,
                qop: challenge.map_or(0, |challenge| challenge.qop % 4),
                list: 0,
                mangle: Vec::new(),
            };
            return self.demand(flow, request, &good);
        }
        let bytes = match challenge {
            Some(challenge) if !self.ims => text::guarded(request, challenge),
            _ => text::success(request, extras),
        };
        self.platform.dealt(&bytes, &[]);
        self.answer(flow, request, bytes);
        self.drain();
        if request.method() == Some("SUBSCRIBE") {
            let call_id = request.header("Call-ID");
            let expires = request.header("Expires").and_then(|text| text.parse().ok());
            let known = |watched: &Watched| Some(watched.call_id.as_str()) == call_id;
            if let Some(n) = self.watched.iter().position(known) {
                let all = self.watched[n].state(expires.unwrap_or(u16::MAX));
                self.notify(u8::try_from(n).unwrap_or(0), &all);
            }
        }
    }

    pub(super) fn demand(&mut self, flow: FlowId, request: &Sip, how: &Demand) {
        self.platform.dealt += 1;
        let bytes = text::demanded(request, how, self.platform.dealt);
        self.platform.dealt(&bytes, &how.mangle);
        self.answer(flow, request, bytes);
    }

    /// Brings the answer to a request by the way that it takes.
    pub(super) fn answer(&mut self, flow: FlowId, request: &Sip, bytes: Vec<u8>) {
        let link = self.flows.iter().find(|link| link.id == flow);
        let set = link.and_then(|link| link.set);
        let success = bytes.starts_with(b"SIP/2.0 200");
        if let Some(set) = set.and_then(|set| self.platform.set_mut(set))
            && request.method() == Some("REGISTER")
            && success
        {
            set.registered = true;
        }
        let back = self.inward(flow);
        self.bring(back, bytes, Then::Nothing);
    }

    /// The flow by which messages come that belong to this one.
    pub(super) fn inward(&self, flow: FlowId) -> FlowId {
        let link = self.flows.iter().find(|link| link.id == flow);
        let Some(out) = link.filter(|link| link.direction == Direction::Out) else {
            return flow;
        };
        let back = |link: &&Link| link.set == out.set && link.direction == Direction::In;
        self.flows.iter().find(back).map_or(flow, |link| link.id)
    }

    pub(super) fn notify(&mut self, n: u8, what: &Notify) {
        if self.watched.is_empty() {
            return;
        }
        let at = usize::from(n) % self.watched.len();
        let ids: Vec<_> = self.flows.iter().map(|link| link.id).collect();
        let flow = match what.way {
            0..224 => self.inward(self.watched[at].flow),
            way => pick(&ids, way).unwrap_or(FlowId(999)),
        };
        let link = self.flows.iter().find(|link| link.id == flow);
        let via = link.map_or(Transport::Udp, |link| link.transport).via();
        self.branch += 1;
        let bytes = self.watched[at].notify(
            what,
            via,
            self.branch,
            &self.contact,
            self.published.as_deref(),
        );
        self.bring(flow, bytes, Then::Nothing);
    }
}

/// What the card says to a challenge of AKAv2.
pub(super) fn keys() -> Answer<'static> {
    Answer::ResIkCk {
        res: &[0, 1, 2, 3, 4, 5, 6, 7],
        ik: [1; 16],
        ck: [2; 16],
    }
}

//! Bytes in: framed, told apart, handed to the transaction they belong to.
//!
//! A flow that is not known is nobody's: its bytes are dropped and counted. On a datagram flow the
//! bytes are one message, a STUN response or nothing; on a stream the flow's framer cuts them. A
//! response goes to the client transaction of its branch and method (RFC 3261 §17.1.3), whatever
//! flow it came by; a request goes to [`crate::client::serve`].

use crate::client::engine::{Engine, OneShotBytes, Row};
use crate::client::event::{CloseReason, Item, Received};
use crate::client::flows::Pong;
use crate::client::serve::Extra;
use crate::client::slots::{Machine, Wire};
use crate::id::FlowId;
use crate::sip::draft::parse_branch;
use crate::sip::keepalive::KeepAliveAction;
use crate::sip::transaction::ClientAction;
use crate::wire::framer::{Frame, KeepAlive, TooLarge};
use crate::wire::message::{Message, StartLine};
use crate::wire::stun;

impl Engine<'_> {
    /// `Client::receive`.
    pub(crate) fn receive<'b>(&mut self, flow: FlowId, bytes: &'b [u8]) -> Received<'b> {
        let all = |item| Received {
            consumed: bytes.len(),
            item,
        };
        if !self.has_room() {
            return Received {
                consumed: 0,
                item: Item::Later,
            };
        }
        let Some(known) = self.flow(flow) else {
            count!(self, unknown_flow);
            return all(Item::Nothing);
        };
        if known.transport.is_stream() {
            return self.stream(flow, bytes);
        }
        if stun::is_stun(bytes) {
            self.stun(flow, bytes);
            return all(Item::Nothing);
        }
        // RFC 5626 §4.4.2 and RFC 3261 §7.5: empty lines in a datagram are somebody's keep-alive.
        if bytes.iter().all(|c| matches!(c, b'\r' | b'\n' | 0)) {
            return all(Item::Nothing);
        }
        all(self.sip(flow, bytes))
    }

    fn stream<'b>(&mut self, flow: FlowId, bytes: &'b [u8]) -> Received<'b> {
        let now = self.core.now;
        let Some(known) = self.flow_mut(flow) else {
            return Received {
                consumed: bytes.len(),
                item: Item::Nothing,
            };
        };
        match known.framer.next(bytes) {
            Frame::NeedMore => {
                if let (false, Some(keep)) = (known.framer.is_between(), known.keep.as_mut()) {
                    // RFC 5626 §4.4.1: a pong can only come behind the message that is coming in.
                    keep.receiving(now);
                }
                Received {
                    consumed: 0,
                    item: Item::More,
                }
            }
            Frame::KeepAlive { kind, consumed } => {
                // RFC 5626 §4.4.1: a ping of ours is answered with one CRLF, theirs, a double CRLF,
                // with one as well. Pongs that follow each other make pairs too, so the first CRLF
                // after a ping of ours is its pong, whatever pair it would complete.
                match (core::mem::replace(&mut known.pong, Pong::NotDue), kind) {
                    (Pong::Due, _) => {
                        let keep = known.keep.as_mut();
                        let action = keep.map_or(KeepAliveAction::Nothing, |keep| keep.pong());
                        self.keep_alive_action(flow, action);
                    }
                    (Pong::NotDue, KeepAlive::Ping) => self.one_shot(flow, OneShotBytes::Pong),
                    // RFC 3261 §7.5: an empty line, or the first half of a ping.
                    (Pong::NotDue, KeepAlive::Pong) => {}
                }
                Received {
                    consumed,
                    item: Item::Nothing,
                }
            }
            Frame::Message { len } => {
                let (message, _) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
                Received {
                    consumed: len,
                    item: self.sip(flow, message),
                }
            }
            Frame::TooLarge { what, len } => {
                let head = bytes.get(..len).unwrap_or_default();
                let status = match what {
                    // RFC 3261 §21.4.11.
                    TooLarge::Body => 413,
                    // RFC 3261 §21.5.7.
                    TooLarge::Headers => 513,
                };
                self.refuse_oversized(flow, head, status);
                match what {
                    TooLarge::Body => Received {
                        consumed: len,
                        item: Item::Nothing,
                    },
                    TooLarge::Headers => self.broken(flow, bytes),
                }
            }
            Frame::Skip { consumed } => Received {
                consumed,
                item: Item::Nothing,
            },
            Frame::Broken { error, head_len } => {
                let head = bytes.get(..head_len).unwrap_or_default();
                self.unparsable(flow, head, error);
                self.broken(flow, bytes)
            }
        }
    }

    fn broken<'b>(&mut self, flow: FlowId, bytes: &'b [u8]) -> Received<'b> {
        self.fail_flow(flow, CloseReason::Framing);
        Received {
            consumed: bytes.len(),
            item: Item::Broken,
        }
    }

    fn refuse_oversized(&mut self, flow: FlowId, head: &[u8], status: u16) {
        if self.is_dropped(flow) {
            return;
        }
        let source = self.flow(flow).map(|flow| flow.remote);
        match (Message::legible(head), source) {
            (Some(message), Some(source)) if message.request().is_some() => {
                count!(self, answered_unparsable);
                self.stateless(flow, source, &message, status, Extra::None);
            }
            _ => count!(self, unparsable),
        }
    }

    fn sip<'b>(&mut self, flow: FlowId, bytes: &'b [u8]) -> Item<'b> {
        match Message::parse(bytes) {
            Err(error) => self.unparsable(flow, bytes, error),
            Ok(message) => {
                if self.is_ims() && self.listens() {
                    self.heard(flow);
                }
                match message.start() {
                    StartLine::Request(_) => self.request(flow, &message),
                    StartLine::Response(_) => {
                        self.response(&message);
                        Item::Nothing
                    }
                }
            }
        }
    }

    fn response(&mut self, message: &Message<'_>) {
        let Some(line) = message.response() else {
            return;
        };
        let Ok(essentials) = message.essentials() else {
            // RFC 3261 §8.1.3.3 for a second Via; for the rest, nobody can be told.
            count!(self, unparsable);
            return;
        };
        let method = essentials.cseq.method;
        let Some((key, branch)) = essentials.via.branch().and_then(parse_branch) else {
            count!(self, stray_response);
            return;
        };
        let (now, timers) = (self.core.now, self.core.policy.timers);
        let ours = self.core.policy.key == key;
        let mut delivered = None;
        let mut known = false;
        for txn in self.txns.iter_mut().filter(|_| ours) {
            // RFC 3261 §17.1.3: by branch and by the method of CSeq. The branch is 64 random bits
            // under our key, so sent-by adds nothing.
            if let Machine::Client {
                machine,
                branch: of,
                method: code,
                request,
            } = &mut txn.machine
                && *of == branch
                && code.method() == method
            {
                known = true;
                if machine.response(now, &timers, line.status) == ClientAction::Deliver {
                    delivered = request.map(|row| Row(usize::from(row)));
                }
                if machine.is_terminated() && request.is_none() {
                    *txn = crate::client::slots::Txn::FREE;
                } else {
                    txn.wire = Wire::Quiet;
                }
                break;
            }
        }
        match delivered {
            Some(row) => self.response_for(row, message, line.status),
            None if known => {}
            None => {
                count!(self, stray_response);
            }
        }
    }

    fn stun(&mut self, flow: FlowId, bytes: &[u8]) {
        let asked = self.flow(flow).map(|flow| flow.stun);
        let response = stun::Response::parse(bytes);
        let matching = response.filter(|response| Some(response.id) == asked);
        let keep = self.flow_mut(flow).and_then(|flow| flow.keep.as_mut());
        let (Some(response), Some(keep)) = (matching, keep) else {
            count!(self, stray_stun);
            return;
        };
        let action = match response.outcome {
            stun::Outcome::Mapped(address) => keep.stun_ok(address),
            stun::Outcome::Refused(_) => keep.stun_error(),
        };
        self.keep_alive_action(flow, action);
    }
}

//! rsiprtp: sans-IO transactions and dialogs; parser reached through its doc(hidden) module for the
//! typed level, its public SipRequest/SipResponse for building and transactions.
use crate::contestant::*;
use rsiprtp::sip::parser::{typed, Header, Headers, Message};
use rsiprtp::sip::{SipMessage, SipRequest, SipResponse};
use rsiprtp::transaction::*;
use std::hint::black_box;

pub struct Rsiprtp {
    tm: TransactionManager,
    cnt: u64,
}
impl Rsiprtp {
    pub fn new() -> Self {
        Self {
            tm: TransactionManager::new(false),
            cnt: 0,
        }
    }
}
fn hdrs(m: &Message) -> &Headers {
    match m {
        Message::Request(r) => &r.headers,
        Message::Response(r) => &r.headers,
    }
}
fn deep(m: &[u8]) -> Option<usize> {
    let m = Message::parse(m).ok()?;
    let mut s = 0;
    if let Message::Request(r) = &m {
        s += hp(rsiprtp::sip::SipUri::parse(&r.uri).ok()?.port())
    }
    for h in hdrs(&m).iter() {
        s += match h {
            Header::Via(v) => {
                let v = typed::Via::parse(v).ok()?;
                let p = v.sent_by.rsplit_once(':').and_then(|x| x.1.parse().ok());
                hp(p) + v.branch().map_or(0, |b| b.len())
            }
            Header::From(v) => {
                let v = typed::From::parse(v).ok()?;
                hp(v.uri.port()) + v.tag().map_or(0, |t| t.len())
            }
            Header::To(v) => {
                let v = typed::To::parse(v).ok()?;
                hp(v.uri.port()) + v.tag().map_or(0, |t| t.len())
            }
            Header::Contact(v) => match typed::Contact::parse(v).ok()? {
                typed::Contact::Addr(a) => hp(a.uri.port()),
                _ => 0,
            },
            Header::CSeq(v) => typed::CSeq::parse(v).ok()?.seq as usize,
            Header::Route(v) => rsiprtp::sip::Route::parse_all(std::slice::from_ref(v))
                .iter()
                .map(|r| hp(r.uri.port()))
                .sum(),
            Header::RecordRoute(v) => rsiprtp::sip::RecordRoute::parse_all(std::slice::from_ref(v))
                .iter()
                .map(|r| hp(r.uri.port()))
                .sum(),
            _ => 0,
        };
    }
    Some(s)
}
fn mk(s: &ReqSpec) -> Option<SipRequest> {
    let mut b = SipRequest::builder()
        .method(match s.method.as_str() {
            "INVITE" => rsiprtp::sip::Method::Invite,
            _ => rsiprtp::sip::Method::Message,
        })
        .uri(&s.ruri)
        .via("10.32.4.17", 5060, "TCP", "z9hG4bK776asdhds")
        .from("sip:anna@ims.example.com", "49583")
        .from_display("Anna K")
        .to(s.get("To").trim_matches(|c| c == '<' || c == '>'))
        .call_id(s.get("Call-ID"))
        .cseq(1)
        .contact("sip:anna@10.32.4.17:5060;transport=tcp")
        .max_forwards(70);
    for (n, v) in &s.headers {
        if matches!(
            n.as_str(),
            "Via"
                | "From"
                | "To"
                | "Call-ID"
                | "CSeq"
                | "Contact"
                | "Max-Forwards"
                | "Content-Type"
        ) {
            continue;
        }
        b = b.header(n, v);
    }
    b.body(s.body.clone(), s.get("Content-Type")).build().ok()
}
fn resp(r: &SipRequest) -> Option<SipResponse> {
    SipResponse::builder()
        .status(200, "OK")
        .from_request(r)
        .to_tag("uas7712")
        .contact("sip:bertta@10.32.9.3:5060")
        .build()
        .ok()
}
impl Rsiprtp {
    /// Drain actions: copy bytes to send, count events, and remember the timers asked for.
    fn drain(
        &mut self,
        out: &mut Vec<u8>,
    ) -> (Vec<(TransactionHandle, Timer)>, Option<TransactionHandle>) {
        let (mut t, mut req) = (vec![], None);
        for a in self.tm.poll_actions() {
            match a {
                ManagerAction::Send(b) => {
                    out.clear();
                    out.extend_from_slice(&b)
                }
                ManagerAction::SetTimer(h, k, _) => t.push((h, k)),
                ManagerAction::Event(h, e) => {
                    self.cnt += 1;
                    if let ManagerEvent::NonInviteRequest(_) = &e {
                        req = Some(h)
                    }
                    black_box(&e);
                }
                _ => {}
            }
        }
        (t, req)
    }
}
impl Contestant for Rsiprtp {
    fn name(&self) -> &'static str {
        "rsiprtp"
    }
    fn version(&self) -> &'static str {
        "0.4.1"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        Message::parse(m).map_or(0, |m| hdrs(black_box(&m)).len())
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        deep(m).unwrap_or(0)
    }
    fn build(&mut self, s: &ReqSpec, o: &mut Vec<u8>) -> usize {
        let Some(r) = mk(s) else { return 0 };
        o.extend_from_slice(&r.to_bytes());
        o.len()
    }
    fn respond_200(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        let Ok(SipMessage::Request(r)) = SipMessage::parse(m) else {
            return 0;
        };
        let Some(p) = resp(&r) else { return 0 };
        o.extend_from_slice(&p.to_bytes());
        o.len()
    }
    fn txn_client(&mut self, s: &ReqSpec, rsp: &[u8], o: &mut Vec<u8>) -> usize {
        let Some(r) = mk(s) else { return 0 };
        if self.tm.create_client_transaction(r).is_none() {
            return 0;
        }
        self.drain(o);
        let Ok(m) = SipMessage::parse(rsp) else {
            return 0;
        };
        let before = self.cnt;
        self.tm.handle_message(m);
        let mut scratch = Vec::new();
        let (t, _) = self.drain(&mut scratch);
        if self.cnt == before {
            return 0;
        }
        for (h, k) in t {
            self.tm.handle_timeout(h, k);
        }
        self.drain(&mut scratch);
        self.tm.cleanup_terminated();
        o.len()
    }
    fn txn_server(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        let Ok(m) = SipMessage::parse(m) else {
            return 0;
        };
        let SipMessage::Request(r) = &m else { return 0 };
        let Some(p) = resp(r) else { return 0 };
        self.tm.handle_message(m);
        let (_, h) = self.drain(o);
        let Some(h) = h else { return 0 };
        self.tm.send_response(h, p);
        let (t, _) = self.drain(o);
        let mut scratch = Vec::new();
        for (h, k) in t {
            self.tm.handle_timeout(h, k);
        }
        self.drain(&mut scratch);
        self.tm.cleanup_terminated();
        o.len()
    }
}

//! sipx-sip: sans-IO messages and transactions.
use crate::contestant::*;
use bytes::Bytes;
use sipx_sip::headers::{ContactValue, From, RecordRoute, Route, To};
use sipx_sip::transaction::Dispatch;
use sipx_sip::*;
use std::hint::black_box;

pub struct Sipx {
    lim: Limits,
    tl: TransactionLayer,
}
impl Sipx {
    pub fn new() -> Self {
        Self {
            lim: Limits::datagram(),
            tl: TransactionLayer::new(Timers::default()),
        }
    }
}
impl Sipx {
    fn p(&self, m: &[u8]) -> Option<Message> {
        parse_datagram(Bytes::copy_from_slice(m), &self.lim).ok()
    }
    fn deep(&self, m: &[u8]) -> Option<usize> {
        let m = self.p(m)?;
        let mut s = 0;
        if let Message::Request(r) = &m {
            s += hp(r.uri.port())
        }
        let h = m.headers();
        for v in h.typed_all::<Via>() {
            let v = v.ok()?;
            s += hp(v.port) + v.branch().map_or(0, |b| b.len())
        }
        let f = h.typed::<From>()?.ok()?;
        s += hp(f.0.uri.port()) + f.0.tag().map_or(0, |t| t.len());
        let f = h.typed::<To>()?.ok()?;
        s += hp(f.0.uri.port()) + f.0.tag().map_or(0, |t| t.len());
        for c in h.typed_all::<ContactValue>() {
            if let ContactValue::Address(a) = c.ok()? {
                s += hp(a.uri.port())
            }
        }
        for c in h.typed_all::<Route>() {
            s += hp(c.ok()?.0.uri.port())
        }
        for c in h.typed_all::<RecordRoute>() {
            s += hp(c.ok()?.0.uri.port())
        }
        s += h.typed::<CSeq>()?.ok()?.sequence as usize;
        Some(s)
    }
}
fn mk(s: &ReqSpec) -> Option<Request> {
    let uri = Uri::parse(Bytes::copy_from_slice(s.ruri.as_bytes())).ok()?;
    let mut b = RequestBuilder::new(
        Method::parse(&Bytes::copy_from_slice(s.method.as_bytes())),
        uri,
    );
    for (n, v) in &s.headers {
        b = b
            .header(
                HeaderName::parse(&Bytes::copy_from_slice(n.as_bytes())),
                Bytes::copy_from_slice(v.as_bytes()),
            )
            .ok()?;
    }
    Some(b.body(s.body.clone()).build())
}
fn resp(r: &Request) -> Option<Response> {
    let mut to = r.headers.value(&HeaderName::To)?.into_owned();
    to.extend_from_slice(b";tag=uas7712");
    Some(
        ResponseBuilder::to_request(r, StatusCode::new(200)?, "OK")
            .ok()?
            .set_header(&HeaderName::To, to)
            .ok()?
            .header(HeaderName::Contact, "<sip:bertta@10.32.9.3:5060>")
            .ok()?
            .build(),
    )
}
fn outputs(o: Vec<Output>, out: &mut Vec<u8>, timers: &mut Vec<Timer>) -> usize {
    let mut ev = 0;
    for x in o {
        match x {
            Output::Send(m) => {
                out.clear();
                m.write_to(out)
            }
            Output::SetTimer { timer, .. } => timers.push(timer),
            Output::ToTu(e) => {
                black_box(&e);
                ev += 1
            }
            _ => {}
        }
    }
    ev
}
impl Contestant for Sipx {
    fn name(&self) -> &'static str {
        "sipx-sip"
    }
    fn version(&self) -> &'static str {
        "1.0.1"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        self.p(m).map_or(0, |m| black_box(&m).headers().len())
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        self.deep(m).unwrap_or(0)
    }
    fn build(&mut self, s: &ReqSpec, o: &mut Vec<u8>) -> usize {
        match mk(s) {
            Some(r) => {
                r.write_to(o);
                o.len()
            }
            None => 0,
        }
    }
    fn respond_200(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        let Some(Message::Request(r)) = self.p(m) else {
            return 0;
        };
        match resp(&r) {
            Some(p) => {
                p.write_to(o);
                o.len()
            }
            None => 0,
        }
    }
    fn txn_client(&mut self, s: &ReqSpec, rsp: &[u8], o: &mut Vec<u8>) -> usize {
        let Some(r) = mk(s) else { return 0 };
        let Some((key, outs)) = self.tl.send_request(r, Reliability::Unreliable) else {
            return 0;
        };
        let mut t = vec![];
        outputs(outs, o, &mut t);
        let Some(m) = self.p(rsp) else { return 0 };
        let Dispatch::Matched { outputs: outs, .. } = self.tl.receive(m, Reliability::Unreliable)
        else {
            return 0;
        };
        t.clear();
        let mut scratch = vec![];
        if outputs(outs, &mut scratch, &mut t) == 0 {
            return 0;
        }
        for k in t {
            black_box(self.tl.on_timer(&key, k));
        }
        if !self.tl.is_empty() {
            return 0;
        }
        o.len()
    }
    fn txn_server(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        let Some(m) = self.p(m) else { return 0 };
        let Message::Request(r) = &m else { return 0 };
        let Some(p) = resp(r) else { return 0 };
        let Dispatch::Created { key, outputs: outs } = self.tl.receive(m, Reliability::Unreliable)
        else {
            return 0;
        };
        let mut t = vec![];
        outputs(outs, o, &mut t);
        let outs = self.tl.send_response(&key, p);
        t.clear();
        outputs(outs, o, &mut t);
        for k in t {
            black_box(self.tl.on_timer(&key, k));
        }
        if !self.tl.is_empty() {
            return 0;
        }
        o.len()
    }
}

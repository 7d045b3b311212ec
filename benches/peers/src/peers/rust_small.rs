//! The small parsers: parsip, sipmsg, xylosip, sip-core (xmppjingle). Left out: libsip 0.2.6 (does not
//! compile from a fresh resolve) and sip_rld 0.3.6 (unwraps an unknown-method error, so MESSAGE would panic).
use crate::contestant::*;
use std::hint::black_box;

pub struct Parsip;
impl Contestant for Parsip {
    fn name(&self) -> &'static str {
        "parsip"
    }
    fn version(&self) -> &'static str {
        "0.1.0"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        let mut h = [parsip::EMPTY_HEADER; 64];
        if m.starts_with(b"SIP/") {
            let mut r = parsip::Response::new(&mut h);
            if r.parse(m).is_done() {
                black_box(&r).headers.len()
            } else {
                0
            }
        } else {
            let mut r = parsip::Request::new(&mut h);
            if r.parse(m).is_done() {
                black_box(&r).headers.len()
            } else {
                0
            }
        }
    }
}

pub struct Sipmsg;
mod sm {
    use super::*;
    use sipmsg::*;
    fn uri(u: &SipUri) -> usize {
        hp(u.hostport.port)
    }
    fn params(h: &SipHeader, n: &str) -> usize {
        let n: &'static str = if n == "tag" { "tag" } else { "branch" };
        h.params()
            .and_then(|p| p.get(n))
            .and_then(|v| *v)
            .map_or(0, |v| v.len())
    }
    fn hdrs(h: &SipHeaders) -> Option<usize> {
        let mut s = 0;
        for v in h.get_rfc(SipRFCHeader::Via)? {
            let t = v.value.tags()?;
            let p = t
                .get(&SipHeaderTagType::Port)
                .and_then(|p| std::str::from_utf8(p).ok())
                .and_then(|p| p.parse().ok());
            s += hp(p) + params(v, "branch");
        }
        for k in [SipRFCHeader::From, SipRFCHeader::To] {
            let v = h.get_rfc_s(k)?;
            s += uri(v.value.sip_uri()?) + params(v, "tag")
        }
        for k in [
            SipRFCHeader::Contact,
            SipRFCHeader::Route,
            SipRFCHeader::RecordRoute,
        ] {
            if let Some(l) = h.get_rfc(k) {
                for v in l {
                    s += uri(v.value.sip_uri()?)
                }
            }
        }
        let c = h.get_rfc_s(SipRFCHeader::CSeq)?;
        s += std::str::from_utf8(c.value.tags()?.get(&SipHeaderTagType::Number)?)
            .ok()?
            .parse::<usize>()
            .ok()?;
        Some(s)
    }
    pub fn deep(m: &[u8]) -> usize {
        if m.starts_with(b"SIP/") {
            SipResponse::parse(m)
                .ok()
                .and_then(|(_, r)| hdrs(&r.headers))
                .unwrap_or(0)
        } else {
            SipRequest::parse(m)
                .ok()
                .and_then(|(_, r)| Some(uri(&r.rl.uri) + hdrs(&r.headers)?))
                .unwrap_or(0)
        }
    }
    pub fn shallow(m: &[u8]) -> usize {
        if m.starts_with(b"SIP/") {
            SipResponse::parse(m).map_or(0, |(_, r)| black_box(&r).headers.len())
        } else {
            SipRequest::parse(m).map_or(0, |(_, r)| black_box(&r).headers.len())
        }
    }
}
impl Contestant for Sipmsg {
    fn name(&self) -> &'static str {
        "sipmsg"
    }
    fn version(&self) -> &'static str {
        "0.2.3"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        sm::shallow(m)
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        sm::deep(m)
    }
}

pub struct Xylosip;
impl Contestant for Xylosip {
    fn name(&self) -> &'static str {
        "xylosip"
    }
    fn version(&self) -> &'static str {
        "0.1.0"
    }
    // eager typed headers, but URIs stay strings: no deep level
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        match xylosip::Message::parse(m) {
            Ok(xylosip::Message::Request(r)) => black_box(&r).headers.len(),
            Ok(xylosip::Message::Response(_)) => NA, // keeps a response as one &str: headers not split
            Err(_) => 0,
        }
    }
}

pub struct SipCore;
mod sc {
    use super::*;
    use sip_core::*;
    pub fn parse(m: &[u8]) -> Option<SipMessage> {
        SipMessage::parse(std::str::from_utf8(m).ok()?).ok()
    }
    pub fn mk(s: &ReqSpec) -> SipMessage {
        let mut b = message::RequestBuilder::new(SipMethod::from_str(&s.method), s.ruri.as_str());
        for (n, v) in &s.headers {
            b = b.header(HeaderName::from_str(n), v.as_str())
        }
        b.body(String::from_utf8_lossy(&s.body).into_owned())
            .build()
    }
    pub fn resp(m: &SipMessage) -> Option<SipMessage> {
        let SipMessage::Request(r) = m else {
            return None;
        };
        let mut p = message::ResponseBuilder::from_request(r, StatusCode(200))
            .header(HeaderName::Contact, "<sip:bertta@10.32.9.3:5060>")
            .build();
        let to = format!("{};tag=uas7712", p.headers().get(&HeaderName::To)?.as_str());
        p.headers_mut().set(HeaderName::To, to);
        Some(p)
    }
    pub fn txn_client(s: &ReqSpec, rsp: &[u8], o: &mut Vec<u8>) -> Option<usize> {
        let m = mk(s);
        let mut t = SipTransaction::new_client(&m)?;
        o.extend_from_slice(&m.to_bytes());
        let r = parse(rsp)?;
        if !t.matches(&r) {
            return None;
        }
        black_box(t.process_response(&r));
        black_box(t.is_timed_out());
        Some(o.len())
    }
    pub fn txn_server(m: &[u8], o: &mut Vec<u8>) -> Option<usize> {
        let m = parse(m)?;
        let mut t = SipTransaction::new_server(&m)?;
        let p = resp(&m)?;
        black_box(t.send_response(&p));
        o.extend_from_slice(&p.to_bytes());
        Some(o.len())
    }
}
impl Contestant for SipCore {
    fn name(&self) -> &'static str {
        "sip-core"
    }
    fn version(&self) -> &'static str {
        "0.3.0"
    }
    // headers stay strings (extract_tag / extract_uri only): no deep level
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        sc::parse(m).map_or(0, |m| black_box(&m).headers().len())
    }
    fn build(&mut self, s: &ReqSpec, o: &mut Vec<u8>) -> usize {
        o.extend_from_slice(&sc::mk(s).to_bytes());
        o.len()
    }
    fn respond_200(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        let Some(p) = sc::parse(m).as_ref().and_then(sc::resp) else {
            return 0;
        };
        o.extend_from_slice(&p.to_bytes());
        o.len()
    }
    fn txn_client(&mut self, s: &ReqSpec, r: &[u8], o: &mut Vec<u8>) -> usize {
        sc::txn_client(s, r, o).unwrap_or(0)
    }
    fn txn_server(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        sc::txn_server(m, o).unwrap_or(0)
    }
}

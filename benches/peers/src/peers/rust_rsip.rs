//! rsip and rsipstack's own sip module (the same type shapes).
use crate::contestant::*;
use std::hint::black_box;

pub struct Rsip;
pub struct Rsipstack;

mod a {
    use super::*;
    use rsip::prelude::*;
    use rsip::{Header, Param, SipMessage};
    fn port(u: &rsip::HostWithPort) -> usize {
        hp(u.port.as_ref().map(|p| *p.value()))
    }
    pub fn parse(m: &[u8]) -> Option<SipMessage> {
        SipMessage::try_from(m).ok()
    }
    fn hdrs(m: &SipMessage) -> &rsip::Headers {
        m.headers()
    }
    pub fn shallow(m: &[u8]) -> usize {
        parse(m).map_or(0, |m| black_box(hdrs(&m)).iter().count())
    }
    fn tag(p: &[Param]) -> usize {
        p.iter()
            .find_map(|p| {
                if let Param::Tag(t) = p {
                    Some(t.value().len())
                } else {
                    None
                }
            })
            .unwrap_or(0)
    }
    fn deep_i(m: &[u8]) -> Option<usize> {
        let m = parse(m)?;
        let mut s = 0;
        if let SipMessage::Request(r) = &m {
            s += port(&r.uri.host_with_port)
        }
        for h in hdrs(&m).iter() {
            s += match h {
                Header::Via(v) => {
                    let v = v.typed().ok()?;
                    port(&v.uri.host_with_port) + v.branch().map_or(0, |b| b.value().len())
                }
                Header::From(v) => {
                    let v = v.typed().ok()?;
                    port(&v.uri.host_with_port) + tag(&v.params)
                }
                Header::To(v) => {
                    let v = v.typed().ok()?;
                    port(&v.uri.host_with_port) + tag(&v.params)
                }
                Header::Contact(v) => {
                    let v = v.typed().ok()?;
                    port(&v.uri.host_with_port)
                }
                Header::CSeq(v) => v.typed().ok()?.seq as usize,
                Header::Route(v) => v
                    .typed()
                    .ok()?
                    .uris()
                    .iter()
                    .map(|u| port(&u.uri.host_with_port))
                    .sum(),
                Header::RecordRoute(v) => v
                    .typed()
                    .ok()?
                    .uris()
                    .iter()
                    .map(|u| port(&u.uri.host_with_port))
                    .sum(),
                _ => 0,
            };
        }
        Some(s)
    }
    pub fn deep(m: &[u8]) -> usize {
        deep_i(m).unwrap_or(0)
    }
    fn mk(n: &str, v: &str) -> Header {
        use rsip::headers::*;
        match n {
            "Via" => Via::new(v).into(),
            "Max-Forwards" => MaxForwards::new(v).into(),
            "Route" => Route::new(v).into(),
            "From" => From::new(v).into(),
            "To" => To::new(v).into(),
            "Call-ID" => CallId::new(v).into(),
            "CSeq" => CSeq::new(v).into(),
            "Contact" => Contact::new(v).into(),
            "User-Agent" => UserAgent::new(v).into(),
            "Content-Type" => ContentType::new(v).into(),
            "Allow" => Allow::new(v).into(),
            "Supported" => Supported::new(v).into(),
            _ => Header::Other(n.to_string(), v.to_string()),
        }
    }
    pub fn build(s: &ReqSpec, out: &mut Vec<u8>) -> Option<usize> {
        let mut headers = rsip::Headers::default();
        for (n, v) in &s.headers {
            headers.push(mk(n, v))
        }
        headers.push(rsip::headers::ContentLength::new(s.body.len().to_string()).into());
        let r = rsip::Request {
            method: s.method.parse::<rsip::Method>().ok()?,
            uri: rsip::Uri::try_from(s.ruri.as_str()).ok()?,
            version: rsip::Version::V2,
            headers,
            body: s.body.clone(),
        };
        let v: Vec<u8> = r.into();
        out.extend_from_slice(&v);
        Some(out.len())
    }
    pub fn respond(m: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let SipMessage::Request(r) = parse(m)? else {
            return None;
        };
        let mut headers = rsip::Headers::default();
        for h in r.headers.iter() {
            match h {
                Header::Via(_)
                | Header::From(_)
                | Header::CallId(_)
                | Header::CSeq(_)
                | Header::RecordRoute(_) => headers.push(h.clone()),
                Header::To(t) => headers.push(t.clone().with_tag("uas7712".into()).ok()?.into()),
                _ => {}
            }
        }
        headers.push(rsip::headers::Contact::new("<sip:bertta@10.32.9.3:5060>").into());
        headers.push(rsip::headers::ContentLength::new("0").into());
        let v: Vec<u8> = rsip::Response {
            status_code: rsip::StatusCode::OK,
            version: rsip::Version::V2,
            headers,
            body: vec![],
        }
        .into();
        out.extend_from_slice(&v);
        Some(out.len())
    }
}

mod b {
    use super::*;
    use r::prelude::*;
    use r::{Header, Param, SipMessage};
    use rsipstack::sip as r;
    fn port(u: &r::HostWithPort) -> usize {
        hp(u.port.as_ref().map(|p| p.value()))
    }
    pub fn parse(m: &[u8]) -> Option<SipMessage> {
        SipMessage::try_from(m).ok()
    }
    fn hdrs(m: &SipMessage) -> &r::Headers {
        m.headers()
    }
    pub fn shallow(m: &[u8]) -> usize {
        parse(m).map_or(0, |m| black_box(hdrs(&m)).len())
    }
    fn tag(p: &[Param]) -> usize {
        p.iter()
            .find_map(|p| {
                if let Param::Tag(t) = p {
                    Some(t.value().len())
                } else {
                    None
                }
            })
            .unwrap_or(0)
    }
    fn deep_i(m: &[u8]) -> Option<usize> {
        let m = parse(m)?;
        let mut s = 0;
        if let SipMessage::Request(r) = &m {
            s += port(&r.uri.host_with_port)
        }
        for h in hdrs(&m).iter() {
            s += match h {
                Header::Via(v) => {
                    let v = v.typed().ok()?;
                    port(&v.uri.host_with_port) + v.branch().map_or(0, |b| b.value().len())
                }
                Header::From(v) => {
                    let v = v.typed().ok()?;
                    port(&v.uri.host_with_port) + tag(&v.params)
                }
                Header::To(v) => {
                    let v = v.typed().ok()?;
                    port(&v.uri.host_with_port) + tag(&v.params)
                }
                Header::Contact(v) => {
                    let v = v.typed().ok()?;
                    port(&v.uri.host_with_port)
                }
                Header::CSeq(v) => v.typed().ok()?.seq as usize,
                Header::Route(v) => r::typed::Route::parse_header_list(v.value())
                    .ok()?
                    .iter()
                    .map(|u| port(&u.uri.host_with_port))
                    .sum(),
                Header::RecordRoute(v) => r::typed::RecordRoute::parse_header_list(v.value())
                    .ok()?
                    .iter()
                    .map(|u| port(&u.uri.host_with_port))
                    .sum(),
                _ => 0,
            };
        }
        Some(s)
    }
    pub fn deep(m: &[u8]) -> usize {
        deep_i(m).unwrap_or(0)
    }
    pub fn build(s: &ReqSpec, out: &mut Vec<u8>) -> Option<usize> {
        let mut headers = r::Headers::default();
        for (n, v) in &s.headers {
            headers.push(r::headers::make_header(n, v.clone()))
        }
        headers.push(r::ContentLength::new(s.body.len().to_string()).into());
        let q = r::Request {
            method: r::Method::try_from(s.method.as_str()).ok()?,
            uri: r::Uri::try_from(s.ruri.as_str()).ok()?,
            version: r::Version::V2,
            headers,
            body: s.body.clone(),
        };
        out.extend_from_slice(&q.to_bytes());
        Some(out.len())
    }
    pub fn respond(m: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let SipMessage::Request(q) = parse(m)? else {
            return None;
        };
        let mut headers = r::Headers::default();
        for h in q.headers.iter() {
            match h {
                Header::Via(_)
                | Header::From(_)
                | Header::CallId(_)
                | Header::CSeq(_)
                | Header::RecordRoute(_) => headers.push(h.clone()),
                Header::To(t) => {
                    headers.push(r::To::new(format!("{};tag=uas7712", t.value())).into())
                }
                _ => {}
            }
        }
        headers.push(r::Contact::new("<sip:bertta@10.32.9.3:5060>").into());
        headers.push(r::ContentLength::new("0").into());
        let p = r::Response {
            status_code: r::StatusCode::OK,
            version: r::Version::V2,
            headers,
            body: vec![],
            wire_reason: None,
        };
        out.extend_from_slice(&p.to_bytes());
        Some(out.len())
    }
}

impl Contestant for Rsip {
    fn name(&self) -> &'static str {
        "rsip"
    }
    fn version(&self) -> &'static str {
        "0.4.0"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        a::shallow(m)
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        a::deep(m)
    }
    fn build(&mut self, s: &ReqSpec, o: &mut Vec<u8>) -> usize {
        a::build(s, o).unwrap_or(0)
    }
    fn respond_200(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        a::respond(m, o).unwrap_or(0)
    }
}
impl Contestant for Rsipstack {
    fn name(&self) -> &'static str {
        "rsipstack"
    }
    fn version(&self) -> &'static str {
        "0.7.14"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        b::shallow(m)
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        b::deep(m)
    }
    fn build(&mut self, s: &ReqSpec, o: &mut Vec<u8>) -> usize {
        b::build(s, o).unwrap_or(0)
    }
    fn respond_200(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        b::respond(m, o).unwrap_or(0)
    }
}

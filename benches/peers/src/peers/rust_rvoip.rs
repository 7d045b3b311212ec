//! rvoip-sip-core: parses every known header eagerly, so its shallow level is already deep.
use crate::contestant::*;
use rvoip_sip_core::types::contact::ContactValue;
use rvoip_sip_core::types::header::{Header, HeaderValue, TypedHeader};
use rvoip_sip_core::{parse_message, HeaderName, Message, Method, Request, Uri};
use std::hint::black_box;
use std::str::FromStr;

pub struct Rvoip;
fn hdrs(m: &Message) -> &[TypedHeader] {
    match m {
        Message::Request(r) => &r.headers,
        Message::Response(r) => &r.headers,
    }
}
fn deep(m: &[u8]) -> Option<usize> {
    let m = parse_message(m).ok()?;
    let mut s = 0;
    if let Message::Request(r) = &m {
        s += hp(r.uri.port)
    }
    for h in hdrs(&m) {
        s += match h {
            TypedHeader::Via(v) => {
                v.0.iter()
                    .map(|v| hp(v.sent_by_port) + v.branch().map_or(0, |b| b.len()))
                    .sum()
            }
            TypedHeader::From(f) => hp(f.0.uri.port) + f.tag().map_or(0, |t| t.len()),
            TypedHeader::To(f) => hp(f.0.uri.port) + f.tag().map_or(0, |t| t.len()),
            TypedHeader::Contact(c) => {
                c.0.iter()
                    .map(|c| match c {
                        ContactValue::Params(p) => p.iter().map(|p| hp(p.address.uri.port)).sum(),
                        _ => 0usize,
                    })
                    .sum()
            }
            TypedHeader::CSeq(c) => c.seq as usize,
            TypedHeader::Route(r) => r.0.iter().map(|r| hp(r.0.uri.port)).sum(),
            TypedHeader::RecordRoute(r) => r.0.iter().map(|r| hp(r.0.uri.port)).sum(),
            _ => 0,
        };
    }
    Some(s)
}
fn build(s: &ReqSpec, out: &mut Vec<u8>) -> Option<usize> {
    let mut r = Request::new(
        Method::from_str(&s.method).ok()?,
        Uri::from_str(&s.ruri).ok()?,
    );
    for (n, v) in &s.headers {
        let h = Header {
            name: HeaderName::from_str(n).ok()?,
            value: HeaderValue::Raw(v.as_bytes().to_vec()),
        };
        r = r.with_header(TypedHeader::try_from(h).ok()?);
    }
    out.extend_from_slice(&Message::Request(r.with_body(s.body.clone())).to_bytes());
    Some(out.len())
}
fn respond(m: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let Message::Request(r) = parse_message(m).ok()? else {
        return None;
    };
    let b = rvoip_sip_core::builder::SimpleResponseBuilder::response_from_request(
        &r,
        rvoip_sip_core::StatusCode::Ok,
        Some("OK"),
    )
    .contact("sip:bertta@10.32.9.3:5060", None)
    .build();
    out.extend_from_slice(&Message::Response(b).to_bytes());
    Some(out.len())
}
impl Contestant for Rvoip {
    fn name(&self) -> &'static str {
        "rvoip-sip-core"
    }
    fn version(&self) -> &'static str {
        "0.4.0"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        parse_message(m).map_or(0, |m| hdrs(black_box(&m)).len())
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        deep(m).unwrap_or(0)
    }
    fn build(&mut self, s: &ReqSpec, o: &mut Vec<u8>) -> usize {
        build(s, o).unwrap_or(0)
    }
    fn respond_200(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        respond(m, o).unwrap_or(0)
    }
}

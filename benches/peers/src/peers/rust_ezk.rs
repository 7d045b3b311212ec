//! ezk-sip-types: the loop that ezk-sip-core's datagram path uses (PullParser + Line + Headers).
use crate::contestant::*;
use bytes::Bytes;
use bytesstr::BytesStr;
use ezk_sip_types::header::typed::*;
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::parse::Parse;
use ezk_sip_types::print::AppendCtx;
use ezk_sip_types::{Headers, Name};
use std::fmt::Write;
use std::hint::black_box;

pub struct Ezk;
fn parse(m: &[u8]) -> Option<(MessageLine, Headers, Bytes)> {
    let src = Bytes::copy_from_slice(m);
    let mut p = PullParser::new(&src, 0);
    let first = std::str::from_utf8(p.next()?.ok()?).ok()?;
    let line = match MessageLine::parse(&src)(first) {
        Ok((_, l)) => l,
        Err(_) => return None,
    };
    let mut headers = Headers::new();
    for item in p.by_ref() {
        let l = std::str::from_utf8(item.ok()?).ok()?;
        match Line::parse(&src, l) {
            Ok((_, l)) => headers.insert(l.name, l.value),
            Err(_) => return None,
        }
    }
    let body = src.slice(p.head_end()..);
    Some((line, headers, body))
}
fn deep(m: &[u8]) -> Option<usize> {
    let (line, h, _b) = parse(m)?;
    let mut s = 0;
    if let MessageLine::Request(r) = &line {
        s += hp(r.uri.host_port.port)
    }
    for v in h.get_named::<Vec<Via>>().ok()? {
        s += hp(v.sent_by.port) + v.params.get_val("branch").map_or(0, |b| b.len())
    }
    for n in [Name::FROM, Name::TO] {
        let f: FromTo = h.get(n).ok()?;
        s += hp(f.uri.uri.host_port.port) + f.tag.as_ref().map_or(0, |t| t.len());
    }
    for c in h.try_get_named::<Vec<Contact>>().into_iter() {
        for c in c.ok()? {
            s += hp(c.uri.uri.host_port.port)
        }
    }
    for n in [Name::ROUTE, Name::RECORD_ROUTE] {
        if let Some(v) = h.try_get::<Vec<Routing>>(n) {
            for r in v.ok()? {
                s += hp(r.uri.uri.host_port.port)
            }
        }
    }
    s += h.get_named::<CSeq>().ok()?.cseq as usize;
    Some(s)
}
fn respond(m: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let (_l, h, _b) = parse(m)?;
    let mut r = Headers::new();
    for n in [Name::VIA, Name::FROM, Name::CALL_ID, Name::CSEQ] {
        h.clone_into(&mut r, n).ok()?
    }
    let _ = h.clone_into(&mut r, Name::RECORD_ROUTE);
    let mut to: FromTo = h.get(Name::TO).ok()?;
    to.tag = Some(BytesStr::from_static("uas7712"));
    r.insert_type(Name::TO, &to);
    r.insert(Name::CONTACT, "<sip:bertta@10.32.9.3:5060>");
    r.insert(Name::CONTENT_LENGTH, "0");
    let line = ezk_sip_types::msg::StatusLine {
        code: ezk_sip_types::StatusCode::OK,
        reason: Some(BytesStr::from_static("OK")),
    };
    let mut st = String::new();
    write!(st, "{}\r\n{}\r\n", line, r).ok()?;
    out.extend_from_slice(st.as_bytes());
    Some(out.len())
}
fn build(s: &ReqSpec, out: &mut Vec<u8>) -> Option<usize> {
    let mut h = Headers::new();
    for (n, v) in &s.headers {
        h.insert(Name::from(n.as_str()), v.as_str())
    }
    h.insert(Name::CONTENT_LENGTH, s.body.len().to_string());
    let uri: ezk_sip_types::uri::SipUri = s.ruri.parse().ok()?;
    let line = ezk_sip_types::msg::RequestLine {
        method: ezk_sip_types::Method::from(s.method.as_str()),
        uri,
    };
    let mut st = String::new();
    write!(st, "{}\r\n{}\r\n", line.default_print_ctx(), h).ok()?;
    out.extend_from_slice(st.as_bytes());
    out.extend_from_slice(&s.body);
    Some(out.len())
}
impl Contestant for Ezk {
    fn name(&self) -> &'static str {
        "ezk-sip-types"
    }
    fn version(&self) -> &'static str {
        "0.6.5"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        parse(m).map_or(0, |x| black_box(&x).1.iter().count())
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

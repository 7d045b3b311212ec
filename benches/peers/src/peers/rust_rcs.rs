//! rust-rcs-core: parser (feed/produce), typed views as far as they go (no host/port split: deep n.a.), writer.
use crate::contestant::*;
use rust_rcs_core::internet::body::Body;
use rust_rcs_core::internet::Header;
use rust_rcs_core::sip::sip_message::build_message_data;
use rust_rcs_core::sip::sip_parser::SipParser;
use rust_rcs_core::sip::SipMessage;
use std::hint::black_box;
use std::sync::Arc;

pub struct Rcs;
fn parse(m: &[u8]) -> Option<SipMessage> {
    let mut p = SipParser::new();
    p.feed(m);
    p.produce().ok().flatten()
}
impl Contestant for Rcs {
    fn name(&self) -> &'static str {
        "rust-rcs-core"
    }
    fn version(&self) -> &'static str {
        "0.3.1"
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        parse(m).map_or(0, |m| black_box(&m).headers().map_or(0, |h| h.len()))
    }
    fn build(&mut self, s: &ReqSpec, o: &mut Vec<u8>) -> usize {
        let mut m = SipMessage::new_request(s.method.as_bytes(), s.ruri.as_bytes());
        for (n, v) in &s.headers {
            m.add_header(Header::new(n.as_bytes().to_vec(), v.as_bytes().to_vec()))
        }
        m.add_header(Header::new(
            &b"Content-Length"[..],
            s.body.len().to_string(),
        ));
        m.set_body(Arc::new(Body::construct_raw(&s.body)));
        o.extend_from_slice(&build_message_data(&m));
        o.len()
    }
    fn respond_200(&mut self, m: &[u8], o: &mut Vec<u8>) -> usize {
        let Some(q) = parse(m) else { return 0 };
        let mut r = SipMessage::new_response(200, b"OK");
        for h in q.headers().unwrap_or(&[]) {
            let n = h.get_name();
            if [&b"Via"[..], b"From", b"Call-ID", b"CSeq", b"Record-Route"]
                .iter()
                .any(|x| n.eq_ignore_ascii_case(x))
            {
                r.add_header(h.clone())
            } else if n.eq_ignore_ascii_case(b"To") {
                let mut v = h.get_value().to_vec();
                v.extend_from_slice(b";tag=uas7712");
                r.add_header(Header::new(n.to_vec(), v))
            }
        }
        r.add_header(Header::new(
            &b"Contact"[..],
            &b"<sip:bertta@10.32.9.3:5060>"[..],
        ));
        r.add_header(Header::new(&b"Content-Length"[..], &b"0"[..]));
        o.extend_from_slice(&build_message_data(&r));
        o.len()
    }
}

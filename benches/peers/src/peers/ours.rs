//! The crate around this folder, through its public API.
use crate::contestant::*;
use oma_im::wire::header::{NameAddr, Via};
use oma_im::wire::message::{Message, StartLine};
use oma_im::wire::name::{Method, Name, Status};
use oma_im::wire::uri::Uri;
use oma_im::wire::writer::{self, MessageWriter, Param, Raw, Text, Token, UriText, With};
use std::hint::black_box;

/// Messages are written into a buffer that lives as long as the program, as a client has one.
pub struct Ours {
    buffer: Vec<u8>,
}

impl Ours {
    pub fn new() -> Self {
        Ours {
            buffer: vec![0; 8192],
        }
    }
}

impl Contestant for Ours {
    fn name(&self) -> &'static str {
        "oma-im"
    }
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
    fn parse_shallow(&mut self, m: &[u8]) -> usize {
        Message::parse(m).map_or(0, |message| black_box(&message).headers().count())
    }
    fn parse_deep(&mut self, m: &[u8]) -> usize {
        deep(m).unwrap_or(0)
    }
    fn build(&mut self, s: &ReqSpec, out: &mut Vec<u8>) -> usize {
        let len = build(s, &mut self.buffer).unwrap_or(0);
        out.extend_from_slice(&self.buffer[..len]);
        len
    }
    fn respond_200(&mut self, m: &[u8], out: &mut Vec<u8>) -> usize {
        let len = respond(m, &mut self.buffer).unwrap_or(0);
        out.extend_from_slice(&self.buffer[..len]);
        len
    }
}

fn port(uri: &Uri<'_>) -> usize {
    match uri.host() {
        Some(host) => {
            black_box(host);
            100_000 + usize::from(uri.port().unwrap_or(0))
        }
        None => 0,
    }
}

fn address(address: &NameAddr<'_>) -> Option<usize> {
    Some(port(&address.uri().ok()?) + address.tag().map_or(0, <[u8]>::len))
}

fn via(via: &Via<'_>) -> usize {
    black_box(via.host);
    100_000 + usize::from(via.port.unwrap_or(0)) + via.branch().map_or(0, <[u8]>::len)
}

fn deep(m: &[u8]) -> Option<usize> {
    let message = Message::parse(m).ok()?;
    let mut sum = match message.start() {
        StartLine::Request(line) => port(&Uri::parse(line.uri).ok()?),
        StartLine::Response(_) => 0,
    };
    for value in message.vias() {
        sum += via(&value.ok()?);
    }
    sum += address(&message.from().ok()?)? + address(&message.to().ok()?)?;
    for value in message.contacts() {
        sum += value.ok()?.addr().map_or(Some(0), address)?;
    }
    for name in [Name::Route, Name::RecordRoute] {
        for value in message.addresses(name) {
            sum += address(&value.ok()?)?;
        }
    }
    Some(sum + usize::try_from(message.cseq().ok()?.number).ok()?)
}

fn build(s: &ReqSpec, buffer: &mut [u8]) -> Option<usize> {
    let uri = UriText::new(&s.ruri).ok()?;
    let mut w = MessageWriter::request(buffer, Method::from_bytes(s.method.as_bytes()), uri);
    let mut content_type = Text::new("").ok()?;
    for (name, value) in &s.headers {
        let value = Text::new(value).ok()?;
        match Name::from_bytes(name.as_bytes()) {
            Name::ContentType => content_type = value,
            Name::Other => w.other(Token::new(name).ok()?, value),
            known => w.header(known, value),
        }
    }
    w.body(content_type, &s.body).finish().ok()
}

fn respond(m: &[u8], buffer: &mut [u8]) -> Option<usize> {
    let request = Message::parse(m).ok()?;
    request.validate().ok()?;
    let mut w = MessageWriter::response(buffer, Status::new(200)?, None);
    for header in request.headers() {
        match header.name {
            Name::Via | Name::From | Name::CallId | Name::CSeq | Name::RecordRoute => {
                w.copy(header)
            }
            Name::To => {
                let tag = [Param::tag(Token::new("uas7712").ok()?)];
                w.header(Name::To, With(Raw(header.value), &tag));
            }
            _ => {}
        }
    }
    let contact = UriText::new("sip:bertta@10.32.9.3:5060").ok()?;
    w.header(Name::Contact, writer::NameAddr::new(contact));
    w.no_body().finish().ok()
}

//! A PUBLISH of the IM service settings, as it is written (OMA IM 5.2.4, E.2).
//!
//! The header rules of 5.2.4 bind all four kinds of PUBLISH alike: set, update, refresh and remove.
//! The document goes with the first two only, since a refresh and a removal have no body
//! (RFC 3903 §4.3, §4.5). There is no Contact (RFC 3903 §6 gives it no meaning) and no Record-Route.

use crate::im::originator::{Originator, put_originator};
use crate::im::pager::{Anonymity, Fresh};
use crate::sip::draft::Cuts;
use crate::wire::name::{Method, Name};
use crate::wire::settings::{EVENT, MEDIA_TYPE, NewDocument};
use crate::wire::sink::TooSmall;
use crate::wire::writer::{MessageWriter, NameAddr, Param, Text, Token, UriText};

/// What a PUBLISH is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publish<'a> {
    pub(crate) identity: UriText<'a>,
    pub(crate) user_agent: Text<'a>,
    pub(crate) fresh: &'a Fresh,
    pub(crate) if_match: Option<Token<'a>>,
    /// In seconds.
    pub(crate) expires: u32,
    pub(crate) document: Option<NewDocument<'a>>,
}

/// Writes the draft of a PUBLISH.
pub(crate) fn publish(parts: &Publish<'_>, out: &mut [u8]) -> Result<(usize, Cuts), TooSmall> {
    // 5.2.4 step 2: the Request-URI is the IM Address.
    let mut w = MessageWriter::request(out, Method::Publish, parts.identity);
    let line = w.len();
    let tag = [Param::tag(Token::random(&parts.fresh.tag))];
    w.header(Name::From, NameAddr::new(parts.identity).params(&tag));
    w.header(Name::To, NameAddr::new(parts.identity));
    w.header(Name::CallId, Token::random(&parts.fresh.call_id));
    let ident = w.len();
    // Steps 3 to 5.
    put_originator(
        &mut w,
        Originator {
            identity: parts.identity,
            anonymity: Anonymity::None,
            user_agent: parts.user_agent,
        },
    );
    // Step 6.
    w.header(Name::Event, const { Token::fixed(EVENT) });
    if let Some(tag) = parts.if_match {
        w.header(Name::SipIfMatch, tag);
    }
    // Step 7.
    w.header(Name::Expires, parts.expires);
    let mut body_len = 0;
    let done = match &parts.document {
        // Step 8.
        Some(document) => w.body_with(const { Text::fixed(MEDIA_TYPE) }, |sink| {
            let start = sink.len();
            document.put(sink);
            body_len = sink.len().saturating_sub(start);
        }),
        None => w.no_body(),
    };
    let len = done.finish()?;
    Ok((
        len,
        Cuts::of_draft(line, ident, len.saturating_sub(body_len)),
    ))
}

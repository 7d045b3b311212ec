//! A SUBSCRIBE to what the network knows of the user, as it is written (RFC 6665 §4.1.2.1).
//!
//! The first one goes to the user's own address of record; later ones go within the dialog that a
//! NOTIFY has made. The Contact is where NOTIFYs come to, a GRUU if there is one, with the feature tag of IM.

use crate::im::originator::{Originator, put_originator};
use crate::im::pager::Anonymity;
use crate::sip::dialog::Dialog;
use crate::sip::draft::Cuts;
use crate::sip::subscription::Package;
use crate::wire::name::{Method, Name};
use crate::wire::sink::TooSmall;
use crate::wire::writer::{MessageWriter, Text, Token, UriText, Value};

/// What a SUBSCRIBE is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscribe<'a, C, const N: usize> {
    pub(crate) dialog: &'a Dialog<N>,
    pub(crate) identity: UriText<'a>,
    pub(crate) user_agent: Text<'a>,
    pub(crate) package: Package,
    /// In seconds.
    pub(crate) expires: u32,
    pub(crate) contact: C,
    pub(crate) supported: Option<Text<'a>>,
}

/// Writes the draft of a SUBSCRIBE. Within a dialog its route set goes with the draft: it is the
/// same on every hop.
pub(crate) fn subscribe<C: Value, const N: usize>(
    parts: Subscribe<'_, C, N>,
    out: &mut [u8],
) -> Result<(usize, Cuts), TooSmall> {
    let target = parts.dialog.request_uri().unwrap_or(parts.identity);
    let mut w = MessageWriter::request(out, Method::Subscribe, target);
    let line = w.len();
    parts.dialog.identify(&mut w);
    let ident = w.len();
    if let Some(route) = parts.dialog.route() {
        w.header(Name::Route, route);
    }
    put_originator(
        &mut w,
        Originator {
            identity: parts.identity,
            anonymity: Anonymity::None,
            user_agent: parts.user_agent,
        },
    );
    w.header(Name::Contact, parts.contact);
    if let Some(supported) = parts.supported {
        w.header(Name::Supported, supported);
    }
    if let Ok(event) = Token::new(parts.package.name) {
        w.header(Name::Event, event);
    }
    if let Ok(accept) = Text::new(parts.package.accept) {
        w.header(Name::Accept, accept);
    }
    w.header(Name::Expires, parts.expires);
    let len = w.no_body().finish()?;
    Ok((len, Cuts::of_draft(line, ident, len)))
}

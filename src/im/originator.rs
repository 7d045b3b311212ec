//! What every request outside a dialog says of its sender: who he is (5.1), that an IM client shall
//! take it (Accept-Contact), and of which release ours is (F.1).

use crate::im::pager::Anonymity;
use crate::im::tags;
use crate::wire::name::Name;
use crate::wire::writer::{MessageWriter, NameAddr, Text, Token, UriText};

/// The sender of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Originator<'a> {
    pub(crate) identity: UriText<'a>,
    pub(crate) anonymity: Anonymity,
    pub(crate) user_agent: Text<'a>,
}

/// The fields of 5.2.4 steps 3 to 5 and 8.1.1 steps 1 to 4.
pub(crate) fn put_originator(w: &mut MessageWriter<'_>, from: Originator<'_>) {
    // 5.1: the Authenticated Originator's IM Address (RFC 3325 §9.2).
    w.header(Name::PPreferredIdentity, NameAddr::new(from.identity));
    if from.anonymity == Anonymity::Id {
        // 8.1.1 step 4.
        w.header(Name::Privacy, const { Token::fixed(tags::PRIVACY_ID) });
    }
    w.header(
        Name::AcceptContact,
        const { Text::fixed(tags::ACCEPT_CONTACT) },
    );
    w.header(Name::UserAgent, from.user_agent);
}

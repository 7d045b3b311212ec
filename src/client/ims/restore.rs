//! Who the user is on an IMS core, and how the core says that it has forgotten him (TS 24.229 §5.1.1.1A, §5.1.1.2.1 b,
//! §5.1.2A.1.6).
//!
//! Of the answers that TS 24.229 gives a meaning of its own, only the 504 is followed, and 494 (RFC 3329). 305, 380 and 420
//! end their request with their status, like any other refusal; nothing is sent in their place.

use super::{PATH, UNANSWERED_MAX};
use crate::arena::{Block, Blocks};
use crate::client::account::{Account, Field};
use crate::client::engine::Engine;
use crate::client::incoming::is_of_type;
use crate::client::register::lists;
use crate::limits::RESERVE;
use crate::wire::header::NameAddr;
use crate::wire::ims3gpp::{Ims3gpp, MEDIA_TYPE};
use crate::wire::message::Message;
use crate::wire::name::{Name, Status};
use crate::wire::scan;
use crate::wire::uri::Uri;

/// Where the identity lies that requests name unless another one is chosen.
#[derive(Clone, Copy)]
pub(crate) struct OwnIdentity {
    /// P-Associated-URI, if its first URI takes the place of the IM Address.
    instead: Option<Block>,
}

impl OwnIdentity {
    /// Its URI.
    pub(crate) fn get<'a>(self, blocks: Blocks<'a>, account: &Account, text: &'a [u8]) -> &'a [u8] {
        let first = self.instead.and_then(|list| {
            let value = scan::split_commas(blocks.get(list)).next()?;
            Some(NameAddr::parse(value).ok()?.uri)
        });
        first.unwrap_or(account.slice(text, Field::ImAddress))
    }
}

impl Engine<'_> {
    /// TS 24.229 §5.1.1.2.1 b: the IM Address; but if it is barred, the first of the associated identities. What the list
    /// of the registrar does not have is barred (§5.1.1.1A).
    pub(crate) fn own_identity(&self) -> OwnIdentity {
        OwnIdentity {
            instead: self
                .path(PATH)
                .and_then(|path| path.associated)
                .filter(|_| self.is_barred()),
        }
    }

    /// Its URI.
    pub(crate) fn own_uri(&self) -> &[u8] {
        let blocks = self.arena.view();
        let account = self.core.account;
        let text = account.block().map(|block| blocks.get(block));
        self.own_identity()
            .get(blocks, &account, text.unwrap_or_default())
    }

    /// Whether the registrar left the registered identity out of the list of those that can be used.
    pub(crate) fn is_barred(&self) -> bool {
        let list = self.path(PATH).and_then(|path| path.associated);
        let Some(list) = list.filter(|_| self.is_ims()) else {
            return false;
        };
        let Ok(own) = Uri::parse(self.core.account.get(&self.arena, Field::ImAddress)) else {
            return false;
        };
        !lists(self.arena.get(list), &own)
    }

    /// Keeps Path of a 200, to recognise a 504 by.
    pub(crate) fn keep_path(&mut self, message: &Message<'_>) {
        if !self.is_ims() {
            return;
        }
        let kept = if self.arena.available() > RESERVE.saturating_mul(2) {
            self.keep_list(message, Name::Path)
        } else {
            None
        };
        if let Some(old) = core::mem::replace(&mut self.core.ims.path, kept) {
            self.arena.free(old);
        }
    }

    /// A final response to a request of ours that is no REGISTER came.
    pub(crate) fn heard_from_core(&mut self, message: &Message<'_>, status: Status) {
        self.core.ims.unanswered = 0;
        if status.code() == 504 && self.asks_for_restoration(message) {
            self.start_again();
        } else {
            self.agrees_again(status);
        }
    }

    /// Nobody answered a protected request. TS 24.229 §5.1.1.2.1: after several the associations count as gone, and with
    /// them the registration.
    pub(crate) fn unheard_by_core(&mut self) {
        if self.core.ims.current.is_none() {
            return;
        }
        let ims = &mut self.core.ims;
        ims.unanswered = ims.unanswered.saturating_add(1);
        if ims.unanswered >= UNANSWERED_MAX {
            ims.unanswered = 0;
            self.start_again();
        }
    }

    /// TS 24.229 §5.1.2A.1.6: all of sender, type and content.
    fn asks_for_restoration(&self, message: &Message<'_>) -> bool {
        if !is_of_type(message, MEDIA_TYPE) {
            return false;
        }
        let lists_it = |uri: &Uri<'_>| {
            let route = self.path(PATH).and_then(|path| path.route);
            let known = [route, self.core.ims.path];
            let mut known = known.into_iter().flatten();
            known.any(|list| lists(self.arena.get(list), uri))
        };
        let mut asserted = message.values(Name::PAssertedIdentity);
        asserted.any(|value| {
            let uri = NameAddr::parse(value).and_then(|addr| addr.uri());
            uri.is_ok_and(|uri| lists_it(&uri))
        }) && Ims3gpp::parse(message.body()).is_ok_and(|body| body.asks_for_restoration())
    }
}

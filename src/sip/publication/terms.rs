//! What goes into a publication and what comes out of it.

use core::num::NonZeroU8;

use super::super::backoff::BackoffConfig;
use super::super::registration::RefreshRule;
use crate::limits::MAX_ETAG;
use crate::time::Instant;
use crate::wire::header::{Expires, SipEtag};
use crate::wire::message::Message;
use crate::wire::name::{Name, Status};
use crate::wire::writer::Token;

/// What a publication asks for and puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PublicationConfig {
    /// The time asked for, in seconds. Default 600,000, as for a registration; 0 counts as 1.
    pub expires: u32,
    /// The longest `Min-Expires` that is obeyed, in seconds. Default 2,592,000, which is 30 days.
    pub max_expires: u32,
    /// When to refresh. Default [`RefreshRule::Ims`], so that it falls together with the refresh
    /// of a registration of the same length.
    pub refresh: RefreshRule,
    /// How to refresh. Default [`RefreshForm::Empty`].
    pub form: RefreshForm,
    /// How long to wait after a failure.
    pub backoff: BackoffConfig,
}

impl PublicationConfig {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        expires: 600_000,
        max_expires: 2_592_000,
        refresh: RefreshRule::Ims,
        form: RefreshForm::Empty,
        backoff: BackoffConfig::RFC5626,
    };
}

impl Default for PublicationConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a refresh looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RefreshForm {
    /// No body, as RFC 3903 §4.3 demands.
    Empty,
    /// The document again, as a modification (RFC 3903 §4.4): for a server that insists.
    Document,
}

/// A command: what shall become of the event state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Command<D> {
    /// This document shall be in effect.
    Publish(D),
    /// None shall.
    Remove(D),
}

impl<D> Command<D> {
    /// Its name.
    pub fn into_name(self) -> D {
        match self {
            Self::Publish(name) | Self::Remove(name) => name,
        }
    }
}

/// What a request or a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Goal<D> {
    /// A command that has not ended.
    Command(Command<D>),
    /// This document, whose command has ended, is to stay in effect.
    Keep(D),
}

impl<D> Goal<D> {
    /// The command that has not ended.
    pub(super) fn open(self) -> Option<D> {
        match self {
            Self::Command(command) => Some(command.into_name()),
            Self::Keep(_) => None,
        }
    }
}

/// The four kinds of PUBLISH: RFC 3903 Table 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Operation<D> {
    /// This document, without SIP-If-Match.
    Initial(D),
    /// No body, with SIP-If-Match.
    Refresh,
    /// This document, with SIP-If-Match.
    Modify(D),
    /// No body, with SIP-If-Match and an Expires of 0.
    Remove,
}

/// What the owner does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PublicationAction<D> {
    /// Nothing.
    Nothing,
    /// Send a PUBLISH. For SIP-If-Match, [`entity_tag`](super::Publication::entity_tag) has the
    /// value until the next input; it has none for [`Operation::Initial`].
    Send {
        /// Its body and its precondition.
        operation: Operation<D>,
        /// For Expires, in seconds.
        expires: u32,
    },
}

/// What the user of a publication is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PublicationEvent {
    /// The document is in effect: published, modified or refreshed.
    InEffect {
        /// When it ends unless it is refreshed.
        until: Instant,
        /// Whether it can be refreshed.
        tag: Tagging,
    },
    /// Nothing is in effect any more: it ran out, or the server had forgotten it (412). The
    /// machine publishes anew by itself, unless [`GivenUp`](Self::GivenUp) or a removal went
    /// before.
    Lost,
    /// An attempt failed and there is another.
    Retrying {
        /// Why.
        reason: Reason,
        /// When the next attempt is made.
        at: Instant,
        /// Until when what was published serves; `None` if nothing is in effect.
        in_effect_until: Option<Instant>,
    },
    /// The document cannot be kept in effect: a refresh was refused for good. Not tried again
    /// before the next command.
    GivenUp {
        /// Why.
        reason: Reason,
        /// Until when it serves; `None` if nothing is in effect.
        in_effect_until: Option<Instant>,
    },
}

/// Whether a publication can be refreshed, modified and removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Tagging {
    /// The server gave an entity-tag.
    Kept,
    /// It gave none that can be read, against RFC 3903 §6: the document is published anew before
    /// its end.
    Missing,
    /// It is longer than [`MAX_ETAG`] and could not be kept: likewise.
    TooLong,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ended<D> {
    /// The name that it was given.
    pub command: D,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// The document is in effect.
    Published {
        /// When it ends unless it is refreshed.
        until: Instant,
    },
    /// Nothing of ours is in effect.
    Removed,
    /// The server gave no entity-tag, so nothing can be removed: it ends by itself.
    RunsOut {
        /// When.
        at: Instant,
    },
    /// A later command came before this one had succeeded, and goes in its place.
    Superseded,
    /// [`offline`](super::Publication::offline) came first.
    Withdrawn,
    /// Refused for good.
    Failed {
        /// Why.
        reason: Reason,
        /// Until when an earlier document serves; `None` if nothing is in effect.
        in_effect_until: Option<Instant>,
    },
}

/// Why a PUBLISH failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reason {
    /// The final response.
    Status(Status),
    /// No final response (Timer F).
    Timeout,
    /// The request could not be sent.
    TransportFailed,
    /// A 423 whose Min-Expires is missing, not more than what was asked for, over
    /// [`PublicationConfig::max_expires`], or the third in a row.
    IntervalTooBrief {
        /// Min-Expires in seconds.
        min_expires: Option<u32>,
    },
    /// A 2xx that grants no time.
    NotGranted,
    /// A 412 where no entity-tag was sent, or a second one before a refresh succeeded.
    ConditionFailed,
}

/// An action, an event and the commands that ended; they belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Step<D> {
    /// What to do.
    pub action: PublicationAction<D>,
    /// What to tell.
    pub event: Option<PublicationEvent>,
    /// Which commands are over, the older one first. Each command is named here once.
    pub ended: [Option<Ended<D>>; 2],
}

impl<D> Step<D> {
    /// Nothing to do and nothing to tell.
    pub const NOTHING: Self = Self {
        action: PublicationAction::Nothing,
        event: None,
        ended: [None, None],
    };

    pub(super) fn telling(self, event: PublicationEvent) -> Self {
        Self {
            event: Some(event),
            ..self
        }
    }

    /// Puts the end of an older command before those that ended.
    pub(super) fn after(self, command: D, outcome: Outcome) -> Self {
        let [first, _] = self.ended;
        Self {
            ended: [Some(Ended { command, outcome }), first],
            ..self
        }
    }

    /// The same, if there is an older command.
    pub(super) fn after_any(self, command: Option<D>, outcome: Outcome) -> Self {
        match command {
            Some(command) => self.after(command, outcome),
            None => self,
        }
    }
}

/// What a 2xx to PUBLISH says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant<'b> {
    /// Its Expires, in seconds.
    ///
    /// RFC 3903 §6 demands one and lets the server only shorten, so more than was asked for counts
    /// as what was asked for, and none as well.
    pub expires: Option<u32>,
    /// Its SIP-ETag; `None` if there is none, or none that can be read.
    pub entity_tag: Option<SipEtag<'b>>,
}

impl<'b> Grant<'b> {
    /// Reads the head of a 2xx; what cannot be read counts as missing.
    pub fn read(response: &Message<'b>) -> Self {
        Self {
            expires: response
                .optional(Name::Expires, Expires::parse)
                .ok()
                .flatten()
                .map(|expires| expires.0),
            entity_tag: response
                .optional(Name::SipEtag, SipEtag::parse)
                .ok()
                .flatten(),
        }
    }
}

/// An entity-tag that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    len: NonZeroU8,
    bytes: [u8; MAX_ETAG],
}

const _: () = assert!(MAX_ETAG <= u8::MAX as usize);

impl Tag {
    /// Keeps a tag if there is one and it fits.
    pub(super) fn keep(tag: Option<SipEtag<'_>>) -> (Option<Self>, Tagging) {
        let Some(tag) = tag.map(SipEtag::as_bytes) else {
            return (None, Tagging::Missing);
        };
        let mut bytes = [0; MAX_ETAG];
        let place = bytes.get_mut(..tag.len());
        let len = u8::try_from(tag.len()).ok().and_then(NonZeroU8::new);
        let (Some(place), Some(len)) = (place, len) else {
            return (None, Tagging::TooLong);
        };
        place.copy_from_slice(tag);
        (Some(Self { len, bytes }), Tagging::Kept)
    }

    pub(super) fn token(&self) -> Option<Token<'_>> {
        let bytes = self.bytes.get(..usize::from(self.len.get()))?;
        Token::new(bytes).ok()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Tag {
    fn format(&self, f: defmt::Formatter<'_>) {
        let bytes = self.bytes.get(..usize::from(self.len.get()));
        defmt::write!(f, "{=[u8]:a}", bytes.unwrap_or_default());
    }
}

//! Registration information: which contacts are bound to an identity, and what happened to them
//! (RFC 3680 §5; GRUUs: RFC 5628).
//!
//! [`RegInfo`] walks the document `application/reginfo+xml` of a NOTIFY and gives each registration,
//! and after it each of its contacts. It keeps nothing: the last version and what the states mean are for the
//! subscriber to see to; [`RegInfo::order`] says what the version means for a document.
//!
//! ```
//! use oma_im::wire::reginfo::{ContactEvent, ContactState, Item, RegInfo};
//!
//! let mut info = RegInfo::new(
//!     b"<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' version='1' state='partial'>\
//!       <registration aor='sip:joe@example.com' id='a7' state='active'>\
//!       <contact id='76' state='active' event='shortened' expires='60'>\
//!       <uri>sip:joe@pc34.example.com</uri></contact></registration></reginfo>",
//! )?;
//! assert_eq!(info.version(), 1);
//! let Some(Item::Registration(joe)) = info.next().transpose()? else { unreachable!() };
//! assert!(joe.aor == *"sip:joe@example.com");
//! let Some(Item::Contact(pc)) = info.next().transpose()? else { unreachable!() };
//! assert_eq!((pc.state, pc.event), (ContactState::Active, ContactEvent::Shortened));
//! assert_eq!(pc.expires, Some(60));
//! assert!(info.next().is_none());
//! # Ok::<(), oma_im::wire::error::ParseError>(())
//! ```

use super::error::{ParseError, ParseErrorKind};
use super::xml::{self, Depth, Reader, Start, Text};

/// The namespace of the document (RFC 3680 §5.1).
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:reginfo";
/// The namespace of the GRUUs in it (RFC 5628 §9).
pub const GRUU_NAMESPACE: &str = "urn:ietf:params:xml:ns:gruuinfo";
/// The media type of the document (RFC 3680 §4.5, §8.2).
pub const MEDIA_TYPE: &str = "application/reginfo+xml";
/// The event package of the document (RFC 3680 §4.1).
pub const EVENT: &str = "reg";

macro_rules! values {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The value of the attribute.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            fn of(text: Text<'_>) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| text == *known.as_str())
            }
        }
    )*};
}

values! {
    /// What a document covers (RFC 3680 §5.1).
    DocumentState {
        /// Every registration of the resource.
        Full = "full",
        /// Only registrations that have changed since the document before.
        Partial = "partial",
    }
    /// The state of a registration (RFC 3680 §4.7.1).
    RegistrationState {
        /// No contact is bound.
        Init = "init",
        /// Some contact is.
        Active = "active",
        /// The last contact has just gone.
        Terminated = "terminated",
    }
    /// The state of a contact (RFC 3680 §4.7.1).
    ContactState {
        /// It is bound.
        Active = "active",
        /// It has gone.
        Terminated = "terminated",
    }
    /// What led to the state of a contact (RFC 3680 §4.7.1).
    ContactEvent {
        /// A REGISTER bound it.
        Registered = "registered",
        /// An administrator or a policy bound it.
        Created = "created",
        /// A REGISTER refreshed it.
        Refreshed = "refreshed",
        /// The network shortened its time, to make the client authenticate anew.
        Shortened = "shortened",
        /// It was not refreshed in time.
        Expired = "expired",
        /// The network took it away; the client should register anew at once.
        Deactivated = "deactivated",
        /// The network took it away; the client should register anew after `retry-after`.
        Probation = "probation",
        /// A REGISTER took it away.
        Unregistered = "unregistered",
        /// The network does not allow it any more.
        Rejected = "rejected",
    }
}

/// What the version of a document means for it (RFC 3680 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Order {
    /// It is the first, or the next: process it. So is one with full state that is not older, whatever is missing
    /// between; §5.2 says nothing of the same version again, but there are servers that count nothing.
    InTurn,
    /// It has partial state, and some are missing before it: process it, and refresh the subscription to get the
    /// full state.
    Gap,
    /// It is older than the last, or the same again with partial state: discard it.
    Old,
}

/// The state of one identity.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'b> {
    /// The identity.
    pub aor: Text<'b>,
    /// What it is known by in the documents of this subscription.
    pub id: Text<'b>,
    /// Whether a contact is bound to it.
    pub state: RegistrationState,
}

/// The state of one contact of the registration before it.
#[derive(Clone, Copy, Debug)]
pub struct Contact<'b> {
    /// What it is known by in the documents of this subscription.
    pub id: Text<'b>,
    /// Whether it is bound.
    pub state: ContactState,
    /// Why.
    pub event: ContactEvent,
    /// The seconds that it has left; one above 32 bits is given as the largest of them.
    pub expires: Option<u32>,
    /// After `probation`, the seconds after which to register anew.
    pub retry_after: Option<u32>,
    /// The Call-ID of the REGISTER that bound or refreshed it last.
    pub callid: Option<Text<'b>>,
    /// The CSeq number of that REGISTER.
    pub cseq: Option<u32>,
    /// The contact URI.
    pub uri: Text<'b>,
    /// Its `+sip.instance`, as it stood in the Contact, with quotes and brackets if it had them.
    pub instance: Option<Text<'b>>,
    /// Its `reg-id`.
    pub reg_id: Option<u32>,
    /// Its public GRUU (RFC 5628 §5).
    pub pub_gruu: Option<Text<'b>>,
    /// Its newest temporary GRUU (RFC 5628 §5).
    pub temp_gruu: Option<TempGruu<'b>>,
}

/// A temporary GRUU (RFC 5628 §5).
#[derive(Clone, Copy, Debug)]
pub struct TempGruu<'b> {
    /// The GRUU.
    pub uri: Text<'b>,
    /// The CSeq number of the REGISTER that made the oldest one that is still valid.
    pub first_cseq: Option<u32>,
}

/// What a walk gives.
#[derive(Clone, Copy, Debug)]
pub enum Item<'b> {
    /// A registration; its contacts follow.
    Registration(Registration<'b>),
    /// A contact of the last registration.
    Contact(Contact<'b>),
}

/// The registrations and contacts of a document, in their order.
///
/// A registration or contact that lacks what it must have gives an error, and the walk goes on behind it; a
/// document that is not well-formed gives an error and ends it. So all of it was well-formed only once `None` came.
#[derive(Clone, Debug)]
pub struct RegInfo<'b> {
    version: u32,
    state: DocumentState,
    reader: Option<Reader<'b>>,
    root: Depth,
    /// The depth of the registration that is open.
    registration: Option<Depth>,
}

impl<'b> RegInfo<'b> {
    /// Begins to read a document of type `application/reginfo+xml`.
    ///
    /// # Errors
    /// Those of [`Reader`]; `Document` if the root is another one, or has no version or state; `Number` if the
    /// version has more than 32 bits (RFC 3680 §5.1).
    pub fn new(document: &'b [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(document)?;
        let mut version = None;
        let mut state = None;
        // `root` has no attributes to give, so the start is read here.
        if let xml::Event::Start(start) = reader.read()?
            && start.is(NAMESPACE, "reginfo")
        {
            version = start.attribute("", "version").and_then(number);
            state = start.attribute("", "state").and_then(DocumentState::of);
        }
        let root = reader.depth();
        let lacking = reader.error(ParseErrorKind::Document);
        let version = version.ok_or(lacking)?;
        Ok(Self {
            version: u32::try_from(version).map_err(|_| reader.error(ParseErrorKind::Number))?,
            state: state.ok_or(lacking)?,
            reader: Some(reader),
            root,
            registration: None,
        })
    }

    /// The version: one more with each document of a subscription, from 0 (RFC 3680 §5.1).
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Whether the document has all registrations.
    pub const fn state(&self) -> DocumentState {
        self.state
    }

    /// Where the document stands in the subscription, after one of version `last` or as its first.
    pub const fn order(&self, last: Option<u32>) -> Order {
        match last {
            None => Order::InTurn,
            Some(last) if self.version < last => Order::Old,
            Some(last) => match (self.state, self.version.wrapping_sub(last)) {
                (DocumentState::Full, _) | (DocumentState::Partial, 1) => Order::InTurn,
                (DocumentState::Partial, 0) => Order::Old,
                (DocumentState::Partial, _) => Order::Gap,
            },
        }
    }

    fn item(&mut self) -> Result<Option<Item<'b>>, ParseError> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        loop {
            if let Some(registration) = self.registration {
                match reader.child(registration)? {
                    Some(child) if child.is(NAMESPACE, "contact") => {
                        let contact = Attributes::of(&child);
                        return contact.read(reader).map(|it| Some(Item::Contact(it)));
                    }
                    Some(_) => continue,
                    None => self.registration = None,
                }
            }
            match reader.child(self.root)? {
                Some(child) if child.is(NAMESPACE, "registration") => {
                    let read = registration(&child);
                    // The contacts of one that is faulty are nobody's, and are passed over.
                    let read = read.ok_or(reader.error(ParseErrorKind::Document))?;
                    self.registration = Some(reader.depth());
                    return Ok(Some(Item::Registration(read)));
                }
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

impl<'b> Iterator for RegInfo<'b> {
    type Item = Result<Item<'b>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.item().transpose();
        match item {
            Some(Ok(_)) => item,
            Some(Err(error)) if error.kind == ParseErrorKind::Document => item,
            Some(Err(_)) => {
                self.reader = None;
                item
            }
            None => self.reader.take()?.finish().err().map(Err),
        }
    }
}

fn registration<'b>(start: &Start<'_, 'b>) -> Option<Registration<'b>> {
    Some(Registration {
        aor: start.attribute("", "aor")?.trim(),
        id: start.attribute("", "id")?,
        state: RegistrationState::of(start.attribute("", "state")?)?,
    })
}

/// The attributes of a contact.
struct Attributes<'b> {
    id: Option<Text<'b>>,
    state: Option<ContactState>,
    event: Option<ContactEvent>,
    expires: Option<u32>,
    retry_after: Option<u32>,
    callid: Option<Text<'b>>,
    cseq: Option<u32>,
}

impl<'b> Attributes<'b> {
    fn of(start: &Start<'_, 'b>) -> Self {
        let attribute = |name| start.attribute("", name);
        Self {
            id: attribute("id"),
            state: attribute("state").and_then(ContactState::of),
            event: attribute("event").and_then(ContactEvent::of),
            expires: attribute("expires").and_then(seconds),
            retry_after: attribute("retry-after").and_then(seconds),
            callid: attribute("callid"),
            cseq: attribute("cseq").and_then(exact),
        }
    }

    /// The contact whose start was read last.
    fn read(self, reader: &mut Reader<'b>) -> Result<Contact<'b>, ParseError> {
        let contact = reader.depth();
        let lacking = reader.error(ParseErrorKind::Document);
        let (mut uri, mut instance, mut reg_id) = (None, None, None);
        let (mut pub_gruu, mut temp_gruu) = (None, None);
        while let Some(child) = reader.child(contact)? {
            if child.is(NAMESPACE, "uri") {
                let text = reader.text()?.trim();
                uri.get_or_insert(text);
            } else if child.is(NAMESPACE, "unknown-param") {
                let name = child.attribute("", "name");
                let named = |it: &str| name.is_some_and(|name| name == *it);
                let (is_instance, is_reg_id) = (named("+sip.instance"), named("reg-id"));
                let text = reader.text()?.trim();
                if is_instance {
                    instance.get_or_insert(text);
                } else if is_reg_id {
                    reg_id = reg_id.or(exact(text));
                }
            } else if child.is(GRUU_NAMESPACE, "pub-gruu") {
                pub_gruu = pub_gruu.or(child.attribute("", "uri"));
            } else if child.is(GRUU_NAMESPACE, "temp-gruu") {
                let first_cseq = child.attribute("", "first-cseq").and_then(exact);
                let new = child.attribute("", "uri");
                temp_gruu = temp_gruu.or(new.map(|uri| TempGruu { uri, first_cseq }));
            }
        }
        Ok(Contact {
            id: self.id.ok_or(lacking)?,
            state: self.state.ok_or(lacking)?,
            event: self.event.ok_or(lacking)?,
            expires: self.expires,
            retry_after: self.retry_after,
            callid: self.callid,
            cseq: self.cseq,
            uri: uri.filter(|uri| !uri.is_empty()).ok_or(lacking)?,
            instance,
            reg_id,
            pub_gruu,
            temp_gruu,
        })
    }
}

/// Digits, with white space around them (xs:unsignedLong); more than 64 bits count as the largest number.
fn number(text: Text<'_>) -> Option<u64> {
    let mut digits = text.trim().chars();
    let digit = |c: char| c.to_digit(10).map(u64::from);
    let first = digit(digits.next()?)?;
    digits.try_fold(first, |sum, c| {
        Some(sum.saturating_mul(10).saturating_add(digit(c)?))
    })
}

fn seconds(text: Text<'_>) -> Option<u32> {
    number(text).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

fn exact(text: Text<'_>) -> Option<u32> {
    u32::try_from(number(text)?).ok()
}

//! A dialog, as the side that asked for it keeps it: RFC 3261 §12.
//!
//! It begins with the request that can create it ([`Dialog::request`]): our Call-ID, our tag and
//! the two URIs. A response or, with SUBSCRIBE, a NOTIFY then brings the peer's tag, the route set
//! and the remote target. From then on requests of the peer are matched with it and checked for
//! their order, and ours are written from it, over loose routers and strict ones.
//!
//! Everything lies in the dialog itself: `N` octets for the texts, about 40 beside them. Texts that
//! are too long for it never break a dialog that can be kept: without room for route set and target
//! the peer's requests are known, but it cannot be reached ([`Reach::Unreachable`]).
//!
//! ```
//! use oma_im::sip::dialog::{Dialog, Order, Reach, Relation, Seed};
//! use oma_im::wire::message::Message;
//! use oma_im::wire::name::Method;
//! use oma_im::wire::writer::{MessageWriter, UriText};
//!
//! let own = UriText::new("sip:alice@example.com")?;
//! let mut dialog = Dialog::<288>::request(Seed { call_id: 1, tag: 2 }, own, own)?;
//! let notify = Message::parse(b"NOTIFY sip:alice@192.0.2.10 SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 198.51.100.5;branch=z9hG4bK1\r\n\
//!     Record-Route: <sip:p1.example.com;lr>\r\n\
//!     From: <sip:alice@example.com>;tag=srv\r\n\
//!     To: <sip:alice@example.com>;tag=0000000000000002\r\n\
//!     Call-ID: 0000000000000001\r\n\
//!     CSeq: 7 NOTIFY\r\n\
//!     Contact: <sip:registrar.example.com>\r\n\
//!     Content-Length: 0\r\n\r\n")?;
//! let relation = |dialog: &Dialog<288>| {
//!     dialog.relation(b"0000000000000001", b"0000000000000002", b"srv")
//! };
//! assert_eq!(relation(&dialog), Relation::Creates);
//! assert_eq!(dialog.established_by_request(&notify)?, Reach::Reachable);
//! assert_eq!(relation(&dialog), Relation::Within);
//! assert_eq!(dialog.receive(7), Order::Late, "the CSeq of the one that made it");
//! assert_eq!(dialog.receive(9), Order::InOrder);
//!
//! let mut out = [0; 512];
//! let mut w = MessageWriter::request(&mut out, Method::Subscribe, dialog.request_uri().unwrap());
//! dialog.identify(&mut w);
//! let len = w.no_body().finish()?;
//! assert!(out[..len].starts_with(b"SUBSCRIBE sip:registrar.example.com SIP/2.0\r\n\
//!     From: <sip:alice@example.com>;tag=0000000000000002\r\n\
//!     To: <sip:alice@example.com>;tag=srv\r\n\
//!     Call-ID: 0000000000000001\r\n"));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use heapless::Vec;

use crate::limits::{MAX_DIALOG, MAX_ROUTES};
use crate::wire::header::NameAddr;
use crate::wire::message::Message;
use crate::wire::name::{Name, Status};
use crate::wire::scan::{find_byte, split_at};
use crate::wire::sink::Sink;
use crate::wire::uri::{Scheme, SipUri, Uri};
use crate::wire::writer::sealed::Sealed;
use crate::wire::writer::{Hex, MessageWriter, NameAddr as NewAddr, Param, Token, UriText, Value};

/// What names a dialog on our side, chosen at random (RFC 3261 §8.1.1.4, §19.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Seed {
    /// The Call-ID, written as 16 hexadecimal digits.
    pub call_id: u64,
    /// The local tag, written likewise.
    pub tag: u64,
}

/// Whether requests can be sent within a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reach {
    /// They can.
    Reachable,
    /// Route set and remote target did not fit: the peer can only be listened to.
    Unreachable,
}

/// How the first router of the route set is addressed (RFC 3261 §12.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Routing {
    /// There is none, or it has `lr`.
    Loose,
    /// It is one of RFC 2543.
    Strict,
}

/// What a request of a peer has to do with a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Relation {
    /// Nothing.
    Elsewhere,
    /// It answers our request, and there is no dialog yet: it can make it.
    Creates,
    /// It is a request within the dialog.
    Within,
    /// It answers our request from elsewhere: another branch of a fork.
    Fork,
}

/// Whether a request of a peer comes in its turn (RFC 3261 §12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Order {
    /// Its CSeq is higher than all before; gaps are no fault.
    InOrder,
    /// It is not: 500.
    Late,
}

/// Why a dialog was not made or changed; it is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DialogError {
    /// From, To, CSeq or Record-Route cannot be read, or the peer's tag is no token.
    Malformed,
    /// There is no Contact with a SIP or SIPS URI (RFC 3261 §12.1.1).
    Contact,
    /// The two URIs or the peer's tag do not fit.
    TooLong {
        /// Octets that they take.
        needed: usize,
        /// Octets that there are.
        available: usize,
    },
}

impl DialogError {
    /// What a request that meets it is answered with.
    pub fn status(self) -> Status {
        match self {
            Self::Malformed | Self::Contact => Status::BAD_REQUEST,
            Self::TooLong { .. } => Status::SERVER_INTERNAL_ERROR,
        }
    }
}

impl core::fmt::Display for DialogError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Malformed => f.write_str("a header field that makes the dialog cannot be read"),
            Self::Contact => f.write_str("there is no Contact with a SIP URI"),
            Self::TooLong { needed, available } => {
                write!(f, "the dialog takes {needed} octets, there are {available}")
            }
        }
    }
}

impl core::error::Error for DialogError {}

/// What is known of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Peer {
    /// Nothing: there is no dialog yet.
    Unknown,
    Known {
        /// The highest CSeq that came; `None`: none did.
        cseq: Option<u32>,
        reach: Reach,
        routing: Routing,
    },
}

/// The texts of a dialog, in the order in which they lie; a later one is the first to be too much.
#[derive(Clone, Copy)]
enum Part {
    LocalUri,
    /// Empty if it is the local one.
    RemoteUri,
    /// Empty if the peer gave none (RFC 3261 §12.1.2: null).
    RemoteTag,
    /// `<uri>,<uri>`, in the order in which they are sent.
    Routes,
    Target,
}

const PARTS: usize = 5;

/// A dialog with room for `N` octets of URIs, tag and routes; 40 octets more are its own.
#[derive(Clone, Debug)]
pub struct Dialog<const N: usize = MAX_DIALOG> {
    seed: Seed,
    cseq: u32,
    peer: Peer,
    /// Where each part ends.
    ends: [u16; PARTS],
    bytes: [u8; N],
}

impl<const N: usize> Dialog<N> {
    /// What a request that can create a dialog goes out with: From `local`, To and Request-URI
    /// `remote`.
    ///
    /// # Errors
    /// `TooLong` if the two URIs do not fit.
    pub fn request(
        seed: Seed,
        local: UriText<'_>,
        remote: UriText<'_>,
    ) -> Result<Self, DialogError> {
        let mut dialog = Self {
            seed,
            cseq: 0,
            peer: Peer::Unknown,
            ends: [0; PARTS],
            bytes: [0; N],
        };
        let (local, remote) = (local.as_bytes(), remote.as_bytes());
        dialog.add(Part::LocalUri, local)?;
        if remote != local {
            dialog.add(Part::RemoteUri, remote)?;
        }
        Ok(dialog)
    }

    /// The dialog that a second peer makes of the same request (RFC 6665 §4.4.1).
    #[must_use]
    pub fn forked(&self) -> Self {
        let mut fork = self.clone();
        fork.peer = Peer::Unknown;
        fork.cut(Part::RemoteTag);
        fork
    }

    /// What a request with these names has to do with the dialog. A tag that is missing is empty.
    pub fn relation(&self, call_id: &[u8], to_tag: &[u8], from_tag: &[u8]) -> Relation {
        if *call_id != digits(self.seed.call_id) || *to_tag != digits(self.seed.tag) {
            return Relation::Elsewhere;
        }
        match self.peer {
            Peer::Unknown => Relation::Creates,
            Peer::Known { .. } if self.part(Part::RemoteTag) == from_tag => Relation::Within,
            Peer::Known { .. } => Relation::Fork,
        }
    }

    /// A request of the peer, such as NOTIFY, makes the dialog (RFC 3261 §12.1.1, RFC 6665 §4.4.1):
    /// its route set is that of the request, in this order.
    ///
    /// # Errors
    /// The dialog is as it was.
    pub fn established_by_request(&mut self, request: &Message<'_>) -> Result<Reach, DialogError> {
        let peer = request.from().map_err(|_| DialogError::Malformed)?;
        let cseq = request.cseq().map_err(|_| DialogError::Malformed)?;
        self.establish(peer.tag(), Some(cseq.number), Direction::AsSent, request)
    }

    /// A response to our request makes the dialog (RFC 3261 §12.1.2): its route set is that of the
    /// response, turned round.
    ///
    /// # Errors
    /// The dialog is as it was.
    pub fn established_by_response(
        &mut self,
        response: &Message<'_>,
    ) -> Result<Reach, DialogError> {
        let peer = response.to().map_err(|_| DialogError::Malformed)?;
        self.establish(peer.tag(), None, Direction::Reversed, response)
    }

    /// A request of the peer came within the dialog, with this CSeq.
    ///
    /// One with the CSeq of the last is late too: a retransmission never comes here, and RFC 3261
    /// §12.2.1.1 has them strictly increase.
    pub fn receive(&mut self, number: u32) -> Order {
        match &mut self.peer {
            Peer::Known {
                cseq: Some(last), ..
            } if number <= *last => Order::Late,
            Peer::Known { cseq, .. } => {
                *cseq = Some(number);
                Order::InOrder
            }
            Peer::Unknown => Order::InOrder,
        }
    }

    /// A target refresh request of the peer, or the 2xx to one of ours, had this in its Contact
    /// (RFC 3261 §12.2.1.2, §12.2.2). The route set stays.
    pub fn retarget(&mut self, contact: UriText<'_>) {
        match &mut self.peer {
            Peer::Known {
                reach: Reach::Reachable,
                ..
            } => {}
            Peer::Known {
                reach: Reach::Unreachable,
                ..
            }
            | Peer::Unknown => return,
        }
        self.cut(Part::Target);
        if self.add(Part::Target, contact.as_bytes()).is_err()
            && let Peer::Known { reach, .. } = &mut self.peer
        {
            *reach = Reach::Unreachable;
        }
    }

    /// Whether requests can be sent within it; `None`: there is no dialog yet.
    pub fn reach(&self) -> Option<Reach> {
        match self.peer {
            Peer::Known { reach, .. } => Some(reach),
            Peer::Unknown => None,
        }
    }

    /// The CSeq for the next request of ours (RFC 3261 §12.2.1.1: the last one and 1).
    pub fn next_cseq(&self) -> u32 {
        self.cseq.saturating_add(1)
    }

    /// A request of ours went out with this CSeq.
    pub fn used_cseq(&mut self, number: u32) {
        self.cseq = self.cseq.max(number);
    }

    /// What names it on our side.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The Request-URI of the next request: the remote target, or a strict router before it.
    /// `None`: the peer cannot be reached.
    pub fn request_uri(&self) -> Option<UriText<'_>> {
        let uri = match self.peer {
            Peer::Unknown => self.remote(),
            Peer::Known {
                reach: Reach::Unreachable,
                ..
            } => return None,
            Peer::Known {
                routing: Routing::Loose,
                ..
            } => self.part(Part::Target),
            Peer::Known {
                routing: Routing::Strict,
                ..
            } => first(self.part(Part::Routes)).0,
        };
        UriText::new(uri).ok()
    }

    /// The value of Route, if there is one.
    ///
    /// Before there is a dialog there is none; the request then goes as one outside a dialog does.
    pub fn route(&self) -> Option<RouteSet<'_>> {
        let routes = self.part(Part::Routes);
        let set = match self.peer {
            Peer::Unknown => return None,
            Peer::Known {
                routing: Routing::Loose,
                ..
            } => RouteSet {
                routes,
                target: &[],
            },
            Peer::Known {
                routing: Routing::Strict,
                ..
            } => RouteSet {
                routes: first(routes).1,
                target: self.part(Part::Target),
            },
        };
        (!set.routes.is_empty() || !set.target.is_empty()).then_some(set)
    }

    /// Adds From, To and Call-ID of a request of ours.
    pub fn identify(&self, w: &mut MessageWriter<'_>) {
        let uri = |uri| UriText::new(uri).ok();
        let (Some(local), Some(remote)) = (uri(self.part(Part::LocalUri)), uri(self.remote()))
        else {
            return;
        };
        let own = [Param::new_tag(self.seed.tag)];
        w.header(Name::From, NewAddr::new(local).params(&own));
        // RFC 3261 §12.2.1.1: a null tag is left out.
        match Token::new(self.part(Part::RemoteTag)) {
            Ok(tag) => w.header(Name::To, NewAddr::new(remote).params(&[Param::tag(tag)])),
            Err(_) => w.header(Name::To, NewAddr::new(remote)),
        }
        w.header(Name::CallId, Hex(&self.seed.call_id.to_be_bytes()));
    }

    fn establish(
        &mut self,
        tag: Option<&[u8]>,
        cseq: Option<u32>,
        direction: Direction,
        message: &Message<'_>,
    ) -> Result<Reach, DialogError> {
        let tag = match tag {
            Some(tag) => Token::new(tag)
                .map_err(|_| DialogError::Malformed)?
                .as_bytes(),
            None => &[],
        };
        let target = contact(message)?;
        let mut routes = Vec::<NameAddr<'_>, MAX_ROUTES>::new();
        let mut fits = true;
        for value in message.values(Name::RecordRoute) {
            let route = NameAddr::parse(value).map_err(|_| DialogError::Malformed)?;
            UriText::new(route.uri).map_err(|_| DialogError::Malformed)?;
            fits &= routes.push(route).is_ok();
        }
        match direction {
            Direction::AsSent => {}
            Direction::Reversed => routes.reverse(),
        }
        let old = self.ends;
        self.cut(Part::RemoteTag);
        if let Err(error) = self.add(Part::RemoteTag, tag) {
            // Nothing was written.
            self.ends = old;
            return Err(error);
        }
        let kept = match self.keep_routes(&routes) {
            Ok(routing) if fits => self.add(Part::Target, target.as_bytes()).map(|()| routing),
            Ok(_) | Err(_) => Err(DialogError::Malformed),
        };
        let (reach, routing) = match kept {
            Ok(routing) => (Reach::Reachable, routing),
            Err(_) => {
                self.cut(Part::Routes);
                (Reach::Unreachable, Routing::Loose)
            }
        };
        self.peer = Peer::Known {
            cseq,
            reach,
            routing,
        };
        Ok(reach)
    }

    fn keep_routes(&mut self, routes: &[NameAddr<'_>]) -> Result<Routing, DialogError> {
        let mut routing = Routing::Loose;
        for (at, route) in routes.iter().enumerate() {
            let uri = route.uri().map_err(|_| DialogError::Malformed)?;
            self.add(Part::Routes, if at == 0 { b"<" } else { b",<" })?;
            match uri.sip().filter(|uri| at == 0 && !uri.is_loose_router()) {
                Some(strict) => {
                    routing = Routing::Strict;
                    self.keep_strict(strict)?;
                }
                None => self.add(Part::Routes, route.uri)?,
            }
            self.add(Part::Routes, b">")?;
        }
        Ok(routing)
    }

    /// RFC 3261 §19.1.1, Table 1: no `method` and no headers in a Request-URI.
    fn keep_strict(&mut self, router: &SipUri<'_>) -> Result<(), DialogError> {
        self.add(Part::Routes, router.before_params())?;
        for param in router.params() {
            if param.name.eq_ignore_ascii_case(b"method") {
                continue;
            }
            self.add(Part::Routes, b";")?;
            self.add(Part::Routes, param.name)?;
            if let Some(value) = param.value {
                self.add(Part::Routes, b"=")?;
                self.add(Part::Routes, value)?;
            }
        }
        Ok(())
    }

    fn remote(&self) -> &[u8] {
        match self.part(Part::RemoteUri) {
            [] => self.part(Part::LocalUri),
            remote => remote,
        }
    }

    fn part(&self, part: Part) -> &[u8] {
        let (from, to) = self.range(part);
        self.bytes.get(from..to).unwrap_or_default()
    }

    fn range(&self, part: Part) -> (usize, usize) {
        let end = |part: usize| self.ends.get(part).copied().map_or(0, usize::from);
        let part = part as usize;
        (part.checked_sub(1).map_or(0, end), end(part))
    }

    /// Adds to the end of a part, after which none may follow.
    fn add(&mut self, part: Part, text: &[u8]) -> Result<(), DialogError> {
        let (_, at) = self.range(part);
        let end = at.saturating_add(text.len());
        let too_long = DialogError::TooLong {
            needed: end,
            available: N,
        };
        let last = u16::try_from(end).map_err(|_| too_long)?;
        let place = self.bytes.get_mut(at..end).ok_or(too_long)?;
        place.copy_from_slice(text);
        for end in self.ends.iter_mut().skip(part as usize) {
            *end = last;
        }
        Ok(())
    }

    /// Empties a part and all after it.
    fn cut(&mut self, part: Part) {
        let (start, _) = self.range(part);
        // It was one of the ends.
        let start = u16::try_from(start).unwrap_or(u16::MAX);
        for end in self.ends.iter_mut().skip(part as usize) {
            *end = start;
        }
    }
}

#[cfg(feature = "defmt")]
impl<const N: usize> defmt::Format for Dialog<N> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Dialog {{ {}, {}, {} }}",
            self.seed,
            self.cseq,
            self.peer
        );
    }
}

/// Which way the values of Record-Route go.
#[derive(Clone, Copy)]
enum Direction {
    AsSent,
    Reversed,
}

/// The value of the Route of a request within a dialog: behind a strict router the rest of the
/// route set, and the remote target last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteSet<'a> {
    routes: &'a [u8],
    target: &'a [u8],
}

impl Sealed for RouteSet<'_> {}
impl Value for RouteSet<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        sink.put(self.routes);
        if !self.target.is_empty() {
            if !self.routes.is_empty() {
                sink.put_byte(b',');
            }
            sink.put_byte(b'<');
            sink.put(self.target);
            sink.put_byte(b'>');
        }
    }
}

/// The URI of the first route, without its brackets, and the routes after it.
fn first(routes: &[u8]) -> (&[u8], &[u8]) {
    let end = find_byte(routes, b'>').unwrap_or(routes.len());
    let (first, rest) = split_at(routes, end);
    let rest = rest.strip_prefix(b">").unwrap_or(rest);
    (
        first.strip_prefix(b"<").unwrap_or(first),
        rest.strip_prefix(b",").unwrap_or(rest),
    )
}

/// RFC 3261 §8.1.1.8: one Contact, with a SIP or SIPS URI.
pub(super) fn contact<'b>(message: &Message<'b>) -> Result<UriText<'b>, DialogError> {
    let value = message
        .values(Name::Contact)
        .next()
        .ok_or(DialogError::Contact)?;
    let address = NameAddr::parse(value).map_err(|_| DialogError::Contact)?;
    match Uri::check(address.uri) {
        Ok(Scheme::Sip | Scheme::Sips) => {
            UriText::new(address.uri).map_err(|_| DialogError::Contact)
        }
        Ok(Scheme::Tel | Scheme::Other(_)) | Err(_) => Err(DialogError::Contact),
    }
}

/// As [`Hex`] writes it.
fn digits(number: u64) -> [u8; 16] {
    let mut out = [0; 16];
    let mut sink = Sink::new(&mut out);
    sink.put_hex(&number.to_be_bytes());
    out
}

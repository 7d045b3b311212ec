//! What a receiver must be able to read, and the rules across header fields.

use super::super::error::{ParseError, ParseErrorKind};
use super::super::header::{CSeq, Contact, MaxForwards, NameAddr, Via};
use super::super::name::Name;
use super::super::scan::{Class, whole};
use super::super::uri::{Scheme, Uri};
use super::{Message, StartLine};

/// What every message has, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Essentials<'b> {
    /// The topmost Via.
    pub(crate) via: Via<'b>,
    pub(crate) from: NameAddr<'b>,
    pub(crate) to: NameAddr<'b>,
    pub(crate) call_id: &'b [u8],
    pub(crate) cseq: CSeq<'b>,
}

impl<'b> Message<'b> {
    /// Checks all that a user agent must be able to read before it acts on the message:
    /// [`well_formed`](Self::well_formed), and what only the end of the way looks at.
    ///
    /// ```
    /// use oma_im::wire::error::ParseErrorKind;
    /// use oma_im::wire::message::Message;
    ///
    /// let bytes = b"OPTIONS sip:a@b.example SIP/2.0\r\nVia: SIP/2.0/UDP c.example\r\n\r\n";
    /// let error = Message::parse(bytes)?.validate().unwrap_err();
    /// assert_eq!((error.kind, error.kind.status()), (ParseErrorKind::MissingHeader, Some(400)));
    /// # Ok::<(), oma_im::wire::error::ParseError>(())
    /// ```
    ///
    /// # Errors
    /// Those of `well_formed`; `ExtraVia` for a response with several Via values (RFC 3261
    /// §8.1.3.3); `UriScheme` for a Request-URI that is not of `sip`, `sips` or `tel` (§8.2.2.1).
    pub fn validate(&self) -> Result<(), ParseError> {
        self.essentials().map(drop)
    }

    /// As [`validate`](Self::validate), with what it read on the way.
    pub(crate) fn essentials(&self) -> Result<Essentials<'b>, ParseError> {
        let (essentials, scheme) = self.walk()?;
        match (self.start(), scheme) {
            (StartLine::Request(line), Some(Scheme::Other(_))) => {
                Err(self.fault(ParseErrorKind::UriScheme, line.uri))
            }
            (StartLine::Request(_), _) => Ok(essentials),
            (StartLine::Response(_), _) => match self.values(Name::Via).nth(1) {
                Some(second) => Err(self.fault(ParseErrorKind::ExtraVia, second)),
                None => Ok(essentials),
            },
        }
    }

    /// Checks the rules that hold for whoever receives the message, on the way or at its end.
    ///
    /// Via, From, To, Call-ID and CSeq are there and follow their grammar, as do all values of
    /// Via, Contact, Route and Record-Route, all URIs in these, Max-Forwards, Content-Length and
    /// the Request-URI; CSeq names the method of the request; nothing that may stand once stands twice (RFC 3261 §8.1.1, §7.3.1).
    /// Max-Forwards may be missing, as in messages after RFC 2543.
    ///
    /// # Errors
    /// `DuplicateHeader`, `MissingHeader`, `MethodMismatch`, and what the views of the named
    /// headers give, at the offset in what was parsed.
    pub fn well_formed(&self) -> Result<(), ParseError> {
        self.walk().map(drop)
    }

    /// Reads all that `well_formed` names, each once; gives the scheme of the Request-URI too.
    fn walk(&self) -> Result<(Essentials<'b>, Option<Scheme<'b>>), ParseError> {
        let scheme = match self.start() {
            StartLine::Request(line) => Some(self.typed(line.uri, Uri::check)?),
            StartLine::Response(_) => None,
        };
        let (mut via, mut from, mut to) = (None, None, None);
        let (mut call_id, mut cseq) = (None, None);
        // One bit for each name that there was.
        let mut seen = [0u64; 2];
        for slot in self.slots() {
            let (name, value) = (slot.name(), slot.value(self.head));
            let [low, high] = &mut seen;
            let seen = if (name as u32) < u64::BITS { low } else { high };
            let bit = 1u64.wrapping_shl(name as u32);
            if *seen & bit != 0 && name.is_singleton() {
                return Err(self.fault(ParseErrorKind::DuplicateHeader, value));
            }
            *seen |= bit;
            match name {
                Name::Via => {
                    self.list(value, Via::split, |read| {
                        via.get_or_insert(read);
                    })?;
                }
                Name::From => from = Some(self.address(value)?),
                Name::To => to = Some(self.address(value)?),
                Name::CallId => call_id = Some(self.word(value)?),
                Name::CSeq => cseq = Some(self.typed(value, CSeq::parse)?),
                Name::MaxForwards => drop(self.typed(value, MaxForwards::parse)?),
                Name::ContentLength => drop(self.length(value)?),
                Name::Contact => self.list(value, Contact::split, drop)?,
                Name::Route | Name::RecordRoute => self.list(value, NameAddr::split, drop)?,
                _ => {}
            }
        }
        let missing = self.missing();
        let essentials = Essentials {
            via: via.ok_or(missing)?,
            from: from.ok_or(missing)?,
            to: to.ok_or(missing)?,
            call_id: call_id.ok_or(missing)?,
            cseq: cseq.ok_or(missing)?,
        };
        if let StartLine::Request(line) = self.start()
            && line.method != essentials.cseq.method
        {
            return Err(self.fault(ParseErrorKind::MethodMismatch, self.must(Name::CSeq)?));
        }
        Ok((essentials, scheme))
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// `MissingHeader`, or what [`Via::parse`] gives.
    pub fn via(&self) -> Result<Via<'b>, ParseError> {
        self.vias().next().unwrap_or_else(|| Err(self.missing()))
    }

    /// All Via values, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'b>, ParseError>> {
        self.values(Name::Via)
            .map(|value| self.typed(value, Via::parse))
    }

    /// From.
    ///
    /// # Errors
    /// `MissingHeader`, or what [`NameAddr::parse`] gives.
    pub fn from(&self) -> Result<NameAddr<'b>, ParseError> {
        self.typed(self.must(Name::From)?, NameAddr::parse)
    }

    /// To.
    ///
    /// # Errors
    /// `MissingHeader`, or what [`NameAddr::parse`] gives.
    pub fn to(&self) -> Result<NameAddr<'b>, ParseError> {
        self.typed(self.must(Name::To)?, NameAddr::parse)
    }

    /// Call-ID, which compares byte by byte.
    ///
    /// # Errors
    /// `MissingHeader`, or `HeaderValue` if it is not `word [ "@" word ]`.
    pub fn call_id(&self) -> Result<&'b [u8], ParseError> {
        self.word(self.must(Name::CallId)?)
    }

    /// CSeq.
    ///
    /// # Errors
    /// `MissingHeader`, or what [`CSeq::parse`] gives.
    pub fn cseq(&self) -> Result<CSeq<'b>, ParseError> {
        self.typed(self.must(Name::CSeq)?, CSeq::parse)
    }

    /// Max-Forwards, `None` if there is none.
    ///
    /// # Errors
    /// What [`MaxForwards::parse`] gives.
    pub fn max_forwards(&self) -> Result<Option<MaxForwards>, ParseError> {
        self.header(Name::MaxForwards)
            .map(|value| self.typed(value, MaxForwards::parse))
            .transpose()
    }

    /// All Contact values.
    pub fn contacts(&self) -> impl Iterator<Item = Result<Contact<'b>, ParseError>> {
        self.values(Name::Contact)
            .map(|value| self.typed(value, Contact::parse))
    }

    /// All values of a header that lists addresses: Route, Record-Route, Path, Service-Route,
    /// P-Asserted-Identity and their like.
    pub fn addresses(&self, name: Name) -> impl Iterator<Item = Result<NameAddr<'b>, ParseError>> {
        self.values(name)
            .map(|value| self.typed(value, NameAddr::parse))
    }

    /// The value of a header through its view, `None` if there is none:
    /// `message.optional(Name::Expires, Expires::parse)`.
    ///
    /// # Errors
    /// What `parse` gives, at the offset in what was parsed.
    pub fn optional<T>(
        &self,
        name: Name,
        parse: impl FnOnce(&'b [u8]) -> Result<T, ParseError>,
    ) -> Result<Option<T>, ParseError> {
        self.header(name)
            .map(|value| self.typed(value, parse))
            .transpose()
    }

    /// The value of a header that must be there through its view.
    ///
    /// # Errors
    /// `MissingHeader`, or what `parse` gives, at the offset in what was parsed.
    pub fn required<T>(
        &self,
        name: Name,
        parse: impl FnOnce(&'b [u8]) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.typed(self.must(name)?, parse)
    }

    /// An address whose URI follows its grammar too.
    fn address(&self, value: &'b [u8]) -> Result<NameAddr<'b>, ParseError> {
        self.typed(value, |value| whole(value, NameAddr::split))
    }

    /// Reads each element of a comma list in the walk that finds its end.
    fn list<T>(
        &self,
        value: &'b [u8],
        split: impl Fn(&'b [u8]) -> Result<(T, &'b [u8]), ParseError>,
        mut each: impl FnMut(T),
    ) -> Result<(), ParseError> {
        let mut rest = value;
        while !rest.is_empty() {
            let (read, tail) = self.typed(rest, &split)?;
            each(read);
            rest = match tail {
                [] => return Ok(()),
                [b',', tail @ ..] if !tail.is_empty() => tail,
                // An empty element at the end is refused like any other.
                [b',', tail @ ..] | tail => {
                    return Err(self.fault(ParseErrorKind::HeaderValue, tail));
                }
            };
        }
        Ok(())
    }

    // Call-ID = word [ "@" word ]
    fn word(&self, value: &'b [u8]) -> Result<&'b [u8], ParseError> {
        let (word, rest) = Class::WORD.split(value);
        let fits = match rest {
            [] => !word.is_empty(),
            [b'@', host @ ..] => !word.is_empty() && Class::WORD.fits(host),
            _ => false,
        };
        if fits {
            Ok(value)
        } else {
            Err(self.fault(ParseErrorKind::HeaderValue, value))
        }
    }

    fn typed<T>(
        &self,
        value: &'b [u8],
        parse: impl FnOnce(&'b [u8]) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        parse(value).map_err(|e| e.at(self.offset_of(value)))
    }

    fn must(&self, name: Name) -> Result<&'b [u8], ParseError> {
        self.header(name).ok_or(self.missing())
    }

    /// A header that is missing is missed where the head ends.
    fn missing(&self) -> ParseError {
        ParseError::new(ParseErrorKind::MissingHeader, self.head_len())
    }
}

// One bit of two `u64` for each name.
const _: () = assert!((Name::Other as u32) < u64::BITS * 2);

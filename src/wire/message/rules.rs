//! What a receiver must be able to read, and the rules across header fields.

use super::super::error::{ParseError, ParseErrorKind};
use super::super::header::{CSeq, Contact, MaxForwards, NameAddr, Via};
use super::super::name::Name;
use super::super::scan::Class;
use super::super::uri::Uri;
use super::{Message, StartLine};

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
        self.well_formed()?;
        match self.start() {
            StartLine::Request(line) => match Uri::parse(line.uri) {
                Ok(Uri::Other(_)) => Err(self.fault(ParseErrorKind::UriScheme, line.uri)),
                _ => Ok(()),
            },
            StartLine::Response(_) => match self.values(Name::Via).nth(1) {
                Some(second) => Err(self.fault(ParseErrorKind::ExtraVia, second)),
                None => Ok(()),
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
        if let StartLine::Request(line) = self.start() {
            self.typed(line.uri, Uri::parse)?;
        }
        self.singletons()?;
        let cseq = self.cseq()?;
        if let StartLine::Request(line) = self.start()
            && line.method != cseq.method
        {
            return Err(self.fault(ParseErrorKind::MethodMismatch, self.must(Name::CSeq)?));
        }
        self.via()?;
        self.vias().try_for_each(|via| via.map(drop))?;
        self.readable(&self.from()?)?;
        self.readable(&self.to()?)?;
        self.call_id()?;
        self.max_forwards()?;
        self.content_length()?;
        for contact in self.contacts() {
            contact?.addr().map_or(Ok(()), |addr| self.readable(addr))?;
        }
        for name in [Name::Route, Name::RecordRoute] {
            self.addresses(name)
                .try_for_each(|route| self.readable(&route?))?;
        }
        Ok(())
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
        let value = self.must(Name::CallId)?;
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

    /// Whether the URI of an address follows its grammar.
    fn readable(&self, address: &NameAddr<'b>) -> Result<(), ParseError> {
        self.typed(address.uri, Uri::parse).map(drop)
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

    fn singletons(&self) -> Result<(), ParseError> {
        let mut seen = 0u128;
        for slot in self.slots() {
            let bit = 1u128.wrapping_shl(slot.name() as u32);
            if seen & bit != 0 && slot.name().is_singleton() {
                let value = slot.value(self.head);
                return Err(self.fault(ParseErrorKind::DuplicateHeader, value));
            }
            seen |= bit;
        }
        Ok(())
    }
}

// One bit of a `u128` for each name.
const _: () = assert!((Name::Other as u32) < u128::BITS);

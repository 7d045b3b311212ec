//! Disposition notifications: the XML document that says what became of a message (RFC 5438 §11).
//!
//! [`Imdn::parse`] reads one document by its namespace; unknown elements are skipped, the text stays where it
//! is. [`NewImdn::put`] writes one. [`reports`] goes through the body of a message and gives every
//! document in it: alone, in a CPIM envelope, or aggregated in a multipart by a list server (§8.3).

use super::cpim::Cpim;
use super::error::{ParseError, ParseErrorKind};
use super::mime::{Leaves, MAX_NESTING, MediaType, Part};
use super::sink::Sink;
use super::xml::{self, Depth, Reader, Text};

/// The namespace of the document.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:imdn";
/// The media type of the document (§11.1.8).
pub const MEDIA_TYPE: &str = "message/imdn+xml";
/// The disposition of a part that holds one (§7.2.1).
pub const CONTENT_DISPOSITION: &str = "notification";

macro_rules! status {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $element:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every status, in the order of §11.1.7.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name of the element in the document.
            pub const fn element(self) -> &'static str {
                match self { $(Self::$variant => $element,)* }
            }

            fn of(element: &str) -> Option<Self> {
                match element { $($element => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

status! {
    /// What became of the delivery (§11.1.7).
    DeliveryStatus {
        /// It was delivered.
        Delivered = "delivered",
        /// It could not be delivered.
        Failed = "failed",
        /// It was denied.
        Forbidden = "forbidden",
        /// A server failed.
        Error = "error",
    }
}

status! {
    /// What became of the display (§11.1.7).
    DisplayStatus {
        /// It was shown to the user.
        Displayed = "displayed",
        /// It was denied.
        Forbidden = "forbidden",
        /// A server failed, or nobody can know.
        Error = "error",
    }
}

status! {
    /// What a server did with it (§11.1.7).
    ProcessingStatus {
        /// It was processed.
        Processed = "processed",
        /// It was stored for later.
        Stored = "stored",
        /// It was denied.
        Forbidden = "forbidden",
        /// A server failed.
        Error = "error",
    }
}

/// What is being reported: the kind of disposition and its status (§11.1.6, §11.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Disposition {
    /// The message was delivered, or not.
    Delivery(DeliveryStatus),
    /// The message was shown, or not.
    Display(DisplayStatus),
    /// A server has it.
    Processing(ProcessingStatus),
}

impl Disposition {
    const DELIVERY: &'static str = "delivery-notification";
    const DISPLAY: &'static str = "display-notification";
    const PROCESSING: &'static str = "processing-notification";

    /// The name of the element that tells the kind.
    pub const fn element(self) -> &'static str {
        match self {
            Self::Delivery(_) => Self::DELIVERY,
            Self::Display(_) => Self::DISPLAY,
            Self::Processing(_) => Self::PROCESSING,
        }
    }

    /// The name of the element that tells the status.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Delivery(status) => status.element(),
            Self::Display(status) => status.element(),
            Self::Processing(status) => status.element(),
        }
    }

    fn of(kind: &str, status: &str) -> Option<Self> {
        match kind {
            Self::DELIVERY => DeliveryStatus::of(status).map(Self::Delivery),
            Self::DISPLAY => DisplayStatus::of(status).map(Self::Display),
            Self::PROCESSING => ProcessingStatus::of(status).map(Self::Processing),
            _ => None,
        }
    }
}

/// A received disposition notification.
///
/// ```
/// use oma_im::wire::imdn::{DeliveryStatus, Disposition, Imdn};
///
/// let imdn = Imdn::parse(
///     b"<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>34jk324j</message-id>\
///       <datetime>2006-04-04T12:16:49-05:00</datetime>\
///       <delivery-notification><status><delivered/></status></delivery-notification></imdn>",
/// )?;
/// assert!(imdn.message_id == *"34jk324j");
/// assert_eq!(imdn.disposition, Disposition::Delivery(DeliveryStatus::Delivered));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Imdn<'b> {
    /// The Message-ID of the message that is reported on (§11.1.1).
    pub message_id: Text<'b>,
    /// When that message was sent (§11.1.2); mandatory, but nothing hangs on it.
    pub datetime: Option<Text<'b>>,
    /// Who finally got it (§11.1.3).
    pub recipient_uri: Option<Text<'b>>,
    /// Whom it was sent to (§11.1.4).
    pub original_recipient_uri: Option<Text<'b>>,
    /// Its subject (§11.1.5).
    pub subject: Option<Text<'b>>,
    /// What became of it.
    pub disposition: Disposition,
}

impl<'b> Imdn<'b> {
    /// Reads a document of type `message/imdn+xml`.
    ///
    /// # Errors
    /// Those of [`Reader`]; `Document` if the root is another one, or if there is no message id or
    /// no status that §11.1.7 knows.
    pub fn parse(document: &'b [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(document)?;
        let root = reader.root(NAMESPACE, "imdn")?;
        let mut message_id = None;
        let mut datetime = None;
        let mut recipient_uri = None;
        let mut original_recipient_uri = None;
        let mut subject = None;
        let mut disposition = None;
        while let Some(child) = reader.child(root)? {
            let name = child.name();
            if name.namespace() != *NAMESPACE {
                continue;
            }
            let field = match name.local() {
                "message-id" => &mut message_id,
                "datetime" => &mut datetime,
                "recipient-uri" => &mut recipient_uri,
                "original-recipient-uri" => &mut original_recipient_uri,
                "subject" => &mut subject,
                // A notification, or an element that is not known and so has no known status.
                kind => {
                    let found = status(&mut reader, kind)?;
                    disposition = disposition.or(found);
                    continue;
                }
            };
            let text = reader.text()?.trim();
            field.get_or_insert(text);
        }
        reader.finish()?;
        let lacking = ParseError::new(ParseErrorKind::Document, document.len());
        Ok(Self {
            message_id: message_id.filter(|id| !id.is_empty()).ok_or(lacking)?,
            datetime,
            recipient_uri,
            original_recipient_uri,
            subject,
            disposition: disposition.ok_or(lacking)?,
        })
    }

    /// Checks what [`parse`](Self::parse) lets pass: that there is a `<datetime>` (§11.1.2).
    ///
    /// # Errors
    /// `Document`.
    pub fn validate(&self) -> Result<(), ParseError> {
        match self.datetime {
            Some(datetime) if !datetime.is_empty() => Ok(()),
            _ => Err(ParseError::new(ParseErrorKind::Document, 0)),
        }
    }
}

/// The first status that is known, of the element of `kind` whose start was read last.
fn status(reader: &mut Reader<'_>, kind: &str) -> Result<Option<Disposition>, ParseError> {
    let notification: Depth = reader.depth();
    let mut found = None;
    while let Some(child) = reader.child(notification)? {
        if !child.is(NAMESPACE, "status") {
            continue;
        }
        let inner = reader.depth();
        while let Some(value) = reader.child(inner)? {
            let name = value.name();
            if found.is_none() && name.namespace() == *NAMESPACE {
                found = Disposition::of(kind, name.local());
            }
        }
    }
    Ok(found)
}

/// A disposition notification to be written.
///
/// All text comes from the message that is reported on, and is escaped.
#[derive(Clone, Copy, Debug)]
pub struct NewImdn<'a> {
    /// Its Message-ID (§11.1.1).
    pub message_id: &'a str,
    /// Its DateTime, as it was written (§11.1.2).
    pub datetime: &'a str,
    /// Its CPIM To (§11.1.3).
    pub recipient_uri: &'a str,
    /// Its Original-To (§11.1.4), or its CPIM To once more: the schema of §11.1.9 has both or neither.
    pub original_recipient_uri: &'a str,
    /// What became of it.
    pub disposition: Disposition,
}

impl NewImdn<'_> {
    /// Puts the document.
    pub fn put(&self, sink: &mut Sink<'_>) {
        sink.put(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"");
        sink.put(NAMESPACE.as_bytes());
        sink.put(b"\">\r\n");
        for (name, text) in [
            ("message-id", self.message_id),
            ("datetime", self.datetime),
            ("recipient-uri", self.recipient_uri),
            ("original-recipient-uri", self.original_recipient_uri),
        ] {
            sink.put(b"  ");
            xml::put_element(sink, name, text);
            sink.put(b"\r\n");
        }
        let kind = self.disposition.element().as_bytes();
        sink.put(b"  <");
        sink.put(kind);
        sink.put(b">\r\n    <status><");
        sink.put(self.disposition.status().as_bytes());
        sink.put(b"/></status>\r\n  </");
        sink.put(kind);
        sink.put(b">\r\n</imdn>\r\n");
    }
}

/// Whether a part is a report and no message (§9): the document itself, or a multipart that is
/// marked as a notification.
pub fn is_report(part: &Part<'_>) -> bool {
    part.media.is("message", "imdn+xml")
        || (part.media.is_multipart() && part.has_disposition(CONTENT_DISPOSITION))
}

/// Every disposition notification in a message body of type `media`.
///
/// A document that is malformed is given as an error, and the next one follows. A malformed envelope
/// or multipart ends it. Parts of other types are passed over.
///
/// ```
/// use oma_im::wire::{imdn, mime::MediaType};
///
/// # let body = b"From: <sip:b@example.com>\r\nTo: <sip:a@example.com>\r\n\r\nContent-Type: text/plain\r\n\r\nHi";
/// for report in imdn::reports(MediaType::parse(b"message/cpim")?, body) {
///     let report = report?;
///     println!("{}: {:?}", report.message_id, report.disposition);
/// }
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
pub fn reports<'b>(media: MediaType<'b>, body: &'b [u8]) -> Reports<'b> {
    Reports {
        leaves: Leaves::of(media, body),
    }
}

/// Iterator of [`reports`].
#[derive(Clone, Debug)]
pub struct Reports<'b> {
    leaves: Leaves<'b>,
}

impl<'b> Iterator for Reports<'b> {
    type Item = Result<Imdn<'b>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut envelopes = 0_usize;
        loop {
            let leaf = match self.leaves.next()? {
                Ok(leaf) => leaf,
                Err(error) => return Some(Err(error)),
            };
            if leaf.media.is("message", "imdn+xml") {
                return Some(Imdn::parse(leaf.body));
            }
            if leaf.media.is("message", "cpim") {
                envelopes = envelopes.saturating_add(1);
                let content = Cpim::parse(leaf.body).map(|cpim| *cpim.content());
                match content {
                    Ok(content) if envelopes <= MAX_NESTING => self.leaves.open(content),
                    fault => {
                        self.leaves.close();
                        let too_deep = ParseError::new(ParseErrorKind::Multipart, 0);
                        return Some(Err(fault.err().unwrap_or(too_deep)));
                    }
                }
            } else {
                envelopes = 0;
            }
        }
    }
}

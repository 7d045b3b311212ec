//! What an IMS core says beside a status: the body `application/3gpp-ims+xml` (TS 24.229 §7.6).
//!
//! A client needs one thing of it: whether a 504 asks it to register anew because its S-CSCF has lost the
//! registration (TS 24.229 §5.1.2A.1.6). The text of TS 24.229 was not at hand. Deployed documents have no namespace
//! and write the values as text or, in an older form, as the name of an empty element; both are read.
//!
//! ```
//! use oma_im::wire::ims3gpp::Ims3gpp;
//!
//! let body = b"<ims-3gpp version='1'><alternative-service><type>restoration</type>\
//!     <reason>S-CSCF restarted</reason><action>initial-registration</action></alternative-service></ims-3gpp>";
//! let document = Ims3gpp::parse(body)?;
//! assert!(document.asks_for_restoration());
//! assert!(document.alternative_service.unwrap().reason.unwrap() == *"S-CSCF restarted");
//! # Ok::<(), oma_im::wire::error::ParseError>(())
//! ```

use super::error::{ParseError, ParseErrorKind};
use super::xml::{Event, Reader, Text};

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/3gpp-ims+xml";

/// A document, as far as it is known here.
#[derive(Clone, Copy, Debug)]
pub struct Ims3gpp<'b> {
    /// Its version.
    pub version: Option<Text<'b>>,
    /// What to do instead.
    pub alternative_service: Option<AlternativeService<'b>>,
}

/// What to do instead.
#[derive(Clone, Copy, Debug)]
pub struct AlternativeService<'b> {
    /// What kind of case it is: `restoration`, `emergency`, ...
    pub kind: Option<Text<'b>>,
    /// What the client shall do: `initial-registration`, `emergency-registration`, ...
    pub action: Option<Text<'b>>,
    /// A remark for people.
    pub reason: Option<Text<'b>>,
}

impl<'b> Ims3gpp<'b> {
    /// Reads a document of type `application/3gpp-ims+xml`; unknown elements are passed over.
    ///
    /// # Errors
    /// Those of [`Reader`]; `Document` if the root is another one.
    pub fn parse(document: &'b [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(document)?;
        let (namespace, version) = match reader.read()? {
            Event::Start(start) if start.name().local() == "ims-3gpp" => {
                (start.name().namespace(), start.attribute("", "version"))
            }
            _ => return Err(reader.error(ParseErrorKind::Document)),
        };
        let root = reader.depth();
        let mut alternative_service = None;
        while let Some(child) = reader.child(root)? {
            let name = child.name();
            if name.local() == "alternative-service"
                && name.namespace().same(namespace)
                && alternative_service.is_none()
            {
                alternative_service = Some(AlternativeService::read(&mut reader, namespace)?);
            }
        }
        reader.finish()?;
        Ok(Self {
            version,
            alternative_service,
        })
    }

    /// Whether it asks for an initial registration (TS 24.229 §5.1.2A.1.6): it has a version, the type is
    /// `restoration` and the action `initial-registration`.
    pub fn asks_for_restoration(&self) -> bool {
        let is = |text: Option<Text<'_>>, word: &str| text.is_some_and(|text| text == *word);
        self.version.is_some()
            && self.alternative_service.is_some_and(|service| {
                is(service.kind, "restoration") && is(service.action, "initial-registration")
            })
    }
}

impl<'b> AlternativeService<'b> {
    /// The element whose start was read last.
    fn read(reader: &mut Reader<'b>, namespace: Text<'b>) -> Result<Self, ParseError> {
        let service = reader.depth();
        let (mut kind, mut action, mut reason) = (None, None, None);
        while let Some(child) = reader.child(service)? {
            let name = child.name();
            if !name.namespace().same(namespace) {
                continue;
            }
            let field = match name.local() {
                "type" => &mut kind,
                "action" => &mut action,
                "reason" => &mut reason,
                _ => continue,
            };
            let word = word(reader)?;
            field.get_or_insert(word);
        }
        Ok(Self {
            kind,
            action,
            reason,
        })
    }
}

/// The text of the element whose start was read last, or else the name of its first child.
fn word<'b>(reader: &mut Reader<'b>) -> Result<Text<'b>, ParseError> {
    let element = reader.depth();
    let mut found = Text::EMPTY;
    while reader.depth() >= element {
        match reader.read()? {
            Event::Text(text) if found.is_empty() => found = text.trim(),
            Event::Start(start) if found.is_empty() => found = start.name().local_text(),
            Event::Eof => break,
            Event::Text(_) | Event::Start(_) | Event::End(_) => {}
        }
    }
    Ok(found)
}

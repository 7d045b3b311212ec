//! A small XML reader that a hostile document cannot hurt, and an escaping writer.
//!
//! [`Reader`] pulls one event at a time out of a borrowed document: an element starts, text, an
//! element ends. It checks what XML 1.0 and Namespaces in XML 1.0 call well-formed: end tags
//! match, prefixes are bound, attributes are unique, characters are legal. Names are compared by
//! namespace name, never by prefix. It refuses what the documents of this field never need and
//! attackers like: a DTD, entities beyond the five of XML, processing instructions, encodings other
//! than UTF-8 (all [`XmlForbidden`](ParseErrorKind::XmlForbidden) or
//! [`Utf8`](ParseErrorKind::Utf8)), and documents past the limits below
//! ([`XmlTooComplex`](ParseErrorKind::XmlTooComplex)). An empty element `<a/>` reads as a start and an end.
//!
//! The work is linear in the document and the memory is the reader itself, 1,720 bytes on a 64-bit host:
//! no list grows with the input.

mod text;
mod write;

use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::scan::{cut, cut_through, find_byte};
use heapless::Vec;

pub use text::{Chars, Text};
pub use write::{put_attribute, put_element, put_text};

/// How deep elements may nest.
pub const MAX_DEPTH: usize = 16;
/// How many attributes one element may have, namespace declarations included.
pub const MAX_ATTRIBUTES: usize = 16;
/// How many namespace declarations may be in force at one place.
pub const MAX_NAMESPACES: usize = 16;
/// How long, in bytes, a name or a namespace name may be.
pub const MAX_NAME: usize = 256;

/// The namespace name that the prefix `xml` always has: `xml:lang`, `xml:space`.
pub const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
pub(crate) const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// The name of an element or attribute: a namespace name and a local part.
#[derive(Clone, Copy, Debug)]
pub struct Name<'b> {
    namespace: Text<'b>,
    local: &'b str,
}

impl<'b> Name<'b> {
    /// The part after the prefix.
    pub const fn local(&self) -> &'b str {
        self.local
    }

    /// The part after the prefix, as a text.
    pub const fn local_text(&self) -> Text<'b> {
        Text::content(self.local)
    }

    /// The namespace name that the prefix stands for; empty if the name is in no namespace.
    pub const fn namespace(&self) -> Text<'b> {
        self.namespace
    }

    /// Whether this is the name `local` of `namespace`; `""` means no namespace.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.local == local && self.namespace == *namespace
    }
}

/// An attribute that is no namespace declaration.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'b> {
    /// Its name; without a prefix it is in no namespace.
    pub name: Name<'b>,
    /// Its value.
    pub value: Text<'b>,
}

/// The start of an element, with its attributes.
#[derive(Clone, Copy, Debug)]
pub struct Start<'r, 'b> {
    name: Name<'b>,
    reader: &'r Reader<'b>,
}

impl<'r, 'b> Start<'r, 'b> {
    /// The element's name.
    pub const fn name(&self) -> Name<'b> {
        self.name
    }

    /// Whether the element is `local` of `namespace`; `""` means no namespace.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.name.is(namespace, local)
    }

    /// The attributes in their order, namespace declarations left out.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'b>> + use<'r, 'b> {
        let reader = self.reader;
        reader.attributes.iter().filter_map(|raw| {
            if raw.declared_prefix().is_some() {
                return None;
            }
            Some(Attribute {
                name: reader.attribute_name(raw.name)?,
                value: raw.value,
            })
        })
    }

    /// The value of attribute `local` of `namespace`; most attributes are in no namespace, `""`.
    pub fn attribute(&self, namespace: &str, local: &str) -> Option<Text<'b>> {
        self.attributes()
            .find(|a| a.name.is(namespace, local))
            .map(|a| a.value)
    }
}

/// What comes next in a document.
#[derive(Clone, Copy, Debug)]
pub enum Event<'r, 'b> {
    /// An element starts.
    Start(Start<'r, 'b>),
    /// All the text up to the next tag: comments in it are passed over, CDATA is opened.
    Text(Text<'b>),
    /// The element of this name ends.
    End(Name<'b>),
    /// The document is over, and all of it was well-formed.
    Eof,
}

#[derive(Clone, Copy, Debug)]
struct RawAttribute<'b> {
    name: &'b str,
    value: Text<'b>,
}

impl<'b> RawAttribute<'b> {
    /// The prefix that this attribute declares (`""`: the default namespace), if it declares one.
    fn declared_prefix(&self) -> Option<&'b str> {
        if self.name == "xmlns" {
            return Some("");
        }
        self.name.strip_prefix("xmlns:")
    }
}

#[derive(Clone, Copy, Debug)]
struct Binding<'b> {
    prefix: &'b str,
    namespace: Text<'b>,
    depth: usize,
}

/// A pull reader over one document.
///
/// ```
/// use oma_im::wire::xml::{Event, Reader};
///
/// # fn main() -> Result<(), oma_im::wire::error::ParseError> {
/// let mut reader = Reader::new(b"<a:list xmlns:a='urn:x'><a:entry uri='sip:bob@example.com'/></a:list>")?;
/// let list = reader.root("urn:x", "list")?;
/// while let Some(entry) = reader.child(list)? {
///     if entry.is("urn:x", "entry") {
///         assert!(entry.attribute("", "uri").is_some_and(|uri| uri == *"sip:bob@example.com"));
///     }
/// }
/// assert!(matches!(reader.read()?, Event::Eof));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'b> {
    rest: &'b str,
    total: usize,
    open: Vec<&'b str, MAX_DEPTH>,
    bindings: Vec<Binding<'b>, MAX_NAMESPACES>,
    attributes: Vec<RawAttribute<'b>, MAX_ATTRIBUTES>,
    /// The start tag just read was that of an empty element.
    empty: bool,
    root_seen: bool,
    failed: Option<ParseError>,
}

/// How deep an element lies, as [`Reader::root`] and [`Reader::depth`] tell: the root has 1.
pub type Depth = usize;

impl<'b> Reader<'b> {
    /// A reader at the start of `document`.
    ///
    /// Errors: the bytes are not UTF-8 or declare another encoding ([`Utf8`](ParseErrorKind::Utf8)); the XML
    /// declaration is malformed.
    pub fn new(document: &'b [u8]) -> Result<Self, ParseError> {
        let text = core::str::from_utf8(document)
            .map_err(|e| ParseError::new(ParseErrorKind::Utf8, e.valid_up_to()))?;
        let mut reader = Self {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            total: text.len(),
            open: Vec::new(),
            bindings: Vec::new(),
            attributes: Vec::new(),
            empty: false,
            root_seen: false,
            failed: None,
        };
        reader.declaration()?;
        Ok(reader)
    }

    /// The next event.
    ///
    /// After an error the same error is given again.
    pub fn read(&mut self) -> Result<Event<'_, 'b>, ParseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.step() {
            Ok(Step::Start(name)) => Ok(Event::Start(Start { name, reader: self })),
            Ok(Step::Text(text)) => Ok(Event::Text(text)),
            Ok(Step::End(name)) => Ok(Event::End(name)),
            Ok(Step::Eof) => Ok(Event::Eof),
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// How many elements are open: after a start the depth of that element, the root having 1.
    pub fn depth(&self) -> Depth {
        self.open.len()
    }

    /// Reads up to the root element, which has to be `local` of `namespace`.
    ///
    /// Gives its depth, for [`child`](Self::child). Errors: another root ([`Document`](ParseErrorKind::Document)).
    pub fn root(&mut self, namespace: &str, local: &str) -> Result<Depth, ParseError> {
        if let Event::Start(start) = self.read()?
            && start.is(namespace, local)
        {
            return Ok(self.depth());
        }
        Err(self.error(ParseErrorKind::Document))
    }

    /// The next child element of the element at depth `parent`; `None` once that one has ended.
    ///
    /// What is left of the child before it is skipped, and so is text between children.
    pub fn child(&mut self, parent: Depth) -> Result<Option<Start<'_, 'b>>, ParseError> {
        let name = loop {
            if self.depth() < parent {
                return Ok(None);
            }
            match self.read()? {
                Event::Start(start) => {
                    let name = start.name;
                    if self.depth() == parent.saturating_add(1) {
                        break name;
                    }
                }
                Event::Eof => return Ok(None),
                Event::Text(_) | Event::End(_) => {}
            }
        };
        Ok(Some(Start { name, reader: self }))
    }

    /// The text of the element whose start was read last, up to its end or its first child.
    ///
    /// Reads through the end of the element; child elements are skipped.
    pub fn text(&mut self) -> Result<Text<'b>, ParseError> {
        let depth = self.depth();
        let mut text = Text::EMPTY;
        let mut first = true;
        while self.depth() >= depth {
            match self.read()? {
                Event::Text(t) if first => text = t,
                Event::Eof => break,
                Event::Text(_) | Event::Start(_) | Event::End(_) => {}
            }
            first = false;
        }
        Ok(text)
    }

    /// Reads to the end of the document, which must be well-formed up to there.
    pub fn finish(mut self) -> Result<(), ParseError> {
        while !matches!(self.read()?, Event::Eof) {}
        Ok(())
    }

    fn step(&mut self) -> Result<Step<'b>, ParseError> {
        self.attributes.clear();
        if core::mem::take(&mut self.empty) {
            return self.close();
        }
        if let Some(text) = self.run()? {
            return Ok(Step::Text(text));
        }
        if self.rest.is_empty() {
            return if self.open.is_empty() && self.root_seen {
                Ok(Step::Eof)
            } else {
                Err(self.error(ParseErrorKind::Truncated))
            };
        }
        // `run` stops at the end or at the `<` of a tag.
        if self.take("</") {
            return self.end_tag();
        }
        self.expect("<")?;
        self.start_tag()
    }

    /// Text, comments and CDATA up to the next tag. Outside the root only white space and comments.
    fn run(&mut self) -> Result<Option<Text<'b>>, ParseError> {
        let from = self.rest;
        let mut has_text = false;
        loop {
            let plain = self.take_until(b'<');
            if !plain.is_empty() {
                self.check(plain, Place::Content)?;
                has_text = true;
                if self.open.is_empty() && !plain.bytes().all(is_space) {
                    return Err(self.error(ParseErrorKind::Xml));
                }
            }
            if self.take("<!--") {
                let inner = self.take_through("--")?;
                self.check(inner, Place::Raw)?;
                // XML 1.0 §2.5: "--" must not occur within comments.
                self.expect(">")?;
            } else if self.rest.starts_with("<![CDATA[") && !self.open.is_empty() {
                self.expect("<![CDATA[")?;
                let inner = self.take_through("]]>")?;
                self.check(inner, Place::Raw)?;
                has_text |= !inner.is_empty();
            } else if self.rest.starts_with("<?") || self.rest.starts_with("<!DOCTYPE") {
                return Err(self.error(ParseErrorKind::XmlForbidden));
            } else {
                break;
            }
        }
        let len = from.len().saturating_sub(self.rest.len());
        Ok(match from.split_at_checked(len) {
            Some((raw, _)) if has_text && !self.open.is_empty() => Some(Text::content(raw)),
            _ => None,
        })
    }

    fn start_tag(&mut self) -> Result<Step<'b>, ParseError> {
        if self.open.is_empty() && core::mem::replace(&mut self.root_seen, true) {
            return Err(self.error(ParseErrorKind::Xml)); // XML 1.0 §2.1: one root
        }
        let qname = self.qname()?;
        if self.open.push(qname).is_err() {
            return Err(self.error(ParseErrorKind::XmlTooComplex));
        }
        loop {
            let spaced = self.spaces();
            if self.take(">") {
                break;
            }
            if self.take("/>") {
                self.empty = true;
                break;
            }
            if !spaced {
                return Err(self.error(self.or_truncated(ParseErrorKind::Xml)));
            }
            let raw = self.raw_attribute()?;
            if self.attributes.iter().any(|a| a.name == raw.name) {
                return Err(self.error(ParseErrorKind::Xml)); // XML 1.0 §3.1, Unique Att Spec
            }
            if self.attributes.push(raw).is_err() {
                return Err(self.error(ParseErrorKind::XmlTooComplex));
            }
            if let Some(prefix) = raw.declared_prefix() {
                self.bind(prefix, raw.value)?;
            }
        }
        self.check_attribute_names()?;
        let name = self.element_name(qname)?;
        Ok(Step::Start(name))
    }

    fn end_tag(&mut self) -> Result<Step<'b>, ParseError> {
        let qname = self.qname()?;
        self.spaces();
        self.expect(">")?;
        if self.open.last() != Some(&qname) {
            return Err(self.error(ParseErrorKind::Xml)); // XML 1.0 §3, Element Type Match
        }
        self.close()
    }

    /// The innermost element ends, and with it the declarations it made.
    fn close(&mut self) -> Result<Step<'b>, ParseError> {
        let depth = self.open.len();
        let Some(qname) = self.open.last().copied() else {
            return Err(self.error(ParseErrorKind::Xml));
        };
        let name = self.element_name(qname)?;
        self.open.pop();
        while self.bindings.last().is_some_and(|b| b.depth >= depth) {
            self.bindings.pop();
        }
        Ok(Step::End(name))
    }

    fn raw_attribute(&mut self) -> Result<RawAttribute<'b>, ParseError> {
        let name = self.qname()?;
        self.spaces();
        self.expect("=")?;
        self.spaces();
        let value = if self.take("\"") {
            self.take_through("\"")?
        } else {
            self.expect("'")?;
            self.take_through("'")?
        };
        self.check(value, Place::Attribute)?;
        Ok(RawAttribute {
            name,
            value: Text::attribute(value),
        })
    }

    /// Namespaces in XML §3: the rules of a declaration.
    fn bind(&mut self, prefix: &'b str, namespace: Text<'b>) -> Result<(), ParseError> {
        if namespace.raw().len() > MAX_NAME {
            return Err(self.error(ParseErrorKind::XmlTooComplex));
        }
        let undeclares = !prefix.is_empty() && namespace.raw().is_empty();
        let xml = prefix == "xml" || namespace == *XML_NAMESPACE;
        let xml_right = prefix == "xml" && namespace == *XML_NAMESPACE;
        if undeclares || (xml && !xml_right) || prefix == "xmlns" || namespace == *XMLNS_NAMESPACE {
            return Err(self.error(ParseErrorKind::Xml));
        }
        let binding = Binding {
            prefix,
            namespace,
            depth: self.open.len(),
        };
        if self.bindings.push(binding).is_err() {
            return Err(self.error(ParseErrorKind::XmlTooComplex));
        }
        Ok(())
    }

    /// Namespaces in XML §5, §6.3: prefixes are bound, and no two attributes share an expanded name.
    fn check_attribute_names(&self) -> Result<(), ParseError> {
        for (i, raw) in self.attributes.iter().enumerate() {
            let (prefix, local) = split(raw.name);
            if prefix.is_empty() || raw.declared_prefix().is_some() {
                continue;
            }
            let name = self
                .attribute_name(raw.name)
                .ok_or_else(|| self.error(ParseErrorKind::Xml))?;
            let twin = self.attributes.iter().take(i).any(|other| {
                let (prefix, other_local) = split(other.name);
                !prefix.is_empty()
                    && other_local == local
                    && other.declared_prefix().is_none()
                    && self
                        .lookup(prefix)
                        .is_some_and(|ns| ns.same(name.namespace))
            });
            if twin {
                return Err(self.error(ParseErrorKind::Xml));
            }
        }
        Ok(())
    }

    fn element_name(&self, qname: &'b str) -> Result<Name<'b>, ParseError> {
        let (prefix, local) = split(qname);
        let namespace = match self.lookup(prefix) {
            Some(namespace) => namespace,
            None if prefix.is_empty() => Text::EMPTY,
            None => return Err(self.error(ParseErrorKind::Xml)),
        };
        Ok(Name { namespace, local })
    }

    /// Namespaces in XML §6.2: the default namespace does not apply to attributes.
    fn attribute_name(&self, qname: &'b str) -> Option<Name<'b>> {
        let (prefix, local) = split(qname);
        let namespace = if prefix.is_empty() {
            Text::EMPTY
        } else {
            self.lookup(prefix)?
        };
        Some(Name { namespace, local })
    }

    fn lookup(&self, prefix: &str) -> Option<Text<'b>> {
        if prefix == "xml" {
            return Some(Text::content(XML_NAMESPACE));
        }
        let innermost_first = self.bindings.iter().rev();
        innermost_first
            .filter(|b| b.prefix == prefix)
            .map(|b| b.namespace)
            .next()
    }

    /// XML 1.0 §2.8: `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`, all but the version optional.
    fn declaration(&mut self) -> Result<(), ParseError> {
        let is_declaration = self
            .rest
            .strip_prefix("<?xml")
            .is_some_and(|r| r.bytes().next().is_some_and(is_space));
        if !is_declaration {
            return Ok(());
        }
        self.expect("<?xml")?;
        let mut place = 0_u8;
        loop {
            let spaced = self.spaces();
            if self.take("?>") {
                break;
            }
            if !spaced {
                return Err(self.error(self.or_truncated(ParseErrorKind::Xml)));
            }
            let RawAttribute { name, value } = self.raw_attribute()?;
            let value = value.raw();
            place = match (name, place) {
                ("version", 0) if is_version(value) => 1,
                ("encoding", 1) if is_utf8_label(value) => 2,
                ("encoding", 1) => return Err(self.error(ParseErrorKind::Utf8)),
                ("standalone", 1 | 2) if value == "yes" || value == "no" => 3,
                _ => return Err(self.error(ParseErrorKind::Xml)),
            };
        }
        if place == 0 {
            return Err(self.error(ParseErrorKind::Xml));
        }
        Ok(())
    }

    // --- the cursor ---

    pub(in crate::wire) fn error(&self, kind: ParseErrorKind) -> ParseError {
        ParseError::new(kind, self.total.saturating_sub(self.rest.len()))
    }

    /// At the end of the bytes the fault is that they end.
    fn or_truncated(&self, kind: ParseErrorKind) -> ParseErrorKind {
        if self.rest.is_empty() {
            ParseErrorKind::Truncated
        } else {
            kind
        }
    }

    fn take(&mut self, literal: &str) -> bool {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, literal: &str) -> Result<(), ParseError> {
        if self.take(literal) {
            Ok(())
        } else {
            Err(self.error(self.or_truncated(ParseErrorKind::Xml)))
        }
    }

    /// What stands before `end`, which stays; everything if there is no `end`.
    fn take_until(&mut self, end: u8) -> &'b str {
        let len = find_byte(self.rest.as_bytes(), end).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// What stands before `end`, which is passed over.
    fn take_through(&mut self, end: &str) -> Result<&'b str, ParseError> {
        let Some((taken, rest)) = cut_through(self.rest, end) else {
            self.rest = "";
            return Err(self.error(ParseErrorKind::Truncated));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn spaces(&mut self) -> bool {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest.len() != before
    }

    /// Namespaces in XML §4: QName.
    fn qname(&mut self) -> Result<&'b str, ParseError> {
        let end = self
            .rest
            .find(|c| !(text::is_name_char(c) || c == ':'))
            .unwrap_or(self.rest.len());
        let Some((name, rest)) = self.rest.split_at_checked(end) else {
            return Err(self.error(ParseErrorKind::Xml));
        };
        let (prefix, local) = split(name);
        let proper = |part: &str| part.starts_with(text::is_name_start) && !part.contains(':');
        if !proper(local) || !(proper(prefix) || prefix.is_empty() && !name.starts_with(':')) {
            return Err(self.error(self.or_truncated(ParseErrorKind::Xml)));
        }
        if name.len() > MAX_NAME {
            return Err(self.error(ParseErrorKind::XmlTooComplex));
        }
        self.rest = rest;
        Ok(name)
    }

    /// Checks the characters and references of a piece that was just taken.
    fn check(&self, piece: &'b str, place: Place) -> Result<(), ParseError> {
        text::check(piece, place).map_err(|kind| {
            let end = self.total.saturating_sub(self.rest.len());
            ParseError::new(kind, end.saturating_sub(piece.len()))
        })
    }
}

enum Step<'b> {
    Start(Name<'b>),
    Text(Text<'b>),
    End(Name<'b>),
    Eof,
}

/// Where characters stand; what is allowed among them follows from it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between tags: references, no `]]>`.
    Content,
    /// In an attribute value: references, no `<`.
    Attribute,
    /// In a comment or CDATA: neither means anything.
    Raw,
}

fn split(qname: &str) -> (&str, &str) {
    cut(qname, b':').unwrap_or(("", qname))
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// XML 1.0 §2.8: a reader of 1.0 takes any `1.x` as 1.0.
fn is_version(value: &str) -> bool {
    let digits = value.strip_prefix("1.").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The labels whose documents are UTF-8: ASCII is a part of it.
fn is_utf8_label(label: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"]
        .iter()
        .any(|l| l.eq_ignore_ascii_case(label))
}

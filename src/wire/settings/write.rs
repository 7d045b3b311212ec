//! Settings to a document.

use super::super::scan::split_at;
use super::super::sink::Sink;
use super::super::xml;
use super::dialect::{AM, IPAB, ISB, SSS};
use super::{Answer, Dialect, Element, Kind, NAMESPACE, Named, Place, PocSettings, Settings};

/// A document to be written, with one entity (RFC 4354 §6: "EPAs SHOULD include a single `<entity>`").
#[derive(Clone, Copy, Debug)]
pub struct NewDocument<'a> {
    /// Who publishes: the same in all documents of this client, and in those of no other, such as a
    /// UUID URN. Any text; it is escaped.
    pub id: &'a str,
    /// The IM settings.
    pub settings: Settings,
    /// The settings that IM has no use for.
    pub poc: PocSettings,
    /// The names of the elements.
    pub dialect: Dialect,
}

impl NewDocument<'_> {
    /// Puts the document: the settings of RFC 4354 in the order of its schema, then the others in the order of the
    /// table. It is valid by the schema of RFC 4354 §6.1, which lets in any element of another namespace.
    pub fn put(&self, sink: &mut Sink<'_>) {
        sink.put(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<poc-settings");
        put_attribute(sink, "xmlns", NAMESPACE);
        let table = self.dialect.table();
        for (number, namespace) in namespaces(table) {
            sink.put(b"\r\n    xmlns:");
            put_prefix(sink, number);
            sink.put(b"=\"");
            xml::put_attribute(sink, namespace);
            sink.put(b"\"");
        }
        sink.put(b">\r\n  <entity");
        put_attribute(sink, "id", self.id);
        sink.put(b">\r\n");

        let poc = [
            (ISB, None),
            (AM, self.poc.answer_mode.map(Answer::from)),
            (IPAB, self.poc.personal_alerts.map(Answer::from)),
            (SSS, self.poc.simultaneous_sessions.map(Answer::from)),
        ];
        for (standard, answer) in &poc {
            let (element, answer) = match (self.dialect.using(standard), answer) {
                (Some(named), _) => (&named.element, self.settings.answer(named.setting)),
                (None, Some(answer)) => (standard, *answer),
                (None, None) => continue,
            };
            let parents = Parents::of(element, None);
            parents.open(sink);
            parents.put_leaf(sink, element, answer);
            parents.close(sink);
        }
        let mut opened: Option<Parents> = None;
        for named in table.iter().filter(|it| !is_standard(it)) {
            let element = &named.element;
            let namespace = namespaces(table).find(|(_, name)| *name == element.namespace);
            let parents = Parents::of(element, namespace.map(|(number, _)| number));
            if opened != Some(parents) {
                if let Some(before) = opened {
                    before.close(sink);
                }
                parents.open(sink);
                opened = Some(parents);
            }
            parents.put_leaf(sink, element, self.settings.answer(named.setting));
        }
        if let Some(last) = opened {
            last.close(sink);
        }
        sink.put(b"  </entity>\r\n</poc-settings>\r\n");
    }
}

/// The elements above the one that has the value, and the number of the prefix of all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Parents {
    prefix: Option<u32>,
    path: &'static [&'static str],
}

impl Parents {
    fn of(element: &Element, prefix: Option<u32>) -> Self {
        let path = element
            .path
            .split_last()
            .map_or(&[][..], |(_, parents)| parents);
        Self { prefix, path }
    }

    fn open(&self, sink: &mut Sink<'_>) {
        for (depth, name) in self.path.iter().enumerate() {
            put_indent(sink, depth);
            sink.put(b"<");
            self.put_name(sink, name);
            sink.put(b">\r\n");
        }
    }

    fn close(&self, sink: &mut Sink<'_>) {
        for (depth, name) in self.path.iter().enumerate().rev() {
            put_indent(sink, depth);
            sink.put(b"</");
            self.put_name(sink, name);
            sink.put(b">\r\n");
        }
    }

    fn put_leaf(&self, sink: &mut Sink<'_>, element: &Element, answer: Answer) {
        let name = element.path.last().copied().unwrap_or_default();
        let word = element.coding.word(answer);
        put_indent(sink, self.path.len());
        sink.put(b"<");
        self.put_name(sink, name);
        if let Place::Attribute(place) = element.place {
            put_attribute(sink, place, word);
        }
        if let Kind::Attribute(kind, value) = element.kind {
            put_attribute(sink, kind, value);
        }
        match (element.place, element.kind) {
            (Place::Content, _) => {
                sink.put(b">");
                xml::put_text(sink, word);
            }
            (_, Kind::Text(kind)) => {
                sink.put(b">");
                xml::put_text(sink, kind);
            }
            (_, Kind::Child(kind)) => {
                sink.put(b"><");
                self.put_name(sink, kind);
                sink.put(b"/>");
            }
            (_, Kind::Only | Kind::Attribute(..)) => return sink.put(b"/>\r\n"),
        }
        sink.put(b"</");
        self.put_name(sink, name);
        sink.put(b">\r\n");
    }

    fn put_name(&self, sink: &mut Sink<'_>, name: &str) {
        if let Some(number) = self.prefix {
            put_prefix(sink, number);
            sink.put(b":");
        }
        sink.put(name.as_bytes());
    }
}

/// `im`, `im2`, `im3`, ...
fn put_prefix(sink: &mut Sink<'_>, number: u32) {
    sink.put(b"im");
    if number > 1 {
        sink.put_u32(number);
    }
}

fn put_indent(sink: &mut Sink<'_>, depth: usize) {
    const SPACES: &[u8; 4 + 2 * Dialect::MAX_PATH] = &[b' '; 4 + 2 * Dialect::MAX_PATH];
    let (indent, _) = split_at(SPACES, depth.saturating_mul(2).saturating_add(4));
    sink.put(indent);
}

fn put_attribute(sink: &mut Sink<'_>, name: &str, value: &str) {
    sink.put(b" ");
    sink.put(name.as_bytes());
    sink.put(b"=\"");
    xml::put_attribute(sink, value);
    sink.put(b"\"");
}

fn is_standard(named: &Named) -> bool {
    named.element.namespace == NAMESPACE
}

/// The namespaces of a table but that of RFC 4354, each once, and with it the number of its prefix.
fn namespaces(table: &'static [Named]) -> impl Iterator<Item = (u32, &'static str)> {
    let first = move |(i, it): &(usize, &'static Named)| {
        let mut before = table.iter().take(*i);
        !before.any(|earlier| earlier.element.namespace == it.element.namespace)
    };
    let others = table.iter().enumerate().filter(|(_, it)| !is_standard(it));
    (1..).zip(others.filter(first).map(|(_, it)| it.element.namespace))
}

//! Documents to settings, in one walk.

use super::super::error::{ParseError, ParseErrorKind};
use super::super::xml::{Depth, Event, Reader, Start, Text};
use super::dialect::{AM, IPAB, SSS, collapsed_is};
use super::{
    Answer, Dialect, Element, Kind, NAMESPACE, Named, PartialSettings, Place, PocSettings, Setting,
};

/// What one publisher says (RFC 4354 §6: "an `<entity>` element represents an EPA").
#[derive(Clone, Copy, Debug)]
pub struct Entity<'b> {
    /// Who: the same in all documents of this publisher, and in those of no other.
    pub id: Text<'b>,
    /// The IM settings.
    pub settings: PartialSettings,
    /// The settings that IM has no use for.
    pub poc: PocSettings,
}

/// The entities of a document, in their order; ends after the first error.
///
/// A document in a NOTIFY may have none, if nobody has published, or those of several publishers (RFC 4354
/// §6). Which one is ours its `id` tells. Elements and attributes that are not known are passed over, at
/// any place; so is a value that is none: the entity then says nothing of that setting. Of an element
/// that stands twice the first counts.
#[derive(Clone, Debug)]
pub struct Entities<'b> {
    reader: Option<Reader<'b>>,
    root: Depth,
    dialect: Dialect,
}

impl<'b> Entities<'b> {
    /// Begins to read a document of type `application/poc-settings+xml`.
    ///
    /// # Errors
    /// Those of [`Reader`]; `Document` if the root is another one.
    pub fn new(document: &'b [u8], dialect: Dialect) -> Result<Self, ParseError> {
        let mut reader = Reader::new(document)?;
        let root = reader.root(NAMESPACE, "poc-settings")?;
        Ok(Self {
            reader: Some(reader),
            root,
            dialect,
        })
    }
}

impl<'b> Iterator for Entities<'b> {
    /// Errors: those of [`Reader`], to the end of the document; `Document` for an entity without an `id`.
    type Item = Result<Entity<'b>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let next = entity(reader, self.root, self.dialect).transpose();
        if !matches!(next, Some(Ok(_))) {
            let reader = self.reader.take()?;
            if next.is_none() {
                return reader.finish().err().map(Err);
            }
        }
        next
    }
}

/// The next entity under the root.
fn entity<'b>(
    reader: &mut Reader<'b>,
    root: Depth,
    dialect: Dialect,
) -> Result<Option<Entity<'b>>, ParseError> {
    let id = loop {
        match reader.child(root)? {
            None => return Ok(None),
            Some(child) if child.is(NAMESPACE, "entity") => break child.attribute("", "id"),
            Some(_) => {}
        }
    };
    let id = id.ok_or(reader.error(ParseErrorKind::Document))?;
    let (settings, poc) = content(reader, dialect)?;
    Ok(Some(Entity { id, settings, poc }))
}

/// What stands in the element whose start was read last.
fn content(
    reader: &mut Reader<'_>,
    dialect: Dialect,
) -> Result<(PartialSettings, PocSettings), ParseError> {
    let mut settings = PartialSettings::default();
    let mut poc = PocSettings::UNSAID;
    // A table has each setting once at most.
    let mut ours = [Track::default(); Setting::ALL.len()];
    let mut others = [Track::default(); 3];
    let standard = [AM, IPAB, SSS].map(|it| (it, dialect.using(&it).is_some()));
    // How deep below the entity.
    let mut level = 0_usize;
    loop {
        let event = reader.read()?;
        if let Event::Start(_) = event {
            level = level.saturating_add(1);
        }
        for (
            Named {
                setting, element, ..
            },
            track,
        ) in dialect.table().iter().zip(&mut ours)
        {
            if let Some(answer) = track.follow(element, &event, level) {
                settings.hear(*setting, answer);
            }
        }
        for (i, ((element, used), track)) in standard.iter().zip(&mut others).enumerate() {
            if let Some(answer) = track.follow(element, &event, level).filter(|_| !used) {
                match i {
                    0 => _ = poc.answer_mode.get_or_insert(answer.into()),
                    1 => _ = poc.personal_alerts.get_or_insert(answer.into()),
                    _ => _ = poc.simultaneous_sessions.get_or_insert(answer.into()),
                }
            }
        }
        match event {
            Event::End(_) if level == 0 => return Ok((settings, poc)),
            Event::End(_) => level = level.saturating_sub(1),
            Event::Eof => return Ok((settings, poc)),
            Event::Start(_) | Event::Text(_) => {}
        }
    }
}

/// How much of the path of one element is open, and the value read there.
#[derive(Clone, Copy, Default)]
struct Track {
    matched: usize,
    value: Option<Answer>,
}

impl Track {
    /// Takes one event in the element at `level`; gives the value once it is known.
    fn follow(&mut self, element: &Element, event: &Event<'_, '_>, level: usize) -> Option<Answer> {
        let whole = element.path.len();
        match event {
            Event::Start(start) => self.start(element, start, level),
            Event::Text(text) if self.matched == whole && level == whole => match element.kind {
                Kind::Text(kind) if collapsed_is(*text, kind) => self.value.take(),
                Kind::Only if element.place == Place::Content => element.coding.read(*text),
                _ => None,
            },
            Event::End(_) => {
                if level != 0 && self.matched == level {
                    self.matched = level.saturating_sub(1);
                    self.value = None;
                }
                None
            }
            Event::Text(_) | Event::Eof => None,
        }
    }

    fn start(&mut self, element: &Element, start: &Start<'_, '_>, level: usize) -> Option<Answer> {
        let whole = element.path.len();
        if self.matched.saturating_add(1) != level {
            return None;
        }
        if self.matched == whole {
            return match element.kind {
                Kind::Child(kind) if start.is(element.namespace, kind) => self.value.take(),
                _ => None,
            };
        }
        let name = element.path.get(self.matched)?;
        if !start.is(element.namespace, name) {
            return None;
        }
        self.matched = level;
        if level == whole
            && let Place::Attribute(place) = element.place
        {
            let value = start.attribute("", place);
            self.value = value.and_then(|value| element.coding.read(value));
            return match element.kind {
                Kind::Only => self.value.take(),
                Kind::Attribute(name, kind) => {
                    let right = start.attribute("", name);
                    right.filter(|it| collapsed_is(*it, kind))?;
                    self.value.take()
                }
                Kind::Child(_) | Kind::Text(_) => None,
            };
        }
        None
    }
}

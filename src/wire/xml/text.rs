//! Text as it stands in a document, read character by character without a copy.

use super::Place;
use crate::wire::error::ParseErrorKind;
use crate::wire::scan::cut;
use core::fmt;

/// Text of a document or of an attribute value, still as it was written.
///
/// It was checked when it was read. [`chars`](Self::chars) gives what it means: references
/// resolved, CDATA opened, comments passed over, line ends as one line feed (XML 1.0 §2.11), white space of an
/// attribute as spaces (§3.3.3). `Display` writes the same.
#[derive(Clone, Copy, Debug)]
pub struct Text<'b> {
    raw: &'b str,
    attribute: bool,
}

impl<'b> Text<'b> {
    /// No text.
    pub const EMPTY: Self = Self::content("");

    pub(super) const fn content(raw: &'b str) -> Self {
        Self {
            raw,
            attribute: false,
        }
    }

    pub(super) const fn attribute(raw: &'b str) -> Self {
        Self {
            raw,
            attribute: true,
        }
    }

    /// As it stands in the document.
    pub const fn raw(&self) -> &'b str {
        self.raw
    }

    /// The text itself, if what stands in the document is what it means, as it nearly always is.
    pub fn as_plain(&self) -> Option<&'b str> {
        let marks: &[char] = if self.attribute {
            &['&', '\r', '\n', '\t']
        } else {
            &['&', '<', '\r']
        };
        (!self.raw.contains(marks)).then_some(self.raw)
    }

    /// Its characters.
    pub const fn chars(&self) -> Chars<'b> {
        Chars {
            rest: self.raw,
            attribute: self.attribute,
            cdata: false,
        }
    }

    /// The text without the white space around it.
    #[must_use]
    pub fn trim(&self) -> Self {
        Self {
            raw: self.raw.trim_matches([' ', '\t', '\r', '\n']),
            ..*self
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.chars().next().is_none()
    }

    /// Writes it as UTF-8 into `out`; `None` if it does not fit. `out` as long as [`raw`](Self::raw) always does.
    pub fn read_into<'o>(&self, out: &'o mut [u8]) -> Option<&'o str> {
        let mut len = 0_usize;
        for c in self.chars() {
            // Cut in this order, the room is seen to be enough and no check is left.
            let room = out.get_mut(len..)?.get_mut(..c.len_utf8())?;
            len = len.checked_add(c.encode_utf8(room).len())?;
        }
        core::str::from_utf8(out.get(..len)?).ok()
    }

    /// Whether two texts mean the same characters.
    pub fn same(&self, other: Text<'_>) -> bool {
        self.chars().eq(other.chars())
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.chars().try_for_each(|c| f.write_char(c))
    }
}

/// The characters of a [`Text`].
#[derive(Clone, Debug)]
pub struct Chars<'b> {
    rest: &'b str,
    attribute: bool,
    cdata: bool,
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            if self.cdata {
                let Some(rest) = self.rest.strip_prefix("]]>") else {
                    break;
                };
                self.rest = rest;
                self.cdata = false;
            } else if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                self.rest = rest;
                self.cdata = true;
            } else if let Some(rest) = self.rest.strip_prefix("<!--") {
                self.rest = after_comment(rest);
            } else {
                break;
            }
        }
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        match c {
            '&' if !self.cdata => match reference(self.rest) {
                Ok((c, rest)) => {
                    self.rest = rest;
                    Some(c)
                }
                Err(_) => Some('&'),
            },
            '\r' => {
                self.rest = self.rest.strip_prefix('\n').unwrap_or(self.rest);
                Some(if self.attribute { ' ' } else { '\n' })
            }
            '\n' | '\t' if self.attribute => Some(' '),
            c => Some(c),
        }
    }
}

/// Checks the characters and references of `piece`.
pub(super) fn check(piece: &str, place: Place) -> Result<(), ParseErrorKind> {
    let mut chars = piece.chars();
    loop {
        let here = chars.as_str();
        match chars.next() {
            None => return Ok(()),
            Some('&') if place != Place::Raw => {
                let (_, rest) = reference(chars.as_str())?;
                chars = rest.chars();
            }
            Some('<') if place == Place::Attribute => return Err(ParseErrorKind::Xml),
            // XML 1.0 §2.4
            Some(']') if place == Place::Content && here.starts_with("]]>") => {
                return Err(ParseErrorKind::Xml);
            }
            Some(c) if !is_char(c) => return Err(ParseErrorKind::Xml),
            Some(_) => {}
        }
    }
}

/// XML 1.0 §4.1, §4.6: what the reference after an `&` stands for, and what follows its `;`.
fn reference(after: &str) -> Result<(char, &str), ParseErrorKind> {
    let (name, rest) = cut(after, b';').ok_or(ParseErrorKind::Xml)?;
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "apos" => '\'',
        "quot" => '"',
        _ => match name.strip_prefix('#') {
            Some(number) => character(number).ok_or(ParseErrorKind::Xml)?,
            None if name.starts_with(is_name_start) && name.chars().all(is_name_char) => {
                return Err(ParseErrorKind::XmlForbidden);
            }
            None => return Err(ParseErrorKind::Xml),
        },
    };
    Ok((c, rest))
}

fn character(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    if digits.is_empty() {
        return None;
    }
    let mut code = 0_u32;
    for c in digits.chars() {
        code = code
            .saturating_mul(radix)
            .saturating_add(c.to_digit(radix)?);
    }
    char::from_u32(code).filter(|c| is_char(*c))
}

/// XML 1.0 §2.2, Char.
pub(super) const fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// XML 1.0 §2.3, NameStartChar without the colon.
pub(super) const fn is_name_start(c: char) -> bool {
    matches!(
        c,
        'A'..='Z' | '_' | 'a'..='z'
            | '\u{c0}'..='\u{d6}'
            | '\u{d8}'..='\u{f6}'
            | '\u{f8}'..='\u{2ff}'
            | '\u{370}'..='\u{37d}'
            | '\u{37f}'..='\u{1fff}'
            | '\u{200c}'..='\u{200d}'
            | '\u{2070}'..='\u{218f}'
            | '\u{2c00}'..='\u{2fef}'
            | '\u{3001}'..='\u{d7ff}'
            | '\u{f900}'..='\u{fdcf}'
            | '\u{fdf0}'..='\u{fffd}'
            | '\u{10000}'..='\u{effff}'
    )
}

/// XML 1.0 §2.3, NameChar without the colon.
pub(super) const fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(
            c,
            '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}'
        )
}
/// What follows the end of a comment; nothing if it has none.
fn after_comment(mut text: &str) -> &str {
    loop {
        if let Some(rest) = text.strip_prefix("-->") {
            return rest;
        }
        let mut chars = text.chars();
        if chars.next().is_none() {
            return text;
        }
        text = chars.as_str();
    }
}

//! The character escapes of CPIM headers (RFC 3862 §2.3).

use crate::wire::sink::Sink;
use core::fmt;

/// Text of a CPIM header: escaped as it was received, or plain as an application gives it.
///
/// [`chars`](Self::chars) gives what it means, `Display` writes the same.
#[derive(Clone, Copy, Debug)]
pub struct HeaderText<'b> {
    raw: &'b str,
    escaped: bool,
}

impl<'b> From<&'b str> for HeaderText<'b> {
    /// Plain text: a backslash in it is a backslash.
    fn from(plain: &'b str) -> Self {
        Self {
            raw: plain,
            escaped: false,
        }
    }
}

impl<'b> HeaderText<'b> {
    pub(super) const fn received(raw: &'b str) -> Self {
        Self { raw, escaped: true }
    }

    /// As it stands in the message.
    pub const fn raw(&self) -> &'b str {
        self.raw
    }

    /// The text itself, if nothing in it is escaped.
    pub fn as_plain(&self) -> Option<&'b str> {
        (!self.escaped || !self.raw.contains('\\')).then_some(self.raw)
    }

    /// Its characters, escapes resolved.
    pub const fn chars(&self) -> HeaderChars<'b> {
        HeaderChars {
            rest: self.raw,
            escaped: self.escaped,
        }
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

    /// §2.3.1: what has to be escaped in a header value, and `"` if it stands between quotes.
    pub(super) fn put(&self, sink: &mut Sink<'_>, in_quotes: InQuotes) {
        for c in self.chars() {
            match c {
                '\\' => sink.put(b"\\\\"),
                '"' if in_quotes == InQuotes::Yes => sink.put(b"\\\""),
                '\u{8}' => sink.put(b"\\b"),
                '\t' => sink.put(b"\\t"),
                '\n' => sink.put(b"\\n"),
                '\r' => sink.put(b"\\r"),
                '\0'..='\u{1f}' | '\u{7f}' => {
                    sink.put(b"\\u00");
                    sink.put_hex(&[u8::try_from(u32::from(c)).unwrap_or_default()]);
                }
                c => sink.put(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
}

/// Whether the text stands between double quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InQuotes {
    Yes,
    No,
}

impl PartialEq<str> for HeaderText<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl PartialEq<&str> for HeaderText<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for HeaderText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.chars().try_for_each(|c| f.write_char(c))
    }
}

/// The characters of a [`HeaderText`].
#[derive(Clone, Debug)]
pub struct HeaderChars<'b> {
    rest: &'b str,
    escaped: bool,
}

impl HeaderChars<'_> {
    fn step(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    /// The code unit of `uxxxx` after a backslash, and what follows it.
    fn unit(after: &str) -> Option<(u16, &str)> {
        let (digits, rest) = after.strip_prefix('u')?.split_at_checked(4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        Some((u16::from_str_radix(digits, 16).ok()?, rest))
    }

    fn unicode(&mut self) -> Option<char> {
        let (first, rest) = Self::unit(self.rest)?;
        self.rest = rest;
        // A pair of surrogates is one character; a lone one is none.
        let second = rest.strip_prefix('\\').and_then(Self::unit);
        if let (0xd800..=0xdbff, Some((second @ 0xdc00..=0xdfff, rest))) = (first, second) {
            self.rest = rest;
            return char::decode_utf16([first, second]).next()?.ok();
        }
        Some(char::from_u32(u32::from(first)).unwrap_or('\u{fffd}'))
    }
}

impl Iterator for HeaderChars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let c = self.step()?;
        if c != '\\' || !self.escaped {
            return Some(c);
        }
        if let Some(c) = self.unicode() {
            return Some(c);
        }
        // §2.3.1: an unknown escape is the character itself, a lone backslash at the end nothing.
        Some(match self.step()? {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            other => other,
        })
    }
}

//! The comma list of `name=value` that all digest headers are made of.
//!
//! The trap is that commas part three things: parameters, whole challenges of the HTTP kind
//! (RFC 7235 §4.1) and, where a peer forgot the quotes, the values of `qop`. So the walk gives
//! schemes, parameters and bare tokens as they come, and its reader sorts them out.

use super::super::error::{ParseError, ParseErrorKind};
use super::super::scan::{self, Class};
use super::super::sink::Sink;

/// A text of the peer as received, without the quotes around it; escapes and folds still in it.
///
/// Two are equal if they mean the same. There is never a control character in it but the tabs
/// and folds that a quoted string may hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quoted<'b> {
    inside: &'b [u8],
}

/// What becomes of `\x`.
#[derive(Clone, Copy)]
enum Escapes {
    Keep,
    Resolve,
}

impl<'b> Quoted<'b> {
    /// Takes the inside of a quoted string as it stands on the wire, without its quotes.
    ///
    /// `None` if it could not stand between quotes: it has a `"` or a lone `\`, or a control
    /// character.
    pub fn new(inside: &'b [u8]) -> Option<Self> {
        let mut rest = inside;
        loop {
            rest = scan::split_at(rest, Class::QDTEXT.run(rest)).1;
            match rest {
                [] => return Some(Self { inside }),
                [b'\\', b' '..=b'~', tail @ ..] => rest = tail,
                _ => return None,
            }
        }
    }

    /// The bytes as received, with escapes and folds.
    pub const fn as_received(self) -> &'b [u8] {
        self.inside
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.inside.is_empty()
    }

    /// Gives the meant bytes, piece by piece: `unq(X)` of RFC 7616 §3.3.
    pub fn pieces(self, put: impl FnMut(&'b [u8])) {
        self.walk(Escapes::Resolve, put);
    }

    /// The meant bytes one by one.
    pub fn bytes(self) -> impl Iterator<Item = u8> + 'b {
        let mut rest = self.inside;
        let mut plain = 0_usize;
        core::iter::from_fn(move || {
            let (byte, tail) = match rest {
                [b'\\', escaped, tail @ ..] => (*escaped, tail),
                [first, tail @ ..] if plain > 0 || !Class::LWS.has(*first) => {
                    plain = plain.saturating_sub(1);
                    (*first, tail)
                }
                _ => {
                    let (space, after) = Class::LWS.split(rest);
                    if is_fold(space) {
                        (b' ', after)
                    } else {
                        plain = space.len().saturating_sub(1);
                        rest.split_first().map(|(first, tail)| (*first, tail))?
                    }
                }
            };
            rest = tail;
            Some(byte)
        })
    }

    /// Puts it between quotes, escapes as received; a fold becomes the space it means.
    pub fn put(self, out: &mut Sink<'_>) {
        out.put_byte(b'"');
        self.walk(Escapes::Keep, |piece| out.put(piece));
        out.put_byte(b'"');
    }

    fn walk(self, escapes: Escapes, mut put: impl FnMut(&'b [u8])) {
        let mut rest = self.inside;
        while let [first, tail @ ..] = rest {
            rest = if *first == b'\\' {
                let (pair, after) = scan::split_at(rest, 2);
                put(match escapes {
                    Escapes::Keep => pair,
                    Escapes::Resolve => scan::split_at(tail, 1).0,
                });
                after
            } else if Class::LWS.has(*first) {
                let (space, after) = Class::LWS.split(rest);
                // RFC 3261 §25.1: LWS with a fold in it means one SP.
                put(if is_fold(space) { b" " } else { space });
                after
            } else {
                let plain = rest
                    .iter()
                    .position(|&b| b == b'\\' || Class::LWS.has(b))
                    .unwrap_or(rest.len());
                let (text, after) = scan::split_at(rest, plain);
                put(text);
                after
            };
        }
    }
}

impl PartialEq for Quoted<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.inside == other.inside || self.bytes().eq(other.bytes())
    }
}

impl Eq for Quoted<'_> {}

impl PartialEq<[u8]> for Quoted<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.bytes().eq(other.iter().copied())
    }
}

fn is_fold(space: &[u8]) -> bool {
    space.iter().any(|b| matches!(b, b'\r' | b'\n'))
}

/// One element of a digest header.
#[derive(Clone, Copy)]
pub(super) enum Element<'b> {
    /// A token before white space and no `=`: an auth-scheme, its parameters follow.
    Scheme(&'b [u8]),
    /// `name=value`, quoted or not.
    Param(&'b [u8], Quoted<'b>),
    /// A token on its own: a scheme without parameters, or the rest of an unquoted list.
    Bare(&'b [u8]),
}

/// Walks the elements of a header value; ends after the first fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'b> {
    value: &'b [u8],
    rest: &'b [u8],
}

impl<'b> Elements<'b> {
    pub(super) const fn new(value: &'b [u8]) -> Self {
        Self { value, rest: value }
    }

    /// How many bytes of the value have been walked.
    pub(super) const fn walked(&self) -> usize {
        self.value.len().saturating_sub(self.rest.len())
    }

    /// The bytes walked since `position`.
    pub(super) fn since(&self, position: usize) -> &'b [u8] {
        self.value.get(position..self.walked()).unwrap_or_default()
    }

    /// Ends the walk here.
    pub(super) const fn stop(&mut self) {
        self.rest = &[];
    }

    /// Past the `token68` that may follow the scheme instead of parameters (RFC 7235 §2.1).
    pub(super) fn skip_token68(&mut self) {
        let text = scan::trim_start(self.rest);
        let run = text
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || b"-._~+/".contains(b)))
            .unwrap_or(text.len());
        let tail = scan::split_at(text, run).1;
        let padding = tail.iter().position(|&b| b != b'=').unwrap_or(tail.len());
        let tail = scan::trim_start(scan::split_at(tail, padding).1);
        if matches!(tail, [] | [b',', ..]) {
            self.rest = tail;
        }
    }

    fn fault(&mut self, at: &'b [u8]) -> ParseError {
        self.rest = &[];
        let offset = self.value.len().saturating_sub(at.len());
        ParseError::new(ParseErrorKind::Challenge, offset)
    }

    fn element(&mut self) -> Result<Element<'b>, &'b [u8]> {
        let (name, after) = Class::TOKEN.split(self.rest);
        if name.is_empty() {
            return Err(self.rest);
        }
        let tail = scan::trim_start(after);
        let [b'=', value @ ..] = tail else {
            self.rest = after;
            return match tail {
                [] | [b',', ..] => Ok(Element::Bare(name)),
                _ if tail.len() < after.len() => Ok(Element::Scheme(name)),
                _ => Err(tail),
            };
        };
        let value = scan::trim_start(value);
        let (text, after) = match scan::split_quoted(value) {
            Some((text, after)) => (scan::strip_quotes(text).ok_or(value)?, after),
            // Quotes are due on most, but some peers leave them out.
            None => {
                let end = value.iter().position(|&b| b == b',' || Class::LWS.has(b));
                let (text, after) = scan::split_at(value, end.unwrap_or(value.len()));
                if text.contains(&b'\\') {
                    return Err(value);
                }
                (text, after)
            }
        };
        self.rest = after;
        Ok(Element::Param(name, Quoted::new(text).ok_or(value)?))
    }
}

impl<'b> Iterator for Elements<'b> {
    type Item = Result<Element<'b>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Empty elements are skipped (RFC 7230 §7), and so is a comma that was forgotten.
        while let [first, tail @ ..] = self.rest
            && (*first == b',' || Class::LWS.has(*first))
        {
            self.rest = tail;
        }
        if self.rest.is_empty() {
            return None;
        }
        Some(self.element().map_err(|at| self.fault(at)))
    }
}

/// Puts `value` where `field` is still empty.
///
/// RFC 7235 §2.1: a parameter stands once. The same again does no harm; another value makes two
/// readers disagree, so the whole is refused.
pub(super) fn set<'b>(field: &mut Option<Quoted<'b>>, value: Quoted<'b>) -> Result<(), ()> {
    match field {
        Some(first) if *first != value => Err(()),
        Some(_) => Ok(()),
        None => {
            *field = Some(value);
            Ok(())
        }
    }
}

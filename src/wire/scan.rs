//! The alphabet of SIP: byte classes, white space, quoted strings, lists and parameters.
//!
//! Every grammar of RFC 3261 §25.1 is made of a few classes of bytes, so there is one table with a
//! bit for each class, and a reader asks it instead of comparing ranges. On top of it stand the
//! four shapes that header values are made of: tokens, quoted strings, comma lists and
//! `;name=value` parameters. A fold (CR LF and white space, RFC 3261 §7.3.1) is white space
//! everywhere. Nothing here copies: all results are slices of what was given.

use super::error::{ParseError, ParseErrorKind};

/// A set of bytes, one or more of the classes of RFC 3261 §25.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(u16);

impl Class {
    /// `token`: letters, digits and ``-.!%*_+`'~``.
    pub const TOKEN: Self = Self(1);
    /// `word`, as in a Call-ID: `token` and `()<>:\"/[]?{}`.
    pub const WORD: Self = Self(1 << 1);
    /// The bytes of a host name or an IPv4 address: letters, digits, `-` and `.`; also `_`, which
    /// deployed networks use in names.
    pub const HOST: Self = Self(1 << 2);
    /// `user` without escapes: `unreserved` and `&=+$,;?/`.
    pub const USER: Self = Self(1 << 3);
    /// `password` without escapes: `unreserved` and `&=+$,`.
    pub const PASSWORD: Self = Self(1 << 4);
    /// `paramchar` of a URI without escapes: `unreserved` and `[]/:&+$`.
    pub const URI_PARAM: Self = Self(1 << 5);
    /// The name or value of a URI header without escapes: `unreserved` and `[]/?:+$`.
    pub const URI_HEADER: Self = Self(1 << 6);
    /// Any byte of a URI that is no escape: `unreserved` and `reserved`.
    pub const URIC: Self = Self(1 << 7);
    /// `HEXDIG`, in either case.
    pub const HEX: Self = Self(1 << 8);
    /// `DIGIT`.
    pub const DIGIT: Self = Self(1 << 9);
    /// `ALPHA`.
    pub const ALPHA: Self = Self(1 << 10);
    /// White space of a header value: SP, HT, and the CR and LF of a fold.
    pub const LWS: Self = Self(1 << 11);
    /// Control characters other than HT, CR and LF.
    pub const CONTROL: Self = Self(1 << 12);
    /// What may stand in a parameter value that is not quoted: `token`, and `[`, `]`, `:` for
    /// addresses (RFC 5118 §4.5 has them with and without brackets).
    pub const PARAM_VALUE: Self = Self(1 << 13);
    /// `qdtext` of a quoted string, with LWS and every byte above 127.
    pub const QDTEXT: Self = Self(1 << 14);
    /// The bytes at which a list or parameter scan has to look twice: `"`, `,`, `;`, `<`, `>`.
    pub const MARK: Self = Self(1 << 15);

    /// The bytes of either class.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `byte` is of this class.
    // The table has an entry for each of the 256 values of a byte.
    #[allow(clippy::indexing_slicing)]
    #[inline]
    pub const fn has(self, byte: u8) -> bool {
        CLASSES[byte as usize] & self.0 != 0
    }

    /// Whether all of `bytes` are of this class and there is at least one.
    #[inline]
    pub fn fits(self, bytes: &[u8]) -> bool {
        !bytes.is_empty() && self.run(bytes) == bytes.len()
    }

    /// How many bytes at the start are of this class.
    #[allow(clippy::arithmetic_side_effects)] // Offsets within a slice.
    #[inline]
    pub fn run(self, bytes: &[u8]) -> usize {
        // Four at a time: the loop costs as much as the look into the table.
        let (quads, rest) = bytes.as_chunks::<4>();
        let mut at = 0;
        for &[a, b, c, d] in quads {
            if !self.has(a) {
                return at;
            }
            if !self.has(b) {
                return at + 1;
            }
            if !self.has(c) {
                return at + 2;
            }
            if !self.has(d) {
                return at + 3;
            }
            at += 4;
        }
        at + rest.iter().take_while(|&&b| self.has(b)).count()
    }

    /// The bytes at the start that are of this class, and the rest.
    #[inline]
    pub fn split(self, bytes: &[u8]) -> (&[u8], &[u8]) {
        halves(bytes, self.run(bytes))
    }
}

const CLASSES: [u16; 256] = classes();

// Runs while compiling; an index out of range would not compile.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]
const fn classes() -> [u16; 256] {
    const fn among(byte: u8, set: &[u8]) -> bool {
        let mut i = 0;
        while i < set.len() {
            if set[i] == byte {
                return true;
            }
            i += 1;
        }
        false
    }
    const fn mark(table: &mut [u16; 256], byte: u8, class: Class, member: bool) {
        if member {
            table[byte as usize] |= class.0;
        }
    }
    let mut table = [0; 256];
    let mut i = 0usize;
    while i < 256 {
        let b = i as u8;
        let alphanum = b.is_ascii_alphanumeric();
        let token = alphanum || among(b, b"-.!%*_+`'~");
        let unreserved = alphanum || among(b, b"-_.!~*'()");
        let lws = among(b, b" \t\r\n");
        mark(&mut table, b, Class::TOKEN, token);
        mark(
            &mut table,
            b,
            Class::WORD,
            token || among(b, b"()<>:\\\"/[]?{}"),
        );
        mark(&mut table, b, Class::HOST, alphanum || among(b, b"-._"));
        mark(
            &mut table,
            b,
            Class::USER,
            unreserved || among(b, b"&=+$,;?/"),
        );
        mark(
            &mut table,
            b,
            Class::PASSWORD,
            unreserved || among(b, b"&=+$,"),
        );
        mark(
            &mut table,
            b,
            Class::URI_PARAM,
            unreserved || among(b, b"[]/:&+$"),
        );
        mark(
            &mut table,
            b,
            Class::URI_HEADER,
            unreserved || among(b, b"[]/?:+$"),
        );
        mark(
            &mut table,
            b,
            Class::URIC,
            unreserved || among(b, b";/?:@&=+$,"),
        );
        mark(&mut table, b, Class::HEX, b.is_ascii_hexdigit());
        mark(&mut table, b, Class::DIGIT, b.is_ascii_digit());
        mark(&mut table, b, Class::ALPHA, b.is_ascii_alphabetic());
        mark(&mut table, b, Class::LWS, lws);
        mark(&mut table, b, Class::CONTROL, b.is_ascii_control() && !lws);
        mark(&mut table, b, Class::PARAM_VALUE, token || among(b, b"[]:"));
        let qdtext = lws || b == 0x21 || (b >= 0x23 && b != 0x5c && b != 0x7f);
        mark(&mut table, b, Class::QDTEXT, qdtext);
        mark(&mut table, b, Class::MARK, among(b, b"\",;<>"));
        i += 1;
    }
    table
}

/// Both halves of `bytes` at `at`; past the end the second is empty.
#[inline]
pub fn split_at(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

/// As [`split_at`], for offsets that came from a walk over `bytes` and never lie past the end.
#[inline]
pub(crate) fn halves(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    // Cold, so that a jump that is never taken is all it costs.
    #[cold]
    const fn past(bytes: &[u8]) -> (&[u8], &[u8]) {
        (bytes, &[])
    }
    bytes.split_at_checked(at).unwrap_or_else(|| past(bytes))
}

/// What stands in `whole` before its tail `rest`.
#[inline]
pub(crate) fn before<'b>(whole: &'b [u8], rest: &[u8]) -> &'b [u8] {
    halves(whole, whole.len().wrapping_sub(rest.len())).0
}

/// How far `part` starts after the start of `whole`, for a part cut out of it.
///
/// Meant for offsets in errors; a part that does not lie within gives some other number.
#[inline]
pub fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

/// `bytes` without the white space (and folds) at both ends.
#[inline]
pub fn trim_lws(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// `bytes` without the white space (and folds) at the start.
#[inline]
pub fn trim_start(bytes: &[u8]) -> &[u8] {
    match bytes {
        // There is seldom any, and a loop costs something even where it does not run.
        [0..=b' ', ..] => without_start(bytes),
        _ => bytes,
    }
}

/// `bytes` without the white space (and folds) at the end.
#[inline]
pub fn trim_end(bytes: &[u8]) -> &[u8] {
    match bytes {
        [.., 0..=b' '] => without_end(bytes),
        _ => bytes,
    }
}

fn without_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && Class::LWS.has(*first)
    {
        bytes = rest;
    }
    bytes
}

fn without_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes
        && Class::LWS.has(*last)
    {
        bytes = rest;
    }
    bytes
}

/// The offset of the first byte below 0x20 or equal to 0x7f.
#[allow(clippy::arithmetic_side_effects)] // Offsets within a slice.
#[inline]
pub fn find_control(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let hits = controls(u64::from_le_bytes(*word));
        if hits != 0 {
            return Some(at + (hits.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    rest.iter()
        .position(u8::is_ascii_control)
        .map(|found| at + found)
}

/// The top bit of each byte that is below 0x20 or 0x7f; above the lowest there may be false ones.
#[inline]
pub(crate) const fn controls(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    // A byte below n borrows in `x - n`.
    let low = word.wrapping_sub(ONES * 0x20);
    let del = (word ^ (ONES * 0x7f)).wrapping_sub(ONES);
    (low | del) & !word & (ONES * 0x80)
}

/// Whether two byte strings are equal but for the case of ASCII letters.
///
/// Equal bytes, the usual case, cost one comparison of memory.
#[inline]
pub fn eq_ignore_case(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (a == b || differs_in_case(a, b))
}

#[cold]
fn differs_in_case(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The offset of the first byte that equals `byte`.
#[allow(clippy::arithmetic_side_effects)] // Offsets within a slice.
#[inline]
pub fn find_byte(bytes: &[u8], byte: u8) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let other = u64::from_le_bytes(*word) ^ (ONES * byte as u64);
        let hits = other.wrapping_sub(ONES) & !other & (ONES * 0x80);
        if hits != 0 {
            return Some(at + (hits.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    rest.iter().position(|&b| b == byte).map(|found| at + found)
}

/// What stands before and after the first `mark` of `text`, an ASCII character.
///
/// In place of `str::split_once`, whose search the compiler cannot see to be free of panics.
#[inline]
pub fn cut(text: &str, mark: u8) -> Option<(&str, &str)> {
    let (before, from) = text.split_at_checked(find_byte(text.as_bytes(), mark)?)?;
    Some((before, from.get(1..)?))
}

/// What stands before and after the first `mark` of `text`, some ASCII characters.
///
/// Meant for short marks: looks at `mark` once for each of its first characters in `text`.
pub fn cut_through<'b>(text: &'b str, mark: &str) -> Option<(&'b str, &'b str)> {
    let &first = mark.as_bytes().first()?;
    let mut rest = text;
    loop {
        let at = find_byte(rest.as_bytes(), first)?;
        rest = rest.get(at..)?;
        if let Some(after) = rest.strip_prefix(mark) {
            let before = text.len().wrapping_sub(rest.len());
            return Some((text.get(..before)?, after));
        }
        rest = rest.get(1..)?;
    }
}

/// The pieces of `text` between each `mark`, an ASCII character: one more than there are marks.
#[inline]
pub fn pieces(text: &str, mark: u8) -> Pieces<'_> {
    Pieces {
        rest: Some(text),
        mark,
    }
}

/// Iterator of [`pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'b> {
    rest: Option<&'b str>,
    mark: u8,
}

impl<'b> Iterator for Pieces<'b> {
    type Item = &'b str;

    #[inline]
    fn next(&mut self) -> Option<&'b str> {
        let text = self.rest?;
        let (piece, rest) = match cut(text, self.mark) {
            Some((piece, rest)) => (piece, Some(rest)),
            None => (text, None),
        };
        self.rest = rest;
        Some(piece)
    }
}

/// A number of digits only, without sign, white space or list.
///
/// # Errors
/// `HeaderValue` if there is no digit or something else, `Number` above 4,294,967,295.
pub fn parse_u32(bytes: &[u8]) -> Result<u32, ParseError> {
    let number = parse_u64(bytes)?;
    u32::try_from(number).map_err(|_| ParseError::new(ParseErrorKind::Number, 0))
}

/// A number of digits only, without sign, white space or list. Leading zeros are taken.
///
/// # Errors
/// `HeaderValue` if there is no digit or something else, `Number` if it does not fit.
pub fn parse_u64(bytes: &[u8]) -> Result<u64, ParseError> {
    let digit = |byte: &u8| match byte.wrapping_sub(b'0') {
        digit @ ..=9 => Ok(u64::from(digit)),
        _ => {
            let at = Class::DIGIT.run(bytes);
            Err(ParseError::new(ParseErrorKind::HeaderValue, at))
        }
    };
    // As many digits as always fit, and more.
    let (some, more) = split_at(bytes, 19);
    let mut sum = 0u64;
    for byte in some {
        sum = sum.wrapping_mul(10).wrapping_add(digit(byte)?);
    }
    let mut sum = (!bytes.is_empty())
        .then_some(sum)
        .ok_or(ParseError::new(ParseErrorKind::HeaderValue, 0));
    for byte in more {
        let digit = digit(byte)?;
        sum = sum.and_then(|sum| {
            let more = sum.checked_mul(10).and_then(|sum| sum.checked_add(digit));
            more.ok_or(ParseError::new(ParseErrorKind::Number, 0))
        });
    }
    sum
}

/// The value of a hexadecimal digit in either case.
#[inline]
pub const fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a' - 10)),
        b'A'..=b'F' => Some(byte.wrapping_sub(b'A' - 10)),
        _ => None,
    }
}

/// The bytes of a URI part with its `%HH` escapes resolved, once (RFC 3261 §19.1.2).
///
/// A `%` that is not followed by two hexadecimal digits stands for itself.
pub fn unescape(bytes: &[u8]) -> Unescaped<'_> {
    Unescaped { rest: bytes }
}

/// Iterator of [`unescape`].
#[derive(Clone, Debug)]
pub struct Unescaped<'b> {
    rest: &'b [u8],
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.rest
            && let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low))
        {
            self.rest = rest;
            return Some((high << 4) | low);
        }
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
}

/// The start of `bytes` that is of `class` or well-formed `%HH` escapes, and the rest.
///
/// `class` is one of a URI, without `%`.
pub fn split_escaped(bytes: &[u8], class: Class) -> (&[u8], &[u8]) {
    let mut rest = bytes;
    loop {
        rest = class.split(rest).1;
        match rest {
            [b'%', high, low, tail @ ..] if Class::HEX.has(*high) && Class::HEX.has(*low) => {
                rest = tail;
            }
            _ => return (before(bytes, rest), rest),
        }
    }
}

/// Splits a quoted string at the start of `bytes` off: with its quotes, and the rest.
///
/// `None` if there is none, if it is never closed, or if it holds a control character that is not
/// escaped, a lone `\` at its end, or an escaped CR or LF (RFC 3261 §25.1).
pub fn split_quoted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        rest = split_at(rest, Class::QDTEXT.run(rest)).1;
        match rest {
            [b'"', tail @ ..] => {
                return Some((before(bytes, tail), tail));
            }
            // quoted-pair = "\" (%x00-09 / %x0B-0C / %x0E-7F)
            [b'\\', escaped, tail @ ..]
                if escaped.is_ascii() && !matches!(escaped, b'\r' | b'\n') =>
            {
                rest = tail;
            }
            _ => return None,
        }
    }
}

/// The inside of a quoted string, escapes left in; `None` if `bytes` are not exactly one.
pub fn strip_quotes(bytes: &[u8]) -> Option<&[u8]> {
    match split_quoted(bytes)? {
        ([b'"', inside @ .., b'"'], []) => Some(inside),
        _ => None,
    }
}

/// The bytes a value stands for: a quoted string without quotes and escapes, else as it is.
pub fn unquote(bytes: &[u8]) -> Unquoted<'_> {
    strip_quotes(bytes).map_or(
        Unquoted {
            rest: bytes,
            quoted: false,
        },
        |rest| Unquoted { rest, quoted: true },
    )
}

/// Iterator of [`unquote`].
#[derive(Clone, Debug)]
pub struct Unquoted<'b> {
    rest: &'b [u8],
    quoted: bool,
}

impl Iterator for Unquoted<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = match self.rest {
            [b'\\', escaped, rest @ ..] if self.quoted => (escaped, rest),
            bytes => bytes.split_first()?,
        };
        self.rest = rest;
        Some(*byte)
    }
}

/// The elements of a comma list, each trimmed (RFC 3261 §7.3.1).
///
/// Commas in quoted strings and between `<` and `>` do not split. An empty value has no elements;
/// an empty element between two commas is given as an empty slice, for its reader to refuse.
///
/// ```
/// use oma_im::wire::scan::split_commas;
///
/// let mut list = split_commas(br#""Lee, Bo" <sip:bo@a.example>, <sip:c@d.example;x=1,2>"#);
/// assert_eq!(list.next(), Some(&br#""Lee, Bo" <sip:bo@a.example>"#[..]));
/// assert_eq!(list.next(), Some(&b"<sip:c@d.example;x=1,2>"[..]));
/// assert_eq!(list.next(), None);
/// ```
pub fn split_commas(value: &[u8]) -> Commas<'_> {
    let value = trim_lws(value);
    Commas {
        rest: (!value.is_empty()).then_some(value),
    }
}

/// Iterator of [`split_commas`].
#[derive(Clone, Debug)]
pub struct Commas<'b> {
    rest: Option<&'b [u8]>,
}

impl<'b> Iterator for Commas<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let list = self.rest?;
        // Most lists have one element, and most of these no comma at all.
        let comma = find_byte(list, b',').and_then(|_| find_outside(list, b','));
        let (element, rest) = match comma {
            Some(at) => {
                let (element, rest) = split_at(list, at);
                (element, rest.get(1..))
            }
            None => {
                // Trimmed on both sides: at the start as a whole, or behind its comma below.
                self.rest = None;
                return Some(list);
            }
        };
        self.rest = rest.map(trim_start);
        Some(trim_end(element))
    }
}

/// What `split` made of all of `value`.
///
/// # Errors
/// Those of `split`; `HeaderValue` at what it left over.
#[inline]
pub(crate) fn whole<'b, T>(
    value: &'b [u8],
    split: impl FnOnce(&'b [u8]) -> Result<(T, &'b [u8]), ParseError>,
) -> Result<T, ParseError> {
    match split(value)? {
        (read, []) => Ok(read),
        (_, rest) => Err(ParseError::new(
            ParseErrorKind::HeaderValue,
            offset_in(value, rest),
        )),
    }
}

/// Where `byte` stands first outside quoted strings and `<…>`.
///
/// `byte` is one of [`Class::MARK`]; `<` is found as well. What an unclosed quote or `<` begins
/// reaches to the end.
pub fn find_outside(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut rest = bytes;
    loop {
        rest = rest.get(rest.iter().position(|&b| Class::MARK.has(b))?..)?;
        let (&mark, tail) = rest.split_first()?;
        if mark == byte {
            return Some(bytes.len().wrapping_sub(rest.len()));
        }
        rest = match mark {
            b'"' => after_quote(tail)?,
            b'<' => tail.get(tail.iter().position(|&b| b == b'>')?..)?,
            _ => tail,
        };
    }
}

/// What follows the closing quote, for `bytes` that begin after the opening one.
fn after_quote(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        match bytes.get(bytes.iter().position(|&b| b == b'"' || b == b'\\')?..)? {
            [b'"', rest @ ..] => return Some(rest),
            [_, _, rest @ ..] => bytes = rest,
            _ => return None,
        }
    }
}

/// The parameters after a header value: `*( SEMI name [ EQUAL value ] )` (RFC 3261 §25.1).
///
/// Checked when made, so that walking them cannot fail. Names compare without case.
///
/// ```
/// use oma_im::wire::scan::Params;
///
/// let params = Params::parse(br#";tag=49583 ; +sip.instance = "<urn:uuid:0>";ob"#)?;
/// assert_eq!(params.value(b"TAG"), Some(&b"49583"[..]));
/// assert_eq!(params.value(b"+sip.instance"), Some(&br#""<urn:uuid:0>""#[..]));
/// assert!(params.get(b"ob").is_some_and(|ob| ob.value.is_none()));
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'b> {
    rest: &'b [u8],
}

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'b> {
    /// Its name, a token.
    pub name: &'b [u8],
    /// Its value: a token, a host or a quoted string with its quotes. `None`: no `=`.
    pub value: Option<&'b [u8]>,
}

impl<'b> Param<'b> {
    /// The bytes the value stands for, without quotes and their escapes; nothing if there is none.
    pub fn unquoted(&self) -> Unquoted<'b> {
        unquote(self.value.unwrap_or_default())
    }
}

impl<'b> Params<'b> {
    /// Takes what follows a header value, from its first `;` on (or nothing, or white space).
    ///
    /// # Errors
    /// `HeaderValue` at the first byte that is against the grammar: an empty parameter, a name
    /// that is no token, a value that is neither token nor host nor quoted string.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, ParseError> {
        whole(trim_start(bytes), Self::split)
    }

    /// As [`parse`](Self::parse), up to the first byte that begins no parameter; and what follows.
    pub(crate) fn split(bytes: &'b [u8]) -> Result<(Self, &'b [u8]), ParseError> {
        let start = trim_start(bytes);
        let mut rest = start;
        while rest.first() == Some(&b';') {
            match read_param(rest) {
                Ok((_, tail)) => rest = tail,
                Err(left) => {
                    let at = start.len().wrapping_sub(left);
                    return Err(ParseError::new(ParseErrorKind::HeaderValue, at));
                }
            }
        }
        let params = Self {
            rest: trim_end(before(start, rest)),
        };
        Ok((params, rest))
    }

    /// The first parameter of this name.
    pub fn get(mut self, name: &[u8]) -> Option<Param<'b>> {
        self.find(|param| eq_ignore_case(param.name, name))
    }

    /// The value of the first parameter of this name, quotes kept; `None` if either is missing.
    pub fn value(self, name: &[u8]) -> Option<&'b [u8]> {
        self.get(name)?.value
    }

    /// Whether there is a parameter of this name.
    pub fn has(self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// The bytes of all parameters that have not been walked yet.
    pub const fn as_bytes(self) -> &'b [u8] {
        self.rest
    }
}

impl<'b> Iterator for Params<'b> {
    type Item = Param<'b>;

    fn next(&mut self) -> Option<Param<'b>> {
        let (param, rest) = split_param(self.rest).ok()?;
        self.rest = rest;
        Some(param)
    }
}

/// One parameter with its `;`, and what follows; or how many bytes were left at the fault.
pub(crate) fn split_param(bytes: &[u8]) -> Result<(Param<'_>, &[u8]), usize> {
    read_param(bytes)
}

#[inline(always)] // Also where a parameter is only passed over, and need not be put together.
fn read_param(bytes: &[u8]) -> Result<(Param<'_>, &[u8]), usize> {
    let [b';', rest @ ..] = bytes else {
        return Err(bytes.len());
    };
    let rest = trim_start(rest);
    let (name, rest) = Class::TOKEN.split(rest);
    if name.is_empty() {
        return Err(rest.len());
    }
    let rest = trim_start(rest);
    let [b'=', rest @ ..] = rest else {
        return Ok((Param { name, value: None }, rest));
    };
    let rest = trim_start(rest);
    let (value, rest) = if rest.first() == Some(&b'"') {
        split_quoted(rest).ok_or(rest.len())?
    } else {
        Class::PARAM_VALUE.split(rest)
    };
    if value.is_empty() {
        return Err(rest.len());
    }
    Ok((
        Param {
            name,
            value: Some(value),
        },
        trim_start(rest),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn classes_follow_the_grammar() {
        assert!(Class::TOKEN.fits(b"INVITE-.!%*_+`'~09azAZ"));
        for b in b"()<>@,;:\\\"/[]?={} \t\x00\x7f\x80" {
            assert!(!Class::TOKEN.has(*b), "{b}");
        }
        assert_eq!((0..=255).filter(|&b| Class::CONTROL.has(b)).count(), 33 - 3);
        let both = Class::HEX.or(Class::DIGIT).or(Class::HEX);
        assert!(both.has(b'f') && both.has(b'9') && !both.has(b'g'));
        assert!(!Class::QDTEXT.has(b'"') && !Class::QDTEXT.has(b'\\') && Class::QDTEXT.has(0xff));
    }

    // Eight bytes at a time or one: at every place of every length the same byte is found.
    #[test]
    fn bytes_and_controls_are_found_where_they_stand() {
        for length in 0..26 {
            for place in 0..=length {
                for byte in 0..=255 {
                    let mut bytes = std::vec![b'a'; length];
                    if let Some(there) = bytes.get_mut(place) {
                        *there = byte;
                    }
                    let control = bytes.iter().position(u8::is_ascii_control);
                    assert_eq!(find_control(&bytes), control, "{bytes:?}");
                    let found = bytes.iter().position(|&b| b == byte);
                    assert_eq!(find_byte(&bytes, byte), found, "{byte} in {bytes:?}");
                    // Two of them: the first counts.
                    bytes.push(byte);
                    let found = bytes.iter().position(|&b| b == byte);
                    assert_eq!(find_byte(&bytes, byte), found, "{byte} in {bytes:?}");
                }
            }
        }
        // Neighbours of what is looked for, in one word.
        let word = b"\x80\xff\x20\x7e\xa0\x81 \x1f\x7f\x00";
        assert_eq!(find_control(word), Some(7));
        assert_eq!(find_byte(b"bcbcbcba", b'a'), Some(7));
        for (text, run) in [("", 0), ("12a", 2), ("123a", 3), ("1234a", 4), ("12345", 5)] {
            assert_eq!(Class::DIGIT.run(text.as_bytes()), run, "{text}");
        }
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(parse_u32(b"4294967295"), Ok(u32::MAX));
        assert_eq!(parse_u32(b"0000000000000000000000009"), Ok(9));
        for (text, kind) in [
            (&b"4294967296"[..], ParseErrorKind::Number),
            (b"18446744073709551616", ParseErrorKind::Number),
            (b"", ParseErrorKind::HeaderValue),
            (b"-1", ParseErrorKind::HeaderValue),
            (b"+1", ParseErrorKind::HeaderValue),
            (b"1,1", ParseErrorKind::HeaderValue),
        ] {
            assert_eq!(parse_u32(text).map_err(|e| e.kind), Err(kind), "{text:?}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn quoted_strings_end_where_they_must() {
        assert_eq!(
            split_quoted(br#""a\"b" c"#),
            Some((&br#""a\"b""#[..], &b" c"[..]))
        );
        assert_eq!(
            split_quoted(b"\"\\\x00\""),
            Some((&b"\"\\\x00\""[..], &b""[..]))
        );
        for bad in [&b"\""[..], br#""\""#, b"\"a\x00\"", b"\"\\\r\"", b"a", b""] {
            assert_eq!(split_quoted(bad), None, "{bad:?}");
        }
        assert!(unquote(br#""a\"\\b""#).eq(*br#"a"\b"#));
        assert!(unquote(br"a\b").eq(*br"a\b"));
    }

    #[test]
    fn commas_split_only_outside() {
        let split = |v: &'static [u8]| split_commas(v).collect::<Vec<_>>();
        assert_eq!(split(b"a, b\r\n ,c"), [b"a", b"b", b"c"]);
        assert_eq!(split(b"a,,"), [&b"a"[..], b"", b""]);
        assert_eq!(split(b" "), [b""; 0]);
        assert_eq!(split(br#""\",", "x"#), [&br#""\",""#[..], br#""x"#]);
        assert_eq!(split(b"<a,b"), [b"<a,b"]);
    }

    #[test]
    fn params_are_checked_once() {
        let all = Params::parse(b"; a = b ;c;d=[::1]:5;e=\"x;y\"\r\n ;f").unwrap();
        let pairs: Vec<_> = all.map(|p| (p.name, p.value)).collect();
        assert_eq!(
            pairs,
            [
                (&b"a"[..], Some(&b"b"[..])),
                (b"c", None),
                (b"d", Some(b"[::1]:5")),
                (b"e", Some(b"\"x;y\"")),
                (b"f", None)
            ]
        );
        for (bad, at) in [
            (&b";"[..], 1),
            (b";;a", 1),
            (b";a=", 3),
            (b";a=\"", 3),
            (b"a", 0),
            (b";a b", 3),
            (b";a=b@c", 4),
        ] {
            assert_eq!(
                Params::parse(bad).map(|_| ()).unwrap_err().offset(),
                at,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn text_is_cut_at_marks() {
        assert_eq!(cut("a:b:c", b':'), Some(("a", "b:c")));
        assert_eq!(cut("é0123456789:", b':'), Some(("é0123456789", "")));
        assert_eq!((cut("ab", b':'), cut("", b':')), (None, None));
        assert_eq!(cut_through("a]]]>b]]>", "]]>"), Some(("a]", "b]]>")));
        assert_eq!(cut_through("é-é--", "--"), Some(("é-é", "")));
        assert_eq!(
            (cut_through("a-", "--"), cut_through("", "--")),
            (None, None)
        );
        assert!(pieces(",a,,bc", b',').eq(["", "a", "", "bc"]));
        assert!(pieces("", b',').eq([""]));
    }

    #[test]
    fn escapes_are_resolved_once() {
        assert!(unescape(b"a%25%00%4").eq(*b"a%\x00%4"));
        for (fits, rest) in [
            (&b"a%41-"[..], &b""[..]),
            (b"", b""),
            (b"a", b"%4"),
            (b"%20", b" b"),
        ] {
            let whole = [fits, rest].concat();
            assert_eq!(split_escaped(&whole, Class::USER), (fits, rest));
        }
        for bad in [&b"a%4"[..], b"a b", b"a%4g", b"a%g4", b"%"] {
            assert_ne!(split_escaped(bad, Class::USER), (bad, &b""[..]), "{bad:?}");
        }
        assert!(unescape(b"%4g%g4").eq(*b"%4g%g4"));
    }
}

//! Bytes that were checked: what an application says, fit to stand in a header field.
//!
//! Each type is one production of RFC 3261 §25.1 and can only be made of bytes that follow it.

use super::super::scan::{Class, controls, split_escaped};
use super::super::sink::Sink;
use super::{Value, sealed::Sealed};
use core::fmt;

/// Why text was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TextError {
    /// It is empty where something has to be.
    Empty,
    /// A byte that may not stand here: where, in bytes from the start.
    Forbidden {
        /// Offset of the byte.
        offset: usize,
    },
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the text is empty"),
            Self::Forbidden { offset } => write!(f, "the byte at {offset} is not allowed here"),
        }
    }
}

impl core::error::Error for TextError {}

/// Free text: any UTF-8 without control characters other than HT (RFC 3261 §25.1, TEXT-UTF8).
///
/// As a whole header value it is not looked into: that it follows the grammar of its header is the
/// work of who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Checks `text`; empty text is fine.
    ///
    /// # Errors
    /// `Forbidden` at the first control character.
    pub const fn new(text: &'a str) -> Result<Self, TextError> {
        match control(text.as_bytes()) {
            Some(offset) => Err(TextError::Forbidden { offset }),
            None => Ok(Self(text)),
        }
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl Text<'static> {
    /// Text that stands in this source; made in a `const`, what is none does not compile.
    pub(crate) const fn fixed(text: &'static str) -> Self {
        assert!(control(text.as_bytes()).is_none(), "a control character");
        Self(text)
    }
}

impl Quoted<'static> {
    /// Text that stands in this source; made in a `const`, what is none does not compile.
    pub(crate) const fn fixed(text: &'static str) -> Self {
        Self(Text::fixed(text).0)
    }
}

impl UriText<'static> {
    /// A URI that stands in this source.
    pub(crate) const fn fixed(uri: &'static str) -> Self {
        assert!(control(uri.as_bytes()).is_none(), "a control character");
        Self(uri.as_bytes())
    }
}

/// A `token` (RFC 3261 §25.1): one or more letters, digits and ``-.!%*_+`'~``.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token<'a>(&'a [u8]);

impl<'a> Token<'a> {
    /// Checks `token`.
    ///
    /// # Errors
    /// `Empty`, or `Forbidden` at the first byte of another class.
    pub fn new<T: AsRef<[u8]> + ?Sized>(token: &'a T) -> Result<Self, TextError> {
        of_class(token.as_ref(), Class::TOKEN).map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Characters of our own random alphabet.
    pub(crate) const fn random(token: &'a [u8]) -> Self {
        Self(token)
    }

    /// A token that stands in this source; made in a `const`, what is none does not compile.
    pub(crate) const fn fixed(token: &'static str) -> Token<'static> {
        let mut rest = token.as_bytes();
        assert!(!rest.is_empty(), "a token is not empty");
        while let [first, tail @ ..] = rest {
            assert!(Class::TOKEN.has(*first), "a byte that is not of a token");
            rest = tail;
        }
        Token(token.as_bytes())
    }
}

/// A `quoted-string` (RFC 3261 §25.1), given without quotes and escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quoted<'a>(&'a str);

impl<'a> Quoted<'a> {
    /// Checks the text between the quotes; empty text is fine. `"` and `\` are escaped when written.
    ///
    /// # Errors
    /// `Forbidden` at the first control character other than HT, which no escape makes better.
    pub const fn new(text: &'a str) -> Result<Self, TextError> {
        match Text::new(text) {
            Ok(text) => Ok(Self(text.0)),
            Err(error) => Err(error),
        }
    }

    /// The text without quotes and escapes.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// The bytes of a URI with its scheme, fit for a request line and to stand between `<` and `>`.
///
/// `scheme ":" 1*uric` (RFC 3261 §25.1, absoluteURI), with `[` and `]` for addresses. What the
/// scheme asks for beyond that is the work of [`crate::wire::uri`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UriText<'a>(&'a [u8]);

impl<'a> UriText<'a> {
    /// Checks `uri`.
    ///
    /// # Errors
    /// `Empty`, or `Forbidden` at a byte that no URI has, an escape without two hexadecimal
    /// digits, a scheme that is missing, or the end if nothing follows the scheme.
    pub fn new<T: AsRef<[u8]> + ?Sized>(uri: &'a T) -> Result<Self, TextError> {
        let uri = uri.as_ref();
        let colon = uri.iter().position(|&b| b == b':').unwrap_or(uri.len());
        let (scheme, rest) = uri.split_at_checked(colon).unwrap_or_default();
        // scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
        let in_scheme = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let wrong = match scheme {
            [] if rest.is_empty() => return Err(TextError::Empty),
            [first, ..] if first.is_ascii_alphabetic() => {
                scheme.iter().position(|&b| !in_scheme(b))
            }
            _ => Some(0),
        };
        if let Some(offset) = wrong {
            return Err(TextError::Forbidden { offset });
        }
        match rest {
            [_, part @ ..] if !part.is_empty() => {
                let base = colon.saturating_add(1);
                wrong_in_uri(part).map_or(Ok(Self(uri)), |at| {
                    Err(TextError::Forbidden {
                        offset: base.saturating_add(at),
                    })
                })
            }
            _ => Err(TextError::Forbidden { offset: uri.len() }),
        }
    }

    /// The bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// A `callid`: `word [ "@" word ]` (RFC 3261 §25.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId<'a>(&'a [u8]);

impl<'a> CallId<'a> {
    /// Checks `id`.
    ///
    /// # Errors
    /// `Empty`, or `Forbidden` at the first byte that is wrong there.
    pub fn new<T: AsRef<[u8]> + ?Sized>(id: &'a T) -> Result<Self, TextError> {
        let id = id.as_ref();
        let wrong = match Class::WORD.split(id) {
            ([], []) => return Err(TextError::Empty),
            ([], _) => Some(0),
            (_, []) => None,
            (word, [b'@', host @ ..]) => {
                let run = Class::WORD.run(host);
                (run == 0 || run < host.len())
                    .then(|| word.len().saturating_add(1).saturating_add(run))
            }
            (word, _) => Some(word.len()),
        };
        wrong.map_or(Ok(Self(id)), |offset| Err(TextError::Forbidden { offset }))
    }

    /// The bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// A host name (or an IPv4 address as text): letters, digits, `-`, `.` and `_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostName<'a>(&'a [u8]);

impl<'a> HostName<'a> {
    /// Checks `name`.
    ///
    /// # Errors
    /// `Empty`, or `Forbidden` at the first byte of another class.
    pub fn new<T: AsRef<[u8]> + ?Sized>(name: &'a T) -> Result<Self, TextError> {
        of_class(name.as_ref(), Class::HOST).map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The value of P-Access-Network-Info, as the platform gives it (RFC 7315 §4.4, §5.4).
///
/// What it says is the platform's business; that it stays one header value is checked.
///
/// ```
/// use oma_im::wire::writer::{AccessNetworkInfo, TextError};
///
/// assert!(AccessNetworkInfo::new("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010001a2b").is_ok());
/// assert_eq!(AccessNetworkInfo::new("x\r\nVia: y"), Err(TextError::Forbidden { offset: 1 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccessNetworkInfo<'a>(&'a str);

impl<'a> AccessNetworkInfo<'a> {
    /// Checks `value`.
    ///
    /// # Errors
    /// `Empty`, of white space alone too; `Forbidden` at the first byte that is not of UTF-8, or the first control
    /// character other than HT.
    pub fn new<T: AsRef<[u8]> + ?Sized>(value: &'a T) -> Result<Self, TextError> {
        let value = core::str::from_utf8(value.as_ref()).map_err(|error| TextError::Forbidden {
            offset: error.valid_up_to(),
        })?;
        if value.trim_ascii().is_empty() {
            return Err(TextError::Empty);
        }
        Text::new(value).map(|text| Self(text.0))
    }

    /// The value.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

macro_rules! put_as_is {
    ($($type:ident)*) => {$(
        impl Sealed for $type<'_> {}
        impl Value for $type<'_> {
            #[inline]
            fn write(&self, sink: &mut Sink<'_>) {
                sink.put(self.0.as_ref());
            }
        }
    )*};
}

put_as_is! { Text Token UriText CallId HostName AccessNetworkInfo }

impl Sealed for Quoted<'_> {}
impl Value for Quoted<'_> {
    fn write(&self, sink: &mut Sink<'_>) {
        sink.put_byte(b'"');
        // Each piece but the first begins with a byte that needs an escape.
        let mut rest = self.0.as_bytes();
        while let Some(at) = rest.iter().position(|b| matches!(b, b'"' | b'\\')) {
            let (plain, tail) = rest.split_at_checked(at).unwrap_or_default();
            let (special, tail) = tail.split_at_checked(1).unwrap_or_default();
            sink.put(plain);
            sink.put_byte(b'\\');
            sink.put(special);
            rest = tail;
        }
        sink.put(rest);
        sink.put_byte(b'"');
    }
}

/// Where the first control character other than HT stands.
const fn control(bytes: &[u8]) -> Option<usize> {
    // Eight bytes without any control character are passed over at once.
    let (words, mut rest) = bytes.as_chunks::<8>();
    let mut quiet = words;
    while let [word, tail @ ..] = quiet {
        if controls(u64::from_le_bytes(*word)) != 0 {
            let passed = words.len().saturating_sub(quiet.len()).saturating_mul(8);
            if let Some((_, tail)) = bytes.split_at_checked(passed) {
                rest = tail;
            }
            break;
        }
        quiet = tail;
    }
    while let [first, tail @ ..] = rest {
        if first.is_ascii_control() && *first != b'\t' {
            return Some(bytes.len().saturating_sub(rest.len()));
        }
        rest = tail;
    }
    None
}

fn of_class(bytes: &[u8], class: Class) -> Result<&[u8], TextError> {
    match class.run(bytes) {
        _ if bytes.is_empty() => Err(TextError::Empty),
        run if run < bytes.len() => Err(TextError::Forbidden { offset: run }),
        _ => Ok(bytes),
    }
}

/// Where the first byte stands that is neither of a URI nor an escape.
fn wrong_in_uri(bytes: &[u8]) -> Option<usize> {
    let (_, rest) = split_escaped(bytes, Class::URIC.or(Class::URI_PARAM));
    (!rest.is_empty()).then(|| bytes.len().wrapping_sub(rest.len()))
}

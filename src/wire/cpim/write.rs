//! CPIM objects, written.

use super::text::{HeaderText, InQuotes};
use super::{IMDN_NAMESPACE, Notifications, is_name_char};
use crate::wire::datetime;
use crate::wire::sink::Sink;
use crate::wire::writer::{Token, UriText, Value};

/// An address to be written: a name for people, escaped as needed, and a URI.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// The name; any text, `"Alice".into()`.
    pub name: Option<HeaderText<'a>>,
    /// The URI.
    pub uri: UriText<'a>,
}

impl<'a> Party<'a> {
    /// A URI without a name.
    pub const fn new(uri: UriText<'a>) -> Self {
        Self { name: None, uri }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(self, name: impl Into<HeaderText<'a>>) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }

    /// `[ Formal-name ] "<" URI ">"` (RFC 3862 §3.6).
    fn put(&self, sink: &mut Sink<'_>) {
        if let Some(name) = self.name.filter(|name| name.chars().next().is_some()) {
            if is_tokens(&name) {
                name.put(sink, InQuotes::No);
            } else {
                sink.put_byte(b'"');
                name.put(sink, InQuotes::Yes);
                sink.put_byte(b'"');
            }
            sink.put_byte(b' ');
        }
        sink.put_byte(b'<');
        self.uri.write(sink);
        sink.put_byte(b'>');
    }
}

/// Formal-name = 1*( Token SP ): words of token characters, one space between them.
fn is_tokens(name: &HeaderText<'_>) -> bool {
    let mut at_word = true;
    for c in name.chars() {
        let token = !c.is_ascii() || c == '.' || u8::try_from(c).is_ok_and(is_name_char);
        if !token && (c != ' ' || at_word) {
            return false;
        }
        at_word = !token;
    }
    !at_word
}

/// Writes a CPIM object into a [`Sink`], field by field in the order of the calls.
///
/// The `NS` header of RFC 5438 is put before the first field that needs it.
///
/// ```
/// use oma_im::wire::cpim::{CpimWriter, Notifications, Party};
/// use oma_im::wire::sink::Sink;
/// use oma_im::wire::writer::{Text, TextError, Token, UriText};
///
/// fn write(sink: &mut Sink<'_>) -> Result<(), TextError> {
///     let alice = Party::new(UriText::new("sip:alice@example.com")?).named("Alice");
///     let mut cpim = CpimWriter::new(sink, alice);
///     cpim.to(Party::new(UriText::new("sip:bob@example.com")?));
///     cpim.message_id(Token::new("34jk324j")?);
///     cpim.notifications(Notifications::DISPLAY);
///     cpim.content(Text::new("text/plain")?).body(b"Hello");
///     Ok(())
/// }
///
/// let mut out = [0; 256];
/// let mut sink = Sink::new(&mut out);
/// write(&mut sink)?;
/// assert_eq!(
///     sink.written(),
///     Some(&b"From: Alice <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\
///         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 34jk324j\r\n\
///         imdn.Disposition-Notification: display\r\n\r\n\
///         Content-type: text/plain\r\nContent-length: 5\r\n\r\nHello"[..])
/// );
/// # Ok::<(), TextError>(())
/// ```
#[derive(Debug)]
#[must_use = "an envelope without content is no CPIM object"]
pub struct CpimWriter<'s, 'o> {
    sink: &'s mut Sink<'o>,
    declared: bool,
}

impl<'s, 'o> CpimWriter<'s, 'o> {
    /// Begins with From.
    pub fn new(sink: &'s mut Sink<'o>, from: Party<'_>) -> Self {
        let mut this = Self {
            sink,
            declared: false,
        };
        this.address(b"From: ", from);
        this
    }

    /// Adds a recipient.
    pub fn to(&mut self, to: Party<'_>) {
        self.address(b"To: ", to);
    }

    /// Adds a recipient of a copy.
    pub fn cc(&mut self, cc: Party<'_>) {
        self.address(b"cc: ", cc);
    }

    /// Says when the message is sent: milliseconds since 1970.
    pub fn datetime(&mut self, unix_millis: u64) {
        self.sink.put(b"DateTime: ");
        datetime::put(self.sink, unix_millis);
        self.sink.put(b"\r\n");
    }

    /// Adds a subject, with the language it is in if that is known (RFC 3862 §3.3).
    pub fn subject<'t>(&mut self, language: Option<Token<'_>>, text: impl Into<HeaderText<'t>>) {
        self.sink.put(b"Subject:");
        if let Some(language) = language {
            self.sink.put(b";lang=");
            language.write(self.sink);
        }
        self.sink.put_byte(b' ');
        text.into().put(self.sink, InQuotes::No);
        self.sink.put(b"\r\n");
    }

    /// Gives the message its id for reports (RFC 5438 §6.3).
    pub fn message_id(&mut self, id: Token<'_>) {
        self.imdn(b"Message-ID");
        id.write(self.sink);
        self.sink.put(b"\r\n");
    }

    /// Asks for reports (RFC 5438 §6.2); nothing is put if none are asked for.
    pub fn notifications(&mut self, wanted: Notifications) {
        if wanted.is_empty() {
            return;
        }
        self.imdn(b"Disposition-Notification");
        for (i, name) in wanted.names().enumerate() {
            if i > 0 {
                self.sink.put(b", ");
            }
            self.sink.put(name.as_bytes());
        }
        self.sink.put(b"\r\n");
    }

    /// Adds a server that this report goes through (RFC 5438 §6.6), topmost first.
    pub fn imdn_route(&mut self, server: Party<'_>) {
        self.imdn(b"IMDN-Route");
        server.put(self.sink);
        self.sink.put(b"\r\n");
    }

    /// Ends the envelope and begins its content, which is of type `media`.
    pub fn content(self, media: impl Value) -> ContentWriter<'s, 'o> {
        self.sink.put(b"\r\nContent-type: ");
        media.write(self.sink);
        self.sink.put(b"\r\n");
        ContentWriter { sink: self.sink }
    }

    fn imdn(&mut self, name: &[u8]) {
        if !self.declared {
            self.declared = true;
            self.sink.put(b"NS: imdn <");
            self.sink.put(IMDN_NAMESPACE.as_bytes());
            self.sink.put(b">\r\n");
        }
        self.sink.put(b"imdn.");
        self.sink.put(name);
        self.sink.put(b": ");
    }

    fn address(&mut self, name: &[u8], party: Party<'_>) {
        self.sink.put(name);
        party.put(self.sink);
        self.sink.put(b"\r\n");
    }
}

/// Writes the content of a CPIM object; begun by [`CpimWriter::content`].
#[derive(Debug)]
#[must_use = "a CPIM object has a body"]
pub struct ContentWriter<'s, 'o> {
    sink: &'s mut Sink<'o>,
}

impl ContentWriter<'_, '_> {
    /// Adds Content-Disposition.
    pub fn disposition(self, disposition: Token<'_>) -> Self {
        self.sink.put(b"Content-Disposition: ");
        disposition.write(self.sink);
        self.sink.put(b"\r\n");
        self
    }

    /// Ends the object with a body that is there already.
    pub fn body(self, body: &[u8]) {
        self.body_with(|sink| sink.put(body));
    }

    /// Ends the object with a body that `write` puts in its place; see [`Sink::put_counted`].
    pub fn body_with(self, write: impl FnOnce(&mut Sink<'_>)) {
        self.sink.put(b"Content-length: ");
        self.sink.put_counted(b"\r\n\r\n", |sink| write(sink));
    }
}

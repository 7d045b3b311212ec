//! Text into a document, so that it stays text.

use super::text::is_char;
use crate::wire::sink::Sink;

/// Puts `text` as character data: whatever it holds, it reads back as that text.
///
/// Characters that XML 1.0 cannot carry (§2.2: most controls) become U+FFFD.
///
/// ```
/// # use oma_im::wire::{sink::Sink, xml};
/// let mut out = [0; 64];
/// let mut sink = Sink::new(&mut out);
/// xml::put_text(&mut sink, "</a>&\r");
/// assert_eq!(sink.written(), Some(&b"&lt;/a&gt;&amp;&#13;"[..]));
/// ```
pub fn put_text(sink: &mut Sink<'_>, text: &str) {
    put_escaped(sink, text, |c| match c {
        // A carriage return would be read as a line feed, §2.11.
        '\r' => Some("&#13;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '&' => Some("&amp;"),
        _ => None,
    });
}

/// Puts `text` as the inside of an attribute value, in quotes of either kind.
pub fn put_attribute(sink: &mut Sink<'_>, text: &str) {
    put_escaped(sink, text, |c| match c {
        // White space would be read as a space, §3.3.3.
        '\r' => Some("&#13;"),
        '\n' => Some("&#10;"),
        '\t' => Some("&#9;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '&' => Some("&amp;"),
        '"' => Some("&quot;"),
        '\'' => Some("&apos;"),
        _ => None,
    });
}

/// Puts `<name>text</name>`, the text escaped. `name` is one of the program's own.
pub fn put_element(sink: &mut Sink<'_>, name: &'static str, text: &str) {
    sink.put(b"<");
    sink.put(name.as_bytes());
    sink.put(b">");
    put_text(sink, text);
    sink.put(b"</");
    sink.put(name.as_bytes());
    sink.put(b">");
}

fn put_escaped(sink: &mut Sink<'_>, text: &str, escape: impl Fn(char) -> Option<&'static str>) {
    let mut rest = text;
    loop {
        // The first other byte is the first of its character.
        let at = rest.bytes().position(|b| !is_plain(b));
        let (plain, marked) = rest
            .split_at_checked(at.unwrap_or(rest.len()))
            .unwrap_or((rest, ""));
        sink.put(plain.as_bytes());
        let mut chars = marked.chars();
        let Some(c) = chars.next() else { return };
        match escape(c) {
            Some(mark) => sink.put(mark.as_bytes()),
            None if is_char(c) => sink.put(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => sink.put("\u{fffd}".as_bytes()),
        }
        rest = chars.as_str();
    }
}

/// What is never escaped, and nearly all that there is.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' ' | b'!' | b'#'..=b'%' | b'('..=b';' | b'=' | b'?'..=b'~')
}

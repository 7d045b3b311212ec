//! Where one message ends on a stream and the next begins.
//!
//! A stream carries SIP messages one after another, each as long as its Content-Length says
//! (RFC 3261 §18.3), and between them CR LF pairs that are keep-alives (RFC 5626 §4.4.1). A
//! [`Framer`] is the memory of one direction of one flow: a phase and how far it has looked. It
//! owns no bytes. The caller shows it all bytes not yet consumed, as often as more of them come,
//! and it says what stands at their start. It never looks at a byte of a head more than twice
//! and at a body not at all, so the work is linear however the bytes are cut.
//!
//! It judges framing only. A message whose framing is right and whose headers are wrong comes out
//! as a message, for [`Message::parse`](super::message::Message::parse) to refuse, and the flow
//! stays usable. Where the end of a message cannot be known, the flow is broken for good.

use super::error::{ParseError, ParseErrorKind};
use super::message::MAX_HEAD;
use super::name::Name;
use super::scan::{Class, find_control, parse_u64, trim_lws};

/// The sizes a [`Framer`] takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// Start line, header lines and the empty line; at most [`MAX_HEAD`] counts.
    pub max_headers: usize,
    /// Head and body together: what the caller's buffer can hold.
    pub max_message: usize,
}

/// What stands at the start of the bytes shown.
///
/// Where a length is named, the caller takes as many bytes from the front before it asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Frame {
    /// Not enough to say; ask again with more bytes behind these.
    NeedMore,
    /// A CR LF between messages: two bytes.
    KeepAlive {
        /// Half of a ping, or a pong.
        kind: KeepAlive,
        /// Bytes to take off: 2.
        consumed: usize,
    },
    /// A complete message.
    Message {
        /// Its length with its body.
        len: usize,
    },
    /// A message that does not fit the [`Limits`].
    TooLarge {
        /// Which of them. For `Body` the head is complete and the flow stays usable: after
        /// `len` bytes come [`Frame::Skip`]s. For `Headers` the flow is broken.
        what: TooLarge,
        /// The bytes to answer from, and to take off: the head, or the part of it that fits.
        len: usize,
    },
    /// Bytes of a body that did not fit: to be thrown away.
    Skip {
        /// How many.
        consumed: usize,
    },
    /// The end of this message cannot be known: answer if possible and close the flow.
    ///
    /// Given again whenever asked.
    Broken {
        /// Why.
        error: ParseError,
        /// The bytes to answer from; 0: none.
        head_len: usize,
    },
}

/// What a CR LF between messages is.
///
/// A ping is CR LF CR LF, a pong CR LF (RFC 5626 §4.4.1). The first of two can be a pong or the
/// first half of a ping, and the second may come much later; so the first is told at once as a
/// `Pong`, and the one that completes a pair as a `Ping`. Whoever supervises pongs takes the
/// first; whoever answers pings answers the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KeepAlive {
    /// A CR LF after a message or after a completed pair.
    Pong,
    /// The CR LF that completes a pair: a double CR LF was received.
    Ping,
}

/// Which size of a message goes beyond the [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TooLarge {
    /// The head: 513 (RFC 3261 §21.5.7).
    Headers,
    /// Head and body: 413 (RFC 3261 §21.4.11).
    Body,
}

/// The framing of one direction of one flow.
///
/// ```
/// use oma_im::wire::framer::{Frame, Framer, KeepAlive, Limits};
///
/// let mut framer = Framer::new(Limits { max_headers: 1000, max_message: 2000 });
/// let mut bytes = &b"\r\nMESSAGE sip:a@b SIP/2.0\r\nl: 2\r\n\r\nHi"[..];
/// assert_eq!(framer.next(bytes), Frame::KeepAlive { kind: KeepAlive::Pong, consumed: 2 });
/// bytes = &bytes[2..];
/// assert_eq!(framer.next(&bytes[..20]), Frame::NeedMore);
/// assert_eq!(framer.next(bytes), Frame::Message { len: 35 });
/// ```
#[derive(Clone, Debug)]
pub struct Framer {
    limits: Limits,
    phase: Phase,
    empty_lines: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Between messages.
    Between,
    /// In a head; `scanned` bytes of it hold no end.
    Head {
        scanned: usize,
    },
    /// The head is complete and the message is this long.
    Body {
        len: usize,
    },
    /// The rest of a body that did not fit.
    Skip {
        left: u64,
    },
    Broken {
        error: ParseError,
        head_len: usize,
    },
}

impl Framer {
    /// A framer at the start of a stream.
    pub const fn new(limits: Limits) -> Self {
        let max_headers = if limits.max_headers < MAX_HEAD {
            limits.max_headers
        } else {
            MAX_HEAD
        };
        let limits = Limits {
            max_headers,
            max_message: limits.max_message,
        };
        Self {
            limits,
            phase: Phase::Between,
            empty_lines: 0,
        }
    }

    /// What stands at the start of `bytes`: all that was received and not yet consumed.
    ///
    /// Every answer but `NeedMore` and `Broken` names bytes to take off the front; every later
    /// call shows at least as many bytes as the one before without them.
    pub fn next(&mut self, bytes: &[u8]) -> Frame {
        match self.phase {
            Phase::Between => self.between(bytes),
            Phase::Head { scanned } => self.head(bytes, scanned),
            Phase::Body { len } => self.body(bytes, len),
            Phase::Skip { left } => self.skip(bytes, left),
            Phase::Broken { error, head_len } => Frame::Broken {
                error,
                head_len: head_len.min(bytes.len()),
            },
        }
    }

    /// How many CR LF came since the last message: who sends nothing else can be cut off.
    pub const fn empty_lines(&self) -> u32 {
        self.empty_lines
    }

    /// Whether the next byte begins a message or a keep-alive.
    pub const fn is_between(&self) -> bool {
        matches!(self.phase, Phase::Between)
    }

    fn between(&mut self, bytes: &[u8]) -> Frame {
        match bytes {
            [] | [b'\r'] => Frame::NeedMore,
            [b'\r', b'\n', ..] => {
                let kind = if self.empty_lines.is_multiple_of(2) {
                    KeepAlive::Pong
                } else {
                    KeepAlive::Ping
                };
                // Saturating keeps the parity.
                self.empty_lines = self.empty_lines.checked_add(1).unwrap_or(u32::MAX - 1);
                Frame::KeepAlive { kind, consumed: 2 }
            }
            [b'\r' | b'\n', ..] => self.broken(ParseErrorKind::LineEnd, 0, 0),
            // Any message begins with a token: this is something else, as a TLS hello.
            [first, ..] if !Class::TOKEN.has(*first) => {
                self.broken(ParseErrorKind::StartLine, 0, 0)
            }
            _ => {
                self.empty_lines = 0;
                self.head(bytes, 0)
            }
        }
    }

    fn head(&mut self, bytes: &[u8], scanned: usize) -> Frame {
        let area = bytes.get(..self.limits.max_headers).unwrap_or(bytes);
        match find_end(area, scanned) {
            End::At(len) => self.framed(bytes, len),
            End::Bare(at) => self.broken(ParseErrorKind::LineEnd, at, 0),
            End::After(_) if bytes.len() >= self.limits.max_headers => {
                let error = ParseError::new(ParseErrorKind::HeadersTooLong, area.len());
                self.phase = Phase::Broken { error, head_len: 0 };
                Frame::TooLarge {
                    what: TooLarge::Headers,
                    len: area.len(),
                }
            }
            End::After(scanned) => {
                self.phase = Phase::Head { scanned };
                Frame::NeedMore
            }
        }
    }

    /// The head is complete.
    fn framed(&mut self, bytes: &[u8], head_len: usize) -> Frame {
        let head = bytes.get(..head_len).unwrap_or(bytes);
        let length = match content_length(head) {
            Ok(length) => length,
            Err(error) => return self.broken(error.kind, error.offset(), head_len),
        };
        let len = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(head_len));
        match len.filter(|&len| len <= self.limits.max_message) {
            Some(len) => self.body(bytes, len),
            None => {
                self.skip_from(length);
                Frame::TooLarge {
                    what: TooLarge::Body,
                    len: head_len,
                }
            }
        }
    }

    fn body(&mut self, bytes: &[u8], len: usize) -> Frame {
        if bytes.len() < len {
            self.phase = Phase::Body { len };
            return Frame::NeedMore;
        }
        self.phase = Phase::Between;
        Frame::Message { len }
    }

    fn skip(&mut self, bytes: &[u8], left: u64) -> Frame {
        if bytes.is_empty() {
            return Frame::NeedMore;
        }
        let there = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let consumed = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.skip_from(left.saturating_sub(there));
        Frame::Skip { consumed }
    }

    fn skip_from(&mut self, left: u64) {
        self.phase = if left == 0 {
            Phase::Between
        } else {
            Phase::Skip { left }
        };
    }

    fn broken(&mut self, kind: ParseErrorKind, offset: usize, head_len: usize) -> Frame {
        let error = ParseError::new(kind, offset);
        self.phase = Phase::Broken { error, head_len };
        Frame::Broken { error, head_len }
    }
}

/// What a search for the end of a head finds.
enum End {
    /// The head is this long, with the empty line.
    At(usize),
    /// A CR or LF that stands alone.
    Bare(usize),
    /// Not in these many bytes, which need no second look.
    After(usize),
}

/// Looks for CR LF CR LF, from `from` on, where nothing before ended.
fn find_end(head: &[u8], from: usize) -> End {
    let mut at = from;
    loop {
        let rest = head.get(at..).unwrap_or_default();
        let Some(found) = find_control(rest) else {
            return End::After(head.len());
        };
        at = at.saturating_add(found);
        match rest.get(found..).unwrap_or_default() {
            [b'\r', b'\n', b'\r', b'\n', ..] => return End::At(at.saturating_add(4)),
            [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return End::After(at),
            [b'\r', b'\n', ..] => at = at.saturating_add(2),
            [b'\r' | b'\n', ..] => return End::Bare(at),
            _ => at = at.saturating_add(1),
        }
    }
}

/// The one Content-Length of a complete head.
///
/// Digits only: no sign, no list, no second one even if equal, since whoever reads it otherwise
/// sees another message begin (RFC 3261 §20.14).
fn content_length(head: &[u8]) -> Result<u64, ParseError> {
    let mut found = None;
    let mut at = 0usize;
    while let Some((line, next)) = logical_line(head, at) {
        let (name, rest) = Class::TOKEN.split(line);
        if Name::from_bytes(name) == Name::ContentLength
            && let [b':', value @ ..] = after_blanks(rest)
        {
            let length = parse_u64(trim_lws(value))
                .map_err(|_| ParseError::new(ParseErrorKind::ContentLength, at))?;
            if found.replace(length).is_some() {
                return Err(ParseError::new(ParseErrorKind::DuplicateHeader, at));
            }
        }
        at = next;
    }
    found.ok_or(ParseError::new(ParseErrorKind::NoContentLength, head.len()))
}

/// HCOLON = *( SP / HTAB ) ":" SWS: no fold before the colon.
fn after_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    bytes.get(blanks..).unwrap_or_default()
}

/// The line at `at` with its folds, and where the next begins.
fn logical_line(head: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let line = head.get(at..).filter(|line| !line.is_empty())?;
    let mut len = 0usize;
    loop {
        let rest = line.get(len..).unwrap_or_default();
        len = len.saturating_add(find_control(rest)?);
        match line.get(len..).unwrap_or_default() {
            [b'\r', b'\n', b' ' | b'\t', ..] => len = len.saturating_add(3),
            [b'\r', b'\n', ..] => break,
            _ => len = len.saturating_add(1),
        }
    }
    Some((
        line.get(..len).unwrap_or_default(),
        at.saturating_add(len).saturating_add(2),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const LIMITS: Limits = Limits {
        max_headers: 60_000,
        max_message: 60_000,
    };

    // The bytes a call can look at are those from `scanned` on; they are counted here.
    #[test]
    fn a_head_that_comes_byte_by_byte_is_looked_at_once() {
        let mut head = Vec::from(&b"INVITE sip:a@b SIP/2.0\r\n"[..]);
        for i in 0..1000 {
            head.extend_from_slice(if i % 3 == 0 {
                b"A:\tb\r\n c\r\n"
            } else {
                b"Via: x\r\n"
            });
        }
        let mut framer = Framer::new(LIMITS);
        let mut looked_at = 0;
        for end in 1..=head.len() {
            let from = match framer.phase {
                Phase::Head { scanned } => scanned,
                _ => 0,
            };
            looked_at += end - from;
            assert_eq!(framer.next(&head[..end]), Frame::NeedMore);
        }
        assert!(looked_at <= 3 * head.len(), "{looked_at} of {}", head.len());
    }

    #[test]
    fn a_body_is_not_looked_at() {
        let mut framer = Framer::new(LIMITS);
        assert_eq!(
            framer.next(b"X sip:a SIP/2.0\r\nl:9999\r\n\r\n"),
            Frame::NeedMore
        );
        assert!(matches!(framer.phase, Phase::Body { len: 10_026 }));
    }

    // RFC 5626 §3.5.1: two CR LF are a ping, one is a pong; the count ends, their turns do not.
    #[test]
    fn empty_lines_beyond_counting_are_pong_and_ping_in_turn() {
        let mut framer = Framer::new(LIMITS);
        framer.empty_lines = u32::MAX - 2;
        for (kind, counted) in [
            (KeepAlive::Ping, u32::MAX - 1),
            (KeepAlive::Pong, u32::MAX),
            (KeepAlive::Ping, u32::MAX - 1),
            (KeepAlive::Pong, u32::MAX),
        ] {
            let frame = framer.next(b"\r\n");
            assert_eq!(frame, Frame::KeepAlive { kind, consumed: 2 });
            assert_eq!(framer.empty_lines(), counted);
        }
    }

    #[test]
    fn the_state_is_small() {
        assert!(size_of::<Framer>() <= 56, "{}", size_of::<Framer>());
    }
}

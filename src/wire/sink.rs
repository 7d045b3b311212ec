//! Where every writer puts its bytes.
//!
//! A [`Sink`] is a cursor over a slice of the caller's. It never fails in the middle: once the
//! slice is full it stores nothing more and goes on counting, so that a writer runs to its end
//! without a branch per line and [`Sink::finish`] says either how many bytes were written or how
//! many were needed. A sink over an empty slice only counts; that is how a length is known before
//! the bytes are. A length that stands before what it counts ([`Sink::put_counted`]) costs one
//! move of the counted bytes and no second run of the code that writes them.
//!
//! A sink takes any byte. What may stand in a header is checked by the value types of
//! [`crate::wire::writer`], before.

use core::cell::Cell;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The slice was too small: how many bytes the whole output takes.
///
/// The content of the slice is then of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooSmall {
    /// The size in bytes that would have been enough, exactly.
    pub needed: usize,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the buffer is too small: {} bytes are needed",
            self.needed
        )
    }
}

impl core::error::Error for TooSmall {}

/// A write cursor over a slice that goes on counting when the slice is full.
///
/// ```
/// use oma_im::wire::sink::{Sink, TooSmall};
///
/// fn greet(out: &mut [u8]) -> Result<usize, TooSmall> {
///     let mut sink = Sink::new(out);
///     sink.put(b"Hello ");
///     sink.put_u64(42);
///     sink.finish()
/// }
///
/// let mut out = [0; 8];
/// assert_eq!(greet(&mut out), Ok(8));
/// assert_eq!(&out, b"Hello 42");
/// assert_eq!(greet(&mut out[..7]), Err(TooSmall { needed: 8 }));
/// ```
#[derive(Debug)]
pub struct Sink<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl<'o> Sink<'o> {
    /// A cursor at the start of `out`.
    #[inline]
    pub const fn new(out: &'o mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// A cursor that only counts.
    #[inline]
    pub const fn counting() -> Sink<'static> {
        Sink {
            out: &mut [],
            len: 0,
        }
    }

    /// Bytes put so far, those included that found no room.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was put so far.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was put so far; `None` once something found no room.
    pub fn written(&self) -> Option<&[u8]> {
        self.out.get(..self.len)
    }

    /// Puts `bytes` as they are.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        // Past the end of the slice `len` stays past it, so nothing can be stored after a gap.
        // Cut in this order, the two lengths are seen to be equal and no check is left.
        let room = self.out.get_mut(self.len..);
        if let Some(room) = room.and_then(|room| room.get_mut(..bytes.len())) {
            room.copy_from_slice(bytes);
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    /// Puts one byte.
    #[inline]
    pub fn put_byte(&mut self, byte: u8) {
        if let Some(room) = self.out.get_mut(self.len) {
            *room = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    /// Puts a number in decimal, without sign or leading zeros.
    pub fn put_u64(&mut self, value: u64) {
        let (digits, start) = decimal(value);
        self.put(digits.get(start..).unwrap_or_default());
    }

    /// Puts a number in decimal, without sign or leading zeros.
    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.put_u64(u64::from(value));
    }

    /// Puts each byte as two lower-case hexadecimal digits.
    ///
    /// A number goes in as `n.to_be_bytes()` and takes its full width.
    pub fn put_hex(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.put(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
    }

    /// Puts an address as text, IPv6 as RFC 5952 has it and without brackets.
    pub fn put_ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.put_v4(ip),
            IpAddr::V6(ip) => self.put_v6(ip),
        }
    }

    /// Puts an address as a `host` of a URI or Via: IPv6 in brackets (RFC 3261 §25.1, IPv6reference).
    pub fn put_host(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.put_v4(ip),
            IpAddr::V6(ip) => {
                self.put_byte(b'[');
                self.put_v6(ip);
                self.put_byte(b']');
            }
        }
    }

    /// Takes back what was put behind the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Puts the decimal length of what `write` puts, then `between`, then what `write` puts.
    ///
    /// This is how a Content-Length is written before a body that is composed in place. `write`
    /// runs once; the count nests, so a body may hold a body.
    ///
    /// ```
    /// # use oma_im::wire::sink::Sink;
    /// let mut out = [0; 32];
    /// let mut sink = Sink::new(&mut out);
    /// sink.put(b"Content-Length: ");
    /// sink.put_counted(b"\r\n\r\n", |body| body.put(b"Hello Bob!"));
    /// assert_eq!(sink.written(), Some(&b"Content-Length: 10\r\n\r\nHello Bob!"[..]));
    /// ```
    pub fn put_counted(&mut self, between: &[u8], write: impl FnOnce(&mut Self)) {
        // One digit is assumed and the rest is made room for afterwards: a layout that is never
        // longer than the final one, so what fits in the end also fits now.
        let start = self.len;
        self.put_byte(b'0');
        self.put(between);
        let body = self.len;
        write(self);
        let (digits, first) = decimal(self.len.saturating_sub(body) as u64);
        let digits = digits.get(first..).unwrap_or_default();
        let more = digits.len().saturating_sub(1);
        let end = self.len.saturating_add(more);
        let room = self
            .out
            .get_mut(..end)
            .and_then(|room| room.get_mut(start..));
        if let Some(room) = room {
            // From the back, so that nothing is overwritten before it has moved.
            let cells = Cell::from_mut(room).as_slice_of_cells();
            let (Some(to), Some(from)) = (cells.get(digits.len()..), cells.get(1..)) else {
                return;
            };
            for (to, from) in to.iter().rev().zip(from.iter().rev().skip(more)) {
                to.set(from.get());
            }
            for (place, digit) in cells.iter().zip(digits) {
                place.set(*digit);
            }
        }
        self.len = end;
    }

    /// How many bytes were written, or how many the slice should have had.
    #[inline]
    pub const fn finish(self) -> Result<usize, TooSmall> {
        if self.len <= self.out.len() {
            Ok(self.len)
        } else {
            Err(TooSmall { needed: self.len })
        }
    }

    fn put_v4(&mut self, ip: Ipv4Addr) {
        let [a, b, c, d] = ip.octets();
        self.put_u64(u64::from(a));
        for octet in [b, c, d] {
            self.put_byte(b'.');
            self.put_u64(u64::from(octet));
        }
    }

    /// RFC 5952 §4: lower case, no leading zeros, `::` for the first longest run of two or more
    /// zero groups; §5: the last 32 bits of a mapped IPv4 address in dots.
    fn put_v6(&mut self, ip: Ipv6Addr) {
        if let Some(v4) = ip.to_ipv4_mapped() {
            self.put(b"::ffff:");
            return self.put_v4(v4);
        }
        let groups = ip.segments();
        let (mut best, mut best_len, mut run) = (0_usize, 1_usize, 0_usize);
        for (i, group) in groups.iter().enumerate() {
            run = if *group == 0 {
                run.saturating_add(1)
            } else {
                0
            };
            if run > best_len {
                best_len = run;
                best = i.saturating_add(1).saturating_sub(run);
            }
        }
        let zeros = if best_len > 1 {
            best..best.saturating_add(best_len)
        } else {
            8..8
        };
        for (i, group) in groups.iter().enumerate() {
            if zeros.contains(&i) {
                if i == zeros.start {
                    self.put(b"::");
                }
                continue;
            }
            if i != 0 && i != zeros.end {
                self.put_byte(b':');
            }
            self.put_group(*group);
        }
    }

    fn put_group(&mut self, group: u16) {
        let [high, low] = group.to_be_bytes();
        let digits = [
            hex_digit(high >> 4),
            hex_digit(high & 15),
            hex_digit(low >> 4),
            hex_digit(low & 15),
        ];
        let skip = (group.leading_zeros() as usize / 4).min(3);
        self.put(digits.get(skip..).unwrap_or_default());
    }
}

/// For text that is not on a hot path: `write!` into a sink never fails.
impl fmt::Write for Sink<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// The digits of `value`, right-aligned, and where they start.
#[inline]
fn decimal(mut value: u64) -> ([u8; 20], usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        // A remainder of ten is below ten.
        #[allow(clippy::cast_possible_truncation)]
        let ones = (value % 10) as u8;
        *digit = b'0' | ones;
        start = start.saturating_sub(1);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    (digits, start)
}

/// The lower-case hexadecimal digit of the low four bits.
#[inline]
pub(crate) const fn hex_digit(nibble: u8) -> u8 {
    let nibble = nibble & 15;
    // Below 16, so neither sum leaves the byte.
    if nibble < 10 {
        b'0'.wrapping_add(nibble)
    } else {
        (b'a' - 10).wrapping_add(nibble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;
    use std::string::{String, ToString};
    use std::vec;

    fn text(write: impl Fn(&mut Sink<'_>)) -> String {
        let mut count = Sink::counting();
        write(&mut count);
        let needed = count.len();
        // Any size from nothing up: the same count, and no byte of a short slice past its end.
        for size in 0..=needed + 2 {
            let mut out = vec![b'#'; size];
            let mut sink = Sink::new(&mut out);
            write(&mut sink);
            let end = sink.finish();
            assert_eq!(
                end,
                if size < needed {
                    Err(TooSmall { needed })
                } else {
                    Ok(needed)
                }
            );
            assert!(out.iter().skip(needed).all(|b| *b == b'#'));
            if size == needed + 2 {
                out.truncate(needed);
                return String::from_utf8(out).unwrap();
            }
        }
        unreachable!()
    }

    #[test]
    fn numbers_are_those_of_core_fmt() {
        for n in [
            0,
            1,
            9,
            10,
            99,
            100,
            255,
            1300,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ] {
            assert_eq!(text(|s| s.put_u64(n)), n.to_string());
        }
        assert_eq!(
            text(|s| s.put_hex(&0x0123_89ab_u32.to_be_bytes())),
            "012389ab"
        );
        assert_eq!(text(|s| s.put_hex(&[0xff, 0x00, 0xe5])), "ff00e5");
    }

    #[test]
    fn addresses_are_those_of_core_fmt() {
        for ip in [
            "0.0.0.0",
            "10.32.4.17",
            "192.0.2.255",
            "::",
            "::1",
            "1::",
            "2001:db8::1",
            "2001:db8:0:1:0:0:0:1",
            "2001:0:0:1:0:0:0:1",
            "2001:db8:0:0:1:0:0:1",
            "1:2:3:4:5:6:7:8",
            "1:0:3:4:5:6:7:8",
            "0:1:2:3:4:5:6:7",
            "::ffff:192.0.2.1",
            "fe80::a:bc:def:1234",
            "1:2:3:4:5:6::",
            "0:0:3:4:5:6:7:0",
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(text(|s| s.put_ip(ip)), ip.to_string());
            let host = if ip.is_ipv6() {
                std::format!("[{ip}]")
            } else {
                ip.to_string()
            };
            assert_eq!(text(|s| s.put_host(ip)), host);
        }
    }

    #[test]
    fn a_count_stands_before_what_it_counts() {
        for len in [0, 1, 9, 10, 11, 99, 100, 101, 1000] {
            let body = "x".repeat(len);
            let line = text(|s| {
                s.put(b"n=");
                s.put_counted(b"\r\n\r\n", |s| s.put(body.as_bytes()));
                s.put(b".");
            });
            assert_eq!(line, std::format!("n={len}\r\n\r\n{body}."));
        }
        let nested =
            text(|s| s.put_counted(b":", |s| s.put_counted(b";", |s| s.put(b"0123456789ab"))));
        assert_eq!(nested, "15:12;0123456789ab");
    }

    #[test]
    fn nothing_is_stored_after_a_gap() {
        let mut out = *b"####";
        let mut sink = Sink::new(&mut out);
        sink.put(b"ab");
        sink.put(b"cdefg");
        sink.put_byte(b'h');
        sink.put(b"");
        assert_eq!(sink.written(), None);
        assert_eq!(sink.finish(), Err(TooSmall { needed: 8 }));
        assert_eq!(&out, b"ab##");
    }

    #[test]
    fn format_macros_work() {
        assert_eq!(text(|s| write!(s, "{:04}", 7).unwrap()), "0007");
    }
}

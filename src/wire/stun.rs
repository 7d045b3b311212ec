//! The STUN of SIP keep-alives: a Binding request and what comes back (RFC 5626 §8, RFC 8489).
//!
//! A client behind a NAT sends 20 bytes over the flow its SIP goes over, and reads its own
//! address out of the answer; a changed address means a failed flow (RFC 5626 §4.4.2). Nothing
//! else of STUN is needed: no attribute is sent, and of those received only XOR-MAPPED-ADDRESS
//! and ERROR-CODE are read. FINGERPRINT is not checked, RFC 5626 asks for none.
//!
//! ```
//! use oma_im::wire::stun::{Response, TransactionId, is_stun, request};
//!
//! let id = TransactionId(*b"abcdefghijkl");
//! let packet = request(id);
//! assert!(is_stun(&packet) && !is_stun(b"SIP/2.0 200 OK\r\n\r\n......"));
//! let answer = Response::parse(b"\x01\x01\0\x0c\x21\x12\xa4\x42abcdefghijkl\0\x20\0\x08\0\x01\x32\xd6\xe1\x12\xa6\x03").unwrap();
//! assert_eq!(answer.id, id);
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// RFC 8489 §5: in network order, at bytes 4 to 7 of every message.
const MAGIC_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();

// RFC 8489 §18.2 (method Binding) with the class bits of §5.
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

// RFC 8489 §18.3.
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const ERROR_CODE: u16 = 0x0009;

/// What pairs a response with its request: 96 random bits (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TransactionId(pub [u8; 12]);

/// The bytes of a Binding request.
pub fn request(id: TransactionId) -> [u8; 20] {
    let [a, b] = BINDING_REQUEST.to_be_bytes();
    let [c0, c1, c2, c3] = MAGIC_COOKIE;
    let [i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11] = id.0;
    [
        a, b, 0, 0, c0, c1, c2, c3, i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11,
    ]
}

/// Whether a datagram is STUN and not SIP: first two bits zero, and the magic cookie.
pub fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram, [first, _, _, _, a, b, c, d, rest @ ..]
        if first & 0xc0 == 0 && [*a, *b, *c, *d] == MAGIC_COOKIE && rest.len() >= 12)
}

/// A Binding response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// That of the request.
    pub id: TransactionId,
    /// What it says.
    pub outcome: Outcome,
}

/// What a Binding response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The address that our request came from, as the server saw it.
    Mapped(SocketAddr),
    /// The request was refused, with this code (300 to 699); 500 if the response gave none.
    Refused(u16),
}

impl Response {
    /// Reads a datagram; `None` if it is no Binding response or a malformed one, which is to be
    /// discarded silently (RFC 8489 §6.3).
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        if !is_stun(datagram) {
            return None;
        }
        let (kind, rest) = take_u16(datagram)?;
        let (length, rest) = take_u16(rest)?;
        let (_, rest) = rest.split_at_checked(4)?;
        let (id, rest) = rest.split_first_chunk::<12>()?;
        // RFC 8489 §5: the length is that of the attributes, padding included.
        if usize::from(length) != rest.len() {
            return None;
        }
        let outcome = match kind {
            BINDING_SUCCESS => {
                Outcome::Mapped(find(rest, XOR_MAPPED_ADDRESS, |value| address(value, id))?)
            }
            BINDING_ERROR => Outcome::Refused(find(rest, ERROR_CODE, error_code).unwrap_or(500)),
            _ => return None,
        };
        // Attributes past the one we read must be whole, too.
        whole(rest).then_some(Self {
            id: TransactionId(*id),
            outcome,
        })
    }
}

/// The first attribute of this type that `read` can read.
fn find<T>(mut rest: &[u8], wanted: u16, read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    while let Some((kind, value, tail)) = attribute(rest) {
        if kind == wanted
            && let Some(found) = read(value)
        {
            return Some(found);
        }
        rest = tail;
    }
    None
}

fn whole(mut rest: &[u8]) -> bool {
    while let Some((_, _, tail)) = attribute(rest) {
        rest = tail;
    }
    rest.is_empty()
}

/// Type, value and what follows the padding (RFC 8489 §14).
fn attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (kind, rest) = take_u16(bytes)?;
    let (length, rest) = take_u16(rest)?;
    let (value, rest) = rest.split_at_checked(usize::from(length))?;
    let padding = usize::from(length.wrapping_neg() & 3);
    let (_, rest) = rest.split_at_checked(padding)?;
    Some((kind, value, rest))
}

fn take_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*number), rest))
}

/// RFC 8489 §14.2.
fn address(value: &[u8], id: &[u8; 12]) -> Option<SocketAddr> {
    let [_, family, p0, p1, address @ ..] = value else {
        return None;
    };
    let [c0, c1, c2, c3] = MAGIC_COOKIE;
    let port = u16::from_be_bytes([p0 ^ c0, p1 ^ c1]);
    let key = || MAGIC_COOKIE.iter().chain(id);
    let ip = match family {
        1 => {
            let [a, b, c, d] = <[u8; 4]>::try_from(address).ok()?;
            IpAddr::V4(Ipv4Addr::new(a ^ c0, b ^ c1, c ^ c2, d ^ c3))
        }
        2 => {
            let mut octets = <[u8; 16]>::try_from(address).ok()?;
            for (octet, key) in octets.iter_mut().zip(key()) {
                *octet ^= key;
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// RFC 8489 §14.8.
fn error_code(value: &[u8]) -> Option<u16> {
    let [_, _, class, number, ..] = value else {
        return None;
    };
    let (class, number) = (u16::from(class & 7), u16::from(*number));
    ((3..=6).contains(&class) && number < 100)
        .then(|| class.saturating_mul(100).saturating_add(number))
}

//! Digest with the secret of a SIM card: AKAv1 (RFC 3310) and AKAv2 (RFC 4169).
//!
//! The nonce of a challenge carries what the card is asked ([`AkaNonce`]). What the card says becomes
//! the password: its RES as it is for AKAv1, [`AkaV2Password`] for AKAv2. If it does not accept the
//! challenge, [`Secret::SyncFailure`](super::Secret::SyncFailure) and
//! [`Secret::MacFailure`](super::Secret::MacFailure) tell the server so.

use core::fmt;

use md5::{Digest, Md5};

use super::super::error::{ParseError, ParseErrorKind};
use super::super::sink::Sink;
use super::Quoted;

/// What the nonce of an AKA challenge asks the card (RFC 3310 §3.2).
///
/// ```
/// use oma_im::wire::digest::{AkaNonce, Algorithm, Challenge};
///
/// let challenge = Challenge::parse(
///     b"Digest realm=\"ims.example.com\",nonce=\"I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M=\",algorithm=AKAv1-MD5",
/// )?;
/// assert_eq!(challenge.algorithm, Algorithm::AkaV1Md5);
/// let asked = AkaNonce::parse(challenge.nonce)?;
/// assert_eq!(asked.rand[..4], [0x23, 0x55, 0x3c, 0xbe]);
/// # Ok::<(), oma_im::wire::error::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct AkaNonce {
    /// RAND, the random challenge.
    pub rand: [u8; 16],
    /// AUTN, by which the card knows the network.
    pub autn: [u8; 16],
}

impl AkaNonce {
    /// Takes the first 32 bytes of a nonce, which is base64.
    ///
    /// What follows them is the server's own data, and goes back unread with the rest of the nonce.
    ///
    /// # Errors
    /// `Challenge` if there are not as many.
    pub fn parse(nonce: Quoted<'_>) -> Result<Self, ParseError> {
        let bytes: Option<[u8; 32]> = decode(&mut nonce.bytes());
        let halves = bytes
            .as_ref()
            .and_then(|bytes| Some((*bytes.first_chunk::<16>()?, *bytes.last_chunk::<16>()?)));
        let (rand, autn) = halves.ok_or(ParseError::new(ParseErrorKind::Challenge, 0))?;
        Ok(Self { rand, autn })
    }
}

/// AUTS, by which a card that finds the sequence number out of range tells its own (RFC 3310 §3.4).
pub type Auts = [u8; 14];

/// The password of AKAv2, made of what the card says (RFC 4169 §2.1).
///
/// Prints nothing of itself, and is wiped when it goes.
pub struct AkaV2Password([u8; 24]);

impl AkaV2Password {
    /// Derives it for `AKAv2-MD5`: base64 of HMAC-MD5 with RES ‖ IK ‖ CK as the key.
    ///
    /// `res` as the card gave it, zero bytes and all.
    pub fn new(res: &[u8], ik: &[u8; 16], ck: &[u8; 16]) -> Self {
        let mut sum = hmac_md5(&[res, ik, ck], b"http-digest-akav2-password");
        let mut text = [0; 24];
        let mut sink = Sink::new(&mut text);
        put_base64(&mut sink, &sum);
        wipe(&mut sum);
        Self(text)
    }

    /// Its bytes, for [`Secret::Password`](super::Secret::Password).
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AkaV2Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AkaV2Password(..)")
    }
}

impl Drop for AkaV2Password {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites what must not be kept; as far as that can be done in safe Rust.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Keeps the compiler from leaving the write out as one that nobody reads.
    core::hint::black_box(bytes);
}

/// RFC 2104 §2; the key in pieces.
fn hmac_md5(key: &[&[u8]], text: &[u8]) -> [u8; 16] {
    let mut block = [0; 64];
    let mut sink = Sink::new(&mut block);
    key.iter().for_each(|piece| sink.put(piece));
    if sink.finish().is_err() {
        // "Applications that use keys longer than B bytes will first hash the key."
        let mut hasher = Md5::new();
        key.iter().for_each(|piece| hasher.update(piece));
        block = [0; 64];
        Sink::new(&mut block).put(&hasher.finalize());
    }
    let mut half = |pad: u8, parts: &[&[u8]]| -> [u8; 16] {
        block.iter_mut().for_each(|byte| *byte ^= pad);
        let mut hasher = Md5::new();
        hasher.update(block);
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize().into()
    };
    let inner = half(0x36, &[text]);
    // Takes the first pad off and puts the second on.
    let outer = half(0x36 ^ 0x5c, &[&inner]);
    wipe(&mut block);
    outer
}

/// Puts bytes as base64 with padding (RFC 4648 §4).
pub(super) fn put_base64(out: &mut Sink<'_>, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let mut word = [0; 4];
        for (place, byte) in word.iter_mut().skip(1).zip(group) {
            *place = *byte;
        }
        let word = u32::from_be_bytes(word);
        for (i, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            // Of one byte come two digits, of two bytes three.
            let digit = if i <= group.len() {
                base64_digit(word >> shift)
            } else {
                b'='
            };
            out.put_byte(digit);
        }
    }
}

/// The digit of the low six bits.
const fn base64_digit(bits: u32) -> u8 {
    // Below 64.
    #[allow(clippy::cast_possible_truncation)]
    let bits = (bits & 63) as u8;
    match bits {
        0..26 => b'A'.wrapping_add(bits),
        26..52 => b'a'.wrapping_add(bits.wrapping_sub(26)),
        52..62 => b'0'.wrapping_add(bits.wrapping_sub(52)),
        62 => b'+',
        _ => b'/',
    }
}

const fn base64_value(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit.wrapping_sub(b'A'),
        b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => digit.wrapping_sub(b'0').wrapping_add(52),
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// The first `N` bytes of base64; `None` if it ends earlier or has another byte before.
pub(super) fn decode<const N: usize>(digits: &mut impl Iterator<Item = u8>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (mut bits, mut held) = (0_u16, 0_u32);
    for byte in &mut bytes {
        while held < 8 {
            // At most seven bits are held, so with six more they fit.
            bits = (bits << 6) | u16::from(base64_value(digits.next()?)?);
            held = held.saturating_add(6);
        }
        held = held.saturating_sub(8);
        *byte = (bits >> held).to_be_bytes()[1];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn base64(bytes: &[u8]) -> String {
        let mut out = [0; 100];
        let mut sink = Sink::new(&mut out);
        put_base64(&mut sink, bytes);
        String::from_utf8(sink.written().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        let all: Vec<u8> = (0..=255).collect();
        let mut seen = Vec::new();
        for chunk in all.chunks_exact(16) {
            let text = base64(chunk);
            assert_eq!(
                decode::<16>(&mut text.bytes()).as_ref().map(|it| &it[..]),
                Some(chunk)
            );
            seen.extend(text.bytes());
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
        assert_eq!(decode(&mut "+//+".bytes()), Some([0xfb, 0xff, 0xfe]));
    }

    #[test]
    fn base64_that_ends_early_or_is_none_has_no_bytes() {
        for bad in ["", "Zm9", "Zm9=", "Zm9 v", "Zm-v", "Zm\u{e9}v"] {
            assert_eq!(decode::<3>(&mut bad.bytes()), None, "{bad}");
        }
        // What follows is left.
        let mut digits = "Zm9vYmFy".bytes();
        assert_eq!(decode(&mut digits), Some(*b"foo"));
        assert!(digits.eq(*b"YmFy"));
    }

    /// RFC 2202 §2.
    #[test]
    fn hmac_is_that_of_rfc_2202() {
        let hex = |sum: [u8; 16]| {
            let mut out = [0; 32];
            Sink::new(&mut out).put_hex(&sum);
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(
            hex(hmac_md5(&[&[0x0b; 16]], b"Hi There")),
            "9294727a3638bb1c13f48ef8158bfc9d"
        );
        assert_eq!(
            hex(hmac_md5(
                &[b"Je", b"", b"fe"],
                b"what do ya want for nothing?"
            )),
            "750c783e6ab0b503eaa86e310a5db738"
        );
        assert_eq!(
            hex(hmac_md5(&[&[0xaa; 16]], &[0xdd; 50])),
            "56be34521d144c88dbb8c733f0e8b3f6"
        );
        assert_eq!(
            hex(hmac_md5(
                &[&[0xaa; 40], &[0xaa; 40]],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"
        );
        // Exactly a block, and one byte more.
        assert_eq!(
            hex(hmac_md5(&[&[1; 64]], b"x")),
            "c369649e011082c4613135685adc915c"
        );
        assert_eq!(
            hex(hmac_md5(&[&[1; 65]], b"x")),
            "4a095017fedda5e8f618dd5c55abf7db"
        );
    }
}

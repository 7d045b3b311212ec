//! Which transaction a request belongs to: RFC 3261 §17.2.3, §9.2, and merged requests §8.2.2.2.
//!
//! A key is a 64-bit SipHash-1-3, keyed by a number that only this client knows, over the fields
//! that the RFC compares. Fields are read where they lie and never copied together, so that their
//! length is of no account (CVE-2017-9372). Two requests of different transactions have the same
//! key with a chance of 1 in 2^64, and without the number nobody can look for such a pair.
//!
//! ```
//! use oma_im::sip::transaction::{RequestKey, TopVia};
//!
//! let via = TopVia {
//!     value: b"SIP/2.0/UDP pc33.example.com;branch=z9hG4bKnashds8",
//!     branch: Some(b"z9hG4bKnashds8"),
//!     host: b"pc33.example.com",
//!     port: None,
//! };
//! let key = RequestKey::rfc3261(7, &via).unwrap();
//! // RFC 3261 §17.2.3: an ACK belongs to its INVITE; §9.2: a CANCEL names another transaction.
//! assert_eq!(key.of(b"ACK"), key.of(b"INVITE"));
//! assert_ne!(key.of(b"CANCEL"), key.of(b"INVITE"));
//! ```

use core::num::NonZeroU64;

/// What the key needs of the topmost Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopVia<'a> {
    /// The whole header field value.
    pub value: &'a [u8],
    /// The branch parameter.
    pub branch: Option<&'a [u8]>,
    /// The host of sent-by.
    pub host: &'a [u8],
    /// The port of sent-by, if it is written.
    pub port: Option<u16>,
}

/// The fields by which RFC 3261 §17.2.3 knows a request of an RFC 2543 client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldFields<'a> {
    /// The Request-URI.
    pub request_uri: &'a [u8],
    /// The tag of From; empty if there is none.
    pub from_tag: &'a [u8],
    /// The tag of To; empty if there is none.
    pub to_tag: &'a [u8],
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The number in CSeq.
    pub cseq: u32,
}

/// The key of a server transaction; equal for all requests that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ServerKey(NonZeroU64);

impl ServerKey {
    /// The key as bytes, for rows that have to be small.
    pub(crate) const fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_ne_bytes()
    }
}

/// The key of a request however it was routed: equal for the copies of a forked request that meet
/// again here (RFC 3261 §8.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MergeKey(NonZeroU64);

/// A request's place among server transactions, all but its method.
#[derive(Clone, Copy, Debug)]
pub struct RequestKey {
    hash: SipHash13,
    /// RFC 2543 clients: the hash of the To tag, which an INVITE and its ACK do not share.
    to_tag: u64,
}

impl RequestKey {
    /// By branch and sent-by; `None` if the branch lacks the magic cookie: see [`rfc2543`](Self::rfc2543).
    ///
    /// The host is compared without regard to case; a port that is not written is not the same as
    /// 5060, for the copies of a request write alike.
    pub fn rfc3261(seed: u64, via: &TopVia<'_>) -> Option<Self> {
        let branch = via.branch.filter(|branch| has_magic_cookie(branch))?;
        let mut hash = SipHash13::new(seed);
        hash.number(3261);
        hash.field(branch);
        hash.field_ignoring_case(via.host);
        hash.number(via.port.map_or(u64::MAX, u64::from));
        Some(Self { hash, to_tag: 0 })
    }

    /// For a request of an RFC 2543 client: one whose branch lacks the magic cookie.
    ///
    /// The To tag is not looked at for INVITE and ACK: that of the ACK is the one in our response,
    /// and the caller compares it with that.
    pub fn rfc2543(seed: u64, via: &TopVia<'_>, fields: &OldFields<'_>) -> Self {
        let mut to_tag = SipHash13::new(seed);
        to_tag.field(fields.to_tag);
        let mut hash = SipHash13::new(seed);
        hash.number(2543);
        hash.field(fields.request_uri);
        hash.field(fields.from_tag);
        hash.field(fields.call_id);
        hash.number(u64::from(fields.cseq));
        hash.field(via.value);
        Self {
            hash,
            to_tag: to_tag.finish(),
        }
    }

    /// The key of the transaction that a request of this method belongs to.
    ///
    /// For a CANCEL that is its own; the one it cancels (RFC 3261 §9.2) is `of(b"INVITE")`, or
    /// `of` any other method, on which it has no effect.
    pub fn of(&self, method: &[u8]) -> ServerKey {
        let mut hash = self.hash;
        // RFC 3261 §17.2.3: an ACK matches the INVITE.
        match method {
            b"INVITE" | b"ACK" => hash.field(b"INVITE"),
            other => {
                hash.field(other);
                hash.number(self.to_tag);
            }
        }
        ServerKey(non_zero(hash.finish()))
    }
}

impl MergeKey {
    /// The key as bytes, for rows that have to be small.
    pub(crate) const fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_ne_bytes()
    }

    /// The key of a request without a To tag: From tag, Call-ID and CSeq (RFC 3261 §8.2.2.2).
    ///
    /// A request with the merge key of an ongoing transaction but not its [`ServerKey`] is
    /// answered 482 (Loop Detected).
    pub fn new(seed: u64, from_tag: &[u8], call_id: &[u8], cseq: u32, method: &[u8]) -> Self {
        let mut hash = SipHash13::new(seed);
        hash.number(8222);
        hash.field(from_tag);
        hash.field(call_id);
        hash.number(u64::from(cseq));
        hash.field(method);
        Self(non_zero(hash.finish()))
    }
}

/// Zero is left out, so that an `Option` of a key takes no more than the key.
const fn non_zero(hash: u64) -> NonZeroU64 {
    match NonZeroU64::new(hash) {
        Some(hash) => hash,
        None => NonZeroU64::MIN,
    }
}

/// A keyed hash over fields: to know again a text that is not kept.
pub(crate) fn hash(seed: u64, fields: &[&[u8]]) -> u64 {
    let mut hash = SipHash13::new(seed);
    for field in fields {
        hash.field(field);
    }
    hash.finish()
}

/// As [`hash`], over one field whatever the case of its letters.
pub(crate) fn hash_ignoring_case(seed: u64, field: &[u8]) -> u64 {
    let mut hash = SipHash13::new(seed);
    hash.field_ignoring_case(field);
    hash.finish()
}

/// Whether a branch begins with the magic cookie `z9hG4bK` and has something behind it
/// (RFC 3261 §8.1.1.7; RFC 4475 §3.2.1 shows one that has not).
pub fn has_magic_cookie(branch: &[u8]) -> bool {
    matches!(branch.strip_prefix(b"z9hG4bK"), Some([_, ..]))
}

/// SipHash with one round for each 8 bytes and three at the end.
///
/// `core` has it, but gives no access. (Aumasson, Bernstein: "SipHash: a fast short-input PRF".)
#[derive(Clone, Copy, Debug)]
struct SipHash13 {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
    /// The bytes that do not make eight yet, the first of them lowest.
    tail: u64,
    /// The number of all bytes; its lowest three bits are those in `tail`.
    length: u64,
}

impl SipHash13 {
    fn new(seed: u64) -> Self {
        // The second half of the key is a constant: the client has 64 secret bits for it.
        Self::with_key(seed, 0x9e37_79b9_7f4a_7c15)
    }

    fn with_key(k0: u64, k1: u64) -> Self {
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
            tail: 0,
            length: 0,
        }
    }

    /// A field: its length, so that no two lists of fields read alike, and its bytes.
    fn field(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.byte(*byte);
        }
    }

    fn field_ignoring_case(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for byte in bytes {
            self.byte(byte.to_ascii_lowercase());
        }
    }

    /// Eight bytes, the lowest first.
    fn number(&mut self, number: u64) {
        let held = (self.length & 7).wrapping_mul(8);
        self.length = self.length.wrapping_add(8);
        self.word(self.tail | number << held);
        // By 64 bits in two steps, for there is no shift by all at once.
        self.tail = number >> 1 >> 63_u64.wrapping_sub(held);
    }

    fn byte(&mut self, byte: u8) {
        let held = self.length & 7;
        self.tail |= u64::from(byte) << held.wrapping_mul(8);
        self.length = self.length.wrapping_add(1);
        if held == 7 {
            self.word(self.tail);
            self.tail = 0;
        }
    }

    fn word(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }

    fn finish(mut self) -> u64 {
        self.word(self.tail | self.length << 56);
        self.v2 ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// `std`'s hasher without a key is SipHash-1-3 with the key 0, 0.
    #[test]
    #[allow(deprecated)]
    fn is_siphash_1_3() {
        use core::hash::Hasher;
        for length in 0..64 {
            let bytes: Vec<u8> = (0..length).collect();
            let mut theirs = std::collections::hash_map::DefaultHasher::new();
            theirs.write(&bytes);
            let theirs = theirs.finish();
            for single in 0..=length.min(8) {
                // Byte by byte to any place in a word, then in words, then bytes again.
                let (first, then) = bytes.split_at(single.into());
                let (words, last) = then.as_chunks::<8>();
                let mut ours = SipHash13::with_key(0, 0);
                first.iter().for_each(|byte| ours.byte(*byte));
                for word in words {
                    ours.number(u64::from_le_bytes(*word));
                }
                last.iter().for_each(|byte| ours.byte(*byte));
                assert_eq!(ours.finish(), theirs, "{length} bytes, {single} single");
            }
        }
    }

    /// The key of the paper's appendix, 00 01 … 0f; values of another implementation, which gives
    /// the paper's own a129ca6149be45e5 for SipHash-2-4 over 00 … 0e.
    #[test]
    fn the_key_goes_into_every_word() {
        for (length, value) in [
            (0, 0xabac_0158_050f_c4dc),
            (1, 0xc9f4_9bf3_7d57_ca93),
            (7, 0xd392_7d98_9bb1_1140),
            (8, 0x3690_9511_8d29_9a8e),
            (15, 0xd320_d86d_2a51_9956),
            (63, 0x9d19_9062_b7bb_b3a8),
        ] {
            let mut hash = SipHash13::with_key(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
            (0..length).for_each(|byte| hash.byte(byte));
            assert_eq!(hash.finish(), value, "{length} bytes");
        }
    }

    #[test]
    fn what_is_kept_of_a_key_or_a_text_tells_it_from_others() {
        let keys = [1, 2].map(|cseq| MergeKey::new(0, b"tag", b"id", cseq, b"MESSAGE"));
        assert_ne!(keys[0].to_bytes(), keys[1].to_bytes());
        let via = |branch| TopVia {
            branch: Some(branch),
            host: b"h",
            port: None,
            value: b"",
        };
        let keys = [&b"z9hG4bKa"[..], b"z9hG4bKb"]
            .map(|branch| RequestKey::rfc3261(0, &via(branch)).map(|key| key.of(b"X").to_bytes()));
        assert!(keys[0].is_some() && keys[0] != keys[1]);
        assert_ne!(hash(0, &[b"a", b"b"]), hash(0, &[b"ab"]));
        assert_ne!(hash(0, &[b"a"]), hash(0, &[b"A"]));
        assert_eq!(hash_ignoring_case(0, b"aB"), hash_ignoring_case(0, b"Ab"));
        assert_ne!(hash_ignoring_case(0, b"a"), hash_ignoring_case(0, b"b"));
    }
}

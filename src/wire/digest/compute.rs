//! The sums: H(A1), H(A2) and the response (RFC 7616 §3.4.1 to §3.4.3).

use core::fmt;

use md5::{Digest, Md5};
use sha2::Sha256;

use super::super::scan;
use super::super::sink::{Sink, hex_digit};
use super::{Algorithm, Auts, Hash, Qop, Quoted};

/// H(username:realm:password), of the length of its hash function and of no other.
///
/// Prints nothing of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ha1 {
    /// For MD5 and MD5-sess.
    Md5([u8; 16]),
    /// For SHA-256 and SHA-256-sess.
    Sha256([u8; 32]),
}

impl Ha1 {
    /// Computes it from a password.
    pub fn new(hash: Hash, username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let mut hasher = Hasher::new(hash);
        for part in [username, b":", realm, b":", password] {
            hasher.add(part);
        }
        Self::from(hasher.finish())
    }

    /// Reads 32 or 64 hexadecimal digits; any other length is none.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        Sum::from_hex(digits).map(Self::from)
    }

    /// The hash function it belongs to.
    pub const fn hash(self) -> Hash {
        match self {
            Self::Md5(_) => Hash::Md5,
            Self::Sha256(_) => Hash::Sha256,
        }
    }
}

impl From<Sum> for Ha1 {
    fn from(sum: Sum) -> Self {
        match sum {
            Sum::Md5(bytes) => Self::Md5(bytes),
            Sum::Sha256(bytes) => Self::Sha256(bytes),
        }
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ha1({:?})", self.hash())
    }
}

/// What proves who we are, or says why nothing does. Prints nothing of itself.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    /// The password, or for AKA the bytes that stand for it: RES, zero bytes and all (RFC 3310 §3.3), or an
    /// [`AkaV2Password`](super::AkaV2Password).
    Password(&'a [u8]),
    /// The hash of username, realm and password.
    Ha1(Ha1),
    /// A response that was computed before, with the same request and counts; it goes out once more. A
    /// registration on an IMS core is refreshed so (TS 24.229 §5.1.1.4.2), without the RES being kept.
    Computed(Response),
    /// AKA: the card finds the sequence number out of range. The response is that of an empty password, and
    /// `auts` goes with it (RFC 3310 §3.4).
    SyncFailure(Auts),
    /// AKA: the card does not know the network by its MAC. The response is empty, and so there is no `qop`
    /// (TS 24.229 §5.1.1.5.3).
    MacFailure,
}

/// A response as it goes out, to be repeated. Prints nothing of itself.
#[derive(Clone, Copy)]
pub struct Response(pub(super) Sum);

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response(..)")
    }
}

impl PartialEq for Response {
    /// In a time that does not tell where they differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.matches(&other.0)
    }
}

impl Eq for Response {}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Ha1(_) => "Ha1(..)",
            Self::Computed(_) => "Computed(..)",
            Self::SyncFailure(_) => "SyncFailure(..)",
            Self::MacFailure => "MacFailure",
        })
    }
}

/// A finished hash.
#[derive(Clone, Copy)]
pub(super) enum Sum {
    Md5([u8; 16]),
    Sha256([u8; 32]),
}

impl Sum {
    pub(super) fn from_hex(digits: &[u8]) -> Option<Self> {
        fn fill(out: &mut [u8], digits: &[u8]) -> Option<()> {
            for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
                let &[high, low] = pair else { return None };
                *byte = (scan::hex_value(high)? << 4) | scan::hex_value(low)?;
            }
            Some(())
        }
        match digits.len() {
            32 => {
                let mut bytes = [0; 16];
                fill(&mut bytes, digits)?;
                Some(Self::Md5(bytes))
            }
            64 => {
                let mut bytes = [0; 32];
                fill(&mut bytes, digits)?;
                Some(Self::Sha256(bytes))
            }
            _ => None,
        }
    }

    pub(super) const fn hash(&self) -> Hash {
        match self {
            Self::Md5(_) => Hash::Md5,
            Self::Sha256(_) => Hash::Sha256,
        }
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }

    pub(super) fn put(&self, out: &mut Sink<'_>) {
        out.put_hex(self.as_bytes());
    }

    /// Whether both are equal, in a time that does not tell where they differ.
    pub(super) fn matches(&self, other: &Self) -> bool {
        let (a, b) = (self.as_bytes(), other.as_bytes());
        let differing = a.iter().zip(b).fold(0, |seen, (x, y)| {
            // Keeps the compiler from leaving the loop early.
            core::hint::black_box(seen | (x ^ y))
        });
        a.len() == b.len() && differing == 0
    }
}

/// One running hash.
pub(super) enum Hasher {
    Md5(Md5),
    Sha256(Sha256),
}

impl Hasher {
    pub(super) fn new(hash: Hash) -> Self {
        match hash {
            Hash::Md5 => Self::Md5(Md5::new()),
            Hash::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(md5) => md5.update(bytes),
            Self::Sha256(sha) => sha.update(bytes),
        }
    }

    fn add_words(&mut self, words: Words<'_>) {
        match words {
            Words::Plain(bytes) => self.add(bytes),
            Words::Quoted(text) => text.pieces(|piece| self.add(piece)),
        }
    }

    /// Adds a sum as the hexadecimal digits it has on the wire (RFC 8760 §2.2).
    fn add_sum(&mut self, sum: &Sum) {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(sum.as_bytes()) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        let len = sum.as_bytes().len().saturating_mul(2);
        self.add(digits.get(..len).unwrap_or_default());
    }

    pub(super) fn finish(self) -> Sum {
        match self {
            Self::Md5(md5) => Sum::Md5(md5.finalize().into()),
            Self::Sha256(sha) => Sum::Sha256(sha.finalize().into()),
        }
    }
}

/// A text to be hashed: our own, or one as it came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Words<'a> {
    Plain(&'a [u8]),
    Quoted(Quoted<'a>),
}

/// All that goes into a response but the secret and A2.
pub(super) struct Input<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) qop: Qop,
    pub(super) username: Words<'a>,
    pub(super) realm: Quoted<'a>,
    pub(super) nonce: Quoted<'a>,
    pub(super) uri: Words<'a>,
    pub(super) cnonce: Words<'a>,
    pub(super) nc: u32,
}

impl Input<'_> {
    /// The response; with an empty `method` the `rspauth` of the server (RFC 7616 §3.5).
    ///
    /// `None`: the secret belongs to another hash function or gives no response, or the algorithm is unknown.
    pub(super) fn response(
        &self,
        secret: Secret<'_>,
        method: &[u8],
        body: &[&[u8]],
    ) -> Option<Sum> {
        let hash = self.algorithm.hash()?;
        let a1 = self.hash_a1(hash, secret)?;
        let a2 = self.hash_a2(hash, method, body);
        let mut all = Hasher::new(hash);
        all.add_sum(&a1);
        all.add(b":");
        all.add_words(Words::Quoted(self.nonce));
        if let Some(qop) = self.qop.token() {
            all.add(b":");
            all.add(&hex_count(self.nc));
            all.add(b":");
            all.add_words(self.cnonce);
            all.add(b":");
            all.add(qop.as_bytes());
        }
        all.add(b":");
        all.add_sum(&a2);
        Some(all.finish())
    }

    fn hash_a1(&self, hash: Hash, secret: Secret<'_>) -> Option<Sum> {
        let from_password = |password: &[u8]| {
            let mut hasher = Hasher::new(hash);
            hasher.add_words(self.username);
            hasher.add(b":");
            hasher.add_words(Words::Quoted(self.realm));
            hasher.add(b":");
            hasher.add(password);
            hasher.finish()
        };
        let user = match secret {
            Secret::Password(password) => from_password(password),
            // RFC 3310 §3.4: "using an empty password".
            Secret::SyncFailure(_) => from_password(b""),
            Secret::Computed(_) | Secret::MacFailure => return None,
            Secret::Ha1(ha1) if ha1.hash() != hash => return None,
            Secret::Ha1(Ha1::Md5(bytes)) => Sum::Md5(bytes),
            Secret::Ha1(Ha1::Sha256(bytes)) => Sum::Sha256(bytes),
        };
        if !self.algorithm.is_session() {
            return Some(user);
        }
        let mut hasher = Hasher::new(hash);
        hasher.add_sum(&user);
        hasher.add(b":");
        hasher.add_words(Words::Quoted(self.nonce));
        hasher.add(b":");
        hasher.add_words(self.cnonce);
        Some(hasher.finish())
    }

    fn hash_a2(&self, hash: Hash, method: &[u8], body: &[&[u8]]) -> Sum {
        let mut hasher = Hasher::new(hash);
        hasher.add(method);
        hasher.add(b":");
        hasher.add_words(self.uri);
        if self.qop == Qop::AuthInt {
            // RFC 8760 §2.6 (7): without a body, the hash of the empty string.
            let mut entity = Hasher::new(hash);
            for part in body {
                entity.add(part);
            }
            hasher.add(b":");
            hasher.add_sum(&entity.finish());
        }
        hasher.finish()
    }
}

/// `nc` as it is hashed and written: 8 hexadecimal digits.
pub(super) fn hex_count(nc: u32) -> [u8; 8] {
    let mut digits = [0; 8];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(nc.to_be_bytes()) {
        pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
    }
    digits
}

impl Quoted<'_> {
    /// 64 bits by which a text is known again without being kept: the start of its SHA-256.
    ///
    /// Not to be forged short of 2⁶⁴ trials, so that a realm made up by a stranger is not taken
    /// for the one that our credentials are bound to.
    pub(crate) fn fingerprint(self) -> u64 {
        let mut hasher = Sha256::new();
        self.pieces(|piece| hasher.update(piece));
        let sum: [u8; 32] = hasher.finalize().into();
        sum.first_chunk::<8>().map_or(0, |&b| u64::from_be_bytes(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of "abc" (FIPS 180-4): the first eight octets.
    #[test]
    fn a_text_is_known_by_the_start_of_its_hash() {
        for text in [&b"abc"[..], b"a\\bc"] {
            let quoted = Quoted::new(text).map(Quoted::fingerprint);
            assert_eq!(quoted, Some(0xba78_16bf_8f01_cfea));
        }
    }
}

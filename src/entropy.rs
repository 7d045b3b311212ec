//! The only source of chance: a stream of random numbers from the caller's 32-byte seed.
//!
//! Same seed, same output, so that a run can be repeated; a seed from a true random source makes
//! tags, branches, Call-IDs, Message-IDs and cnonces unguessable (RFC 3261 §19.3, §8.1.1.4).
//! The generator is ChaCha with 12 rounds. `rand_chacha` fills 256 bytes at a time and would keep
//! them all; here each filling replaces the key by its first 32 bytes, keeps the next 64 for use
//! and drops the rest. That is a third of the memory, and what was handed out cannot be computed
//! back from what is kept.

use core::fmt;
use rand_chacha::ChaCha12Core;
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::rand_core::block::Generator;

/// Bytes kept for use between two fillings.
const POOL: u8 = 64;

/// What a token is made of: lower case, so it survives peers that fold case; 5 bits a character.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A seeded random stream (97 bytes).
pub(crate) struct Entropy {
    key: [u8; 32],
    pool: [u8; POOL as usize],
    /// Bytes of `pool` that are still to be handed out, from its start.
    left: u8,
}

impl Entropy {
    /// A stream that is a function of `seed` alone.
    pub(crate) const fn new(seed: [u8; 32]) -> Self {
        Self {
            key: seed,
            pool: [0; POOL as usize],
            left: 0,
        }
    }

    /// A random number of the full range.
    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    /// A random number of the full range.
    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// Fills `out` with random characters of `a` to `z` and `2` to `7`, five bits each.
    pub(crate) fn token(&mut self, out: &mut [u8]) {
        for twelve in out.chunks_mut(12) {
            let mut bits = self.u64();
            for byte in twelve {
                *byte = ALPHABET.get((bits & 31) as usize).copied().unwrap_or(b'a');
                bits >>= 5;
            }
        }
    }

    /// The next `N` bytes (4 or 8), which are wiped here.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        if usize::from(self.left) < N {
            self.fill();
        }
        let mut taken = [0; N];
        let start = usize::from(self.left).saturating_sub(N);
        if let Some(bytes) = self
            .pool
            .get_mut(start..)
            .and_then(<[u8]>::first_chunk_mut::<N>)
        {
            core::mem::swap(bytes, &mut taken);
        }
        // At most POOL.
        #[allow(clippy::cast_possible_truncation)]
        let left = start as u8;
        self.left = left;
        taken
    }

    fn fill(&mut self) {
        let mut words = [0_u32; 64];
        ChaCha12Core::from_seed(self.key).generate(&mut words);
        let kept = self.key.iter_mut().chain(self.pool.iter_mut());
        for (byte, new) in kept.zip(words.iter().flat_map(|w| w.to_le_bytes())) {
            *byte = new;
        }
        self.left = POOL;
    }
}

/// Says nothing of the state.
impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::Rng;
    use std::collections::HashSet;
    use std::vec::Vec;

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Entropy>(), 97);
    }

    #[test]
    fn same_seed_same_stream_other_seed_another() {
        let draw = |seed| {
            let mut e = Entropy::new([seed; 32]);
            (0..100).map(|_| e.u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert!(draw(1).iter().all(|n| !draw(2).contains(n)));
        assert_eq!(draw(1).iter().collect::<HashSet<_>>().len(), 100);
    }

    #[test]
    fn it_prints_nothing_of_itself() {
        assert_eq!(std::format!("{:?}", Entropy::new([7; 32])), "Entropy");
    }

    // The first filling is what rand_chacha gives: key from bytes 0 to 31, pool from 32 to 95.
    #[test]
    fn the_stream_is_chacha() {
        let mut known = [0; 96];
        rand_chacha::ChaCha12Rng::from_seed([7; 32]).fill_bytes(&mut known);
        let mut ours = Entropy::new([7; 32]);
        let mut pool = [0; 64];
        for eight in pool.chunks_exact_mut(8).rev() {
            eight.copy_from_slice(&ours.u64().to_le_bytes());
        }
        assert_eq!(pool, known[32..]);
        assert_eq!(ours.key, known[..32]);
        assert_eq!(ours.pool, [0; 64], "what was handed out is not kept");

        let mut next = [0; 96];
        rand_chacha::ChaCha12Rng::from_seed(ours.key).fill_bytes(&mut next);
        assert_eq!(ours.u32().to_le_bytes(), next[92..]);
    }

    #[test]
    fn tokens_use_the_whole_alphabet_and_nothing_else() {
        let mut e = Entropy::new([4; 32]);
        for len in 0..40 {
            let mut out = std::vec![0; len];
            e.token(&mut out);
            assert!(out.iter().all(|b| ALPHABET.contains(b)), "{out:?}");
        }
        let mut long = [0; 1200];
        e.token(&mut long);
        assert_eq!(long.iter().collect::<HashSet<_>>().len(), 32);
    }
}

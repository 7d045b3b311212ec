//! The dice of the virtual network: small, seeded, the same on every machine.
//!
//! This is SplitMix64: a counter that steps by the golden ratio and is then mixed. It is good enough to decide
//! which datagram gets lost, and one `u64` of state makes a run repeatable from the seed that a failing test prints.
//! It is not for secrets.

/// A seeded generator of numbers that look random.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose whole sequence follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `0` to `bound - 1`; `0` if `bound` is `0`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Whether something that happens in `percent` of all cases happens now. One number is drawn in any case, so that
    /// changing a percentage does not shift the rest of the run.
    pub fn happens(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }

    /// 16 lower-case hexadecimal digits, for tags, branches and nonces of the scripted server.
    pub fn hex(&mut self) -> std::string::String {
        std::format!("{:016x}", self.next_u64())
    }
}

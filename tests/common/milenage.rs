//! A SIM card for tests: Milenage (3GPP TS 35.206) over AES-128 (FIPS 197), and the network's side of it.
#![allow(dead_code)] // Each test uses its part.

/// The subscriber's key and the operator's constant, as card and network both have them.
#[derive(Clone, Copy)]
pub(crate) struct Card {
    pub(crate) k: [u8; 16],
    pub(crate) opc: [u8; 16],
}

/// What the functions of TS 35.206 give for one RAND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vector {
    pub(crate) res: [u8; 8],
    pub(crate) ck: [u8; 16],
    pub(crate) ik: [u8; 16],
    pub(crate) ak: [u8; 6],
    /// The anonymity key of a resynchronisation.
    pub(crate) ak_star: [u8; 6],
}

/// What a card says to RAND and AUTN (TS 33.102 §6.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Res(Vector),
    /// The sequence number is not above the card's: AUTS.
    SyncFailure([u8; 14]),
    MacFailure,
}

impl Card {
    /// Test set 1 of TS 35.208.
    pub(crate) const SET_1: Self = Self {
        k: 0x465b_5ce8_b199_b49f_aa5f_0a2e_e238_a6bc_u128.to_be_bytes(),
        opc: 0xcd63_cb71_954a_9f4e_48a5_994e_37a0_2baf_u128.to_be_bytes(),
    };

    /// OPc of OP (TS 35.206 §4.1).
    pub(crate) fn opc(k: [u8; 16], op: [u8; 16]) -> [u8; 16] {
        xor(aes(k, op), op)
    }

    /// f1 and f1*: MAC-A and MAC-S.
    pub(crate) fn macs(&self, rand: [u8; 16], sqn: [u8; 6], amf: [u8; 2]) -> ([u8; 8], [u8; 8]) {
        let mut in1 = [0; 16];
        for half in [0, 8] {
            in1[half..half + 6].copy_from_slice(&sqn);
            in1[half + 6..half + 8].copy_from_slice(&amf);
        }
        let temp = aes(self.k, xor(rand, self.opc));
        // r1 = 64, c1 = 0
        let out = xor(
            aes(self.k, xor(temp, rotate(xor(in1, self.opc), 8))),
            self.opc,
        );
        (out[..8].try_into().unwrap(), out[8..].try_into().unwrap())
    }

    /// f2, f3, f4, f5 and f5*.
    pub(crate) fn vector(&self, rand: [u8; 16]) -> Vector {
        let temp = xor(aes(self.k, xor(rand, self.opc)), self.opc);
        let out = |rotation: usize, constant: u8| {
            let mut input = rotate(temp, rotation);
            input[15] ^= constant;
            xor(aes(self.k, input), self.opc)
        };
        let (out2, out5) = (out(0, 1), out(12, 8));
        Vector {
            res: out2[8..].try_into().unwrap(),
            ck: out(4, 2),
            ik: out(8, 4),
            ak: out2[..6].try_into().unwrap(),
            ak_star: out5[..6].try_into().unwrap(),
        }
    }

    /// The network asks: AUTN for this RAND and sequence number.
    pub(crate) fn autn(&self, rand: [u8; 16], sqn: [u8; 6], amf: [u8; 2]) -> [u8; 16] {
        let mut autn = [0; 16];
        autn[..6].copy_from_slice(&xor6(sqn, self.vector(rand).ak));
        autn[6..8].copy_from_slice(&amf);
        autn[8..].copy_from_slice(&self.macs(rand, sqn, amf).0);
        autn
    }

    /// The card answers; `own` is the highest sequence number that it has taken.
    pub(crate) fn answer(&self, rand: [u8; 16], autn: [u8; 16], own: [u8; 6]) -> Said {
        let vector = self.vector(rand);
        let sqn = xor6(autn[..6].try_into().unwrap(), vector.ak);
        let amf = autn[6..8].try_into().unwrap();
        if self.macs(rand, sqn, amf).0 != autn[8..] {
            Said::MacFailure
        } else if sqn <= own {
            let mut auts = [0; 14];
            auts[..6].copy_from_slice(&xor6(own, vector.ak_star));
            // TS 33.102 §6.3.3: AMF is zero in the MAC of a resynchronisation.
            auts[6..].copy_from_slice(&self.macs(rand, own, [0; 2]).1);
            Said::SyncFailure(auts)
        } else {
            Said::Res(vector)
        }
    }
}

fn xor(mut a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}

fn xor6(mut a: [u8; 6], b: [u8; 6]) -> [u8; 6] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}

/// Rotates by that many bytes towards the first.
fn rotate(mut block: [u8; 16], bytes: usize) -> [u8; 16] {
    block.rotate_left(bytes);
    block
}

// --- AES-128 (FIPS 197 §5), one block ---

fn aes(key: [u8; 16], mut state: [u8; 16]) -> [u8; 16] {
    let mut round_key = key;
    let mut rcon = 1;
    state = xor(state, round_key);
    for round in 1..=10 {
        state.iter_mut().for_each(|byte| *byte = sub(*byte));
        let before = state;
        for (i, byte) in state.iter_mut().enumerate() {
            *byte = before[(i + 4 * (i % 4)) % 16]; // ShiftRows
        }
        if round < 10 {
            for column in state.chunks_exact_mut(4) {
                let [a, b, c, d] = [column[0], column[1], column[2], column[3]];
                let all = a ^ b ^ c ^ d;
                column[0] ^= all ^ double(a ^ b);
                column[1] ^= all ^ double(b ^ c);
                column[2] ^= all ^ double(c ^ d);
                column[3] ^= all ^ double(d ^ a);
            }
        }
        for i in 0..16 {
            let word = if i < 4 {
                sub(round_key[12 + (i + 1) % 4]) ^ if i == 0 { rcon } else { 0 }
            } else {
                round_key[i - 4]
            };
            round_key[i] ^= word;
        }
        rcon = double(rcon);
        state = xor(state, round_key);
    }
    state
}

fn double(byte: u8) -> u8 {
    (byte << 1) ^ if byte & 0x80 == 0 { 0 } else { 0x1b }
}

fn times(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = double(a);
        b >>= 1;
    }
    product
}

/// The S-box: the inverse in GF(2^8), which is the 254th power, and an affine map.
fn sub(byte: u8) -> u8 {
    let mut inverse = 1;
    for bit in (0..8).rev() {
        inverse = times(inverse, inverse);
        if 254 >> bit & 1 == 1 {
            inverse = times(inverse, byte);
        }
    }
    (0..5).fold(0x63, |sum, n| sum ^ inverse.rotate_left(n))
}

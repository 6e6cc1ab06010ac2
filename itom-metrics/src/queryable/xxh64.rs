//! XXH64 with seed 0: Prometheus orders series of `limit_ratio` by it, so the same one is needed.

const P1: u64 = 0x9e37_79b1_85eb_ca87;
const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const P3: u64 = 0x1656_67b1_9e37_79f9;
const P4: u64 = 0x85eb_ca77_c2b2_ae63;
const P5: u64 = 0x27d4_eb2f_1656_67c5;

/// A running hash.
#[derive(Debug, Clone)]
pub(crate) struct Xxh64 {
    lanes: [u64; 4],
    /// What does not fill a stripe yet.
    rest: [u8; 32],
    filled: usize,
    total: u64,
}

fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

impl Xxh64 {
    pub(crate) const fn new() -> Self {
        Self {
            lanes: [P1.wrapping_add(P2), P2, 0, 0_u64.wrapping_sub(P1)],
            rest: [0; 32],
            filled: 0,
            total: 0,
        }
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        self.total = self.total.wrapping_add(bytes.len() as u64);
        while !bytes.is_empty() {
            let taken = bytes.len().min(32 - self.filled);
            let (head, tail) = bytes.split_at(taken);
            self.rest[self.filled..self.filled + taken].copy_from_slice(head);
            self.filled += taken;
            bytes = tail;
            if self.filled == 32 {
                for (lane, input) in self.lanes.iter_mut().zip(self.rest.chunks_exact(8)) {
                    *lane = round(*lane, word(input));
                }
                self.filled = 0;
            }
        }
    }

    pub(crate) fn finish(&self) -> u64 {
        let mut hash = if self.total >= 32 {
            let [a, b, c, d] = self.lanes;
            let joined = a
                .rotate_left(1)
                .wrapping_add(b.rotate_left(7))
                .wrapping_add(c.rotate_left(12))
                .wrapping_add(d.rotate_left(18));
            self.lanes
                .iter()
                .fold(joined, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(P1).wrapping_add(P4))
        } else {
            P5
        };
        hash = hash.wrapping_add(self.total);
        let mut rest = &self.rest[..self.filled];
        while rest.len() >= 8 {
            let (input, tail) = rest.split_at(8);
            hash = (hash ^ round(0, word(input))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
            rest = tail;
        }
        if rest.len() >= 4 {
            let (input, tail) = rest.split_at(4);
            hash = (hash ^ word(input).wrapping_mul(P1)).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
            rest = tail;
        }
        for byte in rest {
            hash = (hash ^ u64::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
        }
        hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
        hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
        hash ^ (hash >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::Xxh64;

    #[test]
    fn known_values() {
        let hash = |text: &str| {
            let mut hash = Xxh64::new();
            // In two parts: the result must not depend on how the bytes arrive.
            let (head, tail) = text.as_bytes().split_at(text.len() / 3);
            hash.write(head);
            hash.write(tail);
            hash.finish()
        };
        // From the reference implementation.
        assert_eq!(hash(""), 0xef46_db37_51d8_e999);
        assert_eq!(hash("a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(hash("abc"), 0x44bc_2cf5_ad77_0999);
        assert_eq!(
            hash("Call me Ishmael. Some years ago--never mind how long precisely-"),
            0x02a2_e854_70d6_fd96
        );
    }
}

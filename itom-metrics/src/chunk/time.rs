//! Timestamps as differences of differences: a steady interval costs one bit.

use super::bits::{BitReader, BitWriter};

/// Classes of the difference of differences: how many prefix bits, and how many bits follow.
const CLASSES: [(u64, u8, u8); 4] = [(0b10, 2, 6), (0b110, 3, 10), (0b1110, 4, 17), (0b1_1110, 5, 32)];

/// The running state of one stream of timestamps. All arithmetic wraps, so that any two times have a difference.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TimeState {
    last: i64,
    delta: i64,
}

impl TimeState {
    pub(crate) const fn last(self) -> i64 {
        self.last
    }

    /// The time before the last; the last itself when there is but one.
    pub(crate) const fn before_last(self) -> i64 {
        self.last.wrapping_sub(self.delta)
    }

    pub(crate) fn write(&mut self, out: &mut BitWriter, at: i64, first: bool) {
        if first {
            out.write(at as u64, 64);
            *self = Self { last: at, delta: 0 };
            return;
        }
        let delta = at.wrapping_sub(self.last);
        let change = delta.wrapping_sub(self.delta);
        *self = Self { last: at, delta };
        if change == 0 {
            out.write(0, 1);
            return;
        }
        for (prefix, prefix_bits, bits) in CLASSES {
            let half = 1_i64 << (bits - 1);
            if (-half..half).contains(&change) {
                out.write(prefix, prefix_bits);
                out.write(change as u64, bits);
                return;
            }
        }
        out.write(0b1_1111, 5);
        out.write(change as u64, 64);
    }

    #[inline]
    pub(crate) fn read(&mut self, input: &mut BitReader<'_>, first: bool) -> i64 {
        if first {
            *self = Self { last: input.read(64) as i64, delta: 0 };
            return self.last;
        }
        if input.bit() {
            self.delta = self.delta.wrapping_add(change(input));
        }
        self.last = self.last.wrapping_add(self.delta);
        self.last
    }
}

/// A difference of differences that is not zero, after its first bit.
fn change(input: &mut BitReader<'_>) -> i64 {
    let mut class = 0;
    while class < 4 && input.bit() {
        class += 1;
    }
    let bits = CLASSES.get(class).map_or(64, |class| class.2);
    let shift = 64 - u32::from(bits);
    ((input.read(bits) << shift) as i64) >> shift
}

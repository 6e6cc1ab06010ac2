//! Values as xor with their predecessor; can be appended to.

use super::Raw;
use super::bits::{BitReader, BitWriter};
use super::time::TimeState;

/// 69 bits of time and 77 bits of value.
pub(crate) const WORST_SAMPLE_BYTES: usize = 19;

/// The window of significant bits of the last xor that was written in full.
#[derive(Debug, Clone, Copy)]
struct Window {
    leading: u8,
    width: u8,
}

/// No window yet: nothing fits in it.
const NO_WINDOW: Window = Window { leading: 64, width: 0 };

/// A run that still grows.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    out: BitWriter,
    min: i64,
    time: TimeState,
    last: u64,
    window: Window,
    count: u16,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            out: BitWriter::default(),
            min: 0,
            time: TimeState::default(),
            last: 0,
            window: NO_WINDOW,
            count: 0,
        }
    }
}

impl Head {
    pub(crate) fn from_samples(samples: &[Raw]) -> Self {
        let mut head = Self::default();
        for sample in samples {
            head.push(*sample);
        }
        head
    }

    pub(crate) const fn count(&self) -> usize {
        self.count as usize
    }

    /// The oldest time; meaningless when empty.
    pub(crate) const fn min(&self) -> i64 {
        self.min
    }

    /// The newest sample.
    pub(crate) fn last(&self) -> Option<Raw> {
        (self.count > 0).then(|| (self.time.last(), self.last))
    }

    /// The newest sample, if all others are no later than `after`.
    pub(crate) fn only_after(&self, after: i64) -> Option<Raw> {
        let alone = self.count == 1 || self.time.before_last() <= after;
        self.last().filter(|(at, _)| alone && *at > after)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.out.bytes()
    }

    /// Bytes on the heap.
    pub(crate) const fn heap_bytes(&self) -> usize {
        self.out.capacity()
    }

    /// Adds a sample; the caller sees to it that it is newer than all others and that fewer than 65,535 are there.
    pub(crate) fn push(&mut self, (at, bits): Raw) {
        self.out.make_room(WORST_SAMPLE_BYTES);
        let first = self.count == 0;
        self.time.write(&mut self.out, at, first);
        if first {
            self.min = at;
            self.out.write(bits, 64);
        } else {
            self.write_value(bits);
        }
        self.last = bits;
        self.count += 1;
    }

    fn write_value(&mut self, bits: u64) {
        let xor = bits ^ self.last;
        if xor == 0 {
            self.out.write(0, 1);
            return;
        }
        let leading = (xor.leading_zeros() as u8).min(31);
        let trailing = xor.trailing_zeros() as u8;
        let width = 64 - leading - trailing;
        let window = self.window;
        let fits =
            leading >= window.leading && trailing >= 64_u8.saturating_sub(window.leading + window.width);
        // An old window that is much too wide costs more than saying a new one.
        if fits && window.width <= width + 11 {
            self.out.write(0b10, 2);
            self.out.write(xor >> (64 - window.leading - window.width), window.width);
        } else {
            self.out.write(0b11, 2);
            self.out.write(u64::from(leading), 5);
            self.out.write(u64::from(width - 1), 6);
            self.out.write(xor >> trailing, width);
            self.window = Window { leading, width };
        }
    }

    /// Adds the samples with `from <= time <= to` to `out`.
    pub(crate) fn read(&self, from: i64, to: i64, out: &mut Vec<Raw>) {
        decode(self.bytes(), self.count(), from, to, out);
    }

    pub(crate) fn samples(&self) -> Vec<Raw> {
        let mut out = Vec::with_capacity(self.count());
        self.read(i64::MIN, i64::MAX, &mut out);
        out
    }
}

/// Hands samples to `each` in order of time until it says stop.
fn walk(bytes: &[u8], count: usize, mut each: impl FnMut(Raw) -> bool) {
    let mut input = BitReader::new(bytes);
    let mut time = TimeState::default();
    let mut bits = 0_u64;
    let mut window = NO_WINDOW;
    for index in 0..count {
        let at = time.read(&mut input, index == 0);
        if index == 0 {
            bits = input.read(64);
        } else if input.bit() {
            if input.bit() {
                let leading = input.read(5) as u8;
                window = Window { leading, width: input.read(6) as u8 + 1 };
            }
            let shift = 64_u8.saturating_sub(window.leading + window.width);
            bits ^= input.read(window.width) << shift;
        }
        if !each((at, bits)) {
            return;
        }
    }
}

pub(super) fn decode(bytes: &[u8], count: usize, from: i64, to: i64, out: &mut Vec<Raw>) {
    walk(bytes, count, |(at, bits)| {
        if at > to {
            return false;
        }
        if at >= from {
            out.push((at, bits));
        }
        true
    });
}

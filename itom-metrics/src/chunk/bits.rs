//! Reading and writing of bit fields, most significant bit first.

/// Appends bit fields to a byte buffer.
#[derive(Debug, Clone, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Unused low bits of the last byte.
    free: u8,
}

impl BitWriter {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes room for `more` bytes; grows by half, since many buffers exist at once and most stay small.
    pub(crate) fn make_room(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() < more {
            self.bytes.reserve_exact(more.max(self.bytes.capacity() / 2));
        }
    }

    /// Writes the low `count` bits of `value`; `count` is at most 64.
    pub(crate) fn write(&mut self, value: u64, count: u8) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let field = (value >> (left - take)) & ((1_u64 << take) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (field as u8) << (self.free - take);
            }
            self.free -= take;
            left -= take;
        }
    }
}

/// Reads bit fields. Past the end it reads zeros: chunks are only ever made by this crate, with their count beside
/// them.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    next: usize,
    acc: u64,
    bits: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: 0, acc: 0, bits: 0 }
    }

    fn refill(&mut self) {
        if let Some(word) = self.bytes.get(self.next..).and_then(<[u8]>::first_chunk) {
            // Eight bytes at once. What does not count yet is read again, and is the same then.
            self.acc |= u64::from_be_bytes(*word) >> self.bits;
            let taken = (63 - self.bits) >> 3;
            self.next += taken as usize;
            self.bits += taken << 3;
            return;
        }
        while self.bits <= 56 {
            let byte = self.bytes.get(self.next).copied().unwrap_or(0);
            self.next += 1;
            self.acc |= u64::from(byte) << (56 - self.bits);
            self.bits += 8;
        }
    }

    #[inline]
    pub(crate) fn read(&mut self, count: u8) -> u64 {
        if count > 32 {
            let high = self.read(count - 32);
            return (high << 32) | self.read(32);
        }
        if count == 0 {
            return 0;
        }
        if self.bits < u32::from(count) {
            self.refill();
        }
        let value = self.acc >> (64 - u32::from(count));
        self.acc <<= count;
        self.bits -= u32::from(count);
        value
    }

    #[inline]
    pub(crate) fn bit(&mut self) -> bool {
        if self.bits == 0 {
            self.refill();
        }
        let bit = self.acc >> 63 == 1;
        self.acc <<= 1;
        self.bits -= 1;
        bit
    }
}

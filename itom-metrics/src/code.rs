//! Numbers and texts as bytes: what the log, the segments and stored histograms are written in.

/// Writing.
pub(crate) trait Put {
    fn varint(&mut self, value: u64);
    fn zigzag(&mut self, value: i64);
    fn fixed64(&mut self, value: u64);
    fn text(&mut self, text: &str);
}

impl Put for Vec<u8> {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn zigzag(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    fn fixed64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.extend_from_slice(text.as_bytes());
    }
}

/// Reading: `None` wherever the bytes end early or say nothing sensible. Never reserves more than the bytes at hand
/// can fill.
#[derive(Debug, Clone)]
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn fixed32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub(crate) fn fixed64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    pub(crate) fn size(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }

    /// How many things follow that take at least `least` bytes each.
    pub(crate) fn count(&mut self, least: usize) -> Option<usize> {
        let count = self.size()?;
        (count.checked_mul(least)? <= self.0.len()).then_some(count)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.size()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }
}

//! The wire format of protobuf, as far as expositions use it.

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// What is wrong with a message.
pub(super) type Wrong = &'static str;

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// A whole number of variable length.
    pub(super) fn varint(&mut self) -> Result<u64, Wrong> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let (first, rest) = self.rest.split_first().ok_or("a number is cut off")?;
            self.rest = rest;
            if shift == 63 && *first > 1 {
                return Err("a number has more than 64 bits");
            }
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number has more than ten bytes")
    }

    pub(super) fn bytes(&mut self, length: u64) -> Result<&'a [u8], Wrong> {
        let length = usize::try_from(length).map_err(|_| "a length is beyond the end")?;
        let (found, rest) = self.rest.split_at_checked(length).ok_or("a length is beyond the end")?;
        self.rest = rest;
        Ok(found)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let (found, rest) = self.rest.split_first_chunk::<N>().ok_or("a number is cut off")?;
        self.rest = rest;
        Ok(*found)
    }

    /// The next field with its number; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Wrong> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            _ => return Err("a field has a wire type that there is not"),
        };
        if key >> 3 == 0 {
            return Err("a field has the number 0");
        }
        Ok(Some((key >> 3, value)))
    }
}

/// The number that zigzag encoding stands for.
pub(super) const fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

impl<'a> Value<'a> {
    pub(super) fn message(self) -> Result<Fields<'a>, Wrong> {
        self.raw().map(Fields::new)
    }

    fn raw(self) -> Result<&'a [u8], Wrong> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err("a field that holds bytes is a number"),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.raw()?).map_err(|_| "a text is not UTF-8")
    }

    pub(super) const fn whole(self) -> Result<u64, Wrong> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err("a field that holds a whole number holds something else"),
        }
    }

    pub(super) const fn double(self) -> Result<f64, Wrong> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err("a field that holds a float holds something else"),
        }
    }

    /// Adds whole numbers, packed or single.
    pub(super) fn wholes(self, out: &mut Vec<u64>) -> Result<(), Wrong> {
        match self {
            Self::Varint(value) => out.push(value),
            _ => {
                let mut packed = self.message()?;
                while packed.left() > 0 {
                    out.push(packed.varint()?);
                }
            }
        }
        Ok(())
    }

    /// Adds floats, packed or single.
    pub(super) fn doubles(self, out: &mut Vec<f64>) -> Result<(), Wrong> {
        match self {
            Self::Fixed64(bits) => out.push(f64::from_bits(bits)),
            _ => {
                let mut packed = self.message()?;
                while packed.left() > 0 {
                    out.push(f64::from_bits(u64::from_le_bytes(packed.fixed()?)));
                }
            }
        }
        Ok(())
    }
}

//! Old values in few bytes: variable-length numbers, names by number, texts as they are.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{
    AttrName, CiKind, Key, KeyKind, Realm, RelationKind, SourceName, Strength, Text, Timestamp, Value,
};

use crate::view::{Attribute, Claim, ClaimReason, LifeCycle, LifeState};

/// The numbers that old values use.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    pub(super) attributes: Names<AttrName>,
    pub(super) sources: Names<SourceName>,
    pub(super) kinds: Names<CiKind>,
    pub(super) relations: Names<RelationKind>,
    /// What keys have beside their value.
    shapes: Names<(KeyKind, Realm, Strength)>,
    /// Keys that are not read back from their parts.
    keys: Names<Key>,
    pub(super) states: Names<LifeState>,
    pub(super) lives: Names<LifeCycle>,
    reasons: Names<ClaimReason>,
}

impl Books {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let names =
            self.attributes.bytes() + self.sources.bytes() + self.kinds.bytes() + self.relations.bytes();
        let keys = self.shapes.bytes() + self.keys.bytes();
        names + keys + self.states.bytes() + self.lives.bytes() + self.reasons.bytes()
    }
}

/// Numbers for names, so that a version costs a byte or two for each.
#[derive(Debug, Clone)]
pub(super) struct Names<T> {
    all: Vec<T>,
    numbers: BTreeMap<T, u32>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Names<T> {
    pub(super) fn number(&mut self, name: &T) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // More names than that do not fit into memory.
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }

    pub(super) fn name(&self, number: u64) -> Option<&T> {
        self.all.get(usize::try_from(number).ok()?)
    }

    /// About how many bytes it takes: each name twice, with its number, and a text of its own.
    fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<T>() + self.all.len() * (size_of::<(T, u32)>() * 4 / 3 + 48)
    }
}

#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Small numbers of either sign in few bytes.
    pub(super) fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)) as u64);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Unknown => self.number(0),
            Value::NotApplicable => self.number(1),
            Value::Withheld => self.number(2),
            Value::Bool(own) => self.number(3 + u64::from(*own)),
            Value::Int(own) => {
                self.number(5);
                self.signed(*own);
            }
            Value::Float(own) => {
                self.number(6);
                self.0.extend_from_slice(&own.to_bits().to_le_bytes());
            }
            Value::Text(own) => {
                self.number(7);
                self.text(own);
            }
            Value::Time(own) => {
                self.number(8);
                self.signed(own.as_micros());
            }
            Value::List(items) => {
                self.number(9);
                self.number(items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
            Value::Map(fields) => {
                self.number(10);
                self.number(fields.len() as u64);
                for (name, field) in fields {
                    self.text(name);
                    self.value(field);
                }
            }
            // A value of a kind that is not known here reads back as one that could not be read.
            _ => self.number(0),
        }
    }

    fn claim(&mut self, books: &mut Books, near: Timestamp, claim: &Claim) {
        self.value(&claim.value);
        self.number(u64::from(books.sources.number(&claim.source)));
        self.signed(near.as_micros().wrapping_sub(claim.observed.as_micros()));
        self.signed(claim.recorded.as_micros().wrapping_sub(claim.observed.as_micros()));
        self.signed(i64::from(claim.rank));
        self.number(u64::from(books.reasons.number(&claim.reason)));
    }

    /// Times are written against one that is `near`.
    pub(super) fn sources(&mut self, books: &mut Books, sources: &BTreeSet<SourceName>) {
        sources.iter().for_each(|source| self.number(u64::from(books.sources.number(source))));
    }

    /// Each key by its parts, if it is read back from them, else by number.
    pub(super) fn keys(&mut self, books: &mut Books, keys: &[Key]) {
        for key in keys {
            let (kind, realm, strength) = (key.kind().clone(), key.realm().clone(), key.strength());
            if Key::new(kind.clone(), realm.clone(), key.value(), strength).as_ref() == Ok(key) {
                self.number(u64::from(books.shapes.number(&(kind, realm, strength))) << 1);
                self.text(key.value());
            } else {
                self.number(u64::from(books.keys.number(key)) << 1 | 1);
            }
        }
    }

    pub(super) fn attribute(&mut self, books: &mut Books, near: Timestamp, attribute: &Attribute) {
        self.number(attribute.others.len() as u64);
        self.claim(books, near, &attribute.winner);
        attribute.others.iter().for_each(|other| self.claim(books, near, other));
    }
}

/// Reads what [`Writer`] wrote. `None` only if it was not: nothing here comes from outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn text(&mut self) -> Option<Text> {
        Some(Text::from(std::str::from_utf8(self.bytes()?).ok()?))
    }

    pub(super) fn value(&mut self) -> Option<Value> {
        Some(match self.number()? {
            0 => Value::Unknown,
            1 => Value::NotApplicable,
            2 => Value::Withheld,
            3 => Value::Bool(false),
            4 => Value::Bool(true),
            5 => Value::Int(self.signed()?),
            6 => {
                let (bits, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                Value::Float(f64::from_bits(u64::from_le_bytes(*bits)))
            }
            7 => Value::Text(self.text()?),
            8 => Value::Time(Timestamp::from_micros(self.signed()?)),
            9 => {
                let count = self.number()?;
                Value::List((0..count).map(|_| self.value()).collect::<Option<_>>()?)
            }
            10 => {
                let count = self.number()?;
                let mut fields = BTreeMap::new();
                for _ in 0..count {
                    fields.insert(self.text()?, self.value()?);
                }
                Value::Map(fields)
            }
            _ => return None,
        })
    }

    fn claim(&mut self, books: &Books, near: Timestamp) -> Option<Claim> {
        let value = self.value()?;
        let source = books.sources.name(self.number()?)?.clone();
        let observed = Timestamp::from_micros(near.as_micros().wrapping_sub(self.signed()?));
        let recorded = Timestamp::from_micros(observed.as_micros().wrapping_add(self.signed()?));
        let rank = i32::try_from(self.signed()?).ok()?;
        let reason = *books.reasons.name(self.number()?)?;
        Some(Claim { value, source, observed, recorded, rank, reason })
    }

    /// All that is left, as sources.
    pub(super) fn sources(&mut self, books: &Books) -> Option<BTreeSet<SourceName>> {
        let mut sources = BTreeSet::new();
        while !self.0.is_empty() {
            sources.insert(books.sources.name(self.number()?)?.clone());
        }
        Some(sources)
    }

    /// All that is left, as keys.
    pub(super) fn keys(&mut self, books: &Books) -> Option<Vec<Key>> {
        let mut keys = Vec::new();
        while !self.0.is_empty() {
            let number = self.number()?;
            keys.push(if number & 1 == 0 {
                let (kind, realm, strength) = books.shapes.name(number >> 1)?.clone();
                Key::new(kind, realm, std::str::from_utf8(self.bytes()?).ok()?, strength).ok()?
            } else {
                books.keys.name(number >> 1)?.clone()
            });
        }
        Some(keys)
    }

    pub(super) fn attribute(&mut self, books: &Books, near: Timestamp) -> Option<Attribute> {
        let others = self.number()?;
        let winner = self.claim(books, near)?;
        let others = (0..others).map(|_| self.claim(books, near)).collect::<Option<_>>()?;
        Some(Attribute { winner, others })
    }
}

//! The old values of one thing, field by field.

use itom_core::Timestamp;

use super::fields::Field;
use super::packed::{Reader, Writer};

/// Bytes after which a run of old values is sealed, so that finding one reads no more than this.
const SEAL: usize = 768;

#[derive(Debug, Clone)]
struct Sealed {
    last: Timestamp,
    base: Timestamp,
    bytes: Box<[u8]>,
}

/// The old values of one field: each was so until a time, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Versions {
    pub(super) field: Field,
    /// Until when the newest of them was so.
    last: Timestamp,
    /// What the first time in `bytes` is counted from.
    base: Timestamp,
    bytes: Vec<u8>,
    #[expect(clippy::box_collection, reason = "nearly always absent, and then 8 bytes instead of 24")]
    sealed: Option<Box<Vec<Sealed>>>,
}

impl Versions {
    pub(super) const fn new(field: Field) -> Self {
        Self { field, last: Timestamp::MIN, base: Timestamp::EPOCH, bytes: Vec::new(), sealed: None }
    }

    /// Until when the newest old value was so.
    pub(super) const fn last(&self) -> Timestamp {
        self.last
    }

    /// Adds the value that was so until `until`. What was only so within one moment was never seen.
    pub(super) fn put(&mut self, until: Timestamp, value: &[u8]) -> bool {
        if until <= self.last {
            return false;
        }
        let from = if self.bytes.is_empty() { self.base } else { self.last };
        let mut entry = Writer(Vec::with_capacity(value.len() + 8));
        entry.signed(until.as_micros().wrapping_sub(from.as_micros()));
        entry.bytes(value);
        let room = self.bytes.capacity() - self.bytes.len();
        if entry.0.len() > room {
            self.bytes.reserve_exact(entry.0.len() + self.bytes.len() / 4);
        }
        self.bytes.extend_from_slice(&entry.0);
        self.last = until;
        if self.bytes.len() >= SEAL {
            let bytes = std::mem::take(&mut self.bytes).into_boxed_slice();
            let sealed = Sealed { last: until, base: self.base, bytes };
            self.sealed.get_or_insert_default().push(sealed);
            self.base = until;
        }
        true
    }

    /// The value at a time, and until when it was so; `None` when it has not changed since.
    pub(super) fn at(&self, at: Timestamp) -> Option<(Timestamp, &[u8])> {
        if self.last <= at {
            return None;
        }
        let sealed = self.sealed.as_deref().map_or(&[][..], Vec::as_slice);
        let index = sealed.partition_point(|block| block.last <= at);
        let (base, bytes) =
            sealed.get(index).map_or((self.base, &self.bytes[..]), |block| (block.base, &block.bytes));
        let mut reader = Reader(bytes);
        let mut until = base;
        loop {
            until = Timestamp::from_micros(until.as_micros().wrapping_add(reader.signed()?));
            let value = reader.bytes()?;
            if until > at {
                return Some((until, value));
            }
        }
    }

    /// Every old value with until when it was so, oldest first.
    pub(super) fn all(&self) -> Vec<(Timestamp, &[u8])> {
        let sealed = self.sealed.as_deref().map_or(&[][..], Vec::as_slice);
        let blocks = sealed.iter().map(|block| (block.base, &block.bytes[..]));
        let mut all = Vec::new();
        for (base, bytes) in blocks.chain([(self.base, &self.bytes[..])]) {
            let mut reader = Reader(bytes);
            let mut until = base;
            while let Some(step) = reader.signed() {
                until = Timestamp::from_micros(until.as_micros().wrapping_add(step));
                let Some(value) = reader.bytes() else { break };
                all.push((until, value));
            }
        }
        all
    }

    /// Forgets what was so before a time only. Returns how many values went.
    pub(super) fn forget(&mut self, before: Timestamp) -> usize {
        let kept: Vec<(Timestamp, Vec<u8>)> = self
            .all()
            .into_iter()
            .filter(|(until, _)| *until > before)
            .map(|(until, value)| (until, value.to_vec()))
            .collect();
        let gone = self.all().len() - kept.len();
        if gone > 0 {
            let mut rest = Self::new(self.field);
            kept.iter().for_each(|(until, value)| {
                rest.put(*until, value);
            });
            rest.last = rest.last.max(self.last);
            *self = rest;
        }
        gone
    }

    pub(super) fn bytes(&self) -> usize {
        let sealed = self.sealed.as_deref();
        size_of::<Self>()
            + self.bytes.capacity()
            + sealed.map_or(0, |blocks| blocks.capacity() * size_of::<Sealed>())
            + sealed.into_iter().flatten().map(|block| block.bytes.len()).sum::<usize>()
    }
}

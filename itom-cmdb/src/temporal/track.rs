//! The old values of one thing, packed: which step ended each, oldest first.

use super::fields::{Field, WHOLE};
use super::packed::{Reader, Writer};

/// A step of a line, counted from 1. What ended with step `n` was so before it.
pub(super) type Step = u32;

/// Bytes after which a run of old values is sealed, so that finding one reads little more than this.
const SEAL: usize = 512;

/// The bit of fields that have none of their own.
const OTHERS: u64 = 1 << 63;

const fn bit(field: Field) -> u64 {
    if field < 63 { 1 << field } else { OTHERS }
}

#[derive(Debug, Clone)]
struct Sealed {
    /// The last step in it.
    last: Step,
    /// What the first step in it is counted from.
    base: Step,
    /// The fields that it speaks of.
    fields: u64,
    bytes: Box<[u8]>,
}

/// The old values of one thing.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    bytes: Box<[u8]>,
    #[expect(clippy::box_collection, reason = "nearly always absent, and then 8 bytes instead of 24")]
    sealed: Option<Box<Vec<Sealed>>>,
    base: Step,
    last: Step,
}

/// One old value: it was so until a step.
pub(super) type Old<'a> = (Step, Field, &'a [u8]);

fn entries(base: Step, bytes: &[u8]) -> impl Iterator<Item = Old<'_>> {
    let mut reader = Reader(bytes);
    let mut until = base;
    std::iter::from_fn(move || {
        until = until.wrapping_add(u32::try_from(reader.number()?).ok()?);
        let field = u32::try_from(reader.number()?).ok()?;
        Some((until, field, reader.bytes()?))
    })
}

impl Track {
    /// The last step that ended an old value.
    pub(super) const fn last(&self) -> Step {
        self.last
    }

    /// The first step that ended an old value which is still known.
    pub(super) fn first(&self) -> Option<Step> {
        self.all().next().map(|(until, ..)| until)
    }

    fn sealed(&self) -> &[Sealed] {
        self.sealed.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether this step already ended a value of the field, or the whole.
    fn says(&self, until: Step, field: Field) -> bool {
        self.last == until
            && self.all().any(|(own, told, _)| own == until && (told == field || told == WHOLE))
    }

    /// Adds the value that was so until a step, which is not before any that was added. What was only so within one
    /// step was never seen.
    pub(super) fn put(&mut self, until: Step, field: Field, value: &[u8]) -> bool {
        if self.says(until, field) {
            return false;
        }
        let from = if self.bytes.is_empty() { self.base } else { self.last };
        let mut bytes = Writer(std::mem::take(&mut self.bytes).into_vec());
        bytes.0.reserve_exact(value.len() + 4);
        bytes.number(u64::from(until.saturating_sub(from)));
        bytes.number(u64::from(field));
        bytes.bytes(value);
        self.bytes = bytes.0.into_boxed_slice();
        self.last = until;
        if self.bytes.len() >= SEAL {
            let bytes = std::mem::take(&mut self.bytes);
            let fields = entries(self.base, &bytes).fold(0, |all, (_, field, _)| all | bit(field));
            let sealed = Sealed { last: until, base: self.base, fields, bytes };
            self.sealed.get_or_insert_default().push(sealed);
            self.base = until;
        }
        true
    }

    /// The old value of each field that was so at a step and is no more, in the order in which they ended, up to the
    /// whole thing if there is one: what ended after it is part of another life.
    pub(super) fn beyond<'a>(&'a self, step: Step, mut found: impl FnMut(Old<'a>)) {
        if self.last <= step {
            return;
        }
        let sealed = self.sealed();
        let first = sealed.partition_point(|block| block.last <= step);
        let blocks = sealed.get(first..).unwrap_or(&[]);
        let open = (self.base, u64::MAX, &self.bytes);
        // Fields that have been found; those without a bit of their own are remembered by number.
        let (mut done, mut others) = (0_u64, Vec::new());
        for (base, fields, bytes) in
            blocks.iter().map(|block| (block.base, block.fields, &block.bytes)).chain([open])
        {
            if fields & !done == 0 {
                continue;
            }
            for (until, field, value) in entries(base, bytes) {
                if until <= step {
                    continue;
                }
                let own = bit(field);
                if own == OTHERS {
                    if others.contains(&field) {
                        continue;
                    }
                    others.push(field);
                } else {
                    if done & own != 0 {
                        continue;
                    }
                    done |= own;
                }
                found((until, field, value));
                if field == WHOLE {
                    return;
                }
            }
        }
    }

    /// The value of a field that was so at a step and is no more.
    pub(super) fn first_beyond(&self, step: Step, field: Field) -> Option<&[u8]> {
        if self.last <= step {
            return None;
        }
        let sealed = self.sealed();
        let first = sealed.partition_point(|block| block.last <= step);
        let blocks = sealed.get(first..).unwrap_or(&[]).iter();
        let told = blocks.filter(|block| block.fields & bit(field) != 0);
        let told = told.flat_map(|block| entries(block.base, &block.bytes));
        let mut told = told.chain(entries(self.base, &self.bytes));
        told.find(|(until, own, _)| *until > step && *own == field).map(|(.., bytes)| bytes)
    }

    /// Every old value, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = Old<'_>> {
        let sealed = self.sealed().iter().flat_map(|block| entries(block.base, &block.bytes));
        sealed.chain(entries(self.base, &self.bytes))
    }

    /// Forgets what ended with a step or before. Returns how many values went.
    pub(super) fn forget(&mut self, until: Step) -> usize {
        let mut rest = Self::default();
        let mut gone = 0;
        for (own, field, value) in self.all() {
            if own <= until {
                gone += 1;
            } else {
                rest.put(own, field, value);
            }
        }
        if gone > 0 {
            rest.last = rest.last.max(self.last);
            *self = rest;
        }
        gone
    }

    /// About how many bytes it takes, those of the allocator included.
    pub(super) fn bytes(&self) -> usize {
        let sealed = self.sealed.as_deref();
        size_of::<Self>()
            + held(self.bytes.len())
            + sealed.map_or(0, |blocks| 40 + blocks.capacity() * size_of::<Sealed>())
            + self.sealed().iter().map(|block| held(block.bytes.len())).sum::<usize>()
    }
}

/// What an allocator takes for so many bytes: a word of its own, in units of 16.
const fn held(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn l2_a_packed_track_is_a_list_of_old_values(
            puts in proptest::collection::vec((0_u32..3, 1_u32..80, 0_usize..40), 1..200),
            forget in proptest::option::of(0_u32..300),
        ) {
            let mut track = Track::default();
            let mut model: Vec<(Step, Field, Vec<u8>)> = Vec::new();
            let mut step = 1;
            for (index, (ahead, field, len)) in puts.iter().enumerate() {
                step += ahead;
                let field = if index % 31 == 30 { WHOLE } else { *field };
                let value = vec![index as u8; *len];
                let known = model.iter().any(|(until, own, _)| *until == step && (*own == field || *own == WHOLE));
                prop_assert_eq!(track.put(step, field, &value), !known);
                if !known {
                    model.push((step, field, value));
                }
            }
            if let Some(until) = forget {
                let before = model.len();
                model.retain(|(own, ..)| *own > until);
                prop_assert_eq!(track.forget(until), before - model.len());
            }
            for at in forget.unwrap_or(0)..=step {
                let mut expected = BTreeMap::new();
                for (until, field, value) in model.iter().filter(|(until, ..)| *until > at) {
                    expected.entry(*field).or_insert((*until, value.clone()));
                    if *field == WHOLE {
                        break;
                    }
                }
                let mut got = BTreeMap::new();
                track.beyond(at, |(until, field, value)| {
                    got.insert(field, (until, value.to_vec()));
                });
                prop_assert_eq!(got, expected, "at {}", at);
            }
        }
    }
}

//! What was deleted from a segment: a small file beside it.

use std::collections::BTreeMap;

use crate::code::{Put, Take};

const MAGIC: &[u8; 8] = b"itomtmb\x01";

/// Stretches of time of series, by their number in the segment; each with both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tombstones(BTreeMap<u32, Vec<(i64, i64)>>);

impl Tombstones {
    /// Adds a stretch, joined with those that it touches.
    pub(super) fn add(&mut self, series: u32, from: i64, to: i64) {
        let stretches = self.0.entry(series).or_default();
        let (mut from, mut to) = (from, to);
        stretches.retain(|(begin, end)| {
            let apart = *end < from || *begin > to;
            if !apart {
                from = from.min(*begin);
                to = to.max(*end);
            }
            apart
        });
        let place = stretches.partition_point(|stretch| stretch.0 < from);
        stretches.insert(place, (from, to));
    }

    /// Whether anything of a series was deleted.
    #[cfg(feature = "api")]
    pub(super) fn touches(&self, series: u32) -> bool {
        self.0.contains_key(&series)
    }

    pub(super) fn covers(&self, series: u32, at: i64) -> bool {
        self.0.get(&series).is_some_and(|stretches| {
            let after = stretches.partition_point(|stretch| stretch.0 <= at);
            after.checked_sub(1).and_then(|last| stretches.get(last)).is_some_and(|stretch| at <= stretch.1)
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.varint(self.0.values().map(Vec::len).sum::<usize>() as u64);
        for (series, stretches) in &self.0 {
            for (from, to) in stretches {
                body.varint(u64::from(*series));
                body.zigzag(*from);
                body.zigzag(*to);
            }
        }
        [&MAGIC[..], &crc32fast::hash(&body).to_le_bytes(), &body].concat()
    }

    /// `None` when the bytes are not what was written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut take = Take(bytes.strip_prefix(MAGIC)?);
        let sum = take.fixed32()?;
        if crc32fast::hash(take.0) != sum {
            return None;
        }
        let mut tombstones = Self::default();
        for _ in 0..take.count(3)? {
            let series = u32::try_from(take.varint()?).ok()?;
            let (from, to) = (take.zigzag()?, take.zigzag()?);
            tombstones.add(series, from, to);
        }
        take.is_empty().then_some(tombstones)
    }
}

//! Tiers: what whole stretches of time amount to, kept longer than the samples.
//!
//! [`compact`](super::DurableStore::compact) makes buckets of samples that are in segments, so of complete stretches only.
//! A late sample or a delete has its buckets made anew with the next compaction, as long as all their samples are still
//! there; a bucket of which a part was deleted when its samples were gone is hidden as a whole. Of several files that
//! have a bucket, the one later in order counts.

mod build;
mod histogram;
mod read;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

pub(super) use histogram::decoded;
use histogram::encoded;

use super::folder::Folder;
use super::segment::Segment;
use super::store::DurableStore;
use super::{DurableError, doing};
use crate::Bucket;
use crate::code::{Put, Take};

/// A tier of a durable store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a length and a time")]
pub struct Tier {
    /// The length of its buckets, a whole number of seconds.
    pub every: Duration,
    /// How long they are kept.
    pub keep: Duration,
}

impl Tier {
    pub(super) fn length(self) -> i64 {
        i64::try_from(self.every.as_secs().max(1)).unwrap_or(i64::MAX).saturating_mul(1_000)
    }
}

/// Columns of a bucket of floats in a file.
pub(super) const COLUMNS: usize = 9;

pub(super) type Row = (i64, [u64; COLUMNS]);

pub(super) fn row_of(bucket: &Bucket) -> Row {
    let ago = |at: i64| (bucket.end.saturating_sub(at) as f64).to_bits();
    let columns = [
        (bucket.count as f64).to_bits(),
        bucket.sum.to_bits(),
        bucket.min.to_bits(),
        bucket.max.to_bits(),
        bucket.first.to_bits(),
        ago(bucket.first_at),
        bucket.last.to_bits(),
        ago(bucket.last_at),
        bucket.lost.to_bits(),
    ];
    (bucket.end, columns)
}

pub(super) fn bucket_of((end, columns): &Row) -> Bucket {
    let [count, sum, min, max, first, first_ago, last, last_ago, lost] = columns.map(f64::from_bits);
    let before = |ago: f64| end.saturating_sub(ago as i64);
    let (first_at, last_at) = (before(first_ago), before(last_ago));
    Bucket { end: *end, count: count as u64, sum, min, max, first, first_at, last, last_at, lost }
}

/// Where a file stands: the length of its buckets, its order among those of this length, and its own number.
pub(super) type FileKey = (i64, u64, u64);

pub(super) fn file_name((length, order, number): FileKey) -> String {
    format!("tier-{length:013}-{order:016}-{number:016}.itom")
}

pub(super) fn deleted_name(key: FileKey) -> String {
    format!("{}deleted", file_name(key).trim_end_matches("itom"))
}

pub(super) fn key_of(name: &str) -> Option<FileKey> {
    let mut parts = name.strip_prefix("tier-")?.strip_suffix(".itom")?.split('-');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u64>().ok())?
    };
    let key = (i64::try_from(number(13)?).ok().filter(|length| *length > 0)?, number(16)?, number(16)?);
    parts.next().is_none().then_some(key)
}

/// How far one tier was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    /// All buckets that end until then are there.
    pub(super) through: i64,
    /// Samples of these times changed since.
    pub(super) dirty: Option<(i64, i64)>,
}

/// What is remembered about the tiers beside their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// From when on all samples are there.
    pub(super) samples_from: i64,
    /// By the length of the buckets.
    pub(super) made: BTreeMap<i64, Made>,
}

impl Default for State {
    fn default() -> Self {
        Self { samples_from: i64::MIN, made: BTreeMap::new() }
    }
}

const STATE: &str = "tiers.itom";
/// What it is, and its format. Format 1 is of tiers without histograms.
const MAGIC: &[u8; 8] = b"itomtir\x02";
const FLOATS_ONLY: &[u8; 8] = b"itomtir\x01";

impl State {
    fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.zigzag(self.samples_from);
        body.varint(self.made.len() as u64);
        for (length, made) in &self.made {
            body.zigzag(*length);
            body.zigzag(made.through);
            // None is a stretch that ends before it begins.
            let (from, to) = made.dirty.unwrap_or((1, 0));
            body.zigzag(from);
            body.zigzag(to);
        }
        [&MAGIC[..], &crc32fast::hash(&body).to_le_bytes(), &body].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (without_histograms, body) = match bytes.strip_prefix(MAGIC) {
            Some(body) => (false, body),
            None => (true, bytes.strip_prefix(FLOATS_ONLY)?),
        };
        let mut take = Take(body);
        let sum = take.fixed32()?;
        if crc32fast::hash(take.0) != sum {
            return None;
        }
        let mut state = Self { samples_from: take.zigzag()?, made: BTreeMap::new() };
        for _ in 0..take.count(4)? {
            let (length, through) = (take.zigzag()?, take.zigzag()?);
            let dirty = Some((take.zigzag()?, take.zigzag()?)).filter(|(from, to)| from <= to);
            // Buckets whose samples are there still are made anew, with their histograms.
            let dirty = if without_histograms { Some((i64::MIN, through)) } else { dirty };
            state.made.insert(length, Made { through, dirty });
        }
        take.is_empty().then_some(state)
    }

    /// What the folder says; `None` when the file is damaged.
    pub(super) fn read(folder: &dyn Folder) -> Result<Option<Self>, DurableError> {
        match folder.read(STATE) {
            Ok(bytes) if bytes.starts_with(&MAGIC[..7]) && bytes.get(7) > MAGIC.last() => {
                Err(DurableError::Newer { name: STATE.to_owned() })
            }
            Ok(bytes) => Ok(Self::from_bytes(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Some(Self::default())),
            Err(error) => Err(doing("read", STATE)(error)),
        }
    }

    pub(super) const fn name() -> &'static str {
        STATE
    }
}

/// The tiers of an open store.
#[derive(Debug, Default)]
pub(super) struct Tiers {
    pub(super) state: State,
    pub(super) files: BTreeMap<FileKey, Arc<Segment>>,
}

impl DurableStore {
    pub(super) fn tiers_now(&self) -> RwLockReadGuard<'_, Tiers> {
        self.tiers.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tiers_mut(&self) -> RwLockWriteGuard<'_, Tiers> {
        self.tiers.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is remembered, first on the disk.
    fn change_state(&self, change: impl FnOnce(&mut State)) -> Result<(), DurableError> {
        let mut state = self.tiers_now().state.clone();
        change(&mut state);
        if state != self.tiers_now().state {
            self.folder.place(STATE, &state.to_bytes()).map_err(doing("write", STATE))?;
            self.tiers_mut().state = state;
        }
        Ok(())
    }

    /// Says that samples of these times changed: their buckets are made anew.
    pub(super) fn samples_changed(&self, from: i64, to: i64) -> Result<(), DurableError> {
        self.change_state(|state| {
            for made in state.made.values_mut().filter(|made| from <= made.through) {
                let before = made.dirty.unwrap_or((from, to));
                made.dirty = Some((before.0.min(from), before.1.max(to)));
            }
        })
    }

    /// Says that not all samples before a time are there any more.
    pub(super) fn samples_gone(&self, before: i64) -> Result<(), DurableError> {
        if self.config.tiers.is_empty() {
            return Ok(());
        }
        self.change_state(|state| state.samples_from = state.samples_from.max(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_state_read_back() {
        let key = (300_000, 17, 42);
        assert_eq!(file_name(key), "tier-0000000300000-0000000000000017-0000000000000042.itom");
        assert_eq!(key_of(&file_name(key)), Some(key));
        assert_eq!(key_of(&deleted_name(key)), None);
        let made =
            [(1_000, Made { through: 7_000, dirty: None }), (5, Made { through: -1, dirty: Some((2, 2)) })];
        let state = State { samples_from: 9, made: made.into() };
        let bytes = state.to_bytes();
        assert_eq!(State::from_bytes(&bytes), Some(state));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(State::from_bytes(&bad), None);
            assert_eq!(State::from_bytes(&bytes[..at]), None);
        }
    }
}

//! Where each id is.
//!
//! A question starts with an id, and for a small question finding it is what costs: each place in memory that has to be
//! waited for counts. So an entry holds the id itself, and the entries of a shard lie in one piece: one wait, or two where
//! entries crowd. Shards are shared between snapshots and copied when first written.

use std::sync::Arc;

use itom_core::CiId;

/// Parts that are shared or copied on their own.
const SHARDS: usize = 2048;

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: CiId,
    /// Its node, or [`Entry::EMPTY`].
    node: u32,
}

impl Entry {
    const EMPTY: u32 = u32::MAX;
}

/// Open addressing, the entries of one hash in a row that no empty entry interrupts.
#[derive(Debug, Clone)]
struct Shard {
    /// A power of two of them, or none.
    entries: Arc<[Entry]>,
    used: u32,
}

/// Node by id; looked up, never iterated.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    shards: Vec<Shard>,
}

/// Ids are digests already; this only guards against callers who number theirs.
fn hash_of(id: CiId) -> u64 {
    let bits = u128::from_le_bytes(*id.as_bytes());
    let mut mixed = (bits as u64) ^ ((bits >> 64) as u64).rotate_left(32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// An entry's place comes from the low half of its hash, so the shard comes from the high one.
const fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

impl Shard {
    /// Where an id is, or the empty entry where it would be. `None` only when there are no entries.
    #[inline]
    fn place(&self, hash: u64, id: CiId) -> Option<usize> {
        let last = self.entries.len().checked_sub(1)?;
        let mut at = hash as usize & last;
        loop {
            let entry = &self.entries[at];
            if entry.node == Entry::EMPTY || entry.id == id {
                return Some(at);
            }
            at = (at + 1) & last;
        }
    }

    fn put(&mut self, hash: u64, entry: Entry) {
        if (self.used as usize + 1) * 4 > self.entries.len() * 3 {
            self.widen();
        }
        if let Some(at) = self.place(hash, entry.id) {
            self.used += u32::from(self.entries[at].node == Entry::EMPTY);
            Arc::make_mut(&mut self.entries)[at] = entry;
        }
    }

    fn widen(&mut self) {
        let wider = (self.entries.len() * 2).max(4);
        let empty = Entry { id: CiId::from_bytes([0; 16]), node: Entry::EMPTY };
        let mut entries: Arc<[Entry]> = std::iter::repeat_n(empty, wider).collect();
        let places = Arc::make_mut(&mut entries);
        for entry in self.entries.iter().filter(|entry| entry.node != Entry::EMPTY) {
            let mut at = hash_of(entry.id) as usize & (wider - 1);
            while places[at].node != Entry::EMPTY {
                at = (at + 1) & (wider - 1);
            }
            places[at] = *entry;
        }
        self.entries = entries;
    }

    /// Takes an id away and closes the gap: an entry behind it moves up unless it would pass its own hash.
    fn remove(&mut self, hash: u64, id: CiId) {
        let Some(mut gap) = self.place(hash, id).filter(|at| self.entries[*at].node != Entry::EMPTY) else {
            return;
        };
        let last = self.entries.len() - 1;
        let entries = Arc::make_mut(&mut self.entries);
        let mut at = gap;
        loop {
            at = (at + 1) & last;
            if entries[at].node == Entry::EMPTY {
                break;
            }
            let home = hash_of(entries[at].id) as usize & last;
            if at.wrapping_sub(home) & last >= at.wrapping_sub(gap) & last {
                entries[gap] = entries[at];
                gap = at;
            }
        }
        entries[gap].node = Entry::EMPTY;
        self.used -= 1;
    }
}

impl Ids {
    pub(crate) fn new() -> Self {
        let empty = Shard { entries: Arc::default(), used: 0 };
        Self { shards: vec![empty; SHARDS] }
    }

    #[inline]
    pub(crate) fn find(&self, id: CiId) -> Option<u32> {
        let hash = hash_of(id);
        let shard = &self.shards[shard_of(hash)];
        let node = shard.entries[shard.place(hash, id)?].node;
        (node != Entry::EMPTY).then_some(node)
    }

    /// Says where an id is from now on. `node` is below `u32::MAX`.
    pub(crate) fn put(&mut self, id: CiId, node: u32) {
        let hash = hash_of(id);
        self.shards[shard_of(hash)].put(hash, Entry { id, node });
    }

    pub(crate) fn remove(&mut self, id: CiId) {
        let hash = hash_of(id);
        self.shards[shard_of(hash)].remove(hash, id);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    /// Ids of one shard whose hashes all end at the last two places of it, so that they crowd and go around.
    static CROWD: LazyLock<Vec<CiId>> = LazyLock::new(|| {
        let crowds = |id: &CiId| shard_of(hash_of(*id)) == 0 && hash_of(*id) & 0x3f >= 62;
        (0_u128..).map(|number| CiId::from_bytes(number.to_le_bytes())).filter(crowds).take(40).collect()
    });

    proptest! {
        #[test]
        fn l6_an_id_is_where_it_was_last_put_in_every_snapshot(
            steps in proptest::collection::vec((0_usize..40, any::<bool>()), 0..300),
            keep in 0_usize..300,
        ) {
            let (mut ids, mut map) = (Ids::new(), BTreeMap::new());
            let mut kept = None;
            for (number, (which, put)) in steps.iter().enumerate() {
                let id = CROWD[*which];
                if *put {
                    ids.put(id, number as u32);
                    map.insert(id, number as u32);
                } else {
                    ids.remove(id);
                    map.remove(&id);
                }
                if number == keep {
                    kept = Some((ids.clone(), map.clone()));
                }
            }
            for (ids, map) in [Some((ids, map)), kept].into_iter().flatten() {
                for id in &*CROWD {
                    prop_assert_eq!(ids.find(*id), map.get(id).copied());
                }
            }
        }
    }
}

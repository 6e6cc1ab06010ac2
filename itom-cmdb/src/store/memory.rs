//! Facts that live as long as the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Compacted, Compaction, Cursor, Description, Page, Snapshot, Store, StoreError};
use crate::fact::{Fact, FactId, FactLog, Inserted};
use crate::history::Mark;

/// The facts, and the order of their first appending.
#[derive(Debug)]
struct Kept {
    log: FactLog,
    order: BTreeMap<u64, FactId>,
    places: BTreeMap<FactId, u64>,
    end: u64,
    horizon: Option<Mark>,
    snapshot: Option<Vec<u8>>,
}

impl Kept {
    fn put(&mut self, fact: Fact, at: u64) {
        self.order.insert(at, fact.id());
        self.places.insert(fact.id(), at);
        self.log.insert(fact);
    }

    fn after(&self, after: Option<Cursor>) -> impl Iterator<Item = (u64, &Fact)> {
        let start = after.map_or(0, Cursor::position).saturating_add(1);
        self.order.range(start..).filter_map(|(at, id)| Some((*at, self.log.get(*id)?)))
    }
}

/// Keeps facts in memory, up to a limit.
#[derive(Debug)]
pub struct MemoryStore {
    log: Mutex<Kept>,
    limit: usize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_limit(usize::MAX)
    }
}

impl MemoryStore {
    /// An empty store without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store for at most `limit` facts.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        let kept = Kept {
            log: FactLog::new(),
            order: BTreeMap::new(),
            places: BTreeMap::new(),
            end: 0,
            horizon: None,
            snapshot: None,
        };
        Self { log: Mutex::new(kept), limit }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change is whole before anything can panic: a panic elsewhere leaves it usable.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        let mut kept = self.kept();
        let new: BTreeSet<_> = facts.iter().map(Fact::id).filter(|id| !kept.log.contains(*id)).collect();
        if kept.log.len().saturating_add(new.len()) > self.limit {
            return Err(StoreError::Exhausted { what: "memory".into(), source: None });
        }
        for fact in facts {
            if kept.log.insert(fact.clone()) == Inserted::New {
                kept.end += 1;
                let end = kept.end;
                kept.order.insert(end, fact.id());
                kept.places.insert(fact.id(), end);
            }
        }
        Ok(())
    }

    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        let kept = self.kept();
        let mut all = kept.after(after);
        let mut facts = Vec::new();
        let mut last = None;
        for (at, fact) in all.by_ref().take(page.max(1)) {
            facts.push(fact.clone());
            last = Some(Cursor::new(at));
        }
        Ok(if all.next().is_some() { Page::new(facts, last) } else { Page::ending(facts, last) })
    }

    async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        let end = self.kept().end;
        Ok((end > 0).then(|| Cursor::new(end)))
    }

    async fn describe(&self) -> Result<Description, StoreError> {
        Ok(Description::new("memory".into(), self.kept().order.len() as u64, None))
    }

    async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        Ok(self.kept().horizon)
    }

    async fn compact(&self, plan: &Compaction) -> Result<Compacted, StoreError> {
        let mut kept = self.kept();
        if let Some(after) = plan.checked_after() {
            plan.check("memory", kept.after(Some(after)).map(|(_, fact)| fact))?;
        }
        let layout = plan.lay_out(|id| kept.places.get(&id).copied(), kept.horizon);
        if layout.dropped.is_empty() && layout.landings.is_empty() {
            return Ok(Compacted::default());
        }
        let gone: BTreeSet<FactId> = layout.dropped.iter().map(|(id, _)| *id).collect();
        kept.log.remove(&gone);
        for (id, at) in &layout.dropped {
            kept.order.remove(at);
            kept.places.remove(id);
        }
        for landing in &layout.landings {
            kept.put(landing.checkpoint.clone(), landing.at);
        }
        kept.horizon = Some(layout.horizon);
        Ok(Compacted::new(layout.dropped.len() as u64, layout.landings.len() as u64))
    }

    fn keeps_snapshots(&self) -> bool {
        true
    }

    async fn snapshot(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.kept().snapshot.clone())
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let bytes = snapshot.encode();
        self.kept().snapshot = Some(bytes);
        Ok(())
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

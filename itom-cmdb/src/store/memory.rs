//! Facts that live as long as the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Cursor, Description, Page, Store, StoreError};
use crate::fact::{Fact, FactId, FactLog, Inserted};

/// The facts, and the order of their first appending.
#[derive(Debug)]
struct Kept {
    log: FactLog,
    order: Vec<FactId>,
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
        Self { log: Mutex::new(Kept { log: FactLog::new(), order: Vec::new() }), limit }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // The set is grow-only: a panic elsewhere leaves it usable.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        let mut kept = self.kept();
        let new: std::collections::BTreeSet<_> =
            facts.iter().map(Fact::id).filter(|id| !kept.log.contains(*id)).collect();
        if kept.log.len().saturating_add(new.len()) > self.limit {
            return Err(StoreError::Exhausted { what: "memory".into(), source: None });
        }
        for fact in facts {
            if kept.log.insert(fact.clone()) == Inserted::New {
                kept.order.push(fact.id());
            }
        }
        Ok(())
    }

    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        let kept = self.kept();
        let start = usize::try_from(after.map_or(0, Cursor::position)).unwrap_or(usize::MAX);
        let ids = kept.order.iter().skip(start).take(page.max(1));
        let facts: Vec<Fact> = ids.filter_map(|id| kept.log.get(*id).cloned()).collect();
        if facts.is_empty() {
            return Ok(Page::ending(facts, None));
        }
        let last = start.saturating_add(facts.len());
        let cursor = Some(Cursor::new(last as u64));
        Ok(if last < kept.order.len() { Page::new(facts, cursor) } else { Page::ending(facts, cursor) })
    }

    async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        let count = self.kept().order.len();
        Ok((count > 0).then(|| Cursor::new(count as u64)))
    }

    async fn describe(&self) -> Result<Description, StoreError> {
        Ok(Description::new("memory".into(), self.kept().order.len() as u64, None))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

//! Facts that live as long as the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Cursor, Description, Page, Store, StoreError};
use crate::fact::{Fact, FactLog};

/// Keeps facts in memory, up to a limit.
#[derive(Debug)]
pub struct MemoryStore {
    log: Mutex<FactLog>,
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
        Self { log: Mutex::new(FactLog::new()), limit }
    }

    fn log(&self) -> MutexGuard<'_, FactLog> {
        // The set is grow-only: a panic elsewhere leaves it usable.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        let mut log = self.log();
        let new: std::collections::BTreeSet<_> =
            facts.iter().map(Fact::id).filter(|id| !log.contains(*id)).collect();
        if log.len().saturating_add(new.len()) > self.limit {
            return Err(StoreError::Exhausted { what: "memory".into(), source: None });
        }
        log.extend(facts.iter().cloned());
        Ok(())
    }

    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        let log = self.log();
        let start = usize::try_from(after.map_or(0, Cursor::position)).unwrap_or(usize::MAX);
        // Walks from the start: memory needs no paging, callers only do it for the trait's sake.
        let facts: Vec<Fact> = log.iter().skip(start).take(page.max(1)).cloned().collect();
        let end = start.saturating_add(facts.len());
        let next = (end < log.len()).then(|| Cursor::new(end as u64));
        Ok(Page::new(facts, next))
    }

    async fn describe(&self) -> Result<Description, StoreError> {
        Ok(Description::new("memory".into(), self.log().len() as u64, None))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

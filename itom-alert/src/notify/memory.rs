//! Keeps notices: for tests and for consoles.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use itom_core::Text;

use super::{Idempotence, Notice, Notifier, NotifyError};

/// Keeps the latest notices, each key once. Clones share them.
#[derive(Debug, Clone)]
pub struct MemoryNotifier {
    inner: Arc<Mutex<Inner>>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Inner {
    notices: VecDeque<Notice>,
    keys: BTreeSet<Text>,
    failures: VecDeque<NotifyError>,
}

impl MemoryNotifier {
    /// Keeps the latest `limit` notices, at least one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { inner: Arc::default(), limit: limit.max(1) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What arrived, oldest first.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.inner().notices.iter().cloned().collect()
    }

    /// Makes a coming attempt fail with this error; several fail in this order.
    pub fn fail_next(&self, error: NotifyError) {
        self.inner().failures.push_back(error);
    }
}

#[async_trait]
impl Notifier for MemoryNotifier {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let mut inner = self.inner();
        if let Some(error) = inner.failures.pop_front() {
            return Err(error);
        }
        if !inner.keys.insert(notice.key.clone()) {
            return Ok(());
        }
        inner.notices.push_back(notice.clone());
        if inner.notices.len() > self.limit
            && let Some(old) = inner.notices.pop_front()
        {
            inner.keys.remove(&old.key);
        }
        Ok(())
    }

    fn idempotence(&self) -> Idempotence {
        Idempotence::ByKey
    }
}

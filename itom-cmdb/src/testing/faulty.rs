//! A store that fails when told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::fact::Fact;
use crate::history::Mark;
use crate::store::{Compacted, Compaction, Cursor, Description, Page, Snapshot, Store, StoreError};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// It was not done, and the caller is told so.
    Unavailable,
    /// It was not done, and the caller is told that there was no answer in time.
    Timeout,
    /// It was done, and the caller is told that there was no answer in time.
    LostAcknowledgement,
    /// The connection broke in the middle: the first half of the facts is there. That is more than the contract of
    /// [`Store`] lets a store do; whoever says again what was not acknowledged survives even that. Calls that write no
    /// list of facts are not done.
    Torn,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unavailable, Self::Timeout, Self::LostAcknowledgement, Self::Torn];
}

#[derive(Debug, Default)]
struct Script {
    faults: BTreeMap<u64, Fault>,
    /// What was called, by number.
    calls: Vec<&'static str>,
    struck: Vec<(u64, Fault)>,
}

/// A store around another that fails at chosen calls. Calls of all methods are counted together, from zero; clones count
/// together and fail together.
///
/// ```
/// # futures::executor::block_on(async {
/// use itom_cmdb::store::{MemoryStore, Store as _};
/// use itom_cmdb::testing::{Fault, FaultyStore, some_facts};
/// use itom_core::Timestamp;
///
/// let store = FaultyStore::new(MemoryStore::new()).fail(0, Fault::LostAcknowledgement);
/// let facts = some_facts(1, 3, Timestamp::EPOCH);
/// assert!(store.append(&facts).await.is_err(), "the first call fails, though it was done");
/// assert!(store.append(&facts).await.is_ok(), "the second does not");
/// assert_eq!(store.describe().await?.facts, 4, "and nothing is there twice");
/// # Ok::<(), itom_cmdb::store::StoreError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    script: Arc<Mutex<Script>>,
    limit: Arc<AtomicU64>,
}

impl FaultyStore {
    /// Around a store; it never fails until told to.
    #[must_use]
    pub fn new(store: impl Store) -> Self {
        Self::around(Arc::new(store))
    }

    /// Around a store that others hold too.
    #[must_use]
    pub fn around(inner: Arc<dyn Store>) -> Self {
        Self { inner, script: Arc::default(), limit: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Fails at the call of this number.
    #[must_use]
    pub fn fail(self, call: u64, fault: Fault) -> Self {
        self.script().faults.insert(call, fault);
        self
    }

    /// Is gone from this call on, until [`come_back`](Self::come_back): every call is [`Fault::Unavailable`].
    pub fn go_away_at(&self, call: u64) {
        self.limit.store(call, Ordering::SeqCst);
    }

    /// Is there again.
    pub fn come_back(&self) {
        self.go_away_at(u64::MAX);
    }

    /// What was called so far, in order: the place of a name is its number.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.script().calls.clone()
    }

    /// The calls that failed so far.
    #[must_use]
    pub fn struck(&self) -> Vec<(u64, Fault)> {
        self.script().struck.clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        // Each change is whole before anything can panic.
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; how it fails, if it does.
    fn next(&self, doing: &'static str) -> Option<Fault> {
        let mut script = self.script();
        let number = script.calls.len() as u64;
        script.calls.push(doing);
        let gone = (number >= self.limit.load(Ordering::SeqCst)).then_some(Fault::Unavailable);
        let fault = gone.or_else(|| script.faults.get(&number).copied())?;
        script.struck.push((number, fault));
        Some(fault)
    }

    async fn call<T>(
        &self,
        doing: &'static str,
        done: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match self.next(doing) {
            None => done.await,
            Some(fault) => {
                if fault == Fault::LostAcknowledgement {
                    done.await?;
                }
                Err(error(fault, doing))
            }
        }
    }
}

fn error(fault: Fault, doing: &'static str) -> StoreError {
    let what = "a store that fails when told to".to_owned();
    let why = match fault {
        Fault::Unavailable => io::ErrorKind::ConnectionRefused,
        Fault::Torn => io::ErrorKind::ConnectionReset,
        Fault::Timeout | Fault::LostAcknowledgement => {
            return StoreError::TimedOut { doing, what, source: None };
        }
    };
    StoreError::Unavailable { doing, what, source: io::Error::from(why).into() }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for FaultyStore {
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        const DOING: &str = "appending to";
        match self.next(DOING) {
            None => self.inner.append(facts).await,
            Some(fault) => {
                let done = match fault {
                    Fault::Unavailable | Fault::Timeout => 0,
                    Fault::LostAcknowledgement => facts.len(),
                    Fault::Torn => facts.len() / 2,
                };
                self.inner.append(facts.get(..done).unwrap_or(facts)).await?;
                Err(error(fault, DOING))
            }
        }
    }

    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        self.call("reading", self.inner.load(after, page)).await
    }

    async fn describe(&self) -> Result<Description, StoreError> {
        self.call("describing", self.inner.describe()).await
    }

    async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        self.call("finding the end of", self.inner.end()).await
    }

    async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        self.call("finding the horizon of", self.inner.horizon()).await
    }

    async fn compact(&self, plan: &Compaction) -> Result<Compacted, StoreError> {
        self.call("compacting", self.inner.compact(plan)).await
    }

    fn keeps_snapshots(&self) -> bool {
        self.inner.keeps_snapshots()
    }

    async fn snapshot(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.call("reading the snapshot of", self.inner.snapshot()).await
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.call("keeping a snapshot in", self.inner.keep_snapshot(snapshot)).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.call("flushing", self.inner.flush()).await
    }
}

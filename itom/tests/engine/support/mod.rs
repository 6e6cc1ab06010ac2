//! Stores, journals, notifiers and collectors that misbehave when told to.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::executor::block_on;
use itom::alert::notify::{Idempotence, MemoryNotifier, Notice, NoticeKind, NotifyError};
use itom::alert::rule::{Compare, Condition, Level, Query, Reduce};
use itom::cmdb::fact::Fact;
use itom::cmdb::history::Mark;
use itom::cmdb::store::{
    Compacted, Compaction, Cursor, Description, MemoryStore, Page, Snapshot, Store, StoreError,
};
use itom::cmdb::{Cmdb, CmdbConfig};
use itom::collect::SchedulerConfig;
use itom::core::{SampleKind, SampleObservation, Selector, VirtualClock};
use itom::metrics::SeriesStore;
use itom::prelude::*;
use itom::{EngineBuilder, Journal, JournalError, MemoryJournal};

pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

pub(crate) const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A builder on a virtual clock, whose collectors start at once and are tried again soon.
pub(crate) fn builder(clock: &VirtualClock) -> EngineBuilder {
    let scheduler = SchedulerConfig::default()
        .first_run_within(Duration::ZERO)
        .backoff(secs(10), secs(10))
        .breaker(NonZeroU32::MAX, secs(60));
    Engine::builder().clock(clock.clone()).instance("test").scheduler(scheduler)
}

/// A gate that lets nobody through while it is shut.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    pub(crate) fn shut(&self) {
        self.0.lock().unwrap().0 = true;
    }
    pub(crate) fn open(&self) {
        let wakers = {
            let mut state = self.0.lock().unwrap();
            state.0 = false;
            std::mem::take(&mut state.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
    pub(crate) async fn pass(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                state.1.push(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// Where an effect is cut by a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It did not happen.
    Before,
    /// It happened and nobody heard of it.
    After,
    /// A part of it happened, where that is allowed; else as before.
    Torn,
    /// It never ends, while everything else goes on.
    Hang,
}

/// Counts effects; the one it is set to never returns, nor (but for [`Cut::Hang`]) does any after it.
#[derive(Debug, Clone)]
pub(crate) struct Fuse {
    count: Arc<AtomicU64>,
    at: u64,
    cut: Cut,
}

impl Fuse {
    pub(crate) fn new(at: u64, cut: Cut) -> Self {
        Self { count: Arc::default(), at, cut }
    }
    pub(crate) fn never() -> Self {
        Self::new(u64::MAX, Cut::Before)
    }
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
    pub(crate) fn blown(&self) -> bool {
        self.count() > self.at
    }
    /// How this effect is cut, if it is.
    fn next(&self) -> Option<Cut> {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        match number.cmp(&self.at) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(self.cut),
            std::cmp::Ordering::Greater if self.cut == Cut::Hang => None,
            std::cmp::Ordering::Greater => Some(Cut::Before),
        }
    }
}

/// A memory store that outlives engines, refuses and hangs when told to.
#[derive(Debug, Clone)]
pub(crate) struct TestStore {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) gate: Gate,
    refuses: Arc<Mutex<bool>>,
    pub(crate) attempts: Arc<AtomicU64>,
    pub(crate) fuse: Fuse,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self {
            inner: Arc::new(MemoryStore::new()),
            gate: Gate::default(),
            refuses: Arc::default(),
            attempts: Arc::default(),
            fuse: Fuse::never(),
        }
    }
    pub(crate) fn refuse(&self, refuses: bool) {
        *self.refuses.lock().unwrap() = refuses;
    }
    pub(crate) fn facts(&self) -> Vec<Fact> {
        block_on(self.inner.load(None, usize::MAX)).unwrap().facts
    }
    /// What follows from the facts at a time.
    pub(crate) fn state_hash(&self, at: Timestamp) -> u64 {
        let mut cmdb = Cmdb::new(CmdbConfig::default());
        cmdb.ingest(self.facts());
        cmdb.expire(at);
        cmdb.state_hash()
    }
}

#[async_trait]
impl Store for TestStore {
    async fn append(&self, facts: &[Fact]) -> Result<(), StoreError> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        self.gate.pass().await;
        if *self.refuses.lock().unwrap() {
            return Err(StoreError::Exhausted { what: "the test's disk".into(), source: None });
        }
        match self.fuse.next() {
            None => self.inner.append(facts).await,
            Some(cut) => {
                if cut == Cut::After {
                    self.inner.append(facts).await?;
                }
                std::future::pending().await
            }
        }
    }
    async fn load(&self, after: Option<Cursor>, page: usize) -> Result<Page, StoreError> {
        self.inner.load(after, page).await
    }
    async fn describe(&self) -> Result<Description, StoreError> {
        self.inner.describe().await
    }
    async fn end(&self) -> Result<Option<Cursor>, StoreError> {
        self.inner.end().await
    }
    async fn horizon(&self) -> Result<Option<Mark>, StoreError> {
        self.inner.horizon().await
    }
    async fn compact(&self, plan: &Compaction) -> Result<Compacted, StoreError> {
        self.inner.compact(plan).await
    }
    fn keeps_snapshots(&self) -> bool {
        true
    }
    async fn snapshot(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.snapshot().await
    }
    async fn keep_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        match self.fuse.next() {
            None => self.inner.keep_snapshot(snapshot).await,
            Some(cut) => {
                if cut == Cut::After {
                    self.inner.keep_snapshot(snapshot).await?;
                }
                std::future::pending().await
            }
        }
    }
    async fn flush(&self) -> Result<(), StoreError> {
        self.gate.pass().await;
        Ok(())
    }
}

/// A memory journal that outlives engines and refuses when told to.
#[derive(Debug, Clone)]
pub(crate) struct TestJournal {
    pub(crate) inner: Arc<MemoryJournal>,
    pub(crate) gate: Gate,
    refuses: Arc<Mutex<bool>>,
    pub(crate) fuse: Fuse,
}

impl TestJournal {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::default(), gate: Gate::default(), refuses: Arc::default(), fuse: Fuse::never() }
    }
    pub(crate) fn refuse(&self, refuses: bool) {
        *self.refuses.lock().unwrap() = refuses;
    }
    pub(crate) fn records(&self) -> BTreeMap<String, String> {
        block_on(self.inner.load()).unwrap()
    }
}

#[async_trait]
impl Journal for TestJournal {
    async fn load(&self) -> Result<BTreeMap<String, String>, JournalError> {
        self.inner.load().await
    }
    async fn apply(&self, mut changes: Vec<(String, Option<String>)>) -> Result<(), JournalError> {
        self.gate.pass().await;
        if *self.refuses.lock().unwrap() {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(JournalError::Io { path: "test".into(), doing: "written", source });
        }
        match self.fuse.next() {
            None => self.inner.apply(changes).await,
            Some(cut) => {
                match cut {
                    Cut::Before | Cut::Hang => changes.clear(),
                    Cut::After => {}
                    Cut::Torn => changes.truncate(changes.len() / 2),
                }
                self.inner.apply(changes).await?;
                std::future::pending().await
            }
        }
    }
}

/// A receiver that knows repeated keys, and can be cut off.
#[derive(Debug, Clone)]
pub(crate) struct TestNotifier {
    pub(crate) inner: MemoryNotifier,
    pub(crate) gate: Gate,
    pub(crate) attempts: Arc<AtomicU64>,
    pub(crate) fuse: Fuse,
}

impl TestNotifier {
    pub(crate) fn new() -> Self {
        Self {
            inner: MemoryNotifier::new(100_000),
            gate: Gate::default(),
            attempts: Arc::default(),
            fuse: Fuse::never(),
        }
    }
    /// Opens and closes by rule and labels, in the order they came.
    pub(crate) fn told(&self) -> BTreeMap<String, Vec<NoticeKind>> {
        let mut told: BTreeMap<String, Vec<NoticeKind>> = BTreeMap::new();
        for notice in self.inner.notices() {
            if notice.kind != NoticeKind::Update {
                let name = format!("{} {:?} {:?}", notice.rule, notice.labels, notice.ci_name);
                told.entry(name).or_default().push(notice.kind);
            }
        }
        told
    }
    pub(crate) fn kinds(&self) -> Vec<NoticeKind> {
        self.inner.notices().iter().map(|notice| notice.kind).collect()
    }
}

#[async_trait]
impl Notifier for TestNotifier {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        self.gate.pass().await;
        match self.fuse.next() {
            None => self.inner.notify(notice).await,
            Some(cut) => {
                if cut == Cut::After {
                    self.inner.notify(notice).await?;
                }
                std::future::pending().await
            }
        }
    }
    fn idempotence(&self) -> Idempotence {
        Idempotence::ByKey
    }
}

/// A host with a gauge that follows the time since [`START`] in seconds.
pub(crate) fn host(name: &'static str, every: u64, value: fn(u64) -> f64) -> impl Collector {
    collector_fn(Descriptor::new("host").target(name).every(secs(every)), move |cx, batch| {
        Box::pin(async move {
            batch
                .ci(name, kind::HOST)
                .key(Key::fqdn(&format!("{name}.example.com")))
                .attr(attr::HOST_NAME, name);
            let mut sample =
                SampleObservation::new(TROUBLE, SampleKind::Gauge, value(cx.now().since(START).as_secs()));
            sample.on(name);
            batch.sample(sample);
            Ok(Coverage::new().complete(Scope::cis(kind::HOST)))
        })
    })
}

pub(crate) const TROUBLE: MetricName = MetricName::literal("test_trouble");

/// Fires while [`TROUBLE`] is above zero.
pub(crate) fn trouble() -> Rule {
    Rule::new("trouble", above_zero(TROUBLE)).every(secs(15)).severity(Severity::Critical)
}

pub(crate) fn above_zero(metric: MetricName) -> Condition {
    let query = Query::new(Selector::new(metric), Reduce::Last, secs(120));
    Condition::threshold(query, [Level::new(Severity::Critical, Compare::Above, 0.0)])
}

/// The times and values of every series of a metric, with the series' item and labels as text.
pub(crate) fn series(samples: &SeriesStore, metric: &'static str) -> Vec<(String, Vec<f64>)> {
    use itom::core::{Interval, SampleSource as _};
    let range = Interval::new(START - secs(3600), START + secs(1_000_000));
    let found = samples.select(&Selector::new(MetricName::literal(metric)), range).unwrap();
    let text = |data: &itom::core::SeriesData| format!("{:?} item={}", data.labels, data.subject.is_some());
    found.iter().map(|data| (text(data), data.samples.iter().map(|(_, value)| *value).collect())).collect()
}

//! The series store in memory.

mod annotate;
mod body;
mod distributions;
mod follow;
#[cfg(feature = "durable")]
mod handover;
mod index;
mod intern;
mod limits;
mod maintain;
mod read;
mod scan;
mod series;
mod starts;
mod stats;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use itom_core::{
    CiId, EvaluateError, LabelName, Labels, MetricName, SampleKind, SampleSource, Selector, Text, Timestamp,
};

use self::annotate::Annotations;
use self::body::Inserted;
use self::index::Index;
use self::intern::Interner;
use self::series::Series;
use self::stats::{Counts, add, release, reserve};

pub use self::annotate::{Exemplar, ExemplarSeries, MetricMetadata};
pub(crate) use self::distributions::Encoded;
pub use self::distributions::NewHistogram;
pub(crate) use self::follow::News;
#[cfg(feature = "durable")]
pub(crate) use self::handover::Scanned;
pub use self::limits::{AppendReport, Appended, Refusal, Refused, StoreConfig};
pub use self::read::{InstantSample, MetricInfo, SeriesInfo};
pub use self::scan::HistogramSeries;
pub use self::series::SeriesRef;
pub use self::starts::NewStart;
#[cfg(feature = "durable")]
pub(crate) use self::starts::Reach;
pub(crate) use self::starts::{Starts, times_of};
pub use self::stats::StoreStats;

/// One sample to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSample {
    /// The metric.
    pub metric: MetricName,
    /// What tells this series from others of the metric.
    pub labels: Labels,
    /// Gauge or counter; one kind per metric.
    pub kind: SampleKind,
    /// The item it was measured on; the last one said is kept with the series, `None` leaves it as it is.
    pub subject: Option<CiId>,
    /// When it was measured; kept in whole milliseconds, rounded down.
    pub at: Timestamp,
    /// The value, every bit of it kept.
    pub value: f64,
}

/// Where samples are stored and read: what the engine asks of a store, whether in memory or durable.
pub trait Samples: SampleSource {
    /// Stores samples. Those that cannot be stored are refused and counted; the others are not affected.
    fn append(&self, now: Timestamp, samples: &[NewSample]) -> AppendReport;

    /// The newest sample of each series in `(at - lookback, at]`, sorted by labels. A series that stopped is absent
    /// once its last sample is as old as `lookback`, and at once when that sample is a marker of staleness.
    ///
    /// # Errors
    /// [`EvaluateError`] when the selector is wrong or the store cannot be read.
    fn latest(
        &self,
        selector: &Selector,
        at: Timestamp,
        lookback: Duration,
    ) -> Result<Vec<InstantSample>, EvaluateError>;

    /// The metrics that have series, sorted by name.
    fn metrics(&self) -> Vec<MetricInfo>;

    /// The label names that series of a metric have, sorted.
    fn label_names(&self, metric: &MetricName) -> Vec<LabelName>;

    /// The values that a label has among the series of a metric, sorted.
    fn label_values(&self, metric: &MetricName, label: &LabelName) -> Vec<Text>;

    /// The series of one item, sorted by metric and labels.
    fn series_of(&self, subject: CiId) -> Vec<SeriesInfo>;

    /// Applies retention: call it every minute or so.
    fn maintain(&self, now: Timestamp);

    /// What the store holds and did.
    fn stats(&self) -> StoreStats;
}

const _: Option<&dyn Samples> = None;

/// One metric: its kind and its series.
#[derive(Debug)]
struct Metric {
    kind: SampleKind,
    index: RwLock<Index>,
}

/// Compressed series in memory, shared as `Arc<SeriesStore>`.
///
/// Locks are small: one for the list of metrics, one per metric for its index, one per series. A reader holds a series
/// only while it takes references to its compressed runs (and decodes the newest one, at most 120 samples), so
/// appending never waits for a long read. A read sees each series at one moment; it is not a snapshot of all series at
/// once.
///
/// A sample with the time of a stored one is a duplicate when the value is the same to the bit, and refused as
/// [`Refusal::Conflict`] otherwise: the first stays.
///
/// ```
/// use std::time::Duration;
/// use itom_core::{Labels, MetricName, SampleKind, Selector, Timestamp};
/// use itom_metrics::{NewSample, Samples, SeriesStore, StoreConfig};
///
/// let store = SeriesStore::new(StoreConfig::default());
/// let metric = MetricName::new("node_load1")?;
/// let at = Timestamp::from_secs(1_700_000_000);
/// let labels = Labels::from_pairs([("instance", "web-1")])?;
/// let sample = NewSample { metric: metric.clone(), labels, kind: SampleKind::Gauge, subject: None, at, value: 0.53 };
/// assert_eq!(store.append(at, &[sample]).stored, 1);
/// let latest = store.latest(&Selector::new(metric), at, Duration::from_secs(300))?;
/// assert_eq!(latest[0].value, 0.53);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SeriesStore {
    config: StoreConfig,
    metrics: RwLock<BTreeMap<MetricName, Arc<Metric>>>,
    interner: Mutex<Interner>,
    counts: Counts,
    annotations: Mutex<Annotations>,
    /// Milliseconds; samples before it are gone for readers, whatever is still in memory.
    pub(crate) floor: AtomicI64,
    /// How often samples were deleted.
    deletions: AtomicU64,
    /// Samples up to this time may have been moved out of memory, also of series that are made only now.
    moved: AtomicI64,
}

impl fmt::Debug for SeriesStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesStore").field("config", &self.config).field("stats", &self.stats()).finish()
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    // See `Series::lock`: no state is left half-changed in a way that a reader could not bear.
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// The first whole millisecond at or after a time.
pub(crate) fn millis_up(at: Timestamp) -> i64 {
    let micros = at.as_micros();
    micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) != 0)
}

impl SeriesStore {
    /// An empty store.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        Self {
            config,
            metrics: RwLock::default(),
            interner: Mutex::default(),
            counts: Counts::default(),
            annotations: Mutex::default(),
            floor: AtomicI64::new(i64::MIN),
            deletions: AtomicU64::new(0),
            moved: AtomicI64::new(i64::MIN),
        }
    }

    /// What it may hold.
    #[must_use]
    pub const fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// A handle to a series, which is made if need be. A series that never gets a sample is removed by
    /// [`maintain`](Samples::maintain); its handle makes it again.
    ///
    /// # Errors
    /// [`Refusal`] when a limit is reached or the metric has the other kind.
    pub fn series(
        &self,
        metric: &MetricName,
        labels: &Labels,
        kind: SampleKind,
        subject: Option<CiId>,
    ) -> Result<SeriesRef, Refusal> {
        let found = self.find_or_create(metric, labels, kind, subject);
        if let Err(refusal) = &found {
            self.counts.refused(*refusal);
        }
        let series = found?;
        if subject.is_some() {
            series.lock().subject = subject;
        }
        Ok(SeriesRef { series })
    }

    /// Stores one sample through a handle: the fast path. The handle is renewed when retention removed its series.
    ///
    /// # Errors
    /// [`Refusal`] says why the sample was not stored; it is counted.
    pub fn append_to(
        &self,
        now: Timestamp,
        series: &mut SeriesRef,
        at: Timestamp,
        value: f64,
    ) -> Result<Appended, Refusal> {
        let appended = self.append_renewing(&self.window(now), series, at, value);
        if let Err(refusal) = &appended {
            self.counts.refused(*refusal);
        }
        appended
    }

    fn append_renewing(
        &self,
        window: &Window,
        handle: &mut SeriesRef,
        at: Timestamp,
        value: f64,
    ) -> Result<Appended, Refusal> {
        loop {
            if let Some(appended) = self.insert(&handle.series, window, None, at, value)? {
                return Ok(appended);
            }
            let old = &handle.series;
            let subject = old.lock().subject;
            handle.series = self.find_or_create(old.metric(), old.labels(), old.kind(), subject)?;
        }
    }

    fn append_one(&self, window: &Window, sample: &NewSample) -> Result<Appended, Refusal> {
        window.check(sample.at.as_millis())?;
        loop {
            let series = self.find_or_create(&sample.metric, &sample.labels, sample.kind, sample.subject)?;
            // `None`: retention removed it between the two steps.
            if let Some(appended) = self.insert(&series, window, sample.subject, sample.at, sample.value)? {
                return Ok(appended);
            }
        }
    }

    fn insert(
        &self,
        series: &Series,
        window: &Window,
        subject: Option<CiId>,
        at: Timestamp,
        value: f64,
    ) -> Result<Option<Appended>, Refusal> {
        let at = at.as_millis();
        window.check(at)?;
        let mut state = series.lock();
        if state.retired {
            return Ok(None);
        }
        if state.newest().is_some_and(|newest| at < newest.saturating_sub(window.late)) {
            return Err(Refusal::TooOld);
        }
        if state.has_histogram(at) {
            return Err(Refusal::Conflict);
        }
        if subject.is_some() {
            state.subject = subject;
        }
        let (before, worst) = (state.body.heap_bytes(), state.body.worst_growth(at));
        if !reserve(&self.counts.memory, worst as u64, self.config.max_memory_bytes) {
            return Err(Refusal::MemoryLimit);
        }
        if !reserve(&self.counts.samples, 1, self.config.max_samples) {
            release(&self.counts.memory, worst);
            return Err(Refusal::SampleLimit);
        }
        let late = state.is_late(at);
        let inserted = state.body.insert((at, value.to_bits()));
        if late && inserted == Inserted::Stored {
            state.revised = state.revised.wrapping_add(1);
        }
        // Sealing compresses, so the series may even have become smaller.
        add(&self.counts.memory, state.body.heap_bytes());
        release(&self.counts.memory, before + worst);
        drop(state);
        match inserted {
            Inserted::Stored => {
                add(&self.counts.appended, 1);
                Ok(Some(Appended::Stored))
            }
            Inserted::Duplicate => {
                release(&self.counts.samples, 1);
                add(&self.counts.duplicates, 1);
                Ok(Some(Appended::Duplicate))
            }
            Inserted::Conflict => {
                release(&self.counts.samples, 1);
                Err(Refusal::Conflict)
            }
        }
    }

    fn find_or_create(
        &self,
        metric: &MetricName,
        labels: &Labels,
        kind: SampleKind,
        subject: Option<CiId>,
    ) -> Result<Arc<Series>, Refusal> {
        loop {
            let known = read(&self.metrics).get(metric).cloned();
            let entry = match known {
                Some(entry) => entry,
                None => {
                    self.check_labels(labels)?;
                    let fresh = || Arc::new(Metric { kind, index: RwLock::default() });
                    Arc::clone(write(&self.metrics).entry(metric.clone()).or_insert_with(fresh))
                }
            };
            if entry.kind != kind {
                return Err(Refusal::KindMismatch);
            }
            if let Some(series) = read(&entry.index).get(labels) {
                return Ok(Arc::clone(series));
            }
            self.check_labels(labels)?;
            let mut index = write(&entry.index);
            if index.retired {
                continue;
            }
            if let Some(series) = index.get(labels) {
                return Ok(Arc::clone(series));
            }
            let created = self.create(&mut index, metric, labels, kind, subject);
            if created.is_err() && index.len() == 0 {
                // The metric may have been made for this series alone; it must not stay without any.
                index.retired = true;
                drop(index);
                let mut metrics = write(&self.metrics);
                if metrics.get(metric).is_some_and(|have| Arc::ptr_eq(have, &entry)) {
                    metrics.remove(metric);
                }
            }
            return created;
        }
    }

    fn check_labels(&self, labels: &Labels) -> Result<(), Refusal> {
        let fits = labels.len() <= self.config.max_labels
            && labels.iter().all(|(_, value)| value.len() <= self.config.max_label_value_bytes);
        if fits { Ok(()) } else { Err(Refusal::LabelLimit) }
    }

    fn create(
        &self,
        index: &mut Index,
        metric: &MetricName,
        labels: &Labels,
        kind: SampleKind,
        subject: Option<CiId>,
    ) -> Result<Arc<Series>, Refusal> {
        if index.len() as u64 >= self.config.max_series_per_metric {
            return Err(Refusal::MetricSeriesLimit);
        }
        if !reserve(&self.counts.series, 1, self.config.max_series) {
            return Err(Refusal::SeriesLimit);
        }
        let base = Series::base_bytes(labels);
        let texts = Interner::worst(labels);
        if !reserve(&self.counts.memory, (base + texts) as u64, self.config.max_memory_bytes) {
            release(&self.counts.series, 1);
            return Err(Refusal::MemoryLimit);
        }
        let (labels, added) = self.interner.lock().unwrap_or_else(PoisonError::into_inner).intern(labels);
        release(&self.counts.memory, texts - added);
        let moved = self.moved.load(Ordering::Acquire);
        let series = Arc::new(Series::new(metric.clone(), labels, kind, subject, moved));
        index.insert(Arc::clone(&series));
        add(&self.counts.series_created, 1);
        Ok(series)
    }

    fn window(&self, now: Timestamp) -> Window {
        let floor = self.floor.load(Ordering::Relaxed);
        Window {
            oldest: floor.max(millis_up(now - self.config.retention)),
            newest: (now + self.config.ahead).as_millis(),
            late: i64::try_from(self.config.out_of_order.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Stores samples; `stored` is told the index of each one that is new.
    pub(crate) fn append_noting(
        &self,
        now: Timestamp,
        samples: &[NewSample],
        mut stored: impl FnMut(usize),
    ) -> AppendReport {
        let window = self.window(now);
        let mut report = AppendReport::default();
        for (index, sample) in samples.iter().enumerate() {
            match self.append_one(&window, sample) {
                Ok(Appended::Stored) => {
                    report.stored += 1;
                    stored(index);
                }
                Ok(Appended::Duplicate) => report.duplicates += 1,
                Err(refusal) => {
                    self.counts.refused(refusal);
                    report.refuse(refusal, &sample.metric, &sample.labels);
                }
            }
        }
        report
    }
}

/// Which times are accepted, in milliseconds.
struct Window {
    oldest: i64,
    newest: i64,
    late: i64,
}

impl Window {
    fn check(&self, at: i64) -> Result<(), Refusal> {
        if at < self.oldest {
            Err(Refusal::TooOld)
        } else if at > self.newest {
            Err(Refusal::TooFarAhead)
        } else {
            Ok(())
        }
    }
}

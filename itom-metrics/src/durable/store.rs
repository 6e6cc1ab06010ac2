//! Appending and deleting.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use itom_core::{Interval, Labels, Matcher, MetricName, SampleKind, Timestamp};

use super::folder::{Folder, Sink, UNFINISHED};
use super::log::{self, Encoder, MAGIC, Named};
use super::segment::Segment;
use super::tier::Tiers;
use super::{DurableConfig, DurableError, doing};
use crate::selector::Condition;
use crate::store::{Reach, Scanned, millis_up};
use crate::{AppendReport, NewHistogram, NewSample, Samples as _, SeriesStore, StoreStats};

/// Samples of one record when the log is written anew.
const CHECKPOINT_BATCH: usize = 20_000;

/// The log that is being written.
pub(super) struct Writer {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) encoder: Encoder,
    /// The number of the file.
    pub(super) number: u64,
    /// Records written since the store was opened.
    pub(super) written: u64,
    /// Writing failed: what the file holds is not known, so it is written anew before anything else is acknowledged.
    pub(super) unsure: bool,
    pub(super) bytes: u64,
}

/// A [`SeriesStore`] whose samples survive: see the [module](super).
///
/// ```
/// use itom_core::{Interval, Labels, MetricName, SampleKind, SampleSource, Selector, Timestamp};
/// use itom_metrics::NewSample;
/// use itom_metrics::durable::{DurableConfig, DurableStore};
///
/// let folder = std::env::temp_dir().join(format!("itom-durable-example-{}", std::process::id()));
/// let metric = MetricName::new("node_load1")?;
/// let at = Timestamp::from_secs(1_700_000_000);
/// {
///     let (store, _) = DurableStore::open(&folder, DurableConfig::default())?;
///     let labels = Labels::from_pairs([("instance", "web-1")])?;
///     let sample = NewSample { metric: metric.clone(), labels, kind: SampleKind::Gauge, subject: None, at, value: 0.5 };
///     store.append(at, &[sample])?;
/// }
/// let (store, report) = DurableStore::open(&folder, DurableConfig::default())?;
/// assert_eq!(report.replayed_samples, 1);
/// assert_eq!(store.select(&Selector::new(metric), Interval::ALWAYS)?[0].samples, [(at, 0.5)]);
/// # drop(store);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DurableStore {
    pub(super) folder: Arc<dyn Folder>,
    pub(super) config: DurableConfig,
    pub(super) memory: SeriesStore,
    pub(super) writer: Mutex<Writer>,
    /// Up to which record the log is on the disk.
    pub(super) synced: AtomicU64,
    /// Held while the disk is waited for; who waits for it finds his record written by the one before.
    pub(super) sync_gate: Mutex<()>,
    /// By number.
    pub(super) segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    /// Held by compaction and deletes.
    pub(super) exclusive: Mutex<()>,
    pub(super) next_number: AtomicU64,
    /// The oldest time in memory, in milliseconds, or something before it.
    pub(super) oldest: AtomicI64,
    /// The latest time that the store was told, in microseconds.
    pub(super) now: AtomicI64,
    pub(super) quarantined: AtomicU64,
    /// How often the past changed otherwise than by a late sample.
    pub(super) past: AtomicU64,
    pub(super) tiers: RwLock<Tiers>,
    /// Locked as long as the store is open.
    pub(super) _lock: Option<File>,
}

impl fmt::Debug for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableStore").field("folder", &self.folder).field("stats", &self.stats()).finish()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held by design; should it, the log is written anew where it is unsure.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn log_name(number: u64) -> String {
    format!("log-{number:016}.itom")
}

pub(super) fn segment_name(number: u64) -> String {
    format!("segment-{number:016}.itom")
}

pub(super) fn tombstone_name(number: u64) -> String {
    format!("segment-{number:016}.deleted")
}

/// What a durable store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DurableStats {
    /// The part in memory.
    pub memory: StoreStats,
    /// How many segments there are.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Their samples, deleted ones that no merge has removed yet among them.
    pub segment_samples: u64,
    /// Series of all segments; one that is in several counts several times.
    pub segment_series: u64,
    /// Bytes of the log that is being written.
    pub log_bytes: u64,
    /// Damaged files set aside since the store was opened.
    pub quarantined: u64,
}

impl DurableStats {
    /// The figures as samples, to be stored or exposed like any other.
    #[must_use]
    pub fn samples_of_self(&self) -> Vec<(MetricName, SampleKind, Labels, f64)> {
        use SampleKind::{Counter, Gauge};
        let mut out = self.memory.samples_of_self();
        for (name, kind, value) in [
            ("itom_metrics_segments", Gauge, self.segments),
            ("itom_metrics_segment_bytes", Gauge, self.segment_bytes),
            ("itom_metrics_segment_samples", Gauge, self.segment_samples),
            ("itom_metrics_segment_series", Gauge, self.segment_series),
            ("itom_metrics_log_bytes", Gauge, self.log_bytes),
            ("itom_metrics_quarantined_total", Counter, self.quarantined),
        ] {
            out.push((MetricName::literal(name), kind, Labels::empty(), value as f64));
        }
        out
    }
}

impl DurableStore {
    /// Stores samples and returns when they are on the disk. Those that cannot be stored are refused and counted; the
    /// others are not affected.
    ///
    /// # Errors
    /// [`DurableError::Io`]: none of these samples is acknowledged, though readers may see them. Sending them again
    /// is right: the log is written anew before anything else is acknowledged.
    pub fn append(&self, now: Timestamp, samples: &[NewSample]) -> Result<AppendReport, DurableError> {
        self.now.fetch_max(now.as_micros(), Ordering::Relaxed);
        let mut writer = lock(&self.writer);
        if writer.unsure {
            self.checkpoint(&mut writer)?;
        }
        let mut stored = Vec::with_capacity(samples.len());
        let report = self.memory.append_noting(now, samples, |index| stored.push(index));
        if !stored.is_empty() {
            let stored = || stored.iter().filter_map(|index| samples.get(*index));
            let record = writer.encoder.samples(now, stored());
            if let Some(oldest) = stored().map(|sample| sample.at.as_millis()).min() {
                self.oldest.fetch_min(oldest, Ordering::Relaxed);
            }
            self.write(&mut writer, &record)?;
        }
        let ticket = writer.written;
        drop(writer);
        // Also when all were there already: who stored them may not have reached the disk yet.
        self.wait_for_disk(ticket)?;
        Ok(report)
    }

    /// Stores histograms as [`append`](Self::append) stores samples.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_histograms(
        &self,
        now: Timestamp,
        histograms: &[NewHistogram],
    ) -> Result<AppendReport, DurableError> {
        self.now.fetch_max(now.as_micros(), Ordering::Relaxed);
        let mut writer = lock(&self.writer);
        if writer.unsure {
            self.checkpoint(&mut writer)?;
        }
        let mut stored = Vec::with_capacity(histograms.len());
        let report =
            self.memory.append_histograms_noting(now, histograms, |index, bytes| stored.push((index, bytes)));
        if !stored.is_empty() {
            let stored = stored.iter().filter_map(|(index, bytes)| {
                let one = histograms.get(*index)?;
                Some(((&one.metric, &one.labels, one.kind, one.subject), one.at.as_millis(), &**bytes))
            });
            let oldest = stored.clone().map(|one| one.1).min().unwrap_or(i64::MAX);
            self.oldest.fetch_min(oldest, Ordering::Relaxed);
            let record = writer.encoder.histograms(now, stored);
            self.write(&mut writer, &record)?;
        }
        let ticket = writer.written;
        drop(writer);
        self.wait_for_disk(ticket)?;
        Ok(report)
    }

    pub(super) fn write(&self, writer: &mut Writer, record: &[u8]) -> Result<(), DurableError> {
        if let Err(error) = writer.sink.write(record) {
            writer.unsure = true;
            return Err(doing("write", &log_name(writer.number))(error));
        }
        writer.written += 1;
        writer.bytes += record.len() as u64;
        Ok(())
    }

    /// Group commit: one of those who wait writes for all.
    pub(super) fn wait_for_disk(&self, ticket: u64) -> Result<(), DurableError> {
        if self.synced.load(Ordering::Acquire) >= ticket {
            return Ok(());
        }
        let _gate = lock(&self.sync_gate);
        if self.synced.load(Ordering::Acquire) >= ticket {
            return Ok(());
        }
        let (sink, written, number, unsure) = {
            let writer = lock(&self.writer);
            (Arc::clone(&writer.sink), writer.written, writer.number, writer.unsure)
        };
        // After a failed sync the system may call lost pages clean: only a new file can be believed.
        let lost = || std::io::Error::other("an earlier write to the log failed");
        let synced = if unsure { Err(lost()) } else { sink.sync() };
        if let Err(error) = synced {
            lock(&self.writer).unsure = true;
            return Err(doing("sync", &log_name(number))(error));
        }
        self.synced.fetch_max(written, Ordering::AcqRel);
        Ok(())
    }

    /// Writes everything in memory to a new log and removes the older ones. Appends wait meanwhile.
    pub(super) fn checkpoint(&self, writer: &mut Writer) -> Result<(), DurableError> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let name = log_name(number);
        let unfinished = format!("{name}{UNFINISHED}");
        let now = Timestamp::from_micros(self.now.load(Ordering::Relaxed));
        let sink = self.folder.create(&unfinished).map_err(doing("create", &unfinished))?;
        let mut encoder = Encoder::default();
        let mut bytes = MAGIC.len() as u64;
        sink.write(MAGIC).map_err(doing("write", &unfinished))?;
        let mut batch: Vec<NewSample> = Vec::new();
        let mut put = |record: &[u8]| {
            bytes += record.len() as u64;
            sink.write(record).map_err(doing("write", &unfinished))
        };
        self.memory.scan(&[], (i64::MIN, i64::MAX), |series: Scanned| {
            for (at, bits) in &series.samples {
                batch.push(NewSample {
                    metric: series.metric.clone(),
                    labels: series.labels.clone(),
                    kind: series.kind,
                    subject: series.subject,
                    at: Timestamp::from_millis(*at),
                    value: f64::from_bits(*bits),
                });
            }
            if !series.histograms.is_empty() {
                let name: Named<'_> = (&series.metric, &series.labels, series.kind, series.subject);
                put(&encoder
                    .histograms(now, series.histograms.iter().map(|(at, bytes)| (name, *at, &**bytes))))?;
            }
            if batch.len() >= CHECKPOINT_BATCH || !series.starts.is_empty() {
                put(&encoder.samples(now, batch.iter()))?;
                batch.clear();
            }
            // After their samples: they are kept only with them.
            if !series.starts.is_empty() {
                let name: Named<'_> = (&series.metric, &series.labels, series.kind, series.subject);
                put(&encoder
                    .starts(Reach::AllLater, series.starts.0.iter().map(|(at, start)| (name, *at, *start))))?;
            }
            Ok::<(), DurableError>(())
        })?;
        put(&encoder.samples(now, batch.iter()))?;
        let known = self.memory.metadata(None);
        for some in known.chunks(CHECKPOINT_BATCH) {
            put(&log::metadata(some.iter().map(|(metric, about)| (metric, about))))?;
        }
        for some in self.memory.all_exemplars().chunks(CHECKPOINT_BATCH) {
            put(&log::exemplars(some.iter().map(|(metric, labels, one)| (metric, labels, one))))?;
        }
        sink.sync().map_err(doing("sync", &unfinished))?;
        self.folder.rename(&unfinished, &name).map_err(doing("rename", &unfinished))?;
        self.folder.sync().map_err(doing("sync the folder of", &name))?;
        self.synced.fetch_max(writer.written, Ordering::AcqRel);
        *writer = Writer { sink, encoder, number, written: writer.written, unsure: false, bytes };
        self.remove_logs_before(number)
    }

    fn remove_logs_before(&self, number: u64) -> Result<(), DurableError> {
        let newest = log_name(number);
        for name in self.folder.list().map_err(doing("list the folder for", &newest))? {
            if name.starts_with("log-") && name.ends_with(".itom") && name < newest {
                self.folder.remove(&name).map_err(doing("remove", &name))?;
            }
        }
        Ok(())
    }

    /// Deletes the samples of every series that fits all matchers, with `range.from() <= time < range.to()`, and
    /// returns when that is on the disk. A matcher on `__name__` is about the metric's name. What is in segments is
    /// hidden at once and removed when they are merged. Returns how many samples went from memory.
    ///
    /// # Errors
    /// [`DurableError::Evaluate`] when a regular expression is wrong; [`DurableError::Io`]: part may be deleted.
    pub fn delete(&self, matchers: &[Matcher], range: Interval) -> Result<u64, DurableError> {
        let conditions = matchers.iter().map(Condition::new).collect::<Result<Vec<_>, _>>()?;
        if range.is_empty() {
            return Ok(0);
        }
        let (from, to) = (millis_up(range.from()), millis_up(range.to()).saturating_sub(1));
        let _exclusive = lock(&self.exclusive);
        let removed = self.delete_millis(matchers, &conditions, (from, to));
        // Also when it was done in part.
        self.change_past();
        removed
    }

    fn delete_millis(
        &self,
        matchers: &[Matcher],
        conditions: &[Condition],
        (from, to): (i64, i64),
    ) -> Result<u64, DurableError> {
        self.samples_changed(from, to)?;
        self.delete_buckets(conditions, (from, to))?;
        for (number, segment) in self.segments() {
            if segment.range().0 > to || segment.range().1 < from {
                continue;
            }
            let found = segment.matching(conditions);
            if found.is_empty() {
                continue;
            }
            let mut tombstones = segment.tombstones().as_ref().clone();
            found.iter().for_each(|series| tombstones.add(series, from, to));
            let name = tombstone_name(number);
            self.folder.place(&name, &tombstones.to_bytes()).map_err(doing("write", &name))?;
            segment.set_tombstones(tombstones);
        }
        let mut writer = lock(&self.writer);
        if writer.unsure {
            self.checkpoint(&mut writer)?;
        }
        self.write(&mut writer, &log::delete(matchers, from, to))?;
        let ticket = writer.written;
        let removed = self.memory.delete_millis(matchers, from, to)?;
        drop(writer);
        self.wait_for_disk(ticket)?;
        Ok(removed)
    }

    /// What is not in a segment yet.
    pub(crate) const fn memory(&self) -> &SeriesStore {
        &self.memory
    }

    /// Says that something of the past changed: whoever follows series reads them anew. Said afterwards, so that who
    /// read in between does it again.
    pub(super) fn change_past(&self) {
        self.past.fetch_add(1, Ordering::Release);
    }

    /// How often something of the past changed otherwise than by a late sample.
    pub(crate) fn past_changes(&self) -> u64 {
        self.past.load(Ordering::Acquire)
    }

    pub(super) fn segments(&self) -> Vec<(u64, Arc<Segment>)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.iter().map(|(number, segment)| (*number, Arc::clone(segment))).collect()
    }

    /// Takes a damaged segment out of service and gives its files another name.
    pub(super) fn quarantine(&self, number: u64) {
        let gone = self.segments.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        if gone.is_some() {
            self.change_past();
            self.quarantined.fetch_add(1, Ordering::Relaxed);
            for name in [segment_name(number), tombstone_name(number)] {
                // Whether the name can be changed or not: it is served no more, and found damaged again when opened.
                let _ = self.folder.rename(&name, &format!("{name}.quarantined"));
            }
        }
    }

    /// What the store holds.
    #[must_use]
    pub fn stats(&self) -> DurableStats {
        let segments = self.segments();
        let sum = |of: fn(&Segment) -> u64| segments.iter().map(|(_, segment)| of(segment)).sum();
        DurableStats {
            memory: self.memory.stats(),
            segments: segments.len() as u64,
            segment_bytes: sum(Segment::bytes),
            segment_samples: sum(Segment::samples),
            segment_series: sum(Segment::series),
            log_bytes: lock(&self.writer).bytes,
            quarantined: self.quarantined.load(Ordering::Relaxed),
        }
    }
}

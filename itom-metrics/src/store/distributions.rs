//! The histograms of one series, each as its bytes.

use std::sync::Arc;

use itom_core::{CiId, Histogram, Labels, MetricName, SampleKind, Timestamp};

use super::body::Inserted;
use super::limits::{AppendReport, Appended, Refusal};
use super::series::Series;
use super::stats::{add, release, reserve};
use super::{SeriesStore, Window};
use crate::chunk::histogram::encode;

/// A time and the bytes of a histogram.
pub(crate) type Encoded = (i64, Arc<[u8]>);

/// What one costs beside its bytes: its place, the counts of the shared allocation.
const OVERHEAD: usize = size_of::<Encoded>() + 16;

/// One histogram to be stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "like NewSample: built by whoever appends")]
pub struct NewHistogram {
    /// The metric.
    pub metric: MetricName,
    /// What tells this series from others of the metric.
    pub labels: Labels,
    /// Counter, or gauge for what is no counter; one kind per metric.
    pub kind: SampleKind,
    /// The item it was measured on.
    pub subject: Option<CiId>,
    /// When it was measured; kept in whole milliseconds, rounded down.
    pub at: Timestamp,
    /// The histogram; every bit of its numbers is kept.
    pub histogram: Arc<Histogram>,
}

/// In order of time, each time once.
#[derive(Debug, Default)]
pub(super) struct Distributions {
    all: Vec<Encoded>,
    bytes: usize,
}

impl Distributions {
    pub(super) fn newest(&self) -> Option<i64> {
        self.all.last().map(|one| one.0)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) const fn heap_bytes(&self) -> usize {
        self.bytes + self.all.len() * OVERHEAD
    }

    pub(super) fn has(&self, at: i64) -> bool {
        self.all.binary_search_by_key(&at, |one| one.0).is_ok()
    }

    fn insert(&mut self, at: i64, bytes: Arc<[u8]>) -> Inserted {
        let place = self.all.partition_point(|one| one.0 < at);
        match self.all.get(place) {
            Some(there) if there.0 == at && there.1 == bytes => return Inserted::Duplicate,
            Some(there) if there.0 == at => return Inserted::Conflict,
            _ => {}
        }
        self.bytes += bytes.len();
        self.all.insert(place, (at, bytes));
        Inserted::Stored
    }

    /// Removes those with `from <= time <= to`; how many went.
    pub(super) fn cut(&mut self, from: i64, to: i64) -> usize {
        let before = self.all.len();
        self.all.retain(|(at, _)| *at < from || *at > to);
        if self.all.len() < before {
            self.all.shrink_to_fit();
            self.bytes = self.all.iter().map(|one| one.1.len()).sum();
        }
        before - self.all.len()
    }

    /// Those with `from <= time <= to`; their bytes are shared.
    pub(super) fn within(&self, from: i64, to: i64) -> Vec<Encoded> {
        let start = self.all.partition_point(|one| one.0 < from);
        let end = self.all.partition_point(|one| one.0 <= to).max(start);
        self.all.get(start..end).unwrap_or_default().to_vec()
    }
}

impl SeriesStore {
    /// Stores histograms. Those that cannot be stored are refused and counted; the others are not affected. A series
    /// may hold floats and histograms, but not at the same time.
    pub fn append_histograms(&self, now: Timestamp, histograms: &[NewHistogram]) -> AppendReport {
        self.append_histograms_noting(now, histograms, |_, _| {})
    }

    /// As [`append_histograms`](Self::append_histograms); `stored` is told the index and bytes of each that is new.
    pub(crate) fn append_histograms_noting(
        &self,
        now: Timestamp,
        histograms: &[NewHistogram],
        mut stored: impl FnMut(usize, Arc<[u8]>),
    ) -> AppendReport {
        let mut report = AppendReport::default();
        for (index, one) in histograms.iter().enumerate() {
            let bytes: Arc<[u8]> = encode(&one.histogram).into();
            let valid = one.histogram.validate().map_err(|_| Refusal::InvalidHistogram);
            match valid.and_then(|()| self.append_encoded(now, one, &bytes)) {
                Ok(Appended::Stored) => {
                    report.stored += 1;
                    stored(index, bytes);
                }
                Ok(Appended::Duplicate) => report.duplicates += 1,
                Err(refusal) => {
                    self.counts.refused(refusal);
                    report.refuse(refusal, &one.metric, &one.labels);
                }
            }
        }
        report
    }

    fn append_encoded(
        &self,
        now: Timestamp,
        one: &NewHistogram,
        bytes: &Arc<[u8]>,
    ) -> Result<Appended, Refusal> {
        let window = self.window(now);
        let at = one.at.as_millis();
        window.check(at)?;
        loop {
            let series = self.find_or_create(&one.metric, &one.labels, one.kind, one.subject)?;
            // `None`: retention removed it between the two steps.
            if let Some(appended) = self.insert_histogram(&series, &window, one.subject, at, bytes)? {
                return Ok(appended);
            }
        }
    }

    fn insert_histogram(
        &self,
        series: &Series,
        window: &Window,
        subject: Option<CiId>,
        at: i64,
        bytes: &Arc<[u8]>,
    ) -> Result<Option<Appended>, Refusal> {
        let mut state = series.lock();
        if state.retired {
            return Ok(None);
        }
        if state.newest().is_some_and(|newest| at < newest.saturating_sub(window.late)) {
            return Err(Refusal::TooOld);
        }
        if state.body.latest(at, at).is_some() {
            return Err(Refusal::Conflict);
        }
        if subject.is_some() {
            state.subject = subject;
        }
        let cost = bytes.len() + OVERHEAD;
        if !reserve(&self.counts.memory, cost as u64, self.config.max_memory_bytes) {
            return Err(Refusal::MemoryLimit);
        }
        if !reserve(&self.counts.samples, 1, self.config.max_samples) {
            release(&self.counts.memory, cost);
            return Err(Refusal::SampleLimit);
        }
        let late = state.is_late(at);
        let inserted = state.histograms.get_or_insert_default().insert(at, Arc::clone(bytes));
        if late && inserted == Inserted::Stored {
            state.revised = state.revised.wrapping_add(1);
        }
        drop(state);
        if inserted == Inserted::Stored {
            add(&self.counts.appended, 1);
            return Ok(Some(Appended::Stored));
        }
        release(&self.counts.memory, cost);
        release(&self.counts.samples, 1);
        if inserted == Inserted::Conflict {
            return Err(Refusal::Conflict);
        }
        add(&self.counts.duplicates, 1);
        Ok(Some(Appended::Duplicate))
    }
}

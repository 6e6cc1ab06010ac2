//! One series.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use itom_core::{CiId, LabelName, Labels, MetricName, SampleKind, Text};

use super::body::Body;
use super::distributions::{Distributions, Encoded};
use super::starts::{Starts, times_of};

/// One series: what it is called never changes, what it holds is behind its own lock.
#[derive(Debug)]
pub(super) struct Series {
    metric: MetricName,
    labels: Labels,
    kind: SampleKind,
    pub(super) state: Mutex<State>,
}

/// What changes about a series.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) body: Body,
    /// Most series have none.
    pub(super) histograms: Option<Box<Distributions>>,
    /// The item it was last said to be about.
    pub(super) subject: Option<CiId>,
    /// Set when the series was taken out of the store: whoever still holds it asks the store again.
    pub(super) retired: bool,
    /// How often a sample came that was older than the newest.
    pub(super) revised: u32,
    /// Samples up to this time may have been moved out of memory; `i64::MIN` when none was.
    pub(super) moved: i64,
    /// Most series are told none.
    pub(super) starts: Option<Box<Starts>>,
}

impl State {
    /// The newest time.
    pub(super) fn newest(&self) -> Option<i64> {
        let histogram = self.histograms.as_ref().and_then(|all| all.newest());
        self.body.newest().map(|(at, _)| at).max(histogram)
    }

    /// Whether a sample of this time is older than one that a reader may have seen.
    pub(super) fn is_late(&self, at: i64) -> bool {
        at < self.moved || self.newest().is_some_and(|newest| at < newest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty() && self.histograms.as_ref().is_none_or(|all| all.is_empty())
    }

    pub(super) fn has_histogram(&self, at: i64) -> bool {
        self.histograms.as_ref().is_some_and(|all| all.has(at))
    }

    pub(super) fn histograms_within(&self, from: i64, to: i64) -> Vec<Encoded> {
        self.histograms.as_ref().map_or_else(Vec::new, |all| all.within(from, to))
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let starts = self.starts.as_ref().map_or(0, |starts| starts.heap_bytes());
        self.body.heap_bytes() + self.histograms.as_ref().map_or(0, |all| all.heap_bytes()) + starts
    }

    /// The time of the sample after one.
    pub(super) fn after(&self, at: i64) -> Option<i64> {
        let from = at.saturating_add(1);
        let float = self.body.snapshot(from, i64::MAX).read(from, i64::MAX).first().map(|one| one.0);
        let histogram = self.histograms_within(from, i64::MAX).first().map(|one| one.0);
        [float, histogram].into_iter().flatten().min()
    }

    /// Keeps of the starts what the samples that are left need, and nothing else: reading the log again must give the
    /// same.
    fn prune_starts(&mut self) {
        let Some(starts) = self.starts.take() else { return };
        let samples = self.body.snapshot(i64::MIN, i64::MAX).read(i64::MIN, i64::MAX);
        let histograms = self.histograms_within(i64::MIN, i64::MAX);
        let left = starts.of_times(times_of(&samples, &histograms).into_iter());
        self.starts = (!left.is_empty()).then(|| Box::new(left));
    }

    /// Removes what has `from <= time <= to`; how many samples went.
    pub(super) fn cut(&mut self, from: i64, to: i64) -> usize {
        let histograms = self.histograms.as_mut().map_or(0, |all| all.cut(from, to));
        if self.histograms.as_ref().is_some_and(|all| all.is_empty()) {
            self.histograms = None;
        }
        let removed = self.body.cut(from, to) + histograms;
        self.prune_starts();
        removed
    }

    /// Drops what ends before `floor`; how many samples went.
    pub(super) fn expire(&mut self, floor: i64) -> usize {
        let histograms = self.histograms.as_mut().map_or(0, |all| all.cut(i64::MIN, floor.saturating_sub(1)));
        if self.histograms.as_ref().is_some_and(|all| all.is_empty()) {
            self.histograms = None;
        }
        let removed = self.body.expire(floor) + histograms;
        if removed > 0 {
            self.prune_starts();
        }
        removed
    }
}

impl Series {
    pub(super) fn new(
        metric: MetricName,
        labels: Labels,
        kind: SampleKind,
        subject: Option<CiId>,
        moved: i64,
    ) -> Self {
        let body = State { subject, moved, ..State::default() };
        Self { metric, labels, kind, state: Mutex::new(body) }
    }

    pub(super) const fn metric(&self) -> &MetricName {
        &self.metric
    }

    pub(super) const fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) const fn kind(&self) -> SampleKind {
        self.kind
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the locked sections panics by design; should it, a series is still a list of disjoint runs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a series with these labels costs without samples and without its texts.
    pub(super) fn base_bytes(labels: &Labels) -> usize {
        // Counts of two shared allocations, the place in the series list, the rank, the entry of the lookup by labels.
        const FIXED: usize =
            size_of::<Series>() + 2 * 16 + 8 + 4 + 24 + size_of::<(Box<[(LabelName, Text)]>, u64)>();
        // Name and value, the place in a posting list, and the share of that list.
        const LABEL: usize = size_of::<(LabelName, Text)>() + 16;
        FIXED + labels.len() * LABEL
    }
}

/// A handle to one series, for those who append to it again and again: saves looking up the labels.
#[derive(Debug, Clone)]
pub struct SeriesRef {
    pub(super) series: Arc<Series>,
}

impl SeriesRef {
    /// The metric.
    #[must_use]
    pub fn metric(&self) -> &MetricName {
        self.series.metric()
    }

    /// The labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        self.series.labels()
    }

    /// Gauge or counter.
    #[must_use]
    pub fn kind(&self) -> SampleKind {
        self.series.kind()
    }
}

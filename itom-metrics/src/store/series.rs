//! One series.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use itom_core::{CiId, LabelName, Labels, MetricName, SampleKind, Text};

use super::body::Body;

/// One series: what it is called never changes, what it holds is behind its own lock.
#[derive(Debug)]
pub(super) struct Series {
    metric: MetricName,
    labels: Labels,
    kind: SampleKind,
    state: Mutex<State>,
}

/// What changes about a series.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) body: Body,
    /// The item it was last said to be about.
    pub(super) subject: Option<CiId>,
    /// Set when the series was taken out of the store: whoever still holds it asks the store again.
    pub(super) retired: bool,
}

impl Series {
    pub(super) fn new(metric: MetricName, labels: Labels, kind: SampleKind, subject: Option<CiId>) -> Self {
        let body = State { body: Body::default(), subject, retired: false };
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
        // Counts of two shared allocations, the place in the series list, the entry of the lookup by labels.
        const FIXED: usize =
            size_of::<Series>() + 2 * 16 + 8 + 24 + size_of::<(Box<[(LabelName, Text)]>, u64)>();
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

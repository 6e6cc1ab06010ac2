//! What the query engine reads from: any store of series.

mod followable;
mod histogram_bucket;
mod labels;
mod matcher;
mod memory;
mod stored;
mod tiered;
mod xxh64;

use std::fmt;
use std::sync::Arc;

use itom_core::{BoxError, Classify, ErrorKind, Histogram, is_stale_nan};

pub use followable::{Followable, Followed, FollowedSeries, SeriesHandle};
pub use histogram_bucket::HistogramBucket;
#[cfg(feature = "durable")]
pub(crate) use histogram_bucket::{Said, histogram_buckets_of};
pub(crate) use labels::is_metadata;
pub use labels::{LabelSet, METRIC_NAME};
pub use matcher::LabelMatcher;
pub(crate) use memory::copy_range;
pub use memory::{AppendError, MemorySeries};
#[cfg(feature = "api")]
pub(crate) use stored::conditions;
#[cfg(feature = "durable")]
pub(crate) use stored::histogram;
pub use tiered::{Bucket, BucketSeries, TierReach, Tiered};
#[cfg(feature = "durable")]
pub(crate) use tiered::{bucket_end, buckets_of};

/// A float at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a time and a value; every store builds them")]
pub struct FloatPoint {
    /// When, in milliseconds since the epoch.
    pub t: i64,
    /// The value; Prometheus's staleness marker says that the series ended.
    pub v: f64,
}

/// A histogram at a time.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a time and a value; every store builds them")]
pub struct HistogramPoint {
    /// When, in milliseconds since the epoch.
    pub t: i64,
    /// The value; one whose sum is the staleness marker says that the series ended.
    pub h: Arc<Histogram>,
}

/// The samples of one series in a stretch of time: floats and histograms, each in ascending order of time. No time is
/// in both.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Points {
    /// The floats.
    pub floats: Vec<FloatPoint>,
    /// For each float when its counter began, in milliseconds, 0 where it is not known. Empty when it is known for
    /// none.
    pub float_starts: Vec<i64>,
    /// The histograms.
    pub histograms: Vec<HistogramPoint>,
    /// For each histogram when its counter began, like [`float_starts`](Self::float_starts).
    pub histogram_starts: Vec<i64>,
}

impl Points {
    /// Floats without start times.
    #[must_use]
    pub const fn of_floats(floats: Vec<FloatPoint>) -> Self {
        Self { floats, float_starts: Vec::new(), histograms: Vec::new(), histogram_starts: Vec::new() }
    }

    /// How many samples there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// Adds a float that is newer than all floats so far; `start` 0 is none.
    pub fn push_float(&mut self, t: i64, v: f64, start: i64) {
        push_start(&mut self.float_starts, self.floats.len(), start);
        self.floats.push(FloatPoint { t, v });
    }

    /// Adds a histogram that is newer than all histograms so far; `start` 0 is none.
    pub fn push_histogram(&mut self, t: i64, h: Arc<Histogram>, start: i64) {
        push_start(&mut self.histogram_starts, self.histograms.len(), start);
        self.histograms.push(HistogramPoint { t, h });
    }

    /// The same without the markers of staleness.
    #[must_use]
    pub fn without_stale(mut self) -> Self {
        if self.floats.iter().any(|point| is_stale_nan(point.v)) {
            if !self.float_starts.is_empty() {
                let mut points = self.floats.iter();
                self.float_starts.retain(|_| points.next().is_some_and(|point| !is_stale_nan(point.v)));
            }
            self.floats.retain(|point| !is_stale_nan(point.v));
        }
        if self.histograms.iter().any(|point| point.h.is_stale()) {
            if !self.histogram_starts.is_empty() {
                let mut points = self.histograms.iter();
                self.histogram_starts.retain(|_| points.next().is_some_and(|point| !point.h.is_stale()));
            }
            self.histograms.retain(|point| !point.h.is_stale());
        }
        self
    }
}

fn push_start(starts: &mut Vec<i64>, before: usize, start: i64) {
    if start != 0 && starts.is_empty() {
        starts.resize(before, 0);
    }
    if start != 0 || !starts.is_empty() {
        starts.push(start);
    }
}

/// A series that was selected.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "labels and samples; every store builds them")]
pub struct SelectedSeries {
    /// Its labels, the metric's name among them.
    pub labels: LabelSet,
    /// Its samples in the asked stretch of time.
    pub samples: Points,
}

/// From a time to a later one, both included, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "two times")]
pub struct TimeRange {
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
}

/// What a store may use to read less.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SelectHints {
    /// The distance of the evaluations in milliseconds; 0 for a single one.
    pub step: i64,
    /// The window that each evaluation reads, in milliseconds; 0 when it is the newest sample only.
    pub range: i64,
    /// The name of the function or aggregation around the selector.
    pub function: Option<&'static str>,
    /// The most samples that are of use; more will fail the query.
    pub max_samples: Option<u64>,
}

/// Why series cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryableError {
    /// A limit of the store was reached.
    #[error("reading needs more than {limit} {what}; narrow the selector or raise the limit")]
    Limit {
        /// What there was too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The store cannot be read just now.
    #[error("the series cannot be read")]
    Unavailable(#[source] BoxError),
}

impl Classify for QueryableError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Limit { .. } => ErrorKind::Exhausted,
            Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }
}

/// A store of series that PromQL can be evaluated over.
pub trait Queryable: Send + Sync + fmt::Debug {
    /// The series that fit every matcher and have samples in the range, sorted by labels, each label set once. A label
    /// that is absent has the empty value. Markers of staleness are samples like any other.
    ///
    /// # Errors
    /// [`QueryableError`] when a limit is reached or the store cannot be read.
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError>;

    /// The same store as one whose series can be followed, if it is such: then planned rules read of each series only
    /// what came since they last did.
    fn as_followable(&self) -> Option<&dyn Followable> {
        None
    }

    /// The same store as one with tiers, if it is such.
    fn as_tiered(&self) -> Option<&dyn Tiered> {
        None
    }
}

const _: Option<&dyn Queryable> = None;

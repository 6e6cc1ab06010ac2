//! What the histograms of a stretch of time amount to.

use std::sync::Arc;

use itom_core::{CounterReset, Histogram, Layout, Schema};

use super::HistogramPoint;
use crate::histogram::{CompensatedHistogram, add, detect_reset};

/// What the native histograms of a series in a stretch of time amount to, markers of staleness left out: enough for
/// what PromQL's `rate`, `increase`, `delta`, `sum_over_time` and `avg_over_time` make of them. Stretches are those of
/// [`Bucket`](super::Bucket).
///
/// ```
/// use std::sync::Arc;
/// use itom_core::Histogram;
/// use itom_metrics::{HistogramBucket, HistogramPoint};
/// let point = |t, count| {
///     let mut h = Histogram::default();
///     (h.count, h.zero_count) = (count, count);
///     HistogramPoint { t, h: Arc::new(h) }
/// };
/// // A counter that begins again at the third sample.
/// let points = [point(10, 5.0), point(20, 8.0), point(30, 1.0)];
/// let bucket = HistogramBucket::of(60, &points).unwrap();
/// assert_eq!((bucket.count(), bucket.last_at(), bucket.last().count), (3, 30, 1.0));
/// assert_eq!(bucket.sum().unwrap().count, 14.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramBucket {
    pub(crate) end: i64,
    pub(crate) count: u64,
    pub(crate) first: Arc<Histogram>,
    pub(crate) first_at: i64,
    pub(crate) last: Arc<Histogram>,
    pub(crate) last_at: i64,
    pub(crate) sum: Option<Arc<Histogram>>,
    /// What a counter had each time that it began again, but not what its first histogram had. Those that follow each
    /// other and have the same buckets are one, their sum.
    pub(crate) lost: Vec<Arc<Histogram>>,
    /// The layout of the second histogram, if the counter began again with it: then nothing of the first one is in a
    /// change, not even its buckets.
    pub(crate) began_again: Option<Layout>,
    /// The coarsest exponential resolution of all but the first.
    pub(crate) coarsest: Option<Schema>,
    /// One of all but the first has custom bounds.
    pub(crate) customs: bool,
    pub(crate) said: Said,
}

/// What there is to say about the histograms of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four remarks, each made or not")]
pub(crate) struct Said {
    /// One is a gauge.
    pub(crate) gauge: bool,
    /// One says that its counter began again.
    pub(crate) reset: bool,
    /// One says that it did not.
    pub(crate) not_reset: bool,
    /// Custom bounds differed among those that were summed up.
    pub(crate) sum_reconciled: bool,
}

impl HistogramBucket {
    /// The bucket that ends at `end` of its histograms, which come in order of time; `None` when there are none but
    /// markers of staleness.
    #[must_use]
    pub fn of(end: i64, points: &[HistogramPoint]) -> Option<Self> {
        let mut points = points.iter().filter(|point| !point.h.is_stale());
        let first = points.next()?;
        let mut bucket = Self {
            end,
            count: 1,
            first: Arc::clone(&first.h),
            first_at: first.t,
            last: Arc::clone(&first.h),
            last_at: first.t,
            sum: None,
            lost: Vec::new(),
            began_again: None,
            coarsest: None,
            customs: false,
            said: Said::default(),
        };
        bucket.note(&first.h);
        let mut sum = Some(CompensatedHistogram::new((*first.h).clone()));
        for point in points {
            bucket.push(point);
            sum = sum.and_then(|mut sum| {
                bucket.said.sum_reconciled |= sum.add(&point.h).ok()?.bounds_reconciled;
                Some(sum)
            });
        }
        bucket.sum = if bucket.count == 1 {
            Some(Arc::clone(&bucket.first))
        } else {
            sum.map(|sum| Arc::new(sum.total()))
        };
        Some(bucket)
    }

    fn note(&mut self, histogram: &Histogram) {
        match histogram.reset {
            CounterReset::Gauge => self.said.gauge = true,
            CounterReset::Reset => self.said.reset = true,
            CounterReset::NotReset => self.said.not_reset = true,
            CounterReset::Unknown => {}
        }
    }

    /// One more, of a later time.
    fn push(&mut self, point: &HistogramPoint) {
        self.note(&point.h);
        match &point.h.layout {
            Layout::Exponential(schema) => {
                self.coarsest = Some(self.coarsest.map_or(*schema, |coarsest| coarsest.min(*schema)));
            }
            Layout::Custom(_) => self.customs = true,
        }
        if detect_reset(&point.h, &self.last) {
            if self.count == 1 {
                self.began_again = Some(point.h.layout.clone());
            } else {
                self.lose();
            }
        }
        (self.last, self.last_at) = (Arc::clone(&point.h), point.t);
        self.count += 1;
    }

    /// What the last one has is lost.
    fn lose(&mut self) {
        let alike =
            |a: &Histogram, b: &Histogram| a.layout == b.layout && a.zero_threshold == b.zero_threshold;
        if let Some(lost) = self.lost.last_mut().filter(|lost| alike(lost, &self.last))
            && add(Arc::make_mut(lost), &self.last).is_ok()
        {
            return;
        }
        self.lost.push(Arc::clone(&self.last));
    }

    /// Its last millisecond since the epoch.
    #[must_use]
    pub const fn end(&self) -> i64 {
        self.end
    }

    /// How many histograms, at least one.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> &Histogram {
        &self.first
    }

    /// The time of the first.
    #[must_use]
    pub const fn first_at(&self) -> i64 {
        self.first_at
    }

    /// The last.
    #[must_use]
    pub fn last(&self) -> &Histogram {
        &self.last
    }

    /// The time of the last.
    #[must_use]
    pub const fn last_at(&self) -> i64 {
        self.last_at
    }

    /// Their sum; `None` when some have exponential buckets and others custom bounds.
    #[must_use]
    pub fn sum(&self) -> Option<&Histogram> {
        self.sum.as_deref()
    }
}

/// The buckets of histograms in order of time.
#[cfg(feature = "durable")]
pub(crate) fn histogram_buckets_of(points: &[HistogramPoint], length: i64) -> Vec<HistogramBucket> {
    let end = |point: &HistogramPoint| super::bucket_end(point.t, length);
    let stretches = points.chunk_by(|a, b| end(a) == end(b));
    stretches.filter_map(|some| HistogramBucket::of(end(some.first()?), some)).collect()
}

//! Series in memory, uncompressed: for tests, unit tests of rules, and whatever is evaluated once.

use std::collections::BTreeMap;
use std::sync::Arc;

use itom_core::{Buckets, Classify, CounterReset, ErrorKind, Histogram, is_stale_nan};

use super::{
    FloatPoint, Followable, Followed, FollowedSeries, LabelMatcher, LabelSet, Points, Queryable,
    QueryableError, SelectHints, SelectedSeries, SeriesHandle, TimeRange,
};

/// Why a sample was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The series has a newer sample.
    #[error("{series} has a sample at {newest} ms; one at {at} ms is older and cannot be added any more")]
    OutOfOrder {
        /// The labels.
        series: LabelSet,
        /// When the refused sample was.
        at: i64,
        /// When the newest one is.
        newest: i64,
    },
    /// The series has another value at that time.
    #[error("{series} has another sample at {at} ms")]
    Duplicate {
        /// The labels.
        series: LabelSet,
        /// When.
        at: i64,
    },
}

impl Classify for AppendError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Series in memory.
///
/// Histograms are handed out with what a Prometheus knows of them: whether a counter began again before one is found
/// out when it is added, and said in its [`reset`](Histogram::reset).
///
/// ```
/// use itom_metrics::{LabelSet, MemorySeries};
/// let mut series = MemorySeries::new();
/// let up = LabelSet::from_pairs([("__name__", "up")]);
/// series.append_float(&up, 15_000, 1.0, 0)?;
/// assert!(series.append_float(&up, 10_000, 1.0, 0).is_err());
/// # Ok::<(), itom_metrics::AppendError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemorySeries {
    series: BTreeMap<LabelSet, Arc<Held>>,
}

/// The labels of a series, as a handle.
#[derive(Debug, Default)]
struct Key(LabelSet);

#[derive(Debug, Clone, Default)]
struct Held {
    /// What the series is followed by: samples are copied when they are added while somebody reads, this is not.
    key: Arc<Key>,
    points: Points,
    /// The newest sample is a histogram (and no marker), not a float.
    after_histogram: bool,
}

impl MemorySeries {
    /// No series.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many series there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Adds a float; `start` is when the counter began, 0 when that is not known.
    ///
    /// # Errors
    /// [`AppendError`] unless the sample is newer than all of the series, or equal to the newest.
    pub fn append_float(&mut self, labels: &LabelSet, t: i64, v: f64, start: i64) -> Result<(), AppendError> {
        let held = self.held(labels);
        if let Some(newest) = newest(&held.points).filter(|newest| t <= *newest) {
            let same =
                held.points.floats.last().is_some_and(|last| last.t == t && last.v.to_bits() == v.to_bits());
            return refuse(labels, t, newest, same);
        }
        // The marker of a series of histograms is one of them.
        if is_stale_nan(v) && held.after_histogram {
            held.points.push_histogram(t, Arc::new(Histogram::stale()), start);
        } else {
            held.points.push_float(t, v, start);
            held.after_histogram = false;
        }
        Ok(())
    }

    /// Adds a histogram; `start` is when the counter began, 0 when that is not known.
    ///
    /// # Errors
    /// As [`append_float`](Self::append_float).
    pub fn append_histogram(
        &mut self,
        labels: &LabelSet,
        t: i64,
        mut h: Histogram,
        start: i64,
    ) -> Result<(), AppendError> {
        let held = self.held(labels);
        if let Some(newest) = newest(&held.points).filter(|newest| t <= *newest) {
            let same = held.points.histograms.last().is_some_and(|last| last.t == t && last.h.same_bits(&h));
            return refuse(labels, t, newest, same);
        }
        let before = held.points.histograms.last().filter(|_| held.after_histogram);
        h.reset = known_reset(before.map(|point| &*point.h), &h);
        held.points.push_histogram(t, Arc::new(h), start);
        held.after_histogram = true;
        Ok(())
    }

    fn held(&mut self, labels: &LabelSet) -> &mut Held {
        let fresh = || Arc::new(Held { key: Arc::new(Key(labels.clone())), ..Held::default() });
        Arc::make_mut(self.series.entry(labels.clone()).or_insert_with(fresh))
    }

    fn matching<'a>(
        &'a self,
        matchers: &'a [LabelMatcher],
    ) -> impl Iterator<Item = (&'a LabelSet, &'a Arc<Held>)> + 'a {
        self.series
            .iter()
            .filter(|(labels, _)| matchers.iter().all(|one| one.matches(labels.get(one.name()))))
    }
}

fn refuse(labels: &LabelSet, at: i64, newest: i64, same: bool) -> Result<(), AppendError> {
    match (at == newest, same) {
        (true, true) => Ok(()),
        (true, false) => Err(AppendError::Duplicate { series: labels.clone(), at }),
        _ => Err(AppendError::OutOfOrder { series: labels.clone(), at, newest }),
    }
}

fn newest(points: &Points) -> Option<i64> {
    let floats = points.floats.last().map(|point| point.t);
    floats.max(points.histograms.last().map(|point| point.t))
}

/// What is known when a histogram follows another in a series, as Prometheus's store works it out: histograms between
/// two restarts lie together, and only the first one's relation to what was before is not certain.
fn known_reset(before: Option<&Histogram>, new: &Histogram) -> CounterReset {
    if new.reset == CounterReset::Gauge {
        return CounterReset::Gauge;
    }
    if new.reset == CounterReset::Reset {
        return CounterReset::Reset;
    }
    let Some(before) = before.filter(|before| before.reset != CounterReset::Gauge) else {
        return CounterReset::Unknown;
    };
    if new.is_stale() {
        return CounterReset::NotReset;
    }
    if before.is_stale() {
        return CounterReset::Unknown;
    }
    if new.count < before.count || new.layout != before.layout || new.zero_threshold != before.zero_threshold
    {
        return CounterReset::Unknown;
    }
    let fell = |old: &Buckets, new: &Buckets| {
        old.iter().any(|(index, count)| count > 0.0 && new.get(index).is_none_or(|now| now < count))
    };
    let restarted = new.zero_count < before.zero_count
        || fell(&before.positive, &new.positive)
        || fell(&before.negative, &new.negative);
    if restarted { CounterReset::Unknown } else { CounterReset::NotReset }
}

impl Queryable for MemorySeries {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        let mut found = Vec::new();
        let mut read = 0_u64;
        for (labels, held) in self.matching(matchers) {
            let mut samples = Points::default();
            copy_range(&held.points, range, &mut samples);
            if samples.is_empty() {
                continue;
            }
            read += samples.len() as u64;
            if let Some(limit) = hints.max_samples.filter(|limit| read > *limit) {
                return Err(QueryableError::Limit { what: "samples", limit });
            }
            found.push(SelectedSeries { labels: labels.clone(), samples });
        }
        Ok(found)
    }

    fn as_followable(&self) -> Option<&dyn Followable> {
        Some(self)
    }
}

impl Followable for MemorySeries {
    fn series_generation(&self) -> u64 {
        self.series.len() as u64
    }

    fn past_generation(&self) -> u64 {
        0
    }

    fn floor(&self) -> i64 {
        i64::MIN
    }

    fn resolve(&self, matchers: &[LabelMatcher]) -> Vec<FollowedSeries> {
        let series = self.matching(matchers).map(|(labels, held)| FollowedSeries {
            labels: labels.clone(),
            handle: SeriesHandle::new(held.key.clone()),
            revision: 0,
        });
        series.collect()
    }

    fn follow(
        &self,
        series: &SeriesHandle,
        after: i64,
        through: i64,
        _revision: &mut u64,
        out: &mut Points,
    ) -> Result<Followed, QueryableError> {
        if let Some(held) = series.get::<Key>().and_then(|key| self.series.get(&key.0)) {
            copy_range(&held.points, TimeRange { from: after.saturating_add(1), to: through }, out);
        }
        // Samples are only ever added at the end.
        Ok(Followed::Continued)
    }
}

/// Adds the samples of a stretch of time.
pub(crate) fn copy_range(points: &Points, range: TimeRange, out: &mut Points) {
    let start_of = |starts: &[i64], index: usize| starts.get(index).copied().unwrap_or(0);
    let from = points.floats.partition_point(|point| point.t < range.from);
    for (index, FloatPoint { t, v }) in points.floats.iter().enumerate().skip(from) {
        if *t > range.to {
            break;
        }
        out.push_float(*t, *v, start_of(&points.float_starts, index));
    }
    let from = points.histograms.partition_point(|point| point.t < range.from);
    for (index, point) in points.histograms.iter().enumerate().skip(from) {
        if point.t > range.to {
            break;
        }
        out.push_histogram(point.t, point.h.clone(), start_of(&points.histogram_starts, index));
    }
}

//! The embedded stores read and followed by PromQL.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use itom_core::{Labels, MetricName};

use super::{
    FloatPoint, Followable, Followed, FollowedSeries, HistogramPoint, LabelMatcher, LabelSet, METRIC_NAME,
    Points, Queryable, QueryableError, SelectHints, SelectedSeries, SeriesHandle, TimeRange,
};
use crate::SeriesStore;
use crate::chunk::Raw;
use crate::chunk::histogram::decode;
use crate::code::Take;
use crate::selector::Condition;
#[cfg(feature = "durable")]
use crate::store::Scanned;
use crate::store::{Encoded, News, Starts};

/// The conditions of matchers; `None` when nothing can fit, because a label is asked for that none can have.
pub(crate) fn conditions(matchers: &[LabelMatcher]) -> Option<Vec<Condition>> {
    let mut all = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        match matcher.condition() {
            Some(condition) => all.push(condition),
            None if matcher.matches("") => {}
            None => return None,
        }
    }
    Some(all)
}

fn float((t, bits): Raw) -> FloatPoint {
    FloatPoint { t, v: f64::from_bits(bits) }
}

pub(crate) fn histogram((t, bytes): Encoded) -> Option<HistogramPoint> {
    Some(HistogramPoint { t, h: Arc::new(decode(&mut Take(&bytes))?) })
}

impl Points {
    /// Stored samples, with the starts of their counters if any are known.
    pub(crate) fn of_stored(floats: &[Raw], histograms: Vec<Encoded>, starts: Option<&Starts>) -> Self {
        let mut out = Self::default();
        match starts {
            None => {
                out.floats = floats.iter().copied().map(float).collect();
                out.histograms = histograms.into_iter().filter_map(histogram).collect();
            }
            Some(starts) => extend(&mut out, floats.to_vec(), histograms, starts),
        }
        out
    }
}

/// Adds samples with the starts of their counters.
fn extend(out: &mut Points, floats: Vec<Raw>, histograms: Vec<Encoded>, starts: &Starts) {
    if starts.is_empty() && out.float_starts.is_empty() && out.histogram_starts.is_empty() {
        out.floats.extend(floats.into_iter().map(float));
        out.histograms.extend(histograms.into_iter().filter_map(histogram));
        return;
    }
    for point in floats.into_iter().map(float) {
        out.push_float(point.t, point.v, starts.at(point.t));
    }
    for HistogramPoint { t, h } in histograms.into_iter().filter_map(histogram) {
        out.push_histogram(t, h, starts.at(t));
    }
}

#[cfg(feature = "durable")]
fn points(series: Scanned) -> Points {
    let mut samples = Points::default();
    extend(&mut samples, series.samples, series.histograms, &series.starts);
    samples
}

/// Adds what is new.
fn tell(news: News, out: &mut Points) -> Followed {
    match news {
        News::Revised => return Followed::Revised,
        News::Elsewhere => return Followed::Elsewhere,
        News::One(sample) => out.push_float(sample.0, f64::from_bits(sample.1), 0),
        News::Some(floats, histograms, starts) => extend(out, floats, histograms, &starts),
    }
    Followed::Continued
}

/// Series that were read, counted against the reader's limit and the store's.
struct Found {
    series: Vec<SelectedSeries>,
    read: u64,
    most: u64,
    /// The metric of all series so far, which came sorted by their other labels, all of which sort behind its name.
    sorted: Option<MetricName>,
}

impl Found {
    fn new(hints: &SelectHints, store: u64) -> Self {
        let most = hints.max_samples.unwrap_or(u64::MAX).min(store);
        Self { series: Vec::new(), read: 0, most, sorted: None }
    }

    /// Adds a series; they come sorted by metric and other labels.
    fn add(&mut self, metric: &MetricName, labels: &Labels, samples: Points) -> Result<(), QueryableError> {
        self.read += samples.len() as u64;
        if self.read > self.most {
            return Err(QueryableError::Limit { what: "samples", limit: self.most });
        }
        if self.series.is_empty() {
            self.sorted = Some(metric.clone());
        }
        let behind = labels.iter().next().is_none_or(|(name, _)| name.as_str() > METRIC_NAME);
        if !behind || self.sorted.as_ref() != Some(metric) {
            self.sorted = None;
        }
        self.series.push(SelectedSeries { labels: LabelSet::of_stored(metric, labels), samples });
        Ok(())
    }

    fn sorted(mut self) -> Vec<SelectedSeries> {
        if self.sorted.is_none() {
            self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        self.series
    }
}

impl Queryable for SeriesStore {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        let Some(conditions) = conditions(matchers) else { return Ok(Vec::new()) };
        let from = range.from.max(self.floor.load(Ordering::Relaxed));
        let mut found = Found::new(hints, self.config().max_samples_read);
        self.points(&conditions, (from, range.to), |metric, labels, points| {
            found.add(metric, labels, points)
        })?;
        Ok(found.sorted())
    }

    fn as_followable(&self) -> Option<&dyn Followable> {
        Some(self)
    }
}

impl Followable for SeriesStore {
    fn series_generation(&self) -> u64 {
        self.came_and_went()
    }

    fn past_generation(&self) -> u64 {
        self.deleted()
    }

    fn floor(&self) -> i64 {
        self.floor.load(Ordering::Relaxed)
    }

    fn resolve(&self, matchers: &[LabelMatcher]) -> Vec<FollowedSeries> {
        conditions(matchers).map_or_else(Vec::new, |conditions| self.followed(&conditions))
    }

    fn follow(
        &self,
        series: &SeriesHandle,
        after: i64,
        through: i64,
        revision: &mut u64,
        out: &mut Points,
    ) -> Result<Followed, QueryableError> {
        let floor = self.floor.load(Ordering::Relaxed);
        Ok(tell(self.news(series, (after, through), floor, revision), out))
    }
}

#[cfg(feature = "durable")]
impl Queryable for crate::durable::DurableStore {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        hints: &SelectHints,
    ) -> Result<Vec<SelectedSeries>, QueryableError> {
        let Some(conditions) = conditions(matchers) else { return Ok(Vec::new()) };
        let gathered = self.gather(&conditions, (range.from, range.to)).map_err(unreadable)?;
        let mut found = Found::new(hints, u64::MAX);
        gathered.into_values().try_for_each(|series| {
            let (metric, labels) = (series.metric.clone(), series.labels.clone());
            found.add(&metric, &labels, points(series))
        })?;
        Ok(found.sorted())
    }

    fn as_followable(&self) -> Option<&dyn Followable> {
        Some(self)
    }

    fn as_tiered(&self) -> Option<&dyn super::Tiered> {
        Some(self)
    }
}

#[cfg(feature = "durable")]
impl super::Tiered for crate::durable::DurableStore {
    fn samples_from(&self) -> i64 {
        self.all_samples_from()
    }

    fn tiers(&self) -> Vec<super::TierReach> {
        self.reach_of_tiers()
    }

    fn buckets(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        length: i64,
    ) -> Result<Vec<super::BucketSeries>, QueryableError> {
        let Some(conditions) = conditions(matchers) else { return Ok(Vec::new()) };
        let found = self.gather_buckets(&conditions, (range.from, range.to), length).map_err(unreadable)?;
        let mut found: Vec<_> = found
            .into_iter()
            .map(|((metric, labels), found)| super::BucketSeries {
                labels: LabelSet::of_metric(&metric, &labels),
                buckets: found.floats.into_values().collect(),
                histograms: found.histograms.into_values().collect(),
            })
            .collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}

#[cfg(feature = "durable")]
fn unreadable(error: crate::durable::DurableError) -> QueryableError {
    use crate::durable::DurableError;
    match error {
        DurableError::Evaluate(itom_core::EvaluateError::Limit { what, limit }) => {
            QueryableError::Limit { what, limit }
        }
        other => QueryableError::Unavailable(other.into()),
    }
}

/// Series are followed in memory, where whatever is new comes first. A series that was moved to a segment as a whole and
/// goes on is another one to the followers: they read it anew.
#[cfg(feature = "durable")]
impl Followable for crate::durable::DurableStore {
    fn series_generation(&self) -> u64 {
        self.memory().came_and_went()
    }

    fn past_generation(&self) -> u64 {
        self.past_changes()
    }

    fn floor(&self) -> i64 {
        // Segments go as a whole, which changes the past generation.
        i64::MIN
    }

    fn moved_through(&self) -> i64 {
        self.memory().moved_through()
    }

    fn resolve(&self, matchers: &[LabelMatcher]) -> Vec<FollowedSeries> {
        conditions(matchers).map_or_else(Vec::new, |conditions| self.memory().followed(&conditions))
    }

    fn follow(
        &self,
        series: &SeriesHandle,
        after: i64,
        through: i64,
        revision: &mut u64,
        out: &mut Points,
    ) -> Result<Followed, QueryableError> {
        Ok(tell(self.memory().news(series, (after, through), i64::MIN, revision), out))
    }
}

//! Every metric at once: reads and deletes by matchers, with or without a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use itom_core::{
    CiId, EvaluateError, Histogram, Interval, LabelName, Labels, MatchOp, Matcher, MetricName, Text,
    Timestamp,
};

use super::Encoded;
use super::index::Index;
use super::series::{Series, State};
use super::stats::{add, release};
use super::{Metric, SeriesStore, millis_up, read};
use crate::Points;
use crate::code::Take;
use crate::selector::Condition;

/// A series of histograms.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HistogramSeries {
    /// The metric.
    pub metric: MetricName,
    /// The labels, without the metric name.
    pub labels: Labels,
    /// Times and histograms, oldest first.
    pub histograms: Vec<(Timestamp, Histogram)>,
}

impl HistogramSeries {
    /// `None` without histograms.
    pub(crate) fn new(metric: MetricName, labels: Labels, encoded: Vec<Encoded>) -> Option<Self> {
        let decoded = encoded.into_iter().filter_map(|(at, bytes)| {
            Some((Timestamp::from_millis(at), crate::chunk::histogram::decode(&mut Take(&bytes))?))
        });
        let histograms: Vec<_> = decoded.collect();
        (!histograms.is_empty()).then_some(Self { metric, labels, histograms })
    }
}

impl SeriesStore {
    /// The metrics that fit, sorted by name; a name that is asked for is looked up.
    fn metrics_matching(&self, conditions: &[Condition]) -> Vec<Arc<Metric>> {
        let fits = |name: &MetricName| {
            conditions.iter().filter(|one| one.is_on_metric()).all(|one| one.holds(name.as_str()))
        };
        read(&self.metrics)
            .iter()
            .filter(|(name, _)| fits(name))
            .map(|(_, metric)| Arc::clone(metric))
            .collect()
    }

    /// The series that fit, sorted by metric and labels.
    pub(super) fn series_matching(&self, conditions: &[Condition]) -> Vec<Arc<Series>> {
        let on_labels: Vec<&Condition> = conditions.iter().filter(|one| !one.is_on_metric()).collect();
        let mut all = Vec::new();
        for metric in self.metrics_matching(conditions) {
            let mut found = Index::select(&read(&metric.index), &on_labels);
            all.append(&mut found);
        }
        all
    }

    /// Hands over each series that fits and has samples with `from <= time <= to`, sorted by metric and labels, with the
    /// samples as PromQL reads them.
    pub(crate) fn points<E>(
        &self,
        conditions: &[Condition],
        (from, to): (i64, i64),
        mut each: impl FnMut(&MetricName, &Labels, Points) -> Result<(), E>,
    ) -> Result<(), E> {
        // The room for samples is the same from series to series.
        let (mut head, mut room) = (Vec::new(), Vec::new());
        for series in self.series_matching(conditions) {
            let (snapshot, histograms, starts) = {
                let state = series.lock();
                let snapshot = state.body.snapshot_in(from, to, std::mem::take(&mut head));
                (snapshot, state.histograms_within(from, to), state.starts.clone())
            };
            let samples = snapshot.read_in((from, to), &mut room);
            if !samples.is_empty() || !histograms.is_empty() {
                let points = Points::of_stored(samples, histograms, starts.as_deref());
                each(series.metric(), series.labels(), points)?;
            }
            head = snapshot.into_room();
        }
        Ok(())
    }

    /// Labels of each series that fits and has samples with `from <= time <= to`; none is decoded that need not be.
    #[cfg(feature = "api")]
    pub(crate) fn labels_within(
        &self,
        conditions: &[Condition],
        (from, to): (i64, i64),
    ) -> Vec<crate::LabelSet> {
        let mut found = self.series_matching(conditions);
        found.retain(|series| {
            let state = series.lock();
            state.body.latest(from, to).is_some() || !state.histograms_within(from, to).is_empty()
        });
        found.iter().map(|series| crate::LabelSet::of_metric(series.metric(), series.labels())).collect()
    }

    /// The items that the series with all of these labels are about, each with how few labels (beside the metric's name)
    /// a series of it has. `__name__` is the metric's name.
    ///
    /// ```
    /// use itom_core::{CiId, Labels, MetricName, SampleKind, Timestamp};
    /// use itom_metrics::{NewSample, Samples, SeriesStore, StoreConfig};
    /// let store = SeriesStore::new(StoreConfig::default());
    /// let (at, host) = (Timestamp::from_secs(60), CiId::from_bytes([1; 16]));
    /// let labels = Labels::from_pairs([("instance", "web-1"), ("cpu", "0")])?;
    /// let metric = MetricName::new("node_cpu_seconds_total")?;
    /// store.append(at, &[NewSample { metric, labels, kind: SampleKind::Counter, subject: Some(host), at, value: 1.0 }]);
    /// let found = store.subjects(&Labels::from_pairs([("instance", "web-1")])?);
    /// assert_eq!(found.into_iter().collect::<Vec<_>>(), [(host, 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn subjects(&self, labels: &Labels) -> BTreeMap<CiId, usize> {
        let equal = |(name, value): (&LabelName, &Text)| {
            let matcher = Matcher { name: name.clone(), op: MatchOp::Equal, value: value.clone() };
            Condition::new(&matcher).ok()
        };
        let conditions: Vec<Condition> = labels.iter().filter_map(equal).collect();
        let mut found: BTreeMap<CiId, usize> = BTreeMap::new();
        for series in self.series_matching(&conditions) {
            let Some(subject) = series.lock().subject else { continue };
            let count = series.labels().len();
            found.entry(subject).and_modify(|least| *least = count.min(*least)).or_insert(count);
        }
        found
    }

    fn cut(&self, series: &Series, from: i64, to: i64) -> usize {
        self.cut_locked(&mut series.lock(), from, to)
    }

    pub(super) fn cut_locked(&self, state: &mut State, from: i64, to: i64) -> usize {
        let before = state.heap_bytes();
        let removed = state.cut(from, to);
        let after = state.heap_bytes();
        if removed > 0 {
            add(&self.counts.memory, after);
            release(&self.counts.memory, before);
            release(&self.counts.samples, removed);
            add(&self.counts.expired, removed);
        }
        removed
    }

    /// The histograms of the series that fit all matchers, with `range.from() <= time < range.to()`, sorted by metric
    /// and labels. A matcher on `__name__` is about the metric's name.
    ///
    /// # Errors
    /// [`EvaluateError::Invalid`] when a regular expression is wrong.
    pub fn select_histograms(
        &self,
        matchers: &[Matcher],
        range: Interval,
    ) -> Result<Vec<HistogramSeries>, EvaluateError> {
        let conditions = matchers.iter().map(Condition::new).collect::<Result<Vec<_>, _>>()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let floor = self.floor.load(std::sync::atomic::Ordering::Relaxed);
        let (from, to) = (millis_up(range.from()).max(floor), millis_up(range.to()).saturating_sub(1));
        let mut out = Vec::new();
        for series in self.series_matching(&conditions) {
            let found = series.lock().histograms_within(from, to);
            out.extend(HistogramSeries::new(series.metric().clone(), series.labels().clone(), found));
        }
        Ok(out)
    }

    /// Deletes the samples of every series that fits all matchers, with `range.from() <= time < range.to()`. A matcher
    /// on `__name__` is about the metric's name. Returns how many samples went; they count as expired. Series without
    /// samples go with the next [`maintain`](super::Samples::maintain).
    ///
    /// ```
    /// use itom_core::{Interval, LabelName, Labels, MatchOp, Matcher, MetricName, SampleKind, Timestamp};
    /// use itom_metrics::{NewSample, Samples, SeriesStore, StoreConfig};
    /// let store = SeriesStore::new(StoreConfig::default());
    /// let at = Timestamp::from_secs(60);
    /// let labels = Labels::from_pairs([("job", "web")])?;
    /// let metric = MetricName::new("up")?;
    /// store.append(at, &[NewSample { metric, labels, kind: SampleKind::Gauge, subject: None, at, value: 1.0 }]);
    /// let web = Matcher { name: LabelName::new("job")?, op: MatchOp::Equal, value: "web".into() };
    /// assert_eq!(store.delete(&[web], Interval::ALWAYS)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`EvaluateError::Invalid`] when a regular expression is wrong.
    pub fn delete(&self, matchers: &[Matcher], range: Interval) -> Result<u64, EvaluateError> {
        if range.is_empty() {
            return Ok(0);
        }
        self.delete_millis(matchers, millis_up(range.from()), millis_up(range.to()).saturating_sub(1))
    }

    /// As [`delete`](Self::delete), with both ends included, in milliseconds.
    pub(crate) fn delete_millis(
        &self,
        matchers: &[Matcher],
        from: i64,
        to: i64,
    ) -> Result<u64, EvaluateError> {
        let conditions = matchers.iter().map(Condition::new).collect::<Result<Vec<_>, _>>()?;
        let series = self.series_matching(&conditions);
        let removed = series.iter().map(|one| self.cut(one, from, to) as u64).sum();
        self.deletions.fetch_add(1, std::sync::atomic::Ordering::Release);
        Ok(removed)
    }
}

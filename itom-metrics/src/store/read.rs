//! Reading the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use itom_core::{
    CiId, EvaluateError, Interval, LabelName, Labels, MetricName, SampleKind, SampleSource, Selector,
    SeriesData, Text, Timestamp, is_stale_nan,
};

use super::series::Series;
use super::stats::StoreStats;
use super::{AppendReport, NewSample, Samples, SeriesStore, millis_up, read};
use crate::chunk::Raw;
use crate::selector::CompiledSelector;

/// The newest sample of a series before a time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InstantSample {
    /// The labels, without the metric name.
    pub labels: Labels,
    /// Gauge or counter.
    pub kind: SampleKind,
    /// The item it was measured on, as far as known.
    pub subject: Option<CiId>,
    /// When it was measured.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
}

/// A metric that has series.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricInfo {
    /// Its name.
    pub name: MetricName,
    /// Gauge or counter.
    pub kind: SampleKind,
    /// How many series it has.
    pub series: u64,
}

/// A series and its newest sample.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SeriesInfo {
    /// The metric.
    pub metric: MetricName,
    /// The labels, without the metric name.
    pub labels: Labels,
    /// Gauge or counter.
    pub kind: SampleKind,
    /// The newest sample.
    pub last: Option<(Timestamp, f64)>,
}

fn sample((at, bits): Raw) -> (Timestamp, f64) {
    (Timestamp::from_millis(at), f64::from_bits(bits))
}

impl SeriesStore {
    /// The series that fit, sorted by labels.
    fn matching(&self, selector: &CompiledSelector) -> Vec<Arc<Series>> {
        let Some(conditions) = selector.label_conditions() else { return Vec::new() };
        let Some(metric) = read(&self.metrics).get(selector.metric()).cloned() else { return Vec::new() };
        read(&metric.index).select(&conditions)
    }

    /// As [`SampleSource::select`], with a selector compiled before.
    ///
    /// # Errors
    /// [`EvaluateError::Limit`] when more samples would be read than the configuration allows.
    pub fn select_compiled(
        &self,
        selector: &CompiledSelector,
        range: Interval,
    ) -> Result<Vec<SeriesData>, EvaluateError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let from = millis_up(range.from()).max(self.floor.load(Ordering::Relaxed));
        // The last whole millisecond before the end.
        let to = millis_up(range.to()) - 1;
        let mut out = Vec::new();
        let mut seen = 0_u64;
        for series in self.matching(selector) {
            let (snapshot, subject) = {
                let state = series.lock();
                (state.body.snapshot(from, to), state.subject)
            };
            seen += snapshot.len() as u64;
            if seen > self.config.max_samples_read {
                return Err(EvaluateError::Limit { what: "samples", limit: self.config.max_samples_read });
            }
            let samples: Vec<_> = snapshot.read(from, to).into_iter().map(sample).collect();
            if !samples.is_empty() {
                out.push(SeriesData::new(series.labels().clone(), series.kind(), subject, samples));
            }
        }
        Ok(out)
    }

    /// As [`Samples::latest`], with a selector compiled before.
    #[must_use]
    pub fn latest_compiled(
        &self,
        selector: &CompiledSelector,
        at: Timestamp,
        lookback: Duration,
    ) -> Vec<InstantSample> {
        let to = at.as_millis();
        let from = (at - lookback).as_millis().saturating_add(1).max(self.floor.load(Ordering::Relaxed));
        let mut out = Vec::new();
        for series in self.matching(selector) {
            let (found, subject) = {
                let state = series.lock();
                (state.body.latest(from, to), state.subject)
            };
            // The marker says that the series ended, also for who knows no markers.
            if let Some((at, value)) = found.map(sample).filter(|(_, value)| !is_stale_nan(*value)) {
                let labels = series.labels().clone();
                out.push(InstantSample { labels, kind: series.kind(), subject, at, value });
            }
        }
        out
    }
}

#[cfg(feature = "durable")]
impl SeriesStore {
    /// The kind of a metric that is known.
    pub(crate) fn kind_of(&self, metric: &MetricName) -> Option<SampleKind> {
        read(&self.metrics).get(metric).map(|known| known.kind)
    }
}

impl SampleSource for SeriesStore {
    fn select(&self, selector: &Selector, range: Interval) -> Result<Vec<SeriesData>, EvaluateError> {
        self.select_compiled(&CompiledSelector::new(selector)?, range)
    }
}

impl Samples for SeriesStore {
    fn append(&self, now: Timestamp, samples: &[NewSample]) -> AppendReport {
        self.append_noting(now, samples, |_| {})
    }

    fn latest(
        &self,
        selector: &Selector,
        at: Timestamp,
        lookback: Duration,
    ) -> Result<Vec<InstantSample>, EvaluateError> {
        Ok(self.latest_compiled(&CompiledSelector::new(selector)?, at, lookback))
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        read(&self.metrics)
            .iter()
            .map(|(name, metric)| MetricInfo {
                name: name.clone(),
                kind: metric.kind,
                series: read(&metric.index).len() as u64,
            })
            .filter(|info| info.series > 0)
            .collect()
    }

    /// Looks at every series: for a page of one item, not for a rule.
    fn series_of(&self, subject: CiId) -> Vec<SeriesInfo> {
        let metrics: Vec<_> = read(&self.metrics).values().cloned().collect();
        let floor = self.floor.load(Ordering::Relaxed);
        let mut out = Vec::new();
        for metric in metrics {
            let all = read(&metric.index).all().to_vec();
            let start = out.len();
            for series in all {
                let state = series.lock();
                if state.subject == Some(subject) {
                    out.push(SeriesInfo {
                        metric: series.metric().clone(),
                        labels: series.labels().clone(),
                        kind: series.kind(),
                        last: state.body.newest().filter(|(at, _)| *at >= floor).map(sample),
                    });
                }
            }
            out[start..].sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        }
        out
    }

    fn label_names(&self, metric: &MetricName) -> Vec<LabelName> {
        let metric = read(&self.metrics).get(metric).cloned();
        metric.map_or_else(Vec::new, |metric| read(&metric.index).label_names().cloned().collect())
    }

    fn label_values(&self, metric: &MetricName, label: &LabelName) -> Vec<Text> {
        let metric = read(&self.metrics).get(metric).cloned();
        metric.map_or_else(Vec::new, |metric| read(&metric.index).label_values(label).cloned().collect())
    }

    fn maintain(&self, now: Timestamp) {
        self.apply_retention(now);
    }

    fn stats(&self) -> StoreStats {
        self.counts.stats()
    }
}

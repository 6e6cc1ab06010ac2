//! What comes with samples and is no sample: help and unit of metrics, exemplars of series.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;

use itom_core::{EvaluateError, Interval, Labels, Matcher, MetricName, Text, Timestamp};

use super::SeriesStore;
use crate::selector::Condition;

/// What is known about a metric beside its samples, as exposition formats say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricMetadata {
    /// `counter`, `gauge`, `histogram`, `summary`, `info`, `stateset`, or whatever else was said.
    pub kind: Text,
    /// What the metric means, for people.
    pub help: Text,
    /// The unit, such as `seconds`; empty when none was said.
    pub unit: Text,
}

impl MetricMetadata {
    /// All three.
    #[must_use]
    pub fn new(kind: impl Into<Text>, help: impl Into<Text>, unit: impl Into<Text>) -> Self {
        Self { kind: kind.into(), help: help.into(), unit: unit.into() }
    }

    fn len(&self) -> usize {
        self.kind.len() + self.help.len() + self.unit.len()
    }
}

/// One observation that stands for many, with a reference to what it was: a trace, say.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the three parts of the format's definition")]
pub struct Exemplar {
    /// The reference, such as `trace_id`.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// When it was observed.
    pub at: Timestamp,
}

/// A series and its exemplars.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExemplarSeries {
    /// The metric.
    pub metric: MetricName,
    /// The labels of the series, without the metric name.
    pub labels: Labels,
    /// Its exemplars, oldest first.
    pub exemplars: Vec<Exemplar>,
}

/// Both, within fixed bounds.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    metadata: BTreeMap<MetricName, MetricMetadata>,
    /// In order of arrival: the oldest go when there are too many.
    exemplars: VecDeque<(MetricName, Labels, Exemplar)>,
}

impl SeriesStore {
    /// Keeps what is known about a metric; the last one said stays. At most as many metrics as there may be series are
    /// known, each with as many bytes as a label value may have; `false` when it was not kept.
    pub fn set_metadata(&self, metric: &MetricName, metadata: MetricMetadata) -> bool {
        if metadata.len() > self.config.max_label_value_bytes {
            return false;
        }
        let mut annotations = self.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        let known = annotations.metadata.contains_key(metric);
        let fits = known || (annotations.metadata.len() as u64) < self.config.max_series;
        if fits {
            annotations.metadata.insert(metric.clone(), metadata);
        }
        fits
    }

    /// Whether exactly this is known about a metric.
    #[cfg(feature = "durable")]
    pub(crate) fn knows(&self, metric: &MetricName, metadata: &MetricMetadata) -> bool {
        let annotations = self.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        annotations.metadata.get(metric) == Some(metadata)
    }

    /// All exemplars, in order of arrival.
    #[cfg(feature = "durable")]
    pub(crate) fn all_exemplars(&self) -> Vec<(MetricName, Labels, Exemplar)> {
        let annotations = self.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        annotations.exemplars.iter().cloned().collect()
    }

    /// What is known about metrics, sorted by name; of one metric or of all.
    #[must_use]
    pub fn metadata(&self, metric: Option<&MetricName>) -> Vec<(MetricName, MetricMetadata)> {
        let annotations = self.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |name: &MetricName| metric.is_none_or(|metric| metric == name);
        let found = annotations.metadata.iter().filter(|(name, _)| wanted(name));
        found.map(|(name, metadata)| (name.clone(), metadata.clone())).collect()
    }

    /// Keeps an exemplar of a series. The store keeps [`max_exemplars`](super::StoreConfig) and lets the oldest go; one
    /// that it has already, or that has more than 128 characters of labels (the limit of OpenMetrics), is not kept.
    pub fn append_exemplar(&self, metric: &MetricName, labels: &Labels, exemplar: Exemplar) -> bool {
        let characters = |text: &str| text.chars().count();
        let length: usize =
            exemplar.labels.iter().map(|(name, value)| characters(name.as_str()) + characters(value)).sum();
        if length > 128 || self.config.max_exemplars == 0 {
            return false;
        }
        let mut annotations = self.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        // A series repeats its exemplar on every scrape until there is another.
        let last = annotations.exemplars.iter().rev().find(|(name, of, _)| name == metric && of == labels);
        if last.is_some_and(|(_, _, last)| *last == exemplar) {
            return false;
        }
        if annotations.exemplars.len() >= self.config.max_exemplars {
            annotations.exemplars.pop_front();
        }
        annotations.exemplars.push_back((metric.clone(), labels.clone(), exemplar));
        true
    }

    /// The exemplars of the series that fit all matchers, with `range.from() <= time < range.to()`, sorted by metric and
    /// labels.
    ///
    /// # Errors
    /// [`EvaluateError::Invalid`] when a regular expression is wrong.
    pub fn exemplars(
        &self,
        matchers: &[Matcher],
        range: Interval,
    ) -> Result<Vec<ExemplarSeries>, EvaluateError> {
        let conditions = matchers.iter().map(Condition::new).collect::<Result<Vec<_>, _>>()?;
        let annotations = self.annotations.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: BTreeMap<(&MetricName, &Labels), Vec<Exemplar>> = BTreeMap::new();
        for (metric, labels, exemplar) in &annotations.exemplars {
            let holds = |one: &Condition| {
                let value = if one.is_on_metric() {
                    metric.as_str()
                } else {
                    labels.get(one.name.as_str()).unwrap_or("")
                };
                one.holds(value)
            };
            if exemplar.at >= range.from() && exemplar.at < range.to() && conditions.iter().all(holds) {
                found.entry((metric, labels)).or_default().push(exemplar.clone());
            }
        }
        Ok(found
            .into_iter()
            .map(|((metric, labels), mut exemplars)| {
                exemplars.sort_by_key(|exemplar| exemplar.at);
                ExemplarSeries { metric: metric.clone(), labels: labels.clone(), exemplars }
            })
            .collect())
    }
}

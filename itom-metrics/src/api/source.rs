//! What the API shows beside the samples themselves.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use itom_core::{Interval, LabelName, Matcher, MetricName, SampleValue, Timestamp};
use serde::Serialize;

use crate::{
    Exemplar, LabelMatcher, LabelSet, MetricMetadata, Queryable, QueryableError, SelectHints, SeriesStore,
    TimeRange,
};

/// A store whose series can be listed, beside being queried.
pub trait Browsable: Queryable {
    /// The labels of the series that fit all matchers of any of the selectors and have samples in the range; of all
    /// series when there is no selector. Sorted, each once.
    ///
    /// # Errors
    /// [`QueryableError`] when a limit is reached or the store cannot be read.
    fn series(
        &self,
        selectors: &[Vec<LabelMatcher>],
        range: TimeRange,
    ) -> Result<Vec<LabelSet>, QueryableError> {
        let all = [Vec::new()];
        let selectors = if selectors.is_empty() { &all } else { selectors };
        let mut found = BTreeSet::new();
        for matchers in selectors {
            found.extend(self.labels(matchers, range)?);
        }
        Ok(found.into_iter().collect())
    }

    /// The labels of the series that fit all matchers and have samples in the range, in any order: for stores that know
    /// them without reading the samples.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    fn labels(&self, matchers: &[LabelMatcher], range: TimeRange) -> Result<Vec<LabelSet>, QueryableError> {
        let selected = self.select(matchers, range, &SelectHints::default())?;
        Ok(selected.into_iter().map(|series| series.labels).collect())
    }

    /// What is known about a metric, or about all, sorted by name.
    fn described(&self, metric: Option<&str>) -> Vec<(MetricName, MetricMetadata)> {
        let _ = metric;
        Vec::new()
    }

    /// The exemplars of the series that fit, sorted by labels.
    ///
    /// # Errors
    /// [`QueryableError`] when they cannot be read.
    fn exemplars_of(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<Vec<(LabelSet, Vec<Exemplar>)>, QueryableError> {
        let _ = (matchers, range);
        Ok(Vec::new())
    }
}

impl Browsable for SeriesStore {
    fn labels(&self, matchers: &[LabelMatcher], range: TimeRange) -> Result<Vec<LabelSet>, QueryableError> {
        let Some(conditions) = crate::queryable::conditions(matchers) else { return Ok(Vec::new()) };
        let floor = self.floor.load(std::sync::atomic::Ordering::Relaxed);
        Ok(self.labels_within(&conditions, (range.from.max(floor), range.to)))
    }

    fn described(&self, metric: Option<&str>) -> Vec<(MetricName, MetricMetadata)> {
        match metric.map(MetricName::new) {
            None => self.metadata(None),
            Some(Ok(metric)) => self.metadata(Some(&metric)),
            Some(Err(_)) => Vec::new(),
        }
    }

    fn exemplars_of(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<Vec<(LabelSet, Vec<Exemplar>)>, QueryableError> {
        let mut known = Vec::with_capacity(matchers.len());
        for matcher in matchers {
            match LabelName::new(matcher.name().as_str()) {
                Ok(name) => known.push(Matcher { name, op: matcher.op(), value: matcher.value().clone() }),
                Err(_) if matcher.matches("") => {}
                Err(_) => return Ok(Vec::new()),
            }
        }
        let end = Timestamp::from_millis(range.to.saturating_add(1));
        let found = self.exemplars(&known, Interval::new(Timestamp::from_millis(range.from), end));
        let found = found.map_err(|error| QueryableError::Unavailable(error.into()))?;
        let mut found: Vec<_> = found
            .into_iter()
            .map(|one| (LabelSet::of_metric(&one.metric, &one.labels), one.exemplars))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }
}

#[cfg(feature = "durable")]
impl Browsable for crate::durable::DurableStore {
    fn labels(&self, matchers: &[LabelMatcher], range: TimeRange) -> Result<Vec<LabelSet>, QueryableError> {
        let Some(conditions) = crate::queryable::conditions(matchers) else { return Ok(Vec::new()) };
        let found = self.labels_within(&conditions, (range.from, range.to));
        Ok(found.map_err(|error| QueryableError::Unavailable(error.into()))?.into_iter().collect())
    }

    fn described(&self, metric: Option<&str>) -> Vec<(MetricName, MetricMetadata)> {
        Browsable::described(self.memory(), metric)
    }

    fn exemplars_of(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<Vec<(LabelSet, Vec<Exemplar>)>, QueryableError> {
        self.memory().exemplars_of(matchers, range)
    }
}
impl Browsable for crate::MemorySeries {}

/// A group of rules as the API shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the fields of Prometheus's API, built by whoever has rules")]
pub struct RuleGroupView {
    /// Its name.
    pub name: String,
    /// The file that has it.
    pub file: String,
    /// Its rules.
    pub rules: Vec<RuleView>,
    /// Seconds between evaluations.
    pub interval: f64,
    /// Most alerts or series of a rule; 0 for any number.
    pub limit: u64,
    /// Seconds that the last evaluation took.
    pub evaluation_time: f64,
    /// When it was last evaluated, RFC 3339.
    pub last_evaluation: String,
}

/// A rule as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the two kinds of Prometheus's rules")]
pub enum RuleView {
    /// One that writes series.
    Recording {
        /// The metric that it writes.
        name: String,
        /// The expression.
        query: String,
        /// Labels that it adds.
        #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
        labels: std::collections::BTreeMap<String, String>,
        /// `ok`, `err` or `unknown`.
        health: String,
        /// What went wrong the last time.
        #[serde(skip_serializing_if = "String::is_empty")]
        last_error: String,
        /// Seconds that the last evaluation took.
        evaluation_time: f64,
        /// When it was last evaluated, RFC 3339.
        last_evaluation: String,
    },
    /// One that alerts.
    Alerting {
        /// `inactive`, `pending` or `firing`.
        state: String,
        /// The alert.
        name: String,
        /// The expression.
        query: String,
        /// Seconds that it must hold.
        duration: f64,
        /// Seconds that it goes on firing.
        keep_firing_for: f64,
        /// Labels that it adds.
        labels: std::collections::BTreeMap<String, String>,
        /// Texts for people, with their templates.
        annotations: std::collections::BTreeMap<String, String>,
        /// What it found.
        alerts: Vec<AlertView>,
        /// `ok`, `err` or `unknown`.
        health: String,
        /// What went wrong the last time.
        #[serde(skip_serializing_if = "String::is_empty")]
        last_error: String,
        /// Seconds that the last evaluation took.
        evaluation_time: f64,
        /// When it was last evaluated, RFC 3339.
        last_evaluation: String,
    },
}

/// A value as the API writes it: floats with the shortest digits that read back, histograms in PromQL's notation.
///
/// ```
/// assert_eq!(itom_metrics::api::value_text(&itom_core::SampleValue::Float(f64::INFINITY)), "+Inf");
/// ```
#[must_use]
pub fn value_text(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => crate::eval::format::go_api(*value),
        SampleValue::Histogram(histogram) => histogram.to_string(),
        // A kind that this version has no notation for.
        _ => String::new(),
    }
}

/// An alert as the API shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "the fields of Prometheus's API, built by whoever has alerts")]
pub struct AlertView {
    /// Its labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Its texts.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
    /// Since when, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_at: Option<String>,
    /// The value, as [`value_text`] writes it.
    pub value: String,
}

/// Where the API reads rules and alerts. Rule groups live in another crate; whoever has both implements this.
///
/// ```
/// use itom_metrics::api::{RuleGroupView, Rules};
/// #[derive(Debug)]
/// struct None;
/// impl Rules for None {
///     fn groups(&self) -> Vec<RuleGroupView> {
///         Vec::new()
///     }
/// }
/// assert!(None.groups().is_empty());
/// ```
pub trait Rules: Send + Sync + fmt::Debug {
    /// The groups, sorted by file and name, with their rules and alerts.
    fn groups(&self) -> Vec<RuleGroupView>;
}

/// No rules.
#[derive(Debug)]
pub(super) struct NoRules;

impl Rules for NoRules {
    fn groups(&self) -> Vec<RuleGroupView> {
        Vec::new()
    }
}

const _: Option<Arc<dyn Rules>> = None;
const _: Option<Arc<dyn Browsable>> = None;

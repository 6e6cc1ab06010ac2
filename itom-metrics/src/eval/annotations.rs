//! What there is to say about a result: warnings and remarks, with their place in the expression.

use std::collections::BTreeMap;

use super::format::{go_g, rfc3339};
use crate::promql::Span;

/// How serious a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the two of Prometheus's API")]
pub enum Level {
    /// The result may be wrong.
    Warning,
    /// The expression may not mean what it says.
    Info,
}

/// One remark.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Annotation {
    /// How serious it is.
    pub level: Level,
    /// What there is to say, without the place.
    pub text: String,
    /// The part of the expression.
    pub span: Span,
    forced: Option<Forced>,
}

/// Buckets that were not monotonic: what remarks about several of them have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Forced {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) lowest: f64,
    pub(super) highest: f64,
    pub(super) most: f64,
    pub(super) count: u64,
}

impl Annotation {
    /// As Prometheus's API renders it: `PromQL warning: … (line:column)`.
    #[must_use]
    pub fn render(&self, source: &str) -> String {
        let level = match self.level {
            Level::Warning => "warning",
            Level::Info => "info",
        };
        let (line, column) = self.span.line_column(source);
        let mut text = format!("PromQL {level}: {}", self.text);
        if let Some(forced) = &self.forced {
            let Forced { from, to, lowest, highest, most, count } = *forced;
            let most = two_digits(most);
            text.push_str(&format!(
                ", from buckets {} to {}, with a max diff of {most}",
                go_g(lowest),
                go_g(highest)
            ));
            if count == 1 || from == to {
                text.push_str(&format!(", at {}", rfc3339(from)));
            } else {
                text.push_str(&format!(", over {count} samples from {} to {}", rfc3339(from), rfc3339(to)));
            }
        }
        format!("{text} ({line}:{column})")
    }
}

/// Go's `%.2g`.
fn two_digits(value: f64) -> String {
    if !value.is_finite() {
        return go_g(value);
    }
    go_g(format!("{value:.1e}").parse().unwrap_or(value))
}

/// The remarks of one evaluation, each text once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotations(BTreeMap<(Level, String), Annotation>);

impl Annotations {
    /// All of them, warnings first, by text.
    pub fn iter(&self) -> impl Iterator<Item = &Annotation> {
        self.0.values()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The warnings as Prometheus's API renders them; `source` is the text of the expression.
    #[must_use]
    pub fn warnings(&self, source: &str) -> Vec<String> {
        self.rendered(Level::Warning, source)
    }

    /// The remarks that are no warnings, rendered likewise.
    #[must_use]
    pub fn infos(&self, source: &str) -> Vec<String> {
        self.rendered(Level::Info, source)
    }

    fn rendered(&self, level: Level, source: &str) -> Vec<String> {
        self.iter().filter(|one| one.level == level).map(|one| one.render(source)).collect()
    }

    fn add(&mut self, level: Level, span: Span, text: String) {
        self.0.insert((level, text.clone()), Annotation { level, text, span, forced: None });
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (key, one) in &other.0 {
            match (one.forced, self.0.get(key).and_then(|have| have.forced)) {
                (Some(forced), Some(_)) => self.add_forced(one.span, &key.1, forced),
                _ => {
                    self.0.insert(key.clone(), one.clone());
                }
            }
        }
    }

    fn add_forced(&mut self, span: Span, text: &str, forced: Forced) {
        let key = (Level::Info, text.to_owned());
        let joined = match self.0.get(&key).and_then(|have| have.forced) {
            Some(have) => Forced {
                from: have.from.min(forced.from),
                to: have.to.max(forced.to),
                lowest: have.lowest.min(forced.lowest),
                highest: have.highest.max(forced.highest),
                most: have.most.max(forced.most),
                count: have.count + forced.count,
            },
            None => forced,
        };
        let one = Annotation { level: Level::Info, text: text.to_owned(), span, forced: Some(joined) };
        self.0.insert(key, one);
    }

    pub(super) fn warn(&mut self, span: Span, text: impl Into<String>) {
        self.add(Level::Warning, span, text.into());
    }

    pub(super) fn info(&mut self, span: Span, text: impl Into<String>) {
        self.add(Level::Info, span, text.into());
    }

    pub(super) fn forced_monotonicity(&mut self, span: Span, metric: &str, forced: Forced) {
        let text = for_metric(
            "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
            metric,
        );
        self.add_forced(span, &text, forced);
    }

    pub(super) fn invalid_quantile(&mut self, span: Span, q: f64) {
        self.warn(span, format!("quantile value should be between 0 and 1, got {}", go_g(q)));
    }

    pub(super) fn mixed_floats_histograms(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            format!("encountered a mix of histograms and floats for metric name {}", quoted(metric)),
        );
    }

    pub(super) fn mixed_schemas(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
                quoted(metric)
            ),
        );
    }

    pub(super) fn ignored_histograms(&mut self, span: Span, metric: &str) {
        self.info(
            span,
            format!(
                "ignored histograms in a range containing both floats and histograms for metric name {}",
                quoted(metric)
            ),
        );
    }

    pub(super) fn ignored_in_aggregation(&mut self, span: Span, aggregation: &str) {
        self.info(span, format!("ignored histogram in {aggregation} aggregation"));
    }

    /// `during` is addition, subtraction or aggregation.
    pub(super) fn reconciled_bounds(&mut self, span: Span, during: &str) {
        self.info(span, format!("mismatched custom buckets were reconciled during {during}"));
    }

    /// `during` is addition, subtraction or aggregation.
    pub(super) fn reset_collision(&mut self, span: Span, during: &str) {
        self.warn(span, format!("conflicting counter resets during histogram {during}"));
    }

    pub(super) fn not_counter(&mut self, span: Span, metric: &str) {
        self.warn(span, format!("this native histogram metric is not a counter: {}", quoted(metric)));
    }

    pub(super) fn not_gauge(&mut self, span: Span, metric: &str) {
        self.warn(span, format!("this native histogram metric is not a gauge: {}", quoted(metric)));
    }
}

/// As Go's `%q`.
pub(super) fn quoted(text: &str) -> String {
    crate::promql::RawText::from(text).quoted()
}

/// With the metric's name behind it, if there is one.
pub(super) fn for_metric(text: &str, metric: &str) -> String {
    if metric.is_empty() { text.to_owned() } else { format!("{text} for metric name {}", quoted(metric)) }
}

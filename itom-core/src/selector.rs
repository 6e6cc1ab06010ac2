//! Which series: a metric name and label matchers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::labels::Quoted;
use crate::{LabelName, MetricName, Text};

/// How a matcher compares. Regular expressions are anchored at both ends, as in Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MatchOp {
    /// The value equals.
    #[serde(rename = "=")]
    Equal,
    /// The value differs.
    #[serde(rename = "!=")]
    NotEqual,
    /// The value matches the whole regular expression.
    #[serde(rename = "=~")]
    Regex,
    /// The value does not match the regular expression.
    #[serde(rename = "!~")]
    NotRegex,
}

/// One condition on one label. A label that is absent has the empty value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Matcher {
    /// The label.
    pub name: LabelName,
    /// The comparison.
    pub op: MatchOp,
    /// The value or regular expression.
    pub value: Text,
}

/// The series of one metric whose labels fit every matcher.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Selector {
    metric: MetricName,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<Matcher>,
}

impl Selector {
    /// All series of a metric.
    #[must_use]
    pub const fn new(metric: MetricName) -> Self {
        Self { metric, matchers: Vec::new() }
    }

    /// Only those that also fit this matcher.
    #[must_use]
    pub fn with(mut self, name: LabelName, op: MatchOp, value: impl Into<Text>) -> Self {
        self.matchers.push(Matcher { name, op, value: value.into() });
        self
    }

    /// The metric.
    #[must_use]
    pub const fn metric(&self) -> &MetricName {
        &self.metric
    }

    /// The conditions.
    #[must_use]
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.metric)?;
        for (index, matcher) in self.matchers.iter().enumerate() {
            f.write_str(if index == 0 { "{" } else { "," })?;
            write!(f, "{}{}{}", matcher.name, matcher.op, Quoted(&matcher.value))?;
        }
        if !self.matchers.is_empty() {
            f.write_str("}")?;
        }
        Ok(())
    }
}

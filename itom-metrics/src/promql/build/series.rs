//! Selectors.

use std::time::Duration;

use itom_core::{MatchOp, Text, Timestamp};

use super::super::At as Place;
use super::super::ast::{Expr, Matcher, Moment, Shift, VectorSelector};
use super::{Query, Window, length};

/// Series to read: a metric's name and conditions on labels.
///
/// ```
/// use itom_metrics::promql::build::{Vector as _, metric};
/// let up = metric("up").with("job", "web").not_matches("instance", "test-.*");
/// assert_eq!(up.build()?.to_string(), r#"up{job="web",instance!~"test-.*"}"#);
/// # Ok::<(), itom_metrics::promql::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series(VectorSelector);

/// The series of a metric.
pub fn metric(name: impl Into<Text>) -> Series {
    Series(VectorSelector {
        name: Some(name.into()),
        matchers: Vec::new(),
        shift: Shift::default(),
        edges: None,
        at: Place::default(),
    })
}

/// Series of any metric: at least one condition must follow that refuses the empty value.
#[must_use]
pub fn series() -> Series {
    let Series(selector) = metric("");
    Series(VectorSelector { name: None, ..selector })
}

impl Series {
    fn condition(mut self, label: impl Into<Text>, op: MatchOp, value: impl Into<Text>) -> Self {
        self.0.matchers.push(Matcher { name: label.into(), op, value: value.into() });
        self
    }

    /// `label="value"`
    #[must_use]
    pub fn with(self, label: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.condition(label, MatchOp::Equal, value)
    }

    /// `label!="value"`
    #[must_use]
    pub fn without(self, label: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.condition(label, MatchOp::NotEqual, value)
    }

    /// `label=~"pattern"`: a regular expression for the whole value.
    #[must_use]
    pub fn matches(self, label: impl Into<Text>, pattern: impl Into<Text>) -> Self {
        self.condition(label, MatchOp::Regex, pattern)
    }

    /// `label!~"pattern"`
    #[must_use]
    pub fn not_matches(self, label: impl Into<Text>, pattern: impl Into<Text>) -> Self {
        self.condition(label, MatchOp::NotRegex, pattern)
    }

    /// `offset`: as it was so long ago.
    #[must_use]
    pub fn ago(mut self, offset: Duration) -> Self {
        self.0.shift.offset = Some(length(offset));
        self
    }

    /// `@`: as it was at that time, in whole milliseconds.
    #[must_use]
    pub fn at(mut self, time: Timestamp) -> Self {
        self.0.shift.at = Some(Moment::At(time.as_millis()));
        self
    }

    /// `[5m]`: the samples of a window.
    #[must_use]
    pub fn range(self, range: Duration) -> Window {
        Window::of(self.0, range)
    }
}

impl From<Series> for Query {
    fn from(Series(selector): Series) -> Self {
        Self(Expr::Vector(selector))
    }
}

impl From<&str> for Series {
    fn from(name: &str) -> Self {
        metric(name)
    }
}

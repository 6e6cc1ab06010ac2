//! Label matchers, compiled once and applied to an inverted index.

mod pattern;

use itom_core::{EvaluateError, LabelName, Labels, MatchOp, Matcher, MetricName, Selector};

pub(crate) use pattern::{Pattern, literals};

/// How a value is tested, without the negation.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// It equals.
    Equal(itom_core::Text),
    /// It is one of these: a regular expression that is only an alternation of literals.
    OneOf(Vec<String>),
    /// It matches the whole expression.
    Pattern(Pattern),
}

impl Test {
    pub(crate) fn holds(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => wanted.as_str() == value,
            Self::OneOf(wanted) => wanted.iter().any(|one| one == value),
            Self::Pattern(pattern) => pattern.matches(value),
        }
    }
}

/// One compiled condition.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) name: LabelName,
    pub(crate) test: Test,
    pub(crate) negated: bool,
}

impl Condition {
    /// Compiles one matcher.
    pub(crate) fn new(matcher: &Matcher) -> Result<Self, EvaluateError> {
        let test = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Equal(matcher.value.clone()),
            MatchOp::Regex | MatchOp::NotRegex => match pattern::literals(&matcher.value) {
                Some(literals) => Test::OneOf(literals),
                None => Test::Pattern(Pattern::compile(&matcher.value)?),
            },
        };
        let negated = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
        Ok(Self { name: matcher.name.clone(), test, negated })
    }

    /// Whether it is about the metric's name.
    pub(crate) fn is_on_metric(&self) -> bool {
        self.name.as_str() == METRIC_NAME_LABEL
    }

    pub(crate) fn holds(&self, value: &str) -> bool {
        self.test.holds(value) != self.negated
    }
}

/// A selector whose regular expressions are compiled: keep it to read the same series again and again.
///
/// ```
/// use itom_core::{LabelName, Labels, MatchOp, MetricName, Selector};
/// use itom_metrics::CompiledSelector;
/// let selector = Selector::new(MetricName::new("up")?).with(LabelName::new("job")?, MatchOp::Regex, "web-\\d+");
/// let compiled = CompiledSelector::new(&selector)?;
/// assert!(compiled.matches(&Labels::from_pairs([("job", "web-12")])?));
/// assert!(!compiled.matches(&Labels::from_pairs([("job", "web-12b")])?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct CompiledSelector {
    metric: MetricName,
    conditions: Vec<Condition>,
}

impl CompiledSelector {
    /// Compiles a selector. A regular expression has the syntax of RE2 (as in Prometheus), is anchored at both ends,
    /// and its `.` also matches a line end. Matchers on `__name__` are applied to the metric's name.
    ///
    /// # Errors
    /// [`EvaluateError::Invalid`] with the regular expression and the byte of the mistake within it.
    pub fn new(selector: &Selector) -> Result<Self, EvaluateError> {
        let conditions = selector.matchers().iter().map(Condition::new).collect::<Result<_, _>>()?;
        Ok(Self { metric: selector.metric().clone(), conditions })
    }

    /// The metric that is read.
    #[must_use]
    pub const fn metric(&self) -> &MetricName {
        &self.metric
    }

    /// Whether a series of this metric with these labels is selected. A label that is absent has the empty value.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.conditions.iter().all(|condition| {
            let value = if condition.name.as_str() == METRIC_NAME_LABEL {
                self.metric.as_str()
            } else {
                labels.get(condition.name.as_str()).unwrap_or("")
            };
            condition.holds(value)
        })
    }

    /// The conditions on labels; `None` when a condition on the metric's name fails, so that nothing can match.
    pub(crate) fn label_conditions(&self) -> Option<Vec<&Condition>> {
        let mut conditions = Vec::with_capacity(self.conditions.len());
        for condition in &self.conditions {
            if condition.name.as_str() != METRIC_NAME_LABEL {
                conditions.push(condition);
            } else if !condition.holds(self.metric.as_str()) {
                return None;
            }
        }
        Some(conditions)
    }
}

/// The label under which Prometheus shows a metric's name.
const METRIC_NAME_LABEL: &str = "__name__";

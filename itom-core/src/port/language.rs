//! What rule groups need of an expression language and of the place their results go to.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::{CiId, Classify, ErrorKind, EvaluateError, Histogram, Labels, Text, Timestamp};

/// A value of a sample. Two are equal when they are the same to the bit, so that a NaN equals itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl PartialEq for SampleValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a.same_bits(b),
            _ => false,
        }
    }
}

impl SampleValue {
    /// Prometheus's marker that a series has ended: a NaN of its own, told from others by its bits.
    pub const STALE: Self = Self::Float(f64::from_bits(0x7ff0_0000_0000_0002));

    /// Whether it is [`STALE`](Self::STALE).
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Float(value) if value.to_bits() == 0x7ff0_0000_0000_0002)
    }

    /// The number, if it is one.
    #[must_use]
    pub const fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }
}

/// One element of what an expression gives at a time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RuleSample {
    /// Its labels; `__name__` is among them where the expression keeps it.
    pub labels: Labels,
    /// The item it is about, as far as known.
    pub subject: Option<CiId>,
    /// Its value.
    pub value: SampleValue,
}

impl RuleSample {
    /// A sample about no known item.
    #[must_use]
    pub const fn new(labels: Labels, value: SampleValue) -> Self {
        Self { labels, subject: None, value }
    }

    /// The same, about an item.
    #[must_use]
    pub const fn about(mut self, subject: Option<CiId>) -> Self {
        self.subject = subject;
        self
    }
}

/// What the language has to say about an evaluation that worked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotations {
    /// What is probably wrong.
    pub warnings: Vec<Text>,
    /// What is worth knowing.
    pub infos: Vec<Text>,
}

/// What one expression gave at a time. A number without labels (a scalar) is one sample with an empty label set.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct RuleEvaluation {
    /// The samples, in the order the language gives them.
    pub samples: Vec<RuleSample>,
    /// Warnings and infos.
    pub annotations: Annotations,
    /// How many stored samples were looked at, where the language counts them.
    pub samples_read: u64,
}

impl RuleEvaluation {
    /// Samples without annotations.
    #[must_use]
    pub fn new(samples: Vec<RuleSample>) -> Self {
        Self { samples, ..Self::default() }
    }
}

/// Why a text is not an expression of the language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {reason}")]
#[non_exhaustive]
pub struct ExpressionError {
    /// Byte offset of the mistake.
    pub at: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// What is wrong and, where it can be told, what was meant.
    pub reason: String,
}

impl ExpressionError {
    /// A mistake at a byte of a text; line and column are counted here.
    ///
    /// ```
    /// let error = itom_core::ExpressionError::at("up ==\n )", 7, "unexpected `)`");
    /// assert_eq!(error.to_string(), "2:2: unexpected `)`");
    /// ```
    #[must_use]
    pub fn at(expression: &str, at: usize, reason: impl Into<String>) -> Self {
        let before = expression.char_indices().take_while(|(index, _)| *index < at);
        let (mut line, mut column) = (1, 1);
        for (_, found) in before {
            if found == '\n' {
                (line, column) = (line + 1, 1);
            } else {
                column += 1;
            }
        }
        Self { at, line, column, reason: reason.into() }
    }
}

impl Classify for ExpressionError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// A language that rules are written in: PromQL, or another team's.
pub trait RuleLanguage: Send + Sync + fmt::Debug {
    /// Compiles an expression once. What is well formed and can never give samples (a text, a range) compiles, and
    /// fails when it is evaluated.
    ///
    /// # Errors
    /// [`ExpressionError`] with the place of the mistake.
    fn compile(&self, expression: &str) -> Result<Arc<dyn RuleExpression>, ExpressionError>;

    /// Evaluates expressions that this language compiled, all at one time and over one state of the data, so that what
    /// they share costs once. One result for each, in their order.
    fn evaluate(
        &self,
        expressions: &[Arc<dyn RuleExpression>],
        at: Timestamp,
    ) -> Vec<Result<RuleEvaluation, EvaluateError>>;
}

/// A compiled expression of a [`RuleLanguage`].
pub trait RuleExpression: Send + Sync + fmt::Debug + 'static {
    /// The text it was compiled from.
    fn source(&self) -> &str;

    /// Its normal form: equal for texts that differ in spelling only.
    fn normal_form(&self) -> String;

    /// Whether it may read series of this metric name; for the series that alerting rules write, `alertname` narrows
    /// the question to those of one alert. Says yes when it cannot be told.
    fn may_read(&self, metric: &str, alertname: Option<&str>) -> bool;

    /// Itself, so that the language that compiled it knows it again.
    fn as_any(&self) -> &dyn Any;
}

/// A sample that a rule writes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WrittenSample {
    /// Its labels, `__name__` among them.
    pub labels: Labels,
    /// Its time.
    pub at: Timestamp,
    /// Its value, or [`SampleValue::STALE`] where the series ends.
    pub value: SampleValue,
}

impl WrittenSample {
    /// A sample.
    #[must_use]
    pub const fn new(labels: Labels, at: Timestamp, value: SampleValue) -> Self {
        Self { labels, at, value }
    }
}

/// A sample that could not be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSample {
    /// Which of those given, from 0.
    pub index: usize,
    /// Why.
    pub reason: Text,
}

/// Where rules write.
pub trait RuleSink: Send + Sync + fmt::Debug {
    /// Stores the samples of one rule. They can be read by the time it returns. Those that cannot be stored are refused
    /// one by one; the others are not affected. Ending a series that is not there is no refusal.
    fn write(&self, now: Timestamp, samples: &[WrittenSample]) -> Vec<RefusedSample>;
}

const _: Option<&dyn RuleLanguage> = None;
const _: Option<&dyn RuleExpression> = None;
const _: Option<&dyn RuleSink> = None;

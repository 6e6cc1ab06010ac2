//! What a rule looks for, as data.

use std::fmt;
use std::time::Duration;

use itom_core::time::{format_duration, serde_duration};
use itom_core::{AttrName, CiKind, LabelName, Selector, Severity, Text, Value};
use serde::{Deserialize, Serialize};

/// What a rule looks for. Every condition says of every instance one of four things: it holds (how badly), it is
/// clear, there is no data, or it could not be evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// A number compared with limits.
    Threshold(Threshold),
    /// Something that was there says nothing any more.
    Absent(Absent),
    /// An attribute of configuration items.
    State(StateCheck),
    /// Something about configuration items changed a short while ago.
    Change(ChangeCheck),
    /// An expression of the language of the [`Evaluator`](itom_core::Evaluator).
    Expression(ExpressionCheck),
    /// Every part holds. Kleene logic: one clear part makes it clear, else a part without data makes it unknown. It
    /// holds as badly as its mildest part.
    All(Combination),
    /// One part holds. It holds as badly as its worst part.
    Any(Combination),
    /// The part is clear. What is unknown stays unknown.
    Not(Box<Self>),
}

/// A number compared with one or several limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The number.
    pub signal: Signal,
    /// The limits.
    pub levels: Vec<Level>,
}

/// A number for each instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Signal {
    /// One number for each series (or group of series).
    Series(Query),
    /// One query divided by another, matched on labels and item. A divisor of zero gives no data.
    Ratio(Ratio),
}

/// `of / to`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// What is divided.
    pub of: Query,
    /// What it is divided by.
    pub to: Query,
    /// The labels both sides must share; empty means all labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<LabelName>,
}

/// Series, a window that ends now, and how the samples in it become one number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Which series.
    pub selector: Selector,
    /// How the samples of one series become a number.
    pub reduce: Reduce,
    /// How far back to look.
    #[serde(with = "serde_duration")]
    pub window: Duration,
    /// How the numbers of several series become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub across: Option<Across>,
}

impl Query {
    /// Each series of a selector over a window.
    #[must_use]
    pub const fn new(selector: Selector, reduce: Reduce, window: Duration) -> Self {
        Self { selector, reduce, window, across: None }
    }

    /// Joins the series that differ only in these labels.
    #[must_use]
    pub fn across(mut self, op: AcrossOp, without: impl IntoIterator<Item = LabelName>) -> Self {
        self.across = Some(Across { op, without: without.into_iter().collect() });
        self
    }
}

/// How the samples of a window become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reduce {
    /// The latest sample.
    Last,
    /// The mean of the samples.
    Avg,
    /// The smallest sample.
    Min,
    /// The largest sample.
    Max,
    /// The sum of the samples.
    Sum,
    /// How many samples there are.
    Count,
    /// [`Increase`](Self::Increase) divided by the seconds between the first and the last sample. Needs two samples.
    Rate,
    /// How much a counter grew between the first and the last sample of the window. A fall is a restart, and counting
    /// goes on from zero. Unlike Prometheus there is no extrapolation to the edges of the window.
    Increase,
    /// The last sample minus the first: for gauges. Needs two samples.
    Delta,
    /// Where the straight line of least squares through the samples will be that much later. Needs three samples that
    /// span at least half the window: a line through a few minutes says nothing about tomorrow.
    Forecast {
        /// How far ahead of now.
        #[serde(with = "serde_duration")]
        ahead: Duration,
    },
}

/// How the numbers of several series become one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Across {
    /// The operation.
    pub op: AcrossOp,
    /// The labels that are taken away; series that then look the same (and are about the same item) form a group.
    pub without: Vec<LabelName>,
}

/// An operation over the numbers of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcrossOp {
    /// Their sum.
    Sum,
    /// Their mean.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// How many there are.
    Count,
}

/// How a number is compared with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compare {
    /// Greater than the limit.
    #[serde(rename = ">")]
    Above,
    /// Greater than or equal to the limit.
    #[serde(rename = ">=")]
    AtLeast,
    /// Less than the limit.
    #[serde(rename = "<")]
    Below,
    /// Less than or equal to the limit.
    #[serde(rename = "<=")]
    AtMost,
    /// Equal to the limit.
    #[serde(rename = "==")]
    Equal,
    /// Different from the limit.
    #[serde(rename = "!=")]
    NotEqual,
}

impl Compare {
    pub(crate) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Equal => value == limit,
            Self::NotEqual => value != limit,
        }
    }

    /// The sign.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }
}

/// One limit and how bad it is to cross it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// How bad it is.
    pub severity: Severity,
    /// How the number is compared.
    pub op: Compare,
    /// The limit.
    pub value: f64,
    /// Hysteresis: once the level holds it holds until the number no longer crosses this limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<f64>,
}

impl Level {
    /// A limit without hysteresis.
    #[must_use]
    pub const fn new(severity: Severity, op: Compare, value: f64) -> Self {
        Self { severity, op, value, clear: None }
    }

    /// With a limit of its own for clearing.
    #[must_use]
    pub const fn clear_at(mut self, clear: f64) -> Self {
        self.clear = Some(clear);
        self
    }
}

/// Something that was there says nothing any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// What should speak.
    pub of: AbsentOf,
    /// How long it must have been silent.
    #[serde(with = "serde_duration")]
    pub after: Duration,
}

/// What should speak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AbsentOf {
    /// Each series that had a sample within `remember`.
    Series {
        /// Which series.
        selector: Selector,
        /// How long a series that ended is remembered; longer than `after`.
        #[serde(with = "serde_duration")]
        remember: Duration,
    },
    /// A sample about each item of a kind that is not retired.
    Samples {
        /// The kind of item.
        kind: CiKind,
        /// Which series count.
        selector: Selector,
    },
    /// A sighting of each item of a kind that is not retired.
    Sightings {
        /// The kind of item.
        kind: CiKind,
    },
}

/// An attribute of the items of a kind. Retired items are clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateCheck {
    /// The kind of item, refinements included.
    pub kind: CiKind,
    /// The attribute.
    pub attribute: AttrName,
    /// What it is compared with.
    pub test: Test,
}

/// A comparison of an attribute. An attribute that is not known gives no data, one that does not apply is clear
/// (except for [`Unknown`](Self::Unknown), which asks for that).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Test {
    /// It equals.
    Equals(Value),
    /// It differs.
    NotEquals(Value),
    /// It is one of these.
    OneOf(Vec<Value>),
    /// It is a number (or a time, in seconds since the epoch) below this.
    Less(f64),
    /// It is a number (or a time, in seconds since the epoch) above this.
    Greater(f64),
    /// It is known.
    Known,
    /// It is not known although it applies.
    Unknown,
}

/// A change of items of a kind within a span that ends now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeCheck {
    /// The kind of item, refinements included.
    pub kind: CiKind,
    /// What changed.
    pub change: ChangeOf,
    /// How long ago at most. The alert is clear once the change is older, or undone (a retired item that returned).
    #[serde(with = "serde_duration")]
    pub within: Duration,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeOf {
    /// The item was seen for the first time.
    Appeared,
    /// The item is believed gone, and has not returned since.
    Retired,
    /// An attribute has another value.
    Attribute(AttrName),
}

/// An expression in the language of the [`Evaluator`](itom_core::Evaluator).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpressionCheck {
    /// The text.
    pub expression: Text,
    /// Limits for its value. Without any, whatever the expression returns holds and what it no longer returns is
    /// clear: the meaning Prometheus gives to alerting expressions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Level>,
}

/// Several conditions about the same instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combination {
    /// The parts.
    pub of: Vec<Condition>,
    /// The labels that, with the item, say which instances of the parts belong together. Instances of one part that
    /// fall together count as one that is as bad as the worst of them.
    #[serde(default)]
    pub on: Vec<LabelName>,
}

impl Condition {
    /// A number compared with limits.
    #[must_use]
    pub fn threshold(signal: impl Into<Signal>, levels: impl IntoIterator<Item = Level>) -> Self {
        Self::Threshold(Threshold { signal: signal.into(), levels: levels.into_iter().collect() })
    }

    /// Whether an instance that is no longer found is clear rather than without data.
    pub(crate) fn absence_is_clear(&self) -> bool {
        match self {
            Self::Expression(check) => check.levels.is_empty(),
            Self::Change(_) => true,
            Self::All(parts) => parts.of.iter().any(Self::absence_is_clear),
            Self::Any(parts) => parts.of.iter().all(Self::absence_is_clear),
            Self::Threshold(_) | Self::Absent(_) | Self::State(_) | Self::Not(_) => false,
        }
    }
}

impl From<Query> for Signal {
    fn from(query: Query) -> Self {
        Self::Series(query)
    }
}
impl From<Ratio> for Signal {
    fn from(ratio: Ratio) -> Self {
        Self::Ratio(ratio)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(across) = &self.across {
            let op = match across.op {
                AcrossOp::Sum => "sum",
                AcrossOp::Avg => "avg",
                AcrossOp::Min => "min",
                AcrossOp::Max => "max",
                AcrossOp::Count => "count",
            };
            write!(f, "{op} of ")?;
        }
        let window = format_duration(self.window);
        let name = match self.reduce {
            Reduce::Last => return write!(f, "{}", self.selector),
            Reduce::Avg => "avg",
            Reduce::Min => "min",
            Reduce::Max => "max",
            Reduce::Sum => "sum",
            Reduce::Count => "count",
            Reduce::Rate => "rate",
            Reduce::Increase => "increase",
            Reduce::Delta => "delta",
            Reduce::Forecast { ahead } => {
                return write!(f, "forecast({}[{window}], {})", self.selector, format_duration(ahead));
            }
        };
        write!(f, "{name}({}[{window}])", self.selector)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(query) => query.fmt(f),
            Self::Ratio(ratio) => write!(f, "{} / {}", ratio.of, ratio.to),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op.as_str(), self.value)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(value) => write!(f, "== {value}"),
            Self::NotEquals(value) => write!(f, "!= {value}"),
            Self::OneOf(values) => {
                f.write_str("is one of ")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Less(limit) => write!(f, "< {limit}"),
            Self::Greater(limit) => write!(f, "> {limit}"),
            Self::Known => f.write_str("is known"),
            Self::Unknown => f.write_str("is not known"),
        }
    }
}

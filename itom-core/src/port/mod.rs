//! The ports: what one crate asks of another without knowing it. The consumer owns the trait's shape; the engine wires
//! an implementation in.

mod language;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    AttrName, BoxError, CiId, CiKind, Classify, ErrorKind, Interval, Labels, RelationKind, SampleKind,
    Selector, SourceName, Text, Timestamp, Value,
};

pub use language::{
    Annotations, ExpressionError, RefusedSample, RuleEvaluation, RuleExpression, RuleLanguage, RuleSample,
    RuleSink, SampleValue, WrittenSample,
};

/// What depends on what. Answers are sorted by distance, then by id, and never contain the item asked about unless it
/// lies on a cycle of its own.
pub trait Topology: Send + Sync + fmt::Debug {
    /// What `ci` needs, directly and through others, nearest first.
    fn dependencies(&self, ci: CiId) -> Vec<CiId>;

    /// What needs `ci`, directly and through others, nearest first.
    fn dependents(&self, ci: CiId) -> Vec<CiId>;

    /// Which of the `failed` items bring `ci` down (redundancy counted): empty when it would still stand, or when it is
    /// not known. `ci` itself is never among them.
    fn brought_down_by(&self, ci: CiId, failed: &BTreeSet<CiId>) -> Vec<CiId>;

    /// How many dependency steps lie between two items, in either direction; `None` when neither needs the other.
    fn distance(&self, a: CiId, b: CiId) -> Option<usize>;
}

/// One configuration item as rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CiSummary {
    /// Its id.
    pub id: CiId,
    /// Its kind.
    pub kind: CiKind,
    /// What people call it.
    pub name: Text,
    /// Its current attributes (the winners).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttrName, Value>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// Whether it is believed gone.
    pub retired: bool,
}

impl CiSummary {
    /// An item that is there, without attributes.
    #[must_use]
    pub fn new(id: CiId, kind: CiKind, name: impl Into<Text>, seen: Timestamp) -> Self {
        Self {
            id,
            kind,
            name: name.into(),
            attributes: BTreeMap::new(),
            first_seen: seen,
            last_seen: seen,
            retired: false,
        }
    }
}

/// Which items there are.
pub trait Inventory: Send + Sync + fmt::Debug {
    /// The items of a kind and its refinements, sorted by id; retired ones included while they are remembered.
    fn cis(&self, kind: &CiKind) -> Vec<CiSummary>;

    /// One item.
    fn ci(&self, id: CiId) -> Option<CiSummary>;
}

/// What changed about an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It was seen for the first time.
    Appeared,
    /// It is believed gone.
    Retired,
    /// It was gone and is there again.
    Returned,
    /// An attribute has another value (or none, or one for the first time).
    Attribute(AttrName),
    /// It is related to an item it was not related to.
    Related {
        /// The kind of relation, read from this item.
        kind: RelationKind,
        /// The other end.
        to: CiId,
    },
    /// It is no longer related to an item.
    Unrelated {
        /// The kind of relation, read from this item.
        kind: RelationKind,
        /// The other end.
        to: CiId,
    },
    /// It is no item of its own any more: all that it was belongs to another.
    MergedInto {
        /// The other.
        into: CiId,
    },
    /// Some of what it is belonged to another item, which goes on without it.
    SplitFrom {
        /// The other.
        from: CiId,
    },
}

/// One change of one item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CiChange {
    /// When it was learned.
    pub at: Timestamp,
    /// The item.
    pub ci: CiId,
    /// What changed.
    pub change: ChangeKind,
    /// The value before, for attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value after, for attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
}

/// What changed when.
pub trait ChangeSource: Send + Sync + fmt::Debug {
    /// The changes learned in the range, oldest first, then by item.
    fn changes(&self, range: Interval) -> Vec<CiChange>;
}

/// One series in a stretch of time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SeriesData {
    /// Its labels, without the metric name.
    pub labels: Labels,
    /// Gauge or counter.
    pub kind: SampleKind,
    /// The item it was measured on, as far as known.
    pub subject: Option<CiId>,
    /// Times and values, oldest first, each time once.
    pub samples: Vec<(Timestamp, f64)>,
}

impl SeriesData {
    /// A series.
    #[must_use]
    pub const fn new(
        labels: Labels,
        kind: SampleKind,
        subject: Option<CiId>,
        samples: Vec<(Timestamp, f64)>,
    ) -> Self {
        Self { labels, kind, subject, samples }
    }
}

/// Where samples are read.
pub trait SampleSource: Send + Sync + fmt::Debug {
    /// The series that fit and have a sample in the range, sorted by labels.
    ///
    /// # Errors
    /// [`EvaluateError`] when the selector is wrong (a regular expression), a limit is reached or the source cannot be
    /// read.
    fn select(&self, selector: &Selector, range: Interval) -> Result<Vec<SeriesData>, EvaluateError>;
}

/// What was found for one instance of an expression: a value, no data, or an error. The three are different, and no
/// data is not recovery.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reading {
    /// A value.
    Value(f64),
    /// The instance is known and there is nothing current to say about it.
    NoData,
    /// It could not be evaluated.
    Error(Text),
}

/// What was found for one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The instance.
    pub labels: Labels,
    /// The item it is about, as far as known.
    pub subject: Option<CiId>,
    /// What was found.
    pub reading: Reading,
}

/// The findings of one evaluation, sorted by labels.
pub type Findings = Vec<Finding>;

/// Compiles expressions of some language.
pub trait Evaluator: Send + Sync + fmt::Debug {
    /// Compiles an expression once.
    ///
    /// # Errors
    /// [`EvaluateError::Invalid`] with the place of the mistake.
    fn compile(&self, expression: &str) -> Result<Arc<dyn Expression>, EvaluateError>;
}

/// A compiled expression.
pub trait Expression: Send + Sync + fmt::Debug {
    /// The text it was compiled from.
    fn source(&self) -> &str;

    /// Evaluates it at a time.
    ///
    /// # Errors
    /// [`EvaluateError`] when the data cannot be read or a limit is reached.
    fn evaluate(&self, at: Timestamp) -> Result<Findings, EvaluateError>;
}

const _: Option<&dyn Topology> = None;
const _: Option<&dyn Inventory> = None;
const _: Option<&dyn ChangeSource> = None;
const _: Option<&dyn SampleSource> = None;
const _: Option<&dyn Evaluator> = None;
const _: Option<&dyn Expression> = None;

/// Why an expression could not be compiled or evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The expression or selector is wrong.
    #[error("`{expression}` is wrong at byte {at}: {reason}")]
    Invalid {
        /// The text, cut to 200 characters.
        expression: String,
        /// Byte offset of the mistake.
        at: usize,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A limit was reached.
    #[error("evaluating needs more than {limit} {what}; narrow the selector or raise the limit")]
    Limit {
        /// What there was too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The data cannot be read just now.
    #[error("the samples cannot be read")]
    Unavailable(#[source] BoxError),
}

impl Classify for EvaluateError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Limit { .. } => ErrorKind::Exhausted,
            Self::Unavailable(_) => ErrorKind::Unavailable,
        }
    }
}

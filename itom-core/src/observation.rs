//! What a source says it saw.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AttrName, CiKind, Key, Labels, MetricName, RelationKind, Severity, Text, Timestamp, Value};

/// What an observation is about: the source's own name for a thing, or a key that identifies it for everybody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The source's own id, stable from run to run. Two native ids of one source are two things.
    Native(Text),
    /// A key: for things that another source describes. It stays a loose end until one does.
    Key(Key),
}

impl From<&str> for Subject {
    fn from(native: &str) -> Self {
        Self::Native(native.into())
    }
}
impl From<String> for Subject {
    fn from(native: String) -> Self {
        Self::Native(native.into())
    }
}
impl From<Text> for Subject {
    fn from(native: Text) -> Self {
        Self::Native(native)
    }
}
impl From<Key> for Subject {
    fn from(key: Key) -> Self {
        Self::Key(key)
    }
}
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native(id) => id.fmt(f),
            Self::Key(key) => key.fmt(f),
        }
    }
}

/// One statement of a source. Immutable: what turns out to be wrong is followed by another statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Observation {
    /// There is such an item.
    Ci(CiObservation),
    /// Two items are related.
    Relation(RelationObservation),
    /// A number was measured.
    Sample(SampleObservation),
    /// Something happened.
    Event(EventObservation),
    /// Two subjects are the same thing.
    SameAs(Statement),
    /// Two subjects are not the same thing.
    NotSame(Statement),
    /// An item or a relation said earlier is no longer true.
    Retract(Retraction),
}

/// A configuration item as one source sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CiObservation {
    /// The source's own id of it.
    pub subject: Text,
    /// Its kind.
    pub kind: CiKind,
    /// What identifies it for others.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keys: BTreeSet<Key>,
    /// What is known about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttrName, Value>,
    /// The partition of its scope (see [`Scope`](crate::Scope)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Text>,
}

impl CiObservation {
    /// An item without keys or attributes.
    #[must_use]
    pub fn new(subject: impl Into<Text>, kind: CiKind) -> Self {
        Self {
            subject: subject.into(),
            kind,
            keys: BTreeSet::new(),
            attributes: BTreeMap::new(),
            partition: None,
        }
    }

    /// Adds a key.
    pub fn key(&mut self, key: Key) -> &mut Self {
        self.keys.insert(key);
        self
    }

    /// Sets an attribute.
    pub fn attr(&mut self, name: AttrName, value: impl Into<Value>) -> &mut Self {
        self.attributes.insert(name, value.into());
        self
    }

    /// Sets an attribute if there is a value; nothing is said otherwise.
    pub fn attr_opt(&mut self, name: AttrName, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.attributes.insert(name, value.into());
        }
        self
    }

    /// Puts it into a partition of its scope.
    pub fn within(&mut self, partition: impl Into<Text>) -> &mut Self {
        self.partition = Some(partition.into());
        self
    }
}

/// A relation as one source sees it, read `from` → `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RelationObservation {
    /// Its kind.
    pub kind: RelationKind,
    /// Where it starts.
    pub from: Subject,
    /// Where it ends.
    pub to: Subject,
    /// What is known about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttrName, Value>,
    /// The partition of its scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Text>,
}

impl RelationObservation {
    /// A relation without attributes.
    #[must_use]
    pub fn new(kind: RelationKind, from: impl Into<Subject>, to: impl Into<Subject>) -> Self {
        Self { kind, from: from.into(), to: to.into(), attributes: BTreeMap::new(), partition: None }
    }

    /// Sets an attribute.
    pub fn attr(&mut self, name: AttrName, value: impl Into<Value>) -> &mut Self {
        self.attributes.insert(name, value.into());
        self
    }

    /// Puts it into a partition of its scope.
    pub fn within(&mut self, partition: impl Into<Text>) -> &mut Self {
        self.partition = Some(partition.into());
        self
    }
}

/// How a metric's numbers behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SampleKind {
    /// Goes up and down.
    Gauge,
    /// Only grows, and starts again at zero.
    Counter,
}

/// A number that was measured. Values compare as those of [`Value`] do: `NaN` equals itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SampleObservation {
    /// The metric.
    pub metric: MetricName,
    /// Gauge or counter.
    pub kind: SampleKind,
    /// What tells this series from others of the metric.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The number, in the unit that the metric's name says.
    #[serde(with = "float")]
    pub value: f64,
    /// When it was measured; the batch's time if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The item it was measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
}

impl PartialEq for SampleObservation {
    fn eq(&self, other: &Self) -> bool {
        self.metric == other.metric
            && self.kind == other.kind
            && self.labels == other.labels
            && Value::Float(self.value) == Value::Float(other.value)
            && self.at == other.at
            && self.subject == other.subject
    }
}
impl Eq for SampleObservation {}

impl SampleObservation {
    /// A sample without labels and subject, measured at the batch's time.
    #[must_use]
    pub fn new(metric: MetricName, kind: SampleKind, value: f64) -> Self {
        Self { metric, kind, labels: Labels::empty(), value, at: None, subject: None }
    }

    /// Sets the labels.
    pub fn labels(&mut self, labels: Labels) -> &mut Self {
        self.labels = labels;
        self
    }

    /// Says what it was measured on.
    pub fn on(&mut self, subject: impl Into<Subject>) -> &mut Self {
        self.subject = Some(subject.into());
        self
    }

    /// Says when it was measured.
    pub fn at(&mut self, at: Timestamp) -> &mut Self {
        self.at = Some(at);
        self
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventObservation {
    /// What kind of event: a dotted name.
    pub kind: CiKind,
    /// How bad it is.
    pub severity: Severity,
    /// What it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// In words.
    pub message: Text,
    /// What is known about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttrName, Value>,
    /// When it happened; the batch's time if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl EventObservation {
    /// An event at the batch's time, about nothing in particular.
    #[must_use]
    pub fn new(kind: CiKind, severity: Severity, message: impl Into<Text>) -> Self {
        Self { kind, severity, subject: None, message: message.into(), attributes: BTreeMap::new(), at: None }
    }

    /// Says what it happened to.
    pub fn on(&mut self, subject: impl Into<Subject>) -> &mut Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets an attribute.
    pub fn attr(&mut self, name: AttrName, value: impl Into<Value>) -> &mut Self {
        self.attributes.insert(name, value.into());
        self
    }

    /// Says when it happened.
    pub fn at(&mut self, at: Timestamp) -> &mut Self {
        self.at = Some(at);
        self
    }
}

/// A person's or a tool's statement about two subjects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// One.
    pub a: Subject,
    /// The other.
    pub b: Subject,
    /// Why: shown wherever the statement decides something.
    pub reason: Text,
    /// Until when it counts; for good if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Statement {
    /// A statement that counts for good.
    #[must_use]
    pub fn new(a: impl Into<Subject>, b: impl Into<Subject>, reason: impl Into<Text>) -> Self {
        Self { a: a.into(), b: b.into(), reason: reason.into(), until: None }
    }

    /// It counts until then.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }
}

/// Takes back what the same source said earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Retraction {
    /// The item with this native id is gone.
    Ci(Text),
    /// This relation no longer holds.
    Relation {
        /// Its kind.
        kind: RelationKind,
        /// Where it started.
        from: Subject,
        /// Where it ended.
        to: Subject,
    },
}

/// JSON has no NaN or infinities: they are written as Prometheus writes them.
pub(crate) mod float {
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Number(f64),
        Text(String),
    }

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_nan() {
            serializer.serialize_str("NaN")
        } else if value.is_infinite() {
            serializer.serialize_str(if *value > 0.0 { "+Inf" } else { "-Inf" })
        } else {
            serializer.serialize_f64(*value)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Wire::deserialize(deserializer)? {
            Wire::Number(value) => Ok(value),
            Wire::Text(text) => match text.as_str() {
                "NaN" => Ok(f64::NAN),
                "+Inf" => Ok(f64::INFINITY),
                "-Inf" => Ok(f64::NEG_INFINITY),
                other => {
                    Err(serde::de::Error::custom(format!("`{other}` is not a number, NaN, +Inf or -Inf")))
                }
            },
        }
    }
}

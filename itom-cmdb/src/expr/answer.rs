//! What an expression answers.

use std::fmt;

use itom_core::{AttrName, RelationKind, SourceName, Text, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// Yes, no, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// What is known does not suffice.
    Unknown,
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::True => "true",
            Self::False => "false",
            Self::Unknown => "unknown",
        })
    }
}

/// What an expression looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Read {
    /// An attribute of the item.
    Attribute(AttrName),
    /// A property of the item that is no attribute: `keys`, `first_seen`.
    Property(Text),
    /// The items that relations of this kind lead to.
    Outgoing(RelationKind),
    /// The items that relations of this kind come from.
    Incoming(RelationKind),
    /// The items whose failure alone brings this one down.
    Spofs,
    /// The items that go down with this one.
    Breaks,
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(f, "{name}"),
            Self::Property(name) => write!(f, "ci.{name}"),
            Self::Outgoing(kind) => write!(f, "outgoing {kind}"),
            Self::Incoming(kind) => write!(f, "incoming {kind}"),
            Self::Spofs => f.write_str("spofs"),
            Self::Breaks => f.write_str("breaks"),
        }
    }
}

/// One thing that was looked at on the way to an answer, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Why {
    /// What was looked at.
    pub read: Read,
    /// What is believed; [`Value::Unknown`] when no source says anything. Of items, the names of the first few and how many
    /// more there are.
    pub value: Value,
    /// Who says so, of an attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// Since when that source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Timestamp>,
}

/// An answer with its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The answer.
    pub truth: Truth,
    /// What was looked at: attributes by name, then the rest.
    pub read: Vec<Why>,
    /// Why it is not known.
    pub unknown_because: Option<Text>,
}

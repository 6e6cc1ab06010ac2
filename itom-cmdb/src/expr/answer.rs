//! What an expression answers.

use std::fmt;

use itom_core::{AttrName, SourceName, Text, Timestamp, Value};
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

/// One attribute that was read on the way to an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Why {
    /// The attribute.
    pub attribute: AttrName,
    /// What is believed; [`Value::Unknown`] when no source says anything.
    pub value: Value,
    /// Who says so.
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
    /// The attributes of the item that were read, by name.
    pub read: Vec<Why>,
    /// Why it is not known.
    pub unknown_because: Option<Text>,
}

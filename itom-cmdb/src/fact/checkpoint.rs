//! What runs said up to a time, summed up.

use std::collections::BTreeMap;

use itom_core::{AttrName, Timestamp};
use serde::{Deserialize, Serialize};

use super::FactId;
use crate::view::Departure;

/// What a source had said up to the time of this fact, in place of the runs that said it. Deriving starts from the latest
/// one of a source; what was observed up to its time and is learned later is too late to be believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The time of the last run or retraction.
    pub last: Timestamp,
    /// The run that names the seen set of the last one, which later runs build upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<FactId>,
    /// The items, by their statements.
    pub items: Vec<CarriedItem>,
    /// Facts that runs refer to and the log lacked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited: Vec<FactId>,
}

/// An item as its source had described it, in a [`Checkpoint`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CarriedItem {
    /// The statement in force.
    pub statement: FactId,
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// When it was seen last; with the last run if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// When it (re)appeared; when it was seen first if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<Timestamp>,
    /// Since when the source says exactly this; since it was seen first if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Attributes that kept their value longer than that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub older: BTreeMap<AttrName, Timestamp>,
    /// Since when and why it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<(Timestamp, Departure)>,
}

impl CarriedItem {
    /// Since when the source says this value of an attribute.
    pub(crate) fn said_since(&self, attribute: &AttrName) -> Timestamp {
        self.older.get(attribute).copied().or(self.since).unwrap_or(self.first_seen)
    }
}

//! What judging gives.

use std::fmt;

use itom_core::{CiId, Severity, Text, Timestamp};
use serde::{Deserialize, Serialize};

use crate::expr::Why;

/// The verdict on one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What must hold, holds.
    Pass,
    /// It does not hold.
    Fail,
    /// What is known does not suffice to say.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        })
    }
}

/// Who accepts a failure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WaivedBy {
    /// Who answers for it.
    pub owner: Text,
    /// Why.
    pub reason: Text,
    /// Until when; for good if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The result of one policy on one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PolicyResult {
    /// The policy.
    pub policy: Text,
    /// The item.
    pub ci: CiId,
    /// The verdict.
    pub verdict: Verdict,
    /// How bad it is when it fails.
    pub severity: Severity,
    /// What was looked at, and what was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Why>,
    /// Why it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_because: Option<Text>,
    /// Who accepts the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<WaivedBy>,
    /// Since when the verdict is what it is, as far as this view of compliance has watched.
    pub since: Timestamp,
}

/// A verdict that became another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PolicyChange {
    /// The policy.
    pub policy: Text,
    /// The item.
    pub ci: CiId,
    /// The verdict before; `None` when the item was not judged.
    pub before: Option<Verdict>,
    /// The verdict after; `None` when the policy no longer applies to the item.
    pub after: Option<Verdict>,
    /// When it was judged.
    pub at: Timestamp,
}

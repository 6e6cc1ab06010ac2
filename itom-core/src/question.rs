//! What somebody who can look could settle.

use serde::{Deserialize, Serialize};

use crate::{CiKind, KeyKind, SourceName, Text};

/// What would settle which item a thing is: an offer to whoever can look. Nobody has to answer; a source that can reports
/// one of the keys with its next description of the thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Question {
    /// Who described the thing.
    pub source: SourceName,
    /// Its native id there.
    pub subject: Text,
    /// What it is.
    pub kind: CiKind,
    /// Any of these keys would settle it, the most telling one first; empty when only a statement can.
    pub wanted: Vec<KeyKind>,
    /// What is open, in words.
    pub open: Text,
}

impl Question {
    /// A question about what `source` calls `subject`.
    #[must_use]
    pub fn new(
        source: SourceName,
        subject: impl Into<Text>,
        kind: CiKind,
        wanted: Vec<KeyKind>,
        open: impl Into<Text>,
    ) -> Self {
        Self { source, subject: subject.into(), kind, wanted, open: open.into() }
    }
}

//! Why an exposition cannot be read.

use itom_core::{Classify, ErrorKind};

/// Why an exposition cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpositionError {
    /// A text is not of its format.
    #[error("line {line}, column {column} of the exposition: {reason}")]
    Text {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A message is not of its format.
    #[error("byte {at} of the exposition, in the metric family `{family}`: {reason}")]
    Message {
        /// The byte, from 0.
        at: usize,
        /// The name of the family, as far as it was read; at most 200 characters.
        family: String,
        /// What is wrong.
        reason: String,
    },
    /// There is more than may be.
    #[error("the exposition has more than {limit} {what}; expose less or raise the limit")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
}

impl Classify for ExpositionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Text { .. } | Self::Message { .. } => ErrorKind::Invalid,
            Self::Limit { .. } => ErrorKind::Exhausted,
        }
    }
}

//! Why an expression has no answer.

use itom_core::{Classify, ErrorKind};

use crate::QueryableError;

/// Why an expression has no answer. The texts of [`Query`](Self::Query), [`Samples`](Self::Samples) and
/// [`Interrupted`](Self::Interrupted) are Prometheus's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The expression cannot be evaluated over these series.
    #[error("{0}")]
    Query(String),
    /// More samples would be held at a time than is allowed.
    #[error("query processing would load too many samples into memory in query execution")]
    Samples {
        /// How many are allowed.
        limit: u64,
    },
    /// A selector fits more series than is allowed.
    #[error("a selector fits {found} series and {limit} are allowed; add a matcher or raise the limit")]
    Series {
        /// How many it fits.
        found: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// The caller stopped the evaluation.
    #[error("{0}")]
    Interrupted(Interruption),
    /// The range has a step that is not positive or an end before its start.
    #[error(
        "a range query from {start} to {end} ms with a step of {step} ms has no times; the step must be positive and the end no earlier than the start"
    )]
    Range {
        /// The start in milliseconds.
        start: i64,
        /// The end in milliseconds.
        end: i64,
        /// The step in milliseconds.
        step: i64,
    },
    /// The series cannot be read.
    #[error("expanding series: {0}")]
    Storage(#[from] QueryableError),
}

/// Why the caller stops an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interruption {
    /// Nobody wants the answer any more.
    Canceled,
    /// It takes too long.
    TimedOut,
}

impl std::fmt::Display for Interruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Canceled => "query was canceled in expression evaluation",
            Self::TimedOut => "query timed out in expression evaluation",
        })
    }
}

impl Classify for EvalError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Query(_) | Self::Range { .. } => ErrorKind::Invalid,
            Self::Samples { .. } | Self::Series { .. } => ErrorKind::Exhausted,
            Self::Interrupted(_) => ErrorKind::Unavailable,
            Self::Storage(error) => error.kind(),
        }
    }
}

/// An error of the expression itself.
pub(super) fn fail<T>(text: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::Query(text.into()))
}

/// The same labels twice at a time.
pub(super) fn same_labels<T>() -> Result<T, EvalError> {
    fail("vector cannot contain metrics with the same labelset")
}

//! How errors are classified, so that machines can decide about retries without knowing the error.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Any error that can cross threads.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// What a caller can do about an error. Closed on purpose: machines match it exhaustively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The input is wrong; the same input fails again.
    Invalid,
    /// It is not there.
    NotFound,
    /// Somebody else changed or holds it.
    Conflict,
    /// Not allowed.
    Denied,
    /// Not reachable or not working just now.
    Unavailable,
    /// It took too long.
    Timeout,
    /// It was told to stop.
    Cancelled,
    /// A limit was reached: disk, memory, quota, queue.
    Exhausted,
    /// This will never work here.
    Unsupported,
    /// A defect in the software.
    Bug,
}

impl ErrorKind {
    /// The name in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Exhausted => "exhausted",
            Self::Unsupported => "unsupported",
            Self::Bug => "bug",
        }
    }

    /// What retrying is good for when nothing more is known.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::Unavailable | Self::Timeout | Self::Exhausted | Self::Conflict => Retry::Backoff,
            Self::Invalid
            | Self::NotFound
            | Self::Denied
            | Self::Cancelled
            | Self::Unsupported
            | Self::Bug => Retry::Never,
        }
    }

    /// The kind of an I/O error.
    #[must_use]
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match error.kind() {
            Io::NotFound => Self::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Self::Denied,
            Io::TimedOut => Self::Timeout,
            Io::InvalidData | Io::InvalidInput | Io::UnexpectedEof => Self::Invalid,
            Io::Unsupported => Self::Unsupported,
            Io::OutOfMemory | Io::StorageFull | Io::QuotaExceeded => Self::Exhausted,
            Io::AlreadyExists | Io::AddrInUse => Self::Conflict,
            // `Interrupted` too: a signal came between, the next attempt works.
            _ => Self::Unavailable,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether trying again can help. Edges say it, machines do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same attempt fails again.
    Never,
    /// Later, with growing pauses.
    Backoff,
    /// Not before this span is over (the other side said so).
    After(Duration),
}

/// Errors that say what can be done about them.
pub trait Classify: Error {
    /// What a caller can do.
    fn kind(&self) -> ErrorKind;

    /// Whether trying again can help.
    fn retry(&self) -> Retry {
        self.kind().retry()
    }
}

/// Prints an error with its sources, outermost first, joined by `: `.
///
/// Messages of this SDK never repeat their source, so this is how to print one.
///
/// ```
/// use itom_core::{ErrorChain, EvaluateError};
/// let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
/// let error = EvaluateError::Unavailable(Box::new(refused));
/// assert_eq!(ErrorChain(&error).to_string(), "the samples cannot be read: connection refused");
/// ```
#[derive(Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

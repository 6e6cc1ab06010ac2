//! Why a run failed.

use itom_core::{BoxError, Classify, ErrorKind, Text, Timestamp};

/// Why a run as a whole failed. What was pushed before still counts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The source cannot be reached or read just now.
    #[error("{what} cannot be read just now")]
    Unavailable {
        /// The source.
        what: Text,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The source refuses.
    #[error("not allowed to read {what}; grant access or run with more privileges")]
    Denied {
        /// The source.
        what: Text,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The source says something that cannot be understood.
    #[error("{what} cannot be understood: {reason}")]
    Invalid {
        /// The source, with the place.
        what: Text,
        /// What is wrong.
        reason: Text,
    },
    /// The source does not exist on this system.
    #[error("{what} does not exist on this system")]
    Unsupported {
        /// The source.
        what: Text,
    },
    /// The run took too long.
    #[error("the run was not done by {deadline}; raise its timeout or look at what it waits for")]
    Timeout {
        /// When it was cut off.
        deadline: Timestamp,
    },
    /// The run was told to stop.
    #[error("the run was told to stop")]
    Cancelled,
    /// The collector panicked; the panic ends its run and nothing else.
    #[error("{what} panicked: {message}; this is a defect in the collector, please report it")]
    Panicked {
        /// The collector.
        what: Text,
        /// What the panic said.
        message: Text,
    },
}

impl CollectError {
    /// What could not be read, from an I/O error.
    #[must_use]
    pub fn io(what: impl Into<Text>, error: std::io::Error) -> Self {
        let what = what.into();
        match ErrorKind::of_io(&error) {
            ErrorKind::Denied => Self::Denied { what, source: Box::new(error) },
            ErrorKind::NotFound | ErrorKind::Unsupported => Self::Unsupported { what },
            _ => Self::Unavailable { what, source: Box::new(error) },
        }
    }
}

impl Classify for CollectError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Panicked { .. } => ErrorKind::Bug,
        }
    }
}

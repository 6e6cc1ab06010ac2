//! Answers that say no.

use axum::http::StatusCode;

use crate::QueryableError;
use crate::eval::{EvalError, Interruption};

/// The kinds of Prometheus's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    BadData,
    Execution,
    Timeout,
    Canceled,
    Internal,
}

/// An answer that says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) error: String,
}

impl Failure {
    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self { kind: FailureKind::BadData, error: error.into() }
    }

    pub(super) fn parameter(name: &str, reason: &str) -> Self {
        Self::bad(format!("invalid parameter {name:?}: {reason}"))
    }

    pub(super) const fn word(&self) -> &'static str {
        match self.kind {
            FailureKind::BadData => "bad_data",
            FailureKind::Execution => "execution",
            FailureKind::Timeout => "timeout",
            FailureKind::Canceled => "canceled",
            FailureKind::Internal => "internal",
        }
    }

    pub(super) const fn status(&self) -> StatusCode {
        match self.kind {
            FailureKind::BadData => StatusCode::BAD_REQUEST,
            FailureKind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            FailureKind::Timeout | FailureKind::Canceled => StatusCode::SERVICE_UNAVAILABLE,
            FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        let kind = match &error {
            EvalError::Interrupted(Interruption::TimedOut) => FailureKind::Timeout,
            EvalError::Interrupted(_) => FailureKind::Canceled,
            EvalError::Storage(QueryableError::Unavailable(_)) => FailureKind::Internal,
            _ => FailureKind::Execution,
        };
        let mut text = error.to_string();
        if let EvalError::Storage(QueryableError::Unavailable(source)) = &error {
            text.push_str(&format!(": {source}"));
        }
        Self { kind, error: text }
    }
}

impl From<QueryableError> for Failure {
    fn from(error: QueryableError) -> Self {
        EvalError::from(error).into()
    }
}

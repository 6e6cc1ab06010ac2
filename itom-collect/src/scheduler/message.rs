//! What the scheduler is told and what it wants done.

use std::time::Duration;

use itom_core::{Classify as _, ErrorKind, Retry, SourceName, Timestamp};

use super::Schedule;
use crate::CollectError;

/// What the scheduler is told.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// Schedules a target, or gives a known one another schedule.
    Add {
        /// Its name: the source name of its batches.
        target: SourceName,
        /// When it runs.
        schedule: Schedule,
    },
    /// Forgets a target; a run of it is cancelled.
    Remove {
        /// Its name.
        target: SourceName,
    },
    /// A run has ended, by itself or because it was cancelled. Every [`Output::Start`] gets exactly one.
    Finished {
        /// Its target.
        target: SourceName,
        /// Its number.
        run: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// Keeps a target from starting, for maintenance. A run of it goes on, and its failure is not held against it.
    Pause {
        /// Its name.
        target: SourceName,
    },
    /// Ends a pause.
    Resume {
        /// Its name.
        target: SourceName,
    },
    /// Runs a target as soon as the limits allow; once more after the current run if there is one.
    RunNow {
        /// Its name.
        target: SourceName,
    },
    /// Starts nothing more. Runs may go on until their deadline, but no longer than `grace`; then comes
    /// [`Output::Drained`].
    Shutdown {
        /// How long.
        grace: Duration,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Well.
    Ok,
    /// With an error.
    Failed {
        /// Its kind.
        kind: ErrorKind,
        /// Whether trying again can help.
        retry: Retry,
    },
    /// It was cut off.
    TimedOut,
    /// It was told to stop.
    Cancelled,
}

impl Outcome {
    /// How a run ended that failed with `error`.
    #[must_use]
    pub fn of(error: &CollectError) -> Self {
        match error.kind() {
            ErrorKind::Timeout => Self::TimedOut,
            ErrorKind::Cancelled => Self::Cancelled,
            kind => Self::Failed { kind, retry: error.retry() },
        }
    }

    /// The label of metrics: `ok`, `error`, `timeout`, `cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed { .. } => "error",
            Self::TimedOut => "timeout",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What the scheduler wants done, and what it wants known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Start a run.
    Start {
        /// Of this target.
        target: SourceName,
        /// The number of the run: 1 for a target's first.
        run: u64,
        /// When it was due; earlier than now if it had to wait.
        scheduled: Timestamp,
        /// When it will be cancelled.
        deadline: Timestamp,
    },
    /// Stop a run and report it [`Finished`](Input::Finished). Said once.
    Cancel {
        /// Of this target.
        target: SourceName,
        /// The number of the run.
        run: u64,
        /// Why.
        reason: CancelReason,
    },
    /// Ticks of a target passed without a run.
    Missed {
        /// The target.
        target: SourceName,
        /// How many.
        ticks: u64,
        /// Why.
        why: MissedWhy,
    },
    /// A target failed too often in a row: it is only probed now.
    BreakerOpened {
        /// The target.
        target: SourceName,
        /// How often it failed in a row.
        failures: u32,
    },
    /// A probe of a target went well: it runs as before.
    BreakerClosed {
        /// The target.
        target: SourceName,
    },
    /// An input could not be followed.
    Refused {
        /// What it was about; none for an input about all targets.
        target: Option<SourceName>,
        /// Why.
        why: RefusedWhy,
    },
    /// After [`Input::Shutdown`]: no run is left. The last output.
    Drained,
}

/// Why a run is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// Its deadline has come.
    Timeout,
    /// Its target was removed.
    Removed,
    /// The scheduler shuts down and its grace is over.
    Shutdown,
}

/// Why a tick passed without a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MissedWhy {
    /// The run before took too long, or waited too long for the limits on concurrent runs or for the driver.
    Late,
    /// The target failed and is given time.
    BackedOff,
    /// The target was paused.
    Paused,
}

impl MissedWhy {
    /// The label of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::BackedOff => "backed_off",
            Self::Paused => "paused",
        }
    }
}

/// Why an input could not be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedWhy {
    /// There is no such target.
    UnknownTarget,
    /// The target has no such run.
    UnknownRun,
    /// The target is paused.
    Paused,
    /// The scheduler is shutting down.
    ShuttingDown,
}

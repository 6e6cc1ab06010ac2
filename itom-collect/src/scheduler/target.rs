//! One target.

use itom_core::{SourceName, Text, Timestamp};

use super::timing::Ticks;
use super::{CancelReason, Outcome, Schedule};

/// Where a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetState {
    /// It waits for its time.
    Waiting {
        /// When it is due.
        due: Timestamp,
    },
    /// It is due and waits for the limits on concurrent runs.
    Ready {
        /// Since when it is due.
        due: Timestamp,
    },
    /// It runs.
    Running {
        /// The number of the run.
        run: u64,
        /// When it will be, or was, cancelled.
        deadline: Timestamp,
    },
    /// It is paused, or the scheduler is shutting down.
    Idle,
}

/// What is known about one target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetStatus {
    /// Where it stands.
    pub state: TargetState,
    /// Whether it is paused; a paused target may still have a run.
    pub paused: bool,
    /// Whether it failed too often in a row and is only probed.
    pub breaker_open: bool,
    /// How many runs were started.
    pub runs: u64,
    /// How many ended badly in a row.
    pub failures: u32,
    /// How the last one ended.
    pub last: Option<Outcome>,
}

/// All times in here are steady ([`super::timing::Steady`]), save `accounted`.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) schedule: Schedule,
    pub(super) collector: Text,
    pub(super) ticks: Ticks,
    pub(super) stage: Stage,
    pub(super) runs: u64,
    pub(super) failures: u32,
    pub(super) last: Option<Outcome>,
    pub(super) breaker_open: bool,
    pub(super) paused: bool,
    /// Removed while running: gone once the run has ended.
    pub(super) leaving: bool,
    /// Run once more when the current run has ended.
    pub(super) again: bool,
    /// The clock's time up to which ticks were kept or counted as missed.
    pub(super) accounted: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    Waiting { due: Timestamp },
    Ready { due: Timestamp },
    Running(Run),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) started: Timestamp,
    pub(super) deadline: Timestamp,
    /// What reaching the deadline means.
    pub(super) at_deadline: CancelReason,
    pub(super) cancelled: Option<CancelReason>,
}

impl Target {
    pub(super) fn new(name: &SourceName, schedule: Schedule, now: Timestamp) -> Self {
        Self {
            collector: collector_of(name, &schedule),
            ticks: Ticks::new(name.as_str(), schedule.every),
            schedule,
            stage: Stage::Idle,
            runs: 0,
            failures: 0,
            last: None,
            breaker_open: false,
            paused: false,
            leaving: false,
            again: false,
            accounted: now,
        }
    }
}

pub(super) fn collector_of(name: &SourceName, schedule: &Schedule) -> Text {
    match (&schedule.collector, name.as_str().split_once('@')) {
        (Some(collector), _) => collector.clone(),
        (None, Some((collector, _))) => Text::from(collector),
        (None, None) => name.text().clone(),
    }
}

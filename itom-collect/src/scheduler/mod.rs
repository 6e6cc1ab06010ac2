//! When which collector runs: a pure state machine over thousands of targets.
//!
//! The [`Scheduler`] is an [`itom_core::Machine`]: its driver tells it what was added and how runs ended, and starts
//! and cancels what its outputs say. It holds no clock, starts nothing itself and draws no random numbers: phases and
//! jitter are hashes of names, so a restart keeps them.
//!
//! # What it promises
//! * Runs of one target never overlap: there is no new [`Output::Start`] before the run before was
//!   [`Finished`](Input::Finished), however late.
//! * A run that is not finished by its deadline gets one [`Output::Cancel`].
//! * Ticks that cannot be kept are counted and skipped, never piled up.
//! * Whoever is due longest starts first, within the limits on concurrent runs: nobody starves.
//! * A clock that leaps or steps back neither floods nor hangs it. After a step back everything is due as long after
//!   as it was before; after a leap each target is overdue once, its ticks in between are counted as missed, and runs
//!   whose deadline was leapt over are cancelled.
//!
//! ```
//! use std::time::Duration;
//!
//! use itom_collect::scheduler::{Input, Outcome, Output, Schedule, Scheduler, SchedulerConfig};
//! use itom_core::{Machine as _, SourceName, Timestamp};
//!
//! let mut scheduler = Scheduler::new(SchedulerConfig::default());
//! let every = Schedule::new(Duration::from_secs(60), Duration::from_secs(10));
//! let name = SourceName::literal("host@web-1");
//! scheduler.handle(Timestamp::EPOCH, Input::Add { target: name.clone(), schedule: every });
//!
//! let due = scheduler.poll_deadline().expect("the first run").at;
//! scheduler.handle_deadline(due);
//! let Some(Output::Start { target, run, .. }) = scheduler.poll_output() else { panic!("it is due") };
//! scheduler.handle(due, Input::Finished { target, run, outcome: Outcome::Ok });
//! assert!(scheduler.poll_deadline().expect("the next run").at > due);
//! ```

mod config;
mod group;
mod machine;
mod message;
mod stats;
mod target;
mod timing;

pub use config::{Schedule, SchedulerConfig};
pub use machine::Scheduler;
pub use message::{CancelReason, Input, MissedWhy, Outcome, Output, RefusedWhy};
pub use stats::{CollectorStats, SchedulerStats};
pub use target::{TargetState, TargetStatus};

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

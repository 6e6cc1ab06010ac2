//! One run of one collector, on any executor.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use itom_core::{
    Batch, BatchLimits, Classify as _, Clock, Coverage, ErrorChain, Question, SourceName, Text, Timestamp,
};

use crate::{Cancel, CollectContext, CollectError, Collector, Outcome};

/// What one run is given.
#[derive(Debug, Clone)]
pub struct RunSpec {
    source: SourceName,
    clock: Arc<dyn Clock>,
    started: Timestamp,
    deadline: Timestamp,
    cancel: Cancel,
    limits: BatchLimits,
    questions: Vec<Question>,
}

impl RunSpec {
    /// A run for `source` that begins now and is cut off at `deadline`.
    #[must_use]
    pub fn new(source: SourceName, clock: Arc<dyn Clock>, deadline: Timestamp) -> Self {
        let started = clock.now();
        Self {
            source,
            clock,
            started,
            deadline,
            cancel: Cancel::new(),
            limits: BatchLimits::default(),
            questions: Vec::new(),
        }
    }

    /// Says when the run began, if not now: the time of its batch, from which the run's id follows.
    #[must_use]
    pub fn started(self, started: Timestamp) -> Self {
        Self { started, ..self }
    }

    /// Sets the signal that ends the run early.
    #[must_use]
    pub fn cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Offers questions that the run could settle.
    #[must_use]
    pub fn questions(self, questions: Vec<Question>) -> Self {
        Self { questions, ..self }
    }

    /// Sets how much its batch may hold.
    #[must_use]
    pub fn limits(self, limits: BatchLimits) -> Self {
        Self { limits, ..self }
    }
}

/// What came of one run.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunReport {
    /// What was pushed, finished. After anything but success no scope is complete and the failure is one of its faults.
    pub batch: Batch,
    /// How it ended, as the [`Scheduler`](crate::Scheduler) wants to hear it.
    pub outcome: Outcome,
    /// Why it failed.
    pub error: Option<CollectError>,
    /// How long it took by the clock; zero if the clock stepped back.
    pub duration: Duration,
}

/// Runs a collector once: until it is done, its deadline has come or it is cancelled, whichever is first. What it
/// pushed before counts in every case. A panic is caught and is an error of kind [`Bug`](itom_core::ErrorKind::Bug).
///
/// Never fails and holds no executor: await it anywhere. Dropping it drops the run and what it pushed.
pub async fn run_collector(collector: &dyn Collector, spec: RunSpec) -> RunReport {
    let RunSpec { source, clock, started, deadline, cancel, limits, questions } = spec;
    let what = source.text().clone();
    let mut batch = Batch::with_limits(source, started, limits);
    let cx = CollectContext::new(Arc::clone(&clock), deadline, cancel).with_questions(questions);

    let result = {
        // Unwind safety: after a panic the collector sees no shared state of ours, and the batch is only ever whole:
        // each push writes it in one go.
        let guarded = AssertUnwindSafe(async { collector.collect(&cx, &mut batch).await });
        let mut guarded = Box::pin(guarded.catch_unwind());
        let result = match cx.bounded(&mut guarded).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(panicked(&what, panic.as_ref())),
            Err(cut_off) => Err(cut_off),
        };
        // A future may panic in its destructors too.
        match catch_unwind(AssertUnwindSafe(move || drop(guarded))) {
            Ok(()) => result,
            Err(panic) => Err(panicked(&what, panic.as_ref())),
        }
    };

    let (outcome, error) = match result {
        Ok(coverage) => {
            batch.finish(coverage);
            (Outcome::Ok, None)
        }
        Err(error) => {
            batch.fault(what, error.kind(), ErrorChain(&error).to_string());
            batch.finish(Coverage::new());
            (Outcome::of(&error), Some(error))
        }
    };
    RunReport { batch, outcome, error, duration: clock.now().since(started) }
}

fn panicked(what: &Text, panic: &(dyn std::any::Any + Send)) -> CollectError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|message| Text::from(*message))
        .or_else(|| panic.downcast_ref::<String>().map(|message| Text::from(message.as_str())))
        .unwrap_or(Text::literal("no message"));
    CollectError::Panicked { what: what.clone(), message }
}

#[cfg(test)]
mod tests;

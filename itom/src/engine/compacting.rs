//! Less past, at a calm time: reads what others appended, plans, lets the store apply it, forgets the same.

use std::sync::Arc;
use std::time::Duration;

use itom_cmdb::store::{Compacted, Compaction, Cursor, Page, Retention, StoreError};
use itom_core::{Classify as _, Deadline, ErrorChain, Retry, Timestamp};
use tracing::{info, warn};

use super::event::EngineEvent;
use super::ingest::Writing;
use super::run::Loop;
use super::shared::backoff;

/// Facts read at once.
const PAGE: usize = 4096;

/// The time of day (UTC) from which compactions are counted: few people work then, in few places.
const PHASE: Duration = Duration::from_secs(2 * 3600);

/// How long a compaction that is due waits for a calm moment before it takes the next moment there is.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What the store answered.
pub(super) enum Answer {
    Read(Result<Page, StoreError>),
    Compacted(Result<Compacted, StoreError>),
}

enum Step {
    /// Until it is time.
    Waiting,
    /// Facts that came since the last time are being read.
    Reading,
    /// The store applies the plan. Nothing is appended meanwhile, so that nothing new can cite what goes.
    Applying(Box<Compaction>),
}

/// When what goes.
pub(super) struct Compacting {
    retention: Retention,
    every: Duration,
    due: Timestamp,
    /// How often it failed since it last worked.
    failed: u32,
    /// Up to where the facts of the store are known.
    known_to: Option<Cursor>,
    step: Step,
}

impl Compacting {
    pub(super) fn new(
        retention: Retention,
        every: Duration,
        known_to: Option<Cursor>,
        now: Timestamp,
    ) -> Self {
        Self { retention, every, due: next(now, every), failed: 0, known_to, step: Step::Waiting }
    }

    pub(super) fn deadline(&self, now: Timestamp) -> Option<Deadline> {
        let at = match self.step {
            Step::Waiting if now < self.due => self.due,
            // Whatever makes it calm before wakes the loop by itself.
            Step::Waiting if now < self.due + PATIENCE => self.due + PATIENCE,
            _ => return None,
        };
        Some(Deadline::new(at, "old facts may be summed up"))
    }

    /// The clock was set back.
    pub(super) fn step_back(&mut self, by: Duration) {
        self.due = self.due - by;
    }

    const fn is_applying(&self) -> bool {
        matches!(self.step, Step::Applying(_))
    }

    fn again(&mut self, now: Timestamp, first: Duration, retry: Retry) {
        self.step = Step::Waiting;
        self.due = match retry {
            Retry::After(span) => now + span,
            Retry::Backoff => now + backoff(first, self.failed),
            // What will not mend by itself gets its next chance when everybody does.
            Retry::Never => next(now, self.every),
        };
        self.failed = self.failed.saturating_add(1);
    }
}

/// The first of the times of day after `now`.
fn next(now: Timestamp, every: Duration) -> Timestamp {
    let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX).max(1);
    let phase = PHASE.as_micros() as i64;
    let since = now.as_micros().saturating_sub(phase).rem_euclid(every);
    now + Duration::from_micros((every - since).unsigned_abs())
}

impl Loop {
    /// Whether appends wait for a compaction.
    pub(super) fn is_compacting(&self) -> bool {
        self.compacting.as_ref().is_some_and(Compacting::is_applying)
    }

    /// Starts a compaction that is due, when it is calm.
    pub(super) fn compact(&mut self, now: Timestamp) {
        let idle = matches!(self.writing, Writing::Idle);
        let calm = idle
            && self.pending.is_empty()
            && self.waits.runs.is_empty()
            && self.waits.finished.is_empty()
            && self.warming.is_none();
        let ends = self.once.is_some() || self.ending.is_some() || self.keeping.is_asking();
        let Some(own) = &mut self.compacting else { return };
        let overdue = now >= own.due + PATIENCE;
        if ends || !matches!(own.step, Step::Waiting) || now < own.due || !(calm || idle && overdue) {
            return;
        }
        own.step = Step::Reading;
        self.read_on();
    }

    /// Reads what came into the store since the last time: what others appended must be known before anything goes.
    fn read_on(&mut self) {
        let Some(own) = &self.compacting else { return };
        let (store, after) = (Arc::clone(&self.parts.store), own.known_to);
        self.waits.compacting = Some(Box::pin(async move { Answer::Read(store.load(after, PAGE).await) }));
    }

    /// The store answered.
    pub(super) fn compacted(&mut self, now: Timestamp, answer: Answer) {
        match answer {
            Answer::Read(Ok(page)) => self.read(now, page),
            Answer::Compacted(Ok(done)) => self.forget(now, done),
            Answer::Read(Err(error)) | Answer::Compacted(Err(error)) => {
                let first = self.parts.limits.store_retry;
                let Some(own) = &mut self.compacting else { return };
                own.again(now, first, error.retry());
                warn!(error = %ErrorChain(&error), again = %own.due, "old facts could not be summed up");
            }
        }
    }

    fn read(&mut self, now: Timestamp, page: Page) {
        let last = page.next.is_none();
        if let Some(own) = &mut self.compacting {
            own.known_to = page.last.or(own.known_to);
        }
        if !page.facts.is_empty() {
            self.learn(now, page.facts);
        }
        if !last {
            return self.read_on();
        }
        let idle = matches!(self.writing, Writing::Idle);
        let Some(own) = &mut self.compacting else { return };
        own.step = Step::Waiting;
        if !idle || self.ending.is_some() {
            // An append went out meanwhile: what it brings is read before anything is planned.
            return;
        }
        let plan = self.cmdb.plan_compaction(&own.retention, now).known_to(own.known_to);
        if plan.is_empty() {
            (own.due, own.failed) = (next(now, own.every), 0);
            return;
        }
        own.step = Step::Applying(Box::new(plan.clone()));
        let store = Arc::clone(&self.parts.store);
        self.waits.compacting = Some(Box::pin(async move { Answer::Compacted(store.compact(&plan).await) }));
    }

    fn forget(&mut self, now: Timestamp, done: Compacted) {
        let Some(own) = &mut self.compacting else { return };
        let Step::Applying(plan) = std::mem::replace(&mut own.step, Step::Waiting) else { return };
        (own.due, own.failed) = (next(now, own.every), 0);
        // The present stays what it is; a source whose items were summed up is derived anew from its sum.
        let applied = self.cmdb.forget(&plan);
        self.keeping.outdated();
        self.relate(&applied);
        self.publish();
        info!(dropped = done.dropped, checkpoints = done.checkpoints, "old facts were summed up");
        let (dropped, checkpoints) = (done.dropped, done.checkpoints);
        self.shared.events.send(&EngineEvent::Compacted { at: now, dropped, checkpoints });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_by_the_time_of_day() {
        const DAY: Duration = Duration::from_secs(86_400);
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        for (now, due) in [
            ("2024-05-05T01:59:59Z", "2024-05-05T02:00:00Z"),
            ("2024-05-05T02:00:00Z", "2024-05-06T02:00:00Z"),
            ("2024-05-05T23:00:00Z", "2024-05-06T02:00:00Z"),
            ("1969-12-31T23:00:00Z", "1970-01-01T02:00:00Z"),
        ] {
            assert_eq!(next(at(now), DAY), at(due), "after {now}");
        }
        assert_eq!(next(at("2024-05-05T02:10:00Z"), DAY / 24), at("2024-05-05T03:00:00Z"));
        // At the edge of time it is never due again, and nothing overflows.
        assert_eq!(next(Timestamp::MAX, DAY), Timestamp::MAX);
        assert!(next(Timestamp::MIN, DAY) > Timestamp::MIN);
    }
}

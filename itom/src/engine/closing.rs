//! The orderly end: no new runs, what goes on may finish, what waits is stored, all within the grace.

use std::time::Duration;

use futures::future::{Either, select};
use itom_cmdb::store::StoreError;
use itom_collect::scheduler::Input as Schedule;
use itom_core::{ErrorChain, Machine as _, Timestamp};
use tracing::{error, info};

use super::event::EngineEvent;
use super::run::Loop;
use super::{EngineSummary, RunError};

/// An orderly end under way.
pub(super) struct Ending {
    pub(super) until: Timestamp,
    /// The scheduler has no run going on.
    pub(super) drained: bool,
}

impl Loop {
    pub(super) fn begin_end(&mut self, now: Timestamp) {
        if self.ending.is_some() {
            return;
        }
        let grace = self.parts.limits.grace;
        info!("engine shutting down");
        self.ending = Some(Ending { until: now + grace, drained: false });
        self.stop_listeners();
        // What was accepted is taken in; from here on offers are told that the engine has ended.
        for batch in self.waits.take_submitted() {
            self.take_in(now, batch);
        }
        self.waits.submitted = None;
        // The last chance is a chance: whoever refused before is asked once more now.
        self.writing.retry_at(now);
        self.alerts.retry_at(now);
        self.scheduler.handle(now, Schedule::Shutdown { grace: grace / 2 });
        self.shared.events.send(&EngineEvent::ShuttingDown { at: now });
    }

    pub(super) fn is_done(&self, now: Timestamp) -> bool {
        if self.once.is_some() {
            return self.has_looked() || self.writing.refused_for(now, self.parts.limits.grace);
        }
        let Some(ending) = &self.ending else { return false };
        let told = self.waits.deliveries.is_empty() && self.alerts.is_quiet();
        (ending.drained && self.is_written() && told) || now >= ending.until
    }

    /// In one look only: whether every collector has run and all they saw is stored.
    pub(super) fn has_looked(&self) -> bool {
        self.once.as_ref().is_some_and(std::collections::BTreeSet::is_empty) && self.is_written()
    }

    pub(super) async fn close(mut self, now: Timestamp) -> Result<EngineSummary, RunError> {
        // Whoever asks or offers from here on is told that the engine has ended.
        self.waits.commands.close();
        self.waits.submitted = None;
        let until = self.ending.as_ref().map_or(now + self.parts.limits.grace, |ending| ending.until);
        let unsaved = self.unsaved(now);
        let flush = self.parts.store.flush();
        let flushed = match select(flush, self.parts.clock.sleep_until(until)).await {
            Either::Left((flushed, _)) => flushed,
            Either::Right(_) => Err(no_answer("flushing", self.parts.limits.grace)),
        };
        if unsaved.is_none() && flushed.is_ok() {
            let (store, clock) = (self.parts.store.as_ref(), self.parts.clock.as_ref());
            self.keeping.at_end(&self.cmdb, store, clock, until).await;
        }
        self.publish();
        let status = self.shared.status();
        let summary = EngineSummary {
            rounds: status.rounds,
            facts: status.facts,
            span: self.parts.clock.now().since(self.started_at),
            undelivered: self.alerts.undelivered(),
        };
        info!(rounds = summary.rounds, facts = summary.facts, "engine ended");
        let unremembered = self.alerts.unremembered();
        if let Some(RunError::Unremembered { records, .. }) = &unremembered {
            error!(records, "records of alerts and notices could not be written to the journal");
        }
        match (unsaved, flushed, unremembered) {
            (Some(unsaved), _, _) => Err(unsaved),
            (None, Err(source), _) => Err(RunError::Unsaved { facts: 0, source }),
            (None, Ok(()), Some(unremembered)) => Err(unremembered),
            (None, Ok(()), None) => Ok(summary),
        }
    }

    /// What could not be stored.
    fn unsaved(&mut self, now: Timestamp) -> Option<RunError> {
        let (load, refusal) = self.writing.give_up();
        let facts =
            load + self.pending.iter().map(|taken| self.cmdb.plan(&taken.batch, now).len()).sum::<usize>();
        if facts == 0 {
            return None;
        }
        let source = refusal.unwrap_or_else(|| no_answer("appending to", self.parts.limits.grace));
        error!(facts, error = %ErrorChain(&source), "facts could not be stored");
        Some(RunError::Unsaved { facts, source })
    }
}

fn no_answer(doing: &'static str, grace: Duration) -> StoreError {
    let source = format!("it did not answer within the grace of {grace:?}").into();
    StoreError::Unavailable { doing, what: "the store".into(), source }
}

//! What the loop publishes and handles read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use itom_alert::AlertView;
use itom_cmdb::View;
use itom_cmdb::graph::RelationGraph;
use itom_cmdb::history::ChangeFeed;
use itom_collect::listener::BatchQueue;
use itom_collect::{Outcome, RunReport};
use itom_core::{Clock, ErrorChain, ErrorKind, SourceName, Text, Timestamp};
use itom_metrics::SeriesStore;

use super::event::Broadcast;
use super::model::Model;
use super::status::{CollectorStatus, EngineStatus, StoreStatus};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) samples: Arc<SeriesStore>,
    pub(super) events: Broadcast,
    /// Where batches from listeners and handles wait.
    pub(super) submitted: BatchQueue,
    pub(super) collectors: BTreeSet<SourceName>,
    pub(super) model: Model,
    snapshot: RwLock<Snapshot>,
    status: Mutex<EngineStatus>,
    #[cfg(feature = "prometheus")]
    groups: RwLock<Arc<[itom_alert::prometheus::GroupStatus]>>,
}

/// What is known at one moment. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) view: View,
    pub(super) changes: ChangeFeed,
    pub(super) graph: Arc<RelationGraph>,
    pub(super) alerts: Arc<[AlertView]>,
}

impl Shared {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        samples: Arc<SeriesStore>,
        submitted: BatchQueue,
        collectors: BTreeSet<SourceName>,
        model: Model,
        snapshot: Snapshot,
    ) -> Self {
        let now = clock.now();
        let status = EngineStatus {
            started_at: now,
            at: now,
            rounds: 0,
            facts: 0,
            samples: 0,
            dropped: BTreeMap::new(),
            store: StoreStatus::Accepting,
            collectors: collectors.iter().map(|name| CollectorStatus::new(name.text().clone())).collect(),
        };
        Self {
            clock,
            samples,
            events: Broadcast::default(),
            submitted,
            collectors,
            model,
            snapshot: RwLock::new(snapshot),
            status: Mutex::new(status),
            #[cfg(feature = "prometheus")]
            groups: RwLock::new(Arc::from([])),
        }
    }

    #[cfg(feature = "prometheus")]
    pub(super) fn publish_groups(&self, groups: Arc<[itom_alert::prometheus::GroupStatus]>) {
        *self.groups.write().unwrap_or_else(PoisonError::into_inner) = groups;
    }

    #[cfg(feature = "prometheus")]
    pub(super) fn groups(&self) -> Arc<[itom_alert::prometheus::GroupStatus]> {
        Arc::clone(&self.groups.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    fn status_mut(&self) -> MutexGuard<'_, EngineStatus> {
        // Every change is a few plain assignments: a panic elsewhere cannot leave it half-made.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> EngineStatus {
        let mut status = EngineStatus { at: self.clock.now(), ..self.status_mut().clone() };
        let refused = self.submitted.refused_batches();
        if refused > 0 {
            status.dropped.insert(Text::literal("submitted"), refused);
        }
        status
    }

    pub(super) fn count_dropped(&self, reason: Text, count: u64) {
        if count > 0 {
            *self.status_mut().dropped.entry(reason).or_default() += count;
        }
    }

    pub(super) fn count_facts(&self, facts: u64) {
        self.status_mut().facts += facts;
    }

    pub(super) fn count_samples(&self, samples: u64) {
        self.status_mut().samples += samples;
    }

    pub(super) fn count_round(&self) {
        self.status_mut().rounds += 1;
    }

    pub(super) fn store(&self, store: StoreStatus) {
        self.status_mut().store = store;
    }

    /// Notes how a collector's run went.
    pub(super) fn ran(&self, target: &SourceName, started: Timestamp, report: &RunReport) {
        let mut status = self.status_mut();
        let Some(own) = status.collectors.iter_mut().find(|own| own.name == *target.text()) else { return };
        own.last_run = Some(started);
        own.duration = report.duration;
        own.observations = report.batch.items().len();
        own.faults = report.batch.faults().to_vec();
        own.runs += 1;
        own.outcome = Some(match report.outcome {
            Outcome::Ok => Ok(()),
            Outcome::TimedOut => Err((ErrorKind::Timeout, Text::literal("it took too long and was cut off"))),
            _ => Err(match &report.error {
                Some(error) => (itom_core::Classify::kind(error), Text::from(ErrorChain(error).to_string())),
                None => (ErrorKind::Cancelled, Text::literal("it was told to stop")),
            }),
        });
    }
}

/// Doubles from `first` up to 32 times of it.
pub(super) fn backoff(first: Duration, attempt: u32) -> Duration {
    first.saturating_mul(1 << attempt.min(5))
}

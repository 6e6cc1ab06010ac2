//! Batch → facts → store → items and relations → samples. Facts are believed only once the store has them.

use std::sync::Arc;
use std::time::Duration;

use itom_cmdb::fact::Fact;
use itom_cmdb::graph::{GraphError, RelationGraph, RelationModel};
use itom_cmdb::store::StoreError;
use itom_cmdb::{Applied, Cmdb, GraphDelta};
use itom_core::{Batch, Classify as _, Coverage, Deadline, ErrorChain, Observation, Retry, Text, Timestamp};
use tracing::{error, info, warn};

use super::alerting::Alerting;
use super::event::EngineEvent;
use super::run::Loop;
use super::samples::{Taken, Unknown};
use super::shared::{Snapshot, backoff};
use super::status::StoreStatus;

/// What is on its way to the store.
pub(super) enum Writing {
    /// Nothing.
    Idle,
    /// These are being appended.
    Appending(Load),
    /// The store refused these; they are tried again.
    Refused { load: Load, attempt: u32, since: Timestamp, retry_at: Timestamp, error: StoreError },
}

/// Batches and the facts made of them.
pub(super) struct Load {
    batches: Vec<Taken>,
    facts: Vec<Fact>,
    /// Since when they have been on their way.
    since: Timestamp,
    /// How often the store has refused them, and since when.
    refused: Option<(u32, Timestamp)>,
}

/// How long time stands still for an append: what runs out meanwhile runs out after what was learned before it, as a
/// replay tells it. A store that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// A clock that was set back by less than this has only been adjusted.
const ADJUSTED: Duration = Duration::from_secs(1);

impl Writing {
    pub(super) fn deadline(&self) -> Option<Deadline> {
        match self {
            Self::Refused { retry_at, .. } => Some(Deadline::new(*retry_at, "the store is tried again")),
            Self::Idle | Self::Appending(_) => None,
        }
    }

    /// Until when nothing runs out, for the sake of what is being appended.
    pub(super) fn holds_time(&self, now: Timestamp) -> Option<Deadline> {
        match self {
            Self::Appending(load) if load.refused.is_none() && now < load.since + PATIENCE => {
                Some(Deadline::new(load.since + PATIENCE, "the store takes long"))
            }
            _ => None,
        }
    }

    pub(super) fn refuses(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Appending(load) => load.refused.is_some(),
            Self::Idle => false,
        }
    }

    /// What could not be stored when the engine ends, and why if the store said so.
    pub(super) fn give_up(&mut self) -> (usize, Option<StoreError>) {
        match std::mem::replace(self, Self::Idle) {
            Self::Refused { load, error, .. } => (load.facts.len(), Some(error)),
            Self::Appending(load) => (load.facts.len(), None),
            Self::Idle => (0, None),
        }
    }

    /// Asks a store that refused again at this time, if that is sooner.
    pub(super) fn retry_at(&mut self, at: Timestamp) {
        if let Self::Refused { retry_at, .. } = self {
            *retry_at = at.min(*retry_at);
        }
    }

    /// Whether the store has refused for so long.
    pub(super) fn refused_for(&self, now: Timestamp, span: Duration) -> bool {
        matches!(self, Self::Refused { since, .. } if now.since(*since) >= span)
    }

    /// The clock was set back.
    pub(super) fn step_back(&mut self, by: Duration) {
        match self {
            Self::Refused { since, retry_at, .. } => (*since, *retry_at) = (*since - by, *retry_at - by),
            Self::Appending(load) => {
                load.since = load.since - by;
                if let Some((_, since)) = &mut load.refused {
                    *since = *since - by;
                }
            }
            Self::Idle => {}
        }
    }
}

impl Loop {
    /// Takes a batch in. While the store refuses, its samples do not wait for its facts.
    pub(super) fn take_in(&mut self, now: Timestamp, mut batch: Batch) {
        // Whoever submits may have left it open: its limits hold all the same.
        batch.finish(Coverage::new());
        let mut taken = Taken::new(batch);
        if self.writing.refuses() {
            self.store_samples(now, &mut taken, Unknown::Wait);
        }
        self.pending.push_back(taken);
    }

    /// Whether nothing waits for the store.
    pub(super) fn is_written(&self) -> bool {
        self.pending.is_empty() && matches!(self.writing, Writing::Idle)
    }

    /// Starts the next append, if there is something to store and the store may be asked.
    pub(super) fn write(&mut self, now: Timestamp) {
        if self.is_compacting() || self.keeping.is_asking() {
            return;
        }
        match &self.writing {
            Writing::Appending(_) => return self.shed(),
            Writing::Refused { retry_at, .. } if now < *retry_at => return self.shed(),
            Writing::Refused { .. } => {
                if let Writing::Refused { load, attempt, since, .. } =
                    std::mem::replace(&mut self.writing, Writing::Idle)
                {
                    self.append(Load { refused: Some((attempt, since)), ..load });
                }
                return;
            }
            Writing::Idle => {}
        }
        if self.pending.is_empty() {
            return;
        }
        // Everything that waits goes in one append: the more there is, the less each costs.
        let batches: Vec<Taken> = self.pending.drain(..).collect();
        let learned = self.learning_at(now);
        let mut facts = Vec::new();
        for batch in &batches {
            facts.extend(self.cmdb.plan(&batch.batch, learned));
        }
        self.append(Load { batches, facts, since: now, refused: None });
    }

    /// When what is appended now is learned: each append makes a moment of its own, after the one before.
    fn learning_at(&self, now: Timestamp) -> Timestamp {
        let last = self.cmdb.learned_until();
        if last >= now && last.since(now) < ADJUSTED { last + Duration::from_micros(1) } else { now }
    }

    fn append(&mut self, load: Load) {
        let (store, facts) = (Arc::clone(&self.parts.store), load.facts.clone());
        self.waits.appending = Some(Box::pin(async move { store.append(&facts).await }));
        self.writing = Writing::Appending(load);
    }

    /// While the store refuses, what does not fit the queue gives up its facts: the next run says them again. Its
    /// samples are stored already, but for those of items that are not known.
    fn shed(&mut self) {
        if !self.writing.refuses() {
            return;
        }
        while self.pending.len() > self.parts.limits.batches {
            let Some(taken) = self.pending.pop_front() else { return };
            self.shared.count_dropped(Text::literal("facts"), taken.statements() as u64);
            self.shared.count_dropped(Text::literal("samples_unknown_item"), taken.waiting() as u64);
        }
    }

    /// The store answered.
    pub(super) fn written(&mut self, now: Timestamp, result: Result<(), StoreError>) {
        let Writing::Appending(load) = std::mem::replace(&mut self.writing, Writing::Idle) else { return };
        match result {
            Ok(()) => {
                if load.refused.is_some() {
                    info!("the store accepts again");
                    self.shared.store(StoreStatus::Accepting);
                    self.shared.events.send(&EngineEvent::Store { at: now, error: None });
                }
                self.believe(now, load);
            }
            Err(refusal) => self.refused(now, load, refusal),
        }
    }

    fn refused(&mut self, now: Timestamp, mut load: Load, refusal: StoreError) {
        let (attempt, since) = load.refused.map_or((0, now), |(attempt, since)| (attempt + 1, since));
        let wait = match refusal.retry() {
            Retry::After(span) => span,
            // Even what will not mend by itself is tried again, seldom: somebody may mend it.
            Retry::Never => backoff(self.parts.limits.store_retry, u32::MAX),
            Retry::Backoff => backoff(self.parts.limits.store_retry, attempt),
        };
        let text = Text::from(ErrorChain(&refusal).to_string());
        if attempt == 0 {
            error!(error = %text, "the store refuses; facts wait, metrics and alerts go on");
            let error = Some((refusal.kind(), text.clone()));
            self.shared.events.send(&EngineEvent::Store { at: now, error });
            // Samples need no store: those that waited with their facts do not wait any longer.
            let mut pending = std::mem::take(&mut self.pending);
            for taken in load.batches.iter_mut().chain(&mut pending) {
                self.store_samples(now, taken, Unknown::Wait);
            }
            self.pending = pending;
        }
        self.shared.store(StoreStatus::Refusing { since, kind: refusal.kind(), error: text });
        self.writing = Writing::Refused { load, attempt, since, retry_at: now + wait, error: refusal };
    }

    /// Takes in what the store has acknowledged.
    fn believe(&mut self, now: Timestamp, load: Load) {
        self.shared.count_facts(load.facts.len() as u64);
        self.keeping.took_in(load.facts.len());
        let applied = self.cmdb.ingest(load.facts);
        self.relate(&applied);
        let changes: Arc<[_]> = applied.changes.into();
        self.publish();
        let last = load.batches.len().saturating_sub(1);
        for (index, mut taken) in load.batches.into_iter().enumerate() {
            self.shared.count_round();
            self.store_samples(now, &mut taken, Unknown::Store);
            let batch = &taken.batch;
            // Changes of batches that were stored together are told with the last of them.
            let changes = if index == last { Arc::clone(&changes) } else { Arc::from([]) };
            self.shared.events.send(&EngineEvent::Ingested {
                at: now,
                source: batch.source().clone(),
                observations: batch.items().len(),
                changes,
            });
            self.report_events(now, batch);
        }
    }

    /// Takes in what the store has from elsewhere, or from here: then it is known already.
    pub(super) fn learn(&mut self, now: Timestamp, facts: Vec<Fact>) {
        let applied = self.cmdb.ingest(facts);
        if applied.new_facts == 0 {
            return;
        }
        self.keeping.is_shared();
        self.relate(&applied);
        self.publish();
        let (facts, changes) = (applied.new_facts, applied.changes.into());
        self.shared.events.send(&EngineEvent::Learned { at: now, facts, changes });
    }

    /// Hands on what sources reported.
    fn report_events(&self, now: Timestamp, batch: &Batch) {
        let view = self.cmdb.view();
        for item in batch.items() {
            let Observation::Event(event) = item else { continue };
            let ci = event.subject.as_ref().and_then(|subject| view.resolve(batch.source(), subject));
            let (source, event) = (batch.source().clone(), Arc::new(event.clone()));
            self.shared.events.send(&EngineEvent::Reported { at: now, source, ci, event });
        }
    }

    /// Lets what has not been seen for its lease go, each at its time.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let steps = self.cmdb.run_out(now);
        self.relate_all(&steps);
        self.publish();
    }

    pub(super) fn relate(&mut self, applied: &Applied) {
        self.relate_all(std::slice::from_ref(applied));
    }

    /// Steps that lead to what is known now.
    fn relate_all(&mut self, steps: &[Applied]) {
        for applied in steps {
            match apply_to_graph(&mut self.graph, applied) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "the graph refused a step; it is built anew");
                }
            }
            // It has the other steps in it, too.
            self.graph = graph(&self.cmdb, self.shared.model.relations());
            break;
        }
        if steps.iter().any(|applied| !applied.graph.is_empty()) {
            self.shown_graph = Arc::new(self.graph.clone());
        }
    }

    /// Shows handles what is known now.
    pub(super) fn publish(&self) {
        self.shared.publish(snapshot(&self.cmdb, &self.shown_graph, &self.alerts));
    }
}

/// What handles are shown.
pub(super) fn snapshot(cmdb: &Cmdb, graph: &Arc<RelationGraph>, alerts: &Alerting) -> Snapshot {
    Snapshot { view: cmdb.view(), changes: cmdb.feed(), graph: Arc::clone(graph), alerts: alerts.alerts() }
}

/// The graph of everything that is there.
pub(super) fn graph(cmdb: &Cmdb, model: RelationModel) -> RelationGraph {
    // Relations whose ends are gone are left out, as they are when the graph follows step by step.
    cmdb.view().graph(model.clone()).unwrap_or_else(|error| {
        error!(error = %ErrorChain(&error), "the graph cannot be built: questions about impact stay unanswered");
        RelationGraph::new(model)
    })
}

/// Follows what changed; the steps come in an order that can be applied as it is. Says whether it could follow.
fn apply_to_graph(graph: &mut RelationGraph, applied: &Applied) -> Result<bool, GraphError> {
    for step in &applied.graph {
        match step {
            GraphDelta::Unrelate { kind, from, to } => {
                graph.unrelate(kind, *from, *to);
            }
            GraphDelta::Remove(ci) => {
                graph.remove_ci(*ci);
            }
            GraphDelta::Upsert { ci, kind, name } => graph.upsert_ci(*ci, kind.clone(), name.clone())?,
            GraphDelta::Relate { kind, from, to } => {
                graph.relate(kind.clone(), *from, *to)?;
            }
            // A step of a kind that is not known here: the caller builds the graph anew.
            _ => return Ok(false),
        }
    }
    Ok(true)
}

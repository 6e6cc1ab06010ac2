//! Batch → facts → store → items and relations → samples. Facts are believed only once the store has them.

use std::sync::Arc;

use itom_cmdb::fact::Fact;
use itom_cmdb::graph::{GraphError, RelationGraph, RelationModel};
use itom_cmdb::store::StoreError;
use itom_cmdb::{Applied, Cmdb, GraphDelta};
use itom_core::{
    Batch, Classify as _, Deadline, ErrorChain, LabelName, Labels, MetricName, Observation, Retry,
    SampleKind, SampleObservation, Text, Timestamp,
};
use itom_metrics::{NewSample, Samples as _};
use tracing::{error, info, warn};

use super::alerting::Alerting;
use super::event::EngineEvent;
use super::run::Loop;
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
    batches: Vec<Batch>,
    facts: Vec<Fact>,
    /// How often the store has refused them, and since when.
    refused: Option<(u32, Timestamp)>,
}

impl Writing {
    pub(super) fn deadline(&self) -> Option<Deadline> {
        match self {
            Self::Refused { retry_at, .. } => Some(Deadline::new(*retry_at, "the store is tried again")),
            Self::Idle | Self::Appending(_) => None,
        }
    }

    pub(super) fn refuses(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Appending(load) => load.refused.is_some(),
            Self::Idle => false,
        }
    }

    /// What could not be stored when the engine ends.
    pub(super) fn give_up(&mut self) -> Option<(usize, StoreError)> {
        match std::mem::replace(self, Self::Idle) {
            Self::Refused { load, error, .. } => Some((load.facts.len(), error)),
            Self::Idle | Self::Appending(_) => None,
        }
    }
}

impl Loop {
    /// Starts the next append, if there is something to store and the store may be asked.
    pub(super) fn write(&mut self, now: Timestamp) {
        match &self.writing {
            Writing::Appending(_) => return self.shed(now),
            Writing::Refused { retry_at, .. } if now < *retry_at => return self.shed(now),
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
        let batches: Vec<Batch> = self.pending.drain(..).collect();
        let mut facts = Vec::new();
        for batch in &batches {
            facts.extend(self.cmdb.plan(batch, now));
        }
        self.append(Load { batches, facts, refused: None });
    }

    fn append(&mut self, load: Load) {
        let (store, facts) = (Arc::clone(&self.parts.store), load.facts.clone());
        self.waits.appending = Some(Box::pin(async move { store.append(&facts).await }));
        self.writing = Writing::Appending(load);
    }

    /// While the store refuses, what does not fit the queue gives up its facts: the next run says them again. Its
    /// samples are kept, so that metrics and alerts go on.
    fn shed(&mut self, now: Timestamp) {
        if !self.writing.refuses() {
            return;
        }
        while self.pending.len() > self.parts.limits.batches {
            let Some(batch) = self.pending.pop_front() else { return };
            let lost = batch.items().iter().filter(|item| !matches!(item, Observation::Sample(_))).count();
            self.shared.count_dropped(Text::literal("facts"), lost as u64);
            self.append_samples(now, &batch);
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

    fn refused(&mut self, now: Timestamp, load: Load, refusal: StoreError) {
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
        }
        self.shared.store(StoreStatus::Refusing { since, kind: refusal.kind(), error: text });
        self.writing = Writing::Refused { load, attempt, since, retry_at: now + wait, error: refusal };
    }

    /// Takes in what the store has acknowledged.
    fn believe(&mut self, now: Timestamp, load: Load) {
        self.shared.count_facts(load.facts.len() as u64);
        let applied = self.cmdb.ingest(load.facts);
        self.relate(&applied);
        let changes: Arc<[_]> = applied.changes.into();
        self.publish();
        let last = load.batches.len().saturating_sub(1);
        for (index, batch) in load.batches.iter().enumerate() {
            self.shared.count_round();
            self.append_samples(now, batch);
            // Changes of batches that were stored together are told with the last of them.
            let changes = if index == last { Arc::clone(&changes) } else { Arc::from([]) };
            self.shared.events.send(&EngineEvent::Ingested {
                at: now,
                source: batch.source().clone(),
                observations: batch.items().len(),
                changes,
            });
        }
    }

    /// Lets what has not been seen for its lease go.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let applied = self.cmdb.expire(now);
        self.relate(&applied);
        self.publish();
    }

    fn relate(&mut self, applied: &Applied) {
        match apply_to_graph(&mut self.graph, applied) {
            Ok(true) => {}
            Ok(false) => self.graph = graph(&self.cmdb),
            Err(error) => {
                warn!(error = %ErrorChain(&error), "the graph refused a step; it is built anew");
                self.graph = graph(&self.cmdb);
            }
        }
        if !applied.graph.is_empty() {
            self.shown_graph = Arc::new(self.graph.clone());
        }
    }

    /// Shows handles what is known now.
    pub(super) fn publish(&self) {
        self.shared.publish(snapshot(&self.cmdb, &self.shown_graph, &self.alerts));
    }

    /// Stores the samples of a batch under their target's labels and items.
    pub(super) fn append_samples(&mut self, now: Timestamp, batch: &Batch) {
        let view = self.cmdb.view();
        let (job, instance) =
            batch.source().as_str().split_once('@').unwrap_or((batch.source().as_str(), ""));
        let (job, instance) = (Text::from(job), Text::from(instance));
        let samples: Vec<NewSample> = batch
            .items()
            .iter()
            .filter_map(|item| match item {
                Observation::Sample(sample) => Some(sample),
                _ => None,
            })
            .map(|sample| {
                let subject =
                    sample.subject.as_ref().and_then(|subject| view.resolve(batch.source(), subject));
                NewSample {
                    metric: sample.metric.clone(),
                    labels: target_labels(&sample.labels, &job, &instance),
                    kind: sample.kind,
                    subject,
                    at: sample.at.unwrap_or(batch.taken_at()),
                    value: sample.value,
                }
            })
            .collect();
        if samples.is_empty() {
            return;
        }
        let report = self.parts.samples.append(now, &samples);
        self.shared.count_samples(report.stored);
        for (reason, refused) in &report.refused {
            self.shared.count_dropped(Text::from(format!("samples_{}", reason.as_str())), refused.count);
        }
    }
}

/// A sample's labels with those of its target; the sample's own win, as with `honor_labels`.
fn target_labels(own: &Labels, job: &Text, instance: &Text) -> Labels {
    const JOB: LabelName = LabelName::literal("job");
    const INSTANCE: LabelName = LabelName::literal("instance");
    let mut builder = own.to_builder();
    if own.get("job").is_none() {
        builder = builder.set(JOB, job.clone());
    }
    if own.get("instance").is_none() {
        builder = builder.set(INSTANCE, instance.clone());
    }
    builder.build()
}

/// What handles are shown.
pub(super) fn snapshot(cmdb: &Cmdb, graph: &Arc<RelationGraph>, alerts: &Alerting) -> Snapshot {
    Snapshot { view: cmdb.view(), changes: cmdb.feed(), graph: Arc::clone(graph), alerts: alerts.alerts() }
}

/// The engine's own metrics besides the scheduler's.
pub(super) fn self_metrics(engine: &Loop, batch: &mut Batch) {
    const REASON: LabelName = LabelName::literal("reason");
    let status = engine.shared.status();
    let mut sample = |metric: &'static str, kind: SampleKind, value: f64, labels: Labels| {
        let mut sample = SampleObservation::new(MetricName::literal(metric), kind, value);
        sample.labels(labels);
        batch.sample(sample);
    };
    let none = Labels::empty();
    sample("itom_engine_rounds_total", SampleKind::Counter, status.rounds as f64, none.clone());
    sample("itom_engine_facts_total", SampleKind::Counter, status.facts as f64, none.clone());
    sample("itom_engine_samples_total", SampleKind::Counter, status.samples as f64, none.clone());
    sample("itom_engine_queue_length", SampleKind::Gauge, engine.pending.len() as f64, none.clone());
    let refusing = matches!(status.store, StoreStatus::Refusing { .. });
    sample("itom_engine_store_refusing", SampleKind::Gauge, f64::from(u8::from(refusing)), none.clone());
    for (reason, count) in &status.dropped {
        let labels = none.to_builder().set(REASON, reason.clone()).build();
        sample("itom_engine_dropped_total", SampleKind::Counter, *count as f64, labels);
    }
    sample("itom_cmdb_cis", SampleKind::Gauge, engine.graph.ci_count() as f64, none.clone());
    sample("itom_cmdb_relations", SampleKind::Gauge, engine.graph.relation_count() as f64, none);
    for (metric, kind, labels, value) in engine.parts.samples.stats().samples_of_self() {
        let mut sample = SampleObservation::new(metric, kind, value);
        sample.labels(labels);
        batch.sample(sample);
    }
}

/// The graph of everything that is there.
pub(super) fn graph(cmdb: &Cmdb) -> RelationGraph {
    let view = cmdb.view();
    let cis = view.cis().filter(|ci| ci.state().is_active());
    let relations = view.relations().filter(|relation| relation.state.is_active());
    let parts = RelationGraph::from_parts(
        RelationModel::default(),
        cis.map(|ci| (ci.id(), ci.kind().clone(), ci.name().clone())),
        relations.map(|relation| (relation.kind.clone(), relation.from, relation.to)),
    );
    parts.unwrap_or_else(|error| {
        error!(error = %ErrorChain(&error), "the graph cannot be built: questions about impact stay unanswered");
        RelationGraph::new(RelationModel::default())
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

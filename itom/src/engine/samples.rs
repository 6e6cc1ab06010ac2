//! Samples of batches and of the engine itself, into the series store.

use itom_core::{
    Batch, LabelName, Labels, MetricName, Observation, SampleKind, SampleObservation, SourceName, Text,
    Timestamp,
};
use itom_metrics::{NewSample, Samples as _};

use super::run::Loop;
use super::status::StoreStatus;

/// A batch that was taken in, and which of its samples are not in the series store yet.
pub(super) struct Taken {
    pub(super) batch: Batch,
    samples: Vec<usize>,
}

impl Taken {
    pub(super) fn new(batch: Batch) -> Self {
        let is_sample =
            |(index, item): (usize, &Observation)| matches!(item, Observation::Sample(_)).then_some(index);
        let samples = batch.items().iter().enumerate().filter_map(is_sample).collect();
        Self { batch, samples }
    }

    /// How many of its samples still wait.
    pub(super) const fn waiting(&self) -> usize {
        self.samples.len()
    }

    /// How many of its observations are or lead to facts.
    pub(super) fn statements(&self) -> usize {
        let is_statement =
            |item: &&Observation| !matches!(item, Observation::Sample(_) | Observation::Event(_));
        self.batch.items().iter().filter(is_statement).count()
    }
}

/// What becomes of a sample about an item that is not known (yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It waits: the item may become known once its facts are stored. Stored now it would start a series of its own.
    Wait,
    /// It is stored without an item.
    Store,
}

impl Loop {
    /// Stores the samples of a batch that are not stored yet, under their target's labels and items.
    pub(super) fn store_samples(&self, now: Timestamp, taken: &mut Taken, unknown: Unknown) {
        let (batch, view) = (&taken.batch, self.cmdb.view());
        let (job, instance) =
            batch.source().as_str().split_once('@').unwrap_or((batch.source().as_str(), ""));
        let (job, instance) = (Text::from(job), Text::from(instance));
        let (mut ready, mut wait) = (Vec::with_capacity(taken.samples.len()), Vec::new());
        for &index in &taken.samples {
            let Some(Observation::Sample(sample)) = batch.items().get(index) else { continue };
            let subject = sample.subject.as_ref().map(|subject| view.resolve(batch.source(), subject));
            if subject == Some(None) && unknown == Unknown::Wait {
                wait.push(index);
                continue;
            }
            ready.push(NewSample {
                metric: sample.metric.clone(),
                labels: target_labels(&sample.labels, &job, &instance),
                kind: sample.kind,
                subject: subject.flatten(),
                at: sample.at.unwrap_or(batch.taken_at()),
                value: sample.value,
            });
        }
        taken.samples = wait;
        if ready.is_empty() {
            return;
        }
        let report = self.parts.samples.append(now, &ready);
        self.shared.count_samples(report.stored);
        for (reason, refused) in &report.refused {
            self.shared.count_dropped(Text::from(format!("samples_{}", reason.as_str())), refused.count);
        }
    }

    /// Stores what the engine knows about itself: `itom_engine_*`, `itom_cmdb_*`, `itom_collect_*` and those of the
    /// series store.
    pub(super) fn report_on_self(&mut self, now: Timestamp) {
        let Ok(source) = SourceName::new(format!("itom@{}", self.parts.instance)) else { return };
        let mut batch = Batch::new(source, now);
        self.scheduler.stats(now).push_into(&mut batch);
        self.self_metrics(&mut batch);
        self.store_samples(now, &mut Taken::new(batch), Unknown::Store);
        self.parts.samples.maintain(now);
    }

    fn self_metrics(&self, batch: &mut Batch) {
        const REASON: LabelName = LabelName::literal("reason");
        let status = self.shared.status();
        let mut sample = |metric: MetricName, kind: SampleKind, value: f64, labels: Labels| {
            let mut sample = SampleObservation::new(metric, kind, value);
            sample.labels(labels);
            batch.sample(sample);
        };
        let refusing = matches!(status.store, StoreStatus::Refusing { .. });
        let plain = [
            ("itom_engine_rounds_total", SampleKind::Counter, status.rounds as f64),
            ("itom_engine_facts_total", SampleKind::Counter, status.facts as f64),
            ("itom_engine_samples_total", SampleKind::Counter, status.samples as f64),
            ("itom_engine_queue_length", SampleKind::Gauge, self.pending.len() as f64),
            ("itom_engine_store_refusing", SampleKind::Gauge, f64::from(u8::from(refusing))),
            ("itom_cmdb_cis", SampleKind::Gauge, self.graph.ci_count() as f64),
            ("itom_cmdb_relations", SampleKind::Gauge, self.graph.relation_count() as f64),
        ];
        for (metric, kind, value) in plain {
            sample(MetricName::literal(metric), kind, value, Labels::empty());
        }
        for (reason, count) in &status.dropped {
            let labels = Labels::empty().to_builder().set(REASON, reason.clone()).build();
            sample(
                MetricName::literal("itom_engine_dropped_total"),
                SampleKind::Counter,
                *count as f64,
                labels,
            );
        }
        for (metric, kind, labels, value) in self.parts.samples.stats().samples_of_self() {
            sample(metric, kind, value, labels);
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

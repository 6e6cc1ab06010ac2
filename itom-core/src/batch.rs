//! The observations of one run of one source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    CiKind, CiObservation, Coverage, ErrorKind, EventObservation, MetricName, Observation, RelationKind,
    RelationObservation, Retraction, RunId, SampleKind, SampleObservation, Severity, SourceName, Statement,
    Subject, Text, Timestamp,
};

/// Something that could not be read, and why. One line for a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fault {
    /// What could not be read (`/proc/1/fd`, `interface eth0`).
    pub what: Text,
    /// The kind of error.
    pub kind: ErrorKind,
    /// In words, with what to do about it.
    pub message: Text,
    /// How many times it happened in this run.
    pub count: u64,
}

/// How much one batch may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimits {
    /// Most observations kept; further ones are counted and dropped.
    pub items: usize,
    /// Most distinct faults kept; further ones are counted and dropped.
    pub faults: usize,
    /// Most keys of one item; an item with more is dropped as a whole, counted, and named in a fault. Default 10,000.
    pub keys: usize,
}

/// More than any device has addresses, less than what a broken or hostile source can make of one item.
const KEYS: usize = 10_000;

impl BatchLimits {
    /// Limits other than the default.
    #[must_use]
    pub const fn new(items: usize, faults: usize) -> Self {
        Self { items, faults, keys: KEYS }
    }

    /// Another limit of the keys of one item.
    #[must_use]
    pub const fn keys(mut self, most: usize) -> Self {
        self.keys = most;
        self
    }
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self::new(2_000_000, 1_000)
    }
}

/// The observations of one run of one source, with what could not be read and which scopes were read completely.
///
/// A collector pushes into it; what was pushed counts even when the run then fails. Reaching a limit drops what comes
/// after, counts it, and makes every scope partial, since absence then means nothing.
///
/// ```
/// use itom_core::{Batch, Key, SourceName, Timestamp, attr, kind, relation};
/// let mut batch = Batch::new(SourceName::literal("demo"), Timestamp::EPOCH);
/// batch.ci("web", kind::SERVICE).attr(attr::SERVICE_NAME, "web");
/// batch.ci("db", kind::SERVICE).attr(attr::SERVICE_NAME, "db");
/// batch.relation(relation::DEPENDS_ON, "web", "db");
/// assert_eq!(batch.items().len(), 3);
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "BatchWire")]
pub struct Batch {
    source: SourceName,
    run: RunId,
    taken_at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    items: Vec<Observation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
    #[serde(default)]
    coverage: Coverage,
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped: u64,
    #[serde(skip)]
    limits: BatchLimits,
    /// Where the builder methods write when the batch is full.
    #[serde(skip)]
    overflow: Option<Box<Observation>>,
    /// Where each fault stands in `faults`.
    #[serde(skip)]
    known_faults: BTreeMap<(Text, ErrorKind, Text), usize>,
}

/// The limits are no part of what was observed.
impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
            && self.run == other.run
            && self.taken_at == other.taken_at
            && self.items == other.items
            && self.faults == other.faults
            && self.coverage == other.coverage
            && self.dropped == other.dropped
    }
}
impl Eq for Batch {}

#[derive(Deserialize)]
#[serde(rename = "Batch")]
struct BatchWire {
    source: SourceName,
    run: RunId,
    taken_at: Timestamp,
    #[serde(default)]
    items: Vec<Observation>,
    #[serde(default)]
    faults: Vec<Fault>,
    #[serde(default)]
    coverage: Coverage,
    #[serde(default)]
    dropped: u64,
}

/// What is read obeys what holds for what is built: the default limits, each fault once, nothing complete after a drop.
impl From<BatchWire> for Batch {
    fn from(wire: BatchWire) -> Self {
        let mut batch = Self::new(wire.source, wire.taken_at);
        batch.run = wire.run;
        batch.dropped = wire.dropped;
        batch.items = wire.items;
        let beyond = batch.items.len().saturating_sub(batch.limits.items);
        batch.items.truncate(batch.limits.items);
        batch.dropped = batch.dropped.saturating_add(beyond as u64);
        for fault in wire.faults {
            batch.add_fault(fault);
        }
        batch.finish(wire.coverage);
        batch
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Batch {
    /// An empty batch of a run that began at `taken_at`; the run's id follows from both.
    #[must_use]
    pub fn new(source: SourceName, taken_at: Timestamp) -> Self {
        Self::with_limits(source, taken_at, BatchLimits::default())
    }

    /// An empty batch with its own limits.
    #[must_use]
    pub fn with_limits(source: SourceName, taken_at: Timestamp, limits: BatchLimits) -> Self {
        let run = RunId::derive(&[source.as_str(), &taken_at.as_micros().to_string()]);
        Self {
            source,
            run,
            taken_at,
            items: Vec::new(),
            faults: Vec::new(),
            coverage: Coverage::new(),
            dropped: 0,
            limits,
            overflow: None,
            known_faults: BTreeMap::new(),
        }
    }

    /// Which source.
    #[must_use]
    pub const fn source(&self) -> &SourceName {
        &self.source
    }

    /// Which run of it.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// When the run began.
    #[must_use]
    pub const fn taken_at(&self) -> Timestamp {
        self.taken_at
    }

    /// The observations in the order they were pushed.
    #[must_use]
    pub fn items(&self) -> &[Observation] {
        &self.items
    }

    /// What could not be read.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// What was read completely; nothing, when observations were dropped.
    pub const fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// How many observations and faults the limits turned away.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Adds an observation; whether there was room.
    pub fn push(&mut self, observation: Observation) -> bool {
        if self.items.len() >= self.limits.items {
            self.note_drop();
            return false;
        }
        self.items.push(observation);
        true
    }

    fn push_mut(&mut self, observation: Observation) -> &mut Observation {
        if self.items.len() >= self.limits.items {
            self.note_drop();
            return self.overflow.insert(Box::new(observation));
        }
        self.items.push(observation);
        let last = self.items.len() - 1;
        &mut self.items[last]
    }

    /// There is an item that the source calls `subject`; chain `.key(..)` and `.attr(..)`.
    pub fn ci(&mut self, subject: impl Into<Text>, kind: CiKind) -> &mut CiObservation {
        match self.push_mut(Observation::Ci(CiObservation::new(subject, kind))) {
            Observation::Ci(ci) => ci,
            _ => unreachable!("a Ci was pushed just now"),
        }
    }

    /// Two items are related, read `from` → `to`.
    pub fn relation(
        &mut self,
        kind: RelationKind,
        from: impl Into<Subject>,
        to: impl Into<Subject>,
    ) -> &mut RelationObservation {
        match self.push_mut(Observation::Relation(RelationObservation::new(kind, from, to))) {
            Observation::Relation(relation) => relation,
            _ => unreachable!("a Relation was pushed just now"),
        }
    }

    /// A gauge was read.
    pub fn gauge(&mut self, metric: MetricName, value: f64) -> &mut SampleObservation {
        self.sample(SampleObservation::new(metric, SampleKind::Gauge, value))
    }

    /// A counter was read.
    pub fn counter(&mut self, metric: MetricName, value: f64) -> &mut SampleObservation {
        self.sample(SampleObservation::new(metric, SampleKind::Counter, value))
    }

    /// Adds a sample.
    pub fn sample(&mut self, sample: SampleObservation) -> &mut SampleObservation {
        match self.push_mut(Observation::Sample(sample)) {
            Observation::Sample(sample) => sample,
            _ => unreachable!("a Sample was pushed just now"),
        }
    }

    /// Something happened.
    pub fn event(
        &mut self,
        kind: CiKind,
        severity: Severity,
        message: impl Into<Text>,
    ) -> &mut EventObservation {
        match self.push_mut(Observation::Event(EventObservation::new(kind, severity, message))) {
            Observation::Event(event) => event,
            _ => unreachable!("an Event was pushed just now"),
        }
    }

    /// Two subjects are the same thing.
    pub fn same_as(&mut self, a: impl Into<Subject>, b: impl Into<Subject>, reason: impl Into<Text>) {
        self.push(Observation::SameAs(Statement::new(a, b, reason)));
    }

    /// Two subjects are not the same thing.
    pub fn not_same(&mut self, a: impl Into<Subject>, b: impl Into<Subject>, reason: impl Into<Text>) {
        self.push(Observation::NotSame(Statement::new(a, b, reason)));
    }

    /// Takes back what this source said earlier.
    pub fn retract(&mut self, retraction: Retraction) {
        self.push(Observation::Retract(retraction));
    }

    /// Something could not be read. Equal faults of one run are one line with a count.
    pub fn fault(&mut self, what: impl Into<Text>, kind: ErrorKind, message: impl Into<Text>) {
        self.add_fault(Fault { what: what.into(), kind, message: message.into(), count: 1 });
    }

    fn add_fault(&mut self, fault: Fault) {
        let identity = (fault.what.clone(), fault.kind, fault.message.clone());
        if let Some(known) = self.known_faults.get(&identity).and_then(|index| self.faults.get_mut(*index)) {
            known.count = known.count.saturating_add(fault.count);
        } else if self.faults.len() < self.limits.faults {
            self.known_faults.insert(identity, self.faults.len());
            self.faults.push(fault);
        } else {
            self.note_drop();
        }
    }

    fn note_drop(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
        if !self.coverage.complete_scopes().is_empty() {
            // The run was said to be finished and went on.
            let coverage = std::mem::take(&mut self.coverage);
            self.finish(coverage);
        }
    }

    /// Turns items away that have more keys than any thing has.
    fn drop_oversized(&mut self) {
        let most = self.limits.keys;
        let fits = |item: &Observation| !matches!(item, Observation::Ci(ci) if ci.keys.len() > most);
        if self.items.iter().all(fits) {
            return;
        }
        let (kept, oversized): (Vec<_>, Vec<_>) = std::mem::take(&mut self.items).into_iter().partition(fits);
        self.items = kept;
        for item in oversized {
            let Observation::Ci(ci) = item else { continue };
            self.dropped = self.dropped.saturating_add(1);
            let count = ci.keys.len();
            let message = format!(
                "it has {count} keys, at most {most} are taken; look at what its source sends, or raise the limit"
            );
            self.add_fault(Fault {
                what: Text::from(format!("item `{}`", ci.subject)),
                kind: ErrorKind::Exhausted,
                message: message.into(),
                count: 1,
            });
        }
    }

    /// Ends the run: says what was covered. When observations were dropped nothing is complete.
    pub fn finish(&mut self, coverage: Coverage) {
        self.overflow = None;
        self.drop_oversized();
        if self.dropped == 0 {
            self.coverage.merge(coverage);
            return;
        }
        let mut limited = Coverage::new();
        let reason =
            "observations or faults were beyond the limits of the batch and were dropped; raise its limits";
        let before = std::mem::take(&mut self.coverage);
        let coverage = {
            let mut all = before;
            all.merge(coverage);
            all
        };
        for scope in coverage.complete_scopes() {
            limited.add_partial(scope.clone(), ErrorKind::Exhausted, Text::literal(reason));
        }
        for part in coverage.partial_scopes() {
            limited.add_partial(part.scope.clone(), part.kind, part.reason.clone());
        }
        self.coverage = limited;
    }
}

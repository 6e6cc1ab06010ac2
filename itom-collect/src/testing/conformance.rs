//! What every collector must keep to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::executor::block_on;
use itom_core::{
    AttrName, Batch, CiKind, Classify as _, Clock, Coverage, ErrorChain, ErrorKind, Key, LabelName, Labels,
    MetricName, Observation, RelationKind, Subject, SystemClock, Text, Timestamp,
};

use crate::{Cancel, CollectContext, CollectError, Collector, Descriptor};

/// What a collector does that it must not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
#[non_exhaustive]
pub struct ContractBroken {
    /// The rule, in a few words that do not change.
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
}

fn broken(rule: &'static str, detail: impl Into<String>) -> ContractBroken {
    ContractBroken { rule, detail: detail.into() }
}

/// Checks a collector against the contract of [`Collector`]; `make` gives a fresh one that reads the same source.
///
/// ```
/// use itom_collect::testing::check_collector;
/// use itom_collect::{Descriptor, collector_fn};
/// use itom_core::{Coverage, Scope, kind};
///
/// check_collector(|| {
///     collector_fn(Descriptor::new("racks").emits(kind::HOST), |cx, batch| {
///         Box::pin(async move {
///             cx.checkpoint().await?;
///             batch.ci("web-1", kind::HOST);
///             Ok(Coverage::new().complete(Scope::cis(kind::HOST)))
///         })
///     })
/// })?;
/// # Ok::<(), itom_collect::testing::ContractBroken>(())
/// ```
///
/// # Errors
/// [`ContractBroken`] names the first rule that does not hold. See [`CollectorCheck`] for the rules.
pub fn check_collector<C: Collector>(make: impl Fn() -> C) -> Result<(), ContractBroken> {
    CollectorCheck::new().run(make)
}

/// [`check_collector`] with settings.
///
/// The rules:
/// * the descriptor has a usable name and times, and is the same each time;
/// * a run says something: an observation, a complete scope, a fault or an error; never an error of kind
///   [`Bug`](ErrorKind::Bug), and it ends;
/// * observations are well-formed: no native id twice, no series twice, each end of a relation is an item of the batch
///   or a key, names and keys are valid, kinds are those of the descriptor (if it names any), faults have words;
/// * the coverage is returned, not written into the batch;
/// * ids are stable: what two runs read completely has the same native ids (at least half of them, since real sources
///   change; all of them and their keys when the source is [still](Self::still));
/// * a run dropped at any await leaves nothing that keeps the next from going as the first did;
/// * a run that was cancelled, or whose deadline has passed, before it began ends with that error, or is short.
#[derive(Debug, Clone)]
pub struct CollectorCheck {
    clock: Arc<dyn Clock>,
    drops: usize,
    patience: Duration,
    still: bool,
}

/// A run that pushes no more than this need not look whether it should stop.
const SHORT: usize = 1_000;

impl CollectorCheck {
    /// The usual settings: the system's clock, dropped at the first 64 awaits, 30 seconds for each run.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            drops: 64,
            patience: Duration::from_secs(30),
            still: false,
        }
    }

    /// Sets up to which await runs are dropped.
    #[must_use]
    pub fn drops(self, awaits: usize) -> Self {
        Self { drops: awaits, ..self }
    }

    /// Sets how long one run may take.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Says that the source does not change: native ids, kinds and keys must then be exactly equal in each run.
    #[must_use]
    pub fn still(self) -> Self {
        Self { still: true, ..self }
    }

    /// Checks.
    ///
    /// # Errors
    /// [`ContractBroken`] names the first rule that does not hold.
    pub fn run<C: Collector>(&self, make: impl Fn() -> C) -> Result<(), ContractBroken> {
        let collector = make();
        let descriptor = check_descriptor(&collector, &make())?;

        let first = self.one_run(&collector, "a run ends")?;
        check_says_something(&first)?;
        check_observations(&first.batch, &descriptor)?;
        let second = self.one_run(&collector, "a run ends")?;
        check_same_end("a second run goes as the first", &first, &second)?;
        self.check_stable(&first, &second)?;

        for awaits in 0..self.drops {
            let collector = make();
            let cx = self.context(Cancel::new());
            let mut batch = self.batch(&descriptor);
            if self.drive(&collector, &cx, &mut batch, Some(awaits)).is_some() {
                // It was done before: there are no more awaits to drop it at.
                break;
            }
            let again = self.one_run(&collector, "a run after a dropped one ends")?;
            check_same_end("a dropped run does not keep the next from going well", &first, &again)?;
            self.check_stable(&first, &again)?;
        }

        let cancel = Cancel::new();
        cancel.cancel();
        self.check_stops(&make(), &self.context(cancel), ErrorKind::Cancelled, "a cancelled run stops")?;
        let late = CollectContext::new(
            Arc::clone(&self.clock),
            self.clock.now() - Duration::from_secs(1),
            Cancel::new(),
        );
        self.check_stops(&make(), &late, ErrorKind::Timeout, "a run past its deadline stops")
    }

    fn context(&self, cancel: Cancel) -> CollectContext {
        // Twice the patience: it is the check that gives up on a run that hangs, and says so.
        CollectContext::new(Arc::clone(&self.clock), self.clock.now() + 2 * self.patience, cancel)
    }

    fn batch(&self, descriptor: &Descriptor) -> Batch {
        let source = descriptor.source_name().unwrap_or(itom_core::SourceName::literal("invalid"));
        Batch::new(source, self.clock.now())
    }

    /// Drives a run to its end, or to the given await or the end of patience, where it is dropped: then `None`.
    fn drive(
        &self,
        collector: &impl Collector,
        cx: &CollectContext,
        batch: &mut Batch,
        drop_at: Option<usize>,
    ) -> Option<Result<Coverage, CollectError>> {
        let patience = SystemClock::new();
        let mut over = patience.sleep_until(patience.now() + self.patience).fuse();
        let mut run = collector.collect(cx, batch);
        let mut awaits = 0;
        block_on(std::future::poll_fn(move |task| {
            if drop_at == Some(awaits) {
                return Poll::Ready(None);
            }
            if let Poll::Ready(result) = run.as_mut().poll(task) {
                return Poll::Ready(Some(result));
            }
            awaits += 1;
            if drop_at == Some(awaits) || over.poll_unpin(task).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        }))
    }

    fn one_run(&self, collector: &impl Collector, rule: &'static str) -> Result<Ran, ContractBroken> {
        let mut batch = self.batch(&collector.descriptor());
        let cx = self.context(Cancel::new());
        let Some(result) = self.drive(collector, &cx, &mut batch, None) else {
            return Err(broken(rule, format!("it still runs after {:?}", self.patience)));
        };
        if batch.coverage() != &Coverage::new() {
            return Err(broken("the coverage is returned", "the run finished its batch itself"));
        }
        let end = match result {
            Ok(coverage) => {
                batch.finish(coverage);
                None
            }
            Err(error) => {
                batch.finish(Coverage::new());
                Some((error.kind(), ErrorChain(&error).to_string()))
            }
        };
        Ok(Ran { batch, end })
    }

    fn check_stops(
        &self,
        collector: &impl Collector,
        cx: &CollectContext,
        kind: ErrorKind,
        rule: &'static str,
    ) -> Result<(), ContractBroken> {
        let mut batch = self.batch(&collector.descriptor());
        match self.drive(collector, cx, &mut batch, None) {
            None => Err(broken(rule, format!("it still runs after {:?}", self.patience))),
            Some(Ok(_)) if batch.items().len() <= SHORT => Ok(()),
            Some(Ok(_)) => Err(broken(rule, format!("it pushed {} observations", batch.items().len()))),
            // A source that does not exist here may be found out first.
            Some(Err(error)) if error.kind() == kind || error.kind() == ErrorKind::Unsupported => Ok(()),
            Some(Err(error)) => Err(broken(rule, format!("it failed otherwise: {}", ErrorChain(&error)))),
        }
    }

    fn check_stable(&self, first: &Ran, second: &Ran) -> Result<(), ContractBroken> {
        let rule = "native ids are stable";
        let (before, after) = (complete_items(first), complete_items(second));
        if self.still {
            for (id, item) in &before {
                if after.get(id) != Some(item) {
                    return Err(broken(
                        rule,
                        format!("`{id}` was {item:?}, then {:?}, and the source is still", after.get(id)),
                    ));
                }
            }
            if let Some(id) = after.keys().find(|id| !before.contains_key(*id)) {
                return Err(broken(rule, format!("`{id}` is new, and the source is still")));
            }
        }
        let shared = before.keys().filter(|id| after.contains_key(*id)).count();
        let fewer = before.len().min(after.len());
        if 2 * shared < fewer {
            return Err(broken(rule, format!("two runs share {shared} of {fewer} native ids")));
        }
        Ok(())
    }
}

impl Default for CollectorCheck {
    fn default() -> Self {
        Self::new()
    }
}

struct Ran {
    batch: Batch,
    end: Option<(ErrorKind, String)>,
}

fn check_descriptor(one: &impl Collector, other: &impl Collector) -> Result<Descriptor, ContractBroken> {
    let rule = "the descriptor is usable";
    let descriptor = one.descriptor();
    if let Err(error) = descriptor.source_name() {
        return Err(broken(rule, error.to_string()));
    }
    if descriptor.every.is_zero() || descriptor.timeout.is_zero() {
        return Err(broken(rule, "interval or timeout is zero"));
    }
    if descriptor != one.descriptor() || descriptor != other.descriptor() {
        return Err(broken("the descriptor is the same each time", format!("{descriptor:?}")));
    }
    Ok(descriptor)
}

fn check_says_something(ran: &Ran) -> Result<(), ContractBroken> {
    match &ran.end {
        Some((ErrorKind::Bug, text)) => Err(broken("a run has no defect", text)),
        Some(_) => Ok(()),
        None => {
            let batch = &ran.batch;
            let silent = batch.items().is_empty()
                && batch.faults().is_empty()
                && batch.coverage().complete_scopes().is_empty()
                && batch.coverage().partial_scopes().is_empty();
            if silent {
                Err(broken("a run says something", "no observation, scope or fault"))
            } else {
                Ok(())
            }
        }
    }
}

fn check_same_end(rule: &'static str, first: &Ran, second: &Ran) -> Result<(), ContractBroken> {
    let kind = |ran: &Ran| ran.end.as_ref().map(|(kind, _)| *kind);
    if kind(first) == kind(second) {
        return Ok(());
    }
    let text = |ran: &Ran| ran.end.as_ref().map_or("well".to_owned(), |(_, text)| format!("with `{text}`"));
    Err(broken(rule, format!("one ended {}, the other {}", text(first), text(second))))
}

/// What was read completely: native id → kind and keys.
fn complete_items(ran: &Ran) -> BTreeMap<&Text, (&CiKind, &BTreeSet<Key>)> {
    let coverage = ran.batch.coverage();
    ran.batch
        .items()
        .iter()
        .filter_map(|item| match item {
            Observation::Ci(ci) if coverage.covers_ci(&ci.kind, ci.partition.as_deref()) => {
                Some((&ci.subject, (&ci.kind, &ci.keys)))
            }
            _ => None,
        })
        .collect()
}

fn check_observations(batch: &Batch, descriptor: &Descriptor) -> Result<(), ContractBroken> {
    let mut ids = BTreeSet::new();
    let mut series: BTreeSet<(&MetricName, &Labels, Option<Timestamp>)> = BTreeSet::new();
    for item in batch.items() {
        match item {
            Observation::Ci(ci) => {
                if !ids.insert(&ci.subject) {
                    return Err(broken("a native id stands for one item", format!("`{}` twice", ci.subject)));
                }
                name(CiKind::new(ci.kind.text().clone()))?;
                let kinds = &descriptor.kinds;
                if !kinds.is_empty() && !kinds.iter().any(|kind| ci.kind.is_a(kind)) {
                    let detail = format!("`{}` is a {}, not one of {kinds:?}", ci.subject, ci.kind);
                    return Err(broken("kinds are those of the descriptor", detail));
                }
                ci.keys.iter().try_for_each(check_key)?;
                ci.attributes.keys().try_for_each(|own| name(AttrName::new(own.text().clone())))?;
            }
            Observation::Relation(relation) => {
                name(RelationKind::new(relation.kind.text().clone()))?;
                relation.attributes.keys().try_for_each(|own| name(AttrName::new(own.text().clone())))?;
            }
            Observation::Sample(sample) => {
                name(MetricName::new(sample.metric.text().clone()))?;
                sample.labels.iter().try_for_each(|(own, _)| name(LabelName::new(own.text().clone())))?;
                if !series.insert((&sample.metric, &sample.labels, sample.at)) {
                    let detail = format!("{}{} twice", sample.metric, sample.labels);
                    return Err(broken("a series has one value at a time", detail));
                }
            }
            Observation::Event(event) if event.message.trim().is_empty() => {
                return Err(broken("events have words", event.kind.to_string()));
            }
            _ => {}
        }
    }
    for item in batch.items() {
        let ends = match item {
            Observation::Relation(relation) => [Some(&relation.from), Some(&relation.to)],
            Observation::Sample(sample) => [sample.subject.as_ref(), None],
            Observation::Event(event) => [event.subject.as_ref(), None],
            Observation::SameAs(statement) | Observation::NotSame(statement) => {
                [Some(&statement.a), Some(&statement.b)]
            }
            _ => [None, None],
        };
        for end in ends.into_iter().flatten() {
            match end {
                Subject::Native(id) if !ids.contains(id) => {
                    let detail =
                        format!("`{id}` is no item of the batch; use a key for what others describe");
                    return Err(broken("what is spoken of exists", detail));
                }
                Subject::Native(_) => {}
                Subject::Key(key) => check_key(key)?,
            }
        }
    }
    for fault in batch.faults() {
        if fault.what.trim().is_empty() || fault.message.trim().is_empty() {
            return Err(broken("faults have words", format!("{fault:?}")));
        }
    }
    Ok(())
}

fn name<T>(checked: Result<T, itom_core::NameError>) -> Result<(), ContractBroken> {
    checked.map(drop).map_err(|error| broken("names are valid", error.to_string()))
}

fn check_key(key: &Key) -> Result<(), ContractBroken> {
    let rule = "keys are canonical";
    // Constructors that cannot fail mark what is not a value of their kind.
    if key.value().starts_with("invalid:") {
        return Err(broken(rule, format!("{key}")));
    }
    match Key::new(key.kind().clone(), key.realm().clone(), key.value(), key.strength()) {
        Ok(again) if again == *key => Ok(()),
        Ok(again) => Err(broken(rule, format!("{key} should be {again}"))),
        Err(error) => Err(broken(rule, error.to_string())),
    }
}

#[cfg(test)]
mod tests;

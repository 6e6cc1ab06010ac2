//! A naive reference: everything derived from the whole list of runs, with nested loops and no index.

use std::collections::{BTreeMap, BTreeSet};

use itom_cmdb::identity::Object;
use itom_core::{
    Batch, CiKind, CiObservation, Coverage, Observation, Retraction, SourceName, Timestamp, kind,
};

use crate::estate::Run;
use crate::parts::parts;

pub(crate) struct Model {
    pub(crate) parts: BTreeSet<BTreeSet<Object>>,
    pub(crate) live: BTreeSet<Object>,
}

#[derive(Clone)]
struct Seen {
    ci: CiObservation,
    first: Timestamp,
    last: Timestamp,
    entered: Timestamp,
    proposed: Option<Timestamp>,
    gone: bool,
}

fn lease(kind: &CiKind) -> Option<i64> {
    let lasting = kind.is_a(&kind::HOST) || kind.is_a(&kind::DEVICE);
    (!lasting).then_some(86_400 * 1_000_000)
}

impl Seen {
    fn is_gone(&self, now: Timestamp) -> bool {
        self.gone || lease(&self.ci.kind).is_some_and(|span| self.last.as_micros() + span <= now.as_micros())
    }
}

fn by_time(runs: &[Run], source: &SourceName) -> BTreeMap<Timestamp, Vec<Batch>> {
    let mut times: BTreeMap<Timestamp, Vec<Batch>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.source() == *source) {
        times.entry(run.at()).or_default().push(run.batch());
    }
    times
}

/// The address of a statement decides between two of one run; only its order matters here.
fn address(source: &SourceName, ci: &CiObservation) -> itom_cmdb::fact::FactId {
    use itom_cmdb::fact::{Fact, FactBody};
    let run = itom_core::RunId::derive(&[]);
    Fact::new(source.clone(), run, Timestamp::EPOCH, Timestamp::EPOCH, FactBody::Ci(ci.clone())).id()
}

fn presence(runs: &[Run], source: &SourceName) -> BTreeMap<String, Seen> {
    let mut items: BTreeMap<String, Seen> = BTreeMap::new();
    for (at, batches) in by_time(runs, source) {
        let mut coverage = Coverage::new();
        let mut described: BTreeMap<String, CiObservation> = BTreeMap::new();
        let mut retracted = BTreeSet::new();
        for batch in &batches {
            coverage.merge(batch.coverage().clone());
            for item in batch.items() {
                match item {
                    Observation::Ci(ci) => {
                        let slot = described.entry(ci.subject.to_string()).or_insert_with(|| ci.clone());
                        if address(source, ci) > address(source, slot) {
                            *slot = ci.clone();
                        }
                    }
                    Observation::Retract(Retraction::Ci(native)) => {
                        retracted.insert(native.to_string());
                    }
                    _ => {}
                }
            }
        }
        for (native, ci) in &described {
            let fresh =
                Seen { ci: ci.clone(), first: at, last: at, entered: at, proposed: None, gone: false };
            let item = items.entry(native.clone()).or_insert(fresh);
            item.ci = ci.clone();
            if item.is_gone(at) {
                item.entered = at;
                item.gone = false;
            }
            item.last = at;
            item.proposed = None;
        }
        for native in &retracted {
            if let Some(item) = items.get_mut(native) {
                item.gone = true;
            }
        }
        let mut verdicts: BTreeMap<String, Vec<bool>> = BTreeMap::new();
        for scope in coverage.complete_scopes() {
            let covered: Vec<String> = items
                .iter()
                .filter(|(_, item)| {
                    let partition = item.ci.partition.as_deref();
                    let lapsed = item.last < at && item.is_gone(at);
                    item.entered < at
                        && !item.gone
                        && !lapsed
                        && scope.covers_ci(&item.ci.kind, partition)
                        && coverage.covers_ci(&item.ci.kind, partition)
                })
                .map(|(native, _)| native.clone())
                .collect();
            let missing: Vec<&String> = covered.iter().filter(|native| items[*native].last < at).collect();
            let held = covered.len() >= 3 && missing.len() * 100 > covered.len() * 50;
            for native in missing {
                verdicts.entry(native.clone()).or_default().push(held);
            }
        }
        for (native, held) in verdicts {
            let Some(item) = items.get_mut(&native) else { continue };
            if held.iter().all(|held| *held) && item.proposed.is_none() {
                item.proposed = Some(at);
            } else {
                item.gone = true;
                item.proposed = None;
            }
        }
    }
    items
}

/// Whether anything at all could justify letting an object go: looser than the model on purpose.
pub(crate) fn may_be_gone(runs: &[Run], object: &Object, now: Timestamp) -> bool {
    let mine = || runs.iter().filter(|run| run.source() == object.source);
    let says = |run: &Run| {
        run.batch()
            .items()
            .iter()
            .any(|item| matches!(item, Observation::Ci(ci) if ci.subject == object.native))
    };
    let Some(last) = mine().filter(|run| says(run)).map(Run::at).max() else { return false };
    let retracted = mine().filter(|run| run.at() >= last).any(|run| {
        run.batch().items().iter().any(
            |item| matches!(item, Observation::Retract(Retraction::Ci(native)) if *native == object.native),
        )
    });
    let absent = mine().any(|run| run.at() > last && !run.coverage().complete_scopes().is_empty());
    let lapsed = last.as_micros() + 86_400 * 1_000_000 <= now.as_micros();
    retracted || absent || lapsed
}

pub(crate) struct Thing {
    pub(crate) object: Object,
    pub(crate) ci: CiObservation,
    pub(crate) live: bool,
    pub(crate) first: Timestamp,
}

pub(crate) fn derive(runs: &[Run], now: Timestamp) -> Model {
    let sources: BTreeSet<SourceName> = runs.iter().map(Run::source).collect();
    let mut things = Vec::new();
    for source in &sources {
        for (native, seen) in presence(runs, source) {
            let live = !seen.is_gone(now);
            things.push(Thing {
                object: Object::new(source.clone(), native),
                ci: seen.ci,
                live,
                first: seen.first,
            });
        }
    }
    things.sort_by(|a, b| a.object.cmp(&b.object));
    let live = things.iter().filter(|thing| thing.live).map(|thing| thing.object.clone()).collect();
    Model { parts: parts(&things, runs), live }
}

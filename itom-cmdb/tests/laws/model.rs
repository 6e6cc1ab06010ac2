//! A naive reference: everything derived from the whole list of runs, with nested loops and no index.

use std::collections::{BTreeMap, BTreeSet};

use itom_cmdb::fact::{Fact, FactBody, FactId};
use itom_cmdb::identity::{IdentityRules, Object};
use itom_core::{
    Batch, CiObservation, Coverage, Key, Observation, RelationKind, Retraction, RunId, Scope, SourceName,
    Subject, Text, Timestamp, key_kind, kind, relation,
};

use crate::estate::Run;
use crate::parts::parts;

pub(crate) struct Model {
    pub(crate) parts: BTreeSet<BTreeSet<Object>>,
    pub(crate) live: BTreeSet<Object>,
}

/// What a source calls what it speaks of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Item(Text),
    Relation(RelationKind, Subject, Subject),
}

#[derive(Clone)]
struct Seen {
    what: Observation,
    first: Timestamp,
    last: Timestamp,
    entered: Timestamp,
    proposed: Option<Timestamp>,
    gone: Option<Timestamp>,
}

impl Seen {
    fn ci(&self) -> Option<&CiObservation> {
        match &self.what {
            Observation::Ci(ci) => Some(ci),
            _ => None,
        }
    }

    /// When its lease ends or ended.
    fn lease_end(&self) -> Option<Timestamp> {
        let lasting = self.ci().is_some_and(|ci| ci.kind.is_a(&kind::HOST) || ci.kind.is_a(&kind::DEVICE));
        (!lasting).then(|| Timestamp::from_micros(self.last.as_micros() + 86_400 * 1_000_000))
    }

    fn left(&self, now: Timestamp) -> Option<Timestamp> {
        self.gone.or_else(|| self.lease_end().filter(|end| *end <= now))
    }

    fn is_gone(&self, now: Timestamp) -> bool {
        self.left(now).is_some()
    }

    fn covered_by(&self, scope: &Scope) -> bool {
        match &self.what {
            Observation::Ci(ci) => scope.covers_ci(&ci.kind, ci.partition.as_deref()),
            Observation::Relation(own) => scope.covers_relation(&own.kind, own.partition.as_deref()),
            _ => false,
        }
    }

    /// Whether it counts as (being joined to) a part of something.
    fn counts_for(&self, whole: &Self, now: Timestamp) -> bool {
        match (self.gone, self.left(now)) {
            (_, None) => true,
            (Some(gone), _) => whole.left(now).is_some_and(|left| left <= gone),
            (None, Some(end)) => whole.last < end,
        }
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
fn address(source: &SourceName, what: &Observation) -> Option<FactId> {
    let body = match what {
        Observation::Ci(ci) => FactBody::Ci(ci.clone()),
        Observation::Relation(own) => FactBody::Relation(own.clone()),
        _ => return None,
    };
    let run = RunId::derive(&[]);
    Some(Fact::new(source.clone(), run, Timestamp::EPOCH, Timestamp::EPOCH, body).id())
}

fn presence(runs: &[Run], source: &SourceName) -> BTreeMap<Name, Seen> {
    let mut items: BTreeMap<Name, Seen> = BTreeMap::new();
    for (at, batches) in by_time(runs, source) {
        let mut coverage = Coverage::new();
        let mut described: BTreeMap<Name, Observation> = BTreeMap::new();
        let mut retracted = BTreeSet::new();
        for batch in &batches {
            coverage.merge(batch.coverage().clone());
            for item in batch.items() {
                let name = match item {
                    Observation::Ci(ci) => Name::Item(ci.subject.clone()),
                    Observation::Relation(own) => {
                        Name::Relation(own.kind.clone(), own.from.clone(), own.to.clone())
                    }
                    Observation::Retract(Retraction::Ci(native)) => {
                        retracted.insert(Name::Item(native.clone()));
                        continue;
                    }
                    Observation::Retract(Retraction::Relation { kind, from, to }) => {
                        retracted.insert(Name::Relation(kind.clone(), from.clone(), to.clone()));
                        continue;
                    }
                    _ => continue,
                };
                let slot = described.entry(name).or_insert_with(|| item.clone());
                if address(source, item) > address(source, slot) {
                    *slot = item.clone();
                }
            }
        }
        for (name, what) in &described {
            let fresh =
                Seen { what: what.clone(), first: at, last: at, entered: at, proposed: None, gone: None };
            let item = items.entry(name.clone()).or_insert(fresh);
            item.what = what.clone();
            if item.is_gone(at) {
                item.entered = at;
                item.gone = None;
            }
            item.last = at;
            item.proposed = None;
        }
        for name in &retracted {
            if let Some(item) = items.get_mut(name) {
                item.gone.get_or_insert(at);
            }
        }
        let mut verdicts: BTreeMap<Name, Vec<bool>> = BTreeMap::new();
        for scope in coverage.complete_scopes() {
            let blocked =
                |item: &Seen| coverage.partial_scopes().iter().any(|partial| item.covered_by(&partial.scope));
            let covered: Vec<Name> = items
                .iter()
                .filter(|(_, item)| {
                    let lapsed = item.last < at && item.is_gone(at);
                    item.entered < at
                        && item.gone.is_none()
                        && !lapsed
                        && item.covered_by(scope)
                        && !blocked(item)
                })
                .map(|(name, _)| name.clone())
                .collect();
            let missing: Vec<&Name> = covered.iter().filter(|name| items[*name].last < at).collect();
            let held = covered.len() >= 3 && missing.len() * 100 > covered.len() * 50;
            for name in missing {
                verdicts.entry(name.clone()).or_default().push(held);
            }
        }
        for (name, held) in verdicts {
            let Some(item) = items.get_mut(&name) else { continue };
            if held.iter().all(|held| *held) && item.proposed.is_none() {
                item.proposed = Some(at);
            } else {
                item.gone = Some(item.proposed.take().unwrap_or(at));
            }
        }
    }
    items
}

/// The addresses of the interfaces that a source says a machine contains.
fn inherited(
    items: &BTreeMap<Name, Seen>,
    native: &Text,
    whole: &Seen,
    now: Timestamp,
) -> Vec<(CiObservation, Key)> {
    let mut keys = Vec::new();
    for (name, joined) in items {
        let Name::Relation(kind, Subject::Native(from), Subject::Native(to)) = name else { continue };
        let Some(part) = items.get(&Name::Item(to.clone())) else { continue };
        let Some(ci) = part.ci().filter(|ci| ci.kind.is_a(&kind::NETWORK_INTERFACE)) else { continue };
        let here = joined.counts_for(whole, now) && part.counts_for(whole, now);
        if *kind == relation::CONTAINS && from == native && here {
            let macs = ci.keys.iter().filter(|key| *key.kind() == key_kind::MAC);
            keys.extend(macs.map(|key| (ci.clone(), key.clone())));
        }
    }
    keys
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
    /// Keys of its parts, with the parts.
    pub(crate) inherited: Vec<(CiObservation, Key)>,
    pub(crate) live: bool,
    pub(crate) first: Timestamp,
}

pub(crate) fn derive(runs: &[Run], now: Timestamp, rules: &IdentityRules) -> Model {
    let sources: BTreeSet<SourceName> = runs.iter().map(Run::source).collect();
    let mut things = Vec::new();
    for source in &sources {
        let items = presence(runs, source);
        for (name, seen) in &items {
            let (Name::Item(native), Some(ci)) = (name, seen.ci()) else { continue };
            let inherits = ci.kind.is_a(&kind::HOST) || ci.kind.is_a(&kind::DEVICE);
            things.push(Thing {
                object: Object::new(source.clone(), native.clone()),
                ci: ci.clone(),
                inherited: if inherits { inherited(&items, native, seen, now) } else { Vec::new() },
                live: !seen.is_gone(now),
                first: seen.first,
            });
        }
    }
    things.sort_by(|a, b| a.object.cmp(&b.object));
    let live = things.iter().filter(|thing| thing.live).map(|thing| thing.object.clone()).collect();
    Model { parts: parts(&things, runs, rules), live }
}

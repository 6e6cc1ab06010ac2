//! A naive reference: everything derived from the whole list of runs, with nested loops and no index.

use std::collections::{BTreeMap, BTreeSet};

use itom_cmdb::CmdbConfig;
use itom_cmdb::identity::{Ident, Object};
use itom_core::{
    Batch, CiKind, CiObservation, Coverage, Key, Observation, Retraction, SourceName, Strength, Subject,
    Timestamp, key_kind, kind,
};

use crate::estate::Run;

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

struct Thing {
    object: Object,
    ci: CiObservation,
    live: bool,
    first: Timestamp,
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

fn parts(things: &[Thing], runs: &[Run]) -> BTreeSet<BTreeSet<Object>> {
    let rules = CmdbConfig::default().identity().clone();
    let hot = |ident: &Ident| {
        let sources: BTreeSet<&SourceName> = things.iter().map(|thing| &thing.object.source).collect();
        sources.iter().any(|source| {
            let claims = |thing: &&Thing| thing.ci.keys.iter().any(|key| Ident::from(key) == *ident);
            things.iter().filter(|thing| thing.live && thing.object.source == **source).filter(claims).count()
                > 3
        })
    };
    let usable = |key: &&Key| {
        let ident = Ident::from(*key);
        key.strength() >= Strength::Administrative && !rules.is_junk(&ident) && !hot(&ident)
    };
    let keys: Vec<Vec<&Key>> =
        things.iter().map(|thing| thing.ci.keys.iter().filter(usable).collect()).collect();
    let mut groups: Vec<BTreeSet<usize>> = (0..things.len()).map(|index| BTreeSet::from([index])).collect();
    let mut kinds: Vec<CiKind> = things.iter().map(|thing| thing.ci.kind.clone()).collect();
    let (same, apart) = stated(things, runs, &hot);
    let single = [key_kind::SERIAL, key_kind::MACHINE_ID];
    let mut join = |a: usize, b: usize, by: Option<Strength>| -> bool {
        let find =
            |index: usize, groups: &[BTreeSet<usize>]| groups.iter().position(|group| group.contains(&index));
        let (Some(left), Some(right)) = (find(a, &groups), find(b, &groups)) else { return false };
        if left == right {
            return true;
        }
        let Some(kind) = rules.common_kind(&kinds[left], &kinds[right]) else { return false };
        let pairs = || groups[left].iter().flat_map(|x| groups[right].iter().map(move |y| (*x, *y)));
        if pairs().any(|(x, y)| apart.contains(&(x.min(y), x.max(y)))) {
            return false;
        }
        if let Some(by) = by {
            if pairs().any(|(x, y)| things[x].object.source == things[y].object.source) {
                return false;
            }
            for own in &single {
                let values = |group: &BTreeSet<usize>| -> BTreeSet<(Strength, String)> {
                    group
                        .iter()
                        .flat_map(|index| &keys[*index])
                        .filter(|key| key.kind() == own)
                        .map(|key| (key.strength(), key.value().to_owned()))
                        .collect()
                };
                let (ours, theirs) = (values(&groups[left]), values(&groups[right]));
                let Some(weakest) = ours.iter().chain(&theirs).map(|(strength, _)| *strength).min() else {
                    continue;
                };
                let counts = weakest > by || (weakest == by && by == Strength::Hardware);
                if counts && !ours.is_empty() && !theirs.is_empty() && ours.is_disjoint(&theirs) {
                    return false;
                }
            }
        }
        // Which place keeps the group does not matter: kinds are joined the same way from both sides.
        let taken = std::mem::take(&mut groups[right]);
        groups[left].extend(taken);
        kinds[left] = kind;
        true
    };
    for (a, b) in same {
        join(a, b, None);
    }
    for live_only in [true, false] {
        for tier in [Strength::Hardware, Strength::Issued, Strength::Administrative] {
            let mut evidence: BTreeMap<Ident, Vec<usize>> = BTreeMap::new();
            for (index, thing) in things.iter().enumerate() {
                for key in
                    keys[index].iter().filter(|key| key.strength() >= tier && (thing.live || !live_only))
                {
                    evidence.entry(Ident::from(*key)).or_default().push(index);
                }
            }
            let mut ordered: Vec<(usize, Ident, Vec<usize>)> = evidence
                .into_iter()
                .map(|(ident, claimants)| {
                    let sources: BTreeSet<&SourceName> =
                        claimants.iter().map(|index| &things[*index].object.source).collect();
                    (sources.len(), ident, claimants)
                })
                .collect();
            ordered.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            for (_, _, mut claimants) in ordered {
                claimants.sort_by_key(|index| (!things[*index].live, things[*index].first, *index));
                for later in 0..claimants.len() {
                    for earlier in 0..later {
                        if join(claimants[earlier], claimants[later], Some(tier)) {
                            break;
                        }
                    }
                }
            }
        }
    }
    let groups = groups.into_iter().filter(|group| !group.is_empty());
    groups.map(|group| group.into_iter().map(|index| things[index].object.clone()).collect()).collect()
}

type Pairs = BTreeSet<(usize, usize)>;

fn stated(things: &[Thing], runs: &[Run], hot: &dyn Fn(&Ident) -> bool) -> (Vec<(usize, usize)>, Pairs) {
    let mut words: BTreeMap<(usize, usize), (Timestamp, bool)> = BTreeMap::new();
    for run in runs {
        for item in run.batch().items() {
            let (said, apart) = match item {
                Observation::SameAs(said) => (said, false),
                Observation::NotSame(said) => (said, true),
                _ => continue,
            };
            let meant = |subject: &Subject| match subject {
                Subject::Native(native) => {
                    things.iter().position(|thing| thing.object == Object::new(run.source(), native.clone()))
                }
                Subject::Key(key) => {
                    let ident = Ident::from(key);
                    let claims =
                        |index: &usize| things[*index].ci.keys.iter().any(|key| Ident::from(key) == ident);
                    let claimants = (0..things.len()).filter(claims);
                    claimants.min_by_key(|index| (!things[*index].live, *index)).filter(|_| !hot(&ident))
                }
            };
            if let (Some(a), Some(b)) = (meant(&said.a), meant(&said.b))
                && a != b
            {
                let word = words.entry((a.min(b), a.max(b))).or_insert((run.at(), apart));
                *word = (*word).max((run.at(), apart));
            }
        }
    }
    let same = words.iter().filter(|(_, (_, apart))| !apart).map(|(pair, _)| *pair).collect();
    let apart = words.iter().filter(|(_, (_, apart))| *apart).map(|(pair, _)| *pair).collect();
    (same, apart)
}

//! A naive reference: everything derived from the whole list of runs, with nested loops and no index.

use std::collections::{BTreeMap, BTreeSet};

use itom_cmdb::CmdbConfig;
use itom_cmdb::identity::{Ident, IdentityRules, Object};
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

/// A set of things that are one so far, looked at as a whole each time.
struct Whole<'a> {
    things: &'a [Thing],
    keys: &'a [Vec<(&'a Key, Strength)>],
    rules: &'a IdentityRules,
    apart: &'a Pairs,
}

type Set = BTreeSet<usize>;

impl Whole<'_> {
    fn kind(&self, set: &Set) -> Option<CiKind> {
        let mut kinds = set.iter().map(|index| self.things[*index].ci.kind.clone());
        let first = kinds.next();
        kinds.fold(first, |common, kind| self.rules.common_kind(&common?, &kind))
    }

    fn values(&self, set: &Set, of: &Key) -> (Option<Strength>, BTreeSet<String>) {
        let keys = set.iter().flat_map(|index| &self.keys[*index]);
        let own: Vec<_> =
            keys.filter(|(key, _)| key.kind() == of.kind() && key.realm() == of.realm()).collect();
        let weakest = own.iter().map(|(_, strength)| *strength).min();
        (weakest, own.iter().map(|(key, _)| key.value().to_owned()).collect())
    }

    fn fits(&self, a: &Set, b: &Set, by: Option<(&Key, Strength)>) -> bool {
        let pairs = || a.iter().flat_map(|x| b.iter().map(move |y| (*x, *y)));
        let (Some(one), Some(other)) = (self.kind(a), self.kind(b)) else { return false };
        if self.rules.common_kind(&one, &other).is_none() {
            return false;
        }
        if pairs().any(|(x, y)| self.apart.contains(&(x.min(y), x.max(y)))) {
            return false;
        }
        let Some((key, by)) = by else { return true };
        if pairs().any(|(x, y)| self.things[x].object.source == self.things[y].object.source) {
            return false;
        }
        let rank = |kind: &itom_core::KeyKind| i32::from(*kind == key_kind::CLOUD_INSTANCE);
        for single in [key_kind::SERIAL, key_kind::MACHINE_ID, key_kind::CLOUD_INSTANCE] {
            let of = Key::new(single.clone(), itom_core::Realm::GLOBAL, &"0".repeat(32), Strength::Issued);
            let of = of.unwrap();
            for (x, y) in pairs() {
                let (one, other) = (BTreeSet::from([x]), BTreeSet::from([y]));
                let ((ours, mine), (theirs, yours)) = (self.values(&one, &of), self.values(&other, &of));
                let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
                let weaker = ours.min(theirs);
                let counts = weaker > by
                    || (weaker == by && (by == Strength::Hardware || rank(&single) > rank(key.kind())));
                if counts && weaker >= Strength::Issued && mine.is_disjoint(&yours) {
                    return false;
                }
            }
        }
        if *key.kind() == key_kind::MAC {
            let (mine, yours) = (self.values(a, key).1, self.values(b, key).1);
            let smaller = mine.len().min(yours.len());
            return mine.intersection(&yours).count() * 3 >= smaller * 2;
        }
        true
    }
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
    let keys: Vec<Vec<(&Key, Strength)>> = things
        .iter()
        .map(|thing| thing.ci.keys.iter().filter(usable).map(|key| (key, key.strength())).collect())
        .collect();
    let (same, apart) = stated(things, runs, &hot);
    let whole = Whole { things, keys: &keys, rules: &rules, apart: &apart };
    let mut groups: Vec<Set> = (0..things.len()).map(|index| BTreeSet::from([index])).collect();
    let unite = |groups: &mut Vec<Set>, a: usize, b: usize, by: Option<(&Key, Strength)>| {
        let find = |index: usize| groups.iter().position(|group| group.contains(&index));
        let (Some(left), Some(right)) = (find(a), find(b)) else { return };
        if left != right && whole.fits(&groups[left], &groups[right], by) {
            let taken = std::mem::take(&mut groups[right]);
            groups[left].extend(taken);
        }
    };
    for (a, b) in same {
        unite(&mut groups, a, b, None);
    }
    for live_only in [true, false] {
        for tier in [Strength::Hardware, Strength::Issued, Strength::Administrative] {
            let mut evidence: BTreeMap<Ident, (&Key, Vec<usize>)> = BTreeMap::new();
            for (index, thing) in things.iter().enumerate() {
                for (key, strength) in &keys[index] {
                    if *strength >= tier && (thing.live || !live_only) {
                        evidence.entry(Ident::from(*key)).or_insert((key, Vec::new())).1.push(index);
                    }
                }
            }
            let mut ordered: Vec<_> = evidence
                .into_iter()
                .map(|(ident, (key, claimants))| {
                    let sources: BTreeSet<&SourceName> =
                        claimants.iter().map(|index| &things[*index].object.source).collect();
                    (*key.kind() == key_kind::CLOUD_INSTANCE, sources.len(), ident, key, claimants)
                })
                .collect();
            ordered.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then_with(|| a.2.cmp(&b.2)));
            for (_, _, _, key, mut claimants) in ordered {
                claimants.sort_by_key(|index| (!things[*index].live, things[*index].first, *index));
                let by = Some((key, tier));
                // What each claimant's group fits, before anything is joined by this value.
                let group = |index: usize| groups.iter().find(|group| group.contains(&index)).unwrap();
                let fits = |a: usize, b: usize| group(a) != group(b) && whole.fits(group(a), group(b), by);
                let torn: Set = claimants
                    .iter()
                    .copied()
                    .filter(|at| {
                        let near = || claimants.iter().copied().filter(|other| fits(*at, *other));
                        near().any(|a| near().any(|b| group(a) != group(b) && !fits(a, b)))
                    })
                    .collect();
                let free: Vec<usize> = claimants.into_iter().filter(|at| !torn.contains(at)).collect();
                let pairs = free.iter().flat_map(|a| free.iter().map(move |b| (*a, *b)));
                let fitting: Vec<(usize, usize)> = pairs.filter(|(a, b)| fits(*a, *b)).collect();
                for (a, b) in fitting {
                    unite(&mut groups, a, b, by);
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

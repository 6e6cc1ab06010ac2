//! Which things are one item, by nested loops over everything, anew for each question.

use std::collections::{BTreeMap, BTreeSet};

use itom_cmdb::identity::{Ident, IdentityRules, KeyRule, Object};
use itom_core::{
    CiKind, Key, KeyKind, Observation, Realm, SourceName, Strength, Subject, Text, Timestamp, key_kind, kind,
};

use crate::estate::Run;
use crate::model::Thing;

type Set = BTreeSet<usize>;
type Pairs = BTreeSet<(usize, usize)>;

/// A value as things state it, or as they have it by themselves and through their parts; in the order of evidence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Value {
    kind: KeyKind,
    realm: Realm,
    inherited: bool,
    text: Text,
}

impl Value {
    fn of(key: &Key, inherited: bool) -> Self {
        let ident = Ident::from(key);
        Self { kind: ident.kind, realm: ident.realm, inherited, text: ident.value }
    }

    fn ident(&self) -> Ident {
        Ident { kind: self.kind.clone(), realm: self.realm.clone(), value: self.text.clone() }
    }

    fn slot(&self) -> (KeyKind, Realm, bool) {
        (self.kind.clone(), self.realm.clone(), self.inherited)
    }
}

struct Naive<'a> {
    things: &'a [Thing],
    rules: &'a IdentityRules,
    /// What each thing claims, with the strongest claim of each value.
    claims: Vec<BTreeMap<Value, Strength>>,
    apart: Pairs,
    groups: Vec<Set>,
    /// Values of a realm that rests on what several things claim.
    groundless: BTreeSet<Value>,
}

/// Those of a family are counted together, by the first word of their kind.
fn sort_of(thing: &Thing) -> (String, String) {
    let first = |text: &str, end: char| text.split(end).next().unwrap_or_default().to_owned();
    (first(thing.object.source.as_str(), '@'), first(thing.ci.kind.as_str(), '.'))
}

impl Naive<'_> {
    fn is_hot(&self, ident: &Value, sort: &str) -> bool {
        let claim = |index: &usize| self.things[*index].live && self.claims[*index].contains_key(ident);
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for index in (0..self.things.len()).filter(claim) {
            *counts.entry(sort_of(&self.things[index])).or_default() += 1;
        }
        // Of interfaces it takes more.
        let limit = if sort == "network" { 32 } else { 3 };
        counts.iter().any(|(own, count)| own.1 == sort && *count > limit)
    }

    fn is_hot_at_all(&self, ident: &Value) -> bool {
        self.things.iter().any(|thing| self.is_hot(ident, &sort_of(thing).1))
    }

    fn identifies(&self, ident: &Value, index: usize) -> bool {
        let hot = self.is_hot(ident, &sort_of(&self.things[index]).1);
        !self.rules.is_junk(&ident.ident()) && !hot && !self.groundless.contains(ident)
    }

    fn within(&self, ident: &Value) -> bool {
        self.rules.base_of(&ident.realm).is_some()
    }

    /// What can join, of one thing.
    fn joining(&self, index: usize) -> BTreeMap<&Value, Strength> {
        let usable = |(ident, strength): &(&Value, &Strength)| {
            **strength >= Strength::Administrative && self.identifies(ident, index)
        };
        self.claims[index].iter().filter(usable).map(|(ident, strength)| (ident, *strength)).collect()
    }

    fn group(&self, index: usize) -> usize {
        self.groups.iter().position(|group| group.contains(&index)).unwrap()
    }

    fn kind(&self, group: &Set) -> Option<CiKind> {
        let mut kinds = group.iter().map(|index| self.things[*index].ci.kind.clone());
        let first = kinds.next();
        kinds.fold(first, |common, kind| self.rules.common_kind(&common?, &kind))
    }

    fn fits(&self, a: usize, b: usize, by: Option<(&Value, Strength)>, least: Strength) -> bool {
        let (a, b) = (&self.groups[a], &self.groups[b]);
        let pairs = || a.iter().flat_map(|x| b.iter().map(move |y| (*x, *y)));
        let (Some(one), Some(other)) = (self.kind(a), self.kind(b)) else { return false };
        if self.rules.common_kind(&one, &other).is_none() {
            return false;
        }
        if pairs().any(|(x, y)| self.apart.contains(&(x.min(y), x.max(y)))) {
            return false;
        }
        let Some((ident, tier)) = by else { return true };
        if pairs().any(|(x, y)| self.things[x].object.source == self.things[y].object.source) {
            return false;
        }
        let rank = |ident: &Value| self.rules.rule_of(&ident.kind).map_or(0, |rule| rule.rank);
        let slot = Value::slot;
        for (x, y) in pairs() {
            let (ours, theirs) = (self.joining(x), self.joining(y));
            for one in ours.keys() {
                let single = |rule: &&KeyRule| rule.single_valued && !one.inherited;
                let Some(rule) = self.rules.rule_of(&one.kind).filter(single) else {
                    continue;
                };
                let of = |own: &BTreeMap<&Value, Strength>| -> BTreeMap<Value, Strength> {
                    let same = own.iter().filter(|(other, _)| slot(other) == slot(one));
                    same.map(|(ident, strength)| ((*ident).clone(), *strength)).collect()
                };
                let (mine, yours) = (of(&ours), of(&theirs));
                let weakest = mine.values().chain(yours.values()).min().copied().unwrap();
                let outweighs = weakest > tier
                    || (weakest == tier && (tier == Strength::Hardware || rank(one) > rank(ident)));
                let differ = !yours.is_empty() && mine.keys().all(|own| !yours.contains_key(own));
                if differ && weakest >= least && (rule.decisive || outweighs) {
                    return false;
                }
            }
        }
        let all = |group: &Set, of: &Value| -> BTreeSet<Value> {
            let own =
                group.iter().flat_map(|index| self.joining(*index).into_keys().cloned().collect::<Vec<_>>());
            own.filter(|ident| slot(ident) == slot(of)).collect()
        };
        for index in a {
            for own in self.joining(*index).into_keys() {
                let inherited = self.rules.inherited(&own.kind).filter(|_| own.inherited);
                let stated = self.rules.rule_of(&own.kind).filter(|_| !own.inherited);
                let least = inherited.and_then(|rule| rule.apart_below);
                let Some(least) = least.or(stated.and_then(|rule| rule.apart_below)) else { continue };
                let (ours, theirs) = (all(a, own), all(b, own));
                let enough = inherited.map_or(0, |rule| rule.at_least as usize);
                if ours.len().min(theirs.len()) >= enough
                    && !least.holds(ours.intersection(&theirs).count(), ours.len().min(theirs.len()))
                {
                    return false;
                }
            }
        }
        let (ours, theirs) = (all(a, ident), all(b, ident));
        let (common, smaller) = (ours.intersection(&theirs).count(), ours.len().min(theirs.len()));
        if let Some(rule) = self.rules.inherited(&ident.kind).filter(|_| ident.inherited) {
            // Who has none is no claimant.
            return smaller == 0 || common >= rule.at_least as usize && rule.share.holds(common, smaller);
        }
        let share = self.rules.rule_of(&ident.kind).and_then(|rule| rule.overlap);
        share.is_none_or(|share| share.holds(common, smaller))
    }

    fn unite(&mut self, a: usize, b: usize, by: Option<(&Value, Strength)>) {
        let (left, right) = (self.group(a), self.group(b));
        if left != right && self.fits(left, right, by, Strength::Ambient) {
            let taken = std::mem::take(&mut self.groups[right]);
            self.groups[left].extend(taken);
        }
    }

    /// What two groups both say, whatever it counts for.
    fn shared(&self, a: usize, b: usize) -> BTreeSet<Value> {
        let said = |group: usize| -> BTreeSet<Value> {
            let own = self.groups[group].iter().flat_map(|index| {
                self.claims[*index]
                    .keys()
                    .filter(|ident| self.identifies(ident, *index) && !self.within(ident))
            });
            own.cloned().collect()
        };
        said(a).intersection(&said(b)).cloned().collect()
    }

    /// Which of the groups that it fits a group may join.
    fn choice(
        &self,
        of: usize,
        near: &Set,
        (ident, tier): (&Value, Strength),
        live_only: bool,
    ) -> Option<Set> {
        let mut candidates = near.clone();
        let counts = |index: &&usize| !live_only || self.things[**index].live;
        if tier == Strength::Administrative && !near.is_empty() {
            for index in self.groups[of].iter().filter(counts) {
                for other in self.joining(*index).into_keys().filter(|own| *own != ident && !self.within(own))
                {
                    for (at, thing) in self.things.iter().enumerate() {
                        let claims = self.joining(at).contains_key(other) && (!live_only || thing.live);
                        let group = self.group(at);
                        if claims
                            && group != of
                            && self.fits(of, group, Some((other, tier)), Strength::Issued)
                        {
                            candidates.insert(group);
                        }
                    }
                }
            }
        }
        let beaten: Set = candidates
            .iter()
            .copied()
            .filter(|a| {
                candidates.iter().any(|b| {
                    let (less, more) = (self.shared(of, *a), self.shared(of, *b));
                    let apart = a != b && !self.fits(*a, *b, Some((ident, tier)), Strength::Ambient);
                    apart && less != more && less.is_subset(&more)
                })
            })
            .collect();
        let open = |a: &usize, b: &usize| {
            let apart = a != b && !self.fits(*a, *b, Some((ident, tier)), Strength::Ambient);
            apart && !beaten.contains(a) && !beaten.contains(b)
        };
        if candidates.iter().any(|a| candidates.iter().any(|b| open(a, b))) {
            return None;
        }
        Some(candidates.difference(&beaten).copied().collect())
    }

    fn weigh(&mut self, within: bool) {
        for live_only in [true, false] {
            for tier in [Strength::Hardware, Strength::Issued, Strength::Administrative] {
                let mut evidence: BTreeMap<Value, Vec<usize>> = BTreeMap::new();
                for (index, thing) in self.things.iter().enumerate() {
                    for (ident, strength) in self.joining(index) {
                        if strength >= tier && (thing.live || !live_only) && self.within(ident) == within {
                            evidence.entry(ident.clone()).or_default().push(index);
                        }
                    }
                }
                let mut ordered: Vec<(u8, usize, Value, Vec<usize>)> = evidence
                    .into_iter()
                    .map(|(ident, claimants)| {
                        let sources: BTreeSet<&SourceName> =
                            claimants.iter().map(|index| &self.things[*index].object.source).collect();
                        let rank = self.rules.rule_of(&ident.kind).map_or(0, |rule| rule.rank);
                        (rank, sources.len(), ident, claimants)
                    })
                    .collect();
                ordered.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then_with(|| a.2.cmp(&b.2)));
                for (_, _, ident, mut claimants) in ordered {
                    claimants
                        .sort_by_key(|index| (!self.things[*index].live, self.things[*index].first, *index));
                    self.apply(&ident, tier, &claimants, live_only);
                }
            }
        }
    }

    fn apply(&mut self, ident: &Value, tier: Strength, claimants: &[usize], live_only: bool) {
        let mut contenders: Vec<(usize, usize)> = Vec::new();
        for index in claimants {
            let group = self.group(*index);
            if contenders.iter().all(|own| own.0 != group) {
                contenders.push((group, *index));
            }
        }
        // What each fits and chooses, before anything is joined by this value.
        let by = (ident, tier);
        let fits = |a: usize, b: usize| a != b && self.fits(a, b, Some(by), Strength::Ambient);
        let chosen: Vec<Option<Set>> = contenders
            .iter()
            .map(|(own, _)| {
                let near =
                    contenders.iter().map(|other| other.0).filter(|other| fits(*own, *other)).collect();
                self.choice(*own, &near, by, live_only)
            })
            .collect();
        for at in 0..contenders.len() {
            for other in at + 1..contenders.len() {
                let wants = |own: usize, other: usize| {
                    chosen[own].as_ref().is_some_and(|own| own.contains(&contenders[other].0))
                };
                if wants(at, other) && wants(other, at) {
                    self.unite(contenders[at].1, contenders[other].1, Some(by));
                }
            }
        }
    }

    /// A realm that rests on what several items claim, or too many things, or on junk, means nothing.
    fn ground(&mut self) {
        let all: BTreeSet<Value> = self.claims.iter().flat_map(|own| own.keys().cloned()).collect();
        self.groundless = all.into_iter().filter(|ident| self.is_groundless(ident)).collect();
    }

    fn is_groundless(&self, ident: &Value) -> bool {
        let Some(base) = self.rules.base_of(&ident.realm).map(|base| Value::of(&base, false)) else {
            return false;
        };
        let claimants = (0..self.things.len()).filter(|index| self.joining(*index).contains_key(&base));
        let holders: Set = claimants.map(|index| self.group(index)).collect();
        self.rules.is_junk(&base.ident()) || self.is_hot_at_all(&base) || holders.len() > 1
    }
}

/// What a thing claims.
fn claims(thing: &Thing, rules: &IdentityRules) -> BTreeMap<Value, Strength> {
    let mut own: BTreeMap<Value, Strength> = BTreeMap::new();
    let mut shown: BTreeMap<Value, Strength> = BTreeMap::new();
    let claim = |all: &mut BTreeMap<Value, Strength>, value: Value, strength: Strength| {
        let slot = all.entry(value).or_insert(strength);
        *slot = strength.max(*slot);
    };
    let macs = rules.inherited(&key_kind::MAC).unwrap();
    let inherits = thing.ci.kind.is_a(&kind::HOST) || thing.ci.kind.is_a(&kind::DEVICE);
    let stated = thing.ci.keys.iter().map(|key| (&thing.ci.kind, key));
    let parts = thing.inherited.iter().map(|(part, key)| (&part.kind, key));
    for (kind, key) in stated.clone() {
        claim(&mut own, Value::of(key, false), rules.strength_of(kind, key));
    }
    for (kind, key) in stated.chain(parts).filter(|(_, key)| inherits && *key.kind() == key_kind::MAC) {
        let strength = rules.strength_of(kind, key).min(macs.at_most.unwrap());
        let own_realm = rules.base_of(key.realm()).is_some();
        if strength >= Strength::Administrative && !own_realm && !rules.is_junk(&Ident::from(key)) {
            claim(&mut shown, Value::of(key, true), strength);
        }
    }
    if shown.len() >= macs.at_least as usize {
        own.extend(shown);
    }
    own
}

/// Which things are one.
pub(crate) fn parts(things: &[Thing], runs: &[Run], rules: &IdentityRules) -> BTreeSet<BTreeSet<Object>> {
    let claims = things.iter().map(|thing| claims(thing, rules)).collect();
    let groups = (0..things.len()).map(|index| BTreeSet::from([index])).collect();
    let mut naive = Naive { things, rules, claims, apart: Pairs::new(), groups, groundless: BTreeSet::new() };
    let (same, apart) = stated(&naive, runs);
    naive.apart = apart;
    for (a, b) in same {
        naive.unite(a, b, None);
    }
    naive.weigh(false);
    naive.ground();
    naive.weigh(true);
    let groups = naive.groups.iter().filter(|group| !group.is_empty());
    groups.map(|group| group.iter().map(|index| things[*index].object.clone()).collect()).collect()
}

fn stated(naive: &Naive<'_>, runs: &[Run]) -> (Vec<(usize, usize)>, Pairs) {
    let things = naive.things;
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
                    let value = Value::of(key, false);
                    let claims = |index: &usize| {
                        things[*index].ci.keys.iter().any(|key| Value::of(key, false) == value)
                    };
                    let claimants = (0..things.len()).filter(claims);
                    claimants
                        .min_by_key(|index| (!things[*index].live, *index))
                        .filter(|_| !naive.is_hot_at_all(&value))
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

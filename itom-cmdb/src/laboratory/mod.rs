//! The rule laboratory: what other rules would make of the recorded facts, before anybody depends on them.
//!
//! A [`Trial`] derives everything once more under the candidate rules, beside the running state, and says what would be
//! other: merges gained and lost, attributes with another value, items that appear or go, what would be open.
//! [`Trial::promote`] hands the derived state over, so that the switch is one move of a value.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{AttrName, CiId, Value};

use crate::cmdb::Cmdb;
use crate::config::CmdbConfig;
use crate::identity::{Ambiguous, Object};
use crate::ruleset::RuleSet;
use crate::view::{Ci, View};

/// How many samples of each difference are kept.
const SAMPLES: usize = 20;

/// Two objects that one rule set holds for one and the other for two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct MergeSample {
    /// One object.
    pub a: Object,
    /// The other.
    pub b: Object,
}

/// An attribute that two rule sets believe differently.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Flip {
    /// The item, under the candidate rules.
    pub ci: CiId,
    /// The attribute.
    pub attribute: AttrName,
    /// What is believed now.
    pub before: Option<Value>,
    /// What would be believed.
    pub after: Option<Value>,
}

/// A count with samples, the smallest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted<T> {
    /// How many.
    pub count: usize,
    /// Some of them.
    pub samples: Vec<T>,
}

impl<T: Ord> Counted<T> {
    fn of(mut all: Vec<T>) -> Self {
        all.sort();
        let count = all.len();
        all.truncate(SAMPLES);
        Self { count, samples: all }
    }
}

/// What would be other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delta {
    /// Items before and after.
    pub items: (usize, usize),
    /// Active items before and after.
    pub active: (usize, usize),
    /// Links that would join objects that are apart now: as many as are needed to connect them.
    pub merges_gained: Counted<MergeSample>,
    /// Links that would part objects that are one now.
    pub merges_lost: Counted<MergeSample>,
    /// Attributes of items with the same objects that would have another value.
    pub flips: Counted<Flip>,
    /// Objects that would be open and are not now.
    pub opened: Counted<Ambiguous>,
    /// How many that are open now would be settled.
    pub settled: usize,
    /// How many misfits there are now and would be, when both rule sets were given.
    pub misfits: Option<(usize, usize)>,
}

/// Candidate rules, tried on the facts of a running state.
#[derive(Debug, Clone)]
pub struct Trial {
    candidate: Cmdb,
    delta: Delta,
    at: usize,
}

impl Trial {
    /// Derives the facts of `running` under other rules. The cost is that of deriving everything once; `running` is not
    /// touched.
    #[must_use]
    pub fn run(running: &Cmdb, rules: CmdbConfig) -> Self {
        let candidate = running.rederived(rules);
        let delta = delta(running, &candidate);
        Self { delta, at: running.facts().len(), candidate }
    }

    /// As [`run`](Self::run), with rule sets: also says how many items and relations do not fit each.
    #[must_use]
    pub fn of_rule_sets(running: &Cmdb, now: &RuleSet, candidate: &RuleSet) -> Self {
        let mut trial = Self::run(running, CmdbConfig::from(candidate));
        let count = |rules: &RuleSet, view: &View| -> usize { rules.misfits(view).len() };
        trial.delta.misfits = Some((count(now, &running.view()), count(candidate, &trial.candidate.view())));
        trial
    }

    /// What would be other.
    #[must_use]
    pub const fn delta(&self) -> &Delta {
        &self.delta
    }

    /// The state under the candidate rules, to look around in.
    #[must_use]
    pub const fn candidate(&self) -> &Cmdb {
        &self.candidate
    }

    /// The state under the candidate rules with everything that `running` learned since the trial: put it in the place of
    /// `running`. Nobody sees anything in between.
    #[must_use]
    pub fn promote(mut self, running: &Cmdb) -> Cmdb {
        if running.facts().len() != self.at || running.view().as_of() != self.candidate.view().as_of() {
            self.candidate.catch_up(running);
        }
        self.candidate
    }
}

fn delta(running: &Cmdb, candidate: &Cmdb) -> Delta {
    let (before, after) = (running.view(), candidate.view());
    let (then, later) = (Parts::of(&before), Parts::of(&after));
    let active = |view: &View| view.cis().filter(|ci| ci.state().is_active()).count();
    let (open, opened) = (running.ambiguities(), candidate.ambiguities());
    let what = |all: &[Ambiguous]| -> BTreeSet<(Option<Object>, String)> {
        all.iter().map(|own| (own.object.clone(), own.key.to_string())).collect()
    };
    let (was_open, is_open) = (what(&open), what(&opened));
    let newly = |own: &Ambiguous| !was_open.contains(&(own.object.clone(), own.key.to_string()));
    Delta {
        items: (before.len(), after.len()),
        active: (active(&before), active(&after)),
        merges_gained: Counted::of(links(&then, &later)),
        merges_lost: Counted::of(links(&later, &then)),
        flips: Counted::of(flips(&before, &after, &then)),
        opened: Counted::of(opened.into_iter().filter(newly).collect()),
        settled: was_open.difference(&is_open).count(),
        misfits: None,
    }
}

struct Parts {
    of: BTreeMap<Object, CiId>,
    members: BTreeMap<CiId, Vec<Object>>,
}

impl Parts {
    fn of(view: &View) -> Self {
        let members: BTreeMap<CiId, Vec<Object>> =
            view.cis().filter(|ci| !ci.is_loose_end()).map(|ci| (ci.id(), ci.objects().to_vec())).collect();
        let of = members
            .iter()
            .flat_map(|(id, objects)| objects.iter().map(move |object| (object.clone(), *id)))
            .collect();
        Self { of, members }
    }
}

/// The links by which `other` connects what `one` has in several pieces: for each item of `other`, from the first piece
/// to each other.
fn links(one: &Parts, other: &Parts) -> Vec<MergeSample> {
    let mut links = Vec::new();
    for objects in other.members.values() {
        let mut pieces: BTreeMap<Option<CiId>, &Object> = BTreeMap::new();
        for object in objects {
            pieces.entry(one.of.get(object).copied()).or_insert(object);
        }
        let mut firsts: Vec<&Object> = pieces.into_values().collect();
        firsts.sort();
        if let Some((first, rest)) = firsts.split_first() {
            let link = |object: &&Object| MergeSample { a: (*first).clone(), b: (*object).clone() };
            links.extend(rest.iter().map(link));
        }
    }
    links
}

fn flips(before: &View, after: &View, then: &Parts) -> Vec<Flip> {
    let mut flips = Vec::new();
    for ci in after.cis().filter(|ci| !ci.is_loose_end()) {
        let same = ci.objects().first().and_then(|object| then.of.get(object)).and_then(|id| before.ci(*id));
        let Some(old) = same.filter(|old| old.objects() == ci.objects()) else { continue };
        let names: BTreeSet<&AttrName> = old.attributes().keys().chain(ci.attributes().keys()).collect();
        for name in names {
            let value = |ci: &Ci| ci.value(name).cloned();
            let (was, is) = (value(old), value(ci));
            if was != is {
                flips.push(Flip { ci: ci.id(), attribute: name.clone(), before: was, after: is });
            }
        }
    }
    flips
}

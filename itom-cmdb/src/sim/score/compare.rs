//! Two groupings of the same objects: the true one and an answer.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::difficulty::Hazard;
use super::super::entity::{Class, Entity};
use super::super::truth::Truth;
use crate::identity::Object;

/// Precision, recall and their harmonic mean, each 1 when there is nothing to be wrong about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Which share of what is answered is right.
    pub precision: f64,
    /// Which share of what is right is answered.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

impl Measure {
    /// From how much is right, of how much that is answered and how much there is to answer.
    #[must_use]
    pub fn of(right: f64, answered: f64, wanted: f64) -> Self {
        let share = |of: f64| if of == 0.0 { 1.0 } else { right / of };
        let (precision, recall) = (share(answered), share(wanted));
        let sum = precision + recall;
        let f1 = if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum };
        Self { precision, recall, f1 }
    }
}

/// Which way a group is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MistakeKind {
    /// One item is made of several things.
    Merged,
    /// One thing is several items.
    Split,
}

/// One wrong group, as a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mistake {
    /// Which way it is wrong.
    pub kind: MistakeKind,
    /// What sort of thing.
    pub class: Class,
    /// The objects, with what each really is and the number of the answer's group.
    pub objects: Vec<(String, String, usize)>,
    /// The hazards that concern the things.
    pub hazards: Vec<Hazard>,
}

/// How good an answer about identity is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// How many objects were judged.
    pub objects: usize,
    /// How many things they really are.
    pub entities: usize,
    /// Into how many groups the answer puts them.
    pub groups: usize,
    /// Objects for which the answer says nothing: each counts as a group of its own.
    pub abstained: usize,
    /// Over pairs of objects: is this pair one thing?
    pub pairwise: Measure,
    /// Over objects (B³): of the group it is in, which share is right, and which share of what belongs there is in it?
    /// Bagga and Baldwin, "Entity-Based Cross-Document Coreferencing Using the Vector Space Model", 1998.
    pub b_cubed: Measure,
    /// Pairs that are wrongly together.
    pub wrong_pairs: u64,
    /// Pairs that are wrongly apart.
    pub missed_pairs: u64,
    /// Pairs that are really one thing.
    pub true_pairs: u64,
    /// Wrong groups by what is wrong and the hazards that concern their things; a group counts for each of its hazards,
    /// one that none concerns under nothing.
    pub by_hazard: BTreeMap<Option<Hazard>, (u64, u64)>,
    /// Samples of wrong groups.
    pub mistakes: Vec<Mistake>,
}

/// How many samples of each kind and class are kept.
const SAMPLES: usize = 12;
/// How many objects of a wrong group are shown.
const SHOWN: usize = 8;

const fn pairs(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}

/// Compares the true grouping of the objects that `judged` chooses with an answer.
pub(super) fn identity<K: Ord>(
    truth: &Truth<'_>,
    answer: &dyn Fn(&Object) -> Option<K>,
    judged: &dyn Fn(&Object, Entity) -> bool,
) -> Identity {
    let mut groups: BTreeMap<K, usize> = BTreeMap::new();
    let mut placed: Vec<(&Object, Entity, usize)> = Vec::new();
    let mut count = 0;
    let mut abstained = 0;
    for (object, seen) in truth.objects().filter(|(object, seen)| judged(object, seen.entity)) {
        let group = match answer(object) {
            Some(key) => *groups.entry(key).or_insert_with(|| {
                count += 1;
                count - 1
            }),
            None => {
                abstained += 1;
                count += 1;
                count - 1
            }
        };
        placed.push((object, seen.entity, group));
    }
    let mut cells: BTreeMap<(Entity, usize), u64> = BTreeMap::new();
    let mut of_entity: BTreeMap<Entity, u64> = BTreeMap::new();
    let mut of_group: Vec<u64> = vec![0; count];
    for (_, entity, group) in &placed {
        *cells.entry((*entity, *group)).or_default() += 1;
        *of_entity.entry(*entity).or_default() += 1;
        if let Some(size) = of_group.get_mut(*group) {
            *size += 1;
        }
    }
    let right: u64 = cells.values().copied().map(pairs).sum();
    let answered: u64 = of_group.iter().copied().map(pairs).sum();
    let wanted: u64 = of_entity.values().copied().map(pairs).sum();
    let (mut precise, mut recalled) = (0.0, 0.0);
    for ((entity, group), size) in &cells {
        let square = (*size as f64) * (*size as f64);
        precise += square / of_group.get(*group).copied().unwrap_or(1) as f64;
        recalled += square / of_entity.get(entity).copied().unwrap_or(1) as f64;
    }
    let total = placed.len() as f64;
    let (mean_precision, mean_recall) =
        if placed.is_empty() { (1.0, 1.0) } else { (precise / total, recalled / total) };
    let sum = mean_precision + mean_recall;
    let b_cubed = Measure {
        precision: mean_precision,
        recall: mean_recall,
        f1: if sum == 0.0 { 0.0 } else { 2.0 * mean_precision * mean_recall / sum },
    };
    let (by_hazard, mistakes) = mistakes(truth, &placed, &cells);
    Identity {
        objects: placed.len(),
        entities: of_entity.len(),
        groups: count,
        abstained,
        pairwise: Measure::of(right as f64, answered as f64, wanted as f64),
        b_cubed,
        wrong_pairs: answered - right,
        missed_pairs: wanted - right,
        true_pairs: wanted,
        by_hazard,
        mistakes,
    }
}

type ByHazard = BTreeMap<Option<Hazard>, (u64, u64)>;

fn mistakes(
    truth: &Truth<'_>,
    placed: &[(&Object, Entity, usize)],
    cells: &BTreeMap<(Entity, usize), u64>,
) -> (ByHazard, Vec<Mistake>) {
    let mut entities_of: BTreeMap<usize, BTreeSet<Entity>> = BTreeMap::new();
    let mut groups_of: BTreeMap<Entity, BTreeSet<usize>> = BTreeMap::new();
    for (entity, group) in cells.keys() {
        entities_of.entry(*group).or_default().insert(*entity);
        groups_of.entry(*entity).or_default().insert(*group);
    }
    entities_of.retain(|_, entities| entities.len() > 1);
    groups_of.retain(|_, groups| groups.len() > 1);
    let mut merged: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut split: BTreeMap<Entity, Vec<usize>> = BTreeMap::new();
    for (index, (_, entity, group)) in placed.iter().enumerate() {
        if entities_of.contains_key(group) {
            merged.entry(*group).or_default().push(index);
        }
        if groups_of.contains_key(entity) {
            split.entry(*entity).or_default().push(index);
        }
    }
    let mut by_hazard = ByHazard::new();
    let mut samples: BTreeMap<(MistakeKind, Class), Vec<Mistake>> = BTreeMap::new();
    let merged = merged.into_values().map(|members| (MistakeKind::Merged, members));
    let split = split.into_values().map(|members| (MistakeKind::Split, members));
    for (kind, members) in merged.chain(split) {
        let own: Vec<_> = members.iter().filter_map(|index| placed.get(*index)).collect();
        let Some((_, first, _)) = own.first() else { continue };
        let hazards: Vec<Hazard> = own
            .iter()
            .fold(super::super::Hazards::default(), |all, (_, entity, _)| all.union(truth.hazards(*entity)))
            .iter()
            .collect();
        let keys: Vec<Option<Hazard>> =
            if hazards.is_empty() { vec![None] } else { hazards.iter().copied().map(Some).collect() };
        for key in keys {
            let slot = by_hazard.entry(key).or_default();
            match kind {
                MistakeKind::Merged => slot.0 += 1,
                MistakeKind::Split => slot.1 += 1,
            }
        }
        let kept = samples.entry((kind, first.class())).or_default();
        if kept.len() < SAMPLES {
            let objects = own.iter().take(SHOWN);
            kept.push(Mistake {
                kind,
                class: first.class(),
                objects: objects
                    .map(|(object, entity, group)| (object.to_string(), entity.to_string(), *group))
                    .collect(),
                hazards,
            });
        }
    }
    (by_hazard, samples.into_values().flatten().collect())
}

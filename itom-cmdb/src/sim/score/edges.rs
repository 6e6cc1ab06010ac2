//! Relations: are those that are believed true, and are those that are true believed?

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, RelationKind};
use serde::{Deserialize, Serialize};

use super::super::delivery::ROUND_MICROS;
use super::super::entity::Entity;
use super::super::truth::Truth;
use super::Measure;
use crate::identity::Object;
use crate::view::{Ci, View};

/// The relations of one age.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AgeBand {
    /// From how many rounds since it was first seen.
    pub from_rounds: u32,
    /// How good.
    pub measure: Measure,
    /// How many are believed.
    pub believed: usize,
    /// How many are true and were spoken of.
    pub wanted: usize,
}

/// How good an answer about relations is. Both ends are judged by what the item really is, so that a relation of a
/// wrongly merged item is wrong, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Edges {
    /// All relations: believed with both ends known, against true in the last round and spoken of by somebody.
    pub all: Measure,
    /// By kind.
    pub by_kind: BTreeMap<RelationKind, Measure>,
    /// By age: precision by when the view first saw it, recall by when a source first spoke of it.
    pub by_age: Vec<AgeBand>,
    /// Relations that are believed, with both ends known.
    pub believed: usize,
    /// Relations that are true and were spoken of.
    pub wanted: usize,
    /// Relations that are believed and have an end that nobody has described, or that several claim.
    pub unresolved: usize,
}

/// Where bands of age begin, in rounds.
const BANDS: [u32; 4] = [0, 2, 6, 12];

fn band(age: u32) -> usize {
    BANDS.iter().rposition(|from| age >= *from).unwrap_or(0)
}

/// What an item really is: what most of its objects are, the smallest of those that tie.
pub(super) fn entity_of(truth: &Truth<'_>, ci: &Ci) -> Option<Entity> {
    let mut votes: BTreeMap<Entity, usize> = BTreeMap::new();
    let known = |object: &Object| truth.objects.get(object).map(|seen| seen.entity);
    for entity in ci.objects().iter().filter_map(known) {
        *votes.entry(entity).or_default() += 1;
    }
    votes
        .into_iter()
        .max_by_key(|(entity, count)| (*count, std::cmp::Reverse(*entity)))
        .map(|(entity, _)| entity)
}

#[derive(Default, Clone, Copy)]
struct Tally {
    right: usize,
    believed: usize,
    found: usize,
    wanted: usize,
}

impl Tally {
    fn measure(self) -> Measure {
        let share = |part: usize, of: usize| if of == 0 { 1.0 } else { part as f64 / of as f64 };
        let (precision, recall) = (share(self.right, self.believed), share(self.found, self.wanted));
        let sum = precision + recall;
        let f1 = if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum };
        Measure { precision, recall, f1 }
    }
}

pub(super) fn of_view(truth: &Truth<'_>, view: &View) -> Edges {
    let entities: BTreeMap<CiId, Entity> =
        view.cis().filter_map(|ci| Some((ci.id(), entity_of(truth, ci)?))).collect();
    let last = truth.last_round();
    let mut all = Tally::default();
    let mut by_kind: BTreeMap<RelationKind, Tally> = BTreeMap::new();
    let mut by_age = [Tally::default(); BANDS.len()];
    let mut unresolved = 0;
    let mut believed: BTreeSet<(RelationKind, Entity, Entity)> = BTreeSet::new();
    for relation in view.relations().filter(|relation| relation.state.is_active()) {
        let ends = entities.get(&relation.from).zip(entities.get(&relation.to));
        let Some((from, to)) = ends else {
            unresolved += 1;
            continue;
        };
        let edge = (relation.kind.clone(), *from, *to);
        let right =
            truth.world.holds(&relation.kind, *from, *to, last) && truth.relations.contains_key(&edge);
        let since = relation.first_seen.as_micros() - super::super::time_of(0).as_micros();
        let first = u32::try_from(since / ROUND_MICROS).unwrap_or(0);
        let age = band(last.saturating_sub(first));
        for tally in [&mut all, by_kind.entry(relation.kind.clone()).or_default(), &mut by_age[age]] {
            tally.believed += 1;
            tally.right += usize::from(right);
        }
        believed.insert(edge);
    }
    for (edge, seen) in &truth.relations {
        if !truth.world.holds(&edge.0, edge.1, edge.2, last) {
            continue;
        }
        let found = usize::from(believed.contains(edge));
        let age = band(last.saturating_sub(seen.first));
        for tally in [&mut all, by_kind.entry(edge.0.clone()).or_default(), &mut by_age[age]] {
            tally.wanted += 1;
            tally.found += found;
        }
    }
    let bands = BANDS.iter().zip(by_age).map(|(from, tally)| AgeBand {
        from_rounds: *from,
        measure: tally.measure(),
        believed: tally.believed,
        wanted: tally.wanted,
    });
    Edges {
        all: all.measure(),
        by_kind: by_kind.into_iter().map(|(kind, tally)| (kind, tally.measure())).collect(),
        by_age: bands.collect(),
        believed: all.believed,
        wanted: all.wanted,
        unresolved,
    }
}

//! The answer, with a reason for each item.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use itom_core::{CiId, RelationKind};

use super::fixpoint::{ImpactScratch, Never};
use crate::graph::{Effect, Link, Step, View};

/// How far to look and how much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImpactOptions {
    /// Rounds to follow a failure; what lies farther is not looked at.
    pub depth: u32,
    /// Most items in each list of the answer, nearest kept; the rest is [counted](Impact::left_out).
    pub results: usize,
}

impl Default for ImpactOptions {
    fn default() -> Self {
        Self { depth: u32::MAX, results: usize::MAX }
    }
}

impl ImpactOptions {
    /// Follow a failure this many rounds.
    #[must_use]
    pub const fn depth(self, depth: u32) -> Self {
        Self { depth, ..self }
    }

    /// Keep this many items in each list.
    #[must_use]
    pub const fn results(self, results: usize) -> Self {
        Self { results, ..self }
    }
}

/// Why an item is hit: the last supplier it needed, and how its gate stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Cause {
    /// The kind of relation that the failure came by.
    pub relation: RelationKind,
    /// The supplier (of several in the same round the one with the smallest id).
    pub via: CiId,
    /// The weight of the suppliers that still stood when the gate fell.
    pub standing: u64,
    /// The weight that must stand.
    pub needed: u64,
    /// The weight of all suppliers.
    pub total: u64,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { relation, via, standing, needed, total } = self;
        if total == needed {
            write!(f, "needs {via} ({relation})")
        } else {
            write!(f, "{standing} of {total} left where {needed} must stand ({relation}), last lost {via}")
        }
    }
}

/// An item that a failure hits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Affected {
    /// Rounds from the failed items.
    pub distance: u32,
    /// The item.
    pub ci: CiId,
    /// Why.
    pub cause: Cause,
}

/// An item that still stands although something it could use is down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct LostRedundancy {
    /// The item.
    pub ci: CiId,
    /// The kind of relation to its suppliers.
    pub relation: RelationKind,
    /// The weight of the suppliers that stand.
    pub standing: u64,
    /// The weight that must stand.
    pub needed: u64,
    /// The weight of all suppliers.
    pub total: u64,
}

impl LostRedundancy {
    /// How much more may be lost before the item goes down.
    #[must_use]
    pub const fn margin(&self) -> u64 {
        self.standing.saturating_sub(self.needed)
    }
}

/// What a failure does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Impact {
    failed: Vec<CiId>,
    unknown: Vec<CiId>,
    down: Vec<Affected>,
    degraded: Vec<Affected>,
    redundancy_lost: Vec<LostRedundancy>,
    left_out: usize,
}

impl Impact {
    /// The failed items of the question that are in the graph, sorted.
    #[must_use]
    pub fn failed(&self) -> &[CiId] {
        &self.failed
    }

    /// The failed items of the question that are not in the graph, sorted.
    #[must_use]
    pub fn unknown(&self) -> &[CiId] {
        &self.unknown
    }

    /// What goes down, the failed items themselves left out, sorted by distance, then id.
    #[must_use]
    pub fn down(&self) -> &[Affected] {
        &self.down
    }

    /// What still works, but less well, sorted by distance, then id.
    #[must_use]
    pub fn degraded(&self) -> &[Affected] {
        &self.degraded
    }

    /// What is not down but has lost suppliers that it could use, sorted by id and kind of relation.
    #[must_use]
    pub fn redundancy_lost(&self) -> &[LostRedundancy] {
        &self.redundancy_lost
    }

    /// How many entries the limit on results left out of the lists.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// How the failure comes to an item: first a failed item (reached by no relation), last `ci`. `None` when it is
    /// not hit, or when its chain was left out.
    #[must_use]
    pub fn path(&self, ci: CiId) -> Option<(CiId, Vec<Step>)> {
        let mut hit = self.down.iter().chain(&self.degraded).find(|hit| hit.ci == ci)?;
        let mut steps = Vec::new();
        loop {
            steps.push(Step { relation: hit.cause.relation.clone(), ci: hit.ci });
            if hit.distance == 1 {
                steps.reverse();
                return Some((hit.cause.via, steps));
            }
            let before = (hit.distance - 1, hit.cause.via);
            hit = [&self.down, &self.degraded].into_iter().find_map(|list| {
                let at = list.binary_search_by_key(&before, |hit| (hit.distance, hit.ci)).ok()?;
                Some(&list[at])
            })?;
        }
    }
}

fn seeds(view: &impl View, failed: &BTreeSet<CiId>) -> Vec<u32> {
    failed.iter().filter_map(|ci| view.node(*ci)).collect()
}

pub(super) fn brings_down_count(
    view: &impl View,
    failed: &BTreeSet<CiId>,
    scratch: &mut ImpactScratch,
) -> usize {
    let seeds = seeds(view, failed);
    scratch.fall(view, seeds.iter().copied(), u32::MAX, &Never);
    scratch.down_order.len() - seeds.len()
}

pub(super) fn brings_down(
    view: &impl View,
    failed: &BTreeSet<CiId>,
    scratch: &mut ImpactScratch,
) -> Vec<CiId> {
    let seeds = seeds(view, failed);
    scratch.fall(view, seeds.iter().copied(), u32::MAX, &Never);
    let fallen = &scratch.down_order[seeds.len()..];
    let mut ids: Vec<CiId> = fallen.iter().map(|(node, _)| view.id(*node)).collect();
    let mut rest = ids.as_mut_slice();
    // Already in order of distance: only ids of equal distance are left to sort.
    for round in fallen.chunk_by(|(_, a), (_, b)| a == b) {
        let (now, later) = rest.split_at_mut(round.len());
        now.sort_unstable();
        rest = later;
    }
    ids
}

pub(super) fn impact(
    view: &impl View,
    failed: &BTreeSet<CiId>,
    options: &ImpactOptions,
    scratch: &mut ImpactScratch,
) -> Impact {
    let seeds = seeds(view, failed);
    scratch.fall(view, seeds.iter().copied(), options.depth, &Never);
    scratch.degrade(view, options.depth);
    scratch.note_distances(view.bound());
    let mut answer = Impact {
        failed: seeds.iter().map(|node| view.id(*node)).collect(),
        unknown: failed.iter().copied().filter(|ci| view.node(*ci).is_none()).collect(),
        ..Impact::default()
    };
    let down = &scratch.down_order[seeds.len()..];
    answer.down = affected(view, scratch, down, Hit::Down, options.results, &mut answer.left_out);
    let degraded = &scratch.degraded_order;
    answer.degraded = affected(view, scratch, degraded, Hit::Degraded, options.results, &mut answer.left_out);
    let mut lost: Vec<LostRedundancy> = scratch
        .touched
        .iter()
        .filter(|(node, _)| !scratch.down.has(*node))
        .filter_map(|key| {
            let (gate, effect) = view.rule(key.0, key.1);
            let tally = scratch.tally(*key)?;
            (tally.failed > 0 && effect != Effect::Degraded).then(|| LostRedundancy {
                ci: view.id(key.0),
                relation: view.kind(key.1).clone(),
                standing: tally.total.saturating_sub(tally.failed),
                needed: gate.needed(tally.total),
                total: tally.total,
            })
        })
        .collect();
    lost.sort_unstable();
    answer.left_out += lost.len().saturating_sub(options.results);
    lost.truncate(options.results);
    answer.redundancy_lost = lost;
    answer
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hit {
    Down,
    Degraded,
}

fn affected(
    view: &impl View,
    scratch: &ImpactScratch,
    order: &[(u32, u32)],
    hit: Hit,
    limit: usize,
    left_out: &mut usize,
) -> Vec<Affected> {
    let mut sorted: Vec<(u32, CiId, u32)> =
        order.iter().map(|(node, distance)| (*distance, view.id(*node), *node)).collect();
    sorted.sort_unstable();
    *left_out += sorted.len().saturating_sub(limit);
    sorted
        .into_iter()
        .take(limit)
        .filter_map(|(distance, ci, node)| {
            let cause = cause(view, scratch, node, distance, hit);
            debug_assert!(cause.is_some(), "what fell has a supplier that fell in the round before");
            Some(Affected { distance, ci, cause: cause? })
        })
        .collect()
}

/// The supplier of the round before, behind a gate that had fallen by then.
fn cause(view: &impl View, scratch: &ImpactScratch, node: u32, distance: u32, hit: Hit) -> Option<Cause> {
    let fell = |link: &Link| {
        let counts = scratch.down.has(link.node) || (hit == Hit::Degraded && scratch.degraded.has(link.node));
        counts.then(|| scratch.distance_of(link.node)).filter(|at| *at < distance)
    };
    let plain = view
        .inward(node)
        .filter(|link| link.tag.is_plain() && fell(link) == Some(distance - 1))
        .map(|link| (view.id(link.node), link.tag.kind()))
        .min_by_key(|(id, kind)| (*id, view.kind(*kind)));
    let mut gates: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for link in view.inward(node).filter(|link| !link.tag.is_plain()) {
        let weight = view.rule(node, link.tag.kind()).0.weight(view.id(link.node));
        let (failed, total) = gates.entry(link.tag.kind()).or_default();
        *total = total.saturating_add(weight);
        *failed = failed.saturating_add(if fell(&link).is_some() { weight } else { 0 });
    }
    let has_fallen = |kind: u32| {
        let (gate, effect) = view.rule(node, kind);
        let (failed, total) = gates.get(&kind).copied().unwrap_or_default();
        match (hit, effect) {
            (Hit::Down, Effect::Degraded) => false,
            (Hit::Degraded, Effect::Capacity) => true,
            _ => gate.falls(failed, total),
        }
    };
    let gated = view
        .inward(node)
        .filter(|link| {
            !link.tag.is_plain() && fell(link) == Some(distance - 1) && has_fallen(link.tag.kind())
        })
        .map(|link| (view.id(link.node), link.tag.kind()))
        .min_by_key(|(id, kind)| (*id, view.kind(*kind)));
    let (via, kind) =
        [plain, gated].into_iter().flatten().min_by_key(|(id, kind)| (*id, view.kind(*kind)))?;
    let relation = view.kind(kind).clone();
    Some(match gates.get(&kind) {
        Some((failed, total)) => {
            let (gate, effect) = view.rule(node, kind);
            let needed = match (hit, effect) {
                (Hit::Degraded, Effect::Capacity) => *total,
                _ => gate.needed(*total),
            };
            Cause { relation, via, standing: total.saturating_sub(*failed), needed, total: *total }
        }
        None => {
            let (failed, total) = view
                .inward(node)
                .filter(|link| link.tag.kind() == kind)
                .fold((0, 0), |(failed, total), link| (failed + u64::from(fell(&link).is_some()), total + 1));
            Cause { relation, via, standing: total - failed, needed: total, total }
        }
    })
}

//! The results of a set of policies, kept current at the cost of what changed.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiId, Text, Timestamp};
use serde::{Deserialize, Serialize};

use super::judge::Ground;
use super::{Known, Policy, PolicyChange, PolicyResult, PolicySet, Verdict};
use crate::expr::{Expression, Reach};
use crate::graph::RelationGraph;
use crate::view::View;

/// How a policy stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Score {
    /// Items that pass.
    pub pass: usize,
    /// Items that fail, waived ones included.
    pub fail: usize,
    /// Items of which it is not known.
    pub unknown: usize,
    /// Failing items that somebody accepts.
    pub waived: usize,
}

impl Score {
    /// The share that passes among those of which it is known, from 0 to 1; `None` when nothing is known.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let known = self.pass + self.fail;
        (known > 0).then(|| self.pass as f64 / known as f64)
    }
}

/// What a policy was judged on last.
#[derive(Debug, Clone, Default)]
struct Standing {
    results: BTreeMap<CiId, PolicyResult>,
    time: Option<Timestamp>,
}

/// The results of a [`PolicySet`] on a view that moves on.
///
/// A policy that looks only at the item is judged again for items that changed, one that looks at related items for
/// their neighbours too, one that looks at the graph for all its items when anything in the graph changed, and one that
/// reads the time once per [`every`](Policy::every).
#[derive(Debug, Clone)]
pub struct Compliance {
    set: PolicySet,
    standing: Vec<Standing>,
    view: View,
    pub(super) known: Known,
}

impl Compliance {
    /// Nothing judged yet.
    #[must_use]
    pub fn new(set: PolicySet) -> Self {
        let standing = vec![Standing::default(); set.policies().len()];
        Self { set, standing, view: View::default(), known: Known::default() }
    }

    /// The policies.
    #[must_use]
    pub const fn set(&self) -> &PolicySet {
        &self.set
    }

    /// Judges what can have changed since the view of the last call. `graph` is that of `view`. Returns the verdicts
    /// that became others, by policy and item.
    pub fn update(&mut self, view: &View, graph: &RelationGraph, now: Timestamp) -> Vec<PolicyChange> {
        let differences = view.differences(&self.view);
        let mut known = self.known.clone();
        known.follow(&self.view, view, &differences);
        let needs_moved = known.relation_kinds() != self.known.relation_kinds()
            || known.item_kinds() != self.known.item_kinds();
        let ends = view.ends_of(&self.view, &view.reshaped(&self.view, &differences.relations));
        // Most items of a steady estate were only seen again: that shows in `last_seen` alone.
        let moved: BTreeSet<CiId> = differences.items.iter().copied().collect();
        let own: BTreeSet<CiId> = view.rewritten(&self.view, &differences.items).collect();
        let mut near: BTreeSet<CiId> = own.union(&ends).copied().collect();
        for id in &own {
            for view in [view, &self.view] {
                near.extend(view.relations_of(*id).flat_map(|relation| [relation.from, relation.to]));
            }
        }
        let ground = Ground { view, graph, known: &known, now };
        let mut changes = Vec::new();
        for (policy, standing) in self.set.policies().iter().zip(&mut self.standing) {
            let time = policy.time(now);
            let later = policy.reads_time() && standing.time != Some(time);
            let reach = policy.expressions().map(Expression::reach).max().unwrap_or(Reach::Item);
            let graph_moved = reach == Reach::Graph && !near.is_empty();
            let needed =
                needs_moved && (!policy.needs.relations.is_empty() || !policy.needs.kinds.is_empty());
            if standing.time.is_none() || later || graph_moved || needed {
                let mut items: BTreeSet<CiId> = standing.results.keys().copied().collect();
                items.extend(view.by_kind(&policy.kind).iter().map(|ci| ci.id()));
                standing.judge(policy, ground, items.into_iter(), &mut changes);
            } else {
                let items = if reach == Reach::Item { &own } else { &near };
                standing.judge(policy, ground, items.iter().copied(), &mut changes);
                if policy.expressions().any(Expression::reads_last_seen) {
                    standing.judge(policy, ground, moved.difference(items).copied(), &mut changes);
                }
            }
            standing.time = Some(time);
        }
        self.view = view.clone();
        self.known = known;
        changes
    }

    /// When [`update`](Self::update) has something to do although nothing changed: a policy reads the time.
    #[must_use]
    pub fn next_look(&self) -> Option<Timestamp> {
        let policies = self.set.policies().iter().zip(&self.standing);
        policies
            .filter(|(policy, _)| policy.reads_time())
            .filter_map(|(policy, standing)| standing.time.map(|at| at + policy.every))
            .min()
    }

    /// Every result, by policy and item.
    pub fn results(&self) -> impl Iterator<Item = &PolicyResult> {
        self.standing.iter().flat_map(|standing| standing.results.values())
    }

    /// The results of one item, by policy.
    pub fn of(&self, ci: CiId) -> impl Iterator<Item = &PolicyResult> {
        self.standing.iter().filter_map(move |standing| standing.results.get(&ci))
    }

    /// How each policy stands, by name.
    #[must_use]
    pub fn scores(&self) -> BTreeMap<Text, Score> {
        let mut scores = BTreeMap::new();
        for (policy, standing) in self.set.policies().iter().zip(&self.standing) {
            let mut score = Score::default();
            for result in standing.results.values() {
                match result.verdict {
                    Verdict::Pass => score.pass += 1,
                    Verdict::Fail => score.fail += 1,
                    Verdict::Unknown => score.unknown += 1,
                }
                score.waived += usize::from(result.waived.is_some());
            }
            scores.insert(policy.name.clone(), score);
        }
        scores
    }
}

impl Standing {
    fn judge(
        &mut self,
        policy: &Policy,
        ground: Ground<'_>,
        items: impl Iterator<Item = CiId>,
        changes: &mut Vec<PolicyChange>,
    ) {
        for id in items {
            let after = ground.view.ci(id).and_then(|ci| policy.judge(ground, ci));
            let verdicts = match after {
                Some(mut after) => {
                    let before = self.results.remove(&id);
                    if let Some(before) = before.as_ref().filter(|before| before.verdict == after.verdict) {
                        after.since = before.since;
                    }
                    let verdict = after.verdict;
                    self.results.insert(id, after);
                    (before.map(|before| before.verdict), Some(verdict))
                }
                None => (self.results.remove(&id).map(|before| before.verdict), None),
            };
            if verdicts.0 != verdicts.1 {
                changes.push(PolicyChange {
                    policy: policy.name.clone(),
                    ci: id,
                    before: verdicts.0,
                    after: verdicts.1,
                    at: ground.now,
                });
            }
        }
    }
}

//! How services are, why, and how much more may be lost.

use std::fmt;

use itom_core::{CiId, RelationKind};
use serde::{Deserialize, Serialize};

use super::LiveImpact;
use crate::graph::{FailureMode, Modes, RelationGraph, Step, View, Way, walk};
use crate::impact::Marks;

/// How an item is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthState {
    /// Nothing is known against it.
    Up,
    /// It works, and something redundant that it needs, itself or through others, has been lost.
    AtRisk,
    /// It works less well.
    Degraded,
    /// Nobody gets to it.
    Unreachable,
    /// It does not work because of something else.
    Down,
    /// It has failed itself.
    Failed,
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::AtRisk => "at risk",
            Self::Degraded => "degraded",
            Self::Unreachable => "unreachable",
            Self::Down => "down",
            Self::Failed => "failed",
        })
    }
}

/// A redundant group that has lost suppliers, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Redundancy {
    /// The item whose suppliers these are.
    pub ci: CiId,
    /// The kind of relation to them.
    pub relation: RelationKind,
    /// The weight of those that stand.
    pub standing: u64,
    /// The weight that must stand.
    pub needed: u64,
    /// The weight of all.
    pub total: u64,
}

impl Redundancy {
    /// How much more may be lost before the item goes down.
    #[must_use]
    pub const fn margin(&self) -> u64 {
        self.standing.saturating_sub(self.needed)
    }
}

impl fmt::Display for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ci, relation, standing, needed, total } = self;
        write!(f, "{standing} of {total} left where {needed} must stand ({relation} of {ci})")
    }
}

/// How one item is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemHealth {
    /// The item.
    pub ci: CiId,
    /// How it is.
    pub state: HealthState,
    /// In which ways it fails: the worst of down, unreachable and degraded, and loss of data.
    pub modes: Modes,
    /// How its worst failure came to it: the item that failed by itself, then each step to this one. `None` when it does
    /// not fail. The chain is one of those that hold; several failures may have several.
    pub chain: Option<(CiId, Vec<Step>)>,
    /// Redundant groups below that have lost suppliers and still stand, least margin first, then by item and relation.
    pub redundancy: Vec<Redundancy>,
}

impl LiveImpact {
    /// How an item is, with the chain that caused it and the redundancy that is left below it. `None` when it is not in
    /// the graph. Costs what the item needs.
    #[must_use]
    pub fn health(&self, graph: &RelationGraph, ci: CiId) -> Option<ItemHealth> {
        self.health_with(graph, ci, &mut Marks::default())
    }

    /// How each of these items is, worst first, then by id; items that are not in the graph are left out.
    #[must_use]
    pub fn roll_up(&self, graph: &RelationGraph, cis: impl IntoIterator<Item = CiId>) -> Vec<ItemHealth> {
        let mut marks = Marks::default();
        let mut all: Vec<ItemHealth> =
            cis.into_iter().filter_map(|ci| self.health_with(graph, ci, &mut marks)).collect();
        all.sort_unstable_by_key(|health| (std::cmp::Reverse(health.state), health.ci));
        all
    }

    fn health_with(&self, graph: &RelationGraph, ci: CiId, marks: &mut Marks) -> Option<ItemHealth> {
        let node = graph.node(ci)?;
        let modes = self.atoms.modes(node);
        let mut redundancy: Vec<Redundancy> = walk(graph, node, Way::Inward, None, marks)
            .into_iter()
            .filter(|(below, _)| !self.atoms.modes(*below).contains(FailureMode::Down))
            .flat_map(|(below, _)| {
                self.atoms.gates(graph, below, FailureMode::Down).map(move |(kind, gate, tally)| Redundancy {
                    ci: graph.id(below),
                    relation: graph.kind_name(kind).clone(),
                    standing: tally.total().saturating_sub(tally.failed()),
                    needed: gate.needed(tally.total()),
                    total: tally.total(),
                })
            })
            .collect();
        redundancy.sort_unstable_by(|a, b| (a.margin(), a).cmp(&(b.margin(), b)));
        let failed_itself =
            self.atoms.failed().any(|(other, own)| other == node && own.contains(FailureMode::Down));
        let state = match modes.without(FailureMode::DataLoss).worst() {
            Some(FailureMode::Down) if failed_itself => HealthState::Failed,
            Some(FailureMode::Down) => HealthState::Down,
            Some(FailureMode::Unreachable) => HealthState::Unreachable,
            Some(_) => HealthState::Degraded,
            None if redundancy.is_empty() => HealthState::Up,
            None => HealthState::AtRisk,
        };
        let chain = modes.worst().map(|mode| self.chain(graph, node, mode));
        Some(ItemHealth { ci, state, modes, chain, redundancy })
    }

    fn chain(&self, graph: &RelationGraph, node: u32, mode: FailureMode) -> (CiId, Vec<Step>) {
        let (mut node, mut mode, mut steps) = (node, mode, Vec::new());
        // Each support is earlier than what it supports, so this ends.
        while let Some((supplier, its_mode, kind)) = self.atoms.support(graph, node, mode) {
            steps.push(Step { relation: graph.kind_name(kind).clone(), ci: graph.id(node) });
            (node, mode) = (supplier, its_mode);
        }
        steps.reverse();
        (graph.id(node), steps)
    }
}

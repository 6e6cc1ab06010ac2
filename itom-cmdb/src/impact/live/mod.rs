//! An answer that is kept current: failures, recoveries and changes of the graph cost what they change.
//!
//! What holds is a set of atoms (item, mode), each with the moment at which it was derived and a derivation that rests
//! on earlier atoms only. When something is taken away, atoms whose earlier support is gone are deleted, then those that
//! still follow are derived again (*delete and rederive*, with the order of derivation keeping the first step small: an
//! item that has other support, derived before it, is not even looked beyond). What is left is the least fixed point, in
//! circles too.

mod atoms;
mod health;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use itom_core::CiId;

use super::GraphChange;
use crate::graph::{FailureMode, GraphError, Modes, RelationGraph, View};

use atoms::Atoms;
pub use health::{HealthState, ItemHealth, Redundancy};

/// How an item was and is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Turn {
    /// The item.
    pub ci: CiId,
    /// How it failed before.
    pub before: Modes,
    /// How it fails now.
    pub after: Modes,
}

/// What fails because of what has failed, kept current.
///
/// It belongs to one graph, which it does not hold: every call is given the graph, changed only through
/// [`apply`](Self::apply) or told with [`refresh`](Self::refresh).
///
/// ```
/// use itom_cmdb::graph::{FailureMode, RelationGraph, RelationModel};
/// use itom_cmdb::impact::LiveImpact;
/// use itom_core::{CiId, kind, relation};
///
/// let [web, one, two] = ["web", "one", "two"].map(|name| CiId::derive(&[name]));
/// let mut graph = RelationGraph::new(RelationModel::default());
/// for ci in [web, one, two] {
///     graph.upsert_ci(ci, kind::SERVICE, "x")?;
/// }
/// graph.relate(relation::PROVIDED_BY, web, one)?;
/// graph.relate(relation::PROVIDED_BY, web, two)?;
///
/// let mut live = LiveImpact::new();
/// assert_eq!(live.fail(&graph, one, FailureMode::Down)?.len(), 1, "only itself");
/// let turns = live.fail(&graph, two, FailureMode::Down)?;
/// assert_eq!(turns.iter().map(|turn| turn.ci).filter(|ci| *ci != two).collect::<Vec<_>>(), [web]);
/// live.recover(&graph, one)?;
/// assert!(live.modes(&graph, web).is_empty());
/// # Ok::<(), itom_cmdb::graph::GraphError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct LiveImpact {
    atoms: Atoms,
}

impl LiveImpact {
    /// Nothing has failed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything from the start: for each item, how it failed.
    ///
    /// # Errors
    /// [`GraphError::UnknownCi`] for the first item that is not in the graph.
    pub fn of(
        graph: &RelationGraph,
        failed: impl IntoIterator<Item = (CiId, FailureMode)>,
    ) -> Result<Self, GraphError> {
        let mut live = Self::new();
        for (ci, mode) in failed {
            live.fail(graph, ci, mode)?;
        }
        Ok(live)
    }

    /// An item has failed by itself in one more mode. Gives what turned, sorted by id.
    ///
    /// # Errors
    /// [`GraphError::UnknownCi`] when it is not in the graph.
    pub fn fail(
        &mut self,
        graph: &RelationGraph,
        ci: CiId,
        mode: FailureMode,
    ) -> Result<Vec<Turn>, GraphError> {
        let node = known(graph, "mark as failed", ci)?;
        self.atoms.learn(graph);
        self.atoms.fail(graph, node, mode);
        Ok(self.turns(graph))
    }

    /// An item has not failed by itself any more: it may still be hit by others. Gives what turned, sorted by id.
    ///
    /// # Errors
    /// [`GraphError::UnknownCi`] when it is not in the graph.
    pub fn recover(&mut self, graph: &RelationGraph, ci: CiId) -> Result<Vec<Turn>, GraphError> {
        let node = known(graph, "mark as recovered", ci)?;
        self.atoms.learn(graph);
        self.atoms.recover(graph, node);
        Ok(self.turns(graph))
    }

    /// Changes the graph and brings the answer up to date. Gives what turned, sorted by id; a removed item is not listed.
    ///
    /// # Errors
    /// [`GraphError`] when the change could not be made; then nothing changed.
    pub fn apply(
        &mut self,
        graph: &mut RelationGraph,
        change: &GraphChange,
    ) -> Result<Vec<Turn>, GraphError> {
        self.atoms.learn(graph);
        let mut touched = Vec::new();
        match change {
            GraphChange::AddCi(ci) => {
                if !graph.contains(*ci) {
                    let (kind, name) = (itom_core::CiKind::literal("unknown"), ci.to_string());
                    graph.upsert_ci(*ci, kind, name)?;
                }
            }
            GraphChange::RemoveCi(ci) => {
                for relation in graph.relations_of(*ci) {
                    graph.unrelate(&relation.kind, relation.from, relation.to);
                    touched.extend([relation.from, relation.to]);
                }
                if let Some(node) = graph.node(*ci) {
                    self.atoms.forget(node);
                }
                graph.remove_ci(*ci);
                touched.retain(|other| other != ci);
            }
            GraphChange::Relate { kind, from, to } => {
                graph.relate(kind.clone(), *from, *to)?;
                touched.extend([*from, *to]);
            }
            GraphChange::Unrelate { kind, from, to } => {
                graph.unrelate(kind, *from, *to);
                touched.extend([*from, *to]);
            }
            GraphChange::SetGate { ci, kind, gate } => {
                graph.set_gate(*ci, kind, gate.clone())?;
                touched.push(*ci);
            }
        }
        Ok(self.refresh(graph, &touched))
    }

    /// Brings the answer up to date after relations were added or removed (name both ends) or gates set (name the owner).
    /// Items must be removed through [`apply`](Self::apply). Gives what turned, sorted by id.
    pub fn refresh(&mut self, graph: &RelationGraph, touched: &[CiId]) -> Vec<Turn> {
        self.atoms.learn(graph);
        let mut nodes: Vec<u32> = touched.iter().filter_map(|ci| graph.node(*ci)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        self.atoms.refresh(graph, &nodes);
        self.turns(graph)
    }

    fn turns(&mut self, graph: &RelationGraph) -> Vec<Turn> {
        let mut turns: Vec<Turn> = self
            .atoms
            .take_changed()
            .into_iter()
            .filter_map(|(node, before)| {
                let after = self.atoms.modes(node);
                (before != after).then(|| Turn { ci: graph.id(node), before, after })
            })
            .collect();
        turns.sort_unstable();
        turns
    }

    /// How an item fails now: the worst of down, unreachable and degraded, and whether its data is lost.
    #[must_use]
    pub fn modes(&self, graph: &RelationGraph, ci: CiId) -> Modes {
        graph.node(ci).map_or(Modes::NONE, |node| self.atoms.modes(node))
    }

    /// Every item that fails, sorted by id.
    #[must_use]
    pub fn failing(&self, graph: &RelationGraph) -> BTreeMap<CiId, Modes> {
        self.atoms.failing().map(|(node, modes)| (graph.id(node), modes)).collect()
    }

    /// What has failed by itself, sorted by id.
    #[must_use]
    pub fn failed(&self, graph: &RelationGraph) -> BTreeMap<CiId, Modes> {
        self.atoms.failed().map(|(node, modes)| (graph.id(node), modes)).collect()
    }
}

fn known(graph: &RelationGraph, doing: &'static str, ci: CiId) -> Result<u32, GraphError> {
    graph.node(ci).ok_or(GraphError::UnknownCi { doing, ci })
}

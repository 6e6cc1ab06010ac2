//! The graph of what a view believes to be there.

use super::View;
use crate::graph::{GraphError, RelationGraph, RelationModel};

impl View {
    /// The active items and the active relations between them, as a graph: for views of the past, of a branch, or of an
    /// import. Who follows a living view keeps a graph up to date with [`GraphDelta`](crate::GraphDelta) instead.
    ///
    /// # Errors
    /// [`GraphError::Full`] for more items than a graph can hold.
    pub fn graph(&self, model: RelationModel) -> Result<RelationGraph, GraphError> {
        let there = |id| self.ci(id).is_some_and(|ci| ci.state().is_active());
        let cis = self
            .cis()
            .filter(|ci| ci.state().is_active())
            .map(|ci| (ci.id(), ci.kind().clone(), ci.name().clone()));
        let relations = self
            .relations()
            .filter(|relation| relation.state.is_active() && there(relation.from) && there(relation.to))
            .map(|relation| (relation.kind.clone(), relation.from, relation.to));
        RelationGraph::from_parts(model, cis, relations)
    }
}

//! What a question needs to see of a graph: the graph itself, or the graph under a what-if overlay.

use itom_core::{CiId, RelationKind};

use super::{Effect, Gate, Link, RelationGraph};

/// A graph to ask. Node and kind numbers are those of this view and mean nothing outside of one question.
pub(crate) trait View {
    /// All nodes are below this.
    fn bound(&self) -> usize;
    /// The node of an item.
    fn node(&self, ci: CiId) -> Option<u32>;
    /// The item of a node.
    fn id(&self, node: u32) -> CiId;
    /// Who feels the failure of a node.
    fn outward(&self, node: u32) -> impl Iterator<Item = Link>;
    /// The ends of a node's outward links, when they are at hand and none has a gate.
    fn plain(&self, _node: u32) -> Option<&[u32]> {
        None
    }
    /// What a node needs.
    fn inward(&self, node: u32) -> impl Iterator<Item = Link>;
    /// Gate and effect of a dependent for a kind.
    fn rule(&self, dependent: u32, kind: u32) -> (&Gate, Effect);
    /// The name of a kind.
    fn kind(&self, kind: u32) -> &RelationKind;
}

impl View for RelationGraph {
    fn bound(&self) -> usize {
        self.nodes.bound()
    }
    fn node(&self, ci: CiId) -> Option<u32> {
        self.nodes.find(ci)
    }
    fn id(&self, node: u32) -> CiId {
        self.nodes.at(node).id
    }
    #[inline]
    fn outward(&self, node: u32) -> impl Iterator<Item = Link> {
        self.outward.of(node).iter()
    }
    #[inline]
    fn plain(&self, node: u32) -> Option<&[u32]> {
        self.outward.plain(node)
    }
    #[inline]
    fn inward(&self, node: u32) -> impl Iterator<Item = Link> {
        self.inward.of(node).iter()
    }
    fn rule(&self, dependent: u32, kind: u32) -> (&Gate, Effect) {
        self.rule_of(dependent, kind)
    }
    fn kind(&self, kind: u32) -> &RelationKind {
        self.kind_name(kind)
    }
}

//! What can go wrong when the graph is changed.

use itom_core::{CiId, Classify, ErrorKind, RelationKind};

/// Why a change was refused. The graph is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// One end of a relation, or the owner of a gate, is not in the graph.
    #[error("cannot {doing}: item {ci} is not in the graph; add it first")]
    UnknownCi {
        /// What was being done.
        doing: &'static str,
        /// The item.
        ci: CiId,
    },
    /// A gate was set for a kind of relation that carries no failure.
    #[error(
        "cannot set a gate of {ci} for `{kind}`: relations of this kind carry no failure; give the kind a flow in the relation model"
    )]
    NoFlow {
        /// The owner of the gate.
        ci: CiId,
        /// The kind of relation.
        kind: RelationKind,
    },
    /// There is no room for another item or kind of relation.
    #[error("cannot add to the graph: it already has {limit} {what}; split the estate")]
    Full {
        /// What there is no room for.
        what: &'static str,
        /// How many there can be.
        limit: u64,
    },
}

impl Classify for GraphError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownCi { .. } => ErrorKind::NotFound,
            Self::NoFlow { .. } => ErrorKind::Invalid,
            Self::Full { .. } => ErrorKind::Exhausted,
        }
    }
}

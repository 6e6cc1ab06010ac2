//! The graph of items and relations, laid out for questions about failure.
//!
//! Nodes are configuration items, edges are relations with a kind. The [`RelationModel`] says which kinds carry failure,
//! in which direction and through which gate. The graph is made for many updates between many questions: a relation is
//! added or removed in well under a microsecond at any degree, and a clone is a snapshot that shares its pages with the
//! original until one of them is written.
//!
//! Questions about failure are in [`impact`](crate::impact).

mod algorithms;
mod error;
mod flaw;
mod ids;
mod links;
mod mode;
mod model;
mod nodes;
mod question;
mod relation_graph;
mod view;

#[cfg(test)]
mod tests;

pub use algorithms::Cycle;
pub use error::GraphError;
pub use flaw::Flaw;
pub use mode::{FailureMode, Modes, Passage};
pub use model::{Effect, Flow, Gate, RelationModel, RelationSpec};
pub use question::Step;
pub(crate) use question::{Way, closure, walk};
pub use relation_graph::{Ci, Relation, RelationGraph};

pub(crate) use links::{Link, Plain, Run, Tag};
pub(crate) use relation_graph::pairs;
pub(crate) use view::View;

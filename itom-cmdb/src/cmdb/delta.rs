//! What taking in facts changed.

use itom_core::{CiChange, CiId, CiKind, RelationKind, Text};

use crate::identity::{Ambiguous, Proof};
use crate::view::{Attribute, ProposedRetirement};

/// One step for whoever keeps a graph of active items and relations.
///
/// The steps of one [`Applied`] are in an order that can be applied as it is: relations are taken away before items go,
/// and items come before the relations that need them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GraphDelta {
    /// A relation no longer holds.
    Unrelate {
        /// Its kind.
        kind: RelationKind,
        /// Where it started.
        from: CiId,
        /// Where it ended.
        to: CiId,
    },
    /// An item is gone: retired, or no longer an item of its own.
    Remove(CiId),
    /// An item is there, or has another kind or name.
    Upsert {
        /// The item.
        ci: CiId,
        /// Its kind.
        kind: CiKind,
        /// Its name.
        name: Text,
    },
    /// A relation holds.
    Relate {
        /// Its kind.
        kind: RelationKind,
        /// Where it starts.
        from: CiId,
        /// Where it ends.
        to: CiId,
    },
}

/// An id that is no longer an item's own: follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Redirect {
    /// The id that was.
    pub from: CiId,
    /// The item that holds now what the id was derived from.
    pub to: CiId,
}

/// What taking in facts changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// How many facts were new.
    pub new_facts: usize,
    /// What changed, by time, item, change.
    pub changes: Vec<CiChange>,
    /// The same for a graph of what is active.
    pub graph: Vec<GraphDelta>,
    /// Ids that were merged or renamed, ascending.
    pub redirects: Vec<Redirect>,
    /// References that fit several items and were looked at now, ascending.
    pub ambiguous: Vec<Ambiguous>,
    /// Every mass retirement that waits, whenever it was proposed, ascending.
    pub proposed_retirements: Vec<ProposedRetirement>,
}

/// Why an item is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The item.
    pub ci: CiId,
    /// What joined its objects: check with [`verify`](crate::identity::verify).
    pub merges: Vec<Proof>,
    /// Its attributes with every claim.
    pub attributes: Vec<(itom_core::AttrName, Attribute)>,
}

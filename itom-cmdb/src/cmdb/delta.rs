//! What taking in facts changed.

use itom_core::{CiChange, CiId, CiKind, RelationKind, Text};

use crate::identity::{Ambiguous, Apart, Comparison, Proof};
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

/// An item lost some of its objects to another and goes on without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Split {
    /// The item that goes on under its id.
    pub from: CiId,
    /// The item that has the objects now.
    pub into: CiId,
}

/// What taking in facts changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// How many facts were new.
    pub new_facts: usize,
    /// How many runs and retractions came too late to be believed: they speak of times that were compacted.
    pub too_late: usize,
    /// What changed, by time, item, change.
    pub changes: Vec<CiChange>,
    /// The same for a graph of what is active.
    pub graph: Vec<GraphDelta>,
    /// Ids that were merged or renamed, ascending.
    pub redirects: Vec<Redirect>,
    /// Items that lost objects to others, ascending.
    pub splits: Vec<Split>,
    /// Objects and references that fit several items and were looked at now, ascending.
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

/// Why two items are two, or one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairExplanation {
    /// Whether they are one item.
    pub together: bool,
    /// Together: what joined the objects of the item.
    pub merges: Vec<Proof>,
    /// Apart: everything that forbids to join them; check with [`verify_apart`](crate::identity::verify_apart).
    pub apart: Vec<Apart>,
    /// Every value that either claims, compared.
    pub compared: Vec<Comparison>,
    /// Apart, and nothing forbids: keys that one of them claims and the other could.
    pub missing: Vec<itom_core::KeyKind>,
}

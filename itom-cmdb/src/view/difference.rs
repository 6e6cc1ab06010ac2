//! Where two views differ, at the cost of the difference.

use std::collections::BTreeSet;
#[cfg(feature = "policy")]
use std::sync::Arc;

use itom_core::CiId;

use super::{RelationId, View};

/// The ids of what differs between two views.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Differences {
    /// Items that are in one of them only or are not equal, ascending. An item that was only seen again is among them.
    pub items: Vec<CiId>,
    /// The same for relations.
    pub relations: Vec<RelationId>,
    /// Ids that lead to different items, ascending: what was merged, split or renamed.
    pub aliases: Vec<CiId>,
}

impl Differences {
    /// Whether the views are equal.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty() && self.relations.is_empty() && self.aliases.is_empty()
    }
}

impl View {
    /// What differs between this view and another.
    ///
    /// Between snapshots of one [`Cmdb`](crate::Cmdb) the cost follows what changed, not what there is; between views
    /// that were derived apart from each other it is that of walking both.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Differences {
        let mut differences = Differences::default();
        self.changed_cis(other, |id, _, _| differences.items.push(id));
        self.changed_relations(other, |id, _, _| differences.relations.push(id));
        self.aliases.changed(&other.aliases, &mut |id, one, other| {
            if one != other {
                differences.aliases.push(id);
            }
        });
        differences
    }

    /// Those of the items that are more than seen again.
    #[cfg(feature = "policy")]
    pub(crate) fn rewritten<'a>(
        &'a self,
        other: &'a Self,
        items: &'a [CiId],
    ) -> impl Iterator<Item = CiId> + 'a {
        items.iter().copied().filter(|id| match (self.ci(*id), other.ci(*id)) {
            (Some(one), Some(other)) => {
                one.first_seen != other.first_seen
                    || (!Arc::ptr_eq(&one.body, &other.body) && one.body != other.body)
            }
            _ => true,
        })
    }

    /// Those of the relations that are there in one of the views only, or in another state.
    pub(crate) fn reshaped(&self, other: &Self, relations: &[RelationId]) -> Vec<RelationId> {
        let state = |view: &Self, id| view.relation(id).map(|relation| relation.state);
        relations.iter().copied().filter(|id| state(self, *id) != state(other, *id)).collect()
    }

    /// The items at both ends of relations that differ, as far as this view or the other knows them.
    #[must_use]
    pub fn ends_of(&self, other: &Self, relations: &[RelationId]) -> BTreeSet<CiId> {
        relations
            .iter()
            .flat_map(|id| [self.relation(*id), other.relation(*id)])
            .flatten()
            .flat_map(|relation| [relation.from, relation.to])
            .collect()
    }
}

//! Who answers for an item.

use std::collections::BTreeSet;

use itom_core::{CiId, RelationKind, Text, relation};
use serde::{Deserialize, Serialize};

use crate::view::View;

/// Who answers for an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Owner {
    /// The team or person, as an item.
    pub ci: CiId,
    /// Its name.
    pub name: Text,
    /// The item that says so, when it is not the item itself but what it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<CiId>,
}

/// How many steps an item's owner is looked for in what the item belongs to.
const STEPS: usize = 3;

/// The owner of an item: its own, else that of the nearest thing it belongs to, the smallest id first.
pub(super) fn owner_of(view: &View, item: CiId) -> Option<Owner> {
    let mut layer = BTreeSet::from([item]);
    let mut seen = layer.clone();
    for _ in 0..=STEPS {
        for id in &layer {
            let owner = ends(view, *id, true, &relation::OWNED_BY).into_iter().find_map(|own| view.ci(own));
            if let Some(owner) = owner {
                let through = (*id != item).then_some(*id);
                return Some(Owner { ci: owner.id(), name: owner.name().clone(), through });
            }
        }
        let above = layer.iter().flat_map(|id| {
            let mut above = ends(view, *id, false, &relation::CONTAINS);
            above.extend(ends(view, *id, true, &relation::MEMBER_OF));
            above.extend(ends(view, *id, true, &relation::LOCATED_IN));
            above.extend(ends(view, *id, true, &relation::INSTALLED_ON));
            above.extend(ends(view, *id, true, &relation::RUNS_ON));
            above
        });
        layer = above.filter(|id| seen.insert(*id)).collect();
    }
    None
}

/// The other ends of active relations of a kind.
fn ends(view: &View, id: CiId, outgoing: bool, kind: &RelationKind) -> BTreeSet<CiId> {
    view.relations_of(id)
        .filter(|relation| relation.kind == *kind && relation.state.is_active())
        .filter_map(|relation| match outgoing {
            true => (relation.from == id).then_some(relation.to),
            false => (relation.to == id).then_some(relation.from),
        })
        .collect()
}

//! What a view has in a slot. Only what is believed to be there counts: retired items and relations are empty slots.

use itom_core::CiId;

use super::{Content, Slot};
use crate::view::{Ci, View};

pub(super) fn there(view: &View, ci: CiId) -> Option<&Ci> {
    view.ci(ci).filter(|ci| ci.state().is_active())
}

pub(super) fn of(view: &View, slot: &Slot) -> Option<Content> {
    match slot {
        Slot::Item(ci) => {
            there(view, *ci).map(|ci| Content::Item { kind: ci.kind().clone(), name: ci.name().clone() })
        }
        Slot::Attribute(ci, name) => there(view, *ci)?.value(name).cloned().map(Content::Value),
        Slot::Relation(_, from, to) => {
            let relation = view.relation(slot.relation_id()?)?;
            let holds =
                relation.state.is_active() && there(view, *from).is_some() && there(view, *to).is_some();
            holds.then_some(Content::Holds)
        }
    }
}

/// Every slot besides the item's own that is not empty and belongs to an item.
pub(super) fn slots_of(view: &View, ci: CiId) -> Vec<Slot> {
    let Some(item) = there(view, ci) else { return Vec::new() };
    let attributes = item.attributes().keys().map(|name| Slot::Attribute(ci, name.clone()));
    let relations = view
        .relations_of(ci)
        .map(|relation| Slot::Relation(relation.kind.clone(), relation.from, relation.to));
    attributes.chain(relations).filter(|slot| of(view, slot).is_some()).collect()
}

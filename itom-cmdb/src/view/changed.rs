//! What differs between two states of a view, at a cost that follows the difference.

use std::sync::Arc;

use itom_core::CiId;

use super::{Ci, Relation, RelationId, View};

fn same_ci(a: &Ci, b: &Ci) -> bool {
    (a.first_seen, a.last_seen) == (b.first_seen, b.last_seen)
        && (Arc::ptr_eq(&a.body, &b.body) || a.body == b.body)
}

/// Tells the pairs that are not the same.
fn unequal<'a, K, V: 'a>(
    same: impl Fn(&V, &V) -> bool,
    mut found: impl FnMut(K, Option<&'a V>, Option<&'a V>),
) -> impl FnMut(K, Option<&'a V>, Option<&'a V>) {
    move |key, before, after| {
        let equal = matches!((before, after), (Some(a), Some(b)) if same(a, b));
        if !equal {
            found(key, before, after);
        }
    }
}

impl View {
    /// The items that differ in a later state, by id.
    pub(crate) fn changed_cis<'a>(
        &'a self,
        later: &'a Self,
        found: impl FnMut(CiId, Option<&'a Ci>, Option<&'a Ci>),
    ) {
        self.cis.changed(&later.cis, &mut unequal(same_ci, found));
    }

    /// The relations that differ in a later state, by id.
    pub(crate) fn changed_relations<'a>(
        &'a self,
        later: &'a Self,
        found: impl FnMut(RelationId, Option<&'a Relation>, Option<&'a Relation>),
    ) {
        self.relations.changed(&later.relations, &mut unequal(Relation::eq, found));
    }

    /// The aliases that differ in a later state.
    pub(crate) fn changed_aliases<'a>(
        &'a self,
        later: &'a Self,
        found: impl FnMut(CiId, Option<&'a CiId>, Option<&'a CiId>),
    ) {
        self.aliases.changed(&later.aliases, &mut unequal(CiId::eq, found));
    }

    /// The key values whose claimants differ in a later state.
    pub(crate) fn changed_claimants<'a>(
        &'a self,
        later: &'a Self,
        found: impl FnMut(CiId, Option<&'a Arc<[CiId]>>, Option<&'a Arc<[CiId]>>),
    ) {
        self.claimants.changed(&later.claimants, &mut unequal(Arc::eq, found));
    }
}

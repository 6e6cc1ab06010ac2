//! What anybody collects at all: the absence of what nobody looks for says nothing.

use std::collections::{BTreeMap, BTreeSet};

use itom_core::{CiKind, RelationKind};

use super::Needs;
use crate::view::{Differences, View};

/// Which kinds of items and relations a view has, counted.
///
/// Retired ones count: who reported them once is looking for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    relations: BTreeMap<RelationKind, usize>,
    kinds: BTreeMap<CiKind, usize>,
}

impl Known {
    /// What this view has.
    #[must_use]
    pub fn of(view: &View) -> Self {
        let mut known = Self::default();
        view.relations().for_each(|relation| *known.relations.entry(relation.kind.clone()).or_default() += 1);
        // A loose end is a reference, not a report.
        view.cis()
            .filter(|ci| !ci.is_loose_end())
            .for_each(|ci| *known.kinds.entry(ci.kind().clone()).or_default() += 1);
        known
    }

    /// Follows from one view to the next.
    pub(super) fn follow(&mut self, before: &View, after: &View, differences: &Differences) {
        fn count<K: Ord + Clone>(counts: &mut BTreeMap<K, usize>, was: Option<&K>, is: Option<&K>) {
            if was == is {
                return;
            }
            if let Some(kind) = is {
                *counts.entry(kind.clone()).or_default() += 1;
            }
            if let Some(kind) = was
                && let Some(number) = counts.get_mut(kind)
            {
                *number -= 1;
                if *number == 0 {
                    counts.remove(kind);
                }
            }
        }
        for id in &differences.items {
            let kind = |view: &View| view.ci(*id).filter(|ci| !ci.is_loose_end()).map(|ci| ci.kind().clone());
            count(&mut self.kinds, kind(before).as_ref(), kind(after).as_ref());
        }
        for id in &differences.relations {
            let kind = |view: &View| view.relation(*id).map(|relation| relation.kind.clone());
            count(&mut self.relations, kind(before).as_ref(), kind(after).as_ref());
        }
    }

    /// The kinds of relations, each with at least one.
    pub(super) fn relation_kinds(&self) -> BTreeSet<&RelationKind> {
        self.relations.keys().collect()
    }

    /// The kinds of items, each with at least one.
    pub(super) fn item_kinds(&self) -> BTreeSet<&CiKind> {
        self.kinds.keys().collect()
    }

    /// What nobody reports of what is needed, in words.
    pub(super) fn lacks(&self, needs: &Needs) -> Option<String> {
        let relation = needs.relations.iter().find(|kind| !self.relations.contains_key(*kind));
        if let Some(kind) = relation {
            return Some(format!("no source reports relations of kind `{kind}`"));
        }
        let kind = needs.kinds.iter().find(|kind| !self.kinds.keys().any(|own| own.is_a(kind)));
        kind.map(|kind| format!("no source reports items of kind `{kind}`"))
    }
}

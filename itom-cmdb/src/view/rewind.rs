//! The maps of a view, taken out and put in as a whole: a view of the past is made by walking them once.

use std::sync::Arc;

use itom_core::{CiId, CiKind};

use super::trie::Trie;
use super::{Ci, Relation, RelationId, View};

/// An item whose kind is another one, or that is there in one of two views only.
pub(crate) type OfKind = (CiId, Option<CiKind>, Option<CiKind>);

/// A relation that is there and was not, with its ends.
pub(crate) type Linked = (RelationId, [CiId; 2]);

impl View {
    pub(crate) const fn items(&self) -> &Trie<CiId, Ci> {
        &self.cis
    }

    pub(crate) const fn links(&self) -> &Trie<RelationId, Relation> {
        &self.relations
    }

    pub(crate) const fn leads(&self) -> &Trie<CiId, CiId> {
        &self.aliases
    }

    pub(crate) const fn claims(&self) -> &Trie<CiId, Arc<[CiId]>> {
        &self.claimants
    }

    /// Takes other items, with those whose kind differs: from, to.
    pub(crate) fn replace_items(&mut self, items: Trie<CiId, Ci>, moved: Vec<OfKind>) {
        self.cis = items;
        if moved.is_empty() {
            return;
        }
        let kinds = Arc::make_mut(&mut self.kinds);
        for (id, from, to) in moved {
            if let Some(kind) = from
                && let Some(ids) = kinds.get_mut(&kind)
            {
                ids.remove(id);
                if ids.len() == 0 {
                    kinds.remove(&kind);
                }
            }
            if let Some(kind) = to {
                kinds.entry(kind).or_default().insert(id, ());
            }
        }
    }

    /// Takes other relations, with those that come. Those that go stay tied to their ends, where nobody finds them: who
    /// looks up the relations of an item looks up each, and untying each would take a tenth of the time.
    pub(crate) fn replace_links(&mut self, links: Trie<RelationId, Relation>, linked: Vec<Linked>) {
        self.relations = links;
        for (id, ends) in linked {
            ends.into_iter().for_each(|end| self.tie(end, id));
        }
    }

    /// Takes other ids that lead to items, and other claimants.
    pub(crate) fn replace_leads(&mut self, leads: Trie<CiId, CiId>, claims: Trie<CiId, Arc<[CiId]>>) {
        (self.aliases, self.claimants) = (leads, claims);
    }
}

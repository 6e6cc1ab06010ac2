//! The maps of a view, taken out, and put in as they were: a view of the past is made of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use itom_core::{CiId, CiKind, Timestamp};

use super::later::Later;
use super::trie::Trie;
use super::{Ci, Kinds, Relation, RelationId, View};

/// An item whose kind is another one, or that is there in one of two views only.
pub(crate) type OfKind = (CiId, Option<CiKind>, Option<CiKind>);

/// A relation that is there and was not, with its ends.
pub(crate) type Linked = (RelationId, [CiId; 2]);

/// How many entries each map of a view has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sizes {
    pub(crate) items: usize,
    pub(crate) links: usize,
    pub(crate) leads: usize,
    pub(crate) claims: usize,
}

/// What a view of another time is made of.
pub(crate) struct Parts<M, L> {
    pub(crate) as_of: Timestamp,
    pub(crate) items: Trie<CiId, Ci>,
    pub(crate) links: Trie<RelationId, Relation>,
    pub(crate) leads: Trie<CiId, CiId>,
    pub(crate) claims: Trie<CiId, Arc<[CiId]>>,
    /// Told when somebody first asks for the items of a kind: those whose kind differs.
    pub(crate) moved: M,
    /// Told when somebody first asks for the relations of an item: those that are there in this view only.
    pub(crate) linked: L,
}

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

    pub(crate) const fn sizes(&self) -> Sizes {
        Sizes {
            items: self.cis.len(),
            links: self.relations.len(),
            leads: self.aliases.len(),
            claims: self.claimants.len(),
        }
    }

    /// The view of another time under the same rules.
    ///
    /// Relations that are there in the present only stay tied to their ends, where nobody finds them: who looks up the
    /// relations of an item looks up each.
    pub(crate) fn at<M, L>(&self, parts: Parts<M, L>) -> Self
    where
        M: FnOnce() -> Vec<OfKind> + Send + 'static,
        L: FnOnce() -> Vec<Linked> + Send + 'static,
    {
        let Parts { as_of, items, links, leads, claims, moved, linked } = parts;
        let (kinds, ends) = (self.kinds.clone(), self.ends.clone());
        Self {
            as_of: Some(as_of),
            rules: self.rules,
            cis: items,
            kinds: Later::new(move || with_moved(kinds.get(), moved())),
            relations: links,
            ends: Later::new(move || {
                let mut ends = ends.get().clone();
                for (id, own) in linked() {
                    own.into_iter().for_each(|end| super::tie(&mut ends, end, id));
                }
                ends
            }),
            aliases: leads,
            claimants: claims,
        }
    }
}

fn with_moved(kinds: &Kinds, moved: Vec<OfKind>) -> Kinds {
    let mut kinds = Kinds::clone(kinds);
    let own: &mut BTreeMap<CiKind, Trie<CiId, ()>> = Arc::make_mut(&mut kinds);
    for (id, from, to) in moved {
        if let Some(kind) = from
            && let Some(ids) = own.get_mut(&kind)
        {
            ids.remove(id);
            if ids.len() == 0 {
                own.remove(&kind);
            }
        }
        if let Some(kind) = to {
            own.entry(kind).or_default().insert(id, ());
        }
    }
    kinds
}

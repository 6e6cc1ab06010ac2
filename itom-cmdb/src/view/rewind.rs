//! The maps of a view, taken out, and put in as they were: a view of the past is made of them.

use std::sync::Arc;

use itom_core::{CiId, CiKind, Timestamp};

use super::later::Later;
use super::trie::Trie;
use super::{Ci, Relation, RelationId, View};

/// Items of which the present does not tell the kind, by kind, ascending.
pub(crate) type Turned = Vec<(CiKind, CiId)>;

/// Relations that the present does not have, by each of their ends, ascending.
pub(crate) type Gone = Vec<(CiId, RelationId)>;

/// How many entries each map of a view has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sizes {
    pub(crate) items: u32,
    pub(crate) links: u32,
    pub(crate) leads: u32,
    pub(crate) claims: u32,
}

/// What a view of another time is made of.
pub(crate) struct Parts<K, G> {
    pub(crate) as_of: Timestamp,
    pub(crate) items: Trie<CiId, Ci>,
    pub(crate) links: Trie<RelationId, Relation>,
    pub(crate) leads: Trie<CiId, CiId>,
    pub(crate) claims: Trie<CiId, Arc<[CiId]>>,
    /// Told when somebody first asks for the items of a kind.
    pub(crate) turned: K,
    /// Told when somebody first asks for the relations of an item.
    pub(crate) gone: G,
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
            items: self.cis.len() as u32,
            links: self.relations.len() as u32,
            leads: self.aliases.len() as u32,
            claims: self.claimants.len() as u32,
        }
    }

    /// The view of another time under the same rules.
    ///
    /// The present's indices stay: who looks something up by them looks at each thing that they tell of, and finds those
    /// that are there.
    pub(crate) fn at<K, G>(&self, parts: Parts<K, G>) -> Self
    where
        K: FnOnce() -> Turned + Send + 'static,
        G: FnOnce() -> Gone + Send + 'static,
    {
        let Parts { as_of, items, links, leads, claims, turned, gone } = parts;
        Self {
            as_of: Some(as_of),
            rules: self.rules,
            cis: items,
            kinds: Arc::clone(&self.kinds),
            turned: Later::new(move || Arc::new(turned())),
            relations: links,
            ends: self.ends.clone(),
            gone: Later::new(move || Arc::new(gone())),
            aliases: leads,
            claimants: claims,
        }
    }

    /// The relations of an item that may be there although the present does not have them.
    pub(super) fn gone_of(&self, end: CiId) -> &[(CiId, RelationId)] {
        let gone = self.gone.get().as_slice();
        let from = gone.partition_point(|(own, _)| *own < end);
        let gone = gone.get(from..).unwrap_or(&[]);
        gone.get(..gone.partition_point(|(own, _)| *own == end)).unwrap_or(&[])
    }
}
